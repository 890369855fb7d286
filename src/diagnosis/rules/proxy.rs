//! Forward proxies: a CONNECT that did not lead through.

use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::Session;
use crate::diagnosis::finding::Finding;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::stream::Side;

pub(super) fn judge(session: &Session<'_>, _: Outcome, candidates: &mut Candidates) {
    let Some(connect) = session.refused_connect() else { return };
    let (Some(response), Some(request)) = (connect.response(), &connect.request) else { return };
    let (rule, summary) = match response.status {
        407 => (&PROXY_AUTH_REQUIRED, "The forward proxy wants a user name and password (407).".to_owned()),
        status => (&PROXY_REFUSED_CONNECT, format!("The forward proxy refused to open a tunnel ({status}).")),
    };
    let finding = Finding::new(rule, Confidence::Proven, summary)
        .evidence(request.head.last, Some(Side::Client), "CONNECT")
        .evidence(response.head.last, Some(Side::Server), format!("answered with {}", response.status));
    candidates.cause(finding);
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &PROXY_AUTH_REQUIRED,
    &PROXY_REFUSED_CONNECT,
    &MIDDLEBOX_STRIPPED_UPGRADE,
    &ANTIVIRUS_CORRUPTS_FRAMES,
    &CAPTIVE_PORTAL,
    &PROXY_GET_WITHOUT_CONNECT,
];

pub(crate) static PROXY_AUTH_REQUIRED: Rule = Rule {
    id: "WSP201",
    slug: "proxy-auth-required",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The forward proxy demands a login before it lets the connection through.",
    explanation: "The client uses a forward proxy (a company proxy, for example), and that proxy wants a user name and \
        password before it opens the tunnel. The WebSocket server was never reached.",
    evidence: "CONNECT HOST:PORT answered with status 407. Proven.",
    unless: "A second CONNECT that succeeds right after is normal: the first 407 asks for the login.",
    advice: "Give the client the proxy's credentials, or exempt the host from the proxy (no_proxy). Many WebSocket \
        libraries do not use the proxy's login on their own: node ws needs an agent (https-proxy-agent), Python \
        websockets reads HTTPS_PROXY from version 15 on.",
    reports: "Chromium: Proxy authentication failed, close code 1006.",
    references: &["RFC 9110 §15.5.8", "RFC 6455 §4.1"],
    aliases: &["1006", "407"],
    ..Rule::BASE
};

pub(crate) static PROXY_REFUSED_CONNECT: Rule = Rule {
    id: "WSP202",
    slug: "proxy-refused-connect",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Proxy,
    title: "The forward proxy refused to open the tunnel.",
    explanation: "The client asked a forward proxy to open a tunnel and the proxy said no. Many proxies allow tunnels to \
        port 443 only. The WebSocket server was never reached.",
    evidence: "CONNECT HOST:PORT answered with 403, 405, 502 or 503. Proven.",
    unless: "Status 407 is a login request (WSP201). With 502 or 503 the proxy may have tried and failed to reach the \
        server.",
    advice: "Use wss:// on port 443, or let the proxy's owner allow the port. In Squid, tunnels are allowed for the \
        ports in SSL_ports:\n\
        \n\
        \x20   acl SSL_ports port 8443",
    reports: "Chromium: Establishing a tunnel via proxy server failed, close code 1006.",
    references: &["RFC 9110 §9.3.6", "RFC 6455 §4.1"],
    aliases: &["1006", "ERR_TUNNEL_CONNECTION_FAILED", "Squid"],
    ..Rule::BASE
};

pub(crate) static MIDDLEBOX_STRIPPED_UPGRADE: Rule = Rule {
    id: "WSP203",
    slug: "middlebox-stripped-upgrade",
    severity: Severity::Error,
    party: Party::Network,
    detected: false,
    title: "Something between client and server removed the Upgrade header.",
    explanation: "The client sent a correct WebSocket request, but when it reached the server the Upgrade header was gone. \
        A company firewall, a transparent proxy or security software on the way rewrote it. The server then saw \
        an ordinary request.",
    evidence: "With captures on both sides: the client's request has Upgrade and the one that reaches the server has \
        not. Proven. With the server's side only: Sec-WebSocket-Key without Upgrade, no header of a reverse \
        proxy, and a sender that is a client's network. Likely.",
    unless: "If your own reverse proxy stands in front of the server, it is far more likely the one (WSH301).",
    advice: "Use wss:// on port 443: what is encrypted cannot be rewritten.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 400. node ws \
        raises: Unexpected server response: 400. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 400.",
    references: &["RFC 6455 §4.2.1", "RFC 9110 §7.6.1"],
    aliases: &["1006", "400", "426", "transparent proxy"],
    ..Rule::BASE
};

pub(crate) static ANTIVIRUS_CORRUPTS_FRAMES: Rule = Rule {
    id: "WSP204",
    slug: "antivirus-corrupts-frames",
    severity: Severity::Error,
    party: Party::Network,
    detected: false,
    title: "Security software seems to damage WebSocket frames on their way to the client.",
    explanation: "The server's frames left it correct and reached the client damaged or late. Some antivirus programs that \
        scan web traffic did this to WebSockets. The client sees bits set that nobody agreed on, and gives up.",
    evidence: "Frames towards the client have impossible reserved bits (first byte 0x30 to 0x3F or 0xB0 to 0xBF) while \
        the same bytes are correct at the server. Proven with captures at both ends, otherwise likely.",
    unless: "If the frames are wrong at the server already, the server is at fault (WSF403). If readable text stands \
        there, see WSF415.",
    advice: "Exclude the server from the antivirus program's web scanning, or use wss://.",
    reports: "Chromium: One or more reserved bits are on: reserved1 = 0, reserved2 = 1, reserved3 = 1.",
    references: &["RFC 6455 §5.2", "socketio/socket.io#2543"],
    aliases: &["1006", "1002", "antivirus", "ESET", "NOD32"],
    ..Rule::BASE
};

pub(crate) static CAPTIVE_PORTAL: Rule = Rule {
    id: "WSP205",
    slug: "captive-portal",
    severity: Severity::Error,
    party: Party::Network,
    detected: false,
    title: "A login page or block page answered instead of the server.",
    explanation: "Instead of the server, a login or block page answered: the network has a portal (hotel, train, guest \
        WLAN) or a filter that answers in the server's place. The WebSocket server was never reached.",
    evidence: "Status 200, 302 or 511 with a web page, from a sender whose hop count or speed does not fit the server, \
        or a redirect to a different host. Likely.",
    unless: "If the page comes from your own server, see WSH310 and WSH311.",
    advice: "Open any web page in the browser and log in to the network, then try again. With wss:// the portal \
        cannot pretend to be the server.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 302. node ws \
        raises: Unexpected server response: 302. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 302.",
    references: &["RFC 8952 §2", "RFC 6585 §6"],
    aliases: &["1006", "511", "302", "captive portal", "guest wifi"],
    ..Rule::BASE
};

pub(crate) static PROXY_GET_WITHOUT_CONNECT: Rule = Rule {
    id: "WSP206",
    slug: "proxy-get-without-connect",
    severity: Severity::Error,
    party: Party::Client,
    detected: false,
    title: "The client sent the WebSocket request to a forward proxy without asking for a tunnel first.",
    explanation: "The client sent its WebSocket request to a forward proxy as if it were an ordinary web request. It has \
        to ask the proxy for a tunnel (CONNECT) first. The proxy then refuses, or forwards the request without \
        Upgrade.",
    evidence: "A GET with a full address (GET http://HOST/...) and Upgrade, sent to a proxy, without CONNECT before it.",
    unless: "A reverse proxy also accepts a full address in the request. If the answer is 101, all is well.",
    advice: "Use a client library that knows proxies and uses CONNECT, or wss://, for which every client does.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 403. node ws \
        raises: Unexpected server response: 403. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 403.",
    references: &["RFC 6455 §4.1", "Atmosphere/wasync#77"],
    aliases: &["1006", "403"],
    ..Rule::BASE
};
