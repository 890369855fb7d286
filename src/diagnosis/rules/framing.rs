//! Framing (RFC 6455 §5) and compression (RFC 7692): what a peer sent that it must not send.

use super::compression;
use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::{Deed, Session, the};
use crate::diagnosis::finding::{CounterCheck, Decision, Finding};
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::stream::Side;
use crate::websocket::{ForeignKind, ViolationKind};

/// So many frames with the same mask are no accident.
const WEAK_MASK_RUN: u32 = 8;

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    // Whoever broke the rules first is the cause; the other may only have repeated it.
    let first = |side: Side| {
        let violations = session.sent(side)?.unusual().violations.first();
        violations.first().map(|violation| violation.stamp)
    };
    let server_first =
        first(Side::Server).is_some_and(|server| first(Side::Client).is_none_or(|client| server < client));
    for side in if server_first { [Side::Server, Side::Client] } else { [Side::Client, Side::Server] } {
        violations(session, side, outcome, candidates);
        foreign_text(session, side, candidates);
        cut(session, side, outcome, candidates);
        habits(session, side, candidates);
    }
}

fn rule_of(kind: ViolationKind) -> (&'static Rule, &'static str) {
    match kind {
        ViolationKind::UnmaskedFromClient => (&CLIENT_UNMASKED, "sent a frame without a mask"),
        ViolationKind::MaskedFromServer => (&SERVER_MASKED, "sent a masked frame"),
        ViolationKind::ReservedBitsSet => (&RSV_BITS, "set reserved bits that nobody agreed on"),
        ViolationKind::Rsv1NotNegotiated => {
            (&compression::RSV1_NOT_NEGOTIATED, "sent a compressed message although compression was not agreed on")
        }
        ViolationKind::Rsv1OnContinuationOrControl => {
            (&compression::RSV1_ON_CONTINUATION_OR_CONTROL, "set RSV1 on a continuation or control frame")
        }
        ViolationKind::ReservedOpcode => (&RESERVED_OPCODE, "sent a frame with a reserved opcode"),
        ViolationKind::FragmentedControl => (&CONTROL_FRAGMENTED, "sent a fragmented control frame"),
        ViolationKind::OversizedControl => (&CONTROL_TOO_LONG, "sent a control frame of more than 125 bytes"),
        ViolationKind::OrphanContinuation => (&ORPHAN_CONTINUATION, "sent a continuation although no message was open"),
        ViolationKind::DataInsideFragmentedMessage => {
            (&INTERLEAVED_DATA, "began a new message inside a fragmented one")
        }
        ViolationKind::NonMinimalLength | ViolationKind::LengthHighBitSet => {
            (&BAD_LENGTH, "sent a frame whose length is not encoded as it must be")
        }
        ViolationKind::InvalidUtf8 => (&INVALID_UTF8, "sent a text message that is not valid UTF-8"),
        ViolationKind::CloseBodyOneByte => (&CLOSE_BODY_1, "sent a Close frame with a body of one byte"),
        ViolationKind::CloseCodeIllegal => {
            (&CLOSE_CODE_ILLEGAL, "sent a Close frame with a code that must never be on the wire")
        }
        ViolationKind::CloseReasonInvalidUtf8 => {
            (&CLOSE_REASON_UTF8, "sent a Close frame whose reason is not valid UTF-8")
        }
        ViolationKind::DataAfterClose | ViolationKind::FrameAfterClose => {
            (&DATA_AFTER_CLOSE, "went on sending after its own Close frame")
        }
        ViolationKind::Desynchronised => (&STREAM_DESYNC, "sent bytes that are no WebSocket frames"),
        ViolationKind::InflateFailed => {
            (&compression::INFLATE_FAILED, "sent a compressed message that cannot be decompressed")
        }
        ViolationKind::ContextTakeoverViolated => {
            (&compression::CONTEXT_TAKEOVER_VIOLATION, "used compression context that it had promised not to use")
        }
    }
}

fn violations(session: &Session<'_>, side: Side, outcome: Outcome, candidates: &mut Candidates) {
    let Some(sent) = session.sent(side) else { return };
    // A failed upgrade is not explained by what the doomed connection carried.
    let failed_later = outcome.is_failure() || !matches!(peer_code(session, side), None | Some(1000 | 1001));
    for (kind, count) in sent.unusual().violations.counts() {
        let Some(first) = sent.unusual().violations.find(kind) else { continue };
        let (rule, deed) = rule_of(kind);
        let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
        let code = match kind {
            ViolationKind::CloseCodeIllegal => format!(": {}", first.detail),
            _ => String::new(),
        };
        let mut finding =
            Finding::new(rule, Confidence::Proven, format!("{} {deed}{code}{times}.", the(side))).party(side);
        if rule == &DATA_AFTER_CLOSE
            && let Some(close) = session.close(side)
        {
            finding = finding.evidence(close.stamp, Some(side), "Close, after which nothing may follow");
        }
        finding = finding.evidence(first.stamp, Some(side), deed);
        if let Some(close) = session.close(side.other())
            && close.stamp > first.stamp
            && let Some(code) = close.code
        {
            finding = finding.evidence(close.stamp, Some(side.other()), format!("the other side closes with {code}"));
        }
        let harmless = kind == ViolationKind::FrameAfterClose;
        if harmless {
            candidates.note(finding.severity(Severity::Info));
        } else if failed_later && outcome != Outcome::UpgradeFailed && rule != &DATA_AFTER_CLOSE {
            candidates.cause(finding);
        } else {
            candidates.note(finding);
        }
    }
}

fn peer_code(session: &Session<'_>, side: Side) -> Option<u16> {
    session.close(side.other()).and_then(|close| close.code)
}

fn foreign_text(session: &Session<'_>, side: Side, candidates: &mut Candidates) {
    let Some(text) = session.sent(side).and_then(|sent| sent.unusual().foreign_text.as_deref()) else { return };
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
        &STREAM_DESYNC,
        Confidence::Proven,
        format!("{} wrote {what} into the WebSocket, where frames belong.", the(side)),
    )
    .party(side)
    .evidence(text.stamp, Some(side), format!("{what} where a frame header is due"));
    if text.after_close {
        candidates.note(finding.severity(Severity::Warning));
    } else {
        candidates.cause(finding);
    }
}

fn cut(session: &Session<'_>, side: Side, outcome: Outcome, candidates: &mut Candidates) {
    if outcome != Outcome::ClosedAbnormal || session.left(side).is_none() {
        return;
    }
    let Some(cut) = session.sent(side).and_then(|sent| sent.unusual().cut_frame) else { return };
    let other_first =
        session.left(side.other()).is_some_and(|(other, _)| session.left(side).is_some_and(|(own, _)| other < own));
    let amount = match cut.declared {
        Some(declared) => format!("{} of {declared} payload bytes were sent", cut.received),
        None => "not even its header is complete".to_owned(),
    };
    let mut finding = Finding::new(
        &CUT_MID_FRAME,
        Confidence::Proven,
        format!("{} ended the connection in the middle of a frame: {amount}.", the(side)),
    )
    .evidence(cut.first, Some(side), "the frame begins")
    .evidence(cut.last, Some(side), "its last byte that came");
    if let Some((left, deed)) = session.left(side) {
        finding.add_evidence(
            left,
            Some(side),
            if deed == Deed::Rst { "RST inside the frame" } else { "FIN inside the frame" },
        );
    }
    let cut_off = if other_first { Decision::Stands } else { Decision::Refuted };
    candidates.cause(finding.party(side)).check(&CUT_OFF, cut_off);
}

fn habits(session: &Session<'_>, side: Side, candidates: &mut Candidates) {
    let Some(sent) = session.sent(side) else { return };
    let stamp = sent.first_frame().unwrap_or(session.tcp().first);
    if side == Side::Client && (sent.masks.longest_run >= WEAK_MASK_RUN || sent.masks.zero >= u64::from(WEAK_MASK_RUN))
    {
        let finding = Finding::new(
            &WEAK_MASK,
            Confidence::Proven,
            "The client masks its frames with a key that can be predicted.",
        );
        candidates.note(finding.evidence(stamp, Some(side), "first frame"));
    }
    if let Some(keepalive) = &sent.keepalive
        && keepalive.mismatched_pongs > 0
        && let Some(pong) = keepalive.last_pong
    {
        let finding = Finding::new(
            &PONG_MISMATCH,
            Confidence::Proven,
            format!("{} sent {} pongs that answer no ping.", the(side), keepalive.mismatched_pongs),
        );
        candidates.note(finding.party(side).evidence(pong, Some(side), "its last pong"));
    }
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &CLIENT_UNMASKED,
    &SERVER_MASKED,
    &RSV_BITS,
    &RESERVED_OPCODE,
    &CONTROL_FRAGMENTED,
    &CONTROL_TOO_LONG,
    &ORPHAN_CONTINUATION,
    &INTERLEAVED_DATA,
    &BAD_LENGTH,
    &INVALID_UTF8,
    &CLOSE_BODY_1,
    &CLOSE_CODE_ILLEGAL,
    &CLOSE_REASON_UTF8,
    &DATA_AFTER_CLOSE,
    &STREAM_DESYNC,
    &MESSAGE_TOO_BIG,
    &WEAK_MASK,
    &PONG_MISMATCH,
    &CUT_MID_FRAME,
    &WRONG_TYPE,
    &TOO_MANY_FRAGMENTS,
];

pub(crate) static CLIENT_UNMASKED: Rule = Rule {
    id: "WSF401",
    slug: "client-unmasked",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Client,
    title: "The client sent data without the mask that every client must apply.",
    explanation: "A client must mix a random mask into everything it sends, and a server must hang up on a client that \
        does not. This client sent data in the clear. It is a fault in the client's library or firmware; often \
        only its pong or its close is affected, so that it works for a while.",
    evidence: "A frame from the client whose mask bit is 0. Proven.",
    unless: "If client and server were confused because the capture began late (WSI001), the sides may be swapped.",
    advice: "Update or repair the client: every frame needs the mask bit and four mask bytes, pong and close \
        included.",
    reports: "node ws server: Invalid WebSocket frame: MASK must be set. The client sees 1002 or 1006.",
    references: &["RFC 6455 §5.1", "RFC 6455 §5.3", "websockets/ws#1771"],
    aliases: &["1002", "1006", "MASK must be set"],
    ..Rule::BASE
};

pub(crate) static SERVER_MASKED: Rule = Rule {
    id: "WSF402",
    slug: "server-masked",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server masked its data, which servers must never do.",
    explanation: "Only clients mask. This server masked what it sent, and clients must hang up on that. Typically a \
        library for small devices uses the same code for both roles.",
    evidence: "A frame from the server whose mask bit is 1. Proven.",
    unless: "If client and server were confused because the capture began late (WSI001), the sides may be swapped.",
    advice: "Update or repair the server's library: frames from the server have the mask bit 0.",
    reports: "Chromium: A server must not mask any frames that it sends to the client. node ws client: Invalid \
        WebSocket frame: MASK must be clear. Browsers report 1006.",
    references: &["RFC 6455 §5.1"],
    aliases: &["1002", "1006", "MASK must be clear", "must not mask"],
    ..Rule::BASE
};

pub(crate) static RSV_BITS: Rule = Rule {
    id: "WSF403",
    slug: "rsv-bits",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "Reserved bits are set that nobody agreed on.",
    explanation: "Each frame has three spare bits that must be 0 unless an extension gives them a meaning. Here one is set \
        and no agreed extension uses it. Either the sender is faulty, or the bytes are not frames at all.",
    evidence: "RSV2 or RSV3 is 1, or RSV1 is 1 without compression. Proven as a fact.",
    unless: "If only RSV1 is set, see WSD501. If the bytes are readable text, see WSF415 and WSH332. If the same \
        bytes were correct at the sender, something on the way damages them (WSP204). After a gap in the capture \
        it is not reported.",
    advice: "Find out which program writes these bytes: two threads writing to the same socket, or a print into the \
        stream, are usual.",
    reports: "Chromium: One or more reserved bits are on. node ws: Invalid WebSocket frame: RSV2 and RSV3 must be \
        clear. The other side closes with 1002.",
    references: &["RFC 6455 §5.2"],
    aliases: &["1002", "1006", "reserved bits", "RSV"],
    ..Rule::BASE
};

pub(crate) static RESERVED_OPCODE: Rule = Rule {
    id: "WSF404",
    slug: "reserved-opcode",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A frame has a type (opcode) that does not exist.",
    explanation: "A frame says what it is by a number between 0 and 15, and only 0, 1, 2, 8, 9 and 10 are defined. This \
        one uses another. The receiver must hang up.",
    evidence: "Opcode 3 to 7 or 11 to 15. Proven as a fact.",
    unless: "If other bits are impossible as well, the bytes are probably no frames (WSF415).",
    advice: "Correct the sender. If it is a device with its own implementation, check that it writes the length \
        correctly: a wrong length makes the next frame start in the wrong place.",
    reports: "Chromium: Unrecognized frame opcode. node ws: Invalid WebSocket frame: invalid opcode. The other side \
        closes with 1002.",
    references: &["RFC 6455 §5.2"],
    aliases: &["1002", "1006", "invalid opcode", "Unrecognized frame opcode"],
    ..Rule::BASE
};

pub(crate) static CONTROL_FRAGMENTED: Rule = Rule {
    id: "WSF405",
    slug: "control-fragmented",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A ping, pong or close frame was split into pieces.",
    explanation: "Ping, pong and close are short signals and must be sent in one piece. This one was sent as the first \
        part of several. The receiver must hang up.",
    evidence: "A frame with opcode 8 or higher and FIN bit 0. Proven.",
    unless: "If other bits are impossible as well, the bytes are probably no frames (WSF415).",
    advice: "Correct the sender: control frames always have the FIN bit.",
    reports: "Chromium: Received fragmented control frame. node ws: Invalid WebSocket frame: FIN must be set. The \
        other side closes with 1002.",
    references: &["RFC 6455 §5.5"],
    aliases: &["1002", "1006", "FIN must be set"],
    ..Rule::BASE
};

pub(crate) static CONTROL_TOO_LONG: Rule = Rule {
    id: "WSF406",
    slug: "control-too-long",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A ping, pong or close frame is longer than 125 bytes.",
    explanation: "Ping, pong and close may carry 125 bytes at most. This one is longer, and the receiver must hang up. \
        With a close it is usually the reason text: it may have 123 bytes, and letters outside ASCII need two to \
        four each.",
    evidence: "A frame with opcode 8 or higher and a length above 125. Proven.",
    unless: "If other bits are impossible as well, the bytes are probably no frames (WSF415).",
    advice: "Shorten the reason or the ping's data.",
    reports: "node ws: Invalid WebSocket frame: invalid payload length. The other side closes with 1002.",
    references: &["RFC 6455 §5.5"],
    aliases: &["1002", "1006", "invalid payload length"],
    ..Rule::BASE
};

pub(crate) static ORPHAN_CONTINUATION: Rule = Rule {
    id: "WSF407",
    slug: "orphan-continuation",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A continuation frame arrived with no message to continue.",
    explanation: "A frame claims to continue a message, but no message is open. The sender lost count, or an earlier frame \
        was lost inside its program.",
    evidence: "Opcode 0 while no message of that direction is unfinished. Proven when the capture is complete up to \
        here.",
    unless: "A gap in the capture (WSI002) or a late start (WSI001) can hide the beginning; then it is not reported.",
    advice: "Correct the sender. Several threads that write parts of messages to one socket need a lock.",
    reports: "Chromium: Received unexpected continuation frame. node ws: Invalid WebSocket frame: invalid opcode 0. \
        The other side closes with 1002.",
    references: &["RFC 6455 §5.4"],
    aliases: &["1002", "1006", "continuation"],
    ..Rule::BASE
};

pub(crate) static INTERLEAVED_DATA: Rule = Rule {
    id: "WSF408",
    slug: "interleaved-data",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A new message was begun before the previous one was finished.",
    explanation: "A message sent in several parts must be finished before the next begins; only ping, pong and close may \
        come in between. Here a new message was started in the middle of another one.",
    evidence: "Opcode 1 or 2 while a message of the same direction is unfinished. Proven when the capture is complete \
        up to here.",
    unless: "A gap in the capture can hide the end of the first message; then it is not reported.",
    advice: "Two threads write to the same socket. Send messages through one queue, or lock around each whole \
        message.",
    reports: "Chromium: Received start of new message but previous message is unfinished. node ws: Invalid WebSocket \
        frame: invalid opcode. The other side closes with 1002.",
    references: &["RFC 6455 §5.4"],
    aliases: &["1002", "1006", "interleaved"],
    ..Rule::BASE
};

pub(crate) static BAD_LENGTH: Rule = Rule {
    id: "WSF409",
    slug: "bad-length",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A frame's length is written in a form that is not allowed.",
    explanation: "A frame's length can be written in three sizes, and the smallest that fits must be used; the largest \
        must not have its top bit set. This frame breaks that, and strict receivers hang up.",
    evidence: "The 16-bit form with a length below 126, the 64-bit form with one below 65536, or the top bit set. \
        Proven.",
    unless: "If other bits are impossible as well, the bytes are probably no frames (WSF415).",
    advice: "Correct the sender's code for the length.",
    reports: "Chromium: Invalid frame header. The other side closes with 1002.",
    references: &["RFC 6455 §5.2"],
    aliases: &["1002", "1006", "Invalid frame header"],
    ..Rule::BASE
};

pub(crate) static INVALID_UTF8: Rule = Rule {
    id: "WSF410",
    slug: "invalid-utf8",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A text message is not valid UTF-8.",
    explanation: "A text message must be valid UTF-8, and this one is not. Usually binary data was sent as text, or the \
        text is in another encoding such as Latin-1. The receiver must close, normally with 1007.",
    evidence: "The whole text message, after joining its parts and decompressing, holds a byte sequence that UTF-8 does \
        not allow. Proven. A character that is split between two parts is allowed.",
    unless: "If parts of the message are missing from the capture, it is not judged.",
    advice: "Send binary data as binary (in the browser: send an ArrayBuffer), and encode text as UTF-8. Switching \
        the check off in the receiver (skipUTF8Validation in node ws) only hides the damage.",
    reports: "Chromium: Could not decode a text frame as UTF-8, and it closes with 1002 while the page sees 1006. node \
        ws: Invalid WebSocket frame: invalid UTF-8 sequence, 1007. Python websockets: 1007 (invalid frame \
        payload data).",
    references: &["RFC 6455 §5.6", "RFC 6455 §8.1"],
    aliases: &["1007", "1002", "1006", "UTF-8"],
    ..Rule::BASE
};

pub(crate) static CLOSE_BODY_1: Rule = Rule {
    id: "WSF411",
    slug: "close-body-1",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The close frame has a body of one byte.",
    explanation: "A close frame is either empty or begins with a code of two bytes. A single byte is neither, and the \
        receiver must treat it as an error.",
    evidence: "A close frame with a body of one byte. Proven.",
    unless: "None while the capture is complete at that place.",
    advice: "Correct the sender.",
    reports: "Chromium: Received a broken close frame containing an invalid size body. The other side closes with \
        1002.",
    references: &["RFC 6455 §5.5.1"],
    aliases: &["1002", "1006"],
    ..Rule::BASE
};

pub(crate) static CLOSE_CODE_ILLEGAL: Rule = Rule {
    id: "WSF412",
    slug: "close-code-illegal",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The close frame carries a code that must never be sent.",
    explanation: "The close frame carries a number that must never be sent. 1005, 1006 and 1015 are words for what a \
        program notices by itself; numbers below 1000 and unassigned ones are not allowed either. A proxy or a \
        library that copies its own report into a frame does this, and some libraries put other bytes in the \
        code's place.",
    evidence: "The code in the frame is not 1000 to 1003, 1007 to 1014 or 3000 to 4999. Proven.",
    unless: "If the bytes after the frame's first byte are readable text, an HTTP answer was written into the stream \
        (WSH332). Code 21584 is the text TP.",
    advice: "Correct the sender: use 1000 for a normal end, 1011 for an error of the server, 4000 to 4999 for codes \
        of your own. A proxy that has no code to pass on should send an empty close.",
    reports: "node ws: Invalid WebSocket frame: invalid status code. Chromium: Received a broken close frame \
        containing a reserved status code. The receiver closes with 1002.",
    references: &["RFC 6455 §7.4.1", "RFC 6455 §7.4.2", "vulcand/oxy#133"],
    aliases: &["1002", "1005", "1006", "1015", "invalid status code"],
    ..Rule::BASE
};

pub(crate) static CLOSE_REASON_UTF8: Rule = Rule {
    id: "WSF413",
    slug: "close-reason-utf8",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The reason in the close frame is not valid UTF-8.",
    explanation: "The reason in a close frame must be valid UTF-8. This one is not: it is in another encoding, or was cut \
        in the middle of a character to fit into 123 bytes.",
    evidence: "The bytes after the code are not valid UTF-8. Proven.",
    unless: "None while the capture is complete at that place.",
    advice: "Encode the reason as UTF-8 and cut it at a character's boundary.",
    reports: "Chromium: Received a broken close frame containing invalid UTF-8. The other side closes with 1007 or \
        1002.",
    references: &["RFC 6455 §5.5.1", "RFC 6455 §8.1"],
    aliases: &["1007", "1002", "1006"],
    ..Rule::BASE
};

pub(crate) static DATA_AFTER_CLOSE: Rule = Rule {
    id: "WSF414",
    slug: "data-after-close",
    severity: Severity::Warning,
    party: Party::Server,
    title: "Data was sent after the sender's own close frame.",
    explanation: "After its close frame a side must not send any more data. This one did. The receiver may ignore it, so \
        the data is lost.",
    evidence: "A data frame or other bytes after a close frame in the same direction. Proven.",
    unless: "The other side may still send until it has answered the close: that is allowed and not reported.",
    advice: "Send everything before the close, or wait until the queue is empty. If an HTTP response follows the \
        close, a framework adds it after the handler's end: harmless for most clients, yet Chromium reports 1006 \
        for it.",
    references: &["RFC 6455 §1.4", "RFC 6455 §5.5.1"],
    aliases: &["1006"],
    ..Rule::BASE
};

pub(crate) static STREAM_DESYNC: Rule = Rule {
    id: "WSF415",
    slug: "stream-desync",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "Bytes that are not WebSocket frames appeared inside the WebSocket.",
    explanation: "Where a frame should begin, other bytes stand, usually readable text. Some program or proxy wrote \
        something into the connection that does not belong there: an HTTP answer, a web page, JSON without a \
        frame, or the chunk sizes of an HTTP body. From there on the receiver understands nothing.",
    evidence: "The bytes at a frame boundary spell HTTP/1., an angle bracket, a curly bracket, or hexadecimal digits \
        and a line end. The text is proven; who wrote it and why is likely.",
    unless: "After a gap in the capture (WSI002) the boundary is uncertain and nothing is reported. A complete HTTP \
        answer is WSH332.",
    advice: "Look for code that writes to the socket beside the WebSocket library. If chunk sizes appear, a proxy \
        treats the WebSocket as an HTTP body: see WSH326 and WSH301.",
    reports: "Chromium: Invalid frame header, or One or more reserved bits are on. node ws: Invalid WebSocket frame. \
        Python websockets: sent 1002 (protocol error). Browsers report 1006.",
    references: &["RFC 6455 §5.2"],
    aliases: &["1002", "1006", "Invalid frame header", "desync"],
    ..Rule::BASE
};

pub(crate) static MESSAGE_TOO_BIG: Rule = Rule {
    id: "WSF416",
    slug: "message-too-big",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Application,
    title: "A message was larger than the receiver allows.",
    explanation: "The receiver got a message that was larger than it accepts, and ended the connection. Most say so with \
        code 1009, some just hang up. Each library has its own limit, and a proxy or a cloud gateway may have \
        another.",
    evidence: "Close 1009 after a large message: proven, and the size is shown. A hang-up without a code right after \
        the largest message so far, above a known limit, is likely.",
    unless: "If larger messages in the same direction passed before, the reason is another one. If the message is \
        small on the wire but compressed, see WSD508.",
    advice: "Send smaller messages, or raise the limit on the receiver:\n\
        \n\
        \x20   node ws:            new WebSocketServer({ maxPayload: 16 * 1024 * 1024 })\n\
        \x20   Python websockets:  serve(handler, host, port, max_size=16 * 2**20)\n\
        \x20   coder/websocket:    conn.SetReadLimit(16 << 20)\n\
        \x20   socket.io:          new Server(http, { maxHttpBufferSize: 16e6 })\n\
        \n\
        Known defaults: Python websockets 1 MiB, coder/websocket 32768 bytes, socket.io 1000000 bytes, Tomcat \
        8192 bytes, node ws 100 MiB, AWS API Gateway 128 KB for a message and 32 KB for a frame.",
    reports: "1009 on the sender's side, while the receiver itself often logs 1006. node ws: Max payload size \
        exceeded. Python websockets: 1009 (message too big).",
    references: &["RFC 6455 §7.4.1", "RFC 6455 §10.4", "spring-projects/spring-boot#47944"],
    aliases: &["1009", "1006", "max payload", "message too big", "maxPayload", "max_size"],
    ..Rule::BASE
};

pub(crate) static WEAK_MASK: Rule = Rule {
    id: "WSF417",
    slug: "weak-mask",
    severity: Severity::Info,
    party: Party::Client,
    title: "The client masks its data with a predictable key.",
    explanation: "A client's mask should be random for every frame. This client always uses the same one, or zeros. It \
        works, but it gives up a protection against attacks on proxies.",
    evidence: "The mask is 0, or is the same in at least 8 frames in a row. Proven.",
    unless: "Test tools and small devices do this knowingly.",
    advice: "Take four new random bytes for each frame. Nothing breaks until then.",
    references: &["RFC 6455 §5.3", "RFC 6455 §10.3"],
    aliases: &["masking key"],
    ..Rule::BASE
};

pub(crate) static PONG_MISMATCH: Rule = Rule {
    id: "WSF418",
    slug: "pong-mismatch",
    severity: Severity::Info,
    party: Party::Server,
    title: "A pong does not carry the data of any ping.",
    explanation: "A pong should repeat the data of the ping it answers. This one has other data. It may be a sign of life \
        sent unasked, which is allowed: .NET did that every 30 seconds up to version 8.",
    evidence: "The pong's data equals that of no ping still open. Proven as a fact.",
    unless: "An empty pong without any ping before it is an unasked sign of life.",
    advice: "Usually nothing. If the other side counts pongs and gives up, let the answer repeat the ping's data \
        exactly.",
    references: &["RFC 6455 §5.5.3", "dotnet/docs#44611"],
    aliases: &["pong"],
    ..Rule::BASE
};

pub(crate) static CUT_MID_FRAME: Rule = Rule {
    id: "WSF419",
    slug: "cut-mid-frame",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The connection died in the middle of a frame.",
    explanation: "The connection ended while a frame was still being sent: its header announced more bytes than came. The \
        sender died or was cut off in the middle of a message, and that message is lost.",
    evidence: "FIN or RST while bytes of a frame are outstanding; announced and received sizes are shown. Proven.",
    unless: "If the bytes are merely missing from the capture (WSI002, WSI005), nothing is reported.",
    advice: "Look for a crash or a kill on the sender's side at that second (WSO802), or for the server behind the \
        proxy (WSO805). Receivers must expect it and ask for the message again.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.2.1"],
    aliases: &["1006", "unexpected EOF"],
    ..Rule::BASE
};

/// Whether the sender was cut off, which is no deed of its own.
static CUT_OFF: CounterCheck = CounterCheck {
    unless: "The other side had ended the connection before.",
    needs: "a capture with the packets of both sides",
};

pub(crate) static WRONG_TYPE: Rule = Rule {
    id: "WSF420",
    slug: "wrong-type",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Application,
    title: "The receiver does not accept this type of message.",
    explanation: "The receiver closed with 1003: it does not take this type of message. Typically it wants text and got \
        binary, or the other way round; MQTT, for example, must be sent as binary.",
    evidence: "Close 1003 after a message of a type (text or binary) that had not been sent before on this connection. \
        Likely.",
    unless: "If the reason text names something else, that counts.",
    advice: "Send the expected type. In the browser, a string goes out as text, an ArrayBuffer or Blob as binary. In \
        Python, str is text and bytes is binary.",
    reports: "1003 (unsupported data).",
    references: &["RFC 6455 §5.6", "RFC 6455 §7.4.1"],
    aliases: &["1003"],
    ..Rule::BASE
};

pub(crate) static TOO_MANY_FRAGMENTS: Rule = Rule {
    id: "WSF421",
    slug: "too-many-fragments",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Application,
    title: "A message was split into more pieces than the receiver allows.",
    explanation: "The receiver closed because a message came in too many pieces. Newer versions of some libraries limit \
        that, as a protection against attacks that use up memory.",
    evidence: "Close 1008 with a reason such as Too many message fragments, or 1008 after a message of very many \
        frames.",
    unless: "1008 with another reason is about another policy (WSC613).",
    advice: "Send fewer and larger frames, or raise the limit (maxFragments in current node ws).",
    reports: "node ws: Too many message fragments, 1008.",
    references: &["RFC 6455 §5.4", "RFC 6455 §7.4.1"],
    aliases: &["1008", "Too many message fragments"],
    ..Rule::BASE
};
