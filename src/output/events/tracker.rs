//! Tracks connections while they run: ids, the two legs of proxied ones, what is over and how it is judged. One thread
//! at a time, in order of packets. Hands everything to a [`Consumer`] and writes nothing itself.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::LazyLock;

use super::journal::{Closed, Handshake, Journal, NoteKind, Opening};
use super::{Options, Progress};
use crate::connection::Ends;
use crate::diagnosis::catalogue::Rule;
use crate::diagnosis::correlate::{Shared, Surroundings, belongs};
use crate::diagnosis::{Digest, Finding, Heading};
use crate::engine::{Cause, Judgement, Local, Numbering};
use crate::output::events::ndjson::Stats;
use crate::output::from_record;
use crate::output::model::{self, Time};
use crate::output::numbering::{self, Listing, Place};
use crate::output::store::{Reader, SubjectText, Texts, append_finding, read_connection, read_finding};
use crate::packet::Stamp;

/// Most findings about no connection in particular that are remembered for the end of a live capture.
pub const MAX_PLAIN: usize = 256;

/// Which entry an event is about: the numbers that people see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryId {
    /// Id of the connection, counted from 1.
    pub connection: u64,
    /// Community ID of its ends.
    pub community_id: String,
    /// Wireshark's `tcp.stream`.
    pub tcp_stream: u32,
}

/// A finding that was made.
#[derive(Debug)]
pub struct FoundFinding<'a> {
    /// When its last evidence was captured.
    pub time: Time,
    /// The connection it is about, when it is about one only.
    pub about: Option<&'a EntryId>,
    /// Its rule.
    pub rule: &'static Rule,
    /// JSON of its [`model::FindingBody`], redacted.
    pub body: &'a [u8],
    /// Ids of all connections it is about.
    pub connections: &'a [u64],
    /// All of these were open when the capture ended.
    pub all_open: bool,
}

impl FoundFinding<'_> {
    /// The finding as a value.
    #[must_use]
    pub fn finding(&self) -> Option<model::Finding<'static>> {
        Some(model::Finding { body: read_finding(self.body)?, connections: self.connections.to_vec() })
    }
}

/// An entry that is over, or was open when the capture ended.
#[derive(Debug)]
pub struct ClosedEntry<'a> {
    /// When it ended.
    pub time: Time,
    /// Its id.
    pub id: u64,
    /// Wireshark's `tcp.stream`.
    pub tcp_stream: u32,
    /// How it ended.
    pub outcome: model::Outcome,
    /// Whether it needs somebody's attention.
    pub verdict: model::Verdict,
    /// JSON of its [`model::ConnectionBody`], redacted.
    pub body: &'a [u8],
    /// What explains its end best.
    pub root_cause: Option<model::RootCause<'static>>,
    /// Numbers of the findings about it.
    pub findings: Vec<u64>,
}

impl ClosedEntry<'_> {
    /// The connection as a value.
    #[must_use]
    pub fn connection(&self) -> Option<model::Connection<'static>> {
        Some(model::Connection {
            id: self.id,
            tcp_stream: self.tcp_stream.into(),
            verdict: self.verdict,
            body: read_connection(self.body)?,
            root_cause: self.root_cause.clone(),
            findings: self.findings.clone(),
        })
    }
}

/// Takes what happens, in the order of the capture. Nothing in it holds a secret that the redactor would hide.
pub trait Consumer: Send {
    /// A connection that will be reported was recognised.
    fn opened(&mut self, entry: &EntryId, opening: &Opening);
    /// The opening handshake is complete, one way or the other.
    fn handshake(&mut self, entry: &EntryId, stamp: Stamp, http: model::Http<'static>);
    /// A frame or message as the [`Encoder`](super::Encoder) encoded it.
    fn encoded(&mut self, entry: &EntryId, bytes: &[u8]);
    /// A finding was made.
    fn finding(&mut self, found: &FoundFinding<'_>);
    /// An entry is over; the findings about it alone have been handed over before.
    fn closed(&mut self, closed: &ClosedEntry<'_>);
    /// Numbers of a capture that is under way.
    fn stats(&mut self, stats: &Stats);
    /// All events of a chunk of the capture have been handed over.
    fn flush(&mut self);
}

/// One entry of a connection that is not handed on as closed yet.
#[derive(Debug)]
struct Entry {
    id: EntryId,
    key: Option<Box<str>>,
    /// It is a WebSocket now.
    running: bool,
}

/// A connection that has begun and is not over.
#[derive(Debug, Default)]
struct Running {
    entries: Vec<Option<Entry>>,
}

/// An entry whose request carries a key that others may carry, too.
#[derive(Clone, Copy, Debug)]
struct Leg {
    whose: (Local, u32),
    /// The number under which it is remembered, once it is over.
    over: Option<u64>,
}

/// A connection that is over.
#[derive(Debug)]
struct Remembered {
    local: Local,
    tcp_stream: u32,
    summaries: Vec<Digest>,
    /// One for each subject, as long as a form may ask for it.
    texts: Vec<SubjectText>,
    /// Id of each subject.
    ids: Vec<u64>,
    /// Which subjects were handed on.
    done: Vec<bool>,
    /// Rules of findings about it and another leg that were handed on.
    leg_rules: Vec<&'static str>,
}

impl Remembered {
    /// Adds all subjects to the surroundings of others. Returns how many they are.
    fn add_to(&self, surroundings: &mut [Surroundings; 2]) -> usize {
        for summary in &self.summaries {
            surroundings.iter_mut().for_each(|one| one.add(summary));
        }
        self.summaries.len()
    }

    fn entry_id(&self, index: usize) -> EntryId {
        let Digest { client, server, .. } = self.summaries[index];
        EntryId {
            connection: self.ids[index],
            community_id: from_record::community(Ends { client, server }),
            tcp_stream: self.tcp_stream,
        }
    }
}

/// A subject: the number of what is remembered, and the index in it.
type SubjectPlace = (u64, usize);

/// The texts of chosen subjects, and the `tcp.stream` of each.
struct ChosenTexts<'a>(Vec<(u32, &'a SubjectText)>);

impl Texts for ChosenTexts<'_> {
    fn tcp_stream(&self, subject: usize) -> u32 {
        self.0[subject].0
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self)
    }
}

impl Reader for &ChosenTexts<'_> {
    fn connection(&mut self, subject: usize) -> &[u8] {
        &self.0[subject].1.connection
    }

    fn findings(&mut self, subject: usize, see: &mut dyn FnMut(usize, &[u8])) {
        self.0[subject].1.findings.iter().enumerate().for_each(|(index, (_, json))| see(index, json));
    }
}

/// What is left when everything was handed on.
pub struct Ended {
    /// The whole in numbers: everything that was handed on.
    pub summary: model::Summary,
    /// Closed connections that are remembered no more.
    pub forgotten: u64,
    /// Connections that failed and have nothing to do with a WebSocket, as far as is remembered.
    pub left_out: u64,
    remembered: Vec<Remembered>,
    plain: Vec<Finding>,
}

impl Ended {
    /// What the remembered connections show together, and the ids under which they were handed on.
    #[must_use]
    pub fn judgement(&self) -> (Judgement<'_>, Vec<u64>) {
        let (summaries, ids) = summaries(&self.remembered);
        let mut judgement = Judgement::among(&summaries);
        judgement.plain_findings = self.plain.iter().collect();
        (judgement, ids)
    }

    /// The texts of the subjects of [`Ended::judgement`]. There are none unless a report follows
    /// ([`Options::report_follows`]).
    #[must_use]
    pub fn texts(&self) -> impl Texts {
        let subjects = self.remembered.iter().flat_map(|one| one.texts.iter().map(|text| (one.tcp_stream, text)));
        ChosenTexts(subjects.collect())
    }
}

fn summaries(remembered: &[Remembered]) -> (Vec<&Digest>, Vec<u64>) {
    remembered.iter().flat_map(|one| one.summaries.iter().zip(one.ids.iter().copied())).unzip()
}

/// Tracks connections and feeds a consumer.
pub(super) struct Tracker<C> {
    pub(super) consumer: C,
    next_id: u64,
    next_finding: u64,
    running: HashMap<Local, Running, foldhash::fast::RandomState>,
    legs: HashMap<Box<str>, Vec<Leg>>,
    remembered: VecDeque<Remembered>,
    /// Number of the first of `remembered`.
    oldest: u64,
    forgotten: u64,
    /// Connections without any visible WebSocket that only the end can decide on.
    undecided: VecDeque<Remembered>,
    /// What is known of the surroundings, and the same as if a WebSocket had been seen elsewhere.
    surroundings: [Surroundings; 2],
    /// How many subjects `surroundings` have seen since they were made.
    surrounding_subjects: usize,
    plain: Vec<Finding>,
    summary: model::Summary,
    frames: u64,
    websockets_open: u64,
    tcp_connections: u64,
}

impl<C: Consumer> Tracker<C> {
    pub(super) fn new(consumer: C) -> Self {
        Self {
            consumer,
            next_id: 0,
            next_finding: 0,
            running: HashMap::default(),
            legs: HashMap::new(),
            remembered: VecDeque::new(),
            oldest: 0,
            forgotten: 0,
            undecided: VecDeque::new(),
            surroundings: [Surroundings::default(), Surroundings::elsewhere()],
            surrounding_subjects: 0,
            plain: Vec::new(),
            summary: model::Summary::default(),
            frames: 0,
            websockets_open: 0,
            tcp_connections: 0,
        }
    }

    pub(super) fn stats(&self, progress: &Progress) -> Stats {
        Stats {
            time: progress.time,
            packets: progress.packets,
            bytes: progress.bytes,
            packets_dropped: progress.packets_dropped,
            tcp_connections: self.tcp_connections,
            websockets_open: self.websockets_open,
            frames: self.frames,
            uptime_ms: progress.uptime,
        }
    }

    /// Takes the notes of all journals in order of packets, then the connections that are over, in order of last packet:
    /// whatever explains them is known by then.
    pub(super) fn merge(&mut self, options: &Options<'_>, journals: &mut [Journal], numbering: &Numbering) {
        self.tcp_connections = u64::from(numbering.tcp_connections());
        self.frames += journals.iter().map(|journal| journal.frames).sum::<u64>();
        let mut heap: BinaryHeap<Reverse<(u64, usize)>> = journals
            .iter()
            .enumerate()
            .filter_map(|(shard, journal)| journal.notes.first().map(|note| Reverse((note.key, shard))))
            .collect();
        let mut positions = vec![(0_usize, 0_usize); journals.len()];
        while let Some(Reverse((_, shard))) = heap.pop() {
            let journal = &mut journals[shard];
            let (mut index, mut start) = positions[shard];
            let until = heap.peek().map_or((u64::MAX, usize::MAX), |other| other.0);
            // As long as no other journal is first.
            loop {
                let note = &mut journal.notes[index];
                let local = Local { shard: shard as u16, number: note.number };
                match std::mem::replace(&mut note.kind, NoteKind::Merged) {
                    NoteKind::Encoded { end } => {
                        let bytes = &journal.encoded[start..end as usize];
                        start = end as usize;
                        self.encoded(local, note.entry, bytes);
                    }
                    NoteKind::Frame => {
                        self.running_entry(local, note.entry);
                    }
                    NoteKind::Opened(opening) => {
                        self.open(local, note.entry, &opening, numbering);
                    }
                    NoteKind::Handshake(handshake) => self.handshake(local, note.entry, *handshake, numbering),
                    NoteKind::Merged => {}
                }
                index += 1;
                match journal.notes.get(index) {
                    Some(note) if (note.key, shard) < until => {}
                    Some(note) => {
                        heap.push(Reverse((note.key, shard)));
                        break;
                    }
                    None => break,
                }
            }
            positions[shard] = (index, start);
        }
        let mut closed: Vec<(Local, Closed)> = Vec::new();
        for (shard, journal) in journals.iter_mut().enumerate() {
            let local = |one: &Closed| Local { shard: shard as u16, number: one.number };
            closed.extend(journal.closed.drain(..).map(|one| (local(&one), one)));
        }
        closed.sort_by_key(|(local, one)| (one.last_packet, numbering.tcp_stream(*local)));
        closed.into_iter().for_each(|(local, one)| self.close(options, local, one, numbering));
    }

    /// An entry on which a frame passed: it is a WebSocket now.
    fn running_entry(&mut self, local: Local, entry: u32) -> Option<&Entry> {
        let entry = self.running.get_mut(&local)?.entries.get_mut(entry as usize)?.as_mut()?;
        if !entry.running {
            entry.running = true;
            self.websockets_open += 1;
        }
        Some(entry)
    }

    #[inline]
    fn encoded(&mut self, local: Local, entry: u32, bytes: &[u8]) {
        let Some(Some(entry)) =
            self.running.get_mut(&local).and_then(|running| running.entries.get_mut(entry as usize))
        else {
            return;
        };
        if !entry.running {
            entry.running = true;
            self.websockets_open += 1;
        }
        self.consumer.encoded(&entry.id, bytes);
    }

    /// Starts tracking an entry, unless it is tracked already.
    fn open(&mut self, local: Local, entry: u32, opening: &Opening, numbering: &Numbering) -> &mut Entry {
        let entries = &mut self.running.entry(local).or_default().entries;
        let index = entry as usize;
        if entries.len() <= index {
            entries.resize_with(index + 1, || None);
        }
        entries[index].get_or_insert_with(|| {
            self.next_id += 1;
            let id = EntryId {
                connection: self.next_id,
                community_id: from_record::community(opening.ends),
                tcp_stream: numbering.tcp_stream(local),
            };
            self.consumer.opened(&id, opening);
            Entry { id, key: None, running: false }
        })
    }

    fn handshake(&mut self, local: Local, entry: u32, handshake: Handshake, numbering: &Numbering) {
        let Handshake { opening, stamp, http, key, switched } = handshake;
        let tracked = self.open(local, entry, &opening, numbering);
        let id = tracked.id.clone();
        tracked.key.clone_from(&key);
        let begins = switched && !tracked.running;
        tracked.running |= switched;
        self.websockets_open += u64::from(begins);
        if let Some(key) = key {
            let legs = self.legs.entry(key).or_default();
            if legs.iter().all(|leg| leg.whose != (local, entry)) {
                legs.push(Leg { whose: (local, entry), over: None });
            }
        }
        if let Some(http) = http {
            self.consumer.handshake(&id, stamp, http);
        }
    }

    fn close(&mut self, options: &Options<'_>, local: Local, closed: Closed, numbering: &Numbering) {
        let Closed { summaries, texts, plain, .. } = closed;
        for finding in plain {
            self.find_plain(options, finding);
        }
        let Some(summary) = summaries.first() else { return };
        let tcp_stream = numbering.tcp_stream(local);
        let (is_websocket, first) = (summary.is_websocket(), summary.first);
        let ends = Ends { client: summary.client, server: summary.server };
        let streams: Vec<Option<u32>> = summaries.iter().map(|summary| summary.http2_stream).collect();
        let mut one = Remembered {
            local,
            tcp_stream,
            summaries,
            texts,
            ids: Vec::new(),
            done: Vec::new(),
            leg_rules: Vec::new(),
        };
        if !is_websocket {
            self.note_surroundings(options, &one);
            // What belongs although a WebSocket was seen elsewhere belongs, as far as anybody can tell by now.
            if !options.patient && belongs(&one.summaries[0], &self.surroundings[1], options.chosen) {
                self.report_without_entry(options, one);
            } else {
                self.undecided.push_back(one);
                if self.undecided.len() > options.remembered {
                    self.undecided.pop_front();
                }
            }
            return;
        }
        for (index, http2_stream) in streams.iter().copied().enumerate() {
            let entry = self.open(local, index as u32, &Opening { first, ends, http2_stream }, numbering);
            let running = entry.running;
            one.ids.push(entry.id.connection);
            self.websockets_open -= u64::from(running);
        }
        let keys: Vec<Option<Box<str>>> = self
            .running
            .remove(&local)
            .map(|running| running.entries.into_iter().map(|entry| entry.and_then(|entry| entry.key)).collect())
            .unwrap_or_default();
        let entries = streams.len();
        one.done = vec![false; entries];
        self.note_surroundings(options, &one);
        self.remembered.push_back(one);
        let number = self.oldest + self.remembered.len() as u64 - 1;
        for (index, key) in keys.into_iter().enumerate().take(entries) {
            match key {
                None => self.over(options, &[(number, index)]),
                Some(key) => self.leg_over(options, key, (local, index as u32), number),
            }
        }
        while self.remembered.len() > options.remembered {
            self.forget(options);
        }
    }

    fn note_surroundings(&mut self, options: &Options<'_>, one: &Remembered) {
        if self.surrounding_subjects > options.remembered.saturating_mul(2) {
            // Only what is remembered counts, or this would grow for as long as the capture lasts.
            self.surroundings = [Surroundings::default(), Surroundings::elsewhere()];
            self.surrounding_subjects = 0;
            for one in &self.remembered {
                self.surrounding_subjects += one.add_to(&mut self.surroundings);
            }
        }
        self.surrounding_subjects += one.add_to(&mut self.surroundings);
    }

    /// An entry whose key others may carry is over: hands it on, or waits for the other leg.
    fn leg_over(&mut self, options: &Options<'_>, key: Box<str>, whose: (Local, u32), number: u64) {
        let Some(legs) = self.legs.get_mut(&key) else { return self.over(options, &[(number, whose.1 as usize)]) };
        if let Some(leg) = legs.iter_mut().find(|leg| leg.whose == whose) {
            leg.over = Some(number);
        }
        let over: Vec<SubjectPlace> = legs.iter().filter_map(|leg| Some((leg.over?, leg.whose.1 as usize))).collect();
        match (legs.len(), over.len()) {
            // The other is under way: both are handed on when it is over, too.
            (2, 1) => {}
            (2, 2) => {
                self.legs.remove(&key);
                self.over(options, &over);
            }
            // Alone, or one of so many that nobody can tell whose leg is whose.
            _ => {
                legs.retain(|leg| leg.over.is_none());
                if legs.is_empty() {
                    self.legs.remove(&key);
                }
                over.into_iter().for_each(|place| self.over(options, &[place]));
            }
        }
    }

    fn forget(&mut self, options: &Options<'_>) {
        let (number, Some(one)) = (self.oldest, self.remembered.front()) else { return };
        let waiting: Vec<usize> = (0..one.done.len()).filter(|index| !one.done[*index]).collect();
        let local = one.local;
        for index in waiting {
            self.report(options, &[(number, index)]);
            self.legs.retain(|_, legs| {
                legs.retain(|leg| leg.whose != (local, index as u32));
                !legs.is_empty()
            });
        }
        self.remembered.pop_front();
        self.oldest += 1;
        self.forgotten += 1;
    }

    /// Hands on a connection that has no entry.
    fn report_without_entry(&mut self, options: &Options<'_>, mut one: Remembered) {
        self.next_id += 1;
        one.ids = vec![self.next_id];
        one.done = vec![false];
        let Digest { client, server, first, .. } = one.summaries[0];
        let opening = Opening { first, ends: Ends { client, server }, http2_stream: None };
        self.consumer.opened(&one.entry_id(0), &opening);
        self.remembered.push_back(one);
        self.over(options, &[(self.oldest + self.remembered.len() as u64 - 1, 0)]);
        while self.remembered.len() > options.remembered {
            self.forget(options);
        }
    }

    /// Subjects that explain each other are over: hands them on, unless others may explain them and that can wait.
    fn over(&mut self, options: &Options<'_>, places: &[SubjectPlace]) {
        let early = |(number, index): &SubjectPlace| {
            Judgement::may_be_better_explained(&self.remembered[(number - self.oldest) as usize].summaries[*index])
        };
        if !(options.patient && places.iter().any(early)) {
            self.report(options, places);
        }
    }

    /// Hands on subjects that are over and explain each other: their findings, then their ends.
    fn report(&mut self, options: &Options<'_>, places: &[SubjectPlace]) {
        let mut places: Vec<(usize, usize)> =
            places.iter().map(|(number, index)| ((number - self.oldest) as usize, *index)).collect();
        places.sort_unstable_by_key(|(one, index)| (self.remembered[*one].tcp_stream, *index));
        let subjects: Vec<Subject<'_>> =
            places.iter().map(|(one, index)| Subject::new(&self.remembered[*one], *index)).collect();
        let summaries: Vec<&Digest> = subjects.iter().map(|subject| subject.summary).collect();
        let judgement = Judgement::among(&summaries);
        let ids = subjects.iter().map(|subject| subject.id.connection).collect();
        let listing = Listing::new(&judgement, options.wanted, 1).numbered(ids, self.next_finding);
        numbering::add(&mut self.summary, listing.summary().clone());
        self.next_finding += listing.len() as u64;
        let all_open = subjects.iter().all(|subject| subject.outcome() == model::Outcome::Open);
        let end = summaries.iter().map(|summary| Time(summary.last.at)).max();
        let mut scratch = Vec::new();
        for number in 0..listing.len() {
            let place = listing.place(number);
            let found = match listing.other(place) {
                Some((finding, connections)) => {
                    scratch.clear();
                    append_finding(&mut scratch, &options.redactor, finding);
                    (finding.rule, last_evidence(finding), None, &scratch[..], connections)
                }
                None => {
                    let Place::Own(subject, index) = place else { continue };
                    let subject = &subjects[subject];
                    let Some((time, body)) = subject.text.findings.get(index) else { continue };
                    let Some(heading) = subject.summary.headings.get(index) else { continue };
                    (heading.rule, *time, Some(&subject.id), &body[..], vec![subject.id.connection])
                }
            };
            let (rule, time, about, body, connections) = found;
            let about = about.or_else(|| match connections[..] {
                [id] => subjects.iter().map(|subject| &subject.id).find(|one| one.connection == id),
                _ => None,
            });
            let time = time.or(end).unwrap_or_default();
            self.consumer.finding(&FoundFinding { time, about, rule, body, connections: &connections, all_open });
        }
        for (index, subject) in subjects.iter().enumerate() {
            let numbers = listing.numbers(index).collect();
            self.consumer.closed(&subject.closed(listing.verdict(index), listing.root_cause(index), numbers));
        }
        let rules: Vec<&'static str> = judgement.shared.iter().map(|shared| shared.finding.rule.id).collect();
        for (one, index) in places {
            let one = &mut self.remembered[one];
            one.done[index] = true;
            one.leg_rules.extend_from_slice(&rules);
            if !options.report_follows && one.done.iter().all(|done| *done) {
                one.texts = Vec::new();
            }
        }
    }

    /// Hands on a finding about no connection in particular.
    fn find_plain(&mut self, options: &Options<'_>, finding: Finding) {
        if !(options.wanted)(finding.rule, finding.severity) {
            return;
        }
        self.summary.findings.add(from_record::severity(finding.severity));
        self.next_finding += 1;
        let mut body = Vec::new();
        append_finding(&mut body, &options.redactor, &finding);
        let time = last_evidence(&finding).unwrap_or_default();
        self.consumer.finding(&FoundFinding {
            time,
            about: None,
            rule: finding.rule,
            body: &body,
            connections: &[],
            all_open: false,
        });
        if self.plain.len() < MAX_PLAIN {
            self.plain.push(finding);
        }
    }

    /// Hands on what waited for the end of the capture.
    pub(super) fn end(mut self, options: &Options<'_>) -> (C, Ended) {
        let mut undecided: Vec<Remembered> = std::mem::take(&mut self.undecided).into();
        undecided.sort_unstable_by_key(|one| one.tcp_stream);
        let mut left_out = 0;
        for one in undecided {
            if belongs(&one.summaries[0], &self.surroundings[0], options.chosen) {
                self.report_without_entry(options, one);
            } else if one.summaries[0].has_failed() {
                left_out += 1;
            }
        }
        self.report_rest(options);
        self.consumer.flush();
        let Self { consumer, summary, forgotten, remembered, plain, .. } = self;
        (consumer, Ended { summary, forgotten, left_out, remembered: remembered.into(), plain })
    }

    /// Hands on what the connections show together, and those that it may explain.
    fn report_rest(&mut self, options: &Options<'_>) {
        let remembered = self.remembered.make_contiguous();
        remembered.sort_unstable_by_key(|one| one.tcp_stream);
        let remembered = &*remembered;
        let (summaries, ids) = summaries(remembered);
        let places: Vec<(&Remembered, usize)> =
            remembered.iter().flat_map(|one| (0..one.summaries.len()).map(move |index| (one, index))).collect();
        let judgement = Judgement::among(&summaries);
        let is_wanted = |heading: &Heading| (options.wanted)(heading.rule, heading.severity);
        let is_new = |shared: &Shared| {
            let rule = shared.finding.rule.id;
            is_wanted(&Heading::of(&shared.finding))
                && !shared.subjects.iter().all(|subject| places[*subject].0.leg_rules.contains(&rule))
        };
        let consumer = &mut self.consumer;
        let mut scratch = Vec::new();
        // The numbers of what is found about several subjects: by subject, and by their index in the judgement.
        let mut about: HashMap<usize, Vec<u64>> = HashMap::new();
        let mut shared_numbers: HashMap<usize, u64> = HashMap::new();
        for (index, shared) in judgement.shared.iter().enumerate().filter(|(_, shared)| is_new(shared)) {
            shared.subjects.iter().for_each(|subject| about.entry(*subject).or_default().push(self.next_finding));
            shared_numbers.insert(index, self.next_finding);
            self.summary.findings.add(from_record::severity(shared.finding.severity));
            self.next_finding += 1;
            if !options.report_follows {
                let entry = match shared.subjects[..] {
                    [one] => Some(places[one].0.entry_id(places[one].1)),
                    _ => None,
                };
                let connections: Vec<u64> = shared.subjects.iter().map(|one| ids[*one]).collect();
                let end = shared.subjects.iter().map(|one| Time(summaries[*one].last.at)).max();
                scratch.clear();
                append_finding(&mut scratch, &options.redactor, &shared.finding);
                consumer.finding(&FoundFinding {
                    time: last_evidence(&shared.finding).or(end).unwrap_or_default(),
                    about: entry.as_ref(),
                    rule: shared.finding.rule,
                    body: &scratch,
                    connections: &connections,
                    all_open: false,
                });
            }
        }
        for (index, (one, place)) in places.iter().enumerate().filter(|(_, (one, place))| !one.done[*place]) {
            let subject = Subject::new(one, *place);
            self.summary.connections += 1;
            self.summary.websockets += u64::from(subject.summary.is_websocket());
            *self.summary.outcomes.entry(subject.outcome()).or_default() += 1;
            let verdict = from_record::verdict(judgement.assessment(index));
            *self.summary.verdicts.entry(verdict).or_default() += 1;
            let cause = judgement.root_cause(index);
            let mut cause_number = match cause {
                Some(Cause::Shared(shared)) => shared_numbers.get(&shared).copied(),
                _ => None,
            };
            let mut numbers = Vec::new();
            for (nth, heading) in judgement.headings(index).filter(|(_, heading)| is_wanted(heading)) {
                numbers.push(self.next_finding);
                if cause == Some(Cause::Own(nth)) {
                    cause_number = Some(self.next_finding);
                }
                self.next_finding += 1;
                self.summary.findings.add(from_record::severity(heading.severity));
                if let Some((time, body)) = subject.text.findings.get(nth).filter(|_| !options.report_follows) {
                    consumer.finding(&FoundFinding {
                        time: time.unwrap_or(Time(subject.summary.last.at)),
                        about: Some(&subject.id),
                        rule: heading.rule,
                        body,
                        connections: &[subject.id.connection],
                        all_open: subject.outcome() == model::Outcome::Open,
                    });
                }
            }
            if !options.report_follows {
                numbers.extend(about.remove(&index).unwrap_or_default());
                let about_itself = matches!(cause, Some(Cause::Own(_))).then_some(subject.id.connection);
                let cause = judgement.root_cause_heading(index);
                let cause = cause.map(|heading| from_record::root_cause(heading, about_itself, cause_number));
                consumer.closed(&subject.closed(verdict, cause, numbers));
            }
        }
    }
}

/// A remembered subject as it is handed on.
struct Subject<'a> {
    id: EntryId,
    summary: &'a Digest,
    text: &'a SubjectText,
}

impl<'a> Subject<'a> {
    fn new(one: &'a Remembered, index: usize) -> Self {
        // What was handed on is not handed on again, so its text is still there.
        static NOTHING: LazyLock<SubjectText> = LazyLock::new(SubjectText::default);
        Self { id: one.entry_id(index), summary: &one.summaries[index], text: one.texts.get(index).unwrap_or(&NOTHING) }
    }

    fn outcome(&self) -> model::Outcome {
        from_record::outcome(self.summary.outcome)
    }

    fn closed(
        &self,
        verdict: model::Verdict,
        root_cause: Option<model::RootCause<'static>>,
        findings: Vec<u64>,
    ) -> ClosedEntry<'a> {
        ClosedEntry {
            time: Time(self.summary.last.at),
            id: self.id.connection,
            tcp_stream: self.id.tcp_stream,
            outcome: self.outcome(),
            verdict,
            body: &self.text.connection,
            root_cause,
            findings,
        }
    }
}

fn last_evidence(finding: &Finding) -> Option<Time> {
    finding.evidence.iter().map(|evidence| Time(evidence.stamp.at)).max()
}
