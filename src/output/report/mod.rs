//! The report for people: what went wrong, who did it, how sure that is, which packets prove it, how it is
//! fixed, and what would disprove it. The verdict comes first.
//!
//! A [`Report`] is fed with findings, then connections, and keeps only what it will show: the first finding
//! of each kind with its connections, a few healthy connections, and counts. The text is a pure function of
//! what it was fed; colours are always written, and taken out by the stream it is written to. Everything
//! that was captured is escaped here (see [`super::terminal`]); secrets must already be out.
//!
//! Here is what is shown and in which order; [`group`] joins findings of one cause, [`phrases`] words them, [`layout`]
//! breaks lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::Style;

use self::group::{Group, Groups, MAX_FILTER};
pub(crate) use self::layout::Page;
use self::layout::WIDTHS;
pub(crate) use self::phrases::code_name;
use self::phrases::{
    carried, count, display_filter, headline, line, one, outcome_words, plural, quoted, ranges, views, word,
};
use super::model::*;
use super::render::{Analysis, ConnectionHeading, Render};
use super::style::{BOLD, DIM, GREEN, YELLOW, severity_style};
use super::terminal::escape;
use crate::diagnosis::catalogue::{self, Rule};

mod group;
mod layout;
mod phrases;

/// Healthy connections shown with a line each, without `-v`.
const MAX_HEALTHY: usize = 10;
/// The same with `-v`.
const MAX_HEALTHY_VERBOSE: usize = 1000;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// The verdicts, a line each, and the summary (`-q`).
    Quiet,
    /// Verdicts with evidence, fix and doubt; healthy connections a line each.
    Normal,
    /// Also timings, headers and notes (`-v`).
    Verbose,
}

/// How the report is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How much is shown.
    pub detail: Detail,
    /// Columns to use.
    pub width: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { detail: Detail::Normal, width: 100 }
    }
}

/// A report in the making: findings first, then connections and relations, then [`Report::write`].
#[derive(Debug)]
pub(crate) struct Report {
    options: Options,
    groups: Groups,
    /// Connections that will be shown, and those of them that were seen.
    wanted: BTreeSet<u64>,
    kept: BTreeMap<u64, Connection<'static>>,
    healthy: Vec<Connection<'static>>,
    healthy_count: u64,
    unexplained: Vec<Connection<'static>>,
    unexplained_count: u64,
    troubled: u64,
    lost_bytes: u64,
    relations: Vec<Relation>,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub(crate) fn new(options: Options) -> Self {
        let width = options.width.clamp(*WIDTHS.start(), *WIDTHS.end());
        Self {
            options: Options { width, ..options },
            groups: Groups::default(),
            wanted: BTreeSet::new(),
            kept: BTreeMap::new(),
            healthy: Vec::new(),
            healthy_count: 0,
            unexplained: Vec::new(),
            unexplained_count: 0,
            troubled: 0,
            lost_bytes: 0,
            relations: Vec::new(),
        }
    }

    /// Takes the next finding; all come before the first connection.
    pub(crate) fn finding(&mut self, finding: &Finding<'static>) {
        self.wanted.extend(self.groups.add(finding));
    }

    /// Takes the next connection. Of most only the heading is counted; `read` is called for those that are shown.
    pub(crate) fn connection(
        &mut self,
        heading: &ConnectionHeading<'_>,
        read: impl FnOnce() -> Option<Connection<'static>>,
    ) {
        let ConnectionHeading { id, verdict, .. } = *heading;
        if let Some(cause) = &heading.root_cause {
            self.groups.count_cause(cause, id, heading.tcp_stream);
        }
        self.troubled += u64::from(verdict.is_troubled());
        let healthy = verdict == Verdict::Fine;
        let unexplained = !healthy && heading.root_cause.is_none();
        self.healthy_count += u64::from(healthy);
        self.unexplained_count += u64::from(unexplained);
        let limit = if self.options.detail == Detail::Verbose { MAX_HEALTHY_VERBOSE } else { MAX_HEALTHY };
        let listed = (healthy && self.healthy.len() < limit) || (unexplained && self.unexplained.len() < MAX_HEALTHY);
        let wanted = self.wanted.contains(&id);
        if !(listed || wanted || heading.is_incomplete) {
            return;
        }
        let Some(connection) = read() else { return };
        self.lost_bytes += connection.tcp.lost_bytes.client + connection.tcp.lost_bytes.server;
        if wanted {
            self.kept.insert(id, connection.clone());
        }
        if listed {
            if healthy { &mut self.healthy } else { &mut self.unexplained }.push(connection);
        }
    }

    /// Takes the next relation.
    pub(crate) fn relation(&mut self, relation: &Relation) {
        if self.relations.len() < MAX_HEALTHY {
            self.relations.push(relation.clone());
        }
    }

    /// Writes the report.
    ///
    /// # Errors
    /// When `out` fails.
    pub(crate) fn write(&self, out: &mut dyn Write, capture: &Capture, summary: &Summary) -> io::Result<()> {
        let mut page = Page { out, width: self.options.width };
        let (causes, others) = self.groups.by_importance();
        if self.options.detail > Detail::Quiet {
            self.opening(&mut page, causes.len(), summary, capture)?;
            if causes.len() > 2 {
                page.blank()?;
                for group in &causes {
                    self.one_line(&mut page, group)?;
                }
            }
        }
        for group in &causes {
            if self.options.detail == Detail::Quiet {
                self.one_line(&mut page, group)?;
            } else {
                self.section(&mut page, group, capture)?;
            }
        }
        self.write_unexplained(&mut page)?;
        self.write_others(&mut page, &others, capture)?;
        if self.options.detail > Detail::Quiet {
            self.write_relations(&mut page)?;
            self.write_healthy(&mut page)?;
        }
        self.write_capture(&mut page, capture)?;
        self.write_summary(&mut page, capture, summary, &causes)
    }

    fn opening(&self, page: &mut Page<'_>, causes: usize, summary: &Summary, capture: &Capture) -> io::Result<()> {
        let total = summary.connections;
        let text = if total == 0 {
            let seen = count(capture.tcp_connections, "TCP connection", "TCP connections");
            format!("No WebSocket was found in {} and {seen}.", count(capture.packets, "packet", "packets"))
        } else if self.troubled == 0 {
            match total {
                1 => "The connection is healthy.".to_owned(),
                _ => format!("All {total} connections are healthy."),
            }
        } else {
            let who = match (self.troubled, total) {
                (1, 1) => "The connection is in trouble".to_owned(),
                (all, same) if all == same => format!("All {all} connections are in trouble"),
                (1, _) => format!("1 of {total} connections is in trouble"),
                (some, _) => format!("{some} of {total} connections are in trouble"),
            };
            match (causes, self.troubled) {
                (0, _) => format!("{who}, for a reason that the capture does not show."),
                (1, 1) => format!("{who}."),
                (1, _) if self.unexplained_count == 0 => format!("{who}, all for the same reason."),
                (1, _) => format!("{who}; one reason is known."),
                (n, _) if self.unexplained_count == 0 => format!("{who}, for {n} reasons."),
                (n, _) => format!("{who}; {n} reasons are known."),
            }
        };
        let text = if self.unexplained_count > 0 && self.troubled == 0 && total > 0 {
            format!(
                "No trouble was found, but how {} ended is not known.",
                count(self.unexplained_count, "connection", "connections")
            )
        } else {
            text
        };
        page.paragraph(BOLD, &text)?;
        if total == 0 {
            page.paragraph(
                DIM,
                "Encrypted WebSockets can only be recognised by their looks without keys: -k FILE gives the keys. \
                 A filter that is too narrow hides the opening handshake.",
            )?;
        }
        Ok(())
    }

    /// `ERROR  2 connections: sentence (WSH301, proven)`.
    fn one_line(&self, page: &mut Page<'_>, group: &Group) -> io::Result<()> {
        let finding = &group.finding;
        let who = match (group.about, group.shown.first()) {
            (1, Some(id)) => format!("connection {id}: "),
            (0, _) => String::new(),
            (n, _) => format!("{n} connections: "),
        };
        let text = format!("{who}{} ({}, {})", one(&finding.summary), finding.rule, finding.confidence.name());
        page.labelled(severity_style(finding.severity), &word(finding.severity), 9, &text)
    }

    fn section(&self, page: &mut Page<'_>, group: &Group, capture: &Capture) -> io::Result<()> {
        let finding = &group.finding;
        page.blank()?;
        page.labelled_styled(
            severity_style(finding.severity),
            &word(finding.severity),
            9,
            BOLD,
            &one(&finding.summary),
        )?;
        let about = match (group.about, group.count) {
            (0 | 1, _) => String::new(),
            (n, 1) => format!(" · {n} connections"),
            (n, _) => format!(
                " · {n} connections, the same cause{}",
                if group.same { "" } else { "; the first is described" }
            ),
        };
        let slug = catalogue::rule(&finding.rule).map_or("", |rule| rule.slug);
        let line = format!("{} {slug} · {}{about}", escape(&finding.rule), finding.confidence.name());
        page.labelled_styled(Style::new(), "", 9, DIM, &line)?;
        page.blank()?;

        let shown: Vec<&Connection> = group.shown.iter().filter_map(|id| self.kept.get(id)).collect();
        for (index, connection) in shown.iter().enumerate() {
            let label = if index == 0 { plural("connection", shown.len()) } else { String::new() };
            page.fact(&label, &headline(connection))?;
        }
        let more = group.about.saturating_sub(shown.len() as u64);
        if more > 0 && !shown.is_empty() {
            let ids: Vec<u64> = group.caused.iter().map(|(id, _)| *id).filter(|id| !group.shown.contains(id)).collect();
            let which = if ids.is_empty() { String::new() } else { format!(": {}", ranges(&ids, more)) };
            page.fact("", &format!("and {more} more{which}"))?;
        }
        if let Some(first) = shown.first() {
            let [client, server] = views(first);
            page.fact("programs saw", &client)?;
            page.fact("", &server)?;
            if self.options.detail == Detail::Verbose {
                self.facts(page, first)?;
            }
        }
        let rule = catalogue::rule(&finding.rule);
        let text = |own: &Option<Text<'static>>, general: fn(&Rule) -> &'static str| {
            own.clone().unwrap_or_else(|| rule.map_or("", general).into())
        };
        page.texts("why", &text(&finding.explanation, |rule| rule.explanation))?;
        self.evidence(page, finding, &shown)?;
        self.filters(page, group, capture)?;
        page.texts("fix", &text(&finding.advice, |rule| rule.advice))?;
        // Where it was worked out what this capture cannot decide, that alone is in doubt.
        if finding.undecided.is_empty() {
            page.texts("unless", &text(&finding.unless, |rule| rule.unless))?;
        }
        for (index, open) in finding.undecided.iter().enumerate() {
            let label = if index == 0 { "open" } else { "" };
            page.fact(label, &one(&format!("{} To decide it: {}", open.check, open.needs)))?;
        }
        let references = rule.map_or(&[][..], |rule| rule.references);
        if self.options.detail == Detail::Verbose && !references.is_empty() {
            page.fact("references", &one(&references.join(" · ")))?;
        }
        if let Some(first) = shown.first() {
            self.also(page, first, &finding.rule)?;
        }
        Ok(())
    }

    /// Packets with their time since the connection began.
    fn evidence(&self, page: &mut Page<'_>, finding: &Finding, shown: &[&Connection]) -> io::Result<()> {
        let own = |packet: u64| {
            shown
                .iter()
                .copied()
                .find(|c| (c.first_packet..=c.last_packet).contains(&packet))
                .or(shown.first().copied())
        };
        let several = finding.connections.len() > 1;
        let rows: Vec<[String; 4]> = finding
            .evidence
            .iter()
            .map(|evidence| {
                let connection = own(evidence.packet);
                let offset = match connection {
                    Some(c) if evidence.time >= c.start => format!("+{}", evidence.time.since(c.start)),
                    Some(c) => evidence.time.since(c.start).to_string(),
                    None => evidence.time.to_string(),
                };
                let id = connection.filter(|_| several).map_or(String::new(), |c| format!("#{} ", c.id));
                let from = evidence.from.map_or("", Side::name);
                [format!("{id}packet {}", evidence.packet), offset, from.to_owned(), one(&evidence.note)]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        for (index, [packet, offset, from, note]) in rows.iter().enumerate() {
            let label = if index == 0 { "evidence" } else { "" };
            let from = if widths[2] == 0 { String::new() } else { format!("{from:<0$}  ", widths[2]) };
            let head = format!("{packet:<0$}  {offset:>1$}  {from}", widths[0], widths[1]);
            page.hanging(label, &head, note)?;
        }
        Ok(())
    }

    fn filters(&self, page: &mut Page<'_>, group: &Group, capture: &Capture) -> io::Result<()> {
        let mut packets: Vec<u64> = group.finding.evidence.iter().map(|evidence| evidence.packet).collect();
        packets.sort_unstable();
        packets.dedup();
        packets.truncate(MAX_FILTER);
        let mut streams: Vec<u64> = group.caused.iter().map(|(_, stream)| *stream).collect();
        if streams.is_empty() {
            streams = group.shown.iter().filter_map(|id| self.kept.get(id)).map(|c| c.tcp_stream).collect();
        }
        streams.sort_unstable();
        streams.dedup();
        let mut label = "wireshark";
        for (field, values) in [("frame.number", &packets), ("tcp.stream", &streams)] {
            if let Some(filter) = display_filter(field, values) {
                page.verbatim(label, &filter)?;
                label = "";
            }
        }
        if capture.files.len() > 1 && label.is_empty() {
            page.fact("", "(numbers count through all files, in the order given)")?;
        }
        Ok(())
    }

    /// Other findings on the same connection.
    fn also(&self, page: &mut Page<'_>, connection: &Connection, rule: &str) -> io::Result<()> {
        let mut label = "also";
        for group in self.groups.iter() {
            let finding = &group.finding;
            let here = finding.rule != rule && group.shown.contains(&connection.id);
            if here && (finding.severity >= Severity::Warning || self.options.detail == Detail::Verbose) {
                page.fact(label, &format!("{} {}", escape(&finding.rule), one(&finding.summary)))?;
                label = "";
            }
        }
        Ok(())
    }

    /// More about one connection, for `-v`.
    fn facts(&self, page: &mut Page<'_>, c: &Connection) -> io::Result<()> {
        page.fact("start", &format!("{}, packets {} to {}", c.start, c.first_packet, c.last_packet))?;
        page.fact("community id", &escape(&c.community_id))?;
        let mut tcp = vec![match c.tcp.opening {
            TcpOpening::Handshake => "opened".to_owned(),
            TcpOpening::Refused => "refused".to_owned(),
            TcpOpening::Unanswered => "not answered".to_owned(),
            TcpOpening::MidStream => "already open when the capture began".to_owned(),
        }];
        if let Some(rtt) = c.tcp.rtt_ms {
            tcp.push(format!("round trip {rtt}"));
        }
        let closer = c.tcp.first_closer.map_or(String::new(), |side| format!(" from the {}", side.name()));
        match c.tcp.closing {
            TcpClosing::Fin => tcp.push(format!("first FIN{closer}")),
            TcpClosing::Rst => tcp.push(format!("first RST{closer}")),
            TcpClosing::None => {}
        }
        for (name, n) in [
            ("sent again", c.tcp.retransmissions),
            ("out of order", c.tcp.out_of_order),
            ("bytes not captured", c.tcp.lost_bytes),
        ] {
            if n.client + n.server > 0 {
                tcp.push(format!("{name}: client {}, server {}", n.client, n.server));
            }
        }
        page.fact("tcp", &tcp.join(", "))?;
        if let Some(tls) = &c.tls {
            let parts: Vec<String> = [
                tls.version.as_ref().map(|v| format!("TLS {v}")),
                tls.cipher_suite.as_deref().map(str::to_owned),
                tls.server_name.as_ref().map(|name| format!("name {name}")),
                tls.alpn.as_ref().map(|alpn| format!("ALPN {alpn}")),
                Some(if tls.decrypted { "decrypted".to_owned() } else { "not decrypted".to_owned() }),
            ]
            .into_iter()
            .flatten()
            .collect();
            page.fact("tls", &one(&parts.join(", ")))?;
            for certificate in &tls.certificates {
                let until = certificate.not_after.map_or(String::new(), |t| format!(", valid until {t}"));
                page.fact("", &one(&format!("certificate {} by {}{until}", certificate.subject, certificate.issuer)))?;
            }
        }
        if let Some(http) = &c.http {
            let text = |value: &Option<Text<'_>>| value.as_deref().unwrap_or("?").to_owned();
            page.verbatim(
                "request",
                &one(&format!("{} {} HTTP/{}", text(&http.method), text(&http.target), text(&http.version))),
            )?;
            for (name, value) in &http.request_headers {
                page.verbatim("", &format!("{}: {}", one(name), one(value)))?;
            }
            if let Some(status) = http.status {
                let after = http.response_ms.map_or(String::new(), |time| format!(" (after {time})"));
                let reason = http.reason.as_deref().unwrap_or_default();
                page.verbatim("response", &one(&format!("{status} {reason}{after}")))?;
            }
            for (name, value) in &http.response_headers {
                page.verbatim("", &format!("{}: {}", one(name), one(value)))?;
            }
            if let Some(body) = &http.body_excerpt {
                page.fact("body", &one(body))?;
            }
        }
        if let Some(ws) = &c.websocket {
            let traffic = |t: &Traffic| {
                format!(
                    "{} messages, {} frames, {} bytes, {} pings, {} pongs",
                    t.messages, t.frames, t.bytes, t.ping, t.pong
                )
            };
            page.fact("client sent", &traffic(&ws.client))?;
            page.fact("server sent", &traffic(&ws.server))?;
            let agreed: Vec<String> = ws.subprotocol.iter().chain(&ws.extensions).map(|text| one(text)).collect();
            if !agreed.is_empty() {
                page.fact("agreed", &agreed.join(", "))?;
            }
            if let Some(protocol) = &ws.protocol {
                page.fact("recognised", &one(protocol))?;
            }
        }
        Ok(())
    }

    fn write_unexplained(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.unexplained.is_empty() {
            return Ok(());
        }
        if self.options.detail > Detail::Quiet {
            page.blank()?;
            page.heading("Without a known cause")?;
        }
        for connection in &self.unexplained {
            page.item(
                &connection.id.to_string(),
                &format!("{} · programs saw: {}", line(connection), views(connection).join(" · ")),
            )?;
        }
        let more = self.unexplained_count - self.unexplained.len() as u64;
        if more > 0 {
            page.item("", &format!("and {more} more"))?;
        }
        Ok(())
    }

    fn write_others(&self, page: &mut Page<'_>, others: &[&Group], capture: &Capture) -> io::Result<()> {
        let shown: Vec<&&Group> = others
            .iter()
            .filter(|group| {
                let finding = &group.finding;
                finding.severity >= Severity::Warning
                    || catalogue::rule(&finding.rule).is_some_and(Rule::is_about_capture)
                    || self.options.detail == Detail::Verbose
            })
            .collect();
        let notes = others.len() - shown.len();
        match self.options.detail {
            Detail::Quiet => {
                for group in shown.iter().filter(|group| group.finding.severity >= Severity::Warning) {
                    self.one_line(page, group)?;
                }
                return Ok(());
            }
            Detail::Verbose => {
                for group in &shown {
                    self.section(page, group, capture)?;
                }
                return Ok(());
            }
            Detail::Normal => {}
        }
        if shown.is_empty() && notes == 0 {
            return Ok(());
        }
        page.blank()?;
        page.heading("Also found")?;
        for group in &shown {
            self.one_line(page, group)?;
            let packets: Vec<String> =
                group.finding.evidence.iter().take(5).map(|evidence| evidence.packet.to_string()).collect();
            let packets =
                if packets.is_empty() { String::new() } else { format!("packets {} · ", packets.join(", ")) };
            page.labelled_styled(
                Style::new(),
                "",
                9,
                DIM,
                &format!("{packets}wsscan explain {}", escape(&group.finding.rule)),
            )?;
        }
        if notes > 0 {
            let text = format!("{} not shown: -v shows them", count(notes as u64, "note", "notes"));
            page.labelled(DIM, "", 2, &text)?;
        }
        Ok(())
    }

    fn write_relations(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.relations.is_empty() {
            return Ok(());
        }
        page.blank()?;
        page.heading("Connections that belong together")?;
        for relation in &self.relations {
            match relation {
                Relation::ProxyLeg { front, back, by, score } => {
                    let text = format!(
                        "connections {front} and {back} are the two legs of a proxied one (by {}, {score} %)",
                        one(by)
                    );
                    page.labelled(Style::new(), "", 2, &text)?;
                }
                Relation::ReconnectLoop { connections, median_gap_ms } => {
                    let gap = median_gap_ms.map_or(String::new(), |gap| format!(", typically {gap} apart"));
                    let text = format!(
                        "the same client came back {}{gap}: connections {}",
                        match connections.len().saturating_sub(1) {
                            1 => "once".to_owned(),
                            times => format!("{times} times"),
                        },
                        ranges(connections, connections.len() as u64)
                    );
                    page.labelled(Style::new(), "", 2, &text)?;
                }
            }
        }
        Ok(())
    }

    fn write_healthy(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.healthy.is_empty() {
            return Ok(());
        }
        page.blank()?;
        page.heading("Healthy")?;
        for connection in &self.healthy {
            let cause =
                connection.root_cause.as_ref().map_or(String::new(), |cause| format!(" ({})", escape(&cause.rule)));
            page.item(&connection.id.to_string(), &format!("{}{cause}", line(connection)))?;
            if self.options.detail == Detail::Verbose {
                self.facts(page, connection)?;
            }
        }
        let more = self.healthy_count - self.healthy.len() as u64;
        if more > 0 {
            page.item("", &format!("and {more} more"))?;
        }
        Ok(())
    }

    fn write_capture(&self, page: &mut Page<'_>, capture: &Capture) -> io::Result<()> {
        let mut problems = Vec::new();
        for file in &capture.files {
            let path = one(&file.path);
            match (&file.error, file.truncated) {
                (Some(error), _) => problems.push(format!("{path} was not read to its end: {}", one(error))),
                (None, true) => problems.push(format!(
                    "{path} is truncated: it ends in the middle of a packet, and what followed is not known"
                )),
                (None, false) => {}
            }
        }
        if let Some(dropped) = capture.packets_dropped.filter(|n| *n > 0) {
            problems.push(format!("{} dropped while capturing", count(dropped, "packet was", "packets were")));
        }
        if self.lost_bytes > 0 {
            problems.push(format!(
                "{} sent but never captured",
                count(self.lost_bytes, "byte of a reported connection was", "bytes of reported connections were")
            ));
        }
        if capture.undecoded_packets > 0 {
            problems
                .push(format!("{} not be decoded", count(capture.undecoded_packets, "packet could", "packets could")));
        }
        if problems.is_empty() {
            return Ok(());
        }
        if self.options.detail > Detail::Quiet {
            page.blank()?;
        }
        for problem in problems {
            page.labelled(YELLOW, "capture", 9, &problem)?;
        }
        Ok(())
    }

    fn write_summary(
        &self,
        page: &mut Page<'_>,
        capture: &Capture,
        summary: &Summary,
        causes: &[&Group],
    ) -> io::Result<()> {
        if self.options.detail > Detail::Quiet {
            page.blank()?;
        }
        let files = match capture.files.len() {
            0 => String::new(),
            1 => format!("{}: ", one(&capture.files[0].path)),
            n => format!("{n} files: "),
        };
        let span = match (capture.first_time, capture.last_time) {
            (Some(first), Some(last)) => format!(" in {}", last.since(first)),
            _ => String::new(),
        };
        let outcomes: Vec<String> =
            summary.outcomes.iter().map(|(outcome, n)| format!("{n} {}", outcome_words(*outcome))).collect();
        let outcomes = if outcomes.is_empty() { String::new() } else { format!(" ({})", outcomes.join(", ")) };
        let findings = &summary.findings;
        let text = format!(
            "{files}{}{span}, {}, {}{outcomes}; {}, {}, {}.",
            count(capture.packets, "packet", "packets"),
            count(capture.tcp_connections, "TCP connection", "TCP connections"),
            count(summary.connections, "WebSocket or attempt", "WebSockets or attempts"),
            count(findings.error, "error", "errors"),
            count(findings.warning, "warning", "warnings"),
            count(findings.info, "note", "notes"),
        );
        let style = match (findings.error, self.troubled + self.unexplained_count) {
            (0, 0) if summary.connections > 0 => GREEN,
            _ => BOLD,
        };
        page.paragraph(style, &text)?;
        if self.options.detail == Detail::Quiet {
            return Ok(());
        }
        let mut hints = Vec::new();
        if let Some(group) = causes.first() {
            hints.push(format!("wsscan explain {}", escape(&group.finding.rule)));
        }
        let first = causes.first().and_then(|group| group.shown.first().copied());
        let websocket = |id: u64| self.kept.get(&id).is_some_and(|c| carried(c).is_some());
        let id = first
            .filter(|id| websocket(*id))
            .or_else(|| self.healthy.iter().find(|c| carried(c).is_some()).map(|c| c.id));
        if let (Some(id), false) = (id, capture.files.is_empty()) {
            let files: Vec<String> = capture.files.iter().take(3).map(|f| format!("-r {}", quoted(&f.path))).collect();
            hints.push(format!("wsscan follow {} {id}", files.join(" ")));
        }
        for (index, hint) in hints.iter().enumerate() {
            page.labelled_styled(DIM, if index == 0 { "next:" } else { "" }, 6, DIM, hint)?;
        }
        Ok(())
    }
}

impl Render for Options {
    fn render(&self, analysis: &Analysis<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut report = Report::new(*self);
        analysis.each_finding(&mut |finding| {
            report.finding(&finding);
            Ok(())
        })?;
        analysis.each_heading(|heading, read| report.connection(heading, read));
        analysis.relations().for_each(|relation| report.relation(&relation));
        report.write(out, analysis.capture(), analysis.summary())
    }
}

/// Writes the report of a whole document.
#[cfg(test)]
fn write_document(out: &mut dyn Write, document: &Document<'static>, options: Options) -> io::Result<()> {
    let mut report = Report::new(options);
    document.findings.iter().for_each(|finding| report.finding(finding));
    for connection in &document.connections {
        let heading = ConnectionHeading {
            id: connection.id,
            tcp_stream: connection.tcp_stream,
            verdict: connection.verdict,
            root_cause: connection.root_cause.clone(),
            is_incomplete: true,
        };
        report.connection(&heading, || Some(connection.clone()));
    }
    document.relations.iter().for_each(|relation| report.relation(relation));
    report.write(out, &document.capture, &document.summary)
}

#[cfg(test)]
mod tests {
    use super::super::redact::Redactor;
    use super::super::sample;
    use super::layout::wrapped;
    use super::*;

    fn plain(document: &Document<'static>, detail: Detail, width: usize) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write_document(&mut out, document, Options { detail, width }).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    fn redacted() -> Document<'static> {
        let mut document = sample::document();
        document.redact(&Redactor::new([1; 32]));
        document
    }

    #[test]
    fn a_report() {
        insta::assert_snapshot!(plain(&redacted(), Detail::Normal, 100));
    }

    #[test]
    fn a_quiet_report() {
        insta::assert_snapshot!(plain(&redacted(), Detail::Quiet, 100));
    }

    #[test]
    fn a_verbose_report_on_a_narrow_terminal() {
        insta::assert_snapshot!(plain(&redacted(), Detail::Verbose, 72));
    }

    #[test]
    fn nothing_found() {
        let document = Document::new(
            Capture { packets: 7, ..Capture::default() },
            Summary::default(),
            vec![],
            vec![],
            BTreeMap::new(),
            vec![],
        );
        insta::assert_snapshot!(plain(&document, Detail::Normal, 80), @r"
        No WebSocket was found in 7 packets and 0 TCP connections.
        Encrypted WebSockets can only be recognised by their looks without keys: -k FILE
        gives the keys. A filter that is too narrow hides the opening handshake.

        7 packets, 0 TCP connections, 0 WebSockets or attempts; 0 errors, 0 warnings, 0
        notes.
        ");
    }

    #[test]
    fn healthy_connections_are_counted_after_ten() {
        let mut document = sample::document();
        document.connections = (1..=25).map(|id| sample::healthy(id, id)).collect();
        document.findings.clear();
        document.relations.clear();
        document.summary = Summary {
            connections: 25,
            websockets: 25,
            outcomes: [(Outcome::ClosedClean, 25)].into(),
            ..Summary::default()
        };
        let text = plain(&document, Detail::Normal, 100);
        assert!(text.starts_with("All 25 connections are healthy.\n"), "{text}");
        assert_eq!(text.matches("closed by the client with 1000").count(), MAX_HEALTHY);
        assert!(text.contains("and 15 more"));
    }

    #[test]
    fn the_same_cause_is_told_once() {
        let mut document = sample::document();
        document.connections = (1..=12).map(|id| sample::stripped(id, id, id - 1)).collect();
        document.findings = (1..=12).map(sample::stripped_finding).collect();
        document.summary = Summary { connections: 12, ..Summary::default() };
        let text = plain(&document, Detail::Normal, 100);
        assert!(text.contains("12 connections, the same cause"), "{text}");
        assert_eq!(text.matches("Tell the proxy to pass the upgrade on").count(), 1);
        assert!(text.contains("and 9 more: 4–12\n"), "{text}");
        assert!(text.contains("tcp.stream in {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}"));
    }

    #[test]
    fn an_end_without_a_cause_is_said_so() {
        let mut document = sample::document();
        let mut lost = sample::stripped(1, 1, 0);
        (lost.root_cause, lost.findings, lost.body.outcome) = (None, vec![], Outcome::ClosedAbnormal);
        document.connections = vec![lost];
        document.findings.clear();
        document.relations.clear();
        document.summary = Summary { connections: 1, ..Summary::default() };
        let text = plain(&document, Detail::Normal, 100);
        assert!(
            text.starts_with("The connection is in trouble, for a reason that the capture does not show.\n"),
            "{text}"
        );
        assert!(text.contains("Without a known cause\n"));
        let quiet = plain(&document, Detail::Quiet, 100).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(quiet.contains("cut off without a closing handshake after 12 ms"), "{quiet}");
    }

    #[test]
    fn hostile_text_never_reaches_the_terminal() {
        let evil = "\x1b]0;owned\x07 \u{202e}gpj \u{9b}2J\r\n";
        let mut document = sample::document();
        for connection in &mut document.connections {
            if let Some(http) = &mut connection.body.http {
                http.host = Some(evil.into());
                http.target = Some(evil.into());
                http.reason = Some(evil.into());
                http.body_excerpt = Some(evil.into());
                http.request_headers.push((evil.into(), evil.into()));
                http.response_headers.push((evil.into(), evil.into()));
            }
            if let Some(tls) = &mut connection.body.tls {
                tls.server_name = Some(evil.into());
                tls.alpn = Some(evil.into());
                tls.certificates[0].subject = evil.into();
            }
            if let Some(close) = connection.body.websocket.as_mut().and_then(|ws| ws.close.as_mut()?.client.as_mut()) {
                close.reason = evil.into();
            }
            if let Some(ws) = &mut connection.body.websocket {
                ws.subprotocol = Some(evil.into());
                ws.extensions = Some(evil.into());
            }
        }
        for Finding { body: finding, .. } in &mut document.findings {
            for text in [
                &mut finding.summary,
                finding.explanation.get_or_insert_default(),
                finding.advice.get_or_insert_default(),
                finding.unless.get_or_insert_default(),
                &mut finding.evidence[0].note,
            ] {
                text.to_mut().push_str(evil);
                text.to_mut().push_str("    x\x1b");
            }
        }
        for relation in &mut document.relations {
            if let Relation::ProxyLeg { by, .. } = relation {
                by.push_str(evil);
            }
        }
        document.capture.files[1].path.push_str(evil);
        document.capture.files[1].error = Some(evil.into());
        for detail in [Detail::Quiet, Detail::Normal, Detail::Verbose] {
            let mut out = Vec::new();
            write_document(&mut out, &document, Options { detail, width: 100 }).unwrap();
            // What remains besides line ends are the styles of this module, which begin with ESC [ and end in m.
            let text = String::from_utf8(out).unwrap();
            for piece in text.split('\x1b').skip(1) {
                let style = piece.strip_prefix('[').and_then(|rest| rest.split_once('m')).map(|(style, _)| style);
                assert!(style.is_some_and(|s| s.bytes().all(|b| b.is_ascii_digit() || b == b';')), "{piece:?}");
            }
            assert!(!text.replace(['\n', '\x1b'], "").contains(super::super::terminal::is_hostile), "{detail:?}");
        }
    }

    #[test]
    fn lines_keep_to_the_width() {
        let document = redacted();
        for width in [60, 80, 100, 120] {
            for text in plain(&document, Detail::Normal, width).lines() {
                let copied = text.contains("proxy_set_header") || text.contains("wsscan ") || text.contains(" in {");
                let one_word = text.split_whitespace().count() == 1;
                assert!(copied || one_word || text.chars().count() <= width, "{width}: {text}");
            }
        }
        assert_eq!(wrapped("a bb ccc", 20), ["a bb ccc"]);
        assert_eq!(wrapped("aaaaaaaaaaaaaaaaaaaaaaaaa b", 20), ["aaaaaaaaaaaaaaaaaaaaaaaaa", "b"]);
        assert_eq!(wrapped("", 20), [""]);
    }

    #[test]
    fn number_lists() {
        assert_eq!(ranges(&[3, 4, 7, 8, 9, 12], 6), "3, 4, 7–9, 12");
        assert_eq!(ranges(&[1, 3], 9), "1, 3 …");
        assert_eq!(display_filter("tcp.stream", &[3]).as_deref(), Some("tcp.stream eq 3"));
        assert_eq!(display_filter("frame.number", &[12, 15, 20]).as_deref(), Some("frame.number in {12, 15, 20}"));
        assert_eq!(quoted("a b.pcap"), "'a b.pcap'");
    }
}
