//! Decodes one WebSocket as an observer between the two ends (RFC 6455, RFC 7692).
//!
//! Fed what each direction sent after the opening handshake, it passes frames and messages to a [`Sink`] and gathers
//! [`WebSocketFacts`]. It never sends, never judges, never fails, and never reports a frame that was not sent: where
//! bytes are missing it records that, and reports nothing until it is provably in sync again.

#![forbid(unsafe_code)]

mod close;
mod decoder;
mod event;
mod facts;
mod foreign;
mod header;
mod inflate;
mod keepalive;
mod mask;
mod resync;
#[cfg(test)]
mod tests;
mod utf8;
mod violation;

use decoder::{Context, Decoder, DirectionState};

pub use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};
pub use event::{Frame, Message, MessageKind, MessageStart, Sink, TAP_BYTES, opcode};
pub use facts::{
    CloseFacts, CompressionFacts, CutFrame, DirectionFacts, FOREIGN_TEXT_KEPT, ForeignKind, ForeignText, GapFacts,
    LastMessage, MaskFacts, OpenMessage, Unusual, WebSocketFacts,
};
pub use keepalive::{Intervals, KeepaliveFacts, ROUND_TRIPS_KEPT, RoundTrips, UNANSWERED_KEPT, UnansweredPing};
pub use resync::{Likeness, Strength, looks_like_websocket};
pub use violation::{VIOLATIONS_KEPT, Violation, ViolationKind, Violations};

/// permessage-deflate as agreed in the 101 response (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The server promised not to refer to its earlier messages.
    pub server_no_context_takeover: bool,
    /// The client promised not to refer to its earlier messages.
    pub client_no_context_takeover: bool,
    /// The server's window as a power of two, 8 to 15.
    pub server_max_window_bits: u8,
    /// The client's window as a power of two, 8 to 15.
    pub client_max_window_bits: u8,
}

impl Default for Deflate {
    /// `permessage-deflate` without parameters: both windows 32 KiB and kept from message to message.
    fn default() -> Self {
        Deflate {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl Deflate {
    /// Whether the sender of `direction` promised not to refer to its earlier messages.
    #[must_use]
    pub(crate) const fn no_context_takeover(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.client_no_context_takeover,
            Direction::ToClient => self.server_no_context_takeover,
        }
    }
}

/// Where decoding begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Right after the opening handshake: the first byte of each direction is the first byte of a frame.
    #[default]
    Handshake,
    /// Somewhere in the middle, without the handshake. Each direction is `lost` until provably in sync.
    MidStream,
}

/// What is passed to the [`Sink`]. Facts are gathered in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Call [`Sink::frame`] for every frame.
    pub frames: bool,
    /// Call [`Sink::message`] for every data message.
    pub messages: bool,
    /// How much of each message to pass on, in bytes, at most [`Interest::PAYLOAD_LIMIT`]; 0: lengths only.
    pub payload_limit: u32,
}

impl Interest {
    /// Most bytes ever kept of one message.
    pub const PAYLOAD_LIMIT: u32 = 1 << 20;
    /// Facts only.
    pub const NONE: Interest = Interest { frames: false, messages: false, payload_limit: 0 };
    /// Frames and messages with their payload.
    pub const ALL: Interest = Interest { frames: true, messages: true, payload_limit: Self::PAYLOAD_LIMIT };

    /// How many bytes of each message [`Sink::message`] wants.
    const fn payload_bytes(&self) -> usize {
        match self {
            Interest { messages: true, payload_limit, .. } if *payload_limit < Self::PAYLOAD_LIMIT => {
                *payload_limit as usize
            }
            Interest { messages: true, .. } => Self::PAYLOAD_LIMIT as usize,
            Interest { messages: false, .. } => 0,
        }
    }
}

/// How to decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// permessage-deflate, if the 101 response agreed to it. `None` with [`Start::MidStream`] means unknown.
    pub deflate: Option<Deflate>,
    /// Where decoding begins.
    pub start: Start,
    /// What is passed to the sink.
    pub interest: Interest,
}

/// The decoder of one WebSocket, both directions.
pub struct WebSocket {
    context: Context,
    directions: [DirectionState; 2],
    facts: Box<WebSocketFacts>,
}

impl WebSocket {
    /// A decoder that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { deflate, start, interest } = options;
        let mid_stream = start == Start::MidStream;
        let context = Context { deflate, mid_stream, interest };
        let mut facts = Box::new(WebSocketFacts { deflate, mid_stream, ..WebSocketFacts::default() });
        if mid_stream {
            for direction in Direction::BOTH {
                let gaps = &mut facts[direction].unusual_mut().gaps;
                gaps.lost = true;
                gaps.times_lost = 1;
            }
        }
        WebSocket {
            context,
            directions: Direction::BOTH.map(|direction| DirectionState::new(direction, &context)),
            facts,
        }
    }

    /// Reads the memory that the next bytes will need, so that it is in the cache then. The value means nothing.
    #[must_use]
    pub(crate) fn prefetch(&self) -> u64 {
        Direction::BOTH.iter().fold(0, |sum, direction| {
            sum ^ self.directions[direction.index()].prefetch() ^ self.facts[*direction].prefetch()
        })
    }

    /// Takes the next event of `direction`; `stamp` is the packet that carried it.
    #[inline]
    pub fn feed(&mut self, stamp: Stamp, direction: Direction, event: StreamEvent<'_>, sink: &mut impl Sink) {
        let (own, peer) = self.facts.split(direction);
        let state = &mut self.directions[direction.index()];
        let mut decoder = Decoder { state, own, peer, context: &self.context, direction, stamp, sink };
        match event {
            StreamEvent::Data { offset, bytes } => decoder.data(offset, bytes),
            StreamEvent::Gap { offset, len, cause } => decoder.gap(offset, len, cause),
            StreamEvent::End(end) => decoder.end(end),
        }
    }

    /// Frees memory that an idle connection does not need: with context takeover, a direction shrinks from about 47 KiB
    /// to its window of at most 32 KiB. Decoding is not affected, only a little slower at first.
    pub fn shrink(&mut self) {
        self.directions.iter_mut().for_each(DirectionState::shrink);
    }

    /// Whether it holds windows of compressed messages.
    #[must_use]
    pub(crate) fn holds_windows(&self) -> bool {
        self.directions.iter().any(DirectionState::holds_window)
    }

    /// Bytes on the heap, estimated: for the tests of the bounds.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.directions.iter().map(DirectionState::memory).sum()
    }

    /// The facts gathered so far.
    #[must_use]
    pub fn facts(&self) -> &WebSocketFacts {
        &self.facts
    }

    /// The facts at the end.
    #[must_use]
    pub fn into_facts(self) -> Box<WebSocketFacts> {
        self.facts
    }
}
