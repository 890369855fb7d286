//! The observer of one HTTP/2 connection: frames, header blocks, and the streams that carry WebSockets.

use std::collections::BTreeMap;

use super::facts::{
    ErrorCode, GoAway, Head, Http2Facts, MAX_EXCERPT, MAX_HEAD, MAX_HEADS, MAX_NOT_HTTP2, MAX_WEBSOCKETS, NotHttp2,
    Oddity, WebSocketStream,
};
use super::frame::{
    END_HEADERS, END_STREAM, FrameHeader, HAS_PRIORITY, HEADER_LEN, PADDED, find,
    kind::{CONTINUATION, DATA, GOAWAY, HEADERS, PING, PUSH_PROMISE, RST_STREAM, SETTINGS},
};
use super::hpack::{Decoder, Field};
use super::{MAX_HEADER_BLOCK, UNKNOWN_GAP};
use crate::stream::{Direction, End, GapCause, Sniff, Stamp, StreamEvent};

/// The client's connection preface (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many frame headers must follow one another before a position found behind missing bytes counts as a frame border.
const LINKS: u8 = 3;
/// The largest payload without other settings (RFC 9113 §6.5.2).
const DEFAULT_FRAME: u32 = 1 << 14;
/// How far stream numbers may have moved on behind missing bytes.
const STREAMS_AHEAD: u32 = 1 << 20;
/// Most bytes kept of the payload of SETTINGS, RST_STREAM and GOAWAY: eight bytes and an excerpt.
const MAX_CONTROL_PAYLOAD: usize = 8 + MAX_EXCERPT;

/// What happened on a stream that carries a WebSocket, or was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2Event<'a> {
    /// The client asked for it (extended CONNECT).
    Request(&'a WebSocketStream),
    /// The server answered: the final response.
    Response(&'a WebSocketStream),
    /// Bytes of the WebSocket, missing bytes, or the end of a direction. Offsets count from 0 per stream and direction.
    Stream(Direction, StreamEvent<'a>),
}

/// What the next byte of a direction belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The client's preface or the server's SETTINGS.
    #[default]
    Start,
    /// A frame.
    Frames,
    /// Unknown: bytes were missing, and the next frame border is not known.
    Lost,
    /// No HTTP/2.
    Foreign,
}

/// Where a payload goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PayloadTarget {
    /// Nowhere: it is skipped.
    #[default]
    Skip,
    /// To a WebSocket.
    WebSocket,
    /// To the header block under way.
    HeaderBlock,
    /// To `control_payload`.
    Control,
}

/// A header block under way (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug)]
struct HeaderBlock {
    stream: u32,
    end_stream: bool,
    pushed: bool,
    /// Bytes of it are missing, or there were too many.
    broken: bool,
}

/// One direction's frames.
#[derive(Debug, Default)]
struct FrameReader {
    phase: Phase,
    /// The header under way; at the start, how much of the preface has come.
    header: [u8; HEADER_LEN],
    header_len: u8,
    frame: FrameHeader,
    in_frame: bool,
    /// Payload bytes that have not come yet, padding included.
    remaining: u32,
    /// The Pad Length field has not come yet.
    pad_due: bool,
    pad: u32,
    /// Bytes of fields before the content that are still to be skipped: priority, promised stream.
    prefix: u32,
    target: PayloadTarget,
    /// Bytes of the payload are missing.
    has_gap: bool,
    /// How many frame headers must still follow before the position is trusted.
    unproven: u8,
    block: Option<HeaderBlock>,
    block_bytes: Vec<u8>,
    /// Payload of SETTINGS, RST_STREAM or GOAWAY.
    control_payload: Vec<u8>,
    decoder: Decoder,
    /// The highest stream opened by this side.
    highest: u32,
}

/// A WebSocket stream that has not ended in both directions.
#[derive(Debug, Default)]
struct OpenStream {
    /// Its index in [`Http2Facts::websockets`].
    index: usize,
    offset: [u64; 2],
    /// An unknown number of bytes is missing before the next ones.
    lost: [Option<GapCause>; 2],
    done: [bool; 2],
}

/// Pseudo-header fields of the block being decoded.
#[derive(Debug, Default)]
struct PseudoHeaders {
    parts: [Vec<u8>; 6],
    seen: [bool; 6],
}

const PSEUDO: [&[u8]; 6] = [b":method", b":scheme", b":authority", b":path", b":protocol", b":status"];
const METHOD: usize = 0;
const PROTOCOL: usize = 4;
const STATUS: usize = 5;

impl PseudoHeaders {
    fn clear(&mut self) {
        self.seen = [false; 6];
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        if let Some(index) = PSEUDO.iter().position(|known| *known == name) {
            self.parts[index].clear();
            self.parts[index].extend_from_slice(&value[..value.len().min(MAX_HEAD)]);
            self.seen[index] = true;
        }
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.seen[index].then_some(self.parts[index].as_slice())
    }

    fn text(&self, index: usize) -> Option<String> {
        self.get(index).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// RFC 8441 §4: `:method` is CONNECT and `:protocol` is websocket.
    fn asks_for_websocket(&self) -> bool {
        self.get(METHOD) == Some(b"CONNECT")
            && self.get(PROTOCOL).is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
    }
}

/// An observer of one HTTP/2 connection.
#[derive(Debug, Default)]
pub struct Http2 {
    facts: Http2Facts,
    readers: [FrameReader; 2],
    open: BTreeMap<u32, OpenStream>,
    pseudo: PseudoHeaders,
    /// Bytes kept of all heads.
    kept: usize,
}

impl Http2 {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a client's first bytes are the connection preface (prior knowledge, or ALPN `h2`).
    #[must_use]
    pub(crate) fn sniff(bytes: &[u8]) -> Sniff {
        let n = bytes.len().min(PREFACE.len());
        if bytes[..n] != PREFACE[..n] {
            Sniff::No
        } else if n < PREFACE.len() {
            Sniff::Maybe
        } else {
            Sniff::Yes
        }
    }

    /// Takes the facts out; the observer is of no further use.
    #[must_use]
    pub(crate) fn into_facts(self) -> Http2Facts {
        self.facts
    }

    /// Takes in what happened next in `direction`. What concerns WebSockets leaves through `out`, with the number
    /// of the stream.
    pub fn feed(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        match event {
            StreamEvent::Data { bytes, .. } => self.data(stamp, direction, bytes, out),
            StreamEvent::Gap { len, cause, .. } => self.gap(stamp, direction, len, cause, out),
            StreamEvent::End(end) => {
                self.facts.ended[direction.index()].get_or_insert((stamp, end));
                let streams: Vec<u32> = self.open.keys().copied().collect();
                for stream in streams {
                    self.end_stream(stamp, stream, direction, end, out);
                }
            }
        }
    }

    fn data(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        mut bytes: &[u8],
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let index = direction.index();
        while !bytes.is_empty() {
            let (largest, highest) = self.bounds(direction);
            let reader = &mut self.readers[index];
            match reader.phase {
                Phase::Start => {
                    bytes = self.start(stamp, direction, bytes);
                    let reader = &self.readers[index];
                    if reader.in_frame && reader.remaining == 0 {
                        self.finish_frame(stamp, direction, out);
                    }
                }
                Phase::Foreign => {
                    if let Some(answer) = &mut self.facts.not_http2 {
                        let n = (MAX_NOT_HTTP2 - answer.bytes.len()).min(bytes.len());
                        answer.bytes.extend_from_slice(&bytes[..n]);
                    }
                    return;
                }
                Phase::Lost => {
                    let Some(at) = find(bytes, largest, highest) else { return };
                    bytes = &bytes[at..];
                    reader.phase = Phase::Frames;
                    reader.unproven = LINKS;
                }
                Phase::Frames if reader.in_frame => {
                    let n = bytes.len().min(reader.remaining as usize);
                    self.payload(stamp, direction, &bytes[..n], out);
                    bytes = &bytes[n..];
                    if self.readers[index].remaining == 0 {
                        self.finish_frame(stamp, direction, out);
                    }
                }
                Phase::Frames => {
                    let had = usize::from(reader.header_len);
                    let n = (HEADER_LEN - had).min(bytes.len());
                    reader.header[had..had + n].copy_from_slice(&bytes[..n]);
                    reader.header_len = (had + n) as u8;
                    if had + n < HEADER_LEN {
                        return;
                    }
                    reader.header_len = 0;
                    let frame = FrameHeader::parse(&reader.header);
                    if reader.unproven > 0 && !frame.fits(largest, highest) {
                        reader.phase = Phase::Lost;
                        // The next border may lie in what looked like a header.
                        bytes = &bytes[if had == 0 { 1 } else { n }..];
                        continue;
                    }
                    bytes = &bytes[n..];
                    self.begin_frame(stamp, direction, frame);
                    if frame.length == 0 {
                        self.finish_frame(stamp, direction, out);
                    }
                }
            }
        }
    }

    /// The largest payload length and stream number that a frame header behind missing bytes may have.
    fn bounds(&self, direction: Direction) -> (u32, u32) {
        // RFC 9113 §6.5.2: the receiver says how large frames may be.
        let largest = self.facts.settings[direction.reverse().index()].max_frame_size.unwrap_or(DEFAULT_FRAME);
        let highest = self.readers.iter().map(|reader| reader.highest).max().unwrap_or(0);
        (largest.clamp(DEFAULT_FRAME, 1 << 20), highest.saturating_add(STREAMS_AHEAD))
    }

    /// RFC 9113 §3.4: the client begins with the preface, the server with a SETTINGS frame.
    fn start<'a>(&mut self, stamp: Stamp, direction: Direction, bytes: &'a [u8]) -> &'a [u8] {
        let reader = &mut self.readers[direction.index()];
        if direction == Direction::ToServer {
            let had = usize::from(reader.header_len);
            let n = (PREFACE.len() - had).min(bytes.len());
            if bytes[..n] != PREFACE[had..had + n] {
                self.join_mid_stream();
                return bytes;
            }
            reader.header_len = (had + n) as u8;
            if had + n == PREFACE.len() {
                reader.header_len = 0;
                reader.phase = Phase::Frames;
                self.facts.preface = Some(stamp);
            }
            return &bytes[n..];
        }
        let had = usize::from(reader.header_len);
        let n = (HEADER_LEN - had).min(bytes.len());
        reader.header[had..had + n].copy_from_slice(&bytes[..n]);
        reader.header_len = (had + n) as u8;
        let seen = had + n;
        let frame = FrameHeader::parse(&reader.header);
        let settings = (seen < 4 || frame.kind == SETTINGS)
            && (seen < 1 || reader.header[0] == 0)
            && (seen < HEADER_LEN || (frame.stream == 0 && !frame.has(END_STREAM)));
        if settings {
            if seen == HEADER_LEN {
                reader.header_len = 0;
                reader.phase = Phase::Frames;
                self.begin_frame(stamp, direction, frame);
            }
            return &bytes[n..];
        }
        if self.facts.preface.is_none() {
            self.join_mid_stream();
            return bytes;
        }
        reader.phase = Phase::Foreign;
        let start = reader.header;
        self.facts.not_http2 = Some(NotHttp2 { stamp, bytes: start[..had].into() });
        bytes
    }

    /// The beginning was not captured.
    fn join_mid_stream(&mut self) {
        self.facts.mid_stream = true;
        for reader in &mut self.readers {
            reader.decoder.lose();
            reader.header_len = 0;
            if reader.phase == Phase::Start {
                reader.phase = Phase::Lost;
            }
        }
    }

    /// Begins a frame: its header is complete.
    fn begin_frame(&mut self, stamp: Stamp, direction: Direction, frame: FrameHeader) {
        let index = direction.index();
        let is_open = self.open.contains_key(&frame.stream);
        let reader = &mut self.readers[index];
        reader.frame = frame;
        reader.in_frame = true;
        reader.remaining = frame.length;
        (reader.pad_due, reader.pad, reader.prefix) = (false, 0, 0);
        reader.target = PayloadTarget::Skip;
        reader.has_gap = false;
        if reader.unproven > 0 {
            // A header of DATA on a stream that carries a WebSocket does not come about by chance.
            if !(frame.kind == DATA && is_open) {
                return;
            }
            reader.unproven = 0;
        }
        if frame.is_malformed() {
            self.facts.note(Oddity::FrameMalformed, stamp, direction.sender());
        }
        let padded = frame.has(PADDED) && frame.length > 0;
        // RFC 9113 §6.10: nothing but its CONTINUATION frames may come inside a header block.
        if let Some(block) = reader.block
            && !(frame.kind == CONTINUATION && frame.stream == block.stream)
        {
            self.facts.note(Oddity::HeaderBlockBroken, stamp, direction.sender());
            reader.block = None;
            self.unreadable(block, direction);
        }
        let reader = &mut self.readers[index];
        match frame.kind {
            DATA => {
                reader.pad_due = padded;
                reader.target = if is_open { PayloadTarget::WebSocket } else { PayloadTarget::Skip };
            }
            HEADERS | PUSH_PROMISE => {
                let pushed = frame.kind == PUSH_PROMISE;
                reader.pad_due = padded;
                reader.prefix = if pushed {
                    4
                } else if frame.has(HAS_PRIORITY) {
                    5
                } else {
                    0
                };
                let end_stream = !pushed && frame.has(END_STREAM);
                reader.block = Some(HeaderBlock { stream: frame.stream, end_stream, pushed, broken: false });
                reader.block_bytes.clear();
                reader.target = PayloadTarget::HeaderBlock;
            }
            CONTINUATION if reader.block.is_some() => reader.target = PayloadTarget::HeaderBlock,
            CONTINUATION => self.facts.note(Oddity::HeaderBlockBroken, stamp, direction.sender()),
            SETTINGS | RST_STREAM | GOAWAY => {
                reader.control_payload.clear();
                reader.target = PayloadTarget::Control;
            }
            PING if !frame.has(END_STREAM) => self.facts.pings[index] += 1,
            _ => {}
        }
    }

    /// Takes payload bytes, at most as many as remain.
    fn payload(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        mut bytes: &[u8],
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let reader = &mut self.readers[direction.index()];
        reader.remaining -= bytes.len() as u32;
        if reader.pad_due
            && let Some((&pad, rest)) = bytes.split_first()
        {
            bytes = rest;
            reader.pad_due = false;
            reader.pad = u32::from(pad);
            let room = (reader.remaining + bytes.len() as u32).saturating_sub(reader.prefix);
            if reader.pad > room {
                // RFC 9113 §6.1: padding as long as the payload or longer is an error.
                self.facts.note(Oddity::PaddingTooLong, stamp, direction.sender());
                reader.pad = room;
            }
        }
        let skipped = (reader.prefix as usize).min(bytes.len());
        reader.prefix -= skipped as u32;
        bytes = &bytes[skipped..];
        let content = (bytes.len() + reader.remaining as usize).saturating_sub(reader.pad as usize).min(bytes.len());
        let bytes = &bytes[..content];
        if bytes.is_empty() {
            return;
        }
        match reader.target {
            PayloadTarget::Skip => {}
            PayloadTarget::WebSocket => {
                let stream = reader.frame.stream;
                self.websocket_data(stamp, stream, direction, bytes, out);
            }
            PayloadTarget::HeaderBlock => {
                if let Some(block) = &mut reader.block {
                    if reader.block_bytes.len() + bytes.len() > MAX_HEADER_BLOCK {
                        block.broken = true;
                        self.facts.note(Oddity::HeaderBlockTooLarge, stamp, direction.sender());
                    } else if !block.broken {
                        reader.block_bytes.extend_from_slice(bytes);
                    }
                }
            }
            PayloadTarget::Control => {
                let n = (MAX_CONTROL_PAYLOAD - reader.control_payload.len()).min(bytes.len());
                reader.control_payload.extend_from_slice(&bytes[..n]);
            }
        }
    }

    /// Ends a frame: its payload is complete.
    fn finish_frame(&mut self, stamp: Stamp, direction: Direction, out: &mut impl FnMut(u32, Stamp, Http2Event<'_>)) {
        let index = direction.index();
        let reader = &mut self.readers[index];
        reader.in_frame = false;
        if reader.unproven > 0 {
            reader.unproven -= 1;
            if reader.unproven > 0 {
                return;
            }
            // The position is trusted from here on. This frame was skipped unread, like those before it.
            self.facts.frames[index] += 1;
            return;
        }
        self.facts.frames[index] += 1;
        let frame = reader.frame;
        let whole = !reader.has_gap;
        match frame.kind {
            DATA if frame.has(END_STREAM) => self.end_stream(stamp, frame.stream, direction, End::Fin, out),
            HEADERS | PUSH_PROMISE | CONTINUATION if frame.has(END_HEADERS) => {
                if let Some(block) = reader.block.take() {
                    self.header_block(stamp, direction, block, out);
                }
            }
            SETTINGS if whole => self.settings(stamp, direction, frame),
            RST_STREAM => self.reset(stamp, direction, frame.stream, whole, out),
            GOAWAY if whole => self.goaway(stamp, direction, out),
            _ => {}
        }
    }

    fn settings(&mut self, stamp: Stamp, direction: Direction, frame: FrameHeader) {
        if frame.has(END_STREAM) {
            // An acknowledgement: of what the other side announced.
            self.facts.settings[direction.reverse().index()].acknowledged.get_or_insert(stamp);
            return;
        }
        let settings = &mut self.facts.settings[direction.index()];
        settings.stamp.get_or_insert(stamp);
        for entry in self.readers[direction.index()].control_payload.chunks_exact(6) {
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            match u16::from_be_bytes([entry[0], entry[1]]) {
                1 => settings.header_table_size = Some(value),
                2 => settings.enable_push = Some(value),
                3 => settings.max_concurrent_streams = Some(value),
                4 => settings.initial_window_size = Some(value),
                5 => settings.max_frame_size = Some(value),
                6 => settings.max_header_list_size = Some(value),
                8 => settings.enable_connect_protocol = Some((stamp, value)),
                _ => {}
            }
        }
        self.readers[direction.index()].control_payload.clear();
    }

    fn reset(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        stream: u32,
        whole: bool,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let Some(open) = self.open.get(&stream) else { return };
        if whole && let Some(code) = self.readers[direction.index()].control_payload.first_chunk::<4>() {
            let code = ErrorCode(u32::from_be_bytes(*code));
            self.facts.websockets[open.index].reset.get_or_insert((stamp, direction.sender(), code));
        }
        // RFC 9113 §5.4.2: it ends the stream for both sides.
        for direction in Direction::BOTH {
            self.end_stream(stamp, stream, direction, End::Rst, out);
        }
    }

    fn goaway(&mut self, stamp: Stamp, direction: Direction, out: &mut impl FnMut(u32, Stamp, Http2Event<'_>)) {
        let payload = &self.readers[direction.index()].control_payload;
        let Some(&[a, b, c, d, e, f, g, h]) = payload.first_chunk::<8>() else { return };
        let last_stream = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        let code = ErrorCode(u32::from_be_bytes([e, f, g, h]));
        self.facts.goaway[direction.index()] = Some(GoAway { stamp, last_stream, code, debug: payload[8..].to_vec() });
        if direction == Direction::ToClient {
            // RFC 9113 §6.8: streams above the last one were not and will not be processed.
            let refused: Vec<u32> =
                self.open.range(last_stream.saturating_add(1)..).map(|(&stream, _)| stream).collect();
            for stream in refused {
                for direction in Direction::BOTH {
                    self.end_stream(stamp, stream, direction, End::Rst, out);
                }
            }
        }
    }

    /// Decodes a complete header block.
    fn header_block(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        block: HeaderBlock,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let reader = &mut self.readers[direction.index()];
        if block.broken {
            self.unreadable(block, direction);
            self.finish_header_block(stamp, direction, block, out);
            return;
        }
        let from_client = direction == Direction::ToServer;
        let opens = from_client && !block.pushed && block.stream > reader.highest;
        let answers = !from_client
            && !block.pushed
            && self.open.get(&block.stream).is_some_and(|open| self.facts.websockets[open.index].response.is_none());
        let budget = MAX_HEAD.min(MAX_HEADS.saturating_sub(self.kept));
        self.pseudo.clear();
        let mut head = Head { stamp, ..Head::default() };
        let (mut used, pseudo) = (0, &mut self.pseudo);
        let decoded = reader.decoder.decode(&reader.block_bytes, |field| {
            collect(field, pseudo, &mut head, opens, answers, budget, &mut used);
        });
        if decoded.is_none() {
            self.facts.note(Oddity::CompressionError, stamp, direction.sender());
            self.unreadable(block, direction);
            self.finish_header_block(stamp, direction, block, out);
            return;
        }
        if opens {
            reader.highest = block.stream;
            self.facts.requests += 1;
            if self.pseudo.asks_for_websocket() {
                self.kept += used;
                self.request(stamp, block.stream, head, out);
            } else if head.unknown_fields > 0
                && (!self.pseudo.seen[METHOD] || self.pseudo.get(METHOD) == Some(b"CONNECT"))
            {
                self.facts.requests_unreadable += 1;
            }
        } else if answers {
            self.kept += used;
            self.response(stamp, block.stream, head, out);
        }
        self.finish_header_block(stamp, direction, block, out);
    }

    fn finish_header_block(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        block: HeaderBlock,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        if block.end_stream {
            self.end_stream(stamp, block.stream, direction, End::Fin, out);
        }
    }

    /// A header block could not be read: its fields and the compression state are lost.
    fn unreadable(&mut self, block: HeaderBlock, direction: Direction) {
        let reader = &mut self.readers[direction.index()];
        reader.decoder.lose();
        match direction {
            Direction::ToServer if block.stream > reader.highest => {
                reader.highest = block.stream;
                self.facts.requests += 1;
                self.facts.requests_unreadable += 1;
            }
            Direction::ToClient => {
                if let Some(open) = self.open.get(&block.stream) {
                    let stream = &mut self.facts.websockets[open.index];
                    stream.response_unreadable |= stream.response.is_none();
                }
            }
            Direction::ToServer => {}
        }
    }

    fn request(&mut self, stamp: Stamp, stream: u32, mut head: Head, out: &mut impl FnMut(u32, Stamp, Http2Event<'_>)) {
        if self.facts.websockets.len() >= MAX_WEBSOCKETS {
            self.facts.websockets_not_kept += 1;
            return;
        }
        let pseudo = &self.pseudo;
        let [method, scheme, authority, path, protocol] = std::array::from_fn(|index| pseudo.text(index));
        (head.method, head.scheme, head.authority, head.path, head.protocol) =
            (method, scheme, authority, path, protocol);
        let permitted = self.facts.websockets_permitted();
        let index = self.facts.websockets.len();
        self.facts.websockets.push(WebSocketStream {
            id: stream,
            request: head,
            permitted,
            ..WebSocketStream::default()
        });
        self.open.insert(stream, OpenStream { index, ..OpenStream::default() });
        out(stream, stamp, Http2Event::Request(&self.facts.websockets[index]));
    }

    fn response(
        &mut self,
        stamp: Stamp,
        stream: u32,
        mut head: Head,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let Some(open) = self.open.get(&stream) else { return };
        let websocket = &mut self.facts.websockets[open.index];
        head.status = self.pseudo.get(STATUS).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        // RFC 9113 §8.1: informational responses come before the final one.
        if head.status.is_some_and(|status| (100..200).contains(&status)) {
            websocket.interim = websocket.interim.saturating_add(1);
            return;
        }
        websocket.response = Some(head);
        out(stream, stamp, Http2Event::Response(websocket));
    }

    fn websocket_data(
        &mut self,
        stamp: Stamp,
        stream: u32,
        direction: Direction,
        bytes: &[u8],
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let index = direction.index();
        let Some(open) = self.open.get_mut(&stream) else { return };
        let websocket = &mut self.facts.websockets[open.index];
        websocket.data_bytes[index] += bytes.len() as u64;
        match (direction, websocket.accepted()) {
            // What follows a refusal is the body that explains it.
            (Direction::ToClient, Some(false)) => {
                let n = (MAX_EXCERPT - websocket.refusal_body.len()).min(bytes.len());
                websocket.refusal_body.extend_from_slice(&bytes[..n]);
                return;
            }
            (Direction::ToServer, Some(false)) => return,
            // RFC 9113 §8.1: no DATA before the response's HEADERS; unless these were lost.
            (Direction::ToClient, None) if !websocket.response_unreadable && websocket.response.is_none() => return,
            _ => {}
        }
        if open.done[index] {
            return;
        }
        open.report_loss(stamp, stream, direction, out);
        let offset = open.offset[index];
        open.offset[index] += bytes.len() as u64;
        out(stream, stamp, Http2Event::Stream(direction, StreamEvent::Data { offset, bytes }));
    }

    /// Ends a direction of a stream. Does nothing for streams that are not kept, or a second time.
    fn end_stream(
        &mut self,
        stamp: Stamp,
        stream: u32,
        direction: Direction,
        end: End,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let index = direction.index();
        let Some(open) = self.open.get_mut(&stream) else { return };
        if !open.done[index] {
            open.report_loss(stamp, stream, direction, out);
            open.done[index] = true;
            self.facts.websockets[open.index].ended[index] = Some((stamp, end));
            out(stream, stamp, Http2Event::Stream(direction, StreamEvent::End(end)));
        }
        if open.done == [true; 2] {
            self.open.remove(&stream);
        }
    }

    fn gap(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        len: u64,
        cause: GapCause,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let index = direction.index();
        let missing = &mut self.facts.missing_bytes[index];
        *missing = missing.saturating_add(len);
        let reader = &mut self.readers[index];
        match reader.phase {
            Phase::Foreign => return,
            Phase::Start => self.join_mid_stream(),
            Phase::Frames if reader.in_frame && len <= u64::from(reader.remaining) => {
                return self.payload_gap(stamp, direction, len as u32, cause, out);
            }
            _ => {}
        }
        // A frame header is missing: what header blocks and any stream carried since is not known.
        let reader = &mut self.readers[index];
        reader.phase = Phase::Lost;
        reader.in_frame = false;
        reader.header_len = 0;
        let block = reader.block.take();
        reader.decoder.lose();
        if let Some(block) = block {
            self.unreadable(block, direction);
        }
        for open in self.open.values_mut() {
            open.lost[index] = Some(cause);
            if direction == Direction::ToClient {
                let websocket = &mut self.facts.websockets[open.index];
                websocket.response_unreadable |= websocket.response.is_none();
            }
        }
    }

    /// Bytes are missing inside of one payload: the next frame border is still known.
    fn payload_gap(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        len: u32,
        cause: GapCause,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let index = direction.index();
        let reader = &mut self.readers[index];
        reader.remaining -= len;
        reader.has_gap = true;
        let stream = reader.frame.stream;
        match reader.target {
            PayloadTarget::Skip | PayloadTarget::Control => {}
            PayloadTarget::HeaderBlock => {
                if let Some(block) = &mut reader.block {
                    block.broken = true;
                }
            }
            PayloadTarget::WebSocket if reader.pad_due => {
                // How much of it was padding is not known.
                reader.pad_due = false;
                reader.target = PayloadTarget::Skip;
                if let Some(open) = self.open.get_mut(&stream) {
                    open.lost[index] = Some(cause);
                }
            }
            PayloadTarget::WebSocket => {
                let content = (len + reader.remaining).saturating_sub(reader.pad).min(len);
                if let Some(open) = self.open.get_mut(&stream)
                    && content > 0
                    && !open.done[index]
                    && self.facts.websockets[open.index].accepted() != Some(false)
                {
                    open.report_loss(stamp, stream, direction, out);
                    let (offset, len) = (open.offset[index], u64::from(content));
                    open.offset[index] += len;
                    out(stream, stamp, Http2Event::Stream(direction, StreamEvent::Gap { offset, len, cause }));
                }
            }
        }
        if self.readers[index].remaining == 0 {
            self.finish_frame(stamp, direction, out);
        }
    }
}

impl OpenStream {
    /// Reports once, before whatever follows, that an unknown number of bytes is missing.
    fn report_loss(
        &mut self,
        stamp: Stamp,
        stream: u32,
        direction: Direction,
        out: &mut impl FnMut(u32, Stamp, Http2Event<'_>),
    ) {
        let index = direction.index();
        if let Some(cause) = self.lost[index].take() {
            let offset = self.offset[index];
            self.offset[index] += UNKNOWN_GAP;
            out(stream, stamp, Http2Event::Stream(direction, StreamEvent::Gap { offset, len: UNKNOWN_GAP, cause }));
        }
    }
}

/// Takes one header field. Fields of requests that ask for no WebSocket, and of heads that are not kept, are skipped.
fn collect(
    field: Field<'_>,
    pseudo: &mut PseudoHeaders,
    head: &mut Head,
    opens: bool,
    answers: bool,
    budget: usize,
    used: &mut usize,
) {
    let (Some(name), Some(value)) = (field.name, field.value) else {
        head.unknown_fields = head.unknown_fields.saturating_add(1);
        return;
    };
    if name.first() == Some(&b':') {
        pseudo.set(name, value);
        return;
    }
    // RFC 9113 §8.3: pseudo-header fields come first, so that the kind of request is known by now.
    if !(answers || (opens && pseudo.asks_for_websocket())) {
        return;
    }
    *used += name.len() + value.len();
    if *used > budget {
        head.truncated = true;
        return;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    head.fields.push((text(name), text(value)));
}
