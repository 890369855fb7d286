//! Tests of the room as a whole: what goes in is a packet, what comes out is what it means.

mod build;
mod fragments;
mod hostile;
mod icmp;
mod odd;
mod oracle;

use super::*;
use build::*;

#[test]
fn every_way_to_carry_tcp_leads_to_the_same_segment() {
    for sample in samples() {
        let Decoded::Segment(segment) = decode(packet(sample.link, &sample.bytes)) else {
            panic!("{}: {:?}", sample.name, decode(packet(sample.link, &sample.bytes)));
        };
        assert_eq!(segment.stamp, STAMP, "{}", sample.name);
        assert_eq!(segment.source, Endpoint { ip: sample.source, port: CLIENT_PORT }, "{}", sample.name);
        assert_eq!(segment.destination, Endpoint { ip: sample.destination, port: SERVER_PORT }, "{}", sample.name);
        assert_eq!((segment.sequence, segment.acknowledgment), (SEQUENCE, 0x0102_0304), "{}", sample.name);
        assert_eq!((segment.window, segment.flags), (501, TcpFlags(0x18)), "{}", sample.name);
        assert_eq!(segment.ttl, if sample.source.is_ipv6() { 63 } else { 64 }, "{}", sample.name);
        assert_eq!(segment.options, TcpOptions::default(), "{}", sample.name);
        assert_eq!(segment.payload, PAYLOAD, "{}", sample.name);
        assert_eq!(segment.payload_len as usize, PAYLOAD.len(), "{}", sample.name);
    }
}

/// Whether `part` lies within `whole`.
fn is_within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    part.start == part.end || (whole.start <= part.start && part.end <= whole.end)
}

#[test]
fn every_sample_cut_at_every_byte_keeps_its_numbers_or_says_why_not() {
    for sample in samples() {
        let header_len = sample.bytes.windows(PAYLOAD.len()).position(|window| window == PAYLOAD).unwrap();
        for cut in 0..=sample.bytes.len() {
            let bytes = &sample.bytes[..cut];
            let whole = Packet { bytes, ..packet(sample.link, &sample.bytes) };
            match decode(whole) {
                Decoded::Segment(segment) => {
                    assert!(cut >= header_len, "{} cut at {cut}", sample.name);
                    assert_eq!(segment.payload_len as usize, PAYLOAD.len(), "{} cut at {cut}", sample.name);
                    let captured = (cut - header_len).min(PAYLOAD.len());
                    assert_eq!(segment.payload, &PAYLOAD[..captured], "{} cut at {cut}", sample.name);
                    assert!(is_within(segment.payload, bytes), "{} cut at {cut}", sample.name);
                }
                Decoded::Undecodable(Undecodable::TruncatedHeader) => {
                    assert!(cut < header_len, "{} cut at {cut}", sample.name);
                }
                // Without the bytes behind it, the control word of a pseudowire is no evidence of Ethernet.
                Decoded::Other => {
                    assert!(
                        sample.name.starts_with("mpls pseudowire") && cut < header_len,
                        "{} cut at {cut}",
                        sample.name
                    );
                }
                other => panic!("{} cut at {cut}: {other:?}", sample.name),
            }
            // A tool that cut the packet and forgot how long it was: the IP header still knows.
            match decode(packet(sample.link, bytes)) {
                Decoded::Segment(segment) => {
                    assert!(is_within(segment.payload, bytes), "{} cut at {cut}", sample.name);
                    assert_eq!(segment.payload_len as usize, PAYLOAD.len(), "{} cut at {cut}", sample.name);
                }
                Decoded::Undecodable(_) | Decoded::Other => {}
                other => panic!("{} cut at {cut}: {other:?}", sample.name),
            }
        }
    }
}
