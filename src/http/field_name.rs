//! The field names that this room asks for, recognised once per field when a head is stored.
//!
//! Nothing here knows what a field means.

macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// A field name that is looked up in heads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Name { $($name,)* }

        impl Name {
            const ALL: &[(Name, &str)] = &[$((Name::$name, $text),)*];
        }
    };
}

names! {
    Host = "Host",
    Upgrade = "Upgrade",
    Connection = "Connection",
    Origin = "Origin",
    SecWebSocketKey = "Sec-WebSocket-Key",
    SecWebSocketVersion = "Sec-WebSocket-Version",
    SecWebSocketProtocol = "Sec-WebSocket-Protocol",
    SecWebSocketExtensions = "Sec-WebSocket-Extensions",
    SecWebSocketAccept = "Sec-WebSocket-Accept",
    SecWebSocketOrigin = "Sec-WebSocket-Origin",
    SecWebSocketKey1 = "Sec-WebSocket-Key1",
    SecWebSocketKey2 = "Sec-WebSocket-Key2",
    WebSocketProtocol = "WebSocket-Protocol",
    ContentLength = "Content-Length",
    TransferEncoding = "Transfer-Encoding",
}

impl Name {
    /// The name that this is, whatever its case.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Option<Name> {
        // The lengths tell nearly all apart, and nearly everybody spells names like this.
        let is = |text: &str| {
            text.len() == name.len() && (text.as_bytes() == name || text.as_bytes().eq_ignore_ascii_case(name))
        };
        Name::ALL.iter().find(|(_, text)| is(text)).map(|&(name, _)| name)
    }

    /// Whether it begins with `Sec-WebSocket-`.
    pub(super) const fn is_sec_websocket(self) -> bool {
        matches!(
            self,
            Name::SecWebSocketKey
                | Name::SecWebSocketVersion
                | Name::SecWebSocketProtocol
                | Name::SecWebSocketExtensions
                | Name::SecWebSocketAccept
                | Name::SecWebSocketOrigin
                | Name::SecWebSocketKey1
                | Name::SecWebSocketKey2
        )
    }

    /// Its bit in a [`NameSet`].
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// [`Name::bit`] has room for all.
const _: () = assert!(Name::ALL.len() <= 16);

/// Which names occur in a head: spares the search for the many fields that are asked for and absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NameSet {
    present: u16,
    /// Those that occur more than once.
    repeated: u16,
}

impl NameSet {
    pub(super) fn add(&mut self, name: Name) {
        self.repeated |= self.present & name.bit();
        self.present |= name.bit();
    }

    pub(super) fn has(self, name: Name) -> bool {
        self.present & name.bit() != 0
    }

    /// Whether it occurs more than once.
    pub(super) fn repeats(self, name: Name) -> bool {
        self.repeated & name.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_in_any_case() {
        for &(name, text) in Name::ALL {
            let mixed: String =
                text.chars().enumerate().map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
            for spelled in [text, &text.to_ascii_lowercase(), &text.to_ascii_uppercase(), &mixed] {
                assert_eq!(Name::of(spelled.as_bytes()), Some(name), "{spelled}");
            }
            assert_eq!(name.is_sec_websocket(), text.starts_with("Sec-WebSocket-"), "{text}");
            assert_ne!(Name::of(&text.as_bytes()[1..]), Some(name));
            assert_ne!(Name::of(format!("{text}x").as_bytes()), Some(name));
        }
        assert_eq!((Name::of(b""), Name::of(b"no-such-name")), (None, None));
    }

    #[test]
    fn a_set_tells_once_from_twice() {
        let mut names = NameSet::default();
        assert!(!names.has(Name::Host) && !names.repeats(Name::Host));
        names.add(Name::Host);
        names.add(Name::TransferEncoding);
        assert!(names.has(Name::Host) && !names.repeats(Name::Host) && !names.has(Name::Upgrade));
        names.add(Name::Host);
        assert!(names.repeats(Name::Host) && !names.repeats(Name::TransferEncoding));
    }
}
