//! The state machine of one direction: header, payload, message, gap, end.
//!
//! ```text
//!            ┌────────────── frame ends ─────────────┐
//!            ▼                                       │
//!  start ► Header ── header whole ──────────────► Payload
//!            │  │                                    │
//!            │  └ gap, or no header at all ─► Lost ◄─┘ gap beyond the frame
//!            │                                 │ proof (resync)
//!            │                                 └─► Header
//!            └ HTTP, HTML, JSON … ─► Foreign (for good)
//! ```

use super::close;
use super::event::{Frame, Message, MessageKind, Sink, opcode};
use super::facts::{
    CloseFacts, CutFrame, DirectionFacts, FOREIGN_TEXT_KEPT, ForeignKind, ForeignText, LATER_CLOSES_KEPT, LastMessage,
    OpenMessage,
};
use super::foreign::{self, Text};
use super::header::{HEADER_MAX, Header};
use super::inflate::{Fault, Inflation};
use super::keepalive::Answer;
use super::mask;
use super::resync::{PieceKind, Resync, Rules};
use super::utf8::Utf8;
use super::violation::ViolationKind;
use super::{Deflate, Direction, Interest};
use crate::stream::{End, GapCause, Stamp};

/// Control payloads longer than RFC 6455 §5.5 allows are kept to this many bytes.
const CONTROL_MAX: usize = 125;
/// Masked payload is unmasked in pieces of this many bytes, a multiple of four.
const UNMASK_PIECE: usize = 4096;
/// A message buffer larger than this is not kept for the next message.
const BUFFER_KEPT: usize = 64 * 1024;
/// Positions are not known before the first event.
const UNKNOWN: u64 = u64::MAX;

/// What is the same for both directions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub deflate: Option<Deflate>,
    pub mid_stream: bool,
    pub interest: Interest,
}

impl Context {
    /// Whether it is known which extensions are in use.
    const fn extensions_known(&self) -> bool {
        self.deflate.is_some() || !self.mid_stream
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Header,
    Payload,
    Lost,
    Foreign,
    Ended,
}

/// What becomes of a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Control,
    Message,
}

/// Whether a data message is open (RFC 6455 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    No,
    Yes,
    /// Its beginning may lie in a gap.
    Unknown,
}

/// How the payload of a message becomes the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Deflate,
    /// Not to be known: bytes or history are missing, or an extension is in use that nobody agreed on.
    Opaque,
}

struct MessageState {
    open: Open,
    /// It broke into another message: after it, nothing certain is known.
    intruder: bool,
    kind: MessageKind,
    compressed: bool,
    coding: Coding,
    /// Text that has been UTF-8 so far.
    check_text: bool,
    /// It was decoded with earlier messages, which its sender had promised not to refer to.
    promise_broken: bool,
    /// The message is to be handed over.
    collect: bool,
    truncated: bool,
    /// Bytes are missing.
    missing: bool,
    utf8: Utf8,
    first: Stamp,
    fragments: u64,
    wire_length: u64,
    length: u64,
}

#[derive(Default)]
struct ControlBody {
    bytes: Vec<u8>,
    missing: bool,
}

/// One direction.
pub(super) struct Half {
    phase: Phase,
    need: Need,
    /// A frame of this direction had its mask bit right.
    mask_right: bool,
    /// Messages may refer to earlier ones: not promised otherwise, or the promise was broken.
    takeover: bool,
    stash_len: u8,
    stash: [u8; HEADER_MAX],
    /// Offset of the next byte.
    position: u64,
    header: Header,
    remaining: u64,
    /// The packet with the first byte of the frame (or of the stash).
    first: Stamp,
    message: MessageState,
    buffer: Vec<u8>,
    control: Option<Box<ControlBody>>,
    inflation: Option<Box<Inflation>>,
    resync: Option<Box<Resync>>,
}

impl Half {
    pub(super) fn new(direction: Direction, context: &Context) -> Self {
        Half {
            phase: if context.mid_stream { Phase::Lost } else { Phase::Header },
            need: Need::Nothing,
            mask_right: false,
            takeover: context.deflate.is_some_and(|deflate| !deflate.no_context_takeover(direction)),
            stash_len: 0,
            stash: [0; HEADER_MAX],
            position: UNKNOWN,
            header: Header::default(),
            remaining: 0,
            first: Stamp::default(),
            message: MessageState {
                open: if context.mid_stream { Open::Unknown } else { Open::No },
                intruder: false,
                kind: MessageKind::Binary,
                compressed: false,
                coding: Coding::Plain,
                check_text: false,
                promise_broken: false,
                collect: false,
                truncated: false,
                missing: false,
                utf8: Utf8::default(),
                first: Stamp::default(),
                fragments: 0,
                wire_length: 0,
                length: 0,
            },
            buffer: Vec::new(),
            control: None,
            inflation: None,
            resync: None,
        }
    }

    pub(super) fn touch(&self) -> u64 {
        self.position ^ self.message.length
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
            + self.control.as_ref().map_or(0, |control| control.bytes.capacity())
            + self.inflation.as_ref().map_or(0, |inflation| inflation.memory())
            + self.resync.as_ref().map_or(0, |resync| resync.memory())
    }

    pub(super) fn holds_window(&self) -> bool {
        self.inflation.is_some()
    }

    /// Lets go of what an idle direction can do without.
    pub(super) fn shrink(&mut self) {
        if self.message.open == Open::No && self.phase != Phase::Payload {
            self.buffer = Vec::new();
            if let Some(inflation) = &mut self.inflation {
                inflation.shrink();
            }
        }
    }
}

/// One direction at work on one event.
pub(super) struct Step<'a, S> {
    pub half: &'a mut Half,
    /// What this direction's sender did.
    pub own: &'a mut DirectionFacts,
    /// What the other side did.
    pub peer: &'a mut DirectionFacts,
    pub context: &'a Context,
    pub direction: Direction,
    pub stamp: Stamp,
    pub sink: &'a mut S,
}

impl<S: Sink> Step<'_, S> {
    pub(super) fn data(&mut self, offset: u64, mut bytes: &[u8]) {
        if self.half.position == UNKNOWN {
            self.half.position = offset;
        }
        let position = self.half.position;
        if offset > position {
            // Nobody told us of these: treat them as what they are.
            self.gap(position, offset - position, GapCause::BufferLimit);
        } else if offset < position {
            let again = (position - offset).min(bytes.len() as u64);
            bytes = &bytes[again as usize..];
        }
        if bytes.is_empty() {
            return;
        }
        let offset = self.half.position;
        self.half.position = offset + bytes.len() as u64;
        let before = self.own.last_bytes();
        self.own.last_bytes = self.stamp.into();
        match self.half.phase {
            Phase::Header | Phase::Payload => self.decode(bytes, before),
            Phase::Lost => self.lost_data(offset, bytes),
            Phase::Foreign => self.foreign_more(bytes),
            Phase::Ended => {}
        }
    }

    #[inline(always)]
    fn decode(&mut self, mut bytes: &[u8], before: Option<Stamp>) {
        if self.half.stash_len > 0 {
            bytes = self.decode_stashed(bytes, before);
        }
        self.run(bytes);
    }

    /// Goes on with bytes that came earlier, for as long as there are any; returns what is left.
    #[inline(never)]
    fn decode_stashed<'b>(&mut self, mut bytes: &'b [u8], before: Option<Stamp>) -> &'b [u8] {
        while self.half.stash_len > 0 && self.half.phase == Phase::Header && !bytes.is_empty() {
            bytes = self.decode_stash(bytes, before.unwrap_or(self.stamp));
        }
        bytes
    }

    /// Goes on with a header of which some bytes came earlier; returns what is left.
    fn decode_stash<'b>(&mut self, bytes: &'b [u8], before: Stamp) -> &'b [u8] {
        let old = usize::from(self.half.stash_len);
        let mut joined = self.half.stash;
        let take = bytes.len().min(HEADER_MAX - old);
        joined[old..old + take].copy_from_slice(&bytes[..take]);
        let both = &joined[..old + take];
        if foreign::may_begin(both[0]) {
            match foreign::recognise(both) {
                Text::Known(kind) => {
                    self.half.stash_len = 0;
                    self.foreign_begin(kind, self.half.first);
                    self.foreign_more(&joined[..old]);
                    self.foreign_more(bytes);
                    return &[];
                }
                Text::Undecided => {
                    self.half.stash = joined;
                    self.half.stash_len += take as u8;
                    return &bytes[take..];
                }
                Text::No => {}
            }
        }
        let Some(header) = Header::parse(both) else {
            self.half.stash = joined;
            self.half.stash_len += take as u8;
            return &bytes[take..];
        };
        self.half.stash_len = 0;
        let size = usize::from(header.size);
        if size >= old {
            let first = self.half.first;
            self.begin_frame(header, first);
            let rest = &bytes[size - old..];
            if self.half.phase == Phase::Lost {
                self.own.unusual_mut().gaps.undecoded_bytes += rest.len() as u64;
                return &[];
            }
            return rest;
        }
        // The header was whole before: its bytes waited because they might have spelled something else.
        let now = std::mem::replace(&mut self.stamp, before);
        let first = self.half.first;
        self.begin_frame(header, first);
        if self.half.phase == Phase::Lost {
            self.own.unusual_mut().gaps.undecoded_bytes += (old - size) as u64;
        } else {
            self.run(&joined[size..old]);
        }
        self.stamp = now;
        if self.half.phase == Phase::Lost {
            self.own.unusual_mut().gaps.undecoded_bytes += bytes.len() as u64;
            return &[];
        }
        bytes
    }

    /// Decodes bytes that begin where the phase says.
    fn run(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.half.phase {
                Phase::Header => {
                    if let Some(rest) = self.whole_message(bytes) {
                        bytes = rest;
                        continue;
                    }
                    if foreign::may_begin(bytes[0]) {
                        match foreign::recognise(bytes) {
                            Text::Known(kind) => {
                                self.foreign_begin(kind, self.stamp);
                                self.foreign_more(bytes);
                                return;
                            }
                            Text::Undecided => return self.keep(bytes),
                            Text::No => {}
                        }
                    }
                    let Some(header) = Header::parse(bytes) else { return self.keep(bytes) };
                    bytes = &bytes[usize::from(header.size)..];
                    self.begin_frame(header, self.stamp);
                }
                Phase::Payload => {
                    let take = self.half.remaining.min(bytes.len() as u64) as usize;
                    let (payload, rest) = bytes.split_at(take);
                    bytes = rest;
                    if self.half.need == Need::Control && take as u64 == self.half.header.length && take <= CONTROL_MAX
                    {
                        self.whole_control(payload);
                        continue;
                    }
                    self.payload(payload);
                    self.half.remaining -= take as u64;
                    if self.half.remaining == 0 {
                        self.end_frame();
                    }
                }
                Phase::Lost => {
                    self.own.unusual_mut().gaps.undecoded_bytes += bytes.len() as u64;
                    return;
                }
                Phase::Foreign => return self.foreign_more(bytes),
                Phase::Ended => return,
            }
        }
    }

    /// Keeps the beginning of a header for the next packet.
    fn keep(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(HEADER_MAX);
        self.half.stash[..length].copy_from_slice(&bytes[..length]);
        self.half.stash_len = length as u8;
        self.half.first = self.stamp;
    }

    /// The common case in one go: an unfragmented, uncompressed data frame, whole in this packet, while no message is
    /// open and no Close was sent. Everything else takes the long way, with the same result.
    #[inline(always)]
    fn whole_message<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let masked = self.direction == Direction::ToServer;
        if first | 3 != 0x83 || (second & 0x80 != 0) != masked || self.half.message.open != Open::No {
            return None;
        }
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        let (length, rest) = match second & 0x7F {
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_be_bytes(*length));
                if length < 126 {
                    return None;
                }
                (length, rest)
            }
            127 => return None,
            short => (usize::from(short), rest),
        };
        let (key, rest) = if masked {
            let (key, rest) = rest.split_first_chunk::<4>()?;
            (*key, rest)
        } else {
            ([0; 4], rest)
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        if self.own.close.is_some() {
            return None;
        }
        let header_length = bytes.len() - payload.len() - rest.len();

        self.half.mask_right = true;
        if kind == MessageKind::Text {
            if !mask::is_ascii(payload, key) {
                self.whole_text(payload, masked.then_some(key));
            }
            self.own.text += 1;
        } else {
            self.own.binary += 1;
        }
        if masked && length > 0 {
            self.own.masks.note(key);
        }
        let stamp = self.stamp;
        let length = length as u64;
        let own = &mut *self.own;
        own.frames += 1;
        own.messages += 1;
        own.payload_bytes += length;
        own.largest_message = own.largest_message.max(length);
        own.first_frame.get_or_insert(stamp);
        own.last_frame = stamp.into();
        own.last_data = stamp.into();
        own.last_message = Some(LastMessage { kind, wire_length: length, length: Some(length), stamp });
        if self.context.interest.frames {
            self.sink.frame(&Frame {
                direction: self.direction,
                first: stamp,
                last: stamp,
                fin: true,
                rsv: 0,
                opcode: first & 0x0F,
                mask: masked.then_some(key),
                header_length: header_length as u8,
                length,
                close_code: None,
            });
        }
        if self.context.interest.messages {
            self.tell_whole_message(kind, payload, masked.then_some(key));
        }
        Some(rest)
    }

    fn whole_text(&mut self, payload: &[u8], key: Option<[u8; 4]>) {
        let mut utf8 = Utf8::default();
        let mut result = Ok(());
        match key {
            None => result = utf8.feed(payload),
            Some(key) => in_pieces(payload, key, |piece| {
                if result.is_ok() {
                    result = utf8.feed(piece);
                }
            }),
        }
        if let Err(valid) = result.and_then(|()| utf8.finish()) {
            self.violation(ViolationKind::InvalidUtf8, valid);
        }
    }

    fn tell_whole_message(&mut self, kind: MessageKind, payload: &[u8], key: Option<[u8; 4]>) {
        let limit = (self.context.interest.payload_limit.min(Interest::PAYLOAD_LIMIT)) as usize;
        let shown = &payload[..payload.len().min(limit)];
        let shown = match key {
            Some(key) => {
                self.half.buffer.clear();
                self.half.buffer.extend_from_slice(shown);
                mask::unmask_in_place(&mut self.half.buffer, key);
                &self.half.buffer
            }
            None => shown,
        };
        let length = payload.len() as u64;
        self.sink.message(&Message {
            direction: self.direction,
            kind,
            compressed: false,
            fragments: 1,
            wire_length: length,
            length: Some(length),
            payload: (limit > 0).then_some(shown),
            truncated: limit > 0 && shown.len() < payload.len(),
            first: self.stamp,
            last: self.stamp,
            complete: true,
        });
        self.release_buffer();
    }

    fn release_buffer(&mut self) {
        if self.half.buffer.capacity() > BUFFER_KEPT {
            self.half.buffer = Vec::new();
        }
    }

    // ── headers ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn begin_frame(&mut self, header: Header, first: Stamp) {
        if !self.judge(&header) {
            self.own.unusual_mut().gaps.undecoded_bytes += u64::from(header.size);
            return self.lose();
        }
        self.half.first = first;
        self.half.header = header;
        self.half.remaining = header.length;
        self.half.need = if header.control() {
            Need::Control
        } else if header.reserved() {
            Need::Nothing
        } else {
            self.begin_data(&header, first)
        };
        self.half.phase = Phase::Payload;
        if header.length == 0 {
            if self.half.need == Need::Control {
                self.whole_control(&[]);
            } else {
                self.end_frame();
            }
        }
    }

    /// Holds a header against the rules. False: what stands here is no header.
    fn judge(&mut self, header: &Header) -> bool {
        let to_server = self.direction == Direction::ToServer;
        let mask_right = header.masked == to_server;
        let plain = header.rsv() == 0 && header.fin() && !header.reserved();
        if plain && mask_right && header.minimal() && !header.high_bit() && (!header.control() || header.length <= 125)
        {
            self.half.mask_right = true;
        } else if !self.judge_odd(header, mask_right) {
            return false;
        }
        let (opcode, data) = (header.opcode(), !header.control());
        if self.own.close.is_some() {
            // §5.5.1: after sending a Close frame, the application must not send any more data frames.
            let kind = if data { ViolationKind::DataAfterClose } else { ViolationKind::FrameAfterClose };
            self.violation(kind, u64::from(opcode));
        }
        match (opcode, self.half.message.open) {
            // §5.4: fragments of one message must not be interleaved with those of another.
            (opcode::TEXT | opcode::BINARY, Open::Yes) => {
                self.violation(ViolationKind::DataInsideFragmentedMessage, u64::from(opcode));
            }
            // §5.4: a continuation continues something.
            (opcode::CONTINUATION, Open::No) => self.violation(ViolationKind::OrphanContinuation, header.length),
            _ => {}
        }
        true
    }

    /// The rules a header can break by itself. Independent breaches at once mean that it is not a header at all:
    /// whoever wrote it does not write frames here.
    fn judge_odd(&mut self, header: &Header, mask_right: bool) -> bool {
        let mut found: [(ViolationKind, u64); 8] = [(ViolationKind::Desynchronised, 0); 8];
        let (mut count, mut breaches, mut unnamed) = (0, 0, 0);
        let mut note = |kind, detail, independent: bool| {
            found[count] = (kind, detail);
            count += 1;
            breaches += u32::from(independent);
        };
        let opcode = u64::from(header.opcode());
        if !mask_right {
            // §5.1: a client must mask all frames; a server must not mask any.
            let kind = match self.direction {
                Direction::ToServer => ViolationKind::UnmaskedFromClient,
                Direction::ToClient => ViolationKind::MaskedFromServer,
            };
            // Who never gets it right may be wrong in other things too, and still write frames.
            note(kind, opcode, self.half.mask_right);
        }
        // §5.2: reserved bits must be 0 unless an extension is agreed that defines them.
        let known = self.context.extensions_known();
        let first_of_message = header.opcode() == opcode::TEXT || header.opcode() == opcode::BINARY;
        let rsv1 = header.rsv() & 4 != 0;
        if known && (header.rsv() & 3 != 0 || (rsv1 && !first_of_message && self.context.deflate.is_none())) {
            note(ViolationKind::ReservedBitsSet, u64::from(header.rsv()), true);
        } else if header.rsv() & 3 != 0 {
            unnamed += 1;
        }
        if rsv1 && !first_of_message {
            if self.context.deflate.is_some() {
                // RFC 7692 §6.1: only the first fragment of a data message carries the bit.
                note(ViolationKind::Rsv1OnContinuationOrControl, opcode, true);
            } else if !known {
                unnamed += 1;
            }
        } else if rsv1 && known && self.context.deflate.is_none() {
            note(ViolationKind::Rsv1NotNegotiated, opcode, false);
        }
        // §5.2: an unknown opcode makes the receiver fail the connection.
        if header.reserved() {
            note(ViolationKind::ReservedOpcode, opcode, true);
        }
        // §5.5: control frames have at most 125 bytes of payload and must not be fragmented.
        let fragmented_control = header.control() && !header.fin();
        let oversized_control = header.control() && header.length > 125;
        if fragmented_control {
            note(ViolationKind::FragmentedControl, opcode, true);
        }
        if oversized_control {
            note(ViolationKind::OversizedControl, header.length, !fragmented_control);
        }
        // §5.2: the minimal number of bytes, and no sign bit.
        if !header.minimal() {
            note(ViolationKind::NonMinimalLength, header.length, true);
        }
        if header.high_bit() {
            note(ViolationKind::LengthHighBitSet, header.length, !oversized_control);
        }
        if breaches + unnamed >= 2 {
            let form = header.form | if header.masked { 0x80 } else { 0 };
            self.violation(ViolationKind::Desynchronised, u64::from(header.first) << 8 | u64::from(form));
            return false;
        }
        for &(kind, detail) in &found[..count] {
            self.violation(kind, detail);
        }
        self.half.mask_right |= mask_right;
        if fragmented_control && self.half.message.open == Open::No {
            // Its further fragments are the same deed, not orphans.
            self.half.message.open = Open::Unknown;
        }
        !header.high_bit()
    }

    /// A data frame begins: what does its payload need?
    fn begin_data(&mut self, header: &Header, first: Stamp) -> Need {
        if header.opcode() != opcode::CONTINUATION {
            self.begin_message(header, first);
        }
        let message = &mut self.half.message;
        if message.open == Open::Yes {
            message.wire_length = message.wire_length.saturating_add(header.length);
            message.fragments += 1;
        }
        let touched = message.check_text || message.collect || message.coding == Coding::Deflate;
        if message.open == Open::Yes && touched && message.coding != Coding::Opaque {
            Need::Message
        } else {
            Need::Nothing
        }
    }

    fn begin_message(&mut self, header: &Header, first: Stamp) {
        let intruder = self.half.message.open == Open::Yes;
        if intruder {
            self.half.message.missing = true;
            self.tell_message();
            if self.half.message.compressed {
                self.poison();
            }
        }
        let compressed = header.rsv() & 4 != 0;
        let coding = if header.rsv() & 3 != 0 {
            Coding::Opaque
        } else if !compressed {
            Coding::Plain
        } else if self.context.deflate.is_none() || self.own.compression().poisoned.is_some() {
            Coding::Opaque
        } else {
            let takeover = self.half.takeover;
            self.half.inflation.get_or_insert_with(|| Box::new(Inflation::new(takeover))).begin();
            Coding::Deflate
        };
        let kind = if header.opcode() == opcode::TEXT { MessageKind::Text } else { MessageKind::Binary };
        let interest = self.context.interest;
        self.half.buffer.clear();
        self.half.message = MessageState {
            open: Open::Yes,
            intruder,
            kind,
            compressed,
            coding,
            check_text: kind == MessageKind::Text && coding != Coding::Opaque,
            promise_broken: false,
            collect: interest.messages && interest.payload_limit > 0 && coding != Coding::Opaque,
            truncated: false,
            missing: false,
            utf8: Utf8::default(),
            first,
            fragments: 0,
            wire_length: 0,
            length: 0,
        };
    }

    // ── payload ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn payload(&mut self, bytes: &[u8]) {
        match self.half.need {
            Need::Nothing => {}
            Need::Control => {
                let header = self.half.header;
                let done = header.length - self.half.remaining;
                let body = self.half.control.get_or_insert_default();
                let room = CONTROL_MAX.saturating_sub(body.bytes.len());
                let at = body.bytes.len();
                body.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
                mask::unmask_in_place(&mut body.bytes[at..], mask::rotated(header.key, done));
            }
            Need::Message => {
                let header = self.half.header;
                if !header.masked {
                    return self.message_bytes(bytes);
                }
                let key = mask::rotated(header.key, header.length - self.half.remaining);
                let message = &mut self.half.message;
                let ascii_only = message.coding == Coding::Plain && !message.collect;
                if ascii_only && mask::is_ascii(bytes, key) && message.utf8.skip_ascii(bytes.len()) {
                    message.length += bytes.len() as u64;
                    return;
                }
                in_pieces(bytes, key, |piece| self.message_bytes(piece));
            }
        }
    }

    fn message_bytes(&mut self, bytes: &[u8]) {
        match self.half.message.coding {
            Coding::Plain => self.plain(bytes),
            Coding::Deflate => self.inflate(Some(bytes)),
            Coding::Opaque => {}
        }
    }

    /// Bytes of the message itself.
    fn plain(&mut self, bytes: &[u8]) {
        let message = &mut self.half.message;
        message.length += bytes.len() as u64;
        if message.collect {
            let limit = self.context.interest.payload_limit.min(Interest::PAYLOAD_LIMIT) as usize;
            let room = limit.saturating_sub(self.half.buffer.len()).min(bytes.len());
            self.half.buffer.extend_from_slice(&bytes[..room]);
            message.truncated |= room < bytes.len();
        }
        if message.check_text
            && let Err(valid) = message.utf8.feed(bytes)
        {
            message.check_text = false;
            // §8.1: a text message that is not UTF-8 must fail the connection.
            self.violation(ViolationKind::InvalidUtf8, valid);
        }
    }

    /// More of a compressed message, or (`None`) its end.
    fn inflate(&mut self, bytes: Option<&[u8]>) {
        let Some(mut inflation) = self.half.inflation.take() else { return };
        let result = match bytes {
            Some(bytes) => inflation.feed(bytes, &mut |out| self.plain(out)),
            None => inflation.finish(&mut |out| self.plain(out)),
        };
        let Err(fault) = result else {
            self.half.inflation = Some(inflation);
            return;
        };
        let certain = self.own.unusual().gaps.times_lost == 0;
        let wire = self.half.message.wire_length;
        if fault == Fault::Corrupt && inflation.can_retry() {
            let message = &mut self.half.message;
            message.promise_broken = true;
            message.utf8 = Utf8::default();
            message.length = 0;
            message.truncated = false;
            self.half.buffer.clear();
            let again = inflation.retry(&mut |out| self.plain(out)).and_then(|()| match bytes {
                Some(_) => Ok(()),
                None => inflation.finish(&mut |out| self.plain(out)),
            });
            if again.is_ok() {
                self.half.inflation = Some(inflation);
                return;
            }
        }
        match fault {
            Fault::Limit => self.own.compression_mut().limit_hits += 1,
            Fault::Corrupt if certain => {
                self.own.compression_mut().failures += 1;
                self.violation(ViolationKind::InflateFailed, wire);
            }
            Fault::Corrupt | Fault::Forgotten => {}
        }
        self.half.inflation = Some(inflation);
        self.opaque();
        self.poison();
    }

    /// The message that is open can no longer be known.
    fn opaque(&mut self) {
        let message = &mut self.half.message;
        message.coding = Coding::Opaque;
        message.check_text = false;
        message.collect = false;
        self.half.buffer.clear();
        if self.half.need == Need::Message {
            self.half.need = Need::Nothing;
        }
    }

    /// History that later compressed messages may refer to is gone.
    fn poison(&mut self) {
        if let Some(inflation) = &mut self.half.inflation {
            inflation.abandon();
        }
        if self.half.takeover {
            self.own.compression_mut().poisoned.get_or_insert(self.stamp);
            self.half.inflation = None;
        }
    }

    /// The payload of a control frame, whole in one packet.
    fn whole_control(&mut self, payload: &[u8]) {
        let mut body = [0; CONTROL_MAX];
        let body = &mut body[..payload.len()];
        mask::unmask(payload, self.half.header.key, body);
        let code = self.control(body, true);
        self.finish_frame(code);
    }

    // ── ends of frames and messages ─────────────────────────────────────────────────────────────────────────────

    fn end_frame(&mut self) {
        let mut code = None;
        if self.half.need == Need::Control {
            let body = self.half.control.take().unwrap_or_default();
            let whole = !body.missing && body.bytes.len() as u64 == self.half.header.length;
            code = self.control(&body.bytes, whole);
        }
        self.finish_frame(code);
    }

    fn finish_frame(&mut self, close_code: Option<u16>) {
        let (header, stamp) = (self.half.header, self.stamp);
        let own = &mut *self.own;
        own.frames += 1;
        own.payload_bytes = own.payload_bytes.saturating_add(header.length);
        match header.opcode() {
            opcode::CONTINUATION => own.continuation += 1,
            opcode::TEXT => own.text += 1,
            opcode::BINARY => own.binary += 1,
            opcode::CLOSE => own.closes += 1,
            opcode::PING => own.ping += 1,
            opcode::PONG => own.pong += 1,
            _ => own.unusual_mut().unknown += 1,
        }
        own.first_frame.get_or_insert(stamp);
        own.last_frame = stamp.into();
        if header.masked && header.length > 0 {
            own.masks.note(header.key);
        }
        self.half.phase = Phase::Header;
        if self.context.interest.frames {
            self.sink.frame(&Frame {
                direction: self.direction,
                first: self.half.first,
                last: stamp,
                fin: header.fin(),
                rsv: header.rsv(),
                opcode: header.opcode(),
                mask: header.masked.then_some(header.key),
                header_length: header.size,
                length: header.length,
                close_code,
            });
        }
        if !header.control() && !header.reserved() {
            self.own.last_data = stamp.into();
            if header.fin() {
                self.end_message();
            }
        }
    }

    fn end_message(&mut self) {
        if self.half.message.open == Open::Yes {
            if self.half.message.coding == Coding::Deflate {
                self.inflate(None);
            }
            if self.half.message.promise_broken && self.half.message.coding == Coding::Deflate {
                // RFC 7692 §7.1.1: who agreed to no_context_takeover must not refer to earlier messages. It made sense
                // to the end that way, so this sender does, and what follows is decoded accordingly.
                self.violation(ViolationKind::ContextTakeoverViolated, self.half.message.wire_length);
                self.half.takeover = true;
            }
            let message = &mut self.half.message;
            if message.check_text
                && let Err(valid) = message.utf8.finish()
            {
                self.violation(ViolationKind::InvalidUtf8, valid);
            }
            self.tell_message();
        }
        let intruder = self.half.message.open == Open::Yes && self.half.message.intruder;
        self.half.message.open = if intruder { Open::Unknown } else { Open::No };
    }

    /// Counts and tells the message that is open.
    fn tell_message(&mut self) {
        let message = &self.half.message;
        let (own, stamp) = (&mut *self.own, self.stamp);
        own.messages += 1;
        if message.missing {
            own.unusual_mut().incomplete_messages += 1;
        }
        own.largest_message = own.largest_message.max(message.wire_length);
        let known = !message.missing && message.coding != Coding::Opaque;
        // Not only what was looked at counts: a plain message is as long as its frames.
        let length = known.then_some(if message.compressed { message.length } else { message.wire_length });
        own.last_message = Some(LastMessage { kind: message.kind, wire_length: message.wire_length, length, stamp });
        if message.compressed {
            let compression = own.compression_mut();
            compression.messages += 1;
            if known {
                compression.wire_bytes += message.wire_length;
                compression.inflated_bytes += message.length;
                compression.largest_inflated = compression.largest_inflated.max(message.length);
            } else {
                compression.undecoded += 1;
            }
        }
        if self.context.interest.messages {
            self.sink.message(&Message {
                direction: self.direction,
                kind: message.kind,
                compressed: message.compressed,
                fragments: message.fragments,
                wire_length: message.wire_length,
                length,
                payload: (known && message.collect).then_some(&self.half.buffer),
                truncated: known && message.truncated,
                first: message.first,
                last: stamp,
                complete: !message.missing,
            });
        }
        self.release_buffer();
    }

    /// A control frame is over. `whole`: `body` is all of its payload. Returns the code of a Close.
    fn control(&mut self, body: &[u8], whole: bool) -> Option<u16> {
        let stamp = self.stamp;
        match self.half.header.opcode() {
            opcode::CLOSE => return self.close(body, whole),
            opcode::PING => {
                let hidden = self.peer.unusual().gaps.lost;
                let keepalive = self.own.keepalive.get_or_insert_default();
                if whole {
                    keepalive.ping(stamp, body, hidden);
                } else {
                    keepalive.pinged(stamp);
                    keepalive.payload_missed = true;
                }
            }
            opcode::PONG => {
                self.own.keepalive.get_or_insert_default().ponged(stamp);
                // What a gap hides may be the Ping that this answers.
                let missed = self.peer.keepalive.as_ref().is_some_and(|pings| pings.payload_missed);
                let certain = self.peer.unusual().gaps.times_lost == 0 && !missed;
                let answer = match &mut self.peer.keepalive {
                    Some(pings) if whole => pings.answer(stamp, body),
                    Some(pings) => {
                        pings.answers_hidden();
                        Answer::Again
                    }
                    None => Answer::Unsolicited,
                };
                let keepalive = self.own.keepalive.get_or_insert_default();
                match answer {
                    Answer::Unsolicited if certain => keepalive.unsolicited_pongs += 1,
                    Answer::Mismatched if certain => keepalive.mismatched_pongs += 1,
                    _ => {}
                }
            }
            _ => {}
        }
        None
    }

    fn close(&mut self, body: &[u8], whole: bool) -> Option<u16> {
        let stamp = self.stamp;
        if let Some(close) = &mut self.own.close {
            close.later_count += 1;
            if close.later.len() < LATER_CLOSES_KEPT {
                close.later.push(stamp);
            }
            // Its code is told with the frame; what is wrong with it would be a second deed of a sender that is done.
            return if whole { close::parse(body).code } else { None };
        }
        let mut facts = CloseFacts {
            stamp,
            code: None,
            reason: String::new(),
            reason_valid: true,
            length: self.half.header.length,
            captured: whole,
            valid: whole,
            first_for_certain: self.own.unusual().gaps.times_lost == 0,
            later: Vec::new(),
            later_count: 0,
        };
        // An oversized body is a deed of its own; what there is of it is still read.
        let readable = whole || (body.len() == CONTROL_MAX && self.half.header.length > CONTROL_MAX as u64);
        if readable {
            let parsed = close::parse(body);
            facts.code = parsed.code;
            facts.reason = String::from_utf8_lossy(parsed.reason).into_owned();
            facts.reason_valid = std::str::from_utf8(parsed.reason).is_ok() || !whole;
            facts.valid = whole && parsed.fault.is_none();
            if let Some((kind, detail)) = parsed.fault
                && (whole || kind == ViolationKind::CloseCodeIllegal)
            {
                self.violation(kind, detail);
            }
        }
        let code = facts.code;
        self.own.close = Some(Box::new(facts));
        code
    }

    // ── gaps ────────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn gap(&mut self, offset: u64, len: u64, cause: GapCause) {
        if self.half.position == UNKNOWN {
            self.half.position = offset;
        }
        // Never go back: what was seen was seen.
        let end = offset.saturating_add(len);
        let offset = self.half.position;
        let len = end.saturating_sub(offset);
        if len == 0 || self.half.phase == Phase::Ended {
            return;
        }
        self.half.position = end;
        let gaps = &mut self.own.unusual_mut().gaps;
        gaps.count += 1;
        gaps.bytes = gaps.bytes.saturating_add(len);
        gaps.first.get_or_insert(self.stamp);
        gaps.last = Some(self.stamp);
        match self.half.phase {
            Phase::Header => {
                self.own.unusual_mut().gaps.undecoded_bytes += u64::from(self.half.stash_len);
                self.lose();
            }
            Phase::Payload => self.payload_gap(len),
            Phase::Lost => {
                if let Some(proof) = self.half.resync.as_mut().and_then(|r| r.gap(self.stamp, offset, len, cause)) {
                    self.resynchronise(proof);
                }
            }
            Phase::Foreign => {
                if let Some(text) = &mut self.own.unusual_mut().foreign_text {
                    text.length = text.length.saturating_add(len);
                }
            }
            Phase::Ended => {}
        }
    }

    /// Wholly inside a frame: skip and stay in step. Beyond its end: the frame has passed, its successor is not known.
    fn payload_gap(&mut self, len: u64) {
        if self.half.header.control() {
            self.half.control.get_or_insert_default().missing = true;
        } else if !self.half.header.reserved() && self.half.message.open == Open::Yes {
            self.half.message.missing = true;
            self.opaque();
            if self.half.message.compressed {
                self.poison();
            }
        }
        let inside = len.min(self.half.remaining);
        self.half.remaining -= inside;
        if self.half.remaining == 0 {
            self.end_frame();
        }
        if len > inside {
            self.lose();
        }
    }

    /// The place of the next header is unknown.
    fn lose(&mut self) {
        self.half.phase = Phase::Lost;
        self.half.stash_len = 0;
        self.half.control = None;
        self.half.buffer.clear();
        self.release_buffer();
        self.half.message.open = Open::Unknown;
        self.half.message.check_text = false;
        self.half.message.collect = false;
        self.half.message.coding = Coding::Opaque;
        self.half.resync = None;
        let gaps = &mut self.own.unusual_mut().gaps;
        gaps.lost = true;
        gaps.times_lost += 1;
        self.poison();
        if let Some(pings) = &mut self.peer.keepalive {
            pings.answers_hidden();
        }
    }

    fn lost_data(&mut self, offset: u64, bytes: &[u8]) {
        self.own.unusual_mut().gaps.undecoded_bytes += bytes.len() as u64;
        let rules = Rules {
            masked: self.direction == Direction::ToServer,
            rsv1: self.context.deflate.is_some() || !self.context.extensions_known(),
        };
        let resync = self.half.resync.get_or_insert_with(|| Box::new(Resync::new(rules)));
        if let Some(proof) = resync.data(self.stamp, offset, bytes) {
            self.resynchronise(proof);
        }
    }

    /// In step again: decodes what was kept since the proof began.
    fn resynchronise(&mut self, proof: super::resync::Proof) {
        let Some(resync) = self.half.resync.take() else { return };
        let gaps = &mut self.own.unusual_mut().gaps;
        gaps.lost = false;
        gaps.resynchronised += 1;
        gaps.weakest_proof = Some(gaps.weakest_proof.map_or(proof.bits, |bits| bits.min(proof.bits)));
        gaps.first_resynchronised.get_or_insert(self.stamp);
        self.poison();
        self.half.phase = Phase::Header;
        let now = self.stamp;
        for (piece, bytes) in resync.since(proof.start) {
            self.stamp = piece.stamp;
            match piece.what {
                PieceKind::Data(_) => {
                    // Counted as undecoded when it came. What `run` cannot decode it counts again.
                    self.own.unusual_mut().gaps.undecoded_bytes -= bytes.len() as u64;
                    match self.half.phase {
                        Phase::Lost => self.lost_data(piece.offset, bytes),
                        _ => self.decode(bytes, Some(piece.stamp)),
                    }
                }
                PieceKind::Gap(cause) => match self.half.phase {
                    Phase::Payload => self.payload_gap(piece.len),
                    Phase::Header => self.lose(),
                    _ => {
                        let lost = self.half.resync.as_mut();
                        if let Some(proof) = lost.and_then(|r| r.gap(piece.stamp, piece.offset, piece.len, cause)) {
                            self.resynchronise(proof);
                        }
                    }
                },
            }
        }
        self.stamp = now;
    }

    // ── foreign text ────────────────────────────────────────────────────────────────────────────────────────────

    fn foreign_begin(&mut self, kind: ForeignKind, stamp: Stamp) {
        self.half.phase = Phase::Foreign;
        self.half.message.open = Open::Unknown;
        self.half.inflation = None;
        self.own.unusual_mut().foreign_text = Some(Box::new(ForeignText {
            kind,
            stamp,
            first: Vec::new(),
            length: 0,
            after_close: self.own.close.is_some(),
        }));
        if let Some(pings) = &mut self.peer.keepalive {
            pings.answers_hidden();
        }
    }

    fn foreign_more(&mut self, bytes: &[u8]) {
        if let Some(text) = &mut self.own.unusual_mut().foreign_text {
            text.length += bytes.len() as u64;
            let room = FOREIGN_TEXT_KEPT.saturating_sub(text.first.len()).min(bytes.len());
            text.first.extend_from_slice(&bytes[..room]);
        }
    }

    // ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn end(&mut self, end: End) {
        if self.own.end.is_some() {
            return;
        }
        self.own.end = Some((end, self.stamp));
        let last = self.own.last_bytes().unwrap_or(self.stamp);
        if self.half.phase == Phase::Lost
            && let Some(proof) = self.half.resync.as_ref().and_then(|resync| resync.end(self.half.position))
        {
            self.resynchronise(proof);
        }
        let header = self.half.header;
        let cut_frame = match self.half.phase {
            Phase::Payload => Some(CutFrame {
                opcode: Some(header.opcode()),
                declared: Some(header.length),
                received: header.length - self.half.remaining,
                first: self.half.first,
                last,
            }),
            Phase::Header if self.half.stash_len > 0 => Some(CutFrame {
                opcode: None,
                declared: None,
                received: u64::from(self.half.stash_len),
                first: self.half.first,
                last,
            }),
            _ => None,
        };
        if cut_frame.is_some() {
            self.own.unusual_mut().cut_frame = cut_frame;
        }
        let message = &self.half.message;
        if message.open == Open::Yes {
            let cut = self.half.phase == Phase::Payload && !header.control() && !header.reserved();
            self.own.unusual_mut().open_message = Some(OpenMessage {
                kind: message.kind,
                fragments: message.fragments - u64::from(cut),
                wire_length: message.wire_length - if cut { self.half.remaining } else { 0 },
                first: message.first,
            });
        }
        self.half.phase = Phase::Ended;
        self.half.inflation = None;
        self.half.resync = None;
        self.half.control = None;
        self.half.buffer = Vec::new();
    }

    fn violation(&mut self, kind: ViolationKind, detail: u64) {
        self.own.unusual_mut().violations.record(self.stamp, kind, detail);
    }
}

/// Unmasks piece by piece in a small buffer.
fn in_pieces(bytes: &[u8], key: [u8; 4], mut each: impl FnMut(&[u8])) {
    const SMALL: usize = 256;
    if bytes.len() <= SMALL {
        let mut plain = [0; SMALL];
        mask::unmask(bytes, key, &mut plain[..bytes.len()]);
        return each(&plain[..bytes.len()]);
    }
    let mut plain = [0; UNMASK_PIECE];
    for piece in bytes.chunks(UNMASK_PIECE) {
        mask::unmask(piece, key, &mut plain[..piece.len()]);
        each(&plain[..piece.len()]);
    }
}
