//! Ethernet, IPv4, IPv6, TCP and UDP headers with right lengths and checksums (RFC 791, 8200, 9293, 768).
//! The headers of a flow are laid out once; each packet copies them and patches what differs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// TCP control bits.
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// Ethernet + IPv6 + TCP with twenty bytes of options: the longest header written.
const LONGEST: usize = 14 + 40 + 20 + 20;
/// Window scale announced by both ends.
const WINDOW_SCALE: u8 = 7;
/// Window in a SYN, unscaled.
const SYN_WINDOW: u16 = 64_240;
/// Window in every other segment: 501 << 7 = 64128 bytes.
const WINDOW: u16 = 501;

/// The fields of one TCP segment that its flow does not know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpFields {
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) flags: u8,
    /// Milliseconds for the timestamp option.
    pub(crate) clock: u32,
}

/// One direction of a flow, ready to write packets.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Ethernet and IP header, ports.
    head: [u8; 14 + 40 + 4],
    /// Bytes before the transport header: 34 or 54.
    network: usize,
    /// Checksum of the pseudo-header without the length.
    pseudo: u64,
    identification: u16,
    timestamps: bool,
    peer_clock: u32,
}

impl Route {
    /// From `source` to `destination`; `protocol` is 6 or 17, `ttl` what the capturing point sees.
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr, protocol: u8, ttl: u8, timestamps: bool) -> Self {
        let mut head = [0; 14 + 40 + 4];
        head[0..6].copy_from_slice(&hardware(destination.ip()));
        head[6..12].copy_from_slice(&hardware(source.ip()));
        let (network, mut pseudo) = match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                head[12..14].copy_from_slice(&[0x08, 0x00]);
                head[14] = 0x45;
                head[20] = 0x40; // don't fragment
                head[22] = ttl;
                head[23] = protocol;
                head[26..30].copy_from_slice(&from.octets());
                head[30..34].copy_from_slice(&to.octets());
                (34, sum(&head[26..34]))
            }
            (from, to) => {
                head[12..14].copy_from_slice(&[0x86, 0xdd]);
                head[14] = 0x60;
                head[20] = protocol;
                head[21] = ttl;
                head[22..38].copy_from_slice(&six(from).octets());
                head[38..54].copy_from_slice(&six(to).octets());
                (54, sum(&head[22..54]))
            }
        };
        pseudo += u64::from(u16::from(protocol).to_be());
        head[network..network + 2].copy_from_slice(&source.port().to_be_bytes());
        head[network + 2..network + 4].copy_from_slice(&destination.port().to_be_bytes());
        let identification = (fold(pseudo) ^ source.port()).wrapping_mul(40_503);
        Route { head, network, pseudo, identification, timestamps, peer_clock: 0 }
    }

    /// Payload bytes that fit into a segment: 1460, less twelve when timestamps are used.
    pub(crate) fn payload_limit(&self) -> usize {
        if self.timestamps { 1448 } else { 1460 }
    }

    /// Notes what the other direction's timestamp option said last.
    pub(crate) fn heard(&mut self, clock: u32) {
        self.peer_clock = clock;
    }

    /// Length of the packet that would carry `payload` bytes in a TCP segment with `flags`.
    pub(crate) fn tcp_length(&self, flags: u8, payload: usize) -> usize {
        self.network + 20 + self.options_length(flags) + payload
    }

    fn options_length(&self, flags: u8) -> usize {
        match (flags & SYN != 0, self.timestamps) {
            (true, _) => 20,
            (false, true) => 12,
            (false, false) => 0,
        }
    }

    /// Writes a whole TCP packet into `out`, whose length is [`Route::tcp_length`].
    pub(crate) fn write_tcp(&mut self, out: &mut [u8], fields: TcpFields, payload: &[u8]) {
        debug_assert!(out.len() <= LONGEST + payload.len());
        let options = self.options_length(fields.flags);
        let network = self.network;
        self.write_network(out);
        let (tcp, body) = out[network..].split_at_mut(20 + options);
        tcp[4..8].copy_from_slice(&fields.sequence.to_be_bytes());
        let acknowledgment = if fields.flags & ACK != 0 { fields.acknowledgment } else { 0 };
        tcp[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
        tcp[12] = (((20 + options) / 4) << 4) as u8;
        tcp[13] = fields.flags;
        let window = match (fields.flags & SYN != 0, fields.flags & RST != 0) {
            (true, _) => SYN_WINDOW,
            (_, true) => 0,
            _ => WINDOW,
        };
        tcp[14..16].copy_from_slice(&window.to_be_bytes());
        tcp[16..20].fill(0);
        if fields.flags & SYN != 0 {
            tcp[20..24].copy_from_slice(&[2, 4, 0x05, 0xb4]); // maximum segment size 1460
            tcp[24..26].copy_from_slice(&[4, 2]); // SACK permitted
            if self.timestamps {
                tcp[26..28].copy_from_slice(&[8, 10]);
                tcp[28..32].copy_from_slice(&fields.clock.to_be_bytes());
                tcp[32..36].copy_from_slice(&self.peer_clock.to_be_bytes());
            } else {
                tcp[26..36].fill(1);
            }
            tcp[36..40].copy_from_slice(&[1, 3, 3, WINDOW_SCALE]);
        } else if self.timestamps {
            tcp[20..24].copy_from_slice(&[1, 1, 8, 10]);
            tcp[24..28].copy_from_slice(&fields.clock.to_be_bytes());
            tcp[28..32].copy_from_slice(&self.peer_clock.to_be_bytes());
        }
        body.copy_from_slice(payload);
        let length = (tcp.len() + body.len()) as u16;
        let total = self.pseudo + u64::from(length.to_be()) + sum(tcp) + sum(body);
        tcp[16..18].copy_from_slice(&(!fold(total)).to_ne_bytes());
    }

    /// Length of the packet that would carry `payload` bytes in a UDP datagram.
    pub(crate) fn udp_length(&self, payload: usize) -> usize {
        self.network + 8 + payload
    }

    /// Writes a whole UDP packet into `out`, whose length is [`Route::udp_length`].
    pub(crate) fn write_udp(&mut self, out: &mut [u8], payload: &[u8]) {
        let network = self.network;
        self.write_network(out);
        let (udp, body) = out[network..].split_at_mut(8);
        let length = (8 + payload.len()) as u16;
        udp[4..6].copy_from_slice(&length.to_be_bytes());
        udp[6..8].fill(0);
        body.copy_from_slice(payload);
        let total = self.pseudo + u64::from(length.to_be()) + sum(udp) + sum(body);
        let checksum = match !fold(total) {
            0 => 0xffff,
            other => other,
        };
        udp[6..8].copy_from_slice(&checksum.to_ne_bytes());
    }

    /// Ethernet, IP and ports for a packet that fills `out`.
    fn write_network(&mut self, out: &mut [u8]) {
        let network = self.network;
        out[..network + 4].copy_from_slice(&self.head[..network + 4]);
        if network == 34 {
            let length = (out.len() - 14) as u16;
            out[16..18].copy_from_slice(&length.to_be_bytes());
            out[18..20].copy_from_slice(&self.identification.to_be_bytes());
            self.identification = self.identification.wrapping_add(1);
            let checksum = !fold(sum(&out[14..34]));
            out[24..26].copy_from_slice(&checksum.to_ne_bytes());
        } else {
            let length = (out.len() - network) as u16;
            out[18..20].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// A locally administered hardware address derived from an IP address.
fn hardware(ip: IpAddr) -> [u8; 6] {
    let last = match ip {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => {
            let o = ip.octets();
            [o[12], o[13], o[14], o[15]]
        }
    };
    [0x02, 0x42, last[0], last[1], last[2], last[3]]
}

/// The address as IPv6.
fn six(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip),
        IpAddr::V6(ip) => ip,
    }
}

/// Ones' complement sum in the machine's byte order (RFC 1071), not yet folded.
fn sum(bytes: &[u8]) -> u64 {
    let mut total = 0;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total + u64::from(u32::from_ne_bytes(last))
}

/// Folds a sum to sixteen bits.
fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
