//! ICMP errors name a flow and are never part of it.

use super::*;
use std::net::IpAddr;

const ROUTER: [u8; 4] = [203, 0, 113, 2];

fn icmp_v4(kind: u8, code: u8, word: u32, quote: &[u8]) -> Vec<u8> {
    let message = cat(&[&[kind, code, 0, 0], &word.to_be_bytes(), quote]);
    ethernet(0x0800, &ipv4_full(ROUTER.into(), CLIENT_V4, 1, 0, 0, &[], &message))
}

fn icmp_v6(kind: u8, code: u8, word: u32, quote: &[u8]) -> Vec<u8> {
    ethernet(0x86dd, &ipv6(58, &cat(&[&[kind, code, 0, 0], &word.to_be_bytes(), quote])))
}

fn error(frame: &[u8]) -> IcmpError {
    match decode(packet(LinkType::ETHERNET, frame)) {
        Decoded::IcmpError(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn v4_errors_about_tcp() {
    for (kind, code, word, expected, description) in [
        (3, 0, 0, IcmpKind::Unreachable { code: 0 }, "network unreachable"),
        (3, 1, 0, IcmpKind::Unreachable { code: 1 }, "host unreachable"),
        (3, 3, 0, IcmpKind::Unreachable { code: 3 }, "port unreachable"),
        (3, 4, 1400, IcmpKind::PacketTooBig { mtu: 1400 }, "packet too big"),
        (3, 9, 0, IcmpKind::AdministrativelyProhibited { code: 9 }, "network administratively prohibited"),
        (3, 10, 0, IcmpKind::AdministrativelyProhibited { code: 10 }, "host administratively prohibited"),
        (3, 13, 0, IcmpKind::AdministrativelyProhibited { code: 13 }, "communication administratively prohibited"),
        (11, 0, 0, IcmpKind::TimeExceeded { code: 0 }, "time to live exceeded in transit"),
        (11, 1, 0, IcmpKind::TimeExceeded { code: 1 }, "fragment reassembly time exceeded"),
        (12, 0, 0, IcmpKind::ParameterProblem { code: 0 }, "parameter problem"),
    ] {
        // Whole packet quoted; the minimum of RFC 792; a header with options.
        let with_options = ipv4_full(CLIENT_V4, SERVER_V4, 6, 1, 0, &[1, 1, 1, 0], &tcp());
        for quote in [&tcp_v4()[..], &tcp_v4()[..28], &with_options[..32]] {
            let error = error(&icmp_v4(kind, code, word, quote));
            assert_eq!(error.kind, expected);
            assert_eq!(error.description(), description);
            assert_eq!(error.stamp, STAMP);
            assert_eq!(error.reporter, IpAddr::from(ROUTER));
            assert_eq!(error.source, Endpoint { ip: CLIENT_V4.into(), port: CLIENT_PORT });
            assert_eq!(error.destination, Endpoint { ip: SERVER_V4.into(), port: SERVER_PORT });
            assert_eq!(error.sequence, SEQUENCE);
        }
    }
}

#[test]
fn v6_errors_about_tcp() {
    for (kind, code, word, expected) in [
        (1, 0, 0, IcmpKind::Unreachable { code: 0 }),
        (1, 1, 0, IcmpKind::AdministrativelyProhibited { code: 1 }),
        (1, 4, 0, IcmpKind::Unreachable { code: 4 }),
        (2, 0, 1280, IcmpKind::PacketTooBig { mtu: 1280 }),
        (3, 0, 0, IcmpKind::TimeExceeded { code: 0 }),
        (4, 1, 0, IcmpKind::ParameterProblem { code: 1 }),
    ] {
        let extended = ipv6(0, &cat(&[&[44, 0, 1, 4, 0, 0, 0, 0], &[6, 0, 0, 1, 0, 0, 0, 9], &tcp()]));
        for quote in [&tcp_v6()[..], &tcp_v6()[..48], &extended[..]] {
            let error = error(&icmp_v6(kind, code, word, quote));
            assert_eq!((error.kind, error.sequence), (expected, SEQUENCE));
            assert_eq!(error.reporter, IpAddr::from(CLIENT_V6));
            assert_eq!(error.source, Endpoint { ip: CLIENT_V6.into(), port: CLIENT_PORT });
            assert_eq!(error.destination, Endpoint { ip: SERVER_V6.into(), port: SERVER_PORT });
        }
    }
}

#[test]
fn other_icmp_is_other() {
    let udp_quote = ipv4(17, &udp(1, 2, b"x"));
    let later_fragment = ipv4_full(CLIENT_V4, SERVER_V4, 6, 1, 0x0001, &[], &tcp());
    let later_fragment_v6 = ipv6(44, &cat(&[&[6, 0, 0, 8, 0, 0, 0, 9], &tcp()]));
    for frame in [
        icmp_v4(8, 0, 0, &tcp_v4()),
        icmp_v4(0, 0, 0, &tcp_v4()),
        icmp_v4(5, 1, 0, &tcp_v4()),
        icmp_v4(3, 3, 0, &udp_quote),
        icmp_v4(3, 3, 0, &later_fragment),
        icmp_v4(3, 3, 0, &tcp_v4()[..27]),
        icmp_v4(3, 3, 0, &tcp_v6()),
        icmp_v6(128, 0, 0, &tcp_v6()),
        icmp_v6(1, 0, 0, &tcp_v4()),
        icmp_v6(1, 0, 0, &tcp_v6()[..47]),
        icmp_v6(1, 0, 0, &later_fragment_v6),
    ] {
        let decoded = decode(packet(LinkType::ETHERNET, &frame));
        assert!(matches!(decoded, Decoded::Other), "{decoded:?}");
    }
}
