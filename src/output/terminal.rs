//! Makes captured text safe to show: control characters, terminal escape sequences, bidirectional
//! overrides and invisible characters are written as escapes, never as themselves.
//!
//! Every output that contains something a peer sent goes through [`is_hostile`]: text through [`escape`],
//! JSON through the writer in [`super::json`]. Nothing here knows where the text came from.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character can change how other characters are shown, or hide: C0 and C1 controls, DEL, soft
/// hyphen, bidirectional marks, embeddings, overrides and isolates, zero-width characters, line and
/// paragraph separators, interlinear annotations and tags.
#[must_use]
pub(crate) const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with every hostile character as `\n`, `\r`, `\t`, `\x1b` or `\u{202e}`. Borrowed when there is none.
#[must_use]
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_hostile) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        push(&mut out, c);
    }
    Cow::Owned(out)
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..='\x1f' | '\x7f' => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if is_hostile(c) => {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn harmless_text_is_borrowed() {
        for text in ["", "GET /chat HTTP/1.1", "grün, 日本, é, 🙂", r"C:\path"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn hostile_characters_are_named() {
        for (text, shown) in [
            ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
            ("a\r\nb\tc\0", r"a\r\nb\tc\x00"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("user\u{202e}gpj.exe\u{2066}", r"user\u{202e}gpj.exe\u{2066}"),
            ("a\u{200b}b\u{feff}\u{ad}", r"a\u{200b}b\u{feff}\u{ad}"),
            ("\u{2028}\u{e0041}\x7f", r"\u{2028}\u{e0041}\x7f"),
        ] {
            assert_eq!(escape(text), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_hostile_survives(chars in proptest::collection::vec(any::<char>(), 0..200)) {
            let text: String = chars.into_iter().collect();
            prop_assert!(!escape(&text).contains(is_hostile));
        }
    }
}
