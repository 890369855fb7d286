//! Secrets and hygiene: what travels where others can read it. Values are never quoted here.

use std::net::IpAddr;

use super::case::Case;
use super::catalogue::wsx::{CREDENTIALS_OVER_PLAIN_WS, MISSING_ORIGIN_CHECK, TOKEN_IN_URL};
use super::finding::{Confidence, Finding};
use super::judged::Judged;
use super::secret::{is_secret_in_query, is_secret_name, looks_secret, percent_decoded};
use crate::http::RequestHead;
use crate::packet::Stamp;
use crate::stream::Side;

pub(super) fn judge(case: &Case<'_>, judged: &mut Judged) {
    let Some(request) = case.exchange().and_then(|exchange| exchange.request.as_ref()) else { return };
    let stamp = request.head.first;
    let in_url = secret_in_url(request);
    if let Some(name) = &in_url {
        let finding = Finding::new(
            &TOKEN_IN_URL,
            Confidence::Proven,
            format!("The URL carries a secret ({name}): every proxy and server on the way may write it to a log."),
        );
        judged.note(finding.evidence(stamp, Some(Side::Client), "request line"));
    }
    over_plain(case, request, in_url.as_deref(), stamp, judged);
    foreign_origin(case, request, stamp, judged);
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

fn over_plain(case: &Case<'_>, request: &RequestHead, in_url: Option<&str>, stamp: Stamp, judged: &mut Judged) {
    if case.tls().is_some() || is_here(case.tcp().server.ip) {
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
    judged.note(finding.evidence(stamp, Some(Side::Client), "upgrade request in plain text"));
}

/// The machine itself: what is sent to it does not travel.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// 101 for a page of another site that came with cookies.
fn foreign_origin(case: &Case<'_>, request: &RequestHead, stamp: Stamp, judged: &mut Judged) {
    if case.websocket().is_none() || request.head.header("Cookie").is_none() {
        return;
    }
    let (Some(origin), Some(host)) = (request.origin(), request.host()) else { return };
    let Some(origin_host) = origin.split_once("://").map(|(_, host)| host) else { return };
    let name = |host: &str| host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    if name(origin_host) == name(host) {
        return;
    }
    let finding = Finding::new(
        &MISSING_ORIGIN_CHECK,
        Confidence::Possible,
        "The server accepted a WebSocket with cookies for a page of another host; make sure that it checks Origin.",
    );
    judged.note(finding.evidence(stamp, Some(Side::Client), "Origin and Host differ"));
}
