//! The walker alone: formats, odd files, damage, chunking.

use proptest::prelude::*;

use super::build::*;
use super::{Record, records, walk, walk_in_pieces};
use crate::capture::Format;
use crate::capture::walker::{MAX_BLOCK, MAX_CAPTURED, MAX_PENDING_SECRETS, NOT_A_PACKET, Walker};
use crate::packet::LinkType;

fn packet(at: i64, link: u16, bytes: Vec<u8>, original: u32) -> Record {
    Record { at, link, original, bytes }
}

#[test]
fn pcap_in_every_byte_order_and_unit() {
    for order in ORDERS {
        for (magic, unit) in [(MICROSECONDS, 1000), (NANOSECONDS, 1)] {
            let mut file = pcap(order, magic);
            file.extend(record(order, 1_700_000_000, 123_456, &payload(1, 60), 1500));
            file.extend(record(order, u32::MAX, 999_999, &payload(2, 61), 61));
            let (packets, walker) = walk(&file);
            assert_eq!(
                packets,
                [
                    packet(1_700_000_000_000_000_000 + 123_456 * unit, 1, payload(1, 60), 1500),
                    packet(4_294_967_295_000_000_000 + 999_999 * unit, 1, payload(2, 61), 61),
                ]
            );
            assert_eq!(walker.format(), Some(Format::Pcap));
            assert_eq!(walker.link_types(), [LinkType(1)]);
            assert_eq!((walker.error(), walker.truncated()), (None, false));
            assert_eq!(walker.position(), file.len() as u64);
        }
    }
}

#[test]
fn kuznetzov_records_have_eight_bytes_more() {
    for order in ORDERS {
        let mut file = pcap(order, KUZNETZOV);
        for index in 0..3 {
            let mut one = record(order, 1000 + index, 7, &payload(index, 50), 50);
            one.splice(16..16, [0, 0, 0, 2, 8, 0, 0, 0]);
            file.extend(one);
        }
        let (packets, _) = walk(&file);
        let expected: Vec<_> =
            (0..3).map(|i| packet(i64::from(1000 + i) * 1_000_000_000 + 7000, 1, payload(i, 50), 50)).collect();
        assert_eq!(packets, expected);
    }
}

#[test]
fn fcs_bits_are_no_part_of_the_link_type() {
    let (_, walker) = walk(&pcap_header(Order::Little, MICROSECONDS, 4, 0, 0x2400_0001));
    assert_eq!(walker.link_types(), [LinkType(1)]);
    for raw in [12, 14, 101] {
        let (_, walker) = walk(&pcap_header(Order::Big, MICROSECONDS, 4, 0, raw));
        assert_eq!(walker.link_types(), [LinkType(101)]);
    }
}

#[test]
fn old_versions_write_the_two_lengths_the_other_way_round() {
    for (minor, first, second, captured, original) in [
        (2, 100, 60, 60, 100),
        (3, 100, 60, 60, 100),
        (3, 60, 100, 60, 100),
        (4, 60, 100, 60, 100),
        (4, 60, 20, 60, 20),
    ] {
        let mut file = pcap_header(Order::Little, MICROSECONDS, minor, 0, 1);
        for word in [5u32, 6, first, second] {
            file.extend(word.to_le_bytes());
        }
        file.extend(payload(1, captured));
        assert_eq!(walk(&file).0, [packet(5_000_006_000, 1, payload(1, captured), original)], "2.{minor}");
    }
}

#[test]
fn a_header_alone_is_an_empty_capture() {
    for order in ORDERS {
        for file in [pcap(order, MICROSECONDS), section(order), [section(order), interface(order, 1, 0, &[])].concat()]
        {
            let (packets, walker) = walk(&file);
            assert!(packets.is_empty());
            assert_eq!((walker.error(), walker.truncated()), (None, false));
        }
    }
}

#[test]
fn nothing_and_half_a_header_are_errors() {
    let (_, walker) = walk(b"");
    assert!(walker.error().unwrap().contains("empty"));
    let (_, walker) = walk(&pcap(Order::Little, MICROSECONDS)[..20]);
    assert!(walker.error().unwrap().contains("inside its file header") && walker.truncated());
    let (_, walker) = walk(b"GET / HTTP/1.1\r\n");
    assert!(walker.error().unwrap().contains("no pcap or pcapng"));
}

fn rich_packets() -> Vec<Record> {
    vec![
        packet(1_700_000_000_000_001_000, 1, payload(1, 61), 61),
        packet(1_700_000_000_000_002_003, 276, payload(2, 96), 1500),
        // A simple packet has no time: it gets that of the packet before it.
        packet(1_700_000_000_000_002_003, 1, payload(5, 54), 54),
        packet(1_700_000_000_000_002_500, 276, payload(6, 33), 33),
        packet(1_700_000_001_500_000_000, 101, payload(7, 40), 40),
        packet(1_700_000_001_500_000_000, NOT_A_PACKET.0, vec![], 0),
        packet(1_700_000_002_000_000_000, 101, vec![], 0),
    ]
}

#[test]
fn pcapng_with_every_block_and_a_change_of_byte_order() {
    for order in ORDERS {
        let (packets, mut walker) = walk(&rich_pcapng(order));
        assert_eq!(packets, rich_packets());
        assert_eq!(walker.format(), Some(Format::Pcapng));
        assert_eq!(walker.link_types(), [LinkType(1), LinkType(276), LinkType(101)]);
        assert_eq!(walker.untimed_packets(), 2);
        assert_eq!((walker.error(), walker.truncated()), (None, false));
        assert_eq!(walker.take_secrets(), [b"CLIENT_RANDOM aa bb\n".to_vec(), b"CLIENT_RANDOM cc dd\n".to_vec()]);
        assert!(walker.take_secrets().is_empty());
    }
}

#[test]
fn secrets_of_other_kinds_are_left_out() {
    let order = Order::Little;
    let mut file = section(order);
    file.extend(secrets(order, 0x5747_4b4c, b"wireguard"));
    file.extend(secrets(order, 0x544c_534b, b"tls"));
    // A length that exceeds the block: what is there is taken.
    let mut lying = secrets(order, 0x544c_534b, b"text");
    lying[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    file.extend(lying);
    let (_, mut walker) = walk(&file);
    assert_eq!(walker.take_secrets(), [b"tls".to_vec(), b"text".to_vec()]);
    assert_eq!(walker.error(), None);
}

#[test]
fn secrets_without_end_are_bounded() {
    let order = Order::Big;
    let key_log = |length| secrets(order, 0x544c_534b, &vec![b'x'; length]);
    // One block longer than any that is kept whole.
    let mut file = [section(order), key_log(MAX_BLOCK as usize), key_log(5)].concat();
    let (_, mut walker) = walk(&file);
    assert_eq!(walker.take_secrets(), [b"xxxxx"]);
    assert_eq!((walker.secrets_refused(), walker.error()), (1, None));
    // Several that nobody takes.
    file = section(order);
    for _ in 0..3 {
        file.extend(key_log(MAX_PENDING_SECRETS / 2 - 100_000));
    }
    let (_, mut walker) = walk(&file);
    assert_eq!((walker.take_secrets().len(), walker.secrets_refused()), (2, 1));
}

/// The time of a packet with these ticks on an interface with these options.
fn time_of(order: Order, options: &[u8], ticks: u64) -> i64 {
    let file = [section(order), interface(order, 1, 0, options), enhanced(order, 0, ticks, b"", 0)].concat();
    walk(&file).0[0].at
}

#[test]
fn every_time_resolution_is_exact() {
    for order in ORDERS {
        let at = |resolution: u8, ticks| time_of(order, &option(order, 9, &[resolution]), ticks);
        assert_eq!(at(0, 1_700_000_000), 1_700_000_000_000_000_000);
        assert_eq!(at(3, 1_700_000_000_123), 1_700_000_000_123_000_000);
        assert_eq!(at(6, 1_700_000_000_123_456), 1_700_000_000_123_456_000);
        assert_eq!(at(7, 17_000_000_001_234_567), 1_700_000_000_123_456_700);
        assert_eq!(at(9, 1_700_000_000_123_456_789), 1_700_000_000_123_456_789);
        assert_eq!(at(12, 1_700_000_000_123_456_789), 1_700_000_000_123_456);
        assert_eq!(at(19, u64::MAX), 1_844_674_407);
        assert_eq!(at(40, u64::MAX), 0);
        assert_eq!(at(0x80, 1_700_000_000), 1_700_000_000_000_000_000);
        assert_eq!(at(0x80 | 1, 3), 1_500_000_000);
        assert_eq!(at(0x80 | 9, 1), 1_953_125);
        assert_eq!(at(0x80 | 10, 1), 976_562);
        assert_eq!(at(0x80 | 20, (1_700_000_000 << 20) + (1 << 19)), 1_700_000_000_500_000_000);
        assert_eq!(at(0x80 | 32, (1_700_000_000 << 32) + (1 << 30)), 1_700_000_000_250_000_000);
        assert_eq!(at(0xff, u64::MAX), 0);
        // Without the option: microseconds.
        assert_eq!(time_of(order, &[], 1_000_001), 1_000_001_000);
    }
}

#[test]
fn times_beyond_the_calendar_saturate() {
    let order = Order::Little;
    let with = |resolution: u8, offset: i64, ticks| {
        let options = [option(order, 9, &[resolution]), option(order, 14, &order.u64(offset as u64))].concat();
        time_of(order, &options, ticks)
    };
    assert_eq!(with(6, -1000, 1_700_000_000_000_000), 1_699_999_000_000_000_000);
    assert_eq!(with(6, 1_000, 0), 1_000_000_000_000);
    assert_eq!(with(0, 0, u64::MAX), i64::MAX);
    assert_eq!(with(6, i64::MAX, 5), i64::MAX);
    assert_eq!(with(6, i64::MIN, 5), i64::MIN + 5000);
    assert_eq!(with(9, i64::MIN, 0), i64::MIN);
    assert_eq!(with(9, 9_223_372_036, u64::MAX), i64::MAX);
    assert_eq!(with(9, -9_223_372_036, 3), -9_223_372_035_999_999_997);
    assert_eq!(with(0x80 | 63, 1, 1 << 62), 1_500_000_000);
}

#[test]
fn options_that_make_no_sense_are_survived() {
    for order in ORDERS {
        let good = option(order, 9, &[9]);
        // A value that overruns the block, after one that does not.
        let overrun = [good.clone(), order.u16(2).to_vec(), order.u16(500).to_vec(), b"eth0".to_vec()].concat();
        assert_eq!(time_of(order, &overrun, 77), 77);
        // Nothing counts after the end-of-options mark.
        let ended = [good.clone(), option(order, 0, &[]), option(order, 9, &[3])].concat();
        assert_eq!(time_of(order, &ended, 77), 77);
        // Values too short for what they are.
        let short = [option(order, 9, &[]), option(order, 14, &[1, 2, 3])].concat();
        assert_eq!(time_of(order, &short, 77), 77_000);
        // A list that ends inside an option's head.
        assert_eq!(time_of(order, &[good, vec![0, 9]].concat(), 77), 77);
    }
}

#[test]
fn simple_packets_are_cut_by_the_snap_length() {
    let order = Order::Big;
    let file = [section(order), interface(order, 1, 40, &[]), simple(order, &payload(1, 40), 90)].concat();
    assert_eq!(walk(&file).0, [packet(0, 1, payload(1, 40), 90)]);
    // Without a snap length, by what the block holds.
    let file = [section(order), interface(order, 1, 0, &[]), simple(order, &payload(1, 41), 41)].concat();
    assert_eq!(walk(&file).0, [packet(0, 1, payload(1, 41), 41)]);
}

#[test]
fn a_block_length_that_is_not_padded_is_accepted_as_wireshark_does() {
    let order = Order::Little;
    let mut odd = enhanced(order, 0, 1, &payload(1, 58), 58);
    let length = odd.len() as u32 - 2;
    odd[4..8].copy_from_slice(&length.to_le_bytes());
    let end = odd.len() - 4;
    odd[end..].copy_from_slice(&length.to_le_bytes());
    let file = [section(order), interface(order, 1, 0, &[]), odd, enhanced(order, 0, 2, &payload(2, 7), 7)].concat();
    assert_eq!(walk(&file).0, [packet(1000, 1, payload(1, 58), 58), packet(2000, 1, payload(2, 7), 7)]);
}

/// The error of a file with one good packet and then `tail`.
fn damage(order: Order, ng: bool, tail: &[u8]) -> String {
    let mut file = if ng {
        [section(order), interface(order, 1, 0, &[]), enhanced(order, 0, 1, &payload(1, 60), 60)].concat()
    } else {
        small_pcap(order, &[60])
    };
    let offset = file.len();
    file.extend(tail);
    file.extend(payload(9, 3000));
    let (packets, walker) = walk(&file);
    assert_eq!(packets.len(), 1);
    let error = walker.error().expect("damage is noticed").to_owned();
    assert!(error.contains(&format!("at byte {offset} ")), "{error}");
    assert!(error.ends_with("1 packet was read"), "{error}");
    assert_eq!(walker.position(), offset as u64);
    // The same text, however the bytes arrive.
    assert_eq!(walk_in_pieces(&file, &[1, 7, 100]).1.error(), Some(error.as_str()));
    error
}

#[test]
fn damage_ends_the_walk_and_says_where() {
    for order in ORDERS {
        let mut absurd = record(order, 1, 1, &[], 1);
        absurd[8..12].copy_from_slice(&[0xff; 4]);
        assert!(damage(order, false, &absurd).contains("claims 4294967295 bytes"));

        let over = record(order, 1, 1, &vec![0; MAX_CAPTURED as usize + 1], 1);
        assert!(damage(order, false, &over).contains("claims 262145 bytes"));

        let mut packet = enhanced(order, 0, 1, &payload(2, 60), 60);
        let end = packet.len() - 4;
        packet[end..].copy_from_slice(&order.u32(96));
        assert!(damage(order, true, &packet).contains("92 at its beginning and as 96 at its end"));

        assert!(damage(order, true, &enhanced(order, 5, 1, b"", 0)).contains("names interface 5"));
        assert!(damage(order, true, &obsolete(order, 5, 1, b"", 0)).contains("names interface 5"));

        let mut packet = enhanced(order, 0, 1, &payload(2, 60), 60);
        packet[20..24].copy_from_slice(&order.u32(61 + 4));
        assert!(damage(order, true, &packet).contains("cannot hold"));
        packet[20..24].copy_from_slice(&order.u32(u32::MAX));
        assert!(damage(order, true, &packet).contains("claims 4294967295 bytes"));
        packet[20..24].copy_from_slice(&order.u32(60));
        packet[4..8].copy_from_slice(&order.u32(u32::MAX));
        assert!(damage(order, true, &packet).contains("a block of 4294967295"));

        assert!(damage(order, true, &[0; 12]).contains("fewer than the 12"));
        assert!(damage(order, true, &block(order, 1, &[])).contains("fewer than the 20"));
        let mut skipped = block(order, 0x777, &[1; 100]);
        let end = skipped.len() - 4;
        skipped[end] ^= 1;
        skipped[end + 3] ^= 1;
        // The offset named is where the block begins, although its head was consumed already.
        let file = [section(order), skipped].concat();
        assert!(walk(&file).1.error().unwrap().contains("at byte 28 "));

        let mut unknown = section(order);
        unknown[8..12].copy_from_slice(&[1, 2, 3, 4]);
        assert!(damage(order, true, &unknown).contains("byte-order magic 01020304"));
        let mut version = section(order);
        version[12..14].copy_from_slice(&order.u16(2));
        assert!(damage(order, true, &version).contains("version 2"));
    }
}

#[test]
fn a_declared_snap_length_allows_longer_packets() {
    let order = Order::Little;
    let long = payload(1, 300_000);
    let mut file = pcap_header(order, MICROSECONDS, 4, 1 << 20, 1);
    file.extend(record(order, 1, 0, &long, 300_000));
    assert_eq!(walk(&file).0.len(), 1);
    let file = [section(order), interface(order, 1, 1 << 20, &[]), enhanced(order, 0, 1, &long, 300_000)].concat();
    assert_eq!(walk(&file).0.len(), 1);
    // A snap length beyond reason declares nothing.
    let mut file = pcap_header(order, MICROSECONDS, 4, 0x7fff_ffff, 1);
    file.extend(record(order, 1, 0, &long, 300_000));
    assert!(walk(&file).1.error().is_some());
}

#[test]
fn blocks_without_interest_may_be_longer_than_what_is_shown() {
    let order = Order::Little;
    let head = [section(order), interface(order, 1, 0, &[])].concat();
    let file = [head, block(order, 0x777, &vec![1; 100_000]), enhanced(order, 0, 1, b"abc", 3)].concat();
    let mut walker = Walker::new();
    let mut found = Vec::new();
    let mut at = 0;
    // Shown 1000 bytes at a time, never more, and none of the block's bytes twice.
    while !walker.is_finished() {
        let end = file.len().min(at + 1000);
        let mut packets = Vec::new();
        let walked = walker.walk(&file[at..end], 0, end == file.len(), &mut packets);
        assert!(walked.end > 0 && walked.need < 1000);
        found.extend(records(&packets, &file[at..end]));
        at += walked.end;
    }
    assert_eq!(found, [packet(1000, 1, b"abc".to_vec(), 3)]);
    assert_eq!(at, file.len());
}

fn every_file() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for order in ORDERS {
        files.push(small_pcap(order, &[60, 0, 1, 200, 54, 3]));
        files.push(rich_pcapng(order));
        let mut kuznetzov = pcap(order, KUZNETZOV);
        kuznetzov.extend([&[0; 8][..], &order.u32(5), &order.u32(5), &[0; 8], b"hello"].concat());
        kuznetzov.extend([&[0; 8][..], &order.u32(5), &order.u32(5), &[0; 8], b"again"].concat());
        files.push(kuznetzov);
    }
    files
}

#[test]
fn every_chunking_gives_the_same_packets() {
    for file in every_file() {
        let (expected, mut whole) = walk(&file);
        let secrets = whole.take_secrets();
        for cut in 1..file.len() {
            let (found, mut walker) = walk_in_pieces(&file, &[cut, file.len()]);
            assert_eq!(found, expected, "cut at {cut}");
            assert_eq!(walker.take_secrets(), secrets);
        }
        for size in 1..40 {
            let (found, walker) = walk_in_pieces(&file, &[size]);
            assert_eq!(found, expected, "pieces of {size}");
            assert_eq!(walker.position(), file.len() as u64);
            assert_eq!((walker.error(), walker.truncated()), (None, false));
        }
    }
}

#[test]
fn a_cut_anywhere_gives_the_packets_before_it() {
    for file in every_file() {
        let (expected, _) = walk(&file);
        let mut boundaries = 0;
        for cut in 0..file.len() {
            let (found, walker) = walk(&file[..cut]);
            assert!(expected.starts_with(&found), "cut at {cut}");
            assert!(walker.error().is_none() || cut < 24, "cut at {cut}: {:?}", walker.error());
            if cut > 28 {
                boundaries += usize::from(!walker.truncated());
            }
        }
        assert!(boundaries > 0 && boundaries < 20, "only a cut between two records is no truncation");
    }
}

#[test]
fn chunks_with_a_stop_give_every_packet_once() {
    // As several threads read: chunk k holds its own bytes and a slack behind them, and is walked from
    // where the chunk before it ended.
    for file in every_file() {
        let (expected, _) = walk(&file);
        for chunk in [32, 100, 257] {
            let mut walker = Walker::new();
            let mut found = Vec::new();
            let mut next = 0;
            let mut base = 0;
            while base < file.len() {
                let slack = 2000;
                let bytes = &file[base..file.len().min(base + chunk + slack)];
                let last = base + bytes.len() == file.len();
                if next < base + chunk {
                    let mut packets = Vec::new();
                    let walked = walker.walk_until(bytes, next - base, chunk, last, &mut packets);
                    assert!(walked.end >= chunk || last);
                    found.extend(records(&packets, bytes));
                    next = base + walked.end;
                }
                base += chunk;
            }
            assert_eq!(found, expected);
            assert!(walker.is_finished());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn corruption_never_panics_and_chunking_never_shows(
        which in 0usize..6,
        hits in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 1usize..5),
            1..8,
        ),
        sizes in prop::collection::vec(1usize..200, 1..6),
    ) {
        let mut file = every_file().swap_remove(which);
        for (index, value, width) in hits {
            let at = index.index(file.len());
            let end = file.len().min(at + width);
            file[at..end].fill(value);
        }
        let mut whole = Walker::new();
        let mut packets = Vec::new();
        let walked = whole.walk(&file, 0, true, &mut packets);
        prop_assert_eq!(walked.need, 0);
        for packet in &packets {
            prop_assert!(packet.offset as usize + packet.captured as usize <= file.len());
        }
        let (found, walker) = walk_in_pieces(&file, &sizes);
        prop_assert_eq!(found, records(&packets, &file));
        prop_assert_eq!(walker.error(), whole.error());
        prop_assert_eq!(walker.truncated(), whole.truncated());
    }

    #[test]
    fn rubbish_behind_a_magic_never_panics(
        magic in prop::sample::select(vec![
            [0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0xc3, 0xd4], [0x34, 0xcd, 0xb2, 0xa1], [0x0a, 0x0d, 0x0d, 0x0a],
        ]),
        rubbish in prop::collection::vec(any::<u8>(), 0..600),
        sizes in prop::collection::vec(1usize..100, 1..4),
    ) {
        let mut file = magic.to_vec();
        file.extend(rubbish);
        let mut whole = Walker::new();
        let mut packets = Vec::new();
        whole.walk(&file, 0, true, &mut packets);
        let (found, walker) = walk_in_pieces(&file, &sizes);
        prop_assert_eq!(found, records(&packets, &file));
        prop_assert_eq!(walker.error(), whole.error());
    }

    #[test]
    fn what_is_written_is_read(
        big in any::<bool>(),
        nanoseconds in any::<bool>(),
        packets in prop::collection::vec((any::<u32>(), 0u32..1_000_000, 0usize..300, 0u32..5000), 0..40),
        sizes in prop::collection::vec(1usize..700, 1..5),
    ) {
        let order = if big { Order::Big } else { Order::Little };
        let mut old = pcap(order, if nanoseconds { NANOSECONDS } else { MICROSECONDS });
        let resolution = [if nanoseconds { 9 } else { 6 }];
        let mut new = [section(order), interface(order, 1, 0, &option(order, 9, &resolution))].concat();
        let (per_second, unit) = if nanoseconds { (1_000_000_000, 1) } else { (1_000_000, 1000) };
        let mut expected = Vec::new();
        for (index, &(seconds, fraction, length, more)) in packets.iter().enumerate() {
            let data = payload(index as u32, length);
            let original = length as u32 + more;
            old.extend(record(order, seconds, fraction, &data, original));
            let ticks = u64::from(seconds) * per_second + u64::from(fraction);
            new.extend(enhanced(order, 0, ticks, &data, original));
            expected.push(packet(ticks as i64 * unit, 1, data, original));
        }
        for file in [old, new] {
            let (found, walker) = walk_in_pieces(&file, &sizes);
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!((walker.error(), walker.truncated()), (None, false));
        }
    }
}
