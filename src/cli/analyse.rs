//! An analysis of files, from packets to output.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::args::FormatName;
use super::config::{Analysis, Format, Input};
use super::feed::{Files, Watch};
use super::progress::Progress;
use super::setup::{self, FilterProblems, exit, output, raw_stdout, redactor, summary_of, wanted_findings, width};
use super::{Exit, Failure};
use crate::engine::{Judgement, Options, Totals};
use crate::output::events::writer::{Events, Form, LineEncoder, LineWriter};
use crate::output::events::{self, EventStream};
use crate::output::json::{Json, Layout};
use crate::output::numbering::Listing;
use crate::output::render;
use crate::output::report::{self, Detail};
use crate::output::store::Store;

/// Runs an analysis.
///
/// # Errors
/// When the input cannot be read or the output cannot be written.
pub(super) fn analyse(analysis: &Analysis) -> Result<Exit, Failure> {
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

fn offline(analysis: &Analysis, paths: &[PathBuf]) -> Result<Exit, Failure> {
    let scrolls = matches!(analysis.format, Format::Ndjson(_)) && io::stdout().is_terminal();
    let quiet = scrolls || analysis.format.report() == Some(Detail::Quiet);
    let stop = Arc::new(AtomicBool::new(false));
    let keys = setup::keys(&analysis.keylogs)?;
    let filter = setup::filter(&analysis.filter)?;
    let watch = Watch { stop: Arc::clone(&stop), progress: Progress::new(quiet) };
    let files = Files::open(paths, analysis.count, watch)?;
    let problems = FilterProblems::default();
    let filters = filter.as_ref().map(|filter| problems.factory(filter));
    let options = Options { threads: analysis.threads.get(), wanted: filters.as_deref(), keys };
    let exit = match analysis.format {
        Format::Ndjson(events) => {
            let patient = paths.iter().all(|path| is_file(path));
            stream(analysis, files, &options, events, patient, stop)
        }
        Format::Finished(..) => document(analysis, files, &options),
    };
    problems.warn();
    exit
}

/// Writes events while the files are read.
fn stream(
    analysis: &Analysis,
    files: Files,
    options: &Options<'_>,
    events: Events,
    patient: bool,
    stop: Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    let wanted = wanted_findings(analysis);
    let redactor = redactor(analysis.show_secrets, files.key());
    // Statistics are for live captures only.
    let events = Events { stats: false, ..events };
    let stream_options = events::Options {
        handshakes: events.handshake,
        chosen: options.wanted.is_some(),
        wanted: &wanted,
        redactor: redactor.clone(),
        patient,
        report_follows: false,
        remembered: usize::MAX,
    };
    let encoder = LineEncoder::new(Form::Ndjson, events, analysis.show_payload, redactor);
    let writer = LineWriter::new(raw_stdout(), Form::Ndjson, events, stop);
    let stream = EventStream::new(stream_options, encoder, writer);
    let (found, files) = files.run(options, &stream);
    let (writer, ended) = stream.end();
    let capture = summary_of(&found.totals, &files, None, ended.left_out);
    writer.end(capture, ended.summary.clone()).map_err(Failure::output)?;
    Ok(exit(analysis, &ended.summary))
}

/// Reads the files, then writes the report or the document.
fn document(analysis: &Analysis, files: Files, options: &Options<'_>) -> Result<Exit, Failure> {
    let redactor = redactor(analysis.show_secrets, files.key());
    let store = Store::new(redactor.clone());
    let (found, read) = files.run(options, &store);
    warn_of_bounds(&found.totals);
    let judgement = Judgement::of(&found.connections, options.wanted.is_some(), options.threads);
    let texts = store.into_texts(&judgement, &found.connections);
    let wanted = wanted_findings(analysis);
    let listing = Listing::new(&judgement, &wanted, options.threads);
    let capture = summary_of(&found.totals, &read, None, judgement.left_out);
    let finished = render::Analysis::new(capture, listing, &texts, &redactor);
    let exit = write(analysis, &finished);
    drop(finished);
    // The process ends now: freeing the memory of a million connections one by one would only take time.
    std::mem::forget(texts);
    std::mem::forget(judgement);
    std::mem::forget(found);
    exit
}

/// Writes a finished analysis to standard output in the requested form; returns the exit status.
///
/// # Errors
/// When the output cannot be written. A reader that went away is no error.
pub(super) fn write(analysis: &Analysis, finished: &render::Analysis<'_>) -> Result<Exit, Failure> {
    let Format::Finished(name, detail) = analysis.format else { return Ok(exit(analysis, finished.summary())) };
    let layout = if io::stdout().is_terminal() { Layout::Pretty } else { Layout::Compact };
    let json = Json { layout, threads: analysis.threads.get() };
    if let Some(form) = name.renderer(report::Options { detail, width: width() }, json) {
        let mut out: Box<dyn Write> = match name {
            // Only the report has colours. Writes larger than the buffer bypass it.
            FormatName::Report => Box::new(BufWriter::with_capacity(1 << 16, output(io::stdout(), analysis.color))),
            _ => Box::new(BufWriter::with_capacity(1 << 14, raw_stdout())),
        };
        form.render(finished, &mut *out).and_then(|()| out.flush()).map_err(Failure::output)?;
    }
    Ok(exit(analysis, finished.summary()))
}

/// Prints a line on standard error for each bound that was reached.
fn warn_of_bounds(found: &Totals) {
    let (n, fragments) = (found.failures_not_kept, found.fragments_dropped);
    if n > 0 {
        let _ = writeln!(io::stderr(), "wsscan: {n} more connections without any WebSocket were only counted");
    }
    if fragments > 0 {
        let _ = writeln!(io::stderr(), "wsscan: {fragments} IP fragments never became whole packets");
    }
}

/// Whether this is a regular file, complete from the start, and not a pipe that packets may still arrive on.
fn is_file(path: &Path) -> bool {
    path.as_os_str() != "-" && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}
