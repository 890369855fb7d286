//! `wsscan follow`: the messages of one connection, in order.
//!
//! Ids are given to what belongs in a report, which only the whole capture can tell. So it is read twice: first to find
//! the connection, then to show it, and the second time everything else is passed over.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};

use super::config::Follow;
use super::feed::{Files, Watch};
use super::progress::Progress;
use super::{Exit, Failure, run};
use crate::connection::{ConnectionRecord, Ends, Entry, EntryEvent, Interest, Keys};
use crate::engine::{Event, Finished, Judgement, Numbering, Observer, Options, Over, Recorder, Wanted, WantedFactory};
use crate::output::convert::{self, Subject};
use crate::output::judged::subjects;
use crate::output::lines::{address, time_of_day};
use crate::output::model::Time;
use crate::output::ndjson::{self, Content, MESSAGE_HEAD_LEN, MessageLine};
use crate::output::redact::Redactor;
use crate::output::stream::{Said, said};
use crate::output::terminal::escape;
use crate::packet::{Decoded, decode};
use crate::stream::Side;
use crate::tcp::FlowKey;
use crate::websocket::{CloseFacts, Frame, Message, MessageKind, opcode};

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const CLIENT: Style = AnsiColor::Cyan.on_default();
const SERVER: Style = AnsiColor::Green.on_default();

/// Shows the messages of one connection.
///
/// # Errors
/// When the input cannot be read twice, there is no such connection, or the output cannot be written.
pub(super) fn follow(follow: &Follow) -> Result<Exit, Failure> {
    for path in &follow.files {
        let stdin = path.as_os_str() == "-";
        let pipe = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        if stdin || pipe {
            let what = if stdin { "standard input".to_owned() } else { run::shown(path) };
            return Err(Failure::usage(format!(
                "follow reads the capture twice, and {what} can be read only once; save it to a file first"
            )));
        }
    }
    let keys = run::keys(&follow.keylogs)?;
    let filter = run::filter(&follow.filter)?;
    let chosen = filter.is_some();
    let filtered = filter.as_ref().map(run::wanted);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let stop = Arc::new(AtomicBool::new(false));
    let open = || Files::open(&follow.files, None, Watch { stop: Arc::clone(&stop), progress: Progress::new(false) });

    let files = open()?;
    let options = Options { threads, wanted: filtered.as_deref(), keys: Keys::clone(&keys) };
    let (found, _) = files.run(&options, &Recorder);
    let judgement = Judgement::of(&found.connections, chosen, threads);
    let subject = pick(&subjects(&judgement, &found.connections), follow.connection)?;

    let out = run::output(io::stdout(), follow.color);
    let shown = Shown {
        id: follow.connection,
        follow,
        subject,
        redactor: run::redactor(follow.show_secrets, files.key()),
        out: Mutex::new((out, None)),
        stop: Arc::clone(&stop),
    };
    if !follow.ndjson {
        shown.write(shown.heading().as_bytes());
    }
    if shown.entry().is_some_and(|entry| entry.websocket.is_some()) {
        let tcp = &subject.record.tcp;
        let only = only(FlowKey::between(tcp.client, tcp.server), filter.as_ref().map(run::wanted));
        let options = Options { threads, wanted: Some(&*only), keys };
        open()?.run(&options, &shown);
    } else if !follow.ndjson {
        let outcome = convert::outcome(subject.verdict.outcome).name();
        shown.write(format!("No messages: this never became a WebSocket ({outcome}).\n").as_bytes());
    }
    let (mut out, error) = shown.out.into_inner().unwrap_or_else(PoisonError::into_inner);
    error.map_or_else(|| out.flush(), Err).map_err(Failure::output)?;
    Ok(Exit::Done)
}

fn pick<'a>(subjects: &[Subject<'a>], id: u64) -> Result<Subject<'a>, Failure> {
    let subject = usize::try_from(id).ok().and_then(|id| subjects.get(id - 1));
    subject.copied().ok_or_else(|| {
        Failure::usage(match subjects.len() {
            0 => format!("there is no connection {id}: no WebSocket was found in this capture"),
            1 => format!("there is no connection {id}: this capture has only connection 1"),
            n => format!("there is no connection {id}: this capture has connections 1 to {n}"),
        })
    })
}

/// Wants the packets of one flow, and those that do not tell whose they are.
fn only(flow: FlowKey, filtered: Option<Box<WantedFactory>>) -> Box<WantedFactory> {
    Box::new(move || {
        let mut filtered: Option<Box<Wanted>> = filtered.as_ref().map(|make| make());
        Box::new(move |packet| {
            let ours = match decode(*packet) {
                Decoded::Segment(segment) => FlowKey::of(&segment) == flow,
                _ => true,
            };
            ours && filtered.as_mut().is_none_or(|wanted| wanted(packet))
        })
    })
}

/// Shows one connection, or one WebSocket of it.
struct Shown<'f, W> {
    id: u64,
    follow: &'f Follow,
    subject: Subject<'f>,
    redactor: Redactor,
    out: Mutex<(W, Option<io::Error>)>,
    stop: Arc<AtomicBool>,
}

impl<W: Write> Shown<'_, W> {
    fn record(&self) -> &ConnectionRecord {
        self.subject.record
    }

    fn entry(&self) -> Option<&Entry> {
        self.record().entries.get(self.subject.entry?)
    }

    fn write(&self, text: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, error) = &mut *out;
        if error.is_none()
            && let Err(failed) = out.write_all(text)
        {
            *error = Some(failed);
            self.stop.store(true, Ordering::Release);
        }
    }

    fn heading(&self) -> String {
        let tcp = &self.record().tcp;
        let (client, server) = (convert::endpoint(tcp.client), convert::endpoint(tcp.server));
        let start = Time(tcp.first.at).to_string();
        let request = self
            .entry()
            .and_then(|entry| entry.handshake.as_ref()?.request.as_ref())
            .map(|request| format!("  {} {}", request.method(), self.redactor.target(request.target())))
            .unwrap_or_default();
        format!(
            "{BOLD}connection {}{BOLD:#}  {} → {}{}  {DIM}{} UTC, tcp.stream {}{DIM:#}\n",
            self.id,
            address(&client),
            address(&server),
            escape(&request),
            start.get(..10).unwrap_or_default(),
            self.subject.tcp_stream,
        )
    }

    fn begin(&self, out: &mut String, at: i64, from: Side, kind: &str) {
        let (style, arrow) = match from {
            Side::Client => (CLIENT, '→'),
            Side::Server => (SERVER, '←'),
        };
        let time = time_of_day(Time(at));
        let _ = write!(out, "{DIM}{time}{DIM:#}  {style}{arrow} {kind:<8}{style:#}");
    }

    fn control(&self, frame: &Frame) -> Option<String> {
        if frame.opcode < opcode::CLOSE {
            return None;
        }
        let from = frame.direction.sender();
        let mut line = String::new();
        self.begin(&mut line, frame.last.at, from, ndjson::opcode_name(frame.opcode));
        if frame.opcode == opcode::CLOSE {
            let code = frame.close_code.map_or_else(|| "without a status".to_owned(), |code| code.to_string());
            let _ = write!(line, "  {code}");
            if let Some(close) = self.close(frame).filter(|close| !close.reason.is_empty()) {
                let _ = write!(line, "  {}", escape(&self.redactor.text(&close.reason)));
            }
        } else {
            let _ = write!(line, " {:>9}", bytes(frame.length));
        }
        line.push('\n');
        Some(line)
    }

    /// What is known of the first Close of this side, if this is it.
    fn close(&self, frame: &Frame) -> Option<&CloseFacts> {
        let facts = self.entry()?.websocket.as_ref()?;
        facts[frame.direction].close.as_deref().filter(|close| close.stamp == frame.last)
    }

    fn message(&self, message: &Message<'_>) -> String {
        let mut line = String::new();
        self.begin(&mut line, message.last.at, message.direction.sender(), message.kind.name());
        match message.length {
            Some(length) => {
                let _ = write!(line, " {:>9}", bytes(length));
            }
            None => line.push_str("   unknown"),
        }
        if message.compressed {
            let _ = write!(line, ", {} compressed", message.wire_length);
        }
        if message.fragments > 1 {
            let _ = write!(line, ", {} frames", message.fragments);
        }
        if !message.complete {
            line.push_str(", incomplete");
        }
        let said = if self.follow.show_payload { said(message, &self.redactor) } else { None };
        match &said {
            Some(Said::Text(text)) => {
                let _ = write!(line, "  {}", escape(text));
            }
            Some(Said::Base64(text)) => {
                let _ = write!(line, "  base64:{}", escape(text));
            }
            None => {}
        }
        if said.is_some() && message.truncated {
            line.push_str(" …");
        }
        line.push('\n');
        line
    }

    fn json(&self, out: &mut Vec<u8>, message: &Message<'_>) {
        let said = if self.follow.show_payload { said(message, &self.redactor) } else { None };
        let tcp = &self.record().tcp;
        let community = convert::community(Ends { client: tcp.client, server: tcp.server });
        let mut line = Vec::new();
        ndjson::message_line(
            &mut line,
            &MessageLine {
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
                truncated: said.is_some() && message.truncated,
            },
        );
        out.extend_from_slice(&line[..MESSAGE_HEAD_LEN]);
        ndjson::binding(out, self.id, &community, u64::from(self.subject.tcp_stream));
        out.extend_from_slice(&line[MESSAGE_HEAD_LEN..]);
    }
}

impl<W: Write + Send> Observer for Shown<'_, W> {
    type Journal = Vec<u8>;
    type Kept = ();

    fn interest(&self) -> Interest {
        Interest {
            frames: !self.follow.ndjson,
            messages: true,
            payload_limit: if self.follow.show_payload { Interest::PAYLOAD_LIMIT } else { 0 },
        }
    }

    fn note(&self, journal: &mut Vec<u8>, event: &Event<'_>) {
        let Event::Entry { first, entry, event, .. } = event else { return };
        // What is passed over may be counted otherwise, but a packet begins one connection at most.
        if first.packet != self.record().tcp.first.packet || Some(*entry as usize) != self.subject.entry {
            return;
        }
        match event {
            EntryEvent::Frame(frame) => journal.extend(self.control(frame).unwrap_or_default().bytes()),
            EntryEvent::Message(message) if self.follow.ndjson => self.json(journal, message),
            EntryEvent::Message(message) => journal.extend(self.message(message).bytes()),
            EntryEvent::Opened(_) | EntryEvent::Handshake(_) => {}
        }
    }

    fn keep(&self, _: &mut Vec<u8>, over: &mut Vec<Over>, _: &mut Vec<Finished<()>>) {
        over.clear();
    }

    fn merge(&self, journals: &mut [Vec<u8>], _: &Numbering) {
        journals.iter().filter(|journal| !journal.is_empty()).for_each(|journal| self.write(journal));
    }
}

fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}
