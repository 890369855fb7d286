//! One TLS connection, observed: walks records, reads what is in plaintext, opens what there are keys for.
//!
//! ```text
//!   StreamEvent ─► Reader (per direction): header, body ─┬─ skipped by arithmetic
//!                                                        ├─ plaintext: handshake, alert
//!                                                        └─ Channel: opened ─► handshake, alert, application data ─► out
//! ```

use smallvec::SmallVec;

use super::channel::{Channel, Loss, Session, Stage};
use super::facts::{
    Alert, AlertVisibility, ClientHello, MAX_FIRST_RECORDS, MAX_NOT_TLS_BYTES, NotTls, RecordMark, TlsFacts, Version,
};
use super::handshake::{self, Assembler, Piece, kind};
use super::keylog::KeyLog;
use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_LEN, Header, find, starts_header};
use super::suite::Parameters;
use super::{UNKNOWN_GAP, alert};
use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};

/// Record headers that must chain on before a place found after missing bytes counts as a record border
/// (without keys; with keys a record must authenticate).
const LINKS: u8 = 3;
/// 0-RTT data held back until the server is seen to accept it, in bytes.
const MAX_EARLY_DATA: usize = 64 * 1024;

/// Whether bytes are TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// More bytes are needed to tell.
    Maybe,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// At a record border, in a header or in a body.
    #[default]
    InStep,
    /// Bytes were missing, and the next record border is not known.
    Lost,
    /// What comes is no TLS.
    Foreign,
}

/// One direction's bytes.
#[derive(Debug, Default)]
struct Reader {
    place: Place,
    /// Bytes of the stream so far, missing ones included.
    position: u64,
    header: [u8; HEADER_LEN],
    header_len: u8,
    /// The record whose body is under way, if `in_body`.
    current: Header,
    in_body: bool,
    /// Bytes of the body still to come.
    remaining: usize,
    /// Position of the current record's first byte.
    record_start: u64,
    /// The body is collected in `buffer`.
    keep: bool,
    /// Bytes of the body are missing.
    holed: bool,
    /// Headers still to chain on before the place is trusted.
    unproven: u8,
    /// The body under way, then scratch space for opening it: never more than one record.
    buffer: Vec<u8>,
    handshake: Assembler,
    /// TLS 1.2 and below: ChangeCipherSpec went by.
    protected: bool,
    channel: Channel,
    /// Position up to which every record was opened or was in plaintext.
    opened_until: u64,
    gap_cause: Option<GapCause>,
    /// Plaintext handed out so far, in bytes.
    plain_offset: u64,
    /// Plaintext is missing before the next byte handed out: so many bytes.
    plain_gap: u64,
    /// Protected records stayed closed, or bytes were missing, since the last record that opened.
    plain_missing: bool,
    /// Records opened.
    opened_records: u32,
    /// The end was handed out.
    plain_ended: bool,
}

/// 0-RTT data, not handed out before the server has accepted it: otherwise the client sends it once more.
#[derive(Debug)]
struct EarlyData {
    stamp: Stamp,
    bytes: Vec<u8>,
    overflow: bool,
}

/// An observer of one TLS connection.
#[derive(Debug, Default)]
pub struct Tls {
    facts: TlsFacts,
    session: Session,
    readers: [Reader; 2],
    client_session_id: SmallVec<[u8; 32]>,
    /// Pieces of the client's stream until its ClientHello was complete, and where the first one was.
    hello_pieces: u32,
    hello_begun: Option<Stamp>,
    /// The client's first bytes, for a ClientHello that never gets complete, are in its reader.
    early: Option<EarlyData>,
    spare: Vec<u8>,
}

/// A record, or what is left of one.
enum Body<'a> {
    /// All of it, where the packet holds it.
    Borrowed(&'a [u8]),
    /// All of it, in the reader's buffer.
    Buffered(Vec<u8>),
    /// Passed over: nobody needs it.
    Skipped,
    /// Bytes of it are missing.
    Holed,
}

impl Tls {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a client's first bytes begin a ClientHello.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Sniff {
        let fits = |index: usize, test: fn(u8) -> bool| bytes.get(index).is_none_or(|&byte| test(byte));
        let hello = fits(0, |byte| byte == HANDSHAKE) && starts_header(&bytes[..bytes.len().min(HEADER_LEN)]);
        if !hello || !fits(5, |byte| byte == kind::CLIENT_HELLO) {
            Sniff::No
        } else if bytes.len() <= HEADER_LEN {
            Sniff::Maybe
        } else {
            Sniff::Yes
        }
    }

    /// Whether bytes from the middle of a stream, in either direction, begin at a TLS record. A whole record
    /// that ends with the bytes, or one that is followed by another, says yes; a first header alone, maybe.
    #[must_use]
    pub fn sniff_midstream(bytes: &[u8]) -> Sniff {
        let mut rest = bytes;
        let mut records = 0;
        loop {
            let Some(header) = rest.first_chunk::<HEADER_LEN>() else {
                return match (starts_header(rest), records) {
                    (true, 1..) => Sniff::Yes,
                    (true, 0) => Sniff::Maybe,
                    _ => Sniff::No,
                };
            };
            match Header::parse(*header) {
                Some(header) if header.version.0 <= Version::TLS12.0 && header.length >= 2 => {
                    let Some(next) = rest.get(HEADER_LEN + usize::from(header.length)..) else {
                        return if records > 0 { Sniff::Yes } else { Sniff::Maybe };
                    };
                    rest = next;
                    records += 1;
                    if records == LINKS {
                        return Sniff::Yes;
                    }
                }
                _ => return Sniff::No,
            }
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Takes the facts out; the observer is of no further use.
    #[must_use]
    pub fn into_facts(self) -> TlsFacts {
        self.facts
    }

    /// Takes in what happened next in `direction`. Decrypted application data leaves through `out`, with
    /// offsets that count plaintext bytes; without secrets nothing leaves. Bytes that are missing leave as a
    /// gap before the data that follows them: of the exact length where that follows from the record numbers,
    /// of [`UNKNOWN_GAP`] where not. A close_notify leaves as [`End::Fin`].
    pub fn feed(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        match event {
            StreamEvent::Data { bytes, .. } => {
                if direction == Direction::ToServer && self.facts.client_hello.is_none() && !self.facts.mid_stream {
                    self.hello_pieces = self.hello_pieces.saturating_add(1);
                    self.hello_begun.get_or_insert(stamp);
                }
                self.data(stamp, direction, bytes, keys, out);
            }
            StreamEvent::Gap { len, cause, .. } => self.gap(stamp, direction, len, cause, keys, out),
            StreamEvent::End(end) => self.end(stamp, direction, end, out),
        }
    }

    fn data(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        mut bytes: &[u8],
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        loop {
            let reader = &mut self.readers[direction.index()];
            match reader.place {
                Place::Foreign => {
                    reader.position += bytes.len() as u64;
                    self.not_tls(stamp, direction, bytes);
                    return;
                }
                Place::Lost => {
                    let found = find(bytes, 0);
                    // Records may lie in what is passed over.
                    reader.channel.miss(found.unwrap_or(bytes.len()) as u64);
                    let Some(at) = found else {
                        reader.position += bytes.len() as u64;
                        return;
                    };
                    reader.position += at as u64;
                    bytes = &bytes[at..];
                    reader.place = Place::InStep;
                    reader.unproven = LINKS;
                }
                Place::InStep if reader.in_body => {
                    let n = reader.remaining.min(bytes.len());
                    if reader.keep {
                        reader.buffer.extend_from_slice(&bytes[..n]);
                    }
                    reader.remaining -= n;
                    reader.position += n as u64;
                    bytes = &bytes[n..];
                    if reader.remaining > 0 {
                        return;
                    }
                    self.finish(stamp, direction, keys, out);
                }
                Place::InStep => {
                    if bytes.is_empty() {
                        return;
                    }
                    let had = usize::from(reader.header_len);
                    if had == 0 {
                        reader.record_start = reader.position;
                    }
                    let n = (HEADER_LEN - had).min(bytes.len());
                    reader.header[had..had + n].copy_from_slice(&bytes[..n]);
                    let seen = had + n;
                    let header = if seen < HEADER_LEN {
                        starts_header(&reader.header[..seen]).then_some(None)
                    } else {
                        Header::parse(reader.header).map(Some)
                    };
                    reader.header_len = 0;
                    let n = match header {
                        None => {
                            let start = reader.header;
                            match self.out_of_step(direction) {
                                // The next border may lie in what looked like a header.
                                Place::Lost if had == 0 => 1,
                                Place::Foreign => {
                                    self.not_tls(stamp, direction, &start[..seen]);
                                    n
                                }
                                _ => n,
                            }
                        }
                        Some(None) => {
                            reader.header_len = seen as u8;
                            n
                        }
                        Some(Some(header)) => {
                            reader.current = header;
                            reader.in_body = true;
                            reader.holed = false;
                            reader.remaining = usize::from(header.length);
                            reader.buffer.clear();
                            n
                        }
                    };
                    let reader = &mut self.readers[direction.index()];
                    reader.position += n as u64;
                    bytes = &bytes[n..];
                    if !reader.in_body {
                        continue;
                    }
                    let header = reader.current;
                    let keep = self.wants(direction, header, keys);
                    let reader = &mut self.readers[direction.index()];
                    reader.keep = keep;
                    if let Some((body, rest)) = bytes.split_at_checked(reader.remaining) {
                        // The whole record lies in this packet: it is read where it is.
                        reader.position += reader.remaining as u64;
                        reader.remaining = 0;
                        reader.in_body = false;
                        bytes = rest;
                        let body = if keep { Body::Borrowed(body) } else { Body::Skipped };
                        self.record(stamp, direction, header, body, keys, out);
                    }
                }
            }
        }
    }

    /// What comes is no record header: either the place was wrong, or this is no TLS (any more).
    fn out_of_step(&mut self, direction: Direction) -> Place {
        let joined_late = self.facts.client_hello.is_none() && self.hello_begun.is_none();
        let first_of_client = direction == Direction::ToServer && self.facts.client_hello.is_none();
        let reader = &mut self.readers[direction.index()];
        reader.place = if reader.unproven > 0 || joined_late || first_of_client {
            if reader.unproven == 0 {
                self.facts.mid_stream = true;
                self.session.mid_stream = true;
            }
            Place::Lost
        } else {
            Place::Foreign
        };
        reader.place
    }

    fn not_tls(&mut self, stamp: Stamp, direction: Direction, bytes: &[u8]) {
        let first = self.facts.flow(direction).records == 0;
        let from = direction.sender();
        let not_tls = self.facts.not_tls.get_or_insert_with(|| NotTls { stamp, from, first, bytes: SmallVec::new() });
        if not_tls.from == from {
            let n = (MAX_NOT_TLS_BYTES - not_tls.bytes.len()).min(bytes.len());
            not_tls.bytes.extend_from_slice(&bytes[..n]);
        }
    }

    /// Whether a record is protected, as far as its header and the handshake so far tell.
    fn is_protected(&self, direction: Direction, header: Header) -> bool {
        match header.kind {
            APPLICATION_DATA => true,
            // An alert of two bytes is in plaintext: protected ones are longer. OpenSSL clients send some so even in TLS 1.3.
            ALERT => header.length != 2,
            // RFC 8446 §5: a TLS 1.3 ChangeCipherSpec, and every record of type handshake, is in plaintext.
            _ => self.readers[direction.index()].protected,
        }
    }

    /// Whether a record's body is worth collecting.
    fn wants(&mut self, direction: Direction, header: Header, keys: &KeyLog) -> bool {
        if !self.is_protected(direction, header) {
            return matches!(header.kind, HANDSHAKE | ALERT);
        }
        if self.facts.client_hello.is_none()
            && !self.facts.mid_stream
            && self.hello_begun.is_none_or(|_| direction == Direction::ToServer)
        {
            self.facts.mid_stream = true;
            self.session.mid_stream = true;
        }
        let channel = &mut self.readers[direction.index()].channel;
        channel.prepare(direction, &self.session, keys);
        if channel.stage() == Stage::Early {
            channel.extend(direction, &self.session, keys);
        }
        let has_keys = channel.has_keys();
        self.facts.decryption.secrets |= has_keys && !self.session.mid_stream;
        has_keys
    }

    /// The body under way is complete.
    fn finish(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let reader = &mut self.readers[direction.index()];
        reader.in_body = false;
        let body = if reader.holed {
            Body::Holed
        } else if reader.keep {
            Body::Buffered(std::mem::take(&mut reader.buffer))
        } else {
            Body::Skipped
        };
        let header = reader.current;
        self.record(stamp, direction, header, body, keys, out);
    }

    /// A record is complete.
    fn record(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        header: Header,
        body: Body<'_>,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let protected = self.is_protected(direction, header);
        if protected {
            match body {
                Body::Borrowed(bytes) => {
                    let mut buffer = std::mem::take(&mut self.readers[direction.index()].buffer);
                    buffer.clear();
                    buffer.extend_from_slice(bytes);
                    self.open(stamp, direction, header, buffer, keys, out);
                }
                Body::Buffered(buffer) => self.open(stamp, direction, header, buffer, keys, out),
                Body::Skipped | Body::Holed => self.closed(stamp, direction, header),
            }
            return;
        }
        if !self.mark(stamp, direction, header, false) {
            return;
        }
        let reader = &mut self.readers[direction.index()];
        if reader.opened_records == 0 {
            // Once records are protected, one that claims not to be is damaged, and counts as lost.
            reader.opened_until = reader.position;
        }
        match header.kind {
            CHANGE_CIPHER_SPEC => self.change_cipher_spec(stamp, direction),
            HANDSHAKE => match body {
                Body::Borrowed(bytes) => self.handshake(stamp, direction, bytes, false, keys, out),
                Body::Buffered(bytes) => {
                    self.handshake(stamp, direction, &bytes, false, keys, out);
                    self.readers[direction.index()].buffer = bytes;
                }
                Body::Skipped | Body::Holed => reader.handshake.lose(),
            },
            ALERT => match body {
                Body::Borrowed(bytes) => self.alert(stamp, direction, bytes, AlertVisibility::Plaintext, out),
                Body::Buffered(bytes) => self.alert(stamp, direction, &bytes, AlertVisibility::Plaintext, out),
                Body::Skipped | Body::Holed => {}
            },
            _ => {}
        }
    }

    /// Counts a record. `false` while it is not certain that this is a record at all.
    fn mark(&mut self, stamp: Stamp, direction: Direction, header: Header, protected: bool) -> bool {
        let reader = &mut self.readers[direction.index()];
        if reader.unproven > 0 {
            reader.unproven -= 1;
            if reader.unproven > 0 {
                return false;
            }
        }
        let flow = &mut self.facts.flows[direction.index()];
        flow.records += 1;
        let mark = RecordMark { stamp, kind: header.kind, length: header.length };
        if header.kind == APPLICATION_DATA {
            flow.application_records += 1;
            flow.application_bytes += u64::from(header.length);
        }
        if protected || header.kind == ALERT {
            if flow.first.len() < MAX_FIRST_RECORDS {
                flow.first.push(mark);
            }
            flow.last.push(mark);
        }
        true
    }

    /// A protected record stays closed.
    fn closed(&mut self, stamp: Stamp, direction: Direction, header: Header) {
        let index = direction.index();
        self.readers[index].channel.pass();
        self.readers[index].plain_missing |= self.readers[index].plain_offset > 0;
        self.note_trouble(stamp, index);
        if self.mark(stamp, direction, header, true) {
            self.closed_meaning(stamp, direction, header);
        }
    }

    /// What a closed record of TLS 1.2 still tells by its type (RFC 5246 §7.4.9: the first handshake message
    /// after ChangeCipherSpec is Finished).
    fn closed_meaning(&mut self, stamp: Stamp, direction: Direction, header: Header) {
        match header.kind {
            HANDSHAKE => {
                self.facts.flows[direction.index()].finished.get_or_insert(stamp);
            }
            ALERT => self.facts.add_alert(Alert {
                from: direction.sender(),
                level: None,
                code: None,
                visibility: AlertVisibility::Hidden,
                stamp,
            }),
            _ => {}
        }
    }

    fn note_trouble(&mut self, stamp: Stamp, index: usize) {
        let trouble = self.readers[index].channel.trouble();
        if trouble != self.facts.decryption.trouble[index].map(|(_, trouble)| trouble) {
            self.facts.decryption.trouble[index] = trouble.map(|trouble| (stamp, trouble));
        }
    }

    /// Opens a protected record, whose body is in `buffer`.
    fn open(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        header: Header,
        mut buffer: Vec<u8>,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let index = direction.index();
        let reader = &mut self.readers[index];
        let opened = reader.channel.open(header, &mut buffer, &mut self.spare);
        if opened.is_some() {
            // Authentication proves the place.
            reader.unproven = 0;
        } else {
            reader.plain_missing |= reader.plain_offset > 0;
            self.facts.decryption.records_failed += 1;
        }
        self.note_trouble(stamp, index);
        let counted = self.mark(stamp, direction, header, true);
        match opened {
            Some((opened, loss)) => {
                self.facts.decryption.records += 1;
                self.facts.decryption.secrets = true;
                self.account(index, loss);
                let content = &buffer[opened.start..opened.start + opened.len];
                match opened.kind {
                    APPLICATION_DATA => self.plaintext(stamp, direction, content, out),
                    HANDSHAKE => self.handshake(stamp, direction, content, true, keys, out),
                    ALERT => self.alert(stamp, direction, content, AlertVisibility::Decrypted, out),
                    CHANGE_CIPHER_SPEC => self.change_cipher_spec(stamp, direction),
                    _ => {}
                }
            }
            None if counted => self.closed_meaning(stamp, direction, header),
            None => {}
        }
        self.readers[index].buffer = buffer;
    }

    /// Accounts for what was lost before a record that opened.
    fn account(&mut self, index: usize, loss: Loss) {
        let reader = &mut self.readers[index];
        let (start, lost_from) = (reader.record_start, reader.opened_until);
        reader.opened_until = reader.position;
        reader.plain_missing = false;
        reader.opened_records = reader.opened_records.saturating_add(1);
        if loss == Loss::None {
            return;
        }
        self.facts.decryption.resumed_after_gap += 1;
        if reader.channel.stage() != Stage::Application {
            return;
        }
        // Session tickets are records too, and hold no application data: they come early in the server's stream.
        let tickets = index == Direction::ToClient.index() && reader.opened_records <= 4;
        let exact = match (loss, reader.channel.overhead()) {
            (Loss::Records(count), Some(overhead)) if !tickets => count
                .checked_mul((HEADER_LEN + overhead) as u64)
                .and_then(|outside| start.checked_sub(lost_from)?.checked_sub(outside)),
            _ => None,
        };
        reader.plain_gap = reader.plain_gap.saturating_add(exact.unwrap_or(UNKNOWN_GAP)).min(UNKNOWN_GAP);
    }

    fn plaintext(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        bytes: &[u8],
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if bytes.is_empty() {
            return;
        }
        let (index, other) = (direction.index(), direction.reverse().index());
        if self.readers[index].channel.stage() == Stage::Early && !self.facts.early_data_accepted {
            let early = self.early.get_or_insert_with(|| EarlyData { stamp, bytes: Vec::new(), overflow: false });
            early.stamp = stamp;
            if early.bytes.len() + bytes.len() <= MAX_EARLY_DATA {
                early.bytes.extend_from_slice(bytes);
            } else {
                early.overflow = true;
            }
            return;
        }
        self.facts.decryption.application[index] = true;
        let reader = &mut self.readers[index];
        if reader.plain_ended {
            return;
        }
        reader.emit_gap(stamp, direction, out);
        out(stamp, direction, StreamEvent::Data { offset: reader.plain_offset, bytes });
        reader.plain_offset += bytes.len() as u64;
        if let Some((_, end)) = self.facts.flows[other].ended {
            // The other side was done before anything could be handed out.
            self.readers[other].emit_end(stamp, direction.reverse(), end, out);
        }
    }

    /// The server has decided about 0-RTT data.
    fn settle_early_data(&mut self, accepted: bool, out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>)) {
        self.facts.early_data_accepted |= accepted;
        if let Some(early) = self.early.take()
            && accepted
        {
            self.plaintext(early.stamp, Direction::ToServer, &early.bytes, out);
            if early.overflow {
                self.readers[Direction::ToServer.index()].plain_gap = UNKNOWN_GAP;
            }
        }
    }

    fn change_cipher_spec(&mut self, stamp: Stamp, direction: Direction) {
        let index = direction.index();
        self.facts.flows[index].change_cipher_spec.get_or_insert(stamp);
        // RFC 8446 §5: in TLS 1.3 it means nothing and is dropped.
        if self.session.version.is_some_and(|version| version >= Version::TLS13) {
            return;
        }
        let reader = &mut self.readers[index];
        reader.protected = true;
        reader.channel.restart();
        reader.handshake.restart();
        // RFC 5246 §7.3: the server's ChangeCipherSpec without a key exchange before it means resumption.
        if direction == Direction::ToClient
            && self.facts.server_certificates.is_none()
            && self.facts.client_key_exchange.is_none()
            && self.facts.flows.iter().all(|flow| flow.missing_bytes == 0)
            && let Some(hello) = &mut self.facts.server_hello
        {
            hello.resumed = true;
        }
    }

    fn alert(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        bytes: &[u8],
        visibility: AlertVisibility,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let &[level, code, ..] = bytes else { return };
        self.facts.add_alert(Alert {
            from: direction.sender(),
            level: Some(level),
            code: Some(code),
            visibility,
            stamp,
        });
        if code == alert::CLOSE_NOTIFY {
            // RFC 8446 §6.1: the sender will not send any more on this connection.
            self.facts.flows[direction.index()].close_notify.get_or_insert(stamp);
            self.forward_end(stamp, direction, End::Fin, out);
        }
    }

    fn handshake(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        data: &[u8],
        protected: bool,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let mut assembler = std::mem::take(&mut self.readers[direction.index()].handshake);
        assembler.feed(data, |piece| match piece {
            Piece::Message(number, body) => {
                if self.message(stamp, direction, number, body, protected, keys, out).is_none() {
                    self.facts.malformed_messages.get_or_insert(stamp);
                }
            }
            Piece::Oversized => self.facts.oversized_messages = self.facts.oversized_messages.saturating_add(1),
        });
        self.readers[direction.index()].handshake = assembler;
    }

    /// Reads one handshake message; `None` when it is malformed.
    #[allow(clippy::too_many_arguments)]
    fn message(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        number: u8,
        body: &[u8],
        protected: bool,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) -> Option<()> {
        let index = direction.index();
        let tls13 = self.session.version == Some(Version::TLS13);
        if self.facts.client_hello.is_none()
            && number != kind::CLIENT_HELLO
            && (direction == Direction::ToServer || self.hello_begun.is_none())
        {
            self.facts.mid_stream = true;
            self.session.mid_stream = true;
        }
        match (direction, number) {
            (Direction::ToServer, kind::CLIENT_HELLO) => {
                let parsed = handshake::client_hello(body)?;
                self.client_hello(stamp, parsed, body.len(), protected);
            }
            (Direction::ToClient, kind::SERVER_HELLO) => {
                let parsed = handshake::server_hello(body)?;
                self.server_hello(stamp, parsed, protected);
            }
            (Direction::ToClient, kind::ENCRYPTED_EXTENSIONS) if tls13 => {
                let (alpn, early_data) = handshake::encrypted_extensions(body)?;
                self.facts.alpn = alpn;
                self.facts.alpn_seen = Some(stamp);
                self.settle_early_data(early_data, out);
            }
            (_, kind::CERTIFICATE | kind::COMPRESSED_CERTIFICATE) => {
                let chain = if number == kind::CERTIFICATE {
                    handshake::certificates(body, tls13, stamp)?
                } else {
                    handshake::compressed_certificate(body, stamp)?
                };
                match direction {
                    Direction::ToServer => self.facts.client_certificates.get_or_insert(chain),
                    Direction::ToClient => self.facts.server_certificates.get_or_insert(chain),
                };
            }
            (Direction::ToClient, kind::CERTIFICATE_REQUEST) => {
                self.facts.certificate_request.get_or_insert(stamp);
            }
            (Direction::ToClient, kind::SERVER_HELLO_DONE) => {
                self.facts.server_hello_done.get_or_insert(stamp);
            }
            (Direction::ToServer, kind::CLIENT_KEY_EXCHANGE) => {
                self.facts.client_key_exchange.get_or_insert(stamp);
                self.session.premaster = handshake::encrypted_premaster(body);
            }
            (Direction::ToClient, kind::NEW_SESSION_TICKET) => {
                let tickets = &mut self.facts.flows[index].session_tickets;
                *tickets = tickets.saturating_add(1);
            }
            (_, kind::FINISHED) => {
                self.facts.flows[index].finished.get_or_insert(stamp);
                if tls13 && protected {
                    self.readers[index].channel.next_stage();
                }
            }
            (Direction::ToServer, kind::END_OF_EARLY_DATA) if tls13 && protected => {
                let channel = &mut self.readers[index].channel;
                channel.extend(direction, &self.session, keys);
                channel.next_stage();
            }
            (_, kind::KEY_UPDATE) if tls13 && protected => {
                let updates = &mut self.facts.flows[index].key_updates;
                *updates = updates.saturating_add(1);
                self.readers[index].channel.update();
            }
            _ => {}
        }
        self.facts.decryption.handshake |= tls13 && protected;
        Some(())
    }

    fn client_hello(&mut self, stamp: Stamp, parsed: handshake::ParsedClientHello, len: usize, protected: bool) {
        let handshake::ParsedClientHello { mut hello, random, session_id } = parsed;
        if protected {
            self.facts.renegotiations = self.facts.renegotiations.saturating_add(1);
        }
        self.session.client_random = Some(random);
        self.session.premaster = None;
        self.session.early_data = hello.offers_early_data;
        self.session.offered = SmallVec::new();
        if hello.offers_early_data {
            let suites = hello.cipher_suites.iter().filter_map(|&suite| Parameters::of(suite));
            self.session.offered.extend(suites.filter(|parameters| parameters.tls13).take(4));
        }
        self.client_session_id = session_id;
        if self.facts.client_hello.is_none() {
            let reader = &self.readers[Direction::ToServer.index()];
            hello.stamp = self.hello_begun.unwrap_or(stamp);
            hello.completed = Some(stamp);
            hello.size = (HEADER_LEN + 4 + len) as u32;
            hello.segments = self.hello_pieces.max(1);
            hello.record_version = reader.current.version;
            self.facts.client_hello = Some(hello);
            self.facts.mid_stream = false;
            self.session.mid_stream = false;
        }
    }

    fn server_hello(&mut self, stamp: Stamp, parsed: handshake::ParsedServerHello, protected: bool) {
        let handshake::ParsedServerHello { mut hello, random, session_id, retry, alpn } = parsed;
        hello.stamp = stamp;
        let session = &mut self.session;
        session.version = Some(hello.version);
        session.parameters =
            Parameters::of(hello.cipher_suite).filter(|suite| suite.tls13 == (hello.version >= Version::TLS13));
        if retry {
            self.facts.hello_retry_request.get_or_insert(stamp);
            return;
        }
        session.server_random = Some(random);
        session.encrypt_then_mac = hello.encrypt_then_mac;
        session.extended_master_secret = hello.extended_master_secret;
        if protected || self.facts.server_hello.is_some() {
            return;
        }
        if hello.version < Version::TLS13 {
            // RFC 5246 §7.4.1.3: the client's session id sent back says that the session is resumed.
            hello.resumed = !session_id.is_empty() && session_id == self.client_session_id;
            self.facts.alpn = alpn;
            self.facts.alpn_seen = Some(stamp);
        }
        self.facts.server_hello = Some(hello);
    }

    /// The ClientHello will not get complete: what there is of it is a fact too.
    fn partial_hello(&mut self) {
        let Some(begun) = self.hello_begun else { return };
        let reader = &self.readers[Direction::ToServer.index()];
        if self.facts.client_hello.is_some() || self.facts.mid_stream {
            return;
        }
        let mut bytes = reader.handshake.partial().to_vec();
        if reader.in_body && reader.keep && reader.current.kind == HANDSHAKE {
            bytes.extend_from_slice(&reader.buffer);
        }
        if bytes.first().is_some_and(|&number| number != kind::CLIENT_HELLO) || reader.current.kind != HANDSHAKE {
            return;
        }
        let announced = match bytes.first_chunk::<4>() {
            Some(&[_, high, middle, low]) => 4 + (u32::from(high) << 16 | u32::from(middle) << 8 | u32::from(low)),
            None => u32::from(reader.current.length),
        };
        let parsed = handshake::client_hello(bytes.get(4..).unwrap_or_default());
        let random = parsed.as_ref().map(|parsed| parsed.random);
        let mut hello = parsed.map_or_else(ClientHello::default, |parsed| parsed.hello);
        hello.stamp = begun;
        hello.completed = None;
        hello.size = announced.saturating_add(HEADER_LEN as u32);
        hello.segments = self.hello_pieces;
        hello.record_version = reader.current.version;
        self.session.client_random = random;
        self.facts.client_hello = Some(hello);
    }

    fn gap(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        len: u64,
        cause: GapCause,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if direction == Direction::ToServer {
            self.partial_hello();
        }
        let flow = &mut self.facts.flows[direction.index()];
        flow.missing_bytes = flow.missing_bytes.saturating_add(len);
        let reader = &mut self.readers[direction.index()];
        reader.position = reader.position.saturating_add(len);
        reader.gap_cause = Some(cause);
        reader.plain_missing |= reader.plain_offset > 0;
        reader.handshake.lose();
        if reader.place != Place::InStep {
            reader.channel.miss(len);
            return;
        }
        if reader.in_body && len <= reader.remaining as u64 {
            reader.holed = true;
            reader.buffer.clear();
            reader.keep = false;
            reader.remaining -= len as usize;
            if reader.remaining == 0 {
                self.finish(stamp, direction, keys, out);
            }
            return;
        }
        reader.channel.miss(len);
        reader.in_body = false;
        reader.header_len = 0;
        reader.place = Place::Lost;
    }

    fn end(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        end: End,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if direction == Direction::ToServer {
            self.partial_hello();
        }
        let flow = &mut self.facts.flows[direction.index()];
        if flow.ended.is_some() {
            return;
        }
        flow.ended = Some((stamp, end));
        let reader = &self.readers[direction.index()];
        if reader.place == Place::InStep && reader.in_body && reader.unproven == 0 {
            flow.cut_record = Some(RecordMark { stamp, kind: reader.current.kind, length: reader.current.length });
        }
        self.forward_end(stamp, direction, end, out);
    }

    /// Hands out the end of a direction, once, if anything was handed out at all.
    fn forward_end(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        end: End,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if self.readers.iter().any(|reader| reader.plain_offset > 0) {
            self.readers[direction.index()].emit_end(stamp, direction, end, out);
        }
    }
}

impl Reader {
    fn emit_gap(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if self.plain_gap > 0 {
            let cause = self.gap_cause.unwrap_or(GapCause::NotCaptured);
            out(stamp, direction, StreamEvent::Gap { offset: self.plain_offset, len: self.plain_gap, cause });
            self.plain_offset += self.plain_gap;
            self.plain_gap = 0;
        }
    }

    fn emit_end(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        end: End,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        if self.plain_ended {
            return;
        }
        if self.plain_missing {
            // Records stayed closed since the last one that opened.
            self.plain_gap = UNKNOWN_GAP;
            self.plain_missing = false;
        }
        self.emit_gap(stamp, direction, out);
        self.plain_ended = true;
        out(stamp, direction, StreamEvent::End(end));
    }
}
