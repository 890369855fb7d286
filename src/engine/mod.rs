//! From packets to finished connections, on every core.
//!
//! Knows neither files nor terminals: packets come from a [`Feed`], events leave to an [`Observer`].

mod dispatch;
mod event;
mod judgement;
pub(crate) mod parallel;
mod run;
mod shard;

pub use dispatch::{SHARDS, Wanted, shard_of};
pub use event::{Event, Finished, Kept, Local, Numbering, Observer, Over, Recorded, Recorder};
pub use judgement::{Cause, Judgement, Subject};
pub use run::{Analysis, Connections, Feed, Known, Options, Totals, Walked, WantedFactory, run};
pub use shard::{FAILURES, FLOWS, LINGER};
