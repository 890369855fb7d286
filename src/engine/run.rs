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
//! bounded by the number of chunks under way, not by the length of the capture; what is kept grows with the
//! number of connections.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::ops::Index;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::dispatch::{Counts, Routed, SHARDS, Wanted};
use super::event::Finished;
use super::event::{Local, Numbering, Observer};
use super::shard::Shard;
use crate::connection::{Context, Keys};
use crate::packet::{Batch, Defragmenter};
use crate::sync::lock;

/// How many chunks a worker takes a shard through before it turns to the next shard, where connections are
/// many or hold inflate windows: those of one shard stay in the cache meanwhile, which those of all do not fit into. Otherwise it takes
/// all shards through one chunk, which then stays there.
const AHEAD: u64 = 16;

/// Where packets come from, in numbered chunks.
pub trait Feed: Sync {
    /// Whether one thread at a time must read (a stream, an interface).
    fn is_serial(&self) -> bool;

    /// Fetches the bytes of chunk `index`; any thread, any order. False when the input is known to end before it.
    fn fetch(&self, index: u64, batch: &mut Batch) -> bool;

    /// Finds the packets in the chunk; called in order of `index`, by one thread at a time.
    fn walk(&self, index: u64, batch: &mut Batch) -> Walked;

    /// The time it is after the chunk that was walked last, in nanoseconds since the epoch, where a clock tells it (an
    /// interface on which nothing may happen for long). `None`: the time of its latest packet.
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

/// How to run.
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

/// Connections in order of first packet. Each stays where its shard put it when it was over: at the end of a long
/// capture only their order is worked out, and none is moved.
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
    /// `shards`: what became of the connections of each shard, by their numbers there.
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

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Which shard followed it: see [`Local::shard`].
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

/// What the whole capture held.
#[derive(Debug)]
pub struct Analysis<K> {
    /// The connections that may matter, in order of first packet. Those proved to be none of ours are not among them.
    pub connections: Connections<K>,
    /// The whole in numbers.
    pub totals: Totals,
}

/// What the whole capture held, in numbers.
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

/// What one shard made of one chunk: its journal, and the first packets of the connections that began.
type Share<J> = Option<(J, Vec<u64>)>;

struct Published<J> {
    chunk: Arc<Chunk>,
    shares: Vec<Share<J>>,
    remaining: usize,
}

struct Turn {
    next: u64,
    keys: Arc<Keys>,
    first_packet: u64,
}

struct Ledger<J> {
    /// Next chunk to be claimed for reading.
    claim: u64,
    readers: usize,
    /// Number of chunks, once known.
    end: Option<u64>,
    routed: BTreeMap<u64, Chunk>,
    publish: u64,
    defragmenter: Defragmenter,
    /// Chunks `merge ..` that shards work on.
    published: VecDeque<Published<J>>,
    merge: u64,
    merging: bool,
    /// Next chunk of each shard, and whether a worker is on it.
    shards: Vec<(u64, bool)>,
    /// Shards whose connections hold much.
    heavy: ShardSet,
    /// Workers with nothing to do.
    asleep: usize,
    spare: Vec<(Batch, Routed)>,
    totals: Totals,
}

enum Job<J> {
    Read(u64, Box<(Batch, Routed)>),
    Shards(ShardSet, Vec<Arc<Chunk>>),
    Merge(Vec<Share<J>>, Arc<Chunk>),
    Done,
}

/// Shards by number, one bit each.
type ShardSet = u32;
const _: () = assert!(SHARDS <= ShardSet::BITS as usize);

struct Workshop<'w, 'o, F, O: Observer> {
    feed: &'w F,
    options: &'w Options<'o>,
    observer: &'w O,
    ledger: Mutex<Ledger<O::Journal>>,
    changed: Condvar,
    turn: Mutex<Turn>,
    turned: Condvar,
    shards: Vec<Mutex<Shard<O>>>,
    numbering: Mutex<Numbering>,
    under_way: u64,
    /// Shards that one worker takes at a time.
    at_once: usize,
}

/// Reads everything `feed` gives and follows every connection in it.
pub fn run<F: Feed, O: Observer>(feed: &F, options: &Options<'_>, observer: &O) -> Analysis<O::Kept> {
    let threads = options.threads.max(1);
    let workshop = Workshop {
        feed,
        options,
        observer,
        ledger: Mutex::new(Ledger {
            claim: 0,
            readers: 0,
            end: None,
            routed: BTreeMap::new(),
            publish: 0,
            defragmenter: Defragmenter::default(),
            published: VecDeque::new(),
            merge: 0,
            merging: false,
            shards: vec![(0, false); SHARDS],
            heavy: 0,
            asleep: 0,
            spare: Vec::new(),
            totals: Totals::default(),
        }),
        changed: Condvar::new(),
        turn: Mutex::new(Turn { next: 0, keys: Arc::new(options.keys.clone()), first_packet: 1 }),
        turned: Condvar::new(),
        shards: (0..SHARDS).map(|index| Mutex::new(Shard::new(index as u16))).collect(),
        numbering: Mutex::new(Numbering::new(SHARDS)),
        under_way: AHEAD + 4 * threads as u64,
        at_once: SHARDS.div_ceil(threads),
    };
    if threads == 1 {
        workshop.work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| workshop.work());
            }
        });
    }
    workshop.finish(threads)
}

impl<F: Feed, O: Observer> Workshop<'_, '_, F, O> {
    fn work(&self) {
        let mut wanted = self.options.wanted.map(|make| make());
        loop {
            match self.next_job() {
                Job::Read(index, buffers) => self.read(index, buffers, wanted.as_deref_mut()),
                Job::Shards(shards, chunks) => self.shards(shards, chunks),
                Job::Merge(shares, chunk) => self.merge(shares, chunk),
                Job::Done => return,
            }
        }
    }

    fn next_job(&self) -> Job<O::Journal> {
        let mut ledger = lock(&self.ledger);
        loop {
            if !ledger.merging && ledger.published.front().is_some_and(|front| front.remaining == 0) {
                ledger.merging = true;
                if let Some(Published { chunk, shares, .. }) = ledger.published.pop_front() {
                    ledger.merge += 1;
                    return Job::Merge(shares, chunk);
                }
            }
            let (merge, publish) = (ledger.merge, ledger.publish);
            let ready =
                ledger.shards.iter().filter(|(next, busy)| !busy && *next < publish).map(|(next, _)| *next).min();
            let open = ledger.end.is_none_or(|end| ledger.claim < end);
            let may_read =
                open && ledger.claim - merge < self.under_way && (ledger.readers == 0 || !self.feed.is_serial());
            // Where reading may have to wait for bytes, nothing waits for reading.
            let read_first = may_read && !self.feed.is_serial();
            let (ahead, at_once) = if ledger.heavy.count_ones() as usize * 4 >= SHARDS {
                // Much work each, and not the same for all: who is done first takes the next.
                (AHEAD, self.at_once.div_ceil(2))
            } else {
                (1, self.at_once)
            };
            if let Some(oldest) = ready
                && !(read_first && ledger.claim - oldest < ahead)
            {
                let mut set: ShardSet = 0;
                for (shard, (next, busy)) in ledger.shards.iter_mut().enumerate() {
                    if !*busy && *next == oldest && (set.count_ones() as usize) < at_once {
                        *busy = true;
                        set |= 1 << shard;
                    }
                }
                let from = (oldest - merge) as usize;
                let to = ledger.published.len().min(from + ahead as usize);
                return Job::Shards(set, ledger.published.range(from..to).map(|p| Arc::clone(&p.chunk)).collect());
            }
            if may_read {
                let index = ledger.claim;
                ledger.claim += 1;
                ledger.readers += 1;
                return Job::Read(index, Box::new(ledger.spare.pop().unwrap_or_default()));
            }
            if ledger.end.is_some_and(|end| ledger.merge >= end) && !ledger.merging {
                self.changed.notify_all();
                return Job::Done;
            }
            ledger.asleep += 1;
            ledger = self.changed.wait(ledger).unwrap_or_else(PoisonError::into_inner);
            ledger.asleep -= 1;
        }
    }

    /// Wakes the others when there is something for them.
    fn wake(&self, ledger: &Ledger<O::Journal>) {
        if ledger.asleep > 0 {
            self.changed.notify_all();
        }
    }

    fn read(&self, index: u64, buffers: Box<(Batch, Routed)>, wanted: Option<&mut Wanted>) {
        let (mut batch, mut routed) = *buffers;
        batch.packets.clear();
        let fetched = self.feed.fetch(index, &mut batch);
        let mut turn = lock(&self.turn);
        while turn.next != index {
            turn = self.turned.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        let ended = lock(&self.ledger).end.is_some_and(|end| index >= end);
        let walked = if fetched && !ended { Some(self.feed.walk(index, &mut batch)) } else { None };
        let mut end = None;
        match &walked {
            Some(walked) => {
                batch.first_packet = turn.first_packet;
                turn.first_packet += batch.packets.len() as u64;
                if !walked.secrets.is_empty() {
                    let mut keys = Keys::clone(&turn.keys);
                    walked.secrets.iter().for_each(|secrets| keys.add(secrets));
                    turn.keys = Arc::new(keys);
                }
                if !walked.more {
                    end = Some(index + 1);
                }
            }
            None => end = Some(index),
        }
        let keys = Arc::clone(&turn.keys);
        let now = self.feed.now();
        if let Some(end) = end {
            let mut ledger = lock(&self.ledger);
            ledger.end = Some(ledger.end.map_or(end, |known| known.min(end)));
        }
        turn.next += 1;
        self.turned.notify_all();
        drop(turn);
        if walked.is_some() {
            routed.route(&batch, wanted);
        }
        let mut ledger = lock(&self.ledger);
        ledger.readers -= 1;
        if walked.is_some() {
            let now = now.or(routed.counts().last);
            ledger.routed.insert(index, Chunk { index, batch, routed, keys, now });
            ledger.publish_ready();
        } else {
            ledger.spare.push((batch, routed));
        }
        self.wake(&ledger);
    }

    /// Takes each shard of the set through all the chunks, one shard after the other: what its connections hold stays
    /// in the cache meanwhile.
    fn shards(&self, set: ShardSet, chunks: Vec<Arc<Chunk>>) {
        let members = || (0..SHARDS).filter(|shard| set & (1 << shard) != 0);
        let mut shares: Vec<Share<O::Journal>> = Vec::with_capacity(chunks.len() * set.count_ones() as usize);
        let mut heavy: ShardSet = 0;
        for index in members() {
            let mut shard = lock(&self.shards[index]);
            for chunk in &chunks {
                let context = Context { keys: &chunk.keys, interest: self.observer.interest() };
                let mut journal = O::Journal::default();
                shard.chunk(&chunk.batch, &chunk.routed, chunk.now, &context, self.observer, &mut journal);
                shares.push(Some((journal, shard.take_began())));
            }
            heavy |= ShardSet::from(shard.is_heavy()) << index;
        }
        let Some(first) = chunks.first().map(|chunk| chunk.index) else { return };
        let end = first + chunks.len() as u64;
        // Let go before anybody may merge them: whoever does gives their buffers to the next reader.
        drop(chunks);
        let mut ledger = lock(&self.ledger);
        ledger.heavy = ledger.heavy & !set | heavy;
        let mut shares = shares.into_iter();
        for index in members() {
            for chunk in first..end {
                let at = (chunk - ledger.merge) as usize;
                let published = &mut ledger.published[at];
                published.shares[index] = shares.next().flatten();
                published.remaining -= 1;
            }
            ledger.shards[index] = (end, false);
        }
        self.wake(&ledger);
    }

    fn merge(&self, shares: Vec<Share<O::Journal>>, chunk: Arc<Chunk>) {
        self.number_and_merge(shares);
        let spare = Arc::try_unwrap(chunk).ok().map(|chunk| (chunk.batch, chunk.routed));
        let mut ledger = lock(&self.ledger);
        ledger.spare.extend(spare);
        ledger.merging = false;
        self.wake(&ledger);
    }

    fn number_and_merge(&self, shares: Vec<Share<O::Journal>>) {
        let mut began = Vec::new();
        let mut journals = Vec::with_capacity(shares.len());
        for (shard, share) in shares.into_iter().enumerate() {
            let (journal, first_packets) = share.unwrap_or_default();
            began.extend(first_packets.into_iter().map(|packet| (packet, shard as u16)));
            journals.push(journal);
        }
        began.sort_unstable();
        let mut numbering = lock(&self.numbering);
        numbering.extend(&began);
        self.observer.merge(&mut journals, &numbering);
    }

    fn finish(self, threads: usize) -> Analysis<O::Kept> {
        let keys = Arc::clone(&lock(&self.turn).keys);
        let interest = self.observer.interest();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let shares: Vec<Mutex<Share<O::Journal>>> = (0..SHARDS).map(|_| Mutex::new(None)).collect();
        let close = || {
            loop {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if index >= SHARDS {
                    return;
                }
                let mut journal = O::Journal::default();
                let context = Context { keys: &keys, interest };
                lock(&self.shards[index]).finish(&context, self.observer, &mut journal);
                *lock(&shares[index]) = Some((journal, Vec::new()));
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
        let shares = shares.into_iter().map(|share| share.into_inner().unwrap_or_default()).collect();
        self.number_and_merge(shares);
        let numbering = self.numbering.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ledger = self.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut totals = ledger.totals;
        totals.fragments_dropped = ledger.defragmenter.dropped();
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

impl<J> Ledger<J> {
    fn publish_ready(&mut self) {
        while let Some(mut chunk) = self.routed.remove(&self.publish) {
            chunk.routed.reassemble(&chunk.batch, &mut self.defragmenter);
            self.totals.add(&chunk.routed.counts());
            self.published.push_back(Published {
                chunk: Arc::new(chunk),
                shares: (0..SHARDS).map(|_| None).collect(),
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
