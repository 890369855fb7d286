//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that must answer it (RFC 6455 §4.2.2, item 5.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::field_name::Name;
use super::head::{Presence, RequestHead, ResponseHead};

/// The sample key of RFC 6455 §1.3, which tests, firmware and people with curl copy.
pub(crate) const RFC_SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a server appends to the key before it hashes it (RFC 6455 §1.3).
const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Length of an accept value: a SHA-1 hash in base64.
const ACCEPT_LEN: usize = 28;

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

/// `Sec-WebSocket-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The head was cut before such a field was seen.
    Unknown,
    /// Not there.
    Missing,
    /// No base64 of 16 bytes (RFC 6455 §4.1, item 7 on the request).
    Malformed,
    /// More than one field (RFC 6455 §11.3.1).
    Multiple,
    /// As it should be.
    Valid,
}

/// `Sec-WebSocket-Accept` (RFC 6455 §4.2.2, item 5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// The answer's or the request's head was cut before such a field was seen, or the request was not captured.
    Unknown,
    /// Not there.
    Absent,
    /// It fits the key.
    Valid,
    /// It does not.
    Mismatch {
        /// What it should have been.
        expected: Box<str>,
        /// What it was.
        found: Box<str>,
    },
    /// More than one field (RFC 6455 §11.3.3).
    Multiple,
}

/// Whether `key` is the base64 of exactly 16 bytes: 22 characters of the alphabet and two `=`. Of the last character
/// only the upper two bits count, as most decoders have it.
#[must_use]
pub(crate) fn is_valid_key(key: &str) -> bool {
    let bytes = key.as_bytes();
    bytes.len() == 24
        && bytes[22..] == *b"=="
        && bytes[..22].iter().fold(true, |fit, &byte| fit & ALPHABET[usize::from(byte)])
}

/// The value of `Sec-WebSocket-Accept` that answers this key (RFC 6455 §4.2.2, item 5.4).
fn accept_of(key: &str) -> [u8; ACCEPT_LEN] {
    let hash = Sha1::new_with_prefix(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_LEN];
    let encoded = STANDARD.encode_slice(hash, &mut accept);
    debug_assert_eq!(encoded, Ok(ACCEPT_LEN));
    accept
}

pub(super) fn check_key(request: &RequestHead) -> Key {
    if let Some(key) = request.head.only(Name::SecWebSocketKey) {
        return if is_valid_key(key) { Key::Valid } else { Key::Malformed };
    }
    // RFC 6455 §11.3.1: the field must not appear more than once in a request.
    match request.head.count(Name::SecWebSocketKey) {
        Presence::Unknown => Key::Unknown,
        Presence::Missing => Key::Missing,
        Presence::One | Presence::Several => Key::Multiple,
    }
}

/// `certain` tells whether answer and request surely belong together; if not, a mismatch proves nothing.
pub(super) fn check_accept(request: Option<&RequestHead>, response: &ResponseHead, certain: bool) -> Accept {
    let Some(found) = response.head.only(Name::SecWebSocketAccept) else {
        // RFC 6455 §11.3.3: the field must not appear more than once in an answer.
        return match response.head.count(Name::SecWebSocketAccept) {
            Presence::Unknown => Accept::Unknown,
            Presence::Missing => Accept::Absent,
            Presence::One | Presence::Several => Accept::Multiple,
        };
    };
    let Some(key) = request.and_then(RequestHead::websocket_key) else { return Accept::Unknown };
    let expected = accept_of(key);
    if expected == *found.as_bytes() { Accept::Valid } else { unexpected(request, &expected, found, certain) }
}

/// Judges an accept value that does not fit the first key of its request.
#[cold]
#[inline(never)]
fn unexpected(request: Option<&RequestHead>, expected: &[u8], found: &str, certain: bool) -> Accept {
    let other_keys = request.into_iter().flat_map(|request| request.head.values(Name::SecWebSocketKey).skip(1));
    if other_keys.take(8).any(|key| accept_of(key) == *found.as_bytes()) {
        Accept::Valid
    } else if certain {
        let expected = expected.iter().copied().map(char::from).collect();
        Accept::Mismatch { expected, found: found.into() }
    } else {
        Accept::Unknown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::handshake::derive_accept_key;

    use super::*;

    fn expected_accept(key: &str) -> String {
        accept_of(key).into_iter().map(char::from).collect()
    }

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
    proptest! {
        #[test]
        fn tungstenite_derives_the_same(key in "\\PC{0,80}") {
            prop_assert_eq!(expected_accept(&key), derive_accept_key(key.as_bytes()));
        }
    }
}
