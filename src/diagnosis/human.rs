//! Numbers and times in words, short enough to be held without a heap.

use std::fmt::{self, Write as _};
use std::ops::Deref;

/// Bytes that a text may have; more are left out.
const ROOM: usize = 31;
/// Nanoseconds up to which times are formatted with whole numbers alone: with more of them an `f64` rounds otherwise.
const EXACT: i64 = 100_000_000_000_000;

/// A short text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    bytes: [u8; ROOM],
    length: u8,
}

impl Short {
    const EMPTY: Short = Short { bytes: [0; ROOM], length: 0 };

    /// The text.
    #[must_use]
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Adds a text of ASCII characters as far as there is room.
    fn push(&mut self, text: &str) {
        let from = usize::from(self.length);
        for (place, byte) in self.bytes[from..].iter_mut().zip(text.bytes()) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Adds a number, with a point before its last `decimals` digits.
    fn push_decimal(&mut self, mut number: u64, decimals: usize) {
        let mut digits = [b'0'; 21];
        let (mut at, mut written) = (digits.len(), 0);
        while number > 0 || written <= decimals {
            if decimals > 0 && written == decimals {
                at -= 1;
                digits[at] = b'.';
            }
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            written += 1;
        }
        let length = digits.len() - at;
        let from = usize::from(self.length);
        if let Some(places) = self.bytes.get_mut(from..from + length) {
            places.copy_from_slice(&digits[at..]);
            self.length += length as u8;
        }
    }
}

impl Deref for Short {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// A number in decimal digits.
#[must_use]
pub(super) fn number(number: u64) -> Short {
    let mut text = Short::EMPTY;
    text.push_decimal(number, 0);
    text
}

/// Milliseconds, seconds or minutes, for people; `ns` in nanoseconds. A negative one is no length and is told as unknown.
#[must_use]
pub(super) fn duration(ns: i64) -> Short {
    let (unit, decimals, name) = match ns {
        0..1_000_000 => (10_000, 2, " ms"),
        1_000_000..1_000_000_000 => (1_000_000, 0, " ms"),
        1_000_000_000..120_000_000_000 => (100_000_000, 1, " s"),
        120_000_000_000..EXACT => (6_000_000_000, 1, " min"),
        _ => return by_float(ns),
    };
    // Half-way between two numbers, rounding follows the nearest `f64`, which lies on one side of it.
    if ns % unit == unit / 2 {
        return by_float(ns);
    }
    let mut text = Short::EMPTY;
    text.push_decimal(((ns + unit / 2) / unit) as u64, decimals);
    text.push(name);
    text
}

#[cold]
fn by_float(ns: i64) -> Short {
    let ms = ns as f64 / 1e6;
    let mut text = Short::EMPTY;
    if ns < 0 {
        text.push("an unknown time"); // The clock was set back, or the packets are out of order.
        return text;
    }
    // A short text takes what is written to it.
    let _ = if ms < 1.0 {
        write!(text, "{ms:.2} ms")
    } else if ms < 1000.0 {
        write!(text, "{ms:.0} ms")
    } else if ms < 120_000.0 {
        write!(text, "{:.1} s", ms / 1e3)
    } else {
        write!(text, "{:.1} min", ms / 60e3)
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let told = |ns: i64| duration(ns).to_string();
        assert_eq!(told(0), "0.00 ms");
        assert_eq!(told(999_999), "1.00 ms");
        assert_eq!(told(42_400_000), "42 ms");
        assert_eq!(told(999_999_999), "1000 ms");
        assert_eq!(told(61_250_000_001), "61.3 s");
        assert_eq!(told(119_999_999_999), "120.0 s");
        assert_eq!(told(120_000_000_000), "2.0 min");
        assert_eq!(told(-3_000_000), "an unknown time");
        assert_eq!(told(i64::MAX), "153722867.3 min");
        assert_eq!(told(i64::MIN), "an unknown time");
        assert_eq!(&*number(0), "0");
        assert_eq!(&*number(u64::MAX), "18446744073709551615");
    }

    #[test]
    fn what_lies_half_way_is_rounded_like_a_float() {
        for unit in [10_000, 1_000_000, 100_000_000, 6_000_000_000] {
            for step in 0..2_000 {
                for beside in -1..=1 {
                    let ns = step * unit + unit / 2 + beside;
                    assert_eq!(duration(ns), by_float(ns), "{ns}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_tell_the_same_as_floats(ns in any::<i64>(), digits in 0_u32..19) {
            let ns = ns % 10_i64.pow(digits);
            prop_assert_eq!(duration(ns), by_float(ns));
            prop_assert_eq!(number(ns.unsigned_abs()).to_string(), ns.unsigned_abs().to_string());
        }
    }
}
