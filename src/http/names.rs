//! Field names that are looked up again and again, or are simply common, told apart once when a head is read.
//!
//! A name's hash is a slot of a table that holds at most one candidate, so one comparison decides. Nothing here knows
//! what a field means.

/// A field name out of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u8);

macro_rules! names {
    ($($id:ident = $text:literal,)* ; $($other:literal,)*) => {
        /// Every name, in lower case. Those that have a constant come first.
        const NAMES: &[&str] = &[$($text,)* $($other,)*];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Order { $($id,)* }

        impl Name {
            $(pub(super) const $id: Name = Name(Order::$id as u8);)*
        }
    };
}

names! {
    HOST = "host",
    UPGRADE = "upgrade",
    CONNECTION = "connection",
    ORIGIN = "origin",
    SEC_WEBSOCKET_KEY = "sec-websocket-key",
    SEC_WEBSOCKET_VERSION = "sec-websocket-version",
    SEC_WEBSOCKET_PROTOCOL = "sec-websocket-protocol",
    SEC_WEBSOCKET_EXTENSIONS = "sec-websocket-extensions",
    SEC_WEBSOCKET_ACCEPT = "sec-websocket-accept",
    SEC_WEBSOCKET_ORIGIN = "sec-websocket-origin",
    SEC_WEBSOCKET_KEY1 = "sec-websocket-key1",
    SEC_WEBSOCKET_KEY2 = "sec-websocket-key2",
    WEBSOCKET_PROTOCOL = "websocket-protocol",
    CONTENT_LENGTH = "content-length",
    TRANSFER_ENCODING = "transfer-encoding",
    CONTENT_TYPE = "content-type",
    LOCATION = "location",
    RETRY_AFTER = "retry-after",
    SERVER = "server",
    USER_AGENT = "user-agent",
    VIA = "via",
    ;
    "accept", "accept-encoding", "accept-language", "authorization", "cache-control", "content-encoding", "cookie",
    "date", "forwarded", "keep-alive", "pragma", "proxy-connection", "referer", "sec-fetch-dest", "sec-fetch-mode",
    "sec-fetch-site", "set-cookie", "strict-transport-security", "vary", "www-authenticate", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-powered-by", "x-real-ip", "x-request-id",
}

/// The bit in which letters differ from their other case.
const CASE: u8 = 0x20;
/// The same for eight letters.
const CASES: u64 = u64::from_ne_bytes([CASE; 8]);

/// How many values [`hash`] has.
const SLOTS: usize = 128;
/// A slot without a candidate.
const EMPTY: u8 = u8::MAX;

/// The candidate of every hash. Two names with one hash do not compile: [`hash`] wants other factors then.
const TABLE: [u8; SLOTS] = {
    let mut table = [EMPTY; SLOTS];
    let mut at = 0;
    while at < NAMES.len() {
        let slot = hash(NAMES[at].as_bytes()) as usize;
        assert!(table[slot] == EMPTY);
        table[slot] = at as u8;
        at += 1;
    }
    table
};

/// What tells most names apart, whatever their case; less than [`SLOTS`].
#[inline(always)]
pub(super) const fn hash(name: &[u8]) -> u8 {
    let len = name.len();
    if len < 2 {
        return len as u8;
    }
    let (first, middle) = (name[0] | CASE, name[len / 2] | CASE);
    let (last_but_one, last) = (name[len - 2] | CASE, name[len - 1] | CASE);
    let sum = len * 19 + first as usize * 26 + middle as usize * 56 + last_but_one as usize * 33 + last as usize * 20;
    (sum % SLOTS) as u8
}

impl Name {
    /// The name that `name`, which has this hash and no control characters, is.
    #[inline]
    pub(super) fn of(name: &[u8], hash: u8) -> Option<Name> {
        let candidate = TABLE[usize::from(hash) % SLOTS];
        let text = NAMES.get(usize::from(candidate))?.as_bytes();
        (text.len() == name.len() && same(name, text)).then_some(Name(candidate))
    }

    /// Its number, less than 64.
    #[inline(always)]
    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// The bit of this name in a set.
    #[inline(always)]
    pub(super) const fn bit(self) -> u64 {
        1 << self.0
    }

    /// In lower case.
    #[cfg(test)]
    pub(super) fn text(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Name> {
        (0..NAMES.len() as u8).map(Name)
    }
}

/// [`Name::bit`] has room for all.
const _: () = assert!(NAMES.len() <= 64);

/// Whether `text`, as long as `lower`, is the same but for case. `lower` holds small letters, digits and dashes; of what
/// differs from one of those in [`CASE`] alone, letters apart, all are control characters, which `text` must not hold
/// unless `lower` is letters only.
#[inline(always)]
fn same(text: &[u8], lower: &[u8]) -> bool {
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes) | CASES;
    if let (Some(end), Some(lower_end)) = (text.last_chunk(), lower.last_chunk()) {
        let (words, _) = text.as_chunks();
        let (lower_words, _) = lower.as_chunks();
        return words.iter().zip(lower_words).all(|(word_of, lower)| word(word_of) == u64::from_ne_bytes(*lower))
            && word(end) == u64::from_ne_bytes(*lower_end);
    }
    text.iter().zip(lower).all(|(byte, lower)| byte | CASE == *lower)
}

/// Whether `text` is `word`, which is small letters only, in any case.
#[inline]
pub(super) fn is_word(text: &[u8], word: &str) -> bool {
    debug_assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()));
    text.len() == word.len() && same(text, word.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(name: &str) -> Option<Name> {
        Name::of(name.as_bytes(), hash(name.as_bytes()))
    }

    #[test]
    fn names_are_found_in_any_case() {
        for name in Name::all() {
            let text = name.text();
            assert_eq!(text, text.to_ascii_lowercase());
            let mixed: String =
                text.chars().enumerate().map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
            for spelled in [text, &text.to_ascii_uppercase(), &mixed] {
                assert_eq!(find(spelled), Some(name), "{spelled}");
            }
            for at in 0..text.len() {
                let mut other = text.to_owned().into_bytes();
                for byte in b'!'..=b'~' {
                    other[at] = byte;
                    let found = Name::of(&other, hash(&other));
                    let same = other.eq_ignore_ascii_case(text.as_bytes());
                    assert_eq!(found == Some(name), same, "{:?}", String::from_utf8_lossy(&other));
                }
            }
        }
        assert_eq!((find(""), find("x"), find("no-such-name")), (None, None, None));
        assert_eq!(find("HOST"), Some(Name::HOST));
    }

    proptest! {
        #[test]
        fn words_are_compared_like_the_standard_library_does(
            text in proptest::collection::vec(any::<u8>(), 0..12),
            word in "[a-z]{0,12}",
        ) {
            prop_assert_eq!(is_word(&text, &word), text.eq_ignore_ascii_case(word.as_bytes()));
            let mut text = word.clone().into_bytes();
            prop_assert!(is_word(&text, &word));
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    text[at] = byte;
                    prop_assert_eq!(is_word(&text, &word), text.eq_ignore_ascii_case(word.as_bytes()));
                }
                text[at] = word.as_bytes()[at];
            }
        }
    }
}
