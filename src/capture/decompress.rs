//! Undoes gzip, Zstandard and LZ4 while reading, frame after frame until the input ends: compressed files
//! are often several compressed files in a row.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as ZstdDecoder};

use super::buffered::Buffered;
use super::format::{Compression, is_skippable};

/// LZ4's old frame format, which has no end mark.
const LZ4_LEGACY: u32 = 0x184c_2102;

/// Reads what compressed frames contain.
pub(super) struct Decompressor<R: Read> {
    state: State<R>,
    truncated: bool,
}

enum State<R: Read> {
    Between(Buffered<R>),
    Gzip(GzDecoder<Buffered<R>>),
    Zstd(Buffered<R>, Box<ZstdDecoder>),
    Lz4 { decoder: Lz4Decoder<Buffered<R>>, legacy: bool },
    Ended { total: u64 },
}

/// The result of one step.
enum Step {
    /// So many bytes were written.
    Bytes(usize),
    /// Nothing yet: a frame began or ended.
    Again,
    /// The input ended where it may.
    End,
}

impl<R: Read> Decompressor<R> {
    pub(super) fn new(source: Buffered<R>) -> Self {
        Self { state: State::Between(source), truncated: false }
    }

    /// Compressed bytes read so far.
    pub(super) fn total(&self) -> u64 {
        match &self.state {
            State::Ended { total } => *total,
            state => state.source().map_or(0, Buffered::total),
        }
    }

    /// Whether the compressed input ended inside a frame.
    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let state = std::mem::replace(&mut self.state, State::Ended { total: 0 });
            let (state, step) = state.step(out);
            let at_end = state.source().is_some_and(Buffered::at_end);
            self.state = state;
            let result = match step {
                Ok(Step::Bytes(count)) => return Ok(count),
                Ok(Step::Again) => continue,
                Ok(Step::End) => Ok(0),
                Err(error) => {
                    // Whatever a decoder calls it: after the last byte of the file it is a file cut short.
                    self.truncated = error.kind() == ErrorKind::UnexpectedEof || at_end;
                    Err(error)
                }
            };
            self.state = State::Ended { total: self.total() };
            return result;
        }
    }
}

impl<R: Read> State<R> {
    fn source(&self) -> Option<&Buffered<R>> {
        match self {
            State::Between(source) | State::Zstd(source, _) => Some(source),
            State::Gzip(decoder) => Some(decoder.get_ref()),
            State::Lz4 { decoder, .. } => Some(decoder.get_ref()),
            State::Ended { .. } => None,
        }
    }

    fn step(self, out: &mut [u8]) -> (Self, io::Result<Step>) {
        match self {
            State::Between(source) => Self::begin(source),
            State::Gzip(mut decoder) => match decoder.read(out) {
                Ok(0) => (State::Between(decoder.into_inner()), Ok(Step::Again)),
                other => (State::Gzip(decoder), other.map(Step::Bytes)),
            },
            State::Zstd(mut source, mut decoder) => {
                let step = zstd_step(&mut source, &mut decoder, out);
                match step {
                    Ok(Step::End) => (State::Between(source), Ok(Step::Again)),
                    step => (State::Zstd(source, decoder), step),
                }
            }
            State::Lz4 { mut decoder, legacy } => match decoder.read(out) {
                // The decoder returns the same at an end mark and at the end of a file that was cut between
                // two blocks; only in the second case it has run into the end of the input.
                Ok(0) if decoder.get_ref().at_end() && !legacy => {
                    (State::Lz4 { decoder, legacy }, Err(ErrorKind::UnexpectedEof.into()))
                }
                Ok(0) => (State::Between(decoder.into_inner()), Ok(Step::Again)),
                other => (State::Lz4 { decoder, legacy }, other.map(Step::Bytes)),
            },
            State::Ended { total } => (State::Ended { total }, Ok(Step::End)),
        }
    }

    /// Between two frames: starts the next, or skips one without data, or finds the end.
    fn begin(mut source: Buffered<R>) -> (Self, io::Result<Step>) {
        let head = match source.peek(4) {
            Ok(head) => head,
            Err(error) => return (State::Between(source), Err(error)),
        };
        if head.is_empty() {
            return (State::Between(source), Ok(Step::End));
        }
        let magic = head.first_chunk().map_or(0, |magic| u32::from_le_bytes(*magic));
        if is_skippable(magic) {
            let skipped = skip_frame(&mut source);
            return (State::Between(source), skipped.map(|()| Step::Again));
        }
        match Compression::of(head) {
            Some(Compression::Gzip) => (State::Gzip(GzDecoder::new(source)), Ok(Step::Again)),
            Some(Compression::Lz4) => {
                (State::Lz4 { decoder: Lz4Decoder::new(source), legacy: magic == LZ4_LEGACY }, Ok(Step::Again))
            }
            Some(Compression::Zstd) => {
                let mut decoder = Box::new(ZstdDecoder::new());
                match decoder.init(&mut source) {
                    Ok(()) => (State::Zstd(source, decoder), Ok(Step::Again)),
                    Err(error) => (State::Between(source), Err(io::Error::other(error))),
                }
            }
            None if head.iter().all(|&byte| byte == 0) => {
                // Tapes and block devices pad with zeros; gzip accepts them as well.
                let padding = skip_zeros(&mut source);
                (State::Between(source), padding.map(|()| Step::Again))
            }
            None => {
                let text = "other bytes follow the compressed data";
                (State::Between(source), Err(io::Error::new(ErrorKind::InvalidData, text)))
            }
        }
    }
}

/// Decodes until there is something to give; `End` when the frame is over.
fn zstd_step<R: Read>(source: &mut Buffered<R>, decoder: &mut ZstdDecoder, out: &mut [u8]) -> io::Result<Step> {
    while decoder.can_collect() == 0 && !decoder.is_finished() {
        decoder.decode_blocks(&mut *source, BlockDecodingStrategy::UptoBlocks(1)).map_err(io::Error::other)?;
    }
    let count = decoder.read(out)?;
    if count > 0 {
        return Ok(Step::Bytes(count));
    }
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(stored), Some(found)) if stored != found => {
            Err(io::Error::new(ErrorKind::InvalidData, "the checksum of a zstd frame does not match"))
        }
        _ => Ok(Step::End),
    }
}

/// Passes over a frame that carries no data: magic, length, so many bytes.
fn skip_frame<R: Read>(source: &mut Buffered<R>) -> io::Result<()> {
    let Some(&[_, _, _, _, a, b, c, d]) = source.peek(8)?.first_chunk::<8>() else {
        return Err(ErrorKind::UnexpectedEof.into());
    };
    let mut left = 8 + u64::from(u32::from_le_bytes([a, b, c, d]));
    while left > 0 {
        let there = source.fill_buf()?.len();
        if there == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        source.consume(step);
        left -= step as u64;
    }
    Ok(())
}

/// Passes over zeros up to the end of the input or the first other byte.
fn skip_zeros<R: Read>(source: &mut Buffered<R>) -> io::Result<()> {
    loop {
        let there = source.fill_buf()?;
        let zeros = there.iter().take_while(|&&byte| byte == 0).count();
        let more = zeros == there.len() && zeros > 0;
        source.consume(zeros);
        if !more {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..length)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if i % 3 == 0 { (state >> 24) as u8 } else { (i / 7) as u8 }
            })
            .collect()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn lz4(data: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn skippable(length: u32) -> Vec<u8> {
        let mut frame = 0x184d_2a53u32.to_le_bytes().to_vec();
        frame.extend(length.to_le_bytes());
        frame.extend(std::iter::repeat_n(7, length as usize));
        frame
    }

    /// Everything that can be read, whether an error ended it, and whether the input was cut.
    fn read(packed: &[u8]) -> (Vec<u8>, Option<String>, bool) {
        let mut reader = Decompressor::new(Buffered::new(packed));
        let mut data = Vec::new();
        let mut piece = [0; 5000];
        let error = loop {
            match reader.read(&mut piece) {
                Ok(0) => break None,
                Ok(count) => data.extend_from_slice(&piece[..count]),
                Err(error) => break Some(error.to_string()),
            }
        };
        assert_eq!(reader.read(&mut piece).unwrap(), 0, "nothing follows an end");
        (data, error, reader.truncated())
    }

    #[test]
    fn concatenated_frames_are_one_stream() {
        let (a, b) = (sample(300_000), sample(70_001));
        for pack in [gzip, lz4, zstd] {
            let mut packed = pack(&a);
            packed.extend(pack(&[]));
            packed.extend(pack(&b));
            let (data, error, truncated) = read(&packed);
            assert_eq!((error, truncated), (None, false));
            assert!(data == [a.clone(), b.clone()].concat());
        }
    }

    #[test]
    fn skippable_frames_are_skipped_anywhere() {
        let a = sample(5000);
        for pack in [lz4, zstd] {
            let packed = [skippable(300_000), pack(&a), skippable(0), pack(&a), skippable(9)].concat();
            assert_eq!(read(&packed), ([a.clone(), a.clone()].concat(), None, false));
        }
    }

    #[test]
    fn a_cut_file_gives_a_prefix_and_says_that_it_was_cut() {
        let a = sample(20_000);
        for pack in [gzip, lz4, zstd] {
            let packed = pack(&a);
            for cut in 1..packed.len() {
                let (data, error, truncated) = read(&packed[..cut]);
                assert!(a.starts_with(&data));
                if cut >= 4 {
                    assert!(error.is_some() && truncated, "cut at {cut} of {}: {error:?}", packed.len());
                }
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_no_truncation() {
        let a = sample(20_000);
        let mut packed = gzip(&a);
        let middle = packed.len() / 2;
        packed[middle] ^= 0x55;
        packed.extend(gzip(&a));
        let (data, error, truncated) = read(&packed);
        assert!(error.is_some() && !truncated && data.len() < 2 * a.len());
    }

    #[test]
    fn padding_is_accepted_and_other_bytes_are_reported() {
        let a = sample(20_000);
        let mut packed = gzip(&a);
        packed.extend([0; 700]);
        assert_eq!(read(&packed), (a.clone(), None, false));
        packed.extend(b"rubbish");
        let (data, error, truncated) = read(&packed);
        assert!(data == a && error.unwrap().contains("other bytes follow") && !truncated);
    }
}
