//! The vocabulary of the general decoder: what the next header is, and what decoding it leads to.

use super::tcp_header::IpContext;
use super::view::View;
use super::{Decoded, Stamp};

/// How many headers, tags and labels one packet may stack; real ones stay below 20.
pub const MAX_LAYERS: u8 = 32;

/// IP protocol numbers (IANA registry).
pub(super) mod protocol {
    pub(in super::super) const HOP_BY_HOP: u8 = 0;
    pub(in super::super) const ICMP: u8 = 1;
    pub(in super::super) const IPV4: u8 = 4;
    pub(in super::super) const TCP: u8 = 6;
    pub(in super::super) const UDP: u8 = 17;
    pub(in super::super) const IPV6: u8 = 41;
    pub(in super::super) const ROUTING: u8 = 43;
    pub(in super::super) const FRAGMENT: u8 = 44;
    pub(in super::super) const GRE: u8 = 47;
    pub(in super::super) const AUTHENTICATION: u8 = 51;
    pub(in super::super) const ICMPV6: u8 = 58;
    pub(in super::super) const DESTINATION_OPTIONS: u8 = 60;
    pub(in super::super) const ETHER_IP: u8 = 97;
    pub(in super::super) const MPLS: u8 = 137;
}

/// The header that comes next.
#[derive(Clone, Copy)]
pub(super) enum Layer {
    Ethernet,
    /// What this type field announces; up to 1500 it is a length.
    EtherType(u16),
    Ppp,
    Pppoe,
    Mpls,
    /// IPv4 or IPv6, by the version field.
    Ip,
    Ipv4,
    Ipv6,
    /// What this protocol or next header field of an IP header announces.
    Transport(u8),
    Gre,
    /// Known, but never carries TCP.
    Ignored,
}

/// The result of decoding one layer.
pub(super) enum Step<'a> {
    Next(Layer, View<'a>),
    Done(Decoded<'a>),
}

/// State of the walk through a packet's layers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) stamp: Stamp,
    /// Of the innermost IP header so far.
    pub(super) ip: IpContext,
    /// Distinguishes VLANs and virtual networks, which may use the same addresses.
    pub(super) domain: u64,
    /// Whether an enclosing layer was recognised by a port number or a heuristic only.
    pub(super) guessed: bool,
    /// Headers walked so far.
    pub(super) layers: u8,
}
