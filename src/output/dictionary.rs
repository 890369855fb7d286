//! Compact storage of JSON objects that are much alike: their structure and the strings that come again are stored once.
//!
//! The serializer of [`super::compact`] writes into a [`Dictionary`] instead of text. What is the same for every object of
//! a kind (names of members, brackets, names of variants) makes its *shape*, a number once it is known; numbers, times and
//! strings stand behind it in a few bytes each, strings that came before as a number. [`Dictionary::expand`] gives the
//! very text that the serializer would have written. It knows no member names, and loses nothing.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::Serialize;
use std::hash::BuildHasher;

use super::compact::{self, Sink};
use super::time::{Time, decimal, thousandths};

/// Most shapes, and most strings, that one dictionary knows; later ones are stored as they are.
const MAX_ENTRIES: usize = 4096;
/// Longest shape that is stored once, in bytes.
const MAX_SHAPE: usize = 4096;
const _: () = assert!(MAX_SHAPE <= u16::MAX as usize);
/// Longest string that is stored once, in bytes.
const MAX_STRING: usize = 200;
/// Strings are stored once when they come a second time; so many hashes of strings that came once are remembered.
const SEEN: usize = 4096;

// What stands in a shape for a value. JSON text holds no control characters.
const NUMBER: u8 = 1;
const THOUSANDTHS: u8 = 2;
const STRING: u8 = 3;
const TIME: u8 = 4;
const RAW: u8 = 5;

/// The number of no shape: plain JSON text follows.
const PLAIN: u64 = 0;

/// Pieces of bytes, each stored once and known by its number, counted from 0.
#[derive(Debug, Default)]
struct Table {
    bytes: Vec<u8>,
    /// Where each piece ends.
    ends: Vec<u32>,
    numbers: HashTable<(u32, u32)>,
}

impl Table {
    fn get(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)? as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.bytes.get(start..end)
    }

    fn find(&self, hash: u64, piece: &[u8]) -> Option<u32> {
        let is_it = |(short, number): &(u32, u32)| *short == hash as u32 && self.get(*number as usize) == Some(piece);
        self.numbers.find(hash, is_it).map(|(_, number)| *number)
    }

    /// Adds a piece that is not there yet. `None`: there is no room.
    fn add(&mut self, hash: u64, piece: &[u8]) -> Option<u32> {
        if self.ends.len() >= MAX_ENTRIES {
            return None;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(piece);
        self.ends.push(self.bytes.len() as u32);
        // Hashes are cut to 32 bits, so that the table can grow without hashing again.
        self.numbers.insert_unique(hash, (hash as u32, number), |(short, _)| spread(*short));
        Some(number)
    }
}

/// A hash of 32 bits as the table wants it, which looks at both ends of it.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

fn hash_of(piece: &[u8]) -> u64 {
    spread(FixedState::default().hash_one(piece) as u32)
}

/// A place in a shape where a value belongs.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: u16,
    kind: u8,
}

/// What objects have in common.
#[derive(Debug)]
pub(super) struct Dictionary {
    shapes: Table,
    /// The slots of each shape.
    slots: Vec<Box<[Slot]>>,
    strings: Table,
    /// Hashes of strings that came once, by a part of themselves.
    seen: Box<[u32; SEEN]>,
    shape: Vec<u8>,
    values: Vec<u8>,
    last_time: i64,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            shapes: Table::default(),
            slots: Vec::new(),
            strings: Table::default(),
            seen: Box::new([0; SEEN]),
            shape: Vec::new(),
            values: Vec::new(),
            last_time: 0,
        }
    }
}

impl Dictionary {
    /// Appends a value of the model to `out`. Times are stored as distances, the first from `base`.
    pub(super) fn encode<T: Serialize + ?Sized>(&mut self, out: &mut Vec<u8>, value: &T, base: Time) {
        self.shape.clear();
        self.values.clear();
        self.last_time = base.0;
        let written = compact::write(&mut *self, value);
        debug_assert!(written.is_ok(), "the model holds nothing that has no JSON form");
        let hash = hash_of(&self.shape);
        let shape = self.shapes.find(hash, &self.shape).or_else(|| self.add_shape(hash));
        match shape {
            Some(shape) => {
                put(out, u64::from(shape) + 1);
                out.extend_from_slice(&self.values);
            }
            None => {
                put(out, PLAIN);
                super::json::append(out, value);
            }
        }
    }

    fn add_shape(&mut self, hash: u64) -> Option<u32> {
        if self.shape.len() > MAX_SHAPE {
            return None;
        }
        let number = self.shapes.add(hash, &self.shape)?;
        let slots = self.shape.iter().enumerate().filter(|(_, byte)| **byte <= RAW);
        self.slots.push(slots.map(|(at, kind)| Slot { at: at as u16, kind: *kind }).collect());
        Some(number)
    }

    /// Appends the JSON text of what [`encode`](Self::encode) made of a value with the same `base`. `None`: it is cut.
    pub(super) fn expand(&self, encoded: &[u8], base: Time, out: &mut Vec<u8>) -> Option<()> {
        let mut values = encoded;
        let number = match take(&mut values)? {
            PLAIN => {
                out.extend_from_slice(values);
                return Some(());
            }
            number => number as usize - 1,
        };
        let (shape, slots) = (self.shapes.get(number)?, self.slots.get(number)?);
        out.reserve(shape.len() + values.len() + Time::LEN * slots.len());
        let (mut time, mut start) = (base.0, 0);
        for Slot { at, kind } in slots {
            let end = usize::from(*at);
            out.extend_from_slice(shape.get(start..end)?);
            start = end + 1;
            match *kind {
                NUMBER => decimal(out, take(&mut values)?),
                THOUSANDTHS => {
                    thousandths(out, take(&mut values)? as f64 / 1000.0);
                }
                TIME => {
                    time = time.wrapping_add(unfolded(take(&mut values)?));
                    let mut text = [0; Time::LEN];
                    Time(time).write(&mut text);
                    out.extend_from_slice(&text);
                }
                _ => {
                    let length = take(&mut values)?;
                    if length & 1 == 1 {
                        out.extend_from_slice(self.strings.get((length >> 1) as usize)?);
                    } else {
                        let (text, behind) = values.split_at_checked((length >> 1) as usize)?;
                        out.extend_from_slice(text);
                        values = behind;
                    }
                }
            }
        }
        out.extend_from_slice(shape.get(start..)?);
        Some(())
    }

    /// Stores a string that is escaped already.
    fn escaped(&mut self, text: &[u8]) {
        put(&mut self.values, (text.len() as u64) << 1);
        self.values.extend_from_slice(text);
    }
}

impl Sink for &mut Dictionary {
    #[inline]
    fn fixed(&mut self, text: &[u8]) {
        self.shape.extend_from_slice(text);
    }

    #[inline]
    fn number(&mut self, value: u64) {
        // Counts of what did not happen are many, and mostly the same ones.
        if value == 0 {
            return self.shape.push(b'0');
        }
        self.shape.push(NUMBER);
        put(&mut self.values, value);
    }

    #[inline]
    fn float(&mut self, value: f64) {
        let whole = (value * 1000.0 + 0.5) as u64;
        // What is no number of thousandths has no place in the model, and is stored as text all the same.
        if value.is_sign_positive() && value < 1e12 && whole as f64 / 1000.0 == value {
            self.shape.push(THOUSANDTHS);
            put(&mut self.values, whole);
        } else {
            let mut text = Vec::new();
            text.float(value);
            self.raw(&text);
        }
    }

    fn raw(&mut self, text: &[u8]) {
        self.shape.push(RAW);
        self.escaped(text);
    }

    #[inline]
    fn string(&mut self, text: &str) {
        if let Some(time) = Time::parse_exact(text) {
            self.shape.extend_from_slice(&[b'"', TIME, b'"']);
            put(&mut self.values, folded(time.0.wrapping_sub(self.last_time)));
            self.last_time = time.0;
            return;
        }
        self.shape.extend_from_slice(&[b'"', STRING, b'"']);
        let hash = hash_of(text.as_bytes());
        // A string that needs an escape is none that comes again and again.
        if text.len() <= MAX_STRING {
            if let Some(number) = self.strings.find(hash, text.as_bytes()) {
                return put(&mut self.values, u64::from(number) << 1 | 1);
            }
            let seen = &mut self.seen[hash as usize % SEEN];
            if *seen == (hash as u32 | 1)
                && compact::is_clean(text)
                && let Some(number) = self.strings.add(hash, text.as_bytes())
            {
                return put(&mut self.values, u64::from(number) << 1 | 1);
            }
            *seen = hash as u32 | 1;
        }
        if compact::is_clean(text) {
            self.escaped(text.as_bytes());
        } else {
            let mut escaped = Vec::with_capacity(text.len() + 16);
            compact::append_inside(&mut escaped, text);
            self.escaped(&escaped);
        }
    }
}

/// Appends a number, seven bits a byte, the lowest first.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes the next number off `rest`.
#[inline]
pub(super) fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Some(value);
        }
    }
    None
}

/// A number with its sign in the lowest bit.
const fn folded(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

const fn unfolded(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::json::append;
    use super::super::sample;
    use super::*;

    fn text<T: Serialize>(value: &T) -> String {
        let mut out = Vec::new();
        append(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn through(dictionary: &mut Dictionary, value: &impl Serialize, base: Time) -> (String, usize) {
        let mut encoded = Vec::new();
        dictionary.encode(&mut encoded, value, base);
        let mut out = Vec::new();
        dictionary.expand(&encoded, base, &mut out).unwrap();
        for cut in 0..encoded.len() {
            // A cut text is not expanded whole, whatever else comes of it.
            let mut less = Vec::new();
            assert!(dictionary.expand(&encoded[..cut], base, &mut less).is_none() || less != out);
        }
        (String::from_utf8(out).unwrap(), encoded.len())
    }

    #[test]
    fn like_objects_take_a_fraction_of_their_text() {
        let mut dictionary = Dictionary::default();
        let mut sizes = Vec::new();
        for id in 0..8 {
            let connection = sample::stripped(id, id, id).body;
            let (expanded, size) = through(&mut dictionary, &connection, connection.start);
            assert_eq!(expanded, text(&connection));
            sizes.push(size * 8 < expanded.len());
        }
        // Shapes are known at the second, strings at the third.
        assert_eq!(sizes[2..], [true; 6], "{sizes:?}");
    }

    #[test]
    fn a_full_dictionary_still_stores_everything() {
        let mut dictionary = Dictionary::default();
        for round in 0..3 {
            for n in 0..MAX_ENTRIES + 100 {
                // Each a shape and a string of its own.
                let value = json!({ format!("name{n}"): format!("value{n}") });
                let (expanded, _) = through(&mut dictionary, &value, Time(0));
                assert_eq!(expanded, text(&value), "{n} in round {round}");
            }
        }
        let long = json!({ "x".repeat(MAX_SHAPE): "y".repeat(MAX_STRING + 1) });
        assert_eq!(through(&mut dictionary, &long, Time(0)).0, text(&long));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0..10_000_u64).prop_map(|n| Value::from(n as f64 / 1000.0)),
            any::<i64>().prop_map(|time| Value::from(Time(time).to_string())),
            "[ -~é\n\u{202e}]{0,40}".prop_map(Value::from),
            prop::sample::select(vec!["Upgrade", "websocket", ""]).prop_map(Value::from),
            prop::sample::select(vec!["2026-02-30T00:00:00.000000000Z", "2026-11-21T24:00:00.000000000Z"])
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-z\"\n]{0,8}", inner), 0..5)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_expanded_is_what_was_encoded(values in prop::collection::vec(any_value(), 1..8), base: i64) {
            let mut dictionary = Dictionary::default();
            for value in values.iter().chain(&values).chain(&values) {
                prop_assert_eq!(through(&mut dictionary, value, Time(base)).0, text(value));
            }
        }

        #[test]
        fn numbers_come_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put(&mut out, value);
            put(&mut out, folded(signed));
            let mut rest = &out[..];
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert_eq!(take(&mut rest).map(unfolded), Some(signed));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let mut dictionary = Dictionary::default();
            for id in 0..3 {
                through(&mut dictionary, &sample::healthy(id, id).body, Time(0));
            }
            let _ = dictionary.expand(&bytes, Time(0), &mut Vec::new());
        }
    }
}
