//! The beginnings of messages, for those who ask for no more.

use super::support::{Random, Recorder, Wire, deflate};
use crate::stream::{Direction, GapCause, Stamp, StreamEvent};
use crate::websocket::{
    Deflate, Frame, Interest, Message, MessageKind, MessageStart, Options, Sink, TAP_BYTES, WebSocket,
};
use flate2::{Compress, Compression};

use Direction::{ToClient, ToServer};

/// A [`MessageStart`] that can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    direction: Direction,
    text: bool,
    length: Option<u64>,
    bytes: Vec<u8>,
}

/// Taps the first `wanted` messages.
#[derive(Debug, Default)]
struct Tap {
    wanted: usize,
    starts: Vec<Start>,
    heard: Recorder,
    truncated: Vec<bool>,
}

impl Sink for Tap {
    fn frame(&mut self, frame: &Frame) {
        self.heard.frame(frame);
    }

    fn message(&mut self, message: &Message<'_>) {
        self.truncated.push(message.truncated);
        self.heard.message(message);
    }

    fn taps(&self) -> bool {
        self.starts.len() < self.wanted
    }

    fn message_start(&mut self, start: &MessageStart<'_>) {
        assert!(self.taps(), "nobody asked");
        let MessageStart { direction, kind, length, bytes, .. } = *start;
        self.starts.push(Start { direction, text: kind == MessageKind::Text, length, bytes: bytes.to_vec() });
    }
}

/// One side's stream: bytes, and gaps of so many bytes.
enum Piece {
    Data(Vec<u8>),
    Gap(u64),
}

struct Talk {
    socket: WebSocket,
    tap: Tap,
    at: [u64; 2],
}

impl Talk {
    fn new(deflate: Option<Deflate>, interest: Interest, wanted: usize) -> Self {
        let socket = WebSocket::new(Options { deflate, interest, ..Options::default() });
        Self { socket, tap: Tap { wanted, ..Tap::default() }, at: [0; 2] }
    }

    fn feed(&mut self, direction: Direction, event: StreamEvent<'_>, length: usize) {
        self.at[direction.index()] += length as u64;
        self.socket.feed(Stamp { packet: 1, at: 1 }, direction, event, &mut self.tap);
    }

    fn say(&mut self, direction: Direction, piece: &Piece, size: usize) {
        match piece {
            Piece::Data(bytes) => {
                for bytes in bytes.chunks(size) {
                    let offset = self.at[direction.index()];
                    self.feed(direction, StreamEvent::Data { offset, bytes }, bytes.len());
                }
            }
            Piece::Gap(len) => {
                let (offset, cause) = (self.at[direction.index()], GapCause::SnapLength);
                self.feed(direction, StreamEvent::Gap { offset, len: *len, cause }, *len as usize);
            }
        }
    }
}

fn start(direction: Direction, text: bool, whole: &[u8]) -> Start {
    let bytes = whole[..whole.len().min(TAP_BYTES)].to_vec();
    Start { direction, text, length: Some(whole.len() as u64), bytes }
}

/// Messages of many sizes and kinds, from both sides, and what a tap is to see of them.
fn traffic() -> (Vec<(Direction, Vec<u8>)>, Vec<Start>) {
    let mut random = Random(7);
    let mut zlib = [Compress::new(Compression::default(), false), Compress::new(Compression::default(), false)];
    let (mut sent, mut starts) = (Vec::new(), Vec::new());
    for size in [0, 1, 5, 100, 255, 256, 257, 300, 2000, 20_000] {
        for (number, direction) in [ToServer, ToClient, ToServer, ToClient].into_iter().enumerate() {
            let plain = if number < 2 { random.text(size) } else { random.bytes(size) };
            let opcode = if number < 2 { 1 } else { 2 };
            starts.push(start(direction, number < 2, &plain));
            sent.push((direction, Wire::new(direction, opcode, &plain).bytes()));
            // The same in three fragments with a Ping in between, and compressed.
            let (first, rest) = plain.split_at(plain.len() / 3);
            let (middle, last) = rest.split_at(rest.len() / 2);
            let mut bytes = Wire::new(direction, opcode, first).part().bytes();
            bytes.extend(Wire::new(direction, 0, middle).part().bytes());
            bytes.extend(Wire::new(direction, 9, b"ping").bytes());
            bytes.extend(Wire::new(direction, 0, last).bytes());
            starts.push(start(direction, number < 2, &plain));
            sent.push((direction, bytes));
            let compressed = deflate(&mut zlib[direction.index()], &plain);
            starts.push(start(direction, number < 2, &plain));
            sent.push((direction, Wire::new(direction, opcode, &compressed).rsv(4).bytes()));
        }
    }
    (sent, starts)
}

#[test]
fn the_beginning_of_every_message_is_shown_however_it_arrives() {
    let (sent, starts) = traffic();
    for size in [1, 7, 256, 1460, usize::MAX] {
        for wanted in [0, 1, 50, usize::MAX] {
            let mut talk = Talk::new(Some(Deflate::default()), Interest::NONE, wanted);
            for (direction, bytes) in &sent {
                talk.say(*direction, &Piece::Data(bytes.clone()), size);
            }
            assert!(talk.tap.starts == starts[..wanted.min(starts.len())], "{wanted} of {size} bytes");
        }
    }
}

#[test]
fn a_tap_changes_nothing_for_those_who_want_whole_messages() {
    let (sent, starts) = traffic();
    for limit in [0, 1, 255, 256, 257, 1000, Interest::PAYLOAD_LIMIT] {
        let interest = Interest { frames: true, messages: true, payload_limit: limit };
        let [alone, tapped] = [0, usize::MAX].map(|wanted| {
            let mut talk = Talk::new(Some(Deflate::default()), interest, wanted);
            for (direction, bytes) in &sent {
                talk.say(*direction, &Piece::Data(bytes.clone()), 1460);
            }
            talk
        });
        assert!(alone.tap.heard == tapped.tap.heard && alone.tap.truncated == tapped.tap.truncated, "{limit}");
        assert!(alone.socket.facts() == tapped.socket.facts(), "{limit}");
        assert_eq!(alone.tap.truncated.iter().any(|truncated| *truncated), (1..20_000).contains(&limit), "{limit}");
        let shown = |length: usize| Some(length.min(limit as usize)).filter(|_| limit > 0);
        for (message, start) in alone.tap.heard.messages.iter().zip(&starts) {
            assert_eq!(message.payload.as_ref().map(Vec::len), shown(start.length.unwrap() as usize), "{limit}");
        }
        assert!(tapped.tap.starts == starts, "{limit}");
    }
}

#[test]
fn a_message_that_was_cut_is_shown_up_to_the_gap_and_never_as_whole() {
    let plain: Vec<u8> = (0..1000_u32).map(|at| b'a' + (at % 26) as u8).collect();
    for direction in Direction::BOTH {
        for opcode in [1, 2] {
            let wire = Wire::new(direction, opcode, &plain).bytes();
            let header = wire.len() - plain.len();
            for (before, gap) in [(0, 10), (1, 10), (100, 899), (100, 900), (300, 10), (999, 1)] {
                let mut talk = Talk::new(None, Interest::NONE, usize::MAX);
                talk.say(direction, &Piece::Data(wire[..header + before].to_vec()), usize::MAX);
                talk.say(direction, &Piece::Gap(gap), 0);
                talk.say(direction, &Piece::Data(wire[header + before + gap as usize..].to_vec()), usize::MAX);
                let bytes = plain[..before.min(TAP_BYTES)].to_vec();
                let cut = Start { direction, text: opcode == 1, length: None, bytes };
                let expected = if before == 0 { vec![] } else { vec![cut] };
                assert_eq!(talk.tap.starts, expected, "{before} bytes, {gap} missing");
            }
        }
    }
}

#[test]
fn nothing_is_shown_of_messages_that_cannot_be_decoded_or_began_in_a_gap() {
    let plain = [b'x'; 1000];
    let mut zlib = Compress::new(Compression::none(), false);
    let compressed = Wire::new(ToClient, 1, &deflate(&mut zlib, &plain)).rsv(4).bytes();
    let mut talk = Talk::new(Some(Deflate::default()), Interest::NONE, usize::MAX);
    talk.say(ToClient, &Piece::Data(compressed[..500].to_vec()), usize::MAX);
    talk.say(ToClient, &Piece::Gap(compressed.len() as u64 - 500), 0);
    // Its history is lost, so the next one means nothing.
    let next = Wire::new(ToClient, 1, &deflate(&mut zlib, &plain)).rsv(4).bytes();
    talk.say(ToClient, &Piece::Data(next), usize::MAX);
    assert_eq!(talk.tap.starts, [], "compressed");
    assert_eq!(talk.socket.facts()[ToClient].messages, 2);

    let mut talk = Talk::new(None, Interest::NONE, usize::MAX);
    let fragments = [Wire::new(ToClient, 1, b"first").part().bytes(), Wire::new(ToClient, 0, b"second").bytes()];
    talk.say(ToClient, &Piece::Gap(fragments[0].len() as u64), 0);
    talk.say(ToClient, &Piece::Data(fragments[1].clone()), usize::MAX);
    assert_eq!(talk.tap.starts, [], "its first fragment is missing");
}

#[test]
fn no_more_is_kept_of_a_message_than_is_shown() {
    for opcode in [1, 2] {
        for direction in Direction::BOTH {
            let wire = Wire::new(direction, opcode, &[b'x'; 200_000]).bytes();
            for (wanted, most) in [(0, 0), (1, 2 * TAP_BYTES)] {
                let mut talk = Talk::new(None, Interest::NONE, wanted);
                for bytes in wire.chunks(1460) {
                    talk.say(direction, &Piece::Data(bytes.to_vec()), usize::MAX);
                    assert!(talk.socket.memory() <= most, "{} bytes kept", talk.socket.memory());
                }
                assert_eq!(talk.tap.starts.len(), wanted);
            }
        }
    }
}
