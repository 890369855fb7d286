//! TLS: why wss fails before a single byte of HTTP.
//!
//! How the handshake failed is read from the facts by [`failure`]; the rules here say what that means, and [`refusal`]
//! why a client refused the server's certificate. One connection that failed gets one cause. Who sent an alert decides
//! whose fault it is: a client's alert about a certificate is about the server's, a server's about the client's.

mod refusal;

#[cfg(test)]
mod tests;

use super::handshake::{CLIENT_ABANDONED, CLOSED_BEFORE_RESPONSE, HANDSHAKE_TIMEOUT, STATUS_400, STATUS_403};
use super::tcp::PATH_LOST;
use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::{Deed, Session};
use crate::diagnosis::finding::{CounterCheck, Decision, Finding};
use crate::diagnosis::human::duration;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::diagnosis::tls::certificate::{Fault, Shown};
use crate::diagnosis::tls::failure::{self, Dropped, Failure, STALLED};
use crate::http::{Answer, Exchange, ForeignKind};
use crate::stream::{End, Side};
use crate::tls::{Alert, ClientHello, NotTls, TlsFacts, Version, alert};

/// How nginx, Go and Apache answer plain HTTP on a port with TLS, in lower case.
const WANTS_TLS: [&str; 3] = [
    "plain http request was sent to https port",
    "client sent an http request to an https server",
    "speaking plain http to an ssl-enabled server port",
];
/// How nginx answers a client without an acceptable certificate, in lower case.
const WANTS_CERTIFICATE: [&str; 2] = ["no required ssl certificate was sent", "the ssl certificate error"];

/// protocol_version.
const PROTOCOL_VERSION: u8 = 70;
/// insufficient_security.
const INSUFFICIENT_SECURITY: u8 = 71;
/// internal_error: what some servers say when they have no certificate for a name.
const INTERNAL_ERROR: u8 = 80;
/// inappropriate_fallback: the client retried with an older version than the server has.
const INAPPROPRIATE_FALLBACK: u8 = 86;
/// unrecognized_name.
const UNRECOGNIZED_NAME: u8 = 112;
/// no_application_protocol.
const NO_APPLICATION_PROTOCOL: u8 = 120;

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if let Some(exchange) = session.exchange() {
        answered_in_plain(session, exchange, candidates);
    }
    let Some(tls) = session.tls() else { return };
    let failure = Failure::of(session);
    let mut intercepted = false;
    match &failure {
        Some(failure) => {
            if let Some(finding) = explain(session, tls, failure) {
                intercepted = finding.rule == &TLS_INTERCEPTION;
                let candidate = candidates.cause(finding);
                if matches!(failure, Failure::HungUp(..)) {
                    candidate.check(&SPEAKS_TLS, Decision::Undecidable);
                }
                if matches!(failure, Failure::Left { .. }) {
                    candidate.check(&LEFT_ON_ITS_OWN, Decision::Undecidable);
                }
            }
        }
        None => {
            went_on(session, tls, candidates);
            client_certificate(session, tls, outcome, candidates);
            http1_over_h2(session, tls, outcome, candidates);
            no_close_notify(session, tls, outcome, candidates);
        }
    }
    if !intercepted && is_first(session) {
        interception(session, tls, candidates);
    }
}

/// The server of an upgrade request says in its answer that it wants TLS, or a certificate inside TLS.
fn answered_in_plain(session: &Session<'_>, exchange: &Exchange, candidates: &mut Candidates) {
    let asked = exchange.request.as_ref().map(|request| request.head.last).unwrap_or_default();
    let wants_tls = |stamp, note: &'static str| {
        Finding::new(
            &WS_TO_TLS_PORT,
            Confidence::Proven,
            "The client spoke plain ws:// to a port where the server expects TLS (wss://).",
        )
        .evidence(asked, Some(Side::Client), "upgrade request in plain text")
        .evidence(stamp, Some(Side::Server), note)
    };
    match &exchange.answer {
        Answer::Foreign(foreign) if matches!(foreign.kind(), ForeignKind::TlsAlert { .. } | ForeignKind::Tls) => {
            candidates.cause(wants_tls(foreign.stamp, "a TLS record in answer"));
        }
        Answer::Response(response) if matches!(response.status, 400 | 403) => {
            let body = String::from_utf8_lossy(&exchange.body.excerpt).to_ascii_lowercase();
            let says = |phrases: &[&str]| phrases.iter().any(|phrase| body.contains(phrase));
            let stamp = response.head.last;
            if response.status == 400 && says(&WANTS_TLS) {
                candidates.cause(wants_tls(stamp, "the server says so in its answer"));
            } else if says(&WANTS_CERTIFICATE)
                && let Some(tls) = session.tls()
            {
                let summary = format!(
                    "The server wants a certificate from the client and got none it accepts: it says so in its answer \
                     ({}).",
                    response.status
                );
                let finding = Finding::new(&CLIENT_CERT_REQUIRED, Confidence::Proven, summary);
                let finding = asked_and_shown(finding, tls);
                candidates.cause(finding.evidence(stamp, Some(Side::Server), "the server says so in its answer"));
            }
        }
        _ => {}
    }
}

/// Facts about the connection as a whole are reported once, with its first entry.
fn is_first(session: &Session<'_>) -> bool {
    match (session.entry, session.record.entries.first()) {
        (Some(entry), Some(first)) => std::ptr::eq(entry, first),
        _ => true,
    }
}

fn explain(session: &Session<'_>, tls: &TlsFacts, failure: &Failure<'_>) -> Option<Finding> {
    let finding = match failure {
        Failure::NotTls(not_tls) => not_tls_answer(tls, not_tls),
        Failure::HungUp(at, deed) => {
            let how = if *deed == Deed::Rst { "reset the connection" } else { "hung up" };
            let finding = Finding::new(
                &TLS_TO_PLAIN_PORT,
                Confidence::Possible,
                format!(
                    "The server {how} on the client's TLS greeting without a byte: perhaps this port does not speak TLS."
                ),
            );
            let end = if *deed == Deed::Rst { "RST instead of an answer" } else { "FIN instead of an answer" };
            greeting(finding, tls).evidence(*at, Some(Side::Server), end)
        }
        Failure::HelloDropped(dropped) => hello_dropped(session, tls, *dropped),
        Failure::PathLost(side, run) => {
            let finding = Finding::new(
                &PATH_LOST,
                Confidence::Proven,
                format!(
                    "Nothing came back from the {} during the TLS handshake: the {} sent the same bytes again {} times over {}.",
                    side.other().name(),
                    side.name(),
                    run.retransmissions,
                    duration(run.last_retransmission.at - run.sent.at)
                ),
            );
            finding.evidence(run.sent, Some(*side), "first sent").evidence(
                run.last_retransmission,
                Some(*side),
                "sent again, last time",
            )
        }
        Failure::Stalled { since, until } => {
            let waited = until.at - since.at;
            let confidence = if waited >= STALLED { Confidence::Proven } else { Confidence::Likely };
            let finding = Finding::new(
                &TLS_STALLED,
                confidence,
                format!(
                    "The server's kernel took the client's TLS greeting, but its program said nothing for {}.",
                    duration(waited)
                ),
            );
            finding.evidence(*since, Some(Side::Client), "TLS greeting complete").evidence(
                *until,
                None,
                "still no answer",
            )
        }
        Failure::Alert(alert) => other_alert(tls, *alert),
        Failure::Refused { alert, grounds } => refusal::refused(session, tls, *alert, grounds),
        Failure::Left { at, finished, grounds } => refusal::left(session, tls, *at, *finished, grounds),
        Failure::ClientCertificate { alert, grounds } => {
            let finding = client_certificate_wanted(tls, alert.as_ref());
            refusal::with_grounds(finding, grounds)
        }
        Failure::ClientCertificateInside(grounds) => {
            let finding = Finding::new(
                &CLIENT_CERT_REQUIRED,
                Confidence::Possible,
                "The server asked for a certificate, the client had none, and the server ended the connection after its first answer.",
            );
            refusal::with_grounds(asked_and_shown(finding, tls), grounds)
        }
        Failure::Unfinished => return None,
    };
    Some(finding)
}

/// Adds the client's greeting as evidence.
fn greeting(finding: Finding, tls: &TlsFacts) -> Finding {
    match &tls.client_hello {
        Some(hello) => finding.evidence(hello.stamp, Some(Side::Client), "ClientHello"),
        None => finding,
    }
}

fn not_tls_answer(tls: &TlsFacts, not_tls: &NotTls) -> Finding {
    let (confidence, summary, note) = if not_tls.is_http() {
        (
            Confidence::Proven,
            "The client spoke TLS (wss://) to a port that answers in plain HTTP (ws://).",
            "plain HTTP in answer to the ClientHello",
        )
    } else if not_tls.bytes.starts_with(b"SSH-") {
        (Confidence::Proven, "The client spoke TLS (wss://) to an SSH server.", "an SSH banner")
    } else if not_tls.is_text() {
        (
            Confidence::Proven,
            "The client spoke TLS (wss://) to a port that answers in plain text.",
            "readable text in answer to the ClientHello",
        )
    } else {
        (
            Confidence::Likely,
            "The client spoke TLS (wss://) to a port that answers with something else.",
            "bytes that are no TLS record",
        )
    };
    greeting(Finding::new(&TLS_TO_PLAIN_PORT, confidence, summary), tls).evidence(
        not_tls.stamp,
        Some(Side::Server),
        note,
    )
}

fn hello_dropped(session: &Session<'_>, tls: &TlsFacts, dropped: Dropped) -> Finding {
    let hello = tls.client_hello.as_ref();
    let post_quantum = hello.is_some_and(ClientHello::post_quantum);
    let (size, segments) = hello.map_or((0, 0), |hello| (hello.size, hello.segments));
    let what = format!("The client's TLS greeting of {size} bytes in {segments} segments did not get through");
    let (confidence, summary) = match dropped {
        Dropped::Tail(_) if post_quantum => {
            (Confidence::Likely, format!("{what}: the first was acknowledged, the rest never."))
        }
        Dropped::Tail(_) => (Confidence::Possible, format!("{what}: the first was acknowledged, the rest never.")),
        Dropped::Whole(_) => (Confidence::Possible, format!("{what}: none of it was acknowledged.")),
        Dropped::Reset(_) if post_quantum => {
            (Confidence::Likely, format!("{what}: the connection was reset before its last part."))
        }
        Dropped::Reset(_) => (Confidence::Possible, format!("{what}: the connection was reset before its last part.")),
    };
    let finding = greeting(Finding::new(&LARGE_CLIENTHELLO_DROPPED, confidence, summary), tls);
    match dropped {
        Dropped::Tail(run) | Dropped::Whole(run) => finding
            .evidence(run.sent, Some(Side::Client), "first sent")
            .evidence(run.last_retransmission, Some(Side::Client), format!("sent again {} times", run.retransmissions)),
        Dropped::Reset(at) => {
            let forged = session.side(Side::Server).reset().is_some_and(|reset| reset.looks_forged());
            let note = if forged { "RST whose TTL is not the server's" } else { "RST" };
            finding.evidence(at, Some(Side::Server), note)
        }
    }
}

/// An alert about something else than a certificate.
fn other_alert(tls: &TlsFacts, alert: Alert) -> Finding {
    let code = alert.code.unwrap_or_default();
    let name = alert.description().unwrap_or("an unregistered code");
    let who = if alert.from == Side::Client { "The client" } else { "The server" };
    let chosen = tls.server_hello.is_some();
    let said = format!("alert {code} ({name})");
    let on_greeting = alert.from == Side::Server && !chosen;
    let hello = tls.client_hello.as_ref();
    let named = tls.server_name().is_some();
    let finding = match code {
        NO_APPLICATION_PROTOCOL => {
            let offered = hello.map(|hello| hello.alpn.join(", ")).unwrap_or_default();
            let summary = if hello.is_some_and(|hello| hello.alpn.len() == 1 && hello.offers_alpn("http/1.1")) {
                "The client offered HTTP/1.1, as WebSocket needs it, and the server does not: it refused the connection."
                    .to_owned()
            } else {
                format!("The two sides have no application protocol in common; the client offered: {offered}.")
            };
            Finding::new(&ALPN_H2_ONLY, Confidence::Proven, summary)
        }
        UNRECOGNIZED_NAME => Finding::new(
            &SNI_MISSING_OR_UNKNOWN,
            Confidence::Proven,
            format!("{who} says that it does not know the name asked for: {said}."),
        ),
        PROTOCOL_VERSION | INSUFFICIENT_SECURITY | INAPPROPRIATE_FALLBACK => {
            Finding::new(&VERSION_OR_CIPHER, Confidence::Proven, no_common_ground(tls, who, &said, code))
        }
        alert::HANDSHAKE_FAILURE if on_greeting && !named && modern(hello) => Finding::new(
            &SNI_MISSING_OR_UNKNOWN,
            Confidence::Possible,
            format!("The client named no server in its TLS greeting, and the server refused it: {said}."),
        ),
        INTERNAL_ERROR if on_greeting => Finding::new(
            &SNI_MISSING_OR_UNKNOWN,
            Confidence::Possible,
            if named {
                format!("The server failed on the greeting ({said}), as some do without a certificate for the name.")
            } else {
                format!("The client named no server in its TLS greeting, and the server failed on it: {said}.")
            },
        ),
        alert::HANDSHAKE_FAILURE => {
            Finding::new(&VERSION_OR_CIPHER, Confidence::Proven, no_common_ground(tls, who, &said, code))
        }
        _ => Finding::new(
            &VERSION_OR_CIPHER,
            Confidence::Possible,
            format!("{who} broke off the TLS handshake with {said}."),
        ),
    };
    let finding = greeting(finding, tls);
    let finding = match &tls.server_hello {
        Some(hello) => finding.evidence(hello.stamp, Some(Side::Server), "ServerHello"),
        None => finding,
    };
    finding.evidence(alert.stamp, Some(alert.from), said)
}

/// A client that every server of today shares a version with.
fn modern(hello: Option<&ClientHello>) -> bool {
    hello.and_then(ClientHello::highest_version).is_some_and(|version| version >= Version::TLS12)
}

fn no_common_ground(tls: &TlsFacts, who: &str, said: &str, code: u8) -> String {
    let offered: Vec<&str> =
        tls.client_hello.iter().flat_map(|hello| &hello.versions).filter_map(|version| version.name()).collect();
    let chosen = tls.version().and_then(Version::name);
    match (code, chosen) {
        (PROTOCOL_VERSION, Some(chosen)) => {
            format!("{who} does not accept TLS {chosen}, which the server chose: {said}.")
        }
        (PROTOCOL_VERSION, None) => {
            format!("{who} accepts none of the client's TLS versions ({}): {said}.", offered.join(", "))
        }
        (_, None) => format!("{who} found no TLS version and cipher that both sides accept: {said}."),
        (_, Some(_)) => format!("{who} did not accept the parameters of the TLS handshake: {said}."),
    }
}

fn client_certificate_wanted(tls: &TlsFacts, alert: Option<&Alert>) -> Finding {
    let empty = tls.client_certificates.as_ref().is_some_and(|chain| chain.sent == 0);
    let shown = tls.client_certificates.as_ref().is_some_and(|chain| chain.sent > 0);
    let mut confidence = Confidence::Likely;
    let summary = match alert {
        Some(alert) => {
            confidence = Confidence::Proven;
            let code = alert.code.unwrap_or_default();
            let name = alert.description().unwrap_or("unknown");
            let how = if shown { "did not accept the one it got" } else { "got none" };
            format!("The server wants a certificate from the client and {how}: alert {code} ({name}).")
        }
        None if empty => {
            "The server wants a certificate from the client, got none and ended the connection.".to_owned()
        }
        None if tls.certificate_request.is_some() => {
            "The server asked the client for a certificate, and the client gave up, as browsers do for a WebSocket."
                .to_owned()
        }
        None => "The client had no certificate to show, and the server ended the connection.".to_owned(),
    };
    let finding = Finding::new(&CLIENT_CERT_REQUIRED, confidence, summary);
    asked_and_shown(finding, tls)
}

fn asked_and_shown(mut finding: Finding, tls: &TlsFacts) -> Finding {
    if let Some(asked) = tls.certificate_request {
        finding = finding.evidence(asked, Some(Side::Server), "CertificateRequest");
    }
    if let Some(chain) = &tls.client_certificates {
        let note = if chain.sent == 0 { "an empty Certificate" } else { "Certificate" };
        finding = finding.evidence(chain.stamp, Some(Side::Client), note);
    }
    finding
}

/// The handshake was fine, but a certificate out of its time is trouble for the next client.
fn went_on(session: &Session<'_>, tls: &TlsFacts, candidates: &mut Candidates) {
    if !is_first(session) || !failure::client_finished(tls) {
        return;
    }
    let Some(shown) = Shown::of(session, tls) else { return };
    let Some(when) = shown.out_of_time().filter(|_| shown.has(Fault::Time)) else { return };
    let finding = Finding::new(
        &CERT_EXPIRED,
        Confidence::Proven,
        format!("The server's certificate for {} {when}; this client went on nevertheless.", shown.owner()),
    )
    .severity(Severity::Warning)
    .explanation(
        "The server's certificate was not valid at the time of the connection. This client accepted it all the same, \
         because its user or its settings said so; other clients will refuse it.",
    )
    .evidence(shown.stamp(), Some(Side::Server), "Certificate")
    .evidence(last_of_client(tls).unwrap_or(shown.stamp()), Some(Side::Client), "the client goes on");
    candidates.note(finding);
}

fn last_of_client(tls: &TlsFacts) -> Option<crate::stream::Stamp> {
    let flow = tls.flow(Side::Client.sends());
    flow.finished.or_else(|| flow.first.first().map(|record| record.stamp))
}

/// Inside TLS: the request was sent before the server's refusal arrived (TLS 1.3).
fn client_certificate(session: &Session<'_>, tls: &TlsFacts, outcome: Outcome, candidates: &mut Candidates) {
    if outcome != Outcome::UpgradeFailed || !session.owns_the_end() {
        return;
    }
    let unanswered = session.exchange().is_some_and(|exchange| matches!(exchange.answer, Answer::Nothing));
    let refused = tls.alerts.iter().find(|seen| {
        seen.from == Side::Server
            && seen.code.is_some_and(|code| {
                failure::wants_certificate(tls, code, alert::is_about_certificate(code) && code != alert::CLOSE_NOTIFY)
            })
    });
    let Some(refused) = refused.filter(|_| unanswered) else { return };
    let finding = client_certificate_wanted(tls, Some(refused)).evidence(
        refused.stamp,
        Some(Side::Server),
        refused.description().unwrap_or("alert"),
    );
    candidates.cause(finding);
}

/// An HTTP/1.1 upgrade on a connection where HTTP/2 was agreed on.
fn http1_over_h2(session: &Session<'_>, tls: &TlsFacts, outcome: Outcome, candidates: &mut Candidates) {
    let Some(request) = session.exchange().and_then(|exchange| exchange.request.as_ref()) else { return };
    let is_h2 = session.entry.is_some_and(|entry| entry.http2_stream.is_some());
    if outcome != Outcome::UpgradeFailed || is_h2 || tls.alpn.as_deref() != Some("h2") {
        return;
    }
    let mut finding = Finding::new(
        &ALPN_H2_ONLY,
        Confidence::Proven,
        "The two sides agreed on HTTP/2, and the client sent an HTTP/1.1 upgrade request all the same.",
    );
    if let Some(seen) = tls.alpn_seen {
        finding = finding.evidence(seen, Some(Side::Server), "h2 chosen");
    }
    candidates.cause(finding.evidence(request.head.last, Some(Side::Client), "upgrade request"));
}

fn interception(session: &Session<'_>, tls: &TlsFacts, candidates: &mut Candidates) {
    let Some(shown) = Shown::of(session, tls) else { return };
    let Some(product) = shown.interceptor() else { return };
    candidates.note(refusal::intercepted(&shown, product));
}

/// RFC 8446 §6.1: each side must send close_notify before it closes, or data may have been cut off.
fn no_close_notify(session: &Session<'_>, tls: &TlsFacts, outcome: Outcome, candidates: &mut Candidates) {
    if !matches!(outcome, Outcome::ClosedAbnormal | Outcome::Unknown) || !session.owns_the_end() {
        return;
    }
    let Some(side) = session.tcp().first_closer else { return };
    let flow = tls.flow(side.sends());
    let readable = tls.decryption.application[side.sends().index()]
        || tls.version().is_some_and(|version| version < Version::TLS13 && tls.handshake_complete());
    let told =
        flow.close_notify.is_some() || tls.alerts.iter().any(|alert| alert.from == side && !is_known_error(alert));
    let Some((stamp, Deed::Fin)) = session.left(side) else { return };
    let ended = matches!(flow.ended, Some((_, End::Fin)));
    if !readable || told || !ended || !session.record_coverage(side).is_whole() {
        return;
    }
    let finding = Finding::new(
        &NO_CLOSE_NOTIFY,
        Confidence::Proven,
        format!("The {} closed the encrypted connection without close_notify.", side.name()),
    );
    candidates.note(finding.party(side).evidence(stamp, Some(side), "FIN without close_notify before it"));
}

/// A hidden alert may be close_notify.
fn is_known_error(alert: &Alert) -> bool {
    alert.code.is_some_and(|code| code != alert::CLOSE_NOTIFY)
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &WS_TO_TLS_PORT,
    &TLS_TO_PLAIN_PORT,
    &CERT_UNTRUSTED,
    &CERT_EXPIRED,
    &CERT_NAME_MISMATCH,
    &CERT_REJECTED_REASON_HIDDEN,
    &CLIENT_LEFT_AFTER_CERTIFICATE,
    &CHAIN_INCOMPLETE,
    &SNI_MISSING_OR_UNKNOWN,
    &CLIENT_CERT_REQUIRED,
    &VERSION_OR_CIPHER,
    &ALPN_H2_ONLY,
    &LARGE_CLIENTHELLO_DROPPED,
    &TLS_INTERCEPTION,
    &TLS_STALLED,
    &NO_CLOSE_NOTIFY,
];

pub(crate) static WS_TO_TLS_PORT: Rule = Rule {
    id: "WST101",
    slug: "ws-to-tls-port",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    supersedes: &[&STATUS_400],
    title: "The client spoke unencrypted ws:// to a port that expects TLS.",
    explanation: "The client opened an unencrypted WebSocket (ws://) on a port where the server expects TLS. The server \
        read the client's GET as a broken TLS handshake, or noticed the mistake and said so in plain HTTP.",
    evidence: "The client's first bytes are an HTTP request, and the server answers with a TLS alert record or with an \
        HTTP 400 that names the mistake (nginx: The plain HTTP request was sent to HTTPS port; Go: Client sent \
        an HTTP request to an HTTPS server). Proven with either; likely when the server just hangs up.",
    unless: "A 400 without such a text has other reasons (WSH312).",
    advice: "Use wss:// in the client's address, or connect to the plain port.",
    reports: "Browsers: close code 1006 and, with Chromium, Invalid status line or ERR_CONNECTION_RESET. node: socket \
        hang up or a parse error.",
    references: &["RFC 6455 §3", "RFC 8446 §6"],
    aliases: &["1006", "plain HTTP request was sent to HTTPS port", "ERR_CONNECTION_RESET"],
    ..Rule::BASE
};

pub(crate) static TLS_TO_PLAIN_PORT: Rule = Rule {
    id: "WST102",
    slug: "tls-to-plain-port",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The client spoke wss:// (TLS) to a port that does not speak TLS.",
    explanation: "The client opened an encrypted WebSocket (wss://) on a port where the server speaks plain HTTP. The \
        server could not make sense of the TLS greeting and answered in plain text, or hung up.",
    evidence: "The client's first bytes are a TLS handshake record, and the server's first bytes are readable text such \
        as HTTP/1.1 400. Proven with such an answer; only possible when the server hangs up or stays silent.",
    unless: "If the server's first bytes are a TLS record, the port does speak TLS.",
    advice: "Use ws:// for this port, or the port that has TLS, or put a proxy with TLS in front. If a proxy ends \
        TLS, check that it really does so on this port.",
    reports: "Browsers: ERR_SSL_PROTOCOL_ERROR and close code 1006. node: EPROTO wrong version number. Python: \
        SSLError WRONG_VERSION_NUMBER or record layer failure. Go: first record does not look like a TLS \
        handshake.",
    references: &["RFC 8446 §5.1", "RFC 6455 §3"],
    aliases: &["1006", "1015", "EPROTO", "wrong version number", "ERR_SSL_PROTOCOL_ERROR"],
    ..Rule::BASE
};

/// Whether the port speaks TLS at all, when it only hung up.
static SPEAKS_TLS: CounterCheck = CounterCheck {
    unless: "The port does speak TLS, and the server ended the connection for another reason.",
    needs: "another connection to the same port that gets as far as a ServerHello, or the server's log",
};

pub(crate) static CERT_UNTRUSTED: Rule = Rule {
    id: "WST103",
    slug: "cert-untrusted",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The client does not trust whoever signed the server's certificate.",
    explanation: "The server presented a certificate and the client refused it, because it does not know or trust whoever \
        signed it. Usually the certificate is self-signed or comes from a company's own authority that this \
        client does not have. The WebSocket request was never sent. For a web page a browser would offer to go \
        on anyway; for a WebSocket it fails silently.",
    evidence: "The client sends alert 48 (unknown_ca). In TLS 1.2 or with keys, the certificate itself is visible: when \
        issuer and subject are the same it is self-signed. Proven with the alert or the certificate, together \
        with the client's refusal.",
    unless: "Alert 45 means expired (WST104); 42 usually another reason. If only the intermediate certificate is \
        missing, see WST108.",
    advice: "Use a certificate from a public authority, or install your authority on every client: in the system or \
        browser, NODE_EXTRA_CA_CERTS for node, cafile for Python. For a quick test in a browser, open \
        https://HOST:PORT/ once, accept the warning, then reload the page: the exception counts for that host \
        and port only. In nginx:\n\
        \n\
        \x20   ssl_certificate     /etc/ssl/fullchain.pem;\n\
        \x20   ssl_certificate_key /etc/ssl/privkey.pem;",
    reports: "Chromium: ERR_CERT_AUTHORITY_INVALID and close code 1006. Firefox: close code 1015 or 1006. node: \
        DEPTH_ZERO_SELF_SIGNED_CERT or SELF_SIGNED_CERT_IN_CHAIN. Python: CERTIFICATE_VERIFY_FAILED. Go: x509: \
        certificate signed by unknown authority.",
    references: &["RFC 8446 §6.2", "RFC 5280 §6", "ratchetphp/Ratchet#1011", "zaphoyd/websocketpp#913"],
    aliases: &[
        "1006",
        "1015",
        "ERR_CERT_AUTHORITY_INVALID",
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "CERTIFICATE_VERIFY_FAILED",
        "self-signed",
        "unknown_ca",
    ],
    ..Rule::BASE
};

pub(crate) static CERT_EXPIRED: Rule = Rule {
    id: "WST104",
    slug: "cert-expired",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server's certificate has expired.",
    explanation: "The server's certificate was not valid at the time of the connection: it has run out, or its time has \
        not begun. The client refused it and never sent the WebSocket request.",
    evidence: "The client sends alert 45 (certificate_expired), or the certificate is visible (TLS 1.2 and older, or \
        with keys) and the packet's time lies outside its period.",
    unless: "If the certificate is valid by the capture's clock but the client says expired, the client's clock may \
        be wrong.",
    advice: "Renew the certificate and reload the server, since a renewed file is not used until then (nginx -s \
        reload). Check every machine behind a load balancer. Check the client's clock.",
    reports: "Chromium: ERR_CERT_DATE_INVALID and close code 1006. Firefox: close code 1015 or 1006. node: \
        CERT_HAS_EXPIRED. Python: certificate has expired. Go: x509: certificate has expired or is not yet \
        valid.",
    references: &["RFC 8446 §6.2", "RFC 5280 §4.1.2.5"],
    aliases: &["1006", "1015", "CERT_HAS_EXPIRED", "ERR_CERT_DATE_INVALID", "certificate_expired"],
    ..Rule::BASE
};

pub(crate) static CERT_NAME_MISMATCH: Rule = Rule {
    id: "WST105",
    slug: "cert-name-mismatch",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server's certificate is for another name than the one the client asked for.",
    explanation: "The client asked for one name and the server showed a certificate for others. The client refused it and \
        never sent the WebSocket request. This often happens when one connects by IP address, by a short \
        internal name, or to a server that has several sites and picked the wrong one.",
    evidence: "The name in the client's greeting (SNI) is not among the certificate's names; visible in TLS 1.2 and \
        older, or with keys. Proven with both and the client's refusal. An alert 42 from an OpenSSL client makes \
        it likely.",
    unless: "If the name is covered, for example by a wildcard such as *.example.com, look at the other certificate \
        rules. A wildcard covers one label only.",
    advice: "Connect by a name that is in the certificate, or have the name (or the IP address) added to it. Look at \
        the names with:\n\
        \n\
        \x20   openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -text",
    reports: "Chromium: ERR_CERT_COMMON_NAME_INVALID and close code 1006. node: ERR_TLS_CERT_ALTNAME_INVALID. Python: \
        Hostname mismatch. Go: x509: certificate is valid for ..., not ...",
    references: &["RFC 9525 §6", "RFC 5280 §4.2.1.6"],
    aliases: &["1006", "1015", "ERR_TLS_CERT_ALTNAME_INVALID", "ERR_CERT_COMMON_NAME_INVALID", "hostname mismatch"],
    ..Rule::BASE
};

pub(crate) static CERT_REJECTED_REASON_HIDDEN: Rule = Rule {
    id: "WST106",
    slug: "cert-rejected-reason-hidden",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The client refused the server's certificate and does not say why.",
    explanation: "The client refused the server's certificate, but what it sent does not tell why. Chromium uses one \
        general alert for every reason, Go uses another one, and in TLS 1.3 without keys the alert is encrypted \
        and only its size shows. The WebSocket request was never sent.",
    evidence: "The client sends alert 46 (certificate_unknown) or, from Go, 42; or, in TLS 1.3 without keys, exactly \
        one small record of the size of an alert after the server's part, followed by the end. Proven with a \
        readable alert, otherwise likely.",
    unless: "If the certificate is visible and is expired, self-signed or for another name, that is the reason \
        (WST103, WST104, WST105).",
    advice: "Read the exact reason on the client: the browser's console or the program's error. Or test the server \
        from the client's machine: openssl s_client -connect HOST:443 -servername HOST.",
    reports: "Chromium: an ERR_CERT_ error in the console and close code 1006. Go: an x509: error.",
    references: &["RFC 8446 §6.2"],
    aliases: &["1006", "1015", "certificate_unknown", "bad_certificate"],
    ..Rule::BASE
};

pub(crate) static CLIENT_LEFT_AFTER_CERTIFICATE: Rule = Rule {
    id: "WST107",
    slug: "client-left-after-certificate",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Ending),
    party: Party::Client,
    title: "The client hung up right after it saw the server's certificate.",
    explanation: "The client received the server's certificate and hung up without a word. node does exactly this when it \
        does not trust a certificate: it keeps the reason to itself. Other explanations exist, so this is not \
        proof.",
    evidence: "After the server's part of the handshake the client sends nothing that belongs to a request, and closes \
        within about a second. It is likelier when the same client does so repeatedly, and when the certificate \
        is visibly bad.",
    unless: "A user who closed the page, a client's connect timeout, a port scanner or a load balancer's health check \
        look the same. Health checks come at regular intervals.",
    advice: "Read the client's error message. For node the reason is in the error's code field, for example \
        DEPTH_ZERO_SELF_SIGNED_CERT.",
    reports: "node: the certificate error. Browsers: close code 1006.",
    references: &["RFC 8446 §4.4.2.4"],
    aliases: &["1006", "1015"],
    ..Rule::BASE
};

/// Whether the client's program wanted to leave.
static LEFT_ON_ITS_OWN: CounterCheck = CounterCheck {
    unless: "The client left for a reason of its own, such as a page that was closed.",
    needs: "the client's TLS secrets (SSLKEYLOGFILE), which open its last record, or its log",
};

pub(crate) static CHAIN_INCOMPLETE: Rule = Rule {
    id: "WST108",
    slug: "chain-incomplete",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server does not send the intermediate certificate that links it to a trusted authority.",
    explanation: "The server sends only its own certificate and not the intermediate one that links it to a trusted \
        authority. Browsers often have the intermediate in store and work; programs such as node, Python and Go \
        fail. So it works in the browser and not in the program.",
    evidence: "The server's certificate message holds a single certificate whose issuer is another authority, and the \
        client refuses with alert 48. The certificate is visible in TLS 1.2 and older, or with keys. Likely.",
    unless: "If issuer and subject are the same, it is self-signed (WST103). An issuer that is itself a trusted root \
        needs no intermediate.",
    advice: "Install the full chain, leaf first. In nginx:\n\
        \n\
        \x20   ssl_certificate /etc/ssl/fullchain.pem;\n\
        \n\
        In Apache 2.4.8 or newer, SSLCertificateFile takes the full chain; in HAProxy, put leaf, intermediates \
        and key into one pem file.",
    reports: "node: UNABLE_TO_VERIFY_LEAF_SIGNATURE. Python: unable to get local issuer certificate. Go: x509: \
        certificate signed by unknown authority.",
    references: &["RFC 8446 §4.4.2", "websockets/ws#1004"],
    aliases: &[
        "1006",
        "1015",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "unable to get local issuer certificate",
        "intermediate",
    ],
    ..Rule::BASE
};

pub(crate) static SNI_MISSING_OR_UNKNOWN: Rule = Rule {
    id: "WST109",
    slug: "sni-missing-or-unknown",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The client did not name the server it wants, or named one the server does not know.",
    explanation: "In its TLS greeting a client names the server it wants (SNI), so that a machine with many sites can pick \
        the right certificate. Here the name is missing, or the server does not know it, and the server ended \
        the handshake or showed a certificate for something else.",
    evidence: "No server_name in the client's greeting together with a certificate for another name; or the server's \
        alert 112 (unrecognized_name); or a refusal right after the greeting while other names succeed at the \
        same address.",
    unless: "Some servers answer alert 40 for missing ciphers as well (WST111). Connecting by IP address sends no \
        name by design.",
    advice: "Connect by name. In nginx towards an encrypted server behind it, the name is off by default:\n\
        \n\
        \x20   proxy_ssl_server_name on;\n\
        \x20   proxy_ssl_name $host;",
    reports: "node: EPROTO with the alert's name. Go: remote error: tls: unrecognized name. Browsers: close code 1006.",
    references: &["RFC 6066 §3", "RFC 6455 §4.1"],
    aliases: &["1006", "1015", "SNI", "unrecognized_name"],
    ..Rule::BASE
};

pub(crate) static CLIENT_CERT_REQUIRED: Rule = Rule {
    id: "WST110",
    slug: "client-cert-required",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    supersedes: &[&HANDSHAKE_TIMEOUT, &CLIENT_ABANDONED, &CLOSED_BEFORE_RESPONSE, &STATUS_400, &STATUS_403],
    title: "The server wants a certificate from the client and got none it accepts.",
    explanation: "The server asks the client for a certificate of its own, and the client had none or one that was not \
        accepted. Browsers do not show their certificate dialog for a WebSocket: they cancel it.",
    evidence: "The server's certificate request, an empty certificate from the client (both visible in TLS 1.2 and \
        older, or with keys), and then alert 116 (certificate_required), 40, 42 or 48 from the server. Proven \
        with these. In TLS 1.3 without keys only possible: the client is finished, sends its request, and the \
        server answers with one small record and the end.",
    unless: "Alerts sent by the client are about the server's certificate (WST103 to WST106).",
    advice: "Give the client its certificate and key, or do not demand one for the WebSocket. In nginx the setting is \
        per server, not per location:\n\
        \n\
        \x20   ssl_verify_client optional;",
    reports: "Chromium hangs up and says in its console: WebSocket opening handshake was canceled. node and Python: \
        alert certificate required or handshake failure. nginx may answer 400 inside TLS: No required SSL \
        certificate was sent.",
    references: &["RFC 8446 §4.3.2", "RFC 8446 §6.2", "jolocom/smartwallet-app#249"],
    aliases: &["1006", "1015", "mTLS", "certificate_required", "client certificate"],
    ..Rule::BASE
};

pub(crate) static VERSION_OR_CIPHER: Rule = Rule {
    id: "WST111",
    slug: "version-or-cipher",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The two sides share no TLS version or no cipher.",
    explanation: "Client and server found no TLS version or no cipher that both accept, so the handshake ended before it \
        really began. Usually one of them is very old, or one was hardened.",
    evidence: "The server answers the greeting with alert 70 (protocol_version), 71 (insufficient_security) or 40 \
        (handshake_failure); or the client sends one of these right after the server's choice. Proven with the \
        alert.",
    unless: "Alert 40 may also mean an unknown name (WST109) or a missing client certificate (WST110); the moment at \
        which it comes tells.",
    advice: "Allow TLS 1.2 and 1.3 on both sides and update the old one. In nginx:\n\
        \n\
        \x20   ssl_protocols TLSv1.2 TLSv1.3;",
    reports: "Chromium: ERR_SSL_VERSION_OR_CIPHER_MISMATCH and close code 1006. node: EPROTO. Python: SSLError with \
        the alert's name. Go: remote error: tls: protocol version not supported.",
    references: &["RFC 8446 §6.2", "RFC 9325 §3.1", "websockets/ws#1227"],
    aliases: &["1006", "1015", "EPROTO", "ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "protocol_version", "handshake_failure"],
    ..Rule::BASE
};

pub(crate) static ALPN_H2_ONLY: Rule = Rule {
    id: "WST112",
    slug: "alpn-h2-only",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The two sides could not agree on HTTP/1.1, which this WebSocket needs.",
    explanation: "In the TLS greeting the two sides also agree on the version of HTTP. A classic WebSocket needs HTTP/1.1, \
        and the server does not offer it, or chose HTTP/2 instead.",
    evidence: "The client offers only http/1.1 and the server answers with alert 120 (no_application_protocol); or the \
        server chooses h2, and an HTTP/1.1 upgrade request follows on that connection.",
    unless: "If http/1.1 was agreed, this is not the reason. If h2 was agreed and the client uses WebSocket over \
        HTTP/2, see WSH336 and WSH337.",
    advice: "Let the server offer http/1.1 beside h2. HAProxy:\n\
        \n\
        \x20   bind :443 ssl crt site.pem alpn h2,http/1.1\n\
        \n\
        In Go: tls.Config{NextProtos: []string{\"h2\", \"http/1.1\"}}.",
    reports: "Browsers: close code 1006; Chromium may add ERR_ALPN_NEGOTIATION_FAILED.",
    references: &["RFC 7301 §3.2", "RFC 6455 §4.1"],
    aliases: &["1006", "1015", "ALPN", "no_application_protocol"],
    ..Rule::BASE
};

pub(crate) static LARGE_CLIENTHELLO_DROPPED: Rule = Rule {
    id: "WST113",
    slug: "large-clienthello-dropped",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Network,
    title: "The client's first TLS message spans two packets and something on the way drops it.",
    explanation: "Current clients send a larger TLS greeting, because it holds a key that resists quantum computers. It no \
        longer fits into one packet. Some firewalls and load balancers look only at the first packet and drop or \
        reset the connection.",
    evidence: "The greeting spans more than one segment, and the second is retransmitted without an answer, or a reset \
        follows the first; a smaller greeting to the same server succeeds. Likely.",
    unless: "If small greetings to that server fail too, the size is not the reason.",
    advice: "Update the device on the way. As a temporary test, switch the new key off: in Go GODEBUG=tlsmlkem=0.",
    reports: "Timeouts or ECONNRESET during the TLS handshake.",
    references: &["RFC 8446 §4.1.2", "canonical/lxd#14839", "golang/go#80573"],
    aliases: &["1006", "ML-KEM", "Kyber", "post-quantum"],
    ..Rule::BASE
};

pub(crate) static TLS_INTERCEPTION: Rule = Rule {
    id: "WST114",
    slug: "tls-interception",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Deed),
    party: Party::Network,
    title: "An antivirus program or firewall seems to decrypt this connection on the way.",
    explanation: "The certificate was issued by a security product, not by a public authority. An antivirus program on the \
        client or a company's firewall opens the encryption, looks inside and encrypts again. Such products \
        sometimes damage or delay WebSockets.",
    evidence: "The issuer's name in the certificate is that of a known product (for example Avast, ESET, Kaspersky, \
        Fortinet, Zscaler); visible in TLS 1.2 and older, or with keys. Or two capture points show different \
        certificates for the same server. Likely.",
    unless: "A private authority of your own company may have such a name without anything intercepting.",
    advice: "Exclude this server from the product's HTTPS scanning and try again.",
    references: &["jetty/jetty.project#7740", "websockets/ws#1004"],
    aliases: &["antivirus", "TLS inspection", "HTTPS scanning", "man in the middle"],
    ..Rule::BASE
};

pub(crate) static TLS_STALLED: Rule = Rule {
    id: "WST115",
    slug: "tls-stalled",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Server,
    title: "The TLS handshake began but the server never answered.",
    explanation: "The client's TLS greeting was delivered and confirmed, but no answer came. The server's program is not \
        reading, or it waits for something else first: a load balancer's PROXY protocol line, or plain text on a \
        port without TLS.",
    evidence: "The greeting is acknowledged, and no data from the server for more than 5 seconds. The stall is proven; \
        its reason is only possible.",
    unless: "If the greeting is not acknowledged, it is lost on the way (WST113, WSN008).",
    advice: "Test with openssl s_client -connect HOST:PORT from the server itself. Compare the PROXY protocol setting \
        on both sides: send-proxy in HAProxy needs listen ... proxy_protocol in nginx.",
    reports: "Timeouts: timed out during opening handshake (Python), TLS handshake timeout (Go).",
    references: &["RFC 8446 §4.1"],
    aliases: &["1006", "TLS handshake timeout", "PROXY protocol"],
    ..Rule::BASE
};

pub(crate) static NO_CLOSE_NOTIFY: Rule = Rule {
    id: "WST116",
    slug: "no-close-notify",
    severity: Severity::Info,
    party: Party::Server,
    title: "The encrypted connection ended without the TLS goodbye.",
    explanation: "TLS has a goodbye of its own, and this connection ended without it. So nobody can be sure that the last \
        bytes arrived. For a connection whose Close frames were exchanged before, it does not matter.",
    evidence: "FIN or RST without a close_notify alert from that side before it. Certain only with keys; in TLS 1.3 \
        without keys the goodbye looks like any small record.",
    unless: "A killed program or a reset never leaves time for it. Many servers omit it on purpose.",
    advice: "Nothing needs fixing when the WebSocket was closed properly. Otherwise look at the finding that explains \
        the end.",
    reports: "OpenSSL 3: unexpected eof while reading. Go: unexpected EOF.",
    references: &["RFC 8446 §6.1"],
    aliases: &["close_notify", "truncation"],
    ..Rule::BASE
};
