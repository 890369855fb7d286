//! One finding: what wsscan believes happened, how sure it is, and which packets say so.
//!
//! A finding never exists without a [`Rule`], so that everything it claims can be looked up with
//! `wsscan explain`. This module holds no detection: it only carries the result.

use std::borrow::Cow;
use std::fmt;

use super::catalogue::Rule;
use crate::stream::{Side, Stamp};

/// Most pieces of evidence that one finding keeps. Further ones are dropped and counted in
/// [`Finding::evidence_dropped`].
pub const MAX_EVIDENCE: usize = 12;

/// Pieces of evidence that most findings have at most.
const USUAL_EVIDENCE: usize = 2;

/// How bad it is, from harmless to broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// An explanation only: nothing is wrong.
    Info,
    /// It works, but it is fragile or breaks a MUST of a standard.
    Warning,
    /// The connection failed or data was lost.
    Error,
}

impl Severity {
    /// Every severity, from the lowest to the highest.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

    /// `info`, `warning` or `error`, as printed and as typed on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How sure it is. Ordered from the weakest to the strongest.
///
/// A product's name is never [`Confidence::Proven`] unless the product names itself on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// One indicator, or nothing but a time that equals a default timer.
    Possible,
    /// Two or more independent indicators that fit a known implementation or product.
    Likely,
    /// Follows from the packets and the standards alone.
    Proven,
}

impl Confidence {
    /// Every confidence, from the weakest to the strongest.
    pub const ALL: [Confidence; 3] = [Confidence::Possible, Confidence::Likely, Confidence::Proven];

    /// `possible`, `likely` or `proven`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Proven => "proven",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One packet that supports a finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// The packet and its capture time.
    pub stamp: Stamp,
    /// Who sent it; `None` when that is unknown or does not apply.
    pub from: Option<Side>,
    /// What it shows, in a few words.
    pub note: Cow<'static, str>,
}

/// What wsscan found out about one connection or one group of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that fired.
    pub rule: &'static Rule,
    /// How bad it is here; may differ from the rule's default.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// One sentence with the concrete facts: who, what, when, and the numbers.
    pub summary: String,
    /// What happened and how the packets prove it.
    pub explanation: Cow<'static, str>,
    /// How it is fixed.
    pub advice: Cow<'static, str>,
    /// What would disprove it.
    pub unless: Cow<'static, str>,
    /// The packets that support it, at most [`MAX_EVIDENCE`], in the order in which they were added.
    pub evidence: Vec<Evidence>,
    /// Pieces of evidence that were not kept because [`MAX_EVIDENCE`] was reached.
    pub evidence_dropped: u64,
}

impl Finding {
    /// A finding of `rule` with the rule's own severity, explanation, advice and counter-evidence.
    #[must_use]
    pub fn new(rule: &'static Rule, confidence: Confidence, summary: impl Into<String>) -> Self {
        Finding {
            rule,
            severity: rule.severity,
            confidence,
            summary: summary.into(),
            explanation: Cow::Borrowed(rule.explanation),
            advice: Cow::Borrowed(rule.advice),
            unless: Cow::Borrowed(rule.unless),
            evidence: Vec::new(),
            evidence_dropped: 0,
        }
    }

    /// Adds a packet that supports the finding; beyond [`MAX_EVIDENCE`] it is only counted.
    #[must_use]
    pub fn evidence(mut self, stamp: Stamp, from: Option<Side>, note: impl Into<Cow<'static, str>>) -> Self {
        self.add_evidence(stamp, from, note);
        self
    }

    /// Like [`Finding::evidence`], for a finding that is built in a loop.
    pub fn add_evidence(&mut self, stamp: Stamp, from: Option<Side>, note: impl Into<Cow<'static, str>>) {
        if self.evidence.len() < MAX_EVIDENCE {
            if self.evidence.is_empty() {
                self.evidence = Vec::with_capacity(USUAL_EVIDENCE);
            }
            self.evidence.push(Evidence { stamp, from, note: note.into() });
        } else {
            self.evidence_dropped += 1;
        }
    }

    /// Whether explanation, advice and counter-evidence are those of the rule.
    #[must_use]
    pub fn has_the_words_of_its_rule(&self) -> bool {
        let is = |text: &Cow<'static, str>, of_rule: &'static str| match text {
            Cow::Borrowed(text) => std::ptr::eq(*text, of_rule),
            Cow::Owned(_) => false,
        };
        is(&self.explanation, self.rule.explanation)
            && is(&self.advice, self.rule.advice)
            && is(&self.unless, self.rule.unless)
    }

    /// Replaces the rule's severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Replaces the rule's explanation.
    #[must_use]
    pub fn explanation(mut self, explanation: impl Into<Cow<'static, str>>) -> Self {
        self.explanation = explanation.into();
        self
    }

    /// Replaces the rule's advice.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Replaces what would disprove the finding.
    #[must_use]
    pub fn unless(mut self, unless: impl Into<Cow<'static, str>>) -> Self {
        self.unless = unless.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::catalogue::wsh::UPGRADE_STRIPPED;

    #[test]
    fn severities_and_confidences_are_ordered() {
        assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Error);
        assert!(Confidence::Possible < Confidence::Likely && Confidence::Likely < Confidence::Proven);
        assert!(Severity::ALL.is_sorted() && Confidence::ALL.is_sorted());
        assert_eq!(format!("[{:<8}]", Severity::Error), "[error   ]");
        assert_eq!(format!("{:>8}", Confidence::Likely), "  likely");
    }

    #[test]
    fn a_finding_starts_with_the_texts_of_its_rule() {
        let finding = Finding::new(&UPGRADE_STRIPPED, Confidence::Proven, "the proxy dropped Upgrade");
        assert_eq!(finding.severity, UPGRADE_STRIPPED.severity);
        assert_eq!(finding.explanation, UPGRADE_STRIPPED.explanation);
        assert_eq!(finding.advice, UPGRADE_STRIPPED.advice);
        assert_eq!(finding.unless, UPGRADE_STRIPPED.unless);
        let changed = finding.severity(Severity::Info).explanation("e").advice("a").unless("u").evidence(
            Stamp { packet: 7, at: 1 },
            Some(Side::Client),
            "no Upgrade header",
        );
        assert_eq!(changed.severity, Severity::Info);
        assert_eq!((&*changed.explanation, &*changed.advice, &*changed.unless), ("e", "a", "u"));
        assert_eq!(changed.evidence[0].stamp.packet, 7);
        assert_eq!(changed.evidence[0].from, Some(Side::Client));
    }

    #[test]
    fn evidence_is_bounded_and_the_rest_is_counted() {
        let mut finding = Finding::new(&UPGRADE_STRIPPED, Confidence::Possible, "s");
        for packet in 1..=100 {
            finding.add_evidence(Stamp { packet, at: 0 }, None, "n");
        }
        assert_eq!(finding.evidence.len(), MAX_EVIDENCE);
        assert_eq!(finding.evidence.last().map(|e| e.stamp.packet), Some(MAX_EVIDENCE as u64));
        assert_eq!(finding.evidence_dropped, 100 - MAX_EVIDENCE as u64);
    }
}
