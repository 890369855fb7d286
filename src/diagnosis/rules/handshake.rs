//! The opening handshake (RFC 6455 §4): why there is no WebSocket, or why there should not be one.

use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::{Deed, Session, the};
use crate::diagnosis::finding::{CounterCheck, Decision, Finding};
use crate::diagnosis::human::{duration, number};
use crate::diagnosis::outcome::{Outcome, client_rejected_the_answer};
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::http::handshake::{Accept, Draft, Key, RequestChecks, ResponseChecks, Subprotocol, WebSocketVersion};
use crate::http::{
    Answer, CutAt, Deed as DeflateDeed, Ended, Exchange, ForeignKind, Presence, RequestHead, ResponseHead, Version,
    without_port,
};
use crate::packet::Stamp;
use crate::stream::{Direction, Side};
use crate::websocket;

/// A connection that ends this soon after the 101, in nanoseconds, without a message, never lived.
const NEVER_LIVED: i64 = 1_000_000_000;
/// A client that waited at least this long, in nanoseconds, gave up rather than changed its mind.
const PATIENCE: i64 = 2_000_000_000;

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    after_the_upgrade(session, candidates);
    over_http2(session, outcome, candidates);
    let Some(exchange) = session.exchange() else { return };
    let failed = outcome == Outcome::UpgradeFailed;
    if let Some(request) = &exchange.request {
        let checks = session.handshake().and_then(|handshake| handshake.request.as_ref());
        if let Some(checks) = checks {
            request_faults(request, checks, exchange, failed, candidates);
        }
        target(request, exchange, failed, candidates);
    }
    match &exchange.answer {
        Answer::Response(_) if cut_in_head(exchange) => unanswered(session, exchange, candidates),
        Answer::Response(response) if response.status == 101 => {
            accepted(session, exchange, response, outcome, candidates);
        }
        Answer::Response(_) if outcome == Outcome::Unknown => {} // Perhaps not the answer to this request.
        Answer::Response(response) => refused(session, exchange, response, candidates),
        Answer::Foreign(foreign) => foreign_answer(exchange, foreign, candidates),
        Answer::Nothing | Answer::Fragment(_) => unanswered(session, exchange, candidates),
        Answer::NotCaptured => {}
    }
}

fn at_request(exchange: &Exchange) -> Stamp {
    exchange.request.as_ref().map_or(Stamp::default(), |request| request.head.last)
}

fn is_loopback_host(host: &str) -> bool {
    let name = without_port(host).trim_matches(['[', ']']);
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
    candidates: &mut Candidates,
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
        candidates.fault(failed, finding);
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
            candidates.cause(finding.severity(Severity::Error));
        } else {
            candidates.note(finding);
        }
    }
}

/// A method or another short token, safe to print.
fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(16).collect()
}

fn target(request: &RequestHead, exchange: &Exchange, failed: bool, candidates: &mut Candidates) {
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
        candidates.cause(finding.severity(Severity::Error));
    } else {
        candidates.note(finding);
    }
}

/// The server said 101: may the client go on?
fn accepted(
    session: &Session<'_>,
    exchange: &Exchange,
    response: &ResponseHead,
    outcome: Outcome,
    candidates: &mut Candidates,
) {
    let stamp = response.head.last;
    let failed = outcome == Outcome::UpgradeFailed;
    let left = session.left(Side::Client).filter(|_| failed);
    let fault = |candidates: &mut Candidates, rule: &'static Rule, summary: String, note: &'static str| {
        let mut finding = Finding::new(rule, Confidence::Proven, summary);
        if let Some(request) = &exchange.request {
            finding = finding.evidence(request.head.last, Some(Side::Client), "the request that it answers");
        }
        finding = finding.evidence(stamp, Some(Side::Server), note.to_owned());
        if let Some((left, deed)) = left {
            let how = if deed == Deed::Rst { "RST" } else { "FIN" };
            finding = finding.evidence(left, Some(Side::Client), format!("{how}: the client gives up without a frame"));
        }
        candidates.fault(failed, finding);
    };
    if let Some(checks) = session.handshake().and_then(|handshake| handshake.response.as_ref()) {
        answer_faults(checks, stamp, candidates, &fault);
    }
    if exchange.interim.iter().any(|interim| interim.status == 100) {
        let finding = Finding::new(
            &INTERIM_RESPONSE_BEFORE_101,
            Confidence::Proven,
            "The server sent a 100 before the 101; several clients refuse that.",
        )
        .evidence(exchange.interim[0].stamp, Some(Side::Server), "100 before the 101");
        if client_rejected_the_answer(session)
            && let Some((left, deed)) = session.left(Side::Client)
        {
            let how = if deed == Deed::Rst { "RST" } else { "FIN" };
            let finding =
                finding.evidence(left, Some(Side::Client), format!("{how}: the client gives up without a frame"));
            candidates.cause(finding.severity(Severity::Error));
        } else {
            candidates.note(finding);
        }
    }
    // Only where the order of the packets and their times agree: the file may be out of order.
    if let Some(early) = exchange.early.as_ref().filter(|early| early.stamp.at <= response.head.first.at) {
        let finding = Finding::new(
            &EARLY_CLIENT_DATA,
            Confidence::Proven,
            format!("The client sent {} bytes before the server had agreed to the upgrade.", early.len),
        );
        candidates.note(finding.evidence(early.stamp, Some(Side::Client), "bytes before the 101"));
    }
    if outcome == Outcome::ClosedAbnormal {
        then_dead(session, stamp, candidates);
        if let (Some(request), Some((left, _))) = (&exchange.request, session.left(Side::Client))
            && left < stamp
            && session.sent(Side::Client).is_none_or(|sent| sent.frames == 0)
            && session.owns_the_end()
        {
            // The 101 came too late.
            candidates.cause(client_left(request.head.last, left)).explains(Specificity::Statement);
        }
    }
}

fn answer_faults(
    checks: &ResponseChecks,
    answered: Stamp,
    candidates: &mut Candidates,
    fault: &impl Fn(&mut Candidates, &'static Rule, String, &'static str),
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
        fault(candidates, &HTTP_101_INCOMPLETE, summary, "101 without mandatory headers");
    }
    match checks.accept {
        Accept::Mismatch { .. } => fault(
            candidates,
            &ACCEPT_MISMATCH,
            "Sec-WebSocket-Accept is not the answer to this request's key.".into(),
            "101 with a wrong Sec-WebSocket-Accept",
        ),
        Accept::Multiple => fault(
            candidates,
            &HTTP_101_INCOMPLETE,
            "The 101 has several Sec-WebSocket-Accept headers.".into(),
            "101 with several Sec-WebSocket-Accept headers",
        ),
        Accept::Unknown | Accept::Absent | Accept::Valid => {}
    }
    match checks.subprotocol {
        Subprotocol::NotOffered(_) => fault(
            candidates,
            &SUBPROTOCOL_UNREQUESTED,
            "The server chose a subprotocol that the client did not offer.".into(),
            "Sec-WebSocket-Protocol in the 101",
        ),
        Subprotocol::Empty | Subprotocol::Several => fault(
            candidates,
            &SUBPROTOCOL_UNREQUESTED,
            "Sec-WebSocket-Protocol in the 101 is not exactly one of the values offered.".into(),
            "Sec-WebSocket-Protocol in the 101",
        ),
        Subprotocol::NoneSelected => fault(
            candidates,
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
        fault(candidates, &EXTENSION_UNREQUESTED, summary, "Sec-WebSocket-Extensions in the 101");
    }
    if matches!(checks.content_length, Presence::One | Presence::Several)
        || matches!(checks.transfer_encoding, Presence::One | Presence::Several)
    {
        let finding = Finding::new(
            &HTTP_101_WITH_BODY_FRAMING,
            Confidence::Proven,
            "The 101 carries Content-Length or Transfer-Encoding, which it must not.",
        );
        candidates.note(finding.evidence(answered, Some(Side::Server), "101 with the framing of a body"));
    }
}

/// 101, and then at once nothing.
fn then_dead(session: &Session<'_>, answered: Stamp, candidates: &mut Candidates) {
    let Some((side, stamp, deed)) = session.first_actor() else { return };
    let sent = |side| session.sent(side).map_or(0, |sent| sent.frames);
    if side != Side::Server
        || deed == Deed::Close
        || !(0..NEVER_LIVED).contains(&(stamp.at - answered.at))
        || sent(Side::Server) > 0
        || sent(Side::Client) > 0
        || session
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
    candidates.cause(finding);
}

/// An answer that is not 101.
fn refused(session: &Session<'_>, exchange: &Exchange, response: &ResponseHead, candidates: &mut Candidates) {
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
        candidates
            .cause(finding)
            .explains(Specificity::Mechanism)
            .unless_explained(Specificity::Deed)
            .check(&ARRIVED_COMPLETE, Decision::Undecidable);
        return;
    }
    // "The origin server" is another thing.
    let speaks_of_origin = body.replace("origin server", "").contains("origin");
    let request_has_origin = exchange.request.as_ref().is_some_and(|request| request.head.header("Origin").is_some());
    let (rule, summary): (&'static Rule, String) = match status {
        200..=299 => {
            (&STATUS_200, format!("The server answered the upgrade request like an ordinary page ({status})."))
        }
        300..=399 => (
            &REDIRECT,
            format!("The server redirected the upgrade request ({status}); WebSocket clients do not follow."),
        ),
        401 | 407 => (&STATUS_401, format!("The server wants credentials ({status}).")),
        403 if speaks_of_origin && request_has_origin => {
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
    if rule == &HOST_ORIGIN_MISMATCH {
        finding = finding.evidence(stamp, Some(Side::Server), "the answer's text speaks of the origin");
    }
    if rule == &STATUS_401
        && let Some(opened) = session.next_opened()
    {
        // The first half of a login, not a failure.
        finding = finding.severity(Severity::Info).evidence(opened, Some(Side::Server), "101 for the next request");
    }
    let candidate = candidates.cause(finding);
    if rule == &STATUS_502_504 {
        candidate.check(&UPGRADE_REFUSED_BEHIND, Decision::Undecidable);
    }
    // This is how servers answer a request with which something is wrong; what that is says more.
    if matches!(status, 200..=299 | 400 | 405 | 426 | 501 | 505) {
        candidate.unless_explained(Specificity::Deed);
    }
}

fn foreign_answer(exchange: &Exchange, foreign: &crate::http::Foreign, candidates: &mut Candidates) {
    let request = at_request(exchange);
    let what = match foreign.kind() {
        ForeignKind::TlsAlert { .. } | ForeignKind::Tls => return, // A matter of TLS.
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
    candidates.cause(finding);
}

/// The server's stream ended before the head of its answer was whole.
fn cut_in_head(exchange: &Exchange) -> bool {
    matches!(exchange.ended, Ended::Cut { at: CutAt::InHead, .. })
}

/// The client left before the answer came: at once, or after it had waited for long enough.
fn client_left(asked: Stamp, left: Stamp) -> Finding {
    let waited = left.at - asked.at;
    let finding = if waited >= PATIENCE {
        let summary =
            format!("The client gave up after waiting {} for an answer to its upgrade request.", duration(waited));
        Finding::new(&HANDSHAKE_TIMEOUT, Confidence::Proven, summary)
    } else {
        let summary = format!("The client left {} after asking, before the server could answer.", duration(waited));
        Finding::new(&CLIENT_ABANDONED, Confidence::Proven, summary)
    };
    finding.evidence(asked, Some(Side::Client), "upgrade request").evidence(
        left,
        Some(Side::Client),
        "the client ends the connection",
    )
}

/// No answer, or only the beginning of one.
fn unanswered(session: &Session<'_>, exchange: &Exchange, candidates: &mut Candidates) {
    let Some(request) = &exchange.request else { return };
    if !session.owns_the_end() {
        return;
    }
    let asked = request.head.last;
    if !session.coverage(Side::Server, asked, session.tcp().last).is_whole() {
        return; // The answer may stand in the hole.
    }
    let spoke = session.side(Side::Server).last_payload().is_some_and(|last| last.at >= asked.at);
    if spoke && session.tls().is_none() && matches!(exchange.answer, Answer::Nothing) {
        return; // It did answer: the packets of the file are out of order.
    }
    let (client, server) = (session.left(Side::Client), session.left(Side::Server));
    let part = matches!(exchange.answer, Answer::Fragment(_)) || cut_in_head(exchange);
    let client_first = match (client, server) {
        (Some((client, _)), Some((server, _))) => client < server,
        (Some(_), None) => true,
        _ => false,
    };
    if client_first {
        let Some((left, _)) = client else { return };
        candidates.cause(client_left(asked, left));
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
        candidates.cause(finding);
    }
}

/// Extended CONNECT (RFC 8441) that did not become a WebSocket.
fn over_http2(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    let Some(stream) = session.entry.and_then(|entry| entry.http2.as_deref()) else { return };
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
        // Otherwise the server took it all the same.
        candidates.fault(outcome == Outcome::UpgradeFailed, finding);
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
        (None, Some((stamp, ..))) if !session.coverage(Side::Server, stream.request.stamp, stamp).is_whole() => return,
        (None, Some((stamp, by, code))) => Finding::new(
            &H2_STREAM_REFUSED,
            Confidence::Proven,
            format!("The {} reset the WebSocket stream before it was accepted (error code {}).", by.name(), code.0),
        )
        .evidence(stamp, Some(by), "RST_STREAM"),
        (None, None) => return,
    };
    let finding = finding.evidence(stream.request.stamp, Some(Side::Client), "extended CONNECT");
    candidates.cause(finding);
}

/// HTTP inside the WebSocket, and pages that send remote browsers to themselves.
fn after_the_upgrade(session: &Session<'_>, candidates: &mut Candidates) {
    if let Some(exchange) = session.exchange()
        && exchange.status() != Some(101)
        && !session.tcp().client.ip.is_loopback()
        && !session.tcp().server.ip.is_loopback()
        && exchange.request.as_ref().and_then(|request| request.host()).is_some_and(is_loopback_host)
    {
        let finding = Finding::new(
            &HARDCODED_LOCALHOST,
            Confidence::Possible,
            "The request names localhost as its host, although the client is on another machine.",
        );
        candidates.note(finding.severity(Severity::Warning).evidence(
            at_request(exchange),
            Some(Side::Client),
            "Host: localhost",
        ));
    }
    let Some(facts) = session.websocket() else { return };
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
        candidates.note(finding.severity(Severity::Warning));
    } else {
        candidates.cause(finding);
    }
}

/// A plain request at a WebSocket endpoint: a health check or a visitor, no failure of a WebSocket.
pub(in crate::diagnosis) fn plain_request(exchange: &Exchange) -> Option<Finding> {
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

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
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

pub(crate) static UPGRADE_STRIPPED: Rule = Rule {
    id: "WSH301",
    slug: "upgrade-stripped",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Proxy,
    title: "A reverse proxy forwarded the WebSocket request as an ordinary HTTP request.",
    explanation: "The client asked for a WebSocket, but the proxy in front of the server passed the request on without the \
        Upgrade and Connection headers. These headers apply to one hop only, so a proxy drops them unless it is \
        told to pass them on. The server sees an ordinary page request and answers accordingly, typically with \
        400, 404, 426 or 200.",
    evidence: "Behind the proxy, the request has Sec-WebSocket-Key and Sec-WebSocket-Version but no Upgrade, or no \
        Upgrade word in Connection. Proven with the connection behind the proxy. With only the client's side \
        captured: a correct request answered 400, 404, 426 or 200 by something that calls itself nginx or \
        Apache, then likely.",
    unless: "If the request behind the proxy still carries Upgrade, the proxy is not the reason. A request without \
        Sec-WebSocket-Key was never meant to be a WebSocket (WSH302). A box in the client's own network may have \
        done it (WSP203).",
    advice: "Tell the proxy to pass the upgrade on, for every WebSocket path. nginx (the map goes into the http \
        block):\n\
        \n\
        \x20   map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n\
        \n\
        \x20   location /ws {\n\
        \x20       proxy_pass http://app;\n\
        \x20       proxy_http_version 1.1;\n\
        \x20       proxy_set_header Upgrade $http_upgrade;\n\
        \x20       proxy_set_header Connection $connection_upgrade;\n\
        \x20       proxy_set_header Host $host;\n\
        \x20       proxy_read_timeout 3600s;\n\
        \x20   }\n\
        \n\
        Apache 2.4.47 or newer:\n\
        \n\
        \x20   ProxyPass \"/ws\" \"http://app:3000/ws\" upgrade=websocket\n\
        \n\
        HAProxy passes the upgrade on by itself. A common slip in nginx is to write Upgrade $connection_upgrade.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 400. node ws \
        raises: Unexpected server response: 400. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 400. The number may also be 404, 426 or 200.",
    references: &[
        "RFC 6455 §4.2.1",
        "RFC 9110 §7.6.1",
        "RFC 9110 §7.8",
        "coder/code-server#1618",
        "gorilla/websocket#61",
    ],
    aliases: &[
        "1006",
        "400",
        "426",
        "404",
        "200",
        "nginx",
        "proxy_set_header Upgrade",
        "reverse proxy",
        "Unexpected response code",
    ],
    ..Rule::BASE
};

/// Whether the request lacked anything behind the proxy, when only its client side was captured.
static ARRIVED_COMPLETE: CounterCheck = CounterCheck {
    unless: "The upgrade request reached the server complete, and the server refused it for a reason of its own.",
    needs: "a capture between the proxy and the server behind it",
};

pub(crate) static PLAIN_GET_ON_WS_PATH: Rule = Rule {
    id: "WSH302",
    slug: "plain-get-on-ws-path",
    severity: Severity::Warning,
    party: Party::Client,
    title: "An ordinary HTTP request reached a WebSocket address.",
    explanation: "A request without any WebSocket header came to an address that serves WebSockets. Somebody opened it in \
        a browser, a monitoring check asked for it, or curl was used. The server answered that it wants a \
        WebSocket. That is correct and no failed WebSocket.",
    evidence: "The request has neither Upgrade nor any Sec-WebSocket header, and the answer is 426 or 400.",
    unless: "If Sec-WebSocket-Key is there and only Upgrade is missing, a proxy removed it (WSH301).",
    advice: "Nothing needs fixing. Point health checks to an ordinary page of the server, or let them accept 426.",
    references: &["RFC 9110 §15.5.22", "RFC 6455 §4.2.1"],
    aliases: &["426", "health check", "curl", "Upgrade Required"],
    ..Rule::BASE
};

pub(crate) static HTTP_1_0_REQUEST: Rule = Rule {
    id: "WSH303",
    slug: "http-1-0-request",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The request said HTTP/1.0, but WebSocket needs HTTP/1.1.",
    explanation: "The upgrade request claims HTTP/1.0, a version that has no upgrades. A server may refuse it; some accept \
        it nevertheless. Usually a reverse proxy speaks HTTP/1.0 to the server behind it: nginx did so by \
        default before version 1.29.7.",
    evidence: "The request line ends with HTTP/1.0 and the WebSocket headers are there. Proven. If the answer is 101, \
        it works, but only by the server's goodwill.",
    unless: "If the Upgrade header is missing as well, see WSH301: the cure is the same.",
    advice: "In nginx, in the location of the WebSocket:\n\
        \n\
        \x20   proxy_http_version 1.1;",
    reports: "Python websockets answers 505. Others answer 400 or 426. The client reports close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §4.2.1"],
    aliases: &["1006", "505", "HTTP/1.0", "proxy_http_version"],
    ..Rule::BASE
};

pub(crate) static METHOD_NOT_GET: Rule = Rule {
    id: "WSH304",
    slug: "method-not-get",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The WebSocket request did not use the GET method.",
    explanation: "A WebSocket is asked for with GET. This request uses another method, so no server may accept it.",
    evidence: "The request carries WebSocket headers and its method is not GET. Proven.",
    unless: "On HTTP/2 and HTTP/3 the method is CONNECT, which is correct there.",
    advice: "Let the client use GET. If a proxy or a rewrite rule changed the method, correct that.",
    reports: "Servers answer 405 or 400; the client reports close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 8441 §4"],
    aliases: &["1006", "405", "POST"],
    ..Rule::BASE
};

pub(crate) static BAD_KEY: Rule = Rule {
    id: "WSH305",
    slug: "bad-key",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The request's Sec-WebSocket-Key is missing or malformed.",
    explanation: "Every WebSocket request carries a random key: 16 bytes, written as 24 characters that end with two \
        equals signs. Here it is missing or has another form. Strict servers answer 400; lenient ones accept it, \
        so that the client works with one server and fails with another.",
    evidence: "Sec-WebSocket-Key is missing, or is not 24 characters of base64 for 16 bytes. Proven. The same key on \
        many connections is not random and is reported as a warning; dGhlIHNhbXBsZSBub25jZQ== is the example \
        from the standard.",
    unless: "On HTTP/2 there is no key, and none is needed. A proxy that translates from HTTP/2 may have left it out \
        (WSH338).",
    advice: "Use a WebSocket library or update the device's firmware. For a test by hand:\n\
        \n\
        \x20   curl -i -N -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \\\n\
        \x20        -H \"Sec-WebSocket-Key: $(openssl rand -base64 16)\" http://HOST/ws",
    reports: "node ws answers 400 with the text: Missing or invalid Sec-WebSocket-Key header. HAProxy answers 400 \
        itself. The client reports close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §4.2.1", "haproxy/haproxy#1642"],
    aliases: &["1006", "400", "Sec-WebSocket-Key"],
    ..Rule::BASE
};

pub(crate) static BAD_VERSION: Rule = Rule {
    id: "WSH306",
    slug: "bad-version",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "Client and server want different WebSocket versions.",
    explanation: "The client asks for a version of the WebSocket protocol that the server does not speak. The only current \
        version is 13. Others belong to drafts from before 2012 and mean very old software.",
    evidence: "Sec-WebSocket-Version is missing or is not 13, and the answer is 400 or 426, often with a list of the \
        versions that the server knows. Headers named Sec-WebSocket-Key1 and Key2 are an even older draft. \
        Proven.",
    unless: "A proxy may have removed the header; compare with the request in front of it.",
    advice: "Update the client library or the firmware. If you write the request yourself, add Sec-WebSocket-Version: \
        13.",
    reports: "node ws answers 400 with: Missing or invalid Sec-WebSocket-Version header. The client reports close code \
        1006.",
    references: &["RFC 6455 §4.2.2", "RFC 6455 §4.4"],
    aliases: &["1006", "400", "426", "Sec-WebSocket-Version"],
    ..Rule::BASE
};

pub(crate) static HOST_ORIGIN_MISMATCH: Rule = Rule {
    id: "WSH307",
    slug: "host-origin-mismatch",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The server refused the request because Origin and Host name different sites.",
    explanation: "A browser tells the server from which site the page came (Origin), and the request also says which site \
        is being called (Host). Many servers accept only pages of their own site and compare the two. If a \
        reverse proxy replaces Host with its internal name, they never match and the server refuses.",
    evidence: "Host and Origin name different hosts and the answer is 403 (or 404). Likely; proven when the answer's \
        text speaks of the origin.",
    unless: "If a request with the same two values is accepted, the reason is another one, such as a login (WSH314). \
        Programs other than browsers send no Origin.",
    advice: "Pass the original Host on. nginx:\n\
        \n\
        \x20   proxy_set_header Host $host;\n\
        \n\
        Apache:\n\
        \n\
        \x20   ProxyPreserveHost On\n\
        \n\
        If the page really comes from another site, add that site to the server's list of allowed origins.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 403. node ws \
        raises: Unexpected server response: 403. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 403. Typical texts: request origin not allowed, Cross origin websockets not \
        allowed.",
    references: &["RFC 6455 §4.2.2", "RFC 6455 §10.2", "leg100/otf#772"],
    aliases: &["1006", "403", "Origin", "CheckOrigin", "CORS"],
    ..Rule::BASE
};

pub(crate) static STRICT_CONNECTION_HEADER: Rule = Rule {
    id: "WSH308",
    slug: "strict-connection-header",
    severity: Severity::Error,
    party: Party::Server,
    detected: false,
    title: "The server rejects a Connection header that lists more than Upgrade.",
    explanation: "The Connection header is a list, and Firefox sends it as: keep-alive, Upgrade. This server accepts only \
        the single word Upgrade, so Firefox fails while other clients work. The request is correct and the \
        server is wrong.",
    evidence: "A request with Connection: keep-alive, Upgrade is answered 400 or 426, and a client that sends \
        Connection: Upgrade to the same path gets 101. Likely.",
    unless: "If the other client differs in more than this header, the reason may be elsewhere.",
    advice: "Update the server's library: it must look for the word upgrade within the list, in any session. Until then \
        a reverse proxy can send a plain header:\n\
        \n\
        \x20   proxy_set_header Connection \"upgrade\";",
    reports: "Firefox reports close code 1006.",
    references: &["RFC 6455 §4.2.1", "RFC 9110 §7.6.1", "miguelgrinberg/flask-sock#10"],
    aliases: &["1006", "400", "426", "Firefox", "keep-alive"],
    ..Rule::BASE
};

pub(crate) static STATUS_200: Rule = Rule {
    id: "WSH310",
    slug: "status-200",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The server answered with an ordinary page (200) instead of switching to WebSocket.",
    explanation: "The server answered as if a web page had been asked for. So the request reached something that serves \
        pages: a single-page application that answers every address, a route that does not know WebSockets, or a \
        server that never saw the Upgrade header because a proxy removed it.",
    evidence: "A correct WebSocket request answered with status 200. Proven as a fact. A web page as the body points to \
        a catch-all route or a wrong path, JSON to an API route, and missing headers behind a proxy to WSH301.",
    unless: "On HTTP/2, status 200 is the correct agreement.",
    advice: "Compare the path with the one the server expects, including a prefix that a proxy adds or removes. Give \
        the WebSocket path a rule of its own in front of the catch-all. If there is a proxy, see WSH301.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 200. node ws \
        raises: Unexpected server response: 200. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 200.",
    references: &["RFC 6455 §4.1", "websockets/ws#1275"],
    aliases: &["1006", "200", "Unexpected response code: 200"],
    ..Rule::BASE
};

pub(crate) static REDIRECT: Rule = Rule {
    id: "WSH311",
    slug: "redirect",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The server sent the client to another address, and WebSocket clients do not follow.",
    explanation: "The server answered with a redirect. For pages a browser follows it, for WebSockets it does not, and \
        most libraries do not either. Typical redirects lead from http to https, to the same address with a \
        slash at its end, or to a login page.",
    evidence: "Status 301, 302, 303, 307 or 308; the Location header names the target. Proven.",
    unless: "Some libraries follow a redirect; then another request to the target comes right after it.",
    advice: "Use the final address: wss:// instead of ws:// when the redirect leads to https, the slash at the end if \
        it was added. A login page as target means that the session has expired. An unknown host as target means \
        a portal (WSP205).",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 301. node ws \
        raises: Unexpected server response: 301. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 301. The number may also be 302, 307 or 308.",
    references: &["RFC 6455 §4.1", "RFC 9110 §15.4"],
    aliases: &["1006", "301", "302", "303", "307", "308", "redirect"],
    ..Rule::BASE
};

pub(crate) static STATUS_400: Rule = Rule {
    id: "WSH312",
    slug: "status-400",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The server called the WebSocket request a bad request (400).",
    explanation: "The server found something wrong with the request. Many servers say in the answer's text what it is, so \
        that text is the first thing to read. If nothing is wrong with the request as captured, a proxy changed \
        it or the path is not the one the server expects.",
    evidence: "Status 400. Proven as a fact; the reason comes from the answer's text or from another rule.",
    unless: "Check first whether Upgrade reached the server (WSH301), and whether key (WSH305) and version (WSH306) \
        are right. The text Session ID unknown belongs to WSA704. If the text speaks of HTTPS, see WST101.",
    advice: "Read the text of the answer. node ws answers 400 for a path that it does not serve. HAProxy answers 400 \
        itself for a malformed request. For socket.io, check that client and server have matching versions.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 400. node ws \
        raises: Unexpected server response: 400. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 400.",
    references: &["RFC 6455 §4.2.2", "RFC 9110 §15.5.1"],
    aliases: &["1006", "400", "Bad Request", "Unexpected response code: 400"],
    ..Rule::BASE
};

pub(crate) static STATUS_401: Rule = Rule {
    id: "WSH313",
    slug: "status-401",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Client,
    title: "The server wants a login first (401).",
    explanation: "The server wants to know who is calling, and the request carried no valid login: no cookie, an expired \
        token, or none at all. Browsers cannot add an Authorization header to a WebSocket, which often \
        surprises.",
    evidence: "Status 401. Proven.",
    unless: "If a login follows on the same connection and gets 101, the 401 was part of the procedure.",
    advice: "Renew the token or the session. From a browser, send the login as a cookie, or in the first message \
        after the connection is open. Check that the proxy passes Cookie and Authorization on.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 401. node ws \
        raises: Unexpected server response: 401. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 401.",
    references: &["RFC 6455 §4.2.2", "RFC 9110 §15.5.2"],
    aliases: &["1006", "401", "Unauthorized", "Unexpected response code: 401"],
    ..Rule::BASE
};

pub(crate) static STATUS_403: Rule = Rule {
    id: "WSH314",
    slug: "status-403",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Application,
    title: "The server forbids this connection (403).",
    explanation: "The server understood and refused. The usual reasons are an origin that is not allowed, missing rights, \
        a web application firewall, or an application that closes before it accepts: Python's ASGI servers turn \
        that into 403, and the application's own close code never reaches the client.",
    evidence: "Status 403. Proven as a fact; the reason comes from the text of the answer or from another rule.",
    unless: "If Host and Origin differ, see WSH307.",
    advice: "Look for the refusal in the server's log. In Starlette, FastAPI or Django Channels, accept first and \
        then close with a code, so that the client sees the reason:\n\
        \n\
        \x20   await websocket.accept()\n\
        \x20   await websocket.close(code=4401, reason=\"login required\")",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 403. node ws \
        raises: Unexpected server response: 403. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 403.",
    references: &["RFC 6455 §4.2.2", "RFC 9110 §15.5.4", "encode/starlette#1362"],
    aliases: &["1006", "403", "Forbidden", "Unexpected response code: 403"],
    ..Rule::BASE
};

pub(crate) static STATUS_404: Rule = Rule {
    id: "WSH315",
    slug: "status-404",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "There is no WebSocket service at that path (404).",
    explanation: "The server does not know the path. Either the address is wrong, or a proxy adds or removes a part of it, \
        or the WebSocket part of the server is not installed.",
    evidence: "Status 404. Proven as a fact. Compare the paths in front of the proxy and behind it.",
    unless: "Some servers answer 404 also when the Upgrade header is missing (WSH301), or for a foreign origin \
        (WSH307).",
    advice: "Compare the path letter by letter, with prefix and slash at the end. In nginx, a slash at the end of \
        proxy_pass replaces the location's prefix: proxy_pass http://app/; sends /ws/chat on as /chat, while \
        proxy_pass http://app; keeps the path.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 404. node ws \
        raises: Unexpected server response: 404. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 404.",
    references: &["RFC 6455 §4.2.2", "RFC 9110 §15.5.5"],
    aliases: &["1006", "404", "Not Found", "Unexpected response code: 404"],
    ..Rule::BASE
};

pub(crate) static STATUS_405_426_501_505: Rule = Rule {
    id: "WSH316",
    slug: "status-405-426-501-505",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The server does not accept this kind of request at that address.",
    explanation: "Something answered that does not do WebSockets at this address, or that misses something in the request. \
        405: this method or path takes other requests. 426: the server wants an upgrade and did not see one, or \
        wants another version. 501 and 505: the server does not know the method or the HTTP version.",
    evidence: "Status 405, 426, 501 or 505. Proven as a fact. An answer 426 to a client that did send Upgrade means \
        that the header was lost on the way.",
    unless: "A request that was never meant as a WebSocket gets 426 rightly (WSH302).",
    advice: "With 426 behind a proxy, see WSH301. With 505, see WSH303. With 405 or 501, check the path and that the \
        server has its WebSocket part switched on.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 426. node ws \
        raises: Unexpected server response: 426. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 426. The number may also be 405, 501 or 505.",
    references: &["RFC 6455 §4.2.2", "RFC 6455 §4.4", "RFC 9110 §15.5.22", "websockets/ws#1656"],
    aliases: &["1006", "405", "426", "501", "505", "Upgrade Required"],
    ..Rule::BASE
};

pub(crate) static STATUS_429_503: Rule = Rule {
    id: "WSH317",
    slug: "status-429-503",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The service refuses for now: too many requests, or not available.",
    explanation: "The server or the proxy refuses at the moment: there were too many requests (429), it is overloaded, in \
        maintenance or has no working server behind it (503). Trying again later can succeed, unlike with most \
        other refusals.",
    evidence: "Status 429 or 503. Proven. A Retry-After header says how long to wait. HAProxy and Apache answer 503 \
        when the server behind them cannot be reached.",
    unless: "If the connection behind the proxy was refused or timed out, that is the cause (WSN002, WSN003).",
    advice: "Wait as long as Retry-After says, and longer after every failure. On the server side, look at limits, at \
        health checks and at the servers behind the proxy.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 503. node ws \
        raises: Unexpected server response: 503. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 503. The number may also be 429.",
    references: &["RFC 6585 §4", "RFC 9110 §15.6.4"],
    aliases: &["1006", "429", "503", "Too Many Requests", "Service Unavailable"],
    ..Rule::BASE
};

pub(crate) static STATUS_502_504: Rule = Rule {
    id: "WSH318",
    slug: "status-502-504",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The proxy could not get an answer from the real server.",
    explanation: "The client's side is fine. The proxy tried to reach the server behind it and failed: the server is down, \
        listens elsewhere, speaks TLS where plain HTTP was expected or the other way round, or takes too long to \
        answer.",
    evidence: "Status 502 or 504 (and 503 from HAProxy and Apache when no server is available). Proven as a fact. A \
        refused, unanswered or reset connection behind the proxy shows which.",
    unless: "If the same request behind the proxy got a 101, the proxy stumbled over the answer.",
    advice: "Start the server, and check the address, port and scheme in the proxy's configuration. Test from the \
        proxy's own machine with curl -v http://APP:PORT/. For 504, look at what blocks the server, then at \
        proxy_read_timeout (nginx) or timeout server (HAProxy).",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 502. node ws \
        raises: Unexpected server response: 502. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 502. The number may also be 503 or 504.",
    references: &["RFC 9110 §15.6.3", "RFC 9110 §15.6.5"],
    aliases: &["1006", "502", "503", "504", "Bad Gateway", "Gateway Timeout", "backend down"],
    ..Rule::BASE
};

/// Whether the server behind the proxy answered, when only the proxy's client side was captured.
static UPGRADE_REFUSED_BEHIND: CounterCheck = CounterCheck {
    unless: "The server behind the proxy did answer, and the proxy rejected its answer.",
    needs: "a capture between the proxy and the server behind it",
};

pub(crate) static STATUS_500: Rule = Rule {
    id: "WSH319",
    slug: "status-500",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The server failed while answering the WebSocket request (500).",
    explanation: "The server's program ran into an error of its own while it handled the request. The request itself need \
        not be wrong.",
    evidence: "Status 500. Proven.",
    unless: "A server behind a proxy may be unreachable instead; then the status is 502, 503 or 504 (WSH318).",
    advice: "Read the server's log at that second: there will be an exception.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 500. node ws \
        raises: Unexpected server response: 500. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 500.",
    references: &["RFC 9110 §15.6.1"],
    aliases: &["1006", "500", "Internal Server Error"],
    ..Rule::BASE
};

pub(crate) static ACCEPT_MISMATCH: Rule = Rule {
    id: "WSH321",
    slug: "accept-mismatch",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server's Sec-WebSocket-Accept does not match the client's key.",
    explanation: "The server must compute its Sec-WebSocket-Accept from the client's key, so that the client knows that a \
        WebSocket server really answered its own request. The value does not fit. Either the server computes it \
        wrongly, or something in between made a request with another key or served a stored answer.",
    evidence: "Sec-WebSocket-Accept differs from the value that follows from the captured key. Proven.",
    unless: "None: the value is arithmetic. If client and server each see a fitting pair, a proxy in between mixed \
        them up.",
    advice: "The value is base64(SHA-1(key + \"258EAFA5-E914-47DA-95CA-C5AB0DC85B11\")), where the key is used as the \
        text in the header, not decoded. If the server is right, look for a proxy that makes its own request, or \
        a cache: forbid caching for this path.",
    reports: "Chromium: Incorrect 'Sec-WebSocket-Accept' header value. node ws: Invalid Sec-WebSocket-Accept header. \
        All report close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §4.2.2", "aspnet/IISIntegration#1408"],
    aliases: &["1006", "Sec-WebSocket-Accept"],
    ..Rule::BASE
};

pub(crate) static HTTP_101_INCOMPLETE: Rule = Rule {
    id: "WSH322",
    slug: "101-incomplete",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server said 101 but left out or repeated a header that is required.",
    explanation: "The server agreed with 101 but left out, repeated or misspelled one of the three headers that make the \
        agreement valid: Upgrade: websocket, Connection: Upgrade, and Sec-WebSocket-Accept. Clients must refuse \
        that.",
    evidence: "A 101 in which one of the three is missing, doubled or has another value. Proven. Also an answer that \
        claims HTTP/1.0 or breaks off within its headers.",
    unless: "If the three are there behind the proxy, the proxy removed them.",
    advice: "Let a WebSocket library do the handshake. In a proxy, let the answer's headers pass unchanged.",
    reports: "Chromium: 'Upgrade' header is missing, or 'Connection' header is missing. node ws: Invalid Upgrade \
        header. Close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §4.2.2"],
    aliases: &["1006", "101"],
    ..Rule::BASE
};

pub(crate) static SUBPROTOCOL_UNREQUESTED: Rule = Rule {
    id: "WSH323",
    slug: "subprotocol-unrequested",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server chose a subprotocol that the client did not offer.",
    explanation: "The server announced a subprotocol (an application language such as mqtt or graphql-transport-ws) that \
        the client did not offer. The client must then fail the connection. Upper and lower case count.",
    evidence: "The Sec-WebSocket-Protocol in the 101 is not among the values that the client offered, or the client \
        offered none. Proven.",
    unless: "None, unless a proxy changed the header: compare both sides of it.",
    advice: "Let the server choose one of the offered values, letter by letter, or leave the header out.",
    reports: "Chromium: 'Sec-WebSocket-Protocol' header value in response does not match any of sent values. node ws: \
        Server sent an invalid subprotocol. Close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §4.2.2"],
    aliases: &["1006", "Sec-WebSocket-Protocol", "subprotocol"],
    ..Rule::BASE
};

pub(crate) static SUBPROTOCOL_NOT_CONFIRMED: Rule = Rule {
    id: "WSH324",
    slug: "subprotocol-not-confirmed",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The client offered subprotocols and the server confirmed none.",
    explanation: "The client offered one or more subprotocols and the server agreed to the WebSocket without choosing one. \
        The standard allows that, but Chromium, node ws and others give up. Typical: an old and a new name for \
        the same thing (graphql-ws and graphql-transport-ws, mqttv3.1 and mqtt), or a token sent as a \
        subprotocol that the server reads and does not confirm.",
    evidence: "The request has Sec-WebSocket-Protocol, the 101 has not. Proven as a fact. That the client failed \
        because of it is likely when it closes right after the 101.",
    unless: "If the connection goes on and messages flow, this client does not mind.",
    advice: "Let the server confirm exactly one of the offered values. node ws:\n\
        \n\
        \x20   new WebSocketServer({ port: 3000, handleProtocols: (offered) => offered.values().next().value })\n\
        \n\
        Python websockets:\n\
        \n\
        \x20   serve(handler, \"0.0.0.0\", 3000, subprotocols=[\"graphql-transport-ws\"])",
    reports: "Chromium: Sent non-empty 'Sec-WebSocket-Protocol' header but no response was received. node ws: Server \
        sent no subprotocol. Close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §4.2.2", "mqttjs/MQTT.js#408"],
    aliases: &["1006", "Sec-WebSocket-Protocol", "Server sent no subprotocol", "subprotocol"],
    ..Rule::BASE
};

pub(crate) static EXTENSION_UNREQUESTED: Rule = Rule {
    id: "WSH325",
    slug: "extension-unrequested",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server switched on an extension that the client did not offer.",
    explanation: "The server switched on an extension, usually compression, or a parameter of it, that the client had not \
        offered. The client cannot understand what follows and must fail.",
    evidence: "Sec-WebSocket-Extensions in the 101 names something that is not in the client's offer. Proven.",
    unless: "A proxy may have removed the offer from the request or added it: compare both sides of it.",
    advice: "Let the server answer only what was offered, or switch compression off for a test (perMessageDeflate: \
        false in node ws, compression=None in Python websockets).",
    reports: "Chromium: Found an unsupported extension. node ws: Server sent a Sec-WebSocket-Extensions header but no \
        extension was requested, or Server indicated an extension that was not requested. Close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §9.1", "RFC 7692 §5"],
    aliases: &["1006", "1010", "Sec-WebSocket-Extensions"],
    ..Rule::BASE
};

pub(crate) static HTTP_101_WITH_BODY_FRAMING: Rule = Rule {
    id: "WSH326",
    slug: "101-with-body-framing",
    severity: Severity::Warning,
    party: Party::Server,
    title: "The 101 answer carries headers that announce a body.",
    explanation: "The answer 101 ends the HTTP part; it has no body. This one carries a header that announces a body, \
        which misleads proxies: some then add chunk sizes or wait for a length, and that damages the frames.",
    evidence: "Content-Length or Transfer-Encoding in the 101. Proven. Harmless when nothing between server and client \
        cares.",
    unless: "Content-Length: 0 from old servers is usually ignored by everybody.",
    advice: "Remove the header from the server's 101. If a framework adds it, let a WebSocket library write the \
        answer.",
    references: &["RFC 9110 §15.2", "RFC 9112 §6.1"],
    aliases: &["Content-Length", "Transfer-Encoding", "chunked"],
    ..Rule::BASE
};

pub(crate) static HANDSHAKE_TIMEOUT: Rule = Rule {
    id: "WSH327",
    slug: "handshake-timeout",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Server,
    title: "Nobody answered the WebSocket request in time.",
    explanation: "The WebSocket request arrived and was confirmed by the server's operating system, but the answer never \
        came. After a while the client lost patience and hung up.",
    evidence: "The request is acknowledged, no status line follows, and the client closes after a time that is typical \
        for a timeout. Proven that no answer came in time.",
    unless: "If the client left at once, see WSH329. If the server hung up, see WSH328.",
    advice: "Look behind the proxy: does it get an answer from the server? Then at the server: blocked event loop, a \
        database call in the handshake, an exhausted worker pool. A cache or a rule in a content delivery \
        network may hold upgrades back.",
    reports: "Python websockets waits 10 s: timed out during opening handshake. Chromium waits 240 s and Firefox 20 s, \
        then close code 1006. node ws: Opening handshake has timed out, if handshakeTimeout is set.",
    references: &["RFC 6455 §4.1", "RFC 6455 §7.2.1"],
    aliases: &["1006", "timeout", "Opening handshake has timed out", "499"],
    ..Rule::BASE
};

pub(crate) static CLOSED_BEFORE_RESPONSE: Rule = Rule {
    id: "WSH328",
    slug: "closed-before-response",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "The server hung up instead of answering the WebSocket request.",
    explanation: "The request was delivered and the server closed the connection without a single byte of an answer. Its \
        program crashed, refuses unknown paths in this way, or never meant to serve WebSockets.",
    evidence: "FIN or RST from the server after the request, with no answer or with only a part of its headers. Proven.",
    unless: "If the client closed first, see WSH327 and WSH329.",
    advice: "Look at the server's log at that second. For socket.io, check the path option: it must be the same on \
        both sides, and the server drops upgrades for other paths after a second.",
    reports: "Chromium: Connection closed before receiving a handshake response. node: socket hang up. Python \
        websockets: did not receive a valid HTTP response. Close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §7.2.2"],
    aliases: &["1006", "socket hang up", "closed before receiving a handshake response", "ECONNRESET"],
    ..Rule::BASE
};

pub(crate) static CLIENT_ABANDONED: Rule = Rule {
    id: "WSH329",
    slug: "client-abandoned",
    severity: Severity::Info,
    role: Role::Cause(Specificity::Ending),
    party: Party::Client,
    title: "The client hung up before the server could answer.",
    explanation: "The client gave up before the server had answered. The server is not at fault. In browsers this happens \
        when the page calls close() too early, when it is left or reloaded, or when a framework mounts a \
        component twice.",
    evidence: "FIN or RST from the client after its request and before any answer. Proven who left. A second identical \
        request within 100 milliseconds points to a double start.",
    unless: "If the client waited for seconds first, it ran into its own timeout (WSH327). A refused certificate \
        looks different (WST103).",
    advice: "In React, create the socket inside the effect and close it in the effect's clean-up only when it is \
        open; in development, StrictMode mounts twice by design. Elsewhere, look for a close() that runs before \
        the open event.",
    reports: "Chromium: WebSocket is closed before the connection is established. node ws: WebSocket was closed before \
        the connection was established. Close code 1006.",
    references: &["RFC 6455 §7.1.7", "WHATWG WebSockets"],
    aliases: &["1006", "closed before the connection is established", "StrictMode"],
    ..Rule::BASE
};

pub(crate) static EARLY_CLIENT_DATA: Rule = Rule {
    id: "WSH330",
    slug: "early-client-data",
    severity: Severity::Warning,
    party: Party::Client,
    title: "The client sent WebSocket data before the server had agreed.",
    explanation: "The client sent WebSocket data right after its request, without waiting for the 101. It must wait, \
        because only the 101 makes the connection a WebSocket. Many servers cope; others drop the data or answer \
        400.",
    evidence: "Bytes that belong to no HTTP request follow the client's request before the server's 101. Proven.",
    unless: "Data in the same packet as the 101, but sent by the server, is allowed.",
    advice: "Let the client wait for the open event before it sends.",
    references: &["RFC 6455 §4.1"],
    aliases: &["early data", "pipelining"],
    ..Rule::BASE
};

pub(crate) static HTTP_AFTER_101: Rule = Rule {
    id: "WSH332",
    slug: "http-after-101",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server wrote an HTTP response into a connection that was already a WebSocket.",
    explanation: "After the 101 the connection carries WebSocket frames only. Here the server wrote a complete HTTP \
        response into it, usually an error page after an exception in the WebSocket handler. The client reads \
        the letters as a broken frame and gives up.",
    evidence: "After the 101, the server's bytes spell HTTP/1.1 and a status where a frame should begin. The letter H, \
        read as a frame, is a Close with impossible bits. Proven.",
    unless: "None while the capture is complete at that place (WSI002).",
    advice: "The status in the text says what went wrong in the handler: look for that error in the server's log. Do \
        not return a response from a handler after the upgrade; close instead: ws.close(1011, \"reason\"). With \
        Flask-Sock or Eventlet, catch exceptions inside the handler.",
    reports: "Chromium: One or more reserved bits are on, or Invalid frame header, and close code 1006. node ws: \
        Invalid WebSocket frame, and close code 1006. Python websockets: 1002 (protocol error).",
    references: &["RFC 6455 §5.2", "RFC 6455 §7.1.7"],
    aliases: &["1006", "1002", "21584", "Invalid frame header"],
    ..Rule::BASE
};

pub(crate) static HTTP_101_THEN_DEAD: Rule = Rule {
    id: "WSH333",
    slug: "101-then-dead",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "The WebSocket opened and died at once, before any message.",
    explanation: "The server agreed to the WebSocket and the connection ended within a second, without a message and \
        without a goodbye. The handshake was not the problem. Usually the server's handler crashed at its start, \
        or returned at once, or a proxy announced the 101 but cannot carry a WebSocket.",
    evidence: "A 101, then FIN or RST within a second, no message from either side, no Close. The facts are proven, the \
        reason is likely.",
    unless: "If the client closed first, it did not like the answer (WSH321 to WSH325) or it left (WSH329). If Close \
        frames were exchanged, see the WSC rules.",
    advice: "Read the server's log at that second. Check that the handler waits for messages instead of returning. If \
        there is a proxy, compare with the connection behind it. On IIS, install the WebSocket Protocol feature.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.2.1"],
    aliases: &["1006"],
    ..Rule::BASE
};

pub(crate) static REQUEST_TARGET_ANOMALY: Rule = Rule {
    id: "WSH335",
    slug: "request-target-anomaly",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The path in the request looks wrong.",
    explanation: "The path in the request has an unusual form: it does not begin with a slash, begins with two, or is a \
        full address. Typically one part of a configuration adds a slash and another one has it already. Servers \
        then find no such path.",
    evidence: "The request line's target does not begin with a single slash. The form is proven; that it is the reason \
        is likely when the answer is 400 or 404.",
    unless: "A full address is correct towards a forward proxy (WSP206). If the answer is 101, it does no harm here.",
    advice: "Look at how the address is put together in the client's or the device's settings, and remove or add the \
        slash there.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 404. node ws \
        raises: Unexpected server response: 404. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 404. The number may also be 400.",
    references: &["RFC 9112 §3.2", "RFC 6455 §3"],
    aliases: &["1006", "404", "400", "double slash"],
    ..Rule::BASE
};

pub(crate) static H2_NO_EXTENDED_CONNECT: Rule = Rule {
    id: "WSH336",
    slug: "h2-no-extended-connect",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The connection uses HTTP/2, but the server does not offer WebSocket over HTTP/2.",
    explanation: "Client and server agreed on HTTP/2, but this server does not say that it can carry WebSockets there. The \
        client has to open a second connection with HTTP/1.1. Some clients do not, or the server offers nothing \
        but HTTP/2.",
    evidence: "The connection uses HTTP/2 and the server's SETTINGS do not contain ENABLE_CONNECT_PROTOCOL with value \
        1. Proven when the connection can be read.",
    unless: "A WebSocket that runs on a separate HTTP/1.1 connection at the same time is normal and needs nothing.",
    advice: "Keep http/1.1 in the server's ALPN list next to h2, or switch WebSocket over HTTP/2 on (Envoy: \
        allow_connect: true in http2_protocol_options). HAProxy has h2-workaround-bogus-websocket-clients for \
        clients that insist.",
    reports: "Close code 1006 in browsers.",
    references: &["RFC 8441 §3", "RFC 9113 §6.5.2"],
    aliases: &["1006", "HTTP/2", "h2", "Extended CONNECT"],
    ..Rule::BASE
};

pub(crate) static H2_STREAM_REFUSED: Rule = Rule {
    id: "WSH337",
    slug: "h2-stream-refused",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Answer),
    party: Party::Server,
    title: "The HTTP/2 server refused the WebSocket stream.",
    explanation: "The client asked for a WebSocket inside an HTTP/2 connection, and the server refused that stream, by a \
        status or by resetting it. Other streams on the connection go on.",
    evidence: "An Extended CONNECT answered with another status than 200, or with RST_STREAM. Proven.",
    unless: "REFUSED_STREAM means that nothing was done, and the client may try again: if the next attempt succeeds, \
        all is well.",
    advice: "Enable WebSocket over HTTP/2 for this route, or let the client use HTTP/1.1. A status such as 403 or 404 \
        means the same as in HTTP/1.1 (WSH314, WSH315).",
    reports: "Close code 1006 in browsers.",
    references: &["RFC 8441 §4", "RFC 8441 §5", "RFC 9113 §7"],
    aliases: &["1006", "HTTP/2", "RST_STREAM", "REFUSED_STREAM"],
    ..Rule::BASE
};

pub(crate) static H2_TO_H1_KEY_MISSING: Rule = Rule {
    id: "WSH338",
    slug: "h2-to-h1-key-missing",
    severity: Severity::Error,
    party: Party::Proxy,
    detected: false,
    title: "A proxy translated HTTP/2 to HTTP/1.1 and left out the Sec-WebSocket-Key.",
    explanation: "WebSocket requests in HTTP/2 carry no key, in HTTP/1.1 they must. The proxy translated from the one to \
        the other and did not make up a key, so the server behind it refused.",
    evidence: "Behind the proxy, a request with Upgrade and version but without Sec-WebSocket-Key, with headers that \
        Envoy adds (x-envoy-, x-request-id). Proven that the key is missing; the translation is likely.",
    unless: "A client that really speaks HTTP/1.1 and forgets the key is WSH305.",
    advice: "Update the proxy, or use HTTP/1.1 from the client to the proxy. HAProxy creates the key itself.",
    reports: "Browsers report close code 1006; Chromium adds in its console: Unexpected response code: 400. node ws \
        raises: Unexpected server response: 400. Python websockets raises InvalidStatus: server rejected \
        WebSocket connection: HTTP 400.",
    references: &["RFC 6455 §4.2.1", "RFC 8441 §5", "envoyproxy/envoy#8547"],
    aliases: &["1006", "400", "Envoy", "HTTP/2"],
    ..Rule::BASE
};

pub(crate) static PARTIAL_PROXY_CONFIG: Rule = Rule {
    id: "WSH340",
    slug: "partial-proxy-config",
    severity: Severity::Warning,
    party: Party::Proxy,
    detected: false,
    title: "WebSockets work on one path of this server and fail on another.",
    explanation: "The same client reaches the same server: one WebSocket path is accepted and another one is refused. So \
        the network, TLS and the proxy's abilities are fine, and the configuration covers only some of the \
        paths.",
    evidence: "101 on one path and 200, 400, 404 or 426 on another, same host, same server software. Likely.",
    unless: "The refused path may simply not exist, or need a login.",
    advice: "Give every WebSocket path the same proxy settings (WSH301), or one location that covers them all.",
    references: &["RFC 6455 §4.2.2"],
    aliases: &["1006", "400", "404", "200"],
    ..Rule::BASE
};

pub(crate) static HARDCODED_LOCALHOST: Rule = Rule {
    id: "WSH341",
    slug: "hardcoded-localhost",
    severity: Severity::Error,
    party: Party::Application,
    title: "A remote client was told to connect to localhost or to a private address.",
    explanation: "A client on another machine was told to connect to localhost or to an address that exists only inside \
        the server's network. From where it is, that address leads to itself or nowhere. It works on the \
        developer's machine.",
    evidence: "A request or connection from elsewhere whose Host is localhost or a private address. Proven as a fact; \
        that the page's address is hard-coded is likely.",
    unless: "A tunnel or a reverse proxy on the client's machine makes localhost correct.",
    advice: "Build the address from the page's own:\n\
        \n\
        \x20   const scheme = location.protocol === \"https:\" ? \"wss:\" : \"ws:\";\n\
        \x20   const ws = new WebSocket(scheme + \"//\" + location.host + \"/ws\");",
    reports: "ERR_CONNECTION_REFUSED and close code 1006.",
    references: &["RFC 6761 §6.3", "novnc/noVNC#254"],
    aliases: &["1006", "localhost", "127.0.0.1"],
    ..Rule::BASE
};

pub(crate) static INTERIM_RESPONSE_BEFORE_101: Rule = Rule {
    id: "WSH342",
    slug: "interim-response-before-101",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Server,
    title: "The server sent an interim response (such as 100 Continue) before the 101.",
    explanation: "Before the 101 the server sent an interim answer such as 100 Continue or 103 Early Hints. HTTP allows \
        that, but several WebSocket clients take the first answer for the final one and give up, among them \
        Chromium and Python websockets.",
    evidence: "A response with a 1xx status other than 101 before the 101. Proven. That the client failed because of it \
        is likely when it hangs up right after it.",
    unless: "If messages flow after the 101, this client does not mind.",
    advice: "Switch the interim answer off for the WebSocket path: no 100 Continue without an Expect header, and no \
        early hints.",
    reports: "Browsers based on Chromium report close code 1006; Python websockets rejects the connection as well.",
    references: &["RFC 9110 §15.2", "RFC 6455 §4.1"],
    aliases: &["1006", "100", "102", "103", "100 Continue"],
    ..Rule::BASE
};

pub(crate) static NOT_HTTP_ANSWER: Rule = Rule {
    id: "WSH343",
    slug: "not-http-answer",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "Something that does not speak HTTP answered the WebSocket request.",
    explanation: "Something answered the WebSocket request in another language than HTTP: an SSH greeting, a mail server's \
        banner, a database, or unreadable bytes. The port belongs to another service.",
    evidence: "The server's first bytes after the request are not the start of an HTTP answer. Proven. The first bytes \
        are shown.",
    unless: "A TLS alert is WST101. WebSocket frames as the first bytes mean that the beginning is missing (WSI001).",
    advice: "Check port and address. Look on the server with ss -ltnp which program owns the port, and in a container \
        or a firewall which port is forwarded where.",
    reports: "Chromium: Invalid status line or ERR_INVALID_HTTP_RESPONSE, close code 1006. node: Parse Error: Expected \
        HTTP/. Python websockets: did not receive a valid HTTP response.",
    references: &["RFC 9112 §4", "RFC 6455 §4.1"],
    aliases: &["1006", "Invalid status line", "ERR_INVALID_HTTP_RESPONSE", "Parse Error"],
    ..Rule::BASE
};

pub(crate) static HOST_HEADER_MISSING: Rule = Rule {
    id: "WSH344",
    slug: "host-header-missing",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The request has no Host header.",
    explanation: "Every HTTP/1.1 request must say which site it wants, in the Host header. This one does not. Some servers \
        accept that, others answer 400, and a server or proxy with several sites cannot know which one is meant.",
    evidence: "The request has no Host header. Proven. That it is the reason is likely when the answer is 400.",
    unless: "If the answer is 101, it does no harm with this server.",
    advice: "Let the client send Host with the name and, if it is not the usual one, the port. Use a WebSocket \
        library rather than writing the request by hand.",
    reports: "Servers that insist answer 400; the client then reports close code 1006.",
    references: &["RFC 6455 §4.1", "RFC 6455 §4.2.1", "RFC 9112 §3.2"],
    aliases: &["1006", "400", "Host"],
    ..Rule::BASE
};
