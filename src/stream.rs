//! The contract between layers: the events of a byte stream.
//!
//! A layer is fed [`StreamEvent`]s for one [`Direction`] at a time, each with the [`Stamp`] of the packet
//! that carried it, and yields facts and events of its own. A gap is an input like any other, which every layer
//! handles. This module holds no behaviour and knows no protocol.

#![forbid(unsafe_code)]

pub(crate) use crate::packet::MaybeStamp;
pub use crate::packet::Stamp;

/// Which way bytes travel. The client is whoever opened the connection (RFC 9293 §3.5: the sender of the
/// SYN) or, if no SYN was captured, whoever behaves as a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Sent by the client.
    ToServer,
    /// Sent by the server.
    ToClient,
}

impl Direction {
    /// Both directions, the client's first.
    pub const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }

    /// Position in a two-element array: 0 for what the client sent, 1 for what the server sent.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Who sent it.
    #[must_use]
    pub const fn sender(self) -> Side {
        match self {
            Direction::ToServer => Side::Client,
            Direction::ToClient => Side::Server,
        }
    }
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The end that opened the connection.
    Client,
    /// The end that accepted it.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// The direction in which this side sends.
    #[must_use]
    pub const fn sends(self) -> Direction {
        match self {
            Side::Client => Direction::ToServer,
            Side::Server => Direction::ToClient,
        }
    }

    /// `client` or `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
        }
    }
}

/// Whether bytes belong to a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// They do.
    Yes,
    /// They do not.
    No,
    /// More bytes are needed to tell.
    Maybe,
}

/// Why bytes are missing from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The packet never reached the capture, although the peer acknowledged it: the capture's loss, not the network's.
    NotCaptured,
    /// The packet was captured, but cut by the snap length.
    SnapLength,
    /// It was given up because a buffer bound was reached: our loss.
    BufferLimit,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The sender finished (TCP FIN, or the like of it in an upper layer).
    Fin,
    /// The connection was reset, by either side.
    Rst,
    /// The connection was given up after a long silence.
    Timeout,
    /// The capture ended while the stream was open.
    CaptureEnd,
}

/// The next event in one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent<'a> {
    /// Bytes in order. `offset` counts from the first byte of the direction, gaps included.
    Data {
        /// Position of `bytes[0]` in the stream.
        offset: u64,
        /// The bytes, borrowed from the packet.
        bytes: &'a [u8],
    },
    /// `len` bytes were sent that will never be seen here.
    Gap {
        /// Position of the first missing byte.
        offset: u64,
        /// How many bytes are missing.
        len: u64,
        /// Whose loss it is.
        cause: GapCause,
    },
    /// Nothing follows in this direction.
    End(End),
}

/// Length of a [`StreamEvent::Gap`] whose true length cannot be derived, in bytes: more than any message has, so that
/// the layer above must find its framing anew instead of counting through.
pub const UNKNOWN_GAP: u64 = 1 << 40;
