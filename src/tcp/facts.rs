//! What the segments of one connection prove, with the packets that prove it. No opinion is formed here.

use crate::packet::{Endpoint, IcmpError, Stamp};
use crate::stream::{Direction, Side};

/// How the connection came into view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// SYN and SYN-ACK were seen (RFC 9293 §3.5).
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

/// An RST, with what speaks for or against its sender being who it claims to be.
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
    /// Whether it carried an acknowledgment.
    pub with_ack: bool,
}

impl Reset {
    /// Whether TTL or sequence number say that somebody else sent it.
    #[must_use]
    pub fn looks_forged(&self) -> bool {
        self.ttl_distance > 1 || !self.in_window
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
    /// Longest stall in nanoseconds.
    pub longest_ns: i64,
    /// Where the window closed and has not opened since.
    pub closed_since: Option<Stamp>,
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideFacts {
    /// Segments, of any kind.
    pub packets: u64,
    /// Payload bytes on the wire, each counted once.
    pub bytes: u64,
    /// Segments that carried bytes sent before.
    pub retransmissions: u32,
    /// Segments that arrived after later ones.
    pub out_of_order: u32,
    /// Bytes that the other side acknowledged but the capture does not hold.
    pub lost_bytes: u64,
    /// Holes those bytes make.
    pub gaps: u32,
    /// First of those holes: the packet that revealed it.
    pub first_gap: Option<Stamp>,
    /// Bytes cut by the snap length.
    pub cut_bytes: u64,
    /// First packet cut by the snap length.
    pub first_cut: Option<Stamp>,
    /// Bytes given up because a buffer bound was reached.
    pub dropped_bytes: u64,
    /// Bytes that arrived after a hole the network never repaired; the receiver's program never saw them.
    pub undelivered_bytes: u64,
    /// Segments whose bytes differ from those sent before at the same place.
    pub conflicting_overlaps: u32,
    /// First of them.
    pub first_conflict: Option<Stamp>,
    /// Keep-alive probes (RFC 9293 §3.8.4).
    pub keep_alives: u32,
    /// First SYN.
    pub syn: Option<Stamp>,
    /// SYNs sent again.
    pub syn_retransmissions: u32,
    /// Last SYN.
    pub last_syn: Option<Stamp>,
    /// First FIN.
    pub fin: Option<Stamp>,
    /// First RST that ended the connection (a plausible one where there is any).
    pub reset: Option<Reset>,
    /// The other side acknowledged one sequence number more than was captured: a FIN that the capture missed.
    pub fin_unseen: bool,
    /// First packet of this side.
    pub first: Option<Stamp>,
    /// Last packet of this side.
    pub last: Option<Stamp>,
    /// First new payload byte.
    pub first_payload: Option<Stamp>,
    /// Last new payload byte.
    pub last_payload: Option<Stamp>,
    /// Last packet whose ACK moved forward: proof that this side's kernel was alive and reached.
    pub last_ack: Option<Stamp>,
    /// The packet that carried the oldest byte not acknowledged at the end; `None` when all was.
    pub unacknowledged_since: Option<Stamp>,
    /// Retransmissions that got no answer until the end.
    pub unacknowledged: Option<Unacknowledged>,
    /// Receive-window stalls that this side caused.
    pub zero_window: ZeroWindow,
    /// Smallest TTL of this side's packets other than RST.
    pub ttl_min: u8,
    /// Largest TTL of this side's packets other than RST.
    pub ttl_max: u8,
    /// Maximum segment size this side announced; 0 when unknown.
    pub mss: u16,
    /// Largest payload in one captured segment.
    pub largest_segment: u32,
}

/// What TCP proves about one connection.
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
    /// SYN-ACK.
    pub syn_ack: Option<Stamp>,
    /// First ACK by the client after the SYN-ACK.
    pub established: Option<Stamp>,
    /// Who sent the first FIN or accepted RST.
    pub first_closer: Option<Side>,
    /// What it was.
    pub closing: Closing,
    /// The packet it was.
    pub closed_at: Option<Stamp>,
    /// First sequence numbers of client and server, where known.
    pub initial_sequence: [Option<u32>; 2],
    /// An ICMP error about this connection.
    pub icmp: Option<IcmpError>,
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
            syn_ack: None,
            established: None,
            first_closer: None,
            closing: Closing::None,
            closed_at: None,
            initial_sequence: [None; 2],
            icmp: None,
            sides: [SideFacts::default(); 2],
        }
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
        self.first_closer = self.first_closer.map(Side::other);
    }

    /// Time from SYN to the client's first ACK in nanoseconds (Wireshark's initial RTT).
    #[must_use]
    pub fn initial_rtt_ns(&self) -> Option<i64> {
        let syn = self.side(Side::Client).last_syn?;
        Some(self.established?.at - syn.at).filter(|rtt| *rtt >= 0)
    }

    /// Whether only one of the two sides was captured.
    #[must_use]
    pub fn one_way(&self) -> bool {
        self.side(Side::Client).packets == 0 || self.side(Side::Server).packets == 0
    }

    /// Last new payload byte of either side.
    #[must_use]
    pub fn last_payload(&self) -> Option<Stamp> {
        self.side(Side::Client).last_payload.max(self.side(Side::Server).last_payload)
    }
}
