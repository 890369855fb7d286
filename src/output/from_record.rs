//! From records and verdicts to the output model. The only place that knows both.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::community_id::community_id;
use super::model::{self, Text};
use super::time::{Millis, Seconds, Time};
use crate::connection::{ConnectionRecord, Ends, Entry};
use crate::diagnosis::catalogue::Rule;
use crate::diagnosis::correlate::Relation;
use crate::diagnosis::finding::{self, Finding};
use crate::diagnosis::{Assessment, Confidence, Heading, Outcome, Party, Severity, Verdict, View};
use crate::http::handshake::Accept;
use crate::http::{Answer, Exchange, Version};
use crate::http2::WebSocketStream;
use crate::packet::{Endpoint, Stamp};
use crate::stream::{Direction, Side};
use crate::tcp::{Closing, Opening, SideFacts, TcpFacts};
use crate::tls::TlsFacts;
use crate::websocket::{CloseFacts, DirectionFacts, RoundTrips, WebSocketFacts};

/// Most bytes of a refusing answer's body that are shown.
const BODY_SHOWN: usize = 400;

/// Time from one moment to a later one; `None` where the capture's clock ran backwards.
fn between(earlier: Stamp, later: Stamp) -> Option<Millis> {
    let nanos = later.at.checked_sub(earlier.at)?;
    (nanos >= 0).then(|| Millis::from_nanos(nanos))
}

/// As many headers most messages have at most.
const USUAL_HEADERS: usize = 12;

/// `ip` and `port` as the model has them.
#[must_use]
pub(crate) fn endpoint(endpoint: Endpoint) -> model::Endpoint {
    model::Endpoint { ip: endpoint.ip, port: endpoint.port }
}

/// Community ID of a connection.
#[must_use]
pub(crate) fn community(ends: Ends) -> String {
    community_id((ends.client.ip, ends.client.port), (ends.server.ip, ends.server.port))
}

/// What is known of one entry of a connection, or (`None`) of a connection that failed before it had one.
#[must_use]
pub(crate) fn connection<'a>(
    record: &'a ConnectionRecord,
    entry: Option<usize>,
    verdict: &Verdict,
) -> model::ConnectionBody<'a> {
    let tcp = &record.tcp;
    let entry = entry.and_then(|index| record.entries.get(index));
    model::ConnectionBody {
        http2_stream: entry.and_then(|entry| entry.http2_stream),
        community_id: community(Ends { client: tcp.client, server: tcp.server }),
        client: endpoint(tcp.client),
        server: endpoint(tcp.server),
        start: Time(tcp.first.at),
        end: Time(tcp.last.at),
        duration_ms: Millis::from_nanos(tcp.last.at - tcp.first.at),
        first_packet: tcp.first.packet,
        last_packet: tcp.last.packet,
        outcome: outcome(verdict.outcome),
        tcp: self::tcp(tcp),
        tls: record.tls.as_deref().map(tls),
        http: entry.and_then(|entry| match &entry.http2 {
            Some(stream) => Some(http2(stream)),
            None => entry.handshake.as_deref().map(http),
        }),
        websocket: entry.map(|entry| websocket(entry, record)),
        application_view: model::ApplicationView {
            client: verdict.view.client.map(view),
            server: verdict.view.server.map(view),
        },
    }
}

fn view(view: View) -> model::View {
    model::View { code: view.code, was_clean: Some(view.was_clean) }
}

/// The assessment's twin.
#[must_use]
pub(crate) const fn verdict(assessment: Assessment) -> model::Verdict {
    match assessment {
        Assessment::Fine => model::Verdict::Fine,
        Assessment::Noteworthy => model::Verdict::Noteworthy,
        Assessment::Trouble => model::Verdict::Trouble,
        Assessment::Unknown => model::Verdict::Unknown,
    }
}

/// The outcome's twin.
#[must_use]
pub(crate) const fn outcome(outcome: Outcome) -> model::Outcome {
    match outcome {
        Outcome::Open => model::Outcome::Open,
        Outcome::ClosedClean => model::Outcome::ClosedClean,
        Outcome::ClosedNoStatus => model::Outcome::ClosedNoStatus,
        Outcome::ClosedAbnormal => model::Outcome::ClosedAbnormal,
        Outcome::UpgradeFailed => model::Outcome::UpgradeFailed,
        Outcome::TlsFailed => model::Outcome::TlsFailed,
        Outcome::TcpFailed => model::Outcome::TcpFailed,
        Outcome::Unknown => model::Outcome::Unknown,
    }
}

/// The severity's twin.
#[must_use]
pub(crate) const fn severity(severity: Severity) -> model::Severity {
    match severity {
        Severity::Info => model::Severity::Info,
        Severity::Warning => model::Severity::Warning,
        Severity::Error => model::Severity::Error,
    }
}

/// The confidence's twin.
#[must_use]
pub(crate) const fn confidence(confidence: Confidence) -> model::Confidence {
    match confidence {
        Confidence::Possible => model::Confidence::Possible,
        Confidence::Likely => model::Confidence::Likely,
        Confidence::Proven => model::Confidence::Proven,
    }
}

fn per_side<T>(tcp: &TcpFacts, of: impl Fn(&SideFacts) -> T) -> model::PerSide<T> {
    model::PerSide { client: of(tcp.side(Side::Client)), server: of(tcp.side(Side::Server)) }
}

fn tcp(tcp: &TcpFacts) -> model::Tcp {
    model::Tcp {
        opening: match tcp.opening {
            Opening::Handshake => model::TcpOpening::Handshake,
            Opening::Refused => model::TcpOpening::Refused,
            Opening::Unanswered => model::TcpOpening::Unanswered,
            Opening::MidStream => model::TcpOpening::MidStream,
        },
        closing: match tcp.closing {
            Closing::Fin => model::TcpClosing::Fin,
            Closing::Rst => model::TcpClosing::Rst,
            Closing::None => model::TcpClosing::None,
        },
        first_closer: tcp.first_closer.map(model::Side::from),
        rtt_ms: tcp.initial_rtt_ns().map(Millis::from_nanos),
        retransmissions: per_side(tcp, |side| u64::from(side.unusual().retransmissions)),
        out_of_order: per_side(tcp, |side| u64::from(side.unusual().out_of_order)),
        lost_bytes: per_side(tcp, |side| side.unusual().lost_bytes),
        zero_window_ms: per_side(tcp, |side| Millis::from_nanos(side.unusual().zero_window.longest_ns)),
    }
}

fn tls(tls: &TlsFacts) -> model::Tls<'_> {
    let certificates = tls.server_certificates.as_ref().map_or(&[][..], |chain| &chain.certificates);
    model::Tls {
        version: tls.version().and_then(|version| version.name()).map(Text::from),
        cipher_suite: tls.cipher_suite().map(|suite| match suite.name() {
            Some(name) => name.into(),
            None => format!("0x{:04X}", suite.0).into(),
        }),
        server_name: tls.server_name().map(Text::from),
        alpn: tls.alpn.as_deref().map(Text::from),
        decrypted: tls.decrypted(),
        certificates: certificates
            .iter()
            .map(|certificate| model::Certificate {
                subject: certificate.subject.as_str().into(),
                issuer: certificate.issuer.as_str().into(),
                not_before: Seconds::new(certificate.not_before),
                not_after: Seconds::new(certificate.not_after),
                self_signed: certificate.self_signed,
                names: certificate.names.iter().map(|name| name.to_string().into()).collect(),
            })
            .collect(),
        alerts: tls
            .alerts
            .iter()
            .map(|alert| model::TlsAlert {
                from: alert.from.into(),
                level: alert.level_name().map(Text::from),
                code: alert.code,
                description: alert.description().map(Text::from),
                packet: alert.stamp.packet,
            })
            .collect(),
    }
}

fn version(version: Option<Version>) -> Option<Text<'static>> {
    version.map(|version| match (version.major, version.minor) {
        (1, 1) => "1.1".into(),
        (1, 0) => "1.0".into(),
        (major, minor) => format!("{major}.{minor}").into(),
    })
}

fn headers<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<model::Header<'a>> {
    let mut headers = Vec::with_capacity(USUAL_HEADERS);
    headers.extend(fields.map(|(name, value)| (Text::from(name), Text::from(value))));
    headers
}

/// The opening handshake.
#[must_use]
pub(crate) fn http(exchange: &Exchange) -> model::Http<'_> {
    let request = exchange.request.as_ref();
    let response = exchange.response();
    model::Http {
        version: version(
            response.map_or_else(|| request.and_then(|request| request.version), |response| response.version),
        ),
        method: request.map(|request| request.method().into()),
        target: request.map(|request| request.target().into()),
        host: request.and_then(|request| request.host()).map(Text::from),
        status: exchange.status(),
        response_ms: request
            .zip(response)
            .and_then(|(request, response)| between(request.head.last, response.head.last)),
        reason: response.map(|response| response.reason().into()),
        request_headers: request.map_or_else(Vec::new, |request| headers(request.head.fields())),
        response_headers: response.map_or_else(Vec::new, |response| headers(response.head.fields())),
        body_excerpt: body_excerpt(exchange),
    }
}

/// The opening handshake of a WebSocket over HTTP/2 (RFC 8441).
fn http2(stream: &WebSocketStream) -> model::Http<'_> {
    let response = stream.response.as_ref();
    let excerpt = &stream.refusal_body[..stream.refusal_body.len().min(BODY_SHOWN)];
    model::Http {
        version: Some("2".into()),
        method: stream.request.method.as_deref().map(Text::from),
        target: stream.request.path.as_deref().map(Text::from),
        host: stream.request.authority.as_deref().map(Text::from),
        status: response.and_then(|response| response.status),
        response_ms: response.and_then(|response| between(stream.request.stamp, response.stamp)),
        reason: None,
        request_headers: headers(stream.request.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
        response_headers: response.map_or_else(Vec::new, |response| {
            headers(response.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        }),
        body_excerpt: (!excerpt.is_empty()).then(|| String::from_utf8_lossy(excerpt)),
    }
}

fn body_excerpt(exchange: &Exchange) -> Option<Text<'_>> {
    let bytes = match &exchange.answer {
        Answer::Foreign(foreign) | Answer::Fragment(foreign) => &foreign.bytes[..],
        _ => &exchange.body.excerpt[..],
    };
    let shown = &bytes[..bytes.len().min(BODY_SHOWN)];
    (!shown.is_empty()).then(|| String::from_utf8_lossy(shown))
}

/// What was agreed on when a WebSocket was asked for.
pub(super) struct Agreement<'a> {
    pub(super) upgrade: model::Upgrade,
    pub(super) subprotocol: Option<Text<'a>>,
    pub(super) extensions: Option<Text<'a>>,
    pub(super) accept_valid: Option<bool>,
}

fn agreement<'a>(entry: &'a Entry, record: &ConnectionRecord) -> Agreement<'a> {
    let exchange = entry.handshake.as_deref();
    let checks = exchange.and_then(|exchange| exchange.handshake.as_ref()).and_then(|checks| checks.response.as_ref());
    let response = exchange.and_then(Exchange::response);
    let header = |name: &str| -> Option<Text<'a>> {
        let Some(response) = response else {
            let stream = entry.http2.as_ref()?.response.as_ref()?;
            return stream.field(&name.to_ascii_lowercase()).map(Text::from);
        };
        let values: SmallVec<[&str; 2]> = response.head.headers(name).collect();
        match values[..] {
            [] => None,
            [value] => Some(value.into()),
            _ => Some(values.join(", ").into()),
        }
    };
    Agreement {
        upgrade: upgrade(exchange, entry, record),
        subprotocol: header("Sec-WebSocket-Protocol"),
        extensions: header("Sec-WebSocket-Extensions"),
        accept_valid: checks.filter(|checks| checks.status == 101).and_then(|checks| match checks.accept {
            Accept::Unknown => None,
            Accept::Valid => Some(true),
            Accept::Absent | Accept::Mismatch { .. } | Accept::Multiple => Some(false),
        }),
    }
}

fn websocket<'a>(entry: &'a Entry, record: &ConnectionRecord) -> model::WebSocket<'a> {
    let facts = entry.websocket.as_deref();
    let Agreement { upgrade, subprotocol, extensions, accept_valid } = agreement(entry, record);
    model::WebSocket {
        upgrade,
        subprotocol,
        protocol: entry.application.as_ref().map(|application| application.protocol.into()),
        extensions,
        accept_valid,
        client: facts.map_or_else(model::Traffic::default, |facts| traffic(&facts[Direction::ToServer])),
        server: facts.map_or_else(model::Traffic::default, |facts| traffic(&facts[Direction::ToClient])),
        ping_rtt_ms: facts.and_then(ping_rtt),
        unanswered_pings: facts.map_or(0, unanswered_pings),
        silence_ms: facts.map_or_else(model::Silence::default, |_| silence(&record.tcp)),
        close: facts.and_then(close),
    }
}

fn upgrade(exchange: Option<&Exchange>, entry: &Entry, record: &ConnectionRecord) -> model::Upgrade {
    if let Some(stream) = &entry.http2 {
        return match stream.accepted() {
            Some(true) => model::Upgrade::Accepted,
            Some(false) => model::Upgrade::Refused,
            None if stream.reset.is_some() => model::Upgrade::Refused,
            None => model::Upgrade::Unanswered,
        };
    }
    let Some(exchange) = exchange else { return model::Upgrade::MidStream };
    let asked = exchange.handshake.as_ref().and_then(|checks| checks.request.as_ref());
    let stripped =
        asked.is_some_and(|asked| asked.upgrade.present() == Some(false) || asked.connection.present() == Some(false));
    match &exchange.answer {
        _ if entry.websocket.is_some() => model::Upgrade::Accepted,
        Answer::Response(_) | Answer::Foreign(_) if stripped => model::Upgrade::Stripped,
        Answer::Response(response) if response.status == 101 => model::Upgrade::Accepted,
        Answer::Response(_) | Answer::Foreign(_) => model::Upgrade::Refused,
        Answer::NotCaptured if record.tcp.opening == Opening::MidStream => model::Upgrade::MidStream,
        Answer::Nothing | Answer::Fragment(_) | Answer::NotCaptured => model::Upgrade::Unanswered,
    }
}

fn traffic(sent: &DirectionFacts) -> model::Traffic {
    model::Traffic {
        frames: sent.frames,
        messages: sent.messages,
        bytes: sent.payload_bytes,
        text: sent.text,
        binary: sent.binary,
        continuation: sent.continuation,
        ping: sent.ping,
        pong: sent.pong,
        close: sent.closes,
    }
}

/// Pings that nobody answered, of both sides.
fn unanswered_pings(facts: &WebSocketFacts) -> u64 {
    let keepalives = Direction::BOTH.iter().filter_map(|direction| facts[*direction].keepalive.as_ref());
    keepalives.map(|keepalive| keepalive.unanswered_count()).sum()
}

/// Round trips of whichever side pinged more.
fn round_trips(facts: &WebSocketFacts) -> Option<&RoundTrips> {
    Direction::BOTH
        .iter()
        .filter_map(|direction| facts[*direction].keepalive.as_ref())
        .map(|keepalive| &keepalive.round_trips)
        .filter(|trips| trips.count > 0)
        .max_by_key(|trips| trips.count)
}

fn ping_rtt(facts: &WebSocketFacts) -> Option<model::PingRtt> {
    let trips = round_trips(facts)?;
    Some(model::PingRtt {
        min: Millis::from_nanos(trips.min),
        median: trips.median().map(Millis::from_nanos)?,
        max: Millis::from_nanos(trips.max),
    })
}

/// How long nothing was sent before the last packet. Times that run backwards say nothing.
fn silence(tcp: &TcpFacts) -> model::Silence {
    let before_end = |last: Option<Stamp>| between(last?, tcp.last);
    model::Silence {
        client: before_end(tcp.side(Side::Client).last_payload()),
        server: before_end(tcp.side(Side::Server).last_payload()),
        both: before_end(tcp.last_payload()),
    }
}

/// Who sent the first of the Close frames of client and server.
fn first_to_close(frames: [Option<&CloseFacts>; 2]) -> Option<Side> {
    match frames {
        [Some(client), Some(server)] if client.stamp <= server.stamp => Some(Side::Client),
        [Some(_), None] => Some(Side::Client),
        [_, Some(_)] => Some(Side::Server),
        [None, None] => None,
    }
}

fn close(facts: &WebSocketFacts) -> Option<model::Close<'_>> {
    let client = facts[Direction::ToServer].close.as_deref();
    let server = facts[Direction::ToClient].close.as_deref();
    Some(model::Close {
        first: Some(first_to_close([client, server])?.into()),
        client: client.map(close_frame),
        server: server.map(close_frame),
        complete: client.is_some() && server.is_some(),
    })
}

fn close_frame(close: &CloseFacts) -> model::CloseFrame<'_> {
    model::CloseFrame {
        code: close.code,
        reason: close.reason.as_str().into(),
        cut: !close.captured,
        packet: close.stamp.packet,
    }
}

/// What is known of a finding before the ids of the connections it is about are.
#[must_use]
pub(crate) fn finding(finding: &Finding) -> model::FindingBody<'_> {
    let rule = finding.rule;
    let specific = |text: &'_ Cow<'static, str>, general: &str| (**text != *general).then(|| text.clone());
    model::FindingBody {
        rule: rule.id.into(),
        severity: severity(finding.severity),
        confidence: confidence(finding.confidence),
        party: party(finding.party),
        summary: finding.summary.as_str().into(),
        explanation: specific(&finding.explanation, rule.explanation),
        advice: specific(&finding.advice, rule.advice),
        unless: specific(&finding.unless, rule.unless),
        undecided: finding
            .undecided
            .iter()
            .map(|open| model::Undecided { check: open.unless.into(), needs: open.needs.into() })
            .collect(),
        evidence: finding.evidence.iter().map(evidence).collect(),
    }
}

/// The party's twin.
#[must_use]
pub(crate) const fn party(party: Party) -> model::Party {
    match party {
        Party::Client => model::Party::Client,
        Party::Server => model::Party::Server,
        Party::Proxy => model::Party::Proxy,
        Party::Network => model::Party::Network,
        Party::Application => model::Party::Application,
        Party::Capture => model::Party::Capture,
    }
}

/// What is said to be the cause of an outcome. `connection`: where it is proven; `number`: that of the finding.
#[must_use]
pub(crate) fn root_cause(heading: Heading, connection: Option<u64>, number: Option<u64>) -> model::RootCause<'static> {
    model::RootCause {
        rule: heading.rule.id.into(),
        confidence: confidence(heading.confidence),
        party: party(heading.party),
        connection,
        finding: number,
    }
}

/// What a rule always says.
#[must_use]
pub(crate) const fn rule(rule: &'static Rule) -> model::Rule {
    model::Rule {
        slug: rule.slug,
        title: rule.title,
        explanation: rule.explanation,
        advice: rule.advice,
        unless: rule.unless,
        references: rule.references,
    }
}

fn evidence(evidence: &finding::Evidence) -> model::Evidence<'_> {
    model::Evidence {
        packet: evidence.stamp.packet,
        time: Time(evidence.stamp.at),
        from: evidence.from.map(model::Side::from),
        note: Text::from(&*evidence.note),
    }
}

/// One relation; `id` tells the id of a subject.
#[must_use]
pub(crate) fn relation(relation: &Relation, id: impl Fn(usize) -> u64) -> model::Relation {
    match relation {
        Relation::ProxyLeg { front, back } => model::Relation::ProxyLeg {
            front: id(*front),
            back: id(*back),
            by: "sec-websocket-key".to_owned(),
            score: 100,
        },
        Relation::ReconnectLoop { attempts, median_gap_ns } => model::Relation::ReconnectLoop {
            connections: attempts.iter().map(|attempt| id(*attempt)).collect(),
            median_gap_ms: Some(Millis::from_nanos(*median_gap_ns)),
        },
    }
}
