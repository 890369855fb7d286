//! The syntax of HTTP/1.x heads (RFC 9112 §2 to §5): versions, start lines, field lines, tokens.
//!
//! Reads leniently, as real peers send, and below both ways of reading a head. Nothing here stores a head, and nothing
//! judges whether one is right; what is odd about it is noted in [`Deviations`].

use std::fmt;
use std::ops::Range;

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

/// How much of a head could be read. A head that is not complete can prove that a field was there, never that it was
/// not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completeness {
    /// From the start line to the blank line.
    Complete,
    /// The start line and the whole lines before a gap, the end of the stream or the bound on heads.
    CutInFields,
    /// Not even the start line is whole.
    CutInStartLine,
}

impl Completeness {
    /// Of a head that was cut behind `raw`.
    pub(super) fn of_cut(raw: &[u8]) -> Completeness {
        match memchr::memchr(b'\n', raw) {
            Some(_) => Completeness::CutInFields,
            None => Completeness::CutInStartLine,
        }
    }
}

/// How a head deviates from RFC 9112. It is read all the same.
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

/// The two kinds of start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartLineKind {
    Request,
    Response,
}

/// The parts of a request line, as byte positions in it.
pub(super) struct RequestLine {
    pub(super) method: Range<u32>,
    pub(super) target: Range<u32>,
    pub(super) version: Option<Version>,
}

impl RequestLine {
    /// Takes the first word for the method, `HTTP/x.y` at the end for the version and what lies between for the
    /// target, so that a target with a space in it is still shown whole.
    pub(super) fn parse(line: &[u8]) -> RequestLine {
        let method_end = line.iter().position(is_blank).unwrap_or(line.len());
        let rest_at =
            line[method_end..].iter().position(|byte| !is_blank(byte)).map_or(line.len(), |at| method_end + at);
        let rest = trim_blanks_at_end(&line[rest_at..]);
        let (target, version) = match rest.iter().rposition(is_blank) {
            Some(at) => match parse_version(&rest[at + 1..]) {
                Some((version, len)) if len == rest.len() - at - 1 => (trim_blanks_at_end(&rest[..at]), Some(version)),
                _ => (rest, None),
            },
            None => (rest, None),
        };
        RequestLine { method: range(0, method_end), target: range(rest_at, rest_at + target.len()), version }
    }
}

/// The parts of a status line; `reason` as byte positions in it.
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: Range<u32>,
}

impl StatusLine {
    /// `None` unless there is `HTTP/x[.y]`, blanks, three digits and then no further digit.
    pub(super) fn parse(line: &str) -> Option<StatusLine> {
        let bytes = line.as_bytes();
        let (version, mut at) = parse_version(bytes)?;
        let blanks = bytes[at..].iter().take_while(|byte| is_blank(byte)).count();
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

/// Removes the white space that may surround a field value or a list element (RFC 9110 §5.6.3), and stray carriage
/// returns. Of nothing but white space the empty end is left, as `httparse` has it.
#[inline]
pub(super) fn trim(text: &str) -> &str {
    let kept = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    let bytes = text.as_bytes();
    let Some(start) = bytes.iter().position(kept) else { return &text[text.len()..] };
    let end = bytes.iter().rposition(kept).map_or(text.len(), |last| last + 1);
    &text[start..end]
}

/// [`trim`] for bytes.
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

fn trim_blanks_at_end(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1)]
}

/// The lines of a field block up to the blank line.
pub(super) fn lines(block: &str) -> impl Iterator<Item = &str> {
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

/// Replaces obsolete line folding (RFC 9112 §5.2) by as many spaces, in place, and notes odd line ends.
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
