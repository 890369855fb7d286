//! A WebSocket with the recognisers of the application protocol it carries.
//!
//! The websocket layer shows the beginnings of messages as long as a recogniser listens ([`websocket::Sink::taps`]); where
//! none does, no payload is touched for them.

use super::event::{Ends, EntryEvent, EntrySink};
use crate::stream::{Direction, Stamp, StreamEvent};
use crate::subprotocol::{self, MAX_BYTES, Recognisers};
use crate::websocket::{Frame, Message, MessageKind, MessageStart, Sink, TAP_BYTES, WebSocket};

// Both rooms name the bound, since neither knows the other.
const _: () = assert!(TAP_BYTES == MAX_BYTES);

/// One WebSocket, and who listens to it.
pub(super) struct TappedWebSocket {
    pub(super) websocket: WebSocket,
    pub(super) recognisers: Recognisers,
}

impl TappedWebSocket {
    pub(super) fn new(websocket: WebSocket) -> Self {
        Self { websocket, recognisers: Recognisers::default() }
    }

    /// Feeds the next event of the entry with this index.
    #[inline(always)]
    pub(super) fn feed<S: EntrySink>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'_>,
        entry: u32,
        ends: &Ends,
        sink: &mut S,
    ) {
        let mut messages = EntryMessages { sink, ends, entry, recognisers: &mut self.recognisers };
        self.websocket.feed(stamp, direction, event, &mut messages);
    }
}

/// Passes the frames and messages of one WebSocket on as events of its entry, and their beginnings to recognisers.
struct EntryMessages<'n, S> {
    sink: &'n mut S,
    ends: &'n Ends,
    entry: u32,
    recognisers: &'n mut Recognisers,
}

impl<S: EntrySink> Sink for EntryMessages<'_, S> {
    fn frame(&mut self, frame: &Frame) {
        self.sink.event(frame.last, *self.ends, self.entry, EntryEvent::Frame(frame));
    }

    fn message(&mut self, message: &Message<'_>) {
        self.sink.event(message.last, *self.ends, self.entry, EntryEvent::Message(message));
    }

    #[inline]
    fn taps(&self) -> bool {
        self.recognisers.listen()
    }

    fn message_start(&mut self, start: &MessageStart<'_>) {
        let MessageStart { direction, kind, length, bytes, first } = *start;
        let text = kind == MessageKind::Text;
        self.recognisers.offer(&subprotocol::Message { stamp: first, direction, text, length, bytes });
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::{Options, Recorder, run};
    use crate::output::events::tests::Slowly;
    use crate::stream::Direction;

    #[test]
    fn the_entry_says_what_its_websocket_carries() {
        let options = Options { threads: 1, wanted: None, keys: super::super::Keys::new() };
        let capture = Slowly::new("one-of-two-locations-missing", 1000);
        let found = run(&capture, &options, &Recorder).connections;
        let entries: Vec<_> = found.iter().flat_map(|known| &known.kept.record.entries).collect();
        let with_messages = |direction| {
            let sent = |entry: &&&crate::connection::Entry| {
                entry.websocket.as_ref().is_some_and(|facts| facts[direction].messages > 0)
            };
            entries.iter().filter(sent).count()
        };
        let protocols: Vec<_> = entries.iter().filter_map(|entry| Some(entry.application.as_ref()?.protocol)).collect();
        assert_eq!(protocols, ["graphql-transport-ws"; 2]);
        assert_eq!((with_messages(Direction::ToServer), with_messages(Direction::ToClient)), (2, 2));
    }
}
