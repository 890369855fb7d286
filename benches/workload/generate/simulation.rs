//! Plays conversations against one clock until the capture is as long as wanted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::context::Context;
use super::conversation::{Conversation, Role};
use super::truth::Truth;

/// 2026-12-01T09:00:00Z in nanoseconds.
const EPOCH: u64 = 1_796_115_600_000_000_000;
/// Time within which the first conversations begin: shorter in a short capture.
const RAMP: (u64, u64) = (50_000_000, 2_000_000_000);
/// First port a client uses, and how many it has.
const PORTS: (u16, u16) = (32_768, 28_000);
/// Clients at most.
const CLIENTS: u64 = 4096;

/// A named mixture of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// Short text frames from server to client, several per segment, pings.
    Ticks,
    /// 16 to 64 KiB binary server frames, small masked client frames.
    Binary,
    /// Large masked client frames.
    Upload,
    /// Short connections with every kind of ending, refusals, reconnects.
    Churn,
    /// 95 % of the packets are foreign: downloads, TLS, DNS, metrics.
    Noise,
    /// permessage-deflate with context takeover.
    Deflate,
    /// Ticks with segments lost, repeated, overlapping and out of order.
    Lossy,
    /// TLS 1.3 with a key log, small records.
    Wss,
    /// TLS 1.3 with a key log, large records.
    WssLarge,
}

impl Shape {
    /// Connections open at a time, unless told otherwise.
    pub(crate) fn connections(self, bytes: u64) -> u64 {
        let (usual, room) = match self {
            Shape::Ticks | Shape::Lossy | Shape::Deflate | Shape::Wss => (300, 64 << 10),
            Shape::Binary | Shape::WssLarge => (48, 1 << 20),
            Shape::Upload => (64, 2 << 20),
            Shape::Churn => (2000, 16 << 10),
            Shape::Noise => (240, 128 << 10),
        };
        usual.min(bytes / room).max(1)
    }

    /// Whether it has TLS secrets to publish.
    pub(crate) fn secret(self) -> bool {
        matches!(self, Shape::Wss | Shape::WssLarge)
    }

    /// Compressed stories worth telling in a capture of `bytes`.
    pub(crate) fn stories(self, bytes: u64) -> usize {
        if self == Shape::Deflate { (bytes >> 22).clamp(4, 48) as usize } else { 0 }
    }

    fn role(self, index: u64) -> Role {
        match self {
            Shape::Ticks | Shape::Lossy => Role::Ticks,
            Shape::Binary => Role::Screen,
            Shape::Upload => Role::Upload,
            Shape::Churn => Role::Visit,
            Shape::Deflate => Role::Deflate,
            Shape::Wss => Role::Secure,
            Shape::WssLarge => Role::SecureBulk,
            Shape::Noise => match index % 8 {
                0 => Role::Ticks,
                1..=3 => Role::Download,
                4 | 5 => Role::Encrypted,
                6 => Role::Names,
                _ => Role::Metrics,
            },
        }
    }
}

/// Addresses, handed out so that no connection repeats the four-tuple of another.
struct Hosts {
    used: Vec<u16>,
    clients: u64,
}

impl Hosts {
    fn new(conversations: u64) -> Self {
        let clients = (conversations * 2).min(CLIENTS);
        Hosts { used: vec![0; clients as usize], clients }
    }

    /// Client and server for a conversation: a quarter of the clients, and their servers, speak IPv6.
    fn pair(&mut self, client: u64, role: Role, which: u64) -> (SocketAddr, SocketAddr) {
        let used = &mut self.used[client as usize];
        let port = PORTS.0 + *used % PORTS.1;
        *used += 1;
        let server = (which % 6 + 1) as u16;
        let (from, to) = if client % 4 == 3 {
            (
                IpAddr::from(Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, 1 + client as u16)),
                IpAddr::from(Ipv6Addr::new(0xfd00, 0x9, 0, 0, 0, 0, 0, server)),
            )
        } else {
            (
                IpAddr::from(Ipv4Addr::new(10, 20 + (client >> 8) as u8, client as u8, 7)),
                IpAddr::from(Ipv4Addr::new(10, 9, 0, server as u8)),
            )
        };
        (SocketAddr::new(from, port), SocketAddr::new(to, role.port(which / 6)))
    }
}

/// Plays `connections` conversations at a time until the capture has about `bytes` bytes, lets them come to their
/// ends, and returns the truth and, if the capture is in memory, its bytes.
pub(crate) fn run(shape: Shape, bytes: u64, connections: u64, mut context: Context) -> io::Result<(Truth, Vec<u8>)> {
    context.truth.shape = format!("{shape:?}").to_lowercase();
    context.faulty = shape == Shape::Lossy;
    let mut hosts = Hosts::new(connections);
    let ramp = (bytes * 8).clamp(RAMP.0, RAMP.1);
    let mut queue = BinaryHeap::with_capacity(connections as usize);
    let mut conversations = Vec::with_capacity(connections as usize);
    let mut of_client = Vec::with_capacity(connections as usize);
    for index in 0..connections {
        let client = context.random.below(hosts.clients);
        conversations.push(start(&mut context, &mut hosts, shape.role(index), client));
        of_client.push(client);
        queue.push(Reverse((EPOCH + context.random.below(ramp), index as usize)));
    }
    let (mut first, mut last) = (None, EPOCH);
    while let Some(Reverse((now, index))) = queue.pop() {
        let conversation = &mut conversations[index];
        if !conversation.steps.is_empty() {
            conversation.play(&mut context, now)?;
            first.get_or_insert(now);
            last = now;
            if context.file.bytes() >= bytes {
                context.draining = true;
            }
        }
        if shape == Shape::Noise {
            let packets = context.file.packets();
            context.pace = if (packets - context.foreign_packets) * 20 > packets { 16 } else { 1 };
        }
        if !conversation.steps.is_empty() || conversation.plan(&mut context) {
            let wait = conversation.steps.front().map_or(0, |step| step.wait);
            queue.push(Reverse((now + wait, index)));
            continue;
        }
        let role = conversation.role;
        if context.draining || !(role.foreign() || shape == Shape::Churn) {
            continue;
        }
        // Another begins in its place: the same client comes back soon, or a new one comes.
        let wait = if context.random.percent(30) {
            context.random.between(20, 1000)
        } else {
            of_client[index] = context.random.below(hosts.clients);
            context.random.between(1, 300)
        };
        let mut next = start(&mut context, &mut hosts, role, of_client[index]);
        next.inherit(&mut conversations[index]);
        conversations[index] = next;
        queue.push(Reverse((now + wait * 1_000_000, index)));
    }
    let mut truth = context.truth;
    truth.file_bytes = context.file.bytes();
    truth.packets = context.file.packets();
    truth.foreign_packets = context.foreign_packets;
    [truth.client_faults, truth.server_faults] = context.faults;
    truth.duration_ns = last - first.unwrap_or(last);
    if let Some(list) = &mut context.frame_list {
        io::Write::flush(list)?;
    }
    if let Some(log) = &mut context.key_log {
        log.flush()?;
    }
    Ok((truth, context.file.finish()?))
}

fn start(context: &mut Context, hosts: &mut Hosts, role: Role, client: u64) -> Conversation {
    let which = context.random.below(12);
    let (client, server) = hosts.pair(client, role, which);
    Conversation::new(context, role, client, server)
}
