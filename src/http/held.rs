//! What a client sent behind an upgrade request, kept until the answer tells whether it is HTTP.

use super::event::Early;
use super::sniff::{self, Sniff};
use super::switch::{EarlyData, Piece, PieceKind};
use super::{MAX_EARLY, MAX_FOREIGN};
use crate::stream::{End, GapCause, Stamp, StreamEvent};

/// How many separate events are held.
const MAX_PIECES: usize = 1024;

/// Held events of the client's direction, in order.
#[derive(Debug, Default)]
pub(super) struct Held {
    data: EarlyData,
    overflowed: bool,
}

impl Held {
    /// Holds bytes. Returns `true` when a bound is reached for the first time.
    pub(super) fn data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8]) -> bool {
        let room = if self.overflowed || self.data.pieces.len() >= MAX_PIECES {
            0
        } else {
            (MAX_EARLY - self.data.bytes.len()).min(bytes.len())
        };
        if room > 0 {
            let start = self.data.bytes.len() as u32;
            self.data.bytes.extend_from_slice(&bytes[..room]);
            self.data.pieces.push(Piece { stamp, offset, what: PieceKind::Data { start, end: start + room as u32 } });
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
        if let Some(Piece { what: PieceKind::Gap { len: before, cause: whose }, .. }) = self.data.pieces.last_mut()
            && (self.overflowed || *whose == cause)
        {
            *before = before.saturating_add(len);
        } else {
            self.overflowed |= self.data.pieces.len() >= MAX_PIECES;
            self.data.pieces.push(Piece { stamp, offset, what: PieceKind::Gap { len, cause } });
        }
    }

    pub(super) fn end(&mut self, stamp: Stamp, offset: u64, end: End) {
        self.data.pieces.push(Piece { stamp, offset, what: PieceKind::End(end) });
    }

    /// What came early, as a fact; `None` when no byte did.
    pub(super) fn early(&self) -> Option<Early> {
        let first = self.data.pieces.iter().find(|piece| matches!(piece.what, PieceKind::Data { .. }))?;
        let missing: u64 = self
            .data
            .pieces
            .iter()
            .map(|piece| match piece.what {
                PieceKind::Gap { len, .. } => len,
                _ => 0,
            })
            .fold(0, u64::saturating_add);
        let bytes = &self.data.bytes;
        Some(Early {
            stamp: first.stamp,
            offset: first.offset,
            len: missing.saturating_add(bytes.len() as u64),
            first_bytes: bytes[..bytes.len().min(MAX_FOREIGN)].into(),
        })
    }

    /// Whether the held bytes begin like a request.
    pub(super) fn begins_request(&self) -> bool {
        let bytes = match self.data.events().next() {
            Some((_, _, StreamEvent::Data { .. })) => &self.data.bytes[..],
            _ => return false,
        };
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        matches!(sniff::start(&bytes[blank..]), Sniff::Request | Sniff::Maybe)
    }

    pub(super) fn into_data(self) -> EarlyData {
        self.data
    }
}
