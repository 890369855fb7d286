//! The catalogue: every cause that wsscan can name, with its texts.
//!
//! It holds no rule itself: it collects the families. Those that one connection shows lie in `rules`,
//! those that several show together in [`correlate`](super::correlate), each with its detection. A rule is a constant
//! named like its slug (`upgrade-stripped` is `UPGRADE_STRIPPED`; a slug that begins with a digit gets the prefix
//! `HTTP_`). A number is never reused and a slug never changes, since both are part of the output format.
//!
//! The texts are written for people who have never read an RFC. Their form: paragraphs of one long line,
//! separated by an empty line; a line that begins with four spaces is configuration or code and must not be
//! re-wrapped. There is no markup.

mod rule;

pub use super::finding::Party;
pub use rule::{Role, Rule, Specificity};

use super::correlate::{operations, proxy_legs, reconnect_loops};
use super::rules::{
    application, capture, closing, compression, framing, handshake, keepalive, proxy, security, tcp, tls,
};

/// The families, from the lowest layer to the highest: letter, name, rules.
pub static FAMILIES: &[(char, &str, &[&Rule])] = &[
    ('I', "capture quality", capture::ALL),
    ('N', "TCP, IP and DNS", tcp::ALL),
    ('T', "TLS", tls::ALL),
    ('P', "proxies and other boxes on the path", proxy::ALL),
    ('H', "opening handshake", handshake::ALL),
    ('F', "framing", framing::ALL),
    ('D', "compression", compression::ALL),
    ('C', "closing handshake and close codes", closing::ALL),
    ('K', "keepalive, idle and lifetime timers", keepalive::ALL),
    ('O', "operations", operations::ALL),
    ('R', "reconnect patterns", reconnect_loops::ALL),
    ('L', "legs of a proxied connection", proxy_legs::ALL),
    ('A', "application protocol", application::ALL),
    ('X', "secrets and security", security::ALL),
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::diagnosis::Severity;

    /// Every id that a release has given out, family by family: none of them may ever go.
    const IDS: &[&str] = &[
        "WSI001 WSI002 WSI003 WSI004 WSI005 WSI006 WSI007 WSI008 WSI009",
        "WSN001 WSN002 WSN003 WSN004 WSN005 WSN006 WSN007 WSN008 WSN009 WSN010 WSN011 WSN012",
        "WST101 WST102 WST103 WST104 WST105 WST106 WST107 WST108 WST109 WST110 WST111 WST112 WST113 WST114 WST115 WST116",
        "WSP201 WSP202 WSP203 WSP204 WSP205 WSP206",
        "WSH301 WSH302 WSH303 WSH304 WSH305 WSH306 WSH307 WSH308 WSH310 WSH311 WSH312 WSH313 WSH314 WSH315 WSH316 WSH317 WSH318 WSH319 WSH321 WSH322 WSH323 WSH324 WSH325 WSH326 WSH327 WSH328 WSH329 WSH330 WSH332 WSH333 WSH335 WSH336 WSH337 WSH338 WSH340 WSH341 WSH342 WSH343 WSH344",
        "WSF401 WSF402 WSF403 WSF404 WSF405 WSF406 WSF407 WSF408 WSF409 WSF410 WSF411 WSF412 WSF413 WSF414 WSF415 WSF416 WSF417 WSF418 WSF419 WSF420 WSF421",
        "WSD501 WSD502 WSD503 WSD504 WSD505 WSD506 WSD507 WSD508 WSD509",
        "WSC601 WSC602 WSC603 WSC604 WSC605 WSC606 WSC607 WSC608 WSC609 WSC610 WSC611 WSC612 WSC613 WSC614 WSC615 WSC616 WSC617 WSC618 WSC619 WSC620 WSC621",
        "WSK701 WSK702 WSK703 WSK704 WSK705 WSK706 WSK707 WSK708 WSK709 WSK710 WSK711 WSK712",
        "WSO801 WSO802 WSO803 WSO804 WSO805 WSO806 WSO807",
        "WSR901 WSR902 WSR903 WSR904 WSR905 WSR906 WSR907 WSR908",
        "WSL951 WSL952 WSL953 WSL954 WSL955 WSL956",
        "WSA701 WSA702 WSA704 WSA712",
        "WSX901 WSX902 WSX903 WSX904",
    ];

    fn ids() -> Vec<&'static str> {
        IDS.iter().flat_map(|family| family.split_whitespace()).collect()
    }

    /// The long texts of a rule, each with its name.
    fn texts(rule: &'static Rule) -> [(&'static str, &'static str); 6] {
        [
            ("title", rule.title),
            ("explanation", rule.explanation),
            ("evidence", rule.evidence),
            ("unless", rule.unless),
            ("advice", rule.advice),
            ("reports", rule.reports),
        ]
    }

    /// The words of a text that look like the id of a rule.
    fn mentioned(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.len() == 6 && word.starts_with("WS") && word[3..].bytes().all(|b| b.is_ascii_digit()))
    }

    #[test]
    fn every_id_that_was_given_out_exists() {
        let gone: Vec<&str> = ids().into_iter().filter(|id| rule(id).is_none_or(|rule| rule.id != *id)).collect();
        assert!(gone.is_empty(), "{gone:?}");
    }

    #[test]
    fn ids_and_slugs_are_well_formed_and_unique() {
        let (mut ids, mut slugs) = (HashSet::new(), HashSet::new());
        for (letter, _, rules) in FAMILIES {
            assert!(rules.is_sorted_by(|a, b| a.id < b.id), "family {letter}");
            for rule in *rules {
                let digits = rule.id.strip_prefix(&format!("WS{letter}"));
                assert!(digits.is_some_and(|d| d.len() == 3 && d.bytes().all(|b| b.is_ascii_digit())), "{}", rule.id);
                let words: Vec<&str> = rule.slug.split('-').collect();
                let kebab = |word: &&str| {
                    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                };
                assert!(words.iter().all(kebab), "{}", rule.slug);
                assert!(ids.insert(rule.id) && slugs.insert(rule.slug), "{} twice", rule.id);
            }
        }
    }

    #[test]
    fn every_rule_is_complete() {
        for rule in all() {
            for (name, text) in texts(rule) {
                assert!(!text.is_empty() || name == "reports", "{}: no {name}", rule.id);
            }
            assert!(!rule.references.is_empty() && !rule.aliases.is_empty(), "{}", rule.id);
            assert!(rule.references.iter().chain(rule.aliases).all(|entry| !entry.trim().is_empty()), "{}", rule.id);
            assert!(!rule.title.contains('\n') && rule.title.ends_with('.'), "{}", rule.id);
            let sentences = rule.explanation.matches(". ").count() + 1;
            assert!((2..=6).contains(&sentences), "{}: {sentences} sentences", rule.id);
            let mut aliases = rule.aliases.to_vec();
            aliases.sort_unstable();
            aliases.dedup();
            assert_eq!(aliases.len(), rule.aliases.len(), "{}: an alias twice", rule.id);
        }
    }

    #[test]
    fn texts_are_plain_text_in_the_promised_form() {
        for rule in all() {
            let references = rule.references.iter().chain(rule.aliases).map(|&entry| ("list", entry));
            for (name, text) in texts(rule).into_iter().chain(references) {
                let place = || format!("{} {name}: {text}", rule.id);
                assert!(text.chars().all(|c| c == '\n' || c == '§' || (' '..='~').contains(&c)), "{}", place());
                assert!(
                    !text.contains('`') && !text.contains("](") && !text.contains("{1006}") && !text.contains("{hs"),
                    "{}",
                    place()
                );
                assert!(text == text.trim() && !text.contains("\n\n\n"), "{}", place());
                for line in text.lines() {
                    let spaces = line.len() - line.trim_start().len();
                    assert!(spaces == 0 || spaces >= 4, "{}", place());
                    assert!(spaces > 0 || !line.contains("  "), "{}", place());
                    assert!(spaces == 0 || line.len() <= 104, "too wide: {}", place());
                    let markup = ["# ", "- ", "* ", "> ", "| "].iter().any(|mark| line.starts_with(mark));
                    assert!(!markup && (spaces > 0 || !line.contains("**")), "{}", place());
                }
            }
        }
    }

    #[test]
    fn texts_mention_only_rules_that_exist() {
        for source in all() {
            for (name, text) in texts(source) {
                for id in mentioned(text) {
                    assert!(rule(id).is_some(), "{} {name} mentions {id}", source.id);
                }
            }
        }
        assert_eq!(mentioned("see WSH301, (WSK701) and WSH3xx").collect::<Vec<_>>(), ["WSH301", "WSK701"]);
    }

    #[test]
    fn rules_are_found_by_id_slug_and_alias() {
        for expected in all() {
            assert_eq!(rule(expected.id), Some(expected));
            assert_eq!(rule(&expected.id.to_lowercase()), Some(expected));
            assert_eq!(rule(&expected.slug.to_uppercase()), Some(expected));
            for alias in expected.aliases {
                assert!(by_alias(&alias.to_lowercase()).contains(&expected), "{alias}");
            }
        }
        assert_eq!(rule("WSH000"), None);
        assert_eq!(rule(""), None);
        assert!(by_alias("").is_empty());
        let causes: Vec<&str> = by_alias("1006").iter().map(|rule| rule.id).collect();
        for id in ["WSN005", "WST103", "WSH301", "WSC603", "WSK701", "WSO802"] {
            assert!(causes.contains(&id), "{id}");
        }
        assert!(by_alias("1005").iter().any(|rule| rule.id == "WSC602"));
    }

    #[test]
    fn search_wants_every_word_and_ranks_titles_first() {
        assert_eq!(search("upgrade-stripped")[0].id, "WSH301");
        assert_eq!(search("idle timeout proxy_read_timeout")[0].id, "WSK701");
        assert!(search("certificate EXPIRED").iter().take(2).any(|rule| rule.id == "WST104"));
        assert!(search("certificate zzzzzz").is_empty());
        assert!(search("  ").is_empty());
    }

    #[test]
    fn what_only_explains_is_never_an_error() {
        for id in ["WSC601", "WSC605", "WSC606", "WSC607", "WSC610", "WSR908", "WSD509", "WSI007"] {
            assert_eq!(rule(id).map(|rule| rule.severity), Some(Severity::Info), "{id}");
        }
    }
}
