//! TCP and the network beneath: connections that were never made, and those that ended without a word.

use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::{Deed, Session, the};
use crate::diagnosis::finding::{CounterCheck, Decision, Finding};
use crate::diagnosis::human::duration;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::http::Answer;
use crate::packet::{IcmpKind, Stamp};
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

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    match session.tcp().opening {
        Opening::Refused => refused(session, candidates),
        Opening::Unanswered => unanswered(session, candidates),
        Opening::Handshake | Opening::MidStream => {}
    }
    mute(session, candidates);
    path_lost(session, outcome, candidates);
    forged_reset(session, candidates);
    windows(session, outcome, candidates);
    losses(session, candidates);
    ending(session, outcome, candidates);
}

fn refused(session: &Session<'_>, candidates: &mut Candidates) {
    let tcp = session.tcp();
    let reset = session.side(Side::Server).reset();
    let summary = format!("{} refused the connection: nothing listens on port {}.", tcp.server.ip, tcp.server.port);
    let mut finding = Finding::new(&CONNECTION_REFUSED, Confidence::Proven, summary);
    if let Some(syn) = session.side(Side::Client).last_syn() {
        finding = finding.evidence(syn, Some(Side::Client), "SYN");
    }
    if let Some(reset) = reset {
        finding = finding.evidence(reset.stamp, Some(Side::Server), "RST in answer to the SYN");
    }
    candidates.cause(finding);
}

fn unanswered(session: &Session<'_>, candidates: &mut Candidates) {
    let client = session.side(Side::Client);
    let tcp = session.tcp();
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
    candidates.cause(finding);
}

fn mute(session: &Session<'_>, candidates: &mut Candidates) {
    let Some(exchange) = session.exchange() else { return };
    let Some(request) = &exchange.request else { return };
    let server = session.side(Side::Server);
    if exchange.answer != Answer::Nothing || server.first_payload().is_some() || session.record.entries.len() > 1 {
        return;
    }
    let until = session.left(Side::Client).map_or(session.tcp().last, |(stamp, _)| stamp);
    let waited = until.at - request.head.last.at;
    let acknowledged = server.last_ack().is_some_and(|ack| ack.packet > request.head.last.packet);
    if waited < MUTE || !acknowledged || session.left(Side::Server).is_some_and(|(stamp, _)| stamp < until) {
        return;
    }
    if !session.coverage(Side::Server, request.head.last, until).is_whole() {
        return; // The answer may stand in the hole.
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
    candidates.cause(finding.evidence(until, None, "still no answer"));
}

fn path_lost(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if outcome == Outcome::ClosedClean || outcome == Outcome::ClosedNoStatus || session.websocket().is_none() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let Some(run) = session.unanswered_run(side) else { continue };
        if run.retransmissions < PATH_LOST_RETRANSMISSIONS {
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
        candidates.cause(finding).check(&OTHER_PATH_ALIVE, Decision::Undecidable);
    }
}

fn forged_reset(session: &Session<'_>, candidates: &mut Candidates) {
    if session.entry.is_none() || (session.close(Side::Client).is_some() && session.close(Side::Server).is_some()) {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let facts = session.side(side);
        let Some(reset) = facts.reset() else { continue };
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
        let mut finding = Finding::new(&FORGED_RESET, confidence, summary).evidence(reset.stamp, Some(side), "RST");
        if let Some(last) = facts.last_payload().filter(|_| kept_talking) {
            finding = finding.evidence(last, Some(side), "it goes on sending after the RST in its name");
        }
        // A stack may use another TTL for the RST of a closed port; a peer that keeps talking did not reset.
        let sent_it = if kept_talking { Decision::Refuted } else { Decision::Undecidable };
        candidates.cause(finding).check(&SENT_IT_ITSELF, sent_it);
    }
}

fn windows(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if session.websocket().is_none() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let stall = session.side(side).unusual().zero_window;
        if stall.longest_ns < ZERO_WINDOW_WARNING {
            continue;
        }
        let summary = format!(
            "The {}'s program stopped reading: its receive window was closed for {}.",
            side.name(),
            duration(stall.longest_ns)
        );
        let still_closed = stall.closed_since == Some(stall.longest_from);
        let (until, note) =
            if still_closed { (None, "still closed at the end") } else { (Some(side), "window open again") };
        let mut finding = Finding::new(&ZERO_WINDOW, Confidence::Proven, summary)
            .evidence(stall.longest_from, Some(side), "window closed")
            .evidence(stall.longest_until, until, note);
        if stall.longest_ns >= ZERO_WINDOW_ERROR && outcome.is_failure() {
            finding = finding.severity(Severity::Error);
        }
        candidates.note(finding.party(side));
    }
}

fn losses(session: &Session<'_>, candidates: &mut Candidates) {
    if session.websocket().is_none() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let facts = session.side(side);
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
            facts.last().unwrap_or(session.tcp().last),
            Some(side),
            "last packet of that side",
        );
        candidates.note(finding);
    }
}

/// How it ended when no Close frame did it, unless something explains it.
fn ending(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if outcome != Outcome::ClosedAbnormal {
        return;
    }
    let Some((side, stamp, deed)) = session.first_actor() else { return };
    if session.close(side).is_some() {
        return;
    }
    if deed == Deed::Fin && going_away(session, side.other(), stamp, candidates) {
        return;
    }
    let since = session.upgraded().map(|upgraded| duration(stamp.at - upgraded.at));
    let after = if since.is_some() { " after the upgrade" } else { "" };
    let (rule, word) = match deed {
        Deed::Rst => (&RESET_NO_CLOSE, "reset the TCP connection"),
        Deed::Fin | Deed::Close => (&FIN_NO_CLOSE, "closed the TCP connection"),
    };
    let space = if since.is_some() { " " } else { "" };
    let since = since.as_deref().unwrap_or_default();
    let summary = [the(side), " ", word, " without a Close frame", space, since, after, "."].concat();
    // A FIN that was not captured is shown by a packet of the other side.
    let unseen = deed == Deed::Fin && session.side(side).fin().is_none() && session.fin(side) == Some(stamp);
    let (from, note) = match deed {
        Deed::Rst => (side, "RST, no Close frame before it"),
        _ if unseen => (side.other(), "acknowledges its FIN, which was not captured"),
        _ => (side, "FIN, no Close frame before it"),
    };
    let mut finding = Finding::new(rule, Confidence::Proven, summary);
    if let Some(last) = session.side(side).last_payload() {
        finding = finding.evidence(last, Some(side), "its last bytes");
    }
    candidates
        .cause(finding.party(side).evidence(stamp, Some(from), note))
        .unless_explained(Specificity::Statement)
        .check(&PASSED_ON, Decision::Undecidable);
}

/// The end came because `side` had left HTTP/2 before with GOAWAY, which closes no WebSocket (RFC 9113 §6.8, RFC 8441 §5).
fn going_away(session: &Session<'_>, side: Side, end: Stamp, candidates: &mut Candidates) -> bool {
    let goaway = session.record.http2.as_deref().and_then(|http2| http2.goaway[side.sends().index()].as_ref());
    let over_http2 = session.entry.is_some_and(|entry| entry.http2.is_some());
    let Some(goaway) = goaway.filter(|goaway| over_http2 && goaway.stamp <= end) else { return false };
    let summary = format!(
        "{} left the HTTP/2 connection (GOAWAY) without a Close frame; the {} then ended it.",
        the(side),
        side.other().name()
    );
    let finding = Finding::new(&FIN_NO_CLOSE, Confidence::Proven, summary)
        .party(side)
        .evidence(goaway.stamp, Some(side), "GOAWAY, no Close frame before it")
        .evidence(end, Some(side.other()), "FIN");
    candidates.cause(finding).unless_explained(Specificity::Statement).check(&PASSED_ON, Decision::Undecidable);
    true
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
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

pub(crate) static DNS_FAILED: Rule = Rule {
    id: "WSN001",
    slug: "dns-failed",
    severity: Severity::Error,
    party: Party::Network,
    detected: false,
    title: "The server's name could not be turned into an address.",
    explanation: "Before it can connect, the client asks a name server for the server's address. The answer was an error, \
        or there was none, and the client never tried to connect. The WebSocket was not involved at all.",
    evidence: "A DNS question for the host, answered with NXDOMAIN (no such name), SERVFAIL or not at all, and no SYN \
        from that client to that host afterwards. Proven when the DNS packets are captured.",
    unless: "If a SYN follows, the client had the address from a cache or another name server. Encrypted DNS cannot \
        be seen.",
    advice: "Check the spelling, then ask the same name server that the client uses: dig NAME @SERVER. In containers \
        the name must exist in that network's DNS. Check for a forgotten entry in the hosts file and for a VPN \
        that changes the name server.",
    reports: "Browsers: ERR_NAME_NOT_RESOLVED in the console and close code 1006. node: ENOTFOUND or EAI_AGAIN. \
        Python: gaierror. Go: no such host.",
    references: &["RFC 1035 §4.1.1"],
    aliases: &["1006", "ENOTFOUND", "EAI_AGAIN", "ERR_NAME_NOT_RESOLVED", "NXDOMAIN", "SERVFAIL"],
    ..Rule::BASE
};

pub(crate) static CONNECTION_REFUSED: Rule = Rule {
    id: "WSN002",
    slug: "connection-refused",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Server,
    title: "The server's address refused the connection: nothing listens on that port, or a firewall says no.",
    explanation: "The client asked to connect and the address answered at once with a reset. So the machine, or a firewall \
        in its name, can be reached, but no program accepts connections on that port. A common reason is a \
        server that listens only on 127.0.0.1: it works on the machine itself and is refused from everywhere \
        else.",
    evidence: "A SYN answered by RST with ACK. Proven that the connection was refused. Whether the machine or a \
        firewall refused cannot always be told; a different hop count (TTL), or a much faster answer than usual, \
        speaks for a firewall.",
    unless: "A SYN-ACK before the reset means that the port is open: then see WSN005 or WSN007.",
    advice: "Start the server and compare port and address. On the server, ss -ltn shows what listens and where. Bind \
        to 0.0.0.0 or [::] instead of 127.0.0.1. Publish the port of a container (-p 3000:3000). In a reverse \
        proxy, check the upstream's address and port.",
    reports: "Browsers: ERR_CONNECTION_REFUSED in the console and close code 1006. node: ECONNREFUSED. Python: \
        ConnectionRefusedError. Go: connection refused.",
    references: &["RFC 9293 §3.5.2", "novnc/noVNC#254"],
    aliases: &["1006", "ECONNREFUSED", "ERR_CONNECTION_REFUSED", "ConnectionRefusedError", "connection refused"],
    ..Rule::BASE
};

pub(crate) static CONNECT_FILTERED: Rule = Rule {
    id: "WSN003",
    slug: "connect-filtered",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Deed),
    party: Party::Network,
    title: "The connection request was swallowed and nobody answered.",
    explanation: "The client sent its connection request several times, waiting longer after each, and got no answer of \
        any kind. Nobody said no: the requests were dropped silently. That is how firewalls and security groups \
        behave, and how a machine behaves that is switched off.",
    evidence: "At least two repeated SYNs and neither SYN-ACK nor RST. Likely a filter or a dead machine; proven \
        blocked when an ICMP message says administratively prohibited.",
    unless: "A SYN-ACK that is captured but never reaches the client points to the way back. If the machine is silent \
        to everything else as well, it is down rather than filtered.",
    advice: "Open the port in every firewall on the way: on the machine, in the cloud's security group, in the \
        router's port forwarding.\n\
        \n\
        \x20   ufw allow 3000/tcp\n\
        \n\
        Check with nc -vz HOST PORT from the client's network.",
    reports: "Browsers: ERR_CONNECTION_TIMED_OUT and close code 1006. node: ETIMEDOUT. Python: TimeoutError or \"timed \
        out during opening handshake\". Go: i/o timeout.",
    references: &["RFC 9293 §3.8.1", "RFC 1812 §5.2.7.1"],
    aliases: &["1006", "ETIMEDOUT", "ERR_CONNECTION_TIMED_OUT", "firewall"],
    ..Rule::BASE
};

pub(crate) static ACCEPTED_BUT_MUTE: Rule = Rule {
    id: "WSN004",
    slug: "accepted-but-mute",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Server,
    title: "The server's machine accepted the connection, but the program behind it never said a word.",
    explanation: "The TCP connection was set up and the request was delivered, but the server's program never sent a \
        single byte. The server's operating system does these first steps on its own, so an accepted connection \
        does not prove that a program is listening to it.",
    evidence: "SYN, SYN-ACK and ACK; the client's data is acknowledged; no data from the server for more than 5 \
        seconds. Proven that the program stayed silent; why is not visible from here.",
    unless: "Any data from the server rules it out. If TLS was asked for and not answered, see WST115. If only the \
        WebSocket answer is missing while other requests are answered, see WSH327.",
    advice: "Look for a blocked program: an endless loop, an exhausted thread pool, a debugger stop. Check that the \
        port speaks the protocol you expect. If a proxy answers on that port, look at its connection to the \
        server behind it.",
    reports: "Python websockets: timed out during opening handshake. Browsers wait long (Chromium 240 s, Firefox 20 s) \
        and then report close code 1006.",
    references: &["RFC 9293 §3.5", "RFC 6455 §4.1"],
    aliases: &["1006"],
    ..Rule::BASE
};

pub(crate) static RESET_NO_CLOSE: Rule = Rule {
    id: "WSN005",
    slug: "reset-no-close",
    severity: Severity::Error,
    role: Role::Ending,
    party: Party::Network,
    title: "One side cut the connection off with a reset, without the WebSocket goodbye.",
    explanation: "One side ended the connection with a TCP reset and had sent no Close frame. A reset is sent when a \
        program dies with unread data waiting, when it closes in abort mode, or when a device on the way has \
        forgotten the connection. Data still under way is lost, and the other side only learns that the line is \
        gone.",
    evidence: "An RST after the 101 from a side that had sent no Close frame. Who sent it is proven; why needs another \
        finding or that machine's log.",
    unless: "If that side had sent Close before, see WSC608. If the reset does not look like that side's other \
        packets (hop count, sequence number), see WSN007. If it answers the first packet after a long silence, \
        see WSK710.",
    advice: "Look at the logs of the side that sent the reset, at that second: crash, kill, out of memory, an \
        exception. If it is a proxy or a load balancer, look at its timeouts and at the server behind it.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake. node also raises ECONNRESET.",
    references: &["RFC 9293 §3.5.2", "RFC 6455 §7.1.5"],
    aliases: &["1006", "ECONNRESET", "connection reset by peer", "ERR_CONNECTION_RESET", "RST"],
    ..Rule::BASE
};

/// Whether that side did it of its own accord, or passes on what happened behind it.
static PASSED_ON: CounterCheck = CounterCheck {
    unless: "That side is a proxy or NAT, which only passed on or noticed what happened on the other side of it.",
    needs: "a capture on the other side of every proxy between the two",
};

pub(crate) static FIN_NO_CLOSE: Rule = Rule {
    id: "WSN006",
    slug: "fin-no-close",
    severity: Severity::Error,
    role: Role::Ending,
    party: Party::Server,
    title: "One side hung up without the WebSocket goodbye.",
    explanation: "One side closed the TCP connection in the ordinary way but left out the WebSocket goodbye (the Close \
        frame). Programs do that when they end or drop the socket without calling close. Proxies do it too: \
        nginx, HAProxy and Apache all pass on a broken connection to the server behind them as an ordinary \
        hang-up towards the client.",
    evidence: "A FIN after the 101 from a side that had sent no Close frame. Who hung up is proven; why needs another \
        finding.",
    unless: "A Close frame before the FIN makes it a normal end (WSC601, WSC602). After a proxy's FIN, look at the \
        connection behind the proxy before you blame the proxy.",
    advice: "Let the program close properly: ws.close(1000, \"reason\"), also on shutdown and in error handlers. If a \
        proxy hung up, look for a timeout (WSK701), a reload (WSO803) or a dead server behind it (WSO805).",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §7.1.1", "RFC 6455 §7.1.5"],
    aliases: &["1006", "no close frame received or sent", "unexpected EOF"],
    ..Rule::BASE
};

pub(crate) static FORGED_RESET: Rule = Rule {
    id: "WSN007",
    slug: "forged-reset",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Network,
    title: "Something between the two ends seems to have cut the connection.",
    explanation: "A reset arrived that does not look like the side it claims to come from. Firewalls and intrusion \
        prevention systems cut unwanted connections in this way: they send a reset to both ends in the other's \
        name.",
    evidence: "The RST's hop count (TTL) differs by more than 1 from that side's other packets, or its sequence number \
        is outside the window, or both ends get a reset within a millisecond while one of them goes on sending. \
        Likely, never proven from one capture point.",
    unless: "Equal hop counts and fitting numbers mean an ordinary reset (WSN005). Load balancers and address \
        translators send resets of their own after their idle time (WSK710).",
    advice: "Ask whoever runs the firewall for entries at that second and for this pair of addresses. Try wss:// on \
        port 443, which such devices usually leave alone.",
    reports: "Both ends report an abnormal end. Browsers report close code 1006 with an empty reason and wasClean \
        false. node ws reports close code 1006. Python websockets raises ConnectionClosedError: no close frame \
        received or sent. Go (gorilla) reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The \
        remote party closed the WebSocket connection without completing the close handshake.",
    references: &["RFC 9293 §3.5.3", "RFC 5961 §3"],
    aliases: &["1006", "ECONNRESET", "IPS", "middlebox"],
    ..Rule::BASE
};

/// Whether its own end of the path sent the RST.
static SENT_IT_ITSELF: CounterCheck = CounterCheck {
    unless: "The machine sent the RST itself, with another TTL than its other packets.",
    needs: "a capture taken beside that machine",
};

pub(crate) static PATH_LOST: Rule = Rule {
    id: "WSN008",
    slug: "path-lost",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Mechanism),
    party: Party::Network,
    title: "Packets stopped getting through: the path or the other machine is gone.",
    explanation: "The same data was sent again and again, with longer and longer pauses, and was never confirmed. So the \
        way to the other machine, or the machine itself, is gone. A program that merely hangs is different: its \
        operating system would still confirm the data.",
    evidence: "The same bytes retransmitted at least five times with growing pauses, no acknowledgement, no FIN, no \
        RST.",
    unless: "If acknowledgements keep coming, the machine is alive and its program is stuck (WSK703). If only large \
        packets vanish, see WSN009. If it begins right after a long silence, see WSK711.",
    advice: "Check the network, the VPN, the WLAN, and whether the other machine slept or lost power. Let both sides \
        send pings and give up early; otherwise Linux keeps trying for about 15 minutes before the program hears \
        of it.",
    reports: "Nothing for a long time, then 1006 or ETIMEDOUT.",
    references: &["RFC 6298 §5", "RFC 9293 §3.8.3"],
    aliases: &["1006", "ETIMEDOUT", "retransmission"],
    ..Rule::BASE
};

/// Which direction is lost, and whether the machine lives.
static OTHER_PATH_ALIVE: CounterCheck = CounterCheck {
    unless: "The other machine received everything, and its answers were lost on the way back or behind the capture.",
    needs: "a capture taken beside the other machine",
};

pub(crate) static MTU_BLACKHOLE: Rule = Rule {
    id: "WSN009",
    slug: "mtu-blackhole",
    severity: Severity::Error,
    party: Party::Network,
    detected: false,
    title: "Large packets vanish on the way while small ones pass.",
    explanation: "Small packets get through, packets of full size disappear. Somewhere on the way, often in a VPN, the \
        largest possible packet is smaller, and the message that should tell the sender so is blocked. The \
        handshake and short messages work, and the first long message hangs forever.",
    evidence: "Only segments of the full size are retransmitted, at least three times, while smaller ones sent later \
        are acknowledged. Unanswered or ignored ICMP \"fragmentation needed\" or \"packet too big\" messages add \
        to it. Likely.",
    unless: "If small segments get lost as well, it is ordinary loss (WSN012).",
    advice: "Lower the interface's MTU on the VPN, let ICMP type 3 code 4 and ICMPv6 type 2 pass, or make the router \
        limit the segment size:\n\
        \n\
        \x20   iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
    reports: "The connection hangs, then reports 1006.",
    references: &["RFC 2923 §2.1", "RFC 1191 §4", "lxc/incus#2405"],
    aliases: &["1006", "MTU", "PMTUD", "MSS"],
    ..Rule::BASE
};

pub(crate) static NAT_REBINDING: Rule = Rule {
    id: "WSN010",
    slug: "nat-rebinding",
    severity: Severity::Warning,
    party: Party::Network,
    detected: false,
    title: "The client seems to have come back from a different address while its old connection fell silent.",
    explanation: "The client's old connection fell silent, and the same client opened a new one from another address or \
        port. Mobile networks and home routers hand out new addresses or forget connections. The server keeps \
        talking to the old address until it gives up.",
    evidence: "Connection A goes quiet; a client with the same cookie, token, User-Agent or server name opens \
        connection B from another source; data from the server on A is then retransmitted without an answer. \
        Likely.",
    unless: "If A ended properly before, it is an ordinary reconnect. Two different users behind one router look \
        similar.",
    advice: "Send pings more often than the router forgets, for example every 25 seconds, and let the server drop a \
        connection whose ping is not answered.",
    reports: "On the server the old connection looks open for minutes and then ends with 1006.",
    references: &["RFC 5382 §5", "RFC 6455 §5.5.2"],
    aliases: &["NAT", "roaming"],
    ..Rule::BASE
};

pub(crate) static ZERO_WINDOW: Rule = Rule {
    id: "WSN011",
    slug: "zero-window",
    severity: Severity::Warning,
    party: Party::Server,
    title: "The receiving program stopped reading, so the sender had to stop.",
    explanation: "The receiver told the sender to stop because its buffer is full. TCP does that when the program on the \
        receiving side does not read what has already arrived. The network is fine; messages pile up at the \
        sender instead, which costs memory and often leads to a disconnect.",
    evidence: "One side advertises a receive window of 0 for more than a second while the other has data to send and \
        probes for room. Proven that this side's program was not reading. From 10 seconds on it counts as an \
        error where the connection broke.",
    unless: "A window that opens again within moments is normal flow control.",
    advice: "Make the reading side faster: do not work inside the message handler, hand messages to a queue. On the \
        sending side, limit what waits for one client and drop or disconnect slow clients on purpose: check \
        bufferedAmount (browsers, node ws), or await send with a timeout (Python).",
    reports: "Nothing by itself: messages come late and memory grows. Often followed by a ping timeout or a close with \
        1008 or 1013.",
    references: &["RFC 9293 §3.8.6.1", "websockets/ws#1218"],
    aliases: &["backpressure", "zero window", "slow consumer"],
    ..Rule::BASE
};

pub(crate) static LOSSY_PATH: Rule = Rule {
    id: "WSN012",
    slug: "lossy-path",
    severity: Severity::Warning,
    party: Party::Network,
    title: "The network is losing packets.",
    explanation: "A noticeable part of the packets is lost and has to be sent again. TCP repairs this, but every repair \
        costs time, so messages and pongs come late. Pings with tight timeouts then end connections that are \
        still alive.",
    evidence: "More than 3 percent of the data segments are retransmitted, or a repair typically takes longer than a \
        second.",
    unless: "Packets that only the capture is missing are no loss (WSI002). If nothing gets through any more, see \
        WSN008; if only large packets fail, see WSN009.",
    advice: "Look for a weak WLAN, an overloaded line or a faulty port. Until it is fixed, allow more time for pongs, \
        for example ping_timeout=60 in Python websockets.",
    reports: "Lag; sometimes keepalive ping timeout.",
    references: &["RFC 6298 §2", "RFC 5681 §3"],
    aliases: &["packet loss", "retransmissions"],
    ..Rule::BASE
};
