//! Compression (RFC 7692 §7): what was negotiated, and what was then done. What single frames do wrong is found by
//! [`framing`](super::framing), with the rules that stand here.

use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::{Session, the};
use crate::diagnosis::finding::Finding;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::http::Deed;
use crate::stream::Side;

/// So many messages without compression, with compression agreed on, are worth a word.
const UNUSED_AFTER_MESSAGES: u64 = 20;

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    let Some(exchange) = session.exchange() else { return };
    let Some(checks) = session.handshake().and_then(|handshake| handshake.response.as_ref()) else { return };
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
            &ILLEGAL_PARAMETERS,
            Confidence::Proven,
            format!("{} negotiates permessage-deflate with parameters that RFC 7692 forbids.", the(violation.by)),
        )
        .party(violation.by)
        .evidence(stamp, Some(violation.by), "Sec-WebSocket-Extensions");
        match violation.by {
            // An offer with faults is to be declined, which is no failure.
            Side::Client => candidates.note(finding.severity(Severity::Info)),
            // A client must fail the connection on such an answer (RFC 7692 §7.1).
            Side::Server if outcome == Outcome::UpgradeFailed => candidates.cause(finding),
            Side::Server => candidates.note(finding),
        };
    }
    let Some(websocket) = session.websocket() else { return };
    if websocket.deflate.is_some()
        && session.messages() >= UNUSED_AFTER_MESSAGES
        && [Side::Client, Side::Server]
            .iter()
            .all(|side| session.sent(*side).is_some_and(|sent| sent.compression().messages == 0 && sent.whole()))
        && let Some(response) = exchange.response()
    {
        let finding = Finding::new(
            &NEGOTIATED_UNUSED,
            Confidence::Proven,
            format!("Compression was agreed on, yet none of {} messages used it.", session.messages()),
        );
        candidates.note(finding.evidence(response.head.last, Some(Side::Server), "permessage-deflate in the 101"));
    }
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &RSV1_NOT_NEGOTIATED,
    &RSV1_ON_CONTINUATION_OR_CONTROL,
    &INFLATE_FAILED,
    &ILLEGAL_PARAMETERS,
    &PROXY_DROPS_EXTENSION,
    &CONTEXT_TAKEOVER_VIOLATION,
    &SAFARI_15_DEFLATE,
    &INFLATED_TOO_BIG,
    &NEGOTIATED_UNUSED,
];

pub(crate) static RSV1_NOT_NEGOTIATED: Rule = Rule {
    id: "WSD501",
    slug: "rsv1-not-negotiated",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A message is marked as compressed, but compression was never agreed.",
    explanation: "A message is marked as compressed, but in the handshake the two sides did not agree on compression. The \
        receiver cannot know how to read it and must hang up.",
    evidence: "The bit RSV1 is set on a data frame, and the captured 101 has no permessage-deflate. Proven.",
    unless: "If the handshake is not in the capture (WSI001), it is not reported. If the server's own 101 has the \
        extension and the client's has not, a proxy removed it (WSD505).",
    advice: "Correct the sender: it may compress only when the 101 names permessage-deflate. For a test, switch \
        compression off: perMessageDeflate: false in node ws, compression=None in Python websockets.",
    reports: "node ws: Invalid WebSocket frame: RSV1 must be clear. Chromium: One or more reserved bits are on: \
        reserved1 = 1. The other side closes with 1002.",
    references: &["RFC 7692 §6", "RFC 6455 §5.2"],
    aliases: &["1002", "1006", "RSV1 must be clear", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static RSV1_ON_CONTINUATION_OR_CONTROL: Rule = Rule {
    id: "WSD502",
    slug: "rsv1-on-continuation-or-control",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The compression mark is on a frame that must not carry it.",
    explanation: "The mark for compression belongs on the first frame of a message only. Here it is on a later part, or on \
        a ping, pong or close, which are never compressed.",
    evidence: "The bit RSV1 is set on a continuation frame or a control frame. Proven.",
    unless: "If other bits are impossible as well, the bytes are probably no frames (WSF415).",
    advice: "Update the sender's library, or switch compression off until then.",
    reports: "node ws: Invalid WebSocket frame: RSV1 must be clear. The other side closes with 1002.",
    references: &["RFC 7692 §6.1"],
    aliases: &["1002", "1006", "RSV1", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static INFLATE_FAILED: Rule = Rule {
    id: "WSD503",
    slug: "inflate-failed",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "A compressed message cannot be decompressed.",
    explanation: "A compressed message turned out to be damaged: it cannot be unpacked. Usually the two sides disagree \
        about what they remember from earlier messages, or something changed the bytes.",
    evidence: "Unpacking fails although every earlier byte of that direction was captured. Proven. With a single byte \
        missing it is not reported, because then the tool and not the sender may be the reason.",
    unless: "If the capture starts late or has gaps, nothing is said.",
    advice: "Switch compression off for a test. If that helps, look for a proxy or a library with a known fault, and \
        compare the parameters in the two handshakes in front of the proxy and behind it.",
    reports: "1007 or 1002, or an error from zlib such as invalid distance too far back.",
    references: &["RFC 7692 §7.2.2"],
    aliases: &["1007", "1002", "1006", "zlib", "inflate", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static ILLEGAL_PARAMETERS: Rule = Rule {
    id: "WSD504",
    role: Role::Cause(Specificity::Deed),
    slug: "illegal-parameters",
    severity: Severity::Error,
    party: Party::Server,
    title: "The compression settings in the handshake are not allowed.",
    explanation: "In the handshake one side used a setting for compression that does not exist, has an impossible value, \
        appears twice, or was never offered. A server has to decline such an offer, and a client has to fail on \
        such an answer.",
    evidence: "An unknown or repeated parameter of permessage-deflate, a window size outside 8 to 15 or with a leading \
        zero, or client_max_window_bits in the answer without being offered. Proven.",
    unless: "If the server simply leaves out the extension, it declined correctly and nothing is wrong.",
    advice: "Correct the parameters or leave them out: permessage-deflate alone is a good offer.",
    reports: "node ws: Invalid or unacceptable Sec-WebSocket-Extensions header. Chromium: Error during WebSocket \
        handshake, with the parameter. Close code 1006.",
    references: &["RFC 7692 §7.1", "RFC 7692 §5.1"],
    aliases: &["1006", "1010", "client_max_window_bits", "server_max_window_bits", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static PROXY_DROPS_EXTENSION: Rule = Rule {
    id: "WSD505",
    slug: "proxy-drops-extension",
    severity: Severity::Error,
    party: Party::Proxy,
    detected: false,
    title: "A proxy removed the agreement on compression from the server's answer.",
    explanation: "Behind the proxy, the server agreed to compression. In front of it, the client was told nothing of that. \
        The server then sends compressed messages, and the client cannot read them.",
    evidence: "The 101 behind the proxy has permessage-deflate, the 101 in front has not. Proven with both connections.",
    unless: "If the server's own 101 has no extension, see WSD501.",
    advice: "Let the proxy remove the offer from the request, so that the server does not agree. nginx:\n\
        \n\
        \x20   proxy_set_header Sec-WebSocket-Extensions \"\";\n\
        \n\
        Or switch compression off in the server: perMessageDeflate: false in node ws, and \
        ws_per_message_deflate=False in uvicorn.",
    reports: "Chromium: One or more reserved bits are on. node ws: RSV1 must be clear. Browsers report 1006.",
    references: &["RFC 6455 §9.1", "RFC 7692 §5"],
    aliases: &["1002", "1006", "ARR", "IIS", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static CONTEXT_TAKEOVER_VIOLATION: Rule = Rule {
    id: "WSD506",
    slug: "context-takeover-violation",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "One side kept its compression history although it had agreed not to.",
    explanation: "The two sides agreed that every message is compressed on its own. This message nevertheless refers back \
        to earlier ones. A receiver that has forgotten them, as agreed, cannot unpack it.",
    evidence: "no_context_takeover was agreed for that direction, and the message refers to data before its own \
        beginning. Proven.",
    unless: "None when handshake and message are complete.",
    advice: "Update the sender's library, or do not ask for no_context_takeover.",
    reports: "1007, 1002 or an error from zlib: invalid distance too far back.",
    references: &["RFC 7692 §7.1.1", "RFC 7692 §7.2.1"],
    aliases: &["1007", "1002", "1006", "no_context_takeover", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static SAFARI_15_DEFLATE: Rule = Rule {
    id: "WSD507",
    slug: "safari-15-deflate",
    severity: Severity::Error,
    party: Party::Client,
    detected: false,
    title: "This looks like the compression bug of Safari 15.",
    explanation: "Safari 15.0 to 15.3, and apps on iOS 15 that use the system's WebSocket, had a fault with compressed \
        messages that are large or sent in parts. This client names such a version and left after such a \
        message.",
    evidence: "The request's User-Agent names Safari 15.0 to 15.3 or iOS 15, compression is agreed, and the client \
        closes or hangs up right after a fragmented or large compressed message. Likely.",
    unless: "Safari 15.4 and later do not have the fault.",
    advice: "Do not agree to compression for these versions, or update the client.",
    reports: "The operation couldn't be completed. (kNWErrorDomainPOSIX error 100 - Protocol error)",
    references: &["uNetworking/uWebSockets#1347", "gorilla/websocket#731"],
    aliases: &["1002", "1006", "Safari", "iOS 15", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static INFLATED_TOO_BIG: Rule = Rule {
    id: "WSD508",
    slug: "inflated-too-big",
    severity: Severity::Error,
    party: Party::Application,
    detected: false,
    title: "A message is small on the wire but too big once decompressed.",
    explanation: "The receiver closed with 1009, too big, although the message was small on the wire. Limits count the \
        unpacked size, and compressed data can grow a hundredfold.",
    evidence: "Close 1009 after a compressed message whose size on the wire is below the limit; both sizes are shown \
        when the message can be unpacked. Proven or likely.",
    unless: "If the size on the wire is above the limit as well, see WSF416.",
    advice: "Raise the receiver's limit (see WSF416), send smaller messages, or do not compress this kind of data.",
    reports: "1009. node ws: Max payload size exceeded.",
    references: &["RFC 7692 §8", "RFC 6455 §10.4"],
    aliases: &["1009", "decompression bomb", "permessage-deflate"],
    ..Rule::BASE
};

pub(crate) static NEGOTIATED_UNUSED: Rule = Rule {
    id: "WSD509",
    slug: "negotiated-unused",
    severity: Severity::Info,
    party: Party::Server,
    title: "Compression was agreed but no message used it.",
    explanation: "Compression was agreed, and no message made use of it. Many libraries compress only messages above a \
        certain size, node ws for example from 1024 bytes on. Nothing is wrong.",
    evidence: "permessage-deflate in the 101 and no frame with RSV1 on the whole connection. Proven.",
    unless: "A client that insists that every message is compressed is wrong: single messages may be sent as they \
        are.",
    advice: "Nothing. If memory is scarce, do not offer compression: each connection then needs less.",
    references: &["RFC 7692 §6"],
    aliases: &["permessage-deflate", "threshold"],
    ..Rule::BASE
};
