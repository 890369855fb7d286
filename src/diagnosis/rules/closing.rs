//! The closing handshake (RFC 6455 §7) and what the close codes say.

use super::framing::{MESSAGE_TOO_BIG, TOO_MANY_FRAGMENTS, WRONG_TYPE};
use super::keepalive::blames_keepalive;
use crate::diagnosis::catalogue::{Party, Role, Rule, Specificity};
use crate::diagnosis::context::{Deed, Session, the};
use crate::diagnosis::finding::{CounterCheck, Decision, Finding};
use crate::diagnosis::human::{duration, number};
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use std::borrow::Cow;

use crate::packet::Stamp;
use crate::stream::Side;
use crate::websocket::CloseFacts;

/// Chromium waits so long, in nanoseconds, for the server to end TCP after the closing handshake.
const SERVER_KEPT_OPEN: i64 = 1_500_000_000;
/// A peer that had less than this, in nanoseconds, to answer a Close before TCP ended did not refuse to.
const NOT_WAITED: i64 = 500_000_000;
/// A Close this soon after a message, in nanoseconds, is about that message.
const AT_ONCE: i64 = 2_000_000_000;
/// A side that goes on sending this long after the other's FIN, in nanoseconds.
const HALF_CLOSED: i64 = 1_000_000_000;

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if session.websocket().is_none() || outcome == Outcome::UpgradeFailed {
        return;
    }
    let (client, server) = (session.close(Side::Client), session.close(Side::Server));
    match (client, server) {
        (Some(client), Some(server)) => {
            let first = if client.stamp <= server.stamp { Side::Client } else { Side::Server };
            statement(session, first, if first == Side::Client { client } else { server }, candidates);
            if first == Side::Server {
                unsolicited_status(session, Side::Client, client, candidates);
            } else {
                unsolicited_status(session, Side::Server, server, candidates);
            }
            complete(session, outcome, client, server, candidates);
        }
        (Some(close), None) => one_sided(session, Side::Client, close, outcome, candidates),
        (None, Some(close)) => one_sided(session, Side::Server, close, outcome, candidates),
        (None, None) => {}
    }
    half_close(session, candidates);
    symptom(session, outcome, candidates);
}

/// An answer without a status although the question had one: the asker then sees 1005.
fn unsolicited_status(session: &Session<'_>, side: Side, close: &CloseFacts, candidates: &mut Candidates) {
    let asked = session.close(side.other()).is_some_and(|other| other.length > 0);
    if close.captured && close.length == 0 && asked {
        no_status(side, close, true, candidates);
    }
}

/// An empty Close; `answered`: it answers one that had a code.
fn no_status(side: Side, close: &CloseFacts, answered: bool, candidates: &mut Candidates) {
    let finding = Finding::new(
        &CLOSE_NO_STATUS,
        Confidence::Proven,
        [
            the(side),
            " closed without saying why: its Close frame is empty, so the ",
            side.other().name(),
            " sees 1005.",
        ]
        .concat(),
    );
    let finding = finding.party(side).evidence(close.stamp, Some(side), "Close frame without a status code");
    // A client that closes without a code does what close() does: nobody lost anything by it.
    let wished = side == Side::Client && !answered;
    candidates.cause(if wished { finding.severity(Severity::Info) } else { finding });
}

/// What the first Close says.
fn statement(session: &Session<'_>, side: Side, close: &CloseFacts, candidates: &mut Candidates) {
    if !close.captured {
        return;
    }
    let Some(code) = close.code else {
        if close.length == 0 {
            no_status(side, close, false, candidates);
        }
        return;
    };
    if !close.valid {
        return; // The framing rules have said so.
    }
    let peer = side.other();
    let who = the(side);
    let (rule, summary) = match code {
        1000 => return,
        1001 if session.close(side.other()).is_none() && session.tcp_ended() => return,
        1001 => {
            let why = if side == Side::Client { "the page was left or the program ended" } else { "it is stopping" };
            candidates.note(
                say(
                    &GOING_AWAY,
                    Confidence::Likely,
                    side,
                    close,
                    [who, " went away (1001): most likely ", why, "."].concat(),
                )
                .party(side),
            );
            return;
        }
        1002 => (&PROTOCOL_ERROR, format!("{who} closed with 1002: it saw a protocol error of the {}.", peer.name())),
        1003 => (
            &UNSUPPORTED_OR_INVALID,
            format!("{who} closed with 1003: it does not accept what the {} sent.", peer.name()),
        ),
        1007 => (
            &UNSUPPORTED_OR_INVALID,
            format!("{who} closed with 1007: a message of the {} was not valid.", peer.name()),
        ),
        1008 if close.reason.contains("Too many message fragments") => (
            &TOO_MANY_FRAGMENTS,
            format!("{who} closed with 1008: a message of the {} had too many fragments.", peer.name()),
        ),
        1008 => (&POLICY, format!("{who} closed with 1008: the {} broke one of its rules.", peer.name())),
        1009 => {
            too_big(session, side, close, candidates);
            return;
        }
        1010 => (&MANDATORY_EXT, format!("{who} closed with 1010: an extension it needs was not agreed on.")),
        1011 => (&INTERNAL_ERROR, [who, " closed with 1011: it ran into an error of its own."].concat()),
        1012 => {
            let summary = [who, " closed with 1012: it is restarting."].concat();
            candidates.cause(say(&SERVICE_RESTART, Confidence::Likely, side, close, summary).party(side));
            return;
        }
        1013 => (&TRY_LATER, format!("{who} closed with 1013: it is overloaded and asks to try again later.")),
        1014 => (&BAD_GATEWAY, format!("{who} closed with 1014: the server behind it gave no usable answer.")),
        3000..=3999 => {
            candidates.note(say(
                &REGISTERED_CODE,
                Confidence::Proven,
                side,
                close,
                format!("{who} closed with {code}, a code that a library or framework defines."),
            ));
            return;
        }
        4000..=4999 => {
            candidates.note(say(
                &PRIVATE_CODE,
                Confidence::Proven,
                side,
                close,
                [who, " closed with ", &number(code.into()), ", a code that the application defines."].concat(),
            ));
            return;
        }
        _ => return,
    };
    if code == 1003 && wrong_type(session, side, close, candidates) {
        return;
    }
    let finding = say(rule, Confidence::Proven, side, close, summary);
    match code {
        // What it complains of is a deed of the peer, which says more where it is seen.
        1002 | 1007 => candidates.cause(finding.party(peer)).unless_explained(Specificity::Deed),
        1003 => candidates.cause(finding.party(peer)),
        // A missing pong explains it: the code is only how that is said.
        1011 if blames_keepalive(session, side) => {
            candidates.cause(finding.party(side)).unless_explained(Specificity::Mechanism)
        }
        1011 | 1013 => candidates.cause(finding.party(side)),
        _ => candidates.cause(finding),
    };
}

fn say(rule: &'static Rule, confidence: Confidence, side: Side, close: &CloseFacts, summary: String) -> Finding {
    let note = match close.code {
        Some(code) => Cow::Owned(["Close ", &number(code.into())].concat()),
        None => Cow::Borrowed("Close"),
    };
    Finding::new(rule, confidence, summary).evidence(close.stamp, Some(side), note)
}

/// 1003 right after the first message of a kind not seen before.
fn wrong_type(session: &Session<'_>, side: Side, close: &CloseFacts, candidates: &mut Candidates) -> bool {
    let Some(sent) = session.sent(side.other()) else { return false };
    let kinds = [sent.text > 0, sent.binary > 0];
    let Some(last) = sent.last_message else { return false };
    let first_of_both = kinds == [true, true]
        && match last.kind {
            crate::websocket::MessageKind::Text => sent.text == 1,
            crate::websocket::MessageKind::Binary => sent.binary == 1,
        };
    if !first_of_both || close.stamp.at - last.stamp.at > AT_ONCE + session.rtt_ns() {
        return false;
    }
    let finding = say(
        &WRONG_TYPE,
        Confidence::Likely,
        side,
        close,
        format!(
            "{} closed with 1003 right after the first {} message of the {}.",
            the(side),
            last.kind.name(),
            side.other().name()
        ),
    )
    .evidence(last.stamp, Some(side.other()), format!("first {} message", last.kind.name()));
    candidates.cause(finding.party(side.other()));
    true
}

/// 1009: name the message that was too big, if it can be seen.
fn too_big(session: &Session<'_>, side: Side, close: &CloseFacts, candidates: &mut Candidates) {
    let peer = side.other();
    let sent = session.sent(peer);
    let open =
        sent.and_then(|sent| sent.unusual().cut_frame).map(|cut| (cut.declared.unwrap_or(cut.received), cut.first));
    // Where a larger message passed before, the last one was not too big.
    let whole = sent.and_then(|sent| sent.last_message.filter(|last| last.wire_length >= sent.largest_message));
    let whole = whole.map(|last| (last.wire_length, last.stamp));
    // Of messages with bytes missing the size is not known, nor which message was the last.
    let known = session.coverage(peer, session.tcp().first, close.stamp).is_whole();
    let culprit = [open, whole]
        .into_iter()
        .flatten()
        .filter(|(_, stamp)| known && *stamp <= close.stamp)
        .max_by_key(|(length, _)| *length);
    let finding = match culprit {
        Some((length, stamp)) => say(
            &MESSAGE_TOO_BIG,
            Confidence::Likely,
            side,
            close,
            format!(
                "{} closed with 1009: the {} sent a message of {length} bytes, more than it accepts.",
                the(side),
                peer.name()
            ),
        )
        .evidence(stamp, Some(peer), format!("message of {length} bytes on the wire")),
        None => say(
            &TOO_BIG,
            Confidence::Proven,
            side,
            close,
            format!("{} closed with 1009: something the {} sent was too big for it.", the(side), peer.name()),
        ),
    };
    candidates.cause(finding.party(peer));
}

/// Both sides sent Close.
fn complete(
    session: &Session<'_>,
    outcome: Outcome,
    client: &CloseFacts,
    server: &CloseFacts,
    candidates: &mut Candidates,
) {
    let (first, second) = if client.stamp <= server.stamp { (client, server) } else { (server, client) };
    let side = if client.stamp <= server.stamp { Side::Client } else { Side::Server };
    if outcome == Outcome::ClosedClean {
        let code = first.code.map(|code| number(code.into()));
        let with = if code.is_some() { " with " } else { "" };
        let took = duration(second.stamp.at - first.stamp.at);
        let said = code.as_deref().unwrap_or_default();
        let summary =
            ["Closed cleanly: the ", side.name(), " began", with, said, ", the answer took ", &took, "."].concat();
        let finding = Finding::new(&CLEAN_CLOSE, Confidence::Proven, summary)
            .evidence(first.stamp, Some(side), "Close")
            .evidence(second.stamp, Some(side.other()), "Close in answer");
        candidates.note(finding);
    }
    let rtt = session.rtt_ns();
    if second.stamp.at - first.stamp.at < rtt / 2 && first.code != second.code && first.code.is_some() {
        let finding = Finding::new(
            &SIMULTANEOUS_CLOSE,
            Confidence::Likely,
            "Both sides closed at the same time; each program sees the other's code.",
        )
        .evidence(first.stamp, Some(side), "Close")
        .evidence(second.stamp, Some(side.other()), "Close, sent before the other arrived");
        candidates.note(finding);
    }
    let (client_left, server_left) = (session.left(Side::Client), session.left(Side::Server));
    if let Some((left, _)) = client_left
        && server_left.is_none_or(|(server, _)| left < server)
    {
        let waited = left.at - second.stamp.at;
        let (rule, summary) = if waited >= SERVER_KEPT_OPEN {
            (
                &SERVER_KEPT_TCP_OPEN,
                format!(
                    "After the closing handshake the server left TCP open; the client ended it {} later.",
                    duration(waited)
                ),
            )
        } else {
            (
                &CLIENT_CLOSED_TCP_FIRST,
                "After the closing handshake the client ended TCP first, which is harmless.".to_owned(),
            )
        };
        candidates.note(Finding::new(rule, Confidence::Proven, summary).evidence(
            left,
            Some(Side::Client),
            "the client ends TCP",
        ));
    }
}

/// Only one side sent Close.
fn one_sided(session: &Session<'_>, side: Side, close: &CloseFacts, outcome: Outcome, candidates: &mut Candidates) {
    let peer = side.other();
    let hidden = session.close_may_be_hidden(peer);
    // The other side had left before: nobody was there to answer.
    let gone = session.left(peer).is_some_and(|(left, _)| left < close.stamp);
    if gone {
        return;
    }
    statement(session, side, close, candidates);
    if hidden || outcome != Outcome::ClosedAbnormal {
        return;
    }
    let end = session.left(peer).or(session.left(side)).map_or(session.tcp().last, |(stamp, _)| stamp);
    let waited = end.at - close.stamp.at;
    if waited < NOT_WAITED.max(2 * session.rtt_ns())
        && let Some((own, _)) = session.left(side).filter(|(own, _)| *own <= end)
    {
        hung_up_at_once(side, close, own, candidates);
        return;
    }
    if waited < NOT_WAITED.max(2 * session.rtt_ns()) {
        // The peer ended TCP where its Close was due.
        cut_short(session, side, close, end, candidates);
        return;
    }
    let alive = session.side(peer).last_ack().is_some_and(|ack| ack.packet > close.stamp.packet);
    let more = if alive { "; its kernel took it, its program did not react" } else { "" };
    let finding = Finding::new(
        &CLOSE_TIMEOUT,
        Confidence::Proven,
        format!(
            "{} sent Close and the {} never answered it ({} until TCP ended){more}.",
            the(side),
            peer.name(),
            duration(waited)
        ),
    )
    .evidence(close.stamp, Some(side), "Close")
    .evidence(end, None, "TCP ends without a Close in answer");
    let arrived = if alive { Decision::Refuted } else { Decision::Undecidable };
    candidates.cause(finding.party(peer)).unless_explained(Specificity::Deed).check(&CLOSE_LOST, arrived);
    if let Some((stamp, Deed::Rst)) =
        session.left(peer).or(session.left(side)).filter(|(stamp, _)| *stamp > close.stamp)
    {
        reset_after(side, close.stamp, stamp, candidates);
    }
}

/// Whoever said goodbye ended TCP right away: nobody had the time to answer.
fn hung_up_at_once(side: Side, close: &CloseFacts, left: Stamp, candidates: &mut Candidates) {
    let code = close.code.map_or_else(String::new, |code| format!(" {code}"));
    let rule = if close.code == Some(1001) { &GOING_AWAY } else { &CLOSE_TIMEOUT };
    let summary = format!(
        "{} sent Close{code} and ended TCP at once ({} later), without waiting for an answer.",
        the(side),
        duration(left.at - close.stamp.at)
    );
    let finding = Finding::new(rule, Confidence::Proven, summary)
        .severity(Severity::Info)
        .evidence(close.stamp, Some(side), "Close")
        .evidence(left, Some(side), "it ends TCP");
    candidates.cause(finding.party(side)).unless_explained(Specificity::Statement);
}

/// The other side ended TCP right after the Close, instead of answering it.
fn cut_short(session: &Session<'_>, side: Side, close: &CloseFacts, end: Stamp, candidates: &mut Candidates) {
    let peer = side.other();
    let reset = matches!(session.left(peer), Some((_, Deed::Rst)));
    let how = if reset { "reset the connection" } else { "ended TCP" };
    let summary = format!(
        "{} sent Close and the {} {how} {} later, instead of answering it.",
        the(side),
        peer.name(),
        duration(end.at - close.stamp.at)
    );
    let finding =
        Finding::new(&CLOSE_TIMEOUT, Confidence::Proven, summary).evidence(close.stamp, Some(side), "Close").evidence(
            end,
            Some(peer),
            if reset { "RST without a Close in answer" } else { "FIN without a Close in answer" },
        );
    candidates.cause(finding.party(peer)).unless_explained(Specificity::Deed);
    if reset {
        reset_after(side, close.stamp, end, candidates);
    }
}

fn reset_after(side: Side, close: Stamp, reset: Stamp, candidates: &mut Candidates) {
    let finding = Finding::new(
        &RST_AFTER_CLOSE,
        Confidence::Proven,
        "The connection was reset right after a Close frame: the code arrives, but not as a clean close.",
    )
    .evidence(close, Some(side), "Close")
    .evidence(reset, None, "RST");
    candidates.note(finding.party(side.other())).unless_explained(Specificity::Deed);
}

/// One side is done, the other goes on sending for a while.
fn half_close(session: &Session<'_>, candidates: &mut Candidates) {
    if session.close(Side::Client).is_some() || session.close(Side::Server).is_some() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let Some(fin) = session.fin(side) else { continue };
        let Some(last) = session.side(side.other()).last_payload() else { continue };
        if last.at - fin.at < HALF_CLOSED
            || last.packet < fin.packet
            || session.left(side.other()).is_some_and(|(left, _)| left < fin)
        {
            continue;
        }
        let finding = Finding::new(
            &HALF_CLOSE,
            Confidence::Proven,
            format!("{} was done, yet the other side went on sending for {}.", the(side), duration(last.at - fin.at)),
        )
        .evidence(fin, Some(side), "FIN")
        .evidence(last, Some(side.other()), "its last bytes");
        candidates.note(finding.party(side));
    }
}

/// That it ended, and nothing explains it.
fn symptom(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    if outcome != Outcome::ClosedAbnormal {
        return;
    }
    let finding = Finding::new(
        &ABNORMAL_CLOSE,
        Confidence::Proven,
        "The connection ended without a completed closing handshake; the cause is not in the capture.",
    )
    .severity(Severity::Error)
    .evidence(session.tcp().closed_at().unwrap_or(session.tcp().last), None, "end of the connection");
    candidates.cause(finding).unless_explained(Specificity::Ending);
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &CLEAN_CLOSE,
    &CLOSE_NO_STATUS,
    &ABNORMAL_CLOSE,
    &CLOSE_TIMEOUT,
    &SERVER_KEPT_TCP_OPEN,
    &CLIENT_CLOSED_TCP_FIRST,
    &SIMULTANEOUS_CLOSE,
    &RST_AFTER_CLOSE,
    &HALF_CLOSE,
    &GOING_AWAY,
    &PROTOCOL_ERROR,
    &UNSUPPORTED_OR_INVALID,
    &POLICY,
    &TOO_BIG,
    &MANDATORY_EXT,
    &INTERNAL_ERROR,
    &SERVICE_RESTART,
    &TRY_LATER,
    &BAD_GATEWAY,
    &REGISTERED_CODE,
    &PRIVATE_CODE,
];

pub(crate) static CLEAN_CLOSE: Rule = Rule {
    id: "WSC601",
    slug: "clean-close",
    severity: Severity::Info,
    party: Party::Application,
    title: "The connection was closed properly by both sides.",
    explanation: "Both sides sent a close frame and then the TCP connection ended. That is how a WebSocket should end. The \
        code and the reason say why, and whoever sent the first close frame wanted the end.",
    evidence: "A close frame in each direction, then FIN. Proven.",
    unless: "A code other than 1000 or 1001 may still tell of a problem: the rule for that code is then reported as \
        well.",
    advice: "Nothing needs fixing.",
    reports: "Both sides report the other's code; browsers with wasClean true.",
    references: &["RFC 6455 §7.1.2", "RFC 6455 §7.1.4"],
    aliases: &["1000", "clean close", "wasClean"],
    ..Rule::BASE
};

pub(crate) static CLOSE_NO_STATUS: Rule = Rule {
    id: "WSC602",
    slug: "close-no-status",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Statement),
    party: Party::Application,
    title: "The connection was closed properly, but without saying why (1005).",
    explanation: "A close frame was sent, but it was empty. The receiver's program then reports 1005, which means: closed \
        properly, no reason given. It does not mean that the connection broke: that would be 1006. Programs send \
        an empty close when close() is called without a code, and some frameworks do it when a handler ends.",
    evidence: "A close frame with an empty body. Proven. The number 1005 itself is never on the wire.",
    unless: "If there is no close frame at all, it is 1006 (WSC603).",
    advice: "Give a code and a reason, so that the next person knows why:\n\
        \n\
        \x20   ws.close(1000, \"done\")\n\
        \x20   ws.close(1011, \"database unavailable\")\n\
        \n\
        If you did not write the closing side, look in its log for what happened just before: a handler that \
        ended early, or a server behind it that could not be reached.",
    reports: "Browsers: close code 1005 with wasClean true. node ws: close 1005. Go (gorilla): close 1005 (no status). \
        Python websockets: received 1005 (no status received [internal]).",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.4.1", "novnc/websockify#560"],
    aliases: &["1005", "no status", "No Status Received"],
    ..Rule::BASE
};

pub(crate) static ABNORMAL_CLOSE: Rule = Rule {
    id: "WSC603",
    slug: "abnormal-close",
    severity: Severity::Error,
    role: Role::Ending,
    party: Party::Network,
    title: "The connection ended without the WebSocket goodbye (1006).",
    explanation: "The connection ended and at least one side had received no close frame. Its program reports 1006. That \
        number is never sent by anybody: it is the program's own word for a line that went dead. So 1006 is the \
        symptom; the cause has to be found elsewhere, and the other findings name it if the packets show it.",
    evidence: "FIN or RST after the 101 without a close frame towards that side. Proven as the symptom.",
    unless: "If a close frame did arrive and the program still says 1006, the connection was reset after it (WSC608), \
        or the program itself found a protocol error (WSF rules), or a browser reports a handshake that failed \
        (WSH, WST, WSN rules).",
    advice: "Look at who hung up first and what came right before it: silence of a round number of seconds points to \
        a timeout (WSK701), many connections at once to a restart (WSO801), a large message to a limit (WSF416). \
        If nothing of this is found, the log of the side that hung up knows more than the packets do.",
    reports: "Browsers report close code 1006 with an empty reason and wasClean false. node ws reports close code \
        1006. Python websockets raises ConnectionClosedError: no close frame received or sent. Go (gorilla) \
        reports: close 1006 (abnormal closure): unexpected EOF. .NET throws: The remote party closed the \
        WebSocket connection without completing the close handshake.",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.4.1"],
    aliases: &["1006", "abnormal closure", "no close frame received or sent", "unexpected EOF"],
    ..Rule::BASE
};

pub(crate) static CLOSE_TIMEOUT: Rule = Rule {
    id: "WSC604",
    slug: "close-timeout",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Ending),
    party: Party::Server,
    title: "One side said goodbye and got no reply.",
    explanation: "One side sent its close frame and waited for the answer. None came until it gave up and cut the \
        connection. The other side's program did not read, did not know the rule, or had gone already.",
    evidence: "A close frame from one side, none from the other, and then the end of the TCP connection. Proven. The \
        waiting time often fits a library: coder/websocket 5 s, Python websockets 10 s, Firefox 20 s, node ws 30 \
        s, Chromium and OkHttp 60 s.",
    unless: "After a protocol error (1002, 1007, 1009) no answer is expected. If the close itself was never \
        acknowledged, the network is gone (WSN008).",
    advice: "Let the other side keep reading until it has seen and answered the close: most libraries do it as long \
        as the program reads messages. Look for a handler that stopped reading.",
    reports: "The waiting side reports 1006, or the code it sent itself, depending on the library.",
    references: &["RFC 6455 §5.5.1", "RFC 6455 §7.1.1"],
    aliases: &["1006", "close timeout", "closeTimeout"],
    ..Rule::BASE
};

/// Whether the Close got to the side that did not answer it.
static CLOSE_LOST: CounterCheck = CounterCheck {
    unless: "The Close was never acknowledged: it may have been lost on the way.",
    needs: "a capture taken beside the side that did not answer",
};

pub(crate) static SERVER_KEPT_TCP_OPEN: Rule = Rule {
    id: "WSC605",
    slug: "server-kept-tcp-open",
    severity: Severity::Info,
    party: Party::Server,
    title: "After a proper goodbye the server left it to the client to hang up.",
    explanation: "After both close frames the server should end the TCP connection first. It did not, and the client did \
        it after a short wait. Chromium waits 2 seconds. Nothing is lost.",
    evidence: "A close frame in each direction, no FIN from the server, then FIN from the client. Proven.",
    unless: "If the server did hang up first, this does not apply.",
    advice: "Let the server close its socket after the second close frame. It frees the connection sooner.",
    reports: "Nothing unusual: wasClean is true.",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["wasClean"],
    ..Rule::BASE
};

pub(crate) static CLIENT_CLOSED_TCP_FIRST: Rule = Rule {
    id: "WSC606",
    slug: "client-closed-tcp-first",
    severity: Severity::Info,
    party: Party::Client,
    title: "After a proper goodbye the client hung up first.",
    explanation: "After both close frames the client ended the TCP connection before the server did. The standard prefers \
        the server to go first, because then the short after-life of a closed connection falls to the server. It \
        is harmless.",
    evidence: "A close frame in each direction, and the client's FIN before the server's. Proven.",
    unless: "If the server did hang up first, this does not apply.",
    advice: "Nothing needs fixing. A test program that opens very many connections may run out of local ports; then \
        let the server close first.",
    references: &["RFC 6455 §7.1.1"],
    aliases: &["TIME_WAIT"],
    ..Rule::BASE
};

pub(crate) static SIMULTANEOUS_CLOSE: Rule = Rule {
    id: "WSC607",
    slug: "simultaneous-close",
    severity: Severity::Info,
    party: Party::Application,
    title: "Both sides said goodbye at the same moment.",
    explanation: "Both sides decided to close at the same moment, and their close frames crossed. Each side therefore \
        reports the other's code, and the two codes may differ. That is allowed.",
    evidence: "Both close frames were sent before the other one can have arrived, within one round trip. Proven near \
        one end, likely elsewhere on the path.",
    unless: "If the second frame repeats the first one's code a round trip later, it is an answer and not a crossing.",
    advice: "Nothing needs fixing. When two log files disagree about the code, this is the reason.",
    references: &["RFC 6455 §7.1.5", "RFC 6455 §7.1.2"],
    aliases: &["simultaneous close"],
    ..Rule::BASE
};

pub(crate) static RST_AFTER_CLOSE: Rule = Rule {
    id: "WSC608",
    slug: "rst-after-close",
    severity: Severity::Warning,
    party: Party::Server,
    title: "The goodbye was said, but the connection then ended with a reset.",
    explanation: "The close frame was received, but then the TCP connection was reset instead of ended in the ordinary \
        way. A reset can overtake data that was not read yet, so the goodbye itself may get lost. Browsers then \
        say that the end was not clean.",
    evidence: "A close frame and then an RST. Proven.",
    unless: "After close frames in both directions, a reset usually harms nobody. A page that was left often ends in \
        this way.",
    advice: "Let the server read until the other side's FIN before it closes its socket. In Envoy and Istio, look at \
        delayed_close_timeout.",
    reports: "Chromium: the code of the close frame, with wasClean false.",
    references: &["RFC 6455 §7.1.1", "RFC 9293 §3.6.1", "istio/istio#29172"],
    aliases: &["1006", "ECONNRESET", "wasClean"],
    ..Rule::BASE
};

pub(crate) static HALF_CLOSE: Rule = Rule {
    id: "WSC609",
    slug: "half-close",
    severity: Severity::Warning,
    party: Party::Application,
    title: "One side stopped sending while the other went on.",
    explanation: "One side ended its direction of the TCP connection while the other went on sending. TCP allows that, but \
        hardly any WebSocket program expects it, and what is sent afterwards is usually thrown away.",
    evidence: "FIN from one side, and data from the other for more than a second afterwards. Proven.",
    unless: "A few packets that were already on their way are normal.",
    advice: "Let the program treat the end of one direction as the end of the connection. In HAProxy, limit such \
        connections:\n\
        \n\
        \x20   timeout client-fin 30s",
    references: &["RFC 9293 §3.6", "RFC 6455 §7.2.1"],
    aliases: &["half-open close", "client-fin"],
    ..Rule::BASE
};

pub(crate) static GOING_AWAY: Rule = Rule {
    id: "WSC610",
    slug: "going-away",
    severity: Severity::Info,
    role: Role::Cause(Specificity::Statement),
    party: Party::Client,
    title: "One side is leaving: a page was closed or a server is stopping (1001).",
    explanation: "Code 1001 says that the sender is going away. From a client it means that the page was left, reloaded or \
        closed. From a server it means that it is shutting down, or that it ends connections that were idle for \
        too long.",
    evidence: "A close frame with code 1001. Proven; the meaning is likely, by side.",
    unless: "The reason text counts more: Jetty, for example, writes Idle Timeout.",
    advice: "Nothing for a client. For a server, let the clients reconnect after a random pause; if it was an idle \
        timeout, see WSK701.",
    reports: "1001 (going away).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1001", "going away"],
    ..Rule::BASE
};

pub(crate) static PROTOCOL_ERROR: Rule = Rule {
    id: "WSC611",
    slug: "protocol-error",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "One side says the other broke the WebSocket rules (1002).",
    explanation: "One side closed with 1002: it says that the other broke the rules of the protocol. If the offending \
        frame is in the capture, a WSF finding names it. Some programs also use 1002 for errors that have \
        nothing to do with the protocol.",
    evidence: "A close frame with code 1002. Proven as a fact. The offence is proven if a WSF or WSD rule fired on the \
        other side before.",
    unless: "Without an offending frame, the code may be misused for an application's error: read the reason.",
    advice: "Correct the side that offended, or read the log of the side that complained. Programs that mean an error \
        of their own should send 1011.",
    reports: "1002 (protocol error). A Chromium page sees 1006 when Chromium itself complained.",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1002", "protocol error"],
    ..Rule::BASE
};

pub(crate) static UNSUPPORTED_OR_INVALID: Rule = Rule {
    id: "WSC612",
    slug: "unsupported-or-invalid",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "One side could not use the data it received (1003 or 1007).",
    explanation: "One side could not use what it received. 1003: it does not take this type of data, for example binary \
        instead of text. 1007: the contents were not what the type promises, most often text that is not UTF-8.",
    evidence: "A close frame with code 1003 or 1007. Proven. The message right before it is the first suspect.",
    unless: "Applications also use 1003 for commands they do not know: read the reason.",
    advice: "See WSF420 for 1003 and WSF410 for 1007.",
    reports: "1003 (unsupported data), 1007 (invalid frame payload data).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1003", "1007", "unsupported data", "invalid frame payload data"],
    ..Rule::BASE
};

pub(crate) static POLICY: Rule = Rule {
    id: "WSC613",
    slug: "policy",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Application,
    title: "One side closed because a policy was violated (1008).",
    explanation: "One side closed with 1008: what the other did is not allowed. That may be a missing login, a limit that \
        was exceeded, reading too slowly, or a message in the wrong place. The code is general on purpose.",
    evidence: "A close frame with code 1008. Proven. The reason text and the last messages before it tell more.",
    unless: "1008 with Too many message fragments is WSF421.",
    advice: "Read the reason. Without one, check in this order: login and token, limits on messages per second, and a \
        receiver that does not keep up (WSN011).",
    reports: "1008 (policy violation).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1008", "policy violation"],
    ..Rule::BASE
};

pub(crate) static TOO_BIG: Rule = Rule {
    id: "WSC614",
    slug: "too-big",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "One side closed because a message was too big (1009).",
    explanation: "One side closed with 1009: a message was larger than it accepts. Every library, proxy and cloud gateway \
        has a limit of its own, and the defaults differ widely.",
    evidence: "A close frame with code 1009. Proven. The size of the last message before it is shown.",
    unless: "If all messages were small, the limit may count the unpacked size (WSD508), or the application uses the \
        code for something else.",
    advice: "Send smaller messages or raise the receiver's limit: WSF416 lists how.",
    reports: "1009 (message too big). The side that complained often logs 1006.",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1009", "message too big"],
    ..Rule::BASE
};

pub(crate) static MANDATORY_EXT: Rule = Rule {
    id: "WSC615",
    slug: "mandatory-ext",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "The client closed because the server did not agree to an extension it needs (1010).",
    explanation: "A client closes with 1010 when the server did not agree to an extension that the client cannot do \
        without. A server must not send it: it can refuse the handshake instead.",
    evidence: "A close frame with code 1010. Proven. From a server it is a violation.",
    unless: "None.",
    advice: "Switch the extension on in the server, or do not insist on it in the client. The reason should name the \
        extension.",
    reports: "1010 (mandatory extension).",
    references: &["RFC 6455 §7.4.1"],
    aliases: &["1010", "mandatory extension"],
    ..Rule::BASE
};

pub(crate) static INTERNAL_ERROR: Rule = Rule {
    id: "WSC616",
    slug: "internal-error",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "One side closed because of an internal error (1011).",
    explanation: "One side closed with 1011: it met an error of its own and cannot go on. Usually an exception in a \
        handler. With the reason keepalive ping timeout it means that a pong did not come in time.",
    evidence: "A close frame with code 1011. Proven. The reason text tells more.",
    unless: "With keepalive ping timeout see WSK703, WSK704 and WSK705: they tell whose fault it was. With Failed to \
        connect to downstream server, a gateway such as websockify could not reach the server behind it.",
    advice: "Read the log of the side that sent it, at that second: there will be an exception.",
    reports: "1011 (internal error).",
    references: &["RFC 6455 §7.4.1", "novnc/websockify#482"],
    aliases: &["1011", "internal error", "keepalive ping timeout"],
    ..Rule::BASE
};

pub(crate) static SERVICE_RESTART: Rule = Rule {
    id: "WSC617",
    slug: "service-restart",
    severity: Severity::Info,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "The server is restarting (1012).",
    explanation: "The server closed with 1012: it is being restarted, and the client may come back. That is the polite \
        way.",
    evidence: "A close frame with code 1012. Proven.",
    unless: "None.",
    advice: "Let clients reconnect after a random pause of some seconds, so that they do not all come at once. Let \
        connections run out before a planned restart if you can.",
    reports: "1012 (service restart). uvicorn sends it on shutdown.",
    references: &["IANA WebSocket Close Code Number Registry", "encode/uvicorn#1816"],
    aliases: &["1012", "service restart"],
    ..Rule::BASE
};

pub(crate) static TRY_LATER: Rule = Rule {
    id: "WSC618",
    slug: "try-later",
    severity: Severity::Warning,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "The server is overloaded and asks the client to try again later (1013).",
    explanation: "The server closed with 1013: it has too much to do at the moment. The client should come back later, and \
        not at once.",
    evidence: "A close frame with code 1013. Proven.",
    unless: "None.",
    advice: "Let clients wait longer after every attempt, with a random part. Give the server more room or accept \
        fewer clients.",
    reports: "1013 (try again later).",
    references: &["IANA WebSocket Close Code Number Registry"],
    aliases: &["1013", "try again later"],
    ..Rule::BASE
};

pub(crate) static BAD_GATEWAY: Rule = Rule {
    id: "WSC619",
    slug: "bad-gateway",
    severity: Severity::Error,
    role: Role::Cause(Specificity::Statement),
    party: Party::Server,
    title: "A gateway got an invalid answer from the server behind it (1014).",
    explanation: "A gateway or proxy closed with 1014: the server behind it gave an invalid answer. It is the counterpart \
        of the HTTP status 502.",
    evidence: "A close frame with code 1014. Proven that the gateway says so.",
    unless: "None. The connection behind the gateway shows the cause, if it is captured.",
    advice: "Look at the server behind the gateway: is it running, does it speak WebSocket on that port, does it use \
        TLS as expected?",
    reports: "1014 (bad gateway).",
    references: &["IANA WebSocket Close Code Number Registry"],
    aliases: &["1014", "bad gateway"],
    ..Rule::BASE
};

pub(crate) static REGISTERED_CODE: Rule = Rule {
    id: "WSC620",
    slug: "registered-code",
    severity: Severity::Info,
    party: Party::Application,
    title: "The connection was closed with a code from the range for libraries and frameworks (3000 to 3999).",
    explanation: "Codes from 3000 to 3999 belong to libraries and frameworks. Registered are 3000 (unauthorized), 3003 \
        (forbidden) and 3008 (timeout); others are used without registration, such as 3000 with Go away! in \
        SockJS.",
    evidence: "A close frame with a code from 3000 to 3999. Proven; its meaning depends on the library.",
    unless: "None.",
    advice: "Look the code up in the documentation of the library in use. For 3000 and 3003 check login and rights.",
    reports: "The code as sent.",
    references: &["RFC 6455 §7.4.2", "IANA WebSocket Close Code Number Registry"],
    aliases: &["3000", "3003", "3008", "unauthorized", "forbidden"],
    ..Rule::BASE
};

pub(crate) static PRIVATE_CODE: Rule = Rule {
    id: "WSC621",
    slug: "private-code",
    severity: Severity::Info,
    party: Party::Application,
    title: "The connection was closed with a code that only the application can explain (4000 to 4999).",
    explanation: "Codes from 4000 to 4999 are free for private use: each application gives them its own meaning. They can \
        only be explained when the application's protocol is known.",
    evidence: "A close frame with a code from 4000 to 4999. Proven; its meaning is taken from the application protocol \
        if that was recognised in the handshake.",
    unless: "The same number means different things in different applications.",
    advice: "Look the code up in the application's documentation, and read the reason. In graphql-transport-ws, for \
        example, 4401 is a subscription before the acknowledgement, 4408 a connection_init that came too late, \
        and 4429 a second connection_init.",
    reports: "The code as sent.",
    references: &["RFC 6455 §7.4.2"],
    aliases: &["4000", "4400", "4401", "4403", "4408", "4409", "4429", "4500", "private use"],
    ..Rule::BASE
};
