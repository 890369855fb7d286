//! One packet: from captured bytes to a TCP segment, or to the reason why there is none.
//!
//! Pure: no IO, no clock, no allocation but for reassembling fragments. Checksums (RFC 9293 §3.1) are not verified,
//! because offloading leaves them wrong on the capturing host.

#![forbid(unsafe_code)]

mod decode;
mod decoded;
mod fast_path;
mod fragment;
mod icmp;
mod layer;
mod layers;
mod link;
mod tcp_header;
#[cfg(test)]
mod tests;
mod tunnel;
mod view;

pub use decode::decode;
pub(crate) use decode::{FromEnds, plain_ends, with_plain_segment};
pub use decoded::{Decoded, Undecodable};
pub use fragment::{Defragmenter, Fragment, Reassembled};
pub use icmp::{IcmpError, IcmpKind};
pub use layer::MAX_LAYERS;

use std::fmt;
use std::net::IpAddr;

/// The packet and time at which something was seen: every fact carries one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// 1-based number of the packet in the capture, equal to Wireshark's `frame.number`.
    pub packet: u64,
    /// Capture time in nanoseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
}

/// `Option<Stamp>` without a discriminant: packet `u64::MAX` means none. Facts hold many stamps that may never be set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaybeStamp(Stamp);

impl MaybeStamp {
    /// No capture has this many packets.
    const NONE: u64 = u64::MAX;

    #[inline]
    pub(crate) const fn get(self) -> Option<Stamp> {
        if self.is_some() { Some(self.0) } else { None }
    }

    #[inline]
    pub(crate) const fn is_some(self) -> bool {
        self.0.packet != Self::NONE
    }

    #[inline]
    pub(crate) const fn is_none(self) -> bool {
        !self.is_some()
    }

    /// Sets it to `stamp` if it is none.
    #[inline]
    pub(crate) const fn get_or_insert(&mut self, stamp: Stamp) {
        if self.is_none() {
            self.0 = stamp;
        }
    }
}

impl Default for MaybeStamp {
    #[inline]
    fn default() -> Self {
        Self(Stamp { packet: Self::NONE, at: 0 })
    }
}

impl From<Stamp> for MaybeStamp {
    #[inline]
    fn from(stamp: Stamp) -> Self {
        Self(stamp)
    }
}

impl From<Option<Stamp>> for MaybeStamp {
    #[inline]
    fn from(stamp: Option<Stamp>) -> Self {
        stamp.map_or_else(Self::default, Self)
    }
}

impl fmt::Debug for MaybeStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A `LINKTYPE_` value as registered with tcpdump.org, without FCS bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u16);

/// A packet as captured, borrowed from the batch that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its number and time.
    pub stamp: Stamp,
    /// Type of its first header.
    pub link: LinkType,
    /// The captured bytes, perhaps cut by the snap length.
    pub bytes: &'a [u8],
    /// Its length on the wire in bytes; at least `bytes.len()`.
    pub original_len: u32,
}

/// Position of a packet in its [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct PacketRef {
    /// Capture time in nanoseconds since the epoch.
    pub at: i64,
    /// First byte in the arena.
    pub offset: u32,
    /// Bytes captured.
    pub captured: u32,
    /// Bytes on the wire.
    pub original: u32,
    /// Link type of the interface it was captured on.
    pub link: LinkType,
}

/// Packets in capture order over one shared arena: the unit in which captures are read, decoded and
/// passed on. Both vectors are pooled; nothing is allocated per packet.
#[derive(Debug, Default)]
pub struct Batch {
    /// The captured bytes, record headers included.
    pub arena: Vec<u8>,
    /// The packets, in capture order.
    pub packets: Vec<PacketRef>,
    /// Number of the first packet (1-based over the whole capture).
    pub first_packet: u64,
}

impl Batch {
    /// The `index`th packet of this batch.
    #[must_use]
    pub fn packet(&self, index: usize) -> Packet<'_> {
        let r = self.packets[index];
        let start = r.offset as usize;
        Packet {
            stamp: Stamp { packet: self.first_packet + index as u64, at: r.at },
            link: r.link,
            bytes: &self.arena[start..start + r.captured as usize],
            original_len: r.original.max(r.captured),
        }
    }

    /// All packets of this batch, in order.
    pub fn iter(&self) -> impl Iterator<Item = Packet<'_>> {
        (0..self.packets.len()).map(|index| self.packet(index))
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IPv4 or IPv6 address.
    pub ip: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// TCP control bits (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN bit.
    pub const FIN: u8 = 0x01;
    /// SYN bit.
    pub const SYN: u8 = 0x02;
    /// RST bit.
    pub const RST: u8 = 0x04;
    /// PSH bit.
    pub const PSH: u8 = 0x08;
    /// ACK bit.
    pub const ACK: u8 = 0x10;

    /// Whether any of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// The TCP options in use here (RFC 9293 §3.2); read from segments with SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size in bytes; 0 when the option is absent.
    pub mss: u16,
}

/// One TCP segment, borrowed from its packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Number and time of the packet that carried it (of the last fragment, if it was fragmented).
    pub stamp: Stamp,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// Sequence number of the first payload byte (of the SYN, if set).
    pub sequence: u32,
    /// Acknowledgment number; meaningful with the ACK bit.
    pub acknowledgment: u32,
    /// Window field as sent, unscaled.
    pub window: u16,
    /// Control bits.
    pub flags: TcpFlags,
    /// IPv4 time to live or IPv6 hop limit.
    pub ttl: u8,
    /// IPv4 identification; 0 for IPv6.
    pub ip_id: u16,
    /// Options, read from segments with SYN only.
    pub options: TcpOptions,
    /// Payload length on the wire in bytes.
    pub payload_len: u32,
    /// Payload as captured: shorter than `payload_len` when the snap length cut it.
    pub payload: &'a [u8],
}
