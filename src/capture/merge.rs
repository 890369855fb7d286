//! One or several inputs as one capture, in time order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::error::Error;
use super::source::{ARENA_SIZE, ChunkedFile, FileSummary, Input, Source};
use crate::packet::{Batch, PacketRef};

/// Bytes of arenas that all inputs of a merge share.
const MERGE_ARENAS: usize = 64 << 20;

/// Smallest arena of one input of a merge, in bytes.
const SMALLEST_ARENA: usize = 64 << 10;

/// Most packets in a merged batch.
const MERGED_PACKETS: usize = 64 << 10;

/// One or several inputs, read as one capture.
///
/// Several inputs are merged by time: always the earliest next packet, and among equal times that of the
/// input named first. The order within an input is kept even where its times go backwards. Packets are
/// numbered from 1 in the merged order.
pub struct Capture {
    inputs: Vec<MergeInput>,
    /// The next packet's time and the number of its input, for every input that has one.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    packets: u64,
    started: bool,
}

/// An input with packets read ahead.
struct MergeInput {
    source: Source,
    batch: Batch,
    cursor: usize,
}

impl Capture {
    /// Opens all inputs and recognises their formats.
    ///
    /// # Errors
    /// When an input cannot be opened or is no capture that is read. The text names it and the next step.
    pub fn open(inputs: &[Input]) -> Result<Self, Error> {
        if inputs.is_empty() {
            return Err(Error::new("no capture is named; name one with -r FILE"));
        }
        if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
            return Err(Error::new("standard input (-) is named twice, but it can be read only once; name it once"));
        }
        let arena_size = match inputs.len() {
            1 => ARENA_SIZE,
            several => (MERGE_ARENAS / several).clamp(SMALLEST_ARENA, ARENA_SIZE),
        };
        let sources = inputs.iter().map(|input| Source::open(input, arena_size)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_sources(sources))
    }

    pub(super) fn from_sources(sources: Vec<Source>) -> Self {
        let inputs =
            sources.into_iter().map(|source| MergeInput { source, batch: Batch::default(), cursor: 0 }).collect();
        Self { inputs, next: BinaryHeap::new(), packets: 0, started: false }
    }

    /// Fills `batch` with the next packets, at most some [`ARENA_SIZE`] of capture, and sets `first_packet`.
    /// `false` at the end, with an empty batch. The batch's vectors are reused: hand them back uncleared.
    ///
    /// From a pipe, what has arrived is handed on without waiting for more.
    pub(crate) fn next_batch(&mut self, batch: &mut Batch) -> bool {
        batch.first_packet = self.packets + 1;
        let more = match self.inputs.as_mut_slice() {
            [only] => only.source.fill(batch),
            _ => self.merge(batch),
        };
        if !more {
            batch.arena.clear();
        }
        self.packets += batch.packets.len() as u64;
        more
    }

    fn merge(&mut self, batch: &mut Batch) -> bool {
        if !self.started {
            self.started = true;
            for index in 0..self.inputs.len() {
                self.advance(index);
            }
        }
        batch.packets.clear();
        while let Some(Reverse((_, index))) = self.next.pop() {
            // All packets of this input before the next packet of another are taken in one run.
            let limit = self.next.peek().map_or((i64::MAX, usize::MAX), |Reverse(other)| *other);
            let input = &mut self.inputs[index];
            let waiting = &input.batch.packets[input.cursor..];
            let run = waiting.iter().take_while(|packet| (packet.at, index) <= limit).count();
            if batch.packets.is_empty() && input.cursor == 0 && run == input.batch.packets.len() {
                // Files of a rotated capture do not overlap: whole batches pass without being copied.
                std::mem::swap(&mut batch.arena, &mut input.batch.arena);
                std::mem::swap(&mut batch.packets, &mut input.batch.packets);
                self.advance(index);
                return true;
            }
            if batch.packets.is_empty() {
                batch.arena.clear();
            }
            let mut copied = 0;
            for packet in &waiting[..run] {
                if batch.arena.len() >= ARENA_SIZE || batch.packets.len() >= MERGED_PACKETS {
                    break;
                }
                let start = packet.offset as usize;
                let offset = batch.arena.len() as u32;
                batch.arena.extend_from_slice(&input.batch.arena[start..start + packet.captured as usize]);
                batch.packets.push(PacketRef { offset, ..*packet });
                copied += 1;
            }
            input.cursor += copied;
            self.advance(index);
            if batch.arena.len() >= ARENA_SIZE || batch.packets.len() >= MERGED_PACKETS {
                break;
            }
        }
        !batch.packets.is_empty()
    }

    /// Puts the next packet of an input into the queue, after reading on if necessary.
    fn advance(&mut self, index: usize) {
        let input = &mut self.inputs[index];
        if input.cursor >= input.batch.packets.len() {
            input.cursor = 0;
            if !input.source.fill(&mut input.batch) {
                input.batch = Batch::default();
                return;
            }
        }
        self.next.push(Reverse((input.batch.packets[input.cursor].at, index)));
    }

    /// TLS secrets (bytes of NSS key logs) from decryption secrets blocks, seen up to and including the last
    /// batch, since the last call.
    pub fn take_secrets(&mut self) -> Vec<Vec<u8>> {
        self.inputs.iter_mut().flat_map(|input| input.source.take_secrets()).collect()
    }

    /// Summary of each input so far, in the order they were named.
    #[must_use]
    pub fn files(&self) -> Vec<FileSummary> {
        self.inputs.iter().map(|input| input.source.summary()).collect()
    }

    /// The file itself, when the capture is one plain, uncompressed, seekable file of which nothing was read
    /// yet: several threads may then read it in chunks, and a [`Walker`](super::Walker) walk them in order.
    #[must_use]
    pub(crate) fn chunked(&self) -> Option<ChunkedFile> {
        match self.inputs.as_slice() {
            [only] => only.source.chunked(),
            _ => None,
        }
    }
}
