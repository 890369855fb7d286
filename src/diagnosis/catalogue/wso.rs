//! Family `WSO`: operations: deploys, crashes, overload.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// Many connections to one server ended together.
pub static MASS_CLOSE: Rule = Rule {
    id: "WSO801",
    slug: "mass-close",
    severity: Severity::Warning,
    title: "Many connections to one server ended together.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server program seems to have died.
pub static PROCESS_CRASH: Rule = Rule {
    id: "WSO802",
    slug: "process-crash",
    severity: Severity::Error,
    title: "The server program seems to have died.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A proxy seems to have reloaded its configuration and dropped its old connections.
pub static PROXY_RELOAD: Rule = Rule {
    id: "WSO803",
    slug: "proxy-reload",
    severity: Severity::Warning,
    title: "A proxy seems to have reloaded its configuration and dropped its old connections.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server's machine is gone.
pub static HOST_DOWN: Rule = Rule {
    id: "WSO804",
    slug: "host-down",
    severity: Severity::Error,
    title: "The server's machine is gone.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server behind the proxy died, and the proxy passed it on as an ordinary hang-up.
pub static BACKEND_DIED_BEHIND_PROXY: Rule = Rule {
    id: "WSO805",
    slug: "backend-died-behind-proxy",
    severity: Severity::Error,
    title: "The server behind the proxy died, and the proxy passed it on as an ordinary hang-up.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server cannot keep up with new connections.
pub static OVERLOAD: Rule = Rule {
    id: "WSO806",
    slug: "overload",
    severity: Severity::Warning,
    title: "The server cannot keep up with new connections.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A load balancer sends some connections to a server that does not work.
pub static LB_SENDS_TO_DEAD_NODE: Rule = Rule {
    id: "WSO807",
    slug: "lb-sends-to-dead-node",
    severity: Severity::Error,
    title: "A load balancer sends some connections to a server that does not work.",
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
    &MASS_CLOSE,
    &PROCESS_CRASH,
    &PROXY_RELOAD,
    &HOST_DOWN,
    &BACKEND_DIED_BEHIND_PROXY,
    &OVERLOAD,
    &LB_SENDS_TO_DEAD_NODE,
];
