//! The command line: parses and resolves it, runs the command, returns the exit status.
//!
//! The one place for error messages and exit codes: 0 done, 1 findings, 2 could not run. A failure is one
//! message on standard error that names the file or the option and the next step.

mod analyse;
mod args;
mod config;
mod explain;
mod feed;
mod follow;
mod interfaces;
#[cfg(feature = "live")]
mod keylog;
#[cfg(feature = "live")]
mod live;
mod progress;
mod rules;
mod setup;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use self::args::{Cli, Command, SchemaForm};
use self::config::{Analysis, Follow};
use crate::output::schema;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: findings at or above `--fail-on`.
    Findings,
    /// 2: could not run.
    CouldNotRun,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::Findings => ExitCode::from(1),
            Exit::CouldNotRun => ExitCode::from(2),
        }
    }
}

/// Why the program could not do what it was asked to.
#[derive(Debug)]
pub struct Failure(Kind);

#[derive(Debug)]
enum Kind {
    Message(String),
    /// The reader of the output went away: no error.
    Closed,
}

impl Failure {
    /// Something in the command line does not fit.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self(Kind::Message(message.into()))
    }

    /// Something went wrong on the way. The message names the file or the option, and the next step; what was
    /// captured or typed in it is escaped.
    #[must_use]
    pub fn run(message: impl Into<String>) -> Self {
        Self(Kind::Message(message.into()))
    }

    /// Standard output failed.
    #[must_use]
    pub fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self(Kind::Closed);
        }
        Self(Kind::Message(format!("cannot write to standard output: {error}")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Message(message) => f.write_str(message),
            Kind::Closed => f.write_str("the reader of the output went away"),
        }
    }
}

impl std::error::Error for Failure {}

/// Parses the command line, runs it and returns the exit status.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let typed = Cli::command().try_get_matches_from(&args).and_then(|matches| Cli::from_arg_matches(&matches));
    let result = match typed {
        Ok(cli) => dispatch(cli),
        Err(error) if error.kind() == ErrorKind::DisplayHelp && !knows_first_word(&args) => {
            let word = args[1].to_string_lossy();
            Err(Failure::usage(format!("no command is called \"{word}\"; \"wsscan --help\" lists them all")))
        }
        Err(error) => {
            // clap writes help to standard output and complaints to standard error, in its own words.
            let _ = error.print();
            return if error.use_stderr() { Exit::CouldNotRun } else { Exit::Done }.into();
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(Failure(Kind::Closed)) => Exit::Done.into(),
        Err(failure) => {
            // The message may quote the command line, which may hold anything.
            let text = failure.to_string();
            let lines: Vec<_> = text.lines().map(crate::output::terminal::escape).collect();
            let _ = writeln!(io::stderr(), "wsscan: {}", lines.join("\n"));
            Exit::CouldNotRun.into()
        }
    }
}

/// Whether help was asked for the whole program or for a command that exists. A first word that is neither option nor
/// command is taken for a filter, and help for a filter is help for a command that is misspelled.
fn knows_first_word(args: &[OsString]) -> bool {
    let Some(word) = args.get(1).map(|word| word.to_string_lossy()) else { return true };
    word.starts_with('-') || word == "help" || Cli::command().find_subcommand(&*word).is_some()
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let keylog = || std::env::var_os("SSLKEYLOGFILE").map(Into::into);
    let stdout = || io::stdout().lock();
    match cli.command {
        None => analyse::analyse(&Analysis::new(cli.analysis, keylog())?),
        Some(Command::Follow(args)) => follow::follow(&Follow::new(args, keylog())?),
        Some(Command::Explain(args)) => {
            let mut out = io::BufWriter::new(setup::output(stdout(), args.color));
            explain::explain(&mut out, &args.what, setup::width())?;
            out.flush().map_err(Failure::output)?;
            Ok(Exit::Done)
        }
        Some(Command::Interfaces(args)) => {
            interfaces::interfaces(&mut setup::output(stdout(), args.color))?;
            Ok(Exit::Done)
        }
        Some(Command::Schema { form }) => {
            let schema = match form {
                SchemaForm::Document => schema::document(),
                SchemaForm::Event => schema::event(),
            };
            write_all(schema::text(&schema).as_bytes())
        }
        Some(Command::Completions { shell }) => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "wsscan", &mut out);
            write_all(&out)
        }
        Some(Command::Man) => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut out).map_err(Failure::output)?;
            write_all(&out)
        }
    }
}

fn write_all(bytes: &[u8]) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::output)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        assert!(matches!(Failure::output(io::ErrorKind::BrokenPipe.into()).0, Kind::Closed));
        assert!(matches!(Failure::output(io::ErrorKind::StorageFull.into()).0, Kind::Message(_)));
    }

    #[test]
    fn printed_commands_are_complete() {
        let mut out = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut out).unwrap();
        let page = String::from_utf8(out).unwrap();
        assert!(page.contains("fail\\-on") && page.contains("FILTER"), "{page}");
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "wsscan", &mut out);
            assert!(String::from_utf8(out).unwrap().contains("show-secrets"), "{shell}");
        }
    }
}
