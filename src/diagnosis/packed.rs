//! The briefs of one connection in about a hundred bytes: what a capture with a million connections keeps of each.
//! Times and packet numbers are differences, whole numbers are as long as they must be (LEB128), and what is not there
//! takes one bit. Nothing is lost: what is unpacked equals what was packed.

use std::net::IpAddr;

use super::brief::{Brief, Claim, HeadingCode, NameHash};
use super::case::Deed;
use super::finding::Finding;
use super::outcome::Outcome;
use super::{Verdict, diagnose_plain};
use crate::connection::ConnectionRecord;
use crate::packet::{Endpoint, Stamp};
use crate::stream::Side;

/// The briefs of one connection, and its findings about no WebSocket in particular.
#[derive(Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    rare: Option<Box<Rare>>,
}

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
    /// Packs what is kept of a connection in brief. `scratch` is room to work in.
    #[must_use]
    pub fn of(record: &ConnectionRecord, verdicts: &[Verdict], scratch: &mut Vec<u8>) -> Self {
        Self::new(Brief::of(record, verdicts), diagnose_plain(record), scratch)
    }

    fn new(briefs: impl Iterator<Item = Brief>, aside: impl Iterator<Item = Finding>, scratch: &mut Vec<u8>) -> Self {
        let mut rare = Rare { aside: aside.collect(), ..Rare::default() };
        scratch.clear();
        for (index, brief) in briefs.enumerate() {
            if index > 0 {
                rare.others.push(scratch.len() as u32);
            }
            pack(&brief, scratch);
            if let Some(stripped) = brief.stripped {
                rare.stripped.push((index as u32, *stripped));
            }
        }
        let rare = (rare != Rare::default()).then(|| Box::new(rare));
        Self { bytes: Box::from(scratch.as_slice()), rare }
    }

    /// Unpacks one after the other.
    pub fn briefs(&self) -> impl Iterator<Item = Brief> + '_ {
        let mut rest = &*self.bytes;
        std::iter::from_fn(move || unpack(&mut rest)).enumerate().map(|(index, brief)| self.whole(index, brief))
    }

    /// Unpacks the nth, counted from 0.
    #[must_use]
    pub fn brief(&self, nth: usize) -> Option<Brief> {
        let start = match (nth, &self.rare) {
            (0, _) => 0,
            (nth, Some(rare)) => *rare.others.get(nth - 1)? as usize,
            (_, None) => return None,
        };
        unpack(&mut self.bytes.get(start..)?).map(|brief| self.whole(nth, brief))
    }

    /// Findings about no WebSocket in particular.
    #[must_use]
    pub fn aside(&self) -> &[Finding] {
        self.rare.as_ref().map_or(&[], |rare| &rare.aside)
    }

    /// Gives a brief back what cannot be packed.
    fn whole(&self, index: usize, brief: Brief) -> Brief {
        let Some(rare) = &self.rare else { return brief };
        let stripped = rare.stripped.iter().find(|(of, _)| *of as usize == index);
        Brief { stripped: stripped.map(|(_, finding)| Box::new(finding.clone())), ..brief }
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

const OUTCOMES: [Outcome; 8] = [
    Outcome::Open,
    Outcome::ClosedClean,
    Outcome::ClosedNoStatus,
    Outcome::ClosedAbnormal,
    Outcome::UpgradeFailed,
    Outcome::TlsFailed,
    Outcome::TcpFailed,
    Outcome::Unknown,
];
const DEEDS: [Deed; 3] = [Deed::Close, Deed::Fin, Deed::Rst];

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
    let (side, deed) = brief.first_actor.map_or((Side::Client, 3), |(side, _, deed)| (side, deed as u32));
    bits.put_side(side);
    bits.put(deed, 2);
    bits.put_is(brief.last_payload.is_some());
    bits.put_is(brief.silence.is_some());
    bits.put_side(brief.silence.map_or(Side::Client, |(_, side, _)| side));
    bits.put_is(brief.claim.is_some());
    out.extend_from_slice(&bits.all.to_le_bytes());

    put_endpoint(out, brief.client);
    put_endpoint(out, brief.server);
    out.extend_from_slice(&first.at.to_le_bytes());
    put_number(out, first.packet);
    put_stamp(out, last, first);
    put_index(out, brief.entry);
    if let Some(stream) = brief.http2_stream {
        put_number(out, stream.into());
    }
    put_index(out, brief.root_cause);
    put_number(out, brief.headings.len() as u64);
    for heading in &brief.headings {
        out.extend_from_slice(&HeadingCode::from(*heading).0.to_le_bytes());
    }
    out.extend_from_slice(&brief.path.to_le_bytes());
    for name in brief.names.iter().flatten() {
        out.extend_from_slice(&name.to_le_bytes());
    }
    if let Some(key) = brief.key {
        out.extend_from_slice(&key.to_le_bytes());
    }
    if let Some(asked) = brief.asked {
        put_stamp(out, asked, first);
    }
    if let Some((from, to)) = brief.trouble {
        put_time(out, from, first.at);
        put_time(out, to, last.at);
    }
    if let Some((_, at, _)) = brief.first_actor {
        put_stamp(out, at, last);
    }
    if let Some(at) = brief.last_payload {
        put_stamp(out, at, last);
    }
    put_time(out, brief.rtt_ns, 0);
    if let Some((idle, _, at)) = brief.silence {
        put_time(out, idle, 0);
        put_stamp(out, at, last);
    }
    if let Some(claim) = &brief.claim {
        put_claim(out, claim);
    }
}

/// Takes one brief from the beginning of `bytes`; `None` at their end.
fn unpack(bytes: &mut &[u8]) -> Option<Brief> {
    let mut from = Reader { rest: bytes };
    let mut bits = Bits { all: u32::from_le_bytes(from.array()?), at: 0 };
    let outcome = OUTCOMES[bits.take(3) as usize];
    let (client_is_v6, server_is_v6) = (bits.is(), bits.is());
    let (tls, looks_like_websocket, is_open, came_to_nothing) = (bits.is(), bits.is(), bits.is(), bits.is());
    let (has_stream, has_names, has_key) = (bits.is(), [bits.is(), bits.is()], bits.is());
    let (was_asked, in_trouble) = (bits.is(), bits.is());
    let (actor, deed) = (bits.side(), DEEDS.get(bits.take(2) as usize).copied());
    let (has_payload, was_silent, silent, has_claim) = (bits.is(), bits.is(), bits.side(), bits.is());

    let client = from.endpoint(client_is_v6)?;
    let server = from.endpoint(server_is_v6)?;
    let at = i64::from_le_bytes(from.array()?);
    let first = Stamp { packet: from.number()?, at };
    let last = from.stamp(first)?;
    let brief = Brief {
        entry: from.index()?,
        http2_stream: from.if_is(has_stream, |from| from.number()?.try_into().ok())?,
        outcome,
        root_cause: from.index()?,
        headings: (0..from.number()?)
            .map(|_| HeadingCode(u16::from_le_bytes(from.array()?)).heading())
            .collect::<Option<_>>()?,
        client,
        server,
        first,
        last,
        tls,
        looks_like_websocket,
        is_open,
        came_to_nothing,
        path: u64::from_le_bytes(from.array()?),
        names: [from.if_is(has_names[0], Reader::name)?, from.if_is(has_names[1], Reader::name)?],
        key: from.if_is(has_key, |from| from.array().map(u128::from_le_bytes))?,
        asked: from.if_is(was_asked, |from| from.stamp(first))?,
        trouble: from.if_is(in_trouble, |from| Some((from.time(first.at)?, from.time(last.at)?)))?,
        first_actor: match deed {
            Some(deed) => Some((actor, from.stamp(last)?, deed)),
            None => None,
        },
        last_payload: from.if_is(has_payload, |from| from.stamp(last))?,
        rtt_ns: from.time(0)?,
        silence: from.if_is(was_silent, |from| Some((from.time(0)?, silent, from.stamp(last)?)))?,
        stripped: None,
        claim: from.if_is(has_claim, |from| from.claim().map(Box::new))?,
    };
    *bytes = from.rest;
    Some(brief)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_index(out: &mut Vec<u8>, index: Option<u32>) {
    put_number(out, index.map_or(0, |index| u64::from(index) + 1));
}

/// A number near another: differences of both signs are short.
fn put_near(out: &mut Vec<u8>, number: u64, other: u64) {
    let difference = number.wrapping_sub(other) as i64;
    put_number(out, (difference << 1 ^ difference >> 63) as u64);
}

fn put_time(out: &mut Vec<u8>, time: i64, other: i64) {
    put_near(out, time as u64, other as u64);
}

fn put_stamp(out: &mut Vec<u8>, stamp: Stamp, other: Stamp) {
    put_near(out, stamp.packet, other.packet);
    put_time(out, stamp.at, other.at);
}

fn put_endpoint(out: &mut Vec<u8>, Endpoint { ip, port }: Endpoint) {
    match ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&port.to_le_bytes());
}

fn put_claim(out: &mut Vec<u8>, claim: &Claim) {
    let mut bits = Bits::default();
    bits.put_is(claim.tcp_failed);
    bits.put_is(claim.tls_failed);
    bits.put_is(claim.may_be_websocket);
    bits.put_is(claim.merely_left);
    bits.put_is(claim.refused_connect.is_some());
    bits.put_is(claim.refused_connect.flatten().is_some());
    out.push(bits.all as u8);
    if let Some(name) = claim.refused_connect.flatten() {
        out.extend_from_slice(&name.to_le_bytes());
    }
}

/// Takes from the beginning of bytes what the functions above appended.
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
    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(number);
            }
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }

    #[inline(always)]
    fn index(&mut self) -> Option<Option<u32>> {
        let number = self.number()?;
        self.if_is(number > 0, |_| u32::try_from(number - 1).ok())
    }

    #[inline(always)]
    fn near(&mut self, other: u64) -> Option<u64> {
        let number = self.number()?;
        Some(other.wrapping_add(number >> 1 ^ (number & 1).wrapping_neg()))
    }

    #[inline(always)]
    fn time(&mut self, other: i64) -> Option<i64> {
        self.near(other as u64).map(|time| time as i64)
    }

    #[inline(always)]
    fn stamp(&mut self, other: Stamp) -> Option<Stamp> {
        Some(Stamp { packet: self.near(other.packet)?, at: self.time(other.at)? })
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
                outcome: OUTCOMES[outcome],
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
        assert!(OUTCOMES.iter().enumerate().all(|(index, outcome)| *outcome as usize == index));
        assert!(DEEDS.iter().enumerate().all(|(index, deed)| *deed as usize == index));
    }

    proptest! {
        #[test]
        fn what_is_unpacked_is_what_was_packed(
            briefs in prop::collection::vec(brief(), 1..4),
            aside in prop::collection::vec(stripped().prop_map(|finding| *finding), 0..2),
        ) {
            let packed = Packed::new(briefs.iter().cloned(), aside.iter().cloned(), &mut vec![7; 3]);
            prop_assert_eq!(packed.briefs().collect::<Vec<_>>(), &briefs[..]);
            for (nth, brief) in briefs.iter().enumerate() {
                prop_assert_eq!(packed.brief(nth), Some(brief.clone()));
            }
            prop_assert_eq!(packed.brief(briefs.len()), None);
            prop_assert_eq!(packed.aside(), aside);
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
