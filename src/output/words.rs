//! Puts a connection and its findings into the words of the compact document without making the model of them: in
//! shorthand where they have to be kept until the document is written (see [`super::shorthand`]), as text where what is
//! kept anyway says it all.
//!
//! Values come from [`super::convert`] and secrets are taken out by [`super::redact`], as for the model. The bytes are
//! those of the model, which stays the measure of what is written here.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use super::community_id;
use super::compact::{append_inside, is_clean, put};
use super::convert::{self, Subject};
use super::glance;
use super::model;
use super::redact::{Redactor, Treatment, has_long_run, is_text_of, treatment};
use super::shorthand::{Kind, Run, Shorthand, maybe, millis, phrase, put_time, say, side, truth, word};
use super::time::{Time, decimal};
use crate::connection::{ConnectionRecord, Entry};
use crate::diagnosis::finding::Evidence;
use crate::diagnosis::{ApplicationView, Digest, Finding};
use crate::http::{Exchange, Head, Version};
use crate::packet::Endpoint;
use crate::stream::{Direction, Side};
use crate::tcp::{Closing, Opening, SideFacts, TcpFacts};
use crate::websocket::{CloseFacts, DirectionFacts, WebSocketFacts};

/// How an octet of an IPv4 address is written, with a dot, and how long that is.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        let missing = if octet < 10 {
            2
        } else if octet < 100 {
            1
        } else {
            0
        };
        let mut at = missing;
        while at < 3 {
            octets[octet].0[at - missing] = digits[at];
            at += 1;
        }
        octets[octet].1 = (4 - missing) as u8;
        octet += 1;
    }
    octets
};

/// An IPv6 address as RFC 5952 wants it: the longest run of two or more zero groups, of equal ones the first, is left
/// out (§4.2); digits are in lower case and without zeros in front (§4.1, §4.3).
fn ipv6(out: &mut Vec<u8>, ip: Ipv6Addr) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    const LONGEST: usize = "0000:".len() * 8 + 2;
    if ip.to_ipv4_mapped().is_some() {
        // With an IPv4 address at the end (§5).
        put(out, &ip);
        return;
    }
    let groups = ip.segments();
    let (mut gap, mut zeros) = (0..0, 0);
    for (at, group) in groups.iter().enumerate() {
        zeros = if *group == 0 { zeros + 1 } else { 0 };
        if zeros > gap.len() && zeros > 1 {
            gap = at + 1 - zeros..at + 1;
        }
    }
    let mut text = [b'"'; LONGEST];
    let mut len = 1;
    let mut put = |byte: u8| {
        text[len] = byte;
        len += 1;
    };
    for (at, group) in groups.into_iter().enumerate() {
        if gap.contains(&at) {
            if at == gap.start {
                // The colon of the group before stands for the first.
                if at == 0 {
                    put(b':');
                }
                put(b':');
            }
            continue;
        }
        for shift in [12, 8, 4] {
            if group >> shift > 0 {
                put(HEX[usize::from(group >> shift & 15)]);
            }
        }
        put(HEX[usize::from(group & 15)]);
        if at < 7 {
            put(b':');
        }
    }
    put(b'"');
    out.extend_from_slice(&text[..len]);
}

/// The members of an endpoint.
fn endpoint(out: &mut Vec<u8>, endpoint: Endpoint) {
    out.extend_from_slice(br#"{"ip":"#);
    match endpoint.ip {
        IpAddr::V4(ip) => {
            const LONGEST: usize = r#""255.255.255.255""#.len();
            let mut text = [b'"'; LONGEST];
            let mut at = 1;
            for octet in ip.octets() {
                let (digits, len) = OCTETS[usize::from(octet)];
                text[at..at + 4].copy_from_slice(&digits);
                at += usize::from(len);
            }
            // In place of the last dot.
            text[at - 1] = b'"';
            out.extend_from_slice(&text);
            out.truncate(out.len() - (LONGEST - at));
        }
        IpAddr::V6(ip) => ipv6(out, ip),
    }
    out.extend_from_slice(br#","port":"#);
    decimal(out, endpoint.port.into());
}

/// Writes what is told of a connection before its protocols: from the number of its HTTP/2 stream to its outcome.
pub(super) fn identity(out: &mut Vec<u8>, brief: &Digest) {
    out.extend_from_slice(br#","http2_stream":"#);
    match brief.http2_stream {
        Some(stream) => decimal(out, stream.into()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","community_id":""#);
    let ends = [brief.client, brief.server].map(|end| (end.ip, end.port));
    out.extend_from_slice(&community_id::written(ends[0], ends[1]));
    out.extend_from_slice(br#"","client":"#);
    endpoint(out, brief.client);
    out.extend_from_slice(br#"},"server":"#);
    endpoint(out, brief.server);
    out.extend_from_slice(br#"},"start":"#);
    put_time(out, brief.first.at);
    out.extend_from_slice(br#","end":"#);
    put_time(out, brief.last.at);
    out.extend_from_slice(br#","duration_ms":"#);
    put(out, &Time(brief.last.at).since(Time(brief.first.at)));
    out.extend_from_slice(br#","first_packet":"#);
    decimal(out, brief.first.packet);
    out.extend_from_slice(br#","last_packet":"#);
    decimal(out, brief.last.packet);
    out.extend_from_slice(br#","outcome":"#);
    put(out, &convert::outcome(brief.outcome));
    out.extend_from_slice(br#","tcp":"#);
}

/// Writes the middle of a connection object: what is between its [`identity`] and its root cause.
pub(super) fn connection(out: &mut Shorthand<'_>, redactor: &Redactor, subject: &Subject<'_>) {
    let Subject { tcp_stream: _, record, entry, verdict } = *subject;
    let entry = entry.and_then(|index| record.entries.get(index));
    write_tcp(out, record);
    match entry.map(|entry| (&entry.http2, entry.handshake.as_deref())) {
        Some((Some(stream), _)) => {
            let mut http = convert::http2(stream);
            redactor.http(&mut http);
            out.value(&http);
            say!(out, phrase::WEBSOCKET);
        }
        Some((None, Some(exchange))) => write_http(out, redactor, exchange),
        Some((None, None)) | None => {
            say!(out, phrase::NULL);
            say!(out, phrase::WEBSOCKET);
        }
    }
    match entry {
        Some(entry) => write_websocket(out, redactor, entry, record, &verdict.view),
        None => {
            let [one, two, three, four] = views(&verdict.view);
            say!(out, phrase::VIEWS_WITHOUT_WEBSOCKET, one, two, three, four);
        }
    }
}

fn views(view: &ApplicationView) -> [u64; 4] {
    let [client, server] = [view.client, view.server].map(|view| {
        let code = maybe(view.map(|view| view.code));
        [code, truth(view.map(|view| view.was_clean))]
    });
    [client[0], client[1], server[0], server[1]]
}

const fn opening(opening: Opening) -> u64 {
    match opening {
        Opening::Handshake => word::HANDSHAKE,
        Opening::Refused => word::TCP_REFUSED,
        Opening::Unanswered => word::TCP_UNANSWERED,
        Opening::MidStream => word::TCP_MID_STREAM,
    }
}

const fn closing(closing: Closing) -> u64 {
    match closing {
        Closing::Fin => word::FIN,
        Closing::Rst => word::RST,
        Closing::None => word::NONE,
    }
}

/// TCP and TLS.
fn write_tcp(out: &mut Shorthand<'_>, record: &ConnectionRecord) {
    let tcp: &TcpFacts = &record.tcp;
    let (opening, closing, closer) = (opening(tcp.opening), closing(tcp.closing), side(tcp.first_closer));
    let rtt = millis(tcp.initial_rtt_ns());
    let troubles = |side: &SideFacts| {
        let unusual = side.unusual();
        [unusual.retransmissions.into(), unusual.out_of_order.into(), unusual.lost_bytes]
    };
    let (client, server) = (troubles(tcp.side(Side::Client)), troubles(tcp.side(Side::Server)));
    if client == [0; 3] && server == [0; 3] && record.tls.is_none() {
        say!(out, phrase::TCP_USUAL, opening, closing, closer, rtt);
        return;
    }
    let ([again, late, lost], [server_again, server_late, server_lost]) = (client, server);
    say!(out, phrase::TCP, opening, closing, closer, rtt, again, server_again, late, server_late, lost, server_lost);
    match record.tls.as_deref() {
        None => say!(out, phrase::NO_TLS),
        Some(tls) => {
            out.value(&convert::tls(tls));
            say!(out, phrase::HTTP);
        }
    }
}

/// The handshake, and the name of the member behind it.
fn write_http(out: &mut Shorthand<'_>, redactor: &Redactor, exchange: &Exchange) {
    let request = exchange.request.as_ref();
    let response = exchange.response();
    let version = response.map_or_else(|| request.and_then(|request| request.version), |response| response.version);
    let method = request.map(|request| request.method());
    if version == Some(Version::HTTP_11) && method == Some("GET") {
        say!(out, phrase::HTTP_USUAL);
    } else {
        say!(out, phrase::VERSION);
        shown(out, convert::version(version).as_deref());
        say!(out, phrase::METHOD);
        shown(out, method);
        say!(out, phrase::TARGET);
    }
    text(out, Kind::Target, request.map(|request| request.target()), |target| redactor.target_of(target));
    say!(out, phrase::HOST);
    shown(out, request.and_then(|request| request.host()));
    say!(out, phrase::STATUS, maybe(exchange.status()));
    said(out, redactor, response.map(|response| response.reason()));
    say!(out, phrase::REQUEST_HEADERS);
    if write_fields(out, redactor, request.map(|request| &request.head)) {
        say!(out, phrase::RESPONSE_HEADERS_AFTER);
    } else {
        say!(out, phrase::RESPONSE_HEADERS);
    }
    if write_fields(out, redactor, response.map(|response| &response.head)) {
        say!(out, phrase::BODY_AFTER);
    } else {
        say!(out, phrase::BODY);
    }
    let body = convert::body_excerpt(exchange);
    text(out, Kind::Body, body.as_deref(), |body| redactor.payload_of(body));
    say!(out, phrase::WEBSOCKET_AFTER_HTTP);
}

/// Lengths of Sec-WebSocket-Key and Sec-WebSocket-Accept: 16 and 20 bytes in base64.
const KEY_LEN: usize = 24;
const ACCEPT_LEN: usize = 28;

/// Writes fields, a comma after each. Returns whether there are any.
fn write_fields(out: &mut Shorthand<'_>, redactor: &Redactor, head: Option<&Head>) -> bool {
    let Some(head) = head else { return false };
    let (mut any, mut run) = (false, Run::default());
    for (name, value) in head.fields() {
        any = true;
        // These two are different each time.
        if value.len() == KEY_LEN && name == "Sec-WebSocket-Key" && is_clean(value) {
            out.end(&mut run);
            say!(out, phrase::KEY, KEY_LEN as u64);
            out.text(value);
        } else if value.len() == ACCEPT_LEN && name == "Sec-WebSocket-Accept" && is_clean(value) {
            out.end(&mut run);
            say!(out, phrase::ACCEPT, ACCEPT_LEN as u64);
            out.text(value);
        } else {
            out.field(&mut run, name, value, || field(redactor, name, value));
        }
    }
    out.end(&mut run);
    any
}

/// How the name and the value of a header field are written, unless they are written as they are.
fn field(redactor: &Redactor, name: &str, value: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    if glance::is_plain(value) && treatment(name) == Some(Treatment::Plain) {
        // That name needs no escape either.
        return None;
    }
    let name = (name, inside(name, Cow::Borrowed(name)));
    let value = (value, inside(value, redactor.header_value_of(name.0, value)));
    if name.1.is_none() && value.1.is_none() {
        return None;
    }
    let [name, value] = [name, value].map(|(text, made)| made.unwrap_or_else(|| text.as_bytes().to_vec()));
    Some((name, value))
}

/// How a text is written as which `shown` is shown, unless it is written as it is.
fn inside(text: &str, shown: Cow<'_, str>) -> Option<Vec<u8>> {
    let same = matches!(shown, Cow::Borrowed(same) if same.len() == text.len());
    if same && is_clean(text) {
        return None;
    }
    let mut out = Vec::new();
    append_inside(&mut out, &shown);
    Some(out)
}

/// Writes a text for the last place of the step before as it is shown; what is plain is shown as it is, whatever its kind.
#[inline]
fn text<'t>(
    out: &mut Shorthand<'_>,
    kind: Kind,
    text: Option<&'t str>,
    redact: impl for<'r> FnOnce(&'r str) -> Cow<'r, str>,
) {
    out.quoted(kind, text, |text| {
        let is_plain = glance::is_plain(text) && !has_long_run(text.as_bytes());
        if is_plain { None } else { inside(text, redact(text)) }
    });
}

/// Writes what holds no secret.
fn shown(out: &mut Shorthand<'_>, shown: Option<&str>) {
    text(out, Kind::Shown, shown, |text| Cow::Borrowed(text));
}

/// Writes running text.
fn said(out: &mut Shorthand<'_>, redactor: &Redactor, said: Option<&str>) {
    text(out, Kind::Said, said, |text| redactor.text_of(text));
}

const fn upgrade(upgrade: model::Upgrade) -> u64 {
    match upgrade {
        model::Upgrade::Accepted => word::ACCEPTED,
        model::Upgrade::Refused => word::REFUSED,
        model::Upgrade::Stripped => word::STRIPPED,
        model::Upgrade::Unanswered => word::UNANSWERED,
        model::Upgrade::MidStream => word::MID_STREAM,
    }
}

/// The WebSocket, and what the programs were told.
fn write_websocket(
    out: &mut Shorthand<'_>,
    redactor: &Redactor,
    entry: &Entry,
    record: &ConnectionRecord,
    view: &ApplicationView,
) {
    let agreement = convert::agreement(entry, record);
    let (upgrade, accept_valid) = (upgrade(agreement.upgrade), truth(agreement.accept_valid));
    if agreement.subprotocol.is_none() && agreement.extensions.is_none() {
        say!(out, phrase::UPGRADE_USUAL, upgrade, accept_valid);
    } else {
        say!(out, phrase::UPGRADE, upgrade);
        let subprotocol = agreement.subprotocol.as_deref();
        text(out, Kind::Subprotocols, subprotocol, |names| redactor.subprotocols_of(names));
        say!(out, phrase::EXTENSIONS);
        shown(out, agreement.extensions.as_deref());
        say!(out, phrase::ACCEPT_VALID, accept_valid);
    }
    let facts = entry.websocket.as_deref();
    traffic(out, facts.map(|facts| &facts[Direction::ToServer]));
    say!(out, phrase::SERVER);
    traffic(out, facts.map(|facts| &facts[Direction::ToClient]));
    let frames = facts.map_or([None; 2], |facts| Direction::BOTH.map(|direction| facts[direction].close.as_deref()));
    let first = side(convert::first_to_close(frames));
    match facts {
        Some(facts) if Direction::BOTH.iter().any(|direction| facts[*direction].keepalive.is_some()) => {
            pings(out, facts, first);
        }
        _ => say!(out, phrase::NO_PINGS, first),
    }
    close_frame(out, redactor, frames[0]);
    say!(out, phrase::SERVER);
    close_frame(out, redactor, frames[1]);
    let [one, two, three, four] = views(view);
    let complete = truth(Some(frames[0].is_some() && frames[1].is_some()));
    say!(out, phrase::VIEWS_AFTER_CLOSE, complete, one, two, three, four);
}

fn pings(out: &mut Shorthand<'_>, facts: &WebSocketFacts, first: u64) {
    let trips = convert::round_trips(facts);
    let (min, max) = (trips.map(|trips| trips.min), trips.map(|trips| trips.max));
    let median = trips.and_then(|trips| trips.median());
    let unanswered = convert::unanswered_pings(facts);
    say!(out, phrase::PINGS, millis(min), millis(median), millis(max), unanswered, first);
}

fn close_frame(out: &mut Shorthand<'_>, redactor: &Redactor, frame: Option<&CloseFacts>) {
    let Some(CloseFacts { code, reason, stamp, .. }) = frame else {
        say!(out, phrase::NULL);
        return;
    };
    let packet = out.packet(stamp.packet);
    if reason.as_str().is_empty() {
        say!(out, phrase::CLOSE_FRAME_USUAL, maybe(*code), packet);
    } else {
        say!(out, phrase::CLOSE_FRAME, maybe(*code));
        said(out, redactor, Some(reason.as_str()));
        say!(out, phrase::CLOSE_PACKET, packet);
    }
}

fn traffic(out: &mut Shorthand<'_>, sent: Option<&DirectionFacts>) {
    let Some(sent) = sent else {
        say!(out, phrase::NO_TRAFFIC);
        return;
    };
    let model::Traffic { frames, messages, bytes, text, binary, continuation, ping, pong, close } =
        convert::traffic(sent);
    if binary | continuation | ping | pong == 0 {
        say!(out, phrase::TRAFFIC_USUAL, frames, messages, bytes, text, close);
    } else {
        say!(out, phrase::TRAFFIC, frames, messages, bytes, text, binary, continuation, ping, pong, close);
    }
}

/// Writes a finding from its summary on, without the member's name. Its rule's texts are left out, unless the finding
/// has others.
pub(super) fn finding(out: &mut Shorthand<'_>, redactor: &Redactor, finding: &Finding) {
    say!(out, phrase::TEXT);
    if is_text_of(finding.rule, &finding.summary) {
        shown(out, Some(&finding.summary));
    } else {
        said(out, redactor, Some(&finding.summary));
    }
    let of_rule = finding.has_the_words_of_its_rule();
    if !of_rule {
        let mut object = convert::finding(finding, Vec::new());
        redactor.finding(&mut object);
        let mut text = Vec::new();
        put_fixed(&mut text, &object);
        out.raw(&text);
    }
    for (nth, Evidence { stamp, from, note }) in finding.evidence.iter().enumerate() {
        let (packet, time, from) = (out.packet(stamp.packet), out.time(stamp.at), side(*from));
        match (nth, of_rule) {
            (0, true) => say!(out, phrase::RULE_AND_EVIDENCE, packet, time, from),
            (0, false) => say!(out, phrase::FIRST_EVIDENCE, packet, time, from),
            _ => say!(out, phrase::NEXT_EVIDENCE, packet, time, from),
        }
        said(out, redactor, Some(note));
    }
    if !finding.evidence.is_empty() {
        say!(out, phrase::LAST_EVIDENCE);
        return;
    }
    if of_rule {
        say!(out, phrase::RULE);
    }
    say!(out, phrase::NO_EVIDENCE);
}

/// Writes what stands between the summary and the evidence of a finding.
pub(super) fn put_fixed(out: &mut Vec<u8>, finding: &model::Finding<'_>) {
    let model::Finding { explanation, advice, unless, references, .. } = finding;
    out.extend_from_slice(br#","explanation":"#);
    put(out, explanation);
    out.extend_from_slice(br#","advice":"#);
    put(out, advice);
    out.extend_from_slice(br#","unless":"#);
    put(out, unless);
    out.extend_from_slice(br#","references":"#);
    put(out, references);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json::by_serde_json;
    use super::super::shorthand::{Context, Page, Pieces, expand};
    use super::*;
    use crate::http::{Http, HttpEvent};
    use crate::stream::{End, Stamp, StreamEvent};

    /// What HTTP says of a request and its answer.
    fn exchange(request: &[u8], answer: &[u8]) -> Option<Box<Exchange>> {
        let (mut http, mut events) = (Http::new(), Vec::new());
        let stamp = Stamp { packet: 1, at: 0 };
        let (up, down) = (Direction::ToServer, Direction::ToClient);
        http.feed(stamp, up, StreamEvent::Data { offset: 0, bytes: request }, &mut events);
        http.feed(stamp, down, StreamEvent::Data { offset: 0, bytes: answer }, &mut events);
        for direction in [up, down] {
            http.feed(stamp, direction, StreamEvent::End(End::Fin), &mut events);
        }
        events.into_iter().find_map(|event| match event {
            HttpEvent::Exchange(exchange) => Some(exchange),
            _ => None,
        })
    }

    /// Requests and answers made of what is written in different ways.
    fn head(start: &'static str) -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof![
            "[A-Za-z-]{1,12}",
            prop::sample::select(vec![
                "Host",
                "host",
                "Origin",
                "Cookie",
                "Set-Cookie",
                "Authorization",
                "Sec-WebSocket-Key",
                "User-Agent",
                "Sec-WebSocket-Protocol",
                "Sec-WebSocket-Extensions",
                "WWW-Authenticate",
                "X-Api-Key",
                "X=Y",
                "Referer",
                "Access-Control-Allow-Origin",
            ])
            .prop_map(str::to_owned),
        ];
        let value = prop_oneof![
            8 => "[a-zA-Z0-9 ./;,-]{0,40}",
            1 => "[A-Za-z0-9+/]{22}==",
            1 => "[ -~\t\ré]{0,30}",
            2 => prop::sample::select(vec![
                "Bearer 0a1B2c3D4e5F6a7B", "https://user:Pa55word@example.com/", "a=b; sid=0123456789", "?token=abcdef12",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghij", "bench.example", "\"quoted\"", "a\u{202e}b", "<x>",
                "permessage-deflate; server_max_window_bits=15", "access_token, 0123456789abcdef01234567",
                "Digest nonce=\"0123456789\"",
            ]).prop_map(str::to_owned),
        ];
        let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n"]);
        let rest = prop_oneof![4 => Just(String::new()), 1 => "[?][a-z]{1,6}=[!-~]{0,20}", 1 => "/[!-~é]{0,20}"];
        (rest, prop::collection::vec((name, value, end), 0..6)).prop_map(move |(rest, fields)| {
            let fields = fields.into_iter().map(|(name, value, end)| format!("{name}: {value}{end}"));
            format!("{}{}\r\n", start.replace('*', &rest), fields.collect::<String>()).into_bytes()
        })
    }

    fn same(ip: IpAddr, port: u16) {
        let mut out = Vec::new();
        endpoint(&mut out, Endpoint { ip, port });
        let expected = by_serde_json(&model::Endpoint { ip, port });
        assert_eq!(String::from_utf8(out).unwrap() + "}", expected);
    }

    #[test]
    fn addresses() {
        for octet in 0..=255_u8 {
            same([octet, 255 - octet, octet.wrapping_mul(3), octet ^ 0x55].into(), u16::from(octet) * 257);
        }
        for ip in [
            "::",
            "::1",
            "1::",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "64:ff9b::1.2.3.4",
            "0:0:1::",
            "1:0:0:2:0:0:0:3",
            "1:0:0:2:3:0:0:4",
            "1:0:2:3:4:5:6:7",
            "0:1:2:3:4:5:6:0",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::10:200:3000:f",
        ] {
            same(ip.parse().unwrap(), 443);
        }
    }

    #[test]
    fn words_are_those_of_the_model() {
        let same = |number: u64, expected: String| {
            let (word, len) = word::numbered(number).expect("there is such a word");
            assert_eq!(std::str::from_utf8(&word[..usize::from(*len)]).unwrap(), expected);
        };
        for (of_tcp, of_model) in [
            (Opening::Handshake, model::TcpOpening::Handshake),
            (Opening::Refused, model::TcpOpening::Refused),
            (Opening::Unanswered, model::TcpOpening::Unanswered),
            (Opening::MidStream, model::TcpOpening::MidStream),
        ] {
            same(opening(of_tcp), by_serde_json(&of_model));
        }
        for (of_tcp, of_model) in [
            (Closing::Fin, model::TcpClosing::Fin),
            (Closing::Rst, model::TcpClosing::Rst),
            (Closing::None, model::TcpClosing::None),
        ] {
            same(closing(of_tcp), by_serde_json(&of_model));
        }
        for of_model in [
            model::Upgrade::Accepted,
            model::Upgrade::Refused,
            model::Upgrade::Stripped,
            model::Upgrade::Unanswered,
            model::Upgrade::MidStream,
        ] {
            same(upgrade(of_model), by_serde_json(&of_model));
        }
        for of_stream in [None, Some(Side::Client), Some(Side::Server)] {
            same(side(of_stream), by_serde_json(&of_stream.map(model::Side::from)));
        }
        for value in [None, Some(false), Some(true)] {
            same(truth(value), by_serde_json(&value));
        }
    }

    #[test]
    fn secrets_are_not_kept() {
        let secret = "0a1B2c3D4e5F6a7B";
        let request = format!(
            "GET /chat?token={secret} HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Authorization: Bearer {secret}\r\nCookie: sid={secret}\r\nX-Api-Key: {secret}\r\n\r\n"
        );
        let exchange = exchange(request.as_bytes(), b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut pieces = Pieces::default();
        for _ in 0..4 {
            let mut steps = Vec::new();
            let redactor = Redactor::new([7; 32]);
            write_http(&mut Shorthand::new(&mut steps, &mut pieces, Stamp::default()), &redactor, &exchange);
            for kept in [&steps, pieces.text()] {
                assert!(!String::from_utf8_lossy(kept).contains(secret));
            }
        }
        assert!(String::from_utf8_lossy(pieces.text()).contains("chat.example"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn any_address(groups in prop::array::uniform8(prop_oneof![Just(0_u16), Just(0_u16), any::<u16>()]), port: u16) {
            same(groups.into(), port);
        }

        #[test]
        fn any_handshake(
            request in head("GET /chat* HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"),
            answer in head("HTTP/1.1 403 No*\r\nContent-Length: 5\r\n"),
            shows: bool,
        ) {
            let redactor = if shows { Redactor::off() } else { Redactor::new([7; 32]) };
            let exchange = exchange(&request, &[&answer[..], b"hello"].concat()).expect("there is a request");
            let mut model = convert::http(&exchange);
            redactor.http(&mut model);
            // The third time, what is said again is known.
            let mut pieces = Pieces::default();
            for _ in 0..3 {
                let mut steps = Vec::new();
                write_http(&mut Shorthand::new(&mut steps, &mut pieces, Stamp::default()), &redactor, &exchange);
                let context = Context { pieces: &pieces, first: Stamp::default(), rule: &[] };
                let mut page = Page::default();
                prop_assert!(expand(&steps, context, &mut page).is_some());
                prop_assert_eq!(std::str::from_utf8(page.text()).unwrap(), by_serde_json(&model) + r#","websocket":"#);
            }
        }
    }
}
