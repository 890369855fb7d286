//! Numbers of TCP connections: local to a shard while the capture is read, over the whole capture once chunks are merged.

/// A connection within its shard; [`Numbering`] turns it into the number that people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local {
    /// Index of the shard that owns it.
    pub shard: u16,
    /// Its number there, in order of first packet.
    pub number: u32,
}

/// Numbers of all TCP connections of the capture, as Wireshark shows them in `tcp.stream`.
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
