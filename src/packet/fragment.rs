//! Reassembly of fragmented IP datagrams: IPv4 (RFC 791 §3.2) and IPv6 (RFC 8200 §4.5, RFC 5722).
//!
//! The only part of this module with state. Everything is bounded, by count, bytes and age in capture time;
//! dropped fragments are counted. Fragments never overwrite each other, so whatever their offsets claim,
//! a datagram consists of bytes that were sent at those offsets.
//!
//! ```text
//!            offset 0                                   end (known from the last fragment)
//!               │▓▓▓▓▓▓▓▓▓▓▓▓▓▓│ hole │▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓│
//!               └─ piece ──────┘      └─ piece ─┴─ piece ───┘   sorted, disjoint
//! ```

use super::Stamp;
use super::layer::Walk;
use super::tcp_header::IpContext;
use super::view::View;
use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;

/// Datagrams in reassembly at a time; beyond, the oldest is dropped.
const MAX_DATAGRAMS: usize = 1024;
/// Memory for their fragments in bytes, overhead included.
const MAX_BYTES: usize = 8 << 20;
/// Pieces of one datagram: 64 KiB in packets of the smallest MTU IPv4 allows for (68 bytes, RFC 791 §3.2)
/// would be more, but those do not occur.
const MAX_PIECES: usize = 256;
/// Largest payload of a datagram in bytes.
const MAX_DATAGRAM_LEN: u32 = 65_535;
/// How long fragments wait for the rest, in nanoseconds of capture time: the Linux kernel's time for IPv4; RFC 8200
/// §4.5 for IPv6. IPv4 identifications are soon reused, so waiting longer would join fragments of different datagrams.
const MAX_AGE_V4: i64 = 30_000_000_000;
const MAX_AGE_V6: i64 = 60_000_000_000;

/// A piece of an IP datagram, borrowed from its packet.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    stamp: Stamp,
    key: Key,
    /// Protocol of the whole datagram, by this fragment's header.
    protocol: u8,
    ttl: u8,
    guessed: bool,
    layers: u8,
    /// In bytes.
    offset: u32,
    more: bool,
    /// Bytes on the wire.
    len: usize,
    /// Captured bytes, at most `len`.
    bytes: &'a [u8],
}

/// Identity of the datagram that a fragment belongs to (RFC 791 §3.2, RFC 8200 §4.5), and its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    id: u32,
    source: IpAddr,
    destination: IpAddr,
    /// Zero for IPv6, where it is not part of the identity.
    protocol: u8,
    domain: u64,
}

impl<'a> Fragment<'a> {
    /// A fragment at `offset` (in units of 8 bytes) of the datagram whose header `walk` has just decoded.
    pub(super) fn new(walk: &Walk, protocol: u8, id: u32, offset: u16, more: bool, payload: View<'a>) -> Self {
        let IpContext { source, destination, ttl, .. } = walk.ip;
        let identity = if source.is_ipv6() { 0 } else { protocol };
        Fragment {
            stamp: walk.stamp,
            key: Key { id, source, destination, protocol: identity, domain: walk.domain },
            protocol,
            ttl,
            guessed: walk.guessed,
            layers: walk.layers,
            offset: u32::from(offset) * 8,
            more,
            len: payload.wire,
            bytes: payload.bytes,
        }
    }

    /// Packet and time.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// Joins fragments into datagrams.
#[derive(Debug, Default)]
pub struct Defragmenter {
    datagrams: BTreeMap<Key, Datagram>,
    /// The same datagrams in order of arrival.
    by_arrival: BTreeMap<u64, Key>,
    arrivals: u64,
    /// Bytes in use.
    memory: usize,
    dropped: u64,
}

/// A datagram in reassembly.
#[derive(Debug, Default)]
struct Datagram {
    arrival: u64,
    /// Capture time of the fragment that came first.
    since: i64,
    /// Fragments that contributed.
    fragments: u64,
    /// Sorted by offset, disjoint.
    pieces: Vec<Piece>,
    /// Bytes on the wire that the pieces cover.
    covered: u32,
    /// Its part of [`Defragmenter::memory`].
    memory: usize,
    /// Length, once the last fragment has come.
    end: Option<u32>,
    /// From the fragment with offset 0: protocol, TTL, nesting.
    first: Option<(u8, u8, u8)>,
    guessed: bool,
    /// Further fragments are dropped.
    discarded: bool,
}

/// Bytes of one fragment that no earlier fragment covers.
#[derive(Debug)]
struct Piece {
    start: u32,
    /// One past the last byte on the wire.
    end: u32,
    /// As captured: shorter if the snap length cut the fragment.
    bytes: Vec<u8>,
}

/// A datagram put together from its fragments; owns its bytes.
#[derive(Clone, Debug)]
pub struct Reassembled {
    pub(super) walk: Walk,
    pub(super) protocol: u8,
    /// Length on the wire.
    pub(super) len: usize,
    /// Captured bytes from the start up to the first that the snap length cut off.
    pub(super) bytes: Vec<u8>,
}

impl Reassembled {
    /// Payload of the datagram as captured, without the IP header.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Defragmenter {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fragments that were dropped: overlapping others, contradicting others, too old, too many.
    /// An exact copy of a fragment is no loss and not counted.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Datagrams that still lack a fragment.
    #[cfg(test)]
    pub(super) fn incomplete(&self) -> usize {
        self.datagrams.len()
    }

    /// Adds the next fragment in capture order; returns the datagram it completes.
    pub fn push(&mut self, fragment: Fragment<'_>) -> Option<Reassembled> {
        let is_v6 = fragment.key.source.is_ipv6();
        self.expire(fragment.stamp.at);
        let Some(range) = Range::of(&fragment, is_v6) else {
            self.dropped += 1;
            return None;
        };
        // Identifications are reused: a fragment too old for this datagram is of another one.
        if self.datagrams.get(&fragment.key).is_some_and(|old| old.is_expired(fragment.stamp.at, is_v6)) {
            self.drop_datagram(&fragment.key);
        }
        if !self.datagrams.contains_key(&fragment.key) {
            self.admit(&fragment);
        }
        let datagram = self.datagrams.get_mut(&fragment.key)?;
        let before = datagram.memory;
        self.dropped += datagram.insert(&fragment, range, is_v6);
        self.memory = self.memory - before + datagram.memory;
        if datagram.is_complete() {
            return self.remove(&fragment.key).and_then(|datagram| datagram.join(&fragment));
        }
        while self.memory > MAX_BYTES {
            self.drop_oldest();
        }
        None
    }

    /// Begins the datagram of `fragment`, dropping the oldest ones if necessary.
    fn admit(&mut self, fragment: &Fragment<'_>) {
        while self.datagrams.len() >= MAX_DATAGRAMS {
            self.drop_oldest();
        }
        self.arrivals += 1;
        self.by_arrival.insert(self.arrivals, fragment.key);
        let datagram = Datagram { arrival: self.arrivals, since: fragment.stamp.at, ..Datagram::default() };
        self.datagrams.insert(fragment.key, datagram);
    }

    /// Drops the datagrams that are too old at capture time `now`. They arrive in capture order, so only the
    /// front is checked.
    fn expire(&mut self, now: i64) {
        while let Some((_, key)) = self.by_arrival.first_key_value() {
            if self.datagrams.get(key).is_some_and(|oldest| !oldest.is_expired(now, key.source.is_ipv6())) {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.by_arrival.pop_first() {
            self.drop_datagram(&key);
        }
    }

    fn drop_datagram(&mut self, key: &Key) {
        if let Some(datagram) = self.remove(key) {
            self.dropped += datagram.fragments;
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.by_arrival.remove(&datagram.arrival);
        self.memory -= datagram.memory;
        Some(datagram)
    }
}

/// The bytes of its datagram that a fragment covers, once its header is validated.
#[derive(Clone, Copy)]
struct Range {
    start: u32,
    end: u32,
}

impl Range {
    fn of(fragment: &Fragment<'_>, is_v6: bool) -> Option<Self> {
        let mut len = u32::try_from(fragment.len).ok()?;
        if fragment.more && !len.is_multiple_of(8) {
            // RFC 8200 §4.5: a fragment that is not the last one and no multiple of 8 bytes long is discarded.
            // Over IPv4 receivers use the whole units of it.
            if is_v6 {
                return None;
            }
            len -= len % 8;
        }
        let end = fragment.offset.checked_add(len)?;
        (len > 0 && end <= MAX_DATAGRAM_LEN).then_some(Range { start: fragment.offset, end })
    }
}

impl Datagram {
    /// Adds the new bytes of a fragment; returns how many fragments were dropped.
    fn insert(&mut self, fragment: &Fragment<'_>, range: Range, is_v6: bool) -> u64 {
        if self.discarded {
            return 1;
        }
        if self.is_duplicate(fragment, range) {
            return 0;
        }
        let first_at_end = self.pieces.partition_point(|piece| piece.end <= range.start);
        let overlaps = self.pieces.get(first_at_end).is_some_and(|piece| piece.start < range.end);
        if overlaps && is_v6 {
            // RFC 5722 §4: with one overlapping fragment, the whole datagram is discarded, including what
            // has not come yet.
            return self.discard() + 1;
        }
        let contradicts = match (fragment.more, self.end) {
            (true, Some(end)) => range.end > end,
            (false, Some(end)) => range.end != end,
            (true, None) => false,
            (false, None) => self.pieces.last().is_some_and(|piece| piece.end > range.end),
        };
        if contradicts {
            return if is_v6 { self.discard() + 1 } else { 1 };
        }
        if !fragment.more {
            self.end = Some(range.end);
        }
        if range.start == 0 && self.first.is_none() {
            self.first = Some((fragment.protocol, fragment.ttl, fragment.layers));
        }
        self.guessed |= fragment.guessed;
        self.fill(fragment, range, first_at_end);
        self.fragments += u64::from(!overlaps);
        let lost = if self.pieces.len() > MAX_PIECES { self.discard() } else { 0 };
        lost + u64::from(overlaps)
    }

    /// Whether the same fragment was added before (RFC 8200 §4.5 lets a receiver ignore exact copies).
    fn is_duplicate(&self, fragment: &Fragment<'_>, range: Range) -> bool {
        self.pieces
            .binary_search_by_key(&range.start, |piece| piece.start)
            .is_ok_and(|at| self.pieces[at].end == range.end && self.pieces[at].bytes == captured(fragment, range))
    }

    /// Puts the fragment's bytes into the holes between `self.pieces[index..]`: earlier bytes win.
    fn fill(&mut self, fragment: &Fragment<'_>, range: Range, mut index: usize) {
        let bytes = captured(fragment, range);
        let mut at = range.start;
        while at < range.end {
            let next = self.pieces.get(index).map(|piece| (piece.start, piece.end));
            if let Some((start, end)) = next
                && start <= at
            {
                at = end;
            } else {
                let stop = next.map_or(range.end, |(start, _)| start.min(range.end));
                let from = bytes.len().min((at - range.start) as usize);
                let to = bytes.len().min((stop - range.start) as usize);
                let piece = Piece { start: at, end: stop, bytes: bytes[from..to].to_vec() };
                self.memory += piece.bytes.len() + size_of::<Piece>();
                self.covered += stop - at;
                self.pieces.insert(index, piece);
                at = stop;
            }
            index += 1;
        }
    }

    fn is_expired(&self, now: i64, is_v6: bool) -> bool {
        now.saturating_sub(self.since) > if is_v6 { MAX_AGE_V6 } else { MAX_AGE_V4 }
    }

    fn is_complete(&self) -> bool {
        !self.discarded && self.end == Some(self.covered)
    }

    /// Discards the datagram; returns how many fragments were lost with it.
    fn discard(&mut self) -> u64 {
        self.discarded = true;
        self.pieces = Vec::new();
        self.memory = 0;
        mem::take(&mut self.fragments)
    }

    /// The complete datagram; `last` is the fragment that completed it.
    fn join(self, last: &Fragment<'_>) -> Option<Reassembled> {
        let (protocol, ttl, layers) = self.first?;
        let len = self.covered as usize;
        let mut bytes = Vec::with_capacity(self.pieces.iter().map(|piece| piece.bytes.len()).sum());
        for piece in &self.pieces {
            bytes.extend_from_slice(&piece.bytes);
            if bytes.len() < piece.end as usize {
                break;
            }
        }
        let Key { source, destination, id, domain, .. } = last.key;
        let id = if source.is_ipv6() { 0 } else { id as u16 };
        let ip = IpContext { source, destination, ttl, id };
        let walk = Walk { stamp: last.stamp, ip, domain, guessed: self.guessed, layers };
        Some(Reassembled { walk, protocol, len, bytes })
    }
}

/// The captured bytes of a fragment that lie within `range`.
fn captured<'a>(fragment: &Fragment<'a>, range: Range) -> &'a [u8] {
    &fragment.bytes[..fragment.bytes.len().min((range.end - range.start) as usize)]
}
