//! A message head as it was on the wire: start line and header fields, stored in one block.
//!
//! The block is normalised just enough to be read as lines of text: obsolete line folding becomes spaces
//! (RFC 9112 §5.2) and bytes that are no UTF-8 are taken for ISO-8859-1 (RFC 9110 §5.5 names it as the historic
//! encoding). What was changed or looked odd is recorded in [`Deviations`]. Fields are found on demand; nothing
//! here judges whether a head is right.

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use super::names::{self, Name};
use super::regular::{self, Regular, StartLine};
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
    marks: Marks,
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

/// Bytes that the processor fetches at a time.
const LINE: usize = 64;

/// The places of all fields of a head.
pub(super) type Fields = SmallVec<[Field; 16]>;

/// Which names a head's fields have: most fields that are asked for are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The names that are there.
    known: u64,
    /// Those of them that are there more than once.
    again: u64,
    /// A bit of 64 for each field's hash.
    hashes: u64,
}

impl Marks {
    #[inline(always)]
    pub(super) fn add(&mut self, field: Field) {
        self.hashes |= hash_bit(field.hash);
        if field.name != NO_NAME {
            let bit = 1 << field.name;
            self.again |= self.known & bit;
            self.known |= bit;
        }
    }

    /// Whether any of these names, each a bit, is there.
    #[inline(always)]
    pub(super) fn any(&self, names: u64) -> bool {
        self.known & names != 0
    }

    fn of(fields: &[Field]) -> Marks {
        let mut marks = Marks::default();
        for &field in fields {
            marks.add(field);
        }
        marks
    }
}

#[inline(always)]
const fn hash_bit(hash: u8) -> u64 {
    1 << (hash % 64)
}

/// Instead of [`Name::number`]: some other name.
const NO_NAME: u8 = u8::MAX;

/// Where a field lies in the text of its head: found once, because it is looked up many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    name_at: u32,
    value_at: u32,
    value_len: u32,
    /// Names hold ASCII alone and are shorter than [`MAX_HEAD`](super::MAX_HEAD).
    name_len: u16,
    /// [`Name::number`], or [`NO_NAME`].
    name: u8,
    hash: u8,
}

impl Field {
    /// The place of a name and its value within `text`, of which they are parts.
    pub(super) fn place(text: &[u8], name: &[u8], value: &[u8]) -> Field {
        // A head is at most MAX_HEAD bytes, and decoding at most doubles it.
        let place_of = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize) as u32;
        Field::at(name, place_of(name), place_of(value), value.len() as u32)
    }

    /// A field of this name, a token, with its places.
    #[inline(always)]
    pub(super) fn at(name: &[u8], name_at: u32, value_at: u32, value_len: u32) -> Field {
        let hash = names::hash(name);
        Field {
            name_at,
            value_at,
            value_len,
            name_len: name.len() as u16,
            name: Name::of(name, hash).map_or(NO_NAME, Name::number),
            hash,
        }
    }

    /// Whether its name is none of those that have a number.
    #[inline(always)]
    pub(super) fn is_other(self) -> bool {
        self.name == NO_NAME
    }

    #[inline(always)]
    pub(super) fn is(self, name: Name) -> bool {
        self.name == name.number()
    }

    /// Its value within the head.
    #[inline(always)]
    pub(super) fn value_in(self, raw: &[u8]) -> &[u8] {
        &raw[self.value_at as usize..][..self.value_len as usize]
    }

    #[inline]
    fn name(self, text: &str) -> &str {
        &text[self.name_at as usize..][..usize::from(self.name_len)]
    }

    #[inline]
    fn value(self, text: &str) -> &str {
        &text[self.value_at as usize..][..self.value_len as usize]
    }
}

/// What reading a head has found out already, given to its constructor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known<'a> {
    /// It is regular.
    Regular(&'a Regular),
    /// The places of its fields, by a strict parser.
    Fields(&'a Fields),
    /// Nothing.
    Nothing,
}

/// Where a head lies, given to its constructor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) leading_blank_lines: bool,
}

/// A head where it was read, with what was found out about it, not stored yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// From its start line on.
    pub(super) raw: &'a [u8],
    pub(super) completeness: Completeness,
    pub(super) place: &'a Place,
    /// The strict parser refused it.
    pub(super) refused: bool,
    pub(super) known: Known<'a>,
}

impl<'a> Seen<'a> {
    /// The head, unless it is to be read leniently.
    #[inline(always)]
    fn regular(&self) -> Option<(&'a str, &'a Regular)> {
        match self.known {
            Known::Regular(regular) if self.completeness == Completeness::Complete => {
                Some((simdutf8::basic::from_utf8(self.raw).ok()?, regular))
            }
            _ => None,
        }
    }

    /// The request, if it is regular.
    #[inline(always)]
    pub(super) fn regular_request(&self) -> Option<RequestHead> {
        let (text, regular) = self.regular()?;
        let StartLine::Request { method_len, version } = regular.start_line else { return None };
        let target = method_len + 1..regular.start_line_len - regular::VERSION_LEN;
        let head = Head::store_regular(text, regular, self.place);
        Some(RequestHead { method: 0..method_len, target, version: Some(version), head })
    }

    /// The response, if it is regular.
    #[inline(always)]
    pub(super) fn regular_response(&self) -> Option<ResponseHead> {
        let (text, regular) = self.regular()?;
        let StartLine::Response { status, version, ref reason } = regular.start_line else { return None };
        let head = Head::store_regular(text, regular, self.place);
        Some(ResponseHead { reason: reason.clone(), status, version: Some(version), head })
    }

    /// The request, read leniently.
    pub(super) fn request(&self) -> RequestHead {
        RequestHead::new(self.store())
    }

    /// The response, read leniently; `None` without a status line.
    pub(super) fn response(&self) -> Option<ResponseHead> {
        ResponseHead::new(self.store())
    }

    fn store(&self) -> Head {
        Head::store(self.raw, self.completeness, self.place, self.refused, self.known)
    }
}

impl Head {
    /// Stores `raw`, which starts at the start line. Unless `completeness` says that it is whole, what follows its
    /// last line feed is cut off, except a start line that is all there is. `known`: what was found out about `raw`
    /// when it was read.
    #[cold]
    #[inline(never)]
    pub(super) fn store(
        raw: &[u8],
        completeness: Completeness,
        place: &Place,
        refused: bool,
        known: Known<'_>,
    ) -> Head {
        let known = match known {
            Known::Fields(fields) => Some(fields),
            Known::Regular(_) | Known::Nothing => None,
        };
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
            marks: Marks::of(&fields),
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

    /// Stores a regular head, which is whole.
    #[inline(always)]
    fn store_regular(text: &str, regular: &Regular, place: &Place) -> Head {
        Head {
            text: text.into(),
            start_line_end: regular.start_line_len,
            marks: regular.marks,
            fields: regular.fields.as_slice().into(),
            completeness: Completeness::Complete,
            deviations: Deviations { leading_blank_lines: place.leading_blank_lines, ..Deviations::default() },
            offset: place.offset,
            wire_len: text.len() as u64,
            first: place.first,
            last: place.last,
        }
    }

    /// Reads a little of everything, so that it is at hand when it is needed.
    pub(super) fn touch(&self) -> u64 {
        let text = self.text.as_bytes().iter().step_by(LINE).fold(0, |all, byte| all ^ byte);
        let fields = self.fields.iter().step_by(LINE / size_of::<Field>()).fold(0, |all, field| all ^ field.hash);
        u64::from(text) ^ u64::from(fields)
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
        let there = self.marks.hashes & hash_bit(names::hash(name.as_bytes())) != 0;
        let fields = if there { &self.fields[..] } else { &[] };
        fields
            .iter()
            .filter(move |field| {
                usize::from(field.name_len) == name.len() && field.name(&self.text).eq_ignore_ascii_case(name)
            })
            .map(|field| field.value(&self.text))
    }

    /// The fields of this name: none, one or several, or unknown since the head was cut before any was seen.
    #[must_use]
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
        let there = self.list(name).any(|element| element.eq_ignore_ascii_case(token));
        if there { Some(true) } else { self.is_complete().then_some(false) }
    }

    /// Whether there is a field of this name, as far as seen.
    #[inline(always)]
    pub(super) fn has(&self, name: Name) -> bool {
        self.marks.any(name.bit())
    }

    /// Whether there is a field of any of these names, each a bit, as far as seen.
    #[inline(always)]
    pub(super) fn has_any(&self, names: u64) -> bool {
        self.marks.any(names)
    }

    /// The value of the first field of this name.
    #[inline(never)]
    pub(super) fn first(&self, name: Name) -> Option<&str> {
        if self.has(name) { self.values(name).next() } else { None }
    }

    /// The value of the field of this name, if there is exactly one.
    #[inline]
    pub(super) fn only(&self, name: Name) -> Option<&str> {
        if self.marks.again & name.bit() == 0 { self.first(name) } else { None }
    }

    /// The values of every field of this name.
    #[inline]
    pub(super) fn values(&self, name: Name) -> impl Iterator<Item = &str> + Clone {
        let fields = if self.has(name) { &self.fields[..] } else { &[] };
        fields.iter().filter(move |field| field.is(name)).map(|field| field.value(&self.text))
    }

    /// The elements of a comma-separated list over all fields of this name, empty ones left out (RFC 9110 §5.6.1).
    pub(super) fn elements(&self, name: Name) -> impl Iterator<Item = &str> + Clone {
        self.values(name).flat_map(|value| value.split(',')).map(trim).filter(|element| !element.is_empty())
    }

    /// The fields of this name: none, one or several, or unknown since the head was cut before any was seen.
    #[inline(never)]
    pub(super) fn count(&self, name: Name) -> Presence {
        if self.marks.again & name.bit() != 0 {
            Presence::Several
        } else if self.has(name) {
            Presence::One
        } else if self.is_complete() {
            Presence::Missing
        } else {
            Presence::Unknown
        }
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

    /// Whether this is the method.
    pub(super) fn asks(&self, method: &str) -> bool {
        self.head.text.as_bytes()[self.method.start as usize..self.method.end as usize] == *method.as_bytes()
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
        self.head.first(Name::HOST)
    }

    /// `Origin`, or `Sec-WebSocket-Origin` as old drafts call it.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.head.first(Name::ORIGIN).or_else(|| self.head.first(Name::SEC_WEBSOCKET_ORIGIN))
    }

    /// `User-Agent`.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.head.first(Name::USER_AGENT)
    }

    /// `Sec-WebSocket-Key`, the first if there are several.
    #[must_use]
    pub fn websocket_key(&self) -> Option<&str> {
        self.head.first(Name::SEC_WEBSOCKET_KEY)
    }

    /// The subprotocols offered, in order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
        self.head.elements(Name::SEC_WEBSOCKET_PROTOCOL)
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
        self.head.first(Name::LOCATION)
    }

    /// `Server`.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.head.first(Name::SERVER)
    }

    /// `Via`.
    #[must_use]
    pub fn via(&self) -> Option<&str> {
        self.head.first(Name::VIA)
    }

    /// `Retry-After`, seconds or a date, as sent.
    #[must_use]
    pub fn retry_after(&self) -> Option<&str> {
        self.head.first(Name::RETRY_AFTER)
    }

    /// `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.head.first(Name::CONTENT_TYPE)
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
#[inline]
pub(super) fn trim(text: &str) -> &str {
    let kept = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    let bytes = text.as_bytes();
    let Some(start) = bytes.iter().position(kept) else { return &text[text.len()..] };
    let end = bytes.iter().rposition(kept).map_or(text.len(), |last| last + 1);
    &text[start..end]
}

/// The same of bytes.
#[inline]
pub(super) fn trim_bytes(bytes: &[u8]) -> &[u8] {
    let kept = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    let start = bytes.iter().position(kept).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(kept).map_or(start, |last| last + 1);
    &bytes[start..end]
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
