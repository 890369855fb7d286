//! Family `WSH`: the opening handshake.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// A reverse proxy forwarded the WebSocket request as an ordinary HTTP request.
pub static UPGRADE_STRIPPED: Rule = Rule {
    id: "WSH301",
    slug: "upgrade-stripped",
    severity: Severity::Error,
    title: "A reverse proxy forwarded the WebSocket request as an ordinary HTTP request.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// An ordinary HTTP request reached a WebSocket address.
pub static PLAIN_GET_ON_WS_PATH: Rule = Rule {
    id: "WSH302",
    slug: "plain-get-on-ws-path",
    severity: Severity::Warning,
    title: "An ordinary HTTP request reached a WebSocket address.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The request said HTTP/1.0, but WebSocket needs HTTP/1.1.
pub static HTTP_1_0_REQUEST: Rule = Rule {
    id: "WSH303",
    slug: "http-1-0-request",
    severity: Severity::Error,
    title: "The request said HTTP/1.0, but WebSocket needs HTTP/1.1.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The WebSocket request did not use the GET method.
pub static METHOD_NOT_GET: Rule = Rule {
    id: "WSH304",
    slug: "method-not-get",
    severity: Severity::Error,
    title: "The WebSocket request did not use the GET method.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The request's Sec-WebSocket-Key is missing or malformed.
pub static BAD_KEY: Rule = Rule {
    id: "WSH305",
    slug: "bad-key",
    severity: Severity::Error,
    title: "The request's Sec-WebSocket-Key is missing or malformed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Client and server want different WebSocket versions.
pub static BAD_VERSION: Rule = Rule {
    id: "WSH306",
    slug: "bad-version",
    severity: Severity::Error,
    title: "Client and server want different WebSocket versions.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server refused the request because Origin and Host name different sites.
pub static HOST_ORIGIN_MISMATCH: Rule = Rule {
    id: "WSH307",
    slug: "host-origin-mismatch",
    severity: Severity::Error,
    title: "The server refused the request because Origin and Host name different sites.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server rejects a Connection header that lists more than Upgrade.
pub static STRICT_CONNECTION_HEADER: Rule = Rule {
    id: "WSH308",
    slug: "strict-connection-header",
    severity: Severity::Error,
    title: "The server rejects a Connection header that lists more than Upgrade.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server answered with an ordinary page (200) instead of switching to WebSocket.
pub static STATUS_200: Rule = Rule {
    id: "WSH310",
    slug: "status-200",
    severity: Severity::Error,
    title: "The server answered with an ordinary page (200) instead of switching to WebSocket.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server sent the client to another address, and WebSocket clients do not follow.
pub static REDIRECT: Rule = Rule {
    id: "WSH311",
    slug: "redirect",
    severity: Severity::Error,
    title: "The server sent the client to another address, and WebSocket clients do not follow.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server called the WebSocket request a bad request (400).
pub static STATUS_400: Rule = Rule {
    id: "WSH312",
    slug: "status-400",
    severity: Severity::Error,
    title: "The server called the WebSocket request a bad request (400).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server wants a login first (401).
pub static STATUS_401: Rule = Rule {
    id: "WSH313",
    slug: "status-401",
    severity: Severity::Error,
    title: "The server wants a login first (401).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server forbids this connection (403).
pub static STATUS_403: Rule = Rule {
    id: "WSH314",
    slug: "status-403",
    severity: Severity::Error,
    title: "The server forbids this connection (403).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// There is no WebSocket service at that path (404).
pub static STATUS_404: Rule = Rule {
    id: "WSH315",
    slug: "status-404",
    severity: Severity::Error,
    title: "There is no WebSocket service at that path (404).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server does not accept this kind of request at that address.
pub static STATUS_405_426_501_505: Rule = Rule {
    id: "WSH316",
    slug: "status-405-426-501-505",
    severity: Severity::Error,
    title: "The server does not accept this kind of request at that address.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The service refuses for now: too many requests, or not available.
pub static STATUS_429_503: Rule = Rule {
    id: "WSH317",
    slug: "status-429-503",
    severity: Severity::Error,
    title: "The service refuses for now: too many requests, or not available.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The proxy could not get an answer from the real server.
pub static STATUS_502_504: Rule = Rule {
    id: "WSH318",
    slug: "status-502-504",
    severity: Severity::Error,
    title: "The proxy could not get an answer from the real server.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server failed while answering the WebSocket request (500).
pub static STATUS_500: Rule = Rule {
    id: "WSH319",
    slug: "status-500",
    severity: Severity::Error,
    title: "The server failed while answering the WebSocket request (500).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server's Sec-WebSocket-Accept does not match the client's key.
pub static ACCEPT_MISMATCH: Rule = Rule {
    id: "WSH321",
    slug: "accept-mismatch",
    severity: Severity::Error,
    title: "The server's Sec-WebSocket-Accept does not match the client's key.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server said 101 but left out or repeated a header that is required.
pub static HTTP_101_INCOMPLETE: Rule = Rule {
    id: "WSH322",
    slug: "101-incomplete",
    severity: Severity::Error,
    title: "The server said 101 but left out or repeated a header that is required.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server chose a subprotocol that the client did not offer.
pub static SUBPROTOCOL_UNREQUESTED: Rule = Rule {
    id: "WSH323",
    slug: "subprotocol-unrequested",
    severity: Severity::Error,
    title: "The server chose a subprotocol that the client did not offer.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client offered subprotocols and the server confirmed none.
pub static SUBPROTOCOL_NOT_CONFIRMED: Rule = Rule {
    id: "WSH324",
    slug: "subprotocol-not-confirmed",
    severity: Severity::Error,
    title: "The client offered subprotocols and the server confirmed none.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server switched on an extension that the client did not offer.
pub static EXTENSION_UNREQUESTED: Rule = Rule {
    id: "WSH325",
    slug: "extension-unrequested",
    severity: Severity::Error,
    title: "The server switched on an extension that the client did not offer.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The 101 answer carries headers that announce a body.
pub static HTTP_101_WITH_BODY_FRAMING: Rule = Rule {
    id: "WSH326",
    slug: "101-with-body-framing",
    severity: Severity::Warning,
    title: "The 101 answer carries headers that announce a body.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Nobody answered the WebSocket request in time.
pub static HANDSHAKE_TIMEOUT: Rule = Rule {
    id: "WSH327",
    slug: "handshake-timeout",
    severity: Severity::Error,
    title: "Nobody answered the WebSocket request in time.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server hung up instead of answering the WebSocket request.
pub static CLOSED_BEFORE_RESPONSE: Rule = Rule {
    id: "WSH328",
    slug: "closed-before-response",
    severity: Severity::Error,
    title: "The server hung up instead of answering the WebSocket request.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client hung up before the server could answer.
pub static CLIENT_ABANDONED: Rule = Rule {
    id: "WSH329",
    slug: "client-abandoned",
    severity: Severity::Info,
    title: "The client hung up before the server could answer.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client sent WebSocket data before the server had agreed.
pub static EARLY_CLIENT_DATA: Rule = Rule {
    id: "WSH330",
    slug: "early-client-data",
    severity: Severity::Warning,
    title: "The client sent WebSocket data before the server had agreed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server wrote an HTTP response into a connection that was already a WebSocket.
pub static HTTP_AFTER_101: Rule = Rule {
    id: "WSH332",
    slug: "http-after-101",
    severity: Severity::Error,
    title: "The server wrote an HTTP response into a connection that was already a WebSocket.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The WebSocket opened and died at once, before any message.
pub static HTTP_101_THEN_DEAD: Rule = Rule {
    id: "WSH333",
    slug: "101-then-dead",
    severity: Severity::Error,
    title: "The WebSocket opened and died at once, before any message.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The path in the request looks wrong.
pub static REQUEST_TARGET_ANOMALY: Rule = Rule {
    id: "WSH335",
    slug: "request-target-anomaly",
    severity: Severity::Warning,
    title: "The path in the request looks wrong.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection uses HTTP/2, but the server does not offer WebSocket over HTTP/2.
pub static H2_NO_EXTENDED_CONNECT: Rule = Rule {
    id: "WSH336",
    slug: "h2-no-extended-connect",
    severity: Severity::Error,
    title: "The connection uses HTTP/2, but the server does not offer WebSocket over HTTP/2.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The HTTP/2 server refused the WebSocket stream.
pub static H2_STREAM_REFUSED: Rule = Rule {
    id: "WSH337",
    slug: "h2-stream-refused",
    severity: Severity::Error,
    title: "The HTTP/2 server refused the WebSocket stream.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A proxy translated HTTP/2 to HTTP/1.1 and left out the Sec-WebSocket-Key.
pub static H2_TO_H1_KEY_MISSING: Rule = Rule {
    id: "WSH338",
    slug: "h2-to-h1-key-missing",
    severity: Severity::Error,
    title: "A proxy translated HTTP/2 to HTTP/1.1 and left out the Sec-WebSocket-Key.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// WebSockets work on one path of this server and fail on another.
pub static PARTIAL_PROXY_CONFIG: Rule = Rule {
    id: "WSH340",
    slug: "partial-proxy-config",
    severity: Severity::Warning,
    title: "WebSockets work on one path of this server and fail on another.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A remote client was told to connect to localhost or to a private address.
pub static HARDCODED_LOCALHOST: Rule = Rule {
    id: "WSH341",
    slug: "hardcoded-localhost",
    severity: Severity::Error,
    title: "A remote client was told to connect to localhost or to a private address.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server sent an interim response (such as 100 Continue) before the 101.
pub static INTERIM_RESPONSE_BEFORE_101: Rule = Rule {
    id: "WSH342",
    slug: "interim-response-before-101",
    severity: Severity::Warning,
    title: "The server sent an interim response (such as 100 Continue) before the 101.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Something that does not speak HTTP answered the WebSocket request.
pub static NOT_HTTP_ANSWER: Rule = Rule {
    id: "WSH343",
    slug: "not-http-answer",
    severity: Severity::Error,
    title: "Something that does not speak HTTP answered the WebSocket request.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The request has no Host header.
pub static HOST_HEADER_MISSING: Rule = Rule {
    id: "WSH344",
    slug: "host-header-missing",
    severity: Severity::Warning,
    title: "The request has no Host header.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] = &[
    &UPGRADE_STRIPPED,
    &PLAIN_GET_ON_WS_PATH,
    &HTTP_1_0_REQUEST,
    &METHOD_NOT_GET,
    &BAD_KEY,
    &BAD_VERSION,
    &HOST_ORIGIN_MISMATCH,
    &STRICT_CONNECTION_HEADER,
    &STATUS_200,
    &REDIRECT,
    &STATUS_400,
    &STATUS_401,
    &STATUS_403,
    &STATUS_404,
    &STATUS_405_426_501_505,
    &STATUS_429_503,
    &STATUS_502_504,
    &STATUS_500,
    &ACCEPT_MISMATCH,
    &HTTP_101_INCOMPLETE,
    &SUBPROTOCOL_UNREQUESTED,
    &SUBPROTOCOL_NOT_CONFIRMED,
    &EXTENSION_UNREQUESTED,
    &HTTP_101_WITH_BODY_FRAMING,
    &HANDSHAKE_TIMEOUT,
    &CLOSED_BEFORE_RESPONSE,
    &CLIENT_ABANDONED,
    &EARLY_CLIENT_DATA,
    &HTTP_AFTER_101,
    &HTTP_101_THEN_DEAD,
    &REQUEST_TARGET_ANOMALY,
    &H2_NO_EXTENDED_CONNECT,
    &H2_STREAM_REFUSED,
    &H2_TO_H1_KEY_MISSING,
    &PARTIAL_PROXY_CONFIG,
    &HARDCODED_LOCALHOST,
    &INTERIM_RESPONSE_BEFORE_101,
    &NOT_HTTP_ANSWER,
    &HOST_HEADER_MISSING,
];
