//! Two legs of one connection through a proxy: found by the key that both requests carry, and told apart by who ended
//! first.

use std::num::NonZeroU32;

use super::digest::{Cut, Digest};
use super::gathered::{Gathered, LookUp, with_offsets};
use super::{Shared, operations};
use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::finding::Finding;
use crate::diagnosis::human::duration;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::rules::handshake::{CLIENT_ABANDONED, HANDSHAKE_TIMEOUT, STATUS_502_504};
use crate::diagnosis::rules::keepalive::IDLE_TIMEOUT;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::stream::Side;

/// A proxy that ends both legs on its own does so within this time, in nanoseconds.
const SAME_MOMENT: i64 = 5_000_000;
/// A back leg's end shows on the front leg within this time, in nanoseconds.
const PASSED_ON: i64 = 1_000_000_000;
/// Nothing was sent for at least this long, in nanoseconds, before a timer is blamed.
const IDLE: i64 = 1_000_000_000;

/// Pairs of entries whose requests carry the same, otherwise unused Sec-WebSocket-Key.
pub(super) fn pairs(parts: &[Gathered], look_up: &LookUp<'_, '_>) -> Vec<(usize, usize)> {
    let mut alike = seen_again(parts);
    alike.sort_unstable();
    let mut pairs = Vec::new();
    for alike in alike.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
        let mut keys: Vec<_> = alike.iter().map(|(_, subject)| (look_up(*subject).key, *subject)).collect();
        keys.sort_unstable();
        for same in keys.chunk_by(|a, b| a.0 == b.0) {
            let [(_, first), (_, second)] = *same else { continue };
            pairs.extend(legs_in_order(first, second, look_up));
        }
    }
    pairs.sort_unstable();
    pairs
}

/// All keys that came more than once, and some others: those that share a place in a table with another.
/// Most keys come once, and are told apart without sorting a million of them.
fn seen_again(parts: &[Gathered]) -> Vec<(NonZeroU32, usize)> {
    let keys = || {
        with_offsets(parts).flat_map(|(offset, part)| {
            let keys = part.marks.iter().enumerate();
            keys.filter_map(move |(index, mark)| mark.key.map(|key| (key, offset + index)))
        })
    };
    let count: usize = parts.iter().map(|part| part.marks.len()).sum();
    // At most one key in sixteen shares its place by chance.
    let places = (count * 16).next_power_of_two().max(64);
    // A valid key is random, so its bits are as good as a hash. Whoever chooses keys alike only gets them sorted.
    let place = |key: NonZeroU32| (key.get() as usize & (places - 1)) / 64;
    let bit = |key: NonZeroU32| 1_u64 << (key.get() % 64);
    let mut once = vec![0_u64; places / 64];
    let mut again = vec![0_u64; places / 64];
    keys().for_each(|(key, _)| {
        let (place, bit) = (place(key), bit(key));
        again[place] |= once[place] & bit;
        once[place] |= bit;
    });
    keys().filter(|(key, _)| again[place(*key)] & bit(*key) != 0).collect()
}

/// Which of two entries with the same key is the front leg; `None` when they are no legs of one connection.
fn legs_in_order(first: usize, second: usize, look_up: &LookUp<'_, '_>) -> Option<(usize, usize)> {
    let (a, b) = (look_up(first), look_up(second));
    // The same server end means the same connection captured twice (before and behind NAT).
    let two = a.server != b.server;
    // The proxy's address tells the legs apart, whatever the clocks of two captures say.
    if two && a.client.ip == b.server.ip && a.server.ip != b.client.ip {
        return Some((second, first));
    }
    let overlap = a.first.at <= b.last.at && b.first.at <= a.last.at;
    (two && overlap).then_some((first, second))
}

/// What the two legs of a proxied connection say together.
pub(super) fn judge(f: &Digest, b: &Digest, front: usize, back: usize) -> Vec<Shared> {
    let mut shared = Vec::new();
    if f.outcome == Outcome::UpgradeFailed
        && let Some(stripped) = b.abnormal.as_ref().and_then(|abnormal| abnormal.stripped.as_ref())
    {
        let mut finding = stripped.clone();
        finding.confidence = Confidence::Proven;
        if let Some(asked) = f.abnormal.as_ref().and_then(|abnormal| abnormal.asked) {
            finding.add_evidence(asked, Some(Side::Client), "the client had asked correctly");
        }
        shared.push(Shared { subjects: vec![front], finding, explains: vec![front] });
    }
    shared.extend(server_was_silent(f, b, back));
    let (Some(f_cut), Some(b_cut)) = (f.cut(), b.cut()) else { return shared };
    if f.outcome != Outcome::ClosedAbnormal {
        return shared;
    }
    let both = vec![front, back];
    let gap = f_cut.at.at - b_cut.at.at;
    match (f_cut.by, b_cut.by) {
        (Side::Server, Side::Client) if gap.abs() <= SAME_MOMENT => {
            shared.extend(proxy_ended_both(f_cut, b_cut, both));
        }
        (Side::Server, Side::Server) if (0..=PASSED_ON).contains(&gap) => {
            let finding = Finding::new(
                &BACKEND_FIRST,
                Confidence::Proven,
                format!("The server behind the proxy ended first; the proxy passed it on {} later.", duration(gap)),
            )
            .evidence(b_cut.at, Some(Side::Server), "back leg: the server ends the connection")
            .evidence(f_cut.at, Some(Side::Server), "front leg: the proxy ends it towards the client");
            shared.push(Shared { subjects: both.clone(), finding, explains: Vec::new() });
            if b.outcome == Outcome::ClosedAbnormal {
                shared.push(operations::backend_died(b_cut.at, f_cut.at, both));
            }
        }
        (Side::Client, Side::Client) if (-PASSED_ON..=0).contains(&gap) => {
            let finding = Finding::new(
                &CLIENT_FIRST,
                Confidence::Proven,
                "The client ended first; the proxy passed it on to the server.",
            )
            .evidence(f_cut.at, Some(Side::Client), "front leg: the client ends the connection")
            .evidence(b_cut.at, Some(Side::Client), "back leg: the proxy ends it towards the server");
            shared.push(Shared { subjects: both, finding, explains: Vec::new() });
        }
        _ => {}
    }
    shared
}

/// A proxy that left the back leg without an answer and told the client that the server gave none did not change its mind.
fn server_was_silent(f: &Digest, b: &Digest, back: usize) -> Option<Shared> {
    let cause = |digest: &Digest| digest.cause().map(|cause| cause.rule);
    let asked = b.abnormal.as_ref().and_then(|abnormal| abnormal.asked)?;
    if cause(f) != Some(&STATUS_502_504) || cause(b) != Some(&CLIENT_ABANDONED) {
        return None;
    }
    let waited = duration(b.last.at - asked.at);
    let finding = Finding::new(
        &HANDSHAKE_TIMEOUT,
        Confidence::Likely,
        format!("The server did not answer the proxy within {waited}; the proxy gave up and told the client so."),
    )
    .party(Party::Server)
    .evidence(asked, Some(Side::Client), "back leg: upgrade request")
    .evidence(b.last, None, "back leg: the proxy ends it without an answer");
    Some(Shared { subjects: vec![back], finding, explains: vec![back] })
}

/// The proxy hung up on both sides at the same moment, and neither side had given it a reason.
fn proxy_ended_both(front: &Cut, back: &Cut, both: Vec<usize>) -> Vec<Shared> {
    let at = front.at.at.min(back.at.at);
    let last = [front, back].map(|leg| leg.last_payload.filter(|last| last.at <= at));
    let Some(last) = last.into_iter().flatten().max_by_key(|last| last.at) else { return Vec::new() };
    let idle = at - last.at;
    if idle <= front.rtt_ns.min(back.rtt_ns).max(SAME_MOMENT) {
        return Vec::new();
    }
    let timer = idle >= IDLE;
    let finding = Finding::new(
        &PROXY_FIRST,
        Confidence::Proven,
        format!("The proxy ended both legs at the same moment, {} after the last byte on either.", duration(idle)),
    )
    .evidence(front.at, Some(Side::Server), "front leg: the proxy ends it towards the client")
    .evidence(back.at, Some(Side::Client), "back leg: the proxy ends it towards the server");
    // Where it is the cause, it is as severe as what it broke.
    let finding = if timer { finding } else { finding.severity(Severity::Error) };
    let explains = if timer { Vec::new() } else { both.clone() };
    let mut shared = vec![Shared { subjects: both.clone(), finding, explains }];
    if timer {
        // That the proxy did it is proven; that its timer did, only the silence says.
        let finding = Finding::new(
            &IDLE_TIMEOUT,
            Confidence::Likely,
            format!("Nobody spoke for {}, then the proxy hung up on both sides: its idle timer.", duration(idle)),
        )
        .party(Party::Proxy)
        .evidence(last, None, "last byte on either leg")
        .evidence(front.at, Some(Side::Server), "front leg: the proxy hangs up")
        .evidence(back.at, Some(Side::Client), "back leg: the proxy hangs up");
        shared.push(Shared { subjects: both.clone(), finding, explains: both });
    }
    shared
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] =
    &[&BACKEND_FIRST, &CLIENT_FIRST, &PROXY_FIRST, &CLOSE_FRAME_ALTERED, &HEADER_DIFF, &LATENCY_SPLIT];

pub(crate) static BACKEND_FIRST: Rule = Rule {
    id: "WSL951",
    slug: "backend-first",
    severity: Severity::Info,
    party: Party::Server,
    title: "The end came from the server behind the proxy.",
    explanation: "The capture holds both connections of a proxied WebSocket. The one between proxy and server ended first, \
        and the proxy then ended the one to the client. So the server is where to look.",
    evidence: "FIN, RST or Close from the server behind the proxy, earlier than the end in front by at least 0.1 \
        milliseconds on the same clock. Proven if the two were paired with certainty.",
    unless: "If the two connections were paired by time and path only, the pair may be wrong. Clocks of two machines \
        cannot be compared directly.",
    advice: "Look at the server's log at that second.",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["backend", "upstream"],
    ..Rule::BASE
};

pub(crate) static CLIENT_FIRST: Rule = Rule {
    id: "WSL952",
    slug: "client-first",
    severity: Severity::Info,
    party: Party::Client,
    title: "The end came from the client in front of the proxy.",
    explanation: "The capture holds both connections of a proxied WebSocket. The client ended its own first, and the proxy \
        then ended the one to the server. Server and proxy only followed.",
    evidence: "FIN, RST or Close from the client, earlier than the end behind the proxy, on the same clock. Proven if \
        the two were paired with certainty.",
    unless: "If the two connections were paired by time and path only, the pair may be wrong.",
    advice: "Look at the client: a page that was closed, a timeout of its own, or its network.",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["downstream"],
    ..Rule::BASE
};

pub(crate) static PROXY_FIRST: Rule = Rule {
    id: "WSL953",
    slug: "proxy-first",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Proxy,
    title: "The proxy ended the connection on its own.",
    explanation: "The proxy ended both of its connections in the same moment, and neither the client nor the server had \
        given it a reason. It acted on its own: a timer ran out, or it was reloaded or stopped.",
    evidence: "FIN or RST from the proxy on both connections within 5 milliseconds, and no packet from either end that \
        could have caused it within the last round trip. Proven if the two were paired with certainty.",
    unless: "If one end closed just before, see WSL951 and WSL952.",
    advice: "If the line was silent before, raise the proxy's timer or send pings (WSK701). Otherwise look at the \
        proxy's log for a reload (WSO803). nginx hangs up on both sides in the ordinary way; HAProxy sends the \
        server a reset.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["nginx proxy_read_timeout", "HAProxy timeout tunnel"],
    aliases: &["1006", "proxy timeout"],
    ..Rule::BASE
};

pub(crate) static CLOSE_FRAME_ALTERED: Rule = Rule {
    id: "WSL954",
    slug: "close-frame-altered",
    severity: Severity::Warning,
    party: Party::Proxy,
    detected: false,
    title: "The close frame changed or vanished on its way through the proxy.",
    explanation: "A close frame went into the proxy, and another one or none came out. The receiver therefore reports a \
        different code from the one that was sent.",
    evidence: "The close frames on the two connections of the pair differ in code or reason, or one is missing. Proven \
        with both connections.",
    unless: "If one of the connections ended before the frame could pass, nobody altered it.",
    advice: "Look for a gateway that ends the WebSocket and makes one of its own. If it is yours, pass code and \
        reason on, and send an empty close where there was none.",
    reports: "Different codes on the two sides, often 1006 or 1005 on one.",
    references: &["RFC 6455 §7.1.5", "vulcand/oxy#133"],
    aliases: &["1006", "1005"],
    ..Rule::BASE
};

pub(crate) static HEADER_DIFF: Rule = Rule {
    id: "WSL955",
    slug: "header-diff",
    severity: Severity::Info,
    party: Party::Proxy,
    detected: false,
    title: "This is what the proxy changed in the request or the answer.",
    explanation: "The request or the answer is not the same in front of the proxy and behind it. The list shows what was \
        removed, added and rewritten. Often the fault can be seen in it at a glance.",
    evidence: "The header fields of the two connections of a pair, compared. Proven.",
    unless: "Added fields such as X-Forwarded-For and Via are normal.",
    advice: "Look first at Upgrade, Connection, Host, Origin, the path, Sec-WebSocket-Extensions, \
        Sec-WebSocket-Protocol and Cookie.",
    references: &["RFC 9110 §7.6", "RFC 6455 §4.2.1"],
    aliases: &["header diff", "proxy headers"],
    ..Rule::BASE
};

pub(crate) static LATENCY_SPLIT: Rule = Rule {
    id: "WSL956",
    slug: "latency-split",
    severity: Severity::Info,
    party: Party::Proxy,
    detected: false,
    title: "This is where the time went: client side, proxy, or server side.",
    explanation: "Both connections of a proxied WebSocket are in the capture, so the delay can be split. The parts are the \
        way from client to proxy, the time within the proxy, and the way from proxy to server.",
    evidence: "The round-trip times of both connections, and the time between the same message in front of the proxy \
        and behind it, on the same clock.",
    unless: "Times from two machines need their clocks compared first.",
    advice: "Look at the part that takes longest.",
    references: &["RFC 9293 §3.8.1"],
    aliases: &["latency", "slow"],
    ..Rule::BASE
};
