//! Real TLS conversations, made in memory, observed under every way of cutting and losing bytes.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring as provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig, ServerConnection, SideData,
    SupportedCipherSuite, SupportedProtocolVersion,
};

use super::*;
use crate::stream::{Direction, End, GapCause, Side, Stamp, StreamEvent};
use Direction::{ToClient, ToServer};

#[derive(Debug, Default)]
struct Log(Mutex<String>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.0.lock().unwrap().push_str(&format!("{label} {} {}\n", hex(client_random), hex(secret)));
    }
}

/// Accepts any certificate, as a browser does when its user clicks through.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn identity(names: &[&str]) -> Identity {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    Identity { certificate: made.cert.der().clone(), key }
}

struct Setup {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    log: Arc<Log>,
}

#[derive(Clone)]
struct Choice {
    suites: Vec<SupportedCipherSuite>,
    versions: Vec<&'static SupportedProtocolVersion>,
    server_groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    trusting: bool,
    client_auth: bool,
    early_data: bool,
}

impl Choice {
    fn tls13() -> Choice {
        Choice {
            suites: provider::ALL_CIPHER_SUITES.to_vec(),
            versions: vec![&rustls::version::TLS13],
            server_groups: None,
            trusting: true,
            client_auth: false,
            early_data: false,
        }
    }

    fn tls12() -> Choice {
        Choice { versions: vec![&rustls::version::TLS12], ..Choice::tls13() }
    }

    fn setup(&self) -> Setup {
        let log = Arc::new(Log::default());
        let own = identity(&["app.example", "*.wild.example", "10.1.2.3"]);
        let crypto = CryptoProvider { cipher_suites: self.suites.clone(), ..provider::default_provider() };
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto.clone()))
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = if self.trusting {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting))
        } else {
            builder.with_root_certificates(RootCertStore::empty())
        };
        let mut client = builder.with_no_client_auth();
        client.key_log = log.clone();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        client.enable_early_data = self.early_data;
        let mut server_crypto = crypto;
        if let Some(groups) = &self.server_groups {
            server_crypto.kx_groups = groups.clone();
        }
        let server_crypto = Arc::new(server_crypto);
        let builder =
            ServerConfig::builder_with_provider(server_crypto.clone()).with_protocol_versions(&self.versions).unwrap();
        let builder = if self.client_auth {
            let mut roots = RootCertStore::empty();
            roots.add(own.certificate.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), server_crypto).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut server = builder.with_single_cert(vec![own.certificate], own.key).unwrap();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.early_data {
            server.max_early_data_size = 16 * 1024;
        }
        Setup { client: Arc::new(client), server: Arc::new(server), log }
    }
}

/// What went over the wire, and what was meant.
#[derive(Default)]
struct Talk {
    flights: Vec<(Direction, Vec<u8>)>,
    plain: [Vec<u8>; 2],
    failed: bool,
}

struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    talk: Talk,
}

fn moved<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
    direction: Direction,
    talk: &mut Talk,
) -> bool {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut rest = wire.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        talk.failed |= to.process_new_packets().is_err();
        let mut sink = Vec::new();
        let _ = to.reader().read_to_end(&mut sink);
    }
    let any = !wire.is_empty();
    if any {
        talk.flights.push((direction, wire));
    }
    any
}

impl Pair {
    fn new(setup: &Setup) -> Pair {
        let name = ServerName::try_from("app.example").unwrap();
        Pair {
            client: ClientConnection::new(setup.client.clone(), name).unwrap(),
            server: ServerConnection::new(setup.server.clone()).unwrap(),
            talk: Talk::default(),
        }
    }

    /// Moves bytes until neither side has anything to send.
    fn settle(&mut self) -> &mut Self {
        loop {
            let there = moved(&mut self.client, &mut self.server, ToServer, &mut self.talk);
            let back = moved(&mut self.server, &mut self.client, ToClient, &mut self.talk);
            if !there && !back {
                return self;
            }
        }
    }

    fn say(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        self.talk.plain[direction.index()].extend_from_slice(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = match direction {
                ToServer => self.client.writer().write(rest).unwrap(),
                ToClient => self.server.writer().write(rest).unwrap(),
            };
            rest = &rest[n..];
            self.settle();
        }
        self
    }

    /// A conversation with short and long messages; every byte position has a value of its own kind.
    fn converse(&mut self) -> &mut Self {
        self.settle();
        for (number, len) in [170, 129, 1, 40_000, 300, 16_384, 2, 9000, 5, 25, 70, 1300].into_iter().enumerate() {
            let direction = if number % 2 == 0 { ToServer } else { ToClient };
            let message: Vec<u8> = (0..len).map(|at| (at * 7 + number * 31 + at / 251) as u8).collect();
            self.say(direction, &message);
        }
        self
    }

    fn close(&mut self) -> Talk {
        self.client.send_close_notify();
        self.settle();
        self.server.send_close_notify();
        self.settle();
        std::mem::take(&mut self.talk)
    }
}

fn keys(setup: &Setup) -> KeyLog {
    let mut keys = KeyLog::new();
    keys.add(setup.log.0.lock().unwrap().as_bytes());
    keys
}

/// What left the observer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    plain: [Vec<u8>; 2],
    gaps: [Vec<(u64, u64)>; 2],
    ends: [Option<End>; 2],
    pieces: [Vec<(u64, Vec<u8>)>; 2],
}

impl Heard {
    fn take(&mut self, direction: Direction, event: StreamEvent<'_>) {
        let index = direction.index();
        assert_eq!(self.ends[index], None, "nothing follows an end");
        let told: u64 = self.plain[index].len() as u64 + self.gaps[index].iter().map(|gap| gap.1).sum::<u64>();
        match event {
            StreamEvent::Data { offset, bytes } => {
                assert_eq!(offset, told, "offsets count bytes");
                assert!(!bytes.is_empty());
                self.plain[index].extend_from_slice(bytes);
                self.pieces[index].push((offset, bytes.to_vec()));
            }
            StreamEvent::Gap { offset, len, .. } => {
                assert_eq!(offset, told, "offsets count bytes");
                assert!(len > 0);
                self.gaps[index].push((offset, len));
            }
            StreamEvent::End(end) => self.ends[index] = Some(end),
        }
    }
}

/// Feeds a talk in pieces, whose lengths `cut` gives.
fn observe(talk: &Talk, keys: &KeyLog, mut cut: impl FnMut() -> usize) -> (TlsFacts, Heard) {
    let (mut tls, mut heard) = (Tls::new(), Heard::default());
    let mut offsets = [0; 2];
    let mut stamp = Stamp::default();
    for (direction, flight) in &talk.flights {
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            let (bytes, after) = rest.split_at(cut().clamp(1, rest.len()));
            rest = after;
            stamp = Stamp { packet: stamp.packet + 1, at: stamp.at + 1_000_000 };
            let offset = offsets[direction.index()];
            offsets[direction.index()] += bytes.len() as u64;
            tls.feed(stamp, *direction, StreamEvent::Data { offset, bytes }, keys, &mut |_, direction, event| {
                heard.take(direction, event);
            });
        }
    }
    for direction in Direction::BOTH {
        tls.feed(stamp, direction, StreamEvent::End(End::Rst), keys, &mut |_, direction, event| {
            heard.take(direction, event);
        });
    }
    (tls.into_facts(), heard)
}

/// A small generator of numbers, the same on every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn without_stamps(facts: &TlsFacts) -> TlsFacts {
    let mut facts = facts.clone();
    let none = Stamp::default();
    let blank = |stamp: &mut Option<Stamp>| {
        if let Some(stamp) = stamp {
            *stamp = none;
        }
    };
    if let Some(hello) = &mut facts.client_hello {
        (hello.stamp, hello.completed, hello.segments) = (none, Some(none), 0);
    }
    if let Some(hello) = &mut facts.server_hello {
        hello.stamp = none;
    }
    for chain in [&mut facts.server_certificates, &mut facts.client_certificates].into_iter().flatten() {
        chain.stamp = none;
    }
    for fact in [
        &mut facts.hello_retry_request,
        &mut facts.alpn_seen,
        &mut facts.certificate_request,
        &mut facts.server_hello_done,
        &mut facts.client_key_exchange,
    ] {
        blank(fact);
    }
    facts.alerts.iter_mut().for_each(|alert| alert.stamp = none);
    for flow in &mut facts.flows {
        flow.first.iter_mut().for_each(|record| record.stamp = none);
        let last: Vec<RecordMark> = flow.last.iter().copied().collect();
        flow.last = LastRecords::default();
        last.into_iter().for_each(|record| flow.last.push(RecordMark { stamp: none, ..record }));
        [&mut flow.change_cipher_spec, &mut flow.finished, &mut flow.close_notify].into_iter().for_each(blank);
        flow.ended = flow.ended.map(|(_, end)| (none, end));
    }
    facts
}

fn suites(version: &'static SupportedProtocolVersion) -> Vec<SupportedCipherSuite> {
    provider::ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| suite.version().version == version.version)
        // The certificates made here have EC keys.
        .filter(|suite| !format!("{:?}", suite.suite()).contains("_RSA_"))
        .collect()
}

#[test]
fn every_suite_is_opened_under_every_cut() {
    let versions = [(&rustls::version::TLS13, Version::TLS13), (&rustls::version::TLS12, Version::TLS12)];
    for (version, number) in versions {
        let suites = suites(version);
        assert_eq!(suites.len(), 3);
        for suite in suites {
            let setup = Choice { suites: vec![suite], versions: vec![version], ..Choice::tls13() }.setup();
            let talk = Pair::new(&setup).converse().close();
            let keys = keys(&setup);
            let (facts, heard) = observe(&talk, &keys, || usize::MAX);
            assert_eq!(heard.plain, talk.plain, "{suite:?}");
            assert_eq!(heard.ends, [Some(End::Fin); 2], "close_notify is the end");
            assert!(heard.gaps.iter().all(Vec::is_empty));
            assert_eq!(facts.version(), Some(number));
            assert_eq!(facts.cipher_suite().map(|suite| suite.0), Some(u16::from(suite.suite())));
            assert_eq!((facts.server_name(), facts.alpn.as_deref()), (Some("app.example"), Some("http/1.1")));
            let leaf = facts.server_certificates.as_ref().and_then(|chain| chain.leaf()).unwrap();
            assert!(leaf.covers(facts.server_name().unwrap()));
            assert!(facts.decrypted() && facts.handshake_complete() && !facts.resumed() && !facts.mid_stream);
            assert_eq!(facts.decryption.records_failed, 0);
            assert_eq!(facts.decryption.trouble, [None; 2]);
            assert!(facts.flows.iter().all(|flow| flow.close_notify.is_some()));
            assert_eq!(facts.alerts.iter().map(|alert| alert.code).collect::<Vec<_>>(), [Some(0), Some(0)]);
            let expected = without_stamps(&facts);
            let mut seeded = Seeded(42);
            let mut cuts: Vec<Box<dyn FnMut() -> usize>> = vec![Box::new(|| 1), Box::new(|| 6), Box::new(|| 1460)];
            cuts.push(Box::new(move || 1 + seeded.below(3000)));
            for cut in &mut cuts {
                let (again, heard) = observe(&talk, &keys, cut);
                assert_eq!(heard.plain, talk.plain);
                assert_eq!(without_stamps(&again), expected);
            }
        }
    }
}

#[test]
fn without_keys_nothing_leaves_and_the_outside_is_the_same() {
    for choice in [Choice::tls13(), Choice::tls12()] {
        let setup = choice.setup();
        let talk = Pair::new(&setup).converse().close();
        let (open, _) = observe(&talk, &keys(&setup), || 1460);
        let (facts, heard) = observe(&talk, &KeyLog::new(), || 1460);
        assert_eq!(heard, Heard::default());
        assert!(!facts.decrypted() && !facts.decryption.secrets);
        assert_eq!(
            facts.decryption.trouble.map(|trouble| trouble.map(|(_, trouble)| trouble)),
            [Some(Trouble::SecretMissing); 2]
        );
        for (with, without) in open.flows.iter().zip(&facts.flows) {
            assert_eq!((with.records, with.application_records), (without.records, without.application_records));
            assert_eq!((&with.first, &with.last), (&without.first, &without.last));
        }
        assert_eq!(facts.certificate_hidden(), facts.version() == Some(Version::TLS13));
    }
}

#[test]
fn a_secret_of_another_connection_is_named_and_believed_in_nothing() {
    for choice in [Choice::tls13(), Choice::tls12()] {
        let setup = choice.setup();
        let talk = Pair::new(&setup).converse().close();
        // The right randoms, with secrets that belong to nothing.
        let text = setup.log.0.lock().unwrap().clone();
        let lines = text.lines().map(|line| {
            let (rest, secret) = line.rsplit_once(' ').unwrap();
            let wrong: String = secret.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect();
            format!("{rest} {wrong}\n")
        });
        let mut keys = KeyLog::new();
        keys.add(lines.collect::<String>().as_bytes());
        assert!(!keys.is_empty());
        let (facts, heard) = observe(&talk, &keys, || 1460);
        assert_eq!(heard, Heard::default());
        assert!(facts.decryption.secrets && !facts.decrypted());
        assert!(facts.decryption.records_failed > 0);
    }
}

#[test]
fn many_failures_make_a_secret_wrong() {
    let setup = Choice { suites: vec![provider::cipher_suite::TLS13_AES_256_GCM_SHA384], ..Choice::tls13() }.setup();
    let mut pair = Pair::new(&setup);
    pair.settle();
    for number in 0..100 {
        pair.say(ToServer, &[number; 10]);
    }
    let talk = pair.close();
    let text = setup.log.0.lock().unwrap().clone();
    let random = text.split_whitespace().nth(1).unwrap();
    let mut keys = KeyLog::new();
    keys.add(format!("CLIENT_TRAFFIC_SECRET_0 {random} {}\n", "5a".repeat(48)).as_bytes());
    let (facts, heard) = observe(&talk, &keys, || usize::MAX);
    assert_eq!(heard, Heard::default());
    assert_eq!(facts.decryption.trouble[0].map(|(_, trouble)| trouble), Some(Trouble::SecretWrong));
}

#[test]
fn key_updates_are_followed() {
    let setup = Choice::tls13().setup();
    let mut pair = Pair::new(&setup);
    pair.converse();
    for _ in 0..3 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.say(ToServer, b"after the client's update").say(ToClient, b"answer");
        pair.server.refresh_traffic_keys().unwrap();
        pair.say(ToClient, b"after the server's update").say(ToServer, b"answer");
    }
    let talk = pair.close();
    let (facts, heard) = observe(&talk, &keys(&setup), || 100);
    assert_eq!(heard.plain, talk.plain);
    assert_eq!(facts.decryption.records_failed, 0);
}

#[test]
fn resumption_shows_as_such() {
    for choice in [Choice::tls13(), Choice::tls12()] {
        let setup = choice.setup();
        let first = Pair::new(&setup).converse().close();
        let (facts, _) = observe(&first, &keys(&setup), || usize::MAX);
        assert!(!facts.resumed() && facts.server_certificates.is_some());
        let again = Pair::new(&setup).converse().close();
        let (facts, heard) = observe(&again, &keys(&setup), || 1000);
        assert!(facts.resumed(), "{:?}", facts.version());
        assert!(facts.client_hello.as_ref().is_some_and(|hello| hello.offers_resumption));
        assert_eq!(facts.server_certificates, None);
        assert_eq!(heard.plain, again.plain);
        // And without keys, too.
        assert!(observe(&again, &KeyLog::new(), || 1000).0.resumed());
    }
}

#[test]
fn early_data_is_handed_out_once_the_server_accepts_it() {
    let setup = Choice { early_data: true, ..Choice::tls13() }.setup();
    drop(Pair::new(&setup).converse().close());
    let mut pair = Pair::new(&setup);
    let early = b"GET /early HTTP/1.1\r\n\r\n";
    pair.client.early_data().expect("a ticket that allows it").write_all(early).unwrap();
    pair.talk.plain[0].extend_from_slice(early);
    pair.settle();
    assert!(pair.client.is_early_data_accepted());
    let talk = pair.converse().close();
    let (facts, heard) = observe(&talk, &keys(&setup), || 700);
    assert!(facts.client_hello.as_ref().is_some_and(|hello| hello.offers_early_data));
    assert!(facts.early_data_accepted);
    assert_eq!(heard.plain, talk.plain);
}

#[test]
fn early_data_that_is_refused_is_not_handed_out() {
    let setup = Choice { early_data: true, ..Choice::tls13() }.setup();
    drop(Pair::new(&setup).converse().close());
    let mut server = ServerConfig::clone(&setup.server);
    server.max_early_data_size = 0;
    let setup = Setup { server: Arc::new(server), ..setup };
    let mut pair = Pair::new(&setup);
    pair.client.early_data().expect("a ticket that allows it").write_all(b"refused").unwrap();
    pair.settle();
    assert!(!pair.client.is_early_data_accepted());
    let talk = pair.converse().close();
    let (facts, heard) = observe(&talk, &keys(&setup), || 700);
    assert!(!facts.early_data_accepted);
    assert_eq!(heard.plain, talk.plain);
}

#[test]
fn a_retry_of_the_hello_is_seen() {
    let setup = Choice { server_groups: Some(vec![provider::kx_group::SECP384R1]), ..Choice::tls13() }.setup();
    let talk = Pair::new(&setup).converse().close();
    let (facts, heard) = observe(&talk, &keys(&setup), || 50);
    assert!(facts.hello_retry_request.is_some());
    assert_eq!(facts.server_hello.as_ref().and_then(|hello| hello.group), Some(NamedGroup(0x18)));
    assert_eq!(heard.plain, talk.plain);
}

#[test]
fn a_refused_certificate_shows_its_alert_in_clear_or_decrypted() {
    for (choice, visibility) in
        [(Choice::tls12(), AlertVisibility::Plaintext), (Choice::tls13(), AlertVisibility::Decrypted)]
    {
        let setup = Choice { trusting: false, ..choice }.setup();
        let mut pair = Pair::new(&setup);
        pair.settle();
        assert!(pair.talk.failed);
        let talk = std::mem::take(&mut pair.talk);
        let (facts, heard) = observe(&talk, &keys(&setup), || 1);
        assert_eq!(heard, Heard::default());
        let alert = facts.first_error_alert().expect("an alert");
        assert_eq!((alert.from, alert.code, alert.visibility), (Side::Client, Some(48), visibility));
        assert_eq!((alert.description(), alert.level_name()), (Some("unknown_ca"), Some("fatal")));
        let leaf = facts.server_certificates.as_ref().and_then(CertificateChain::leaf).expect("a certificate");
        assert!(leaf.self_signed && leaf.covers("any.wild.example") && !leaf.covers("wild.example"));
        assert!(leaf.covers("10.1.2.3") && !leaf.covers("10.1.2.4") && !leaf.covers("a.b.wild.example"));
        assert!(matches!(leaf.key, KeyType::Ec(256)));
        let meaning = traffic_analysis::handshake(&facts).map(|reading| (reading.meaning, reading.certainty));
        assert_eq!(
            meaning,
            Some((traffic_analysis::Meaning::ClientRefusedCertificate(Some(48)), traffic_analysis::Certainty::Proven))
        );
    }
    // The same without keys: a guess from the length, and said to be one.
    let setup = Choice { trusting: false, ..Choice::tls13() }.setup();
    let mut pair = Pair::new(&setup);
    pair.settle();
    let (facts, _) = observe(&pair.talk, &KeyLog::new(), || 1460);
    let meaning = traffic_analysis::handshake(&facts).map(|reading| (reading.meaning, reading.certainty));
    assert_eq!(
        meaning,
        Some((traffic_analysis::Meaning::ClientRefusedCertificate(None), traffic_analysis::Certainty::Likely))
    );
}

#[test]
fn a_client_without_the_certificate_asked_for_is_seen() {
    for choice in [Choice::tls12(), Choice::tls13()] {
        let setup = Choice { client_auth: true, ..choice }.setup();
        let mut pair = Pair::new(&setup);
        pair.settle();
        assert!(pair.talk.failed);
        let (facts, _) = observe(&pair.talk, &keys(&setup), || 33);
        assert!(facts.certificate_request.is_some());
        assert_eq!(facts.client_certificates.as_ref().map(|chain| chain.sent), Some(0));
        let reading = traffic_analysis::handshake(&facts).expect("a reading");
        assert!(matches!(reading.meaning, traffic_analysis::Meaning::ServerRefusedClient(Some(_))), "{reading:?}");
    }
}

/// A talk after which each direction's bytes are a list of whole records.
fn records(flight: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut records) = (flight, Vec::new());
    while rest.len() >= 5 {
        let (record, after) = rest.split_at(5 + usize::from(u16::from_be_bytes([rest[3], rest[4]])));
        records.push(record);
        rest = after;
    }
    records
}

/// Feeds the conversation with bytes missing: `lose` decides for each piece whether it is lost.
fn observe_lossy(
    talk: &Talk,
    keys: &KeyLog,
    mut cut: impl FnMut() -> usize,
    mut lose: impl FnMut(Direction, u64, usize) -> bool,
) -> (TlsFacts, Heard) {
    let (mut tls, mut heard) = (Tls::new(), Heard::default());
    let mut offsets = [0u64; 2];
    let mut packet = 0;
    for (direction, flight) in &talk.flights {
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            let (bytes, after) = rest.split_at(cut().clamp(1, rest.len()));
            rest = after;
            packet += 1;
            let offset = offsets[direction.index()];
            offsets[direction.index()] += bytes.len() as u64;
            let event = if lose(*direction, offset, bytes.len()) {
                StreamEvent::Gap { offset, len: bytes.len() as u64, cause: GapCause::NotCaptured }
            } else {
                StreamEvent::Data { offset, bytes }
            };
            let stamp = Stamp { packet, at: packet as i64 };
            tls.feed(stamp, *direction, event, keys, &mut |_, direction, event| heard.take(direction, event));
        }
    }
    for direction in Direction::BOTH {
        let stamp = Stamp { packet, at: packet as i64 };
        tls.feed(stamp, direction, StreamEvent::End(End::Rst), keys, &mut |_, d, event| heard.take(d, event));
    }
    (tls.into_facts(), heard)
}

/// Every byte passed on must be one that was sent, and at its offset as far as offsets are known.
fn assert_nothing_invented(talk: &Talk, heard: &Heard) {
    for index in 0..2 {
        let plain = &talk.plain[index];
        let mut known_until = heard.gaps[index].iter().find(|gap| gap.1 >= UNKNOWN_GAP).map_or(u64::MAX, |gap| gap.0);
        for (offset, bytes) in &heard.pieces[index] {
            if *offset < known_until {
                let at = *offset as usize;
                assert_eq!(plain.get(at..at + bytes.len()), Some(bytes.as_slice()), "at {at}");
            } else {
                known_until = 0;
                assert!(plain.windows(bytes.len()).any(|window| window == bytes), "bytes that nobody said");
            }
        }
    }
}

#[test]
fn a_hole_in_a_record_costs_that_record_only() {
    for choice in [Choice::tls13(), Choice::tls12()] {
        for suite in suites(choice.versions[0]) {
            let setup = Choice { suites: vec![suite], ..choice.clone() }.setup();
            let mut pair = Pair::new(&setup);
            pair.settle();
            for number in 0..20u8 {
                pair.say(ToServer, &vec![number; 100 + usize::from(number)]);
            }
            let talk = pair.close();
            // The tenth application record: its middle is missing.
            let mut seen = 0;
            let mut tenth = None;
            let mut at = 0u64;
            for (direction, flight) in &talk.flights {
                for record in records(flight) {
                    if *direction == ToServer {
                        if record[0] == 23 && record.len() > 115 {
                            seen += 1;
                            if seen == 10 {
                                tenth = Some(at..at + record.len() as u64);
                            }
                        }
                        at += record.len() as u64;
                    }
                }
            }
            let tenth = tenth.expect("ten records");
            let mut lost = 0;
            let (facts, heard) = observe_lossy(
                &talk,
                &keys(&setup),
                || 10,
                |direction, offset, len| {
                    let lose = direction == ToServer && offset > tenth.start + 10 && offset + (len as u64) < tenth.end;
                    lost += usize::from(lose);
                    lose
                },
            );
            assert!(lost > 3);
            assert_nothing_invented(&talk, &heard);
            assert_eq!(heard.gaps[0].len(), 1, "{suite:?}");
            let (offset, len) = heard.gaps[0][0];
            assert!(len < 120, "the exact length is known: {len}");
            assert_eq!(talk.plain[0][..offset as usize], heard.plain[0][..offset as usize]);
            assert_eq!(talk.plain[0][(offset + len) as usize..], heard.plain[0][offset as usize..]);
            assert_eq!(facts.decryption.resumed_after_gap, 1);
        }
    }
}

#[test]
fn lost_packets_are_survived_without_inventing_anything() {
    let mut resumed = 0;
    let mut exact = 0;
    for choice in [Choice::tls13(), Choice::tls12()] {
        let setup = choice.setup();
        let mut pair = Pair::new(&setup);
        pair.converse();
        for number in 0..60u8 {
            let direction = if number % 3 == 0 { ToServer } else { ToClient };
            let message: Vec<u8> = (0..50 + usize::from(number) * 40).map(|at| (at * 13) as u8 ^ number).collect();
            pair.say(direction, &message);
        }
        let talk = pair.close();
        let keys = keys(&setup);
        for seed in 1..150u64 {
            let mut seeded = Seeded(seed * 0x9e37_79b9);
            let mut losing = Seeded(seed * 77 + 1);
            let rate = 5 + losing.below(60);
            let (facts, heard) = observe_lossy(
                &talk,
                &keys,
                || 1 + seeded.below(1460),
                |_, offset, _| offset > 5000 && losing.below(rate) == 0,
            );
            assert_nothing_invented(&talk, &heard);
            resumed += facts.decryption.resumed_after_gap;
            exact += heard.gaps.iter().flatten().filter(|gap| gap.1 < UNKNOWN_GAP).count();
        }
    }
    assert!(resumed > 500 && exact > 300, "{resumed} {exact}");
}

#[test]
fn losses_in_the_handshake_are_survived_too() {
    for choice in [Choice::tls13(), Choice::tls12()] {
        let setup = choice.setup();
        let talk = Pair::new(&setup).converse().close();
        let keys = keys(&setup);
        for seed in 1..300u64 {
            let (mut cutting, mut losing) = (Seeded(seed * 31), Seeded(seed * 1001));
            let (_, heard) = observe_lossy(&talk, &keys, || 1 + cutting.below(300), |_, _, _| losing.below(20) == 0);
            assert_nothing_invented(&talk, &heard);
        }
    }
}

#[test]
fn a_key_update_among_lost_records_is_made_good() {
    let setup = Choice::tls13().setup();
    let mut pair = Pair::new(&setup);
    pair.settle();
    for number in 0..6u8 {
        pair.say(ToServer, &[number; 60]);
    }
    let before: usize =
        pair.talk.flights.iter().filter(|flight| flight.0 == ToServer).map(|flight| flight.1.len()).sum();
    pair.client.refresh_traffic_keys().unwrap();
    pair.say(ToServer, b"lost with the update");
    let after: usize =
        pair.talk.flights.iter().filter(|flight| flight.0 == ToServer).map(|flight| flight.1.len()).sum();
    pair.say(ToServer, b"heard again");
    let talk = pair.close();
    let (_, heard) = observe_lossy(
        &talk,
        &keys(&setup),
        || usize::MAX,
        |direction, offset, _| direction == ToServer && (before as u64..after as u64).contains(&offset),
    );
    assert_nothing_invented(&talk, &heard);
    assert_eq!(heard.gaps[0], [(360, UNKNOWN_GAP)]);
    assert!(heard.plain[0].ends_with(b"heard again"));
}

#[test]
fn secrets_that_come_late_are_used_from_then_on() {
    for choice in [Choice::tls13(), Choice::tls12()] {
        let setup = choice.setup();
        let mut pair = Pair::new(&setup);
        pair.settle();
        for number in 0..30u8 {
            pair.say(ToServer, &[number; 40]);
        }
        let talk = pair.close();
        let known = keys(&setup);
        let (mut tls, mut heard, nothing) = (Tls::new(), Heard::default(), KeyLog::new());
        for (number, (direction, bytes)) in talk.flights.iter().enumerate() {
            let keys = if number < talk.flights.len() / 2 { &nothing } else { &known };
            let event = StreamEvent::Data { offset: 0, bytes };
            tls.feed(Stamp::default(), *direction, event, keys, &mut |_, direction, event| {
                heard.take(direction, event)
            });
        }
        assert_eq!(heard.gaps[0], [(0, UNKNOWN_GAP)]);
        assert!(heard.plain[0].len() > 400 && talk.plain[0].ends_with(&heard.plain[0]));
    }
}

#[test]
fn a_stream_joined_late_is_opened_when_the_log_holds_its_secret() {
    let setup = Choice::tls13().setup();
    drop(Pair::new(&setup).converse().close());
    let mut pair = Pair::new(&setup);
    pair.settle();
    for number in 0..10u8 {
        pair.say(ToServer, &[number; 40]).say(ToClient, &[number ^ 0xff; 30]);
    }
    let from = pair.talk.flights.len();
    for number in 0..10u8 {
        pair.say(ToServer, &[number; 40]).say(ToClient, &[number ^ 0xff; 30]);
    }
    let mut talk = pair.close();
    talk.flights.drain(..from);
    assert!(talk.flights.iter().all(|flight| Tls::sniff_midstream(&flight.1) == Sniff::Yes));
    let (facts, heard) = observe(&talk, &keys(&setup), || 7);
    assert!(facts.mid_stream && facts.client_hello.is_none() && facts.decrypted());
    for index in 0..2 {
        assert_eq!(heard.gaps[index], [(0, UNKNOWN_GAP)]);
        assert_eq!(heard.plain[index], talk.plain[index][talk.plain[index].len() / 2..]);
    }
    let (facts, heard) = observe(&talk, &KeyLog::new(), || 7);
    assert!(facts.mid_stream);
    assert_eq!(heard, Heard::default());
}

#[test]
fn an_answer_that_is_no_tls_is_kept() {
    let setup = Choice::tls13().setup();
    let mut pair = Pair::new(&setup);
    let mut hello = Vec::new();
    pair.client.write_tls(&mut hello).unwrap();
    let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    for cut in [1, 3, 5, 1000] {
        let talk = Talk { flights: vec![(ToServer, hello.clone()), (ToClient, answer.to_vec())], ..Talk::default() };
        let (facts, heard) = observe(&talk, &KeyLog::new(), || cut);
        let not_tls = facts.not_tls.expect("no TLS");
        assert!(not_tls.first && not_tls.is_http() && not_tls.is_text() && not_tls.from == Side::Server);
        assert_eq!(not_tls.bytes.as_slice(), answer);
        assert_eq!(heard, Heard::default());
    }
}

#[test]
fn half_a_client_hello_is_a_fact() {
    let setup = Choice::tls13().setup();
    let mut hello = Vec::new();
    Pair::new(&setup).client.write_tls(&mut hello).unwrap();
    let (whole, _) =
        observe(&Talk { flights: vec![(ToServer, hello.clone())], ..Talk::default() }, &KeyLog::new(), || 100);
    let whole = whole.client_hello.expect("a hello");
    assert_eq!((whole.size as usize, whole.segments as usize), (hello.len(), hello.len().div_ceil(100)));
    for len in 6..hello.len() {
        let talk = Talk { flights: vec![(ToServer, hello[..len].to_vec())], ..Talk::default() };
        let (facts, _) = observe(&talk, &KeyLog::new(), || 60);
        let part = facts.client_hello.expect("a part");
        assert_eq!((part.completed, part.segments as usize), (None, len.div_ceil(60)));
        assert!(part.size == whole.size || len < 9);
        assert!(part.server_name.is_none() || part.server_name == whole.server_name);
        assert!(!facts.mid_stream);
    }
}

#[test]
fn sniffing_wants_a_client_hello_and_nothing_else() {
    assert_eq!(Tls::sniff(&[22, 3, 1, 2, 0, 1]), Sniff::Yes);
    for len in 0..6 {
        assert_eq!(Tls::sniff(&[22, 3, 1, 2, 0, 1][..len]), Sniff::Maybe);
    }
    assert_eq!(Tls::sniff(&[22, 3, 1, 2, 0, 2]), Sniff::No);
    assert_eq!(Tls::sniff(b"GET / HTTP/1.1"), Sniff::No);
    assert_eq!(Tls::sniff(b"PRI * HTTP/2.0"), Sniff::No);
    assert_eq!(Tls::sniff_midstream(&[23, 3, 3, 0, 2, 9, 9]), Sniff::Yes);
    assert_eq!(Tls::sniff_midstream(&[23, 3, 3, 0, 3, 9, 9]), Sniff::Maybe);
    assert_eq!(Tls::sniff_midstream(&[0x81, 5, 1, 2, 3, 4, 5]), Sniff::No);
    assert_eq!(Tls::sniff_midstream(&[23, 3, 3, 0, 2, 9, 9, 0x81]), Sniff::No);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Arbitrary input breaks nothing, and nothing is passed on that no key has opened.
        #[test]
        fn junk_is_survived(pieces in proptest::collection::vec((any::<bool>(), 0u8..8, proptest::collection::vec(any::<u8>(), 0..200)), 0..30)) {
            let mut keys = KeyLog::new();
            keys.add(format!("SERVER_TRAFFIC_SECRET_0 {} {}\n", "00".repeat(32), "11".repeat(32)).as_bytes());
            let mut tls = Tls::new();
            for (to_server, what, body) in pieces {
                let direction = if to_server { ToServer } else { ToClient };
                let framed = [&[20 + what, 3, 3, 0, body.len() as u8][..], &body].concat();
                let event = match what {
                    0..=4 => StreamEvent::Data { offset: 0, bytes: &framed },
                    5 => StreamEvent::Gap { offset: 0, len: body.len() as u64 * 1000, cause: GapCause::SnapLength },
                    6 => StreamEvent::End(End::Fin),
                    _ => StreamEvent::Data { offset: 0, bytes: &body },
                };
                tls.feed(Stamp::default(), direction, event, &keys, &mut |_, _, _| panic!("nothing can be opened"));
            }
            let facts = tls.facts();
            let _ = (traffic_analysis::handshake(facts), traffic_analysis::closing(facts), traffic_analysis::websocket(facts));
        }

        /// A real conversation with damaged bytes: what leaves was said.
        #[test]
        fn damage_is_never_passed_on(seed in 1u64.., hits in 1usize..6) {
            let setup = setup();
            let mut seeded = Seeded(seed);
            let mut flights = setup.1.flights.clone();
            for _ in 0..hits {
                let flight = seeded.below(flights.len());
                let at = seeded.below(flights[flight].1.len());
                flights[flight].1[at] ^= 1 << seeded.below(8);
            }
            let talk = Talk { flights, plain: setup.1.plain.clone(), failed: false };
            let (_, heard) = observe(&talk, &setup.0, || 1460);
            assert_nothing_invented(&talk, &heard);
        }
    }

    fn setup() -> &'static (KeyLog, Talk) {
        static SETUP: std::sync::OnceLock<(KeyLog, Talk)> = std::sync::OnceLock::new();
        SETUP.get_or_init(|| {
            let setup = Choice::tls13().setup();
            let talk = Pair::new(&setup).converse().close();
            (keys(&setup), talk)
        })
    }
}
