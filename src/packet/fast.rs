//! The fast path: Ethernet, at most two VLAN tags, IPv4 without options or IPv6 without extension headers, TCP.
//!
//! Nearly every packet of nearly every capture is of this shape. Whatever is not, or is odd in any way,
//! yields `None` and is looked at again by the general decoder, which finds out what it is.

use super::link::ethertype;
use super::tcp_header::{self, IpContext};
use super::view::{View, be16};
use super::{Packet, Segment};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// The TCP segment in an Ethernet frame, if the frame is as plain as can be.
#[inline(always)]
pub(super) fn segment<'a>(packet: &Packet<'a>) -> Option<Segment<'a>> {
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
        ethertype::IPV4 => ipv4(packet, rest),
        ethertype::IPV6 => ipv6(packet, rest),
        _ => None,
    }
}

#[inline(always)]
fn ipv4<'a>(packet: &Packet<'a>, bytes: &'a [u8]) -> Option<Segment<'a>> {
    let (header, rest) = bytes.split_first_chunk::<IPV4_LEN>()?;
    // Version 4 and five words; neither a fragment nor anything but TCP.
    if header[0] != 0x45 || header[9] != 6 || be16(header[6], header[7]) & 0x3fff != 0 {
        return None;
    }
    let wire = usize::from(be16(header[2], header[3])).checked_sub(IPV4_LEN)?;
    let ip = IpContext {
        source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        destination: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
        ttl: header[8],
        id: be16(header[4], header[5]),
    };
    let view = View { bytes: &rest[..rest.len().min(wire)], wire };
    tcp_header::segment(packet.stamp, &ip, view).ok()
}

#[inline(always)]
fn ipv6<'a>(packet: &Packet<'a>, bytes: &'a [u8]) -> Option<Segment<'a>> {
    let (header, rest) = bytes.split_first_chunk::<IPV6_LEN>()?;
    if header[0] >> 4 != 6 || header[6] != 6 {
        return None;
    }
    let wire = usize::from(be16(header[4], header[5]));
    let (addresses, _) = header[8..].as_chunks::<16>();
    let ip = IpContext {
        source: IpAddr::V6(Ipv6Addr::from(addresses[0])),
        destination: IpAddr::V6(Ipv6Addr::from(addresses[1])),
        ttl: header[7],
        id: 0,
    };
    let view = View { bytes: &rest[..rest.len().min(wire)], wire };
    tcp_header::segment(packet.stamp, &ip, view).ok()
}
