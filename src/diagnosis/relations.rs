//! What several connections say together: which of them belong in the report, which are two legs of one
//! proxied connection, and who keeps coming back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::brief::{Brief, NameHash};
use super::case::{Deed, duration};
use super::catalogue::{self, wsl, wso, wsr};
use super::finding::{Confidence, Finding, Severity};
use super::outcome::Outcome;
use crate::packet::{Endpoint, Stamp};
use crate::stream::Side;

type Set<T> = HashSet<T, foldhash::fast::RandomState>;

/// A proxy that ends both legs on its own does so within this time, in nanoseconds.
const SAME_MOMENT: i64 = 5_000_000;
/// A back leg's end shows on the front leg within this time, in nanoseconds.
const PASSED_ON: i64 = 1_000_000_000;
/// Nothing was sent for at least this long, in nanoseconds, before a timer is blamed.
const IDLE: i64 = 1_000_000_000;
/// A silence of at least this long, in nanoseconds, that ends several connections alike is a timer's.
pub(super) const LONG_SILENCE: i64 = 5_000_000_000;
/// … when the silences differ by no more than this, in nanoseconds, on so many connections.
const SAME_SILENCE: i64 = 500_000_000;
const SAME_SILENCE_AT_LEAST: usize = 3;
/// Attempts within this time, in nanoseconds, make a loop.
const LOOP_SPAN: i64 = 60_000_000_000;
/// So many attempts in a row that came to nothing are a loop; so many are an error.
const LOOP_WARNING: usize = 3;
const LOOP_ERROR: usize = 5;
/// A WebSocket that lived shorter than this, in nanoseconds, and carried no message came to nothing.
pub(super) const SHORT: i64 = 1_000_000_000;

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
pub fn belongs(brief: &Brief, websockets: &Surroundings, chosen: bool) -> bool {
    let Some(claim) = &brief.claim else { return true };
    if brief.looks_like_websocket || (!websockets.any && claim.may_be_websocket) {
        return true;
    }
    if let Some(name) = claim.refused_connect {
        // Browsers go through the proxy for much else: only the way to a WebSocket counts.
        return chosen || !websockets.any || name.is_some_and(|name| websockets.names.contains(&name));
    }
    let failed = claim.tcp_failed || (claim.tls_failed && !(claim.merely_left && websockets.trusts(brief)));
    failed && (chosen || websockets.near(brief))
}

/// Where and when WebSockets were seen or attempted.
#[derive(Debug, Default)]
pub struct Surroundings {
    any: bool,
    servers: Set<Endpoint>,
    names: Set<NameHash>,
    /// When attempts were under way that came to a bad end; sorted and apart once `settled`.
    troubles: Vec<(i64, i64)>,
    settled: bool,
    trusting: Set<(IpAddr, Endpoint)>,
}

impl Surroundings {
    /// As if a WebSocket had been seen, but nowhere near: what belongs in a report even then surely belongs.
    #[must_use]
    pub fn elsewhere() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Takes note of a WebSocket or attempt and how it ended.
    pub fn add(&mut self, brief: &Brief) {
        if !(brief.is_websocket() || brief.looks_like_websocket) {
            return;
        }
        self.any = true;
        self.servers.insert(brief.server);
        if brief.tls {
            self.trusting.insert((brief.client.ip, brief.server));
        }
        self.names.extend(brief.names.iter().flatten());
        if let Some(trouble) = brief.trouble {
            self.troubles.push(trouble);
            self.settled = false;
        }
    }

    /// Takes over what others have seen.
    pub fn merge(&mut self, other: Surroundings) {
        self.any |= other.any;
        self.servers.extend(other.servers);
        self.names.extend(other.names);
        self.trusting.extend(other.trusting);
        self.troubles.extend(other.troubles);
        self.settled = false;
    }

    /// Joins times of trouble that overlap, so that a question about them takes few steps. To be called before
    /// many questions are asked; without it answers are the same.
    pub fn settle(&mut self) {
        self.troubles.sort_unstable();
        self.troubles.dedup_by(|next, known| {
            let overlap = next.0 <= known.1;
            if overlap {
                known.1 = known.1.max(next.1);
            }
            overlap
        });
        self.settled = true;
    }

    /// The same client got through to the same server: it has nothing against that certificate, so that a
    /// connection on which it only shook hands was a probe or a spare one.
    fn trusts(&self, brief: &Brief) -> bool {
        self.trusting.contains(&(brief.client.ip, brief.server))
    }

    fn in_trouble(&self, at: i64) -> bool {
        if !self.settled {
            return self.troubles.iter().any(|(from, to)| (*from..=*to).contains(&at));
        }
        let begun = self.troubles.partition_point(|(from, _)| *from <= at);
        begun > 0 && self.troubles[begun - 1].1 >= at
    }

    fn near(&self, brief: &Brief) -> bool {
        let named = brief.names[0].is_some_and(|name| self.names.contains(&name));
        !self.any || named || self.servers.contains(&brief.server) || self.in_trouble(brief.first.at)
    }
}

/// Which briefs need a second look before relations can be told; gathered in pieces that can be merged.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Keys and who sent them, in pieces.
    keys: Vec<Vec<(u128, u32)>>,
    /// Who ended after a long silence.
    silent: Vec<u32>,
    /// Attempts that came to nothing.
    fruitless: Vec<u32>,
}

impl Gathered {
    /// Takes note of the subject with this index.
    pub fn add(&mut self, index: usize, brief: &Brief) {
        let subject = index as u32;
        if let Some(key) = brief.key {
            match self.keys.last_mut() {
                Some(keys) => keys.push((key, subject)),
                None => self.keys.push(vec![(key, subject)]),
            }
        }
        if brief.silence.is_some() {
            self.silent.push(subject);
        }
        if brief.came_to_nothing {
            self.fruitless.push(subject);
        }
    }

    /// Takes over what was gathered about later subjects.
    pub fn merge(&mut self, later: Gathered) {
        self.keys.extend(later.keys);
        self.silent.extend(later.silent);
        self.fruitless.extend(later.fruitless);
    }

    /// Finds relations among all subjects, and what follows from them.
    #[must_use]
    pub fn relate(self, briefs: &[&Brief]) -> (Vec<Relation>, Vec<Shared>) {
        let mut relations = Vec::new();
        let mut shared = Vec::new();
        for (front, back) in proxy_legs(&self.keys, briefs) {
            relations.push(Relation::ProxyLeg { front, back });
            shared.extend(leg(briefs, front, back));
        }
        shared.extend(idle_timers(&self.silent, briefs));
        for attempts in reconnect_loops(&self.fruitless, briefs) {
            let (relation, finding) = reconnect_loop(briefs, attempts);
            relations.push(relation);
            shared.push(finding);
        }
        (relations, shared)
    }
}

/// Pairs of entries whose requests carry the same, otherwise unused Sec-WebSocket-Key.
fn proxy_legs(keys: &[Vec<(u128, u32)>], briefs: &[&Brief]) -> Vec<(usize, usize)> {
    let mut shared = seen_again(keys);
    shared.sort_unstable();
    let mut pairs = Vec::new();
    for same in shared.chunk_by(|a, b| a.0 == b.0) {
        let [(_, first), (_, second)] = *same else { continue };
        pairs.extend(legs_in_order(first as usize, second as usize, briefs));
    }
    pairs.sort_unstable();
    pairs
}

/// All keys that came more than once, and some others: those that share a place in a table with another.
/// Most keys come once, and are told apart without sorting a million of them.
fn seen_again(keys: &[Vec<(u128, u32)>]) -> Vec<(u128, u32)> {
    let count: usize = keys.iter().map(Vec::len).sum();
    // At most one key in sixteen shares its place by chance.
    let places = (count * 16).next_power_of_two().max(64);
    // A valid key is random, so its bits are as good as a hash. Whoever chooses keys alike only gets them sorted.
    let place = |key: u128| (key as usize & (places - 1)) / 64;
    let bit = |key: u128| 1_u64 << (key as u64 % 64);
    let mut once = vec![0_u64; places / 64];
    let mut again = vec![0_u64; places / 64];
    let all = || keys.iter().flatten();
    for (key, _) in all() {
        let (place, bit) = (place(*key), bit(*key));
        again[place] |= once[place] & bit;
        once[place] |= bit;
    }
    all().filter(|(key, _)| again[place(*key)] & bit(*key) != 0).copied().collect()
}

/// Which of two entries with the same key is the front leg; `None` when they are no legs of one connection.
fn legs_in_order(first: usize, second: usize, briefs: &[&Brief]) -> Option<(usize, usize)> {
    let (a, b) = (briefs[first], briefs[second]);
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
fn leg(briefs: &[&Brief], front: usize, back: usize) -> Vec<Shared> {
    let (f, b) = (briefs[front], briefs[back]);
    let both = vec![front, back];
    let mut shared = Vec::new();
    if let Some(stripped) = b.stripped.as_deref().filter(|_| f.outcome == Outcome::UpgradeFailed) {
        let mut finding = stripped.clone();
        finding.confidence = Confidence::Proven;
        if let Some(asked) = f.asked {
            finding.add_evidence(asked, Some(Side::Client), "the client had asked correctly");
        }
        shared.push(Shared { subjects: vec![front], finding, explains: vec![front] });
    }
    if !f.is_open || !b.is_open || f.outcome != Outcome::ClosedAbnormal {
        return shared;
    }
    let (Some((f_side, f_at, f_deed)), Some((b_side, b_at, b_deed))) = (f.first_actor, b.first_actor) else {
        return shared;
    };
    if f_deed == Deed::Close || b_deed == Deed::Close {
        return shared;
    }
    let gap = f_at.at - b_at.at;
    match (f_side, b_side) {
        (Side::Server, Side::Client) if gap.abs() <= SAME_MOMENT => {
            shared.extend(proxy_ended_both(f, b, both, f_at, b_at));
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
fn proxy_ended_both(f: &Brief, b: &Brief, both: Vec<usize>, f_at: Stamp, b_at: Stamp) -> Vec<Shared> {
    let at = f_at.at.min(b_at.at);
    let last = [f, b].iter().filter_map(|leg| leg.last_payload).filter(|last| last.at <= at).max_by_key(|last| last.at);
    let Some(last) = last else { return Vec::new() };
    let idle = at - last.at;
    if idle <= f.rtt_ns.min(b.rtt_ns).max(SAME_MOMENT) {
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
fn idle_timers(silent: &[u32], briefs: &[&Brief]) -> Vec<Shared> {
    let mut silences: BTreeMap<Endpoint, Vec<(i64, usize)>> = BTreeMap::new();
    for index in silent.iter().map(|index| *index as usize) {
        if let Some((idle, _, _)) = briefs[index].silence {
            silences.entry(briefs[index].server).or_default().push((idle, index));
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
                if let Some((_, side, at)) = briefs[*index].silence {
                    finding.add_evidence(at, Some(side), "the end after the silence");
                }
            }
            shared.push(Shared { subjects: members.clone(), finding, explains: members });
        }
    }
    shared
}

/// Runs of attempts that came to nothing, by the same client at the same place.
fn reconnect_loops(fruitless: &[u32], briefs: &[&Brief]) -> Vec<Vec<usize>> {
    // Most clients succeed most of the time: only those with enough failures are looked at closely.
    let who = |brief: &Brief| (brief.client.ip, brief.server);
    let mut failures: HashMap<_, usize, foldhash::fast::RandomState> = HashMap::default();
    for index in fruitless {
        *failures.entry(who(briefs[*index as usize])).or_default() += 1;
    }
    failures.retain(|_, count| *count >= LOOP_WARNING);
    if failures.is_empty() {
        return Vec::new();
    }
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, brief) in briefs.iter().enumerate() {
        if failures.contains_key(&who(brief)) {
            groups.entry((brief.client.ip, brief.server, brief.path)).or_default().push(index);
        }
    }
    let mut loops = Vec::new();
    for indices in groups.into_values() {
        let mut run: Vec<usize> = Vec::new();
        for index in indices {
            let brief = briefs[index];
            let in_time = run.last().is_none_or(|last| brief.first.at - briefs[*last].last.at < LOOP_SPAN / 3);
            if brief.came_to_nothing && in_time {
                run.push(index);
                continue;
            }
            if run.len() >= LOOP_WARNING {
                loops.push(std::mem::take(&mut run));
            }
            run.clear();
            if brief.came_to_nothing {
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

fn reconnect_loop(briefs: &[&Brief], attempts: Vec<usize>) -> (Relation, Shared) {
    let mut gaps: Vec<i64> =
        attempts.windows(2).map(|pair| briefs[pair[1]].first.at - briefs[pair[0]].last.at).collect();
    gaps.sort_unstable();
    let median_gap_ns = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
    let (first, last) = (briefs[attempts[0]], briefs[attempts[attempts.len() - 1]]);
    let span = last.last.at - first.first.at;
    let rules: Vec<&str> =
        attempts.iter().filter_map(|index| briefs[*index].cause().map(|cause| cause.rule.id)).collect();
    let same = rules.windows(2).all(|pair| pair[0] == pair[1]) && rules.len() == attempts.len();
    let why = if same { format!(", each time for the same reason ({})", rules[0]) } else { String::new() };
    let mut finding = Finding::new(
        &wsr::RECONNECT_LOOP,
        Confidence::Proven,
        format!("{} connected {} times in {} and got nowhere{why}.", first.client.ip, attempts.len(), duration(span)),
    );
    if attempts.len() >= LOOP_ERROR {
        finding = finding.severity(Severity::Error);
    }
    for index in attempts.iter().take(super::finding::MAX_EVIDENCE) {
        finding.add_evidence(briefs[*index].first, Some(Side::Client), "attempt");
    }
    let relation = Relation::ReconnectLoop { attempts: attempts.clone(), median_gap_ns };
    (relation, Shared { subjects: attempts, finding, explains: Vec::new() })
}
