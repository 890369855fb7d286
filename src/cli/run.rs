//! The wiring: packets in, analysis, output.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::args::Color;
use super::config::{Analysis, Format, Input};
use super::feed::{Files, Watch};
use super::progress::Progress;
use super::{Exit, Failure};
use crate::capture::{self, FileSummary, Filter, link_type_name};
use crate::connection::Keys;
use crate::diagnosis::Severity;
use crate::diagnosis::catalogue::Rule;
use crate::engine::{Judgement, Options, Recorder, Totals, WantedFactory};
use crate::output::convert;
use crate::output::json::Layout;
use crate::output::judged::{Judged, subjects};
use crate::output::listing::Listing;
use crate::output::model::{self, Time};
use crate::output::publish::{Events, Form, Source, publish};
use crate::output::redact::Redactor;
use crate::output::report;
use crate::output::sealed::Sealer;
use crate::output::stream::{self, Stream};

/// Columns of a report that goes nowhere in particular.
const DEFAULT_WIDTH: usize = 100;

/// Runs an analysis.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn analyse(analysis: &Analysis) -> Result<Exit, Failure> {
    match &analysis.input {
        Input::Files(files) => offline(analysis, files),
        #[cfg(feature = "live")]
        Input::Interface(live) => super::live::capture(analysis, live),
        #[cfg(not(feature = "live"))]
        Input::Interface(live) => {
            let interface = crate::output::terminal::escape(&live.interface);
            Err(Failure::run(format!(
                "-i {interface}: this wsscan was built without live capture (feature \"live\"); capture with: \
                 sudo tcpdump -U -i {interface} -w - | wsscan -r -"
            )))
        }
    }
}

fn offline(analysis: &Analysis, files: &[PathBuf]) -> Result<Exit, Failure> {
    let scrolls = matches!(analysis.format, Format::Ndjson(_)) && io::stdout().is_terminal();
    let quiet = scrolls || analysis.format == Format::Report(report::Detail::Quiet);
    let stop = Arc::new(AtomicBool::new(false));
    let keys = keys(&analysis.keylogs)?;
    let filter = filter(&analysis.filter)?;
    let watch = Watch { stop: Arc::clone(&stop), progress: Progress::new(quiet) };
    let patient = files.iter().all(|path| is_file(path));
    let files = Files::open(files, analysis.count, watch)?;
    let threads = analysis.threads.get();
    let made = filter.as_ref().map(wanted);
    let options = Options { threads, wanted: made.as_deref(), keys };
    let chosen = filter.is_some();
    if let Format::Ndjson(events) = analysis.format {
        let wants = wants(analysis);
        let options_of_stream = stream::Options {
            form: stream::Form::Ndjson,
            // Statistics tell how a capture goes that is under way.
            events: Events { stats: false, ..events },
            payload: analysis.show_payload,
            chosen,
            wanted: &wants,
            redactor: redactor(analysis.show_secrets, files.key()),
            patient,
            remembered: usize::MAX,
            stop,
        };
        let stream = Stream::new(raw_stdout(), options_of_stream);
        let (found, files) = files.run(&options, &stream);
        let ended = stream.end(summary_of(&found.totals, &files, None)).map_err(Failure::output)?;
        return Ok(exit(analysis, &ended.summary));
    }
    let wants = wants(analysis);
    if analysis.format == Format::Json && !io::stdout().is_terminal() {
        let sealer = Sealer::new(redactor(analysis.show_secrets, files.key()));
        let (found, read) = files.run(&options, &sealer);
        tell_what_was_not_kept(&found.totals);
        let capture = summary_of(&found.totals, &read, None);
        let judgement = Judgement::of(&found.connections, chosen, threads);
        let listing = Listing::new(&judgement, &wants, threads);
        // What is larger than the buffer passes it by.
        let mut out = BufWriter::with_capacity(1 << 14, raw_stdout());
        let written = sealer.write(&capture, &listing, &found.connections, threads, &mut out);
        written.and_then(|()| out.flush()).map_err(Failure::output)?;
        let exit = exit(analysis, listing.summary());
        forget(judgement);
        forget(found);
        return Ok(exit);
    }
    let (found, read) = files.run(&options, &Recorder);
    tell_what_was_not_kept(&found.totals);
    let judgement = Judgement::of(&found.connections, chosen, threads);
    let listing = Listing::new(&judgement, &wants, threads);
    let capture = summary_of(&found.totals, &read, None);
    let judged = Judged::new(capture, listing, subjects(&judgement, &found.connections));
    let exit = finish(analysis, &judged, files.key());
    drop(judged);
    forget(judgement);
    forget(found);
    exit
}

/// The process ends now: giving back the memory of a million connections piece by piece would only take time.
fn forget<T>(everything: T) {
    std::mem::forget(everything);
}

/// Which findings are wanted.
pub(super) fn wants(analysis: &Analysis) -> impl Fn(&Rule, Severity) -> bool + Sync {
    |rule, severity| analysis.wants(rule.id, convert::severity(severity))
}

/// Bounds that were reached are no secret.
fn tell_what_was_not_kept(found: &Totals) {
    let (n, fragments) = (found.failures_not_kept, found.fragments_dropped);
    if n > 0 {
        let _ = writeln!(io::stderr(), "wsscan: {n} more connections without any WebSocket were only counted");
    }
    if fragments > 0 {
        let _ = writeln!(io::stderr(), "wsscan: {fragments} IP fragments never became whole packets");
    }
}

/// What the findings make the exit status.
pub(super) fn exit(analysis: &Analysis, summary: &model::Summary) -> Exit {
    if analysis.fails(&summary.findings) { Exit::Findings } else { Exit::Done }
}

/// TLS secrets from the files that were named.
pub(super) fn keys(keylogs: &[super::config::Keylog]) -> Result<Keys, Failure> {
    let mut keys = Keys::new();
    for keylog in keylogs {
        match std::fs::read(&keylog.path) {
            Ok(text) => keys.add(&text),
            Err(error) if keylog.required => {
                let path = shown(&keylog.path);
                return Err(Failure::run(format!("-k {path}: {error}; name a readable NSS key-log file")));
            }
            Err(_) => {}
        }
    }
    Ok(keys)
}

/// The capture filter, if one was given.
pub(super) fn filter(expression: &str) -> Result<Option<Filter>, Failure> {
    if expression.is_empty() {
        return Ok(None);
    }
    Filter::compile(expression).map(Some).map_err(|error| Failure::run(error.to_string()))
}

/// A filter for each worker.
pub(super) fn wanted(filter: &Filter) -> Box<WantedFactory> {
    let expression = filter.expression().to_owned();
    Box::new(move || match Filter::compile(&expression) {
        Ok(mut own) => Box::new(move |packet| own.matches(packet)),
        Err(_) => Box::new(|_| false),
    })
}

/// The capture as the output has it.
pub(super) fn summary_of(found: &Totals, files: &[FileSummary], dropped: Option<u64>) -> model::Capture {
    model::Capture {
        files: files
            .iter()
            .map(|file| model::CaptureFile {
                path: file.path.clone(),
                format: match file.format {
                    capture::Format::Pcap => model::CaptureFormat::Pcap,
                    capture::Format::Pcapng => model::CaptureFormat::Pcapng,
                },
                link_types: file.link_types.iter().map(|link| link_type_name(*link).into_owned()).collect(),
                packets: file.packets,
                bytes: file.bytes,
                truncated: file.truncated,
                error: file.error.clone(),
            })
            .collect(),
        packets: found.packets,
        bytes: found.bytes,
        first_time: found.first.map(Time),
        last_time: found.last.map(Time),
        packets_dropped: dropped,
        tcp_connections: u64::from(found.tcp_connections),
        undecoded_packets: found.undecodable,
        tls_secrets: found.tls_secrets as u64,
    }
}

/// Writes a finished analysis to standard output as a report or a document, and says how to exit; events have
/// been written as they happened. `key` is for the marks of redacted secrets (see
/// [`crate::output::redact::derive_key`]).
///
/// # Errors
/// When the output cannot be written. A reader that went away is no error.
pub fn finish(analysis: &Analysis, source: &dyn Source, key: [u8; 32]) -> Result<Exit, Failure> {
    let stdout = io::stdout().lock();
    let terminal = stdout.is_terminal();
    let redactor = redactor(analysis.show_secrets, key);
    let threads = analysis.threads.get();
    match form(analysis.format, terminal) {
        Some(form @ Form::Json(_)) => {
            let mut out = BufWriter::with_capacity(1 << 18, stdout);
            publish(source, &redactor, form, threads, &mut out).and_then(|()| out.flush()).map_err(Failure::output)?;
        }
        Some(form @ Form::Report(_)) => {
            let mut out = BufWriter::with_capacity(1 << 16, output(stdout, analysis.color));
            publish(source, &redactor, form, threads, &mut out).and_then(|()| out.flush()).map_err(Failure::output)?;
        }
        None => {}
    }
    Ok(exit(analysis, &source.summary()))
}

/// Hides secrets unless they were asked for.
#[must_use]
pub fn redactor(show_secrets: bool, key: [u8; 32]) -> Redactor {
    if show_secrets { Redactor::off() } else { Redactor::new(key) }
}

/// Standard output for large pieces of bytes: the standard library's own searches all of them for the end of a line.
fn raw_stdout() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    let own = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let own = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
    match own {
        Ok(own) => Box::new(std::fs::File::from(own)),
        Err(_) => Box::new(io::stdout()),
    }
}

/// A stream that takes colours out where they are not wanted.
pub fn output<S: anstream::stream::RawStream + anstream::stream::AsLockedWrite>(
    stream: S,
    color: Color,
) -> anstream::AutoStream<S> {
    anstream::AutoStream::new(stream, color.choice())
}

/// Columns of the terminal as the shell tells them (`COLUMNS`), or 100.
#[must_use]
pub fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.filter(|n| *n >= 20).unwrap_or(DEFAULT_WIDTH)
}

fn form(format: Format, terminal: bool) -> Option<Form> {
    match format {
        Format::Report(detail) => Some(Form::Report(report::Options { detail, width: width() })),
        Format::Json => Some(Form::Json(if terminal { Layout::Pretty } else { Layout::Compact })),
        Format::Ndjson(_) => None,
    }
}

/// Whether this is a file, which is there from beginning to end, and nothing that packets may just be arriving from.
fn is_file(path: &std::path::Path) -> bool {
    path.as_os_str() != "-" && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

pub(super) fn shown(path: &std::path::Path) -> String {
    crate::output::terminal::escape(&path.to_string_lossy()).into_owned()
}
