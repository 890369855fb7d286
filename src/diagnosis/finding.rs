//! One finding: what wsscan believes happened, how sure it is, and which packets say so.
//!
//! A finding never exists without a [`Rule`], so that everything it claims can be looked up with
//! `wsscan explain`. This module holds no detection: it only carries the result.

use std::borrow::Cow;

use super::catalogue::Rule;
use super::severity::{Confidence, Severity};
use crate::stream::{Side, Stamp};

/// Most pieces of evidence that one finding keeps. Further ones are dropped and counted in
/// [`Finding::evidence_dropped`].
pub const MAX_EVIDENCE: usize = 12;

/// Pieces of evidence that most findings have at most.
const USUAL_EVIDENCE: usize = 2;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The end that opened the connection.
    Client,
    /// The end that was called.
    Server,
    /// A proxy, gateway or load balancer that both ends speak to.
    Proxy,
    /// The path: routes, NAT, firewalls, boxes that read along, DNS.
    Network,
    /// The program above the WebSocket, which spoke properly.
    Application,
    /// Whoever takes the capture.
    Capture,
}

impl Party {
    /// `client`, `server`, `proxy`, `network`, `application` or `capture`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Party::Client => "client",
            Party::Server => "server",
            Party::Proxy => "proxy",
            Party::Network => "network",
            Party::Application => "application",
            Party::Capture => "capture",
        }
    }
}

impl From<Side> for Party {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Party::Client,
            Side::Server => Party::Server,
        }
    }
}

/// What would disprove a finding, as a question that detection answers where the capture can.
#[derive(Debug, PartialEq, Eq)]
pub struct CounterCheck {
    /// What would disprove it, as a sentence.
    pub unless: &'static str,
    /// What to capture to decide it.
    pub needs: &'static str,
}

/// What a capture says to a [`CounterCheck`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is not so: the finding holds.
    Refuted,
    /// It is so: the finding falls.
    Stands,
    /// The capture does not show it.
    Undecidable,
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
    /// Who has to act; may differ from the rule's default.
    pub party: Party,
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
    /// What would disprove it and this capture cannot decide.
    pub undecided: Vec<&'static CounterCheck>,
}

/// A finding without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The rule that fired.
    pub rule: &'static Rule,
    /// How bad it is here.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who has to act.
    pub party: Party,
}

impl Heading {
    /// The heading of a finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        let Finding { rule, severity, confidence, party, .. } = *finding;
        Self { rule, severity, confidence, party }
    }
}

impl Finding {
    /// A finding of `rule` with the rule's own severity, explanation, advice and counter-evidence.
    #[must_use]
    pub fn new(rule: &'static Rule, confidence: Confidence, summary: impl Into<String>) -> Self {
        Finding {
            rule,
            severity: rule.severity,
            confidence,
            party: rule.party,
            summary: summary.into(),
            explanation: Cow::Borrowed(rule.explanation),
            advice: Cow::Borrowed(rule.advice),
            unless: Cow::Borrowed(rule.unless),
            evidence: Vec::new(),
            evidence_dropped: 0,
            undecided: Vec::new(),
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

    /// Names who has to act here.
    #[must_use]
    pub fn party(mut self, party: impl Into<Party>) -> Self {
        self.party = party.into();
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
    use crate::diagnosis::rules::handshake::UPGRADE_STRIPPED;

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
