//! The packets of several readers of one interface, put in the order in which they were captured.
//!
//! Each reader has a lane. What is in a lane stays in its order; between the lanes the time stamps decide. A packet
//! leaves when no other lane can still bring an older one: a lane that holds packets is bounded by the first of them,
//! an empty one by its horizon, the time before which its reader has certainly seen everything.
//!
//! ```text
//!   lane 0   ── 17 ── 12 ── 11 ──►  ┐
//!   lane 1   ───────── (16) ─────►  ├──►  11, 12, then nothing until lane 1 brings something
//!   lane 2   ── 21 ── 19 ── 18 ──►  ┘     or its horizon, now 16, has reached 17
//! ```
//!
//! It is needed although the kernel keeps a connection with one reader, because it does not always do so. The two
//! directions of a connection part where the outer addresses are not theirs (VXLAN chooses the outer port by the
//! sender's own hash); fragments have no ports and go another way than the other packets of their connection; a full
//! buffer rolls over into another. Readers are tens of milliseconds apart in what they see, and an
//! acknowledgment that far ahead of its data would look like a loss.
//!
//! Why a cause is never put behind its effect: packets enter a lane in the order of capture, and the largest stamp in a
//! lane so far is at most the time at which the latest one entered. An answer that was caused by the captured packet is
//! stamped after that. So to order by the largest stamp so far keeps both the order in a lane and the order of cause
//! and effect between lanes.
//!
//! Nothing waits here, no clock is read and no packet is read from an interface: that is `readers`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::source::ARENA_SIZE;
use crate::packet::{Batch, PacketRef};

/// A packet waits for other lanes at most so long. Beyond that the clock was set, and stamps and horizons do not compare.
pub(super) const STALE: Duration = Duration::from_secs(1);

/// A stamp that is so much before another of its lane, in nanoseconds, tells that the clock was set.
const CLOCK_SET: i64 = 1_000_000_000;

/// One reader's packets.
#[derive(Debug)]
struct Lane {
    /// With the time at which each was brought.
    batches: VecDeque<(Batch, Instant)>,
    /// Next packet of the front batch.
    next: usize,
    /// Largest stamp so far, that of the next packet included if there is one.
    key: i64,
    horizon: i64,
    ended: bool,
}

/// Where a packet stamped `at` stands behind one that stands at `before`.
fn key(before: i64, at: i64) -> i64 {
    if at < before.saturating_sub(CLOCK_SET) { at } else { at.max(before) }
}

impl Lane {
    fn new() -> Self {
        Self { batches: VecDeque::new(), next: 0, key: i64::MIN, horizon: i64::MIN, ended: false }
    }

    /// No packet that comes from here stands before this.
    fn bound(&self) -> i64 {
        match (self.batches.is_empty(), self.ended) {
            (false, _) => self.key,
            (true, true) => i64::MAX,
            (true, false) => self.horizon.max(self.key),
        }
    }

    /// The front batch has a next packet, or there is none.
    fn settle(&mut self) {
        if let Some((front, _)) = self.batches.front() {
            self.key = key(self.key, front.packets[self.next].at);
        }
    }
}

/// The lanes of all readers.
#[derive(Debug)]
pub(super) struct Lanes(Vec<Lane>);

impl Lanes {
    pub(super) fn new(readers: usize) -> Self {
        Self((0..readers).map(|_| Lane::new()).collect())
    }

    /// Takes what a reader brought at `brought`. The packets lie in the arena one behind the other. Gives back a batch
    /// that is of no use.
    pub(super) fn bring(&mut self, lane: usize, batch: Batch, brought: Instant) -> Option<Batch> {
        let lane = &mut self.0[lane];
        if batch.packets.is_empty() || lane.ended {
            return Some(batch);
        }
        lane.batches.push_back((batch, brought));
        if lane.batches.len() == 1 {
            lane.settle();
        }
        None
    }

    /// Everything stamped before `horizon` was brought by this reader.
    pub(super) fn reach(&mut self, lane: usize, horizon: i64) {
        self.0[lane].horizon = horizon;
    }

    /// This reader brings no more.
    pub(super) fn end(&mut self, lane: usize) {
        self.0[lane].ended = true;
    }

    /// Whether nothing is left and nothing comes.
    pub(super) fn is_over(&self) -> bool {
        self.0.iter().all(|lane| lane.ended && lane.batches.is_empty())
    }

    /// Everything stamped before this was released; `None` when no packets are to come.
    pub(super) fn reached(&self) -> Option<i64> {
        self.0.iter().map(Lane::bound).min().filter(|bound| *bound != i64::MAX)
    }

    /// Moves what is due to the end of `out`, at most until that has `most` packets or a full arena. What stands behind
    /// `cut` is not part of the capture. Batches that are used up go to `spent`, each with its lane.
    pub(super) fn release(
        &mut self,
        out: &mut Batch,
        most: usize,
        cut: i64,
        now: Instant,
        spent: &mut Vec<(usize, Batch)>,
    ) {
        while out.packets.len() < most && out.arena.len() < ARENA_SIZE {
            let first = self.0.iter().enumerate().filter(|(_, lane)| !lane.batches.is_empty());
            let Some((index, lane)) = first.min_by_key(|(_, lane)| lane.key) else { return };
            if lane.key > cut {
                let lane = &mut self.0[index];
                spent.extend(lane.batches.drain(..).map(|(batch, _)| (index, batch)));
                (lane.next, lane.ended) = (0, true);
                continue;
            }
            let stale =
                lane.batches.front().is_some_and(|(_, brought)| now.saturating_duration_since(*brought) > STALE);
            let others = self.0.iter().enumerate().filter(|(other, _)| *other != index);
            let due = others
                .filter(|(_, other)| !stale || !other.batches.is_empty())
                .map(|(_, other)| other.bound())
                .min()
                .map_or(cut, |bound| bound.min(cut));
            if lane.key > due {
                return;
            }
            let lane = &mut self.0[index];
            lane.take_run(out, most, due);
            if let Some(batch) = lane.take_spent() {
                spent.push((index, batch));
            }
        }
    }
}

impl Lane {
    /// Copies packets of the front batch, the next one in any case, as long as they stand at `due` or before.
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

    /// Removes the front batch if it is used up, and looks at the next packet.
    fn take_spent(&mut self) -> Option<Batch> {
        let used = self.batches.front().is_some_and(|(front, _)| self.next == front.packets.len());
        let spent = if used {
            self.next = 0;
            self.batches.pop_front().map(|(batch, _)| batch)
        } else {
            None
        };
        self.settle();
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
    fn release(lanes: &mut Lanes, most: usize, cut: i64, now: Instant) -> Vec<i64> {
        let mut out = Batch { first_packet: 1, ..Batch::default() };
        lanes.release(&mut out, most, cut, now, &mut Vec::new());
        out.iter().for_each(|packet| assert_eq!(packet.bytes, packet.stamp.at.to_be_bytes()));
        out.iter().map(|packet| packet.stamp.at).collect()
    }

    #[test]
    fn an_empty_lane_holds_the_others_back_until_its_horizon_passes() {
        let now = Instant::now();
        let mut lanes = Lanes::new(3);
        lanes.bring(0, stamps(&[11, 12, 17]), now);
        lanes.bring(2, stamps(&[18, 19, 21]), now);
        assert_eq!((release(&mut lanes, 99, LATER, now), lanes.reached()), (vec![], Some(i64::MIN)));
        lanes.reach(1, 16);
        assert_eq!(release(&mut lanes, 99, LATER, now), [11, 12]);
        assert_eq!(lanes.reached(), Some(16));
        lanes.bring(1, stamps(&[17, 18]), now);
        lanes.reach(0, 17);
        assert_eq!(release(&mut lanes, 99, LATER, now), [17, 17]);
        for lane in 0..3 {
            lanes.end(lane);
        }
        assert!(!lanes.is_over());
        assert_eq!(release(&mut lanes, 99, LATER, now), [18, 18, 19, 21]);
        assert!(lanes.is_over());
        assert_eq!(lanes.reached(), None);
    }

    #[test]
    fn the_order_in_a_lane_stays_and_moves_others() {
        let now = Instant::now();
        let mut lanes = Lanes::new(2);
        // Two processors stamped 100 and 99 and entered the lane the other way round; 101 answers the 99.
        lanes.bring(0, stamps(&[100, 99]), now);
        lanes.bring(1, stamps(&[98, 101]), now);
        lanes.end(0);
        lanes.end(1);
        assert_eq!(release(&mut lanes, 99, LATER, now), [98, 100, 99, 101]);
    }

    #[test]
    fn a_count_and_the_end_of_the_capture_cut() {
        let now = Instant::now();
        let mut lanes = Lanes::new(2);
        lanes.bring(0, stamps(&[1, 3, 5, 7]), now);
        lanes.bring(1, stamps(&[2, 4, 6]), now);
        assert_eq!(release(&mut lanes, 3, LATER, now), [1, 2, 3]);
        assert_eq!(release(&mut lanes, 99, 5, now), [4, 5]);
        assert!(lanes.is_over());

        // What comes late, but was captured before the end, belongs to it.
        let mut lanes = Lanes::new(2);
        lanes.bring(0, stamps(&[4, 9]), now);
        assert_eq!(release(&mut lanes, 99, 5, now), [0; 0]);
        lanes.bring(1, stamps(&[3, 5, 8]), now);
        assert_eq!(release(&mut lanes, 99, 5, now), [3, 4, 5]);
        assert!(lanes.bring(0, stamps(&[10]), now).is_some());
        assert!(lanes.is_over());
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let start = Instant::now();
        let mut lanes = Lanes::new(2);
        let hour = 3_600_000_000_000;
        lanes.bring(0, stamps(&[hour, hour + 1, 10, 20]), start);
        lanes.reach(1, 5);
        assert_eq!(release(&mut lanes, 99, LATER, start), [0; 0]);
        assert_eq!(release(&mut lanes, 99, LATER, start + 2 * STALE), [hour, hour + 1, 10, 20]);
        lanes.bring(0, stamps(&[30]), start + 3 * STALE);
        lanes.bring(1, stamps(&[25, 31]), start + 3 * STALE);
        lanes.reach(0, 30);
        assert_eq!(release(&mut lanes, 99, LATER, start + 3 * STALE), [25, 30]);
    }

    #[test]
    fn a_full_arena_is_no_loss() {
        let now = Instant::now();
        let mut lanes = Lanes::new(2);
        let big = vec![7; 60_000];
        let packets: Vec<(i64, &[u8])> = (0..40).map(|at| (at, &big[..])).collect();
        lanes.bring(0, batch(&packets), now);
        lanes.end(0);
        lanes.end(1);
        let mut spent = Vec::new();
        let mut got = Vec::new();
        while !lanes.is_over() {
            let mut out = Batch { first_packet: 1, ..Batch::default() };
            lanes.release(&mut out, 999, LATER, now, &mut spent);
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
            let mut lanes = Lanes::new(4);
            let mut queues: [VecDeque<i64>; 4] = Default::default();
            let mut clock = 0;
            let mut sent = Vec::new();
            for (lane, step) in packets {
                clock += step;
                sent.push(clock);
                queues[lane].push_back(clock);
            }
            let (mut got, mut time, mut turn) = (Vec::new(), 0, 0);
            while !lanes.is_over() {
                time += 37;
                let lane = turn % 4;
                let visible = time - delays[turn % delays.len()];
                turn += 1;
                let ready = queues[lane].iter().take_while(|at| **at <= visible).count();
                let bytes: Vec<i64> = queues[lane].drain(..ready).collect();
                lanes.bring(lane, stamps(&bytes), now);
                lanes.reach(lane, time - HIDDEN);
                if time - HIDDEN > clock {
                    lanes.end(lane);
                }
                got.extend(release(&mut lanes, most, LATER, now));
            }
            prop_assert_eq!(got, sent);
        }
    }
}
