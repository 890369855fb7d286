//! Odd headers: offloading artefacts, contradictions, and what merely looks like TCP.

use super::*;

fn segment(bytes: &[u8]) -> Segment<'_> {
    match decode(packet(LinkType::ETHERNET, bytes)) {
        Decoded::Segment(segment) => segment,
        other => panic!("{other:?}"),
    }
}

fn reason(link: LinkType, bytes: &[u8]) -> Undecodable {
    match decode(packet(link, bytes)) {
        Decoded::Undecodable(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn is_other(link: LinkType, bytes: &[u8]) -> bool {
    matches!(decode(packet(link, bytes)), Decoded::Other)
}

#[test]
fn total_length_zero_means_the_rest_of_the_packet() {
    let payload = vec![0x5a; 70_000];
    let mut ip = ipv4(6, &tcp_with(0x10, &[], &payload));
    ip[2..4].fill(0);
    let frame = ethernet(0x0800, &ip);
    assert_eq!((segment(&frame).payload_len, segment(&frame).payload.len()), (70_000, 70_000));
    let cut = Packet { bytes: &frame[..96], ..packet(LinkType::ETHERNET, &frame) };
    let Decoded::Segment(segment) = decode(cut) else { panic!() };
    assert_eq!((segment.payload_len, segment.payload.len()), (70_000, 96 - 54));
}

#[test]
fn ipv6_payload_length_zero_means_the_rest_of_the_packet() {
    let payload = vec![0x5a; 70_000];
    for jumbo_option in [false, true] {
        let tcp = tcp_with(0x10, &[], &payload);
        let mut ip = if jumbo_option {
            let len = (8 + tcp.len() as u32).to_be_bytes();
            ipv6(0, &cat(&[&[6, 0, 0xc2, 4], &len, &tcp]))
        } else {
            ipv6(6, &tcp)
        };
        ip[4..6].fill(0);
        assert_eq!(segment(&ethernet(0x86dd, &ip)).payload.len(), 70_000);
    }
}

#[test]
fn padding_of_short_frames_is_no_payload() {
    let frame = cat(&[&ethernet(0x0800, &ipv4(6, &tcp_with(0x10, &[], &[]))), &[0; 6]]);
    assert_eq!(frame.len(), 60);
    assert_eq!((segment(&frame).payload_len, segment(&frame).payload), (0, &[][..]));
}

#[test]
fn reserved_ipv4_flag_and_ip_id_are_read_past() {
    let frame = ethernet(0x0800, &ipv4_full(CLIENT_V4, SERVER_V4, 6, 0xbeef, 0x8000, &[], &tcp()));
    assert_eq!(segment(&frame).ip_id, 0xbeef);
    assert_eq!(segment(&ethernet(0x86dd, &tcp_v6())).ip_id, 0);
}

#[test]
fn options_are_read_from_syn_segments_only() {
    let options = [1, 3, 3, 7, 2, 4, 0x05, 0xb4];
    for (flags, expected) in
        [(0x02, TcpOptions { mss: 1460 }), (0x12, TcpOptions { mss: 1460 }), (0x10, TcpOptions::default())]
    {
        for frame in [
            ethernet(0x0800, &ipv4(6, &tcp_with(flags, &options, b"x"))),
            ethernet(0x86dd, &ipv6(6, &tcp_with(flags, &options, b"x"))),
            ethernet(0x0800, &outer(4, &ipv4(6, &tcp_with(flags, &options, b"x")))),
        ] {
            assert_eq!((segment(&frame).options, segment(&frame).payload), (expected, &b"x"[..]));
        }
    }
}

#[test]
fn malformed_options_cost_no_more_than_themselves() {
    let mss = TcpOptions { mss: 1460 };
    let none = TcpOptions::default();
    for (options, expected) in [
        ([2, 4, 0x05, 0xb4, 3, 0, 0, 0], mss),    // length 0
        ([2, 4, 0x05, 0xb4, 3, 1, 0, 0], mss),    // length 1
        ([2, 4, 0x05, 0xb4, 1, 1, 1, 3], mss),    // kind without a length
        ([2, 4, 0x05, 0xb4, 3, 9, 7, 0], mss),    // beyond the header
        ([0, 2, 4, 0x05, 0xb4, 0, 0, 0], none),   // after the end of the list
        ([2, 3, 0x05, 2, 4, 0x05, 0xb4, 0], mss), // wrong length, then a right one
        ([255; 8], none),
        ([0; 8], none),
    ] {
        let frame = ethernet(0x0800, &ipv4(6, &tcp_with(0x02, &options, b"x")));
        assert_eq!((segment(&frame).options, segment(&frame).payload), (expected, &b"x"[..]), "{options:?}");
    }
}

#[test]
fn header_cut_in_its_options_still_counts_its_payload() {
    let frame = ethernet(0x0800, &ipv4(6, &tcp_with(0x02, &[1, 3, 3, 7, 2, 4, 0x05, 0xb4], b"early data")));
    for (cut, options) in [
        (54, TcpOptions::default()),
        (58, TcpOptions::default()),
        (61, TcpOptions::default()),
        (62, TcpOptions { mss: 1460 }),
    ] {
        let Decoded::Segment(segment) = decode(Packet { bytes: &frame[..cut], ..packet(LinkType::ETHERNET, &frame) })
        else {
            panic!()
        };
        assert_eq!((segment.payload_len, segment.payload, segment.options), (10, &[][..], options), "{cut}");
    }
}

#[test]
fn data_offset_must_make_sense() {
    for offset in 0..16_u8 {
        let mut tcp = tcp_with(0x10, &[], &[0; 8]);
        tcp[12] = offset << 4;
        for frame in [ethernet(0x0800, &ipv4(6, &tcp)), ethernet(0x86dd, &ipv6(6, &tcp))] {
            match decode(packet(LinkType::ETHERNET, &frame)) {
                Decoded::Segment(segment) => {
                    assert!((5..=7).contains(&offset));
                    assert_eq!(segment.payload.len(), 28 - usize::from(offset) * 4);
                }
                other => {
                    assert!(matches!(other, Decoded::Undecodable(Undecodable::BadHeader)), "{other:?}");
                    assert!(!(5..=7).contains(&offset));
                }
            }
        }
    }
}

#[test]
fn contradictions_in_ip_headers_make_no_segment() {
    let good = ethernet(0x0800, &tcp_v4());
    let mut wrong_version = good.clone();
    wrong_version[14] = 0x65;
    let mut short_header = good.clone();
    short_header[14] = 0x44;
    let mut total_below_header = good.clone();
    total_below_header[16..18].copy_from_slice(&19_u16.to_be_bytes());
    let mut no_room_for_tcp = good.clone();
    no_room_for_tcp[16..18].copy_from_slice(&39_u16.to_be_bytes());
    let mut header_beyond_total = good;
    header_beyond_total[14] = 0x4f;
    header_beyond_total[16..18].copy_from_slice(&50_u16.to_be_bytes());
    let mut v6 = ethernet(0x86dd, &tcp_v6());
    v6[14] = 0x45;
    let mut v6_no_room = ethernet(0x86dd, &tcp_v6());
    v6_no_room[18..20].copy_from_slice(&19_u16.to_be_bytes());
    for frame in [wrong_version, short_header, total_below_header, no_room_for_tcp, header_beyond_total, v6, v6_no_room]
    {
        assert_eq!(reason(LinkType::ETHERNET, &frame), Undecodable::BadHeader, "{frame:02x?}");
    }
}

#[test]
fn contradictions_in_headers_around_ip_make_no_segment() {
    let eth = LinkType::ETHERNET;
    // Options of an IPv6 extension header that do not fill it.
    for options in [[6, 0, 1, 5, 0, 0, 0, 0], [6, 0, 1, 3, 0, 0, 0, 1]] {
        assert_eq!(reason(eth, &ethernet(0x86dd, &ipv6(0, &cat(&[&options, &tcp()])))), Undecodable::BadHeader);
    }
    // UDP shorter than its header, and of a length that would only be left out if it did not fit.
    let vxlan = cat(&[&[0x08, 0, 0, 0, 0, 0, 42, 0], &ethernet(0x0800, &tcp_v4())]);
    for len in [0, 7_u16] {
        let mut udp = udp(50_000, 4789, &vxlan);
        udp[4..6].copy_from_slice(&len.to_be_bytes());
        assert_eq!(reason(eth, &ethernet(0x0800, &outer(17, &udp))), Undecodable::BadHeader);
    }
    assert_eq!(reason(eth, &ethernet(0x8864, &cat(&[&[0x21, 0, 0, 9, 0, 0], &tcp_v4()]))), Undecodable::BadHeader);
    assert_eq!(reason(eth, &ethernet(0x0800, &outer(97, &cat(&[&[0x20, 0], &vxlan])))), Undecodable::BadHeader);
    assert_eq!(reason(LinkType::RAW, &[0x50; 60]), Undecodable::BadHeader);
    let pptp = cat(&[&[0xb0, 0x01, 0x88, 0x0b, 0, 40, 0, 1, 0, 0, 0, 1, 0x21], &tcp_v4()]);
    assert_eq!(reason(eth, &ethernet(0x0800, &outer(47, &pptp))), Undecodable::BadHeader);
}

#[test]
fn what_is_not_tcp_is_other() {
    let eth = LinkType::ETHERNET;
    assert!(is_other(eth, &ethernet(0x0806, &[0; 28])));
    assert!(is_other(eth, &ethernet(0x88cc, &[0; 28])));
    assert!(is_other(eth, &ethernet(38, &[0x42, 0x42, 3, 0, 0, 0, 0, 0])));
    assert!(is_other(eth, &ethernet(0x0800, &ipv4(17, &udp(443, 50_000, &tcp_v4())))));
    assert!(is_other(eth, &ethernet(0x0800, &ipv4(50, &tcp_v4()))));
    assert!(is_other(eth, &ethernet(0x86dd, &ipv6(59, &tcp()))));
    assert!(is_other(eth, &ethernet(0x0800, &ipv4(0, &cat(&[&[6, 0, 1, 4, 0, 0, 0, 0], &tcp()])))));
    assert!(is_other(eth, &ethernet(0x8864, &cat(&[&[0x11, 0xa7, 0, 9, 0, 0], &tcp_v4()]))));
    assert!(is_other(eth, &ethernet(0x88e5, &cat(&[&[0x2c, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1, 8, 0], &tcp_v4()]))));
    assert!(is_other(LinkType::NULL, &cat(&[&[7, 0, 0, 0], &tcp_v4()])));
    assert!(is_other(LinkType::LINUX_SLL, &[0; 40]));
    assert!(is_other(LinkType::PPP, &[0xc0, 0x21, 1, 1, 0, 4]));
}

#[test]
fn what_only_resembles_a_tunnel_is_other() {
    let frame = ethernet(0x0800, &tcp_v4());
    let udp_to = |port: u16, payload: &[u8]| ethernet(0x0800, &outer(17, &udp(443, port, payload)));
    let eth = LinkType::ETHERNET;
    // No I flag; Geneve version 1; control packet; GTP echo; GTP version 2.
    assert!(is_other(eth, &udp_to(4789, &cat(&[&[0; 8], &frame]))));
    assert!(is_other(eth, &udp_to(6081, &cat(&[&[0x40, 0, 0x65, 0x58, 0, 0, 7, 0], &frame]))));
    assert!(is_other(eth, &udp_to(6081, &cat(&[&[0, 0x80, 0x65, 0x58, 0, 0, 7, 0], &frame]))));
    assert!(is_other(eth, &udp_to(2152, &cat(&[&[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0], &tcp_v4()]))));
    assert!(is_other(eth, &udp_to(2152, &cat(&[&[0x48, 255, 0, 4, 0, 0, 0, 0], &tcp_v4()]))));
    // Tunnel headers before something that contradicts itself: random bytes on an ephemeral port.
    assert!(is_other(eth, &udp_to(4789, &[0x08; 60])));
    let mut too_long = tcp_v4();
    too_long[2..4].copy_from_slice(&2000_u16.to_be_bytes());
    let vxlan = [0x08, 0, 0, 0, 0, 0, 42, 0];
    assert!(is_other(eth, &udp_to(4789, &cat(&[&vxlan, &ethernet(0x0800, &too_long)]))));
    // GRE with source routing, GRE version 2, PPTP acknowledgment without payload.
    let gre = |header: &[u8]| ethernet(0x0800, &outer(47, &cat(&[header, &tcp_v4()])));
    assert!(is_other(eth, &gre(&[0x40, 0, 8, 0, 0, 0, 0, 0])));
    assert!(is_other(eth, &gre(&[0, 2, 8, 0])));
    assert!(is_other(eth, &gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x30, 1, 0, 1, 0, 0, 0, 0])));
    assert!(is_other(eth, &gre(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0])));
    assert!(is_other(eth, &gre(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 2])));
}

#[test]
fn unknown_links_and_types_are_named() {
    assert_eq!(reason(LinkType(147), &[0; 60]), Undecodable::UnknownLinkType(LinkType(147)));
    assert_eq!(reason(LinkType::ETHERNET, &ethernet(0x1234, &[0; 50])), Undecodable::UnknownEtherType(0x1234));
    assert_eq!(reason(LinkType::ETHERNET, &[0; 13]), Undecodable::BadHeader);
    assert_eq!(Undecodable::UnknownEtherType(0x1234).to_string(), "unknown EtherType 0x1234");
}

#[test]
fn layers_are_bounded() {
    let nest = |depth: usize| {
        let ip = (0..depth).fold(tcp_v4(), |inner, _| outer(4, &inner));
        ethernet(0x0800, &ip)
    };
    // Ethernet, its type, and two steps per IP header (the header, what it announces).
    let fits = (usize::from(MAX_LAYERS) - 4) / 2;
    assert_eq!(segment(&nest(fits)).payload, PAYLOAD);
    assert_eq!(reason(LinkType::ETHERNET, &nest(fits + 1)), Undecodable::TooManyLayers);
    let labels = cat(&[&[0, 1, 0, 64].repeat(5000), &[0, 1, 1, 64], &tcp_v4()]);
    assert_eq!(reason(LinkType::ETHERNET, &ethernet(0x8847, &labels)), Undecodable::TooManyLayers);
}

#[test]
fn an_answer_to_a_resolver_on_a_tunnel_port_is_no_tunnel() {
    let vxlan = cat(&[&[0x08, 0, 0, 0, 0, 0, 42, 0], &ethernet(0x0800, &tcp_v4())]);
    let frame = |source| ethernet(0x0800, &ipv4(17, &udp(source, 4789, &vxlan)));
    assert!(matches!(decode(packet(LinkType::ETHERNET, &frame(50_000))), Decoded::Segment(_)));
    assert!(is_other(LinkType::ETHERNET, &frame(53)));
}
