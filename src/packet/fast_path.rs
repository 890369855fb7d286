//! The fast path: Ethernet, at most two VLAN tags, IPv4 without options or IPv6 without extension headers, TCP.
//!
//! Nearly every packet of nearly every capture is of this shape. All others yield `None` and are left to the general
//! decoder.

use super::layer::protocol;
use super::link::ethertype;
use super::tcp_header::{self, IpContext};
use super::view::{View, be16};
use super::{FromEnds, LinkType, Packet, Segment};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// The TCP segment in an Ethernet frame of that shape.
#[inline(always)]
pub(super) fn segment<'a>(packet: &Packet<'a>) -> Option<Segment<'a>> {
    let mut found = None;
    with_segment(packet, |segment| found = Some(*segment));
    found
}

/// Calls `take` with the segment in such a frame. Returns whether there is one.
#[inline(always)]
pub(super) fn with_segment<'a>(packet: &Packet<'a>, take: impl FnOnce(&Segment<'a>)) -> bool {
    // Monomorphic per IP version, so that the code behind needs no branches on the kind of address.
    match plain(packet) {
        Some(Plain::V4(header, view)) => tcp_header::with_segment(packet.stamp, &ipv4(header), view, take),
        Some(Plain::V6(header, view)) => tcp_header::with_segment(packet.stamp, &ipv6(header), view, take),
        None => false,
    }
}

/// Builds an `E` from sender and receiver of the segment in such a frame.
#[inline(always)]
pub(super) fn ends<E: FromEnds>(packet: &Packet<'_>) -> Option<E> {
    let (ip, view) = match plain(packet)? {
        Plain::V4(header, view) => {
            let (source, destination) = tcp_header::ends(&ipv4(header), view).ok()?;
            return Some(E::from_ends(source, destination));
        }
        Plain::V6(header, view) => (ipv6(header), view),
    };
    let (source, destination) = tcp_header::ends(&ip, view).ok()?;
    Some(E::from_ends(source, destination))
}

/// An IP header without options or extensions, and its payload.
enum Plain<'a> {
    V4(&'a [u8; IPV4_LEN], View<'a>),
    V6(&'a [u8; IPV6_LEN], View<'a>),
}

#[inline(always)]
fn plain<'a>(packet: &Packet<'a>) -> Option<Plain<'a>> {
    if packet.link != LinkType::ETHERNET {
        return None;
    }
    let (ethernet, mut rest) = packet.bytes.split_first_chunk::<14>()?;
    let mut kind = be16(ethernet[12], ethernet[13]);
    for _ in 0..2 {
        if !matches!(kind, ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD) {
            break;
        }
        let (tag, after) = rest.split_first_chunk::<4>()?;
        kind = be16(tag[2], tag[3]);
        rest = after;
    }
    match kind {
        ethertype::IPV4 => {
            let (header, rest) = rest.split_first_chunk::<IPV4_LEN>()?;
            // Version 4 and five words of header; TCP; no fragment.
            if header[0] != 0x45 || header[9] != protocol::TCP || be16(header[6], header[7]) & 0x3fff != 0 {
                return None;
            }
            let wire = usize::from(be16(header[2], header[3])).checked_sub(IPV4_LEN)?;
            Some(Plain::V4(header, View { bytes: &rest[..rest.len().min(wire)], wire }))
        }
        ethertype::IPV6 => {
            let (header, rest) = rest.split_first_chunk::<IPV6_LEN>()?;
            if header[0] >> 4 != 6 || header[6] != protocol::TCP {
                return None;
            }
            let wire = usize::from(be16(header[4], header[5]));
            Some(Plain::V6(header, View { bytes: &rest[..rest.len().min(wire)], wire }))
        }
        _ => None,
    }
}

#[inline(always)]
fn ipv4(header: &[u8; IPV4_LEN]) -> IpContext {
    IpContext {
        source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        destination: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
        ttl: header[8],
        id: be16(header[4], header[5]),
    }
}

#[inline(always)]
fn ipv6(header: &[u8; IPV6_LEN]) -> IpContext {
    let (addresses, _) = header[8..].as_chunks::<16>();
    IpContext {
        source: IpAddr::V6(Ipv6Addr::from(addresses[0])),
        destination: IpAddr::V6(Ipv6Addr::from(addresses[1])),
        ttl: header[7],
        id: 0,
    }
}
