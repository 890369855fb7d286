//! Times and durations as they are written: RFC 3339 in UTC with nanoseconds, and milliseconds with
//! microsecond precision. Knows no clock and no time zone.

use std::borrow::Cow;
use std::cell::Cell;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Length in bytes of a written [`Time`]: `2026-11-21T09:30:00.123456789Z`.
pub(crate) const TIME_LEN: usize = 30;

/// Length in bytes of what is the same within a second: `2026-11-21T09:30:00.`.
const SECOND_LEN: usize = 20;

const DIGIT_PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// A moment, in nanoseconds since 1970-01-01T00:00:00Z; negative before it. Written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// Writes the moment into `out`. Every `i64` has an answer: the range is 1677-09-21 to 2262-04-11.
    #[inline]
    pub(crate) fn write(self, out: &mut [u8; TIME_LEN]) {
        let seconds = self.0.div_euclid(NANOS_PER_SECOND);
        let nanos = self.0.rem_euclid(NANOS_PER_SECOND) as u32;
        out[..SECOND_LEN].copy_from_slice(&second(seconds));
        out[20] = b'0' + (nanos / 100_000_000) as u8;
        out[21..29].copy_from_slice(&(eight_digits(nanos % 100_000_000) | ZEROS).to_le_bytes());
        out[29] = b'Z';
    }

    /// Length in bytes of a written time.
    pub(crate) const LEN: usize = TIME_LEN;

    /// The moment that is written as exactly this text, if there is such a one.
    #[inline]
    pub(crate) fn parse_exact(text: &str) -> Option<Self> {
        if text.len() != TIME_LEN || text.as_bytes()[19] != b'.' {
            return None;
        }
        let (seconds, nanos) = parse_rfc3339(text)?;
        let nanos = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
        let time = Self(i64::try_from(nanos).ok()?);
        let mut written = [0; TIME_LEN];
        time.write(&mut written);
        (written == text.as_bytes()).then_some(time)
    }

    /// Time from `earlier` to `self`, saturating.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Millis {
        Millis::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = [0; TIME_LEN];
        self.write(&mut out);
        f.write_str(std::str::from_utf8(&out).unwrap_or_default())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = [0; TIME_LEN];
        self.write(&mut out);
        serializer.serialize_str(std::str::from_utf8(&out).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Rfc3339).map(|(seconds, nanos)| {
            let nanos = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
            Self(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
        })
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$",
            "description": "RFC 3339 in UTC with nanoseconds."
        })
    }
}

/// A moment to the second, in seconds since 1970-01-01T00:00:00Z, as certificates state it: their range
/// (to the end of year 9999) is wider than that of [`Time`]. Written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(i64);

impl Seconds {
    /// The moment, or `None` when RFC 3339 cannot write it (years 0000 to 9999, RFC 3339 §1).
    #[must_use]
    pub fn new(unix: i64) -> Option<Self> {
        (-62_167_219_200..=253_402_300_799).contains(&unix).then_some(Self(unix))
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(SECONDS_PER_DAY));
        let s = self.0.rem_euclid(SECONDS_PER_DAY);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", s / 3600, s / 60 % 60, s % 60)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Rfc3339).map(|(seconds, _)| Self(seconds))
    }
}

/// Reads a moment as [`Time`] and [`Seconds`] write it: seconds since 1970-01-01T00:00:00Z, and nanoseconds.
struct Rfc3339;

impl de::Visitor<'_> for Rfc3339 {
    type Value = (i64, u32);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a time as RFC 3339 in UTC")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        parse_rfc3339(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// Seconds since 1970-01-01T00:00:00Z, and nanoseconds.
fn parse_rfc3339(text: &str) -> Option<(i64, u32)> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.as_bytes().get(range)?;
        digits.iter().try_fold(0_u32, |value, digit| {
            let digit = digit.wrapping_sub(b'0');
            (digit < 10).then(|| value * 10 + u32::from(digit))
        })
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let in_day = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let nanos = match text.len() {
        TIME_LEN => number(20..29)?,
        _ => 0,
    };
    let days = day_from_civil(year.into(), month, day);
    text.ends_with('Z').then_some((days * SECONDS_PER_DAY + i64::from(in_day), nanos))
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
            "description": "RFC 3339 in UTC to the second."
        })
    }
}

/// A span of time in milliseconds, to the microsecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Millis(f64);

impl Millis {
    /// From nanoseconds, rounded half away from zero to the microsecond.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self::from_micros(Self::whole_micros(nanos))
    }

    /// Nanoseconds as microseconds, rounded half away from zero.
    pub(crate) const fn whole_micros(nanos: i64) -> i64 {
        let half = if nanos < 0 { -500 } else { 500 };
        nanos.saturating_add(half) / 1000
    }

    /// From microseconds.
    pub(crate) const fn from_micros(micros: i64) -> Self {
        Self(micros as f64 / 1000.0)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// For people: `350 µs`, `1.2 ms`, `0.35 s`, `12.5 s`, `2 min 5 s`, `3 h 20 min`, `4 d 2 h`.
impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.abs();
        let sign = if self.0 < 0.0 { "-" } else { "" };
        if ms < 1.0 {
            return write!(f, "{sign}{:.0} µs", ms * 1000.0);
        }
        if ms < 99.95 {
            return write!(f, "{sign}{} ms", trimmed(ms, 1));
        }
        let seconds = ms / 1000.0;
        if seconds < 9.995 {
            return write!(f, "{sign}{} s", trimmed(seconds, 2));
        }
        if seconds < 119.95 {
            return write!(f, "{sign}{} s", trimmed(seconds, 1));
        }
        let whole = seconds.round() as u64;
        let (large, small, large_name, small_name) = match whole {
            0..7200 => (whole / 60, whole % 60, "min", "s"),
            7200..172_800 => (whole / 3600, whole % 3600 / 60, "h", "min"),
            _ => (whole / 86_400, whole % 86_400 / 3600, "d", "h"),
        };
        match small {
            0 => write!(f, "{sign}{large} {large_name}"),
            _ => write!(f, "{sign}{large} {large_name} {small} {small_name}"),
        }
    }
}

fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn pair<const N: usize>(out: &mut [u8; N], at: usize, value: u32) {
    let from = value as usize % 100 * 2;
    out[at] = DIGIT_PAIRS[from];
    out[at + 1] = DIGIT_PAIRS[from + 1];
}

thread_local! {
    /// The second asked for last, and how it is written: often that of the next time, too.
    static LAST_SECOND: Cell<(i64, [u8; SECOND_LEN])> = const { Cell::new((0, *b"1970-01-01T00:00:00.")) };
}

/// How the times within a second begin that is counted from 1970-01-01 and within the range of [`Time`].
#[inline]
fn second(second: i64) -> [u8; SECOND_LEN] {
    LAST_SECOND.with(|last| {
        let (known, text) = last.get();
        if known == second {
            return text;
        }
        let (year, month, day_of_month) = civil(second.div_euclid(SECONDS_PER_DAY));
        let in_day = second.rem_euclid(SECONDS_PER_DAY) as u32;
        let year = year as u32; // 1677..=2262
        let mut text = *b"0000-00-00T00:00:00.";
        pair(&mut text, 0, year / 100);
        pair(&mut text, 2, year % 100);
        pair(&mut text, 5, month);
        pair(&mut text, 8, day_of_month);
        pair(&mut text, 11, in_day / 3600);
        pair(&mut text, 14, in_day / 60 % 60);
        pair(&mut text, 17, in_day % 60);
        last.set((second, text));
        text
    })
}

/// The digits of a number below 100 000 000, first things first: those it has not are zeros at the beginning.
#[inline]
const fn eight_digits(value: u32) -> u64 {
    // Two halves of four digits, then four pairs, then eight digits, each divided by multiplication in all its lanes.
    let halves = (value / 10_000) as u64 | ((value % 10_000) as u64) << 32;
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}

/// Digits as characters.
const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// Appends `value` in decimal.
#[inline]
pub(crate) fn decimal(out: &mut Vec<u8>, value: u64) {
    match value {
        // Most counts are small.
        0..10 => out.push(b'0' + value as u8),
        10..100 => {
            let from = value as usize * 2;
            out.extend_from_slice(&[DIGIT_PAIRS[from], DIGIT_PAIRS[from + 1]]);
        }
        100..100_000_000 => {
            let digits = eight_digits(value as u32);
            let missing = digits.trailing_zeros() / 8;
            out.extend_from_slice(&(digits >> (8 * missing) | ZEROS).to_le_bytes());
            out.truncate(out.len() - missing as usize);
        }
        _ => {
            decimal(out, value / 100_000_000);
            let digits = eight_digits((value % 100_000_000) as u32);
            out.extend_from_slice(&(digits | ZEROS).to_le_bytes());
        }
    }
}

/// Appends `value` as the shortest decimal that is read back as `value`, if it is one of not more than three decimal
/// places and of not more digits than a `f64` holds whatever they are: then there is no shorter one.
#[inline]
pub(crate) fn thousandths(out: &mut Vec<u8>, value: f64) -> bool {
    const DIGITS: f64 = 1e15;
    let thousandths = (value * 1000.0 + 0.5) as u64;
    let fits = value.is_sign_positive() && value * 1000.0 < DIGITS && thousandths as f64 / 1000.0 == value;
    if fits {
        decimal(out, thousandths / 1000);
        let rest = (thousandths % 1000) as u32;
        let digits = [b'.', b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8];
        out.extend_from_slice(&digits);
        let needed = if !rest.is_multiple_of(10) {
            3
        } else if !rest.is_multiple_of(100) {
            2
        } else {
            1
        };
        out.truncate(out.len() - 3 + needed);
    }
    fits
}

/// The inverse of [`civil`]: the day, counted from 1970-01-01, of a date.
fn day_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (cycle, year_of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    cycle * 146_097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year - 719_468
}

/// Year, month (1-12) and day (1-31) of the proleptic Gregorian calendar for a day counted from 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, in cycles of 400 years
/// (146 097 days).
fn civil(day: i64) -> (i64, u32, u32) {
    let shifted = day + 719_468; // days from 0000-03-01
    let cycle = shifted.div_euclid(146_097);
    let in_cycle = shifted.rem_euclid(146_097) as u32;
    let year_of_cycle = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = i64::from(year_of_cycle) + cycle * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (-1_000_000_000, "1969-12-31T23:59:59.000000000Z"),
            (951_782_399_000_000_000, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800_123_456_789, "2000-03-01T00:00:00.123456789Z"),
            (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000000Z"),
            (1_735_689_599_999_999_999, "2024-12-31T23:59:59.999999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"), // 2100 is no leap year
            (4_107_456_000_000_000_000, "2100-02-28T00:00:00.000000000Z"),
            (-2_203_891_200_000_000_000, "1900-03-01T00:00:00.000000000Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ] {
            assert_eq!(Time(nanos).to_string(), text, "{nanos}");
            assert_eq!(Time(nanos).to_string(), text, "{nanos} again");
            assert_eq!(serde_json::from_str::<Time>(&format!("{text:?}")).unwrap(), Time(nanos));
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = civil(-800_000);
        for n in -799_999..800_000 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            if day < last {
                day += 1;
            } else {
                (month, day) = (month % 12 + 1, 1);
                year += i64::from(month == 1);
            }
            assert_eq!(civil(n), (year, month, day));
            assert_eq!(day_from_civil(year, month, day), n);
        }
    }

    #[test]
    fn certificate_times() {
        assert_eq!(Seconds::new(253_402_300_799).map(|s| s.to_string()).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(Seconds::new(-62_167_219_200).map(|s| s.to_string()).as_deref(), Some("0000-01-01T00:00:00Z"));
        assert_eq!(Seconds::new(-1).map(|s| s.to_string()).as_deref(), Some("1969-12-31T23:59:59Z"));
        assert_eq!(Seconds::new(253_402_300_800), None);
        assert_eq!(Seconds::new(i64::MIN), None);
    }

    #[test]
    fn milliseconds_keep_microseconds() {
        for (nanos, json) in [
            (0, "0.0"),
            (1_499, "0.001"),
            (1_500, "0.002"),
            (-1_500, "-0.002"),
            (60_000_000_000, "60000.0"),
            (1_234_567_890, "1234.568"),
            (i64::MAX, "9223372036854.775"),
        ] {
            assert_eq!(serde_json::to_string(&Millis::from_nanos(nanos)).unwrap(), json, "{nanos}");
        }
    }

    #[test]
    fn spans_for_people() {
        for (nanos, text) in [
            (350_000, "350 µs"),
            (1_200_000, "1.2 ms"),
            (350_000_000, "0.35 s"),
            (12_500_000_000, "12.5 s"),
            (60_000_100_000, "60 s"),
            (125_000_000_000, "2 min 5 s"),
            (12_000_000_000_000, "3 h 20 min"),
            (352_800_000_000_000, "4 d 2 h"),
            (-2_000_000, "-2 ms"),
        ] {
            assert_eq!(Millis::from_nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn decimals() {
        let around = (0..20).flat_map(|digits| [10_u64.pow(digits) - 1, 10_u64.pow(digits), 10_u64.pow(digits) + 1]);
        for value in (0..20_000).chain(around).chain([12_345_678, 87_654_321, 9_087_065_040_302, u64::MAX]) {
            let mut out = Vec::new();
            decimal(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
