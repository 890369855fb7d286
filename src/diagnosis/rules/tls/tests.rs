//! What each client does with each bad certificate, and everything else that ends a handshake, told in TCP segments.

use super::*;
use crate::connection::{ConnectionRecord, Context, EntryEvent, Interest, Keys, Stack};
use crate::diagnosis::tls::traffic_analysis::looks_like_websocket;
use crate::diagnosis::{Verdict, diagnose};
use crate::packet::{Endpoint, Segment, Stamp, TcpFlags, TcpOptions};
use crate::tcp::Connection;
use crate::tls::{AlertVisibility, Certificate, CertificateChain, KeyType, SubjectName};
use Side::{Client, Server};

const MILLISECOND: i64 = 1_000_000;
/// 2026-11-21, in seconds.
const NOW: i64 = 1_795_219_200;
const DAY: i64 = 86_400;

/// A connection told segment by segment, 1 ms apart.
struct Talk {
    tcp: Option<Connection>,
    stack: Stack,
    keys: Keys,
    next: [u32; 2],
    stamp: Stamp,
    chain: Option<CertificateChain>,
}

fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    record(22, &[&[kind, 0][..], &(body.len() as u16).to_be_bytes(), body].concat())
}

/// What a client offers.
#[derive(Clone, Copy, Default)]
struct Offer<'o> {
    name: Option<&'o str>,
    alpn: &'o [&'o str],
    grease_ech: bool,
    padding: usize,
}

impl Offer<'_> {
    fn hello(&self) -> Vec<u8> {
        let mut extensions = extension(43, &[4, 3, 4, 3, 3]);
        if let Some(name) = self.name {
            let entry = [&[0][..], &(name.len() as u16).to_be_bytes(), name.as_bytes()].concat();
            extensions.extend(extension(0, &[&(entry.len() as u16).to_be_bytes()[..], &entry].concat()));
        }
        if !self.alpn.is_empty() {
            let list: Vec<u8> =
                self.alpn.iter().flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat()).collect();
            extensions.extend(extension(16, &[&(list.len() as u16).to_be_bytes()[..], &list].concat()));
        }
        if self.grease_ech {
            extensions.extend(extension(0xfe0d, &[0; 40]));
        }
        if self.padding > 0 {
            extensions.extend(extension(21, &vec![0; self.padding]));
        }
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[0],
            &[0, 4, 0x13, 0x01, 0xc0, 0x2f],
            &[1, 0],
            &(extensions.len() as u16).to_be_bytes(),
            &extensions,
        ];
        message(1, &body.concat())
    }
}

fn server_hello(suite: u16, extensions: &[u8]) -> Vec<u8> {
    let length = (extensions.len() as u16).to_be_bytes();
    message(2, &[&[3, 3][..], &[9; 32], &[0], &suite.to_be_bytes(), &[0], &length, extensions].concat())
}

impl Talk {
    fn new() -> Talk {
        Talk {
            tcp: None,
            stack: Stack::new(),
            keys: Keys::new(),
            next: [1000, 9000],
            stamp: Stamp { packet: 0, at: NOW * 1_000_000_000 },
            chain: None,
        }
    }

    fn open() -> Talk {
        let syn = TcpFlags::SYN;
        Talk::new().segment(Client, syn, &[]).segment(Server, syn | TcpFlags::ACK, &[]).segment(
            Client,
            TcpFlags::ACK,
            &[],
        )
    }

    fn greeted(offer: Offer<'_>) -> Talk {
        Talk::open().data(Client, &offer.hello()).segment(Server, TcpFlags::ACK, &[])
    }

    /// Up to the end of the server's flight in TLS 1.2.
    fn tls12(offer: Offer<'_>) -> Talk {
        let hello = server_hello(0xc02f, &[]);
        let certificate = message(11, &[0, 0, 0]);
        let flight = [hello, certificate, message(12, &[0; 40]), message(14, &[])].concat();
        Talk::greeted(offer).data(Server, &flight).segment(Client, TcpFlags::ACK, &[])
    }

    /// Up to the end of the server's flight in TLS 1.3.
    fn tls13(offer: Offer<'_>) -> Talk {
        let hello = server_hello(0x1301, &extension(43, &[3, 4]));
        let flight = [23, 1750, 281, 53].map(|length| record(23, &vec![0xaa; length])).concat();
        Talk::greeted(offer).data(Server, &[hello, record(20, &[1]), flight].concat()).segment(
            Client,
            TcpFlags::ACK,
            &[],
        )
    }

    fn segment(mut self, from: Side, flags: u8, payload: &[u8]) -> Talk {
        self.stamp = Stamp { packet: self.stamp.packet + 1, at: self.stamp.at + MILLISECOND };
        let me = from.sends().index();
        let ends = [
            Endpoint { ip: [192, 0, 2, 10].into(), port: 40000 },
            Endpoint { ip: [198, 51, 100, 20].into(), port: 443 },
        ];
        let segment = Segment {
            stamp: self.stamp,
            source: ends[me],
            destination: ends[1 - me],
            sequence: self.next[me],
            acknowledgment: if flags & TcpFlags::ACK == 0 { 0 } else { self.next[1 - me] },
            window: 64000,
            flags: TcpFlags(flags),
            ttl: 64,
            ip_id: 0,
            options: TcpOptions::default(),
            payload_len: payload.len() as u32,
            payload,
        };
        self.next[me] += payload.len() as u32 + u32::from(flags & (TcpFlags::SYN | TcpFlags::FIN) != 0);
        let context = Context { keys: &self.keys, interest: Interest::default() };
        let tcp = self.tcp.get_or_insert_with(|| Connection::new(&segment));
        self.stack.segment(tcp, &segment, &context, &mut |_: Stamp, _, _: u32, _: EntryEvent<'_>| {});
        self
    }

    fn data(self, from: Side, bytes: &[u8]) -> Talk {
        self.segment(from, TcpFlags::ACK | TcpFlags::PSH, bytes)
    }

    /// The last bytes once more.
    fn again(mut self, from: Side, bytes: &[u8]) -> Talk {
        self.next[from.sends().index()] -= bytes.len() as u32;
        self.wait(300).data(from, bytes)
    }

    /// Protected records of these lengths in one segment.
    fn sealed(self, from: Side, lengths: &[usize]) -> Talk {
        let bytes: Vec<u8> = lengths.iter().flat_map(|&length| record(23, &vec![0xbb; length])).collect();
        self.data(from, &bytes)
    }

    fn alert(self, from: Side, code: u8) -> Talk {
        self.data(from, &record(21, &[2, code]))
    }

    fn fin(self, from: Side) -> Talk {
        self.segment(from, TcpFlags::ACK | TcpFlags::FIN, &[])
    }

    fn rst(self, from: Side) -> Talk {
        self.segment(from, TcpFlags::ACK | TcpFlags::RST, &[])
    }

    fn wait(mut self, milliseconds: i64) -> Talk {
        self.stamp.at += milliseconds * MILLISECOND;
        self
    }

    /// TLS 1.2: ClientKeyExchange, ChangeCipherSpec and Finished, and the server's answer.
    fn finished12(self) -> Talk {
        let client = [message(16, &[0; 33]), record(20, &[1]), record(22, &[0; 40])].concat();
        self.data(Client, &client).data(Server, &[record(20, &[1]), record(22, &[0; 40])].concat())
    }

    /// The certificates that the server showed: in TLS 1.3 as the key log would reveal them.
    fn showing(mut self, certificates: &[Certificate]) -> Talk {
        let chain = CertificateChain {
            stamp: self.stamp,
            certificates: certificates.to_vec(),
            sent: certificates.len() as u32,
            compressed: None,
        };
        self.chain = Some(chain);
        self
    }

    fn record(mut self, change: impl FnOnce(&mut TlsFacts)) -> ConnectionRecord {
        let mut tcp = self.tcp.take().expect("segments");
        let context = Context { keys: &self.keys, interest: Interest::default() };
        self.stack.finish(&mut tcp, End::CaptureEnd, &context, &mut |_: Stamp, _, _: u32, _: EntryEvent<'_>| {});
        let mut record = *self.stack.take_record(&mut tcp).expect("worth knowing");
        let tls = record.tls.as_deref_mut().expect("TLS");
        if let Some(chain) = self.chain.take() {
            tls.server_certificates = Some(chain);
        }
        change(tls);
        record
    }

    fn verdict(self) -> Verdict {
        diagnose(&self.record(|_| {}), None)
    }

    /// Outcome, cause and confidence.
    fn cause(self) -> (Outcome, Option<(&'static str, Confidence)>) {
        cause(&self.verdict())
    }
}

fn cause(verdict: &Verdict) -> (Outcome, Option<(&'static str, Confidence)>) {
    let causes = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    assert!(causes <= 1, "one cause only: {:?}", verdict.findings);
    let cause = verdict.root_cause.map(|index| &verdict.findings[index]);
    (verdict.outcome, cause.map(|finding| (finding.rule.id, finding.confidence)))
}

const PROVEN: Confidence = Confidence::Proven;
const LIKELY: Confidence = Confidence::Likely;
const POSSIBLE: Confidence = Confidence::Possible;

fn failed_with(id: &'static str, confidence: Confidence) -> (Outcome, Option<(&'static str, Confidence)>) {
    (Outcome::TlsFailed, Some((id, confidence)))
}

fn certificate(names: &[&str], issuer: &str, days: std::ops::Range<i64>) -> Certificate {
    let names: Vec<SubjectName> = names.iter().map(|name| SubjectName::Dns((*name).to_owned())).collect();
    let subject = format!("CN={}", names[0]);
    Certificate {
        self_signed: subject == format!("CN={issuer}"),
        subject,
        issuer: format!("CN={issuer}"),
        common_name: Some(names[0].to_string()),
        issuer_name: Some(issuer.to_owned()),
        serial: "01".to_owned(),
        not_before: NOW + days.start * DAY,
        not_after: NOW + days.end * DAY,
        authority: false,
        names_sent: names.len() as u32,
        names,
        key: KeyType::Ec(256),
    }
}

/// A server's certificate with its intermediate.
fn chain(leaf: Certificate) -> Vec<Certificate> {
    let intermediate = certificate(&["Lab Intermediate"], "Lab Root", -100..1000);
    vec![leaf, intermediate]
}

fn sound() -> Vec<Certificate> {
    chain(certificate(&["app.example"], "Lab Intermediate", -10..100))
}

fn expired() -> Vec<Certificate> {
    chain(certificate(&["app.example"], "Lab Intermediate", -100..-12))
}

fn self_signed() -> Vec<Certificate> {
    vec![certificate(&["app.example"], "app.example", -10..100)]
}

fn for_others() -> Vec<Certificate> {
    chain(certificate(&["other.example", "www.other.example"], "Lab Intermediate", -10..100))
}

const APP: Offer<'static> = Offer { name: Some("app.example"), alpn: &[], grease_ech: false, padding: 0 };
const CHROMIUM: Offer<'static> = Offer { name: Some("app.example"), alpn: &["http/1.1"], grease_ech: true, padding: 0 };
const FIREFOX: Offer<'static> =
    Offer { name: Some("app.example"), alpn: &["h2", "http/1.1"], grease_ech: true, padding: 0 };

/// How a client leaves: what it sends after the server's flight.
type Leaves = fn(Talk) -> Talk;

#[test]
fn tls12_shows_the_certificate_and_so_the_reason() {
    // Client, its word for: self-signed, expired, wrong name (0: it says nothing).
    let clients: [(&str, Offer<'_>, [u8; 3]); 6] = [
        ("OpenSSL", APP, [48, 45, 42]),
        ("Go", APP, [42, 42, 42]),
        ("JSSE", APP, [46, 45, 46]),
        ("Chromium", CHROMIUM, [46, 46, 46]),
        ("Firefox", FIREFOX, [48, 45, 42]),
        ("Firefox, another release", FIREFOX, [42, 45, 42]),
    ];
    for (client, offer, codes) in clients {
        for (certificates, code, id) in
            [(self_signed(), codes[0], "WST103"), (expired(), codes[1], "WST104"), (for_others(), codes[2], "WST105")]
        {
            for end in [Talk::fin as fn(Talk, Side) -> Talk, Talk::rst] {
                let talk = Talk::tls12(offer).showing(&certificates).alert(Client, code);
                assert_eq!(end(talk, Client).cause(), failed_with(id, PROVEN), "{client} {id}");
            }
        }
    }
    let silent: [(&str, Leaves); 3] = [
        ("node", |talk| talk.finished12().fin(Client).data(Server, &record(21, &[0; 26])).rst(Client)),
        ("asyncio", |talk| talk.fin(Client)),
        ("asyncio with a server that complains", |talk| talk.fin(Client).alert(Server, 50).rst(Client)),
    ];
    for (client, leaves) in silent {
        let told = |certificates: &[Certificate]| leaves(Talk::tls12(APP).showing(certificates)).cause();
        assert_eq!(told(&self_signed()), failed_with("WST103", LIKELY), "{client}");
        assert_eq!(told(&expired()), failed_with("WST104", PROVEN), "{client}");
        assert_eq!(told(&for_others()), failed_with("WST105", LIKELY), "{client}");
        assert_eq!(told(&sound()), failed_with("WST107", POSSIBLE), "{client}");
    }
    // curl checks the name after the handshake and says goodbye; the server closes first.
    let curl = |certificates: &[Certificate]| {
        let talk = Talk::tls12(APP).showing(certificates).finished12();
        talk.data(Client, &record(21, &[0; 26])).fin(Server).fin(Client).cause()
    };
    assert_eq!(curl(&for_others()), failed_with("WST105", LIKELY));
    // The same with nothing wrong is a probe.
    assert_eq!(curl(&sound()), (Outcome::Unknown, None));
}

#[test]
fn tls13_without_keys_shows_at_most_the_alert() {
    let clients: [(&str, Offer<'_>, Leaves, &str, Confidence); 12] = [
        ("OpenSSL 48", APP, |talk| talk.alert(Client, 48).rst(Client), "WST103", PROVEN),
        ("OpenSSL 45", APP, |talk| talk.alert(Client, 45).rst(Client), "WST104", PROVEN),
        ("OpenSSL 42", APP, |talk| talk.alert(Client, 42).rst(Client), "WST105", LIKELY),
        ("OpenSSL 44", APP, |talk| talk.alert(Client, 44).rst(Client), "WST106", PROVEN),
        ("Go, Chromium", CHROMIUM, |talk| talk.sealed(Client, &[19]).fin(Client), "WST106", LIKELY),
        ("Firefox", FIREFOX, |talk| talk.sealed(Client, &[19]).fin(Client), "WST106", LIKELY),
        ("JSSE", APP, |talk| talk.sealed(Client, &[35]).fin(Client), "WST106", LIKELY),
        ("node, asyncio", APP, |talk| talk.fin(Client), "WST107", POSSIBLE),
        ("node, asyncio with RST", APP, |talk| talk.rst(Client), "WST107", POSSIBLE),
        ("slow to decide", APP, |talk| talk.wait(4000).fin(Client), "WST107", POSSIBLE),
        ("curl, name", APP, |talk| talk.sealed(Client, &[53]).sealed(Client, &[19]).fin(Client), "WST107", POSSIBLE),
        (
            "curl, name, server first",
            APP,
            |talk| talk.sealed(Client, &[53]).sealed(Client, &[19]).fin(Server).rst(Client),
            "WST107",
            POSSIBLE,
        ),
    ];
    for (client, offer, leaves, id, confidence) in clients {
        assert_eq!(leaves(Talk::tls13(offer)).cause(), failed_with(id, confidence), "{client}");
    }
}

#[test]
fn tls13_with_keys_shows_the_reason() {
    for (certificates, id) in [(self_signed(), "WST103"), (expired(), "WST104"), (for_others(), "WST105")] {
        for code in [42, 46] {
            let talk = Talk::tls13(APP).showing(&certificates).sealed(Client, &[19]).fin(Client);
            let stamp = talk.stamp;
            let record = talk.record(|tls| {
                tls.decryption.handshake = true;
                let visibility = AlertVisibility::Decrypted;
                tls.alerts.push(Alert { from: Client, level: Some(2), code: Some(code), visibility, stamp });
            });
            assert_eq!(cause(&diagnose(&record, None)), failed_with(id, PROVEN), "{id} {code}");
        }
        let confidence = if id == "WST104" { PROVEN } else { LIKELY };
        let node = Talk::tls13(APP).showing(&certificates).fin(Client);
        assert_eq!(node.cause(), failed_with(id, confidence), "node {id}");
    }
    // A browser's encrypted ClientHello may stand for another name.
    let talk = Talk::tls13(CHROMIUM).showing(&for_others()).sealed(Client, &[19]).fin(Client);
    assert_eq!(talk.cause(), failed_with("WST105", LIKELY));
}

#[test]
fn of_several_faults_the_most_telling_is_named() {
    let refused = |certificates: &[Certificate], code| {
        Talk::tls12(APP).showing(certificates).alert(Client, code).fin(Client).verdict()
    };
    // Self-signed and for another name: trust comes first.
    let both = [certificate(&["other.example"], "other.example", -10..100)];
    assert_eq!(cause(&refused(&both, 46)), failed_with("WST103", PROVEN));
    // Self-signed and expired: the client's word decides.
    let old = [certificate(&["app.example"], "app.example", -100..-1)];
    assert_eq!(cause(&refused(&old, 48)), failed_with("WST103", PROVEN));
    assert_eq!(cause(&refused(&old, 45)), failed_with("WST104", PROVEN));
    // Not yet valid.
    let early = chain(certificate(&["app.example"], "Lab Intermediate", 5..100));
    let verdict = refused(&early, 42);
    assert_eq!(cause(&verdict), failed_with("WST104", PROVEN));
    assert!(verdict.findings[0].summary.contains("is not valid before 2026-11-26, 5 days after"), "{verdict:?}");
    // Valid by our clock, expired by the client's.
    assert_eq!(cause(&refused(&sound(), 45)), failed_with("WST104", LIKELY));
    // Alone: without its intermediate, or from an authority of one's own.
    let lone = [certificate(&["app.example"], "Lab Issuing CA 3", -10..100)];
    assert_eq!(cause(&refused(&lone, 48)), failed_with("WST108", LIKELY));
    let own = [certificate(&["app.example"], "Corp Root", -10..100)];
    assert_eq!(cause(&refused(&own, 48)), failed_with("WST103", PROVEN));
    assert_eq!(cause(&refused(&own, 46)), failed_with("WST103", LIKELY));
    // Nothing visible is wrong.
    assert_eq!(cause(&refused(&sound(), 46)), failed_with("WST106", PROVEN));
    assert_eq!(cause(&refused(&sound(), 48)), failed_with("WST103", PROVEN));
    // Opened on the way.
    let avast = chain(certificate(&["app.example"], "avast! Web/Mail Shield Root", -10..100));
    assert_eq!(cause(&refused(&avast, 48)), failed_with("WST114", LIKELY));
    // No name asked for: the address is what counts.
    let talk = Talk::tls12(Offer::default()).showing(&sound()).alert(Client, 42).fin(Client);
    assert_eq!(talk.cause(), failed_with("WST105", LIKELY));
}

#[test]
fn a_client_that_goes_on_gets_a_warning_at_most() {
    let talk = |certificates: &[Certificate]| {
        let talk = Talk::tls12(APP).showing(certificates).finished12().sealed(Client, &[188]).sealed(Server, &[153]);
        talk.sealed(Client, &[35]).fin(Client).fin(Server).verdict()
    };
    let verdict = talk(&expired());
    assert_eq!(cause(&verdict), (Outcome::Unknown, None));
    let found: Vec<_> = verdict.findings.iter().map(|finding| (finding.rule.id, finding.severity)).collect();
    assert!(found.contains(&("WST104", Severity::Warning)), "{found:?}");
    for certificates in [self_signed(), for_others(), sound()] {
        let verdict = talk(&certificates);
        assert!(verdict.findings.iter().all(|finding| finding.severity == Severity::Info), "{verdict:?}");
    }
}

#[test]
fn the_server_refuses_the_greeting() {
    let told = |offer: Offer<'_>, code| Talk::greeted(offer).alert(Server, code).fin(Server).fin(Client).cause();
    assert_eq!(told(APP, 70), failed_with("WST111", PROVEN));
    assert_eq!(told(APP, 71), failed_with("WST111", PROVEN));
    assert_eq!(told(APP, 40), failed_with("WST111", PROVEN));
    assert_eq!(told(CHROMIUM, 120), failed_with("WST112", PROVEN));
    assert_eq!(told(APP, 112), failed_with("WST109", PROVEN));
    assert_eq!(told(APP, 80), failed_with("WST109", POSSIBLE));
    assert_eq!(told(Offer::default(), 40), failed_with("WST109", POSSIBLE));
    assert_eq!(told(APP, 10), failed_with("WST111", POSSIBLE));
    // The client does not want what the server chose.
    let talk = Talk::tls12(APP).showing(&sound()).alert(Client, 70).fin(Client);
    assert_eq!(talk.cause(), failed_with("WST111", PROVEN));
    // A warning that the server does not know the name harms nothing: the client leaves for its own reasons.
    let warned = Talk::greeted(APP).data(Server, &record(21, &[1, 112]));
    let flight = [server_hello(0xc02f, &[]), message(11, &[0, 0, 0]), message(14, &[])].concat();
    let talk = warned.data(Server, &flight).showing(&self_signed()).alert(Client, 48).fin(Client);
    assert_eq!(talk.cause(), failed_with("WST103", PROVEN));
}

#[test]
fn the_port_does_not_speak_tls() {
    let answered = |bytes: &[u8]| Talk::greeted(APP).data(Server, bytes).fin(Server).fin(Client).cause();
    assert_eq!(answered(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), failed_with("WST102", PROVEN));
    assert_eq!(answered(b"SSH-2.0-OpenSSH_9.2\r\n"), failed_with("WST102", PROVEN));
    assert_eq!(answered(b"-ERR unknown command\r\n"), failed_with("WST102", PROVEN));
    assert_eq!(
        answered(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"),
        failed_with("WST102", LIKELY)
    );
    assert_eq!(Talk::greeted(APP).fin(Server).fin(Client).cause(), failed_with("WST102", POSSIBLE));
    assert_eq!(Talk::greeted(APP).rst(Server).cause(), failed_with("WST102", POSSIBLE));
}

#[test]
fn silence_is_a_stall_only_when_it_lasts() {
    assert_eq!(Talk::greeted(APP).wait(10_000).fin(Client).cause(), failed_with("WST115", PROVEN));
    assert_eq!(Talk::greeted(APP).wait(3000).fin(Client).cause(), failed_with("WST115", LIKELY));
    assert_eq!(Talk::greeted(APP).wait(300).fin(Client).cause(), (Outcome::Unknown, None));
    // Still waiting when the capture ends.
    assert_eq!(Talk::greeted(APP).cause(), (Outcome::Unknown, None));
}

#[test]
fn a_large_greeting_that_gets_stuck() {
    let large = Offer { name: Some("app.example"), padding: 1600, ..Offer::default() };
    let hello = large.hello();
    let (first, rest) = hello.split_at(1400);
    let sent = Talk::open().data(Client, first).segment(Server, TcpFlags::ACK, &[]).data(Client, rest);
    let stuck = sent.again(Client, rest).again(Client, rest).again(Client, rest);
    assert_eq!(stuck.cause(), failed_with("WST113", POSSIBLE));
    let reset = Talk::open().data(Client, first).rst(Server);
    assert_eq!(reset.cause(), failed_with("WST113", POSSIBLE));
    // A small one that is not acknowledged is lost like anything else.
    let small = APP.hello();
    let lost = (0..6).fold(Talk::open().data(Client, &small), |talk, _| talk.again(Client, &small));
    assert_eq!(lost.cause(), failed_with("WSN008", PROVEN));
}

#[test]
fn a_certificate_of_the_clients_is_wanted() {
    let request = message(13, &[1, 1, 0, 0, 0, 0]);
    let flight = [server_hello(0xc02f, &[]), message(11, &[0, 0, 0]), request, message(14, &[])].concat();
    let asked = || Talk::greeted(APP).data(Server, &flight).showing(&sound());
    let nothing = [message(11, &[0, 0, 0]), message(16, &[0; 33]), record(20, &[1]), record(22, &[0; 40])].concat();
    for code in [40, 42, 48, 116] {
        let talk = asked().data(Client, &nothing).alert(Server, code).fin(Server).fin(Client);
        assert_eq!(talk.cause(), failed_with("WST110", PROVEN), "{code}");
    }
    // Chromium leaves.
    assert_eq!(asked().fin(Client).cause(), failed_with("WST110", LIKELY));
    // TLS 1.3 without keys: an empty certificate, Finished, the request; then an alert.
    for lengths in [&[25, 53, 181][..], &[61, 181], &[77, 300]] {
        let talk = Talk::tls13(APP).sealed(Client, lengths).sealed(Server, &[19]).fin(Server).rst(Client);
        assert_eq!(talk.cause(), failed_with("WST110", LIKELY), "{lengths:?}");
    }
    // JSSE hears the refusal before it makes its request.
    let talk = Talk::tls13(APP).sealed(Client, &[77]).sealed(Server, &[19]).fin(Server).sealed(Client, &[246]);
    assert_eq!(talk.cause(), failed_with("WST110", LIKELY));
    // nginx answers 400 inside TLS.
    let talk = Talk::tls13(APP).sealed(Client, &[25, 53, 181]).sealed(Server, &[255, 255]).sealed(Server, &[400, 19]);
    assert_eq!(talk.fin(Server).fin(Client).cause(), (Outcome::UpgradeFailed, Some(("WST110", POSSIBLE))));
    // Without a Certificate message nobody asked for one (RFC 8446 §4.4.2).
    let talk = Talk::tls13(APP).sealed(Client, &[53, 181]).sealed(Server, &[19]).fin(Server).fin(Client);
    assert_eq!(talk.cause(), (Outcome::Unknown, None));
}

#[test]
fn spare_connections_of_browsers_are_no_failures() {
    let spare = Talk::tls13(FIREFOX).sealed(Client, &[53]).wait(9000).fin(Client).fin(Server);
    assert_eq!(spare.cause(), (Outcome::Unknown, None));
    assert_eq!(Talk::tls13(FIREFOX).fin(Client).cause(), (Outcome::Unknown, None));
    let used = Talk::tls13(FIREFOX).sealed(Client, &[53]).sealed(Client, &[600]).sealed(Server, &[900]).fin(Client);
    assert_eq!(used.cause(), (Outcome::Unknown, None));
}

#[test]
fn what_the_capture_lost_is_no_evidence() {
    // The client's records are missing: it may have finished.
    let mut talk = Talk::tls13(APP);
    talk.next[0] += 300;
    assert_eq!(talk.segment(Server, TcpFlags::ACK, &[]).fin(Client).cause(), (Outcome::Unknown, None));
    // Only what the client sent was captured.
    let talk = Talk::new().segment(Client, TcpFlags::SYN, &[]).data(Client, &APP.hello()).wait(9000).fin(Client);
    assert_ne!(talk.cause().0, Outcome::TlsFailed);
}

fn likely_websocket(talk: Talk) -> bool {
    let record = talk.record(|_| {});
    looks_like_websocket(&Session::new(&record, None))
}

#[test]
fn encrypted_websockets_are_told_from_pages() {
    let shaken = |offer| Talk::tls13(offer).sealed(Client, &[53, 400]).sealed(Server, &[282, 282]);
    assert!(likely_websocket(shaken(APP).sealed(Server, &[146]).sealed(Client, &[28]).sealed(Server, &[37])));
    // Chromium offers http/1.1 alone for nothing else, whatever becomes of it.
    assert!(likely_websocket(shaken(CHROMIUM).sealed(Server, &[320]).fin(Server)));
    // Firefox offers h2 too.
    assert!(likely_websocket(shaken(FIREFOX).sealed(Server, &[146]).sealed(Client, &[28]).sealed(Server, &[37])));
    let h2 = Talk::tls13(FIREFOX).sealed(Client, &[53, 81, 477]).sealed(Server, &[56, 26]).sealed(Client, &[26]);
    assert!(!likely_websocket(h2.sealed(Server, &[110, 500]).sealed(Client, &[30])));
    let together = Talk::tls13(FIREFOX).sealed(Client, &[53, 400]).sealed(Server, &[56, 26]).sealed(Client, &[26]);
    assert!(!likely_websocket(together.sealed(Server, &[110, 500]).sealed(Client, &[30])));
    let page = shaken(APP).sealed(Server, &[1400, 1400]).sealed(Client, &[420]).sealed(Server, &[900]);
    assert!(!likely_websocket(page.sealed(Client, &[19]).fin(Client)));
    let page = shaken(FIREFOX).sealed(Server, &[1400, 1400]).sealed(Client, &[420]).sealed(Server, &[900]);
    assert!(!likely_websocket(page.fin(Client)));
}

#[test]
fn a_clean_close_needs_the_goodbye_of_whoever_closed() {
    let talked = || Talk::tls13(APP).sealed(Client, &[53, 400]).sealed(Server, &[282, 282]).sealed(Server, &[146]);
    let closed = talked().sealed(Client, &[28]).sealed(Client, &[25]).sealed(Server, &[21, 19]).fin(Server);
    assert_eq!(closed.sealed(Client, &[19]).fin(Client).cause(), (Outcome::ClosedClean, None));
    // Messages of two bytes have the lengths of Close frames; a server that is killed says no goodbye.
    let killed = talked().sealed(Client, &[25]).sealed(Server, &[21]).fin(Server).sealed(Client, &[19]).rst(Server);
    assert_eq!(killed.cause(), (Outcome::Unknown, None));
}
