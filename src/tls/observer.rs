//! One TLS connection, observed.

use super::facts::TlsFacts;
use super::keylog::KeyLog;
use crate::stream::{Direction, Stamp, StreamEvent};

/// Whether bytes are TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// More bytes are needed to tell.
    Maybe,
}

/// An observer of one TLS connection.
#[derive(Debug, Default)]
pub struct Tls {
    facts: TlsFacts,
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
        if !(fits(0, |b| b == 22)
            && fits(1, |b| b == 3)
            && fits(2, |b| b <= 4)
            && fits(3, |b| b <= 0x48)
            && fits(5, |b| b == 1))
        {
            Sniff::No
        } else if bytes.len() < 6 {
            Sniff::Maybe
        } else {
            Sniff::Yes
        }
    }

    /// Takes in what happened next in `direction`. Decrypted application data leaves through `out`, with
    /// offsets that count plaintext bytes; without secrets nothing leaves.
    pub fn feed(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let _ = (stamp, direction, event, keys, out);
    }

    /// What is known so far.
    #[must_use]
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }
}
