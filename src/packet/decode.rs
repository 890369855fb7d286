//! What a packet turns out to be, and the entry to the decoder.
//!
//! Two tiers: [`fast`](super::fast) for plain Ethernet/IP/TCP, [`layers`](super::layers) for everything
//! else. Decoding is stateless; fragments go to a [`Defragmenter`](super::Defragmenter) and come back.

use super::{DnsAnswer, DnsQuery, Endpoint, Fragment, IcmpError, LinkType, Packet, Segment, fast, layers};
use std::fmt;

/// What a packet turned out to be.
#[derive(Clone, Debug)]
pub enum Decoded<'a> {
    /// A TCP segment: the innermost one where packets are tunnelled.
    Segment(Segment<'a>),
    /// A piece of an IP datagram: give it to a [`Defragmenter`](super::Defragmenter), in capture order.
    Fragment(Fragment<'a>),
    /// An ICMP or ICMPv6 error message about a TCP packet.
    IcmpError(IcmpError),
    /// A DNS response over UDP.
    Dns(DnsAnswer),
    /// A DNS query over UDP.
    DnsQuery(DnsQuery),
    /// Decodable, but nothing of interest: other UDP, ARP, routing protocols, ….
    Other,
    /// Not decodable, and why.
    Undecodable(Undecodable),
}

/// Why a packet could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Undecodable {
    /// No decoder for this `LINKTYPE_`.
    UnknownLinkType(LinkType),
    /// No decoder for this EtherType (or PPP protocol carried in its place).
    UnknownEtherType(u16),
    /// The snap length cut the packet inside a header.
    TruncatedHeader,
    /// A header contradicts itself or the length of its packet.
    BadHeader,
    /// More headers, tags and tunnels inside each other than [`MAX_LAYERS`](super::MAX_LAYERS).
    TooManyLayers,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecodable::UnknownLinkType(link) => write!(f, "unknown link type {}", link.0),
            Undecodable::UnknownEtherType(kind) => write!(f, "unknown EtherType 0x{kind:04x}"),
            Undecodable::TruncatedHeader => f.write_str("header cut off by the snap length"),
            Undecodable::BadHeader => f.write_str("malformed header"),
            Undecodable::TooManyLayers => f.write_str("too many nested headers"),
        }
    }
}

/// Decodes one packet. Pure; allocates for DNS messages only; never panics, whatever the bytes.
///
/// ```
/// use wsscan::packet::{Decoded, LinkType, Packet, Stamp, decode};
///
/// let mut frame = vec![0; 12];
/// frame.extend([0x08, 0x06]); // ARP
/// frame.extend([0; 28]);
/// let packet = Packet { stamp: Stamp::default(), link: LinkType(1), bytes: &frame, original_len: 42 };
/// assert!(matches!(decode(packet), Decoded::Other));
/// ```
#[inline]
#[must_use]
pub fn decode(packet: Packet<'_>) -> Decoded<'_> {
    match fast::segment(&packet) {
        Some(segment) => Decoded::Segment(segment),
        None => layers::decode(&packet),
    }
}

/// Shows `take` the segment in a packet of the usual kind where it lies; [`decode`] gives the same. Whether there is one.
#[inline(always)]
pub(crate) fn with_plain_segment<'a>(packet: &Packet<'a>, take: impl FnOnce(&Segment<'a>)) -> bool {
    fast::with_segment(packet, take)
}

/// What can be made of a segment's sender and receiver. An implementation is to be inlined: for each version of IP most
/// of it then vanishes.
pub(crate) trait FromEnds {
    /// Makes it.
    fn from_ends(source: Endpoint, destination: Endpoint) -> Self;
}

/// What is made of a segment's sender and receiver, when they can be had without decoding more. Where this gives
/// something, [`decode`] gives a segment between the same two.
#[inline(always)]
pub(crate) fn plain_ends<E: FromEnds>(packet: &Packet<'_>) -> Option<E> {
    fast::ends(packet)
}
