//! Set-up shared by commands that read a capture: keys, filters, redactor, standard output. Never analyses.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::args::Color;
use super::config::{Analysis, Keylog};
use super::{Exit, Failure};
use crate::capture::{self, FileSummary, Filter, link_type_name};
use crate::connection::Keys;
use crate::diagnosis::Severity;
use crate::diagnosis::catalogue::Rule;
use crate::engine::{Totals, WantedFactory};
use crate::output::from_record;
use crate::output::model::{self, Time};
use crate::output::redact::Redactor;
use crate::output::terminal::escape;
use crate::sync::lock;

/// Columns of a report whose reader has no terminal.
const DEFAULT_WIDTH: usize = 100;

/// Predicate for the findings that the options select.
pub(super) fn wanted_findings(analysis: &Analysis) -> impl Fn(&Rule, Severity) -> bool + Sync {
    |rule, severity| analysis.wants(rule.id, from_record::severity(severity))
}

/// Exit status for the findings.
pub(super) fn exit(analysis: &Analysis, summary: &model::Summary) -> Exit {
    if analysis.fails(&summary.findings) { Exit::Findings } else { Exit::Done }
}

/// TLS secrets from the files that were named.
pub(super) fn keys(keylogs: &[Keylog]) -> Result<Keys, Failure> {
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

/// Problems of the filters of all workers, complete once the workers are done.
#[derive(Clone, Default)]
pub(super) struct FilterProblems(Arc<Mutex<BTreeSet<String>>>);

impl FilterProblems {
    /// Makes a filter for each worker and collects their problems here.
    pub(super) fn factory(&self, filter: &Filter) -> Box<WantedFactory> {
        let (filter, problems) = (Mutex::new(filter.clone()), self.clone());
        Box::new(move || {
            let mut own = WorkerFilter { filter: lock(&filter).clone(), problems: problems.clone() };
            Box::new(move |packet| own.filter.matches(packet))
        })
    }

    /// Prints a line on standard error for each kind of packet that the filter could not be applied to.
    pub(super) fn warn(&self) {
        for problem in &*lock(&self.0) {
            let _ = writeln!(io::stderr(), "wsscan: {}; they were left out", escape(problem));
        }
    }
}

/// The filter of one worker; hands over its problems when the worker is done.
struct WorkerFilter {
    filter: Filter,
    problems: FilterProblems,
}

impl Drop for WorkerFilter {
    fn drop(&mut self) {
        lock(&self.problems.0).extend(self.filter.problems());
    }
}

/// Summary of the capture for the output. `left_out`: connections that failed and have nothing to do with a WebSocket.
pub(super) fn summary_of(found: &Totals, files: &[FileSummary], dropped: Option<u64>, left_out: u64) -> model::Capture {
    let own = [("engine.failures", found.failures_not_kept), ("packet.fragments", found.fragments_dropped)];
    let own = own.into_iter().filter(|(_, count)| *count > 0);
    let of_connections = found.limits.iter().map(|(name, count)| (*name, *count));
    let limits = own.chain(of_connections).map(|(name, count)| (name.to_owned(), count)).collect();
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
        limits,
        left_out: (left_out > 0).then(|| ("failed_elsewhere".to_owned(), left_out)).into_iter().collect(),
    }
}

/// Hides secrets unless they were asked for.
#[must_use]
pub(super) fn redactor(show_secrets: bool, key: [u8; 32]) -> Redactor {
    if show_secrets { Redactor::off() } else { Redactor::new(key) }
}

/// Standard output without line buffering, which would search all bytes for line ends.
pub(super) fn raw_stdout() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    let own = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let own = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
    match own {
        Ok(own) => Box::new(std::fs::File::from(own)),
        Err(_) => Box::new(io::stdout()),
    }
}

/// A stream that strips colours if they are not wanted.
pub(super) fn output<S: anstream::stream::RawStream + anstream::stream::AsLockedWrite>(
    stream: S,
    color: Color,
) -> anstream::AutoStream<S> {
    anstream::AutoStream::new(stream, color.choice())
}

/// Columns of the terminal from `COLUMNS`, or 100.
#[must_use]
pub(super) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.filter(|n| *n >= 20).unwrap_or(DEFAULT_WIDTH)
}

/// A path, escaped for messages.
pub(super) fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy()).into_owned()
}
