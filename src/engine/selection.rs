//! Selects the subjects and findings of the report: from digests of connections, by correlating them. Works on all
//! cores; the result is the same for any number of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::observer::Kept;
use super::parallel;
use super::pipeline::Connections;
use crate::diagnosis::catalogue::Role;
use crate::diagnosis::correlate::{self, Gathered, LookUp, Relation, Shared, Surroundings, belongs, relate};
use crate::diagnosis::{Assessment, Digest, Finding, Heading, Outcome};

/// Connections per unit of parallel work.
const BLOCK_SIZE: usize = 4096;

/// One WebSocket or attempt, or a connection that failed before it had any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Index of its connection among those that were kept.
    pub connection: u32,
    /// Index among the entries of that connection.
    pub index: u32,
}

/// The finding that explains an outcome best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// One about the subject alone, by its index there.
    Own(usize),
    /// One about several subjects, by its index in [`Judgement::shared`].
    Shared(usize),
}

/// A subject as needed for lists and counts.
#[derive(Clone, Copy, Debug)]
struct Row {
    subject: Subject,
    /// Start and end of its headings in [`Part::headings`].
    headings: (u32, u32),
    /// Index of the heading that explains the outcome best; [`NOTHING`] if none does.
    root_cause: u32,
    outcome: Outcome,
    is_websocket: bool,
}

/// No heading.
const NOTHING: u32 = u32::MAX;

/// Consecutive subjects.
#[derive(Debug, Default)]
struct Part {
    rows: Vec<Row>,
    headings: Vec<Heading>,
}

impl Part {
    fn with_capacity(subjects: usize) -> Self {
        Self { rows: Vec::with_capacity(subjects), headings: Vec::with_capacity(subjects) }
    }

    fn add(&mut self, subject: Subject, digest: &Digest) {
        let start = self.headings.len() as u32;
        self.headings.extend(digest.headings.iter().copied());
        self.rows.push(Row {
            subject,
            headings: (start, self.headings.len() as u32),
            root_cause: digest.root_cause.map_or(NOTHING, u32::from),
            outcome: digest.outcome,
            is_websocket: digest.is_websocket(),
        });
    }
}

/// Facts gathered from one block of connections, before the whole capture is known.
struct Block<'a> {
    part: Part,
    gathered: Gathered,
    surroundings: Surroundings,
    /// Subjects that belong in the report only if their surroundings do.
    doubtful: Vec<u32>,
    plain_findings: Vec<&'a Finding>,
}

impl<'a> Block<'a> {
    fn of<K: Kept>(connections: &'a Connections<K>, range: Range<usize>) -> Self {
        let mut block = Block {
            part: Part::with_capacity(range.len()),
            gathered: Gathered::with_capacity(range.len()),
            surroundings: Surroundings::default(),
            doubtful: Vec::new(),
            plain_findings: Vec::new(),
        };
        for connection in range {
            let kept = &connections[connection].kept;
            block.plain_findings.extend(kept.plain_findings());
            kept.each_digest(|index, digest| {
                if digest.is_doubtful() {
                    block.doubtful.push(block.part.rows.len() as u32);
                }
                block.surroundings.add(digest);
                block.gathered.add(digest);
                block.part.add(Subject { connection: connection as u32, index: index as u32 }, digest);
            });
        }
        // So that little is left to do for all parts together.
        block.surroundings.settle();
        block
    }

    /// Doubtful subjects that do not belong in the report.
    fn excluded<K: Kept>(&self, connections: &Connections<K>, surroundings: &Surroundings, chosen: bool) -> Vec<u32> {
        let is_excluded = |subject: &u32| {
            let digest = digest_of(connections, self.part.rows[*subject as usize].subject);
            !belongs(&digest, surroundings, chosen)
        };
        self.doubtful.iter().copied().filter(is_excluded).collect()
    }
}

fn digest_of<K: Kept>(connections: &Connections<K>, subject: Subject) -> Cow<'_, Digest> {
    match connections[subject.connection as usize].kept.digest(subject.index as usize) {
        Some(digest) => digest,
        None => unreachable!("there is a digest of each subject"),
    }
}

/// The verdict on a capture as a whole.
#[derive(Debug, Default)]
pub struct Judgement<'a> {
    /// Relations between subjects.
    pub relations: Vec<Relation>,
    /// Findings about several subjects.
    pub shared: Vec<Shared>,
    /// Findings about no subject in particular.
    pub plain_findings: Vec<&'a Finding>,
    /// Connections that failed and are not reported, because they have nothing to do with a WebSocket.
    pub left_out: u64,
    /// The reported subjects, in order of first packet.
    parts: Vec<Part>,
    /// Index of the first subject of each part, and of the one behind the last.
    starts: Vec<usize>,
    /// The shared finding that explains a subject best, by subject.
    explained: BTreeMap<usize, usize>,
    /// The own finding that a shared one makes superfluous, by subject.
    superfluous: BTreeMap<usize, usize>,
}

impl<'a> Judgement<'a> {
    /// Judges the connections of a capture. `chosen`: whether a filter of the user selected them.
    #[must_use]
    pub fn of<K: Kept>(connections: &'a Connections<K>, chosen: bool, threads: usize) -> Self {
        let mut blocks =
            parallel::blocks(threads, connections.len(), BLOCK_SIZE, |range| Block::of(connections, range));
        let mut surroundings = Surroundings::default();
        blocks.iter_mut().for_each(|block| surroundings.merge(std::mem::take(&mut block.surroundings)));
        surroundings.settle();
        let excluded = |range: Range<usize>| blocks[range.start].excluded(connections, &surroundings, chosen);
        let excluded = parallel::blocks(threads, blocks.len(), 1, excluded);
        let (mut parts, mut gathered, mut plain_findings, mut left_out) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (mut block, excluded) in blocks.into_iter().zip(excluded) {
            if !excluded.is_empty() {
                let failed = |subject: &&u32| block.part.rows[**subject as usize].outcome.is_failure();
                left_out += excluded.iter().filter(failed).count() as u64;
                correlate::remove(&mut block.part.rows, &excluded);
                block.gathered.forget(&excluded);
            }
            parts.push(block.part);
            gathered.push(block.gathered);
            plain_findings.extend(block.plain_findings);
        }
        let starts = starts(&parts);
        let look_up = |subject| digest_of(connections, at(&parts, &starts, subject).1.subject);
        let (relations, shared) = relate(&gathered, &look_up);
        Self { relations, shared, plain_findings, left_out, parts, starts, ..Self::default() }.explain()
    }

    /// Correlates subjects given in order of first packet. The caller knows which connections they belong to.
    #[must_use]
    pub fn among(digests: &[&Digest]) -> Self {
        let mut part = Part::with_capacity(digests.len());
        let mut gathered = Gathered::with_capacity(digests.len());
        for (index, digest) in digests.iter().enumerate() {
            gathered.add(digest);
            part.add(Subject { connection: index as u32, index: 0 }, digest);
        }
        let look_up: &LookUp<'_, '_> = &|subject| Cow::Borrowed(digests[subject]);
        let (relations, shared) = relate(&[gathered], look_up);
        let parts = vec![part];
        let starts = starts(&parts);
        Self { relations, shared, parts, starts, ..Self::default() }.explain()
    }

    /// Links subjects to the shared findings that explain them.
    fn explain(mut self) -> Self {
        for (index, one) in self.shared.iter().enumerate() {
            for subject in &one.explains {
                self.explained.entry(*subject).or_insert(index);
                if let Some((place, cause)) = self.own_cause(*subject)
                    && (cause.rule.role == Role::Ending || cause.rule == one.finding.rule)
                {
                    self.superfluous.entry(*subject).or_insert(place);
                }
            }
        }
        self
    }

    /// Number of subjects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn row(&self, subject: usize) -> (&Part, &Row) {
        at(&self.parts, &self.starts, subject)
    }

    /// Connection and entry of the subject with this index.
    #[must_use]
    pub fn subject(&self, subject: usize) -> Subject {
        self.row(subject).1.subject
    }

    /// How a subject ended on the wire.
    #[must_use]
    pub fn outcome(&self, subject: usize) -> Outcome {
        self.row(subject).1.outcome
    }

    /// Whether a subject needs somebody's attention.
    #[must_use]
    pub fn assessment(&self, subject: usize) -> Assessment {
        Assessment::of(self.outcome(subject), self.root_cause_heading(subject))
    }

    /// Whether a subject is a WebSocket, or an attempt at one, that was seen.
    #[must_use]
    pub fn is_websocket(&self, subject: usize) -> bool {
        self.row(subject).1.is_websocket
    }

    /// Whether other connections may yet explain better how this one ended.
    #[must_use]
    pub fn may_be_better_explained(digest: &Digest) -> bool {
        digest.cause().is_some_and(|cause| cause.rule.role == Role::Ending || cause.rule.shared)
    }

    /// The findings about a subject alone, and their places there; without those that a shared finding makes
    /// superfluous.
    pub fn headings(&self, subject: usize) -> impl Iterator<Item = (usize, Heading)> + '_ {
        let superfluous = if self.superfluous.is_empty() { None } else { self.superfluous.get(&subject) };
        let headings = self.own_headings(subject).iter().enumerate();
        headings.filter(move |(index, _)| Some(index) != superfluous).map(|(index, heading)| (index, *heading))
    }

    fn own_headings(&self, subject: usize) -> &[Heading] {
        let (part, digest) = self.row(subject);
        &part.headings[digest.headings.0 as usize..digest.headings.1 as usize]
    }

    /// Which finding about a subject alone explains its outcome best.
    fn own_cause(&self, subject: usize) -> Option<(usize, Heading)> {
        let (part, Row { headings, root_cause, .. }) = self.row(subject);
        let headings = &part.headings[headings.0 as usize..headings.1 as usize];
        Some((*root_cause as usize, *headings.get(*root_cause as usize)?))
    }

    /// The finding that explains the outcome of a subject best.
    #[must_use]
    pub fn root_cause(&self, subject: usize) -> Option<Cause> {
        match self.explained.get(&subject) {
            Some(shared) => Some(Cause::Shared(*shared)),
            None => self.own_cause(subject).map(|(index, _)| Cause::Own(index)),
        }
    }

    /// Heading of the finding that explains the outcome of a subject best.
    #[must_use]
    pub fn root_cause_heading(&self, subject: usize) -> Option<Heading> {
        match self.explained.get(&subject) {
            Some(shared) => self.shared.get(*shared).map(|shared| Heading::of(&shared.finding)),
            None => self.own_cause(subject).map(|(_, heading)| heading),
        }
    }
}

/// Index of the first subject of each part, and of the one behind the last.
fn starts(parts: &[Part]) -> Vec<usize> {
    let mut next = 0;
    let starts = std::iter::once(0).chain(parts.iter().map(|part| {
        next += part.rows.len();
        next
    }));
    starts.collect()
}

/// The subject with this index, and the part that it stands in.
#[inline]
fn at<'p>(parts: &'p [Part], starts: &[usize], subject: usize) -> (&'p Part, &'p Row) {
    // As a rule a connection has one subject, which belongs in the report.
    let usual = subject / BLOCK_SIZE;
    let part = match starts.get(usual..usual + 2) {
        Some([start, end]) if (*start..*end).contains(&subject) => usual,
        _ => starts.partition_point(|start| *start <= subject) - 1,
    };
    (&parts[part], &parts[part].rows[subject - starts[part]])
}

#[cfg(test)]
mod tests {
    use super::super::numbering::Numbering;
    use super::super::observer::Finished;
    use super::*;

    struct One(Vec<Digest>);

    impl Kept for One {
        fn each_digest(&self, mut see: impl FnMut(usize, &Digest)) {
            self.0.iter().enumerate().for_each(|(nth, digest)| see(nth, digest));
        }

        fn digest(&self, nth: usize) -> Option<Cow<'_, Digest>> {
            self.0.get(nth).map(Cow::Borrowed)
        }

        fn plain_findings(&self) -> &[Finding] {
            &[]
        }
    }

    /// Connections that all begin in one shard, and are over in the opposite order.
    fn connections(digests: Vec<Vec<Digest>>) -> Connections<One> {
        let mut numbering = Numbering::new(1);
        numbering.extend(&(0..digests.len() as u64).map(|packet| (packet, 0)).collect::<Vec<_>>());
        let finished = digests.into_iter().enumerate();
        let mut finished: Vec<_> =
            finished.map(|(number, digests)| Finished { number: number as u32, kept: One(digests) }).collect();
        finished.reverse();
        Connections::new([finished].into_iter(), &numbering)
    }

    #[test]
    fn subjects_are_in_order_however_many_they_are() {
        // Far from all WebSockets, so that none of those that were refused belongs in the report.
        let refused = || {
            let mut digest = Digest::sample(false);
            digest.server.port = 9;
            vec![digest]
        };
        let made = |n: usize| match n {
            n if n % 5 == 0 || n / BLOCK_SIZE == 2 => refused(),
            n if n % 7 == 0 => vec![Digest::sample(true), Digest::sample(true)],
            _ => vec![Digest::sample(true)],
        };
        for count in [0, 10, BLOCK_SIZE, 4 * BLOCK_SIZE + 17] {
            let connections = connections((0..count).map(made).collect());
            assert!(connections.iter().enumerate().all(|(index, known)| known.tcp_stream as usize == index));
            let expected: Vec<Subject> = (0..count)
                .filter(|n| made(*n)[0].is_websocket())
                .flat_map(|n| (0..made(n).len()).map(move |index| (n as u32, index as u32)))
                .map(|(connection, index)| Subject { connection, index })
                .collect();
            for threads in [1, 3] {
                let judgement = Judgement::of(&connections, false, threads);
                let subjects: Vec<Subject> = (0..judgement.len()).map(|index| judgement.subject(index)).collect();
                assert_eq!(subjects, expected);
                assert!((0..subjects.len()).all(|index| judgement.outcome(index) == Outcome::ClosedClean));
            }
        }
    }
}
