//! Family `WSR`: reconnect patterns over many connections.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The client connects again and again and the connection fails at once each time.
pub static RECONNECT_LOOP: Rule = Rule {
    id: "WSR901",
    slug: "reconnect-loop",
    severity: Severity::Warning,
    title: "The client connects again and again and the connection fails at once each time.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client reconnects at a fixed fast pace without slowing down.
pub static NO_BACKOFF: Rule = Rule {
    id: "WSR902",
    slug: "no-backoff",
    severity: Severity::Warning,
    title: "The client reconnects at a fixed fast pace without slowing down.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Many clients reconnected in the same second.
pub static THUNDERING_HERD: Rule = Rule {
    id: "WSR903",
    slug: "thundering-herd",
    severity: Severity::Warning,
    title: "Many clients reconnected in the same second.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client keeps retrying something that cannot succeed.
pub static RETRYING_PERMANENT_ERROR: Rule = Rule {
    id: "WSR904",
    slug: "retrying-permanent-error",
    severity: Severity::Warning,
    title: "The client keeps retrying something that cannot succeed.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Two clients with the same identity keep throwing each other out.
pub static MUTUAL_KICK: Rule = Rule {
    id: "WSR905",
    slug: "mutual-kick",
    severity: Severity::Warning,
    title: "Two clients with the same identity keep throwing each other out.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection dies and comes back after the same time every time.
pub static FIXED_DURATION_LOOP: Rule = Rule {
    id: "WSR906",
    slug: "fixed-duration-loop",
    severity: Severity::Warning,
    title: "The connection dies and comes back after the same time every time.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client connected, gave up at once and connected again.
pub static QUICK_ABORT_PAIR: Rule = Rule {
    id: "WSR907",
    slug: "quick-abort-pair",
    severity: Severity::Info,
    title: "The client connected, gave up at once and connected again.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client waits longer after each failure, as it should.
pub static HEALTHY_BACKOFF: Rule = Rule {
    id: "WSR908",
    slug: "healthy-backoff",
    severity: Severity::Info,
    title: "The client waits longer after each failure, as it should.",
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
    &RECONNECT_LOOP,
    &NO_BACKOFF,
    &THUNDERING_HERD,
    &RETRYING_PERMANENT_ERROR,
    &MUTUAL_KICK,
    &FIXED_DURATION_LOOP,
    &QUICK_ABORT_PAIR,
    &HEALTHY_BACKOFF,
];
