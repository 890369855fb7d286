//! A document with every kind of thing in it, for tests.

use super::from_record;
use super::model::*;
use super::redact::Redactor;
use crate::diagnosis::catalogue;

/// 2026-11-21T08:00:00Z.
pub(crate) const START: i64 = 1_795_248_000_000_000_000;
const MS: i64 = 1_000_000;

pub(crate) fn at(ms: i64) -> Time {
    Time(START + ms * MS)
}

fn endpoint(ip: &str, port: u16) -> Endpoint {
    Endpoint { ip: ip.parse().unwrap(), port }
}

fn header(name: &'static str, value: &'static str) -> Header<'static> {
    (name.into(), value.into())
}

/// A healthy connection: text both ways, closed with 1000 by the client.
pub(crate) fn healthy(id: u64, tcp_stream: u64) -> Connection<'static> {
    Connection {
        id,
        tcp_stream,
        verdict: Verdict::Fine,
        body: ConnectionBody {
            http2_stream: None,
            community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".into(),
            client: endpoint("10.10.1.10", 32_900),
            server: endpoint("10.10.2.20", 8080),
            start: at(0),
            end: at(30_500),
            duration_ms: at(30_500).since(at(0)),
            first_packet: 1,
            last_packet: 24,
            outcome: Outcome::ClosedClean,
            tcp: Tcp {
                opening: TcpOpening::Handshake,
                closing: TcpClosing::Fin,
                first_closer: Some(Side::Server),
                rtt_ms: Some(Millis::from_nanos(412_000)),
                retransmissions: PerSide { client: 1, server: 0 },
                out_of_order: PerSide::default(),
                lost_bytes: PerSide::default(),
                zero_window_ms: PerSide::default(),
            },
            tls: None,
            http: Some(Http {
                version: Some("1.1".into()),
                method: Some("GET".into()),
                target: Some("/ws?room=7".into()),
                host: Some("chat.example".into()),
                status: Some(101),
                response_ms: Some(Millis::from_nanos(2_500_000)),
                reason: Some("Switching Protocols".into()),
                request_headers: vec![
                    header("Host", "chat.example"),
                    header("Upgrade", "websocket"),
                    header("Connection", "Upgrade"),
                    header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    header("Sec-WebSocket-Version", "13"),
                ],
                response_headers: vec![
                    header("Upgrade", "websocket"),
                    header("Connection", "Upgrade"),
                    header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                ],
                body_excerpt: None,
            }),
            websocket: Some(WebSocket {
                upgrade: Upgrade::Accepted,
                subprotocol: Some("graphql-transport-ws".into()),
                protocol: Some("graphql-transport-ws".into()),
                extensions: Some("permessage-deflate; client_max_window_bits=15".into()),
                accept_valid: Some(true),
                client: Traffic {
                    frames: 5,
                    messages: 3,
                    bytes: 120,
                    text: 3,
                    ping: 1,
                    close: 1,
                    ..Traffic::default()
                },
                server: Traffic {
                    frames: 9,
                    messages: 7,
                    bytes: 4096,
                    text: 7,
                    pong: 1,
                    close: 1,
                    ..Traffic::default()
                },
                ping_rtt_ms: Some(PingRtt {
                    min: Millis::from_nanos(900_000),
                    median: Millis::from_nanos(900_000),
                    max: Millis::from_nanos(900_000),
                }),
                unanswered_pings: 0,
                silence_ms: Silence::default(),
                close: Some(Close {
                    first: Some(Side::Client),
                    client: Some(CloseFrame { code: Some(1000), reason: "done".into(), cut: false, packet: 20 }),
                    server: Some(CloseFrame { code: None, reason: Text::default(), cut: false, packet: 21 }),
                    complete: true,
                }),
            }),
            application_view: ApplicationView {
                client: Some(View { code: 1005, was_clean: Some(true) }),
                server: Some(View { code: 1000, was_clean: Some(true) }),
            },
        },
        root_cause: None,
        findings: vec![],
    }
}

/// The back leg of a proxy that dropped the Upgrade header.
pub(crate) fn stripped(id: u64, tcp_stream: u64, finding: u64) -> Connection<'static> {
    let start = at(40_000 + id as i64 * 1000);
    let end = Time(start.0 + 12 * MS);
    Connection {
        body: ConnectionBody {
            client: endpoint("10.10.2.10", 41_000 + id as u16),
            start,
            end,
            duration_ms: end.since(start),
            first_packet: 100 + id * 10,
            last_packet: 109 + id * 10,
            outcome: Outcome::UpgradeFailed,
            http: Some(Http {
                version: Some("1.0".into()),
                method: Some("GET".into()),
                target: Some("/ws?token=rocketskates:r0cketsk8ts".into()),
                host: Some("app".into()),
                status: Some(426),
                response_ms: Some(Millis::from_nanos(2_500_000)),
                reason: Some("Upgrade Required".into()),
                request_headers: vec![
                    header("Host", "app"),
                    header("Connection", "close"),
                    header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    header("Authorization", "Bearer abc.def.ghi"),
                ],
                response_headers: vec![header("Content-Length", "16")],
                body_excerpt: Some("Upgrade Required".into()),
            }),
            websocket: Some(WebSocket {
                upgrade: Upgrade::Stripped,
                subprotocol: None,
                protocol: None,
                extensions: None,
                accept_valid: None,
                client: Traffic::default(),
                server: Traffic::default(),
                ping_rtt_ms: None,
                unanswered_pings: 0,
                silence_ms: Silence::default(),
                close: None,
            }),
            application_view: ApplicationView {
                client: Some(View { code: 1006, was_clean: Some(false) }),
                server: None,
            },
            ..healthy(id, tcp_stream).body
        },
        root_cause: Some(RootCause {
            rule: "WSH301".into(),
            confidence: Confidence::Proven,
            party: Party::Proxy,
            connection: Some(id),
            finding: Some(finding),
        }),
        verdict: Verdict::Trouble,
        findings: vec![finding],
        ..healthy(id, tcp_stream)
    }
}

/// The finding of [`stripped`].
pub(crate) fn stripped_finding(connection: u64) -> Finding<'static> {
    let start = 40_000 + connection as i64 * 1000;
    Finding {
        body: FindingBody {
        rule: "WSH301".into(),
        severity: Severity::Error,
        confidence: Confidence::Proven,
            party: Party::Proxy,
        summary:
            "A proxy removed the Upgrade header, so the server answered 426 to what it took for an ordinary request."
                .into(),
        explanation: Some(
            "The request carries Sec-WebSocket-Key and Sec-WebSocket-Version, which only a WebSocket client sends, \
                      but no Upgrade header, and it says HTTP/1.0: what nginx does unless it is told otherwise."
                .into()),
        advice: Some("Tell the proxy to pass the upgrade on:\n\n    proxy_http_version 1.1;\n    proxy_set_header Upgrade \
                 $http_upgrade;\n    proxy_set_header Connection $connection_upgrade;"
            .into()),
        unless: Some("The client itself never sent Upgrade: a capture on the client's side of the proxy would show it.".into()),
        undecided: vec![Undecided { check: "It is so.".into(), needs: "both sides".into() }],
        evidence: vec![
            Evidence {
                packet: 103 + connection * 10,
                time: at(start + 2),
                from: Some(Side::Client),
                note: "GET /ws?token=rocketskates:r0cketsk8ts HTTP/1.0 with Sec-WebSocket-Key, without Upgrade".into(),
            },
            Evidence {
                packet: 105 + connection * 10,
                time: at(start + 5),
                from: Some(Side::Server),
                note: "HTTP/1.1 426 Upgrade Required".into(),
            },
        ],
        },
        connections: vec![connection],
    }
}

/// A TLS connection whose client left after an alert.
pub(crate) fn tls_failed(id: u64, finding: u64) -> Connection<'static> {
    Connection {
        body: ConnectionBody {
            client: endpoint("2001:db8::17", 50_000),
            server: endpoint("2001:db8::1", 443),
            start: at(90_000),
            end: at(90_031),
            duration_ms: at(90_031).since(at(90_000)),
            first_packet: 300,
            last_packet: 309,
            outcome: Outcome::TlsFailed,
            tls: Some(Tls {
                version: Some("1.2".into()),
                cipher_suite: Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into()),
                server_name: Some("chat.example".into()),
                alpn: None,
                decrypted: false,
                certificates: vec![Certificate {
                    subject: "CN=chat.example".into(),
                    issuer: "CN=chat.example".into(),
                    not_before: Seconds::new(1_700_000_000),
                    not_after: Seconds::new(253_402_300_799),
                    self_signed: true,
                    names: vec!["chat.example".into()],
                }],
                alerts: vec![TlsAlert {
                    from: Side::Client,
                    level: Some("fatal".into()),
                    code: Some(48),
                    description: Some("unknown_ca".into()),
                    packet: 307,
                }],
            }),
            http: None,
            websocket: None,
            application_view: ApplicationView {
                client: Some(View { code: 1006, was_clean: Some(false) }),
                server: None,
            },
            ..healthy(id, 9).body
        },
        root_cause: Some(RootCause {
            rule: "WST103".into(),
            confidence: Confidence::Proven,
            party: Party::Proxy,
            connection: Some(id),
            finding: Some(finding),
        }),
        verdict: Verdict::Trouble,
        findings: vec![finding],
        ..healthy(id, 9)
    }
}

/// The finding of [`tls_failed`].
pub(crate) fn tls_finding(connection: u64) -> Finding<'static> {
    Finding {
        body: FindingBody {
            rule: "WST103".into(),
            severity: Severity::Error,
            confidence: Confidence::Proven,
            party: Party::Proxy,
            summary: "The client refused the server's certificate: it does not know who signed it.".into(),
            explanation: Some(
                "The client sent the TLS alert unknown_ca right after the certificate, which is self-signed.".into(),
            ),
            advice: Some("Install a certificate that the client trusts, with its intermediate certificates.".into()),
            unless: None,
            undecided: vec![Undecided { check: "It is so.".into(), needs: "both sides".into() }],
            evidence: vec![Evidence {
                packet: 307,
                time: at(90_030),
                from: Some(Side::Client),
                note: "TLS alert 48 unknown_ca".into(),
            }],
        },
        connections: vec![connection],
    }
}

/// One of everything.
pub(crate) fn document() -> Document<'static> {
    let connections = vec![healthy(1, 0), stripped(2, 3, 0), stripped(3, 4, 1), tls_failed(4, 2)];
    let summary = Summary {
        connections: 4,
        websockets: 1,
        verdicts: [(Verdict::Fine, 1), (Verdict::Trouble, 3)].into(),
        outcomes: [(Outcome::ClosedClean, 1), (Outcome::UpgradeFailed, 2), (Outcome::TlsFailed, 1)].into(),
        findings: FindingCounts { error: 3, warning: 0, info: 0 },
    };
    let relations = vec![
        Relation::ProxyLeg { front: 1, back: 2, by: "sec-websocket-key".into(), score: 100 },
        Relation::ReconnectLoop { connections: vec![2, 3], median_gap_ms: Some(Millis::from_nanos(988 * MS)) },
    ];
    let findings = vec![stripped_finding(2), stripped_finding(3), tls_finding(4)];
    let rules =
        ["WSH301", "WST103"].map(|id| (id.to_owned(), from_record::rule(catalogue::rule(id).expect("a rule")))).into();
    Document::new(capture(), summary, connections, relations, rules, findings)
}

/// Two files, one of them damaged.
pub(crate) fn capture() -> Capture {
    Capture {
        files: vec![
            CaptureFile {
                path: "front.pcapng".into(),
                format: CaptureFormat::Pcapng,
                link_types: vec!["ETHERNET".into()],
                packets: 200,
                bytes: 20_000,
                truncated: false,
                error: None,
            },
            CaptureFile {
                path: "back.pcap".into(),
                format: CaptureFormat::Pcap,
                link_types: vec!["LINUX_SLL2".into()],
                packets: 110,
                bytes: 9_000,
                truncated: true,
                error: Some("the file ends within packet 311".into()),
            },
        ],
        packets: 310,
        bytes: 29_000,
        first_time: Some(at(0)),
        last_time: Some(at(90_031)),
        packets_dropped: Some(2),
        tcp_connections: 10,
        undecoded_packets: 1,
        tls_secrets: 0,
        limits: [("http.heads".to_owned(), 3)].into(),
        left_out: [("no_websocket_near".to_owned(), 2)].into(),
    }
}

impl Document<'_> {
    /// Redacts every piece, as the store does when it takes it.
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        self.connections.iter_mut().for_each(|connection| redactor.connection(&mut connection.body));
        self.findings.iter_mut().for_each(|finding| redactor.finding(&mut finding.body));
    }
}
