//! Family `WSC`: the closing handshake and close codes (RFC 6455 §7).

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The connection was closed properly by both sides.
pub static CLEAN_CLOSE: Rule = Rule {
    id: "WSC601",
    slug: "clean-close",
    severity: Severity::Info,
    title: "The connection was closed properly by both sides.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection was closed properly, but without saying why (1005).
pub static CLOSE_NO_STATUS: Rule = Rule {
    id: "WSC602",
    slug: "close-no-status",
    severity: Severity::Warning,
    title: "The connection was closed properly, but without saying why (1005).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection ended without the WebSocket goodbye (1006).
pub static ABNORMAL_CLOSE: Rule = Rule {
    id: "WSC603",
    slug: "abnormal-close",
    severity: Severity::Error,
    title: "The connection ended without the WebSocket goodbye (1006).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side said goodbye and got no reply.
pub static CLOSE_TIMEOUT: Rule = Rule {
    id: "WSC604",
    slug: "close-timeout",
    severity: Severity::Warning,
    title: "One side said goodbye and got no reply.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// After a proper goodbye the server left it to the client to hang up.
pub static SERVER_KEPT_TCP_OPEN: Rule = Rule {
    id: "WSC605",
    slug: "server-kept-tcp-open",
    severity: Severity::Info,
    title: "After a proper goodbye the server left it to the client to hang up.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// After a proper goodbye the client hung up first.
pub static CLIENT_CLOSED_TCP_FIRST: Rule = Rule {
    id: "WSC606",
    slug: "client-closed-tcp-first",
    severity: Severity::Info,
    title: "After a proper goodbye the client hung up first.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Both sides said goodbye at the same moment.
pub static SIMULTANEOUS_CLOSE: Rule = Rule {
    id: "WSC607",
    slug: "simultaneous-close",
    severity: Severity::Info,
    title: "Both sides said goodbye at the same moment.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The goodbye was said, but the connection then ended with a reset.
pub static RST_AFTER_CLOSE: Rule = Rule {
    id: "WSC608",
    slug: "rst-after-close",
    severity: Severity::Warning,
    title: "The goodbye was said, but the connection then ended with a reset.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side stopped sending while the other went on.
pub static HALF_CLOSE: Rule = Rule {
    id: "WSC609",
    slug: "half-close",
    severity: Severity::Warning,
    title: "One side stopped sending while the other went on.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side is leaving: a page was closed or a server is stopping (1001).
pub static GOING_AWAY: Rule = Rule {
    id: "WSC610",
    slug: "going-away",
    severity: Severity::Info,
    title: "One side is leaving: a page was closed or a server is stopping (1001).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side says the other broke the WebSocket rules (1002).
pub static PROTOCOL_ERROR: Rule = Rule {
    id: "WSC611",
    slug: "protocol-error",
    severity: Severity::Error,
    title: "One side says the other broke the WebSocket rules (1002).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side could not use the data it received (1003 or 1007).
pub static UNSUPPORTED_OR_INVALID: Rule = Rule {
    id: "WSC612",
    slug: "unsupported-or-invalid",
    severity: Severity::Error,
    title: "One side could not use the data it received (1003 or 1007).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side closed because a policy was violated (1008).
pub static POLICY: Rule = Rule {
    id: "WSC613",
    slug: "policy",
    severity: Severity::Error,
    title: "One side closed because a policy was violated (1008).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side closed because a message was too big (1009).
pub static TOO_BIG: Rule = Rule {
    id: "WSC614",
    slug: "too-big",
    severity: Severity::Error,
    title: "One side closed because a message was too big (1009).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client closed because the server did not agree to an extension it needs (1010).
pub static MANDATORY_EXT: Rule = Rule {
    id: "WSC615",
    slug: "mandatory-ext",
    severity: Severity::Error,
    title: "The client closed because the server did not agree to an extension it needs (1010).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side closed because of an internal error (1011).
pub static INTERNAL_ERROR: Rule = Rule {
    id: "WSC616",
    slug: "internal-error",
    severity: Severity::Error,
    title: "One side closed because of an internal error (1011).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server is restarting (1012).
pub static SERVICE_RESTART: Rule = Rule {
    id: "WSC617",
    slug: "service-restart",
    severity: Severity::Info,
    title: "The server is restarting (1012).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server is overloaded and asks the client to try again later (1013).
pub static TRY_LATER: Rule = Rule {
    id: "WSC618",
    slug: "try-later",
    severity: Severity::Warning,
    title: "The server is overloaded and asks the client to try again later (1013).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A gateway got an invalid answer from the server behind it (1014).
pub static BAD_GATEWAY: Rule = Rule {
    id: "WSC619",
    slug: "bad-gateway",
    severity: Severity::Error,
    title: "A gateway got an invalid answer from the server behind it (1014).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection was closed with a code from the range for libraries and frameworks (3000 to 3999).
pub static REGISTERED_CODE: Rule = Rule {
    id: "WSC620",
    slug: "registered-code",
    severity: Severity::Info,
    title: "The connection was closed with a code from the range for libraries and frameworks (3000 to 3999).",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection was closed with a code that only the application can explain (4000 to 4999).
pub static PRIVATE_CODE: Rule = Rule {
    id: "WSC621",
    slug: "private-code",
    severity: Severity::Info,
    title: "The connection was closed with a code that only the application can explain (4000 to 4999).",
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
    &CLEAN_CLOSE,
    &CLOSE_NO_STATUS,
    &ABNORMAL_CLOSE,
    &CLOSE_TIMEOUT,
    &SERVER_KEPT_TCP_OPEN,
    &CLIENT_CLOSED_TCP_FIRST,
    &SIMULTANEOUS_CLOSE,
    &RST_AFTER_CLOSE,
    &HALF_CLOSE,
    &GOING_AWAY,
    &PROTOCOL_ERROR,
    &UNSUPPORTED_OR_INVALID,
    &POLICY,
    &TOO_BIG,
    &MANDATORY_EXT,
    &INTERNAL_ERROR,
    &SERVICE_RESTART,
    &TRY_LATER,
    &BAD_GATEWAY,
    &REGISTERED_CODE,
    &PRIVATE_CODE,
];
