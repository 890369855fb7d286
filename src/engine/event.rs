//! The contract out: what leaves the engine while it works, and who may listen.

use crate::connection::{ConnectionRecord, Ends, EntryEvent, Interest};
use crate::packet::Stamp;

/// A connection as its shard knows it; [`Numbering`] turns it into the numbers people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local {
    /// Which shard owns it.
    pub shard: u16,
    /// Its number there, in order of first packet.
    pub number: u32,
}

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

    /// Which events are wanted; others are never made.
    fn interest(&self) -> Interest;

    /// Takes the record of a connection that is over, right after [`Event::Closed`] was noted. What is handed
    /// back is kept for [`Analysis::connections`](super::Analysis::connections).
    fn keep(
        &self,
        journal: &mut Self::Journal,
        connection: Local,
        record: Box<ConnectionRecord>,
    ) -> Option<Box<ConnectionRecord>> {
        let _ = (journal, connection);
        Some(record)
    }

    /// Takes note of an event of the shard that owns `journal`.
    fn note(&self, journal: &mut Self::Journal, event: &Event<'_>);

    /// Takes the journals of the next chunk, by shard. `numbering` already knows every connection in them.
    fn merge(&self, journals: &mut [Self::Journal], numbering: &Numbering);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    type Journal = ();

    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn note(&self, _: &mut (), _: &Event<'_>) {}

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
