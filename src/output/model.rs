//! The document that wsscan publishes, as plain data: the serialisable twins of the engine's records.
//!
//! Field names are a contract with other people's scripts (schema version 2): fields may be added, none is renamed
//! within a major version. What is unknown, empty or does not apply is left out, never guessed; counts that are zero stay
//! where their object stands. What a rule always says stands once, in `rules`. These types hold no behaviour beyond
//! names and order, and never see a packet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stream;

pub use super::time::{Millis, Seconds, Time};

/// Version of the published form: major.minor.
pub const SCHEMA_VERSION: &str = "2.0";
/// Version of the program.
pub const WSSCAN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Text that may lie where it was captured.
pub type Text<'a> = Cow<'a, str>;

/// Everything wsscan knows about a capture.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Document<'a> {
    /// Version of this form: fields may be added in a minor version, none is renamed within a major one.
    pub schema_version: String,
    /// Version of the program that wrote it.
    pub wsscan: String,
    /// What was read.
    pub capture: Capture,
    /// The whole in numbers.
    pub summary: Summary,
    /// One entry for every WebSocket, and for every attempt at one.
    pub connections: Vec<Connection<'a>>,
    /// How connections belong together.
    pub relations: Vec<Relation>,
    /// What the rules of these findings always say, by rule.
    pub rules: BTreeMap<String, Rule>,
    /// What is wrong or worth knowing, each with its evidence.
    pub findings: Vec<Finding<'a>>,
}

/// What a rule always says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rule {
    /// Its lasting name, such as `upgrade-stripped`.
    pub slug: &'static str,
    /// What it is about, in one sentence.
    pub title: &'static str,
    /// What happened, and how packets show it.
    pub explanation: &'static str,
    /// How it is fixed.
    pub advice: &'static str,
    /// What would disprove it.
    pub unless: &'static str,
    /// Where it comes from.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub references: &'static [&'static str],
}

impl<'a> Document<'a> {
    /// A document of the current version.
    #[must_use]
    pub fn new(
        capture: Capture,
        summary: Summary,
        connections: Vec<Connection<'a>>,
        relations: Vec<Relation>,
        rules: BTreeMap<String, Rule>,
        findings: Vec<Finding<'a>>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            wsscan: WSSCAN_VERSION.to_owned(),
            capture,
            summary,
            connections,
            relations,
            rules,
            findings,
        }
    }
}

/// What was read, and how well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capture {
    /// The files, in the order given; empty for a live capture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<CaptureFile>,
    /// Packets read, in all files.
    pub packets: u64,
    /// Bytes these packets had on the wire.
    pub bytes: u64,
    /// Time of the earliest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_time: Option<Time>,
    /// Time of the latest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Time>,
    /// Packets that the capturing machine reports as dropped; left out when it reports nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_dropped: Option<u64>,
    /// TCP connections seen, WebSockets or not.
    pub tcp_connections: u64,
    /// Packets that could not be decoded down to TCP although they claim to carry it.
    pub undecoded_packets: u64,
    /// TLS secrets at hand: from key-log files and from the capture itself.
    pub tls_secrets: u64,
    /// Bounds that were reached, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u64>,
    /// Connections that failed and are no entry, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}

/// One capture file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureFile {
    /// As given on the command line; `-` is standard input.
    pub path: String,
    /// File format, after decompression.
    pub format: CaptureFormat,
    /// Names of the link types in it (`ETHERNET`, `LINUX_SLL2` …), in order of appearance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_types: Vec<String>,
    /// Packets read from it.
    pub packets: u64,
    /// Bytes these packets had on the wire.
    pub bytes: u64,
    /// The file ends in the middle of a packet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Why reading stopped early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Format of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFormat {
    /// The classic libpcap format.
    Pcap,
    /// The pcapng format.
    Pcapng,
}

/// The whole in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Entries in `connections`.
    pub connections: u64,
    /// Those that became a WebSocket.
    pub websockets: u64,
    /// How many entries are in which state; states that did not occur are absent.
    #[schemars(extend("propertyNames" = {"$ref": "#/$defs/Verdict"}))]
    pub verdicts: BTreeMap<Verdict, u64>,
    /// How many entries ended in which way; ways that did not happen are absent.
    #[schemars(extend("propertyNames" = {"$ref": "#/$defs/Outcome"}))]
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Findings by severity.
    pub findings: FindingCounts,
}

/// Findings by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingCounts {
    /// The connection failed, or data was lost.
    pub error: u64,
    /// It works, but it is fragile or violates a MUST.
    pub warning: u64,
    /// Explanation only.
    pub info: u64,
}

impl FindingCounts {
    /// Counts one more.
    pub fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Error => self.error += 1,
            Severity::Warning => self.warning += 1,
            Severity::Info => self.info += 1,
        }
    }
}

/// Whether a connection needs somebody's attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It did, or does, what it should.
    Fine,
    /// It worked, and something about it is worth knowing.
    Noteworthy,
    /// It failed or was cut off, or data was lost.
    Trouble,
    /// The capture does not tell.
    #[default]
    Unknown,
}

impl Verdict {
    /// All of them, in the order of declaration.
    pub const ALL: [Verdict; 4] = [Verdict::Fine, Verdict::Noteworthy, Verdict::Trouble, Verdict::Unknown];

    /// Whether reports for people count it among the troubled.
    #[must_use]
    pub fn is_troubled(self) -> bool {
        matches!(self, Verdict::Trouble | Verdict::Noteworthy)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Still open when the capture ended.
    Open,
    /// Close frames went both ways and the connection ended (RFC 6455 §7.1.4).
    ClosedClean,
    /// As `closed_clean`, but the Close frames carried no status code.
    ClosedNoStatus,
    /// It ended without a completed closing handshake.
    ClosedAbnormal,
    /// The server did not accept the upgrade.
    UpgradeFailed,
    /// TLS did not come about.
    TlsFailed,
    /// TCP did not come about.
    TcpFailed,
    /// The capture does not tell.
    Unknown,
}

impl Outcome {
    /// All of them, in the order of declaration.
    pub const ALL: [Outcome; 8] = [
        Outcome::Open,
        Outcome::ClosedClean,
        Outcome::ClosedNoStatus,
        Outcome::ClosedAbnormal,
        Outcome::UpgradeFailed,
        Outcome::TlsFailed,
        Outcome::TcpFailed,
        Outcome::Unknown,
    ];

    /// The name it has in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::ClosedClean => "closed_clean",
            Outcome::ClosedNoStatus => "closed_no_status",
            Outcome::ClosedAbnormal => "closed_abnormal",
            Outcome::UpgradeFailed => "upgrade_failed",
            Outcome::TlsFailed => "tls_failed",
            Outcome::TcpFailed => "tcp_failed",
            Outcome::Unknown => "unknown",
        }
    }
}

/// One of the two ends. The client is whoever opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The end that opened the connection.
    Client,
    /// The end that was called.
    Server,
}

impl Side {
    /// `client` or `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
        }
    }
}

impl From<stream::Side> for Side {
    fn from(side: stream::Side) -> Self {
        match side {
            stream::Side::Client => Side::Client,
            stream::Side::Server => Side::Server,
        }
    }
}

/// A value for each end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PerSide<T> {
    /// Of what the client sent.
    pub client: T,
    /// Of what the server sent.
    pub server: T,
}

impl<T: Default + PartialEq> PerSide<T> {
    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// An address and a TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// IPv4 or IPv6 address.
    #[schemars(with = "String")]
    pub ip: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ip.is_ipv6() {
            write!(f, "[{}]:{}", self.ip, self.port)
        } else {
            write!(f, "{}:{}", self.ip, self.port)
        }
    }
}

/// One WebSocket, or one attempt at one. A TCP connection that carries several has an entry for each.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Connection<'a> {
    /// 1-based, in order of first packet among those reported.
    pub id: u64,
    /// Equals Wireshark's `tcp.stream` for the same file.
    pub tcp_stream: u64,
    /// Whether it needs somebody's attention.
    pub verdict: Verdict,
    /// What is known when it is over.
    #[serde(flatten)]
    pub body: ConnectionBody<'a>,
    /// The finding that explains the outcome best; left out when nothing needs or has an explanation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_cause: Option<RootCause<'a>>,
    /// Indices into the document's `findings`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<u64>,
}

impl<'a> Deref for Connection<'a> {
    type Target = ConnectionBody<'a>;

    fn deref(&self) -> &ConnectionBody<'a> {
        &self.body
    }
}

/// The members of a [`Connection`] that are known when it is over, before the rest of the capture is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionBody<'a> {
    /// HTTP/2 stream that carries it (RFC 8441); left out for HTTP/1.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http2_stream: Option<u32>,
    /// Community ID version 1 with seed 0, as Zeek and Suricata write it.
    pub community_id: String,
    /// The end that opened the connection.
    pub client: Endpoint,
    /// The end that was called.
    pub server: Endpoint,
    /// Time of its first packet.
    pub start: Time,
    /// Time of its last packet.
    pub end: Time,
    /// From `start` to `end`, in milliseconds.
    pub duration_ms: Millis,
    /// Number of its first packet, equal to Wireshark's `frame.number`.
    pub first_packet: u64,
    /// Number of its last packet.
    pub last_packet: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What TCP shows.
    pub tcp: Tcp,
    /// What TLS shows; left out without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls<'a>>,
    /// The opening handshake; left out when none was seen, or none could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http<'a>>,
    /// The WebSocket, or the attempt at one; left out when nothing was seen of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebSocket<'a>>,
    /// What each end's program was told, derived by RFC 6455 §7.1.5; left out when that is not known.
    #[serde(default, skip_serializing_if = "ApplicationView::is_unknown")]
    pub application_view: ApplicationView,
}

/// What TCP shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tcp {
    /// How it began.
    pub opening: TcpOpening,
    /// How it ended: the first of the two that was seen.
    pub closing: TcpClosing,
    /// Who sent the first FIN or RST; left out when none was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_closer: Option<Side>,
    /// Round trip of the TCP handshake in milliseconds, seen from where the capture was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<Millis>,
    /// Segments sent again; left out when there are none.
    #[serde(default, skip_serializing_if = "PerSide::is_zero")]
    pub retransmissions: PerSide<u64>,
    /// Segments that arrived after later ones; left out when there are none.
    #[serde(default, skip_serializing_if = "PerSide::is_zero")]
    pub out_of_order: PerSide<u64>,
    /// Bytes that were sent but are not in the capture; left out when there are none.
    #[serde(default, skip_serializing_if = "PerSide::is_zero")]
    pub lost_bytes: PerSide<u64>,
    /// Longest time that a side advertised a zero receive window, in milliseconds; left out when no side did.
    #[serde(default, skip_serializing_if = "PerSide::is_zero")]
    pub zero_window_ms: PerSide<Millis>,
}

/// How a TCP connection began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TcpOpening {
    /// With SYN and SYN-ACK.
    Handshake,
    /// The SYN was answered by a reset.
    Refused,
    /// The SYN was not answered.
    Unanswered,
    /// It was open before the capture began.
    MidStream,
}

/// How a TCP connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TcpClosing {
    /// With FIN.
    Fin,
    /// With RST.
    Rst,
    /// Not within the capture.
    None,
}

/// What TLS shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tls<'a> {
    /// Negotiated version: `1.0`, `1.1`, `1.2` or `1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Text<'a>>,
    /// Negotiated cipher suite by its IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<Text<'a>>,
    /// Server name the client asked for (SNI, RFC 6066 §3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<Text<'a>>,
    /// Negotiated protocol (ALPN, RFC 7301).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<Text<'a>>,
    /// Whether application data was decrypted.
    pub decrypted: bool,
    /// The server's certificates, its own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate<'a>>,
    /// Alerts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<TlsAlert<'a>>,
}

/// An X.509 certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate<'a> {
    /// Distinguished name of its holder.
    pub subject: Text<'a>,
    /// Distinguished name of who signed it.
    pub issuer: Text<'a>,
    /// Not valid before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Seconds>,
    /// Not valid after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Seconds>,
    /// Signed by its own holder.
    pub self_signed: bool,
    /// DNS names and addresses it is valid for (subjectAltName).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Text<'a>>,
}

/// A TLS alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsAlert<'a> {
    /// Who sent it.
    pub from: Side,
    /// `warning` or `fatal`; left out while encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Text<'a>>,
    /// AlertDescription number; left out while encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// AlertDescription name of RFC 8446 §6, such as `certificate_expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// The packet that completed it.
    pub packet: u64,
}

/// A header field: name and value.
pub type Header<'a> = (Text<'a>, Text<'a>);

/// The opening handshake: request and response. Over HTTP/2 the method is CONNECT (RFC 8441).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Http<'a> {
    /// HTTP version of the request: `1.0`, `1.1` or `2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Text<'a>>,
    /// Request method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Text<'a>>,
    /// Request target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Text<'a>>,
    /// Host header, or `:authority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Text<'a>>,
    /// Status of the final response; left out when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From the end of the request to the end of the final response's head, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_ms: Option<Millis>,
    /// Reason phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<'a>>,
    /// Request headers as sent, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<Header<'a>>,
    /// Response headers as sent, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<Header<'a>>,
    /// Beginning of the body of a response that is no upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_excerpt: Option<Text<'a>>,
}

impl Http<'_> {
    /// The same in memory of its own.
    #[must_use]
    pub fn into_owned(self) -> Http<'static> {
        let own = |text: Option<Text<'_>>| text.map(|text| Text::Owned(text.into_owned()));
        let headers = |headers: Vec<Header<'_>>| {
            headers.into_iter().map(|(name, value)| (name.into_owned().into(), value.into_owned().into())).collect()
        };
        Http {
            version: own(self.version),
            method: own(self.method),
            target: own(self.target),
            host: own(self.host),
            status: self.status,
            response_ms: self.response_ms,
            reason: own(self.reason),
            request_headers: headers(self.request_headers),
            response_headers: headers(self.response_headers),
            body_excerpt: own(self.body_excerpt),
        }
    }
}

/// The WebSocket, or the attempt at one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebSocket<'a> {
    /// What became of the upgrade.
    pub upgrade: Upgrade,
    /// Subprotocol the server selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<Text<'a>>,
    /// Application protocol that the messages show, whatever was agreed on: `graphql-transport-ws`, `graphql-ws`, or
    /// `graphql` where they do not tell which of the two. Left out when none was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Text<'a>>,
    /// Extensions the server agreed to, as it wrote them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Text<'a>>,
    /// Whether Sec-WebSocket-Accept fits the key (RFC 6455 §4.2.2); left out when either was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_valid: Option<bool>,
    /// What the client sent.
    pub client: Traffic,
    /// What the server sent.
    pub server: Traffic,
    /// Time from ping to its pong, in milliseconds; left out when no pair was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_rtt_ms: Option<PingRtt>,
    /// Pings that no pong answered.
    pub unanswered_pings: u64,
    /// How long nothing was sent before the last packet of the connection, in milliseconds.
    #[serde(default, skip_serializing_if = "Silence::is_unknown")]
    pub silence_ms: Silence,
    /// The closing handshake; left out when there was no Close frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<Close<'a>>,
}

/// How long nothing was sent before the last packet of the connection, in milliseconds of capture time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Since the client's last byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Millis>,
    /// Since the server's last byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Millis>,
    /// Since the last byte of either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub both: Option<Millis>,
}

impl Silence {
    fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Upgrade {
    /// The server accepted.
    Accepted,
    /// The server answered with something else.
    Refused,
    /// The request lost its Upgrade header on the way.
    Stripped,
    /// There was no answer.
    Unanswered,
    /// It happened before the capture began.
    MidStream,
}

/// What one end sent over the WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Frames of any kind.
    pub frames: u64,
    /// Complete messages.
    pub messages: u64,
    /// Payload bytes on the wire, compressed where compression was agreed.
    pub bytes: u64,
    /// Text frames.
    pub text: u64,
    /// Binary frames.
    pub binary: u64,
    /// Continuation frames.
    pub continuation: u64,
    /// Ping frames.
    pub ping: u64,
    /// Pong frames.
    pub pong: u64,
    /// Close frames.
    pub close: u64,
}

/// Time from ping to its pong, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PingRtt {
    /// Shortest.
    pub min: Millis,
    /// Median.
    pub median: Millis,
    /// Longest.
    pub max: Millis,
}

/// The closing handshake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Close<'a> {
    /// Who sent the first Close frame; left out when nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Side>,
    /// The client's first Close frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<CloseFrame<'a>>,
    /// The server's first Close frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<CloseFrame<'a>>,
    /// Both ends sent one.
    pub complete: bool,
}

/// A Close frame as the wire carried it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloseFrame<'a> {
    /// Status code; left out when the frame carried none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Reason; left out when the frame carried none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Text<'a>,
    /// The snap length or a gap cut it: what is missing may have been sent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The packet that completed it.
    pub packet: u64,
}

/// What each end's program was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationView {
    /// The client's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<View>,
    /// The server's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<View>,
}

impl ApplicationView {
    fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// What a program was told about the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// Close code, here also 1005, 1006 and 1015.
    pub code: u16,
    /// Whether it counts as a clean close; left out where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was_clean: Option<bool>,
}

/// The finding that explains an outcome best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootCause<'a> {
    /// Rule, such as `WSH301`.
    pub rule: Text<'a>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who has to act.
    pub party: Party,
    /// Id of the connection where it is proven; left out when several prove it together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// Index into the document's `findings`; left out when it is not among those wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<u64>,
}

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Whoever runs the end that opened the connection.
    Client,
    /// Whoever runs the end that was called.
    Server,
    /// Whoever runs the proxy between them.
    Proxy,
    /// Whoever runs the path: NAT, firewall, DNS.
    Network,
    /// The program above the WebSocket, which spoke properly and said no.
    Application,
    /// Whoever took the capture.
    Capture,
}

impl Party {
    /// The name it has in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Party::Client => "client",
            Party::Server => "server",
            Party::Proxy => "proxy",
            Party::Network => "network",
            Party::Application => "application",
            Party::Capture => "capture",
        }
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// One indicator, or a default timer value only.
    Possible,
    /// Two or more independent indicators that fit a known behaviour.
    Likely,
    /// Follows from the packets and the RFCs alone.
    Proven,
}

impl Confidence {
    /// The name it has in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Proven => "proven",
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Explanation only.
    Info,
    /// It works, but it is fragile or violates a MUST.
    Warning,
    /// The connection failed, or data was lost.
    Error,
}

impl Severity {
    /// The name it has in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// How connections belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Relation {
    /// Two legs of one path through a proxy.
    ProxyLeg {
        /// Connection on the client's side of the proxy.
        front: u64,
        /// Connection on the server's side of the proxy.
        back: u64,
        /// What ties them together, such as `sec-websocket-key`.
        by: String,
        /// How well they fit, 0 to 100.
        score: u8,
    },
    /// A client that keeps coming back.
    ReconnectLoop {
        /// Its connections, in order.
        connections: Vec<u64>,
        /// Median time from the end of one to the start of the next, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        median_gap_ms: Option<Millis>,
    },
}

/// What is wrong or worth knowing, with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Finding<'a> {
    /// What is known when the connection is over.
    #[serde(flatten)]
    pub body: FindingBody<'a>,
    /// Ids of the connections it is about.
    pub connections: Vec<u64>,
}

impl<'a> Deref for Finding<'a> {
    type Target = FindingBody<'a>;

    fn deref(&self) -> &FindingBody<'a> {
        &self.body
    }
}

/// The members of a [`Finding`] that are known before the rest of the capture is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingBody<'a> {
    /// Rule, such as `WSH301`.
    pub rule: Text<'a>,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who has to act.
    pub party: Party,
    /// What happened, in one sentence.
    pub summary: Text<'a>,
    /// Why that is so, where that is more than its rule always says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Text<'a>>,
    /// What to do, where that is more specific than what its rule always says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Text<'a>>,
    /// What would disprove it, where that is more specific than what its rule always says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<Text<'a>>,
    /// What would disprove it and cannot be decided from this capture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<Undecided<'a>>,
    /// The packets that show it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence<'a>>,
}

/// A counter-check that this capture cannot decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Undecided<'a> {
    /// What would disprove the finding.
    pub check: Text<'a>,
    /// What to capture to decide it.
    pub needs: Text<'a>,
}

/// A packet that shows something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence<'a> {
    /// Packet number, equal to Wireshark's `frame.number`.
    pub packet: u64,
    /// When it was captured.
    pub time: Time,
    /// Who sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Side>,
    /// What it shows.
    pub note: Text<'a>,
}
