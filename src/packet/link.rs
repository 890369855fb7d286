//! Link layers: from the first bytes of a captured packet to IP.
//!
//! Knows the headers of the link types that carry IP, and the tags and shims between link and IP
//! (VLAN, MPLS, PPPoE, MACsec without encryption, LLC/SNAP). Never looks inside IP.

use super::layer::{Layer, Step};
use super::view::{View, be16};
use super::{LinkType, Undecodable};

impl LinkType {
    /// BSD loopback: address family in the byte order of the capturing host.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// PPP, with or without HDLC-like framing.
    pub const PPP: LinkType = LinkType(9);
    /// Raw IP as some systems number it.
    pub const RAW_BSD: LinkType = LinkType(12);
    /// Raw IP as OpenBSD numbers it.
    pub const RAW_OPENBSD: LinkType = LinkType(14);
    /// PPP in HDLC-like framing (RFC 1662), or Cisco HDLC.
    pub const PPP_HDLC: LinkType = LinkType(50);
    /// PPPoE session packets without their Ethernet header (RFC 2516).
    pub const PPP_ETHER: LinkType = LinkType(51);
    /// Raw IPv4 or IPv6, told apart by the version field.
    pub const RAW: LinkType = LinkType(101);
    /// Cisco HDLC.
    pub const C_HDLC: LinkType = LinkType(104);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux "cooked" capture, as from the `any` device.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// Raw IPv4.
    pub const IPV4: LinkType = LinkType(228);
    /// Raw IPv6.
    pub const IPV6: LinkType = LinkType(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: LinkType = LinkType(276);
}

/// EtherType numbers (IEEE 802 Numbers registry).
pub(super) mod ethertype {
    pub(in super::super) const IPV4: u16 = 0x0800;
    pub(in super::super) const IPV6: u16 = 0x86dd;
    pub(in super::super) const VLAN: u16 = 0x8100;
    pub(in super::super) const QINQ: u16 = 0x88a8;
    pub(in super::super) const QINQ_OLD: u16 = 0x9100;
    pub(in super::super) const PPP: u16 = 0x880b;
    pub(in super::super) const MPLS: u16 = 0x8847;
    pub(in super::super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in super::super) const PPPOE_SESSION: u16 = 0x8864;
    pub(in super::super) const MACSEC: u16 = 0x88e5;
    /// Transparent Ethernet bridging (RFC 1701; NVGRE, RFC 7637).
    pub(in super::super) const BRIDGED_ETHERNET: u16 = 0x6558;
    /// Largest value that is a length, not a type (IEEE 802.3 §3.2.6).
    pub(super) const MAX_LENGTH: u16 = 1500;
    /// Known protocols that never carry IP: ARP, wake-on-LAN, RARP, AppleTalk, IPX, PPPoE discovery,
    /// LACP and other slow protocols, EAPOL, PROFINET, EtherCAT, TIPC, LLDP, PTP, CFM, FCoE, FIP, RoCE, loopback.
    pub(super) const OF_NO_INTEREST: [u16; 21] = [
        0x0806, 0x0842, 0x8035, 0x809b, 0x80f3, 0x8137, 0x8138, 0x8863, 0x8809, 0x888e, 0x8892, 0x88a4, 0x88ca, 0x88cc,
        0x88f7, 0x8902, 0x8906, 0x8914, 0x8915, 0x9000, 0x22f0,
    ];
}

/// The first layer of a packet captured on `link`.
pub(super) fn first_layer<'a>(link: LinkType, view: View<'a>) -> Result<(Layer, View<'a>), Undecodable> {
    match link {
        LinkType::ETHERNET => Ok((Layer::Ethernet, view)),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => Ok((Layer::Ip, view)),
        LinkType::IPV4 => Ok((Layer::Ipv4, view)),
        LinkType::IPV6 => Ok((Layer::Ipv6, view)),
        LinkType::NULL | LinkType::LOOP => loopback(view),
        LinkType::LINUX_SLL => {
            let header: &[u8; 16] = view.head()?;
            Ok((cooked(be16(header[14], header[15])), view.after(16)?))
        }
        LinkType::LINUX_SLL2 => {
            let header: &[u8; 20] = view.head()?;
            Ok((cooked(be16(header[0], header[1])), view.after(20)?))
        }
        LinkType::PPP => Ok((Layer::Ppp, view)),
        // The two address bytes of Cisco HDLC (unicast, multicast) are no valid PPP address.
        LinkType::PPP_HDLC => match view.head::<1>()? {
            [0x0f | 0x8f] => cisco_hdlc(view),
            _ => Ok((Layer::Ppp, view)),
        },
        LinkType::C_HDLC => cisco_hdlc(view),
        LinkType::PPP_ETHER => Ok((Layer::Pppoe, view)),
        unknown => Err(Undecodable::UnknownLinkType(unknown)),
    }
}

/// A cooked header's protocol: an EtherType, or one of Linux' own numbers below 1536, of which 4 means LLC.
fn cooked(protocol: u16) -> Layer {
    match protocol {
        4 => Layer::EtherType(ethertype::MAX_LENGTH),
        0..=ethertype::MAX_LENGTH => Layer::Ignored,
        kind => Layer::EtherType(kind),
    }
}

/// Four bytes of address family; the numbers are small, so the smaller reading is the right byte order.
fn loopback(view: View<'_>) -> Result<(Layer, View<'_>), Undecodable> {
    let family: &[u8; 4] = view.head()?;
    let layer = match u32::from_be_bytes(*family).min(u32::from_le_bytes(*family)) {
        2 => Layer::Ipv4,
        // NetBSD and OpenBSD; FreeBSD; macOS; Linux.
        24 | 28 | 30 | 10 => Layer::Ipv6,
        _ => Layer::Ignored,
    };
    Ok((layer, view.after(4)?))
}

fn cisco_hdlc(view: View<'_>) -> Result<(Layer, View<'_>), Undecodable> {
    let header: &[u8; 4] = view.head()?;
    Ok((Layer::EtherType(be16(header[2], header[3])), view.after(4)?))
}

/// IEEE 802.3 §3.1.1.
pub(super) fn ethernet(view: View<'_>) -> Result<Step<'_>, Undecodable> {
    let header: &[u8; 14] = view.head()?;
    Ok(Step::Next(Layer::EtherType(be16(header[12], header[13])), view.after(14)?))
}

/// The layer that an EtherType announces; `domain` collects VLAN numbers.
pub(super) fn after_ethertype<'a>(kind: u16, view: View<'a>, domain: &mut u64) -> Result<Step<'a>, Undecodable> {
    let layer = match kind {
        ethertype::IPV4 => Layer::Ipv4,
        ethertype::IPV6 => Layer::Ipv6,
        ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD => {
            let tag: &[u8; 4] = view.head()?;
            fold(domain, u32::from(be16(tag[0], tag[1]) & 0x0fff));
            return Ok(Step::Next(Layer::EtherType(be16(tag[2], tag[3])), view.after(4)?));
        }
        ethertype::MPLS | ethertype::MPLS_MULTICAST => Layer::Mpls,
        ethertype::PPPOE_SESSION => Layer::Pppoe,
        ethertype::PPP => Layer::Ppp,
        ethertype::BRIDGED_ETHERNET => Layer::Ethernet,
        ethertype::MACSEC => return macsec(view),
        0..=ethertype::MAX_LENGTH => return llc(view.limit(usize::from(kind))),
        _ if ethertype::OF_NO_INTEREST.contains(&kind) => Layer::Ignored,
        _ => return Err(Undecodable::UnknownEtherType(kind)),
    };
    Ok(Step::Next(layer, view))
}

/// Mixes a tag into the number that distinguishes private networks (FNV-1a).
pub(super) fn fold(domain: &mut u64, tag: u32) {
    *domain = (*domain ^ (u64::from(tag) + 1)).wrapping_mul(0x0000_0100_0000_01b3);
}

/// IEEE 802.2 LLC: IP comes in SNAP (RFC 1042) or, rarely, under its own service access point.
fn llc(view: View<'_>) -> Result<Step<'_>, Undecodable> {
    match *view.head::<3>()? {
        [0xaa, 0xaa, 0x03] => {
            let snap: &[u8; 8] = view.head()?;
            match snap[3..6] {
                // EtherTypes of RFC 1042, and of bridge tunnels (IEEE 802.1H).
                [0, 0, 0] | [0, 0, 0xf8] => {
                    let kind = be16(snap[6], snap[7]);
                    // A length in the place of the type would be LLC in LLC.
                    let layer = if kind > ethertype::MAX_LENGTH { Layer::EtherType(kind) } else { Layer::Ignored };
                    Ok(Step::Next(layer, view.after(8)?))
                }
                _ => Ok(Step::Next(Layer::Ignored, view)),
            }
        }
        [0x06, 0x06, 0x03] => Ok(Step::Next(Layer::Ipv4, view.after(3)?)),
        _ => Ok(Step::Next(Layer::Ignored, view)),
    }
}

/// PPP (RFC 1661), with or without the address and control bytes of HDLC-like framing (RFC 1662), the
/// protocol field compressed or not.
pub(super) fn ppp(mut view: View<'_>) -> Result<Step<'_>, Undecodable> {
    // RFC 1662 §3.1: the address is all ones, which is no protocol number; the control field is 3.
    if let [0xff] = view.head()? {
        match view.head()? {
            [0xff, 0x03] => view = view.after(2)?,
            _ => return Ok(Step::Next(Layer::Ignored, view)),
        }
    }
    // RFC 1661 §2: the last octet of a protocol number is odd, all others are even.
    let [first] = *view.head::<1>()?;
    let (protocol, len) = if first & 1 == 1 {
        (u16::from(first), 1)
    } else {
        let [high, low] = *view.head::<2>()?;
        (be16(high, low), 2)
    };
    let layer = match protocol {
        0x0021 => Layer::Ipv4,
        0x0057 => Layer::Ipv6,
        0x0281 | 0x0283 => Layer::Mpls,
        _ => Layer::Ignored,
    };
    Ok(Step::Next(layer, view.after(len)?))
}

/// A PPPoE session packet (RFC 2516 §4).
pub(super) fn pppoe(view: View<'_>) -> Result<Step<'_>, Undecodable> {
    let header: &[u8; 6] = view.head()?;
    // RFC 2516 §4: version and type are 1, and the code of a session packet is 0.
    if header[0] != 0x11 {
        return Err(Undecodable::BadHeader);
    }
    if header[1] != 0 {
        return Ok(Step::Next(Layer::Ignored, view));
    }
    Ok(Step::Next(Layer::Ppp, view.after(6)?.limit(usize::from(be16(header[4], header[5])))))
}

/// IEEE 802.1AE, integrity only: the frame goes on after the tag; the check value at its end lies beyond
/// the IP packet's length.
fn macsec(view: View<'_>) -> Result<Step<'_>, Undecodable> {
    let tag: &[u8; 6] = view.head()?;
    let (is_version_0, explicit_channel) = (tag[0] & 0x80 == 0, tag[0] & 0x20 != 0);
    let encrypted_or_changed = tag[0] & 0x0c != 0;
    if !is_version_0 || encrypted_or_changed {
        return Ok(Step::Next(Layer::Ignored, view));
    }
    let rest = view.after(if explicit_channel { 14 } else { 6 })?;
    let [high, low] = *rest.head::<2>()?;
    Ok(Step::Next(Layer::EtherType(be16(high, low)), rest.after(2)?))
}

/// One entry of an MPLS label stack (RFC 3032 §2.1).
///
/// The stack does not name the protocol below it: the first nibble distinguishes IP from a pseudowire (RFC 4928 §3).
/// Returns whether the step rests on that guess.
pub(super) fn mpls(view: View<'_>) -> Result<(Step<'_>, bool), Undecodable> {
    let entry: &[u8; 4] = view.head()?;
    let below = view.after(4)?;
    let bottom_of_stack = entry[2] & 1 == 1;
    if !bottom_of_stack {
        return Ok((Step::Next(Layer::Mpls, below), false));
    }
    let [first] = *below.head::<1>()?;
    let step = match first >> 4 {
        4 => Step::Next(Layer::Ipv4, below),
        6 => Step::Next(Layer::Ipv6, below),
        // RFC 4385 §3: a control word starts with a zero nibble; its flags and length are zero for Ethernet
        // frames of more than 63 bytes (RFC 4448 §4.6), its sequence number is free.
        0 if is_ethernet(below.bytes.get(4..)) => Step::Next(Layer::Ethernet, below.after(4)?),
        _ if is_ethernet(Some(below.bytes)) => Step::Next(Layer::Ethernet, below),
        _ => Step::Next(Layer::Ignored, below),
    };
    Ok((step, true))
}

/// Whether the bytes look like an Ethernet frame that may carry IP.
fn is_ethernet(bytes: Option<&[u8]>) -> bool {
    bytes.and_then(|bytes| bytes.get(12..14)).is_some_and(|kind| {
        matches!(
            be16(kind[0], kind[1]),
            ethertype::IPV4
                | ethertype::IPV6
                | ethertype::VLAN
                | ethertype::QINQ
                | ethertype::QINQ_OLD
                | ethertype::MPLS
                | ethertype::PPPOE_SESSION
        )
    })
}
