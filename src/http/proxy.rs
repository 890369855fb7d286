//! The PROXY protocol header, versions 1 (text) and 2 (binary), that load balancers put in front of a connection.
//!
//! It is recognised and passed over; the addresses in it are not kept.

use std::net::IpAddr;

/// A PROXY protocol header in front of the client's first request, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyHeader {
    /// There is none.
    Absent,
    /// Perhaps there is one, but more bytes are needed (never more than [`MAX_NEEDED`]).
    Incomplete,
    /// There is one.
    Found {
        /// Its length in bytes, which may exceed the bytes given.
        len: u32,
    },
}

/// The most bytes that [`ProxyHeader::parse`] needs: the longest version 1 line.
pub(super) const MAX_NEEDED: usize = 107;

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
    pub(super) fn parse(bytes: &[u8]) -> ProxyHeader {
        match begins(bytes) {
            Some(false) => ProxyHeader::Absent,
            None => ProxyHeader::Incomplete,
            Some(true) if bytes[0] == b'P' => parse_text(bytes),
            Some(true) => parse_binary(bytes),
        }
    }
}

/// `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` and anything.
fn parse_text(bytes: &[u8]) -> ProxyHeader {
    let window = &bytes[..bytes.len().min(MAX_NEEDED)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if bytes.len() < MAX_NEEDED { ProxyHeader::Incomplete } else { ProxyHeader::Absent };
    };
    let Ok(line) = std::str::from_utf8(&window[..end]) else { return ProxyHeader::Absent };
    let mut words = line.strip_suffix('\r').unwrap_or(line).split(' ').skip(1);
    let valid = match words.next() {
        Some("UNKNOWN") => true,
        Some("TCP4" | "TCP6") => {
            let mut next = || words.next().unwrap_or_default();
            let addresses = [next(), next()].iter().all(|word| word.parse::<IpAddr>().is_ok());
            let ports = [next(), next()].iter().all(|word| word.parse::<u16>().is_ok());
            addresses && ports
        }
        _ => false,
    };
    if valid { ProxyHeader::Found { len: end as u32 + 1 } } else { ProxyHeader::Absent }
}

/// Signature, version and command, family, length, then so many bytes.
fn parse_binary(bytes: &[u8]) -> ProxyHeader {
    let Some(&[command, _, high, low]) = bytes.get(12..16) else { return ProxyHeader::Incomplete };
    if command >> 4 != 2 || command & 0x0f > 1 {
        return ProxyHeader::Absent;
    }
    ProxyHeader::Found { len: 16 + u32::from(u16::from_be_bytes([high, low])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_header() {
        let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.9 51000 443\r\nGET";
        assert_eq!(ProxyHeader::parse(bytes), ProxyHeader::Found { len: bytes.len() as u32 - 3 });
        assert_eq!(ProxyHeader::parse(b"PROXY UNKNOWN\r\n"), ProxyHeader::Found { len: 15 });
        assert_eq!(ProxyHeader::parse(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), ProxyHeader::Found { len: 32 });
        let line = b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n";
        for end in 0..line.len() {
            assert_eq!(ProxyHeader::parse(&line[..end]), ProxyHeader::Incomplete);
        }
        for wrong in ["PROXY TCP4 nobody\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", "PROXY UDP4 1.2.3.4\r\n"] {
            assert_eq!(ProxyHeader::parse(wrong.as_bytes()), ProxyHeader::Absent, "{wrong}");
        }
        assert_eq!(ProxyHeader::parse(&[b"PROXY ".as_slice(), &[b'x'; 120]].concat()), ProxyHeader::Absent);
    }

    #[test]
    fn binary_header() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 15, 192, 0, 2, 7, 198, 51, 100, 9, 0xc7, 0x38, 1, 0xbb, 4, 0, 0]);
        for end in 0..16 {
            assert_eq!(ProxyHeader::parse(&bytes[..end]), ProxyHeader::Incomplete);
        }
        assert_eq!(ProxyHeader::parse(&bytes[..28]), ProxyHeader::Found { len: 31 });
        bytes[12] = 0x20;
        assert_eq!(ProxyHeader::parse(&bytes), ProxyHeader::Found { len: 31 });
        bytes[12] = 0x31;
        assert_eq!(ProxyHeader::parse(&bytes), ProxyHeader::Absent);
    }
}
