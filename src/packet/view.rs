//! Bytes still to be decoded, together with their length on the wire.
//!
//! With both, every layer can tell a header that the snap length cut off from one that was never sent.

use super::Undecodable;

/// The input of one layer: captured bytes and their length on the wire.
///
/// Invariant: `wire >= bytes.len()`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) wire: usize,
}

impl<'a> View<'a> {
    /// A view of `bytes`, which were `wire` bytes long when sent.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], wire: usize) -> Self {
        View { bytes, wire: wire.max(bytes.len()) }
    }

    /// The first `N` bytes.
    #[inline(always)]
    pub(super) fn head<const N: usize>(self) -> Result<&'a [u8; N], Undecodable> {
        match self.bytes.first_chunk() {
            Some(head) => Ok(head),
            None => Err(self.lacking(N)),
        }
    }

    /// What is left after `n` header bytes, all of which must have been captured.
    #[inline(always)]
    pub(super) fn after(self, n: usize) -> Result<Self, Undecodable> {
        match self.bytes.get(n..) {
            Some(bytes) => Ok(View { bytes, wire: self.wire - n }),
            None => Err(self.lacking(n)),
        }
    }

    /// The first `wire` bytes as sent; a length field beyond the end changes nothing.
    #[inline(always)]
    pub(super) fn limit(self, wire: usize) -> Self {
        View { bytes: &self.bytes[..self.bytes.len().min(wire)], wire: self.wire.min(wire) }
    }

    /// Exactly `wire` bytes as sent, even if the frame is recorded as shorter: some tools cut packets and write the
    /// cut length as the original one, and then only the IP header is right.
    #[inline(always)]
    pub(super) fn resize(self, wire: usize) -> Self {
        View { bytes: &self.bytes[..self.bytes.len().min(wire)], wire }
    }

    /// Why `n` bytes cannot be read: not captured, or not sent.
    #[cold]
    fn lacking(self, n: usize) -> Undecodable {
        if self.wire >= n { Undecodable::TruncatedHeader } else { Undecodable::BadHeader }
    }
}

/// Two bytes in network byte order.
#[inline(always)]
pub(super) fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
