//! Family `WST`: TLS.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// The client spoke unencrypted ws:// to a port that expects TLS.
pub static WS_TO_TLS_PORT: Rule = Rule {
    id: "WST101",
    slug: "ws-to-tls-port",
    severity: Severity::Error,
    title: "The client spoke unencrypted ws:// to a port that expects TLS.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client spoke wss:// (TLS) to a port that does not speak TLS.
pub static TLS_TO_PLAIN_PORT: Rule = Rule {
    id: "WST102",
    slug: "tls-to-plain-port",
    severity: Severity::Error,
    title: "The client spoke wss:// (TLS) to a port that does not speak TLS.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client does not trust whoever signed the server's certificate.
pub static CERT_UNTRUSTED: Rule = Rule {
    id: "WST103",
    slug: "cert-untrusted",
    severity: Severity::Error,
    title: "The client does not trust whoever signed the server's certificate.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server's certificate has expired.
pub static CERT_EXPIRED: Rule = Rule {
    id: "WST104",
    slug: "cert-expired",
    severity: Severity::Error,
    title: "The server's certificate has expired.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server's certificate is for another name than the one the client asked for.
pub static CERT_NAME_MISMATCH: Rule = Rule {
    id: "WST105",
    slug: "cert-name-mismatch",
    severity: Severity::Error,
    title: "The server's certificate is for another name than the one the client asked for.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client refused the server's certificate and does not say why.
pub static CERT_REJECTED_REASON_HIDDEN: Rule = Rule {
    id: "WST106",
    slug: "cert-rejected-reason-hidden",
    severity: Severity::Error,
    title: "The client refused the server's certificate and does not say why.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client hung up right after it saw the server's certificate.
pub static CLIENT_LEFT_AFTER_CERTIFICATE: Rule = Rule {
    id: "WST107",
    slug: "client-left-after-certificate",
    severity: Severity::Error,
    title: "The client hung up right after it saw the server's certificate.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server does not send the intermediate certificate that links it to a trusted authority.
pub static CHAIN_INCOMPLETE: Rule = Rule {
    id: "WST108",
    slug: "chain-incomplete",
    severity: Severity::Error,
    title: "The server does not send the intermediate certificate that links it to a trusted authority.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client did not name the server it wants, or named one the server does not know.
pub static SNI_MISSING_OR_UNKNOWN: Rule = Rule {
    id: "WST109",
    slug: "sni-missing-or-unknown",
    severity: Severity::Error,
    title: "The client did not name the server it wants, or named one the server does not know.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The server wants a certificate from the client and got none it accepts.
pub static CLIENT_CERT_REQUIRED: Rule = Rule {
    id: "WST110",
    slug: "client-cert-required",
    severity: Severity::Error,
    title: "The server wants a certificate from the client and got none it accepts.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The two sides share no TLS version or no cipher.
pub static VERSION_OR_CIPHER: Rule = Rule {
    id: "WST111",
    slug: "version-or-cipher",
    severity: Severity::Error,
    title: "The two sides share no TLS version or no cipher.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The two sides could not agree on HTTP/1.1, which this WebSocket needs.
pub static ALPN_H2_ONLY: Rule = Rule {
    id: "WST112",
    slug: "alpn-h2-only",
    severity: Severity::Error,
    title: "The two sides could not agree on HTTP/1.1, which this WebSocket needs.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The client's first TLS message spans two packets and something on the way drops it.
pub static LARGE_CLIENTHELLO_DROPPED: Rule = Rule {
    id: "WST113",
    slug: "large-clienthello-dropped",
    severity: Severity::Error,
    title: "The client's first TLS message spans two packets and something on the way drops it.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// An antivirus program or firewall seems to decrypt this connection on the way.
pub static TLS_INTERCEPTION: Rule = Rule {
    id: "WST114",
    slug: "tls-interception",
    severity: Severity::Warning,
    title: "An antivirus program or firewall seems to decrypt this connection on the way.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The TLS handshake began but the server never answered.
pub static TLS_STALLED: Rule = Rule {
    id: "WST115",
    slug: "tls-stalled",
    severity: Severity::Error,
    title: "The TLS handshake began but the server never answered.",
    explanation: "",
    evidence: "",
    unless: "",
    advice: "",
    reports: "",
    references: &[],
    aliases: &[],
};

/// The encrypted connection ended without the TLS goodbye.
pub static NO_CLOSE_NOTIFY: Rule = Rule {
    id: "WST116",
    slug: "no-close-notify",
    severity: Severity::Info,
    title: "The encrypted connection ended without the TLS goodbye.",
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
    &WS_TO_TLS_PORT,
    &TLS_TO_PLAIN_PORT,
    &CERT_UNTRUSTED,
    &CERT_EXPIRED,
    &CERT_NAME_MISMATCH,
    &CERT_REJECTED_REASON_HIDDEN,
    &CLIENT_LEFT_AFTER_CERTIFICATE,
    &CHAIN_INCOMPLETE,
    &SNI_MISSING_OR_UNKNOWN,
    &CLIENT_CERT_REQUIRED,
    &VERSION_OR_CIPHER,
    &ALPN_H2_ONLY,
    &LARGE_CLIENTHELLO_DROPPED,
    &TLS_INTERCEPTION,
    &TLS_STALLED,
    &NO_CLOSE_NOTIFY,
];
