//! One direction of a connection: segments in any order become bytes in order, or a gap.
//!
//! ```text
//!   delivered            hole            pending pieces (sorted, disjoint)
//! ──────────────┤ . . . . . . . . . ├██████┤ . . ├███┤
//!          next_offset                                   highest_offset
//! ```
//!
//! In-order bytes pass through without a copy. Early bytes are copied and wait for the hole to be filled. A hole becomes
//! a [`StreamEvent::Gap`] only when it is certain that its bytes will not arrive: the peer acknowledged them (so the
//! capture lost them), or a bound was reached (so we did). Bytes behind a hole that the network itself never repaired
//! are not delivered: the receiving program never saw them.

use crate::packet::Stamp;
use crate::stream::{Direction, GapCause, StreamEvent};

/// Most bytes held back behind a hole, per direction.
pub const PENDING_BYTES: usize = 4 << 20;
/// Most pieces held back behind a hole, per direction.
pub const PENDING_PIECES: usize = 4096;
/// An acknowledged hole is given this long, in nanoseconds of capture time, in case the capture is out of order.
pub const REORDER_TIME: i64 = 100_000_000;
/// … or this many further packets of the connection.
pub const REORDER_PACKETS: u32 = 64;
/// With only one side captured there are no acknowledgments: a hole is a loss of the capture after this time without a
/// retransmission.
pub const ONE_WAY_TIME: i64 = 3_000_000_000;
/// Late segments within this time are out of order; later ones are retransmissions (Wireshark's threshold).
pub const OUT_OF_ORDER_TIME: i64 = 3_000_000;
/// Farthest jump in sequence numbers accepted as data of this connection.
const LARGEST_JUMP: i32 = 1 << 30;

/// Larger than any offset.
const UNSEEN: u64 = u64::MAX;

/// First and last bytes of a delivered segment: enough to notice a retransmission with other contents.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    offset: u64,
    head: [u8; 8],
    tail: [u8; 8],
}

#[derive(Debug)]
struct Piece {
    offset: u64,
    /// Length on the wire; more than `bytes.len()` when the snap length cut it.
    len: u32,
    bytes: Box<[u8]>,
    stamp: Stamp,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }
}

#[derive(Debug, Default)]
struct Pending {
    pieces: Vec<Piece>,
    bytes: usize,
    /// When the hole in front of the first piece was noticed.
    since: Stamp,
    /// When the other side was first seen to acknowledge bytes in the hole.
    acknowledged: Option<Stamp>,
    /// Packets of the connection since then.
    packets_since: u32,
}

/// How [`Half::accept`] classified a segment's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// New bytes in order.
    InOrder,
    /// New bytes that fill a hole soon after it opened.
    OutOfOrder,
    /// New bytes that fill a hole late: they were sent again.
    FillsHole,
    /// New bytes behind a hole.
    Early,
    /// Nothing new.
    Duplicate,
    /// Nothing new but one byte or none before the next expected (RFC 9293 §3.8.4).
    KeepAlive,
    /// Sequence number far outside anything this connection could send.
    Implausible,
}

/// What else happened on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) new_bytes: u64,
    pub(super) cut_bytes: u64,
    pub(super) lost_bytes: u64,
    pub(super) dropped_bytes: u64,
    pub(super) undelivered_bytes: u64,
    pub(super) gaps: u32,
    pub(super) conflict: bool,
}

impl Tally {
    /// Whether there is more than new bytes.
    pub(super) fn is_unusual(&self) -> bool {
        self.cut_bytes > 0 || self.gaps > 0 || self.undelivered_bytes > 0 || self.conflict
    }
}

/// Takes what the streams of a connection do, in order.
pub(super) trait Emit: FnMut(Stamp, Direction, StreamEvent<'_>) {}
impl<F: FnMut(Stamp, Direction, StreamEvent<'_>)> Emit for F {}

/// Where one direction's bytes and counts go.
pub(super) struct Outlet<'o, E> {
    pub(super) direction: Direction,
    pub(super) tally: &'o mut Tally,
    pub(super) emit: &'o mut E,
}

impl<E: Emit> Outlet<'_, E> {
    fn emit(&mut self, stamp: Stamp, event: StreamEvent<'_>) {
        (self.emit)(stamp, self.direction, event);
    }
}

/// Reassembly state of one direction.
#[derive(Debug)]
pub(super) struct Half {
    next_sequence: u32,
    next_offset: u64,
    highest_offset: u64,
    /// How far the other side acknowledged.
    acknowledged: u64,
    /// Where the FIN stands; [`UNSEEN`] before it was seen.
    fin_at: u64,
    ended: bool,
    /// Acknowledged beyond everything captured.
    beyond: bool,
    samples: [Sample; 2],
    /// How long the segments were that the samples are of.
    sampled: [u32; 2],
    pending: Option<Box<Pending>>,
}

impl Default for Half {
    fn default() -> Self {
        Self {
            next_sequence: 0,
            next_offset: 0,
            highest_offset: 0,
            acknowledged: 0,
            fin_at: UNSEEN,
            ended: false,
            beyond: false,
            samples: [Sample::default(); 2],
            sampled: [0; 2],
            pending: None,
        }
    }
}

impl Half {
    /// Sets the sequence number of the stream's first byte.
    pub(super) fn start(&mut self, first: u32) {
        self.next_sequence = first;
    }

    pub(super) fn prefetch(&self) -> u64 {
        self.next_offset ^ self.samples[1].offset
    }

    pub(super) fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Ends the stream, dropping what is still pending behind a hole.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.pending = None;
    }

    /// Whether a segment with this sequence number may come from the sender: at or after what was
    /// acknowledged, and not further ahead than `slack` bytes.
    pub(super) fn plausible(&self, sequence: u32, slack: i64) -> bool {
        let offset = self.offset_of(sequence);
        offset + 1 >= self.acknowledged as i64 && offset <= self.highest_offset as i64 + slack
    }

    /// Whether bytes were sent that the other side has not acknowledged.
    pub(super) fn in_flight(&self) -> bool {
        self.highest_offset > self.acknowledged
    }

    fn offset_of(&self, sequence: u32) -> i64 {
        self.next_offset as i64 + i64::from(sequence.wrapping_sub(self.next_sequence) as i32)
    }

    /// The fast path: a whole payload in order with nothing pending. Returns its offset if it may be delivered as it is.
    #[inline]
    pub(super) fn advance_in_order(&mut self, sequence: u32, payload: &[u8], payload_len: u32) -> Option<u64> {
        if sequence != self.next_sequence || self.pending.is_some() || payload.len() != payload_len as usize {
            return None;
        }
        let offset = self.next_offset;
        self.sample(offset, payload);
        self.step(payload_len);
        Some(offset)
    }

    #[inline]
    fn step(&mut self, len: u32) {
        self.next_sequence = self.next_sequence.wrapping_add(len);
        self.next_offset += u64::from(len);
        self.highest_offset = self.highest_offset.max(self.next_offset);
    }

    #[inline]
    fn sample(&mut self, offset: u64, payload: &[u8]) {
        self.samples[1] = self.samples[0];
        self.sampled[1] = self.sampled[0];
        let mut sample = Sample { offset, ..Sample::default() };
        let mut len = payload.len() as u32;
        if let (Some(head), Some(tail)) = (payload.first_chunk::<8>(), payload.last_chunk::<8>()) {
            sample.head = *head;
            sample.tail = *tail;
        } else {
            len = 0;
        }
        self.samples[0] = sample;
        self.sampled[0] = len;
    }

    /// Whether `payload` at `offset` differs from the samples of delivered bytes.
    fn contradicts(&self, offset: u64, payload: &[u8]) -> bool {
        let differs = |at: u64, known: &[u8; 8]| {
            at.checked_sub(offset)
                .and_then(|skip| payload.get(skip as usize..)?.first_chunk::<8>())
                .is_some_and(|again| again != known)
        };
        self.samples.iter().zip(self.sampled).filter(|(_, len)| *len >= 8).any(|(sample, len)| {
            differs(sample.offset, &sample.head) || differs(sample.offset + u64::from(len) - 8, &sample.tail)
        })
    }

    /// Takes one segment's payload. `out` gets bytes in order, and gaps left by the snap length.
    pub(super) fn accept(
        &mut self,
        stamp: Stamp,
        sequence: u32,
        payload: &[u8],
        payload_len: u32,
        out: &mut Outlet<'_, impl Emit>,
    ) -> Accepted {
        let offset = self.offset_of(sequence);
        let ahead = offset - self.next_offset as i64;
        if ahead.abs() > i64::from(LARGEST_JUMP) {
            return Accepted::Implausible;
        }
        let (mut payload, mut len) = (payload, payload_len);
        let mut at = offset;
        if ahead < 0 {
            let known = ahead.unsigned_abs();
            if offset >= 0 && self.contradicts(offset as u64, payload) {
                out.tally.conflict = true;
            }
            if known >= u64::from(len) {
                return if known == 1 && len <= 1 { Accepted::KeepAlive } else { Accepted::Duplicate };
            }
            payload = payload.get(known as usize..).unwrap_or(&[]);
            len -= known as u32;
            at = self.next_offset as i64;
        }
        let at = at as u64;
        if at > self.next_offset {
            return self.hold_back(stamp, at, payload, len, out.tally);
        }
        let Some(pending) = self.pending.as_deref() else {
            self.deliver(stamp, payload, len, out);
            return Accepted::InOrder;
        };
        let late = stamp.at - pending.since.at > OUT_OF_ORDER_TIME;
        // Earlier bytes win: the new segment yields to pieces that were captured before it.
        if let Some(first) = pending.pieces.first()
            && first.offset < at + u64::from(len)
        {
            let keep = (first.offset - at) as usize;
            if let Some(again) = payload.get(keep..) {
                out.tally.conflict |= differ(again, &first.bytes);
            }
            let end = at + u64::from(len);
            let beyond = first.end();
            let behind = (end > beyond)
                .then(|| (beyond, payload.get((beyond - at) as usize..).unwrap_or(&[]), (end - beyond) as u32));
            payload = &payload[..payload.len().min(keep)];
            len = keep as u32;
            if let Some((offset, bytes, len)) = behind {
                self.hold_back(stamp, offset, bytes, len, out.tally);
            }
        }
        self.deliver(stamp, payload, len, out);
        self.drain(out);
        if late { Accepted::FillsHole } else { Accepted::OutOfOrder }
    }

    fn deliver(&mut self, stamp: Stamp, payload: &[u8], len: u32, out: &mut Outlet<'_, impl Emit>) {
        if len == 0 {
            return;
        }
        let offset = self.next_offset;
        self.sample(offset, payload);
        self.step(len);
        out.tally.new_bytes += u64::from(len);
        if !payload.is_empty() {
            out.emit(stamp, StreamEvent::Data { offset, bytes: payload });
        }
        let cut = u64::from(len) - payload.len() as u64;
        if cut > 0 {
            out.tally.cut_bytes += cut;
            let offset = offset + payload.len() as u64;
            out.emit(stamp, StreamEvent::Gap { offset, len: cut, cause: GapCause::SnapLength });
        }
    }

    /// Holds back early bytes until the hole before them is filled.
    fn hold_back(&mut self, stamp: Stamp, offset: u64, payload: &[u8], len: u32, tally: &mut Tally) -> Accepted {
        self.highest_offset = self.highest_offset.max(offset + u64::from(len));
        let pending = self.pending.get_or_insert_with(|| Box::new(Pending { since: stamp, ..Pending::default() }));
        if pending.acknowledged.is_none() && self.acknowledged > self.next_offset {
            pending.acknowledged = Some(stamp);
        }
        let (mut at, mut payload, mut len) = (offset, payload, len);
        let mut index = pending.pieces.partition_point(|piece| piece.end() <= at);
        let mut stored = false;
        // Walk the overlapping pieces and store only what lies between them.
        while len > 0 {
            let free = match pending.pieces.get(index) {
                Some(piece) if piece.offset <= at => {
                    let inside = (at - piece.offset) as usize;
                    if let Some(known) = piece.bytes.get(inside..) {
                        tally.conflict |= differ(payload, known);
                    }
                    let skip = (piece.end() - at).min(u64::from(len)) as u32;
                    payload = payload.get(skip as usize..).unwrap_or(&[]);
                    at += u64::from(skip);
                    len -= skip;
                    index += 1;
                    continue;
                }
                Some(piece) => (piece.offset - at).min(u64::from(len)) as u32,
                None => len,
            };
            let bytes: Box<[u8]> = payload[..payload.len().min(free as usize)].into();
            pending.bytes += bytes.len();
            pending.pieces.insert(index, Piece { offset: at, len: free, bytes, stamp });
            stored = true;
            payload = payload.get(free as usize..).unwrap_or(&[]);
            at += u64::from(free);
            len -= free;
            index += 1;
        }
        if stored { Accepted::Early } else { Accepted::Duplicate }
    }

    /// Delivers the pieces that are in order now.
    fn drain(&mut self, out: &mut Outlet<'_, impl Emit>) {
        let Some(mut pending) = self.pending.take() else { return };
        let ready = pending
            .pieces
            .iter()
            .scan(self.next_offset, |next, piece| (piece.offset == *next).then(|| *next = piece.end()))
            .count();
        for piece in pending.pieces.drain(..ready) {
            pending.bytes -= piece.bytes.len();
            self.deliver(piece.stamp, &piece.bytes, piece.len, out);
            pending.since = piece.stamp;
        }
        if !pending.pieces.is_empty() {
            pending.acknowledged = None;
            pending.packets_since = 0;
            self.pending = Some(pending);
        }
    }

    /// Records that the other side acknowledges up to `acknowledgment`. Returns whether that moved forward.
    #[inline]
    pub(super) fn acknowledge(&mut self, acknowledgment: u32, stamp: Stamp) -> bool {
        let offset = self.offset_of(acknowledgment);
        if offset <= self.acknowledged as i64 || offset - self.next_offset as i64 > i64::from(LARGEST_JUMP) {
            return false;
        }
        self.acknowledged = offset as u64;
        if self.acknowledged > self.next_offset {
            match self.pending.as_deref_mut() {
                Some(pending) => {
                    pending.acknowledged.get_or_insert(stamp);
                }
                None => self.beyond = true,
            }
        }
        true
    }

    /// Turns the hole into a gap once nothing can fill it any more. Called for every packet while one is open.
    pub(super) fn give_up_hole(&mut self, stamp: Stamp, one_way: bool, out: &mut Outlet<'_, impl Emit>) {
        let Some(pending) = self.pending.as_deref_mut() else { return };
        let cause = if pending.bytes > PENDING_BYTES || pending.pieces.len() > PENDING_PIECES {
            if pending.acknowledged.is_some() { GapCause::NotCaptured } else { GapCause::BufferLimit }
        } else if let Some(acknowledged) = pending.acknowledged {
            pending.packets_since += 1;
            if pending.packets_since <= REORDER_PACKETS && stamp.at - acknowledged.at < REORDER_TIME {
                return;
            }
            GapCause::NotCaptured
        } else if one_way && stamp.at - pending.since.at > ONE_WAY_TIME {
            GapCause::NotCaptured
        } else {
            return;
        };
        self.give_up(stamp, cause, out);
    }

    fn give_up(&mut self, stamp: Stamp, cause: GapCause, out: &mut Outlet<'_, impl Emit>) {
        let Some(first) = self.pending.as_deref().and_then(|pending| pending.pieces.first()) else { return };
        let (stamp, len) = (first.stamp.min(stamp), first.offset - self.next_offset);
        self.gap(stamp, len, cause, out);
        self.drain(out);
    }

    fn gap(&mut self, stamp: Stamp, len: u64, cause: GapCause, out: &mut Outlet<'_, impl Emit>) {
        let offset = self.next_offset;
        self.next_offset += len;
        self.next_sequence = self.next_sequence.wrapping_add(len as u32);
        self.highest_offset = self.highest_offset.max(self.next_offset);
        out.tally.gaps += 1;
        match cause {
            GapCause::NotCaptured => out.tally.lost_bytes += len,
            GapCause::BufferLimit => out.tally.dropped_bytes += len,
            GapCause::SnapLength => {}
        }
        out.emit(stamp, StreamEvent::Gap { offset, len, cause });
    }

    /// Records where the stream ends. `sequence` is the FIN's own sequence number.
    pub(super) fn finish_at(&mut self, sequence: u32) {
        let at = self.offset_of(sequence);
        if self.fin_at == UNSEEN && at >= 0 && at - self.next_offset as i64 <= i64::from(LARGEST_JUMP) {
            self.fin_at = at as u64;
            self.highest_offset = self.highest_offset.max(at as u64 + 1);
        }
    }

    /// Whether everything up to the FIN was delivered.
    pub(super) fn reached_fin(&self) -> bool {
        !self.ended && self.next_offset >= self.fin_at
    }

    /// Delivers what can still be delivered when no segments follow. Returns whether the other side acknowledged one byte
    /// beyond everything captured: most likely a FIN that was not captured.
    pub(super) fn flush(&mut self, stamp: Stamp, one_way: bool, out: &mut Outlet<'_, impl Emit>) -> bool {
        while let Some(pending) = self.pending.as_deref() {
            if self.acknowledged > self.next_offset || one_way {
                self.give_up(stamp, GapCause::NotCaptured, out);
            } else {
                out.tally.undelivered_bytes += pending.pieces.iter().map(|piece| u64::from(piece.len)).sum::<u64>();
                self.pending = None;
            }
        }
        if !self.beyond || self.acknowledged <= self.next_offset {
            return false;
        }
        let missing = self.acknowledged - self.next_offset;
        match Some(self.fin_at).filter(|at| *at != UNSEEN) {
            // Everything before the FIN was captured; what is acknowledged beyond is the FIN itself, or invalid.
            Some(fin) if self.next_offset >= fin => false,
            Some(fin) if self.acknowledged > fin => {
                self.gap(stamp, fin - self.next_offset, GapCause::NotCaptured, out);
                false
            }
            _ if missing == 1 => true,
            _ => {
                self.gap(stamp, missing, GapCause::NotCaptured, out);
                false
            }
        }
    }
}

/// Whether two copies of the same bytes differ where both are captured.
fn differ(a: &[u8], b: &[u8]) -> bool {
    let common = a.len().min(b.len());
    a[..common] != b[..common]
}
