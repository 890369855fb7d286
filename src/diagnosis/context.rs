//! One WebSocket session, or an attempt at one, with the connection around it, and the questions that every rule asks
//! of it. Arithmetic on facts: it holds no opinion.

use crate::connection::{ConnectionRecord, Entry};
use crate::http::{Exchange, Handshake};
use crate::packet::Stamp;
use crate::stream::{Direction, End, Side};
use crate::tcp::{Closing, SideFacts, TcpFacts, Unacknowledged};
use crate::tls::TlsFacts;
use crate::websocket::{CloseFacts, DirectionFacts, WebSocketFacts};

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session<'a> {
    /// The TCP connection.
    pub(super) record: &'a ConnectionRecord,
    /// The WebSocket or attempt on it; `None` for a connection that failed before.
    pub(super) entry: Option<&'a Entry>,
}

/// One side's way of leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// Sent a Close frame.
    Close,
    /// Sent FIN.
    Fin,
    /// Sent RST.
    Rst,
}

impl<'a> Session<'a> {
    /// The session of one entry, or of the connection as a whole.
    pub(super) fn new(record: &'a ConnectionRecord, entry: Option<usize>) -> Self {
        Self { record, entry: entry.and_then(|index| record.entries.get(index)) }
    }

    /// TCP facts.
    pub(super) fn tcp(&self) -> &'a TcpFacts {
        &self.record.tcp
    }

    /// What `side` did at the TCP level.
    pub(super) fn side(&self, side: Side) -> &'a SideFacts {
        self.record.tcp.side(side)
    }

    /// TLS facts, if any.
    pub(super) fn tls(&self) -> Option<&'a TlsFacts> {
        self.record.tls.as_deref()
    }

    /// The opening handshake.
    pub(super) fn exchange(&self) -> Option<&'a Exchange> {
        self.entry?.handshake.as_deref()
    }

    /// The opening handshake's checks.
    pub(super) fn handshake(&self) -> Option<&'a Handshake> {
        self.exchange()?.handshake.as_ref()
    }

    /// The WebSocket.
    pub(super) fn websocket(&self) -> Option<&'a WebSocketFacts> {
        self.entry?.websocket.as_deref()
    }

    /// What `side` sent as frames.
    pub(super) fn sent(&self, side: Side) -> Option<&'a DirectionFacts> {
        self.websocket().map(|websocket| &websocket[side.sends()])
    }

    /// The first Close frame that `side` sent.
    pub(super) fn close(&self, side: Side) -> Option<&'a CloseFacts> {
        self.sent(side)?.close.as_deref()
    }

    /// What `side` sent again and again while the peer, of whom packets were captured, sent nothing any more.
    pub(super) fn unanswered_run(&self, side: Side) -> Option<Unacknowledged> {
        let run = self.side(side).unusual().unacknowledged?;
        let peer = self.side(side.other()).last();
        peer.is_some_and(|last| last.at < run.first_retransmission.at).then_some(run)
    }

    /// Whether this entry is the one that owns the end of the TCP connection (the last one on it).
    pub(super) fn owns_the_end(&self) -> bool {
        match (self.entry, self.record.entries.last()) {
            (Some(entry), Some(last)) => std::ptr::eq(entry, last),
            _ => true,
        }
    }

    /// When a later request on the same TCP connection was accepted.
    pub(super) fn next_opened(&self) -> Option<Stamp> {
        let this =
            self.record.entries.iter().position(|entry| self.entry.is_some_and(|own| std::ptr::eq(entry, own)))?;
        let opened = |entry| Session { entry: Some(entry), ..*self }.opened();
        self.record.entries[this + 1..].iter().find_map(opened)
    }

    /// FIN of a side, or where it was not captured the first packet that shows it.
    pub(super) fn fin(&self, side: Side) -> Option<Stamp> {
        self.side(side).fin().or(self.side(side).unusual().fin_unseen)
    }

    /// The RST of a side, if it was plausible enough to end the connection.
    pub(super) fn rst(&self, side: Side) -> Option<Stamp> {
        self.side(side).reset().filter(|reset| reset.in_window).map(|reset| reset.stamp)
    }

    /// When `side` first left the TCP connection (or the HTTP/2 stream), and how.
    pub(super) fn left(&self, side: Side) -> Option<(Stamp, Deed)> {
        if let Some(left) = self.left_stream(side) {
            return left;
        }
        let fin = self.fin(side).map(|stamp| (stamp, Deed::Fin));
        let rst = self.rst(side).map(|stamp| (stamp, Deed::Rst));
        match (fin, rst) {
            (Some(fin), Some(rst)) => Some(if rst.0 < fin.0 { rst } else { fin }),
            (fin, rst) => fin.or(rst),
        }
    }

    /// How `side` left the HTTP/2 stream; `None` when there is no stream, or TCP ended before it did.
    fn left_stream(&self, side: Side) -> Option<Option<(Stamp, Deed)>> {
        let stream = self.entry?.http2.as_deref()?;
        if let Some((stamp, by, _)) = stream.reset {
            return Some((by == side).then_some((stamp, Deed::Rst)));
        }
        match stream.ended[side.sends().index()] {
            Some((stamp, End::Fin)) if self.fin(side) != Some(stamp) => Some(Some((stamp, Deed::Fin))),
            _ => None,
        }
    }

    /// Who acted first to end it, when, and how: Close, FIN or RST.
    pub(super) fn first_actor(&self) -> Option<(Side, Stamp, Deed)> {
        let mut first: Option<(Side, Stamp, Deed)> = None;
        for side in [Side::Client, Side::Server] {
            let close = self.close(side).map(|close| (close.stamp, Deed::Close));
            for (stamp, deed) in [close, self.left(side)].into_iter().flatten() {
                // A FIN that was not captured came before the packet that acknowledges it.
                let unseen = deed == Deed::Fin && self.side(side).fin().is_none();
                let before = |known, how| (stamp, deed) < (known, how) || (unseen && stamp == known);
                if first.is_none_or(|(_, known, how)| before(known, how)) {
                    first = Some((side, stamp, deed));
                }
            }
        }
        first
    }

    /// Whether the TCP connection was seen to end.
    pub(super) fn tcp_ended(&self) -> bool {
        self.tcp().closing != Closing::None
            || [Side::Client, Side::Server].iter().any(|side| matches!(self.left_stream(*side), Some(Some(_))))
    }

    /// The CONNECT that a forward proxy answered with a refusal, if that is all there was.
    pub(super) fn refused_connect(&self) -> Option<&'a Exchange> {
        let connect = self.record.connect.as_deref().filter(|_| self.entry.is_none())?;
        connect.status().is_some_and(|status| !(200..300).contains(&status)).then_some(connect)
    }

    /// The end of a connection on which nobody said goodbye and on which no ping and no byte waits for an answer: who,
    /// when, how.
    pub(super) fn silent_end(&self) -> Option<(Side, Stamp, Deed)> {
        let (side, at, deed) = self.first_actor()?;
        let quiet = deed != Deed::Close
            && [Side::Client, Side::Server].iter().all(|side| {
                let pings = self.sent(*side).and_then(|sent| sent.keepalive.as_ref());
                self.close(*side).is_none()
                    && self.side(*side).unusual().unacknowledged.is_none()
                    && pings.is_none_or(|pings| pings.unanswered_count() == 0)
            });
        quiet.then_some((side, at, deed))
    }

    /// When the answer to the opening handshake was whole, or the WebSocket was first seen.
    pub(super) fn opened(&self) -> Option<Stamp> {
        let entry = self.entry?;
        entry.websocket.as_ref()?;
        Some(self.upgraded().unwrap_or(entry.first))
    }

    /// When the answer that opened the WebSocket was whole; `None` when it was not captured.
    pub(super) fn upgraded(&self) -> Option<Stamp> {
        let entry = self.entry?;
        let by_stream = entry.http2.as_ref().and_then(|stream| stream.response.as_ref()).map(|head| head.stamp);
        let by_exchange = entry.handshake.as_ref().and_then(|exchange| exchange.response()).map(|head| head.head.last);
        by_stream.or(by_exchange)
    }

    /// Data messages in both directions.
    pub(super) fn messages(&self) -> u64 {
        self.websocket()
            .map_or(0, |websocket| Direction::BOTH.map(|direction| websocket[direction].messages).iter().sum())
    }

    /// Nanoseconds between the last payload byte of either side and `at`.
    pub(super) fn idle_before(&self, at: Stamp) -> Option<i64> {
        let last = self.tcp().last_payload().filter(|last| last.at <= at.at)?;
        Some(at.at - last.at)
    }

    /// How the stream of a direction ended, as the topmost layer saw it.
    pub(super) fn end(&self, side: Side) -> Option<(Stamp, End)> {
        self.record.end(side.sends())
    }

    /// A round trip on this connection in nanoseconds, or a cautious guess.
    pub(super) fn rtt_ns(&self) -> i64 {
        self.tcp().initial_rtt_ns().unwrap_or(200_000_000)
    }
}

/// `The client` or `The server`, to begin a sentence.
pub(super) fn the(side: Side) -> &'static str {
    match side {
        Side::Client => "The client",
        Side::Server => "The server",
    }
}
