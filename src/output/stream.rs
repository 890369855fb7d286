//! What leaves the engine as it happens: the event stream, or a line of text per event.
//!
//! ```text
//!   shard ─ note ─► journal ─┐
//!   shard ─ note ─► journal ─┼─ merge, in order of packets ─► ids, bindings, verdicts ─► lines
//!   shard ─ note ─► journal ─┘
//! ```
//!
//! Shards write whole `frame` and `message` lines into journals, in parallel. Only who merges knows the numbers that
//! people see, so a line has a joint into which the merge puts them; it copies and decides nothing else. What is rare
//! (an opening, a handshake, an end) is put into words while merging.
//!
//! A connection is told when it is over. Two connections that may be the legs of a proxied one are told when both
//! are over, because each may explain the other. What only the whole capture can decide comes at its end: failures
//! that may have nothing to do with a WebSocket, and what many connections say together.
//!
//! This knows no clock and no thread; what it writes depends on the capture alone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::convert::{self, Judged, Wanted};
use super::lines;
use super::model::{self, Millis, Time};
use super::ndjson::{
    self, Binding, CaptureEnd, Closed, Content, Event as Line, FRAME_HEAD_LEN, Found, FrameLine, Handshake,
    MESSAGE_HEAD_LEN, MessageLine, Opened, Stats,
};
use super::publish::{EventWriter, Events, Source};
use super::redact::Redactor;
use crate::connection::{ConnectionRecord, Ends, EntryEvent, Interest, MAX_ENTRIES};
use crate::diagnosis::relations::{Subject, Surroundings, belongs};
use crate::diagnosis::{Finding, Verdict, diagnose, diagnose_plain};
use crate::engine::{Event, Judgement, Local, Numbering, Observer};
use crate::http::handshake::Key;
use crate::http::{Ended as ExchangeEnd, Exchange};
use crate::packet::Stamp;
use crate::websocket::{Frame, Message, MessageKind};

/// Most bytes of ready lines in one journal, that is of one shard in one chunk of the capture. Messages beyond it are
/// told without what they say (`truncated`): a small capture can hold very large messages, because they inflate.
pub const MAX_JOURNAL: usize = 8 << 20;

/// Most findings about no connection in particular that are remembered for the end of a live capture.
pub const MAX_ASIDE: usize = 256;

/// Most journals kept for use again.
const MAX_SPARE: usize = 64;

#[cfg(test)]
mod tests;

/// What lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object each.
    Ndjson,
    /// Text for people, with colours.
    Text,
    /// There are none.
    Silent,
}

/// What is told, and how.
pub struct Options<'o> {
    /// What lines look like.
    pub form: Form,
    /// Which events are told.
    pub events: Events,
    /// Whether messages show what they say.
    pub payload: bool,
    /// Whether a filter of the user chose the packets.
    pub chosen: bool,
    /// Which findings are wanted.
    pub wanted: &'o Wanted<'o>,
    /// Takes secrets out.
    pub redactor: Redactor,
    /// How many closed connections are remembered for what they say together; the oldest are forgotten.
    pub remembered: usize,
    /// Set when the lines can no longer be written, so that reading may stop.
    pub stop: Arc<AtomicBool>,
}

/// Listens to an engine and writes lines.
pub struct Stream<'o, W> {
    options: Options<'o>,
    desk: Mutex<Desk<W>>,
    spare: Mutex<Vec<Journal>>,
}

/// What one shard noted during one chunk.
#[derive(Debug, Default)]
pub struct Journal {
    /// The latest packet that was told of.
    key: u64,
    /// Ready lines.
    text: Vec<u8>,
    notes: Vec<Note>,
    /// Connections that are over, by number.
    closed: Vec<(u32, Closing)>,
    frames: u64,
}

#[derive(Debug)]
struct Note {
    /// Where it belongs among the notes of other shards: never less than that of the note before.
    key: u64,
    number: u32,
    entry: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A line that ends here in the journal's text, and the bytes before its joint.
    Line {
        end: u32,
        head: u8,
    },
    /// A frame that is only counted.
    Seen,
    Opened(Box<Opening>),
    Handshake(Box<Shaken>),
    /// Moved out.
    Taken,
}

#[derive(Debug)]
struct Opening {
    first: Stamp,
    ends: Ends,
}

#[derive(Debug)]
struct Shaken {
    opening: Opening,
    stamp: Stamp,
    http: Option<model::Http>,
    key: Option<Box<str>>,
    switched: bool,
}

#[derive(Debug)]
struct Closing {
    record: Box<ConnectionRecord>,
    verdicts: Vec<Verdict>,
}

/// One entry of a connection that is not told to be over yet.
#[derive(Debug)]
struct Entry {
    id: u64,
    /// What goes into the joint of its lines.
    binding: Vec<u8>,
    key: Option<Box<str>>,
    running: bool,
}

/// A connection that has begun and is not over.
#[derive(Debug)]
struct Running {
    community_id: String,
    tcp_stream: u32,
    entries: Vec<Option<Entry>>,
}

/// An entry whose request carries a key that others may carry too.
#[derive(Clone, Copy, Debug)]
struct Leg {
    whose: (Local, u32),
    /// Where it is remembered, once it is over.
    over: Option<u64>,
}

/// A connection that is over.
#[derive(Debug)]
struct Remembered {
    local: Local,
    tcp_stream: u32,
    record: Box<ConnectionRecord>,
    verdicts: Vec<Verdict>,
    /// Id of each subject.
    ids: Vec<u64>,
    /// Which subjects were told.
    told: Vec<bool>,
    /// Rules of findings about it and another leg that were told.
    legs: Vec<&'static str>,
}

impl Remembered {
    fn subject(&self, index: usize) -> Subject<'_> {
        let entry = (!self.record.entries.is_empty()).then_some(index);
        Subject { tcp_stream: self.tcp_stream, record: &self.record, entry }
    }
}

/// Which subject: the number of what is remembered, and the index in it.
type Place = (u64, usize);

/// Where lines are put together: one thread at a time.
struct Desk<W> {
    out: W,
    lines: EventWriter<Vec<u8>>,
    ids: u64,
    findings: u64,
    running: HashMap<Local, Running, foldhash::fast::RandomState>,
    legs: HashMap<Box<str>, Vec<Leg>>,
    remembered: VecDeque<Remembered>,
    /// Number of the first of `remembered`.
    oldest: u64,
    forgotten: u64,
    /// Connections without any visible WebSocket that only the end can decide on.
    undecided: VecDeque<Remembered>,
    surroundings: Surroundings,
    /// How many subjects `surroundings` has seen since it was made.
    seen: usize,
    websockets: bool,
    aside: Vec<Finding>,
    summary: model::Summary,
    frames: u64,
    websockets_open: u64,
    tcp_connections: u64,
    error: Option<io::Error>,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a live capture goes; see [`Stream::stats`].
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Capture time.
    pub time: Time,
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far, as on the wire.
    pub bytes: u64,
    /// Packets that the capturing machine reports as dropped so far.
    pub packets_dropped: Option<u64>,
    /// Since the capture began.
    pub uptime: Millis,
}

/// What is left when everything was told.
pub struct Ended {
    /// The whole in numbers: everything that was told.
    pub summary: model::Summary,
    /// Closed connections that are remembered no more.
    pub forgotten: u64,
    remembered: Vec<Remembered>,
    aside: Vec<Finding>,
}

impl Ended {
    /// What the connections say together, and the ids under which they were told.
    #[must_use]
    pub fn judgement(&self) -> (Judgement<'_>, Vec<u64>) {
        let (subjects, verdicts, ids) = subjects(&self.remembered);
        (Judgement { aside: self.aside.clone(), ..Judgement::among(subjects, verdicts) }, ids)
    }
}

/// Subjects in order of first packet, with verdicts and ids.
fn subjects(remembered: &[Remembered]) -> (Vec<Subject<'_>>, Vec<Verdict>, Vec<u64>) {
    let mut order: Vec<&Remembered> = remembered.iter().collect();
    order.sort_unstable_by_key(|one| one.tcp_stream);
    let (mut subjects, mut verdicts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for one in order {
        for (index, verdict) in one.verdicts.iter().enumerate() {
            subjects.push(one.subject(index));
            verdicts.push(verdict.clone());
            ids.push(one.ids[index]);
        }
    }
    (subjects, verdicts, ids)
}

impl<'o, W: Write + Send> Stream<'o, W> {
    /// Writes to `out`, which needs no buffer: lines are written in large pieces, after each chunk of the capture.
    pub fn new(out: W, options: Options<'o>) -> Self {
        let desk = Desk {
            out,
            lines: EventWriter::new(Vec::new(), options.events, options.redactor.clone()),
            ids: 0,
            findings: 0,
            running: HashMap::default(),
            legs: HashMap::new(),
            remembered: VecDeque::new(),
            oldest: 0,
            forgotten: 0,
            undecided: VecDeque::new(),
            surroundings: Surroundings::elsewhere(),
            seen: 0,
            websockets: false,
            aside: Vec::new(),
            summary: model::Summary::default(),
            frames: 0,
            websockets_open: 0,
            tcp_connections: 0,
            error: None,
        };
        Self { options, desk: Mutex::new(desk), spare: Mutex::default() }
    }

    /// Tells how a live capture goes.
    pub fn stats(&self, progress: &Progress) {
        let mut desk = hold(&self.desk);
        let line = Line::Stats(Stats {
            time: progress.time,
            connection: None,
            packets: progress.packets,
            bytes: progress.bytes,
            packets_dropped: progress.packets_dropped,
            // Nothing is shed here: where this is too slow, the kernel's buffer fills and the kernel counts.
            packets_shed: 0,
            tcp_connections: desk.tcp_connections,
            websockets_open: desk.websockets_open,
            frames: desk.frames,
            uptime_ms: progress.uptime,
        });
        desk.write(&self.options, line);
        desk.flush(&self.options);
    }

    /// Tells what only the whole capture can decide, and that it is over.
    ///
    /// # Errors
    /// When the lines cannot be written, or could not be written before.
    pub fn end(self, capture: model::Capture) -> io::Result<Ended> {
        let options = &self.options;
        let mut desk = self.desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        desk.tell_untold(options);
        desk.decide(options);
        desk.tell_together(options);
        let summary = desk.summary.clone();
        let end = CaptureEnd { time: capture.last_time, connection: None, capture, summary: summary.clone() };
        desk.write(options, Line::CaptureEnd(Box::new(end)));
        desk.flush(options);
        let Desk { remembered, aside, forgotten, error, .. } = desk;
        match error {
            Some(error) => Err(error),
            None => Ok(Ended { summary, forgotten, remembered: remembered.into(), aside }),
        }
    }
}

impl<W: Write + Send> Observer for Stream<'_, W> {
    type Journal = Journal;

    fn interest(&self) -> Interest {
        let Events { frame, message, stats, .. } = self.options.events;
        Interest {
            frames: frame || stats,
            messages: message,
            payload_limit: if self.options.payload && message { Interest::PAYLOAD_LIMIT } else { 0 },
        }
    }

    fn note(&self, journal: &mut Journal, event: &Event<'_>) {
        let Event::Entry { stamp, connection, first, ends, entry, event } = event else { return };
        if journal.notes.capacity() == 0 {
            let Journal { text, notes, .. } = hold(&self.spare).pop().unwrap_or_default();
            (journal.text, journal.notes) = (text, notes);
        }
        journal.key = journal.key.max(stamp.packet);
        let opening = Opening { first: *first, ends: *ends };
        let what = match event {
            EntryEvent::Frame(frame) => {
                journal.frames += 1;
                if self.options.events.frame {
                    ndjson::frame_line(&mut journal.text, &frame_facts(frame));
                    What::Line { end: journal.text.len() as u32, head: FRAME_HEAD_LEN as u8 }
                } else {
                    let last = journal.notes.last();
                    if last.is_some_and(|note| note.number == connection.number && note.entry == *entry) {
                        return;
                    }
                    What::Seen
                }
            }
            EntryEvent::Message(message) => {
                self.message(&mut journal.text, message);
                What::Line { end: journal.text.len() as u32, head: MESSAGE_HEAD_LEN as u8 }
            }
            EntryEvent::Opened | EntryEvent::Handshake(_) if *entry as usize >= MAX_ENTRIES => return,
            EntryEvent::Opened => What::Opened(Box::new(opening)),
            EntryEvent::Handshake(exchange) => What::Handshake(Box::new(Shaken {
                opening,
                stamp: *stamp,
                http: self.options.events.handshake.then(|| convert::http(exchange)),
                key: leg_key(exchange).map(Into::into),
                switched: matches!(exchange.ended, ExchangeEnd::Switched { .. }),
            })),
        };
        journal.notes.push(Note { key: journal.key, number: connection.number, entry: *entry, what });
    }

    fn keep(
        &self,
        journal: &mut Journal,
        connection: Local,
        record: Box<ConnectionRecord>,
    ) -> Option<Box<ConnectionRecord>> {
        let whole = Subject { tcp_stream: 0, record: &record, entry: None };
        let may_belong = !record.entries.is_empty() || belongs(&whole, &Surroundings::default(), self.options.chosen);
        if !may_belong && record.plain.is_empty() {
            return None;
        }
        let subjects = Subject::of(0, &record).filter(|_| may_belong);
        let verdicts = subjects.map(|subject| diagnose(subject.record, subject.entry)).collect();
        journal.closed.push((connection.number, Closing { record, verdicts }));
        None
    }

    fn merge(&self, journals: &mut [Journal], numbering: &Numbering) {
        let mut desk = hold(&self.desk);
        desk.tcp_connections = u64::from(numbering.tcp_connections());
        desk.merge(&self.options, journals, numbering);
        desk.flush(&self.options);
        drop(desk);
        let mut spare = hold(&self.spare);
        for journal in journals {
            let Journal { mut text, mut notes, .. } = std::mem::take(journal);
            if spare.len() < MAX_SPARE && notes.capacity() > 0 && text.capacity() <= MAX_JOURNAL {
                text.clear();
                notes.clear();
                spare.push(Journal { text, notes, ..Journal::default() });
            }
        }
    }
}

/// A frame as its line has it.
#[must_use]
pub fn frame_facts(frame: &Frame) -> FrameLine {
    FrameLine {
        time: Time(frame.last.at),
        packet: frame.last.packet,
        from: frame.direction.sender().into(),
        fin: frame.fin,
        rsv: frame.rsv,
        opcode: frame.opcode,
        masked: frame.masked(),
        length: frame.length,
        close_code: frame.close_code,
    }
}

/// What a message says: text if it is text, base64 if not; cut where it was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Text.
    Text(String),
    /// Bytes in base64.
    Base64(String),
}

/// What a message says, redacted; `None` when it is not known.
#[must_use]
pub fn said(message: &Message<'_>, redactor: &Redactor) -> Option<Said> {
    let bytes = message.payload?;
    let text = match std::str::from_utf8(bytes) {
        _ if message.kind == MessageKind::Binary => None,
        Ok(text) => Some(text),
        // Cut inside a character.
        Err(error) if message.truncated && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    Some(match text {
        Some(text) => Said::Text(redactor.payload(text)),
        None => Said::Base64(redactor.base64(&STANDARD.encode(bytes))),
    })
}

/// The key that tells that two requests are one that was passed on: valid, and nobody's example.
fn leg_key(exchange: &Exchange) -> Option<&str> {
    let checks = exchange.handshake.as_ref()?.request.as_ref()?;
    let usable = checks.key == Key::Valid && !checks.key_is_rfc_sample;
    exchange.request.as_ref().filter(|_| usable)?.websocket_key()
}

impl<W> Stream<'_, W> {
    fn message(&self, out: &mut Vec<u8>, message: &Message<'_>) {
        let shown = self.options.payload && message.payload.is_some();
        let room = out.len() < MAX_JOURNAL;
        let said = if shown && room { said(message, &self.options.redactor) } else { None };
        let line = MessageLine {
            time: Time(message.last.at),
            packet: message.last.packet,
            from: message.direction.sender().into(),
            kind: match message.kind {
                MessageKind::Text => ndjson::MessageKind::Text,
                MessageKind::Binary => ndjson::MessageKind::Binary,
            },
            length: message.length,
            compressed_length: message.compressed.then_some(message.wire_length),
            content: match &said {
                None => Content::Hidden,
                Some(Said::Text(text)) => Content::Text(text),
                Some(Said::Base64(text)) => Content::Base64(text),
            },
            truncated: shown && (message.truncated || !room),
        };
        ndjson::message_line(out, &line);
    }
}

impl<W: Write> Desk<W> {
    fn flush(&mut self, options: &Options<'_>) {
        let Self { out, lines, error, .. } = self;
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

    fn write(&mut self, options: &Options<'_>, mut line: Line) {
        // Writing into memory does not fail.
        match options.form {
            Form::Silent => {}
            Form::Ndjson => drop(self.lines.event(line)),
            Form::Text => {
                if options.events.has(&line) {
                    options.redactor.event(&mut line);
                    lines::write(self.lines.out(), &line);
                }
            }
        }
    }

    /// Takes notes of all journals in order of packets, then the connections that are over, in order of last packet.
    /// Whatever explains them is known by then.
    fn merge(&mut self, options: &Options<'_>, journals: &mut [Journal], numbering: &Numbering) {
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
        let mut closed: Vec<(Local, Closing)> = Vec::new();
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
            self.write(options, opened_line(bound, opening, None));
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

    fn closed(&mut self, options: &Options<'_>, local: Local, closing: Closing, numbering: &Numbering) {
        let Closing { record, verdicts } = closing;
        for finding in diagnose_plain(&record) {
            self.tell_aside(options, finding);
        }
        let tcp_stream = numbering.tcp_stream(local);
        let mut one =
            Remembered { local, tcp_stream, record, verdicts, ids: Vec::new(), told: Vec::new(), legs: Vec::new() };
        if one.verdicts.is_empty() {
            return;
        }
        if one.record.entries.is_empty() {
            // What belongs although a WebSocket was seen elsewhere belongs whatever else is seen.
            if belongs(&one.subject(0), &self.surroundings, options.chosen) {
                self.tell_whole(options, one);
            } else {
                self.undecided.push_back(one);
                if self.undecided.len() > options.remembered {
                    self.undecided.pop_front();
                }
            }
            return;
        }
        let opening = Opening {
            first: one.record.tcp.first,
            ends: Ends { client: one.record.tcp.client, server: one.record.tcp.server },
        };
        for index in 0..one.record.entries.len() {
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
        let entries = one.record.entries.len();
        one.told = vec![false; entries];
        self.note_surroundings(options, &one);
        self.remembered.push_back(one);
        let number = self.oldest + self.remembered.len() as u64 - 1;
        for (index, key) in keys.into_iter().enumerate() {
            if index >= entries {
                continue;
            }
            match key {
                None => self.tell(options, &[(number, index)]),
                Some(key) => self.leg_over(options, key, (local, index as u32), number),
            }
        }
        while self.remembered.len() > options.remembered {
            self.forget(options);
        }
    }

    fn note_surroundings(&mut self, options: &Options<'_>, one: &Remembered) {
        self.websockets = true;
        if self.seen > options.remembered.saturating_mul(2) {
            // Only what is remembered counts, or this would grow for as long as the capture lasts.
            self.surroundings = Surroundings::elsewhere();
            self.seen = 0;
            for one in &self.remembered {
                (0..one.verdicts.len()).for_each(|at| self.surroundings.add(&one.subject(at), &one.verdicts[at]));
                self.seen += one.verdicts.len();
            }
        }
        (0..one.verdicts.len()).for_each(|at| self.surroundings.add(&one.subject(at), &one.verdicts[at]));
        self.seen += one.verdicts.len();
    }

    /// An entry whose key others may carry is over: tells it, or waits for the other.
    fn leg_over(&mut self, options: &Options<'_>, key: Box<str>, whose: (Local, u32), number: u64) {
        let Some(legs) = self.legs.get_mut(&key) else { return self.tell(options, &[(number, whose.1 as usize)]) };
        if let Some(leg) = legs.iter_mut().find(|leg| leg.whose == whose) {
            leg.over = Some(number);
        }
        let over: Vec<Place> = legs.iter().filter_map(|leg| Some((leg.over?, leg.whose.1 as usize))).collect();
        match (legs.len(), over.len()) {
            // The other is under way: both are told when it is over, too.
            (2, 1) => {}
            (2, 2) => {
                self.legs.remove(&key);
                self.tell(options, &over);
            }
            // Alone, or one of so many that nobody can tell whose leg is whose.
            _ => {
                legs.retain(|leg| leg.over.is_none());
                if legs.is_empty() {
                    self.legs.remove(&key);
                }
                over.into_iter().for_each(|place| self.tell(options, &[place]));
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
        let tcp = &one.record.tcp;
        let ends = Ends { client: tcp.client, server: tcp.server };
        let binding = Binding {
            connection: self.ids,
            community_id: convert::community(ends),
            tcp_stream: u64::from(one.tcp_stream),
        };
        let line = opened_line(binding, &Opening { first: tcp.first, ends }, None);
        self.write(options, line);
        self.remembered.push_back(one);
        self.tell(options, &[(self.oldest + self.remembered.len() as u64 - 1, 0)]);
        while self.remembered.len() > options.remembered {
            self.forget(options);
        }
    }

    /// Tells subjects that are over and explain each other: their findings, then their ends.
    fn tell(&mut self, options: &Options<'_>, places: &[Place]) {
        let mut places: Vec<(usize, usize)> =
            places.iter().map(|(number, index)| ((number - self.oldest) as usize, *index)).collect();
        places.sort_unstable_by_key(|(one, index)| (self.remembered[*one].tcp_stream, *index));
        let remembered = &self.remembered;
        let subjects = places.iter().map(|(one, index)| remembered[*one].subject(*index)).collect();
        let verdicts = places.iter().map(|(one, index)| remembered[*one].verdicts[*index].clone()).collect();
        let ids: Vec<u64> = places.iter().map(|(one, index)| remembered[*one].ids[*index]).collect();
        let judgement = Judgement::among(subjects, verdicts);
        let judged = Judged::new(model::Capture::default(), &judgement, options.wanted).numbered(ids, self.findings);
        let summary = judged.summary();
        self.summary.connections += summary.connections;
        self.summary.websockets += summary.websockets;
        for (outcome, count) in summary.outcomes {
            *self.summary.outcomes.entry(outcome).or_default() += count;
        }
        self.summary.findings.error += summary.findings.error;
        self.summary.findings.warning += summary.findings.warning;
        self.summary.findings.info += summary.findings.info;
        let wants_lines = options.form != Form::Silent;
        let connections: Vec<model::Connection> = if wants_lines { judged.connections().collect() } else { Vec::new() };
        let findings: Vec<model::Finding> = judged.findings().collect();
        self.findings += findings.len() as u64;
        let together: Vec<&'static str> = judgement.shared.iter().map(|shared| shared.finding.rule.id).collect();
        drop(judgement);
        for (one, index) in &places {
            let one = &mut self.remembered[*one];
            one.told[*index] = true;
            one.legs.extend_from_slice(&together);
        }
        // A connection that is open when the capture ends is no news for people; the report tells it.
        let open = connections.iter().all(|connection| connection.outcome == model::Outcome::Open);
        if options.form == Form::Silent || (options.form == Form::Text && open) {
            return;
        }
        for finding in findings {
            let line = found_line(finding, &connections);
            self.write(options, line);
        }
        for connection in connections {
            let (time, id) = (connection.end, connection.id);
            self.write(options, Line::ConnectionClosed(Box::new(Closed { time, connection: id, record: connection })));
        }
    }

    /// Tells a finding about no connection in particular.
    fn tell_aside(&mut self, options: &Options<'_>, finding: Finding) {
        if !(options.wanted)(finding.rule, finding.severity) {
            return;
        }
        self.summary.findings.add(convert::severity(finding.severity));
        self.findings += 1;
        let line = found_line(convert::finding(&finding, Vec::new()), &[]);
        self.write(options, line);
        if self.aside.len() < MAX_ASIDE {
            self.aside.push(finding);
        }
    }

    /// Tells those that waited for another leg in vain.
    fn tell_untold(&mut self, options: &Options<'_>) {
        let untold: Vec<Place> = self
            .remembered
            .iter()
            .enumerate()
            .flat_map(|(at, one)| one.told.iter().enumerate().map(move |(index, told)| (at, index, *told)))
            .filter(|(.., told)| !told)
            .map(|(at, index, _)| (self.oldest + at as u64, index))
            .collect();
        untold.into_iter().for_each(|place| self.tell(options, &[place]));
    }

    /// Decides on failures that may have to do with a WebSocket.
    fn decide(&mut self, options: &Options<'_>) {
        let mut undecided: Vec<Remembered> = std::mem::take(&mut self.undecided).into();
        undecided.sort_unstable_by_key(|one| one.tcp_stream);
        for one in undecided {
            let nowhere = Surroundings::default();
            let surroundings = if self.websockets { &self.surroundings } else { &nowhere };
            if belongs(&one.subject(0), surroundings, options.chosen) {
                self.tell_whole(options, one);
            }
        }
    }

    /// Tells what the connections say together and was not told yet.
    fn tell_together(&mut self, options: &Options<'_>) {
        let remembered = self.remembered.make_contiguous();
        let (subjects, verdicts, ids) = subjects(remembered);
        let judgement = Judgement::among(subjects, verdicts);
        let told: HashMap<u64, &[&'static str]> =
            remembered.iter().flat_map(|one| one.ids.iter().map(|id| (*id, one.legs.as_slice()))).collect();
        let findings: Vec<model::Finding> = judgement
            .shared
            .iter()
            .filter(|shared| {
                let rule = shared.finding.rule.id;
                let known = |subject: &usize| told.get(&ids[*subject]).is_some_and(|legs| legs.contains(&rule));
                !shared.subjects.iter().all(known) && (options.wanted)(shared.finding.rule, shared.finding.severity)
            })
            .map(|shared| {
                let ids = shared.subjects.iter().map(|subject| ids[*subject]).collect();
                convert::finding(&shared.finding, ids)
            })
            .collect();
        for finding in findings {
            self.summary.findings.add(finding.severity);
            self.findings += 1;
            // The report follows.
            if options.form == Form::Ndjson {
                let line = found_line(finding, &[]);
                self.write(options, line);
            }
        }
    }
}

fn opened_line(binding: Binding, opening: &Opening, http2_stream: Option<u32>) -> Line {
    Line::ConnectionOpened(Opened {
        time: Time(opening.first.at),
        binding,
        http2_stream,
        client: convert::endpoint(opening.ends.client),
        server: convert::endpoint(opening.ends.server),
        first_packet: opening.first.packet,
    })
}

/// The line of a finding about `connections` or none of them.
fn found_line(finding: model::Finding, connections: &[model::Connection]) -> Line {
    let about = match finding.connections[..] {
        [id] => connections.iter().find(|connection| connection.id == id),
        _ => None,
    };
    let last = finding.evidence.iter().map(|evidence| evidence.time).max();
    let end = || connections.iter().map(|connection| connection.end).max();
    Line::Finding(Box::new(Found {
        time: last.or_else(end).unwrap_or_default(),
        connection: about.map(|connection| connection.id),
        community_id: about.map(|connection| connection.community_id.clone()),
        tcp_stream: about.map(|connection| connection.tcp_stream),
        finding,
    }))
}
