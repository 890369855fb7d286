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
//!            └ HTTP, HTML, JSON … ─► Foreign (final)
//! ```

use super::close;
use super::event::{Frame, Message, MessageKind, MessageStart, Sink, TAP_BYTES, opcode};
use super::facts::{
    CloseFacts, CutFrame, DirectionFacts, FOREIGN_TEXT_KEPT, ForeignKind, ForeignText, LastMessage, OpenMessage,
};
use super::foreign::{self, Recognition};
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

/// What both directions share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub deflate: Option<Deflate>,
    pub mid_stream: bool,
    pub interest: Interest,
}

impl Context {
    /// Whether the extensions in use are known.
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

/// What a frame's payload is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Skip,
    Control,
    Message,
}

/// Whether a data message is open (RFC 6455 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    No,
    Yes,
    /// Perhaps: its beginning may lie in a gap.
    Unknown,
}

/// How the payload of a message is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Deflate,
    /// Unknown: bytes or history are missing, or an extension is in use that was not negotiated.
    Opaque,
}

struct MessageState {
    open: Open,
    /// It interrupted another message: what follows it is uncertain.
    interrupting: bool,
    kind: MessageKind,
    compressed: bool,
    coding: Coding,
    /// Text that was valid UTF-8 so far.
    check_text: bool,
    /// It was inflated with the help of earlier messages, which its sender had promised not to refer to.
    promise_broken: bool,
    /// How many of its first bytes are collected for the sink.
    collect: u32,
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

/// Decoding state of one direction.
pub(super) struct DirectionState {
    phase: Phase,
    need: Need,
    /// A frame of this direction had the mask bit that it must have.
    mask_right: bool,
    /// Messages may refer to earlier ones: that was not excluded by agreement, or the agreement was broken.
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

impl DirectionState {
    pub(super) fn new(direction: Direction, context: &Context) -> Self {
        DirectionState {
            phase: if context.mid_stream { Phase::Lost } else { Phase::Header },
            need: Need::Skip,
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
                interrupting: false,
                kind: MessageKind::Binary,
                compressed: false,
                coding: Coding::Plain,
                check_text: false,
                promise_broken: false,
                collect: 0,
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

    pub(super) fn prefetch(&self) -> u64 {
        self.position ^ self.message.length
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
            + self.control.as_ref().map_or(0, |control| control.bytes.capacity())
            + self.inflation.as_ref().map_or(0, |inflation| inflation.memory())
            + self.resync.as_ref().map_or(0, |resync| resync.memory())
    }

    /// Whether more bytes of the open message are to be collected.
    fn collects(&self) -> bool {
        self.buffer.len() < self.message.collect as usize
    }

    pub(super) fn holds_window(&self) -> bool {
        self.inflation.is_some()
    }

    /// Frees memory that an idle direction does not need.
    pub(super) fn shrink(&mut self) {
        if self.message.open == Open::No && self.phase != Phase::Payload {
            self.buffer = Vec::new();
            if let Some(inflation) = &mut self.inflation {
                inflation.shrink();
            }
        }
    }
}

/// Decodes one event of one direction.
pub(super) struct Decoder<'a, S> {
    pub state: &'a mut DirectionState,
    /// Facts about this direction's sender.
    pub own: &'a mut DirectionFacts,
    /// Facts about the other side.
    pub peer: &'a mut DirectionFacts,
    pub context: &'a Context,
    pub direction: Direction,
    pub stamp: Stamp,
    pub sink: &'a mut S,
}

impl<S: Sink> Decoder<'_, S> {
    pub(super) fn data(&mut self, offset: u64, mut bytes: &[u8]) {
        if self.state.position == UNKNOWN {
            self.state.position = offset;
        }
        let position = self.state.position;
        if offset > position {
            // Missing bytes that were not announced as a gap.
            self.gap(position, offset - position, GapCause::BufferLimit);
        } else if offset < position {
            let again = (position - offset).min(bytes.len() as u64);
            bytes = &bytes[again as usize..];
        }
        if bytes.is_empty() {
            return;
        }
        let offset = self.state.position;
        self.state.position = offset + bytes.len() as u64;
        let before = self.own.last_bytes();
        self.own.last_bytes = self.stamp.into();
        match self.state.phase {
            Phase::Header | Phase::Payload => self.decode(bytes, before),
            Phase::Lost => self.lost_data(offset, bytes),
            Phase::Foreign => self.foreign_bytes(bytes),
            Phase::Ended => {}
        }
    }

    #[inline(always)]
    fn decode(&mut self, mut bytes: &[u8], before: Option<Stamp>) {
        if self.state.stash_len > 0 {
            bytes = self.decode_stashed(bytes, before);
        }
        self.run(bytes);
    }

    /// Continues stashed headers until none is stashed; returns what is left.
    #[inline(never)]
    fn decode_stashed<'b>(&mut self, mut bytes: &'b [u8], before: Option<Stamp>) -> &'b [u8] {
        while self.state.stash_len > 0 && self.state.phase == Phase::Header && !bytes.is_empty() {
            bytes = self.decode_stash(bytes, before.unwrap_or(self.stamp));
        }
        bytes
    }

    /// Continues a header of which some bytes are stashed; returns what is left.
    fn decode_stash<'b>(&mut self, bytes: &'b [u8], before: Stamp) -> &'b [u8] {
        let old = usize::from(self.state.stash_len);
        let mut joined = self.state.stash;
        let take = bytes.len().min(HEADER_MAX - old);
        joined[old..old + take].copy_from_slice(&bytes[..take]);
        let both = &joined[..old + take];
        if foreign::may_begin(both[0]) {
            match foreign::recognise(both) {
                Recognition::Known(kind) => {
                    self.state.stash_len = 0;
                    self.foreign_begin(kind, self.state.first);
                    self.foreign_bytes(&joined[..old]);
                    self.foreign_bytes(bytes);
                    return &[];
                }
                Recognition::Undecided => {
                    self.state.stash = joined;
                    self.state.stash_len += take as u8;
                    return &bytes[take..];
                }
                Recognition::No => {}
            }
        }
        let Some(header) = Header::parse(both) else {
            self.state.stash = joined;
            self.state.stash_len += take as u8;
            return &bytes[take..];
        };
        self.state.stash_len = 0;
        let size = usize::from(header.size);
        if size >= old {
            let first = self.state.first;
            self.begin_frame(header, first);
            let rest = &bytes[size - old..];
            if self.state.phase == Phase::Lost {
                self.own.unusual_mut().gaps.undecoded_bytes += rest.len() as u64;
                return &[];
            }
            return rest;
        }
        // The header was whole before: it was stashed because it might have been foreign text.
        let now = std::mem::replace(&mut self.stamp, before);
        let first = self.state.first;
        self.begin_frame(header, first);
        if self.state.phase == Phase::Lost {
            self.own.unusual_mut().gaps.undecoded_bytes += (old - size) as u64;
        } else {
            self.run(&joined[size..old]);
        }
        self.stamp = now;
        if self.state.phase == Phase::Lost {
            self.own.unusual_mut().gaps.undecoded_bytes += bytes.len() as u64;
            return &[];
        }
        bytes
    }

    /// Decodes bytes from the current phase on.
    fn run(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state.phase {
                Phase::Header => {
                    if let Some(rest) = self.whole_message(bytes) {
                        bytes = rest;
                        continue;
                    }
                    if foreign::may_begin(bytes[0]) {
                        match foreign::recognise(bytes) {
                            Recognition::Known(kind) => {
                                self.foreign_begin(kind, self.stamp);
                                self.foreign_bytes(bytes);
                                return;
                            }
                            Recognition::Undecided => return self.stash_header(bytes),
                            Recognition::No => {}
                        }
                    }
                    let Some(header) = Header::parse(bytes) else { return self.stash_header(bytes) };
                    bytes = &bytes[usize::from(header.size)..];
                    self.begin_frame(header, self.stamp);
                }
                Phase::Payload => {
                    let take = self.state.remaining.min(bytes.len() as u64) as usize;
                    let (payload, rest) = bytes.split_at(take);
                    bytes = rest;
                    if self.state.need == Need::Control
                        && take as u64 == self.state.header.length
                        && take <= CONTROL_MAX
                    {
                        self.whole_control(payload);
                        continue;
                    }
                    self.payload(payload);
                    self.state.remaining -= take as u64;
                    if self.state.remaining == 0 {
                        self.end_frame();
                    }
                }
                Phase::Lost => {
                    self.own.unusual_mut().gaps.undecoded_bytes += bytes.len() as u64;
                    return;
                }
                Phase::Foreign => return self.foreign_bytes(bytes),
                Phase::Ended => return,
            }
        }
    }

    /// Stashes the beginning of a header until the next packet.
    fn stash_header(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(HEADER_MAX);
        self.state.stash[..length].copy_from_slice(&bytes[..length]);
        self.state.stash_len = length as u8;
        self.state.first = self.stamp;
    }

    /// The fast path: an unfragmented, uncompressed data frame, whole in this packet, while no message is open and no
    /// Close was sent. All others take the general path, with the same result.
    #[inline(always)]
    fn whole_message<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let masked = self.direction == Direction::ToServer;
        if first | 3 != 0x83 || (second & 0x80 != 0) != masked || self.state.message.open != Open::No {
            return None;
        }
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        // Not Header::parse, which branches on what is known here: 4 % more instructions on short frames.
        let form = second & 0x7F;
        let (length, rest) = match form {
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
        let size = (bytes.len() - payload.len() - rest.len()) as u8;
        let header = Header { first, size, form, masked, key, length: length as u64 };
        self.state.mask_right = true;
        if kind == MessageKind::Text {
            if !mask::is_ascii(payload, header.key) {
                self.whole_text(payload, masked.then_some(header.key));
            }
            self.own.text += 1;
        } else {
            self.own.binary += 1;
        }
        self.count_frame(&header);
        self.count_message(kind, header.length, Some(header.length));
        if self.context.interest.frames {
            self.emit_frame(&header, self.stamp, None);
        }
        if self.context.interest.messages {
            self.emit_whole_message(kind, payload, masked.then_some(header.key));
        }
        if self.sink.taps() {
            self.tap_whole_message(kind, payload, masked.then_some(header.key));
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

    fn emit_whole_message(&mut self, kind: MessageKind, payload: &[u8], key: Option<[u8; 4]>) {
        let limit = self.context.interest.payload_bytes();
        let shown = &payload[..payload.len().min(limit)];
        let shown = match key {
            Some(key) => {
                self.state.buffer.clear();
                self.state.buffer.extend_from_slice(shown);
                mask::unmask_in_place(&mut self.state.buffer, key);
                &self.state.buffer
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

    #[inline(never)]
    fn tap_whole_message(&mut self, kind: MessageKind, payload: &[u8], key: Option<[u8; 4]>) {
        let mut plain = [0; TAP_BYTES];
        let mut bytes = &payload[..payload.len().min(TAP_BYTES)];
        if let Some(key) = key {
            let plain = &mut plain[..bytes.len()];
            mask::unmask(bytes, key, plain);
            bytes = plain;
        }
        let length = Some(payload.len() as u64);
        self.sink.message_start(&MessageStart { direction: self.direction, kind, length, bytes, first: self.stamp });
    }

    fn release_buffer(&mut self) {
        if self.state.buffer.capacity() > BUFFER_KEPT {
            self.state.buffer = Vec::new();
        }
    }

    // ── headers ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn begin_frame(&mut self, header: Header, first: Stamp) {
        if !self.check_header(&header) {
            self.own.unusual_mut().gaps.undecoded_bytes += u64::from(header.size);
            return self.lose_sync();
        }
        self.state.first = first;
        self.state.header = header;
        self.state.remaining = header.length;
        self.state.need = if header.control() {
            Need::Control
        } else if header.reserved() {
            Need::Skip
        } else {
            self.begin_data(&header, first)
        };
        self.state.phase = Phase::Payload;
        if header.length == 0 {
            if self.state.need == Need::Control {
                self.whole_control(&[]);
            } else {
                self.end_frame();
            }
        }
    }

    /// Checks a header against the rules. False: these bytes are no header.
    fn check_header(&mut self, header: &Header) -> bool {
        let to_server = self.direction == Direction::ToServer;
        let mask_right = header.masked == to_server;
        let plain = header.rsv() == 0 && header.fin() && !header.reserved();
        if plain && mask_right && header.minimal() && !header.high_bit() && (!header.control() || header.length <= 125)
        {
            self.state.mask_right = true;
        } else if !self.check_unusual_header(header, mask_right) {
            return false;
        }
        let (opcode, data) = (header.opcode(), !header.control());
        if self.own.close.is_some() {
            // §5.5.1: after sending a Close frame, the application must not send any more data frames.
            let kind = if data { ViolationKind::DataAfterClose } else { ViolationKind::FrameAfterClose };
            self.violation(kind, u64::from(opcode));
        }
        match (opcode, self.state.message.open) {
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

    /// Checks the rules that a header can break by itself. Two independent breaches mean that it is no header at all:
    /// its sender is not sending frames here.
    fn check_unusual_header(&mut self, header: &Header, mask_right: bool) -> bool {
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
            // A sender that never gets it right may break other rules too and still send frames.
            note(kind, opcode, self.state.mask_right);
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
        self.state.mask_right |= mask_right;
        if fragmented_control && self.state.message.open == Open::No {
            // Its further fragments belong to this violation; they are no orphans.
            self.state.message.open = Open::Unknown;
        }
        !header.high_bit()
    }

    /// Begins a data frame; returns what its payload is needed for.
    fn begin_data(&mut self, header: &Header, first: Stamp) -> Need {
        if header.opcode() != opcode::CONTINUATION {
            self.begin_message(header, first);
        }
        let collects = self.state.collects();
        let message = &mut self.state.message;
        if message.open == Open::Yes {
            message.wire_length = message.wire_length.saturating_add(header.length);
            message.fragments += 1;
        }
        let examined = message.check_text || collects || message.coding == Coding::Deflate;
        if message.open == Open::Yes && examined && message.coding != Coding::Opaque {
            Need::Message
        } else {
            Need::Skip
        }
    }

    fn begin_message(&mut self, header: &Header, first: Stamp) {
        let interrupting = self.state.message.open == Open::Yes;
        if interrupting {
            self.state.message.missing = true;
            self.emit_message();
            if self.state.message.compressed {
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
            let takeover = self.state.takeover;
            self.state.inflation.get_or_insert_with(|| Box::new(Inflation::new(takeover))).begin();
            Coding::Deflate
        };
        let kind = if header.opcode() == opcode::TEXT { MessageKind::Text } else { MessageKind::Binary };
        let tapped = if self.sink.taps() { TAP_BYTES } else { 0 };
        let wanted = self.context.interest.payload_bytes().max(tapped);
        self.state.buffer.clear();
        self.state.message = MessageState {
            open: Open::Yes,
            interrupting,
            kind,
            compressed,
            coding,
            check_text: kind == MessageKind::Text && coding != Coding::Opaque,
            promise_broken: false,
            collect: if coding == Coding::Opaque { 0 } else { wanted as u32 },
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
        match self.state.need {
            Need::Skip => {}
            Need::Control => {
                let header = self.state.header;
                let done = header.length - self.state.remaining;
                let body = self.state.control.get_or_insert_default();
                let room = CONTROL_MAX.saturating_sub(body.bytes.len());
                let at = body.bytes.len();
                body.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
                mask::unmask_in_place(&mut body.bytes[at..], mask::rotated(header.key, done));
            }
            Need::Message => {
                let header = self.state.header;
                let collects = self.state.collects();
                let message = &mut self.state.message;
                if message.coding == Coding::Plain && !message.check_text && !collects {
                    // The rest of it is wanted by nobody.
                    self.state.need = Need::Skip;
                    return;
                }
                if !header.masked {
                    return self.message_bytes(bytes);
                }
                let key = mask::rotated(header.key, header.length - self.state.remaining);
                let message = &mut self.state.message;
                let ascii_only = message.coding == Coding::Plain && !collects;
                if ascii_only && mask::is_ascii(bytes, key) && message.utf8.skip_ascii(bytes.len()) {
                    message.length += bytes.len() as u64;
                    return;
                }
                in_pieces(bytes, key, |piece| self.message_bytes(piece));
            }
        }
    }

    fn message_bytes(&mut self, bytes: &[u8]) {
        match self.state.message.coding {
            Coding::Plain => self.plain(bytes),
            Coding::Deflate => self.inflate(Some(bytes)),
            Coding::Opaque => {}
        }
    }

    /// Takes bytes of the message itself.
    fn plain(&mut self, bytes: &[u8]) {
        let message = &mut self.state.message;
        message.length += bytes.len() as u64;
        let room = (message.collect as usize).saturating_sub(self.state.buffer.len()).min(bytes.len());
        self.state.buffer.extend_from_slice(&bytes[..room]);
        if message.check_text
            && let Err(valid) = message.utf8.feed(bytes)
        {
            message.check_text = false;
            // §8.1: a text message that is not UTF-8 must fail the connection.
            self.violation(ViolationKind::InvalidUtf8, valid);
        }
    }

    /// Inflates more of a compressed message, or (`None`) ends it.
    fn inflate(&mut self, bytes: Option<&[u8]>) {
        let Some(mut inflation) = self.state.inflation.take() else { return };
        let result = match bytes {
            Some(bytes) => inflation.feed(bytes, &mut |out| self.plain(out)),
            None => inflation.finish(&mut |out| self.plain(out)),
        };
        let Err(fault) = result else {
            self.state.inflation = Some(inflation);
            return;
        };
        let certain = self.own.unusual().gaps.times_lost == 0;
        let wire = self.state.message.wire_length;
        if fault == Fault::Corrupt && inflation.can_retry() {
            let message = &mut self.state.message;
            message.promise_broken = true;
            message.utf8 = Utf8::default();
            message.length = 0;
            self.state.buffer.clear();
            let again = inflation.retry(&mut |out| self.plain(out)).and_then(|()| match bytes {
                Some(_) => Ok(()),
                None => inflation.finish(&mut |out| self.plain(out)),
            });
            if again.is_ok() {
                self.state.inflation = Some(inflation);
                return;
            }
        }
        match fault {
            Fault::Limit => self.own.compression_mut().limit_hits += 1,
            Fault::Corrupt if certain => {
                self.own.compression_mut().failures += 1;
                self.violation(ViolationKind::InflateFailed, wire);
            }
            Fault::Corrupt | Fault::WindowLost => {}
        }
        self.state.inflation = Some(inflation);
        self.state.buffer.clear();
        self.make_opaque();
        self.poison();
    }

    /// Gives up decoding the open message. What was collected of it is its beginning.
    fn make_opaque(&mut self) {
        let message = &mut self.state.message;
        message.coding = Coding::Opaque;
        message.check_text = false;
        message.collect = 0;
        if self.state.need == Need::Message {
            self.state.need = Need::Skip;
        }
    }

    /// Notes that history which later compressed messages may refer to is missing.
    fn poison(&mut self) {
        if let Some(inflation) = &mut self.state.inflation {
            inflation.abandon();
        }
        if self.state.takeover {
            self.own.compression_mut().poisoned.get_or_insert(self.stamp);
            self.state.inflation = None;
        }
    }

    /// Handles a control frame whose payload is whole in one packet.
    fn whole_control(&mut self, payload: &[u8]) {
        let mut body = [0; CONTROL_MAX];
        let body = &mut body[..payload.len()];
        mask::unmask(payload, self.state.header.key, body);
        let code = self.control(body, true);
        self.finish_frame(code);
    }

    // ── ends of frames and messages ─────────────────────────────────────────────────────────────────────────────

    fn end_frame(&mut self) {
        let mut code = None;
        if self.state.need == Need::Control {
            let body = self.state.control.take().unwrap_or_default();
            let whole = !body.missing && body.bytes.len() as u64 == self.state.header.length;
            code = self.control(&body.bytes, whole);
        }
        self.finish_frame(code);
    }

    fn finish_frame(&mut self, close_code: Option<u16>) {
        let header = self.state.header;
        let own = &mut *self.own;
        match header.opcode() {
            opcode::CONTINUATION => own.continuation += 1,
            opcode::TEXT => own.text += 1,
            opcode::BINARY => own.binary += 1,
            opcode::CLOSE => own.closes += 1,
            opcode::PING => own.ping += 1,
            opcode::PONG => own.pong += 1,
            _ => own.unusual_mut().unknown += 1,
        }
        self.count_frame(&header);
        self.state.phase = Phase::Header;
        if self.context.interest.frames {
            self.emit_frame(&header, self.state.first, close_code);
        }
        if !header.control() && !header.reserved() && header.fin() {
            self.end_message();
        }
    }

    /// Counts a frame that has passed.
    #[inline(always)]
    fn count_frame(&mut self, header: &Header) {
        let own = &mut *self.own;
        own.frames += 1;
        own.payload_bytes = own.payload_bytes.saturating_add(header.length);
        own.first_frame.get_or_insert(self.stamp);
        if header.masked && header.length > 0 {
            own.masks.note(header.key);
        }
    }

    /// Counts a message that has passed.
    #[inline(always)]
    fn count_message(&mut self, kind: MessageKind, wire_length: u64, length: Option<u64>) {
        let own = &mut *self.own;
        own.messages += 1;
        own.largest_message = own.largest_message.max(wire_length);
        own.last_message = Some(LastMessage { kind, wire_length, length, stamp: self.stamp });
    }

    #[inline(always)]
    fn emit_frame(&mut self, header: &Header, first: Stamp, close_code: Option<u16>) {
        self.sink.frame(&Frame {
            direction: self.direction,
            first,
            last: self.stamp,
            fin: header.fin(),
            rsv: header.rsv(),
            opcode: header.opcode(),
            mask: header.masked.then_some(header.key),
            header_length: header.size,
            length: header.length,
            close_code,
        });
    }

    fn end_message(&mut self) {
        if self.state.message.open == Open::Yes {
            if self.state.message.coding == Coding::Deflate {
                self.inflate(None);
            }
            if self.state.message.promise_broken && self.state.message.coding == Coding::Deflate {
                // RFC 7692 §7.1.1: after no_context_takeover was agreed, messages must not refer to earlier ones. This
                // one inflated to the end that way, so its sender does, and what follows is decoded accordingly.
                self.violation(ViolationKind::ContextTakeoverViolated, self.state.message.wire_length);
                self.state.takeover = true;
            }
            let message = &mut self.state.message;
            if message.check_text
                && let Err(valid) = message.utf8.finish()
            {
                self.violation(ViolationKind::InvalidUtf8, valid);
            }
            self.emit_message();
        }
        let interrupting = self.state.message.open == Open::Yes && self.state.message.interrupting;
        self.state.message.open = if interrupting { Open::Unknown } else { Open::No };
    }

    /// Counts the open message and passes it to the sink.
    fn emit_message(&mut self) {
        let message = &self.state.message;
        let (kind, wire_length) = (message.kind, message.wire_length);
        let known = !message.missing && message.coding != Coding::Opaque;
        // A plain message is as long as its frames, examined or not.
        let length = known.then_some(if message.compressed { message.length } else { wire_length });
        self.count_message(kind, wire_length, length);
        let (message, own) = (&self.state.message, &mut *self.own);
        if message.missing {
            own.unusual_mut().incomplete_messages += 1;
        }
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
            let limit = self.context.interest.payload_bytes();
            let shown = &self.state.buffer[..self.state.buffer.len().min(limit)];
            self.sink.message(&Message {
                direction: self.direction,
                kind: message.kind,
                compressed: message.compressed,
                fragments: message.fragments,
                wire_length: message.wire_length,
                length,
                payload: (known && limit > 0).then_some(shown),
                truncated: limit > 0 && length.is_some_and(|length| length > limit as u64),
                first: message.first,
                last: self.stamp,
                complete: !message.missing,
            });
        }
        // Of a plain message that was cut, the beginning is shown if there is one.
        let has_start = known || (!message.compressed && !self.state.buffer.is_empty());
        if has_start && self.sink.taps() {
            let (kind, first) = (message.kind, message.first);
            let bytes = &self.state.buffer[..self.state.buffer.len().min(TAP_BYTES)];
            self.sink.message_start(&MessageStart { direction: self.direction, kind, length, bytes, first });
        }
        self.release_buffer();
    }

    /// Handles the end of a control frame. `whole`: `body` is all of its payload. Returns the code of a Close.
    fn control(&mut self, body: &[u8], whole: bool) -> Option<u16> {
        let stamp = self.stamp;
        match self.state.header.opcode() {
            opcode::CLOSE => return self.close(body, whole),
            opcode::PING => {
                let hidden = self.peer.unusual().gaps.lost;
                let keepalive = self.own.keepalive.get_or_insert_default();
                if whole {
                    keepalive.ping(stamp, body, hidden);
                } else {
                    keepalive.note_ping(stamp);
                    keepalive.payload_missed = true;
                }
            }
            opcode::PONG => {
                self.own.keepalive.get_or_insert_default().note_pong(stamp);
                // A gap may hide the Ping that this answers.
                let missed = self.peer.keepalive.as_ref().is_some_and(|pings| pings.payload_missed);
                let certain = self.peer.unusual().gaps.times_lost == 0 && !missed;
                let answer = match &mut self.peer.keepalive {
                    Some(pings) if whole => pings.answer(stamp, body),
                    Some(pings) => {
                        pings.hide_answers();
                        Answer::Again
                    }
                    None => Answer::Unsolicited,
                };
                if answer == Answer::Mismatched && certain {
                    self.own.keepalive.get_or_insert_default().mismatched_pongs += 1;
                }
            }
            _ => {}
        }
        None
    }

    fn close(&mut self, body: &[u8], whole: bool) -> Option<u16> {
        let stamp = self.stamp;
        if self.own.close.is_some() {
            // Its code goes with the frame; its body is not checked, since sending it is a violation already.
            return if whole { close::parse(body).code } else { None };
        }
        let mut facts = CloseFacts {
            stamp,
            code: None,
            reason: String::new(),
            reason_valid: true,
            length: self.state.header.length,
            captured: whole,
            valid: whole,
            first_for_certain: self.own.unusual().gaps.times_lost == 0,
        };
        // An oversized body is a violation of its own; the part that was kept is still parsed.
        let readable = whole || (body.len() == CONTROL_MAX && self.state.header.length > CONTROL_MAX as u64);
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
        if self.state.position == UNKNOWN {
            self.state.position = offset;
        }
        // A gap cannot cover bytes that were seen already.
        let end = offset.saturating_add(len);
        let offset = self.state.position;
        let len = end.saturating_sub(offset);
        if len == 0 || self.state.phase == Phase::Ended {
            return;
        }
        self.state.position = end;
        let gaps = &mut self.own.unusual_mut().gaps;
        gaps.count += 1;
        gaps.bytes = gaps.bytes.saturating_add(len);
        gaps.first.get_or_insert(self.stamp);
        gaps.last = Some(self.stamp);
        match self.state.phase {
            Phase::Header => {
                self.own.unusual_mut().gaps.undecoded_bytes += u64::from(self.state.stash_len);
                self.lose_sync();
            }
            Phase::Payload => self.payload_gap(len),
            Phase::Lost => {
                if let Some(start) = self.state.resync.as_mut().and_then(|r| r.gap(self.stamp, offset, len, cause)) {
                    self.resynchronise(start);
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

    /// Skips a gap inside a frame. If it reaches beyond the frame's end, the next header is not known.
    fn payload_gap(&mut self, len: u64) {
        if self.state.header.control() {
            self.state.control.get_or_insert_default().missing = true;
        } else if !self.state.header.reserved() && self.state.message.open == Open::Yes {
            self.state.message.missing = true;
            self.make_opaque();
            if self.state.message.compressed {
                self.poison();
            }
        }
        let inside = len.min(self.state.remaining);
        self.state.remaining -= inside;
        if self.state.remaining == 0 {
            self.end_frame();
        }
        if len > inside {
            self.lose_sync();
        }
    }

    /// Enters the state in which the place of the next header is unknown.
    fn lose_sync(&mut self) {
        self.state.phase = Phase::Lost;
        self.state.stash_len = 0;
        self.state.control = None;
        self.state.buffer.clear();
        self.release_buffer();
        self.state.message.open = Open::Unknown;
        self.state.message.check_text = false;
        self.state.message.collect = 0;
        self.state.message.coding = Coding::Opaque;
        self.state.resync = None;
        let gaps = &mut self.own.unusual_mut().gaps;
        gaps.lost = true;
        gaps.times_lost += 1;
        self.poison();
        if let Some(pings) = &mut self.peer.keepalive {
            pings.hide_answers();
        }
    }

    fn lost_data(&mut self, offset: u64, bytes: &[u8]) {
        self.own.unusual_mut().gaps.undecoded_bytes += bytes.len() as u64;
        let rules = Rules {
            masked: self.direction == Direction::ToServer,
            rsv1: self.context.deflate.is_some() || !self.context.extensions_known(),
        };
        let resync = self.state.resync.get_or_insert_with(|| Box::new(Resync::new(rules)));
        if let Some(start) = resync.data(self.stamp, offset, bytes) {
            self.resynchronise(start);
        }
    }

    /// Returns to decoding, beginning with the bytes kept since the proof began.
    fn resynchronise(&mut self, start: u64) {
        let Some(resync) = self.state.resync.take() else { return };
        let gaps = &mut self.own.unusual_mut().gaps;
        gaps.lost = false;
        gaps.resynchronised += 1;
        self.poison();
        self.state.phase = Phase::Header;
        let now = self.stamp;
        for (piece, bytes) in resync.since(start) {
            self.stamp = piece.stamp;
            match piece.kind {
                PieceKind::Data(_) => {
                    // Counted as undecoded on arrival; what `run` cannot decode is counted again.
                    self.own.unusual_mut().gaps.undecoded_bytes -= bytes.len() as u64;
                    match self.state.phase {
                        Phase::Lost => self.lost_data(piece.offset, bytes),
                        _ => self.decode(bytes, Some(piece.stamp)),
                    }
                }
                PieceKind::Gap(cause) => match self.state.phase {
                    Phase::Payload => self.payload_gap(piece.len),
                    Phase::Header => self.lose_sync(),
                    _ => {
                        let lost = self.state.resync.as_mut();
                        if let Some(start) = lost.and_then(|r| r.gap(piece.stamp, piece.offset, piece.len, cause)) {
                            self.resynchronise(start);
                        }
                    }
                },
            }
        }
        self.stamp = now;
    }

    // ── foreign text ────────────────────────────────────────────────────────────────────────────────────────────

    fn foreign_begin(&mut self, kind: ForeignKind, stamp: Stamp) {
        self.state.phase = Phase::Foreign;
        self.state.message.open = Open::Unknown;
        self.state.inflation = None;
        self.own.unusual_mut().foreign_text = Some(Box::new(ForeignText {
            kind,
            stamp,
            first: Vec::new(),
            length: 0,
            after_close: self.own.close.is_some(),
        }));
        if let Some(pings) = &mut self.peer.keepalive {
            pings.hide_answers();
        }
    }

    fn foreign_bytes(&mut self, bytes: &[u8]) {
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
        if self.state.phase == Phase::Lost
            && let Some(start) = self.state.resync.as_ref().and_then(|resync| resync.end(self.state.position))
        {
            self.resynchronise(start);
        }
        let header = self.state.header;
        let cut_frame = match self.state.phase {
            Phase::Payload => Some(CutFrame {
                opcode: Some(header.opcode()),
                declared: Some(header.length),
                received: header.length - self.state.remaining,
                first: self.state.first,
                last,
            }),
            Phase::Header if self.state.stash_len > 0 => Some(CutFrame {
                opcode: None,
                declared: None,
                received: u64::from(self.state.stash_len),
                first: self.state.first,
                last,
            }),
            _ => None,
        };
        if cut_frame.is_some() {
            self.own.unusual_mut().cut_frame = cut_frame;
        }
        let message = &self.state.message;
        if message.open == Open::Yes {
            let cut = self.state.phase == Phase::Payload && !header.control() && !header.reserved();
            self.own.unusual_mut().open_message = Some(OpenMessage {
                kind: message.kind,
                fragments: message.fragments - u64::from(cut),
                wire_length: message.wire_length - if cut { self.state.remaining } else { 0 },
                first: message.first,
            });
        }
        self.state.phase = Phase::Ended;
        self.state.inflation = None;
        self.state.resync = None;
        self.state.control = None;
        self.state.buffer = Vec::new();
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
