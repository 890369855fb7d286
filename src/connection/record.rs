//! Everything known about one TCP connection when its books are closed: facts with their packets, no opinion.

use crate::http::{Exchange, HttpFact, ProxyHeader};
use crate::http2::{Http2Facts, WebSocketStream};
use crate::packet::Stamp;
use crate::stream::{Direction, End};
use crate::tcp::TcpFacts;
use crate::tls::TlsFacts;
use crate::websocket::WebSocketFacts;

/// Most WebSockets (or attempts) kept per TCP connection; more are counted.
pub const MAX_ENTRIES: usize = 1024;
/// Most ordinary exchanges kept per connection, for those that met a WebSocket endpoint without asking for one.
pub const MAX_PLAIN: usize = 4;
/// Most HTTP facts kept per connection.
pub const MAX_HTTP_FACTS: usize = 16;

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
    /// The HTTP/2 stream that carries it.
    pub http2: Option<Box<WebSocketStream>>,
    /// First packet of the attempt.
    pub first: Stamp,
    /// Last packet that brought bytes of it, or ended it.
    pub last: Stamp,
}

impl Entry {
    /// Status of the final answer to the handshake.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.http2 {
            Some(stream) => stream.response.as_ref()?.status,
            None => self.handshake.as_ref()?.status(),
        }
    }
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
    /// A PROXY protocol header in front of everything.
    pub proxy_header: Option<Box<ProxyHeader>>,
    /// What HTTP/2 shows of the connection as a whole.
    pub http2: Option<Box<Http2Facts>>,
    /// WebSockets and attempts, in order.
    pub entries: Vec<Entry>,
    /// Entries beyond [`MAX_ENTRIES`].
    pub entries_not_kept: u64,
    /// Ordinary exchanges worth a look.
    pub plain: Vec<Exchange>,
    /// Troubles of the HTTP layer.
    pub http_facts: Vec<HttpFact>,
    /// What it all was.
    pub layers: Layers,
    /// How each direction ended.
    pub ends: [Option<(Stamp, End)>; 2],
}

impl ConnectionRecord {
    /// How the direction ended.
    #[must_use]
    pub fn end(&self, direction: Direction) -> Option<(Stamp, End)> {
        self.ends[direction.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::stack::Stack;
    use crate::tcp::Connection;

    /// What every connection costs before it says anything, and what is kept of it.
    #[test]
    fn sizes() {
        assert!(size_of::<(Connection, Stack)>() <= 1272, "{}", size_of::<(Connection, Stack)>());
        assert!(size_of::<WebSocketFacts>() <= 576, "{}", size_of::<WebSocketFacts>());
        assert!(size_of::<ConnectionRecord>() <= 640, "{}", size_of::<ConnectionRecord>());
    }
}
