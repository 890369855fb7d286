//! The catalogue: every cause that wsscan can name, with its texts.
//!
//! One file per family, one constant per rule, named like its slug (`upgrade-stripped` is
//! [`wsh::UPGRADE_STRIPPED`]; a slug that begins with a digit gets the prefix `HTTP_`). A number is never
//! reused and a slug never changes, since both are part of the output format.
//!
//! The texts are written for people who have never read an RFC. Their form: paragraphs of one long line,
//! separated by an empty line; a line that begins with four spaces is configuration or code and must not be
//! re-wrapped. There is no markup.
//!
//! This module holds no detection and no terminal colours.

pub mod wsa;
pub mod wsc;
pub mod wsd;
pub mod wsf;
pub mod wsh;
pub mod wsi;
pub mod wsk;
pub mod wsl;
pub mod wsn;
pub mod wso;
pub mod wsp;
pub mod wsr;
pub mod wst;
pub mod wsx;

use super::finding::Severity;

/// One cause that wsscan can name.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// `WS`, a family letter and three digits. Never reused.
    pub id: &'static str,
    /// A name of lower-case words joined by hyphens. Never changed.
    pub slug: &'static str,
    /// How bad it usually is; one finding may differ.
    pub severity: Severity,
    /// One plain sentence.
    pub title: &'static str,
    /// What happened, and how packets can show it.
    pub explanation: &'static str,
    /// How exactly it is proved, and when it is only likely or possible.
    pub evidence: &'static str,
    /// What rules it out, and what it is easily confused with.
    pub unless: &'static str,
    /// How it is fixed.
    pub advice: &'static str,
    /// What browsers and libraries report when it happens; empty when they report nothing of their own.
    pub reports: &'static str,
    /// Standards, manuals and public issues, such as `RFC 6455 §4.2.1` or `websockets/ws#1218`.
    pub references: &'static [&'static str],
    /// What people search for: close codes, HTTP statuses, error names.
    pub aliases: &'static [&'static str],
}

/// The families, from the lowest layer to the highest: letter, name, rules.
pub static FAMILIES: &[(char, &str, &[&Rule])] = &[
    ('I', "capture quality", wsi::ALL),
    ('N', "TCP, IP and DNS", wsn::ALL),
    ('T', "TLS", wst::ALL),
    ('P', "proxies and other boxes on the path", wsp::ALL),
    ('H', "opening handshake", wsh::ALL),
    ('F', "framing", wsf::ALL),
    ('D', "compression", wsd::ALL),
    ('C', "closing handshake and close codes", wsc::ALL),
    ('K', "keepalive, idle and lifetime timers", wsk::ALL),
    ('O', "operations", wso::ALL),
    ('R', "reconnect patterns", wsr::ALL),
    ('L', "legs of a proxied connection", wsl::ALL),
    ('A', "application protocol", wsa::ALL),
    ('X', "secrets and security", wsx::ALL),
];

/// Every rule, family by family from the lowest layer to the highest.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    FAMILIES.iter().flat_map(|(_, _, rules)| rules.iter().copied())
}

/// The rule with this id or slug, in any case (`wsh301`, `Upgrade-Stripped`).
#[must_use]
pub fn rule(id_or_slug: &str) -> Option<&'static Rule> {
    let wanted = id_or_slug.trim();
    all().find(|rule| rule.id.eq_ignore_ascii_case(wanted) || rule.slug.eq_ignore_ascii_case(wanted))
}

/// The rules that have this alias (`1006`, `ECONNREFUSED`, `426`), in any case, in catalogue order.
#[must_use]
pub fn by_alias(alias: &str) -> Vec<&'static Rule> {
    let wanted = alias.trim();
    all().filter(|rule| rule.aliases.iter().any(|known| known.eq_ignore_ascii_case(wanted))).collect()
}

/// The rules whose texts hold every word of `text`, in any case, best first: a hit in id, slug, alias or
/// title counts for more than one in the long texts. Empty for an empty query.
#[must_use]
pub fn search(text: &str) -> Vec<&'static Rule> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let mut hits: Vec<(usize, &'static Rule)> =
        all().filter_map(|rule| score(rule, &words).map(|score| (score, rule))).collect();
    // Stable: equal scores stay in catalogue order.
    hits.sort_by_key(|&(score, _)| std::cmp::Reverse(score));
    hits.into_iter().map(|(_, rule)| rule).collect()
}

/// How well a rule fits lower-case words; `None` when one of them is nowhere.
fn score(rule: &Rule, words: &[String]) -> Option<usize> {
    let strong = format!("{} {} {} {}", rule.id, rule.slug, rule.aliases.join(" "), rule.title).to_lowercase();
    let weak = [rule.explanation, rule.evidence, rule.unless, rule.advice, rule.reports, &rule.references.join(" ")]
        .join(" ")
        .to_lowercase();
    words.iter().try_fold(0, |sum, word| {
        if strong.contains(word.as_str()) {
            Some(sum + 3)
        } else if weak.contains(word.as_str()) {
            Some(sum + 1)
        } else {
            None
        }
    })
}
