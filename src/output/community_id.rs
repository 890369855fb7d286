//! Community ID version 1, seed 0: a name for a flow that Zeek, Suricata and others give it too, so that
//! their logs can be joined with ours.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

const TCP: u8 = 6;
const SEED: u16 = 0;

/// Community ID of a TCP connection; the same whichever end is named first.
///
/// `"1:" + base64(sha1(seed . low ip . high ip . protocol . 0 . low port . high port))`, numbers in network
/// byte order, the end with the smaller address first (with equal addresses, the smaller port).
#[must_use]
pub fn community_id(one: (IpAddr, u16), other: (IpAddr, u16)) -> String {
    let order = |(ip, port): (IpAddr, u16)| match ip {
        IpAddr::V4(ip) => (ip.octets().to_vec(), port),
        IpAddr::V6(ip) => (ip.octets().to_vec(), port),
    };
    let (one, other) = (order(one), order(other));
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    let mut sha1 = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(&SEED.to_be_bytes());
    sha1.update(&low.0);
    sha1.update(&high.0);
    sha1.update(&[TCP, 0]);
    sha1.update(&low.1.to_be_bytes());
    sha1.update(&high.1.to_be_bytes());
    let mut out = String::with_capacity(30);
    out.push_str("1:");
    STANDARD.encode_string(sha1.finish(), &mut out);
    out
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
        assert_eq!(community_id((ip, 1), (ip, 2)), community_id((ip, 2), (ip, 1)));
        assert_ne!(community_id((ip, 1), (ip, 2)), community_id((ip, 1), (ip, 3)));
    }
}
