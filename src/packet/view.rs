//! Bytes still to be decoded, together with how many of them there were on the wire.
//!
//! Keeping both apart lets every layer tell a header that the snap length cut off from a header that
//! was never there.

use super::Undecodable;

/// What one layer hands to the next: captured bytes and their length on the wire.
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

    /// Only the first `wire` bytes as sent; a length field that claims more than there is changes nothing.
    #[inline(always)]
    pub(super) fn limit(self, wire: usize) -> Self {
        View { bytes: &self.bytes[..self.bytes.len().min(wire)], wire: self.wire.min(wire) }
    }

    /// Exactly `wire` bytes as sent, even where the frame was recorded as shorter: some tools cut packets
    /// and write the cut length as the original one, and then only the IP header knows better.
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
