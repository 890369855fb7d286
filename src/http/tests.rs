//! Dialogues: what is fed, and what is reported.

use super::handshake::{Accept, Draft, Key, Subprotocol, Token, WebSocketVersion};
use super::*;
use crate::stream::{
    Direction::{self, ToClient, ToServer},
    End, GapCause, Stamp, StreamEvent,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A connection under test. Every call to a method is a packet of its own.
struct Talk {
    http: Http,
    events: Vec<HttpEvent>,
    next: [u64; 2],
    packet: u64,
    /// The largest piece in which bytes are fed.
    step: usize,
    /// What came after the switch, in order, with where each direction begins.
    after: Option<After>,
    not_http: u32,
}

struct After {
    to: SwitchTo,
    starts: [Start; 2],
    fed: [Vec<u8>; 2],
    gaps: u64,
    ends: Vec<(Direction, End)>,
}

impl After {
    fn feed(&mut self, direction: Direction, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Data { bytes, .. } => self.fed[direction.index()].extend_from_slice(bytes),
            StreamEvent::Gap { len, .. } => self.gaps += len,
            StreamEvent::End(end) => self.ends.push((direction, end)),
        }
    }
}

impl Talk {
    fn new() -> Self {
        Self::in_steps(usize::MAX)
    }

    fn in_steps(step: usize) -> Self {
        Talk { http: Http::new(), events: Vec::new(), next: [0; 2], packet: 0, step, after: None, not_http: 0 }
    }

    fn event(&mut self, direction: Direction, event: StreamEvent<'_>) {
        let stamp = Stamp { packet: self.packet, at: self.packet as i64 * 1000 };
        if let Some(after) = &mut self.after {
            return after.feed(direction, event);
        }
        match self.http.feed(stamp, direction, event, &mut self.events) {
            Step::More => {}
            Step::NotHttp => self.not_http += 1,
            Step::Switch(switch) => {
                let mut after =
                    After { to: switch.to, starts: switch.starts, fed: [vec![], vec![]], gaps: 0, ends: vec![] };
                for (_, direction, event) in switch.early.events() {
                    after.feed(direction, event);
                }
                if let Some(next) = switch.next {
                    after.feed(direction, next);
                }
                self.after = Some(after);
            }
        }
    }

    fn send(&mut self, direction: Direction, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.packet += 1;
        for piece in bytes.as_ref().chunks(self.step) {
            let offset = self.next[direction.index()];
            self.next[direction.index()] += piece.len() as u64;
            self.event(direction, StreamEvent::Data { offset, bytes: piece });
        }
        self
    }

    fn gap(&mut self, direction: Direction, len: u64) -> &mut Self {
        self.packet += 1;
        let offset = self.next[direction.index()];
        self.next[direction.index()] += len;
        self.event(direction, StreamEvent::Gap { offset, len, cause: GapCause::SnapLength });
        self
    }

    fn end(&mut self, direction: Direction, end: End) -> &mut Self {
        self.packet += 1;
        self.event(direction, StreamEvent::End(end));
        self
    }

    fn exchanges(&self) -> Vec<&Exchange> {
        self.events
            .iter()
            .filter_map(|event| if let HttpEvent::Exchange(it) = event { Some(&**it) } else { None })
            .collect()
    }

    fn only(&self) -> &Exchange {
        let exchanges = self.exchanges();
        assert_eq!(exchanges.len(), 1, "{:#?}", self.events);
        exchanges[0]
    }

    fn facts(&self) -> Vec<&HttpFact> {
        self.events.iter().filter_map(|event| if let HttpEvent::Fact(it) = event { Some(it) } else { None }).collect()
    }

    fn switched(&self) -> &After {
        self.after.as_ref().expect("switched")
    }
}

/// Runs a dialogue whole and cut into pieces of every size up to 20, and demands the same each time.
fn all_ways(dialogue: impl Fn(&mut Talk)) -> Talk {
    let mut whole = Talk::new();
    dialogue(&mut whole);
    for step in 1..=20 {
        let mut cut = Talk::in_steps(step);
        dialogue(&mut cut);
        assert_eq!(cut.events, whole.events, "in pieces of {step}");
        match (&cut.after, &whole.after) {
            (Some(a), Some(b)) => {
                assert_eq!(
                    (&a.to, &a.starts, &a.fed, a.gaps, &a.ends),
                    (&b.to, &b.starts, &b.fed, b.gaps, &b.ends),
                    "{step}"
                );
            }
            (a, b) => assert_eq!(a.is_some(), b.is_some(), "in pieces of {step}"),
        }
        assert_eq!(cut.http.counts(), whole.http.counts());
    }
    whole
}

fn upgrade_with(fields: &str) -> String {
    format!(
        "GET /chat?room=1 HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nOrigin: http://example.org\r\n{fields}\r\n"
    )
}

fn switching_with(fields: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{fields}\r\n"
    )
}

fn request_checks(exchange: &Exchange) -> &handshake::RequestChecks {
    exchange.handshake.as_ref().unwrap().request.as_ref().unwrap()
}

fn response_checks(exchange: &Exchange) -> &handshake::ResponseChecks {
    exchange.handshake.as_ref().unwrap().response.as_ref().unwrap()
}

const PLAIN: &str = "GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_websocket_opens_and_not_a_byte_is_lost() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat, superchat\r\n"))
            .send(ToClient, switching_with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate;client_max_window_bits=12\r\n") + "\x01\x05Hello")
            .send(ToServer, b"\x81\x80abcd");
    });
    let exchange = talk.only();
    assert_eq!(exchange.kind, ExchangeKind::WebSocket);
    assert_eq!(exchange.ended, Ended::Switched { stamp: Stamp { packet: 2, at: 2000 } });
    assert_eq!(exchange.pairing, Pairing::Certain);
    let request = exchange.request.as_ref().unwrap();
    assert_eq!((request.method(), request.target(), request.path()), ("GET", "/chat?room=1", "/chat"));
    assert_eq!((request.host(), request.origin()), (Some("example.org"), Some("http://example.org")));
    assert!(request.subprotocols().eq(["chat", "superchat"]));
    let checks = request_checks(exchange);
    assert_eq!(checks.method_is_get, Some(true));
    assert_eq!((checks.upgrade, checks.connection, checks.host), (Token::Sole, Token::Sole, Presence::One));
    assert_eq!((checks.key, checks.key_is_rfc_sample), (Key::Valid, true));
    assert_eq!((checks.websocket_version, checks.draft), (WebSocketVersion::Rfc6455, None));
    assert_eq!(
        (checks.subprotocols.count, checks.subprotocols.malformed, checks.subprotocols.duplicate),
        (2, false, false)
    );
    let checks = response_checks(exchange);
    assert_eq!((checks.upgrade, checks.connection), (Token::Sole, Token::Sole));
    assert_eq!((&checks.accept, &checks.subprotocol), (&Accept::Valid, &Subprotocol::Selected("chat".into())));
    assert!(checks.violations.is_empty());
    let deflate = Deflate {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 12,
    };
    let after = talk.switched();
    assert_eq!(after.to, SwitchTo::WebSocket { compression: Compression::On(deflate) });
    assert_eq!(after.fed, [b"\x81\x80abcd".to_vec(), b"\x01\x05Hello".to_vec()]);
    assert!(after.starts[0].proven && after.starts[1].proven);
    assert_eq!(after.starts[0].offset, request.head.wire_len);
    assert_eq!(
        talk.events[0],
        HttpEvent::Attempt { kind: ExchangeKind::WebSocket, stamp: Stamp { packet: 1, at: 1000 } }
    );
}

#[test]
fn ordinary_exchanges_are_counted_and_an_upgrade_may_follow() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, PLAIN)
            .send(ToClient, OK)
            .send(ToServer, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
            .send(ToClient, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
            .send(ToServer, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\nxx")
            .send(ToClient, "HTTP/1.1 204 No Content\r\n\r\n")
            .send(ToServer, "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            .send(ToClient, "HTTP/1.1 100 Continue\r\n\r\n")
            .send(
                ToClient,
                "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nno\r\n0\r\nA: b\r\n\r\n",
            )
            .send(ToServer, "GET /y HTTP/1.1\r\nIf-None-Match: x\r\n\r\n")
            .send(ToClient, "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n")
            .send(ToServer, upgrade_with(""))
            .send(ToClient, switching_with(""));
    });
    assert_eq!(talk.only().ended, Ended::Switched { stamp: Stamp { packet: 13, at: 13000 } });
    assert_eq!(talk.switched().to, SwitchTo::WebSocket { compression: Compression::Off });
    let counts = talk.http.counts();
    assert_eq!((counts.requests, counts.responses, counts.by_class), (6, 6, [3, 1, 1, 0]));
    assert!(talk.facts().is_empty());
}

#[test]
fn pipelined_requests_are_paired_in_order() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, [PLAIN, PLAIN, &upgrade_with(""), PLAIN].concat())
            .send(ToClient, [OK, OK].concat())
            .send(ToClient, "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\norigin")
            .send(ToClient, OK);
    });
    let exchange = talk.only();
    assert_eq!((exchange.status(), exchange.body.excerpt.as_slice()), (Some(403), &b"origin"[..]));
    assert_eq!(exchange.early, None);
    let counts = talk.http.counts();
    assert_eq!((counts.requests, counts.responses, counts.unasked), (4, 4, 0));
}

#[test]
fn a_pipelined_attempt_behind_a_refused_one_is_read_too() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with("X-N: 1\r\n") + &upgrade_with("X-N: 2\r\n"))
            .send(ToClient, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 3\r\n\r\n")
            .send(ToClient, switching_with("") + "\x01\x00");
    });
    let exchanges = talk.exchanges();
    assert_eq!(exchanges.iter().map(|it| it.status()).collect::<Vec<_>>(), [Some(503), Some(101)]);
    assert_eq!(exchanges[0].response().unwrap().head.header("retry-after"), Some("3"));
    assert_eq!(exchanges[1].request.as_ref().unwrap().head.header("x-n"), Some("2"));
    assert_eq!(talk.switched().fed[1], b"\x01\x00");
}

#[test]
fn early_client_data_is_a_fact_and_is_handed_over() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with("") + "\x01\x02early")
            .send(ToServer, "more")
            .send(ToClient, switching_with(""))
            .send(ToServer, "late");
    });
    let early = talk.only().early.as_ref().unwrap();
    assert_eq!((early.len, &*early.first_bytes, early.stamp.packet), (11, &b"\x01\x02earlymore"[..], 1));
    assert_eq!(talk.switched().fed[0], b"\x01\x02earlymorelate");
    assert_eq!(talk.switched().starts[0].offset, early.offset);
}

#[test]
fn early_frames_behind_a_refused_attempt_are_no_requests() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with("") + "\x01\x02early")
            .send(ToClient, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(talk.only().early.as_ref().unwrap().len, 7);
    assert!(matches!(talk.facts()[..], [HttpFact::Lost { cause: LostCause::NoStartLine, .. }]));
}

#[test]
fn informational_answers_come_before_the_101() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with("")).send(ToClient, "HTTP/1.1 100 Continue\r\n\r\n").send(
            ToClient,
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_owned() + &switching_with("") + "\x01\x00",
        );
    });
    let exchange = talk.only();
    let interim: Vec<_> = exchange.interim.iter().map(|it| (it.status, it.stamp.packet)).collect();
    assert_eq!(interim, [(100, 2), (103, 3)]);
    assert_eq!((exchange.status(), talk.switched().fed[1].as_slice()), (Some(101), &b"\x01\x00"[..]));
}

#[test]
fn connect_makes_a_tunnel() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, "CONNECT ws.example.org:443 HTTP/1.1\r\nHost: ws.example.org:443\r\n\r\n")
            .send(ToClient, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nno\n")
            .send(ToServer, "CONNECT ws.example.org:443 HTTP/1.1\r\nHost: ws.example.org:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n")
            .send(ToClient, "HTTP/1.1 200 Connection established\r\nContent-Length: 10\r\n\r\ninside")
            .send(ToServer, upgrade_with(""));
    });
    let exchanges = talk.exchanges();
    assert_eq!(
        exchanges.iter().map(|it| (it.kind, it.status())).collect::<Vec<_>>(),
        [(ExchangeKind::Connect, Some(407)), (ExchangeKind::Connect, Some(200))]
    );
    assert_eq!(exchanges[1].request.as_ref().unwrap().target(), "ws.example.org:443");
    assert!(exchanges[1].handshake.is_none());
    assert_eq!((&talk.switched().to, talk.switched().fed[1].as_slice()), (&SwitchTo::Tunnel, &b"inside"[..]));
    // What the stack does: a new observer for the tunnel, offsets going on.
    let mut inner = Talk::new();
    inner.next = [5000, 900];
    inner.send(ToServer, &talk.switched().fed[0]).send(ToClient, switching_with("") + "x");
    assert_eq!(inner.switched().starts[0].offset, 5000 + talk.switched().fed[0].len() as u64);
    assert_eq!(inner.switched().fed[1], b"x");
}

#[test]
fn proxy_protocol_headers_are_passed_over() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, format!("PROXY TCP4 192.0.2.7 198.51.100.9 51000 80\r\n{}", upgrade_with("")))
            .send(ToClient, switching_with(""));
    });
    assert_eq!((talk.only().request.as_ref().unwrap().head.offset, talk.only().status()), (44, Some(101)));
    let talk = all_ways(|talk| {
        let mut bytes =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xc0\0\x02\x07\xc6\x33\x64\x09\xc7\x38\0\x50\x04\0\x02ab".to_vec();
        bytes.extend(upgrade_with("").bytes());
        talk.send(ToServer, bytes).send(ToClient, switching_with(""));
    });
    assert_eq!((talk.only().request.as_ref().unwrap().head.offset, talk.only().status()), (33, Some(101)));
    // A method that begins like the header is none, however it is cut.
    all_ways(|talk| {
        talk.send(ToServer, "PROPFIND / HTTP/1.1\r\n\r\n").send(ToClient, OK);
        assert_eq!((talk.http.counts().responses, talk.http.counts().unasked), (1, 0));
    });
}

#[test]
fn heads_are_read_leniently() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, format!("\r\n\nGET  /chat  HTTP/1.1\nhost:a\nUPGRADE:\tWebSocket\nconnection: keep-alive,\n upgrade\nsec-websocket-key : {KEY}\nnonsense\nX: \u{e4}\nSec-Websocket-version:13\n\n"))
            .send(ToClient, format!("HTTP/1.0  101\nupgrade: WEBSOCKET\nConnection: x, UPGRADE\nsec-websocket-accept: {ACCEPT}\n\n\x01\x00"));
    });
    let exchange = talk.only();
    let request = exchange.request.as_ref().unwrap();
    let checks = request_checks(exchange);
    assert_eq!((checks.upgrade, checks.connection, checks.key), (Token::Sole, Token::Among, Key::Valid));
    assert_eq!(request.target(), "/chat");
    assert_eq!(request.head.header("x"), Some("ä"));
    assert_eq!(
        request.head.deviations,
        Deviations {
            bare_line_feed: true,
            folded_line: true,
            space_before_colon: true,
            malformed_line: true,
            leading_blank_lines: true,
            not_utf8: false,
            refused_by_strict_parser: true,
        }
    );
    let response = exchange.response().unwrap();
    assert_eq!((response.version, response.reason()), (Some(Version::HTTP_10), ""));
    assert_eq!(response_checks(exchange).accept, Accept::Valid);
    assert_eq!(response_checks(exchange).connection, Token::Among);
    assert_eq!(talk.switched().fed[1], b"\x01\x00");
    // Bytes that are no UTF-8 are ISO-8859-1.
    let mut talk = Talk::new();
    let mut bytes = upgrade_with("").into_bytes();
    bytes.splice(5..5, *b"\xe9");
    talk.send(ToServer, bytes).end(ToClient, End::Fin);
    assert_eq!(talk.only().request.as_ref().unwrap().path(), "/éhat".replace('h', "ch").as_str());
    assert!(talk.only().request.as_ref().unwrap().head.deviations.not_utf8);
}

#[test]
fn the_request_s_faults_are_facts() {
    let checks = |bytes: &str| {
        let mut talk = Talk::new();
        talk.send(ToServer, bytes).end(ToClient, End::Fin);
        request_checks(talk.only()).clone()
    };
    let edit = |from: &str, to: &str| checks(&upgrade_with("").replace(from, to));
    assert_eq!(edit("GET", "POST").method_is_get, Some(false));
    assert_eq!(edit("HTTP/1.1", "HTTP/1.0").version, Some(Version::HTTP_10));
    assert_eq!(edit("Host: example.org\r\n", "").host, Presence::Missing);
    assert_eq!(edit("Host: example.org\r\n", "Host: a\r\nHost: b\r\n").host, Presence::Several);
    assert_eq!(edit("Upgrade: websocket\r\n", "").upgrade, Token::Missing);
    assert_eq!(edit("Upgrade: websocket", "Upgrade: h2c").upgrade, Token::Lacking);
    assert_eq!(edit("Upgrade: websocket", "Upgrade: h2c, WebSocket").upgrade, Token::Among);
    assert_eq!(edit("Connection: Upgrade\r\n", "").connection, Token::Missing);
    assert_eq!(edit("Connection: Upgrade", "Connection: close").connection, Token::Lacking);
    assert_eq!(edit("Connection: Upgrade", "Connection: keep-alive, Upgrade").connection, Token::Among);
    assert_eq!(edit(KEY, "test").key, Key::Malformed);
    assert_eq!(edit(&format!("Sec-WebSocket-Key: {KEY}\r\n"), "").key, Key::Missing);
    assert_eq!(edit("Origin", "Sec-WebSocket-Key: x\r\nOrigin").key, Key::Multiple);
    assert!(!edit(KEY, "AAAAAAAAAAAAAAAAAAAAAA==").key_is_rfc_sample);
    assert_eq!(edit("Version: 13", "Version: 8").websocket_version, WebSocketVersion::Other(8));
    assert_eq!(edit("Version: 13", "Version: 8").draft, Some(Draft::Hybi(8)));
    assert_eq!(edit("Version: 13", "Version: x").websocket_version, WebSocketVersion::Malformed);
    assert_eq!(edit("Sec-WebSocket-Version: 13\r\n", "").websocket_version, WebSocketVersion::Missing);
    assert_eq!(edit("Origin", "Sec-WebSocket-Version: 8\r\nOrigin").websocket_version, WebSocketVersion::Multiple);
    assert_eq!(edit("Origin: http://example.org\r\n", "").origin, Presence::Missing);
    let offered = |value: &str| checks(&upgrade_with(&format!("Sec-WebSocket-Protocol: {value}\r\n"))).subprotocols;
    assert!(offered("a, b, a").duplicate);
    assert!(offered("a b").malformed);
    assert!(offered("").malformed);
    assert!(!offered("a,b").malformed && !offered("a,b").duplicate);
    assert!(checks(&upgrade_with("Sec-WebSocket-Extensions: a b\r\n")).extensions_malformed);
    let hixie = "GET /demo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n\r\n^n:ds[4U";
    assert_eq!(checks(hixie).draft, Some(Draft::Hixie76));
    let old =
        "GET /demo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nWebSocket-Protocol: x\r\n\r\n";
    assert_eq!(checks(old).draft, Some(Draft::Hixie75));
}

#[test]
fn the_answer_s_faults_are_facts() {
    let checks = |request: &str, answer: &str| {
        let mut talk = Talk::new();
        talk.send(ToServer, upgrade_with(request)).send(ToClient, answer);
        assert!(matches!(talk.switched().to, SwitchTo::WebSocket { .. }));
        response_checks(talk.only()).clone()
    };
    let good = switching_with("");
    let edit = |from: &str, to: &str| checks("", &good.replace(from, to));
    assert_eq!(edit("Upgrade: websocket\r\n", "").upgrade, Token::Missing);
    assert_eq!(edit("Connection: Upgrade\r\n", "").connection, Token::Missing);
    assert_eq!(edit("Connection: Upgrade", "Connection: close").connection, Token::Lacking);
    assert_eq!(edit(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n"), "").accept, Accept::Absent);
    assert_eq!(edit(ACCEPT, "AAAA").accept, Accept::Mismatch { expected: ACCEPT.into(), found: "AAAA".into() });
    assert_eq!(checks("", &switching_with("Sec-WebSocket-Accept: x\r\n")).accept, Accept::Multiple);
    assert_eq!(edit("HTTP/1.1", "HTTP/1.0").version, Some(Version::HTTP_10));
    let selected = |offer: &str, answer: &str| checks(offer, &switching_with(answer)).subprotocol;
    assert_eq!(selected("", ""), Subprotocol::None);
    assert_eq!(selected("Sec-WebSocket-Protocol: a\r\n", ""), Subprotocol::NoneSelected);
    assert_eq!(
        selected("Sec-WebSocket-Protocol: a\r\n", "Sec-WebSocket-Protocol: A\r\n"),
        Subprotocol::NotOffered("A".into())
    );
    assert_eq!(selected("", "Sec-WebSocket-Protocol: a\r\n"), Subprotocol::NotOffered("a".into()));
    assert_eq!(selected("Sec-WebSocket-Protocol: a\r\n", "Sec-WebSocket-Protocol:\r\n"), Subprotocol::Empty);
    assert_eq!(selected("Sec-WebSocket-Protocol: a, b\r\n", "Sec-WebSocket-Protocol: a, b\r\n"), Subprotocol::Several);
    let framed = checks("", &switching_with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"));
    assert_eq!((framed.content_length, framed.transfer_encoding), (Presence::One, Presence::One));
    let extended = checks("", &switching_with("Sec-WebSocket-Extensions: permessage-foo\r\n"));
    assert_eq!(
        (extended.violations[0].deed, &*extended.violations[0].name),
        (Deed::ExtensionNotOffered, "permessage-foo")
    );
    assert_eq!(extended.compression, Compression::Off);
}

#[test]
fn refusals_keep_the_beginning_of_their_body() {
    let long = "x".repeat(3000);
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with(""))
            .send(ToClient, format!("HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nInvalid\r\nbb8\r\n{long}\r\n0\r\n\r\n"));
    });
    let exchange = talk.only();
    assert_eq!((exchange.body.len, exchange.body.excerpt.len()), (3007, MAX_EXCERPT));
    assert!(exchange.body.excerpt.starts_with(b"Invalidxxx"));
    assert_eq!(exchange.ended, Ended::Complete { stamp: Stamp { packet: 2, at: 2000 } });
    // Without a length, up to the end of the stream.
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with(""))
            .send(ToClient, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>")
            .send(ToClient, "HTTP/1.1 200 is text here")
            .end(ToClient, End::Fin);
    });
    assert_eq!(talk.only().body.len, 31);
    assert!(matches!(talk.only().ended, Ended::Complete { .. }));
    // Cut off.
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with(""))
            .send(ToClient, "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n<html>")
            .end(ToServer, End::Fin)
            .end(ToClient, End::Rst);
    });
    assert!(matches!(talk.only().ended, Ended::Cut { at: CutAt::InBody, by: End::Rst, .. }));
}

#[test]
fn attempts_that_end_without_an_answer() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with("")).end(ToServer, End::Fin).end(ToClient, End::Fin);
    });
    assert_eq!(talk.only().answer, Answer::Nothing);
    assert!(matches!(talk.only().ended, Ended::Cut { at: CutAt::BeforeAnswer, by: End::Fin, .. }));
    assert!(talk.only().handshake.as_ref().unwrap().response.is_none());
    // In the middle of the status line, and of the fields.
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with("")).send(ToClient, "HTTP/1.1 10").end(ToClient, End::Fin);
    });
    let Answer::Fragment(fragment) = &talk.only().answer else { panic!() };
    assert_eq!(&*fragment.bytes, b"HTTP/1.1 10");
    let talk = all_ways(|talk| {
        talk.send(ToServer, upgrade_with(""))
            .send(ToClient, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConn")
            .end(ToClient, End::Fin);
    });
    let exchange = talk.only();
    assert!(talk.after.is_none(), "a 101 that its sender never ended switches nothing");
    assert_eq!(
        (exchange.status(), exchange.ended),
        (Some(101), Ended::Cut { at: CutAt::InHead, by: End::Fin, stamp: Stamp { packet: 3, at: 3000 } })
    );
    assert_eq!(response_checks(exchange).upgrade, Token::Sole);
    assert_eq!(
        (response_checks(exchange).connection, &response_checks(exchange).accept),
        (Token::Unknown, &Accept::Unknown)
    );
    // The request itself is cut.
    let talk = all_ways(|talk| {
        talk.send(ToServer, "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nHos")
            .end(ToServer, End::Rst)
            .end(ToClient, End::Rst);
    });
    assert_eq!(talk.only().request.as_ref().unwrap().head.completeness, Completeness::CutInFields);
    assert_eq!((request_checks(talk.only()).host, request_checks(talk.only()).key), (Presence::Unknown, Key::Unknown));
}

#[test]
fn foreign_answers() {
    for (bytes, kind) in [
        (&b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..], ForeignKind::Ssh),
        (b"\x15\x03\x01\x00\x02\x02\x46", ForeignKind::TlsAlert { level: 2, description: 70 }),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", ForeignKind::Http2),
        (b"<html>hello</html>", ForeignKind::Text),
        (b"HTTP/1.1 abc\r\n\r\n", ForeignKind::Text),
        (b"\xff\xfe\xfd\xfc\xfb\xfa\xf9", ForeignKind::Binary),
        (&[0x81; 200], ForeignKind::Binary),
    ] {
        let talk = all_ways(|talk| {
            talk.send(ToServer, upgrade_with("")).send(ToClient, bytes).end(ToClient, End::Fin);
        });
        let Answer::Foreign(foreign) = &talk.only().answer else { panic!("{:?}", talk.events) };
        assert_eq!((&*foreign.bytes, foreign.kind()), (&bytes[..bytes.len().min(MAX_FOREIGN)], kind));
        assert_eq!((foreign.stamp.packet, foreign.offset), (2, 0));
    }
    // A server that speaks first.
    let mut talk = Talk::new();
    talk.send(ToClient, "SSH-2.0-x\r\n");
    assert_eq!(talk.not_http, 1);
    talk.send(ToServer, upgrade_with("")).end(ToClient, End::Fin);
    assert!(matches!(&talk.only().answer, Answer::Foreign(foreign) if foreign.kind() == ForeignKind::Ssh));
    // A client that speaks something else.
    let mut talk = Talk::new();
    talk.send(ToServer, b"\x16\x03\x01\x02\x00\x01\x00");
    assert_eq!(talk.not_http, 1);
    assert!(
        matches!(talk.facts()[..], [HttpFact::NotHttp { direction: ToServer, foreign }] if foreign.kind() == ForeignKind::Tls)
    );
}

#[test]
fn telling_answers_to_ordinary_requests_are_kept() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, PLAIN)
            .send(ToClient, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 9\r\n\r\nwebsocket")
            .send(ToServer, PLAIN)
            .send(ToClient, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    let exchange = talk.only();
    assert_eq!((exchange.kind, exchange.status()), (ExchangeKind::Plain, Some(426)));
    assert_eq!(exchange.request.as_ref().unwrap().target(), "/index.html");
    assert_eq!((exchange.body.excerpt.as_slice(), exchange.handshake.is_none()), (&b"websocket"[..], true));
    // An answer to nothing, as a proxy gives to an idle connection; and no more than so many of them.
    let mut talk = Talk::new();
    for _ in 0..10 {
        talk.send(ToClient, "HTTP/1.0 408 Request Time-out\r\nContent-Length: 0\r\n\r\n");
    }
    assert_eq!((talk.exchanges().len(), talk.http.counts().unasked), (MAX_PLAIN as usize, 10));
    assert!(talk.exchanges()[0].request.is_none());
    // A head longer than what is kept of it.
    let mut talk = Talk::new();
    talk.send(ToServer, format!("GET /a HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(600)));
    talk.send(ToClient, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
    let head = &talk.only().request.as_ref().unwrap().head;
    assert_eq!(
        (head.completeness, head.header("host"), head.header("x")),
        (Completeness::CutInFields, Some("a"), None)
    );
}

#[test]
fn other_upgrades() {
    let talk = all_ways(|talk| {
        talk.send(
            ToServer,
            "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        )
        .send(ToClient, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\x01\x02")
        .send(ToServer, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    });
    assert_eq!((talk.only().kind, &talk.switched().to), (ExchangeKind::Upgrade, &SwitchTo::Other("h2c".into())));
    assert!(talk.switched().fed[0].starts_with(b"PRI"));
    // Ignored by the server, the connection goes on.
    let talk = all_ways(|talk| {
        talk.send(ToServer, "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            .send(ToClient, OK)
            .send(ToServer, upgrade_with(""))
            .send(ToClient, switching_with(""));
    });
    assert_eq!(talk.exchanges().iter().map(|it| it.status()).collect::<Vec<_>>(), [Some(200), Some(101)]);
}

#[test]
fn a_request_stripped_of_its_upgrade_is_an_attempt() {
    let talk = all_ways(|talk| {
        talk.send(ToServer, format!("GET /ws HTTP/1.0\r\nHost: app\r\nConnection: close\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"))
            .send(ToClient, "HTTP/1.1 426 Upgrade Required\r\n\r\nUpgrade Required")
            .end(ToClient, End::Fin);
    });
    let checks = request_checks(talk.only());
    assert_eq!(
        (checks.upgrade, checks.connection, checks.version),
        (Token::Missing, Token::Lacking, Some(Version::HTTP_10))
    );
    assert_eq!(talk.only().body.excerpt, b"Upgrade Required");
}

#[test]
fn gaps_within_bodies_are_skipped() {
    let mut talk = Talk::new();
    talk.send(ToServer, "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc").gap(ToServer, 97);
    talk.send(ToClient, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab").gap(ToClient, 98);
    talk.send(ToServer, upgrade_with(""))
        .send(ToClient, "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nab");
    talk.gap(ToClient, 98)
        .send(ToClient, "\r\n0\r\n\r\n")
        .send(ToServer, upgrade_with(""))
        .send(ToClient, switching_with(""));
    assert!(talk.facts().is_empty());
    let exchanges = talk.exchanges();
    assert_eq!(
        (exchanges[0].body.len, exchanges[0].body.missing, exchanges[0].body.excerpt.as_slice()),
        (100, 98, &b"ab"[..])
    );
    assert_eq!((exchanges[1].status(), exchanges[1].pairing), (Some(101), Pairing::Certain));
}

#[test]
fn behind_a_gap_only_a_whole_start_line_restarts() {
    let mut talk = Talk::new();
    talk.send(ToServer, PLAIN).send(ToClient, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab").gap(ToClient, 50);
    talk.send(ToClient, "ength: 4\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").send(ToClient, "HTTP/1.1");
    assert!(matches!(
        talk.facts()[..],
        [HttpFact::Lost { direction: ToClient, cause: LostCause::Gap(GapCause::SnapLength), .. }]
    ));
    talk.send(ToServer, upgrade_with("")).send(ToClient, switching_with("").replace(ACCEPT, "wrong"));
    assert!(matches!(talk.facts()[1], HttpFact::Restarted { direction: ToClient, .. }));
    let exchange = talk.only();
    assert_eq!(exchange.pairing, Pairing::Inferred);
    // The answer may belong to another request: no mismatch is claimed.
    assert_eq!(response_checks(exchange).accept, Accept::Unknown);
    // The client's direction.
    let mut talk = Talk::new();
    talk.gap(ToServer, 10)
        .send(ToServer, "rest\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        .send(ToServer, upgrade_with(""))
        .send(ToClient, switching_with(""));
    assert_eq!(talk.facts().len(), 2);
    assert_eq!(response_checks(talk.only()).accept, Accept::Valid);
}

#[test]
fn a_handshake_cut_by_the_snap_length_switches_and_claims_nothing() {
    let mut talk = Talk::new();
    talk.send(ToServer, "GET /chat HTTP/1.1\r\nHost: 10.1").gap(ToServer, 400);
    talk.send(ToClient, "HTTP/1.1 101 Switching Proto").gap(ToClient, 100).send(ToClient, b"\x81\x05Hello");
    let exchange = talk.only();
    assert_eq!((exchange.kind, exchange.status()), (ExchangeKind::Unknown, Some(101)));
    let request = exchange.request.as_ref().unwrap();
    assert_eq!((request.path(), request.host(), request.head.completeness), ("/chat", None, Completeness::CutInFields));
    let (ours, theirs) = (request_checks(exchange), response_checks(exchange));
    assert_eq!((ours.host, ours.upgrade, ours.key), (Presence::Unknown, Token::Unknown, Key::Unknown));
    assert_eq!(ours.websocket_version, WebSocketVersion::Unknown);
    assert_eq!(
        (theirs.upgrade, &theirs.accept, &theirs.subprotocol),
        (Token::Unknown, &Accept::Unknown, &Subprotocol::Unknown)
    );
    assert_eq!((theirs.compression, theirs.violations.len()), (Compression::Unknown, 0));
    let after = talk.switched();
    assert_eq!((&after.to, after.fed[1].as_slice()), (&SwitchTo::Unknown, &b"\x81\x05Hello"[..]));
    assert_eq!(after.starts, [Start { offset: 430, proven: false }, Start { offset: 128, proven: false }]);
    // The client goes on first, or the capture ends.
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with("")).send(ToClient, "HTTP/1.1 101 Switching Proto").gap(ToClient, 100);
    talk.send(ToServer, b"\x81\x80abcd");
    assert_eq!(talk.switched().fed[0], b"\x81\x80abcd");
    assert_eq!(talk.switched().to, SwitchTo::WebSocket { compression: Compression::Unknown });
    assert!(talk.switched().starts[0].proven && !talk.switched().starts[1].proven);
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with(""))
        .send(ToClient, "HTTP/1.1 101 Switching Proto")
        .gap(ToClient, 100)
        .end(ToClient, End::CaptureEnd);
    assert_eq!(talk.switched().ends, [(ToClient, End::CaptureEnd)]);
}

#[test]
fn the_end_of_a_cut_head_is_found_when_it_can_be_proved() {
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with("").split_at(60).0).gap(ToServer, 40);
    talk.send(ToServer, "WebSocket-Version: 13\r\nOrigin: x\r\n\r\n").send(ToServer, "\x01early");
    talk.send(ToClient, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs").gap(ToClient, 20);
    talk.send(ToClient, "Accept: abc=\r\n").send(ToClient, "Server: x\r\n\r\n\x01\x02hi");
    let after = talk.switched();
    assert!(after.starts[0].proven && after.starts[1].proven);
    assert_eq!(after.fed, [b"\x01early".to_vec(), b"\x01\x02hi".to_vec()]);
    // A refusal goes on in its body.
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with(""))
        .send(ToClient, "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nX")
        .gap(ToClient, 20);
    talk.send(ToClient, "x\r\nY: z\r\n\r\nno!");
    assert_eq!((talk.only().body.excerpt.as_slice(), talk.facts().len()), (&b"no!"[..], 0));
    assert!(matches!(talk.only().ended, Ended::Complete { .. }));
    // Without a proof nothing is taken for its body.
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with(""))
        .send(ToClient, "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nX")
        .gap(ToClient, 20);
    talk.send(ToClient, "<html>\r\n\r\n").end(ToClient, End::Fin);
    assert_eq!((talk.only().status(), talk.only().body.len), (Some(403), 0));
    assert!(matches!(talk.only().ended, Ended::Lost { at: CutAt::InHead, .. }));
    // An HTTP answer right behind the cut 101 belongs to the next layer.
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with("")).send(ToClient, "HTTP/1.1 101 Switching Proto").gap(ToClient, 100);
    talk.send(ToClient, "HTTP/1.1 500 Internal\r\nX: y\r\n\r\n");
    assert!(talk.switched().fed[1].starts_with(b"HTTP/1.1 500"));
}

#[test]
fn an_answer_that_was_not_captured() {
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with(""));
    assert!(!talk.http.answer_lost() && talk.exchanges().is_empty());
    talk.gap(ToClient, 200).send(ToServer, b"\x81\x80abcd");
    assert!(talk.http.answer_lost());
    let mut events = Vec::new();
    let switch = talk.http.switch_unseen(Stamp { packet: 9, at: 9 }, &mut events).unwrap();
    assert_eq!(switch.to, SwitchTo::WebSocket { compression: Compression::Unknown });
    assert_eq!(switch.early.events().count(), 1);
    assert_eq!(switch.starts[1], Start { offset: 200, proven: false });
    let [HttpEvent::Exchange(exchange)] = &events[..] else { panic!() };
    assert_eq!(exchange.answer, Answer::NotCaptured);
    assert_eq!(talk.http.switch_unseen(Stamp::default(), &mut events), None);
    // A client that goes on with HTTP was refused.
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with("")).gap(ToClient, 200).send(ToServer, PLAIN).send(ToClient, OK);
    assert_eq!(talk.only().answer, Answer::NotCaptured);
    assert_eq!((talk.http.counts().responses, talk.http.counts().unasked), (1, 0));
}

#[test]
fn bounds_are_kept_and_said() {
    let mut talk = Talk::new();
    talk.send(ToServer, format!("GET / HTTP/1.1\r\nUpgrade: websocket\r\nX: {}", "x".repeat(MAX_HEAD)));
    talk.send(ToServer, "\r\n\r\n").send(ToClient, "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(talk.facts()[..], [HttpFact::HeadTooLarge { direction: ToServer, .. }]));
    assert_eq!((talk.only().status(), talk.only().kind), (Some(431), ExchangeKind::WebSocket));

    let mut talk = Talk::new();
    for _ in 0..MAX_PENDING + 3 {
        talk.send(ToServer, PLAIN);
    }
    assert!(matches!(talk.facts()[..], [HttpFact::TooManyPending { .. }]));

    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with(""));
    for _ in 0..40 {
        talk.send(ToServer, [0x82; 4096]);
    }
    talk.send(ToClient, switching_with(""));
    assert!(matches!(talk.facts()[..], [HttpFact::EarlyDataTooLarge { .. }]));
    assert_eq!(talk.only().early.as_ref().unwrap().len, 40 * 4096);
    assert_eq!((talk.switched().fed[0].len(), talk.switched().gaps), (MAX_EARLY, 40 * 4096 - MAX_EARLY as u64));

    // Many tiny pieces with gaps between them do not grow without end either.
    let mut talk = Talk::new();
    talk.send(ToServer, upgrade_with(""));
    for _ in 0..5000 {
        talk.send(ToServer, "x").gap(ToServer, 1);
    }
    talk.send(ToClient, switching_with(""));
    assert_eq!(talk.switched().fed[0].len() as u64 + talk.switched().gaps, 10_000);
    assert!(talk.switched().fed[0].len() < 1000);
}

#[test]
fn refused_one_after_another_while_held() {
    // Many held attempts, and a server that ends without a word: each is reported, nothing recurses.
    let mut talk = Talk::new();
    let attempt = "GET / HTTP/1.1\nUpgrade: x\n\n";
    talk.send(ToServer, attempt.repeat(1000)).end(ToServer, End::Fin).end(ToClient, End::Fin);
    assert_eq!(talk.exchanges().len(), 1000);
    assert!(talk.exchanges().iter().all(|exchange| exchange.answer == Answer::Nothing));
}

#[test]
fn http2_is_not_taken_for_http() {
    for step in [1, 7, usize::MAX] {
        let mut talk = Talk::in_steps(step);
        talk.send(ToServer, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(ToClient, b"\0\0\0\x04\0\0\0\0\0");
        assert_eq!((talk.not_http, talk.http.counts().requests), (2, 0));
    }
}

#[test]
fn waiting_heads_stay_within_bounds() {
    // Every request is cut by a gap and followed by another: all wait, and what is kept of them is bounded.
    let mut talk = Talk::new();
    for _ in 0..MAX_PENDING {
        talk.send(ToServer, format!("GET / HTTP/1.1\r\nUpgrade: websocket\r\nX: {}\r\nY", "x".repeat(20_000)));
        talk.gap(ToServer, 10);
    }
    talk.end(ToServer, End::Fin).end(ToClient, End::Fin);
    let lens: Vec<usize> = talk.exchanges().iter().map(|it| it.request.as_ref().unwrap().head.text().len()).collect();
    assert_eq!(lens.len(), MAX_PENDING);
    assert!(lens[..4].iter().all(|&len| len > 20_000) && lens[4..].iter().all(|&len| len <= 2048), "{lens:?}");
}

#[test]
fn it_is_small() {
    assert!(size_of::<Http>() <= 512, "{}", size_of::<Http>());
    assert!(size_of::<Exchange>() <= 512, "{}", size_of::<Exchange>());
    assert!(size_of::<HttpEvent>() <= 56, "{}", size_of::<HttpEvent>());
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        Send(Direction, Vec<u8>),
        Gap(Direction, u64),
        End(Direction, End),
    }

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![Just(ToServer), Just(ToClient)]
    }

    /// Bytes that are HTTP often enough to reach every state.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            PLAIN,
            OK,
            "GET / HTTP/1.1\r\n",
            "CONNECT a:1 HTTP/1.1\r\n",
            "HTTP/1.1 101 x\r\n",
            "HTTP/1.1 200 \r\n",
            "HTTP/1.0 407 x\r\n",
            "HTTP/1.1 100 c\r\n",
            "Upgrade: websocket\r\n",
            "Sec-WebSocket-Key: x\r\n",
            "Sec-WebSocket-Key1: x\r\n",
            "Content-Length: 7\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "Transfer-Encoding: chunked\r\n",
            "\r\n",
            "\n",
            " folded\r\n",
            "5\r\nhello\r\n",
            "0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0cabcdefghijkl",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"1\\0\"\r\n",
            "\x01\x05hello",
        ];
        let word = prop_oneof![
            8 => proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
            2 => proptest::collection::vec(any::<u8>(), 0..40),
        ];
        proptest::collection::vec(word, 0..8).prop_map(|words| words.concat())
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            10 => (direction(), bytes()).prop_map(|(direction, bytes)| Act::Send(direction, bytes)),
            2 => (direction(), prop_oneof![0u64..60, Just(u64::MAX / 64)]).prop_map(|(direction, len)| Act::Gap(direction, len)),
            1 => (direction(), prop_oneof![Just(End::Fin), Just(End::Rst), Just(End::CaptureEnd)])
                .prop_map(|(direction, end)| Act::End(direction, end)),
        ]
    }

    fn run(talk: &mut Talk, acts: &[Act]) {
        for act in acts {
            match act {
                Act::Send(direction, bytes) => talk.send(*direction, bytes),
                Act::Gap(direction, len) => talk.gap(*direction, *len),
                Act::End(direction, end) => talk.end(*direction, *end),
            };
        }
        talk.end(ToServer, End::CaptureEnd).end(ToClient, End::CaptureEnd);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn anything_may_come(acts in proptest::collection::vec(act(), 0..12), step in 1usize..70) {
            let mut talk = Talk::in_steps(step);
            run(&mut talk, &acts);
            for exchange in talk.exchanges() {
                prop_assert!(exchange.body.excerpt.len() <= MAX_EXCERPT);
                prop_assert!(exchange.interim.len() <= MAX_INTERIM);
            }
        }

        /// Without gaps, how bytes are cut changes nothing but how much of something foreign is shown.
        #[test]
        fn cutting_changes_nothing(acts in proptest::collection::vec(act(), 0..10), step in 1usize..30) {
            let acts: Vec<Act> = acts.into_iter().filter(|act| matches!(act, Act::Send(..))).collect();
            let (mut whole, mut cut) = (Talk::new(), Talk::in_steps(step));
            run(&mut whole, &acts);
            run(&mut cut, &acts);
            let lost = |talk: &Talk| {
                talk.facts().iter().any(|fact| matches!(fact, HttpFact::Lost { .. } | HttpFact::NotHttp { .. }))
                    || talk.exchanges().iter().any(|exchange| matches!(exchange.answer, Answer::Foreign(_)))
            };
            // A lost direction restarts where an event begins, which cutting moves.
            prop_assert_eq!(lost(&whole), lost(&cut));
            if !lost(&whole) {
                prop_assert_eq!(&whole.events, &cut.events);
                prop_assert_eq!(whole.http.counts(), cut.http.counts());
                prop_assert_eq!(whole.after.is_some(), cut.after.is_some());
                if let (Some(a), Some(b)) = (&whole.after, &cut.after) {
                    prop_assert_eq!((&a.fed, &a.starts), (&b.fed, &b.starts));
                }
            }
        }

        /// What follows a switch is exactly what was sent behind the heads.
        #[test]
        fn nothing_is_lost_at_a_switch(early in proptest::collection::vec(any::<u8>(), 0..200),
                                       behind in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..300) {
            let mut talk = Talk::in_steps(step);
            let mut request = upgrade_with("").into_bytes();
            request.extend(&early);
            let mut answer = switching_with("").into_bytes();
            answer.extend(&behind);
            talk.send(ToServer, request).send(ToClient, answer);
            prop_assert_eq!(&talk.switched().fed, &[early, behind]);
        }

        #[test]
        fn lists_and_negotiations_never_panic(offer in "[a-z;=,\" \\\\0-9é_-]{0,60}", answer in "[a-z;=,\" \\\\0-9_-]{0,60}") {
            let offers = extension::ExtensionList::parse([offer.as_str()].into_iter());
            let answers = extension::ExtensionList::parse([answer.as_str()].into_iter());
            let _ = deflate::negotiate(&offers, true, &answers, true);
        }

        /// The strict parser and the lenient reader see the same fields in what both accept.
        #[test]
        fn both_readers_agree(bytes in bytes()) {
            let mut space = [httparse::EMPTY_HEADER; 96];
            let mut parsed = httparse::Request::new(&mut space);
            if let Ok(httparse::Status::Complete(end)) = parsed.parse(&bytes) {
                let skip = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                let head = Head::store(&bytes[skip..end], Completeness::Complete, &head::HeadPlace::default());
                let head = RequestHead::new(head);
                let text = |bytes: &[u8]| -> String {
                    if head.head.deviations.not_utf8 {
                        bytes.iter().map(|&byte| char::from(byte)).collect()
                    } else {
                        String::from_utf8(bytes.to_vec()).unwrap()
                    }
                };
                prop_assert_eq!(Some(head.method()), parsed.method);
                prop_assert_eq!(head.target(), text(parsed.path.unwrap().as_bytes()));
                let ours: Vec<_> = head.head.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                let theirs: Vec<_> = parsed.headers.iter().map(|it| (it.name.to_owned(), text(it.value))).collect();
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}

#[test]
fn a_host_is_told_from_its_port() {
    let hosts = ["a.example:80", "a.example", "[::1]:8080", "[::1]", "127.0.0.1:1", ":80", "["];
    assert_eq!(hosts.map(without_port), ["a.example", "a.example", "[::1]", "[::1]", "127.0.0.1", "", "["]);
}
