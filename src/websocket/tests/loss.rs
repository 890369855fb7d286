//! Streams with holes: what is told must be part of what was sent.

use super::support::*;
use crate::stream::Direction::{self, ToClient, ToServer};
use crate::stream::End;
use crate::websocket::{Deflate, Interest, Options, Start};
use proptest::prelude::*;

/// How a stream travels.
#[derive(Clone, Copy, Debug)]
struct Road {
    /// Packets often begin where frames begin.
    aligned: bool,
    /// One packet in so many is missing.
    missing: usize,
    /// One packet in so many is cut short.
    cut: usize,
    segment: usize,
}

/// A packet of a direction: its bytes, of which only the first `seen` were captured.
#[derive(Clone, Copy, Debug)]
struct Segment {
    from: usize,
    to: usize,
    seen: usize,
}

fn travel(random: &mut Random, said: &Said, road: Road) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut from = 0;
    while from < said.bytes.len() {
        let mut to = (from + 1 + random.below(road.segment)).min(said.bytes.len());
        if road.aligned
            && let Some(frame) = said.frames.iter().find(|frame| frame.to > from && frame.to <= to)
        {
            to = frame.to;
        }
        let seen = if random.one_in(road.missing) {
            0
        } else if random.one_in(road.cut) {
            random.below(to - from + 1)
        } else {
            to - from
        };
        segments.push(Segment { from, to, seen });
        from = to;
    }
    segments
}

/// The outcome for one direction.
#[derive(Debug, Default)]
struct Score {
    sent: usize,
    told: usize,
    resynchronised: u64,
}

/// Lets both sides speak at once over `road` and holds everything told against what was sent.
fn converse(seed: u64, messages: usize, deflate: Option<Deflate>, start: Start, road: Road) -> [Score; 2] {
    let mut random = Random(seed);
    let said = Direction::BOTH.map(|direction| {
        let takeover = deflate.map(|deflate| !deflate.no_context_takeover(direction));
        honest(&mut random, direction, messages, takeover, road.segment > 5000)
    });
    let segments = [travel(&mut random, &said[0], road), travel(&mut random, &said[1], road)];
    let mut talk = Talk::new(Options { deflate, start, interest: Interest::ALL });
    let mut packets: [Vec<(usize, usize, u64)>; 2] = Default::default();
    let mut next = [0, 0];
    while next[0] < segments[0].len() || next[1] < segments[1].len() {
        let direction = if next[1] == segments[1].len() || (next[0] < segments[0].len() && random.one_in(2)) {
            ToServer
        } else {
            ToClient
        };
        let at = direction.index();
        let Segment { from, to, seen } = segments[at][next[at]];
        next[at] += 1;
        if seen > 0 {
            talk.feed(direction, &said[at].bytes[from..from + seen]);
            packets[at].push((from, from + seen, talk.packet));
        }
        if from + seen < to {
            let rest = (to - from - seen) as u64;
            if seen > 0 {
                talk.snapped(direction, rest)
            } else {
                talk.gap(direction, rest)
            };
        }
    }
    for direction in Direction::BOTH {
        talk.end(direction, End::Fin);
    }
    Direction::BOTH.map(|direction| {
        let said = &said[direction.index()];
        let packet_of = |offset: usize| {
            packets[direction.index()]
                .iter()
                .find(|(from, to, _)| (*from..*to).contains(&offset))
                .map(|packet| packet.2)
        };
        let mut truth = said.frames.iter();
        let mut told = 0;
        for frame in talk.heard.frames.iter().filter(|frame| frame.direction == direction) {
            let same = truth.any(|sent| {
                (sent.fin, sent.rsv, sent.opcode, sent.mask, sent.length)
                    == (frame.fin, frame.rsv, frame.opcode, frame.mask, frame.length)
                    && packet_of(sent.from) == Some(frame.first.packet)
                    && packet_of(sent.to - 1).is_none_or(|packet| packet == frame.last.packet)
            });
            assert!(same, "seed {seed} {road:?}: {frame:?} was never sent");
            told += 1;
        }
        let mut truth = said.messages.iter();
        for message in talk.heard.messages.iter().filter(|message| message.direction == direction) {
            if let Some(payload) = &message.payload {
                assert!(message.complete);
                let same = truth.any(|(kind, plain)| *kind == message.kind && plain == payload);
                assert!(same, "seed {seed}: {message:?} was never sent");
            }
        }
        let facts = &talk.facts()[direction];
        assert!(facts.unusual().violations.is_empty(), "seed {seed}: {:?}", facts.unusual().violations);
        assert!(facts.unusual().foreign_text.is_none());
        assert_eq!(facts.frames, told as u64);
        if let Some(close) = &facts.close {
            assert!(!close.captured || (close.code, close.reason.as_str()) == (Some(1000), "done"));
        }
        let seen: usize = segments[direction.index()].iter().map(|segment| segment.seen).sum();
        assert!(facts.unusual().gaps.undecoded_bytes <= seen as u64);
        Score { sent: said.frames.len(), told, resynchronised: facts.unusual().gaps.resynchronised }
    })
}

fn agreements() -> impl Strategy<Value = Option<Deflate>> {
    prop_oneof![
        Just(None),
        Just(Some(Deflate::default())),
        Just(Some(Deflate {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            ..Deflate::default()
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn with_loss_a_subset_of_the_truth_is_told(
        seed: u64, deflate in agreements(), aligned: bool, mid_stream in prop::bool::weighted(0.2),
        missing in 2usize..60, cut in 2usize..60, segment in prop_oneof![Just(40usize), Just(1460), Just(9000)],
    ) {
        let start = if mid_stream { Start::MidStream } else { Start::Handshake };
        converse(seed, 150, deflate, start, Road { aligned, missing, cut, segment });
    }

    #[test]
    fn without_loss_everything_is_told(
        seed: u64, deflate in agreements(), aligned: bool, segment in prop_oneof![Just(2usize), Just(40), Just(1460), Just(70_000)],
    ) {
        let never = usize::MAX;
        let road = Road { aligned, missing: never, cut: never, segment };
        for score in converse(seed | 1, 60, deflate, Start::Handshake, road) {
            prop_assert_eq!(score.told, score.sent);
        }
    }

    /// Gaps anywhere, in any bytes, and the facts stay consistent.
    #[test]
    fn any_bytes_with_any_gaps(
        events in proptest::collection::vec((any::<bool>(), prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200).prop_map(Some),
            "[ -~]{0,80}".prop_map(|text| Some(text.into_bytes())),
            proptest::collection::vec(prop_oneof![Just(0x81u8), Just(0x01), Just(0x00), Just(0x80), Just(0x88), Just(0xC1), Just(0x7F), Just(0xFF)], 0..60).prop_map(Some),
            Just(None),
        ], 1u64..5000), 0..40),
        deflate in agreements(), mid_stream: bool,
    ) {
        let start = if mid_stream { Start::MidStream } else { Start::Handshake };
        let mut talk = Talk::new(Options { deflate, start, interest: Interest::ALL });
        let mut seen = [0, 0];
        for (to_server, bytes, len) in events {
            let direction = if to_server { ToServer } else { ToClient };
            match bytes {
                Some(bytes) => {
                    talk.feed(direction, &bytes);
                    seen[direction.index()] += bytes.len() as u64;
                }
                None => {
                    talk.gap(direction, len);
                }
            }
        }
        for direction in Direction::BOTH {
            talk.end(direction, End::CaptureEnd);
            let facts = &talk.facts()[direction];
            prop_assert_eq!(facts.frames, talk.opcodes(direction).len() as u64);
            prop_assert!(facts.unusual().gaps.undecoded_bytes <= seen[direction.index()]);
        }
    }
}

/// Silence would also be a subset of the truth. This is how much of it is told.
#[test]
fn most_of_the_truth_survives_moderate_loss() {
    let mut sum = [Score::default(), Score::default()];
    for seed in 0..40 {
        let road = Road { aligned: true, missing: 50, cut: 50, segment: 1460 };
        for (sum, score) in sum.iter_mut().zip(converse(seed, 300, None, Start::Handshake, road)) {
            sum.sent += score.sent;
            sum.told += score.told;
            sum.resynchronised += score.resynchronised;
        }
    }
    for score in &sum {
        assert!(score.resynchronised > 100 && score.told * 100 > score.sent * 90, "{sum:?}");
    }
}

/// Packets that do not begin with frames give no foothold for a proof; a pause does.
#[test]
fn the_other_direction_goes_on() {
    let mut talk = Talk::plain();
    talk.feed(ToClient, &text(ToClient, "one")).gap(ToClient, 100).feed(ToServer, &text(ToServer, "two"));
    let facts = talk.facts();
    assert!(facts[ToClient].unusual().gaps.lost && !facts[ToServer].unusual().gaps.lost);
    assert_eq!((facts[ToClient].frames, facts[ToServer].frames), (1, 1));
}

#[test]
fn a_gap_inside_a_payload_keeps_step() {
    for (direction, compressed) in [(ToServer, false), (ToClient, false), (ToClient, true)] {
        let agreed = compressed.then(Deflate::default);
        let mut talk = Talk::new(Options { deflate: agreed, interest: Interest::ALL, ..Options::default() });
        let plain = if compressed { Random(3).bytes(5000) } else { vec![b'x'; 5000] };
        let mut zlib = flate2::Compress::new(flate2::Compression::new(6), false);
        let payload = if compressed { deflate(&mut zlib, &plain) } else { plain };
        let long =
            Wire::new(direction, 2 - u8::from(!compressed), &payload).rsv(if compressed { 4 } else { 0 }).bytes();
        let after = [text(direction, "after"), Wire::new(direction, 9, b"x").bytes()].concat();
        talk.feed(direction, &long[..1000]).gap(direction, 3000).feed(direction, &long[4000..]).feed(direction, &after);
        // And one that reaches to the very end of a frame.
        talk.feed(direction, &long[..1000]).gap(direction, long.len() as u64 - 1000).feed(direction, &after);
        let facts = &talk.facts()[direction];
        let long_opcode = 1 + u8::from(compressed);
        assert_eq!(talk.opcodes(direction), [long_opcode, 1, 9, long_opcode, 1, 9]);
        assert_eq!((facts.messages, facts.unusual().incomplete_messages, facts.unusual().gaps.count), (4, 2, 2));
        assert!(
            !facts.unusual().gaps.lost && facts.unusual().gaps.times_lost == 0 && facts.unusual().violations.is_empty()
        );
        assert_eq!(facts.compression().poisoned.map(|stamp| stamp.packet), compressed.then_some(2));
        assert_eq!(talk.heard.messages[0].payload, None);
        assert!(!talk.heard.messages[0].complete);
        assert_eq!(talk.heard.messages[1].payload.as_deref(), Some(&b"after"[..]));
        assert_eq!((talk.heard.frames[3].first.packet, talk.heard.frames[3].last.packet), (5, 6));
    }
}

#[test]
fn a_close_without_its_body_says_nothing_about_the_code() {
    let mut talk = Talk::plain();
    let close = close(ToClient, 1011, "lost words");
    talk.feed(ToClient, &close[..2]).gap(ToClient, close.len() as u64 - 2);
    let facts = talk.facts()[ToClient].close.clone().unwrap();
    assert_eq!((facts.code, facts.captured, facts.length), (None, false, 12));
    assert!(talk.facts()[ToClient].unusual().violations.is_empty());
}

#[test]
fn a_last_close_after_a_hole_is_read_when_the_direction_ends_with_it() {
    for (code, heard) in [(1000, true), (1011, true), (4000, false)] {
        let mut talk = Talk::plain();
        talk.feed(ToClient, &text(ToClient, "x")).gap(ToClient, 500).feed(ToClient, &close(ToClient, code, "bye"));
        assert!(talk.facts()[ToClient].close.is_none());
        talk.end(ToClient, End::Fin);
        let close = talk.facts()[ToClient].close.clone();
        assert_eq!(
            close.as_ref().map(|close| (close.code, close.first_for_certain)),
            heard.then_some((Some(code), false))
        );
        assert_eq!(close.map(|close| close.stamp.packet), heard.then_some(3));
    }
}

#[test]
fn pings_are_not_blamed_for_what_a_gap_may_hide() {
    let mut talk = Talk::plain();
    talk.feed(ToClient, &Wire::new(ToClient, 9, b"one").bytes()).gap(ToServer, 50);
    talk.feed(ToClient, &Wire::new(ToClient, 9, b"two").bytes());
    let pings = talk.facts()[ToClient].keepalive.as_ref().unwrap();
    assert!(pings.unanswered.iter().all(|ping| ping.answer_may_be_hidden));
    // A Pong for a Ping that lies in a gap is not wrong.
    let mut talk = Talk::plain();
    talk.feed(ToClient, &Wire::new(ToClient, 9, b"seen").bytes()).gap(ToClient, 50);
    talk.feed(ToServer, &Wire::new(ToServer, 10, b"other").bytes());
    let pongs = talk.facts()[ToServer].keepalive.as_ref().unwrap();
    assert_eq!(pongs.mismatched_pongs, 0);
}

#[test]
fn without_context_takeover_decoding_resumes_with_the_next_message() {
    let agreed = Deflate { server_no_context_takeover: true, ..Deflate::default() };
    let frame = |words: &str| {
        let mut zlib = flate2::Compress::new(flate2::Compression::new(6), false);
        Wire::new(ToClient, 1, &deflate(&mut zlib, words.as_bytes())).rsv(4).bytes()
    };
    let mut talk = Talk::new(Options { deflate: Some(agreed), interest: Interest::ALL, ..Options::default() });
    let lost = frame("some words that get lost, some words");
    talk.feed(ToClient, &lost[..8]).gap(ToClient, lost.len() as u64 - 8).feed(ToClient, &frame("whole again"));
    assert_eq!(talk.heard.messages[0].payload, None);
    assert_eq!(talk.heard.messages[1].payload.as_deref(), Some(&b"whole again"[..]));
    assert_eq!(talk.facts()[ToClient].compression().poisoned, None);
}

#[test]
fn what_is_kept_while_lost_is_bounded() {
    let mut talk = Talk::new(Options { start: Start::MidStream, ..Options::default() });
    let mut random = Random(5);
    // One long frame that begins where a packet begins, so that there is always a candidate.
    let head = [&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0][..], &random.bytes(1000)].concat();
    talk.feed(ToClient, &head);
    for _ in 0..1000 {
        let bytes = random.bytes(1460);
        talk.feed(ToClient, &bytes);
    }
    assert!(talk.socket.memory() < 200_000, "{}", talk.socket.memory());
    assert_eq!(talk.facts()[ToClient].unusual().gaps.undecoded_bytes, 1010 + 1000 * 1460);
}
