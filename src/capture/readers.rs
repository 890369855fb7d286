//! Several readers on one interface, each with a thread, a kernel buffer and a queue of its own.
//!
//! The kernel gives each packet to one of them (`fanout`). A reader takes its packets out of the kernel's buffer as
//! they arrive and queues them; the consumer moves the queues into the merge by time (`time_merge`) and takes batches
//! from there. When [`MAX_QUEUED`] bytes are queued because the consumer is behind, the readers pause, the kernel's
//! buffers fill up, and the kernel counts what it drops.
//!
//! A reader does not see a packet at once. The kernel publishes a block of its buffer when that is full, or by timer:
//! it checks the block every [`READERS_TIMEOUT_MS`], and publishes it at the second check that finds it begun. So a
//! reader that finds nothing knows that everything up to [`PUBLISH_DELAY`] ago was published; that is its watermark.
//! Packets of other readers from after that time are not handed on yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::handle::{Handle, LONGEST_NAP, LiveStatistics, PATIENCE, SHORTEST_NAP, StopHandle, wall_clock};
use super::source::ARENA_SIZE;
use super::time_merge::TimeMerge;
use crate::packet::Batch;
use crate::sync::{lock, wait, wait_timeout};

/// After how many milliseconds the kernel checks a block that is not full.
pub(super) const READERS_TIMEOUT_MS: i32 = 5;

/// How long a packet may be in the kernel unpublished: two of its checks, on a kernel with a tick of 10 ms, and five
/// times as long as that, because timers run late on a machine whose cores are all busy.
const PUBLISH_DELAY: Duration = Duration::from_millis(100);

/// How long a batch is filled once it has packets.
const FILL_TIME: Duration = Duration::from_millis(4);

/// Bytes of packets waiting for the consumer, of all readers together. A reader with an empty queue may exceed it by
/// one [`READ_SIZE`]: the merge waits for its packets.
const MAX_QUEUED: usize = 64 << 20;

/// Bytes that a reader takes at a time, rounded up to a whole packet.
const READ_SIZE: usize = 256 << 10;

/// Batches smaller than this are appended to the one queued before them, if it is still there.
const SMALL: usize = 16 << 10;

/// A reader that found at least this many bytes polls again soon.
const BUSY: usize = 64 << 10;

/// How long after the end packets from before it may still arrive, on an interface that is never idle.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The readers of one interface.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    merge: TimeMerge,
    /// Consumed batches, each with its reader.
    spent: Vec<(usize, Batch)>,
    /// Packets stamped later are not part of the capture.
    cutoff: i64,
}

struct Shared {
    handles: Vec<Mutex<Handle>>,
    queues: Mutex<Queues>,
    /// A reader has queued packets, or ended.
    packets_queued: Condvar,
    /// The consumer has made room.
    space_freed: Condvar,
    stop: StopHandle,
    /// The consumer is gone.
    abandoned: AtomicBool,
}

struct Queues {
    of_reader: Vec<Queue>,
    /// Bytes of packets in the queues and in the merge.
    queued: usize,
    /// Empty batches for reuse.
    spare: Vec<Batch>,
    /// Something was queued since the consumer last took the queues.
    changed: bool,
    /// When the end was noticed: by the wall clock, and by the monotonic clock.
    end: Option<(i64, Instant)>,
    failure: Option<pcap::Error>,
}

/// Packets of one reader that the consumer has not taken yet.
#[derive(Default)]
struct Queue {
    /// Each with the time at which it was queued.
    batches: VecDeque<(Batch, Instant)>,
    /// Bytes of its packets here and in the merge.
    queued: usize,
    watermark: Option<i64>,
    ended: bool,
}

impl Readers {
    /// Starts a thread for each handle.
    pub(super) fn start(handles: Vec<Handle>, stop: StopHandle) -> io::Result<Self> {
        let readers = handles.len();
        let shared = Arc::new(Shared {
            handles: handles.into_iter().map(Mutex::new).collect(),
            queues: Mutex::new(Queues {
                of_reader: (0..readers).map(|_| Queue::default()).collect(),
                queued: 0,
                spare: Vec::new(),
                changed: false,
                end: None,
                failure: None,
            }),
            packets_queued: Condvar::new(),
            space_freed: Condvar::new(),
            stop,
            abandoned: AtomicBool::new(false),
        });
        let (threads, merge) = (Vec::with_capacity(readers), TimeMerge::new(readers));
        let mut this = Self { shared, threads, merge, spent: Vec::new(), cutoff: i64::MAX };
        for reader in 0..readers {
            let shared = Arc::clone(&this.shared);
            let thread = thread::Builder::new().name(format!("reader {reader}"));
            this.threads.push(thread.spawn(move || shared.read(reader))?);
        }
        Ok(this)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.shared.handles.len()
    }

    /// As [`Live::next_batch`](super::Live::next_batch), with at most `most` packets.
    pub(super) fn next_batch(&mut self, batch: &mut Batch, most: usize) -> Result<bool, pcap::Error> {
        let started = Instant::now();
        loop {
            self.take_queued();
            self.merge.release(batch, most, self.cutoff, Instant::now(), &mut self.spent);
            let full = batch.arena.len() >= ARENA_SIZE || batch.packets.len() >= most;
            let over = self.merge.is_over();
            let patience = if batch.packets.is_empty() { PATIENCE } else { FILL_TIME };
            let left = patience.saturating_sub(started.elapsed());
            if full || over || left.is_zero() {
                let mut queues = self.shared.recycle(&mut self.spent);
                return match queues.failure.take_if(|_| over && batch.packets.is_empty()) {
                    Some(failure) => Err(failure),
                    None => Ok(!over || !batch.packets.is_empty()),
                };
            }
            let queues = self.shared.recycle(&mut self.spent);
            if !queues.changed {
                drop(wait_timeout(&self.shared.packets_queued, queues, left));
            }
        }
    }

    /// Moves everything queued into the merge.
    fn take_queued(&mut self) {
        let mut queues = lock(&self.shared.queues);
        queues.changed = false;
        let end = self.shared.end(&mut queues);
        // After a failure of one reader, later packets of the others are still part of the capture.
        if let Some((cutoff, _)) = end.filter(|_| queues.failure.is_none()) {
            self.cutoff = cutoff;
        }
        for (reader, queue) in queues.of_reader.iter_mut().enumerate() {
            for (batch, queued_at) in queue.batches.drain(..) {
                self.spent.extend(self.merge.push(reader, batch, queued_at).map(|batch| (reader, batch)));
            }
            if let Some(watermark) = queue.watermark {
                self.merge.set_watermark(reader, watermark);
            }
            if queue.ended {
                self.merge.end(reader);
            }
        }
    }

    /// The time up to which all packets have been handed on, where that is known.
    pub(super) fn watermark(&self) -> Option<i64> {
        self.merge.watermark().filter(|time| *time != i64::MIN)
    }

    /// The kernel's counts. Drops by the interface are not added up: each handle counts all of them.
    pub(super) fn statistics(&self) -> Result<LiveStatistics, pcap::Error> {
        let mut total = LiveStatistics::default();
        for handle in &self.shared.handles {
            let counts = lock(handle).statistics()?;
            total.received += counts.received;
            total.dropped += counts.dropped;
            total.if_dropped = total.if_dropped.max(counts.if_dropped);
        }
        Ok(total)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        {
            // Under the lock, so that no reader is between its check of the flag and its wait.
            let _queues = lock(&self.shared.queues);
            self.shared.abandoned.store(true, Ordering::Release);
            self.shared.space_freed.notify_all();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The body of each reader thread.
    fn read(&self, reader: usize) {
        let mut nap = SHORTEST_NAP;
        while let Some((mut batch, end)) = self.wait_for_space(reader) {
            // Computed before the packets are read, so that those captured before the end are still queued.
            let last = end.map(|(cutoff, noticed)| (cutoff, noticed.elapsed()));
            let (emptied, failure) = lock(&self.handles[reader]).drain(&mut batch, READ_SIZE);
            let bytes = batch.arena.len();
            let ended = failure.is_some()
                || last.is_some_and(|(cutoff, since)| {
                    let beyond = batch.packets.last().is_some_and(|packet| packet.at > cutoff);
                    beyond || (emptied.is_some() && since > PUBLISH_DELAY) || since > LAST_WAIT
                });
            self.enqueue(reader, batch, emptied, failure, ended);
            if ended {
                return;
            }
            // The fewer packets there were, the longer the pause until a poll is worthwhile.
            nap = if bytes >= BUSY { SHORTEST_NAP } else { LONGEST_NAP.min(nap * 2) };
            if emptied.is_some() {
                thread::sleep(nap);
            }
        }
    }

    /// Waits until the reader may queue more; returns an empty batch, and the end if it was noticed. `None` when the
    /// consumer is gone.
    fn wait_for_space(&self, reader: usize) -> Option<(Batch, Option<(i64, Instant)>)> {
        let mut queues = lock(&self.queues);
        loop {
            if self.abandoned.load(Ordering::Acquire) {
                return None;
            }
            if queues.queued < MAX_QUEUED || queues.of_reader[reader].queued == 0 {
                let end = self.end(&mut queues);
                return Some((queues.spare.pop().unwrap_or_default(), end));
            }
            queues = wait(&self.space_freed, queues);
        }
    }

    /// Returns consumed batches to the readers.
    fn recycle(&self, spent: &mut Vec<(usize, Batch)>) -> MutexGuard<'_, Queues> {
        let mut queues = lock(&self.queues);
        if !spent.is_empty() {
            for (reader, mut batch) in spent.drain(..) {
                queues.queued -= batch.arena.len();
                queues.of_reader[reader].queued -= batch.arena.len();
                batch.arena.clear();
                batch.packets.clear();
                queues.spare.push(batch);
            }
            self.space_freed.notify_all();
        }
        queues
    }

    /// When the end was noticed; notices it now if the capture was stopped or failed.
    fn end(&self, queues: &mut Queues) -> Option<(i64, Instant)> {
        if queues.end.is_none() && (self.stop.is_stopped() || queues.failure.is_some()) {
            queues.end = Some((wall_clock(), Instant::now()));
        }
        queues.end
    }

    /// Queues what a reader read. `emptied`: when the kernel's buffer was last seen empty.
    fn enqueue(
        &self,
        reader: usize,
        mut batch: Batch,
        emptied: Option<i64>,
        failure: Option<pcap::Error>,
        ended: bool,
    ) {
        let mut queues = lock(&self.queues);
        let Queues { of_reader, queued, spare, .. } = &mut *queues;
        let queue = &mut of_reader[reader];
        let bytes = batch.arena.len();
        *queued += bytes;
        queue.queued += bytes;
        match queue.batches.back_mut() {
            Some((before, _)) if bytes < SMALL && before.arena.len() + bytes <= READ_SIZE => {
                let base = before.arena.len() as u32;
                before.arena.append(&mut batch.arena);
                before.packets.extend(batch.packets.drain(..).map(|mut packet| {
                    packet.offset += base;
                    packet
                }));
                spare.push(batch);
            }
            _ if batch.packets.is_empty() => spare.push(batch),
            _ => queue.batches.push_back((mem::take(&mut batch), Instant::now())),
        }
        if let Some(emptied) = emptied {
            queue.watermark = Some(emptied.saturating_sub(PUBLISH_DELAY.as_nanos() as i64));
        }
        queue.ended = ended;
        if failure.is_some() && queues.failure.is_none() {
            queues.failure = failure;
        }
        if queues.queued > 0 || ended {
            queues.changed = true;
            self.packets_queued.notify_one();
        }
    }
}
