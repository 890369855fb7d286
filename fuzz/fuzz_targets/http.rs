//! HTTP on one connection: the input is a dialogue. The first byte of each act says who acts and how, the second how
//! many of the following bytes are sent or, times 16, missing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::http::{Http, HttpEvent, MAX_EXCERPT, MAX_FOREIGN, Step};
use wsscan::stream::{Direction, End, GapCause, Stamp, StreamEvent};

fuzz_target!(|input: &[u8]| {
    let mut http = Http::new();
    let mut events = Vec::new();
    let mut next = [0u64; 2];
    let mut stamp = Stamp::default();
    let mut rest = input;
    while let [act, size, tail @ ..] = rest {
        stamp.packet += 1;
        let direction = Direction::BOTH[usize::from(act & 1)];
        let offset = next[direction.index()];
        let mut used = 0;
        let event = match act >> 1 & 15 {
            0 => StreamEvent::End([End::Fin, End::Rst, End::Timeout, End::CaptureEnd][usize::from(size & 3)]),
            1 => StreamEvent::Gap { offset, len: u64::from(*size) * 16, cause: GapCause::NotCaptured },
            _ => {
                used = usize::from(*size).min(tail.len());
                StreamEvent::Data { offset, bytes: &tail[..used] }
            }
        };
        if let StreamEvent::Gap { len, .. } = event {
            next[direction.index()] += len;
        }
        next[direction.index()] += used as u64;
        rest = &tail[used..];
        if let Step::Switch(switch) = http.feed(stamp, direction, event, &mut events) {
            // What follows begins no later than what was fed.
            for direction in Direction::BOTH {
                assert!(switch.starts[direction.index()].offset <= next[direction.index()]);
            }
            if let Some(StreamEvent::Data { offset, bytes }) = switch.next {
                assert_eq!(offset + bytes.len() as u64, next[direction.index()]);
            }
            let _ = switch.early.events().count();
            break;
        }
    }
    for direction in Direction::BOTH {
        http.feed(stamp, direction, StreamEvent::End(End::CaptureEnd), &mut events);
    }
    for event in &events {
        match event {
            HttpEvent::Exchange(exchange) => {
                assert!(exchange.body.excerpt.len() <= MAX_EXCERPT);
                assert!(exchange.early.as_ref().is_none_or(|early| early.first_bytes.len() <= MAX_FOREIGN));
                if let Some(request) = &exchange.request {
                    assert!(request.head.fields().all(|(name, _)| !name.is_empty()));
                }
            }
            _ => {}
        }
    }
});
