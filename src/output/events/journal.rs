//! What one shard notes during one chunk of the capture, until the journals of all shards are merged.

use crate::connection::Ends;
use crate::diagnosis::{Digest, Finding};
use crate::output::model;
use crate::output::store::SubjectText;
use crate::packet::Stamp;

/// What one shard noted during one chunk.
#[derive(Debug, Default)]
pub struct Journal {
    /// The latest packet noted.
    pub(super) key: u64,
    /// Frames and messages as the encoder wrote them, one behind the other.
    pub(super) encoded: Vec<u8>,
    pub(super) notes: Vec<Note>,
    /// Connections that are over.
    pub(super) closed: Vec<Closed>,
    pub(super) frames: u64,
}

/// One event of one entry.
#[derive(Debug)]
pub(super) struct Note {
    /// Its packet, or a later one noted before: journals are merged by it.
    pub(super) key: u64,
    /// Number of the connection in its shard.
    pub(super) number: u32,
    pub(super) entry: u32,
    pub(super) kind: NoteKind,
}

#[derive(Debug)]
pub(super) enum NoteKind {
    /// A frame or message, encoded up to this offset of the journal.
    Encoded {
        end: u32,
    },
    /// A frame that is only counted.
    Frame,
    Opened(Box<Opening>),
    Handshake(Box<Handshake>),
    /// Taken out by the merge.
    Merged,
}

/// The beginning of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// First packet of the TCP connection.
    pub first: Stamp,
    /// Its two ends.
    pub ends: Ends,
    /// HTTP/2 stream that carries it (RFC 8441).
    pub http2_stream: Option<u32>,
}

/// An opening handshake that is complete, one way or the other.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) opening: Opening,
    pub(super) stamp: Stamp,
    /// Redacted; only where it is wanted.
    pub(super) http: Option<model::Http<'static>>,
    /// The key that a proxy's other leg would carry, too.
    pub(super) key: Option<Box<str>>,
    pub(super) switched: bool,
}

/// A connection that is over.
#[derive(Debug)]
pub(super) struct Closed {
    /// Number of the connection in its shard.
    pub(super) number: u32,
    /// Its last packet.
    pub(super) last_packet: u64,
    /// One for each subject; none when nothing of it belongs in a report.
    pub(super) summaries: Vec<Digest>,
    pub(super) texts: Vec<SubjectText>,
    /// Findings about no WebSocket in particular.
    pub(super) plain: Vec<Finding>,
}
