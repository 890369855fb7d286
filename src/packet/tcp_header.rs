//! The TCP header (RFC 9293 §3.1) and the maximum segment size option (RFC 9293 §3.7.1).
//!
//! Shared by both tiers of the decoder, so they cannot disagree. Never verifies the checksum.

use super::view::{View, be16};
use super::{Endpoint, Segment, Stamp, TcpFlags, TcpOptions, Undecodable};
use std::net::IpAddr;

/// Length of the header without options, in bytes.
pub(super) const BASE_LEN: usize = 20;

/// The IP header's contribution to a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpContext {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: u8,
    pub(super) id: u16,
}

/// The fixed part of the header that starts with `view`, and the header's length in bytes.
#[inline(always)]
fn header(view: View<'_>) -> Result<(&[u8; BASE_LEN], usize), Undecodable> {
    let header: &[u8; BASE_LEN] = view.head()?;
    let header_len = usize::from(header[12] >> 4) * 4;
    // RFC 9293 §3.1: the data offset counts the header, so it is at least 5 words and lies inside the packet.
    if header_len < BASE_LEN || header_len > view.wire {
        return Err(Undecodable::BadHeader);
    }
    Ok((header, header_len))
}

#[inline(always)]
fn between(ip: &IpContext, header: &[u8; BASE_LEN]) -> (Endpoint, Endpoint) {
    (
        Endpoint { ip: ip.source, port: be16(header[0], header[1]) },
        Endpoint { ip: ip.destination, port: be16(header[2], header[3]) },
    )
}

/// Sender and receiver of the segment that starts with `view`, where [`segment`] can read it.
#[inline(always)]
pub(super) fn ends(ip: &IpContext, view: View<'_>) -> Result<(Endpoint, Endpoint), Undecodable> {
    header(view).map(|(header, _)| between(ip, header))
}

/// Reads the segment that starts with `view`; its wire length is the IP payload length.
#[inline(always)]
pub(super) fn segment<'a>(stamp: Stamp, ip: &IpContext, view: View<'a>) -> Result<Segment<'a>, Undecodable> {
    header(view).map(|(header, header_len)| whole(stamp, ip, view, header, header_len))
}

/// Calls `take` with the segment that starts with `view`. Returns whether there is one.
#[inline(always)]
pub(super) fn with_segment<'a>(stamp: Stamp, ip: &IpContext, view: View<'a>, take: impl FnOnce(&Segment<'a>)) -> bool {
    let Ok((header, header_len)) = header(view) else { return false };
    take(&whole(stamp, ip, view, header, header_len));
    true
}

#[inline(always)]
fn whole<'a>(stamp: Stamp, ip: &IpContext, view: View<'a>, header: &[u8; BASE_LEN], header_len: usize) -> Segment<'a> {
    let (source, destination) = between(ip, header);
    let flags = TcpFlags(header[13]);
    let options = if flags.has(TcpFlags::SYN) {
        options(&view.bytes[BASE_LEN..header_len.min(view.bytes.len())])
    } else {
        TcpOptions::default()
    };
    Segment {
        stamp,
        source,
        destination,
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgment: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        window: be16(header[14], header[15]),
        flags,
        ttl: ip.ttl,
        ip_id: ip.id,
        options,
        payload_len: u32::try_from(view.wire - header_len).unwrap_or(u32::MAX),
        payload: view.bytes.get(header_len..).unwrap_or_default(),
    }
}

/// Reads options up to the first malformed one.
#[inline(never)]
fn options(mut rest: &[u8]) -> TcpOptions {
    let mut found = TcpOptions::default();
    loop {
        match *rest {
            [1, ref after @ ..] => rest = after,
            [] | [0, ..] | [_] => return found,
            [kind, len, ..] => {
                let Some((option, after)) = rest.split_at_checked(usize::from(len)).filter(|_| len >= 2) else {
                    return found;
                };
                if let (2, &[_, _, high, low]) = (kind, option) {
                    found.mss = be16(high, low);
                }
                rest = after;
            }
        }
    }
}
