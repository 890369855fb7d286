//! The one place where secrets are taken out, before anything is written in any form.
//!
//! A secret becomes `<redacted:1a2b3c4d>`, the beginning of a keyed hash: equal secrets stay recognisable as
//! equal within one report, and nothing can be learned from the mark without the key. What is no secret is
//! left alone, because it is what people look for: paths, ordinary query values, Sec-WebSocket-Key and
//! Sec-WebSocket-Accept, names of subprotocols, names of cookies.
//!
//! Redaction is idempotent, and errs on the side of hiding. It never looks at addresses.
//!
//! Here are the marks and the walk over the model; [`headers`] holds the policy for header fields, [`scan`] searches
//! text.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Deref;

use ring::{digest, hmac};

use super::model::{ConnectionBody, FindingBody, Header, Http, WebSocket};

mod headers;
mod scan;

/// Beginning of a mark; eight hexadecimal digits and `>` follow.
const MARK: &str = "<redacted:";

/// A key for [`Redactor::new`] that depends on nothing but `parts`, so that the same capture gives the same
/// output. `parts` must hold something of the capture that the output does not show, such as the raw bytes of
/// its first packets: whoever can compute the key can test guesses of a secret against its mark.
#[must_use]
pub(crate) fn derive_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
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
        self.apply(&mut websocket.subprotocol, Self::subprotocols);
        if let Some(close) = &mut websocket.close {
            for frame in [&mut close.client, &mut close.server].into_iter().flatten() {
                self.replace(&mut frame.reason, Self::text);
            }
        }
    }

    /// Request and response.
    pub fn http(&self, http: &mut Http<'_>) {
        self.apply(&mut http.target, Self::target);
        self.apply(&mut http.reason, Self::text);
        self.apply(&mut http.body_excerpt, Self::payload);
        for header in http.request_headers.iter_mut().chain(&mut http.response_headers) {
            self.header(header);
        }
    }

    /// One finding.
    pub fn finding(&self, finding: &mut FindingBody<'_>) {
        self.replace(&mut finding.summary, Self::text);
        for text in [&mut finding.explanation, &mut finding.advice, &mut finding.unless] {
            self.apply(text, Self::text);
        }
        for evidence in &mut finding.evidence {
            self.replace(&mut evidence.note, Self::text);
        }
    }

    /// A header field.
    pub fn header(&self, header: &mut Header<'_>) {
        let (name, value) = header;
        self.replace(value, |this, value| this.header_value(name, value));
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
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;

    pub(super) const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";

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
    fn what_holds_no_secret_is_not_copied() {
        let redactor = redactor();
        let same = |redacted: Cow<'_, str>| assert!(matches!(redacted, Cow::Borrowed(_)), "{redacted}");
        same(redactor.target("/live?vsn=2.0.0&room=general"));
        same(redactor.text("no token was given to websocket_subprotocol_handler"));
        same(redactor.payload("going away"));
        same(redactor.header_value("Referer", "https://chat.example/?lang=en"));
        same(redactor.header_value("X-Served-By", "cache-zrh-1"));
        same(redactor.subprotocols("graphql-transport-ws"));
        same(redactor.base64("AAEC"));
    }

    proptest! {
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
            prop_assert_eq!(redactor.text(&once), once.as_ref());
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
