//! Family `WSI`: capture quality: what the capture cannot tell.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The capture begins in the middle of this connection.
pub static CAPTURE_STARTS_MID_CONNECTION: Rule = Rule {
    id: "WSI001",
    slug: "capture-starts-mid-connection",
    severity: Severity::Info,
    title: "The capture begins in the middle of this connection.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The capture is missing packets that the two sides did receive.
pub static CAPTURE_GAP: Rule = Rule {
    id: "WSI002",
    slug: "capture-gap",
    severity: Severity::Info,
    title: "The capture is missing packets that the two sides did receive.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Only one side of the conversation was captured.
pub static ONE_WAY_CAPTURE: Rule = Rule {
    id: "WSI003",
    slug: "one-way-capture",
    severity: Severity::Info,
    title: "Only one side of the conversation was captured.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection is encrypted and no keys were given, so its contents stay unknown.
pub static ENCRYPTED_WITHOUT_KEYS: Rule = Rule {
    id: "WSI004",
    slug: "encrypted-without-keys",
    severity: Severity::Info,
    title: "The connection is encrypted and no keys were given, so its contents stay unknown.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The capture kept only the first part of each packet.
pub static SNAPLEN_TRUNCATED: Rule = Rule {
    id: "WSI005",
    slug: "snaplen-truncated",
    severity: Severity::Info,
    title: "The capture kept only the first part of each packet.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Oversized packets and wrong checksums come from the capturing machine, not from the network.
pub static OFFLOAD_ARTEFACTS: Rule = Rule {
    id: "WSI006",
    slug: "offload-artefacts",
    severity: Severity::Info,
    title: "Oversized packets and wrong checksums come from the capturing machine, not from the network.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection was still open when the capture ended.
pub static CAPTURE_ENDS_OPEN: Rule = Rule {
    id: "WSI007",
    slug: "capture-ends-open",
    severity: Severity::Info,
    title: "The connection was still open when the capture ended.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// This is where on the path the capture was taken.
pub static VANTAGE: Rule = Rule {
    id: "WSI008",
    slug: "vantage",
    severity: Severity::Info,
    title: "This is where on the path the capture was taken.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The capture holds no packet of the connection that was reported as failed.
pub static NO_PACKETS_FOR_REPORTED_FAILURE: Rule = Rule {
    id: "WSI009",
    slug: "no-packets-for-reported-failure",
    severity: Severity::Info,
    title: "The capture holds no packet of the connection that was reported as failed.",
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
    &CAPTURE_STARTS_MID_CONNECTION,
    &CAPTURE_GAP,
    &ONE_WAY_CAPTURE,
    &ENCRYPTED_WITHOUT_KEYS,
    &SNAPLEN_TRUNCATED,
    &OFFLOAD_ARTEFACTS,
    &CAPTURE_ENDS_OPEN,
    &VANTAGE,
    &NO_PACKETS_FOR_REPORTED_FAILURE,
];
