//! The `wsscan` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsscan::cli::run(std::env::args_os())
}
