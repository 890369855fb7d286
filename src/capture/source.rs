//! One input: a file or standard input, plain or compressed, read into arenas and walked.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::buffered::Buffered;
use super::decompress::Decompressor;
use super::error::Error;
use super::format::{Compression, Format, SNIFF_LENGTH, capture_format, describe_foreign};
use super::walker::Walker;
use crate::packet::{Batch, LinkType};

/// Bytes of capture read at once into an arena.
pub const ARENA_SIZE: usize = 512 << 10;

/// Where a capture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file, or anything else that has a path.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// The input that an argument names: `-` is standard input.
    #[must_use]
    pub(crate) fn from_argument(argument: impl Into<PathBuf>) -> Self {
        let path = argument.into();
        if path.as_os_str() == "-" { Input::Stdin } else { Input::Path(path) }
    }
}

/// What has been read of one input so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// The path as given; `-` for standard input.
    pub path: String,
    /// The format; the file would not have been opened if it had none.
    pub format: Format,
    /// How it was compressed, if it was.
    pub compression: Option<Compression>,
    /// Link types that the file declares, in order of appearance.
    pub link_types: Vec<LinkType>,
    /// Packets read.
    pub packets: u64,
    /// Packets that have no time in the file and were given the time of the packet before them.
    pub untimed_packets: u64,
    /// Secrets blocks left out because of their size; see [`MAX_PENDING_SECRETS`](super::MAX_PENDING_SECRETS).
    pub secrets_refused: u64,
    /// Bytes read of the file as it lies on disk.
    pub bytes: u64,
    /// Its size on disk, for a regular file.
    pub size: Option<u64>,
    /// It ends inside a packet, a block or compressed data.
    pub truncated: bool,
    /// What is wrong with it, if anything, and where.
    pub error: Option<String>,
}

impl FileSummary {
    /// Bounds that were reached: name and count, none of them 0.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [("capture.secrets", self.secrets_refused)].into_iter().filter(|(_, count)| *count > 0)
    }
}

type Raw = Buffered<Box<dyn Read + Send>>;

/// The bytes of the capture, decompressed on the way if they are compressed.
enum ByteStream {
    Plain(Raw),
    Compressed(Box<Buffered<Decompressor<Box<dyn Read + Send>>>>),
}

impl ByteStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            ByteStream::Plain(reader) => reader.read(out),
            ByteStream::Compressed(reader) => reader.read(out),
        }
    }

    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        match self {
            ByteStream::Plain(reader) => reader.peek(count),
            ByteStream::Compressed(reader) => reader.peek(count),
        }
    }

    /// Bytes of the file as it lies on disk.
    fn total(&self) -> u64 {
        match self {
            ByteStream::Plain(reader) => reader.total(),
            ByteStream::Compressed(reader) => reader.inner().total(),
        }
    }

    fn truncated(&self) -> bool {
        match self {
            ByteStream::Plain(_) => false,
            ByteStream::Compressed(reader) => reader.inner().truncated(),
        }
    }
}

/// One input being read.
pub(super) struct Source {
    name: String,
    format: Format,
    compression: Option<Compression>,
    stream: ByteStream,
    walker: Walker,
    /// Start of a record whose rest is not read yet.
    carry: Vec<u8>,
    /// Bytes that the walker needs from the start of `carry`.
    need: usize,
    arena_size: usize,
    /// Not a regular file: bytes are handed on as they arrive instead of when the arena is full.
    live: bool,
    file: Option<(Arc<File>, u64)>,
    /// Why reading stopped before the end.
    failure: Option<String>,
    ended: bool,
}

impl Source {
    pub(super) fn open(input: &Input, arena_size: usize) -> Result<Self, Error> {
        match input {
            Input::Path(path) => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| cannot_open(&name, &error))?;
                let metadata = file.metadata().map_err(|error| cannot_open(&name, &error))?;
                if metadata.is_dir() {
                    return Err(Error::new(format!("{name} is a directory; name the capture files in it")));
                }
                let file = Arc::new(file);
                let regular = metadata.is_file().then(|| (Arc::clone(&file), metadata.len()));
                Self::from_reader(name, Box::new(file), regular, arena_size)
            }
            Input::Stdin => {
                let stdin = io::stdin();
                if stdin.is_terminal() {
                    return Err(Error::new(
                        "standard input is a terminal; pipe a capture into it: tcpdump -U -w - | wsscan -r -",
                    ));
                }
                Self::from_reader("-".into(), Box::new(stdin), None, arena_size)
            }
        }
    }

    /// Recognises compression and format of the bytes that `reader` delivers.
    pub(super) fn from_reader(
        name: String,
        reader: Box<dyn Read + Send>,
        file: Option<(Arc<File>, u64)>,
        arena_size: usize,
    ) -> Result<Self, Error> {
        let shown = if name == "-" { "standard input".to_owned() } else { name.clone() };
        let mut raw = Buffered::new(reader);
        let head = raw.peek(SNIFF_LENGTH).map_err(|error| cannot_read(&shown, &error))?;
        let compression = Compression::of(head);
        let mut stream = match compression {
            None => ByteStream::Plain(raw),
            Some(_) => ByteStream::Compressed(Box::new(Buffered::new(Decompressor::new(raw)))),
        };
        let (head, decompress_error) = match stream.peek(SNIFF_LENGTH) {
            Ok(head) => (head.to_vec(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let Some(format) = capture_format(&head) else {
            return Err(match (compression, decompress_error) {
                (Some(_), Some(_)) if stream.truncated() => Error::new(format!(
                    "{shown} cannot be decompressed: it is cut short before the first packet; copy or record it again"
                )),
                (Some(kind), Some(error)) => Error::new(format!(
                    "{shown} cannot be decompressed: {} data are damaged ({error}); copy or record it again",
                    kind.name()
                )),
                (_, Some(error)) => cannot_read(&shown, &error),
                (Some(kind), None) => {
                    let what = describe_foreign(&head, "");
                    Error::new(format!("{shown}, once decompressed ({}), {what}", kind.name()))
                }
                (None, None) => Error::new(format!("{shown} {}", describe_foreign(&head, &name))),
            });
        };
        Ok(Self {
            name,
            format,
            compression,
            stream,
            walker: Walker::new(),
            carry: Vec::new(),
            need: SNIFF_LENGTH,
            arena_size,
            live: file.is_none(),
            file,
            failure: None,
            ended: false,
        })
    }

    /// Fills `batch` with the next packets (numbers are not set); `false` when there are none any more.
    pub(super) fn fill(&mut self, batch: &mut Batch) -> bool {
        batch.packets.clear();
        while !self.ended {
            // Room for the record that is incomplete, but never more at once than twice the bytes really there.
            let room = self.need.min(2 * self.carry.len()).max(self.carry.len() + 1).max(self.arena_size);
            let arena = &mut batch.arena;
            // Only bytes beyond the last batch's are zeroed here.
            arena.resize(room, 0);
            let mut used = self.carry.len();
            arena[..used].copy_from_slice(&self.carry);
            let mut at_end = false;
            while used < room {
                match self.stream.read(&mut arena[used..]) {
                    Ok(0) => {
                        at_end = true;
                        break;
                    }
                    Ok(count) => used += count,
                    Err(error) => {
                        at_end = true;
                        if !self.stream.truncated() {
                            self.failure = Some(self.describe_failure(&error));
                        }
                        break;
                    }
                }
                if self.live && used >= self.need {
                    break;
                }
            }
            arena.truncate(used);
            let walked = self.walker.walk(arena, 0, at_end, &mut batch.packets);
            self.carry.clear();
            self.carry.extend_from_slice(&arena[walked.end..]);
            self.need = walked.need;
            if walked.need == 0 {
                self.ended = true;
                self.carry = Vec::new();
            }
            if !batch.packets.is_empty() {
                return true;
            }
        }
        false
    }

    fn describe_failure(&self, error: &io::Error) -> String {
        let read = self.stream.total();
        match self.compression {
            Some(kind) => format!("the {} data are damaged near byte {read}: {error}", kind.name()),
            None => format!("reading failed after byte {read}: {error}"),
        }
    }

    pub(super) fn take_secrets(&mut self) -> Vec<Vec<u8>> {
        self.walker.take_secrets()
    }

    pub(super) fn summary(&self) -> FileSummary {
        FileSummary {
            path: self.name.clone(),
            format: self.format,
            compression: self.compression,
            link_types: self.walker.link_types().to_vec(),
            packets: self.walker.packets(),
            untimed_packets: self.walker.untimed_packets(),
            secrets_refused: self.walker.secrets_refused(),
            bytes: self.stream.total(),
            size: self.file.as_ref().map(|(_, size)| *size),
            // A failed read leaves a cut record behind, which is the failure's fault and not the file's.
            truncated: self.stream.truncated() || (self.failure.is_none() && self.walker.truncated()),
            error: self.failure.clone().or_else(|| self.walker.error().map(str::to_owned)),
        }
    }

    /// The file itself, if it can be read at any offset: uncompressed, regular, and untouched so far.
    pub(super) fn chunked(&self) -> Option<ChunkedFile> {
        let (file, length) = self.file.as_ref()?;
        let untouched = self.walker.position() == 0 && self.carry.is_empty() && !self.ended;
        (self.compression.is_none() && untouched).then(|| ChunkedFile {
            name: self.name.clone(),
            format: self.format,
            file: Arc::clone(file),
            length: *length,
        })
    }
}

fn cannot_open(name: &str, error: &io::Error) -> Error {
    let next = match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "ask its owner for read permission, or run with sudo",
        _ if error.raw_os_error() == Some(libc::EMFILE) => "raise the limit of open files (ulimit -n), or name fewer",
        _ => "check the path and the medium",
    };
    Error::new(format!("cannot open {name}: {}; {next}", reason(error)))
}

fn cannot_read(name: &str, error: &io::Error) -> Error {
    Error::new(format!("cannot read {name}: {}; check the file and the medium", reason(error)))
}

/// The system's message for an error, without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let message = text.split(" (os error").next().unwrap_or_default();
    let mut letters = message.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or(text)
}

/// A plain file that may be read at any offset, by several threads at once, each with its own arena. Only the
/// [`Walker`] must see the pieces in file order.
#[derive(Clone, Debug)]
pub struct ChunkedFile {
    name: String,
    format: Format,
    file: Arc<File>,
    length: u64,
}

impl ChunkedFile {
    /// Length in bytes when it was opened; what is appended later is not read.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The path as given.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.name
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reads up to `count` bytes at `offset` into `arena`, which ends up exactly as long as what was read:
    /// less than `count` only at the end of the file. An arena that is reused without being cleared is
    /// not zeroed again.
    ///
    /// # Errors
    /// When the medium or the network file system fails.
    pub(crate) fn read_at(&self, offset: u64, count: usize, arena: &mut Vec<u8>) -> io::Result<()> {
        let there = self.length.saturating_sub(offset);
        let count = usize::try_from(there).unwrap_or(usize::MAX).min(count);
        arena.resize(count, 0);
        let mut used = 0;
        while used < count {
            match read_at(&self.file, &mut arena[used..], offset + used as u64) {
                Ok(0) => break,
                Ok(got) => used += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    arena.truncate(used);
                    return Err(error);
                }
            }
        }
        arena.truncate(used);
        Ok(())
    }

    /// Summary of this file as far as `walker` has walked it. `failure` is the error of a read that failed.
    #[must_use]
    pub fn summary(&self, walker: &Walker, failure: Option<&io::Error>) -> FileSummary {
        let failure = failure.map(|error| format!("reading failed after byte {}: {error}", walker.position()));
        FileSummary {
            path: self.name.clone(),
            format: self.format,
            compression: None,
            link_types: walker.link_types().to_vec(),
            packets: walker.packets(),
            untimed_packets: walker.untimed_packets(),
            secrets_refused: walker.secrets_refused(),
            bytes: if walker.truncated() { self.length } else { walker.position() },
            size: Some(self.length),
            truncated: failure.is_none() && walker.truncated(),
            error: failure.or_else(|| walker.error().map(str::to_owned)),
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, offset)
}

#[cfg(windows)]
fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, offset)
}
