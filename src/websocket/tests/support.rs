//! Writing frames, talking to the decoder, and streams of honest traffic.

use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};
use crate::websocket::{Frame, Interest, Message, MessageKind, Options, Sink, WebSocket, WebSocketFacts};
use flate2::{Compress, Compression, FlushCompress};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

/// A frame to be written, legal or not.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

impl Wire {
    /// A legal one, masked as `direction` demands.
    pub(super) fn new(direction: Direction, opcode: u8, payload: &[u8]) -> Wire {
        let mask = (direction == Direction::ToServer).then_some([0x11, 0xA2, 0x33, 0xC4]);
        Wire { fin: true, rsv: 0, opcode, mask, payload: payload.to_vec() }
    }

    pub(super) fn part(mut self) -> Wire {
        self.fin = false;
        self
    }

    pub(super) fn rsv(mut self, rsv: u8) -> Wire {
        self.rsv = rsv;
        self
    }

    pub(super) fn mask(mut self, mask: Option<[u8; 4]>) -> Wire {
        self.mask = mask;
        self
    }

    /// Written by tungstenite where it can write it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let reserved = matches!(self.opcode, 3..=7 | 11..);
        let header = FrameHeader {
            is_final: self.fin,
            rsv1: self.rsv & 4 != 0,
            rsv2: self.rsv & 2 != 0,
            rsv3: self.rsv & 1 != 0,
            opcode: OpCode::from(if reserved { 1 } else { self.opcode }),
            mask: self.mask,
        };
        header.format(self.payload.len() as u64, &mut bytes).unwrap();
        bytes[0] = bytes[0] & 0xF0 | self.opcode;
        let key = self.mask.unwrap_or_default();
        bytes.extend(self.payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
        bytes
    }
}

pub(super) fn text(direction: Direction, text: &str) -> Vec<u8> {
    Wire::new(direction, 1, text.as_bytes()).bytes()
}

pub(super) fn close(direction: Direction, code: u16, reason: &str) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    body.extend_from_slice(reason.as_bytes());
    Wire::new(direction, 8, &body).bytes()
}

/// A [`Message`] that can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub direction: Direction,
    pub kind: MessageKind,
    pub compressed: bool,
    pub fragments: u64,
    pub wire_length: u64,
    pub length: Option<u64>,
    pub payload: Option<Vec<u8>>,
    pub complete: bool,
    pub first: Stamp,
    pub last: Stamp,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Recorder {
    pub frames: Vec<Frame>,
    pub messages: Vec<Heard>,
}

impl Sink for Recorder {
    fn frame(&mut self, frame: &Frame) {
        self.frames.push(*frame);
    }

    fn message(&mut self, message: &Message<'_>) {
        self.messages.push(Heard {
            direction: message.direction,
            kind: message.kind,
            compressed: message.compressed,
            fragments: message.fragments,
            wire_length: message.wire_length,
            length: message.length,
            payload: message.payload.map(<[u8]>::to_vec),
            complete: message.complete,
            first: message.first,
            last: message.last,
        });
    }
}

/// A conversation with the decoder. Each call is one packet, one millisecond after the one before.
pub(super) struct Talk {
    pub socket: WebSocket,
    pub heard: Recorder,
    pub at: [u64; 2],
    pub packet: u64,
}

impl Talk {
    pub(super) fn new(options: Options) -> Talk {
        Talk { socket: WebSocket::new(options), heard: Recorder::default(), at: [1000, 2000], packet: 0 }
    }

    /// After a handshake without extensions, listening to everything.
    pub(super) fn plain() -> Talk {
        Talk::new(Options { interest: Interest::ALL, ..Options::default() })
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp { packet: self.packet, at: self.packet as i64 * 1_000_000 }
    }

    pub(super) fn next(&mut self) -> &mut Self {
        self.packet += 1;
        self
    }

    pub(super) fn feed(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        self.next().same_packet(direction, bytes)
    }

    pub(super) fn same_packet(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        let offset = self.at[direction.index()];
        self.at[direction.index()] += bytes.len() as u64;
        self.socket.feed(self.stamp(), direction, StreamEvent::Data { offset, bytes }, &mut self.heard);
        self
    }

    pub(super) fn gap(&mut self, direction: Direction, len: u64) -> &mut Self {
        self.next().missing(direction, len, GapCause::NotCaptured)
    }

    /// The rest of the packet was cut off.
    pub(super) fn snapped(&mut self, direction: Direction, len: u64) -> &mut Self {
        self.missing(direction, len, GapCause::SnapLength)
    }

    fn missing(&mut self, direction: Direction, len: u64, cause: GapCause) -> &mut Self {
        let offset = self.at[direction.index()];
        self.at[direction.index()] += len;
        let event = StreamEvent::Gap { offset, len, cause };
        self.socket.feed(self.stamp(), direction, event, &mut self.heard);
        self
    }

    pub(super) fn end(&mut self, direction: Direction, end: End) -> &mut Self {
        self.next();
        self.socket.feed(self.stamp(), direction, StreamEvent::End(end), &mut self.heard);
        self
    }

    pub(super) fn facts(&self) -> &WebSocketFacts {
        self.socket.facts()
    }

    /// The opcodes of the frames of one direction.
    pub(super) fn opcodes(&self, direction: Direction) -> Vec<u8> {
        self.heard.frames.iter().filter(|frame| frame.direction == direction).map(|frame| frame.opcode).collect()
    }
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    pub(super) fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = String::new();
        while text.len() < length {
            match self.below(8) {
                0 => text.push_str("€uro"),
                1 => text.push('𝄞'),
                2 => text.push_str("{\"price\":"),
                _ => text.push_str(&format!("{},", self.below(100_000))),
            }
        }
        let mut length = length;
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        text.truncate(length);
        text.into_bytes()
    }
}

/// Compresses one message as RFC 7692 §7.2.1 says.
pub(super) fn deflate(zlib: &mut Compress, plain: &[u8]) -> Vec<u8> {
    if plain.is_empty() {
        return vec![0];
    }
    let mut out = Vec::with_capacity(plain.len() + 64);
    let before = zlib.total_in();
    loop {
        let at = (zlib.total_in() - before) as usize;
        zlib.compress_vec(&plain[at..], &mut out, FlushCompress::Sync).unwrap();
        if out.len() < out.capacity() && (zlib.total_in() - before) as usize == plain.len() {
            break;
        }
        out.reserve(1024);
    }
    out.truncate(out.len() - 4);
    out
}

/// A frame as it was really sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    pub length: u64,
    /// Its first byte and the byte after its last, in the stream.
    pub from: usize,
    pub to: usize,
}

/// What one honest side says.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub bytes: Vec<u8>,
    pub frames: Vec<Sent>,
    pub messages: Vec<(MessageKind, Vec<u8>)>,
}

/// A stream of about `messages` messages with fragments, control frames, every length form, and a Close at the end.
/// `compression`: `Some(takeover)`.
pub(super) fn honest(
    random: &mut Random,
    direction: Direction,
    messages: usize,
    compression: Option<bool>,
    large: bool,
) -> Said {
    let mut said = Said::default();
    let mut zlib = Compress::new(Compression::new(6), false);
    let put = |said: &mut Said, random: &mut Random, fin: bool, rsv: u8, opcode: u8, payload: &[u8]| {
        let mask = (direction == Direction::ToServer).then(|| (random.next() as u32).to_le_bytes());
        let wire = Wire { fin, rsv, opcode, mask, payload: payload.to_vec() }.bytes();
        let from = said.bytes.len();
        said.bytes.extend_from_slice(&wire);
        let to = said.bytes.len();
        said.frames.push(Sent { fin, rsv, opcode, mask, length: payload.len() as u64, from, to });
    };
    for _ in 0..messages {
        if random.one_in(6) {
            let length = random.below(20);
            let payload = random.bytes(length);
            let opcode = 9 + random.below(2) as u8;
            put(&mut said, random, true, 0, opcode, &payload);
        }
        let length = match random.below(12) {
            0 => random.below(3),
            1 => 120 + random.below(12),
            2 if large => 65_530 + random.below(12),
            3 if large => random.below(200_000),
            4..=7 => random.below(2000),
            _ => random.below(90),
        };
        let (kind, plain) = if random.one_in(3) {
            (MessageKind::Binary, random.bytes(length))
        } else {
            (MessageKind::Text, random.text(length))
        };
        let compressed = compression.is_some() && !random.one_in(5);
        let payload = if compressed {
            if compression == Some(false) {
                zlib.reset();
            }
            deflate(&mut zlib, &plain)
        } else {
            plain.clone()
        };
        said.messages.push((kind, plain));
        let opcode = if kind == MessageKind::Text { 1 } else { 2 };
        let rsv = if compressed { 4 } else { 0 };
        if payload.len() > 3 && random.one_in(4) {
            let mut from = 0;
            let mut first = true;
            while from < payload.len() {
                let to = (from + 1 + random.below(payload.len())).min(payload.len());
                let (opcode, rsv) = if first { (opcode, rsv) } else { (0, 0) };
                put(&mut said, random, to == payload.len(), rsv, opcode, &payload[from..to]);
                if to < payload.len() && random.one_in(3) {
                    put(&mut said, random, true, 0, 9, b"between");
                }
                (from, first) = (to, false);
            }
        } else {
            put(&mut said, random, true, rsv, opcode, &payload);
        }
    }
    put(&mut said, random, true, 0, 8, b"\x03\xe8done");
    said
}
