//! From packets to finished connections, on every core.
//!
//! Knows neither files nor terminals: packets come from a [`Feed`], events leave to an [`Observer`].

mod dispatch;
mod event;
pub(crate) mod parallel;
mod run;
mod selection;
mod shard;

pub use dispatch::{SHARDS, Wanted, shard_of};
pub use event::{Event, Finished, Kept, Local, Numbering, Observer, Over, Recorded, Recorder};
pub use run::{Analysis, Connections, Feed, Known, Options, Totals, Walked, WantedFactory, run};
pub use selection::{Cause, Judgement, Subject};
pub use shard::{FAILURES, FLOWS, LINGER};
