//! Live capture: what happens is told as it happens, and summed up at the end.

use super::config::{Analysis, Live};
use super::{Exit, Failure};

/// Captures until it is stopped.
pub(super) fn run(_: &Analysis, live: &Live) -> Result<Exit, Failure> {
    Err(Failure::run(format!("-i {}: not wired yet", live.interface)))
}
