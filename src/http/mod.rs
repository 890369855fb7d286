//! HTTP/1.x on one connection: requests, answers, and the moment it becomes something else.
//!
//! ```text
//!   StreamEvent ──► Http::feed ──► HttpEvent (exchanges worth keeping, facts)
//!                        └───────► Step::Switch (101, or 2xx to CONNECT, with every byte behind the head)
//! ```
//!
//! Heads are read leniently, as real peers send them (`head`), bodies are skipped by arithmetic, and what RFC 6455 §4
//! demands of an opening handshake is recorded as facts ([`handshake`], [`deflate`]). Ordinary exchanges are counted, not
//! kept. A gap is an input: within a body of known length it is skipped, elsewhere that direction is lost until a packet
//! begins with a whole start line.
//!
//! ```text
//!   sniff         what first bytes are; whether bytes are a start line
//!   syntax        start lines, fields, tokens          field_name    the names that are looked up
//!   framing       what a head asks for, where its body ends          body      skips it
//!   head_reader   one direction's place in the stream                head      a head, stored
//!   observer      pairs requests with answers          event         what it reports
//!   handshake     the checks of RFC 6455 §4            accept, extension, deflate   their parts
//!   switch        the end of HTTP                      early_data    what the client sent before it
//!   proxy         the PROXY protocol header in front of everything
//! ```
//!
//! This room never judges, never redacts, never decodes content codings, and never reports as missing what was
//! only not captured.

#![forbid(unsafe_code)]

pub(crate) mod accept;
mod body;
pub mod deflate;
mod early_data;
mod event;
pub(crate) mod extension;
mod field_name;
mod framing;
pub mod handshake;
mod head;
mod head_reader;
mod observer;
mod proxy;
mod sniff;
mod switch;
mod syntax;

pub use deflate::{Compression, Deed, Deflate, Violation};
pub use early_data::EarlyData;
pub use event::{
    Answer, Body, Counts, CutAt, Early, Ended, Exchange, ExchangeKind, Foreign, ForeignKind, HttpEvent, HttpFact,
    Interim, LostCause, Pairing,
};
pub use handshake::Handshake;
pub(crate) use head::without_port;
pub use head::{Head, Presence, RequestHead, ResponseHead};
pub use observer::Http;
pub use sniff::Sniff;
pub use switch::{Start, Step, Switch, SwitchTo};
pub use syntax::{Completeness, Deviations, Version};

/// The longest head that is read, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// Most bytes kept of the body of a refusing answer.
pub const MAX_EXCERPT: usize = 2048;
/// Most bytes kept of the beginning of something foreign.
pub const MAX_FOREIGN: usize = 64;
/// Most bytes kept of what a client sends between an upgrade request and its answer.
pub const MAX_EARLY: usize = 64 * 1024;
/// Most requests that may wait for their answers.
pub const MAX_PENDING: usize = 64;
/// Most informational answers kept of one exchange.
pub const MAX_INTERIM: usize = 8;
/// Most exchanges of [`ExchangeKind::Plain`] reported per connection.
pub const MAX_PLAIN: u32 = 4;

#[cfg(test)]
mod tests;
