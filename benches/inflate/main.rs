//! The inflate library alone: how fast the compressed messages of a capture inflate without anything around it.
//!
//! ```text
//! cargo run --release --example inflate -- deflate.pcap --threads 4
//! {"messages":590483,"compressed":223893093,"inflated":1357912449,"seconds":0.61,"in_capture_order":0.74}
//! ```
//!
//! Reads the capture, puts every compressed message of every WebSocket into memory, unmasked and with the four bytes
//! that RFC 7692 §7.2.2 has appended, and only then looks at the clock. One window per direction (context takeover),
//! a call of the library per message, output overwritten. Connections are spread over the threads; none is shared.
//!
//! `seconds` is for one connection after another, whose window stays in the cache: the best that the library can do.
//! `in_capture_order` is for messages of all connections in turn, as they are on the wire and as the program meets
//! them.
//!
//! It is for captures as the workload generator writes them: complete, plain TCP, HTTP/1.1. Anything else is an error.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use flate2::{Decompress, FlushDecompress};
use wsscan::capture::Walker;
use wsscan::packet::{Batch, Decoded, decode};
use wsscan::stream::{Direction, StreamEvent};
use wsscan::tcp::{Connection, FlowKey};

/// What is appended to every message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Inflates the compressed messages of a capture with the library alone.
#[derive(Parser)]
struct Arguments {
    /// The capture.
    capture: PathBuf,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match inflate(&arguments.capture, arguments.threads.max(1)) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("inflate: {error}");
            ExitCode::from(2)
        }
    }
}

fn inflate(capture: &Path, threads: usize) -> Result<serde_json::Value, String> {
    let streams = streams(std::fs::read(capture).map_err(|error| error.to_string())?)?;
    let (alone, inflated) = one_after_another(&streams, threads)?;
    let (in_turn, again) = in_capture_order(&streams, threads)?;
    if inflated != again {
        return Err(format!("{inflated} bytes inflated, then {again}"));
    }
    let messages: usize = streams.iter().map(|stream| stream.messages.len()).sum();
    let compressed: usize = streams.iter().map(|stream| stream.compressed).sum();
    Ok(serde_json::json!({
        "messages": messages, "compressed": compressed, "inflated": inflated,
        "seconds": alone, "in_capture_order": in_turn,
    }))
}

/// One direction of a WebSocket.
#[derive(Default)]
struct Stream {
    head_over: bool,
    /// Bytes of the stream that are not a whole frame yet.
    open: Vec<u8>,
    /// Messages in order, each with the tail, one after the other.
    bytes: Vec<u8>,
    /// Where each message ends in `bytes`, and in which order it came among all of the capture.
    messages: Vec<(usize, usize)>,
    compressed: usize,
}

impl Stream {
    fn take(&mut self, data: &[u8], order: &mut usize) -> Result<(), String> {
        self.open.extend_from_slice(data);
        let mut at = 0;
        if !self.head_over {
            let Some(end) = self.open.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(()) };
            (at, self.head_over) = (end + 4, true);
        }
        while let Some(length) = self.frame(at, order)? {
            at += length;
        }
        self.open.drain(..at);
        Ok(())
    }

    /// Takes the frame that begins at `at`, if it is whole, and returns its length.
    fn frame(&mut self, at: usize, order: &mut usize) -> Result<Option<usize>, String> {
        let bytes = &self.open[at..];
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (masked, mut header) = (second & 0x80 != 0, 2);
        let mut length = usize::from(second & 0x7f);
        if length >= 126 {
            let size = if length == 126 { 2 } else { 8 };
            let Some(field) = bytes.get(2..2 + size) else { return Ok(None) };
            length = field.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            header += size;
        }
        let key = header;
        header += if masked { 4 } else { 0 };
        let Some(payload) = bytes.get(header..header + length) else { return Ok(None) };
        if first & 0x08 == 0 {
            if first & 0xf0 != 0xc0 {
                return Err(format!("a data frame that begins with {first:02x} is none of a whole compressed message"));
            }
            let start = self.bytes.len();
            self.bytes.extend_from_slice(payload);
            if masked {
                for (index, byte) in self.bytes[start..].iter_mut().enumerate() {
                    *byte ^= bytes[key + index % 4];
                }
            }
            self.bytes.extend(TAIL);
            self.messages.push((self.bytes.len(), *order));
            self.compressed += length;
            *order += 1;
        }
        Ok(Some(header + length))
    }

    fn message(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.messages[index - 1].0 };
        &self.bytes[start..self.messages[index].0]
    }
}

fn streams(arena: Vec<u8>) -> Result<Vec<Stream>, String> {
    let mut packets = Vec::new();
    Walker::new().walk(&arena, 0, true, &mut packets);
    let batch = Batch { arena, packets, first_packet: 1 };
    let mut flows = HashMap::new();
    let mut connections: Vec<Connection> = Vec::new();
    let mut streams: Vec<Stream> = Vec::new();
    let (mut order, mut trouble) = (0, None);
    for packet in batch.iter() {
        let Decoded::Segment(segment) = decode(packet) else { continue };
        let flow = *flows.entry(FlowKey::of(&segment)).or_insert(connections.len());
        if flow == connections.len() {
            connections.push(Connection::new(&segment));
            streams.extend([Stream::default(), Stream::default()]);
        }
        connections[flow].segment(&segment, &mut |_, direction: Direction, event| match event {
            StreamEvent::Data { bytes, .. } => {
                let taken = streams[2 * flow + direction.index()].take(bytes, &mut order);
                trouble = trouble.take().or(taken.err());
            }
            StreamEvent::Gap { .. } => trouble = Some("bytes are missing".to_owned()),
            StreamEvent::End(_) => {}
        });
    }
    match trouble {
        Some(trouble) => Err(trouble),
        None if order == 0 => Err("no compressed messages".to_owned()),
        None => Ok(streams),
    }
}

/// Inflates one message and returns its length.
fn one(library: &mut Decompress, message: &[u8], out: &mut [u8]) -> Result<u64, String> {
    let (taken, before) = (library.total_in(), library.total_out());
    loop {
        let at = (library.total_in() - taken) as usize;
        let made = library.total_out();
        library.decompress(&message[at..], out, FlushDecompress::Sync).map_err(|error| error.to_string())?;
        if library.total_out() - made < out.len() as u64 {
            break;
        }
    }
    if library.total_in() - taken != message.len() as u64 {
        return Err("a message ends early".to_owned());
    }
    Ok(library.total_out() - before)
}

/// Runs `work` in every thread: seconds until the last one is done, and the sum of what they return.
fn timed(threads: usize, work: impl Fn(usize) -> Result<u64, String> + Sync) -> Result<(f64, u64), String> {
    let started = Instant::now();
    let sums: Vec<Result<u64, String>> = std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no thread panics")).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    Ok((seconds, sums.into_iter().sum::<Result<u64, String>>()?))
}

fn one_after_another(streams: &[Stream], threads: usize) -> Result<(f64, u64), String> {
    let next = AtomicUsize::new(0);
    timed(threads, |_| {
        let (mut out, mut total) = (vec![0; 1 << 16], 0);
        while let Some(stream) = streams.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut library = Decompress::new(false);
            for index in 0..stream.messages.len() {
                total += one(&mut library, stream.message(index), &mut out)?;
            }
        }
        Ok(total)
    })
}

/// A message: its place in the capture, its stream, its place there.
type Place = (usize, usize, usize);

fn in_capture_order(streams: &[Stream], threads: usize) -> Result<(f64, u64), String> {
    // Lists of messages, made before the clock starts; the largest streams are dealt first.
    let mut largest: Vec<usize> = (0..streams.len()).collect();
    largest.sort_by_key(|index| std::cmp::Reverse(streams[*index].bytes.len()));
    let mut lists: Vec<(usize, Vec<Place>)> = vec![(0, Vec::new()); threads];
    for stream in largest {
        let (load, list) = lists.iter_mut().min_by_key(|(load, _)| *load).expect("there is a thread");
        *load += streams[stream].bytes.len();
        list.extend(streams[stream].messages.iter().enumerate().map(|(index, (_, order))| (*order, stream, index)));
    }
    lists.iter_mut().for_each(|(_, list)| list.sort_unstable());
    timed(threads, |thread| {
        let (mut out, mut total) = (vec![0; 1 << 16], 0);
        let mut libraries: Vec<Option<Decompress>> = Vec::new();
        libraries.resize_with(streams.len(), || None);
        for &(_, stream, index) in &lists[thread].1 {
            let library = libraries[stream].get_or_insert_with(|| Decompress::new(false));
            total += one(library, streams[stream].message(index), &mut out)?;
        }
        Ok(total)
    })
}
