//! Tunnels: packets that carry packets.
//!
//! GRE with its variants, and the tunnels over UDP: VXLAN, Geneve, GTP-U. IP in IP needs no header
//! and is part of the general decoder.

use super::Undecodable;
use super::layer::{Layer, Step};
use super::link::{ethertype, fold};
use super::view::{View, be16};

/// VXLAN (RFC 7348 §5), and the port Linux used before there was one.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// Geneve (RFC 8926 §3.3).
const GENEVE_PORT: u16 = 6081;
/// GTP-U (3GPP TS 29.281 §4.4.2.3).
const GTP_U_PORT: u16 = 2152;
/// ERSPAN types I and II.
const ERSPAN: u16 = 0x88be;
/// ERSPAN type III.
const ERSPAN_III: u16 = 0x22eb;

/// GRE: version 0 (RFC 2784, RFC 2890) and version 1 (PPTP, RFC 2637 §4.1).
pub(super) fn gre<'a>(view: View<'a>, domain: &mut u64) -> Result<Step<'a>, Undecodable> {
    let &[flags, version, high, low] = view.head()?;
    let protocol = be16(high, low);
    let has_key = flags & 0x20 != 0;
    let has_sequence = flags & 0x10 != 0;
    match version & 0x07 {
        0 => {
            // RFC 2784 §2.3: a receiver discards packets that use the routing bit or its neighbours.
            if flags & 0x4c != 0 {
                return Ok(Step::Next(Layer::Ignored, view));
            }
            let mut rest = view.after(if flags & 0x80 != 0 { 8 } else { 4 })?;
            if has_key {
                fold(domain, u32::from_be_bytes(*rest.head()?));
                rest = rest.after(4)?;
            }
            if has_sequence {
                rest = rest.after(4)?;
            }
            match protocol {
                // Type II has a sequence number and its own header, type I neither.
                ERSPAN if has_sequence => erspan(rest),
                ERSPAN => Ok(Step::Next(Layer::Ethernet, rest)),
                ERSPAN_III => erspan(rest),
                kind if kind > 1500 => Ok(Step::Next(Layer::EtherType(kind), rest)),
                _ => Ok(Step::Next(Layer::Ignored, rest)),
            }
        }
        1 => {
            // RFC 2637 §4.1: the key is present, the payload is PPP, checksum and routing do not exist; no
            // sequence number, no payload.
            if !has_key || flags & 0xcf != 0 || protocol != ethertype::PPP {
                return Err(Undecodable::BadHeader);
            }
            let header: &[u8; 8] = view.head()?;
            let has_acknowledgment = version & 0x80 != 0;
            if !has_sequence {
                return Ok(Step::Next(Layer::Ignored, view));
            }
            let rest = view.after(if has_acknowledgment { 16 } else { 12 })?;
            Ok(Step::Next(Layer::Ppp, rest.limit(usize::from(be16(header[4], header[5])))))
        }
        _ => Ok(Step::Next(Layer::Ignored, view)),
    }
}

/// The header of ERSPAN type II (version 1) or III (version 2) and what it announces.
fn erspan(view: View<'_>) -> Result<Step<'_>, Undecodable> {
    match view.head::<1>()?[0] >> 4 {
        1 => Ok(Step::Next(Layer::Ethernet, view.after(8)?)),
        2 => {
            let header: &[u8; 12] = view.head()?;
            let has_subheader = header[11] & 1 != 0;
            let layer = match header[10] >> 2 & 0x1f {
                0 => Layer::Ethernet,
                2 => Layer::Ip,
                _ => Layer::Ignored,
            };
            Ok(Step::Next(layer, view.after(if has_subheader { 20 } else { 12 })?))
        }
        _ => Ok(Step::Next(Layer::Ignored, view)),
    }
}

/// The packet inside a UDP payload and the number of its virtual network, if `port` is a tunnel's and the
/// payload starts as that tunnel does; `None` if it is ordinary UDP.
pub(super) fn over_udp(port: u16, view: View<'_>) -> Result<Option<(Layer, View<'_>, u32)>, Undecodable> {
    match port {
        _ if VXLAN_PORTS.contains(&port) => vxlan(view),
        GENEVE_PORT => geneve(view),
        GTP_U_PORT => gtp_u(view),
        _ => Ok(None),
    }
}

/// VXLAN (RFC 7348 §5).
fn vxlan(view: View<'_>) -> Result<Option<(Layer, View<'_>, u32)>, Undecodable> {
    let header: &[u8; 8] = view.head()?;
    // RFC 7348 §5: the I flag is set for a valid network identifier.
    if header[0] & 0x08 == 0 {
        return Ok(None);
    }
    let network = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    Ok(Some((Layer::Ethernet, view.after(8)?, network)))
}

/// Geneve (RFC 8926 §3.4).
fn geneve(view: View<'_>) -> Result<Option<(Layer, View<'_>, u32)>, Undecodable> {
    let header: &[u8; 8] = view.head()?;
    let (version, options_len) = (header[0] >> 6, usize::from(header[0] & 0x3f) * 4);
    let is_control = header[1] & 0x80 != 0;
    let kind = be16(header[2], header[3]);
    if version != 0 || is_control || kind <= 1500 {
        return Ok(None);
    }
    let network = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    Ok(Some((Layer::EtherType(kind), view.after(8 + options_len)?, network)))
}

/// GTP-U (3GPP TS 29.281 §5.1): only G-PDUs carry user packets.
fn gtp_u(view: View<'_>) -> Result<Option<(Layer, View<'_>, u32)>, Undecodable> {
    const G_PDU: u8 = 255;
    let header: &[u8; 8] = view.head()?;
    let (version, is_gtp) = (header[0] >> 5, header[0] & 0x10 != 0);
    if version != 1 || !is_gtp || header[1] != G_PDU {
        return Ok(None);
    }
    let tunnel = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let mut rest = view.after(8)?.limit(usize::from(be16(header[2], header[3])));
    if header[0] & 0x07 != 0 {
        // Sequence number, N-PDU number and next extension type come together if any flag is set.
        let mut next = rest.head::<4>()?[3];
        rest = rest.after(4)?;
        if header[0] & 0x04 == 0 {
            next = 0;
        }
        // Every round consumes at least four bytes (§5.2.1: the length counts itself and the next type).
        while next != 0 {
            let len = usize::from(rest.head::<1>()?[0]) * 4;
            if len == 0 {
                return Err(Undecodable::BadHeader);
            }
            let after = rest.after(len)?;
            next = rest.bytes[len - 1];
            rest = after;
        }
    }
    Ok(Some((Layer::Ip, rest, tunnel)))
}
