//! What is known about one HTTP/2 connection and the WebSockets it carries: data with evidence, no opinion.

use smallvec::SmallVec;

use crate::stream::{End, Side, Stamp};

/// Most WebSocket streams kept per connection; later ones are counted in [`Http2Facts::websockets_not_kept`].
pub const MAX_WEBSOCKETS: usize = 1024;
/// Most bytes of header names and values kept per head, counted as sent.
pub const MAX_HEAD: usize = 32 * 1024;
/// Most bytes of header names and values kept per connection.
pub const MAX_HEADS: usize = 1024 * 1024;
/// Most bytes kept of the body of a refusal, and of GOAWAY's debug data.
pub const MAX_EXCERPT: usize = 2048;
/// Most bytes kept of an answer that is not HTTP/2.
pub const MAX_NOT_HTTP2: usize = 64;

/// An error code of RST_STREAM or GOAWAY (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// NO_ERROR.
    pub const NO_ERROR: ErrorCode = ErrorCode(0);
    /// REFUSED_STREAM: nothing was done, the request can be repeated.
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(7);
    /// CANCEL: over extended CONNECT what a TCP RST would be (RFC 8441 §5).
    pub const CANCEL: ErrorCode = ErrorCode(8);

    /// The registered name, or `None`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0 => "NO_ERROR",
            0x1 => "PROTOCOL_ERROR",
            0x2 => "INTERNAL_ERROR",
            0x3 => "FLOW_CONTROL_ERROR",
            0x4 => "SETTINGS_TIMEOUT",
            0x5 => "STREAM_CLOSED",
            0x6 => "FRAME_SIZE_ERROR",
            0x7 => "REFUSED_STREAM",
            0x8 => "CANCEL",
            0x9 => "COMPRESSION_ERROR",
            0xa => "CONNECT_ERROR",
            0xb => "ENHANCE_YOUR_CALM",
            0xc => "INADEQUATE_SECURITY",
            0xd => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }
}

/// The settings one side announced, the latest value of each (RFC 9113 §6.5.2). `None`: never named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Packet of the first SETTINGS frame; `None` when none was seen.
    pub stamp: Option<Stamp>,
    /// SETTINGS_HEADER_TABLE_SIZE in bytes.
    pub header_table_size: Option<u32>,
    /// SETTINGS_ENABLE_PUSH.
    pub enable_push: Option<u32>,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent_streams: Option<u32>,
    /// SETTINGS_INITIAL_WINDOW_SIZE in bytes.
    pub initial_window_size: Option<u32>,
    /// SETTINGS_MAX_FRAME_SIZE in bytes.
    pub max_frame_size: Option<u32>,
    /// SETTINGS_MAX_HEADER_LIST_SIZE in bytes.
    pub max_header_list_size: Option<u32>,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3): 1 permits WebSockets. With the packet that said so.
    pub enable_connect_protocol: Option<(Stamp, u32)>,
    /// The settings were acknowledged by the other side.
    pub acknowledged: Option<Stamp>,
}

/// A GOAWAY frame (RFC 9113 §6.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoAway {
    /// Its packet.
    pub stamp: Stamp,
    /// Streams above this number were not and will not be acted upon.
    pub last_stream: u32,
    /// Why.
    pub code: ErrorCode,
    /// Additional debug data, at most [`MAX_EXCERPT`] bytes.
    pub debug: Vec<u8>,
}

/// The head of a request or of a response. Names are in lower case as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Packet that completed it.
    pub stamp: Stamp,
    /// `:method`.
    pub method: Option<String>,
    /// `:scheme`.
    pub scheme: Option<String>,
    /// `:authority`.
    pub authority: Option<String>,
    /// `:path`.
    pub path: Option<String>,
    /// `:protocol` (RFC 8441 §4).
    pub protocol: Option<String>,
    /// `:status`.
    pub status: Option<u16>,
    /// The other fields, in order, as far as they fit [`MAX_HEAD`] and [`MAX_HEADS`].
    pub fields: Vec<(String, String)>,
    /// Fields of which name or value refers to what was sent before the capture began or was lost.
    pub unknown_fields: u32,
    /// Fields were left out because of a bound.
    pub truncated: bool,
}

impl Head {
    /// The first value of the field `name` (lower case).
    #[must_use]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of the field `name` (lower case).
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One WebSocket, or one attempt at one, over a stream of its own (RFC 8441).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSocketStream {
    /// Stream number.
    pub id: u32,
    /// The extended CONNECT request.
    pub request: Head,
    /// The server had permitted it by then (SETTINGS_ENABLE_CONNECT_PROTOCOL = 1; RFC 8441 §4 asks for that); `None`
    /// when the server's SETTINGS had not been seen.
    pub permitted: Option<bool>,
    /// Informational responses before the final one.
    pub interim: u32,
    /// The final response. 2xx means that it was accepted.
    pub response: Option<Head>,
    /// A header block that may have been the response could not be read.
    pub response_unreadable: bool,
    /// The first bytes of a refusal's body, at most [`MAX_EXCERPT`].
    pub refusal_body: Vec<u8>,
    /// Bytes of DATA that the client and the server sent, padding not counted.
    pub data_bytes: [u64; 2],
    /// RST_STREAM: when, by whom, why.
    pub reset: Option<(Stamp, Side, ErrorCode)>,
    /// How each direction ended: END_STREAM (Fin), a reset (Rst), or what ended the connection.
    pub ended: [Option<(Stamp, End)>; 2],
}

impl WebSocketStream {
    /// Whether the server accepted it; `None` while there is no response.
    #[must_use]
    pub(crate) fn accepted(&self) -> Option<bool> {
        let status = self.response.as_ref()?.status?;
        Some((200..300).contains(&status))
    }
}

/// What a peer did against RFC 9113, or what could not be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Oddity {
    /// Padding longer than the frame (§6.1, §6.2).
    PaddingTooLong,
    /// Something other than CONTINUATION inside a header block, or CONTINUATION outside of one (§6.10).
    HeaderBlockBroken,
    /// A header block beyond [`MAX_HEADER_BLOCK`](super::MAX_HEADER_BLOCK), which was not read.
    HeaderBlockTooLarge,
    /// A header block that does not decode (RFC 7541).
    CompressionError,
    /// A frame whose length or stream does not fit its type (§4.2, §6).
    FrameMalformed,
}

/// A server's answer that is not HTTP/2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotHttp2 {
    /// Its first packet.
    pub stamp: Stamp,
    /// Its first bytes, at most [`MAX_NOT_HTTP2`].
    pub bytes: SmallVec<[u8; 16]>,
}

/// Everything that is known about one HTTP/2 connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http2Facts {
    /// Packet of the client's connection preface.
    pub preface: Option<Stamp>,
    /// The beginning was not captured: header fields that refer to it are unknown.
    pub mid_stream: bool,
    /// What the client and the server announced.
    pub settings: [Settings; 2],
    /// The last GOAWAY of each side.
    pub goaway: [Option<GoAway>; 2],
    /// Requests begun by the client, of any kind.
    pub requests: u64,
    /// Of these, requests whose head could not be read.
    pub requests_unreadable: u64,
    /// WebSockets asked for, in order of their requests.
    pub websockets: Vec<WebSocketStream>,
    /// WebSockets beyond [`MAX_WEBSOCKETS`].
    pub websockets_not_kept: u64,
    /// Frames seen whole, per sender.
    pub frames: [u64; 2],
    /// PING frames that are no answers, per sender.
    pub pings: [u64; 2],
    /// Bytes missing from the capture, per sender.
    pub missing_bytes: [u64; 2],
    /// The server answered the preface with something that is no SETTINGS frame (RFC 9113 §3.4 demands one).
    pub not_http2: Option<NotHttp2>,
    /// Oddities: kind, first packet and sender. Each kind once per sender.
    pub oddities: SmallVec<[(Oddity, Stamp, Side); 2]>,
    /// How each direction of the connection ended.
    pub ended: [Option<(Stamp, End)>; 2],
}

impl Http2Facts {
    /// Whether the server permits WebSockets over this connection (RFC 8441 §3); `None` when its SETTINGS were
    /// not seen. A server whose SETTINGS do not mention it does not permit them.
    #[must_use]
    pub(crate) fn websockets_permitted(&self) -> Option<bool> {
        let settings = &self.settings[1];
        settings.stamp?;
        Some(settings.enable_connect_protocol.is_some_and(|(_, value)| value == 1))
    }

    pub(super) fn note(&mut self, oddity: Oddity, stamp: Stamp, from: Side) {
        if !self.oddities.iter().any(|&(known, _, side)| known == oddity && side == from) {
            self.oddities.push((oddity, stamp, from));
        }
    }
}
