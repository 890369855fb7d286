//! The PROXY protocol header, versions 1 (text) and 2 (binary), that load balancers put in front of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::stream::Stamp;

/// A PROXY protocol header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// 1 or 2.
    pub version: u8,
    /// Version 2's `LOCAL` command: the proxy's own connection, a health check for instance.
    pub local: bool,
    /// The client and the server as the proxy saw them; `None` for `UNKNOWN`, `LOCAL` or other address families.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Length of the header in bytes.
    pub len: u32,
    /// The packet with which its addresses were complete.
    pub stamp: Stamp,
}

/// What [`ProxyHeader::parse`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyParse {
    /// No PROXY protocol header.
    No,
    /// Perhaps one, but more bytes are needed (never more than [`MAX_NEEDED`]).
    Maybe,
    /// One. Its `len` may exceed the bytes given: what follows the addresses is only to be skipped.
    Found(ProxyHeader),
}

/// The most bytes that [`ProxyHeader::parse`] wants to see: the longest version 1 line.
pub const MAX_NEEDED: usize = 107;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const PREFIX: &[u8; 6] = b"PROXY ";

/// Whether `bytes` begin a PROXY protocol header; `None` when there are too few to tell.
#[inline]
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    match bytes.first() {
        Some(b'\r' | b'P') | None => may_begin(bytes),
        Some(_) => Some(false),
    }
}

#[cold]
#[inline(never)]
fn may_begin(bytes: &[u8]) -> Option<bool> {
    if bytes.starts_with(SIGNATURE) || bytes.starts_with(PREFIX) {
        Some(true)
    } else if SIGNATURE.starts_with(bytes) || PREFIX.starts_with(bytes) {
        None
    } else {
        Some(false)
    }
}

impl ProxyHeader {
    /// Reads the header at the front of the client's direction.
    #[must_use]
    pub fn parse(bytes: &[u8], stamp: Stamp) -> ProxyParse {
        match begins(bytes) {
            Some(false) => ProxyParse::No,
            None => ProxyParse::Maybe,
            Some(true) if bytes[0] == b'P' => parse_text(bytes, stamp),
            Some(true) => parse_binary(bytes, stamp),
        }
    }
}

fn parse_text(bytes: &[u8], stamp: Stamp) -> ProxyParse {
    let window = &bytes[..bytes.len().min(MAX_NEEDED)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if bytes.len() < MAX_NEEDED { ProxyParse::Maybe } else { ProxyParse::No };
    };
    let Ok(line) = std::str::from_utf8(&window[..end]) else { return ProxyParse::No };
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut words = line.split(' ').skip(1);
    let addresses = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4" | "TCP6") => {
            let mut address = || words.next().and_then(|word| word.parse::<IpAddr>().ok());
            let (source, destination) = (address(), address());
            let mut port = || words.next().and_then(|word| word.parse::<u16>().ok());
            match (source, destination, port(), port()) {
                (Some(source), Some(destination), Some(from), Some(to)) => {
                    Some((SocketAddr::new(source, from), SocketAddr::new(destination, to)))
                }
                _ => return ProxyParse::No,
            }
        }
        _ => return ProxyParse::No,
    };
    ProxyParse::Found(ProxyHeader { version: 1, local: false, addresses, len: end as u32 + 1, stamp })
}

fn parse_binary(bytes: &[u8], stamp: Stamp) -> ProxyParse {
    let Some(&[command, family, high, low]) = bytes.get(12..16) else { return ProxyParse::Maybe };
    if command >> 4 != 2 || command & 0x0f > 1 {
        return ProxyParse::No;
    }
    let local = command & 0x0f == 0;
    let len = u16::from_be_bytes([high, low]);
    let needed = match family >> 4 {
        1 => 12,
        2 => 36,
        _ => 0,
    };
    let mut addresses = None;
    if needed > 0 && usize::from(len) >= needed {
        let Some(block) = bytes.get(16..16 + needed) else { return ProxyParse::Maybe };
        if !local {
            addresses = Some(read_addresses(block));
        }
    }
    ProxyParse::Found(ProxyHeader { version: 2, local, addresses, len: 16 + u32::from(len), stamp })
}

/// `block` holds 12 bytes for IPv4 or 36 for IPv6.
fn read_addresses(block: &[u8]) -> (SocketAddr, SocketAddr) {
    let width = if block.len() == 12 { 4 } else { 16 };
    let address = |at: usize| -> IpAddr {
        if width == 4 {
            let mut octets = [0; 4];
            octets.copy_from_slice(&block[at..at + 4]);
            Ipv4Addr::from(octets).into()
        } else {
            let mut octets = [0; 16];
            octets.copy_from_slice(&block[at..at + 16]);
            Ipv6Addr::from(octets).into()
        }
    };
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let ports = 2 * width;
    (SocketAddr::new(address(0), port(ports)), SocketAddr::new(address(width), port(ports + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> ProxyHeader {
        match ProxyHeader::parse(bytes, Stamp::default()) {
            ProxyParse::Found(header) => header,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_header() {
        let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.9 51000 443\r\nGET";
        let header = found(bytes);
        assert_eq!((header.version, header.len), (1, bytes.len() as u32 - 3));
        let (source, destination) = header.addresses.unwrap();
        assert_eq!(
            (source.to_string(), destination.to_string()),
            ("192.0.2.7:51000".into(), "198.51.100.9:443".into())
        );
        assert_eq!(found(b"PROXY UNKNOWN\r\n").addresses, None);
        assert_eq!(found(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n").addresses.unwrap().0.to_string(), "[2001:db8::1]:1");
        for end in 0..15 {
            assert_eq!(
                ProxyHeader::parse(&b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"[..end], Stamp::default()),
                ProxyParse::Maybe
            );
        }
        assert_eq!(ProxyHeader::parse(b"PROXY TCP4 nobody\r\n", Stamp::default()), ProxyParse::No);
        assert_eq!(
            ProxyHeader::parse(&[b"PROXY ".as_slice(), &[b'x'; 120]].concat(), Stamp::default()),
            ProxyParse::No
        );
    }

    #[test]
    fn binary_header() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 15, 192, 0, 2, 7, 198, 51, 100, 9, 0xc7, 0x38, 1, 0xbb, 4, 0, 0]);
        for end in 0..28 {
            assert_eq!(ProxyHeader::parse(&bytes[..end], Stamp::default()), ProxyParse::Maybe);
        }
        let header = found(&bytes[..28]);
        assert_eq!((header.version, header.local, header.len), (2, false, 31));
        assert_eq!(header.addresses.unwrap().0.to_string(), "192.0.2.7:51000");
        bytes[12] = 0x20;
        assert_eq!((found(&bytes).local, found(&bytes).addresses), (true, None));
        bytes[12] = 0x31;
        assert_eq!(ProxyHeader::parse(&bytes, Stamp::default()), ProxyParse::No);
    }
}
