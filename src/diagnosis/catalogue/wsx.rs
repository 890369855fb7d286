//! Family `WSX`: secrets and security hygiene.

use super::Rule;
use crate::diagnosis::finding::Severity;

/// A token or password is part of the address and ends up in logs.
pub static TOKEN_IN_URL: Rule = Rule {
    id: "WSX901",
    slug: "token-in-url",
    severity: Severity::Warning,
    title: "A token or password is part of the address and ends up in logs.",
    explanation: "The request's address carries a token or a password. Addresses are written to the logs of every proxy \
        and server on the way, and to the browser's history, so that others can read it there. wsscan hides the \
        value in its output.",
    evidence: "A query parameter with a telling name (token, access_token, api_key, password and the like), or a value \
        that looks like a token. Proven by name, likely by look.",
    unless: "Ids that only look random are sometimes taken for tokens.",
    advice: "Send the login as a cookie, or in the first message after the connection is open. If it must be in the \
        address, use a ticket that is valid once and for a few seconds.",
    reports: "",
    references: &["RFC 6750 §5.3", "RFC 3986 §7.5"],
    aliases: &["token in URL", "access_token", "api_key"],
};

/// Credentials travel unencrypted over the network.
pub static CREDENTIALS_OVER_PLAIN_WS: Rule = Rule {
    id: "WSX902",
    slug: "credentials-over-plain-ws",
    severity: Severity::Error,
    title: "Credentials travel unencrypted over the network.",
    explanation: "A login, a cookie or a token was sent over ws:// without encryption, to another machine. Everybody on \
        the way can read it and use it. wsscan hides the value in its output.",
    evidence: "Credentials in the address, in a header or in a recognised first message, on an unencrypted connection \
        whose other end is not the same machine. Proven.",
    unless: "Inside a VPN, or behind a proxy in the same closed network, the way may be protected otherwise.",
    advice: "Use wss://. Then replace the credentials that were exposed.",
    reports: "",
    references: &["RFC 6455 §10.6", "RFC 6750 §5.3"],
    aliases: &["plaintext password", "unencrypted"],
};

/// The client logs in with a well-known default password.
pub static DEFAULT_CREDENTIALS: Rule = Rule {
    id: "WSX903",
    slug: "default-credentials",
    severity: Severity::Info,
    title: "The client logs in with a well-known default password.",
    explanation: "The client logs in with a user name and password that come with the product. They are publicly known, so \
        anybody who can reach the server can log in.",
    evidence: "The credentials equal a published default. Proven.",
    unless: "A test installation may do so on purpose.",
    advice: "Change the password.",
    reports: "",
    references: &["CWE-1392"],
    aliases: &["default password"],
};

/// The server accepted a browser from another site together with its cookies.
pub static MISSING_ORIGIN_CHECK: Rule = Rule {
    id: "WSX904",
    slug: "missing-origin-check",
    severity: Severity::Info,
    title: "The server accepted a browser from another site together with its cookies.",
    explanation: "A page of another site opened a WebSocket, the browser sent the user's cookies along, and the server \
        agreed. Browsers do not prevent this for WebSockets. If the server relies on the cookie alone, a hostile \
        page can act in the user's name.",
    evidence: "Origin and Host name different sites, the request carries a cookie, and the answer is 101. Proven as a \
        fact; whether it can be abused is not visible.",
    unless: "The other site may be allowed on purpose, and the server may ask for another proof in its messages.",
    advice: "Let the server compare Origin with a list of allowed sites, and set SameSite on the cookie.",
    reports: "",
    references: &["RFC 6455 §10.2", "CWE-1385"],
    aliases: &["Origin", "cross-site WebSocket hijacking", "CSWSH"],
};

/// Every rule of the family, in order of id.
pub static ALL: &[&Rule] = &[&TOKEN_IN_URL, &CREDENTIALS_OVER_PLAIN_WS, &DEFAULT_CREDENTIALS, &MISSING_ORIGIN_CHECK];
