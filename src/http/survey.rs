//! The little that must be known of every head, ordinary ones included: where its body ends and what it asks for.
//!
//! Regular heads tell it when they are read ([`Regular`]). Others are read by `httparse` where the bytes lie; what it
//! refuses, or what was cut, is read again leniently from a copy.

use std::mem::MaybeUninit;

use super::event::ExchangeKind;
use super::head::{
    Deviations, Field, Fields as Places, Known, RequestLine, StatusLine, split_field, trim, trim_bytes, unfold,
};
use super::names::{Name, is_word};
use super::regular::{self, Regular, StartLine, Wanted};
use super::sniff::{self, Sniff};

/// More fields than this and a head is read leniently.
pub(super) const MAX_PARSED_FIELDS: usize = 96;

/// What fields say about a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
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
pub(super) enum Framing {
    /// Nothing says.
    Unsaid,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The fields contradict each other, or name a coding without an end.
    Endless,
}

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        // Names of the few fields that matter have these lengths: spares most comparisons.
        match name.len() {
            7 if name.eq_ignore_ascii_case("upgrade") => self.add_upgrade(value.as_bytes()),
            14 if name.eq_ignore_ascii_case("content-length") => self.add_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.add_coding(value),
            14.. if name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("sec-websocket-")) => {
                self.websocket = true;
                self.hixie76 |= name.eq_ignore_ascii_case("sec-websocket-key1");
            }
            _ => {}
        }
    }

    fn add_upgrade(&mut self, value: &[u8]) {
        let websocket = |token: &[u8]| is_word(token, "websocket");
        self.upgrade |= !value.is_empty();
        self.websocket |=
            websocket(value) || value.split(|&byte| byte == b',').any(|token| websocket(trim_bytes(token)));
    }

    fn add_length(&mut self, value: &str) {
        // RFC 9112 §6.3, item 5: a list of equal numbers is one number; anything else cannot be relied on.
        for element in value.split(',') {
            let element = trim(element);
            let digits = !element.is_empty() && element.bytes().all(|byte| byte.is_ascii_digit());
            let length = match element.parse() {
                Ok(bytes) if digits => Length::Bytes(bytes),
                _ => Length::Bad,
            };
            let same = self.content_length.is_none_or(|earlier| earlier == length);
            self.content_length = Some(if same { length } else { Length::Bad });
        }
    }

    fn add_coding(&mut self, value: &str) {
        for element in value.split(',').map(trim).filter(|element| !element.is_empty()) {
            let chunked = element.eq_ignore_ascii_case("chunked");
            self.transfer_encoding = Some(if chunked { Coding::ChunkedLast } else { Coding::Other });
        }
    }

    /// The same for all fields of a regular head.
    fn of_regular(raw: &[u8], regular: &Regular) -> Fields {
        const FRAMING: u64 = Name::CONTENT_LENGTH.bit() | Name::TRANSFER_ENCODING.bit();
        const WEBSOCKET: u64 = Name::SEC_WEBSOCKET_KEY.bit()
            | Name::SEC_WEBSOCKET_VERSION.bit()
            | Name::SEC_WEBSOCKET_PROTOCOL.bit()
            | Name::SEC_WEBSOCKET_EXTENSIONS.bit()
            | Name::SEC_WEBSOCKET_ACCEPT.bit()
            | Name::SEC_WEBSOCKET_ORIGIN.bit()
            | Name::SEC_WEBSOCKET_KEY1.bit()
            | Name::SEC_WEBSOCKET_KEY2.bit();
        let marks = &regular.marks;
        let mut fields = Fields {
            websocket: regular.other_websocket_field || marks.any(WEBSOCKET),
            hixie76: marks.any(Name::SEC_WEBSOCKET_KEY1.bit()),
            ..Fields::default()
        };
        // What asks for a WebSocket need not be asked what else it upgrades to.
        if marks.any(FRAMING) || (marks.any(Name::UPGRADE.bit()) && !fields.websocket) {
            fields.add_values(raw, regular);
        }
        fields
    }

    #[inline(never)]
    fn add_values(&mut self, raw: &[u8], regular: &Regular) {
        for field in &regular.fields {
            let value = field.value_in(raw);
            if field.is(Name::UPGRADE) {
                self.add_upgrade(value);
            } else if let Ok(value) = std::str::from_utf8(value) {
                if field.is(Name::CONTENT_LENGTH) {
                    self.add_length(value);
                } else if field.is(Name::TRANSFER_ENCODING) {
                    self.add_coding(value);
                }
            }
        }
    }

    /// RFC 9112 §6.3: `Transfer-Encoding` overrides `Content-Length`.
    pub(super) fn framing(&self) -> Framing {
        match (self.transfer_encoding, self.content_length) {
            (Some(Coding::ChunkedLast), _) => Framing::Chunked,
            (Some(Coding::Other), _) | (None, Some(Length::Bad)) => Framing::Endless,
            (None, Some(Length::Bytes(bytes))) => Framing::Length(bytes),
            (None, None) => Framing::Unsaid,
        }
    }
}

/// What reading a head found out about it, for those who read it again. Large, and filled where it lies.
#[derive(Debug, Default)]
pub(super) struct Found {
    what: What,
    /// Its fields, if `what` says that they are known; the rest of it when the head is regular.
    regular: Regular,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum What {
    Regular,
    /// The places of its fields, by the strict parser.
    Fields,
    #[default]
    Nothing,
}

impl Found {
    /// Reads the head that `bytes` begin with, if it is regular and whole; its length.
    pub(super) fn read(&mut self, bytes: &[u8], wanted: Wanted) -> Option<usize> {
        let len = regular::read(bytes, wanted, &mut self.regular);
        if len.is_some() {
            self.what = What::Regular;
        } else {
            *self = Found::default();
        }
        len
    }

    pub(super) fn known(&self) -> Known<'_> {
        match self.what {
            What::Regular => Known::Regular(&self.regular),
            What::Fields => Known::Fields(&self.regular.fields),
            What::Nothing => Known::Nothing,
        }
    }

    fn fields(&mut self, fields: Places) {
        self.what = What::Fields;
        self.regular.fields = fields;
    }
}

/// A request head, surveyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestSurvey {
    pub(super) kind: ExchangeKind,
    pub(super) head_method: bool,
    pub(super) get_method: bool,
    /// hixie-76 sends 8 bytes behind the head that no field announces.
    pub(super) hixie76: bool,
    pub(super) framing: Framing,
    pub(super) refused: bool,
}

/// A response head, surveyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResponseSurvey {
    pub(super) status: u16,
    pub(super) framing: Framing,
    pub(super) refused: bool,
}

/// `None` when there is no request line. `whole` when the head ends with its blank line. `found` is what reading this
/// very head found out, and gets what else is found.
#[inline]
pub(super) fn request(raw: &[u8], whole: bool, found: &mut Found) -> Option<RequestSurvey> {
    if let Known::Regular(regular) = found.known()
        && let StartLine::Request { method_len, .. } = regular.start_line
    {
        let method = &raw[..method_len as usize];
        return Some(sum_up_request(method, Fields::of_regular(raw, regular), true, false));
    }
    irregular_request(raw, whole, found)
}

#[cold]
#[inline(never)]
fn irregular_request(raw: &[u8], whole: bool, found: &mut Found) -> Option<RequestSurvey> {
    // RFC 9113 §3.4: `PRI * HTTP/2.0` begins an HTTP/2 connection and is no request either.
    if sniff::start(raw) != Sniff::Request {
        return None;
    }
    let mut fields = Fields::default();
    let mut refused = false;
    if whole {
        let mut space = [const { MaybeUninit::uninit() }; MAX_PARSED_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        config.allow_multiple_spaces_in_request_line_delimiters(true);
        if let Ok(httparse::Status::Complete(_)) =
            config.parse_request_with_uninit_headers(&mut parsed, raw, &mut space)
        {
            let places = survey_fields(raw, parsed.headers, &mut fields);
            found.fields(places);
            return Some(sum_up_request(parsed.method.unwrap_or_default().as_bytes(), fields, true, false));
        }
        refused = true;
    }
    let text = readable(raw);
    let (line, block) = text.split_once('\n').unwrap_or((&text, ""));
    let parts = RequestLine::split(line.trim_end_matches('\r').as_bytes());
    let method = &line.as_bytes()[parts.method.start as usize..parts.method.end as usize];
    survey_lines(block, whole, &mut fields);
    Some(sum_up_request(method, fields, whole, refused))
}

fn sum_up_request(method: &[u8], fields: Fields, whole: bool, refused: bool) -> RequestSurvey {
    RequestSurvey {
        kind: match method {
            b"CONNECT" => ExchangeKind::Connect,
            _ if fields.websocket => ExchangeKind::WebSocket,
            _ if fields.upgrade => ExchangeKind::Upgrade,
            _ if whole => ExchangeKind::Plain,
            _ => ExchangeKind::Unknown,
        },
        head_method: method == b"HEAD",
        get_method: method == b"GET",
        hixie76: fields.hixie76,
        framing: fields.framing(),
        refused,
    }
}

/// `None` when there is no status line with a status code. The rest is as in [`request`].
#[inline]
pub(super) fn response(raw: &[u8], whole: bool, found: &mut Found) -> Option<ResponseSurvey> {
    if let Known::Regular(regular) = found.known()
        && let StartLine::Response { status, .. } = regular.start_line
    {
        return Some(ResponseSurvey { status, framing: Fields::of_regular(raw, regular).framing(), refused: false });
    }
    irregular_response(raw, whole, found)
}

#[cold]
#[inline(never)]
fn irregular_response(raw: &[u8], whole: bool, found: &mut Found) -> Option<ResponseSurvey> {
    let mut fields = Fields::default();
    let mut refused = false;
    if whole {
        let mut space = [const { MaybeUninit::uninit() }; MAX_PARSED_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        config.allow_multiple_spaces_in_response_status_delimiters(true);
        if let Ok(httparse::Status::Complete(_)) =
            config.parse_response_with_uninit_headers(&mut parsed, raw, &mut space)
        {
            let places = survey_fields(raw, parsed.headers, &mut fields);
            let status = parsed.code.unwrap_or_default();
            found.fields(places);
            return Some(ResponseSurvey { status, framing: fields.framing(), refused });
        }
        refused = true;
    }
    let text = readable(raw);
    let (line, block) = text.split_once('\n').unwrap_or((&text, ""));
    let parts = StatusLine::split(line.trim_end_matches('\r'))?;
    survey_lines(block, whole, &mut fields);
    Some(ResponseSurvey { status: parts.status, framing: fields.framing(), refused })
}

/// Whether [`Fields::add`] may look at a field of this name.
fn may_matter(name: &str) -> bool {
    let first = name.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
    matches!((name.len(), first), (7, b'u') | (14, b'c') | (17, b't') | (14.., b's'))
}

/// Reads the fields that matter, and tells where all of them lie in `raw`.
fn survey_fields(raw: &[u8], headers: &[httparse::Header<'_>], fields: &mut Fields) -> Places {
    let mut places = Places::new();
    for header in headers {
        // The parser has removed the white space around the value.
        if may_matter(header.name)
            && let Ok(value) = std::str::from_utf8(header.value)
        {
            fields.add(header.name, trim(value));
        }
        places.push(Field::place(raw, header.name.as_bytes(), header.value));
    }
    places
}

/// The head with folded lines joined, readable as text.
fn readable(raw: &[u8]) -> String {
    let mut bytes = raw.to_vec();
    unfold(&mut bytes, &mut Deviations::default());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Unless the head is whole, its last line may be cut and does not count.
fn survey_lines(block: &str, whole: bool, fields: &mut Fields) {
    let block = if whole { block } else { block.rfind('\n').map_or("", |end| &block[..end]) };
    for line in block.split('\n') {
        if let Some((name, value, _)) = split_field(line.strip_suffix('\r').unwrap_or(line)) {
            fields.add(name, value);
        }
    }
}
