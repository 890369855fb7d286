//! What the rules have to say about one case, and which of it explains the outcome best.

use super::finding::Finding;

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

/// Findings about one case.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    causes: Vec<(Explains, usize)>,
}

impl Judged {
    /// Worth telling, but no explanation of how it ended.
    pub(super) fn note(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// An explanation of how it ended.
    pub(super) fn cause(&mut self, explains: Explains, finding: Finding) {
        self.causes.push((explains, self.findings.len()));
        self.findings.push(finding);
    }

    /// Whether there is an explanation at least as good as `explains`.
    pub(super) fn explained(&self, explains: Explains) -> bool {
        self.causes.iter().any(|(known, _)| *known <= explains)
    }

    /// Index of the best explanation: the most specific, then the surest, then the first.
    pub(super) fn root_cause(&self) -> Option<usize> {
        self.causes
            .iter()
            .min_by_key(|(explains, index)| (*explains, std::cmp::Reverse(self.findings[*index].confidence), *index))
            .map(|(_, index)| *index)
    }
}
