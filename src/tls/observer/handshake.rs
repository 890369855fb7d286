//! Handshake messages, ChangeCipherSpec and alerts: what they prove, and the keys that follow from them.

use smallvec::SmallVec;

use super::super::alert;
use super::super::facts::{Alert, AlertVisibility, ClientHello, Version};
use super::super::handshake::{self, Assembled, kind};
use super::super::keylog::KeyLog;
use super::super::record::{HANDSHAKE, HEADER_LEN};
use super::super::suite::Parameters;
use super::Tls;
use crate::stream::{Direction, End, Stamp, StreamEvent};

impl Tls {
    pub(super) fn change_cipher_spec(&mut self, stamp: Stamp, direction: Direction) {
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

    pub(super) fn alert(
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
            self.emit_end(stamp, direction, End::Fin, out);
        }
    }

    pub(super) fn handshake(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        data: &[u8],
        protected: bool,
        keys: &KeyLog,
        out: &mut impl FnMut(Stamp, Direction, StreamEvent<'_>),
    ) {
        let mut assembler = std::mem::take(&mut self.readers[direction.index()].handshake);
        assembler.feed(data, |assembled| match assembled {
            Assembled::Message(number, body) => {
                if self.message(stamp, direction, number, body, protected, keys, out).is_none() {
                    self.facts.malformed_messages = self.facts.malformed_messages.saturating_add(1);
                }
            }
            Assembled::Oversized => self.facts.oversized_messages = self.facts.oversized_messages.saturating_add(1),
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
            && (direction == Direction::ToServer || self.hello_started.is_none())
        {
            self.facts.mid_stream = true;
            self.session.mid_stream = true;
        }
        match (direction, number) {
            (Direction::ToServer, kind::CLIENT_HELLO) => {
                let parsed = handshake::client_hello(body)?;
                self.client_hello(stamp, parsed, body.len());
            }
            (Direction::ToClient, kind::SERVER_HELLO) => {
                let parsed = handshake::server_hello(body)?;
                self.server_hello(stamp, parsed, protected);
            }
            (Direction::ToClient, kind::ENCRYPTED_EXTENSIONS) if tls13 => {
                let (alpn, early_data) = handshake::encrypted_extensions(body)?;
                self.facts.alpn = alpn;
                self.facts.alpn_seen = Some(stamp);
                self.decide_early_data(early_data, out);
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
                self.readers[index].channel.update();
            }
            _ => {}
        }
        self.facts.decryption.handshake |= tls13 && protected;
        Some(())
    }

    fn client_hello(&mut self, stamp: Stamp, parsed: handshake::ParsedClientHello, len: usize) {
        let handshake::ParsedClientHello { mut hello, random, session_id } = parsed;
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
            hello.stamp = self.hello_started.unwrap_or(stamp);
            hello.completed = Some(stamp);
            hello.size = (HEADER_LEN + 4 + len) as u32;
            hello.segments = self.hello_segments.max(1);
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

    /// Records the part of a ClientHello that will never be complete.
    pub(super) fn partial_hello(&mut self) {
        let Some(begun) = self.hello_started else { return };
        let reader = &self.readers[Direction::ToServer.index()];
        if self.facts.client_hello.is_some() || self.facts.mid_stream {
            return;
        }
        let mut bytes = reader.handshake.partial().to_vec();
        if reader.in_body && reader.collect && reader.current.kind == HANDSHAKE {
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
        hello.segments = self.hello_segments;
        hello.record_version = reader.current.version;
        self.session.client_random = random;
        self.facts.client_hello = Some(hello);
    }
}
