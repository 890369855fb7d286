//! Whether a stream's first bytes are HTTP/1.x, and whether bytes in the middle of a stream are a start line.

use super::proxy;
use super::syntax::{RequestLine, StatusLine, is_token_byte, parse_version};

/// What the first bytes of a direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sniff {
    /// A request.
    Request,
    /// A response.
    Response,
    /// A PROXY protocol header; what follows it is not known yet.
    ProxyHeader,
    /// Too few bytes to tell.
    Maybe,
    /// None of these.
    No,
}

/// The longest method name that is accepted.
pub(super) const MAX_METHOD: usize = 24;
/// The most CR and LF bytes that are skipped in front of a start line.
pub(super) const MAX_BLANK: usize = 64;

/// Methods of which the name and the first byte of a target are proof enough, before the line is whole.
const KNOWN: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH "];

/// What the first bytes of one direction are. HTTP/2's connection preface is not HTTP/1.x: [`Sniff::No`].
pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    if is_plain_get(bytes) {
        return Sniff::Request;
    }
    match proxy::begins(bytes) {
        Some(true) => return Sniff::ProxyHeader,
        None => return Sniff::Maybe,
        Some(false) => {}
    }
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if blank > MAX_BLANK {
        return Sniff::No;
    }
    start_line(&bytes[blank..])
}

/// Whether the bytes are, as far as they go, what a WebSocket client begins with: `GET`, a target, HTTP/1.1. A shortcut
/// for the usual case.
fn is_plain_get(bytes: &[u8]) -> bool {
    const BEHIND_TARGET: &[u8] = b" HTTP/1.1\r\n";
    let Some(rest) = bytes.strip_prefix(b"GET ") else { return false };
    let target = rest.iter().position(|&byte| byte <= b' ' || byte == 0x7f).unwrap_or(rest.len());
    let behind = &rest[target..];
    target > 0 && behind.iter().zip(BEHIND_TARGET).all(|(byte, wanted)| byte == wanted)
}

/// What bytes are where a start line is due.
pub(super) fn start_line(bytes: &[u8]) -> Sniff {
    if bytes.len() < 5 && b"HTTP/".starts_with(bytes) {
        return Sniff::Maybe;
    }
    if let Some(rest) = bytes.strip_prefix(b"HTTP/") {
        return match rest.first() {
            None => Sniff::Maybe,
            Some(byte) if byte.is_ascii_digit() => Sniff::Response,
            Some(_) => Sniff::No,
        };
    }
    let method = bytes.iter().take(MAX_METHOD + 1).take_while(|&&byte| is_token_byte(byte)).count();
    if method == 0 || method > MAX_METHOD {
        return Sniff::No;
    }
    match bytes.get(method) {
        None => return Sniff::Maybe,
        Some(b' ' | b'\t') => {}
        Some(_) => return Sniff::No,
    }
    let end = memchr::memchr(b'\n', bytes);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if has_control(&line[method..]) {
        return Sniff::No;
    }
    if end.is_some() {
        return if bytes[method] == b' ' && is_request(line) { Sniff::Request } else { Sniff::No };
    }
    let known = KNOWN.iter().any(|name| bytes.len() > name.len() && bytes.starts_with(name));
    if known { Sniff::Request } else { Sniff::Maybe }
}

/// Whether `bytes` begin with a whole request line, line end included: proof that a lost direction is in step again.
pub(super) fn is_request_line(bytes: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return false };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let method = line.iter().take_while(|&&byte| is_token_byte(byte)).count();
    if method == 0 || method > MAX_METHOD || line.get(method) != Some(&b' ') || has_control(line) {
        return false;
    }
    is_request(line)
}

/// Whether a line that begins with a method and a blank is a request line.
fn is_request(line: &[u8]) -> bool {
    let parts = RequestLine::parse(line);
    // RFC 9113 §3.4: `PRI * HTTP/2.0` begins an HTTP/2 connection; no HTTP/1.x server may take it for a request.
    !parts.target.is_empty() && parts.version.is_some_and(|version| version.major < 2 || !line.starts_with(b"PRI "))
}

/// Whether there is a control character other than a tab. All bytes are looked at, many at a time.
fn has_control(text: &[u8]) -> bool {
    text.iter().fold(false, |found, &byte| found | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f))
}

/// Whether `bytes` begin with `HTTP/x.y NNN` and the blank or line end behind it.
pub(super) fn is_status_line(bytes: &[u8]) -> bool {
    let Some((_, at)) = parse_version(bytes) else { return false };
    let line = &bytes[..bytes.len().min(at + 32)];
    let Ok(text) = std::str::from_utf8(line.get(..at + 4).unwrap_or_default()) else { return false };
    StatusLine::parse(text).is_some() && matches!(line.get(at + 4), Some(b' ' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell() {
        for (bytes, want) in [
            (&b"GET / HTTP/1.1\r\n"[..], Sniff::Request),
            (b"GET /a", Sniff::Request),
            (b"GET ", Sniff::Maybe),
            (b"G", Sniff::Maybe),
            (b"PROPFIND /x HTTP/1.1\r\n", Sniff::Request),
            (b"PROPFIND /x", Sniff::Maybe),
            (b"get /x HTTP/1.0\n", Sniff::Request),
            (b"\r\n\r\nGET / HTTP/1.1\r\n", Sniff::Request),
            (b"\r\n", Sniff::Maybe),
            (b"HT", Sniff::Maybe),
            (b"HEAD / HTTP/1.1\r\n", Sniff::Request),
            (b"HTTP/1.1 200 OK\r\n", Sniff::Response),
            (b"HTTP/x", Sniff::No),
            (b"PROXY TCP4 1.2.3.4", Sniff::ProxyHeader),
            (b"PROXY", Sniff::Maybe),
            (b"\r\n\r\n\0\r\nQUIT\n", Sniff::ProxyHeader),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniff::No),
            (b"GET /\r\n", Sniff::No),
            (b"EHLO example.org\r\n", Sniff::No),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Sniff::No),
            (b"\x16\x03\x01\x02\x00", Sniff::No),
            (b"\x81\x85abcd", Sniff::No),
            (b"GET /\x00 HTTP/1.1\r\n", Sniff::No),
            (b"", Sniff::Maybe),
        ] {
            assert_eq!(sniff(bytes), want, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn only_whole_start_lines_restart() {
        assert!(is_request_line(b"GET /x HTTP/1.1\r\nHost"));
        assert!(!is_request_line(b"GET /x HTTP/1.1"));
        assert!(!is_request_line(b"Host: GET / HTTP/1.1\r\n"));
        assert!(!is_request_line(b"PRI * HTTP/2.0\r\n"));
        assert!(is_status_line(b"HTTP/1.1 101 Sw"));
        assert!(is_status_line(b"HTTP/1.0 204\r\n"));
        assert!(!is_status_line(b"HTTP/1.1 1012 x"));
        assert!(!is_status_line(b"HTTP/1.1 10"));
        assert!(!is_status_line(b"HTTP/1.1"));
    }
    #[test]
    fn a_plain_get_is_a_request_without_the_shortcut_too() {
        for line in [
            "GET /chat HTTP/1.1\r\nHost: a",
            "GET  / HTTP/1.1\r\n",
            "GET /\x7f HTTP/1.1\r\n",
            "GET /a\tb HTTP/1.1\r\n",
            "GET / HTTP/1.0\r\n",
            "GET / HTTP/1.1\n",
            "GET /a b HTTP/1.1\r\n",
            "GET /\r\n",
            "POST / HTTP/1.1\r\n",
        ] {
            let plain = |bytes: &[u8]| {
                let plain = is_plain_get(bytes);
                assert!(!plain || start_line(bytes) == Sniff::Request, "{}", String::from_utf8_lossy(bytes));
                plain
            };
            for end in 0..=line.len() {
                plain(&line.as_bytes()[..end]);
            }
            assert_eq!(plain(line.as_bytes()), line.starts_with("GET /chat"), "{line}");
        }
    }
}
