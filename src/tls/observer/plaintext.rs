//! Passes decrypted application data on as stream events, with the gaps that unopened records leave.

use super::super::channel::{Loss, Stage};
use super::super::record::HEADER_LEN;
use super::Tls;
use super::records::RecordReader;
use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent, UNKNOWN_GAP};

/// 0-RTT data held back until the server has accepted it, in bytes.
const MAX_EARLY_DATA: usize = 64 * 1024;

/// 0-RTT data, held back until the server has accepted it: otherwise the client sends it once more.
#[derive(Debug)]
pub(super) struct EarlyData {
    stamp: Stamp,
    bytes: Vec<u8>,
    overflow: bool,
}

impl Tls {
    /// Computes the plaintext gap before a record that opened.
    pub(super) fn account_for_loss(&mut self, index: usize, loss: Loss) {
        let reader = &mut self.readers[index];
        let (start, lost_from) = (reader.record_start, reader.opened_until);
        reader.opened_until = reader.position;
        reader.plain_missing = false;
        reader.opened_records = reader.opened_records.saturating_add(1);
        if loss == Loss::None {
            return;
        }
        self.facts.decryption.resumed_after_gap += 1;
        if reader.channel.stage() != Stage::Application {
            return;
        }
        // Session tickets are records without application data; they come early in the server's stream.
        let tickets = index == Direction::ToClient.index() && reader.opened_records <= 4;
        let exact = match (loss, reader.channel.overhead()) {
            (Loss::Records(count), Some(overhead)) if !tickets => count
                .checked_mul((HEADER_LEN + overhead) as u64)
                .and_then(|outside| start.checked_sub(lost_from)?.checked_sub(outside)),
            _ => None,
        };
        reader.plain_gap = reader.plain_gap.saturating_add(exact.unwrap_or(UNKNOWN_GAP)).min(UNKNOWN_GAP);
    }

    pub(super) fn emit_plaintext(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        bytes: &[u8],
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if bytes.is_empty() {
            return;
        }
        let (index, other) = (direction.index(), direction.reverse().index());
        if self.readers[index].channel.stage() == Stage::Early && !self.facts.early_data_accepted {
            let early = self.early.get_or_insert_with(|| EarlyData { stamp, bytes: Vec::new(), overflow: false });
            early.stamp = stamp;
            if early.bytes.len() + bytes.len() <= MAX_EARLY_DATA {
                early.bytes.extend_from_slice(bytes);
            } else {
                early.overflow = true;
            }
            return;
        }
        self.facts.decryption.application[index] = true;
        let reader = &mut self.readers[index];
        if reader.plain_ended {
            return;
        }
        reader.emit_gap(stamp, direction, out);
        out(stamp, direction, StreamEvent::Data { offset: reader.plain_offset, bytes });
        reader.plain_offset += bytes.len() as u64;
        if let Some((_, end)) = self.facts.flows[other].ended {
            // The other side ended before any plaintext was passed on.
            self.readers[other].emit_end(stamp, direction.reverse(), end, out);
        }
    }

    /// Passes on or drops the client's 0-RTT data, as the server decided.
    pub(super) fn decide_early_data(
        &mut self,
        accepted: bool,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        self.facts.early_data_accepted |= accepted;
        if let Some(early) = self.early.take()
            && accepted
        {
            self.emit_plaintext(early.stamp, Direction::ToServer, &early.bytes, out);
            if early.overflow {
                self.readers[Direction::ToServer.index()].plain_gap = UNKNOWN_GAP;
            }
        }
    }

    /// Passes on the end of a direction, once, if any plaintext was passed on at all.
    pub(super) fn emit_end(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        end: End,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if self.readers.iter().any(|reader| reader.plain_offset > 0) {
            self.readers[direction.index()].emit_end(stamp, direction, end, out);
        }
    }
}

impl RecordReader {
    fn emit_gap(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if self.plain_gap > 0 {
            let cause = self.gap_cause.unwrap_or(GapCause::NotCaptured);
            out(stamp, direction, StreamEvent::Gap { offset: self.plain_offset, len: self.plain_gap, cause });
            self.plain_offset += self.plain_gap;
            self.plain_gap = 0;
        }
    }

    fn emit_end(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        end: End,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if self.plain_ended {
            return;
        }
        if self.plain_missing {
            // Records were not opened since the last one that was.
            self.plain_gap = UNKNOWN_GAP;
            self.plain_missing = false;
        }
        self.emit_gap(stamp, direction, out);
        self.plain_ended = true;
        out(stamp, direction, StreamEvent::End(end));
    }
}
