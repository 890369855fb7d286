//! Pings, pongs and silence on one connection. What needs several connections is in [`correlate`](super::super::correlate).

use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::{Session, the};
use crate::diagnosis::finding::{CounterCheck, Decision, Finding};
use crate::diagnosis::human::duration;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
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

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if session.websocket().is_none() || outcome == Outcome::UpgradeFailed {
        return;
    }
    for side in [Side::Client, Side::Server] {
        ping_timeout(session, side, outcome, candidates);
        late_pong(session, side, candidates);
    }
    half_open(session, candidates);
    idle_timeout(session, outcome, candidates);
    no_keepalive(session, candidates);
}

/// The silence before the end is as long as a timer that products on the way are known to have. One connection
/// alone makes that possible, no more, and never names the product.
fn idle_timeout(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if outcome != Outcome::ClosedAbnormal {
        return;
    }
    let Some((side, at, _)) = session.silent_end() else { return };
    let Some(idle) = session.idle_before(at) else { return };
    let near = |timer: i64| (idle - timer * SECOND).abs() <= TIMER_SLACK.min(timer * SECOND / 50).max(SECOND / 2);
    let Some(timer) = TIMERS.iter().copied().find(|timer| near(*timer)) else { return };
    let last = session.tcp().last_payload().unwrap_or(at);
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
    candidates.cause(finding).unless_explained(Specificity::Mechanism).check(&BY_CHANCE, Decision::Undecidable);
}

/// Whether the Close of `side` speaks of a missing pong, as Python websockets and uvicorn say it.
pub(super) fn blames_keepalive(session: &Session<'_>, side: Side) -> bool {
    session.close(side).is_some_and(|close| {
        let reason = close.reason.to_ascii_lowercase();
        close.code == Some(1011) && (reason.contains("keepalive") || reason.contains("ping timeout"))
    })
}

/// The moment `side` gave up: its Close that blames the pings, or its FIN or RST without a Close.
fn gave_up(session: &Session<'_>, side: Side) -> Option<Stamp> {
    if blames_keepalive(session, side) {
        return session.close(side).map(|close| close.stamp);
    }
    if session.close(side).is_some() || session.close(side.other()).is_some() {
        return None;
    }
    let (own, _) = session.left(side)?;
    let first = session.left(side.other()).is_none_or(|(other, _)| own < other);
    first.then_some(own)
}

fn ping_timeout(session: &Session<'_>, side: Side, outcome: Outcome, candidates: &mut Candidates) {
    let Some(sent) = session.sent(side) else { return };
    let Some(keepalive) = &sent.keepalive else { return };
    let peer = side.other();
    let certain: Vec<&UnansweredPing> = keepalive.unanswered.iter().filter(|ping| !ping.answer_may_be_hidden).collect();
    let (Some(first), Some(last)) = (certain.first(), certain.last()) else { return };
    let patience = PATIENCE.max(3 * session.rtt_ns());
    let facts = session.side(side);
    // Never acknowledged: the ping did not arrive, or nothing comes back.
    let unacknowledged = facts.unacknowledged_since().is_some_and(|since| since <= last.stamp);
    if let Some(run) = session.unanswered_run(side).filter(|_| unacknowledged) {
        if outcome != Outcome::ClosedClean {
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
            candidates.cause(finding);
        }
        return;
    }
    let Some(end) = gave_up(session, side) else { return };
    let blind = session.close_may_be_hidden(peer) || !session.coverage(peer, first.stamp, end).is_whole();
    if blind || end.at - last.stamp.at < 0 || end.at - first.stamp.at < patience {
        return;
    }
    // It never answers pings at all: then this one says nothing about its program.
    let pongs = session.sent(peer).map_or(0, |sent| sent.pong);
    if sent.ping >= 2 && pongs == 0 {
        let finding = Finding::new(
            &PEER_NEVER_PONGS,
            Confidence::Likely,
            format!("The {} answered none of {} pings, then the {} gave up.", peer.name(), sent.ping, side.name()),
        )
        .evidence(first.stamp, Some(side), "first ping without an answer")
        .evidence(end, Some(side), "it ends the connection");
        candidates.cause(finding.party(peer));
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
    candidates.cause(finding.party(peer));
}

/// The pong was there, whoever blames the peer was too busy to read it.
fn late_pong(session: &Session<'_>, side: Side, candidates: &mut Candidates) {
    if !blames_keepalive(session, side) {
        return;
    }
    let (Some(close), Some(sent)) = (session.close(side), session.sent(side)) else { return };
    let Some(keepalive) = &sent.keepalive else { return };
    let answered = keepalive.unanswered_count() == 0 && keepalive.answered > 0;
    let Some(pong) =
        session.sent(side.other()).and_then(|sent| sent.keepalive.as_ref()).and_then(|peer| peer.last_pong)
    else {
        return;
    };
    // A ping that the capture lacks may be the one that nobody answered.
    if !answered || pong >= close.stamp || !session.coverage(side, pong, close.stamp).is_whole() {
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
    let never_acknowledged = session.side(side.other()).unacknowledged_since().is_some_and(|since| since <= pong);
    let lost = match never_acknowledged {
        true if session.tcp().one_way() => Decision::Undecidable,
        true => Decision::Stands,
        false => Decision::Refuted,
    };
    candidates.cause(finding.party(side)).check(&PONG_LOST, lost);
}

fn half_open(session: &Session<'_>, candidates: &mut Candidates) {
    for side in [Side::Client, Side::Server] {
        let facts = session.side(side);
        let Some(run) = facts.unusual().unacknowledged else { continue };
        let peer_reset = session.side(side.other()).reset().is_some_and(|reset| reset.stamp > run.first_retransmission);
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
        candidates.cause(finding);
    }
}

fn no_keepalive(session: &Session<'_>, candidates: &mut Candidates) {
    let Some(opened) = session.opened() else { return };
    let lived = session.tcp().last.at - opened.at;
    let quiet = [Side::Client, Side::Server].iter().all(|side| {
        session.sent(*side).is_some_and(|sent| sent.ping == 0 && sent.pong == 0 && sent.whole())
            && session.side(*side).unusual().keep_alives == 0
    });
    if lived < LONG_LIVED || !quiet {
        return;
    }
    // So many messages over that time may have left no silence that is worth a ping; with fewer there was one for certain.
    if lived / i64::try_from(session.messages() + 1).unwrap_or(i64::MAX) < NO_PING_NEEDED {
        return;
    }
    let finding = Finding::new(
        &NO_KEEPALIVE,
        Confidence::Proven,
        format!("In {} neither side sent a ping: an idle timer on the way would end this connection.", duration(lived)),
    );
    candidates.note(finding.evidence(opened, None, "the WebSocket opens").evidence(
        session.tcp().last,
        None,
        "last packet",
    ));
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
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

pub(crate) static IDLE_TIMEOUT: Rule = Rule {
    id: "WSK701",
    slug: "idle-timeout",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Network,
    shared: true,
    title: "Nobody said anything for a while, so something hung up.",
    explanation: "Nobody sent anything for some time, and then something hung up without a goodbye. Proxies and load \
        balancers do that to connections that look dead: nginx after 60 seconds, others after 30, 100, 300 or \
        more. Usually neither the server nor the client wanted it.",
    evidence: "FIN or RST without a close frame, after a silence that equals a common timer (within 1.5 seconds or 2 \
        percent). One such connection: possible. Three or more with the same silence: likely. A proxy that \
        closes both of its sides in the same moment: proven that the proxy did it, likely that a timer made it. \
        The number alone never proves which product it is.",
    unless: "Unanswered pings point to a ping timeout (WSK703, WSK704). If the silence differs each time, it is \
        something else. If messages were flowing until the end, see WSK702.",
    advice: "Let one side send a ping more often than the shortest timer on the way, at most every half of it; every \
        20 to 25 seconds suits most. Browsers cannot send pings, so let the server do it, or the page sends a \
        small message. Or raise the timer:\n\
        \n\
        \x20   nginx:    proxy_read_timeout 3600s;\n\
        \x20             proxy_send_timeout 3600s;\n\
        \x20   HAProxy:  timeout tunnel 1h\n\
        \x20   Apache:   TimeOut 3600\n\
        \x20   AWS ALB:  idle_timeout.timeout_seconds=300\n\
        \n\
        \x20   node ws:            setInterval(() => wss.clients.forEach((c) => c.ping()), 25000)\n\
        \x20   Python websockets:  serve(handler, host, port, ping_interval=20)   (the default)",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §5.5.2", "nginx proxy_read_timeout", "HAProxy timeout tunnel", "AWS ELB idle timeout"],
    aliases: &["1006", "1001", "idle timeout", "proxy_read_timeout", "timeout tunnel", "60 seconds"],
    ..Rule::BASE
};

/// Whether a timer it was, when a single connection shows it.
static BY_CHANCE: CounterCheck = CounterCheck {
    unless: "The silence is as long as a usual timer by chance, and that side left for a reason of its own.",
    needs: "two more connections that end alike, or a capture on both sides of the proxy",
};

pub(crate) static MAX_LIFETIME: Rule = Rule {
    id: "WSK702",
    slug: "max-lifetime",
    severity: Severity::Warning,
    party: Party::Proxy,
    detected: false,
    title: "The connection seems to have reached a maximum age.",
    explanation: "The connection ended although messages were flowing, and others ended at the same age. Some platforms \
        limit how long any connection may live, used or not: for example 30 seconds by default behind Google's \
        HTTP load balancers, 2 hours at AWS API Gateway, 4 hours at Azure Front Door. Logins that expire have \
        the same effect.",
    evidence: "Two or more connections of the same age (within 1 percent), while the silence before the end was short. \
        Likely.",
    unless: "If the line was silent before the end, see WSK701. A restart ends connections of different ages at one \
        moment (WSO801).",
    advice: "Raise the limit where possible. Google Cloud:\n\
        \n\
        \x20   gcloud compute backend-services update NAME --timeout=3600\n\
        \n\
        And let the client reconnect on its own, somewhat before the limit and after a random pause.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §7.2.3", "AWS API Gateway WebSocket quotas", "Google Cloud backend service timeout"],
    aliases: &["1006", "max lifetime", "backend service timeout"],
    ..Rule::BASE
};

pub(crate) static PING_TIMEOUT_APP_HUNG: Rule = Rule {
    id: "WSK703",
    slug: "ping-timeout-app-hung",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Server,
    title: "The other side's machine received the ping, but its program never answered.",
    explanation: "A ping arrived at the other machine: its operating system confirmed it. But the program there never \
        answered, and the sender gave up. So the network is fine and the program was stuck: it computed, waited \
        for something, or did not read.",
    evidence: "A ping without a pong, acknowledged by TCP, then the end of the connection from the side that sent it \
        (often Close 1011 keepalive ping timeout). Likely.",
    unless: "If the ping was not acknowledged, see WSK704. If the pong is in the capture before the end, see WSK705. \
        If that side never answers pings, see WSK709.",
    advice: "Find what blocks the program: long computations in an event loop, blocking calls in async code, a \
        debugger stop, a suspended tab or laptop. Move such work to a thread or a process. More patience helps \
        as well: ping_timeout=60 in Python websockets.",
    reports: "Python websockets: sent 1011 (internal error) keepalive ping timeout; no close frame received. \
        websocket-client: ping/pong timed out. aiohttp: No PONG received. The stuck side reports 1006 or 1011.",
    references: &["RFC 6455 §5.5.2", "RFC 6455 §5.5.3", "ninenines/cowboy#1675"],
    aliases: &["1011", "1006", "keepalive ping timeout", "ping/pong timed out"],
    ..Rule::BASE
};

pub(crate) static PING_TIMEOUT_PATH_DEAD: Rule = Rule {
    id: "WSK704",
    slug: "ping-timeout-path-dead",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Network,
    title: "Pings no longer reach the other side.",
    explanation: "The pings were sent again and again and never confirmed by the other machine. So they did not arrive: \
        the network is interrupted, the machine is gone or asleep, or a router forgot the connection.",
    evidence: "A ping whose packets are retransmitted and never acknowledged. Proven that it did not get through, or \
        that the confirmation did not come back.",
    unless: "If the ping was acknowledged, the program there is stuck (WSK703). If it begins right after a long \
        silence, see WSK711.",
    advice: "Check the network between the two, VPN and WLAN included. Ending the connection and reconnecting is \
        right here.",
    reports: "Python websockets: sent 1011 (internal error) keepalive ping timeout; no close frame received. Others \
        report 1006.",
    references: &["RFC 6455 §5.5.2", "RFC 9293 §3.8.3"],
    aliases: &["1011", "1006", "keepalive ping timeout"],
    ..Rule::BASE
};

pub(crate) static PONG_ARRIVED_TOO_LATE: Rule = Rule {
    id: "WSK705",
    slug: "pong-arrived-too-late",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The pong was there before the connection was closed for lack of it.",
    explanation: "One side closed because a pong was missing, although that pong had already reached its machine. Its own \
        program was too busy to read it. The other side and the network are innocent, even though the message \
        blames them.",
    evidence: "The matching pong is in the capture, acknowledged, before the Close 1011 keepalive ping timeout or the \
        hang-up. Proven when the capture was taken near the complaining side; elsewhere likely.",
    unless: "If the pong came after the close, it really was late.",
    advice: "Look at the load of the side that complained: a blocked event loop, the interpreter lock in Python, a \
        long queue of messages before the pong. Allow more time: ping_timeout=60 in Python websockets.",
    reports: "1011 keepalive ping timeout on both sides.",
    references: &["RFC 6455 §5.5.3", "python-websockets/websockets#1012"],
    aliases: &["1011", "keepalive ping timeout"],
    ..Rule::BASE
};

/// Whether the pong got to the side that missed it. Beside its sender it is in the capture even if it was lost later.
static PONG_LOST: CounterCheck = CounterCheck {
    unless: "The pong was never acknowledged: it was lost on the way.",
    needs: "a capture with the packets of both sides",
};

pub(crate) static KEEPALIVE_RACE: Rule = Rule {
    id: "WSK706",
    slug: "keepalive-race",
    severity: Severity::Warning,
    party: Party::Server,
    detected: false,
    title: "The ping comes about as late as the timeout it should prevent.",
    explanation: "The pings come about as rarely as the timer that they should keep from running out. Sometimes the ping \
        is first, sometimes the timer. The connection breaks now and then, without a pattern.",
    evidence: "The time between pings is at least 90 percent of a timer seen or known on this path.",
    unless: "If pings come at least twice within the timer, this is not the reason.",
    advice: "Ping at half the timer or more often: every 25 seconds for a timer of 60.",
    reports: "1006 now and then.",
    references: &["RFC 6455 §5.5.2", "mattermost/docs#8929"],
    aliases: &["1006", "keepalive", "ping interval"],
    ..Rule::BASE
};

pub(crate) static NO_KEEPALIVE: Rule = Rule {
    id: "WSK707",
    slug: "no-keepalive",
    severity: Severity::Info,
    party: Party::Application,
    title: "Neither side sends any sign of life while the connection is idle.",
    explanation: "For more than two minutes neither side sent a ping, a pong or a heartbeat of its own. It works as long \
        as no router, proxy or load balancer on the way loses patience, and neither side would notice if the \
        other were gone. Browsers never send pings by themselves.",
    evidence: "A connection of more than 120 seconds without any ping, pong or known heartbeat. Proven.",
    unless: "Where messages flow all the time, no heartbeat is needed.",
    advice: "Let the server ping every 20 to 25 seconds and drop clients that do not answer. node ws:\n\
        \n\
        \x20   ws.isAlive = true;\n\
        \x20   ws.on(\"pong\", () => { ws.isAlive = true; });\n\
        \x20   setInterval(() => {\n\
        \x20     if (!ws.isAlive) return ws.terminate();\n\
        \x20     ws.isAlive = false;\n\
        \x20     ws.ping();\n\
        \x20   }, 25000);\n\
        \n\
        Python websockets does it by default.",
    references: &["RFC 6455 §5.5.2"],
    aliases: &["heartbeat", "keepalive"],
    ..Rule::BASE
};

pub(crate) static APP_HEARTBEAT_MISSED: Rule = Rule {
    id: "WSK708",
    slug: "app-heartbeat-missed",
    severity: Severity::Error,
    party: Party::Application,
    detected: false,
    title: "The application's own heartbeat was not answered.",
    explanation: "Many application protocols have a heartbeat of their own, in ordinary messages. Here it was asked and \
        not answered in time, and the side that waited closed. socket.io, for example, sends the text 2 every 25 \
        seconds and expects 3 within 20.",
    evidence: "A heartbeat of the recognised protocol without an answer within its time, then the end. Likely; proven \
        if both times were announced in the handshake.",
    unless: "If the answer is in the capture before the end, the side that closed was too busy to read it (as in \
        WSK705).",
    advice: "Look for a blocked program on the side that did not answer; in browsers also for a tab in the \
        background, whose timers run late. Raise the protocol's timeout (pingTimeout in socket.io, serverTimeout \
        in SignalR).",
    reports: "socket.io: ping timeout. SignalR: Server timeout elapsed without receiving a message from the server.",
    references: &["Engine.IO protocol", "RFC 6455 §5.6"],
    aliases: &["1006", "1000", "ping timeout", "Server timeout elapsed", "heartbeat"],
    ..Rule::BASE
};

pub(crate) static PEER_NEVER_PONGS: Rule = Rule {
    id: "WSK709",
    slug: "peer-never-pongs",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Server,
    supersedes: &[&PING_TIMEOUT_APP_HUNG],
    title: "One side never answers pings at all.",
    explanation: "This side receives pings, sends other things, and never answers with a pong. It must answer. The side \
        that pings will sooner or later take it for dead.",
    evidence: "At least two pings, no pong from that side on the whole connection, while other data flows from it. \
        Proven.",
    unless: "If nothing at all comes from that side, see WSK703 and WSK704. If a new ping replaced an older one, only \
        the newest needs an answer.",
    advice: "Update the library; it should answer pings by itself as long as the program reads. If that is \
        impossible, switch the check off on the other side (setConnectionLostTimeout(0) in Java-WebSocket, \
        ping_interval=None in Python websockets).",
    reports: "Java-WebSocket: The connection was closed because the other endpoint did not respond with a pong in \
        time.",
    references: &["RFC 6455 §5.5.2", "RFC 6455 §5.5.3", "TooTallNate/Java-WebSocket#560"],
    aliases: &["1006", "1011", "pong", "did not respond with a pong in time"],
    ..Rule::BASE
};

pub(crate) static LB_RESET_ON_RESUME: Rule = Rule {
    id: "WSK710",
    slug: "lb-reset-on-resume",
    severity: Severity::Error,
    party: Party::Network,
    detected: false,
    title: "After a silence, the first packet was answered with a reset.",
    explanation: "After a long silence one side sent something and was answered at once with a reset. A load balancer or \
        firewall on the way had forgotten the connection meanwhile, without telling anybody. AWS Network Load \
        Balancers do so after 350 seconds.",
    evidence: "No FIN before, a silence longer than a known timer, then data and right after it an RST from the other \
        address. Likely.",
    unless: "If the other machine was restarted meanwhile, the reset is its own: other connections to it then end as \
        well (WSO802).",
    advice: "Send a ping more often than the timer: at most every 175 seconds for 350. For AWS the timer can be \
        raised (tcp.idle_timeout.seconds).",
    reports: "ECONNRESET, then 1006.",
    references: &["RFC 9293 §3.5.2", "AWS NLB connection idle timeout"],
    aliases: &["1006", "ECONNRESET", "NLB", "350 seconds"],
    ..Rule::BASE
};

pub(crate) static SILENT_STATE_LOSS: Rule = Rule {
    id: "WSK711",
    slug: "silent-state-loss",
    severity: Severity::Error,
    party: Party::Network,
    detected: false,
    title: "After a silence, packets vanish without any answer.",
    explanation: "After a long silence one side sends and nothing comes back, not even a reset. A firewall or router on \
        the way has forgotten the connection and drops its packets. The program believes for minutes that all is \
        well.",
    evidence: "A silence longer than a known timer, then data that is retransmitted and never acknowledged, with no \
        RST. Likely.",
    unless: "If the other machine is unreachable for new connections as well, it is down (WSO804, WSN008).",
    advice: "Send a ping more often than the timer: every 25 seconds is safe, and at most every 120 seconds for \
        Azure's 4 minutes. In Azure, also switch on the load balancer's TCP reset, so that both sides learn of \
        it.",
    reports: "Nothing for minutes, then 1006 or ETIMEDOUT.",
    references: &["RFC 5382 §5", "Azure Load Balancer TCP reset and idle timeout"],
    aliases: &["1006", "ETIMEDOUT", "NAT timeout", "Azure"],
    ..Rule::BASE
};

pub(crate) static HALF_OPEN: Rule = Rule {
    id: "WSK712",
    slug: "half-open",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Network,
    title: "One side believes the connection lives while the other has gone.",
    explanation: "One side has lost the connection and knows it: it has connected anew, or answers with resets. The other \
        side still keeps the old one and sends to it. Such leftovers use memory, and users seem to be online \
        twice.",
    evidence: "Data retransmitted on the old connection for more than 30 seconds, while the same client already has a \
        new one, or resets from the other side. Likely.",
    unless: "If acknowledgements arrive, the old connection lives.",
    advice: "Let the side that keeps the leftover send pings and drop it when the answer is missing (terminate() in \
        node ws, rather than close()). On Linux TCP_USER_TIMEOUT helps, in HAProxy tcp-ut.",
    reports: "Nothing on the side that still believes; 1006 much later.",
    references: &["RFC 9293 §3.5.1", "RFC 5482 §3", "websockets/ws#686"],
    aliases: &["1006", "half-open", "zombie", "ghost connection"],
    ..Rule::BASE
};
