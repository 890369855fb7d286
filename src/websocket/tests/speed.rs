//! How fast it is. `cargo test --release --lib websocket::tests::speed -- --ignored --nocapture`

use super::support::*;
use crate::stream::Direction::{self, ToClient};
use crate::stream::{Stamp, StreamEvent};
use crate::websocket::{Deflate, Interest, Options, WebSocket};
use std::time::Instant;

/// Feeds `stream` in packets of `segment` bytes, best of five; nanoseconds.
fn time(options: Options, direction: Direction, stream: &[u8], segment: usize, frames: u64) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let mut socket = WebSocket::new(options);
        let begin = Instant::now();
        let mut offset = 0;
        for (number, bytes) in stream.chunks(segment).enumerate() {
            let stamp = Stamp { packet: number as u64 + 1, at: number as i64 };
            socket.feed(stamp, direction, StreamEvent::Data { offset, bytes }, &mut ());
            offset += bytes.len() as u64;
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e9);
        assert_eq!(socket.facts()[direction].frames, frames);
        assert!(socket.facts()[direction].unusual().violations.is_empty());
    }
    best
}

#[test]
#[ignore = "measures; only a release build says anything"]
fn measure() {
    let options = Options::default();
    let everything = Options { interest: Interest::ALL, ..options };
    for direction in Direction::BOTH {
        for (name, options) in [("facts only", options), ("all events", everything)] {
            for length in [20, 100, 400] {
                let frame = Wire::new(direction, 1, &vec![b'x'; length]).bytes();
                let stream = frame.repeat(400_000);
                for segment in [frame.len() * (1460 / frame.len()), 1460] {
                    let time = time(options, direction, &stream, segment, 400_000);
                    let (per_frame, rate) = (time / 400_000.0, stream.len() as f64 / time);
                    println!(
                        "{direction:?} {length:4} B text, {name}, packets of {segment}: {per_frame:.1} ns, {rate:.2} GB/s"
                    );
                }
            }
            for (kind, opcode, byte) in [("binary", 2, 0xE9), ("text ASCII", 1, b'x')] {
                let stream = Wire::new(direction, opcode, &vec![byte; 16_384]).bytes().repeat(10_000);
                let time = time(options, direction, &stream, 1460, 10_000);
                println!("{direction:?} 16 KiB {kind}, {name}: {:.1} GB/s", stream.len() as f64 / time);
            }
            let words = "grüße aus München, ".repeat(800);
            let stream = text(direction, &words).repeat(10_000);
            let time = time(options, direction, &stream, 1460, 10_000);
            println!("{direction:?} 17 KiB text not ASCII, {name}: {:.1} GB/s", stream.len() as f64 / time);
        }
    }
    for (size, count) in [(120, 200_000u64), (400, 100_000), (2000, 30_000), (64_000, 1000)] {
        let mut random = Random(1);
        let mut zlib = flate2::Compress::new(flate2::Compression::new(6), false);
        let (mut stream, mut plain) = (Vec::new(), 0);
        for _ in 0..count {
            let words = random.text(size);
            plain += words.len();
            stream.extend(Wire::new(ToClient, 1, &deflate(&mut zlib, &words)).rsv(4).bytes());
        }
        let mut alone = flate2::Decompress::new(false);
        let mut out = vec![0; 100_000];
        let begin = Instant::now();
        let mut rest = &stream[..];
        while let Some(header) = crate::websocket::header::Header::parse(rest) {
            let (payload, next) = rest[usize::from(header.size)..].split_at(header.length as usize);
            for part in [payload, &[0, 0, 0xFF, 0xFF]] {
                alone.decompress(part, &mut out, flate2::FlushDecompress::Sync).unwrap();
            }
            rest = next;
        }
        println!("zlib alone: {:.0} ns per message", begin.elapsed().as_secs_f64() * 1e9 / count as f64);
        for options in [options, everything] {
            let options = Options { deflate: Some(Deflate::default()), ..options };
            let time = time(options, ToClient, &stream, 1460, count);
            println!(
                "deflate {size} B: {:.0} ns per message, {:.0} MB/s out, {:.0} MB/s of wire",
                time / count as f64,
                plain as f64 / time * 1e3,
                stream.len() as f64 / time * 1e3
            );
        }
    }
}
