//! In steady state a frame costs no allocation: twice as many frames in as many chunks allocate as often. And an idle
//! connection gives back what it can do without.

#[path = "support/wire.rs"]
mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;

use flate2::{Compress, Compression, FlushCompress};
use wire::{Side, Talk};
use wsscan::connection::Keys;
use wsscan::engine::{Feed, Options, Recorder, Walked, run};
use wsscan::packet::{Batch, LinkType, PacketRef};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes allocated and not freed.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks for.
struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        HELD.with(|bytes| bytes.set(bytes.get() + layout.size() as i64));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.with(|bytes| bytes.set(bytes.get() - layout.size() as i64));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        HELD.with(|bytes| bytes.set(bytes.get() + size as i64 - layout.size() as i64));
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

/// Several connections in one capture; notes how much memory is held whenever the next chunk is asked for.
struct Crowd {
    /// Time of each chunk in seconds, and its packets.
    chunks: Vec<(i64, Vec<Vec<u8>>)>,
    held: Mutex<Vec<i64>>,
}

impl Feed for Crowd {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, index: u64, batch: &mut Batch) -> bool {
        hold(&self.held).push(HELD.get());
        let Some((_, chunk)) = self.chunks.get(index as usize) else { return false };
        batch.arena.clear();
        chunk.iter().for_each(|packet| batch.arena.extend_from_slice(packet));
        true
    }

    fn walk(&self, index: u64, batch: &mut Batch) -> Walked {
        let (second, chunk) = &self.chunks[index as usize];
        let at = 1_767_225_600_000_000_000 + second * 1_000_000_000;
        let mut offset = 0;
        for packet in chunk {
            let length = packet.len() as u32;
            batch.packets.push(PacketRef { at, offset, captured: length, original: length, link: LinkType(1) });
            offset += length;
        }
        Walked { more: index as usize + 1 < self.chunks.len(), secrets: Vec::new() }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

#[test]
fn an_idle_compressed_connection_falls_to_its_window_and_goes_on_from_there() {
    const CROWD: u16 = 200;
    /// What a window of this test holds at most, with what else goes with it.
    const COLD: i64 = 4 << 10;
    const WARM: i64 = 40 << 10;
    let mut talks: Vec<(Talk, Compress)> =
        (0..CROWD).map(|port| (Talk::at(20_000 + port), Compress::new(Compression::default(), false))).collect();
    let mut chunks = Vec::new();
    let mut say = |second: i64, text: &str, first: bool| {
        let mut chunk = Vec::new();
        for (talk, zlib) in &mut talks {
            if first {
                talk.open();
                talk.upgrade("Sec-WebSocket-Extensions: permessage-deflate\r\n");
            }
            let mut packed = Vec::with_capacity(1000);
            zlib.compress_vec(text.as_bytes(), &mut packed, FlushCompress::Sync).unwrap();
            packed.truncate(packed.len() - 4);
            let mut frame = wire::frame(Side::Server, 1, &packed);
            frame[0] |= 0x40;
            talk.data(Side::Server, &frame);
            chunk.extend(talk.take());
        }
        chunks.push((second, chunk));
    };
    let text = "the words that all of them say, at length and in the same order ".repeat(8);
    say(0, &text, true);
    say(1, &text, false);
    // Silence: only somebody else is heard.
    let mut other = Talk::at(40_000);
    other.open();
    let mut silence = vec![(2, other.take())];
    for second in 3..40 {
        other.segment(Side::Client, 0x10, &[]);
        silence.push((second, other.take()));
    }
    say(40, &text, false);
    let last = chunks.pop().unwrap();
    chunks.extend(silence);
    chunks.push(last);
    other.segment(Side::Client, 0x10, &[]);
    chunks.push((41, other.take()));

    let feed = Crowd { chunks, held: Mutex::new(Vec::with_capacity(100)) };
    let options = Options { threads: 1, wanted: None, keys: Keys::default() };
    let analysis = run(&feed, &options, &Recorder);
    let held = feed.held.into_inner().unwrap();
    let (warm, cold, again) = (held[2], held[40], held[41]);
    let each = |bytes: i64| (bytes - held[0]) / i64::from(CROWD);
    assert!(each(warm) > WARM, "{} bytes each: nothing is compressed, so nothing was measured", each(warm));
    assert!(each(warm) - each(cold) > WARM - COLD, "{} bytes each, and idle {}", each(warm), each(cold));
    assert!(each(again) > WARM, "{} bytes each once they speak again", each(again));
    let mut spoken = 0;
    for connection in analysis.connections.iter() {
        let Some(websocket) = connection.kept.record.entries.iter().find_map(|entry| entry.websocket.as_ref()) else {
            continue;
        };
        let server = &websocket[wsscan::stream::Direction::ToClient];
        assert_eq!((server.compression().messages, server.compression().undecoded), (3, 0));
        assert_eq!(server.compression().inflated_bytes, 3 * text.len() as u64);
        assert_eq!(server.unusual().violations.total(), 0);
        spoken += 1;
    }
    assert_eq!(spoken, CROWD);
}
