//! The little of Ethernet, IPv4, TCP and WebSocket that it takes to make traffic in memory.
#![allow(dead_code, reason = "every test crate uses its own part of this")]

use wsscan::connection::ConnectionRecord;

/// One end of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// One TCP connection, packet by packet.
pub(crate) struct Talk {
    /// Next sequence number of the client and of the server.
    next: [u32; 2],
    /// The client's port.
    port: u16,
    packets: Vec<Vec<u8>>,
}

/// The sample key of RFC 6455 §1.3 and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLBMiTxaQ9kYGzzhZRbK+xOo=";

impl Talk {
    pub(crate) fn new() -> Self {
        Self::at(40_000)
    }

    /// One whose client has this port.
    pub(crate) fn at(port: u16) -> Self {
        Self { next: [1000, 5000], port, packets: Vec::new() }
    }

    /// The packets so far, which are forgotten.
    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.packets)
    }

    pub(crate) fn open(&mut self) {
        self.segment(Side::Client, 0x02, &[]);
        self.segment(Side::Server, 0x12, &[]);
        self.segment(Side::Client, 0x10, &[]);
    }

    /// The opening handshake; `headers` are further lines of request and answer, each ended by CRLF.
    pub(crate) fn upgrade(&mut self, headers: &str) {
        let request = format!(
            "GET /feed HTTP/1.1\r\nHost: app.example.net\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n{headers}\r\n"
        );
        self.data(Side::Client, request.as_bytes());
        self.data(Side::Server, answer.as_bytes());
    }

    /// A segment with payload.
    pub(crate) fn data(&mut self, from: Side, payload: &[u8]) {
        self.segment(from, 0x18, payload);
    }

    /// A segment with these flags.
    pub(crate) fn segment(&mut self, from: Side, flags: u8, payload: &[u8]) {
        let me = usize::from(from == Side::Server);
        let ends = [([192, 0, 2, 10], self.port), ([198, 51, 100, 20], 8080_u16)];
        let ((source, sport), (destination, dport)) = (ends[me], ends[1 - me]);
        let mut packet = vec![0x02, 0, 0x5e, 0, 0, 2, 0x02, 0, 0x5e, 0, 0, 1, 0x08, 0x00];
        let length = 40 + payload.len() as u16;
        packet.extend([0x45, 0]);
        packet.extend(length.to_be_bytes());
        packet.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
        packet.extend(source);
        packet.extend(destination);
        packet.extend(sport.to_be_bytes());
        packet.extend(dport.to_be_bytes());
        packet.extend(self.next[me].to_be_bytes());
        let acknowledged = if flags & 0x10 == 0 { 0 } else { self.next[1 - me] };
        packet.extend(acknowledged.to_be_bytes());
        packet.extend([0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        packet.extend(payload);
        self.packets.push(packet);
        let takes = payload.len() as u32 + u32::from(flags & 0x03 != 0);
        self.next[me] = self.next[me].wrapping_add(takes);
    }
}

/// A final frame; the client masks.
pub(crate) fn frame(from: Side, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    let bit = if from == Side::Client { 0x80 } else { 0 };
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => bytes.push(bit | length as u8),
        Ok(length) => {
            bytes.push(bit | 126);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(bit | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if from == Side::Client {
        const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x88];
        bytes.extend(MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// How many frames a record counts.
pub(crate) fn frames(record: &ConnectionRecord) -> u64 {
    record.entries.iter().filter_map(|entry| entry.websocket.as_ref()).map(|websocket| websocket.frames()).sum()
}
