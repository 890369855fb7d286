//! Policy for header fields: which are shown, which are searched like text, and which hide their values wholly or in
//! part. Names of subprotocols, cookies and schemes stay readable.

use std::borrow::Cow;

use super::Redactor;
use crate::diagnosis::secret::{MIN_LENGTH, is_secret_name, looks_secret};

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

/// Whether `text` begins with `start`, which is ASCII, in any case.
fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes().get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
}

impl Redactor {
    /// The value of the header field `name`.
    pub(super) fn header_value<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        if self.key.is_none() {
            return Cow::Borrowed(value);
        }
        match treatment(name) {
            Some(Treatment::Plain) => self.plain(value, false),
            Some(Treatment::Shown) => Cow::Borrowed(value),
            Some(Treatment::Subprotocols) => self.subprotocols(value),
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
    pub(super) fn subprotocols<'t>(&self, value: &'t str) -> Cow<'t, str> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
