//! From packets to finished connections, on every core.
//!
//! Knows neither files nor terminals: packets come from a [`Feed`], events leave to an [`Observer`].

mod dispatch;
mod event;
mod judgement;
mod run;
mod shard;

pub use dispatch::{Name, SHARDS, Wanted};
pub use event::{Event, Local, Numbering, Observer, Silent};
pub use judgement::Judgement;
pub use run::{Analysis, Feed, Known, NAMES, Options, Walked, WantedFactory, run};
pub use shard::{FAILURES, FLOWS, Finished, LINGER};
