//! From packets to finished connections, on every core.
//!
//! Knows neither files nor terminals: packets come from a [`Feed`], events go to an [`Observer`].

#![forbid(unsafe_code)]

mod dispatch;
mod numbering;
mod observer;
pub(crate) mod parallel;
mod pipeline;
mod selection;
mod shard;

pub use dispatch::{SHARDS, Wanted, shard_of};
pub use numbering::{Local, Numbering};
pub use observer::{Event, Finished, Kept, Observer, Over, Recorded, Recorder};
pub use pipeline::{Analysis, Connections, Feed, Known, Options, Totals, Walked, WantedFactory, run};
pub use selection::{Cause, Judgement, Subject};
pub use shard::{FAILURES, FLOWS, LINGER};
