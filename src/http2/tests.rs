//! Dialogues frame by frame, fed under every way of cutting and losing bytes.

use super::*;
use crate::stream::{Direction, End, GapCause, Side, Sniff, Stamp, StreamEvent};
use Direction::{ToClient, ToServer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals that do not enter the table, and of table indices for the status.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        // Entered into the table, so that both sides' state matters.
        bytes.push(0x40);
        for text in [name, value] {
            assert!(text.len() < 127);
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

const CONNECT: [(&str, &str); 8] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":path", "/chat"),
    (":scheme", "https"),
    (":authority", "app.example"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "chat"),
    ("sec-websocket-extensions", "permessage-deflate"),
];
const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "app.example")];
const OK: [(&str, &str); 2] = [(":status", "200"), ("sec-websocket-protocol", "chat")];

#[derive(Clone, Default)]
struct Talk(Vec<(Direction, Vec<u8>)>);

impl Talk {
    fn begun() -> Talk {
        Talk::default()
            .raw(ToServer, PREFACE)
            .say(ToServer, frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]))
            .say(ToClient, frame(4, 0, 0, &[0, 8, 0, 0, 0, 1, 0, 5, 0, 0, 64, 0]))
            .say(ToServer, frame(4, 1, 0, &[]))
            .say(ToClient, frame(4, 1, 0, &[]))
    }

    /// Stream 1 is a WebSocket.
    fn opened() -> Talk {
        Talk::begun().say(ToServer, frame(1, 4, 1, &block(&CONNECT))).say(ToClient, frame(1, 4, 1, &block(&OK)))
    }

    fn raw(mut self, direction: Direction, bytes: &[u8]) -> Talk {
        self.0.push((direction, bytes.to_vec()));
        self
    }

    fn say(self, direction: Direction, bytes: Vec<u8>) -> Talk {
        self.raw(direction, &bytes)
    }
}

/// Offset, bytes (`None` for a gap) and length.
type Run = (u64, Option<Vec<u8>>, u64);

/// What left the observer, in words; pieces of data that follow each other are put together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    events: Vec<String>,
    /// Per stream and direction: what was heard, gaps as `None` with their length.
    runs: std::collections::BTreeMap<(u32, usize), Vec<Run>>,
    last_data: Option<(u32, Direction)>,
}

impl Heard {
    fn take(&mut self, stream: u32, event: Http2Event<'_>) {
        let arrow = |direction: Direction| if direction == ToServer { "C" } else { "S" };
        let mut data = None;
        match event {
            Http2Event::Request(websocket) => {
                assert_eq!(websocket.id, stream);
                let request = &websocket.request;
                self.events.push(format!("{stream} request {}", request.path.as_deref().unwrap_or("?")));
            }
            Http2Event::Response(websocket) => {
                let status = websocket.response.as_ref().and_then(|response| response.status);
                self.events.push(format!("{stream} response {}", status.unwrap_or(0)));
            }
            Http2Event::Stream(direction, event) => {
                let runs = self.runs.entry((stream, direction.index())).or_default();
                let told = runs.last().map_or(0, |run| run.0 + run.2);
                match event {
                    StreamEvent::Data { offset, bytes } => {
                        assert_eq!(offset, told, "offsets count bytes");
                        runs.push((offset, Some(bytes.to_vec()), bytes.len() as u64));
                        let text = String::from_utf8_lossy(bytes);
                        data = Some((stream, direction));
                        if self.last_data == data {
                            self.events.last_mut().unwrap().push_str(&text);
                        } else {
                            self.events.push(format!("{stream} {} {text}", arrow(direction)));
                        }
                    }
                    StreamEvent::Gap { offset, len, .. } => {
                        assert_eq!(offset, told, "offsets count bytes");
                        runs.push((offset, None, len));
                        let len = if len == UNKNOWN_GAP { "?".to_owned() } else { len.to_string() };
                        self.events.push(format!("{stream} {} gap {len}", arrow(direction)));
                    }
                    StreamEvent::End(end) => self.events.push(format!("{stream} {} end {end:?}", arrow(direction))),
                }
            }
        }
        self.last_data = data;
    }
}

fn observe(
    talk: &Talk,
    mut cut: impl FnMut() -> usize,
    mut lose: impl FnMut(Direction, u64, usize) -> bool,
) -> (Http2Facts, Heard) {
    let (mut http2, mut heard) = (Http2::new(), Heard::default());
    let (mut offsets, mut packet) = ([0u64; 2], 0);
    for (direction, bytes) in &talk.0 {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (bytes, after) = rest.split_at(cut().clamp(1, rest.len()));
            rest = after;
            packet += 1;
            let offset = offsets[direction.index()];
            offsets[direction.index()] += bytes.len() as u64;
            let event = if lose(*direction, offset, bytes.len()) {
                StreamEvent::Gap { offset, len: bytes.len() as u64, cause: GapCause::NotCaptured }
            } else {
                StreamEvent::Data { offset, bytes }
            };
            http2.feed(Stamp { packet, at: 0 }, *direction, event, &mut |stream, _, event| heard.take(stream, event));
        }
    }
    for direction in [ToServer, ToClient] {
        let end = StreamEvent::End(End::CaptureEnd);
        http2.feed(Stamp { packet, at: 0 }, direction, end, &mut |stream, _, event| heard.take(stream, event));
    }
    (http2.into_facts(), heard)
}

/// The talk in whole pieces; and the same heard under every cut.
fn hear(talk: &Talk) -> (Http2Facts, Vec<String>) {
    let (facts, heard) = observe(talk, || usize::MAX, |_, _, _| false);
    for size in 1..30 {
        let (again, cut) = observe(talk, || size, |_, _, _| false);
        assert_eq!(cut.events, heard.events, "cut every {size} bytes");
        assert_eq!(
            (again.frames, again.requests, again.oddities.len()),
            (facts.frames, facts.requests, facts.oddities.len())
        );
        assert_eq!(again.websockets.len(), facts.websockets.len());
        for (one, other) in again.websockets.iter().zip(&facts.websockets) {
            assert_eq!((one.data_bytes, &one.refusal_body), (other.data_bytes, &other.refusal_body));
            assert_eq!(one.request.fields, other.request.fields);
        }
    }
    (facts, heard.events)
}

#[test]
fn a_websocket_over_a_stream_is_told_from_request_to_end() {
    let talk = Talk::opened()
        .say(ToServer, frame(0, 0, 1, b"hello"))
        .say(ToClient, frame(8, 0, 1, &[0, 0, 1, 0]))
        .say(ToClient, frame(0, 0, 1, b"good "))
        .say(ToClient, frame(0, 0, 1, b"day"))
        .say(ToServer, frame(6, 0, 0, &[0; 8]))
        .say(ToClient, frame(6, 1, 0, &[0; 8]))
        .say(ToServer, frame(0, 1, 1, b"bye"))
        .say(ToClient, frame(0, 1, 1, b""));
    let (facts, events) = hear(&talk);
    assert_eq!(
        events,
        ["1 request /chat", "1 response 200", "1 C hello", "1 S good day", "1 C bye", "1 C end Fin", "1 S end Fin"]
    );
    let stream = &facts.websockets[0];
    assert_eq!(stream.request.method.as_deref(), Some("CONNECT"));
    assert_eq!(stream.request.protocol.as_deref(), Some("websocket"));
    assert_eq!(
        (stream.request.scheme.as_deref(), stream.request.authority.as_deref()),
        (Some("https"), Some("app.example"))
    );
    assert_eq!(stream.request.field("sec-websocket-version"), Some("13"));
    assert_eq!((stream.accepted(), stream.permitted, stream.data_bytes), (Some(true), Some(true), [8, 8]));
    assert_eq!((facts.requests, facts.pings, facts.mid_stream), (1, [1, 0], false));
    assert_eq!(facts.settings[0].max_concurrent_streams, Some(100));
    assert_eq!(facts.settings[1].max_frame_size, Some(16_384));
    assert!(facts.settings.iter().all(|settings| settings.acknowledged.is_some()));
    assert_eq!(facts.websockets_permitted(), Some(true));
    assert!(facts.oddities.is_empty() && facts.preface.is_some());
}

#[test]
fn padding_priority_and_continuation_change_nothing() {
    let request = block(&CONNECT);
    let (first, rest) = request.split_at(10);
    let (second, third) = rest.split_at(1);
    let padded = [&[7u8][..], &[0, 0, 0, 0, 16], first, &[0; 7]].concat();
    let talk = Talk::begun()
        .say(ToServer, frame(1, 0x28, 1, &padded))
        .say(ToServer, frame(9, 0, 1, second))
        .say(ToServer, frame(9, 4, 1, third))
        .say(ToClient, frame(1, 0x0c, 1, &[&[3][..], &block(&OK), &[0; 3]].concat()))
        .say(ToServer, frame(0, 8, 1, &[&[4][..], b"hello", &[0; 4]].concat()))
        .say(ToServer, frame(0, 8, 1, &[&[0][..], b" all"].concat()))
        .say(ToServer, frame(0, 8, 1, &[2, 0, 0]))
        // A type that nobody knows is passed over.
        .say(ToClient, frame(0x2a, 0xff, 1, &[1, 2, 3]))
        .say(ToClient, frame(0, 9, 1, &[&[1][..], b"ok", &[0]].concat()));
    let (facts, events) = hear(&talk);
    let expected =
        ["1 request /chat", "1 response 200", "1 C hello all", "1 S ok", "1 S end Fin", "1 C end CaptureEnd"];
    assert_eq!(events, expected);
    assert_eq!(facts.websockets[0].data_bytes, [9, 2]);
    assert!(facts.oddities.is_empty());
}

#[test]
fn other_streams_are_counted_and_passed_over() {
    let talk = Talk::begun()
        .say(ToServer, frame(1, 5, 1, &block(&GET)))
        .say(ToClient, frame(1, 4, 1, &block(&[(":status", "200"), ("server", "x")])))
        .say(ToClient, frame(0, 0, 1, &[b'p'; 5000]))
        .say(ToServer, frame(1, 4, 3, &block(&CONNECT)))
        .say(ToClient, frame(0, 1, 1, &[b'p'; 100]))
        .say(ToClient, frame(1, 4, 3, &block(&OK)))
        .say(ToServer, frame(1, 4, 5, &block(&[(":method", "CONNECT"), (":authority", "proxied:443")])))
        .say(ToServer, frame(0, 0, 5, b"tunnelled"))
        .say(ToServer, frame(0, 0, 3, b"mine"));
    let (facts, events) = hear(&talk);
    assert_eq!(events, ["3 request /chat", "3 response 200", "3 C mine", "3 C end CaptureEnd", "3 S end CaptureEnd"]);
    assert_eq!((facts.requests, facts.websockets.len()), (3, 1));
}

#[test]
fn resets_and_goaway_end_streams() {
    let talk = Talk::opened()
        .say(ToServer, frame(0, 0, 1, b"x"))
        .say(ToServer, frame(3, 0, 1, &[0, 0, 0, 8]))
        .say(ToServer, frame(0, 0, 1, b"after the end"));
    let (facts, events) = hear(&talk);
    assert_eq!(events[2..], ["1 C x", "1 C end Rst", "1 S end Rst"]);
    let (_, side, code) = facts.websockets[0].reset.unwrap();
    assert_eq!((side, code, code.name()), (Side::Client, ErrorCode::CANCEL, Some("CANCEL")));

    let goaway = [&[0, 0, 0, 1, 0, 0, 0, 0][..], b"going down"].concat();
    let talk = Talk::opened()
        .say(ToServer, frame(1, 4, 3, &block(&CONNECT)))
        .say(ToClient, frame(7, 0, 0, &goaway))
        .say(ToClient, frame(0, 0, 1, b"still here"));
    let (facts, events) = hear(&talk);
    let expected =
        ["3 request /chat", "3 C end Rst", "3 S end Rst", "1 S still here", "1 C end CaptureEnd", "1 S end CaptureEnd"];
    assert_eq!(events[2..], expected);
    let goaway = facts.goaway[1].as_ref().unwrap();
    assert_eq!(
        (goaway.last_stream, goaway.code, goaway.debug.as_slice()),
        (1, ErrorCode::NO_ERROR, &b"going down"[..])
    );
    assert_eq!(facts.websockets[1].reset, None, "nobody sent one");
}

#[test]
fn a_refusal_keeps_its_body_and_lets_no_data_out() {
    let talk = Talk::begun()
        .say(ToServer, frame(1, 4, 1, &block(&CONNECT)))
        .say(ToClient, frame(1, 4, 1, &block(&[(":status", "103"), ("link", "x")])))
        .say(ToClient, frame(1, 4, 1, &block(&[(":status", "403"), ("content-type", "text/plain")])))
        .say(ToClient, frame(0, 1, 1, b"wrong origin"))
        .say(ToServer, frame(0, 0, 1, b"ignored"));
    let (facts, events) = hear(&talk);
    assert_eq!(events, ["1 request /chat", "1 response 403", "1 S end Fin", "1 C end CaptureEnd"]);
    let stream = &facts.websockets[0];
    assert_eq!(
        (stream.accepted(), stream.interim, stream.refusal_body.as_slice()),
        (Some(false), 1, &b"wrong origin"[..])
    );
    assert_eq!(stream.response.as_ref().and_then(|response| response.field("content-type")), Some("text/plain"));

    let refused =
        Talk::begun().say(ToServer, frame(1, 4, 1, &block(&CONNECT))).say(ToClient, frame(3, 0, 1, &[0, 0, 0, 7]));
    let (facts, _) = hear(&refused);
    assert_eq!(
        facts.websockets[0].reset.map(|(_, side, code)| (side, code)),
        Some((Side::Server, ErrorCode::REFUSED_STREAM))
    );
    assert_eq!(facts.websockets[0].accepted(), None);
}

#[test]
fn permission_is_what_the_settings_say() {
    let settings = |entries: &[u8]| {
        Talk::default()
            .raw(ToServer, PREFACE)
            .say(ToServer, frame(4, 0, 0, &[]))
            .say(ToClient, frame(4, 0, 0, entries))
            .say(ToServer, frame(1, 4, 1, &block(&CONNECT)))
    };
    for (entries, permitted) in [(&[][..], false), (&[0, 8, 0, 0, 0, 0], false), (&[0, 8, 0, 0, 0, 1], true)] {
        let (facts, _) = hear(&settings(entries));
        assert_eq!((facts.websockets_permitted(), facts.websockets[0].permitted), (Some(permitted), Some(permitted)));
    }
    let early = Talk::default().raw(ToServer, PREFACE).say(ToServer, frame(1, 4, 1, &block(&CONNECT)));
    assert_eq!(hear(&early).0.websockets[0].permitted, None);
}

#[test]
fn an_answer_that_is_not_http2_is_kept() {
    let talk = Talk::default().raw(ToServer, PREFACE).raw(ToClient, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let (facts, events) = hear(&talk);
    assert!(events.is_empty() && !facts.mid_stream);
    assert_eq!(facts.not_http2.unwrap().bytes.as_slice(), b"HTTP/1.1 400 Bad Request\r\n\r\n");
}

#[test]
fn a_hole_in_a_payload_is_counted_exactly() {
    let prefix: u64 = Talk::opened().0.iter().filter(|said| said.0 == ToClient).map(|said| said.1.len() as u64).sum();
    for (padding, flags) in [(0, 0), (3u8, 8)] {
        let mut payload = vec![];
        if flags != 0 {
            payload.push(padding);
        }
        payload.extend_from_slice(b"0123456789");
        payload.extend(std::iter::repeat_n(0, usize::from(padding)));
        let talk = Talk::opened().say(ToClient, frame(0, flags, 1, &payload)).say(ToClient, frame(0, 1, 1, b"end"));
        let start = prefix + 9 + u64::from(flags != 0);
        for from in 0..10u64 {
            for len in 1..=10 - from {
                let lost = start + from..start + from + len;
                let (_, heard) = observe(&talk, || 1, |direction, at, _| direction == ToClient && lost.contains(&at));
                let heard = &heard.runs[&(1, 1)];
                let gap: u64 = heard.iter().filter(|run| run.1.is_none()).map(|run| run.2).sum();
                assert_eq!(gap, len);
                for (at, bytes, _) in heard {
                    let Some(bytes) = bytes else { continue };
                    let at = *at as usize;
                    assert_eq!(&b"0123456789end"[at..at + bytes.len()], bytes);
                }
                assert_eq!(heard.last().map(|run| run.0 + run.2), Some(13));
            }
        }
    }
}

#[test]
fn after_a_lost_frame_header_the_stream_is_found_again() {
    let mut talk = Talk::opened();
    for number in 0..6u8 {
        talk = talk.say(ToClient, frame(0, 0, 1, &[b'a' + number; 30]));
    }
    // The third of them is lost as a whole.
    let before: u64 = talk.0.iter().filter(|said| said.0 == ToClient).map(|said| said.1.len() as u64).sum();
    let third = before - 4 * 39;
    let (facts, heard) = observe(&talk, || 39, |direction, at, _| direction == ToClient && at == third);
    let expected = format!("1 S {}", "d".repeat(30) + &"e".repeat(30) + &"f".repeat(30));
    assert_eq!(heard.events[3..5], ["1 S gap ?".to_owned(), expected]);
    assert_eq!(facts.missing_bytes, [0, 39]);
}

#[test]
fn a_lost_response_leaves_the_answer_unknown_and_data_flowing() {
    let talk = Talk::opened().say(ToClient, frame(0, 0, 1, b"hello"));
    let response = talk.0.iter().filter(|said| said.0 == ToClient).nth(2).unwrap().1.len();
    let start: usize = talk.0.iter().filter(|said| said.0 == ToClient).take(2).map(|said| said.1.len()).sum();
    // Its block but not its frame header: the frames stay in step.
    let lost = start as u64 + 9..(start + response) as u64;
    let (facts, heard) = observe(&talk, || 1, |direction, at, _| direction == ToClient && lost.contains(&at));
    assert_eq!(heard.events[..2], ["1 request /chat", "1 S hello"]);
    assert!(facts.websockets[0].response_unreadable && facts.websockets[0].accepted().is_none());
}

#[test]
fn joined_late_nothing_is_known_of_streams_that_were_open() {
    let mut talk = Talk::default();
    for number in 0..5u8 {
        talk = talk.say(ToClient, frame(0, 0, 1, &[number; 40])).say(ToServer, frame(0, 0, 1, &[number; 20]));
    }
    // A request whose fields stand in the part of the table that was missed, and one in clear.
    talk = talk.say(ToServer, frame(1, 5, 7, &[0xbe, 0xbf, 0xc0]));
    talk = talk.say(ToServer, frame(1, 4, 9, &block(&CONNECT))).say(ToClient, frame(1, 4, 9, &[0x88]));
    talk = talk.say(ToClient, frame(0, 0, 9, b"hi"));
    let (facts, heard) = observe(&talk, || usize::MAX, |_, _, _| false);
    assert!(facts.mid_stream);
    assert_eq!(heard.events[..3], ["9 request /chat", "9 response 200", "9 S hi"]);
    assert_eq!((facts.requests, facts.requests_unreadable), (2, 1));
    assert_eq!(facts.websockets[0].permitted, None);
}

#[test]
fn a_flood_of_continuations_is_bounded() {
    let mut talk = Talk::begun().say(ToServer, frame(1, 0, 1, &block(&CONNECT)));
    for _ in 0..2000 {
        talk = talk.say(ToServer, frame(9, 0, 1, &[0u8; 100]));
    }
    talk = talk.say(ToServer, frame(9, 4, 1, &[])).say(ToServer, frame(1, 4, 3, &block(&CONNECT)));
    let (facts, heard) = observe(&talk, || usize::MAX, |_, _, _| false);
    assert_eq!(facts.oddities.iter().map(|oddity| oddity.0).collect::<Vec<_>>(), [Oddity::HeaderBlockTooLarge]);
    assert_eq!((facts.requests, facts.requests_unreadable), (2, 1));
    assert_eq!(heard.events[0], "3 request /chat");
}

#[test]
fn a_small_block_cannot_be_blown_up() {
    // One large entry, referred to again and again.
    let mut bomb = block(&CONNECT);
    bomb.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend_from_slice(&[b'v'; 4000]);
    bomb.extend(std::iter::repeat_n(0xbe, 10_000));
    let (first, rest) = bomb.split_at(10_000);
    let talk = Talk::begun().say(ToServer, frame(1, 0, 1, first)).say(ToServer, frame(9, 4, 1, rest));
    let (facts, _) = observe(&talk, || usize::MAX, |_, _, _| false);
    let request = &facts.websockets[0].request;
    assert!(request.truncated);
    let kept: usize = request.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept <= facts::MAX_HEAD);
}

#[test]
fn many_websockets_are_bounded() {
    let mut talk = Talk::begun();
    for number in 0..1100u32 {
        talk = talk.say(ToServer, frame(1, 4, 2 * number + 1, &block(&CONNECT)));
    }
    let (facts, _) = observe(&talk, || usize::MAX, |_, _, _| false);
    assert_eq!((facts.requests, facts.websockets.len(), facts.websockets_not_kept), (1100, facts::MAX_WEBSOCKETS, 76));
}

#[test]
fn what_breaks_the_rules_is_named_and_survived() {
    let talk = Talk::opened()
        .say(ToServer, frame(0, 8, 1, &[9, 1, 2]))
        .say(ToServer, frame(0, 0, 0, b"on no stream"))
        .say(ToServer, frame(9, 4, 1, b""))
        .say(ToClient, frame(1, 0, 1, &[0x82]))
        .say(ToClient, frame(0, 0, 1, b"inside a block"))
        .say(ToServer, frame(0, 0, 1, b"on it goes"));
    let (facts, events) = hear(&talk);
    let oddities: Vec<_> = facts.oddities.iter().map(|&(oddity, _, side)| (oddity, side)).collect();
    let expected = [
        (Oddity::PaddingTooLong, Side::Client),
        (Oddity::FrameMalformed, Side::Client),
        (Oddity::HeaderBlockBroken, Side::Client),
        (Oddity::HeaderBlockBroken, Side::Server),
    ];
    assert_eq!(oddities, expected);
    assert_eq!(events[2..4], ["1 S inside a block", "1 C on it goes"]);
}

#[test]
fn the_preface_is_recognised() {
    assert_eq!(Http2::sniff(PREFACE), Sniff::Yes);
    assert_eq!(Http2::sniff(&[PREFACE, b"more"].concat()), Sniff::Yes);
    for len in 0..PREFACE.len() {
        assert_eq!(Http2::sniff(&PREFACE[..len]), Sniff::Maybe);
    }
    assert_eq!(Http2::sniff(b"PRI / HTTP/1.1"), Sniff::No);
    assert_eq!(Http2::sniff(b"GET /"), Sniff::No);
}

/// A small generator of numbers, the same on every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Two WebSockets and a page, interleaved. Every byte of a WebSocket says where it stands.
fn busy() -> (Talk, [[Vec<u8>; 2]; 2]) {
    let mut seeded = Seeded(99);
    let mut talk = Talk::begun()
        .say(ToServer, frame(1, 4, 1, &block(&CONNECT)))
        .say(ToServer, frame(1, 4, 3, &block(&CONNECT)))
        .say(ToClient, frame(1, 4, 3, &block(&OK)))
        .say(ToClient, frame(1, 4, 1, &[0xbf, 0xbe]))
        .say(ToServer, frame(1, 5, 5, &block(&GET)))
        .say(ToClient, frame(1, 4, 5, &block(&[(":status", "200")])));
    let mut plain: [[Vec<u8>; 2]; 2] = Default::default();
    for _ in 0..120 {
        let direction = Direction::BOTH[seeded.below(2)];
        let len = seeded.below(400);
        match seeded.below(5) {
            4 => talk = talk.say(ToClient, frame(0, 0, 5, &vec![b'p'; len])),
            3 => talk = talk.say(direction, frame(8, 0, 0, &[0, 0, 1, 0])),
            which => {
                let which = which % 2;
                let said = &mut plain[which][direction.index()];
                let bytes: Vec<u8> = (0..len)
                    .map(|at| ((said.len() + at) as u32).wrapping_mul(0x9e37_79b1).to_be_bytes()[which])
                    .collect();
                said.extend_from_slice(&bytes);
                talk = talk.say(direction, frame(0, 0, [1, 3][which], &bytes));
            }
        }
    }
    (talk, plain)
}

#[test]
fn losses_never_make_anything_up() {
    let (talk, plain) = busy();
    let (_, whole) = observe(&talk, || usize::MAX, |_, _, _| false);
    for (plain, stream) in plain.iter().zip([1, 3]) {
        for (index, plain) in plain.iter().enumerate() {
            let heard: Vec<u8> = whole.runs[&(stream, index)].iter().flat_map(|run| run.1.clone().unwrap()).collect();
            assert_eq!(&heard, plain);
        }
    }
    let (mut found, mut exact) = (0, 0);
    for seed in 1..600u64 {
        let (mut cutting, mut losing) = (Seeded(seed * 7919), Seeded(seed * 104_729));
        let (_, heard) =
            observe(&talk, || 1 + cutting.below(600), |_, offset, _| offset > 700 && losing.below(25) == 0);
        for (&(stream, index), runs) in &heard.runs {
            let plain = &plain[usize::from(stream == 3)][index];
            let mut known = true;
            for (offset, bytes, len) in runs {
                match bytes {
                    None => {
                        known &= *len < UNKNOWN_GAP;
                        exact += usize::from(*len < UNKNOWN_GAP);
                    }
                    Some(bytes) if known => {
                        let at = *offset as usize;
                        assert_eq!(plain.get(at..at + bytes.len()), Some(bytes.as_slice()));
                    }
                    Some(bytes) => {
                        found += 1;
                        assert!(plain.windows(bytes.len()).any(|window| window == bytes), "bytes that nobody said");
                    }
                }
            }
        }
    }
    assert!(found > 1000 && exact > 300, "{found} {exact}");
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn junk_is_survived(pieces in proptest::collection::vec((any::<bool>(), 0u8..14, any::<u8>(), 0u32..6, proptest::collection::vec(any::<u8>(), 0..120)), 0..40)) {
            let mut http2 = Http2::new();
            let mut packet = 0;
            for (direction, bytes) in Talk::opened().0 {
                http2.feed(Stamp::default(), direction, StreamEvent::Data { offset: 0, bytes: &bytes }, &mut |_, _, _| {});
            }
            for (to_server, what, flags, stream, body) in pieces {
                packet += 1;
                let direction = if to_server { ToServer } else { ToClient };
                let framed = frame(what, flags, stream, &body);
                let event = match what {
                    0..=10 => StreamEvent::Data { offset: 0, bytes: &framed },
                    11 => StreamEvent::Gap { offset: 0, len: body.len() as u64, cause: GapCause::SnapLength },
                    12 if flags < 8 => StreamEvent::End(End::Rst),
                    _ => StreamEvent::Data { offset: 0, bytes: &body },
                };
                http2.feed(Stamp { packet, at: 0 }, direction, event, &mut |_, _, _| {});
            }
            prop_assert!(http2.into_facts().websockets.len() <= facts::MAX_WEBSOCKETS);
        }

        #[test]
        fn header_blocks_of_junk_are_survived(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..10)) {
            let mut decoder = super::super::hpack::Decoder::default();
            for block in blocks {
                let mut fields = 0;
                let _ = decoder.decode(&block, |_| fields += 1);
                prop_assert!(fields <= block.len());
            }
        }
    }
}
