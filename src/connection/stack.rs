//! The composition of one connection's layers: the only file that names them all.
//!
//! ```text
//!  tcp ─► [tls] ─► undecided ─► http ─► websocket
//!                       │         └───► tunnel ─► undecided …        (2xx to CONNECT)
//!                       ├──────► http2 ─► websocket, one per stream
//!                       ├──────► websocket                           (picked up mid-stream)
//!                       └──────► foreign
//! ```
//!
//! Layers never call each other. This file drains one and feeds the next, decides what first bytes are, and
//! swaps HTTP for WebSocket with the bytes that followed the 101. It forms no opinion.

use std::fmt;

use super::record::{ConnectionRecord, Entry, Layers, MAX_ENTRIES, MAX_HTTP_FACTS, MAX_PLAIN};
use crate::http::extension::ExtensionList;
use crate::http::{self, Compression, Ended, Exchange, ExchangeKind, Http, HttpEvent, Step, Switch, SwitchTo};
use crate::http2::{self, Http2, Http2Event, WebSocketStream};
use crate::packet::{Endpoint, Segment, Stamp};
use crate::stream::{Direction, End, Sniff, StreamEvent};
use crate::tcp::{Connection, Opening};
use crate::tls::{self, KeyLog, Tls};
use crate::websocket::{
    self, Deflate, Frame, Likeness, Message, Options, Sink, Start, Strength, WebSocket, looks_like_websocket,
};

/// TLS secrets.
pub type Keys = KeyLog;

/// Most bytes held back per connection while nothing is known about them.
const MAX_HELD: usize = 32 << 10;
/// Most events held back likewise.
const MAX_HELD_EVENTS: usize = 64;
/// Bytes of one direction that are enough to tell any protocol we know.
const ENOUGH: usize = 24;

/// Which frames and messages are wanted as events; facts are gathered in any case.
pub type Interest = websocket::Interest;

/// What a connection needs from outside.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// TLS secrets known at this point of the capture.
    pub keys: &'a Keys,
    /// Which events are wanted.
    pub interest: Interest,
}

/// What a layer reports as it happens.
#[derive(Debug)]
pub enum EntryEvent<'a> {
    /// A WebSocket was asked for, or found running; on this HTTP/2 stream, if it is carried by one.
    Opened(Option<u32>),
    /// The opening handshake is over, well or badly.
    Handshake(&'a Exchange),
    /// A frame passed.
    Frame(&'a Frame),
    /// A message passed.
    Message(&'a Message<'a>),
}

#[derive(Debug)]
struct Held {
    stamp: Stamp,
    direction: Direction,
    event: HeldEvent,
}

#[derive(Debug)]
enum HeldEvent {
    Data(u64, Box<[u8]>),
    Gap(u64, u64, crate::stream::GapCause),
    End(End),
}

impl HeldEvent {
    fn of(event: StreamEvent<'_>) -> Self {
        match event {
            StreamEvent::Data { offset, bytes } => HeldEvent::Data(offset, bytes.into()),
            StreamEvent::Gap { offset, len, cause } => HeldEvent::Gap(offset, len, cause),
            StreamEvent::End(end) => HeldEvent::End(end),
        }
    }

    fn event(&self) -> StreamEvent<'_> {
        match self {
            HeldEvent::Data(offset, bytes) => StreamEvent::Data { offset: *offset, bytes },
            HeldEvent::Gap(offset, len, cause) => StreamEvent::Gap { offset: *offset, len: *len, cause: *cause },
            HeldEvent::End(end) => StreamEvent::End(*end),
        }
    }
}

#[derive(Debug, Default)]
struct Undecided {
    held: Vec<Held>,
    bytes: usize,
    /// Evidence in bits that these are frames, with the roles as guessed and with the roles swapped.
    likeness: [u16; 2],
    /// Held events already weighed.
    weighed: usize,
}

/// The usual layers lie in the connection itself: a short connection would spend its time on fetching memory for them.
#[allow(clippy::large_enum_variant, reason = "the large ones are the usual ones")]
enum Layer {
    Undecided(Undecided),
    Foreign,
    Http(Http),
    Http2(Box<Streams>),
    WebSocket(WebSocket),
}

/// HTTP/2 and the WebSockets that its streams carry (RFC 8441).
#[derive(Default)]
struct Streams {
    http2: Http2,
    sockets: Vec<Socket>,
}

struct Socket {
    stream: u32,
    entry: u32,
    websocket: Option<WebSocket>,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Undecided(_) => "undecided",
            Layer::Foreign => "foreign",
            Layer::Http(_) => "http",
            Layer::Http2(_) => "http2",
            Layer::WebSocket(_) => "websocket",
        })
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("tls", &self.tls.is_some()).field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl Default for Layer {
    fn default() -> Self {
        Layer::Undecided(Undecided::default())
    }
}

/// The layers of one connection.
#[derive(Default)]
pub struct Stack {
    layer: Layer,
    tls: Option<Box<Tls>>,
    parts: Parts,
    /// What HTTP reports of one event; empty in between.
    reports: Vec<HttpEvent>,
}

/// What the record will hold.
#[derive(Debug, Default)]
struct Parts {
    entries: Vec<Entry>,
    ends: [Option<(Stamp, End)>; 2],
    unusual: Option<Box<Unusual>>,
    spoke_http: bool,
    payload: bool,
    in_tunnel: bool,
    tls_in_tunnel: bool,
    /// Evidence, in bits, that frames follow an answer that was not captured.
    frame_bits: u16,
    /// Index of the entry whose frames are being read, below [`MAX_ENTRIES`].
    current: u16,
}

/// What hardly any record has.
#[derive(Debug, Default)]
struct Unusual {
    entries_not_kept: u64,
    connect: Option<Box<Exchange>>,
    proxy_header: Option<Box<http::ProxyHeader>>,
    http2: Option<Box<http2::Http2Facts>>,
    plain: Vec<Exchange>,
    http_facts: Vec<http::HttpFact>,
}

impl Stack {
    /// Layers that have seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the connection proved to be none of ours and nothing about it is worth keeping.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.layer, Layer::Foreign)
            && self.tls.is_none()
            && self.parts.entries.is_empty()
            && self.parts.unusual.as_ref().is_none_or(|unusual| unusual.connect.is_none() && unusual.plain.is_empty())
    }

    /// Reads what the next segment will need, so that it is at hand then.
    #[must_use]
    pub fn touch(&self) -> u64 {
        match &self.layer {
            Layer::WebSocket(websocket) => websocket.touch(),
            _ => 0,
        }
    }

    /// Whether it holds windows of compressed messages.
    #[must_use]
    pub fn holds_windows(&self) -> bool {
        match &self.layer {
            Layer::WebSocket(websocket) => websocket.holds_windows(),
            Layer::Http2(streams) => {
                streams.sockets.iter().filter_map(|socket| socket.websocket.as_ref()).any(WebSocket::holds_windows)
            }
            Layer::Undecided(_) | Layer::Foreign | Layer::Http(_) => false,
        }
    }

    /// Lets go of memory that an idle connection can do without.
    pub fn shrink(&mut self) {
        match &mut self.layer {
            Layer::WebSocket(websocket) => websocket.shrink(),
            Layer::Http2(streams) => {
                streams.sockets.iter_mut().filter_map(|socket| socket.websocket.as_mut()).for_each(WebSocket::shrink);
            }
            Layer::Undecided(_) | Layer::Foreign | Layer::Http(_) => {}
        }
    }

    /// Reads what the record will need likewise.
    #[must_use]
    pub fn touch_all(&self) -> u64 {
        let entry = self.parts.entries.first();
        let handshake = entry.and_then(|entry| entry.handshake.as_deref()).map_or(0, Exchange::touch);
        handshake ^ self.touch()
    }

    /// Takes one segment through all layers. `note` gets what they report: stamp, client and server, entry, event.
    #[inline]
    pub fn segment<N: Note>(
        &mut self,
        tcp: &mut Connection,
        segment: &Segment<'_>,
        context: &Context<'_>,
        note: &mut N,
    ) {
        let ends = ends_of(tcp);
        if matches!(self.layer, Layer::Undecided(_)) {
            return self.first_segment(tcp, segment, &ends, context, note);
        }
        tcp.segment(segment, &mut |stamp, direction, event| {
            self.take(stamp, direction, event, &ends, context, note);
        });
        if self.has_held() {
            self.settle(tcp, context, note, false);
        }
    }

    /// A segment before it is known what the connection carries.
    fn first_segment<N: Note>(
        &mut self,
        tcp: &mut Connection,
        segment: &Segment<'_>,
        ends: &Ends,
        context: &Context<'_>,
        note: &mut N,
    ) {
        // The roles of a connection whose beginning was seen are no guess.
        let certain = tcp.facts().opening != Opening::MidStream && self.tls.is_none();
        tcp.segment(segment, &mut |stamp, direction, event| {
            if certain
                && direction == Direction::ToServer
                && let StreamEvent::Data { bytes, .. } = event
                && let Layer::Undecided(undecided) = &self.layer
                && undecided.held.is_empty()
                && classify(&bytes[..bytes.len().min(ENOUGH)], false) == Guess::Is(Is::Http)
            {
                self.parts.spoke_http = true;
                self.layer = Layer::Http(Http::default());
            }
            self.take(stamp, direction, event, ends, context, note);
        });
        if self.has_held() {
            self.settle(tcp, context, note, false);
        }
    }

    /// Nothing more will come.
    pub fn finish<N: Note>(&mut self, tcp: &mut Connection, end: End, context: &Context<'_>, note: &mut N) {
        let ends = ends_of(tcp);
        tcp.finish(end, &mut |stamp, direction, event| {
            self.take(stamp, direction, event, &ends, context, note);
        });
        if self.has_held() {
            self.settle(tcp, context, note, true);
        }
    }

    /// Whether there are bytes that wait to be understood.
    #[inline]
    fn has_held(&self) -> bool {
        matches!(&self.layer, Layer::Undecided(undecided) if !undecided.held.is_empty())
    }

    /// Closes the books, and is ready for another connection. `None` when there is nothing that anybody would want to
    /// know.
    #[must_use]
    pub fn take_record(&mut self, tcp: &mut Connection) -> Option<Box<ConnectionRecord>> {
        self.collect();
        let tls = self.tls.take().map(|tls| Box::new(tls.facts().clone()));
        let mut parts = std::mem::take(&mut self.parts);
        let unusual = parts.unusual.map_or_else(Unusual::default, |unusual| *unusual);
        parts.entries.shrink_to_fit();
        let failed = matches!(tcp.facts().opening, Opening::Refused | Opening::Unanswered);
        let layers = if !parts.entries.is_empty() {
            Layers::WebSocket
        } else if tls.is_some() {
            Layers::Tls
        } else if parts.spoke_http {
            Layers::Http
        } else if parts.payload {
            Layers::Foreign
        } else {
            Layers::None
        };
        let wanted = match layers {
            Layers::WebSocket | Layers::Tls => true,
            Layers::None => failed,
            Layers::Http | Layers::Foreign => unusual.connect.is_some() || !unusual.plain.is_empty(),
        };
        wanted.then(|| {
            let record = ConnectionRecord {
                tcp: tcp.take_facts(),
                tls,
                tls_in_tunnel: parts.tls_in_tunnel,
                connect: unusual.connect,
                proxy_header: unusual.proxy_header,
                http2: unusual.http2,
                entries: parts.entries,
                entries_not_kept: unusual.entries_not_kept,
                plain: unusual.plain,
                http_facts: unusual.http_facts,
                layers,
                ends: parts.ends,
            };
            // Written in its place, once.
            Box::write(Box::new_uninit(), record)
        })
    }

    /// Bytes as TCP delivers them.
    #[inline]
    fn take<N: Note>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        ends: &Ends,
        context: &Context<'_>,
        note: &mut N,
    ) {
        match event {
            StreamEvent::End(end) => {
                self.parts.ends[direction.index()].get_or_insert((stamp, end));
            }
            _ => self.parts.payload = true,
        }
        let Self { layer, tls, parts, reports } = self;
        let mut desk = Desk { parts, reports, ends, context, note };
        match tls {
            None => layer.feed(stamp, direction, event, &mut desk),
            Some(tls) => tls.feed(stamp, direction, event, context.keys, &mut |stamp, direction, event| {
                layer.feed(stamp, direction, event, &mut desk);
            }),
        }
    }

    /// Decides what held bytes are, as often as a decision uncovers a further layer.
    #[cold]
    fn settle<N: Note>(&mut self, tcp: &mut Connection, context: &Context<'_>, note: &mut N, last: bool) {
        while let Layer::Undecided(undecided) = &mut self.layer {
            if undecided.held.is_empty() {
                return;
            }
            let mid_stream = !self.parts.in_tunnel && self.tls.is_none() && tcp.facts().opening == Opening::MidStream;
            let Some(Verdict { is, swapped }) = undecided.decide(self.tls.is_some(), mid_stream, last) else { return };
            let Layer::Undecided(undecided) = std::mem::take(&mut self.layer) else { return };
            let mut held = undecided.held;
            if swapped {
                tcp.swap_roles();
                held.iter_mut().for_each(|held| held.direction = held.direction.reverse());
                self.parts.ends.swap(0, 1);
            }
            let ends = ends_of(tcp);
            match is {
                Is::Foreign => {
                    self.layer = Layer::Foreign;
                    return;
                }
                Is::Tls => {
                    self.tls = Some(Box::new(Tls::new()));
                    self.parts.tls_in_tunnel = self.parts.in_tunnel;
                }
                Is::Http => {
                    self.parts.spoke_http = true;
                    self.layer = Layer::Http(Http::default());
                }
                Is::Http2 => {
                    self.parts.spoke_http = true;
                    self.layer = Layer::Http2(Box::default());
                }
                Is::WebSocket => {
                    let first = held.first().map_or(tcp.facts().first, |held| held.stamp);
                    let Self { parts, reports, .. } = self;
                    let mut desk = Desk { parts, reports, ends: &ends, context, note };
                    self.layer = desk.open_websocket(first, false, false, Compression::Unknown);
                }
            }
            for held in &held {
                let (stamp, direction, event) = (held.stamp, held.direction, held.event.event());
                if is == Is::Tls {
                    self.take(stamp, direction, event, &ends, context, note);
                } else {
                    let Self { layer, parts, reports, .. } = self;
                    layer.feed(stamp, direction, event, &mut Desk { parts, reports, ends: &ends, context, note });
                }
            }
        }
    }

    /// Moves what the layers know into the parts of the record.
    fn collect(&mut self) {
        match std::mem::take(&mut self.layer) {
            Layer::WebSocket(websocket) => {
                if let Some(entry) = self.parts.entries.get_mut(self.parts.current as usize) {
                    entry.websocket = Some(websocket.into_facts());
                }
            }
            Layer::Http2(streams) => streams.collect(&mut self.parts),
            Layer::Http(_) | Layer::Undecided(_) | Layer::Foreign => {}
        }
    }
}

impl Streams {
    fn feed<N: Note>(&mut self, stamp: Stamp, direction: Direction, event: StreamEvent<'_>, desk: &mut Desk<'_, N>) {
        let Self { http2, sockets } = self;
        http2.feed(stamp, direction, event, &mut |stream, stamp, event| match event {
            Http2Event::Request(_) => {
                if desk.parts.entries.len() >= MAX_ENTRIES {
                    desk.parts.unusual().entries_not_kept += 1;
                    return;
                }
                let entry = desk.parts.entries.len() as u32;
                desk.parts.entries.push(Entry {
                    http2_stream: Some(stream),
                    first: stamp,
                    last: stamp,
                    ..Entry::default()
                });
                sockets.push(Socket { stream, entry, websocket: None });
                desk.note.note(stamp, *desk.ends, entry, EntryEvent::Opened(Some(stream)));
            }
            Http2Event::Response(exchange) => {
                if let Some(socket) = sockets.iter_mut().find(|socket| socket.stream == stream)
                    && exchange.accepted() == Some(true)
                {
                    let compression = agreed(exchange);
                    let start = if compression == Compression::Unknown { Start::MidStream } else { Start::Handshake };
                    let options = Options { deflate: deflate(compression), start, interest: desk.context.interest };
                    socket.websocket = Some(WebSocket::new(options));
                }
            }
            Http2Event::Stream(direction, event) => {
                let Some(socket) = sockets.iter_mut().find(|socket| socket.stream == stream) else { return };
                if let Some(websocket) = &mut socket.websocket {
                    let entry = socket.entry;
                    let mut frames = Frames { note: desk.note, ends: desk.ends, entry };
                    websocket.feed(stamp, direction, event, &mut frames);
                }
                if let Some(entry) = desk.parts.entries.get_mut(socket.entry as usize) {
                    entry.last = stamp;
                }
            }
        });
    }

    #[inline(never)]
    fn collect(self, parts: &mut Parts) {
        let mut facts = self.http2.into_facts();
        for socket in self.sockets {
            let Some(entry) = parts.entries.get_mut(socket.entry as usize) else { continue };
            entry.websocket = socket.websocket.map(WebSocket::into_facts);
            if let Some(at) = facts.websockets.iter().position(|known| known.id == socket.stream) {
                entry.http2 = Some(Box::new(facts.websockets.swap_remove(at)));
            }
        }
        parts.unusual().http2 = Some(Box::new(facts));
    }
}

/// What was agreed on compression by the headers of an extended CONNECT and its answer.
fn agreed(stream: &WebSocketStream) -> Compression {
    let Some(response) = &stream.response else { return Compression::Unknown };
    let whole = |head: &http2::Head| !head.truncated && head.unknown_fields == 0;
    let (compression, _) = http::deflate::negotiate(
        &ExtensionList::parse(stream.request.values("sec-websocket-extensions")),
        whole(&stream.request),
        &ExtensionList::parse(response.values("sec-websocket-extensions")),
        whole(response),
    );
    compression
}

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

fn ends_of(tcp: &Connection) -> Ends {
    Ends { client: tcp.facts().client, server: tcp.facts().server }
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The end that opened the connection.
    pub client: Endpoint,
    /// The other.
    pub server: Endpoint,
}

/// Receives what the layers report.
pub trait Note {
    /// Takes note of one event of the entry with this index.
    fn note(&mut self, stamp: Stamp, ends: Ends, entry: u32, event: EntryEvent<'_>);
}

impl<F: FnMut(Stamp, Ends, u32, EntryEvent<'_>)> Note for F {
    fn note(&mut self, stamp: Stamp, ends: Ends, entry: u32, event: EntryEvent<'_>) {
        self(stamp, ends, entry, event);
    }
}

/// Hands frames and messages of one entry on.
struct Frames<'n, N> {
    note: &'n mut N,
    ends: &'n Ends,
    entry: u32,
}

impl<N: Note> Sink for Frames<'_, N> {
    fn frame(&mut self, frame: &Frame) {
        self.note.note(frame.last, *self.ends, self.entry, EntryEvent::Frame(frame));
    }

    fn message(&mut self, message: &Message<'_>) {
        self.note.note(message.last, *self.ends, self.entry, EntryEvent::Message(message));
    }
}

impl Layer {
    #[inline(always)]
    fn feed<N: Note>(&mut self, stamp: Stamp, direction: Direction, event: StreamEvent<'_>, desk: &mut Desk<'_, N>) {
        match self {
            Layer::WebSocket(websocket) => {
                let entry = u32::from(desk.parts.current);
                websocket.feed(stamp, direction, event, &mut Frames { note: desk.note, ends: desk.ends, entry });
                if let Some(entry) = desk.parts.entries.get_mut(entry as usize) {
                    entry.last = stamp;
                }
            }
            _ => self.feed_other(stamp, direction, event, desk),
        }
    }

    /// Any layer but a WebSocket takes what happened; that one is told apart first, since most packets are its.
    #[inline(never)]
    fn feed_other<N: Note>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        desk: &mut Desk<'_, N>,
    ) {
        match self {
            Layer::WebSocket(_) => {}
            Layer::Undecided(undecided) => undecided.hold(stamp, direction, event),
            Layer::Foreign => {}
            Layer::Http2(streams) => streams.feed(stamp, direction, event, desk),
            Layer::Http(_) => self.feed_http(stamp, direction, event, desk),
        }
    }

    fn feed_http<N: Note>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        desk: &mut Desk<'_, N>,
    ) {
        let Layer::Http(http) = self else { return };
        if http.answer_lost() && desk.parts.frames_so_far(direction, event) {
            if let Some(mut switch) = http.switch_unseen(stamp, desk.reports) {
                desk.report();
                switch.next = Some(event);
                self.switch(stamp, direction, &switch, false, desk);
            }
            return;
        }
        let step = http.feed(stamp, direction, event, desk.reports);
        desk.report();
        match step {
            Step::More => {}
            Step::NotHttp => *self = Layer::Foreign,
            Step::Switch(switch) => {
                let proven = switch.starts.iter().all(|start| start.proven);
                self.switch(stamp, direction, &switch, proven, desk);
            }
        }
    }

    /// HTTP is over; the next layer gets what followed. `proven`: from its first byte on.
    fn switch<N: Note>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        switch: &Switch<'_>,
        proven: bool,
        desk: &mut Desk<'_, N>,
    ) {
        *self = match &switch.to {
            SwitchTo::WebSocket { compression, .. } => desk.open_websocket(stamp, true, proven, *compression),
            SwitchTo::Unknown => desk.open_websocket(stamp, true, false, Compression::Unknown),
            SwitchTo::Tunnel => {
                desk.parts.in_tunnel = true;
                Layer::default()
            }
            SwitchTo::Other(name) if name.eq_ignore_ascii_case("h2c") => Layer::Http2(Box::default()),
            SwitchTo::Other(_) => Layer::Foreign,
        };
        if !switch.early.is_empty() {
            for (stamp, direction, event) in switch.early.events() {
                self.feed(stamp, direction, event, desk);
            }
        }
        if let Some(event) = switch.next {
            self.feed(stamp, direction, event, desk);
        }
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

/// What a layer needs beside its bytes.
struct Desk<'d, N> {
    parts: &'d mut Parts,
    reports: &'d mut Vec<HttpEvent>,
    ends: &'d Ends,
    context: &'d Context<'d>,
    note: &'d mut N,
}

impl<N: Note> Desk<'_, N> {
    /// Files what HTTP reports, in order.
    fn report(&mut self) {
        // There is hardly ever more than one.
        self.reports.reverse();
        while let Some(report) = self.reports.pop() {
            match report {
                HttpEvent::Attempt { kind: ExchangeKind::WebSocket, stamp } => {
                    let entry = self.parts.entries.len() as u32;
                    self.note.note(stamp, *self.ends, entry, EntryEvent::Opened(None));
                }
                HttpEvent::Attempt { .. } => {}
                HttpEvent::Exchange(exchange) => self.file(exchange),
                HttpEvent::ProxyHeader(header) => {
                    self.parts.unusual().proxy_header.get_or_insert(header);
                }
                HttpEvent::Fact(fact) => {
                    let facts = &mut self.parts.unusual().http_facts;
                    if facts.len() < MAX_HTTP_FACTS {
                        facts.push(fact);
                    }
                }
            }
        }
    }

    fn file(&mut self, exchange: Box<Exchange>) {
        match exchange.kind {
            ExchangeKind::WebSocket => {
                let entry = self.parts.entries.len() as u32;
                let stamp = last_stamp(&exchange);
                self.note.note(stamp, *self.ends, entry, EntryEvent::Handshake(&exchange));
                self.parts.add_entry(Entry {
                    first: first_stamp(&exchange),
                    last: stamp,
                    handshake: Some(exchange),
                    ..Entry::default()
                });
            }
            ExchangeKind::Connect => self.parts.unusual().connect = Some(exchange),
            ExchangeKind::Plain | ExchangeKind::Upgrade | ExchangeKind::Unknown => {
                let plain = &mut self.parts.unusual().plain;
                if plain.len() < MAX_PLAIN {
                    plain.push(*exchange);
                }
            }
        }
    }

    /// A WebSocket begins: the one whose handshake was filed last, or one whose handshake nobody saw.
    fn open_websocket(&mut self, stamp: Stamp, shaken: bool, proven: bool, compression: Compression) -> Layer {
        let answered = shaken && self.parts.entries.last().is_some_and(|entry| entry.websocket.is_none());
        if !answered {
            let entry = self.parts.entries.len() as u32;
            if !self.parts.add_entry(Entry { first: stamp, last: stamp, ..Entry::default() }) {
                return Layer::Foreign;
            }
            self.note.note(stamp, *self.ends, entry, EntryEvent::Opened(None));
        }
        let start = if proven && compression != Compression::Unknown { Start::Handshake } else { Start::MidStream };
        self.parts.current = self.parts.entries.len().saturating_sub(1) as u16;
        let interest = self.context.interest;
        Layer::WebSocket(WebSocket::new(Options { deflate: deflate(compression), start, interest }))
    }
}

impl Parts {
    #[cold]
    fn unusual(&mut self) -> &mut Unusual {
        self.unusual.get_or_insert_default()
    }

    /// Whether the bytes since the answer was lost can hardly be anything but WebSocket frames: each segment from
    /// its first byte on, masked from the client and unmasked from the server (RFC 6455 §5.1).
    fn frames_so_far(&mut self, direction: Direction, event: StreamEvent<'_>) -> bool {
        let StreamEvent::Data { bytes, .. } = event else { return false };
        let Likeness { strength, masked, bits } = looks_like_websocket(bytes);
        let fits = strength != Strength::No && masked == (direction == Direction::ToServer);
        self.frame_bits = if fits { self.frame_bits.saturating_add(bits) } else { 0 };
        self.frame_bits >= Likeness::STRONG_BITS
    }

    /// Whether there was room for it.
    fn add_entry(&mut self, entry: Entry) -> bool {
        let room = self.entries.len() < MAX_ENTRIES;
        if room {
            // Most connections carry one.
            if self.entries.is_empty() {
                self.entries.reserve_exact(1);
            }
            self.entries.push(entry);
        } else {
            self.unusual().entries_not_kept += 1;
        }
        room
    }
}

/// What held bytes turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Foreign,
    Tls,
    Http,
    Http2,
    WebSocket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    is: Is,
    /// The roles were guessed the wrong way round.
    swapped: bool,
}

impl Undecided {
    fn hold(&mut self, stamp: Stamp, direction: Direction, event: StreamEvent<'_>) {
        if let StreamEvent::Data { bytes, .. } = event {
            self.bytes += bytes.len();
        }
        // The bounds are checked when it is decided, after every segment: one segment's worth may exceed them.
        self.held.push(Held { stamp, direction, event: HeldEvent::of(event) });
    }

    /// The first bytes of a direction; `None` when they are missing.
    fn first_bytes(&self, direction: Direction) -> Option<Vec<u8>> {
        let mut first = Vec::new();
        for held in self.held.iter().filter(|held| held.direction == direction) {
            match &held.event {
                HeldEvent::Data(_, bytes) => first.extend_from_slice(&bytes[..bytes.len().min(ENOUGH)]),
                HeldEvent::Gap(..) if first.is_empty() => return None,
                HeldEvent::Gap(..) | HeldEvent::End(_) => break,
            }
            if first.len() >= ENOUGH {
                break;
            }
        }
        Some(first)
    }

    fn full(&self) -> bool {
        self.bytes > MAX_HELD || self.held.len() > MAX_HELD_EVENTS
    }

    /// `None`: more bytes are needed. `last`: there will be none.
    fn decide(&mut self, inside_tls: bool, mid_stream: bool, last: bool) -> Option<Verdict> {
        let give_up = Verdict { is: Is::Foreign, swapped: false };
        let client = self.first_bytes(Direction::ToServer);
        if !mid_stream && let Some(client) = &client {
            let verdict = match (client.is_empty(), classify(client, inside_tls)) {
                (true, _) | (false, Guess::Maybe) => None,
                (false, Guess::Is(is)) => Some(Verdict { is, swapped: false }),
            };
            return verdict.or_else(|| (last || self.full()).then_some(give_up));
        }
        let verdict = self.pick_up(inside_tls);
        verdict.or_else(|| (last || self.full()).then_some(give_up))
    }

    /// Decides in the middle of a connection, where either end may be the client.
    fn pick_up(&mut self, inside_tls: bool) -> Option<Verdict> {
        for index in std::mem::replace(&mut self.weighed, self.held.len())..self.held.len() {
            let held = &self.held[index];
            let HeldEvent::Data(_, bytes) = &held.event else { continue };
            let from_server = held.direction == Direction::ToClient;
            match Http::sniff(bytes) {
                http::Sniff::Request | http::Sniff::ProxyHeader => {
                    return Some(Verdict { is: Is::Http, swapped: from_server });
                }
                http::Sniff::Response => return Some(Verdict { is: Is::Http, swapped: !from_server }),
                http::Sniff::Maybe | http::Sniff::No => {}
            }
            if !inside_tls {
                if Tls::sniff(bytes) == tls::Sniff::Yes {
                    return Some(Verdict { is: Is::Tls, swapped: from_server });
                }
                if Tls::sniff_midstream(bytes) == tls::Sniff::Yes {
                    return Some(Verdict { is: Is::Tls, swapped: false });
                }
            }
            let Likeness { strength, masked, bits } = looks_like_websocket(bytes);
            let swapped = masked == from_server;
            if strength == Strength::Strong {
                return Some(Verdict { is: Is::WebSocket, swapped });
            }
            let sum = &mut self.likeness[usize::from(swapped)];
            *sum = if strength == Strength::No { 0 } else { sum.saturating_add(bits) };
            if *sum >= Likeness::STRONG_BITS {
                return Some(Verdict { is: Is::WebSocket, swapped });
            }
        }
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Is(Is),
    Maybe,
}

/// What a client that begins like this speaks.
fn classify(first: &[u8], inside_tls: bool) -> Guess {
    // No two of them take the same bytes for theirs.
    let http = Http::sniff(first);
    if matches!(http, http::Sniff::Request | http::Sniff::ProxyHeader) {
        return Guess::Is(Is::Http);
    }
    let tls = if inside_tls { tls::Sniff::No } else { Tls::sniff(first) };
    match (tls, Http2::sniff(first), http) {
        (tls::Sniff::Yes, ..) => Guess::Is(Is::Tls),
        (_, Sniff::Yes, _) => Guess::Is(Is::Http2),
        (tls::Sniff::Maybe, ..) | (_, Sniff::Maybe, _) | (.., http::Sniff::Maybe) => Guess::Maybe,
        _ => Guess::Is(Is::Foreign),
    }
}
