//! TLS: an observer of one TCP connection (RFC 8446, RFC 5246).
//!
//! [`Tls`] is fed the bytes of both directions and gathers [`TlsFacts`]: what was offered and chosen, which
//! certificates were presented, which alerts were sent, how each side ended. With the secrets of a [`KeyLog`] it
//! also decrypts, and passes the application's bytes on as stream events. Without them, record headers are walked
//! and bodies are skipped by arithmetic; [`traffic_analysis`] then infers what the sizes and times of records give
//! away.
//!
//! It never judges: what a fact means for a WebSocket is decided elsewhere. It never accepts a record that
//! does not authenticate, never validates a certificate's signature, and never prints a secret.

#![forbid(unsafe_code)]

pub mod alert;
pub mod certificate;
mod channel;
mod decrypt;
pub mod facts;
mod handshake;
mod key_schedule;
mod keylog;
mod observer;
mod record;
mod suite;
pub mod traffic_analysis;

pub use crate::stream::{Sniff, UNKNOWN_GAP};
pub use certificate::{Certificate, KeyType, SubjectName};
pub use facts::{
    Alert, AlertVisibility, CertificateChain, ClientHello, Decryption, Flow, LastRecords, NamedGroup, NotTls,
    RecordMark, ServerHello, TlsFacts, Trouble, Version,
};
pub use keylog::{KeyLog, MAX_CONNECTIONS};
pub use observer::Tls;
pub use suite::CipherSuite;

/// Largest handshake message read, in bytes: enough for long certificate chains. Larger ones are skipped and
/// counted in [`TlsFacts::oversized_messages`].
pub const MAX_HANDSHAKE: usize = 128 * 1024;

#[cfg(test)]
mod tests;
