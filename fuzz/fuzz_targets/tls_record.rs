//! A TLS connection of arbitrary bytes, cuts, gaps and ends, with a key log that fits nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::stream::{Direction, End, GapCause, Stamp, StreamEvent};
use wsscan::tls::{KeyLog, Tls, traffic_analysis};

fuzz_target!(|data: &[u8]| {
    let mut keys = KeyLog::new();
    keys.add(format!("SERVER_TRAFFIC_SECRET_0 {} {}\n", "00".repeat(32), "11".repeat(32)).as_bytes());
    keys.add(format!("CLIENT_RANDOM {} {}\n", "00".repeat(32), "11".repeat(48)).as_bytes());
    let mut tls = Tls::new();
    let mut rest = data;
    let mut packet = 0;
    // Each piece: what it is, its length, its bytes.
    while let [what, len, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        packet += 1;
        let direction = if what & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let event = match what >> 1 & 15 {
            0 => StreamEvent::Gap { offset: 0, len: u64::from(*len) << (what >> 5), cause: GapCause::NotCaptured },
            1 => StreamEvent::End(if what & 32 == 0 { End::Fin } else { End::Rst }),
            _ => StreamEvent::Data { offset: 0, bytes },
        };
        tls.feed(Stamp { packet, at: 0 }, direction, event, &keys, &mut |_, _, _| {});
    }
    let facts = tls.facts();
    let _ = (traffic_analysis::handshake(facts), traffic_analysis::closing(facts), traffic_analysis::websocket(facts));
    let _ = (Tls::sniff(data), Tls::sniff_midstream(data));
});
