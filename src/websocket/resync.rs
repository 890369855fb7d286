//! Resynchronises after missing bytes, and recognises a WebSocket picked up mid-stream.
//!
//! **The proof.** A candidate begins where a packet begins, never elsewhere. From there headers are followed, one frame
//! to the next. Each must be legal in every respect: the mask bit as the direction requires, reserved bits as agreed,
//! a known opcode, a control frame whole and at most 125 bytes, the length in its shortest form and below 2^40, fragments
//! in order, no empty fragment before the last, text that is UTF-8, a Close with a legal code, a UTF-8 reason, and
//! nothing after it. The first breach ends the candidate.
//!
//! The evidence of a legal chain is counted in tenths of a bit, as the improbability of arbitrary bytes looking so:
//!
//! | sign | bits |
//! |---|---|
//! | first byte among the 9 legal ones of 256 (13 with compression) | 4.8 (4.3) |
//! | mask bit right | 1 |
//! | 16-bit length form · 64-bit length form | 5 · 21 |
//! | the frame ends where the *n*th packet since its beginning ends | 7 (16 with a longer length form) less log2 *n* |
//! | legal Close code · one of those in the registry | 5 · 12.4 |
//!
//! Data that is not frames may repeat itself, as tables, counters and images do, and so may apparent headers in it.
//! Frames without FIN count nothing, nor do the following unless they fill a packet alone: a frame without a payload, a short
//! one with the first byte and length of one of the last two and a similar key, a long one that is one of the last two.
//!
//! A direction is in sync again with 40 bits of which two frame ends coincide with packet ends, or 48 bits in four or
//! more frames, or, when the direction ends exactly with the last frame, 24 bits.
//!
//! **What it proves.** That the chain is right *now*. Its beginning may still be wrong: a few false frames can run into
//! the true ones by chance. But false frames all come before the true ones, so a frame is as good as the chain up to and
//! including it. The packets are decoded from the first frame that is good for 30 bits (24 at the end), as far as they
//! were kept ([`KEPT_BYTES`]); bytes before it are never decoded.

use super::close;
use super::header::{HEADER_MAX, Header};
use super::mask;
use super::utf8::Utf8;
use crate::stream::{GapCause, Stamp};

/// Bytes kept for decoding once the proof is found; beyond, the oldest half is dropped.
pub(super) const KEPT_BYTES: usize = 32 * 1024;
/// Packets kept.
const KEPT_PIECES: usize = 64;
/// Chains followed at once.
const CANDIDATES: usize = 8;
/// Bits, in tenths.
const PROOF: u32 = 400;
const PROOF_WITHOUT_ENDS: u32 = 480;
const PROOF_AT_END: u32 = 240;
/// Bits that a frame must be good for to be decoded.
const DECODED: u32 = 300;
/// No frame is longer, for the purpose of a proof.
const LENGTH_MAX: u64 = 1 << 40;
/// How much of a text is checked.
const TEXT_CHECKED: usize = 4096;

/// What is legal in a direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub masked: bool,
    /// permessage-deflate was agreed, or that is not known.
    pub rsv1: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Unknown,
    No,
    Yes,
    /// A Close has passed: nothing may follow.
    Closed,
}

/// Whether `header` is legal here; returns what is open after it.
fn legal(header: &Header, rules: Rules, open: Open) -> Option<Open> {
    let data = header.opcode() == 1 || header.opcode() == 2;
    let wrong = header.masked != rules.masked
        || header.rsv() & 3 != 0
        || (header.rsv() & 4 != 0 && !(rules.rsv1 && data))
        || header.reserved()
        || !header.minimal()
        || header.length >= LENGTH_MAX
        || open == Open::Closed;
    if wrong {
        return None;
    }
    if header.control() {
        let fits = header.fin() && header.length <= 125 && !(header.opcode() == 8 && header.length == 1);
        return fits.then_some(if header.opcode() == 8 { Open::Closed } else { open });
    }
    if (data && open == Open::Yes) || (!data && open == Open::No) || (!header.fin() && header.length == 0) {
        return None;
    }
    Some(if header.fin() { Open::No } else { Open::Yes })
}

fn header_bits(header: &Header, rules: Rules) -> u32 {
    let first = if rules.rsv1 { 43 } else { 48 };
    let form = match header.form {
        126 => 50,
        127 => 210,
        _ => 0,
    };
    first + 10 + form
}

/// Evidence of a frame that ends where the `nth` packet since its beginning ends.
fn end_bits(header: &Header, nth: usize) -> u32 {
    let exact: u32 = if header.form < 126 { 70 } else { 160 };
    exact.saturating_sub(10 * nth.max(1).next_power_of_two().ilog2())
}

/// Evidence of a whole payload; `None` if it is not legal.
fn payload_bits(header: &Header, payload: &[u8]) -> Option<u32> {
    let mut buffer = [0; TEXT_CHECKED];
    let checked = payload.len().min(TEXT_CHECKED);
    let plain = &mut buffer[..checked];
    mask::unmask(&payload[..checked], header.key, plain);
    match header.opcode() {
        8 => {
            let body = close::parse(plain);
            match (body.fault, body.code) {
                (Some(_), _) => None,
                (None, Some(0..3000)) => Some(124),
                (None, Some(_)) => Some(50),
                (None, None) => Some(0),
            }
        }
        1 if header.rsv() == 0 => {
            let mut utf8 = Utf8::default();
            utf8.feed(plain).ok()?;
            let whole = header.fin() && checked == payload.len();
            (!whole || utf8.finish().is_ok()).then_some(0)
        }
        _ => Some(0),
    }
}

/// A chain of frames that may be real.
#[derive(Clone, Debug)]
struct Candidate {
    /// The first frame that is good enough to be decoded, and the first if the direction ends with the chain.
    start: Option<u64>,
    start_at_end: Option<u64>,
    /// The next header, or the header of `frame`.
    at: u64,
    /// The frame at `at`, once its header is whole, and where it ends.
    frame: Option<(Header, u64)>,
    open: Open,
    bits: u32,
    ends: u32,
    frames: u32,
    last: [FrameSignature; 2],
}

/// Bytes or a gap received while the direction was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub stamp: Stamp,
    /// Offset of the packet that it is part of.
    packet: u64,
    pub offset: u64,
    pub len: u64,
    pub kind: PieceKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum PieceKind {
    /// Bytes, at this index of the buffer.
    Data(usize),
    Gap(GapCause),
}

impl Piece {
    const fn end(&self) -> u64 {
        self.offset + self.len
    }

    const fn ends_packet(&self) -> bool {
        matches!(self.kind, PieceKind::Data(_) | PieceKind::Gap(GapCause::SnapLength))
    }
}

/// A direction that is lost.
pub(super) struct Resync {
    rules: Rules,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    candidates: Vec<Candidate>,
}

impl Resync {
    pub(super) fn new(rules: Rules) -> Self {
        Resync { rules, bytes: Vec::new(), pieces: Vec::new(), candidates: Vec::new() }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.pieces.capacity() * size_of::<Piece>()
            + self.candidates.capacity() * size_of::<Candidate>()
    }

    /// Adds a packet. Returns where decoding begins if the direction is in sync: the first byte of a frame.
    pub(super) fn data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8]) -> Option<u64> {
        if bytes.is_empty() {
            return None;
        }
        let kind = PieceKind::Data(self.bytes.len());
        self.pieces.push(Piece { stamp, packet: offset, offset, len: bytes.len() as u64, kind });
        self.bytes.extend_from_slice(bytes);
        self.begin(offset);
        self.advance(offset + bytes.len() as u64);
        self.proof()
    }

    /// Adds a gap. Returns where decoding begins if the direction is in sync.
    pub(super) fn gap(&mut self, stamp: Stamp, offset: u64, len: u64, cause: GapCause) -> Option<u64> {
        // Bytes that the snap length cut off belong to the packet before.
        let before = self.pieces.last().filter(|piece| piece.end() == offset && cause == GapCause::SnapLength);
        let packet = before.map_or(offset, |piece| piece.packet);
        self.pieces.push(Piece { stamp, packet, offset, len, kind: PieceKind::Gap(cause) });
        self.advance(offset + len);
        // A header that is missing, in whole or in part, cannot be followed.
        self.candidates.retain(|candidate| candidate.frame.is_some() || candidate.at >= offset + len);
        self.proof()
    }

    fn proof(&mut self) -> Option<u64> {
        let proof = self
            .candidates
            .iter()
            // After a trim the first frame to be decoded may be the next one: then it must have begun.
            .filter(|c| c.start.is_some_and(|start| start <= c.at))
            .filter(|c| (c.bits >= PROOF && c.ends >= 2) || (c.bits >= PROOF_WITHOUT_ENDS && c.frames >= 4))
            .max_by_key(|c| c.bits)
            .and_then(|candidate| candidate.start);
        if proof.is_none() {
            self.trim();
        }
        proof
    }

    /// Ends the direction at `position`. Returns where decoding begins if it was in sync.
    pub(super) fn end(&self, position: u64) -> Option<u64> {
        self.candidates
            .iter()
            .filter(|candidate| candidate.frame.is_none() && candidate.at == position && candidate.bits >= PROOF_AT_END)
            .max_by_key(|candidate| candidate.bits)
            .and_then(|candidate| candidate.start_at_end)
    }

    /// The kept pieces from `start` on, for decoding.
    pub(super) fn since(&self, start: u64) -> impl Iterator<Item = (Piece, &[u8])> {
        self.pieces.iter().filter(move |piece| piece.end() > start).map(move |piece| {
            let skip = start.saturating_sub(piece.offset);
            let cut = Piece { offset: piece.offset + skip, len: piece.len - skip, ..*piece };
            match piece.kind {
                PieceKind::Data(at) => (cut, &self.bytes[at + skip as usize..at + piece.len as usize]),
                PieceKind::Gap(_) => (cut, &[][..]),
            }
        })
    }

    fn begin(&mut self, offset: u64) {
        if self.candidates.iter().any(|candidate| candidate.at == offset) {
            return;
        }
        if self.candidates.len() == CANDIDATES {
            // The one with the least evidence, and among those the one whose frame ends last.
            let worst = (0..CANDIDATES).min_by_key(|&at| {
                let candidate = &self.candidates[at];
                (candidate.bits, u64::MAX - candidate.frame.map_or(candidate.at, |(_, end)| end))
            });
            if let Some(worst) = worst {
                self.candidates.remove(worst);
            }
        }
        self.candidates.push(Candidate {
            start: None,
            start_at_end: None,
            at: offset,
            frame: None,
            open: Open::Unknown,
            bits: 0,
            ends: 0,
            frames: 0,
            last: [FrameSignature::default(); 2],
        });
    }

    fn advance(&mut self, position: u64) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.retain_mut(|candidate| self.follow(candidate, position));
        self.candidates = candidates;
    }

    /// Follows a chain as far as there are bytes; false when it breaks.
    fn follow(&self, candidate: &mut Candidate, position: u64) -> bool {
        loop {
            let (header, end) = match candidate.frame {
                Some(frame) => frame,
                None => {
                    let mut buffer = [0; HEADER_MAX];
                    let length = self.copy(candidate.at, &mut buffer);
                    let Some(header) = Header::parse(&buffer[..length]) else { return true };
                    let Some(open) = legal(&header, self.rules, candidate.open) else { return false };
                    candidate.open = open;
                    let end = candidate.at + u64::from(header.size) + header.length;
                    *candidate.frame.insert((header, end))
                }
            };
            if end > position {
                return true;
            }
            let mut payload = [0; TEXT_CHECKED];
            let wanted = (header.length as usize).min(TEXT_CHECKED);
            let got = self.copy(candidate.at + u64::from(header.size), &mut payload[..wanted]);
            let mut bits = 0;
            if got == wanted {
                match payload_bits(&header, &payload[..wanted]) {
                    Some(more) => bits += more,
                    None => return false,
                }
            }
            let packet_ends =
                |from: u64| self.pieces.iter().filter(move |p| p.ends_packet() && p.end() > from && p.end() <= end);
            let nth = packet_ends(candidate.at).count();
            let ends = packet_ends(end - 1).next().is_some();
            let alone = packet_ends(end - 1).any(|piece| piece.packet == candidate.at);
            let sign = FrameSignature::of(&header, &payload[..got]);
            if header.fin() && (alone || sign.counts(&candidate.last)) {
                candidate.bits +=
                    bits + header_bits(&header, self.rules) + if ends { end_bits(&header, nth) } else { 0 };
                candidate.ends += u32::from(ends);
                candidate.frames += 1;
            }
            candidate.last = [sign, candidate.last[0]];
            // A frame whose beginning was dropped cannot be decoded any more; the one after it can.
            let kept = self.pieces.first().is_some_and(|piece| piece.offset <= candidate.at);
            let from = if kept { candidate.at } else { end };
            if candidate.bits >= DECODED {
                candidate.start.get_or_insert(from);
            }
            if candidate.bits >= PROOF_AT_END {
                candidate.start_at_end.get_or_insert(from);
            }
            candidate.at = end;
            candidate.frame = None;
        }
    }

    /// Copies kept bytes from `offset` on, up to the first gap; returns how many.
    fn copy(&self, offset: u64, to: &mut [u8]) -> usize {
        let mut done = 0;
        for piece in &self.pieces {
            let want = offset + done as u64;
            if piece.end() <= want {
                continue;
            }
            let (PieceKind::Data(at), true) = (piece.kind, piece.offset <= want) else { break };
            let skip = (want - piece.offset) as usize;
            let from = &self.bytes[at + skip..at + piece.len as usize];
            let length = from.len().min(to.len() - done);
            to[done..done + length].copy_from_slice(&from[..length]);
            done += length;
            if done == to.len() {
                break;
            }
        }
        done
    }

    /// Enforces the bounds; drops everything when there is no candidate.
    fn trim(&mut self) {
        let position = self.pieces.last().map_or(0, Piece::end);
        if self.candidates.is_empty() {
            self.bytes.clear();
            self.pieces.clear();
            return;
        }
        let needed = self.candidates.iter().map(|c| c.start_at_end.unwrap_or(c.at)).min().unwrap_or(0);
        let full = self.bytes.len() > KEPT_BYTES || self.pieces.len() >= KEPT_PIECES;
        if !full {
            return;
        }
        let (mut pieces, mut bytes) = (self.pieces.len(), self.bytes.len());
        let mut drop = 0;
        while drop < self.pieces.len()
            && (self.pieces[drop].end() <= needed || bytes > KEPT_BYTES / 2 || pieces > KEPT_PIECES / 2)
        {
            if let PieceKind::Data(_) = self.pieces[drop].kind {
                bytes -= self.pieces[drop].len as usize;
            }
            pieces -= 1;
            drop += 1;
        }
        let cut = self.bytes.len() - bytes;
        self.bytes.drain(..cut);
        self.pieces.drain(..drop);
        for piece in &mut self.pieces {
            if let PieceKind::Data(at) = &mut piece.kind {
                *at -= cut;
            }
        }
        let base = self.pieces.first().map_or(position, |piece| piece.offset);
        for candidate in &mut self.candidates {
            // If the beginning was dropped, decoding would begin with the first frame that was not.
            let next = match candidate.frame {
                Some((_, end)) if candidate.at < base => end,
                _ => candidate.at,
            };
            for start in [&mut candidate.start, &mut candidate.start_at_end].into_iter().flatten() {
                if *start < base {
                    *start = next;
                }
            }
        }
        // A header of which the beginning was dropped cannot be followed.
        self.candidates.retain(|candidate| candidate.frame.is_some() || candidate.at >= base);
    }
}

/// Fingerprint of a frame, to recognise repetition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FrameSignature {
    first: u8,
    key: [u8; 4],
    length: u64,
    /// Of the beginning of the payload, for the longer length forms.
    hash: u64,
}

impl FrameSignature {
    fn of(header: &Header, payload: &[u8]) -> FrameSignature {
        let mut hash = 0;
        if header.form >= 126 {
            let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
            let (words, tail) = payload.as_chunks::<8>();
            hash = words.iter().fold(1, |hash, word| mix(hash, u64::from_le_bytes(*word)));
            hash = tail.iter().fold(hash, |hash, &byte| mix(hash, u64::from(byte)));
        }
        FrameSignature { first: header.first, key: header.key, length: header.length, hash }
    }

    /// Keys are chosen at random (RFC 6455 §5.3), so that two of four bytes are equal once in ten thousand times.
    fn repeats(&self, earlier: &FrameSignature) -> bool {
        let equal_bytes = self.key.iter().zip(earlier.key).filter(|&(&this, other)| this == other).count();
        self.first == earlier.first && self.length == earlier.length && self.hash == earlier.hash && equal_bytes >= 2
    }

    /// Whether the frame may count although it does not fill a packet alone.
    fn counts(&self, last: &[FrameSignature; 2]) -> bool {
        self.length > 0 && !last.iter().any(|earlier| self.repeats(earlier))
    }
}

/// The result of [`looks_like_websocket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// Summary of `bits`.
    pub strength: Strength,
    /// The frames are masked: their sender is the client (RFC 6455 §5.1).
    pub masked: bool,
    /// Evidence in bits: other bytes look so by accident about once in 2 to that many times. Evidence of several
    /// segments of one direction with the same `masked`, and of both directions with opposite `masked`, adds up.
    pub bits: u16,
}

/// How strong the evidence for a WebSocket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// It is not, or there is no sign of it.
    No,
    /// It may be: at least [`Likeness::WEAK_BITS`].
    Weak,
    /// It is, beyond reasonable doubt: at least [`Likeness::STRONG_BITS`].
    Strong,
}

impl Likeness {
    /// Evidence that justifies examining the next segment, in bits: that of one short frame that fills a segment.
    pub const WEAK_BITS: u16 = 11;
    /// Evidence that counts as proof, in bits.
    pub const STRONG_BITS: u16 = 40;

    const NO: Likeness = Likeness { strength: Strength::No, masked: false, bits: 0 };
}

/// Whether a TCP segment (or TLS record) of a connection without a captured beginning holds WebSocket frames from its
/// first byte on. One segment seldom proves it: add up the bits of several.
///
/// Random bytes are `Weak` about once in 2000 segments, and `Strong` never in practice (2^-40).
#[must_use]
pub fn looks_like_websocket(segment: &[u8]) -> Likeness {
    let Some(first) = Header::parse(segment) else { return Likeness::NO };
    let rules = Rules { masked: first.masked, rsv1: true };
    let (mut open, mut rest, mut tenths, mut last) = (Open::No, segment, 0, [FrameSignature::default(); 2]);
    while let Some(header) = Header::parse(rest) {
        let Some(after) = legal(&header, rules, open) else { return Likeness::NO };
        open = after;
        let begun = rest.len() != segment.len();
        // The first mask bit is taken as it comes, so it proves nothing.
        let mut bits = header_bits(&header, rules) - if begun { 0 } else { 10 };
        let payload = &rest[usize::from(header.size)..];
        if header.length > payload.len() as u64 {
            tenths += bits;
            rest = &[];
            break;
        }
        let (payload, next) = payload.split_at(header.length as usize);
        match payload_bits(&header, payload) {
            Some(more) => bits += more,
            None => return Likeness::NO,
        }
        if next.is_empty() {
            bits += end_bits(&header, 1);
        }
        let sign = FrameSignature::of(&header, &payload[..payload.len().min(TEXT_CHECKED)]);
        let alone = !begun && next.is_empty() && header.control();
        if header.fin() && (alone || sign.counts(&last)) {
            tenths += bits;
        }
        last = [sign, last[0]];
        rest = next;
    }
    // The rest must be the beginning of a legal header.
    if rest.first().is_some_and(|&byte| !may_be_first(byte)) {
        return Likeness::NO;
    }
    let bits = (tenths / 10).min(u32::from(u16::MAX)) as u16;
    let strength = match bits {
        Likeness::STRONG_BITS.. => Strength::Strong,
        Likeness::WEAK_BITS.. => Strength::Weak,
        _ => Strength::No,
    };
    Likeness { strength, masked: rules.masked, bits }
}

fn may_be_first(byte: u8) -> bool {
    matches!(byte, 0x00..=0x02 | 0x80..=0x82 | 0x41 | 0x42 | 0xC1 | 0xC2 | 0x88..=0x8A)
}
