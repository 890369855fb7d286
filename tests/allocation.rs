//! In steady state a frame costs no allocation: twice as many frames in as many chunks allocate as often.

#[path = "support/wire.rs"]
mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use wire::{Side, Talk};
use wsscan::connection::Keys;
use wsscan::engine::{Feed, Options, Recorder, Walked, run};
use wsscan::packet::{Batch, LinkType, PacketRef};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks for.
struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Chunks of packets, ready in memory.
struct Memory {
    chunks: Vec<Vec<Vec<u8>>>,
}

impl Feed for Memory {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, index: u64, batch: &mut Batch) -> bool {
        let Some(chunk) = self.chunks.get(index as usize) else { return false };
        batch.arena.clear();
        for packet in chunk {
            batch.arena.extend_from_slice(packet);
        }
        true
    }

    fn walk(&self, index: u64, batch: &mut Batch) -> Walked {
        let mut offset = 0;
        for (number, packet) in self.chunks[index as usize].iter().enumerate() {
            let length = packet.len() as u32;
            // A microsecond between packets, a millisecond between chunks.
            let at = 1_767_225_600_000_000_000 + index as i64 * 1_000_000 + number as i64 * 1_000;
            batch.packets.push(PacketRef { at, offset, captured: length, original: length, link: LinkType(1) });
            offset += length;
        }
        Walked { more: index as usize + 1 < self.chunks.len(), secrets: Vec::new() }
    }
}

/// Chunks that all hold the same kind of traffic; the first one also opens the connection.
fn chunks(count: usize, packets_per_chunk: usize, packet: impl Fn(&mut Talk, usize)) -> Memory {
    let mut talk = Talk::new();
    talk.open();
    talk.upgrade("");
    let mut chunks = Vec::new();
    for _ in 0..count {
        for number in 0..packets_per_chunk {
            packet(&mut talk, number);
        }
        chunks.push(talk.take());
    }
    Memory { chunks }
}

/// How often the engine allocates, and how many frames it says it saw.
fn measure(feed: &Memory) -> (u64, u64) {
    let options = Options { threads: 1, wanted: None, keys: Keys::default() };
    let before = ALLOCATIONS.get();
    let analysis = run(feed, &options, &Recorder);
    let allocations = ALLOCATIONS.get() - before;
    let record = &analysis.connections[0].kept.record;
    let frames = wire::frames(record);
    (allocations, frames)
}

fn no_allocation_per_packet(name: &str, frames_per_packet: u64, packet: impl Fn(&mut Talk, usize) + Copy) {
    const CHUNKS: usize = 64;
    const PACKETS: usize = 200;
    let (once, few) = measure(&chunks(CHUNKS, PACKETS, packet));
    let (twice, many) = measure(&chunks(CHUNKS, 2 * PACKETS, packet));
    let expected = (CHUNKS * PACKETS) as u64 * frames_per_packet;
    assert_eq!((few, many), (expected, 2 * expected), "{name}: the frames were not all seen, so nothing was measured");
    let more = twice.saturating_sub(once);
    // Pooled buffers grow to the larger chunk once, in a few doublings for each buffer under way.
    assert!(more < 500, "{name}: {} more frames cost {more} more allocations ({once}, then {twice})", many - few);
}

#[test]
fn small_frames_of_the_server() {
    no_allocation_per_packet("five texts in a segment", 5, |talk, _| {
        let mut bytes = Vec::new();
        for _ in 0..5 {
            bytes.extend(wire::frame(Side::Server, 1, &[b'x'; 120]));
        }
        talk.data(Side::Server, &bytes);
    });
}

#[test]
fn masked_frames_of_the_client() {
    no_allocation_per_packet("one masked binary frame in a segment", 1, |talk, _| {
        talk.data(Side::Client, &wire::frame(Side::Client, 2, &[7; 600]));
    });
}

#[test]
fn frames_cut_by_segments() {
    // Every segment ends inside the next frame's header: two segments hold two frames.
    no_allocation_per_packet("two frames in three segments", 2, |talk, _| {
        let bytes = [wire::frame(Side::Server, 1, &[b'y'; 300]), wire::frame(Side::Server, 2, &[1; 300])].concat();
        talk.data(Side::Server, &bytes[..305]);
        talk.data(Side::Server, &bytes[305..400]);
        talk.data(Side::Server, &bytes[400..]);
    });
}

#[test]
fn pings_and_pongs() {
    no_allocation_per_packet("a ping and its pong", 2, |talk, number| {
        let payload = (number as u32).to_be_bytes();
        talk.data(Side::Server, &wire::frame(Side::Server, 9, &payload));
        talk.data(Side::Client, &wire::frame(Side::Client, 10, &payload));
    });
}
