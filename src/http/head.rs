//! A message head as it was on the wire: start line and header fields, stored in one block.
//!
//! The block is normalised just enough to be read as lines of text: obsolete line folding becomes spaces
//! (RFC 9112 §5.2) and bytes that are no UTF-8 are taken for ISO-8859-1 (RFC 9110 §5.5 names it as the historic
//! encoding). What was changed or looked odd is recorded in [`Deviations`]. Fields are found on demand; nothing
//! here judges whether a head is right.

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use crate::stream::Stamp;

/// An HTTP version as written in a start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The digit before the dot.
    pub major: u8,
    /// The digit after the dot; 0 when there was none (`HTTP/2`).
    pub minor: u8,
}

impl Version {
    /// HTTP/1.0.
    pub const HTTP_10: Version = Version { major: 1, minor: 0 };
    /// HTTP/1.1.
    pub const HTTP_11: Version = Version { major: 1, minor: 1 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How much of a head could be read. Whatever is not complete can prove that a field was there, never that it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completeness {
    /// From the start line to the blank line.
    Complete,
    /// The start line and the whole lines before a gap, the end of the stream or the bound on heads.
    CutInFields,
    /// Not even the start line is whole.
    CutInStartLine,
}

/// What in a head is not as RFC 9112 wants it. Read all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Deviations {
    /// A line ends in LF alone (RFC 9112 §2.2 lets a recipient accept it).
    pub bare_line_feed: bool,
    /// A field is continued on the next line (obs-fold, RFC 9112 §5.2: must not be sent).
    pub folded_line: bool,
    /// White space between field name and colon (RFC 9112 §5.1: a server must answer 400).
    pub space_before_colon: bool,
    /// A line that is no field at all.
    pub malformed_line: bool,
    /// Empty lines in front of the start line (RFC 9112 §2.2).
    pub leading_blank_lines: bool,
    /// Bytes that are no UTF-8; they were read as ISO-8859-1.
    pub not_utf8: bool,
    /// The parser crate `httparse`, as strict as most servers, refuses the head.
    pub refused_by_strict_parser: bool,
}

/// Start line and fields of one message, with its place in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    text: Box<str>,
    /// End of the start line.
    start_line_end: u32,
    /// The marks of all field names' keys: most fields that are asked for are not there.
    marks: u64,
    fields: Box<[Field]>,
    /// How much of it was seen.
    pub completeness: Completeness,
    /// What is odd about it.
    pub deviations: Deviations,
    /// Stream offset of its first byte.
    pub offset: u64,
    /// Its length in bytes on the wire, the blank line included, as far as seen.
    pub wire_len: u64,
    /// The packet with its first byte.
    pub first: Stamp,
    /// The packet with its last byte.
    pub last: Stamp,
}

/// The places of all fields of a head.
pub(super) type Fields = SmallVec<[Field; 16]>;

/// What tells most field names apart, whatever their case.
#[inline(always)]
const fn key_of(name: &[u8]) -> u16 {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    // Letters differ from their other case in this bit alone.
    let (first, middle, last) = (name[0] | 0x20, name[len / 2] | 0x20, name[len - 1] | 0x20);
    len as u16 ^ (first as u16) << 2 ^ (middle as u16) << 5 ^ (last as u16) << 8
}

/// One bit of 64 for a key.
#[inline(always)]
const fn mark(key: u16) -> u64 {
    1 << ((key ^ key >> 6 ^ key >> 10) % 64)
}

/// Where a field lies in the text of its head: found once, because it is looked up many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    name_at: u32,
    value_at: u32,
    value_len: u32,
    /// Names hold ASCII alone and are shorter than [`MAX_HEAD`](super::MAX_HEAD).
    name_len: u16,
    key: u16,
}

impl Field {
    /// The place of a name and its value within `text`, of which they are parts.
    pub(super) fn place(text: &[u8], name: &[u8], value: &[u8]) -> Field {
        // A head is at most MAX_HEAD bytes, and decoding at most doubles it.
        let place_of = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize) as u32;
        Field {
            name_at: place_of(name),
            value_at: place_of(value),
            value_len: value.len() as u32,
            name_len: name.len() as u16,
            key: key_of(name),
        }
    }

    fn name(self, text: &str) -> &str {
        &text[self.name_at as usize..][..usize::from(self.name_len)]
    }

    fn value(self, text: &str) -> &str {
        &text[self.value_at as usize..][..self.value_len as usize]
    }
}

/// Where a head lies, given to its constructor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) leading_blank_lines: bool,
}

impl Head {
    /// Stores `raw`, which starts at the start line. Unless `completeness` says that it is whole, what follows its
    /// last line feed is cut off, except a start line that is all there is. `known`: the fields of `raw`, where a strict
    /// parser found them.
    pub(super) fn store(
        raw: &[u8],
        completeness: Completeness,
        place: Place,
        refused: bool,
        known: Option<&Fields>,
    ) -> Head {
        let mut deviations = Deviations {
            leading_blank_lines: place.leading_blank_lines,
            refused_by_strict_parser: refused,
            ..Deviations::default()
        };
        let kept = match completeness {
            Completeness::Complete | Completeness::CutInStartLine => raw,
            Completeness::CutInFields => &raw[..memchr::memrchr(b'\n', raw).map_or(raw.len(), |at| at + 1)],
        };
        let mut bytes = kept.to_vec();
        if known.is_some() {
            // A strict parser takes no folded lines.
            deviations.bare_line_feed =
                bytes.windows(2).fold(false, |bare, pair| bare | (pair[1] == b'\n' && pair[0] != b'\r'));
        } else {
            unfold(&mut bytes, &mut deviations);
        }
        let mut same = kept.len() == raw.len() && !deviations.folded_line;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                deviations.not_utf8 = true;
                same = false;
                error.into_bytes().iter().map(|&byte| char::from(byte)).collect()
            }
        };
        let fields_at = memchr::memchr(b'\n', text.as_bytes()).map_or(text.len(), |at| at + 1);
        let fields: Box<[Field]> = match known {
            Some(known) if same => known.as_slice().into(),
            _ => {
                let mut fields = Fields::new();
                for line in lines(&text[fields_at..]) {
                    match split_field(line) {
                        None => deviations.malformed_line = true,
                        Some((name, value, spaced)) => {
                            deviations.space_before_colon |= spaced;
                            fields.push(Field::place(text.as_bytes(), name.as_bytes(), value.as_bytes()));
                        }
                    }
                }
                fields.as_slice().into()
            }
        };
        Head {
            start_line_end: text.as_bytes()[..fields_at]
                .iter()
                .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
                .map_or(0, |last| last as u32 + 1),
            marks: fields.iter().fold(0, |marks, field| marks | mark(field.key)),
            fields,
            text: text.into_boxed_str(),
            completeness,
            deviations,
            offset: place.offset,
            wire_len: raw.len() as u64,
            first: place.first,
            last: place.last,
        }
    }

    /// Whether start line and every field were seen, so that a field which is not there was not sent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.completeness == Completeness::Complete
    }

    /// The head as text, line ends included. May hold control characters: escape before printing.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The start line without its line end.
    #[must_use]
    pub fn start_line(&self) -> &str {
        &self.text[..self.start_line_end as usize]
    }

    /// Every field as (name, value) in the order sent, white space around both removed, lines that are no field left out.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.fields.iter().map(|field| (field.name(&self.text), field.value(&self.text)))
    }

    /// The value of the first field of this name, case ignored. `None` also when the head was cut before it.
    #[must_use]
    #[inline]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// The values of every field of this name, case ignored.
    #[inline]
    pub fn headers<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + Clone + use<'a, 'n> {
        let key = key_of(name.as_bytes());
        let fields = if self.marks & mark(key) == 0 { &[] } else { &self.fields[..] };
        Values { fields, text: &self.text, key, name }
    }

    /// The fields of this name: none, one or several, or unknown since the head was cut before any was seen.
    #[must_use]
    #[inline]
    pub fn presence(&self, name: &str) -> Presence {
        let mut values = self.headers(name);
        match values.next() {
            None if self.is_complete() => Presence::Missing,
            None => Presence::Unknown,
            Some(_) if values.next().is_none() => Presence::One,
            Some(_) => Presence::Several,
        }
    }

    /// The elements of a comma-separated list over all fields of this name, empty ones left out (RFC 9110 §5.6.1).
    pub fn list<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + Clone + use<'a, 'n> {
        self.headers(name).flat_map(|value| value.split(',')).map(trim).filter(|element| !element.is_empty())
    }

    /// Whether a list field such as `Connection` contains `token`, case ignored. `None` when it does not as far
    /// as seen, but the head was cut.
    #[must_use]
    pub fn list_contains(&self, name: &str, token: &str) -> Option<bool> {
        let there = |value: &str| {
            value.eq_ignore_ascii_case(token)
                || value.split(',').any(|element| trim(element).eq_ignore_ascii_case(token))
        };
        if self.headers(name).any(there) { Some(true) } else { self.is_complete().then_some(false) }
    }
}

/// The values of the fields of one name.
#[derive(Clone)]
struct Values<'a, 'n> {
    /// The fields not looked at yet.
    fields: &'a [Field],
    text: &'a str,
    key: u16,
    name: &'n str,
}

impl<'a> Values<'a, '_> {
    #[inline(never)]
    fn find(&mut self) -> Option<&'a str> {
        while let [field, rest @ ..] = self.fields {
            self.fields = rest;
            if field.key == self.key && field.name(self.text).eq_ignore_ascii_case(self.name) {
                return Some(field.value(self.text));
            }
        }
        None
    }
}

impl<'a> Iterator for Values<'a, '_> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        if self.fields.is_empty() { None } else { self.find() }
    }
}

/// How often a field appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// The head was cut before any was seen.
    Unknown,
    /// It is not there.
    Missing,
    /// Once.
    One,
    /// More than once.
    Several,
}

/// The form of a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `/path?query`, what a WebSocket client sends to a server.
    Origin,
    /// `http://host/path`, what a client sends to a proxy.
    Absolute,
    /// `host:port`, of `CONNECT`.
    Authority,
    /// `*`, of `OPTIONS`.
    Asterisk,
    /// None of these: a path without its leading slash, for instance.
    Other,
}

/// A request's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Start line and fields.
    pub head: Head,
    method: Range<u32>,
    target: Range<u32>,
    /// The version in the request line; `None` when that line was cut or has none.
    pub version: Option<Version>,
}

impl RequestHead {
    pub(super) fn new(head: Head) -> RequestHead {
        let line = RequestLine::split(head.start_line().as_bytes());
        RequestHead { method: line.method, target: line.target, version: line.version, head }
    }

    /// The method, as sent.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.head.text[self.method.start as usize..self.method.end as usize]
    }

    /// The request target, as sent; cut short when [`Completeness::CutInStartLine`].
    #[must_use]
    pub fn target(&self) -> &str {
        &self.head.text[self.target.start as usize..self.target.end as usize]
    }

    /// The target without query and fragment.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.target();
        target.find(['?', '#']).map_or(target, |end| &target[..end])
    }

    /// The form of the target (RFC 9112 §3.2).
    #[must_use]
    pub fn target_form(&self) -> TargetForm {
        let target = self.target();
        let scheme = |rest: &str| {
            rest.find("://").is_some_and(|at| at > 0 && rest.as_bytes()[..at].iter().all(u8::is_ascii_alphanumeric))
        };
        match target {
            "*" => TargetForm::Asterisk,
            _ if target.starts_with('/') => TargetForm::Origin,
            _ if scheme(target) => TargetForm::Absolute,
            _ if self.method() == "CONNECT" => TargetForm::Authority,
            _ => TargetForm::Other,
        }
    }

    /// `Host` of the first such field.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.head.header("host")
    }

    /// `Origin`, or `Sec-WebSocket-Origin` as old drafts call it.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.head.header("origin").or_else(|| self.head.header("sec-websocket-origin"))
    }

    /// `User-Agent`.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.head.header("user-agent")
    }

    /// `Sec-WebSocket-Key`, the first if there are several.
    #[must_use]
    pub fn websocket_key(&self) -> Option<&str> {
        self.head.header("sec-websocket-key")
    }

    /// The subprotocols offered, in order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
        self.head.list("sec-websocket-protocol")
    }
}

/// A response's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Start line and fields.
    pub head: Head,
    reason: Range<u32>,
    /// The status code.
    pub status: u16,
    /// The version in the status line.
    pub version: Option<Version>,
}

impl ResponseHead {
    pub(super) fn new(head: Head) -> Option<ResponseHead> {
        let line = StatusLine::split(head.start_line())?;
        Some(ResponseHead { reason: line.reason, status: line.status, version: Some(line.version), head })
    }

    /// The reason phrase, perhaps empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.head.text[self.reason.start as usize..self.reason.end as usize]
    }

    /// `Location`, of a redirection.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.head.header("location")
    }

    /// `Server`.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.head.header("server")
    }

    /// `Via`.
    #[must_use]
    pub fn via(&self) -> Option<&str> {
        self.head.header("via")
    }

    /// `Retry-After`, seconds or a date, as sent.
    #[must_use]
    pub fn retry_after(&self) -> Option<&str> {
        self.head.header("retry-after")
    }

    /// `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.head.header("content-type")
    }
}

/// A request line taken apart; ranges are byte positions in it.
pub(super) struct RequestLine {
    pub(super) method: Range<u32>,
    pub(super) target: Range<u32>,
    pub(super) version: Option<Version>,
}

impl RequestLine {
    /// Takes the first word for the method, `HTTP/x.y` at the end for the version and what lies between for the
    /// target, so that a target with a space in it is still shown whole.
    pub(super) fn split(line: &[u8]) -> RequestLine {
        let method_end = line.iter().position(is_blank).unwrap_or(line.len());
        let rest_at =
            line[method_end..].iter().position(|byte| !is_blank(byte)).map_or(line.len(), |at| method_end + at);
        let rest = without_blanks_at_end(&line[rest_at..]);
        let (target, version) = match rest.iter().rposition(is_blank) {
            Some(at) => match parse_version(&rest[at + 1..]) {
                Some((version, len)) if len == rest.len() - at - 1 => {
                    (without_blanks_at_end(&rest[..at]), Some(version))
                }
                _ => (rest, None),
            },
            None => (rest, None),
        };
        RequestLine { method: range(0, method_end), target: range(rest_at, rest_at + target.len()), version }
    }
}

/// A status line taken apart.
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: Range<u32>,
}

impl StatusLine {
    /// `None` unless there is `HTTP/x[.y]`, blanks, three digits and then no further digit.
    pub(super) fn split(line: &str) -> Option<StatusLine> {
        let bytes = line.as_bytes();
        let (version, mut at) = parse_version(bytes)?;
        let blanks = bytes[at..].iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
        if blanks == 0 {
            return None;
        }
        at += blanks;
        let code = bytes.get(at..at + 3)?;
        if !code.iter().all(u8::is_ascii_digit) || bytes.get(at + 3).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let status = code.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        let after = at + 3;
        let reason_at = line.len() - line[after..].trim_start_matches([' ', '\t']).len();
        let reason_len = line[reason_at..].trim_end_matches([' ', '\t', '\r', '\n']).len();
        Some(StatusLine { version, status, reason: range(reason_at, reason_at + reason_len) })
    }
}

/// Reads `HTTP/d.d` or `HTTP/d`; the version and its length in bytes.
pub(super) fn parse_version(bytes: &[u8]) -> Option<(Version, usize)> {
    let rest = bytes.strip_prefix(b"HTTP/")?;
    let digit = |at: usize| rest.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
    let major = digit(0)?;
    if rest.get(1) == Some(&b'.') {
        return Some((Version { major, minor: digit(2)? }, 8));
    }
    Some((Version { major, minor: 0 }, 6))
}

fn range(start: usize, end: usize) -> Range<u32> {
    u32::try_from(start).unwrap_or(u32::MAX)..u32::try_from(end).unwrap_or(u32::MAX)
}

/// White space that may surround a field value or a list element (RFC 9110 §5.6.3), and stray carriage returns.
pub(super) fn trim(text: &str) -> &str {
    let kept = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    let bytes = text.as_bytes();
    let Some(start) = bytes.iter().position(kept) else { return &text[text.len()..] };
    let end = bytes.iter().rposition(kept).map_or(text.len(), |last| last + 1);
    &text[start..end]
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn without_blanks_at_end(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1)]
}

/// The lines of a field block up to the blank line.
fn lines(block: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(block);
    std::iter::from_fn(move || {
        let block = rest?;
        let (line, after) = match memchr::memchr(b'\n', block.as_bytes()) {
            Some(at) => (&block[..at], Some(&block[at + 1..])),
            None => (block, None),
        };
        rest = after;
        Some(line.strip_suffix('\r').unwrap_or(line))
    })
    .take_while(|line| !line.is_empty())
}

/// Name, value and whether white space stood before the colon. `None` when the line is no field.
pub(super) fn split_field(line: &str) -> Option<(&str, &str, bool)> {
    let colon = memchr::memchr(b':', line.as_bytes())?;
    let name = trim(&line[..colon]);
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return None;
    }
    Some((name, trim(&line[colon + 1..]), name.len() != colon))
}

/// `tchar` of RFC 9110 §5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z');
        byte += 1;
    }
    table
};

/// Replaces obsolete line folding by as many spaces, in place, and notes odd line ends.
pub(super) fn unfold(bytes: &mut [u8], deviations: &mut Deviations) {
    let mut at = 0;
    let mut start_line = true;
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        let feed = at + found;
        let end = if feed > at && bytes[feed - 1] == b'\r' { feed - 1 } else { feed };
        deviations.bare_line_feed |= end == feed;
        let folded = !start_line && end > at && matches!(bytes.get(feed + 1), Some(b' ' | b'\t'));
        if folded {
            deviations.folded_line = true;
            bytes[end..=feed].fill(b' ');
        }
        start_line = false;
        at = feed + 1;
    }
}
