//! What several connections say together: which of them belong in the report, which are two legs of one
//! proxied connection, and who keeps coming back.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::NonZeroU32;

use foldhash::quality::FixedState;

use super::brief::{Brief, NameHash};
use super::case::{Deed, duration};
use super::catalogue::{self, Rule, wsl, wso, wsr};
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

/// Gives the brief of a subject.
pub type LookUp<'l, 'b> = dyn Fn(usize) -> Cow<'b, Brief> + 'l;

/// What is remembered of subjects in a row so that relations among them are found with a second look at few.
#[derive(Debug, Default)]
pub struct Gathered {
    marks: Vec<Mark>,
    silences: Vec<Silence>,
    fruitless: Vec<Attempt>,
}

/// What is remembered of every subject.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Hash of client, server and path.
    place: u64,
    /// A part of the key, if there is one.
    key: Option<NonZeroU32>,
}

/// Who ended after a long silence, at which server.
#[derive(Clone, Copy, Debug)]
struct Silence {
    subject: u32,
    server: Endpoint,
    idle: i64,
}

/// An attempt that came to nothing.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    subject: u32,
    first: i64,
    last: i64,
    cause: Option<&'static Rule>,
}

impl Gathered {
    /// With room for so many subjects.
    #[must_use]
    pub fn with_capacity(subjects: usize) -> Self {
        Self { marks: Vec::with_capacity(subjects), ..Self::default() }
    }

    /// Takes note of the next subject.
    pub fn add(&mut self, brief: &Brief) {
        let subject = self.marks.len() as u32;
        let place = place(brief);
        // A valid key is random: a part of it tells most of them apart.
        let key = brief.key.map(|key| NonZeroU32::new(key as u32).unwrap_or(NonZeroU32::MIN));
        self.marks.push(Mark { place, key });
        if let Some((idle, ..)) = brief.silence {
            self.silences.push(Silence { subject, server: brief.server, idle });
        }
        if brief.came_to_nothing {
            let cause = brief.cause().map(|cause| cause.rule);
            self.fruitless.push(Attempt { subject, first: brief.first.at, last: brief.last.at, cause });
        }
    }

    /// Forgets subjects; those behind them move up. `gone`: their indices, in order.
    pub fn forget(&mut self, gone: &[u32]) {
        remove(&mut self.marks, gone);
        let moved = |subject: u32| gone.binary_search(&subject).err().map(|before| subject - before as u32);
        self.silences.retain_mut(|one| moved(one.subject).map(|subject| one.subject = subject).is_some());
        self.fruitless.retain_mut(|one| moved(one.subject).map(|subject| one.subject = subject).is_some());
    }

    /// Finds relations among all subjects, which were gathered in `parts`, and what follows from them.
    #[must_use]
    pub fn relate(parts: &[Gathered], look_up: &LookUp<'_, '_>) -> (Vec<Relation>, Vec<Shared>) {
        let mut relations = Vec::new();
        let mut shared = Vec::new();
        for (front, back) in proxy_legs(parts, look_up) {
            relations.push(Relation::ProxyLeg { front, back });
            shared.extend(leg(&look_up(front), &look_up(back), front, back));
        }
        shared.extend(idle_timers(parts, look_up));
        for attempts in reconnect_loops(parts).into_iter().filter(|attempts| are_alike(attempts, look_up)) {
            let (relation, finding) = reconnect_loop(&attempts, look_up);
            relations.push(relation);
            shared.push(finding);
        }
        (relations, shared)
    }
}

/// Hash of client, server and path.
fn place(brief: &Brief) -> u64 {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 4_u32),
        IpAddr::V6(ip) => (u128::from(ip), 6),
    };
    let ((client, version), (server, _)) = (bits(brief.client.ip), bits(brief.server.ip));
    FixedState::default().hash_one((client, server, u32::from(brief.server.port) << 8 | version, brief.path))
}

/// Removes the elements with these indices, which are in order.
pub fn remove<T>(from: &mut Vec<T>, gone: &[u32]) {
    let (mut index, mut gone) = (0, gone.iter().copied().peekable());
    from.retain(|_| {
        index += 1;
        gone.next_if_eq(&(index - 1)).is_none()
    });
}

/// Each part, and how many subjects come before it.
fn with_offsets(parts: &[Gathered]) -> impl Iterator<Item = (usize, &Gathered)> {
    parts.iter().scan(0, |next, part| {
        let offset = *next;
        *next += part.marks.len();
        Some((offset, part))
    })
}

/// Pairs of entries whose requests carry the same, otherwise unused Sec-WebSocket-Key.
fn proxy_legs(parts: &[Gathered], look_up: &LookUp<'_, '_>) -> Vec<(usize, usize)> {
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
fn leg(f: &Brief, b: &Brief, front: usize, back: usize) -> Vec<Shared> {
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
    // Where it is the cause, it is as severe as what it broke.
    let finding = if timer { finding } else { finding.severity(Severity::Error) };
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
fn idle_timers(parts: &[Gathered], look_up: &LookUp<'_, '_>) -> Vec<Shared> {
    let mut by_server: BTreeMap<Endpoint, Vec<(i64, usize)>> = BTreeMap::new();
    for (offset, part) in with_offsets(parts) {
        for Silence { subject, server, idle } in &part.silences {
            by_server.entry(*server).or_default().push((*idle, offset + *subject as usize));
        }
    }
    let mut shared = Vec::new();
    for mut silences in by_server.into_values() {
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
                if let Some((_, side, at)) = look_up(*index).silence {
                    finding.add_evidence(at, Some(side), "the end after the silence");
                }
            }
            shared.push(Shared { subjects: members.clone(), finding, explains: members });
        }
    }
    shared
}

/// An attempt, and whose.
type Tried<'g> = (usize, &'g Attempt);

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
        let brief = look_up(subject);
        (brief.client.ip, brief.server, brief.path)
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
        &wsr::RECONNECT_LOOP,
        Confidence::Proven,
        format!("{client} connected {} times in {} and got nowhere{why}.", attempts.len(), duration(span)),
    );
    if attempts.len() >= LOOP_ERROR {
        finding = finding.severity(Severity::Error);
    }
    for (index, _) in attempts.iter().take(super::finding::MAX_EVIDENCE) {
        finding.add_evidence(look_up(*index).first, Some(Side::Client), "attempt");
    }
    let attempts: Vec<usize> = attempts.iter().map(|(index, _)| *index).collect();
    let relation = Relation::ReconnectLoop { attempts: attempts.clone(), median_gap_ns };
    (relation, Shared { subjects: attempts, finding, explains: Vec::new() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// Subjects in order of time, few of a kind, so that they have much to do with each other.
    fn briefs() -> impl Strategy<Value = Vec<Brief>> {
        let one = (0..2_u8, 0..3_u8, any::<bool>(), 0..4_u128, 0..4_i64, prop::option::of(0..2_u16));
        prop::collection::vec(one, 0..60).prop_map(|all| {
            let (mut now, mut briefs) = (0, Vec::new());
            for (client, server, fruitless, key, pause, silence) in all {
                now += pause * 8 * SECOND;
                let mut brief = Brief::sample(true);
                brief.client.ip = [10, 0, 0, client].into();
                brief.server.ip = [10, 0, 0, server].into();
                brief.first = Stamp { packet: briefs.len() as u64, at: now };
                brief.last = Stamp { at: now + SECOND, ..brief.first };
                brief.came_to_nothing = fruitless;
                // Some come several times, and their halves are alike.
                brief.key = Some(if key < 3 { key << 64 } else { briefs.len() as u128 + 100 });
                brief.silence = silence.map(|server| {
                    brief.server.port = server;
                    (LONG_SILENCE + pause, Side::Client, brief.last)
                });
                briefs.push(brief);
            }
            briefs
        })
    }

    fn gathered(briefs: &[Brief]) -> Gathered {
        let mut gathered = Gathered::default();
        briefs.iter().for_each(|brief| gathered.add(brief));
        gathered
    }

    fn related(parts: &[Gathered], briefs: &[Brief]) -> String {
        format!("{:?}", Gathered::relate(parts, &|subject| Cow::Borrowed(&briefs[subject])))
    }

    /// The same as [`reconnect_loops`], slowly.
    fn loops(briefs: &[Brief]) -> Vec<Vec<usize>> {
        let mut places: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, brief) in briefs.iter().enumerate() {
            places.entry((brief.client.ip, brief.server)).or_default().push(index);
        }
        let mut loops = Vec::new();
        for place in places.values() {
            let runs = place.chunk_by(|a, b| {
                let (a, b) = (&briefs[*a], &briefs[*b]);
                a.came_to_nothing && b.came_to_nothing && b.first.at - a.last.at < LOOP_SPAN / 3
            });
            let long = runs.filter(|run| run.len() >= LOOP_WARNING && briefs[run[0]].came_to_nothing);
            loops.extend(long.map(<[usize]>::to_vec));
        }
        loops.sort();
        loops
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_subjects_are_parted(briefs in briefs(), cuts in any::<[prop::sample::Index; 2]>()) {
            let [a, b] = cuts.map(|cut| cut.index(briefs.len() + 1));
            let (a, b) = (a.min(b), a.max(b));
            let parts = [gathered(&briefs[..a]), gathered(&briefs[a..b]), gathered(&briefs[b..])];
            prop_assert_eq!(related(&parts, &briefs), related(&[gathered(&briefs)], &briefs));
        }

        #[test]
        fn who_is_forgotten_was_never_there(briefs in briefs(), keep in prop::collection::vec(any::<bool>(), 60)) {
            let gone: Vec<u32> = (0..briefs.len() as u32).filter(|index| !keep[*index as usize]).collect();
            let mut all = gathered(&briefs);
            all.forget(&gone);
            let mut rest = briefs;
            remove(&mut rest, &gone);
            prop_assert_eq!(related(&[all], &rest), related(&[gathered(&rest)], &rest));
        }

        #[test]
        fn loops_are_runs_of_attempts_at_one_place(briefs in briefs()) {
            let (relations, _) = Gathered::relate(&[gathered(&briefs)], &|subject| Cow::Borrowed(&briefs[subject]));
            let found = relations.into_iter().filter_map(|relation| match relation {
                Relation::ReconnectLoop { attempts, .. } => Some(attempts),
                Relation::ProxyLeg { .. } => None,
            });
            prop_assert_eq!(found.collect::<Vec<_>>(), loops(&briefs));
        }
    }
}
