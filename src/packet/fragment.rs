//! Reassembly of fragmented IP datagrams: IPv4 (RFC 791 §3.2) and IPv6 (RFC 8200 §4.5, RFC 5722).
//!
//! The only part of this room with memory. Everything is bounded, by count, bytes and age in capture time;
//! what is given up is counted. Fragments never write over each other, so whatever their offsets claim,
//! a datagram consists of bytes that were sent at those offsets.
//!
//! ```text
//!            offset 0                                   end (known from the last fragment)
//!               │▓▓▓▓▓▓▓▓▓▓▓▓▓▓│ hole │▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓│
//!               └─ piece ──────┘      └─ piece ─┴─ piece ───┘   sorted, disjoint
//! ```

use super::layers::{Layer, Walk};
use super::tcp_header::IpContext;
use super::view::View;
use super::{Decoded, Stamp};
use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;

/// Datagrams in reassembly at a time; the oldest gives way.
const MAX_DATAGRAMS: usize = 1024;
/// Memory for their fragments in bytes, bookkeeping included.
const MAX_BYTES: usize = 8 << 20;
/// Pieces of one datagram: 64 KiB in packets of the smallest MTU IPv4 allows for (68 bytes, RFC 791 §3.2)
/// would be more, but nobody sends those.
const MAX_PIECES: usize = 256;
/// Largest payload of a datagram in bytes.
const MAX_DATAGRAM_LEN: u32 = 65_535;
/// How long fragments wait, in nanoseconds of capture time: as the Linux kernel has it for IPv4; RFC 8200
/// §4.5 for IPv6. IPv4 identifications return soon, so waiting longer would join strangers.
const MAX_AGE_V4: i64 = 30_000_000_000;
const MAX_AGE_V6: i64 = 60_000_000_000;

/// A piece of an IP datagram, borrowed from its packet.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    stamp: Stamp,
    key: Key,
    /// What the whole datagram carries, as this fragment says.
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

/// Which datagram a fragment belongs to (RFC 791 §3.2, RFC 8200 §4.5), within which network.
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
    /// A fragment at `offset` (in units of 8 bytes) of the datagram whose header `walk` has just read.
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
    /// Bytes held.
    held: usize,
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
    /// Bytes accounted for in [`Defragmenter::held`].
    held: usize,
    /// Length, once the last fragment has come.
    end: Option<u32>,
    /// From the fragment with offset 0: protocol, TTL, nesting.
    first: Option<(u8, u8, u8)>,
    guessed: bool,
    /// Given up; further fragments are dropped.
    discarded: bool,
}

/// Bytes of one fragment that no earlier fragment had covered.
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
    walk: Walk,
    protocol: u8,
    /// Length on the wire.
    len: usize,
    /// Captured bytes from the start up to the first that the snap length cut off.
    bytes: Vec<u8>,
}

impl Reassembled {
    /// What the datagram carries, IP header excluded, as captured.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Decodes the datagram. Stamped as the packet that completed it, as Wireshark shows it. A tunnel's
    /// datagram may turn out to carry a fragment again.
    #[must_use]
    pub fn decode(&self) -> Decoded<'_> {
        self.walk.run(Layer::Transport(self.protocol), View::new(&self.bytes, self.len))
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
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.datagrams.len()
    }

    /// Takes the next fragment in capture order; returns the datagram it completes.
    pub fn push(&mut self, fragment: Fragment<'_>) -> Option<Reassembled> {
        let is_v6 = fragment.key.source.is_ipv6();
        self.expire(fragment.stamp.at);
        let Some(range) = Range::of(&fragment, is_v6) else {
            self.dropped += 1;
            return None;
        };
        // Identifications return: what is too old to be part of the same datagram is of another.
        if self.datagrams.get(&fragment.key).is_some_and(|old| old.is_expired(fragment.stamp.at, is_v6)) {
            self.give_up(&fragment.key);
        }
        if !self.datagrams.contains_key(&fragment.key) {
            self.admit(&fragment);
        }
        let datagram = self.datagrams.get_mut(&fragment.key)?;
        let before = datagram.held;
        self.dropped += datagram.insert(&fragment, range, is_v6);
        self.held = self.held - before + datagram.held;
        if datagram.is_complete() {
            return self.remove(&fragment.key).and_then(|datagram| datagram.join(&fragment));
        }
        while self.held > MAX_BYTES {
            self.drop_oldest();
        }
        None
    }

    /// Makes room for, and begins, the datagram of `fragment`.
    fn admit(&mut self, fragment: &Fragment<'_>) {
        while self.datagrams.len() >= MAX_DATAGRAMS {
            self.drop_oldest();
        }
        self.arrivals += 1;
        self.by_arrival.insert(self.arrivals, fragment.key);
        let datagram = Datagram { arrival: self.arrivals, since: fragment.stamp.at, ..Datagram::default() };
        self.datagrams.insert(fragment.key, datagram);
    }

    /// Drops what has waited too long at capture time `now`. Datagrams arrive in capture order, so only the
    /// front needs a look.
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
            self.give_up(&key);
        }
    }

    fn give_up(&mut self, key: &Key) {
        if let Some(datagram) = self.remove(key) {
            self.dropped += datagram.fragments;
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.by_arrival.remove(&datagram.arrival);
        self.held -= datagram.held;
        Some(datagram)
    }
}

/// The bytes a fragment claims to be, once the claim makes sense.
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
    /// Adds what is new in a fragment; returns how many fragments were dropped for it.
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

    /// Whether the very same fragment is here already (RFC 8200 §4.5 lets a receiver ignore such copies).
    fn is_duplicate(&self, fragment: &Fragment<'_>, range: Range) -> bool {
        self.pieces
            .binary_search_by_key(&range.start, |piece| piece.start)
            .is_ok_and(|at| self.pieces[at].end == range.end && self.pieces[at].bytes == captured(fragment, range))
    }

    /// Puts the fragment's bytes into the holes between `self.pieces[index..]`: who came first, wins.
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
                self.held += piece.bytes.len() + size_of::<Piece>();
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

    /// Gives the datagram up; returns how many fragments were lost with it.
    fn discard(&mut self) -> u64 {
        self.discarded = true;
        self.pieces = Vec::new();
        self.held = 0;
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
