//! Which findings a judged capture lists, in which order, and under which numbers: those about one subject, subject
//! by subject, then those about several, then those about none. Knows headings only, no words.

use std::collections::BTreeMap;
use std::ops::Range;

use super::from_record;
use super::model::{self, FindingCounts, Outcome, Relation, RootCause, Summary, Verdict};
use crate::diagnosis::catalogue::Rule;
use crate::diagnosis::{Finding, Heading, Severity};
use crate::engine::{Cause, Judgement, parallel};

/// Which findings are wanted.
pub(crate) type Wanted<'w> = dyn Fn(&Rule, Severity) -> bool + Sync + 'w;

/// How many subjects one worker takes at a time.
const BLOCK: usize = 4096;

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// About this subject, and its index there.
    Own(usize, usize),
    /// Among those about several subjects.
    Shared(usize),
    /// Among those about none.
    Plain(usize),
}

/// The findings that are wanted, numbered.
pub(crate) struct Listing<'j> {
    judgement: &'j Judgement<'j>,
    wanted: &'j Wanted<'j>,
    /// Number of the first finding about each subject, and of the first that is about none alone.
    first: Vec<u64>,
    /// Those about several subjects, then those about none.
    others: Vec<Place>,
    /// Numbers of what is shared, by subject.
    shared: BTreeMap<usize, Vec<u64>>,
    /// Id of each subject, unless that is its place.
    ids: Option<Vec<u64>>,
    /// Number of the first finding.
    from: u64,
    summary: Summary,
}

impl<'j> Listing<'j> {
    /// Puts the findings that are wanted in order. Connections are numbered from 1, findings from 0.
    #[must_use]
    pub(crate) fn new(judgement: &'j Judgement<'j>, wanted: &'j Wanted<'j>, threads: usize) -> Self {
        let is_wanted = |heading: &Heading| wanted(heading.rule, heading.severity);
        let count = |range: Range<usize>| {
            let mut summary = Summary::default();
            let mut outcomes = [0; Outcome::ALL.len()];
            let mut verdicts = [0; Verdict::ALL.len()];
            let mut numbers = Vec::with_capacity(range.len());
            for subject in range {
                summary.connections += 1;
                summary.websockets += u64::from(judgement.is_websocket(subject));
                outcomes[from_record::outcome(judgement.outcome(subject)) as usize] += 1;
                verdicts[from_record::verdict(judgement.assessment(subject)) as usize] += 1;
                let mut number = 0_u32;
                for (_, heading) in judgement.headings(subject).filter(|(_, heading)| is_wanted(heading)) {
                    summary.findings.add(from_record::severity(heading.severity));
                    number += 1;
                }
                numbers.push(number);
            }
            summary.verdicts = Verdict::ALL.into_iter().zip(verdicts).filter(|(_, count)| *count > 0).collect();
            summary.outcomes = Outcome::ALL.into_iter().zip(outcomes).filter(|(_, count)| *count > 0).collect();
            (summary, numbers)
        };
        let mut summary = Summary::default();
        let mut first = Vec::with_capacity(judgement.len() + 1);
        let mut next = 0;
        for (part, numbers) in parallel::blocks(threads, judgement.len(), BLOCK, count) {
            add(&mut summary, part);
            for number in numbers {
                first.push(next);
                next += u64::from(number);
            }
        }
        first.push(next);
        let mut others = Vec::new();
        let mut shared: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (index, one) in judgement.shared.iter().enumerate() {
            if is_wanted(&Heading::of(&one.finding)) {
                for subject in &one.subjects {
                    shared.entry(*subject).or_default().push(next + others.len() as u64);
                }
                others.push(Place::Shared(index));
            }
        }
        let plain = judgement.plain_findings.iter().enumerate().filter(|(_, finding)| is_wanted(&Heading::of(finding)));
        others.extend(plain.map(|(index, _)| Place::Plain(index)));
        let mut listing = Self { judgement, wanted, first, others, shared, ids: None, from: 0, summary };
        let mut counts = listing.summary.findings;
        for number in next..listing.len() as u64 {
            let severity = match listing.place(number as usize) {
                Place::Shared(index) => judgement.shared[index].finding.severity,
                Place::Own(..) => continue,
                Place::Plain(index) => judgement.plain_findings[index].severity,
            };
            counts.add(from_record::severity(severity));
        }
        listing.summary.findings = counts;
        listing
    }

    /// Numbers connections (`ids`, one per subject) and findings (from `from` on) as they were numbered before.
    #[must_use]
    pub(crate) fn numbered(self, ids: Vec<u64>, from: u64) -> Self {
        Self { ids: Some(ids), from, ..self }
    }

    /// What it lists.
    #[must_use]
    pub(crate) fn judgement(&self) -> &'j Judgement<'j> {
        self.judgement
    }

    /// The whole in numbers.
    #[must_use]
    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Id of a subject.
    #[must_use]
    pub(crate) fn id(&self, subject: usize) -> u64 {
        self.ids.as_ref().map_or(subject as u64 + 1, |ids| ids[subject])
    }

    /// How many findings there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.first[self.judgement.len()] as usize + self.others.len()
    }

    /// How many findings are about one subject each: they come first.
    #[must_use]
    pub(crate) fn own(&self) -> usize {
        self.first[self.judgement.len()] as usize
    }

    /// Where the finding stands that is listed as the nth, counted from 0.
    ///
    /// # Panics
    /// When there is no such finding.
    #[must_use]
    pub(crate) fn place(&self, nth: usize) -> Place {
        let own = self.own();
        if nth >= own {
            return self.others[nth - own];
        }
        let subject = self.first.partition_point(|first| *first <= nth as u64) - 1;
        let skipped = nth - self.first[subject] as usize;
        match self.headings(subject).nth(skipped) {
            Some((index, _)) => Place::Own(subject, index),
            None => unreachable!("it was counted"),
        }
    }

    /// The findings about a subject alone that are listed, with their indices there.
    pub(crate) fn headings(&self, subject: usize) -> impl Iterator<Item = (usize, Heading)> + '_ {
        self.judgement.headings(subject).filter(|(_, heading)| (self.wanted)(heading.rule, heading.severity))
    }

    /// The numbers of all findings about a subject.
    pub(crate) fn numbers(&self, subject: usize) -> impl Iterator<Item = u64> + '_ {
        let own = self.first[subject]..self.first[subject + 1];
        own.chain(self.shared.get(&subject).into_iter().flatten().copied()).map(|number| self.from + number)
    }

    /// Whether a subject needs somebody's attention.
    #[must_use]
    pub(crate) fn verdict(&self, subject: usize) -> Verdict {
        from_record::verdict(self.judgement.assessment(subject))
    }

    /// What explains the outcome of a subject best.
    #[must_use]
    pub(crate) fn root_cause(&self, subject: usize) -> Option<RootCause<'static>> {
        let heading = self.judgement.root_cause_heading(subject)?;
        let (connection, number) = match self.judgement.root_cause(subject)? {
            Cause::Own(own) => {
                let place = self.headings(subject).position(|(index, _)| index == own);
                (Some(self.id(subject)), place.map(|place| self.first[subject] + place as u64))
            }
            Cause::Shared(shared) => {
                let place = self.others.iter().position(|other| *other == Place::Shared(shared));
                (None, place.map(|place| self.own() as u64 + place as u64))
            }
        };
        Some(from_record::root_cause(heading, connection, number.map(|number| self.from + number)))
    }

    /// What the rules of all findings that are listed always say.
    #[must_use]
    pub(crate) fn rules(&self) -> BTreeMap<String, model::Rule> {
        let own = (0..self.judgement.len()).flat_map(|subject| self.headings(subject).map(|(_, heading)| heading.rule));
        let others = self.others.iter().filter_map(|place| self.other(*place)).map(|(finding, _)| finding.rule);
        let mut rules = BTreeMap::new();
        for rule in own.chain(others) {
            if !rules.contains_key(rule.id) {
                rules.insert(rule.id.to_owned(), from_record::rule(rule));
            }
        }
        rules
    }

    /// How the subjects belong together.
    pub(crate) fn relations(&self) -> impl Iterator<Item = Relation> + '_ {
        self.judgement.relations.iter().map(|relation| from_record::relation(relation, |subject| self.id(subject)))
    }

    /// A finding about several subjects or none, and the ids of those it is about.
    #[must_use]
    pub(crate) fn other(&self, place: Place) -> Option<(&'j Finding, Vec<u64>)> {
        match place {
            Place::Own(..) => None,
            Place::Shared(index) => {
                let shared = &self.judgement.shared[index];
                Some((&shared.finding, shared.subjects.iter().map(|subject| self.id(*subject)).collect()))
            }
            Place::Plain(index) => Some((self.judgement.plain_findings[index], Vec::new())),
        }
    }
}

/// Adds the numbers of a part.
pub(super) fn add(summary: &mut Summary, part: Summary) {
    summary.connections += part.connections;
    summary.websockets += part.websockets;
    for (verdict, count) in part.verdicts {
        *summary.verdicts.entry(verdict).or_default() += count;
    }
    for (outcome, count) in part.outcomes {
        *summary.outcomes.entry(outcome).or_default() += count;
    }
    let FindingCounts { error, warning, info } = part.findings;
    summary.findings.error += error;
    summary.findings.warning += warning;
    summary.findings.info += info;
}
