//! Any messages of any kind, offered to all recognisers: no panic, nothing said of messages that were not offered, and
//! nobody who listens for ever without having recognised anything.
//!
//! Input: instructions: a byte whose bits say direction (1), binary instead of text (2), cut (4), longer than shown (8),
//! a length byte, and that many bytes of the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::stream::{Direction, Stamp};
use wsscan::subprotocol::{MAX_OFFERED, Message, Recognisers};

fuzz_target!(|input: &[u8]| {
    for negotiated in [None, Some("graphql-ws"), Some("")] {
        let mut recognisers = Recognisers::default();
        let (mut rest, mut packet) = (input, 0);
        while let [how, length, more @ ..] = rest {
            let (bytes, more) = more.split_at(more.len().min(usize::from(*length)));
            rest = more;
            packet += 1;
            let length = bytes.len() as u64 + if how & 8 != 0 { 1000 } else { 0 };
            recognisers.offer(&Message {
                stamp: Stamp { packet, at: packet as i64 },
                direction: if how & 1 == 0 { Direction::ToServer } else { Direction::ToClient },
                text: how & 2 == 0,
                length: (how & 4 == 0).then_some(length),
                bytes,
            });
        }
        let listen = recognisers.listen();
        let application = recognisers.into_application(negotiated);
        assert!(listen || application.is_none());
        assert!(application.is_some() || !listen || packet < u64::from(MAX_OFFERED));
        if let Some(application) = application {
            assert!((1..=packet).contains(&application.recognised.packet));
            assert!(application.last_error.is_none_or(|error| (1..=packet).contains(&error.stamp.packet)));
        }
    }
});
