//! Which protocol a connection's first bytes belong to: TLS, HTTP/1, HTTP/2, WebSocket frames or none of these.
//!
//! Events are buffered, within bounds, until the protocols can be told apart. A WebSocket picked up in the middle is
//! believed only with [`Likeness::STRONG_BITS`] of evidence. Nothing here feeds a layer or changes what was sent.

use crate::http::{self, Http};
use crate::http2::Http2;
use crate::stream::{Direction, End, GapCause, Sniff, Stamp, StreamEvent};
use crate::tls::{self, Tls};
use crate::websocket::{Likeness, Strength, looks_like_websocket};

/// Most bytes buffered per connection while its protocol is unknown.
const MAX_BUFFERED_BYTES: usize = 32 << 10;
/// Most events buffered likewise.
const MAX_BUFFERED_EVENTS: usize = 64;
/// How many bytes of one direction are enough to recognise any of the protocols.
const ENOUGH: usize = 24;

/// What a connection carries on top of TCP, or inside of TLS or a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// None of the others.
    Foreign,
    Tls,
    Http,
    Http2,
    WebSocket,
}

/// What the buffered bytes turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Detection {
    pub(super) protocol: Protocol,
    /// What was taken for the client is the server.
    pub(super) roles_swapped: bool,
}

/// An event that waits for its layer.
#[derive(Debug)]
pub(super) struct BufferedEvent {
    pub(super) stamp: Stamp,
    pub(super) direction: Direction,
    event: OwnedEvent,
}

/// A [`StreamEvent`] with bytes of its own.
#[derive(Debug)]
enum OwnedEvent {
    Data { offset: u64, bytes: Box<[u8]> },
    Gap { offset: u64, len: u64, cause: GapCause },
    End(End),
}

impl BufferedEvent {
    pub(super) fn event(&self) -> StreamEvent<'_> {
        match self.event {
            OwnedEvent::Data { offset, ref bytes } => StreamEvent::Data { offset, bytes },
            OwnedEvent::Gap { offset, len, cause } => StreamEvent::Gap { offset, len, cause },
            OwnedEvent::End(end) => StreamEvent::End(end),
        }
    }
}

impl From<StreamEvent<'_>> for OwnedEvent {
    fn from(event: StreamEvent<'_>) -> Self {
        match event {
            StreamEvent::Data { offset, bytes } => OwnedEvent::Data { offset, bytes: bytes.into() },
            StreamEvent::Gap { offset, len, cause } => OwnedEvent::Gap { offset, len, cause },
            StreamEvent::End(end) => OwnedEvent::End(end),
        }
    }
}

/// Buffers the events of a connection until its protocol is known.
#[derive(Debug, Default)]
pub(super) struct Detector {
    buffered: Vec<BufferedEvent>,
    buffered_bytes: usize,
    /// Evidence in bits that these are WebSocket frames, with the roles as assumed and with the roles swapped.
    frame_bits: [u16; 2],
    /// How many buffered events were already examined for such evidence.
    examined: usize,
}

impl Detector {
    /// Whether no event waits.
    pub(super) fn is_empty(&self) -> bool {
        self.buffered.is_empty()
    }

    /// Buffers an event.
    pub(super) fn push(&mut self, stamp: Stamp, direction: Direction, event: StreamEvent<'_>) {
        if let StreamEvent::Data { bytes, .. } = event {
            self.buffered_bytes += bytes.len();
        }
        // The bounds are checked after every segment, by `detect`: the events of one segment may exceed them.
        self.buffered.push(BufferedEvent { stamp, direction, event: event.into() });
    }

    /// The buffered events in order.
    pub(super) fn into_events(self) -> Vec<BufferedEvent> {
        self.buffered
    }

    /// Recognises the protocol; `None` while more bytes are needed. `mid_stream`: the beginning was not captured, and
    /// either end may be the client. `last`: nothing follows, so that a protocol is always named.
    pub(super) fn detect(&mut self, inside_tls: bool, mid_stream: bool, last: bool) -> Option<Detection> {
        let client = if mid_stream { None } else { self.first_bytes(Direction::ToServer) };
        let detection = match client {
            Some(client) if client.is_empty() => None,
            Some(client) => recognise(&client, inside_tls).map(|protocol| Detection { protocol, roles_swapped: false }),
            None => self.detect_mid_stream(inside_tls),
        };
        let give_up = Detection { protocol: Protocol::Foreign, roles_swapped: false };
        detection.or_else(|| (last || self.is_full()).then_some(give_up))
    }

    /// The first bytes of a direction; `None` when they are missing.
    fn first_bytes(&self, direction: Direction) -> Option<Vec<u8>> {
        let mut first = Vec::new();
        for buffered in self.buffered.iter().filter(|buffered| buffered.direction == direction) {
            match &buffered.event {
                OwnedEvent::Data { bytes, .. } => first.extend_from_slice(&bytes[..bytes.len().min(ENOUGH)]),
                OwnedEvent::Gap { .. } if first.is_empty() => return None,
                OwnedEvent::Gap { .. } | OwnedEvent::End(_) => break,
            }
            if first.len() >= ENOUGH {
                break;
            }
        }
        Some(first)
    }

    fn is_full(&self) -> bool {
        self.buffered_bytes > MAX_BUFFERED_BYTES || self.buffered.len() > MAX_BUFFERED_EVENTS
    }

    /// Recognises the protocol in the middle of a connection, where either end may be the client.
    fn detect_mid_stream(&mut self, inside_tls: bool) -> Option<Detection> {
        for index in std::mem::replace(&mut self.examined, self.buffered.len())..self.buffered.len() {
            let buffered = &self.buffered[index];
            let OwnedEvent::Data { bytes, .. } = &buffered.event else { continue };
            let from_server = buffered.direction == Direction::ToClient;
            let found = |protocol, roles_swapped| Some(Detection { protocol, roles_swapped });
            match Http::sniff(bytes) {
                http::Sniff::Request | http::Sniff::ProxyHeader => return found(Protocol::Http, from_server),
                http::Sniff::Response => return found(Protocol::Http, !from_server),
                http::Sniff::Maybe | http::Sniff::No => {}
            }
            if !inside_tls {
                if Tls::sniff(bytes) == tls::Sniff::Yes {
                    return found(Protocol::Tls, from_server);
                }
                if Tls::sniff_midstream(bytes) == tls::Sniff::Yes {
                    return found(Protocol::Tls, false);
                }
            }
            let Likeness { strength, masked, bits } = looks_like_websocket(bytes);
            // RFC 6455 §5.1: the client masks, the server does not.
            let roles_swapped = masked == from_server;
            if strength == Strength::Strong {
                return found(Protocol::WebSocket, roles_swapped);
            }
            let evidence = &mut self.frame_bits[usize::from(roles_swapped)];
            *evidence = if strength == Strength::No { 0 } else { evidence.saturating_add(bits) };
            if *evidence >= Likeness::STRONG_BITS {
                return found(Protocol::WebSocket, roles_swapped);
            }
        }
        None
    }
}

/// Whether a client that begins with these bytes certainly speaks HTTP/1.
pub(super) fn begins_http(bytes: &[u8]) -> bool {
    recognise(&bytes[..bytes.len().min(ENOUGH)], false) == Some(Protocol::Http)
}

/// The protocol of a client that begins with these bytes; `None` while more are needed.
fn recognise(first: &[u8], inside_tls: bool) -> Option<Protocol> {
    // No two of them take the same bytes for theirs.
    let http = Http::sniff(first);
    if matches!(http, http::Sniff::Request | http::Sniff::ProxyHeader) {
        return Some(Protocol::Http);
    }
    let tls = if inside_tls { tls::Sniff::No } else { Tls::sniff(first) };
    match (tls, Http2::sniff(first), http) {
        (tls::Sniff::Yes, ..) => Some(Protocol::Tls),
        (_, Sniff::Yes, _) => Some(Protocol::Http2),
        (tls::Sniff::Maybe, ..) | (_, Sniff::Maybe, _) | (.., http::Sniff::Maybe) => None,
        _ => Some(Protocol::Foreign),
    }
}
