//! Connections put into the document's words as they close, while their records are in the processor's cache, so
//! that only those words and a brief are kept of them.
//!
//! What a connection and its findings say is known when it is over; their ids, and what others may yet explain
//! better, only when the capture is. The document's order of members allows for that: what comes late stands at the
//! beginning and at the end of an object, so sealed text is the middle, and [`Sealed`] knows where it lies. The bytes
//! written are those of [`super::publish`].

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
use super::words;
use crate::connection::Interest;
use crate::diagnosis::{Brief, Finding, Packed, diagnose_all};
use crate::engine::{Connections, Event, Finished, Kept, Known, Local, Numbering, Observer, Over, SHARDS, parallel};

/// Bytes of one piece of memory for sealed text.
const BLOCK: usize = 1 << 20;
/// Bytes that must be left of a block for the text of one subject to begin there. A longer one makes the block grow.
const ROOM: usize = 1 << 12;
/// Subjects, or findings, that one worker writes at a time.
const AT_ONCE: usize = 128;

/// Listens to an engine and puts into words what closes.
pub struct Sealer {
    redactor: Redactor,
    /// One for each shard: nobody waits for it.
    shelves: Vec<Mutex<Shelf>>,
}

/// Where the text of one shard's connections lies.
#[derive(Debug, Default)]
struct Shelf {
    blocks: Vec<Vec<u8>>,
}

/// A connection that is over.
#[derive(Debug)]
pub struct Sealed {
    briefs: Packed,
    texts: SmallVec<[Text; 1]>,
    shelf: u16,
}

/// Where the text of one subject lies.
#[derive(Debug)]
struct Text {
    block: u32,
    at: u32,
    /// Length of the connection object's middle; the words of the findings follow.
    connection: u32,
    findings: SmallVec<[Words; 2]>,
}

/// Lengths of what is said in a finding.
#[derive(Clone, Copy, Debug)]
struct Words {
    /// The summary; if the rule's texts were replaced, everything from the summary to the evidence.
    summary: u32,
    evidence: u32,
    /// Explanation, advice and counter-evidence are the rule's.
    fixed: bool,
}

impl Kept for Box<Sealed> {
    fn each_brief(&self, see: impl FnMut(usize, &Brief)) {
        self.briefs.for_each(see);
    }

    fn brief(&self, nth: usize) -> Option<Cow<'_, Brief>> {
        self.briefs.brief(nth).map(Cow::Owned)
    }

    fn aside(&self) -> &[Finding] {
        self.briefs.aside()
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    fn seal(&mut self, redactor: &Redactor, subject: &Subject<'_>) -> Text {
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < ROOM) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let block = self.blocks.len() - 1;
        let out = &mut self.blocks[block];
        let at = out.len();
        words::connection(out, redactor, subject);
        let connection = out.len() - at;
        let findings = subject.verdict.findings.iter().map(|finding| words(out, redactor, finding)).collect();
        Text { block: block as u32, at: at as u32, connection: connection as u32, findings }
    }

    fn text(&self, text: &Text) -> (&[u8], &[u8]) {
        self.blocks[text.block as usize][text.at as usize..].split_at(text.connection as usize)
    }
}

/// Writes what is said in a finding.
fn words(out: &mut Vec<u8>, redactor: &Redactor, finding: &Finding) -> Words {
    let fixed = finding.has_the_words_of_its_rule();
    let start = out.len();
    let middle = words::finding(out, redactor, finding, |out| {
        if !fixed {
            let mut object = convert::finding(finding, Vec::new());
            redactor.finding(&mut object);
            put_fixed(out, &object);
        }
    });
    Words { summary: (middle - start) as u32, evidence: (out.len() - middle) as u32, fixed }
}

/// What stands between the summary and the evidence.
fn put_fixed(out: &mut Vec<u8>, finding: &model::Finding) {
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
        connections: &Connections<Box<Sealed>>,
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
    type Kept = Box<Sealed>;

    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn note(&self, _: &mut (), _: &Event<'_>) {}

    fn keep(&self, _: &mut (), over: &mut Vec<Over>, finished: &mut Vec<Finished<Box<Sealed>>>) {
        let Some((Local { shard, .. }, _)) = over.first() else { return };
        let shelf = *shard;
        let verdicts: Vec<_> = over.iter().map(|(_, record)| diagnose_all(record)).collect();
        let mut scratch = Vec::new();
        let briefs: Vec<Packed> = over
            .iter()
            .zip(&verdicts)
            .map(|((_, record), verdicts)| Packed::of(record, verdicts, &mut scratch))
            .collect();
        let mut shelf_texts = hold(&self.shelves[usize::from(shelf)]);
        let texts: Vec<SmallVec<[Text; 1]>> = over
            .iter()
            .zip(&verdicts)
            .map(|((_, record), verdicts)| {
                let texts = verdicts.iter().enumerate().map(|(index, verdict)| {
                    let entry = (!record.entries.is_empty()).then_some(index);
                    shelf_texts.seal(&self.redactor, &Subject { tcp_stream: 0, record, entry, verdict })
                });
                texts.collect()
            })
            .collect();
        let told = over.drain(..).zip(briefs).zip(texts);
        finished.extend(told.map(|(((connection, _), briefs), texts)| Finished {
            number: connection.number,
            kept: Box::new(Sealed { briefs, texts, shelf }),
        }));
    }

    fn merge(&self, _: &mut [()], _: &Numbering) {}
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

struct Written<'w, 'j> {
    redactor: Redactor,
    shelves: Vec<Shelf>,
    listing: &'w Listing<'j>,
    connections: &'w Connections<Box<Sealed>>,
}

impl<'w> Written<'w, '_> {
    fn text(&self, subject: usize) -> (&'w Known<Box<Sealed>>, &'w Text, &[u8], &[u8]) {
        let subject = self.listing.judgement().subject(subject);
        let known = &self.connections[subject.connection as usize];
        let text = &known.kept.texts[subject.index as usize];
        let (connection, findings) = self.shelves[usize::from(known.kept.shelf)].text(text);
        (known, text, connection, findings)
    }

    fn connections(&self, subjects: Range<usize>, out: &mut Vec<u8>) {
        for subject in subjects {
            if !out.is_empty() {
                out.push(b',');
            }
            let (known, _, connection, _) = self.text(subject);
            out.extend_from_slice(br#"{"id":"#);
            put(out, &self.listing.id(subject));
            out.extend_from_slice(br#","tcp_stream":"#);
            put(out, &known.tcp_stream);
            out.extend_from_slice(connection);
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
        for subject in subjects {
            let (_, text, _, mut rest) = self.text(subject);
            let mut passed = 0;
            for (index, heading) in self.listing.headings(subject) {
                for words in &text.findings[passed..index] {
                    rest = &rest[(words.summary + words.evidence) as usize..];
                }
                let words = text.findings[index];
                let (summary, after) = rest.split_at(words.summary as usize);
                let (evidence, after) = after.split_at(words.evidence as usize);
                rest = after;
                passed = index + 1;
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
                out.extend_from_slice(summary);
                if words.fixed {
                    out.extend_from_slice(&fixed.texts);
                }
                out.extend_from_slice(br#","evidence":"#);
                out.extend_from_slice(evidence);
                out.push(b'}');
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
                put_fixed(&mut texts, &object);
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
