//! The name of a connection: the same for both of its directions.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::packet::{Endpoint, Segment};

/// Both endpoints, the lower first, so that either direction gives the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    addresses: [u64; 4],
    ports: [u16; 2],
}

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
    #[must_use]
    pub fn between(a: Endpoint, b: Endpoint) -> Self {
        let (x, y) = (words(a.ip), words(b.ip));
        if (x, a.port) <= (y, b.port) {
            Self { addresses: [x[0], x[1], y[0], y[1]], ports: [a.port, b.port] }
        } else {
            Self { addresses: [y[0], y[1], x[0], x[1]], ports: [b.port, a.port] }
        }
    }

    /// A number that spreads connections evenly; the same in every run.
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
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.addresses {
            state.write_u64(word);
        }
        state.write_u32(u32::from(self.ports[0]) << 16 | u32::from(self.ports[1]));
    }
}
