//! Recognising and joining a WebSocket without its beginning.

use super::support::*;
use crate::stream::Direction::{self, ToClient, ToServer};
use crate::stream::End;
use crate::websocket::{Interest, Likeness, Options, Start, Strength, looks_like_websocket};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Node `ws`, joined in the middle, with permessage-deflate: packets as captured.
const NODE_PMD: &[(Direction, &str)] = &[
    (ToClient, "c10e82998296440d712751538ca40100"),
    (ToServer, "c187468c723f84d815b5139172"),
    (ToClient, "c11082998196440df124514344da50aa0500"),
    (ToClient, "c11082e9474b9e86b893a7217ada30aa0500"),
    (ToServer, "c1879596c18e57c2a608c08bc1"),
    (ToClient, "c11082198296400d71275073b4d4615c0b00"),
    (ToClient, "c10f82998196480d71275243238ce40100"),
    (ToClient, "c111821982964c0d71275363b4f4616a560b00"),
    (ToServer, "c1878393ca2b41c7ada5d68eca"),
    (ToClient, "c10e82198296500d7127540b8c040200"),
    (ToServer, "c187604c728da218150c355172"),
    (ToServer, "c18a94db229d568f45f51472723482db"),
    (ToClient, "880203e9"),
    (ToServer, "8882c310111dc0f9"),
];

#[test]
fn a_compressed_conversation_is_joined_and_its_close_is_read() {
    let mut talk = Talk::new(Options { start: Start::MidStream, interest: Interest::ALL, ..Options::default() });
    for (direction, bytes) in NODE_PMD {
        talk.feed(*direction, &hex(bytes));
    }
    talk.end(ToClient, End::Fin).end(ToServer, End::Fin);
    let facts = talk.facts();
    assert!(facts.mid_stream);
    for direction in Direction::BOTH {
        let own = &facts[direction];
        assert_eq!(own.close.as_ref().unwrap().code, Some(1001), "{direction:?}");
        assert!(!own.unusual().gaps.lost && own.unusual().gaps.resynchronised == 1);
        assert!(own.unusual().violations.is_empty(), "compression that was agreed unseen is no fault");
        assert_eq!(own.compression().undecoded, own.compression().messages);
        assert!(own.compression().messages >= 3);
    }
    assert!(talk.heard.messages.iter().all(|message| message.compressed && message.payload.is_none()));
}

/// 304-byte frames, a packet each, with two holes; after each the packets begin with a header.
#[test]
fn capture_drops() {
    let mut talk = Talk::plain();
    talk.feed(ToClient, &text(ToClient, "{\"type\":\"welcome\"}"));
    for number in 0..20 {
        let frame =
            text(ToClient, &format!("{{\"seq\":{number},\"ts\":170{}}}", "4".repeat(283 - number.to_string().len())));
        assert_eq!(frame.len(), 304);
        if number == 1 || number == 7 {
            talk.gap(ToClient, 304);
        } else {
            talk.feed(ToClient, &frame);
        }
    }
    talk.feed(ToClient, &close(ToClient, 1000, "done")).feed(ToServer, &close(ToServer, 1000, "done"));
    let facts = &talk.facts()[ToClient];
    assert_eq!(facts.close.as_ref().unwrap().code, Some(1000));
    assert_eq!(
        (facts.unusual().gaps.count, facts.unusual().gaps.bytes, facts.unusual().gaps.resynchronised),
        (2, 608, 2)
    );
    assert_eq!(facts.frames, 18, "one frame after each hole serves as proof and is not told");
    assert_eq!(facts.unusual().gaps.undecoded_bytes, 608);
    assert!(!facts.whole() && facts.unusual().violations.is_empty());
}

/// Every packet cut by the snap length after 30 bytes of payload, the handshake among them: joined all the same.
#[test]
fn snap_length() {
    let mut talk = Talk::new(Options { start: Start::MidStream, interest: Interest::ALL, ..Options::default() });
    for number in 0..6 {
        let frame = text(ToClient, &format!("{{\"seq\":{number},{}}}", "9".repeat(280)));
        talk.feed(ToClient, &frame[..30]).snapped(ToClient, frame.len() as u64 - 30);
    }
    talk.feed(ToClient, &Wire::new(ToClient, 9, &[1; 40]).bytes()[..30]).snapped(ToClient, 12);
    talk.feed(ToServer, &Wire::new(ToServer, 10, b"?").bytes());
    talk.feed(ToClient, &close(ToClient, 1000, "")).end(ToClient, End::Fin);
    let facts = &talk.facts()[ToClient];
    assert_eq!((facts.unusual().gaps.resynchronised, facts.frames, facts.ping), (1, 7, 1));
    assert_eq!(facts.close.as_ref().unwrap().code, Some(1000));
    assert!(facts.unusual().violations.is_empty() && facts.unusual().incomplete_messages == facts.messages);
}

/// Keepalive alone, a packet each, is proof enough after a while.
#[test]
fn pings_alone() {
    let mut talk = Talk::new(Options { start: Start::MidStream, ..Options::default() });
    for _ in 0..6 {
        talk.feed(ToClient, &[0x89, 0]).feed(ToServer, &[0x8A, 0x80, 1, 2, 3, 4]);
    }
    assert!(talk.facts()[ToClient].ping >= 2 && talk.facts()[ToServer].pong >= 2);
}

/// Data of the kinds that look most like frames, in packets of every common size, while step is lost.
#[test]
fn structured_data_is_not_taken_for_frames() {
    let ber = |number: u32| {
        let name = format!("host{}.example.com", number * 7919 % 10_007);
        [&[0x82, name.len() as u8][..], name.as_bytes()].concat()
    };
    let sources: Vec<(&str, Vec<u8>)> = vec![
        ("zeros", vec![0; 200_000]),
        ("ones", vec![1; 200_000]),
        ("0x81", vec![0x81; 200_000]),
        ("pixels", [0x82, 0x02, 0x13, 0xFF].repeat(50_000)),
        ("empty frames", [0x82, 0x00].repeat(100_000)),
        ("gradient", (0..50_000u32).flat_map(|n| [0x82, 0x02, n as u8, 0x40]).collect()),
        ("little-endian counters", (0..50_000u32).flat_map(u32::to_le_bytes).collect()),
        ("big-endian counters", (0..50_000u32).flat_map(u32::to_be_bytes).collect()),
        ("msgpack maps", (0..60_000u32).flat_map(|n| [0x81, 0x01, (n % 0x7F) as u8]).collect()),
        ("text", Random(1).text(200_000)),
        ("random", Random(2).bytes(400_000)),
        ("dns over tcp", (0..9000).flat_map(|n: u32| [&[0, 20][..], &n.to_be_bytes(), &[0; 16]].concat()).collect()),
        ("names", (0..12).flat_map(ber).chain([0x30; 3000]).collect()),
    ];
    for (name, data) in sources {
        for segment in [536, 1448, 1460, 1200, 16_384, 33] {
            for direction in Direction::BOTH {
                let mut talk =
                    Talk::new(Options { start: Start::MidStream, interest: Interest::ALL, ..Options::default() });
                data.chunks(segment).for_each(|segment| {
                    talk.feed(direction, segment);
                });
                assert!(talk.heard.frames.is_empty(), "{name} in {segment}: {:?}", talk.heard.frames[0]);
            }
        }
    }
}

#[test]
fn frames_are_recognised() {
    let weak = |bytes: &[u8], masked| {
        let found = looks_like_websocket(bytes);
        assert!(found.strength >= Strength::Weak && found.masked == masked, "{bytes:x?}: {found:?}");
        found.bits
    };
    for direction in Direction::BOTH {
        let masked = direction == ToServer;
        let said = honest(&mut Random(4), direction, 40, Some(true), false);
        let strong = looks_like_websocket(&said.bytes);
        assert!(strong.strength == Strength::Strong && strong.masked == masked);
        let sum: u16 =
            NODE_PMD.iter().filter(|(d, _)| *d == direction).take(4).map(|(_, bytes)| weak(&hex(bytes), masked)).sum();
        assert!(sum >= Likeness::STRONG_BITS, "four short packets are proof");
        weak(&text(direction, "hello"), masked);
        weak(&text(direction, &"long ".repeat(80)), masked);
        weak(&Wire::new(direction, 9, b"").bytes(), masked);
        weak(&close(direction, 1000, ""), masked);
        // A frame that goes on in the next packet.
        assert!(looks_like_websocket(&Wire::new(direction, 2, &[7; 70_000]).bytes()[..1400]).bits >= 20);
    }
}

/// The beginnings of packets of other protocols. None may look like proof, and hardly any like a hint.
#[test]
fn other_protocols_are_not_recognised() {
    let dns = [&[0, 29, 0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7][..], b"example\x03com\0\0\x01\0\x01"].concat();
    let protocols: Vec<(&str, Vec<u8>)> = vec![
        ("tls client hello", [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &Random(1).bytes(500)].concat()),
        ("tls application data", [&[0x17, 3, 3, 0, 200][..], &Random(2).bytes(200)].concat()),
        ("tls alert", vec![0x15, 3, 3, 0, 2, 1, 0]),
        ("http request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("http post", b"POST /a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("http response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("http2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("http2 settings", vec![0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]),
        ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("ssh packet", vec![0, 0, 4, 0xDC, 8, 0x14]),
        ("mysql greeting", b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0".to_vec()),
        ("mysql query", b"\x0e\0\0\0\x03SELECT version".to_vec()),
        ("mysql 129", [&[0x81, 0, 0, 0, 3][..], &[b'S'; 128]].concat()),
        ("mysql ok", vec![7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]),
        ("postgres startup", b"\0\0\0\x29\0\x03\0\0user\0postgres\0".to_vec()),
        ("postgres bind", b"B\0\0\0\x14\0\0\0\0\0\0\0\x01\0\0\0".to_vec()),
        ("postgres row", b"D\0\0\0\x0b\0\x01\0\0\0\x011".to_vec()),
        ("redis", b"*1\r\n$4\r\nPING\r\n".to_vec()),
        ("redis ok", b"+OK\r\n".to_vec()),
        ("mqtt connect", b"\x10\x12\0\x04MQTT\x04\x02\0<\0\x06client".to_vec()),
        ("mqtt publish", b"\x30\x09\0\x03a/bxxxx".to_vec()),
        ("mqtt ping", vec![0xC0, 0]),
        ("mqtt puback", vec![0x40, 2, 0, 1]),
        ("amqp", b"AMQP\0\0\x09\x01".to_vec()),
        ("amqp method", vec![1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 11]),
        ("dns over tcp", dns),
        ("ldap", vec![0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0]),
        ("smb2", b"\0\0\0\x40\xFESMB\x40\0".to_vec()),
        ("rdp", vec![3, 0, 0, 0x13, 0x0E, 0xE0, 0, 0]),
        ("kafka", vec![0, 0, 0, 0x21, 0, 18, 0, 3, 0, 0, 0, 1]),
        ("cassandra v1", vec![0x81, 0, 0, 2, 0, 0, 0, 0]),
        ("cassandra v2", vec![0x82, 0, 0, 2, 0, 0, 0, 0]),
        ("cassandra v4", vec![0x84, 0, 0, 0, 2, 0, 0, 0, 0]),
        ("memcached request", [&[0x80, 1, 0, 5, 8][..], &[0; 40]].concat()),
        ("memcached response", [&[0x81, 1, 0, 0][..], &[0; 20]].concat()),
        ("mongodb", [&0x82u32.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0, 0xDD, 7, 0, 0], &[0; 114]].concat()),
        ("bittorrent", b"\x13BitTorrent protocol\0\0\0\0".to_vec()),
        ("smtp", b"220 mail.example.com ESMTP\r\n".to_vec()),
        ("imap", b"* OK ready\r\n".to_vec()),
        ("irc", b":server 001 nick :hi\r\n".to_vec()),
        ("rfb", b"RFB 003.008\n".to_vec()),
        ("x11 big-endian", vec![0x42, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("socks5", vec![5, 1, 0]),
        ("xmpp", b"<?xml version='1.0'?><stream:stream>".to_vec()),
        ("bgp", vec![0xFF; 16]),
        ("proxy protocol 2", b"\r\n\r\n\0\r\nQUIT\n".to_vec()),
        ("keepalive byte", vec![0]),
        ("nothing", vec![]),
    ];
    for (name, bytes) in &protocols {
        assert_eq!(looks_like_websocket(bytes).strength, Strength::No, "{name}: {:?}", looks_like_websocket(bytes));
        for cut in 0..bytes.len() {
            assert_ne!(looks_like_websocket(&bytes[..cut]).strength, Strength::Strong, "{name} cut at {cut}");
        }
    }
    // Known and accepted: an MQTT SUBSCRIBE is, byte for byte, an unmasked binary frame. One packet of it is a hint.
    let subscribe = looks_like_websocket(b"\x82\x08\0\x01\0\x03a/b\0");
    assert_eq!((subscribe.strength, subscribe.masked), (Strength::Weak, false));
}

/// The rate that the documentation states.
#[test]
fn random_bytes_are_seldom_a_hint_and_never_proof() {
    let mut random = Random(77);
    let (mut weak, mut most) = (0, 0);
    let segments = 300_000;
    for _ in 0..segments {
        let most_bytes = if random.one_in(2) { 40 } else { 400 };
        let length = 1 + random.below(most_bytes);
        let found = looks_like_websocket(&random.bytes(length));
        assert_ne!(found.strength, Strength::Strong);
        weak += u32::from(found.strength == Strength::Weak);
        most = most.max(found.bits);
    }
    assert!(weak * 1000 < segments, "{weak} of {segments}, at most {most} bits");
}
