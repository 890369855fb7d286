//! The resolved command line: every option is checked against the others here, so that the rest of the program sees
//! only valid combinations.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::args::{AnalysisArgs, Color, EventKind, FailOn, FollowArgs, FormatName, Level};
use super::rules::RuleSet;
use crate::output::events::writer::Events;
use crate::output::model::{FindingCounts, Severity};
use crate::output::report::Detail;

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Files, in the order given; `-` is standard input.
    Files(Vec<PathBuf>),
    /// An interface.
    Interface(Live),
}

/// How to capture live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    /// Name of the interface.
    pub interface: String,
    /// Bytes to capture of each packet; 0 means all.
    pub snapshot_length: u32,
    /// The kernel's capture buffer, in KiB.
    pub buffer_kib: Option<u32>,
    /// Promiscuous mode.
    pub promiscuous: bool,
    /// User to become once the interface is open.
    pub user: Option<String>,
    /// When to stop.
    pub duration: Option<Duration>,
}

/// A file with TLS secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keylog {
    /// Its path.
    pub path: PathBuf,
    /// Named on the command line: an error if it cannot be read.
    pub required: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A finished analysis in one of its forms; the detail of the report for people.
    Finished(FormatName, Detail),
    /// The event stream.
    Ndjson(Events),
}

impl Format {
    /// Detail of the report for people; `None` for other forms.
    #[must_use]
    pub(super) fn report(self) -> Option<Detail> {
        match self {
            Format::Finished(FormatName::Report, detail) => Some(detail),
            Format::Finished(..) | Format::Ndjson(_) => None,
        }
    }
}

/// The events of `kinds`; without any, the default.
fn events(kinds: &[EventKind]) -> Events {
    let kinds = if kinds.is_empty() { &[EventKind::Connection, EventKind::Finding, EventKind::Stats] } else { kinds };
    let has = |kind| kinds.contains(&kind);
    Events {
        connection: has(EventKind::Connection),
        handshake: has(EventKind::Handshake),
        message: has(EventKind::Message),
        frame: has(EventKind::Frame),
        finding: has(EventKind::Finding),
        stats: has(EventKind::Stats),
    }
}

/// An analysis, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Analysis {
    /// Where packets come from.
    pub input: Input,
    /// Capture filter; empty for none.
    pub filter: String,
    /// Files with TLS secrets.
    pub keylogs: Vec<Keylog>,
    /// Stop after this many packets.
    pub count: Option<u64>,
    /// Worker threads.
    pub threads: NonZeroUsize,
    /// Form of the output.
    pub format: Format,
    /// Show payloads of messages.
    pub show_payload: bool,
    /// Show secrets.
    pub show_secrets: bool,
    /// When to colour.
    pub color: Color,
    /// Enabled rules.
    pub rules: RuleSet,
    /// Lowest severity of findings that are kept.
    pub severity: Severity,
    /// Lowest severity of findings that make the exit status 1.
    pub fail_on: Option<Severity>,
}

impl Analysis {
    /// Resolves what was typed. `keylog_variable` is the value of SSLKEYLOGFILE.
    ///
    /// # Errors
    /// When options do not fit together.
    pub(super) fn new(args: AnalysisArgs, keylog_variable: Option<PathBuf>) -> Result<Self, Failure> {
        let input = match (args.read.is_empty(), args.interface) {
            (false, None) => Input::Files(stdin_once(args.read)?),
            (true, Some(interface)) => Input::Interface(Live {
                interface,
                snapshot_length: args.snapshot_length,
                buffer_kib: args.buffer_size,
                promiscuous: !args.no_promiscuous_mode,
                user: args.relinquish_privileges,
                duration: args.duration,
            }),
            (false, Some(_)) => {
                return Err(Failure::usage("-r and -i exclude each other: read files or capture live, not both"));
            }
            (true, None) => return Err(no_input(&args.filter)),
        };
        let detail = match (args.quiet, args.verbose) {
            (true, _) => Detail::Quiet,
            (false, 0) => Detail::Normal,
            (false, _) => Detail::Verbose,
        };
        let name = match (args.format, args.json, args.ndjson) {
            (Some(name), ..) => name,
            (None, true, _) => FormatName::Json,
            (None, _, true) => FormatName::Ndjson,
            (None, false, false) => FormatName::Report,
        };
        let format = match name {
            FormatName::Ndjson => Format::Ndjson(events(&args.events)),
            _ if args.events.is_empty() => Format::Finished(name, detail),
            _ => return Err(Failure::usage("--events chooses what --ndjson writes; add --ndjson")),
        };
        let threads = match args.threads {
            Some(n) => NonZeroUsize::new(n.into()),
            None => std::thread::available_parallelism().ok(),
        };
        Ok(Self {
            input,
            filter: args.filter.join(" "),
            keylogs: keylogs(args.keylog, keylog_variable),
            count: args.count,
            threads: threads.unwrap_or(NonZeroUsize::MIN),
            format,
            show_payload: args.show_payload,
            show_secrets: args.show_secrets,
            color: args.color,
            rules: RuleSet::new(&args.select, &args.disable)?,
            severity: match args.severity {
                Level::Error => Severity::Error,
                Level::Warning => Severity::Warning,
                Level::Info => Severity::Info,
            },
            fail_on: match args.fail_on {
                FailOn::Error => Some(Severity::Error),
                FailOn::Warning => Some(Severity::Warning),
                FailOn::Info => Some(Severity::Info),
                FailOn::Never => None,
            },
        })
    }

    /// Whether a finding of this rule and severity is wanted.
    #[must_use]
    pub(super) fn wants(&self, rule: &str, severity: Severity) -> bool {
        severity >= self.severity && self.rules.contains(rule)
    }

    /// Whether these findings make the exit status 1.
    #[must_use]
    pub(super) fn fails(&self, findings: &FindingCounts) -> bool {
        let FindingCounts { error, warning, info } = *findings;
        match self.fail_on {
            None => false,
            Some(Severity::Error) => error > 0,
            Some(Severity::Warning) => error + warning > 0,
            Some(Severity::Info) => error + warning + info > 0,
        }
    }
}

/// `follow`, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Follow {
    /// Files, in the order given.
    pub files: Vec<PathBuf>,
    /// Capture filter; empty for none.
    pub filter: String,
    /// Files with TLS secrets.
    pub keylogs: Vec<Keylog>,
    /// Id of the connection.
    pub connection: u64,
    /// Write `message` events.
    pub ndjson: bool,
    /// Show payloads of messages.
    pub show_payload: bool,
    /// Show secrets.
    pub show_secrets: bool,
    /// When to colour.
    pub color: Color,
}

impl Follow {
    /// Resolves what was typed.
    ///
    /// # Errors
    /// When standard input is named twice.
    pub(super) fn new(args: FollowArgs, keylog_variable: Option<PathBuf>) -> Result<Self, Failure> {
        Ok(Self {
            files: stdin_once(args.read)?,
            filter: args.filter.join(" "),
            keylogs: keylogs(args.keylog, keylog_variable),
            connection: args.connection,
            ndjson: args.ndjson,
            show_payload: args.show_payload,
            show_secrets: args.show_secrets,
            color: args.color,
        })
    }
}

fn keylogs(named: Vec<PathBuf>, variable: Option<PathBuf>) -> Vec<Keylog> {
    let variable = variable.filter(|path| !path.as_os_str().is_empty() && !named.contains(path));
    let named = named.into_iter().map(|path| Keylog { path, required: true });
    named.chain(variable.map(|path| Keylog { path, required: false })).collect()
}

fn stdin_once(files: Vec<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    if files.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Failure::usage("-r -: standard input can be read only once"));
    }
    Ok(files)
}

/// Error message for a missing input, with a guess at the intended command.
fn no_input(words: &[String]) -> Failure {
    let meant = match words.first() {
        Some(word) if ["follow", "explain", "interfaces", "schema", "completions", "man"].contains(&word.as_str()) => {
            format!("; a command comes first: wsscan {word} …")
        }
        Some(word) if std::path::Path::new(word).is_file() => {
            format!("; to read a file: wsscan -r {}", crate::output::terminal::escape(word))
        }
        _ => "; see wsscan --help".to_owned(),
    };
    Failure::usage(format!("nothing to read: give -r FILE or -i IFACE{meant}"))
}

#[cfg(test)]
mod tests {
    use super::super::args::Cli;
    use super::*;
    use clap::Parser;

    fn analysis(line: &str) -> Result<Analysis, Failure> {
        Analysis::new(Cli::try_parse_from(line.split_whitespace()).unwrap().analysis, None)
    }

    #[test]
    fn exactly_one_input() {
        assert_eq!(analysis("wsscan -r a -r b").unwrap().input, Input::Files(vec!["a".into(), "b".into()]));
        assert!(matches!(analysis("wsscan -i lo -p").unwrap().input, Input::Interface(live) if !live.promiscuous));
        assert!(analysis("wsscan -i lo -r a").unwrap_err().to_string().contains("exclude each other"));
        assert!(analysis("wsscan port 80").unwrap_err().to_string().contains("give -r FILE or -i IFACE"));
        assert!(
            analysis("wsscan -q explain 1006")
                .unwrap_err()
                .to_string()
                .contains("a command comes first: wsscan explain")
        );
        assert!(analysis("wsscan Cargo.toml").unwrap_err().to_string().contains("wsscan -r Cargo.toml"));
        assert!(analysis("wsscan -r - -r -").unwrap_err().to_string().contains("only once"));
    }

    #[test]
    fn filters_are_joined() {
        assert_eq!(
            analysis("wsscan -r a ( port 1 or port 2 ) and not udp").unwrap().filter,
            "( port 1 or port 2 ) and not udp"
        );
        assert_eq!(analysis("wsscan -r a").unwrap().filter, "");
    }

    #[test]
    fn formats() {
        assert_eq!(analysis("wsscan -r a").unwrap().format, Format::Finished(FormatName::Report, Detail::Normal));
        assert_eq!(analysis("wsscan -r a -q").unwrap().format, Format::Finished(FormatName::Report, Detail::Quiet));
        assert_eq!(analysis("wsscan -r a -vv").unwrap().format, Format::Finished(FormatName::Report, Detail::Verbose));
        assert_eq!(analysis("wsscan -r a --json").unwrap().format, Format::Finished(FormatName::Json, Detail::Normal));
        assert_eq!(
            analysis("wsscan -r a --format json").unwrap().format,
            analysis("wsscan -r a --json").unwrap().format
        );
        assert!(analysis("wsscan -r a --events frame").is_err());
        let Format::Ndjson(events) = analysis("wsscan -r a --ndjson").unwrap().format else { panic!() };
        assert!(events.connection && events.finding && events.stats);
        assert!(!events.frame && !events.message && !events.handshake);
        let Format::Ndjson(events) = analysis("wsscan -r a --ndjson --events frame").unwrap().format else { panic!() };
        assert!(events.frame && !events.connection);
    }

    #[test]
    fn secrets_come_from_both_places() {
        let args = |line: &str| Cli::try_parse_from(line.split_whitespace()).unwrap().analysis;
        let both = Analysis::new(args("wsscan -r a -k x -k y"), Some("z".into())).unwrap().keylogs;
        let paths: Vec<_> = both.iter().map(|k| (k.path.to_str().unwrap(), k.required)).collect();
        assert_eq!(paths, [("x", true), ("y", true), ("z", false)]);
        assert_eq!(Analysis::new(args("wsscan -r a -k x"), Some("x".into())).unwrap().keylogs.len(), 1);
        assert_eq!(Analysis::new(args("wsscan -r a"), Some("".into())).unwrap().keylogs.len(), 0);
    }

    #[test]
    fn the_exit_status_follows_the_findings() {
        let counts = |error, warning, info| FindingCounts { error, warning, info };
        for (line, found, fails) in [
            ("wsscan -r a", counts(1, 1, 1), false),
            ("wsscan -r a --fail-on error", counts(0, 9, 9), false),
            ("wsscan -r a --fail-on error", counts(1, 0, 0), true),
            ("wsscan -r a --fail-on warning", counts(0, 1, 0), true),
            ("wsscan -r a --fail-on warning", counts(1, 0, 0), true),
            ("wsscan -r a --fail-on warning", counts(0, 0, 1), false),
            ("wsscan -r a --fail-on info", counts(0, 0, 1), true),
            ("wsscan -r a --fail-on info", counts(0, 0, 0), false),
        ] {
            assert_eq!(analysis(line).unwrap().fails(&found), fails, "{line}");
        }
    }

    #[test]
    fn unwanted_findings_are_left_out() {
        let analysis = analysis("wsscan -r a --severity warning --disable WSX").unwrap();
        assert!(analysis.wants("WSH301", Severity::Error) && analysis.wants("WSH301", Severity::Warning));
        assert!(!analysis.wants("WSH301", Severity::Info) && !analysis.wants("WSX901", Severity::Error));
    }
}
