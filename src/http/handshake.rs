//! The opening handshake's checks (RFC 6455 §4.2.1 for the request, §4.1 for the answer) as facts.
//!
//! Every fact has a value for "cannot be known", used when a head was cut: what was not captured is no violation.
//! Nothing here judges which violation broke the connection.

use super::deflate::{Compression, Violation};
use super::head::{Presence, Version};

/// The checks on both heads of a WebSocket attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What a server must check; `None` when no request was seen.
    pub request: Option<RequestChecks>,
    /// What a client must check; `None` without an HTTP answer.
    pub response: Option<ResponseChecks>,
}

/// What a server finds in the request (RFC 6455 §4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestChecks {
    /// The method is `GET` (item 1).
    pub method_is_get: bool,
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
    /// Extension names offered, in order, each once.
    pub extension_names: Vec<Box<str>>,
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
    /// Extension names in the answer, in order, each once.
    pub extension_names: Vec<Box<str>>,
    /// What both sides did wrong about extensions (item 5 and RFC 7692 §7).
    pub violations: Vec<Violation>,
    /// What is in force.
    pub compression: Compression,
    /// `Content-Length` on a 1xx, which has no body (RFC 9110 §8.6).
    pub content_length: Presence,
    /// `Transfer-Encoding` on a 1xx (RFC 9112 §6.1).
    pub transfer_encoding: Presence,
    /// `Sec-WebSocket-Version` values in the answer, with which a server says what it speaks (RFC 6455 §4.4).
    pub versions_offered: Vec<Box<str>>,
}

/// A list field that must contain a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// The head was cut before it told.
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
    pub const fn present(self) -> Option<bool> {
        match self {
            Token::Unknown => None,
            Token::Missing | Token::Lacking => Some(false),
            Token::Sole | Token::Among => Some(true),
        }
    }
}

/// `Sec-WebSocket-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The head was cut before it told.
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

/// `Sec-WebSocket-Version` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebSocketVersion {
    /// The head was cut before it told.
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

/// `Sec-WebSocket-Accept` (RFC 6455 §4.2.2, item 5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// The answer's or the request's head was cut before it told, or the request was not seen.
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

/// The subprotocol in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// A head was cut before it told.
    Unknown,
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
