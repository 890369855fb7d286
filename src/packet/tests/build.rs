//! Packets built byte by byte, from the inside out.

use crate::packet::{LinkType, Packet, Stamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const STAMP: Stamp = Stamp { packet: 7, at: 1_700_000_000_000_000_000 };
pub(super) const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const SERVER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub(super) const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(super) const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2);
/// Ends of tunnels; different from those of the flow inside.
pub(super) const NEAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(super) const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
pub(super) const CLIENT_PORT: u16 = 40_000;
pub(super) const SERVER_PORT: u16 = 443;
pub(super) const SEQUENCE: u32 = 0xfedc_ba98;
pub(super) const PAYLOAD: &[u8] = b"\x81\x05hello, and some more to be longer";

pub(super) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A captured packet, whole.
pub(super) fn packet(link: LinkType, bytes: &[u8]) -> Packet<'_> {
    Packet { stamp: STAMP, link, bytes, original_len: bytes.len() as u32 }
}

pub(super) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&[2, 0, 0, 0, 0, 1], &[2, 0, 0, 0, 0, 2], &kind.to_be_bytes(), payload])
}

pub(super) fn vlan(id: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&id.to_be_bytes(), &kind.to_be_bytes(), payload])
}

/// IPv4 with `options`, whose length is a multiple of 4; `fragment` is the flags and offset field.
pub(super) fn ipv4_full(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    id: u16,
    fragment: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let header_len = 20 + options.len();
    let total = (header_len + payload.len()) as u16;
    let mut header = cat(&[
        &[0x40 | (header_len / 4) as u8, 0],
        &total.to_be_bytes(),
        &id.to_be_bytes(),
        &fragment.to_be_bytes(),
        &[64, protocol, 0, 0],
        &source.octets(),
        &destination.octets(),
        options,
    ]);
    let sum = internet_checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    cat(&[&header, payload])
}

pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_full(CLIENT_V4, SERVER_V4, protocol, 0x1234, 0x4000, &[], payload)
}

/// IPv4 between the ends of a tunnel.
pub(super) fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_full(NEAR, FAR, protocol, 0x4321, 0, &[], payload)
}

pub(super) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    ipv6_to(SERVER_V6, next, payload)
}

pub(super) fn ipv6_to(destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16;
    cat(&[&[0x60, 0, 0, 0], &len.to_be_bytes(), &[next, 63], &CLIENT_V6.octets(), &destination.octets(), payload])
}

pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    cat(&[&source.to_be_bytes(), &destination.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload])
}

/// TCP with `options`, whose length is a multiple of 4.
pub(super) fn tcp_with(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let offset = ((20 + options.len()) / 4) as u8;
    cat(&[
        &CLIENT_PORT.to_be_bytes(),
        &SERVER_PORT.to_be_bytes(),
        &SEQUENCE.to_be_bytes(),
        &0x0102_0304_u32.to_be_bytes(),
        &[offset << 4, flags],
        &501_u16.to_be_bytes(),
        &[0, 0, 0, 0],
        options,
        payload,
    ])
}

pub(super) fn tcp() -> Vec<u8> {
    tcp_with(0x18, &[], PAYLOAD)
}

pub(super) fn tcp_v4() -> Vec<u8> {
    ipv4(6, &tcp())
}

pub(super) fn tcp_v6() -> Vec<u8> {
    ipv6(6, &tcp())
}

/// RFC 1071.
pub(super) fn internet_checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// A packet that carries [`tcp`] between the client and the server, and how.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) link: LinkType,
    pub(super) bytes: Vec<u8>,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
}

/// One sample per way to carry TCP.
pub(super) fn samples() -> Vec<Sample> {
    let eth = LinkType::ETHERNET;
    let (v4, v6) = (tcp_v4(), tcp_v6());
    let frame = ethernet(0x0800, &v4);
    let frame_v6 = ethernet(0x86dd, &v6);
    let over_gre = |gre: &[u8], inner: &[u8]| ethernet(0x0800, &outer(47, &cat(&[gre, inner])));
    let over_udp = |port: u16, header: &[u8], inner: &[u8]| {
        ethernet(0x0800, &outer(17, &udp(50_000, port, &cat(&[header, inner]))))
    };
    let ppp = |inner: &[u8]| (inner.len() as u16).to_be_bytes();
    let pppoe_v4 = cat(&[&[0x11, 0, 0, 9], &ppp(&[&[0, 0x21], &v4[..]].concat()), &[0, 0x21], &v4]);
    let hdr = |next: u8| cat(&[&[next, 0, 1, 4, 0, 0, 0, 0]]);
    let vxlan = [0x08, 0, 0, 0, 0, 0, 42, 0];
    let gtp = |flags: u8, extra: &[u8], inner: &[u8]| {
        let len = ((extra.len() + inner.len()) as u16).to_be_bytes();
        cat(&[&[flags, 255], &len, &[0, 0, 0, 9], extra])
    };
    let sll = |kind: u16, inner: &[u8]| cat(&[&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &kind.to_be_bytes(), inner]);
    let sll2 = |kind: u16, inner: &[u8]| {
        cat(&[&kind.to_be_bytes(), &[0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0], inner])
    };
    let llc_frame =
        |header: &[u8], inner: &[u8]| ethernet((header.len() + inner.len()) as u16, &cat(&[header, inner, &[0xee; 7]]));
    let to_via = |routing: &[u8]| ethernet(0x86dd, &ipv6_to(CLIENT_V6, 43, &cat(&[routing, &tcp()])));

    let mut all: Vec<(&'static str, LinkType, Vec<u8>, bool)> = vec![
        ("ethernet ipv4", eth, frame.clone(), false),
        ("ethernet ipv6", eth, frame_v6.clone(), true),
        ("ethernet padding", eth, cat(&[&frame, &[0x55; 9]]), false),
        ("vlan", eth, ethernet(0x8100, &vlan(0x2005, 0x0800, &v4)), false),
        ("qinq", eth, ethernet(0x88a8, &vlan(5, 0x8100, &vlan(6, 0x86dd, &v6))), true),
        ("three tags", eth, ethernet(0x9100, &vlan(5, 0x8100, &vlan(6, 0x8100, &vlan(7, 0x0800, &v4)))), false),
        ("llc snap", eth, llc_frame(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4), false),
        ("llc ip", eth, llc_frame(&[6, 6, 3], &v4), false),
        (
            "ipv4 options",
            eth,
            ethernet(0x0800, &ipv4_full(CLIENT_V4, SERVER_V4, 6, 1, 0, &[1, 1, 1, 0], &tcp())),
            false,
        ),
        ("mpls", eth, ethernet(0x8847, &cat(&[&[0, 0x01, 0, 64, 0, 0x02, 1, 64], &v4])), false),
        ("mpls ipv6", eth, ethernet(0x8847, &cat(&[&[0, 0x02, 1, 64], &v6])), true),
        ("mpls pseudowire", eth, ethernet(0x8847, &cat(&[&[0, 0x02, 1, 64, 0, 0, 0, 3], &frame])), false),
        ("mpls pseudowire without control word", eth, ethernet(0x8847, &cat(&[&[0, 0x02, 1, 64], &frame])), false),
        ("pppoe", eth, ethernet(0x8864, &pppoe_v4), false),
        (
            "macsec",
            eth,
            ethernet(0x88e5, &cat(&[&[0x20, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1, 8, 0], &v4, &[9; 16]])),
            false,
        ),
        ("macsec without channel", eth, ethernet(0x88e5, &cat(&[&[0, 0, 0, 0, 0, 1, 8, 0], &v4, &[9; 16]])), false),
        ("sll", LinkType::LINUX_SLL, sll(0x0800, &v4), false),
        ("sll vlan", LinkType::LINUX_SLL, sll(0x8100, &vlan(3, 0x86dd, &v6)), true),
        ("sll2", LinkType::LINUX_SLL2, sll2(0x0800, &v4), false),
        ("sll2 ipv6", LinkType::LINUX_SLL2, sll2(0x86dd, &v6), true),
        ("raw 101", LinkType(101), v4.clone(), false),
        ("raw 101 ipv6", LinkType(101), v6.clone(), true),
        ("raw 12", LinkType(12), v4.clone(), false),
        ("raw 14", LinkType(14), v6.clone(), true),
        ("raw ipv4", LinkType(228), v4.clone(), false),
        ("raw ipv6", LinkType(229), v6.clone(), true),
        ("null little-endian", LinkType(0), cat(&[&[2, 0, 0, 0], &v4]), false),
        ("null big-endian", LinkType(0), cat(&[&[0, 0, 0, 2], &v4]), false),
        ("null macos ipv6", LinkType(0), cat(&[&[30, 0, 0, 0], &v6]), true),
        ("null freebsd ipv6", LinkType(0), cat(&[&[0, 0, 0, 28], &v6]), true),
        ("null linux ipv6", LinkType(0), cat(&[&[10, 0, 0, 0], &v6]), true),
        ("loop", LinkType(108), cat(&[&[0, 0, 0, 2], &v4]), false),
        ("loop ipv6", LinkType(108), cat(&[&[0, 0, 0, 24], &v6]), true),
        ("ppp", LinkType(9), cat(&[&[0xff, 3, 0, 0x21], &v4]), false),
        ("ppp without framing", LinkType(9), cat(&[&[0, 0x57], &v6]), true),
        ("ppp compressed protocol", LinkType(9), cat(&[&[0x21], &v4]), false),
        ("ppp hdlc", LinkType(50), cat(&[&[0xff, 3, 0, 0x21], &v4]), false),
        ("cisco hdlc", LinkType(50), cat(&[&[0x0f, 0, 8, 0], &v4]), false),
        ("cisco hdlc 104", LinkType(104), cat(&[&[0x0f, 0, 0x86, 0xdd], &v6]), true),
        ("ppp ether", LinkType(51), pppoe_v4.clone(), false),
        ("hop-by-hop", eth, ethernet(0x86dd, &ipv6(0, &cat(&[&hdr(6), &tcp()]))), true),
        (
            "extension headers",
            eth,
            ethernet(
                0x86dd,
                &ipv6(
                    0,
                    &cat(&[
                        &hdr(60),
                        &[51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                        &[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2],
                        &tcp(),
                    ]),
                ),
            ),
            true,
        ),
        ("atomic fragment", eth, ethernet(0x86dd, &ipv6(44, &cat(&[&[6, 0, 0, 0, 1, 2, 3, 4], &tcp()]))), true),
        (
            "routing header done",
            eth,
            ethernet(0x86dd, &ipv6(43, &cat(&[&[6, 2, 4, 0, 0, 0, 0, 0], &CLIENT_V6.octets(), &tcp()]))),
            true,
        ),
        (
            "segment routing",
            eth,
            to_via(&cat(&[&[6, 4, 4, 1, 1, 0, 0, 0], &SERVER_V6.octets(), &CLIENT_V6.octets()])),
            true,
        ),
        (
            "source routing",
            eth,
            to_via(&cat(&[&[6, 4, 0, 1, 0, 0, 0, 0], &CLIENT_V6.octets(), &SERVER_V6.octets()])),
            true,
        ),
        (
            "ah over ipv4",
            eth,
            ethernet(0x0800, &ipv4(51, &cat(&[&[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2], &tcp()]))),
            false,
        ),
        ("ip in ip", eth, ethernet(0x0800, &outer(4, &v4)), false),
        ("6in4", eth, ethernet(0x0800, &outer(41, &v6)), true),
        ("4in6", eth, ethernet(0x86dd, &ipv6(4, &v4)), false),
        ("mpls in ip", eth, ethernet(0x0800, &outer(137, &cat(&[&[0, 0x02, 1, 64], &v4]))), false),
        ("etherip", eth, ethernet(0x0800, &outer(97, &cat(&[&[0x30, 0], &frame]))), false),
        ("gre", eth, over_gre(&[0, 0, 8, 0], &v4), false),
        (
            "gre checksum key sequence",
            eth,
            over_gre(&[0xb0, 0, 0x86, 0xdd, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3], &v6),
            true,
        ),
        ("gre mpls", eth, over_gre(&[0, 0, 0x88, 0x47, 0, 2, 1, 64], &v4), false),
        ("gre bridged (nvgre)", eth, over_gre(&[0x20, 0, 0x65, 0x58, 0, 0, 5, 0], &frame), false),
        (
            "gre pptp",
            eth,
            over_gre(
                &cat(&[
                    &[0x30, 0x81, 0x88, 0x0b],
                    &((v4.len() + 4) as u16).to_be_bytes(),
                    &[0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 3, 0, 0x21],
                ]),
                &v4,
            ),
            false,
        ),
        (
            "gre pptp without acknowledgment",
            eth,
            over_gre(
                &cat(&[&[0x30, 1, 0x88, 0x0b], &((v4.len() + 1) as u16).to_be_bytes(), &[0, 1, 0, 0, 0, 1, 0x21]]),
                &v4,
            ),
            false,
        ),
        ("erspan i", eth, over_gre(&[0, 0, 0x88, 0xbe], &frame), false),
        ("erspan ii", eth, over_gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &frame), false),
        (
            "erspan iii",
            eth,
            over_gre(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], &frame),
            false,
        ),
        ("vxlan", eth, over_udp(4789, &vxlan, &frame), false),
        ("vxlan linux port", eth, over_udp(8472, &vxlan, &frame_v6), true),
        ("vxlan vlan", eth, over_udp(4789, &vxlan, &ethernet(0x8100, &vlan(9, 0x0800, &v4))), false),
        ("geneve", eth, over_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 7, 0], &frame), false),
        ("geneve options ip", eth, over_udp(6081, &[2, 0, 8, 0, 0, 0, 7, 0, 1, 2, 0, 1, 9, 9, 9, 9], &v4), false),
        ("gtp-u", eth, over_udp(2152, &gtp(0x30, &[], &v4), &v4), false),
        ("gtp-u sequence", eth, over_udp(2152, &gtp(0x32, &[0, 1, 0, 0], &v6), &v6), true),
        ("gtp-u extension", eth, over_udp(2152, &gtp(0x34, &[0, 0, 0, 0x85, 1, 0, 9, 0], &v4), &v4), false),
    ];
    let gre_in_vxlan = over_gre(&[0, 0, 8, 0], &v4);
    all.push(("tunnel in tunnel", eth, over_udp(4789, &vxlan, &gre_in_vxlan), false));
    all.into_iter()
        .map(|(name, link, bytes, is_v6)| {
            let (source, destination) =
                if is_v6 { (CLIENT_V6.into(), SERVER_V6.into()) } else { (CLIENT_V4.into(), SERVER_V4.into()) };
            Sample { name, link, bytes, source, destination }
        })
        .collect()
}
