//! `wsscan follow`: the messages of one connection, in order.
//!
//! Ids are those of the report, which depend on the whole capture. So it is read twice: first to find the connection,
//! then to show it; the second time all other packets are skipped.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};

use super::config::Follow;
use super::feed::{Files, Watch};
use super::progress::Progress;
use super::setup::{self, FilterProblems, output, shown};
use super::{Exit, Failure};
use crate::connection::{EntryEvent, Interest, Keys};
use crate::engine::{Event, Finished, Judgement, Numbering, Observer, Options, Over, Wanted, WantedFactory};
use crate::output::events::ndjson::{self, Content, MessageLine};
use crate::output::events::text::{address, time_of_day};
use crate::output::model::{self, CloseFrame, Time, Upgrade};
use crate::output::numbering::Listing;
use crate::output::redact::Redactor;
use crate::output::render;
use crate::output::store::Store;
use crate::output::style::{BOLD, DIM};
use crate::output::terminal::escape;
use crate::packet::{Decoded, Endpoint, decode};
use crate::stream::Side;
use crate::sync::lock;
use crate::tcp::FlowKey;
use crate::websocket::{Frame, Message, opcode};

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
            let what = if stdin { "standard input".to_owned() } else { shown(path) };
            return Err(Failure::usage(format!(
                "follow reads the capture twice, and {what} can be read only once; save it to a file first"
            )));
        }
    }
    let keys = setup::keys(&follow.keylogs)?;
    let filter = setup::filter(&follow.filter)?;
    let problems = FilterProblems::default();
    let filters = filter.as_ref().map(|filter| problems.factory(filter));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let stop = Arc::new(AtomicBool::new(false));
    let open = || Files::open(&follow.files, None, Watch { stop: Arc::clone(&stop), progress: Progress::new(false) });

    let files = open()?;
    let redactor = setup::redactor(follow.show_secrets, files.key());
    let options = Options { threads, wanted: filters.as_deref(), keys: Keys::clone(&keys) };
    let found = find(follow.connection, files, &options, &redactor);
    problems.warn();
    let (connection, entry) = found?;
    let messages = Messages {
        follow,
        connection: &connection,
        entry,
        redactor,
        out: Mutex::new((output(io::stdout(), follow.color), None)),
        stop: Arc::clone(&stop),
    };
    if !follow.ndjson {
        messages.write(messages.heading().as_bytes());
    }
    if became_websocket(&connection) {
        let flow = |end: &model::Endpoint| Endpoint { ip: end.ip, port: end.port };
        let flow = FlowKey::between(flow(&connection.client), flow(&connection.server));
        let only = only(flow, filter.as_ref().map(|filter| FilterProblems::default().factory(filter)));
        let options = Options { threads, wanted: Some(&*only), keys };
        open()?.run(&options, &messages);
    } else if !follow.ndjson {
        let outcome = connection.outcome.name();
        messages.write(format!("No messages: this never became a WebSocket ({outcome}).\n").as_bytes());
    }
    let (mut out, error) = messages.out.into_inner().unwrap_or_else(PoisonError::into_inner);
    error.map_or_else(|| out.flush(), Err).map_err(Failure::output)?;
    Ok(Exit::Done)
}

/// Finds a connection by its id, and its index among the entries of its TCP connection.
fn find(
    id: u64,
    files: Files,
    options: &Options<'_>,
    redactor: &Redactor,
) -> Result<(model::Connection<'static>, u32), Failure> {
    let store = Store::new(redactor.clone());
    let (found, _) = files.run(options, &store);
    let judgement = Judgement::of(&found.connections, options.wanted.is_some(), options.threads);
    let texts = store.into_texts(&judgement, &found.connections);
    let listing = Listing::new(&judgement, &|_, _| true, options.threads);
    let analysis = render::Analysis::new(model::Capture::default(), listing, &texts, redactor);
    let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
    let connection = index.and_then(|index| Some((analysis.connection(index)?, judgement.subject(index).index)));
    connection.ok_or_else(|| {
        Failure::usage(match analysis.connections() {
            0 => format!("there is no connection {id}: no WebSocket was found in this capture"),
            1 => format!("there is no connection {id}: this capture has only connection 1"),
            n => format!("there is no connection {id}: this capture has connections 1 to {n}"),
        })
    })
}

/// Whether there may be messages.
fn became_websocket(connection: &model::Connection<'_>) -> bool {
    connection.websocket.as_ref().is_some_and(|websocket| {
        matches!(websocket.upgrade, Upgrade::Accepted | Upgrade::MidStream)
            || websocket.client.frames + websocket.server.frames > 0
    })
}

/// Filter for the packets of one flow, and for those whose flow is not known yet (fragments).
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

/// Shows the messages of one connection, or of one WebSocket of it.
struct Messages<'f, W> {
    follow: &'f Follow,
    connection: &'f model::Connection<'static>,
    /// Index among the entries of the TCP connection.
    entry: u32,
    redactor: Redactor,
    out: Mutex<(W, Option<io::Error>)>,
    stop: Arc<AtomicBool>,
}

impl<W: Write> Messages<'_, W> {
    fn write(&self, text: &[u8]) {
        let mut out = lock(&self.out);
        let (out, error) = &mut *out;
        if error.is_none()
            && let Err(failed) = out.write_all(text)
        {
            *error = Some(failed);
            self.stop.store(true, Ordering::Release);
        }
    }

    fn heading(&self) -> String {
        let connection = self.connection;
        let start = connection.start.to_string();
        let request = match &connection.http {
            Some(model::Http { method: Some(method), target: Some(target), .. }) => format!("  {method} {target}"),
            _ => String::new(),
        };
        format!(
            "{BOLD}connection {}{BOLD:#}  {} → {}{}  {DIM}{} UTC, tcp.stream {}{DIM:#}\n",
            connection.id,
            address(&connection.client),
            address(&connection.server),
            escape(&request),
            start.get(..10).unwrap_or_default(),
            connection.tcp_stream,
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
                let _ = write!(line, "  {}", escape(&close.reason));
            }
        } else {
            let _ = write!(line, " {:>9}", bytes(frame.length));
        }
        line.push('\n');
        Some(line)
    }

    /// The first Close of this side, if this is it.
    fn close(&self, frame: &Frame) -> Option<&CloseFrame<'static>> {
        let close = self.connection.websocket.as_ref()?.close.as_ref()?;
        let close = match frame.direction.sender() {
            Side::Client => close.client.as_ref(),
            Side::Server => close.server.as_ref(),
        };
        close.filter(|close| close.packet == frame.last.packet)
    }

    /// Payload of a message, if it is to be shown.
    fn content(&self, message: &Message<'_>) -> Option<Content> {
        if self.follow.show_payload { ndjson::content(message, &self.redactor) } else { None }
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
        let content = self.content(message);
        match &content {
            Some(Content::Text(text)) => {
                let _ = write!(line, "  {}", escape(text));
            }
            Some(Content::Base64(text)) => {
                let _ = write!(line, "  base64:{}", escape(text));
            }
            None => {}
        }
        if content.is_some() && message.truncated {
            line.push_str(" …");
        }
        line.push('\n');
        line
    }

    fn json(&self, out: &mut Vec<u8>, message: &Message<'_>) {
        let content = self.content(message);
        let truncated = content.is_some() && message.truncated;
        let mut line = Vec::new();
        ndjson::message_line(&mut line, &MessageLine::of(message, content.as_ref(), truncated));
        let connection = self.connection;
        ndjson::append_bound(out, &line, connection.id, &connection.community_id, connection.tcp_stream);
    }
}

impl<W: Write + Send> Observer for Messages<'_, W> {
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
        // Numbers of connections change when other flows are left out, but a packet begins one connection at most.
        if first.packet != self.connection.first_packet || *entry != self.entry {
            return;
        }
        match event {
            EntryEvent::Frame(frame) => journal.extend(self.control(frame).unwrap_or_default().bytes()),
            EntryEvent::Message(message) if self.follow.ndjson => self.json(journal, message),
            EntryEvent::Message(message) => journal.extend(self.message(message).bytes()),
            EntryEvent::Opened(_) | EntryEvent::Handshake(_) => {}
        }
    }

    fn keep(&self, _: &mut Vec<u8>, _: &[Over], _: &mut Vec<Finished<()>>) {}

    fn merge(&self, journals: &mut [Vec<u8>], _: &Numbering) {
        journals.iter().filter(|journal| !journal.is_empty()).for_each(|journal| self.write(journal));
    }
}

fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}
