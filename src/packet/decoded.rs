//! What decoding a packet yields: a segment, something that carries no TCP, or the reason why it cannot be decoded.

use super::{Fragment, IcmpError, LinkType, Segment};
use std::fmt;

/// The result of decoding a packet.
#[derive(Clone, Debug)]
pub enum Decoded<'a> {
    /// A TCP segment: the innermost one where packets are tunnelled.
    Segment(Segment<'a>),
    /// A fragment of an IP datagram: pass it to a [`Defragmenter`](super::Defragmenter), in capture order.
    Fragment(Fragment<'a>),
    /// An ICMP or ICMPv6 error message about a TCP packet.
    IcmpError(IcmpError),
    /// Decodable, but without TCP: UDP, ARP, routing protocols, ….
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
