//! Heads as nearly everybody writes them, read in one walk.
//!
//! A regular head is ASCII without control characters but tabs, each line ends in CRLF, its start line has its parts
//! one space apart and its version is 1.0 or 1.1, and each field is a token, a colon and a value. What the parser crate
//! would find in such a head is found here at a fraction of its cost, together with what looking for the end of
//! the head would find. Every other head is left to that crate and to the lenient reader: nothing here says
//! that a head is wrong.

use std::ops::Range;

use super::MAX_HEAD;
use super::head::{Field, Fields, Marks, Version, is_token_byte};
use super::sniff::MAX_METHOD;
use super::survey::MAX_PARSED_FIELDS;

/// Length of ` HTTP/1.1`.
pub(super) const VERSION_LEN: u32 = 9;

/// The longest name of a field in a regular head.
const MAX_NAME: usize = 255;

/// A regular head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Regular {
    pub(super) start_line: StartLine,
    /// Length of the start line without its line end.
    pub(super) start_line_len: u32,
    pub(super) fields: Fields,
    pub(super) marks: Marks,
    /// Whether the name of a field without a number begins with `Sec-WebSocket-`.
    pub(super) other_websocket_field: bool,
}

/// The start line, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum StartLine {
    /// It was not read.
    #[default]
    Unread,
    /// `GET /path HTTP/1.1`: between method and version, one space from each, lies the target.
    Request { method_len: u32, version: Version },
    /// `HTTP/1.1 101 Switching Protocols`.
    Response { status: u16, version: Version, reason: Range<u32> },
}

/// What a start line should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Request,
    Response,
}

/// Reads the head that `bytes` begin with into `regular`, which is a default one; its length. `None` when it is not
/// whole or not regular: what was read then is worth nothing.
#[inline(never)]
pub(super) fn read(bytes: &[u8], wanted: Wanted, regular: &mut Regular) -> Option<usize> {
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    let feed = memchr::memchr(b'\n', window)?;
    let line = &window[..feed.checked_sub(1)?];
    regular.start_line = match wanted {
        Wanted::Request => request_line(line)?,
        Wanted::Response => status_line(line)?,
    };
    regular.start_line_len = line.len() as u32;
    let mut at = feed + 1;
    loop {
        let rest = &window[at..];
        if rest.starts_with(b"\r\n") {
            at += 2;
            break;
        }
        // A line without a colon must not lead far beyond it: many short heads may lie in one packet.
        let colon = find(&rest[..rest.len().min(MAX_NAME + 1)], b':')?;
        let (name, behind) = rest.split_at(colon);
        let len = find(behind, b'\n')?;
        let (value_at, value_len) = trimmed(behind, 1, len);
        let value_at = at + colon + value_at;
        let field = Field::at(name, at as u32, value_at as u32, value_len as u32);
        if field.is_other() && !regular.takes_other(name) {
            return None;
        }
        if regular.fields.len() == MAX_PARSED_FIELDS {
            return None;
        }
        regular.marks.add(field);
        regular.fields.push(field);
        at += colon + len + 1;
    }
    is_plain(&window[..at]).then_some(at)
}

impl Regular {
    /// Looks at the name of a field without a number; whether it is a token.
    #[inline(never)]
    fn takes_other(&mut self, name: &[u8]) -> bool {
        self.other_websocket_field |= name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case(b"sec-websocket-"));
        !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte))
    }
}

/// `method target HTTP/1.x`.
#[inline(never)]
fn request_line(line: &[u8]) -> Option<StartLine> {
    let (rest, last) = line.split_last_chunk::<{ VERSION_LEN as usize }>()?;
    // Compared whole: a pattern is compared byte by byte.
    let version = if last == b" HTTP/1.1" {
        Version::HTTP_11
    } else if last == b" HTTP/1.0" {
        Version::HTTP_10
    } else {
        return None;
    };
    let method_len = if rest.starts_with(b"GET ") {
        3
    } else {
        rest.iter().take(MAX_METHOD + 1).take_while(|&&byte| is_token_byte(byte)).count()
    };
    if method_len == 0 || method_len > MAX_METHOD || rest.get(method_len) != Some(&b' ') {
        return None;
    }
    let target = &rest[method_len + 1..];
    if target.is_empty() || target.iter().any(|&byte| byte <= b' ') {
        return None;
    }
    Some(StartLine::Request { method_len: method_len as u32, version })
}

/// `HTTP/1.x NNN reason`.
#[inline(never)]
fn status_line(line: &[u8]) -> Option<StartLine> {
    let (start, rest) = line.split_first_chunk::<12>()?;
    let first = start.first_chunk::<9>()?;
    let version = if first == b"HTTP/1.1 " {
        Version::HTTP_11
    } else if first == b"HTTP/1.0 " {
        Version::HTTP_10
    } else {
        return None;
    };
    let code = start.last_chunk::<3>()?;
    if !code.iter().all(u8::is_ascii_digit) || rest.first().is_some_and(|&byte| byte != b' ') {
        return None;
    }
    let status = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let (reason_at, reason_len) = trimmed(line, start.len(), line.len());
    Some(StartLine::Response { status, version, reason: reason_at as u32..(reason_at + reason_len) as u32 })
}

/// Place and length of what lies between `from` and `to` without the white space around it.
#[inline(always)]
fn trimmed(text: &[u8], mut from: usize, mut to: usize) -> (usize, usize) {
    if let Some([b' ', first, .., last, b'\r']) = text.get(from..to)
        && *first > b' '
        && *last > b' '
    {
        return (from + 1, to - from - 2);
    }
    while from < to && matches!(text[from], b' ' | b'\t') {
        from += 1;
    }
    while to > from && matches!(text[to - 1], b' ' | b'\t' | b'\r') {
        to -= 1;
    }
    (from, to - from)
}

/// The first `wanted`, which is expected within a few words of eight bytes.
#[inline(never)]
fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    const NEAR: usize = 4;
    let (words, _) = bytes.as_chunks::<8>();
    let words = &words[..words.len().min(NEAR)];
    for (at, word) in words.iter().enumerate() {
        let differences = u64::from_le_bytes(*word) ^ (ONES * u64::from(wanted));
        // The lowest bit of this is right: a borrow that would make a false one comes from a true one below.
        let found = differences.wrapping_sub(ONES) & !differences & HIGH;
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let passed = words.len() * 8;
    memchr::memchr(wanted, &bytes[passed..]).map(|at| passed + at)
}

/// Whether there is ASCII alone, no control character but tabs, and CR and LF only as CRLF. `text` ends in CRLF.
fn is_plain(text: &[u8]) -> bool {
    const STEP: usize = 32;
    // Each byte with the one behind it; the last pair's first is the CR in front of the last LF.
    let odd = |byte: u8, next: u8| {
        let control = (byte as i8) < b' ' as i8 && byte != b'\t' && byte != b'\r' && byte != b'\n';
        control | (byte == 0x7f) | ((byte == b'\r') != (next == b'\n'))
    };
    let pairs = |bytes: &[u8; STEP + 1]| (0..STEP).fold(false, |found, at| found | odd(bytes[at], bytes[at + 1]));
    if text.first() == Some(&b'\n') {
        return false;
    }
    let mut at = 0;
    let mut found = false;
    while let Some(block) = text[at..].first_chunk() {
        found |= pairs(block);
        at += STEP;
    }
    found |= match text.last_chunk() {
        Some(block) => pairs(block),
        None => text.windows(2).any(|pair| odd(pair[0], pair[1])),
    };
    !found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::head::{Completeness, Known, Place, Seen};
    use super::super::names::Name;
    use super::super::survey::{self, Found};
    use super::*;
    use crate::stream::Stamp;

    /// Reads a head in every way where it is regular. Returns whether it is.
    fn agrees(bytes: &[u8]) -> bool {
        let stamp = Stamp::default();
        let place = Place { offset: 7, first: stamp, last: stamp, leading_blank_lines: false };
        let completeness = Completeness::Complete;
        let mut found = Found::default();
        let request = found.read(bytes, Wanted::Request).map(|len| {
            let raw = &bytes[..len];
            assert!(raw.ends_with(b"\r\n\r\n") && !raw[..raw.len() - 1].windows(3).any(|three| three == b"\n\r\n"));
            let mut by_parser = Found::default();
            let strict = survey::request(raw, true, &mut by_parser).expect("a request line");
            let survey = survey::request(raw, true, &mut found).expect("a request line");
            assert!(matches!((found.known(), by_parser.known()), (Known::Regular(_), Known::Fields(_))));
            assert_eq!(survey, strict);
            let [one, two, three] = [found.known(), by_parser.known(), Known::Nothing]
                .map(|known| Seen { raw, completeness, place: &place, refused: false, known })
                .map(|seen| seen.regular_request().unwrap_or_else(|| seen.request()));
            assert_eq!((&one, &one), (&two, &three));
        });
        let mut found = Found::default();
        let response = found.read(bytes, Wanted::Response).map(|len| {
            let raw = &bytes[..len];
            let mut by_parser = Found::default();
            let strict = survey::response(raw, true, &mut by_parser).expect("a status line");
            let survey = survey::response(raw, true, &mut found).expect("a status line");
            assert!(matches!((found.known(), by_parser.known()), (Known::Regular(_), Known::Fields(_))));
            assert_eq!(survey, strict);
            let [one, two, three] = [found.known(), by_parser.known(), Known::Nothing]
                .map(|known| Seen { raw, completeness, place: &place, refused: false, known })
                .map(|seen| seen.regular_response().or_else(|| seen.response()).expect("a status line"));
            assert_eq!((&one, &one), (&two, &three));
        });
        assert!(request.is_none() || response.is_none());
        request.is_some() || response.is_some()
    }

    #[test]
    fn regular_heads() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET /chat?x=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nrest",
            "PROPFIND /x HTTP/1.0\r\nhost:a\r\nHOST:\t b \t\r\nempty:\r\nblank: \t \r\n\r\n",
            "POST /x HTTP/1.1\r\nContent-Length: 5, 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nupgrade: h2c\r\nSec-WebSocket-Anything: 1\r\nSec-WebSocket-Key1: 1\r\n\r\n",
            "PRI * HTTP/1.1\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.0 204\r\n\r\n",
            "HTTP/1.1 200 \r\n\r\n",
            "HTTP/1.1 007 \t a b \t\r\nx:y:z\r\n\r\n",
        ] {
            assert!(agrees(head.as_bytes()), "{head}");
        }
    }

    #[test]
    fn all_others_are_left_alone() {
        for head in [
            "",
            "\n",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r",
            "GET / HTTP/1.1\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \u{e4}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\x7fb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nno field\r\n\r\n",
            "GET / HTTP/1.1\r\nno field\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "GET / HTTP/1.1\r\nuser\ragent: a\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /  HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET\t/ HTTP/1.1\r\n\r\n",
            "GET HTTP/1.1\r\n\r\n",
            "GET  HTTP/1.1\r\n\r\n",
            " / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.2\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1  200\r\n\r\n",
            "HTTP/1.1 200\tOK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
        ] {
            assert!(!agrees(head.as_bytes()), "{head}");
        }
        let many = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(agrees(many(MAX_PARSED_FIELDS).as_bytes()));
        assert!(!agrees(many(MAX_PARSED_FIELDS + 1).as_bytes()));
        let named = |count: usize| format!("GET / HTTP/1.1\r\n{}: b\r\n\r\n", "a".repeat(count));
        assert!(agrees(named(MAX_NAME).as_bytes()));
        assert!(!agrees(named(MAX_NAME + 1).as_bytes()));
        let long = |count: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(count));
        assert!(agrees(long(MAX_HEAD - 23).as_bytes()));
        assert!(!agrees(long(MAX_HEAD - 22).as_bytes()));
    }

    #[test]
    fn one_odd_byte_anywhere() {
        for head in [
            "GET /chat HTTP/1.1\r\nHost: bench.example\r\nX-Long-Name-Of-Something: 1\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        ] {
            assert!(agrees(head.as_bytes()));
            for at in 0..head.len() {
                for byte in 0..=u8::MAX {
                    let mut odd = head.as_bytes().to_vec();
                    odd[at] = byte;
                    agrees(&odd);
                }
                assert!(!agrees(&head.as_bytes()[..at]));
                let mut shorter = head.as_bytes().to_vec();
                shorter.remove(at);
                agrees(&shorter);
            }
        }
    }

    fn head() -> impl Strategy<Value = Vec<u8>> {
        let start = proptest::sample::select(vec![
            "GET /a HTTP/1.1\r\n",
            "HTTP/1.1 101 Ok\r\n",
            "CONNECT a:1 HTTP/1.0\r\n",
            "HTTP/1.0 404\r\n",
            "GET /",
        ]);
        let name = prop_oneof![
            6 => proptest::sample::select(Name::all().collect::<Vec<_>>()).prop_map(|name| name.text().to_owned()),
            3 => "[A-Za-z0-9!#~_-]{1,20}",
            1 => "Sec-WebSocket-[a-z]{0,3}",
            1 => "[ -~]{0,5}",
        ];
        let value = prop_oneof![
            5 => "[ \t]{0,2}[!-~]{0,40}[ \t]{0,2}",
            2 => proptest::sample::select(vec!["WebSocket", "chunked", "a, chunked", "12", "12, 12", "1,2", "h2c,websocket"])
                .prop_map(str::to_owned),
            1 => "\\PC{0,4}",
        ];
        let end = prop_oneof![20 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\n "), 1 => Just("\r")];
        let field = (name, value, end).prop_map(|(name, value, end)| format!("{name}:{value}{end}"));
        (start, proptest::collection::vec(field, 0..8))
            .prop_map(|(start, fields)| format!("{start}{}\r\n", fields.concat()).into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn says_what_the_other_readers_say(head in head()) {
            agrees(&head);
        }

        #[test]
        fn finds_the_first(bytes in proptest::collection::vec(prop_oneof![Just(b':'), Just(b';'), any::<u8>()], 0..80)) {
            for wanted in [b':', b'\n', 0, 0xff] {
                prop_assert_eq!(find(&bytes, wanted), bytes.iter().position(|&byte| byte == wanted));
            }
        }
    }
}
