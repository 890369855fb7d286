//! All cores on one capture, with the same result for any number of them.
//!
//! ```text
//!   fetch chunk k      walk chunk k           route chunk k        publish k      shard s, chunk k      merge k
//!   (any thread) ───►  (in order, a few  ───► (any thread)   ───►  (in order) ──► (any thread,     ──► (in order)
//!                       ns a record)                                              in order per s)
//! ```
//!
//! Every worker does every kind of work. The walk over record headers is the only serial step on the way in:
//! a chunk begins exactly where the walk over the one before ended, so no boundary is ever guessed. Chunks
//! and shards do not depend on the number of threads, so neither does the result. The packets in memory are
//! bounded by the number of chunks in flight, not by the length of the capture; what is kept grows with the
//! number of connections.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::ops::Index;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::dispatch::{Counts, Routed, SHARDS, Wanted};
use super::numbering::{Local, Numbering};
use super::observer::{Finished, Observer};
use super::shard::Shard;
use crate::connection::{Context, Keys};
use crate::packet::{Batch, Defragmenter};
use crate::sync::lock;

/// Chunks that a worker takes one shard through before the next shard, where the connections of all shards together do
/// not fit into the cache: those of one shard then stay in it. Otherwise a worker takes all shards through one chunk,
/// whose packets then stay in the cache.
const CHUNK_RUN: u64 = 16;

/// Where packets come from, in numbered chunks.
pub trait Feed: Sync {
    /// Whether one thread at a time must read (a stream, an interface).
    fn is_serial(&self) -> bool;

    /// Fetches the bytes of chunk `index`; any thread, any order. False when the input is known to end before it.
    fn fetch(&self, index: u64, batch: &mut Batch) -> bool;

    /// Finds the packets in the chunk; called in order of `index`, by one thread at a time.
    fn walk(&self, index: u64, batch: &mut Batch) -> Walked;

    /// Time after the chunk that was walked last, in nanoseconds since the epoch, for sources with a clock (an interface
    /// may be silent for long). `None`: the time of its latest packet.
    fn now(&self) -> Option<i64> {
        None
    }
}

/// What the walk over a chunk found.
#[derive(Debug, Default)]
pub struct Walked {
    /// Whether chunks follow.
    pub more: bool,
    /// TLS secrets found in the capture itself, as NSS key-log text.
    pub secrets: Vec<Vec<u8>>,
}

/// Makes a filter for one worker.
pub type WantedFactory = dyn Fn() -> Box<Wanted> + Sync;

/// Options of [`run`].
pub struct Options<'f> {
    /// Worker threads; at least 1.
    pub threads: usize,
    /// Capture filter, if any.
    pub wanted: Option<&'f WantedFactory>,
    /// TLS secrets known from the start.
    pub keys: Keys,
}

/// One TCP connection of the capture.
#[derive(Debug)]
pub struct Known<K> {
    /// Wireshark's `tcp.stream`.
    pub tcp_stream: u32,
    /// What the observer kept of it.
    pub kept: K,
}

/// Connections in order of first packet. Each stays in the list of its shard; only the order is computed at the end of
/// a capture.
#[derive(Debug)]
pub struct Connections<K> {
    shards: Vec<Vec<Known<K>>>,
    order: Vec<NonZeroU32>,
}

/// Shard and index there, as [`Connections`] has them in order.
fn place(shard: usize, index: usize) -> Option<NonZeroU32> {
    u32::try_from(index * SHARDS + shard + 1).ok().and_then(NonZeroU32::new)
}

impl<K> Connections<K> {
    /// `shards`: the finished connections of each shard.
    pub(super) fn new(shards: impl Iterator<Item = Vec<Finished<K>>>, numbering: &Numbering) -> Self {
        // Streams are numbered without a gap, so their order is found by counting.
        let mut order = vec![None; numbering.tcp_connections() as usize];
        let shards = shards.enumerate().map(|(shard, finished)| {
            let known = |Finished { number, kept }| {
                let tcp_stream = numbering.tcp_stream(Local { shard: shard as u16, number });
                Known { tcp_stream, kept }
            };
            let known: Vec<Known<K>> = finished.into_iter().map(known).collect();
            for (index, known) in known.iter().enumerate() {
                if let Some(stream) = order.get_mut(known.tcp_stream as usize) {
                    *stream = place(shard, index);
                }
            }
            known
        });
        let shards = shards.collect();
        Self { shards, order: order.into_iter().flatten().collect() }
    }

    /// Number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Index of the shard that owned it: see [`Local::shard`].
    #[must_use]
    pub fn shard(&self, index: usize) -> usize {
        (self.order[index].get() as usize - 1) % SHARDS
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Known<K>> {
        (0..self.len()).map(|index| &self[index])
    }
}

impl<K> Index<usize> for Connections<K> {
    type Output = Known<K>;

    fn index(&self, index: usize) -> &Known<K> {
        let place = self.order[index].get() as usize - 1;
        &self.shards[place % SHARDS][place / SHARDS]
    }
}

/// The result of [`run`].
#[derive(Debug)]
pub struct Analysis<K> {
    /// Connections that are or may be WebSockets or attempts, in order of first packet.
    pub connections: Connections<K>,
    /// Counts over the whole capture.
    pub totals: Totals,
}

/// Counts over the whole capture.
#[derive(Debug, Default)]
pub struct Totals {
    /// All TCP connections.
    pub tcp_connections: u32,
    /// Packets read.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets that could not be decoded.
    pub undecodable: u64,
    /// Packets the filter excluded.
    pub excluded: u64,
    /// Earliest packet time, nanoseconds since the epoch.
    pub first: Option<i64>,
    /// Latest packet time.
    pub last: Option<i64>,
    /// TLS secrets known at the end.
    pub tls_secrets: usize,
    /// IP fragments that were given up.
    pub fragments_dropped: u64,
    /// Connections without any WebSocket that were only counted, because there were more than
    /// [`FAILURES`](super::FAILURES) in one shard.
    pub failures_not_kept: u64,
    /// Bounds of connections that were reached, by name, and how often.
    pub limits: BTreeMap<&'static str, u64>,
}

struct Chunk {
    index: u64,
    batch: Batch,
    routed: Routed,
    keys: Arc<Keys>,
    now: Option<i64>,
}

/// Output of one shard for one chunk: its journal, and the first packets of the connections that began.
type ShardOutput<J> = Option<(J, Vec<u64>)>;

/// A chunk that shards work on.
struct InFlight<J> {
    chunk: Arc<Chunk>,
    outputs: Vec<ShardOutput<J>>,
    remaining: usize,
}

/// State of the serial walk over record headers.
struct WalkState {
    next: u64,
    keys: Arc<Keys>,
    first_packet: u64,
}

/// Progress of all chunks through the stages; [`Pipeline::next_job`] decides by it.
struct Schedule<J> {
    /// Next chunk to be claimed for reading.
    claim: u64,
    readers: usize,
    /// Number of chunks, once known.
    end: Option<u64>,
    routed: BTreeMap<u64, Chunk>,
    publish: u64,
    defragmenter: Defragmenter,
    /// Chunks from `merge` on that shards work on.
    in_flight: VecDeque<InFlight<J>>,
    merge: u64,
    merging: bool,
    /// Next chunk of each shard, and whether a worker is on it.
    shards: Vec<(u64, bool)>,
    /// Shards whose connections do not fit into the cache.
    exceeding_cache: ShardSet,
    /// Workers that wait for a job.
    idle_workers: usize,
    buffer_pool: Vec<(Batch, Routed)>,
    totals: Totals,
}

/// Work for one worker.
enum Job<J> {
    Read(u64, Box<(Batch, Routed)>),
    Shards(ShardSet, Vec<Arc<Chunk>>),
    Merge(Vec<ShardOutput<J>>, Arc<Chunk>),
    Done,
}

/// Shards by number, one bit each.
type ShardSet = u32;
const _: () = assert!(SHARDS <= ShardSet::BITS as usize);

/// Everything that workers share.
struct Pipeline<'w, 'o, F, O: Observer> {
    feed: &'w F,
    options: &'w Options<'o>,
    observer: &'w O,
    schedule: Mutex<Schedule<O::Journal>>,
    changed: Condvar,
    walk_state: Mutex<WalkState>,
    walk_advanced: Condvar,
    shards: Vec<Mutex<Shard<O>>>,
    numbering: Mutex<Numbering>,
    max_in_flight: u64,
    /// Shards that one worker takes in one job.
    shards_per_job: usize,
}

/// Reads everything `feed` gives and follows every connection in it.
pub fn run<F: Feed, O: Observer>(feed: &F, options: &Options<'_>, observer: &O) -> Analysis<O::Kept> {
    let threads = options.threads.max(1);
    let pipeline = Pipeline {
        feed,
        options,
        observer,
        schedule: Mutex::new(Schedule {
            claim: 0,
            readers: 0,
            end: None,
            routed: BTreeMap::new(),
            publish: 0,
            defragmenter: Defragmenter::default(),
            in_flight: VecDeque::new(),
            merge: 0,
            merging: false,
            shards: vec![(0, false); SHARDS],
            exceeding_cache: 0,
            idle_workers: 0,
            buffer_pool: Vec::new(),
            totals: Totals::default(),
        }),
        changed: Condvar::new(),
        walk_state: Mutex::new(WalkState { next: 0, keys: Arc::new(options.keys.clone()), first_packet: 1 }),
        walk_advanced: Condvar::new(),
        shards: (0..SHARDS).map(|index| Mutex::new(Shard::new(index as u16))).collect(),
        numbering: Mutex::new(Numbering::new(SHARDS)),
        max_in_flight: CHUNK_RUN + 4 * threads as u64,
        shards_per_job: SHARDS.div_ceil(threads),
    };
    if threads == 1 {
        pipeline.work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| pipeline.work());
            }
        });
    }
    pipeline.finish(threads)
}

impl<F: Feed, O: Observer> Pipeline<'_, '_, F, O> {
    fn work(&self) {
        let mut wanted = self.options.wanted.map(|make| make());
        loop {
            match self.next_job() {
                Job::Read(index, buffers) => self.read(index, buffers, wanted.as_deref_mut()),
                Job::Shards(shards, chunks) => self.shards(shards, chunks),
                Job::Merge(outputs, chunk) => self.merge(outputs, chunk),
                Job::Done => return,
            }
        }
    }

    fn next_job(&self) -> Job<O::Journal> {
        let mut schedule = lock(&self.schedule);
        loop {
            if !schedule.merging && schedule.in_flight.front().is_some_and(|front| front.remaining == 0) {
                schedule.merging = true;
                if let Some(InFlight { chunk, outputs, .. }) = schedule.in_flight.pop_front() {
                    schedule.merge += 1;
                    return Job::Merge(outputs, chunk);
                }
            }
            let (merge, publish) = (schedule.merge, schedule.publish);
            let ready =
                schedule.shards.iter().filter(|(next, busy)| !busy && *next < publish).map(|(next, _)| *next).min();
            let open = schedule.end.is_none_or(|end| schedule.claim < end);
            let may_read = open
                && schedule.claim - merge < self.max_in_flight
                && (schedule.readers == 0 || !self.feed.is_serial());
            // A serial source may block, so work that is ready comes before reading.
            let read_first = may_read && !self.feed.is_serial();
            let (ahead, shards_per_job) = if schedule.exceeding_cache.count_ones() as usize * 4 >= SHARDS {
                // Jobs are long and uneven: small ones balance better.
                (CHUNK_RUN, self.shards_per_job.div_ceil(2))
            } else {
                (1, self.shards_per_job)
            };
            if let Some(oldest) = ready
                && !(read_first && schedule.claim - oldest < ahead)
            {
                let mut set: ShardSet = 0;
                for (shard, (next, busy)) in schedule.shards.iter_mut().enumerate() {
                    if !*busy && *next == oldest && (set.count_ones() as usize) < shards_per_job {
                        *busy = true;
                        set |= 1 << shard;
                    }
                }
                let from = (oldest - merge) as usize;
                let to = schedule.in_flight.len().min(from + ahead as usize);
                return Job::Shards(set, schedule.in_flight.range(from..to).map(|p| Arc::clone(&p.chunk)).collect());
            }
            if may_read {
                let index = schedule.claim;
                schedule.claim += 1;
                schedule.readers += 1;
                return Job::Read(index, Box::new(schedule.buffer_pool.pop().unwrap_or_default()));
            }
            if schedule.end.is_some_and(|end| schedule.merge >= end) && !schedule.merging {
                self.changed.notify_all();
                return Job::Done;
            }
            schedule.idle_workers += 1;
            schedule = self.changed.wait(schedule).unwrap_or_else(PoisonError::into_inner);
            schedule.idle_workers -= 1;
        }
    }

    /// Wakes waiting workers.
    fn wake(&self, schedule: &Schedule<O::Journal>) {
        if schedule.idle_workers > 0 {
            self.changed.notify_all();
        }
    }

    fn read(&self, index: u64, buffers: Box<(Batch, Routed)>, wanted: Option<&mut Wanted>) {
        let (mut batch, mut routed) = *buffers;
        batch.packets.clear();
        let fetched = self.feed.fetch(index, &mut batch);
        let mut walk_state = lock(&self.walk_state);
        while walk_state.next != index {
            walk_state = self.walk_advanced.wait(walk_state).unwrap_or_else(PoisonError::into_inner);
        }
        let ended = lock(&self.schedule).end.is_some_and(|end| index >= end);
        let walked = if fetched && !ended { Some(self.feed.walk(index, &mut batch)) } else { None };
        let mut end = None;
        match &walked {
            Some(walked) => {
                batch.first_packet = walk_state.first_packet;
                walk_state.first_packet += batch.packets.len() as u64;
                if !walked.secrets.is_empty() {
                    let mut keys = Keys::clone(&walk_state.keys);
                    walked.secrets.iter().for_each(|secrets| keys.add(secrets));
                    walk_state.keys = Arc::new(keys);
                }
                if !walked.more {
                    end = Some(index + 1);
                }
            }
            None => end = Some(index),
        }
        let keys = Arc::clone(&walk_state.keys);
        let now = self.feed.now();
        if let Some(end) = end {
            let mut schedule = lock(&self.schedule);
            schedule.end = Some(schedule.end.map_or(end, |known| known.min(end)));
        }
        walk_state.next += 1;
        self.walk_advanced.notify_all();
        drop(walk_state);
        if walked.is_some() {
            routed.route(&batch, wanted);
        }
        let mut schedule = lock(&self.schedule);
        schedule.readers -= 1;
        if walked.is_some() {
            let now = now.or(routed.counts().last);
            schedule.routed.insert(index, Chunk { index, batch, routed, keys, now });
            schedule.publish_ready();
        } else {
            schedule.buffer_pool.push((batch, routed));
        }
        self.wake(&schedule);
    }

    /// Takes each shard of the set through all the chunks, one shard after the other, so that its connections stay in
    /// the cache.
    fn shards(&self, set: ShardSet, chunks: Vec<Arc<Chunk>>) {
        let members = || (0..SHARDS).filter(|shard| set & (1 << shard) != 0);
        let mut outputs: Vec<ShardOutput<O::Journal>> = Vec::with_capacity(chunks.len() * set.count_ones() as usize);
        let mut exceeding_cache: ShardSet = 0;
        for index in members() {
            let mut shard = lock(&self.shards[index]);
            for chunk in &chunks {
                let context = Context { keys: &chunk.keys, interest: self.observer.interest() };
                let mut journal = O::Journal::default();
                shard.chunk(&chunk.batch, &chunk.routed, chunk.now, &context, self.observer, &mut journal);
                outputs.push(Some((journal, shard.take_began())));
            }
            exceeding_cache |= ShardSet::from(shard.exceeds_cache()) << index;
        }
        let Some(first) = chunks.first().map(|chunk| chunk.index) else { return };
        let end = first + chunks.len() as u64;
        // Released before they may be merged: the merger returns their buffers to the pool.
        drop(chunks);
        let mut schedule = lock(&self.schedule);
        schedule.exceeding_cache = schedule.exceeding_cache & !set | exceeding_cache;
        let mut outputs = outputs.into_iter();
        for index in members() {
            for chunk in first..end {
                let at = (chunk - schedule.merge) as usize;
                let in_flight = &mut schedule.in_flight[at];
                in_flight.outputs[index] = outputs.next().flatten();
                in_flight.remaining -= 1;
            }
            schedule.shards[index] = (end, false);
        }
        self.wake(&schedule);
    }

    fn merge(&self, outputs: Vec<ShardOutput<O::Journal>>, chunk: Arc<Chunk>) {
        self.number_and_merge(outputs);
        let buffer_pool = Arc::try_unwrap(chunk).ok().map(|chunk| (chunk.batch, chunk.routed));
        let mut schedule = lock(&self.schedule);
        schedule.buffer_pool.extend(buffer_pool);
        schedule.merging = false;
        self.wake(&schedule);
    }

    fn number_and_merge(&self, outputs: Vec<ShardOutput<O::Journal>>) {
        let mut began = Vec::new();
        let mut journals = Vec::with_capacity(outputs.len());
        for (shard, output) in outputs.into_iter().enumerate() {
            let (journal, first_packets) = output.unwrap_or_default();
            began.extend(first_packets.into_iter().map(|packet| (packet, shard as u16)));
            journals.push(journal);
        }
        began.sort_unstable();
        let mut numbering = lock(&self.numbering);
        numbering.extend(&began);
        self.observer.merge(&mut journals, &numbering);
    }

    fn finish(self, threads: usize) -> Analysis<O::Kept> {
        let keys = Arc::clone(&lock(&self.walk_state).keys);
        let interest = self.observer.interest();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let outputs: Vec<Mutex<ShardOutput<O::Journal>>> = (0..SHARDS).map(|_| Mutex::new(None)).collect();
        let close = || {
            loop {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if index >= SHARDS {
                    return;
                }
                let mut journal = O::Journal::default();
                let context = Context { keys: &keys, interest };
                lock(&self.shards[index]).finish(&context, self.observer, &mut journal);
                *lock(&outputs[index]) = Some((journal, Vec::new()));
            }
        };
        if threads == 1 {
            close();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(close);
                }
            });
        }
        let outputs = outputs.into_iter().map(|output| output.into_inner().unwrap_or_default()).collect();
        self.number_and_merge(outputs);
        let numbering = self.numbering.into_inner().unwrap_or_else(PoisonError::into_inner);
        let schedule = self.schedule.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut totals = schedule.totals;
        totals.fragments_dropped = schedule.defragmenter.dropped();
        totals.tcp_connections = numbering.tcp_connections();
        totals.tls_secrets = keys.len();
        let finished = self.shards.into_iter().map(|shard| {
            let mut shard = shard.into_inner().unwrap_or_else(PoisonError::into_inner);
            totals.failures_not_kept += shard.failures_not_kept();
            for (name, count) in shard.limits() {
                *totals.limits.entry(name).or_default() += count;
            }
            shard.take_finished()
        });
        let connections = Connections::new(finished, &numbering);
        Analysis { connections, totals }
    }
}

impl<J> Schedule<J> {
    fn publish_ready(&mut self) {
        while let Some(mut chunk) = self.routed.remove(&self.publish) {
            chunk.routed.reassemble(&chunk.batch, &mut self.defragmenter);
            self.totals.add(&chunk.routed.counts());
            self.in_flight.push_back(InFlight {
                chunk: Arc::new(chunk),
                outputs: (0..SHARDS).map(|_| None).collect(),
                remaining: SHARDS,
            });
            self.publish += 1;
        }
    }
}

impl Totals {
    fn add(&mut self, counts: &Counts) {
        self.packets += counts.packets;
        self.bytes += counts.bytes;
        self.undecodable += counts.undecodable;
        self.excluded += counts.excluded;
        if let Some(first) = counts.first {
            self.first = Some(self.first.map_or(first, |known| known.min(first)));
        }
        if let Some(last) = counts.last {
            self.last = Some(self.last.map_or(last, |known| known.max(last)));
        }
    }
}
