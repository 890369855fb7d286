//! Where a body ends (RFC 9112 §6.3), found without looking at its content.

use super::MAX_EXCERPT;
use super::event::Body;

/// The longest chunk extension, and the longest trailer section, in bytes.
const MAX_CHUNK_LINE: u32 = 64 * 1024;

/// A body that is being skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyState {
    /// So many bytes are left.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Up to the end of the stream.
    UntilEnd,
    /// Its length is not known, since its head was cut: up to the next start line that begins a packet.
    UntilRestart,
}

/// A position within chunked framing (RFC 9112 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the size; how many digits were read.
    Size { value: u64, digits: u8 },
    /// Between size and line feed; how many bytes were skipped.
    Extension { size: u64, passed: u32 },
    /// In the content.
    Data(u64),
    /// In the line end behind the content.
    DataEnd,
    /// In a trailer line; how many bytes all lines have so far, and whether this one is empty yet.
    Trailer { passed: u32, empty: bool },
}

/// What [`BodyState::consume`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes belong to the body.
    More,
    /// The body ended before byte so many.
    Done(usize),
    /// The framing broke at byte so many.
    Broken(usize),
}

impl BodyState {
    pub(super) const fn chunked() -> BodyState {
        BodyState::Chunked(Chunk::Size { value: 0, digits: 0 })
    }

    /// Whether it ends without a further byte.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, BodyState::Length(0))
    }

    /// Skips bytes; the first ones of the content go to `body`.
    pub(super) fn consume(&mut self, bytes: &[u8], mut body: Option<&mut Body>) -> Progress {
        let mut keep = |content: &[u8]| {
            if let Some(body) = body.as_deref_mut() {
                body.len += content.len() as u64;
                if body.missing == 0 {
                    let room = MAX_EXCERPT - body.excerpt.len();
                    body.excerpt.extend_from_slice(&content[..content.len().min(room)]);
                }
            }
        };
        match self {
            BodyState::UntilEnd | BodyState::UntilRestart => {
                keep(bytes);
                Progress::More
            }
            BodyState::Length(left) => {
                let here = take(*left, bytes.len());
                keep(&bytes[..here]);
                *left -= here as u64;
                if *left == 0 { Progress::Done(here) } else { Progress::More }
            }
            BodyState::Chunked(chunk) => {
                let mut at = 0;
                while at < bytes.len() {
                    if let Chunk::Data(left) = chunk {
                        let here = take(*left, bytes.len() - at);
                        keep(&bytes[at..at + here]);
                        at += here;
                        *left -= here as u64;
                        if *left == 0 {
                            *chunk = Chunk::DataEnd;
                        }
                        continue;
                    }
                    match chunk.step(bytes[at]) {
                        ChunkStep::More => at += 1,
                        ChunkStep::End => return Progress::Done(at + 1),
                        ChunkStep::Broken => return Progress::Broken(at),
                    }
                }
                Progress::More
            }
        }
    }

    /// Skips `len` missing bytes. `false` when the gap covers framing, so that the end of the body is unknown.
    pub(super) fn skip(&mut self, len: u64, body: Option<&mut Body>) -> bool {
        let within = match self {
            BodyState::UntilEnd | BodyState::UntilRestart => true,
            BodyState::Length(left) if len <= *left => {
                *left -= len;
                true
            }
            BodyState::Chunked(Chunk::Data(left)) if len <= *left => {
                *left -= len;
                if *left == 0 {
                    *self = BodyState::Chunked(Chunk::DataEnd);
                }
                true
            }
            _ => false,
        };
        if within && let Some(body) = body {
            body.len = body.len.saturating_add(len);
            body.missing = body.missing.saturating_add(len);
        }
        within
    }
}

/// How many of `here` bytes belong to the `left` ones.
fn take(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

enum ChunkStep {
    More,
    End,
    Broken,
}

impl Chunk {
    /// Takes one byte of framing, never of content.
    fn step(&mut self, byte: u8) -> ChunkStep {
        let line_feed = byte == b'\n';
        match *self {
            Chunk::Size { value, digits } => match char::from(byte).to_digit(16) {
                Some(digit) if digits < 16 => {
                    *self = Chunk::Size { value: value << 4 | u64::from(digit), digits: digits + 1 };
                }
                // More digits than any length has, or none at all.
                Some(_) => return ChunkStep::Broken,
                None if digits == 0 => return ChunkStep::Broken,
                None if line_feed => self.begin(value),
                None if matches!(byte, b'\r' | b' ' | b'\t' | b';') => {
                    *self = Chunk::Extension { size: value, passed: 0 }
                }
                None => return ChunkStep::Broken,
            },
            Chunk::Extension { size, .. } if line_feed => self.begin(size),
            Chunk::Extension { size, passed } if passed < MAX_CHUNK_LINE => {
                *self = Chunk::Extension { size, passed: passed + 1 };
            }
            Chunk::DataEnd if line_feed => *self = Chunk::Size { value: 0, digits: 0 },
            Chunk::DataEnd if byte == b'\r' => {}
            Chunk::Trailer { empty: true, .. } if line_feed => return ChunkStep::End,
            Chunk::Trailer { passed, empty } if passed < MAX_CHUNK_LINE => {
                *self = Chunk::Trailer { passed: passed + 1, empty: line_feed || (empty && byte == b'\r') };
            }
            Chunk::Extension { .. } | Chunk::DataEnd | Chunk::Trailer { .. } | Chunk::Data(_) => {
                return ChunkStep::Broken;
            }
        }
        ChunkStep::More
    }

    fn begin(&mut self, size: u64) {
        *self = if size == 0 { Chunk::Trailer { passed: 0, empty: true } } else { Chunk::Data(size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut state: BodyState, bytes: &[u8], step: usize) -> (String, Progress, usize) {
        let mut body = Body::default();
        let mut at = 0;
        for piece in bytes.chunks(step) {
            match state.consume(piece, Some(&mut body)) {
                Progress::More => at += piece.len(),
                Progress::Done(used) | Progress::Broken(used) => {
                    let progress = state.consume(&[], None);
                    assert!(matches!(progress, Progress::More | Progress::Done(0)));
                    let how = if used == 0 { Progress::Broken(0) } else { Progress::Done(0) };
                    return (String::from_utf8(body.excerpt).unwrap(), how, at + used);
                }
            }
        }
        (String::from_utf8(body.excerpt).unwrap(), Progress::More, at)
    }

    #[test]
    fn chunks_under_every_split() {
        let bytes =
            b"4\r\nWiki\r\n5;name=\"v\"\r\npedia\r\nE \r\n in\r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1";
        let end = bytes.len() - 8;
        for step in 1..bytes.len() {
            let (content, progress, at) = run(BodyState::chunked(), bytes, step);
            assert_eq!(
                (content.as_str(), progress, at),
                ("Wikipedia in\r\n\r\nchunks.", Progress::Done(0), end),
                "{step}"
            );
        }
        for bad in [&b"xyz\r\n"[..], b"\r\n", b"12345678901234567\r\n", b"1\r\nab\r\n", b"5 \x00\x00"] {
            let mut state = BodyState::chunked();
            let progress = state.consume(bad, None);
            assert_eq!(matches!(progress, Progress::Broken(_)), !bad.starts_with(b"5 "), "{bad:?} {progress:?}");
        }
        // The greatest size does not overflow.
        let mut state = BodyState::chunked();
        assert_eq!(state.consume(b"ffffffffffffffff\r\nabc", None), Progress::More);
        assert_eq!(state, BodyState::Chunked(Chunk::Data(u64::MAX - 3)));
    }

    #[test]
    fn gaps_only_within_content() {
        let mut state = BodyState::Length(10);
        let mut body = Body::default();
        assert_eq!(state.consume(b"abc", Some(&mut body)), Progress::More);
        assert!(state.skip(5, Some(&mut body)));
        assert_eq!(state.consume(b"dexx", Some(&mut body)), Progress::Done(2));
        assert_eq!((body.excerpt.as_slice(), body.len, body.missing), (&b"abc"[..], 10, 5));
        assert!(!BodyState::Length(4).skip(5, None));
        let mut state = BodyState::chunked();
        assert!(!state.skip(1, None));
        state.consume(b"5\r\na", None);
        assert!(state.skip(4, None));
        assert_eq!(state.consume(b"\r\n0\r\n\r\n", None), Progress::Done(7));
        state = BodyState::Chunked(Chunk::Data(2));
        assert!(!state.skip(3, None));
    }
}
