//! Where other tools err, and this one must not: the cases known by name from probing them.

use super::support::*;
use crate::stream::Direction::{self, ToClient, ToServer};
use crate::stream::End;
use crate::websocket::{Deflate, Interest, MessageKind, Options, Start};
use flate2::{Compress, Compression};

fn listen(deflate: Option<Deflate>) -> Talk {
    Talk::new(Options { deflate, interest: Interest::ALL, ..Options::default() })
}

fn texts(talk: &Talk, direction: Direction) -> Vec<Option<String>> {
    let heard = talk.heard.messages.iter().filter(|message| message.direction == direction);
    heard.map(|message| message.payload.clone().map(|payload| String::from_utf8(payload).unwrap())).collect()
}

fn compress(zlib: &mut Compress, direction: Direction, words: &str) -> Wire {
    Wire::new(direction, 1, &deflate(zlib, words.as_bytes())).rsv(4)
}

fn zlib() -> Compress {
    Compress::new(Compression::new(6), false)
}

/// One lost segment in a stream that is not cut at frames: not one phantom frame, and the Close is seen.
#[test]
fn gap_unaligned() {
    let mut stream: Vec<u8> = Vec::new();
    for number in 0..60u32 {
        stream.extend(text(
            ToClient,
            &format!("{{\"seq\":{number},\"pad\":\"{}\"}}", "x".repeat(170 + number as usize % 7)),
        ));
    }
    let mut talk = listen(None);
    for (number, segment) in stream.chunks(1000).enumerate() {
        match number {
            3 => talk.gap(ToClient, segment.len() as u64),
            _ => talk.feed(ToClient, segment),
        };
    }
    for number in 0..5 {
        talk.feed(ToClient, &text(ToClient, &format!("later, alone {number}")));
    }
    talk.feed(ToClient, &close(ToClient, 1000, "done")).end(ToClient, End::Fin);
    let facts = &talk.facts()[ToClient];
    assert_eq!(facts.close.as_ref().map(|close| (close.code, close.reason.as_str())), Some((Some(1000), "done")));
    assert!(facts.unusual().violations.is_empty() && facts.unusual().unknown == 0 && facts.binary == 0);
    let told = texts(&talk, ToClient);
    let sent =
        |told: &String| told.starts_with("{\"seq\":") && told.ends_with("x\"}") || told.starts_with("later, alone");
    assert!(told.iter().flatten().all(sent) && facts.frames == told.len() as u64 + 1);
    assert_eq!(
        (facts.unusual().gaps.times_lost, facts.unusual().gaps.resynchronised, facts.unusual().gaps.lost),
        (1, 1, false)
    );
}

/// After a lost compressed message nothing is shown that was never sent.
#[test]
fn gap_deflate_wrong() {
    let mut zlib = zlib();
    let words = ["\"account\":\"ALICE-000111\"", "\"account\":\"MALLORY-6666\"", "\"account\":\"MALLORY-6666\" again"];
    let wires: Vec<Vec<u8>> = words.iter().map(|words| compress(&mut zlib, ToClient, words).bytes()).collect();
    let mut talk = listen(Some(Deflate::default()));
    talk.feed(ToClient, &wires[0]).feed(ToClient, &wires[1][..2]).gap(ToClient, wires[1].len() as u64 - 2);
    talk.feed(ToClient, &wires[2]).feed(ToClient, &text(ToClient, "plain is plain"));
    assert_eq!(texts(&talk, ToClient), [Some(words[0].into()), None, None, Some("plain is plain".into())]);
    let facts = &talk.facts()[ToClient];
    assert!(facts.unusual().violations.is_empty(), "the sender did nothing wrong");
    assert_eq!((facts.messages, facts.compression().messages, facts.compression().undecoded), (4, 3, 2));
    assert_eq!(facts.compression().poisoned.unwrap().packet, 3);
}

/// One side promises to forget, the other does not: each is decoded as it promised.
#[test]
fn asym_nct() {
    for forgetful in Direction::BOTH {
        let agreed = Deflate {
            client_no_context_takeover: forgetful == ToServer,
            server_no_context_takeover: forgetful == ToClient,
            ..Deflate::default()
        };
        let mut talk = listen(Some(agreed));
        let mut sides = [zlib(), zlib()];
        for number in 0..5 {
            for direction in Direction::BOTH {
                let side = &mut sides[direction.index()];
                if direction == forgetful {
                    side.reset();
                }
                let frame = compress(side, direction, &format!("the same words over and over {number}"));
                talk.feed(direction, &frame.bytes());
            }
        }
        for direction in Direction::BOTH {
            assert!(talk.facts()[direction].unusual().violations.is_empty());
            assert_eq!(texts(&talk, direction)[4].as_deref(), Some("the same words over and over 4"));
        }
    }
}

#[test]
fn frag_deflate() {
    let mut zlib = zlib();
    let mut talk = listen(Some(Deflate::default()));
    for number in 0..3 {
        let words = format!("fragmented and compressed, fragmented and compressed {number}");
        let whole = compress(&mut zlib, ToServer, &words);
        let third = whole.payload.len() / 3;
        let first = Wire { payload: whole.payload[..third].to_vec(), ..whole.clone() }.part();
        let second = Wire::new(ToServer, 0, &whole.payload[third..2 * third]).part();
        let last = Wire::new(ToServer, 0, &whole.payload[2 * third..]);
        let ping = Wire::new(ToServer, 9, b"");
        talk.feed(ToServer, &[first.bytes(), ping.bytes(), second.bytes(), last.bytes()].concat());
        assert_eq!(texts(&talk, ToServer).last(), Some(&Some(words)));
    }
    assert!(talk.facts()[ToServer].unusual().violations.is_empty());
}

/// RFC 7692 §7.2.3.4: a block with BFINAL set ends neither the stream nor the context.
#[test]
fn bfinal() {
    let bfinal = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let refers_back = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let mut talk = listen(Some(Deflate::default()));
    for payload in [&bfinal[..], &refers_back, &bfinal, &bfinal, &refers_back] {
        talk.feed(ToClient, &Wire::new(ToClient, 1, payload).rsv(4).bytes());
    }
    assert_eq!(texts(&talk, ToClient), vec![Some("Hello".to_string()); 5]);
    assert!(talk.facts()[ToClient].unusual().violations.is_empty());
}

/// Both sides fragment at once, one text, one binary: two messages, not a mixture of them.
#[test]
fn frag_loopback_and_bidi_frag() {
    let mut talk = listen(None);
    talk.feed(ToServer, &Wire::new(ToServer, 1, b"cli-").part().bytes());
    talk.feed(ToClient, &Wire::new(ToClient, 2, b"srv-").part().bytes());
    talk.feed(ToServer, &Wire::new(ToServer, 0, b"end").bytes());
    talk.feed(ToClient, &Wire::new(ToClient, 0, b"END").bytes());
    let heard: Vec<_> = talk.heard.messages.iter().map(|m| (m.direction, m.kind, m.payload.clone().unwrap())).collect();
    assert_eq!(
        heard,
        [(ToServer, MessageKind::Text, b"cli-end".to_vec()), (ToClient, MessageKind::Binary, b"srv-END".to_vec())]
    );
}

/// Lengths have 64 bits.
#[test]
fn len64() {
    let length = (1u64 << 32) + 10;
    let header = [&[0x82, 127][..], &length.to_be_bytes()].concat();
    let mut talk = listen(None);
    talk.feed(ToClient, &[&header[..], &[0; 500]].concat());
    talk.gap(ToClient, length - 500).feed(ToClient, &text(ToClient, "after"));
    assert_eq!(talk.heard.frames.iter().map(|frame| frame.length).collect::<Vec<_>>(), [length, 5]);
    assert_eq!(talk.facts()[ToClient].payload_bytes, length + 5);
    let mut talk = listen(None);
    talk.feed(ToClient, &[&header[..], &text(ToClient, "0123456789"), &text(ToClient, "found?")].concat());
    talk.end(ToClient, End::Fin);
    assert!(talk.heard.frames.is_empty());
    let cut = talk.facts()[ToClient].unusual().cut_frame.unwrap();
    assert_eq!((cut.declared, cut.received), (Some(length), 20));
}

/// One segment from the middle of something large: nothing is made up of it.
#[test]
fn mid_cut() {
    let mut talk = Talk::new(Options { start: Start::MidStream, interest: Interest::ALL, ..Options::default() });
    let mut random = Random(11);
    let body = random.text(9000);
    for segment in body[100..].chunks(1460) {
        talk.feed(ToClient, segment);
    }
    let body = random.bytes(200_000);
    for segment in body.chunks(1460) {
        talk.feed(ToClient, segment).feed(ToServer, segment);
    }
    talk.end(ToClient, End::CaptureEnd).end(ToServer, End::CaptureEnd);
    assert!(talk.heard.frames.is_empty() && talk.facts().frames() == 0);
    assert!(Direction::BOTH.iter().all(|&direction| talk.facts()[direction].unusual().violations.is_empty()));
}

/// A large masked message is unmasked and checked to its end, in bounded memory, compressed or not.
#[test]
fn large_masked_messages() {
    let mut random = Random(3);
    let mut plain = random.text(700_000);
    let mut zlib = zlib();
    let mut talk = listen(Some(Deflate::default()));
    let compressed = Wire::new(ToServer, 1, &deflate(&mut zlib, &plain)).rsv(4).bytes();
    let uncompressed = Wire::new(ToServer, 1, &plain).bytes();
    for segment in [compressed, uncompressed].concat().chunks(1460) {
        talk.feed(ToServer, segment);
    }
    assert!(talk.heard.messages.iter().all(|message| message.payload.as_ref() == Some(&plain)));
    assert_eq!(talk.heard.messages.len(), 2);
    // The last byte counts as much as the first.
    *plain.last_mut().unwrap() = 0xC3;
    for segment in Wire::new(ToServer, 1, &plain).bytes().chunks(1460) {
        talk.feed(ToServer, segment);
    }
    assert_eq!(talk.facts()[ToServer].unusual().violations.total(), 1);
    assert_eq!(talk.facts()[ToServer].unusual().violations.first()[0].detail, 699_999.min(plain.len() as u64 - 1));
}

/// What nobody asked for is not kept, and what is asked for is bounded.
#[test]
fn a_gigabyte_of_text_needs_no_memory() {
    for (interest, bound) in [(Interest::NONE, 4096), (Interest::ALL, Interest::PAYLOAD_LIMIT as usize + 4096)] {
        let mut talk = Talk::new(Options { interest, ..Options::default() });
        let segment = [b'x'; 65_536];
        talk.feed(ToClient, &[&[0x81, 127][..], &(1u64 << 30).to_be_bytes()].concat());
        for number in 0..(1 << 14) {
            talk.feed(ToClient, &segment);
            if number % 1024 == 0 {
                assert!(talk.socket.memory() <= bound, "{}", talk.socket.memory());
            }
        }
        assert_eq!((talk.facts()[ToClient].messages, talk.facts()[ToClient].largest_message), (1, 1 << 30));
        assert!(talk.socket.memory() <= 100_000, "and the buffer is not kept");
    }
}

/// A bomb costs neither memory nor hours, and is named.
#[test]
fn decompression_bomb() {
    let mut zlib = Compress::new(Compression::best(), false);
    let bomb = Wire::new(ToClient, 2, &deflate(&mut zlib, &vec![0; 300 << 20])).rsv(4).bytes();
    let mut talk = Talk::new(Options { deflate: Some(Deflate::default()), ..Options::default() });
    for segment in bomb.chunks(1460) {
        talk.feed(ToClient, segment);
        assert!(talk.socket.memory() < 110_000);
    }
    let compression = talk.facts()[ToClient].compression();
    assert_eq!((compression.limit_hits, compression.failures, compression.undecoded), (1, 0, 1));
    let limits: Vec<_> = talk.facts().limits().collect();
    assert_eq!(limits, [("websocket.messages_not_inflated", 1), ("websocket.inflate_limit", 1)]);
    assert!(talk.facts()[ToClient].unusual().violations.is_empty(), "large is not illegal");
}

/// `shrink` at any time changes nothing but memory.
#[test]
fn shrinking_between_messages() {
    let mut random = Random(9);
    let said = honest(&mut random, ToClient, 80, Some(true), false);
    let mut talk = listen(Some(Deflate::default()));
    for segment in said.bytes.chunks(97) {
        talk.feed(ToClient, segment);
        talk.socket.shrink();
    }
    let heard: Vec<_> = talk.heard.messages.iter().map(|m| (m.kind, m.payload.clone().unwrap())).collect();
    assert_eq!(heard, said.messages);
    assert!(talk.socket.memory() <= 33_000);
}

/// What one connection costs while nothing happens: 1 KiB, more than half of it facts, and nothing else on the heap.
#[test]
fn size() {
    let size = size_of::<crate::websocket::WebSocket>() + size_of::<crate::websocket::WebSocketFacts>();
    assert!(size <= 1024, "{size} bytes");
    let mut talk = Talk::plain();
    for direction in Direction::BOTH {
        talk.feed(direction, &text(direction, "x")).feed(direction, &Wire::new(direction, 2, &[0; 3000]).bytes());
    }
    assert!(talk.socket.memory() <= 4096, "only the reused message buffer of the masked direction");
}
