//! One WebSocket, both directions, any bytes in any packets with any gaps: no panic, no contradiction between what is
//! told and what is counted, and nothing told that the bytes fed could not hold.
//!
//! Input: one byte of options, then instructions: a byte whose bits say direction (1), gap instead of data (2), end (4),
//! and shrink (8), a length byte, and that many bytes of data.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::websocket::{
    Deflate, Direction, End, Frame, GapCause, Interest, Message, MessageStart, Options, Sink, Stamp, Start, StreamEvent,
    TAP_BYTES, WebSocket, looks_like_websocket,
};

#[derive(Default)]
struct Told {
    frames: [u64; 2],
    messages: [u64; 2],
}

impl Sink for Told {
    fn frame(&mut self, frame: &Frame) {
        self.frames[frame.direction.index()] += 1;
        assert!(frame.opcode < 16 && frame.rsv < 8 && (2..=14).contains(&frame.header_length));
        assert!(frame.first.packet <= frame.last.packet);
    }

    fn message(&mut self, message: &Message<'_>) {
        self.messages[message.direction.index()] += 1;
        if let Some(payload) = message.payload {
            assert!(message.complete && payload.len() <= Interest::PAYLOAD_LIMIT as usize);
            assert!(message.truncated || message.length == Some(payload.len() as u64));
        }
    }

    fn taps(&self) -> bool {
        self.messages[0] < 20
    }

    fn message_start(&mut self, start: &MessageStart<'_>) {
        let shown = start.bytes.len();
        assert!(shown <= TAP_BYTES);
        assert!(start.length.is_none_or(|length| shown as u64 == length.min(TAP_BYTES as u64)));
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&how, mut rest)) = input.split_first() else { return };
    let deflate = (how & 1 != 0).then_some(Deflate {
        server_no_context_takeover: how & 2 != 0,
        client_no_context_takeover: how & 4 != 0,
        ..Deflate::default()
    });
    let start = if how & 8 != 0 { Start::MidStream } else { Start::Handshake };
    let mut socket = WebSocket::new(Options { deflate, start, interest: Interest::ALL });
    let mut told = Told::default();
    let mut offsets = [0u64; 2];
    let mut seen = [0u64; 2];
    let mut packet = 0;
    while let [what, length, more @ ..] = rest {
        packet += 1;
        let stamp = Stamp { packet, at: packet as i64 };
        let direction = if what & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let at = direction.index();
        let offset = offsets[at];
        rest = more;
        if what & 4 != 0 {
            socket.feed(stamp, direction, StreamEvent::End(End::Fin), &mut told);
        } else if what & 2 != 0 {
            let len = u64::from(*length) << (what >> 3 & 0x18);
            offsets[at] += len;
            socket.feed(stamp, direction, StreamEvent::Gap { offset, len, cause: GapCause::NotCaptured }, &mut told);
        } else {
            let (bytes, more) = rest.split_at(rest.len().min(usize::from(*length)));
            rest = more;
            offsets[at] += bytes.len() as u64;
            seen[at] += bytes.len() as u64;
            let _ = looks_like_websocket(bytes);
            socket.feed(stamp, direction, StreamEvent::Data { offset, bytes }, &mut told);
        }
        if what & 8 != 0 {
            socket.shrink();
        }
    }
    for direction in Direction::BOTH {
        let stamp = Stamp { packet: packet + 1, at: 0 };
        socket.feed(stamp, direction, StreamEvent::End(End::CaptureEnd), &mut told);
    }
    for direction in Direction::BOTH {
        let facts = &socket.facts()[direction];
        assert_eq!(facts.frames, told.frames[direction.index()]);
        assert_eq!(facts.messages, told.messages[direction.index()]);
        let by_kind =
            [facts.text, facts.binary, facts.continuation, facts.ping, facts.pong, facts.closes, facts.unusual().unknown];
        assert_eq!(facts.frames, by_kind.iter().sum::<u64>());
        assert!(facts.unusual().gaps.undecoded_bytes <= seen[direction.index()]);
        assert!(facts.compression().undecoded <= facts.compression().messages);
    }
});
