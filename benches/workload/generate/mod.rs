//! A deterministic generator of WebSocket captures: the same shape, size and seed give the same bytes.
//!
//! ```text
//! payloads ─► frames ─► tls? ─► conversation ─ steps ─► simulation (one clock) ─► packets ─► capture_file
//!                 └──────────── truth: counted while it is planned ────────────────────────────►  JSON
//! ```
//!
//! It shares no code with the library that it measures.

pub(crate) mod capture_file;
pub(crate) mod conversation;
pub(crate) mod desk;
pub(crate) mod frames;
pub(crate) mod heads;
pub(crate) mod packets;
pub(crate) mod payloads;
pub(crate) mod random;
pub(crate) mod simulation;
pub(crate) mod tls;
pub(crate) mod truth;

use std::sync::Arc;

use capture_file::{CaptureFile, Format};
use desk::Desk;
use payloads::Payloads;
use simulation::Shape;
use truth::Truth;

/// A capture in memory, with its truth and its key log.
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
    pub(crate) truth: Truth,
}

/// Generates a capture in memory.
pub(crate) fn in_memory(shape: Shape, bytes: u64, seed: u64, format: Format) -> Capture {
    let payloads = Arc::new(Payloads::new(seed, shape.stories(bytes)));
    let desk = Desk::new(seed, payloads, CaptureFile::in_memory(format));
    let (truth, bytes) =
        simulation::run(shape, bytes, shape.connections(bytes), desk).expect("memory takes every write");
    Capture { bytes, truth }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 9] = [
        Shape::Ticks,
        Shape::Binary,
        Shape::Upload,
        Shape::Churn,
        Shape::Noise,
        Shape::Deflate,
        Shape::Lossy,
        Shape::Wss,
        Shape::WssLarge,
    ];

    #[test]
    fn same_seed_same_bytes() {
        for shape in SHAPES {
            let [one, two] = [1, 1].map(|seed| in_memory(shape, 1 << 20, seed, Format::Pcap));
            assert!(one.bytes == two.bytes && one.truth == two.truth, "{shape:?}");
            assert!(in_memory(shape, 1 << 20, 2, Format::Pcap).bytes != one.bytes, "{shape:?}");
        }
    }

    /// The records of the file are as many as the truth says, in order of time, and end where the file ends.
    #[test]
    fn records_are_whole_and_in_order() {
        for shape in SHAPES {
            let capture = in_memory(shape, 1 << 20, 5, Format::PcapNanosecond);
            let (mut at, mut packets, mut before) = (24, 0, 0);
            let field = |at: usize| u32::from_le_bytes(capture.bytes[at..at + 4].try_into().unwrap());
            while at < capture.bytes.len() {
                let time = u64::from(field(at)) * 1_000_000_000 + u64::from(field(at + 4));
                assert!(time >= before && field(at + 8) == field(at + 12));
                before = time;
                at += 16 + field(at + 8) as usize;
                packets += 1;
            }
            assert_eq!((at as u64, packets), (capture.truth.file_bytes, capture.truth.packets), "{shape:?}");
        }
    }

    #[test]
    fn truth_adds_up() {
        for shape in SHAPES {
            let truth = in_memory(shape, 2 << 20, 7, Format::Pcapng).truth;
            for (sent, faults) in [(truth.client, truth.client_faults), (truth.server, truth.server_faults)] {
                let sum = sent.text + sent.binary + sent.continuation + sent.ping + sent.pong + sent.close;
                assert_eq!(sum, sent.frames, "{shape:?}");
                let seen = faults.frames_whole + faults.frames_payload_gap + faults.frames_header_gap;
                assert_eq!(seen, if shape == Shape::Lossy { sent.frames } else { 0 }, "{shape:?}");
            }
            assert_eq!(truth.outcomes.values().sum::<u64>(), truth.attempts, "{shape:?}");
            assert!(truth.server.frames > 0 && truth.websockets > 0, "{shape:?}");
            let foreign = truth.foreign_packets * 100 / truth.packets;
            assert!(if shape == Shape::Noise { (90..=97).contains(&foreign) } else { foreign == 0 }, "{foreign} %");
        }
    }
}
