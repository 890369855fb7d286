//! A live capture for people: one line of text for what an event says. Colours are always written; the stream takes
//! them out where they are not wanted. What was captured is escaped.

use std::io::Write;

use anstyle::{AnsiColor, Style};

use super::model::{Confidence, Connection, Endpoint, Severity, Time};
use super::ndjson::Event;
use super::terminal::escape;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const BLUE: Style = AnsiColor::Cyan.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();

/// Time of day in UTC with microseconds, `08:00:00.123456`.
#[must_use]
pub fn time_of_day(time: Time) -> String {
    let text = time.to_string();
    text.get(11..26).unwrap_or_default().to_owned()
}

/// `10.0.0.7:80` or `[fe80::1]:80`.
#[must_use]
pub fn address(endpoint: &Endpoint) -> String {
    endpoint.to_string()
}

/// Appends the line of an event, if people want to see it: openings, handshakes that failed, findings, ends.
pub fn write(out: &mut Vec<u8>, event: &Event) {
    // Writing into memory does not fail.
    let _ = match event {
        Event::ConnectionOpened(opened) => {
            let (client, server) = (address(&opened.client), address(&opened.server));
            head(out, opened.time, Some(opened.binding.connection));
            writeln!(out, "{BOLD}opened{BOLD:#}   {client} → {server}")
        }
        Event::Handshake(handshake) => {
            let http = &handshake.http;
            if http.status == Some(101) {
                return;
            }
            head(out, handshake.time, Some(handshake.binding.connection));
            let method = http.method.as_deref().unwrap_or("?");
            let target = http.target.as_deref().unwrap_or("?");
            let answer = match http.status {
                Some(status) => format!("{status} {}", http.reason.as_deref().unwrap_or_default()),
                None => "no answer".to_owned(),
            };
            let text = format!("{method} {target} → {}", answer.trim_end());
            writeln!(out, "{YELLOW}refused{YELLOW:#}  {}", escape(&text))
        }
        Event::ConnectionClosed(closed) => {
            let connection = &closed.record;
            head(out, closed.time, Some(connection.id));
            writeln!(out, "{BOLD}closed{BOLD:#}   {}", ending(connection))
        }
        Event::Finding(found) => {
            let finding = &found.finding;
            head(out, found.time, found.connection);
            let (style, word) = match finding.severity {
                Severity::Error => (RED, "error"),
                Severity::Warning => (YELLOW, "warning"),
                Severity::Info => (BLUE, "info"),
            };
            let confidence = match finding.confidence {
                Confidence::Proven => "proven",
                Confidence::Likely => "likely",
                Confidence::Possible => "possible",
            };
            let others = match finding.connections.len() {
                0 | 1 => String::new(),
                n => format!(" [{n} connections]"),
            };
            let summary = escape(&finding.summary);
            writeln!(out, "{style}{word:<7}{style:#}  {summary} ({}, {confidence}){others}", escape(&finding.rule))
        }
        Event::Frame(_) | Event::Message(_) | Event::Stats(_) | Event::CaptureEnd(_) => return,
    };
}

fn head(out: &mut Vec<u8>, time: Time, connection: Option<u64>) {
    let id = connection.map_or_else(String::new, |id| format!("#{id}"));
    let _ = write!(out, "{DIM}{}{DIM:#} {id:<5} ", time_of_day(time));
}

fn ending(connection: &Connection) -> String {
    let outcome = connection.outcome.name();
    let style = match outcome {
        "closed_clean" | "open" => GREEN,
        "closed_no_status" | "unknown" => YELLOW,
        _ => RED,
    };
    let code = |code: Option<u16>| code.map_or_else(|| "nothing".to_owned(), |code| code.to_string());
    let view = &connection.application_view;
    let saw = if connection.websocket.is_some() {
        format!("; client saw {}, server saw {}", code(view.client.code), code(view.server.code))
    } else {
        String::new()
    };
    format!("{style}{outcome}{style:#} after {}{saw}", connection.duration_ms)
}
