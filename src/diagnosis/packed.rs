//! The briefs of one connection in about a hundred bytes: what a capture with a million connections keeps of each.
//! Times and packet numbers are differences, numbers are as long as they must be, and what is not there takes one bit.
//! Nothing is lost: what is unpacked equals what was packed.
//!
//! A brief is packed and unpacked once for each connection, so both go straight ahead: the lengths of all numbers stand
//! before the first, and behind the last stand eight bytes more, so that each is read as a whole word and cut.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::brief::{Brief, Claim, HeadingCode, NameHash};
use super::case::Deed;
use super::finding::Finding;
use super::outcome::Outcome;
use super::{Verdict, diagnose_plain};
use crate::connection::ConnectionRecord;
use crate::packet::{Endpoint, Stamp};
use crate::stream::Side;

/// The briefs of one connection, and its findings about no WebSocket in particular; and behind them, in the same piece
/// of memory, what somebody else keeps of it.
#[derive(Debug)]
pub struct Packed {
    /// Length of the briefs, the briefs, and what is behind them.
    bytes: Box<[u8]>,
    rare: Option<Box<Rare>>,
}

/// Bytes of the length that stands in front.
const LENGTH: usize = size_of::<u32>();

/// What hardly any connection has.
#[derive(Debug, Default, PartialEq)]
struct Rare {
    /// Where each brief but the first begins.
    others: Vec<u32>,
    /// Findings that belong to a brief, and to which.
    stripped: Vec<(u32, Finding)>,
    aside: Vec<Finding>,
}

impl Packed {
    /// Packs what is kept of a connection in brief, and puts `behind` it what else is to be kept. `scratch` is room to
    /// work in.
    #[must_use]
    pub fn of(record: &ConnectionRecord, verdicts: &[Verdict], behind: &[u8], scratch: &mut Vec<u8>) -> Self {
        scratch.reserve(LENGTH + MOST + behind.len());
        Self::new(Brief::of(record, verdicts), diagnose_plain(record), behind, scratch)
    }

    fn new(
        briefs: impl Iterator<Item = Brief>,
        aside: impl Iterator<Item = Finding>,
        behind: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Self {
        let mut rare = Rare { aside: aside.collect(), ..Rare::default() };
        scratch.clear();
        scratch.extend_from_slice(&[0; LENGTH]);
        briefs.enumerate().for_each(|(nth, brief)| {
            if nth > 0 {
                rare.others.push((scratch.len() - LENGTH) as u32);
            }
            pack(&brief, scratch);
            if let Some(stripped) = brief.stripped {
                rare.stripped.push((nth as u32, *stripped));
            }
        });
        let length = (scratch.len() - LENGTH) as u32;
        scratch[..LENGTH].copy_from_slice(&length.to_le_bytes());
        scratch.extend_from_slice(behind);
        let rare = (rare != Rare::default()).then(|| Box::new(rare));
        Self { bytes: Box::from(scratch.as_slice()), rare }
    }

    /// The briefs, and what is behind them.
    fn parts(&self) -> (&[u8], &[u8]) {
        let Some((length, rest)) = self.bytes.split_first_chunk() else { return (&[], &[]) };
        rest.split_at(u32::from_le_bytes(*length) as usize)
    }

    /// What was put behind the briefs.
    #[must_use]
    pub fn behind(&self) -> &[u8] {
        self.parts().1
    }

    /// Unpacks one after the other, and shows each with its index.
    pub fn for_each(&self, mut see: impl FnMut(usize, &Brief)) {
        let (mut rest, mut nth) = (self.parts().0, 0);
        loop {
            let mut next = unpack(&mut rest);
            let Some(brief) = &mut next else { return };
            self.complete(nth, brief);
            see(nth, brief);
            nth += 1;
        }
    }

    /// Unpacks the nth, counted from 0.
    #[must_use]
    pub fn brief(&self, nth: usize) -> Option<Brief> {
        let mut brief = unpack(&mut self.from(nth)?)?;
        self.complete(nth, &mut brief);
        Some(brief)
    }

    /// First packet of the TCP connection, as the nth brief has it.
    #[must_use]
    pub fn first(&self, nth: usize) -> Option<Stamp> {
        let mut from = Reader { rest: self.from(nth)? };
        let [_, _, _] = from.array()?;
        let at = i64::from_le_bytes(from.array()?);
        // The other fifteen are not asked for.
        let [packet, ..] = from.numbers::<16>()?;
        Some(Stamp { packet, at })
    }

    /// The nth brief and all behind it.
    fn from(&self, nth: usize) -> Option<&[u8]> {
        let start = match (nth, &self.rare) {
            (0, _) => 0,
            (nth, Some(rare)) => *rare.others.get(nth - 1)? as usize,
            (_, None) => return None,
        };
        self.parts().0.get(start..)
    }

    /// Findings about no WebSocket in particular.
    #[must_use]
    pub fn aside(&self) -> &[Finding] {
        self.rare.as_ref().map_or(&[], |rare| &rare.aside)
    }

    /// Gives a brief back what cannot be packed.
    fn complete(&self, nth: usize, brief: &mut Brief) {
        if let Some(rare) = &self.rare {
            let stripped = rare.stripped.iter().find(|(of, _)| *of as usize == nth);
            brief.stripped = stripped.map(|(_, finding)| Box::new(finding.clone()));
        }
    }
}

/// Truth values and small numbers, from the lowest bit to the highest.
#[derive(Default)]
struct Bits {
    all: u32,
    at: u32,
}

impl Bits {
    #[inline(always)]
    fn put(&mut self, value: u32, width: u32) {
        self.all |= value << self.at;
        self.at += width;
    }

    #[inline(always)]
    fn put_is(&mut self, is: bool) {
        self.put(u32::from(is), 1);
    }

    #[inline(always)]
    fn put_side(&mut self, side: Side) {
        self.put_is(side == Side::Server);
    }

    #[inline(always)]
    fn take(&mut self, width: u32) -> u32 {
        let value = self.all >> self.at & ((1 << width) - 1);
        self.at += width;
        value
    }

    #[inline(always)]
    fn is(&mut self) -> bool {
        self.take(1) == 1
    }

    #[inline(always)]
    fn side(&mut self) -> Side {
        if self.is() { Side::Server } else { Side::Client }
    }
}

const DEEDS: [Deed; 3] = [Deed::Close, Deed::Fin, Deed::Rst];

/// Says that nobody acted first: behind the last of [`DEEDS`].
const NO_DEED: u32 = DEEDS.len() as u32;

/// Most bytes of a brief without its headings: truth values, numbers with their lengths, and the rest in the order in
/// which it is written.
const MOST: usize = 3 + 8 + (8 + 16 * 8) + (2 + 3 * 8) + (1 + 8) + 2 * (16 + 2) + 2 * 8 + 16 + 8;

/// Appends everything but `stripped`.
fn pack(brief: &Brief, out: &mut Vec<u8>) {
    let Brief { first, last, .. } = *brief;
    let mut bits = Bits::default();
    bits.put(brief.outcome as u32, 3);
    bits.put_is(brief.client.ip.is_ipv6());
    bits.put_is(brief.server.ip.is_ipv6());
    bits.put_is(brief.tls);
    bits.put_is(brief.looks_like_websocket);
    bits.put_is(brief.is_open);
    bits.put_is(brief.came_to_nothing);
    bits.put_is(brief.http2_stream.is_some());
    bits.put_is(brief.names[0].is_some());
    bits.put_is(brief.names[1].is_some());
    bits.put_is(brief.key.is_some());
    bits.put_is(brief.asked.is_some());
    bits.put_is(brief.trouble.is_some());
    let (side, deed) = brief.first_actor.map_or((Side::Client, NO_DEED), |(side, _, deed)| (side, deed as u32));
    bits.put_side(side);
    bits.put(deed, 2);
    bits.put_is(brief.last_payload.is_some());
    bits.put_is(brief.silence.is_some());
    bits.put_side(brief.silence.map_or(Side::Client, |(_, side, _)| side));
    bits.put_is(brief.claim.is_some());
    debug_assert!(bits.at <= 24, "they take three bytes");

    let mut to = Writer { bytes: [0; MOST], end: 0 };
    let [a, b, c, _] = bits.all.to_le_bytes();
    to.array([a, b, c]);
    to.array(first.at.to_le_bytes());
    let asked = brief.asked.unwrap_or(first);
    let trouble = brief.trouble.unwrap_or((first.at, last.at));
    let acted = brief.first_actor.map_or(last, |(_, at, _)| at);
    let last_payload = brief.last_payload.unwrap_or(last);
    to.numbers([
        first.packet,
        packets(last, first),
        time(last.at, first.at),
        index(brief.entry),
        brief.http2_stream.unwrap_or(0).into(),
        index(brief.root_cause),
        brief.headings.len() as u64 ^ 1,
        packets(asked, first),
        time(asked.at, first.at),
        time(trouble.0, first.at),
        time(trouble.1, last.at),
        packets(acted, last),
        time(acted.at, last.at),
        packets(last_payload, last),
        time(last_payload.at, last.at),
        time(brief.rtt_ns, 0),
    ]);
    if let Some((idle, _, end)) = brief.silence {
        to.numbers([time(idle, 0), packets(end, last), time(end.at, last.at)]);
    }
    if let Some(claim) = &brief.claim {
        to.claim(claim);
    }
    to.endpoint(brief.client);
    to.endpoint(brief.server);
    brief.names.iter().flatten().for_each(|name| to.array(name.to_le_bytes()));
    if let Some(key) = brief.key {
        to.array(key.to_le_bytes());
    }
    to.array(brief.path.to_le_bytes());
    out.extend_from_slice(&to.bytes[..to.end]);
    for heading in &brief.headings {
        out.extend_from_slice(&HeadingCode::from(*heading).0.to_le_bytes());
    }
}

/// Takes one brief from the beginning of `bytes`; `None` at their end.
fn unpack(bytes: &mut &[u8]) -> Option<Brief> {
    let mut from = Reader { rest: bytes };
    let [a, b, c] = from.array()?;
    let at = i64::from_le_bytes(from.array()?);
    let mut bits = Bits { all: u32::from_le_bytes([a, b, c, 0]), at: 0 };
    let outcome = Outcome::ALL[bits.take(3) as usize];
    let (client_is_v6, server_is_v6) = (bits.is(), bits.is());
    let (tls, looks_like_websocket, is_open, came_to_nothing) = (bits.is(), bits.is(), bits.is(), bits.is());
    let (has_stream, has_names, has_key) = (bits.is(), [bits.is(), bits.is()], bits.is());
    let (was_asked, in_trouble) = (bits.is(), bits.is());
    let (actor, deed) = (bits.side(), DEEDS.get(bits.take(2) as usize));
    let (has_payload, was_silent, silent, has_claim) = (bits.is(), bits.is(), bits.side(), bits.is());

    let [packet, packets, time, entry, stream, root_cause, headings, rest @ ..] = from.numbers::<16>()?;
    let [asked_packets, asked_time, trouble_from, trouble_to, acted_packets, acted_time, rest @ ..] = rest;
    let [payload_packets, payload_time, rtt] = rest;
    let silence = from.if_is(was_silent, Reader::numbers::<3>)?;
    let claim = from.if_is(has_claim, Reader::claim)?.map(Box::new);
    let (client, server) = (from.endpoint(client_is_v6)?, from.endpoint(server_is_v6)?);
    let names = [from.if_is(has_names[0], Reader::name)?, from.if_is(has_names[1], Reader::name)?];
    let key = from.if_is(has_key, |from| from.array().map(u128::from_le_bytes))?;
    let first = Stamp { packet, at };
    let last = stamp(packets, time, first);
    let path = u64::from_le_bytes(from.array()?);
    let mut known = SmallVec::new();
    for _ in 0..headings ^ 1 {
        known.push(HeadingCode(u16::from_le_bytes(from.array()?)).heading()?);
    }
    *bytes = from.rest;
    Some(Brief {
        entry: unindex(entry),
        http2_stream: has_stream.then_some(stream as u32),
        outcome,
        headings: known,
        root_cause: unindex(root_cause),
        client,
        server,
        first,
        last,
        tls,
        looks_like_websocket,
        is_open,
        came_to_nothing,
        names,
        path,
        key,
        asked: was_asked.then(|| stamp(asked_packets, asked_time, first)),
        trouble: in_trouble.then(|| (untime(trouble_from, first.at), untime(trouble_to, last.at))),
        first_actor: deed.map(|deed| (actor, stamp(acted_packets, acted_time, last), *deed)),
        last_payload: has_payload.then(|| stamp(payload_packets, payload_time, last)),
        rtt_ns: untime(rtt, 0),
        silence: silence.map(|[idle, packets, time]| (untime(idle, 0), silent, stamp(packets, time, last))),
        stripped: None,
        claim,
    })
}

/// An index, or none, as a number: nothing is as short as the first.
fn index(index: Option<u32>) -> u64 {
    match index {
        Some(0) => 0,
        None => 1,
        Some(index) => u64::from(index) + 1,
    }
}

fn unindex(number: u64) -> Option<u32> {
    match number {
        0 => Some(0),
        1 => None,
        _ => Some((number - 1) as u32),
    }
}

/// The difference of two times, so that it is small for those that are near each other, whichever comes first.
fn time(time: i64, other: i64) -> u64 {
    let difference = time.wrapping_sub(other);
    (difference << 1 ^ difference >> 63) as u64
}

fn untime(number: u64, other: i64) -> i64 {
    other.wrapping_add((number >> 1 ^ (number & 1).wrapping_neg()) as i64)
}

/// The same of packet numbers.
fn packets(stamp: Stamp, other: Stamp) -> u64 {
    time(stamp.packet as i64, other.packet as i64)
}

fn stamp(packets: u64, time: u64, other: Stamp) -> Stamp {
    Stamp { packet: untime(packets, other.packet as i64) as u64, at: untime(time, other.at) }
}

struct Writer {
    bytes: [u8; MOST],
    end: usize,
}

impl Writer {
    #[inline(always)]
    fn array<const N: usize>(&mut self, array: [u8; N]) {
        self.bytes[self.end..self.end + N].copy_from_slice(&array);
        self.end += N;
    }

    /// Appends the lengths of all numbers, half a byte each, and then as many bytes of each. There must be room for
    /// eight bytes more.
    #[inline(always)]
    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        const { assert!(N <= 16) };
        let (mut lengths, start) = (0_u64, self.end);
        self.end += N.div_ceil(2);
        for (nth, number) in numbers.into_iter().enumerate() {
            let length = 8 - number.leading_zeros() as usize / 8;
            lengths |= (length as u64) << (4 * nth);
            self.bytes[self.end..self.end + 8].copy_from_slice(&number.to_le_bytes());
            self.end += length;
        }
        self.bytes[start..start + N.div_ceil(2)].copy_from_slice(&lengths.to_le_bytes()[..N.div_ceil(2)]);
    }

    fn endpoint(&mut self, Endpoint { ip, port }: Endpoint) {
        match ip {
            IpAddr::V4(ip) => self.array(ip.octets()),
            IpAddr::V6(ip) => self.array(ip.octets()),
        }
        self.array(port.to_le_bytes());
    }

    #[cold]
    fn claim(&mut self, claim: &Claim) {
        let mut bits = Bits::default();
        bits.put_is(claim.tcp_failed);
        bits.put_is(claim.tls_failed);
        bits.put_is(claim.may_be_websocket);
        bits.put_is(claim.merely_left);
        bits.put_is(claim.refused_connect.is_some());
        bits.put_is(claim.refused_connect.flatten().is_some());
        self.array([bits.all as u8]);
        if let Some(name) = claim.refused_connect.flatten() {
            self.array(name.to_le_bytes());
        }
    }
}

/// What is a number's of a word, by its length.
const MASKS: [u64; 16] = {
    let mut masks = [u64::MAX; 16];
    let mut length = 0;
    while length < 8 {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

/// Takes from the beginning of bytes what a [`Writer`] appended.
struct Reader<'b> {
    rest: &'b [u8],
}

impl Reader<'_> {
    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    /// What may not be there. `None` when it should be and is not.
    #[inline(always)]
    fn if_is<T>(&mut self, is: bool, take: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if is { take(self).map(Some) } else { Some(None) }
    }

    #[inline(always)]
    fn numbers<const N: usize>(&mut self) -> Option<[u64; N]> {
        const { assert!(N <= 16) };
        let (lengths, rest) = self.rest.split_at_checked(N.div_ceil(2))?;
        let mut all = [0; 8];
        all[..N.div_ceil(2)].copy_from_slice(lengths);
        let mut lengths = u64::from_le_bytes(all);
        // Numbers as long as they can be: where they lie needs no check then.
        let mut longest = [0; 16 * 8 + 8];
        let there = rest.len().min(longest.len());
        longest[..there].copy_from_slice(&rest[..there]);
        let (mut numbers, mut at) = ([0; N], 0);
        for number in &mut numbers {
            let length = (lengths & 15) as usize;
            lengths >>= 4;
            let word = longest[at & 127..].first_chunk()?;
            *number = u64::from_le_bytes(*word) & MASKS[length];
            at += length;
        }
        self.rest = rest.get(at..)?;
        Some(numbers)
    }

    #[inline(always)]
    fn name(&mut self) -> Option<NameHash> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline(always)]
    fn endpoint(&mut self, is_v6: bool) -> Option<Endpoint> {
        let ip = if is_v6 { self.array::<16>()?.into() } else { self.array::<4>()?.into() };
        Some(Endpoint { ip, port: u16::from_le_bytes(self.array()?) })
    }

    #[cold]
    fn claim(&mut self) -> Option<Claim> {
        let [bits] = self.array()?;
        let mut bits = Bits { all: bits.into(), at: 0 };
        Some(Claim {
            tcp_failed: bits.is(),
            tls_failed: bits.is(),
            may_be_websocket: bits.is(),
            merely_left: bits.is(),
            refused_connect: match (bits.is(), bits.is()) {
                (false, _) => None,
                (true, false) => Some(None),
                (true, true) => Some(Some(self.name()?)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::super::brief::Heading;
    use super::super::catalogue;
    use super::super::finding::{Confidence, Severity};
    use super::*;

    fn whole() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -5000..5000_i64, Just(i64::MIN), Just(i64::MAX), Just(0)]
    }

    fn stamp() -> impl Strategy<Value = Stamp> {
        (whole(), whole()).prop_map(|(packet, at)| Stamp { packet: packet as u64, at })
    }

    fn side() -> impl Strategy<Value = Side> {
        prop_oneof![Just(Side::Client), Just(Side::Server)]
    }

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        let ip = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
        (ip, any::<u16>()).prop_map(|(ip, port)| Endpoint { ip, port })
    }

    fn index() -> impl Strategy<Value = Option<u32>> {
        option::of(prop_oneof![any::<u32>(), Just(0), Just(u32::MAX)])
    }

    fn heading() -> impl Strategy<Value = Heading> {
        let rule = (0..catalogue::all().count() as u8).prop_map(|place| catalogue::nth(place).unwrap());
        (rule, 0..3_usize, 0..3_usize).prop_map(|(rule, severity, confidence)| Heading {
            rule,
            severity: Severity::ALL[severity],
            confidence: Confidence::ALL[confidence],
        })
    }

    fn stripped() -> impl Strategy<Value = Box<Finding>> {
        (heading(), "[a-z]{0,20}")
            .prop_map(|(heading, summary)| Box::new(Finding::new(heading.rule, heading.confidence, summary)))
    }

    fn claim() -> impl Strategy<Value = Claim> {
        let refused = option::of(option::of(any::<u64>()));
        (any::<[bool; 4]>(), refused).prop_map(|(is, refused_connect)| Claim {
            tcp_failed: is[0],
            tls_failed: is[1],
            may_be_websocket: is[2],
            merely_left: is[3],
            refused_connect,
        })
    }

    fn brief() -> impl Strategy<Value = Brief> {
        let what = (
            index(),
            index(),
            0..8_usize,
            prop::collection::vec(heading(), 0..6),
            index(),
            any::<[bool; 4]>(),
            option::of(stripped()),
            option::of(claim().prop_map(Box::new)),
        );
        let whose = (endpoint(), endpoint(), any::<[Option<u64>; 2]>(), any::<u64>(), option::of(any::<u128>()));
        let deed = prop_oneof![Just(Deed::Close), Just(Deed::Fin), Just(Deed::Rst)];
        let when = (
            stamp(),
            stamp(),
            option::of(stamp()),
            option::of((whole(), whole())),
            option::of((side(), stamp(), deed)),
            option::of(stamp()),
            whole(),
            option::of((whole(), side(), stamp())),
        );
        (what, whose, when).prop_map(|(what, whose, when)| {
            let (entry, http2_stream, outcome, headings, root_cause, is, stripped, claim) = what;
            let (client, server, names, path, key) = whose;
            let (first, last, asked, trouble, first_actor, last_payload, rtt_ns, silence) = when;
            Brief {
                entry,
                http2_stream,
                outcome: Outcome::ALL[outcome],
                headings: headings.into(),
                root_cause,
                client,
                server,
                first,
                last,
                tls: is[0],
                looks_like_websocket: is[1],
                is_open: is[2],
                came_to_nothing: is[3],
                names,
                path,
                key,
                asked,
                trouble,
                first_actor,
                last_payload,
                rtt_ns,
                silence,
                stripped,
                claim,
            }
        })
    }

    #[test]
    fn outcomes_and_deeds_are_in_order() {
        assert!(Outcome::ALL.iter().enumerate().all(|(index, outcome)| *outcome as usize == index));
        assert!(DEEDS.iter().enumerate().all(|(index, deed)| *deed as usize == index));
    }

    proptest! {
        #[test]
        fn what_is_unpacked_is_what_was_packed(
            briefs in prop::collection::vec(brief(), 1..4),
            aside in prop::collection::vec(stripped().prop_map(|finding| *finding), 0..2),
        ) {
            let packed = Packed::new(briefs.iter().cloned(), aside.iter().cloned(), b"behind", &mut vec![7; 3]);
            let mut unpacked = Vec::new();
            packed.for_each(|nth, brief| {
                assert_eq!(nth, unpacked.len());
                unpacked.push(brief.clone());
            });
            prop_assert_eq!(&unpacked, &briefs);
            for (nth, brief) in briefs.iter().enumerate() {
                prop_assert_eq!(packed.brief(nth), Some(brief.clone()));
                prop_assert_eq!(packed.first(nth), Some(brief.first));
            }
            prop_assert_eq!(packed.brief(briefs.len()), None);
            prop_assert_eq!(packed.aside(), aside);
            prop_assert_eq!(packed.behind(), b"behind");
        }

        #[test]
        fn what_is_cut_is_no_brief(brief in brief(), cut in 1..100_usize) {
            let mut bytes = Vec::new();
            pack(&brief, &mut bytes);
            bytes.truncate(bytes.len().saturating_sub(cut));
            prop_assert_eq!(unpack(&mut &bytes[..]), None);
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = unpack(&mut &bytes[..]);
        }
    }
}
