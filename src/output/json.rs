//! The JSON document, written as it goes: one connection after the other, so that a million of them need
//! not be in memory. Same values in, same bytes out. Hostile characters (see [`super::terminal`]) are
//! written as `\uXXXX`, so that the document can be shown on a terminal.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::compact::{self, Escape, escape_of};
use super::model::{Capture, Connection, Document, Finding, Relation, SCHEMA_VERSION, Summary, WSSCAN_VERSION};

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Without any space: for programs.
    Compact,
    /// Indented by two spaces: for people.
    Pretty,
}

enum Inner {
    Compact(CompactFormatter),
    Pretty(PrettyFormatter<'static>),
}

/// A formatter of serde_json that writes hostile characters as escapes. Used by reference, so that it keeps
/// its indentation from one value to the next.
struct SafeFormatter(Inner);

impl SafeFormatter {
    fn new(layout: Layout) -> Self {
        Self(match layout {
            Layout::Compact => Inner::Compact(CompactFormatter),
            Layout::Pretty => Inner::Pretty(PrettyFormatter::new()),
        })
    }
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $arg: $type)*) -> io::Result<()> {
            match &mut self.0 {
                Inner::Compact(inner) => inner.$name(writer $(, $arg)*),
                Inner::Pretty(inner) => inner.$name(writer $(, $arg)*),
            }
        }
    )*};
}

impl Formatter for &mut SafeFormatter {
    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly everything is plain ASCII; serde_json has taken out the control characters already.
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c, escape)) = rest.char_indices().find_map(|(at, c)| Some((at, c, escape_of(c)?))) {
            writer.write_all(&rest.as_bytes()[..at])?;
            writer.write_all(escape.write(&mut [0; Escape::MAX_LEN]))?;
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes one value. In compact form it is made in memory first.
///
/// # Errors
/// When `writer` fails.
pub fn write_value<W: Write, T: Serialize + ?Sized>(mut writer: W, layout: Layout, value: &T) -> io::Result<()> {
    match layout {
        Layout::Compact => {
            let mut out = Vec::with_capacity(1 << 10);
            compact::append(&mut out, value)?;
            writer.write_all(&out)
        }
        Layout::Pretty => {
            value.serialize(&mut Serializer::with_formatter(writer, &mut SafeFormatter::new(layout)))?;
            Ok(())
        }
    }
}

/// Values in compact form, separated by commas.
pub(super) fn compact_list<T: Serialize>(out: &mut Vec<u8>, values: impl Iterator<Item = T>) {
    for value in values {
        if !out.is_empty() {
            out.push(b',');
        }
        // The model holds nothing that has no JSON form.
        let written = compact::append(out, &value);
        debug_assert!(written.is_ok());
    }
}

/// Writes a whole document and a line end.
///
/// # Errors
/// When `writer` fails.
pub fn write_document<W: Write>(mut writer: W, layout: Layout, document: &Document) -> io::Result<()> {
    write_value(&mut writer, layout, document)?;
    writer.write_all(b"\n")
}

/// Writes a document piece by piece: `begin`, each `connection`, each `relation`, each `finding`, `end`.
/// The bytes are those of [`write_document`].
#[must_use = "the document is complete only after `end`"]
pub struct JsonWriter<W> {
    writer: W,
    formatter: SafeFormatter,
    list: List,
    first: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Connections,
    Relations,
    Findings,
}

impl List {
    const fn name(self) -> &'static str {
        match self {
            List::Connections => "connections",
            List::Relations => "relations",
            List::Findings => "findings",
        }
    }
}

impl<W: Write> JsonWriter<W> {
    /// Begins the document with what is known of the whole.
    ///
    /// # Errors
    /// When `writer` fails.
    pub fn begin(writer: W, layout: Layout, capture: &Capture, summary: &Summary) -> io::Result<Self> {
        let mut formatter = SafeFormatter::new(layout);
        let mut writer = writer;
        (&mut formatter).begin_object(&mut writer)?;
        let mut this = Self { writer, formatter, list: List::Connections, first: true };
        this.member(true, "schema_version", SCHEMA_VERSION)?;
        this.member(false, "wsscan", WSSCAN_VERSION)?;
        this.member(false, "capture", capture)?;
        this.member(false, "summary", summary)?;
        this.open_list(List::Connections)?;
        Ok(this)
    }

    /// Writes the next connection; all come before the first relation.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.element(List::Connections, connection)
    }

    /// Writes the next connections, already written as a compact JSON list without its brackets.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn compact_connections(&mut self, list: &[u8]) -> io::Result<()> {
        self.elements(List::Connections, list)
    }

    /// Writes the next findings, already written as a compact JSON list without its brackets.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn compact_findings(&mut self, list: &[u8]) -> io::Result<()> {
        self.elements(List::Findings, list)
    }

    /// Writes the next relation; all come before the first finding.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn relation(&mut self, relation: &Relation) -> io::Result<()> {
        self.element(List::Relations, relation)
    }

    /// Writes the next finding.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        self.element(List::Findings, finding)
    }

    /// Ends the document with a line end, flushes and gives the writer back.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn end(mut self) -> io::Result<W> {
        self.advance(List::Findings)?;
        self.close_list()?;
        (&mut self.formatter).end_object(&mut self.writer)?;
        self.writer.write_all(b"\n")?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn key(&mut self, first: bool, name: &str) -> io::Result<()> {
        let mut formatter = &mut self.formatter;
        formatter.begin_object_key(&mut self.writer, first)?;
        write!(self.writer, "\"{name}\"")?;
        formatter.end_object_key(&mut self.writer)?;
        formatter.begin_object_value(&mut self.writer)
    }

    fn member<T: Serialize + ?Sized>(&mut self, first: bool, name: &str, value: &T) -> io::Result<()> {
        self.key(first, name)?;
        self.value(value)?;
        (&mut self.formatter).end_object_value(&mut self.writer)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        match &self.formatter.0 {
            Inner::Compact(_) => write_value(&mut self.writer, Layout::Compact, value),
            Inner::Pretty(_) => {
                value.serialize(&mut Serializer::with_formatter(&mut self.writer, &mut self.formatter))?;
                Ok(())
            }
        }
    }

    fn open_list(&mut self, list: List) -> io::Result<()> {
        self.key(false, list.name())?;
        (self.list, self.first) = (list, true);
        (&mut self.formatter).begin_array(&mut self.writer)
    }

    fn close_list(&mut self) -> io::Result<()> {
        let mut formatter = &mut self.formatter;
        formatter.end_array(&mut self.writer)?;
        formatter.end_object_value(&mut self.writer)
    }

    fn advance(&mut self, list: List) -> io::Result<()> {
        while self.list < list {
            self.close_list()?;
            self.open_list(if self.list == List::Connections { List::Relations } else { List::Findings })?;
        }
        Ok(())
    }

    fn turn_to(&mut self, list: List) -> io::Result<()> {
        self.advance(list)?;
        if self.list != list {
            return Err(io::Error::other("connections come before relations, relations before findings"));
        }
        Ok(())
    }

    fn elements(&mut self, list: List, written: &[u8]) -> io::Result<()> {
        self.turn_to(list)?;
        if written.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.first, false) {
            self.writer.write_all(b",")?;
        }
        self.writer.write_all(written)
    }

    fn element<T: Serialize>(&mut self, list: List, value: &T) -> io::Result<()> {
        self.turn_to(list)?;
        (&mut self.formatter).begin_array_value(&mut self.writer, self.first)?;
        self.first = false;
        self.value(value)?;
        (&mut self.formatter).end_array_value(&mut self.writer)
    }
}

/// Compact JSON as serde_json writes it with our formatter: what the compact serializer is measured by.
#[cfg(test)]
pub(super) fn write_by_serde_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    value.serialize(&mut Serializer::with_formatter(out, &mut SafeFormatter::new(Layout::Compact))).unwrap();
}

#[cfg(test)]
pub(super) fn by_serde_json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    write_by_serde_json(&mut out, value);
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn streamed(document: &Document, layout: Layout) -> Vec<u8> {
        let mut writer = JsonWriter::begin(Vec::new(), layout, &document.capture, &document.summary).unwrap();
        for connection in &document.connections {
            writer.connection(connection).unwrap();
        }
        for relation in &document.relations {
            writer.relation(relation).unwrap();
        }
        for finding in &document.findings {
            writer.finding(finding).unwrap();
        }
        writer.end().unwrap()
    }

    #[test]
    fn piece_by_piece_gives_the_same_bytes() {
        let empty = Document::new(Capture::default(), Summary::default(), vec![], vec![], vec![]);
        let mut only_findings = sample::document();
        only_findings.connections.clear();
        only_findings.relations.clear();
        for document in [sample::document(), empty, only_findings] {
            for layout in [Layout::Compact, Layout::Pretty] {
                let mut whole = Vec::new();
                write_document(&mut whole, layout, &document).unwrap();
                assert_eq!(String::from_utf8(streamed(&document, layout)).unwrap(), String::from_utf8(whole).unwrap());
            }
        }
    }

    #[test]
    fn both_layouts_say_the_same() {
        let document = sample::document();
        let plain = serde_json::to_value(&document).unwrap();
        for layout in [Layout::Compact, Layout::Pretty] {
            let read: serde_json::Value = serde_json::from_slice(&streamed(&document, layout)).unwrap();
            assert_eq!(read, plain);
        }
        let pretty = String::from_utf8(streamed(&document, Layout::Pretty)).unwrap();
        assert!(pretty.starts_with("{\n  \"schema_version\": \"1.0\",\n  \"wsscan\": "), "{pretty}");
    }

    #[test]
    fn the_order_of_lists_is_held() {
        let document = sample::document();
        let mut writer = JsonWriter::begin(Vec::new(), Layout::Compact, &document.capture, &document.summary).unwrap();
        writer.finding(&document.findings[0]).unwrap();
        assert!(writer.connection(&document.connections[0]).is_err());
    }

    #[test]
    fn hostile_characters_are_escaped_and_read_back() {
        let text = "\x1b[2J \u{9b} \x7f \u{202e} \u{200b} \u{feff} \u{e0041} é 日 \"q\" \\ \n";
        let mut out = Vec::new();
        write_value(&mut out, Layout::Compact, text).unwrap();
        let json = String::from_utf8(out).unwrap();
        assert_eq!(json, r#""\u001b[2J \u009b \u007f \u202e \u200b \ufeff \udb40\udc41 é 日 \"q\" \\ \n""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
