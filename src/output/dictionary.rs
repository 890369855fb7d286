//! Compact storage of JSON objects that are much alike: their structure and the strings that come again are stored once.
//!
//! The serializer of [`super::json::serializer`] writes for a [`Dictionary`] instead of text. What is the same for every object of
//! a kind (names of members, brackets, names of variants) makes its *shape*, a number once it is known; numbers, times and
//! strings stand behind it in a few bytes each, strings that came before as a number. [`Expander::expand`] gives the
//! very text that the serializer would have written. It knows no member names, and loses nothing.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::Serialize;

use super::json::escape;
use super::json::serializer::{self, Sink};
use super::time::{Time, decimal, thousandths};

/// Most shapes, and most strings, that one dictionary knows; later ones are stored as they are.
const MAX_ENTRIES: usize = 1 << 15;
/// Longest shape that is stored once, in bytes.
const MAX_SHAPE: usize = 4096;
const _: () = assert!(MAX_SHAPE <= u16::MAX as usize);
/// Longest string that is stored once, in bytes.
const MAX_STRING: usize = 200;
/// Strings are stored once when they come a second time; so many hashes of strings that came once are remembered.
const SEEN: usize = 1 << 14;

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

    fn has_room(&self) -> bool {
        self.ends.len() < MAX_ENTRIES
    }

    /// Adds a piece that is not there yet. `None`: there is no room.
    fn add(&mut self, hash: u64, piece: &[u8]) -> Option<u32> {
        if !self.has_room() {
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
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(piece);
    spread(hasher.finish() as u32)
}

/// A place in a shape where a value belongs.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: u16,
    kind: u8,
}

/// What objects have in common.
#[derive(Debug, Default)]
struct Tables {
    shapes: Table,
    /// The slots of each shape.
    slots: Vec<Box<[Slot]>>,
    strings: Table,
}

impl Tables {
    fn add_shape(&mut self, hash: u64, shape: &[u8]) -> Option<u32> {
        if shape.len() > MAX_SHAPE {
            return None;
        }
        // Another thread may have been faster.
        if let Some(number) = self.shapes.find(hash, shape) {
            return Some(number);
        }
        let number = self.shapes.add(hash, shape)?;
        let slots = shape.iter().enumerate().filter(|(_, byte)| **byte <= RAW);
        self.slots.push(slots.map(|(at, kind)| Slot { at: at as u16, kind: *kind }).collect());
        Some(number)
    }

    fn add_string(&mut self, hash: u64, text: &[u8]) {
        if self.strings.find(hash, text).is_none() {
            self.strings.add(hash, text);
        }
    }
}

/// What objects have in common, whichever thread encodes them. The numbers of shapes and strings depend on who comes first,
/// the text that is expanded does not.
#[derive(Debug)]
pub(super) struct Dictionary {
    tables: RwLock<Tables>,
    /// Hashes of strings that came once, by a part of themselves.
    seen: Box<[AtomicU32]>,
}

impl Default for Dictionary {
    fn default() -> Self {
        let seen = (0..SEEN).map(|_| AtomicU32::new(0)).collect();
        Self { tables: RwLock::default(), seen }
    }
}

/// Room for encoding, used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    shape: Vec<u8>,
    values: Vec<u8>,
    last_time: i64,
    /// Strings that came a second time, and are to be added.
    new_strings: Vec<(u64, Box<str>)>,
}

impl Dictionary {
    /// Appends a value of the model to `out`, with its length in front. Times are stored as distances, the first from
    /// `base`.
    pub(super) fn encode<T: Serialize + ?Sized>(
        &self,
        out: &mut Vec<u8>,
        value: &T,
        base: Time,
        scratch: &mut Scratch,
    ) {
        scratch.shape.clear();
        scratch.values.clear();
        scratch.last_time = base.0;
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let encoding = Encoding { strings: &tables.strings, seen: &self.seen, scratch };
        let written = serializer::write(encoding, value);
        debug_assert!(written.is_ok(), "the model holds nothing that has no JSON form");
        let hash = hash_of(&scratch.shape);
        let mut shape = tables.shapes.find(hash, &scratch.shape);
        drop(tables);
        if shape.is_none() || !scratch.new_strings.is_empty() {
            let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
            shape = shape.or_else(|| tables.add_shape(hash, &scratch.shape));
            scratch.new_strings.drain(..).for_each(|(hash, text)| tables.add_string(hash, text.as_bytes()));
        }
        match shape {
            Some(shape) => {
                let number = u64::from(shape) + 1;
                put(out, (size_of_number(number) + scratch.values.len()) as u64);
                put(out, number);
                out.extend_from_slice(&scratch.values);
            }
            None => {
                scratch.values.clear();
                put(&mut scratch.values, PLAIN);
                super::json::append(&mut scratch.values, value);
                put(out, scratch.values.len() as u64);
                out.extend_from_slice(&scratch.values);
            }
        }
    }

    /// Ends the encoding.
    pub(super) fn into_expander(self) -> Expander {
        Expander(self.tables.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Gives back the text of what was encoded with one dictionary.
#[derive(Debug)]
pub(super) struct Expander(Tables);

impl Expander {
    /// Appends the JSON text of what [`Dictionary::encode`] made of a value with the same `base`. `None`: it is cut.
    pub(super) fn expand(&self, encoded: &[u8], base: Time, out: &mut Vec<u8>) -> Option<()> {
        let mut values = encoded;
        let number = match take(&mut values)? {
            PLAIN => {
                out.extend_from_slice(values);
                return Some(());
            }
            number => number as usize - 1,
        };
        let Tables { shapes, slots, strings } = &self.0;
        let (shape, slots) = (shapes.get(number)?, slots.get(number)?);
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
                        out.extend_from_slice(strings.get((length >> 1) as usize)?);
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
}

/// Takes apart what the serializer writes: structure to the shape, everything else to the values.
struct Encoding<'a> {
    strings: &'a Table,
    seen: &'a [AtomicU32],
    scratch: &'a mut Scratch,
}

impl Encoding<'_> {
    /// Stores a string that is escaped already.
    fn escaped(&mut self, text: &[u8]) {
        put(&mut self.scratch.values, (text.len() as u64) << 1);
        self.scratch.values.extend_from_slice(text);
    }
}

impl Sink for Encoding<'_> {
    #[inline]
    fn fixed(&mut self, text: &[u8]) {
        self.scratch.shape.extend_from_slice(text);
    }

    #[inline]
    fn number(&mut self, value: u64) {
        // Counts of what did not happen are many, and mostly the same ones.
        if value == 0 {
            return self.scratch.shape.push(b'0');
        }
        self.scratch.shape.push(NUMBER);
        put(&mut self.scratch.values, value);
    }

    #[inline]
    fn float(&mut self, value: f64) {
        let whole = (value * 1000.0 + 0.5) as u64;
        // What is no number of thousandths has no place in the model, and is stored as text all the same.
        if value.is_sign_positive() && value < 1e12 && whole as f64 / 1000.0 == value {
            self.scratch.shape.push(THOUSANDTHS);
            put(&mut self.scratch.values, whole);
        } else {
            let mut text = Vec::new();
            text.float(value);
            self.raw(&text);
        }
    }

    fn raw(&mut self, text: &[u8]) {
        self.scratch.shape.push(RAW);
        self.escaped(text);
    }

    fn string(&mut self, text: &str) {
        if let Some(time) = Time::parse_exact(text) {
            let Scratch { shape, values, last_time, .. } = &mut *self.scratch;
            shape.extend_from_slice(&[b'"', TIME, b'"']);
            put(values, folded(time.0.wrapping_sub(*last_time)));
            *last_time = time.0;
            return;
        }
        self.scratch.shape.extend_from_slice(&[b'"', STRING, b'"']);
        // A string that needs an escape is none that comes again and again.
        if text.len() <= MAX_STRING {
            let hash = hash_of(text.as_bytes());
            if let Some(number) = self.strings.find(hash, text.as_bytes()) {
                return put(&mut self.scratch.values, u64::from(number) << 1 | 1);
            }
            let seen = &self.seen[hash as usize % SEEN];
            if seen.swap(hash as u32 | 1, Ordering::Relaxed) == (hash as u32 | 1)
                && self.strings.has_room()
                && escape::is_clean(text)
            {
                self.scratch.new_strings.push((hash, text.into()));
            }
        }
        if escape::is_clean(text) {
            self.escaped(text.as_bytes());
        } else {
            let mut escaped = Vec::with_capacity(text.len() + 16);
            escape::append_inside(&mut escaped, text);
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

/// How many bytes [`put`] appends.
const fn size_of_number(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes a piece with its length in front off `rest`.
pub(super) fn take_piece<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest)? as usize;
    let (piece, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(piece)
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

    /// What comes of values that are encoded one after the other: their texts, and how many bytes each took.
    fn through<T: Serialize>(values: &[T], base: Time) -> Vec<(String, usize)> {
        let (dictionary, mut scratch) = (Dictionary::default(), Scratch::default());
        let encode = |value| {
            let mut encoded = Vec::new();
            dictionary.encode(&mut encoded, value, base, &mut scratch);
            let mut rest = &encoded[..];
            let piece = take_piece(&mut rest).unwrap().to_vec();
            assert!(rest.is_empty());
            piece
        };
        let encoded: Vec<Vec<u8>> = values.iter().map(encode).collect();
        let expander = dictionary.into_expander();
        let expand = |encoded: &Vec<u8>| {
            let mut out = Vec::new();
            expander.expand(encoded, base, &mut out).unwrap();
            for cut in 0..encoded.len() {
                // A cut text is not expanded whole, whatever else comes of it.
                let mut less = Vec::new();
                assert!(expander.expand(&encoded[..cut], base, &mut less).is_none() || less != out);
            }
            (String::from_utf8(out).unwrap(), encoded.len())
        };
        encoded.iter().map(expand).collect()
    }

    #[test]
    fn like_objects_take_a_fraction_of_their_text() {
        let bodies: Vec<_> = (0..8).map(|id| sample::stripped(id, id, id).body).collect();
        let results = through(&bodies, sample::at(0));
        for (index, ((expanded, size), body)) in results.iter().zip(&bodies).enumerate() {
            assert_eq!(*expanded, text(body));
            // Shapes are known at the second, strings at the third.
            assert!(index < 2 || size * 8 < expanded.len(), "{index}: {size} of {}", expanded.len());
        }
    }

    #[test]
    fn a_full_dictionary_still_stores_everything() {
        // Each a shape and a string of its own.
        let value = |n: usize| json!({ format!("name{n}"): format!("value{n}") });
        let long = json!({ "x".repeat(MAX_SHAPE): "y".repeat(MAX_STRING + 1) });
        let once: Vec<Value> = (0..MAX_ENTRIES + 10).map(value).chain([long]).collect();
        let again = [&once[..], &once[MAX_ENTRIES - 10..]].concat();
        for ((expanded, _), value) in through(&again, Time(0)).iter().zip(&again) {
            assert_eq!(*expanded, text(value));
        }
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
            let values = [&values[..], &values, &values].concat();
            for ((expanded, _), value) in through(&values, Time(base)).iter().zip(&values) {
                prop_assert_eq!(expanded, &text(value));
            }
        }

        #[test]
        fn numbers_come_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), size_of_number(value));
            put(&mut out, folded(signed));
            let mut rest = &out[..];
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert_eq!(take(&mut rest).map(unfolded), Some(signed));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let dictionary = Dictionary::default();
            for id in 0..3 {
                let body = sample::healthy(id, id).body;
                dictionary.encode(&mut Vec::new(), &body, Time(0), &mut Scratch::default());
            }
            let _ = dictionary.into_expander().expand(&bytes, Time(0), &mut Vec::new());
        }
    }
}
