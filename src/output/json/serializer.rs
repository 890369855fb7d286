//! Compact JSON, written into memory by a serializer of its own: the form that programs read, and the one that
//! is written by the gigabyte.
//!
//! The bytes are those that serde_json writes with the formatter of [`super`]: names and numbers as serde_json
//! has them, and of every character what [`escape_of`](super::escape::escape_of) says. What makes it faster is that the names of members are
//! known to need no escape, that runs of ordinary characters are found many bytes at a time and copied whole, and
//! that there is one destination, which never fails. It formats; it never changes or hides a value.

use std::fmt;

use serde::Serialize;
use serde::ser::{self, Error as _, Impossible};
use serde_json::Error;
use serde_json::ser::{CompactFormatter, Formatter};

use super::escape::{append_text, is_suspect};
use crate::output::time::{decimal, thousandths};

/// Appends `value`.
///
/// # Errors
/// When the value has no JSON form: a map whose keys are no strings or numbers, or an error of its own.
#[inline]
pub(in crate::output) fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    value.serialize(Compact(out))
}

/// Writes `value` into a sink.
///
/// # Errors
/// As [`append`].
#[inline]
pub(in crate::output) fn write<S: Sink, T: Serialize + ?Sized>(mut sink: S, value: &T) -> Result<(), Error> {
    value.serialize(Compact(&mut sink))
}

/// Takes the text that the serializer writes, piece by piece.
pub(in crate::output) trait Sink {
    /// Structure: names of members and variants, brackets, truth values, `null`.
    fn fixed(&mut self, text: &[u8]);
    /// A number.
    fn number(&mut self, value: u64);
    /// A number that is finite.
    fn float(&mut self, value: f64);
    /// Any other scalar, as text that needs no escape.
    fn raw(&mut self, text: &[u8]);
    /// A string, to be escaped and put in quotes.
    fn string(&mut self, text: &str);
}

impl Sink for Vec<u8> {
    #[inline(always)]
    fn fixed(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }

    #[inline(always)]
    fn number(&mut self, value: u64) {
        decimal(self, value);
    }

    #[inline]
    fn float(&mut self, value: f64) {
        if !thousandths(self, value) {
            // Writing into memory does not fail.
            let _ = CompactFormatter.write_f64(self, value);
        }
    }

    fn raw(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }

    #[inline(always)]
    fn string(&mut self, text: &str) {
        append_text(self, text);
    }
}

/// Appends a name of ours between two short pieces. Where the lengths are known, and in line they are, all is joined
/// before the program runs, and what is left is to look for room once and to store some words.
#[inline(always)]
fn append_parts(out: &mut impl Sink, before: &[u8], name: &str, after: &[u8]) {
    const ROOM: usize = 64;
    let name = name.as_bytes();
    let (name_end, end) = (before.len() + name.len(), before.len() + name.len() + after.len());
    if end <= ROOM {
        let mut joined = [0; ROOM];
        joined[..before.len()].copy_from_slice(before);
        joined[before.len()..name_end].copy_from_slice(name);
        joined[name_end..end].copy_from_slice(after);
        out.fixed(&joined[..end]);
    } else {
        out.fixed(before);
        out.fixed(name);
        out.fixed(after);
    }
}

/// Writes one value at the end of a vector.
struct Compact<'o, S>(&'o mut S);

/// Writes the members of an array or an object.
struct Members<'o, S> {
    out: &'o mut S,
    first: bool,
    end: &'static [u8],
}

impl<'o, S: Sink> Compact<'o, S> {
    #[inline(always)]
    fn members(self, start: u8, end: &'static [u8]) -> Members<'o, S> {
        self.0.fixed(&[start]);
        Members { out: self.0, first: true, end }
    }

    /// The members of a variant that is written as an object with its name as the only member.
    fn variant(self, variant: &'static str, start: u8, end: &'static [u8]) -> Members<'o, S> {
        self.0.fixed(b"{");
        append_parts(self.0, b"\"", variant, b"\"");
        self.0.fixed(&[b':', start]);
        Members { out: self.0, first: true, end }
    }
}

impl<S: Sink> Members<'_, S> {
    #[inline(always)]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.fixed(b",");
        }
        value.serialize(Compact(self.out))
    }

    /// A member with a name of ours. In line, so that the length of the name is known where it is copied.
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        debug_assert!(name.bytes().all(|byte| !is_suspect(byte)), "{name:?}");
        let start: &[u8] = if std::mem::replace(&mut self.first, false) { b"\"" } else { b",\"" };
        append_parts(self.out, start, name, b"\":");
        value.serialize(Compact(self.out))
    }

    #[inline(always)]
    fn close(self) {
        self.out.fixed(self.end);
    }
}

impl<'o, S: Sink> ser::Serializer for Compact<'o, S> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Members<'o, S>;
    type SerializeTuple = Members<'o, S>;
    type SerializeTupleStruct = Members<'o, S>;
    type SerializeTupleVariant = Members<'o, S>;
    type SerializeMap = Members<'o, S>;
    type SerializeStruct = Members<'o, S>;
    type SerializeStructVariant = Members<'o, S>;

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.fixed(if value { b"true" } else { b"false" });
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        match u64::try_from(value) {
            Ok(value) => self.0.number(value),
            Err(_) => self.0.raw(value.to_string().as_bytes()),
        }
        Ok(())
    }
    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.0.raw(value.to_string().as_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }
    #[inline]
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }
    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }
    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.0.number(value);
        Ok(())
    }
    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.0.raw(value.to_string().as_bytes());
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        let mut text = Vec::new();
        // Writing into memory does not fail.
        let _ = CompactFormatter.write_f32(&mut text, value);
        self.0.raw(&text);
        Ok(())
    }
    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        self.0.float(value);
        Ok(())
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.0.string(value);
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }
    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        self.0.fixed(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }
    #[inline(always)]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        debug_assert!(variant.bytes().all(|byte| !is_suspect(byte)), "{variant:?}");
        append_parts(self.0, b"\"", variant, b"\"");
        Ok(())
    }
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut members = self.members(b'{', b"}");
        members.field(variant, value)?;
        members.close();
        Ok(())
    }
    #[inline(always)]
    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'o, S>, Error> {
        Ok(self.members(b'[', b"]"))
    }
    #[inline(always)]
    fn serialize_tuple(self, _: usize) -> Result<Members<'o, S>, Error> {
        Ok(self.members(b'[', b"]"))
    }
    #[inline(always)]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members<'o, S>, Error> {
        Ok(self.members(b'[', b"]"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'o, S>, Error> {
        Ok(self.variant(variant, b'[', b"]}"))
    }
    #[inline(always)]
    fn serialize_map(self, _: Option<usize>) -> Result<Members<'o, S>, Error> {
        Ok(self.members(b'{', b"}"))
    }
    #[inline(always)]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'o, S>, Error> {
        Ok(self.members(b'{', b"}"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'o, S>, Error> {
        Ok(self.variant(variant, b'{', b"}}"))
    }
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        use fmt::Write;
        let mut text = Displayed { buffer: [0; 64], length: 0, long: String::new() };
        write!(text, "{value}").map_err(|_| Error::custom("a value could not be displayed"))?;
        self.0.string(text.as_str());
        Ok(())
    }
}

/// What is displayed: in a buffer on the stack as long as it is short, as addresses are.
struct Displayed {
    buffer: [u8; 64],
    length: usize,
    long: String,
}

impl Displayed {
    fn as_str(&self) -> &str {
        if self.long.is_empty() {
            std::str::from_utf8(&self.buffer[..self.length]).unwrap_or_default()
        } else {
            &self.long
        }
    }
}

impl fmt::Write for Displayed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        match self.buffer.get_mut(self.length..end).filter(|_| self.long.is_empty()) {
            Some(room) => {
                room.copy_from_slice(text.as_bytes());
                self.length = end;
            }
            None => {
                if self.long.is_empty() {
                    self.long.push_str(std::str::from_utf8(&self.buffer[..self.length]).unwrap_or_default());
                }
                self.long.push_str(text);
            }
        }
        Ok(())
    }
}

macro_rules! sequences {
    ($($of:ident::$name:ident;)*) => {$(
        impl<S: Sink> ser::$of for Members<'_, S> {
            type Ok = ();
            type Error = Error;
            #[inline(always)]
            fn $name<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }
            #[inline(always)]
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

sequences! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! structs {
    ($($of:ident;)*) => {$(
        impl<S: Sink> ser::$of for Members<'_, S> {
            type Ok = ();
            type Error = Error;
            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(name, value)
            }
            #[inline(always)]
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

structs! {
    SerializeStruct;
    SerializeStructVariant;
}

impl<S: Sink> ser::SerializeMap for Members<'_, S> {
    type Ok = ();
    type Error = Error;
    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.fixed(b",");
        }
        key.serialize(Key(self.out))
    }
    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.out.fixed(b":");
        value.serialize(Compact(self.out))
    }
    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

/// Writes the key of a map: a string, or a number or truth value in quotes.
struct Key<'o, S>(&'o mut S);

impl<S: Sink> Key<'_, S> {
    fn quoted<T: Serialize>(self, value: T) -> Result<(), Error> {
        self.0.fixed(b"\"");
        value.serialize(Compact(self.0))?;
        self.0.fixed(b"\"");
        Ok(())
    }

    fn impossible<T>() -> Result<T, Error> {
        Err(Error::custom("key must be a string"))
    }
}

macro_rules! quoted_keys {
    ($($name:ident: $type:ty;)*) => {$(
        fn $name(self, value: $type) -> Result<(), Error> {
            self.quoted(value)
        }
    )*};
}

impl<S: Sink> ser::Serializer for Key<'_, S> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    quoted_keys! {
        serialize_bool: bool;
        serialize_i8: i8;
        serialize_i16: i16;
        serialize_i32: i32;
        serialize_i64: i64;
        serialize_i128: i128;
        serialize_u8: u8;
        serialize_u16: u16;
        serialize_u32: u32;
        serialize_u64: u64;
        serialize_u128: u128;
    }
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        if value.is_finite() { self.quoted(value) } else { Self::impossible() }
    }
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if value.is_finite() { self.quoted(value) } else { Self::impossible() }
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        Compact(self.0).serialize_char(value)
    }
    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        Compact(self.0).serialize_str(value)
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Self::impossible()
    }
    fn serialize_none(self) -> Result<(), Error> {
        Self::impossible()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        Self::impossible()
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Self::impossible()
    }
    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<(), Error> {
        Compact(self.0).serialize_unit_variant(name, index, variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Self::impossible()
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Self::impossible()
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Self::impossible()
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Self::impossible()
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Self::impossible()
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Self::impossible()
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        Self::impossible()
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Self::impossible()
    }
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        Compact(self.0).collect_str(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::by_serde_json;
    use super::*;
    use crate::output::model::{self, Document, Millis, Outcome, Seconds, Text, Time};
    use crate::output::{events::ndjson, sample};

    fn written<T: Serialize + ?Sized>(value: &T) -> String {
        let mut out = b"before ".to_vec();
        append(&mut out, value).unwrap();
        String::from_utf8(out.split_off(7)).unwrap()
    }

    fn same<T: Serialize + ?Sized>(value: &T) {
        assert_eq!(written(value), by_serde_json(value));
    }

    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Wrapped(Option<i8>);
    #[derive(Serialize)]
    struct Pair(char, ());
    #[derive(Serialize)]
    struct Nothing {}
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Plain,
        Holding(u64),
        Two(bool, f32),
        Named { a: Option<Unit>, b: Vec<Nothing> },
    }
    #[derive(Serialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Flat(Flat),
        Named { signed: [i64; 3], wide: (i128, u128, i32, i16, u32, u16, u8) },
    }
    #[derive(Serialize)]
    struct Flat {
        text: String,
        #[serde(flatten)]
        more: BTreeMap<String, Kind>,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        last: Wrapped,
    }

    #[test]
    fn every_kind_of_value() {
        same(&Unit);
        same(&(Wrapped(None), Wrapped(Some(-128)), Pair('\u{202e}', ()), Nothing {}));
        same(&[Kind::Plain, Kind::Holding(7), Kind::Two(true, 1.5e-9), Kind::Named { a: None, b: vec![] }]);
        same(&Kind::Named { a: Some(Unit), b: vec![Nothing {}, Nothing {}] });
        same(&[f32::NAN, f32::MAX, -0.0]);
        let wide = (i128::MIN, u128::MAX, i32::MIN, i16::MIN, u32::MAX, u16::MAX, u8::MAX);
        same(&Tagged::Named { signed: [i64::MIN, -1, i64::MAX], wide });
        let more = [("", Kind::Plain), ("a \"name\"\n", Kind::Holding(1))].map(|(name, kind)| (name.to_owned(), kind));
        same(&Tagged::Flat(Flat { text: "é\u{7f}".to_owned(), more: more.into(), absent: None, last: Wrapped(None) }));
    }

    #[test]
    fn keys_of_maps() {
        same(&BTreeMap::from([(1_u8, 2), (200, 3)]));
        same(&BTreeMap::from([(-1_i64, "a"), (i64::MAX, "b")]));
        same(&BTreeMap::from([(true, ())]));
        let float_keys = serde::ser::Serializer::serialize_f64(Key(&mut Vec::new()), 0.5);
        assert!(float_keys.is_ok());
        same(&BTreeMap::from([('"', ()), ('\u{200b}', ())]));
        same(&BTreeMap::from([(Outcome::Open, 1_u64), (Outcome::ClosedClean, u64::MAX)]));
        same(&BTreeMap::<String, u8>::new());
        for impossible in [
            append(&mut Vec::new(), &BTreeMap::from([((), 1)])),
            append(&mut Vec::new(), &BTreeMap::from([([1_u8; 2], 1)])),
        ] {
            assert_eq!(impossible.unwrap_err().to_string(), "key must be a string");
        }
    }

    #[test]
    fn numbers() {
        for value in [0, 1, 9, 10, 99, 100, 65_535, 1 << 32, u64::MAX] {
            same(&value);
        }
        let floats = [
            0.0,
            -0.0,
            0.001,
            -0.001,
            0.0015,
            0.1,
            0.12,
            0.123,
            1.0,
            100.0,
            1234.568,
            1e11,
            999_999_999_999.999,
            1e12,
            1e15,
            1e16,
            1e21,
            9_223_372_036_854.775,
            1e-7,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.1 + 0.2,
        ];
        floats.iter().for_each(same);
    }

    #[test]
    fn times() {
        for nanos in [0, -1, 1_499, 1_500, 60_000_000_000, i64::MIN, i64::MAX] {
            same(&(Time(nanos), Millis::from_nanos(nanos), Seconds::new(nanos / 1_000_000_000)));
        }
    }

    #[test]
    fn the_model() {
        same(&sample::document());
        same(&ndjson::tests::every_event());
    }

    /// The texts that make a scan stumble: controls, what harms terminals, neighbours of those and of surrogates,
    /// and ordinary text between them.
    fn hard_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[ -~]{0,40}",
            1 => any::<char>().prop_map(String::from),
            1 => prop::sample::select(vec![
                "\"", "\\", "\n", "\r", "\t", "\u{8}", "\u{c}", "\0", "\x1b[2J", "\x1f", " ", "~", "\x7f", "\u{80}",
                "\u{9f}", "\u{a0}", "\u{ac}", "\u{ad}", "\u{ae}", "\u{61b}", "\u{61c}", "\u{180e}", "\u{200a}",
                "\u{200b}", "\u{200f}", "\u{2010}", "\u{2027}", "\u{2028}", "\u{202e}", "\u{202f}", "\u{2060}",
                "\u{206f}", "\u{d7ff}", "\u{e000}", "\u{fefe}", "\u{feff}", "\u{fff8}", "\u{fff9}", "\u{fffb}",
                "\u{fffd}", "\u{ffff}", "\u{10000}", "\u{dffff}", "\u{e0000}", "\u{e007f}", "\u{e0080}", "\u{10ffff}",
                "§", "日本語", "🙂",
            ]).prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            hard_text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((hard_text(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    /// The sample document with every text of a captured thing taken from `texts`.
    fn filled(texts: &[String]) -> Document<'static> {
        let mut document = sample::document();
        let mut texts = texts.iter().cycle().cloned();
        let mut fill = |place: &mut Text<'static>| *place = Text::Owned(texts.next().unwrap());
        for model::Connection { body: connection, .. } in &mut document.connections {
            if let Some(http) = &mut connection.http {
                for place in [&mut http.version, &mut http.method, &mut http.target, &mut http.host, &mut http.reason] {
                    fill(place.get_or_insert_default());
                }
                for (name, value) in http.request_headers.iter_mut().chain(&mut http.response_headers) {
                    fill(name);
                    fill(value);
                }
                fill(http.body_excerpt.get_or_insert_default());
            }
            if let Some(tls) = &mut connection.tls {
                fill(tls.server_name.get_or_insert_default());
                for certificate in &mut tls.certificates {
                    fill(&mut certificate.subject);
                    certificate.names.iter_mut().for_each(&mut fill);
                }
            }
            if let Some(websocket) = &mut connection.websocket {
                fill(websocket.extensions.get_or_insert_default());
                if let Some(close) = &mut websocket.close {
                    for frame in [&mut close.client, &mut close.server].into_iter().flatten() {
                        fill(&mut frame.reason);
                    }
                }
            }
        }
        for model::Finding { body: finding, .. } in &mut document.findings {
            fill(&mut finding.rule);
            fill(&mut finding.summary);
            for place in [&mut finding.explanation, &mut finding.advice, &mut finding.unless] {
                fill(place.get_or_insert_default());
            }
            finding.evidence.iter_mut().for_each(|evidence| fill(&mut evidence.note));
        }
        document
    }

    proptest! {
        #[test]
        fn any_text(text in hard_text()) {
            prop_assert_eq!(written(text.as_str()), by_serde_json(text.as_str()));
            let mut displayed = Vec::new();
            ser::Serializer::collect_str(Compact(&mut displayed), &format_args!("{text}{}", &text)).unwrap();
            prop_assert_eq!(String::from_utf8(displayed).unwrap(), written(&format!("{text}{text}")));
        }

        #[test]
        fn any_json(value in any_value()) {
            prop_assert_eq!(written(&value), by_serde_json(&value));
        }

        #[test]
        fn any_number(bits: u64, nanos: i64, small in -20_000_000_i64..20_000_000, tenth in 0_u32..8) {
            let odd = small as f64 / 10_f64.powi(tenth as i32);
            for value in [f64::from_bits(bits), Millis::from_nanos(nanos).get(), Millis::from_nanos(small).get(), odd] {
                prop_assert_eq!(written(&value), by_serde_json(&value));
            }
        }

        #[test]
        fn any_document(texts in prop::collection::vec(hard_text(), 1..40)) {
            let document = filled(&texts);
            prop_assert_eq!(written(&document), by_serde_json(&document));
        }
    }
}
