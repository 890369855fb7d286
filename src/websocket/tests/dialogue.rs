//! What each deed is called, and that every way to cut the bytes into packets tells the same.

use super::support::*;
use crate::stream::Direction::{self, ToClient, ToServer};
use crate::stream::{End, StreamEvent};
use crate::websocket::ViolationKind::*;
use crate::websocket::{
    Deflate, ForeignKind, Interest, MessageKind, Options, VIOLATIONS_KEPT, Violation, ViolationKind, WebSocketFacts,
};

type Line = (Direction, Vec<u8>);

fn deflating() -> Option<Deflate> {
    Some(Deflate::default())
}

fn listen(deflate: Option<Deflate>) -> Talk {
    Talk::new(Options { deflate, interest: Interest::ALL, ..Options::default() })
}

/// Plays the lines, one packet each, then ends both directions; then plays them again cut at every place, byte by byte
/// and in threes, and demands the same facts, frames and messages.
fn play(deflate: Option<Deflate>, lines: &[Line]) -> Talk {
    let run = |cut: &dyn Fn(usize, &[u8]) -> Vec<usize>| {
        let mut talk = listen(deflate);
        for (number, (direction, bytes)) in lines.iter().enumerate() {
            talk.next();
            let mut from = 0;
            for to in cut(number, bytes) {
                talk.same_packet(*direction, &bytes[from..to]);
                from = to;
            }
            talk.same_packet(*direction, &bytes[from..]);
        }
        for direction in Direction::BOTH {
            talk.end(direction, End::Fin);
        }
        talk
    };
    let whole = run(&|_, _| Vec::new());
    let same = |other: Talk, how: &str| {
        assert_eq!(other.heard, whole.heard, "{how}");
        assert_eq!(other.facts(), whole.facts(), "{how}");
    };
    for by in [1, 3] {
        same(run(&|_, bytes| (1..bytes.len()).step_by(by).collect()), &format!("in pieces of {by}"));
    }
    for (line, (_, bytes)) in lines.iter().enumerate() {
        for place in 1..bytes.len().min(400) {
            let cut = |number: usize, _: &[u8]| if number == line { vec![place] } else { Vec::new() };
            same(run(&cut), &format!("line {line} cut at {place}"));
        }
    }
    whole
}

fn violations(facts: &WebSocketFacts, direction: Direction) -> Vec<(ViolationKind, u64)> {
    facts[direction].unusual().violations.first().iter().map(|violation| (violation.kind, violation.detail)).collect()
}

/// One side says this and nothing is wrong.
fn clean(deflate: Option<Deflate>, lines: &[Line]) -> Talk {
    let talk = play(deflate, lines);
    for direction in Direction::BOTH {
        assert_eq!(violations(talk.facts(), direction), [], "{direction:?}");
    }
    talk
}

/// One side does these things, in packet 1, and still says goodbye in a way that is heard.
fn deed(deflate: Option<Deflate>, direction: Direction, frames: &[Wire], expected: &[(ViolationKind, u64)]) {
    let mut line: Vec<u8> = frames.iter().flat_map(Wire::bytes).collect();
    line.extend(close(direction, 1000, "bye"));
    let talk = play(deflate, &[(direction, line)]);
    assert_eq!(violations(talk.facts(), direction), expected);
    assert!(talk.facts()[direction].unusual().violations.first().iter().all(|violation| violation.stamp.packet == 1));
    assert!(talk.facts()[direction.reverse()].unusual().violations.is_empty());
    assert_eq!(talk.facts()[direction].frames, frames.len() as u64 + 1);
    assert_eq!(talk.facts()[direction].close.as_ref().unwrap().code, Some(1000));
}

#[test]
fn an_ordinary_conversation() {
    let talk = clean(
        None,
        &[
            (ToServer, text(ToServer, "hello")),
            (ToClient, [text(ToClient, "héllo €"), Wire::new(ToClient, 2, &[7; 300]).bytes()].concat()),
            (ToClient, Wire::new(ToClient, 9, b"ping").bytes()),
            (ToServer, Wire::new(ToServer, 10, b"ping").bytes()),
            (ToServer, close(ToServer, 1001, "leaving €")),
            (ToClient, close(ToClient, 1001, "")),
        ],
    );
    let facts = talk.facts();
    let (client, server) = (&facts[ToServer], &facts[ToClient]);
    assert_eq!((client.frames, client.text, client.pong, client.closes, client.messages), (3, 1, 1, 1, 1));
    assert_eq!((server.frames, server.text, server.binary, server.ping, server.messages), (4, 1, 1, 1, 2));
    assert_eq!(server.payload_bytes, "héllo €".len() as u64 + 300 + 4 + 2);
    assert_eq!(server.largest_message, 300);
    assert_eq!(server.last_message.unwrap().kind, MessageKind::Binary);
    assert!(client.close.is_some() && server.close.is_some() && client.whole() && server.whole());
    let close = client.close.as_ref().unwrap();
    assert_eq!((close.code, close.reason.as_str(), close.stamp.packet), (Some(1001), "leaving €", 5));
    assert!(close.valid && close.captured && close.first_for_certain);
    let pings = server.keepalive.as_ref().unwrap();
    assert_eq!((pings.answered, pings.unanswered_count(), pings.round_trips.median()), (1, 0, Some(1_000_000)));
    assert_eq!(talk.heard.messages[1].payload.as_deref(), Some("héllo €".as_bytes()));
    assert_eq!(talk.heard.frames[0].mask, Some([0x11, 0xA2, 0x33, 0xC4]));
    assert_eq!(talk.heard.frames[4].first.packet, 4);
    assert_eq!(
        talk.heard.frames.iter().map(|frame| frame.close_code).collect::<Vec<_>>()[5..],
        [Some(1001), Some(1001)]
    );
}

#[test]
fn fragments_with_control_frames_between_and_code_points_split() {
    let text = "aé€𝄞z".as_bytes();
    for direction in Direction::BOTH {
        for first in 0..=text.len() {
            let line = [
                Wire::new(direction, 1, &text[..first]).part().bytes(),
                Wire::new(direction, 9, b"p").bytes(),
                Wire::new(direction, 0, b"").part().bytes(),
                Wire::new(direction, 0, &text[first..]).bytes(),
            ];
            let talk = clean(None, &[(direction, line.concat())]);
            assert_eq!(talk.opcodes(direction), [1, 9, 0, 0]);
            let message = &talk.heard.messages[0];
            assert_eq!(message.payload.as_deref(), Some(text));
            assert_eq!((message.fragments, message.wire_length), (3, text.len() as u64));
        }
    }
}

#[test]
fn masks_on_the_wrong_side() {
    deed(None, ToServer, &[Wire::new(ToServer, 1, b"hi").mask(None)], &[(UnmaskedFromClient, 1)]);
    deed(None, ToClient, &[Wire::new(ToClient, 1, "hé".as_bytes()).mask(Some([1, 2, 3, 4]))], &[(MaskedFromServer, 1)]);
    // Only the Pong, after proper frames, as some libraries do.
    let frames =
        [Wire::new(ToServer, 1, b"hi"), Wire::new(ToServer, 10, b"x").mask(None), Wire::new(ToServer, 2, b"hi")];
    deed(None, ToServer, &frames, &[(UnmaskedFromClient, 10)]);
}

#[test]
fn reserved_bits_and_opcodes() {
    for direction in Direction::BOTH {
        let new = |opcode| Wire::new(direction, opcode, b"hi\xFF");
        deed(None, direction, &[new(1).rsv(2)], &[(ReservedBitsSet, 2)]);
        deed(None, direction, &[new(2).rsv(1)], &[(ReservedBitsSet, 1)]);
        deed(None, direction, &[new(9).rsv(4)], &[(ReservedBitsSet, 4)]);
        deed(None, direction, &[new(2).rsv(4)], &[(Rsv1NotNegotiated, 2)]);
        deed(None, direction, &[new(2).rsv(6)], &[(ReservedBitsSet, 6), (Rsv1NotNegotiated, 2)]);
        deed(deflating(), direction, &[new(9).rsv(4)], &[(Rsv1OnContinuationOrControl, 9)]);
        let fragments = [new(2).part(), Wire::new(direction, 0, b"x").rsv(4)];
        deed(deflating(), direction, &fragments, &[(Rsv1OnContinuationOrControl, 0)]);
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            deed(None, direction, &[new(opcode)], &[(ReservedOpcode, u64::from(opcode))]);
        }
    }
}

#[test]
fn control_frames_must_be_short_and_whole() {
    for direction in Direction::BOTH {
        deed(None, direction, &[Wire::new(direction, 9, b"hi").part()], &[(FragmentedControl, 9)]);
        let further = [Wire::new(direction, 9, b"hi").part(), Wire::new(direction, 0, b"there")];
        deed(None, direction, &further, &[(FragmentedControl, 9)]);
        deed(None, direction, &[Wire::new(direction, 10, &[1; 126])], &[(OversizedControl, 126)]);
        let both = [Wire::new(direction, 9, &[1; 70_000]).part()];
        let talk = play(None, &[(direction, [both[0].bytes(), close(direction, 1000, "")].concat())]);
        assert_eq!(violations(talk.facts(), direction), [(FragmentedControl, 9), (OversizedControl, 70_000)]);
    }
}

#[test]
fn fragments_out_of_order() {
    for direction in Direction::BOTH {
        let new = |opcode| Wire::new(direction, opcode, b"four");
        deed(None, direction, &[new(0)], &[(OrphanContinuation, 4)]);
        deed(None, direction, &[new(1), new(0).part(), new(0)], &[(OrphanContinuation, 4), (OrphanContinuation, 4)]);
        // Two threads write to one socket: the second message is read, the first is not blamed twice.
        let frames = [new(1).part(), new(2), new(0)];
        deed(None, direction, &frames, &[(DataInsideFragmentedMessage, 2)]);
        let mut line: Vec<u8> = frames.iter().flat_map(Wire::bytes).collect();
        line.extend(new(1).bytes());
        let talk = play(None, &[(direction, line)]);
        let told: Vec<_> = talk.heard.messages.iter().map(|message| (message.kind, message.complete)).collect();
        assert_eq!(told, [(MessageKind::Text, false), (MessageKind::Binary, true), (MessageKind::Text, true)]);
        assert_eq!(talk.facts()[direction].unusual().incomplete_messages, 1);
    }
}

#[test]
fn lengths_must_be_minimal_and_positive() {
    for (header, length) in
        [(&[0x82, 126, 0, 5][..], 5u64), (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5], 5), (&[0x81, 126, 0, 125], 125)]
    {
        let line = [header, &vec![b'x'; length as usize], &close(ToClient, 1000, "")].concat();
        let talk = play(None, &[(ToClient, line)]);
        assert_eq!(violations(talk.facts(), ToClient), [(NonMinimalLength, length)]);
        assert_eq!(talk.opcodes(ToClient)[1..], [8]);
    }
    // Nobody can know where the next frame begins: silence, but no lie.
    let line = [&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 1][..], b"x", &close(ToClient, 1000, "")].concat();
    let mut talk = listen(None);
    talk.feed(ToClient, &line);
    assert_eq!(violations(talk.facts(), ToClient), [(LengthHighBitSet, (1 << 63) + 1)]);
    assert!(talk.heard.frames.is_empty() && talk.facts()[ToClient].unusual().gaps.lost);
    assert_eq!(talk.facts()[ToClient].unusual().gaps.undecoded_bytes, line.len() as u64);
}

#[test]
fn text_must_be_utf8() {
    for direction in Direction::BOTH {
        for length in [0, 1, 63, 64, 200, 5000] {
            let mut bad = vec![b'a'; length];
            bad.push(0xFF);
            bad.extend_from_slice(b"rest");
            deed(None, direction, &[Wire::new(direction, 1, &bad)], &[(InvalidUtf8, length as u64)]);
            deed(None, direction, &[Wire::new(direction, 2, &bad)], &[]);
        }
        deed(None, direction, &[Wire::new(direction, 1, b"cut \xE2\x82")], &[(InvalidUtf8, 4)]);
        let fragments = [Wire::new(direction, 1, b"\xE2").part(), Wire::new(direction, 0, b"\x82X")];
        deed(None, direction, &fragments, &[(InvalidUtf8, 0)]);
        // ASCII behind a split code point is invalid, also where it is only looked at through the mask.
        let fragments = [Wire::new(direction, 1, b"\xE2").part(), Wire::new(direction, 0, &[b'x'; 300])];
        deed(None, direction, &fragments, &[(InvalidUtf8, 0)]);
    }
}

#[test]
fn close_bodies() {
    let body = |bytes: &[u8]| {
        let talk = play(None, &[(ToClient, Wire::new(ToClient, 8, bytes).bytes())]);
        let facts = talk.facts()[ToClient].clone();
        (
            *facts.close.clone().unwrap(),
            facts.unusual().violations.first().iter().map(|v| (v.kind, v.detail)).collect::<Vec<_>>(),
        )
    };
    let (empty, found) = body(b"");
    assert!(empty.code.is_none() && empty.valid && empty.captured && found.is_empty());
    let (one, found) = body(b"\x03");
    assert!(one.code.is_none() && !one.valid);
    assert_eq!((one.length, found), (1, vec![(CloseBodyOneByte, 1)]));
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 21584, 65535] {
        let (close, found) = body(&code.to_be_bytes());
        assert_eq!((close.code, close.valid), (Some(code), false));
        assert_eq!(found, [(CloseCodeIllegal, u64::from(code))]);
    }
    for code in [1000u16, 1003, 1007, 1014, 3000, 4999] {
        let (close, found) = body(&[&code.to_be_bytes()[..], "gründe".as_bytes()].concat());
        assert_eq!((close.code, close.reason.as_str(), close.valid), (Some(code), "gründe", true));
        assert!(found.is_empty());
    }
    let (close, found) = body(b"\x03\xe8ok\xff");
    assert_eq!((close.code, close.reason.as_str(), close.reason_valid), (Some(1000), "ok\u{FFFD}", false));
    assert_eq!(found, [(CloseReasonInvalidUtf8, 2)]);
    let (long, found) = body(&[&1000u16.to_be_bytes()[..], &[b'r'; 200]].concat());
    assert_eq!((long.code, long.reason.len(), long.length, long.captured), (Some(1000), 123, 202, false));
    assert_eq!(found, [(OversizedControl, 202)]);
}

#[test]
fn nothing_should_follow_a_close() {
    let line = [
        close(ToClient, 1000, ""),
        text(ToClient, "x"),
        close(ToClient, 1011, ""),
        Wire::new(ToClient, 9, b"").bytes(),
    ];
    let talk =
        play(None, &[(ToServer, text(ToServer, "x")), (ToClient, line.concat()), (ToServer, text(ToServer, "y"))]);
    assert_eq!(violations(talk.facts(), ToClient), [(DataAfterClose, 1), (FrameAfterClose, 8), (FrameAfterClose, 9)]);
    assert!(talk.facts()[ToServer].unusual().violations.is_empty(), "the other side has not closed");
    let close = talk.facts()[ToClient].close.as_ref().unwrap();
    assert_eq!((close.code, close.stamp.packet, talk.facts()[ToClient].closes), (Some(1000), 2, 2));
}

#[test]
fn what_breaks_two_rules_at_once_is_no_header() {
    let mut talk = listen(None);
    talk.feed(ToClient, &text(ToClient, "fine")).feed(ToClient, b"Some words that nobody framed");
    assert_eq!(violations(talk.facts(), ToClient), [(Desynchronised, 0x536f)]);
    assert_eq!(talk.opcodes(ToClient), [1]);
    assert!(talk.facts()[ToClient].unusual().gaps.lost);
    assert_eq!(talk.facts()[ToClient].unusual().gaps.undecoded_bytes, 29);
    // An unmasked client that compresses without having agreed on it writes frames, bad as they are.
    let mut talk = listen(None);
    talk.feed(ToServer, &Wire::new(ToServer, 1, b"abc").rsv(4).mask(None).bytes());
    assert_eq!(violations(talk.facts(), ToServer), [(UnmaskedFromClient, 1), (Rsv1NotNegotiated, 1)]);
}

#[test]
fn violations_are_bounded_and_every_kind_is_kept_once() {
    let mut talk = listen(None);
    for _ in 0..1000 {
        talk.feed(ToServer, &Wire::new(ToServer, 2, b"").mask(None).bytes());
    }
    talk.feed(ToServer, &close(ToServer, 1005, ""));
    let kept = &talk.facts()[ToServer].unusual().violations;
    assert_eq!((kept.first().len(), kept.total(), kept.count(UnmaskedFromClient)), (VIOLATIONS_KEPT, 1001, 1000));
    let stamp = talk.stamp();
    assert_eq!(kept.find(CloseCodeIllegal), Some(&Violation { stamp, kind: CloseCodeIllegal, detail: 1005 }));
    assert_eq!(kept.counts().count(), 2);
}

#[test]
fn weak_masks() {
    let mut talk = listen(None);
    for _ in 0..9 {
        talk.feed(ToServer, &Wire::new(ToServer, 1, b"x").mask(Some([0; 4])).bytes());
    }
    for _ in 0..3 {
        talk.feed(ToServer, &Wire::new(ToServer, 9, b"x").mask(Some([5; 4])).bytes());
    }
    let masks = talk.facts()[ToServer].masks;
    assert_eq!((masks.masked, masks.zero, masks.longest_run), (12, 9, 9));
    assert!(talk.facts()[ToServer].unusual().violations.is_empty());
}

#[test]
fn compressed_messages() {
    for takeover in [true, false] {
        let agreed = Deflate {
            client_no_context_takeover: !takeover,
            server_no_context_takeover: !takeover,
            ..Deflate::default()
        };
        for direction in Direction::BOTH {
            let mut random = Random(7);
            let said = honest(&mut random, direction, 30, Some(takeover), false);
            let talk = clean(Some(agreed), &[(direction, said.bytes.clone())]);
            let heard: Vec<_> =
                talk.heard.messages.iter().map(|message| (message.kind, message.payload.clone().unwrap())).collect();
            assert_eq!(heard, said.messages);
            let compression = talk.facts()[direction].compression();
            let plain: usize =
                talk.heard.messages.iter().filter(|m| m.compressed).map(|m| m.payload.as_ref().unwrap().len()).sum();
            assert!(compression.messages > 10 && compression.undecoded == 0 && compression.poisoned.is_none());
            assert_eq!(compression.inflated_bytes, plain as u64);
        }
    }
}

#[test]
fn compressed_text_must_be_utf8_too() {
    let mut zlib = flate2::Compress::new(flate2::Compression::new(6), false);
    let message = deflate(&mut zlib, b"abc\xFFdef");
    deed(deflating(), ToServer, &[Wire::new(ToServer, 1, &message).rsv(4)], &[(InvalidUtf8, 3)]);
}

#[test]
fn a_message_that_does_not_inflate_poisons_what_may_depend_on_it() {
    let mut zlib = flate2::Compress::new(flate2::Compression::new(6), false);
    let good = Wire::new(ToClient, 1, &deflate(&mut zlib, b"good words, good words")).rsv(4);
    let bad = Wire::new(ToClient, 1, &[0xFF; 9]).rsv(4);
    let line = [good.bytes(), bad.bytes(), good.bytes(), text(ToClient, "plain")].concat();
    let talk = play(deflating(), &[(ToClient, line.clone())]);
    assert_eq!(violations(talk.facts(), ToClient), [(InflateFailed, 9)]);
    let compression = talk.facts()[ToClient].compression();
    assert_eq!((compression.messages, compression.undecoded, compression.failures), (3, 2, 1));
    assert_eq!(compression.poisoned.unwrap().packet, 1);
    let shown: Vec<_> = talk.heard.messages.iter().map(|message| message.payload.is_some()).collect();
    assert_eq!(shown, [true, false, false, true]);
    // Without context takeover the next message depends on nothing.
    let agreed = Deflate { server_no_context_takeover: true, ..Deflate::default() };
    let talk = play(Some(agreed), &[(ToClient, line)]);
    let shown: Vec<_> = talk.heard.messages.iter().map(|message| message.payload.is_some()).collect();
    assert_eq!(shown, [true, false, true, true]);
    assert_eq!(talk.facts()[ToClient].compression().poisoned, None);
}

#[test]
fn context_kept_in_spite_of_the_agreement() {
    let mut zlib = flate2::Compress::new(flate2::Compression::new(6), false);
    let words: Vec<String> = (0..4).map(|n| format!("the very same words again and again, number {n}")).collect();
    let frames: Vec<Wire> =
        words.iter().map(|words| Wire::new(ToClient, 1, &deflate(&mut zlib, words.as_bytes())).rsv(4)).collect();
    let agreed = Deflate { server_no_context_takeover: true, ..Deflate::default() };
    let length = frames[1].payload.len() as u64;
    deed(Some(agreed), ToClient, &frames, &[(ContextTakeoverViolated, length)]);
    let talk = play(Some(agreed), &[(ToClient, frames.iter().flat_map(Wire::bytes).collect())]);
    let heard: Vec<_> = talk.heard.messages.iter().map(|message| message.payload.clone().unwrap()).collect();
    assert_eq!(heard, words.iter().map(|words| words.clone().into_bytes()).collect::<Vec<_>>());
    assert_eq!(talk.facts()[ToClient].compression().undecoded, 0);
}

#[test]
fn http_in_the_stream_is_text_not_frames() {
    let answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\n\r\n<!doctype html>".repeat(5);
    for agreed in [None, deflating()] {
        let talk = clean(
            agreed,
            &[
                (ToClient, text(ToClient, "welcome")),
                (ToServer, text(ToServer, "boom")),
                (ToClient, answer.clone()),
                (ToClient, close(ToClient, 1002, "not decoded any more")),
                (ToServer, close(ToServer, 1002, "Invalid frame header")),
            ],
        );
        let server = &talk.facts()[ToClient];
        let foreign = server.unusual().foreign_text.as_ref().unwrap();
        assert_eq!((foreign.kind, foreign.stamp.packet, foreign.after_close), (ForeignKind::HttpResponse, 3, false));
        assert_eq!(foreign.first, answer[..256]);
        assert_eq!(foreign.length, answer.len() as u64 + close(ToClient, 1002, "not decoded any more").len() as u64);
        assert!(server.close.is_none() && server.frames == 1 && server.unusual().cut_frame.is_none());
        assert_eq!(talk.facts()[ToServer].close.as_ref().unwrap().code, Some(1002));
    }
}

#[test]
fn other_foreign_text() {
    for (text_found, kind) in [
        (&b"<!DOCTYPE html><p>x"[..], ForeignKind::Html),
        (b"{\"error\":\"crashed\"}", ForeignKind::Json),
        (b"1f\r\n{\"x\":1}", ForeignKind::ChunkSize),
        (b"GET /next HTTP/1.1\r\n\r\n", ForeignKind::HttpRequest),
    ] {
        for direction in Direction::BOTH {
            for agreed in [None, deflating()] {
                let line = [close(direction, 1000, ""), text_found.to_vec()].concat();
                let talk = clean(agreed, &[(direction, line)]);
                let foreign = talk.facts()[direction].unusual().foreign_text.as_ref().unwrap();
                assert_eq!((foreign.kind, foreign.after_close, foreign.first.as_slice()), (kind, true, text_found));
                assert_eq!(talk.facts()[direction].frames, 1);
            }
        }
    }
    // What might have spelled something, and did not in the end, is read as what it is.
    let talk = play(deflating(), &[(ToClient, [b"HT".as_slice(), &[b'x'; 84]].concat())]);
    assert_eq!(violations(talk.facts(), ToClient), [(Desynchronised, 0x4854)]);
    assert!(talk.facts()[ToClient].unusual().foreign_text.is_none());
    let mut zlib = flate2::Compress::new(flate2::Compression::new(6), false);
    let (a, b) = {
        let whole = deflate(&mut zlib, b"a fragmented compressed text begins with the letter A");
        (whole[..13].to_vec(), whole[13..].to_vec())
    };
    let line = [Wire::new(ToClient, 1, &a).rsv(4).part().bytes(), Wire::new(ToClient, 0, &b).bytes()].concat();
    assert_eq!(&line[..2], b"A\r");
    let talk = clean(deflating(), &[(ToClient, line)]);
    assert_eq!(talk.opcodes(ToClient), [1, 0]);
}

#[test]
fn a_frame_cut_by_the_end() {
    let whole = Wire::new(ToServer, 1, &[b'x'; 1000]).bytes();
    for (end, cut, opcode, received) in
        [(End::Rst, 500, Some(1), 492), (End::Fin, 1, None, 1), (End::CaptureEnd, 7, None, 7)]
    {
        let mut talk = listen(None);
        talk.feed(ToServer, &text(ToServer, "x")).feed(ToServer, &whole[..cut]).end(ToServer, end);
        let facts = &talk.facts()[ToServer];
        let found = facts.unusual().cut_frame.unwrap();
        assert_eq!((found.opcode, found.received, found.first.packet, found.last.packet), (opcode, received, 2, 2));
        assert_eq!(found.declared, opcode.map(|_| 1000));
        assert_eq!(facts.end.map(|(end, stamp)| (end, stamp.packet)), Some((end, 3)));
        assert_eq!(
            facts.unusual().open_message.map(|open| (open.fragments, open.wire_length)),
            opcode.map(|_| (0, 492))
        );
    }
    let mut talk = listen(None);
    talk.feed(ToServer, &Wire::new(ToServer, 2, b"part").part().bytes()).end(ToServer, End::Fin);
    let open = talk.facts()[ToServer].unusual().open_message.unwrap();
    assert_eq!((open.kind, open.fragments, open.wire_length), (MessageKind::Binary, 1, 4));
    assert!(talk.facts()[ToServer].unusual().cut_frame.is_none());
}

#[test]
fn pings_without_answer_and_pongs_without_question() {
    let talk = clean(
        None,
        &[
            (ToServer, Wire::new(ToServer, 10, b"").bytes()),
            (ToClient, Wire::new(ToClient, 9, b"a").bytes()),
            (ToServer, Wire::new(ToServer, 10, b"wrong").bytes()),
            (ToClient, Wire::new(ToClient, 9, b"b").bytes()),
            (ToClient, Wire::new(ToClient, 9, b"c").bytes()),
            (ToServer, Wire::new(ToServer, 10, b"b").bytes()),
        ],
    );
    let pings = talk.facts()[ToClient].keepalive.as_ref().unwrap();
    let pongs = talk.facts()[ToServer].keepalive.as_ref().unwrap();
    assert_eq!(pongs.mismatched_pongs, 1);
    assert_eq!((pings.answered, pings.unanswered_count()), (2, 1));
    assert_eq!(pings.unanswered[0].stamp.packet, 5);
    assert!(!pings.unanswered[0].answer_may_be_hidden);
    assert_eq!(pings.round_trips.max, 2_000_000);
    assert_eq!(pings.ping_intervals.count, 2);
}

#[test]
fn interest_decides_what_is_told() {
    let line = [
        text(ToServer, &"long ".repeat(100)),
        Wire::new(ToServer, 2, b"x").part().bytes(),
        Wire::new(ToServer, 0, b"yz").bytes(),
    ];
    let run = |interest| {
        let mut talk = Talk::new(Options { interest, ..Options::default() });
        talk.feed(ToServer, &line.concat());
        (
            talk.heard.frames.len(),
            talk.heard.messages.iter().map(|m| m.payload.clone()).collect::<Vec<_>>(),
            talk.facts().clone(),
        )
    };
    let (frames, messages, facts) = run(Interest::NONE);
    assert_eq!((frames, messages.len()), (0, 0));
    let lengths_only = run(Interest { frames: true, messages: true, payload_limit: 0 });
    assert_eq!((lengths_only.0, lengths_only.1), (3, vec![None, None]));
    let beginnings = run(Interest { frames: false, messages: true, payload_limit: 2 });
    assert_eq!((beginnings.0, beginnings.1), (0, vec![Some(b"lo".to_vec()), Some(b"xy".to_vec())]));
    assert_eq!((&facts, &facts), (&lengths_only.2, &beginnings.2));
}

#[test]
fn events_after_the_end_and_overlaps_are_ignored() {
    let mut talk = listen(None);
    let frame = text(ToServer, "once");
    talk.feed(ToServer, &frame);
    let again = StreamEvent::Data { offset: 1000, bytes: &frame };
    talk.socket.feed(talk.stamp(), ToServer, again, &mut talk.heard);
    talk.end(ToServer, End::Fin).feed(ToServer, &frame).end(ToServer, End::Rst);
    assert_eq!(talk.facts()[ToServer].frames, 1);
    assert_eq!(talk.facts()[ToServer].end.unwrap().0, End::Fin);
}
