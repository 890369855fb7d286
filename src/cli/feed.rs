//! Captures as the engine wants them: numbered chunks, from a file that all threads read, or from a stream.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::capture::{Capture, ChunkedFile, FileSummary, Walker};
use crate::engine::{Feed, Walked};
use crate::packet::Batch;

/// Bytes of file in one chunk.
const CHUNK: usize = 512 << 10;
/// Bytes read beyond a chunk, so that its last record is mostly whole.
const MARGIN: usize = 4 << 10;

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plain file, read by all threads at once.
pub(super) struct FileFeed {
    file: ChunkedFile,
    walk: Mutex<Walk>,
    count: Option<u64>,
}

struct Walk {
    walker: Walker,
    /// Where in the file the next record begins.
    next: u64,
    failure: Option<io::Error>,
}

impl FileFeed {
    pub(super) fn new(file: ChunkedFile, count: Option<u64>) -> Self {
        Self { file, walk: Mutex::new(Walk { walker: Walker::new(), next: 0, failure: None }), count }
    }

    pub(super) fn summary(&self) -> FileSummary {
        let walk = hold(&self.walk);
        self.file.summary(&walk.walker, walk.failure.as_ref())
    }
}

impl Feed for FileFeed {
    fn is_serial(&self) -> bool {
        false
    }

    fn fetch(&self, index: u64, batch: &mut Batch) -> bool {
        let offset = index * CHUNK as u64;
        if offset >= self.file.length() && index > 0 {
            return false;
        }
        if let Err(error) = self.file.read_at(offset, CHUNK + MARGIN, &mut batch.arena) {
            hold(&self.walk).failure.get_or_insert(error);
        }
        true
    }

    fn walk(&self, index: u64, batch: &mut Batch) -> Walked {
        let mut walk = hold(&self.walk);
        let Walk { walker, next, failure } = &mut *walk;
        let offset = index * CHUNK as u64;
        let file_end = self.file.length();
        let mut start = (*next - offset) as usize;
        let before = walker.packets();
        while start < CHUNK && !walker.is_finished() {
            let available = batch.arena.len();
            let at_end = offset + available as u64 >= file_end || failure.is_some();
            let walked = if start <= available {
                walker.walk_until(&batch.arena, start, CHUNK, at_end, &mut batch.packets)
            } else {
                crate::capture::Walked { end: start, need: 1 }
            };
            start = walked.end;
            if walked.need == 0 || start >= CHUNK || at_end {
                break;
            }
            // The last record is longer than the margin: fetch the rest of it.
            let mut rest = Vec::new();
            let missing = (start + walked.need).saturating_sub(available).max(MARGIN);
            match self.file.read_at(offset + available as u64, missing, &mut rest) {
                Ok(()) if !rest.is_empty() => batch.arena.extend_from_slice(&rest),
                Ok(()) => *failure = Some(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => *failure = Some(error),
            }
        }
        *next = offset + start as u64;
        let enough = limit(batch, before, self.count);
        let more = !walker.is_finished() && failure.is_none() && offset + (CHUNK as u64) < file_end && !enough;
        Walked { more, secrets: walker.take_secrets() }
    }
}

/// Cuts a batch at the number of packets that is wanted. Returns whether that was reached.
fn limit(batch: &mut Batch, before: u64, count: Option<u64>) -> bool {
    let Some(count) = count else { return false };
    let room = count.saturating_sub(before);
    if (batch.packets.len() as u64) < room {
        return false;
    }
    batch.packets.truncate(room as usize);
    true
}

/// Anything that must be read from front to back: pipes, compressed files, several files as one.
pub(super) struct StreamFeed {
    capture: Mutex<Capture>,
    count: Option<u64>,
}

impl StreamFeed {
    pub(super) fn new(capture: Capture, count: Option<u64>) -> Self {
        Self { capture: Mutex::new(capture), count }
    }

    pub(super) fn files(&self) -> Vec<FileSummary> {
        hold(&self.capture).files()
    }
}

impl Feed for StreamFeed {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, _: u64, _: &mut Batch) -> bool {
        true
    }

    fn walk(&self, _: u64, batch: &mut Batch) -> Walked {
        let mut capture = hold(&self.capture);
        let more = capture.next_batch(batch);
        let before = batch.first_packet.saturating_sub(1);
        let enough = limit(batch, before, self.count);
        Walked { more: more && !enough, secrets: capture.take_secrets() }
    }
}
