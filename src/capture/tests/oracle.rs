//! The walker against two independent readers: the crate `pcap-parser`, and tshark where it is installed.

use std::process::Command;

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader};

use super::build::*;
use super::files::TemporaryFile;
use super::walk;

/// Captured length, original length and first bytes of every packet, as pcap-parser reads them.
fn parse(file: &[u8], ng: bool) -> Vec<(u32, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut reader: Box<dyn PcapReaderIterator> = if ng {
        Box::new(PcapNGReader::new(65_536, file).unwrap())
    } else {
        Box::new(LegacyPcapReader::new(65_536, file).unwrap())
    };
    loop {
        match reader.next() {
            Ok((used, block)) => {
                match block {
                    PcapBlockOwned::Legacy(packet) => {
                        found.push((packet.caplen, packet.origlen, packet.data.to_vec()));
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let data = packet.data[..packet.caplen as usize].to_vec();
                        found.push((packet.caplen, packet.origlen, data));
                    }
                    _ => {}
                }
                reader.consume(used);
            }
            Err(PcapError::Eof) => return found,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("pcap-parser: {error:?}"),
        }
    }
}

#[test]
fn pcap_parser_finds_the_same_packets() {
    for order in ORDERS {
        let lengths: Vec<usize> = (0..500).map(|i| i * 37 % 1500).collect();
        let old = small_pcap(order, &lengths);
        let mut new = [section(order), interface(order, 1, 0, &[])].concat();
        for (index, &length) in lengths.iter().enumerate() {
            new.extend(enhanced(order, 0, index as u64, &payload(index as u32, length), length as u32 + 4));
        }
        for (file, ng) in [(old, false), (new, true)] {
            let ours: Vec<_> = walk(&file).0.into_iter().map(|p| (p.bytes.len() as u32, p.original, p.bytes)).collect();
            assert_eq!(ours.len(), 500);
            assert_eq!(ours, parse(&file, ng));
        }
    }
}

/// Number, time, captured and original length of every frame, as tshark prints them.
fn tshark(file: &[u8]) -> Option<Vec<String>> {
    let file = TemporaryFile::new("tshark", file);
    let fields = ["frame.number", "frame.time_epoch", "frame.cap_len", "frame.len"];
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(file.path())
        .args(["-T", "fields"])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .output();
    match output {
        Ok(output) => {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
        }
        Err(error) => {
            eprintln!("skipped: tshark cannot be run ({error})");
            None
        }
    }
}

#[test]
fn tshark_numbers_and_times_the_same_frames() {
    let mut files = Vec::new();
    for order in ORDERS {
        let mut nanoseconds = pcap(order, NANOSECONDS);
        for index in 0..20 {
            nanoseconds.extend(record(order, 1_700_000_000 + index, 987_654_321, &payload(index, 60), 90));
        }
        files.push(nanoseconds);
        files.push(small_pcap(order, &[60; 30]));
        // The custom block in it, which Wireshark numbers, needs a vendor number to be accepted.
        files.push(rich_pcapng(order));
        let clock = [option(order, 9, &[0x80 | 20]), option(order, 14, &order.u64(-100i64 as u64))].concat();
        let mut binary = [section(order), interface(order, 1, 0, &clock)].concat();
        for index in 0..20u64 {
            let ticks = (1_700_000_000 + index) << 20 | 0x1234;
            binary.extend(enhanced(order, 0, ticks, &payload(index as u32, 60), 60));
        }
        files.push(binary.clone());
        let cut = binary.len() - 10;
        files.push(binary[..cut].to_vec());
    }
    for file in files {
        let Some(theirs) = tshark(&file) else { return };
        let (packets, _) = walk(&file);
        assert_eq!(theirs.len(), packets.len());
        for (index, (packet, line)) in packets.iter().zip(&theirs).enumerate() {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns[0], (index + 1).to_string());
            // tshark leaves the time empty where the file has none.
            if !columns[1].is_empty() {
                let time = format!("{}.{:09}", packet.at / 1_000_000_000, packet.at % 1_000_000_000);
                assert_eq!(columns[1], time, "frame {}", index + 1);
            }
            if packet.link != u16::MAX {
                assert_eq!(columns[2], packet.bytes.len().to_string());
                assert_eq!(columns[3], packet.original.to_string());
            }
        }
    }
}
