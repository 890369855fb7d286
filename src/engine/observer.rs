//! The [`Observer`] trait: the events that leave the engine while it works, and what is kept of each connection.

use std::borrow::Cow;

use super::numbering::{Local, Numbering};
use crate::connection::{ConnectionRecord, Ends, EntryEvent, Interest};
use crate::diagnosis::{Digest, Finding, Verdict, diagnose_all, diagnose_plain};
use crate::packet::Stamp;

/// A closed connection and its record.
pub type Over = (Local, Box<ConnectionRecord>);

/// Something that happened on one connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// An event of one layer of the connection.
    Entry {
        /// Time and packet.
        stamp: Stamp,
        /// The connection.
        connection: Local,
        /// First packet of the TCP connection.
        first: Stamp,
        /// Its two ends.
        ends: Ends,
        /// Index of the WebSocket (or attempt) on this connection, counted from 0.
        entry: u32,
        /// The event itself.
        event: EntryEvent<'a>,
    },
    /// The connection is over, or the capture is.
    Closed {
        /// The last packet that belongs to it.
        stamp: Stamp,
        /// The connection.
        connection: Local,
        /// The facts.
        record: &'a ConnectionRecord,
    },
}

impl Event<'_> {
    /// Time and packet of the event.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        match self {
            Event::Entry { stamp, .. } | Event::Closed { stamp, .. } => *stamp,
        }
    }
}

/// Receives events while the engine works. Shards write into journals of their own, in parallel; the journals of one
/// chunk of the capture are then merged, in the order of the capture, by one thread at a time.
pub trait Observer: Sync {
    /// Events of one shard during one chunk.
    type Journal: Default + Send;

    /// What is kept of a connection that is over.
    type Kept: Send;

    /// Which events are wanted; others are never made.
    fn interest(&self) -> Interest;

    /// Takes the records of connections that are over, which are still in the processor's cache, and adds to
    /// `finished` what is to be kept of them for [`Analysis::connections`](super::Analysis::connections). Called
    /// after [`Event::Closed`] was noted of each, in the same journal. Records come in batches, so that the code of each
    /// step is fetched once for all of them.
    fn keep(&self, journal: &mut Self::Journal, over: &mut Vec<Over>, finished: &mut Vec<Finished<Self::Kept>>);

    /// Records an event of the shard that owns `journal`.
    fn note(&self, journal: &mut Self::Journal, event: &Event<'_>);

    /// Takes the journals of the next chunk, by shard. `numbering` already knows every connection in them.
    fn merge(&self, journals: &mut [Self::Journal], numbering: &Numbering);
}

/// A connection that is over.
#[derive(Debug)]
pub struct Finished<K> {
    /// Its number in its shard.
    pub number: u32,
    /// What the observer keeps of it.
    pub kept: K,
}

/// What is kept of a connection that is over, as far as a [`Judgement`](super::Judgement) needs it.
pub trait Kept: Sync {
    /// Calls `see` with the digest of each of its WebSockets and attempts, or of itself if it has none, and its index.
    fn each_digest(&self, see: impl FnMut(usize, &Digest));
    /// The digest with index `nth`, counted from 0.
    fn digest(&self, nth: usize) -> Option<Cow<'_, Digest>>;
    /// Findings about no WebSocket in particular.
    fn plain_findings(&self) -> &[Finding];
}

/// Ignores events; keeps all records with their verdicts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorder;

/// A connection that is over: its facts and verdicts, before correlation.
#[derive(Debug)]
pub struct Recorded {
    /// The facts.
    pub record: Box<ConnectionRecord>,
    /// Verdicts on each of its entries, or on itself when it has none.
    pub verdicts: Vec<Verdict>,
    /// Digests of these verdicts.
    pub digests: Vec<Digest>,
    /// Findings about no WebSocket in particular.
    pub plain_findings: Vec<Finding>,
}

impl From<Box<ConnectionRecord>> for Recorded {
    fn from(record: Box<ConnectionRecord>) -> Self {
        let verdicts = diagnose_all(&record);
        let digests = Digest::of(&record, &verdicts).collect();
        let plain_findings = diagnose_plain(&record).collect();
        Self { record, verdicts, digests, plain_findings }
    }
}

impl Kept for Recorded {
    fn each_digest(&self, mut see: impl FnMut(usize, &Digest)) {
        self.digests.iter().enumerate().for_each(|(nth, digest)| see(nth, digest));
    }

    fn digest(&self, nth: usize) -> Option<Cow<'_, Digest>> {
        self.digests.get(nth).map(Cow::Borrowed)
    }

    fn plain_findings(&self) -> &[Finding] {
        &self.plain_findings
    }
}

impl Observer for Recorder {
    type Journal = ();
    type Kept = Recorded;

    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn note(&self, _: &mut (), _: &Event<'_>) {}

    fn keep(&self, _: &mut (), over: &mut Vec<Over>, finished: &mut Vec<Finished<Recorded>>) {
        finished.extend(
            over.drain(..).map(|(connection, record)| Finished { number: connection.number, kept: record.into() }),
        );
    }

    fn merge(&self, _: &mut [()], _: &Numbering) {}
}
