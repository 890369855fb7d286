//! A message head as it was on the wire: start line and header fields, stored in one block.
//!
//! The block is normalised just enough to be read as lines of text: obsolete line folding becomes spaces
//! (RFC 9112 §5.2) and bytes that are no UTF-8 are taken for ISO-8859-1 (RFC 9110 §5.5 names it as the historic
//! encoding). What was changed or is odd is recorded in [`Deviations`]. Fields are found on demand; nothing here judges
//! whether a head is right.

use std::ops::Range;

use smallvec::SmallVec;

use super::field_name::{Name, NameSet};
use super::syntax::{Completeness, Deviations, RequestLine, StatusLine, Version, lines, split_field, trim, unfold};
use crate::stream::Stamp;

/// Start line and fields of one message, with its place in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    text: Box<str>,
    /// End of the start line.
    start_line_end: u32,
    names: NameSet,
    fields: Box<[Field]>,
    /// How much of it was seen.
    pub completeness: Completeness,
    /// How it deviates from RFC 9112.
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

/// Bytes in a line of the processor's cache.
const CACHE_LINE: usize = 64;

/// All fields of a head.
pub(super) type Fields = SmallVec<[Field; 16]>;

/// Where a field lies in the text of its head: located once, because fields are looked up many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    name_at: u32,
    value_at: u32,
    value_len: u32,
    /// Names hold ASCII alone and are shorter than [`MAX_HEAD`](super::MAX_HEAD).
    name_len: u16,
    known: Option<Name>,
}

impl Field {
    /// Locates a name and its value within `text`, of which they are parts. `known`: the name, if it is one of those.
    pub(super) fn locate(text: &[u8], known: Option<Name>, name: &[u8], value: &[u8]) -> Field {
        // A head is at most MAX_HEAD bytes, and decoding at most doubles it.
        let offset = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize) as u32;
        Field {
            name_at: offset(name),
            value_at: offset(value),
            value_len: value.len() as u32,
            name_len: name.len() as u16,
            known,
        }
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

/// Where a head lies in its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadPlace {
    /// Stream offset of its first byte.
    pub(super) offset: u64,
    /// The packet with its first byte.
    pub(super) first: Stamp,
    /// The packet with its last byte.
    pub(super) last: Stamp,
    pub(super) leading_blank_lines: bool,
}

impl Head {
    /// Stores a whole head, from its start line on, that a strict parser accepted with these fields.
    pub(super) fn store_strict(text: &str, place: &HeadPlace, fields: &Fields) -> Head {
        let bytes = text.as_bytes();
        let bare = |feed: usize| feed == 0 || bytes[feed - 1] != b'\r';
        let bare_line_feed = memchr::memchr_iter(b'\n', bytes).any(bare);
        Head::new(
            text.into(),
            Completeness::Complete,
            place,
            fields,
            Deviations { bare_line_feed, ..Deviations::default() },
        )
    }

    /// Stores a head, from its start line on. Unless `completeness` says that it is whole, what follows its last line
    /// feed is cut off, except a start line that is all there is.
    pub(super) fn store(raw: &[u8], completeness: Completeness, place: &HeadPlace) -> Head {
        let mut deviations = Deviations::default();
        let kept = match completeness {
            Completeness::Complete | Completeness::CutInStartLine => raw,
            Completeness::CutInFields => &raw[..memchr::memrchr(b'\n', raw).map_or(raw.len(), |at| at + 1)],
        };
        let mut bytes = kept.to_vec();
        unfold(&mut bytes, &mut deviations);
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            deviations.not_utf8 = true;
            error.into_bytes().iter().map(|&byte| char::from(byte)).collect()
        });
        let fields_at = memchr::memchr(b'\n', text.as_bytes()).map_or(text.len(), |at| at + 1);
        let mut fields = Fields::new();
        for line in lines(&text[fields_at..]) {
            match split_field(line) {
                None => deviations.malformed_line = true,
                Some((name, value, spaced)) => {
                    deviations.space_before_colon |= spaced;
                    let (name, value) = (name.as_bytes(), value.as_bytes());
                    fields.push(Field::locate(text.as_bytes(), Name::of(name), name, value));
                }
            }
        }
        let mut head = Head::new(text.into_boxed_str(), completeness, place, &fields, deviations);
        head.wire_len = raw.len() as u64;
        head
    }

    fn new(
        text: Box<str>,
        completeness: Completeness,
        place: &HeadPlace,
        fields: &Fields,
        deviations: Deviations,
    ) -> Head {
        let mut names = NameSet::default();
        fields.iter().filter_map(|field| field.known).for_each(|name| names.add(name));
        let start_line = &text[..memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len())];
        Head {
            start_line_end: start_line.trim_end_matches('\r').len() as u32,
            names,
            fields: fields.as_slice().into(),
            completeness,
            deviations: Deviations { leading_blank_lines: place.leading_blank_lines, ..deviations },
            offset: place.offset,
            wire_len: text.len() as u64,
            first: place.first,
            last: place.last,
            text,
        }
    }

    /// Reads one byte of each cache line of text and fields. The result means nothing.
    pub(super) fn prefetch(&self) -> u64 {
        let text = self.text.as_bytes().iter().step_by(CACHE_LINE).fold(0, |all, byte| all ^ byte);
        let fields =
            self.fields.iter().step_by(CACHE_LINE / size_of::<Field>()).fold(0, |all, field| all ^ field.value_len);
        u64::from(text) ^ u64::from(fields)
    }

    /// Whether start line and every field were seen, so that a field which is not there was not sent.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.completeness == Completeness::Complete
    }

    /// The head as it is stored, line ends included.
    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The start line without its line end.
    #[must_use]
    pub(crate) fn start_line(&self) -> &str {
        &self.text[..self.start_line_end as usize]
    }

    /// Every field as (name, value) in the order sent, white space around both removed, lines that are no field left out.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.fields.iter().map(|field| (field.name(&self.text), field.value(&self.text)))
    }

    /// The value of the first field of this name, case ignored. `None` also when the head was cut before it.
    #[must_use]
    #[inline]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// The values of every field of this name, case ignored.
    #[inline]
    pub(crate) fn headers<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + Clone + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |field| {
                usize::from(field.name_len) == name.len() && field.name(&self.text).eq_ignore_ascii_case(name)
            })
            .map(|field| field.value(&self.text))
    }

    /// Whether there is a field of this name, as far as seen.
    #[inline(always)]
    pub(super) fn has(&self, name: Name) -> bool {
        self.names.has(name)
    }

    /// The value of the first field of this name.
    #[inline(never)]
    pub(super) fn first(&self, name: Name) -> Option<&str> {
        if self.has(name) { self.values(name).next() } else { None }
    }

    /// The value of the field of this name, if there is exactly one.
    #[inline]
    pub(super) fn only(&self, name: Name) -> Option<&str> {
        if !self.names.repeats(name) { self.first(name) } else { None }
    }

    /// The values of every field of this name.
    #[inline]
    pub(super) fn values(&self, name: Name) -> impl Iterator<Item = &str> + Clone {
        let fields = if self.has(name) { &self.fields[..] } else { &[] };
        fields.iter().filter(move |field| field.known == Some(name)).map(|field| field.value(&self.text))
    }

    /// The elements of a comma-separated list over all fields of this name, empty ones left out (RFC 9110 §5.6.1).
    pub(super) fn elements(&self, name: Name) -> impl Iterator<Item = &str> + Clone {
        self.values(name).flat_map(|value| value.split(',')).map(trim).filter(|element| !element.is_empty())
    }

    /// The fields of this name: none, one or several, or unknown since the head was cut before any was seen.
    #[inline(never)]
    pub(super) fn count(&self, name: Name) -> Presence {
        if self.names.repeats(name) {
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
        let line = RequestLine::parse(head.start_line().as_bytes());
        RequestHead { method: line.method, target: line.target, version: line.version, head }
    }

    /// The request head that begins with `raw`, which was cut if it has `limit` bytes.
    pub(super) fn of_start(raw: &[u8], limit: usize, place: &HeadPlace) -> RequestHead {
        let completeness = if raw.len() < limit { Completeness::Complete } else { Completeness::of_cut(raw) };
        RequestHead::new(Head::store(raw, completeness, place))
    }

    /// The method, as sent.
    #[must_use]
    pub(crate) fn method(&self) -> &str {
        &self.head.text[self.method.start as usize..self.method.end as usize]
    }

    /// The request target, as sent; cut short when [`Completeness::CutInStartLine`].
    #[must_use]
    pub(crate) fn target(&self) -> &str {
        &self.head.text[self.target.start as usize..self.target.end as usize]
    }

    /// The target without query and fragment.
    #[must_use]
    pub(crate) fn path(&self) -> &str {
        let target = self.target();
        target.find(['?', '#']).map_or(target, |end| &target[..end])
    }

    /// `Host` of the first such field, with its port.
    #[must_use]
    pub(crate) fn host(&self) -> Option<&str> {
        self.head.first(Name::Host)
    }

    /// `Origin`, or `Sec-WebSocket-Origin` as old drafts call it.
    #[must_use]
    pub(crate) fn origin(&self) -> Option<&str> {
        self.head.first(Name::Origin).or_else(|| self.head.first(Name::SecWebSocketOrigin))
    }

    /// `Sec-WebSocket-Key`, the first if there are several.
    #[must_use]
    pub(crate) fn websocket_key(&self) -> Option<&str> {
        self.head.first(Name::SecWebSocketKey)
    }

    /// The subprotocols offered, in order of preference.
    pub(crate) fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
        self.head.elements(Name::SecWebSocketProtocol)
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
        let line = StatusLine::parse(head.start_line())?;
        Some(ResponseHead { reason: line.reason, status: line.status, version: Some(line.version), head })
    }

    /// The reason phrase, perhaps empty.
    #[must_use]
    pub(crate) fn reason(&self) -> &str {
        &self.head.text[self.reason.start as usize..self.reason.end as usize]
    }
}

/// A host without its port, an IPv6 address in its brackets (RFC 3986 §3.2.2).
#[must_use]
pub(crate) fn without_port(host: &str) -> &str {
    let end = if host.starts_with('[') { host.find(']').map(|end| end + 1) } else { host.rfind(':') };
    end.map_or(host, |end| &host[..end])
}
