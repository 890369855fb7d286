//! Scanner for running text and payloads: URLs, `name=value`, JSON members, authentication schemes, JSON Web Tokens and
//! random strings, each hidden where it stands. Knows nothing of the model.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Redactor, is_mark_start};
use crate::diagnosis::secret::{
    MIN_LENGTH, ends_in_secret_word, is_handshake_value, is_jwt, is_random, is_secret_in_query, is_secret_name,
    is_uuid, looks_secret, percent_decoded,
};

/// Types of messages that carry credentials.
const LOGIN_TYPES: &[&str] =
    &["connection_init", "auth", "authenticate", "authentication", "authorize", "login", "identify"];

/// The bytes of running text that may be part of something random.
const IN_RUN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'_' | b'-' | b'+' | b'/');
        byte += 1;
    }
    table
};

/// Whether any rule for running text could apply: there is a character that announces a value, the beginning of a
/// JSON Web Token, the name of an authentication scheme or, if `looks` says so, a run of characters long enough to
/// be random. Most texts are told apart here, at a glance.
fn may_hold_secret(text: &[u8], looks: bool) -> bool {
    has_sign(text) || (looks && has_long_run(text))
}

/// Whether there are [`MIN_LENGTH`] bytes of [`IN_RUN`] in a row.
pub(super) fn has_long_run(text: &[u8]) -> bool {
    let mut rest = text;
    // Such a run within the next bytes ends no earlier than with the last of them: look from there.
    while let Some(next) = rest.get(..MIN_LENGTH) {
        match next.iter().rposition(|byte| !IN_RUN[usize::from(*byte)]) {
            None => return true,
            Some(at) => rest = &rest[at + 1..],
        }
    }
    false
}

/// Whether a character announces a value, a JSON Web Token begins, or an authentication scheme is named.
fn has_sign(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Which bytes of eight are `byte`, by their high bits. A borrow may set the bit of a byte behind such a one.
    const fn equal(word: u64, byte: u8) -> u64 {
        let zero = word ^ (ONES * byte as u64);
        zero.wrapping_sub(ONES) & !zero & (ONES * 0x80)
    }
    let mut at = 0;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        if equal(word, b'=') | equal(word, b'"') | equal(word, b'@') | equal(word, b'<') != 0 {
            return true;
        }
        let mut candidates = equal(word, b'J') | equal(word | (ONES * 0x20), b'b');
        while candidates != 0 {
            if is_sign(text, at + candidates.trailing_zeros() as usize / 8) {
                return true;
            }
            candidates &= candidates - 1;
        }
        at += 8;
    }
    (at..text.len()).any(|at| is_sign(text, at))
}

/// Whether there is such a sign at `at`: of a token, at its third character.
fn is_sign(text: &[u8], at: usize) -> bool {
    match text[at] {
        b'=' | b'"' | b'@' | b'<' => true,
        b'J' => text[..at].ends_with(b"ey"),
        b'b' | b'B' => {
            let scheme = |name: &[u8]| text[at..].get(..name.len()).is_some_and(|s| s.eq_ignore_ascii_case(name));
            (scheme(b"bearer") || scheme(b"basic")) && !text[..at].last().is_some_and(|b| IN_RUN[usize::from(*b)])
        }
        _ => false,
    }
}

impl Redactor {
    /// A request target or a URL: secrets in the query and before the host, and JSON Web Tokens anywhere. The
    /// path stays.
    pub(super) fn target<'t>(&self, target: &'t str) -> Cow<'t, str> {
        self.plain(target, false)
    }

    /// Text written by wsscan or by a peer: everything that looks like a secret.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.key.is_none() || !may_hold_secret(text.as_bytes(), true) {
            return Cow::Borrowed(text);
        }
        self.quoted(text, false, 0)
    }

    /// What a message or a body says: as [`Self::text`], and the login messages of known protocols.
    pub fn payload<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.key.is_none() {
            return Cow::Borrowed(text);
        }
        self.payload_at(text, 0)
    }

    /// Base64 of a message. A login packet (MQTT CONNECT) is hidden whole; text inside is treated as text.
    pub fn base64<'t>(&self, encoded: &'t str) -> Cow<'t, str> {
        if self.key.is_none() {
            return Cow::Borrowed(encoded);
        }
        let Ok(bytes) = STANDARD.decode(encoded) else { return Cow::Owned(self.hide(encoded)) };
        let mqtt_connect =
            bytes.first() == Some(&0x10) && bytes.windows(4).take(8).any(|w| w == b"MQTT" || w == b"MQIs");
        if mqtt_connect {
            return Cow::Owned(self.hide(encoded));
        }
        let text = String::from_utf8_lossy(&bytes);
        if self.payload(&text) == text { Cow::Borrowed(encoded) } else { Cow::Owned(self.hide(encoded)) }
    }

    fn payload_at<'t>(&self, text: &'t str, depth: u8) -> Cow<'t, str> {
        if text.starts_with("CONNECT\n") || text.starts_with("STOMP\n") || text.starts_with("CONNECT\r\n") {
            return Cow::Owned(self.stomp(text));
        }
        if memchr::memchr(b'"', text.as_bytes()).is_none() {
            return self.plain(text, true);
        }
        let compact: String = text.chars().take(200).filter(|c| !c.is_whitespace()).collect();
        // WAMP AUTHENTICATE: [5, Signature, Extra].
        if let Some(after) = compact.strip_prefix("[5,\"") {
            let signature = after.split('"').next().unwrap_or_default();
            if !signature.is_empty() {
                let hidden = text.replacen(signature, &self.hide(signature), 1);
                return Cow::Owned(self.quoted(&hidden, true, depth).into_owned());
            }
        }
        let login = has_login_type(&compact)
            || compact.contains("\"phx_join\"")
            || compact.contains("\"action\":\"auth")
            || compact.contains("\"op\":\"login\"")
            || (compact.starts_with("40") && compact.contains('{'));
        self.quoted(text, login, depth)
    }

    /// STOMP CONNECT: `passcode` and `login` are headers of the frame.
    fn stomp(&self, text: &str) -> String {
        text.split_inclusive('\n')
            .map(|line| match line.trim_end().split_once(':') {
                Some((name, value)) if name == "login" || is_secret_name(name) => {
                    let end = &line[line.trim_end().len()..];
                    Cow::Owned(format!("{name}:{}{end}", self.hide(value)))
                }
                _ => self.plain(line, true),
            })
            .collect()
    }

    /// Text with JSON or other quoted strings in it, perhaps cut off anywhere. With `all`, the string value
    /// of every member is hidden except of those that only name the message.
    fn quoted<'t>(&self, text: &'t str, all: bool, depth: u8) -> Cow<'t, str> {
        const HARMLESS: &[&str] =
            &["type", "event", "topic", "ref", "join_ref", "id", "op", "action", "version", "method"];
        if memchr::memchr(b'"', text.as_bytes()).is_none() {
            return self.plain(text, true);
        }
        let mut out = String::with_capacity(text.len() + 16);
        let mut rest = text;
        while let Some(at) = rest.find('"') {
            let (before, from) = rest.split_at(at);
            out.push_str(&self.plain(before, true));
            let (body, after) = string_body(&from[1..]);
            let value = after.strip_prefix('"').map(str::trim_start).and_then(|after| after.strip_prefix(':'));
            let Some(value) = value else {
                // A string that names nothing.
                out.push('"');
                out.push_str(&self.string(body, depth));
                out.push_str(&after[..after.len().min(1)]);
                rest = &after[after.len().min(1)..];
                continue;
            };
            let value = value.trim_start();
            let start = from.len() - value.len();
            out.push_str(&from[..start]);
            let secret = is_secret_name(body);
            rest = value;
            if let Some(inner) = value.strip_prefix('"') {
                let (body_value, after) = string_body(inner);
                let hidden = secret || (all && !HARMLESS.iter().any(|name| name.eq_ignore_ascii_case(body)));
                out.push('"');
                out.push_str(&if hidden { Cow::Owned(self.hide(body_value)) } else { self.string(body_value, depth) });
                let quote = after.len().min(1);
                out.push_str(&after[..quote]);
                rest = &after[quote..];
            } else if secret && ends_in_secret_word(body) {
                let number = value.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
                let number = &value[..number.unwrap_or(value.len())];
                if number.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
                    let _ = write!(out, "\"{}\"", self.hide(number));
                    rest = &value[number.len()..];
                }
            }
        }
        out.push_str(&self.plain(rest, true));
        Cow::Owned(out)
    }

    /// The inside of a quoted string, which may hold quoted JSON again.
    fn string<'t>(&self, body: &'t str, depth: u8) -> Cow<'t, str> {
        const MAX_DEPTH: u8 = 3;
        if depth < MAX_DEPTH
            && body.contains("\\\"")
            && let Ok(inner) = serde_json::from_str::<String>(&format!("\"{body}\""))
        {
            let redacted = self.payload_at(&inner, depth + 1);
            if redacted == inner {
                return Cow::Borrowed(body);
            }
            let quoted = serde_json::to_string(&redacted).unwrap_or_default();
            return Cow::Owned(quoted[1..quoted.len().max(2) - 1].to_owned());
        }
        self.plain(body, true)
    }

    /// Text without quotes: user information and query values of URLs, `name=value` with a secret name, bearer
    /// tokens, JSON Web Tokens and, if `looks` says so, whatever looks random.
    pub(super) fn plain<'t>(&self, text: &'t str, looks: bool) -> Cow<'t, str> {
        if self.key.is_none() || !may_hold_secret(text.as_bytes(), looks) {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        let mut copied = 0;
        let mut at = 0;
        let mut previous = ' ';
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            let mut taken = c.len_utf8();
            let mut secret = None;
            if is_mark_start(rest) {
                taken = rest.find('>').map_or(rest.len(), |end| end + 1);
            } else if let Some(after) = rest.strip_prefix("://") {
                let authority = &after[..after.find(|c: char| "/?#\"'<>\\ \t\r\n".contains(c)).unwrap_or(after.len())];
                taken = 3;
                if let Some(end) = authority.rfind('@') {
                    taken += end;
                    secret = Some(3);
                }
            } else if is_word(c) && !is_word(previous) {
                (taken, secret) = word(rest, previous, looks);
            }
            if let Some(start) = secret {
                out.push_str(&text[copied..at + start]);
                out.push_str(&self.hide(&rest[start..taken]));
                copied = at + taken;
            }
            at += taken;
            previous = text[..at].chars().next_back().unwrap_or(' ');
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }
}

/// How many bytes the word at the start of `rest` takes with what belongs to it, and where in them a secret begins
/// that reaches to their end.
fn word(rest: &str, previous: char, looks: bool) -> (usize, Option<usize>) {
    let word = &rest[..rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())];
    let after = &rest[word.len()..];
    if let Some(value) = after.strip_prefix('=')
        && !value.starts_with('=')
    {
        let value = &value[..value.find(|c: char| "&#\"'<>|\\ \t\r\n".contains(c)).unwrap_or(value.len())];
        let in_query = matches!(previous, '?' | '&');
        let value = if in_query { value } else { value.split([',', ';', ')']).next().unwrap_or(value) };
        let secret = if in_query {
            is_secret_in_query(word) || looks_secret(&percent_decoded(value))
        } else {
            is_secret_name(word)
        };
        if secret && !value.is_empty() {
            return (word.len() + 1 + value.len(), Some(word.len() + 1));
        }
    }
    if is_jwt(word) {
        return (word.len(), Some(0));
    }
    if ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
        && let Some(token) = after.strip_prefix(' ')
    {
        let token = &token[..token.find(|c: char| !is_token(c)).unwrap_or(token.len())];
        let token = token.trim_end_matches('.');
        let ordinary = token.chars().skip(1).all(|c| c.is_ascii_lowercase());
        if token.len() >= 8 && !ordinary {
            return (word.len() + 1 + token.len(), Some(word.len() + 1));
        }
    }
    if looks && previous != '/' {
        let token = &rest[..rest.find(|c: char| !is_base64(c)).unwrap_or(rest.len())];
        let path = token.matches('/').count() > 1;
        if token.len() >= MIN_LENGTH && !path && !is_handshake_value(token) && !is_uuid(token) && is_random(token) {
            return (token.len(), Some(0));
        }
    }
    (word.len(), None)
}

/// Whether a member `type` of JSON without spaces is one of [`LOGIN_TYPES`].
fn has_login_type(compact: &str) -> bool {
    const MEMBER: &str = "\"type\":\"";
    let mut rest = compact;
    while let Some(at) = rest.find(MEMBER) {
        // From the quotation mark on: it may begin the next such member of a broken text.
        rest = &rest[at + MEMBER.len() - 1..];
        if rest[1..].split_once('"').is_some_and(|(kind, _)| LOGIN_TYPES.contains(&kind)) {
            return true;
        }
    }
    false
}

/// The inside of a JSON string that has been opened, and what follows from its closing quote on.
fn string_body(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return text.split_at(at),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    (text, "")
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.%$[]".contains(c)
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.~+/=".contains(c)
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+/=".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::JWT;
    use super::*;

    #[test]
    fn types_of_messages() {
        for (text, login) in [
            (r#"{"type":"auth"}"#, true),
            (r#"{"type":"ping","and":{"type":"login","#, true),
            (r#"{"type":"type":"auth""#, true),
            (r#"{"type":"authentic"}"#, false),
            (r#"{"type":"auth"#, false),
            (r#"{"type":""}"#, false),
            ("", false),
        ] {
            assert_eq!(has_login_type(text), login, "{text}");
        }
    }

    /// As the rules for running text say it, byte by byte.
    fn may_hold_secret_by_the_byte(text: &[u8], looks: bool) -> bool {
        let mut run = 0;
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'=' | b'"' | b'@' | b'<' => return true,
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' | b'+' | b'/' => {
                    let rest = &text[at..];
                    let word =
                        |name: &[u8]| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
                    if rest.starts_with(b"eyJ")
                        || (run == 0 && matches!(byte | 0x20, b'b') && (word(b"bearer") || word(b"basic")))
                    {
                        return true;
                    }
                    run += 1;
                    if looks && run >= MIN_LENGTH {
                        return true;
                    }
                }
                _ => run = 0,
            }
        }
        false
    }

    /// Text made of what the rules look for, and of what looks nearly so.
    fn telling_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => "[ -~é\\n]{0,12}",
            2 => "[A-Za-z0-9_+/-]{1,24}",
            2 => "[a-z ,.;:]{0,30}",
            3 => prop::sample::select(vec![
                "=", "\"", "@", "<", "eyJ", "eyK", "ey", "J", "Bearer ", "bearer ", "BASIC ", "basi", "x-basic ", "b",
                "B", " ", "?token=", "&sid=", "://", "user:Pa55word@", "\"type\":\"", "\"auth\"", "{\"password\":",
                "\\\"", "[5,\"", "CONNECT\n", "passcode:", "40{", "<redacted:1a2b3c4d>", "<redacted:", JWT,
                "graphql-ws", "bearer", "access_token", "header-", ", ", "\u{e9}", "%3A",
            ]).prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_glance_is_as_good_as_reading(text in telling_text(), bytes: Vec<u8>) {
            for looks in [false, true] {
                for text in [text.as_bytes(), &bytes] {
                    prop_assert_eq!(may_hold_secret(text, looks), may_hold_secret_by_the_byte(text, looks));
                }
            }
        }
    }
}
