//! Pairs Pongs with Pings: which were answered, how fast, and which were not.

use super::Stamp;

/// How many unanswered Pings are kept one by one: the oldest half and the newest half.
pub const UNANSWERED_KEPT: usize = 16;
/// How many round trips are kept to find the median; beyond that, every second one, then every fourth, and so on.
pub const ROUND_TRIPS_KEPT: usize = 64;

/// A Ping without an answer so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnansweredPing {
    /// The packet with its last byte.
    pub stamp: Stamp,
    /// Hash of its payload, equal for equal payloads.
    pub payload_hash: u64,
    /// Payload bytes, 0 to 125.
    pub length: u8,
    /// An answer may lie in bytes that were not captured or could not be decoded.
    pub answer_may_be_hidden: bool,
}

/// Keepalive of one side: the Pings it sent with their answers, and the Pongs it sent.
///
/// In a capture of one direction only, every Ping is unanswered: check whether the other side was captured at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeepaliveFacts {
    /// The last Ping of this side.
    pub last_ping: Option<Stamp>,
    /// The last Pong of this side.
    pub last_pong: Option<Stamp>,
    /// Time between successive Pings of this side.
    pub ping_intervals: Intervals,
    /// Pings of this side that were answered, those skipped by a Pong for a later one included (RFC 6455 §5.5.3).
    pub answered: u64,
    /// From the Ping's packet to the Pong's, as seen at the capture point. Only where it is certain which Ping was
    /// meant.
    pub round_trips: RoundTrips,
    /// Pongs of this side with a payload that belongs to no Ping while Pings waited for an answer (WSF418).
    pub mismatched_pongs: u64,
    /// Pings of this side without an answer, oldest first: at most [`UNANSWERED_KEPT`], the oldest and the newest half.
    pub unanswered: Vec<UnansweredPing>,
    /// How many more there are between those halves.
    pub unanswered_dropped: u64,
    /// The payload of a Ping of this side was not seen, so no Pong can be called mismatched.
    pub(super) payload_missed: bool,
    /// Hashes of Pings answered lately, so that a second or late Pong is not called mismatched.
    past: [u64; 4],
}

impl KeepaliveFacts {
    /// How many Pings of this side have no answer.
    #[must_use]
    pub(crate) fn unanswered_count(&self) -> u64 {
        self.unanswered.len() as u64 + self.unanswered_dropped
    }

    /// Records a Ping of this side. `hidden`: the other direction is not decoded at present.
    pub(super) fn ping(&mut self, stamp: Stamp, payload: &[u8], hidden: bool) {
        self.note_ping(stamp);
        if self.unanswered.len() == UNANSWERED_KEPT {
            self.unanswered.remove(UNANSWERED_KEPT / 2);
            self.unanswered_dropped += 1;
        }
        self.unanswered.push(UnansweredPing {
            stamp,
            payload_hash: hash(payload),
            length: payload.len() as u8,
            answer_may_be_hidden: hidden,
        });
    }

    /// Records a Ping of this side without its payload: no Pong can be paired with it.
    pub(super) fn note_ping(&mut self, stamp: Stamp) {
        self.ping_intervals.record(self.last_ping, stamp);
        self.last_ping = Some(stamp);
    }

    /// Records a Pong of this side.
    pub(super) fn note_pong(&mut self, stamp: Stamp) {
        self.last_pong = Some(stamp);
    }

    /// Pairs a Pong of the other side with a Ping of this side.
    ///
    /// §5.5.3: a Pong carries the payload of the Ping it answers, and may answer the most recent Ping only. So the
    /// newest Ping with that payload is meant, and those before it will not be answered any more.
    pub(super) fn answer(&mut self, stamp: Stamp, payload: &[u8]) -> Answer {
        let hash = hash(payload);
        let matches = |ping: &UnansweredPing| ping.payload_hash == hash;
        if let Some(at) = self.unanswered.iter().rposition(matches) {
            let older_same = self.unanswered[..at].iter().any(matches) || self.unanswered_dropped > 0;
            if !older_same {
                self.round_trips.record(stamp.at.saturating_sub(self.unanswered[at].stamp.at));
            }
            let dropped = if at >= UNANSWERED_KEPT / 2 { std::mem::take(&mut self.unanswered_dropped) } else { 0 };
            self.answered += at as u64 + 1 + dropped;
            for ping in self.unanswered.drain(..=at) {
                self.past.rotate_right(1);
                self.past[0] = ping.payload_hash;
            }
            Answer::Paired
        } else if self.past.contains(&hash) {
            Answer::Again
        } else if self.unanswered.is_empty() || payload.is_empty() {
            Answer::Unsolicited
        } else {
            Answer::Mismatched
        }
    }

    /// Marks all outstanding Pings: their answers may have passed unseen.
    pub(super) fn hide_answers(&mut self) {
        for ping in &mut self.unanswered {
            ping.answer_may_be_hidden = true;
        }
    }
}

/// How a Pong was classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Paired,
    /// Answers a Ping that had been answered before.
    Again,
    Unsolicited,
    Mismatched,
}

/// FNV-1a, 64 bits, length included; never 0, which marks an empty place. Payloads are at most 125 bytes.
fn hash(payload: &[u8]) -> u64 {
    let seed = 0xcbf2_9ce4_8422_2325 ^ payload.len() as u64;
    payload.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)).max(1)
}

/// Count, minimum and maximum of time spans, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intervals {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min: i64,
    /// The longest.
    pub max: i64,
}

impl Intervals {
    fn record(&mut self, last: Option<Stamp>, now: Stamp) {
        let Some(last) = last else { return };
        let span = now.at.saturating_sub(last.at);
        self.min = if self.count == 0 { span } else { self.min.min(span) };
        self.max = if self.count == 0 { span } else { self.max.max(span) };
        self.count += 1;
    }
}

/// Round trip times in nanoseconds. Count, minimum and maximum are exact; the median is exact up to
/// [`ROUND_TRIPS_KEPT`] samples, and beyond that of an even subset of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many were measured.
    pub count: u64,
    /// The shortest.
    pub min: i64,
    /// The longest.
    pub max: i64,
    sample: Vec<i64>,
    /// Every 2^`thinning`th is kept.
    thinning: u8,
}

impl RoundTrips {
    /// Adds one.
    pub fn record(&mut self, nanoseconds: i64) {
        self.min = if self.count == 0 { nanoseconds } else { self.min.min(nanoseconds) };
        self.max = if self.count == 0 { nanoseconds } else { self.max.max(nanoseconds) };
        if self.count.trailing_zeros() >= u32::from(self.thinning) {
            if self.sample.len() == ROUND_TRIPS_KEPT {
                let mut at = 0;
                self.sample.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.thinning += 1;
            }
            if self.count.trailing_zeros() >= u32::from(self.thinning) {
                self.sample.push(nanoseconds);
            }
        }
        self.count += 1;
    }

    /// The median (the lower one of two), if there is one.
    #[must_use]
    pub(crate) fn median(&self) -> Option<i64> {
        let mut sample = self.sample.clone();
        sample.sort_unstable();
        sample.get(sample.len().saturating_sub(1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanoseconds: i64) -> Stamp {
        Stamp { packet: 1, at: nanoseconds }
    }

    #[test]
    fn a_pong_for_a_later_ping_settles_the_earlier_ones() {
        let mut pings = KeepaliveFacts::default();
        for (time, payload) in [(0, "a"), (10, "b"), (20, "c")] {
            pings.ping(at(time), payload.as_bytes(), false);
        }
        assert_eq!(pings.answer(at(25), b"b"), Answer::Paired);
        assert_eq!((pings.answered, pings.unanswered_count()), (2, 1));
        assert_eq!(pings.round_trips.median(), Some(15));
        assert_eq!(pings.answer(at(26), b"a"), Answer::Again, "late, not wrong");
        assert_eq!(pings.answer(at(27), b"x"), Answer::Mismatched);
        assert_eq!(pings.answer(at(28), b""), Answer::Unsolicited, "a bare sign of life");
        assert_eq!(pings.answer(at(30), b"c"), Answer::Paired);
        assert_eq!(pings.answer(at(31), b"y"), Answer::Unsolicited);
        assert_eq!(pings.ping_intervals, Intervals { count: 2, min: 10, max: 10 });
    }

    #[test]
    fn equal_payloads_give_no_round_trip_when_it_is_not_certain_which_was_meant() {
        let mut pings = KeepaliveFacts::default();
        pings.ping(at(0), b"", false);
        pings.ping(at(100), b"", false);
        assert_eq!(pings.answer(at(101), b""), Answer::Paired);
        assert_eq!(pings.round_trips.count, 0);
        assert_eq!(pings.answer(at(102), b""), Answer::Again);
        assert_eq!(pings.unanswered_count(), 0);
        pings.ping(at(200), b"", false);
        pings.answer(at(207), b"");
        assert_eq!((pings.round_trips.count, pings.round_trips.max), (1, 7));
    }

    #[test]
    fn unanswered_pings_are_bounded_and_keep_both_ends() {
        let mut pings = KeepaliveFacts::default();
        for time in 0..1000 {
            pings.ping(at(time), &time.to_be_bytes(), false);
        }
        assert_eq!(pings.unanswered.len(), UNANSWERED_KEPT);
        assert_eq!(pings.unanswered_count(), 1000);
        let times: Vec<i64> = pings.unanswered.iter().map(|ping| ping.stamp.at).collect();
        assert_eq!(times, [0, 1, 2, 3, 4, 5, 6, 7, 992, 993, 994, 995, 996, 997, 998, 999]);
        assert_eq!(pings.answer(at(2000), &3i64.to_be_bytes()), Answer::Paired);
        assert_eq!((pings.answered, pings.unanswered_count()), (4, 996));
        assert_eq!(pings.answer(at(2000), &999i64.to_be_bytes()), Answer::Paired);
        assert_eq!((pings.answered, pings.unanswered_count()), (1000, 0));
    }

    #[test]
    fn the_median_is_exact_for_few_and_near_for_many() {
        let mut few = RoundTrips::default();
        for value in (0..ROUND_TRIPS_KEPT as i64).rev() {
            few.record(value);
        }
        assert_eq!((few.median(), few.min, few.max), (Some(31), 0, 63));
        assert_eq!(few.thinning, 0);
        let mut many = RoundTrips::default();
        for value in 0..100_000 {
            many.record(value);
        }
        assert!(many.thinning > 0 && many.sample.len() <= ROUND_TRIPS_KEPT);
        assert!((45_000..55_000).contains(&many.median().unwrap()));
        assert_eq!((many.count, many.min, many.max), (100_000, 0, 99_999));
    }
}
