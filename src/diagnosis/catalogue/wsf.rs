//! Family `WSF`: framing (RFC 6455 §5).

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The client sent data without the mask that every client must apply.
pub static CLIENT_UNMASKED: Rule = Rule {
    id: "WSF401",
    slug: "client-unmasked",
    severity: Severity::Error,
    title: "The client sent data without the mask that every client must apply.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server masked its data, which servers must never do.
pub static SERVER_MASKED: Rule = Rule {
    id: "WSF402",
    slug: "server-masked",
    severity: Severity::Error,
    title: "The server masked its data, which servers must never do.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Reserved bits are set that nobody agreed on.
pub static RSV_BITS: Rule = Rule {
    id: "WSF403",
    slug: "rsv-bits",
    severity: Severity::Error,
    title: "Reserved bits are set that nobody agreed on.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A frame has a type (opcode) that does not exist.
pub static RESERVED_OPCODE: Rule = Rule {
    id: "WSF404",
    slug: "reserved-opcode",
    severity: Severity::Error,
    title: "A frame has a type (opcode) that does not exist.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A ping, pong or close frame was split into pieces.
pub static CONTROL_FRAGMENTED: Rule = Rule {
    id: "WSF405",
    slug: "control-fragmented",
    severity: Severity::Error,
    title: "A ping, pong or close frame was split into pieces.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A ping, pong or close frame is longer than 125 bytes.
pub static CONTROL_TOO_LONG: Rule = Rule {
    id: "WSF406",
    slug: "control-too-long",
    severity: Severity::Error,
    title: "A ping, pong or close frame is longer than 125 bytes.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A continuation frame arrived with no message to continue.
pub static ORPHAN_CONTINUATION: Rule = Rule {
    id: "WSF407",
    slug: "orphan-continuation",
    severity: Severity::Error,
    title: "A continuation frame arrived with no message to continue.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A new message was begun before the previous one was finished.
pub static INTERLEAVED_DATA: Rule = Rule {
    id: "WSF408",
    slug: "interleaved-data",
    severity: Severity::Error,
    title: "A new message was begun before the previous one was finished.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A frame's length is written in a form that is not allowed.
pub static BAD_LENGTH: Rule = Rule {
    id: "WSF409",
    slug: "bad-length",
    severity: Severity::Error,
    title: "A frame's length is written in a form that is not allowed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A text message is not valid UTF-8.
pub static INVALID_UTF8: Rule = Rule {
    id: "WSF410",
    slug: "invalid-utf8",
    severity: Severity::Error,
    title: "A text message is not valid UTF-8.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The close frame has a body of one byte.
pub static CLOSE_BODY_1: Rule = Rule {
    id: "WSF411",
    slug: "close-body-1",
    severity: Severity::Error,
    title: "The close frame has a body of one byte.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The close frame carries a code that must never be sent.
pub static CLOSE_CODE_ILLEGAL: Rule = Rule {
    id: "WSF412",
    slug: "close-code-illegal",
    severity: Severity::Error,
    title: "The close frame carries a code that must never be sent.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The reason in the close frame is not valid UTF-8.
pub static CLOSE_REASON_UTF8: Rule = Rule {
    id: "WSF413",
    slug: "close-reason-utf8",
    severity: Severity::Error,
    title: "The reason in the close frame is not valid UTF-8.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Data was sent after the sender's own close frame.
pub static DATA_AFTER_CLOSE: Rule = Rule {
    id: "WSF414",
    slug: "data-after-close",
    severity: Severity::Warning,
    title: "Data was sent after the sender's own close frame.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Bytes that are not WebSocket frames appeared inside the WebSocket.
pub static STREAM_DESYNC: Rule = Rule {
    id: "WSF415",
    slug: "stream-desync",
    severity: Severity::Error,
    title: "Bytes that are not WebSocket frames appeared inside the WebSocket.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A message was larger than the receiver allows.
pub static MESSAGE_TOO_BIG: Rule = Rule {
    id: "WSF416",
    slug: "message-too-big",
    severity: Severity::Error,
    title: "A message was larger than the receiver allows.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client masks its data with a predictable key.
pub static WEAK_MASK: Rule = Rule {
    id: "WSF417",
    slug: "weak-mask",
    severity: Severity::Info,
    title: "The client masks its data with a predictable key.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A pong does not carry the data of any ping.
pub static PONG_MISMATCH: Rule = Rule {
    id: "WSF418",
    slug: "pong-mismatch",
    severity: Severity::Info,
    title: "A pong does not carry the data of any ping.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection died in the middle of a frame.
pub static CUT_MID_FRAME: Rule = Rule {
    id: "WSF419",
    slug: "cut-mid-frame",
    severity: Severity::Error,
    title: "The connection died in the middle of a frame.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The receiver does not accept this type of message.
pub static WRONG_TYPE: Rule = Rule {
    id: "WSF420",
    slug: "wrong-type",
    severity: Severity::Error,
    title: "The receiver does not accept this type of message.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A message was split into more pieces than the receiver allows.
pub static TOO_MANY_FRAGMENTS: Rule = Rule {
    id: "WSF421",
    slug: "too-many-fragments",
    severity: Severity::Error,
    title: "A message was split into more pieces than the receiver allows.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] = &[
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
