//! Encrypted connections without keys: is it a WebSocket, and did it end with Close frames?
//!
//! Sizes and times are all there is. What they say is never more than likely, and nothing is made of it but the
//! connection's place in the report.

use crate::diagnosis::case::Case;
use crate::stream::Side;
use crate::tls::keyless::{self, Certainty, Meaning};
use crate::tls::{RecordMark, TlsFacts, Version};

/// Record type of application data.
const APPLICATION_DATA: u8 = 23;
/// Record type of handshake messages.
const HANDSHAKE: u8 = 22;
/// By how many bytes a request's record exceeds that of a Finished message (16 bytes of content).
const REQUEST: u16 = 112;
/// By how many bytes the answer's record does, at least and at most.
const ANSWER: (u16, u16) = (64, 2000);

pub(super) fn looks_like_websocket(case: &Case<'_>) -> bool {
    let Some(tls) = unopened(case) else { return false };
    keyless::websocket(tls).is_some() || short_records(tls)
}

/// Joined after its beginning, with data in both directions: nothing speaks for or against a WebSocket.
pub(super) fn joined_late(case: &Case<'_>) -> bool {
    unopened(case).is_some_and(|tls| tls.mid_stream && tls.flows.iter().all(|flow| flow.application_records > 0))
}

/// Close frames of both sides, then TLS's own goodbye of whoever closed first, on what looks like a WebSocket.
pub(super) fn closed_cleanly(case: &Case<'_>) -> bool {
    let Some(tls) = unopened(case) else { return false };
    let Some(first) = case.tcp().first_closer else { return false };
    let reading = keyless::closing(tls);
    let likely = reading.is_some_and(|reading| {
        reading.meaning == Meaning::CleanWebSocketClose && reading.certainty >= Certainty::Likely
    });
    // A program that hangs up without a Close hangs up without close_notify, too.
    likely && keyless::close_notify(tls, first.sends()).is_some() && looks_like_websocket(case)
}

/// TLS facts of a connection whose inside nobody saw.
fn unopened<'a>(case: &Case<'a>) -> Option<&'a TlsFacts> {
    case.tls().filter(|tls| case.entry.is_none() && !tls.decrypted())
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
            .chain(&client.last)
            .filter(data)
            .any(|record| after(record, answer) && record.length < own)
}
