//! What the engine knows and keeps is bounded, whatever comes: floods of connections in one shard.

use std::net::{IpAddr, Ipv4Addr};

use wsscan::connection::Keys;
use wsscan::engine::{Analysis, FAILURES, FLOWS, Feed, Options, Recorded, Recorder, Walked, run, shard_of};
use wsscan::packet::{Batch, Endpoint, LinkType, PacketRef};
use wsscan::stream::Side;
use wsscan::tcp::FlowKey;

const SYN: u8 = 0x02;
const RST_ACK: u8 = 0x14;
const ACK: u8 = 0x10;
const PACKETS_PER_CHUNK: usize = 4000;
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 20), 8080);

/// Clients whose connections to [`SERVER`] all belong to the same shard.
fn clients() -> impl Iterator<Item = (Ipv4Addr, u16)> {
    let key = |ip: Ipv4Addr, port| {
        let end = |ip, port| Endpoint { ip: IpAddr::V4(ip), port };
        FlowKey::between(end(ip, port), end(SERVER.0, SERVER.1))
    };
    let all = (0..=u8::MAX).flat_map(|host| (10_000..60_000).map(move |port| (Ipv4Addr::new(10, 0, 1, host), port)));
    all.filter(move |(ip, port)| shard_of(&key(*ip, *port)) == 0)
}

/// One packet: at which millisecond, which client, who sends, which flags.
type Packet = (i64, (Ipv4Addr, u16), Side, u8);

struct Flood(Vec<Packet>);

impl Feed for Flood {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, index: u64, batch: &mut Batch) -> bool {
        let Some(packets) = self.0.chunks(PACKETS_PER_CHUNK).nth(index as usize) else { return false };
        batch.arena.clear();
        for (_, client, from, flags) in packets {
            let (source, destination) = if *from == Side::Client { (*client, SERVER) } else { (SERVER, *client) };
            let (sequence, acknowledgment) = if flags & SYN != 0 { (1000_u32, 0) } else { (1001, 1001) };
            let arena = &mut batch.arena;
            arena.extend([0x02, 0, 0x5e, 0, 0, 2, 0x02, 0, 0x5e, 0, 0, 1, 0x08, 0x00]);
            arena.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
            arena.extend(source.0.octets());
            arena.extend(destination.0.octets());
            arena.extend(source.1.to_be_bytes());
            arena.extend(destination.1.to_be_bytes());
            arena.extend(sequence.to_be_bytes());
            arena.extend(u32::to_be_bytes(acknowledgment));
            arena.extend([0x50, *flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        }
        true
    }

    fn walk(&self, index: u64, batch: &mut Batch) -> Walked {
        const LENGTH: u32 = 54;
        let packets = self.0.chunks(PACKETS_PER_CHUNK).nth(index as usize).unwrap_or_default();
        batch.packets.extend(packets.iter().enumerate().map(|(number, (at, ..))| PacketRef {
            at: 1_767_225_600_000_000_000 + at * 1_000_000,
            offset: number as u32 * LENGTH,
            captured: LENGTH,
            original: LENGTH,
            link: LinkType(1),
        }));
        Walked { more: (index as usize + 1) * PACKETS_PER_CHUNK < self.0.len(), secrets: Vec::new() }
    }
}

fn analyse(packets: Vec<Packet>) -> Analysis<Recorded> {
    run(&Flood(packets), &Options { threads: 1, wanted: None, keys: Keys::default() }, &Recorder)
}

/// How many connections are counted when the first of `flows` says one more thing after all of them have begun, and
/// was heard of meanwhile as `meanwhile` says.
fn counted(flows: usize, meanwhile: &[Packet]) -> usize {
    let mut packets: Vec<Packet> = clients().take(flows).map(|client| (0, client, Side::Client, SYN)).collect();
    assert_eq!(packets.len(), flows, "there are not enough clients");
    let first = packets[0].1;
    packets.splice(FLOWS - 1..FLOWS - 1, meanwhile.iter().copied());
    // A minute and more between the beginning and the end of the flood.
    let last = packets.len() - FLOWS / 2;
    packets[last..].iter_mut().for_each(|packet| packet.0 = 70_000);
    packets.push((70_001, first, Side::Client, ACK));
    let analysis = analyse(packets);
    assert_eq!(analysis.totals.packets as usize, flows + meanwhile.len() + 1);
    analysis.totals.tcp_connections as usize
}

#[test]
fn the_oldest_silent_flow_is_forgotten_when_a_shard_knows_as_many_as_it_may() {
    assert_eq!(counted(FLOWS, &[]), FLOWS, "as many as may be: all of them are known");
    assert_eq!(counted(FLOWS + 1, &[]), FLOWS + 2, "one more: the first is forgotten, and its late packet a new one");
}

#[test]
fn who_was_heard_of_lately_is_not_forgotten() {
    let first = clients().next().expect("there are clients");
    let lately = [(60_000, first, Side::Client, ACK)];
    assert_eq!(counted(FLOWS + 1, &lately), FLOWS + 1, "the next oldest went instead");
}

#[test]
fn failed_connections_are_kept_up_to_a_bound_and_counted_beyond() {
    const MORE: usize = 100;
    for (attempts, kept, only_counted) in [(FAILURES, FAILURES, 0), (FAILURES + MORE, FAILURES, MORE)] {
        let packets: Vec<Packet> = clients()
            .take(attempts)
            .flat_map(|client| [(0, client, Side::Client, SYN), (1, client, Side::Server, RST_ACK)])
            .collect();
        let analysis = analyse(packets);
        assert_eq!(analysis.totals.tcp_connections as usize, attempts);
        assert_eq!(analysis.connections.len(), kept);
        assert_eq!(analysis.totals.failures_not_kept as usize, only_counted);
    }
}
