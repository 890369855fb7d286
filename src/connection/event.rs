//! What the stack takes from outside, and what it reports while the connection is under way.

use crate::http::Exchange;
use crate::packet::{Endpoint, Stamp};
use crate::tcp::Connection;
use crate::tls::KeyLog;
use crate::websocket::{self, Frame, Message};

/// TLS secrets.
pub type Keys = KeyLog;

/// Which frames and messages are wanted as events; facts are gathered in any case.
pub type Interest = websocket::Interest;

/// What a connection needs from outside.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// TLS secrets known at this point of the capture.
    pub keys: &'a Keys,
    /// Which events are wanted.
    pub interest: Interest,
}

/// What happened to one entry: a WebSocket, or an attempt at one.
#[derive(Debug)]
pub enum EntryEvent<'a> {
    /// A WebSocket was asked for, or found running; on this HTTP/2 stream, if it is carried by one.
    Opened(Option<u32>),
    /// The opening handshake is over, whether it succeeded or not.
    Handshake(&'a Exchange),
    /// A frame passed.
    Frame(&'a Frame),
    /// A message passed.
    Message(&'a Message<'a>),
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The end that opened the connection.
    pub client: Endpoint,
    /// The other.
    pub server: Endpoint,
}

impl Ends {
    pub(super) fn of(tcp: &Connection) -> Ends {
        Ends { client: tcp.facts().client, server: tcp.facts().server }
    }
}

/// Receives the events of a connection's entries.
pub trait EntrySink {
    /// Takes one event of the entry with this index.
    fn event(&mut self, stamp: Stamp, ends: Ends, entry: u32, event: EntryEvent<'_>);
}

impl<F: FnMut(Stamp, Ends, u32, EntryEvent<'_>)> EntrySink for F {
    fn event(&mut self, stamp: Stamp, ends: Ends, entry: u32, event: EntryEvent<'_>) {
        self(stamp, ends, entry, event);
    }
}
