//! What leaves the engine as it happens.
//!
//! ```text
//!   shard ─ note ─► journal ─┐
//!   shard ─ note ─► journal ─┼─ merge, in order of packets ─► tracker ─► consumer: NDJSON, text, dashboard
//!   shard ─ note ─► journal ─┘     (ids, legs, judgement)
//! ```
//!
//! Shards encode frames and messages into journals, in parallel and in the consumer's own form ([`Encoder`]). The
//! tracker gives entries the ids that people see, pairs legs, judges what is over, and hands everything to one
//! [`Consumer`] in the order of the capture. It writes nothing itself.
//!
//! A connection is handed on when it is over. Two connections that may be the legs of a proxied one are handed on when
//! both are over, because each may explain the other. What only the whole capture can decide comes at its end: failures
//! that may have nothing to do with a WebSocket, and what many connections show together. In files, so does an end that
//! others may yet explain: the events of a file agree with its document.
//!
//! Nothing here knows a clock or a thread; what is handed on depends on the capture alone.

use std::sync::{Mutex, PoisonError};

use super::from_record;
use super::model;
use super::numbering::Wanted;
use super::redact::Redactor;
use super::store::SubjectText;
use crate::connection::{EntryEvent, Interest, MAX_ENTRIES};
use crate::diagnosis::correlate::{Surroundings, belongs};
use crate::diagnosis::{Digest, diagnose_all, diagnose_plain};
use crate::engine::{Event, Finished, Numbering, Observer, Over};
use crate::http::handshake::Key;
use crate::http::{Ended as ExchangeEnd, Exchange};
use crate::sync::lock;
use crate::websocket::{Frame, Message};

mod journal;
pub mod ndjson;
#[cfg(test)]
pub(crate) mod tests;
pub mod text;
mod tracker;
pub mod writer;

pub use journal::{Journal, Opening};
pub use tracker::{ClosedEntry, Consumer, Ended, EntryId, FoundFinding, MAX_PLAIN};

use journal::{Closed, Handshake, Note, NoteKind};
use tracker::Tracker;

/// Most journals kept for use again.
const MAX_SPARE: usize = 64;
/// Most bytes of a journal's buffer that is kept for use again.
const MAX_SPARE_SIZE: usize = 8 << 20;

/// What is tracked, and how.
pub struct Options<'o> {
    /// Whether handshakes are handed on.
    pub handshakes: bool,
    /// Whether a filter of the user chose the packets.
    pub chosen: bool,
    /// Which findings are wanted.
    pub wanted: &'o Wanted<'o>,
    /// Takes secrets out, before anything is handed on.
    pub redactor: Redactor,
    /// Whether what others may yet explain can wait for the end of the capture, so that no event contradicts the
    /// document. Where packets are just arriving, it cannot.
    pub patient: bool,
    /// Whether a report is written at the end: texts of closed connections are kept for it, and what only the whole
    /// capture decides is left to it.
    pub report_follows: bool,
    /// How many closed connections are remembered for what they show together; the oldest are forgotten.
    pub remembered: usize,
}

/// Encodes frames and messages on the threads of the shards, for a [`Consumer`] to take over.
pub trait Encoder: Sync {
    /// Which events are wanted; others are never made.
    fn interest(&self) -> Interest;
    /// Appends a frame; nothing where frames are only counted.
    fn frame(&self, out: &mut Vec<u8>, frame: &Frame);
    /// Appends a message.
    fn message(&self, out: &mut Vec<u8>, message: &Message<'_>);
}

/// Listens to an engine and hands to a consumer what happens.
pub struct EventStream<'o, E, C> {
    options: Options<'o>,
    encoder: E,
    tracker: Mutex<Tracker<C>>,
    spare: Mutex<Vec<Journal>>,
}

impl<'o, E: Encoder, C: Consumer> EventStream<'o, E, C> {
    /// Nothing has happened yet.
    pub fn new(options: Options<'o>, encoder: E, consumer: C) -> Self {
        Self { options, encoder, tracker: Mutex::new(Tracker::new(consumer)), spare: Mutex::default() }
    }

    /// Gives the consumer the numbers of a capture that is under way.
    pub fn stats(&self, progress: &Progress) {
        let mut tracker = lock(&self.tracker);
        let stats = tracker.stats(progress);
        tracker.consumer.stats(&stats);
        tracker.consumer.flush();
    }

    /// Hands on what only the whole capture can decide. The consumer is told no more, and comes back.
    pub fn end(self) -> (C, Ended) {
        let tracker = self.tracker.into_inner().unwrap_or_else(PoisonError::into_inner);
        tracker.end(&self.options)
    }
}

/// How a live capture goes; see [`EventStream::stats`].
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Capture time.
    pub time: model::Time,
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far, as on the wire.
    pub bytes: u64,
    /// Packets that the capturing machine reports as dropped so far.
    pub packets_dropped: Option<u64>,
    /// Since the capture began.
    pub uptime: model::Millis,
}

impl<E: Encoder, C: Consumer> Observer for EventStream<'_, E, C> {
    type Journal = Journal;
    type Kept = ();

    fn interest(&self) -> Interest {
        self.encoder.interest()
    }

    fn note(&self, journal: &mut Journal, event: &Event<'_>) {
        let Event::Entry { stamp, connection, first, ends, entry, event } = event else { return };
        if journal.notes.capacity() == 0 {
            let Journal { encoded, notes, .. } = lock(&self.spare).pop().unwrap_or_default();
            (journal.encoded, journal.notes) = (encoded, notes);
        }
        journal.key = journal.key.max(stamp.packet);
        let opening = |http2_stream| Opening { first: *first, ends: *ends, http2_stream };
        let kind = match event {
            EntryEvent::Frame(frame) => {
                journal.frames += 1;
                let before = journal.encoded.len();
                self.encoder.frame(&mut journal.encoded, frame);
                if journal.encoded.len() > before {
                    NoteKind::Encoded { end: journal.encoded.len() as u32 }
                } else {
                    let last = journal.notes.last();
                    if last.is_some_and(|note| note.number == connection.number && note.entry == *entry) {
                        return;
                    }
                    NoteKind::Frame
                }
            }
            EntryEvent::Message(message) => {
                self.encoder.message(&mut journal.encoded, message);
                NoteKind::Encoded { end: journal.encoded.len() as u32 }
            }
            EntryEvent::Opened(_) | EntryEvent::Handshake(_) if *entry as usize >= MAX_ENTRIES => return,
            EntryEvent::Opened(http2_stream) => NoteKind::Opened(Box::new(opening(*http2_stream))),
            EntryEvent::Handshake(exchange) => NoteKind::Handshake(Box::new(Handshake {
                opening: opening(None),
                stamp: *stamp,
                http: self.options.handshakes.then(|| {
                    let mut http = from_record::http(exchange).into_owned();
                    self.options.redactor.http(&mut http);
                    http
                }),
                key: leg_key(exchange).map(Into::into),
                switched: matches!(exchange.ended, ExchangeEnd::Switched { .. }),
            })),
        };
        journal.notes.push(Note { key: journal.key, number: connection.number, entry: *entry, kind });
    }

    fn keep(&self, journal: &mut Journal, over: &[Over], _: &mut Vec<Finished<()>>) {
        let nowhere = Surroundings::default();
        for (connection, record) in over {
            let verdicts = diagnose_all(record);
            let mut summaries: Vec<Digest> = Digest::of(record, &verdicts).collect();
            let mut texts = Vec::new();
            if summaries.iter().all(|summary| belongs(summary, &nowhere, self.options.chosen)) {
                texts.extend(verdicts.iter().enumerate().map(|(index, verdict)| {
                    let entry = (!record.entries.is_empty()).then_some(index);
                    SubjectText::new(&self.options.redactor, record, entry, verdict)
                }));
            } else {
                summaries.clear();
            }
            let plain: Vec<_> = diagnose_plain(record).collect();
            if !summaries.is_empty() || !plain.is_empty() {
                let last_packet = record.tcp.last.packet;
                journal.closed.push(Closed { number: connection.number, last_packet, summaries, texts, plain });
            }
        }
    }

    fn merge(&self, journals: &mut [Journal], numbering: &Numbering) {
        let mut tracker = lock(&self.tracker);
        tracker.merge(&self.options, journals, numbering);
        tracker.consumer.flush();
        drop(tracker);
        let mut spare = lock(&self.spare);
        for journal in journals {
            let Journal { mut encoded, mut notes, .. } = std::mem::take(journal);
            if spare.len() < MAX_SPARE && notes.capacity() > 0 && encoded.capacity() <= MAX_SPARE_SIZE {
                encoded.clear();
                notes.clear();
                spare.push(Journal { encoded, notes, ..Journal::default() });
            }
        }
    }
}

/// The key that tells that two requests are one that was passed on: valid, and not the RFC's example.
fn leg_key(exchange: &Exchange) -> Option<&str> {
    let checks = exchange.handshake.as_ref()?.request.as_ref()?;
    let usable = checks.key == Key::Valid && !checks.key_is_rfc_sample;
    exchange.request.as_ref().filter(|_| usable)?.websocket_key()
}
