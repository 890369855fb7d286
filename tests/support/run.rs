//! Running the binary that was just built.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long one run may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a run left behind.
pub(crate) struct Run {
    /// Exit status; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: String,
    /// It did not end in time and was killed.
    pub(crate) hung: bool,
}

impl Run {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("output is UTF-8")
    }

    /// What is wrong with the run itself, whatever it printed: a crash, a hang, an exit status of "could not run".
    pub(crate) fn trouble(&self) -> Option<String> {
        let tail: String = self.stderr.trim().chars().rev().take(400).collect::<Vec<_>>().into_iter().rev().collect();
        match self.code {
            _ if self.hung => Some(format!("still running after {PATIENCE:?}")),
            None => Some(format!("ended by a signal: {tail}")),
            Some(0 | 1) if self.stderr.contains("panicked at") => Some(format!("panicked: {tail}")),
            Some(0 | 1) => None,
            Some(code) => Some(format!("exit status {code}: {tail}")),
        }
    }

    /// Standard output as one JSON document.
    pub(crate) fn document(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.stdout).map_err(|e| format!("stdout is no JSON document: {e}"))
    }

    /// Standard output as one JSON object per line.
    pub(crate) fn lines(&self) -> Result<Vec<Value>, String> {
        let text = std::str::from_utf8(&self.stdout).map_err(|e| format!("stdout is not UTF-8: {e}"))?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|e| format!("no JSON object: {e}: {line}")))
            .collect()
    }
}

/// The binary, with an environment that does not change what it says.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsscan"));
    command.current_dir(super::captures::root()).stdin(Stdio::null());
    for name in ["SSLKEYLOGFILE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

/// Runs the binary with these arguments.
pub(crate) fn wsscan<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    let mut command = command();
    command.args(arguments);
    finish(command)
}

/// Runs a prepared command to its end.
pub(crate) fn finish(mut command: Command) -> Run {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut out = child.stdout.take().expect("stdout is piped");
    let mut err = child.stderr.take().expect("stderr is piped");
    let out = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).map(|_| bytes)
    });
    let err = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).map(|_| bytes)
    });
    let deadline = Instant::now() + PATIENCE;
    let mut hung = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if Instant::now() > deadline {
            hung = true;
            child.kill().expect("a child can be killed");
            break child.wait().expect("a child can be waited for");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let stdout = out.join().expect("the reader does not panic").expect("stdout can be read");
    let stderr = err.join().expect("the reader does not panic").expect("stderr can be read");
    Run { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned(), hung }
}
