//! Arbitrary handshake data of both sides, in plaintext records.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::stream::{Direction, End, Stamp, StreamEvent};
use wsscan::tls::{KeyLog, Tls, traffic_analysis};

fuzz_target!(|data: &[u8]| {
    let keys = KeyLog::new();
    let mut tls = Tls::new();
    for (number, message) in data.chunks(1024).enumerate() {
        let direction = if number % 2 == 0 { Direction::ToServer } else { Direction::ToClient };
        let len = (message.len() as u16).to_be_bytes();
        let record = [&[22, 3, 3, len[0], len[1]][..], message].concat();
        let stamp = Stamp { packet: number as u64 + 1, at: number as i64 };
        tls.feed(stamp, direction, StreamEvent::Data { offset: 0, bytes: &record }, &keys, &mut |_, _, _| {
            panic!("plaintext without keys");
        });
    }
    for direction in Direction::BOTH {
        tls.feed(Stamp::default(), direction, StreamEvent::End(End::Fin), &keys, &mut |_, _, _| {});
    }
    let _ = (traffic_analysis::handshake(tls.facts()), traffic_analysis::websocket(tls.facts()));
});
