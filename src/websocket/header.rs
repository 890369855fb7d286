//! The frame header (RFC 6455 §5.2).
//!
//! ```text
//!  0               1               2               3
//!  7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length (7)  |  length (16 if 126,           |
//! |I|S|S|S|  (4)  |A|             |          64 if 127)           |
//! |N|1|2|3|       |S|             |                               |
//! +-+-+-+-+-------+-+-------------+  masking key (32, if MASK)    |
//! ```

/// The longest header: 2 + 8 + 4 bytes.
pub(super) const HEADER_MAX: usize = 14;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// FIN, RSV and opcode.
    pub first: u8,
    /// Bytes of header.
    pub size: u8,
    /// The seven length bits: below 126 the length itself, else which of the longer forms follows.
    pub form: u8,
    pub masked: bool,
    /// All zero when not masked, so that applying it changes nothing.
    pub key: [u8; 4],
    pub length: u64,
}

impl Header {
    /// Reads a header where it lies; `None` when more bytes are needed.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Header> {
        let [first, second, rest @ ..] = bytes else { return None };
        let form = second & 0x7F;
        let (length, rest) = match form {
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        let masked = second & 0x80 != 0;
        let (key, rest) = if masked {
            let (key, rest) = rest.split_first_chunk::<4>()?;
            (*key, rest)
        } else {
            ([0; 4], rest)
        };
        Some(Header { first: *first, size: (bytes.len() - rest.len()) as u8, form, masked, key, length })
    }

    #[inline]
    pub(super) const fn fin(&self) -> bool {
        self.first & 0x80 != 0
    }

    /// RSV1 = 4, RSV2 = 2, RSV3 = 1.
    #[inline]
    pub(super) const fn rsv(&self) -> u8 {
        (self.first >> 4) & 7
    }

    #[inline]
    pub(super) const fn opcode(&self) -> u8 {
        self.first & 0x0F
    }

    /// §5.5: opcodes with the highest bit set are control frames.
    #[inline]
    pub(super) const fn control(&self) -> bool {
        self.first & 0x08 != 0
    }

    /// §5.2: opcodes 3 to 7 and 11 to 15 are reserved.
    #[inline]
    pub(super) const fn reserved(&self) -> bool {
        matches!(self.opcode(), 0x3..=0x7 | 0xB..)
    }

    /// §5.2: the minimal number of bytes must be used to encode the length.
    #[inline]
    pub(super) const fn minimal(&self) -> bool {
        match self.form {
            126 => self.length >= 126,
            127 => self.length > u16::MAX as u64,
            _ => true,
        }
    }

    /// §5.2: the most significant bit of a 64-bit length must be 0.
    #[inline]
    pub(super) const fn high_bit(&self) -> bool {
        self.length >> 63 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;
    use tungstenite::protocol::frame::FrameHeader;
    use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    fn opcode() -> impl Strategy<Value = OpCode> {
        prop_oneof![
            Just(OpCode::Data(Data::Continue)),
            Just(OpCode::Data(Data::Text)),
            Just(OpCode::Data(Data::Binary)),
            Just(OpCode::Control(Control::Close)),
            Just(OpCode::Control(Control::Ping)),
            Just(OpCode::Control(Control::Pong)),
        ]
    }

    fn length() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..130, 65_530u64..65_545, 0u64..(1 << 63)]
    }

    proptest! {
        /// Every header tungstenite writes is read as what it was, and not before its last byte.
        #[test]
        fn agrees_with_tungstenite(opcode in opcode(), is_final: bool, rsv1: bool, rsv2: bool, rsv3: bool,
                                   mask: Option<[u8; 4]>, length in length()) {
            let written = FrameHeader { is_final, rsv1, rsv2, rsv3, opcode, mask };
            let mut bytes = Vec::new();
            written.format(length, &mut bytes).unwrap();
            let read = Header::parse(&bytes).unwrap();
            prop_assert_eq!(usize::from(read.size), bytes.len());
            prop_assert_eq!(read.fin(), is_final);
            prop_assert_eq!(read.rsv(), u8::from(rsv1) << 2 | u8::from(rsv2) << 1 | u8::from(rsv3));
            prop_assert_eq!(read.opcode(), u8::from(opcode));
            prop_assert_eq!(read.masked.then_some(read.key), mask);
            prop_assert_eq!(read.length, length);
            prop_assert!(read.minimal() && !read.high_bit() && !read.reserved());
            for cut in 0..bytes.len() {
                prop_assert_eq!(Header::parse(&bytes[..cut]), None);
            }
        }

        /// Whatever tungstenite reads, we read the same.
        #[test]
        fn reads_what_tungstenite_reads(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(Some((header, length))) = FrameHeader::parse(&mut Cursor::new(&bytes)) {
                let read = Header::parse(&bytes).unwrap();
                prop_assert_eq!(read.length, length);
                prop_assert_eq!(read.opcode(), u8::from(header.opcode));
                prop_assert_eq!(read.masked.then_some(read.key), header.mask);
            }
        }
    }
}
