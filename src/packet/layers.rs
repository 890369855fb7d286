//! The general decoder: one header after the other, down to a TCP segment or to something that carries none.
//!
//! A loop, never recursion: the number of headers is bounded by [`MAX_LAYERS`], however they are nested.

use super::layer::{Layer, MAX_LAYERS, Step, Walk, protocol};
use super::link::{self, fold};
use super::tcp_header::{self, IpContext};
use super::view::{View, be16};
use super::{Decoded, Fragment, Packet, Reassembled, Undecodable, icmp, tunnel};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP port of DNS.
const DNS_PORT: u16 = 53;

/// Decodes a packet of any link type.
#[inline(never)]
pub(super) fn decode<'a>(packet: &Packet<'a>) -> Decoded<'a> {
    let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let ip = IpContext { source: unspecified, destination: unspecified, ttl: 0, id: 0 };
    let walk = Walk { stamp: packet.stamp, ip, domain: 0, guessed: false, layers: 0 };
    match link::first_layer(packet.link, View::new(packet.bytes, packet.original_len as usize)) {
        Ok((layer, view)) => walk.run(layer, view),
        Err(reason) => Decoded::Undecodable(reason),
    }
}

impl Reassembled {
    /// Decodes the datagram. Stamped as the packet that completed it, as Wireshark shows it. A tunnel's
    /// datagram may turn out to carry a fragment again.
    #[must_use]
    pub fn decode(&self) -> Decoded<'_> {
        self.walk.run(Layer::Transport(self.protocol), View::new(&self.bytes, self.len))
    }
}

impl Walk {
    /// Decodes layer after layer.
    fn run<'a>(mut self, mut layer: Layer, mut view: View<'a>) -> Decoded<'a> {
        while self.layers < MAX_LAYERS {
            self.layers += 1;
            match self.step(layer, view) {
                Ok(Step::Next(next, rest)) => (layer, view) = (next, rest),
                Ok(Step::Done(decoded)) => return decoded,
                // What was only guessed to be a tunnel need not be one.
                Err(Undecodable::BadHeader | Undecodable::UnknownEtherType(_)) if self.guessed => {
                    return Decoded::Other;
                }
                Err(reason) => return Decoded::Undecodable(reason),
            }
        }
        Decoded::Undecodable(Undecodable::TooManyLayers)
    }

    fn step<'a>(&mut self, layer: Layer, view: View<'a>) -> Result<Step<'a>, Undecodable> {
        match layer {
            Layer::Ethernet => link::ethernet(view),
            Layer::EtherType(kind) => link::after_ethertype(kind, view, &mut self.domain),
            Layer::Ppp => link::ppp(view),
            Layer::Pppoe => link::pppoe(view),
            Layer::Mpls => {
                let (step, guessed) = link::mpls(view)?;
                self.guessed |= guessed;
                Ok(step)
            }
            Layer::Ip => match view.head::<1>()?[0] >> 4 {
                4 => self.ipv4(view),
                6 => self.ipv6(view),
                _ => Err(Undecodable::BadHeader),
            },
            Layer::Ipv4 => self.ipv4(view),
            Layer::Ipv6 => self.ipv6(view),
            Layer::Transport(number) => self.transport(number, view),
            Layer::Gre => tunnel::gre(view, &mut self.domain),
            Layer::Ignored => Ok(Step::Done(Decoded::Other)),
        }
    }

    /// IPv4 (RFC 791 §3.1).
    fn ipv4<'a>(&mut self, view: View<'a>) -> Result<Step<'a>, Undecodable> {
        let header: &[u8; 20] = view.head()?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let total_len = usize::from(be16(header[2], header[3]));
        // RFC 791 §3.1: at least five words of header, and the total length includes them.
        if header[0] >> 4 != 4 || header_len < 20 || (total_len != 0 && total_len < header_len) {
            return Err(Undecodable::BadHeader);
        }
        if self.guessed && total_len > view.wire {
            return Err(Undecodable::BadHeader);
        }
        // Segmentation offload hands packets to the capture before their total length is known, as 0.
        let datagram = if total_len == 0 { view } else { view.resize(total_len) };
        let payload = datagram.after(header_len)?;
        self.ip = IpContext {
            source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
            destination: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
            ttl: header[8],
            id: be16(header[4], header[5]),
        };
        let fragment = be16(header[6], header[7]);
        let (more, offset) = (fragment & 0x2000 != 0, fragment & 0x1fff);
        if more || offset != 0 {
            if total_len == 0 {
                return Err(Undecodable::BadHeader);
            }
            let id = u32::from(self.ip.id);
            return Ok(Step::Done(Decoded::Fragment(Fragment::new(self, header[9], id, offset, more, payload))));
        }
        Ok(Step::Next(Layer::Transport(header[9]), payload))
    }

    /// IPv6 (RFC 8200 §3).
    fn ipv6<'a>(&mut self, view: View<'a>) -> Result<Step<'a>, Undecodable> {
        let header: &[u8; 40] = view.head()?;
        if header[0] >> 4 != 6 {
            return Err(Undecodable::BadHeader);
        }
        let payload_len = usize::from(be16(header[4], header[5]));
        let payload = view.after(40)?;
        if self.guessed && payload_len > payload.wire {
            return Err(Undecodable::BadHeader);
        }
        let (addresses, _) = header[8..].as_chunks::<16>();
        self.ip = IpContext {
            source: IpAddr::V6(Ipv6Addr::from(addresses[0])),
            destination: IpAddr::V6(Ipv6Addr::from(addresses[1])),
            ttl: header[7],
            id: 0,
        };
        // RFC 2675 §3 and segmentation offload: the length of a jumbogram does not fit here, and is 0.
        let payload = if payload_len == 0 { payload } else { payload.resize(payload_len) };
        Ok(Step::Next(Layer::Transport(header[6]), payload))
    }

    /// The protocol that an IP header or an extension header announces.
    fn transport<'a>(&mut self, number: u8, view: View<'a>) -> Result<Step<'a>, Undecodable> {
        let is_v6 = self.ip.source.is_ipv6();
        match number {
            protocol::TCP => {
                let segment = tcp_header::segment(self.stamp, &self.ip, view)?;
                Ok(Step::Done(Decoded::Segment(segment)))
            }
            protocol::UDP => self.udp(view),
            protocol::ICMP if !is_v6 => Ok(Step::Done(
                icmp::error_v4(self.stamp, self.ip.source, view.bytes).map_or(Decoded::Other, Decoded::IcmpError),
            )),
            protocol::ICMPV6 if is_v6 => Ok(Step::Done(
                icmp::error_v6(self.stamp, self.ip.source, view.bytes).map_or(Decoded::Other, Decoded::IcmpError),
            )),
            protocol::IPV4 => Ok(Step::Next(Layer::Ipv4, view)),
            protocol::IPV6 => Ok(Step::Next(Layer::Ipv6, view)),
            protocol::GRE => Ok(Step::Next(Layer::Gre, view)),
            protocol::MPLS => Ok(Step::Next(Layer::Mpls, view)),
            protocol::ETHER_IP => {
                // RFC 3378 §3: version 3, the rest zero.
                match *view.head::<2>()? {
                    [0x30, 0] => Ok(Step::Next(Layer::Ethernet, view.after(2)?)),
                    _ => Err(Undecodable::BadHeader),
                }
            }
            // RFC 4302 §2.2: the length is in words, minus two.
            protocol::AUTHENTICATION => {
                let [next, len] = *view.head::<2>()?;
                Ok(Step::Next(Layer::Transport(next), view.after((usize::from(len) + 2) * 4)?))
            }
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS if is_v6 => {
                let [next, len] = *view.head::<2>()?;
                let header_len = (usize::from(len) + 1) * 8;
                let rest = view.after(header_len)?;
                if !are_options(&view.bytes[2..header_len]) {
                    return Err(Undecodable::BadHeader);
                }
                Ok(Step::Next(Layer::Transport(next), rest))
            }
            protocol::ROUTING if is_v6 => {
                let [next, len] = *view.head::<2>()?;
                let header_len = (usize::from(len) + 1) * 8;
                let rest = view.after(header_len)?;
                self.ip.destination = final_destination(&view.bytes[..header_len]).unwrap_or(self.ip.destination);
                Ok(Step::Next(Layer::Transport(next), rest))
            }
            protocol::FRAGMENT if is_v6 => {
                let &[next, _, high, low, a, b, c, d] = view.head::<8>()?;
                let field = be16(high, low);
                let (offset, more) = (field >> 3, field & 1 == 1);
                let rest = view.after(8)?;
                // RFC 6946 §4: a packet that is its own only fragment is read as a whole.
                if offset == 0 && !more {
                    return Ok(Step::Next(Layer::Transport(next), rest));
                }
                let id = u32::from_be_bytes([a, b, c, d]);
                Ok(Step::Done(Decoded::Fragment(Fragment::new(self, next, id, offset, more, rest))))
            }
            _ => Ok(Step::Done(Decoded::Other)),
        }
    }

    /// UDP (RFC 768): the tunnels that are known by their port.
    fn udp<'a>(&mut self, view: View<'a>) -> Result<Step<'a>, Undecodable> {
        let header: &[u8; 8] = view.head()?;
        let (source_port, destination_port) = (be16(header[0], header[1]), be16(header[2], header[3]));
        let payload = match usize::from(be16(header[4], header[5])) {
            // RFC 2675 §4: 0 where the length does not fit.
            0 if view.wire > usize::from(u16::MAX) => view.after(8)?,
            // RFC 768: the length includes the header, so it is at least 8.
            ..8 => return Err(Undecodable::BadHeader),
            len => view.after(8)?.limit(len - 8),
        };
        // An answer to a resolver that happens to use a tunnel's port is no tunnel.
        if source_port == DNS_PORT || destination_port == DNS_PORT {
            return Ok(Step::Done(Decoded::Other));
        }
        match tunnel::over_udp(destination_port, payload)? {
            Some((layer, rest, network)) => {
                self.guessed = true;
                fold(&mut self.domain, network);
                Ok(Step::Next(layer, rest))
            }
            None => Ok(Step::Done(Decoded::Other)),
        }
    }
}

/// RFC 8200 §4.2: options are type, length, value, or a single byte of padding, and fill their header exactly.
fn are_options(mut rest: &[u8]) -> bool {
    loop {
        rest = match *rest {
            [] => return true,
            [0, ref after @ ..] => after,
            [_, len, ref after @ ..] => match after.get(usize::from(len)..) {
                Some(after) => after,
                None => return false,
            },
            [_] => return false,
        }
    }
}

/// The final destination of a packet with this routing header, if it is not there yet: the flow's address.
fn final_destination(header: &[u8]) -> Option<IpAddr> {
    let (&[_, _, kind, segments_left, ..], addresses) = (header, header.get(8..)?.as_chunks::<16>().0) else {
        return None;
    };
    if segments_left == 0 {
        return None;
    }
    let address = match kind {
        // Source route (RFC 2460 §4.4, deprecated) and Mobile IPv6 home address (RFC 6275 §6.4): in order.
        0 | 2 => addresses.last()?,
        // Segment routing lists the last segment first (RFC 8754 §2).
        4 => addresses.first()?,
        _ => return None,
    };
    Some(IpAddr::V6(Ipv6Addr::from(*address)))
}
