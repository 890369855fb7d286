//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that must answer it (RFC 6455 §4.2.2, item 5.4).

use tungstenite::handshake::derive_accept_key;

use super::handshake::{Accept, Key};
use super::head::{Presence, RequestHead, ResponseHead};
use super::names::Name;

/// The key of RFC 6455 §1.3, copied from there by tests, firmware and people with curl.
pub const RFC_SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The characters of base64 (RFC 4648 §4).
const ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'+' | b'/');
        byte += 1;
    }
    table
};

/// Whether `key` is the base64 of exactly 16 bytes: 22 characters of the alphabet and two `=`. Of the last character
/// only the upper two bits count, as most decoders have it.
#[must_use]
pub fn is_valid_key(key: &str) -> bool {
    let bytes = key.as_bytes();
    bytes.len() == 24
        && bytes[22..] == *b"=="
        && bytes[..22].iter().fold(true, |fit, &byte| fit & ALPHABET[usize::from(byte)])
}

/// The accept value for a key, valid or not: servers that do not check a key hash whatever came.
#[must_use]
pub fn expected_accept(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}

pub(super) fn check_key(request: &RequestHead) -> Key {
    // RFC 6455 §11.3.1: the field must not appear more than once in a request.
    match request.head.count(Name::SEC_WEBSOCKET_KEY) {
        Presence::Unknown => Key::Unknown,
        Presence::Missing => Key::Missing,
        Presence::Several => Key::Multiple,
        Presence::One if request.websocket_key().is_some_and(is_valid_key) => Key::Valid,
        Presence::One => Key::Malformed,
    }
}

/// `certain` tells whether answer and request surely belong together; if not, a mismatch proves nothing.
pub(super) fn check_accept(request: Option<&RequestHead>, response: &ResponseHead, certain: bool) -> Accept {
    // RFC 6455 §11.3.3: the field must not appear more than once in an answer.
    let found = match response.head.count(Name::SEC_WEBSOCKET_ACCEPT) {
        Presence::Unknown => return Accept::Unknown,
        Presence::Missing => return Accept::Absent,
        Presence::Several => return Accept::Multiple,
        Presence::One => response.head.first(Name::SEC_WEBSOCKET_ACCEPT).unwrap_or_default(),
    };
    let Some(request) = request else { return Accept::Unknown };
    let mut keys = request.head.values(Name::SEC_WEBSOCKET_KEY);
    let Some(first) = keys.next() else { return Accept::Unknown };
    let expected = expected_accept(first);
    if expected == found || keys.take(8).any(|key| expected_accept(key) == found) {
        Accept::Valid
    } else if certain {
        Accept::Mismatch { expected: expected.into(), found: found.into() }
    } else {
        Accept::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert!(is_valid_key(RFC_SAMPLE_KEY));
        for bad in [
            "test",
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ==a",
            "dGhlIHNhbXBsZSBub25j!Q==",
            "dGhlIHNhbXBsZSBub25jZQA=",
        ] {
            assert!(!is_valid_key(bad), "{bad}");
        }
        // RFC 6455 §1.3.
        assert_eq!(expected_accept(RFC_SAMPLE_KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
