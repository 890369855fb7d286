//! Family `WSL`: which leg of a proxied connection broke.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The end came from the server behind the proxy.
pub static BACKEND_FIRST: Rule = Rule {
    id: "WSL951",
    slug: "backend-first",
    severity: Severity::Info,
    title: "The end came from the server behind the proxy.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The end came from the client in front of the proxy.
pub static CLIENT_FIRST: Rule = Rule {
    id: "WSL952",
    slug: "client-first",
    severity: Severity::Info,
    title: "The end came from the client in front of the proxy.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The proxy ended the connection on its own.
pub static PROXY_FIRST: Rule = Rule {
    id: "WSL953",
    slug: "proxy-first",
    severity: Severity::Warning,
    title: "The proxy ended the connection on its own.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The close frame changed or vanished on its way through the proxy.
pub static CLOSE_FRAME_ALTERED: Rule = Rule {
    id: "WSL954",
    slug: "close-frame-altered",
    severity: Severity::Warning,
    title: "The close frame changed or vanished on its way through the proxy.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// This is what the proxy changed in the request or the answer.
pub static HEADER_DIFF: Rule = Rule {
    id: "WSL955",
    slug: "header-diff",
    severity: Severity::Info,
    title: "This is what the proxy changed in the request or the answer.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// This is where the time went: client side, proxy, or server side.
pub static LATENCY_SPLIT: Rule = Rule {
    id: "WSL956",
    slug: "latency-split",
    severity: Severity::Info,
    title: "This is where the time went: client side, proxy, or server side.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] =
    &[&BACKEND_FIRST, &CLIENT_FIRST, &PROXY_FIRST, &CLOSE_FRAME_ALTERED, &HEADER_DIFF, &LATENCY_SPLIT];
