//! DNS over UDP port 53 (RFC 1035): which name was asked for, and what came of it.
//!
//! Just enough to say that a host name could not be resolved, or to which addresses it was. Reads the
//! question and the address records of the answer section, nothing else; never follows CNAMEs, never
//! trusts a count, and takes for DNS only what parses as DNS.

use super::tcp_header::IpContext;
use super::view::be16;
use super::{Decoded, Stamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP port of DNS.
pub(super) const PORT: u16 = 53;
/// At most this many addresses of one answer are kept; all are counted.
pub const MAX_DNS_ADDRESSES: usize = 8;
/// RFC 1035 §2.3.4: a name has at most 255 octets.
const MAX_NAME_LEN: usize = 255;
/// Compression pointers followed in one name.
const MAX_POINTERS: usize = 8;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

/// A DNS query seen on its way to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuery {
    /// Packet and time.
    pub stamp: Stamp,
    /// Who asks.
    pub client: IpAddr,
    /// Who is asked.
    pub server: IpAddr,
    /// Transaction number, the same in the answer.
    pub id: u16,
    /// Name in lower case, without the final dot; what is not printable is escaped as `\DDD`.
    pub name: String,
    /// Type of record asked for (1 is A, 28 is AAAA).
    pub query_type: u16,
}

/// A DNS response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// Packet and time.
    pub stamp: Stamp,
    /// Who asked.
    pub client: IpAddr,
    /// Who answers.
    pub server: IpAddr,
    /// Transaction number, the same as in the query.
    pub id: u16,
    /// Name asked for, in lower case, without the final dot; what is not printable is escaped as `\DDD`.
    pub name: String,
    /// Type of record asked for (1 is A, 28 is AAAA).
    pub query_type: u16,
    /// Response code (RFC 1035 §4.1.1): 0 no error, 2 server failure, 3 no such name, 5 refused.
    pub rcode: u8,
    /// Whether records are missing: the server cut the answer (TC bit), or the snap length did.
    pub truncated: bool,
    /// How many address records (A and AAAA) the answer holds.
    pub address_count: u16,
    /// The first [`MAX_DNS_ADDRESSES`] of them.
    pub addresses: Vec<IpAddr>,
}

/// Reads the payload of a UDP datagram from or to port 53.
pub(super) fn decode<'a>(
    stamp: Stamp,
    ip: &IpContext,
    source_port: u16,
    destination_port: u16,
    message: &[u8],
) -> Decoded<'a> {
    read(stamp, ip, source_port, destination_port, message).unwrap_or(Decoded::Other)
}

fn read<'a>(
    stamp: Stamp,
    ip: &IpContext,
    source_port: u16,
    destination_port: u16,
    message: &[u8],
) -> Option<Decoded<'a>> {
    let header: &[u8; 12] = message.first_chunk()?;
    let id = be16(header[0], header[1]);
    let (is_response, opcode) = (header[2] & 0x80 != 0, header[2] >> 3 & 0x0f);
    let questions = be16(header[4], header[5]);
    // RFC 9619 §4: a standard query has exactly one question; an answer repeats it.
    if opcode != 0 || questions != 1 {
        return None;
    }
    let (name, at) = name(message, 12)?;
    let (&[type_high, type_low, class_high, class_low], _) = message.get(at..)?.split_first_chunk()?;
    if be16(class_high, class_low) != CLASS_IN {
        return None;
    }
    let query_type = be16(type_high, type_low);
    if !is_response {
        if destination_port != PORT {
            return None;
        }
        let (client, server) = (ip.source, ip.destination);
        return Some(Decoded::DnsQuery(DnsQuery { stamp, client, server, id, name, query_type }));
    }
    if source_port != PORT {
        return None;
    }
    let mut answer = DnsAnswer {
        stamp,
        client: ip.destination,
        server: ip.source,
        id,
        name,
        query_type,
        rcode: header[3] & 0x0f,
        truncated: header[2] & 0x02 != 0,
        address_count: 0,
        addresses: Vec::new(),
    };
    let records = be16(header[6], header[7]);
    answer.truncated |= addresses(message, at + 4, records, &mut answer).is_none();
    Some(Decoded::Dns(answer))
}

/// Walks the answer section; `None` when it ends before its count does. Every record consumes bytes.
fn addresses(message: &[u8], mut at: usize, records: u16, answer: &mut DnsAnswer) -> Option<()> {
    for _ in 0..records {
        at = skip_name(message, at)?;
        let (&[t0, t1, c0, c1, _, _, _, _, l0, l1], rest) = message.get(at..)?.split_first_chunk()?;
        let data = rest.get(..usize::from(be16(l0, l1)))?;
        at += 10 + data.len();
        if be16(c0, c1) != CLASS_IN {
            continue;
        }
        let address = match (be16(t0, t1), data) {
            (TYPE_A, &[a, b, c, d]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            (TYPE_AAAA, data) => match <[u8; 16]>::try_from(data) {
                Ok(octets) => IpAddr::V6(Ipv6Addr::from(octets)),
                Err(_) => continue,
            },
            _ => continue,
        };
        answer.address_count = answer.address_count.saturating_add(1);
        if answer.addresses.len() < MAX_DNS_ADDRESSES {
            answer.addresses.push(address);
        }
    }
    Some(())
}

/// Where the name that starts at `at` ends.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            // RFC 1035 §4.1.4: a pointer ends the name.
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// The name that starts at `at` (RFC 1035 §3.1, §4.1.4), and where it ends.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let end = skip_name(message, at)?;
    let (mut text, mut octets, mut pointers) = (String::new(), 1, 0);
    loop {
        match *message.get(at)? {
            0 => break,
            len @ 1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(len))?;
                octets += 1 + label.len();
                if octets > MAX_NAME_LEN {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                escape(label, &mut text);
                at += 1 + label.len();
            }
            high @ 0xc0.. => {
                pointers += 1;
                let target = usize::from(be16(high & 0x3f, *message.get(at + 1)?));
                // RFC 1035 §4.1.4: a pointer points to a prior occurrence.
                if pointers > MAX_POINTERS || target >= at {
                    return None;
                }
                at = target;
            }
            _ => return None,
        }
    }
    Some((text, end))
}

/// Appends a label in lower case; decimal escapes (RFC 4343 §2.1) for all that is not printable or would look like a dot between labels.
fn escape(label: &[u8], text: &mut String) {
    for &octet in label {
        match octet {
            b'.' | b'\\' | ..=0x20 | 0x7f.. => {
                text.push('\\');
                text.extend([octet / 100, octet / 10 % 10, octet % 10].map(|digit| char::from(b'0' + digit)));
            }
            _ => text.push(char::from(octet.to_ascii_lowercase())),
        }
    }
}
