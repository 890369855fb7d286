//! What several connections say together: which of them belong in the report, which are two legs of one
//! proxied connection, and who keeps coming back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use smallvec::SmallVec;

use super::case::{Case, Deed, duration};
use super::catalogue::{self, wsh, wsl, wso, wsr};
use super::finding::{Confidence, Finding, Severity};
use super::outcome::Outcome;
use super::{Verdict, wsk, wsp, wst};
use crate::connection::{ConnectionRecord, Layers};
use crate::http::handshake::Key;
use crate::packet::{Endpoint, Stamp};
use crate::stream::Side;
use crate::tcp::Opening;
use crate::tls::TlsFacts;

/// A proxy that ends both legs on its own does so within this time, in nanoseconds.
const SAME_MOMENT: i64 = 5_000_000;
/// A back leg's end shows on the front leg within this time, in nanoseconds.
const PASSED_ON: i64 = 1_000_000_000;
/// Nothing was sent for at least this long, in nanoseconds, before a timer is blamed.
const IDLE: i64 = 1_000_000_000;
/// A silence of at least this long, in nanoseconds, that ends several connections alike is a timer's.
const LONG_SILENCE: i64 = 5_000_000_000;
/// … when the silences differ by no more than this, in nanoseconds, on so many connections.
const SAME_SILENCE: i64 = 500_000_000;
const SAME_SILENCE_AT_LEAST: usize = 3;
/// Attempts within this time, in nanoseconds, make a loop.
const LOOP_SPAN: i64 = 60_000_000_000;
/// So many attempts in a row that came to nothing are a loop; so many are an error.
const LOOP_WARNING: usize = 3;
const LOOP_ERROR: usize = 5;
/// A WebSocket that lived shorter than this, in nanoseconds, and carried no message came to nothing.
const SHORT: i64 = 1_000_000_000;

/// One WebSocket or attempt, or a connection that failed before it had any.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Wireshark's `tcp.stream`.
    pub tcp_stream: u32,
    /// The connection.
    pub record: &'a ConnectionRecord,
    /// Which entry of it.
    pub entry: Option<usize>,
}

impl<'a> Subject<'a> {
    fn case(&self) -> Case<'a> {
        Case::new(self.record, self.entry)
    }

    /// The entries of a connection, or the connection itself.
    pub fn of(tcp_stream: u32, record: &'a ConnectionRecord) -> impl Iterator<Item = Subject<'a>> {
        let whole = record.entries.is_empty().then_some(None);
        (0..record.entries.len()).map(Some).chain(whole).map(move |entry| Subject { tcp_stream, record, entry })
    }

    /// Whether it has an entry of its own: a WebSocket or an attempt at one was seen.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.entry.is_some()
    }
}

/// How connections belong together.
#[derive(Clone, Debug)]
pub enum Relation {
    /// Two legs of one connection through a proxy.
    ProxyLeg {
        /// Index of the client's leg among the subjects.
        front: usize,
        /// Index of the leg to the server behind the proxy.
        back: usize,
    },
    /// Attempts in a row by the same client at the same place, all of which came to nothing.
    ReconnectLoop {
        /// Indices of the attempts.
        attempts: Vec<usize>,
        /// Median time between the end of one and the start of the next, in nanoseconds.
        median_gap_ns: i64,
    },
}

/// A finding about several subjects.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Whom it is about.
    pub subjects: Vec<usize>,
    /// What it is.
    pub finding: Finding,
    /// Whose outcome it explains better than anything about them alone.
    pub explains: Vec<usize>,
}

/// Which connections without any visible WebSocket belong in the report (the others are only counted):
/// those that failed where a WebSocket was seen or attempted, or while one was failing, and all of them when
/// the capture holds no WebSocket or the user's filter chose them.
#[must_use]
pub fn belongs(subject: &Subject<'_>, websockets: &Surroundings, chosen: bool) -> bool {
    if subject.is_websocket() {
        return true;
    }
    let case = subject.case();
    let failed = matches!(case.tcp().opening, Opening::Refused | Opening::Unanswered);
    let encrypted = subject.record.layers == Layers::Tls;
    if encrypted && (wst::looks_like_websocket(&case) || (!websockets.any && wst::may_be_websocket(&case))) {
        return true;
    }
    if let Some(connect) = wsp::refused(&case) {
        // Browsers go through the proxy for much else: only the way to a WebSocket counts.
        return chosen || !websockets.any || wsp::destination(connect).is_some_and(|name| websockets.knows(&name));
    }
    let failed = failed || (encrypted && wst::failed(&case) && !(wst::merely_left(&case) && websockets.trusts(&case)));
    failed && (chosen || websockets.near(&case))
}

/// Where and when WebSockets were seen or attempted.
#[derive(Debug, Default)]
pub struct Surroundings {
    any: bool,
    servers: BTreeMap<Endpoint, ()>,
    names: BTreeMap<String, ()>,
    troubles: Vec<(i64, i64)>,
    trusting: BTreeSet<(IpAddr, Endpoint)>,
}

impl Surroundings {
    /// As if a WebSocket had been seen, but nowhere near: what belongs in a report even then surely belongs.
    #[must_use]
    pub fn elsewhere() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Takes note of a WebSocket or attempt and how it ended.
    pub fn add(&mut self, subject: &Subject<'_>, verdict: &Verdict) {
        let case = subject.case();
        let encrypted = subject.record.layers == Layers::Tls;
        if !(subject.is_websocket() || (encrypted && wst::looks_like_websocket(&case))) {
            return;
        }
        self.any = true;
        self.servers.insert(case.tcp().server, ());
        if case.tls().is_some() {
            self.trusting.insert((case.tcp().client.ip, case.tcp().server));
        }
        if let Some(name) = case.tls().and_then(TlsFacts::server_name) {
            self.names.insert(name.to_ascii_lowercase(), ());
        }
        let host = case.exchange().and_then(|exchange| exchange.request.as_ref()).and_then(|request| request.host());
        if let Some(host) = host {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            self.names.insert(name.to_ascii_lowercase(), ());
        }
        if let Some(entry) = case.entry
            && (verdict.outcome.is_failure() || verdict.outcome == Outcome::ClosedNoStatus)
        {
            self.troubles.push((entry.first.at, entry.last.at.max(case.tcp().last.at)));
        }
    }

    /// The same client got through to the same server: it has nothing against that certificate, so that a
    /// connection on which it only shook hands was a probe or a spare one.
    fn trusts(&self, case: &Case<'_>) -> bool {
        self.trusting.contains(&(case.tcp().client.ip, case.tcp().server))
    }

    fn knows(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    fn near(&self, case: &Case<'_>) -> bool {
        let tcp = case.tcp();
        let named = case
            .tls()
            .and_then(|tls| tls.server_name())
            .is_some_and(|name| self.names.contains_key(&name.to_ascii_lowercase()));
        !self.any
            || named
            || self.servers.contains_key(&tcp.server)
            || self.troubles.iter().any(|(from, to)| (*from..=*to).contains(&tcp.first.at))
    }
}

/// Finds relations and what follows from them.
#[must_use]
pub fn relate(subjects: &[Subject<'_>], verdicts: &[Verdict]) -> (Vec<Relation>, Vec<Shared>) {
    let mut relations = Vec::new();
    let mut shared = Vec::new();
    for (front, back) in proxy_legs(subjects) {
        relations.push(Relation::ProxyLeg { front, back });
        shared.extend(leg(subjects, verdicts, front, back));
    }
    shared.extend(idle_timers(subjects, verdicts));
    for attempts in reconnect_loops(subjects, verdicts) {
        let (relation, finding) = reconnect_loop(subjects, verdicts, attempts);
        relations.push(relation);
        shared.push(finding);
    }
    (relations, shared)
}

/// Pairs of entries whose requests carry the same, otherwise unused Sec-WebSocket-Key.
fn proxy_legs(subjects: &[Subject<'_>]) -> Vec<(usize, usize)> {
    let mut by_key: HashMap<&str, SmallVec<[usize; 2]>, foldhash::fast::RandomState> = HashMap::default();
    for (index, subject) in subjects.iter().enumerate() {
        let case = subject.case();
        let Some(request) = case.exchange().and_then(|exchange| exchange.request.as_ref()) else { continue };
        let usable = case
            .handshake()
            .and_then(|handshake| handshake.request.as_ref())
            .is_some_and(|checks| checks.key == Key::Valid && !checks.key_is_rfc_sample);
        if let Some(key) = request.websocket_key().filter(|_| usable) {
            by_key.entry(key).or_default().push(index);
        }
    }
    let mut pairs: Vec<(usize, usize)> = by_key
        .into_values()
        .filter_map(|indices| match indices[..] {
            [first, second] => {
                let (a, b) = (subjects[first].case(), subjects[second].case());
                // The same server end means the same connection captured twice (before and behind NAT).
                let two = a.tcp().server != b.tcp().server;
                // The proxy's address tells the legs apart, whatever the clocks of two captures say.
                if two && a.tcp().client.ip == b.tcp().server.ip && a.tcp().server.ip != b.tcp().client.ip {
                    return Some((second, first));
                }
                let overlap = a.tcp().first.at <= b.tcp().last.at && b.tcp().first.at <= a.tcp().last.at;
                (two && overlap).then_some((first, second))
            }
            _ => None,
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

/// What the two legs of a proxied connection say together.
fn leg(subjects: &[Subject<'_>], verdicts: &[Verdict], front: usize, back: usize) -> Vec<Shared> {
    let (f, b) = (subjects[front].case(), subjects[back].case());
    let both = vec![front, back];
    let mut shared = Vec::new();
    if let Some(stripped) = verdicts[back].findings.iter().find(|finding| finding.rule.id == wsh::UPGRADE_STRIPPED.id)
        && verdicts[front].outcome == Outcome::UpgradeFailed
    {
        let mut finding = stripped.clone();
        finding.confidence = Confidence::Proven;
        if let Some(request) = f.exchange().and_then(|exchange| exchange.request.as_ref()) {
            finding.add_evidence(request.head.last, Some(Side::Client), "the client had asked correctly");
        }
        shared.push(Shared { subjects: vec![front], finding, explains: vec![front] });
    }
    if f.websocket().is_none() || b.websocket().is_none() || verdicts[front].outcome != Outcome::ClosedAbnormal {
        return shared;
    }
    let (Some((f_side, f_at, f_deed)), Some((b_side, b_at, b_deed))) = (f.first_actor(), b.first_actor()) else {
        return shared;
    };
    if f_deed == Deed::Close || b_deed == Deed::Close {
        return shared;
    }
    let gap = f_at.at - b_at.at;
    match (f_side, b_side) {
        (Side::Server, Side::Client) if gap.abs() <= SAME_MOMENT => {
            shared.extend(proxy_ended_both(&f, &b, both, f_at, b_at));
        }
        (Side::Server, Side::Server) if (0..=PASSED_ON).contains(&gap) => {
            let finding = Finding::new(
                &wsl::BACKEND_FIRST,
                Confidence::Proven,
                format!("The server behind the proxy ended first; the proxy passed it on {} later.", duration(gap)),
            )
            .evidence(b_at, Some(Side::Server), "back leg: the server ends the connection")
            .evidence(f_at, Some(Side::Server), "front leg: the proxy ends it towards the client");
            shared.push(Shared { subjects: both.clone(), finding, explains: Vec::new() });
            let finding = Finding::new(
                &wso::BACKEND_DIED_BEHIND_PROXY,
                Confidence::Proven,
                "The server behind the proxy ended the connection without a Close frame; the proxy only passed it on.",
            )
            .evidence(b_at, Some(Side::Server), "back leg: end without a Close frame")
            .evidence(f_at, Some(Side::Server), "front leg: the proxy ends it towards the client");
            shared.push(Shared { subjects: both.clone(), finding, explains: both });
        }
        (Side::Client, Side::Client) if (-PASSED_ON..=0).contains(&gap) => {
            let finding = Finding::new(
                &wsl::CLIENT_FIRST,
                Confidence::Proven,
                "The client ended first; the proxy passed it on to the server.",
            )
            .evidence(f_at, Some(Side::Client), "front leg: the client ends the connection")
            .evidence(b_at, Some(Side::Client), "back leg: the proxy ends it towards the server");
            shared.push(Shared { subjects: both, finding, explains: Vec::new() });
        }
        _ => {}
    }
    shared
}

/// The proxy hung up on both sides at the same moment, and neither side had given it a reason.
fn proxy_ended_both(f: &Case<'_>, b: &Case<'_>, both: Vec<usize>, f_at: Stamp, b_at: Stamp) -> Vec<Shared> {
    let at = f_at.at.min(b_at.at);
    let last = [f, b]
        .iter()
        .filter_map(|case| case.tcp().last_payload())
        .filter(|last| last.at <= at)
        .max_by_key(|last| last.at);
    let Some(last) = last else { return Vec::new() };
    let idle = at - last.at;
    if idle <= f.rtt_ns().min(b.rtt_ns()).max(SAME_MOMENT) {
        return Vec::new();
    }
    let timer = idle >= IDLE;
    let finding = Finding::new(
        &wsl::PROXY_FIRST,
        Confidence::Proven,
        format!("The proxy ended both legs at the same moment, {} after the last byte on either.", duration(idle)),
    )
    .evidence(f_at, Some(Side::Server), "front leg: the proxy ends it towards the client")
    .evidence(b_at, Some(Side::Client), "back leg: the proxy ends it towards the server");
    let explains = if timer { Vec::new() } else { both.clone() };
    let mut shared = vec![Shared { subjects: both.clone(), finding, explains }];
    if timer {
        let finding = Finding::new(
            &catalogue::wsk::IDLE_TIMEOUT,
            Confidence::Proven,
            format!("Nobody spoke for {}, then the proxy hung up on both sides: its idle timer.", duration(idle)),
        )
        .evidence(last, None, "last byte on either leg")
        .evidence(f_at, Some(Side::Server), "front leg: the proxy hangs up")
        .evidence(b_at, Some(Side::Client), "back leg: the proxy hangs up");
        shared.push(Shared { subjects: both.clone(), finding, explains: both });
    }
    shared
}

/// Connections to the same server that ended after the same silence: a timer on the way, whose ever it is.
fn idle_timers(subjects: &[Subject<'_>], verdicts: &[Verdict]) -> Vec<Shared> {
    let mut silences: BTreeMap<Endpoint, Vec<(i64, usize)>> = BTreeMap::new();
    for (index, (subject, verdict)) in subjects.iter().zip(verdicts).enumerate() {
        let case = subject.case();
        if verdict.outcome == Outcome::ClosedAbnormal
            && let Some((_, at, _)) = wsk::silent_end(&case)
            && let Some(idle) = case.idle_before(at)
            && idle >= LONG_SILENCE
        {
            silences.entry(case.tcp().server).or_default().push((idle, index));
        }
    }
    let mut shared = Vec::new();
    for (_, mut silences) in silences {
        silences.sort_unstable();
        let mut rest = &silences[..];
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|(idle, _)| idle - first.0 <= SAME_SILENCE).count();
            let (group, others) = rest.split_at(same);
            rest = others;
            if same < SAME_SILENCE_AT_LEAST {
                continue;
            }
            let mut members: Vec<usize> = group.iter().map(|(_, index)| *index).collect();
            members.sort_unstable();
            let summary =
                format!("{same} connections ended after the same silence of {}: an idle timer.", duration(first.0));
            let mut finding = Finding::new(&catalogue::wsk::IDLE_TIMEOUT, Confidence::Likely, summary);
            for index in members.iter().take(super::finding::MAX_EVIDENCE) {
                if let Some((side, at, _)) = wsk::silent_end(&subjects[*index].case()) {
                    finding.add_evidence(at, Some(side), "the end after the silence");
                }
            }
            shared.push(Shared { subjects: members.clone(), finding, explains: members });
        }
    }
    shared
}

/// Whether an attempt came to nothing.
fn came_to_nothing(case: &Case<'_>, verdict: &Verdict) -> bool {
    match verdict.outcome {
        Outcome::UpgradeFailed | Outcome::TlsFailed | Outcome::TcpFailed => true,
        Outcome::ClosedAbnormal => {
            let lived = case.opened().map_or(0, |opened| case.tcp().last.at - opened.at);
            case.messages() == 0 && lived < SHORT
        }
        _ => false,
    }
}

fn path_of<'a>(case: &Case<'a>) -> &'a str {
    case.exchange().and_then(|exchange| exchange.request.as_ref()).map_or("", |request| request.path())
}

fn reconnect_loops(subjects: &[Subject<'_>], verdicts: &[Verdict]) -> Vec<Vec<usize>> {
    // Most clients succeed most of the time: only those with enough failures are looked at closely.
    let who = |case: &Case<'_>| (case.tcp().client.ip, case.tcp().server);
    let mut failures: HashMap<_, usize, foldhash::fast::RandomState> = HashMap::default();
    for (subject, verdict) in subjects.iter().zip(verdicts) {
        let case = subject.case();
        if came_to_nothing(&case, verdict) {
            *failures.entry(who(&case)).or_default() += 1;
        }
    }
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, subject) in subjects.iter().enumerate() {
        let case = subject.case();
        if failures.get(&who(&case)).is_none_or(|count| *count < LOOP_WARNING) {
            continue;
        }
        groups.entry((case.tcp().client.ip, case.tcp().server, path_of(&case))).or_default().push(index);
    }
    let mut loops = Vec::new();
    for indices in groups.into_values() {
        let mut run: Vec<usize> = Vec::new();
        for index in indices {
            let case = subjects[index].case();
            let in_time = run
                .last()
                .is_none_or(|last| case.tcp().first.at - subjects[*last].case().tcp().last.at < LOOP_SPAN / 3);
            if came_to_nothing(&case, &verdicts[index]) && in_time {
                run.push(index);
                continue;
            }
            if run.len() >= LOOP_WARNING {
                loops.push(std::mem::take(&mut run));
            }
            run.clear();
            if came_to_nothing(&case, &verdicts[index]) {
                run.push(index);
            }
        }
        if run.len() >= LOOP_WARNING {
            loops.push(run);
        }
    }
    loops.sort_unstable();
    loops
}

fn reconnect_loop(subjects: &[Subject<'_>], verdicts: &[Verdict], attempts: Vec<usize>) -> (Relation, Shared) {
    let case = |index: usize| subjects[index].case();
    let mut gaps: Vec<i64> =
        attempts.windows(2).map(|pair| case(pair[1]).tcp().first.at - case(pair[0]).tcp().last.at).collect();
    gaps.sort_unstable();
    let median_gap_ns = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
    let first = case(attempts[0]);
    let last = case(attempts[attempts.len() - 1]);
    let span = last.tcp().last.at - first.tcp().first.at;
    let rules: Vec<&str> = attempts
        .iter()
        .filter_map(|index| verdicts[*index].root_cause.map(|cause| verdicts[*index].findings[cause].rule.id))
        .collect();
    let same = rules.windows(2).all(|pair| pair[0] == pair[1]) && rules.len() == attempts.len();
    let why = if same { format!(", each time for the same reason ({})", rules[0]) } else { String::new() };
    let mut finding = Finding::new(
        &wsr::RECONNECT_LOOP,
        Confidence::Proven,
        format!(
            "{} connected {} times in {} and got nowhere{why}.",
            first.tcp().client.ip,
            attempts.len(),
            duration(span)
        ),
    );
    if attempts.len() >= LOOP_ERROR {
        finding = finding.severity(Severity::Error);
    }
    for index in attempts.iter().take(super::finding::MAX_EVIDENCE) {
        finding.add_evidence(case(*index).tcp().first, Some(Side::Client), "attempt");
    }
    let relation = Relation::ReconnectLoop { attempts: attempts.clone(), median_gap_ns };
    (relation, Shared { subjects: attempts, finding, explains: Vec::new() })
}
