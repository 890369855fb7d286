//! One look at a text, many bytes at a time, that tells whether anything in it could need an escape or could announce
//! a secret. Most texts need neither, and are then written as they are. A glance may be wrong in one way only: it may
//! see something where there is nothing.

use super::compact::is_suspect;

/// Bytes that are looked at together.
const LANES: usize = 16;
/// Bytes behind those that are looked at to know what they begin.
const AHEAD: usize = 2;
/// Longest text that is looked at; what is counted in a lane fits a byte.
const MAX_LEN: usize = LANES * 250;

/// What is to be seen in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glance {
    /// Nothing needs an escape, line ends (LF or CR LF) aside, and nothing could be the beginning of a JSON Web Token or
    /// the name of an authentication scheme.
    pub(super) quiet: bool,
    /// How many bytes could announce a value: see [`announces`].
    pub(super) announcing: u32,
}

/// Whether a byte could announce a value or end one: `=`, `@`, `<`, and their neighbours in ASCII. (So could a
/// quotation mark, which needs an escape.)
#[inline]
const fn announces(byte: u8) -> bool {
    byte.wrapping_sub(b'<') <= b'@' - b'<'
}

/// How many bytes of a text could announce a value.
#[inline]
pub(super) fn announcing(text: &str) -> u32 {
    text.bytes().map(|byte| u32::from(announces(byte))).sum()
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

/// Sees whether there is anything but line ends, and counts what announces a value.
#[inline(always)]
fn look(found: &mut [u8; LANES], announcing: &mut [u8; LANES], bytes: &[u8; LANES + AHEAD]) {
    for lane in 0..LANES {
        let (one, two, three) = (bytes[lane], bytes[lane + 1], bytes[lane + 2]);
        let ends_line = (one == b'\n') | ((one == b'\r') & (two == b'\n'));
        found[lane] |= u8::from((is_suspect(one) & !ends_line) | is_sign(one, two, three));
        announcing[lane] = announcing[lane].wrapping_add(u8::from(announces(one)));
    }
}

impl Glance {
    /// What is seen when nobody looks.
    pub(super) const NONE: Glance = Glance { quiet: false, announcing: 0 };

    /// Looks at a text.
    pub(super) fn at(text: &str) -> Glance {
        let mut rest = text.as_bytes();
        if rest.len() > MAX_LEN {
            return Self::NONE;
        }
        let (mut found, mut announcing) = ([0; LANES], [0; LANES]);
        while let Some(next) = rest.first_chunk() {
            look(&mut found, &mut announcing, next);
            rest = &rest[LANES..];
        }
        // The last bytes, and then nothing.
        let mut last = [b' '; 2 * LANES + AHEAD];
        last[..rest.len()].copy_from_slice(rest);
        if let Some(next) = last.first_chunk() {
            look(&mut found, &mut announcing, next);
        }
        if rest.len() > LANES
            && let Some(next) = last.last_chunk()
        {
            look(&mut found, &mut announcing, next);
        }
        let announcing = announcing.iter().map(|lane| u32::from(*lane)).sum();
        Glance { quiet: found == [0; LANES], announcing }
    }

    /// Whether nothing was seen at all.
    pub(super) const fn is_plain(self) -> bool {
        self.quiet && self.announcing == 0
    }
}

/// Whether a text needs no escape and holds nothing that could announce a secret: as [`Glance::is_plain`], but line
/// ends need an escape, too.
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
                    let glance = Glance::at(&text);
                    assert_eq!(glance.quiet, !is_suspect(byte) || byte == b'\n', "{text:?}");
                    assert_eq!(glance.announcing, u32::from(announces(byte)), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn signs_in_each_place() {
        for before in 0..40 {
            let before = " ".repeat(before);
            for sign in ["Bearer", "bASIC", "eyJ", "\r", "\r\r\n", "\n\r", "\t", "é"] {
                assert!(!Glance::at(&format!("{before}{sign}")).quiet, "{before:?} {sign:?}");
                assert!(!Glance::at(&format!("{before}{sign}   ")).quiet, "{before:?} {sign:?}");
            }
            for none in ["bureau", "brave", "b", "ey", "\r\n", "\n\r\n", "\n\n"] {
                assert!(Glance::at(&format!("{before}{none}")).is_plain(), "{before:?} {none:?}");
            }
        }
    }

    #[test]
    fn long_texts_are_not_looked_at() {
        assert!(Glance::at(&"x".repeat(MAX_LEN)).is_plain());
        assert_eq!(Glance::at(&"=".repeat(MAX_LEN)).announcing, MAX_LEN as u32);
        assert_eq!(Glance::at(&"x".repeat(MAX_LEN + 1)), Glance::NONE);
    }

    proptest! {
        #[test]
        fn what_is_counted(text in "([ -~]|\\r\\n|[a-f=<@]){0,120}") {
            let glance = Glance::at(&text);
            prop_assert_eq!(glance.announcing, announcing(&text));
            prop_assert_eq!(is_plain(&text), glance.is_plain() && !text.contains('\n'));
            let bare = format!("{text}\r\r\n");
            prop_assert!(!Glance::at(&bare).quiet);
        }
    }
}
