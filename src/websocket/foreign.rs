//! Text where a frame header is due: `HTTP/1.1 500 …` written into the upgraded stream, and its kin (WSF415, WSH332).
//!
//! Every printable ASCII character, read as the first byte of a frame, has FIN clear and a reserved bit set. So legal
//! traffic comes here only with permessage-deflate, for a fragmented compressed message (`A`, `B`); what is recognised
//! is therefore spelled out over several bytes, or is illegal as a header in any case.

use super::facts::ForeignKind;

/// How many bytes decide at most.
#[cfg(test)]
const SPELLED: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// It is this.
    Known(ForeignKind),
    /// So far it could be; more bytes will tell.
    Undecided,
    /// It is none.
    No,
}

/// Whether `first` could begin such text: a cheap test that nearly all frames fail.
#[inline]
pub(super) const fn may_begin(first: u8) -> bool {
    first & 0x80 == 0 && first & 0x70 != 0
}

/// Beginnings that are compared without regard to case.
const SPELLINGS: &[(&[u8], ForeignKind)] = &[
    (b"HTTP/1.", ForeignKind::HttpResponse),
    (b"HTTP/2 ", ForeignKind::HttpResponse),
    (b"GET /", ForeignKind::HttpRequest),
    (b"POST /", ForeignKind::HttpRequest),
    (b"HEAD /", ForeignKind::HttpRequest),
    (b"PUT /", ForeignKind::HttpRequest),
    (b"OPTIONS ", ForeignKind::HttpRequest),
    (b"DELETE /", ForeignKind::HttpRequest),
    (b"<!doctype", ForeignKind::Html),
    (b"<html", ForeignKind::Html),
    (b"<head", ForeignKind::Html),
    (b"<body", ForeignKind::Html),
    (b"<title", ForeignKind::Html),
    (b"<h1>", ForeignKind::Html),
    (b"<?xml", ForeignKind::Html),
];

/// Looks at the bytes at a frame boundary.
#[cold]
pub(super) fn recognise(bytes: &[u8]) -> Text {
    let mut undecided = false;
    for &(spelling, kind) in SPELLINGS {
        let common = spelling.len().min(bytes.len());
        // Method names and HTTP are case-sensitive (RFC 9112 §2.3, RFC 9110 §9.1); markup is not.
        let same = match kind {
            ForeignKind::Html => bytes[..common].eq_ignore_ascii_case(&spelling[..common]),
            _ => bytes[..common] == spelling[..common],
        };
        if same && common == spelling.len() {
            return Text::Known(kind);
        }
        undecided |= same;
    }
    match json(bytes).max_with(chunk_size(bytes)) {
        Text::No if undecided => Text::Undecided,
        other => other,
    }
}

impl Text {
    fn max_with(self, other: Text) -> Text {
        match (self, other) {
            (Text::Known(kind), _) | (_, Text::Known(kind)) => Text::Known(kind),
            (Text::Undecided, _) | (_, Text::Undecided) => Text::Undecided,
            _ => Text::No,
        }
    }
}

/// `{"` or `[{"`, then printable text: eight characters in all. `{` and `[` are illegal as first header bytes whatever
/// the extension (RSV2 or RSV3 and opcode 11).
fn json(bytes: &[u8]) -> Text {
    let printable = |rest: &[u8]| {
        if !rest.iter().take(8).all(|byte| matches!(byte, b' '..=b'~')) {
            Text::No
        } else if bytes.len() >= 8 {
            Text::Known(ForeignKind::Json)
        } else {
            Text::Undecided
        }
    };
    match bytes {
        [b'{'] | [b'['] | [b'[', b'{'] => Text::Undecided,
        [b'{', b'"', rest @ ..] | [b'[', b'{', b'"', rest @ ..] => printable(rest),
        _ => Text::No,
    }
}

/// One to eight hexadecimal digits and CRLF (RFC 9112 §7.1). `A` and `B` may begin a frame where permessage-deflate is
/// agreed, so these are left alone: as a chunk size they would be ten or more bytes in one digit, or thousands.
fn chunk_size(bytes: &[u8]) -> Text {
    if matches!(bytes.first(), Some(b'A' | b'B')) {
        return Text::No;
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    match (digits, &bytes[digits..]) {
        (0 | 9.., _) => Text::No,
        (_, [] | [b'\r']) => Text::Undecided,
        (_, [b'\r', b'\n', ..]) => Text::Known(ForeignKind::ChunkSize),
        _ => Text::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::header::Header;

    #[test]
    fn recognised_at_every_length() {
        for (text, kind) in [
            (&b"HTTP/1.1 500 INTERNAL"[..], ForeignKind::HttpResponse),
            (b"<!DOCTYPE html>", ForeignKind::Html),
            (b"<HTML lang=en>", ForeignKind::Html),
            (b"{\"error\":\"x\"}", ForeignKind::Json),
            (b"[{\"a\":1}]", ForeignKind::Json),
            (b"1f4\r\n", ForeignKind::ChunkSize),
            (b"0\r\n\r\n", ForeignKind::ChunkSize),
            (b"GET /x HTTP/1.1", ForeignKind::HttpRequest),
        ] {
            let mut known = false;
            for length in 1..=text.len() {
                match recognise(&text[..length]) {
                    Text::Known(found) => {
                        assert_eq!(found, kind);
                        known = true;
                    }
                    Text::Undecided => assert!(!known && length < SPELLED),
                    Text::No => panic!("{text:?} at {length}"),
                }
            }
            assert!(known, "{text:?}");
        }
    }

    /// The promise that legal traffic is never misread: whatever is recognised is illegal as a header, with or
    /// without compression, unless it spells HTTP over seven bytes.
    #[test]
    fn what_is_recognised_is_never_a_legal_header() {
        for first in 0..=u8::MAX {
            let header = Header { first, size: 2, ..Header::default() };
            let control_in_parts = header.control() && !header.fin();
            let marked_continuation = header.rsv() == 4 && header.opcode() == 0;
            let illegal = header.rsv() & 3 != 0 || header.reserved() || control_in_parts || marked_continuation;
            if !illegal {
                for second in 0..=u8::MAX {
                    for third in [b'\r', b'0', b' ', b'T'] {
                        let found = recognise(&[first, second, third, b'\n', b'\r', b'\n', b'x', b'x', b'x', b'x']);
                        assert_eq!(found, Text::No, "{first:#x} {second:#x} {third:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn other_text_is_not_guessed_at() {
        for text in [&b"hello"[..], b"HTTQ", b"{x", b"12345678901\r\n", b"zz\r\n", b"A\r\n", b"<p>"] {
            assert_eq!(recognise(text), Text::No, "{text:?}");
        }
    }
}
