//! The catalogue as text for a terminal: what `wsscan explain` prints.
//!
//! The text has no colours and no markup. Its form: the first line is the title; a line out of [`HEADINGS`] is
//! a heading; a line that begins with two spaces is an entry of a list; a line that begins with four is
//! configuration or code; every other line is a whole paragraph. [`wrap`] fits it to a width.

use std::fmt::Write as _;

use super::{FAMILIES, Rule, all, by_alias, rule, search};
use crate::diagnosis::close_code::{CloseCodeText, describe};

/// Most rules that [`suggest`] names.
pub const MAX_SUGGESTIONS: usize = 5;

/// Most characters of a query that [`suggest`] compares; nothing in the catalogue that one would type is longer.
const MAX_QUERY_CHARS: usize = 64;

/// The columns by which the second line of a list entry is indented: the width of an id and its margins.
const LIST_INDENT: usize = 10;

const WHAT: &str = "What happened";
const PROOF: &str = "How it is proved";
const UNLESS: &str = "What rules it out";
const FIX: &str = "How it is fixed";
const REPORTS: &str = "What programs report";
const REFERENCES: &str = "References";
const SEARCHED_AS: &str = "Also found under";
const MEANING: &str = "What it means";
const WIRE: &str = "On the wire";
const CAUSES: &str = "Usual causes";
const ANSWERS: &str = "Three answers that are easily confused";
const RULES: &str = "Rules that explain it";
const STATUS: &str = "As an HTTP status";
const AS_CLOSE_CODE: &str = "As a close code";

/// Every line that is a heading when it stands alone, so that a terminal can set it apart.
pub const HEADINGS: &[&str] =
    &[WHAT, PROOF, UNLESS, FIX, REPORTS, REFERENCES, SEARCHED_AS, MEANING, WIRE, CAUSES, ANSWERS, RULES, STATUS];

/// Explains a rule (`WSH301`, `upgrade-stripped`), a close code (`1006`), an HTTP status (`426`) or another
/// name under which a rule is known (`ECONNREFUSED`). Case does not matter. `None` when nothing has that name;
/// [`suggest`] then helps.
#[must_use]
pub fn explain(query: &str) -> Option<String> {
    let query = query.trim();
    if let Some(rule) = rule(query) {
        return Some(explain_rule(rule));
    }
    if !query.is_empty() && query.bytes().all(|byte| byte.is_ascii_digit()) {
        return query.parse::<u16>().ok().map(explain_number);
    }
    match by_alias(query).as_slice() {
        [] => None,
        [only] => Some(explain_rule(only)),
        several => {
            let mut text = format!("{query}\n\n{RULES}\n");
            list(&mut text, several, 0);
            Some(text)
        }
    }
}

/// The ids of the rules that are nearest to a query nothing has as its name, best first, at most
/// [`MAX_SUGGESTIONS`].
#[must_use]
pub fn suggest(query: &str) -> Vec<&'static str> {
    let query: String = query.trim().to_lowercase().chars().take(MAX_QUERY_CHARS).collect();
    if query.is_empty() {
        return Vec::new();
    }
    let typed: Vec<char> = query.chars().collect();
    let tolerated = (typed.len() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &'static str)> = all()
        .filter_map(|rule| {
            let names = [rule.id, rule.slug].into_iter().chain(rule.aliases.iter().copied());
            let best = names.map(|name| distance(&typed, &name.to_lowercase())).min()?;
            (best <= tolerated).then_some((best, rule.id))
        })
        .collect();
    near.sort_by_key(|&(distance, _)| distance);
    let mut ids: Vec<&'static str> = near.into_iter().map(|(_, id)| id).collect();
    for found in search(&query.replace('-', " ")) {
        if !ids.contains(&found.id) {
            ids.push(found.id);
        }
    }
    ids.truncate(MAX_SUGGESTIONS);
    ids
}

/// How many letters have to be inserted, deleted or replaced to turn one word into the other.
fn distance(typed: &[char], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (line, letter) in name.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, &wanted) in typed.iter().enumerate() {
            let replaced = diagonal + usize::from(wanted != letter);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[typed.len()]
}

/// Everything the catalogue knows about one rule.
#[must_use]
pub fn explain_rule(rule: &Rule) -> String {
    let mut text = format!("{} {} ({})\n\n{}\n", rule.id, rule.slug, rule.severity, rule.title);
    section(&mut text, WHAT, rule.explanation);
    section(&mut text, PROOF, rule.evidence);
    section(&mut text, UNLESS, rule.unless);
    section(&mut text, FIX, rule.advice);
    section(&mut text, REPORTS, rule.reports);
    section(&mut text, REFERENCES, &rule.references.join(", "));
    section(&mut text, SEARCHED_AS, &rule.aliases.join(", "));
    text
}

/// A heading and its text; nothing when there is no text.
fn section(text: &mut String, heading: &str, body: &str) {
    if !body.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{heading}\n{body}\n");
    }
}

/// Rules as a list; when there are many, family by family, after the first `direct` ones.
fn list(text: &mut String, rules: &[&Rule], direct: usize) {
    const GROUP_FROM: usize = 12;
    let entry = |text: &mut String, rule: &Rule| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}  {} ({})", rule.id, rule.title, rule.slug);
    };
    let (first, rest) = if rules.len() < GROUP_FROM { (rules, &[][..]) } else { rules.split_at(direct) };
    for rule in first {
        entry(text, rule);
    }
    for (letter, family, _) in FAMILIES {
        let mut members = rest.iter().filter(|rule| rule.id.chars().nth(2) == Some(*letter)).peekable();
        if members.peek().is_some() {
            let _ = writeln!(text, "\nWS{letter}, {family}:");
        }
        for rule in members {
            entry(text, rule);
        }
    }
}

/// A number is a close code or, from 100 to 599, an HTTP status.
fn explain_number(number: u16) -> String {
    let code = describe(number);
    let statuses = if (100..600).contains(&number) { by_alias(&number.to_string()) } else { Vec::new() };
    if !statuses.is_empty() {
        let mut text = format!("{number} (HTTP status)\n\n{STATUS}\n");
        let _ = writeln!(text, "These rules explain a WebSocket request that was answered {number}:");
        list(&mut text, &statuses, 0);
        section(&mut text, AS_CLOSE_CODE, &on_the_wire(&code));
        return text;
    }
    let mut text = format!("{number} {} (close code)\n", code.name);
    section(&mut text, MEANING, code.meaning);
    section(&mut text, WIRE, &on_the_wire(&code));
    if let Some(answers) = three_answers(number) {
        section(&mut text, ANSWERS, answers);
    }
    section(&mut text, CAUSES, code.usual_causes);
    section(&mut text, FIX, code.advice);
    let rules = code.rules();
    if !rules.is_empty() {
        let _ = write!(text, "\n{RULES}\n");
        list(&mut text, &rules, code.direct_rules().len());
    }
    text
}

/// Whether and by whom the code may be sent.
fn on_the_wire(code: &CloseCodeText) -> String {
    let number = code.code;
    match (number, code.sent_by) {
        (1005 | 1006 | 1015, _) => format!(
            "{number} is never sent. RFC 6455 §7.4.1 keeps it for what a program notices by itself. If it does appear \
             in a Close frame, the sender is faulty (WSF412)."
        ),
        (_, "nobody") => {
            let mut text = format!("{number} must not be sent in a Close frame. Where it is seen, see WSF412.");
            let letters = number.to_be_bytes();
            if letters.iter().all(u8::is_ascii_graphic) {
                let _ = write!(
                    text,
                    " As text, its two bytes are the letters {}{}, so the bytes may be text that does not belong there.",
                    char::from(letters[0]),
                    char::from(letters[1])
                );
            }
            text
        }
        (_, "client") => format!("{number} may be sent in a Close frame, by the client."),
        (_, "server") => format!("{number} may be sent in a Close frame, usually by the server."),
        _ => format!("{number} may be sent in a Close frame, by client and server."),
    }
}

/// For the numbers that are never sent: what was on the wire, what each program saw, what the cause is.
fn three_answers(code: u16) -> Option<&'static str> {
    match code {
        1005 => Some(
            "  1.      What was on the wire: a Close frame without a code. The goodbye itself was complete.\n  \
             2.      What each program saw: the receiver of the empty frame reports 1005, as clean; the sender may \
             report another code, such as 1000.\n  \
             3.      Root cause: why the sender closed, and why it gave no reason. The messages before the Close and \
             the log of the sender tell.",
        ),
        1006 => Some(
            "  1.      What was on the wire: a FIN, a reset or silence, and no Close frame; or a handshake that failed. \
             No packet holds the number 1006.\n  \
             2.      What each program saw: the side that got no Close reports 1006. The other side may report \
             another code for the same connection, or 1006 as well.\n  \
             3.      Root cause: what made the connection end. 1006 does not say; one of the rules below does, with \
             the packets that prove it.",
        ),
        1015 => Some(
            "  1.      What was on the wire: a TLS handshake that ended with an alert or a hang-up, before any \
             WebSocket.\n  \
             2.      What each program saw: Firefox may report 1015, Chromium 1006, other clients an error of their \
             TLS library. The server may see nothing at all.\n  \
             3.      Root cause: usually the certificate. The alert, or the certificate itself, tells which fault it \
             has.",
        ),
        _ => None,
    }
}

/// Fits a text of this module, or of a rule, to `width` columns. Paragraphs are broken at spaces; entries of
/// lists (two leading spaces) get a hanging indent; lines with four or more leading spaces are left as they are.
/// A word longer than the width stays whole.
#[must_use]
pub fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len() + text.len() / 16);
    for line in text.lines() {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        if spaces >= 4 || line.chars().count() <= width {
            wrapped.push_str(line.trim_end());
        } else if spaces >= 2 {
            // The id and the spaces after it stay as they are; the rest is broken.
            let head = line.char_indices().nth(LIST_INDENT).map_or(line.len(), |(at, _)| at);
            wrapped.push_str(&line[..head]);
            fill(&mut wrapped, &line[head..], LIST_INDENT, width);
        } else {
            fill(&mut wrapped, line, 0, width);
        }
        wrapped.push('\n');
    }
    wrapped
}

/// Appends the words of a line, with line breaks followed by `indent` spaces. The cursor already stands at
/// column `indent`.
fn fill(out: &mut String, line: &str, indent: usize, width: usize) {
    let mut column = indent;
    for (index, word) in line.split_whitespace().enumerate() {
        let length = word.chars().count();
        if index > 0 {
            if column + 1 + length > width {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                out.push(' ');
                column += 1;
            }
        }
        out.push_str(word);
        column += length;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rules_are_found_by_id_and_slug_in_any_case() {
        let text = explain("WSH301").expect("a rule");
        assert!(text.starts_with("WSH301 upgrade-stripped (error)\n\nA reverse proxy forwarded"));
        assert_eq!(explain(" wsh301 "), Some(text.clone()));
        assert_eq!(explain("Upgrade-Stripped"), Some(text.clone()));
        assert!(text.contains("\n    location /ws {\n        proxy_pass http://app;\n"));
        for heading in [WHAT, PROOF, UNLESS, FIX, REPORTS, REFERENCES, SEARCHED_AS] {
            assert!(text.contains(&format!("\n{heading}\n")), "{heading}");
        }
    }

    #[test]
    fn every_rule_can_be_explained_by_each_of_its_names() {
        for rule in all() {
            for name in [rule.id, rule.slug].iter().chain(rule.aliases) {
                assert!(explain(name).is_some(), "{name} of {}", rule.id);
            }
        }
    }

    #[test]
    fn every_close_code_can_be_explained() {
        for code in 0..=u16::MAX {
            let text = explain(&code.to_string()).expect("a close code");
            assert!(text.starts_with(&format!("{code} ")), "{code}");
            let status = text.contains(STATUS) && text.contains(AS_CLOSE_CODE);
            assert!(status || text.contains(WIRE) && text.contains(FIX), "{code}");
        }
        assert_eq!(explain("65536"), None);
        assert_eq!(explain("99999999999999999999999999"), None);
    }

    #[test]
    fn codes_that_are_never_sent_say_so_and_give_three_answers() {
        for code in ["1005", "1006", "1015"] {
            let text = explain(code).expect("a close code");
            assert!(text.contains("is never sent"), "{code}");
            assert!(text.contains(ANSWERS), "{code}");
            for rule in by_alias(code) {
                assert!(text.contains(rule.id), "{code} does not list {}", rule.id);
            }
        }
        assert!(!explain("1000").expect("a close code").contains("is never sent"));
        assert!(!explain("1011").expect("a close code").contains(ANSWERS));
        // The rule that is the symptom itself comes before the causes, family by family.
        let text = explain("1006").expect("a close code");
        let at = |part: &str| text.find(part).expect(part);
        assert!(at("\n  WSC603  ") < at("\nWSN, ") && at("\nWSN, ") < at("\nWSK, "));
    }

    #[test]
    fn an_http_status_leads_to_its_rules() {
        let text = explain("426").expect("a number");
        assert!(text.contains(STATUS) && text.contains("WSH301") && text.contains("WSH316"));
        assert!(explain("21584").expect("a number").contains("the letters TP"));
    }

    #[test]
    fn an_alias_leads_to_one_rule_or_to_a_list() {
        assert!(explain("econnrefused").expect("an alias").starts_with("WSN002"));
        let text = explain("ECONNRESET").expect("an alias");
        assert!(text.contains("WSN005") && text.contains("WSK710"));
    }

    #[test]
    fn what_nobody_knows_gets_suggestions() {
        for unknown in ["", "WSH999", "upgrade-striped", "\u{0}", "wsh30x", "💥"] {
            assert_eq!(explain(unknown), None, "{unknown:?}");
        }
        assert_eq!(suggest("upgrade-striped")[0], "WSH301");
        assert_eq!(suggest("sticky")[0], "WSA704");
        assert_eq!(suggest("WSC63")[0], "WSC603");
        assert!(suggest("WSH999").iter().all(|id| id.starts_with("WS")));
        assert!(suggest("").is_empty());
        assert!(suggest("qqqqqqqqqqqqqqqqqqqqqqqq").is_empty());
        assert!(suggest("e").len() <= MAX_SUGGESTIONS);
    }

    #[test]
    fn distance_counts_changed_letters() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&letters("kitten"), "sitting"), 3);
        assert_eq!(distance(&letters(""), "abc"), 3);
        assert_eq!(distance(&letters("abc"), ""), 3);
        assert_eq!(distance(&letters("wsh301"), "wsh301"), 0);
    }

    #[test]
    fn wrapping_keeps_code_and_hangs_lists() {
        assert_eq!(wrap("one two three", 7), "one two\nthree\n");
        assert_eq!(wrap("    a very long line of code", 10), "    a very long line of code\n");
        assert_eq!(wrap("  WSC603  one two three", 16), "  WSC603  one\n          two\n          three\n");
        assert_eq!(wrap("abc\n\ndef", 80), "abc\n\ndef\n");
        assert_eq!(wrap("incomprehensibility", 5), "incomprehensibility\n");
    }

    #[test]
    fn no_line_but_code_is_wider_than_asked() {
        for query in all().map(|rule| rule.id).chain(["1000", "1005", "1006", "1015", "3000", "403", "21584"]) {
            let text = explain(query).expect("known");
            for line in wrap(&text, 80).lines() {
                let words = line.split_whitespace().count();
                assert!(line.chars().count() <= 80 || line.starts_with("    ") || words == 1, "{query}: {line}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_typed_can_hurt(query in "\\PC{0,80}", width in 0_usize..200) {
            let text = explain(&query).unwrap_or_else(|| query.clone());
            let wrapped = wrap(&text, width);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&wrapped), words(&text));
            prop_assert!(suggest(&query).len() <= MAX_SUGGESTIONS);
        }
    }
}
