//! Writes events as lines: NDJSON, or text for people. Lines are written in large pieces, after each chunk of the
//! capture. Adds nothing to what the tracker hands over.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ndjson::{self, Binding, CaptureEnd, Event, FrameLine, MessageLine, Opened, Stats};
use super::text;
use super::tracker::{ClosedEntry, Consumer, EntryId, FoundFinding};
use super::{Encoder, Opening};
use crate::connection::Interest;
use crate::output::from_record;
use crate::output::model::{self, Time};
use crate::output::redact::Redactor;
use crate::packet::Stamp;
use crate::websocket::{Frame, Message};

/// Most bytes of encoded frames and messages in one journal, that is of one shard in one chunk of the capture. Messages
/// beyond it are written without their text (`truncated`): a small capture can hold very large ones, because they
/// inflate.
pub const MAX_JOURNAL: usize = 8 << 20;

/// Bytes of ready lines that are written out at once.
const FULL: usize = 1 << 18;

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

/// Which events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// `connection.opened` and `connection.closed`.
    pub connection: bool,
    /// `handshake`.
    pub handshake: bool,
    /// `message`.
    pub message: bool,
    /// `frame`.
    pub frame: bool,
    /// `finding`.
    pub finding: bool,
    /// `stats`.
    pub stats: bool,
}

/// Encodes frames and messages as NDJSON, on the threads of the shards.
pub struct LineEncoder {
    events: Events,
    /// Whether messages show their text.
    payload: bool,
    redactor: Redactor,
}

impl LineEncoder {
    /// For the lines of a [`LineWriter`] of this form.
    #[must_use]
    pub fn new(form: Form, events: Events, payload: bool, redactor: Redactor) -> Self {
        // Text has no lines for these.
        let ndjson = form == Form::Ndjson;
        let events = Events { frame: events.frame && ndjson, message: events.message && ndjson, ..events };
        Self { events, payload, redactor }
    }
}

impl Encoder for LineEncoder {
    fn interest(&self) -> Interest {
        let Events { frame, message, stats, .. } = self.events;
        Interest {
            frames: frame || stats,
            messages: message,
            payload_limit: if self.payload && message { Interest::PAYLOAD_LIMIT } else { 0 },
        }
    }

    fn frame(&self, out: &mut Vec<u8>, frame: &Frame) {
        if self.events.frame {
            ndjson::frame_line(out, &FrameLine::of(frame));
        }
    }

    fn message(&self, out: &mut Vec<u8>, message: &Message<'_>) {
        let shown = self.payload && message.payload.is_some();
        let content = if shown && out.len() < MAX_JOURNAL { ndjson::content(message, &self.redactor) } else { None };
        let truncated = shown && (message.truncated || out.len() >= MAX_JOURNAL);
        ndjson::message_line(out, &MessageLine::of(message, content.as_ref(), truncated));
    }
}

/// Writes the lines of events.
pub struct LineWriter<W> {
    out: W,
    lines: Vec<u8>,
    form: Form,
    events: Events,
    /// Set when the lines can no longer be written, so that reading may stop.
    stop: Arc<AtomicBool>,
    error: Option<io::Error>,
}

impl<W: Write> LineWriter<W> {
    /// Writes to `out`, which needs no buffer.
    pub fn new(out: W, form: Form, events: Events, stop: Arc<AtomicBool>) -> Self {
        Self { out, lines: Vec::new(), form, events, stop, error: None }
    }

    /// Writes the last line, and says whether all could be written.
    ///
    /// # Errors
    /// The first error of `out`.
    pub fn end(mut self, capture: model::Capture, summary: model::Summary) -> io::Result<()>
    where
        W: Send,
    {
        if self.form == Form::Ndjson {
            let time = capture.last_time;
            let end = CaptureEnd { time, capture, summary };
            ndjson::append_event(&mut self.lines, &Event::CaptureEnd(Box::new(end)));
        }
        self.flush();
        self.error.map_or(Ok(()), Err)
    }

    fn write(&mut self, wanted: bool, event: impl FnOnce() -> Event<'static>) {
        if !wanted || self.form == Form::Silent {
            return;
        }
        let event = event();
        match self.form {
            Form::Ndjson => ndjson::append_event(&mut self.lines, &event),
            Form::Text => text::append(&mut self.lines, &event),
            Form::Silent => {}
        }
    }

    fn flush_full(&mut self)
    where
        W: Send,
    {
        if self.lines.len() >= FULL {
            self.flush();
        }
    }
}

fn binding(entry: &EntryId) -> Binding {
    Binding {
        connection: entry.connection,
        community_id: entry.community_id.clone(),
        tcp_stream: entry.tcp_stream.into(),
    }
}

impl<W: Write + Send> Consumer for LineWriter<W> {
    fn opened(&mut self, entry: &EntryId, opening: &Opening) {
        let Opening { first, ends, http2_stream } = *opening;
        self.write(self.events.connection, || {
            Event::ConnectionOpened(Opened {
                time: Time(first.at),
                binding: binding(entry),
                http2_stream,
                client: from_record::endpoint(ends.client),
                server: from_record::endpoint(ends.server),
                first_packet: first.packet,
            })
        });
    }

    fn handshake(&mut self, entry: &EntryId, stamp: Stamp, http: model::Http<'static>) {
        self.write(self.events.handshake, || {
            Event::Handshake(Box::new(ndjson::Handshake { time: Time(stamp.at), binding: binding(entry), http }))
        });
    }

    #[inline]
    fn encoded(&mut self, entry: &EntryId, bytes: &[u8]) {
        ndjson::append_bound(&mut self.lines, bytes, entry.connection, &entry.community_id, entry.tcp_stream.into());
    }

    fn finding(&mut self, found: &FoundFinding<'_>) {
        match self.form {
            Form::Ndjson if self.events.finding => {
                ndjson::append_found(&mut self.lines, found);
                self.flush_full();
            }
            // The report, which follows, tells of connections that are still open.
            Form::Text if self.events.finding && !found.all_open => {
                if let Some(finding) = found.finding() {
                    text::append_finding(
                        &mut self.lines,
                        found.time,
                        found.about.map(|about| about.connection),
                        &finding,
                    );
                }
            }
            _ => {}
        }
    }

    fn closed(&mut self, closed: &ClosedEntry<'_>) {
        match self.form {
            Form::Ndjson if self.events.connection => {
                ndjson::append_closed(&mut self.lines, closed);
                self.flush_full();
            }
            Form::Text if self.events.connection && closed.outcome != model::Outcome::Open => {
                if let Some(connection) = closed.connection() {
                    text::append_closed(&mut self.lines, closed.time, &connection);
                }
            }
            _ => {}
        }
    }

    fn stats(&mut self, stats: &Stats) {
        self.write(self.events.stats, || Event::Stats(stats.clone()));
    }

    fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if self.error.is_none()
            && let Err(failed) = self.out.write_all(&self.lines).and_then(|()| self.out.flush())
        {
            self.stop.store(true, Ordering::Release);
            self.error = Some(failed);
        }
        self.lines.clear();
    }
}
