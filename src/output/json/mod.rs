//! The JSON document, written as it goes: one connection after the other, so that a million of them need
//! not be in memory. Same values in, same bytes out. Hostile characters (see [`super::terminal`]) are
//! written as `\uXXXX`, so that the document can be shown on a terminal.
//!
//! [`serializer`] writes compact values, [`escape`] their strings, [`document`] the frame around them; serde_json writes
//! the indented form.

use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use self::document::DocumentWriter;
use self::escape::{Escape, escape_of};
use super::model::{RootCause, SCHEMA_VERSION, Verdict, WSSCAN_VERSION};
use super::render::{Analysis, Render};
use crate::engine::parallel::in_order;

mod document;
pub(super) mod escape;
pub(super) mod serializer;

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
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
pub(crate) fn write_value<W: Write, T: Serialize + ?Sized>(mut writer: W, layout: Layout, value: &T) -> io::Result<()> {
    match layout {
        Layout::Compact => {
            let mut out = Vec::with_capacity(1 << 10);
            serializer::append(&mut out, value)?;
            writer.write_all(&out)
        }
        Layout::Pretty => {
            value.serialize(&mut Serializer::with_formatter(writer, &mut SafeFormatter::new(layout)))?;
            Ok(())
        }
    }
}

/// Appends an object in compact form whose members are those of `objects`, compact objects themselves.
pub(in crate::output) fn append_joined(out: &mut Vec<u8>, objects: &[&[u8]]) {
    let mut between = b'{';
    for object in objects {
        let members = object.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default();
        if !members.is_empty() {
            out.push(between);
            out.extend_from_slice(members);
            between = b',';
        }
    }
    if between == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// The members of a [`Connection`](super::model::Connection) before its body.
#[derive(Serialize)]
struct ConnectionHead {
    id: u64,
    tcp_stream: u32,
    verdict: Verdict,
}

/// The members of a [`Connection`](super::model::Connection) behind its body.
#[derive(Serialize)]
struct ConnectionTail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root_cause: Option<&'a RootCause<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    findings: &'a [u64],
}

/// The members of a [`Finding`](super::model::Finding) behind its body.
#[derive(Serialize)]
struct FindingTail<'a> {
    connections: &'a [u64],
}

/// Appends a connection whose body is JSON already, in compact form. Members of `first`, an object, come first.
pub(in crate::output) fn append_connection(
    out: &mut Vec<u8>,
    first: &[u8],
    (id, tcp_stream): (u64, u32),
    verdict: Verdict,
    body: &[u8],
    root_cause: Option<&RootCause<'_>>,
    findings: &[u64],
) {
    let (mut head, mut tail) = (Vec::with_capacity(64), Vec::with_capacity(128));
    append(&mut head, &ConnectionHead { id, tcp_stream, verdict });
    append(&mut tail, &ConnectionTail { root_cause, findings });
    append_joined(out, &[first, &head, body, &tail]);
}

/// Appends a finding whose body is JSON already, in compact form. Members of `first`, an object, come first.
pub(in crate::output) fn append_finding(out: &mut Vec<u8>, first: &[u8], body: &[u8], connections: &[u64]) {
    let mut tail = Vec::with_capacity(64);
    append(&mut tail, &FindingTail { connections });
    append_joined(out, &[first, body, &tail]);
}

/// The document as one JSON object and a line end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json {
    /// How it is laid out.
    pub layout: Layout,
    /// Threads that write compact lists; the bytes are the same for any number.
    pub threads: usize,
}

/// Objects that one worker writes at a time.
const AT_ONCE: usize = 512;

impl Render for Json {
    fn render(&self, analysis: &Analysis<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Self { layout, threads } = *self;
        let mut writer = DocumentWriter::begin(out, layout)?;
        writer.member("schema_version", SCHEMA_VERSION)?;
        writer.member("wsscan", WSSCAN_VERSION)?;
        writer.member("capture", analysis.capture())?;
        writer.member("summary", analysis.summary())?;
        let subjects = analysis.connections();
        writer.begin_list("connections")?;
        if layout == Layout::Compact {
            let worker = || {
                let mut reader = analysis.reader();
                move |range: Range<usize>, out: &mut Vec<u8>| analysis.append_connections(&mut *reader, range, out)
            };
            in_order(threads, subjects, AT_ONCE, worker, |list| writer.compact_elements(list))?;
        } else {
            analysis.each_connection(&mut |connection| writer.element(&connection))?;
        }
        writer.end_list()?;
        writer.begin_list("relations")?;
        analysis.relations().try_for_each(|relation| writer.element(&relation))?;
        writer.end_list()?;
        writer.member("rules", &analysis.rules())?;
        writer.begin_list("findings")?;
        if layout == Layout::Compact {
            let worker = || {
                let mut reader = analysis.reader();
                move |range: Range<usize>, out: &mut Vec<u8>| analysis.append_own_findings(&mut *reader, range, out)
            };
            in_order(threads, subjects, AT_ONCE, worker, |list| writer.compact_elements(list))?;
            analysis.each_other_finding(&mut |finding| writer.element(&finding))?;
        } else {
            analysis.each_finding(&mut |finding| writer.element(&finding))?;
        }
        writer.end_list()?;
        writer.end()
    }
}

/// Appends a value of the model in compact form.
pub(in crate::output) fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = serializer::append(out, value);
    debug_assert!(written.is_ok(), "the model holds nothing that has no JSON form");
}

/// Compact JSON as serde_json writes it with our formatter: what the compact serializer is held against.
#[cfg(test)]
pub(super) fn by_serde_json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, &mut SafeFormatter::new(Layout::Compact))).unwrap();
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::with_analysis;
    use super::*;

    #[test]
    fn documents_are_what_the_model_says() {
        for name in ["demo", "rec-healthy", "no-websocket-other-upgrades", "reconnect-loop"] {
            for layout in [Layout::Compact, Layout::Pretty] {
                let (written, document) = with_analysis(name, |analysis| {
                    let mut written = Vec::new();
                    Json { layout, threads: 2 }.render(analysis, &mut written).unwrap();
                    (String::from_utf8(written).unwrap(), analysis.document())
                });
                let mut whole = Vec::new();
                write_value(&mut whole, layout, &document).unwrap();
                whole.push(b'\n');
                assert_eq!(written, String::from_utf8(whole).unwrap(), "{name}");
            }
        }
    }

    #[test]
    fn joined_objects() {
        let joined = |objects: &[&str]| {
            let mut out = Vec::new();
            append_joined(&mut out, &objects.iter().map(|object| object.as_bytes()).collect::<Vec<_>>());
            String::from_utf8(out).unwrap()
        };
        assert_eq!(joined(&[]), "{}");
        assert_eq!(joined(&["{}", "{}"]), "{}");
        assert_eq!(joined(&[r#"{"a":1}"#, "{}", r#"{"b":{}}"#]), r#"{"a":1,"b":{}}"#);
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
