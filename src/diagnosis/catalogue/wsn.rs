//! Family `WSN`: TCP, IP and DNS.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The server's name could not be turned into an address.
pub static DNS_FAILED: Rule = Rule {
    id: "WSN001",
    slug: "dns-failed",
    severity: Severity::Error,
    title: "The server's name could not be turned into an address.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server's address refused the connection: nothing listens on that port, or a firewall says no.
pub static CONNECTION_REFUSED: Rule = Rule {
    id: "WSN002",
    slug: "connection-refused",
    severity: Severity::Error,
    title: "The server's address refused the connection: nothing listens on that port, or a firewall says no.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The connection request was swallowed and nobody answered.
pub static CONNECT_FILTERED: Rule = Rule {
    id: "WSN003",
    slug: "connect-filtered",
    severity: Severity::Error,
    title: "The connection request was swallowed and nobody answered.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server's machine accepted the connection, but the program behind it never said a word.
pub static ACCEPTED_BUT_MUTE: Rule = Rule {
    id: "WSN004",
    slug: "accepted-but-mute",
    severity: Severity::Error,
    title: "The server's machine accepted the connection, but the program behind it never said a word.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side cut the connection off with a reset, without the WebSocket goodbye.
pub static RESET_NO_CLOSE: Rule = Rule {
    id: "WSN005",
    slug: "reset-no-close",
    severity: Severity::Error,
    title: "One side cut the connection off with a reset, without the WebSocket goodbye.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// One side hung up without the WebSocket goodbye.
pub static FIN_NO_CLOSE: Rule = Rule {
    id: "WSN006",
    slug: "fin-no-close",
    severity: Severity::Error,
    title: "One side hung up without the WebSocket goodbye.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Something between the two ends seems to have cut the connection.
pub static FORGED_RESET: Rule = Rule {
    id: "WSN007",
    slug: "forged-reset",
    severity: Severity::Error,
    title: "Something between the two ends seems to have cut the connection.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Packets stopped getting through: the path or the other machine is gone.
pub static PATH_LOST: Rule = Rule {
    id: "WSN008",
    slug: "path-lost",
    severity: Severity::Error,
    title: "Packets stopped getting through: the path or the other machine is gone.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// Large packets vanish on the way while small ones pass.
pub static MTU_BLACKHOLE: Rule = Rule {
    id: "WSN009",
    slug: "mtu-blackhole",
    severity: Severity::Error,
    title: "Large packets vanish on the way while small ones pass.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client seems to have come back from a different address while its old connection fell silent.
pub static NAT_REBINDING: Rule = Rule {
    id: "WSN010",
    slug: "nat-rebinding",
    severity: Severity::Warning,
    title: "The client seems to have come back from a different address while its old connection fell silent.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The receiving program stopped reading, so the sender had to stop.
pub static ZERO_WINDOW: Rule = Rule {
    id: "WSN011",
    slug: "zero-window",
    severity: Severity::Warning,
    title: "The receiving program stopped reading, so the sender had to stop.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The network is losing packets.
pub static LOSSY_PATH: Rule = Rule {
    id: "WSN012",
    slug: "lossy-path",
    severity: Severity::Warning,
    title: "The network is losing packets.",
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
    &DNS_FAILED,
    &CONNECTION_REFUSED,
    &CONNECT_FILTERED,
    &ACCEPTED_BUT_MUTE,
    &RESET_NO_CLOSE,
    &FIN_NO_CLOSE,
    &FORGED_RESET,
    &PATH_LOST,
    &MTU_BLACKHOLE,
    &NAT_REBINDING,
    &ZERO_WINDOW,
    &LOSSY_PATH,
];
