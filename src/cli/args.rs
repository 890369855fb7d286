//! What can be typed. Only the words: what they mean is resolved in [`super::config`].

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::output::json::Json;
use crate::output::markdown::Markdown;
use crate::output::render::Render;
use crate::output::report;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "wsscan",
    version,
    about = "Reads packets and says why a WebSocket died, who did it, and which packets prove it.",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    override_usage = "wsscan -r FILE [-r FILE…] [OPTIONS] [FILTER…]\n       wsscan -i IFACE [OPTIONS] [FILTER…]\n       \
                      wsscan COMMAND [OPTIONS]",
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub(super) struct Cli {
    /// Something other than an analysis.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The analysis.
    #[command(flatten)]
    pub analysis: AnalysisArgs,
}

const AFTER_HELP: &str = "\
Examples:
  wsscan -r capture.pcapng                      what went wrong in this capture
  wsscan -r a.pcap -r b.pcap.gz port 3000       two files, taken as one capture, through a filter
  wsscan -r capture.pcapng -k keys.log          with TLS secrets (SSLKEYLOGFILE is used as well)
  wsscan -r capture.pcapng --json | jq .summary
  tcpdump -i eth0 -w - port 443 | wsscan -r -
  wsscan -i eth0 --ndjson host 10.0.0.7 and tcp
  wsscan -r capture.pcap --fail-on error -q     for scripts
  wsscan explain 1006                           what a close code or a rule means

FILTER is a capture filter in libpcap's language (pcap-filter(7)), the same for files as for
interfaces. Its words need no quotes, but the shell wants parentheses escaped: \\( and \\).

Exit status:
  0  done
  1  findings at or above --fail-on
  2  could not run: bad usage, unreadable file, no permission";

/// Options of an analysis.
#[derive(Debug, Args)]
pub(super) struct AnalysisArgs {
    /// Read packets from FILE: pcap or pcapng, also .gz, .zst or .lz4; "-" is standard input. Several files are
    /// one capture.
    #[arg(short, long, value_name = "FILE", help_heading = "Input")]
    pub read: Vec<PathBuf>,

    /// Capture on an interface ("any" for all; see "wsscan interfaces").
    #[arg(short, long, value_name = "IFACE", help_heading = "Input")]
    pub interface: Option<String>,

    /// TLS secrets in NSS key-log format; may be repeated.
    #[arg(short, long, value_name = "FILE", help_heading = "Input")]
    pub keylog: Vec<PathBuf>,

    /// Stop after this many packets.
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Input")]
    pub count: Option<u64>,

    /// Stop a live capture after this time: 30, 30s, 5m, 2h.
    #[arg(long, value_name = "TIME", requires = "interface", value_parser = duration, help_heading = "Input")]
    pub duration: Option<std::time::Duration>,

    /// Live: bytes to capture of each packet; 0 means all.
    #[arg(short, long, value_name = "BYTES", default_value_t = 0, help_heading = "Input")]
    pub snapshot_length: u32,

    /// Live: the kernel's capture buffer, in KiB, for all readers together.
    #[arg(short = 'B', long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=2_097_151), help_heading = "Input")]
    pub buffer_size: Option<u32>,

    /// Live: do not put the interface into promiscuous mode.
    #[arg(short = 'p', long, help_heading = "Input")]
    pub no_promiscuous_mode: bool,

    /// Live: become USER once the interface is open.
    #[arg(short = 'Z', long, value_name = "USER", help_heading = "Input")]
    pub relinquish_privileges: Option<String>,

    /// Write in this form [default: report].
    #[arg(long, value_name = "NAME", value_enum, conflicts_with_all = ["json", "ndjson"], help_heading = "Output")]
    pub format: Option<FormatName>,

    /// Write one JSON document.
    #[arg(long, conflicts_with = "ndjson", help_heading = "Output")]
    pub json: bool,

    /// Write one JSON object per event and line, as it happens.
    #[arg(long, help_heading = "Output")]
    pub ndjson: bool,

    /// Which events --ndjson writes, separated by commas [default: connection,finding,stats].
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Output")]
    pub events: Vec<EventKind>,

    /// Show what messages say, redacted.
    #[arg(long, help_heading = "Output")]
    pub show_payload: bool,

    /// Show secrets instead of <redacted:…>: in every output.
    #[arg(long, help_heading = "Output")]
    pub show_secrets: bool,

    /// When to colour.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Output")]
    pub color: Color,

    /// Say less: verdicts and the summary only.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// Say more: timings, headers, notes.
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// Only these rules: ids, beginnings of ids or names, such as WSH,WST103,upgrade-stripped.
    #[arg(long, value_name = "RULES", value_delimiter = ',', help_heading = "Findings")]
    pub select: Vec<String>,

    /// Not these rules. Where both fit, the longer one decides.
    #[arg(long, value_name = "RULES", value_delimiter = ',', help_heading = "Findings")]
    pub disable: Vec<String>,

    /// Only findings at or above this severity.
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, help_heading = "Findings")]
    pub severity: Level,

    /// Exit with 1 when there is a finding at or above this severity.
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = FailOn::Never, help_heading = "Findings")]
    pub fail_on: FailOn,

    /// Worker threads, and readers of an interface [default: all cores]; the output is the same for any number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Capture filter in libpcap's language.
    #[arg(value_name = "FILTER", allow_negative_numbers = true)]
    pub filter: Vec<String>,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the messages of one connection, in order.
    Follow(FollowArgs),
    /// Explain a close code, a rule or an error: "1006", "WSH301", "upgrade-stripped", "ECONNRESET".
    Explain(ExplainArgs),
    /// List what can be captured on, and what permission is missing.
    Interfaces(ColorArgs),
    /// Print the JSON Schema of the document or of the events.
    Schema {
        /// Which form.
        #[arg(value_enum, default_value_t)]
        form: SchemaForm,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// Options of `follow`.
#[derive(Debug, Args)]
#[command(override_usage = "wsscan follow -r FILE [OPTIONS] CONNECTION [FILTER…]")]
pub(super) struct FollowArgs {
    /// Read packets from FILE; "-" is standard input. Several files are one capture.
    #[arg(short, long, value_name = "FILE", required = true)]
    pub read: Vec<PathBuf>,
    /// TLS secrets in NSS key-log format; may be repeated.
    #[arg(short, long, value_name = "FILE")]
    pub keylog: Vec<PathBuf>,
    /// Write `message` events, one JSON object per line.
    #[arg(long)]
    pub ndjson: bool,
    /// Show what messages say, redacted; otherwise only kinds and lengths.
    #[arg(long)]
    pub show_payload: bool,
    /// Show secrets instead of <redacted:…>.
    #[arg(long)]
    pub show_secrets: bool,
    /// When to colour.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Color,
    /// Id of the connection, as in the report.
    #[arg(value_name = "CONNECTION", value_parser = clap::value_parser!(u64).range(1..))]
    pub connection: u64,
    /// Capture filter: the one that the report was made with, since ids count what is reported.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A close code, a rule, a family of rules, or words to look for; nothing lists all rules.
    #[arg(value_name = "CODE|RULE")]
    pub what: Vec<String>,
    /// When to colour.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Color,
}

/// Options of commands that only print.
#[derive(Debug, Args)]
pub(super) struct ColorArgs {
    /// When to colour.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Color,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// For the stream that the output goes to.
    #[must_use]
    pub(super) const fn choice(self) -> anstream::ColorChoice {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
    }
}

/// Names of the forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatName {
    /// The report for people.
    Report,
    /// One JSON document, as --json.
    Json,
    /// One JSON object per event and line, as --ndjson.
    Ndjson,
    /// A summary in Markdown, for a ticket.
    Markdown,
}

impl FormatName {
    /// What writes a finished analysis in this form; `None` for events, which are written on the way.
    #[must_use]
    pub(super) fn renderer(self, report: report::Options, json: Json) -> Option<Box<dyn Render>> {
        Some(match self {
            Self::Report => Box::new(report),
            Self::Json => Box::new(json),
            Self::Markdown => Box::new(Markdown),
            Self::Ndjson => return None,
        })
    }
}

/// Kinds of events in the event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EventKind {
    /// `connection.opened` and `connection.closed`.
    Connection,
    /// `handshake`.
    Handshake,
    /// `message`.
    Message,
    /// `frame`.
    Frame,
    /// `finding`.
    Finding,
    /// `stats`, while capturing live.
    Stats,
}

/// A severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    /// The connection failed, or data was lost.
    Error,
    /// It works, but it is fragile or violates a MUST.
    Warning,
    /// Explanation only.
    Info,
}

/// When to exit with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// On errors.
    Error,
    /// On warnings and errors.
    Warning,
    /// On any finding.
    Info,
    /// Not on findings.
    Never,
}

/// Which form a schema describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaForm {
    /// The document of --json.
    #[default]
    Document,
    /// One line of --ndjson.
    Event,
}

/// Seconds, or a number with s, m or h; fractions are allowed.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.as_bytes()[text.len() - 1]),
        None => (text, b's'),
    };
    let factor = match unit {
        b'm' => 60,
        b'h' => 3600,
        _ => 1,
    };
    let seconds = number.parse::<f64>().ok().map(|n| n * f64::from(factor)).filter(|n| *n > 0.0);
    seconds
        .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write 30, 0.5s, 5m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    fn filter(line: &str) -> Vec<String> {
        let cli = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(cli.command.is_none(), "{line}");
        cli.analysis.filter
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn filters_are_unquoted_words() {
        assert_eq!(filter("wsscan -r f.pcap port 3000"), ["port", "3000"]);
        assert_eq!(filter("wsscan -r f.pcap"), [""; 0]);
        assert_eq!(filter("wsscan -i eth0 host 10.0.0.7 and tcp"), ["host", "10.0.0.7", "and", "tcp"]);
        assert_eq!(filter("wsscan -r - not port 22"), ["not", "port", "22"]);
        assert_eq!(
            filter("wsscan -r f ( port 1 or port 2 ) and !udp"),
            "( port 1 or port 2 ) and !udp".split(' ').collect::<Vec<_>>()
        );
        assert_eq!(
            filter("wsscan -r f tcp[12] - 1 = 0 && host man"),
            "tcp[12] - 1 = 0 && host man".split(' ').collect::<Vec<_>>()
        );
        assert_eq!(filter("wsscan -r f -- -x"), ["-x"]);
    }

    #[test]
    fn options_may_follow_the_filter() {
        let cli = parse("wsscan port 3000 -r a.pcap --json -v").unwrap();
        assert!(cli.analysis.json && cli.analysis.verbose == 1);
        assert_eq!(cli.analysis.filter, ["port", "3000"]);
        let cli = parse("wsscan -r a -r b host explain -q").unwrap();
        assert_eq!((cli.analysis.read.len(), cli.analysis.quiet), (2, true));
        assert_eq!(cli.analysis.filter, ["host", "explain"]);
    }

    #[test]
    fn commands() {
        assert!(
            matches!(parse("wsscan follow -r f.pcap 3").unwrap().command, Some(Command::Follow(a)) if a.connection == 3)
        );
        assert!(
            matches!(parse("wsscan follow 3 -r f.pcap port 80").unwrap().command, Some(Command::Follow(a)) if a.filter == ["port", "80"])
        );
        assert!(
            matches!(parse("wsscan explain 1006").unwrap().command, Some(Command::Explain(a)) if a.what == ["1006"])
        );
        assert!(matches!(
            parse("wsscan schema event").unwrap().command,
            Some(Command::Schema { form: SchemaForm::Event })
        ));
        assert!(matches!(
            parse("wsscan schema").unwrap().command,
            Some(Command::Schema { form: SchemaForm::Document })
        ));
        assert!(matches!(parse("wsscan completions fish").unwrap().command, Some(Command::Completions { .. })));
        assert!(matches!(parse("wsscan interfaces").unwrap().command, Some(Command::Interfaces(_))));
        assert!(matches!(parse("wsscan man").unwrap().command, Some(Command::Man)));
    }

    #[test]
    fn tcpdump_habits() {
        let cli = parse("wsscan -i any -c 10 -s 96 -B 4096 -p -Z nobody --duration 5m").unwrap().analysis;
        assert_eq!(
            (cli.count, cli.snapshot_length, cli.buffer_size, cli.no_promiscuous_mode),
            (Some(10), 96, Some(4096), true)
        );
        assert_eq!(cli.relinquish_privileges.as_deref(), Some("nobody"));
        assert_eq!(cli.duration, Some(std::time::Duration::from_secs(300)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for line in [
            "wsscan",
            "wsscan -r a --json --ndjson",
            "wsscan -r a --ndjson --events frames",
            "wsscan -r a -q -v",
            "wsscan -r a -c 0",
            "wsscan -r a --threads 0",
            "wsscan -r a --duration 5",
            "wsscan -i a --duration 5x",
            "wsscan -r a --severity fatal",
            "wsscan follow 3",
            "wsscan follow -r a 0",
            "wsscan -r a --unheard",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn lists() {
        let cli = parse("wsscan -r a --ndjson --events connection,frame --select WSH,WST103 --disable wsh310")
            .unwrap()
            .analysis;
        assert_eq!(cli.events, [EventKind::Connection, EventKind::Frame]);
        assert_eq!((cli.select, cli.disable), (vec!["WSH".to_owned(), "WST103".to_owned()], vec!["wsh310".to_owned()]));
    }

    #[test]
    fn help_fits() {
        let help = Cli::command().term_width(100).render_help().to_string();
        for text in ["-r, --read <FILE>", "Exit status:", "Examples:", "explain", "--fail-on <LEVEL>", "FILTER"] {
            assert!(help.contains(text), "{text} in:\n{help}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
