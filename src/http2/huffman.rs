//! The Huffman code of HPACK (RFC 7541 §5.2 and Appendix B), decoding only.
//!
//! The code is canonical: within a length, codes follow each other in the order of their symbols. The lengths
//! alone therefore define it, and decoding needs, for each length, the first code and where its symbols lie.

/// Lengths of the codes of the symbols 0 to 255 and of EOS, in bits (RFC 7541 Appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const SHORTEST: u32 = 5;
const LONGEST: u32 = 30;
const EOS: u16 = 256;

struct Code {
    /// For each length, the first code that is too large for it, aligned to the left of 32 bits.
    limit: [u32; LONGEST as usize + 1],
    /// For each length, what to add to a code (aligned to the right) to get the index of its symbol.
    offset: [i32; LONGEST as usize + 1],
    /// Symbols in the order of their codes.
    symbols: [u16; 257],
}

static CODE: Code = build();

const fn build() -> Code {
    let mut code = Code { limit: [0; LONGEST as usize + 1], offset: [0; LONGEST as usize + 1], symbols: [0; 257] };
    let (mut next, mut filled, mut length) = (0u32, 0usize, SHORTEST as usize);
    while length <= LONGEST as usize {
        next <<= 1;
        code.offset[length] = filled as i32 - next as i32;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.symbols[filled] = symbol as u16;
                filled += 1;
                next += 1;
            }
            symbol += 1;
        }
        // All codes of the longest length are in use: its limit is beyond 32 bits.
        code.limit[length] = if length == LONGEST as usize { u32::MAX } else { next << (32 - length) };
        length += 1;
    }
    code
}

/// Decodes `bytes` and appends to `into`. `None` when they are no such code: EOS inside, padding longer
/// than seven bits or not of ones (RFC 7541 §5.2: a decoding error). Stops with `None` beyond `most` bytes.
pub(super) fn decode(bytes: &[u8], into: &mut Vec<u8>, most: usize) -> Option<()> {
    let start = into.len();
    let (mut window, mut bits) = (0u64, 0u32);
    let mut rest = bytes.iter();
    loop {
        while bits <= 56 {
            let Some(&byte) = rest.next() else { break };
            window |= u64::from(byte) << (56 - bits);
            bits += 8;
        }
        let front = (window >> 32) as u32;
        // Padding: fewer than eight bits, all ones.
        if bits < 8 && (bits == 0 || front >> (32 - bits) == (1 << bits) - 1) {
            return Some(());
        }
        let mut length = SHORTEST;
        while front >= CODE.limit[length as usize] && length < LONGEST {
            length += 1;
        }
        if length > bits {
            return None;
        }
        let index = (front >> (32 - length)) as i32 + CODE.offset[length as usize];
        let symbol = CODE.symbols[index as usize];
        if symbol == EOS || into.len() - start >= most {
            return None;
        }
        into.push(symbol as u8);
        window <<= length;
        bits -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Vec<(u32, u32)> {
        let mut codes = vec![(0, 0); 257];
        let mut next = 0;
        for length in SHORTEST..=LONGEST {
            next <<= 1;
            for symbol in 0..257 {
                if u32::from(LENGTHS[symbol]) == length {
                    codes[symbol] = (next, length);
                    next += 1;
                }
            }
        }
        codes
    }

    fn encode(text: &[u8]) -> Vec<u8> {
        let codes = codes();
        let mut bits = Vec::new();
        for &byte in text {
            let (code, length) = codes[usize::from(byte)];
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        while bits.len() % 8 != 0 {
            bits.push(true);
        }
        bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect()
    }

    #[test]
    fn the_code_is_complete_and_is_the_one_of_the_rfc() {
        let whole: u64 = LENGTHS.iter().map(|&length| 1u64 << (32 - u32::from(length))).sum();
        assert_eq!(whole, 1 << 32, "no code is left over");
        let codes = codes();
        // Some rows of Appendix B.
        for (symbol, code, length) in [
            (b'0', 0x0, 5),
            (b'a', 0x3, 5),
            (b' ', 0x14, 6),
            (b'X', 0xfc, 8),
            (b'!', 0x3f8, 10),
            (b'\\', 0x7fff0, 19),
            (10, 0x3ffffffc, 30),
            (249, 0xffffffe, 28),
        ] {
            assert_eq!(codes[usize::from(symbol)], (code, length), "{symbol}");
        }
        assert_eq!(codes[256], (0x3fff_ffff, 30));
    }

    #[test]
    fn every_text_comes_back() {
        for symbol in 0..=255u8 {
            for count in 0..5 {
                let text = vec![symbol; count];
                let mut out = Vec::new();
                assert_eq!(decode(&encode(&text), &mut out, 100), Some(()));
                assert_eq!(out, text);
            }
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut out = b"before".to_vec();
        assert_eq!(decode(&encode(&all), &mut out, 256), Some(()));
        assert_eq!(&out[6..], all);
        assert_eq!(decode(&encode(&all), &mut Vec::new(), 255), None, "the bound holds");
    }

    #[test]
    fn what_is_no_code_is_refused() {
        // Padding of eight ones, padding of zeros, EOS.
        for bytes in [&[0xff][..], &[0b0000_0000, 0b0000_0000], &[0xff, 0xff, 0xff, 0xff], &[0x18]] {
            let mut out = Vec::new();
            let decoded = decode(bytes, &mut out, 100);
            assert!(decoded.is_none() || bytes == [0, 0], "{bytes:?}");
        }
        assert_eq!(decode(&[0b0000_0000], &mut Vec::new(), 100), None, "three zeros are no padding");
        assert_eq!(decode(&[], &mut Vec::new(), 0), Some(()));
    }
}
