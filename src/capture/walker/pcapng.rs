//! The pcapng format (draft-ietf-opsawg-pcapng): blocks with their length at both ends.
//!
//! ```text
//!  0           4              8                      length-4      length
//!  | type (4) | length (4)   | body, padded to 4    | length (4) |
//! ```

use super::{
    MAX_BLOCK, MAX_INTERFACES, MAX_PENDING_SECRETS, NOT_A_PACKET, Pause, Totals, captured_limit, link_type, u16_at,
    u32_at,
};
use crate::packet::{LinkType, PacketRef};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const JOURNAL_EXPORT: u32 = 9;
const DECRYPTION_SECRETS: u32 = 10;
const CUSTOM: u32 = 0x0bad;
const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;

/// `TLSK`: a TLS key log in NSS format.
const TLS_KEY_LOG: u32 = 0x544c_534b;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Length of the fixed part of a packet block: block header, then five words.
const PACKET_HEADER: usize = 28;

/// Length of type, length, and length again.
const BLOCK_OVERHEAD: u32 = 12;

/// The state of the current section.
#[derive(Debug, Default)]
pub(super) struct Reader {
    big_endian: bool,
    interfaces: Vec<Interface>,
    skip: Option<Skip>,
}

/// A block of no use, being skipped.
#[derive(Debug)]
struct Skip {
    /// File offset where the block begins.
    block: u64,
    /// Bytes before its second length.
    left: u64,
    /// Its length, to compare with the second one.
    length: u32,
    /// Whether Wireshark gives it a frame number although it holds no packet.
    numbered: bool,
}

/// An interface description block.
#[derive(Debug)]
struct Interface {
    link: LinkType,
    snap_length: u32,
    /// Longest packet accepted.
    limit: u32,
    clock: Clock,
}

/// How an interface counts time: `if_tsresol` and `if_tsoffset`.
#[derive(Debug)]
struct Clock {
    /// Ticks up to here become nanoseconds by one multiplication and one addition.
    plain_max: u64,
    /// Nanoseconds per tick; 0 when that is no whole number.
    multiplier: u64,
    /// `if_tsoffset` in nanoseconds.
    offset: i64,
    /// `if_tsresol`: a negative power of ten, or of two when the top bit is set.
    resolution: u8,
}

impl Clock {
    fn new(resolution: u8, offset_seconds: i64) -> Self {
        let multiplier = match resolution {
            0..=9 => 10u64.pow(9 - u32::from(resolution)),
            0x80 => 1_000_000_000,
            0x81..=0x89 => 1_000_000_000 >> (resolution & 0x7f),
            _ => 0,
        };
        let exact_offset = offset_seconds.checked_mul(1_000_000_000);
        let offset = exact_offset.unwrap_or(if offset_seconds < 0 { i64::MIN } else { i64::MAX });
        let plain_max = match exact_offset {
            Some(offset) if multiplier > 0 => (i64::MAX - offset.max(0)) as u64 / multiplier,
            // Not even 0 ticks are plain when the offset itself is out of range.
            _ => 0,
        };
        Self { plain_max, multiplier, offset, resolution }
    }

    /// Nanoseconds since the epoch.
    #[inline(always)]
    fn time(&self, ticks: u64) -> i64 {
        if ticks <= self.plain_max { (ticks * self.multiplier) as i64 + self.offset } else { self.exact(ticks) }
    }

    /// Any resolution, cut to whole nanoseconds; times outside the range of an `i64` saturate.
    #[cold]
    fn exact(&self, ticks: u64) -> i64 {
        let ticks = u128::from(ticks);
        let exponent = u32::from(self.resolution & 0x7f);
        let nanoseconds = if self.resolution & 0x80 != 0 {
            (ticks * 1_000_000_000) >> exponent
        } else {
            // 10^28 is more than any 64-bit number of ticks in nanoseconds.
            10u128.checked_pow(exponent).map_or(0, |units| ticks * 1_000_000_000 / units)
        };
        let nanoseconds = i128::try_from(nanoseconds).unwrap_or(i128::MAX);
        let time = nanoseconds.saturating_add(i128::from(self.offset));
        i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Rounds up to the next multiple of four.
#[inline(always)]
const fn padded(length: u32) -> usize {
    (length as usize + 3) & !3
}

impl Reader {
    /// Whether the last byte seen lies inside a block that is being skipped.
    pub(super) fn is_inside_block(&self) -> bool {
        self.skip.is_some()
    }

    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        stop: usize,
        base: u64,
        packets: &mut Vec<PacketRef>,
        totals: &mut Totals,
    ) -> Pause {
        loop {
            let big_endian = self.big_endian;
            let done = if big_endian {
                self.walk_section::<true>(bytes, at, stop, base, packets, totals)
            } else {
                self.walk_section::<false>(bytes, at, stop, base, packets, totals)
            };
            if let Some(pause) = done {
                return pause;
            }
        }
    }

    /// Walks blocks of one byte order; `None` when a section header changed it.
    fn walk_section<const BIG: bool>(
        &mut self,
        bytes: &[u8],
        place: &mut usize,
        stop: usize,
        base: u64,
        packets: &mut Vec<PacketRef>,
        totals: &mut Totals,
    ) -> Option<Pause> {
        loop {
            if self.skip.is_some()
                && let Some(pause) = self.continue_skip::<BIG>(bytes, place, packets, totals)
            {
                return Some(pause);
            }
            if let Some(pause) = self.walk_packets::<BIG>(bytes, place, stop, base, packets) {
                return Some(pause);
            }
            match self.other_block::<BIG>(bytes, place, base, packets, totals) {
                Ok(()) if self.big_endian != BIG => return None,
                Ok(()) => {}
                Err(pause) => return Some(pause),
            }
        }
    }

    /// The fast path: enhanced packet blocks one after the other. `None` when another block comes.
    #[inline(always)]
    fn walk_packets<const BIG: bool>(
        &self,
        bytes: &[u8],
        place: &mut usize,
        stop: usize,
        base: u64,
        packets: &mut Vec<PacketRef>,
    ) -> Option<Pause> {
        let mut at = *place;
        let pause = loop {
            if at >= stop {
                break Some(Pause::Stop);
            }
            let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<PACKET_HEADER>) else {
                // Too short for a packet, but perhaps another block.
                break None;
            };
            if u32_at::<BIG>(header, 0) != ENHANCED_PACKET {
                break None;
            }
            let length = u32_at::<BIG>(header, 4);
            let number = u32_at::<BIG>(header, 8);
            let captured = u32_at::<BIG>(header, 20);
            let Some(interface) = self.interfaces.get(number as usize) else {
                break Some(self.unknown_interface(number, base.wrapping_add(at as u64)));
            };
            // With a length up to MAX_BLOCK nothing below can overflow.
            if captured > interface.limit || length > MAX_BLOCK || padded(length) < PACKET_HEADER + padded(captured) + 4
            {
                break Some(bad_packet(length, captured, interface.limit, base.wrapping_add(at as u64)));
            }
            let next = at + padded(length);
            let Some(trailer) = bytes.get(next - 4..next) else {
                break Some(Pause::Need(next - at));
            };
            if u32_at::<BIG>(trailer, 0) != length {
                break Some(disagreement(length, u32_at::<BIG>(trailer, 0), base.wrapping_add(at as u64)));
            }
            let ticks = u64::from(u32_at::<BIG>(header, 12)) << 32 | u64::from(u32_at::<BIG>(header, 16));
            packets.push(PacketRef {
                at: interface.clock.time(ticks),
                offset: (at + PACKET_HEADER) as u32,
                captured,
                original: u32_at::<BIG>(header, 24),
                link: interface.link,
            });
            at = next;
        };
        *place = at;
        pause
    }

    /// One block of any other kind.
    #[cold]
    fn other_block<const BIG: bool>(
        &mut self,
        bytes: &[u8],
        place: &mut usize,
        base: u64,
        packets: &mut Vec<PacketRef>,
        totals: &mut Totals,
    ) -> Result<(), Pause> {
        let at = *place;
        let rest = bytes.get(at..).unwrap_or_default();
        let offset = base.wrapping_add(at as u64);
        if rest.len() < 12 {
            return Err(Pause::Need(12));
        }
        let kind = u32_at::<BIG>(rest, 0);
        // The type of a section header reads the same in both byte orders; its own magic tells which it is.
        if kind == SECTION_HEADER {
            *place += self.section_header(rest, offset)?;
            return Ok(());
        }
        if kind == ENHANCED_PACKET {
            // The fast path takes it as soon as its fixed part is there.
            return Err(Pause::Need(PACKET_HEADER));
        }
        let length = u32_at::<BIG>(rest, 4);
        if length < BLOCK_OVERHEAD {
            return Err(Pause::Damaged(format!(
                "the block at byte {offset} claims {length} bytes, fewer than the 12 that any block has"
            )));
        }
        let least = match kind {
            INTERFACE_DESCRIPTION => 20,
            PACKET => 32,
            SIMPLE_PACKET => 16,
            DECRYPTION_SECRETS => 20,
            CUSTOM | CUSTOM_NOT_COPIED | JOURNAL_EXPORT => return self.begin_skip(place, offset, length, true),
            _ => return self.begin_skip(place, offset, length, false),
        };
        if length < least {
            return Err(Pause::Damaged(format!(
                "the block at byte {offset} claims {length} bytes, fewer than the {least} that its type {kind} has"
            )));
        }
        if length > MAX_BLOCK {
            if kind == DECRYPTION_SECRETS {
                totals.secrets_refused += 1;
                return self.begin_skip(place, offset, length, false);
            }
            return Err(Pause::Damaged(format!(
                "the block at byte {offset} claims {length} bytes, more than the {MAX_BLOCK} that its type {kind} can have"
            )));
        }
        let whole = padded(length);
        if rest.len() < whole {
            return Err(Pause::Need(whole));
        }
        let block = &rest[..whole];
        let trailer = u32_at::<BIG>(block, whole - 4);
        if trailer != length {
            return Err(disagreement(length, trailer, offset));
        }
        match kind {
            INTERFACE_DESCRIPTION => self.interface_description::<BIG>(block, offset, totals)?,
            DECRYPTION_SECRETS => decryption_secrets::<BIG>(block, totals),
            SIMPLE_PACKET => self.simple_packet::<BIG>(block, at, offset, packets, totals)?,
            _ => self.obsolete_packet::<BIG>(block, at, offset, packets)?,
        }
        *place = at + whole;
        Ok(())
    }

    /// Starts a section; how many bytes were consumed. Its options are skipped.
    fn section_header(&mut self, rest: &[u8], offset: u64) -> Result<usize, Pause> {
        let Some(header) = rest.first_chunk::<24>() else { return Err(Pause::Need(24)) };
        let big_endian = match u32_at::<true>(header, 8) {
            BYTE_ORDER_MAGIC => true,
            magic if magic.swap_bytes() == BYTE_ORDER_MAGIC => false,
            magic => {
                return Err(Pause::Damaged(format!(
                    "the section header at byte {offset} has the byte-order magic {magic:08x}, expected 1a2b3c4d"
                )));
            }
        };
        let (length, major) = if big_endian {
            (u32_at::<true>(header, 4), u16_at::<true>(header, 12))
        } else {
            (u32_at::<false>(header, 4), u16_at::<false>(header, 12))
        };
        if length < 28 {
            return Err(Pause::Damaged(format!(
                "the section header at byte {offset} claims {length} bytes, fewer than the 28 it must have"
            )));
        }
        if major != 1 {
            return Err(Pause::Damaged(format!(
                "the section header at byte {offset} is of version {major}, and only version 1 is known"
            )));
        }
        self.big_endian = big_endian;
        self.interfaces.clear();
        let left = (u64::from(length) - 28).next_multiple_of(4);
        self.skip = Some(Skip { block: offset, left, length, numbered: false });
        Ok(24)
    }

    fn interface_description<const BIG: bool>(
        &mut self,
        block: &[u8],
        offset: u64,
        totals: &mut Totals,
    ) -> Result<(), Pause> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Pause::Damaged(format!(
                "the interface description at byte {offset} is one more than {MAX_INTERFACES} in one section"
            )));
        }
        let link = link_type(u32::from(u16_at::<BIG>(block, 8)));
        let snap_length = u32_at::<BIG>(block, 12);
        let mut resolution = 6;
        let mut time_offset = 0;
        let mut options = &block[16..block.len() - 4];
        // Options that make no sense end the list; what was understood stands.
        while options.len() >= 4 {
            let code = u16_at::<BIG>(options, 0);
            let length = u16_at::<BIG>(options, 2);
            let Some(value) = options.get(4..4 + usize::from(length)) else { break };
            match (code, value) {
                (0, _) => break,
                (9, &[value, ..]) => resolution = value,
                (14, value) => {
                    if let Some(value) = value.first_chunk() {
                        time_offset = if BIG { i64::from_be_bytes(*value) } else { i64::from_le_bytes(*value) };
                    }
                }
                _ => {}
            }
            options = options.get(4 + padded(u32::from(length))..).unwrap_or_default();
        }
        totals.link_type(link);
        self.interfaces.push(Interface {
            link,
            snap_length,
            limit: captured_limit(snap_length),
            clock: Clock::new(resolution, time_offset),
        });
        Ok(())
    }

    /// A simple packet: of the first interface, without a time, cut by the snap length without saying so.
    fn simple_packet<const BIG: bool>(
        &self,
        block: &[u8],
        at: usize,
        offset: u64,
        packets: &mut Vec<PacketRef>,
        totals: &mut Totals,
    ) -> Result<(), Pause> {
        let Some(interface) = self.interfaces.first() else { return Err(self.unknown_interface(0, offset)) };
        let original = u32_at::<BIG>(block, 8);
        let mut captured = original.min((block.len() - 16) as u32);
        if interface.snap_length != 0 {
            captured = captured.min(interface.snap_length);
        }
        if captured > interface.limit {
            return Err(bad_packet(block.len() as u32, captured, interface.limit, offset));
        }
        totals.untimed += 1;
        packets.push(PacketRef {
            at: packets.last().map_or(totals.last_time, |packet| packet.at),
            offset: (at + 12) as u32,
            captured,
            original,
            link: interface.link,
        });
        Ok(())
    }

    /// The packet block that enhanced packet blocks replaced: its interface number has 16 bits.
    fn obsolete_packet<const BIG: bool>(
        &self,
        block: &[u8],
        at: usize,
        offset: u64,
        packets: &mut Vec<PacketRef>,
    ) -> Result<(), Pause> {
        let number = u32::from(u16_at::<BIG>(block, 8));
        let Some(interface) = self.interfaces.get(number as usize) else {
            return Err(self.unknown_interface(number, offset));
        };
        let captured = u32_at::<BIG>(block, 20);
        if captured > interface.limit || block.len() < PACKET_HEADER + padded(captured) + 4 {
            return Err(bad_packet(block.len() as u32, captured, interface.limit, offset));
        }
        let ticks = u64::from(u32_at::<BIG>(block, 12)) << 32 | u64::from(u32_at::<BIG>(block, 16));
        packets.push(PacketRef {
            at: interface.clock.time(ticks),
            offset: (at + PACKET_HEADER) as u32,
            captured,
            original: u32_at::<BIG>(block, 24),
            link: interface.link,
        });
        Ok(())
    }

    /// Begins to skip a block without needing it whole: its head now, the rest as it arrives.
    fn begin_skip(&mut self, place: &mut usize, offset: u64, length: u32, numbered: bool) -> Result<(), Pause> {
        let left = (u64::from(length) - u64::from(BLOCK_OVERHEAD)).next_multiple_of(4);
        self.skip = Some(Skip { block: offset, left, length, numbered });
        *place += 8;
        Ok(())
    }

    /// Continues to skip a block; `None` when it is over.
    fn continue_skip<const BIG: bool>(
        &mut self,
        bytes: &[u8],
        place: &mut usize,
        packets: &mut Vec<PacketRef>,
        totals: &mut Totals,
    ) -> Option<Pause> {
        let skip = self.skip.as_mut()?;
        let there = (bytes.len() - *place) as u64;
        let step = skip.left.min(there);
        *place += step as usize;
        skip.left -= step;
        if skip.left > 0 {
            return Some(Pause::Need(1));
        }
        let Some(trailer) = bytes.get(*place..*place + 4) else { return Some(Pause::Need(4)) };
        let trailer = u32_at::<BIG>(trailer, 0);
        if trailer != skip.length {
            return Some(disagreement(skip.length, trailer, skip.block));
        }
        if skip.numbered {
            let at = packets.last().map_or(totals.last_time, |packet| packet.at);
            packets.push(PacketRef { at, offset: *place as u32, captured: 0, original: 0, link: NOT_A_PACKET });
            totals.untimed += 1;
        }
        *place += 4;
        self.skip = None;
        None
    }

    #[cold]
    fn unknown_interface(&self, number: u32, offset: u64) -> Pause {
        Pause::Damaged(format!(
            "the packet at byte {offset} names interface {number}, but its section has described {} interface(s)",
            self.interfaces.len()
        ))
    }
}

/// Keeps the contents of a secrets block that holds a TLS key log.
fn decryption_secrets<const BIG: bool>(block: &[u8], totals: &mut Totals) {
    if u32_at::<BIG>(block, 8) != TLS_KEY_LOG {
        return;
    }
    // A length beyond the block is the writer's mistake; what is there is text all the same.
    let there = block.len() - 20;
    let length = there.min(u32_at::<BIG>(block, 12) as usize);
    if totals.secret_bytes + length > MAX_PENDING_SECRETS {
        totals.secrets_refused += 1;
        return;
    }
    totals.secret_bytes += length;
    totals.secrets.push(block[16..16 + length].to_vec());
}

#[cold]
fn bad_packet(length: u32, captured: u32, limit: u32, offset: u64) -> Pause {
    Pause::Damaged(if captured > limit {
        format!(
            "the packet at byte {offset} claims {captured} bytes, more than the {limit} that a packet can have here"
        )
    } else if length > MAX_BLOCK {
        format!("the packet at byte {offset} claims a block of {length} bytes, more than {MAX_BLOCK}")
    } else {
        format!("the packet at byte {offset} claims {captured} bytes in a block of {length}, which cannot hold them")
    })
}

#[cold]
fn disagreement(first: u32, second: u32, offset: u64) -> Pause {
    Pause::Damaged(format!(
        "the block at byte {offset} gives its length as {first} at its beginning and as {second} at its end"
    ))
}
