//! `Sec-WebSocket-Extensions` taken apart (RFC 6455 §9.1).
//!
//! ```text
//! extension-list  = 1#extension
//! extension       = extension-token *( ";" extension-param )
//! extension-param = token [ "=" ( token | quoted-string ) ]      ; the unquoted string must be a token too
//! ```

use std::borrow::Cow;

use smallvec::SmallVec;

use super::syntax::is_token_byte;

/// The most extensions that are read from one head.
pub(crate) const MAX_EXTENSIONS: usize = 32;
/// The most parameters that are read of one extension.
pub(crate) const MAX_PARAMETERS: usize = 32;

/// One element of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    /// Its name, never empty.
    pub(crate) name: &'a str,
    /// Its parameters in the order sent.
    pub(crate) parameters: SmallVec<[Parameter<'a>; 2]>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    /// Its name, never empty.
    pub(crate) name: &'a str,
    /// Its value, quotes and escapes removed.
    pub(crate) value: Option<Cow<'a, str>>,
}

/// All extensions of a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionList<'a> {
    /// Those that could be read, in the order sent, at most [`MAX_EXTENSIONS`].
    pub(crate) extensions: SmallVec<[Extension<'a>; 1]>,
    /// Something does not follow the grammar; it was left out.
    pub(crate) malformed: bool,
    /// A bound was reached.
    pub(crate) truncated: bool,
}

impl<'a> ExtensionList<'a> {
    /// Reads the values of all such fields of one head, which count as one list (RFC 6455 §11.3.2).
    pub(crate) fn parse(values: impl Iterator<Item = &'a str>) -> ExtensionList<'a> {
        let mut list = ExtensionList::default();
        for value in values {
            let before = list.extensions.len();
            Cursor { text: value, at: 0 }.read_list(&mut list);
            // RFC 6455 §9.1: the list has at least one element.
            list.malformed |= list.extensions.len() == before && !list.truncated;
        }
        list
    }

    /// The elements of this name; extension names are compared without case.
    pub(crate) fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Extension<'a>> {
        self.extensions.iter().filter(move |extension| extension.name.eq_ignore_ascii_case(name))
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn token(&mut self) -> &'a str {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        self.at += rest.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    /// `None` when the quote does not end.
    fn quoted(&mut self) -> Option<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        let mut owned: Option<String> = None;
        loop {
            let rest = self.text.get(self.at..)?;
            let mut characters = rest.chars();
            let character = characters.next()?;
            match character {
                '"' => {
                    let end = self.at;
                    self.at += 1;
                    return Some(owned.map_or(Cow::Borrowed(&self.text[start..end]), Cow::Owned));
                }
                '\\' => {
                    let escaped = characters.next()?;
                    let text = owned.get_or_insert_with(|| self.text[start..self.at].to_owned());
                    text.push(escaped);
                    self.at += 1 + escaped.len_utf8();
                }
                _ => {
                    if let Some(text) = &mut owned {
                        text.push(character);
                    }
                    self.at += character.len_utf8();
                }
            }
        }
    }

    fn read_list(&mut self, list: &mut ExtensionList<'a>) {
        loop {
            // RFC 9110 §5.6.1.2: a recipient takes empty list elements for none.
            while matches!(self.peek(), Some(b' ' | b'\t' | b',')) {
                self.at += 1;
            }
            if self.peek().is_none() {
                return;
            }
            if list.extensions.len() == MAX_EXTENSIONS {
                list.truncated = true;
                return;
            }
            match self.read_extension(&mut list.truncated) {
                Some(extension) => list.extensions.push(extension),
                None => {
                    list.malformed = true;
                    while !matches!(self.peek(), None | Some(b',')) {
                        self.at += 1;
                    }
                }
            }
        }
    }

    /// One element up to the comma or the end; `None` when it does not follow the grammar.
    fn read_extension(&mut self, truncated: &mut bool) -> Option<Extension<'a>> {
        let name = self.token();
        if name.is_empty() {
            return None;
        }
        let mut parameters = SmallVec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some(b',') => return Some(Extension { name, parameters }),
                Some(b';') => self.at += 1,
                Some(_) => return None,
            }
            self.skip_blanks();
            let parameter = self.read_parameter()?;
            if parameters.len() < MAX_PARAMETERS {
                parameters.push(parameter);
            } else {
                *truncated = true;
            }
        }
    }

    fn read_parameter(&mut self) -> Option<Parameter<'a>> {
        let name = self.token();
        if name.is_empty() {
            return None;
        }
        self.skip_blanks();
        if self.peek() != Some(b'=') {
            return Some(Parameter { name, value: None });
        }
        self.at += 1;
        self.skip_blanks();
        let value = if self.peek() == Some(b'"') { self.quoted()? } else { Cow::Borrowed(self.token()) };
        // RFC 6455 §9.1: the value, unquoted, must conform to a token.
        if value.is_empty() || !value.bytes().all(is_token_byte) {
            return None;
        }
        Some(Parameter { name, value: Some(value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(values: &[&str]) -> String {
        let list = ExtensionList::parse(values.iter().copied());
        let mut text: Vec<String> = Vec::new();
        for extension in &list.extensions {
            let mut one = extension.name.to_owned();
            for parameter in &extension.parameters {
                one += &format!(";{}", parameter.name);
                if let Some(value) = &parameter.value {
                    one += &format!("={value}");
                }
            }
            text.push(one);
        }
        format!(
            "{}{}{}",
            text.join(","),
            if list.malformed { " malformed" } else { "" },
            if list.truncated { " cut" } else { "" }
        )
    }

    #[test]
    fn grammar() {
        assert_eq!(show(&["permessage-deflate; client_max_window_bits"]), "permessage-deflate;client_max_window_bits");
        assert_eq!(show(&["a;b=1 , c; d=\"2\"; e", "f"]), "a;b=1,c;d=2;e,f");
        assert_eq!(show(&[r#"a;b="1\5",c"#]), "a;b=15,c");
        assert_eq!(show(&[",, a ,,"]), "a");
        assert_eq!(show(&[]), "");
        assert_eq!(show(&[""]), " malformed");
        assert_eq!(show(&["a b, c"]), "c malformed");
        assert_eq!(show(&["a;=1, c"]), "c malformed");
        assert_eq!(show(&["a;b=, c"]), "c malformed");
        assert_eq!(show(&["a;b=\"x y\", c"]), "c malformed");
        assert_eq!(show(&["a;b=\"open, c"]), " malformed");
        assert_eq!(show(&["a;b=\"ä\", c"]), "c malformed");
        assert_eq!(show(&[&"a,".repeat(40)]), format!("{} cut", vec!["a"; 32].join(",")));
    }
}
