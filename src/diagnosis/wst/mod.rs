//! TLS: why wss fails before a single byte of HTTP.
//!
//! [`failure`] says how the handshake failed, [`certificate`] what is visibly wrong with the certificate,
//! [`refusal`] puts both together, [`likeness`] reads encrypted connections without keys. One connection that
//! failed gets one cause. Who sent an alert decides whose fault it is: a client's alert about a certificate is
//! about the server's, a server's about the client's.

mod certificate;
mod failure;
mod likeness;
mod refusal;

#[cfg(test)]
mod tests;

use self::certificate::{Fault, Shown};
use self::failure::{Dropped, Failure, STALLED};
use super::case::{Case, Deed, duration};
use super::catalogue::wsn::PATH_LOST;
use super::catalogue::wst::{
    ALPN_H2_ONLY, CERT_EXPIRED, CLIENT_CERT_REQUIRED, LARGE_CLIENTHELLO_DROPPED, NO_CLOSE_NOTIFY,
    SNI_MISSING_OR_UNKNOWN, TLS_INTERCEPTION, TLS_STALLED, TLS_TO_PLAIN_PORT, VERSION_OR_CIPHER,
};
use super::finding::{Confidence, Finding, Severity};
use super::judged::{Explains, Judged};
use super::outcome::Outcome;
use crate::http::Answer;
use crate::stream::{End, Side};
use crate::tls::{Alert, ClientHello, NotTls, TlsFacts, Version, alert};

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

/// How a TLS connection without a visible WebSocket ended.
pub(super) fn outcome(case: &Case<'_>) -> Outcome {
    match Failure::of(case) {
        Some(Failure::ClientCertificateInside(_)) => Outcome::UpgradeFailed,
        Some(_) => Outcome::TlsFailed,
        None if likeness::closed_cleanly(case) => Outcome::ClosedClean,
        None => Outcome::Unknown,
    }
}

/// Whether TLS itself failed.
pub(super) fn failed(case: &Case<'_>) -> bool {
    Failure::of(case).is_some()
}

/// Whether all that is known is that the client left, for reasons of its own perhaps.
pub(super) fn merely_left(case: &Case<'_>) -> bool {
    let visible = || case.tls().and_then(|tls| Shown::of(case, tls)).is_some_and(|shown| shown.worst().is_some());
    matches!(Failure::of(case), Some(Failure::Left { .. })) && !visible()
}

/// Whether an encrypted connection is most likely a WebSocket.
pub(super) fn looks_like_websocket(case: &Case<'_>) -> bool {
    likeness::looks_like_websocket(case)
}

/// Whether an encrypted connection whose beginning nobody saw may be one.
pub(super) fn may_be_websocket(case: &Case<'_>) -> bool {
    likeness::joined_late(case)
}

pub(super) fn judge(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    let Some(tls) = case.tls() else { return };
    let failure = Failure::of(case);
    let mut intercepted = false;
    match &failure {
        Some(failure) => {
            let (explains, finding) = explain(case, tls, failure);
            if let Some(finding) = finding {
                intercepted = finding.rule.id == TLS_INTERCEPTION.id;
                judged.cause(explains, finding);
            }
        }
        None => {
            went_on(case, tls, judged);
            client_certificate(case, tls, outcome, judged);
            http1_over_h2(case, tls, outcome, judged);
            no_close_notify(case, tls, outcome, judged);
        }
    }
    if !intercepted && is_first(case) {
        interception(case, tls, judged);
    }
}

/// Facts about the connection are told once, with its first entry.
fn is_first(case: &Case<'_>) -> bool {
    match (case.entry, case.record.entries.first()) {
        (Some(entry), Some(first)) => std::ptr::eq(entry, first),
        _ => true,
    }
}

fn explain(case: &Case<'_>, tls: &TlsFacts, failure: &Failure<'_>) -> (Explains, Option<Finding>) {
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
        Failure::HelloDropped(dropped) => hello_dropped(case, tls, *dropped),
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
            return (
                Explains::Mechanism,
                Some(finding.evidence(run.sent, Some(*side), "first sent").evidence(
                    run.last_retransmission,
                    Some(*side),
                    "sent again, last time",
                )),
            );
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
            return (
                Explains::Mechanism,
                Some(finding.evidence(*since, Some(Side::Client), "TLS greeting complete").evidence(
                    *until,
                    None,
                    "still no answer",
                )),
            );
        }
        Failure::Alert(alert) => other_alert(tls, *alert),
        Failure::Refused { alert, grounds } => refusal::refused(case, tls, *alert, grounds),
        Failure::Left { at, finished, grounds } => return refusal::left(case, tls, *at, *finished, grounds),
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
        Failure::Unfinished => return (Explains::Symptom, None),
    };
    (Explains::Deed, Some(finding))
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

fn hello_dropped(case: &Case<'_>, tls: &TlsFacts, dropped: Dropped) -> Finding {
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
            let forged = case.side(Side::Server).reset().is_some_and(|reset| reset.looks_forged());
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
fn went_on(case: &Case<'_>, tls: &TlsFacts, judged: &mut Judged) {
    if !is_first(case) || !failure::client_finished(tls) {
        return;
    }
    let Some(shown) = Shown::of(case, tls) else { return };
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
    judged.note(finding);
}

fn last_of_client(tls: &TlsFacts) -> Option<crate::stream::Stamp> {
    let flow = tls.flow(Side::Client.sends());
    flow.finished.or_else(|| flow.first.first().map(|record| record.stamp))
}

/// Inside TLS: the request was sent before the server's refusal arrived (TLS 1.3).
fn client_certificate(case: &Case<'_>, tls: &TlsFacts, outcome: Outcome, judged: &mut Judged) {
    if outcome != Outcome::UpgradeFailed || !case.owns_the_end() {
        return;
    }
    let unanswered = case.exchange().is_some_and(|exchange| matches!(exchange.answer, Answer::Nothing));
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
    judged.cause(Explains::Deed, finding);
}

/// Whether it is known that the server ended the connection for want of a client certificate.
pub(super) fn refused_client(judged: &Judged) -> bool {
    judged.findings.iter().any(|finding| finding.rule.id == CLIENT_CERT_REQUIRED.id)
}

/// The server's answer inside TLS says that it wants a certificate (nginx does so with a 400).
pub(super) fn client_certificate_refusal(case: &Case<'_>, stamp: crate::stream::Stamp, status: u16) -> Option<Finding> {
    let tls = case.tls()?;
    let finding = Finding::new(
        &CLIENT_CERT_REQUIRED,
        Confidence::Proven,
        format!(
            "The server wants a certificate from the client and got none it accepts: it says so in its answer ({status})."
        ),
    );
    Some(asked_and_shown(finding, tls).evidence(stamp, Some(Side::Server), "the server says so in its answer"))
}

/// An HTTP/1.1 upgrade on a connection where HTTP/2 was agreed on.
fn http1_over_h2(case: &Case<'_>, tls: &TlsFacts, outcome: Outcome, judged: &mut Judged) {
    let Some(request) = case.exchange().and_then(|exchange| exchange.request.as_ref()) else { return };
    let is_h2 = case.entry.is_some_and(|entry| entry.http2_stream.is_some());
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
    judged.cause(Explains::Deed, finding.evidence(request.head.last, Some(Side::Client), "upgrade request"));
}

fn interception(case: &Case<'_>, tls: &TlsFacts, judged: &mut Judged) {
    let Some(shown) = Shown::of(case, tls) else { return };
    let Some(product) = shown.interceptor() else { return };
    judged.note(refusal::intercepted(&shown, product));
}

/// RFC 8446 §6.1: each side must send close_notify before it closes, or data may have been cut off.
fn no_close_notify(case: &Case<'_>, tls: &TlsFacts, outcome: Outcome, judged: &mut Judged) {
    if !matches!(outcome, Outcome::ClosedAbnormal | Outcome::Unknown) || !case.owns_the_end() {
        return;
    }
    let Some(side) = case.tcp().first_closer else { return };
    let flow = tls.flow(side.sends());
    let readable = tls.decryption.application[side.sends().index()]
        || tls.version().is_some_and(|version| version < Version::TLS13 && tls.handshake_complete());
    let told =
        flow.close_notify.is_some() || tls.alerts.iter().any(|alert| alert.from == side && !is_known_error(alert));
    let Some((stamp, Deed::Fin)) = case.left(side) else { return };
    let ended = matches!(flow.ended, Some((_, End::Fin)));
    if !readable || told || !ended || flow.missing_bytes > 0 {
        return;
    }
    let finding = Finding::new(
        &NO_CLOSE_NOTIFY,
        Confidence::Proven,
        format!("The {} closed the encrypted connection without close_notify.", side.name()),
    );
    judged.note(finding.evidence(stamp, Some(side), "FIN without close_notify before it"));
}

/// A hidden alert may be close_notify.
fn is_known_error(alert: &Alert) -> bool {
    alert.code.is_some_and(|code| code != alert::CLOSE_NOTIFY)
}
