//! Pings, pongs and silence on one connection. What needs several connections is in `relations`.

use super::case::{Case, Deed, duration, the};
use super::catalogue::wsk::{
    HALF_OPEN, IDLE_TIMEOUT, NO_KEEPALIVE, PEER_NEVER_PONGS, PING_TIMEOUT_APP_HUNG, PING_TIMEOUT_PATH_DEAD,
    PONG_ARRIVED_TOO_LATE,
};
use super::finding::{Confidence, Finding};
use super::judged::{Explains, Judged};
use super::outcome::Outcome;
use crate::packet::Stamp;
use crate::stream::Side;
use crate::websocket::UnansweredPing;

/// An unanswered ping means nothing before this time, in nanoseconds, or three round trips.
const PATIENCE: i64 = 400_000_000;
/// One second in nanoseconds.
const SECOND: i64 = 1_000_000_000;
/// Idle timers, in seconds, that proxies, load balancers and firewalls come with or are commonly set to.
const TIMERS: &[i64] = &[30, 55, 60, 90, 100, 120, 180, 240, 300, 350, 600, 900, 1800, 3600];
/// How far a silence may be from a timer, in nanoseconds, or 2 % of it, whichever is less; but at least half a second.
const TIMER_SLACK: i64 = 1_500_000_000;
/// A connection that lived this long, in nanoseconds, without a sign of life should have one.
const LONG_LIVED: i64 = 120_000_000_000;
/// Nobody needs a ping who speaks more often than this, in nanoseconds: no usual timer is shorter.
const NO_PING_NEEDED: i64 = 30_000_000_000;
/// Data sent again into silence for this long, in nanoseconds: the other end is gone and this one does not know.
const HALF_OPEN_TIME: i64 = 30_000_000_000;

pub(super) fn judge(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    if case.websocket().is_none() || outcome == Outcome::UpgradeFailed {
        return;
    }
    for side in [Side::Client, Side::Server] {
        ping_timeout(case, side, outcome, judged);
        late_pong(case, side, judged);
    }
    half_open(case, judged);
    idle_timeout(case, outcome, judged);
    no_keepalive(case, judged);
}

/// The end of a connection that nobody said goodbye on and that nothing else is known to explain: who, when, how.
pub(super) fn silent_end(case: &Case<'_>) -> Option<(Side, Stamp, Deed)> {
    let (side, at, deed) = case.first_actor()?;
    let quiet = deed != Deed::Close
        && case.close(Side::Client).is_none()
        && case.close(Side::Server).is_none()
        && [Side::Client, Side::Server].iter().all(|side| {
            let pings = case.sent(*side).and_then(|sent| sent.keepalive.as_ref());
            case.side(*side).unusual().unacknowledged.is_none()
                && pings.is_none_or(|pings| pings.unanswered_count() == 0)
        });
    quiet.then_some((side, at, deed))
}

/// The silence before the end is as long as a timer that products on the way are known to have. One connection
/// alone makes that possible, no more, and never names the product.
fn idle_timeout(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    if outcome != Outcome::ClosedAbnormal || judged.explained(Explains::Mechanism) {
        return;
    }
    let Some((side, at, _)) = silent_end(case) else { return };
    let Some(idle) = case.idle_before(at) else { return };
    let near = |timer: i64| (idle - timer * SECOND).abs() <= TIMER_SLACK.min(timer * SECOND / 50).max(SECOND / 2);
    let Some(timer) = TIMERS.iter().copied().find(|timer| near(*timer)) else { return };
    let last = case.tcp().last_payload().unwrap_or(at);
    let finding = Finding::new(
        &IDLE_TIMEOUT,
        Confidence::Possible,
        format!(
            "Nobody spoke for {}, then the {} side hung up: {timer} s is a usual idle timeout of proxies and load balancers.",
            duration(idle),
            side.name()
        ),
    )
    .evidence(last, None, "last byte of either side")
    .evidence(at, Some(side), "the end, without a Close frame");
    judged.cause(Explains::Mechanism, finding);
}

/// Whether the Close of `side` speaks of a missing pong, as Python websockets and uvicorn say it.
fn blames_keepalive(case: &Case<'_>, side: Side) -> bool {
    case.close(side).is_some_and(|close| {
        let reason = close.reason.to_ascii_lowercase();
        close.code == Some(1011) && (reason.contains("keepalive") || reason.contains("ping timeout"))
    })
}

/// The moment `side` gave up: its Close that blames the pings, or its FIN or RST without a Close.
fn gave_up(case: &Case<'_>, side: Side) -> Option<Stamp> {
    if blames_keepalive(case, side) {
        return case.close(side).map(|close| close.stamp);
    }
    if case.close(side).is_some() || case.close(side.other()).is_some() {
        return None;
    }
    let (own, _) = case.left(side)?;
    let first = case.left(side.other()).is_none_or(|(other, _)| own < other);
    first.then_some(own)
}

fn ping_timeout(case: &Case<'_>, side: Side, outcome: Outcome, judged: &mut Judged) {
    let Some(sent) = case.sent(side) else { return };
    let Some(keepalive) = &sent.keepalive else { return };
    let peer = side.other();
    let blind = case.close_may_be_hidden(peer) || !case.sees_all_from(peer);
    let certain: Vec<&UnansweredPing> = keepalive.unanswered.iter().filter(|ping| !ping.answer_may_be_hidden).collect();
    let (Some(first), Some(last)) = (certain.first(), certain.last()) else { return };
    let patience = PATIENCE.max(3 * case.rtt_ns());
    let facts = case.side(side);
    // Never acknowledged: the ping did not arrive, or nothing comes back.
    let unacknowledged = facts.unacknowledged_since().is_some_and(|since| since <= last.stamp);
    if let Some(run) = facts.unusual().unacknowledged.filter(|_| unacknowledged) {
        let silent = case.side(peer).last().is_none_or(|last| last.at < run.first_retransmission.at);
        if silent && outcome != Outcome::ClosedClean {
            let finding = Finding::new(
                &PING_TIMEOUT_PATH_DEAD,
                Confidence::Proven,
                format!(
                    "The pings of the {} no longer reach the {}: sent again {} times, never acknowledged.",
                    side.name(),
                    peer.name(),
                    run.retransmissions
                ),
            )
            .evidence(first.stamp, Some(side), "first ping without an answer")
            .evidence(run.first_retransmission, Some(side), "sent again")
            .evidence(run.last_retransmission, Some(side), "sent again, last time");
            judged.cause(Explains::Deed, finding);
        }
        return;
    }
    let Some(end) = gave_up(case, side) else { return };
    if blind || end.at - last.stamp.at < 0 || end.at - first.stamp.at < patience {
        return;
    }
    let pongs = case.sent(peer).map_or(0, |sent| sent.pong);
    if sent.ping >= 2 && pongs == 0 {
        let finding = Finding::new(
            &PEER_NEVER_PONGS,
            Confidence::Likely,
            format!("The {} answered none of {} pings, then the {} gave up.", peer.name(), sent.ping, side.name()),
        )
        .evidence(first.stamp, Some(side), "first ping without an answer")
        .evidence(end, Some(side), "it ends the connection");
        judged.cause(Explains::Mechanism, finding);
        return;
    }
    let finding = Finding::new(
        &PING_TIMEOUT_APP_HUNG,
        Confidence::Likely,
        format!(
            "The {}'s kernel acknowledged the ping, its program did not answer within {}; then the {} gave up.",
            peer.name(),
            duration(end.at - first.stamp.at),
            side.name()
        ),
    )
    .evidence(first.stamp, Some(side), "ping that got no pong")
    .evidence(end, Some(side), "it ends the connection");
    judged.cause(Explains::Mechanism, finding);
}

/// The pong was there, whoever blames the peer was too busy to read it.
fn late_pong(case: &Case<'_>, side: Side, judged: &mut Judged) {
    if !blames_keepalive(case, side) {
        return;
    }
    let (Some(close), Some(sent)) = (case.close(side), case.sent(side)) else { return };
    let Some(keepalive) = &sent.keepalive else { return };
    let answered = keepalive.unanswered_count() == 0 && keepalive.answered > 0;
    let Some(pong) = case.sent(side.other()).and_then(|sent| sent.keepalive.as_ref()).and_then(|peer| peer.last_pong)
    else {
        return;
    };
    if !answered || pong >= close.stamp {
        return;
    }
    let finding = Finding::new(
        &PONG_ARRIVED_TOO_LATE,
        Confidence::Proven,
        format!(
            "{} closed because of a missing pong, yet the pong had arrived {} before: it was too busy to read it.",
            the(side),
            duration(close.stamp.at - pong.at)
        ),
    )
    .evidence(pong, Some(side.other()), "the pong")
    .evidence(close.stamp, Some(side), "Close 1011 that blames the pong");
    judged.cause(Explains::Deed, finding);
}

fn half_open(case: &Case<'_>, judged: &mut Judged) {
    for side in [Side::Client, Side::Server] {
        let facts = case.side(side);
        let Some(run) = facts.unusual().unacknowledged else { continue };
        let peer_reset = case.side(side.other()).reset().is_some_and(|reset| reset.stamp > run.first_retransmission);
        if run.last_retransmission.at - run.sent.at < HALF_OPEN_TIME || !peer_reset {
            continue;
        }
        let finding = Finding::new(
            &HALF_OPEN,
            Confidence::Proven,
            format!(
                "{} believed the connection alive and sent into nothing for {}; then the other host answered that it knows no such connection.",
                the(side),
                duration(run.last_retransmission.at - run.sent.at)
            ),
        )
        .evidence(run.sent, Some(side), "sent without an answer")
        .evidence(run.last_retransmission, Some(side), "sent again, last time");
        judged.cause(Explains::Mechanism, finding);
    }
}

fn no_keepalive(case: &Case<'_>, judged: &mut Judged) {
    let Some(opened) = case.opened() else { return };
    let lived = case.tcp().last.at - opened.at;
    let quiet = [Side::Client, Side::Server].iter().all(|side| {
        case.sent(*side).is_some_and(|sent| sent.ping == 0 && sent.pong == 0 && sent.whole())
            && case.side(*side).unusual().keep_alives == 0
    });
    if lived < LONG_LIVED || !quiet {
        return;
    }
    // So many messages over that time may have left no silence that is worth a ping; with fewer there was one for certain.
    if lived / i64::try_from(case.messages() + 1).unwrap_or(i64::MAX) < NO_PING_NEEDED {
        return;
    }
    let finding = Finding::new(
        &NO_KEEPALIVE,
        Confidence::Proven,
        format!("In {} neither side sent a ping: an idle timer on the way would end this connection.", duration(lived)),
    );
    judged.note(finding.evidence(opened, None, "the WebSocket opens").evidence(case.tcp().last, None, "last packet"));
}
