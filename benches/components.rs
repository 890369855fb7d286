//! What each room costs on its own: one core, everything in memory, inputs from the workload generator.
//!
//! ```text
//! cargo bench --bench components               all of them
//! cargo bench --bench components -- inflate    those whose name contains "inflate"
//! ```
//!
//! `*_alone` is the library that does the work in a room, called on the same bytes without the room: what there is
//! to lose.

#[allow(dead_code, reason = "the generator's own program uses kind is left")]
#[path = "workload/generate/mod.rs"]
mod generate;

use std::collections::HashMap;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use flate2::{Decompress, FlushDecompress};
use generate::capture_file::Format;
use generate::frames::{BINARY, COMPRESSED, FINAL, Stage, TEXT};
use generate::payloads::Payloads;
use generate::random::Random;
use generate::simulation::Shape;
use generate::tls::{APPLICATION, Handshake, Suite, handshake};
use generate::truth::Sent;
use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use wsscan::capture::Walker;
use wsscan::connection::Keys;
use wsscan::diagnosis::diagnose_all;
use wsscan::engine::{Analysis, Feed, Judgement, Options, Recorded, Recorder, Walked, run};
use wsscan::output::events::ndjson::{Binding, Event, Frame, FrameLine, append_bound, append_event, frame_line};
use wsscan::output::model::{Side, Time};
use wsscan::packet::{Batch, Decoded, PacketRef, Segment, decode};
use wsscan::stream::{Direction, Stamp, StreamEvent};
use wsscan::tcp::{Connection, FlowKey};
use wsscan::tls::{KeyLog, Tls};
use wsscan::websocket::{Deflate, Interest, Options as WebSocketOptions, WebSocket};

/// Bytes of each capture that is analysed whole.
const CAPTURE: u64 = 16 << 20;
/// Bytes of a capture that fits into the cache, as a chunk does that was just read.
const CHUNK: u64 = 512 << 10;
/// Payload bytes of each stream.
const STREAM: usize = 8 << 20;
/// Payload of a TCP segment.
const SEGMENT: usize = 1460;

fn main() {
    divan::main();
}

/// A capture, walked.
struct Walk {
    bytes: u64,
    batch: Batch,
}

fn walked(shape: Shape, bytes: u64, format: Format) -> Walk {
    let arena = generate::in_memory(shape, bytes, 1, format).bytes;
    let mut packets = Vec::new();
    Walker::new().walk(&arena, 0, true, &mut packets);
    Walk { bytes: arena.len() as u64, batch: Batch { arena, packets, first_packet: 1 } }
}

fn named(name: &str, bytes: u64) -> Walk {
    let format = if name.ends_with(".pcapng") { Format::Pcapng } else { Format::Pcap };
    let shape = match name.split('.').next() {
        Some("ticks") => Shape::Ticks,
        Some("binary") => Shape::Binary,
        Some("lossy") => Shape::Lossy,
        _ => Shape::Churn,
    };
    walked(shape, bytes, format)
}

/// Record headers only.
#[divan::bench(args = ["ticks", "ticks.pcapng", "binary"])]
fn record_walk(bencher: Bencher, name: &str) {
    let walk = named(name, CHUNK);
    let mut packets = Vec::with_capacity(walk.batch.packets.len());
    bencher.counter(BytesCount::new(walk.bytes)).bench_local(|| {
        packets.clear();
        Walker::new().walk(black_box(&walk.batch.arena), 0, true, &mut packets)
    });
}

/// Headers of every packet.
#[divan::bench(args = ["ticks", "binary", "churn"])]
fn packet_decode(bencher: Bencher, name: &str) {
    let walk = named(name, CHUNK);
    bencher
        .counter(BytesCount::new(walk.bytes))
        .bench(|| walk.batch.iter().filter(|packet| matches!(black_box(decode(*packet)), Decoded::Segment(_))).count());
}

/// Segments to streams; the flow of each segment is known beforehand.
#[divan::bench(args = ["ticks", "binary", "lossy", "churn"])]
fn tcp_reassembly(bencher: Bencher, name: &str) {
    let walk = named(name, CAPTURE);
    let mut flows = HashMap::new();
    let mut segments: Vec<(usize, Segment<'_>)> = Vec::new();
    for packet in walk.batch.iter() {
        if let Decoded::Segment(segment) = decode(packet) {
            let next = flows.len();
            segments.push((*flows.entry(FlowKey::of(&segment)).or_insert(next), segment));
        }
    }
    bencher.counter(BytesCount::new(walk.bytes)).bench(|| {
        let mut connections: Vec<Option<Connection>> = Vec::new();
        connections.resize_with(flows.len(), || None);
        let mut bytes = 0;
        for (flow, segment) in &segments {
            let connection = connections[*flow].get_or_insert_with(|| Connection::new(segment));
            connection.segment(segment, &mut |_, _, event| {
                if let StreamEvent::Data { bytes: data, .. } = event {
                    bytes += data.len();
                }
            });
        }
        bytes
    });
}

/// A stream of frames.
struct Frames {
    stage: Stage,
    direction: Direction,
    deflate: Option<Deflate>,
}

fn frames(kind: &str) -> Frames {
    let payloads = Payloads::new(1, 4);
    let mut random = Random::new(1);
    let mut stage = Stage::default();
    let mut sent = Sent::default();
    let mut index = 0;
    let mut story = 0;
    while stage.bytes.len() < STREAM {
        match kind {
            "text" => {
                let text = &payloads.texts[index % payloads.texts.len()];
                stage.frame(FINAL | TEXT, text, None, &mut sent);
            }
            "masked_text" => {
                let text = &payloads.texts[index % payloads.texts.len()];
                stage.frame(FINAL | TEXT, text, Some(&mut random), &mut sent);
            }
            "binary" => {
                let length = random.between(16 << 10, 64 << 10) as usize;
                stage.frame(FINAL | BINARY, payloads.noise(&mut random, length), None, &mut sent);
            }
            "masked_binary" => {
                let length = random.between(16 << 10, 64 << 10) as usize;
                let noise = payloads.noise(&mut Random::new(index as u64), length);
                stage.frame(FINAL | BINARY, noise, Some(&mut random), &mut sent);
            }
            _ => {
                let stories = &payloads.stories[1];
                let (packed, _) = stories[story % stories.len()].message(index).unwrap_or_else(|| {
                    (story, index) = (story + 1, 0);
                    stories[story % stories.len()].message(0).expect("stories are not empty")
                });
                stage.frame(FINAL | COMPRESSED | TEXT, packed, None, &mut sent);
            }
        }
        index += 1;
    }
    let direction = if kind.starts_with("masked") { Direction::ToServer } else { Direction::ToClient };
    Frames { stage, direction, deflate: (kind == "deflate").then(Deflate::default) }
}

fn decode_frames(bencher: Bencher, frames: &Frames, interest: Interest) {
    let options = WebSocketOptions { deflate: frames.deflate, interest, ..WebSocketOptions::default() };
    bencher
        .counter(BytesCount::new(frames.stage.bytes.len()))
        .counter(ItemsCount::new(frames.stage.frames.len()))
        .bench(|| {
            let mut websocket = WebSocket::new(options);
            let mut offset = 0;
            for (packet, bytes) in frames.stage.bytes.chunks(SEGMENT).enumerate() {
                let stamp = Stamp { packet: packet as u64, at: packet as i64 * 1000 };
                websocket.feed(stamp, frames.direction, StreamEvent::Data { offset, bytes }, &mut ());
                offset += bytes.len() as u64;
            }
            websocket.into_facts()
        });
}

/// Segments of 1460 bytes to frames and facts.
#[divan::bench(args = ["text", "masked_text", "binary", "masked_binary"])]
fn frame_decode(bencher: Bencher, kind: &str) {
    decode_frames(bencher, &frames(kind), Interest::NONE);
}

/// The same, with messages handed over.
#[divan::bench(args = ["text", "masked_text", "binary", "masked_binary"])]
fn message_decode(bencher: Bencher, kind: &str) {
    decode_frames(bencher, &frames(kind), Interest::ALL);
}

/// Compressed messages through the room. MB/s are of the wire.
#[divan::bench]
fn inflate(bencher: Bencher) {
    decode_frames(bencher, &frames("deflate"), Interest::NONE);
}

/// The same messages through the library alone.
#[divan::bench]
fn inflate_alone(bencher: Bencher) {
    let frames = frames("deflate");
    let messages: Vec<Vec<u8>> = frames
        .stage
        .frames
        .iter()
        .map(|frame| {
            let start = (frame.start + frame.header) as usize;
            let mut message = frames.stage.bytes[start..start + frame.length as usize].to_vec();
            message.extend([0, 0, 0xff, 0xff]);
            message
        })
        .collect();
    let mut out = vec![0; 1 << 16];
    bencher.counter(BytesCount::new(frames.stage.bytes.len())).counter(ItemsCount::new(messages.len())).bench_local(
        || {
            let mut inflate = Decompress::new(false);
            let mut total = 0;
            for message in &messages {
                let before = inflate.total_out();
                inflate.decompress(black_box(message), &mut out, FlushDecompress::Sync).expect("valid messages");
                total += inflate.total_out() - before;
            }
            total
        },
    );
}

/// A TLS conversation in which the server says `STREAM` bytes in records of one size.
struct Sealed {
    suite: Suite,
    hello: [(Direction, Vec<u8>); 3],
    keys: KeyLog,
    records: Vec<u8>,
    size: usize,
}

fn sealed(kind: &str) -> Sealed {
    let (suite, size) = match kind {
        "aes_200" => (Suite::Aes128Gcm, 200),
        "aes_1400" => (Suite::Aes128Gcm, 1400),
        "aes_16k" => (Suite::Aes128Gcm, 16 << 10),
        "chacha_200" => (Suite::ChaCha20Poly1305, 200),
        "chacha_1400" => (Suite::ChaCha20Poly1305, 1400),
        _ => (Suite::ChaCha20Poly1305, 16 << 10),
    };
    let mut random = Random::new(1);
    let Handshake { client_hello, mut server_flight, client_flight, tickets, mut sealers, key_log } =
        handshake(&mut random, suite, "bench.example", &["http/1.1"]);
    server_flight.extend(tickets);
    let mut keys = KeyLog::new();
    keys.add(key_log.as_bytes());
    let plain = vec![b'x'; size];
    let mut records = Vec::with_capacity(STREAM + (1 << 20));
    while records.len() < STREAM {
        sealers[1].seal(APPLICATION, &plain, &mut records);
    }
    let hello = [
        (Direction::ToServer, client_hello),
        (Direction::ToClient, server_flight),
        (Direction::ToServer, client_flight),
    ];
    Sealed { suite, hello, keys, records, size }
}

const RECORDS: [&str; 6] = ["aes_200", "aes_1400", "aes_16k", "chacha_200", "chacha_1400", "chacha_16k"];

/// Sealed records through the room, segment by segment.
#[divan::bench(args = RECORDS)]
fn tls_open(bencher: Bencher, kind: &str) {
    let sealed = sealed(kind);
    let wanted = sealed.records.len() / (sealed.size + 22) * sealed.size;
    bencher.counter(BytesCount::new(sealed.records.len())).bench(|| {
        let mut tls = Tls::new();
        let mut opened = 0;
        let mut offsets = [0; 2];
        let mut feed = |direction: Direction, bytes: &[u8]| {
            let offset = &mut offsets[direction.index()];
            let event = StreamEvent::Data { offset: *offset, bytes };
            *offset += bytes.len() as u64;
            tls.feed(Stamp::default(), direction, event, &sealed.keys, &mut |_, _, event| {
                if let StreamEvent::Data { bytes, .. } = event {
                    opened += bytes.len();
                }
            });
        };
        for (direction, bytes) in &sealed.hello {
            feed(*direction, bytes);
        }
        for bytes in sealed.records.chunks(SEGMENT) {
            feed(Direction::ToClient, bytes);
        }
        assert_eq!(opened, wanted);
    });
}

/// Records of the same sizes opened by the library alone, with the copy that opening in place demands.
#[divan::bench(args = RECORDS)]
fn tls_open_alone(bencher: Bencher, kind: &str) {
    let sealed = sealed(kind);
    let (algorithm, key) = match sealed.suite {
        Suite::Aes128Gcm => (&AES_128_GCM, &[7; 16][..]),
        Suite::ChaCha20Poly1305 => (&CHACHA20_POLY1305, &[7; 32][..]),
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).expect("the key has the right length"));
    let nonce = || Nonce::assume_unique_for_key([9; 12]);
    let mut record = vec![b'x'; sealed.size + 1];
    key.seal_in_place_append_tag(nonce(), Aad::from([0; 5]), &mut record).expect("the record is short");
    let count = sealed.records.len() / (sealed.size + 22);
    let mut copy = Vec::with_capacity(record.len());
    bencher.counter(BytesCount::new(sealed.records.len())).bench_local(|| {
        for _ in 0..count {
            copy.clear();
            copy.extend_from_slice(&record);
            let opened = key.open_in_place(nonce(), Aad::from([0; 5]), black_box(&mut copy));
            assert!(black_box(opened).is_ok());
        }
    });
}

/// A capture in memory, in chunks as large as those that are read from a file.
struct Memory(Vec<Batch>);

impl Memory {
    fn new(walk: &Walk) -> Self {
        let mut chunks: Vec<Batch> = Vec::new();
        for packet in &walk.batch.packets {
            if chunks.last().is_none_or(|chunk| chunk.arena.len() >= CHUNK as usize) {
                chunks.push(Batch::default());
            }
            let chunk = chunks.last_mut().expect("one was pushed");
            let place = packet.offset as usize..(packet.offset + packet.captured) as usize;
            chunk.packets.push(PacketRef { offset: chunk.arena.len() as u32, ..*packet });
            chunk.arena.extend_from_slice(&walk.batch.arena[place]);
        }
        Memory(chunks)
    }

    fn analyse(&self) -> Analysis<Recorded> {
        run(self, &Options { threads: 1, wanted: None, keys: Keys::new() }, &Recorder)
    }
}

impl Feed for Memory {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, index: u64, batch: &mut Batch) -> bool {
        let Some(chunk) = self.0.get(index as usize) else { return false };
        batch.arena.clone_from(&chunk.arena);
        true
    }

    fn walk(&self, index: u64, batch: &mut Batch) -> Walked {
        batch.packets.clone_from(&self.0[index as usize].packets);
        Walked { more: index as usize + 1 < self.0.len(), secrets: Vec::new() }
    }
}

/// Everything from packets to records, one thread, from memory.
#[divan::bench(args = ["ticks", "binary", "lossy", "churn"])]
fn engine(bencher: Bencher, name: &str) {
    let walk = named(name, CAPTURE);
    let memory = Memory::new(&walk);
    bencher.counter(BytesCount::new(walk.bytes)).bench(|| memory.analyse());
}

/// Records of many short connections to findings; items are connections.
#[divan::bench]
fn diagnosis(bencher: Bencher) {
    let analysis = Memory::new(&named("churn", CAPTURE)).analyse();
    bencher.counter(ItemsCount::new(analysis.connections.len())).bench(|| {
        let each = analysis.connections.iter().map(|known| diagnose_all(&known.kept.record).len());
        each.sum::<usize>() + Judgement::of(&analysis.connections, false, 1).len()
    });
}

const LINES: u64 = 1000;
const COMMUNITY: &str = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";

/// `frame` lines as the program writes them; bytes are of output.
#[divan::bench]
fn ndjson_frame(bencher: Bencher) {
    let write = |out: &mut Vec<u8>, line: &mut Vec<u8>| {
        out.clear();
        for packet in 0..LINES {
            line.clear();
            frame_line(
                line,
                &FrameLine {
                    time: Time(1_796_115_600_000_000_000 + packet as i64 * 1_003_000),
                    packet: 100_000 + packet,
                    from: Side::Server,
                    fin: true,
                    rsv: 0,
                    opcode: 1,
                    masked: false,
                    length: 100 + packet,
                    close_code: None,
                },
            );
            append_bound(out, line, 12, COMMUNITY, 7);
        }
    };
    let (mut out, mut line) = (Vec::new(), Vec::new());
    write(&mut out, &mut line);
    bencher.counter(BytesCount::new(out.len())).counter(ItemsCount::new(LINES)).bench_local(|| {
        write(&mut out, &mut line);
        black_box(&out);
    });
}

/// The same lines by serde from the published types.
#[divan::bench]
fn ndjson_frame_serde(bencher: Bencher) {
    let write = |out: &mut Vec<u8>| {
        out.clear();
        for packet in 0..LINES {
            let event = Event::Frame(Frame {
                time: Time(1_796_115_600_000_000_000 + packet as i64 * 1_003_000),
                binding: Binding { connection: 12, community_id: COMMUNITY.to_owned(), tcp_stream: 7 },
                packet: 100_000 + packet,
                from: Side::Server,
                fin: true,
                rsv: 0,
                opcode: 1,
                opcode_name: "text".to_owned(),
                masked: false,
                length: 100 + packet,
                close_code: None,
            });
            append_event(out, &event);
        }
    };
    let mut out = Vec::new();
    write(&mut out);
    bencher.counter(BytesCount::new(out.len())).counter(ItemsCount::new(LINES)).bench_local(|| {
        write(&mut out);
        black_box(&out);
    });
}
