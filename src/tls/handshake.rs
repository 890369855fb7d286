//! Handshake messages (RFC 8446 §4, RFC 5246 §7.4): assembles them from records and parses them.

use std::io::Read;

use smallvec::SmallVec;

use super::certificate::Chain;
use super::facts::{CertificateChain, ClientHello, MAX_ALPN, MAX_HELLO_LIST, NamedGroup, ServerHello, Version};
use super::suite::CipherSuite;
use crate::stream::Stamp;

/// Message types (IANA "TLS HandshakeType").
pub(super) mod kind {
    pub(in crate::tls) const CLIENT_HELLO: u8 = 1;
    pub(in crate::tls) const SERVER_HELLO: u8 = 2;
    pub(in crate::tls) const END_OF_EARLY_DATA: u8 = 5;
    pub(in crate::tls) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(in crate::tls) const CERTIFICATE: u8 = 11;
    pub(in crate::tls) const CERTIFICATE_REQUEST: u8 = 13;
    pub(in crate::tls) const SERVER_HELLO_DONE: u8 = 14;
    pub(in crate::tls) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(in crate::tls) const FINISHED: u8 = 20;
    pub(in crate::tls) const KEY_UPDATE: u8 = 24;
    pub(in crate::tls) const COMPRESSED_CERTIFICATE: u8 = 25;
}

/// The random of a HelloRetryRequest (RFC 8446 §4.1.3): SHA-256 of "HelloRetryRequest".
const HELLO_RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A position in a message. Reading past the end returns `None`.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u24(&mut self) -> Option<usize> {
        self.take(3).map(|bytes| usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]))
    }

    /// A vector with a one-byte length.
    fn short(&mut self) -> Option<Cursor<'a>> {
        let len = usize::from(self.u8()?);
        self.take(len).map(Cursor)
    }

    /// A vector with a two-byte length.
    fn long(&mut self) -> Option<Cursor<'a>> {
        let len = usize::from(self.u16()?);
        self.take(len).map(Cursor)
    }

    /// A vector with a two-byte length, or as much of it as there is.
    fn long_or_rest(&mut self) -> Option<Cursor<'a>> {
        let len = usize::from(self.u16()?).min(self.0.len());
        self.take(len).map(Cursor)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// GREASE values (RFC 8701) mean nothing and must be ignored.
const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// A ClientHello: the facts, and what key derivation needs.
#[derive(Debug)]
pub(super) struct ParsedClientHello {
    pub(super) hello: ClientHello,
    pub(super) random: [u8; 32],
    pub(super) session_id: SmallVec<[u8; 32]>,
}

/// Parses a ClientHello body (RFC 8446 §4.1.2), or as much of it as there is; `None` without a whole random.
pub(super) fn client_hello(body: &[u8]) -> Option<ParsedClientHello> {
    let mut cursor = Cursor(body);
    let legacy_version = Version(cursor.u16()?);
    let random = *cursor.take(32)?.first_chunk::<32>()?;
    let mut parsed = ParsedClientHello {
        hello: ClientHello { legacy_version, ..ClientHello::default() },
        random,
        session_id: SmallVec::new(),
    };
    // A hello cut short leaves the rest of its fields empty.
    let _ = client_hello_rest(&mut cursor, &mut parsed);
    if parsed.hello.versions.is_empty() {
        parsed.hello.versions.push(legacy_version);
    }
    Some(parsed)
}

fn client_hello_rest(cursor: &mut Cursor<'_>, parsed: &mut ParsedClientHello) -> Option<()> {
    let hello = &mut parsed.hello;
    let session_id = cursor.short()?;
    parsed.session_id = SmallVec::from_slice(&session_id.0[..session_id.0.len().min(32)]);
    let mut suites = cursor.long_or_rest()?;
    while let Some(suite) = suites.u16() {
        if !is_grease(suite) && hello.cipher_suites.len() < MAX_HELLO_LIST {
            hello.cipher_suites.push(CipherSuite(suite));
        }
    }
    cursor.short()?; // compression methods
    let mut extensions = cursor.long_or_rest()?;
    let mut tls13 = false;
    while !extensions.is_empty() {
        let (number, mut body) = (extensions.u16()?, extensions.long_or_rest()?);
        // A malformed extension is ignored; the others still count.
        let _ = client_extension(number, &mut body, hello, &mut tls13);
    }
    // RFC 8446 Appendix D.4: a TLS 1.3 client fills in a session id only to look like TLS 1.2.
    hello.offers_resumption |= !tls13 && !parsed.session_id.is_empty();
    Some(())
}

fn client_extension(number: u16, body: &mut Cursor<'_>, hello: &mut ClientHello, tls13: &mut bool) -> Option<()> {
    match number {
        // server_name (RFC 6066 §3)
        0 => {
            let mut list = body.long()?;
            while !list.is_empty() {
                let (kind, name) = (list.u8()?, list.long()?);
                if kind == 0 && hello.server_name.is_none() {
                    hello.server_name = Some(String::from_utf8_lossy(name.0.get(..255).unwrap_or(name.0)).into_owned());
                }
            }
        }
        // supported_groups
        10 => {
            let mut list = body.long_or_rest()?;
            while let Some(group) = list.u16() {
                if !is_grease(group) && hello.groups.len() < MAX_HELLO_LIST {
                    hello.groups.push(NamedGroup(group));
                }
            }
        }
        // application_layer_protocol_negotiation (RFC 7301)
        16 => {
            let mut list = body.long()?;
            while !list.is_empty() {
                let protocol = list.short()?;
                let grease = protocol.0.len() == 2 && is_grease(u16::from_be_bytes([protocol.0[0], protocol.0[1]]));
                if !grease && hello.alpn.len() < MAX_ALPN {
                    hello.alpn.push(String::from_utf8_lossy(protocol.0).into_owned());
                }
            }
        }
        // session_ticket (RFC 5077)
        35 => hello.offers_resumption |= !body.is_empty(),
        // pre_shared_key
        41 => hello.offers_resumption = true,
        // early_data
        42 => hello.offers_early_data = true,
        // supported_versions
        43 => {
            let mut list = body.short()?;
            while let Some(version) = list.u16() {
                if !is_grease(version) && hello.versions.len() < MAX_HELLO_LIST {
                    hello.versions.push(Version(version));
                    *tls13 |= version == Version::TLS13.0;
                }
            }
        }
        // key_share
        51 => {
            let mut list = body.long_or_rest()?;
            while !list.is_empty() {
                let (group, _share) = (list.u16()?, list.long_or_rest()?);
                if !is_grease(group) && hello.key_shares.len() < MAX_HELLO_LIST {
                    hello.key_shares.push(NamedGroup(group));
                }
            }
        }
        // encrypted_client_hello (draft-ietf-tls-esni)
        0xfe0d => hello.encrypted_client_hello = true,
        _ => {}
    }
    Some(())
}

/// A ServerHello: the facts, and what key derivation needs.
#[derive(Debug)]
pub(super) struct ParsedServerHello {
    pub(super) hello: ServerHello,
    pub(super) random: [u8; 32],
    pub(super) session_id: SmallVec<[u8; 32]>,
    pub(super) retry: bool,
    pub(super) alpn: Option<String>,
}

/// Parses a ServerHello body (RFC 8446 §4.1.3, RFC 5246 §7.4.1.3).
pub(super) fn server_hello(body: &[u8]) -> Option<ParsedServerHello> {
    let mut cursor = Cursor(body);
    let mut hello = ServerHello { version: Version(cursor.u16()?), ..ServerHello::default() };
    let random = *cursor.take(32)?.first_chunk::<32>()?;
    let session_id = cursor.short()?;
    hello.cipher_suite = CipherSuite(cursor.u16()?);
    cursor.u8()?; // compression method
    let mut alpn = None;
    // RFC 5246 §7.4.1.3: the extensions block may be absent altogether.
    if let Some(mut extensions) = cursor.long() {
        while !extensions.is_empty() {
            let (number, mut body) = (extensions.u16()?, extensions.long()?);
            match number {
                16 => alpn = chosen_protocol(body),
                22 => hello.encrypt_then_mac = true,
                23 => hello.extended_master_secret = true,
                // RFC 8446 §4.1.3: a chosen pre-shared key means that a session is resumed.
                41 => hello.resumed = true,
                43 => hello.version = Version(body.u16()?),
                51 => hello.group = body.u16().map(NamedGroup),
                _ => {}
            }
        }
    }
    let session_id = SmallVec::from_slice(&session_id.0[..session_id.0.len().min(32)]);
    Some(ParsedServerHello { hello, random, session_id, retry: random == HELLO_RETRY_RANDOM, alpn })
}

fn chosen_protocol(mut body: Cursor<'_>) -> Option<String> {
    let protocol = body.long()?.short()?;
    Some(String::from_utf8_lossy(protocol.0).into_owned())
}

/// Parses EncryptedExtensions (RFC 8446 §4.3.1): the application protocol chosen, and whether 0-RTT data was accepted.
pub(super) fn encrypted_extensions(body: &[u8]) -> Option<(Option<String>, bool)> {
    let mut extensions = Cursor(body).long()?;
    let (mut alpn, mut early_data) = (None, false);
    while !extensions.is_empty() {
        let (number, body) = (extensions.u16()?, extensions.long()?);
        match number {
            16 => alpn = chosen_protocol(body),
            42 => early_data = true,
            _ => {}
        }
    }
    Some((alpn, early_data))
}

/// Parses a Certificate message: RFC 8446 §4.4.2 has a context before the list and extensions after each
/// certificate, RFC 5246 §7.4.2 has neither.
pub(super) fn certificates(body: &[u8], tls13: bool, stamp: Stamp) -> Option<CertificateChain> {
    let mut cursor = Cursor(body);
    if tls13 {
        cursor.short()?;
    }
    let len = cursor.u24()?;
    let mut list = Cursor(cursor.take(len)?);
    let mut chain = Chain::default();
    while !list.is_empty() {
        let len = list.u24()?;
        chain.push(list.take(len)?);
        if tls13 {
            list.long()?;
        }
    }
    Some(CertificateChain { stamp, certificates: chain.certificates, sent: chain.sent, compressed: None })
}

/// Parses a CompressedCertificate (RFC 8879 §4): the certificates if the algorithm is zlib, else its number.
pub(super) fn compressed_certificate(body: &[u8], stamp: Stamp) -> Option<CertificateChain> {
    const ZLIB: u16 = 1;
    let mut cursor = Cursor(body);
    let (algorithm, len, packed_len) = (cursor.u16()?, cursor.u24()?, cursor.u24()?);
    let packed = cursor.take(packed_len)?;
    if algorithm != ZLIB || len > super::MAX_HANDSHAKE {
        return Some(CertificateChain { stamp, compressed: Some(algorithm), ..CertificateChain::default() });
    }
    let mut message = Vec::new();
    flate2::read::ZlibDecoder::new(packed).take(len as u64 + 1).read_to_end(&mut message).ok()?;
    // RFC 8879 §4: a length other than the announced one is an error.
    (message.len() == len).then(|| certificates(&message, true, stamp))?
}

/// The encrypted premaster secret's first eight bytes in an RSA ClientKeyExchange (RFC 5246 §7.4.7.1).
pub(super) fn encrypted_premaster(body: &[u8]) -> Option<[u8; 8]> {
    Cursor(body).long()?.0.first_chunk::<8>().copied()
}

/// Assembles the messages of one direction from records.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// The message under way, header included. Bound: [`super::MAX_HANDSHAKE`].
    buffer: Vec<u8>,
    /// Bytes of an oversized message still to be skipped.
    skip: usize,
    /// Bytes were missing: message boundaries are not known any more.
    lost: bool,
}

/// What [`Assembler::feed`] yields.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assembled<'a> {
    /// A whole message: type and body.
    Message(u8, &'a [u8]),
    /// The beginning of a message too large to be read.
    Oversized,
}

impl Assembler {
    /// Drops the message under way, because bytes of it are missing.
    pub(super) fn lose(&mut self) {
        self.buffer = Vec::new();
        self.skip = 0;
        self.lost = true;
    }

    /// Starts anew at a known message boundary.
    pub(super) fn restart(&mut self) {
        *self = Assembler::default();
    }

    /// The message under way, as far as it has arrived.
    pub(super) fn partial(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the handshake data of one record and calls `each` with every message it completes.
    pub(super) fn feed(&mut self, mut data: &[u8], mut each: impl FnMut(Assembled<'_>)) {
        if self.lost {
            // A record that holds exactly one message, by its length, begins at a boundary.
            if message_header(data).is_none_or(|(_, len)| len + 4 != data.len()) {
                return;
            }
            self.lost = false;
        }
        while !data.is_empty() {
            if self.skip > 0 {
                let n = self.skip.min(data.len());
                self.skip -= n;
                data = &data[n..];
                continue;
            }
            if self.buffer.is_empty() {
                if let Some((kind, len)) = message_header(data) {
                    if len > super::MAX_HANDSHAKE {
                        self.skip = len + 4;
                        each(Assembled::Oversized);
                        continue;
                    }
                    if let Some(message) = data.get(..len + 4) {
                        each(Assembled::Message(kind, &message[4..]));
                        data = &data[len + 4..];
                        continue;
                    }
                }
                self.buffer.extend_from_slice(data);
                return;
            }
            // The header first, then exactly the rest of the message.
            let Some((kind, len)) = message_header(&self.buffer) else {
                let n = (4 - self.buffer.len()).min(data.len());
                self.buffer.extend_from_slice(&data[..n]);
                data = &data[n..];
                if let Some((_, len)) = message_header(&self.buffer) {
                    if len > super::MAX_HANDSHAKE {
                        self.buffer.clear();
                        self.skip = len;
                        each(Assembled::Oversized);
                    } else if len == 0 {
                        each(Assembled::Message(self.buffer[0], &[]));
                        self.buffer.clear();
                    }
                }
                continue;
            };
            let n = (len + 4 - self.buffer.len()).min(data.len());
            self.buffer.extend_from_slice(&data[..n]);
            data = &data[n..];
            if self.buffer.len() == len + 4 {
                each(Assembled::Message(kind, &self.buffer[4..]));
                self.buffer = Vec::new();
            }
        }
    }
}

fn message_header(data: &[u8]) -> Option<(u8, usize)> {
    let header = data.first_chunk::<4>()?;
    Some((header[0], usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(chunks: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
        let mut assembler = Assembler::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            assembler.feed(chunk, |assembled| match assembled {
                Assembled::Message(kind, body) => seen.push((kind, body.to_vec())),
                Assembled::Oversized => seen.push((255, Vec::new())),
            });
        }
        seen
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let bytes = [14, 0, 0, 0, 20, 0, 0, 3, 7, 8, 9, 0, 0, 0, 0, 11, 0, 0, 1, 5];
        let expected = vec![(14, vec![]), (20, vec![7, 8, 9]), (0, vec![]), (11, vec![5])];
        assert_eq!(messages(&[&bytes]), expected);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                assert_eq!(messages(&[&bytes[..first], &bytes[first..second], &bytes[second..]]), expected);
            }
        }
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(messages(&each), expected);
    }

    #[test]
    fn an_oversized_message_is_passed_over_by_length() {
        let len = super::super::MAX_HANDSHAKE + 1;
        let mut bytes = vec![11, (len >> 16) as u8, (len >> 8) as u8, len as u8];
        bytes.resize(4 + len, 1);
        bytes.extend_from_slice(&[14, 0, 0, 0]);
        let expected = vec![(255, vec![]), (14, vec![])];
        assert_eq!(messages(&[&bytes]), expected);
        for cut in [1, 2, 3, 4, 5, 1000, 4 + len, 4 + len + 2] {
            assert_eq!(messages(&[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn nothing_is_read_after_a_loss_until_a_border_is_known() {
        let mut assembler = Assembler::default();
        let mut count = 0;
        assembler.feed(&[14, 0, 0], |_| count += 1);
        assembler.lose();
        assembler.feed(&[14, 0, 0, 5, 1], |_| count += 1);
        assert_eq!(count, 0);
        assembler.feed(&[14, 0, 0, 1, 7], |_| count += 1);
        assert_eq!(count, 1, "a record of exactly one message is a boundary");
        assembler.lose();
        assembler.restart();
        assembler.feed(&[14, 0, 0, 0, 14, 0, 0, 0], |_| count += 1);
        assert_eq!(count, 3);
    }

    #[test]
    fn a_client_hello_cut_anywhere_never_invents() {
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 4, 0x13, 0x01, 0x0a, 0x0a, 1, 0]);
        let mut extensions = vec![0, 0, 0, 9, 0, 7, 0, 0, 4, b'a', b'.', b'b', b'c'];
        extensions.extend_from_slice(&[0, 43, 0, 3, 2, 3, 4]);
        extensions.extend_from_slice(&[0, 16, 0, 11, 0, 9, 8, b'h', b't', b't', b'p', b'/', b'1', b'.', b'1']);
        extensions.extend_from_slice(&[0, 10, 0, 6, 0, 4, 0x11, 0xec, 0, 29]);
        body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(&extensions);
        let whole = client_hello(&body).expect("a hello").hello;
        assert_eq!(whole.server_name.as_deref(), Some("a.bc"));
        assert_eq!(whole.versions.as_slice(), [Version::TLS13]);
        assert_eq!(whole.alpn.as_slice(), ["http/1.1"]);
        assert_eq!(whole.cipher_suites, [CipherSuite(0x1301)]);
        assert!(whole.post_quantum() && !whole.offers_resumption);
        for cut in 0..body.len() {
            let part = client_hello(&body[..cut]);
            assert_eq!(part.is_some(), cut >= 34);
            let Some(part) = part else { continue };
            assert!(part.hello.server_name.is_none() || part.hello.server_name == whole.server_name);
            assert!(part.hello.alpn.is_empty() || part.hello.alpn == whole.alpn);
            assert!(whole.cipher_suites.starts_with(&part.hello.cipher_suites));
            assert!(whole.groups.starts_with(&part.hello.groups));
        }
    }

    #[test]
    fn compressed_certificates_are_read_as_far_as_their_packing_is_known() {
        use std::io::Write;
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let der = made.cert.der();
        let u24 = |len: usize| (len as u32).to_be_bytes()[1..].to_vec();
        let message = [&[0][..], &u24(der.len() + 5), &u24(der.len()), der, &[0, 0]].concat();
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&message).unwrap();
        let packed = packer.finish().unwrap();
        let body = |algorithm: u8, len: usize| [&[0, algorithm][..], &u24(len), &u24(packed.len()), &packed].concat();
        let plain = certificates(&message, true, Stamp::default()).expect("a chain");
        assert_eq!(compressed_certificate(&body(1, message.len()), Stamp::default()).as_ref(), Some(&plain));
        assert!(plain.leaf().is_some_and(|leaf| leaf.covers("a.example")));
        let brotli = compressed_certificate(&body(2, message.len()), Stamp::default()).expect("a chain");
        assert_eq!((brotli.compressed, brotli.sent), (Some(2), 0));
        assert_eq!(compressed_certificate(&body(1, message.len() - 1), Stamp::default()), None);
        assert_eq!(compressed_certificate(&body(1, message.len() + 1), Stamp::default()), None);
    }

    #[test]
    fn a_server_hello_without_extensions_is_one() {
        let mut body = vec![3, 3];
        body.extend_from_slice(&[9; 32]);
        body.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
        let parsed = server_hello(&body).expect("a hello");
        assert_eq!((parsed.hello.version, parsed.hello.cipher_suite.0, parsed.retry), (Version::TLS12, 0xc02f, false));
        assert!(server_hello(&body[..37]).is_none());
    }
}
