//! Text of the document in shorthand: what is kept of a connection between its end and that of the capture.
//!
//! Nearly all of the text about a connection is the same for every one. So it is not the text that is kept but a
//! sequence of *steps*, from which [`expand`] makes the very same bytes. A step is the number of a *phrase*, a constant
//! piece of the document, and what belongs in the places of that phrase: numbers, times, words, text. What is said again
//! and again in one capture, such as a header field or a summary, is kept once, as a *piece* of [`Pieces`], and a step
//! says which it is. Fields that lie there one behind the other are one step.
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
//! | `|` | 0 for `null`; or twice the length of a text and 2, and the text, which is put in quotation marks; or twice the place among the pieces where a text begins, and 1, and its length |
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
    matches!(byte, b'$' | b'?' | b'%' | b'&' | b'@' | b'*' | b'~' | b'^' | b'|' | b'<' | b'!')
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

    /// How many values belong to it, a text in its last place not counted.
    pub(super) const fn values(&self) -> usize {
        let (mut at, mut values) = (0, 0);
        while at < self.count as usize {
            values += match self.parts[at].place {
                END | b'<' | b'!' => 0,
                b'|' => {
                    assert!(at + 1 == self.count as usize, "a text is written behind all values");
                    0
                }
                _ => 1,
            };
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
        $(pub(in crate::output) const $name: Phrase = Phrase::new(PhraseNumber::$name as u8, $text, concat!($text, "                                                                "));)*
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
            concat!($before, r#"{"packet":&,"time":@,"from":*,"note":|"#)
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
        TEXT = "|";
        AGAIN = "^";
        NULL = "null";
        // TCP and TLS.
        TCP_USUAL = concat!(tcp!("0"), r#"null,"http":"#);
        TCP = tcp!("$");
        NO_TLS = r#"null,"http":"#;
        HTTP = r#","http":"#;
        // The handshake.
        HTTP_USUAL = r#"{"version":"1.1","method":"GET","target":|"#;
        VERSION = r#"{"version":|"#;
        METHOD = r#","method":|"#;
        TARGET = r#","target":|"#;
        HOST = r#","host":|"#;
        STATUS = r#","status":?,"reason":|"#;
        REQUEST_HEADERS = r#","request_headers":["#;
        RESPONSE_HEADERS = r#"],"response_headers":["#;
        RESPONSE_HEADERS_AFTER = r#"<],"response_headers":["#;
        KEY = r#"["Sec-WebSocket-Key","~"],"#;
        ACCEPT = r#"["Sec-WebSocket-Accept","~"],"#;
        BODY = r#"],"body_excerpt":|"#;
        BODY_AFTER = r#"<],"body_excerpt":|"#;
        WEBSOCKET_AFTER_HTTP = r#"},"websocket":"#;
        WEBSOCKET = r#","websocket":"#;
        // The WebSocket.
        UPGRADE_USUAL = r#"{"upgrade":*,"subprotocol":null,"extensions":null,"accept_valid":*,"client":"#;
        UPGRADE = r#"{"upgrade":*,"subprotocol":|"#;
        EXTENSIONS = r#","extensions":|"#;
        ACCEPT_VALID = r#","accept_valid":*,"client":"#;
        NO_TRAFFIC = r#"{"frames":0,"messages":0,"bytes":0,"text":0,"binary":0,"continuation":0,"ping":0,"pong":0,"close":0}"#;
        TRAFFIC_USUAL = r#"{"frames":$,"messages":$,"bytes":$,"text":$,"binary":0,"continuation":0,"ping":0,"pong":0,"close":$}"#;
        TRAFFIC = r#"{"frames":$,"messages":$,"bytes":$,"text":$,"binary":$,"continuation":$,"ping":$,"pong":$,"close":$}"#;
        SERVER = r#","server":"#;
        NO_PINGS = r#","ping_rtt_ms":{"min":null,"median":null,"max":null},"unanswered_pings":0,"close":{"first":*,"client":"#;
        PINGS = r#","ping_rtt_ms":{"min":%,"median":%,"max":%},"unanswered_pings":$,"close":{"first":*,"client":"#;
        CLOSE_FRAME_USUAL = r#"{"code":?,"reason":"","packet":&}"#;
        CLOSE_FRAME = r#"{"code":?,"reason":|"#;
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
    pub(in crate::output) fn numbered(number: u64) -> Option<&'static ([u8; MAX_WORD], u8)> {
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
const _: () = assert!(MAX_PIECES <= 1 << 15 && MAX_PIECE < MAX_PIECES && SLOTS < MAX_PIECES && SLOTS.is_power_of_two());

/// Text that was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Hash and kind.
    tag: u32,
    /// Which piece it is, counted from 1; 0: it was seen once and is none.
    number: u16,
}

/// Texts that are said again and again, each once: whatever is said a second time becomes one, as long as there is room.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    text: Vec<u8>,
    /// Where they begin and how long they are.
    list: Vec<Piece>,
    /// A text may stand in the slot of its hash and in that slot's neighbour.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Its place in the list.
    index: u16,
    at: u16,
    len: u16,
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
        Self { tag, slot: ((hash >> 32) as usize ^ (kind as usize) << 1) % SLOTS }
    }
}

impl Pieces {
    /// The piece at this place in the list, if `is` is true of its text.
    #[inline]
    fn at(&self, index: usize, is: impl FnOnce(&[u8]) -> bool) -> Option<Piece> {
        let piece = *self.list.get(index)?;
        let text = self.text.get(piece.at.into()..usize::from(piece.at) + usize::from(piece.len))?;
        is(text).then_some(piece)
    }

    /// The piece with this mark of whose text `is` is true.
    #[inline]
    fn find(&self, mark: Mark, is: impl Fn(&[u8]) -> bool) -> Option<Piece> {
        for slot in [mark.slot, mark.slot ^ 1] {
            if let Some(Slot { tag, number }) = self.slots.get(slot)
                && *tag == mark.tag
                && let Some(piece) = self.at(usize::from(*number).wrapping_sub(1), &is)
            {
                return Some(piece);
            }
        }
        None
    }

    /// Takes note of a text that is none, `parts` one behind the other. It becomes a piece the second time.
    fn see(&mut self, mark: Mark, parts: &[&[u8]]) -> Option<Piece> {
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
            if slot.number > 0 {
                return None; // Another text with the same hash.
            }
            let piece = Piece { index: self.list.len() as u16, at: self.text.len() as u16, len: len as u16 };
            slot.number = piece.index + 1;
            self.list.push(piece);
            parts.iter().for_each(|part| self.text.extend_from_slice(part));
            return Some(piece);
        }
        let seen = Slot { tag: mark.tag, number: 0 };
        match slots.map(|slot| self.slots[slot].number > 0) {
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
    /// Which piece is behind the last one: what was said behind it before may be said again.
    next: usize,
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
#[inline(always)]
fn number(rest: &mut &[u8]) -> Option<u64> {
    let (&byte, after) = rest.split_first()?;
    if byte < 0x80 {
        *rest = after;
        return Some(byte.into());
    }
    let (number, after) = long_number(u64::from(byte & 0x7f), after)?;
    *rest = after;
    Some(number)
}

#[inline(never)]
fn long_number(mut number: u64, mut rest: &[u8]) -> Option<(u64, &[u8])> {
    for shift in (7..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((number, rest));
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
        Self { out, pieces, first, next: 0 }
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

    /// Writes a text for the last place of the step before. `make` is asked how it is written, without quotation marks,
    /// unless that is known: `None` if as it is.
    #[inline]
    pub(super) fn quoted(&mut self, kind: Kind, text: Option<&str>, make: impl FnOnce(&str) -> Option<Vec<u8>>) {
        let Some(text) = text else {
            self.out.push(0);
            return;
        };
        let mark = Mark::of(kind, "", text);
        let is = |piece: &[u8]| piece.len() == text.len() + 2 && piece[1..].starts_with(text.as_bytes());
        if let Some(piece) = self.pieces.find(mark, is) {
            self.piece(piece);
            return;
        }
        let made = make(text);
        if made.is_none()
            && let Some(piece) = self.pieces.see(mark, &[b"\"", text.as_bytes(), b"\""])
        {
            self.piece(piece);
            return;
        }
        let text = made.as_deref().unwrap_or(text.as_bytes());
        put_number(self.out, (text.len() as u64 + 1) << 1);
        self.out.extend_from_slice(text);
    }

    fn piece(&mut self, piece: Piece) {
        put_number(self.out, u64::from(piece.at) << 1 | 1);
        put_number(self.out, piece.len.into());
        self.next = usize::from(piece.index) + 1;
    }

    /// Writes a header field with brackets and a comma behind. `make` is asked how name and value are written, each
    /// without quotation marks, unless that is known: `None` if as they are.
    #[inline]
    pub(super) fn field(
        &mut self,
        run: &mut Run,
        name: &str,
        value: &str,
        make: impl FnOnce() -> Option<(Vec<u8>, Vec<u8>)>,
    ) {
        let is = |piece: &[u8]| is_field(piece, name, value);
        if let Some(piece) = self.pieces.at(self.next, is) {
            self.extend(run, piece);
            return;
        }
        let mark = Mark::of(Kind::Field, name, value);
        if let Some(piece) = self.pieces.find(mark, is) {
            self.extend(run, piece);
            return;
        }
        let made = make();
        let (name, value) = match &made {
            Some((name, value)) => (&name[..], &value[..]),
            None => (name.as_bytes(), value.as_bytes()),
        };
        let parts: [&[u8]; 5] = [FIELD_START, name, FIELD_MIDDLE, value, FIELD_END];
        if made.is_none()
            && let Some(piece) = self.pieces.see(mark, &parts)
        {
            self.extend(run, piece);
            return;
        }
        self.end(run);
        say!(self, phrase::RAW, (name.len() + value.len() + FIELD_EXTRA) as u64);
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }

    /// Makes a run longer, or begins one.
    #[inline]
    fn extend(&mut self, run: &mut Run, piece: Piece) {
        let at = u32::from(piece.at);
        if run.len == 0 || run.at + run.len != at {
            self.end(run);
            run.at = at;
        }
        run.len += u32::from(piece.len);
        self.next = usize::from(piece.index) + 1;
    }

    /// Writes a run, which is then empty.
    #[inline]
    pub(super) fn end(&mut self, run: &mut Run) {
        if run.len > 0 {
            self.step(const { phrase::AGAIN.number }, [run.at.into(), run.len.into()]);
            run.len = 0;
        }
    }
}

/// Header fields that are pieces one behind the other.
#[derive(Debug, Default)]
pub(super) struct Run {
    at: u32,
    len: u32,
}

const FIELD_START: &[u8] = br#"[""#;
const FIELD_MIDDLE: &[u8] = br#"",""#;
const FIELD_END: &[u8] = br#""],"#;
const FIELD_EXTRA: usize = FIELD_START.len() + FIELD_MIDDLE.len() + FIELD_END.len();

/// Whether a piece is this field. Neither name nor value of a piece holds a quotation mark, so there is one way only to
/// cut it into both; and of all pieces only fields begin with a bracket.
#[inline]
fn is_field(piece: &[u8], name: &str, value: &str) -> bool {
    piece.len() == name.len() + value.len() + FIELD_EXTRA
        && piece.starts_with(FIELD_START)
        && piece[FIELD_START.len()..].starts_with(name.as_bytes())
        && piece[FIELD_START.len() + name.len()..].starts_with(FIELD_MIDDLE)
        && piece[FIELD_START.len() + name.len() + FIELD_MIDDLE.len()..].starts_with(value.as_bytes())
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
const CHUNK: usize = 64;
/// Room that is made at a time.
const ROOM: usize = 1 << 11;

/// What steps say. The vector is longer, always so much that whole chunks can be copied, and it is used again.
#[derive(Debug, Default)]
pub(super) struct Page {
    out: Vec<u8>,
    at: usize,
}

impl Page {
    /// What it says.
    pub(super) fn text(&self) -> &[u8] {
        self.out.get(..self.at).unwrap_or_default()
    }

    /// Room for so many bytes from `at` on, and for a phrase.
    #[inline(always)]
    fn room(&mut self, at: usize, len: usize) -> &mut [u8] {
        if self.out.len() - at < len + PHRASE_ROOM {
            self.grow(at, len);
        }
        &mut self.out
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, at: usize, len: usize) {
        self.out.resize(at + len + PHRASE_ROOM + ROOM, 0);
    }
}

/// Writes `text` from `from` on, `len` bytes of it, if there are so many and there is room for them. Returns where they
/// end.
#[inline(always)]
fn copy(out: &mut [u8], at: usize, text: &[u8], from: usize, len: usize) -> Option<usize> {
    let text = text.get(from..)?;
    let target = out.get_mut(at..)?;
    match (text.first_chunk::<CHUNK>(), target.first_chunk_mut::<CHUNK>()) {
        (Some(text), Some(target)) if len <= CHUNK => *target = *text,
        _ => target.get_mut(..len)?.copy_from_slice(text.get(..len)?),
    }
    Some(at + len)
}

/// Writes the first `len` of these bytes. Returns where they end.
#[inline(always)]
fn put_bytes<const LEN: usize>(out: &mut [u8], at: usize, bytes: &[u8; LEN], len: usize) -> Option<usize> {
    *out.get_mut(at..)?.first_chunk_mut()? = *bytes;
    Some(at + len)
}

/// Writes a number. Returns where it ends.
#[inline(always)]
fn put_decimal(out: &mut [u8], at: usize, value: u64) -> Option<usize> {
    if value < 10 {
        *out.get_mut(at)? = b'0' + value as u8;
        Some(at + 1)
    } else if let Some((digits, len)) = short_decimal(value) {
        put_bytes(out, at, &digits, len)
    } else {
        put_slowly(out, at, |text| decimal(text, value))
    }
}

/// Writes microseconds as milliseconds. Returns where they end.
fn put_millis(out: &mut [u8], at: usize, micros: i64) -> Option<usize> {
    /// Beyond, a `f64` may not hold them all.
    const EXACT: i64 = 100_000_000_000_000;
    if !(0..EXACT).contains(&micros) {
        return put_slowly(out, at, |text| put(text, &Millis::from_micros(micros)));
    }
    let (whole, rest) = (micros as u64 / 1000, (micros as u64 % 1000) as u32);
    let at = put_decimal(out, at, whole)?;
    let digits = [b'.', b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8];
    let needed = 2 + usize::from(!rest.is_multiple_of(100)) + usize::from(!rest.is_multiple_of(10));
    put_bytes(out, at, &digits, needed)
}

/// Writes what is first written elsewhere: a long number.
#[cold]
#[inline(never)]
fn put_slowly(out: &mut [u8], at: usize, write: impl FnOnce(&mut Vec<u8>)) -> Option<usize> {
    let mut text = Vec::new();
    write(&mut text);
    copy(out, at, &text, 0, text.len())
}

/// Room for a phrase with its numbers, without its texts, and for a chunk.
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
// Nothing that stands for a number is longer than a time: not even a number of milliseconds, which has 22 bytes at most.
const _: () = assert!(TIME_LEN >= 22);

/// Writes what steps say on a page, in place of what is there. `None` if they are none: then it is empty.
pub(super) fn expand(steps: &[u8], context: Context<'_>, page: &mut Page) -> Option<()> {
    let Context { pieces, first, rule } = context;
    let mut rest = steps;
    let mut at = 0;
    page.at = 0;
    while let Some((phrase, after)) = rest.split_first() {
        rest = after;
        let phrase = phrase::numbered(*phrase)?;
        let mut out = page.room(at, 0);
        for part in phrase.parts.get(..usize::from(phrase.count))? {
            at = copy(out, at, phrase.text, part.from.into(), usize::from(part.to - part.from))?;
            if matches!(part.place, END | b'<' | b'!') {
                match part.place {
                    b'<' => at = at.saturating_sub(1),
                    b'!' => {
                        out = page.room(at, rule.len());
                        at = copy(out, at, rule, 0, rule.len())?;
                    }
                    _ => {}
                }
                continue;
            }
            let value = number(&mut rest)?;
            let shown = match part.place {
                b'$' => value,
                b'&' => first.packet.wrapping_add(value),
                b'?' if value > 0 => value - 1,
                b'%' if value > 0 => {
                    at = put_millis(out, at, unzigzag(value - 1))?;
                    continue;
                }
                b'@' => {
                    let time = quoted_time(first.at.wrapping_add(unzigzag(value)));
                    at = put_bytes(out, at, &time, time.len())?;
                    continue;
                }
                b'*' => {
                    let (word, len) = word::numbered(value)?;
                    at = put_bytes(out, at, word, usize::from(*len))?;
                    continue;
                }
                b'~' | b'^' | b'|' if value > 0 => {
                    let half = usize::try_from(value >> 1).ok()?;
                    let (text, from, len) = match part.place {
                        b'|' if value & 1 == 0 => (rest, 0, half - 1),
                        b'|' => (&pieces.text[..], half, number(&mut rest)?.try_into().ok()?),
                        b'^' => (&pieces.text[..], usize::try_from(value).ok()?, number(&mut rest)?.try_into().ok()?),
                        _ => (rest, 0, usize::try_from(value).ok()?),
                    };
                    if len > text.len() {
                        return None;
                    }
                    out = page.room(at, len + 2);
                    let is_quoted = part.place == b'|' && value & 1 == 0;
                    if is_quoted {
                        at = put_bytes(out, at, b"\"", 1)?;
                    }
                    at = copy(out, at, text, from, len)?;
                    if is_quoted {
                        at = put_bytes(out, at, b"\"", 1)?;
                    }
                    if part.place == b'~' || is_quoted {
                        rest = rest.get(len..)?;
                    }
                    continue;
                }
                b'~' => continue,
                b'^' => {
                    let len = usize::try_from(number(&mut rest)?).ok()?;
                    if len > pieces.text.len() {
                        return None;
                    }
                    out = page.room(at, len);
                    at = copy(out, at, &pieces.text, 0, len)?;
                    continue;
                }
                _ => {
                    at = put_bytes(out, at, b"null", 4)?;
                    continue;
                }
            };
            at = put_decimal(out, at, shown)?;
        }
    }
    page.at = at;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json::by_serde_json;
    use super::*;

    const FIRST: Stamp = Stamp { packet: 1000, at: 1_700_000_000_123_456_789 };
    const RULE: &[u8] = br#","explanation":"as always""#;

    impl Pieces {
        pub(in crate::output) fn text(&self) -> &[u8] {
            &self.text
        }
    }

    fn expanded(steps: &[u8], pieces: &Pieces) -> Option<String> {
        let mut page = Page::default();
        expand(steps, Context { pieces, first: FIRST, rule: RULE }, &mut page)?;
        Some(String::from_utf8_lossy(page.text()).into_owned())
    }

    /// A number of any length.
    fn any_number() -> impl Strategy<Value = u64> {
        prop_oneof![0..12_u64, 90..140_u64, (0..64_u32, any::<u64>()).prop_map(|(shift, number)| number >> shift)]
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[ -~é]{0,20}[!-~]", "[a-z ]{60,200}", Just("said again".to_owned())]
    }

    fn or_null<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "null".to_owned(), |value| value.to_string())
    }

    /// Writes a phrase with some of these values, and its text as the table of places says it.
    fn say_both(steps: &mut Vec<u8>, text: &mut String, phrase: &Phrase, numbers: &[u64; 12], said: &str) {
        let kept = &phrase.text[..phrase.text.len() - CHUNK];
        steps.push(phrase.number);
        let mut numbers = numbers.iter().copied();
        for byte in kept {
            let mut next = || numbers.next().expect("there are as many as a phrase may have");
            match byte {
                b'$' => {
                    let number = next();
                    put_number(steps, number);
                    *text += &number.to_string();
                }
                b'?' => {
                    let number = Some(next() as u16).filter(|number| *number != 7);
                    put_number(steps, maybe(number));
                    *text += &or_null(number);
                }
                b'%' => {
                    let nanos = Some(next() as i64).filter(|nanos| *nanos != 7);
                    put_number(steps, millis(nanos));
                    *text += &by_serde_json(&nanos.map(Millis::from_nanos));
                }
                b'&' => {
                    let packet = next();
                    put_number(steps, packet.wrapping_sub(FIRST.packet));
                    *text += &packet.to_string();
                }
                b'@' => {
                    let at = next() as i64;
                    put_number(steps, zigzag(at.wrapping_sub(FIRST.at)));
                    *text += &by_serde_json(&Time(at));
                }
                b'*' => {
                    let word = next() % (word::MID_STREAM + 1);
                    put_number(steps, word);
                    let (word, len) = word::numbered(word).unwrap();
                    *text += std::str::from_utf8(&word[..usize::from(*len)]).unwrap();
                }
                b'~' => {
                    put_with_length(steps, said.as_bytes());
                    *text += said;
                }
                b'|' if said.is_empty() => {
                    steps.push(0);
                    *text += "null";
                }
                b'|' => {
                    put_number(steps, (said.len() as u64 + 1) << 1);
                    steps.extend_from_slice(said.as_bytes());
                    *text += &format!("\"{said}\"");
                }
                b'^' => steps.extend_from_slice(&[0, 0]),
                b'<' => drop(text.pop()),
                b'!' => *text += std::str::from_utf8(RULE).unwrap(),
                other => text.push(char::from(*other)),
            }
        }
    }

    /// Writes header fields that are written as they are, and returns what they should be.
    fn fields(steps: &mut Vec<u8>, pieces: &mut Pieces, fields: &[(String, String)]) -> String {
        let mut shorthand = Shorthand::new(steps, pieces, FIRST);
        let mut run = Run::default();
        fields.iter().for_each(|(name, value)| shorthand.field(&mut run, name, value, || None));
        shorthand.end(&mut run);
        fields.iter().map(|(name, value)| format!("[\"{name}\",\"{value}\"],")).collect()
    }

    fn named(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_said_again_is_one_step() {
        let list = named(&[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Host", "chat.example")]);
        let mut pieces = Pieces::default();
        for time in 0..4 {
            let mut steps = Vec::new();
            let expected = fields(&mut steps, &mut pieces, &list);
            assert_eq!(expanded(&steps, &pieces).unwrap(), expected);
            assert_eq!(steps.len() < 4, time > 0, "{} bytes", steps.len());
        }
        // In another order they are other steps.
        let list: Vec<_> = list.into_iter().rev().collect();
        let mut steps = Vec::new();
        let expected = fields(&mut steps, &mut pieces, &list);
        assert_eq!(expanded(&steps, &pieces).unwrap(), expected);
        assert!((5..15).contains(&steps.len()), "{} bytes", steps.len());
    }

    #[test]
    fn what_looks_like_a_field_is_none() {
        let mut pieces = Pieces::default();
        for _ in 0..3 {
            fields(&mut Vec::new(), &mut pieces, &named(&[("a", "b"), ("c", "d")]));
            let mut steps = Vec::new();
            let mut shorthand = Shorthand::new(&mut steps, &mut pieces, FIRST);
            shorthand.quoted(Kind::Said, Some("[\"a\",\"c"), |_| None);
        }
        // The same bytes, cut into name and value elsewhere: not known, so it is asked how they are written.
        for (name, value) in [
            ("a\",\"b", ""),
            ("", "a\",\"b"),
            ("a", "b\"],[\"c\",\"d"),
            ("a\",\"b\"],[\"c", "d"),
            ("ab", ""),
            ("", "ab"),
            ("a", "c"),
        ] {
            for next in 0..4 {
                let (mut steps, mut asked, mut run) = (Vec::new(), 0, Run::default());
                let mut shorthand = Shorthand::new(&mut steps, &mut pieces, FIRST);
                shorthand.next = next;
                shorthand.field(&mut run, name, value, || {
                    asked += 1;
                    Some((b"x".to_vec(), b"y".to_vec()))
                });
                shorthand.end(&mut run);
                assert_eq!(asked, 1, "{name} {value}");
                assert_eq!(expanded(&steps, &pieces).unwrap(), r#"["x","y"],"#);
            }
        }
    }

    #[test]
    fn kinds_are_kept_apart() {
        let kinds = [Kind::Shown, Kind::Said, Kind::Target, Kind::Body, Kind::Subprotocols];
        let mut pieces = Pieces::default();
        for kind in kinds {
            let mut asked = 0;
            for _ in 0..4 {
                let mut steps = Vec::new();
                let mut shorthand = Shorthand::new(&mut steps, &mut pieces, FIRST);
                say!(shorthand, phrase::TEXT);
                shorthand.quoted(kind, Some("chat"), |_| {
                    asked += 1;
                    None
                });
                assert_eq!(expanded(&steps, &pieces).unwrap(), "\"chat\"");
            }
            assert_eq!(asked, 2, "{kind:?}");
        }
    }

    #[test]
    fn what_is_changed_is_never_a_piece() {
        let mut pieces = Pieces::default();
        for _ in 0..4 {
            let mut steps = Vec::new();
            let mut shorthand = Shorthand::new(&mut steps, &mut pieces, FIRST);
            say!(shorthand, phrase::TEXT);
            shorthand.quoted(Kind::Said, Some("secret"), |_| Some(b"hidden".to_vec()));
            let mut run = Run::default();
            shorthand.field(&mut run, "Cookie", "secret", || Some((b"Cookie".to_vec(), b"hidden".to_vec())));
            shorthand.end(&mut run);
            assert_eq!(expanded(&steps, &pieces).unwrap(), r#""hidden"["Cookie","hidden"],"#);
            assert!(pieces.text().is_empty());
        }
    }

    #[test]
    fn pieces_are_bounded() {
        let mut pieces = Pieces::default();
        let long = "x".repeat(MAX_PIECE);
        for number in 0..4000 {
            let list = named(&[("X-Number", &number.to_string()), ("X-Long", &long), ("X", &long[..100])]);
            for _ in 0..3 {
                let mut steps = Vec::new();
                let expected = fields(&mut steps, &mut pieces, &list);
                assert_eq!(expanded(&steps, &pieces).unwrap(), expected);
            }
        }
        assert!(pieces.text().len() <= MAX_PIECES && pieces.slots.len() == SLOTS);
        assert!(pieces.text().len() > MAX_PIECES / 2, "{} bytes", pieces.text().len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_steps(
            said in prop::collection::vec(
                (0..phrase::all().len(), prop::array::uniform12(any_number()), any_text()), 0..12),
            cut: prop::sample::Index,
            change: u8,
        ) {
            let (mut steps, mut text) = (Vec::new(), String::new());
            for (phrase, numbers, said) in &said {
                say_both(&mut steps, &mut text, &phrase::all()[*phrase], numbers, said);
            }
            let pieces = Pieces { text: b"\"abc\"".to_vec(), ..Pieces::default() };
            prop_assert_eq!(expanded(&steps, &pieces), Some(text));
            // Cut off, or with another byte somewhere, they say something else or nothing at all.
            if !steps.is_empty() {
                let cut = cut.index(steps.len());
                let _ = expanded(&steps[..cut], &pieces);
                steps[cut] = change;
                let _ = expanded(&steps, &pieces);
            }
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let pieces = Pieces { text: bytes.clone(), ..Pieces::default() };
            let _ = expanded(&bytes, &pieces);
        }

        #[test]
        fn any_step(numbers in prop::array::uniform9(any_number())) {
            let [frames, messages, bytes, text, binary, continuation, ping, pong, close] = numbers;
            let (mut steps, mut pieces) = (Vec::new(), Pieces::default());
            let mut shorthand = Shorthand::new(&mut steps, &mut pieces, FIRST);
            say!(shorthand, phrase::TRAFFIC, frames, messages, bytes, text, binary, continuation, ping, pong, close);
            let traffic = super::super::model::Traffic {
                frames, messages, bytes, text, binary, continuation, ping, pong, close,
            };
            prop_assert_eq!(expanded(&steps, &pieces).unwrap(), by_serde_json(&traffic));
        }

        #[test]
        fn any_fields(
            lists in prop::collection::vec(prop::collection::vec(("[a-cX-Z]{0,2}", "[a-c ]{0,3}"), 0..6), 0..8),
        ) {
            let mut pieces = Pieces::default();
            for list in &lists {
                let mut steps = Vec::new();
                let expected = fields(&mut steps, &mut pieces, list);
                prop_assert_eq!(expanded(&steps, &pieces).unwrap(), expected);
            }
        }

        #[test]
        fn numbers_and_back(number in any_number(), signed: i64) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            let mut rest = &bytes[..];
            prop_assert_eq!(super::number(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
            prop_assert_eq!(super::number(&mut &bytes[..bytes.len() - 1]), None);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }
}
