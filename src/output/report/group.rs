//! Groups findings of one rule and confidence, so that a cause shared by many connections is described once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::model::{Confidence, Finding, RootCause, Severity};

/// Connections shown in full for one cause.
const MAX_SHOWN: usize = 3;
/// TCP streams and packets named in one display filter.
pub(super) const MAX_FILTER: usize = 20;

/// Findings of one rule and confidence.
#[derive(Debug)]
pub(super) struct Group {
    /// The first of them, with the highest severity of all.
    pub(super) finding: Finding<'static>,
    /// Findings in it.
    pub(super) count: u64,
    /// Its first connections: these are shown.
    pub(super) shown: Vec<u64>,
    /// Connections it is about.
    pub(super) about: u64,
    /// Connections of which it is the root cause.
    pub(super) causes: u64,
    /// Ids and TCP streams of these, the first ones.
    pub(super) caused: Vec<(u64, u64)>,
    /// All summaries are the same sentence.
    pub(super) same: bool,
}

impl Group {
    fn new(finding: Finding<'static>) -> Self {
        Self { finding, count: 0, shown: vec![], about: 0, causes: 0, caused: vec![], same: true }
    }
}

/// All groups, by rule and confidence.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<(String, Confidence), Group>);

impl Groups {
    /// Adds a finding to its group. Returns those of its connections that will be shown.
    pub(super) fn add(&mut self, finding: &Finding<'static>) -> impl Iterator<Item = u64> {
        let key = (finding.rule.clone().into_owned(), finding.confidence);
        let group = self.0.entry(key).or_insert_with(|| Group::new(finding.clone()));
        group.count += 1;
        group.about += finding.connections.len() as u64;
        group.same &= group.finding.summary == finding.summary;
        group.finding.body.severity = group.finding.severity.max(finding.severity);
        let shown = finding.connections.iter().copied().take(MAX_SHOWN - group.shown.len());
        group.shown.extend(shown.clone());
        shown
    }

    /// Counts a connection for the group of its root cause, if that is among the findings that were wanted.
    pub(super) fn count_cause(&mut self, cause: &RootCause<'_>, id: u64, tcp_stream: u64) {
        if let Some(group) = self.0.get_mut(&(cause.rule.clone().into_owned(), cause.confidence)) {
            group.causes += 1;
            if group.caused.len() < MAX_FILTER {
                group.caused.push((id, tcp_stream));
            }
        }
    }

    /// The groups that explain the end of a connection and are no mere notes, and all others: the most severe first,
    /// then those that explain the most.
    pub(super) fn by_importance(&self) -> (Vec<&Group>, Vec<&Group>) {
        let mut groups: Vec<&Group> = self.iter().collect();
        groups.sort_by_key(|group| {
            (Reverse(group.finding.severity), Reverse(group.causes), group.shown.first().copied())
        });
        groups.into_iter().partition(|group| group.causes > 0 && group.finding.severity >= Severity::Warning)
    }

    /// The groups in order of rule and confidence.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.0.values()
    }
}
