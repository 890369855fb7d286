//! Tests of this room over captures that are written here, byte by byte.

mod build;
mod files;
mod oracle;
mod walk;

use super::walker::{Walked, Walker};
use crate::packet::PacketRef;

/// One packet, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    at: i64,
    link: u16,
    original: u32,
    bytes: Vec<u8>,
}

fn records(packets: &[PacketRef], bytes: &[u8]) -> Vec<Record> {
    packets
        .iter()
        .map(|packet| {
            let start = packet.offset as usize;
            Record {
                at: packet.at,
                link: packet.link.0,
                original: packet.original,
                bytes: bytes[start..start + packet.captured as usize].to_vec(),
            }
        })
        .collect()
}

/// Walks `file` in one piece.
fn walk(file: &[u8]) -> (Vec<Record>, Walker) {
    let mut walker = Walker::new();
    let mut packets = Vec::new();
    let walked = walker.walk(file, 0, true, &mut packets);
    assert_eq!(walked.need, 0);
    assert!(walker.is_finished());
    assert_eq!(walker.packets(), packets.len() as u64);
    (records(&packets, file), walker)
}

/// Walks `file` shown in pieces of the given sizes, in turn, carrying over what was not consumed.
fn walk_in_pieces(file: &[u8], sizes: &[usize]) -> (Vec<Record>, Walker) {
    let mut walker = Walker::new();
    let mut found = Vec::new();
    let mut window: Vec<u8> = Vec::new();
    let mut taken = 0;
    let mut turn = 0;
    loop {
        let size = sizes[turn % sizes.len()].min(file.len() - taken);
        turn += 1;
        window.extend_from_slice(&file[taken..taken + size]);
        taken += size;
        let mut packets = Vec::new();
        let walked: Walked = walker.walk(&window, 0, taken == file.len(), &mut packets);
        found.extend(records(&packets, &window));
        window.drain(..walked.end);
        if walked.need == 0 {
            return (found, walker);
        }
        assert!(taken < file.len(), "the walk must end with the input");
        assert!(walked.need > window.len(), "what it asks for must not be there already");
    }
}
