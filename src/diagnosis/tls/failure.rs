//! How a TLS handshake failed, before anything is said about why: the classification of CATALOGUE 3.3 on facts.
//!
//! What could be read (an alert, bytes that are no TLS) comes first, then what sizes and times of records give
//! away, then the bare silence. Where bytes are missing from the capture, absence is no evidence.

use smallvec::SmallVec;

use super::certificate::Shown;
use super::traffic_analysis;
use crate::diagnosis::context::{Deed, Session};
use crate::stream::{End, Side, Stamp};
use crate::tcp::Unacknowledged;
use crate::tls::traffic_analysis::{self as record_analysis, AT_ONCE, Certainty, Ground, Meaning};
use crate::tls::{Alert, AlertVisibility, ClientHello, NotTls, TlsFacts, Version, alert};

/// A server that has the greeting and says nothing for this long, in nanoseconds, has stalled.
pub(crate) const STALLED: i64 = 5_000_000_000;
/// A client that leaves sooner than this without an answer, in nanoseconds, may have changed its mind.
const PATIENCE: i64 = 1_000_000_000;
/// So many retransmissions without an answer say that a segment does not get through …
const NOT_THROUGH: u32 = 2;
/// … and so many that nothing does.
const PATH_LOST: u32 = 5;
/// Longest protected record in TLS 1.3 that may still be a bare alert, in bytes; Finished is longer.
const LONGEST_ALERT: u16 = 40;
/// access_denied: the certificate is valid, but not wanted. NSS says so of certificates it distrusts.
const ACCESS_DENIED: u8 = 49;

/// How a handshake failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure<'a> {
    /// The server's first bytes are no TLS.
    NotTls(&'a NotTls),
    /// The server ended the connection on the greeting, without a byte.
    HungUp(Stamp, Deed),
    /// A greeting of several segments did not get through whole.
    HelloDropped(Dropped),
    /// Nothing came back any more.
    PathLost(Side, Unacknowledged),
    /// The greeting arrived, and no answer came until then.
    Stalled { since: Stamp, until: Stamp },
    /// An alert that speaks of something else than a certificate.
    Alert(Alert),
    /// The client refused the server's certificate.
    Refused { alert: Option<Alert>, grounds: SmallVec<[Ground; 4]> },
    /// The client left after the server's part.
    Left { at: Stamp, finished: bool, grounds: SmallVec<[Ground; 4]> },
    /// The server wants a certificate of the client's.
    ClientCertificate { alert: Option<Alert>, grounds: SmallVec<[Ground; 4]> },
    /// The same, but the server told the client so inside TLS: the handshake was complete.
    ClientCertificateInside(SmallVec<[Ground; 4]>),
    /// It ended in the middle of the handshake, and more is not known.
    Unfinished,
}

/// What became of a large greeting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dropped {
    /// Its later part was sent again and again, the first part having been acknowledged.
    Tail(Unacknowledged),
    /// All of it was sent again and again.
    Whole(Unacknowledged),
    /// A reset came before the last part.
    Reset(Stamp),
}

impl<'a> Failure<'a> {
    /// How the handshake of this connection failed, if it did.
    pub(crate) fn of(session: &Session<'a>) -> Option<Self> {
        let tls = session.tls()?;
        if session.entry.is_some() || tls.mid_stream {
            return None;
        }
        if let Some(not_tls) = tls.not_tls.as_ref().filter(|not_tls| not_tls.first && not_tls.from == Side::Server) {
            return Some(Failure::NotTls(not_tls));
        }
        if let Some(failure) = told(session, tls) {
            return Some(failure);
        }
        // What was read inside speaks for itself, and it was no failure of TLS.
        if tls.decrypted() {
            return None;
        }
        read(session, tls)
            .unwrap_or_else(|| unread(session, tls))
            .or_else(|| warned(session, tls))
            .or_else(|| traffic_analysis::refused_inside(session, tls).map(Failure::ClientCertificateInside))
    }
}

/// Whether all that is known is that the client left, for reasons of its own perhaps.
pub(crate) fn merely_left(session: &Session<'_>) -> bool {
    let visible = || session.tls().and_then(|tls| Shown::of(session, tls)).is_some_and(|shown| shown.worst().is_some());
    matches!(Failure::of(session), Some(Failure::Left { .. })) && !visible()
}

fn is_error(alert: &Alert) -> bool {
    alert.code.is_some_and(|code| code != alert::CLOSE_NOTIFY && code != alert::USER_CANCELED)
}

/// An alert that complains about the other side's leaving explains nothing (OpenSSL: decode_error on an early FIN).
fn is_echo(session: &Session<'_>, alert: &Alert) -> bool {
    session.left(alert.from.other()).is_some_and(|(left, _)| left < alert.stamp)
}

/// An alert that ended the handshake and could be read.
fn told<'a>(session: &Session<'_>, tls: &TlsFacts) -> Option<Failure<'a>> {
    let fatal =
        tls.alerts.iter().find(|alert| is_error(alert) && alert.level != Some(1) && !is_echo(session, alert))?;
    // Decrypted after application data: no matter of the handshake, unless it is about the client's certificate.
    if tls.decrypted() && fatal.code != Some(alert::CERTIFICATE_REQUIRED) {
        return None;
    }
    Some(classify(tls, *fatal))
}

/// An alert of level warning, when nothing else explains the end.
fn warned<'a>(session: &Session<'_>, tls: &TlsFacts) -> Option<Failure<'a>> {
    let over = tls.flows.iter().any(|flow| matches!(flow.ended, Some((_, End::Fin | End::Rst))));
    let warning = tls.alerts.iter().find(|alert| is_error(alert) && !is_echo(session, alert))?;
    (over && !tls.handshake_complete() && !client_finished(tls)).then(|| classify(tls, *warning))
}

fn classify<'a>(tls: &TlsFacts, seen: Alert) -> Failure<'a> {
    let code = seen.code.unwrap_or_default();
    let about_certificate = alert::is_about_certificate(code) || code == ACCESS_DENIED;
    let ground = Ground { stamp: seen.stamp, from: seen.from, what: alert::description(code).unwrap_or("alert") };
    let grounds = SmallVec::from_slice(&[ground]);
    match seen.from {
        Side::Client if about_certificate => Failure::Refused { alert: Some(seen), grounds },
        Side::Server if wants_certificate(tls, code, about_certificate) => {
            Failure::ClientCertificate { alert: Some(seen), grounds }
        }
        _ => Failure::Alert(seen),
    }
}

/// Whether an alert of the server speaks of the client's certificate.
pub(crate) fn wants_certificate(tls: &TlsFacts, code: u8, about_certificate: bool) -> bool {
    let nothing_shown = tls.client_certificates.as_ref().is_some_and(|chain| chain.sent == 0);
    code == alert::CERTIFICATE_REQUIRED
        || (tls.certificate_request.is_some() && about_certificate)
        || (nothing_shown && code == alert::HANDSHAKE_FAILURE)
}

/// The client got as far as its Finished message: then it accepted what the server showed.
pub(crate) fn client_finished(tls: &TlsFacts) -> bool {
    let client = tls.flow(Side::Client.sends());
    match tls.version() {
        Some(Version::TLS13) => {
            client.finished.is_some()
                || client.first.iter().any(|record| record.kind == 23 && record.length > LONGEST_ALERT)
        }
        _ => client.finished.is_some(),
    }
}

/// What sizes and times give away. `Some(None)`: they say that TLS did not fail.
fn read<'a>(session: &Session<'_>, tls: &TlsFacts) -> Option<Option<Failure<'a>>> {
    let reading = record_analysis::handshake(tls)?;
    let at = reading.grounds.last().map_or(session.tcp().last, |ground| ground.stamp);
    let grounds = reading.grounds;
    let asked = tls.certificate_request.is_some() && tls.client_certificates.is_none();
    Some(match (reading.meaning, reading.certainty) {
        (Meaning::ClientRefusedCertificate(_), _) => Some(Failure::Refused { alert: None, grounds }),
        (Meaning::ClientLeftWhenAskedForCertificate, _) => Some(Failure::ClientCertificate { alert: None, grounds }),
        (Meaning::ClientLeftAfterServerFlight, _) if asked => Some(Failure::ClientCertificate { alert: None, grounds }),
        (Meaning::ClientLeftAfterServerFlight, _) if is_spare(session, tls) => None,
        (Meaning::ClientLeftAfterServerFlight, _) => Some(Failure::Left { at, finished: false, grounds }),
        (Meaning::ClientLeftAfterFinished, _) if is_probe(session, tls) => None,
        (Meaning::ClientLeftAfterFinished, _) => Some(Failure::Left { at, finished: true, grounds }),
        // Without a client Certificate message there was no request for one (RFC 8446 §4.4.2): whatever ended it,
        // it was not that.
        (Meaning::ServerRefusedClient(_), Certainty::Possible) => None,
        (Meaning::ServerRefusedClient(_), _) => Some(Failure::ClientCertificate { alert: None, grounds }),
        (Meaning::EndedAboveTls | Meaning::CleanWebSocketClose | Meaning::LooksLikeWebSocket, _) => None,
    })
}

/// Browsers open connections for pages that they then do not need, and offer h2 on them; when a browser refuses a
/// certificate, it sends an alert.
fn is_spare(session: &Session<'_>, tls: &TlsFacts) -> bool {
    tls.client_hello.as_ref().is_some_and(|hello| hello.offers_alpn("h2"))
        && Shown::of(session, tls).is_none_or(|shown| shown.worst().is_none())
}

/// A client that shakes hands, says goodbye properly and has nothing against what it saw: a probe, a monitor.
fn is_probe(session: &Session<'_>, tls: &TlsFacts) -> bool {
    goodbye(tls).is_some() && Shown::of(session, tls).is_some_and(|shown| shown.worst().is_none())
}

/// Nothing could be read: who left, and when.
fn unread<'a>(session: &Session<'_>, tls: &TlsFacts) -> Option<Failure<'a>> {
    if ![Side::Client, Side::Server].iter().all(|side| session.record_coverage(*side).is_whole()) {
        return None;
    }
    let hello = tls.client_hello.as_ref()?;
    let server = tls.flow(Side::Server.sends());
    if server.records == 0 && server.cut_record.is_none() && tls.not_tls.is_none() {
        return silent(session, hello);
    }
    for side in [Side::Client, Side::Server] {
        if let Some(run) = session.unanswered_run(side)
            && run.retransmissions >= PATH_LOST
            && !client_finished(tls)
        {
            return Some(Failure::PathLost(side, run));
        }
    }
    if let Some(grounds) = traffic_analysis::refused_without_certificate(session, tls) {
        return Some(Failure::ClientCertificate { alert: None, grounds });
    }
    let server_left = session.left(Side::Server);
    let client_left =
        goodbye(tls).map(|stamp| (stamp, Deed::Close)).into_iter().chain(session.left(Side::Client)).min();
    let client_first = match (client_left, server_left) {
        (Some((client, _)), Some((server, _))) => client <= server,
        (client, _) => client.is_some(),
    };
    let flight = match tls.version() {
        Some(Version::TLS13) => server.first.iter().rev().find(|record| record.kind == 23).map(|record| record.stamp),
        _ => tls.server_hello_done,
    };
    if let (Some((at, deed)), true, Some(flight)) = (client_left, client_first, flight)
        && tls.server_hello.is_some()
        && !tls.resumed()
    {
        let finished = client_finished(tls);
        // A client that finished and stayed for a while, or that has spoken, had other reasons to go.
        if finished
            && (is_probe(session, tls)
                || traffic_analysis::client_spoke(tls)
                || hello.offers_alpn("h2")
                || at.at - flight.at > AT_ONCE)
            || is_spare(session, tls)
        {
            return None;
        }
        let what = match deed {
            Deed::Close => "the client says goodbye to TLS",
            Deed::Rst => "the client resets the connection",
            Deed::Fin => "the client closes",
        };
        let shown = Ground { stamp: flight, from: Side::Server, what: "the server's part of the handshake" };
        let left = Ground { stamp: at, from: Side::Client, what };
        let grounds = SmallVec::from_slice(&[shown, left]);
        let asked = tls.certificate_request.is_some() && tls.client_certificates.is_none();
        return Some(if asked && !finished {
            Failure::ClientCertificate { alert: None, grounds }
        } else {
            Failure::Left { at, finished, grounds }
        });
    }
    client_left.or(server_left)?;
    (!client_finished(tls) && !tls.resumed()).then_some(Failure::Unfinished)
}

/// The client's goodbye before any data of its own: an alert that is no error, or in TLS 1.3 what has the size of one.
fn goodbye(tls: &TlsFacts) -> Option<Stamp> {
    let client = tls.flow(Side::Client.sends());
    if tls.version() == Some(Version::TLS13) {
        let last = client.last.last().filter(|last| last.kind == 23 && last.length <= LONGEST_ALERT);
        return last.filter(|_| !traffic_analysis::client_spoke(tls)).map(|last| last.stamp);
    }
    let alert = tls.alerts.iter().find(|alert| alert.from == Side::Client && !is_error(alert))?;
    (client.application_records == 0).then_some(alert.stamp)
}

/// The server never sent a byte.
fn silent<'a>(session: &Session<'_>, hello: &ClientHello) -> Option<Failure<'a>> {
    let server = session.side(Side::Server);
    let complete = hello.completed;
    if let Some(run) = session.side(Side::Client).unusual().unacknowledged
        && run.retransmissions >= NOT_THROUGH
    {
        return match hello.segments {
            0 | 1 if run.retransmissions < PATH_LOST => None,
            0 | 1 => Some(Failure::PathLost(Side::Client, run)),
            _ if run.sent.packet > hello.stamp.packet => Some(Failure::HelloDropped(Dropped::Tail(run))),
            _ => Some(Failure::HelloDropped(Dropped::Whole(run))),
        };
    }
    let (client_left, server_left) = (session.left(Side::Client), session.left(Side::Server));
    let until = match (client_left, server_left) {
        (client, Some((stamp, deed))) if client.is_none_or(|(left, _)| stamp < left) => {
            let early = complete.is_none_or(|complete| stamp.packet < complete.packet);
            return Some(if deed == Deed::Rst && early {
                Failure::HelloDropped(Dropped::Reset(stamp))
            } else {
                Failure::HungUp(stamp, deed)
            });
        }
        (Some((stamp, _)), _) => stamp,
        _ => {
            let ended = session.tls()?.flows.iter().filter_map(|flow| flow.ended).map(|(stamp, _)| stamp).max();
            ended.unwrap_or_default().max(session.tcp().last)
        }
    };
    let since = complete.unwrap_or(hello.stamp);
    let waited = until.at - since.at;
    let acknowledged =
        session.record.tls_in_tunnel || server.last_ack().is_some_and(|ack| ack.packet > hello.stamp.packet);
    let given_up = client_left.is_some() && waited >= PATIENCE;
    (acknowledged && (waited >= STALLED || given_up)).then_some(Failure::Stalled { since, until })
}

/// The alert was written by OpenSSL: no other library sends it unencrypted in TLS 1.3.
pub(crate) fn is_openssl(tls: &TlsFacts, alert: &Alert) -> bool {
    tls.version() == Some(Version::TLS13)
        && alert.from == Side::Client
        && alert.visibility == AlertVisibility::Plaintext
}
