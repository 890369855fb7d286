//! One direction's place in the stream: collecting heads, and finding one's feet again behind a gap.

use std::borrow::Cow;

use super::MAX_HEAD;
use super::body::BodyState;
use super::head::{Place, is_token_byte};
use super::regular::Wanted;
use super::sniff::{self, MAX_BLANK, Sniff};
use super::survey::Found;
use crate::stream::{End, GapCause, Stamp};

/// How many bytes without a verdict are sniffed at before they are simply collected.
const MAX_SNIFF: usize = 1024;

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) phase: Phase,
    scan: BlankLine,
    decided: bool,
    blanks: u8,
    /// The beginning of an incomplete head, of a PROXY header, or of something foreign.
    pub(super) buffer: Vec<u8>,
    /// Stream offset behind everything seen.
    pub(super) next: u64,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) offset: u64,
    pub(super) ended: Option<(Stamp, End)>,
}

/// What the next byte of a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first of the client's direction: perhaps a PROXY header.
    Preface,
    /// What is left of a PROXY header.
    Skip(u32),
    /// Part of a head, or in front of one.
    Head,
    /// Part of a body.
    Body(BodyState),
    /// Behind a gap in a head; `then` is the body that follows it.
    Tail { scan: Tail, then: BodyState, cause: GapCause },
    /// Behind an upgrade request: held until the answer tells what it is. Unless `proven`, the request's head was cut
    /// and its end is not known.
    Hold { proven: bool },
    /// Something foreign, of which the first bytes are collected.
    Foreign,
    /// Anything; only a start line at the beginning of an event tells.
    Lost,
    /// Never looked at again.
    Dead,
}

/// What [`Half::head`] found.
pub(super) enum Got<'x> {
    /// The head is not whole yet; everything was taken.
    More,
    /// A head, and how many bytes were taken for it.
    Head { used: usize, raw: Cow<'x, [u8]>, place: Place },
    /// No HTTP; the first bytes are in the buffer.
    NotHttp,
    /// The bound on heads is reached; its beginning is in the buffer.
    TooLarge,
}

impl Half {
    pub(super) fn new(phase: Phase) -> Half {
        Half {
            phase,
            scan: BlankLine::Within,
            decided: false,
            blanks: 0,
            buffer: Vec::new(),
            next: 0,
            first: Stamp::default(),
            last: Stamp::default(),
            offset: 0,
            ended: None,
        }
    }

    /// Collects a head of the kind `want`. A head that lies wholly in `bytes` is not copied. What is found out about it
    /// on the way goes to `found`, a default one.
    pub(super) fn head<'x>(
        &mut self,
        bytes: &'x [u8],
        offset: u64,
        stamp: Stamp,
        want: Wanted,
        found: &mut Found,
    ) -> Got<'x> {
        let mut at = 0;
        if self.buffer.is_empty() {
            // RFC 9112 §2.2: a server should ignore at least one empty line in front of a request line.
            at = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.blanks = self.blanks.saturating_add(u8::try_from(at).unwrap_or(u8::MAX));
            self.first = stamp;
            self.last = stamp;
            self.offset = offset + at as u64;
            self.scan = BlankLine::Within;
            self.decided = false;
            if usize::from(self.blanks) > MAX_BLANK {
                self.buffer.extend_from_slice(&bytes[..bytes.len().min(MAX_SNIFF)]);
                self.offset = offset;
                return Got::NotHttp;
            }
        }
        let rest = &bytes[at..];
        if rest.is_empty() {
            return Got::More;
        }
        self.last = stamp;
        let room = MAX_HEAD - self.buffer.len();
        if self.buffer.is_empty()
            && let Some(end) = found.read(rest, want)
        {
            let place = self.place();
            self.blanks = 0;
            return Got::Head { used: at + end, raw: Cow::Borrowed(&rest[..end]), place };
        }
        match self.scan.find(rest) {
            Some(end) if end <= room => {
                let raw = if self.buffer.is_empty() {
                    Cow::Borrowed(&rest[..end])
                } else {
                    self.buffer.extend_from_slice(&rest[..end]);
                    Cow::Owned(std::mem::take(&mut self.buffer))
                };
                let place = self.place();
                self.blanks = 0;
                Got::Head { used: at + end, raw, place }
            }
            found => {
                self.buffer.extend_from_slice(&rest[..rest.len().min(room)]);
                if found.is_some() || rest.len() > room {
                    return Got::TooLarge;
                }
                if !self.decided {
                    // A verdict before the end of the line may still be refuted by it.
                    let verdict = sniff::start(&self.buffer);
                    let wanted = match want {
                        Wanted::Request => Sniff::Request,
                        Wanted::Response => Sniff::Response,
                    };
                    if verdict != wanted && verdict != Sniff::Maybe {
                        return Got::NotHttp;
                    }
                    self.decided = self.buffer.len() > MAX_SNIFF || memchr::memchr(b'\n', &self.buffer).is_some();
                }
                Got::More
            }
        }
    }

    /// Where the head lies that was collected last.
    pub(super) fn place(&self) -> Place {
        Place { offset: self.offset, first: self.first, last: self.last, leading_blank_lines: self.blanks > 0 }
    }

    /// Forgets an incomplete head.
    pub(super) fn forget(&mut self) {
        self.buffer = Vec::new();
        self.blanks = 0;
    }
}

/// Finds the end of a head, over as many pieces as it takes.
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
pub(super) struct Tail {
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

/// What [`Tail::feed`] found.
pub(super) enum TailStep {
    More,
    /// The head ends before byte so many.
    End(usize),
    Refuted,
}

impl Tail {
    pub(super) const fn new() -> Tail {
        Tail { state: TailState::Rest, fields: 0 }
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
