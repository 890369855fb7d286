//! What the capture itself cannot show.

use super::case::Case;
use super::catalogue::wsi::{
    CAPTURE_ENDS_OPEN, CAPTURE_GAP, CAPTURE_STARTS_MID_CONNECTION, ENCRYPTED_WITHOUT_KEYS, ONE_WAY_CAPTURE,
    SNAPLEN_TRUNCATED,
};
use super::finding::{Confidence, Finding};
use super::judged::Judged;
use super::outcome::Outcome;
use crate::stream::Side;
use crate::tcp::Opening;

pub(super) fn judge(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    let tcp = case.tcp();
    if tcp.opening == Opening::MidStream {
        let finding = Finding::new(
            &CAPTURE_STARTS_MID_CONNECTION,
            Confidence::Proven,
            "The capture starts in the middle of this connection: what came before is unknown.",
        );
        judged.note(finding.evidence(tcp.first, None, "first captured packet of the connection; no SYN before it"));
    }
    for side in [Side::Client, Side::Server] {
        let facts = case.side(side);
        if let Some(stamp) = facts.unusual().first_gap
            && facts.unusual().lost_bytes > 0
        {
            let summary = format!(
                "The capture misses {} bytes that the {} sent and the other side received.",
                facts.unusual().lost_bytes,
                side.name()
            );
            let finding = Finding::new(&CAPTURE_GAP, Confidence::Proven, summary);
            judged.note(finding.evidence(stamp, Some(side), "bytes before this packet are missing from the capture"));
        }
        if let Some(stamp) = facts.unusual().first_cut {
            let summary = format!(
                "The snap length cut {} bytes off the packets of the {}.",
                facts.unusual().cut_bytes,
                side.name()
            );
            let finding = Finding::new(&SNAPLEN_TRUNCATED, Confidence::Proven, summary);
            judged.note(finding.evidence(stamp, Some(side), "first packet that was captured only in part"));
        }
    }
    if tcp.one_way() && case.side(Side::Client).packets + case.side(Side::Server).packets > 2 && case.entry.is_some() {
        let finding = Finding::new(
            &ONE_WAY_CAPTURE,
            Confidence::Proven,
            "Only one direction of this connection was captured: who acted first cannot be known.",
        );
        judged.note(finding.evidence(tcp.first, None, "no packet of the other side"));
    }
    if let Some(tls) = case.tls()
        && !tls.decrypted()
        && !tls.decryption.handshake
        && case.entry.is_none()
        && tls.flows.iter().any(|flow| flow.application_records > 0)
        && (outcome != Outcome::TlsFailed || (tls.certificate_hidden() && tls.first_error_alert().is_none()))
    {
        let summary = if outcome == Outcome::TlsFailed {
            "The end of the handshake is encrypted and no usable key was given: certificate and alerts stay hidden."
        } else {
            "The connection is encrypted and no usable key was given: close codes, frames and headers stay hidden."
        };
        let finding = Finding::new(&ENCRYPTED_WITHOUT_KEYS, Confidence::Proven, summary);
        judged.note(finding.evidence(tcp.first, None, "start of the encrypted connection"));
    }
    if outcome == Outcome::Open && case.websocket().is_some() {
        let finding = Finding::new(
            &CAPTURE_ENDS_OPEN,
            Confidence::Proven,
            "The connection was still open when the capture ended.",
        );
        judged.note(finding.evidence(tcp.last, None, "last packet of the connection; no FIN, no RST"));
    }
}
