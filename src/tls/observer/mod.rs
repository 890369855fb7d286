//! Observes one TLS connection: walks records, reads plaintext handshake messages and alerts, decrypts with the keys
//! that were given.
//!
//! ```text
//!   StreamEvent ─► RecordReader (per direction) ─┬─ body of no use: skipped by arithmetic
//!                                                ├─ plaintext: handshake, alert
//!                                                └─ Channel: opened ─► handshake, alert, application data ─► out
//! ```
//!
//! `records` finds and opens records and copes with gaps, `handshake` reads handshake messages and alerts, `plaintext`
//! passes on what was decrypted.

mod handshake;
mod plaintext;
mod records;

use smallvec::SmallVec;

use super::channel::Session;
use super::facts::{TlsFacts, Version};
use super::handshake::kind;
use super::keylog::KeyLog;
use super::record::{HANDSHAKE, HEADER_LEN, Header, starts_header};
use crate::stream::{Direction, Sniff, Stamp, StreamEvent};
use plaintext::EarlyData;
use records::RecordReader;

/// Record headers that must chain before an offset found after missing bytes counts as a record boundary
/// (without keys; with keys a record must authenticate).
const CHAINED_HEADERS: u8 = 3;

/// An observer of one TLS connection.
#[derive(Debug, Default)]
pub struct Tls {
    facts: TlsFacts,
    session: Session,
    readers: [RecordReader; 2],
    client_session_id: SmallVec<[u8; 32]>,
    /// Events of the client's stream until its ClientHello was complete, and the packet of the first.
    hello_segments: u32,
    hello_started: Option<Stamp>,
    early: Option<EarlyData>,
    /// Scratch space for trial decryption.
    spare: Vec<u8>,
}

impl Tls {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a client's first bytes begin a ClientHello.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Sniff {
        let fits = |index: usize, test: fn(u8) -> bool| bytes.get(index).is_none_or(|&byte| test(byte));
        let hello = fits(0, |byte| byte == HANDSHAKE) && starts_header(&bytes[..bytes.len().min(HEADER_LEN)]);
        if !hello || !fits(5, |byte| byte == kind::CLIENT_HELLO) {
            Sniff::No
        } else if bytes.len() <= HEADER_LEN {
            Sniff::Maybe
        } else {
            Sniff::Yes
        }
    }

    /// Whether bytes from the middle of a stream, in either direction, begin at a TLS record. `Yes` for a whole record
    /// that ends with the bytes or is followed by another header, `Maybe` for a first header alone.
    #[must_use]
    pub fn sniff_midstream(bytes: &[u8]) -> Sniff {
        let mut rest = bytes;
        let mut records = 0;
        loop {
            let Some(header) = rest.first_chunk::<HEADER_LEN>() else {
                return match (starts_header(rest), records) {
                    (true, 1..) => Sniff::Yes,
                    (true, 0) => Sniff::Maybe,
                    _ => Sniff::No,
                };
            };
            match Header::parse(*header) {
                Some(header) if header.version.0 <= Version::TLS12.0 && header.length >= 2 => {
                    let Some(next) = rest.get(HEADER_LEN + usize::from(header.length)..) else {
                        return if records > 0 { Sniff::Yes } else { Sniff::Maybe };
                    };
                    rest = next;
                    records += 1;
                    if records == CHAINED_HEADERS {
                        return Sniff::Yes;
                    }
                }
                _ => return Sniff::No,
            }
        }
    }

    /// The facts gathered so far.
    #[must_use]
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// The facts at the end.
    #[must_use]
    pub fn into_facts(self) -> TlsFacts {
        self.facts
    }

    /// Takes the next event of `direction`. Decrypted application data is passed to `out`, with offsets that count
    /// plaintext bytes; without secrets nothing is. Missing plaintext is passed as a gap before the data that follows
    /// it: of the exact length where the record numbers tell it, else of [`UNKNOWN_GAP`](crate::stream::UNKNOWN_GAP).
    /// A close_notify is passed as [`End::Fin`](crate::stream::End::Fin).
    pub fn feed(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        match event {
            StreamEvent::Data { bytes, .. } => {
                if direction == Direction::ToServer && self.facts.client_hello.is_none() && !self.facts.mid_stream {
                    self.hello_segments = self.hello_segments.saturating_add(1);
                    self.hello_started.get_or_insert(stamp);
                }
                self.data(stamp, direction, bytes, keys, out);
            }
            StreamEvent::Gap { len, cause, .. } => self.gap(stamp, direction, len, cause, keys, out),
            StreamEvent::End(end) => self.end(stamp, direction, end, out),
        }
    }
}
