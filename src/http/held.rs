//! What a client sent behind an upgrade request, kept until the answer tells whether it is HTTP.

use super::event::Early;
use super::sniff::{self, Sniff};
use super::switch::{Piece, PieceKind};
use super::{MAX_EARLY, MAX_FOREIGN};
use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};

/// How many separate events are held.
const MAX_PIECES: usize = 1024;

/// Held events of the client's direction, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    overflowed: bool,
}

impl Held {
    /// Holds bytes. Returns `true` when a bound is reached for the first time.
    pub(super) fn data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8]) -> bool {
        let room = if self.overflowed || self.pieces.len() >= MAX_PIECES {
            0
        } else {
            (MAX_EARLY - self.bytes.len()).min(bytes.len())
        };
        if room > 0 {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(&bytes[..room]);
            self.pieces.push(Piece { stamp, offset, what: PieceKind::Data { start, end: start + room as u32 } });
        }
        if room == bytes.len() {
            return false;
        }
        self.missing(stamp, offset + room as u64, (bytes.len() - room) as u64, GapCause::BufferLimit);
        !std::mem::replace(&mut self.overflowed, true)
    }

    pub(super) fn gap(&mut self, stamp: Stamp, offset: u64, len: u64, cause: GapCause) {
        self.missing(stamp, offset, len, cause);
    }

    fn missing(&mut self, stamp: Stamp, offset: u64, len: u64, cause: GapCause) {
        // Once bytes were left out, all that follows is left out with them.
        if let Some(Piece { what: PieceKind::Gap { len: before, cause: whose }, .. }) = self.pieces.last_mut()
            && (self.overflowed || *whose == cause)
        {
            *before = before.saturating_add(len);
        } else {
            self.overflowed |= self.pieces.len() >= MAX_PIECES;
            self.pieces.push(Piece { stamp, offset, what: PieceKind::Gap { len, cause } });
        }
    }

    pub(super) fn end(&mut self, stamp: Stamp, offset: u64, end: End) {
        self.pieces.push(Piece { stamp, offset, what: PieceKind::End(end) });
    }

    /// What came early, as a fact; `None` when no byte did.
    pub(super) fn early(&self) -> Option<Early> {
        let first = self.pieces.iter().find(|piece| matches!(piece.what, PieceKind::Data { .. }))?;
        let missing: u64 = self
            .pieces
            .iter()
            .map(|piece| match piece.what {
                PieceKind::Gap { len, .. } => len,
                _ => 0,
            })
            .fold(0, u64::saturating_add);
        let bytes = &self.bytes;
        Some(Early {
            stamp: first.stamp,
            offset: first.offset,
            len: missing.saturating_add(bytes.len() as u64),
            first_bytes: bytes[..bytes.len().min(MAX_FOREIGN)].into(),
        })
    }

    /// Whether the held bytes begin like a request.
    pub(super) fn begins_request(&self) -> bool {
        let bytes = match self.events().next() {
            Some((_, _, StreamEvent::Data { .. })) => &self.bytes[..],
            _ => return false,
        };
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        matches!(sniff::start(&bytes[blank..]), Sniff::Request | Sniff::Maybe)
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Where it begins.
    pub(super) fn first_offset(&self) -> Option<u64> {
        self.pieces.first().map(|piece| piece.offset)
    }

    /// The events in order.
    pub(super) fn events(&self) -> impl Iterator<Item = (Stamp, Direction, StreamEvent<'_>)> {
        self.pieces.iter().map(|piece| {
            let event = match piece.what {
                PieceKind::Data { start, end } => {
                    StreamEvent::Data { offset: piece.offset, bytes: &self.bytes[start as usize..end as usize] }
                }
                PieceKind::Gap { len, cause } => StreamEvent::Gap { offset: piece.offset, len, cause },
                PieceKind::End(end) => StreamEvent::End(end),
            };
            (piece.stamp, Direction::ToServer, event)
        })
    }
}
