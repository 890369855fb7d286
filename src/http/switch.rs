//! The moment a connection stops being HTTP, with every byte that belongs to what follows.

use super::deflate::Compression;
use super::held::Held;
use crate::stream::{Direction, GapCause, Stamp, StreamEvent};

/// What one event led to.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub enum Step<'a> {
    /// Go on feeding.
    More,
    /// The connection is no HTTP any more; feed the next layer and drop this one.
    Switch(Switch<'a>),
    /// The client's or the server's first bytes are no HTTP; a [`HttpFact::NotHttp`](super::HttpFact) says which. Said
    /// once per direction; whoever goes on feeding gets what can still be said.
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
    /// Where the next layer begins in each direction, by [`Direction::index`].
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
        /// The subprotocol in the answer.
        subprotocol: Option<Box<str>>,
    },
    /// A tunnel, by a 2xx to `CONNECT`: whatever the client speaks inside starts anew.
    Tunnel,
    /// Another protocol: the value of the answer's `Upgrade`, `h2c` for instance.
    Other(Box<str>),
    /// There was a 101, but what it switched to lies in bytes that were not captured.
    Unknown,
}

/// The client's direction between its request and the switch, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlyData {
    /// Hardly ever anything.
    pub(super) held: Option<Box<Held>>,
}

/// One event of [`EarlyData`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stamp: Stamp,
    pub(super) offset: u64,
    pub(super) what: PieceKind,
}

/// What a [`Piece`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// Bytes of the common buffer.
    Data { start: u32, end: u32 },
    /// Bytes that are missing.
    Gap { len: u64, cause: GapCause },
    /// The end of the direction.
    End(crate::stream::End),
}

impl EarlyData {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.is_empty())
    }

    /// Where it begins.
    pub(super) fn first_offset(&self) -> Option<u64> {
        self.held.as_ref()?.first_offset()
    }

    /// The events in order, all of [`Direction::ToServer`], an end included.
    pub fn events(&self) -> impl Iterator<Item = (Stamp, Direction, StreamEvent<'_>)> {
        self.held.iter().flat_map(|held| held.events())
    }
}
