//! Arbitrary header blocks, as a client's requests on streams of their own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::http2::Http2;
use wsscan::stream::{Direction, Stamp, StreamEvent};

fuzz_target!(|data: &[u8]| {
    let mut http2 = Http2::new();
    let mut feed = |bytes: &[u8]| {
        http2.feed(Stamp::default(), Direction::ToServer, StreamEvent::Data { offset: 0, bytes }, &mut |_, _, _| {});
    };
    feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for (number, block) in data.chunks(600).enumerate() {
        let (len, stream) = ((block.len() as u32).to_be_bytes(), (2 * number as u32 + 1).to_be_bytes());
        feed(&[&len[1..], &[1, 5], &stream, block].concat());
    }
});
