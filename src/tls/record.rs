//! The record header (RFC 8446 §5.1, RFC 5246 §6.2): five bytes, then `length` bytes of body.

use super::facts::Version;

/// Length of a record header in bytes.
pub(super) const HEADER_LEN: usize = 5;
/// Longest body that any version allows: 2^14 bytes of content and 2048 of protection (RFC 5246 §6.2.3).
pub(super) const MAX_BODY: usize = (1 << 14) + 2048;

/// ChangeCipherSpec.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
/// Alert.
pub(super) const ALERT: u8 = 21;
/// Handshake.
pub(super) const HANDSHAKE: u8 = 22;
/// Application data.
pub(super) const APPLICATION_DATA: u8 = 23;
/// Heartbeat (RFC 6520).
const HEARTBEAT: u8 = 24;

/// A record header that a TLS peer could have sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) version: Version,
    pub(super) length: u16,
}

impl Header {
    /// `None` when the bytes are no record header.
    pub(super) fn parse(bytes: [u8; HEADER_LEN]) -> Option<Header> {
        let header = Header {
            kind: bytes[0],
            version: Version(u16::from_be_bytes([bytes[1], bytes[2]])),
            length: u16::from_be_bytes([bytes[3], bytes[4]]),
        };
        (starts_header(&bytes)
            && usize::from(header.length) <= MAX_BODY
            && (header.length > 0 || header.kind == APPLICATION_DATA))
            .then_some(header)
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let (version, length) = (self.version.0.to_be_bytes(), self.length.to_be_bytes());
        [self.kind, version[0], version[1], length[0], length[1]]
    }
}

/// Whether `bytes`, at most a header long, could begin one.
pub(super) fn starts_header(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|kind| (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(kind))
        && bytes.get(1).is_none_or(|&major| major == 3)
        && bytes.get(2).is_none_or(|&minor| minor <= 4)
        && bytes.get(3).is_none_or(|&high| high <= 0x48)
}

/// Offset of the first record header of protected data in `bytes`: where a reader that lost the record boundaries may
/// try again. It is a guess until records chain from there or one authenticates.
pub(super) fn find(bytes: &[u8], mut from: usize) -> Option<usize> {
    while let Some(found) = memchr::memchr(3, bytes.get(from + 1..)?) {
        let at = from + found;
        if let Some(candidate) = bytes[at..].first_chunk::<HEADER_LEN>()
            && matches!(candidate[0], ALERT..=APPLICATION_DATA)
            && candidate[2] <= 3
            && Header::parse(*candidate).is_some_and(|header| header.length >= 2)
        {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_held_to_what_peers_send() {
        let parse = |bytes: [u8; 5]| Header::parse(bytes);
        assert_eq!(parse([22, 3, 1, 2, 0]), Some(Header { kind: 22, version: Version(0x0301), length: 512 }));
        assert_eq!(parse([22, 3, 1, 2, 0]).map(Header::to_bytes), Some([22, 3, 1, 2, 0]));
        assert_eq!(parse(*b"HTTP/"), None);
        assert_eq!(parse([23, 3, 3, 0xff, 0xff]), None);
        assert_eq!(parse([22, 3, 3, 0, 0]), None);
        assert!(parse([23, 3, 3, 0, 0]).is_some());
        assert!(starts_header(&[]) && starts_header(&[23, 3]) && !starts_header(&[23, 4]) && !starts_header(b"G"));
    }

    #[test]
    fn a_header_is_found_among_other_bytes() {
        let mut bytes = vec![3, 3, 3, 23, 3, 9, 1, 0, 23, 3, 3, 0, 20, 1, 2, 3];
        assert_eq!(find(&bytes, 0), Some(8));
        assert_eq!(find(&bytes, 9), None);
        bytes.truncate(12);
        assert_eq!(find(&bytes, 0), None);
        assert_eq!(find(&[], 0), None);
    }
}
