//! GraphQL over WebSocket in its two incompatible forms: `graphql-transport-ws` (the library graphql-ws) and the older
//! `graphql-ws` (the library subscriptions-transport-ws, Apollo, AWS AppSync).
//!
//! Every message is a JSON object with the members `type`, `id` and `payload`. Both forms open with `connection_init`
//! and `connection_ack`; what follows tells them apart. The payload is looked into only for the names of its members,
//! which tell an operation (`query`) and its results (`data`, `errors`) from what others call `subscribe` or `data`.

use super::{Application, ErrorMessage, Message, Recogniser, Recognition};
use crate::stream::{Direction, Stamp};

/// The subprotocol of the library graphql-ws.
const MODERN: &str = "graphql-transport-ws";
/// The subprotocol of the library subscriptions-transport-ws.
const LEGACY: &str = "graphql-ws";
/// One of the two; the messages do not tell which.
const EITHER: &str = "graphql";

/// Which form the messages belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// All so far could belong to both.
    #[default]
    Either,
    Modern,
    Legacy,
    /// One side speaks one, the other side the other.
    Both,
}

/// What a message must hold besides its type, so that no other protocol is taken for GraphQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Nothing: no other protocol has a message of this type.
    Type,
    /// An id, and an operation as payload.
    Operation,
    /// An id, and a result as payload.
    Result,
    /// Proves nothing.
    None,
}

/// A type of message: its name, who sends it, which form has it, and what it proves.
struct Kind {
    name: &'static str,
    from: Option<Direction>,
    form: Form,
    proof: Proof,
    error: bool,
}

const fn kind(name: &'static str, from: Option<Direction>, form: Form, proof: Proof) -> Kind {
    Kind { name, from, form, proof, error: false }
}

const CLIENT: Option<Direction> = Some(Direction::ToServer);
const SERVER: Option<Direction> = Some(Direction::ToClient);

const KINDS: [Kind; 17] = [
    kind("connection_init", CLIENT, Form::Either, Proof::Type),
    kind("connection_ack", SERVER, Form::Either, Proof::Type),
    Kind { error: true, ..kind("connection_error", SERVER, Form::Legacy, Proof::None) },
    kind("connection_terminate", CLIENT, Form::Legacy, Proof::None),
    kind("ka", SERVER, Form::Legacy, Proof::None),
    kind("ping", None, Form::Modern, Proof::None),
    kind("pong", None, Form::Modern, Proof::None),
    kind("subscribe", CLIENT, Form::Modern, Proof::Operation),
    kind("next", SERVER, Form::Modern, Proof::Result),
    kind("complete", CLIENT, Form::Modern, Proof::None),
    kind("complete", SERVER, Form::Either, Proof::None),
    kind("start", CLIENT, Form::Legacy, Proof::Operation),
    kind("stop", CLIENT, Form::Legacy, Proof::None),
    kind("data", SERVER, Form::Legacy, Proof::Result),
    Kind { error: true, ..kind("error", SERVER, Form::Either, Proof::None) },
    // AWS AppSync, which speaks the older form otherwise.
    kind("start_ack", SERVER, Form::Legacy, Proof::None),
    kind("unsubscribe", CLIENT, Form::Legacy, Proof::None),
];

/// Recognises both forms.
#[derive(Default)]
pub(super) struct GraphQl {
    form: Form,
    recognised: Option<Stamp>,
    last_error: Option<ErrorMessage>,
}

impl Recogniser for GraphQl {
    fn offer(&mut self, message: &Message<'_>) -> Recognition {
        let recognition = self.take(message);
        if recognition == Recognition::Mine {
            self.recognised.get_or_insert(message.stamp);
        }
        recognition
    }

    fn facts(&self, negotiated: Option<&str>) -> Application {
        let protocol = match (self.form, negotiated) {
            (Form::Modern, _) | (Form::Either | Form::Both, Some(MODERN)) => MODERN,
            (Form::Legacy, _) | (Form::Either | Form::Both, Some(LEGACY)) => LEGACY,
            (Form::Either | Form::Both, _) => EITHER,
        };
        let recognised = self.recognised.unwrap_or_default();
        Application { protocol, recognised, last_error: self.last_error }
    }
}

impl GraphQl {
    fn take(&mut self, message: &Message<'_>) -> Recognition {
        if !message.text {
            return Recognition::NotMine;
        }
        let mut envelope = Envelope::default();
        let ended = Scanner(message.bytes).envelope(&mut envelope);
        if ended == Err(Stop::Malformed) || (ended.is_err() && message.is_whole()) || envelope.has_others {
            return Recognition::NotMine;
        }
        let Some(name) = envelope.kind else {
            // The type may stand behind a payload that reaches further than what is shown.
            return if ended.is_err() { Recognition::Undecided } else { Recognition::NotMine };
        };
        let sent = |kind: &&Kind| kind.from.is_none_or(|from| from == message.direction);
        let Some(kind) = KINDS.iter().filter(sent).find(|kind| kind.name.as_bytes() == name) else {
            return Recognition::NotMine;
        };
        self.form = match (self.form, kind.form) {
            (known, Form::Either) => known,
            (Form::Either, new) => new,
            (known, new) if known == new => known,
            _ => Form::Both,
        };
        if kind.error {
            let Message { stamp, direction, .. } = *message;
            self.last_error = Some(ErrorMessage { kind: kind.name, stamp, direction });
        }
        let proven = match kind.proof {
            Proof::Type => true,
            Proof::Operation => envelope.has_id && envelope.has_query,
            Proof::Result => envelope.has_id && envelope.has_result,
            Proof::None => false,
        };
        if proven { Recognition::Mine } else { Recognition::Undecided }
    }
}

/// What a message shows of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Envelope<'a> {
    /// The value of `type`, as it is written.
    kind: Option<&'a [u8]>,
    /// There is an `id`, and it is a string.
    has_id: bool,
    /// The payload has a member `query`.
    has_query: bool,
    /// The payload has a member `data` or `errors`.
    has_result: bool,
    /// There are members that no message of GraphQL has.
    has_others: bool,
}

/// Why scanning stopped before the end of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// No more bytes are shown.
    End,
    /// This is no JSON.
    Malformed,
}

/// Reads the members of JSON objects, as far as they are shown, without building anything. It finds where values end
/// and does not check them.
struct Scanner<'a>(&'a [u8]);

/// Reads or skips the value of the member with this name.
type Member<'f, 'a> = dyn FnMut(&mut Scanner<'a>, &'a [u8]) -> Result<(), Stop> + 'f;

impl<'a> Scanner<'a> {
    fn envelope(&mut self, found: &mut Envelope<'a>) -> Result<(), Stop> {
        self.members(&mut |scanner, key| match key {
            b"type" if scanner.peek()? == b'"' => {
                found.kind = Some(scanner.string()?);
                Ok(())
            }
            b"id" if scanner.peek()? == b'"' => {
                found.has_id = true;
                scanner.string().map(drop)
            }
            b"payload" if scanner.peek()? == b'{' => scanner.members(&mut |scanner, key| {
                found.has_query |= key == b"query";
                found.has_result |= key == b"data" || key == b"errors";
                scanner.skip_value()
            }),
            b"type" | b"id" | b"payload" => scanner.skip_value(),
            _ => {
                found.has_others = true;
                scanner.skip_value()
            }
        })
    }

    /// Reads an object; `value` reads or skips the value of each member.
    fn members(&mut self, value: &mut Member<'_, 'a>) -> Result<(), Stop> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            return self.expect(b'}');
        }
        loop {
            self.peek()?;
            let key = self.string()?;
            self.expect(b':')?;
            self.peek()?;
            value(self, key)?;
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(Stop::Malformed),
            }
        }
    }

    /// Skips a value: to the comma or bracket behind it.
    fn skip_value(&mut self) -> Result<(), Stop> {
        let mut depth = 0_u32;
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                b',' | b'}' | b']' if depth == 0 => return Ok(()),
                byte => {
                    match byte {
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.0 = &self.0[1..];
                }
            }
        }
    }

    /// Reads a string, as it is written between its quotes.
    fn string(&mut self) -> Result<&'a [u8], Stop> {
        self.expect(b'"')?;
        let mut length = 0;
        loop {
            match self.0.get(length) {
                None => return Err(Stop::End),
                Some(b'"') => break,
                Some(b'\\') => length += 2,
                Some(_) => length += 1,
            }
        }
        let (string, rest) = self.0.split_at(length);
        self.0 = &rest[1..];
        Ok(string)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.next()? == byte { Ok(()) } else { Err(Stop::Malformed) }
    }

    /// Takes the next byte that is no white space.
    fn next(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.0 = &self.0[1..];
        Ok(byte)
    }

    /// Shows the next byte that is no white space.
    fn peek(&mut self) -> Result<u8, Stop> {
        self.0 = self.0.trim_ascii_start();
        self.0.first().copied().ok_or(Stop::End)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_BYTES;
    use super::super::tests::Dialogue;
    use super::*;
    use proptest::prelude::*;

    const INIT: &str = r#"{"type":"connection_init","payload":{}}"#;
    const ACK: &str = r#"{"type":"connection_ack"}"#;

    fn named(talk: Dialogue, negotiated: Option<&str>) -> Option<&'static str> {
        talk.end(negotiated).map(|application| application.protocol)
    }

    fn stamp(packet: u64) -> Stamp {
        Stamp { packet, at: packet as i64 }
    }

    #[test]
    fn a_subscription_of_either_form_is_named_without_the_handshake() {
        let modern = Dialogue::default()
            .client(INIT)
            .server(ACK)
            .client(r#"{"id":"1","type":"subscribe","payload":{"query":"subscription { tick }"}}"#)
            .server(r#"{"id":"1","type":"next","payload":{"data":{"tick":1}}}"#)
            .server(r#"{"id":"1","type":"complete"}"#);
        let found = modern.end(None).unwrap();
        assert_eq!(found, Application { protocol: "graphql-transport-ws", recognised: stamp(1), last_error: None });
        let legacy = Dialogue::default()
            .client(INIT)
            .server(ACK)
            .server(r#"{"type":"ka"}"#)
            .client(r#"{"id":"1","type":"start","payload":{"variables":{},"query":"subscription { tick }"}}"#)
            .server(r#"{"type":"data","id":"1","payload":{"data":{"tick":1}}}"#)
            .client(r#"{"id":"1","type":"stop"}"#);
        assert_eq!(named(legacy, None), Some("graphql-ws"));
    }

    #[test]
    fn what_was_negotiated_names_it_only_where_messages_do_not() {
        let opened = || Dialogue::default().client(INIT).server(ACK);
        assert_eq!(named(opened(), None), Some("graphql"));
        assert_eq!(named(opened(), Some("graphql-ws")), Some("graphql-ws"));
        assert_eq!(named(opened(), Some("graphql-transport-ws")), Some("graphql-transport-ws"));
        assert_eq!(named(opened(), Some("chat")), Some("graphql"));
        // The server announces the one and both speak the other.
        let other = opened().server(r#"{"type":"ka"}"#);
        assert_eq!(named(other, Some("graphql-transport-ws")), Some("graphql-ws"));
        // Each side speaks its own.
        let both = || opened().server(r#"{"type":"ka"}"#).client(r#"{"type":"ping"}"#);
        assert_eq!(named(both(), None), Some("graphql"));
        assert_eq!(named(both(), Some("graphql-ws")), Some("graphql-ws"));
        assert_eq!(named(Dialogue::default(), Some("graphql-ws")), None, "a promise is no message");
    }

    #[test]
    fn the_last_error_is_noted_with_its_packet() {
        let refused = Dialogue::default()
            .client(INIT)
            .server(r#"{"type":"connection_error","payload":{"message":"Must be authenticated"}}"#);
        let error = |kind, packet| ErrorMessage { kind, stamp: stamp(packet), direction: Direction::ToClient };
        let found = refused.end(None).unwrap();
        assert_eq!((found.protocol, found.last_error), ("graphql-ws", Some(error("connection_error", 2))));

        let failed = Dialogue::default()
            .client(INIT)
            .server(ACK)
            .server(r#"{"id":"1","type":"error","payload":[{"message":"no"}]}"#)
            .server(r#"{"id":"2","type":"error","payload":[{"message":"no"}]}"#)
            .server(r#"{"id":"3","type":"next","payload":{"data":null}}"#)
            .client(r#"{"id":"3","type":"error"}"#);
        assert_eq!(failed.end(None).unwrap().last_error, Some(error("error", 4)), "a client sends none");
    }

    #[test]
    fn it_is_recognised_in_the_middle_by_operations_and_results_alone() {
        let result = r#"{"payload":{"data":{"tick":1}},"id":"1","type":"next"}"#;
        let talk = Dialogue::default()
            .server(r#"{"type":"ka"}"#)
            .server(r#"{"type":"data","id":"1","payload":{"errors":[]}}"#);
        let found = talk.end(None).unwrap();
        assert_eq!((found.protocol, found.recognised), ("graphql-ws", stamp(2)));
        assert_eq!(named(Dialogue::default().server(result), None), Some("graphql-transport-ws"));
        // Cut, or longer than what is shown.
        let long = format!(r#"{{"id":"1","type":"next","payload":{{"data":{{"text":"{}"}}}}}}"#, "x".repeat(500));
        assert_eq!(named(Dialogue::default().server(&long), None), Some("graphql-transport-ws"));
        assert_eq!(named(Dialogue::default().server_cut(&long[..60]), None), Some("graphql-transport-ws"));
        // The type is not shown: nothing is known yet.
        let behind =
            format!(r#"{{"payload":{{"data":{{"text":"{}"}}}},"id":"1","type":"next"}}"#, "x".repeat(MAX_BYTES));
        let talk = Dialogue::default().server(&behind);
        assert!(talk.listens());
        assert_eq!(named(talk.server(result), None), Some("graphql-transport-ws"));
    }

    #[test]
    fn others_with_the_same_words_are_not_taken_for_it() {
        let others_from_client = [
            r#"{"type":"subscribe","channel":"ticks"}"#,
            r#"{"type":"connection_init","version":3}"#,
            r#"{"method":"connection_init"}"#,
            r#"{"type":"connection_ack"}"#,
            r#"{"type":1,"id":"1","payload":{"query":""}}"#,
            r#"{"type":"chat","payload":{"type":"connection_init"}}"#,
            r#"{"payload":"\"type\":\"connection_init\"","id":"1"}"#,
            r#"{"type":"connection_init""#,
            r#"[{"type":"connection_init"}]"#,
            r#"{"type" "connection_init"}"#,
            "",
            "{}",
        ];
        for text in others_from_client {
            let talk = Dialogue::default().client(text);
            assert!(!talk.listens(), "{text}");
            assert_eq!(talk.end(Some("graphql-ws")), None, "{text}");
        }
        // The right words, and nothing that only GraphQL has: no name is given, however many.
        for text in [
            r#"{"type":"subscribe","id":"1","payload":{"topic":"query"}}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{x}"}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"start"}"#,
        ] {
            assert_eq!(Dialogue::default().client(text).client(text).client(text).end(None), None, "{text}");
        }
        let text = r#"{"type":"data","id":"1","payload":{"price":1}}"#;
        assert_eq!(Dialogue::default().server(text).server(text).end(None), None, "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            messages in proptest::collection::vec((any::<bool>(), any::<bool>(), r#"[{}\[\]":,\\ \PC]{0,40}|\{"(type|id|payload)":"?[a-z{]{0,9}"?"#), 0..20),
            cut in 0usize..300,
        ) {
            let mut talk = Dialogue::default().client(&INIT[..cut.min(INIT.len())]);
            for (from_client, whole, text) in &messages {
                talk = match (from_client, whole) {
                    (true, true) => talk.client(text),
                    (true, false) => talk.client_binary(text.as_bytes()),
                    (false, true) => talk.server(text),
                    (false, false) => talk.server_cut(text),
                };
            }
            prop_assert_eq!(talk.end(None).is_some(), cut >= INIT.len());
        }
    }
}
