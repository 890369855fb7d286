//! What all conversations share: the random numbers, the payloads, the capture being written and its truth.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use super::capture_file::CaptureFile;
use super::frames::Stage;
use super::payloads::Payloads;
use super::random::Random;
use super::step::Step;
use super::truth::{Faults, Truth};

/// See the module.
pub(crate) struct Context {
    pub(crate) random: Random,
    pub(crate) payloads: Arc<Payloads>,
    pub(crate) file: CaptureFile,
    pub(crate) truth: Truth,
    pub(crate) faults: [Faults; 2],
    pub(crate) foreign_packets: u64,
    /// Frames of the exchange that is being planned.
    pub(crate) stage: Stage,
    /// Segments of the exchange that is being planned.
    pub(crate) segments: Vec<Step>,
    /// Whether segments are lost, repeated and swapped.
    pub(crate) faulty: bool,
    /// Whether all conversations should end.
    pub(crate) draining: bool,
    /// How long WebSockets wait between exchanges, in quarters of the usual time.
    pub(crate) pace: u64,
    /// Where TLS secrets go.
    pub(crate) key_log: Option<Box<dyn Write>>,
    /// Whether TLS secrets go into the capture as well.
    pub(crate) embed_keys: bool,
    /// Where each frame is listed.
    pub(crate) frame_list: Option<BufWriter<File>>,
}

impl Context {
    /// A context without conversations.
    pub(crate) fn new(seed: u64, payloads: Arc<Payloads>, file: CaptureFile) -> Self {
        Context {
            random: Random::new(seed),
            payloads,
            file,
            truth: Truth { seed, ..Truth::default() },
            faults: [Faults::default(); 2],
            foreign_packets: 0,
            stage: Stage::default(),
            segments: Vec::new(),
            faulty: false,
            draining: false,
            pace: 4,
            key_log: None,
            embed_keys: false,
            frame_list: None,
        }
    }

    /// Publishes the secrets of a connection.
    pub(crate) fn keys(&mut self, lines: &str) {
        if let Some(log) = &mut self.key_log {
            log.write_all(lines.as_bytes()).expect("the key log can be written");
        }
        if self.embed_keys {
            self.file.secrets(lines.as_bytes()).expect("the capture can be written");
        }
    }

    /// Notes the staged frames, whose bytes begin at `start` in the buffer that the planned segments refer to:
    /// how much of each is missing, and (if wanted) a line in the list.
    pub(crate) fn note_frames(&mut self, stream: u64, side: usize, start: u32) {
        if !self.faulty && self.frame_list.is_none() {
            return;
        }
        let missing: Vec<_> = self.segments.iter().filter(|step| step.lost()).map(Step::range).collect();
        let overlaps_loss = |from: u32, to: u32| missing.iter().any(|gap| gap.start < to && from < gap.end);
        let faults = &mut self.faults[side];
        for frame in &self.stage.frames {
            let header = start + frame.start;
            let payload = header + frame.header;
            let state = if overlaps_loss(header, payload) {
                faults.frames_header_gap += 1;
                "header_gap"
            } else if overlaps_loss(payload, payload + frame.length) {
                faults.frames_payload_gap += 1;
                "payload_gap"
            } else {
                faults.frames_whole += 1;
                "whole"
            };
            if let Some(list) = &mut self.frame_list {
                let from = ["client", "server"][side];
                let (fin, rsv, opcode) = (frame.first >> 7, frame.first >> 4 & 7, frame.first & 15);
                writeln!(list, "{stream},{from},{fin},{rsv},{opcode},{},{state}", frame.length)
                    .expect("the list of frames can be written");
            }
        }
    }
}
