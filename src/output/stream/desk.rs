//! Where the lines are put together: one thread at a time, in order of packets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::atomic::Ordering;

use super::{Form, Journal, MAX_ASIDE, Opening, Options, Shaken, What};
use crate::connection::{ConnectionRecord, Ends};
use crate::diagnosis::correlate::{Shared, Surroundings, belongs};
use crate::diagnosis::{Digest, Finding, Heading, Verdict};
use crate::engine::{Judgement, Local, Numbering, Recorded};
use crate::output::convert::{self, Subject};
use crate::output::judged::Judged;
use crate::output::lines;
use crate::output::listing::{self, Listing};
use crate::output::model::{self, Time};
use crate::output::ndjson::{self, Binding, Closed, Event as Line, Found, Handshake, Opened};
use crate::output::publish::{EventWriter, Source};

/// Bytes of ready lines that are written out at once.
const FULL: usize = 1 << 18;

/// One entry of a connection that is not told to be over yet.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    /// What goes into the joint of its lines.
    pub(super) binding: Vec<u8>,
    pub(super) key: Option<Box<str>>,
    pub(super) running: bool,
}

/// A connection that has begun and is not over.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) community_id: String,
    pub(super) tcp_stream: u32,
    pub(super) entries: Vec<Option<Entry>>,
}

/// An entry whose request carries a key that others may carry too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) whose: (Local, u32),
    /// Where it is remembered, once it is over.
    pub(super) over: Option<u64>,
}

/// A connection that is over.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) local: Local,
    pub(super) tcp_stream: u32,
    pub(super) briefs: Vec<Digest>,
    /// Everything about it, as long as somebody may ask.
    pub(super) whole: Option<(Box<ConnectionRecord>, Vec<Verdict>)>,
    /// Id of each subject.
    pub(super) ids: Vec<u64>,
    /// Which subjects were told.
    pub(super) told: Vec<bool>,
    /// Rules of findings about it and another leg that were told.
    pub(super) legs: Vec<&'static str>,
}

impl Remembered {
    /// Adds all subjects to the surroundings of others. Returns how many they are.
    fn add_to(&self, surroundings: &mut [Surroundings; 2]) -> usize {
        for brief in &self.briefs {
            surroundings.iter_mut().for_each(|one| one.add(brief));
        }
        self.briefs.len()
    }

    fn subject(&self, index: usize) -> Option<Subject<'_>> {
        let (record, verdicts) = self.whole.as_ref()?;
        let entry = self.briefs[index].entry.map(|entry| entry as usize);
        Some(Subject { tcp_stream: self.tcp_stream, record, entry, verdict: &verdicts[index] })
    }

    pub(super) fn subjects(&self) -> impl Iterator<Item = Subject<'_>> {
        (0..self.briefs.len()).filter_map(|index| self.subject(index))
    }
}

/// Which subject: the number of what is remembered, and the index in it.
pub(super) type Place = (u64, usize);

/// Where lines are put together: one thread at a time.
pub(super) struct Desk<W> {
    pub(super) out: W,
    pub(super) lines: EventWriter<Vec<u8>>,
    pub(super) ids: u64,
    pub(super) findings: u64,
    pub(super) running: HashMap<Local, Running, foldhash::fast::RandomState>,
    pub(super) legs: HashMap<Box<str>, Vec<Leg>>,
    pub(super) remembered: VecDeque<Remembered>,
    /// Number of the first of `remembered`.
    pub(super) oldest: u64,
    pub(super) forgotten: u64,
    /// Connections without any visible WebSocket that only the end can decide on.
    pub(super) undecided: VecDeque<Remembered>,
    /// What is known of the surroundings, and the same as if a WebSocket had been seen elsewhere.
    pub(super) surroundings: [Surroundings; 2],
    /// How many subjects `surroundings` have seen since they were made.
    pub(super) seen: usize,
    pub(super) aside: Vec<Finding>,
    pub(super) summary: model::Summary,
    pub(super) frames: u64,
    pub(super) websockets_open: u64,
    pub(super) tcp_connections: u64,
    pub(super) error: Option<io::Error>,
}

/// Subjects in brief, with ids.
pub(super) fn briefs(remembered: &[Remembered]) -> (Vec<&Digest>, Vec<u64>) {
    remembered.iter().flat_map(|one| one.briefs.iter().zip(one.ids.iter().copied())).unzip()
}

impl<W: Write> Desk<W> {
    pub(super) fn new(out: W, lines: EventWriter<Vec<u8>>) -> Self {
        Self {
            out,
            lines,
            ids: 0,
            findings: 0,
            running: HashMap::default(),
            legs: HashMap::new(),
            remembered: VecDeque::new(),
            oldest: 0,
            forgotten: 0,
            undecided: VecDeque::new(),
            surroundings: [Surroundings::default(), Surroundings::elsewhere()],
            seen: 0,
            aside: Vec::new(),
            summary: model::Summary::default(),
            frames: 0,
            websockets_open: 0,
            tcp_connections: 0,
            error: None,
        }
    }

    pub(super) fn flush(&mut self, options: &Options<'_>) {
        flush(&mut self.lines, &mut self.out, &mut self.error, options);
    }

    pub(super) fn write(&mut self, options: &Options<'_>, line: Line<'_>) {
        write(&mut self.lines, options, line);
    }

    /// Takes notes of all journals in order of packets, then the connections that are over, in order of last packet.
    /// Whatever explains them is known by then.
    pub(super) fn merge(&mut self, options: &Options<'_>, journals: &mut [Journal], numbering: &Numbering) {
        self.frames += journals.iter().map(|journal| journal.frames).sum::<u64>();
        let mut heap: BinaryHeap<Reverse<(u64, usize)>> = journals
            .iter()
            .enumerate()
            .filter_map(|(shard, journal)| journal.notes.first().map(|note| Reverse((note.key, shard))))
            .collect();
        let mut at = vec![(0_usize, 0_usize); journals.len()];
        while let Some(Reverse((_, shard))) = heap.pop() {
            let journal = &mut journals[shard];
            let (mut index, mut start) = at[shard];
            let until = heap.peek().map_or((u64::MAX, usize::MAX), |other| other.0);
            // As long as nobody else is first.
            loop {
                let note = &mut journal.notes[index];
                let local = Local { shard: shard as u16, number: note.number };
                match std::mem::replace(&mut note.what, What::Taken) {
                    What::Line { end, head } => {
                        let line = &journal.text[start..end as usize];
                        start = end as usize;
                        self.line(local, note.entry, line, usize::from(head));
                    }
                    What::Seen => self.passes(local, note.entry),
                    What::Opened(opening) => {
                        self.opened(options, local, note.entry, &opening, numbering);
                    }
                    What::Handshake(shaken) => self.handshake(options, local, note.entry, *shaken, numbering),
                    What::Taken => {}
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
            at[shard] = (index, start);
        }
        let mut closed: Vec<(Local, Recorded)> = Vec::new();
        for (shard, journal) in journals.iter_mut().enumerate() {
            let of_shard = journal.closed.drain(..);
            closed.extend(of_shard.map(|(number, closing)| (Local { shard: shard as u16, number }, closing)));
        }
        closed.sort_by_key(|(local, closing)| (closing.record.tcp.last.packet, numbering.tcp_stream(*local)));
        closed.into_iter().for_each(|(local, closing)| self.closed(options, local, closing, numbering));
    }

    fn passes(&mut self, local: Local, entry: u32) {
        let running = self.running.get_mut(&local);
        if let Some(Some(entry)) = running.and_then(|running| running.entries.get_mut(entry as usize))
            && !entry.running
        {
            entry.running = true;
            self.websockets_open += 1;
        }
    }

    #[inline]
    fn line(&mut self, local: Local, entry: u32, line: &[u8], head: usize) {
        let Some(running) = self.running.get_mut(&local) else { return };
        let Some(Some(entry)) = running.entries.get_mut(entry as usize) else { return };
        if !entry.running {
            entry.running = true;
            self.websockets_open += 1;
        }
        // Writing into memory does not fail, and a line is longer than its head.
        let _ = self.lines.line(line, head, &entry.binding);
    }

    fn opened(
        &mut self,
        options: &Options<'_>,
        local: Local,
        entry: u32,
        opening: &Opening,
        numbering: &Numbering,
    ) -> &mut Entry {
        let index = entry as usize;
        let running = self.running.entry(local).or_insert_with(|| Running {
            community_id: convert::community(opening.ends),
            tcp_stream: numbering.tcp_stream(local),
            entries: Vec::new(),
        });
        if running.entries.len() <= index {
            running.entries.resize_with(index + 1, || None);
        }
        if running.entries[index].is_none() {
            self.ids += 1;
            let bound = Binding {
                connection: self.ids,
                community_id: running.community_id.clone(),
                tcp_stream: u64::from(running.tcp_stream),
            };
            let mut binding = Vec::with_capacity(96);
            ndjson::binding(&mut binding, bound.connection, &bound.community_id, bound.tcp_stream);
            running.entries[index] = Some(Entry { id: self.ids, binding, key: None, running: false });
            self.write(options, opened_line(bound, opening));
        }
        match self.running.get_mut(&local).and_then(|running| running.entries[index].as_mut()) {
            Some(entry) => entry,
            None => unreachable!("it was put there above"),
        }
    }

    fn handshake(&mut self, options: &Options<'_>, local: Local, entry: u32, shaken: Shaken, numbering: &Numbering) {
        let Shaken { opening, stamp, http, key, switched } = shaken;
        let one = self.opened(options, local, entry, &opening, numbering);
        let id = one.id;
        one.key.clone_from(&key);
        let begins = switched && !one.running;
        one.running |= switched;
        self.websockets_open += u64::from(begins);
        if let Some(key) = key {
            let legs = self.legs.entry(key).or_default();
            if legs.iter().all(|leg| leg.whose != (local, entry)) {
                legs.push(Leg { whose: (local, entry), over: None });
            }
        }
        if let Some(http) = http {
            let binding = Binding {
                connection: id,
                community_id: convert::community(opening.ends),
                tcp_stream: u64::from(numbering.tcp_stream(local)),
            };
            self.write(options, Line::Handshake(Box::new(Handshake { time: Time(stamp.at), binding, http })));
        }
    }

    fn closed(&mut self, options: &Options<'_>, local: Local, closing: Recorded, numbering: &Numbering) {
        let Recorded { record, verdicts, briefs, aside } = closing;
        for finding in aside {
            self.tell_aside(options, finding);
        }
        let Some(brief) = briefs.first() else { return };
        let tcp_stream = numbering.tcp_stream(local);
        let (is_websocket, first) = (brief.is_websocket(), brief.first);
        let ends = Ends { client: brief.client, server: brief.server };
        let streams: Vec<Option<u32>> = record.entries.iter().map(|entry| entry.http2_stream).collect();
        let whole = Some((record, verdicts));
        let mut one =
            Remembered { local, tcp_stream, briefs, whole, ids: Vec::new(), told: Vec::new(), legs: Vec::new() };
        if !is_websocket {
            self.note_surroundings(options, &one);
            // What belongs although a WebSocket was seen elsewhere belongs, as far as anybody can tell by now.
            if !options.patient && belongs(&one.briefs[0], &self.surroundings[1], options.chosen) {
                self.tell_whole(options, one);
            } else {
                self.undecided.push_back(one);
                if self.undecided.len() > options.remembered {
                    self.undecided.pop_front();
                }
            }
            return;
        }
        for (index, http2_stream) in streams.iter().copied().enumerate() {
            let opening = Opening { first, ends, http2_stream };
            let entry = self.opened(options, local, index as u32, &opening, numbering);
            let running = entry.running;
            one.ids.push(entry.id);
            self.websockets_open -= u64::from(running);
        }
        let keys: Vec<Option<Box<str>>> = self
            .running
            .remove(&local)
            .map(|running| running.entries.into_iter().map(|entry| entry.and_then(|entry| entry.key)).collect())
            .unwrap_or_default();
        let entries = streams.len();
        one.told = vec![false; entries];
        self.note_surroundings(options, &one);
        self.remembered.push_back(one);
        let number = self.oldest + self.remembered.len() as u64 - 1;
        for (index, key) in keys.into_iter().enumerate() {
            if index >= entries {
                continue;
            }
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
        if self.seen > options.remembered.saturating_mul(2) {
            // Only what is remembered counts, or this would grow for as long as the capture lasts.
            self.surroundings = [Surroundings::default(), Surroundings::elsewhere()];
            self.seen = 0;
            for one in &self.remembered {
                self.seen += one.add_to(&mut self.surroundings);
            }
        }
        self.seen += one.add_to(&mut self.surroundings);
    }

    /// An entry whose key others may carry is over: tells it, or waits for the other.
    fn leg_over(&mut self, options: &Options<'_>, key: Box<str>, whose: (Local, u32), number: u64) {
        let Some(legs) = self.legs.get_mut(&key) else { return self.over(options, &[(number, whose.1 as usize)]) };
        if let Some(leg) = legs.iter_mut().find(|leg| leg.whose == whose) {
            leg.over = Some(number);
        }
        let over: Vec<Place> = legs.iter().filter_map(|leg| Some((leg.over?, leg.whose.1 as usize))).collect();
        match (legs.len(), over.len()) {
            // The other is under way: both are told when it is over, too.
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
        let untold: Vec<usize> = (0..one.told.len()).filter(|index| !one.told[*index]).collect();
        let local = one.local;
        for index in untold {
            self.tell(options, &[(number, index)]);
            self.legs.retain(|_, legs| {
                legs.retain(|leg| leg.whose != (local, index as u32));
                !legs.is_empty()
            });
        }
        self.remembered.pop_front();
        self.oldest += 1;
        self.forgotten += 1;
    }

    /// Tells a connection that has no entry.
    fn tell_whole(&mut self, options: &Options<'_>, mut one: Remembered) {
        self.ids += 1;
        one.ids = vec![self.ids];
        one.told = vec![false];
        let Digest { client, server, first, .. } = one.briefs[0];
        let ends = Ends { client, server };
        let binding = Binding {
            connection: self.ids,
            community_id: convert::community(ends),
            tcp_stream: u64::from(one.tcp_stream),
        };
        let line = opened_line(binding, &Opening { first, ends, http2_stream: None });
        self.write(options, line);
        self.remembered.push_back(one);
        self.over(options, &[(self.oldest + self.remembered.len() as u64 - 1, 0)]);
        while self.remembered.len() > options.remembered {
            self.forget(options);
        }
    }

    /// Subjects that explain each other are over: tells them, unless others may explain them and that can wait.
    fn over(&mut self, options: &Options<'_>, places: &[Place]) {
        let early = |(number, index): &Place| {
            Judgement::may_be_better_explained(&self.remembered[(number - self.oldest) as usize].briefs[*index])
        };
        if !(options.patient && places.iter().any(early)) {
            self.tell(options, places);
        }
    }

    /// Tells subjects that are over and explain each other: their findings, then their ends.
    fn tell(&mut self, options: &Options<'_>, places: &[Place]) {
        let mut places: Vec<(usize, usize)> =
            places.iter().map(|(number, index)| ((number - self.oldest) as usize, *index)).collect();
        places.sort_unstable_by_key(|(one, index)| (self.remembered[*one].tcp_stream, *index));
        let remembered = &self.remembered;
        // What was told is not told again, so its record is still at hand.
        let subjects = places.iter().filter_map(|(one, index)| remembered[*one].subject(*index)).collect();
        let briefs: Vec<&Digest> = places.iter().map(|(one, index)| &remembered[*one].briefs[*index]).collect();
        let ids: Vec<u64> = places.iter().map(|(one, index)| remembered[*one].ids[*index]).collect();
        let judgement = Judgement::among(&briefs);
        let listing = Listing::new(&judgement, options.wanted, 1).numbered(ids, self.findings);
        let judged = Judged::new(model::Capture::default(), listing, subjects);
        listing::add(&mut self.summary, judged.summary());
        let wants_lines = options.form != Form::Silent;
        let connections: Vec<model::Connection> = if wants_lines {
            (0..judged.connections()).map(|index| judged.connection(index)).collect()
        } else {
            Vec::new()
        };
        let findings: Vec<model::Finding> = (0..judged.findings()).map(|index| judged.finding(index)).collect();
        self.findings += findings.len() as u64;
        let together: Vec<&'static str> = judgement.shared.iter().map(|shared| shared.finding.rule.id).collect();
        // A connection that is open when the capture ends is no news for people; the report tells it.
        let open = connections.iter().all(|connection| connection.outcome == model::Outcome::Open);
        if !(options.form == Form::Silent || (options.form == Form::Text && open)) {
            for finding in findings {
                let about = match finding.connections[..] {
                    [id] => connections.iter().find(|connection| connection.id == id),
                    _ => None,
                };
                let bound = about.map(|connection| Binding {
                    connection: connection.id,
                    community_id: connection.community_id.clone(),
                    tcp_stream: connection.tcp_stream,
                });
                let end = connections.iter().map(|connection| connection.end).max();
                write(&mut self.lines, options, found_line(finding, bound.as_ref(), end));
            }
            for connection in connections {
                write(&mut self.lines, options, closed_line(connection));
            }
        }
        for (one, index) in &places {
            let one = &mut self.remembered[*one];
            one.told[*index] = true;
            one.legs.extend_from_slice(&together);
            // Lines are all there is: what was written need not be kept. A report for people comes at the end.
            if options.form == Form::Ndjson && one.told.iter().all(|told| *told) {
                one.whole = None;
            }
        }
    }

    /// Tells a finding about no connection in particular.
    fn tell_aside(&mut self, options: &Options<'_>, finding: Finding) {
        if !(options.wanted)(finding.rule, finding.severity) {
            return;
        }
        self.summary.findings.add(convert::severity(finding.severity));
        self.findings += 1;
        let line = found_line(convert::finding(&finding, Vec::new()), None, None);
        self.write(options, line);
        if self.aside.len() < MAX_ASIDE {
            self.aside.push(finding);
        }
    }

    /// Decides on failures that may have to do with a WebSocket.
    pub(super) fn decide(&mut self, options: &Options<'_>) {
        let mut undecided: Vec<Remembered> = std::mem::take(&mut self.undecided).into();
        undecided.sort_unstable_by_key(|one| one.tcp_stream);
        for one in undecided {
            if belongs(&one.briefs[0], &self.surroundings[0], options.chosen) {
                self.tell_whole(options, one);
            }
        }
    }

    /// Tells what waited for the end: what the connections say together, and those that it may explain.
    pub(super) fn tell_rest(&mut self, options: &Options<'_>) {
        let remembered = self.remembered.make_contiguous();
        remembered.sort_unstable_by_key(|one| one.tcp_stream);
        let remembered = &*remembered;
        let (briefs, ids) = briefs(remembered);
        let untold: Vec<usize> = remembered
            .iter()
            .flat_map(|one| &one.told)
            .enumerate()
            .filter_map(|(index, told)| (!told).then_some(index))
            .collect();
        let places: Vec<(&Remembered, usize)> =
            remembered.iter().flat_map(|one| (0..one.briefs.len()).map(move |index| (one, index))).collect();
        let judgement = Judgement::among(&briefs);
        let wanted = |heading: &Heading| (options.wanted)(heading.rule, heading.severity);
        let is_new = |shared: &&Shared| {
            let rule = shared.finding.rule.id;
            !shared.subjects.iter().all(|subject| places[*subject].0.legs.contains(&rule))
        };
        let together: Vec<&Shared> =
            judgement.shared.iter().filter(|shared| wanted(&Heading::of(&shared.finding))).filter(is_new).collect();
        // The numbers of what is said about several subjects, by subject.
        let mut about: HashMap<usize, Vec<u64>> = HashMap::new();
        let Self { lines, out, error, summary, findings: number, .. } = self;
        // People find all of this in the report, which follows.
        let tells = options.form == Form::Ndjson;
        for shared in together {
            shared.subjects.iter().for_each(|subject| about.entry(*subject).or_default().push(*number));
            summary.findings.add(convert::severity(shared.finding.severity));
            *number += 1;
            if tells {
                let bound = match shared.subjects[..] {
                    [one] => Some(bound(ids[one], places[one].0, briefs[one])),
                    _ => None,
                };
                let of = shared.subjects.iter().map(|one| ids[*one]).collect();
                let end = shared.subjects.iter().map(|one| Time(briefs[*one].last.at)).max();
                write(lines, options, found_line(convert::finding(&shared.finding, of), bound.as_ref(), end));
            }
        }
        for index in untold {
            let ((one, place), brief) = (places[index], briefs[index]);
            let Some(subject) = one.subject(place) else { continue };
            summary.connections += 1;
            summary.websockets += u64::from(brief.is_websocket());
            *summary.outcomes.entry(convert::outcome(brief.outcome)).or_default() += 1;
            let bound = bound(ids[index], one, brief);
            let mut numbers = Vec::new();
            for (nth, heading) in judgement.headings(index).filter(|(_, heading)| wanted(heading)) {
                numbers.push(*number);
                *number += 1;
                summary.findings.add(convert::severity(heading.severity));
                if tells {
                    let finding = convert::finding(&subject.verdict.findings[nth], vec![ids[index]]);
                    write(lines, options, found_line(finding, Some(&bound), Some(Time(brief.last.at))));
                }
            }
            if tells {
                numbers.extend(about.remove(&index).unwrap_or_default());
                let connection = model::Connection {
                    root_cause: judgement.root_cause_heading(index).map(convert::root_cause),
                    findings: numbers,
                    ..convert::connection(ids[index], &subject)
                };
                write(lines, options, closed_line(connection));
                if lines.out().len() >= FULL {
                    flush(lines, out, error, options);
                }
            }
        }
    }
}

/// Whom lines are about.
fn bound(id: u64, one: &Remembered, brief: &Digest) -> Binding {
    Binding {
        connection: id,
        community_id: convert::community(Ends { client: brief.client, server: brief.server }),
        tcp_stream: u64::from(one.tcp_stream),
    }
}

/// Writes out the lines that are ready.
fn flush<W: Write>(
    lines: &mut EventWriter<Vec<u8>>,
    out: &mut W,
    error: &mut Option<io::Error>,
    options: &Options<'_>,
) {
    let ready = lines.out();
    if ready.is_empty() {
        return;
    }
    if error.is_none()
        && let Err(failed) = out.write_all(ready).and_then(|()| out.flush())
    {
        options.stop.store(true, Ordering::Release);
        *error = Some(failed);
    }
    ready.clear();
}

/// Writes a line in the form that was asked for.
fn write(to: &mut EventWriter<Vec<u8>>, options: &Options<'_>, mut line: Line<'_>) {
    // Writing into memory does not fail.
    match options.form {
        Form::Silent => {}
        Form::Ndjson => drop(to.event(line)),
        Form::Text => {
            if options.events.has(&line) {
                options.redactor.event(&mut line);
                lines::write(to.out(), &line);
            }
        }
    }
}

fn opened_line(binding: Binding, opening: &Opening) -> Line<'static> {
    Line::ConnectionOpened(Opened {
        time: Time(opening.first.at),
        binding,
        http2_stream: opening.http2_stream,
        client: convert::endpoint(opening.ends.client),
        server: convert::endpoint(opening.ends.server),
        first_packet: opening.first.packet,
    })
}

fn closed_line(connection: model::Connection<'_>) -> Line<'_> {
    let (time, id) = (connection.end, connection.id);
    Line::ConnectionClosed(Box::new(Closed { time, connection: id, record: connection }))
}

/// The line of a finding, which is bound to a connection when it is about one only. `end`: when those it is about ended.
fn found_line<'a>(finding: model::Finding<'a>, bound: Option<&Binding>, end: Option<Time>) -> Line<'a> {
    let last = finding.evidence.iter().map(|evidence| evidence.time).max();
    Line::Finding(Box::new(Found {
        time: last.or(end).unwrap_or_default(),
        connection: bound.map(|bound| bound.connection),
        community_id: bound.map(|bound| bound.community_id.clone()),
        tcp_stream: bound.map(|bound| bound.tcp_stream),
        finding,
    }))
}
