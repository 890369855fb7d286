//! Segments of one connection in any order, with any flags: both streams come without a hole that is not told, nothing
//! comes after an end, and no byte comes twice.
//!
//! Input: a sequence of `from: u8, flags: u8, sequence: u32, acknowledgment: u32, window: u16, captured: u8, missing: u8`
//! (big-endian) and the captured bytes.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use wsscan::packet::{Endpoint, Segment, TcpFlags, TcpOptions};
use wsscan::stream::{Direction, End, Stamp, StreamEvent};
use wsscan::tcp::Connection;

const CLIENT: Endpoint = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), port: 40000 };
const SERVER: Endpoint = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20)), port: 8080 };

/// How far each direction's stream has come, and whether it has ended.
#[derive(Default)]
struct Streams {
    next: [Option<u64>; 2],
    ended: [bool; 2],
}

impl Streams {
    fn take(&mut self, direction: Direction, event: StreamEvent<'_>) {
        let side = direction.index();
        assert!(!self.ended[side], "something came after the end");
        let mut advance = |offset: u64, len: u64| {
            assert!(
                self.next[side].is_none_or(|next| next == offset),
                "a hole that is not told, or bytes that come twice"
            );
            self.next[side] = offset.checked_add(len);
            assert!(self.next[side].is_some());
        };
        match event {
            StreamEvent::Data { offset, bytes } => {
                assert!(!bytes.is_empty());
                advance(offset, bytes.len() as u64);
            }
            StreamEvent::Gap { offset, len, .. } => {
                assert!(len > 0);
                advance(offset, len);
            }
            StreamEvent::End(_) => self.ended[side] = true,
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut connection = None;
    let mut streams = Streams::default();
    let (mut rest, mut packet) = (input, 0);
    while let Some((header, after)) = rest.split_first_chunk::<14>() {
        let [from, flags, s0, s1, s2, s3, a0, a1, a2, a3, w0, w1, captured, missing] = *header;
        let (payload, next) = after.split_at(after.len().min(usize::from(captured)));
        rest = next;
        packet += 1;
        let (source, destination) = if from & 1 == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let segment = Segment {
            stamp: Stamp { packet, at: packet as i64 * 1_000_000 * (1 + i64::from(from >> 1)) },
            source,
            destination,
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
            window: u16::from_be_bytes([w0, w1]),
            flags: TcpFlags(flags),
            ttl: 64,
            ip_id: 0,
            options: TcpOptions::default(),
            payload_len: payload.len() as u32 + u32::from(missing),
            payload,
        };
        let connection = connection.get_or_insert_with(|| Connection::new(&segment));
        connection.segment(&segment, &mut |_, direction, event| streams.take(direction, event));
    }
    if let Some(mut connection) = connection {
        connection.finish(End::CaptureEnd, &mut |_, direction, event| streams.take(direction, event));
        assert!(streams.ended.iter().all(|ended| *ended), "a stream that never ends");
    }
});
