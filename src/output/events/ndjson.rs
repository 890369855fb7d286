//! The event stream: one JSON object per line, each readable on its own.
//!
//! Most lines are made with serde. The `frame` line is made by hand, because a capture has millions of
//! them: [`frame_line`] writes the same bytes as serde would, without allocating.
//!
//! Where a frame is seen, nobody yet knows which number its connection will have in the output. So a shard makes the
//! line without its connection ([`frame_line`], [`message_line`]), and [`append_bound`] completes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;

use super::tracker::{ClosedEntry, FoundFinding};
use crate::output::json::escape::append_text;
use crate::output::json::{append, append_connection, append_finding};
use crate::output::model::{Capture, Connection, Endpoint, Finding, Http, Millis, Side, Summary, Text, Time};
use crate::output::redact::Redactor;
use crate::output::time::{TIME_LEN, decimal};
use crate::websocket;

/// Which connection a line belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Binding {
    /// Id of the connection.
    pub connection: u64,
    /// Community ID version 1 with seed 0, as Zeek and Suricata write it.
    pub community_id: String,
    /// Equals Wireshark's `tcp.stream` for the same file.
    pub tcp_stream: u64,
}

/// One line of the event stream.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event")]
pub enum Event<'a> {
    /// A connection that will be reported was recognised.
    #[serde(rename = "connection.opened")]
    ConnectionOpened(Opened),
    /// The opening handshake is complete, one way or the other.
    #[serde(rename = "handshake")]
    Handshake(Box<Handshake<'a>>),
    /// One frame.
    #[serde(rename = "frame")]
    Frame(Frame),
    /// One complete message.
    #[serde(rename = "message")]
    Message(Message),
    /// A connection ended, or the capture did.
    #[serde(rename = "connection.closed")]
    ConnectionClosed(Box<Closed<'a>>),
    /// A finding.
    #[serde(rename = "finding")]
    Finding(Box<Found<'a>>),
    /// Live: how the capture goes, every second.
    #[serde(rename = "stats")]
    Stats(Stats),
    /// The last line.
    #[serde(rename = "capture.end")]
    CaptureEnd(Box<CaptureEnd>),
}

/// A connection that will be reported was recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Opened {
    /// Time of its first packet.
    pub time: Time,
    /// Which connection.
    #[serde(flatten)]
    pub binding: Binding,
    /// HTTP/2 stream that carries it; left out for HTTP/1.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http2_stream: Option<u32>,
    /// The end that opened the connection.
    pub client: Endpoint,
    /// The end that was called.
    pub server: Endpoint,
    /// Number of its first packet.
    pub first_packet: u64,
}

/// The opening handshake.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Handshake<'a> {
    /// When it was complete.
    pub time: Time,
    /// Which connection.
    #[serde(flatten)]
    pub binding: Binding,
    /// Request and response, as in the document.
    #[serde(flatten)]
    pub http: Http<'a>,
}

/// One frame, bound to its connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Frame {
    /// Time of the packet with its last byte.
    pub time: Time,
    /// Which connection.
    #[serde(flatten)]
    pub binding: Binding,
    /// The packet with its last byte.
    pub packet: u64,
    /// Who sent it.
    pub from: Side,
    /// FIN bit: last frame of its message.
    pub fin: bool,
    /// Reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    #[schemars(range(max = 7))]
    pub rsv: u8,
    /// Opcode.
    #[schemars(range(max = 15))]
    pub opcode: u8,
    /// Name of the opcode: `continuation`, `text`, `binary`, `close`, `ping`, `pong` or `unknown-N`.
    pub opcode_name: String,
    /// MASK bit.
    pub masked: bool,
    /// Payload length in bytes.
    pub length: u64,
    /// Status code of a Close frame; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_code: Option<u16>,
}

/// One complete message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Message {
    /// Time of the packet that completed it.
    pub time: Time,
    /// Which connection.
    #[serde(flatten)]
    pub binding: Binding,
    /// The packet that completed it.
    pub packet: u64,
    /// Who sent it.
    pub from: Side,
    /// What it carries.
    pub kind: MessageKind,
    /// Length in bytes, decompressed; left out when it could not be decompressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Length on the wire in bytes, when it was compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compressed_length: Option<u64>,
    /// The text, on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes in base64, on request, when they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// True when only the beginning is shown, or nothing, because it is too long; absent otherwise.
    #[serde(default, skip_serializing_if = "crate::output::model::is_false")]
    pub truncated: bool,
}

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// A connection ended, or the capture did.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Closed<'a> {
    /// When it ended.
    pub time: Time,
    /// Its id.
    pub connection: u64,
    /// All that is known of it, as in the document; `findings` counts the `finding` lines from 0.
    #[serde(flatten)]
    pub record: Connection<'a>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Found<'a> {
    /// Time of its last evidence.
    pub time: Time,
    /// Id of the connection, when it is about one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// Community ID of that connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_id: Option<String>,
    /// `tcp.stream` of that connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_stream: Option<u64>,
    /// Lasting name of its rule, such as `upgrade-stripped`.
    pub slug: Text<'a>,
    /// What its rule is about, in one sentence.
    pub title: Text<'a>,
    /// The finding, as in the document.
    #[serde(flatten)]
    pub finding: Finding<'a>,
}

/// How the capture goes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Stats {
    /// Capture time.
    pub time: Time,
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far, as on the wire.
    pub bytes: u64,
    /// Packets that the capturing machine reports as dropped so far; left out when it reports nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_dropped: Option<u64>,
    /// TCP connections seen so far.
    pub tcp_connections: u64,
    /// WebSockets open now.
    pub websockets_open: u64,
    /// Frames so far.
    pub frames: u64,
    /// Since the capture began, in milliseconds.
    pub uptime_ms: Millis,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CaptureEnd {
    /// Time of the last packet; left out when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// What was read, as in the document.
    pub capture: Capture,
    /// The whole in numbers, as in the document.
    pub summary: Summary,
}

/// Appends the line of an event.
pub fn append_event(out: &mut Vec<u8>, event: &Event<'_>) {
    append(out, event);
    out.push(b'\n');
}

/// What a `connection.closed` line begins with.
#[derive(Serialize)]
struct ClosedHead {
    event: &'static str,
    time: Time,
    connection: u64,
}

/// Appends a `connection.closed` line: that of [`Event::ConnectionClosed`].
pub(super) fn append_closed(out: &mut Vec<u8>, closed: &ClosedEntry<'_>) {
    let mut head = Vec::new();
    append(&mut head, &ClosedHead { event: "connection.closed", time: closed.time, connection: closed.id });
    append_connection(
        out,
        &head,
        (closed.id, closed.tcp_stream),
        closed.verdict,
        closed.body,
        closed.root_cause.as_ref(),
        &closed.findings,
    );
    out.push(b'\n');
}

/// What a `finding` line begins with.
#[derive(Serialize)]
struct FoundHead<'a> {
    event: &'static str,
    time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_stream: Option<u32>,
    slug: &'a str,
    title: &'a str,
}

/// Appends a `finding` line: that of [`Event::Finding`].
pub(super) fn append_found(out: &mut Vec<u8>, found: &FoundFinding<'_>) {
    let mut head = Vec::new();
    append(
        &mut head,
        &FoundHead {
            event: "finding",
            time: found.time,
            connection: found.about.map(|about| about.connection),
            community_id: found.about.map(|about| about.community_id.as_str()),
            tcp_stream: found.about.map(|about| about.tcp_stream),
            slug: found.rule.slug,
            title: found.rule.title,
        },
    );
    append_finding(out, &head, found.body, found.connections);
    out.push(b'\n');
}

/// What is known of a frame where it is seen, ready to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLine {
    /// Time of the packet with its last byte.
    pub time: Time,
    /// The packet with its last byte.
    pub packet: u64,
    /// Who sent it.
    pub from: Side,
    /// FIN bit.
    pub fin: bool,
    /// Reserved bits, RSV1 is 4.
    pub rsv: u8,
    /// Opcode, 0 to 15.
    pub opcode: u8,
    /// MASK bit.
    pub masked: bool,
    /// Payload length in bytes.
    pub length: u64,
    /// Status code of a Close frame.
    pub close_code: Option<u16>,
}

impl FrameLine {
    /// The line of a frame.
    #[must_use]
    pub fn of(frame: &websocket::Frame) -> Self {
        Self {
            time: Time(frame.last.at),
            packet: frame.last.packet,
            from: frame.direction.sender().into(),
            fin: frame.fin,
            rsv: frame.rsv,
            opcode: frame.opcode,
            masked: frame.masked(),
            length: frame.length,
            close_code: frame.close_code,
        }
    }
}

/// Name of an opcode (RFC 6455 §5.2).
#[must_use]
pub const fn opcode_name(opcode: u8) -> &'static str {
    const NAMES: [&str; 16] = [
        "continuation",
        "text",
        "binary",
        "unknown-3",
        "unknown-4",
        "unknown-5",
        "unknown-6",
        "unknown-7",
        "close",
        "ping",
        "pong",
        "unknown-11",
        "unknown-12",
        "unknown-13",
        "unknown-14",
        "unknown-15",
    ];
    NAMES[(opcode & 15) as usize]
}

const HEAD: &[u8] = br#"{"event":"frame","time":""#;
const HEAD_END: &[u8] = b"\",";

/// Appends the beginning of a line that [`append_bound`] completes: its length in one byte, event and time.
fn append_head(out: &mut Vec<u8>, event: &'static [u8], time: Time) {
    let mut text = [0; TIME_LEN];
    time.write(&mut text);
    out.push((event.len() + TIME_LEN + HEAD_END.len()) as u8);
    out.extend_from_slice(event);
    out.extend_from_slice(&text);
    out.extend_from_slice(HEAD_END);
}

/// Appends a `frame` line without its connection, for [`append_bound`].
pub fn frame_line(out: &mut Vec<u8>, frame: &FrameLine) {
    append_head(out, HEAD, frame.time);
    out.extend_from_slice(br#""packet":"#);
    decimal(out, frame.packet);
    out.extend_from_slice(match (frame.from, frame.fin) {
        (Side::Client, true) => br#","from":"client","fin":true,"rsv":"#,
        (Side::Client, false) => br#","from":"client","fin":false,"rsv":"#,
        (Side::Server, true) => br#","from":"server","fin":true,"rsv":"#,
        (Side::Server, false) => br#","from":"server","fin":false,"rsv":"#,
    });
    out.push(b'0' + (frame.rsv & 7));
    out.extend_from_slice(match frame.opcode & 15 {
        0 => br#","opcode":0,"opcode_name":"continuation","masked":"#,
        1 => br#","opcode":1,"opcode_name":"text","masked":"#,
        2 => br#","opcode":2,"opcode_name":"binary","masked":"#,
        3 => br#","opcode":3,"opcode_name":"unknown-3","masked":"#,
        4 => br#","opcode":4,"opcode_name":"unknown-4","masked":"#,
        5 => br#","opcode":5,"opcode_name":"unknown-5","masked":"#,
        6 => br#","opcode":6,"opcode_name":"unknown-6","masked":"#,
        7 => br#","opcode":7,"opcode_name":"unknown-7","masked":"#,
        8 => br#","opcode":8,"opcode_name":"close","masked":"#,
        9 => br#","opcode":9,"opcode_name":"ping","masked":"#,
        10 => br#","opcode":10,"opcode_name":"pong","masked":"#,
        11 => br#","opcode":11,"opcode_name":"unknown-11","masked":"#,
        12 => br#","opcode":12,"opcode_name":"unknown-12","masked":"#,
        13 => br#","opcode":13,"opcode_name":"unknown-13","masked":"#,
        14 => br#","opcode":14,"opcode_name":"unknown-14","masked":"#,
        _ => br#","opcode":15,"opcode_name":"unknown-15","masked":"#,
    });
    out.extend_from_slice(if frame.masked { br#"true,"length":"# } else { br#"false,"length":"# });
    decimal(out, frame.length);
    match frame.close_code {
        None => out.extend_from_slice(b"}\n"),
        Some(code) => {
            out.extend_from_slice(br#","close_code":"#);
            decimal(out, u64::from(code));
            out.extend_from_slice(b"}\n");
        }
    }
}

const MESSAGE_HEAD: &[u8] = br#"{"event":"message","time":""#;

/// What is known of a message where it is seen, ready to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLine<'m> {
    /// Time of the packet that completed it.
    pub time: Time,
    /// The packet that completed it.
    pub packet: u64,
    /// Who sent it.
    pub from: Side,
    /// What it carries.
    pub kind: MessageKind,
    /// Length in bytes, decompressed.
    pub length: Option<u64>,
    /// Length on the wire in bytes, when it was compressed.
    pub compressed_length: Option<u64>,
    /// What it carries, redacted; `None` where that is not shown.
    pub content: Option<&'m Content>,
    /// Not all of it is shown, because it is too long.
    pub truncated: bool,
}

impl<'m> MessageLine<'m> {
    /// The line of a message.
    #[must_use]
    pub fn of(message: &websocket::Message<'_>, content: Option<&'m Content>, truncated: bool) -> Self {
        Self {
            time: Time(message.last.at),
            packet: message.last.packet,
            from: message.direction.sender().into(),
            kind: match message.kind {
                websocket::MessageKind::Text => MessageKind::Text,
                websocket::MessageKind::Binary => MessageKind::Binary,
            },
            length: message.length,
            compressed_length: message.compressed.then_some(message.wire_length),
            content,
            truncated,
        }
    }
}

/// Appends a `message` line without its connection, for [`append_bound`].
pub fn message_line(out: &mut Vec<u8>, message: &MessageLine<'_>) {
    append_head(out, MESSAGE_HEAD, message.time);
    out.extend_from_slice(br#""packet":"#);
    decimal(out, message.packet);
    out.extend_from_slice(match (message.from, message.kind) {
        (Side::Client, MessageKind::Text) => br#","from":"client","kind":"text""#,
        (Side::Client, MessageKind::Binary) => br#","from":"client","kind":"binary""#,
        (Side::Server, MessageKind::Text) => br#","from":"server","kind":"text""#,
        (Side::Server, MessageKind::Binary) => br#","from":"server","kind":"binary""#,
    });
    for (name, value) in
        [(&br#","length":"#[..], message.length), (&br#","compressed_length":"#[..], message.compressed_length)]
    {
        if let Some(value) = value {
            out.extend_from_slice(name);
            decimal(out, value);
        }
    }
    let shown = match message.content {
        None => None,
        Some(Content::Text(text)) => Some((&br#","text":"#[..], text)),
        Some(Content::Base64(text)) => Some((&br#","base64":"#[..], text)),
    };
    if let Some((member, text)) = shown {
        out.extend_from_slice(member);
        append_text(out, text);
    }
    out.extend_from_slice(if message.truncated { b",\"truncated\":true}\n" } else { b"}\n" });
}

/// Completes a line of [`frame_line`] or [`message_line`] with its connection. The Community ID is base64 and needs no
/// escaping.
#[inline]
pub fn append_bound(out: &mut Vec<u8>, line: &[u8], connection: u64, community_id: &str, tcp_stream: u64) {
    let Some((head, tail)) = line.split_first().and_then(|(length, line)| line.split_at_checked((*length).into()))
    else {
        return;
    };
    out.extend_from_slice(head);
    out.extend_from_slice(br#""connection":"#);
    decimal(out, connection);
    out.extend_from_slice(br#","community_id":""#);
    out.extend_from_slice(community_id.as_bytes());
    out.extend_from_slice(br#"","tcp_stream":"#);
    decimal(out, tcp_stream);
    out.push(b',');
    out.extend_from_slice(tail);
}

/// What a message carries, as far as it was captured: text if it is text, base64 if not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text(String),
    /// Bytes in base64.
    Base64(String),
}

/// What a message carries, redacted; `None` when it is not known.
#[must_use]
pub fn content(message: &websocket::Message<'_>, redactor: &Redactor) -> Option<Content> {
    let bytes = message.payload?;
    let text = match std::str::from_utf8(bytes) {
        _ if message.kind == websocket::MessageKind::Binary => None,
        Ok(text) => Some(text),
        // Cut inside a character.
        Err(error) if message.truncated && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    Some(match text {
        Some(text) => Content::Text(redactor.payload(text).into_owned()),
        None => Content::Base64(redactor.base64(&STANDARD.encode(bytes)).into_owned()),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::output::sample;
    use proptest::prelude::*;

    fn bound() -> Binding {
        Binding { connection: 12, community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned(), tcp_stream: 7 }
    }

    fn by_serde(frame: &FrameLine, to: &Binding) -> String {
        let mut out = Vec::new();
        let event = Event::Frame(Frame {
            time: frame.time,
            binding: to.clone(),
            packet: frame.packet,
            from: frame.from,
            fin: frame.fin,
            rsv: frame.rsv,
            opcode: frame.opcode,
            opcode_name: opcode_name(frame.opcode).to_owned(),
            masked: frame.masked,
            length: frame.length,
            close_code: frame.close_code,
        });
        append_event(&mut out, &event);
        String::from_utf8(out).unwrap()
    }

    fn by_hand(frame: &FrameLine, to: &Binding) -> String {
        let mut line = b"earlier lines\n".to_vec();
        let start = line.len();
        frame_line(&mut line, frame);
        let mut out = Vec::new();
        append_bound(&mut out, &line[start..], to.connection, &to.community_id, to.tcp_stream);
        String::from_utf8(out).unwrap()
    }

    pub(crate) fn every_event() -> Vec<Event<'static>> {
        let connection = sample::healthy(12, 7);
        let document = sample::document();
        let message = Message {
            time: sample::at(5),
            binding: bound(),
            packet: 9,
            from: Side::Client,
            kind: MessageKind::Text,
            length: Some(40),
            compressed_length: None,
            text: None,
            base64: None,
            truncated: false,
        };
        vec![
            Event::ConnectionOpened(Opened {
                time: connection.start,
                binding: bound(),
                http2_stream: None,
                client: connection.client,
                server: connection.server,
                first_packet: 1,
            }),
            Event::Handshake(Box::new(Handshake {
                time: sample::at(3),
                binding: bound(),
                http: connection.http.clone().unwrap(),
            })),
            Event::Frame(Frame {
                time: sample::at(4),
                binding: bound(),
                packet: 8,
                from: Side::Client,
                fin: true,
                rsv: 4,
                opcode: 1,
                opcode_name: "text".to_owned(),
                masked: true,
                length: 40,
                close_code: None,
            }),
            Event::Message(message.clone()),
            Event::Message(Message {
                length: None,
                compressed_length: Some(9),
                base64: Some("AAEC".to_owned()),
                ..message.clone()
            }),
            Event::Message(Message { text: Some("hello".to_owned()), ..message }),
            Event::ConnectionClosed(Box::new(Closed { time: connection.end, connection: 12, record: connection })),
            Event::Finding(Box::new(Found {
                time: sample::at(9),
                connection: Some(12),
                community_id: Some(bound().community_id),
                tcp_stream: Some(7),
                slug: "upgrade-stripped".into(),
                title: "A proxy removed it".into(),
                finding: document.findings[0].clone(),
            })),
            Event::Finding(Box::new(Found {
                time: sample::at(9),
                connection: None,
                community_id: None,
                tcp_stream: None,
                slug: "upgrade-stripped".into(),
                title: "A proxy removed it".into(),
                finding: Finding { connections: vec![2, 3], ..document.findings[1].clone() },
            })),
            Event::Stats(Stats {
                time: sample::at(1000),
                packets: 10,
                bytes: 1000,
                packets_dropped: Some(0),
                tcp_connections: 2,
                websockets_open: 1,
                frames: 4,
                uptime_ms: Millis::from_nanos(1_000_000_000),
            }),
            Event::CaptureEnd(Box::new(CaptureEnd {
                time: document.capture.last_time,
                capture: document.capture,
                summary: document.summary,
            })),
        ]
    }

    #[test]
    fn lines_as_published() {
        let mut out = Vec::new();
        for event in every_event().iter().take(4) {
            append_event(&mut out, event);
        }
        let expected = r#"{"event":"connection.opened","time":"2026-11-21T08:00:00.000000000Z","connection":12,"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=","tcp_stream":7,"client":{"ip":"10.10.1.10","port":32900},"server":{"ip":"10.10.2.20","port":8080},"first_packet":1}
{"event":"handshake","time":"2026-11-21T08:00:00.003000000Z","connection":12,"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=","tcp_stream":7,"version":"1.1","method":"GET","target":"/ws?room=7","host":"chat.example","status":101,"response_ms":2.5,"reason":"Switching Protocols","request_headers":[["Host","chat.example"],["Upgrade","websocket"],["Connection","Upgrade"],["Sec-WebSocket-Key","dGhlIHNhbXBsZSBub25jZQ=="],["Sec-WebSocket-Version","13"]],"response_headers":[["Upgrade","websocket"],["Connection","Upgrade"],["Sec-WebSocket-Accept","s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]]}
{"event":"frame","time":"2026-11-21T08:00:00.004000000Z","connection":12,"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=","tcp_stream":7,"packet":8,"from":"client","fin":true,"rsv":4,"opcode":1,"opcode_name":"text","masked":true,"length":40}
{"event":"message","time":"2026-11-21T08:00:00.005000000Z","connection":12,"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=","tcp_stream":7,"packet":9,"from":"client","kind":"text","length":40}
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_line_stands_alone() {
        for event in every_event() {
            let mut out = Vec::new();
            append_event(&mut out, &event);
            assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            let line: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&out).unwrap();
            let name = line["event"].as_str().unwrap();
            assert!(line["time"].is_string(), "{name}");
            assert_eq!(line.contains_key("connection"), line.contains_key("community_id"), "{name}");
            assert_eq!(line.contains_key("connection"), line.contains_key("tcp_stream"), "{name}");
            let text = String::from_utf8(out).unwrap();
            for member in ["\"connection\":", "\"community_id\":", "\"tcp_stream\":", "\"time\":"] {
                let top = text.matches(member).count();
                assert!(top <= 1 || member == "\"time\":", "{name} has {member} {top} times");
            }
            assert!(text.starts_with(&format!("{{\"event\":\"{name}\",\"time\":\"")));
        }
    }

    #[test]
    fn all_opcodes_have_the_same_line_by_hand() {
        for opcode in 0..16 {
            for close_code in [None, Some(0), Some(1000), Some(u16::MAX)] {
                let frame = FrameLine {
                    time: sample::at(1),
                    packet: u64::MAX,
                    from: Side::Server,
                    fin: opcode % 2 == 0,
                    rsv: opcode % 8,
                    opcode,
                    masked: opcode % 3 == 0,
                    length: 1 << 40,
                    close_code,
                };
                assert_eq!(by_hand(&frame, &bound()), by_serde(&frame, &bound()));
            }
        }
    }

    proptest! {
        #[test]
        fn by_hand_as_by_serde(
            time: i64, packet: u64, server: bool, fin: bool, rsv in 0_u8..8, opcode in 0_u8..16, masked: bool,
            length: u64, close_code: Option<u16>, connection: u64, tcp_stream: u64,
        ) {
            let from = if server { Side::Server } else { Side::Client };
            let frame = FrameLine { time: Time(time), packet, from, fin, rsv, opcode, masked, length, close_code };
            let to = Binding { connection, tcp_stream, ..bound() };
            prop_assert_eq!(by_hand(&frame, &to), by_serde(&frame, &to));
        }
    }

    #[test]
    fn messages_have_the_same_line_by_hand() {
        let texts = [None, Some("plain"), Some("quote \" back \\ line\n\u{202e}end é")];
        for (index, text) in texts.into_iter().enumerate() {
            for base64 in [false, true] {
                let (from, kind) = [(Side::Client, MessageKind::Text), (Side::Server, MessageKind::Binary)][index % 2];
                let content = text
                    .map(|text| if base64 { Content::Base64(text.to_owned()) } else { Content::Text(text.to_owned()) });
                let hand = MessageLine {
                    time: sample::at(3),
                    packet: 77,
                    from,
                    kind,
                    length: (index > 0).then_some(1 << 40),
                    compressed_length: (index > 1).then_some(9),
                    content: content.as_ref(),
                    truncated: base64,
                };
                let own = |wanted: bool| text.filter(|_| wanted).map(str::to_owned);
                let event = Event::Message(Message {
                    time: hand.time,
                    binding: bound(),
                    packet: 77,
                    from,
                    kind,
                    length: hand.length,
                    compressed_length: hand.compressed_length,
                    text: own(!base64),
                    base64: own(base64),
                    truncated: base64,
                });
                let mut line = Vec::new();
                message_line(&mut line, &hand);
                let mut joined = Vec::new();
                append_bound(&mut joined, &line, 12, &bound().community_id, 7);
                let mut by_serde = Vec::new();
                append_event(&mut by_serde, &event);
                assert_eq!(String::from_utf8(joined).unwrap(), String::from_utf8(by_serde).unwrap());
            }
        }
    }
}
