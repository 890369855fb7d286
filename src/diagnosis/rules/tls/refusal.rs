//! A client that refused the server's certificate, or left on seeing it: which of the visible faults, or of the
//! alert's words, explains that best.

use super::{
    CERT_EXPIRED, CERT_NAME_MISMATCH, CERT_REJECTED_REASON_HIDDEN, CERT_UNTRUSTED, CHAIN_INCOMPLETE,
    CLIENT_LEFT_AFTER_CERTIFICATE, TLS_INTERCEPTION, greeting,
};
use crate::diagnosis::context::Session;
use crate::diagnosis::finding::Finding;
use crate::diagnosis::human::duration;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::diagnosis::tls::certificate::{Fault, Shown};
use crate::diagnosis::tls::failure::is_openssl;
use crate::stream::{Side, Stamp};
use crate::tls::traffic_analysis::Ground;
use crate::tls::{Alert, TlsFacts};

/// bad_certificate: OpenSSL's word for a wrong name, Go's and Firefox's for nearly everything.
const BAD_CERTIFICATE: u8 = 42;
/// unsupported_certificate: wrong purpose or algorithm.
const UNSUPPORTED_CERTIFICATE: u8 = 43;
/// certificate_expired.
const CERTIFICATE_EXPIRED: u8 = 45;
/// certificate_unknown: Chromium's word for everything.
const CERTIFICATE_UNKNOWN: u8 = 46;
/// unknown_ca.
const UNKNOWN_CA: u8 = 48;
/// access_denied.
const ACCESS_DENIED: u8 = 49;

/// How the client showed its refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// With an alert that could be read.
    Told(u8),
    /// With a record of an alert's size.
    Hidden,
    /// It just left.
    Silent,
}

pub(super) fn with_grounds(mut finding: Finding, grounds: &[Ground]) -> Finding {
    for ground in grounds {
        if !finding.evidence.iter().any(|known| known.stamp == ground.stamp && known.from == Some(ground.from)) {
            finding.add_evidence(ground.stamp, Some(ground.from), ground.what);
        }
    }
    finding
}

/// The client refused the certificate, with an alert or what has the size of one.
pub(super) fn refused(session: &Session<'_>, tls: &TlsFacts, alert: Option<Alert>, grounds: &[Ground]) -> Finding {
    let shown = Shown::of(session, tls);
    let refusal = alert.and_then(|alert| alert.code).map_or(Refusal::Hidden, Refusal::Told);
    let by_openssl = alert.is_some_and(|alert| is_openssl(tls, &alert));
    let finding = match (refusal, &shown) {
        (Refusal::Told(CERTIFICATE_EXPIRED), shown) => expired(shown.as_ref(), refusal),
        (Refusal::Told(UNKNOWN_CA), Some(shown)) => untrusted(shown, refusal),
        (Refusal::Told(UNKNOWN_CA), None) => Finding::new(
            &CERT_UNTRUSTED,
            Confidence::Proven,
            "The client does not know the authority that signed the server's certificate: alert 48 (unknown_ca).",
        ),
        (
            Refusal::Hidden
            | Refusal::Told(BAD_CERTIFICATE | UNSUPPORTED_CERTIFICATE | CERTIFICATE_UNKNOWN | ACCESS_DENIED),
            Some(shown),
        ) => match shown.worst() {
            Some(fault) => by_fault(tls, shown, fault, refusal),
            None => hidden(refusal, Some(shown)),
        },
        (Refusal::Told(BAD_CERTIFICATE), None) if by_openssl => Finding::new(
            &CERT_NAME_MISMATCH,
            Confidence::Likely,
            "The client refused the server's certificate with alert 42 (bad_certificate), OpenSSL's word for a \
             certificate that is for another name.",
        )
        .unless(
            "OpenSSL uses the same alert for a certificate whose time has not begun and for keys that are too weak. The \
             certificate itself is encrypted; with keys it would show.",
        ),
        (_, shown) => hidden(refusal, shown.as_ref()),
    };
    let finding = match &shown {
        Some(shown) => finding.evidence(shown.stamp(), Some(Side::Server), "Certificate"),
        None => finding,
    };
    with_grounds(finding, grounds)
}

/// The client left after the server's part, without a word.
pub(super) fn left(session: &Session<'_>, tls: &TlsFacts, at: Stamp, finished: bool, grounds: &[Ground]) -> Finding {
    let shown = Shown::of(session, tls);
    if let Some(shown) = &shown
        && let Some(fault) = shown.worst()
    {
        let finding =
            by_fault(tls, shown, fault, Refusal::Silent).evidence(shown.stamp(), Some(Side::Server), "Certificate");
        return with_grounds(finding, grounds);
    }
    let after = grounds.first().map_or(0, |ground| at.at - ground.stamp.at);
    let when = if finished { "as soon as the TLS handshake was done" } else { "in the middle of the TLS handshake" };
    let seen = if shown.is_some() { "no fault shows in the certificate" } else { "the certificate is encrypted" };
    let finding = Finding::new(
        &CLIENT_LEFT_AFTER_CERTIFICATE,
        Confidence::Possible,
        format!("The client left without a word {} after the server's certificate, {when}; {seen}.", duration(after)),
    );
    with_grounds(finding, grounds)
}

fn by_fault(tls: &TlsFacts, shown: &Shown<'_>, fault: Fault, refusal: Refusal) -> Finding {
    match fault {
        Fault::Time => expired(Some(shown), refusal),
        Fault::SelfSigned | Fault::Lonely => untrusted(shown, refusal),
        Fault::Name => greeting(mismatch(shown, refusal), tls),
        Fault::Interceptor(product) => intercepted(shown, product).severity(Severity::Error),
    }
}

/// Two signs are likely; a refusal that says so and a visible reason are proof.
fn sure(refusal: Refusal) -> Confidence {
    if refusal == Refusal::Silent { Confidence::Likely } else { Confidence::Proven }
}

fn what_it_did(refusal: Refusal) -> &'static str {
    if refusal == Refusal::Silent { "left" } else { "refused it" }
}

/// Adds what else is wrong with the certificate.
fn besides(finding: Finding, shown: &Shown<'_>, fault: Fault) -> Finding {
    match shown.besides(fault) {
        Some(other) => {
            let explanation = format!("{} Besides, {other}.", finding.explanation);
            finding.explanation(explanation)
        }
        None => finding,
    }
}

fn expired(shown: Option<&Shown<'_>>, refusal: Refusal) -> Finding {
    let Some(shown) = shown else {
        return Finding::new(
            &CERT_EXPIRED,
            Confidence::Proven,
            "The client refused the server's certificate because it has expired: alert 45 (certificate_expired).",
        );
    };
    if let Some(when) = shown.out_of_time() {
        // Every client refuses a certificate out of its time: the certificate and the client's leaving are proof.
        let summary =
            format!("The server's certificate for {} {when}, and the client {}.", shown.owner(), what_it_did(refusal));
        let finding = besides(Finding::new(&CERT_EXPIRED, Confidence::Proven, summary), shown, Fault::Time);
        return if shown.is_early() {
            finding.advice(
                "Check the clock of the machine that issued the certificate, and those of server and client: the \
                 certificate becomes valid later. Until then, use the one before it.",
            )
        } else {
            finding
        };
    }
    let summary = match shown.other_out_of_time() {
        Some(_) => {
            "The client refused the server's certificate as expired (alert 45): one that was sent along with it has."
                .to_owned()
        }
        None => format!(
            "The client refused the server's certificate as expired (alert 45), but by the capture's clock it is valid \
             until {}: the client's clock may be wrong.",
            shown.valid_until()
        ),
    };
    Finding::new(&CERT_EXPIRED, Confidence::Likely, summary)
}

fn untrusted(shown: &Shown<'_>, refusal: Refusal) -> Finding {
    let did = what_it_did(refusal);
    if shown.has(Fault::SelfSigned) {
        let summary = format!(
            "The server's certificate for {} is self-signed, and the client {did}: it does not trust it.",
            shown.owner()
        );
        return besides(Finding::new(&CERT_UNTRUSTED, sure(refusal), summary), shown, Fault::SelfSigned);
    }
    if let Some(product) = shown.interceptor() {
        return intercepted(shown, product).severity(Severity::Error);
    }
    if shown.lacks_intermediate() {
        let summary = format!(
            "The server sent its own certificate only, without the intermediate {} that signed it, and the client {did}.",
            shown.issuer()
        );
        return Finding::new(&CHAIN_INCOMPLETE, Confidence::Likely, summary);
    }
    let told = refusal == Refusal::Told(UNKNOWN_CA);
    let confidence = if told { Confidence::Proven } else { Confidence::Likely };
    let summary =
        format!("The client does not trust {}, which signed the server's certificate, and {did}.", shown.issuer());
    let finding = Finding::new(&CERT_UNTRUSTED, confidence, summary);
    if shown.has(Fault::Lonely) {
        let explanation = format!(
            "{} The server sent this one certificate only: if what signed it is no root, an intermediate certificate is \
             missing (WST108).",
            finding.explanation
        );
        return finding.explanation(explanation);
    }
    finding
}

fn mismatch(shown: &Shown<'_>, refusal: Refusal) -> Finding {
    let (wanted, names, did) = (shown.wanted(), shown.names(), what_it_did(refusal));
    if shown.named() {
        let summary =
            format!("The client asked for {wanted}, the server's certificate is for {names}, and the client {did}.");
        let confidence = if shown.name_is_sure() { sure(refusal) } else { Confidence::Likely };
        return Finding::new(&CERT_NAME_MISMATCH, confidence, summary);
    }
    let summary = format!(
        "The client named no server, as one does that connects to an address, and {did}: the certificate is for {names}, \
         not for {wanted}."
    );
    let finding = Finding::new(&CERT_NAME_MISMATCH, Confidence::Likely, summary);
    let explanation = format!(
        "{} The name may also be missing because the client does not send it: then the server could not pick the right \
         certificate (WST109).",
        finding.explanation
    );
    finding.explanation(explanation)
}

fn hidden(refusal: Refusal, shown: Option<&Shown<'_>>) -> Finding {
    let (confidence, summary) = match refusal {
        Refusal::Told(code) => {
            let name = crate::tls::alert::description(code).unwrap_or("unknown");
            let why = match code {
                BAD_CERTIFICATE | CERTIFICATE_UNKNOWN => "which does not say why",
                _ => "and gives no more detail",
            };
            (
                Confidence::Proven,
                format!("The client refused the server's certificate with alert {code} ({name}), {why}."),
            )
        }
        Refusal::Hidden | Refusal::Silent => (
            Confidence::Likely,
            "The client refused what the server showed: it answered with one record of an alert's size and left. What \
             the alert says is encrypted."
                .to_owned(),
        ),
    };
    let finding = Finding::new(&CERT_REJECTED_REASON_HIDDEN, confidence, summary);
    match shown {
        Some(shown) => {
            let explanation = format!(
                "{} The certificate is visible: it is for {}, signed by {}, and its time and name fit.",
                finding.explanation,
                shown.owner(),
                shown.issuer()
            );
            finding.explanation(explanation)
        }
        None => finding,
    }
}

pub(super) fn intercepted(shown: &Shown<'_>, product: &str) -> Finding {
    Finding::new(
        &TLS_INTERCEPTION,
        Confidence::Likely,
        format!("The certificate for {} was made by {product}, which opens the encryption on the way.", shown.owner()),
    )
    .evidence(shown.stamp(), Some(Side::Server), "Certificate")
}
