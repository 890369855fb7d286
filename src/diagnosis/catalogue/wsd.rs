//! Family `WSD`: permessage-deflate (RFC 7692).

use super::Rule;
use crate::diagnosis::finding::Severity;

/// A message is marked as compressed, but compression was never agreed.
pub static RSV1_NOT_NEGOTIATED: Rule = Rule {
    id: "WSD501",
    slug: "rsv1-not-negotiated",
    severity: Severity::Error,
    title: "A message is marked as compressed, but compression was never agreed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The compression mark is on a frame that must not carry it.
pub static RSV1_ON_CONTINUATION_OR_CONTROL: Rule = Rule {
    id: "WSD502",
    slug: "rsv1-on-continuation-or-control",
    severity: Severity::Error,
    title: "The compression mark is on a frame that must not carry it.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A compressed message cannot be decompressed.
pub static INFLATE_FAILED: Rule = Rule {
    id: "WSD503",
    slug: "inflate-failed",
    severity: Severity::Error,
    title: "A compressed message cannot be decompressed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The compression settings in the handshake are not allowed.
pub static ILLEGAL_PARAMETERS: Rule = Rule {
    id: "WSD504",
    slug: "illegal-parameters",
    severity: Severity::Error,
    title: "The compression settings in the handshake are not allowed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A proxy removed the agreement on compression from the server's answer.
pub static PROXY_DROPS_EXTENSION: Rule = Rule {
    id: "WSD505",
    slug: "proxy-drops-extension",
    severity: Severity::Error,
    title: "A proxy removed the agreement on compression from the server's answer.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side kept its compression history although it had agreed not to.
pub static CONTEXT_TAKEOVER_VIOLATION: Rule = Rule {
    id: "WSD506",
    slug: "context-takeover-violation",
    severity: Severity::Error,
    title: "One side kept its compression history although it had agreed not to.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// This looks like the compression bug of Safari 15.
pub static SAFARI_15_DEFLATE: Rule = Rule {
    id: "WSD507",
    slug: "safari-15-deflate",
    severity: Severity::Error,
    title: "This looks like the compression bug of Safari 15.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A message is small on the wire but too big once decompressed.
pub static INFLATED_TOO_BIG: Rule = Rule {
    id: "WSD508",
    slug: "inflated-too-big",
    severity: Severity::Error,
    title: "A message is small on the wire but too big once decompressed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Compression was agreed but no message used it.
pub static NEGOTIATED_UNUSED: Rule = Rule {
    id: "WSD509",
    slug: "negotiated-unused",
    severity: Severity::Info,
    title: "Compression was agreed but no message used it.",
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
