//! The contract out: what leaves the engine while it works, and who may listen.

use std::borrow::Cow;

use crate::connection::{ConnectionRecord, Ends, EntryEvent, Interest};
use crate::diagnosis::{Digest, Finding, Verdict, diagnose_all, diagnose_plain};
use crate::packet::Stamp;

/// A connection as its shard knows it; [`Numbering`] turns it into the numbers people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local {
    /// Which shard owns it.
    pub shard: u16,
    /// Its number there, in order of first packet.
    pub number: u32,
}

/// A connection that is over: which one, and all facts about it.
pub type Over = (Local, Box<ConnectionRecord>);

/// Something that happened on one connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// A layer of the connection reports.
    Entry {
        /// When, and in which packet.
        stamp: Stamp,
        /// Whose connection.
        connection: Local,
        /// First packet of the TCP connection.
        first: Stamp,
        /// Its two ends.
        ends: Ends,
        /// Index of the WebSocket (or attempt) on this connection, counted from 0.
        entry: u32,
        /// What it is.
        event: EntryEvent<'a>,
    },
    /// The connection is over, or the capture is: everything that is known about it.
    Closed {
        /// The last packet that belongs to it.
        stamp: Stamp,
        /// Whose connection.
        connection: Local,
        /// The facts.
        record: &'a ConnectionRecord,
    },
}

impl Event<'_> {
    /// When, and in which packet.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        match self {
            Event::Entry { stamp, .. } | Event::Closed { stamp, .. } => *stamp,
        }
    }
}

/// Listens while the engine works. Shards write into journals of their own, in parallel; the journals of one
/// chunk of the capture are then merged, in the order of the capture, by one thread at a time.
pub trait Observer: Sync {
    /// What one shard wrote during one chunk.
    type Journal: Default + Send;

    /// What is kept of a connection that is over.
    type Kept: Send;

    /// Which events are wanted; others are never made.
    fn interest(&self) -> Interest;

    /// Takes the records of connections that are over, which are still in the processor's cache, and adds to
    /// `finished` what is to be kept of them for [`Analysis::connections`](super::Analysis::connections). Comes
    /// after [`Event::Closed`] was noted of each, in the same journal. They come together so that each step can be
    /// taken for all of them before the next: its code is then fetched once, and not once for each connection.
    fn keep(&self, journal: &mut Self::Journal, over: &mut Vec<Over>, finished: &mut Vec<Finished<Self::Kept>>);

    /// Takes note of an event of the shard that owns `journal`.
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

/// What is kept of a connection that is over, as far as a [`Judgement`](super::Judgement) looks at it.
pub trait Kept: Sync {
    /// Shows its WebSockets and attempts, or itself, in brief, and the index of each.
    fn each_brief(&self, see: impl FnMut(usize, &Digest));
    /// The nth of them, counted from 0.
    fn brief(&self, nth: usize) -> Option<Cow<'_, Digest>>;
    /// Findings about no WebSocket in particular.
    fn aside(&self) -> &[Finding];
}

/// Listens to nothing and keeps everything, judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorder;

/// A connection that is over: everything that is known and believed about it alone.
#[derive(Debug)]
pub struct Recorded {
    /// The facts.
    pub record: Box<ConnectionRecord>,
    /// What is believed about each of its entries, or about itself when it has none.
    pub verdicts: Vec<Verdict>,
    /// The same in brief.
    pub briefs: Vec<Digest>,
    /// Findings about no WebSocket in particular.
    pub aside: Vec<Finding>,
}

impl From<Box<ConnectionRecord>> for Recorded {
    fn from(record: Box<ConnectionRecord>) -> Self {
        let verdicts = diagnose_all(&record);
        let briefs = Digest::of(&record, &verdicts).collect();
        let aside = diagnose_plain(&record).collect();
        Self { record, verdicts, briefs, aside }
    }
}

impl Kept for Recorded {
    fn each_brief(&self, mut see: impl FnMut(usize, &Digest)) {
        self.briefs.iter().enumerate().for_each(|(nth, brief)| see(nth, brief));
    }

    fn brief(&self, nth: usize) -> Option<Cow<'_, Digest>> {
        self.briefs.get(nth).map(Cow::Borrowed)
    }

    fn aside(&self) -> &[Finding] {
        &self.aside
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

/// Which TCP connection of the capture is which: the numbers that Wireshark shows as `tcp.stream`.
#[derive(Debug, Default)]
pub struct Numbering {
    streams: Vec<Vec<u32>>,
    next: u32,
}

impl Numbering {
    pub(super) fn new(shards: usize) -> Self {
        Self { streams: vec![Vec::new(); shards], next: 0 }
    }

    /// Numbers the connections that began in one chunk. `began` holds (first packet, shard), sorted.
    pub(super) fn extend(&mut self, began: &[(u64, u16)]) {
        for (_, shard) in began {
            self.streams[usize::from(*shard)].push(self.next);
            self.next += 1;
        }
    }

    /// 0-based number of the connection among all TCP connections of the capture, in order of first packet.
    #[must_use]
    pub fn tcp_stream(&self, connection: Local) -> u32 {
        self.streams[usize::from(connection.shard)].get(connection.number as usize).copied().unwrap_or(u32::MAX)
    }

    /// How many TCP connections were seen.
    #[must_use]
    pub fn tcp_connections(&self) -> u32 {
        self.next
    }
}
