//! HTTP/1.x on one connection, observed: requests, answers, and the moment it becomes something else.
//!
//! ```text
//!   StreamEvent ──► Http::feed ──► HttpEvent (exchanges worth keeping, facts)
//!                        └───────► Step::Switch (101, or 2xx to CONNECT, with every byte behind the head)
//! ```
//!
//! Heads are read as leniently as real peers send them ([`head`]), bodies are skipped by arithmetic, and what an opening
//! handshake must show (RFC 6455 §4) is turned into facts ([`handshake`], [`deflate`]). Ordinary exchanges are
//! counted, not kept. A gap is an input: within a body of known length it is skipped, elsewhere that direction is
//! lost until a packet begins with a whole start line.
//!
//! This room never judges, never redacts, never decodes content codings, and never reports as missing what was
//! only not captured.

pub mod accept;
mod body;
pub mod deflate;
pub mod event;
pub mod extension;
mod half;
pub mod handshake;
pub mod head;
mod held;
mod names;
mod observer;
pub mod proxy;
mod regular;
pub mod sniff;
mod survey;
pub mod switch;

pub use deflate::{Compression, Deed, Deflate, Violation};
pub use event::{
    Answer, Body, Counts, CutAt, Early, Ended, Exchange, ExchangeKind, Foreign, ForeignKind, HttpEvent, HttpFact,
    Interim, LostCause, Pairing, Unusual,
};
pub use handshake::Handshake;
pub use head::{Completeness, Head, Presence, RequestHead, ResponseHead, Version};
pub use observer::Http;
pub use proxy::ProxyHeader;
pub use sniff::Sniff;
pub use switch::{EarlyData, Start, Step, Switch, SwitchTo};

/// The longest head that is read, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// How many bytes of the body of a refusing answer are kept.
pub const MAX_EXCERPT: usize = 2048;
/// How many of the first bytes of something foreign are kept.
pub const MAX_FOREIGN: usize = 64;
/// How many client bytes between an upgrade request and its answer are held.
pub const MAX_EARLY: usize = 64 * 1024;
/// How many requests may wait for their answers.
pub const MAX_PENDING: usize = 64;
/// How many informational answers of one exchange are kept.
pub const MAX_INTERIM: usize = 8;
/// How many exchanges of [`ExchangeKind::Plain`] are reported per connection.
pub const MAX_PLAIN: u32 = 4;

#[cfg(test)]
mod tests;
