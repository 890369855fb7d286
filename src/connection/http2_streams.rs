//! The WebSockets on the streams of one HTTP/2 connection (RFC 8441): one entry and one WebSocket layer per stream.

use super::builder::{RecordBuilder, Reporter, new_websocket};
use super::event::{EntryEvent, EntrySink};
use super::record::Entry;
use super::tap::TappedWebSocket;
use crate::http::extension::ExtensionList;
use crate::http::{self, Compression};
use crate::http2::{self, Http2, Http2Event, WebSocketStream};
use crate::stream::{Direction, Stamp, StreamEvent};

/// HTTP/2 and the WebSockets that its streams carry.
#[derive(Default)]
pub(super) struct Http2Streams {
    http2: Http2,
    sockets: Vec<Socket>,
}

struct Socket {
    stream: u32,
    /// Index of its entry in the record.
    entry: u32,
    /// `None` until the server accepted it.
    websocket: Option<TappedWebSocket>,
}

impl Http2Streams {
    pub(super) fn feed<S: EntrySink>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        reporter: &mut Reporter<'_, S>,
    ) {
        let Self { http2, sockets } = self;
        http2.feed(stamp, direction, event, &mut |stream, stamp, event| match event {
            Http2Event::Request(_) => {
                let entry = Entry { http2_stream: Some(stream), first: stamp, last: stamp, ..Entry::default() };
                let Some(entry) = reporter.builder.add_entry(entry) else { return };
                sockets.push(Socket { stream, entry, websocket: None });
                reporter.emit(stamp, entry, EntryEvent::Opened(Some(stream)));
            }
            Http2Event::Response(exchange) => {
                if let Some(socket) = sockets.iter_mut().find(|socket| socket.stream == stream)
                    && exchange.accepted() == Some(true)
                {
                    let compression = negotiated(exchange);
                    let known = compression != Compression::Unknown;
                    socket.websocket = Some(new_websocket(compression, known, reporter.context));
                }
            }
            Http2Event::Stream(direction, event) => {
                let Some(socket) = sockets.iter_mut().find(|socket| socket.stream == stream) else { return };
                let entry = socket.entry;
                if let Some(websocket) = &mut socket.websocket {
                    websocket.feed(stamp, direction, event, entry, reporter.ends, reporter.sink);
                }
                reporter.builder.set_last_packet(entry, stamp);
            }
        });
    }

    /// Files what is known of the connection and its WebSockets.
    pub(super) fn file(self, builder: &mut RecordBuilder) {
        let sockets = self.sockets.into_iter().map(|Socket { stream, entry, websocket }| (stream, entry, websocket));
        builder.http2(self.http2.into_facts(), sockets);
    }

    /// Whether one of the WebSockets holds windows of compressed messages.
    pub(super) fn holds_windows(&self) -> bool {
        self.sockets
            .iter()
            .filter_map(|socket| socket.websocket.as_ref())
            .any(|tapped| tapped.websocket.holds_windows())
    }

    /// Frees memory that idle WebSockets do not need.
    pub(super) fn shrink(&mut self) {
        self.sockets
            .iter_mut()
            .filter_map(|socket| socket.websocket.as_mut())
            .for_each(|tapped| tapped.websocket.shrink());
    }
}

/// What the headers of an extended CONNECT and its response agree on compression.
fn negotiated(stream: &WebSocketStream) -> Compression {
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
