//! From what the rules propose about one WebSocket to the findings about it.
//!
//! Rules yield candidates and say under which conditions each holds; nothing here knows a rule by name. What falls,
//! what remains and which finding is the root cause follow from roles, specificity, confidence and the declared
//! conditions alone, never from the order in which families run.

use std::cmp::Reverse;

use super::catalogue::{Role, Specificity};
use super::finding::{CounterCheck, Decision, Finding};

/// Candidates that most connections have at most.
const USUAL: usize = 3;

/// A finding that a rule proposes.
#[derive(Debug)]
pub(super) struct Candidate {
    finding: Finding,
    /// How precisely it explains the outcome; `None` when it is a note.
    explains: Option<Specificity>,
    /// It falls when something else explains the outcome at least this precisely.
    unless_explained: Option<Specificity>,
    /// A counter-check disproves it.
    disproved: bool,
    /// Place of its family among the families, which is the order of the findings.
    family: u8,
}

impl Candidate {
    /// Sets how precisely it explains the outcome, where that is not what the rule says.
    pub(super) fn explains(&mut self, specificity: Specificity) -> &mut Self {
        self.explains = Some(specificity);
        self
    }

    /// Withdraws it when something else explains the outcome at least as precisely as `specificity`.
    pub(super) fn unless_explained(&mut self, specificity: Specificity) -> &mut Self {
        self.unless_explained = Some(specificity);
        self
    }

    /// Answers a counter-check: it falls when that stands, and names what is left undecided.
    pub(super) fn check(&mut self, check: &'static CounterCheck, answer: Decision) -> &mut Self {
        match answer {
            Decision::Refuted => {}
            Decision::Stands => self.disproved = true,
            Decision::Undecidable => self.finding.undecided.push(check),
        }
        self
    }

    /// The most specific first and notes last; of equals those that yield to less.
    fn precedence(&self) -> impl Ord + use<> {
        let Candidate { explains, unless_explained, family, .. } = *self;
        (explains.is_none(), explains, unless_explained, Reverse(self.finding.confidence), family)
    }
}

/// What the rules propose about one WebSocket (or attempt).
#[derive(Debug, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    family: u8,
}

impl Candidates {
    /// Those that follow come from the family with this place.
    pub(super) fn of_family(&mut self, family: usize) {
        self.family = family as u8;
    }

    /// Proposes something worth telling that is no explanation of the outcome.
    pub(super) fn note(&mut self, finding: Finding) -> &mut Candidate {
        self.add(finding, None)
    }

    /// Proposes an explanation of the outcome, as specific as its rule says.
    pub(super) fn cause(&mut self, finding: Finding) -> &mut Candidate {
        let specificity = finding.rule.role.specificity();
        debug_assert!(specificity.is_some(), "{} explains nothing", finding.rule.id);
        self.add(finding, specificity)
    }

    /// Proposes an explanation of a failure, or without one a warning.
    pub(super) fn fault(&mut self, failed: bool, finding: Finding) -> &mut Candidate {
        if failed { self.cause(finding) } else { self.note(finding.severity(super::Severity::Warning)) }
    }

    fn add(&mut self, finding: Finding, explains: Option<Specificity>) -> &mut Candidate {
        if self.list.is_empty() {
            self.list = Vec::with_capacity(USUAL);
        }
        let (unless_explained, disproved, family) = (None, false, self.family);
        self.list.push(Candidate { finding, explains, unless_explained, disproved, family });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Decides which findings are reported, in which order, and which of them is the root cause, by its index.
    pub(super) fn resolve(mut self) -> (Vec<Finding>, Option<usize>) {
        self.list.retain(|candidate| !candidate.disproved);
        self.drop_superseded();
        self.drop_explained();
        // Stable: what one family says stays in its order.
        self.list.sort_by_key(|candidate| (candidate.finding.rule.role == Role::Ending, candidate.family));
        let best =
            self.list.iter().enumerate().filter_map(|(index, candidate)| {
                Some((candidate.explains?, Reverse(candidate.finding.confidence), index))
            });
        let root_cause = best.min().map(|(.., index)| index);
        (self.list.into_iter().map(|candidate| candidate.finding).collect(), root_cause)
    }

    /// Drops what another finding supersedes.
    fn drop_superseded(&mut self) {
        let superseded = |rule| self.list.iter().any(|other| other.finding.rule.supersedes.contains(&rule));
        let gone: Vec<bool> = self.list.iter().map(|candidate| superseded(candidate.finding.rule)).collect();
        if gone.contains(&true) {
            let mut gone = gone.into_iter();
            self.list.retain(|_| gone.next() == Some(false));
        }
    }

    /// Drops what holds only as long as nothing explains the outcome better.
    fn drop_explained(&mut self) {
        if self.list.iter().all(|candidate| candidate.unless_explained.is_none()) {
            return;
        }
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|&index| self.list[index].precedence());
        let mut best: Option<Specificity> = None;
        let mut gone = vec![false; self.list.len()];
        for index in order {
            let candidate = &self.list[index];
            match (candidate.unless_explained, best) {
                (Some(level), Some(best)) if best <= level => gone[index] = true,
                _ => best = best.or(candidate.explains),
            }
        }
        let mut gone = gone.into_iter();
        self.list.retain(|_| gone.next() == Some(false));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::severity::{Confidence, Severity};
    use super::super::{catalogue, rules};
    use super::*;

    const LEVELS: [Specificity; 5] =
        [Specificity::Deed, Specificity::Mechanism, Specificity::Answer, Specificity::Statement, Specificity::Ending];
    static CHECK: CounterCheck = CounterCheck { unless: "it rained", needs: "a window" };

    /// A candidate: family, rule, confidence, what it explains and what it yields to, and whether a check stands.
    type Proposed = (usize, usize, usize, Option<usize>, Option<usize>, bool);

    fn proposed() -> impl Strategy<Value = Vec<Proposed>> {
        let level = || prop::option::of(0..LEVELS.len());
        let one = (0..4_usize, any::<prop::sample::Index>(), 0..3_usize, level(), level(), prop::bool::weighted(0.1));
        let all: Vec<_> = catalogue::all().collect();
        let count = all.len();
        prop::collection::vec(one.prop_map(move |(a, rule, b, c, d, e)| (a, rule.index(count), b, c, d, e)), 0..12)
    }

    fn resolved(proposed: &[Proposed], families: [usize; 4]) -> String {
        let mut candidates = Candidates::default();
        for family in families {
            candidates.of_family(family);
            for (of, rule, confidence, explains, unless_explained, stands) in proposed {
                let Some(rule) = catalogue::all().nth(*rule).filter(|_| *of == family) else { continue };
                let candidate = candidates.note(Finding::new(rule, Confidence::ALL[*confidence], "s"));
                if let Some(level) = explains {
                    candidate.explains(LEVELS[*level]);
                }
                if let Some(level) = unless_explained {
                    candidate.unless_explained(LEVELS[*level]);
                }
                candidate.check(&CHECK, if *stands { Decision::Stands } else { Decision::Undecidable });
            }
        }
        format!("{:?}", candidates.resolve())
    }

    proptest! {
        #[test]
        fn the_order_of_families_makes_no_difference(
            proposed in proposed(),
            families in Just([0_usize, 1, 2, 3]).prop_shuffle(),
        ) {
            prop_assert_eq!(resolved(&proposed, families), resolved(&proposed, [0, 1, 2, 3]));
        }
    }

    fn ids(candidates: Candidates) -> (Vec<&'static str>, Option<usize>) {
        let (findings, root_cause) = candidates.resolve();
        (findings.iter().map(|finding| finding.rule.slug).collect(), root_cause)
    }

    #[test]
    fn the_more_specific_is_the_root_cause_and_a_bare_ending_gives_way_to_it() {
        let ending = || Finding::new(&rules::closing::ABNORMAL_CLOSE, Confidence::Proven, "s");
        let timer = || Finding::new(&rules::keepalive::IDLE_TIMEOUT, Confidence::Possible, "s");
        let lost = || Finding::new(&rules::tcp::PATH_LOST, Confidence::Proven, "s");
        let mut alone = Candidates::default();
        alone.cause(ending()).unless_explained(Specificity::Ending);
        assert_eq!(ids(alone), (vec!["abnormal-close"], Some(0)));
        let mut two = Candidates::default();
        two.cause(ending()).unless_explained(Specificity::Ending);
        two.cause(timer()).unless_explained(Specificity::Mechanism);
        assert_eq!(ids(two), (vec!["idle-timeout"], Some(0)));
        let mut three = Candidates::default();
        three.cause(ending()).unless_explained(Specificity::Ending);
        three.cause(timer()).unless_explained(Specificity::Mechanism);
        three.cause(lost());
        assert_eq!(ids(three), (vec!["path-lost"], Some(0)));
    }

    #[test]
    fn a_check_that_stands_disproves_and_one_that_cannot_be_decided_is_named() {
        let lost = || Finding::new(&rules::tcp::PATH_LOST, Confidence::Proven, "s");
        for (decision, told, undecided) in
            [(Decision::Refuted, 1, 0), (Decision::Stands, 0, 0), (Decision::Undecidable, 1, 1)]
        {
            let mut candidates = Candidates::default();
            candidates.note(Finding::new(&rules::tcp::LOSSY_PATH, Confidence::Proven, "s")).check(&CHECK, decision);
            let (findings, _) = candidates.resolve();
            assert_eq!(findings.len(), told);
            assert_eq!(findings.iter().map(|finding| finding.undecided.len()).sum::<usize>(), undecided);
        }
        // A fault that broke nothing is a warning and explains nothing.
        let mut candidates = Candidates::default();
        candidates.fault(false, lost());
        let (findings, root_cause) = candidates.resolve();
        assert_eq!((findings[0].severity, root_cause), (Severity::Warning, None));
    }
}
