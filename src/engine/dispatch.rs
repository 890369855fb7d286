//! Which shard a packet belongs to: every packet of a chunk is decoded once, here, in parallel with other chunks.
//!
//! Only indices are kept, and of plain packets only the addresses and ports are read; the shard decodes its packets
//! later, which costs less than carrying decoded headers through memory.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::fast::RandomState;

use crate::packet::{
    Batch, Decoded, Defragmenter, Endpoint, FromEnds, IcmpError, Packet, Reassembled, Segment, decode, plain_ends,
    with_plain_segment,
};
use crate::tcp::FlowKey;

/// Number of shards: a constant, so that the result cannot depend on the number of threads.
pub const SHARDS: usize = 32;

const EXCLUDED: u32 = 1 << 31;
const REASSEMBLED: u32 = 1 << 30;
const INDEX: u32 = REASSEMBLED - 1;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

/// Decides whether a packet is wanted (a capture filter).
pub type Wanted = dyn FnMut(&Packet<'_>) -> bool;

/// One packet of a shard.
#[derive(Clone, Copy, Debug)]
struct Tag {
    /// Index of the packet, with [`EXCLUDED`] and [`REASSEMBLED`].
    packet: u32,
    /// [`hash_of`] its connection.
    hash: u32,
}

/// Packets of one chunk, by shard.
#[derive(Debug)]
pub(super) struct Routed {
    shards: Vec<Vec<Tag>>,
    icmp: Vec<(u16, FlowKey, IcmpError)>,
    fragments: Vec<(u32, bool)>,
    /// Packets put together from fragments, with the index of the packet that completed each.
    reassembled: Vec<(u32, Reassembled)>,
    counts: Counts,
}

/// Counts over one chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) undecodable: u64,
    pub(super) excluded: u64,
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
}

impl Default for Routed {
    fn default() -> Self {
        Self {
            shards: vec![Vec::new(); SHARDS],
            icmp: Vec::new(),
            fragments: Vec::new(),
            reassembled: Vec::new(),
            counts: Counts::default(),
        }
    }
}

/// The shard that a connection belongs to, below [`SHARDS`].
#[inline(always)]
#[must_use]
pub fn shard_of(key: &FlowKey) -> usize {
    (key.spread() >> 59) as usize % SHARDS
}

/// Hash of a connection in its shard's table. Seeded per process, so that collisions cannot be prepared.
#[inline(always)]
pub(super) fn hash_of(key: &FlowKey) -> u32 {
    static HASHER: OnceLock<RandomState> = OnceLock::new();
    HASHER.get_or_init(RandomState::default).hash_one(key) as u32
}

/// Shard and hash of a connection.
struct Place {
    shard: usize,
    /// [`hash_of`] it.
    hash: u32,
}

impl FromEnds for Place {
    #[inline(always)]
    fn from_ends(source: Endpoint, destination: Endpoint) -> Self {
        let key = FlowKey::between(source, destination);
        Self { shard: shard_of(&key), hash: hash_of(&key) }
    }
}

impl Routed {
    fn clear(&mut self) {
        self.shards.iter_mut().for_each(Vec::clear);
        self.icmp.clear();
        self.fragments.clear();
        self.reassembled.clear();
        self.counts = Counts::default();
    }

    /// Sorts the packets of `batch` into shards. Fragments are only listed: see [`Self::reassemble`].
    pub(super) fn route(&mut self, batch: &Batch, mut wanted: Option<&mut Wanted>) {
        self.clear();
        let (mut bytes, mut first, mut last) = (0, i64::MAX, i64::MIN);
        for (index, packet) in batch.iter().enumerate() {
            let at = packet.stamp.at;
            bytes += u64::from(packet.original_len);
            first = first.min(at);
            last = last.max(at);
            let excluded = wanted.as_mut().is_some_and(|wanted| !wanted(&packet));
            self.counts.excluded += u64::from(excluded);
            let tag = index as u32 | if excluded { EXCLUDED } else { 0 };
            if let Some(Place { shard, hash }) = plain_ends(&packet) {
                self.shards[shard].push(Tag { packet: tag, hash });
                continue;
            }
            match decode(packet) {
                Decoded::Segment(segment) => {
                    let Place { shard, hash } = Place::from_ends(segment.source, segment.destination);
                    self.shards[shard].push(Tag { packet: tag, hash });
                }
                Decoded::Fragment(_) => self.fragments.push((index as u32, excluded)),
                other => self.note_other(&other, excluded),
            }
        }
        self.counts.packets = batch.packets.len() as u64;
        self.counts.bytes = bytes;
        self.counts.first = (!batch.packets.is_empty()).then_some(first);
        self.counts.last = (!batch.packets.is_empty()).then_some(last);
    }

    fn note_other(&mut self, decoded: &Decoded<'_>, excluded: bool) {
        match decoded {
            Decoded::Undecodable(_) => self.counts.undecodable += 1,
            _ if excluded => {}
            Decoded::IcmpError(error) => {
                let key = FlowKey::between(error.source, error.destination);
                self.icmp.push((shard_of(&key) as u16, key, *error));
            }
            _ => {}
        }
    }

    /// Puts fragments together. Called in the order of the capture; rare, and then done by one thread.
    pub(super) fn reassemble(&mut self, batch: &Batch, defragmenter: &mut Defragmenter) {
        for (index, excluded) in std::mem::take(&mut self.fragments) {
            let Decoded::Fragment(fragment) = decode(batch.packet(index as usize)) else { continue };
            let Some(whole) = defragmenter.push(fragment) else { continue };
            match whole.decode() {
                Decoded::Segment(segment) => {
                    let reassembled = &self.reassembled;
                    let key = FlowKey::of(&segment);
                    let shard = &mut self.shards[shard_of(&key)];
                    let place = shard.partition_point(|tag| match tag.packet & REASSEMBLED {
                        0 => tag.packet & INDEX < index,
                        _ => reassembled[(tag.packet & INDEX) as usize].0 < index,
                    });
                    let packet = self.reassembled.len() as u32 | REASSEMBLED | if excluded { EXCLUDED } else { 0 };
                    shard.insert(place, Tag { packet, hash: hash_of(&key) });
                    self.reassembled.push((index, whole));
                }
                other => self.note_other(&other, excluded),
            }
        }
    }

    /// [`hash_of`] the connection of every segment of `shard`, in order.
    pub(super) fn hashes(&self, shard: usize) -> impl Iterator<Item = u32> {
        self.shards[shard].iter().map(|tag| tag.hash)
    }

    /// Prefetches the packets of `shard`: reads a byte of the headers and one at the start of the payload of each.
    pub(super) fn prefetch(&self, shard: usize, batch: &Batch) -> u8 {
        let bytes = |tag: &Tag| {
            let packet = batch.packets.get((tag.packet & INDEX) as usize)?;
            let headers = batch.arena.get(packet.offset as usize)?;
            Some(headers ^ batch.arena.get(packet.offset as usize + CACHE_LINE).unwrap_or(&0))
        };
        self.shards[shard].iter().filter_map(bytes).fold(0, |all, one| all ^ one)
    }

    /// Calls `take` with every segment of `shard`, in order: its place among them, the hash of its connection, itself,
    /// and whether the filter excludes it.
    pub(super) fn for_each(&self, shard: usize, batch: &Batch, mut take: impl FnMut(usize, u32, &Segment<'_>, bool)) {
        for (nth, Tag { packet: tag, hash }) in self.shards[shard].iter().enumerate() {
            let index = (tag & INDEX) as usize;
            let excluded = tag & EXCLUDED != 0;
            if tag & REASSEMBLED == 0 {
                let packet = batch.packet(index);
                let plain = with_plain_segment(&packet, |segment| take(nth, *hash, segment, excluded));
                if !plain && let Decoded::Segment(segment) = decode(packet) {
                    take(nth, *hash, &segment, excluded);
                }
            } else if let Decoded::Segment(segment) = self.reassembled[index].1.decode() {
                take(nth, *hash, &segment, excluded);
            }
        }
    }

    pub(super) fn icmp(&self, shard: usize) -> impl Iterator<Item = (&FlowKey, &IcmpError)> {
        self.icmp.iter().filter(move |(of, ..)| usize::from(*of) == shard).map(|(_, key, report)| (key, report))
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}
