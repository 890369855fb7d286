//! What remains of one TCP connection when it is over: facts with their packets, no opinion.

use crate::http::Exchange;
use crate::http2::{Http2Facts, Oddity, WebSocketStream};
use crate::packet::Stamp;
use crate::stream::{Direction, End};
use crate::subprotocol::Application;
use crate::tcp::TcpFacts;
use crate::tls::TlsFacts;
use crate::websocket::WebSocketFacts;

/// Most WebSockets, or attempts at one, kept per TCP connection; more are counted.
pub const MAX_ENTRIES: usize = 1024;
/// Most ordinary exchanges kept per connection, for those that met a WebSocket endpoint without asking for one.
pub const MAX_PLAIN: usize = 4;

/// What the payload of a connection turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layers {
    /// No payload was seen.
    None,
    /// HTTP without any attempt at a WebSocket.
    Http,
    /// TLS whose inside is unknown or none of ours.
    Tls,
    /// At least one WebSocket, or an attempt at one.
    WebSocket,
    /// Something else.
    Foreign,
}

/// One WebSocket, or one attempt at one.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// HTTP/2 stream number, when it is carried by one (RFC 8441).
    pub http2_stream: Option<u32>,
    /// The opening handshake; `None` when the capture starts after it.
    pub handshake: Option<Box<Exchange>>,
    /// The WebSocket, once it was agreed on.
    pub websocket: Option<Box<WebSocketFacts>>,
    /// The application protocol inside it, if it was recognised.
    pub application: Option<Box<Application>>,
    /// The HTTP/2 stream that carries it.
    pub http2: Option<Box<WebSocketStream>>,
    /// First packet of the attempt.
    pub first: Stamp,
    /// Last packet that brought bytes of it, or ended it.
    pub last: Stamp,
}

/// One TCP connection.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// What TCP proves.
    pub tcp: TcpFacts,
    /// What TLS shows, if there was any.
    pub tls: Option<Box<TlsFacts>>,
    /// TLS runs inside a CONNECT tunnel, not directly on TCP.
    pub tls_in_tunnel: bool,
    /// The CONNECT that led into a tunnel, or failed to.
    pub connect: Option<Box<Exchange>>,
    /// What HTTP/2 shows of the connection as a whole.
    pub http2: Option<Box<Http2Facts>>,
    /// WebSockets and attempts, in order.
    pub entries: Vec<Entry>,
    /// Ordinary exchanges worth a look.
    pub plain: Vec<Exchange>,
    /// What the payload turned out to be.
    pub layers: Layers,
    /// How each direction ended.
    pub ends: [Option<(Stamp, End)>; 2],
    pub(super) limits: Limits,
}

/// How often bounds of the connection itself and of HTTP/1 were reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Entries beyond [`MAX_ENTRIES`].
    pub(super) entries: u32,
    /// Ordinary exchanges beyond [`MAX_PLAIN`].
    pub(super) exchanges: u32,
    /// Directions that HTTP stopped reading at a head beyond [`http::MAX_HEAD`].
    pub(super) head_bytes: u32,
    /// More than [`http::MAX_PENDING`] requests waited for their answers: once per layer.
    pub(super) pending_requests: u32,
    /// More than [`http::MAX_EARLY`] bytes came between an upgrade request and its answer.
    pub(super) early_data_bytes: u32,
}

impl ConnectionRecord {
    /// How the direction ended.
    #[must_use]
    pub(crate) fn end(&self, direction: Direction) -> Option<(Stamp, End)> {
        self.ends[direction.index()]
    }

    /// The bounds that were reached, by name, each with how often it was reached or how much was left out because of
    /// it; bounds that were not reached are left out. A name is that of a layer and of what is bounded.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let websockets = self.entries.iter().filter_map(|entry| entry.websocket.as_deref());
        let own = self.connection_limits().into_iter().chain(self.http2_limits()).filter(|&(_, count)| count > 0);
        self.tcp
            .limits()
            .chain(own)
            .chain(self.tls.as_deref().into_iter().flat_map(TlsFacts::limits))
            .chain(websockets.flat_map(WebSocketFacts::limits))
    }

    fn connection_limits(&self) -> [(&'static str, u64); 5] {
        let Limits { entries, exchanges, head_bytes, pending_requests, early_data_bytes } = self.limits;
        [
            ("connection.entries", entries.into()),
            ("http.exchanges", exchanges.into()),
            ("http.head_bytes", head_bytes.into()),
            ("http.pending_requests", pending_requests.into()),
            ("http.early_data_bytes", early_data_bytes.into()),
        ]
    }

    fn http2_limits(&self) -> [(&'static str, u64); 3] {
        let http2 = self.http2.as_deref();
        let too_large = |oddity: Oddity| oddity == Oddity::HeaderBlockTooLarge;
        let blocks = http2.map_or(0, |http2| http2.oddities.iter().filter(|(oddity, ..)| too_large(*oddity)).count());
        let streams = self.entries.iter().filter_map(|entry| entry.http2.as_deref());
        let heads = streams.flat_map(|stream| std::iter::once(&stream.request).chain(&stream.response));
        [
            ("http2.streams", http2.map_or(0, |http2| http2.websockets_not_kept)),
            ("http2.header_block_bytes", blocks as u64),
            ("http2.head_bytes", heads.filter(|head| head.truncated).count() as u64),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::connection::stack::Stack;
    use crate::http2;
    use crate::packet::{Endpoint, Segment, TcpFlags, TcpOptions};
    use crate::tcp::Connection;

    fn syn() -> Segment<'static> {
        let end = |port| Endpoint { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port };
        Segment {
            stamp: Stamp::default(),
            source: end(50_000),
            destination: end(80),
            sequence: 0,
            acknowledgment: 0,
            window: 64_000,
            flags: TcpFlags(TcpFlags::SYN),
            ttl: 64,
            ip_id: 0,
            options: TcpOptions::default(),
            payload_len: 0,
            payload: &[],
        }
    }

    fn limits(record: &ConnectionRecord) -> Vec<(&'static str, u64)> {
        record.limits().collect()
    }

    #[test]
    fn limits_are_those_that_were_reached() {
        let mut record = ConnectionRecord {
            tcp: Connection::new(&syn()).take_facts(),
            tls: None,
            tls_in_tunnel: false,
            connect: None,
            http2: None,
            entries: vec![Entry::default()],
            plain: Vec::new(),
            layers: Layers::WebSocket,
            ends: [None; 2],
            limits: Limits::default(),
        };
        assert_eq!(limits(&record), []);
        record.limits = Limits { entries: 7, pending_requests: 1, ..Limits::default() };
        record.tls = Some(Box::new(TlsFacts { oversized_messages: 2, ..TlsFacts::default() }));
        let head = http2::Head { truncated: true, ..http2::Head::default() };
        record.entries[0].http2 = Some(Box::new(WebSocketStream { request: head, ..WebSocketStream::default() }));
        assert_eq!(
            limits(&record),
            [
                ("connection.entries", 7),
                ("http.pending_requests", 1),
                ("http2.head_bytes", 1),
                ("tls.oversized_handshake", 2)
            ]
        );
    }

    /// What every connection costs before any byte is read, and what is kept of it.
    #[test]
    fn sizes() {
        assert!(size_of::<(Connection, Stack)>() <= 1272, "{}", size_of::<(Connection, Stack)>());
        assert!(size_of::<WebSocketFacts>() <= 576, "{}", size_of::<WebSocketFacts>());
        assert!(size_of::<ConnectionRecord>() <= 640, "{}", size_of::<ConnectionRecord>());
    }
}
