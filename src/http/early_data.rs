//! What a client sent behind an upgrade request, kept until the answer tells whether it is HTTP.

use super::event::Early;
use super::sniff::{self, Sniff};
use super::{MAX_EARLY, MAX_FOREIGN};
use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};

/// How many separate events are kept.
const MAX_EVENTS: usize = 1024;

/// The client's direction between its request and the switch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlyData {
    bytes: Vec<u8>,
    events: Vec<EarlyEvent>,
    /// A bound was reached: everything since is one gap.
    overflowed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EarlyEvent {
    stamp: Stamp,
    offset: u64,
    kind: EventKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventKind {
    /// A range of the common buffer.
    Data { start: u32, end: u32 },
    /// Missing bytes.
    Gap { len: u64, cause: GapCause },
    /// The end of the direction.
    End(End),
}

impl EarlyData {
    /// Whether there is nothing.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events in order, all of [`Direction::ToServer`], an end included.
    pub fn events(&self) -> impl Iterator<Item = (Stamp, Direction, StreamEvent<'_>)> {
        self.events.iter().map(|early| {
            let event = match early.kind {
                EventKind::Data { start, end } => {
                    StreamEvent::Data { offset: early.offset, bytes: &self.bytes[start as usize..end as usize] }
                }
                EventKind::Gap { len, cause } => StreamEvent::Gap { offset: early.offset, len, cause },
                EventKind::End(end) => StreamEvent::End(end),
            };
            (early.stamp, Direction::ToServer, event)
        })
    }

    /// Stream offset at which it begins.
    pub(super) fn first_offset(&self) -> Option<u64> {
        self.events.first().map(|early| early.offset)
    }

    /// Keeps bytes. Returns `true` when a bound is reached for the first time.
    pub(super) fn push_data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8]) -> bool {
        let room = if self.overflowed || self.events.len() >= MAX_EVENTS {
            0
        } else {
            (MAX_EARLY - self.bytes.len()).min(bytes.len())
        };
        if room > 0 {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(&bytes[..room]);
            self.events.push(EarlyEvent { stamp, offset, kind: EventKind::Data { start, end: start + room as u32 } });
        }
        if room == bytes.len() {
            return false;
        }
        self.push_gap(stamp, offset + room as u64, (bytes.len() - room) as u64, GapCause::BufferLimit);
        !std::mem::replace(&mut self.overflowed, true)
    }

    pub(super) fn push_gap(&mut self, stamp: Stamp, offset: u64, len: u64, cause: GapCause) {
        // Once bytes were left out, all that follows is left out with them.
        if let Some(EarlyEvent { kind: EventKind::Gap { len: before, cause: earlier }, .. }) = self.events.last_mut()
            && (self.overflowed || *earlier == cause)
        {
            *before = before.saturating_add(len);
        } else {
            self.overflowed |= self.events.len() >= MAX_EVENTS;
            self.events.push(EarlyEvent { stamp, offset, kind: EventKind::Gap { len, cause } });
        }
    }

    pub(super) fn push_end(&mut self, stamp: Stamp, offset: u64, end: End) {
        self.events.push(EarlyEvent { stamp, offset, kind: EventKind::End(end) });
    }

    /// What came early, as a fact; `None` when no byte did.
    pub(super) fn summary(&self) -> Option<Box<Early>> {
        let first = self.events.iter().find(|early| matches!(early.kind, EventKind::Data { .. }))?;
        let missing = self.events.iter().fold(0u64, |sum, early| match early.kind {
            EventKind::Gap { len, .. } => sum.saturating_add(len),
            EventKind::Data { .. } | EventKind::End(_) => sum,
        });
        let bytes = &self.bytes;
        Some(Box::new(Early {
            stamp: first.stamp,
            offset: first.offset,
            len: missing.saturating_add(bytes.len() as u64),
            first_bytes: bytes[..bytes.len().min(MAX_FOREIGN)].into(),
        }))
    }

    /// Whether it begins like a request.
    pub(super) fn begins_request(&self) -> bool {
        if !matches!(self.events.first(), Some(EarlyEvent { kind: EventKind::Data { .. }, .. })) {
            return false;
        }
        let blank = self.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        matches!(sniff::start_line(&self.bytes[blank..]), Sniff::Request | Sniff::Maybe)
    }
}
