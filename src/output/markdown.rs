//! A summary in Markdown, for a ticket: what went wrong, how sure that is, which packets show it, and where. Captured text
//! is escaped, so that it neither forms markup nor mentions anybody.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::model::{Finding, Severity};
use super::render::{Analysis, Render};
use super::terminal;

/// Findings listed; of the rest only the number is given.
const MAX_ROWS: usize = 50;
/// Packets and connections named in one row.
const MAX_NAMED: usize = 6;

/// The summary as a table of warnings and errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Markdown;

impl Render for Markdown {
    fn render(&self, analysis: &Analysis<'_>, out: &mut dyn Write) -> io::Result<()> {
        let summary = analysis.summary();
        let trouble: u64 = summary.verdicts.iter().filter(|(verdict, _)| verdict.is_troubled()).map(|(_, n)| n).sum();
        writeln!(out, "**{trouble} of {} WebSockets or attempts in trouble**", summary.connections)?;
        let files: Vec<String> = analysis.capture().files.iter().map(|file| escaped(&file.path)).collect();
        if !files.is_empty() {
            writeln!(out, "in {} ({} packets)", files.join(", "), analysis.capture().packets)?;
        }
        let mut rows = 0;
        analysis.each_finding(&mut |finding| {
            if finding.severity == Severity::Info {
                return Ok(());
            }
            rows += 1;
            match rows {
                1 => writeln!(
                    out,
                    "\n| | what happened | act | rule | packets | connections |\n|---|---|---|---|---|---|\n{}",
                    row(&finding)
                ),
                2..=MAX_ROWS => writeln!(out, "{}", row(&finding)),
                _ => Ok(()),
            }
        })?;
        if rows > MAX_ROWS {
            writeln!(out, "\nand {} more", rows - MAX_ROWS)?;
        }
        out.flush()
    }
}

fn row(finding: &Finding<'_>) -> String {
    let named = |numbers: &mut dyn Iterator<Item = u64>| {
        let mut text = String::new();
        for (index, number) in numbers.take(MAX_NAMED + 1).enumerate() {
            let _ = match index {
                0 => write!(text, "{number}"),
                MAX_NAMED => write!(text, " …"),
                _ => write!(text, ", {number}"),
            };
        }
        text
    };
    format!(
        "| {} | {} | {} | {} {} | {} | {} |",
        finding.severity.name(),
        escaped(&finding.summary),
        finding.party.name(),
        escaped(&finding.rule),
        finding.confidence.name(),
        named(&mut finding.evidence.iter().map(|evidence| evidence.packet)),
        named(&mut finding.connections.iter().copied()),
    )
}

/// Text in which nothing is markup: what could be becomes a character reference.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in terminal::escape(text).chars() {
        match c {
            // What a bare address on the web would begin with is made a link of by many a reader of tickets.
            '/' if safe.ends_with(":/") => safe.push_str("&#47;"),
            '.' if safe.len() >= 3 && safe.as_bytes()[safe.len() - 3..].eq_ignore_ascii_case(b"www") => {
                safe.push_str("&#46;")
            }
            c if c.is_ascii_alphanumeric() || " ,.:;-/()'%+?=".contains(c) || !c.is_ascii() => safe.push(c),
            // Who reads tickets looks for mentions in the decoded text: a space of no width breaks them.
            '@' => safe.push_str("&#64;&#8203;"),
            '#' => safe.push_str("&#35;&#8203;"),
            c => {
                let _ = write!(safe, "&#{};", u32::from(c));
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::with_analysis;
    use super::*;

    #[test]
    fn a_table_of_what_went_wrong() {
        let written = with_analysis("demo", |analysis| {
            let mut out = Vec::new();
            Markdown.render(analysis, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        });
        assert!(written.starts_with("**6 of 8 WebSockets or attempts in trouble**\n"), "{written}");
        let stripped = written.lines().find(|line| line.contains("WSH301")).unwrap();
        assert!(stripped.starts_with("| error | ") && stripped.contains("| proxy | WSH301 proven | "), "{stripped}");
        assert!(written.lines().skip(2).filter(|line| !line.is_empty()).all(|line| line.matches('|').count() == 7));
    }

    #[test]
    fn captured_text_is_no_markup() {
        let text = escaped("@octocat <img src=x> [a](b) `c` | d\n\x1b[2J #1 é");
        assert!(!text.contains(['@', '<', '>', '[', '`', '|', '\n', '\x1b']), "{text}");
        assert!(!text.replace("&#", "").contains('#') && text.ends_with('é'), "{text}");
        assert!(text.starts_with("&#64;&#8203;octocat") && text.contains("&#35;&#8203;1"), "{text}");
        assert_eq!(escaped("ws://a.example WWW.b.example"), "ws:/&#47;a.example WWW&#46;b.example");
    }
}
