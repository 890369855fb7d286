//! Text where a frame header is due: `HTTP/1.1 500 …` written into the upgraded stream, and the like (WSF415, WSH332).
//!
//! Every printable ASCII character, read as the first byte of a frame, has FIN clear and a reserved bit set. So legal
//! traffic begins so only with permessage-deflate, in a fragmented compressed message (`A`, `B`); text is therefore
//! recognised only by several bytes, or if it is illegal as a header in any case.

use super::facts::ForeignKind;

/// How many bytes decide at most.
#[cfg(test)]
const SPELLED: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recognition {
    /// It is this.
    Known(ForeignKind),
    /// More bytes are needed.
    Undecided,
    /// It is not foreign text.
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

/// Classifies the bytes at a frame boundary.
#[cold]
pub(super) fn recognise(bytes: &[u8]) -> Recognition {
    let mut undecided = false;
    for &(spelling, kind) in SPELLINGS {
        let common = spelling.len().min(bytes.len());
        // Method names and HTTP are case-sensitive (RFC 9112 §2.3, RFC 9110 §9.1); markup is not.
        let same = match kind {
            ForeignKind::Html => bytes[..common].eq_ignore_ascii_case(&spelling[..common]),
            _ => bytes[..common] == spelling[..common],
        };
        if same && common == spelling.len() {
            return Recognition::Known(kind);
        }
        undecided |= same;
    }
    match json(bytes).max_with(chunk_size(bytes)) {
        Recognition::No if undecided => Recognition::Undecided,
        other => other,
    }
}

impl Recognition {
    fn max_with(self, other: Recognition) -> Recognition {
        match (self, other) {
            (Recognition::Known(kind), _) | (_, Recognition::Known(kind)) => Recognition::Known(kind),
            (Recognition::Undecided, _) | (_, Recognition::Undecided) => Recognition::Undecided,
            _ => Recognition::No,
        }
    }
}

/// `{"` or `[{"`, then printable text: eight characters in all. `{` and `[` are illegal as first header bytes whatever
/// the extension (RSV2 or RSV3 and opcode 11).
fn json(bytes: &[u8]) -> Recognition {
    let printable = |rest: &[u8]| {
        if !rest.iter().take(8).all(|byte| matches!(byte, b' '..=b'~')) {
            Recognition::No
        } else if bytes.len() >= 8 {
            Recognition::Known(ForeignKind::Json)
        } else {
            Recognition::Undecided
        }
    };
    match bytes {
        [b'{'] | [b'['] | [b'[', b'{'] => Recognition::Undecided,
        [b'{', b'"', rest @ ..] | [b'[', b'{', b'"', rest @ ..] => printable(rest),
        _ => Recognition::No,
    }
}

/// One to eight hexadecimal digits and CRLF (RFC 9112 §7.1). `A` and `B` may begin a frame where permessage-deflate is
/// agreed, so these are left alone: as a chunk size they would be ten or more bytes in one digit, or thousands.
fn chunk_size(bytes: &[u8]) -> Recognition {
    if matches!(bytes.first(), Some(b'A' | b'B')) {
        return Recognition::No;
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    match (digits, &bytes[digits..]) {
        (0 | 9.., _) => Recognition::No,
        (_, [] | [b'\r']) => Recognition::Undecided,
        (_, [b'\r', b'\n', ..]) => Recognition::Known(ForeignKind::ChunkSize),
        _ => Recognition::No,
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
                    Recognition::Known(found) => {
                        assert_eq!(found, kind);
                        known = true;
                    }
                    Recognition::Undecided => assert!(!known && length < SPELLED),
                    Recognition::No => panic!("{text:?} at {length}"),
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
                        assert_eq!(found, Recognition::No, "{first:#x} {second:#x} {third:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn other_text_is_not_guessed_at() {
        for text in [&b"hello"[..], b"HTTQ", b"{x", b"12345678901\r\n", b"zz\r\n", b"A\r\n", b"<p>"] {
            assert_eq!(recognise(text), Recognition::No, "{text:?}");
        }
    }
}
