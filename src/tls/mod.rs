//! TLS: an observer of one TCP connection (RFC 8446, RFC 5246).
//!
//! [`Tls`] is fed the bytes of both directions and gathers [`TlsFacts`]: what was offered and chosen, which
//! certificates were shown, which alerts were sent, how each side ended. With the secrets of a [`KeyLog`] it
//! also decrypts, and the application's bytes leave as stream events of their own. Without them, record
//! headers are walked and bodies are skipped by arithmetic; [`keyless`] then reads what the sizes and
//! times of records give away.
//!
//! It never judges: what a fact means for a WebSocket is decided elsewhere. It never believes a record that
//! does not authenticate, never validates a certificate's signature, and never shows a secret.

pub mod alert;
pub mod certificate;
mod channel;
pub mod facts;
mod handshake;
pub mod keyless;
mod keylog;
mod observer;
mod open;
mod record;
mod schedule;
mod suite;

pub use certificate::{Certificate, KeyType, SubjectName};
pub use facts::{
    Alert, AlertVisibility, CertificateChain, ClientHello, Decryption, Flow, LastRecords, NamedGroup, NotTls,
    RecordMark, ServerHello, TlsFacts, Trouble, Version,
};
pub use keylog::{KeyLog, MAX_CONNECTIONS};
pub use observer::{Sniff, Tls};
pub use suite::CipherSuite;

/// Largest handshake message read, in bytes: room for long certificate chains. Larger ones are skipped and
/// counted in [`TlsFacts::oversized_messages`].
pub const MAX_HANDSHAKE: usize = 128 * 1024;

/// Length of a gap in the plaintext whose true length cannot be derived, in bytes: more than any message
/// could have, so that a reader above must find its place anew instead of counting through.
pub const UNKNOWN_GAP: u64 = 1 << 40;

#[cfg(test)]
mod tests;
