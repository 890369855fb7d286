//! What the capture itself cannot show.

use crate::diagnosis::catalogue::{Party, Rule};
use crate::diagnosis::context::Session;
use crate::diagnosis::finding::Finding;
use crate::diagnosis::outcome::Outcome;
use crate::diagnosis::resolve::Candidates;
use crate::diagnosis::severity::{Confidence, Severity};
use crate::stream::Side;
use crate::tcp::{Opening, SideFacts, Unusual};

pub(super) fn judge(session: &Session<'_>, outcome: Outcome, candidates: &mut Candidates) {
    let tcp = session.tcp();
    if tcp.opening == Opening::MidStream {
        let finding = Finding::new(
            &CAPTURE_STARTS_MID_CONNECTION,
            Confidence::Proven,
            "The capture starts in the middle of this connection: what came before is unknown.",
        );
        candidates.note(finding.evidence(tcp.first, None, "first captured packet of the connection; no SYN before it"));
    }
    for side in [Side::Client, Side::Server] {
        let facts = session.side(side);
        missing(facts, side, candidates);
        if let Some(stamp) = facts.unusual().first_cut {
            let summary = format!(
                "The snap length cut {} bytes off the packets of the {}.",
                facts.unusual().cut_bytes,
                side.name()
            );
            let finding = Finding::new(&SNAPLEN_TRUNCATED, Confidence::Proven, summary);
            candidates.note(finding.evidence(stamp, Some(side), "first packet that was captured only in part"));
        }
    }
    for side in [Side::Client, Side::Server] {
        let (limit, largest) = (session.side(side.other()).mss, session.side(side).largest_segment);
        if limit > 0
            && largest > limit.into()
            && let Some(syn) = session.side(side.other()).syn()
        {
            let summary = format!(
                "The {} seems to send up to {largest} bytes in a packet, though the {} accepts no more than {limit}: the \
                 capturing machine joined or had not yet cut these packets.",
                side.name(),
                side.other().name()
            );
            let finding = Finding::new(&OFFLOAD_ARTEFACTS, Confidence::Proven, summary);
            candidates.note(finding.evidence(syn, Some(side.other()), format!("maximum segment size {limit}")));
        }
    }
    if tcp.one_way()
        && session.side(Side::Client).packets + session.side(Side::Server).packets > 2
        && session.entry.is_some()
    {
        let finding = Finding::new(
            &ONE_WAY_CAPTURE,
            Confidence::Proven,
            "Only one direction of this connection was captured: who acted first cannot be known.",
        );
        candidates.note(finding.evidence(tcp.first, None, "no packet of the other side"));
    }
    if let Some(tls) = session.tls()
        && !tls.decrypted()
        && !tls.decryption.handshake
        && session.entry.is_none()
        && tls.flows.iter().any(|flow| flow.application_records > 0)
        && (outcome != Outcome::TlsFailed || (tls.certificate_hidden() && tls.first_error_alert().is_none()))
    {
        let summary = if outcome == Outcome::TlsFailed {
            "The end of the handshake is encrypted and no usable key was given: certificate and alerts stay hidden."
        } else {
            "The connection is encrypted and no usable key was given: close codes, frames and headers stay hidden."
        };
        let finding = Finding::new(&ENCRYPTED_WITHOUT_KEYS, Confidence::Proven, summary);
        candidates.note(finding.evidence(tcp.first, None, "start of the encrypted connection"));
    }
    if outcome == Outcome::Open && session.websocket().is_some() {
        let finding = Finding::new(
            &CAPTURE_ENDS_OPEN,
            Confidence::Proven,
            "The connection was still open when the capture ended.",
        );
        candidates.note(finding.evidence(tcp.last, None, "last packet of the connection; no FIN, no RST"));
    }
}

/// Bytes of `side` that are not in the capture.
fn missing(facts: &SideFacts, side: Side, candidates: &mut Candidates) {
    let Unusual { lost_bytes, skipped_bytes, first_hole: hole, first_gap, .. } = facts.unusual();
    let (confidence, summary) = match (lost_bytes, skipped_bytes) {
        (0, 0) => return,
        (0, skipped) => (
            Confidence::Likely,
            format!(
                "{skipped} bytes of the {} are not in the capture: its last packet stands behind them.",
                side.name()
            ),
        ),
        (lost, _) => (
            Confidence::Proven,
            format!("The capture misses {lost} bytes that the {} sent and the other side received.", side.name()),
        ),
    };
    let mut finding = Finding::new(&CAPTURE_GAP, confidence, summary);
    if let Some(behind) = hole.behind.or(first_gap.filter(|_| hole.stamps().next().is_none())) {
        finding.add_evidence(behind, Some(side), "bytes before this packet are missing from the capture");
    }
    for acknowledged in hole.acknowledged.into_iter().flatten() {
        finding.add_evidence(acknowledged, Some(side.other()), "acknowledges bytes that were not captured");
    }
    candidates.note(finding);
}

/// Every rule of the family, in order of id.
pub(crate) static ALL: &[&Rule] = &[
    &CAPTURE_STARTS_MID_CONNECTION,
    &CAPTURE_GAP,
    &ONE_WAY_CAPTURE,
    &ENCRYPTED_WITHOUT_KEYS,
    &SNAPLEN_TRUNCATED,
    &OFFLOAD_ARTEFACTS,
    &CAPTURE_ENDS_OPEN,
    &VANTAGE,
    &NO_PACKETS_FOR_REPORTED_FAILURE,
];

pub(crate) static CAPTURE_STARTS_MID_CONNECTION: Rule = Rule {
    id: "WSI001",
    slug: "capture-starts-mid-connection",
    severity: Severity::Info,
    party: Party::Capture,
    title: "The capture begins in the middle of this connection.",
    explanation: "The recording was started after this connection had already been opened, so its beginning is missing. \
        wsscan therefore does not know what was agreed in the handshake: the path, the subprotocol, whether \
        messages are compressed. It finds the frame boundaries from the bytes alone and keeps only what fits \
        without doubt.",
    evidence: "The capture has no SYN for this connection, or WebSocket bytes that are not preceded by a captured GET \
        and 101. Frames are accepted only while mask bit, opcode and length stay consistent over several frames.",
    unless: "A capture filter that lets only part of the connection through looks the same. If the packets carry \
        another protocol than WebSocket, no frames are reported at all.",
    advice: "Start the capture first, then reproduce the failure. If that cannot be done, let the client reconnect \
        while the capture runs: the new connection will be complete.",
    references: &["RFC 6455 §4.1", "RFC 6455 §5.2"],
    aliases: &["mid-stream", "midstream"],
    ..Rule::BASE
};

pub(crate) static CAPTURE_GAP: Rule = Rule {
    id: "WSI002",
    slug: "capture-gap",
    severity: Severity::Info,
    party: Party::Capture,
    title: "The capture is missing packets that the two sides did receive.",
    explanation: "One side acknowledged data that the capture does not contain. So the data did arrive, and only the \
        recording lost it: the capturing machine was too slow, its buffer was too small, or a switch mirrored \
        too much traffic. wsscan does not report framing errors in that direction until it is certain to be in \
        step with the frames again.",
    evidence: "An acknowledgement number is higher than the last byte captured from the other side, and the missing \
        bytes never turn up later.",
    unless: "If the missing bytes are retransmitted later and captured then, nothing is lost. If the other side never \
        acknowledged them, the network lost them (WSN012) and not the capture.",
    advice: "Capture with a larger buffer, with a filter for the one port, and write to a fast disk:\n\
        \n\
        \x20   tcpdump -i any -s 0 -B 65536 -w ws.pcap 'tcp port 443'\n\
        \n\
        tcpdump prints \"packets dropped by kernel\" at its end: it should be 0.",
    references: &["RFC 9293 §3.4"],
    aliases: &["packet loss in capture", "dropped by kernel", "TCP ACKed unseen segment"],
    ..Rule::BASE
};

pub(crate) static ONE_WAY_CAPTURE: Rule = Rule {
    id: "WSI003",
    slug: "one-way-capture",
    severity: Severity::Info,
    party: Party::Capture,
    title: "Only one side of the conversation was captured.",
    explanation: "Only one direction of this connection is in the capture. wsscan sees what one side said, but not what it \
        was answering, and cannot tell which side acted first. Every conclusion about this connection is at most \
        possible.",
    evidence: "All captured packets of the connection come from the same address, while their acknowledgement numbers \
        show that the other side was sending too.",
    unless: "A server that truly never answers looks different: its side's acknowledgement numbers do not move.",
    advice: "Capture where both directions pass. Typical reasons for half a conversation are a filter with only src \
        or only dst, a mirror port set to receive only, and traffic that takes different ways there and back.",
    references: &["RFC 9293 §3.4"],
    aliases: &["asymmetric routing", "unidirectional"],
    ..Rule::BASE
};

pub(crate) static ENCRYPTED_WITHOUT_KEYS: Rule = Rule {
    id: "WSI004",
    slug: "encrypted-without-keys",
    severity: Severity::Info,
    party: Party::Capture,
    title: "The connection is encrypted and no keys were given, so its contents stay unknown.",
    explanation: "The connection is encrypted with TLS and no usable keys were given. wsscan sees when something was sent, \
        by whom and how much, and how the connection ended, but not the HTTP answer, the frames or the close \
        codes. It says so instead of guessing.",
    evidence: "TLS records are present, and neither a key log nor secrets inside the capture fit this connection.",
    unless: "If keys were given but belong to another run or another process, they do not fit either: the key log \
        must have been written by this client or server during this capture.",
    advice: "Let one end write its keys and give the file to wsscan with --keylog. Browsers and curl:\n\
        \n\
        \x20   SSLKEYLOGFILE=/tmp/keys.log firefox\n\
        \n\
        \x20   node --tls-keylog=/tmp/keys.log app.js\n\
        \n\
        Python: set keylog_filename on the SSLContext. Go: set KeyLogWriter in tls.Config. Or capture behind the \
        proxy that ends TLS, where the traffic is plain.",
    references: &["RFC 8446 §5.2", "RFC 5246 §6.2.3"],
    aliases: &["SSLKEYLOGFILE", "keylog", "decrypt"],
    ..Rule::BASE
};

pub(crate) static SNAPLEN_TRUNCATED: Rule = Rule {
    id: "WSI005",
    slug: "snaplen-truncated",
    severity: Severity::Info,
    party: Party::Capture,
    title: "The capture kept only the first part of each packet.",
    explanation: "Each packet was cut to a fixed number of bytes while it was recorded. Lengths and times are still exact, \
        but the bytes beyond the cut are unknown. Rules about message contents stay silent for this capture.",
    evidence: "The capture file states for these packets a captured length that is smaller than their length on the \
        wire.",
    unless: "Nothing else looks like this: the file itself says so.",
    advice: "Record whole packets: tcpdump -s 0, or no -s option at all in current versions.",
    references: &["pcap-savefile(5)"],
    aliases: &["snaplen", "snap length", "truncated packets"],
    ..Rule::BASE
};

pub(crate) static OFFLOAD_ARTEFACTS: Rule = Rule {
    id: "WSI006",
    slug: "offload-artefacts",
    severity: Severity::Info,
    party: Party::Capture,
    title: "Oversized packets and wrong checksums come from the capturing machine, not from the network.",
    explanation: "Packets larger than the network allows, or with a wrong checksum, are normal in a capture taken on one \
        of the two ends. The network card cuts packets and fills in checksums after the capture point. They were \
        correct on the wire, so wsscan does not treat them as faults.",
    evidence: "Segments larger than the announced maximum segment size, or wrong checksums, only in packets sent by the \
        capturing machine.",
    unless: "Wrong checksums in packets that were received from elsewhere would be real damage.",
    advice: "Nothing needs fixing. To see packets exactly as on the wire, capture on a mirror port, or switch \
        offloading off for the test: ethtool -K eth0 tso off gso off gro off.",
    references: &["RFC 9293 §3.1"],
    aliases: &["checksum offload", "TSO", "GSO", "GRO", "bad checksum"],
    ..Rule::BASE
};

pub(crate) static CAPTURE_ENDS_OPEN: Rule = Rule {
    id: "WSI007",
    slug: "capture-ends-open",
    severity: Severity::Info,
    party: Party::Capture,
    title: "The connection was still open when the capture ended.",
    explanation: "The recording stopped while this connection was alive. Nothing in the capture says how it ended later, \
        so wsscan calls it open and neither dead nor stuck.",
    evidence: "No FIN and no RST of this connection, and its last packet lies close to the end of the capture.",
    unless: "If the connection had already been silent for long before the end of the capture, see WSK711 and WSK712.",
    advice: "If this is the connection that fails, capture longer, until the failure is reported.",
    references: &["RFC 9293 §3.6"],
    aliases: &["still open"],
    ..Rule::BASE
};

pub(crate) static VANTAGE: Rule = Rule {
    id: "WSI008",
    slug: "vantage",
    severity: Severity::Info,
    party: Party::Capture,
    detected: false,
    title: "This is where on the path the capture was taken.",
    explanation: "The times between the first three packets of a connection show where the capture was taken. If the \
        answer to the SYN comes at once, the capture is near the server. If the client's confirmation follows \
        the answer at once, it is near the client. This matters for blame: a packet that was seen near its \
        sender may still have been lost further on.",
    evidence: "The time from SYN to SYN-ACK, compared with the time from SYN-ACK to the client's ACK.",
    unless: "In a capture on the same machine as both ends, both times are tiny and the position means nothing. \
        Captures that were merged from several points have no single position.",
    advice: "To tell network trouble from trouble in a program, capture at both ends at the same time.",
    references: &["RFC 9293 §3.5"],
    aliases: &["capture point"],
    ..Rule::BASE
};

pub(crate) static NO_PACKETS_FOR_REPORTED_FAILURE: Rule = Rule {
    id: "WSI009",
    slug: "no-packets-for-reported-failure",
    severity: Severity::Info,
    party: Party::Capture,
    detected: false,
    title: "The capture holds no packet of the connection that was reported as failed.",
    explanation: "An application reported a failed WebSocket, yet not one packet of the attempt is in the capture. Then \
        the attempt either never left the client or went past the capture point. Browsers refuse some \
        connections before sending anything: ws:// from a page loaded over https, an address forbidden by the \
        page's Content-Security-Policy, a malformed address.",
    evidence: "No SYN, no DNS question and no request for the server's name or address in the whole capture, although \
        it was running at that time.",
    unless: "A filter, a different interface (VPN, loopback, IPv6) or a connection over a forward proxy hides the \
        packets although they were sent.",
    advice: "Look at the browser's console: it names the refusal. On an https page use wss://. Add the address to \
        connect-src in the Content-Security-Policy. If the console shows a real network error, capture on all \
        interfaces, without a filter.",
    references: &["W3C Mixed Content", "jetty/jetty.project#410"],
    aliases: &["mixed content", "connect-src", "CSP"],
    ..Rule::BASE
};
