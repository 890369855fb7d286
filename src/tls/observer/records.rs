//! Finds records in the stream, in spite of gaps, and opens the protected ones.

use smallvec::SmallVec;

use super::super::channel::{Channel, Stage};
use super::super::facts::{Alert, AlertVisibility, MAX_FIRST_RECORDS, MAX_NOT_TLS_BYTES, NotTls, RecordMark};
use super::super::handshake::Assembler;
use super::super::keylog::KeyLog;
use super::super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_LEN, Header, find, starts_header,
};
use super::{CHAINED_HEADERS, Tls};
use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Framing {
    /// At a record boundary, in a header or in a body.
    #[default]
    InSync,
    /// Bytes were missing, and the next record boundary is not known.
    Lost,
    /// The stream is not TLS.
    NotTls,
}

/// Record framing and decryption state of one direction.
#[derive(Debug, Default)]
pub(super) struct RecordReader {
    framing: Framing,
    /// Offset in the stream of the next byte.
    pub(super) position: u64,
    pub(super) header: [u8; HEADER_LEN],
    header_len: u8,
    /// The record whose body is under way, if `in_body`.
    pub(super) current: Header,
    pub(super) in_body: bool,
    /// Bytes of the body still to come.
    remaining: usize,
    /// Offset of the current record's first byte.
    pub(super) record_start: u64,
    /// The body is collected in `buffer`.
    pub(super) collect: bool,
    /// Bytes of the body are missing.
    incomplete: bool,
    /// Headers still to chain before the boundary is trusted.
    unproven: u8,
    /// The body under way, then scratch space for opening it: never more than one record.
    pub(super) buffer: Vec<u8>,
    pub(super) handshake: Assembler,
    /// TLS 1.2 and below: ChangeCipherSpec was seen.
    pub(super) protected: bool,
    pub(super) channel: Channel,
    /// Offset up to which every record was opened or was in plaintext.
    pub(super) opened_until: u64,
    pub(super) gap_cause: Option<GapCause>,
    /// Plaintext passed on so far, in bytes.
    pub(super) plain_offset: u64,
    /// Bytes of plaintext missing before the next byte passed on.
    pub(super) plain_gap: u64,
    /// Protected records were not opened, or bytes were missing, since the last record that opened.
    pub(super) plain_missing: bool,
    /// Records opened.
    pub(super) opened_records: u32,
    /// The end was passed on.
    pub(super) plain_ended: bool,
}

/// The body of a record, as far as it is at hand.
enum Body<'a> {
    /// All of it, in the packet.
    Borrowed(&'a [u8]),
    /// All of it, in the reader's buffer.
    Buffered(Vec<u8>),
    /// Skipped, being of no use.
    Skipped,
    /// Bytes of it are missing.
    Incomplete,
}

impl Tls {
    pub(super) fn data(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        mut bytes: &[u8],
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        loop {
            let reader = &mut self.readers[direction.index()];
            match reader.framing {
                Framing::NotTls => {
                    reader.position += bytes.len() as u64;
                    self.note_not_tls(stamp, direction, bytes);
                    return;
                }
                Framing::Lost => {
                    let found = find(bytes, 0);
                    // There may be records in what is skipped.
                    reader.channel.note_missing(found.unwrap_or(bytes.len()) as u64);
                    let Some(at) = found else {
                        reader.position += bytes.len() as u64;
                        return;
                    };
                    reader.position += at as u64;
                    bytes = &bytes[at..];
                    reader.framing = Framing::InSync;
                    reader.unproven = CHAINED_HEADERS;
                }
                Framing::InSync if reader.in_body => {
                    let n = reader.remaining.min(bytes.len());
                    if reader.collect {
                        reader.buffer.extend_from_slice(&bytes[..n]);
                    }
                    reader.remaining -= n;
                    reader.position += n as u64;
                    bytes = &bytes[n..];
                    if reader.remaining > 0 {
                        return;
                    }
                    self.end_body(stamp, direction, keys, out);
                }
                Framing::InSync => {
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
                            match self.lose_sync(direction) {
                                // The next boundary may lie in what looked like a header.
                                Framing::Lost if had == 0 => 1,
                                Framing::NotTls => {
                                    self.note_not_tls(stamp, direction, &start[..seen]);
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
                            reader.incomplete = false;
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
                    let keep = self.needs_body(direction, header, keys);
                    let reader = &mut self.readers[direction.index()];
                    reader.collect = keep;
                    if let Some((body, rest)) = bytes.split_at_checked(reader.remaining) {
                        // The whole record lies in this packet: it is read in place.
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

    /// Handles bytes that are no record header: either the boundary was wrong, or this is not TLS (any more).
    fn lose_sync(&mut self, direction: Direction) -> Framing {
        let joined_late = self.facts.client_hello.is_none() && self.hello_started.is_none();
        let first_of_client = direction == Direction::ToServer && self.facts.client_hello.is_none();
        let reader = &mut self.readers[direction.index()];
        reader.framing = if reader.unproven > 0 || joined_late || first_of_client {
            if reader.unproven == 0 {
                self.facts.mid_stream = true;
                self.session.mid_stream = true;
            }
            Framing::Lost
        } else {
            Framing::NotTls
        };
        reader.framing
    }

    fn note_not_tls(&mut self, stamp: Stamp, direction: Direction, bytes: &[u8]) {
        let first = self.facts.flow(direction).records == 0;
        let from = direction.sender();
        let not_tls = self.facts.not_tls.get_or_insert_with(|| NotTls { stamp, from, first, bytes: SmallVec::new() });
        if not_tls.from == from {
            let n = (MAX_NOT_TLS_BYTES - not_tls.bytes.len()).min(bytes.len());
            not_tls.bytes.extend_from_slice(&bytes[..n]);
        }
    }

    /// Whether a record is protected, by its header and the handshake so far.
    fn is_protected(&self, direction: Direction, header: Header) -> bool {
        match header.kind {
            APPLICATION_DATA => true,
            // An alert of two bytes is in plaintext: protected ones are longer. OpenSSL clients send some so even in TLS 1.3.
            ALERT => header.length != 2,
            // RFC 8446 §5: a TLS 1.3 ChangeCipherSpec, and every record of type handshake, is in plaintext.
            _ => self.readers[direction.index()].protected,
        }
    }

    /// Whether a record's body has to be collected.
    fn needs_body(&mut self, direction: Direction, header: Header, keys: &KeyLog) -> bool {
        if !self.is_protected(direction, header) {
            return matches!(header.kind, HANDSHAKE | ALERT);
        }
        if self.facts.client_hello.is_none()
            && !self.facts.mid_stream
            && self.hello_started.is_none_or(|_| direction == Direction::ToServer)
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

    /// Ends the record under way: its body is complete.
    fn end_body(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let reader = &mut self.readers[direction.index()];
        reader.in_body = false;
        let body = if reader.incomplete {
            Body::Incomplete
        } else if reader.collect {
            Body::Buffered(std::mem::take(&mut reader.buffer))
        } else {
            Body::Skipped
        };
        let header = reader.current;
        self.record(stamp, direction, header, body, keys, out);
    }

    /// Handles a complete record.
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
                    self.open_record(stamp, direction, header, buffer, keys, out);
                }
                Body::Buffered(buffer) => self.open_record(stamp, direction, header, buffer, keys, out),
                Body::Skipped | Body::Incomplete => self.unopened(stamp, direction, header),
            }
            return;
        }
        if !self.count_record(stamp, direction, header, false) {
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
                Body::Skipped | Body::Incomplete => reader.handshake.lose(),
            },
            ALERT => match body {
                Body::Borrowed(bytes) => self.alert(stamp, direction, bytes, AlertVisibility::Plaintext, out),
                Body::Buffered(bytes) => self.alert(stamp, direction, &bytes, AlertVisibility::Plaintext, out),
                Body::Skipped | Body::Incomplete => {}
            },
            _ => {}
        }
    }

    /// Counts a record. `false` while it is not certain that this is a record at all.
    fn count_record(&mut self, stamp: Stamp, direction: Direction, header: Header, protected: bool) -> bool {
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
        }
        if protected || header.kind == ALERT {
            if flow.first.len() < MAX_FIRST_RECORDS {
                flow.first.push(mark);
            }
            flow.last.push(mark);
        }
        true
    }

    /// Handles a protected record that was not opened.
    fn unopened(&mut self, stamp: Stamp, direction: Direction, header: Header) {
        let index = direction.index();
        self.readers[index].channel.skip_record();
        self.readers[index].plain_missing |= self.readers[index].plain_offset > 0;
        self.note_trouble(stamp, index);
        if self.count_record(stamp, direction, header, true) {
            self.note_unopened(stamp, direction, header);
        }
    }

    /// Notes what the type of a TLS 1.2 record proves although it was not opened (RFC 5246 §7.4.9: the first handshake
    /// message after ChangeCipherSpec is Finished).
    fn note_unopened(&mut self, stamp: Stamp, direction: Direction, header: Header) {
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
    fn open_record(
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
            // Authentication proves the boundary.
            reader.unproven = 0;
        } else {
            reader.plain_missing |= reader.plain_offset > 0;
            self.facts.decryption.records_failed += 1;
        }
        self.note_trouble(stamp, index);
        let counted = self.count_record(stamp, direction, header, true);
        match opened {
            Some((opened, loss)) => {
                self.facts.decryption.records += 1;
                self.facts.decryption.secrets = true;
                self.account_for_loss(index, loss);
                let content = &buffer[opened.start..opened.start + opened.len];
                match opened.kind {
                    APPLICATION_DATA => self.emit_plaintext(stamp, direction, content, out),
                    HANDSHAKE => self.handshake(stamp, direction, content, true, keys, out),
                    ALERT => self.alert(stamp, direction, content, AlertVisibility::Decrypted, out),
                    CHANGE_CIPHER_SPEC => self.change_cipher_spec(stamp, direction),
                    _ => {}
                }
            }
            None if counted => self.note_unopened(stamp, direction, header),
            None => {}
        }
        self.readers[index].buffer = buffer;
    }

    pub(super) fn gap(
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
        if reader.framing != Framing::InSync {
            reader.channel.note_missing(len);
            return;
        }
        if reader.in_body && len <= reader.remaining as u64 {
            reader.incomplete = true;
            reader.buffer.clear();
            reader.collect = false;
            reader.remaining -= len as usize;
            if reader.remaining == 0 {
                self.end_body(stamp, direction, keys, out);
            }
            return;
        }
        reader.channel.note_missing(len);
        reader.in_body = false;
        reader.header_len = 0;
        reader.framing = Framing::Lost;
    }

    pub(super) fn end(
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
        if reader.framing == Framing::InSync && reader.in_body && reader.unproven == 0 {
            flow.cut_record = Some(RecordMark { stamp, kind: reader.current.kind, length: reader.current.length });
        }
        self.emit_end(stamp, direction, end, out);
    }
}
