//! Facts about one WebSocket: bounded, with the packets that prove them, and without opinion.

use super::event::MessageKind;
use super::keepalive::KeepaliveFacts;
use super::violation::Violations;
use super::{Deflate, Direction};
use crate::stream::{End, MaybeStamp, Stamp};
use std::ops::{Index, IndexMut};

/// How much of foreign text is kept, in bytes.
pub const FOREIGN_TEXT_KEPT: usize = 256;

/// All facts about one WebSocket. Index it by [`Direction`] for those about that direction's sender.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebSocketFacts {
    /// Compression as agreed in the opening handshake.
    pub deflate: Option<Deflate>,
    /// No opening handshake was captured: extensions and history are unknown.
    pub mid_stream: bool,
    pub(super) sent: [DirectionFacts; 2],
}

impl WebSocketFacts {
    /// Frames in both directions.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.sent.iter().map(|sent| sent.frames).sum()
    }

    /// Bounds that were reached and evidence that was lost, in both directions: name and count, none of them 0.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let sum = |count: fn(&DirectionFacts) -> u64| self.sent.iter().map(count).sum();
        [
            ("websocket.bytes_not_decoded", sum(|sent| sent.unusual().gaps.undecoded_bytes)),
            ("websocket.incomplete_messages", sum(|sent| sent.unusual().incomplete_messages)),
            ("websocket.messages_not_inflated", sum(|sent| sent.compression().undecoded)),
            ("websocket.inflate_limit", sum(|sent| sent.compression().limit_hits)),
            ("websocket.violations", sum(|sent| sent.unusual().violations.dropped())),
            ("websocket.unanswered_pings", sum(|sent| sent.keepalive.as_ref().map_or(0, |it| it.unanswered_dropped))),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    pub(super) fn split(&mut self, direction: Direction) -> (&mut DirectionFacts, &mut DirectionFacts) {
        let [client, server] = &mut self.sent;
        match direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        }
    }
}

impl Index<Direction> for WebSocketFacts {
    type Output = DirectionFacts;
    fn index(&self, direction: Direction) -> &DirectionFacts {
        &self.sent[direction.index()]
    }
}

impl IndexMut<Direction> for WebSocketFacts {
    fn index_mut(&mut self, direction: Direction) -> &mut DirectionFacts {
        &mut self.sent[direction.index()]
    }
}

/// What one side sent, apart from [`Unusual`] events. Counts are of frames whose last byte has passed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectionFacts {
    /// Frames.
    pub frames: u64,
    /// Payload bytes on the wire, of those frames.
    pub payload_bytes: u64,
    /// Data messages seen from their first frame to their last, those with missing bytes included.
    pub messages: u64,
    /// Frames with opcode 1.
    pub text: u64,
    /// Frames with opcode 2.
    pub binary: u64,
    /// Frames with opcode 0.
    pub continuation: u64,
    /// Ping frames.
    pub ping: u64,
    /// Pong frames.
    pub pong: u64,
    /// Close frames, the first included.
    pub closes: u64,
    pub(super) first_frame: MaybeStamp,
    pub(super) last_bytes: MaybeStamp,
    /// Largest message, in payload bytes on the wire.
    pub largest_message: u64,
    /// The last data message that ended.
    pub last_message: Option<LastMessage>,
    /// The first Close frame.
    pub close: Option<Box<CloseFacts>>,
    /// Pings sent by this side with their answers, and Pongs sent by this side.
    pub keepalive: Option<Box<KeepaliveFacts>>,
    /// The masking keys of this side.
    pub masks: MaskFacts,
    compression: Option<Box<CompressionFacts>>,
    unusual: Option<Box<Unusual>>,
    /// How the direction ended, if it has.
    pub end: Option<(End, Stamp)>,
}

/// Rare events, kept apart to keep [`DirectionFacts`] small: bytes missing, cut or foreign, and violations.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusual {
    /// Messages with bytes missing in a gap, or interrupted by another message.
    pub incomplete_messages: u64,
    /// Frames with a reserved opcode.
    pub unknown: u64,
    /// The message that began and has not ended.
    pub open_message: Option<OpenMessage>,
    /// The frame that was cut by the end of the direction (WSF419).
    pub cut_frame: Option<CutFrame>,
    /// Violations of the RFCs.
    pub violations: Violations,
    /// Missing bytes, and whether the decoder is in sync.
    pub gaps: GapFacts,
    /// Text that is no frame, where a frame was due (WSF415, WSH332). The direction is not decoded from there on.
    pub foreign_text: Option<Box<ForeignText>>,
}

impl Unusual {
    const NONE: Unusual = Unusual {
        incomplete_messages: 0,
        unknown: 0,
        open_message: None,
        cut_frame: None,
        violations: Violations::NONE,
        gaps: GapFacts {
            count: 0,
            bytes: 0,
            first: None,
            last: None,
            times_lost: 0,
            resynchronised: 0,
            undecoded_bytes: 0,
            lost: false,
        },
        foreign_text: None,
    };
}

impl DirectionFacts {
    /// Rare events of this direction; all zero and `None` when there were none.
    #[must_use]
    #[inline]
    pub fn unusual(&self) -> &Unusual {
        static USUAL: Unusual = Unusual::NONE;
        self.unusual.as_deref().unwrap_or(&USUAL)
    }

    /// Rare events to add one to.
    #[cold]
    pub(super) fn unusual_mut(&mut self) -> &mut Unusual {
        self.unusual.get_or_insert_with(|| Box::new(Unusual::NONE))
    }

    /// How compression was used; all zero when it was not.
    #[must_use]
    #[inline]
    pub fn compression(&self) -> &CompressionFacts {
        const UNUSED: &CompressionFacts = &CompressionFacts {
            messages: 0,
            undecoded: 0,
            wire_bytes: 0,
            inflated_bytes: 0,
            largest_inflated: 0,
            poisoned: None,
            failures: 0,
            limit_hits: 0,
        };
        self.compression.as_deref().unwrap_or(UNUSED)
    }

    pub(super) fn compression_mut(&mut self) -> &mut CompressionFacts {
        self.compression.get_or_insert_default()
    }

    /// First packet of the first frame.
    #[must_use]
    pub(crate) fn first_frame(&self) -> Option<Stamp> {
        self.first_frame.get()
    }

    /// The last packet with bytes of this direction.
    #[must_use]
    pub(crate) fn last_bytes(&self) -> Option<Stamp> {
        self.last_bytes.get()
    }

    pub(super) fn prefetch(&self) -> u64 {
        self.frames
            ^ self.masks.masked
            ^ self.largest_message
            ^ u64::from(self.close.is_some())
            ^ u64::from(self.last_bytes.is_some())
    }

    /// Whether everything this side sent was decoded: no bytes were missing, and decoding never stopped.
    #[must_use]
    pub fn whole(&self) -> bool {
        let Unusual { gaps, foreign_text, .. } = self.unusual();
        gaps.count == 0 && gaps.times_lost == 0 && foreign_text.is_none()
    }
}

/// The last data message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastMessage {
    /// Text or binary.
    pub kind: MessageKind,
    /// Payload bytes on the wire.
    pub wire_length: u64,
    /// Bytes of the message itself, inflated; `None` when that is not known for certain.
    pub length: Option<u64>,
    /// The packet with its last byte.
    pub stamp: Stamp,
}

/// A fragmented message that has not ended, or the message of a frame that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMessage {
    /// Text or binary.
    pub kind: MessageKind,
    /// Its whole frames so far.
    pub fragments: u64,
    /// Payload bytes of it on the wire so far.
    pub wire_length: u64,
    /// The packet with its first byte.
    pub first: Stamp,
}

/// A frame whose end was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutFrame {
    /// Opcode; `None` when not even the header is whole.
    pub opcode: Option<u8>,
    /// Payload bytes declared; `None` when not even the header is whole.
    pub declared: Option<u64>,
    /// Payload bytes received, those in a gap included; header bytes when the header is not whole.
    pub received: u64,
    /// The packet with its first byte.
    pub first: Stamp,
    /// The packet with its last byte received.
    pub last: Stamp,
}

/// The first Close frame of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFacts {
    /// The packet with its last byte.
    pub stamp: Stamp,
    /// Status code on the wire. `None`: the body is empty, is one byte, or was not captured (see `captured`).
    pub code: Option<u16>,
    /// The reason; what was not UTF-8 is replaced by U+FFFD. At most 123 bytes of it.
    pub reason: String,
    /// The reason was UTF-8.
    pub reason_valid: bool,
    /// Body length as declared.
    pub length: u64,
    /// All of the body was captured. If not, the absence of a code means nothing.
    pub captured: bool,
    /// The body conforms to RFC 6455 §5.5.1 and §7.4.
    pub valid: bool,
    /// No gap before it can hide another one: it is the first Close of its sender for certain.
    pub first_for_certain: bool,
}

/// Missing bytes, and whether the decoder is in sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapFacts {
    /// How many gaps.
    pub count: u64,
    /// Bytes missing.
    pub bytes: u64,
    /// The packet that revealed the first one.
    pub first: Option<Stamp>,
    /// The packet that revealed the last one.
    pub last: Option<Stamp>,
    /// How often the place of the next header became unknown (the start of a mid-stream pick-up included).
    pub times_lost: u64,
    /// How often the direction was provably in sync again.
    pub resynchronised: u64,
    /// Captured bytes that were not decoded, because their place in a frame was not known.
    pub undecoded_bytes: u64,
    /// The place of the next header is not known at present.
    pub lost: bool,
}

/// Masking keys of one side (RFC 6455 §5.3: they must be unpredictable; WSF417).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskFacts {
    /// Masked frames with a payload.
    pub masked: u64,
    /// Those with the key 00000000.
    pub zero: u64,
    /// The longest run of such frames with the same key.
    pub longest_run: u32,
    pub(super) run: u32,
    pub(super) last: [u8; 4],
}

impl MaskFacts {
    #[inline]
    pub(super) fn note(&mut self, key: [u8; 4]) {
        self.masked += 1;
        self.zero += u64::from(key == [0; 4]);
        self.run = if key == self.last { self.run.saturating_add(1) } else { 1 };
        self.last = key;
        self.longest_run = self.longest_run.max(self.run);
    }
}

/// Kind of foreign text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForeignKind {
    /// A status line, `HTTP/1.…`: a whole response was written into the upgraded stream.
    HttpResponse,
    /// A request line.
    HttpRequest,
    /// Markup: `<!DOCTYPE`, `<html` and the like.
    Html,
    /// `{"` or `[{`: a bare JSON text.
    Json,
    /// A chunk size in hexadecimal and CRLF: the chunked coding goes on after the upgrade (RFC 9112 §7.1).
    ChunkSize,
}

impl ForeignKind {
    /// `http-response`, `http-request`, `html`, `json` or `chunk-size`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ForeignKind::HttpResponse => "http-response",
            ForeignKind::HttpRequest => "http-request",
            ForeignKind::Html => "html",
            ForeignKind::Json => "json",
            ForeignKind::ChunkSize => "chunk-size",
        }
    }
}

/// Text where a frame header was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignText {
    /// What it is.
    pub kind: ForeignKind,
    /// The packet with its first byte.
    pub stamp: Stamp,
    /// Its first bytes, at most [`FOREIGN_TEXT_KEPT`]. They may hold secrets.
    pub first: Vec<u8>,
    /// Bytes from there to the end of the direction.
    pub length: u64,
    /// It follows a Close of its sender.
    pub after_close: bool,
}

/// permessage-deflate as one side used it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionFacts {
    /// Messages with RSV1 set that ended, whether decoded or not.
    pub messages: u64,
    /// Those that were not inflated: missing bytes, missing history, or failure.
    pub undecoded: u64,
    /// Payload bytes on the wire of the messages that were inflated.
    pub wire_bytes: u64,
    /// Bytes that came out of them.
    pub inflated_bytes: u64,
    /// The largest of them, inflated.
    pub largest_inflated: u64,
    /// Since when the history that messages refer to has been incomplete: nothing is inflated from there on.
    pub poisoned: Option<Stamp>,
    /// Messages that did not inflate although their history was whole.
    pub failures: u64,
    /// Messages abandoned because they exceeded the bounds on inflated bytes.
    pub limit_hits: u64,
}
