//! Dialogues of segments, and the same bytes under every order, duplication and loss.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::packet::TcpOptions;
use crate::stream::GapCause;

const CLIENT: Endpoint = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), port: 40000 };
const SERVER: Endpoint = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), port: 80 };
const MS: i64 = 1_000_000;
const S: u8 = TcpFlags::SYN;
const A: u8 = TcpFlags::ACK;
const F: u8 = TcpFlags::FIN;
const R: u8 = TcpFlags::RST;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Data(Direction, u64, Vec<u8>),
    Gap(Direction, u64, u64, GapCause),
    End(Direction, End),
}

struct Wire {
    connection: Option<Connection>,
    packet: u64,
    at: i64,
    seen: Vec<Seen>,
}

impl Wire {
    fn new() -> Self {
        Self { connection: None, packet: 0, at: 0, seen: Vec::new() }
    }

    fn opened() -> Self {
        let mut wire = Self::new();
        wire.send(CLIENT, S, 100, 0, b"");
        wire.send(SERVER, S | A, 500, 101, b"");
        wire.send(CLIENT, A, 101, 501, b"");
        wire
    }

    fn segment<'a>(&mut self, from: Endpoint, flags: u8, sequence: u32, ack: u32, payload: &'a [u8]) -> Segment<'a> {
        self.packet += 1;
        self.at += MS;
        Segment {
            stamp: Stamp { packet: self.packet, at: self.at },
            source: from,
            destination: if from == CLIENT { SERVER } else { CLIENT },
            sequence,
            acknowledgment: ack,
            window: 1000,
            flags: TcpFlags(flags),
            ttl: if from == CLIENT { 64 } else { 60 },
            ip_id: 0,
            options: TcpOptions::default(),
            payload_len: payload.len() as u32,
            payload,
        }
    }

    fn push(&mut self, segment: &Segment<'_>) {
        let connection = self.connection.get_or_insert_with(|| Connection::new(segment));
        let seen = &mut self.seen;
        connection.segment(segment, &mut |_, direction, event| seen.push(note(direction, event)));
    }

    fn send(&mut self, from: Endpoint, flags: u8, sequence: u32, ack: u32, payload: &[u8]) {
        let segment = self.segment(from, flags, sequence, ack, payload);
        self.push(&segment);
    }

    fn finish(&mut self) {
        let seen = &mut self.seen;
        self.connection.as_mut().unwrap().finish(End::CaptureEnd, &mut |_, d, e| seen.push(note(d, e)));
    }

    fn facts(&self) -> &TcpFacts {
        self.connection.as_ref().unwrap().facts()
    }

    fn taken(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }
}

fn note(direction: Direction, event: StreamEvent<'_>) -> Seen {
    match event {
        StreamEvent::Data { offset, bytes } => Seen::Data(direction, offset, bytes.to_vec()),
        StreamEvent::Gap { offset, len, cause } => Seen::Gap(direction, offset, len, cause),
        StreamEvent::End(end) => Seen::End(direction, end),
    }
}

fn data(direction: Direction, offset: u64, bytes: &[u8]) -> Seen {
    Seen::Data(direction, offset, bytes.to_vec())
}

use Direction::{ToClient, ToServer};

#[test]
fn a_handshake_gives_roles_and_the_initial_rtt() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"hello");
    wire.send(SERVER, A, 501, 106, b"world");
    assert_eq!(wire.taken(), [data(ToServer, 0, b"hello"), data(ToClient, 0, b"world")]);
    let facts = wire.facts();
    assert_eq!((facts.client, facts.server), (CLIENT, SERVER));
    assert_eq!(facts.opening, Opening::Handshake);
    assert_eq!(facts.initial_rtt_ns(), Some(2 * MS));
    assert_eq!(facts.side(Side::Client).unacknowledged_since(), None);
    assert!(facts.side(Side::Server).unacknowledged_since.is_some());
}

#[test]
fn a_refused_and_an_unanswered_syn_are_told_apart() {
    let mut wire = Wire::new();
    wire.send(CLIENT, S, 100, 0, b"");
    wire.send(CLIENT, S, 100, 0, b"");
    assert_eq!(wire.facts().opening, Opening::Unanswered);
    assert_eq!(wire.facts().side(Side::Client).unusual().syn_retransmissions, 1);
    wire.send(SERVER, R | A, 0, 101, b"");
    assert_eq!(wire.facts().opening, Opening::Refused);
    assert_eq!(wire.facts().first_closer, Some(Side::Server));
}

#[test]
fn swapped_segments_come_out_in_order() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 104, 501, b"def");
    assert_eq!(wire.taken(), []);
    wire.send(CLIENT, A, 101, 501, b"abc");
    assert_eq!(wire.taken(), [data(ToServer, 0, b"abc"), data(ToServer, 3, b"def")]);
    assert_eq!(wire.facts().side(Side::Client).unusual().out_of_order, 1);
    assert_eq!(wire.facts().side(Side::Client).unusual().retransmissions, 0);
}

#[test]
fn a_hole_filled_late_was_sent_again() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 104, 501, b"def");
    wire.at += 200 * MS;
    wire.send(CLIENT, A, 101, 501, b"abc");
    assert_eq!(wire.facts().side(Side::Client).unusual().retransmissions, 1);
}

#[test]
fn a_retransmission_gives_nothing_new() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"abc");
    wire.taken();
    wire.send(CLIENT, A, 101, 501, b"abc");
    wire.send(CLIENT, A, 101, 501, b"abcdef");
    assert_eq!(wire.taken(), [data(ToServer, 3, b"def")]);
    assert_eq!(wire.facts().side(Side::Client).unusual().retransmissions, 1);
    assert_eq!(wire.facts().side(Side::Client).unusual().conflicting_overlaps, 0);
}

#[test]
fn other_bytes_at_the_same_place_are_a_fact_and_the_first_stand() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"abcdefghij");
    wire.send(CLIENT, A, 101, 501, b"ABCDEFGHIJ");
    assert_eq!(wire.taken(), [data(ToServer, 0, b"abcdefghij")]);
    assert_eq!(wire.facts().side(Side::Client).unusual().conflicting_overlaps, 1);

    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 104, 501, b"def");
    wire.send(CLIENT, A, 101, 501, b"abcXYZghi");
    assert_eq!(wire.taken(), [data(ToServer, 0, b"abc"), data(ToServer, 3, b"def"), data(ToServer, 6, b"ghi")]);
    assert_eq!(wire.facts().side(Side::Client).unusual().conflicting_overlaps, 1);
}

#[test]
fn an_acknowledged_hole_is_the_captures_loss() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"abc");
    wire.send(CLIENT, A, 107, 501, b"ghi");
    wire.send(SERVER, A, 501, 110, b"");
    wire.taken();
    wire.at += 150 * MS;
    wire.send(SERVER, A, 501, 110, b"x");
    assert_eq!(
        wire.taken(),
        [data(ToClient, 0, b"x"), Seen::Gap(ToServer, 3, 3, GapCause::NotCaptured), data(ToServer, 6, b"ghi"),]
    );
    assert_eq!(wire.facts().side(Side::Client).unusual().lost_bytes, 3);
}

#[test]
fn a_hole_nobody_acknowledged_waits_and_what_is_behind_it_was_never_delivered() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 107, 501, b"ghi");
    wire.at += 10_000 * MS;
    wire.send(SERVER, A, 501, 101, b"x");
    wire.finish();
    assert_eq!(
        wire.taken(),
        [data(ToClient, 0, b"x"), Seen::End(ToServer, End::CaptureEnd), Seen::End(ToClient, End::CaptureEnd)]
    );
    assert_eq!(wire.facts().side(Side::Client).unusual().undelivered_bytes, 3);
}

#[test]
fn one_direction_only_shows_its_losses_after_a_while() {
    let mut wire = Wire::new();
    wire.send(SERVER, A, 1000, 5, b"abc");
    wire.send(SERVER, A, 1006, 5, b"ghi");
    wire.at += 4_000 * MS;
    wire.send(SERVER, A, 1009, 5, b"jkl");
    assert_eq!(
        wire.taken(),
        [
            data(ToClient, 0, b"abc"),
            Seen::Gap(ToClient, 3, 3, GapCause::NotCaptured),
            data(ToClient, 6, b"ghi"),
            data(ToClient, 9, b"jkl"),
        ]
    );
    assert!(wire.facts().one_way());
}

#[test]
fn the_snap_length_leaves_a_gap_of_known_size() {
    let mut wire = Wire::opened();
    let mut segment = wire.segment(CLIENT, A, 101, 501, b"abc");
    segment.payload_len = 10;
    wire.push(&segment);
    wire.send(CLIENT, A, 111, 501, b"next");
    assert_eq!(
        wire.taken(),
        [data(ToServer, 0, b"abc"), Seen::Gap(ToServer, 3, 7, GapCause::SnapLength), data(ToServer, 10, b"next")]
    );
    assert_eq!(wire.facts().side(Side::Client).unusual().cut_bytes, 7);
}

#[test]
fn sequence_numbers_wrap() {
    let mut wire = Wire::new();
    wire.send(CLIENT, S, u32::MAX - 2, 0, b"");
    wire.send(SERVER, S | A, 500, u32::MAX - 1, b"");
    wire.send(CLIENT, A, u32::MAX - 1, 501, b"abcd");
    wire.send(CLIENT, A, 2, 501, b"ef");
    assert_eq!(wire.taken(), [data(ToServer, 0, b"abcd"), data(ToServer, 4, b"ef")]);
}

#[test]
fn a_syn_may_carry_data() {
    let mut wire = Wire::new();
    wire.send(CLIENT, S, 100, 0, b"early");
    wire.send(SERVER, S | A, 500, 106, b"");
    wire.send(CLIENT, A, 106, 501, b" bird");
    assert_eq!(wire.taken(), [data(ToServer, 0, b"early"), data(ToServer, 5, b" bird")]);
}

#[test]
fn keep_alives_are_no_data_and_no_retransmissions() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"abc");
    wire.send(SERVER, A, 501, 104, b"");
    wire.taken();
    wire.send(CLIENT, A, 103, 501, b"");
    wire.send(CLIENT, A, 103, 501, b"\0");
    assert_eq!(wire.taken(), []);
    let client = wire.facts().side(Side::Client);
    assert_eq!((client.unusual().keep_alives, client.unusual().retransmissions), (2, 0));
}

#[test]
fn half_close_ends_one_direction_and_the_other_goes_on() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, F | A, 101, 501, b"bye");
    wire.send(SERVER, A, 501, 105, b"still here");
    wire.send(SERVER, F | A, 511, 105, b"");
    assert_eq!(
        wire.taken(),
        [
            data(ToServer, 0, b"bye"),
            Seen::End(ToServer, End::Fin),
            data(ToClient, 0, b"still here"),
            Seen::End(ToClient, End::Fin),
        ]
    );
    assert!(wire.connection.as_ref().unwrap().is_over());
    assert_eq!((wire.facts().first_closer, wire.facts().closing), (Some(Side::Client), Closing::Fin));
}

#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, F | A, 104, 501, b"def");
    assert_eq!(wire.taken(), []);
    wire.send(CLIENT, A, 101, 501, b"abc");
    assert_eq!(wire.taken(), [data(ToServer, 0, b"abc"), data(ToServer, 3, b"def"), Seen::End(ToServer, End::Fin)]);
}

#[test]
fn a_reset_ends_the_senders_direction_at_once_and_the_other_at_the_end() {
    let mut wire = Wire::opened();
    wire.send(SERVER, R, 501, 0, b"");
    assert_eq!(wire.taken(), [Seen::End(ToClient, End::Rst)]);
    wire.finish();
    assert_eq!(wire.taken(), [Seen::End(ToServer, End::Rst)]);
    assert!(!wire.facts().side(Side::Server).reset().unwrap().looks_forged());
}

#[test]
fn a_reset_with_another_ttl_or_outside_the_window_looks_forged() {
    let mut wire = Wire::opened();
    let mut segment = wire.segment(SERVER, R, 501, 0, b"");
    segment.ttl = 47;
    wire.push(&segment);
    assert!(wire.facts().side(Side::Server).reset().unwrap().looks_forged());

    let mut wire = Wire::opened();
    wire.send(SERVER, R, 501 + (3 << 20), 0, b"");
    assert_eq!(wire.taken(), []);
    assert!(wire.facts().side(Side::Server).reset().unwrap().looks_forged());
    assert_eq!(wire.facts().first_closer, None);
    wire.send(SERVER, A, 501, 101, b"alive");
    assert_eq!(wire.taken(), [data(ToClient, 0, b"alive")]);
}

#[test]
fn an_unanswered_retransmission_run_is_counted_until_an_ack_clears_it() {
    let mut wire = Wire::opened();
    wire.send(SERVER, A, 501, 101, b"ping");
    for _ in 0..5 {
        wire.at += 300 * MS;
        wire.send(SERVER, A, 501, 101, b"ping");
    }
    let run = wire.facts().side(Side::Server).unusual().unacknowledged.unwrap();
    assert_eq!((run.retransmissions, run.sent.packet), (5, 4));
    wire.send(CLIENT, A, 101, 505, b"");
    assert_eq!(wire.facts().side(Side::Server).unusual().unacknowledged, None);
}

#[test]
fn zero_windows_are_timed() {
    let mut wire = Wire::opened();
    let mut segment = wire.segment(CLIENT, A, 101, 501, b"");
    segment.window = 0;
    wire.push(&segment);
    wire.at += 1_500 * MS;
    wire.send(CLIENT, A, 101, 501, b"");
    let stall = wire.facts().side(Side::Client).unusual().zero_window;
    assert_eq!((stall.times, stall.longest_ns, stall.closed_since), (1, 1_501 * MS, None));
}

#[test]
fn a_reused_port_is_a_new_connection_and_a_repeated_syn_is_not() {
    let mut wire = Wire::opened();
    let again = wire.segment(CLIENT, S, 100, 0, b"");
    let other = wire.segment(CLIENT, S, 9000, 0, b"");
    assert!(!wire.connection.as_ref().unwrap().is_reopened_by(&again));
    assert!(wire.connection.as_ref().unwrap().is_reopened_by(&other));
    wire.send(CLIENT, F | A, 101, 501, b"");
    assert!(wire.connection.as_ref().unwrap().is_reopened_by(&again));
}

#[test]
fn a_fin_that_was_not_captured_shows_in_the_acknowledgment() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"abc");
    wire.send(SERVER, A, 501, 105, b"");
    wire.finish();
    assert!(wire.facts().side(Side::Client).unusual().fin_unseen.is_some());
    assert_eq!(wire.facts().side(Side::Client).unusual().lost_bytes, 0);
}

#[test]
fn a_fin_that_acknowledges_one_that_was_not_captured_is_the_second() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, F | A, 101, 502, b"");
    wire.send(SERVER, A, 502, 102, b"");
    wire.finish();
    assert_eq!(wire.facts().first_closer, Some(Side::Server));
    assert_eq!(wire.facts().side(Side::Server).unusual().fin_unseen.map(|at| at.packet), Some(4));
    // One that acknowledges what was captured and no more is the first.
    let mut wire = Wire::opened();
    wire.send(CLIENT, F | A, 101, 501, b"");
    wire.send(SERVER, F | A, 501, 102, b"");
    wire.finish();
    assert_eq!(wire.facts().first_closer, Some(Side::Client));
    assert_eq!(wire.facts().side(Side::Server).unusual().fin_unseen, None);
}

#[test]
fn a_client_that_acknowledges_got_a_syn_ack() {
    let mut wire = Wire::new();
    wire.send(CLIENT, S, 100, 0, b"");
    assert_eq!(wire.facts().opening, Opening::Unanswered);
    wire.send(CLIENT, A, 101, 501, b"hello");
    assert_eq!(wire.facts().opening, Opening::Handshake);
    // Later an RST is no refusal any more.
    wire.send(SERVER, R | A, 501, 106, b"");
    assert_eq!(wire.facts().opening, Opening::Handshake);
}

#[test]
fn bytes_that_a_fin_an_rst_or_an_ack_skips_are_a_gap() {
    for flags in [F | A, R, R | A, A] {
        let mut wire = Wire::opened();
        wire.send(CLIENT, A, 101, 501, b"abc");
        wire.send(CLIENT, flags, 112, 501, b"");
        wire.finish();
        assert!(wire.seen.contains(&Seen::Gap(ToServer, 3, 8, GapCause::NotCaptured)), "{flags}: {:?}", wire.seen);
        let unusual = wire.facts().side(Side::Client).unusual();
        assert_eq!((unusual.lost_bytes, unusual.skipped_bytes), (0, 8), "{flags}");
        assert_eq!(unusual.first_hole.behind.map(|at| at.packet), Some(5), "{flags}");
    }
    // Those that an RST acknowledges were received.
    let mut wire = Wire::opened();
    wire.send(CLIENT, F | A, 109, 501, b"");
    wire.send(SERVER, R | A, 501, 110, b"");
    wire.finish();
    let unusual = wire.facts().side(Side::Client).unusual();
    assert_eq!((unusual.lost_bytes, unusual.skipped_bytes), (8, 0));
    // What is late is not missing, and an RST of another hop count proves nothing.
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 104, 501, b"");
    wire.send(CLIENT, A, 101, 501, b"abc");
    let mut forged = wire.segment(CLIENT, R | A, 120, 520, b"");
    forged.ttl = 250;
    wire.push(&forged);
    wire.finish();
    assert!(!wire.seen.iter().any(|seen| matches!(seen, Seen::Gap(..))), "{:?}", wire.seen);
}

#[test]
fn an_acknowledged_fin_is_no_gap_whatever_comes_behind_it() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"abcdef");
    wire.send(CLIENT, F | A, 104, 501, b"");
    wire.send(SERVER, A, 501, 110, b"");
    wire.finish();
    assert!(!wire.seen.iter().any(|seen| matches!(seen, Seen::Gap(..))), "{:?}", wire.seen);

    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"abc");
    wire.send(SERVER, A, 501, 108, b"");
    wire.send(CLIENT, F | A, 107, 501, b"");
    wire.finish();
    assert!(wire.seen.contains(&Seen::Gap(ToServer, 3, 3, GapCause::NotCaptured)), "{:?}", wire.seen);
}

#[test]
fn nothing_comes_after_an_end() {
    let mut wire = Wire::opened();
    wire.send(CLIENT, F | A, 104, 501, b"");
    wire.send(CLIENT, A, 110, 501, b"beyond");
    wire.send(CLIENT, A, 101, 501, b"abc");
    wire.send(SERVER, A, 501, 116, b"");
    wire.at += 500 * MS;
    wire.send(SERVER, A, 501, 116, b"x");
    wire.finish();
    let end = wire.seen.iter().position(|seen| *seen == Seen::End(ToServer, End::Fin)).unwrap();
    assert!(
        !wire.seen[end + 1..].iter().any(|seen| !matches!(seen, Seen::Data(ToClient, ..) | Seen::End(ToClient, _)))
    );
}

#[test]
fn the_pending_bound_turns_a_hole_into_our_own_loss() {
    let mut wire = Wire::opened();
    let block = [7_u8; 1400];
    for index in 0..(PENDING_BYTES / 1400 + 2) as u32 {
        wire.send(CLIENT, A, 201 + index * 1400, 501, &block);
    }
    assert!(wire.seen.contains(&Seen::Gap(ToServer, 0, 100, GapCause::BufferLimit)));
    assert_eq!(wire.facts().side(Side::Client).unusual().dropped_bytes, 100);
}

/// What a stream of events says about each byte: its value, or that it is missing.
fn picture(seen: &[Seen], len: usize) -> Vec<Option<u8>> {
    let mut picture = vec![None; len];
    let mut next = 0_u64;
    for event in seen {
        match event {
            Seen::Data(ToServer, offset, bytes) => {
                assert_eq!(*offset, next, "bytes are handed on in order, once");
                picture[*offset as usize..*offset as usize + bytes.len()]
                    .iter_mut()
                    .zip(bytes)
                    .for_each(|(slot, byte)| *slot = Some(*byte));
                next += bytes.len() as u64;
            }
            Seen::Gap(ToServer, offset, len, _) => {
                assert_eq!(*offset, next);
                next += len;
            }
            _ => {}
        }
    }
    picture
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_and_duplication_give_the_same_bytes(
        cuts in prop::collection::vec(1_usize..40, 1..60),
        isn in any::<u32>(),
        swaps in prop::collection::vec((0_usize..60, 0_usize..60), 0..40),
        repeats in prop::collection::vec(0_usize..60, 0..20),
    ) {
        let total: usize = cuts.iter().sum();
        let bytes: Vec<u8> = (0..total).map(|i| (i * 31 % 251) as u8).collect();
        let mut pieces = Vec::new();
        let mut at = 0;
        for cut in &cuts {
            pieces.push((at, at + cut));
            at += cut;
        }
        for repeat in repeats {
            let piece = pieces[repeat % pieces.len()];
            pieces.push(piece);
        }
        for (a, b) in swaps {
            let n = pieces.len();
            pieces.swap(a % n, b % n);
        }
        let mut wire = Wire::new();
        wire.send(CLIENT, S, isn, 0, b"");
        for (from, to) in pieces {
            let sequence = isn.wrapping_add(1 + from as u32);
            wire.send(CLIENT, 0, sequence, 0, &bytes[from..to]);
        }
        let expected: Vec<_> = bytes.iter().map(|byte| Some(*byte)).collect();
        prop_assert_eq!(picture(&wire.seen, total), expected);
    }

    #[test]
    fn loss_says_less_and_never_something_false(
        cuts in prop::collection::vec(1_usize..40, 1..60),
        lost in prop::collection::vec(any::<bool>(), 60),
        isn in any::<u32>(),
    ) {
        let total: usize = cuts.iter().sum();
        let bytes: Vec<u8> = (0..total).map(|i| (i * 31 % 251) as u8).collect();
        let mut wire = Wire::new();
        wire.send(CLIENT, S, isn, 0, b"");
        wire.send(SERVER, S | A, 500, isn.wrapping_add(1), b"");
        let mut at = 0;
        let mut expected = Vec::new();
        for (index, cut) in cuts.iter().enumerate() {
            let sequence = isn.wrapping_add(1 + at as u32);
            if !lost[index] {
                wire.send(CLIENT, A, sequence, 501, &bytes[at..at + cut]);
            }
            expected.extend(bytes[at..at + cut].iter().map(|byte| (!lost[index]).then_some(*byte)));
            at += cut;
            wire.send(SERVER, A, 501, isn.wrapping_add(1 + at as u32), b"");
        }
        wire.finish();
        let picture = picture(&wire.seen, total);
        // A lost last byte may be taken for a FIN that the capture missed; nothing else may differ.
        prop_assert_eq!(picture, expected);
    }
}

#[test]
fn a_usual_connection_is_small() {
    assert!(size_of::<Connection>() <= 720, "{}", size_of::<Connection>());
    let mut wire = Wire::opened();
    wire.send(CLIENT, A, 101, 501, b"hello");
    wire.send(SERVER, A, 501, 106, b"hello");
    wire.send(CLIENT, A | F, 106, 506, b"");
    wire.send(SERVER, A | F, 506, 107, b"");
    wire.send(CLIENT, A, 107, 507, b"");
    let facts = wire.facts();
    for side in [Side::Client, Side::Server] {
        assert!(facts.side(side).is_usual(), "{:?}", facts.side(side));
        assert_eq!((facts.side(side).bytes, facts.side(side).unacknowledged_since()), (5, None));
    }
}
