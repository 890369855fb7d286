//! Connections put into the document's words as they close, while their records are in the processor's cache, so
//! that only those words, in shorthand, and a brief are kept of them.
//!
//! What a connection and its findings say is known when it is over; their ids, and what others may yet explain
//! better, only when the capture is. The document's order of members allows for that: what comes late, and what the
//! brief tells, stands at the beginning and at the end of an object, so what is sealed is the middle, and [`Sealed`]
//! knows where it lies. It becomes text when the document is written, in memory that stays in the cache. The bytes
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
use super::shorthand::{Context, Page, Pieces, Shorthand, expand, put_with_length, take_with_length};
use super::words;
use crate::connection::Interest;
use crate::diagnosis::{Brief, Finding, Packed, Verdict, diagnose_all};
use crate::engine::{Connections, Event, Finished, Kept, Known, Local, Numbering, Observer, Over, SHARDS, parallel};

/// Bytes of one piece of memory for what is sealed. What is longer has one for itself.
const BLOCK: usize = 1 << 18;
/// Subjects, or findings, that one worker writes at a time.
const AT_ONCE: usize = 128;

/// Listens to an engine and puts into words what closes.
pub struct Sealer {
    redactor: Redactor,
    /// One for each shard: nobody waits for it.
    shelves: Vec<Mutex<Shelf>>,
}

/// What is sealed of one shard's connections, in shorthand. Connections and findings are written at different times,
/// so they lie apart.
#[derive(Debug, Default)]
struct Shelf {
    pieces: Pieces,
    connections: Blocks,
    findings: Blocks,
    /// For what is being written.
    scratch: [Vec<u8>; 2],
}

/// Memory that grows without being moved.
#[derive(Debug, Default)]
struct Blocks(Vec<Vec<u8>>);

/// A connection that is over.
#[derive(Debug)]
pub struct Sealed {
    briefs: Packed,
    texts: SmallVec<[Text; 1]>,
    shelf: u16,
}

/// Where the shorthand of one subject lies.
#[derive(Clone, Copy, Debug)]
struct Text {
    /// The middle of its connection object, with its length in front.
    connection: Place,
    /// Its findings, each with its length in front.
    findings: Place,
}

/// A place in [`Blocks`].
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    block: u32,
    at: u32,
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

impl Blocks {
    /// Keeps these texts, one behind the other, each with its length in front.
    fn keep<'t>(&mut self, texts: impl Iterator<Item = &'t [u8]> + Clone) -> Place {
        const MAX_LENGTH: usize = 10;
        let needed = texts.clone().map(|text| text.len() + MAX_LENGTH).sum::<usize>();
        if self.0.last().is_none_or(|block| block.capacity() - block.len() < needed) {
            self.0.push(Vec::with_capacity(needed.max(BLOCK)));
        }
        let number = self.0.len() - 1;
        let block = &mut self.0[number];
        let place = Place { block: number as u32, at: block.len() as u32 };
        texts.for_each(|text| put_with_length(block, text));
        place
    }

    /// What begins at a place, and all that follows it.
    fn from(&self, place: Place) -> &[u8] {
        &self.0[place.block as usize][place.at as usize..]
    }
}

impl Shelf {
    fn seal_connection(&mut self, redactor: &Redactor, subject: &Subject<'_>) -> Place {
        let [scratch, _] = &mut self.scratch;
        scratch.clear();
        words::connection(&mut Shorthand::new(scratch, &mut self.pieces, subject.record.tcp.first), redactor, subject);
        self.connections.keep([&scratch[..]].into_iter())
    }

    fn seal_findings(&mut self, redactor: &Redactor, subject: &Subject<'_>) -> Place {
        let findings = &subject.verdict.findings;
        if findings.is_empty() {
            return Place::default();
        }
        let [scratch, _] = &mut self.scratch;
        scratch.clear();
        let mut ends: SmallVec<[usize; 4]> = SmallVec::new();
        for finding in findings {
            let mut shorthand = Shorthand::new(scratch, &mut self.pieces, subject.record.tcp.first);
            words::finding(&mut shorthand, redactor, finding);
            ends.push(scratch.len());
        }
        let begins = [0].into_iter().chain(ends.iter().copied());
        self.findings.keep(begins.zip(&ends).map(|(begin, end)| &scratch[begin..*end]))
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
        let shelf_texts = &mut *shelf_texts;
        let connections = each_subject(over, &verdicts, |subject| shelf_texts.seal_connection(&self.redactor, subject));
        let findings = each_subject(over, &verdicts, |subject| shelf_texts.seal_findings(&self.redactor, subject));
        let mut places = connections.into_iter().zip(findings);
        let texts = verdicts.iter().map(|verdicts| {
            let places = places.by_ref().take(verdicts.len());
            places.map(|(connection, findings)| Text { connection, findings }).collect::<SmallVec<[Text; 1]>>()
        });
        let told = over.drain(..).zip(briefs).zip(texts);
        finished.extend(told.map(|(((connection, _), briefs), texts)| Finished {
            number: connection.number,
            kept: Box::new(Sealed { briefs, texts, shelf }),
        }));
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

/// Writes what the shorthand at the beginning of `rest` says.
fn expand_next(rest: &mut &[u8], context: Context<'_>, page: &mut Page, out: &mut Vec<u8>) {
    let expanded = take_with_length(rest).and_then(|steps| expand(steps, context, page));
    debug_assert!(expanded.is_some(), "what was sealed can be read");
    out.extend_from_slice(page.text());
}

struct Written<'w, 'j> {
    redactor: Redactor,
    shelves: Vec<Shelf>,
    listing: &'w Listing<'j>,
    connections: &'w Connections<Box<Sealed>>,
}

impl<'w> Written<'w, '_> {
    fn text(&self, subject: usize) -> (&'w Known<Box<Sealed>>, usize, Text, &Shelf) {
        let subject = self.listing.judgement().subject(subject);
        let known = &self.connections[subject.connection as usize];
        let nth = subject.index as usize;
        (known, nth, known.kept.texts[nth], &self.shelves[usize::from(known.kept.shelf)])
    }

    fn connections(&self, subjects: Range<usize>, out: &mut Vec<u8>) {
        let mut page = Page::default();
        for subject in subjects {
            if !out.is_empty() {
                out.push(b',');
            }
            let (known, nth, text, shelf) = self.text(subject);
            let Some(brief) = known.kept.briefs.brief(nth) else { unreachable!("there is a brief of each subject") };
            out.extend_from_slice(br#"{"id":"#);
            put(out, &self.listing.id(subject));
            out.extend_from_slice(br#","tcp_stream":"#);
            put(out, &known.tcp_stream);
            words::identity(out, &brief);
            let context = Context { pieces: &shelf.pieces, first: brief.first, rule: &[] };
            expand_next(&mut shelf.connections.from(text.connection), context, &mut page, out);
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
            let (known, nth, text, shelf) = self.text(subject);
            let Some(first) = known.kept.briefs.first(nth) else { unreachable!("there is a brief of each subject") };
            let (mut rest, mut next) = (None, 0);
            for (index, heading) in self.listing.headings(subject) {
                let rest = rest.get_or_insert_with(|| shelf.findings.from(text.findings));
                for _ in next..index {
                    take_with_length(rest);
                }
                next = index + 1;
                let Some(fixed) = fixed.get(heading.rule.id) else {
                    take_with_length(rest);
                    continue;
                };
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
                expand_next(rest, Context { pieces: &shelf.pieces, first, rule: &fixed.texts }, &mut page, out);
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
