//! Recognises the application protocol that a WebSocket carries, by the first bytes of its messages.
//!
//! A recogniser is one file with a [`Recogniser`] in it, and one line in `REGISTRY`. Each is offered the messages of
//! one WebSocket, both directions, until it says that they are none of its own or that they are. Nobody listens any
//! more once all have given up, at the latest after [`MAX_OFFERED`] messages: what was negotiated in the handshake is a
//! promise, not evidence, and is only asked for the name where the messages leave two possible.
//!
//! Nothing here looks further than [`MAX_BYTES`] into a message, keeps a message, or forms an opinion.

#![forbid(unsafe_code)]

mod graphql;

use crate::stream::{Direction, Stamp};

/// Most bytes of a message that a recogniser is shown.
pub const MAX_BYTES: usize = 256;
/// Messages after which recognisers that have not made up their minds are given up.
pub const MAX_OFFERED: u8 = 16;

/// A data message, as recognisers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The packet with its first byte.
    pub stamp: Stamp,
    /// Direction in which it was sent.
    pub direction: Direction,
    /// Text, not binary.
    pub text: bool,
    /// Its length in bytes, decompressed. `None` when part of it is missing: it is not whole then.
    pub length: Option<u64>,
    /// Its first bytes, unmasked and decompressed, at most [`MAX_BYTES`]; text is not necessarily valid UTF-8.
    pub bytes: &'a [u8],
}

impl Message<'_> {
    /// Whether `bytes` is all of it.
    #[must_use]
    pub(crate) fn is_whole(&self) -> bool {
        self.length == Some(self.bytes.len() as u64)
    }
}

/// What a recogniser makes of the messages so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// They may be of its protocol; further ones will tell.
    Undecided,
    /// They are of its protocol: it is offered all that follow.
    Mine,
    /// They are not: it is offered no more.
    NotMine,
}

/// What is known of the application protocol of one WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name, as in Sec-WebSocket-Protocol where it has one there.
    pub protocol: &'static str,
    /// The packet with the message that gave it away.
    pub recognised: Stamp,
    /// The last message by which the application said that something failed.
    pub last_error: Option<ErrorMessage>,
}

/// A message by which an application says that something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What the protocol calls it.
    pub kind: &'static str,
    /// The packet with its first byte.
    pub stamp: Stamp,
    /// Direction in which it was sent.
    pub direction: Direction,
}

/// Recognises one protocol, or several that begin alike, on one WebSocket.
pub trait Recogniser: Send {
    /// Takes the next message. Once it was [`Recognition::Mine`], what it returns makes no difference.
    fn offer(&mut self, message: &Message<'_>) -> Recognition;

    /// What it found, after [`Recognition::Mine`]. `negotiated`: the subprotocol that the server selected.
    fn facts(&self, negotiated: Option<&str>) -> Application;
}

/// Offers a new recogniser its first message. It is allocated only when it wants to hear more.
type Begin = fn(&Message<'_>) -> (Recognition, Option<Box<dyn Recogniser>>);

/// Every recogniser; where several claim the same message, the first one gets it.
const REGISTRY: &[Begin] = &[begin::<graphql::GraphQl>];

fn begin<R: Recogniser + Default + 'static>(message: &Message<'_>) -> (Recognition, Option<Box<dyn Recogniser>>) {
    let mut recogniser = R::default();
    match recogniser.offer(message) {
        Recognition::NotMine => (Recognition::NotMine, None),
        recognition => (recognition, Some(Box::new(recogniser))),
    }
}

/// The recognisers of one WebSocket that still listen.
#[derive(Default)]
pub struct Recognisers(State);

#[derive(Default)]
enum State {
    /// No message was offered.
    #[default]
    Waiting,
    /// Somebody may recognise it, or did.
    Listening(Box<Listening>),
    /// None did.
    Unknown,
}

/// Those who listen, at least one.
#[derive(Default)]
struct Listening {
    recognisers: Vec<Box<dyn Recogniser>>,
    offered: u8,
    /// The one that is left recognised its protocol.
    recognised: bool,
}

impl Recognisers {
    /// Whether somebody wants the next message.
    #[inline]
    #[must_use]
    pub fn listen(&self) -> bool {
        !matches!(self.0, State::Unknown)
    }

    /// Offers the next message of either direction.
    pub fn offer(&mut self, message: &Message<'_>) {
        let listens = match &mut self.0 {
            State::Waiting => {
                let listening = Listening::begin(message);
                let listens = !listening.recognisers.is_empty();
                if listens {
                    self.0 = State::Listening(Box::new(listening));
                }
                listens
            }
            State::Listening(listening) => listening.offer(message),
            State::Unknown => false,
        };
        if !listens {
            self.0 = State::Unknown;
        }
    }

    /// What was recognised. `negotiated`: the subprotocol that the server selected.
    #[must_use]
    pub fn into_application(self, negotiated: Option<&str>) -> Option<Box<Application>> {
        match self.0 {
            State::Listening(listening) if listening.recognised => {
                listening.recognisers.first().map(|recogniser| Box::new(recogniser.facts(negotiated)))
            }
            State::Waiting | State::Listening(_) | State::Unknown => None,
        }
    }
}

impl Listening {
    /// Those who want to hear more than the first message.
    fn begin(message: &Message<'_>) -> Self {
        let mut listening = Self { offered: 1, ..Self::default() };
        for begin in REGISTRY {
            let (recognition, recogniser) = begin(message);
            if recognition == Recognition::Mine {
                return Self { recognisers: Vec::from_iter(recogniser), recognised: true, ..listening };
            }
            listening.recognisers.extend(recogniser);
        }
        listening
    }

    /// Offers the next message. False: nobody listens any more.
    fn offer(&mut self, message: &Message<'_>) -> bool {
        if self.recognised {
            self.recognisers.iter_mut().for_each(|recogniser| {
                recogniser.offer(message);
            });
            return true;
        }
        let mut index = 0;
        while let Some(recogniser) = self.recognisers.get_mut(index) {
            match recogniser.offer(message) {
                Recognition::Undecided => index += 1,
                Recognition::NotMine => drop(self.recognisers.remove(index)),
                Recognition::Mine => {
                    self.recognisers.swap(0, index);
                    self.recognisers.truncate(1);
                    self.recognised = true;
                    return true;
                }
            }
        }
        self.offered += 1;
        !self.recognisers.is_empty() && self.offered < MAX_OFFERED
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A dialogue with the recognisers, one packet a message.
    #[derive(Default)]
    pub(crate) struct Dialogue {
        recognisers: Recognisers,
        packets: u64,
    }

    impl Dialogue {
        fn offer(mut self, direction: Direction, text: bool, length: Option<u64>, bytes: &[u8]) -> Self {
            self.packets += 1;
            let stamp = Stamp { packet: self.packets, at: self.packets as i64 };
            let bytes = &bytes[..bytes.len().min(MAX_BYTES)];
            self.recognisers.offer(&Message { stamp, direction, text, length, bytes });
            self
        }

        /// The client sends a text message.
        pub(crate) fn client(self, text: &str) -> Self {
            self.offer(Direction::ToServer, true, Some(text.len() as u64), text.as_bytes())
        }

        /// The server sends a text message.
        pub(crate) fn server(self, text: &str) -> Self {
            self.offer(Direction::ToClient, true, Some(text.len() as u64), text.as_bytes())
        }

        /// The server sends a text message of which only the beginning was captured.
        pub(crate) fn server_cut(self, text: &str) -> Self {
            self.offer(Direction::ToClient, true, None, text.as_bytes())
        }

        /// The client sends a binary message.
        pub(crate) fn client_binary(self, bytes: &[u8]) -> Self {
            self.offer(Direction::ToServer, false, Some(bytes.len() as u64), bytes)
        }

        pub(crate) fn listens(&self) -> bool {
            self.recognisers.listen()
        }

        pub(crate) fn end(self, negotiated: Option<&str>) -> Option<Application> {
            self.recognisers.into_application(negotiated).map(|application| *application)
        }
    }

    #[test]
    fn nobody_listens_to_what_is_no_protocol_known_here() {
        assert!(Dialogue::default().listens(), "before the first message");
        assert!(!Dialogue::default().client("hello").listens());
        assert!(!Dialogue::default().client_binary(b"{\"type\":\"connection_init\"}").listens());
        assert_eq!(Dialogue::default().client("hello").client("{\"type\":\"connection_init\"}").end(None), None);
    }

    #[test]
    fn the_undecided_are_given_up_after_a_bounded_number_of_messages() {
        let talk = |messages| (0..messages).fold(Dialogue::default(), |talk, _| talk.client("{\"type\":\"ping\"}"));
        assert!(talk(MAX_OFFERED - 1).listens());
        assert!(!talk(MAX_OFFERED).listens());
        let late = |messages| talk(messages).client("{\"type\":\"connection_init\"}").end(None);
        assert!(late(MAX_OFFERED - 1).is_some());
        assert_eq!(late(MAX_OFFERED), None);
    }

    #[test]
    fn a_recognised_protocol_is_listened_to_for_good() {
        let mut talk = Dialogue::default().client("{\"type\":\"connection_init\"}");
        for _ in 0..1000 {
            talk = talk.server("whatever");
        }
        assert!(talk.listens());
        let stamp = Stamp { packet: 1, at: 1 };
        assert_eq!(talk.end(None).map(|application| application.recognised), Some(stamp));
    }
}
