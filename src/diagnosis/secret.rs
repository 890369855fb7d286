//! What is a secret: names and values that must not be shown, and that should not travel in the clear.
//!
//! Only recognises; taking out is the business of output. Errs on the side of calling something a secret.

use std::borrow::Cow;

/// Values shorter than this are never taken for secrets by their looks alone.
pub(crate) const MIN_LENGTH: usize = 20;

/// Words that make a name the name of a secret wherever they stand in it.
pub(crate) const SECRET_WORDS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "auth",
    "authorization",
    "jwt",
    "bearer",
    "apikey",
    "signature",
    "sig",
    "credential",
    "credentials",
    "ticket",
    "session",
    "csrf",
    "xsrf",
    "cookie",
];

/// Endings that make a single word the name of a secret: `authtoken`, `JSESSIONID`, `PHPSESSID`.
pub(crate) const SECRET_ENDINGS: &[&str] =
    &["token", "secret", "password", "apikey", "accesskey", "sessionid", "sessid"];

/// Words that make a following `key` a secret.
pub(crate) const KEY_KINDS: &[&str] =
    &["api", "access", "secret", "private", "auth", "session", "account", "shared", "master"];

/// Names that are secrets only in the query of a URL; elsewhere they mean too many other things.
pub(crate) const SECRET_IN_QUERY: &[&str] = &["key", "id", "sid", "code", "connectionid"];

/// Splits a name into lower-case words: `X-Amz-Signature`, `access_token`, `sessionId`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for c in name.chars() {
        let new = !c.is_alphanumeric() || (c.is_uppercase() && previous.is_lowercase());
        if new && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        previous = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

pub(crate) fn is_secret_word(word: &str) -> bool {
    SECRET_WORDS.contains(&word) || SECRET_ENDINGS.iter().any(|ending| word.ends_with(ending))
}

pub(crate) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    words.iter().any(|word| is_secret_word(word))
        || words.windows(2).any(|pair| pair[1] == "key" && KEY_KINDS.contains(&pair[0].as_str()))
}

pub(crate) fn ends_in_secret_word(name: &str) -> bool {
    words(name).last().is_some_and(|word| is_secret_word(word) || word == "key")
}

pub(crate) fn is_secret_in_query(name: &str) -> bool {
    is_secret_name(name) || SECRET_IN_QUERY.contains(&words(name).concat().as_str())
}

/// Three parts in base64url, the first of which begins with `{"` (RFC 7519 §3).
pub(crate) fn is_jwt(text: &str) -> bool {
    let mut parts = text.split('.');
    text.starts_with("eyJ")
        && parts.next().is_some_and(|part| part.len() >= 8)
        && parts.next().is_some_and(|part| part.len() >= 2)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// Base64 of 16 or 20 bytes: Sec-WebSocket-Key and Sec-WebSocket-Accept, which are no secrets.
pub(crate) fn is_handshake_value(text: &str) -> bool {
    (text.len() == 24 && text.ends_with("==")) || (text.len() == 28 && text.ends_with('=') && !text.ends_with("=="))
}

/// A UUID (RFC 9562 §4), which in messages names things; in a query it counts as random.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

pub(crate) fn looks_secret(value: &str) -> bool {
    is_jwt(value) || is_user_password(value) || (value.len() >= MIN_LENGTH && is_random(value))
}

/// `user:password`, but not `host:3000`, `12:30` or `https://…`.
pub(crate) fn is_user_password(value: &str) -> bool {
    let Some((user, password)) = value.split_once(':') else { return false };
    !user.is_empty()
        && password.len() >= 3
        && !password.contains([':', '/'])
        && !value.contains(char::is_whitespace)
        && !password.bytes().all(|b| b.is_ascii_digit())
        && password.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b.is_ascii_punctuation())
}

/// Whether the characters look drawn by lot: letters and digits mixed, or cases mixed without a pattern.
pub(crate) fn is_random(text: &str) -> bool {
    let (mut letters, mut digits, mut case_changes) = (0, 0, 0);
    let mut counts = [0_u32; 256];
    let mut upper = None;
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'z' | b'A'..=b'Z' => {
                letters += 1;
                let now = byte.is_ascii_uppercase();
                case_changes += usize::from(upper.is_some_and(|before| before != now));
                upper = Some(now);
            }
            b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b'~' | b'%' | b':' | b'!' | b'$' | b'*' => upper = None,
            _ => return false,
        }
    }
    let total = text.len() as f64;
    let entropy: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum();
    entropy >= 3.0 && ((letters >= 4 && digits >= 3) || case_changes * 4 >= text.len())
}

pub(crate) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |b: u8| (b as char).to_digit(16);
        if bytes[at] == b'%'
            && let (Some(high), Some(low)) =
                (bytes.get(at + 1).copied().and_then(hex), bytes.get(at + 2).copied().and_then(hex))
        {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}
