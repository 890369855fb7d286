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

    /// Is lent the records of connections that are over, which are still in the processor's cache, and adds to
    /// `finished` what is to be kept of them for [`Analysis::connections`](super::Analysis::connections). Called
    /// after [`Event::Closed`] was noted of each, in the same journal. Records come in batches, so that the code of each
    /// step is fetched once for all of them.
    fn keep(&self, journal: &mut Self::Journal, over: &[Over], finished: &mut Vec<Finished<Self::Kept>>);

    /// Records an event of the shard that owns `journal`.
    fn note(&self, journal: &mut Self::Journal, event: &Event<'_>);

    /// Takes the journals of the next chunk, by shard. `numbering` already knows every connection in them.
    fn merge(&self, journals: &mut [Self::Journal], numbering: &Numbering);
}

/// Two observers of one pass. The first one keeps what it wants of connections, the second one only listens. Each gets
/// the events that it asked for, and no others, whatever the other one asks for.
impl<A: Observer, B: Observer<Kept = ()>> Observer for (A, B) {
    type Journal = (A::Journal, B::Journal);
    type Kept = A::Kept;

    fn interest(&self) -> Interest {
        let (first, second) = (self.0.interest(), self.1.interest());
        Interest {
            frames: first.frames || second.frames,
            messages: first.messages || second.messages,
            payload_limit: payload_limit(first).max(payload_limit(second)),
        }
    }

    fn keep(&self, journal: &mut Self::Journal, over: &[Over], finished: &mut Vec<Finished<A::Kept>>) {
        self.0.keep(&mut journal.0, over, finished);
        self.1.keep(&mut journal.1, over, &mut Vec::new());
    }

    fn note(&self, journal: &mut Self::Journal, event: &Event<'_>) {
        note_wanted(&self.0, &mut journal.0, event);
        note_wanted(&self.1, &mut journal.1, event);
    }

    fn merge(&self, journals: &mut [Self::Journal], numbering: &Numbering) {
        let (mut first, mut second): (Vec<_>, Vec<_>) = journals.iter_mut().map(std::mem::take).unzip();
        self.0.merge(&mut first, numbering);
        self.1.merge(&mut second, numbering);
    }
}

/// How many bytes of each message are wanted.
fn payload_limit(interest: Interest) -> u32 {
    if interest.messages { interest.payload_limit } else { 0 }
}

/// Passes an event on as far as the observer asked for it.
fn note_wanted<O: Observer>(observer: &O, journal: &mut O::Journal, event: &Event<'_>) {
    let interest = observer.interest();
    match *event {
        Event::Entry { event: EntryEvent::Frame(_), .. } if !interest.frames => {}
        Event::Entry { event: EntryEvent::Message(_), .. } if !interest.messages => {}
        Event::Entry { stamp, connection, first, ends, entry, event: EntryEvent::Message(message) } => {
            let event = EntryEvent::Message(&message.shortened(interest.payload_limit));
            observer.note(journal, &Event::Entry { stamp, connection, first, ends, entry, event });
        }
        _ => observer.note(journal, event),
    }
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

    fn keep(&self, _: &mut (), over: &[Over], finished: &mut Vec<Finished<Recorded>>) {
        let finish = |(connection, record): &Over| Finished { number: connection.number, kept: record.clone().into() };
        finished.extend(over.iter().map(finish));
    }

    fn merge(&self, _: &mut [()], _: &Numbering) {}
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::super::{Connections, Feed, Options, Walked, run};
    use super::*;
    use crate::capture::{Capture, Input};
    use crate::connection::Keys;
    use crate::packet::Batch;
    use crate::sync::lock;

    struct File(Mutex<Capture>);

    impl Feed for File {
        fn is_serial(&self) -> bool {
            true
        }

        fn fetch(&self, _: u64, _: &mut Batch) -> bool {
            true
        }

        fn walk(&self, _: u64, batch: &mut Batch) -> Walked {
            Walked { more: lock(&self.0).next_batch(batch), secrets: Vec::new() }
        }
    }

    /// Writes down what it is given.
    struct Listener {
        interest: Interest,
        heard: Mutex<Vec<String>>,
        merges: Mutex<usize>,
    }

    impl Listener {
        fn new(interest: Interest) -> Self {
            Self { interest, heard: Mutex::default(), merges: Mutex::default() }
        }

        fn heard(self) -> (Vec<String>, usize) {
            let inner = |error: PoisonError<_>| error.into_inner();
            let merges = self.merges.into_inner().unwrap_or_else(PoisonError::into_inner);
            (self.heard.into_inner().unwrap_or_else(inner), merges)
        }
    }

    impl Observer for Listener {
        type Journal = Vec<String>;
        type Kept = ();

        fn interest(&self) -> Interest {
            self.interest
        }

        fn keep(&self, journal: &mut Vec<String>, over: &[Over], _: &mut Vec<Finished<()>>) {
            journal.extend(over.iter().map(|(connection, record)| format!("{connection:?} {record:?}")));
        }

        fn note(&self, journal: &mut Vec<String>, event: &Event<'_>) {
            journal.push(format!("{event:?}"));
        }

        fn merge(&self, journals: &mut [Vec<String>], _: &Numbering) {
            *lock(&self.merges) += 1;
            lock(&self.heard).extend(journals.iter_mut().flat_map(std::mem::take));
        }
    }

    fn listen<O: Observer>(observer: &O) -> Connections<O::Kept> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/demo/capture.pcap");
        let capture = File(Mutex::new(Capture::open(&[Input::from_argument(path)]).unwrap()));
        run(&capture, &Options { threads: 1, wanted: None, keys: Keys::new() }, observer).connections
    }

    #[test]
    fn each_of_a_pair_hears_what_it_would_hear_alone() {
        let all = Interest::ALL;
        let interests = [
            Interest::NONE,
            Interest { frames: true, ..Interest::NONE },
            Interest { messages: true, payload_limit: 0, frames: false },
            Interest { messages: true, payload_limit: 7, frames: false },
            // Messages are not wanted, so neither is their payload.
            Interest { messages: false, payload_limit: 7, frames: true },
            all,
        ];
        let alone = interests.map(|interest| {
            let one = Listener::new(interest);
            listen(&one);
            one.heard()
        });
        assert!(alone[0].0.len() < alone[1].0.len() && alone[3] != alone[2] && alone[5].0.len() > alone[4].0.len());
        for (first, expected) in interests.iter().zip(&alone) {
            for (second, expected_second) in interests.iter().zip(&alone) {
                let pair = (Listener::new(*first), Listener::new(*second));
                listen(&pair);
                assert!(pair.0.heard() == *expected, "{first:?} with {second:?}");
                assert!(pair.1.heard() == *expected_second, "{second:?} behind {first:?}");
            }
        }
    }

    #[test]
    fn the_first_of_a_pair_keeps() {
        let kept = |connections: Connections<Recorded>| -> Vec<_> {
            connections.iter().map(|known| (known.tcp_stream, format!("{:?}", known.kept))).collect()
        };
        let alone = kept(listen(&Recorder));
        assert!(alone.len() > 1);
        assert!(alone == kept(listen(&(Recorder, Listener::new(Interest::NONE)))));
    }
}
