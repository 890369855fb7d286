//! Framing (RFC 6455 §5) and compression (RFC 7692): what a peer sent that it must not send.

use super::case::{Case, the};
use super::catalogue::Rule;
use super::catalogue::{wsd, wsf};
use super::finding::{Confidence, Finding, Severity};
use super::judged::{Explains, Judged};
use super::outcome::Outcome;
use crate::http::Deed;
use crate::stream::Side;
use crate::websocket::{ForeignKind, ViolationKind};

/// So many frames with the same mask are no accident.
const WEAK_MASK_RUN: u32 = 8;
/// So many messages without compression, with compression agreed on, are worth a word.
const UNUSED_AFTER_MESSAGES: u64 = 20;

pub(super) fn judge(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    for side in [Side::Client, Side::Server] {
        violations(case, side, outcome, judged);
        foreign_text(case, side, judged);
        cut(case, side, outcome, judged);
        habits(case, side, judged);
    }
    negotiation(case, outcome, judged);
}

fn rule_of(kind: ViolationKind) -> (&'static Rule, &'static str) {
    match kind {
        ViolationKind::UnmaskedFromClient => (&wsf::CLIENT_UNMASKED, "sent a frame without a mask"),
        ViolationKind::MaskedFromServer => (&wsf::SERVER_MASKED, "sent a masked frame"),
        ViolationKind::ReservedBitsSet => (&wsf::RSV_BITS, "set reserved bits that nobody agreed on"),
        ViolationKind::Rsv1NotNegotiated => {
            (&wsd::RSV1_NOT_NEGOTIATED, "sent a compressed message although compression was not agreed on")
        }
        ViolationKind::Rsv1OnContinuationOrControl => {
            (&wsd::RSV1_ON_CONTINUATION_OR_CONTROL, "set RSV1 on a continuation or control frame")
        }
        ViolationKind::ReservedOpcode => (&wsf::RESERVED_OPCODE, "sent a frame with a reserved opcode"),
        ViolationKind::FragmentedControl => (&wsf::CONTROL_FRAGMENTED, "sent a fragmented control frame"),
        ViolationKind::OversizedControl => (&wsf::CONTROL_TOO_LONG, "sent a control frame of more than 125 bytes"),
        ViolationKind::OrphanContinuation => {
            (&wsf::ORPHAN_CONTINUATION, "sent a continuation although no message was open")
        }
        ViolationKind::DataInsideFragmentedMessage => {
            (&wsf::INTERLEAVED_DATA, "began a new message inside a fragmented one")
        }
        ViolationKind::NonMinimalLength | ViolationKind::LengthHighBitSet => {
            (&wsf::BAD_LENGTH, "sent a frame whose length is not encoded as it must be")
        }
        ViolationKind::InvalidUtf8 => (&wsf::INVALID_UTF8, "sent a text message that is not valid UTF-8"),
        ViolationKind::CloseBodyOneByte => (&wsf::CLOSE_BODY_1, "sent a Close frame with a body of one byte"),
        ViolationKind::CloseCodeIllegal => {
            (&wsf::CLOSE_CODE_ILLEGAL, "sent a Close frame with a code that must never be on the wire")
        }
        ViolationKind::CloseReasonInvalidUtf8 => {
            (&wsf::CLOSE_REASON_UTF8, "sent a Close frame whose reason is not valid UTF-8")
        }
        ViolationKind::DataAfterClose | ViolationKind::FrameAfterClose => {
            (&wsf::DATA_AFTER_CLOSE, "went on sending after its own Close frame")
        }
        ViolationKind::Desynchronised => (&wsf::STREAM_DESYNC, "sent bytes that are no WebSocket frames"),
        ViolationKind::InflateFailed => (&wsd::INFLATE_FAILED, "sent a compressed message that cannot be decompressed"),
        ViolationKind::ContextTakeoverViolated => {
            (&wsd::CONTEXT_TAKEOVER_VIOLATION, "used compression context that it had promised not to use")
        }
    }
}

fn violations(case: &Case<'_>, side: Side, outcome: Outcome, judged: &mut Judged) {
    let Some(sent) = case.sent(side) else { return };
    // A failed upgrade is not explained by what the doomed connection carried.
    let failed_later = outcome.is_failure() || !matches!(peer_code(case, side), None | Some(1000 | 1001));
    for (kind, count) in sent.unusual().violations.counts() {
        let Some(first) = sent.unusual().violations.find(kind) else { continue };
        let (rule, deed) = rule_of(kind);
        let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
        let code = match kind {
            ViolationKind::CloseCodeIllegal => format!(": {}", first.detail),
            _ => String::new(),
        };
        let mut finding = Finding::new(rule, Confidence::Proven, format!("{} {deed}{code}{times}.", the(side)))
            .evidence(first.stamp, Some(side), deed);
        if let Some(close) = case.close(side.other())
            && close.stamp > first.stamp
            && let Some(code) = close.code
        {
            finding = finding.evidence(close.stamp, Some(side.other()), format!("the other side closes with {code}"));
        }
        let harmless = kind == ViolationKind::FrameAfterClose;
        if harmless {
            judged.note(finding.severity(Severity::Info));
        } else if failed_later && outcome != Outcome::UpgradeFailed && rule.id != wsf::DATA_AFTER_CLOSE.id {
            judged.cause(Explains::Deed, finding);
        } else {
            judged.note(finding);
        }
    }
}

fn peer_code(case: &Case<'_>, side: Side) -> Option<u16> {
    case.close(side.other()).and_then(|close| close.code)
}

fn foreign_text(case: &Case<'_>, side: Side, judged: &mut Judged) {
    let Some(text) = case.sent(side).and_then(|sent| sent.unusual().foreign_text.as_deref()) else { return };
    if side == Side::Server && text.kind == ForeignKind::HttpResponse {
        return; // WSH332 says it better.
    }
    let what = match text.kind {
        ForeignKind::HttpResponse | ForeignKind::HttpRequest => "HTTP",
        ForeignKind::Html => "HTML",
        ForeignKind::Json => "bare JSON",
        ForeignKind::ChunkSize => "HTTP chunk sizes",
    };
    let finding = Finding::new(
        &wsf::STREAM_DESYNC,
        Confidence::Proven,
        format!("{} wrote {what} into the WebSocket, where frames belong.", the(side)),
    )
    .evidence(text.stamp, Some(side), format!("{what} where a frame header is due"));
    if text.after_close {
        judged.note(finding.severity(Severity::Warning));
    } else {
        judged.cause(Explains::Deed, finding);
    }
}

fn cut(case: &Case<'_>, side: Side, outcome: Outcome, judged: &mut Judged) {
    if outcome != Outcome::ClosedAbnormal || case.left(side).is_none() {
        return;
    }
    let Some(cut) = case.sent(side).and_then(|sent| sent.unusual().cut_frame) else { return };
    // Being cut off by the other side is not the sender's deed.
    let other_first =
        case.left(side.other()).is_some_and(|(other, _)| case.left(side).is_some_and(|(own, _)| other < own));
    if other_first {
        return;
    }
    let amount = match cut.declared {
        Some(declared) => format!("{} of {declared} payload bytes were sent", cut.received),
        None => "not even its header is complete".to_owned(),
    };
    let finding = Finding::new(
        &wsf::CUT_MID_FRAME,
        Confidence::Proven,
        format!("{} ended the connection in the middle of a frame: {amount}.", the(side)),
    )
    .evidence(cut.first, Some(side), "the frame begins")
    .evidence(cut.last, Some(side), "its last byte that came");
    judged.cause(Explains::Deed, finding);
}

fn habits(case: &Case<'_>, side: Side, judged: &mut Judged) {
    let Some(sent) = case.sent(side) else { return };
    let stamp = sent.first_frame().unwrap_or(case.tcp().first);
    if side == Side::Client && (sent.masks.longest_run >= WEAK_MASK_RUN || sent.masks.zero >= u64::from(WEAK_MASK_RUN))
    {
        let finding = Finding::new(
            &wsf::WEAK_MASK,
            Confidence::Proven,
            "The client masks its frames with a key that can be predicted.",
        );
        judged.note(finding.evidence(stamp, Some(side), "first frame"));
    }
    if let Some(keepalive) = &sent.keepalive
        && keepalive.mismatched_pongs > 0
        && let Some(pong) = keepalive.last_pong
    {
        let finding = Finding::new(
            &wsf::PONG_MISMATCH,
            Confidence::Proven,
            format!("{} sent {} pongs that answer no ping.", the(side), keepalive.mismatched_pongs),
        );
        judged.note(finding.evidence(pong, Some(side), "its last pong"));
    }
}

/// The negotiation of permessage-deflate against RFC 7692 §7, and against what was then done.
fn negotiation(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    let Some(exchange) = case.exchange() else { return };
    let Some(checks) = case.handshake().and_then(|handshake| handshake.response.as_ref()) else { return };
    for violation in &checks.violations {
        if matches!(violation.deed, Deed::ExtensionNotOffered | Deed::ParameterNotOffered) {
            continue;
        }
        let Some(stamp) = (match violation.by {
            Side::Client => exchange.request.as_ref().map(|request| request.head.last),
            Side::Server => exchange.response().map(|response| response.head.last),
        }) else {
            continue;
        };
        let finding = Finding::new(
            &wsd::ILLEGAL_PARAMETERS,
            Confidence::Proven,
            format!("{} negotiates permessage-deflate with parameters that RFC 7692 forbids.", the(violation.by)),
        )
        .evidence(stamp, Some(violation.by), "Sec-WebSocket-Extensions");
        // An offer with faults is to be declined, which is no failure.
        match violation.by {
            Side::Client => judged.note(finding.severity(Severity::Info)),
            // A client must fail the connection on such an answer (RFC 7692 §7.1).
            Side::Server if outcome == Outcome::UpgradeFailed => judged.cause(Explains::Deed, finding),
            Side::Server => judged.note(finding),
        }
    }
    let Some(websocket) = case.websocket() else { return };
    if websocket.deflate.is_some()
        && case.messages() >= UNUSED_AFTER_MESSAGES
        && [Side::Client, Side::Server]
            .iter()
            .all(|side| case.sent(*side).is_some_and(|sent| sent.compression().messages == 0 && sent.whole()))
        && let Some(response) = exchange.response()
    {
        let finding = Finding::new(
            &wsd::NEGOTIATED_UNUSED,
            Confidence::Proven,
            format!("Compression was agreed on, yet none of {} messages used it.", case.messages()),
        );
        judged.note(finding.evidence(response.head.last, Some(Side::Server), "permessage-deflate in the 101"));
    }
}
