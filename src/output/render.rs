//! A finished analysis, as every form of it is written: [`Analysis`] joins what was stored of the connections with the
//! numbers, causes and relations that only the whole capture gives. A form is one file with a [`Render`] in it.
//!
//! Nothing here decides anything, and nothing passes that the redactor has not seen.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use super::json::{append_connection, append_finding};
use super::model::{Capture, Connection, ConnectionBody, Finding, Relation, RootCause, Rule, Summary, Verdict};
use super::numbering::Listing;
use super::redact::Redactor;
use super::store::{self, Reader, Texts, read_connection, read_finding};
use crate::diagnosis::Party;

/// A form of the output, such as the report or the JSON document.
pub(crate) trait Render {
    /// Writes the whole analysis.
    ///
    /// # Errors
    /// When `out` fails.
    fn render(&self, analysis: &Analysis<'_>, out: &mut dyn Write) -> io::Result<()>;
}

/// What is known of a connection without reading its texts.
#[derive(Debug)]
pub(crate) struct ConnectionHeading<'a> {
    pub(crate) id: u64,
    /// Wireshark's `tcp.stream`.
    pub(crate) tcp_stream: u64,
    pub(crate) verdict: Verdict,
    pub(crate) root_cause: Option<RootCause<'a>>,
    /// The capture is at fault for something that was found about it; only then bytes of it are missing.
    pub(crate) is_incomplete: bool,
}

/// A finished analysis. Connections and findings are read from the store one by one, so that they are never all in
/// memory.
pub(crate) struct Analysis<'a> {
    capture: Capture,
    listing: Listing<'a>,
    texts: &'a dyn Texts,
    redactor: &'a Redactor,
}

impl<'a> Analysis<'a> {
    /// Joins what was numbered with the texts of the same subjects.
    #[must_use]
    pub(crate) fn new(capture: Capture, listing: Listing<'a>, texts: &'a dyn Texts, redactor: &'a Redactor) -> Self {
        Self { capture, listing, texts, redactor }
    }

    /// What was read.
    #[must_use]
    pub(crate) fn capture(&self) -> &Capture {
        &self.capture
    }

    /// The whole in numbers.
    #[must_use]
    pub(crate) fn summary(&self) -> &Summary {
        self.listing.summary()
    }

    /// How many connections there are.
    #[must_use]
    pub(crate) fn connections(&self) -> usize {
        self.listing.judgement().len()
    }

    /// Reads texts, for one thread.
    pub(super) fn reader(&self) -> Box<dyn Reader + '_> {
        self.texts.reader()
    }

    /// How they belong together.
    pub(crate) fn relations(&self) -> impl Iterator<Item = Relation> + '_ {
        self.listing.relations()
    }

    /// What the rules of its findings always say.
    #[must_use]
    pub(crate) fn rules(&self) -> BTreeMap<String, Rule> {
        self.listing.rules()
    }

    fn joined(&self, subject: usize, body: ConnectionBody<'static>) -> Connection<'static> {
        Connection {
            id: self.listing.id(subject),
            tcp_stream: self.texts.tcp_stream(subject).into(),
            verdict: self.listing.verdict(subject),
            body,
            root_cause: self.listing.root_cause(subject),
            findings: self.listing.numbers(subject).collect(),
        }
    }

    /// One connection by its index, if there is such a one.
    #[must_use]
    pub(crate) fn connection(&self, index: usize) -> Option<Connection<'static>> {
        if index >= self.connections() {
            return None;
        }
        read_connection(self.texts.reader().connection(index)).map(|body| self.joined(index, body))
    }

    /// Shows every connection, in order of id.
    ///
    /// # Errors
    /// The first of `see`.
    pub(crate) fn each_connection(&self, see: &mut dyn FnMut(Connection<'static>) -> io::Result<()>) -> io::Result<()> {
        let mut reader = self.texts.reader();
        for index in 0..self.connections() {
            if let Some(body) = read_connection(reader.connection(index)) {
                see(self.joined(index, body))?;
            }
        }
        Ok(())
    }

    /// Shows the heading of every connection, in order of id, and how to read the whole of it.
    pub(crate) fn each_heading(
        &self,
        mut see: impl FnMut(&ConnectionHeading<'static>, &mut dyn FnMut() -> Option<Connection<'static>>),
    ) {
        let mut reader = self.texts.reader();
        for subject in 0..self.connections() {
            let mut found = self.listing.judgement().headings(subject);
            let heading = ConnectionHeading {
                id: self.listing.id(subject),
                tcp_stream: self.texts.tcp_stream(subject).into(),
                verdict: self.listing.verdict(subject),
                root_cause: self.listing.root_cause(subject),
                is_incomplete: found.any(|(_, heading)| heading.party == Party::Capture),
            };
            see(&heading, &mut || read_connection(reader.connection(subject)).map(|body| self.joined(subject, body)));
        }
    }

    /// Shows every finding, in order of number: those about one connection, about several, and about none.
    ///
    /// # Errors
    /// The first of `see`.
    pub(crate) fn each_finding(&self, see: &mut dyn FnMut(Finding<'static>) -> io::Result<()>) -> io::Result<()> {
        let mut reader = self.texts.reader();
        let mut result = Ok(());
        for subject in 0..self.connections() {
            self.each_own_finding(&mut *reader, subject, &mut |json| {
                if result.is_ok()
                    && let Some(body) = read_finding(json)
                {
                    result = see(Finding { body, connections: vec![self.listing.id(subject)] });
                }
            });
        }
        result?;
        self.each_other_finding(see)
    }

    /// Shows every finding that is about several connections or none.
    pub(super) fn each_other_finding(&self, see: &mut dyn FnMut(Finding<'static>) -> io::Result<()>) -> io::Result<()> {
        for number in self.listing.own()..self.listing.len() {
            if let Some((finding, connections)) = self.listing.other(self.listing.place(number)) {
                let mut json = Vec::new();
                store::append_finding(&mut json, self.redactor, finding);
                if let Some(body) = read_finding(&json) {
                    see(Finding { body, connections })?;
                }
            }
        }
        Ok(())
    }

    /// Shows the JSON of each finding about one subject alone that is listed.
    fn each_own_finding(&self, reader: &mut dyn Reader, subject: usize, see: &mut dyn FnMut(&[u8])) {
        let mut listed = self.listing.headings(subject).map(|(index, _)| index).peekable();
        if listed.peek().is_some() {
            reader.findings(subject, &mut |index, json| {
                if listed.next_if_eq(&index).is_some() {
                    see(json);
                }
            });
        }
    }

    /// Appends connections as a compact JSON list without its brackets.
    pub(super) fn append_connections(&self, reader: &mut dyn Reader, subjects: Range<usize>, out: &mut Vec<u8>) {
        let mut numbers = Vec::new();
        for subject in subjects {
            if !out.is_empty() {
                out.push(b',');
            }
            numbers.clear();
            numbers.extend(self.listing.numbers(subject));
            let ids = (self.listing.id(subject), self.texts.tcp_stream(subject));
            let (verdict, root_cause) = (self.listing.verdict(subject), self.listing.root_cause(subject));
            append_connection(out, b"{}", ids, verdict, reader.connection(subject), root_cause.as_ref(), &numbers);
        }
    }

    /// Appends the findings about one subject each as a compact JSON list without its brackets.
    pub(super) fn append_own_findings(&self, reader: &mut dyn Reader, subjects: Range<usize>, out: &mut Vec<u8>) {
        for subject in subjects {
            let id = self.listing.id(subject);
            self.each_own_finding(reader, subject, &mut |json| {
                if !out.is_empty() {
                    out.push(b',');
                }
                append_finding(out, b"{}", json, &[id]);
            });
        }
    }

    /// The whole as one value.
    #[cfg(test)]
    pub(super) fn document(&self) -> super::model::Document<'static> {
        use super::model::Document;

        let (mut connections, mut findings) = (Vec::new(), Vec::new());
        let mut keep = |connection| {
            connections.push(connection);
            Ok(())
        };
        let read = self.each_connection(&mut keep).and_then(|()| {
            self.each_finding(&mut |finding| {
                findings.push(finding);
                Ok(())
            })
        });
        debug_assert!(read.is_ok(), "keeping does not fail");
        let relations = self.relations().collect();
        Document::new(self.capture.clone(), self.summary().clone(), connections, relations, self.rules(), findings)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::events::tests::Slowly;
    use super::super::json::{Json, Layout};
    use super::super::markdown::Markdown;
    use super::super::redact::derive_key;
    use super::super::report::{self, Detail};
    use super::super::store::Store;
    use super::*;
    use crate::connection::Keys;
    use crate::diagnosis::Severity;
    use crate::diagnosis::catalogue::Rule;
    use crate::engine::{Judgement, Options, run};

    /// Analyses a capture of this repository.
    fn analyse<T>(
        name: &str,
        redactor: &Redactor,
        wanted: &super::super::numbering::Wanted<'_>,
        threads: usize,
        see: impl FnOnce(&Analysis<'_>) -> T,
    ) -> T {
        let store = Store::new(redactor.clone());
        let options = Options { threads, wanted: None, keys: Keys::new() };
        let found = run(&Slowly::new(name, 50), &options, &store);
        let judgement = Judgement::of(&found.connections, false, threads);
        let texts = store.into_texts(&judgement, &found.connections);
        let listing = Listing::new(&judgement, wanted, threads);
        see(&Analysis::new(Capture::default(), listing, &texts, redactor))
    }

    pub(crate) fn with_analysis<T>(name: &str, see: impl FnOnce(&Analysis<'_>) -> T) -> T {
        analyse(name, &Redactor::new(derive_key([])), &|_, _| true, 2, see)
    }

    fn rendered(form: &dyn Render, analysis: &Analysis<'_>) -> String {
        let mut out = Vec::new();
        form.render(analysis, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_form_is_redacted_unless_secrets_were_asked_for() {
        let json = |layout| Json { layout, threads: 2 };
        let report = report::Options { detail: Detail::Verbose, width: 100 };
        let forms: [&dyn Render; 4] = [&json(Layout::Compact), &json(Layout::Pretty), &report, &Markdown];
        for form in forms {
            let written = |redactor: &Redactor| {
                analyse("accept-of-another-key", redactor, &|_, _| true, 1, |analysis| rendered(form, analysis))
            };
            let (hidden, shown) = (written(&Redactor::new([3; 32])), written(&Redactor::off()));
            let mark = |text: &str| text.contains("<redacted:") || text.contains("&#60;redacted:");
            assert!(mark(&hidden) && !mark(&shown), "{hidden}");
        }
    }

    #[test]
    fn what_is_not_wanted_leaves_no_hole() {
        let all = |rule: &Rule, severity: Severity| rule.id.ends_with('1') && severity >= Severity::Warning;
        for name in ["demo", "reconnect-loop", "rec-reset"] {
            let document = analyse(name, &Redactor::off(), &all, 2, |analysis| analysis.document());
            for finding in &document.findings {
                assert!(finding.rule.ends_with('1') && finding.severity >= super::super::model::Severity::Warning);
            }
            let numbers = document.connections.iter().flat_map(|connection| connection.findings.iter().copied());
            for number in numbers {
                assert!((number as usize) < document.findings.len(), "{name}: {number}");
            }
            let counts = document.summary.findings;
            assert_eq!(counts.error + counts.warning + counts.info, document.findings.len() as u64);
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let written = |threads| {
            analyse("reconnect-loop", &Redactor::off(), &|_, _| true, threads, |analysis| {
                rendered(&Json { layout: Layout::Compact, threads }, analysis)
            })
        };
        assert_eq!(written(1), written(4));
    }
}
