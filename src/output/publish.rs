//! Writes a finished analysis in the form that was asked for. The one road from the model to the outside:
//! every piece passes the redactor here.

use std::io::{self, Write};
use std::ops::Range;

use super::json::{JsonWriter, Layout, compact_list};
use super::model::{Capture, Connection, Document, Finding, Relation, Summary};
use super::ndjson::{Event, FRAME_HEAD_LEN, write_event};
use super::redact::Redactor;
use super::report::{Options, Report};
use crate::engine::parallel::in_order;

/// Objects that one worker writes at a time.
const AT_ONCE: usize = 128;

/// A finished analysis. Pieces are made when they are asked for, so that not all of them need to be in memory.
pub trait Source: Sync {
    /// What was read.
    fn capture(&self) -> Capture;
    /// The whole in numbers.
    fn summary(&self) -> Summary;
    /// How many connections there are.
    fn connections(&self) -> usize;
    /// One of them, counted from 0 in order of id.
    fn connection(&self, index: usize) -> Connection;
    /// How they belong together.
    fn relations(&self) -> Box<dyn Iterator<Item = Relation> + '_>;
    /// How many findings there are.
    fn findings(&self) -> usize;
    /// One of them.
    fn finding(&self, index: usize) -> Finding;
}

impl Source for Document {
    fn capture(&self) -> Capture {
        self.capture.clone()
    }
    fn summary(&self) -> Summary {
        self.summary.clone()
    }
    fn connections(&self) -> usize {
        self.connections.len()
    }
    fn connection(&self, index: usize) -> Connection {
        self.connections[index].clone()
    }
    fn relations(&self) -> Box<dyn Iterator<Item = Relation> + '_> {
        Box::new(self.relations.iter().cloned())
    }
    fn findings(&self) -> usize {
        self.findings.len()
    }
    fn finding(&self, index: usize) -> Finding {
        self.findings[index].clone()
    }
}

/// The forms of a finished analysis.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// For people. Colours are always written: `out` takes them out where they are not wanted.
    Report(Options),
    /// One JSON document.
    Json(Layout),
}

/// Writes the whole analysis. A compact document is made on `threads` threads; the bytes are the same for any
/// number of them.
///
/// # Errors
/// When `out` fails.
pub fn publish(
    source: &dyn Source,
    redactor: &Redactor,
    form: Form,
    threads: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let connection = |index: usize| {
        let mut connection = source.connection(index);
        redactor.connection(&mut connection);
        connection
    };
    let finding = |index: usize| {
        let mut finding = source.finding(index);
        redactor.finding(&mut finding);
        finding
    };
    let relations = || {
        source.relations().map(|mut relation| {
            redactor.relation(&mut relation);
            relation
        })
    };
    match form {
        Form::Json(layout) => {
            let mut writer = JsonWriter::begin(out, layout, &source.capture(), &source.summary())?;
            if layout == Layout::Compact {
                let make = |range: Range<usize>, out: &mut Vec<u8>| compact_list(out, range.map(connection));
                in_order(threads, source.connections(), AT_ONCE, make, |list| writer.compact_connections(list))?;
            } else {
                (0..source.connections()).try_for_each(|index| writer.connection(&connection(index)))?;
            }
            for relation in relations() {
                writer.relation(&relation)?;
            }
            if layout == Layout::Compact {
                let make = |range: Range<usize>, out: &mut Vec<u8>| compact_list(out, range.map(finding));
                in_order(threads, source.findings(), AT_ONCE, make, |list| writer.compact_findings(list))?;
            } else {
                (0..source.findings()).try_for_each(|index| writer.finding(&finding(index)))?;
            }
            writer.end().map(drop)
        }
        Form::Report(options) => {
            let mut report = Report::new(options);
            (0..source.findings()).for_each(|index| report.finding(&finding(index)));
            (0..source.connections()).for_each(|index| report.connection(&connection(index)));
            relations().for_each(|relation| report.relation(&relation));
            report.write(out, &source.capture(), &source.summary())?;
            out.flush()
        }
    }
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

impl Events {
    /// Whether this event is written. `capture.end` always is.
    #[must_use]
    pub const fn has(self, event: &Event) -> bool {
        match event {
            Event::ConnectionOpened(_) | Event::ConnectionClosed(_) => self.connection,
            Event::Handshake(_) => self.handshake,
            Event::Message(_) => self.message,
            Event::Frame(_) => self.frame,
            Event::Finding(_) => self.finding,
            Event::Stats(_) => self.stats,
            Event::CaptureEnd(_) => true,
        }
    }
}

/// Writes events as they happen, redacted.
#[derive(Debug)]
pub struct EventWriter<W> {
    out: W,
    events: Events,
    redactor: Redactor,
}

impl<W: Write> EventWriter<W> {
    /// Writes the chosen events to `out`, which should be buffered.
    pub const fn new(out: W, events: Events, redactor: Redactor) -> Self {
        Self { out, events, redactor }
    }

    /// The chosen events.
    pub const fn events(&self) -> Events {
        self.events
    }

    /// Writes an event if it was chosen.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn event(&mut self, mut event: Event) -> io::Result<()> {
        if !self.events.has(&event) {
            return Ok(());
        }
        self.redactor.event(&mut event);
        write_event(&mut self.out, &event)
    }

    /// Writes a line made by [`super::ndjson::frame_line`], line end included, with its connection made by
    /// [`super::ndjson::binding`]. It holds nothing to redact.
    ///
    /// # Errors
    /// When `out` fails, or the line is no frame line.
    pub fn frame(&mut self, line: &[u8], binding: &[u8]) -> io::Result<()> {
        self.line(line, FRAME_HEAD_LEN, binding)
    }

    /// Writes a line made in advance, redacted and with its line end, and puts `binding` in after `head` bytes.
    ///
    /// # Errors
    /// When `out` fails, or the line is shorter than its head.
    #[inline]
    pub fn line(&mut self, line: &[u8], head: usize, binding: &[u8]) -> io::Result<()> {
        let (head, tail) = line.split_at_checked(head).ok_or(io::ErrorKind::InvalidInput)?;
        self.out.write_all(head)?;
        self.out.write_all(binding)?;
        self.out.write_all(tail)
    }

    /// Where the lines go.
    pub const fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Flushes `out`: after each batch of a live capture, and at the end.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, ndjson, report, sample};
    use super::*;

    #[test]
    fn every_form_is_redacted() {
        let mut document = sample::document();
        let redactor = Redactor::new([3; 32]);
        let forms = [
            Form::Json(Layout::Compact),
            Form::Json(Layout::Pretty),
            Form::Report(Options { detail: report::Detail::Verbose, width: 80 }),
        ];
        let written: Vec<String> = forms
            .iter()
            .map(|form| {
                let mut out = Vec::new();
                publish(&document, &redactor, *form, 2, &mut out).unwrap();
                String::from_utf8(out).unwrap()
            })
            .collect();
        for text in &written {
            assert!(!text.contains("r0cketsk8ts") && text.contains("<redacted:"), "{text}");
        }
        redactor.document(&mut document);
        let mut whole = Vec::new();
        json::write_document(&mut whole, Layout::Compact, &document).unwrap();
        assert_eq!(written[0].as_bytes(), whole);
    }

    #[test]
    fn chosen_events_are_written_redacted() {
        let none =
            Events { connection: false, handshake: false, message: false, frame: false, finding: false, stats: false };
        let all = Events { connection: true, handshake: true, message: true, frame: true, finding: true, stats: true };
        let written = |events| {
            let mut writer = EventWriter::new(Vec::new(), events, Redactor::new([3; 32]));
            for event in ndjson::tests::every_event() {
                writer.event(event).unwrap();
            }
            writer.flush().unwrap();
            String::from_utf8(writer.out).unwrap()
        };
        assert!(written(none).starts_with("{\"event\":\"capture.end\"") && written(none).lines().count() == 1);
        assert_eq!(written(all).lines().count(), ndjson::tests::every_event().len());
        assert!(!written(all).contains("r0cketsk8ts"));
        let one = written(Events { handshake: true, ..none });
        assert!(one.starts_with("{\"event\":\"handshake\"") && one.lines().count() == 2, "{one}");
    }

    #[test]
    fn frame_lines_are_joined() {
        let Some(Event::Frame(frame)) = ndjson::tests::every_event().into_iter().find(|e| matches!(e, Event::Frame(_)))
        else {
            panic!("there is a frame among the events")
        };
        let mut line = Vec::new();
        let hand = ndjson::FrameLine {
            time: frame.time,
            packet: frame.packet,
            from: frame.from,
            fin: frame.fin,
            rsv: frame.rsv,
            opcode: frame.opcode,
            masked: frame.masked,
            length: frame.length,
            close_code: frame.close_code,
        };
        ndjson::frame_line(&mut line, &hand);
        let mut binding = Vec::new();
        let to = &frame.binding;
        ndjson::binding(&mut binding, to.connection, &to.community_id, to.tcp_stream);
        let events =
            Events { connection: false, handshake: false, message: false, frame: true, finding: false, stats: false };
        let mut by_hand = EventWriter::new(Vec::new(), events, Redactor::off());
        by_hand.frame(&line, &binding).unwrap();
        assert!(by_hand.frame(b"short", &binding).is_err());
        let mut by_serde = EventWriter::new(Vec::new(), events, Redactor::off());
        by_serde.event(Event::Frame(frame)).unwrap();
        assert_eq!(by_hand.out, by_serde.out);
    }

    #[test]
    fn secrets_are_shown_on_request() {
        let mut out = Vec::new();
        publish(&sample::document(), &Redactor::off(), Form::Json(Layout::Compact), 2, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("rocketskates:r0cketsk8ts"));
    }
}
