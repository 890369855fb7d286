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

use super::facts::Hole;
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
    /// The first packet that acknowledged bytes in the hole since then.
    acknowledged_since: Option<Stamp>,
    /// Packets of the connection since it is acknowledged.
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
    pub(super) skipped_bytes: u64,
    pub(super) dropped_bytes: u64,
    pub(super) undelivered_bytes: u64,
    pub(super) gaps: u32,
    pub(super) hole: Option<Hole>,
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
    samples: [Sample; 2],
    /// How long the segments were that the samples are of.
    sampled: [u32; 2],
    holes: Option<Box<Holes>>,
}

/// What is known of holes: those that pieces wait behind, and one at the end.
#[derive(Debug, Default)]
struct Holes {
    pending: Option<Pending>,
    unseen: Unseen,
}

/// Signs that there are bytes beyond everything captured. Only the last hole is meant: whoever asks compares with what was
/// captured since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unseen {
    /// The packet that first acknowledged them.
    acknowledged: Option<Stamp>,
    /// Where a segment without payload stood beyond them.
    ahead: u64,
    /// The first such segment.
    ahead_at: Option<Stamp>,
}

/// What [`Half::flush`] found out at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is missing that was not told as a gap.
    Whole,
    /// One sequence number is missing, which this packet shows: most likely a FIN that was not captured.
    FinUnseen(Stamp),
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
            samples: [Sample::default(); 2],
            sampled: [0; 2],
            holes: None,
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
        self.pending().is_some()
    }

    #[inline]
    fn pending(&self) -> Option<&Pending> {
        self.holes.as_deref()?.pending.as_ref()
    }

    fn pending_mut(&mut self) -> Option<&mut Pending> {
        self.holes.as_deref_mut()?.pending.as_mut()
    }

    fn unseen(&self) -> Unseen {
        self.holes.as_deref().map_or(Unseen::default(), |holes| holes.unseen)
    }

    /// Drops what waits behind a hole.
    fn forget_pending(&mut self) -> Option<Pending> {
        let holes = self.holes.as_deref_mut()?;
        let pending = holes.pending.take();
        if holes.unseen == Unseen::default() {
            self.holes = None;
        }
        pending
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Ends the stream, dropping what is still pending behind a hole.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.holes = None;
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
        if sequence != self.next_sequence || self.is_waiting() || payload.len() != payload_len as usize {
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
        let Some(pending) = self.pending() else {
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
        let pending = &mut self.holes.get_or_insert_default().pending;
        let pending = pending.get_or_insert_with(|| Pending { since: stamp, ..Pending::default() });
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
        let Some(mut pending) = self.forget_pending() else { return };
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
            pending.acknowledged_since = None;
            pending.packets_since = 0;
            self.holes.get_or_insert_default().pending = Some(pending);
        }
    }

    /// Records that the other side acknowledges up to `acknowledgment`. Returns whether that moved forward.
    #[inline]
    pub(super) fn acknowledge(&mut self, acknowledgment: u32, stamp: Stamp) -> bool {
        let offset = self.offset_of(acknowledgment);
        if offset <= self.acknowledged as i64 || offset - self.next_offset as i64 > i64::from(LARGEST_JUMP) {
            return false;
        }
        let known_before = self.acknowledged > self.next_offset;
        self.acknowledged = offset as u64;
        if self.acknowledged > self.next_offset {
            if let Some(pending) = self.pending_mut() {
                pending.acknowledged.get_or_insert(stamp);
                pending.acknowledged_since.get_or_insert(stamp);
            } else if !known_before {
                self.holes.get_or_insert_default().unseen.acknowledged = Some(stamp);
            }
        }
        true
    }

    /// Records where a segment without payload stands. Beyond what was captured it shows that bytes are missing.
    #[inline]
    pub(super) fn stands_at(&mut self, sequence: u32, stamp: Stamp) {
        if sequence != self.next_sequence && !self.ended {
            self.stands_elsewhere(sequence, stamp);
        }
    }

    #[cold]
    fn stands_elsewhere(&mut self, sequence: u32, stamp: Stamp) {
        let offset = self.offset_of(sequence);
        if offset <= self.next_offset as i64 || offset - self.next_offset as i64 > i64::from(LARGEST_JUMP) {
            return;
        }
        let next_offset = self.next_offset;
        let unseen = &mut self.holes.get_or_insert_default().unseen;
        if unseen.ahead <= next_offset {
            unseen.ahead_at = Some(stamp); // What it was before has turned up.
        }
        unseen.ahead = unseen.ahead.max(offset as u64);
    }

    /// Whether the other side has acknowledged one sequence number more than was captured: a FIN, most likely.
    pub(super) fn acknowledges_unseen_fin(&self) -> bool {
        self.fin_at == UNSEEN && !self.is_waiting() && self.acknowledged == self.next_offset + 1
    }

    /// The packets around the hole that begins where the captured bytes end.
    fn hole(&self, stamp: Stamp) -> Hole {
        let (pending, unseen) = (self.pending(), self.unseen());
        let ahead = unseen.ahead_at.filter(|_| unseen.ahead > self.next_offset);
        let piece = pending.and_then(|pending| pending.pieces.first()).map(|piece| piece.stamp);
        let acknowledged =
            unseen.acknowledged.filter(|at| self.acknowledged > self.next_offset && Some(*at) <= piece.or(Some(stamp)));
        Hole {
            behind: [ahead, piece].into_iter().flatten().min(),
            acknowledged: [acknowledged, pending.and_then(|pending| pending.acknowledged_since)],
        }
    }

    /// Turns the hole into a gap once nothing can fill it any more. Called for every packet while one is open.
    pub(super) fn give_up_hole(&mut self, stamp: Stamp, one_way: bool, out: &mut Outlet<'_, impl Emit>) {
        let Some(pending) = self.pending_mut() else { return };
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
        let Some(first) = self.pending().and_then(|pending| pending.pieces.first()) else { return };
        let (stamp, len) = (first.stamp.min(stamp), first.offset - self.next_offset);
        out.tally.hole = out.tally.hole.or(Some(self.hole(stamp)));
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

    /// Turns bytes that are missing at the end into a gap.
    fn gap_at_end(&mut self, stamp: Stamp, end: u64, out: &mut Outlet<'_, impl Emit>) {
        out.tally.hole = out.tally.hole.or(Some(self.hole(stamp)));
        let (len, received) = (end - self.next_offset, self.acknowledged >= end);
        self.gap(stamp, len, GapCause::NotCaptured, out);
        if !received {
            // The network may have lost them as well.
            out.tally.lost_bytes -= len;
            out.tally.skipped_bytes += len;
        }
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

    /// Delivers what can still be delivered when no segments follow.
    pub(super) fn flush(&mut self, stamp: Stamp, one_way: bool, out: &mut Outlet<'_, impl Emit>) -> Flushed {
        let mut undelivered = false;
        while let Some(pending) = self.pending() {
            if self.acknowledged > self.next_offset || one_way {
                self.give_up(stamp, GapCause::NotCaptured, out);
            } else {
                out.tally.undelivered_bytes += pending.pieces.iter().map(|piece| u64::from(piece.len)).sum::<u64>();
                self.forget_pending();
                undelivered = true;
            }
        }
        let seen_fin = Some(self.fin_at).filter(|at| *at != UNSEEN);
        let ahead = self.unseen().ahead.max(seen_fin.unwrap_or(0));
        // Behind bytes that never arrived nothing more can be said.
        let reach = if undelivered { self.acknowledged } else { self.acknowledged.max(ahead) };
        // What lies beyond a FIN is the FIN itself, or invalid.
        let end = seen_fin.map_or(reach, |fin| reach.min(fin));
        if end <= self.next_offset {
            return Flushed::Whole;
        }
        if seen_fin.is_none() && end == self.next_offset + 1 {
            let hole = self.hole(stamp);
            return Flushed::FinUnseen(hole.stamps().min().unwrap_or(stamp));
        }
        self.gap_at_end(stamp, end, out);
        Flushed::Whole
    }
}

/// Whether two copies of the same bytes differ where both are captured.
fn differ(a: &[u8], b: &[u8]) -> bool {
    let common = a.len().min(b.len());
    a[..common] != b[..common]
}
