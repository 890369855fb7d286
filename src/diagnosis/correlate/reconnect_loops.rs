//! Attempts in a row by the same client at the same place that came to nothing.

use std::collections::HashMap;

use super::gathered::{Attempt, Gathered, LookUp, with_offsets};
use super::{Relation, Shared};
use crate::diagnosis::catalogue::{Party, Rule};
use crate::diagnosis::finding::{Finding, MAX_EVIDENCE};
use crate::diagnosis::human::duration;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::stream::Side;

/// Attempts that follow each other within a third of this time, in nanoseconds, make a loop.
pub(super) const LOOP_SPAN: i64 = 60_000_000_000;
/// So many attempts in a row that came to nothing are a loop; so many are an error.
pub(super) const LOOP_WARNING: usize = 3;
const LOOP_ERROR: usize = 5;

/// An attempt, and whose.
type Tried<'g> = (usize, &'g Attempt);

/// Each loop as a relation, and what is to be said about it.
pub(super) fn judge(parts: &[Gathered], look_up: &LookUp<'_, '_>) -> Vec<(Relation, Shared)> {
    let loops = reconnect_loops(parts);
    let alike = loops.iter().filter(|attempts| are_alike(attempts, look_up));
    alike.map(|attempts| reconnect_loop(attempts, look_up)).collect()
}

/// Runs of attempts that came to nothing, by the same client at the same place.
fn reconnect_loops<'g>(parts: &'g [Gathered]) -> Vec<Vec<Tried<'g>>> {
    // Most clients succeed most of the time: only those with enough failures are looked at closely.
    let mut failures: HashMap<u64, usize, foldhash::fast::RandomState> = HashMap::default();
    for part in parts {
        for attempt in &part.fruitless {
            *failures.entry(part.marks[attempt.subject as usize].place).or_default() += 1;
        }
    }
    let enough = failures.into_iter().filter(|(_, failures)| *failures >= LOOP_WARNING);
    let mut runs: HashMap<u64, Vec<Tried<'g>>, foldhash::fast::RandomState> =
        enough.map(|(place, _)| (place, Vec::new())).collect();
    if runs.is_empty() {
        return Vec::new();
    }
    let mut loops = Vec::new();
    let mut end = |run: &mut Vec<Tried<'g>>| {
        if run.len() >= LOOP_WARNING {
            loops.push(std::mem::take(run));
        }
        run.clear();
    };
    for (offset, part) in with_offsets(parts) {
        let mut fruitless = part.fruitless.iter().peekable();
        for (index, mark) in part.marks.iter().enumerate() {
            let attempt = fruitless.next_if(|attempt| attempt.subject as usize == index);
            if mark.given_up {
                continue; // Neither one more failure nor the success that ends a loop.
            }
            let Some(run) = runs.get_mut(&mark.place) else { continue };
            let in_time =
                |attempt: &Attempt| run.last().is_none_or(|(_, last)| attempt.first - last.last < LOOP_SPAN / 3);
            if !attempt.is_some_and(in_time) {
                end(run);
            }
            run.extend(attempt.map(|attempt| (offset + index, attempt)));
        }
    }
    runs.values_mut().for_each(end);
    loops.sort_unstable_by_key(|attempts| attempts[0].0);
    loops
}

/// Whether attempts that were taken for those of one client at one place are: their hashes could be alike by chance, or
/// because somebody wanted it.
fn are_alike(attempts: &[Tried<'_>], look_up: &LookUp<'_, '_>) -> bool {
    let who = |subject: usize| {
        let digest = look_up(subject);
        (digest.client.ip, digest.server, digest.path)
    };
    attempts.windows(2).all(|pair| who(pair[0].0) == who(pair[1].0))
}

fn reconnect_loop(attempts: &[Tried<'_>], look_up: &LookUp<'_, '_>) -> (Relation, Shared) {
    let mut gaps: Vec<i64> = attempts.windows(2).map(|pair| pair[1].1.first - pair[0].1.last).collect();
    gaps.sort_unstable();
    let median_gap_ns = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
    let (first, last) = (attempts[0], attempts[attempts.len() - 1]);
    let span = last.1.last - first.1.first;
    let rules: Vec<&str> = attempts.iter().filter_map(|(_, attempt)| Some(attempt.cause?.id)).collect();
    let same = rules.windows(2).all(|pair| pair[0] == pair[1]) && rules.len() == attempts.len();
    let why = if same { format!(", each time for the same reason ({})", rules[0]) } else { String::new() };
    let client = look_up(first.0).client.ip;
    let mut finding = Finding::new(
        &RECONNECT_LOOP,
        Confidence::Proven,
        format!("{client} connected {} times in {} and got nowhere{why}.", attempts.len(), duration(span)),
    );
    if attempts.len() >= LOOP_ERROR {
        finding = finding.severity(Severity::Error);
    }
    for (index, _) in attempts.iter().take(MAX_EVIDENCE) {
        finding.add_evidence(look_up(*index).first, Some(Side::Client), "attempt");
    }
    let attempts: Vec<usize> = attempts.iter().map(|(index, _)| *index).collect();
    let relation = Relation::ReconnectLoop { attempts: attempts.clone(), median_gap_ns };
    (relation, Shared { subjects: attempts, finding, explains: Vec::new() })
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &RECONNECT_LOOP,
    &NO_BACKOFF,
    &THUNDERING_HERD,
    &RETRYING_PERMANENT_ERROR,
    &MUTUAL_KICK,
    &FIXED_DURATION_LOOP,
    &QUICK_ABORT_PAIR,
    &HEALTHY_BACKOFF,
];

pub(crate) static RECONNECT_LOOP: Rule = Rule {
    id: "WSR901",
    slug: "reconnect-loop",
    severity: Severity::Warning,
    party: Party::Client,
    title: "The client connects again and again and the connection fails at once each time.",
    explanation: "The same client connects, fails or is thrown out at once, and connects again, over and over. The \
        interesting question is why each attempt fails: if all fail in the same way, that shared reason is named \
        and is the real finding.",
    evidence: "At least three attempts in 60 seconds from the same client to the same address and path, each without a \
        101 or ended within a second without a message; those that the client gave up at once do not count. From \
        five on it counts as an error. Proven as a pattern.",
    unless: "Several users behind one address that each try once look similar: then the client is called a group.",
    advice: "Fix the shared reason first. Then let the client wait longer after each failure.",
    reports: "The same error again and again; in browsers mostly 1006.",
    references: &["RFC 6455 §7.2.3"],
    aliases: &["1006", "reconnect loop", "flapping"],
    ..Rule::BASE
};

pub(crate) static NO_BACKOFF: Rule = Rule {
    id: "WSR902",
    slug: "no-backoff",
    severity: Severity::Warning,
    party: Party::Client,
    detected: false,
    title: "The client reconnects at a fixed fast pace without slowing down.",
    explanation: "After each failure the client tries again after the same short time and never slows down. It loads the \
        server when that can bear it least. The standard asks for a random first delay and growing ones after \
        it.",
    evidence: "At least five attempts, with nearly equal gaps or gaps that do not grow, and less than 5 seconds between \
        them. Proven.",
    unless: "A person who presses reload makes uneven gaps.",
    advice: "Wait a random time of up to 5 seconds at first, then about 1.6 to 2 times as long each time, up to a \
        minute or so. Start anew once a connection has lasted 30 seconds.\n\
        \n\
        \x20   delay = Math.min(60000, delay * 2) * (0.5 + Math.random() / 2);",
    references: &["RFC 6455 §7.2.3"],
    aliases: &["backoff", "retry"],
    ..Rule::BASE
};

pub(crate) static THUNDERING_HERD: Rule = Rule {
    id: "WSR903",
    slug: "thundering-herd",
    severity: Severity::Warning,
    party: Party::Client,
    detected: false,
    title: "Many clients reconnected in the same second.",
    explanation: "After a restart many clients came back in the same second. Such a wave can bring the server down again.",
    evidence: "At least 20 clients connect within a second after a mass close (WSO801). Proven.",
    unless: "A load test does this on purpose.",
    advice: "Let each client wait a random time before its first new attempt, spread over 5 to 30 seconds.",
    references: &["RFC 6455 §7.2.3"],
    aliases: &["thundering herd", "reconnect storm"],
    ..Rule::BASE
};

pub(crate) static RETRYING_PERMANENT_ERROR: Rule = Rule {
    id: "WSR904",
    slug: "retrying-permanent-error",
    severity: Severity::Warning,
    party: Party::Client,
    detected: false,
    title: "The client keeps retrying something that cannot succeed.",
    explanation: "The client keeps trying although the answer says that trying again is useless. Such answers are a wrong \
        request, no login, forbidden, no such path, or a certificate that the client does not accept.",
    evidence: "A loop of attempts that are all answered 400, 401, 403, 404 or 426, or closed with a code such as 4401, \
        or ended by the same certificate refusal. Proven as a pattern.",
    unless: "If a later attempt succeeds unchanged, the refusal was temporary.",
    advice: "Let the client stop on such answers, tell its user, and renew the login before it tries again.",
    reports: "The same status again and again.",
    references: &["RFC 6455 §7.2.3", "RFC 9110 §15.5"],
    aliases: &["1006", "400", "401", "403", "404", "4401"],
    ..Rule::BASE
};

pub(crate) static MUTUAL_KICK: Rule = Rule {
    id: "WSR905",
    slug: "mutual-kick",
    severity: Severity::Warning,
    party: Party::Client,
    detected: false,
    title: "Two clients with the same identity keep throwing each other out.",
    explanation: "Two clients use the same identity, and the server allows only one connection for it. Each new connection \
        throws the other one out, which then returns. It can go on forever.",
    evidence: "Connections from two addresses with the same identity (token, client id or device header) alternate, and \
        each 101 of the one is followed within a second by the end of the other. Likely.",
    unless: "One client that changes its address also does this once (WSN010), but not again and again.",
    advice: "Give each client its own identity (with MQTT its own client id), and look for a second copy of the \
        program or the device.",
    reports: "A close by the server just after the other client connects; with MQTT 5 reason 0x8E, session taken over.",
    references: &["MQTT 5.0 §3.1.4"],
    aliases: &["session taken over", "duplicate client"],
    ..Rule::BASE
};

pub(crate) static FIXED_DURATION_LOOP: Rule = Rule {
    id: "WSR906",
    slug: "fixed-duration-loop",
    severity: Severity::Warning,
    party: Party::Client,
    detected: false,
    title: "The connection dies and comes back after the same time every time.",
    explanation: "The connection ends after the same time every time, and the client comes back. A fixed time is the mark \
        of a timer and not of a fault by chance.",
    evidence: "At least three connections of the same client with equal durations (within 2 percent), longer than 5 \
        seconds. Proven as a pattern; which timer it is needs WSK701 or WSK702.",
    unless: "A program that is told to reconnect regularly does so on purpose; it then sends a close frame.",
    advice: "If the line was silent before each end, see WSK701. If messages were flowing, see WSK702.",
    references: &["RFC 6455 §5.5.2"],
    aliases: &["1006", "fixed duration"],
    ..Rule::BASE
};

pub(crate) static QUICK_ABORT_PAIR: Rule = Rule {
    id: "WSR907",
    slug: "quick-abort-pair",
    severity: Severity::Info,
    party: Party::Client,
    detected: false,
    title: "The client connected, gave up at once and connected again.",
    explanation: "The client connected, gave up within a tenth of a second and connected again, and the second connection \
        works. That is a program that starts twice, as React's StrictMode does in development. It is harmless.",
    evidence: "Two identical requests of one client, the first abandoned after less than 100 milliseconds. Proven as a \
        pattern.",
    unless: "If the second fails as well, see WSR901.",
    advice: "Nothing for production. Otherwise create the socket in one place, and close it in the effect's clean-up.",
    reports: "WebSocket is closed before the connection is established.",
    references: &["RFC 6455 §7.1.7"],
    aliases: &["StrictMode", "double connect"],
    ..Rule::BASE
};

pub(crate) static HEALTHY_BACKOFF: Rule = Rule {
    id: "WSR908",
    slug: "healthy-backoff",
    severity: Severity::Info,
    party: Party::Client,
    detected: false,
    title: "The client waits longer after each failure, as it should.",
    explanation: "The client fails again and again, but it waits longer after each failure and adds a random part. That is \
        how it should be.",
    evidence: "Growing gaps between at least four failed attempts. Proven.",
    unless: "If the gaps do not grow, see WSR902.",
    advice: "Nothing for the client: look for the reason of the failures.",
    references: &["RFC 6455 §7.2.3"],
    aliases: &["backoff"],
    ..Rule::BASE
};
