//! Secrets and hygiene: what travels where others can read it. Values are never quoted here.

use crate::diagnosis::catalogue::{Party, Rule};
use crate::diagnosis::context::Session;
use crate::diagnosis::finding::Finding;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::secret::{is_secret_in_query, is_secret_name, looks_secret, percent_decoded};
use crate::diagnosis::severity::{Confidence, Severity};
use std::net::IpAddr;

use crate::http::{RequestHead, without_port};
use crate::packet::Stamp;
use crate::stream::Side;

pub(super) fn judge(session: &Session<'_>, _: Outcome, candidates: &mut Candidates) {
    let Some(request) = session.exchange().and_then(|exchange| exchange.request.as_ref()) else { return };
    let stamp = request.head.first;
    let in_url = secret_in_url(request);
    if let Some(name) = &in_url {
        let finding = Finding::new(
            &TOKEN_IN_URL,
            Confidence::Proven,
            format!("The URL carries a secret ({name}): every proxy and server on the way may write it to a log."),
        );
        candidates.note(finding.evidence(stamp, Some(Side::Client), "request line"));
    }
    over_plain(session, request, in_url.as_deref(), stamp, candidates);
    foreign_origin(session, request, stamp, candidates);
}

/// The name of the query parameter, or what else it is.
fn secret_in_url(request: &RequestHead) -> Option<String> {
    let target = request.target();
    // Most targets are a path and no more.
    if !target.bytes().any(|byte| matches!(byte, b'?' | b'@')) {
        return None;
    }
    let (before, query) = target.split_once('?').unwrap_or((target, ""));
    if before.contains("://") && before.split('/').nth(2).is_some_and(|authority| authority.contains('@')) {
        return Some("user and password before the host".to_owned());
    }
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decoded(value);
        // Names such as `id` and `sid` hide values from the report, but alone they are no reason for a warning.
        let telling = !value.is_empty() && is_secret_name(name);
        let suspicious = name.len() > 3 && looks_secret(&value) && is_secret_in_query(name);
        (telling || suspicious).then(|| {
            let name: String =
                name.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(32).collect();
            format!("parameter {name}")
        })
    })
}

fn over_plain(
    session: &Session<'_>,
    request: &RequestHead,
    in_url: Option<&str>,
    stamp: Stamp,
    candidates: &mut Candidates,
) {
    if session.tls().is_some() || is_here(session.tcp().server.ip) {
        return;
    }
    let header = ["Authorization", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token"]
        .into_iter()
        .find(|name| request.head.header(name).is_some());
    let Some(what) = header.map(|name| format!("header {name}")).or(in_url.map(str::to_owned)) else { return };
    let finding = Finding::new(
        &CREDENTIALS_OVER_PLAIN_WS,
        Confidence::Proven,
        format!("A secret ({what}) travels without encryption: everybody on the path can read it."),
    );
    candidates.note(finding.evidence(stamp, Some(Side::Client), "upgrade request in plain text"));
}

/// The machine itself: what is sent to it does not travel.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// 101 for a page of another site that came with cookies.
fn foreign_origin(session: &Session<'_>, request: &RequestHead, stamp: Stamp, candidates: &mut Candidates) {
    if session.websocket().is_none() || request.head.header("Cookie").is_none() {
        return;
    }
    let (Some(origin), Some(host)) = (request.origin(), request.host()) else { return };
    let Some(origin_host) = origin.split_once("://").map(|(_, host)| host) else { return };
    if without_port(origin_host).eq_ignore_ascii_case(without_port(host)) {
        return;
    }
    let finding = Finding::new(
        &MISSING_ORIGIN_CHECK,
        Confidence::Possible,
        "The server accepted a WebSocket with cookies for a page of another host; make sure that it checks Origin.",
    );
    candidates.note(finding.evidence(stamp, Some(Side::Client), "Origin and Host differ"));
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] =
    &[&TOKEN_IN_URL, &CREDENTIALS_OVER_PLAIN_WS, &DEFAULT_CREDENTIALS, &MISSING_ORIGIN_CHECK];

pub(crate) static TOKEN_IN_URL: Rule = Rule {
    id: "WSX901",
    slug: "token-in-url",
    severity: Severity::Warning,
    party: Party::Client,
    title: "A token or password is part of the address and ends up in logs.",
    explanation: "The request's address carries a token or a password. Addresses are written to the logs of every proxy \
        and server on the way, and to the browser's history, so that others can read it there. wsscan hides the \
        value in its output.",
    evidence: "A query parameter with a telling name (token, access_token, api_key, password and the like), or a value \
        that looks like a token. Proven by name, likely by look.",
    unless: "Ids that only look random are sometimes taken for tokens.",
    advice: "Send the login as a cookie, or in the first message after the connection is open. If it must be in the \
        address, use a ticket that is valid once and for a few seconds.",
    references: &["RFC 6750 §5.3", "RFC 3986 §7.5"],
    aliases: &["token in URL", "access_token", "api_key"],
    ..Rule::BASE
};

pub(crate) static CREDENTIALS_OVER_PLAIN_WS: Rule = Rule {
    id: "WSX902",
    slug: "credentials-over-plain-ws",
    severity: Severity::Error,
    party: Party::Client,
    title: "Credentials travel unencrypted over the network.",
    explanation: "A login, a cookie or a token was sent over ws:// without encryption, to another machine. Everybody on \
        the way can read it and use it. wsscan hides the value in its output.",
    evidence: "Credentials in the address, in a header or in a recognised first message, on an unencrypted connection \
        whose other end is not the same machine. Proven.",
    unless: "Inside a VPN, or behind a proxy in the same closed network, the way may be protected otherwise.",
    advice: "Use wss://. Then replace the credentials that were exposed.",
    references: &["RFC 6455 §10.6", "RFC 6750 §5.3"],
    aliases: &["plaintext password", "unencrypted"],
    ..Rule::BASE
};

pub(crate) static DEFAULT_CREDENTIALS: Rule = Rule {
    id: "WSX903",
    slug: "default-credentials",
    severity: Severity::Info,
    party: Party::Client,
    detected: false,
    title: "The client logs in with a well-known default password.",
    explanation: "The client logs in with a user name and password that come with the product. They are publicly known, so \
        anybody who can reach the server can log in.",
    evidence: "The credentials equal a published default. Proven.",
    unless: "A test installation may do so on purpose.",
    advice: "Change the password.",
    references: &["CWE-1392"],
    aliases: &["default password"],
    ..Rule::BASE
};

pub(crate) static MISSING_ORIGIN_CHECK: Rule = Rule {
    id: "WSX904",
    slug: "missing-origin-check",
    severity: Severity::Info,
    party: Party::Server,
    title: "The server accepted a browser from another site together with its cookies.",
    explanation: "A page of another site opened a WebSocket, the browser sent the user's cookies along, and the server \
        agreed. Browsers do not prevent this for WebSockets. If the server relies on the cookie alone, a hostile \
        page can act in the user's name.",
    evidence: "Origin and Host name different sites, the request carries a cookie, and the answer is 101. Proven as a \
        fact; whether it can be abused is not visible.",
    unless: "The other site may be allowed on purpose, and the server may ask for another proof in its messages.",
    advice: "Let the server compare Origin with a list of allowed sites, and set SameSite on the cookie.",
    references: &["RFC 6455 §10.2", "CWE-1385"],
    aliases: &["Origin", "cross-site WebSocket hijacking", "CSWSH"],
    ..Rule::BASE
};
