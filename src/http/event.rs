//! What the observer reports: exchanges worth keeping, and facts about the stream they came from.

use super::handshake::Handshake;
use super::head::{RequestHead, ResponseHead};
use crate::stream::{Direction, End, GapCause, Stamp};

/// Something that happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpEvent {
    /// A request head that asks for more than an ordinary answer was read; its [`Exchange`] follows when it is answered
    /// or ends.
    Attempt {
        /// What it asks for.
        kind: ExchangeKind,
        /// The last packet of its head.
        stamp: Stamp,
    },
    /// A request and its answer, or what there was of either.
    Exchange(Box<Exchange>),
    /// The reading of one direction met an obstacle, or recovered.
    Fact(HttpFact),
}

/// An obstacle, a recovery or a bound that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFact {
    /// From here on message borders in this direction are unknown.
    Lost {
        /// The direction.
        direction: Direction,
        /// The first stream offset that could not be placed.
        offset: u64,
        /// The packet.
        stamp: Stamp,
        /// Why.
        cause: LostCause,
    },
    /// The direction is in step again: a packet began with a whole start line.
    Restarted {
        /// The direction.
        direction: Direction,
        /// Where the start line begins.
        offset: u64,
        /// The packet.
        stamp: Stamp,
    },
    /// A head exceeded [`MAX_HEAD`](super::MAX_HEAD); this direction is not parsed any further.
    HeadTooLarge {
        /// The direction.
        direction: Direction,
        /// The packet with which the bound was reached.
        stamp: Stamp,
    },
    /// More than [`MAX_PENDING`](super::MAX_PENDING) requests wait for their answers; later ones are not paired.
    TooManyPending {
        /// The packet of the first request too many.
        stamp: Stamp,
    },
    /// More than [`MAX_EARLY`](super::MAX_EARLY) bytes came between an upgrade request and its answer; what exceeds it is a gap of ours.
    EarlyDataTooLarge {
        /// The packet with which the bound was reached.
        stamp: Stamp,
    },
    /// The first bytes of this direction are no HTTP.
    NotHttp {
        /// The direction.
        direction: Direction,
        /// The bytes.
        foreign: Box<Foreign>,
    },
}

/// Why message borders were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostCause {
    /// Bytes are missing where a head or a chunk size may have been.
    Gap(GapCause),
    /// No chunk size where one is due (RFC 9112 §7.1).
    BadChunk,
    /// A request whose `Content-Length` or `Transfer-Encoding` leaves its length open (RFC 9112 §6.3).
    BadFraming,
    /// Bytes where a start line should be.
    NoStartLine,
    /// A whole head without a valid start line.
    MalformedStartLine,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// An upgrade to WebSocket, whole or crippled: `Upgrade` names `websocket`, or a `Sec-WebSocket-` field is there.
    WebSocket,
    /// `CONNECT`: a tunnel through a proxy.
    Connect,
    /// An upgrade to something else, `h2c` for instance.
    Upgrade,
    /// Neither; kept only for its answer (101, 400, 408, 426 or 511), or because that answers no request that was seen.
    Plain,
    /// The request's head was cut before it showed what was asked for.
    Unknown,
}

impl ExchangeKind {
    /// Whether more than an ordinary answer was asked for.
    pub(super) const fn is_attempt(self) -> bool {
        matches!(self, ExchangeKind::WebSocket | ExchangeKind::Connect | ExchangeKind::Upgrade)
    }
}

/// A request and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What the request asked for.
    pub kind: ExchangeKind,
    /// The request; `None` for an answer to nothing that was seen.
    pub request: Option<RequestHead>,
    /// How sure it is that the answer belongs to this request.
    pub pairing: Pairing,
    /// The final answer.
    pub answer: Answer,
    /// The body of the final answer. Always empty when the connection was switched.
    pub body: Body,
    /// How the exchange ended.
    pub ended: Ended,
    /// Informational answers (1xx except 101) before the final one, at most [`MAX_INTERIM`](super::MAX_INTERIM).
    pub interim: Vec<Interim>,
    /// Bytes from the client after its request and before the final answer was whole, that were no further request.
    pub early: Option<Box<Early>>,
    /// What the opening handshake checks of RFC 6455 §4 yield. Only for [`ExchangeKind::WebSocket`], and for other
    /// kinds that were answered 101.
    pub handshake: Option<Handshake>,
}

impl Exchange {
    /// An exchange without an answer yet.
    pub(super) fn new(kind: ExchangeKind, request: Option<RequestHead>, ended: Ended) -> Exchange {
        Exchange {
            kind,
            request,
            pairing: Pairing::Certain,
            answer: Answer::Nothing,
            body: Body::default(),
            ended,
            interim: Vec::new(),
            early: None,
            handshake: None,
        }
    }

    /// Reads a little of everything, so that it is in the processor's cache when it is needed. The result means nothing.
    #[must_use]
    pub(crate) fn prefetch(&self) -> u64 {
        let request = self.request.as_ref().map_or(0, |request| request.head.prefetch());
        let response = self.response().map_or(0, |response| response.head.prefetch());
        let checks = self.handshake.as_ref().map_or(0, |checks| {
            u64::from(checks.request.is_some()) ^ checks.response.as_ref().map_or(0, |checks| u64::from(checks.status))
        });
        request ^ response ^ checks
    }

    /// The final answer's head.
    #[must_use]
    pub(crate) fn response(&self) -> Option<&ResponseHead> {
        match &self.answer {
            Answer::Response(head) => Some(head),
            _ => None,
        }
    }

    /// The final status code.
    #[must_use]
    pub(crate) fn status(&self) -> Option<u16> {
        self.response().map(|head| head.status)
    }
}

/// How sure it is that an answer belongs to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// Every message since the beginning was counted.
    Certain,
    /// Messages may have been missed in between; paired as a client without pipelining would.
    Inferred,
}

/// An informational answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interim {
    /// 100 to 199, never 101.
    pub status: u16,
    /// The last packet of its head.
    pub stamp: Stamp,
}

/// What came back for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not one byte.
    Nothing,
    /// The beginning of a status line or a head, without a status code.
    Fragment(Box<Foreign>),
    /// A head with a status code, perhaps cut in its fields.
    Response(ResponseHead),
    /// Bytes that are no HTTP.
    Foreign(Box<Foreign>),
    /// It lies in bytes that were not captured.
    NotCaptured,
}

/// The first bytes of something that is no HTTP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// At most [`MAX_FOREIGN`](super::MAX_FOREIGN) bytes.
    pub bytes: Box<[u8]>,
    /// The packet of the first byte.
    pub stamp: Stamp,
    /// Stream offset of the first byte.
    pub offset: u64,
}

/// What foreign bytes begin like. Only the beginning is recognised; nothing is dissected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForeignKind {
    /// A plaintext TLS alert record (RFC 8446 §6): level and description.
    TlsAlert {
        /// 1 warning, 2 fatal.
        level: u8,
        /// The alert's number.
        description: u8,
    },
    /// Another TLS record, a handshake for instance.
    Tls,
    /// An SSH identification string (RFC 4253 §4.2).
    Ssh,
    /// An HTTP/2 SETTINGS frame (RFC 9113 §3.4), the server's connection preface.
    Http2,
    /// Printable text.
    Text,
    /// Anything else.
    Binary,
}

impl Foreign {
    /// What the bytes begin like.
    #[must_use]
    pub(crate) fn kind(&self) -> ForeignKind {
        match &*self.bytes {
            [0x15, 0x03, 0..=4, 0, 2, level, description, ..] => {
                ForeignKind::TlsAlert { level: *level, description: *description }
            }
            [0x14..=0x17, 0x03, 0..=4, ..] => ForeignKind::Tls,
            [b'S', b'S', b'H', b'-', ..] => ForeignKind::Ssh,
            [0, _, _, 0x04, 0 | 1, 0, 0, 0, 0, ..] => ForeignKind::Http2,
            [] => ForeignKind::Binary,
            bytes if bytes.iter().all(|&byte| matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7e)) => ForeignKind::Text,
            _ => ForeignKind::Binary,
        }
    }
}

/// The body of a final answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Its first bytes, at most [`MAX_EXCERPT`](super::MAX_EXCERPT), without chunk framing but otherwise as sent:
    /// still compressed when `Content-Encoding` says so, and not redacted.
    pub excerpt: Vec<u8>,
    /// Content bytes on the wire as far as the exchange was followed, those that were not captured included.
    pub len: u64,
    /// How many of them were not captured.
    pub missing: u64,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The answer is whole. A body without a declared length is whole when its stream ended with a FIN.
    Complete {
        /// Its last packet.
        stamp: Stamp,
    },
    /// The connection became something else after the answer's head.
    Switched {
        /// The last packet of the head.
        stamp: Stamp,
    },
    /// The server's direction ended first.
    Cut {
        /// How far the answer had come.
        at: CutAt,
        /// How the direction ended.
        by: End,
        /// The packet with which it ended.
        stamp: Stamp,
    },
    /// The answer cannot be followed to its end, because bytes are missing or make no sense.
    Lost {
        /// How far the answer had come.
        at: CutAt,
        /// The packet from which on.
        stamp: Stamp,
    },
}

/// How far an answer had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CutAt {
    /// No byte of it was seen.
    BeforeAnswer,
    /// Within its head.
    InHead,
    /// Within its body.
    InBody,
}

/// Bytes of a client that did not wait for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// The packet of the first.
    pub stamp: Stamp,
    /// Stream offset of the first.
    pub offset: u64,
    /// How many, those included that exceeded a bound or were not captured.
    pub len: u64,
    /// The first of them, at most [`MAX_FOREIGN`](super::MAX_FOREIGN).
    pub first_bytes: Box<[u8]>,
}

/// Ordinary traffic, only counted; a count stops at its greatest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests, attempts included.
    pub requests: u32,
    /// Final answers, 101 included.
    pub responses: u32,
    /// Final answers by the first digit of their status: `[2xx, 3xx, 4xx, 5xx]`.
    pub by_class: [u32; 4],
    /// Final answers without any request seen.
    pub unasked: u32,
    /// Ordinary requests without a final answer when the server's direction ended.
    pub unanswered: u32,
}
