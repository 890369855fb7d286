//! A live capture for people: one line of text for what an event says. Colours are always written; the stream takes
//! them out where they are not wanted. What was captured is escaped.

use std::io::Write;

use super::ndjson::Event;
use crate::output::model::{Connection, Endpoint, Finding, Outcome, Time, View};
use crate::output::style::{BOLD, DIM, GREEN, RED, YELLOW, severity_style};
use crate::output::terminal::escape;

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

/// Appends the line of an opening, or of a handshake that failed; other events have no line here.
pub fn append(out: &mut Vec<u8>, event: &Event<'_>) {
    // Writing into memory does not fail.
    let _ = match event {
        Event::ConnectionOpened(opened) => {
            let (client, server) = (address(&opened.client), address(&opened.server));
            head(out, opened.time, Some(opened.binding.connection));
            writeln!(out, "{BOLD}opened{BOLD:#}   {client} → {server}")
        }
        Event::Handshake(handshake) if handshake.http.status != Some(101) => {
            let http = &handshake.http;
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
        _ => return,
    };
}

/// Appends the line of a connection that is over.
pub fn append_closed(out: &mut Vec<u8>, time: Time, connection: &Connection<'_>) {
    head(out, time, Some(connection.id));
    let _ = writeln!(out, "{BOLD}closed{BOLD:#}   {}", ending(connection));
}

/// Appends the line of a finding. `about`: the connection, when it is about one only.
pub fn append_finding(out: &mut Vec<u8>, time: Time, about: Option<u64>, finding: &Finding<'_>) {
    head(out, time, about);
    let style = severity_style(finding.severity);
    let (word, confidence) = (finding.severity.name(), finding.confidence.name());
    let others = match finding.connections.len() {
        0 | 1 => String::new(),
        n => format!(" [{n} connections]"),
    };
    let summary = escape(&finding.summary);
    let _ = writeln!(out, "{style}{word:<7}{style:#}  {summary} ({}, {confidence}){others}", escape(&finding.rule));
}

fn head(out: &mut Vec<u8>, time: Time, connection: Option<u64>) {
    let id = connection.map_or_else(String::new, |id| format!("#{id}"));
    let _ = write!(out, "{DIM}{}{DIM:#} {id:<5} ", time_of_day(time));
}

fn ending(connection: &Connection) -> String {
    let outcome = connection.outcome.name();
    let style = match connection.outcome {
        Outcome::ClosedClean | Outcome::Open => GREEN,
        Outcome::ClosedNoStatus | Outcome::Unknown => YELLOW,
        _ => RED,
    };
    let code = |view: Option<View>| view.map_or_else(|| "nothing".to_owned(), |view| view.code.to_string());
    let view = &connection.application_view;
    let saw = if connection.websocket.is_some() {
        format!("; client saw {}, server saw {}", code(view.client), code(view.server))
    } else {
        String::new()
    };
    format!("{style}{outcome}{style:#} after {}{saw}", connection.duration_ms)
}
