//! What the rules have to say about one case, and which of it explains the outcome best.

use std::cmp::Reverse;

use super::finding::{Confidence, Finding};

/// How well a finding explains a failure: the smaller, the more specific. The more specific beats the more general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Explains {
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
    /// Only the symptom.
    Symptom,
}

/// Room for findings is made one by one up to so many: hardly any case has more.
const FEW: usize = 3;

/// Findings about one case.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    /// The best explanation so far, and its index.
    best: Option<(Explains, Reverse<Confidence>, usize)>,
}

impl Judged {
    /// Worth telling, but no explanation of how it ended.
    pub(super) fn note(&mut self, finding: Finding) {
        match self.findings.len() {
            0 => self.findings = Vec::with_capacity(1),
            1..FEW => self.findings.reserve_exact(1),
            _ => {}
        }
        self.findings.push(finding);
    }

    /// An explanation of how it ended.
    pub(super) fn cause(&mut self, explains: Explains, finding: Finding) {
        let this = (explains, Reverse(finding.confidence), self.findings.len());
        self.best = Some(self.best.map_or(this, |best| best.min(this)));
        self.note(finding);
    }

    /// Whether there is an explanation at least as good as `explains`.
    pub(super) fn explained(&self, explains: Explains) -> bool {
        self.best.is_some_and(|(best, ..)| best <= explains)
    }

    /// Index of the best explanation: the most specific, then the surest, then the first.
    pub(super) fn root_cause(&self) -> Option<usize> {
        self.best.map(|(.., index)| index)
    }
}
