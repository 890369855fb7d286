//! The entry to the decoder.
//!
//! Two tiers: [`fast_path`](super::fast_path) for plain Ethernet/IP/TCP, [`layers`](super::layers) for everything
//! else. Decoding is stateless; fragments go through a [`Defragmenter`](super::Defragmenter) and are decoded after it.

use super::{Decoded, Endpoint, Packet, Segment, fast_path, layers};

/// Decodes one packet. Pure; never allocates; never panics, whatever the bytes.
///
/// ```
/// use wsscan::packet::{Decoded, LinkType, Packet, Stamp, decode};
///
/// let mut frame = vec![0; 12];
/// frame.extend([0x08, 0x06]); // ARP
/// frame.extend([0; 28]);
/// let packet = Packet { stamp: Stamp::default(), link: LinkType(1), bytes: &frame, original_len: 42 };
/// assert!(matches!(decode(packet), Decoded::Other));
/// ```
#[inline]
#[must_use]
pub fn decode(packet: Packet<'_>) -> Decoded<'_> {
    match fast_path::segment(&packet) {
        Some(segment) => Decoded::Segment(segment),
        None => layers::decode(&packet),
    }
}

/// Calls `take` with the segment in a packet that the fast path decodes; [`decode`] returns an equal one. Returns whether
/// there is one. (A callback, so that the segment is not moved.)
#[inline(always)]
pub(crate) fn with_plain_segment<'a>(packet: &Packet<'a>, take: impl FnOnce(&Segment<'a>)) -> bool {
    fast_path::with_segment(packet, take)
}

/// A type that is built from a segment's sender and receiver. Implementations should be inlined: most of the code then
/// disappears for each version of IP.
pub(crate) trait FromEnds {
    /// Builds it.
    fn from_ends(source: Endpoint, destination: Endpoint) -> Self;
}

/// Builds an `E` from sender and receiver of a packet that the fast path decodes. Where this returns `Some`, [`decode`]
/// returns a segment between the same two.
#[inline(always)]
pub(crate) fn plain_ends<E: FromEnds>(packet: &Packet<'_>) -> Option<E> {
    fast_path::ends(packet)
}
