//! Puts a connection and its findings into the words of the compact document without making the model of them: what
//! is written for every connection of a capture is written piece by piece, where most pieces are the same each time.
//!
//! Values come from [`super::convert`] and secrets are taken out by [`super::redact`], as for the model. The bytes are
//! those of the model, which stays the measure of what is written here.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};

use super::community_id;
use super::compact::{append_text, is_suspect, put};
use super::convert::{self, Subject};
use super::glance::{self, Glance, announcing};
use super::model;
use super::redact::{Redactor, Treatment, has_long_run, is_text_of, treatment};
use super::time::{TIME_LEN, Time, decimal};
use crate::diagnosis::Finding;
use crate::diagnosis::finding::Evidence;
use crate::diagnosis::secret::MIN_LENGTH;
use crate::http::{Exchange, Head};
use crate::packet::Endpoint;

/// What stands in a form where a number belongs. No form has another use for it.
const PLACE: u8 = b'#';

/// A piece of the document with places for numbers, nearly all of which have one digit.
struct Form<const LEN: usize, const COUNT: usize> {
    text: [u8; LEN],
    places: [usize; COUNT],
}

const fn count_places(text: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        count += (text[at] == PLACE) as usize;
        at += 1;
    }
    count
}

impl<const LEN: usize, const COUNT: usize> Form<LEN, COUNT> {
    const fn new(text: &[u8; LEN]) -> Self {
        let mut places = [0; COUNT];
        let (mut at, mut found) = (0, 0);
        while at < LEN {
            if text[at] == PLACE {
                places[found] = at;
                found += 1;
            }
            at += 1;
        }
        Self { text: *text, places }
    }

    #[inline(always)]
    fn fill(&self, out: &mut Vec<u8>, numbers: [u64; COUNT]) {
        let start = out.len();
        if numbers.iter().fold(true, |all, number| all & (*number < 10)) {
            out.extend_from_slice(&self.text);
            if let Some(piece) = out[start..].first_chunk_mut::<LEN>() {
                for (place, number) in self.places.into_iter().zip(numbers) {
                    piece[place] = b'0' + number as u8;
                }
            }
        } else {
            fill_slowly(out, &self.text, &numbers);
        }
    }
}

#[inline(never)]
fn fill_slowly(out: &mut Vec<u8>, text: &[u8], numbers: &[u64]) {
    let mut pieces = text.split(|byte| *byte == PLACE);
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for (piece, number) in pieces.zip(numbers) {
        decimal(out, *number);
        out.extend_from_slice(piece);
    }
}

/// Writes a piece of the document with these numbers in it.
macro_rules! fill {
    ($out:expr, $text:literal, $numbers:expr) => {{
        const FORM: Form<{ $text.len() }, { count_places($text) }> = Form::new($text);
        FORM.fill($out, $numbers)
    }};
}

fn number(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => decimal(out, number),
        None => out.extend_from_slice(b"null"),
    }
}

fn text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => append_text(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

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

/// Writes the middle of a connection object: what is between the number of its stream and its root cause.
pub(super) fn connection(out: &mut Vec<u8>, redactor: &Redactor, subject: &Subject<'_>) {
    let Subject { tcp_stream: _, record, entry, verdict } = *subject;
    let tcp = &record.tcp;
    let entry = entry.and_then(|index| record.entries.get(index));
    out.extend_from_slice(br#","http2_stream":"#);
    number(out, entry.and_then(|entry| entry.http2_stream).map(u64::from));
    out.extend_from_slice(br#","community_id":""#);
    let ends = [tcp.client, tcp.server].map(|end| (end.ip, end.port));
    out.extend_from_slice(&community_id::written(ends[0], ends[1]));
    out.extend_from_slice(br#"","client":"#);
    endpoint(out, tcp.client);
    out.extend_from_slice(br#"},"server":"#);
    endpoint(out, tcp.server);
    out.extend_from_slice(br#"},"start":"#);
    time(out, Time(tcp.first.at));
    out.extend_from_slice(br#","end":"#);
    time(out, Time(tcp.last.at));
    out.extend_from_slice(br#","duration_ms":"#);
    put(out, &Time(tcp.last.at).since(Time(tcp.first.at)));
    out.extend_from_slice(br#","first_packet":"#);
    decimal(out, tcp.first.packet);
    out.extend_from_slice(br#","last_packet":"#);
    decimal(out, tcp.last.packet);
    out.extend_from_slice(br#","outcome":"#);
    put(out, &convert::outcome(verdict.outcome));
    out.extend_from_slice(br#","tcp":"#);
    write_tcp(out, &convert::tcp(tcp));
    match record.tls.as_deref() {
        None => out.extend_from_slice(br#","tls":null,"http":"#),
        Some(tls) => {
            out.extend_from_slice(br#","tls":"#);
            put(out, &convert::tls(tls));
            out.extend_from_slice(br#","http":"#);
        }
    }
    match entry.map(|entry| (&entry.http2, entry.handshake.as_deref())) {
        Some((Some(stream), _)) => {
            let mut http = convert::http2(stream);
            redactor.http(&mut http);
            put(out, &http);
        }
        Some((None, Some(exchange))) => write_http(out, redactor, exchange),
        Some((None, None)) | None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","websocket":"#);
    match entry {
        Some(entry) => {
            let mut websocket = convert::websocket(entry, record);
            redactor.websocket(&mut websocket);
            write_websocket(out, &websocket);
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","application_view":{"client":"#);
    view(out, convert::view(verdict.view.client));
    out.extend_from_slice(br#","server":"#);
    view(out, convert::view(verdict.view.server));
    out.push(b'}');
}

fn time(out: &mut Vec<u8>, time: Time) {
    let mut quoted = [b'"'; TIME_LEN + 2];
    if let Some(inside) = quoted[1..].first_chunk_mut() {
        time.write(inside);
    }
    out.extend_from_slice(&quoted);
}

fn view(out: &mut Vec<u8>, view: model::View) {
    let model::View { code, was_clean } = view;
    out.extend_from_slice(br#"{"code":"#);
    number(out, code.map(u64::from));
    out.extend_from_slice(match was_clean {
        Some(true) => br#","was_clean":true}"#,
        Some(false) => br#","was_clean":false}"#,
        None => br#","was_clean":null}"#,
    });
}

fn write_tcp(out: &mut Vec<u8>, tcp: &model::Tcp) {
    let model::Tcp { opening, closing, first_closer, rtt_ms, retransmissions, out_of_order, lost_bytes } = tcp;
    out.extend_from_slice(br#"{"opening":"#);
    put(out, opening);
    out.extend_from_slice(br#","closing":"#);
    put(out, closing);
    out.extend_from_slice(br#","first_closer":"#);
    put(out, first_closer);
    out.extend_from_slice(br#","rtt_ms":"#);
    put(out, rtt_ms);
    fill!(
        out,
        br##","retransmissions":{"client":#,"server":#},"out_of_order":{"client":#,"server":#},"lost_bytes":{"client":#,"server":#}}"##,
        [
            retransmissions.client,
            retransmissions.server,
            out_of_order.client,
            out_of_order.server,
            lost_bytes.client,
            lost_bytes.server
        ]
    );
}

fn write_http(out: &mut Vec<u8>, redactor: &Redactor, exchange: &Exchange) {
    let request = exchange.request.as_ref().map(|request| &request.head);
    let response = exchange.response().map(|response| &response.head);
    let glance = |head: Option<&Head>| match head {
        Some(head) if redactor.hides() => Glance::at(head.text()),
        _ => Glance::NONE,
    };
    let (asked, answered) = (glance(request), glance(response));
    let model::Http {
        version,
        method,
        target,
        host,
        status,
        reason,
        request_headers: _,
        response_headers: _,
        body_excerpt,
    } = convert::http_without_headers(exchange);
    out.extend_from_slice(br#"{"version":"#);
    text(out, version.as_deref());
    out.extend_from_slice(br#","method":"#);
    text(out, method.as_deref());
    out.extend_from_slice(br#","target":"#);
    match target.as_deref() {
        Some(target) if asked.is_plain() => quoted(out, target),
        target => text(out, target.map(|target| redactor.target_of(target)).as_deref()),
    }
    out.extend_from_slice(br#","host":"#);
    text(out, host.as_deref());
    out.extend_from_slice(br#","status":"#);
    number(out, status.map(u64::from));
    out.extend_from_slice(br#","reason":"#);
    match reason.as_deref() {
        Some(reason) if answered.is_plain() && reason.len() < MIN_LENGTH => quoted(out, reason),
        reason => text(out, reason.map(|reason| redactor.text_of(reason)).as_deref()),
    }
    out.extend_from_slice(br#","request_headers":["#);
    write_fields(out, redactor, request, asked);
    out.extend_from_slice(br#"],"response_headers":["#);
    write_fields(out, redactor, response, answered);
    out.extend_from_slice(br#"],"body_excerpt":"#);
    text(out, body_excerpt.as_deref().map(|body| redactor.payload_of(body)).as_deref());
    out.push(b'}');
}

/// Writes what is known to need no escape.
#[inline]
fn quoted(out: &mut Vec<u8>, text: &str) {
    debug_assert!(!text.bytes().any(is_suspect), "{text:?}");
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn write_fields(out: &mut Vec<u8>, redactor: &Redactor, head: Option<&Head>, glance: Glance) {
    let Some(head) = head else { return };
    let start = out.len();
    if !(glance.quiet && write_quiet_fields(out, redactor, head, glance)) {
        out.truncate(start);
        for (name, value) in head.fields() {
            out.push(b'[');
            append_text(out, name);
            out.push(b',');
            append_text(out, &redactor.header_value_of(name, value));
            out.extend_from_slice(b"],");
        }
    }
    if out.len() > start {
        // The comma after the last.
        out.pop();
    }
}

/// Writes the fields of a head in which nothing needs an escape, a comma after each. Returns whether they may stand:
/// a value that is written as it is must hold nothing that announces a secret, so all that the head has of that is
/// elsewhere.
fn write_quiet_fields(out: &mut Vec<u8>, redactor: &Redactor, head: &Head, glance: Glance) -> bool {
    let mut elsewhere = if glance.announcing == 0 { 0 } else { announcing(head.start_line()) };
    for (name, value) in head.fields() {
        let treatment = treatment(name);
        out.extend_from_slice(b"[\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"");
        match treatment {
            Some(Treatment::Plain) => out.extend_from_slice(value.as_bytes()),
            Some(Treatment::Shown) => {
                // Of base64 nothing but the padding counts; were there more, it would be missed below.
                let base64 = matches!(value.len(), 24 | 28);
                elsewhere += announcing(if base64 { &value[value.len() - 2..] } else { value });
                out.extend_from_slice(value.as_bytes());
            }
            _ => {
                elsewhere += announcing(value);
                // Marks hold nothing that needs an escape, and no more does the rest.
                out.extend_from_slice(redactor.header_value_of(name, value).as_bytes());
            }
        }
        out.extend_from_slice(b"\"],");
    }
    elsewhere == glance.announcing
}

fn write_websocket(out: &mut Vec<u8>, websocket: &model::WebSocket<'_>) {
    let model::WebSocket {
        upgrade,
        subprotocol,
        extensions,
        accept_valid,
        client,
        server,
        ping_rtt_ms,
        unanswered_pings,
        close,
    } = websocket;
    out.extend_from_slice(br#"{"upgrade":"#);
    put(out, upgrade);
    out.extend_from_slice(br#","subprotocol":"#);
    text(out, subprotocol.as_deref());
    out.extend_from_slice(br#","extensions":"#);
    text(out, extensions.as_deref());
    out.extend_from_slice(match accept_valid {
        Some(true) => br#","accept_valid":true,"client":"#,
        Some(false) => br#","accept_valid":false,"client":"#,
        None => br#","accept_valid":null,"client":"#,
    });
    traffic(out, client);
    out.extend_from_slice(br#","server":"#);
    traffic(out, server);
    if *ping_rtt_ms == model::PingRtt::default() && *unanswered_pings == 0 {
        out.extend_from_slice(br#","ping_rtt_ms":{"min":null,"median":null,"max":null},"unanswered_pings":0,"close":"#);
    } else {
        out.extend_from_slice(br#","ping_rtt_ms":"#);
        put(out, ping_rtt_ms);
        out.extend_from_slice(br#","unanswered_pings":"#);
        decimal(out, *unanswered_pings);
        out.extend_from_slice(br#","close":"#);
    }
    let model::Close { first, client, server, complete } = close;
    out.extend_from_slice(br#"{"first":"#);
    put(out, first);
    out.extend_from_slice(br#","client":"#);
    close_frame(out, client.as_ref());
    out.extend_from_slice(br#","server":"#);
    close_frame(out, server.as_ref());
    out.extend_from_slice(if *complete { br#","complete":true}}"# } else { br#","complete":false}}"# });
}

fn close_frame(out: &mut Vec<u8>, frame: Option<&model::CloseFrame<'_>>) {
    let Some(model::CloseFrame { code, reason, packet }) = frame else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(br#"{"code":"#);
    number(out, code.map(u64::from));
    out.extend_from_slice(br#","reason":"#);
    append_text(out, reason);
    out.extend_from_slice(br#","packet":"#);
    decimal(out, *packet);
    out.push(b'}');
}

fn traffic(out: &mut Vec<u8>, traffic: &model::Traffic) {
    let model::Traffic { frames, messages, bytes, text, binary, continuation, ping, pong, close } = *traffic;
    fill!(out, br##"{"frames":#,"messages":#,"bytes":"##, [frames, messages]);
    decimal(out, bytes);
    fill!(
        out,
        br##","text":#,"binary":#,"continuation":#,"ping":#,"pong":#,"close":#}"##,
        [text, binary, continuation, ping, pong, close]
    );
}

/// Whether running text is written as it is, whatever is hidden.
fn is_plain(text: &str) -> bool {
    glance::is_plain(text) && !has_long_run(text.as_bytes())
}

/// Writes running text.
fn said(out: &mut Vec<u8>, redactor: &Redactor, said: &str) {
    if is_plain(said) {
        quoted(out, said);
    } else {
        append_text(out, &redactor.text_of(said));
    }
}

/// How many texts are remembered to be plain.
const REMEMBERED: usize = 64;

thread_local! {
    /// Texts of the program (their addresses and lengths, which are theirs as long as it runs) that are plain.
    static PLAIN: [Cell<(usize, usize)>; REMEMBERED] = const { [const { Cell::new((0, 0)) }; REMEMBERED] };
}

/// Writes running text that is mostly the program's own.
fn note(out: &mut Vec<u8>, redactor: &Redactor, evidence: &Evidence) {
    let Cow::Borrowed(own) = evidence.note else {
        said(out, redactor, &evidence.note);
        return;
    };
    let place = (own.as_ptr() as usize, own.len());
    let known = PLAIN.with(|plain| {
        let slot = &plain[(place.0 ^ place.0 >> 6 ^ place.1) % REMEMBERED];
        slot.get() == place
            || is_plain(own) && {
                slot.set(place);
                true
            }
    });
    if known {
        quoted(out, own);
    } else {
        append_text(out, &redactor.text_of(own));
    }
}

/// Writes the summary of a finding, and what `between` writes, and its evidence. Returns where the evidence begins.
pub(super) fn finding(
    out: &mut Vec<u8>,
    redactor: &Redactor,
    finding: &Finding,
    between: impl FnOnce(&mut Vec<u8>),
) -> usize {
    if is_text_of(finding.rule, &finding.summary) {
        append_text(out, &finding.summary);
    } else {
        said(out, redactor, &finding.summary);
    }
    between(out);
    let evidence = out.len();
    out.push(b'[');
    for evidence in &finding.evidence {
        out.extend_from_slice(br#"{"packet":"#);
        decimal(out, evidence.stamp.packet);
        out.extend_from_slice(br#","time":"#);
        time(out, Time(evidence.stamp.at));
        out.extend_from_slice(br#","from":"#);
        put(out, &evidence.from.map(model::Side::from));
        out.extend_from_slice(br#","note":"#);
        note(out, redactor, evidence);
        out.extend_from_slice(b"},");
    }
    if !finding.evidence.is_empty() {
        out.pop();
    }
    out.push(b']');
    evidence
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json::by_serde_json;
    use super::*;
    use crate::http::{Http, HttpEvent};
    use crate::stream::{Direction, End, Stamp, StreamEvent};

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
    fn numbers_in_forms() {
        for number in [0, 1, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            fill!(&mut out, b"a#,#b#", [number, 3, number]);
            assert_eq!(String::from_utf8(out).unwrap(), format!("a{number},3b{number}"));
        }
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
            let mut out = Vec::new();
            write_http(&mut out, &redactor, &exchange);
            prop_assert_eq!(String::from_utf8(out).unwrap(), by_serde_json(&model));
        }
    }
}
