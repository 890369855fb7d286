//! Community ID version 1, seed 0: a name for a flow that Zeek, Suricata and others give it too, so that
//! their logs can be joined with ours.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

const TCP: u8 = 6;
const SEED: u16 = 0;

/// Community ID of a TCP connection; the same whichever end is named first.
///
/// `"1:" + base64(sha1(seed . low ip . high ip . protocol . 0 . low port . high port))`, numbers in network
/// byte order, the end with the smaller address first (with equal addresses, the smaller port).
#[must_use]
pub(crate) fn community_id(one: (IpAddr, u16), other: (IpAddr, u16)) -> String {
    written(one, other).map(char::from).into_iter().collect()
}

/// [`community_id`] as it is written.
pub(super) fn written(one: (IpAddr, u16), other: (IpAddr, u16)) -> [u8; ID_LEN] {
    let (one, other) = ((Address::of(one.0), one.1), (Address::of(other.0), other.1));
    let ((low, low_port), (high, high_port)) =
        if (one.0.bytes(), one.1) <= (other.0.bytes(), other.1) { (one, other) } else { (other, one) };
    let parts: [&[u8]; 6] =
        [&SEED.to_be_bytes(), low.bytes(), high.bytes(), &[TCP, 0], &low_port.to_be_bytes(), &high_port.to_be_bytes()];
    let mut message = [0; MESSAGE_LEN];
    let mut len = 0;
    for part in parts {
        message[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    let mut out = [b':'; ID_LEN];
    out[0] = b'1';
    let encoded = STANDARD.encode_slice(Sha1::digest(&message[..len]), &mut out[2..]);
    debug_assert_eq!(encoded, Ok(ID_LEN - 2));
    out
}

/// Bytes that are hashed at most: seed, two IPv6 addresses, protocol and padding, two ports.
const MESSAGE_LEN: usize = 2 + 16 + 16 + 2 + 2 + 2;
/// Length of a Community ID: `1:` and a SHA-1 hash in base64.
const ID_LEN: usize = 30;

enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Address {
    const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Address::V4(ip.octets()),
            IpAddr::V6(ip) => Address::V6(ip.octets()),
        }
    }

    const fn bytes(&self) -> &[u8] {
        match self {
            Address::V4(octets) => octets,
            Address::V6(octets) => octets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_both_ways_round() {
        for (a, a_port, b, b_port, id) in [
            ("128.232.110.120", 34_855, "66.35.250.204", 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (
                "2001:470:e5bf:dead:4957:2174:e82c:4887",
                63_943,
                "2607:f8b0:400c:c03::1a",
                25,
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
        ] {
            let a = (a.parse().unwrap(), a_port);
            let b = (b.parse().unwrap(), b_port);
            assert_eq!(community_id(a, b), id);
            assert_eq!(community_id(b, a), id);
        }
    }

    #[test]
    fn ports_decide_between_equal_addresses() {
        let ip: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(community_id((ip, 1), (ip, 2)).len(), ID_LEN);
        assert_eq!(community_id((ip, 1), (ip, 2)), community_id((ip, 2), (ip, 1)));
        assert_ne!(community_id((ip, 1), (ip, 2)), community_id((ip, 1), (ip, 3)));
    }
}
