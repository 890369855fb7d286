//! Feeds of the engine from files: numbered chunks, of one file that all threads read, or of a stream. Never decodes.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::Failure;
use super::progress::Progress;
use crate::capture::{Capture, ChunkedFile, FileSummary, Input, Walker};
use crate::engine::{self, Analysis, Feed, Observer, Walked};
use crate::output::redact::derive_key;
use crate::packet::{Batch, PacketRef};
use crate::sync::lock;

/// Packets at the beginning of a capture that make the key for the marks of redacted secrets, and bytes of each.
const KEY_PACKETS: usize = 4;
const KEY_BYTES: usize = 16 << 10;

/// Bytes of file in one chunk.
const CHUNK: usize = 512 << 10;
/// Bytes read beyond a chunk, so that its last record is mostly whole.
const MARGIN: usize = 4 << 10;

/// Stop flag and progress display of a capture that is read.
#[derive(Debug)]
pub(super) struct Watch {
    /// Set to stop reading.
    pub(super) stop: Arc<AtomicBool>,
    /// Display of the progress.
    pub(super) progress: Progress,
}

/// Files, opened as one capture.
pub(super) struct Files {
    road: Road,
    key: [u8; 32],
}

enum Road {
    Plain(FileFeed),
    Stream(StreamFeed),
}

impl Files {
    pub(super) fn open(files: &[PathBuf], count: Option<u64>, watch: Watch) -> Result<Self, Failure> {
        let inputs: Vec<Input> = files.iter().map(Input::from_argument).collect();
        let open = || Capture::open(&inputs).map_err(|error| Failure::run(error.to_string()));
        let capture = open()?;
        Ok(match capture.chunked() {
            // The file is opened a second time, because what was read of it cannot be read again in chunks.
            Some(file) => {
                let key = key_of(&first_packets(&mut open()?).0);
                Self { road: Road::Plain(FileFeed::new(file, count, watch)), key }
            }
            None => {
                let mut capture = capture;
                let (first, more) = first_packets(&mut capture);
                let key = key_of(&first);
                Self { road: Road::Stream(StreamFeed::new(capture, Some((first, more)), count, watch)), key }
            }
        })
    }

    /// Key for the marks of redacted secrets: derived from the first packets, independent of the file format, and not
    /// computable from the output, which shows no packet.
    pub(super) fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Reads to the end.
    pub(super) fn run<O: Observer>(
        &self,
        options: &engine::Options<'_>,
        observer: &O,
    ) -> (Analysis<O::Kept>, Vec<FileSummary>) {
        match &self.road {
            Road::Plain(feed) => {
                let found = engine::run(feed, options, observer);
                feed.watch.progress.clear();
                (found, vec![feed.summary()])
            }
            Road::Stream(feed) => {
                let found = engine::run(feed, options, observer);
                feed.watch.progress.clear();
                (found, lock(&feed.capture).0.files())
            }
        }
    }
}

/// Reads the packets that make the key. Returns whether more may follow.
fn first_packets(capture: &mut Capture) -> (Batch, bool) {
    let mut batch = Batch::default();
    let mut more = capture.next_batch(&mut batch);
    let mut next = Batch::default();
    while more && batch.packets.len() < KEY_PACKETS {
        more = capture.next_batch(&mut next);
        let base = batch.arena.len() as u32;
        batch.arena.extend_from_slice(&next.arena);
        batch.packets.extend(next.packets.iter().map(|packet| PacketRef { offset: packet.offset + base, ..*packet }));
    }
    (batch, more)
}

fn key_of(batch: &Batch) -> [u8; 32] {
    let packets = batch.iter().take(KEY_PACKETS);
    derive_key(packets.map(|packet| &packet.bytes[..packet.bytes.len().min(KEY_BYTES)]))
}

/// A plain file, read by all threads at once.
struct FileFeed {
    file: ChunkedFile,
    walk: Mutex<Walk>,
    count: Option<u64>,
    watch: Watch,
}

struct Walk {
    walker: Walker,
    /// Offset of the next record in the file.
    next: u64,
    failure: Option<io::Error>,
}

impl FileFeed {
    fn new(file: ChunkedFile, count: Option<u64>, watch: Watch) -> Self {
        Self { file, walk: Mutex::new(Walk { walker: Walker::new(), next: 0, failure: None }), count, watch }
    }

    fn summary(&self) -> FileSummary {
        let walk = lock(&self.walk);
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
            lock(&self.walk).failure.get_or_insert(error);
        }
        true
    }

    fn walk(&self, index: u64, batch: &mut Batch) -> Walked {
        let mut walk = lock(&self.walk);
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
        let stopped = self.watch.stop.load(Ordering::Acquire);
        let more =
            !walker.is_finished() && failure.is_none() && offset + (CHUNK as u64) < file_end && !enough && !stopped;
        self.watch.progress.at(walker.packets(), || (*next, Some(file_end)));
        Walked { more, secrets: walker.take_secrets() }
    }
}

/// Cuts a batch at the requested number of packets. Returns whether it was reached.
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
struct StreamFeed {
    /// The capture, and the packets read in advance for the key.
    capture: Mutex<(Capture, Option<(Batch, bool)>)>,
    count: Option<u64>,
    watch: Watch,
}

impl StreamFeed {
    fn new(capture: Capture, first: Option<(Batch, bool)>, count: Option<u64>, watch: Watch) -> Self {
        Self { capture: Mutex::new((capture, first)), count, watch }
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
        let mut capture = lock(&self.capture);
        let (capture, first) = &mut *capture;
        let more = match first.take() {
            Some((mut first, more)) => {
                first.first_packet = 1;
                *batch = first;
                more
            }
            None => capture.next_batch(batch),
        };
        let before = batch.first_packet.saturating_sub(1);
        let enough = limit(batch, before, self.count);
        let packets = before + batch.packets.len() as u64;
        self.watch.progress.at(packets, || size(&capture.files()));
        let stopped = self.watch.stop.load(Ordering::Acquire);
        Walked { more: more && !enough && !stopped, secrets: capture.take_secrets() }
    }
}

/// Bytes read of all files, and their size where it is known of all.
fn size(files: &[FileSummary]) -> (u64, Option<u64>) {
    (files.iter().map(|file| file.bytes).sum(), files.iter().map(|file| file.size).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;

    fn batch(packets: &[&[u8]]) -> Batch {
        let mut batch = Batch { first_packet: 1, ..Batch::default() };
        for packet in packets {
            batch.packets.push(PacketRef {
                at: 0,
                offset: batch.arena.len() as u32,
                captured: packet.len() as u32,
                original: packet.len() as u32,
                link: LinkType(1),
            });
            batch.arena.extend_from_slice(packet);
        }
        batch
    }

    #[test]
    fn the_key_is_made_of_the_first_packets() {
        let key = |packets: &[&[u8]]| key_of(&batch(packets));
        assert_eq!(key(&[b"a", b"b", b"c", b"d"]), key(&[b"a", b"b", b"c", b"d", b"e"]));
        assert_ne!(key(&[b"a", b"b", b"c", b"d"]), key(&[b"a", b"b", b"c", b"e"]));
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[]), key(&[b""]));
    }
}
