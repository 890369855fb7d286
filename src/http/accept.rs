//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that must answer it (RFC 6455 §4.2.2, item 5.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::handshake::{Accept, Key};
use super::head::{Presence, RequestHead, ResponseHead};
use super::names::Name;

/// The key of RFC 6455 §1.3, copied from there by tests, firmware and people with curl.
pub const RFC_SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

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
    accept_of(key).map(char::from).into_iter().collect()
}

/// [`expected_accept`] as it is written.
fn accept_of(key: &str) -> [u8; ACCEPT_LEN] {
    let hash = Sha1::new_with_prefix(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_LEN];
    let encoded = STANDARD.encode_slice(hash, &mut accept);
    debug_assert_eq!(encoded, Ok(ACCEPT_LEN));
    accept
}

pub(super) fn check_key(request: &RequestHead) -> Key {
    if let Some(key) = request.head.only(Name::SEC_WEBSOCKET_KEY) {
        return if is_valid_key(key) { Key::Valid } else { Key::Malformed };
    }
    // RFC 6455 §11.3.1: the field must not appear more than once in a request.
    match request.head.count(Name::SEC_WEBSOCKET_KEY) {
        Presence::Unknown => Key::Unknown,
        Presence::Missing => Key::Missing,
        Presence::One | Presence::Several => Key::Multiple,
    }
}

/// `certain` tells whether answer and request surely belong together; if not, a mismatch proves nothing.
pub(super) fn check_accept(request: Option<&RequestHead>, response: &ResponseHead, certain: bool) -> Accept {
    let Some(found) = response.head.only(Name::SEC_WEBSOCKET_ACCEPT) else {
        // RFC 6455 §11.3.3: the field must not appear more than once in an answer.
        return match response.head.count(Name::SEC_WEBSOCKET_ACCEPT) {
            Presence::Unknown => Accept::Unknown,
            Presence::Missing => Accept::Absent,
            Presence::One | Presence::Several => Accept::Multiple,
        };
    };
    let Some(key) = request.and_then(RequestHead::websocket_key) else { return Accept::Unknown };
    let expected = accept_of(key);
    if expected == *found.as_bytes() { Accept::Valid } else { unexpected(request, &expected, found, certain) }
}

/// An answer's accept value that does not fit the first key of its request.
#[cold]
#[inline(never)]
fn unexpected(request: Option<&RequestHead>, expected: &[u8], found: &str, certain: bool) -> Accept {
    let other_keys = request.into_iter().flat_map(|request| request.head.values(Name::SEC_WEBSOCKET_KEY).skip(1));
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
