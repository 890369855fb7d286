//! An HTTP/2 connection of arbitrary bytes, cuts, gaps and ends, with a WebSocket on stream 1.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::http2::Http2;
use wsscan::stream::{Direction, End, GapCause, Stamp, StreamEvent};

fuzz_target!(|data: &[u8]| {
    let mut http2 = Http2::new();
    let mut feed = |direction, event: StreamEvent<'_>| http2.feed(Stamp::default(), direction, event, &mut |_, _, _| {});
    feed(Direction::ToServer, StreamEvent::Data { offset: 0, bytes: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" });
    // :method CONNECT, :protocol websocket; :status 200.
    let request = b"\x00\x00\x1e\x01\x04\x00\x00\x00\x01\x02\x07CONNECT\x00\x09:protocol\x09websocket";
    feed(Direction::ToServer, StreamEvent::Data { offset: 0, bytes: request });
    feed(Direction::ToClient, StreamEvent::Data { offset: 0, bytes: b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" });
    feed(Direction::ToClient, StreamEvent::Data { offset: 0, bytes: b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88" });
    let mut rest = data;
    // Each piece: what it is, its length, its bytes.
    while let [what, len, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        let direction = if what & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let event = match what >> 1 & 15 {
            0 => StreamEvent::Gap { offset: 0, len: u64::from(*len) << (what >> 5), cause: GapCause::NotCaptured },
            1 => StreamEvent::End(if what & 32 == 0 { End::Fin } else { End::Rst }),
            _ => StreamEvent::Data { offset: 0, bytes },
        };
        feed(direction, event);
    }
});
