//! What is kept of closed connections until the capture is over: their JSON, redacted, in compressed blocks, beside the
//! summary that correlation needs.
//!
//! A connection is converted to the model and redacted once, on its shard's thread, while its record is in the
//! processor's cache. Its number, its root cause and the numbers of its findings are known only when the capture is
//! over, so what is stored are the bodies of the model ([`ConnectionBody`], [`FindingBody`]); the rest is added where a
//! form is written. Never holds a record, never holds a secret that the redactor would hide.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use lz4_flex::block;
use smallvec::SmallVec;

use super::from_record;
use super::json::append;
use super::model::{ConnectionBody, FindingBody, Time};
use super::redact::Redactor;
use crate::connection::{ConnectionRecord, Interest};
use crate::diagnosis::{Brief, Finding, Verdict, diagnose_all, diagnose_plain};
use crate::engine::{Connections, Event, Finished, Judgement, Kept, Numbering, Observer, Over, SHARDS};

/// Bytes after which a block is compressed. A connection and its findings take about one kilobyte.
const BLOCK_SIZE: usize = 16 << 10;

/// Decompressed blocks that one reader keeps: the latest of every shard, twice.
const CACHED_BLOCKS: usize = 4 * SHARDS;

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

/// A place in the blocks of one shard.
#[derive(Clone, Copy, Debug)]
struct Position {
    block: u32,
    offset: u32,
}

/// Texts of one kind and shard, in blocks.
#[derive(Debug, Default)]
struct Blocks {
    compressed: Vec<Box<[u8]>>,
    open: Vec<u8>,
}

impl Blocks {
    fn position(&self) -> Position {
        Position { block: self.compressed.len() as u32, offset: self.open.len() as u32 }
    }

    fn compress_full(&mut self) {
        if self.open.len() >= BLOCK_SIZE {
            self.compressed.push(block::compress_prepend_size(&self.open).into_boxed_slice());
            self.open.clear();
        }
    }

    fn read(&self, block: u32) -> Cow<'_, [u8]> {
        match self.compressed.get(block as usize) {
            Some(compressed) => block::decompress_size_prepended(compressed).unwrap_or_default().into(),
            None => Cow::Borrowed(&self.open),
        }
    }
}

/// What one shard stored.
#[derive(Debug, Default)]
struct ShardStore {
    connections: Blocks,
    findings: Blocks,
}

/// Listens to an engine and stores what closes.
pub struct Store {
    redactor: Redactor,
    /// One for each shard; a lock is never waited for.
    shards: Vec<Mutex<ShardStore>>,
}

/// What is kept of a connection that is over.
#[derive(Debug)]
pub struct Stored {
    summaries: SmallVec<[Brief; 1]>,
    /// Findings about no WebSocket in particular: hardly any connection has them.
    plain: Option<Box<[Finding]>>,
    connections: Position,
    findings: Position,
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
    fn add(&mut self, redactor: &Redactor, record: &ConnectionRecord) -> Stored {
        let verdicts = diagnose_all(record);
        let (connections, findings) = (self.connections.position(), self.findings.position());
        for (index, verdict) in verdicts.iter().enumerate() {
            let entry = (!record.entries.is_empty()).then_some(index);
            with_length(&mut self.connections.open, |out| append_connection(out, redactor, record, entry, verdict));
            with_length(&mut self.findings.open, |out| {
                for finding in &verdict.findings {
                    with_length(out, |out| append_finding(out, redactor, finding));
                }
            });
        }
        self.connections.compress_full();
        self.findings.compress_full();
        let plain: Box<[Finding]> = diagnose_plain(record).collect();
        Stored {
            summaries: Brief::of(record, &verdicts).collect(),
            plain: (!plain.is_empty()).then_some(plain),
            connections,
            findings,
        }
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
        StoredTexts { shards: shards.collect(), judgement, connections }
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
        let mut shard = self.shards[usize::from(local.shard)].lock().unwrap_or_else(PoisonError::into_inner);
        finished.extend(
            over.drain(..)
                .map(|(local, record)| Finished { number: local.number, kept: shard.add(&self.redactor, &record) }),
        );
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
        Box::new(StoredReader { texts: self, cached: [Cache::default(), Cache::default()] })
    }
}

/// Decompressed blocks by shard and number; the oldest goes first.
#[derive(Default)]
struct Cache<'a> {
    blocks: HashMap<(usize, u32), Cow<'a, [u8]>, foldhash::fast::FixedState>,
    order: VecDeque<(usize, u32)>,
}

impl<'a> Cache<'a> {
    fn block(&mut self, shard: usize, number: u32, blocks: &'a Blocks) -> &[u8] {
        let key = (shard, number);
        if !self.blocks.contains_key(&key) {
            if self.order.len() >= CACHED_BLOCKS
                && let Some(oldest) = self.order.pop_front()
            {
                self.blocks.remove(&oldest);
            }
            self.order.push_back(key);
        }
        self.blocks.entry(key).or_insert_with(|| blocks.read(number))
    }
}

struct StoredReader<'a> {
    texts: &'a StoredTexts<'a>,
    cached: [Cache<'a>; 2],
}

/// The text of the nth subject of a connection, which stands behind those of its other subjects.
fn nth(mut rest: &[u8], nth: usize) -> &[u8] {
    for _ in 0..nth {
        take(&mut rest);
    }
    take(&mut rest).unwrap_or_default()
}

impl Reader for StoredReader<'_> {
    fn connection(&mut self, subject: usize) -> &[u8] {
        let StoredTexts { shards, judgement, connections } = self.texts;
        let subject = judgement.subject(subject);
        let (connection, shard) = (subject.connection as usize, connections.shard(subject.connection as usize));
        let Position { block, offset } = connections[connection].kept.connections;
        let text = self.cached[0].block(shard, block, &shards[shard].connections);
        nth(text.get(offset as usize..).unwrap_or_default(), subject.index as usize)
    }

    fn findings(&mut self, subject: usize, see: &mut dyn FnMut(usize, &[u8])) {
        let StoredTexts { shards, judgement, connections } = self.texts;
        let subject = judgement.subject(subject);
        let (connection, shard) = (subject.connection as usize, connections.shard(subject.connection as usize));
        let Position { block, offset } = connections[connection].kept.findings;
        let text = self.cached[1].block(shard, block, &shards[shard].findings);
        let mut rest = nth(text.get(offset as usize..).unwrap_or_default(), subject.index as usize);
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
