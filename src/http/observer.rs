//! The state of one connection.

use super::event::{Counts, HttpEvent};
use super::head::RequestHead;
use super::switch::{Step, Switch};
use crate::stream::{Direction, Stamp, StreamEvent};

/// The observer of one connection.
#[derive(Debug, Default)]
pub struct Http {
    counts: Counts,
}

impl Http {
    /// A connection of which nothing was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event. Each direction must be ended with [`StreamEvent::End`], the server's too.
    pub fn feed<'a>(
        &mut self,
        _stamp: Stamp,
        _direction: Direction,
        _event: StreamEvent<'a>,
        _events: &mut Vec<HttpEvent>,
    ) -> Step<'a> {
        Step::More
    }

    /// The oldest attempt without a final answer.
    #[must_use]
    pub fn pending(&self) -> Option<&RequestHead> {
        None
    }

    /// Whether the answer to the oldest attempt lies in bytes that were not captured. If the bytes now coming are
    /// WebSocket frames by their own proof, call [`Http::switch_unseen`].
    #[must_use]
    pub fn answer_lost(&self) -> bool {
        false
    }

    /// Ends HTTP although no 101 was seen: reports the pending attempt as [`Answer::NotCaptured`](super::Answer) and
    /// hands over what was held. `None` when there is no such attempt.
    pub fn switch_unseen(&mut self, _stamp: Stamp, _events: &mut Vec<HttpEvent>) -> Option<Box<Switch<'static>>> {
        None
    }

    /// Ordinary traffic so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}
