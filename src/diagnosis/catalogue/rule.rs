//! What the catalogue knows about one rule: its texts, and what the resolver asks of it.

use std::fmt;

use super::super::finding::Party;
use super::super::severity::Severity;

/// How precisely a finding explains an end: the smaller, the more specific. The more specific beats the more general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Specificity {
    /// The deed itself is in the packets and nothing lies behind it.
    Deed,
    /// A named mechanism (a timer, a dead path, a proxy) that several facts agree on.
    Mechanism,
    /// The answer that was given instead of a WebSocket.
    Answer,
    /// What the closing side said about it.
    Statement,
    /// How it ended, with who did it.
    Ending,
}

/// What a finding of a rule is to the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It can explain the outcome, this precisely unless detection says otherwise.
    Cause(Specificity),
    /// It says that it ended (1006, RST, FIN) and no more: not worth telling once anything explains it.
    Ending,
    /// Worth telling, but no explanation of the outcome.
    Note,
}

impl Role {
    /// How precisely it explains an end; `None` when it does not.
    #[must_use]
    pub const fn specificity(self) -> Option<Specificity> {
        match self {
            Role::Cause(specificity) => Some(specificity),
            Role::Ending => Some(Specificity::Ending),
            Role::Note => None,
        }
    }
}

/// One cause that wsscan can name. There is none outside of the catalogue.
#[non_exhaustive]
pub struct Rule {
    /// `WS`, a family letter and three digits. Never reused.
    pub id: &'static str,
    /// A name of lower-case words joined by hyphens. Never changed.
    pub slug: &'static str,
    /// How bad it usually is; one finding may differ.
    pub severity: Severity,
    /// What it is to the outcome.
    pub role: Role,
    /// Who usually has to act; one finding may differ.
    pub party: Party,
    /// The rules whose findings it replaces wherever it is found about the same WebSocket.
    pub supersedes: &'static [&'static Rule],
    /// Several connections that show it alike get one finding about all of them.
    pub shared: bool,
    /// Whether wsscan detects it. What is not detected yet is only explained.
    pub detected: bool,
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

impl Rule {
    /// What holds for a rule that says nothing else: detected, a note, without a report of its own.
    pub(crate) const BASE: Rule = Rule {
        id: "",
        slug: "",
        severity: Severity::Info,
        role: Role::Note,
        party: Party::Application,
        supersedes: &[],
        shared: false,
        detected: true,
        title: "",
        explanation: "",
        evidence: "",
        unless: "",
        advice: "",
        reports: "",
        references: &[],
        aliases: &[],
    };

    /// Whether it is about the capture and not about what was captured.
    #[must_use]
    pub fn is_about_capture(&self) -> bool {
        self.party == Party::Capture
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.id == other.id
    }
}

impl Eq for Rule {}
