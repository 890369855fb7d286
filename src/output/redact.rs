//! The one place where secrets are taken out, before anything is written in any form.
//!
//! A secret becomes `<redacted:1a2b3c4d>`, the beginning of a keyed hash: equal secrets stay recognisable as
//! equal within one report, and nothing can be learned from the mark without the key. What is no secret is
//! left alone, because it is what people look for: paths, ordinary query values, Sec-WebSocket-Key and
//! Sec-WebSocket-Accept, names of subprotocols, names of cookies.
//!
//! Redaction is idempotent, and errs on the side of hiding. It never looks at addresses.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};

use super::model::{ConnectionBody, FindingBody, Header, Http, WebSocket};
use crate::diagnosis::secret::{
    MIN_LENGTH, ends_in_secret_word, is_handshake_value, is_jwt, is_random, is_secret_in_query, is_secret_name,
    is_uuid, looks_secret, percent_decoded,
};

const MARK: &str = "<redacted:";

/// Subprotocols that may be longer than [`MIN_LENGTH`] and are names all the same.
const LONG_SUBPROTOCOLS: &[&str] = &[
    "graphql-transport-ws",
    "actioncable-v1-json",
    "actioncable-unsupported",
    "aws-appsync-event-ws",
    "base64.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "json.webpubsub.azure.v1",
    "json.reliable.webpubsub.azure.v1",
    "protobuf.webpubsub.azure.v1",
    "protobuf.reliable.webpubsub.azure.v1",
    "v1.kernel.websocket.jupyter.org",
    "vnd.openapi.v3+json",
    "ocpp2.0.1.citrineos",
    "xmpp-framing.ietf.org",
    "wamp.2.json.batched",
    "wamp.2.msgpack.batched",
    "wamp.2.cbor.batched",
    "wamp.2.ubjson.batched",
    "v12.stomp.sockjs.org",
];
/// Beginnings of subprotocol names that carry a secret: what follows is hidden.
const SUBPROTOCOL_PREFIXES: &[&str] = &[
    "base64url.bearer.authorization.k8s.io.",
    "openai-insecure-api-key.",
    "bearer.",
    "header-",
    "access_token",
    "authorization.",
    "token.",
    "jwt",
];

/// Types of messages that carry credentials.
const LOGIN_TYPES: &[&str] =
    &["connection_init", "auth", "authenticate", "authentication", "authorize", "login", "identify"];

/// A key for [`Redactor::new`] that depends on nothing but `parts`, so that the same capture gives the same
/// output. `parts` must hold something of the capture that the output does not show, such as the raw bytes of
/// its first packets: whoever can compute the key can test guesses of a secret against its mark.
#[must_use]
pub fn derive_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut sha256 = digest::Context::new(&digest::SHA256);
    sha256.update(b"wsscan redaction key 1");
    for part in parts {
        sha256.update(&(part.len() as u64).to_be_bytes());
        sha256.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(sha256.finish().as_ref());
    key
}

/// What is done with the value of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is looked through like any text; the name is no name of a secret.
    Plain,
    /// It is left as it is.
    Shown,
    /// Names of subprotocols.
    Subprotocols,
    /// Credentials after the name of their scheme.
    Credentials,
    /// `name=value` pairs.
    Cookie,
    /// A `name=value` pair and attributes.
    SetCookie,
    /// An authentication challenge.
    Challenge,
}

/// Header fields whose treatment does not need to be found out, as they are mostly written, in order of length.
const HEADERS: &[(&str, Treatment)] = &[
    ("DNT", Treatment::Plain),
    ("Via", Treatment::Plain),
    ("Date", Treatment::Plain),
    ("ETag", Treatment::Plain),
    ("Host", Treatment::Plain),
    ("Vary", Treatment::Plain),
    ("Accept", Treatment::Plain),
    ("CF-RAY", Treatment::Plain),
    ("Cookie", Treatment::Cookie),
    ("Origin", Treatment::Plain),
    ("Pragma", Treatment::Plain),
    ("Server", Treatment::Plain),
    ("Alt-Svc", Treatment::Plain),
    ("Expires", Treatment::Plain),
    ("Referer", Treatment::Plain),
    ("Upgrade", Treatment::Plain),
    ("Location", Treatment::Plain),
    ("Priority", Treatment::Plain),
    ("Forwarded", Treatment::Plain),
    ("X-Real-IP", Treatment::Plain),
    ("Connection", Treatment::Plain),
    ("Keep-Alive", Treatment::Plain),
    ("Set-Cookie", Treatment::SetCookie),
    ("User-Agent", Treatment::Plain),
    ("Content-Type", Treatment::Plain),
    ("X-Powered-By", Treatment::Plain),
    ("X-Request-ID", Treatment::Plain),
    ("Authorization", Treatment::Credentials),
    ("Cache-Control", Treatment::Plain),
    ("Last-Modified", Treatment::Plain),
    ("Content-Length", Treatment::Plain),
    ("Sec-Fetch-Dest", Treatment::Plain),
    ("Sec-Fetch-Mode", Treatment::Plain),
    ("Sec-Fetch-Site", Treatment::Plain),
    ("Accept-Encoding", Treatment::Plain),
    ("Accept-Language", Treatment::Plain),
    ("X-Forwarded-For", Treatment::Plain),
    ("Content-Encoding", Treatment::Plain),
    ("WWW-Authenticate", Treatment::Challenge),
    ("X-Forwarded-Host", Treatment::Plain),
    ("X-Forwarded-Port", Treatment::Plain),
    ("Sec-WebSocket-Key", Treatment::Shown),
    ("Transfer-Encoding", Treatment::Plain),
    ("X-Forwarded-Proto", Treatment::Plain),
    ("Proxy-Authenticate", Treatment::Challenge),
    ("Authentication-Info", Treatment::Challenge),
    ("Proxy-Authorization", Treatment::Credentials),
    ("Sec-WebSocket-Accept", Treatment::Shown),
    ("Sec-WebSocket-Version", Treatment::Shown),
    ("Sec-WebSocket-Protocol", Treatment::Subprotocols),
    ("X-Content-Type-Options", Treatment::Plain),
    ("Sec-WebSocket-Extensions", Treatment::Shown),
    ("Proxy-Authentication-Info", Treatment::Challenge),
    ("Strict-Transport-Security", Treatment::Plain),
];

/// Length of the longest name in [`HEADERS`].
const LONGEST_HEADER: usize = 25;

/// Where in [`HEADERS`] the names of each length begin; one more for the end of the last.
const BY_LENGTH: [u8; LONGEST_HEADER + 2] = {
    let mut starts = [0; LONGEST_HEADER + 2];
    let (mut at, mut length) = (0, 0);
    while length <= LONGEST_HEADER {
        starts[length] = at as u8;
        while at < HEADERS.len() && HEADERS[at].0.len() == length {
            at += 1;
        }
        length += 1;
    }
    starts[length] = at as u8;
    assert!(at == HEADERS.len(), "the names are in order of length");
    starts
};

pub(super) fn treatment(name: &str) -> Option<Treatment> {
    let (from, to) = (*BY_LENGTH.get(name.len())?, *BY_LENGTH.get(name.len() + 1)?);
    let of_its_length = &HEADERS[from.into()..to.into()];
    let (first, last) = (name.as_bytes().first()?, name.as_bytes().last()?);
    let alike = |known: &str| {
        let known = known.as_bytes();
        (known[0] ^ first | known[known.len() - 1] ^ last) & !0x20 == 0
    };
    of_its_length
        .iter()
        .find(|(known, _)| alike(known) && (*known == name || known.eq_ignore_ascii_case(name)))
        .map(|(_, treatment)| *treatment)
}

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

/// Takes secrets out of everything that is written.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: Option<hmac::Key>,
}

impl Redactor {
    /// Hides secrets. With the same key, equal secrets get equal marks.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: Some(hmac::Key::new(hmac::HMAC_SHA256, &key)) }
    }

    /// Shows everything (`--show-secrets`).
    #[must_use]
    pub const fn off() -> Self {
        Self { key: None }
    }

    /// One connection.
    pub fn connection(&self, connection: &mut ConnectionBody<'_>) {
        if let Some(http) = &mut connection.http {
            self.http(http);
        }
        if let Some(websocket) = &mut connection.websocket {
            self.websocket(websocket);
        }
    }

    /// What a WebSocket says of itself.
    pub(super) fn websocket(&self, websocket: &mut WebSocket<'_>) {
        self.apply(&mut websocket.subprotocol, Self::subprotocols_of);
        if let Some(close) = &mut websocket.close {
            for frame in [&mut close.client, &mut close.server].into_iter().flatten() {
                self.replace(&mut frame.reason, Self::text_of);
            }
        }
    }

    /// Request and response.
    pub fn http(&self, http: &mut Http<'_>) {
        self.apply(&mut http.target, Self::target_of);
        self.apply(&mut http.reason, Self::text_of);
        self.apply(&mut http.body_excerpt, Self::payload_of);
        for header in http.request_headers.iter_mut().chain(&mut http.response_headers) {
            self.header(header);
        }
    }

    /// One finding.
    pub fn finding(&self, finding: &mut FindingBody<'_>) {
        self.replace(&mut finding.summary, Self::text_of);
        for text in [&mut finding.explanation, &mut finding.advice, &mut finding.unless] {
            self.apply(text, Self::text_of);
        }
        for evidence in &mut finding.evidence {
            self.replace(&mut evidence.note, Self::text_of);
        }
    }

    /// A request target or a URL: secrets in the query and before the host, and JSON Web Tokens anywhere. The
    /// path stays.
    #[must_use]
    pub fn target(&self, target: &str) -> String {
        self.target_of(target).into_owned()
    }

    pub(super) fn target_of<'t>(&self, target: &'t str) -> Cow<'t, str> {
        self.plain(target, false)
    }

    /// A header field.
    pub fn header(&self, header: &mut Header<'_>) {
        let (name, value) = header;
        self.replace(value, |this, value| this.header_value_of(name, value));
    }

    /// The value of the header field `name`.
    #[must_use]
    pub fn header_value(&self, name: &str, value: &str) -> String {
        self.header_value_of(name, value).into_owned()
    }

    pub(super) fn header_value_of<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        if self.key.is_none() {
            return Cow::Borrowed(value);
        }
        match treatment(name) {
            Some(Treatment::Plain) => self.plain(value, false),
            Some(Treatment::Shown) => Cow::Borrowed(value),
            Some(Treatment::Subprotocols) => self.subprotocols_of(value),
            Some(Treatment::Credentials) => match value.trim_start().split_once(' ') {
                Some((scheme, rest)) if !rest.trim().is_empty() && scheme.len() <= 20 => {
                    Cow::Owned(format!("{scheme} {}", self.hide(rest.trim())))
                }
                _ => Cow::Owned(self.hide(value.trim())),
            },
            Some(Treatment::Cookie) => {
                let pairs: Vec<String> = value.split(';').map(|pair| self.cookie(pair.trim())).collect();
                Cow::Owned(pairs.join("; "))
            }
            Some(Treatment::SetCookie) => {
                let (pair, attributes) = value.split_at(value.find(';').unwrap_or(value.len()));
                Cow::Owned(format!("{}{attributes}", self.cookie(pair.trim())))
            }
            Some(Treatment::Challenge) => Cow::Owned(self.challenge(value)),
            None if starts_with(name, "access-control-") => Cow::Borrowed(value),
            None if is_secret_name(name) => Cow::Owned(self.hide(value.trim())),
            None => self.plain(value, false),
        }
    }

    /// Names in Sec-WebSocket-Protocol. A name that is no known subprotocol and longer than
    /// 20 bytes, that has a telling prefix, or that follows one such as `access_token`, is hidden.
    #[must_use]
    pub fn subprotocols(&self, value: &str) -> String {
        self.subprotocols_of(value).into_owned()
    }

    pub(super) fn subprotocols_of<'t>(&self, value: &'t str) -> Cow<'t, str> {
        if self.key.is_none() {
            return Cow::Borrowed(value);
        }
        let mut names = value.split(',').map(str::trim);
        let mut announced = false;
        let mut shown = self.subprotocol(names.next().unwrap_or_default(), &mut announced);
        for name in names {
            let name = self.subprotocol(name, &mut announced);
            let list = shown.to_mut();
            list.push_str(", ");
            list.push_str(&name);
        }
        shown
    }

    /// One name; `announced` says whether the name before it, and then whether this one, is that of a secret to come.
    fn subprotocol<'t>(&self, name: &'t str, announced: &mut bool) -> Cow<'t, str> {
        let is = |known: &&str| name.eq_ignore_ascii_case(known);
        let announces = ["access_token", "bearer", "jwt", "token", "authorization", "auth"].iter().any(is);
        let announced = std::mem::replace(announced, announces);
        if announces || name.is_empty() {
            return Cow::Borrowed(name);
        }
        if let Some(prefix) = SUBPROTOCOL_PREFIXES.iter().find(|prefix| starts_with(name, prefix)) {
            // A prefix is ASCII, so it ends where a character begins.
            return Cow::Owned(format!("{}{}", &name[..prefix.len()], self.hide(&name[prefix.len()..])));
        }
        let long = name.len() > MIN_LENGTH;
        if !LONG_SUBPROTOCOLS.iter().any(is) && (announced || long || looks_secret(name)) {
            Cow::Owned(self.hide(name))
        } else {
            Cow::Borrowed(name)
        }
    }

    /// Text written by wsscan or by a peer: everything that looks like a secret.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.text_of(text).into_owned()
    }

    pub(super) fn text_of<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.key.is_none() || !may_hold_secret(text.as_bytes(), true) {
            return Cow::Borrowed(text);
        }
        self.quoted(text, false, 0)
    }

    /// What a message or a body says: as [`Self::text`], and the login messages of known protocols.
    #[must_use]
    pub fn payload(&self, text: &str) -> String {
        self.payload_of(text).into_owned()
    }

    pub(super) fn payload_of<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.key.is_none() {
            return Cow::Borrowed(text);
        }
        self.payload_at(text, 0)
    }

    /// Base64 of a message. A login packet (MQTT CONNECT) is hidden whole; text inside is treated as text.
    #[must_use]
    pub fn base64(&self, encoded: &str) -> String {
        self.base64_of(encoded).into_owned()
    }

    fn base64_of<'t>(&self, encoded: &'t str) -> Cow<'t, str> {
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
        if self.payload_of(&text) == text { Cow::Borrowed(encoded) } else { Cow::Owned(self.hide(encoded)) }
    }

    fn apply<T: Deref<Target = str> + From<String>>(
        &self,
        value: &mut Option<T>,
        rule: impl for<'t> Fn(&Self, &'t str) -> Cow<'t, str>,
    ) {
        if let Some(value) = value {
            self.replace(value, rule);
        }
    }

    fn replace<T: Deref<Target = str> + From<String>>(
        &self,
        value: &mut T,
        rule: impl for<'t> Fn(&Self, &'t str) -> Cow<'t, str>,
    ) {
        if self.key.is_none() || value.is_empty() {
            return;
        }
        let redacted = match rule(self, value) {
            // A part of the value as long as the value is the value.
            Cow::Borrowed(same) if same.len() == value.len() => return,
            other => other.into_owned(),
        };
        *value = redacted.into();
    }

    /// The mark that stands for `secret`.
    fn hide(&self, secret: &str) -> String {
        match &self.key {
            Some(key) if !secret.is_empty() && !is_mark(secret) => {
                let tag = hmac::sign(key, secret.as_bytes());
                let mut mark = String::from(MARK);
                for byte in &tag.as_ref()[..4] {
                    let _ = write!(mark, "{byte:02x}");
                }
                mark.push('>');
                mark
            }
            _ => secret.to_owned(),
        }
    }

    fn cookie(&self, pair: &str) -> String {
        match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", self.hide(value)),
            None => self.hide(pair),
        }
    }

    /// Hides the nonces of an authentication challenge (RFC 7616 §3.3).
    fn challenge(&self, value: &str) -> String {
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some(at) = rest.find('=') {
            let (name, after) = (&rest[..at], &rest[at + 1..]);
            out.push_str(name);
            out.push('=');
            let (quote, len) = match after.strip_prefix('"') {
                Some(inner) => ("\"", inner.find('"').unwrap_or(inner.len())),
                None => ("", after.find([',', ' ']).unwrap_or(after.len())),
            };
            let body = &after[quote.len()..quote.len() + len];
            let name = name.rsplit([',', ' ']).next().unwrap_or_default().to_ascii_lowercase();
            let hidden = matches!(name.as_str(), "nonce" | "nextnonce" | "cnonce" | "opaque" | "rspauth");
            out.push_str(quote);
            out.push_str(&if hidden { self.hide(body) } else { body.to_owned() });
            rest = &after[quote.len() + len..];
        }
        out.push_str(rest);
        out
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
    fn plain<'t>(&self, text: &'t str, looks: bool) -> Cow<'t, str> {
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

/// Whether `text` begins with `start`, which is ASCII, in any case.
fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes().get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
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

fn is_mark_start(text: &str) -> bool {
    text.strip_prefix(MARK)
        .and_then(|rest| rest.get(..9))
        .is_some_and(|rest| rest.ends_with('>') && rest[..8].bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_mark(text: &str) -> bool {
    text.len() == MARK.len() + 9 && is_mark_start(text)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use proptest::prelude::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";

    fn redactor() -> Redactor {
        Redactor::new([7; 32])
    }

    /// With every mark as `*`, for comparing.
    fn starred(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(MARK) {
            out.push_str(&rest[..at]);
            out.push('*');
            assert!(is_mark_start(&rest[at..]), "{text}");
            rest = &rest[at + MARK.len() + 9..];
        }
        out + rest
    }

    #[test]
    fn targets() {
        let jwt_in_path = format!("/ws/{JWT}/x");
        let jwt_value = format!("/ws?jwt2={JWT}");
        for (target, shown) in [
            ("/api/v3/ws?token=rocketskates:r0cketsk8ts", "/api/v3/ws?token=*"),
            ("/api/v3/ws?Token=abc", "/api/v3/ws?Token=*"),
            ("/socket.io/?EIO=4&transport=websocket&sid=Zp3k_Q", "/socket.io/?EIO=4&transport=websocket&sid=*"),
            ("/chat?id=abcd&access_token=xyz", "/chat?id=*&access_token=*"),
            ("/live?vsn=2.0.0&room=general&lang=de-CH", "/live?vsn=2.0.0&room=general&lang=de-CH"),
            (
                "/s?accessToken=1&user_id=7&X-Amz-Signature=9&X-Amz-Date=20261121",
                "/s?accessToken=*&user_id=7&X-Amz-Signature=*&X-Amz-Date=20261121",
            ),
            ("/s?x=admin%3As3cret", "/s?x=*"),
            ("/s?host=10.0.0.1:3000&at=12:30", "/s?host=10.0.0.1:3000&at=12:30"),
            ("/s?q=9f86d081884c7d659a2feaa0c55ad015", "/s?q=*"),
            ("/s?q=574124eb-e830-4dd7-83fe-0955414405e3", "/s?q=*"),
            ("/s?room=a-rather-long-but-plain-name", "/s?room=a-rather-long-but-plain-name"),
            ("/9f86d081884c7d659a2feaa0c55ad015/ws", "/9f86d081884c7d659a2feaa0c55ad015/ws"),
            ("http://alice:pw@chat.example:80/ws?apikey=1#f", "http://*@chat.example:80/ws?apikey=*#f"),
            ("/s?key=", "/s?key="),
            (
                "/s?api-key=a&api_key=b&APIKEY=c&code=d&connection_id=e&ticket=f",
                "/s?api-key=*&api_key=*&APIKEY=*&code=*&connection_id=*&ticket=*",
            ),
            (&jwt_in_path, "/ws/*/x"),
            (&jwt_value, "/ws?jwt2=*"),
        ] {
            assert_eq!(starred(&redactor().target(target)), shown, "{target}");
        }
    }

    #[test]
    fn headers() {
        let cookie_bearer = format!("Bearer {JWT}");
        for (name, value, shown) in [
            ("Authorization", cookie_bearer.as_str(), "Bearer *"),
            ("authorization", "opaque", "*"),
            ("Proxy-Authorization", "Basic dXNlcjpwYXNz", "Basic *"),
            ("Cookie", "sid=abc; theme=dark", "sid=*; theme=*"),
            ("Set-Cookie", "sid=abc; Path=/; HttpOnly", "sid=*; Path=/; HttpOnly"),
            ("X-Api-Key", "k1", "*"),
            ("X-CSRF-Token", "c1", "*"),
            ("X-Amz-Security-Token", "c1", "*"),
            (
                "Referer",
                "https://a:b@chat.example/login?code=123&lang=en",
                "https://*@chat.example/login?code=*&lang=en",
            ),
            ("Location", "/login?ticket=ST-1", "/login?ticket=*"),
            ("Origin", "https://chat.example", "https://chat.example"),
            (
                "WWW-Authenticate",
                "Digest realm=\"r\", nonce=\"abc\", qop=auth",
                "Digest realm=\"r\", nonce=\"*\", qop=auth",
            ),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("Access-Control-Allow-Credentials", "true", "true"),
            (
                "User-Agent",
                "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0",
                "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0",
            ),
            ("ETag", "\"5d8c72a5edda8-9f86d081884c7d65\"", "\"5d8c72a5edda8-9f86d081884c7d65\""),
            ("Keep-Alive", "timeout=5, max=100", "timeout=5, max=100"),
            ("Upgrade", "websocket", "websocket"),
        ] {
            assert_eq!(starred(&redactor().header_value(name, value)), shown, "{name}: {value}");
        }
    }

    #[test]
    fn subprotocols() {
        for (value, shown) in [
            ("graphql-transport-ws, graphql-ws", "graphql-transport-ws, graphql-ws"),
            ("v12.stomp, v11.stomp", "v12.stomp, v11.stomp"),
            ("bearer.abc123, chat", "bearer.*, chat"),
            (
                "base64url.bearer.authorization.k8s.io.ZXlK, v4.channel.k8s.io",
                "base64url.bearer.authorization.k8s.io.*, v4.channel.k8s.io",
            ),
            ("realtime, openai-insecure-api-key.sk-1", "realtime, openai-insecure-api-key.*"),
            ("aws-appsync-event-ws, header-eyJob3N0Ijoi", "aws-appsync-event-ws, header-*"),
            ("access_token, abc", "access_token, *"),
            ("chat, abcdefghijklmnopqrstuvwxyz", "chat, *"),
            ("ocpp1.6", "ocpp1.6"),
        ] {
            assert_eq!(starred(&redactor().subprotocols(value)), shown, "{value}");
        }
    }

    #[test]
    fn payloads() {
        let jwt_text = format!("token expired: {JWT}");
        for (text, shown) in [
            (r#"{"type":"auth","token":"abc"}"#, r#"{"type":"auth","token":"*"}"#),
            (
                r#"{"type": "connection_init", "payload": {"x-user": "alice"}}"#,
                r#"{"type": "connection_init", "payload": {"x-user": "*"}}"#,
            ),
            (r#"[1,"realm1",{"authid":"joe"}]"#, r#"[1,"realm1",{"authid":"joe"}]"#),
            (r#"[5, "gir1mSx+deCDUV7wRM5SGIn/", {}]"#, r#"[5, "*", {}]"#),
            ("CONNECT\nlogin:alice\npasscode:pw\nhost:/\n\n\0", "CONNECT\nlogin:*\npasscode:*\nhost:/\n\n\0"),
            (r#"40{"token":"abc"}"#, r#"40{"token":"*"}"#),
            (
                r#"["1","1","room:lobby","phx_join",{"user":"bob"}]"#,
                r#"["1","1","room:lobby","phx_join",{"user":"*"}]"#,
            ),
            (
                r#"{"error":"nope","code":4401,"reason":"expired"}"#,
                r#"{"error":"nope","code":4401,"reason":"expired"}"#,
            ),
            (
                r#"{"password": 12345, "max_tokens": 7, "token_count": 3}"#,
                r#"{"password": "*", "max_tokens": 7, "token_count": 3}"#,
            ),
            (r#"a["{\"token\":\"abc\",\"n\":1}"]"#, r#"a["{\"token\":\"*\",\"n\":1}"]"#),
            (r#"{"apiKey":"cut off her"#, r#"{"apiKey":"*"#),
            (r#"{"token":"a\"b","x":"y"}"#, r#"{"token":"*","x":"y"}"#),
            ("user=a&password=b", "user=a&password=*"),
            (
                r#"{"id":"574124eb-e830-4dd7-83fe-0955414405e3","sessionToken":"574124eb-e830-4dd7-83fe-0955414405e3"}"#,
                r#"{"id":"574124eb-e830-4dd7-83fe-0955414405e3","sessionToken":"*"}"#,
            ),
            (&jwt_text, "token expired: *"),
            ("idle timeout", "idle timeout"),
            ("<h1>401 Authorization Required</h1>", "<h1>401 Authorization Required</h1>"),
            ("Missing or invalid Sec-WebSocket-Key header", "Missing or invalid Sec-WebSocket-Key header"),
            (
                "expected s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, found other",
                "expected s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, found other",
            ),
            ("permessage-deflate; client_max_window_bits=15", "permessage-deflate; client_max_window_bits=15"),
            ("WWW-Authenticate: Basic authentication required", "WWW-Authenticate: Basic authentication required"),
            ("send Bearer abc.def-1234 again", "send Bearer * again"),
        ] {
            assert_eq!(starred(&redactor().payload(text)), shown, "{text}");
        }
    }

    #[test]
    fn binary_payloads() {
        let connect = STANDARD.encode(b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x04user\x00\x04pass");
        assert_eq!(starred(&redactor().base64(&connect)), "*");
        let picture = STANDARD.encode([0x89, b'P', b'N', b'G', 0, 1, 2, 3]);
        assert_eq!(redactor().base64(&picture), picture);
        assert_eq!(starred(&redactor().base64(&STANDARD.encode(br#"{"token":"abc"}"#))), "*");
    }

    #[test]
    fn equal_secrets_have_equal_marks() {
        let one = redactor();
        let a = one.target("/?token=abc");
        assert_eq!(a, one.header_value("X-Auth-Token", "abc").replace(MARK, &format!("/?token={MARK}")));
        assert_ne!(a, one.target("/?token=abd"));
        assert_ne!(a, Redactor::new([8; 32]).target("/?token=abc"));
    }

    #[test]
    fn keys_depend_on_all_parts() {
        let key = |parts: &[&[u8]]| derive_key(parts.iter().copied());
        assert_eq!(key(&[b"a", b"b"]), key(&[b"a", b"b"]));
        assert_ne!(key(&[b"a", b"b"]), key(&[b"ab"]));
        assert_ne!(key(&[b"a", b"b"]), key(&[b"b", b"a"]));
    }

    #[test]
    fn a_whole_document() {
        let mut document = sample::document();
        document.redact(&redactor());
        let json = serde_json::to_string(&document).unwrap();
        assert!(!json.contains("r0cketsk8ts") && !json.contains("abc.def.ghi"), "{json}");
        assert!(json.contains("dGhlIHNhbXBsZSBub25jZQ==") && json.contains("/ws?room=7"));
        let mut shown = sample::document();
        shown.redact(&Redactor::off());
        assert_eq!(shown, sample::document());
        let once = document.clone();
        document.redact(&redactor());
        assert_eq!(document, once, "redaction is idempotent");
    }

    #[test]
    fn well_known_headers_are_no_secrets() {
        for (name, treatment) in HEADERS {
            assert_eq!(super::treatment(name), Some(*treatment), "{name}");
            for name in [name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
                assert_eq!(super::treatment(&name), Some(*treatment), "{name}");
            }
            if *treatment == Treatment::Plain {
                assert!(!is_secret_name(name) && !starts_with(name, "access-control-"), "{name}");
            }
        }
        for name in ["", "x", "hos", "hosts", "nost", "x-api-key", "ſec-websocket-key", &"x".repeat(300)] {
            assert_eq!(super::treatment(name), None, "{name}");
        }
    }

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

    #[test]
    fn what_holds_no_secret_is_not_copied() {
        let redactor = redactor();
        let same = |redacted: Cow<'_, str>| assert!(matches!(redacted, Cow::Borrowed(_)), "{redacted}");
        same(redactor.target_of("/live?vsn=2.0.0&room=general"));
        same(redactor.text_of("no token was given to websocket_subprotocol_handler"));
        same(redactor.payload_of("going away"));
        same(redactor.header_value_of("Referer", "https://chat.example/?lang=en"));
        same(redactor.header_value_of("X-Served-By", "cache-zrh-1"));
        same(redactor.subprotocols_of("graphql-transport-ws"));
        same(redactor.base64_of("AAEC"));
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

        #[test]
        fn any_text_is_survived(text in r#"[ -~é\n]{0,120}"#, name in "[ -~é]{0,20}") {
            let redactor = redactor();
            for redacted in [
                redactor.text(&text), redactor.payload(&text), redactor.target(&text), redactor.subprotocols(&text),
                redactor.header_value(&name, &text), redactor.base64(&text),
            ] {
                drop(redacted);
            }
            let once = redactor.text(&text);
            prop_assert_eq!(redactor.text(&once), once);
        }

        #[test]
        fn a_token_never_survives(secret in "[A-Za-z0-9]{6,40}", before in "[a-z =&?/\"{:]{0,12}") {
            let text = format!("{before}?x=1&access_token={secret}&y=2");
            prop_assert!(!redactor().text(&text).contains(&secret));
            let text = format!("{{\"a\":1,\"accessToken\":\"{secret}\"}}");
            prop_assert!(!redactor().payload(&text).contains(&secret));
        }
    }
}
