//! The wiring: packets in, analysis, output.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use super::args::Color;
use super::config::{Analysis, Follow, Format, Input};
use super::feed::{FileFeed, StreamFeed};
use super::{Exit, Failure};
use crate::capture::{self, Capture, FileSummary, Filter, link_type_name};
use crate::connection::Keys;
use crate::engine::{self, Feed, Judgement, Options, Silent, WantedFactory};
use crate::output::convert::{self, Judged};
use crate::output::json::Layout;
use crate::output::model::{self, Time};
use crate::output::publish::{Form, Source, publish};
use crate::output::redact::{Redactor, derive_key};
use crate::output::report;

/// Columns of a report that goes nowhere in particular.
const DEFAULT_WIDTH: usize = 100;

/// Runs an analysis.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn analyse(analysis: &Analysis) -> Result<Exit, Failure> {
    match &analysis.input {
        Input::Files(files) => offline(analysis, files),
        Input::Interface(live) => super::live::run(analysis, live),
    }
}

fn offline(analysis: &Analysis, files: &[PathBuf]) -> Result<Exit, Failure> {
    let inputs: Vec<capture::Input> = files.iter().map(capture::Input::from_argument).collect();
    let capture = Capture::open(&inputs).map_err(|error| Failure::run(error.to_string()))?;
    let keys = keys(&analysis.keylogs)?;
    match capture.chunked() {
        Some(file) => {
            let feed = FileFeed::new(file, analysis.count);
            whole(analysis, &feed, keys, |feed| vec![feed.summary()])
        }
        None => {
            let feed = StreamFeed::new(capture, analysis.count);
            whole(analysis, &feed, keys, StreamFeed::files)
        }
    }
}

/// Reads a capture to its end and writes what was found.
fn whole<F: Feed>(
    analysis: &Analysis,
    feed: &F,
    keys: Keys,
    files: impl Fn(&F) -> Vec<FileSummary>,
) -> Result<Exit, Failure> {
    let filter = filter(&analysis.filter)?;
    let threads = analysis.threads.get();
    let wanted = filter.as_ref().map(wanted);
    let options = Options { threads, wanted: wanted.as_deref(), keys };
    let found = engine::run(feed, &options, &Silent);
    let judgement = Judgement::of(&found.connections, filter.is_some(), threads);
    let key = key_of(&found);
    let judged = Judged::new(summary_of(&found, &files(feed), None), &judgement, &|rule, severity| {
        analysis.wants(rule.id, convert::severity(severity))
    });
    let exit = finish(analysis, &judged, key);
    // The process ends now: giving back the memory of a million connections piece by piece would only take time.
    std::mem::forget(judged);
    std::mem::forget(judgement);
    std::mem::forget(found);
    exit
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
pub(super) fn summary_of(found: &engine::Analysis, files: &[FileSummary], dropped: Option<u64>) -> model::Capture {
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

/// A key for the marks of redacted secrets: the same for the same capture, and not to be had from the output
/// alone, because sequence numbers are not shown.
pub(super) fn key_of(found: &engine::Analysis) -> [u8; 32] {
    let numbers: Vec<u8> = found
        .connections
        .iter()
        .take(64)
        .flat_map(|known| known.record.tcp.initial_sequence)
        .flat_map(|sequence| sequence.unwrap_or_default().to_be_bytes())
        .collect();
    derive_key([numbers.as_slice()])
}

/// Shows the messages of one connection.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn follow(follow: &Follow) -> Result<Exit, Failure> {
    Err(Failure::run(format!("follow -r {}: this build has no engine", shown(&follow.files[0]))))
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
    Ok(if analysis.fails(&source.summary().findings) { Exit::Findings } else { Exit::Done })
}

/// Hides secrets unless they were asked for.
#[must_use]
pub fn redactor(show_secrets: bool, key: [u8; 32]) -> Redactor {
    if show_secrets { Redactor::off() } else { Redactor::new(key) }
}

/// A stream that takes colours out where they are not wanted.
pub fn output<S: anstream::stream::RawStream + anstream::stream::AsLockedWrite>(
    stream: S,
    color: Color,
) -> anstream::AutoStream<S> {
    anstream::AutoStream::new(stream, color.choice())
}

/// Columns of the terminal as the shell tells them (`COLUMNS`), or [`DEFAULT_WIDTH`].
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

fn shown(path: &std::path::Path) -> String {
    crate::output::terminal::escape(&path.to_string_lossy()).into_owned()
}
