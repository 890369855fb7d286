//! The same packets through etherparse, an independent decoder, and through both of our own tiers.

use super::*;
use crate::packet::{fast_path, layers};
use etherparse::{
    Ipv6RawExtHeader, LaxSlicedPacket, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket, TcpHeader, TcpSlice,
    TransportSlice,
};
use proptest::prelude::*;
use std::net::IpAddr;

/// Everything a segment says, comparable.
type Facts<'a> = (Endpoint, Endpoint, u32, u32, u16, u8, (u8, u16), TcpOptions, &'a [u8]);

fn facts<'a>(segment: &Segment<'a>) -> Facts<'a> {
    let Segment { source, destination, sequence, acknowledgment, window, flags, ttl, ip_id, options, payload, .. } =
        *segment;
    (source, destination, sequence, acknowledgment, window, flags.0, (ttl, ip_id), options, payload)
}

fn oracle_facts<'a>(source: IpAddr, destination: IpAddr, ip: (u8, u16), tcp: &TcpSlice<'a>) -> Facts<'a> {
    let bits = [tcp.fin(), tcp.syn(), tcp.rst(), tcp.psh(), tcp.ack(), tcp.urg(), tcp.ece(), tcp.cwr()];
    let flags = bits.iter().enumerate().fold(0, |flags, (bit, &set)| flags | u8::from(set) << bit);
    let mut options = TcpOptions::default();
    if tcp.syn() {
        for option in tcp.options_iterator() {
            match option {
                Ok(etherparse::TcpOptionElement::MaximumSegmentSize(mss)) => options.mss = mss,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    (
        Endpoint { ip: source, port: tcp.source_port() },
        Endpoint { ip: destination, port: tcp.destination_port() },
        tcp.sequence_number(),
        tcp.acknowledgment_number(),
        tcp.window_size(),
        flags,
        ip,
        options,
        tcp.payload(),
    )
}

/// What etherparse says of an Ethernet frame: strictly, then generously.
fn strict(frame: &[u8]) -> Option<Facts<'_>> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
    match sliced.net? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
            Some(oracle_facts(source, destination, (header.ttl(), header.identification()), tcp))
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
            Some(oracle_facts(source, destination, (header.hop_limit(), 0), tcp))
        }
        NetSlice::Arp(_) => None,
    }
}

fn lax(frame: &[u8]) -> Option<Facts<'_>> {
    let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
    match sliced.net? {
        etherparse::LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
            Some(oracle_facts(source, destination, (header.ttl(), header.identification()), tcp))
        }
        etherparse::LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
            Some(oracle_facts(source, destination, (header.hop_limit(), 0), tcp))
        }
        etherparse::LaxNetSlice::Arp(_) => None,
    }
}

#[derive(Clone, Debug)]
struct Plan {
    tags: usize,
    is_v6: bool,
    addresses: [u8; 32],
    ip: (u8, u16),
    extensions: usize,
    tcp: TcpPlan,
    payload: Vec<u8>,
    padding: usize,
}

#[derive(Clone, Debug)]
struct TcpPlan {
    ports: (u16, u16),
    numbers: (u32, u32),
    window: u16,
    flags: u8,
    options: Vec<u8>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let option = prop_oneof![
        any::<u16>().prop_map(|mss| [&[2, 4][..], &mss.to_be_bytes()].concat()),
        (0..20_u8).prop_map(|shift| vec![3, 3, shift]),
        Just(vec![1]),
        Just(vec![4, 2]),
        any::<[u8; 8]>().prop_map(|stamp| [&[8, 10][..], &stamp].concat()),
    ];
    let options = prop::collection::vec(option, 0..4).prop_map(|options| {
        let mut bytes = options.concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    });
    let tcp = (any::<(u16, u16)>(), any::<(u32, u32)>(), any::<u16>(), any::<u8>(), options)
        .prop_map(|(ports, numbers, window, flags, options)| TcpPlan { ports, numbers, window, flags, options });
    let payload = prop::collection::vec(any::<u8>(), 0..120);
    (0..3_usize, any::<bool>(), any::<[u8; 32]>(), any::<(u8, u16)>(), 0..3_usize, tcp, payload, 0..20_usize).prop_map(
        |(tags, is_v6, addresses, ip, extensions, tcp, payload, padding)| Plan {
            tags,
            is_v6,
            addresses,
            ip,
            extensions,
            tcp,
            payload,
            padding,
        },
    )
}

/// Has etherparse build the packet of a plan.
fn build(plan: &Plan) -> Vec<u8> {
    let mut header = TcpHeader::new(plan.tcp.ports.0, plan.tcp.ports.1, plan.tcp.numbers.0, plan.tcp.window);
    header.acknowledgment_number = plan.tcp.numbers.1;
    let has = |bit: u8| plan.tcp.flags & bit != 0;
    (header.fin, header.syn, header.rst, header.psh) = (has(1), has(2), has(4), has(8));
    (header.ack, header.urg, header.ece, header.cwr) = (has(16), has(32), has(64), has(128));
    header.set_options_raw(&plan.tcp.options).unwrap();
    let part = |at: usize| -> [u8; 16] { plan.addresses[at..at + 16].try_into().unwrap() };
    let short = |at: usize| -> [u8; 4] { plan.addresses[at..at + 4].try_into().unwrap() };
    let ip = if plan.is_v6 {
        let mut extensions = etherparse::Ipv6Extensions::default();
        let option = Ipv6RawExtHeader::new_raw(etherparse::IpNumber::TCP, &[1, 4, 0, 0, 0, 0]).unwrap();
        extensions.hop_by_hop_options = (plan.extensions > 0).then(|| option.clone());
        extensions.destination_options = (plan.extensions > 1).then_some(option);
        let mut header = etherparse::Ipv6Header {
            hop_limit: plan.ip.0,
            source: part(0),
            destination: part(16),
            ..etherparse::Ipv6Header::default()
        };
        header.next_header = extensions.set_next_headers(etherparse::IpNumber::TCP);
        etherparse::IpHeaders::Ipv6(header, extensions)
    } else {
        let mut header =
            etherparse::Ipv4Header::new(0, plan.ip.0, etherparse::IpNumber::TCP, short(0), short(16)).unwrap();
        header.identification = plan.ip.1;
        header.options = etherparse::Ipv4Options::try_from(&[1_u8; 8][..plan.extensions * 4]).unwrap();
        etherparse::IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default())
    };
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let id = |n: u16| etherparse::VlanId::try_new(n).unwrap();
    let step: PacketBuilderStep<etherparse::IpHeaders> = match plan.tags {
        0 => ethernet.ip(ip),
        1 => ethernet.single_vlan(id(5)).ip(ip),
        _ => ethernet.double_vlan(id(5), id(6)).ip(ip),
    };
    let step = step.tcp_header(header);
    let mut frame = Vec::new();
    step.write_to_vec(&mut frame, &plan.payload).unwrap();
    frame.resize(frame.len() + plan.padding, 0xee);
    frame
}

/// Of a malformed list of options each decoder saves what it sees fit.
fn without_options(mut facts: Facts<'_>) -> Facts<'_> {
    facts.7 = TcpOptions::default();
    facts
}

fn general<'a>(frame: &'a [u8]) -> Option<Segment<'a>> {
    match layers::decode(&packet(LinkType::ETHERNET, frame)) {
        Decoded::Segment(segment) => Some(segment),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whole_packets_read_the_same_everywhere(plan in plan()) {
        let frame = build(&plan);
        let expected = strict(&frame).expect("etherparse reads what it has written");
        prop_assert_eq!(expected.8, &plan.payload[..]);
        let Decoded::Segment(segment) = decode(packet(LinkType::ETHERNET, &frame)) else { panic!() };
        prop_assert_eq!(facts(&segment), expected);
        prop_assert_eq!(segment.payload_len as usize, plan.payload.len());
        prop_assert_eq!(facts(&general(&frame).unwrap()), expected);
        let quick = fast_path::segment(&packet(LinkType::ETHERNET, &frame));
        prop_assert_eq!(quick.is_some(), plan.extensions == 0, "the fast path takes what it is made for");
    }

    #[test]
    fn damaged_and_cut_packets_read_the_same_everywhere(
        plan in plan(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut frame = build(&plan);
        for (at, value) in damage {
            // Headers only: that is where damage matters.
            let len = frame.len().min(100);
            frame[at.index(len)] = value;
        }
        if is_cut {
            frame.truncate(cut.index(frame.len()) + 1);
        }
        let quick = fast_path::segment(&packet(LinkType::ETHERNET, &frame));
        let slow = general(&frame);
        if let Some(quick) = &quick {
            let slow = slow.expect("what the fast path reads, the general decoder reads as well");
            prop_assert_eq!(facts(quick), facts(&slow));
            prop_assert_eq!(quick.payload_len, slow.payload_len);
            // A header cut in its options is the one thing etherparse does not read.
            if let Some(expected) = lax(&frame) {
                prop_assert_eq!(without_options(facts(quick)), without_options(expected));
            }
        }
        if let Some(expected) = strict(&frame) {
            match decode(packet(LinkType::ETHERNET, &frame)) {
                Decoded::Segment(segment) => {
                    prop_assert_eq!(without_options(facts(&segment)), without_options(expected));
                }
                // The options of IPv6 extension headers are checked by us alone.
                Decoded::Undecodable(Undecodable::BadHeader) => prop_assert!(expected.0.ip.is_ipv6()),
                other => panic!("{other:?}"),
            }
        }
    }
}
