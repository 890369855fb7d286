//! Family `WSK`: keepalive, idle and lifetime timers.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// Nobody said anything for a while, so something hung up.
pub static IDLE_TIMEOUT: Rule = Rule {
    id: "WSK701",
    slug: "idle-timeout",
    severity: Severity::Error,
    title: "Nobody said anything for a while, so something hung up.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection seems to have reached a maximum age.
pub static MAX_LIFETIME: Rule = Rule {
    id: "WSK702",
    slug: "max-lifetime",
    severity: Severity::Warning,
    title: "The connection seems to have reached a maximum age.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The other side's machine received the ping, but its program never answered.
pub static PING_TIMEOUT_APP_HUNG: Rule = Rule {
    id: "WSK703",
    slug: "ping-timeout-app-hung",
    severity: Severity::Error,
    title: "The other side's machine received the ping, but its program never answered.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Pings no longer reach the other side.
pub static PING_TIMEOUT_PATH_DEAD: Rule = Rule {
    id: "WSK704",
    slug: "ping-timeout-path-dead",
    severity: Severity::Error,
    title: "Pings no longer reach the other side.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The pong was there before the connection was closed for lack of it.
pub static PONG_ARRIVED_TOO_LATE: Rule = Rule {
    id: "WSK705",
    slug: "pong-arrived-too-late",
    severity: Severity::Error,
    title: "The pong was there before the connection was closed for lack of it.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The ping comes about as late as the timeout it should prevent.
pub static KEEPALIVE_RACE: Rule = Rule {
    id: "WSK706",
    slug: "keepalive-race",
    severity: Severity::Warning,
    title: "The ping comes about as late as the timeout it should prevent.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Neither side sends any sign of life while the connection is idle.
pub static NO_KEEPALIVE: Rule = Rule {
    id: "WSK707",
    slug: "no-keepalive",
    severity: Severity::Info,
    title: "Neither side sends any sign of life while the connection is idle.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The application's own heartbeat was not answered.
pub static APP_HEARTBEAT_MISSED: Rule = Rule {
    id: "WSK708",
    slug: "app-heartbeat-missed",
    severity: Severity::Error,
    title: "The application's own heartbeat was not answered.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side never answers pings at all.
pub static PEER_NEVER_PONGS: Rule = Rule {
    id: "WSK709",
    slug: "peer-never-pongs",
    severity: Severity::Error,
    title: "One side never answers pings at all.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// After a silence, the first packet was answered with a reset.
pub static LB_RESET_ON_RESUME: Rule = Rule {
    id: "WSK710",
    slug: "lb-reset-on-resume",
    severity: Severity::Error,
    title: "After a silence, the first packet was answered with a reset.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// After a silence, packets vanish without any answer.
pub static SILENT_STATE_LOSS: Rule = Rule {
    id: "WSK711",
    slug: "silent-state-loss",
    severity: Severity::Error,
    title: "After a silence, packets vanish without any answer.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side believes the connection lives while the other has gone.
pub static HALF_OPEN: Rule = Rule {
    id: "WSK712",
    slug: "half-open",
    severity: Severity::Error,
    title: "One side believes the connection lives while the other has gone.",
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
    &IDLE_TIMEOUT,
    &MAX_LIFETIME,
    &PING_TIMEOUT_APP_HUNG,
    &PING_TIMEOUT_PATH_DEAD,
    &PONG_ARRIVED_TOO_LATE,
    &KEEPALIVE_RACE,
    &NO_KEEPALIVE,
    &APP_HEARTBEAT_MISSED,
    &PEER_NEVER_PONGS,
    &LB_RESET_ON_RESUME,
    &SILENT_STATE_LOSS,
    &HALF_OPEN,
];
