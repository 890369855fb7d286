//! Packets of any link type: no panic, no payload from elsewhere, bounded reassembly.
//!
//! Input: a sequence of `link: u8, flags: u8, length: u16 (big-endian), bytes`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::packet::{Decoded, Defragmenter, LinkType, Packet, Stamp, decode};

const LINKS: [u16; 16] = [1, 0, 9, 12, 14, 50, 51, 101, 104, 108, 113, 228, 229, 276, 105, 1];

/// A datagram reassembled out of datagrams, and so on: as deep as headers may nest.
fn check(defragmenter: &mut Defragmenter, decoded: Decoded<'_>, depth: u8) {
    match decoded {
        Decoded::Segment(segment) => assert!(segment.payload.len() <= segment.payload_len as usize),
        Decoded::Fragment(fragment) => {
            assert!(depth < wsscan::packet::MAX_LAYERS);
            if let Some(whole) = defragmenter.push(fragment) {
                check(defragmenter, whole.decode(), depth + 1);
            }
        }
        Decoded::IcmpError(_) | Decoded::Other | Decoded::Undecodable(_) => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let mut defragmenter = Defragmenter::new();
    let (mut rest, mut number) = (input, 0);
    while let Some((&[link, flags, high, low], after)) = rest.split_first_chunk() {
        let (bytes, next) = after.split_at(after.len().min(usize::from(u16::from_be_bytes([high, low]))));
        rest = next;
        number += 1;
        // Some packets were cut by a snap length; some come late.
        let missing = if flags & 1 == 1 { 1000 } else { 0 };
        let at = i64::from(flags >> 1) * 500_000_000;
        let packet = Packet {
            stamp: Stamp { packet: number, at },
            link: LinkType(LINKS[usize::from(link & 15)]),
            bytes,
            original_len: bytes.len() as u32 + missing,
        };
        check(&mut defragmenter, decode(packet), 0);
    }
});
