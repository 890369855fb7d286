//! Files what the layers report: facts into the record under construction, events to whoever wants them.

use super::event::{Context, Ends, EntryEvent, EntrySink};
use super::record::{ConnectionRecord, Entry, Layers, Limits, MAX_ENTRIES, MAX_PLAIN};
use super::tap::TappedWebSocket;
use crate::http::{Compression, Ended, Exchange, ExchangeKind, HttpEvent, HttpFact};
use crate::http2::Http2Facts;
use crate::packet::Stamp;
use crate::stream::{Direction, End, StreamEvent};
use crate::tcp::{Connection, Opening};
use crate::tls::TlsFacts;
use crate::websocket::{Deflate, Likeness, Options, Start, Strength, WebSocket, looks_like_websocket};

/// The record under construction.
#[derive(Debug, Default)]
pub(super) struct RecordBuilder {
    entries: Vec<Entry>,
    /// How each direction ended, by [`Direction::index`].
    ends: [Option<(Stamp, End)>; 2],
    rare: Option<Box<Rare>>,
    pub(super) has_payload: bool,
    pub(super) has_http: bool,
    pub(super) in_tunnel: bool,
    pub(super) tls_in_tunnel: bool,
    /// Evidence, in bits, that frames follow an answer that was not captured.
    frame_bits: u16,
    /// Index of the entry whose frames are being read, below [`MAX_ENTRIES`].
    current: u16,
}

/// Parts of a record that few connections have, apart so that the others stay small.
#[derive(Debug, Default)]
struct Rare {
    connect: Option<Box<Exchange>>,
    http2: Option<Box<Http2Facts>>,
    plain: Vec<Exchange>,
    limits: Limits,
}

impl RecordBuilder {
    #[cold]
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The first entry, if there is any.
    pub(super) fn first_entry(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// Whether nothing was filed that a record is kept for.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.rare.as_ref().is_none_or(|rare| rare.connect.is_none() && rare.plain.is_empty())
    }

    /// Files the end of a direction; the first one counts.
    pub(super) fn end(&mut self, direction: Direction, stamp: Stamp, end: End) {
        self.ends[direction.index()].get_or_insert((stamp, end));
    }

    /// The client is the server, and the server is the client.
    pub(super) fn swap_roles(&mut self) {
        self.ends.swap(0, 1);
    }

    /// Files an entry, if there is room. Returns its index.
    pub(super) fn add_entry(&mut self, entry: Entry) -> Option<u32> {
        if self.entries.len() >= MAX_ENTRIES {
            self.rare().limits.entries += 1;
            return None;
        }
        // Most connections carry one.
        if self.entries.is_empty() {
            self.entries.reserve_exact(1);
        }
        self.entries.push(entry);
        Some(self.entries.len() as u32 - 1)
    }

    /// The index that the next entry will have.
    fn next_entry(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Notes the last packet that brought bytes of an entry, or ended it.
    #[inline]
    pub(super) fn set_last_packet(&mut self, entry: u32, stamp: Stamp) {
        if let Some(entry) = self.entries.get_mut(entry as usize) {
            entry.last = stamp;
        }
    }

    /// The entry whose frames are being read.
    #[inline]
    pub(super) fn current_entry(&self) -> u32 {
        u32::from(self.current)
    }

    /// Files the facts of the WebSocket that the connection itself carried.
    pub(super) fn websocket(&mut self, tapped: TappedWebSocket) {
        if let Some(entry) = self.entries.get_mut(usize::from(self.current)) {
            file_websocket(entry, tapped);
        }
    }

    /// Files the facts of HTTP/2: those of each WebSocket's stream with its entry, the rest with the connection.
    /// `sockets` are stream, entry and WebSocket.
    #[inline(never)]
    pub(super) fn http2(
        &mut self,
        mut facts: Http2Facts,
        sockets: impl Iterator<Item = (u32, u32, Option<TappedWebSocket>)>,
    ) {
        for (stream, entry, websocket) in sockets {
            let Some(entry) = self.entries.get_mut(entry as usize) else { continue };
            if let Some(at) = facts.websockets.iter().position(|known| known.id == stream) {
                entry.http2 = Some(Box::new(facts.websockets.swap_remove(at)));
            }
            if let Some(tapped) = websocket {
                file_websocket(entry, tapped);
            }
        }
        self.rare().http2 = Some(Box::new(facts));
    }

    /// Whether the bytes since the answer was lost can hardly be anything but WebSocket frames: each segment from
    /// its first byte on, masked from the client and unmasked from the server (RFC 6455 §5.1).
    pub(super) fn are_frames(&mut self, direction: Direction, event: StreamEvent<'_>) -> bool {
        let StreamEvent::Data { bytes, .. } = event else { return false };
        let Likeness { strength, masked, bits } = looks_like_websocket(bytes);
        let fits = strength != Strength::No && masked == (direction == Direction::ToServer);
        self.frame_bits = if fits { self.frame_bits.saturating_add(bits) } else { 0 };
        self.frame_bits >= Likeness::STRONG_BITS
    }

    /// The finished record; `None` if nothing about the connection is worth reporting.
    pub(super) fn finish(mut self, tcp: &mut Connection, tls: Option<Box<TlsFacts>>) -> Option<Box<ConnectionRecord>> {
        let rare = self.rare.map_or_else(Rare::default, |rare| *rare);
        self.entries.shrink_to_fit();
        let layers = if !self.entries.is_empty() {
            Layers::WebSocket
        } else if tls.is_some() {
            Layers::Tls
        } else if self.has_http {
            Layers::Http
        } else if self.has_payload {
            Layers::Foreign
        } else {
            Layers::None
        };
        let wanted = match layers {
            Layers::WebSocket | Layers::Tls => true,
            Layers::None => matches!(tcp.facts().opening, Opening::Refused | Opening::Unanswered),
            Layers::Http | Layers::Foreign => rare.connect.is_some() || !rare.plain.is_empty(),
        };
        wanted.then(|| {
            let record = ConnectionRecord {
                tcp: tcp.take_facts(),
                tls,
                tls_in_tunnel: self.tls_in_tunnel,
                connect: rare.connect,
                http2: rare.http2,
                entries: self.entries,
                plain: rare.plain,
                layers,
                ends: self.ends,
                limits: rare.limits,
            };
            // Written in its place, once.
            Box::write(Box::new_uninit(), record)
        })
    }
}

/// Where a layer's findings go, and what it needs from outside.
pub(super) struct Reporter<'r, S> {
    pub(super) builder: &'r mut RecordBuilder,
    /// What HTTP reports of one event; empty in between.
    pub(super) http_events: &'r mut Vec<HttpEvent>,
    pub(super) ends: &'r Ends,
    pub(super) context: &'r Context<'r>,
    pub(super) sink: &'r mut S,
}

impl<S: EntrySink> Reporter<'_, S> {
    /// Passes an event of an entry on.
    pub(super) fn emit(&mut self, stamp: Stamp, entry: u32, event: EntryEvent<'_>) {
        self.sink.event(stamp, *self.ends, entry, event);
    }

    /// Files what HTTP reported, in order.
    pub(super) fn file_http_events(&mut self) {
        // There is hardly ever more than one.
        self.http_events.reverse();
        while let Some(event) = self.http_events.pop() {
            match event {
                HttpEvent::Attempt { kind: ExchangeKind::WebSocket, stamp } => {
                    self.emit(stamp, self.builder.next_entry(), EntryEvent::Opened(None));
                }
                HttpEvent::Attempt { .. } => {}
                HttpEvent::Exchange(exchange) => self.file_exchange(exchange),
                HttpEvent::Fact(fact) => self.file_http_fact(&fact),
            }
        }
    }

    fn file_exchange(&mut self, exchange: Box<Exchange>) {
        match exchange.kind {
            ExchangeKind::WebSocket => {
                let last = last_stamp(&exchange);
                self.emit(last, self.builder.next_entry(), EntryEvent::Handshake(&exchange));
                let first = first_stamp(&exchange);
                self.builder.add_entry(Entry { first, last, handshake: Some(exchange), ..Entry::default() });
            }
            ExchangeKind::Connect => self.builder.rare().connect = Some(exchange),
            ExchangeKind::Plain | ExchangeKind::Upgrade | ExchangeKind::Unknown => {
                let rare = self.builder.rare();
                if rare.plain.len() < MAX_PLAIN {
                    rare.plain.push(*exchange);
                } else {
                    rare.limits.exchanges += 1;
                }
            }
        }
    }

    /// Counts the bounds that HTTP reached; its other facts are not kept.
    #[cold]
    fn file_http_fact(&mut self, fact: &HttpFact) {
        let limits = &mut self.builder.rare().limits;
        match fact {
            HttpFact::HeadTooLarge { .. } => limits.head_bytes += 1,
            HttpFact::TooManyPending { .. } => limits.pending_requests += 1,
            HttpFact::EarlyDataTooLarge { .. } => limits.early_data_bytes += 1,
            HttpFact::Lost { .. } | HttpFact::Restarted { .. } | HttpFact::NotHttp { .. } => {}
        }
    }

    /// Begins the WebSocket whose handshake was filed last, or one whose handshake was not captured. `proven`: its
    /// first byte is the first of a frame. `None` when no further entry is kept.
    pub(super) fn open_websocket(
        &mut self,
        stamp: Stamp,
        after_handshake: bool,
        proven: bool,
        compression: Compression,
    ) -> Option<TappedWebSocket> {
        let has_entry = after_handshake && self.builder.entries.last().is_some_and(|entry| entry.websocket.is_none());
        if !has_entry {
            let entry = self.builder.add_entry(Entry { first: stamp, last: stamp, ..Entry::default() })?;
            self.emit(stamp, entry, EntryEvent::Opened(None));
        }
        self.builder.current = self.builder.entries.len().saturating_sub(1) as u16;
        let proven = proven && compression != Compression::Unknown;
        Some(new_websocket(compression, proven, self.context))
    }
}

/// A WebSocket that has seen nothing yet. `after_handshake`: it begins with the first byte behind its handshake, and
/// what was agreed is known.
pub(super) fn new_websocket(compression: Compression, after_handshake: bool, context: &Context<'_>) -> TappedWebSocket {
    let start = if after_handshake { Start::Handshake } else { Start::MidStream };
    TappedWebSocket::new(WebSocket::new(Options { deflate: deflate(compression), start, interest: context.interest }))
}

/// Files the facts of a WebSocket, and what its recognisers made of it.
fn file_websocket(entry: &mut Entry, tapped: TappedWebSocket) {
    let TappedWebSocket { websocket, recognisers } = tapped;
    entry.application = recognisers.into_application(negotiated_subprotocol(entry));
    entry.websocket = Some(websocket.into_facts());
}

/// The subprotocol that the server selected.
fn negotiated_subprotocol(entry: &Entry) -> Option<&str> {
    const NAME: &str = "sec-websocket-protocol";
    match entry.handshake.as_deref().and_then(Exchange::response) {
        Some(response) => response.head.headers(NAME).next(),
        None => entry.http2.as_ref()?.response.as_ref()?.field(NAME),
    }
}

/// The parameters in the WebSocket layer's terms.
fn deflate(compression: Compression) -> Option<Deflate> {
    match compression {
        Compression::On(agreed) => Some(Deflate {
            server_no_context_takeover: agreed.server_no_context_takeover,
            client_no_context_takeover: agreed.client_no_context_takeover,
            server_max_window_bits: agreed.server_max_window_bits,
            client_max_window_bits: agreed.client_max_window_bits,
        }),
        Compression::Off | Compression::Unknown => None,
    }
}

/// The packet with which an exchange began.
fn first_stamp(exchange: &Exchange) -> Stamp {
    match (&exchange.request, exchange.response()) {
        (Some(request), _) => request.head.first,
        (None, Some(response)) => response.head.first,
        (None, None) => last_stamp(exchange),
    }
}

/// The packet with which an exchange ended, as far as it did.
fn last_stamp(exchange: &Exchange) -> Stamp {
    match exchange.ended {
        Ended::Complete { stamp }
        | Ended::Switched { stamp }
        | Ended::Cut { stamp, .. }
        | Ended::Lost { stamp, .. } => stamp,
    }
}
