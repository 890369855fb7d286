//! From connections in brief to a judged report: who belongs in it, and what they say together. Works on all cores;
//! the result is the same for any number of them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::event::Kept;
use super::parallel;
use super::run::Known;
use crate::diagnosis::relations::{Gathered, Relation, Shared, Surroundings, belongs};
use crate::diagnosis::{Brief, Finding, Heading};

/// How many subjects one worker takes at a time.
const BLOCK: usize = 4096;

/// Endings that say no more than that it ended: not worth telling once several connections together explain it.
const BARE_ENDINGS: [&str; 3] = ["WSN005", "WSN006", "WSC603"];
/// Causes that are told once for all when many connections show them alike.
const SHARED_CAUSES: [&str; 1] = ["WSK701"];

/// One WebSocket or attempt, or a connection that failed before it had any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Index of its connection among those that were kept.
    pub connection: usize,
    /// Index among what that connection has to say.
    pub index: usize,
}

/// The finding that explains an outcome best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// One about the subject alone, by its index there.
    Own(usize),
    /// One about several subjects, by its index in [`Judgement::shared`].
    Shared(usize),
}

/// Everything believed about a capture as a whole.
#[derive(Debug, Default)]
pub struct Judgement<'a> {
    /// What is reported, in order of first packet.
    pub subjects: Vec<Subject>,
    /// The same in brief.
    pub briefs: Vec<&'a Brief>,
    /// How subjects belong together.
    pub relations: Vec<Relation>,
    /// Findings about several subjects.
    pub shared: Vec<Shared>,
    /// Findings about no subject in particular.
    pub aside: Vec<&'a Finding>,
    /// Which shared finding explains a subject best.
    explained: BTreeMap<usize, usize>,
    /// Findings of subjects that a shared one makes superfluous.
    superfluous: BTreeMap<usize, usize>,
}

impl<'a> Judgement<'a> {
    /// Judges the connections of a capture. `chosen`: a filter of the user picked them.
    #[must_use]
    pub fn of<K: Kept>(connections: &'a [Known<K>], chosen: bool, threads: usize) -> Self {
        let mut surroundings = Surroundings::default();
        let gather = |range: Range<usize>| {
            let mut surroundings = Surroundings::default();
            connections[range].iter().flat_map(|known| known.kept.briefs()).for_each(|brief| surroundings.add(brief));
            surroundings
        };
        parallel::blocks(threads, connections.len(), BLOCK, gather).into_iter().for_each(|seen| {
            surroundings.merge(seen);
        });
        surroundings.settle();
        let choose = |range: Range<usize>| {
            let (mut subjects, mut briefs, mut aside) = (Vec::new(), Vec::new(), Vec::new());
            for connection in range {
                let kept = &connections[connection].kept;
                aside.extend(kept.aside());
                for (index, brief) in kept.briefs().iter().enumerate() {
                    if belongs(brief, &surroundings, chosen) {
                        subjects.push(Subject { connection, index });
                        briefs.push(brief);
                    }
                }
            }
            (subjects, briefs, aside)
        };
        let (mut subjects, mut briefs, mut aside) = (Vec::new(), Vec::new(), Vec::new());
        for (more_subjects, more_briefs, more_aside) in parallel::blocks(threads, connections.len(), BLOCK, choose) {
            subjects.extend(more_subjects);
            briefs.extend(more_briefs);
            aside.extend(more_aside);
        }
        Self { subjects, aside, ..Self::among(briefs, threads) }
    }

    /// Judges what subjects, in order of first packet, say together. Whose they are is the caller's knowledge.
    #[must_use]
    pub fn among(briefs: Vec<&'a Brief>, threads: usize) -> Self {
        let gather = |range: Range<usize>| {
            let mut gathered = Gathered::default();
            range.for_each(|index| gathered.add(index, briefs[index]));
            gathered
        };
        let mut gathered = Gathered::default();
        parallel::blocks(threads, briefs.len(), BLOCK, gather).into_iter().for_each(|later| gathered.merge(later));
        let (relations, shared) = gathered.relate(&briefs);
        let mut explained = BTreeMap::new();
        let mut superfluous = BTreeMap::new();
        for (index, one) in shared.iter().enumerate() {
            for subject in &one.explains {
                explained.entry(*subject).or_insert(index);
                if let (Some(place), Some(cause)) = (briefs[*subject].root_cause, briefs[*subject].cause())
                    && (BARE_ENDINGS.contains(&cause.rule.id) || cause.rule == one.finding.rule)
                {
                    superfluous.entry(*subject).or_insert(place as usize);
                }
            }
        }
        Self { subjects: Vec::new(), briefs, relations, shared, aside: Vec::new(), explained, superfluous }
    }

    /// Whether other connections may yet explain better how this one ended.
    #[must_use]
    pub fn may_be_better_explained(brief: &Brief) -> bool {
        brief
            .cause()
            .is_some_and(|cause| BARE_ENDINGS.contains(&cause.rule.id) || SHARED_CAUSES.contains(&cause.rule.id))
    }

    /// The findings about a subject alone, and their places there; without those that a shared finding makes
    /// superfluous.
    pub fn headings(&self, subject: usize) -> impl Iterator<Item = (usize, &'a Heading)> + '_ {
        let superfluous = self.superfluous.get(&subject);
        self.briefs[subject].headings.iter().enumerate().filter(move |(index, _)| Some(index) != superfluous)
    }

    /// The finding that explains the outcome of a subject best.
    #[must_use]
    pub fn root_cause(&self, subject: usize) -> Option<Cause> {
        let own = || self.briefs[subject].root_cause.map(|cause| Cause::Own(cause as usize));
        self.explained.get(&subject).map(|shared| Cause::Shared(*shared)).or_else(own)
    }

    /// The same without its words.
    #[must_use]
    pub fn root_cause_heading(&self, subject: usize) -> Option<Heading> {
        match self.root_cause(subject)? {
            Cause::Own(index) => self.briefs[subject].headings.get(index).copied(),
            Cause::Shared(index) => self.shared.get(index).map(|shared| Heading::of(&shared.finding)),
        }
    }
}
