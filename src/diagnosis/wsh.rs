//! The opening handshake (RFC 6455 §4): why there is no WebSocket, or why there should not be one.

use super::case::{Case, Deed, duration, number, the};
use super::catalogue::Rule;
use super::catalogue::wsh::{
    ACCEPT_MISMATCH, BAD_KEY, BAD_VERSION, CLIENT_ABANDONED, CLOSED_BEFORE_RESPONSE, EARLY_CLIENT_DATA,
    EXTENSION_UNREQUESTED, H2_NO_EXTENDED_CONNECT, H2_STREAM_REFUSED, HANDSHAKE_TIMEOUT, HARDCODED_LOCALHOST,
    HOST_HEADER_MISSING, HOST_ORIGIN_MISMATCH, HTTP_1_0_REQUEST, HTTP_101_INCOMPLETE, HTTP_101_THEN_DEAD,
    HTTP_101_WITH_BODY_FRAMING, HTTP_AFTER_101, INTERIM_RESPONSE_BEFORE_101, METHOD_NOT_GET, NOT_HTTP_ANSWER,
    PLAIN_GET_ON_WS_PATH, REDIRECT, REQUEST_TARGET_ANOMALY, STATUS_200, STATUS_400, STATUS_401, STATUS_403, STATUS_404,
    STATUS_405_426_501_505, STATUS_429_503, STATUS_500, STATUS_502_504, SUBPROTOCOL_NOT_CONFIRMED,
    SUBPROTOCOL_UNREQUESTED, UPGRADE_STRIPPED,
};
use super::catalogue::wst::WS_TO_TLS_PORT;
use super::finding::{Confidence, Finding, Severity};
use super::judged::{Explains, Judged};
use super::outcome::{Outcome, client_rejected_the_answer};
use super::wst;
use crate::http::handshake::{Accept, Draft, Key, RequestChecks, ResponseChecks, Subprotocol, WebSocketVersion};
use crate::http::{
    Answer, CutAt, Deed as DeflateDeed, Ended, Exchange, ForeignKind, Presence, RequestHead, ResponseHead, Version,
};
use crate::packet::Stamp;
use crate::stream::{Direction, Side};
use crate::websocket;

/// A connection that ends this soon after the 101, in nanoseconds, without a message, never lived.
const NEVER_LIVED: i64 = 1_000_000_000;
/// A client that waited at least this long, in nanoseconds, gave up rather than changed its mind.
const PATIENCE: i64 = 2_000_000_000;

pub(super) fn judge(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    after_the_upgrade(case, judged);
    over_http2(case, outcome, judged);
    let Some(exchange) = case.exchange() else { return };
    let failed = outcome == Outcome::UpgradeFailed;
    if let Some(request) = &exchange.request {
        let checks = case.handshake().and_then(|handshake| handshake.request.as_ref());
        if let Some(checks) = checks {
            request_faults(request, checks, exchange, failed, judged);
        }
        target(request, exchange, failed, judged);
    }
    match &exchange.answer {
        Answer::Response(_) if cut_in_head(exchange) => unanswered(case, exchange, judged),
        Answer::Response(response) if response.status == 101 => {
            accepted(case, exchange, response, outcome, judged);
        }
        Answer::Response(response) => refused(case, exchange, response, judged),
        Answer::Foreign(foreign) => foreign_answer(exchange, foreign, judged),
        Answer::Nothing | Answer::Fragment(_) => unanswered(case, exchange, judged),
        Answer::NotCaptured => {}
    }
}

fn at_request(exchange: &Exchange) -> Stamp {
    exchange.request.as_ref().map_or(Stamp::default(), |request| request.head.last)
}

fn is_loopback_host(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.starts_with("127.") || name == "::1"
}

/// Signs that a reverse proxy wrote this request.
fn forwarded(request: &RequestHead) -> bool {
    ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via"]
        .iter()
        .any(|name| request.head.header(name).is_some())
}

/// What RFC 6455 §4.2.1 wants of the request, and what is missing.
fn request_faults(
    request: &RequestHead,
    checks: &RequestChecks,
    exchange: &Exchange,
    failed: bool,
    judged: &mut Judged,
) {
    let stamp = request.head.last;
    let mut fault = |rule: &'static Rule, confidence, summary: String, note: &'static str| {
        let finding = Finding::new(rule, confidence, summary).evidence(stamp, Some(Side::Client), note);
        let finding = match exchange.response().filter(|_| failed) {
            Some(response) => {
                finding.evidence(response.head.last, Some(Side::Server), format!("answered with {}", response.status))
            }
            None => finding,
        };
        if failed {
            judged.cause(Explains::Deed, finding);
        } else {
            judged.note(finding.severity(Severity::Warning));
        }
    };
    let stripped = checks.upgrade.present() == Some(false) || checks.connection.present() == Some(false);
    let shows_intent = matches!(checks.key, Key::Valid | Key::Malformed | Key::Multiple)
        || matches!(checks.websocket_version, WebSocketVersion::Rfc6455 | WebSocketVersion::Other(_));
    if checks.method_is_get == Some(false) {
        let summary = format!("The upgrade request is a {} request; it must be a GET.", word(request.method()));
        fault(&METHOD_NOT_GET, Confidence::Proven, summary, "upgrade request");
        return;
    }
    if stripped && shows_intent {
        let old = checks.version == Some(Version::HTTP_10);
        let by_proxy = forwarded(request) || old;
        let missing = match (checks.upgrade.present(), checks.connection.present()) {
            (Some(false), Some(false)) => "the Upgrade header and the Upgrade token of Connection",
            (Some(false), _) => "the Upgrade header",
            _ => "the Upgrade token of the Connection header",
        };
        let (confidence, summary) = if by_proxy {
            let how = if old { " (HTTP/1.0, as nginx speaks to a backend by default)" } else { "" };
            let summary =
                format!("A proxy forwarded the upgrade request as ordinary HTTP{how}: {missing} did not arrive.");
            (Confidence::Proven, summary)
        } else {
            (Confidence::Likely, format!("The upgrade request reached the server without {missing}."))
        };
        fault(&UPGRADE_STRIPPED, confidence, summary, "Sec-WebSocket-Key without a complete upgrade request");
        return;
    }
    if checks.version == Some(Version::HTTP_10) {
        let summary = "The upgrade request says HTTP/1.0; WebSocket needs HTTP/1.1.".to_owned();
        fault(&HTTP_1_0_REQUEST, Confidence::Proven, summary, "request line with HTTP/1.0");
    }
    match checks.key {
        Key::Missing if !matches!(checks.draft, Some(Draft::Hixie75 | Draft::Hixie76)) => {
            fault(&BAD_KEY, Confidence::Proven, "The upgrade request has no Sec-WebSocket-Key.".into(), "no key");
        }
        Key::Malformed => {
            let summary = "Sec-WebSocket-Key is not 16 random bytes in base64.".to_owned();
            fault(&BAD_KEY, Confidence::Proven, summary, "malformed key");
        }
        Key::Multiple => {
            let summary = "The upgrade request has several Sec-WebSocket-Key headers.".to_owned();
            fault(&BAD_KEY, Confidence::Proven, summary, "several keys");
        }
        Key::Unknown | Key::Valid | Key::Missing => {}
    }
    let version = match (checks.websocket_version, checks.draft) {
        (_, Some(Draft::Hixie75 | Draft::Hixie76)) => {
            Some("The client speaks a draft from before RFC 6455.".to_owned())
        }
        (WebSocketVersion::Other(version), _) => {
            Some(format!("The client asks for WebSocket version {version}; RFC 6455 is version 13."))
        }
        (WebSocketVersion::Missing, _) if checks.key != Key::Missing => {
            Some("The upgrade request has no Sec-WebSocket-Version.".to_owned())
        }
        (WebSocketVersion::Malformed | WebSocketVersion::Multiple, _) => {
            Some("Sec-WebSocket-Version is not one number.".to_owned())
        }
        _ => None,
    };
    if let Some(summary) = version {
        fault(&BAD_VERSION, Confidence::Proven, summary, "Sec-WebSocket-Version");
    }
    if checks.host == Presence::Missing && checks.version != Some(Version::HTTP_10) {
        let finding = Finding::new(&HOST_HEADER_MISSING, Confidence::Proven, "The upgrade request has no Host header.")
            .evidence(stamp, Some(Side::Client), "no Host header");
        if failed && exchange.status() == Some(400) {
            judged.cause(Explains::Deed, finding);
        } else {
            judged.note(finding);
        }
    }
}

/// A method or another short token, safe to print.
fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(16).collect()
}

fn target(request: &RequestHead, exchange: &Exchange, failed: bool, judged: &mut Judged) {
    if !request.head.is_complete() {
        return;
    }
    let target = request.target();
    let oddity = if target.starts_with("//") {
        "begins with two slashes"
    } else if target.starts_with("http://") || target.starts_with("https://") || target.starts_with("ws://") {
        "is a whole URL"
    } else if !target.starts_with('/') && target != "*" {
        "does not begin with a slash"
    } else {
        return;
    };
    let finding =
        Finding::new(&REQUEST_TARGET_ANOMALY, Confidence::Proven, format!("The path of the upgrade request {oddity}."))
            .evidence(request.head.first, Some(Side::Client), "request line");
    let path_refused = matches!(exchange.status(), Some(400 | 404 | 301 | 308));
    if failed && path_refused {
        judged.cause(Explains::Deed, finding);
    } else {
        judged.note(finding);
    }
}

/// The server said 101: may the client go on?
fn accepted(case: &Case<'_>, exchange: &Exchange, response: &ResponseHead, outcome: Outcome, judged: &mut Judged) {
    let stamp = response.head.last;
    let failed = outcome == Outcome::UpgradeFailed;
    let left = case.left(Side::Client).filter(|_| failed);
    let mut fault = |judged: &mut Judged, rule: &'static Rule, summary: String, note: &'static str| {
        let mut finding =
            Finding::new(rule, Confidence::Proven, summary).evidence(stamp, Some(Side::Server), note.to_owned());
        if let Some((left, deed)) = left {
            let how = if deed == Deed::Rst { "RST" } else { "FIN" };
            finding = finding.evidence(left, Some(Side::Client), format!("{how}: the client gives up without a frame"));
        }
        if failed {
            judged.cause(Explains::Deed, finding);
        } else {
            judged.note(finding.severity(Severity::Warning));
        }
    };
    if let Some(checks) = case.handshake().and_then(|handshake| handshake.response.as_ref()) {
        answer_faults(checks, judged, &mut fault);
    }
    if exchange.interim.iter().any(|interim| interim.status == 100) {
        let finding = Finding::new(
            &INTERIM_RESPONSE_BEFORE_101,
            Confidence::Proven,
            "The server sent a 100 before the 101; several clients refuse that.",
        )
        .evidence(exchange.interim[0].stamp, Some(Side::Server), "100 before the 101");
        if client_rejected_the_answer(case) {
            judged.cause(Explains::Mechanism, finding.severity(Severity::Error));
        } else {
            judged.note(finding);
        }
    }
    if let Some(early) = &exchange.early {
        let finding = Finding::new(
            &EARLY_CLIENT_DATA,
            Confidence::Proven,
            format!("The client sent {} bytes before the server had agreed to the upgrade.", early.len),
        );
        judged.note(finding.evidence(early.stamp, Some(Side::Client), "bytes before the 101"));
    }
    if outcome == Outcome::ClosedAbnormal {
        then_dead(case, stamp, judged);
    }
}

fn answer_faults(
    checks: &ResponseChecks,
    judged: &mut Judged,
    fault: &mut impl FnMut(&mut Judged, &'static Rule, String, &'static str),
) {
    let mut missing = Vec::new();
    if checks.upgrade.present() == Some(false) {
        missing.push("Upgrade: websocket");
    }
    if checks.connection.present() == Some(false) {
        missing.push("Connection: Upgrade");
    }
    if checks.accept == Accept::Absent {
        missing.push("Sec-WebSocket-Accept");
    }
    if !missing.is_empty() {
        let summary = format!("The server answered 101 without {}.", missing.join(" and "));
        fault(judged, &HTTP_101_INCOMPLETE, summary, "101 without mandatory headers");
    }
    match checks.accept {
        Accept::Mismatch { .. } => fault(
            judged,
            &ACCEPT_MISMATCH,
            "Sec-WebSocket-Accept is not the answer to this request's key.".into(),
            "101 with a wrong Sec-WebSocket-Accept",
        ),
        Accept::Multiple => fault(
            judged,
            &HTTP_101_INCOMPLETE,
            "The 101 has several Sec-WebSocket-Accept headers.".into(),
            "101 with several Sec-WebSocket-Accept headers",
        ),
        Accept::Unknown | Accept::Absent | Accept::Valid => {}
    }
    match checks.subprotocol {
        Subprotocol::NotOffered(_) => fault(
            judged,
            &SUBPROTOCOL_UNREQUESTED,
            "The server chose a subprotocol that the client did not offer.".into(),
            "Sec-WebSocket-Protocol in the 101",
        ),
        Subprotocol::Empty | Subprotocol::Several => fault(
            judged,
            &SUBPROTOCOL_UNREQUESTED,
            "Sec-WebSocket-Protocol in the 101 is not exactly one of the values offered.".into(),
            "Sec-WebSocket-Protocol in the 101",
        ),
        Subprotocol::NoneSelected => fault(
            judged,
            &SUBPROTOCOL_NOT_CONFIRMED,
            "The client offered subprotocols and the server chose none; most clients refuse that.".into(),
            "101 without Sec-WebSocket-Protocol",
        ),
        Subprotocol::Unknown | Subprotocol::Unchecked(_) | Subprotocol::None | Subprotocol::Selected(_) => {}
    }
    let unasked = checks
        .violations
        .iter()
        .any(|violation| matches!(violation.deed, DeflateDeed::ExtensionNotOffered | DeflateDeed::ParameterNotOffered));
    if unasked {
        let summary = "The server switched on an extension that the client did not ask for.".to_owned();
        fault(judged, &EXTENSION_UNREQUESTED, summary, "Sec-WebSocket-Extensions in the 101");
    }
    if matches!(checks.content_length, Presence::One | Presence::Several)
        || matches!(checks.transfer_encoding, Presence::One | Presence::Several)
    {
        let finding = Finding::new(
            &HTTP_101_WITH_BODY_FRAMING,
            Confidence::Proven,
            "The 101 carries Content-Length or Transfer-Encoding, which it must not.",
        );
        judged.note(finding);
    }
}

/// 101, and then at once nothing.
fn then_dead(case: &Case<'_>, answered: Stamp, judged: &mut Judged) {
    let Some((side, stamp, deed)) = case.first_actor() else { return };
    let sent = |side| case.sent(side).map_or(0, |sent| sent.frames);
    if side != Side::Server
        || deed == Deed::Close
        || stamp.at - answered.at >= NEVER_LIVED
        || sent(Side::Server) > 0
        || sent(Side::Client) > 0
        || case
            .sent(Side::Server)
            .is_some_and(|sent| sent.unusual().cut_frame.is_some() || sent.unusual().foreign_text.is_some())
    {
        return;
    }
    let finding = Finding::new(
        &HTTP_101_THEN_DEAD,
        Confidence::Likely,
        format!(
            "The server accepted the upgrade and hung up {} later, before a single frame.",
            duration(stamp.at - answered.at)
        ),
    )
    .evidence(answered, Some(Side::Server), "101")
    .evidence(stamp, Some(Side::Server), "end of the connection without a Close frame");
    judged.cause(Explains::Statement, finding);
}

/// An answer that is not 101.
fn refused(case: &Case<'_>, exchange: &Exchange, response: &ResponseHead, judged: &mut Judged) {
    let (status, stamp) = (response.status, response.head.last);
    let body = String::from_utf8_lossy(&exchange.body.excerpt).to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| body.contains(phrase));
    let server = response.head.header("Server").unwrap_or_default().to_ascii_lowercase();
    let via_proxy = server.starts_with("nginx") || server.starts_with("apache") || server.starts_with("openresty");
    // An error page of the proxy itself names the proxy; a page of the application behind it does not.
    let own_page = says(&["<center>nginx", "<hr><center>", "<address>apache", "openresty</center>"]);
    let valid = exchange.handshake.as_ref().and_then(|handshake| handshake.request.as_ref()).is_some_and(|checks| {
        checks.method_is_get == Some(true)
            && checks.upgrade.present() == Some(true)
            && checks.connection.present() == Some(true)
            && checks.key == Key::Valid
            && checks.websocket_version == WebSocketVersion::Rfc6455
    });
    if status == 400
        && says(&[
            "plain http request was sent to https port",
            "client sent an http request to an https server",
            "speaking plain http to an ssl-enabled server port",
        ])
    {
        let finding = Finding::new(
            &WS_TO_TLS_PORT,
            Confidence::Proven,
            "The client spoke plain ws:// to a port where the server expects TLS (wss://).",
        )
        .evidence(at_request(exchange), Some(Side::Client), "upgrade request in plain text")
        .evidence(stamp, Some(Side::Server), "the server says so in its answer");
        judged.cause(Explains::Deed, finding);
        return;
    }
    if matches!(status, 400 | 403)
        && says(&["no required ssl certificate was sent", "the ssl certificate error"])
        && let Some(finding) = wst::client_certificate_refusal(case, stamp, status)
    {
        judged.cause(Explains::Deed, finding);
        return;
    }
    if valid && via_proxy && !own_page && matches!(status, 400 | 426) {
        let confidence = if status == 426 { Confidence::Likely } else { Confidence::Possible };
        let confidence = if says(&["upgrade"]) { Confidence::Likely } else { confidence };
        let finding = Finding::new(
            &UPGRADE_STRIPPED,
            confidence,
            format!(
                "The request was valid, yet what stands behind the proxy answered {status}: the proxy most likely \
                 forwarded it as ordinary HTTP."
            ),
        )
        .evidence(at_request(exchange), Some(Side::Client), "complete upgrade request")
        .evidence(stamp, Some(Side::Server), format!("{status} through a proxy that names itself"));
        judged.cause(Explains::Mechanism, finding);
        return;
    }
    // What is wrong with the request was said, and this is how servers answer such a request.
    if judged.explained(Explains::Deed) && matches!(status, 200..=299 | 400 | 405 | 426 | 501 | 505) {
        return;
    }
    let (rule, summary): (&'static Rule, String) = match status {
        200..=299 => {
            (&STATUS_200, format!("The server answered the upgrade request like an ordinary page ({status})."))
        }
        300..=399 => (
            &REDIRECT,
            format!("The server redirected the upgrade request ({status}); WebSocket clients do not follow."),
        ),
        401 | 407 => (&STATUS_401, format!("The server wants credentials ({status}).")),
        403 if says(&["origin"]) => {
            (&HOST_ORIGIN_MISMATCH, "The server refused the Origin of the page (403).".to_owned())
        }
        403 => (&STATUS_403, "The server refused the upgrade (403).".to_owned()),
        404 | 410 => (&STATUS_404, format!("There is no WebSocket service at this path ({status}).")),
        405 | 426 | 501 | 505 => {
            (&STATUS_405_426_501_505, format!("This endpoint does not do WebSocket as asked ({status})."))
        }
        429 => (&STATUS_429_503, "The server limits how often this client may connect (429).".to_owned()),
        503 => (&STATUS_429_503, "The service is not available right now (503).".to_owned()),
        502 | 504 => (&STATUS_502_504, format!("The proxy got no usable answer from the server behind it ({status}).")),
        500..=599 => (&STATUS_500, format!("The server failed while answering the upgrade request ({status}).")),
        _ => (&STATUS_400, format!("The server rejected the upgrade request ({status}).")),
    };
    // A 503 that a gateway writes itself is about the server behind it.
    let (rule, summary) = if status == 503 && (own_page || server.starts_with("apache")) {
        (&STATUS_502_504, "The proxy could not reach the server behind it (503).".to_owned())
    } else {
        (rule, summary)
    };
    let mut finding = Finding::new(rule, Confidence::Proven, summary)
        .evidence(at_request(exchange), Some(Side::Client), "upgrade request")
        .evidence(stamp, Some(Side::Server), ["answered with ", &number(status.into())].concat());
    if rule.id == HOST_ORIGIN_MISMATCH.id {
        finding = finding.evidence(stamp, Some(Side::Server), "the answer's text speaks of the origin");
    }
    judged.cause(Explains::Answer, finding);
}

fn foreign_answer(exchange: &Exchange, foreign: &crate::http::Foreign, judged: &mut Judged) {
    let request = at_request(exchange);
    let what = match foreign.kind() {
        ForeignKind::TlsAlert { .. } | ForeignKind::Tls => {
            let finding = Finding::new(
                &WS_TO_TLS_PORT,
                Confidence::Proven,
                "The client spoke plain ws:// to a port where the server expects TLS (wss://).",
            )
            .evidence(request, Some(Side::Client), "upgrade request in plain text")
            .evidence(foreign.stamp, Some(Side::Server), "a TLS record in answer");
            judged.cause(Explains::Deed, finding);
            return;
        }
        ForeignKind::Ssh => "an SSH server",
        ForeignKind::Http2 => "an HTTP/2 server",
        ForeignKind::Text | ForeignKind::Binary => "something that does not speak HTTP",
    };
    let finding = Finding::new(
        &NOT_HTTP_ANSWER,
        Confidence::Proven,
        format!("On this port answers {what}, not a WebSocket server."),
    )
    .evidence(request, Some(Side::Client), "upgrade request")
    .evidence(foreign.stamp, Some(Side::Server), "an answer that is no HTTP");
    judged.cause(Explains::Deed, finding);
}

/// The server's stream ended before the head of its answer was whole.
fn cut_in_head(exchange: &Exchange) -> bool {
    matches!(exchange.ended, Ended::Cut { at: CutAt::InHead, .. })
}

/// No answer, or only the beginning of one.
fn unanswered(case: &Case<'_>, exchange: &Exchange, judged: &mut Judged) {
    let Some(request) = &exchange.request else { return };
    if !case.owns_the_end() || wst::refused_client(judged) {
        return;
    }
    let asked = request.head.last;
    let (client, server) = (case.left(Side::Client), case.left(Side::Server));
    let part = matches!(exchange.answer, Answer::Fragment(_)) || cut_in_head(exchange);
    let client_first = match (client, server) {
        (Some((client, _)), Some((server, _))) => client < server,
        (Some(_), None) => true,
        _ => false,
    };
    if client_first {
        let Some((left, _)) = client else { return };
        let waited = left.at - asked.at;
        let finding = if waited >= PATIENCE {
            let summary =
                format!("The client gave up after waiting {} for an answer to its upgrade request.", duration(waited));
            Finding::new(&HANDSHAKE_TIMEOUT, Confidence::Proven, summary)
        } else {
            let summary = format!("The client left {} after asking, before the server could answer.", duration(waited));
            Finding::new(&CLIENT_ABANDONED, Confidence::Proven, summary)
        };
        let finding = finding.evidence(asked, Some(Side::Client), "upgrade request").evidence(
            left,
            Some(Side::Client),
            "the client ends the connection",
        );
        let explains = if waited >= PATIENCE { Explains::Mechanism } else { Explains::Ending };
        judged.cause(explains, finding);
    } else if let Some((left, deed)) = server {
        let how = if deed == Deed::Rst { "reset the connection" } else { "hung up" };
        let when = if part { "in the middle of its answer" } else { "instead of answering" };
        let finding = Finding::new(
            &CLOSED_BEFORE_RESPONSE,
            Confidence::Proven,
            format!("{} {how} {when}, {} after the upgrade request.", the(Side::Server), duration(left.at - asked.at)),
        )
        .evidence(asked, Some(Side::Client), "upgrade request")
        .evidence(left, Some(Side::Server), if deed == Deed::Rst { "RST" } else { "FIN" });
        judged.cause(Explains::Statement, finding);
    }
}

/// Extended CONNECT (RFC 8441) that did not become a WebSocket.
fn over_http2(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    let Some(stream) = case.entry.and_then(|entry| entry.http2.as_deref()) else { return };
    if stream.permitted == Some(false) {
        let finding = Finding::new(
            &H2_NO_EXTENDED_CONNECT,
            Confidence::Proven,
            "The client asked for a WebSocket over HTTP/2 although the server had not announced that it can do that.",
        )
        .evidence(
            stream.request.stamp,
            Some(Side::Client),
            "extended CONNECT without SETTINGS_ENABLE_CONNECT_PROTOCOL",
        );
        judged.cause(Explains::Deed, finding);
        return;
    }
    if outcome != Outcome::UpgradeFailed {
        return;
    }
    let finding = match (&stream.response, stream.reset) {
        (Some(response), _) => {
            let status = response.status.map_or_else(String::new, |status| format!(" ({status})"));
            Finding::new(
                &H2_STREAM_REFUSED,
                Confidence::Proven,
                format!("The HTTP/2 server refused the WebSocket stream{status}."),
            )
            .evidence(response.stamp, Some(Side::Server), format!("answer{status}"))
        }
        (None, Some((stamp, by, code))) => Finding::new(
            &H2_STREAM_REFUSED,
            Confidence::Proven,
            format!("The {} reset the WebSocket stream before it was accepted (error code {}).", by.name(), code.0),
        )
        .evidence(stamp, Some(by), "RST_STREAM"),
        (None, None) => return,
    };
    let finding = finding.evidence(stream.request.stamp, Some(Side::Client), "extended CONNECT");
    judged.cause(Explains::Answer, finding);
}

/// HTTP inside the WebSocket, and pages that send remote browsers to themselves.
fn after_the_upgrade(case: &Case<'_>, judged: &mut Judged) {
    if let Some(exchange) = case.exchange()
        && exchange.status() != Some(101)
        && !case.tcp().client.ip.is_loopback()
        && !case.tcp().server.ip.is_loopback()
        && exchange.request.as_ref().and_then(|request| request.host()).is_some_and(is_loopback_host)
    {
        let finding = Finding::new(
            &HARDCODED_LOCALHOST,
            Confidence::Possible,
            "The request names localhost as its host, although the client is on another machine.",
        );
        judged.note(finding.severity(Severity::Warning).evidence(
            at_request(exchange),
            Some(Side::Client),
            "Host: localhost",
        ));
    }
    let Some(facts) = case.websocket() else { return };
    let Some(text) = &facts[Direction::ToClient].unusual().foreign_text else { return };
    if text.kind != websocket::ForeignKind::HttpResponse {
        return;
    }
    let status = std::str::from_utf8(&text.first)
        .ok()
        .and_then(|first| first.get(9..12))
        .filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()));
    let status = status.map_or(String::new(), |status| format!(" ({status})"));
    let finding = Finding::new(
        &HTTP_AFTER_101,
        Confidence::Proven,
        format!("The server wrote an HTTP response{status} into the WebSocket, where frames belong."),
    )
    .evidence(text.stamp, Some(Side::Server), "HTTP/1. where a frame header is due");
    if text.after_close {
        judged.note(finding.severity(Severity::Warning));
    } else {
        judged.cause(Explains::Deed, finding);
    }
}

/// A plain request at a WebSocket endpoint: a health check or a visitor, no failure of a WebSocket.
pub(super) fn plain_request(exchange: &Exchange) -> Option<Finding> {
    let response = exchange.response()?;
    let body = String::from_utf8_lossy(&exchange.body.excerpt).to_ascii_lowercase();
    let says_so = response.status == 426 || (response.status == 400 && body.contains("websocket"));
    says_so.then(|| {
        Finding::new(
            &PLAIN_GET_ON_WS_PATH,
            Confidence::Proven,
            format!("A plain request met a WebSocket endpoint and was answered {}.", response.status),
        )
        .severity(Severity::Info)
        .evidence(at_request(exchange), Some(Side::Client), "request without any WebSocket header")
        .evidence(response.head.last, Some(Side::Server), "the endpoint asks for an upgrade")
    })
}
