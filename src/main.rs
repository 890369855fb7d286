//! The `wsscan` command.

use std::process::ExitCode;

/// Connections are made in one thread and closed in another, which the system's allocator on Linux pays for with
/// locks (`benches/README.md` has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wsscan::cli::run(std::env::args_os())
}
