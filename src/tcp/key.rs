//! The key of a connection: the same for both of its directions.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::packet::{Endpoint, Segment};

/// Both endpoints, the lower first, so that either direction gives the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    addresses: [u64; 4],
    ports: [u16; 2],
}

#[inline]
fn words(ip: IpAddr) -> [u64; 2] {
    let bits = match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) | 0xffff_0000_0000,
        IpAddr::V6(ip) => u128::from(ip),
    };
    [(bits >> 64) as u64, bits as u64]
}

impl FlowKey {
    /// The key of a segment's connection.
    #[must_use]
    pub fn of(segment: &Segment<'_>) -> Self {
        Self::between(segment.source, segment.destination)
    }

    /// The key of the connection between two endpoints, in either order.
    #[inline(always)]
    #[must_use]
    pub fn between(a: Endpoint, b: Endpoint) -> Self {
        let (x, y) = (words(a.ip), words(b.ip));
        if (x, a.port) <= (y, b.port) {
            Self { addresses: [x[0], x[1], y[0], y[1]], ports: [a.port, b.port] }
        } else {
            Self { addresses: [y[0], y[1], x[0], x[1]], ports: [b.port, a.port] }
        }
    }

    /// Whether `segment` is of this connection.
    #[inline]
    #[must_use]
    pub(crate) fn is_of(&self, segment: &Segment<'_>) -> bool {
        let (x, y) = (words(segment.source.ip), words(segment.destination.ip));
        let is = |a: [u64; 2], b: [u64; 2], ports: [u16; 2]| {
            let [low, high] = [[self.addresses[0], self.addresses[1]], [self.addresses[2], self.addresses[3]]];
            (low[0] ^ a[0]) | (low[1] ^ a[1]) | (high[0] ^ b[0]) | (high[1] ^ b[1]) == 0 && self.ports == ports
        };
        is(x, y, [segment.source.port, segment.destination.port])
            || is(y, x, [segment.destination.port, segment.source.port])
    }

    /// A hash that distributes connections evenly; the same in every run.
    #[inline]
    #[must_use]
    pub fn spread(&self) -> u64 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let ports = u64::from(self.ports[0]) << 16 | u64::from(self.ports[1]);
        let mut mixed = ports.wrapping_mul(ODD);
        for word in self.addresses {
            mixed = (mixed ^ word).wrapping_mul(ODD);
            mixed ^= mixed >> 29;
        }
        mixed
    }
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.addresses {
            state.write_u64(word);
        }
        state.write_u32(u32::from(self.ports[0]) << 16 | u32::from(self.ports[1]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Stamp, TcpFlags, TcpOptions};
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn a_key_knows_the_segments_of_its_connection_and_no_others() {
        let four = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let six = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        let ips = [four(1), four(2), six(1), six(2), IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped())];
        let ends: Vec<Endpoint> = ips.into_iter().flat_map(|ip| [80, 81].map(|port| Endpoint { ip, port })).collect();
        let segment = |source, destination| Segment {
            stamp: Stamp::default(),
            source,
            destination,
            sequence: 0,
            acknowledgment: 0,
            window: 0,
            flags: TcpFlags::default(),
            ttl: 0,
            ip_id: 0,
            options: TcpOptions::default(),
            payload_len: 0,
            payload: &[],
        };
        let pairs = || ends.iter().flat_map(|a| ends.iter().map(|b| (*a, *b)));
        for (a, b) in pairs() {
            let key = FlowKey::between(a, b);
            assert!(key.is_of(&segment(a, b)) && key.is_of(&segment(b, a)));
            for (c, d) in pairs() {
                assert_eq!(key.is_of(&segment(c, d)), key == FlowKey::of(&segment(c, d)), "{a} {b} {c} {d}");
            }
        }
    }
}
