//! Selection of rules with `--select` and `--disable`.

use super::Failure;
use crate::diagnosis::catalogue;

/// A selection of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RuleSet {
    select: Vec<String>,
    disable: Vec<String>,
}

impl RuleSet {
    /// Resolves ids (`WSH301`), beginnings of ids (`WSH`, `WSH3`), names (`upgrade-stripped`) and `all`, in any
    /// case.
    ///
    /// # Errors
    /// When a name fits no rule; the message names it and the nearest match.
    pub(super) fn new(select: &[String], disable: &[String]) -> Result<Self, Failure> {
        let resolve = |option: &str, names: &[String]| -> Result<Vec<String>, Failure> {
            names.iter().filter(|name| !name.trim().is_empty()).map(|name| prefix(option, name.trim())).collect()
        };
        Ok(Self { select: resolve("--select", select)?, disable: resolve("--disable", disable)? })
    }

    /// Whether the rule with this id is selected. The longest beginning that fits decides; of equals, `--disable`.
    #[must_use]
    pub(super) fn contains(&self, id: &str) -> bool {
        let longest =
            |prefixes: &[String]| prefixes.iter().filter(|p| id.starts_with(p.as_str())).map(String::len).max();
        match (longest(&self.select), longest(&self.disable)) {
            (None, None) => self.select.is_empty(),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(select), Some(disable)) => select > disable,
        }
    }
}

/// The beginning of ids that a name stands for.
fn prefix(option: &str, name: &str) -> Result<String, Failure> {
    if name.eq_ignore_ascii_case("all") {
        return Ok(String::new());
    }
    let upper = name.to_ascii_uppercase();
    if let Some(rule) = catalogue::rule(name) {
        return Ok(rule.id.to_owned());
    }
    if upper.len() >= 3 && catalogue::all().any(|rule| rule.id.starts_with(&upper)) {
        return Ok(upper);
    }
    let near = nearest(name).map_or(String::new(), |near| format!(" (did you mean {near}?)"));
    let name = crate::output::terminal::escape(name);
    Err(Failure::usage(format!("{option}: no rule is called \"{name}\"{near}; \"wsscan explain\" lists them all")))
}

/// The id or name of a rule that is spelled most alike, if any is near.
#[must_use]
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    catalogue::all()
        .flat_map(|rule| [rule.id, rule.slug])
        .map(|known| (distance(&name, &known.to_ascii_lowercase()), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .map(|(_, known)| known)
}

/// Number of insertions, deletions, replacements between two short words; words over 64 bytes are cut.
fn distance(one: &str, other: &str) -> usize {
    const MAX: usize = 64;
    let (one, other) = (&one.as_bytes()[..one.len().min(MAX)], &other.as_bytes()[..other.len().min(MAX)]);
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(select: &[&str], disable: &[&str]) -> RuleSet {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        RuleSet::new(&own(select), &own(disable)).unwrap()
    }

    #[test]
    fn the_longest_fit_decides() {
        assert!(set(&[], &[]).contains("WSH301"));
        assert!(!set(&[], &["WSH301"]).contains("WSH301"));
        assert!(set(&[], &["WSH301"]).contains("WSH302"));
        assert!(!set(&["WST"], &[]).contains("WSH301"));
        assert!(set(&["wsh"], &[]).contains("WSH301"));
        assert!(set(&["upgrade-stripped"], &["WSH"]).contains("WSH301"));
        assert!(!set(&["WSH"], &["Upgrade-Stripped"]).contains("WSH301"));
        assert!(!set(&["WSH301"], &["WSH301"]).contains("WSH301"));
        assert!(set(&["WSH30"], &["ALL"]).contains("WSH301"));
        assert!(!set(&["WSH30"], &["ALL"]).contains("WSH310"));
    }

    #[test]
    fn unknown_names_are_refused_with_a_hint() {
        let message = |name: &str| RuleSet::new(&[name.to_owned()], &[]).unwrap_err().to_string();
        assert_eq!(
            message("upgrade-striped"),
            "--select: no rule is called \"upgrade-striped\" (did you mean upgrade-stripped?); \"wsscan explain\" lists them all"
        );
        assert_eq!(
            message("zzzzzzzzzzzzzz"),
            "--select: no rule is called \"zzzzzzzzzzzzzz\"; \"wsscan explain\" lists them all"
        );
        assert!(message("WS").contains("no rule"));
        assert!(message("\x1b[31m").contains(r"\x1b[31m"));
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
