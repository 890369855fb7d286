//! The composition of one connection's layers: the only file that feeds each of them.
//!
//! ```text
//!  tcp ─► [tls] ─► undetected ─► http ─► websocket
//!                       │         └───► tunnel ─► undetected …       (2xx to CONNECT)
//!                       ├──────► http2 ─► websocket, one per stream
//!                       ├──────► websocket                           (picked up mid-stream)
//!                       └──────► foreign
//!
//!  websocket ─► subprotocol, the beginnings of messages, while a recogniser listens
//! ```
//!
//! Layers never call each other. This file drains one and feeds the next, and replaces HTTP by WebSocket with the bytes
//! that followed the 101. It forms no opinion.

use std::fmt;

use super::builder::{RecordBuilder, Reporter};
use super::detect::{Detection, Detector, Protocol, begins_http};
use super::event::{Context, Ends, EntrySink};
use super::http2_streams::Http2Streams;
use super::record::ConnectionRecord;
use super::tap::TappedWebSocket;
use crate::http::{Compression, Exchange, Http, HttpEvent, Step, Switch, SwitchTo};
use crate::packet::{Segment, Stamp};
use crate::stream::{Direction, End, StreamEvent};
use crate::tcp::{Connection, Opening};
use crate::tls::Tls;

/// The layer on top of TCP, or of TLS. The usual ones lie in the connection itself: a short connection would spend
/// its time on fetching memory for them.
#[allow(clippy::large_enum_variant, reason = "the large ones are the usual ones")]
enum Layer {
    /// Its first bytes do not tell yet what it is.
    Undetected(Detector),
    Foreign,
    Http(Http),
    Http2(Box<Http2Streams>),
    WebSocket(TappedWebSocket),
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Undetected(_) => "undetected",
            Layer::Foreign => "foreign",
            Layer::Http(_) => "http",
            Layer::Http2(_) => "http2",
            Layer::WebSocket(_) => "websocket",
        })
    }
}

impl Default for Layer {
    fn default() -> Self {
        Layer::Undetected(Detector::default())
    }
}

/// The layers of one connection.
#[derive(Default)]
pub(crate) struct Stack {
    layer: Layer,
    tls: Option<Box<Tls>>,
    builder: RecordBuilder,
    /// What HTTP reports of one event; empty in between.
    http_events: Vec<HttpEvent>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("tls", &self.tls.is_some()).field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl Stack {
    /// Layers that have seen nothing yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether the connection proved to be none of ours and nothing about it is worth keeping.
    #[must_use]
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self.layer, Layer::Foreign) && self.tls.is_none() && self.builder.is_empty()
    }

    /// Whether it holds windows of compressed messages.
    #[must_use]
    pub(crate) fn holds_windows(&self) -> bool {
        match &self.layer {
            Layer::WebSocket(tapped) => tapped.websocket.holds_windows(),
            Layer::Http2(streams) => streams.holds_windows(),
            Layer::Undetected(_) | Layer::Foreign | Layer::Http(_) => false,
        }
    }

    /// Frees memory that an idle connection does not need.
    pub(crate) fn shrink(&mut self) {
        match &mut self.layer {
            Layer::WebSocket(tapped) => tapped.websocket.shrink(),
            Layer::Http2(streams) => streams.shrink(),
            Layer::Undetected(_) | Layer::Foreign | Layer::Http(_) => {}
        }
    }

    /// Reads what the next segment will need, so that it is in the processor's cache by then. The result means nothing;
    /// it must be used, lest the reads be optimised away.
    #[must_use]
    pub(crate) fn prefetch(&self) -> u64 {
        match &self.layer {
            Layer::WebSocket(tapped) => tapped.websocket.prefetch(),
            _ => 0,
        }
    }

    /// Reads what the record will need likewise.
    #[must_use]
    pub(crate) fn prefetch_record(&self) -> u64 {
        let entry = self.builder.first_entry();
        let handshake = entry.and_then(|entry| entry.handshake.as_deref()).map_or(0, Exchange::prefetch);
        handshake ^ self.prefetch()
    }

    /// Takes one segment through all layers. What happens to entries goes to `sink`.
    #[inline]
    pub(crate) fn segment<S: EntrySink>(
        &mut self,
        tcp: &mut Connection,
        segment: &Segment<'_>,
        context: &Context<'_>,
        sink: &mut S,
    ) {
        let ends = Ends::of(tcp);
        if matches!(self.layer, Layer::Undetected(_)) {
            return self.undetected_segment(tcp, segment, &ends, context, sink);
        }
        tcp.segment(segment, &mut |stamp, direction, event| {
            self.feed(stamp, direction, event, &ends, context, sink);
        });
        if self.has_buffered() {
            self.detect(tcp, context, sink, false);
        }
    }

    /// A segment before the protocol is known.
    fn undetected_segment<S: EntrySink>(
        &mut self,
        tcp: &mut Connection,
        segment: &Segment<'_>,
        ends: &Ends,
        context: &Context<'_>,
        sink: &mut S,
    ) {
        // The roles of a connection whose beginning was captured are certain.
        let certain = tcp.facts().opening != Opening::MidStream && self.tls.is_none();
        tcp.segment(segment, &mut |stamp, direction, event| {
            // Spares the usual request the detour through the detector's buffer.
            if certain
                && direction == Direction::ToServer
                && let StreamEvent::Data { bytes, .. } = event
                && let Layer::Undetected(detector) = &self.layer
                && detector.is_empty()
                && begins_http(bytes)
            {
                self.builder.has_http = true;
                self.layer = Layer::Http(Http::default());
            }
            self.feed(stamp, direction, event, ends, context, sink);
        });
        if self.has_buffered() {
            self.detect(tcp, context, sink, false);
        }
    }

    /// Ends the connection: no further segment comes.
    pub(crate) fn finish<S: EntrySink>(&mut self, tcp: &mut Connection, end: End, context: &Context<'_>, sink: &mut S) {
        let ends = Ends::of(tcp);
        tcp.finish(end, &mut |stamp, direction, event| {
            self.feed(stamp, direction, event, &ends, context, sink);
        });
        if self.has_buffered() {
            self.detect(tcp, context, sink, true);
        }
    }

    /// Whether there are events that wait for the protocol to be detected.
    #[inline]
    fn has_buffered(&self) -> bool {
        matches!(&self.layer, Layer::Undetected(detector) if !detector.is_empty())
    }

    /// Takes the finished record and resets the stack for another connection; `None` if nothing is worth reporting.
    #[must_use]
    pub(crate) fn take_record(&mut self, tcp: &mut Connection) -> Option<Box<ConnectionRecord>> {
        match std::mem::take(&mut self.layer) {
            Layer::WebSocket(tapped) => self.builder.websocket(tapped),
            Layer::Http2(streams) => streams.file(&mut self.builder),
            Layer::Http(_) | Layer::Undetected(_) | Layer::Foreign => {}
        }
        let tls = self.tls.take().map(|tls| Box::new(tls.facts().clone()));
        std::mem::take(&mut self.builder).finish(tcp, tls)
    }

    /// Feeds an event of TCP to the layers.
    #[inline]
    fn feed<S: EntrySink>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        ends: &Ends,
        context: &Context<'_>,
        sink: &mut S,
    ) {
        match event {
            StreamEvent::End(end) => self.builder.end(direction, stamp, end),
            _ => self.builder.has_payload = true,
        }
        let Self { layer, tls, builder, http_events } = self;
        let mut reporter = Reporter { builder, http_events, ends, context, sink };
        match tls {
            None => layer.feed(stamp, direction, event, &mut reporter),
            Some(tls) => tls.feed(stamp, direction, event, context.keys, &mut |stamp, direction, event| {
                layer.feed(stamp, direction, event, &mut reporter);
            }),
        }
    }

    /// Detects the protocol of the buffered events and feeds them to its layer, as often as that uncovers a further
    /// layer. `last`: nothing follows.
    #[cold]
    fn detect<S: EntrySink>(&mut self, tcp: &mut Connection, context: &Context<'_>, sink: &mut S, last: bool) {
        while let Layer::Undetected(detector) = &mut self.layer {
            if detector.is_empty() {
                return;
            }
            let mid_stream = !self.builder.in_tunnel && self.tls.is_none() && tcp.facts().opening == Opening::MidStream;
            let Some(Detection { protocol, roles_swapped }) = detector.detect(self.tls.is_some(), mid_stream, last)
            else {
                return;
            };
            let Layer::Undetected(detector) = std::mem::take(&mut self.layer) else { return };
            let mut events = detector.into_events();
            if roles_swapped {
                tcp.swap_roles();
                events.iter_mut().for_each(|event| event.direction = event.direction.reverse());
                self.builder.swap_roles();
            }
            let ends = Ends::of(tcp);
            match protocol {
                Protocol::Foreign => {
                    self.layer = Layer::Foreign;
                    return;
                }
                Protocol::Tls => {
                    self.tls = Some(Box::new(Tls::new()));
                    self.builder.tls_in_tunnel = self.builder.in_tunnel;
                }
                Protocol::Http => {
                    self.builder.has_http = true;
                    self.layer = Layer::Http(Http::default());
                }
                Protocol::Http2 => {
                    self.builder.has_http = true;
                    self.layer = Layer::Http2(Box::default());
                }
                Protocol::WebSocket => {
                    let first = events.first().map_or(tcp.facts().first, |event| event.stamp);
                    let Self { builder, http_events, .. } = self;
                    let mut reporter = Reporter { builder, http_events, ends: &ends, context, sink };
                    self.layer = Layer::websocket(first, false, false, Compression::Unknown, &mut reporter);
                }
            }
            for buffered in &events {
                let (stamp, direction, event) = (buffered.stamp, buffered.direction, buffered.event());
                if protocol == Protocol::Tls {
                    self.feed(stamp, direction, event, &ends, context, sink);
                } else {
                    let Self { layer, builder, http_events, .. } = self;
                    let mut reporter = Reporter { builder, http_events, ends: &ends, context, sink };
                    layer.feed(stamp, direction, event, &mut reporter);
                }
            }
        }
    }
}

impl Layer {
    /// A WebSocket, as [`Reporter::open_websocket`] opens it; foreign if no further entry is kept.
    fn websocket<S: EntrySink>(
        stamp: Stamp,
        after_handshake: bool,
        proven: bool,
        compression: Compression,
        reporter: &mut Reporter<'_, S>,
    ) -> Layer {
        let websocket = reporter.open_websocket(stamp, after_handshake, proven, compression);
        websocket.map_or(Layer::Foreign, Layer::WebSocket)
    }

    #[inline(always)]
    fn feed<S: EntrySink>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        reporter: &mut Reporter<'_, S>,
    ) {
        match self {
            Layer::WebSocket(websocket) => {
                let entry = reporter.builder.current_entry();
                websocket.feed(stamp, direction, event, entry, reporter.ends, reporter.sink);
                reporter.builder.set_last_packet(entry, stamp);
            }
            _ => self.feed_other(stamp, direction, event, reporter),
        }
    }

    /// Feeds any layer but a WebSocket. That one is told apart first, since most packets belong to it.
    #[inline(never)]
    fn feed_other<S: EntrySink>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        reporter: &mut Reporter<'_, S>,
    ) {
        match self {
            Layer::WebSocket(_) | Layer::Foreign => {}
            Layer::Undetected(detector) => detector.push(stamp, direction, event),
            Layer::Http2(streams) => streams.feed(stamp, direction, event, reporter),
            Layer::Http(_) => self.feed_http(stamp, direction, event, reporter),
        }
    }

    fn feed_http<S: EntrySink>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        reporter: &mut Reporter<'_, S>,
    ) {
        let Layer::Http(http) = self else { return };
        if http.answer_lost() && reporter.builder.are_frames(direction, event) {
            if let Some(mut switch) = http.switch_unseen(stamp, reporter.http_events) {
                reporter.file_http_events();
                switch.next = Some(event);
                self.switch(stamp, direction, &switch, false, reporter);
            }
            return;
        }
        let step = http.feed(stamp, direction, event, reporter.http_events);
        reporter.file_http_events();
        match step {
            Step::More => {}
            Step::NotHttp => *self = Layer::Foreign,
            Step::Switch(switch) => {
                let proven = switch.starts.iter().all(|start| start.proven);
                self.switch(stamp, direction, &switch, proven, reporter);
            }
        }
    }

    /// Replaces HTTP by the layer that it was switched to, and feeds that what followed. `proven`: it begins with the
    /// first byte behind the answer's head.
    fn switch<S: EntrySink>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        switch: &Switch<'_>,
        proven: bool,
        reporter: &mut Reporter<'_, S>,
    ) {
        *self = match &switch.to {
            SwitchTo::WebSocket { compression, .. } => Layer::websocket(stamp, true, proven, *compression, reporter),
            SwitchTo::Unknown => Layer::websocket(stamp, true, false, Compression::Unknown, reporter),
            SwitchTo::Tunnel => {
                reporter.builder.in_tunnel = true;
                Layer::default()
            }
            SwitchTo::Other(name) if name.eq_ignore_ascii_case("h2c") => Layer::Http2(Box::default()),
            SwitchTo::Other(_) => Layer::Foreign,
        };
        if !switch.early.is_empty() {
            for (stamp, direction, event) in switch.early.events() {
                self.feed(stamp, direction, event, reporter);
            }
        }
        if let Some(event) = switch.next {
            self.feed(stamp, direction, event, reporter);
        }
    }
}
