//! Whole inputs: files on disk, compressed or not, pipes, several at once.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::build::*;
use super::{Record, records, walk};
use crate::capture::source::Source;
use crate::capture::{ARENA_SIZE, Capture, Compression, FileSummary, Format, Input, Walker};
use crate::packet::{Batch, LinkType};

/// A file that goes away with the test.
pub(super) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub(super) fn new(name: &str, contents: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wsscan-test-{}-{number}-{name}", std::process::id()));
        std::fs::write(&path, contents).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn input(&self) -> Input {
        Input::Path(self.0.clone())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Everything that a capture gives, with the batches' numbering checked.
fn read(capture: &mut Capture) -> Vec<Record> {
    let mut batch = Batch::default();
    let mut found = Vec::new();
    while capture.next_batch(&mut batch) {
        assert!(!batch.packets.is_empty());
        assert_eq!(batch.first_packet, found.len() as u64 + 1);
        found.extend(records(&batch.packets, &batch.arena));
    }
    assert!(batch.packets.is_empty());
    assert!(!capture.next_batch(&mut batch), "an end is an end");
    found
}

fn read_files(files: &[&TemporaryFile]) -> (Vec<Record>, Vec<FileSummary>) {
    let inputs: Vec<Input> = files.iter().map(|file| file.input()).collect();
    let mut capture = Capture::open(&inputs).unwrap();
    let found = read(&mut capture);
    (found, capture.files())
}

fn open_error(name: &str, contents: &[u8]) -> String {
    let file = TemporaryFile::new(name, contents);
    let error = Capture::open(&[file.input()]).err().expect("not a capture").to_string();
    assert!(error.contains(name), "{error}");
    error
}

/// A capture of several arenas, with packets from empty to the longest.
fn large_pcap() -> Vec<u8> {
    let mut lengths: Vec<usize> = (0..2500).map(|i| i * 7919 % 1515).collect();
    lengths.splice(1000..1000, [MAX_LENGTH, 0, MAX_LENGTH, 1]);
    small_pcap(Order::Little, &lengths)
}

const MAX_LENGTH: usize = 262_144;

#[test]
fn a_file_larger_than_the_arena_is_read_whole() {
    let contents = large_pcap();
    assert!(contents.len() > 4 * ARENA_SIZE);
    let file = TemporaryFile::new("large.pcap", &contents);
    let (found, summaries) = read_files(&[&file]);
    assert!(found == walk(&contents).0);
    assert_eq!(
        summaries,
        [FileSummary {
            path: file.path().display().to_string(),
            format: Format::Pcap,
            compression: None,
            link_types: vec![LinkType(1)],
            packets: 2504,
            untimed_packets: 0,
            secrets_refused: 0,
            bytes: contents.len() as u64,
            size: Some(contents.len() as u64),
            truncated: false,
            error: None,
        }]
    );
}

#[test]
fn a_packet_longer_than_the_arena_is_read() {
    let order = Order::Big;
    let long = payload(1, 5 << 20);
    let mut contents = pcap_header(order, MICROSECONDS, 4, 8 << 20, 1);
    contents.extend(record(order, 1, 1, &payload(2, 60), 60));
    contents.extend(record(order, 1, 2, &long, long.len() as u32));
    contents.extend(record(order, 1, 3, &payload(3, 60), 60));
    let file = TemporaryFile::new("long.pcap", &contents);
    let (found, _) = read_files(&[&file]);
    assert!(found == walk(&contents).0 && found.len() == 3);
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn lz4(data: &[u8]) -> Vec<u8> {
    let blocks = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(blocks, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

type Pack = fn(&[u8]) -> Vec<u8>;
const PACKINGS: [(Compression, Pack); 3] =
    [(Compression::Gzip, gzip), (Compression::Zstd, zstd), (Compression::Lz4, lz4)];

#[test]
fn compressed_files_read_as_plain_ones_whatever_their_name() {
    for contents in [large_pcap(), rich_pcapng(Order::Big)] {
        let (expected, _) = walk(&contents);
        let middle = contents.len() / 2 + 3;
        for (kind, pack) in PACKINGS {
            let packed = [pack(&contents[..middle]), pack(&contents[middle..])].concat();
            let file = TemporaryFile::new("capture.pcap", &packed);
            let (found, summaries) = read_files(&[&file]);
            assert!(found == expected, "{kind:?}");
            assert_eq!(summaries[0].compression, Some(kind));
            assert_eq!(summaries[0].bytes, packed.len() as u64);
            assert_eq!((summaries[0].truncated, summaries[0].error.as_deref()), (false, None));
        }
    }
}

#[test]
fn a_compressed_file_that_is_cut_is_read_as_far_as_it_goes() {
    let contents = large_pcap();
    let (expected, _) = walk(&contents);
    for (kind, pack) in PACKINGS {
        let packed = pack(&contents);
        let file = TemporaryFile::new("cut", &packed[..packed.len() * 2 / 3]);
        let (found, summaries) = read_files(&[&file]);
        assert!(!found.is_empty() && found.len() < expected.len() && expected.starts_with(&found), "{kind:?}");
        assert_eq!((summaries[0].truncated, summaries[0].error.as_deref()), (true, None));
    }
}

#[test]
fn damage_inside_a_compressed_file_is_told() {
    let contents = large_pcap();
    let mut packed = gzip(&contents);
    let middle = packed.len() / 2;
    for byte in &mut packed[middle..middle + 40] {
        *byte ^= 0xa5;
    }
    let file = TemporaryFile::new("damaged", &packed);
    let (found, summaries) = read_files(&[&file]);
    let error = summaries[0].error.as_deref().unwrap();
    assert!(error.contains("damaged"), "{error}");
    assert!(found.len() < 2504);
}

#[test]
fn truncation_and_damage_are_told_and_what_was_read_stands() {
    let contents = large_pcap();
    let file = TemporaryFile::new("cut.pcap", &contents[..contents.len() - 1]);
    let (found, summaries) = read_files(&[&file]);
    assert_eq!(found.len(), 2503);
    assert_eq!((summaries[0].truncated, summaries[0].error.as_deref()), (true, None));

    let mut damaged = contents.clone();
    damaged.extend([0xff; 16]);
    let file = TemporaryFile::new("damaged.pcap", &damaged);
    let (found, summaries) = read_files(&[&file]);
    assert_eq!(found.len(), 2504);
    assert!(!summaries[0].truncated);
    let error = summaries[0].error.as_deref().unwrap();
    assert!(error.contains(&format!("at byte {} ", contents.len())) && error.ends_with("2504 packets were read"));
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    assert!(open_error("nothing.pcap", b"").contains("is empty"));
    assert!(open_error("page.har", b"{\"log\":{\"version\":\"1.2\"}}").contains("HAR"));
    assert!(open_error("log.json", b"{\"a\":1}").contains("JSON"));
    assert!(open_error("x.snoop", b"snoop\0\0\0\0\0\0\x02\0\0\0\x04").contains("editcap"));
    assert!(open_error("program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\0\0").contains("ELF"));
    assert!(open_error("packed.gz", &gzip(b"{\"a\":1}")).contains("once decompressed (gzip)"));
    assert!(open_error("cut.gz", &gzip(b"0123456789")[..15]).contains("cannot be decompressed: it is cut short"));
    let mut broken = gzip(b"0123456789");
    broken[10] = 0xff;
    assert!(open_error("broken.gz", &broken).contains("cannot be decompressed: gzip"));
    let missing = Capture::open(&[Input::Path("/nonexistent/x.pcap".into())]).err().unwrap().to_string();
    assert_eq!(missing, "cannot open /nonexistent/x.pcap: no such file or directory; check the path");
    let directory = Capture::open(&[Input::Path(std::env::temp_dir())]).err().unwrap().to_string();
    assert!(directory.contains("is a directory"));
    assert!(Capture::open(&[]).is_err());
    assert!(Capture::open(&[Input::Stdin, Input::Stdin]).err().unwrap().to_string().contains("twice"));
    assert_eq!(Input::from_argument("-"), Input::Stdin);
}

#[test]
fn secrets_arrive_with_the_batch_that_follows_them() {
    let file = TemporaryFile::new("secrets.pcapng", &rich_pcapng(Order::Little));
    let mut capture = Capture::open(&[file.input()]).unwrap();
    let mut batch = Batch::default();
    assert!(capture.take_secrets().is_empty());
    assert!(capture.next_batch(&mut batch));
    assert_eq!(capture.take_secrets(), [b"CLIENT_RANDOM aa bb\n".to_vec(), b"CLIENT_RANDOM cc dd\n".to_vec()]);
    assert!(!capture.next_batch(&mut batch));
    assert!(capture.take_secrets().is_empty());
}

/// A pipe: gives what was written, piece by piece.
struct Pieces(std::vec::IntoIter<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.next() else { return Ok(0) };
        out[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

fn pipe(pieces: Vec<Vec<u8>>) -> Capture {
    let reader = Box::new(Pieces(pieces.into_iter()));
    Capture::from_sources(vec![Source::from_reader("-".into(), reader, None, ARENA_SIZE).unwrap()])
}

#[test]
fn a_pipe_hands_on_each_packet_as_it_arrives() {
    let order = Order::Little;
    let mut pieces = vec![pcap(order, MICROSECONDS)];
    pieces.extend((0..5).map(|i| record(order, i, 0, &payload(i, 60), 60)));
    let mut capture = pipe(pieces);
    let mut batch = Batch::default();
    for number in 1..=5 {
        assert!(capture.next_batch(&mut batch));
        assert_eq!((batch.first_packet, batch.packets.len()), (number, 1));
    }
    assert!(!capture.next_batch(&mut batch));
    assert_eq!(capture.files()[0].path, "-");
}

#[test]
fn a_pipe_may_break_anywhere() {
    for contents in [small_pcap(Order::Big, &[60, 0, 1500, 3]), rich_pcapng(Order::Little)] {
        let (expected, _) = walk(&contents);
        for size in [1, 2, 3, 5, 24, 100] {
            assert_eq!(read(&mut pipe(contents.chunks(size).map(<[u8]>::to_vec).collect())), expected);
            for (_, pack) in PACKINGS {
                let packed = pack(&contents);
                assert_eq!(read(&mut pipe(packed.chunks(size).map(<[u8]>::to_vec).collect())), expected);
            }
        }
    }
}

/// A pcap whose packets come at these microseconds, each with a mark of its own.
fn at(mark: u8, times: &[u32]) -> Vec<u8> {
    let order = Order::Little;
    let mut file = pcap(order, MICROSECONDS);
    for (index, &time) in times.iter().enumerate() {
        file.extend(record(order, 0, time, &[mark, index as u8], 2));
    }
    file
}

#[test]
fn several_files_are_merged_by_time() {
    let a = TemporaryFile::new("a.pcap", &at(b'a', &[1, 2, 2, 3, 9]));
    let b = TemporaryFile::new("b.pcap", &gzip(&at(b'b', &[1, 2, 2, 1, 3, 10])));
    let c = TemporaryFile::new("c.pcap", &at(b'c', &[2, 2, 3, 10]));
    let empty = TemporaryFile::new("d.pcap", &at(b'd', &[]));
    let (found, summaries) = read_files(&[&a, &b, &empty, &c]);
    let order: String = found.iter().map(|packet| format!("{}{} ", packet.bytes[0] as char, packet.bytes[1])).collect();
    // Among equal times the file named first comes first; b's packet that goes back in time stays behind
    // its predecessor.
    assert_eq!(order.trim(), "a0 b0 a1 a2 b1 b2 b3 c0 c1 a3 b4 c2 a4 b5 c3");
    assert_eq!(summaries.iter().map(|summary| summary.packets).collect::<Vec<_>>(), [5, 6, 0, 4]);
    assert!(Capture::open(&[a.input(), b.input()]).unwrap().chunked().is_none());
}

#[test]
fn merging_large_files_is_sorting_them() {
    let order = Order::Little;
    let mut all = Vec::new();
    let files: Vec<TemporaryFile> = (0..5u32)
        .map(|number| {
            let mut contents = pcap(order, MICROSECONDS);
            let mut time = number * 100;
            for index in 0..3000u32 {
                time += index.wrapping_mul(2_654_435_761u32.wrapping_mul(number + 1)) >> 22;
                let data = payload(index ^ number << 20, 300);
                contents.extend(record(order, 0, time, &data, 300));
                all.push((i64::from(time) * 1000, number, index, data));
            }
            TemporaryFile::new("merge.pcap", &contents)
        })
        .collect();
    all.sort_by_key(|packet| (packet.0, packet.1, packet.2));
    let (found, _) = read_files(&files.iter().collect::<Vec<_>>());
    assert_eq!(found.len(), all.len());
    assert!(found.iter().zip(&all).all(|(found, wanted)| found.at == wanted.0 && found.bytes == wanted.3));
}

#[test]
fn rotated_files_follow_each_other() {
    let order = Order::Big;
    let mut expected = Vec::new();
    let files: Vec<TemporaryFile> = (0..3u32)
        .map(|number| {
            let mut contents = pcap(order, NANOSECONDS);
            for index in 0..2000u32 {
                contents.extend(record(order, number, index, &payload(index, 900), 900));
            }
            expected.extend(walk(&contents).0);
            TemporaryFile::new("rotated.pcap", &contents)
        })
        .collect();
    let (found, _) = read_files(&files.iter().collect::<Vec<_>>());
    assert!(found == expected);
}

#[test]
fn a_plain_file_can_be_read_in_chunks() {
    let contents = large_pcap();
    let (expected, _) = walk(&contents);
    let file = TemporaryFile::new("chunked.pcap", &contents);
    let mut capture = Capture::open(&[file.input()]).unwrap();
    let chunked = capture.chunked().expect("plain and untouched");
    assert_eq!(chunked.length(), contents.len() as u64);

    let (chunk, slack) = (100_000usize, 300_000usize);
    let mut walker = Walker::new();
    let mut arena = Vec::new();
    let mut found = Vec::new();
    let (mut base, mut next) = (0u64, 0u64);
    while !walker.is_finished() {
        chunked.read_at(base, chunk + slack, &mut arena).unwrap();
        let last = base + arena.len() as u64 == chunked.length();
        if next < base + chunk as u64 {
            let mut packets = Vec::new();
            let walked = walker.walk_until(&arena, (next - base) as usize, chunk, last, &mut packets);
            found.extend(records(&packets, &arena));
            next = base + walked.end as u64;
        }
        base += chunk as u64;
    }
    assert!(found == expected);
    let chunked_summary = chunked.summary(&walker, None);

    assert!(read(&mut capture) == expected);
    assert!(capture.chunked().is_none(), "once it is being read, it is no longer whole");
    assert_eq!(chunked_summary, capture.files()[0]);

    let packed = TemporaryFile::new("chunked.gz", &gzip(&contents));
    assert!(Capture::open(&[packed.input()]).unwrap().chunked().is_none());
}
