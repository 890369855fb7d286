//! TCP and the network beneath: connections that were never made, and those that ended without a word.

use super::case::{Case, Deed, duration, the};
use super::catalogue::wsn::{
    ACCEPTED_BUT_MUTE, CONNECT_FILTERED, CONNECTION_REFUSED, FIN_NO_CLOSE, FORGED_RESET, LOSSY_PATH, PATH_LOST,
    RESET_NO_CLOSE, ZERO_WINDOW,
};
use super::finding::{Confidence, Finding, Severity};
use super::judged::{Explains, Judged};
use super::outcome::Outcome;
use crate::http::Answer;
use crate::packet::IcmpKind;
use crate::stream::Side;
use crate::tcp::Opening;

/// Retransmissions without an answer after which a path counts as lost.
const PATH_LOST_RETRANSMISSIONS: u32 = 5;
/// A closed window is worth a word after this time, in nanoseconds.
const ZERO_WINDOW_WARNING: i64 = 1_000_000_000;
/// … and an error after this one.
const ZERO_WINDOW_ERROR: i64 = 10_000_000_000;
/// A server that has the request and says nothing for this long is mute.
const MUTE: i64 = 5_000_000_000;
/// Share of segments sent again, in percent, that makes a path lossy; and how many there must be at least.
const LOSSY_PERCENT: u64 = 3;
const LOSSY_AT_LEAST: u64 = 10;

pub(super) fn judge(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    match case.tcp().opening {
        Opening::Refused => refused(case, judged),
        Opening::Unanswered => unanswered(case, judged),
        Opening::Handshake | Opening::MidStream => {}
    }
    mute(case, judged);
    path_lost(case, outcome, judged);
    forged_reset(case, judged);
    windows(case, judged);
    losses(case, judged);
}

fn refused(case: &Case<'_>, judged: &mut Judged) {
    let tcp = case.tcp();
    let reset = case.side(Side::Server).reset();
    let summary = format!("{} refused the connection: nothing listens on port {}.", tcp.server.ip, tcp.server.port);
    let mut finding = Finding::new(&CONNECTION_REFUSED, Confidence::Proven, summary);
    if let Some(syn) = case.side(Side::Client).last_syn() {
        finding = finding.evidence(syn, Some(Side::Client), "SYN");
    }
    if let Some(reset) = reset {
        finding = finding.evidence(reset.stamp, Some(Side::Server), "RST in answer to the SYN");
    }
    judged.cause(Explains::Deed, finding);
}

fn unanswered(case: &Case<'_>, judged: &mut Judged) {
    let client = case.side(Side::Client);
    let tcp = case.tcp();
    let blocked = tcp
        .icmp
        .as_deref()
        .filter(|icmp| matches!(icmp.kind, IcmpKind::AdministrativelyProhibited { .. } | IcmpKind::Unreachable { .. }));
    if client.unusual().syn_retransmissions < 2 && blocked.is_none() {
        return;
    }
    let confidence = if blocked.is_some() { Confidence::Proven } else { Confidence::Likely };
    let summary = format!(
        "{} never answered on port {}: {} SYNs, no SYN-ACK.",
        tcp.server.ip,
        tcp.server.port,
        client.unusual().syn_retransmissions + 1
    );
    let mut finding = Finding::new(&CONNECT_FILTERED, confidence, summary);
    if let Some(syn) = client.syn() {
        finding = finding.evidence(syn, Some(Side::Client), "first SYN");
    }
    if let Some(syn) = client.last_syn().filter(|last| client.syn() != Some(*last)) {
        finding = finding.evidence(syn, Some(Side::Client), "last SYN");
    }
    if let Some(icmp) = blocked {
        finding = finding.evidence(icmp.stamp, None, format!("ICMP from {}: {}", icmp.reporter, icmp.description()));
    }
    judged.cause(Explains::Deed, finding);
}

fn mute(case: &Case<'_>, judged: &mut Judged) {
    let Some(exchange) = case.exchange() else { return };
    let Some(request) = &exchange.request else { return };
    let server = case.side(Side::Server);
    if exchange.answer != Answer::Nothing || server.first_payload().is_some() || case.record.entries.len() > 1 {
        return;
    }
    let until = case.left(Side::Client).map_or(case.tcp().last, |(stamp, _)| stamp);
    let waited = until.at - request.head.last.at;
    let acknowledged = server.last_ack().is_some_and(|ack| ack.packet > request.head.first.packet);
    if waited < MUTE || !acknowledged || case.left(Side::Server).is_some_and(|(stamp, _)| stamp < until) {
        return;
    }
    let summary =
        format!("The server's kernel took the request, but its program said nothing for {}.", duration(waited));
    let mut finding = Finding::new(&ACCEPTED_BUT_MUTE, Confidence::Proven, summary).evidence(
        request.head.last,
        Some(Side::Client),
        "upgrade request complete",
    );
    if let Some(ack) = server.last_ack() {
        finding = finding.evidence(ack, Some(Side::Server), "acknowledged by the server's kernel");
    }
    judged.cause(Explains::Mechanism, finding.evidence(until, None, "still no answer"));
}

fn path_lost(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    if outcome == Outcome::ClosedClean || outcome == Outcome::ClosedNoStatus || case.websocket().is_none() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let facts = case.side(side);
        let peer_silent = case
            .side(side.other())
            .last()
            .is_none_or(|last| facts.unusual().unacknowledged.is_some_and(|run| last.at < run.first_retransmission.at));
        let Some(run) = facts.unusual().unacknowledged else { continue };
        if run.retransmissions < PATH_LOST_RETRANSMISSIONS || !peer_silent {
            continue;
        }
        let summary = format!(
            "Nothing came back from the {} any more: the {} sent the same bytes again {} times over {} without an answer.",
            side.other().name(),
            side.name(),
            run.retransmissions,
            duration(run.last_retransmission.at - run.sent.at)
        );
        let finding = Finding::new(&PATH_LOST, Confidence::Proven, summary)
            .evidence(run.sent, Some(side), "first sent")
            .evidence(run.first_retransmission, Some(side), "sent again")
            .evidence(run.last_retransmission, Some(side), "sent again, last time");
        judged.cause(Explains::Mechanism, finding);
    }
}

fn forged_reset(case: &Case<'_>, judged: &mut Judged) {
    if case.entry.is_none() || (case.close(Side::Client).is_some() && case.close(Side::Server).is_some()) {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let facts = case.side(side);
        let Some(reset) = facts.reset() else { continue };
        // A stack may use another TTL for the RST of a closed port; a peer that keeps talking did not reset.
        let kept_talking = facts.last_payload().is_some_and(|last| last.packet > reset.stamp.packet);
        if reset.ttl_distance <= 1 || facts.packets < 3 {
            continue;
        }
        let (confidence, more) = if kept_talking {
            (Confidence::Likely, " and went on sending afterwards")
        } else {
            (Confidence::Possible, "")
        };
        let summary = format!(
            "The RST in the name of the {} may not be its own: its TTL is {}, its other packets have {} to {}{more}.",
            side.name(),
            reset.ttl,
            facts.ttl_min,
            facts.ttl_max,
        );
        let finding = Finding::new(&FORGED_RESET, confidence, summary).evidence(reset.stamp, Some(side), "RST");
        judged.cause(Explains::Mechanism, finding);
    }
}

fn windows(case: &Case<'_>, judged: &mut Judged) {
    if case.websocket().is_none() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let stall = case.side(side).unusual().zero_window;
        if stall.longest_ns < ZERO_WINDOW_WARNING {
            continue;
        }
        let summary = format!(
            "The {}'s program stopped reading: its receive window was closed for {}.",
            side.name(),
            duration(stall.longest_ns)
        );
        let mut finding = Finding::new(&ZERO_WINDOW, Confidence::Proven, summary).evidence(
            stall.longest_from,
            Some(side),
            "window closed",
        );
        if stall.longest_ns >= ZERO_WINDOW_ERROR {
            finding = finding.severity(Severity::Error);
        }
        judged.note(finding);
    }
}

fn losses(case: &Case<'_>, judged: &mut Judged) {
    if case.websocket().is_none() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let facts = case.side(side);
        let again = u64::from(facts.unusual().retransmissions);
        if again < LOSSY_AT_LEAST || again * 100 < facts.packets * LOSSY_PERCENT {
            continue;
        }
        let summary = format!(
            "{} of {} segments of the {} had to be sent again ({:.1} %).",
            again,
            facts.packets,
            side.name(),
            again as f64 * 100.0 / facts.packets as f64
        );
        let finding = Finding::new(&LOSSY_PATH, Confidence::Proven, summary).evidence(
            facts.last().unwrap_or(case.tcp().last),
            Some(side),
            "last packet of that side",
        );
        judged.note(finding);
    }
}

/// How it ended when no Close frame did it: the last resort before the bare symptom.
pub(super) fn ending(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    if outcome != Outcome::ClosedAbnormal {
        return;
    }
    let Some((side, stamp, deed)) = case.first_actor() else { return };
    if case.close(side).is_some() {
        return;
    }
    let since = case.upgraded().map(|upgraded| duration(stamp.at - upgraded.at));
    let after = if since.is_some() { " after the upgrade" } else { "" };
    let (rule, word) = match deed {
        Deed::Rst => (&RESET_NO_CLOSE, "reset the TCP connection"),
        Deed::Fin | Deed::Close => (&FIN_NO_CLOSE, "closed the TCP connection"),
    };
    let space = if since.is_some() { " " } else { "" };
    let since = since.as_deref().unwrap_or_default();
    let summary = [the(side), " ", word, " without a Close frame", space, since, after, "."].concat();
    let note = if deed == Deed::Rst { "RST, no Close frame before it" } else { "FIN, no Close frame before it" };
    let mut finding = Finding::new(rule, Confidence::Proven, summary);
    if let Some(last) = case.side(side).last_payload() {
        finding = finding.evidence(last, Some(side), "its last bytes");
    }
    judged.cause(Explains::Ending, finding.evidence(stamp, Some(side), note));
}
