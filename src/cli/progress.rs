//! Progress display on standard error: only on a terminal, and only if reading takes long.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Nothing is shown before this.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two updates.
const INTERVAL: Duration = Duration::from_millis(200);

/// Shows progress, or nothing.
#[derive(Debug)]
pub(super) struct Progress {
    shown: Option<Mutex<Shown>>,
}

#[derive(Debug)]
struct Shown {
    started: Instant,
    next: Instant,
    dirty: bool,
}

impl Progress {
    /// `quiet`: standard output scrolls on the same terminal, or `-q`.
    pub(super) fn new(quiet: bool) -> Self {
        let started = Instant::now();
        let shown = Shown { started, next: started + PATIENCE, dirty: false };
        Self { shown: (!quiet && io::stderr().is_terminal()).then(|| Mutex::new(shown)) }
    }

    /// Updates the display; `size` returns bytes read and, where known, bytes in all.
    pub(super) fn at(&self, packets: u64, size: impl FnOnce() -> (u64, Option<u64>)) {
        let Some(shown) = &self.shown else { return };
        let mut shown = lock(shown);
        let now = Instant::now();
        if now < shown.next {
            return;
        }
        shown.next = now + INTERVAL;
        shown.dirty = true;
        let (bytes, all) = size();
        let text = line(packets, bytes, all, now - shown.started);
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
    }

    /// Clears the display.
    pub(super) fn clear(&self) {
        let Some(shown) = &self.shown else { return };
        let mut shown = lock(shown);
        if std::mem::take(&mut shown.dirty) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(packets: u64, bytes: u64, all: Option<u64>, since: Duration) -> String {
    let speed = bytes as f64 / 1e6 / since.as_secs_f64().max(0.001);
    let share = all.filter(|all| *all > 0).map_or_else(String::new, |all| {
        // Bytes appended to a file while it is read are not read, but may be counted.
        format!(", {} %", (bytes.saturating_mul(100) / all).min(100))
    });
    format!("{packets} packets, {speed:.0} MB/s{share}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let second = Duration::from_secs(1);
        assert_eq!(line(12, 250_000_000, Some(1_000_000_000), second), "12 packets, 250 MB/s, 25 %");
        assert_eq!(line(12, 250_000_000, None, second), "12 packets, 250 MB/s");
        assert_eq!(line(0, 5, Some(0), Duration::ZERO), "0 packets, 0 MB/s");
        assert_eq!(line(0, 9, Some(5), second), "0 packets, 0 MB/s, 100 %");
    }
}
