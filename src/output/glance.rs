//! One look at a text, many bytes at a time, that tells whether anything in it could need an escape or could announce
//! a secret. Most texts need neither, and are then written as they are. A glance may be wrong in one way only: it may
//! see something where there is nothing.

use super::compact::is_suspect;

/// Bytes that are looked at together.
const LANES: usize = 16;
/// Bytes behind those that are looked at to know what they begin.
const AHEAD: usize = 2;
/// Whether a byte could announce a value or end one: `=`, `@`, `<`, and their neighbours in ASCII. (So could a
/// quotation mark, which needs an escape.)
#[inline]
const fn announces(byte: u8) -> bool {
    byte.wrapping_sub(b'<') <= b'@' - b'<'
}

/// Whether a token or the name of a scheme could begin with these bytes.
#[inline(always)]
const fn is_sign(one: u8, two: u8, three: u8) -> bool {
    // The beginnings of `bearer` and `basic`, in any case: `b`, `a` or `e`, and `a` or `s` (or `c`, or `q`).
    let scheme = (one & 0xdf == b'B') & (two & 0xdb == b'A') & (three & 0xcd == b'A');
    let token = (one == b'e') & (two == b'y') & (three == b'J');
    scheme | token
}

#[inline(always)]
fn look_for_any(found: &mut [u8; LANES], bytes: &[u8; LANES + AHEAD]) {
    for lane in 0..LANES {
        let one = bytes[lane];
        let any = is_suspect(one) | announces(one) | is_sign(one, bytes[lane + 1], bytes[lane + 2]);
        found[lane] |= u8::from(any);
    }
}

/// Whether a text needs no escape and holds nothing that could announce a secret: no byte that could announce a value,
/// and neither the beginning of a JSON Web Token nor that of the name of an authentication scheme.
pub(super) fn is_plain(text: &str) -> bool {
    let mut found = [0; LANES];
    let mut rest = text.as_bytes();
    while let Some(next) = rest.first_chunk() {
        look_for_any(&mut found, next);
        rest = &rest[LANES..];
    }
    // The last bytes, and then nothing.
    let mut last = [b' '; 2 * LANES + AHEAD];
    last[..rest.len()].copy_from_slice(rest);
    if let Some(next) = last.first_chunk() {
        look_for_any(&mut found, next);
    }
    if rest.len() > LANES
        && let Some(next) = last.last_chunk()
    {
        look_for_any(&mut found, next);
    }
    found == [0; LANES]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_byte_in_each_place() {
        for byte in 0..0x80_u8 {
            for before in 0..40 {
                for after in [0, 1, 17, 18] {
                    let text = format!("{}{}{}", "x".repeat(before), char::from(byte), "y".repeat(after));
                    assert_eq!(is_plain(&text), !is_suspect(byte) && !announces(byte), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn signs_in_each_place() {
        for before in 0..40 {
            let before = " ".repeat(before);
            for sign in ["Bearer", "bASIC", "eyJ", "\r", "\r\n", "\n", "\t", "é", "=", "a@b", "<"] {
                assert!(!is_plain(&format!("{before}{sign}")), "{before:?} {sign:?}");
                assert!(!is_plain(&format!("{before}{sign}   ")), "{before:?} {sign:?}");
            }
            for none in ["bureau", "brave", "b", "ey", ""] {
                assert!(is_plain(&format!("{before}{none}")), "{before:?} {none:?}");
            }
        }
    }

    /// As it is said, at each byte.
    fn is_plain_by_the_byte(text: &str) -> bool {
        let bytes = [text.as_bytes(), b"  "].concat();
        let sign = bytes.windows(3).any(|three| is_sign(three[0], three[1], three[2]));
        !sign && !text.bytes().any(|byte| is_suspect(byte) || announces(byte))
    }

    proptest! {
        #[test]
        fn what_is_seen(text in "([ -~]|\\r\\n|[a-f=<@]){0,120}", plain in "([a-zA-Z ]|ba|eyJ?){0,80}") {
            prop_assert_eq!(is_plain(&text), is_plain_by_the_byte(&text));
            prop_assert_eq!(is_plain(&plain), is_plain_by_the_byte(&plain));
        }
    }
}
