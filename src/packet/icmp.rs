//! ICMP (RFC 792) and ICMPv6 (RFC 4443) errors about TCP packets.
//!
//! A host on the path reports why a packet was not delivered and quotes its beginning: enough to identify the flow
//! and the position in it. The quoted packet is evidence about a flow, never a segment of it.

use super::layer::protocol;
use super::view::be16;
use super::{Endpoint, Stamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many extension headers a quoted IPv6 packet may have before TCP.
const MAX_QUOTED_EXTENSIONS: usize = 8;

/// An ICMP or ICMPv6 error message about a TCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Packet and time of the message.
    pub stamp: Stamp,
    /// Type and code.
    pub kind: IcmpKind,
    /// Sender of the message: a router, a firewall or the destination host.
    pub reporter: IpAddr,
    /// Source of the quoted packet.
    pub source: Endpoint,
    /// Destination of the quoted packet.
    pub destination: Endpoint,
    /// Sequence number of the quoted packet.
    pub sequence: u32,
}

/// Type and code of an ICMP error. Codes are those on the wire: RFC 792 and RFC 1812 §5.2.7.1 for IPv4, RFC 4443
/// for IPv6, told apart by the family of [`IcmpError::reporter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpKind {
    /// Destination unreachable for a reason other than policy and size (network, host, port, …).
    Unreachable {
        /// ICMP code.
        code: u8,
    },
    /// A filter forbids it: IPv4 codes 9, 10, 13; IPv6 codes 1, 5, 6.
    AdministrativelyProhibited {
        /// ICMP code.
        code: u8,
    },
    /// Hop limit exceeded in transit (code 0), or fragment reassembly time exceeded (code 1).
    TimeExceeded {
        /// ICMP code.
        code: u8,
    },
    /// The packet is larger than the next link carries and must not be fragmented.
    PacketTooBig {
        /// MTU of that link in bytes; 0 from routers older than RFC 1191.
        mtu: u32,
    },
    /// A field of the quoted packet's header is wrong or not understood.
    ParameterProblem {
        /// ICMP code.
        code: u8,
    },
}

impl IcmpError {
    /// The message in the words of its RFC.
    #[must_use]
    pub(crate) fn description(&self) -> &'static str {
        match (self.kind, self.reporter.is_ipv6()) {
            (IcmpKind::Unreachable { code: 0 }, false) => "network unreachable",
            (IcmpKind::Unreachable { code: 1 }, false) => "host unreachable",
            (IcmpKind::Unreachable { code: 2 }, false) => "protocol unreachable",
            (IcmpKind::Unreachable { code: 3 }, false) => "port unreachable",
            (IcmpKind::Unreachable { code: 5 }, false) => "source route failed",
            (IcmpKind::Unreachable { code: 6 }, false) => "destination network unknown",
            (IcmpKind::Unreachable { code: 7 }, false) => "destination host unknown",
            (IcmpKind::AdministrativelyProhibited { code: 9 }, false) => "network administratively prohibited",
            (IcmpKind::AdministrativelyProhibited { code: 10 }, false) => "host administratively prohibited",
            (IcmpKind::AdministrativelyProhibited { .. }, false) => "communication administratively prohibited",
            (IcmpKind::Unreachable { code: 0 }, true) => "no route to destination",
            (IcmpKind::Unreachable { code: 2 }, true) => "beyond scope of source address",
            (IcmpKind::Unreachable { code: 3 }, true) => "address unreachable",
            (IcmpKind::Unreachable { code: 4 }, true) => "port unreachable",
            (IcmpKind::AdministrativelyProhibited { code: 5 }, true) => "source address failed policy",
            (IcmpKind::AdministrativelyProhibited { code: 6 }, true) => "reject route to destination",
            (IcmpKind::AdministrativelyProhibited { .. }, true) => "communication administratively prohibited",
            (IcmpKind::Unreachable { .. }, _) => "destination unreachable",
            (IcmpKind::TimeExceeded { code: 1 }, _) => "fragment reassembly time exceeded",
            (IcmpKind::TimeExceeded { .. }, _) => "time to live exceeded in transit",
            (IcmpKind::PacketTooBig { .. }, _) => "packet too big",
            (IcmpKind::ParameterProblem { .. }, _) => "parameter problem",
        }
    }
}

/// Reads an ICMP message; `None` unless it is an error about TCP.
pub(super) fn error_v4(stamp: Stamp, reporter: IpAddr, message: &[u8]) -> Option<IcmpError> {
    let (&[kind, code, _, _, _, _, mtu_high, mtu_low], quote) = message.split_first_chunk()?;
    let kind = match (kind, code) {
        // RFC 1191 §4: the next-hop MTU sits in the low half of the otherwise unused word.
        (3, 4) => IcmpKind::PacketTooBig { mtu: u32::from(be16(mtu_high, mtu_low)) },
        (3, 9 | 10 | 13) => IcmpKind::AdministrativelyProhibited { code },
        (3, _) => IcmpKind::Unreachable { code },
        (11, _) => IcmpKind::TimeExceeded { code },
        (12, _) => IcmpKind::ParameterProblem { code },
        _ => return None,
    };
    let header: &[u8; 20] = quote.first_chunk()?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let is_first_fragment = be16(header[6], header[7]) & 0x1fff == 0;
    if header[0] >> 4 != 4 || header_len < 20 || header[9] != protocol::TCP || !is_first_fragment {
        return None;
    }
    let source = IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15]));
    let destination = IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19]));
    quoted(stamp, kind, reporter, source, destination, quote.get(header_len..)?)
}

/// Reads an ICMPv6 message; `None` unless it is an error about TCP.
pub(super) fn error_v6(stamp: Stamp, reporter: IpAddr, message: &[u8]) -> Option<IcmpError> {
    let (&[kind, code, _, _, a, b, c, d], quote) = message.split_first_chunk()?;
    let kind = match (kind, code) {
        (1, 1 | 5 | 6) => IcmpKind::AdministrativelyProhibited { code },
        (1, _) => IcmpKind::Unreachable { code },
        (2, _) => IcmpKind::PacketTooBig { mtu: u32::from_be_bytes([a, b, c, d]) },
        (3, _) => IcmpKind::TimeExceeded { code },
        (4, _) => IcmpKind::ParameterProblem { code },
        _ => return None,
    };
    let (header, mut rest) = quote.split_first_chunk::<40>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let (addresses, _) = header[8..].as_chunks::<16>();
    let [source, destination] = [addresses[0], addresses[1]].map(|address| IpAddr::V6(Ipv6Addr::from(address)));
    let mut next = header[6];
    for _ in 0..MAX_QUOTED_EXTENSIONS {
        let len = match next {
            protocol::TCP => return quoted(stamp, kind, reporter, source, destination, rest),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                (usize::from(*rest.get(1)?) + 1) * 8
            }
            protocol::AUTHENTICATION => (usize::from(*rest.get(1)?) + 2) * 4,
            protocol::FRAGMENT if be16(*rest.get(2)?, *rest.get(3)?) >> 3 == 0 => 8,
            _ => return None,
        };
        next = *rest.first()?;
        rest = rest.get(len..)?;
    }
    None
}

/// RFC 792: the quote holds at least the first 64 bits of the TCP header: ports and sequence number.
fn quoted(
    stamp: Stamp,
    kind: IcmpKind,
    reporter: IpAddr,
    source: IpAddr,
    destination: IpAddr,
    tcp: &[u8],
) -> Option<IcmpError> {
    let &[s0, s1, d0, d1, a, b, c, d] = tcp.first_chunk()?;
    Some(IcmpError {
        stamp,
        kind,
        reporter,
        source: Endpoint { ip: source, port: be16(s0, s1) },
        destination: Endpoint { ip: destination, port: be16(d0, d1) },
        sequence: u32::from_be_bytes([a, b, c, d]),
    })
}
