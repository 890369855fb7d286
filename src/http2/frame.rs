//! Frame headers (RFC 9113 §4.1): nine bytes, then `length` bytes.

/// Length of a frame header in bytes.
pub(super) const HEADER_LEN: usize = 9;

/// Frame types (RFC 9113 §6).
pub(super) mod kind {
    pub(in crate::http2) const DATA: u8 = 0;
    pub(in crate::http2) const HEADERS: u8 = 1;
    pub(in crate::http2) const PRIORITY: u8 = 2;
    pub(in crate::http2) const RST_STREAM: u8 = 3;
    pub(in crate::http2) const SETTINGS: u8 = 4;
    pub(in crate::http2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::http2) const PING: u8 = 6;
    pub(in crate::http2) const GOAWAY: u8 = 7;
    pub(in crate::http2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::http2) const CONTINUATION: u8 = 9;
}

/// END_STREAM on DATA and HEADERS; ACK on SETTINGS and PING.
pub(super) const END_STREAM: u8 = 0x01;
/// END_HEADERS on HEADERS, PUSH_PROMISE and CONTINUATION.
pub(super) const END_HEADERS: u8 = 0x04;
/// PADDED on DATA, HEADERS and PUSH_PROMISE.
pub(super) const PADDED: u8 = 0x08;
/// PRIORITY on HEADERS.
pub(super) const HAS_PRIORITY: u8 = 0x20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Payload length in bytes, 24 bits.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Stream identifier, 31 bits.
    pub(super) stream: u32,
}

impl FrameHeader {
    pub(super) fn parse(bytes: &[u8; HEADER_LEN]) -> FrameHeader {
        FrameHeader {
            length: u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]),
            kind: bytes[3],
            flags: bytes[4],
            // RFC 9113 §4.1: the reserved bit is ignored.
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) & 0x7fff_ffff,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it breaks RFC 9113 §6: a length or a stream that its type does not allow. Unknown types and flags are
    /// to be ignored (§4.1, §5.5) and break nothing.
    pub(super) fn is_malformed(self) -> bool {
        let on_connection = self.stream == 0;
        match self.kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => on_connection,
            kind::PUSH_PROMISE => on_connection || self.length < 4,
            kind::PRIORITY => on_connection || self.length != 5,
            kind::RST_STREAM => on_connection || self.length != 4,
            kind::SETTINGS => {
                !on_connection || !self.length.is_multiple_of(6) || (self.has(END_STREAM) && self.length != 0)
            }
            kind::PING => !on_connection || self.length != 8,
            kind::GOAWAY => !on_connection || self.length < 8,
            kind::WINDOW_UPDATE => self.length != 4,
            _ => false,
        }
    }

    /// Whether a peer that keeps to RFC 9113 §6 could have sent it: a type in use, a length and a stream that fit
    /// it, and no flags that it does not know. `largest` bounds the payload, `highest` the stream.
    pub(super) fn fits(self, largest: u32, highest: u32) -> bool {
        let (on_stream, lengths, flags) = match self.kind {
            kind::DATA => (true, 0..=largest, END_STREAM | PADDED),
            kind::HEADERS => (true, 1..=largest, END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY),
            kind::PRIORITY => (true, 5..=5, 0),
            kind::RST_STREAM => (true, 4..=4, 0),
            kind::SETTINGS => (false, 0..=600, END_STREAM),
            kind::PUSH_PROMISE => (true, 4..=largest, END_HEADERS | PADDED),
            kind::PING => (false, 8..=8, END_STREAM),
            kind::GOAWAY => (false, 8..=largest, 0),
            // On the connection (stream 0) or on one stream.
            kind::WINDOW_UPDATE => (self.stream != 0, 4..=4, 0),
            kind::CONTINUATION => (true, 0..=largest, END_HEADERS),
            _ => return false,
        };
        (self.stream != 0) == on_stream
            && self.stream <= highest
            && lengths.contains(&self.length)
            && self.flags & !flags == 0
            && (self.kind != kind::SETTINGS
                || self.length.is_multiple_of(6) && (!self.has(END_STREAM) || self.length == 0))
    }
}

/// Position of the first bytes in `bytes` that could be a frame header: a guess until frames chain on from there.
pub(super) fn find(bytes: &[u8], largest: u32, highest: u32) -> Option<usize> {
    bytes.windows(HEADER_LEN).position(|window| {
        window.first_chunk::<HEADER_LEN>().is_some_and(|bytes| {
            bytes[3] <= kind::CONTINUATION && bytes[5] & 0x80 == 0 && FrameHeader::parse(bytes).fits(largest, highest)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_held_to_the_rules() {
        let header = FrameHeader::parse(&[0, 1, 2, 1, 0x25, 0x80, 0, 0, 3]);
        assert_eq!(header, FrameHeader { length: 258, kind: 1, flags: 0x25, stream: 3 });
        assert!(header.fits(16_384, 3) && !header.fits(257, 3) && !header.fits(16_384, 1));
        let fits = |length, kind, flags, stream| FrameHeader { length, kind, flags, stream }.fits(16_384, 100);
        assert!(fits(0, 0, 1, 1) && !fits(0, 0, 2, 1) && !fits(0, 0, 1, 0));
        assert!(
            fits(12, 4, 0, 0) && !fits(13, 4, 0, 0) && !fits(12, 4, 1, 0) && fits(0, 4, 1, 0) && !fits(12, 4, 0, 1)
        );
        assert!(fits(8, 6, 1, 0) && !fits(9, 6, 1, 0) && fits(4, 8, 0, 0) && fits(4, 8, 0, 5) && !fits(4, 10, 0, 0));
    }

    #[test]
    fn a_header_is_found_among_other_bytes() {
        let bytes = [&[0xff; 5][..], &[0, 0, 4, 8, 0, 0, 0, 0, 0, 1, 2, 3, 4]].concat();
        assert_eq!(find(&bytes, 16_384, 10), Some(5));
        assert_eq!(find(&bytes[..13], 16_384, 10), None);
        assert_eq!(find(&[], 16_384, 10), None);
    }
}
