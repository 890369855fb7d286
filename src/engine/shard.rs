//! One shard of the connections: a table with one owner, fed in the order of the capture.

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;

use hashbrown::HashTable;

use super::dispatch::{Routed, hash_of};
use super::numbering::Local;
use super::observer::{Event, Finished, Observer, Over};
use crate::connection::{Context, EntryEvent, Stack};
use crate::packet::{Batch, IcmpError, Segment, TcpFlags};
use crate::stream::End;
use crate::tcp::{Connection, FlowKey};

/// Nanoseconds of capture time for which a closed connection still accepts late segments.
pub const LINGER: i64 = 500_000_000;

/// Most flows in one shard at a time; two million in all shards. Beyond that the oldest are
/// forgotten, and a late packet of such a flow counts as a new connection.
pub const FLOWS: usize = 1 << 16;
/// Most connections without any WebSocket that one shard keeps for the report (all shards: 131 072); of the rest only
/// the number is kept. A scan or a flood makes millions of them.
pub const FAILURES: usize = 1 << 12;
/// Silence, in nanoseconds of capture time, after which a connection may be evicted for a new one.
const SILENT: i64 = 60_000_000_000;
/// Idle time, in nanoseconds of capture time, after which a connection's buffers are shrunk.
const IDLE: i64 = 5_000_000_000;
/// Slots checked for idleness after each chunk.
const IDLE_CHECKS: usize = 16;
/// Most allocations of closed connections kept for reuse.
const POOLED: usize = 64;
/// Live connections of one shard, a few kilobytes each, from which on those of all shards together do not fit into a
/// core's cache.
const MANY: usize = 32;
/// Most records in one batch for the observer.
const BATCH: usize = 64;
/// Active connections that are skipped before one of them is evicted.
const SKIPPED_ACTIVE: u32 = 64;

/// Remainder of a connection that is closed or carries no WebSocket: enough to know whether a SYN opens a new one.
#[derive(Debug)]
struct Passing {
    tcp_over: bool,
    bases: [Option<u32>; 2],
}

#[derive(Debug)]
struct Live {
    tcp: Connection,
    stack: Stack,
    /// When the TCP connection ended; `i64::MAX` while it is open.
    over_since: i64,
}

#[derive(Debug)]
enum State {
    /// Followed by all layers.
    Live(Box<Live>),
    /// Proved to carry no WebSocket: only counted.
    Passing(Passing),
    /// Over: later segments are ignored unless they open a new connection.
    Over(Passing),
}

#[derive(Debug)]
struct Slot {
    key: FlowKey,
    number: u32,
    state: State,
}

/// The connections of one shard.
pub(super) struct Shard<O: Observer> {
    index: u16,
    table: HashTable<Place>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots in order of their connections' beginnings: slot and number.
    order: VecDeque<(u32, u32)>,
    numbers: u32,
    /// First packet of each connection that began in the current chunk.
    began: Vec<u64>,
    /// Connections without any WebSocket that are kept, and how many more there were.
    failures: usize,
    failures_not_kept: u64,
    /// Bounds of connections that were reached, by name, and how often.
    limits: BTreeMap<&'static str, u64>,
    closing: VecDeque<(u32, u32, i64)>,
    /// Records of connections that are over, for the observer: [`BATCH`] at most.
    over: Vec<Over>,
    finished: Vec<Finished<O::Kept>>,
    /// Allocations for reuse; [`POOLED`] at most.
    #[allow(clippy::vec_box, reason = "boxes go to and fro between here and the slots, and what they hold stays put")]
    pool: Vec<Box<Live>>,
    /// Number of live connections.
    live: usize,
    /// The slot of the latest packet.
    latest: u32,
    /// The slot checked next for idleness, and when the next round over all of them begins.
    idle_cursor: usize,
    next_idle_round: i64,
    /// Slot of each packet of the chunk before the chunk; empty once slots may have changed.
    prefetched: Vec<u32>,
}

/// An entry of the table: which slot, and the hash of its key.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u32,
    hash: u32,
}

/// No slot.
const NOWHERE: u32 = u32::MAX;

/// A hash as the table wants it, which looks at both ends of it.
fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl<O: Observer> Shard<O> {
    pub(super) fn new(index: u16) -> Self {
        Self {
            index,
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            numbers: 0,
            began: Vec::new(),
            failures: 0,
            failures_not_kept: 0,
            limits: BTreeMap::new(),
            closing: VecDeque::new(),
            over: Vec::new(),
            finished: Vec::new(),
            pool: Vec::new(),
            live: 0,
            latest: NOWHERE,
            idle_cursor: 0,
            next_idle_round: i64::MIN,
            prefetched: Vec::new(),
        }
    }

    /// First packets of the connections that began since the last call, in order.
    pub(super) fn take_began(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.began)
    }

    pub(super) fn failures_not_kept(&self) -> u64 {
        self.failures_not_kept
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.limits.iter().map(|(name, count)| (*name, *count))
    }

    pub(super) fn take_finished(&mut self) -> Vec<Finished<O::Kept>> {
        std::mem::take(&mut self.finished)
    }

    /// Whether the connections of all shards may exceed the cache: there are many here, or the one of the latest packet
    /// holds inflate windows.
    pub(super) fn exceeds_cache(&self) -> bool {
        self.live >= MANY
            || match self.slots.get(self.latest as usize).map(|slot| &slot.state) {
                Some(State::Live(live)) => live.stack.holds_windows(),
                _ => false,
            }
    }

    /// Processes this shard's packets of one chunk, in order. `now`: time after the chunk, also when it is empty.
    pub(super) fn chunk(
        &mut self,
        batch: &Batch,
        routed: &Routed,
        now: Option<i64>,
        context: &Context<'_>,
        observer: &O,
        journal: &mut O::Journal,
    ) {
        self.prefetch(routed, batch);
        routed.for_each(usize::from(self.index), batch, |nth, hash, segment, excluded| {
            self.segment(nth, hash, segment, excluded, context, observer, journal);
        });
        self.prefetched.clear();
        for (key, error) in routed.icmp(usize::from(self.index)) {
            self.icmp(key, *error);
        }
        if let Some(now) = now {
            self.retire(now, context, observer, journal);
            self.shrink_idle(now);
        }
        self.keep(observer, journal);
    }

    /// Prefetches the chunk's packets and their connections. Thousands of connections do not fit into the cache; read one
    /// after the other, each would cost a full memory latency.
    fn prefetch(&mut self, routed: &Routed, batch: &Batch) {
        let Self { table, slots, prefetched, .. } = self;
        black_box(routed.prefetch(usize::from(self.index), batch));
        prefetched.clear();
        prefetched.extend(
            routed
                .hashes(usize::from(self.index))
                .map(|hash| table.find(wide(hash), |place| place.hash == hash).map_or(NOWHERE, |place| place.slot)),
        );
        let first_bytes = prefetched.iter().filter_map(|slot| match &slots.get(*slot as usize)?.state {
            State::Live(live) => Some(live.tcp.prefetch() ^ live.stack.prefetch()),
            State::Passing(_) | State::Over(_) => None,
        });
        black_box(first_bytes.fold(0, |all, one| all ^ one));
    }

    #[allow(clippy::too_many_arguments, reason = "the three that every step needs")]
    fn segment(
        &mut self,
        nth: usize,
        hash: u32,
        segment: &Segment<'_>,
        excluded: bool,
        context: &Context<'_>,
        observer: &O,
        journal: &mut O::Journal,
    ) {
        let is_it = |slot: &&u32| self.slots.get(**slot as usize).is_some_and(|it| it.key.is_of(segment));
        let prefetched = self.prefetched.get(nth).filter(is_it).copied();
        let index = match prefetched.or_else(|| self.find(&FlowKey::of(segment), hash)) {
            Some(index) if self.reopened(index, segment) => {
                self.close(index, End::Fin, context, observer, journal);
                self.reopen(index, segment, excluded);
                index
            }
            Some(index) => {
                // Decided by the packet's own time, so that it does not depend on where chunks begin.
                if self.is_over_since(index).is_some_and(|since| segment.stamp.at.saturating_sub(since) > LINGER) {
                    self.close(index, End::Fin, context, observer, journal);
                }
                index
            }
            None => {
                self.make_room(segment.stamp.at, context, observer, journal);
                self.open(FlowKey::of(segment), hash, segment, excluded)
            }
        };
        self.latest = index;
        let Slot { number, state, .. } = &mut self.slots[index as usize];
        match state {
            State::Live(live) => {
                let connection = Local { shard: self.index, number: *number };
                let Live { tcp, stack, over_since } = live.as_mut();
                let first = tcp.facts().first;
                stack.segment(tcp, segment, context, &mut |stamp, ends, entry, event: EntryEvent<'_>| {
                    observer.note(journal, &Event::Entry { stamp, connection, first, ends, entry, event });
                });
                if stack.is_foreign() {
                    let passing = Passing { tcp_over: tcp.is_over(), bases: tcp.bases() };
                    *state = State::Passing(passing);
                    self.live -= 1;
                } else if *over_since == i64::MAX && tcp.is_over() {
                    *over_since = segment.stamp.at;
                    self.closing.push_back((index, *number, segment.stamp.at));
                }
            }
            State::Passing(passing) | State::Over(passing) => {
                passing.tcp_over |= segment.flags.has(TcpFlags::FIN | TcpFlags::RST);
                let from = usize::from(segment.source > segment.destination);
                if passing.bases[from].is_none() {
                    passing.bases[from] = Some(segment.sequence.wrapping_sub(1));
                }
            }
        }
    }

    fn find(&self, key: &FlowKey, hash: u32) -> Option<u32> {
        let is_it = |place: &Place| place.hash == hash && self.slots[place.slot as usize].key == *key;
        self.table.find(wide(hash), is_it).map(|place| place.slot)
    }

    fn is_over_since(&self, index: u32) -> Option<i64> {
        match &self.slots[index as usize].state {
            State::Live(live) if live.over_since != i64::MAX => Some(live.over_since),
            State::Live(_) | State::Passing(_) | State::Over(_) => None,
        }
    }

    fn reopened(&self, index: u32, segment: &Segment<'_>) -> bool {
        if !segment.flags.has(TcpFlags::SYN) || segment.flags.has(TcpFlags::ACK) {
            return false;
        }
        match &self.slots[index as usize].state {
            State::Live(live) => live.tcp.is_reopened_by(segment),
            State::Passing(passing) | State::Over(passing) => {
                let from = usize::from(segment.source > segment.destination);
                passing.bases[from].is_some_and(|base| passing.tcp_over || base != segment.sequence)
            }
        }
    }

    fn begin(&mut self, segment: &Segment<'_>, excluded: bool) -> (u32, State) {
        let number = self.numbers;
        self.numbers += 1;
        self.began.push(segment.stamp.packet);
        let state = if excluded {
            State::Passing(Passing { tcp_over: false, bases: bases_at_start(segment) })
        } else {
            self.live += 1;
            State::Live(match self.pool.pop() {
                Some(mut live) => {
                    live.tcp = Connection::new(segment);
                    live.over_since = i64::MAX;
                    live
                }
                None => Box::new(Live { tcp: Connection::new(segment), stack: Stack::new(), over_since: i64::MAX }),
            })
        };
        (number, state)
    }

    /// Evicts a flow when the table is full: the oldest that is closed or passing, or else the oldest that was silent
    /// for [`SILENT`], or else the oldest.
    fn make_room(&mut self, now: i64, context: &Context<'_>, observer: &O, journal: &mut O::Journal) {
        let mut skips = SKIPPED_ACTIVE;
        while self.slots.len() - self.free.len() >= FLOWS {
            let Some((index, number)) = self.order.pop_front() else { return };
            let slot = &self.slots[index as usize];
            if slot.number != number {
                continue; // Its ports were reused since: it stands further back again.
            }
            if let State::Live(live) = &slot.state {
                if skips > 0 && now.saturating_sub(live.tcp.facts().last.at) < SILENT {
                    skips -= 1;
                    self.order.push_back((index, number));
                    continue;
                }
                self.close(index, End::Timeout, context, observer, journal);
            }
            let hash = hash_of(&self.slots[index as usize].key);
            if let Ok(entry) = self.table.find_entry(wide(hash), |place| place.slot == index) {
                entry.remove();
            }
            self.free.push(index);
            self.prefetched.clear();
        }
    }

    fn open(&mut self, key: FlowKey, hash: u32, segment: &Segment<'_>, excluded: bool) -> u32 {
        let (number, state) = self.begin(segment, excluded);
        let slot = Slot { key, number, state };
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        if index as usize == self.slots.len() {
            self.slots.push(slot);
        } else {
            self.slots[index as usize] = slot;
        }
        self.order.push_back((index, number));
        self.table.insert_unique(wide(hash), Place { slot: index, hash }, |place| wide(place.hash));
        index
    }

    fn reopen(&mut self, index: u32, segment: &Segment<'_>, excluded: bool) {
        let (number, state) = self.begin(segment, excluded);
        let slot = &mut self.slots[index as usize];
        slot.number = number;
        slot.state = state;
        self.order.push_back((index, number));
    }

    fn icmp(&mut self, key: &FlowKey, error: IcmpError) {
        if let Some(index) = self.find(key, hash_of(key))
            && let State::Live(live) = &mut self.slots[index as usize].state
        {
            live.tcp.note_icmp(error);
        }
    }

    /// Closes connections whose end is more than [`LINGER`] ago.
    fn retire(&mut self, now: i64, context: &Context<'_>, observer: &O, journal: &mut O::Journal) {
        let due = self.closing.iter().take_while(|(.., since)| now.saturating_sub(*since) > LINGER);
        // Prefetched together: they were not used for a while.
        let first_bytes = due.filter_map(|(index, ..)| match &self.slots[*index as usize].state {
            State::Live(live) => Some(live.tcp.prefetch() ^ live.stack.prefetch_record()),
            State::Passing(_) | State::Over(_) => None,
        });
        black_box(first_bytes.fold(0, |all, one| all ^ one));
        while let Some((index, number, since)) = self.closing.front().copied()
            && now.saturating_sub(since) > LINGER
        {
            self.closing.pop_front();
            if self.slots[index as usize].number == number {
                self.close(index, End::Fin, context, observer, journal);
            }
        }
    }

    /// Shrinks idle connections: checks a few slots per call, with a pause after each round.
    fn shrink_idle(&mut self, now: i64) {
        if now < self.next_idle_round {
            return;
        }
        for _ in 0..IDLE_CHECKS {
            let Some(slot) = self.slots.get_mut(self.idle_cursor) else {
                self.idle_cursor = 0;
                self.next_idle_round = now.saturating_add(IDLE);
                return;
            };
            self.idle_cursor += 1;
            if let State::Live(live) = &mut slot.state
                && now.saturating_sub(live.tcp.facts().last.at) > IDLE
            {
                live.stack.shrink();
            }
        }
    }

    fn close(&mut self, index: u32, end: End, context: &Context<'_>, observer: &O, journal: &mut O::Journal) {
        let Slot { number, state, .. } = &mut self.slots[index as usize];
        let State::Live(live) = state else { return };
        let connection = Local { shard: self.index, number: *number };
        let over = Passing { tcp_over: live.tcp.is_over(), bases: live.tcp.bases() };
        let State::Live(mut live) = std::mem::replace(state, State::Over(over)) else { return };
        self.live -= 1;
        let Live { tcp, stack, .. } = live.as_mut();
        let first = tcp.facts().first;
        stack.finish(tcp, end, context, &mut |stamp, ends, entry, event: EntryEvent<'_>| {
            observer.note(journal, &Event::Entry { stamp, connection, first, ends, entry, event });
        });
        let record = stack.take_record(tcp);
        if self.pool.len() < POOLED {
            self.pool.push(live);
        }
        let Some(record) = record else { return };
        if record.entries.is_empty() {
            if self.failures >= FAILURES {
                self.failures_not_kept += 1;
                return;
            }
            self.failures += 1;
        }
        for (name, count) in record.limits() {
            *self.limits.entry(name).or_default() += count;
        }
        let stamp = record.tcp.last;
        observer.note(journal, &Event::Closed { stamp, connection, record: &record });
        self.over.push((connection, record));
        if self.over.len() == BATCH {
            self.keep(observer, journal);
        }
    }

    /// Lends the records of connections that are over to the observer, and drops them.
    fn keep(&mut self, observer: &O, journal: &mut O::Journal) {
        observer.keep(journal, &self.over, &mut self.finished);
        self.over.clear();
    }

    /// The capture is over: closes everything that is still open, in order of first packet.
    pub(super) fn finish(&mut self, context: &Context<'_>, observer: &O, journal: &mut O::Journal) {
        let mut open: Vec<(u32, u32)> = (0..self.slots.len() as u32)
            .filter(|index| matches!(self.slots[*index as usize].state, State::Live(_)))
            .map(|index| (self.slots[index as usize].number, index))
            .collect();
        open.sort_unstable();
        for (_, index) in open {
            self.close(index, End::CaptureEnd, context, observer, journal);
        }
        self.keep(observer, journal);
    }
}

fn bases_at_start(segment: &Segment<'_>) -> [Option<u32>; 2] {
    let mut bases = [None; 2];
    let base = if segment.flags.has(TcpFlags::SYN) { segment.sequence } else { segment.sequence.wrapping_sub(1) };
    bases[usize::from(segment.source > segment.destination)] = Some(base);
    bases
}
