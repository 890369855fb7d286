//! Live capture: events are written as they happen, and a summary or a report at the end.
//!
//! An interrupt (Ctrl-C, SIGTERM), `-c` or `--duration` ends the capture in good order: what has arrived is still
//! analysed, and the report, the document or `capture.end` is written. A second interrupt ends at once.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::args::FormatName;
use super::config::{Analysis, Format, Live as Wanted};
use super::keylog::KeylogFiles;
use super::setup::{self, exit, output, redactor, summary_of, wanted_findings};
use super::{Exit, Failure, analyse};
use crate::capture::{ARENA_SIZE, Error, Live, LiveOptions, StopHandle};
use crate::connection::{Interest, Keys};
use crate::engine::{self, Event, Feed, Finished, Numbering, Observer, Options, Over, Walked};
use crate::output::events::writer::{Events, Form, LineEncoder, LineWriter};
use crate::output::events::{self, Consumer, Encoder, EventStream, Journal, Progress};
use crate::output::model::{Millis, Time};
use crate::output::numbering::Listing;
use crate::output::render;
use crate::output::report::Detail;
use crate::output::terminal::escape;
use crate::packet::Batch;
use crate::sync::lock;

/// Most closed connections kept for the report and for correlation. Older ones were reported when they closed; they are
/// only counted.
const REMEMBERED: usize = 8192;

/// Time between two `stats` events.
const STATS: Duration = Duration::from_secs(1);

/// Captures until it is stopped.
///
/// # Errors
/// When the interface cannot be opened or is lost, or the output cannot be written.
pub(super) fn capture(analysis: &Analysis, live: &Wanted) -> Result<Exit, Failure> {
    // A file that was named must be readable; its secrets come with the first packets.
    setup::keys(&analysis.keylogs)?;
    let keys = Keys::new();
    let stop = Arc::new(AtomicBool::new(false));
    let capture = open(analysis, live)?;
    report_readers(analysis, &capture);
    let feed = LiveFeed::new(capture, KeylogFiles::new(&analysis.keylogs), live.duration, Arc::clone(&stop));
    listen_for_signals(&stop)?;
    announce(live);

    let redactor = redactor(analysis.show_secrets, random_key()?);
    let (form, written) = events_of(analysis);
    let wanted = wanted_findings(analysis);
    let options = events::Options {
        handshakes: written.handshake,
        chosen: !analysis.filter.is_empty(),
        wanted: &wanted,
        redactor: redactor.clone(),
        patient: false,
        report_follows: form != Form::Ndjson,
        remembered: REMEMBERED,
    };
    let encoder = LineEncoder::new(form, written, analysis.show_payload, redactor.clone());
    let writer = LineWriter::new(output(io::stdout(), analysis.color), form, written, stop);
    let observer = WithStatistics {
        stream: EventStream::new(options, encoder, writer),
        feed: &feed,
        next_stats: written.stats.then(|| Mutex::new(Instant::now() + STATS)),
    };
    // The kernel applies the filter.
    let options = Options { threads: analysis.threads.get(), wanted: None, keys };
    let found = engine::run(&feed, &options, &observer);
    let (writer, ended) = observer.stream.end();
    let dropped = feed.dropped();
    let failure = feed.into_failure();
    let summary = summary_of(&found.totals, &[], dropped, ended.left_out);
    writer.end(summary.clone(), ended.summary.clone()).map_err(Failure::output)?;
    let exit = match form {
        Form::Ndjson => exit(analysis, &ended.summary),
        Form::Text | Form::Silent => {
            if ended.forgotten > 0 {
                let n = ended.forgotten;
                let _ = writeln!(
                    io::stderr(),
                    "wsscan: the {REMEMBERED} connections that closed last are reported; {n} that closed earlier \
                     are not (--ndjson tells all as they close)"
                );
            }
            let (judgement, ids) = ended.judgement();
            let listing = Listing::new(&judgement, &wanted, analysis.threads.get());
            // If no event was written, ids are assigned as for a file.
            let listing = if form == Form::Text { listing.numbered(ids, 0) } else { listing };
            let texts = ended.texts();
            if form == Form::Text {
                let _ = writeln!(io::stdout());
            }
            analyse::write(analysis, &render::Analysis::new(summary, listing, &texts, &redactor))?
        }
    };
    match failure {
        Some(error) => Err(Failure::run(error.to_string())),
        None => Ok(exit),
    }
}

fn open(analysis: &Analysis, live: &Wanted) -> Result<Live, Failure> {
    let mut options = LiveOptions::new(&live.interface);
    if live.snapshot_length > 0 {
        options.snaplen = live.snapshot_length;
    }
    if let Some(kib) = live.buffer_kib {
        options.buffer_kib = kib;
    }
    options.promiscuous = live.promiscuous;
    options.filter = (!analysis.filter.is_empty()).then(|| analysis.filter.clone());
    options.count = analysis.count;
    options.readers = analysis.threads.get();
    let capture = Live::open(options).map_err(|error| Failure::run(format!("-i: {error}")))?;
    if let Some(user) = &live.user {
        become_user(user)?;
    }
    Ok(capture)
}

#[cfg(unix)]
fn become_user(user: &str) -> Result<(), Failure> {
    crate::capture::drop_privileges(user).map_err(|error| Failure::run(format!("-Z: {error}")))
}

#[cfg(not(unix))]
fn become_user(_: &str) -> Result<(), Failure> {
    Err(Failure::usage("-Z: there are no such users on this system; leave it out"))
}

/// Which events are written while they happen, and how.
fn events_of(analysis: &Analysis) -> (Form, Events) {
    let text = Events { connection: true, handshake: true, message: false, frame: false, finding: true, stats: false };
    match analysis.format {
        Format::Ndjson(events) => (Form::Ndjson, events),
        Format::Finished(FormatName::Report, Detail::Normal | Detail::Verbose) => (Form::Text, text),
        Format::Finished(..) => {
            let none = Events { connection: false, handshake: false, finding: false, ..text };
            (Form::Silent, none)
        }
    }
}

/// The first interrupt ends the capture, the second the program.
fn listen_for_signals(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop))
            .and_then(|_| flag::register(signal, Arc::clone(stop)))
            .map_err(|error| Failure::run(format!("cannot listen for signals: {error}")))?;
    }
    Ok(())
}

/// With `-v`, reports how many readers are in use.
fn report_readers(analysis: &Analysis, capture: &Live) {
    if analysis.format.report() != Some(Detail::Verbose) {
        return;
    }
    let _ = match (capture.readers(), capture.single_reader_reason()) {
        (1, None) => Ok(()),
        (1, Some(why)) => writeln!(io::stderr(), "wsscan: one reader: {}", escape(why)),
        (n, _) => writeln!(io::stderr(), "wsscan: {n} readers on {}", escape(capture.interface())),
    };
}

fn announce(live: &Wanted) {
    if io::stderr().is_terminal() {
        let interface = escape(&live.interface);
        let _ = writeln!(io::stderr(), "wsscan: listening on {interface}; Ctrl-C ends the capture");
    }
}

/// Key for the marks of redacted secrets: random, because a live capture cannot be repeated.
fn random_key() -> Result<[u8; 32], Failure> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut key = [0; 32];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| Failure::run("the system gives no random numbers, which hide secrets; try again"))?;
    Ok(key)
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Feed of the engine from an interface.
struct LiveFeed {
    state: Mutex<LiveState>,
    halt: StopHandle,
    stop: Arc<AtomicBool>,
    started: Instant,
    until: Option<Instant>,
    packets: AtomicU64,
    bytes: AtomicU64,
    /// [`UNKNOWN`] where drops are not counted.
    dropped: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

struct LiveState {
    capture: Live,
    keylogs: KeylogFiles,
    counted: Instant,
    /// The last batch was not full, so no older packet is waiting.
    caught_up: bool,
    failure: Option<Error>,
}

impl LiveState {
    /// Packets dropped by the kernel or the interface.
    fn dropped(&mut self) -> Option<u64> {
        self.capture.statistics().ok().map(|counts| counts.dropped + counts.if_dropped)
    }
}

impl LiveFeed {
    fn new(capture: Live, keylogs: KeylogFiles, duration: Option<Duration>, stop: Arc<AtomicBool>) -> Self {
        let started = Instant::now();
        let halt = capture.stop_handle();
        let mut state = LiveState { capture, keylogs, counted: started, caught_up: true, failure: None };
        let dropped = AtomicU64::new(state.dropped().unwrap_or(UNKNOWN));
        let until = duration.and_then(|duration| started.checked_add(duration));
        Self {
            state: Mutex::new(state),
            halt,
            stop,
            started,
            until,
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped,
        }
    }

    fn into_failure(self) -> Option<Error> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).failure
    }

    fn dropped(&self) -> Option<u64> {
        Some(self.dropped.load(Ordering::Relaxed)).filter(|dropped| *dropped != UNKNOWN)
    }

    /// Never waits for packets.
    fn progress(&self) -> Progress {
        let uptime = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Progress {
            time: Time(wall_clock()),
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            packets_dropped: self.dropped(),
            uptime: Millis::from_nanos(uptime),
        }
    }
}

impl Feed for LiveFeed {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, _: u64, _: &mut Batch) -> bool {
        true
    }

    fn walk(&self, _: u64, batch: &mut Batch) -> Walked {
        let mut state = lock(&self.state);
        if self.stop.load(Ordering::Acquire) || self.until.is_some_and(|until| Instant::now() >= until) {
            self.halt.stop();
        }
        let more = match state.capture.next_batch(batch) {
            Ok(more) => more,
            Err(error) => {
                state.failure = Some(error);
                false
            }
        };
        state.caught_up = batch.arena.len() < ARENA_SIZE;
        let bytes = batch.packets.iter().map(|packet| u64::from(packet.original)).sum();
        self.packets.fetch_add(batch.packets.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if !more || state.counted.elapsed() >= STATS {
            state.counted = Instant::now();
            self.dropped.store(state.dropped().unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
        // Reads new secrets before the packets of this batch are decrypted.
        Walked { more, secrets: state.keylogs.new_lines() }
    }

    fn now(&self) -> Option<i64> {
        let state = lock(&self.state);
        if state.caught_up { state.capture.watermark() } else { None }
    }
}

/// An event stream that also writes statistics of the capture every second.
struct WithStatistics<'t, 'o, E, C> {
    stream: EventStream<'o, E, C>,
    feed: &'t LiveFeed,
    next_stats: Option<Mutex<Instant>>,
}

impl<E: Encoder, C: Consumer> Observer for WithStatistics<'_, '_, E, C> {
    type Journal = Journal;
    type Kept = ();

    fn interest(&self) -> Interest {
        self.stream.interest()
    }

    fn note(&self, journal: &mut Journal, event: &Event<'_>) {
        self.stream.note(journal, event);
    }

    fn keep(&self, journal: &mut Journal, over: &[Over], finished: &mut Vec<Finished<()>>) {
        self.stream.keep(journal, over, finished);
    }

    fn merge(&self, journals: &mut [Journal], numbering: &Numbering) {
        self.stream.merge(journals, numbering);
        let Some(next) = &self.next_stats else { return };
        let mut next = lock(next);
        let now = Instant::now();
        if now >= *next {
            *next = (*next + STATS).max(now);
            drop(next);
            self.stream.stats(&self.feed.progress());
        }
    }
}
