//! From finished connections to a judged report: who belongs in it, what is believed about each, and what
//! they say together. Verdicts are formed on all cores; the result is the same for any number of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::run::Known;
use crate::diagnosis::relations::{Relation, Shared, Subject, Surroundings, belongs, relate};
use crate::diagnosis::{Finding, Verdict, diagnose, diagnose_plain};

/// How many verdicts one worker forms at a time.
const BLOCK: usize = 256;

/// Endings that say no more than that it ended: not worth telling once several connections together explain it.
const BARE_ENDINGS: [&str; 3] = ["WSN005", "WSN006", "WSC603"];
/// Causes that are told once for all when many connections show them alike.
const SHARED_CAUSES: [&str; 1] = ["WSK701"];

/// Everything believed about a capture.
#[derive(Debug, Default)]
pub struct Judgement<'a> {
    /// What is reported, in order of first packet.
    pub subjects: Vec<Subject<'a>>,
    /// One verdict per subject.
    pub verdicts: Vec<Verdict>,
    /// How subjects belong together.
    pub relations: Vec<Relation>,
    /// Findings about several subjects.
    pub shared: Vec<Shared>,
    /// Findings about no subject in particular.
    pub aside: Vec<Finding>,
    /// Which shared finding explains a subject best.
    explained: BTreeMap<usize, usize>,
}

impl<'a> Judgement<'a> {
    /// Judges the connections of a capture. `chosen`: a filter of the user picked them.
    #[must_use]
    pub fn of(connections: &'a [Known], chosen: bool, threads: usize) -> Self {
        let candidates: Vec<Subject<'a>> =
            connections.iter().flat_map(|known| Subject::of(known.tcp_stream, &known.record)).collect();
        let verdicts = judge_all(&candidates, threads);
        let mut surroundings = Surroundings::default();
        candidates.iter().zip(&verdicts).for_each(|(subject, verdict)| surroundings.add(subject, verdict));
        let (subjects, verdicts): (Vec<_>, Vec<_>) =
            candidates.into_iter().zip(verdicts).filter(|(subject, _)| belongs(subject, &surroundings, chosen)).unzip();
        let aside = connections.iter().flat_map(|known| diagnose_plain(&known.record)).collect();
        Self { aside, ..Self::among(subjects, verdicts) }
    }

    /// Judges what subjects, in order of first packet, say together.
    #[must_use]
    pub fn among(subjects: Vec<Subject<'a>>, verdicts: Vec<Verdict>) -> Self {
        let (relations, shared) = relate(&subjects, &verdicts);
        let mut explained = BTreeMap::new();
        for (index, subject) in
            shared.iter().enumerate().flat_map(|(index, s)| s.explains.iter().map(move |e| (index, *e)))
        {
            explained.entry(subject).or_insert(index);
        }
        let mut judgement = Self { subjects, verdicts, relations, shared, aside: Vec::new(), explained };
        judgement.drop_what_is_better_explained();
        judgement
    }

    /// Whether other connections may yet explain better how this one ended.
    #[must_use]
    pub fn may_be_better_explained(verdict: &Verdict) -> bool {
        let cause = verdict.root_cause.and_then(|cause| verdict.findings.get(cause));
        cause.is_some_and(|cause| BARE_ENDINGS.contains(&cause.rule.id) || SHARED_CAUSES.contains(&cause.rule.id))
    }

    fn drop_what_is_better_explained(&mut self) {
        for (shared, index) in
            self.shared.iter().flat_map(|shared| shared.explains.iter().map(move |index| (shared, index)))
        {
            let verdict = &mut self.verdicts[*index];
            if let Some(cause) = verdict.root_cause
                && let rule = verdict.findings[cause].rule.id
                && (BARE_ENDINGS.contains(&rule) || rule == shared.finding.rule.id)
            {
                verdict.findings.remove(cause);
                verdict.root_cause = None;
            }
        }
    }

    /// The finding that explains the outcome of a subject best.
    #[must_use]
    pub fn root_cause(&self, subject: usize) -> Option<&Finding> {
        let verdict = &self.verdicts[subject];
        self.explained
            .get(&subject)
            .map(|shared| &self.shared[*shared].finding)
            .or_else(|| verdict.root_cause.and_then(|cause| verdict.findings.get(cause)))
    }
}

fn judge_all(subjects: &[Subject<'_>], threads: usize) -> Vec<Verdict> {
    let one = |subject: &Subject<'_>| diagnose(subject.record, subject.entry);
    if threads <= 1 || subjects.len() <= BLOCK {
        return subjects.iter().map(one).collect();
    }
    let next = AtomicUsize::new(0);
    let blocks: Vec<Mutex<Vec<Verdict>>> = subjects.chunks(BLOCK).map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let block = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = blocks.get(block) else { return };
                    let from = block * BLOCK;
                    let to = (from + BLOCK).min(subjects.len());
                    *place.lock().unwrap_or_else(PoisonError::into_inner) =
                        subjects[from..to].iter().map(one).collect();
                }
            });
        }
    });
    blocks.into_iter().flat_map(|block| block.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}
