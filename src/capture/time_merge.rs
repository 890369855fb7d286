//! Merges the packets of several readers of one interface in the order in which they were captured.
//!
//! Each reader has a lane. Packets of one lane keep their order; between lanes the time stamps decide. A packet is
//! released when no other lane can still deliver an older one: a lane that holds packets is bounded by the first of
//! them, an empty one by its watermark, the time before which its reader has certainly seen everything.
//!
//! ```text
//!   lane 0   ── 17 ── 12 ── 11 ──►  ┐
//!   lane 1   ───────── (16) ─────►  ├──►  11, 12, then nothing until lane 1 delivers something
//!   lane 2   ── 21 ── 19 ── 18 ──►  ┘     or its watermark, now 16, has reached 17
//! ```
//!
//! It is needed because the kernel does not always keep a connection with one reader. The two directions of a
//! connection part where the outer addresses are not theirs (VXLAN chooses the outer port by the sender's own hash);
//! fragments have no ports and hash differently from the other packets of their connection; a full buffer rolls over
//! into another. Readers are tens of milliseconds apart in what they see, and an acknowledgment that far ahead of its
//! data would look like a loss.
//!
//! Why an effect is never put before its cause: packets enter a lane in the order of capture, and the largest stamp in
//! a lane so far is at most the time at which the latest one entered. An answer that was caused by the captured packet
//! is stamped after that. So ordering by the largest stamp so far keeps both the order within a lane and the order of
//! cause and effect between lanes.
//!
//! Nothing blocks here, no clock is read and no packet is read from an interface: that is `readers`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::source::ARENA_SIZE;
use crate::packet::{Batch, PacketRef};

/// How long a packet waits for other lanes at most. Beyond that the clock was set, and stamps and watermarks do not
/// compare.
pub(super) const STALE: Duration = Duration::from_secs(1);

/// A stamp this much before another of its lane, in nanoseconds, means that the clock was set back.
const CLOCK_SET: i64 = 1_000_000_000;

/// One reader's packets.
#[derive(Debug)]
struct Lane {
    /// Each with the time at which it was queued.
    batches: VecDeque<(Batch, Instant)>,
    /// Next packet of the front batch.
    next: usize,
    /// Largest stamp so far, that of the next packet included if there is one.
    key: i64,
    watermark: i64,
    ended: bool,
}

/// The key of a packet stamped `at` that follows one with the key `before`.
fn key(before: i64, at: i64) -> i64 {
    if at < before.saturating_sub(CLOCK_SET) { at } else { at.max(before) }
}

impl Lane {
    fn new() -> Self {
        Self { batches: VecDeque::new(), next: 0, key: i64::MIN, watermark: i64::MIN, ended: false }
    }

    /// The least key that a packet from here can still have.
    fn bound(&self) -> i64 {
        match (self.batches.is_empty(), self.ended) {
            (false, _) => self.key,
            (true, true) => i64::MAX,
            (true, false) => self.watermark.max(self.key),
        }
    }

    /// Updates the key for the next packet, if there is one.
    fn update_key(&mut self) {
        if let Some((front, _)) = self.batches.front() {
            self.key = key(self.key, front.packets[self.next].at);
        }
    }
}

/// The merge of all readers.
#[derive(Debug)]
pub(super) struct TimeMerge(Vec<Lane>);

impl TimeMerge {
    pub(super) fn new(readers: usize) -> Self {
        Self((0..readers).map(|_| Lane::new()).collect())
    }

    /// Adds what a reader queued at `queued_at`. The packets lie back to back in the arena. Returns a batch that is of
    /// no use.
    pub(super) fn push(&mut self, lane: usize, batch: Batch, queued_at: Instant) -> Option<Batch> {
        let lane = &mut self.0[lane];
        if batch.packets.is_empty() || lane.ended {
            return Some(batch);
        }
        lane.batches.push_back((batch, queued_at));
        if lane.batches.len() == 1 {
            lane.update_key();
        }
        None
    }

    /// Notes that this reader has delivered everything stamped before `watermark`.
    pub(super) fn set_watermark(&mut self, lane: usize, watermark: i64) {
        self.0[lane].watermark = watermark;
    }

    /// Notes that this reader delivers no more.
    pub(super) fn end(&mut self, lane: usize) {
        self.0[lane].ended = true;
    }

    /// Whether nothing is left and nothing follows.
    pub(super) fn is_over(&self) -> bool {
        self.0.iter().all(|lane| lane.ended && lane.batches.is_empty())
    }

    /// Everything stamped before this was released; `None` when no packets follow.
    pub(super) fn watermark(&self) -> Option<i64> {
        self.0.iter().map(Lane::bound).min().filter(|bound| *bound != i64::MAX)
    }

    /// Appends the packets that are due to `out`, until that has `most` packets or a full arena. Packets behind
    /// `cutoff` are not part of the capture. Consumed batches go to `spent`, each with its lane.
    pub(super) fn release(
        &mut self,
        out: &mut Batch,
        most: usize,
        cutoff: i64,
        now: Instant,
        spent: &mut Vec<(usize, Batch)>,
    ) {
        while out.packets.len() < most && out.arena.len() < ARENA_SIZE {
            let first = self.0.iter().enumerate().filter(|(_, lane)| !lane.batches.is_empty());
            let Some((index, lane)) = first.min_by_key(|(_, lane)| lane.key) else { return };
            if lane.key > cutoff {
                let lane = &mut self.0[index];
                spent.extend(lane.batches.drain(..).map(|(batch, _)| (index, batch)));
                (lane.next, lane.ended) = (0, true);
                continue;
            }
            let stale =
                lane.batches.front().is_some_and(|(_, queued_at)| now.saturating_duration_since(*queued_at) > STALE);
            let others = self.0.iter().enumerate().filter(|(other, _)| *other != index);
            let due = others
                .filter(|(_, other)| !stale || !other.batches.is_empty())
                .map(|(_, other)| other.bound())
                .min()
                .map_or(cutoff, |bound| bound.min(cutoff));
            if lane.key > due {
                return;
            }
            let lane = &mut self.0[index];
            lane.take_run(out, most, due);
            if let Some(batch) = lane.pop_consumed() {
                spent.push((index, batch));
            }
        }
    }
}

impl Lane {
    /// Copies packets of the front batch to `out`: the next one in any case, further ones while their key is at most
    /// `due`.
    fn take_run(&mut self, out: &mut Batch, most: usize, due: i64) {
        let Some((front, _)) = self.batches.front() else { return };
        let packets = &front.packets[self.next..];
        let start = packets[0].offset as usize;
        let bytes = ARENA_SIZE - out.arena.len();
        let mut end = start;
        let mut taken = 0;
        let room = most - out.packets.len();
        for packet in packets.iter().take(room) {
            let at = key(self.key, packet.at);
            if at > due || end - start >= bytes {
                break;
            }
            self.key = at;
            end = packet.offset as usize + packet.captured as usize;
            taken += 1;
        }
        let base = out.arena.len() as u32;
        out.arena.extend_from_slice(&front.arena[start..end]);
        let moved = |packet: &PacketRef| PacketRef { offset: packet.offset - start as u32 + base, ..*packet };
        out.packets.extend(packets[..taken].iter().map(moved));
        self.next += taken;
    }

    /// Removes the front batch if it is consumed, and updates the key.
    fn pop_consumed(&mut self) -> Option<Batch> {
        let consumed = self.batches.front().is_some_and(|(front, _)| self.next == front.packets.len());
        let spent = if consumed {
            self.next = 0;
            self.batches.pop_front().map(|(batch, _)| batch)
        } else {
            None
        };
        self.update_key();
        spent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::LinkType;

    const LATER: i64 = i64::MAX - 1;

    fn batch(packets: &[(i64, &[u8])]) -> Batch {
        let mut batch = Batch::default();
        for (at, bytes) in packets {
            let offset = batch.arena.len() as u32;
            let len = bytes.len() as u32;
            batch.packets.push(PacketRef { at: *at, offset, captured: len, original: len, link: LinkType(1) });
            batch.arena.extend_from_slice(bytes);
        }
        batch
    }

    fn stamps(times: &[i64]) -> Batch {
        let bytes: Vec<[u8; 8]> = times.iter().map(|at| at.to_be_bytes()).collect();
        batch(&times.iter().zip(&bytes).map(|(at, bytes)| (*at, &bytes[..])).collect::<Vec<_>>())
    }

    /// What is due, each packet with the bytes that were brought for it.
    fn release(merge: &mut TimeMerge, most: usize, cut: i64, now: Instant) -> Vec<i64> {
        let mut out = Batch { first_packet: 1, ..Batch::default() };
        merge.release(&mut out, most, cut, now, &mut Vec::new());
        out.iter().for_each(|packet| assert_eq!(packet.bytes, packet.stamp.at.to_be_bytes()));
        out.iter().map(|packet| packet.stamp.at).collect()
    }

    #[test]
    fn an_empty_lane_holds_the_others_back_until_its_horizon_passes() {
        let now = Instant::now();
        let mut merge = TimeMerge::new(3);
        merge.push(0, stamps(&[11, 12, 17]), now);
        merge.push(2, stamps(&[18, 19, 21]), now);
        assert_eq!((release(&mut merge, 99, LATER, now), merge.watermark()), (vec![], Some(i64::MIN)));
        merge.set_watermark(1, 16);
        assert_eq!(release(&mut merge, 99, LATER, now), [11, 12]);
        assert_eq!(merge.watermark(), Some(16));
        merge.push(1, stamps(&[17, 18]), now);
        merge.set_watermark(0, 17);
        assert_eq!(release(&mut merge, 99, LATER, now), [17, 17]);
        for lane in 0..3 {
            merge.end(lane);
        }
        assert!(!merge.is_over());
        assert_eq!(release(&mut merge, 99, LATER, now), [18, 18, 19, 21]);
        assert!(merge.is_over());
        assert_eq!(merge.watermark(), None);
    }

    #[test]
    fn the_order_in_a_lane_stays_and_moves_others() {
        let now = Instant::now();
        let mut merge = TimeMerge::new(2);
        // Two processors stamped 100 and 99 and entered the lane the other way round; 101 answers the 99.
        merge.push(0, stamps(&[100, 99]), now);
        merge.push(1, stamps(&[98, 101]), now);
        merge.end(0);
        merge.end(1);
        assert_eq!(release(&mut merge, 99, LATER, now), [98, 100, 99, 101]);
    }

    #[test]
    fn a_count_and_the_end_of_the_capture_cut() {
        let now = Instant::now();
        let mut merge = TimeMerge::new(2);
        merge.push(0, stamps(&[1, 3, 5, 7]), now);
        merge.push(1, stamps(&[2, 4, 6]), now);
        assert_eq!(release(&mut merge, 3, LATER, now), [1, 2, 3]);
        assert_eq!(release(&mut merge, 99, 5, now), [4, 5]);
        assert!(merge.is_over());

        // What comes late, but was captured before the end, belongs to it.
        let mut merge = TimeMerge::new(2);
        merge.push(0, stamps(&[4, 9]), now);
        assert_eq!(release(&mut merge, 99, 5, now), [0; 0]);
        merge.push(1, stamps(&[3, 5, 8]), now);
        assert_eq!(release(&mut merge, 99, 5, now), [3, 4, 5]);
        assert!(merge.push(0, stamps(&[10]), now).is_some());
        assert!(merge.is_over());
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let start = Instant::now();
        let mut merge = TimeMerge::new(2);
        let hour = 3_600_000_000_000;
        merge.push(0, stamps(&[hour, hour + 1, 10, 20]), start);
        merge.set_watermark(1, 5);
        assert_eq!(release(&mut merge, 99, LATER, start), [0; 0]);
        assert_eq!(release(&mut merge, 99, LATER, start + 2 * STALE), [hour, hour + 1, 10, 20]);
        merge.push(0, stamps(&[30]), start + 3 * STALE);
        merge.push(1, stamps(&[25, 31]), start + 3 * STALE);
        merge.set_watermark(0, 30);
        assert_eq!(release(&mut merge, 99, LATER, start + 3 * STALE), [25, 30]);
    }

    #[test]
    fn a_full_arena_is_no_loss() {
        let now = Instant::now();
        let mut merge = TimeMerge::new(2);
        let big = vec![7; 60_000];
        let packets: Vec<(i64, &[u8])> = (0..40).map(|at| (at, &big[..])).collect();
        merge.push(0, batch(&packets), now);
        merge.end(0);
        merge.end(1);
        let mut spent = Vec::new();
        let mut got = Vec::new();
        while !merge.is_over() {
            let mut out = Batch { first_packet: 1, ..Batch::default() };
            merge.release(&mut out, 999, LATER, now, &mut spent);
            assert!(!out.packets.is_empty() && out.arena.len() < ARENA_SIZE + 60_000);
            assert!(out.iter().all(|packet| packet.bytes == big));
            got.extend(out.packets.iter().map(|packet| packet.at));
        }
        assert_eq!(got, (0..40).collect::<Vec<i64>>());
        assert_eq!(spent.len(), 1);
    }

    proptest! {
        /// Whichever reader a packet comes through, and however late, everything leaves once and in order.
        #[test]
        fn everything_leaves_once_and_in_order(
            packets in prop::collection::vec((0..4_usize, 1..50_i64), 0..300),
            delays in prop::collection::vec(0..500_i64, 1..20),
            most in 1..40_usize,
        ) {
            const HIDDEN: i64 = 500;
            let now = Instant::now();
            let mut merge = TimeMerge::new(4);
            let mut queues: [VecDeque<i64>; 4] = Default::default();
            let mut clock = 0;
            let mut sent = Vec::new();
            for (lane, step) in packets {
                clock += step;
                sent.push(clock);
                queues[lane].push_back(clock);
            }
            let (mut got, mut time, mut turn) = (Vec::new(), 0, 0);
            while !merge.is_over() {
                time += 37;
                let lane = turn % 4;
                let visible = time - delays[turn % delays.len()];
                turn += 1;
                let ready = queues[lane].iter().take_while(|at| **at <= visible).count();
                let bytes: Vec<i64> = queues[lane].drain(..ready).collect();
                merge.push(lane, stamps(&bytes), now);
                merge.set_watermark(lane, time - HIDDEN);
                if time - HIDDEN > clock {
                    merge.end(lane);
                }
                got.extend(release(&mut merge, most, LATER, now));
            }
            prop_assert_eq!(got, sent);
        }
    }
}
