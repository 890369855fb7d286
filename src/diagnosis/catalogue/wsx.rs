//! Family `WSX`: secrets and security hygiene.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// A token or password is part of the address and ends up in logs.
pub static TOKEN_IN_URL: Rule = Rule {
    id: "WSX901",
    slug: "token-in-url",
    severity: Severity::Warning,
    title: "A token or password is part of the address and ends up in logs.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Credentials travel unencrypted over the network.
pub static CREDENTIALS_OVER_PLAIN_WS: Rule = Rule {
    id: "WSX902",
    slug: "credentials-over-plain-ws",
    severity: Severity::Error,
    title: "Credentials travel unencrypted over the network.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client logs in with a well-known default password.
pub static DEFAULT_CREDENTIALS: Rule = Rule {
    id: "WSX903",
    slug: "default-credentials",
    severity: Severity::Info,
    title: "The client logs in with a well-known default password.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server accepted a browser from another site together with its cookies.
pub static MISSING_ORIGIN_CHECK: Rule = Rule {
    id: "WSX904",
    slug: "missing-origin-check",
    severity: Severity::Info,
    title: "The server accepted a browser from another site together with its cookies.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] = &[&TOKEN_IN_URL, &CREDENTIALS_OVER_PLAIN_WS, &DEFAULT_CREDENTIALS, &MISSING_ORIGIN_CHECK];
