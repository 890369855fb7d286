//! `wsscan explain`: explains a close code, a rule or an error. Needs no capture.

use std::io::{self, Write};

use anstyle::Style;

use super::Failure;
use super::rules::nearest;
use crate::diagnosis::catalogue::{self, FAMILIES, Rule};
use crate::output::report::{Page, code_name};
use crate::output::terminal::escape;

const BOLD: Style = Style::new().bold();
/// Search results shown.
const MAX_RESULTS: usize = 15;

/// Subject of the explanation.
#[derive(Debug)]
enum Answer {
    All,
    Rule(&'static Rule),
    Code(u16, Vec<&'static Rule>),
    Rules(Vec<&'static Rule>),
}

/// Writes the explanation of `what`, in lines of at most `width` characters where that can be.
///
/// # Errors
/// When nothing is known by that name, or `out` fails.
pub(super) fn explain(out: &mut dyn Write, what: &[String], width: usize) -> Result<(), Failure> {
    let answer = find(what.join(" ").trim())?;
    let mut page = Page { out, width: width.clamp(40, 100) };
    write(&mut page, &answer).map_err(Failure::output)
}

fn find(what: &str) -> Result<Answer, Failure> {
    if what.is_empty() {
        return Ok(Answer::All);
    }
    if let Some(rule) = catalogue::rule(what) {
        return Ok(Answer::Rule(rule));
    }
    let named = catalogue::by_alias(what);
    if what.bytes().all(|b| b.is_ascii_digit())
        && let Ok(code) = what.parse::<u16>()
        && (!named.is_empty() || (1000..5000).contains(&code))
    {
        return Ok(Answer::Code(code, named));
    }
    if !named.is_empty() {
        return Ok(Answer::Rules(named));
    }
    let upper = what.to_ascii_uppercase();
    let family: Vec<&Rule> = catalogue::all().filter(|rule| upper.len() >= 3 && rule.id.starts_with(&upper)).collect();
    if !family.is_empty() {
        return Ok(Answer::Rules(family));
    }
    let mut found = catalogue::search(what);
    found.truncate(MAX_RESULTS);
    if !found.is_empty() {
        return Ok(Answer::Rules(found));
    }
    let near = nearest(what).map_or(String::new(), |near| format!(" (did you mean {near}?)"));
    Err(Failure::usage(format!(
        "explain: nothing is known about \"{}\"{near}; \"wsscan explain\" lists all rules",
        escape(what)
    )))
}

fn write(page: &mut Page<'_>, answer: &Answer) -> io::Result<()> {
    match answer {
        Answer::All => {
            for (letter, name, rules) in FAMILIES {
                page.heading(&format!("WS{letter}  {name}"))?;
                list(page, rules)?;
                page.blank()?;
            }
            page.paragraph(Style::new(), "wsscan explain ID tells more about one of them.")
        }
        Answer::Rule(rule) => one(page, rule),
        Answer::Code(code, rules) => {
            close_code(page, *code)?;
            if rules.is_empty() {
                return Ok(());
            }
            page.blank()?;
            page.heading("What it can come from")?;
            list(page, rules)?;
            page.blank()?;
            page.paragraph(Style::new(), "wsscan explain ID tells more; wsscan -r FILE says which one it was.")
        }
        Answer::Rules(rules) => {
            list(page, rules)?;
            page.blank()?;
            page.paragraph(Style::new(), "wsscan explain ID tells more about one of them.")
        }
    }
}

fn list(page: &mut Page<'_>, rules: &[&Rule]) -> io::Result<()> {
    rules.iter().try_for_each(|rule| page.labelled(BOLD, &format!("  {}", rule.id), 10, rule.title))
}

fn one(page: &mut Page<'_>, rule: &Rule) -> io::Result<()> {
    page.heading(&format!("{} {} · {}", rule.id, rule.slug, rule.severity))?;
    page.paragraph(BOLD, rule.title)?;
    if !rule.detected {
        page.paragraph(Style::new(), "wsscan explains this and does not detect it yet.")?;
    }
    let references = rule.references.join(" · ");
    let aliases = rule.aliases.join(", ");
    for (label, text) in [
        ("what", rule.explanation),
        ("proof", rule.evidence),
        ("unless", rule.unless),
        ("fix", rule.advice),
        ("reports", rule.reports),
        ("references", &references),
        ("see also", &aliases),
    ] {
        if !text.is_empty() {
            page.blank()?;
            page.texts(label, text)?;
        }
    }
    Ok(())
}

/// Description of a close code (RFC 6455 §7.4 and the IANA registry).
fn close_code(page: &mut Page<'_>, code: u16) -> io::Result<()> {
    let name = code_name(code);
    let range = match code {
        1005 => {
            "Never on the wire: a program is told 1005 when the Close frame that it received carried no status code \
             (RFC 6455 §7.1.5). The close itself was clean."
        }
        1006 => {
            "Never on the wire: a program is told 1006 when the connection ended without a Close frame, or never became a \
             WebSocket (RFC 6455 §7.1.5). It says that something is missing, not what went wrong; the packets do."
        }
        1015 => {
            "Never on the wire: a program is told 1015 when TLS failed (RFC 6455 §7.4.1). Most programs say 1006 instead."
        }
        1004 => "Reserved; its meaning was never defined, and no Close frame may carry it.",
        1000 => "The purpose of the connection was fulfilled.",
        1001 => "The sender goes away: a page was left, or a server shuts down.",
        1002 => "The sender saw a violation of the protocol by the other side.",
        1003 => "The sender cannot accept this kind of data, such as binary where it wants text.",
        1007 => "The sender received data that does not fit its type, such as text that is not UTF-8.",
        1008 => {
            "The sender says that its policy was violated. Mostly its own rules, such as a missing login: see the reason."
        }
        1009 => "The sender received a message that is larger than it accepts.",
        1010 => "The client ends the connection because the server did not agree to an extension that it needs.",
        1011 => "The sender met an unexpected condition: an error in its program. See its log.",
        1012 => "The server restarts. Come back after a random delay.",
        1013 => "The server is overloaded. Come back later.",
        1014 => "A gateway got an invalid response from the server behind it.",
        3000 => "Registered with IANA: the login is missing or was refused.",
        3003 => "Registered with IANA: the login is known, and not allowed to do this.",
        3008 => "Registered with IANA: something took too long.",
        0..1000 => {
            "No close code: numbers below 1000 are not used (RFC 6455 §7.4.2). As an HTTP status or another number, see below."
        }
        1016..3000 => "Not assigned: this range is for the protocol itself and its extensions (RFC 6455 §7.4.2).",
        3001..4000 => {
            "For libraries and frameworks, first come, first served at IANA (RFC 6455 §7.4.2); this number is not registered."
        }
        4000..5000 => "Private: it means what the application says it means (RFC 6455 §7.4.2).",
        _ => "Out of the range of close codes (RFC 6455 §7.4.2).",
    };
    match name {
        Some(name) => page.heading(&format!("{code} {name}"))?,
        None => page.heading(&code.to_string())?,
    }
    page.paragraph(Style::new(), range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(what: &str) -> Result<String, String> {
        let words: Vec<String> = what.split_whitespace().map(str::to_owned).collect();
        let mut out = anstream::StripStream::new(Vec::new());
        explain(&mut out, &words, 80).map_err(|failure| failure.to_string())?;
        Ok(String::from_utf8(out.into_inner()).unwrap())
    }

    #[test]
    fn rules_by_id_and_by_name() {
        let by_id = text("wsn002").unwrap();
        assert!(by_id.starts_with("WSN002 connection-refused · error\n"), "{by_id}");
        assert!(by_id.contains("\n  fix "), "{by_id}");
        assert_eq!(text("Connection-Refused").unwrap(), by_id);
        assert!(by_id.lines().all(|line| line.chars().count() <= 80), "{by_id}");
    }

    #[test]
    fn codes() {
        let abnormal = text("1006").unwrap();
        assert!(abnormal.starts_with("1006 abnormal closure\nNever on the wire"), "{abnormal}");
        assert!(abnormal.contains("WSN002"), "{abnormal}");
        assert!(text("4321").unwrap().contains("Private"));
        assert!(text("2500").unwrap().contains("Not assigned"));
    }

    #[test]
    fn names_families_and_words() {
        assert!(text("econnrefused").unwrap().contains("WSN002"));
        let family = text("WST").unwrap();
        assert!(family.contains("WST103") && !family.contains("WSN002"));
        assert!(text("firewall dropped").is_ok_and(|found| found.contains("WS")));
        let all = text("").unwrap();
        assert!(catalogue::all().all(|rule| all.contains(rule.id)));
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        assert!(text("WSZ123").unwrap_err().contains("nothing is known about \"WSZ123\""));
        assert!(text("qqqqqqqq\x1b").unwrap_err().contains(r"qqqqqqqq\x1b"));
        assert!(text("conection-refused").unwrap_err().contains("(did you mean connection-refused?)"));
    }

    #[test]
    fn every_rule_can_be_explained() {
        for rule in catalogue::all() {
            assert!(text(rule.id).unwrap().contains(rule.slug));
        }
    }
}
