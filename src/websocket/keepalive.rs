//! Ping and Pong: who asked, who answered, how fast, and who did not.

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

/// Keepalive of one side: the Pings it sent and what became of them, the Pongs it sent and what they answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeepaliveFacts {
    /// The last Ping of this side.
    pub last_ping: Option<Stamp>,
    /// The last Pong of this side.
    pub last_pong: Option<Stamp>,
    /// Time between successive Pings of this side.
    pub ping_intervals: Intervals,
    /// Time between successive Pongs of this side: unsolicited ones may be its keepalive.
    pub pong_intervals: Intervals,
    /// Pings of this side that were answered, or passed over by a Pong for a later one (RFC 6455 §5.5.3 allows that).
    pub answered: u64,
    /// Of these, passed over.
    pub passed_over: u64,
    /// From the Ping's packet to the Pong's, as seen at the capture point.
    pub round_trips: RoundTrips,
    /// Pongs of this side that answer nothing: legal, and used as a one-way sign of life.
    pub unsolicited_pongs: u64,
    /// Pongs of this side with a payload that belongs to no Ping while Pings waited for an answer (WSF418).
    pub mismatched_pongs: u64,
    /// Pings of this side without an answer, oldest first: at most [`UNANSWERED_KEPT`], the oldest and the newest half.
    pub unanswered: Vec<UnansweredPing>,
    /// How many more there are between those halves.
    pub unanswered_dropped: u64,
    passed: [u64; 4],
}

impl KeepaliveFacts {
    /// How many Pings of this side have no answer.
    #[must_use]
    pub fn unanswered_count(&self) -> u64 {
        self.unanswered.len() as u64 + self.unanswered_dropped
    }
}

/// Count, least, most and sum of time spans, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intervals {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min: i64,
    /// The longest.
    pub max: i64,
    /// All together.
    pub sum: i64,
}

impl Intervals {
    /// The mean, if there is one.
    #[must_use]
    pub fn mean(&self) -> Option<i64> {
        (self.count > 0).then(|| self.sum / self.count.min(i64::MAX as u64) as i64)
    }
}

/// Round trip times in nanoseconds. Least, most and count are exact; the median is exact up to [`ROUND_TRIPS_KEPT`]
/// samples and that of an even sample of them beyond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many were measured.
    pub count: u64,
    /// The shortest.
    pub min: i64,
    /// The longest.
    pub max: i64,
    sample: Vec<i64>,
    stride: u64,
}
