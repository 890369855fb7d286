//! Encrypted connections without keys: is it a WebSocket, and did it end with Close frames?
//!
//! Sizes and times are all there is. What they say is never more than likely, and nothing is made of it but the
//! connection's place in the report.

use crate::diagnosis::context::Session;
use smallvec::SmallVec;

use crate::stream::Side;
use crate::tls::traffic_analysis::{self as record_analysis, Certainty, Ground, Meaning};
use crate::tls::{ClientHello, RecordMark, TlsFacts, Version};

/// Record type of application data.
const APPLICATION_DATA: u8 = 23;
/// Record type of handshake messages.
const HANDSHAKE: u8 = 22;
/// By how many bytes a request's record exceeds that of a Finished message (16 bytes of content).
const REQUEST: u16 = 112;
/// What JSSE (Java) adds to handshake messages and alerts as padding, in bytes (RFC 8446 §5.4).
const JSSE_PADDING: u16 = 16;
/// Longest record of an alert without padding, in bytes.
const SHORT_ALERT: u16 = 19;
/// By how many bytes the answer's record does, at least and at most.
const ANSWER: (u16, u16) = (64, 2000);

pub(crate) fn looks_like_websocket(session: &Session<'_>) -> bool {
    let Some(tls) = unopened(session) else { return false };
    record_analysis::websocket(tls).is_some() || short_records(tls) || http1_after_all(tls) || browsers_wss(tls)
}

/// Chromium, known by its encrypted ClientHello (mostly one without meaning), offers http/1.1 alone for WebSockets and
/// for nothing else. What became of the request is not known.
fn browsers_wss(tls: &TlsFacts) -> bool {
    let alone =
        |hello: &ClientHello| hello.encrypted_client_hello && hello.alpn.len() == 1 && hello.offers_alpn("http/1.1");
    tls.client_hello.as_ref().is_some_and(alone) && tls.server_hello.is_some() && client_spoke(tls)
}

/// Joined after its beginning, with data in both directions: nothing speaks for or against a WebSocket.
pub(crate) fn joined_late(session: &Session<'_>) -> bool {
    unopened(session).is_some_and(|tls| tls.mid_stream && tls.flows.iter().all(|flow| flow.application_records > 0))
}

/// Close frames of both sides, then TLS's own goodbye of whoever closed first, on what looks like a WebSocket.
pub(crate) fn closed_cleanly(session: &Session<'_>) -> bool {
    let Some(tls) = unopened(session) else { return false };
    let Some(first) = session.tcp().first_closer else { return false };
    let reading = record_analysis::closing(tls);
    let likely = reading.is_some_and(|reading| {
        reading.meaning == Meaning::CleanWebSocketClose && reading.certainty >= Certainty::Likely
    });
    // A program that hangs up without a Close hangs up without close_notify, too.
    likely && record_analysis::close_notify(tls, first.sends()).is_some() && looks_like_websocket(session)
}

/// TLS facts of a connection whose inside nobody saw.
fn unopened<'a>(session: &Session<'a>) -> Option<&'a TlsFacts> {
    session.tls().filter(|tls| session.entry.is_none() && !tls.decrypted())
}

/// The same for block ciphers of TLS 1.1 and 1.2, whose padding hides the exact length: a record that is shorter
/// than the sender's Finished holds less than 16 bytes, too little for any request. (In TLS 1.0 every record
/// begins with one of a single byte; it says nothing.)
fn short_records(tls: &TlsFacts) -> bool {
    let Some(hello) = &tls.client_hello else { return false };
    let version = tls.version();
    if !matches!(version, Some(Version::TLS11 | Version::TLS12)) || tls.alpn.as_deref() == Some("h2") {
        return false;
    }
    // Without the server's choice in sight, an offer of h2 leaves open what this is.
    if hello.offers_alpn("h2") && tls.alpn.is_none() {
        return false;
    }
    let [client, server] = [Side::Client, Side::Server].map(|side| tls.flow(side.sends()));
    let finished =
        |records: &[RecordMark]| records.iter().find(|record| record.kind == HANDSHAKE).map(|record| record.length);
    let (Some(own), Some(others)) = (finished(&client.first), finished(&server.first)) else { return false };
    let data = |record: &&RecordMark| record.kind == APPLICATION_DATA;
    let Some(request) = client.first.iter().find(data).filter(|record| record.length >= own.saturating_add(REQUEST))
    else {
        return false;
    };
    let (least, most) = (others.saturating_add(ANSWER.0), others.saturating_add(ANSWER.1));
    let after = |mark: &RecordMark, other: &RecordMark| mark.stamp.packet > other.stamp.packet;
    let Some(answer) = server.first.iter().filter(data).find(|record| after(record, request)) else { return false };
    (least..=most).contains(&answer.length)
        && client
            .first
            .iter()
            .chain(client.last.iter())
            .filter(data)
            .any(|record| after(record, answer) && record.length < own)
}

/// A client that offers h2 for WebSockets as well (Firefox), in TLS 1.3, where the choice is hidden. HTTP/2 gives
/// itself away: its client begins with a preface of 24 bytes and SETTINGS, its server with SETTINGS, and the client
/// acknowledges them with 9 bytes (RFC 9113 §3.4, §6.5).
fn http1_after_all(tls: &TlsFacts) -> bool {
    const SETTINGS_ACK: u16 = 9;
    const LEAST_ANSWER: u16 = 100;
    let Some(hello) = &tls.client_hello else { return false };
    if tls.version() != Some(Version::TLS13) || !hello.offers_alpn("h2") || !hello.offers_alpn("http/1.1") {
        return false;
    }
    let Some(Handshake13 { overhead, rest, .. }) = handshake13(tls) else { return false };
    let content = |record: &RecordMark| record.length.saturating_sub(overhead);
    let Some((request, after)) = rest.split_first() else { return false };
    if content(request) < record_analysis::REQUEST_SIZE
        || after.iter().take(2).any(|record| content(record) == SETTINGS_ACK)
    {
        return false;
    }
    let server = tls.flow(Side::Server.sends());
    let finished = tls.flow(Side::Client.sends()).first.first().map_or(0, |record| record.stamp.packet);
    let mut answers = server.first.iter().filter(|record| record.stamp.packet > finished);
    let Some(answer) = answers.find(|record| record.stamp.packet > request.stamp.packet) else { return false };
    let settings = server
        .first
        .iter()
        .filter(|record| record.stamp.packet > finished)
        .take_while(|record| record.stamp <= answer.stamp);
    if settings.into_iter().any(|record| content(record) < LEAST_ANSWER) || content(answer) > ANSWER.1 {
        return false;
    }
    let short = 6..=record_analysis::TOO_SHORT_FOR_REQUEST;
    let client = tls.flow(Side::Client.sends());
    after.iter().chain(client.last.iter()).any(|record| {
        record.stamp.packet > answer.stamp.packet && record.kind == APPLICATION_DATA && short.contains(&content(record))
    })
}

/// The client's records in TLS 1.3 after its part of the handshake.
struct Handshake13<'a> {
    overhead: u16,
    empty_certificate: Option<&'a RecordMark>,
    rest: &'a [RecordMark],
}

/// Finds the end of the client's handshake by the lengths of its messages (RFC 8446 §4.4): an empty Certificate holds
/// 8 bytes, Finished 4 and the hash.
fn handshake13(tls: &TlsFacts) -> Option<Handshake13<'_>> {
    tls.client_hello.as_ref().filter(|hello| !hello.offers_early_data)?;
    let (hash, overhead) = match tls.cipher_suite()?.0 {
        0x1301 | 0x1303 | 0x1304 => (32, 17),
        0x1302 => (48, 17),
        0x1305 => (32, 9),
        _ => return None,
    };
    let is = |record: &RecordMark, content: u16| {
        let length = content + overhead;
        record.kind == APPLICATION_DATA && (record.length == length || record.length == length + JSSE_PADDING)
    };
    let (finished, empty) = (4 + hash, 8);
    let records = tls.flow(Side::Client.sends()).first.as_slice();
    match records {
        [first, rest @ ..] if is(first, finished) => Some(Handshake13 { overhead, empty_certificate: None, rest }),
        [first, second, rest @ ..] if is(first, empty) && is(second, finished) => {
            Some(Handshake13 { overhead, empty_certificate: Some(first), rest })
        }
        [first, rest @ ..] if is(first, empty + finished) => {
            Some(Handshake13 { overhead, empty_certificate: Some(first), rest })
        }
        _ => None,
    }
}

/// Whether the client sent more than its part of the handshake and a goodbye. Where that cannot be told, it did.
pub(crate) fn client_spoke(tls: &TlsFacts) -> bool {
    let client = tls.flow(Side::Client.sends());
    if tls.version() != Some(Version::TLS13) {
        return client.application_records > 0;
    }
    if client.first.iter().all(|record| record.length <= JSSE_PADDING + SHORT_ALERT) {
        return client.first.len() > 1;
    }
    let is_alert =
        |record: &RecordMark, overhead: u16| [2, 2 + JSSE_PADDING].contains(&record.length.saturating_sub(overhead));
    handshake13(tls).is_none_or(|Handshake13 { overhead, rest, .. }| {
        rest.len() > 1 || rest.iter().any(|record| !is_alert(record, overhead))
    })
}

/// The server asked for a certificate, got an empty one, and ended the connection with no more than an alert.
pub(crate) fn refused_without_certificate(session: &Session<'_>, tls: &TlsFacts) -> Option<SmallVec<[Ground; 4]>> {
    if tls.version() != Some(Version::TLS13) || session.tcp().first_closer != Some(Side::Server) {
        return None;
    }
    let Handshake13 { overhead, empty_certificate, .. } = handshake13(tls)?;
    let empty = empty_certificate?.stamp;
    let server = tls.flow(Side::Server.sends());
    let mut later = server.first.iter().filter(|record| record.stamp.packet > empty.packet);
    let (alert, more) = (later.next()?, later.next());
    let (ended, _) = session.left(Side::Server)?;
    let is_alert = [2, 2 + JSSE_PADDING].contains(&alert.length.saturating_sub(overhead));
    (is_alert && more.is_none() && ended.at - alert.stamp.at <= record_analysis::AT_ONCE).then(|| {
        SmallVec::from_slice(&[
            Ground { stamp: empty, from: Side::Client, what: "a record of the length of an empty client certificate" },
            Ground { stamp: alert.stamp, from: Side::Server, what: "a record of an alert's length, and nothing else" },
            Ground { stamp: ended, from: Side::Server, what: "the server ends the connection" },
        ])
    })
}

/// The server asked for a certificate and got an empty one; then one request, an answer, and the server's end at
/// once. nginx refuses in this way, with a 400 inside TLS.
pub(crate) fn refused_inside(session: &Session<'_>, tls: &TlsFacts) -> Option<SmallVec<[Ground; 4]>> {
    let hello = tls.client_hello.as_ref()?;
    let complete = tls.flows.iter().all(|flow| flow.missing_bytes == 0);
    if !complete
        || hello.offers_alpn("h2")
        || session.tcp().first_closer != Some(Side::Server)
        || looks_like_websocket(session)
    {
        return None;
    }
    let client = tls.flow(Side::Client.sends());
    let (empty, request, more) = if tls.version() == Some(Version::TLS13) {
        let Handshake13 { overhead, empty_certificate, rest } = handshake13(tls)?;
        let (request, more) = rest.split_first()?;
        let long = request.length.saturating_sub(overhead) >= record_analysis::REQUEST_SIZE;
        let empty = empty_certificate.filter(|_| long)?.stamp;
        (empty, request, more.iter().any(|record| record.length > overhead + 2))
    } else {
        let empty = tls.client_certificates.as_ref().filter(|chain| chain.sent == 0)?.stamp;
        let mut data = client.first.iter().filter(|record| record.kind == APPLICATION_DATA);
        (empty, data.next()?, data.next().is_some())
    };
    let server = tls.flow(Side::Server.sends());
    let answer = server
        .first
        .iter()
        .find(|record| record.kind == APPLICATION_DATA && record.stamp.packet > request.stamp.packet)?;
    let (ended, _) = session.left(Side::Server)?;
    if more || ended.at - request.stamp.at > record_analysis::AT_ONCE {
        return None;
    }
    Some(SmallVec::from_slice(&[
        Ground { stamp: empty, from: Side::Client, what: "an empty client certificate" },
        Ground { stamp: request.stamp, from: Side::Client, what: "a record of a request's size" },
        Ground { stamp: answer.stamp, from: Side::Server, what: "an answer" },
        Ground { stamp: ended, from: Side::Server, what: "the server ends the connection at once" },
    ]))
}
