//! Fragments in any order, twice, overlapping, and too many of them.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const SECOND: i64 = 1_000_000_000;

/// A datagram's bytes that differ at every place.
fn body(len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..len - 20).map(|n| (n % 251) as u8).collect();
    tcp_with(0x18, &[], &payload)
}

fn v4(id: u16, offset: usize, more: bool, bytes: &[u8]) -> Vec<u8> {
    v4_from(CLIENT_V4, id, offset, more, bytes)
}

fn v4_from(source: Ipv4Addr, id: u16, offset: usize, more: bool, bytes: &[u8]) -> Vec<u8> {
    let field = (offset / 8) as u16 | u16::from(more) << 13;
    ethernet(0x0800, &ipv4_full(source, SERVER_V4, 6, id, field, &[], bytes))
}

fn v6(id: u32, offset: usize, more: bool, bytes: &[u8]) -> Vec<u8> {
    let field = (offset as u16 | u16::from(more)).to_be_bytes();
    ethernet(0x86dd, &ipv6(44, &cat(&[&[6, 0], &field, &id.to_be_bytes(), bytes])))
}

/// A defragmenter that is fed frames, one a millisecond.
#[derive(Default)]
struct Feed {
    defragmenter: Defragmenter,
    stamp: Stamp,
}

impl Feed {
    fn push(&mut self, frame: &[u8]) -> Option<Reassembled> {
        self.push_cut(frame, frame.len())
    }

    fn push_cut(&mut self, frame: &[u8], captured: usize) -> Option<Reassembled> {
        self.stamp = Stamp { packet: self.stamp.packet + 1, at: self.stamp.at + SECOND / 1000 };
        let packet = Packet { stamp: self.stamp, bytes: &frame[..captured], ..packet(LinkType::ETHERNET, frame) };
        match decode(packet) {
            Decoded::Fragment(fragment) => {
                assert_eq!(fragment.stamp(), self.stamp);
                self.defragmenter.push(fragment)
            }
            other => panic!("{other:?}"),
        }
    }

    fn dropped(&self) -> u64 {
        self.defragmenter.dropped()
    }
}

fn payload(whole: Option<Reassembled>) -> Option<Vec<u8>> {
    whole.map(|whole| match whole.decode() {
        Decoded::Segment(segment) => segment.payload.to_vec(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn three_fragments_in_every_order() {
    let body = body(100);
    for build in [|o, m, b: &[u8]| v4(9, o, m, b), |o, m, b: &[u8]| v6(9, o, m, b)] {
        let parts = [build(0, true, &body[..40]), build(40, true, &body[40..80]), build(80, false, &body[80..])];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut feed = Feed::default();
            assert!(feed.push(&parts[order[0]]).is_none());
            assert!(feed.push(&parts[order[1]]).is_none());
            let whole = feed.push(&parts[order[2]]).unwrap();
            let Decoded::Segment(segment) = whole.decode() else { panic!() };
            assert_eq!(segment.stamp, feed.stamp, "of the packet that completed it");
            assert_eq!((segment.payload, segment.payload_len), (&body[20..], 80));
            assert_eq!(segment.source.port, CLIENT_PORT);
            assert_eq!(segment.ip_id, if segment.source.ip.is_ipv6() { 0 } else { 9 });
            assert_eq!((feed.dropped(), feed.defragmenter.incomplete()), (0, 0));
        }
    }
}

#[test]
fn copies_are_ignored_and_not_counted() {
    let body = body(64);
    for build in [|o, m, b: &[u8]| v4(9, o, m, b), |o, m, b: &[u8]| v6(9, o, m, b)] {
        let mut feed = Feed::default();
        for _ in 0..3 {
            assert!(feed.push(&build(0, true, &body[..32])).is_none());
        }
        assert_eq!(payload(feed.push(&build(32, false, &body[32..]))).unwrap(), &body[20..]);
        assert_eq!(feed.dropped(), 0);
    }
}

#[test]
fn over_ipv4_the_first_bytes_win() {
    let body = body(64);
    let mut feed = Feed::default();
    assert!(feed.push(&v4(9, 24, true, &body[24..40])).is_none());
    assert!(feed.push(&v4(9, 0, true, &[&body[..24], &[0xff; 24][..]].concat())).is_none());
    // Within what is there (teardrop), and over both of its ends.
    assert!(feed.push(&v4(9, 32, true, &[0xff; 8])).is_none());
    assert!(feed.push(&v4(9, 16, true, &[&[0xff; 32][..], &body[48..56]].concat())).is_none());
    assert_eq!(feed.dropped(), 3);
    let got = payload(feed.push(&v4(9, 40, false, &body[40..]))).unwrap();
    // Bytes 40 to 48 were first sent by the overlapping fragments.
    assert_eq!(got, [&body[20..40], &[0xff; 8], &body[48..]].concat());
    assert_eq!(feed.dropped(), 4);
}

#[test]
fn over_ipv6_an_overlap_ends_the_datagram() {
    let body = body(64);
    let mut feed = Feed::default();
    assert!(feed.push(&v6(9, 0, true, &body[..32])).is_none());
    assert!(feed.push(&v6(9, 24, true, &body[24..40])).is_none());
    assert_eq!(feed.dropped(), 2);
    // RFC 5722: what comes later does not revive it.
    assert!(feed.push(&v6(9, 0, true, &body[..32])).is_none());
    assert!(feed.push(&v6(9, 32, false, &body[32..])).is_none());
    assert_eq!(feed.dropped(), 4);
    // Another datagram is not concerned.
    assert!(feed.push(&v6(10, 0, true, &body[..32])).is_none());
    assert!(feed.push(&v6(10, 32, false, &body[32..])).is_some());
}

#[test]
fn contradicting_ends_are_dropped() {
    let body = body(64);
    let mut feed = Feed::default();
    assert!(feed.push(&v4(9, 32, false, &body[32..])).is_none());
    assert!(feed.push(&v4(9, 64, true, &[1; 8])).is_none());
    assert!(feed.push(&v4(9, 72, false, &[1; 8])).is_none());
    assert_eq!(feed.dropped(), 2);
    assert_eq!(payload(feed.push(&v4(9, 0, true, &body[..32]))).unwrap(), &body[20..]);
    // The last fragment ends before what is already there.
    assert!(feed.push(&v4(10, 32, true, &body[32..])).is_none());
    assert!(feed.push(&v4(10, 8, false, &body[8..24])).is_none());
    assert_eq!(feed.dropped(), 3);
    assert!(feed.push(&v6(10, 32, true, &body[32..])).is_none());
    assert!(feed.push(&v6(10, 8, false, &body[8..24])).is_none());
    assert_eq!(feed.dropped(), 5);
}

#[test]
fn nonsense_is_dropped() {
    let mut feed = Feed::default();
    // Nothing in it; beyond 65535 (the ping of death); less than one unit; no multiple of 8.
    assert!(feed.push(&v4(9, 8, true, &[])).is_none());
    assert!(feed.push(&v4(9, 65_528, false, &[0; 16])).is_none());
    assert!(feed.push(&v4(9, 0, true, &[0; 7])).is_none());
    assert!(feed.push(&v6(9, 0, true, &[0; 9])).is_none());
    assert_eq!((feed.dropped(), feed.defragmenter.incomplete()), (4, 0));
}

#[test]
fn over_ipv4_whole_units_count() {
    let body = body(64);
    let mut feed = Feed::default();
    assert!(feed.push(&v4(9, 0, true, &body[..35])).is_none());
    assert_eq!(payload(feed.push(&v4(9, 32, false, &body[32..]))).unwrap(), &body[20..]);
}

#[test]
fn datagrams_are_told_apart() {
    let bodies = [body(64), body(72)];
    let other = Ipv4Addr::new(192, 0, 2, 99);
    let mut feed = Feed::default();
    assert!(feed.push(&v4(9, 0, true, &bodies[0][..32])).is_none());
    assert!(feed.push(&v4(10, 32, false, &bodies[0][32..])).is_none());
    assert!(feed.push(&v4_from(other, 9, 32, false, &bodies[1][32..])).is_none());
    assert!(feed.push(&v6(9, 32, false, &bodies[1][32..])).is_none());
    // The same addresses in another VLAN.
    let tagged = |frame: Vec<u8>| ethernet(0x8100, &vlan(5, 0x0800, &frame[14..]));
    assert!(feed.push(&tagged(v4(9, 32, false, &bodies[1][32..]))).is_none());
    assert_eq!(payload(feed.push(&v4(9, 32, false, &bodies[0][32..]))).unwrap(), &bodies[0][20..]);
    assert_eq!((feed.dropped(), feed.defragmenter.incomplete()), (0, 4));
}

#[test]
fn old_fragments_meet_nobody() {
    let body = body(64);
    for (build, age) in
        [((|o, m, b| v4(9, o, m, b)) as fn(usize, bool, &[u8]) -> Vec<u8>, 30), (|o, m, b| v6(9, o, m, b), 60)]
    {
        let mut feed = Feed::default();
        assert!(feed.push(&build(0, true, &body[..32])).is_none());
        feed.stamp.at += age * SECOND;
        assert!(feed.push(&build(32, false, &body[32..])).is_none());
        assert_eq!((feed.dropped(), feed.defragmenter.incomplete()), (1, 1));
        assert!(feed.push(&build(0, true, &body[..32])).is_some());
    }
    // Behind an IPv6 datagram, which may wait for longer.
    let mut feed = Feed::default();
    assert!(feed.push(&v6(9, 0, true, &body[..32])).is_none());
    assert!(feed.push(&v4(9, 0, true, &body[..32])).is_none());
    feed.stamp.at += 31 * SECOND;
    assert!(feed.push(&v4(9, 32, false, &body[32..])).is_none());
    assert!(feed.push(&v6(9, 32, false, &body[32..])).is_some());
    assert_eq!(feed.dropped(), 1);
}

#[test]
fn time_may_run_backwards() {
    let body = body(64);
    let mut feed = Feed { stamp: Stamp { packet: 0, at: i64::MAX - SECOND }, ..Feed::default() };
    assert!(feed.push(&v4(9, 0, true, &body[..32])).is_none());
    feed.stamp.at = i64::MIN;
    assert!(feed.push(&v4(9, 32, false, &body[32..])).is_some());
}

#[test]
fn the_snap_length_cuts_the_datagram_not_its_length() {
    let body = body(120);
    let mut feed = Feed::default();
    let frames = [v4(9, 0, true, &body[..48]), v4(9, 48, true, &body[48..96]), v4(9, 96, false, &body[96..])];
    assert!(feed.push(&frames[0]).is_none());
    assert!(feed.push_cut(&frames[1], 34 + 10).is_none());
    let whole = feed.push(&frames[2]).unwrap();
    let Decoded::Segment(segment) = whole.decode() else { panic!() };
    assert_eq!((segment.payload, segment.payload_len), (&body[20..58], 100));
}

#[test]
fn tunnels_may_be_fragmented_inside_and_outside() {
    let body = body(64);
    let outer_fragments = |id: u16, inner: &[u8]| {
        [(0, true, &inner[..24]), (24, false, &inner[24..])].map(|(offset, more, bytes)| {
            let field = (offset / 8) as u16 | u16::from(more) << 13;
            ethernet(0x0800, &ipv4_full(NEAR, FAR, 4, id, field, &[], bytes))
        })
    };
    let first = ipv4_full(CLIENT_V4, SERVER_V4, 6, 7, 0x2000, &[], &body[..32]);
    let last = ipv4_full(CLIENT_V4, SERVER_V4, 6, 7, 0x0004, &[], &body[32..]);
    let mut feed = Feed::default();
    let mut whole = None;
    for (id, inner) in [(1, &first), (2, &last)] {
        let [one, two] = outer_fragments(id, inner);
        assert!(feed.push(&one).is_none());
        let outer = feed.push(&two).unwrap();
        let Decoded::Fragment(inner) = outer.decode() else { panic!() };
        whole = feed.defragmenter.push(inner);
    }
    assert_eq!(payload(whole).unwrap(), &body[20..]);
}

#[test]
fn memory_is_bounded() {
    let mut feed = Feed::default();
    // A flood of datagrams that never complete.
    for n in 0..5000_u32 {
        let source = Ipv4Addr::from(0x0a00_0000 + n);
        assert!(feed.push(&v4_from(source, 1, 0, true, &[0; 1400])).is_none());
        assert!(feed.defragmenter.incomplete() <= 1024);
    }
    assert_eq!(feed.dropped(), 5000 - 1024);
    // One datagram of crumbs: it is given up, and stays so.
    let mut feed = Feed::default();
    for n in 0..1000 {
        assert!(feed.push(&v4(1, n * 16, true, &[0; 8])).is_none());
    }
    assert_eq!((feed.dropped(), feed.defragmenter.incomplete()), (1000, 1));
    // Large ones: bytes are the limit then.
    let mut feed = Feed::default();
    for n in 0..600_u32 {
        let source = Ipv4Addr::from(0x0a00_0000 + n);
        assert!(feed.push(&v4_from(source, 1, 0, true, &vec![0; 60_000])).is_none());
    }
    assert!((130..=140).contains(&feed.defragmenter.incomplete()), "{}", feed.defragmenter.incomplete());
    assert_eq!(feed.dropped() + feed.defragmenter.incomplete() as u64, 600);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Cut anywhere, shuffled, with copies: the datagram comes back, once.
    #[test]
    fn any_cut_in_any_order(
        len in 3..60_usize,
        tail in 1..8_usize,
        cuts in prop::collection::btree_set(1..60_usize, 1..8),
        keys in prop::collection::vec(any::<u32>(), 32),
        copies in any::<u32>(),
        is_v6 in any::<bool>(),
    ) {
        let body = body(len * 8 + tail);
        let mut bounds: Vec<usize> = [0].into_iter().chain(cuts.into_iter().filter(|&cut| cut <= len).map(|cut| cut * 8)).collect();
        if bounds.len() == 1 {
            bounds.push(8);
        }
        bounds.push(body.len());
        let frames: Vec<Vec<u8>> = bounds.windows(2).map(|pair| {
            let (bytes, more) = (&body[pair[0]..pair[1]], pair[1] < body.len());
            if is_v6 { v6(77, pair[0], more, bytes) } else { v4(77, pair[0], more, bytes) }
        }).collect();
        let mut order: Vec<usize> = (0..frames.len()).flat_map(|n| if copies >> n & 1 == 1 { vec![n, n] } else { vec![n] }).collect();
        order.sort_by_key(|&n| keys[n]);
        let mut feed = Feed::default();
        let whole: Vec<Vec<u8>> = order.iter().filter_map(|&n| payload(feed.push(&frames[n]))).collect();
        prop_assert_eq!(whole, vec![body[20..].to_vec()]);
        prop_assert_eq!(feed.dropped(), 0);
    }

    /// Whatever the claims, a datagram holds at each offset a byte that was sent for it.
    #[test]
    fn overlaps_never_invent_bytes(
        pieces in prop::collection::vec((0..12_usize, 1..6_usize, any::<bool>()), 1..40),
        is_v6 in any::<bool>(),
    ) {
        let mut feed = Feed::default();
        let mut sent = vec![[false; 256]; 200];
        for (n, (offset, units, more)) in pieces.into_iter().enumerate() {
            let bytes = vec![n as u8; units * 8];
            sent[offset * 8..(offset + units) * 8].iter_mut().for_each(|at| at[n] = true);
            let frame = if is_v6 { v6(1, offset * 8, more, &bytes) } else { v4(1, offset * 8, more, &bytes) };
            let packet = Packet { stamp: Stamp { packet: n as u64, at: n as i64 }, ..packet(LinkType::ETHERNET, &frame) };
            let Decoded::Fragment(fragment) = decode(packet) else {
                // Offset 0 and nothing more to come: no fragment.
                continue;
            };
            if let Some(whole) = feed.defragmenter.push(fragment) {
                let bytes = whole.bytes();
                for (at, &byte) in bytes.iter().enumerate() {
                    prop_assert!(sent[at][usize::from(byte)]);
                }
            }
        }
    }
}
