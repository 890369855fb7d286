//! Holds the names and the order of the document against the published list, literally.

use std::fmt::Write;

use serde_json::Value;

use super::sample;

/// Every path of the document; an array is shown by the members its elements have between them.
const PATHS: &str = "\
schema_version
wsscan
capture.files[].path
capture.files[].format
capture.files[].link_types[]
capture.files[].packets
capture.files[].bytes
capture.files[].truncated
capture.files[].error
capture.packets
capture.bytes
capture.first_time
capture.last_time
capture.packets_dropped
capture.tcp_connections
capture.undecoded_packets
capture.tls_secrets
summary.connections
summary.websockets
summary.outcomes.closed_clean
summary.outcomes.upgrade_failed
summary.outcomes.tls_failed
summary.findings.error
summary.findings.warning
summary.findings.info
connections[].id
connections[].tcp_stream
connections[].http2_stream
connections[].community_id
connections[].client.ip
connections[].client.port
connections[].server.ip
connections[].server.port
connections[].start
connections[].end
connections[].duration_ms
connections[].first_packet
connections[].last_packet
connections[].outcome
connections[].tcp.opening
connections[].tcp.closing
connections[].tcp.first_closer
connections[].tcp.rtt_ms
connections[].tcp.retransmissions.client
connections[].tcp.retransmissions.server
connections[].tcp.out_of_order.client
connections[].tcp.out_of_order.server
connections[].tcp.lost_bytes.client
connections[].tcp.lost_bytes.server
connections[].tls
connections[].http.version
connections[].http.method
connections[].http.target
connections[].http.host
connections[].http.status
connections[].http.reason
connections[].http.request_headers[][]
connections[].http.response_headers[][]
connections[].http.body_excerpt
connections[].websocket.upgrade
connections[].websocket.subprotocol
connections[].websocket.extensions
connections[].websocket.accept_valid
connections[].websocket.client.frames
connections[].websocket.client.messages
connections[].websocket.client.bytes
connections[].websocket.client.text
connections[].websocket.client.binary
connections[].websocket.client.continuation
connections[].websocket.client.ping
connections[].websocket.client.pong
connections[].websocket.client.close
connections[].websocket.server.frames
connections[].websocket.server.messages
connections[].websocket.server.bytes
connections[].websocket.server.text
connections[].websocket.server.binary
connections[].websocket.server.continuation
connections[].websocket.server.ping
connections[].websocket.server.pong
connections[].websocket.server.close
connections[].websocket.ping_rtt_ms.min
connections[].websocket.ping_rtt_ms.median
connections[].websocket.ping_rtt_ms.max
connections[].websocket.unanswered_pings
connections[].websocket.close.first
connections[].websocket.close.client.code
connections[].websocket.close.client.reason
connections[].websocket.close.client.packet
connections[].websocket.close.server.code
connections[].websocket.close.server.reason
connections[].websocket.close.server.packet
connections[].websocket.close.complete
connections[].application_view.client.code
connections[].application_view.client.was_clean
connections[].application_view.server.code
connections[].application_view.server.was_clean
connections[].root_cause
connections[].websocket.close.client
connections[].websocket.close.server
connections[].root_cause.rule
connections[].root_cause.confidence
connections[].findings[]
connections[].tls.version
connections[].tls.cipher_suite
connections[].tls.server_name
connections[].tls.alpn
connections[].tls.decrypted
connections[].tls.certificates[].subject
connections[].tls.certificates[].issuer
connections[].tls.certificates[].not_before
connections[].tls.certificates[].not_after
connections[].tls.certificates[].self_signed
connections[].tls.certificates[].names[]
connections[].tls.alerts[].from
connections[].tls.alerts[].level
connections[].tls.alerts[].code
connections[].tls.alerts[].description
connections[].tls.alerts[].packet
connections[].http
connections[].websocket
relations[].kind
relations[].front
relations[].back
relations[].by
relations[].score
relations[].differences[].name
relations[].differences[].front
relations[].differences[].back
relations[].connections[]
relations[].median_gap_ms
findings[].rule
findings[].slug
findings[].severity
findings[].confidence
findings[].connections[]
findings[].summary
findings[].explanation
findings[].advice
findings[].unless
findings[].references[]
findings[].evidence[].packet
findings[].evidence[].time
findings[].evidence[].from
findings[].evidence[].note
";

/// Collects leaf paths in the order in which they first appear in the text. serde_json's `Value` would
/// sort the members, hence a reader of its own over the pretty text.
fn paths(json: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = Reader { rest: json.trim_start(), found: &mut found };
    reader.value("");
    found
}

struct Reader<'a> {
    rest: &'a str,
    found: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn skip(&mut self, prefix: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn scalar(&mut self) -> Value {
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let value = stream.next().unwrap().unwrap();
        self.rest = &self.rest[stream.byte_offset()..];
        value
    }

    fn value(&mut self, path: &str) {
        if self.skip('{') {
            while !self.skip('}') {
                let Value::String(name) = self.scalar() else { panic!("a member has a name") };
                assert!(self.skip(':'));
                let mut inner = path.to_owned();
                write!(inner, "{}{name}", if path.is_empty() { "" } else { "." }).unwrap();
                self.value(&inner);
                self.skip(',');
            }
        } else if self.skip('[') {
            while !self.skip(']') {
                self.value(&format!("{path}[]"));
                self.skip(',');
            }
        } else {
            self.scalar();
            if !self.found.iter().any(|known| known == path) {
                self.found.push(path.to_owned());
            }
        }
    }
}

#[test]
fn every_name_is_as_published_and_in_its_order() {
    let json = serde_json::to_string(&sample::document()).unwrap();
    let expected: Vec<&str> = PATHS.lines().collect();
    assert_eq!(paths(&json), expected);
}

#[test]
fn values_have_their_published_words() {
    use super::model::*;
    fn words<T: serde::Serialize>(values: &[T]) -> String {
        values.iter().map(|v| serde_json::to_string(v).unwrap().replace('"', "")).collect::<Vec<_>>().join("|")
    }
    assert_eq!(
        words(&Outcome::ALL),
        "open|closed_clean|closed_no_status|closed_abnormal|upgrade_failed|tls_failed|tcp_failed|unknown"
    );
    assert_eq!(words(&Outcome::ALL), Outcome::ALL.map(Outcome::name).join("|"));
    assert_eq!(
        words(&[TcpOpening::Handshake, TcpOpening::Refused, TcpOpening::Unanswered, TcpOpening::MidStream]),
        "handshake|refused|unanswered|mid_stream"
    );
    assert_eq!(words(&[TcpClosing::Fin, TcpClosing::Rst, TcpClosing::None]), "fin|rst|none");
    assert_eq!(words(&[Some(Side::Client), Some(Side::Server), None]), "client|server|null");
    assert_eq!(words(&[CaptureFormat::Pcap, CaptureFormat::Pcapng]), "pcap|pcapng");
    assert_eq!(
        words(&[Upgrade::Accepted, Upgrade::Refused, Upgrade::Stripped, Upgrade::Unanswered, Upgrade::MidStream]),
        "accepted|refused|stripped|unanswered|mid_stream"
    );
    assert_eq!(words(&[Severity::Error, Severity::Warning, Severity::Info]), "error|warning|info");
    assert_eq!(words(&[Confidence::Proven, Confidence::Likely, Confidence::Possible]), "proven|likely|possible");
    assert!(Confidence::Proven > Confidence::Likely && Confidence::Likely > Confidence::Possible);
    assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Info);
}

#[test]
fn a_close_without_status_has_no_code() {
    let json = serde_json::to_value(sample::healthy(1, 0)).unwrap();
    assert_eq!(json["websocket"]["close"]["server"], serde_json::json!({"code": null, "reason": "", "packet": 21}));
    assert_eq!(json["application_view"]["client"]["code"], 1005);
}
