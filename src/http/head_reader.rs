//! One direction's place in the stream: collects heads, and finds the next one again behind a gap.

use std::borrow::Cow;

use super::MAX_HEAD;
use super::body::BodyState;
use super::head::HeadPlace;
use super::sniff::{self, MAX_BLANK, Sniff};
use super::syntax::{StartLineKind, is_token_byte};
use crate::stream::{End, GapCause, Stamp};

/// How many bytes are examined for a start line; behind them an undecided head is simply collected.
const MAX_SNIFF: usize = 1024;

/// Reads the heads of one direction.
#[derive(Debug)]
pub(super) struct HeadReader {
    pub(super) phase: Phase,
    scan: BlankLine,
    /// The collected bytes begin with a start line.
    recognised: bool,
    /// Bytes of the empty lines in front of the start line.
    blanks: u8,
    /// The beginning of an incomplete head, of a PROXY header, or of something foreign.
    pub(super) buffer: Vec<u8>,
    /// Stream offset behind everything seen.
    pub(super) next: u64,
    /// The packets with the first and the last byte of the head, and the stream offset of the first.
    pub(super) first: Stamp,
    last: Stamp,
    pub(super) offset: u64,
    /// How the direction ended.
    pub(super) ended: Option<(Stamp, End)>,
}

/// What the next byte of a direction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The front of the client's direction: perhaps a PROXY header.
    Preface,
    /// A PROXY header, of which so many bytes are left.
    Skip(u32),
    /// A head, or the space in front of one.
    Head,
    /// A body.
    Body(BodyState),
    /// The rest of a head with a gap in it; `then` is the body that follows it.
    Tail { tail: HeadTail, then: BodyState, cause: GapCause },
    /// What follows an upgrade request: kept until the answer tells what it is. Unless `proven`, the request's head was
    /// cut and its end is not known.
    Early { proven: bool },
    /// Something foreign, of which the first bytes are collected.
    Foreign,
    /// Unknown; only a start line at the beginning of an event tells.
    Lost,
    /// Nothing that is read any more.
    Done,
}

/// What [`HeadReader::read_head`] found.
pub(super) enum HeadRead<'x> {
    /// The head is not whole yet; everything was taken.
    More,
    /// A head, and how many bytes were taken for it.
    Head { used: usize, raw: Cow<'x, [u8]>, place: HeadPlace },
    /// No HTTP; the first bytes are in the buffer.
    NotHttp,
    /// The bound on heads is reached; its beginning is in the buffer.
    TooLarge,
}

impl HeadReader {
    pub(super) fn new(phase: Phase) -> HeadReader {
        HeadReader {
            phase,
            scan: BlankLine::Within,
            recognised: false,
            blanks: 0,
            buffer: Vec::new(),
            next: 0,
            first: Stamp::default(),
            last: Stamp::default(),
            offset: 0,
            ended: None,
        }
    }

    /// Collects a head that begins with a start line of this kind. A head that lies wholly in `bytes` is not copied.
    pub(super) fn read_head<'x>(
        &mut self,
        bytes: &'x [u8],
        offset: u64,
        stamp: Stamp,
        kind: StartLineKind,
    ) -> HeadRead<'x> {
        let mut at = 0;
        if self.buffer.is_empty() {
            // RFC 9112 §2.2: a server should ignore at least one empty line in front of a request line.
            at = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.blanks = self.blanks.saturating_add(u8::try_from(at).unwrap_or(u8::MAX));
            self.first = stamp;
            self.last = stamp;
            self.offset = offset + at as u64;
            self.scan = BlankLine::Within;
            self.recognised = false;
            if usize::from(self.blanks) > MAX_BLANK {
                self.buffer.extend_from_slice(&bytes[..bytes.len().min(MAX_SNIFF)]);
                self.offset = offset;
                return HeadRead::NotHttp;
            }
        }
        let rest = &bytes[at..];
        if rest.is_empty() {
            return HeadRead::More;
        }
        self.last = stamp;
        let room = MAX_HEAD - self.buffer.len();
        match self.scan.find(rest) {
            Some(end) if end <= room => {
                let raw = if self.buffer.is_empty() {
                    Cow::Borrowed(&rest[..end])
                } else {
                    self.buffer.extend_from_slice(&rest[..end]);
                    Cow::Owned(std::mem::take(&mut self.buffer))
                };
                HeadRead::Head { used: at + end, raw, place: self.take_place() }
            }
            found => {
                self.buffer.extend_from_slice(&rest[..rest.len().min(room)]);
                if found.is_some() || rest.len() > room {
                    return HeadRead::TooLarge;
                }
                if !self.recognised {
                    // What is recognised before the end of the line may still be refuted by it.
                    let sniffed = sniff::start_line(&self.buffer);
                    let wanted = match kind {
                        StartLineKind::Request => Sniff::Request,
                        StartLineKind::Response => Sniff::Response,
                    };
                    if sniffed != wanted && sniffed != Sniff::Maybe {
                        return HeadRead::NotHttp;
                    }
                    self.recognised = self.buffer.len() > MAX_SNIFF || memchr::memchr(b'\n', &self.buffer).is_some();
                }
                HeadRead::More
            }
        }
    }

    /// Where the head lies that was collected last.
    pub(super) fn place(&self) -> HeadPlace {
        HeadPlace { offset: self.offset, first: self.first, last: self.last, leading_blank_lines: self.blanks > 0 }
    }

    fn take_place(&mut self) -> HeadPlace {
        let place = self.place();
        self.blanks = 0;
        place
    }

    /// Drops an incomplete head.
    pub(super) fn forget(&mut self) {
        self.buffer = Vec::new();
        self.blanks = 0;
    }
}

/// Finds the blank line that ends a head, over as many pieces as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlankLine {
    /// Within a line.
    Within,
    /// Behind a line feed.
    AfterFeed,
    /// Behind a line feed and a carriage return.
    AfterReturn,
}

impl BlankLine {
    /// The position behind the blank line.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self {
                BlankLine::Within => {
                    at += memchr::memchr(b'\n', &bytes[at..])? + 1;
                    *self = BlankLine::AfterFeed;
                }
                BlankLine::AfterFeed if bytes[at] == b'\r' => {
                    *self = BlankLine::AfterReturn;
                    at += 1;
                }
                _ if bytes[at] == b'\n' => return Some(at + 1),
                _ => *self = BlankLine::Within,
            }
        }
        None
    }
}

/// Follows text behind a gap in a head, to prove where the head ends: the rest of a line, then `name: value` lines,
/// then a blank line. One byte that cannot be part of that refutes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadTail {
    state: TailState,
    fields: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TailState {
    Rest,
    RestReturn,
    LineStart,
    Blank,
    Name,
}

/// What [`HeadTail::feed`] found.
pub(super) enum TailStep {
    More,
    /// The head ends before byte so many.
    End(usize),
    Refuted,
}

impl HeadTail {
    pub(super) const fn new() -> HeadTail {
        HeadTail { state: TailState::Rest, fields: 0 }
    }

    /// `needed`: how many whole field names prove that this is a head.
    pub(super) fn feed(&mut self, bytes: &[u8], needed: u16) -> TailStep {
        use TailState::{Blank, LineStart, Name, Rest, RestReturn};
        for (at, &byte) in bytes.iter().enumerate() {
            self.state = match (self.state, byte) {
                (Rest, b'\r') => RestReturn,
                (Rest | RestReturn, b'\n') => LineStart,
                (Rest, b'\t' | b' '..=b'~') => Rest,
                (LineStart, b'\r') => Blank,
                (LineStart | Blank, b'\n') => {
                    return if self.fields >= needed { TailStep::End(at + 1) } else { TailStep::Refuted };
                }
                (LineStart, b' ' | b'\t') => Rest,
                (Name, b':') => {
                    self.fields = self.fields.saturating_add(1);
                    Rest
                }
                (LineStart | Name, byte) if is_token_byte(byte) => Name,
                _ => return TailStep::Refuted,
            };
        }
        TailStep::More
    }
}
