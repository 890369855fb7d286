//! DNS: the name asked for, the answer, and nothing that is not there.

use super::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const QUESTION: &[u8] = b"\x03wWw\x07Example\x03org\0\0\x01\0\x01";

fn message(flags: u16, answers: u16, body: &[u8]) -> Vec<u8> {
    cat(&[&[0xab, 0xcd], &flags.to_be_bytes(), &[0, 1], &answers.to_be_bytes(), &[0, 0, 0, 0], body])
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u16).to_be_bytes();
    cat(&[&[0xc0, 12], &kind.to_be_bytes(), &[0, 1, 0, 0, 1, 0], &len, data])
}

fn response(message: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4_full(SERVER_V4, CLIENT_V4, 17, 0, 0, &[], &udp(53, 40_000, message)))
}

fn answer(frame: &[u8]) -> DnsAnswer {
    match decode(packet(LinkType::ETHERNET, frame)) {
        Decoded::Dns(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn query() {
    let frame = ethernet(0x86dd, &ipv6(17, &udp(40_000, 53, &message(0x0100, 0, QUESTION))));
    let Decoded::DnsQuery(query) = decode(packet(LinkType::ETHERNET, &frame)) else { panic!() };
    assert_eq!(
        query,
        DnsQuery {
            stamp: STAMP,
            client: CLIENT_V6.into(),
            server: SERVER_V6.into(),
            id: 0xabcd,
            name: "www.example.org".into(),
            query_type: 1,
        }
    );
}

#[test]
fn answer_with_alias_and_addresses() {
    let body = cat(&[
        QUESTION,
        &record(5, b"\x04edge\xc0\x10"),
        &record(1, &[192, 0, 2, 80]),
        &record(28, &SERVER_V6.octets()),
        &record(1, &[1, 2, 3]),
    ]);
    assert_eq!(
        answer(&response(&message(0x8180, 4, &body))),
        DnsAnswer {
            stamp: STAMP,
            client: CLIENT_V4.into(),
            server: SERVER_V4.into(),
            id: 0xabcd,
            name: "www.example.org".into(),
            query_type: 1,
            rcode: 0,
            truncated: false,
            address_count: 2,
            addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)), IpAddr::V6(SERVER_V6)],
        }
    );
}

#[test]
fn no_such_name() {
    let answer = answer(&response(&message(0x8183, 0, QUESTION)));
    assert_eq!((answer.rcode, answer.address_count, answer.truncated), (3, 0, false));
}

#[test]
fn addresses_are_counted_beyond_those_kept() {
    let records: Vec<u8> = (0..20).flat_map(|n| record(1, &[10, 0, 0, n])).collect();
    let answer = answer(&response(&message(0x8180, 20, &cat(&[QUESTION, &records]))));
    assert_eq!((answer.address_count, answer.addresses.len()), (20, MAX_DNS_ADDRESSES));
}

#[test]
fn counts_that_promise_more_than_there_is_are_not_believed() {
    let body = cat(&[QUESTION, &record(1, &[10, 0, 0, 1])]);
    let answer = answer(&response(&message(0x8180, u16::MAX, &body)));
    assert_eq!((answer.address_count, answer.truncated), (1, true));
}

#[test]
fn names_are_made_harmless() {
    let body = b"\x04a.\x1b\xff\x02b\\\0\0\x1c\0\x01";
    let answer = answer(&response(&message(0x8180, 0, body)));
    assert_eq!((answer.name.as_str(), answer.query_type), ("a\\046\\027\\255.b\\092", 28));
}

#[test]
fn what_does_not_parse_is_not_dns() {
    let looping = cat(&[&[0xc0, 12], &[0, 1, 0, 1]]);
    let forward = cat(&[&[0xc0, 14], &[0, 1, 0, 1]]);
    let long: Vec<u8> = cat(&[&[&[63][..], &[b'x'; 63]].concat().repeat(4), &[0, 0, 1, 0, 1]]);
    let chaos = b"\x01a\0\0\x01\0\x03";
    for message in [
        message(0x8180, 0, &looping),
        message(0x8180, 0, &forward),
        message(0x8180, 0, &long),
        message(0x8180, 0, chaos),
        message(0x8180, 0, &QUESTION[..QUESTION.len() - 1]),
        message(0x8180, 0, b"\x40a\0\0\x01\0\x01"),
        message(0x2800, 0, QUESTION), // dynamic update
        message(0x0100, 0, QUESTION), // a query from port 53 to another port
        vec![0; 11],
        vec![0xff; 200],
    ] {
        let frame = response(&message);
        let decoded = decode(packet(LinkType::ETHERNET, &frame));
        assert!(matches!(decoded, Decoded::Other), "{decoded:?}");
    }
}

#[test]
fn every_cut_is_survived() {
    let body = cat(&[QUESTION, &record(1, &[10, 0, 0, 1]), &record(28, &Ipv6Addr::LOCALHOST.octets())]);
    let frame = response(&message(0x8180, 2, &body));
    let question_end = 14 + 20 + 8 + 12 + QUESTION.len();
    for cut in 42..frame.len() {
        match decode(Packet { bytes: &frame[..cut], ..packet(LinkType::ETHERNET, &frame) }) {
            Decoded::Dns(answer) => assert!(cut >= question_end && answer.truncated && answer.address_count < 2),
            Decoded::Other => assert!(cut < question_end),
            other => panic!("{other:?}"),
        }
    }
}
