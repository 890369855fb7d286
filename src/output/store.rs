//! What is kept of closed connections until the capture is over: their JSON, redacted and encoded with a dictionary, beside
//! the digest that correlation needs.
//!
//! A connection is converted to the model and redacted once, on its shard's thread, while its record is in the
//! processor's cache. Its number, its root cause and the numbers of its findings are known only when the capture is
//! over, so what is stored are the bodies of the model ([`ConnectionBody`], [`FindingBody`]); the rest is added where a
//! form is written. Never holds a record, never holds a secret that the redactor would hide.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use super::dictionary::{Dictionary, Expander, Scratch, put, take, take_piece};
use super::from_record;
use super::json::append;
use super::model::{ConnectionBody, FindingBody, Time};
use super::redact::Redactor;
use crate::connection::{ConnectionRecord, Interest};
use crate::diagnosis::{Digest, Finding, Verdict, diagnose_all, diagnose_plain};
use crate::engine::{Connections, Event, Finished, Judgement, Kept, Local, Numbering, Observer, Over, SHARDS};
use crate::sync::lock;

/// Bytes of a chunk of stored connections: some hundreds of them.
const CHUNK_SIZE: usize = 64 << 10;

/// A connection's body, redacted.
fn connection<'a>(
    redactor: &Redactor,
    record: &'a ConnectionRecord,
    entry: Option<usize>,
    verdict: &Verdict,
) -> ConnectionBody<'a> {
    let mut body = from_record::connection(record, entry, verdict);
    redactor.connection(&mut body);
    body
}

/// A finding's body, redacted.
fn finding<'a>(redactor: &Redactor, finding: &'a Finding) -> FindingBody<'a> {
    let mut body = from_record::finding(finding);
    redactor.finding(&mut body);
    body
}

/// Appends the JSON of a finding's body, redacted.
pub(super) fn append_finding(out: &mut Vec<u8>, redactor: &Redactor, one: &Finding) {
    append(out, &finding(redactor, one));
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
        let mut buffer = Vec::with_capacity(1 << 11);
        append(&mut buffer, &connection(redactor, record, entry, verdict));
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

/// What one shard stored.
#[derive(Debug, Default)]
struct ShardStore {
    /// What is kept of connections, one behind the other: of each subject its connection, encoded, with its length in
    /// front, the number of its findings, and these in the same way.
    chunks: Vec<Vec<u8>>,
    /// Reused from one connection to the next.
    encoded: Vec<u8>,
    scratch: Scratch,
}

/// Where a connection begins in the chunks of its shard.
#[derive(Clone, Copy, Debug)]
struct Position {
    chunk: u32,
    offset: u32,
}

/// Listens to an engine and stores what closes.
pub(crate) struct Store {
    redactor: Redactor,
    dictionary: Dictionary,
    /// One for each shard; a lock is never waited for.
    shards: Vec<Mutex<ShardStore>>,
}

/// What is kept of a connection that is over, beside its texts.
#[derive(Debug)]
pub(crate) struct Stored {
    position: Position,
    digests: Box<[Digest]>,
    /// Findings about no WebSocket in particular: hardly any connection has them.
    #[allow(clippy::box_collection, reason = "half as large as a boxed slice")]
    plain: Option<Box<Vec<Finding>>>,
}

impl Kept for Stored {
    fn each_digest(&self, mut see: impl FnMut(usize, &Digest)) {
        self.digests.iter().enumerate().for_each(|(nth, digest)| see(nth, digest));
    }

    fn digest(&self, nth: usize) -> Option<Cow<'_, Digest>> {
        self.digests.get(nth).map(Cow::Borrowed)
    }

    fn plain_findings(&self) -> &[Finding] {
        self.plain.as_ref().map_or(&[], |plain| plain)
    }
}

impl ShardStore {
    fn add(&mut self, dictionary: &Dictionary, redactor: &Redactor, record: &ConnectionRecord) -> Stored {
        let verdicts = diagnose_all(record);
        let Self { chunks, encoded, scratch } = self;
        let base = Time(record.tcp.first.at);
        encoded.clear();
        for (index, verdict) in verdicts.iter().enumerate() {
            let entry = (!record.entries.is_empty()).then_some(index);
            dictionary.encode(encoded, &connection(redactor, record, entry, verdict), base, scratch);
            put(encoded, verdict.findings.len() as u64);
            for one in &verdict.findings {
                dictionary.encode(encoded, &finding(redactor, one), base, scratch);
            }
        }
        let position = store(chunks, encoded);
        let plain: Vec<Finding> = diagnose_plain(record).collect();
        let plain = (!plain.is_empty()).then(|| Box::new(plain));
        Stored { position, digests: Digest::of(record, &verdicts).collect(), plain }
    }
}

/// Adds bytes to the last chunk, or to a new one where they do not fit.
fn store(chunks: &mut Vec<Vec<u8>>, bytes: &[u8]) -> Position {
    if chunks.last().is_none_or(|last| last.capacity() - last.len() < bytes.len()) {
        chunks.push(Vec::with_capacity(CHUNK_SIZE.max(bytes.len())));
    }
    let chunk = chunks.len() - 1;
    let offset = chunks[chunk].len() as u32;
    chunks[chunk].extend_from_slice(bytes);
    Position { chunk: chunk as u32, offset }
}

impl Store {
    /// An empty store of what `redactor` lets pass.
    #[must_use]
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self { redactor, dictionary: Dictionary::default(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Ends the storing: the texts of a judgement's subjects.
    #[must_use]
    pub(crate) fn into_texts<'a>(
        self,
        judgement: &'a Judgement<'a>,
        connections: &'a Connections<Stored>,
    ) -> StoredTexts<'a> {
        let shards = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        let expander = self.dictionary.into_expander();
        StoredTexts { expander, shards: shards.collect(), judgement, connections }
    }
}

impl Observer for Store {
    type Journal = ();
    type Kept = Stored;

    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn note(&self, _: &mut (), _: &Event<'_>) {}

    fn keep(&self, _: &mut (), over: &[Over], finished: &mut Vec<Finished<Stored>>) {
        let Some((local, _)) = over.first() else { return };
        let mut shard = lock(&self.shards[usize::from(local.shard)]);
        finished.extend(over.iter().map(|(Local { number, .. }, record)| Finished {
            number: *number,
            kept: shard.add(&self.dictionary, &self.redactor, record),
        }));
    }

    fn merge(&self, _: &mut [()], _: &Numbering) {}
}

/// The stored texts of a judgement's subjects.
pub(crate) struct StoredTexts<'a> {
    expander: Expander,
    shards: Vec<ShardStore>,
    judgement: &'a Judgement<'a>,
    connections: &'a Connections<Stored>,
}

impl Texts for StoredTexts<'_> {
    fn tcp_stream(&self, subject: usize) -> u32 {
        self.connections[self.judgement.subject(subject).connection as usize].tcp_stream
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(StoredReader { texts: self, json: Vec::new() })
    }
}

impl StoredTexts<'_> {
    /// What is stored of a subject, from its connection on, and the time from which its times are counted.
    fn subject(&self, subject: usize) -> Option<(&[u8], Time)> {
        let subject = self.judgement.subject(subject);
        let connection = subject.connection as usize;
        let ShardStore { chunks, .. } = self.shards.get(self.connections.shard(connection))?;
        let Stored { position, digests, .. } = &self.connections[connection].kept;
        let mut rest = chunks.get(position.chunk as usize)?.get(position.offset as usize..)?;
        // The connection's other subjects stand in front.
        for _ in 0..subject.index {
            take_piece(&mut rest)?;
            for _ in 0..take(&mut rest)? {
                take_piece(&mut rest)?;
            }
        }
        Some((rest, Time(digests.first()?.first.at)))
    }
}

/// Expands texts one by one.
struct StoredReader<'a> {
    texts: &'a StoredTexts<'a>,
    json: Vec<u8>,
}

impl Reader for StoredReader<'_> {
    fn connection(&mut self, subject: usize) -> &[u8] {
        self.json.clear();
        let expanded = self
            .texts
            .subject(subject)
            .and_then(|(mut rest, base)| self.texts.expander.expand(take_piece(&mut rest)?, base, &mut self.json));
        debug_assert!(expanded.is_some(), "it was encoded here");
        &self.json
    }

    fn findings(&mut self, subject: usize, see: &mut dyn FnMut(usize, &[u8])) {
        let Some((mut rest, base)) = self.texts.subject(subject) else { return };
        let mut each = || {
            take_piece(&mut rest)?;
            for index in 0..take(&mut rest)? as usize {
                self.json.clear();
                self.texts.expander.expand(take_piece(&mut rest)?, base, &mut self.json)?;
                see(index, &self.json);
            }
            Some(())
        };
        let expanded = each();
        debug_assert!(expanded.is_some(), "they were encoded here");
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
