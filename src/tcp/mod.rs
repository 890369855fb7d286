//! One connection's segments: bytes in order for the layers above, and facts about how it lived and ended.
//!
//! Follows RFC 9293 as an observer: it answers nothing and rejects nothing, and a peer's error is a fact. Never guesses
//! a payload byte, never delivers bytes that the receiver cannot have received, and never reads the payload beyond the
//! few bytes needed to notice a contradictory retransmission.

#![forbid(unsafe_code)]

mod facts;
mod half;
mod key;
#[cfg(test)]
mod tests;

pub use facts::{Closing, Hole, Opening, Reset, SideFacts, TcpFacts, Unacknowledged, Unusual, ZeroWindow};
pub use half::{ONE_WAY_TIME, OUT_OF_ORDER_TIME, PENDING_BYTES, PENDING_PIECES, REORDER_PACKETS, REORDER_TIME};
pub use key::FlowKey;

use half::{Accepted, Flushed, Half, Outlet, Tally};

use crate::packet::{Endpoint, IcmpError, Segment, Stamp, TcpFlags};
use crate::stream::{Direction, End, Side, StreamEvent};

/// Slack, in bytes, around the window in which an RST is taken for genuine.
const RESET_SLACK: i64 = 1 << 20;

/// The state of one TCP connection.
#[derive(Debug)]
pub struct Connection {
    facts: TcpFacts,
    halves: [Half; 2],
    /// Where data was last sent, by direction.
    last_sent: [Stamp; 2],
    reset: bool,
    finished: bool,
}

impl Connection {
    /// Starts tracking a connection at its first captured segment. Pass the same segment to [`Self::segment`].
    #[must_use]
    pub fn new(segment: &Segment<'_>) -> Self {
        let syn = segment.flags.has(TcpFlags::SYN);
        let from_server = if syn {
            segment.flags.has(TcpFlags::ACK)
        } else {
            // A guess until data shows the roles: servers mostly have the lower port.
            segment.source.port < segment.destination.port
        };
        let (client, server) =
            if from_server { (segment.destination, segment.source) } else { (segment.source, segment.destination) };
        let opening = if syn { Opening::Unanswered } else { Opening::MidStream };
        Self {
            facts: TcpFacts::new(client, server, opening, segment.stamp),
            halves: [Half::default(), Half::default()],
            last_sent: [segment.stamp; 2],
            reset: false,
            finished: false,
        }
    }

    /// The facts gathered so far.
    #[must_use]
    pub fn facts(&self) -> &TcpFacts {
        &self.facts
    }

    /// Records an ICMP error about this connection; the first one counts.
    pub(crate) fn note_icmp(&mut self, error: IcmpError) {
        self.facts.icmp.get_or_insert_with(|| Box::new(error));
    }

    /// Takes the facts at the end.
    #[must_use]
    #[inline]
    pub(crate) fn take_facts(&mut self) -> TcpFacts {
        self.facts.take()
    }

    /// Reads the memory that the next segment will need, so that it is in the cache then. The value means nothing.
    #[must_use]
    pub(crate) fn prefetch(&self) -> u64 {
        let [to_server, to_client] = &self.halves;
        let facts = &self.facts;
        to_server.prefetch()
            ^ to_client.prefetch()
            ^ facts.side(Side::Client).packets
            ^ facts.side(Side::Server).packets
            ^ facts.last.packet
            ^ u64::from(facts.client.port)
    }

    /// The direction of a segment of this connection, by its sender.
    #[must_use]
    pub fn direction(&self, source: Endpoint) -> Direction {
        if source == self.facts.client { Direction::ToServer } else { Direction::ToClient }
    }

    /// Exchanges client and server, which were guessed the wrong way round. Only for connections picked up mid-stream,
    /// before any layer has been fed.
    pub(crate) fn swap_roles(&mut self) {
        self.facts.swap_sides();
        self.halves.swap(0, 1);
        self.last_sent.swap(0, 1);
    }

    /// First sequence number of a direction, as Wireshark counts: the SYN's, or one before the first seen.
    fn base(&self, direction: Direction) -> Option<u32> {
        self.facts.initial_sequence[direction.index()]
    }

    /// Sets the first sequence number of a direction, once.
    #[inline]
    fn start(&mut self, direction: Direction, base: u32, first: u32) {
        let known = &mut self.facts.initial_sequence[direction.index()];
        if known.is_none() {
            *known = Some(base);
            self.halves[direction.index()].start(first);
        }
    }

    /// First sequence number of each end where known, the lower endpoint's first.
    #[must_use]
    pub(crate) fn bases(&self) -> [Option<u32>; 2] {
        let [client, server] = self.facts.initial_sequence;
        if self.facts.client < self.facts.server { [client, server] } else { [server, client] }
    }

    /// Whether `segment` opens a new connection between the same endpoints, as Wireshark counts
    /// `tcp.stream`: a SYN whose sequence number differs from the known one, or any SYN after FIN or RST.
    #[must_use]
    pub(crate) fn is_reopened_by(&self, segment: &Segment<'_>) -> bool {
        if !segment.flags.has(TcpFlags::SYN) || segment.flags.has(TcpFlags::ACK) {
            return false;
        }
        let over = [Side::Client, Side::Server]
            .map(|side| self.facts.side(side))
            .iter()
            .any(|side| side.fin.is_some() || side.reset().is_some());
        self.base(self.direction(segment.source)).is_some_and(|base| over || base != segment.sequence)
    }

    /// Whether both directions have ended.
    #[must_use]
    pub(crate) fn is_over(&self) -> bool {
        self.reset || self.halves.iter().all(Half::ended)
    }

    /// Takes one segment; `emit` is called with the resulting events of both directions' streams, in stream order.
    #[inline]
    pub fn segment(&mut self, segment: &Segment<'_>, emit: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>)) {
        let (stamp, flags) = (segment.stamp, segment.flags);
        let direction = self.direction(segment.source);
        self.facts.last = stamp;
        let side = self.facts.sender(direction);
        if side.packets == 0 {
            side.first = stamp.into();
        }
        side.packets += 1;
        side.last = stamp.into();
        if flags.has(TcpFlags::RST) {
            self.rst(direction, segment, emit);
            return;
        }
        if side.ttl_max == 0 || segment.ttl < side.ttl_min || segment.ttl > side.ttl_max {
            side.ttl_min = if side.ttl_max == 0 { segment.ttl } else { side.ttl_min.min(segment.ttl) };
            side.ttl_max = side.ttl_max.max(segment.ttl);
        }
        if flags.has(TcpFlags::SYN) {
            self.syn(direction, segment);
        }
        if flags.has(TcpFlags::ACK) {
            self.acknowledge(direction, segment);
        }
        let first = segment.sequence.wrapping_add(u32::from(flags.has(TcpFlags::SYN)));
        self.start(direction, segment.sequence.wrapping_sub(1), first);
        let half = &self.halves[direction.index()];
        if segment.payload_len > 0 {
            self.payload(direction, segment, first, emit);
        } else if first == half.next_sequence().wrapping_sub(1)
            && flags.0 & (TcpFlags::SYN | TcpFlags::FIN) == 0
            && !half.ended()
        {
            self.facts.sender(direction).unusual_mut().keep_alives += 1;
        } else {
            self.halves[direction.index()].stands_at(first, stamp);
        }
        if flags.has(TcpFlags::FIN) {
            self.fin(direction, segment, first);
        }
        if self.halves[0].is_waiting() || self.halves[1].is_waiting() {
            self.give_up_holes(stamp, emit);
        }
        let half = &mut self.halves[direction.index()];
        if half.reached_fin() {
            half.end();
            emit(stamp, direction, StreamEvent::End(End::Fin));
        }
    }

    #[inline]
    fn payload(
        &mut self,
        direction: Direction,
        segment: &Segment<'_>,
        first: u32,
        emit: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let stamp = segment.stamp;
        let half = &mut self.halves[direction.index()];
        let side = self.facts.sender(direction);
        let idle = !half.in_flight();
        let mut tally = Tally::default();
        let accepted = if half.ended() {
            Accepted::Duplicate
        } else if let Some(offset) = half.advance_in_order(first, segment.payload, segment.payload_len) {
            tally.new_bytes = u64::from(segment.payload_len);
            emit(stamp, direction, StreamEvent::Data { offset, bytes: segment.payload });
            Accepted::InOrder
        } else {
            half.accept(
                stamp,
                first,
                segment.payload,
                segment.payload_len,
                &mut Outlet { direction, tally: &mut tally, emit },
            )
        };
        match accepted {
            Accepted::InOrder | Accepted::Early => {}
            Accepted::OutOfOrder => side.unusual_mut().out_of_order += 1,
            Accepted::FillsHole => side.unusual_mut().retransmissions += 1,
            Accepted::KeepAlive => side.unusual_mut().keep_alives += 1,
            Accepted::Implausible => return,
            Accepted::Duplicate => {
                side.unusual_mut().retransmissions += 1;
                self.note_retransmission(direction, stamp);
                self.count(direction, stamp, &tally);
                return;
            }
        }
        let half = &self.halves[direction.index()];
        if accepted != Accepted::KeepAlive {
            side.largest_segment = side.largest_segment.max(segment.payload_len);
            self.last_sent[direction.index()] = stamp;
            if idle && half.in_flight() {
                side.unacknowledged_since = stamp.into();
            }
        }
        self.count(direction, stamp, &tally);
    }

    /// Records a retransmission of bytes that the other side has not acknowledged.
    fn note_retransmission(&mut self, direction: Direction, stamp: Stamp) {
        if !self.halves[direction.index()].in_flight() {
            return;
        }
        let side = self.facts.sender(direction);
        let sent = side.unacknowledged_since().unwrap_or(stamp);
        let run = side.unusual_mut().unacknowledged.get_or_insert(Unacknowledged {
            sent,
            first_retransmission: stamp,
            last_retransmission: stamp,
            retransmissions: 0,
        });
        run.last_retransmission = stamp;
        run.retransmissions += 1;
    }

    #[inline]
    fn count(&mut self, direction: Direction, stamp: Stamp, tally: &Tally) {
        let side = self.facts.sender(direction);
        if tally.new_bytes > 0 {
            side.bytes += tally.new_bytes;
            side.first_payload.get_or_insert(stamp);
            side.last_payload = stamp.into();
        }
        if tally.is_unusual() {
            side.unusual_mut().count(stamp, tally);
        }
    }

    /// Handles the ACK and window of a segment sent in `direction`, which concern the other direction's bytes.
    #[inline]
    fn acknowledge(&mut self, direction: Direction, segment: &Segment<'_>) {
        let stamp = segment.stamp;
        let other = direction.reverse();
        self.start(other, segment.acknowledgment.wrapping_sub(1), segment.acknowledgment);
        let half = &mut self.halves[other.index()];
        if half.acknowledge(segment.acknowledgment, stamp) {
            let in_flight = half.in_flight();
            let sent = self.last_sent[other.index()];
            let peer = self.facts.sender(other);
            if let Some(unusual) = peer.known_unusual() {
                unusual.unacknowledged = None;
            }
            peer.unacknowledged_since = in_flight.then_some(sent).into();
            self.facts.sender(direction).last_ack = stamp.into();
        }
        if self.facts.opening == Opening::Unanswered
            && direction == Direction::ToServer
            && !segment.flags.has(TcpFlags::SYN)
        {
            // Only a client that got the SYN-ACK acknowledges: the capture lacks it.
            self.facts.opening = Opening::Handshake;
        }
        if self.facts.established.is_none()
            && direction == Direction::ToServer
            && self.facts.syn_ack.is_some()
            && !segment.flags.has(TcpFlags::SYN)
        {
            self.facts.established = stamp.into();
        }
        let side = self.facts.sender(direction);
        if segment.window == 0 {
            if !segment.flags.has(TcpFlags::FIN | TcpFlags::SYN) {
                side.unusual_mut().zero_window.close(stamp);
            }
        } else if let Some(unusual) = side.known_unusual() {
            unusual.zero_window.open(stamp);
        }
    }

    fn syn(&mut self, direction: Direction, segment: &Segment<'_>) {
        let stamp = segment.stamp;
        let side = self.facts.sender(direction);
        if side.syn.is_some() {
            let unusual = side.unusual_mut();
            unusual.syn_retransmissions += 1;
            unusual.last_syn_again = Some(stamp);
        }
        side.syn.get_or_insert(stamp);
        side.mss = segment.options.mss;
        if segment.flags.has(TcpFlags::ACK) && direction == Direction::ToClient {
            self.facts.syn_ack.get_or_insert(stamp);
            self.facts.opening = Opening::Handshake;
        }
        self.start(direction, segment.sequence, segment.sequence.wrapping_add(1));
    }

    fn rst(
        &mut self,
        direction: Direction,
        segment: &Segment<'_>,
        emit: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let stamp = segment.stamp;
        let refused = direction == Direction::ToClient
            && self.facts.opening == Opening::Unanswered
            && self.base(Direction::ToServer).is_some_and(|isn| segment.acknowledgment == isn.wrapping_add(1));
        let half = &self.halves[direction.index()];
        let in_window = refused || self.base(direction).is_none() || half.plausible(segment.sequence, RESET_SLACK);
        let side = self.facts.sender(direction);
        let ttl_distance = if side.ttl_max == 0 {
            0
        } else {
            segment.ttl.saturating_sub(side.ttl_max).max(side.ttl_min.saturating_sub(segment.ttl))
        };
        let reset = Reset { stamp, ttl: segment.ttl, ttl_distance, in_window };
        let known = &mut side.unusual_mut().reset;
        match known {
            Some(known) if known.in_window || !in_window => {}
            _ => *known = Some(reset),
        }
        if refused {
            self.facts.opening = Opening::Refused;
        }
        if self.facts.first_closer.is_none() && in_window {
            self.facts.first_closer = Some(direction.sender());
            self.facts.closing = Closing::Rst;
            self.facts.closed_at = stamp.into();
        }
        if !in_window || self.reset {
            return;
        }
        self.reset = true;
        if !refused && ttl_distance <= 1 {
            self.halves[direction.index()].stands_at(segment.sequence, stamp);
            if segment.flags.has(TcpFlags::ACK) {
                self.halves[direction.reverse().index()].acknowledge(segment.acknowledgment, stamp);
            }
        }
        self.flush(stamp, emit);
        let half = &mut self.halves[direction.index()];
        if !half.ended() {
            half.end();
            emit(stamp, direction, StreamEvent::End(End::Rst));
        }
    }

    fn fin(&mut self, direction: Direction, segment: &Segment<'_>, first: u32) {
        let stamp = segment.stamp;
        let half = &mut self.halves[direction.index()];
        half.finish_at(first.wrapping_add(segment.payload_len));
        let side = self.facts.sender(direction);
        if side.fin.is_some() {
            if segment.payload_len == 0 {
                self.note_retransmission(direction, stamp);
            }
            return;
        }
        side.fin = stamp.into();
        side.unacknowledged_since.get_or_insert(stamp);
        self.last_sent[direction.index()] = stamp;
        if self.facts.first_closer.is_none() {
            let answers = self.halves[direction.reverse().index()].acknowledges_unseen_fin();
            let sender = direction.sender();
            self.facts.first_closer = Some(if answers { sender.other() } else { sender });
            self.facts.closing = Closing::Fin;
            self.facts.closed_at = stamp.into();
        }
    }

    /// Turns holes that nothing can fill any more into gaps.
    fn give_up_holes(&mut self, stamp: Stamp, emit: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>)) {
        let one_way = self.facts.one_way();
        for direction in Direction::BOTH {
            let half = &mut self.halves[direction.index()];
            if half.is_waiting() {
                let mut tally = Tally::default();
                half.give_up_hole(stamp, one_way, &mut Outlet { direction, tally: &mut tally, emit });
                if half.reached_fin() {
                    half.end();
                    emit(stamp, direction, StreamEvent::End(End::Fin));
                }
                self.count(direction, stamp, &tally);
            }
        }
    }

    fn flush(&mut self, stamp: Stamp, emit: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>)) {
        let one_way = self.facts.one_way();
        for direction in Direction::BOTH {
            let half = &mut self.halves[direction.index()];
            if half.ended() {
                continue;
            }
            let mut tally = Tally::default();
            let flushed = half.flush(stamp, one_way, &mut Outlet { direction, tally: &mut tally, emit });
            if half.reached_fin() {
                half.end();
                emit(stamp, direction, StreamEvent::End(End::Fin));
            }
            if let Flushed::FinUnseen(shown) = flushed {
                self.facts.sender(direction).unusual_mut().fin_unseen = Some(shown);
            }
            self.count(direction, stamp, &tally);
        }
    }

    /// Ends both directions with `end` (or with the reset that came before), after passing on what can still be passed
    /// on. Further calls do nothing.
    pub fn finish(&mut self, end: End, emit: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>)) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let stamp = self.facts.last;
        self.flush(stamp, emit);
        for direction in Direction::BOTH {
            let half = &mut self.halves[direction.index()];
            if !half.ended() {
                half.end();
                emit(stamp, direction, StreamEvent::End(if self.reset { End::Rst } else { end }));
            }
            if let Some(unusual) = self.facts.sender(direction).known_unusual() {
                unusual.zero_window.end(stamp);
            }
        }
    }
}
