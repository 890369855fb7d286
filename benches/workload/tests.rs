//! The generator is held to what it promises: the same bytes for the same seed, right checksums, a true truth.

use flate2::{Decompress, FlushDecompress};

use crate::generate::capture_file::Format;
use crate::generate::packets::{ACK, PSH, Route, SYN, TcpFields};
use crate::generate::payloads::{Payloads, STORY};
use crate::generate::simulation::Shape;
use crate::generate::{heads, in_memory};

const SHAPES: [Shape; 9] = [
    Shape::Ticks,
    Shape::Binary,
    Shape::Upload,
    Shape::Churn,
    Shape::Noise,
    Shape::Deflate,
    Shape::Lossy,
    Shape::Wss,
    Shape::WssLarge,
];

#[test]
fn same_seed_same_bytes() {
    for shape in SHAPES {
        let [one, two] = [1, 1].map(|seed| in_memory(shape, 1 << 20, seed, Format::Pcap));
        assert!(one.bytes == two.bytes && one.truth == two.truth, "{shape:?}");
        assert!(in_memory(shape, 1 << 20, 2, Format::Pcap).bytes != one.bytes, "{shape:?}");
    }
}

/// The records of the file are as many as the truth says, in order of time, and end where the file ends.
#[test]
fn records_are_whole_and_in_order() {
    for shape in SHAPES {
        let capture = in_memory(shape, 1 << 20, 5, Format::PcapNanosecond);
        let (mut at, mut packets, mut before) = (24, 0, 0);
        let field = |at: usize| u32::from_le_bytes(capture.bytes[at..at + 4].try_into().unwrap());
        while at < capture.bytes.len() {
            let time = u64::from(field(at)) * 1_000_000_000 + u64::from(field(at + 4));
            assert!(time >= before && field(at + 8) == field(at + 12));
            before = time;
            at += 16 + field(at + 8) as usize;
            packets += 1;
        }
        assert_eq!((at as u64, packets), (capture.truth.file_bytes, capture.truth.packets), "{shape:?}");
    }
}

#[test]
fn truth_adds_up() {
    for shape in SHAPES {
        let truth = in_memory(shape, 2 << 20, 7, Format::Pcapng).truth;
        for (sent, faults) in [(truth.client, truth.client_faults), (truth.server, truth.server_faults)] {
            let sum = sent.text + sent.binary + sent.continuation + sent.ping + sent.pong + sent.close;
            assert_eq!(sum, sent.frames, "{shape:?}");
            let seen = faults.frames_whole + faults.frames_payload_gap + faults.frames_header_gap;
            assert_eq!(seen, if shape == Shape::Lossy { sent.frames } else { 0 }, "{shape:?}");
        }
        assert_eq!(truth.outcomes.values().sum::<u64>(), truth.attempts, "{shape:?}");
        assert!(truth.server.frames > 0 && truth.websockets > 0, "{shape:?}");
        let foreign = truth.foreign_packets * 100 / truth.packets;
        assert!(if shape == Shape::Noise { (90..=97).contains(&foreign) } else { foreign == 0 }, "{foreign} %");
    }
}

/// RFC 1071: the ones' complement sum over data and checksum is all ones.
fn sums_to_ones(parts: &[&[u8]]) -> bool {
    let bytes: Vec<u8> = parts.concat();
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

#[test]
fn checksums_of_both_families_verify() {
    for (from, to, network) in [("10.1.2.3:40000", "10.9.8.7:80", 34), ("[fd00::1]:40000", "[fd00::2]:80", 54)] {
        let addresses = if network == 34 { 26..34 } else { 22..54 };
        for timestamps in [false, true] {
            let mut route = Route::new(from.parse().unwrap(), to.parse().unwrap(), 6, 64, timestamps);
            for payload in [&b""[..], b"x", b"hello, world"] {
                for flags in [SYN, ACK, PSH | ACK] {
                    let mut packet = vec![0xaa; route.tcp_length(flags, payload.len())];
                    let fields = TcpFields { sequence: 7, acknowledgment: 9, flags, clock: 12 };
                    route.write_tcp(&mut packet, fields, payload);
                    let length = ((packet.len() - network) as u16).to_be_bytes();
                    assert!(sums_to_ones(&[&packet[addresses.clone()], &[0, 6], &length, &packet[network..]]));
                    assert!(network != 34 || sums_to_ones(&[&packet[14..34]]));
                }
            }
        }
        let mut route = Route::new(from.parse().unwrap(), to.parse().unwrap(), 17, 64, false);
        let mut packet = vec![0xaa; route.udp_length(5)];
        route.write_udp(&mut packet, b"hello");
        let length = ((packet.len() - network) as u16).to_be_bytes();
        assert!(sums_to_ones(&[&packet[addresses], &[0, 17], &length, &packet[network..]]));
    }
}

/// The example of RFC 6455 §1.3.
#[test]
fn accept_of_the_rfc() {
    assert_eq!(heads::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/// Stories inflate in any order with the window kept from one to the next.
#[test]
fn stories_follow_one_another() {
    let payloads = Payloads::new(3, 2);
    let mut inflate = Decompress::new(false);
    for which in [1, 0, 0, 1] {
        let story = &payloads.stories[1][which];
        for index in 0..STORY {
            let (packed, plain) = story.message(index).unwrap();
            let mut wire = packed.to_vec();
            wire.extend([0, 0, 0xff, 0xff]);
            let mut out = Vec::with_capacity(plain as usize + 64);
            inflate.decompress_vec(&wire, &mut out, FlushDecompress::Sync).unwrap();
            assert_eq!(out.len(), plain as usize);
            assert!(out.starts_with(b"{\"channel\"") && out.ends_with(b"]}"));
        }
        assert!(story.message(STORY).is_none());
    }
}
