//! Whether a connection needs somebody's attention: the first word of every report.

use super::finding::Heading;
use super::outcome::Outcome;
use super::severity::Severity;

/// Whether a connection needs somebody's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// It did, or does, what it should.
    Fine,
    /// It worked, and something about it is worth knowing.
    Noteworthy,
    /// It failed or was cut off, or data was lost.
    Trouble,
    /// The capture does not tell.
    Unknown,
}

impl Assessment {
    /// Follows from how it ended and from what explains that best, if anything does.
    #[must_use]
    pub fn of(outcome: Outcome, root_cause: Option<Heading>) -> Self {
        match (outcome, root_cause.map(|cause| cause.severity)) {
            (_, Some(Severity::Error)) => Self::Trouble,
            (outcome, Some(Severity::Warning)) if outcome.is_failure() => Self::Trouble,
            (_, Some(Severity::Warning)) => Self::Noteworthy,
            (Outcome::Unknown, None) => Self::Unknown,
            (outcome, None) if outcome.is_failure() => Self::Trouble,
            _ => Self::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Party;
    use super::super::rules::tcp::RESET_NO_CLOSE;
    use super::super::severity::Confidence;
    use super::*;

    #[test]
    fn follows_from_outcome_and_cause() {
        let cause = |severity| {
            Some(Heading { rule: &RESET_NO_CLOSE, severity, confidence: Confidence::Proven, party: Party::Network })
        };
        for (outcome, cause, assessment) in [
            (Outcome::ClosedClean, None, Assessment::Fine),
            (Outcome::ClosedAbnormal, None, Assessment::Trouble),
            (Outcome::ClosedAbnormal, cause(Severity::Warning), Assessment::Trouble),
            (Outcome::ClosedAbnormal, cause(Severity::Info), Assessment::Fine),
            (Outcome::ClosedClean, cause(Severity::Warning), Assessment::Noteworthy),
            (Outcome::Open, cause(Severity::Error), Assessment::Trouble),
            (Outcome::Unknown, None, Assessment::Unknown),
            (Outcome::Unknown, cause(Severity::Info), Assessment::Fine),
        ] {
            assert_eq!(Assessment::of(outcome, cause), assessment, "{outcome:?} {cause:?}");
        }
    }
}
