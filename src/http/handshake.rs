//! The opening handshake's checks (RFC 6455 §4.2.1 for the request, §4.1 for the answer) as facts.
//!
//! Every fact has a value for "cannot be known", used when a head was cut: what was not captured is no violation.
//! Nothing here judges which violation broke the connection.

use smallvec::SmallVec;

use super::accept;
pub use super::accept::{Accept, Key};
use super::deflate::{self, Compression, Extensions, Violation};
use super::extension::ExtensionList;
use super::field_name::Name;
use super::head::{Head, Presence, RequestHead, ResponseHead};
use super::syntax::{Completeness, Version, is_token_byte, trim};
use crate::stream::Side;

/// The checks on both heads of a WebSocket attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What a server must check; `None` when no request was captured.
    pub request: Option<RequestChecks>,
    /// What a client must check; `None` without an HTTP answer.
    pub response: Option<ResponseChecks>,
}

/// What a server finds in the request (RFC 6455 §4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestChecks {
    /// The method is `GET` (item 1). `None` when cut.
    pub method_is_get: Option<bool>,
    /// The version in the request line; must be at least 1.1 (item 1). `None` when cut.
    pub version: Option<Version>,
    /// `Host` (item 2).
    pub host: Presence,
    /// `Upgrade` contains `websocket` (item 3).
    pub upgrade: Token,
    /// `Connection` contains `Upgrade` (item 4).
    pub connection: Token,
    /// `Sec-WebSocket-Key` (item 5).
    pub key: Key,
    /// The key is `dGhlIHNhbXBsZSBub25jZQ==`, the sample of RFC 6455 §1.3 that many copy from there.
    pub key_is_rfc_sample: bool,
    /// `Sec-WebSocket-Version` (item 6).
    pub websocket_version: WebSocketVersion,
    /// Headers of the drafts before the RFC.
    pub draft: Option<Draft>,
    /// `Origin` (item 7), or `Sec-WebSocket-Origin`.
    pub origin: Presence,
    /// `Sec-WebSocket-Protocol` (item 8).
    pub subprotocols: OfferedSubprotocols,
    /// `Sec-WebSocket-Extensions` (item 9) is there.
    pub extensions: Presence,
    /// `Sec-WebSocket-Extensions` does not follow the grammar of RFC 6455 §9.1.
    pub extensions_malformed: bool,
}

/// What a client finds in the answer (RFC 6455 §4.1, second part).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseChecks {
    /// The status code; 101 or no WebSocket (item 1).
    pub status: u16,
    /// The version in the status line. RFC 6455 §4.2.2 asks for 1.1 or later.
    pub version: Option<Version>,
    /// `Upgrade` is `websocket` (item 2).
    pub upgrade: Token,
    /// `Connection` contains `Upgrade` (item 3).
    pub connection: Token,
    /// `Sec-WebSocket-Accept` fits the key (item 4).
    pub accept: Accept,
    /// `Sec-WebSocket-Protocol` (item 6).
    pub subprotocol: Subprotocol,
    /// How often `Sec-WebSocket-Extensions` appears; must not be more than once in an answer (RFC 6455 §11.3.2).
    pub extensions: Presence,
    /// `Sec-WebSocket-Extensions` does not follow the grammar of RFC 6455 §9.1.
    pub extensions_malformed: bool,
    /// What both sides did wrong about extensions (item 5 and RFC 7692 §7).
    pub violations: Vec<Violation>,
    /// What is in force.
    pub compression: Compression,
    /// `Content-Length` on a 1xx, which has no body (RFC 9110 §8.6).
    pub content_length: Presence,
    /// `Transfer-Encoding` on a 1xx (RFC 9112 §6.1).
    pub transfer_encoding: Presence,
}

/// A list field that must contain a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// The head was cut before such a field was seen.
    Unknown,
    /// There is no such field.
    Missing,
    /// The field lacks the token.
    Lacking,
    /// The token is the whole list.
    Sole,
    /// The token is there among others, as in `Connection: keep-alive, Upgrade`.
    Among,
}

impl Token {
    /// Whether the token is there; `None` when unknown.
    #[must_use]
    pub(crate) const fn present(self) -> Option<bool> {
        match self {
            Token::Unknown => None,
            Token::Missing | Token::Lacking => Some(false),
            Token::Sole | Token::Among => Some(true),
        }
    }
}

/// `Sec-WebSocket-Version` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebSocketVersion {
    /// The head was cut before such a field was seen.
    Unknown,
    /// Not there.
    Missing,
    /// 13.
    Rfc6455,
    /// Another number.
    Other(u32),
    /// No number.
    Malformed,
    /// More than one field (RFC 6455 §11.3.5).
    Multiple,
}

/// A client that speaks a draft of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Draft {
    /// hixie-75: `Upgrade: WebSocket` without key and version.
    Hixie75,
    /// hixie-76: `Sec-WebSocket-Key1` and `Sec-WebSocket-Key2`.
    Hixie76,
    /// hybi drafts with `Sec-WebSocket-Version` below 13.
    Hybi(u32),
}

/// `Sec-WebSocket-Protocol` of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OfferedSubprotocols {
    /// How many are offered.
    pub count: u32,
    /// The head was cut: there may be more.
    pub may_be_more: bool,
    /// A value that is no token, or an empty field (RFC 6455 §4.1, item 10).
    pub malformed: bool,
    /// The same value twice, which must not be (RFC 6455 §4.1, item 10).
    pub duplicate: bool,
}

/// The subprotocol in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// A head was cut before such a field was seen.
    Unknown,
    /// This one; whether it was offered is not known.
    Unchecked(Box<str>),
    /// None offered, none selected.
    None,
    /// One of those offered.
    Selected(Box<str>),
    /// One that was not offered (RFC 6455 §4.1: the client must fail).
    NotOffered(Box<str>),
    /// Offered, but none selected: legal, yet browsers fail the connection.
    NoneSelected,
    /// The field is empty.
    Empty,
    /// Several values or several fields.
    Several,
}

impl Handshake {
    /// Checks both heads. `certain` tells whether they surely belong together.
    #[must_use]
    pub(crate) fn examine(request: Option<&RequestHead>, response: Option<&ResponseHead>, certain: bool) -> Handshake {
        let offer = request.map_or(Extensions::None, |request| Extensions::of(&request.head, Side::Client));
        Handshake {
            request: request.map(|request| RequestChecks::of(request, &offer)),
            response: response.map(|response| ResponseChecks::of(request, &offer, response, certain)),
        }
    }
}

impl RequestChecks {
    fn of(request: &RequestHead, offer: &Extensions) -> RequestChecks {
        let head = &request.head;
        let websocket_version = websocket_version(head);
        let cut_in_method = head.completeness == Completeness::CutInStartLine && request.target().is_empty();
        RequestChecks {
            // RFC 6455 §4.2.1, item 1: the method is GET, and methods are case-sensitive (RFC 9110 §9.1).
            method_is_get: (!cut_in_method).then(|| request.method() == "GET"),
            version: request.version,
            host: head.count(Name::Host),
            upgrade: token(head, Name::Upgrade, "websocket"),
            connection: token(head, Name::Connection, "upgrade"),
            key: accept::check_key(request),
            key_is_rfc_sample: request.websocket_key() == Some(accept::RFC_SAMPLE_KEY),
            websocket_version,
            draft: match websocket_version {
                WebSocketVersion::Rfc6455 if !head.has(Name::SecWebSocketKey1) && !head.has(Name::SecWebSocketKey2) => {
                    None
                }
                _ => draft(head, websocket_version),
            },
            origin: match head.count(Name::Origin) {
                Presence::Missing | Presence::Unknown => head.count(Name::SecWebSocketOrigin),
                seen => seen,
            },
            subprotocols: if head.has(Name::SecWebSocketProtocol) {
                offered_subprotocols(request)
            } else {
                OfferedSubprotocols { may_be_more: !head.is_complete(), ..OfferedSubprotocols::default() }
            },
            extensions: head.count(Name::SecWebSocketExtensions),
            extensions_malformed: *offer == Extensions::Other && extensions(head).malformed,
        }
    }
}

impl ResponseChecks {
    fn of(request: Option<&RequestHead>, offer: &Extensions, response: &ResponseHead, certain: bool) -> ResponseChecks {
        let head = &response.head;
        let answer = Extensions::of(head, Side::Server);
        let (compression, violations) = match deflate::negotiate_usual(offer, &answer, head.is_complete()) {
            Some(compression) => (compression, Vec::new()),
            None => negotiate(request, head, certain),
        };
        ResponseChecks {
            status: response.status,
            version: response.version,
            upgrade: token(head, Name::Upgrade, "websocket"),
            connection: token(head, Name::Connection, "upgrade"),
            accept: accept::check_accept(request, response, certain),
            subprotocol: selected_subprotocol(request.filter(|_| certain), head),
            extensions: head.count(Name::SecWebSocketExtensions),
            extensions_malformed: answer == Extensions::Other && extensions(head).malformed,
            violations,
            compression,
            content_length: head.count(Name::ContentLength),
            transfer_encoding: head.count(Name::TransferEncoding),
        }
    }
}

/// The extensions of a head with other than the usual ones.
#[cold]
#[inline(never)]
fn extensions(head: &Head) -> ExtensionList<'_> {
    ExtensionList::parse(head.values(Name::SecWebSocketExtensions))
}

/// Compares the extensions of both heads where they are not the usual ones.
#[cold]
#[inline(never)]
fn negotiate(request: Option<&RequestHead>, answer: &Head, certain: bool) -> (Compression, Vec<Violation>) {
    let offers = request.map_or_else(ExtensionList::default, |request| extensions(&request.head));
    let offers_known = certain && request.is_some_and(|request| request.head.is_complete());
    deflate::negotiate(&offers, offers_known, &extensions(answer), answer.is_complete())
}

/// RFC 6455 §4.2.1, items 3 and 4: the list contains the token, compared without case.
#[inline(never)]
fn token(head: &Head, field: Name, wanted: &str) -> Token {
    match head.only(field) {
        Some(value) if value.eq_ignore_ascii_case(wanted) => Token::Sole,
        _ => token_in_list(head, field, wanted),
    }
}

#[inline(never)]
fn token_in_list(head: &Head, field: Name, wanted: &str) -> Token {
    let (mut found, mut others) = (false, false);
    for element in head.elements(field) {
        if element.eq_ignore_ascii_case(wanted) {
            found = true;
        } else {
            others = true;
        }
    }
    match (found, head.count(field)) {
        (true, _) if others => Token::Among,
        (true, _) => Token::Sole,
        (false, Presence::Missing) => Token::Missing,
        _ if !head.is_complete() => Token::Unknown,
        _ => Token::Lacking,
    }
}

fn websocket_version(head: &Head) -> WebSocketVersion {
    if let Some(value) = head.only(Name::SecWebSocketVersion) {
        return match value {
            "13" => WebSocketVersion::Rfc6455,
            value => number(value).map_or(WebSocketVersion::Malformed, |number| match number {
                13 => WebSocketVersion::Rfc6455,
                other => WebSocketVersion::Other(other),
            }),
        };
    }
    match head.count(Name::SecWebSocketVersion) {
        Presence::Unknown => WebSocketVersion::Unknown,
        Presence::Missing => WebSocketVersion::Missing,
        Presence::One | Presence::Several => WebSocketVersion::Multiple,
    }
}

/// A decimal number without sign, as RFC 6455 §4.3 writes versions, but with any number of digits that fits.
#[cold]
#[inline(never)]
fn number(value: &str) -> Option<u32> {
    if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None }
}

#[cold]
#[inline(never)]
fn draft(head: &Head, version: WebSocketVersion) -> Option<Draft> {
    let there = |name| head.has(name);
    if there(Name::SecWebSocketKey1) || there(Name::SecWebSocketKey2) {
        return Some(Draft::Hixie76);
    }
    match version {
        WebSocketVersion::Other(version) if version < 13 => Some(Draft::Hybi(version)),
        // hixie-75 knew no Sec-WebSocket fields at all; `WebSocket-Protocol` is its own.
        WebSocketVersion::Missing
            if there(Name::WebSocketProtocol)
                && head.count(Name::SecWebSocketKey) == Presence::Missing
                && token(head, Name::Upgrade, "websocket").present() == Some(true) =>
        {
            Some(Draft::Hixie75)
        }
        _ => None,
    }
}

#[inline(never)]
fn offered_subprotocols(request: &RequestHead) -> OfferedSubprotocols {
    let mut values: SmallVec<[&str; 8]> = request.subprotocols().collect();
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let is_token = |value: &&str| value.bytes().all(is_token_byte);
    let fields = request.head.values(Name::SecWebSocketProtocol);
    // RFC 6455 §4.1, item 10 on the request: one or more values, each a token, each once.
    let malformed =
        !values.iter().all(is_token) || fields.into_iter().any(|value| value.split(',').all(|it| trim(it).is_empty()));
    values.sort_unstable();
    let duplicate = values.windows(2).any(|pair| pair[0] == pair[1]);
    OfferedSubprotocols { count, may_be_more: !request.head.is_complete(), malformed, duplicate }
}

/// `request` only when it surely belongs to the answer.
fn selected_subprotocol(request: Option<&RequestHead>, head: &Head) -> Subprotocol {
    let spoken_of = |head: &Head| head.has(Name::SecWebSocketProtocol) || !head.is_complete();
    match request {
        Some(request) if !spoken_of(&request.head) && !spoken_of(head) => Subprotocol::None,
        _ => find_subprotocol(request, head),
    }
}

#[inline(never)]
fn find_subprotocol(request: Option<&RequestHead>, head: &Head) -> Subprotocol {
    match head.count(Name::SecWebSocketProtocol) {
        Presence::Unknown => Subprotocol::Unknown,
        // RFC 6455 §11.3.4: the field must not appear more than once in an answer.
        Presence::Several => Subprotocol::Several,
        Presence::Missing => match request.map(|request| (request.head.is_complete(), request.subprotocols().next())) {
            None | Some((false, None)) => Subprotocol::Unknown,
            Some((true, None)) => Subprotocol::None,
            Some((_, Some(_))) => Subprotocol::NoneSelected,
        },
        Presence::One => match head.first(Name::SecWebSocketProtocol).unwrap_or_default() {
            "" => Subprotocol::Empty,
            value if value.contains(',') => Subprotocol::Several,
            // RFC 6455 §4.1, item 6 on the answer: it must be one of those offered; compared with case.
            value => match request {
                Some(request) if request.subprotocols().any(|offered| offered == value) => {
                    Subprotocol::Selected(value.into())
                }
                Some(request) if request.head.is_complete() => Subprotocol::NotOffered(value.into()),
                _ => Subprotocol::Unchecked(value.into()),
            },
        },
    }
}
