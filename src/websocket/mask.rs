//! Masking (RFC 6455 §5.3): byte *i* of the payload is XORed with byte *i* mod 4 of the key.

/// The key as it applies from payload byte `at` on.
#[inline]
pub(super) const fn rotated(key: [u8; 4], at: u64) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right(8 * (at & 3) as u32).to_le_bytes()
}

#[inline]
const fn wide(key: [u8; 4]) -> u64 {
    let half = u32::from_ne_bytes(key) as u64;
    half << 32 | half
}

/// Writes the unmasked `masked` to `plain`, which must be as long.
#[inline]
pub(super) fn unmask(masked: &[u8], key: [u8; 4], plain: &mut [u8]) {
    let key_word = wide(key);
    let (from, from_tail) = masked.as_chunks::<8>();
    let (to, to_tail) = plain[..masked.len()].as_chunks_mut::<8>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = (u64::from_ne_bytes(*from) ^ key_word).to_ne_bytes();
    }
    for (at, (to, from)) in to_tail.iter_mut().zip(from_tail).enumerate() {
        *to = from ^ key[at & 3];
    }
}

/// Unmasks in place.
#[inline]
pub(super) fn unmask_in_place(bytes: &mut [u8], key: [u8; 4]) {
    let key_word = wide(key);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key_word).to_ne_bytes();
    }
    for (at, byte) in tail.iter_mut().enumerate() {
        *byte ^= key[at & 3];
    }
}

/// Whether the unmasked payload is ASCII, without writing it anywhere.
#[inline]
pub(super) fn is_ascii(masked: &[u8], key: [u8; 4]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Unmasked words are combined by OR: a high bit anywhere is a byte that is not ASCII.
    let key_word = wide(key);
    let (blocks, rest) = masked.as_chunks::<128>();
    for block in blocks {
        let mut gathered = 0;
        for word in block.as_chunks::<8>().0 {
            gathered |= u64::from_ne_bytes(*word) ^ key_word;
        }
        if gathered & HIGH != 0 {
            return false;
        }
    }
    let (words, tail) = rest.as_chunks::<8>();
    let mut gathered = 0;
    for word in words {
        gathered |= u64::from_ne_bytes(*word) ^ key_word;
    }
    if !tail.is_empty() {
        if masked.len() >= 8 {
            // The last eight bytes, some of them once more: the key is rotated to their beginning.
            let at = masked.len() - 8;
            let mut last = [0; 8];
            last.copy_from_slice(&masked[at..]);
            gathered |= u64::from_ne_bytes(last) ^ wide(rotated(key, at as u64));
        } else {
            for (at, byte) in tail.iter().enumerate() {
                gathered |= u64::from(byte ^ key[at & 3]);
            }
        }
    }
    gathered & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytewise(bytes: &[u8], key: [u8; 4]) -> Vec<u8> {
        bytes.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect()
    }

    proptest! {
        #[test]
        fn equals_the_bytewise_definition(bytes in proptest::collection::vec(any::<u8>(), 0..400), key: [u8; 4], at in 0usize..9) {
            let expected = bytewise(&bytes, key);
            let mut plain = vec![0; bytes.len()];
            unmask(&bytes, key, &mut plain);
            prop_assert_eq!(&plain, &expected);
            let mut in_place = bytes.clone();
            unmask_in_place(&mut in_place, key);
            prop_assert_eq!(&in_place, &expected);
            let at = at.min(bytes.len());
            let mut rest = vec![0; bytes.len() - at];
            unmask(&bytes[at..], rotated(key, at as u64), &mut rest);
            prop_assert_eq!(&rest[..], &expected[at..]);
        }

        #[test]
        fn ascii_is_recognised_through_the_mask(text in "[ -~]{0,300}", key: [u8; 4], odd in any::<Option<(u16, u8)>>()) {
            let mut plain = text.into_bytes();
            if let (Some((at, byte)), false) = (odd, plain.is_empty()) {
                let at = usize::from(at) % plain.len();
                plain[at] = byte;
            }
            prop_assert_eq!(is_ascii(&bytewise(&plain, key), key), plain.is_ascii());
        }
    }
}
