//! The moment a connection stops being HTTP, with every byte that belongs to what follows.

use super::deflate::Compression;
use super::early_data::EarlyData;
use crate::stream::StreamEvent;

/// What one event led to.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub enum Step<'a> {
    /// Go on feeding.
    More,
    /// The connection is no HTTP any more; feed the next layer and drop this one.
    Switch(Switch<'a>),
    /// The client's or the server's first bytes are no HTTP; a [`HttpFact::NotHttp`](super::HttpFact) names them.
    /// Returned once per direction; whoever goes on feeding gets what can still be read.
    NotHttp,
}

/// The end of HTTP on a connection.
///
/// The next layer is fed [`early`](Switch::early) in the client's direction first, then
/// [`next`](Switch::next) in the direction that was fed, and then what comes after.
#[derive(Debug, PartialEq, Eq)]
pub struct Switch<'a> {
    /// What the connection is now.
    pub to: SwitchTo,
    /// What is left of the event that led here: the bytes behind the head, or the whole event when it belongs to what
    /// follows. `None` when nothing is left.
    pub next: Option<StreamEvent<'a>>,
    /// What the client's direction did behind its request and before the switch (RFC 6455 §4.1: a client must wait).
    pub early: EarlyData,
    /// Where the next layer begins in each direction, by [`Direction::index`](crate::stream::Direction::index).
    pub starts: [Start; 2],
}

/// Where the next layer begins in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Stream offset of its first byte.
    pub offset: u64,
    /// Whether that is certain. Otherwise the head before it was cut by a gap, and the first byte may still belong to it.
    pub proven: bool,
}

/// What a connection became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchTo {
    /// WebSocket, by a 101.
    WebSocket {
        /// What was agreed on compression.
        compression: Compression,
    },
    /// A tunnel, by a 2xx to `CONNECT`: whatever the client speaks inside starts anew.
    Tunnel,
    /// Another protocol: the value of the answer's `Upgrade`, `h2c` for instance.
    Other(Box<str>),
    /// There was a 101, but what it switched to lies in bytes that were not captured.
    Unknown,
}
