//! Escapes of JSON strings, and the scan for characters that need one. The scan looks at many bytes at a time and passes
//! runs of ordinary characters whole.

use crate::output::terminal::is_hostile;

/// Appends a JSON string.
#[inline]
pub(in crate::output) fn append_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    append_inside(out, text);
    out.push(b'"');
}

/// What stands for a character that may not be written as itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::output) enum Escape {
    /// A backslash and this (RFC 8259 §7).
    Short(u8),
    /// `\uXXXX` for each UTF-16 unit of this.
    Units(char),
}

/// How a character is written inside a JSON string, if not as itself: quotation mark, backslash and C0 controls as
/// RFC 8259 §7 demands, and everything that could harm a terminal (see [`is_hostile`]).
#[inline]
pub(in crate::output) const fn escape_of(c: char) -> Option<Escape> {
    match c {
        '"' | '\\' => Some(Escape::Short(c as u8)),
        '\u{8}' => Some(Escape::Short(b'b')),
        '\t' => Some(Escape::Short(b't')),
        '\n' => Some(Escape::Short(b'n')),
        '\u{c}' => Some(Escape::Short(b'f')),
        '\r' => Some(Escape::Short(b'r')),
        c if is_hostile(c) => Some(Escape::Units(c)),
        _ => None,
    }
}

impl Escape {
    /// Longest escape in bytes: two UTF-16 units.
    pub(in crate::output) const MAX_LEN: usize = 12;

    /// Writes the escape into `buffer` and returns it.
    pub(in crate::output) fn write(self, buffer: &mut [u8; Self::MAX_LEN]) -> &[u8] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match self {
            Escape::Short(letter) => {
                buffer[..2].copy_from_slice(&[b'\\', letter]);
                &buffer[..2]
            }
            Escape::Units(c) => {
                let mut len = 0;
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let digit = |shift: u16| HEX[usize::from(*unit >> shift & 15)];
                    buffer[len..len + 6].copy_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
                    len += 6;
                }
                &buffer[..len]
            }
        }
    }
}

/// Whether a byte may begin a character that is not written as itself: all for which [`escape_of`] has an answer
/// among ASCII, and everything beyond.
pub(in crate::output) const fn is_suspect(byte: u8) -> bool {
    byte.wrapping_sub(b' ') >= 0x7f - b' ' || byte == b'"' || byte == b'\\'
}

// What the scan passes over must be what needs no escape.
const _: () = {
    let mut byte = 0;
    while byte < 0x80 {
        assert!(is_suspect(byte) == escape_of(byte as char).is_some());
        byte += 1;
    }
};

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Finds the first suspect byte of eight: its high bit is set, and that of none before it. (A borrow may set the bit
/// of a byte behind a suspect one.)
#[inline]
const fn suspects(word: u64) -> u64 {
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES * limit as u64) & !word
    }
    (word
        | below(word, b' ')
        | below(word ^ (ONES * b'"' as u64), 1)
        | below(word ^ (ONES * b'\\' as u64), 1)
        | below(word ^ (ONES * 0x7f), 1))
        & HIGH
}

/// Whether one of many bytes is suspect, told without a branch, so that all are looked at together.
#[inline(always)]
fn any_suspect(bytes: &[u8; 32]) -> bool {
    bytes.iter().fold(0, |any, byte| any | u8::from(is_suspect(*byte))) != 0
}

/// How many bytes at the start of `bytes` are not suspect.
#[inline]
fn clean_run(bytes: &[u8]) -> usize {
    let eight = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map(u64::from_le_bytes);
    let first = |at: usize, found: u64| at + found.trailing_zeros() as usize / 8;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<32>() {
        if any_suspect(chunk) {
            break;
        }
        at += 32;
    }
    while let Some(word) = eight(at) {
        let found = suspects(word);
        if found != 0 {
            return first(at, found);
        }
        at += 8;
    }
    if at == bytes.len() {
        return at;
    }
    // The last few together with some before them, which are known to be clean.
    if let Some(last) = bytes.len().checked_sub(8)
        && let Some(word) = eight(last)
    {
        let found = suspects(word);
        return if found == 0 { bytes.len() } else { first(last, found) };
    }
    at + bytes[at..].iter().position(|byte| is_suspect(*byte)).unwrap_or(bytes.len() - at)
}

/// Whether a text is written as it is inside a JSON string.
#[inline]
pub(in crate::output) fn is_clean(text: &str) -> bool {
    clean_run(text.as_bytes()) == text.len()
}

/// Appends the inside of a JSON string.
#[inline]
pub(in crate::output) fn append_inside(out: &mut Vec<u8>, text: &str) {
    let clean = clean_run(text.as_bytes());
    if clean == text.len() {
        out.extend_from_slice(text.as_bytes());
    } else {
        append_suspect(out, text, clean);
    }
}

/// As [`append_inside`], for a text whose first suspect byte is at `at`.
fn append_suspect(out: &mut Vec<u8>, text: &str, mut at: usize) {
    let bytes = text.as_bytes();
    let mut written = 0;
    out.reserve(bytes.len() + Escape::MAX_LEN);
    while let Some(c) = text[at..].chars().next() {
        let next = at + c.len_utf8();
        if let Some(escape) = escape_of(c) {
            out.extend_from_slice(&bytes[written..at]);
            match escape {
                Escape::Short(letter) => out.extend_from_slice(&[b'\\', letter]),
                Escape::Units(_) => out.extend_from_slice(escape.write(&mut [0; Escape::MAX_LEN])),
            }
            written = next;
        }
        at = next + clean_run(&bytes[next..]);
    }
    out.extend_from_slice(&bytes[written..]);
}

#[cfg(test)]
mod tests {
    use super::super::by_serde_json;
    use super::*;

    fn string(text: &str) -> String {
        let mut out = b"before ".to_vec();
        append_text(&mut out, text);
        String::from_utf8(out.split_off(7)).unwrap()
    }

    #[test]
    fn every_character_in_every_place() {
        let mut text = String::new();
        for c in '\0'..=char::MAX {
            let special = escape_of(c).is_some() || (c as u32) < 0x100 || (c as u32) & 0xff == 0;
            for before in if special { 0..40 } else { 9..10 } {
                text.clear();
                text.extend(std::iter::repeat_n('a', before));
                text.push(c);
                text.push_str("b\"");
                let at = clean_run(text.as_bytes());
                let expected = text.bytes().position(is_suspect).unwrap();
                assert_eq!(at, expected, "{text:?}");
                if special {
                    assert_eq!(string(&text), by_serde_json(text.as_str()));
                    text.truncate(before + c.len_utf8());
                    assert_eq!(string(&text), by_serde_json(text.as_str()));
                }
            }
        }
    }

    #[test]
    fn no_byte_that_could_harm_is_written() {
        let all: String = ('\0'..=char::MAX).collect();
        let out = string(&all);
        assert!(!out.contains(is_hostile));
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), all);
        assert_eq!(out, by_serde_json(all.as_str()));
    }
}
