//! HTTP/2 (RFC 9113) as far as WebSockets need it: extended CONNECT (RFC 8441) and the streams it opens.
//!
//! ```text
//!   StreamEvent ─► frames ─┬─ HEADERS, CONTINUATION ─► HPACK ─► a WebSocket asked for, answered
//!                          ├─ DATA of a WebSocket ─► StreamEvent of that stream
//!                          ├─ RST_STREAM, END_STREAM, GOAWAY, SETTINGS ─► facts, ends
//!                          └─ everything else is skipped by arithmetic
//! ```
//!
//! Header blocks are decoded for every stream, because the compression state is shared; only WebSocket streams are
//! kept, the others are counted. Flow control is not followed. Nothing is ever guessed about a stream whose
//! request was not seen.

#![forbid(unsafe_code)]

pub mod facts;
mod frame;
mod hpack;
mod huffman;
mod observer;

pub use facts::{ErrorCode, GoAway, Head, Http2Facts, NotHttp2, Oddity, Settings, WebSocketStream};
pub use observer::{Http2, Http2Event};

/// Length of a gap whose true length is not known, in bytes: more than any message could have, so that the layer above
/// must resynchronise instead of skipping it by arithmetic.
pub const UNKNOWN_GAP: u64 = 1 << 40;
/// Largest header block read, HEADERS and CONTINUATION together, in bytes.
pub const MAX_HEADER_BLOCK: usize = 64 * 1024;

#[cfg(test)]
mod tests;
