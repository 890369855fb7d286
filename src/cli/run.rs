//! The wiring: packets in, analysis, output.

use std::io::{self, BufWriter, IsTerminal, Write};

use super::args::Color;
use super::config::{Analysis, Follow, Format, Input};
use super::{Exit, Failure};
use crate::output::json::Layout;
use crate::output::publish::{Form, Source, publish};
use crate::output::redact::Redactor;
use crate::output::report::Options;

/// Columns of a report that goes nowhere in particular.
const DEFAULT_WIDTH: usize = 100;

/// Runs an analysis.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub fn analyse(analysis: &Analysis) -> Result<Exit, Failure> {
    let what = match &analysis.input {
        Input::Files(files) => format!("-r {}", shown(&files[0])),
        Input::Interface(live) => format!("-i {}", live.interface),
    };
    Err(Failure::run(format!("{what}: this build has no engine")))
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
    let mut out = BufWriter::with_capacity(1 << 16, output(stdout, analysis.color));
    if let Some(form) = form(analysis.format, terminal) {
        let redactor = redactor(analysis.show_secrets, key);
        publish(source, &redactor, form, &mut out).map_err(Failure::output)?;
    }
    out.flush().map_err(Failure::output)?;
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
        Format::Report(detail) => Some(Form::Report(Options { detail, width: width() })),
        Format::Json => Some(Form::Json(if terminal { Layout::Pretty } else { Layout::Compact })),
        Format::Ndjson(_) => None,
    }
}

fn shown(path: &std::path::Path) -> String {
    crate::output::terminal::escape(&path.to_string_lossy()).into_owned()
}
