//! Incremental UTF-8 validation (RFC 6455 §8.1): a code point may be split between fragments and between packets.

/// Validates a text piece by piece, storing only the beginning of a split code point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Utf8 {
    /// Bytes found valid so far, without the pending ones.
    valid: u64,
    pending: [u8; 4],
    pending_len: u8,
}

/// Below this many bytes the standard library is as fast as SIMD.
const SHORT: usize = 64;

impl Utf8 {
    /// Takes the next piece. `Err`: how many bytes of the whole text were valid.
    #[inline]
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), u64> {
        // Most text is ASCII, and checking for that is several times cheaper than validating.
        if self.pending_len == 0 && bytes.is_ascii() {
            self.valid += bytes.len() as u64;
            return Ok(());
        }
        self.feed_any(bytes)
    }

    /// Skips `length` bytes that are known to be ASCII; false when a code point is pending, so that they are an error for
    /// [`Utf8::feed`] to find.
    #[inline]
    pub(super) fn skip_ascii(&mut self, length: usize) -> bool {
        if self.pending_len == 0 {
            self.valid += length as u64;
        }
        self.pending_len == 0
    }

    /// Ends the text. `Err`: how many bytes of it were valid.
    #[inline]
    pub(super) fn finish(&self) -> Result<(), u64> {
        if self.pending_len == 0 { Ok(()) } else { Err(self.valid) }
    }

    fn feed_any(&mut self, mut bytes: &[u8]) -> Result<(), u64> {
        while self.pending_len > 0 {
            let Some((&next, rest)) = bytes.split_first() else { return Ok(()) };
            self.pending[usize::from(self.pending_len)] = next;
            self.pending_len += 1;
            let pending = &self.pending[..usize::from(self.pending_len)];
            match std::str::from_utf8(pending) {
                Ok(_) => {
                    self.valid += u64::from(self.pending_len);
                    self.pending_len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(self.valid),
            }
            bytes = rest;
        }
        let whole = &bytes[..bytes.len() - split_code_point(bytes)];
        let checked = if whole.len() < SHORT {
            std::str::from_utf8(whole).is_ok()
        } else {
            simdutf8::basic::from_utf8(whole).is_ok()
        };
        if !checked {
            let valid = std::str::from_utf8(whole).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(self.valid + valid as u64);
        }
        self.valid += whole.len() as u64;
        let tail = &bytes[whole.len()..];
        self.pending[..tail.len()].copy_from_slice(tail);
        self.pending_len = tail.len() as u8;
        Ok(())
    }
}

/// How many bytes at the end begin a code point that is not complete: 0 to 3.
fn split_code_point(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let tail = &bytes[bytes.len() - back..];
        if tail[0] & 0xC0 != 0x80 {
            let split =
                std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none());
            return if split { back } else { 0 };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_pieces(bytes: &[u8], cuts: &[usize]) -> Result<(), u64> {
        let mut utf8 = Utf8::default();
        let mut from = 0;
        for &cut in cuts {
            let to = cut.clamp(from, bytes.len());
            utf8.feed(&bytes[from..to])?;
            from = to;
        }
        utf8.feed(&bytes[from..])?;
        utf8.finish()
    }

    proptest! {
        #[test]
        fn equals_the_standard_library_in_any_pieces(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..12),
                "\\PC{0,200}".prop_map(String::into_bytes),
                ("\\PC{0,90}", any::<u8>(), "\\PC{0,90}").prop_map(|(a, x, b)| [a.as_bytes(), &[x], b.as_bytes()].concat()),
                proptest::collection::vec(prop_oneof![Just(0xE2u8), Just(0x82), Just(0xAC), Just(0xF0), Just(0x9F), Just(0xED), Just(0xA0), Just(b'a')], 0..12),
            ],
            mut cuts in proptest::collection::vec(0usize..300, 0..6),
        ) {
            cuts.sort_unstable();
            let expected = std::str::from_utf8(&bytes).map(|_| ()).map_err(|error| error.valid_up_to() as u64);
            prop_assert_eq!(by_pieces(&bytes, &cuts), expected);
        }
    }

    #[test]
    fn a_code_point_may_be_split_at_every_byte_and_must_end() {
        let text = "a€b𝄞c".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                assert_eq!(by_pieces(text, &[first, second]), Ok(()));
            }
        }
        assert_eq!(by_pieces(&text[..2], &[]), Err(1));
        assert_eq!(by_pieces(b"ab\xed\xa0\x80", &[3, 4]), Err(2), "a surrogate is not UTF-8");
    }
}
