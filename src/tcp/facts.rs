//! The facts that the segments of one connection prove, each with its packet. No opinion is formed here.

use super::half::Tally;
use crate::packet::{Endpoint, IcmpError, MaybeStamp, Stamp};
use crate::stream::{Direction, Side};

/// How the connection came into view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// SYN and SYN-ACK were seen, or what the client sends shows that it got one (RFC 9293 §3.5).
    Handshake,
    /// A SYN was answered by RST.
    Refused,
    /// One or more SYNs, never answered.
    Unanswered,
    /// The capture started after the SYN.
    MidStream,
}

/// The first segment that ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// FIN first.
    Fin,
    /// RST first.
    Rst,
    /// Neither was seen.
    None,
}

/// An RST, with the evidence for or against its claimed sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The packet.
    pub stamp: Stamp,
    /// TTL or hop limit of the RST.
    pub ttl: u8,
    /// Difference to the nearest TTL seen on that side's other packets; 0 when there were none.
    pub ttl_distance: u8,
    /// Whether its sequence number was one that the receiver would accept (RFC 9293 §3.10.7.4, RFC 5961 §3.2).
    pub in_window: bool,
}

impl Reset {
    /// Whether TTL or sequence number indicate that a third party sent it.
    #[must_use]
    pub(crate) fn looks_forged(&self) -> bool {
        self.ttl_distance > 1 || !self.in_window
    }
}

/// The packets that show that bytes are missing from the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hole {
    /// The first packet of the same sender behind it.
    pub behind: Option<Stamp>,
    /// Packets of the other side that acknowledged what it holds: before the sender was seen behind it, and since then.
    pub acknowledged: [Option<Stamp>; 2],
}

impl Hole {
    /// All of them.
    pub(crate) fn stamps(&self) -> impl Iterator<Item = Stamp> {
        self.acknowledged.into_iter().chain([self.behind]).flatten()
    }
}

/// A retransmission run that was never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unacknowledged {
    /// The packet that first carried the oldest unacknowledged byte.
    pub sent: Stamp,
    /// First retransmission of it.
    pub first_retransmission: Stamp,
    /// Last retransmission of it.
    pub last_retransmission: Stamp,
    /// How often the same bytes were sent again.
    pub retransmissions: u32,
}

/// Time spent advertising a zero receive window: the application did not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZeroWindow {
    /// How many times the window closed.
    pub times: u32,
    /// Where the longest stall began.
    pub longest_from: Stamp,
    /// Where the longest stall ended, or the last packet when it did not.
    pub longest_until: Stamp,
    /// Longest stall in nanoseconds.
    pub longest_ns: i64,
    /// Where the window closed and has not opened since.
    pub closed_since: Option<Stamp>,
}

impl ZeroWindow {
    pub(super) fn close(&mut self, stamp: Stamp) {
        if self.closed_since.is_none() {
            self.closed_since = Some(stamp);
            self.times += 1;
        }
    }

    pub(super) fn open(&mut self, stamp: Stamp) {
        self.end(stamp);
        self.closed_since = None;
    }

    /// A stall lasted until now, at least.
    pub(super) fn end(&mut self, stamp: Stamp) {
        if let Some(from) = self.closed_since
            && stamp.at - from.at > self.longest_ns
        {
            self.longest_ns = stamp.at - from.at;
            self.longest_from = from;
            self.longest_until = stamp;
        }
    }
}

/// What one side sent, apart from [`Unusual`] events. Nearly every segment changes the first cache line of it, hardly
/// any the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SideFacts {
    /// Segments, of any kind.
    pub packets: u64,
    /// Payload bytes on the wire, each counted once.
    pub bytes: u64,
    /// Largest payload in one captured segment.
    pub largest_segment: u32,
    /// Maximum segment size this side announced; 0 when unknown.
    pub mss: u16,
    /// Smallest TTL of this side's packets other than RST.
    pub ttl_min: u8,
    /// Largest TTL of this side's packets other than RST.
    pub ttl_max: u8,
    unusual: Option<Box<Unusual>>,
    pub(super) last: MaybeStamp,
    pub(super) last_payload: MaybeStamp,
    pub(super) last_ack: MaybeStamp,
    pub(super) unacknowledged_since: MaybeStamp,
    pub(super) first: MaybeStamp,
    pub(super) first_payload: MaybeStamp,
    pub(super) syn: MaybeStamp,
    pub(super) fin: MaybeStamp,
}

/// Rare events, kept apart to keep [`SideFacts`] small: trouble of the network and of the capture, and reactions to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusual {
    /// Segments that carried bytes sent before.
    pub retransmissions: u32,
    /// Segments that arrived after later ones.
    pub out_of_order: u32,
    /// Bytes that the other side acknowledged but the capture does not hold.
    pub lost_bytes: u64,
    /// Bytes that a later FIN, RST or ACK of this side skips, which nobody acknowledged and the capture does not hold.
    pub skipped_bytes: u64,
    /// Holes those bytes make.
    pub gaps: u32,
    /// First of those holes: the packet that revealed it.
    pub first_gap: Option<Stamp>,
    /// The packets around it.
    pub first_hole: Hole,
    /// Bytes cut by the snap length.
    pub cut_bytes: u64,
    /// First packet cut by the snap length.
    pub first_cut: Option<Stamp>,
    /// Bytes given up because a buffer bound was reached.
    pub dropped_bytes: u64,
    /// Bytes behind a hole that the network never repaired; the receiving program never saw them.
    pub undelivered_bytes: u64,
    /// Segments whose bytes differ from those sent before at the same offset.
    pub conflicting_overlaps: u32,
    /// Keep-alive probes (RFC 9293 §3.8.4).
    pub keep_alives: u32,
    /// SYNs sent again.
    pub syn_retransmissions: u32,
    /// Last SYN that was sent again.
    pub last_syn_again: Option<Stamp>,
    /// First RST that ended the connection (a plausible one where there is any).
    pub reset: Option<Reset>,
    /// One sequence number more was sent than was captured: a FIN that was not captured, and the packet that shows it.
    pub fin_unseen: Option<Stamp>,
    /// Retransmissions that got no answer until the end.
    pub unacknowledged: Option<Unacknowledged>,
    /// Receive-window stalls that this side caused.
    pub zero_window: ZeroWindow,
}

impl Unusual {
    const NONE: Unusual = Unusual {
        retransmissions: 0,
        out_of_order: 0,
        lost_bytes: 0,
        skipped_bytes: 0,
        gaps: 0,
        first_gap: None,
        first_hole: Hole { behind: None, acknowledged: [None; 2] },
        cut_bytes: 0,
        first_cut: None,
        dropped_bytes: 0,
        undelivered_bytes: 0,
        conflicting_overlaps: 0,
        keep_alives: 0,
        syn_retransmissions: 0,
        last_syn_again: None,
        reset: None,
        fin_unseen: None,
        unacknowledged: None,
        zero_window: ZeroWindow {
            times: 0,
            longest_from: Stamp { packet: 0, at: 0 },
            longest_until: Stamp { packet: 0, at: 0 },
            longest_ns: 0,
            closed_since: None,
        },
    };
}

impl Unusual {
    pub(super) fn count(&mut self, stamp: Stamp, tally: &Tally) {
        if tally.cut_bytes > 0 {
            self.cut_bytes += tally.cut_bytes;
            self.first_cut.get_or_insert(stamp);
        }
        if tally.gaps > 0 {
            self.gaps += tally.gaps;
            self.lost_bytes += tally.lost_bytes;
            self.skipped_bytes += tally.skipped_bytes;
            self.dropped_bytes += tally.dropped_bytes;
            if self.first_gap.is_none() {
                self.first_hole = tally.hole.unwrap_or_default();
                self.first_gap = Some(self.first_hole.stamps().min().unwrap_or(stamp));
            }
        }
        self.undelivered_bytes += tally.undelivered_bytes;
        if tally.conflict {
            self.conflicting_overlaps += 1;
        }
    }
}

impl SideFacts {
    /// Rare events of this side; all zero and `None` when there were none.
    #[must_use]
    #[inline]
    pub fn unusual(&self) -> &Unusual {
        const USUAL: &Unusual = &Unusual::NONE;
        self.unusual.as_deref().unwrap_or(USUAL)
    }

    /// Whether there were none.
    #[cfg(test)]
    pub(super) fn is_usual(&self) -> bool {
        self.unusual.is_none()
    }

    /// Rare events to update, if there were any.
    #[inline]
    pub(super) fn known_unusual(&mut self) -> Option<&mut Unusual> {
        self.unusual.as_deref_mut()
    }

    /// Rare events to add one to.
    #[cold]
    pub(super) fn unusual_mut(&mut self) -> &mut Unusual {
        self.unusual.get_or_insert_with(|| Box::new(Unusual::NONE))
    }

    /// First packet of this side.
    #[must_use]
    pub fn first(&self) -> Option<Stamp> {
        self.first.get()
    }

    /// Last packet of this side.
    #[must_use]
    pub fn last(&self) -> Option<Stamp> {
        self.last.get()
    }

    /// First new payload byte.
    #[must_use]
    pub(crate) fn first_payload(&self) -> Option<Stamp> {
        self.first_payload.get()
    }

    /// Last new payload byte.
    #[must_use]
    pub(crate) fn last_payload(&self) -> Option<Stamp> {
        self.last_payload.get()
    }

    /// Last packet whose ACK moved forward: proof that this side's kernel was alive and reachable.
    #[must_use]
    pub(crate) fn last_ack(&self) -> Option<Stamp> {
        self.last_ack.get()
    }

    /// The packet that carried the oldest byte not acknowledged at the end; `None` when all was.
    #[must_use]
    pub(crate) fn unacknowledged_since(&self) -> Option<Stamp> {
        self.unacknowledged_since.get()
    }

    /// First SYN.
    #[must_use]
    pub(crate) fn syn(&self) -> Option<Stamp> {
        self.syn.get()
    }

    /// Last SYN.
    #[must_use]
    pub(crate) fn last_syn(&self) -> Option<Stamp> {
        self.unusual().last_syn_again.or(self.syn())
    }

    /// First FIN.
    #[must_use]
    pub fn fin(&self) -> Option<Stamp> {
        self.fin.get()
    }

    /// First RST that ended the connection (a plausible one where there is any).
    #[must_use]
    pub fn reset(&self) -> Option<Reset> {
        self.unusual().reset
    }

    /// Moves the facts out.
    fn take(&mut self) -> Self {
        Self { unusual: self.unusual.take(), ..*self }
    }
}

/// The facts about one TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpFacts {
    /// The end that opened the connection.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// How it came into view.
    pub opening: Opening,
    /// First packet.
    pub first: Stamp,
    /// Last packet.
    pub last: Stamp,
    pub(super) syn_ack: MaybeStamp,
    pub(super) established: MaybeStamp,
    /// Sender of the first FIN or accepted RST.
    pub first_closer: Option<Side>,
    /// Which of the two it was.
    pub closing: Closing,
    pub(super) closed_at: MaybeStamp,
    /// First sequence numbers of client and server, where known.
    pub initial_sequence: [Option<u32>; 2],
    /// An ICMP error about this connection.
    pub icmp: Option<Box<IcmpError>>,
    sides: [SideFacts; 2],
}

impl TcpFacts {
    pub(super) fn new(client: Endpoint, server: Endpoint, opening: Opening, first: Stamp) -> Self {
        Self {
            client,
            server,
            opening,
            first,
            last: first,
            syn_ack: MaybeStamp::default(),
            established: MaybeStamp::default(),
            first_closer: None,
            closing: Closing::None,
            closed_at: MaybeStamp::default(),
            initial_sequence: [None; 2],
            icmp: None,
            sides: Default::default(),
        }
    }

    /// Moves them out.
    #[inline]
    pub(super) fn take(&mut self) -> Self {
        let [client, server] = &mut self.sides;
        Self { icmp: self.icmp.take(), sides: [client.take(), server.take()], ..*self }
    }

    /// First ACK by the client after the SYN-ACK.
    #[must_use]
    pub(crate) fn established(&self) -> Option<Stamp> {
        self.established.get()
    }

    /// The packet with the first FIN or accepted RST.
    #[must_use]
    pub(crate) fn closed_at(&self) -> Option<Stamp> {
        self.closed_at.get()
    }

    /// What `side` sent.
    #[must_use]
    pub fn side(&self, side: Side) -> &SideFacts {
        &self.sides[side.sends().index()]
    }

    pub(super) fn sender(&mut self, direction: Direction) -> &mut SideFacts {
        &mut self.sides[direction.index()]
    }

    pub(super) fn swap_sides(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
        self.sides.swap(0, 1);
        self.initial_sequence.swap(0, 1);
        self.first_closer = self.first_closer.map(Side::other);
    }

    /// Time from SYN to the client's first ACK in nanoseconds (Wireshark's initial RTT).
    #[must_use]
    pub(crate) fn initial_rtt_ns(&self) -> Option<i64> {
        let syn = self.side(Side::Client).last_syn()?;
        Some(self.established()?.at - syn.at).filter(|rtt| *rtt >= 0)
    }

    /// Bounds that were reached and evidence that was lost, on both sides: name and count, none of them 0.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let sum = |count: fn(&Unusual) -> u64| self.sides.iter().map(|side| count(side.unusual())).sum();
        [
            ("tcp.dropped_bytes", sum(|side| side.dropped_bytes)),
            ("tcp.undelivered_bytes", sum(|side| side.undelivered_bytes)),
            ("tcp.conflicting_segments", sum(|side| u64::from(side.conflicting_overlaps))),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    /// Whether only one of the two sides was captured.
    #[must_use]
    pub(crate) fn one_way(&self) -> bool {
        self.side(Side::Client).packets == 0 || self.side(Side::Server).packets == 0
    }

    /// Last new payload byte of either side.
    #[must_use]
    pub(crate) fn last_payload(&self) -> Option<Stamp> {
        self.side(Side::Client).last_payload().max(self.side(Side::Server).last_payload())
    }
}
