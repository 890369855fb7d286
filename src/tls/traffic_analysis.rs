//! Inference from the sizes and times of records, without keys.
//!
//! A protected record's length is its content's length plus a constant of the cipher suite (RFC 8446 §5.2), so
//! that an alert, a Finished message and a short WebSocket Close each have a characteristic length. These are pure
//! functions of [`TlsFacts`]; each lists its evidence, and returns `None` when a sign is missing, when bytes
//! were missing from the capture, or when the same could be read in plaintext.
//!
//! | content | TLS 1.3 record length | example: SHA-256 suite, 16-byte tag |
//! |---|---|---|
//! | alert | 2 + 1 + tag | 19 (JSSE pads by 16: 35; CCM_8: 11) |
//! | Finished | 4 + hash + 1 + tag | 53 (SHA-384: 69; JSSE 16 more) |
//! | empty Certificate | 8 + 1 + tag | 25, or 61 with Finished in one record |
//! | WebSocket Close with a code | 4 (server), 8 (client) + 1 + tag | 21, 25 |

use smallvec::SmallVec;

use super::alert;
use super::facts::{Flow, RecordMark, TlsFacts, Version};
use super::record::APPLICATION_DATA;
use super::suite::{Parameters, Protection};
use crate::stream::{Direction, End, Side, Stamp};

/// A client that leaves because of what the server showed does so at once: within this time, in nanoseconds.
pub const AT_ONCE: i64 = 1_000_000_000;
/// Content of the shortest record that is taken for an HTTP request, in bytes.
pub const REQUEST_SIZE: u16 = 130;
/// Content of the longest client record that is too short for an HTTP/1.1 request, in bytes.
pub const TOO_SHORT_FOR_REQUEST: u16 = 25;
/// What JSSE (Java) adds to alerts and Finished messages as padding, in bytes.
const JSSE_PADDING: u16 = 16;

/// How reliable a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// One sign, or signs that other causes share.
    Possible,
    /// Two or more independent signs that match a known implementation.
    Likely,
    /// Read in plaintext, or decrypted.
    Proven,
}

/// What record sizes and times indicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The client refused the server's certificate; with the alert's number where that is known.
    ClientRefusedCertificate(Option<u8>),
    /// The client left after the server's flight without finishing the handshake (node with TLS 1.3, asyncio).
    ClientLeftAfterServerFlight,
    /// The client finished the handshake and left without sending anything: a check after the handshake failed (node with
    /// TLS 1.2, curl's host name check), or it had nothing to send.
    ClientLeftAfterFinished,
    /// The server asked for a client certificate, and the client left (Chromium).
    ClientLeftWhenAskedForCertificate,
    /// The server refused a client without a certificate; with the alert's number where that is known.
    ServerRefusedClient(Option<u8>),
    /// A request was sent and answered before the server ended the connection: that was the decision of the layer above.
    EndedAboveTls,
    /// Close frames of both sides, then the end.
    CleanWebSocketClose,
    /// The traffic is like a WebSocket's.
    LooksLikeWebSocket,
}

/// One sign, with the packet that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The packet that shows it.
    pub stamp: Stamp,
    /// Who sent it.
    pub from: Side,
    /// Description for people.
    pub what: &'static str,
}

/// An inference, and its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the signs indicate.
    pub meaning: Meaning,
    /// How reliable that is.
    pub certainty: Certainty,
    /// The signs, in order of time.
    pub grounds: SmallVec<[Ground; 4]>,
}

impl Reading {
    fn new(meaning: Meaning, certainty: Certainty, grounds: &[Ground]) -> Option<Reading> {
        Some(Reading { meaning, certainty, grounds: SmallVec::from_slice(grounds) })
    }
}

/// Lengths of this connection's records, by its cipher suite.
#[derive(Clone, Copy)]
struct Sizes {
    tls13: bool,
    tag: u16,
    hash: u16,
    /// By how much a record exceeds its content.
    overhead: u16,
}

impl Sizes {
    fn of(facts: &TlsFacts) -> Option<Sizes> {
        let parameters = Parameters::of(facts.cipher_suite()?)?;
        let tag = parameters.tag() as u16;
        let overhead = match parameters.protection {
            // With block padding, lengths are too imprecise.
            Protection::Cbc { .. } => return None,
            _ if parameters.tls13 => 1 + tag,
            Protection::ChaCha20Poly1305 => tag,
            _ => 8 + tag,
        };
        Some(Sizes { tls13: parameters.tls13, tag, hash: parameters.hash.len() as u16, overhead })
    }

    fn is_alert(self, record: &RecordMark) -> bool {
        if !self.tls13 {
            return record.kind == super::record::ALERT;
        }
        let alert = 3 + self.tag;
        record.kind == APPLICATION_DATA && (record.length == alert || record.length == alert + JSSE_PADDING)
    }

    fn is_finished(self, record: &RecordMark) -> bool {
        let finished = 5 + self.hash + self.tag;
        record.kind == APPLICATION_DATA && (record.length == finished || record.length == finished + JSSE_PADDING)
    }

    /// A Certificate message with no certificate in it, alone or together with Finished.
    fn is_empty_certificate(self, record: &RecordMark) -> Option<bool> {
        let alone = 9 + self.tag;
        let with_finished = alone + 4 + self.hash;
        match record.length {
            length if record.kind == APPLICATION_DATA && length == alone => Some(false),
            length if record.kind == APPLICATION_DATA && length == with_finished => Some(true),
            _ => None,
        }
    }

    fn content(self, record: &RecordMark) -> u16 {
        record.length.saturating_sub(self.overhead)
    }
}

/// How the handshake failed, if it did.
#[must_use]
pub fn handshake(facts: &TlsFacts) -> Option<Reading> {
    if let Some(reading) = alerts(facts) {
        return Some(reading);
    }
    let [client, server] = &facts.flows;
    let complete = client.missing_bytes == 0 && server.missing_bytes == 0;
    if facts.mid_stream || !complete || facts.decrypted() || facts.resumed() {
        return None;
    }
    match facts.version()? {
        Version::TLS13 => handshake13(facts, Sizes::of(facts)?, client, server),
        _ => handshake12(facts, client, server),
    }
}

/// Alerts read in plaintext or decrypted.
fn alerts(facts: &TlsFacts) -> Option<Reading> {
    for seen in &facts.alerts {
        let Some(code) = seen.code else { continue };
        let asked = facts.certificate_request.is_some();
        let nothing_shown = facts.client_certificates.as_ref().is_some_and(|chain| chain.sent == 0);
        let meaning = match seen.from {
            Side::Client if alert::is_about_certificate(code) => Meaning::ClientRefusedCertificate(Some(code)),
            Side::Server if code == alert::CERTIFICATE_REQUIRED => Meaning::ServerRefusedClient(Some(code)),
            Side::Server if asked && alert::is_about_certificate(code) => Meaning::ServerRefusedClient(Some(code)),
            Side::Server if nothing_shown && code == alert::HANDSHAKE_FAILURE => {
                Meaning::ServerRefusedClient(Some(code))
            }
            _ => continue,
        };
        let ground = Ground { stamp: seen.stamp, from: seen.from, what: alert::description(code).unwrap_or("alert") };
        return Reading::new(meaning, Certainty::Proven, &[ground]);
    }
    None
}

fn handshake13(facts: &TlsFacts, sizes: Sizes, client: &Flow, server: &Flow) -> Option<Reading> {
    let hello = facts.client_hello.as_ref()?;
    // 0-RTT records would be mistaken for the handshake's.
    if hello.offers_early_data {
        return None;
    }
    let flight = server
        .first
        .iter()
        .take_while(|record| client.first.first().is_none_or(|own| record.stamp.packet <= own.stamp.packet));
    let flight = flight.last().filter(|record| record.kind == APPLICATION_DATA)?;
    let shown = Ground { stamp: flight.stamp, from: Side::Server, what: "the server's handshake flight ends" };
    let records: SmallVec<[&RecordMark; 4]> = client.first.iter().collect();
    match records.as_slice() {
        [] => {
            let left = left(client, server, flight.stamp)?;
            Reading::new(Meaning::ClientLeftAfterServerFlight, Certainty::Possible, &[shown, left])
        }
        [only] if sizes.is_alert(only) && client.records_protected() == 1 => {
            let (stamp, _) = client.ended?;
            let sign = Ground {
                stamp: only.stamp,
                from: Side::Client,
                what: "one record of an alert's length instead of Finished",
            };
            let end = Ground { stamp, from: Side::Client, what: "the connection ends" };
            Reading::new(Meaning::ClientRefusedCertificate(None), Certainty::Likely, &[shown, sign, end])
        }
        [finished] | [finished, _]
            if sizes.is_finished(finished) && records[1..].iter().all(|record| sizes.is_alert(record)) =>
        {
            // Browsers open spare connections that they then do not use; those for pages offer h2.
            if client.records_protected() != records.len() as u64 || hello.offers_alpn("h2") {
                return None;
            }
            let sign = Ground {
                stamp: finished.stamp,
                from: Side::Client,
                what: "a record of Finished's length, and nothing larger after it",
            };
            let left = left(client, server, finished.stamp)?;
            Reading::new(Meaning::ClientLeftAfterFinished, Certainty::Possible, &[shown, sign, left])
        }
        _ => after_request(sizes, client, server),
    }
}

/// The client finished and made a request; then the server ended the connection with what may be an alert.
fn after_request(sizes: Sizes, client: &Flow, server: &Flow) -> Option<Reading> {
    let mut own = client.first.iter();
    let first = own.next()?;
    let (finished, empty_certificate) = match sizes.is_empty_certificate(first) {
        Some(true) => (first, Some(first)),
        Some(false) => (own.next().filter(|record| sizes.is_finished(record))?, Some(first)),
        None if sizes.is_finished(first) => (first, None),
        None => return None,
    };
    let request = own.next().filter(|record| sizes.content(record) >= REQUEST_SIZE);
    let (stamp, end) = server.ended?;
    if end == End::CaptureEnd || end == End::Timeout || server.first.len() as u64 != server.records_protected() {
        return None;
    }
    let mut answers = server.first.iter().filter(|record| record.stamp.packet > finished.stamp.packet);
    let (answer, more) = (answers.next()?, answers.clone().next_back());
    let last = more.unwrap_or(answer);
    if !sizes.is_alert(last) || stamp.at - last.stamp.at > AT_ONCE {
        return None;
    }
    let sign = Ground { stamp: last.stamp, from: Side::Server, what: "the server's last record has an alert's length" };
    if let Some(request) = request
        && more.is_some()
    {
        let asked = Ground { stamp: request.stamp, from: Side::Client, what: "a record of a request's size" };
        let answered = Ground { stamp: answer.stamp, from: Side::Server, what: "the server answered" };
        return Reading::new(Meaning::EndedAboveTls, Certainty::Possible, &[asked, answered, sign]);
    }
    if more.is_some() {
        return None;
    }
    let end = Ground { stamp, from: Side::Server, what: "the server ends the connection without any answer" };
    match empty_certificate {
        Some(empty) => {
            let empty = Ground {
                stamp: empty.stamp,
                from: Side::Client,
                what: "a record of the length of an empty client certificate",
            };
            Reading::new(Meaning::ServerRefusedClient(None), Certainty::Likely, &[empty, sign, end])
        }
        None => Reading::new(Meaning::ServerRefusedClient(None), Certainty::Possible, &[sign, end]),
    }
}

fn handshake12(facts: &TlsFacts, client: &Flow, server: &Flow) -> Option<Reading> {
    let done = facts.server_hello_done?;
    let shown = Ground { stamp: done, from: Side::Server, what: "the server's handshake flight ends" };
    if facts.client_key_exchange.is_none() && client.change_cipher_spec.is_none() {
        let left = left(client, server, done)?;
        return match facts.certificate_request {
            Some(stamp) if facts.client_certificates.is_none() => {
                let asked = Ground { stamp, from: Side::Server, what: "the server asks for a client certificate" };
                Reading::new(Meaning::ClientLeftWhenAskedForCertificate, Certainty::Likely, &[asked, left])
            }
            _ => Reading::new(Meaning::ClientLeftAfterServerFlight, Certainty::Possible, &[shown, left]),
        };
    }
    let finished = client.finished?;
    // Browsers open spare connections that they then do not use; those for pages offer h2.
    let spare = facts.client_hello.as_ref().is_some_and(|hello| hello.offers_alpn("h2"));
    if client.application_records > 0 || server.application_records > 0 || spare {
        return None;
    }
    let left = left(client, server, finished)?;
    let sign = Ground { stamp: finished, from: Side::Client, what: "Finished, and no application data after it" };
    Reading::new(Meaning::ClientLeftAfterFinished, Certainty::Possible, &[shown, sign, left])
}

/// The client's FIN, if it is the first end and immediate. (Who sent a reset is not known at this layer.)
fn left(client: &Flow, server: &Flow, since: Stamp) -> Option<Ground> {
    let (stamp, end) = client.ended?;
    let first = server.ended.is_none_or(|(other, _)| stamp.packet <= other.packet);
    (end == End::Fin && first && stamp.at - since.at <= AT_ONCE).then_some(Ground {
        stamp,
        from: Side::Client,
        what: "the client closes at once",
    })
}

/// Whether the connection ended with Close frames of both sides: a record of 4 bytes of content from the server
/// and one of 8 from the client (the mask makes the difference), shortly after each other and last.
#[must_use]
pub fn closing(facts: &TlsFacts) -> Option<Reading> {
    if facts.decrypted() {
        return None;
    }
    let sizes = Sizes::of(facts)?;
    let [client, server] = &facts.flows;
    let ((client_end, client_how), (server_end, server_how)) = client.ended.zip(server.ended)?;
    if ![client_how, server_how].contains(&End::Fin) {
        return None;
    }
    let (client_close, client_notify) = last_data(sizes, client)?;
    let (server_close, server_notify) = last_data(sizes, server)?;
    let apart = (client_close.stamp.at - server_close.stamp.at).abs();
    if sizes.content(client_close) != 8 || sizes.content(server_close) != 4 || apart > AT_ONCE {
        return None;
    }
    let mut grounds = [
        Ground {
            stamp: client_close.stamp,
            from: Side::Client,
            what: "a record of the length of a masked Close with a code",
        },
        Ground { stamp: server_close.stamp, from: Side::Server, what: "a record of the length of a Close with a code" },
        Ground {
            stamp: client_end.min(server_end),
            from: if client_end <= server_end { Side::Client } else { Side::Server },
            what: "then the end",
        },
    ];
    grounds[..2].sort_by_key(|ground| ground.stamp);
    let certainty = if client_notify || server_notify { Certainty::Likely } else { Certainty::Possible };
    Reading::new(Meaning::CleanWebSocketClose, certainty, &grounds)
}

/// A side's last record that is no alert, and whether an alert-sized one followed it.
fn last_data(sizes: Sizes, flow: &Flow) -> Option<(&RecordMark, bool)> {
    let last = flow.last.last()?;
    if !sizes.is_alert(last) {
        return Some((last, false));
    }
    flow.last.iter().rev().nth(1).map(|record| (record, true))
}

/// Whether the connection behaves as a WebSocket does: one request-sized record, one answer, then client records too
/// short for any request, and server records that nothing asked for. Over HTTP/1.1 only: HTTP/2 has short
/// frames of its own.
#[must_use]
pub fn websocket(facts: &TlsFacts) -> Option<Reading> {
    let hello = facts.client_hello.as_ref()?;
    if facts.decrypted() || hello.offers_alpn("h2") || facts.alpn.as_deref() == Some("h2") {
        return None;
    }
    let sizes = Sizes::of(facts)?;
    let [client, server] = &facts.flows;
    let mut grounds: SmallVec<[Ground; 4]> = SmallVec::new();
    // Browsers offer http/1.1 alone for wss and for nothing else.
    let browser = hello.alpn.len() == 1 && hello.offers_alpn("http/1.1");
    if browser {
        grounds.push(Ground {
            stamp: hello.stamp,
            from: Side::Client,
            what: "only http/1.1 is offered, as browsers do for wss",
        });
    }
    let data = |record: &&RecordMark| record.kind == APPLICATION_DATA;
    let mut own = client.first.iter().filter(data);
    let request = own.find(|record| sizes.content(record) >= REQUEST_SIZE && !sizes.is_finished(record))?;
    grounds.push(Ground { stamp: request.stamp, from: Side::Client, what: "a record of a request's size" });
    let answer = server.first.iter().filter(data).find(|record| {
        record.stamp.packet > request.stamp.packet && sizes.content(record) >= 80 && sizes.content(record) <= 2000
    })?;
    grounds.push(Ground { stamp: answer.stamp, from: Side::Server, what: "a short answer" });
    let too_short = |record: &&RecordMark| {
        record.stamp.packet > answer.stamp.packet
            && (6..=TOO_SHORT_FOR_REQUEST).contains(&sizes.content(record))
            && !sizes.is_alert(record)
    };
    let short = own.clone().find(too_short).or_else(|| client.last.iter().filter(data).find(too_short));
    if let Some(short) = short {
        grounds.push(Ground { stamp: short.stamp, from: Side::Client, what: "a record too short for a request" });
    }
    let push = unasked(client, server);
    if let Some(stamp) = push {
        grounds.push(Ground { stamp, from: Side::Server, what: "records that no request asked for" });
    }
    let certainty = match (short.is_some() || push.is_some(), browser || (short.is_some() && push.is_some())) {
        (true, true) => Certainty::Likely,
        (true, false) => Certainty::Possible,
        (false, _) => return None,
    };
    Some(Reading { meaning: Meaning::LooksLikeWebSocket, certainty, grounds })
}

/// The third of three server records between which the client sent nothing, each some time after the one before:
/// the pieces of one answer follow each other faster.
fn unasked(client: &Flow, server: &Flow) -> Option<Stamp> {
    const APART: i64 = 20_000_000;
    let quiet = |from: Stamp, to: Stamp| {
        client
            .last
            .iter()
            .chain(&client.first)
            .all(|record| record.stamp.packet < from.packet || record.stamp.packet > to.packet)
    };
    let last: SmallVec<[RecordMark; 8]> = server.last.iter().copied().collect();
    [server.first.as_slice(), last.as_slice()].into_iter().find_map(|records| {
        records.windows(3).find_map(|three| {
            let (from, middle, to) = (three[0].stamp, three[1].stamp, three[2].stamp);
            let apart = middle.at - from.at >= APART && to.at - middle.at >= APART;
            (apart && quiet(from, to)).then_some(to)
        })
    })
}

impl Flow {
    /// Protected records and alerts, of which the first ones are in [`Flow::first`].
    fn records_protected(&self) -> u64 {
        (self.first.len() as u64).max(self.application_records)
    }
}

/// The close_notify of one direction: read, or inferred from its length.
#[must_use]
pub fn close_notify(facts: &TlsFacts, direction: Direction) -> Option<(Stamp, Certainty)> {
    let flow = facts.flow(direction);
    if let Some(stamp) = flow.close_notify {
        return Some((stamp, Certainty::Proven));
    }
    if facts.decryption.application[direction.index()] {
        return None;
    }
    let (_, end) = flow.ended?;
    let last = flow.last.last()?;
    (end == End::Fin && Sizes::of(facts)?.is_alert(last)).then_some((last.stamp, Certainty::Possible))
}

#[cfg(test)]
mod tests {
    use super::super::{KeyLog, Tls};
    use super::*;
    use crate::stream::StreamEvent;
    use Side::{Client, Server};

    /// A connection built record by record, each in a packet of its own, 1 ms after the one before.
    struct Scenario {
        tls: Tls,
        stamp: Stamp,
    }

    fn extension(number: u16, body: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
    }

    impl Scenario {
        fn tls13(suite: u16, alpn: Option<&str>) -> Scenario {
            let mut extensions = extension(43, &[2, 3, 4]);
            if let Some(alpn) = alpn {
                let list = [&[alpn.len() as u8], alpn.as_bytes()].concat();
                extensions.extend(extension(16, &[&(list.len() as u16).to_be_bytes()[..], &list].concat()));
            }
            let scenario = Scenario { tls: Tls::new(), stamp: Stamp::default() };
            scenario.hello(Client, 1, &[&[0, 2], &suite.to_be_bytes()[..], &[1, 0]].concat(), &extensions).hello(
                Server,
                2,
                &[&suite.to_be_bytes()[..], &[0]].concat(),
                &extension(43, &[3, 4]),
            )
        }

        fn tls12(suite: u16) -> Scenario {
            let scenario = Scenario { tls: Tls::new(), stamp: Stamp::default() };
            scenario
                .hello(Client, 1, &[&[0, 2], &suite.to_be_bytes()[..], &[1, 0]].concat(), &[])
                .hello(Server, 2, &[&suite.to_be_bytes()[..], &[0]].concat(), &[])
                .handshake(Server, 14, &[])
        }

        fn hello(self, from: Side, kind: u8, middle: &[u8], extensions: &[u8]) -> Scenario {
            let body =
                [&[3, 3][..], &[from as u8; 32], &[0], middle, &(extensions.len() as u16).to_be_bytes(), extensions];
            self.handshake(from, kind, &body.concat())
        }

        fn handshake(self, from: Side, kind: u8, body: &[u8]) -> Scenario {
            let message = [&[kind, 0, (body.len() >> 8) as u8, body.len() as u8][..], body].concat();
            self.record(from, 22, &message)
        }

        fn record(mut self, from: Side, kind: u8, body: &[u8]) -> Scenario {
            let record = [&[kind, 3, 3, (body.len() >> 8) as u8, body.len() as u8][..], body].concat();
            self.stamp = Stamp { packet: self.stamp.packet + 1, at: self.stamp.at + 1_000_000 };
            self.event(from, StreamEvent::Data { offset: 0, bytes: &record })
        }

        /// Application data records of these lengths.
        fn data(self, from: Side, lengths: &[usize]) -> Scenario {
            lengths.iter().fold(self, |scenario, &length| scenario.record(from, 23, &vec![0xaa; length]))
        }

        fn event(mut self, from: Side, event: StreamEvent<'_>) -> Scenario {
            self.tls
                .feed(self.stamp, from.sends(), event, &KeyLog::new(), &mut |_, _, _| panic!("no keys, no plaintext"));
            self
        }

        fn wait(mut self, milliseconds: i64) -> Scenario {
            self.stamp.at += milliseconds * 1_000_000;
            self
        }

        fn fin(mut self, from: Side) -> Scenario {
            self.stamp = Stamp { packet: self.stamp.packet + 1, at: self.stamp.at + 1_000_000 };
            self.event(from, StreamEvent::End(End::Fin))
        }

        fn handshake_reading(&self) -> Option<(Meaning, Certainty)> {
            handshake(self.tls.facts()).map(|reading| (reading.meaning, reading.certainty))
        }

        fn closing_reading(&self) -> Option<(Meaning, Certainty)> {
            closing(self.tls.facts()).map(|reading| (reading.meaning, reading.certainty))
        }

        fn websocket_reading(&self) -> Option<(Meaning, Certainty)> {
            websocket(self.tls.facts()).map(|reading| (reading.meaning, reading.certainty))
        }
    }

    const FLIGHT: [usize; 4] = [23, 1750, 281, 53];

    #[test]
    fn one_alert_sized_record_instead_of_finished_is_a_refusal() {
        // Go and Chromium 19, JSSE 35, CCM_8 11.
        for (suite, length) in [(0x1301, 19), (0x1302, 19), (0x1303, 19), (0x1301, 35), (0x1305, 11)] {
            let scenario = Scenario::tls13(suite, None)
                .data(Server, &FLIGHT)
                .record(Client, 20, &[1])
                .data(Client, &[length])
                .fin(Client);
            assert_eq!(
                scenario.handshake_reading(),
                Some((Meaning::ClientRefusedCertificate(None), Certainty::Likely)),
                "{suite:x} {length}"
            );
        }
        // The connection is still open: nothing can be said.
        let scenario = Scenario::tls13(0x1301, None).data(Server, &FLIGHT).data(Client, &[19]);
        assert_eq!(scenario.handshake_reading(), None);
        // A length that no alert has.
        let scenario = Scenario::tls13(0x1301, None).data(Server, &FLIGHT).data(Client, &[22]).fin(Client);
        assert_eq!(scenario.handshake_reading(), None);
        // Resumption shows no certificate; but that is only known when it is.
        let scenario =
            Scenario::tls13(0x1301, None).data(Server, &FLIGHT).data(Client, &[53, 19]).wait(60_000).fin(Client);
        assert_eq!(scenario.handshake_reading(), None);
    }

    #[test]
    fn a_plaintext_alert_is_proof() {
        let scenario = Scenario::tls13(0x1301, None).data(Server, &FLIGHT).record(Client, 21, &[2, 48]).fin(Client);
        assert_eq!(
            scenario.handshake_reading(),
            Some((Meaning::ClientRefusedCertificate(Some(48)), Certainty::Proven))
        );
        let scenario = Scenario::tls12(0xc02f).record(Client, 21, &[2, 45]).fin(Client);
        assert_eq!(
            scenario.handshake_reading(),
            Some((Meaning::ClientRefusedCertificate(Some(45)), Certainty::Proven))
        );
        // An alert that is about something else is no refusal of a certificate.
        let scenario = Scenario::tls12(0xc02f).record(Server, 21, &[2, 40]).fin(Server);
        assert_eq!(scenario.handshake_reading(), None);
    }

    #[test]
    fn a_client_that_leaves_silently_is_noticed() {
        let scenario = Scenario::tls13(0x1302, None).data(Server, &FLIGHT).fin(Client);
        assert_eq!(scenario.handshake_reading(), Some((Meaning::ClientLeftAfterServerFlight, Certainty::Possible)));
        let late = Scenario::tls13(0x1302, None).data(Server, &FLIGHT).wait(5000).fin(Client);
        assert_eq!(late.handshake_reading(), None);
        let by_server = Scenario::tls13(0x1302, None).data(Server, &FLIGHT).fin(Server).fin(Client);
        assert_eq!(by_server.handshake_reading(), None);
        let finished = Scenario::tls13(0x1302, None).data(Server, &FLIGHT).data(Client, &[69]).fin(Client);
        assert_eq!(finished.handshake_reading(), Some((Meaning::ClientLeftAfterFinished, Certainty::Possible)));
        let notified = Scenario::tls13(0x1301, None).data(Server, &FLIGHT).data(Client, &[53, 19]).fin(Client);
        assert_eq!(notified.handshake_reading(), Some((Meaning::ClientLeftAfterFinished, Certainty::Possible)));
        // A browser's spare connection for pages.
        let spare = Scenario::tls13(0x1301, Some("h2")).data(Server, &FLIGHT).data(Client, &[53]).fin(Client);
        assert_eq!(spare.handshake_reading(), None);
        let node12 = Scenario::tls12(0xc02f)
            .handshake(Client, 16, &[1, 2])
            .record(Client, 20, &[1])
            .record(Client, 22, &[0; 40]);
        let node12 = node12.record(Server, 20, &[1]).record(Server, 22, &[0; 40]).fin(Client);
        assert_eq!(node12.handshake_reading(), Some((Meaning::ClientLeftAfterFinished, Certainty::Possible)));
        let asked = Scenario::tls12(0xc02f).handshake(Server, 13, &[1, 1, 0, 0, 0, 0]).fin(Client);
        assert_eq!(asked.handshake_reading(), Some((Meaning::ClientLeftWhenAskedForCertificate, Certainty::Likely)));
    }

    #[test]
    fn a_missing_client_certificate_shows_in_the_lengths() {
        let flight = || Scenario::tls13(0x1301, None).data(Server, &FLIGHT);
        let scenario = flight().data(Client, &[25, 53, 300]).data(Server, &[19]).fin(Server);
        assert_eq!(scenario.handshake_reading(), Some((Meaning::ServerRefusedClient(None), Certainty::Likely)));
        let scenario = flight().data(Client, &[61, 300]).data(Server, &[19]).fin(Server);
        assert_eq!(scenario.handshake_reading(), Some((Meaning::ServerRefusedClient(None), Certainty::Likely)));
        let scenario = flight().data(Client, &[53, 300]).data(Server, &[19]).fin(Server);
        assert_eq!(scenario.handshake_reading(), Some((Meaning::ServerRefusedClient(None), Certainty::Possible)));
        // With an answer before the end, TLS is not what failed.
        let scenario = flight().data(Client, &[53, 300]).data(Server, &[250, 190, 19]).fin(Server);
        assert_eq!(scenario.handshake_reading(), Some((Meaning::EndedAboveTls, Certainty::Possible)));
    }

    #[test]
    fn bytes_missing_from_the_capture_silence_all() {
        let scenario = Scenario::tls13(0x1301, None).data(Server, &FLIGHT);
        let gap = StreamEvent::Gap { offset: 0, len: 100, cause: crate::stream::GapCause::NotCaptured };
        assert_eq!(scenario.event(Client, gap).fin(Client).handshake_reading(), None);
    }

    fn talk(alpn: Option<&str>) -> Scenario {
        Scenario::tls13(0x1301, alpn).data(Server, &FLIGHT).data(Client, &[53, 400]).data(Server, &[250, 146])
    }

    #[test]
    fn close_frames_have_their_lengths() {
        let scenario =
            talk(None).data(Client, &[25]).data(Server, &[21, 19]).fin(Server).data(Client, &[19]).fin(Client);
        assert_eq!(scenario.closing_reading(), Some((Meaning::CleanWebSocketClose, Certainty::Likely)));
        let bare = talk(None).data(Server, &[21]).data(Client, &[25]).fin(Server).fin(Client);
        assert_eq!(bare.closing_reading(), Some((Meaning::CleanWebSocketClose, Certainty::Possible)));
        // An alert and an end alone say nothing about Close frames.
        let scenario = talk(None).data(Client, &[28]).data(Server, &[19]).fin(Server).fin(Client);
        assert_eq!(scenario.closing_reading(), None);
        let apart = talk(None).data(Server, &[21]).wait(3000).data(Client, &[25]).fin(Client).fin(Server);
        assert_eq!(apart.closing_reading(), None);
    }

    #[test]
    fn a_websocket_gives_itself_away_and_a_page_does_not() {
        let scenario = talk(Some("http/1.1")).data(Client, &[28]).data(Server, &[37]);
        assert_eq!(scenario.websocket_reading(), Some((Meaning::LooksLikeWebSocket, Certainty::Likely)));
        let library = talk(None).data(Client, &[28]).data(Server, &[37]);
        assert_eq!(library.websocket_reading(), Some((Meaning::LooksLikeWebSocket, Certainty::Possible)));
        let pushing = talk(None).data(Client, &[28]);
        let pushing = (0..4).fold(pushing, |scenario, _| scenario.wait(100).data(Server, &[86]));
        assert_eq!(pushing.websocket_reading(), Some((Meaning::LooksLikeWebSocket, Certainty::Likely)));
        // Requests and answers, one after the other.
        let page = talk(Some("http/1.1")).data(Client, &[400]).data(Server, &[1400, 1400, 1400]).data(Client, &[420]);
        assert_eq!(page.websocket_reading(), None);
        // HTTP/2 has short frames of its own.
        assert_eq!(talk(Some("h2")).data(Client, &[30]).websocket_reading(), None);
    }
}
