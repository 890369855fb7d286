//! The closing handshake (RFC 6455 §7) and what the close codes say.

use std::borrow::Cow;

use super::case::{Case, Deed, duration, number, the};
use super::catalogue::wsc::{
    ABNORMAL_CLOSE, BAD_GATEWAY, CLEAN_CLOSE, CLIENT_CLOSED_TCP_FIRST, CLOSE_NO_STATUS, CLOSE_TIMEOUT, GOING_AWAY,
    HALF_CLOSE, INTERNAL_ERROR, MANDATORY_EXT, POLICY, PRIVATE_CODE, PROTOCOL_ERROR, REGISTERED_CODE, RST_AFTER_CLOSE,
    SERVER_KEPT_TCP_OPEN, SERVICE_RESTART, SIMULTANEOUS_CLOSE, TOO_BIG, TRY_LATER, UNSUPPORTED_OR_INVALID,
};
use super::catalogue::wsf::{MESSAGE_TOO_BIG, TOO_MANY_FRAGMENTS, WRONG_TYPE};
use super::finding::{Confidence, Finding, Severity};
use super::judged::{Explains, Judged};
use super::outcome::Outcome;
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

pub(super) fn judge(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    if case.websocket().is_none() || outcome == Outcome::UpgradeFailed {
        return;
    }
    let (client, server) = (case.close(Side::Client), case.close(Side::Server));
    match (client, server) {
        (Some(client), Some(server)) => {
            let first = if client.stamp <= server.stamp { Side::Client } else { Side::Server };
            statement(case, first, if first == Side::Client { client } else { server }, judged);
            if first == Side::Server {
                unsolicited_status(case, Side::Client, client, judged);
            } else {
                unsolicited_status(case, Side::Server, server, judged);
            }
            complete(case, outcome, client, server, judged);
        }
        (Some(close), None) => one_sided(case, Side::Client, close, outcome, judged),
        (None, Some(close)) => one_sided(case, Side::Server, close, outcome, judged),
        (None, None) => {}
    }
    half_close(case, judged);
}

/// An answer without a status although the question had one: the asker then sees 1005.
fn unsolicited_status(case: &Case<'_>, side: Side, close: &CloseFacts, judged: &mut Judged) {
    let asked = case.close(side.other()).is_some_and(|other| other.length > 0);
    if close.captured && close.length == 0 && asked {
        no_status(side, close, judged);
    }
}

fn no_status(side: Side, close: &CloseFacts, judged: &mut Judged) {
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
    judged.cause(Explains::Statement, finding.evidence(close.stamp, Some(side), "Close frame without a status code"));
}

/// What the first Close says.
fn statement(case: &Case<'_>, side: Side, close: &CloseFacts, judged: &mut Judged) {
    if !close.captured {
        return;
    }
    let Some(code) = close.code else {
        if close.length == 0 {
            no_status(side, close, judged);
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
        1001 if case.close(side.other()).is_none() && case.tcp_ended() => return,
        1001 => {
            let why = if side == Side::Client { "the page was left or the program ended" } else { "it is stopping" };
            judged.note(say(
                &GOING_AWAY,
                Confidence::Likely,
                side,
                close,
                [who, " went away (1001): most likely ", why, "."].concat(),
            ));
            return;
        }
        1002 => {
            if judged.explained(Explains::Deed) {
                return;
            }
            (&PROTOCOL_ERROR, format!("{who} closed with 1002: it saw a protocol error of the {}.", peer.name()))
        }
        1003 => (
            &UNSUPPORTED_OR_INVALID,
            format!("{who} closed with 1003: it does not accept what the {} sent.", peer.name()),
        ),
        1007 => {
            if judged.explained(Explains::Deed) {
                return;
            }
            (
                &UNSUPPORTED_OR_INVALID,
                format!("{who} closed with 1007: a message of the {} was not valid.", peer.name()),
            )
        }
        1008 if close.reason.contains("Too many message fragments") => (
            &TOO_MANY_FRAGMENTS,
            format!("{who} closed with 1008: a message of the {} had too many fragments.", peer.name()),
        ),
        1008 => (&POLICY, format!("{who} closed with 1008: the {} broke one of its rules.", peer.name())),
        1009 => {
            too_big(case, side, close, judged);
            return;
        }
        1010 => (&MANDATORY_EXT, format!("{who} closed with 1010: an extension it needs was not agreed on.")),
        1011 => (&INTERNAL_ERROR, [who, " closed with 1011: it ran into an error of its own."].concat()),
        1012 => {
            judged.cause(
                Explains::Statement,
                say(
                    &SERVICE_RESTART,
                    Confidence::Likely,
                    side,
                    close,
                    [who, " closed with 1012: it is restarting."].concat(),
                ),
            );
            return;
        }
        1013 => (&TRY_LATER, format!("{who} closed with 1013: it is overloaded and asks to try again later.")),
        1014 => (&BAD_GATEWAY, format!("{who} closed with 1014: the server behind it gave no usable answer.")),
        3000..=3999 => {
            judged.note(say(
                &REGISTERED_CODE,
                Confidence::Proven,
                side,
                close,
                format!("{who} closed with {code}, a code that a library or framework defines."),
            ));
            return;
        }
        4000..=4999 => {
            judged.note(say(
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
    if rule.id == UNSUPPORTED_OR_INVALID.id && code == 1003 && wrong_type(case, side, close, judged) {
        return;
    }
    let confidence = Confidence::Proven;
    judged.cause(Explains::Statement, say(rule, confidence, side, close, summary));
}

fn say(
    rule: &'static super::catalogue::Rule,
    confidence: Confidence,
    side: Side,
    close: &CloseFacts,
    summary: String,
) -> Finding {
    let note = match close.code {
        Some(code) => Cow::Owned(["Close ", &number(code.into())].concat()),
        None => Cow::Borrowed("Close"),
    };
    Finding::new(rule, confidence, summary).evidence(close.stamp, Some(side), note)
}

/// 1003 right after the first message of a kind not seen before.
fn wrong_type(case: &Case<'_>, side: Side, close: &CloseFacts, judged: &mut Judged) -> bool {
    let Some(sent) = case.sent(side.other()) else { return false };
    let kinds = [sent.text > 0, sent.binary > 0];
    let Some(last) = sent.last_message else { return false };
    let first_of_both = kinds == [true, true]
        && match last.kind {
            crate::websocket::MessageKind::Text => sent.text == 1,
            crate::websocket::MessageKind::Binary => sent.binary == 1,
        };
    if !first_of_both || close.stamp.at - last.stamp.at > AT_ONCE + case.rtt_ns() {
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
    judged.cause(Explains::Deed, finding);
    true
}

/// 1009: name the message that was too big, if it can be seen.
fn too_big(case: &Case<'_>, side: Side, close: &CloseFacts, judged: &mut Judged) {
    let peer = side.other();
    let sent = case.sent(peer);
    let open =
        sent.and_then(|sent| sent.unusual().cut_frame).map(|cut| (cut.declared.unwrap_or(cut.received), cut.first));
    // Where a larger message passed before, the last one was not too big.
    let whole = sent.and_then(|sent| sent.last_message.filter(|last| last.wire_length >= sent.largest_message));
    let whole = whole.map(|last| (last.wire_length, last.stamp));
    let culprit = [open, whole]
        .into_iter()
        .flatten()
        .filter(|(_, stamp)| *stamp <= close.stamp)
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
    judged.cause(Explains::Statement, finding);
}

/// Both sides sent Close.
fn complete(case: &Case<'_>, outcome: Outcome, client: &CloseFacts, server: &CloseFacts, judged: &mut Judged) {
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
        judged.note(finding);
    }
    let rtt = case.rtt_ns();
    if second.stamp.at - first.stamp.at < rtt / 2 && first.code != second.code && first.code.is_some() {
        let finding = Finding::new(
            &SIMULTANEOUS_CLOSE,
            Confidence::Likely,
            "Both sides closed at the same time; each program sees the other's code.",
        )
        .evidence(first.stamp, Some(side), "Close")
        .evidence(second.stamp, Some(side.other()), "Close, sent before the other arrived");
        judged.note(finding);
    }
    let (client_left, server_left) = (case.left(Side::Client), case.left(Side::Server));
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
        judged.note(Finding::new(rule, Confidence::Proven, summary).evidence(
            left,
            Some(Side::Client),
            "the client ends TCP",
        ));
    }
}

/// Only one side sent Close.
fn one_sided(case: &Case<'_>, side: Side, close: &CloseFacts, outcome: Outcome, judged: &mut Judged) {
    let peer = side.other();
    let hidden = case.close_may_be_hidden(peer);
    // The other side had left before: nobody was there to answer.
    let gone = case.left(peer).is_some_and(|(left, _)| left < close.stamp);
    if gone {
        return;
    }
    statement(case, side, close, judged);
    if hidden || outcome != Outcome::ClosedAbnormal || judged.explained(Explains::Deed) {
        return;
    }
    let end = case.left(peer).or(case.left(side)).map_or(case.tcp().last, |(stamp, _)| stamp);
    let waited = end.at - close.stamp.at;
    if waited < NOT_WAITED.max(2 * case.rtt_ns()) && case.left(side).is_some_and(|(own, _)| own <= end) {
        hung_up_at_once(case, side, close, end, judged);
        return;
    }
    let alive = case.side(peer).last_ack().is_some_and(|ack| ack.packet > close.stamp.packet);
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
    judged.cause(Explains::Ending, finding);
    if let Some((stamp, Deed::Rst)) = case.left(peer).or(case.left(side)).filter(|(stamp, _)| *stamp > close.stamp) {
        reset_after(side, close.stamp, stamp, judged);
    }
}

/// Whoever said goodbye ended TCP right away: nobody had the time to answer.
fn hung_up_at_once(case: &Case<'_>, side: Side, close: &CloseFacts, end: Stamp, judged: &mut Judged) {
    if judged.explained(Explains::Statement) {
        return;
    }
    let code = close.code.map_or_else(String::new, |code| format!(" {code}"));
    let (rule, explains) = match close.code {
        Some(1001) => (&GOING_AWAY, Explains::Statement),
        _ => (&CLOSE_TIMEOUT, Explains::Ending),
    };
    let summary = format!(
        "{} sent Close{code} and ended TCP at once ({} later), without waiting for an answer.",
        the(side),
        duration(case.left(side).map_or(end, |(own, _)| own).at - close.stamp.at)
    );
    let finding = Finding::new(rule, Confidence::Proven, summary)
        .severity(Severity::Info)
        .evidence(close.stamp, Some(side), "Close")
        .evidence(end, None, "end of TCP");
    judged.cause(explains, finding);
}

fn reset_after(side: Side, close: Stamp, reset: Stamp, judged: &mut Judged) {
    let finding = Finding::new(
        &RST_AFTER_CLOSE,
        Confidence::Proven,
        "The connection was reset right after a Close frame: the code arrives, but not as a clean close.",
    )
    .evidence(close, Some(side), "Close")
    .evidence(reset, None, "RST");
    judged.note(finding);
}

/// One side is done, the other goes on sending for a while.
fn half_close(case: &Case<'_>, judged: &mut Judged) {
    if case.close(Side::Client).is_some() || case.close(Side::Server).is_some() {
        return;
    }
    for side in [Side::Client, Side::Server] {
        let Some(fin) = case.fin(side) else { continue };
        let Some(last) = case.side(side.other()).last_payload() else { continue };
        if last.at - fin.at < HALF_CLOSED || case.left(side.other()).is_some_and(|(left, _)| left < fin) {
            continue;
        }
        let finding = Finding::new(
            &HALF_CLOSE,
            Confidence::Proven,
            format!("{} was done, yet the other side went on sending for {}.", the(side), duration(last.at - fin.at)),
        )
        .evidence(fin, Some(side), "FIN")
        .evidence(last, Some(side.other()), "its last bytes");
        judged.note(finding);
    }
}

/// The symptom alone, when nothing explains it.
pub(super) fn symptom(case: &Case<'_>, outcome: Outcome, judged: &mut Judged) {
    if outcome != Outcome::ClosedAbnormal || judged.root_cause().is_some() {
        return;
    }
    let finding = Finding::new(
        &ABNORMAL_CLOSE,
        Confidence::Proven,
        "The connection ended without a completed closing handshake; the cause is not in the capture.",
    )
    .severity(Severity::Error)
    .evidence(case.tcp().closed_at().unwrap_or(case.tcp().last), None, "end of the connection");
    judged.cause(Explains::Symptom, finding);
}
