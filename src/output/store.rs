//! What is kept of closed connections until the capture is over: their JSON, redacted, in compressed blocks, beside the
//! summary that correlation needs.
//!
//! A connection is converted to the model and redacted once, on its shard's thread, while its record is in the
//! processor's cache. Its number, its root cause and the numbers of its findings are known only when the capture is
//! over, so what is stored are the bodies of the model ([`ConnectionBody`], [`FindingBody`]); the rest is added where a
//! form is written. Never holds a record, never holds a secret that the redactor would hide.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Mutex, PoisonError};

use lz4_flex::block;
use smallvec::SmallVec;

use super::from_record;
use super::json::append;
use super::model::{ConnectionBody, FindingBody, Time};
use super::redact::Redactor;
use crate::connection::{ConnectionRecord, Interest};
use crate::diagnosis::{Brief, Finding, Verdict, diagnose_all, diagnose_plain};
use crate::engine::{Connections, Event, Finished, Judgement, Kept, Local, Numbering, Observer, Over, SHARDS};
use crate::sync::lock;

/// Bytes after which a block is compressed. A connection and its findings take about one kilobyte.
const BLOCK_SIZE: usize = 16 << 10;

/// Bytes of text that wait in each shard to be put in order. What is out of order by more is found all the same, only
/// more slowly.
const WAITING_SIZE: usize = 8 * BLOCK_SIZE;

/// Appends the JSON of a connection's body, redacted.
pub(super) fn append_connection(
    out: &mut Vec<u8>,
    redactor: &Redactor,
    record: &ConnectionRecord,
    entry: Option<usize>,
    verdict: &Verdict,
) {
    let mut body = from_record::connection(record, entry, verdict);
    redactor.connection(&mut body);
    append(out, &body);
}

/// Appends the JSON of a finding's body, redacted.
pub(super) fn append_finding(out: &mut Vec<u8>, redactor: &Redactor, finding: &Finding) {
    let mut body = from_record::finding(finding);
    redactor.finding(&mut body);
    append(out, &body);
}

/// Appends what `write` writes, with its length in front.
fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Takes the next text off `rest`, which was written by [`with_length`].
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some(text)
}

/// The JSON of a subject: its connection's body, and those of all its findings.
#[derive(Clone, Debug, Default)]
pub(super) struct SubjectText {
    /// JSON of a [`ConnectionBody`].
    pub(super) connection: Box<[u8]>,
    /// JSON of a [`FindingBody`] each, and when its last evidence was captured.
    pub(super) findings: Vec<(Option<Time>, Box<[u8]>)>,
}

impl SubjectText {
    /// Converts and redacts one subject.
    pub(super) fn new(redactor: &Redactor, record: &ConnectionRecord, entry: Option<usize>, verdict: &Verdict) -> Self {
        let mut buffer = Vec::with_capacity(BLOCK_SIZE / 8);
        append_connection(&mut buffer, redactor, record, entry, verdict);
        let connection = buffer.as_slice().into();
        let findings = verdict.findings.iter().map(|finding| {
            buffer.clear();
            append_finding(&mut buffer, redactor, finding);
            let last = finding.evidence.iter().map(|evidence| Time(evidence.stamp.at)).max();
            (last, buffer.as_slice().into())
        });
        Self { connection, findings: findings.collect() }
    }
}

/// Reads the JSON of subjects, in any order; fastest in order of first packet.
pub trait Reader {
    /// JSON of a subject's [`ConnectionBody`].
    fn connection(&mut self, subject: usize) -> &[u8];
    /// Calls `see` with the JSON of each [`FindingBody`] of a subject, and its index there.
    fn findings(&mut self, subject: usize, see: &mut dyn FnMut(usize, &[u8]));
}

/// Where the JSON of subjects comes from.
pub trait Texts: Sync {
    /// Wireshark's `tcp.stream` of a subject.
    fn tcp_stream(&self, subject: usize) -> u32;
    /// A reader for one thread.
    fn reader(&self) -> Box<dyn Reader + '_>;
}

/// Where the text of a connection begins.
#[derive(Clone, Copy, Debug)]
struct Position {
    block: u32,
    offset: u32,
}

/// Texts of one kind and shard, in blocks.
#[derive(Debug, Default)]
struct Blocks {
    /// Each with the size that it has when it is decompressed.
    compressed: Vec<(Box<[u8]>, u32)>,
    open: Vec<u8>,
}

impl Blocks {
    fn add(&mut self, text: &[u8]) -> Position {
        let position = Position { block: self.compressed.len() as u32, offset: self.open.len() as u32 };
        self.open.extend_from_slice(text);
        if self.open.len() >= BLOCK_SIZE {
            self.compressed.push((block::compress(&self.open).into_boxed_slice(), self.open.len() as u32));
            self.open.clear();
        }
        position
    }

    /// Reads a block into `buffer`.
    fn read(&self, block: u32, buffer: &mut Vec<u8>) {
        match self.compressed.get(block as usize) {
            Some((compressed, size)) => {
                buffer.resize(*size as usize, 0);
                let read = block::decompress_into(compressed, buffer);
                debug_assert!(read.is_ok(), "it was compressed here");
            }
            None => buffer.clone_from(&self.open),
        }
    }
}

/// The texts of a connection on their way into the blocks.
#[derive(Debug)]
struct Waiting {
    number: u32,
    /// Bodies of the connection's subjects, each with its length in front, and then their findings.
    text: Box<[u8]>,
    /// Where the findings begin.
    findings: u32,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    /// The connection that began first is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.number.cmp(&self.number)
    }
}

/// What one shard stored.
#[derive(Debug, Default)]
struct ShardStore {
    /// Connections close in another order than they begin, and are read in the latter: so they wait here, up to
    /// [`WAITING_SIZE`], for those that began before.
    waiting: BinaryHeap<Waiting>,
    waiting_size: usize,
    connections: Blocks,
    findings: Blocks,
    /// Where the texts of each connection are, by its number in the shard.
    positions: Vec<(u32, [Position; 2])>,
    /// Reused from one connection to the next.
    buffers: [Vec<u8>; 2],
}

/// Listens to an engine and stores what closes.
pub struct Store {
    redactor: Redactor,
    /// One for each shard; a lock is never waited for.
    shards: Vec<Mutex<ShardStore>>,
}

/// What is kept of a connection that is over, beside its texts.
#[derive(Debug)]
pub struct Stored {
    /// Number of the connection in its shard.
    number: u32,
    summaries: SmallVec<[Brief; 1]>,
    /// Findings about no WebSocket in particular: hardly any connection has them.
    plain: Option<Box<[Finding]>>,
}

impl Kept for Stored {
    fn each_brief(&self, mut see: impl FnMut(usize, &Brief)) {
        self.summaries.iter().enumerate().for_each(|(nth, summary)| see(nth, summary));
    }

    fn brief(&self, nth: usize) -> Option<Cow<'_, Brief>> {
        self.summaries.get(nth).map(Cow::Borrowed)
    }

    fn aside(&self) -> &[Finding] {
        self.plain.as_deref().unwrap_or_default()
    }
}

impl ShardStore {
    fn add(&mut self, redactor: &Redactor, number: u32, record: &ConnectionRecord) -> Stored {
        let verdicts = diagnose_all(record);
        let [text, findings] = &mut self.buffers;
        text.clear();
        findings.clear();
        for (index, verdict) in verdicts.iter().enumerate() {
            let entry = (!record.entries.is_empty()).then_some(index);
            with_length(text, |out| append_connection(out, redactor, record, entry, verdict));
            with_length(findings, |out| {
                for finding in &verdict.findings {
                    with_length(out, |out| append_finding(out, redactor, finding));
                }
            });
        }
        let begin = text.len() as u32;
        text.extend_from_slice(findings);
        self.waiting_size += text.len();
        self.waiting.push(Waiting { number, text: text.as_slice().into(), findings: begin });
        while self.waiting_size > WAITING_SIZE {
            self.store_first();
        }
        let plain: Box<[Finding]> = diagnose_plain(record).collect();
        Stored {
            number,
            summaries: Brief::of(record, &verdicts).collect(),
            plain: (!plain.is_empty()).then_some(plain),
        }
    }

    /// Stores the waiting connection that began first.
    fn store_first(&mut self) {
        let Some(Waiting { number, text, findings }) = self.waiting.pop() else { return };
        self.waiting_size -= text.len();
        let (connections, findings) = text.split_at(findings as usize);
        self.positions.push((number, [self.connections.add(connections), self.findings.add(findings)]));
    }

    fn finish(mut self) -> Self {
        while !self.waiting.is_empty() {
            self.store_first();
        }
        self.positions.sort_unstable_by_key(|(number, _)| *number);
        self
    }

    fn positions(&self, number: u32) -> Option<[Position; 2]> {
        let found = self.positions.binary_search_by_key(&number, |(number, _)| *number);
        found.ok().map(|index| self.positions[index].1)
    }
}

impl Store {
    /// An empty store of what `redactor` lets pass.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Ends the storing: the texts of a judgement's subjects.
    #[must_use]
    pub fn into_texts<'a>(self, judgement: &'a Judgement<'a>, connections: &'a Connections<Stored>) -> StoredTexts<'a> {
        let shards = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        StoredTexts { shards: shards.map(ShardStore::finish).collect(), judgement, connections }
    }
}

impl Observer for Store {
    type Journal = ();
    type Kept = Stored;

    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn note(&self, _: &mut (), _: &Event<'_>) {}

    fn keep(&self, _: &mut (), over: &mut Vec<Over>, finished: &mut Vec<Finished<Stored>>) {
        let Some((local, _)) = over.first() else { return };
        let mut shard = lock(&self.shards[usize::from(local.shard)]);
        finished.extend(over.drain(..).map(|(Local { number, .. }, record)| Finished {
            number,
            kept: shard.add(&self.redactor, number, &record),
        }));
    }

    fn merge(&self, _: &mut [()], _: &Numbering) {}
}

/// The stored texts of a judgement's subjects.
pub struct StoredTexts<'a> {
    shards: Vec<ShardStore>,
    judgement: &'a Judgement<'a>,
    connections: &'a Connections<Stored>,
}

impl Texts for StoredTexts<'_> {
    fn tcp_stream(&self, subject: usize) -> u32 {
        self.connections[self.judgement.subject(subject).connection as usize].tcp_stream
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        let nothing = || (0..SHARDS).map(|_| (u32::MAX, Vec::new())).collect();
        Box::new(StoredReader { texts: self, decompressed: [nothing(), nothing()] })
    }
}

/// Reads blocks, and keeps the latest of every shard, connections and findings apart.
struct StoredReader<'a> {
    texts: &'a StoredTexts<'a>,
    decompressed: [Vec<(u32, Vec<u8>)>; 2],
}

impl StoredReader<'_> {
    /// The text of a subject: of its connection (0) or of its findings (1).
    fn text(&mut self, kind: usize, subject: usize) -> &[u8] {
        let StoredTexts { shards, judgement, connections } = self.texts;
        let subject = judgement.subject(subject);
        let connection = subject.connection as usize;
        let shard = connections.shard(connection);
        let Some(positions) = shards[shard].positions(connections[connection].kept.number) else { return &[] };
        let Position { block, offset } = positions[kind];
        let (number, buffer) = &mut self.decompressed[kind][shard];
        if *number != block {
            let blocks = if kind == 0 { &shards[shard].connections } else { &shards[shard].findings };
            blocks.read(block, buffer);
            *number = block;
        }
        let mut rest = buffer.get(offset as usize..).unwrap_or_default();
        // The texts of the connection's other subjects stand in front.
        for _ in 0..subject.index {
            take(&mut rest);
        }
        take(&mut rest).unwrap_or_default()
    }
}

impl Reader for StoredReader<'_> {
    fn connection(&mut self, subject: usize) -> &[u8] {
        self.text(0, subject)
    }

    fn findings(&mut self, subject: usize, see: &mut dyn FnMut(usize, &[u8])) {
        let mut rest = self.text(1, subject);
        let findings = std::iter::from_fn(|| take(&mut rest));
        findings.enumerate().for_each(|(index, json)| see(index, json));
    }
}

/// Reads back a connection's body.
pub(super) fn read_connection(json: &[u8]) -> Option<ConnectionBody<'static>> {
    serde_json::from_slice(json).ok()
}

/// Reads back a finding's body.
pub(super) fn read_finding(json: &[u8]) -> Option<FindingBody<'static>> {
    serde_json::from_slice(json).ok()
}
