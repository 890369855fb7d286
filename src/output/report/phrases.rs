//! Phrases of the report: numbers, ranges, addresses, outcomes and one-line descriptions of a connection, escaped and
//! without layout. Pure functions of the model.

use super::super::model::*;
use super::super::terminal::escape;

/// One escaped line.
pub(super) fn one(text: &str) -> String {
    let text = text.trim_end();
    escape(text).into_owned()
}

pub(super) fn count(n: u64, singular: &str, plural: &str) -> String {
    format!("{n} {}", if n == 1 { singular } else { plural })
}

pub(super) fn plural(word: &str, n: usize) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}

/// A path as one shell word.
pub(super) fn quoted(path: &str) -> String {
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+:@,=".contains(c));
    if plain && !path.is_empty() { path.to_owned() } else { format!("'{}'", one(path).replace('\'', r"'\''")) }
}

pub(super) fn word(severity: Severity) -> String {
    severity.name().to_uppercase()
}

pub(super) const fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "still open",
        Outcome::ClosedClean => "closed clean",
        Outcome::ClosedNoStatus => "closed without a status",
        Outcome::ClosedAbnormal => "cut off without a closing handshake",
        Outcome::UpgradeFailed => "upgrade failed",
        Outcome::TlsFailed => "TLS failed",
        Outcome::TcpFailed => "TCP failed",
        Outcome::Unknown => "end not known",
    }
}

/// `3, 4, 7–9 …`; `of` is how many there are in all.
pub(super) fn ranges(ids: &[u64], of: u64) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while at < ids.len() && out.len() < 12 {
        let mut end = at;
        while end + 1 < ids.len() && ids[end + 1] == ids[end] + 1 {
            end += 1;
        }
        match end - at {
            0 => out.push(ids[at].to_string()),
            1 => out.extend([ids[at].to_string(), ids[end].to_string()]),
            _ => out.push(format!("{}–{}", ids[at], ids[end])),
        }
        at = end + 1;
    }
    let cut = at < ids.len() || (ids.len() as u64) < of;
    out.join(", ") + if cut { " …" } else { "" }
}

/// A Wireshark display filter that shows exactly these.
pub(super) fn display_filter(field: &str, values: &[u64]) -> Option<String> {
    match values {
        [] => None,
        [one] => Some(format!("{field} eq {one}")),
        many => {
            let list: Vec<String> = many.iter().map(u64::to_string).collect();
            Some(format!("{field} in {{{}}}", list.join(", ")))
        }
    }
}

pub(super) fn ends(c: &Connection) -> String {
    format!("{} → {}", one(&c.client.to_string()), one(&c.server.to_string()))
}

/// Host and target.
pub(super) fn address(c: &Connection) -> String {
    let http = c.http.as_ref();
    let host =
        http.and_then(|http| http.host.clone()).or_else(|| c.tls.as_ref().and_then(|tls| tls.server_name.clone()));
    let target = http.and_then(|http| http.target.clone()).unwrap_or_default();
    one(&format!("{}{target}", host.unwrap_or_default()))
}

/// The WebSocket, if it carried anything.
pub(super) fn carried<'c, 's>(c: &'c Connection<'s>) -> Option<&'c WebSocket<'s>> {
    c.websocket.as_ref().filter(|ws| ws.client.frames + ws.server.frames > 0)
}

/// `#2  2026-11-21T08:00:42.000Z · 10.0.0.1:1 → 10.0.0.2:80 · host/target · upgrade failed after 12 ms`.
pub(super) fn headline(c: &Connection) -> String {
    let start = c.start.to_string();
    format!("#{}  {}Z · {}", c.id, start.get(..23).unwrap_or(&start), line(c))
}

pub(super) fn line(c: &Connection) -> String {
    let mut parts = vec![ends(c)];
    let address = address(c);
    if !address.is_empty() {
        parts.push(address);
    }
    let close = c.websocket.as_ref().and_then(|ws| ws.close.as_ref());
    let end = match c.outcome {
        Outcome::ClosedClean | Outcome::ClosedNoStatus => {
            let first = close.and_then(|close| close.first);
            let frame = close.and_then(|close| match first {
                Some(Side::Client) => close.client.as_ref(),
                Some(Side::Server) => close.server.as_ref(),
                None => None,
            });
            let code = frame.and_then(|frame| frame.code).map_or(String::new(), |code| format!(" with {code}"));
            let code = if c.outcome == Outcome::ClosedNoStatus { " without a status".to_owned() } else { code };
            let reason = frame
                .filter(|frame| !frame.reason.is_empty())
                .map_or(String::new(), |frame| format!(" \"{}\"", one(&frame.reason)));
            let side = first.map_or(String::new(), |side| format!(" by the {}", side.name()));
            format!("closed{side}{code}{reason} after {}", c.duration_ms)
        }
        Outcome::Open => format!("open for {} when the capture ended", c.duration_ms),
        outcome => format!("{} after {}", outcome_words(outcome), c.duration_ms),
    };
    parts.push(end);
    if let Some(status) = c.http.as_ref().and_then(|http| http.status).filter(|_| c.outcome == Outcome::UpgradeFailed) {
        parts.push(format!("HTTP {status}"));
    }
    if let Some(ws) = carried(c) {
        let mut text = format!("messages {} up, {} down", ws.client.messages, ws.server.messages);
        if let Some(rtt) = ws.ping_rtt_ms.map(|rtt| rtt.median) {
            text.push_str(&format!(", ping {rtt}"));
        }
        if ws.unanswered_pings > 0 {
            text.push_str(&format!(", {}", count(ws.unanswered_pings, "ping unanswered", "pings unanswered")));
        }
        parts.push(text);
    }
    parts.join(" · ")
}

/// What each side's program was told.
pub(super) fn views(c: &Connection) -> [String; 2] {
    let view = |name: &str, view: Option<View>| match view {
        None => format!("{name}: nothing that the capture tells"),
        Some(View { code, was_clean }) => {
            let meaning = code_name(code).map_or(String::new(), |meaning| format!(" {meaning}"));
            let clean = match was_clean {
                Some(true) => ", clean",
                Some(false) => ", not clean",
                None => "",
            };
            format!("{name}: {code}{meaning}{clean}")
        }
    };
    [view("client", c.application_view.client), view("server", c.application_view.server)]
}

/// Name of a close code (RFC 6455 §7.4.1 and the IANA registry).
#[must_use]
pub(crate) fn code_name(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1005 => "no status received",
        1006 => "abnormal closure",
        1007 => "invalid payload data",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        1015 => "TLS handshake",
        3000 => "unauthorized",
        3003 => "forbidden",
        3008 => "timeout",
        _ => return None,
    })
}
