//! The decoder's output: whole frames and whole messages.

use super::{Direction, Interest};
use crate::stream::Stamp;

/// The opcodes of RFC 6455 §5.2, as numbers, because a peer may send any of the sixteen.
pub mod opcode {
    /// A further fragment of the message that is open.
    pub const CONTINUATION: u8 = 0x0;
    /// The first (or only) frame of a text message.
    pub const TEXT: u8 = 0x1;
    /// The first (or only) frame of a binary message.
    pub const BINARY: u8 = 0x2;
    /// Its sender will send no more data.
    pub const CLOSE: u8 = 0x8;
    /// Asks for a Pong.
    pub const PING: u8 = 0x9;
    /// The answer to a Ping, or an unsolicited heartbeat.
    pub const PONG: u8 = 0xA;

    /// The name of an opcode, `unknown` for the reserved ones.
    #[must_use]
    pub const fn name(opcode: u8) -> &'static str {
        match opcode {
            CONTINUATION => "continuation",
            TEXT => "text",
            BINARY => "binary",
            CLOSE => "close",
            PING => "ping",
            PONG => "pong",
            _ => "unknown",
        }
    }
}

/// One frame, reported when its last byte has passed (or is known to have passed inside a gap).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Direction in which it was sent.
    pub direction: Direction,
    /// The packet with its first header byte.
    pub first: Stamp,
    /// The packet with its last byte. When that byte is missing: the packet that revealed the gap.
    pub last: Stamp,
    /// FIN: the last fragment of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 = 4, RSV2 = 2, RSV3 = 1.
    pub rsv: u8,
    /// 0 to 15, see [`opcode`].
    pub opcode: u8,
    /// The masking key, when the frame is masked, in wire order.
    pub mask: Option<[u8; 4]>,
    /// Bytes of header: 2 to 14.
    pub header_length: u8,
    /// Payload bytes as declared, all 64 bits of them.
    pub length: u64,
    /// The status code of a Close frame, when it has one that was captured.
    pub close_code: Option<u16>,
}

impl Frame {
    /// Whether the frame is masked.
    #[must_use]
    pub const fn masked(&self) -> bool {
        self.mask.is_some()
    }
}

/// Text or binary (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Anything.
    Binary,
}

impl MessageKind {
    /// `text` or `binary`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            MessageKind::Text => "text",
            MessageKind::Binary => "binary",
        }
    }
}

/// One data message, reported at its final frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Direction in which it was sent.
    pub direction: Direction,
    /// Text or binary.
    pub kind: MessageKind,
    /// RSV1 was set on its first frame: compressed by permessage-deflate (RFC 7692 §6).
    pub compressed: bool,
    /// How many frames carried it.
    pub fragments: u64,
    /// Payload bytes on the wire, compressed if it was.
    pub wire_length: u64,
    /// Bytes of the message itself. `None` when it was compressed and could not be inflated with certainty.
    pub length: Option<u64>,
    /// The message itself, unmasked and inflated, at most [`Interest::payload_limit`](super::Interest::payload_limit)
    /// bytes of it. `None` when not asked for, when bytes of it are missing, or when it could not be inflated with
    /// certainty. Text is not necessarily valid UTF-8.
    pub payload: Option<&'a [u8]>,
    /// `payload` is only the beginning, because of the limit.
    pub truncated: bool,
    /// The packet with its first byte.
    pub first: Stamp,
    /// The packet with its last byte.
    pub last: Stamp,
    /// Every byte of it was seen. False: part of it lies in a gap, or a new message interrupted it.
    pub complete: bool,
}

impl Message<'_> {
    /// The same with at most `limit` bytes of payload, as if no more had been asked for; 0: none.
    #[must_use]
    pub(crate) fn shortened(&self, limit: u32) -> Self {
        let limit = limit.min(Interest::PAYLOAD_LIMIT) as usize;
        let payload = self.payload.filter(|_| limit > 0);
        let cut = payload.is_some_and(|payload| payload.len() > limit);
        Self {
            payload: payload.map(|payload| &payload[..payload.len().min(limit)]),
            truncated: payload.is_some() && (self.truncated || cut),
            ..*self
        }
    }
}

/// Most bytes of a message in a [`MessageStart`].
pub const TAP_BYTES: usize = 256;

/// The beginning of one data message, reported at its final frame to a [`Sink`] that taps messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageStart<'a> {
    /// Direction in which it was sent.
    pub direction: Direction,
    /// Text or binary.
    pub kind: MessageKind,
    /// Bytes of the message itself. `None` when part of it is missing.
    pub length: Option<u64>,
    /// Its first bytes, unmasked and inflated, at most [`TAP_BYTES`], none of them behind a byte that is missing. Text
    /// is not necessarily valid UTF-8.
    pub bytes: &'a [u8],
    /// The packet with its first byte.
    pub first: Stamp,
}

/// Receives what [`Interest`](super::Interest) asks for.
pub trait Sink {
    /// A frame has passed.
    fn frame(&mut self, _frame: &Frame) {}
    /// A message has passed.
    fn message(&mut self, _message: &Message<'_>) {}
    /// Whether [`Sink::message_start`] wants the next message. Asked for each; where nobody wants it, its payload is not
    /// touched.
    #[inline]
    fn taps(&self) -> bool {
        false
    }
    /// A message has passed, of which at least the beginning is known.
    fn message_start(&mut self, _start: &MessageStart<'_>) {}
}

/// Receives nothing: for callers that want only the facts.
impl Sink for () {}
