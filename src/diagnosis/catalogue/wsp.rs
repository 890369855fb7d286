//! Family `WSP`: forward proxies, antivirus and other boxes on the path.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The forward proxy demands a login before it lets the connection through.
pub static PROXY_AUTH_REQUIRED: Rule = Rule {
    id: "WSP201",
    slug: "proxy-auth-required",
    severity: Severity::Error,
    title: "The forward proxy demands a login before it lets the connection through.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The forward proxy refused to open the tunnel.
pub static PROXY_REFUSED_CONNECT: Rule = Rule {
    id: "WSP202",
    slug: "proxy-refused-connect",
    severity: Severity::Error,
    title: "The forward proxy refused to open the tunnel.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Something between client and server removed the Upgrade header.
pub static MIDDLEBOX_STRIPPED_UPGRADE: Rule = Rule {
    id: "WSP203",
    slug: "middlebox-stripped-upgrade",
    severity: Severity::Error,
    title: "Something between client and server removed the Upgrade header.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Security software seems to damage WebSocket frames on their way to the client.
pub static ANTIVIRUS_CORRUPTS_FRAMES: Rule = Rule {
    id: "WSP204",
    slug: "antivirus-corrupts-frames",
    severity: Severity::Error,
    title: "Security software seems to damage WebSocket frames on their way to the client.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A login page or block page answered instead of the server.
pub static CAPTIVE_PORTAL: Rule = Rule {
    id: "WSP205",
    slug: "captive-portal",
    severity: Severity::Error,
    title: "A login page or block page answered instead of the server.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client sent the WebSocket request to a forward proxy without asking for a tunnel first.
pub static PROXY_GET_WITHOUT_CONNECT: Rule = Rule {
    id: "WSP206",
    slug: "proxy-get-without-connect",
    severity: Severity::Error,
    title: "The client sent the WebSocket request to a forward proxy without asking for a tunnel first.",
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
    &PROXY_AUTH_REQUIRED,
    &PROXY_REFUSED_CONNECT,
    &MIDDLEBOX_STRIPPED_UPGRADE,
    &ANTIVIRUS_CORRUPTS_FRAMES,
    &CAPTIVE_PORTAL,
    &PROXY_GET_WITHOUT_CONNECT,
];
