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
//! that may have nothing to do with a WebSocket, and what many connections say together. In files, so does an end that
//! others may yet explain: the events of a file say what its document says.
//!
//! This knows no clock and no thread; what it writes depends on the capture alone.

use std::io::{self, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::desk::{Desk, Remembered, briefs};
use super::convert::{self, Subject};
use super::listing::Wanted;
use super::model::{self, Millis, Time};
use super::ndjson::{
    self, CaptureEnd, Content, Event as Line, FRAME_HEAD_LEN, FrameLine, MESSAGE_HEAD_LEN, MessageLine, Stats,
};
use super::publish::{EventWriter, Events};
use super::redact::Redactor;
use crate::connection::{Ends, EntryEvent, Interest, MAX_ENTRIES};
use crate::diagnosis::Finding;
use crate::diagnosis::correlate::{Surroundings, belongs};
use crate::engine::{Event, Finished, Judgement, Numbering, Observer, Over, Recorded};
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

mod desk;
#[cfg(test)]
pub(crate) mod tests;

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
    /// Whether what others may yet explain can wait for the end of the capture, so that nothing is told that is not
    /// in the document. Where packets are just arriving, it cannot.
    pub patient: bool,
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
    closed: Vec<(u32, Recorded)>,
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
    http2_stream: Option<u32>,
}

#[derive(Debug)]
struct Shaken {
    opening: Opening,
    stamp: Stamp,
    http: Option<model::Http<'static>>,
    key: Option<Box<str>>,
    switched: bool,
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
        let (briefs, ids) = briefs(&self.remembered);
        let mut judgement = Judgement::among(&briefs);
        judgement.aside = self.aside.iter().collect();
        (judgement, ids)
    }

    /// The connections that are remembered, one subject after the other, as [`Ended::judgement`] has them; those whose
    /// records are gone are left out.
    pub fn subjects(&self) -> Vec<Subject<'_>> {
        self.remembered.iter().flat_map(Remembered::subjects).collect()
    }
}

impl<'o, W: Write + Send> Stream<'o, W> {
    /// Writes to `out`, which needs no buffer: lines are written in large pieces, after each chunk of the capture.
    pub fn new(out: W, mut options: Options<'o>) -> Self {
        if options.form != Form::Ndjson {
            // These lines are made in one form only.
            options.events = Events { frame: false, message: false, ..options.events };
        }
        let desk = Desk::new(out, EventWriter::new(Vec::new(), options.events, options.redactor.clone()));
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
        desk.decide(options);
        desk.tell_rest(options);
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
    type Kept = ();

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
        let opening = |http2_stream| Opening { first: *first, ends: *ends, http2_stream };
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
            EntryEvent::Opened(_) | EntryEvent::Handshake(_) if *entry as usize >= MAX_ENTRIES => return,
            EntryEvent::Opened(http2_stream) => What::Opened(Box::new(opening(*http2_stream))),
            EntryEvent::Handshake(exchange) => What::Handshake(Box::new(Shaken {
                opening: opening(None),
                stamp: *stamp,
                http: self.options.events.handshake.then(|| convert::http(exchange).into_owned()),
                key: leg_key(exchange).map(Into::into),
                switched: matches!(exchange.ended, ExchangeEnd::Switched { .. }),
            })),
        };
        journal.notes.push(Note { key: journal.key, number: connection.number, entry: *entry, what });
    }

    fn keep(&self, journal: &mut Journal, over: &mut Vec<Over>, _: &mut Vec<Finished<()>>) {
        let nowhere = Surroundings::default();
        for (connection, record) in over.drain(..) {
            let mut closed = Recorded::from(record);
            if !closed.briefs.iter().all(|brief| belongs(brief, &nowhere, self.options.chosen)) {
                closed.briefs.clear();
                closed.verdicts.clear();
            }
            if !closed.briefs.is_empty() || !closed.aside.is_empty() {
                journal.closed.push((connection.number, closed));
            }
        }
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
