//! Several readers on one interface, each with a thread, a kernel buffer and a lane of its own.
//!
//! The kernel gives each packet to one of them (`fanout`). A reader takes its packets out of the kernel's buffer as
//! they come and puts them on the desk; whoever wants the next batch takes them from there and puts them in order
//! (`lanes`). When [`MAX_WAITING`] bytes lie there because nobody fetches them, the readers stop, the kernel's buffers
//! fill up, and the kernel counts what it drops.
//!
//! A reader does not see a packet at once. The kernel shows a block of its buffer when that is full, or when its timer
//! has run down: it looks at the block every [`READERS_TIMEOUT_MS`], and shows it at the second look that finds it
//! begun. So a reader that finds nothing knows that everything up to [`HIDDEN`] ago was shown, and says so. Nobody else's
//! packets from after that time are handed on yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{io, mem};

use super::lanes::Lanes;
use super::live::{Handle, LONGEST_NAP, LiveStatistics, PATIENCE, SHORTEST_NAP, StopHandle};
use super::source::ARENA_SIZE;
use crate::packet::Batch;

/// After how many milliseconds the kernel looks at a block that is not full.
pub(super) const READERS_TIMEOUT_MS: i32 = 5;

/// How long the kernel may hide a packet: two of its looks, on a kernel with a tick of 10 ms, and five times as long as
/// that, because on a machine whose cores are all taken its timers come late.
const HIDDEN: Duration = Duration::from_millis(100);

/// How long a batch is filled once it has packets.
const GATHER: Duration = Duration::from_millis(4);

/// Bytes of packets that wait to be fetched, of all readers together. A reader of which none wait may bring a
/// [`PIECE`] more: the others wait for it.
const MAX_WAITING: usize = 64 << 20;

/// Bytes that a reader brings at a time, but for the last packet.
const PIECE: usize = 256 << 10;

/// Less than this is put to what the reader brought before, if that still lies there.
const SMALL: usize = 16 << 10;

/// A reader that found at least so many bytes looks again soon.
const BUSY: usize = 64 << 10;

/// How long packets may arrive that have been captured before the end, on an interface that is never still.
const LAST_WAIT: Duration = Duration::from_secs(1);

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nanoseconds since the epoch, as the kernel stamps packets.
pub(super) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The readers of one interface.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    lanes: Lanes,
    spent: Vec<(usize, Batch)>,
    /// Packets stamped later are not part of the capture.
    cut: i64,
}

struct Shared {
    handles: Vec<Mutex<Handle>>,
    desk: Mutex<Desk>,
    /// Something was put on the desk.
    brought: Condvar,
    /// There is room on it.
    fetched: Condvar,
    stop: StopHandle,
    /// Nobody wants packets any more.
    abandoned: AtomicBool,
}

struct Desk {
    places: Vec<Place>,
    /// Bytes of packets on the desk and in the lanes.
    waiting: usize,
    spare: Vec<Batch>,
    /// Something was put here since somebody looked.
    news: bool,
    /// When the end was noticed: the time of the capture, and that of a clock that nobody sets.
    end: Option<(i64, Instant)>,
    failure: Option<pcap::Error>,
}

/// One reader's place on the desk.
#[derive(Default)]
struct Place {
    batches: VecDeque<(Batch, Instant)>,
    /// Bytes of its packets on the desk and in its lane.
    waiting: usize,
    horizon: Option<i64>,
    ended: bool,
}

impl Readers {
    /// Starts a thread for each handle.
    pub(super) fn start(handles: Vec<Handle>, stop: StopHandle) -> io::Result<Self> {
        let readers = handles.len();
        let shared = Arc::new(Shared {
            handles: handles.into_iter().map(Mutex::new).collect(),
            desk: Mutex::new(Desk {
                places: (0..readers).map(|_| Place::default()).collect(),
                waiting: 0,
                spare: Vec::new(),
                news: false,
                end: None,
                failure: None,
            }),
            brought: Condvar::new(),
            fetched: Condvar::new(),
            stop,
            abandoned: AtomicBool::new(false),
        });
        let lanes = Lanes::new(readers);
        let mut this = Self { shared, threads: Vec::with_capacity(readers), lanes, spent: Vec::new(), cut: i64::MAX };
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
            self.fetch();
            self.lanes.release(batch, most, self.cut, Instant::now(), &mut self.spent);
            let full = batch.arena.len() >= ARENA_SIZE || batch.packets.len() >= most;
            let over = self.lanes.is_over();
            let patience = if batch.packets.is_empty() { PATIENCE } else { GATHER };
            let left = patience.saturating_sub(started.elapsed());
            if full || over || left.is_zero() {
                let mut desk = self.shared.take_back(&mut self.spent);
                return match desk.failure.take_if(|_| over && batch.packets.is_empty()) {
                    Some(failure) => Err(failure),
                    None => Ok(!over || !batch.packets.is_empty()),
                };
            }
            let desk = self.shared.take_back(&mut self.spent);
            if !desk.news {
                drop(self.shared.brought.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Takes from the desk into the lanes.
    fn fetch(&mut self) {
        let mut desk = hold(&self.shared.desk);
        desk.news = false;
        let end = self.shared.end(&mut desk);
        // After a failure there may be packets of the others from after it; they are part of the capture.
        if let Some((cut, _)) = end.filter(|_| desk.failure.is_none()) {
            self.cut = cut;
        }
        for (lane, place) in desk.places.iter_mut().enumerate() {
            for (batch, brought) in place.batches.drain(..) {
                self.spent.extend(self.lanes.bring(lane, batch, brought).map(|batch| (lane, batch)));
            }
            if let Some(horizon) = place.horizon {
                self.lanes.reach(lane, horizon);
            }
            if place.ended {
                self.lanes.end(lane);
            }
        }
    }

    /// The time up to which all packets have been handed on, where that is known.
    pub(super) fn reached(&self) -> Option<i64> {
        self.lanes.reached().filter(|time| *time != i64::MIN)
    }

    /// What the kernel counted. Drops of the interface are not those of one reader: each handle counts all.
    pub(super) fn statistics(&self) -> Result<LiveStatistics, pcap::Error> {
        let mut total = LiveStatistics::default();
        for handle in &self.shared.handles {
            let counts = hold(handle).statistics()?;
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
            // Not between a reader's look and its sleep.
            let _desk = hold(&self.shared.desk);
            self.shared.abandoned.store(true, Ordering::Release);
            self.shared.fetched.notify_all();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What each thread does.
    fn read(&self, reader: usize) {
        let mut nap = SHORTEST_NAP;
        while let Some((mut batch, end)) = self.room(reader) {
            // Looked at before the packets are, so that what came before is still brought.
            let last = end.map(|(cut, noticed)| (cut, noticed.elapsed()));
            let (emptied, failure) = hold(&self.handles[reader]).drain(&mut batch, PIECE);
            let bytes = batch.arena.len();
            let ended = failure.is_some()
                || last.is_some_and(|(cut, since)| {
                    let beyond = batch.packets.last().is_some_and(|packet| packet.at > cut);
                    beyond || (emptied.is_some() && since > HIDDEN) || since > LAST_WAIT
                });
            self.bring(reader, batch, emptied, failure, ended);
            if ended {
                return;
            }
            // The less there was, the longer it may take until there is something worth the look.
            nap = if bytes >= BUSY { SHORTEST_NAP } else { LONGEST_NAP.min(nap * 2) };
            if emptied.is_some() {
                thread::sleep(nap);
            }
        }
    }

    /// Waits until the reader may bring more; gives an empty batch, and the end if it is near. `None` when nobody wants
    /// more.
    fn room(&self, reader: usize) -> Option<(Batch, Option<(i64, Instant)>)> {
        let mut desk = hold(&self.desk);
        loop {
            if self.abandoned.load(Ordering::Acquire) {
                return None;
            }
            if desk.waiting < MAX_WAITING || desk.places[reader].waiting == 0 {
                let end = self.end(&mut desk);
                return Some((desk.spare.pop().unwrap_or_default(), end));
            }
            desk = self.fetched.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the readers back what is used up.
    fn take_back(&self, spent: &mut Vec<(usize, Batch)>) -> MutexGuard<'_, Desk> {
        let mut desk = hold(&self.desk);
        if !spent.is_empty() {
            for (lane, mut batch) in spent.drain(..) {
                desk.waiting -= batch.arena.len();
                desk.places[lane].waiting -= batch.arena.len();
                batch.arena.clear();
                batch.packets.clear();
                desk.spare.push(batch);
            }
            self.fetched.notify_all();
        }
        desk
    }

    /// When the end was noticed: now, if there is one.
    fn end(&self, desk: &mut Desk) -> Option<(i64, Instant)> {
        if desk.end.is_none() && (self.stop.is_stopped() || desk.failure.is_some()) {
            desk.end = Some((wall_clock(), Instant::now()));
        }
        desk.end
    }

    fn bring(&self, reader: usize, mut batch: Batch, emptied: Option<i64>, failure: Option<pcap::Error>, ended: bool) {
        let mut desk = hold(&self.desk);
        let Desk { places, waiting, spare, .. } = &mut *desk;
        let place = &mut places[reader];
        let bytes = batch.arena.len();
        *waiting += bytes;
        place.waiting += bytes;
        match place.batches.back_mut() {
            Some((before, _)) if bytes < SMALL && before.arena.len() + bytes <= PIECE => {
                let base = before.arena.len() as u32;
                before.arena.append(&mut batch.arena);
                before.packets.extend(batch.packets.drain(..).map(|mut packet| {
                    packet.offset += base;
                    packet
                }));
                spare.push(batch);
            }
            _ if batch.packets.is_empty() => spare.push(batch),
            _ => place.batches.push_back((mem::take(&mut batch), Instant::now())),
        }
        if let Some(emptied) = emptied {
            place.horizon = Some(emptied.saturating_sub(HIDDEN.as_nanos() as i64));
        }
        place.ended = ended;
        if failure.is_some() && desk.failure.is_none() {
            desk.failure = failure;
        }
        if desk.waiting > 0 || ended {
            desk.news = true;
            self.brought.notify_one();
        }
    }
}
