//! Family `WSA`: the application protocol on top.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The client's first message came later than the server was willing to wait.
pub static AUTH_MESSAGE_LATE: Rule = Rule {
    id: "WSA701",
    slug: "auth-message-late",
    severity: Severity::Error,
    title: "The client's first message came later than the server was willing to wait.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client subscribed before the server had acknowledged the connection.
pub static SUBSCRIBE_BEFORE_ACK: Rule = Rule {
    id: "WSA702",
    slug: "subscribe-before-ack",
    severity: Severity::Error,
    title: "The client subscribed before the server had acknowledged the connection.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// A load balancer sent the client to a server that does not know its session.
pub static STICKY_SESSION_MISSING: Rule = Rule {
    id: "WSA704",
    slug: "sticky-session-missing",
    severity: Severity::Error,
    title: "A load balancer sent the client to a server that does not know its session.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client connected but never asked for any events.
pub static CONNECTED_NEVER_SUBSCRIBED: Rule = Rule {
    id: "WSA712",
    slug: "connected-never-subscribed",
    severity: Severity::Info,
    title: "The client connected but never asked for any events.",
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
    &[&AUTH_MESSAGE_LATE, &SUBSCRIBE_BEFORE_ACK, &STICKY_SESSION_MISSING, &CONNECTED_NEVER_SUBSCRIBED];
