//! The pcap format: a file header of 24 bytes, then records of 16 header bytes (24 in Kuznetzov's variant)
//! and the captured bytes.

use super::{Pause, captured_limit, link_type, u16_at, u32_at};
use crate::packet::{LinkType, PacketRef};

/// Length of the file header in bytes.
pub(super) const FILE_HEADER: usize = 24;

/// Walks records as the file header describes them.
#[derive(Debug)]
pub(super) struct Reader {
    big_endian: bool,
    /// Length of a record header: 16, or 24 with interface, protocol and packet type (magic 0xa1b2cd34).
    record_header: usize,
    /// Nanoseconds per unit of the fraction: 1 or 1000.
    unit: u32,
    limit: u32,
    link: LinkType,
    lengths: Lengths,
}

/// Which of a record's two lengths comes first. Versions before 2.3 wrote the length on the wire first, and
/// 2.3 wrote either; from 2.4 on the captured length is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    Either,
    OriginalFirst,
}

impl Reader {
    /// Reads the file header, whose magic is known to be one of the six.
    pub(super) fn from_header(header: &[u8; FILE_HEADER]) -> Self {
        match u32_at::<true>(header, 0) {
            magic @ (0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34) => Self::parse::<true>(header, magic),
            magic => Self::parse::<false>(header, magic.swap_bytes()),
        }
    }

    fn parse<const BIG: bool>(header: &[u8; FILE_HEADER], magic: u32) -> Self {
        let major = u16_at::<BIG>(header, 4);
        let minor = u16_at::<BIG>(header, 6);
        let lengths = match (major, minor) {
            (2, 0..=2) => Lengths::OriginalFirst,
            (2, 3) => Lengths::Either,
            _ => Lengths::CapturedFirst,
        };
        Self {
            big_endian: BIG,
            record_header: if magic == 0xa1b2_cd34 { 24 } else { 16 },
            unit: if magic == 0xa1b2_3c4d { 1 } else { 1000 },
            limit: captured_limit(u32_at::<BIG>(header, 16)),
            link: link_type(u32_at::<BIG>(header, 20)),
            lengths,
        }
    }

    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        stop: usize,
        base: u64,
        packets: &mut Vec<PacketRef>,
    ) -> Pause {
        if self.big_endian {
            self.walk_records::<true>(bytes, at, stop, base, packets)
        } else {
            self.walk_records::<false>(bytes, at, stop, base, packets)
        }
    }

    #[inline(always)]
    fn walk_records<const BIG: bool>(
        &self,
        bytes: &[u8],
        place: &mut usize,
        stop: usize,
        base: u64,
        packets: &mut Vec<PacketRef>,
    ) -> Pause {
        let Self { record_header, limit, link, lengths, .. } = *self;
        let unit = i64::from(self.unit);
        let mut at = *place;
        let pause = loop {
            if at >= stop {
                break Pause::Stop;
            }
            let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) else {
                break Pause::Need(record_header);
            };
            let mut captured = u32_at::<BIG>(header, 8);
            let mut original = u32_at::<BIG>(header, 12);
            if lengths != Lengths::CapturedFirst && (lengths == Lengths::OriginalFirst || captured > original) {
                std::mem::swap(&mut captured, &mut original);
            }
            if captured > limit {
                break Pause::Damaged(format!(
                    "the record at byte {} claims {captured} bytes, more than the {limit} that a packet can have here",
                    base.wrapping_add(at as u64),
                ));
            }
            let data = at + record_header;
            let next = data + captured as usize;
            if next > bytes.len() {
                break Pause::Need(next - at);
            }
            // At most 2^32 seconds and 2^32 units: far within an i64 of nanoseconds.
            let seconds = i64::from(u32_at::<BIG>(header, 0));
            let fraction = i64::from(u32_at::<BIG>(header, 4));
            packets.push(PacketRef {
                at: seconds * 1_000_000_000 + fraction * unit,
                offset: data as u32,
                captured,
                original,
                link,
            });
            at = next;
        };
        *place = at;
        pause
    }
}
