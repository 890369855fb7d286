//! Connections put into the document's words as they close, while their records are in the processor's cache, so
//! that only those words, in shorthand, and a brief are kept of them.
//!
//! What a connection and its findings say is known when it is over; their ids, and what others may yet explain
//! better, only when the capture is. The document's order of members allows for that: what comes late, and what the
//! brief tells, stands at the beginning and at the end of an object, so what is sealed is the middle. It
//! becomes text when the document is written, in memory that stays in the cache. The bytes written are those of
//! [`super::publish`].

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::compact::put;
use super::convert::{self, Subject};
use super::json::{JsonWriter, Layout};
use super::listing::Listing;
use super::model;
use super::redact::Redactor;
use super::shorthand::{Context, Page, Pieces, Shorthand, expand, put_with_length, take_with_length};
use super::words;
use crate::connection::Interest;
use crate::diagnosis::{Digest, Finding, Verdict, diagnose_all, diagnose_plain};
use crate::engine::{Connections, Event, Finished, Kept, Known, Numbering, Observer, Over, SHARDS, parallel};

/// Subjects, or findings, that one worker writes at a time.
const AT_ONCE: usize = 128;

/// Listens to an engine and puts into words what closes.
pub struct Sealer {
    redactor: Redactor,
    /// One for each shard: nobody waits for it.
    shelves: Vec<Mutex<Shelf>>,
}

/// What the connections of one shard say again and again, and room to work in.
#[derive(Debug, Default)]
struct Shelf {
    pieces: Pieces,
    /// Shorthand of the connections that are being sealed, one behind the other.
    connections: Vec<u8>,
    /// That of their findings, each with its length in front.
    findings: Vec<u8>,
    one: Vec<u8>,
}

/// A connection that is over: its digests, and the shorthand of each subject, which is the middle of its connection
/// object and then its findings, both with their lengths in front.
#[derive(Debug)]
pub struct Sealed {
    digests: SmallVec<[Digest; 1]>,
    shorthand: Box<[u8]>,
    aside: Box<[Finding]>,
}

impl Kept for Sealed {
    fn each_brief(&self, mut see: impl FnMut(usize, &Digest)) {
        self.digests.iter().enumerate().for_each(|(nth, digest)| see(nth, digest));
    }

    fn brief(&self, nth: usize) -> Option<Cow<'_, Digest>> {
        self.digests.get(nth).map(Cow::Borrowed)
    }

    fn aside(&self) -> &[Finding] {
        &self.aside
    }
}

impl Sealed {
    /// Shorthand of the middle of the nth connection object, and of all its findings, each with its length in front.
    fn shorthand(&self, nth: usize) -> Option<[&[u8]; 2]> {
        let mut rest = &self.shorthand[..];
        for _ in 0..2 * nth {
            take_with_length(&mut rest)?;
        }
        Some([take_with_length(&mut rest)?, take_with_length(&mut rest)?])
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// Writes the middle of a connection object. Returns where it ends.
    fn write_connection(&mut self, redactor: &Redactor, subject: &Subject<'_>) -> usize {
        let first = subject.record.tcp.first;
        words::connection(&mut Shorthand::new(&mut self.connections, &mut self.pieces, first), redactor, subject);
        self.connections.len()
    }

    /// Writes the findings about a subject. Returns where they end.
    fn write_findings(&mut self, redactor: &Redactor, subject: &Subject<'_>) -> usize {
        for finding in &subject.verdict.findings {
            self.one.clear();
            let mut shorthand = Shorthand::new(&mut self.one, &mut self.pieces, subject.record.tcp.first);
            words::finding(&mut shorthand, redactor, finding);
            put_with_length(&mut self.findings, &self.one);
        }
        self.findings.len()
    }

    /// Seals connections, step by step.
    fn seal(&mut self, redactor: &Redactor, over: &mut Vec<Over>, finished: &mut Vec<Finished<Sealed>>) {
        let verdicts: Vec<_> = over.iter().map(|(_, record)| diagnose_all(record)).collect();
        self.connections.clear();
        self.findings.clear();
        let connections = each_subject(over, &verdicts, |subject| self.write_connection(redactor, subject));
        let findings = each_subject(over, &verdicts, |subject| self.write_findings(redactor, subject));
        let mut ends = connections.into_iter().zip(findings);
        let (mut connection, mut finding) = (0, 0);
        for ((local, record), verdicts) in over.drain(..).zip(&verdicts) {
            self.one.clear();
            for (connection_end, finding_end) in ends.by_ref().take(verdicts.len()) {
                put_with_length(&mut self.one, &self.connections[connection..connection_end]);
                put_with_length(&mut self.one, &self.findings[finding..finding_end]);
                (connection, finding) = (connection_end, finding_end);
            }
            let kept = Sealed {
                digests: Digest::of(&record, verdicts).collect(),
                shorthand: self.one.as_slice().into(),
                aside: diagnose_plain(&record).collect(),
            };
            finished.push(Finished { number: local.number, kept });
        }
    }
}

impl Sealer {
    /// Puts into words what `redactor` lets pass.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, shelves: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Writes the whole document, in compact form and with a line end, on `threads` threads.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(
        self,
        capture: &model::Capture,
        listing: &Listing<'_>,
        connections: &Connections<Sealed>,
        threads: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let shelves: Vec<Shelf> =
            self.shelves.into_iter().map(|shelf| shelf.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        let written = Written { redactor: self.redactor, shelves, listing, connections };
        let mut writer = JsonWriter::begin(out, Layout::Compact, capture, listing.summary())?;
        let subjects = listing.judgement().len();
        let make = |range: Range<usize>, out: &mut Vec<u8>| written.connections(range, out);
        parallel::in_order(threads, subjects, AT_ONCE, make, |list| writer.compact_connections(list))?;
        for mut relation in listing.relations() {
            written.redactor.relation(&mut relation);
            writer.relation(&relation)?;
        }
        let fixed = written.fixed();
        let make = |range: Range<usize>, out: &mut Vec<u8>| written.findings(range, &fixed, out);
        parallel::in_order(threads, subjects, AT_ONCE, make, |list| writer.compact_findings(list))?;
        for number in listing.own()..listing.len() {
            if let Some((finding, ids)) = listing.other(listing.place(number)) {
                let mut object = convert::finding(finding, ids);
                written.redactor.finding(&mut object);
                writer.finding(&object)?;
            }
        }
        writer.end().map(drop)
    }
}

impl Observer for Sealer {
    type Journal = ();
    type Kept = Sealed;

    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn note(&self, _: &mut (), _: &Event<'_>) {}

    fn keep(&self, _: &mut (), over: &mut Vec<Over>, finished: &mut Vec<Finished<Sealed>>) {
        let Some((local, _)) = over.first() else { return };
        hold(&self.shelves[usize::from(local.shard)]).seal(&self.redactor, over, finished);
    }

    fn merge(&self, _: &mut [()], _: &Numbering) {}
}

/// Does something for all subjects of these connections.
fn each_subject<T>(over: &[Over], verdicts: &[Vec<Verdict>], mut take: impl FnMut(&Subject<'_>) -> T) -> Vec<T> {
    let mut taken = Vec::with_capacity(over.len());
    for ((_, record), verdicts) in over.iter().zip(verdicts) {
        for (index, verdict) in verdicts.iter().enumerate() {
            let entry = (!record.entries.is_empty()).then_some(index);
            taken.push(take(&Subject { tcp_stream: 0, record, entry, verdict }));
        }
    }
    taken
}

/// What is the same in every finding of a rule.
struct Fixed {
    /// From the beginning to the severity.
    head: Vec<u8>,
    /// From the explanation to the references.
    texts: Vec<u8>,
}

/// By the ids of the rules.
type AllFixed = HashMap<&'static str, Fixed, foldhash::fast::FixedState>;

/// Writes what shorthand says.
fn put_expanded(steps: &[u8], context: Context<'_>, page: &mut Page, out: &mut Vec<u8>) {
    let expanded = expand(steps, context, page);
    debug_assert!(expanded.is_some(), "what was sealed can be read");
    out.extend_from_slice(page.text());
}

struct Written<'w, 'j> {
    redactor: Redactor,
    shelves: Vec<Shelf>,
    listing: &'w Listing<'j>,
    connections: &'w Connections<Sealed>,
}

impl<'w> Written<'w, '_> {
    /// Of a subject: its connection, its index there, its shorthand, and what is said again and again around it.
    fn subject(&self, subject: usize) -> (&'w Known<Sealed>, usize, [&'w [u8]; 2], &Pieces) {
        let subject = self.listing.judgement().subject(subject);
        let (connection, nth) = (subject.connection as usize, subject.index as usize);
        let known = &self.connections[connection];
        let Some(shorthand) = known.kept.shorthand(nth) else { unreachable!("it was sealed") };
        (known, nth, shorthand, &self.shelves[self.connections.shard(connection)].pieces)
    }

    fn connections(&self, subjects: Range<usize>, out: &mut Vec<u8>) {
        let mut page = Page::default();
        for subject in subjects {
            if !out.is_empty() {
                out.push(b',');
            }
            let (known, nth, [middle, _], pieces) = self.subject(subject);
            let Some(brief) = known.kept.digests.get(nth) else { unreachable!("there is a brief of each subject") };
            out.extend_from_slice(br#"{"id":"#);
            put(out, &self.listing.id(subject));
            out.extend_from_slice(br#","tcp_stream":"#);
            put(out, &known.tcp_stream);
            words::identity(out, brief);
            let context = Context { pieces, first: brief.first, rule: &[] };
            put_expanded(middle, context, &mut page, out);
            out.extend_from_slice(br#","root_cause":"#);
            put(out, &self.listing.judgement().root_cause_heading(subject).map(convert::root_cause));
            out.extend_from_slice(br#","findings":["#);
            for (nth, number) in self.listing.numbers(subject).enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                put(out, &number);
            }
            out.extend_from_slice(b"]}");
        }
    }

    fn findings(&self, subjects: Range<usize>, fixed: &AllFixed, out: &mut Vec<u8>) {
        let mut page = Page::default();
        for subject in subjects {
            let (known, nth, [_, mut findings], pieces) = self.subject(subject);
            let Some(first) = known.kept.digests.get(nth).map(|digest| digest.first) else {
                unreachable!("there is a brief of each subject")
            };
            let mut next = 0;
            for (index, heading) in self.listing.headings(subject) {
                for _ in next..index {
                    take_with_length(&mut findings);
                }
                next = index + 1;
                let finding = take_with_length(&mut findings).unwrap_or_default();
                let Some(fixed) = fixed.get(heading.rule.id) else { continue };
                if !out.is_empty() {
                    out.push(b',');
                }
                out.extend_from_slice(&fixed.head);
                put(out, &convert::severity(heading.severity));
                out.extend_from_slice(br#","confidence":"#);
                put(out, &convert::confidence(heading.confidence));
                out.extend_from_slice(br#","connections":["#);
                put(out, &self.listing.id(subject));
                out.extend_from_slice(br#"],"summary":"#);
                put_expanded(finding, Context { pieces, first, rule: &fixed.texts }, &mut page, out);
            }
        }
    }

    /// What is the same in all findings, for every rule.
    fn fixed(&self) -> AllFixed {
        crate::diagnosis::catalogue::all()
            .map(|rule| {
                let finding = Finding::new(rule, crate::diagnosis::Confidence::Proven, "");
                let mut object = convert::finding(&finding, Vec::new());
                self.redactor.finding(&mut object);
                let mut head = Vec::new();
                head.extend_from_slice(br#"{"rule":"#);
                put(&mut head, &object.rule);
                head.extend_from_slice(br#","slug":"#);
                put(&mut head, &object.slug);
                head.extend_from_slice(br#","severity":"#);
                let mut texts = Vec::new();
                words::put_fixed(&mut texts, &object);
                (rule.id, Fixed { head, texts })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::judged::{Judged, subjects};
    use super::super::publish::{Form, publish};
    use super::super::redact::derive_key;
    use super::super::stream::tests::Slowly;
    use super::*;
    use crate::connection::Keys;
    use crate::diagnosis::Severity;
    use crate::engine::{Judgement, Options, Recorder, run};

    fn options() -> Options<'static> {
        Options { threads: 2, wanted: None, keys: Keys::new() }
    }

    /// The document written from records, and the one written from sealed text.
    fn both(name: &str, wanted: &super::super::listing::Wanted<'_>) -> (String, String) {
        let (step, chosen) = (50, false);
        let redactor = Redactor::new(derive_key([]));
        let found = run(&Slowly::new(name, step), &options(), &Recorder);
        let judgement = Judgement::of(&found.connections, chosen, 1);
        let listing = Listing::new(&judgement, wanted, 1);
        let judged = Judged::new(model::Capture::default(), listing, subjects(&judgement, &found.connections));
        let mut of_records = Vec::new();
        publish(&judged, &redactor, Form::Json(Layout::Compact), 1, &mut of_records).unwrap();

        let sealer = Sealer::new(redactor);
        let found = run(&Slowly::new(name, step), &options(), &sealer);
        let judgement = Judgement::of(&found.connections, chosen, 2);
        let listing = Listing::new(&judgement, wanted, 2);
        let mut sealed = Vec::new();
        sealer.write(&model::Capture::default(), &listing, &found.connections, 2, &mut sealed).unwrap();
        (String::from_utf8(of_records).unwrap(), String::from_utf8(sealed).unwrap())
    }

    fn captures() -> impl Iterator<Item = String> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("capture.pcap").is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
    }

    #[test]
    fn sealed_text_is_what_the_records_say() {
        let mut seen = 0;
        for name in captures() {
            let (of_records, sealed) = both(&name, &|_, _| true);
            assert_eq!(of_records, sealed, "{name}");
            seen += 1;
        }
        assert!(seen > 50, "{seen} captures");
    }

    #[test]
    fn what_is_not_wanted_leaves_no_hole() {
        for name in ["demo", "reconnect-loop", "rec-reset"] {
            for severity in Severity::ALL {
                let (of_records, sealed) = both(name, &|_, s| s >= severity);
                assert_eq!(of_records, sealed, "{name} from {severity}");
            }
            let (of_records, sealed) = both(name, &|rule, _| rule.id.ends_with('1'));
            assert_eq!(of_records, sealed, "{name}");
        }
    }
}
