//! What must be known of every head, ordinary ones included: what it asks for, and where its body ends
//! (RFC 9112 §6.3).
//!
//! A whole head is parsed by `httparse` where its bytes lie. What that refuses, or what was cut, is read leniently from a
//! copy. Only heads of exchanges worth keeping are stored, by [`RawHead`].

use std::mem::MaybeUninit;

use super::event::ExchangeKind;
use super::field_name::Name;
use super::head::{Field, Fields, Head, HeadPlace, RequestHead, ResponseHead};
use super::sniff::{self, Sniff};
use super::syntax::{Completeness, Deviations, RequestLine, StatusLine, split_field, trim_bytes, unfold};

/// A head with more fields than this is read leniently.
const MAX_PARSED_FIELDS: usize = 96;

/// What the fields of a head say about the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FieldSummary {
    content_length: Option<Length>,
    transfer_encoding: Option<Coding>,
    upgrade: bool,
    websocket: bool,
    hixie76: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bytes(u64),
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    ChunkedLast,
    Other,
}

/// How long a body is, by its head alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// The head does not say.
    Unsaid,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The fields contradict each other, or name a coding without an end.
    Endless,
}

impl FieldSummary {
    fn add(&mut self, known: Option<Name>, name: &[u8], value: &[u8]) {
        match known {
            Some(Name::Upgrade) => self.add_upgrade(value),
            Some(Name::ContentLength) => self.add_length(value),
            Some(Name::TransferEncoding) => self.add_coding(value),
            Some(known) => {
                self.websocket |= known.is_sec_websocket();
                self.hixie76 |= known == Name::SecWebSocketKey1;
            }
            None => {
                const PREFIX: &[u8] = b"Sec-WebSocket-";
                self.websocket |= name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
            }
        }
    }

    fn add_upgrade(&mut self, value: &[u8]) {
        self.upgrade |= !value.is_empty();
        self.websocket |= elements(value).any(|element| element.eq_ignore_ascii_case(b"websocket"));
    }

    fn add_length(&mut self, value: &[u8]) {
        // RFC 9112 §6.3, item 5: a list of equal numbers is one number; anything else cannot be relied on.
        for element in elements(value) {
            let digits = !element.is_empty() && element.iter().all(u8::is_ascii_digit);
            let length = match std::str::from_utf8(element).unwrap_or_default().parse() {
                Ok(bytes) if digits => Length::Bytes(bytes),
                _ => Length::Bad,
            };
            let same = self.content_length.is_none_or(|earlier| earlier == length);
            self.content_length = Some(if same { length } else { Length::Bad });
        }
    }

    fn add_coding(&mut self, value: &[u8]) {
        for element in elements(value).filter(|element| !element.is_empty()) {
            let chunked = element.eq_ignore_ascii_case(b"chunked");
            self.transfer_encoding = Some(if chunked { Coding::ChunkedLast } else { Coding::Other });
        }
    }

    /// RFC 9112 §6.3: `Transfer-Encoding` overrides `Content-Length`.
    fn framing(&self) -> BodyFraming {
        match (self.transfer_encoding, self.content_length) {
            (Some(Coding::ChunkedLast), _) => BodyFraming::Chunked,
            (Some(Coding::Other), _) | (None, Some(Length::Bad)) => BodyFraming::Endless,
            (None, Some(Length::Bytes(bytes))) => BodyFraming::Length(bytes),
            (None, None) => BodyFraming::Unsaid,
        }
    }
}

/// What must be known of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestSummary {
    pub(super) kind: ExchangeKind,
    /// The method is HEAD.
    pub(super) is_head: bool,
    /// The method is GET.
    pub(super) is_get: bool,
    /// hixie-76 sends 8 bytes behind the head that no field announces.
    pub(super) is_hixie76: bool,
    pub(super) framing: BodyFraming,
}

/// What must be known of every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResponseSummary {
    pub(super) status: u16,
    pub(super) framing: BodyFraming,
}

/// Parses one head, and remembers where its fields lie in case the head is stored.
#[derive(Debug, Default)]
pub(super) struct HeadParser {
    /// The fields, if the strict parser accepted the head.
    fields: Fields,
    strict: Strict,
}

/// Whether the strict parser accepted a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Strict {
    /// It was not asked: the head is cut.
    #[default]
    Unasked,
    Accepted,
    Refused,
}

impl HeadParser {
    /// Parses a request head; `None` when there is no request line.
    pub(super) fn request(&mut self, raw: &[u8], completeness: Completeness) -> Option<RequestSummary> {
        // RFC 9113 §3.4: `PRI * HTTP/2.0` begins an HTTP/2 connection and is no request either.
        if sniff::start_line(raw) != Sniff::Request {
            return None;
        }
        let whole = completeness == Completeness::Complete;
        if whole {
            let mut space = [const { MaybeUninit::uninit() }; MAX_PARSED_FIELDS];
            let mut parsed = httparse::Request::new(&mut []);
            let mut config = httparse::ParserConfig::default();
            config.allow_multiple_spaces_in_request_line_delimiters(true);
            let status = config.parse_request_with_uninit_headers(&mut parsed, raw, &mut space);
            if let Some(fields) = self.strict(raw, status, parsed.headers) {
                return Some(summarise_request(parsed.method.unwrap_or_default().as_bytes(), &fields, whole));
            }
        }
        let text = readable(raw);
        let (line, block) = text.split_once('\n').unwrap_or((&text, ""));
        let line = line.trim_end_matches('\r').as_bytes();
        let method = RequestLine::parse(line).method;
        let method = &line[method.start as usize..method.end as usize];
        Some(summarise_request(method, &summarise_lines(block, whole), whole))
    }

    /// Parses a response head; `None` when there is no status line with a status code.
    pub(super) fn response(&mut self, raw: &[u8], completeness: Completeness) -> Option<ResponseSummary> {
        let whole = completeness == Completeness::Complete;
        if whole {
            let mut space = [const { MaybeUninit::uninit() }; MAX_PARSED_FIELDS];
            let mut parsed = httparse::Response::new(&mut []);
            let mut config = httparse::ParserConfig::default();
            config.allow_multiple_spaces_in_response_status_delimiters(true);
            let status = config.parse_response_with_uninit_headers(&mut parsed, raw, &mut space);
            if let Some(fields) = self.strict(raw, status, parsed.headers) {
                let status = parsed.code.unwrap_or_default();
                return Some(ResponseSummary { status, framing: fields.framing() });
            }
        }
        let text = readable(raw);
        let (line, block) = text.split_once('\n').unwrap_or((&text, ""));
        let StatusLine { status, .. } = StatusLine::parse(line.trim_end_matches('\r'))?;
        Some(ResponseSummary { status, framing: summarise_lines(block, whole).framing() })
    }

    /// Takes the fields that the strict parser found, if it accepted the head.
    fn strict(
        &mut self,
        raw: &[u8],
        status: httparse::Result<usize>,
        headers: &[httparse::Header<'_>],
    ) -> Option<FieldSummary> {
        if !matches!(status, Ok(httparse::Status::Complete(_))) {
            self.strict = Strict::Refused;
            return None;
        }
        self.strict = Strict::Accepted;
        let mut summary = FieldSummary::default();
        for header in headers {
            let (name, value) = (header.name.as_bytes(), header.value);
            let known = Name::of(name);
            summary.add(known, name, value);
            self.fields.push(Field::locate(raw, known, name, value));
        }
        Some(summary)
    }

    /// The head that was parsed.
    pub(super) fn head<'a>(&'a self, raw: &'a [u8], completeness: Completeness, place: &'a HeadPlace) -> RawHead<'a> {
        RawHead { raw, completeness, place, strict: self.strict, fields: &self.fields }
    }
}

/// A head where its bytes lie, parsed but not stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawHead<'a> {
    /// From its start line on.
    pub(super) raw: &'a [u8],
    pub(super) completeness: Completeness,
    pub(super) place: &'a HeadPlace,
    strict: Strict,
    fields: &'a Fields,
}

impl RawHead<'_> {
    /// The head without what lies behind `len` bytes.
    pub(super) fn cut(&self, len: usize) -> RawHead<'_> {
        let raw = &self.raw[..len];
        let strict = if self.strict == Strict::Refused { Strict::Refused } else { Strict::Unasked };
        RawHead { raw, completeness: Completeness::of_cut(raw), strict, ..*self }
    }

    /// Stores it as a request.
    pub(super) fn request(&self) -> RequestHead {
        RequestHead::new(self.store())
    }

    /// Stores it as a response; `None` without a status line.
    pub(super) fn response(&self) -> Option<ResponseHead> {
        ResponseHead::new(self.store())
    }

    fn store(&self) -> Head {
        if self.strict == Strict::Accepted
            && let Ok(text) = simdutf8::basic::from_utf8(self.raw)
        {
            return Head::store_strict(text, self.place, self.fields);
        }
        let mut head = Head::store(self.raw, self.completeness, self.place);
        head.deviations.refused_by_strict_parser = self.strict == Strict::Refused;
        head
    }
}

fn summarise_request(method: &[u8], fields: &FieldSummary, whole: bool) -> RequestSummary {
    RequestSummary {
        kind: match method {
            b"CONNECT" => ExchangeKind::Connect,
            _ if fields.websocket => ExchangeKind::WebSocket,
            _ if fields.upgrade => ExchangeKind::Upgrade,
            _ if whole => ExchangeKind::Plain,
            _ => ExchangeKind::Unknown,
        },
        is_head: method == b"HEAD",
        is_get: method == b"GET",
        is_hixie76: fields.hixie76,
        framing: fields.framing(),
    }
}

/// The elements of a comma-separated list, white space around them removed, empty ones included.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_bytes)
}

/// The head with folded lines joined, readable as text.
fn readable(raw: &[u8]) -> String {
    let mut bytes = raw.to_vec();
    unfold(&mut bytes, &mut Deviations::default());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Unless the head is whole, its last line may be cut and does not count.
fn summarise_lines(block: &str, whole: bool) -> FieldSummary {
    let block = if whole { block } else { block.rfind('\n').map_or("", |end| &block[..end]) };
    let mut fields = FieldSummary::default();
    for line in block.split('\n') {
        if let Some((name, value, _)) = split_field(line.strip_suffix('\r').unwrap_or(line)) {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            fields.add(Name::of(name), name, value);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Completeness = Completeness::Complete;

    /// Parses a whole head strictly and leniently, and compares. Returns whether the strict parser accepted it.
    fn agrees(raw: &[u8]) -> bool {
        let place = HeadPlace { offset: 7, ..HeadPlace::default() };
        let mut parser = HeadParser::default();
        let text = readable(raw);
        let (line, block) = text.split_once('\n').unwrap_or((&text, ""));
        let line = line.trim_end_matches('\r');
        let fields = summarise_lines(block, true);
        if raw.starts_with(b"HTTP/") {
            let Some(summary) = parser.response(raw, WHOLE) else { return false };
            let status = StatusLine::parse(line).expect("a status line").status;
            assert_eq!(summary, ResponseSummary { status, framing: fields.framing() });
        } else {
            let Some(summary) = parser.request(raw, WHOLE) else { return false };
            let method = line.split([' ', '\t']).next().unwrap_or_default();
            assert_eq!(summary, summarise_request(method.as_bytes(), &fields, true));
        }
        if parser.strict != Strict::Accepted {
            return false;
        }
        assert_eq!(parser.head(raw, WHOLE, &place).store(), Head::store(raw, WHOLE, &place));
        true
    }

    #[test]
    fn strict_and_lenient_reading_agree() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "PROPFIND /x HTTP/1.0\r\nhost:a\r\nHOST:\t b \t\r\nempty:\r\nblank: \t \r\n\r\n",
            "POST /x HTTP/1.1\r\nContent-Length: 5, 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nupgrade: h2c\r\nSec-WebSocket-Anything: 1\r\nSec-WebSocket-Key1: 1\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.0 204\r\n\r\n",
        ] {
            assert!(agrees(head.as_bytes()), "{head}");
        }
        for head in [
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nno field\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
        ] {
            assert!(!agrees(head.as_bytes()), "{head}");
        }
        let many = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(agrees(many(MAX_PARSED_FIELDS).as_bytes()));
        assert!(!agrees(many(MAX_PARSED_FIELDS + 1).as_bytes()));
    }

    fn head() -> impl Strategy<Value = Vec<u8>> {
        let start = proptest::sample::select(vec![
            "GET /a HTTP/1.1\r\n",
            "HTTP/1.1 101 Ok\r\n",
            "CONNECT a:1 HTTP/1.0\r\n",
            "HTTP/1.0 404\r\n",
        ]);
        let name = prop_oneof![
            6 => proptest::sample::select(vec!["Upgrade", "Connection", "Content-Length", "Transfer-Encoding", "HOST"])
                .prop_map(str::to_owned),
            3 => "[A-Za-z0-9!#~_-]{1,20}",
            1 => "Sec-WebSocket-[a-z]{0,3}",
            1 => "[ -~]{0,5}",
        ];
        let value = prop_oneof![
            5 => "[ \t]{0,2}[!-~]{0,40}[ \t]{0,2}",
            2 => proptest::sample::select(vec!["WebSocket", "chunked", "a, chunked", "12", "12, 12", "1,2", "h2c,websocket"])
                .prop_map(str::to_owned),
            1 => "\\PC{0,4}",
        ];
        let end = prop_oneof![20 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\n "), 1 => Just("\r")];
        let field = (name, value, end).prop_map(|(name, value, end)| format!("{name}:{value}{end}"));
        (start, proptest::collection::vec(field, 0..8))
            .prop_map(|(start, fields)| format!("{start}{}\r\n", fields.concat()).into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn strict_and_lenient_reading_agree_on_anything(head in head()) {
            // A head ends with its first blank line.
            let end = (0..head.len()).find(|&at| head[..at].ends_with(b"\n\n") || head[..at].ends_with(b"\n\r\n"));
            agrees(&head[..end.unwrap_or(head.len())]);
        }
    }
}
