//! Family `WSL`: which leg of a proxied connection broke.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The end came from the server behind the proxy.
pub static BACKEND_FIRST: Rule = Rule {
    id: "WSL951",
    slug: "backend-first",
    severity: Severity::Info,
    title: "The end came from the server behind the proxy.",
    explanation: "The capture holds both connections of a proxied WebSocket. The one between proxy and server ended first, \
        and the proxy then ended the one to the client. So the server is where to look.",
    evidence: "FIN, RST or Close from the server behind the proxy, earlier than the end in front by at least 0.1 \
        milliseconds on the same clock. Proven if the two were paired with certainty.",
    unless: "If the two connections were paired by time and path only, the pair may be wrong. Clocks of two machines \
        cannot be compared directly.",
    advice: "Look at the server's log at that second.",
    reports: "",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["backend", "upstream"],
};

/// The end came from the client in front of the proxy.
pub static CLIENT_FIRST: Rule = Rule {
    id: "WSL952",
    slug: "client-first",
    severity: Severity::Info,
    title: "The end came from the client in front of the proxy.",
    explanation: "The capture holds both connections of a proxied WebSocket. The client ended its own first, and the proxy \
        then ended the one to the server. Server and proxy only followed.",
    evidence: "FIN, RST or Close from the client, earlier than the end behind the proxy, on the same clock. Proven if \
        the two were paired with certainty.",
    unless: "If the two connections were paired by time and path only, the pair may be wrong.",
    advice: "Look at the client: a page that was closed, a timeout of its own, or its network.",
    reports: "",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["downstream"],
};

/// The proxy ended the connection on its own.
pub static PROXY_FIRST: Rule = Rule {
    id: "WSL953",
    slug: "proxy-first",
    severity: Severity::Warning,
    title: "The proxy ended the connection on its own.",
    explanation: "The proxy ended both of its connections in the same moment, and neither the client nor the server had \
        given it a reason. It acted on its own: a timer ran out, or it was reloaded or stopped.",
    evidence: "FIN or RST from the proxy on both connections within 5 milliseconds, and no packet from either end that \
        could have caused it within the last round trip. Proven if the two were paired with certainty.",
    unless: "If one end closed just before, see WSL951 and WSL952.",
    advice: "If the line was silent before, raise the proxy's timer or send pings (WSK701). Otherwise look at the \
        proxy's log for a reload (WSO803). nginx hangs up on both sides in the ordinary way; HAProxy sends the \
        server a reset.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["nginx proxy_read_timeout", "HAProxy timeout tunnel"],
    aliases: &["1006", "proxy timeout"],
};

/// The close frame changed or vanished on its way through the proxy.
pub static CLOSE_FRAME_ALTERED: Rule = Rule {
    id: "WSL954",
    slug: "close-frame-altered",
    severity: Severity::Warning,
    title: "The close frame changed or vanished on its way through the proxy.",
    explanation: "A close frame went into the proxy, and another one or none came out. The receiver therefore reports a \
        different code from the one that was sent.",
    evidence: "The close frames on the two connections of the pair differ in code or reason, or one is missing. Proven \
        with both connections.",
    unless: "If one of the connections ended before the frame could pass, nobody altered it.",
    advice: "Look for a gateway that ends the WebSocket and makes one of its own. If it is yours, pass code and \
        reason on, and send an empty close where there was none.",
    reports: "Different codes on the two sides, often 1006 or 1005 on one.",
    references: &["RFC 6455 §7.1.5", "vulcand/oxy#133"],
    aliases: &["1006", "1005"],
};

/// This is what the proxy changed in the request or the answer.
pub static HEADER_DIFF: Rule = Rule {
    id: "WSL955",
    slug: "header-diff",
    severity: Severity::Info,
    title: "This is what the proxy changed in the request or the answer.",
    explanation: "The request or the answer is not the same in front of the proxy and behind it. The list shows what was \
        removed, added and rewritten. Often the fault can be seen in it at a glance.",
    evidence: "The header fields of the two connections of a pair, compared. Proven.",
    unless: "Added fields such as X-Forwarded-For and Via are normal.",
    advice: "Look first at Upgrade, Connection, Host, Origin, the path, Sec-WebSocket-Extensions, \
        Sec-WebSocket-Protocol and Cookie.",
    reports: "",
    references: &["RFC 9110 §7.6", "RFC 6455 §4.2.1"],
    aliases: &["header diff", "proxy headers"],
};

/// This is where the time went: client side, proxy, or server side.
pub static LATENCY_SPLIT: Rule = Rule {
    id: "WSL956",
    slug: "latency-split",
    severity: Severity::Info,
    title: "This is where the time went: client side, proxy, or server side.",
    explanation: "Both connections of a proxied WebSocket are in the capture, so the delay can be split. The parts are the \
        way from client to proxy, the time within the proxy, and the way from proxy to server.",
    evidence: "The round-trip times of both connections, and the time between the same message in front of the proxy \
        and behind it, on the same clock.",
    unless: "Times from two machines need their clocks compared first.",
    advice: "Look at the part that takes longest.",
    reports: "",
    references: &["RFC 9293 §3.8.1"],
    aliases: &["latency", "slow"],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] =
    &[&BACKEND_FIRST, &CLIENT_FIRST, &PROXY_FIRST, &CLOSE_FRAME_ALTERED, &HEADER_DIFF, &LATENCY_SPLIT];
