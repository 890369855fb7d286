//! Text of the document in shorthand: what is kept of a connection between its end and that of the capture.
//!
//! Nearly all of the text about a connection is the same for every one. So it is not the text that is kept but a
//! sequence of *steps*, from which [`expand`] makes the very same bytes. A step is the number of a *phrase*, a constant
//! piece of the document, and what belongs in the places of that phrase: numbers, times, words, text. What is said again
//! and again in one capture, such as a header field or a summary, is kept once, as a *piece* of [`Pieces`], and a step
//! says which it is. Adjacent pieces in a row are one step.
//!
//! ```text
//! step   := number of a phrase (one byte), value for each of its places, in order
//! value  := LEB128, the least significant seven bits first
//! ```
//!
//! | place | value |
//! |---|---|
//! | `$` | a number |
//! | `?` | 0 for `null`, or a number and 1 |
//! | `%` | 0 for `null`, or microseconds (zigzag) and 1: written as milliseconds |
//! | `&` | number of a packet, counted from the first of the connection |
//! | `@` | a time, in nanoseconds from the first of the connection (zigzag): written as RFC 3339 |
//! | `*` | number of a word |
//! | `~` | length of a text; the text follows |
//! | `^` | where in the pieces a text begins; its length follows |
//! | `<` | none: takes the last byte away again |
//! | `!` | none: what the rule of the finding always says |
//!
//! This module knows steps, phrases and pieces. What is said in which order is the matter of [`super::words`], and what
//! may be said at all that of [`super::redact`]: a secret never gets here.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::compact::put;
use super::time::{Millis, TIME_LEN, Time, decimal, short_decimal};
use crate::stream::{Side, Stamp};

/// Most places of a phrase, and one.
const MAX_PARTS: usize = 12;

/// A constant piece of the document, with places for what is not.
#[derive(Debug)]
pub(super) struct Phrase {
    pub(super) number: u8,
    /// With a chunk of anything behind it.
    text: &'static [u8],
    parts: [Part; MAX_PARTS],
    count: u8,
}

/// A part of a phrase: text and the place behind it.
#[derive(Clone, Copy, Debug)]
struct Part {
    from: u16,
    to: u16,
    place: u8,
}

/// Instead of a place: the phrase ends here.
const END: u8 = 0;

const fn is_place(byte: u8) -> bool {
    matches!(byte, b'$' | b'?' | b'%' | b'&' | b'@' | b'*' | b'~' | b'^' | b'<' | b'!')
}

impl Phrase {
    /// `padded`: the text and a chunk of anything.
    const fn new(number: u8, text: &'static str, padded: &'static str) -> Self {
        let (text, padded) = (text.as_bytes(), padded.as_bytes());
        assert!(padded.len() == text.len() + CHUNK);
        let mut parts = [Part { from: 0, to: 0, place: END }; MAX_PARTS];
        let (mut from, mut at, mut count) = (0, 0, 0);
        while at < text.len() {
            if is_place(text[at]) {
                parts[count] = Part { from: from as u16, to: at as u16, place: text[at] };
                count += 1;
                from = at + 1;
            }
            at += 1;
        }
        if from < at {
            parts[count] = Part { from: from as u16, to: at as u16, place: END };
            count += 1;
        }
        Self { number, text: padded, parts, count: count as u8 }
    }

    /// How many values belong to it.
    pub(super) const fn values(&self) -> usize {
        let (mut at, mut values) = (0, 0);
        while at < self.count as usize {
            values += !matches!(self.parts[at].place, END | b'<' | b'!') as usize;
            at += 1;
        }
        values
    }
}

/// Phrases by their names, numbered as they stand here.
macro_rules! phrases {
    ($($name:ident = $text:expr;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum PhraseNumber { $($name),* }
        $(pub(in crate::output) const $name: Phrase = Phrase::new(PhraseNumber::$name as u8, $text, concat!($text, "                                "));)*
        static PHRASES: [Phrase; [$(stringify!($name)),*].len()] = [$($name),*];
    };
}

/// Words by their names, numbered as they stand here.
macro_rules! vocabulary {
    ($($name:ident = $text:literal;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum WordNumber { $($name),* }
        $(pub(in crate::output) const $name: u64 = WordNumber::$name as u64;)*
        static WORDS: [([u8; MAX_WORD], u8); [$($text),*].len()] = [$(padded($text)),*];
    };
}

/// The phrases of the document.
pub(super) mod phrase {
    use super::Phrase;

    /// What a pair of counts is called.
    macro_rules! both {
        ($name:literal, $place:literal) => {
            concat!("\"", $name, "\":{\"client\":", $place, ",\"server\":", $place, "}")
        };
    }
    macro_rules! tcp {
        ($place:literal) => {
            concat!(
                r#"{"opening":*,"closing":*,"first_closer":*,"rtt_ms":%,"#,
                both!("retransmissions", $place),
                ",",
                both!("out_of_order", $place),
                ",",
                both!("lost_bytes", $place),
                r#"},"tls":"#
            )
        };
    }
    macro_rules! evidence {
        ($before:literal) => {
            concat!($before, r#"{"packet":&,"time":@,"from":*,"note":"#)
        };
    }
    macro_rules! views {
        ($before:literal) => {
            concat!(
                $before,
                r#","application_view":{"client":{"code":?,"was_clean":*},"server":{"code":?,"was_clean":*}}"#
            )
        };
    }

    phrases! {
        // Of any text.
        RAW = "~";
        QUOTED = r#""~""#;
        AGAIN = "^";
        NULL = "null";
        // TCP and TLS.
        TCP_USUAL = concat!(tcp!("0"), r#"null,"http":"#);
        TCP = tcp!("$");
        NO_TLS = r#"null,"http":"#;
        HTTP = r#","http":"#;
        // The handshake.
        HTTP_USUAL = r#"{"version":"1.1","method":"GET","target":"#;
        VERSION = r#"{"version":"#;
        METHOD = r#","method":"#;
        TARGET = r#","target":"#;
        HOST = r#","host":"#;
        STATUS = r#","status":?,"reason":"#;
        REQUEST_HEADERS = r#","request_headers":["#;
        RESPONSE_HEADERS = r#"],"response_headers":["#;
        RESPONSE_HEADERS_AFTER = r#"<],"response_headers":["#;
        KEY = r#"["Sec-WebSocket-Key","~"],"#;
        ACCEPT = r#"["Sec-WebSocket-Accept","~"],"#;
        BODY = r#"],"body_excerpt":"#;
        BODY_AFTER = r#"<],"body_excerpt":"#;
        WEBSOCKET_AFTER_NO_BODY = r#"null},"websocket":"#;
        WEBSOCKET_AFTER_BODY = r#"},"websocket":"#;
        WEBSOCKET = r#","websocket":"#;
        // The WebSocket.
        UPGRADE_USUAL = r#"{"upgrade":*,"subprotocol":null,"extensions":null,"accept_valid":*,"client":"#;
        UPGRADE = r#"{"upgrade":*,"subprotocol":"#;
        EXTENSIONS = r#","extensions":"#;
        ACCEPT_VALID = r#","accept_valid":*,"client":"#;
        NO_TRAFFIC = r#"{"frames":0,"messages":0,"bytes":0,"text":0,"binary":0,"continuation":0,"ping":0,"pong":0,"close":0}"#;
        TRAFFIC_USUAL = r#"{"frames":$,"messages":$,"bytes":$,"text":$,"binary":0,"continuation":0,"ping":0,"pong":0,"close":$}"#;
        TRAFFIC = r#"{"frames":$,"messages":$,"bytes":$,"text":$,"binary":$,"continuation":$,"ping":$,"pong":$,"close":$}"#;
        SERVER = r#","server":"#;
        NO_PINGS = r#","ping_rtt_ms":{"min":null,"median":null,"max":null},"unanswered_pings":0,"close":{"first":*,"client":"#;
        PINGS = r#","ping_rtt_ms":{"min":%,"median":%,"max":%},"unanswered_pings":$,"close":{"first":*,"client":"#;
        CLOSE_FRAME_USUAL = r#"{"code":?,"reason":"","packet":&}"#;
        CLOSE_FRAME = r#"{"code":?,"reason":"#;
        CLOSE_PACKET = r#","packet":&}"#;
        VIEWS_AFTER_CLOSE = views!(r#","complete":*}}"#);
        VIEWS_WITHOUT_WEBSOCKET = views!("null");
        // Findings.
        RULE = "!";
        NO_EVIDENCE = r#","evidence":[]}"#;
        FIRST_EVIDENCE = evidence!(r#","evidence":["#);
        RULE_AND_EVIDENCE = evidence!(r#"!,"evidence":["#);
        NEXT_EVIDENCE = evidence!("},");
        LAST_EVIDENCE = "}]}";
    }
    pub(super) const fn numbered(number: u8) -> Option<&'static Phrase> {
        if (number as usize) < PHRASES.len() { Some(&PHRASES[number as usize]) } else { None }
    }

    #[cfg(test)]
    pub(super) fn all() -> &'static [Phrase] {
        &PHRASES
    }
}

/// Words that fill a place of their own.
pub(super) mod word {
    vocabulary! {
        NULL = "null";
        FALSE = "false";
        TRUE = "true";
        CLIENT = "\"client\"";
        SERVER = "\"server\"";
        HANDSHAKE = "\"handshake\"";
        TCP_REFUSED = "\"refused\"";
        TCP_UNANSWERED = "\"unanswered\"";
        TCP_MID_STREAM = "\"mid_stream\"";
        FIN = "\"fin\"";
        RST = "\"rst\"";
        NONE = "\"none\"";
        ACCEPTED = "\"accepted\"";
        REFUSED = "\"refused\"";
        STRIPPED = "\"stripped\"";
        UNANSWERED = "\"unanswered\"";
        MID_STREAM = "\"mid_stream\"";
    }

    /// Longest word.
    const MAX_WORD: usize = 16;

    const fn padded(word: &str) -> ([u8; MAX_WORD], u8) {
        let mut padded = [b' '; MAX_WORD];
        let mut at = 0;
        while at < word.len() {
            padded[at] = word.as_bytes()[at];
            at += 1;
        }
        (padded, at as u8)
    }

    /// A word and its length.
    pub(super) fn numbered(number: u64) -> Option<&'static ([u8; MAX_WORD], u8)> {
        WORDS.get(usize::try_from(number).ok()?)
    }
}

/// The word for a truth that may be unknown.
pub(super) const fn truth(value: Option<bool>) -> u64 {
    match value {
        None => word::NULL,
        Some(false) => word::FALSE,
        Some(true) => word::TRUE,
    }
}

/// The word for an end that may be unknown.
pub(super) const fn side(side: Option<Side>) -> u64 {
    match side {
        None => word::NULL,
        Some(Side::Client) => word::CLIENT,
        Some(Side::Server) => word::SERVER,
    }
}

/// A number that may be unknown, for a place `?`.
pub(super) const fn maybe(number: Option<u16>) -> u64 {
    match number {
        None => 0,
        Some(number) => number as u64 + 1,
    }
}

/// Nanoseconds, if known, for a place `%`.
pub(super) const fn millis(nanos: Option<i64>) -> u64 {
    match nanos {
        None => 0,
        // A thousandth of the range: there is room for one more.
        Some(nanos) => zigzag(Millis::whole_micros(nanos)) + 1,
    }
}

const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// How a text is treated before it is written: what is known of it as one kind of text is not known of it as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is written as it is.
    Shown,
    /// Running text.
    Said,
    /// The target of a request.
    Target,
    /// What a body says.
    Body,
    /// Names of subprotocols.
    Subprotocols,
    /// A header field: its name and its value.
    Field,
}

/// Bits of a tag that tell the kind.
const KIND_BITS: u32 = 3;
/// Texts that are remembered, or nearly so.
const SLOTS: usize = 1024;
/// Bytes of all pieces together. When they are used up, new texts are written out.
const MAX_PIECES: usize = 1 << 15;
/// Longest piece in bytes.
const MAX_PIECE: usize = 512;
const _: () = assert!(MAX_PIECES <= 1 << 16 && MAX_PIECE <= 1 << 16 && SLOTS.is_power_of_two());

/// Text that was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Hash and kind.
    tag: u32,
    at: u16,
    /// 0: it was seen once and is no piece.
    len: u16,
}

/// Texts that are said again and again, each once: whatever is said a second time becomes one, as long as there is room.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    text: Vec<u8>,
    /// A text may stand in the slot of its hash and in that slot's neighbour.
    slots: Vec<Slot>,
}

/// A text that is looked for.
#[derive(Clone, Copy, Debug)]
struct Mark {
    tag: u32,
    slot: usize,
}

impl Mark {
    fn of(kind: Kind, name: &str, value: &str) -> Self {
        let mut hasher = FixedState::default().build_hasher();
        if !name.is_empty() {
            hasher.write(name.as_bytes());
        }
        hasher.write(value.as_bytes());
        let hash = hasher.finish();
        let tag = (hash as u32) << KIND_BITS | kind as u32;
        Self { tag, slot: (hash >> 32) as usize % SLOTS }
    }
}

impl Pieces {
    /// Where a text stands, if `is` is true of what stands there.
    #[inline]
    fn find(&self, mark: Mark, is: impl Fn(&[u8]) -> bool) -> Option<(u16, u16)> {
        for slot in [mark.slot, mark.slot ^ 1] {
            if let Some(Slot { tag, at, len }) = self.slots.get(slot)
                && *tag == mark.tag
                && *len > 0
                && let Some(text) = self.text.get(usize::from(*at)..usize::from(*at) + usize::from(*len))
                && is(text)
            {
                return Some((*at, *len));
            }
        }
        None
    }

    /// Takes note of a text that is not there, `parts` one behind the other. It becomes a piece the second time.
    fn see(&mut self, mark: Mark, parts: &[&[u8]]) -> Option<(u16, u16)> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if len > MAX_PIECE || self.text.len() + len > MAX_PIECES {
            return None;
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS];
        }
        let slots = [mark.slot, mark.slot ^ 1];
        if let Some(slot) = slots.into_iter().find(|slot| self.slots[*slot].tag == mark.tag) {
            let slot = &mut self.slots[slot];
            if slot.len > 0 {
                return None; // Another text with the same hash.
            }
            let at = self.text.len() as u16;
            *slot = Slot { tag: mark.tag, at, len: len as u16 };
            parts.iter().for_each(|part| self.text.extend_from_slice(part));
            return Some((at, len as u16));
        }
        let seen = Slot { tag: mark.tag, at: 0, len: 0 };
        match slots.map(|slot| self.slots[slot].len > 0) {
            [false, false] => self.slots[slots[1]] = std::mem::replace(&mut self.slots[slots[0]], seen),
            [false, true] => self.slots[slots[0]] = seen,
            [true, false] => self.slots[slots[1]] = seen,
            [true, true] => {}
        }
        None
    }
}

/// Writes steps.
#[derive(Debug)]
pub(super) struct Shorthand<'a> {
    out: &'a mut Vec<u8>,
    pieces: &'a mut Pieces,
    first: Stamp,
    /// Where the last step with a piece begins and ends, and which piece.
    joined: (usize, usize, u16, u16),
}

/// Writes a step: a phrase and its values.
macro_rules! say {
    ($out:expr, $phrase:expr $(, $value:expr)* $(,)?) => {{
        const VALUES: &[&str] = &[$(stringify!($value)),*];
        const _: () = assert!($phrase.values() == VALUES.len());
        $out.step(const { $phrase.number }, [$($value),*])
    }};
}
pub(super) use say;

#[inline]
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a value.
#[inline]
fn number(rest: &mut &[u8]) -> Option<u64> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    if byte < 0x80 { Some(byte.into()) } else { long_number(u64::from(byte & 0x7f), rest) }
}

fn long_number(mut number: u64, rest: &mut &[u8]) -> Option<u64> {
    for shift in (7..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Appends a text with its length in front.
pub(super) fn put_with_length(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Takes a text with its length in front from the beginning of `rest`.
pub(super) fn take_with_length<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let len = usize::try_from(number(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(text)
}

impl<'a> Shorthand<'a> {
    /// Appends to `out`; whatever is said again may become one of `pieces`. `first`: the connection's first packet.
    pub(super) fn new(out: &'a mut Vec<u8>, pieces: &'a mut Pieces, first: Stamp) -> Self {
        Self { out, pieces, first, joined: (0, usize::MAX, 0, 0) }
    }

    /// Writes a step; see [`say`].
    #[inline(always)]
    pub(super) fn step<const COUNT: usize>(&mut self, phrase: u8, values: [u64; COUNT]) {
        const ROOM: usize = MAX_PARTS + 1;
        if values.iter().fold(0, |all, value| all | value) < 0x80 {
            let mut bytes = [phrase; ROOM];
            for (byte, value) in bytes[1..].iter_mut().zip(values) {
                *byte = value as u8;
            }
            self.out.extend_from_slice(&bytes[..=COUNT]);
        } else {
            self.long_step(phrase, &values);
        }
    }

    fn long_step(&mut self, phrase: u8, values: &[u64]) {
        self.out.push(phrase);
        for value in values {
            put_number(self.out, *value);
        }
    }

    /// A packet, for a place `&`.
    pub(super) const fn packet(&self, packet: u64) -> u64 {
        packet.wrapping_sub(self.first.packet)
    }

    /// A time, for a place `@`.
    pub(super) const fn time(&self, at: i64) -> u64 {
        zigzag(at.wrapping_sub(self.first.at))
    }

    /// Writes what is said as it is.
    pub(super) fn raw(&mut self, text: &[u8]) {
        say!(self, phrase::RAW, text.len() as u64);
        self.out.extend_from_slice(text);
    }

    /// Writes the value of a model as it is.
    pub(super) fn value<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        let mut text = Vec::new();
        put(&mut text, value);
        self.raw(&text);
    }

    /// Writes a text that belongs to the place `~` of the step before.
    pub(super) fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes a step with a piece, or makes the step before longer.
    fn again(&mut self, at: u16, len: u16) {
        let (mut start, mut at, mut len) = (self.out.len(), at, u64::from(len));
        let (step, end, last_at, last_len) = self.joined;
        if end == start && last_at.checked_add(last_len) == Some(at) && len + u64::from(last_len) <= u16::MAX.into() {
            self.out.truncate(step);
            (start, at, len) = (step, last_at, len + u64::from(last_len));
        }
        self.step(const { phrase::AGAIN.number }, [at.into(), len]);
        self.joined = (start, self.out.len(), at, len as u16);
    }

    /// Writes a text in quotation marks. `make` is asked how it is written, without those, unless that is known: `None`
    /// if as it is.
    #[inline]
    pub(super) fn quoted(&mut self, kind: Kind, text: &str, make: impl FnOnce(&str) -> Option<Vec<u8>>) {
        let mark = Mark::of(kind, "", text);
        let is = |piece: &[u8]| piece.len() == text.len() + 2 && piece[1..].starts_with(text.as_bytes());
        if let Some((at, len)) = self.pieces.find(mark, is) {
            self.again(at, len);
            return;
        }
        match make(text) {
            Some(text) => {
                say!(self, phrase::QUOTED, text.len() as u64);
                self.out.extend_from_slice(&text);
            }
            None => match self.pieces.see(mark, &[b"\"", text.as_bytes(), b"\""]) {
                Some((at, len)) => self.again(at, len),
                None => {
                    say!(self, phrase::QUOTED, text.len() as u64);
                    self.text(text);
                }
            },
        }
    }

    /// Writes a header field with brackets and a comma behind. `make` is asked how name and value are written, each
    /// without quotation marks, unless that is known: `None` if as they are.
    #[inline]
    pub(super) fn field(&mut self, name: &str, value: &str, make: impl FnOnce() -> Option<(Vec<u8>, Vec<u8>)>) {
        let mark = Mark::of(Kind::Field, name, value);
        let (between, end): (&[u8], &[u8]) = (br#"",""#, br#""],"#);
        // Neither holds a quotation mark, so there is one way only to cut a piece into name and value.
        let is = |piece: &[u8]| {
            piece.len() == name.len() + value.len() + 8
                && piece[2..].starts_with(name.as_bytes())
                && piece[2 + name.len()..].starts_with(between)
                && piece[5 + name.len()..].starts_with(value.as_bytes())
        };
        if let Some((at, len)) = self.pieces.find(mark, is) {
            self.again(at, len);
            return;
        }
        let made = make();
        let (name, value) = match &made {
            Some((name, value)) => (&name[..], &value[..]),
            None => (name.as_bytes(), value.as_bytes()),
        };
        let parts: [&[u8]; 5] = [br#"[""#, name, between, value, end];
        if made.is_none()
            && let Some((at, len)) = self.pieces.see(mark, &parts)
        {
            self.again(at, len);
            return;
        }
        say!(self, phrase::RAW, parts.iter().map(|part| part.len() as u64).sum::<u64>());
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }
}

/// What steps leave out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The pieces that were made while they were written, and maybe more.
    pub(super) pieces: &'a Pieces,
    /// The connection's first packet.
    pub(super) first: Stamp,
    /// What the rule of the finding always says.
    pub(super) rule: &'a [u8],
}

/// Bytes that are copied at a time: more than are wanted, so that there is nothing to decide.
const CHUNK: usize = 32;
/// Room that is made at a time.
const ROOM: usize = 1 << 10;
/// Longest number.
const NUMBER_LEN: usize = 20;

/// A vector that is filled within its length, which is always so much longer that whole chunks can be copied.
struct Page<'o> {
    out: &'o mut Vec<u8>,
    at: usize,
}

impl Page<'_> {
    /// Makes room for so many bytes and a chunk.
    #[inline(always)]
    fn reserve(&mut self, len: usize) {
        if self.out.len() - self.at < len + CHUNK {
            self.grow(len);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, len: usize) {
        self.out.resize(self.at + len + CHUNK + ROOM, 0);
    }

    /// Appends `len` bytes of `text` from `from` on, if there are so many. There is room.
    #[inline(always)]
    fn copy(&mut self, text: &[u8], from: usize, len: usize) -> Option<()> {
        let text = text.get(from..)?;
        let target = self.out.get_mut(self.at..)?;
        match (text.first_chunk::<CHUNK>(), target.first_chunk_mut::<CHUNK>()) {
            (Some(text), Some(target)) if len <= CHUNK => *target = *text,
            _ => target.get_mut(..len)?.copy_from_slice(text.get(..len)?),
        }
        self.at += len;
        Some(())
    }

    #[inline(always)]
    fn append<const LEN: usize>(&mut self, bytes: &[u8; LEN], len: usize) {
        if let Some(target) = self.out.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *target = *bytes;
            self.at += len;
        }
    }

    /// Appends a number. There is room.
    #[inline(always)]
    fn decimal(&mut self, value: u64) {
        if value < 10 {
            self.append(&[b'0' + value as u8], 1);
        } else if let Some((digits, len)) = short_decimal(value) {
            self.append(&digits, len);
        } else {
            self.slowly(|out| decimal(out, value));
        }
    }

    /// Appends microseconds as milliseconds. There is room.
    #[inline(always)]
    fn millis(&mut self, micros: i64) {
        /// Beyond, a `f64` may not hold them all.
        const EXACT: i64 = 100_000_000_000_000;
        if !(0..EXACT).contains(&micros) {
            self.slowly(|out| put(out, &Millis::from_micros(micros)));
            return;
        }
        let (whole, rest) = (micros as u64 / 1000, (micros as u64 % 1000) as u32);
        self.decimal(whole);
        let digits = [b'.', b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8];
        let needed = 2 + usize::from(!rest.is_multiple_of(100)) + usize::from(!rest.is_multiple_of(10));
        self.append(&digits, needed);
    }

    /// Appends what is written at the end of the vector.
    #[inline(never)]
    fn slowly(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.truncate(self.at);
        write(self.out);
        self.at = self.out.len();
        self.grow(PHRASE_ROOM);
    }
}

/// Room for a phrase and its numbers, without its texts.
const PHRASE_ROOM: usize = {
    let (mut number, mut room) = (0, 0);
    while let Some(phrase) = phrase::numbered(number) {
        let needed = phrase.text.len() + MAX_PARTS * (TIME_LEN + 2);
        if needed > room {
            room = needed;
        }
        number += 1;
    }
    room
};
const _: () = assert!(NUMBER_LEN <= TIME_LEN);

/// Appends what steps say. `None` if they are none: then some of it may have been written.
pub(super) fn expand(steps: &[u8], context: Context<'_>, out: &mut Vec<u8>) -> Option<()> {
    let at = out.len();
    let mut page = Page { out, at };
    let expanded = expand_on(steps, context, &mut page);
    let at = page.at;
    out.truncate(at);
    expanded
}

fn expand_on(steps: &[u8], context: Context<'_>, page: &mut Page<'_>) -> Option<()> {
    let mut rest = steps;
    while let Some((phrase, after)) = rest.split_first() {
        rest = after;
        let phrase = phrase::numbered(*phrase)?;
        page.reserve(PHRASE_ROOM);
        for part in phrase.parts.get(..usize::from(phrase.count))? {
            page.copy(phrase.text, part.from.into(), usize::from(part.to - part.from))?;
            match part.place {
                b'$' => page.decimal(number(&mut rest)?),
                b'?' => match number(&mut rest)? {
                    0 => page.append(b"null", 4),
                    more => page.decimal(more - 1),
                },
                b'%' => match number(&mut rest)? {
                    0 => page.append(b"null", 4),
                    more => page.millis(unzigzag(more - 1)),
                },
                b'&' => page.decimal(context.first.packet.wrapping_add(number(&mut rest)?)),
                b'@' => {
                    let time = quoted_time(context.first.at.wrapping_add(unzigzag(number(&mut rest)?)));
                    page.append(&time, time.len());
                }
                b'*' => {
                    let (word, len) = word::numbered(number(&mut rest)?)?;
                    page.append(word, usize::from(*len));
                }
                b'~' => {
                    let len = usize::try_from(number(&mut rest)?).ok()?;
                    if len > rest.len() {
                        return None;
                    }
                    page.reserve(len + PHRASE_ROOM);
                    page.copy(rest, 0, len)?;
                    rest = &rest[len..];
                }
                b'^' => {
                    let (at, len) = (number(&mut rest)?, number(&mut rest)?);
                    let (at, len) = (usize::try_from(at).ok()?, usize::try_from(len).ok()?);
                    if at > MAX_PIECES || len > MAX_PIECES {
                        return None;
                    }
                    page.reserve(len + PHRASE_ROOM);
                    page.copy(&context.pieces.text, at, len)?;
                }
                b'<' => page.at = page.at.saturating_sub(1),
                b'!' => {
                    page.reserve(context.rule.len() + PHRASE_ROOM);
                    page.copy(context.rule, 0, context.rule.len())?;
                }
                _ => {}
            }
        }
    }
    Some(())
}

/// A time as a JSON string.
#[inline]
fn quoted_time(at: i64) -> [u8; TIME_LEN + 2] {
    let mut quoted = [b'"'; TIME_LEN + 2];
    if let Some(inside) = quoted[1..].first_chunk_mut() {
        Time(at).write(inside);
    }
    quoted
}

/// Appends a time as a JSON string.
pub(super) fn put_time(out: &mut Vec<u8>, at: i64) {
    out.extend_from_slice(&quoted_time(at));
}
