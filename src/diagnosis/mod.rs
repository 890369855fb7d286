//! Opinions, formed once, at the end: pure functions of records.
//!
//! [`diagnose`] gives the three separate answers for one WebSocket (or attempt): how it ended on the wire, what
//! each program was told, and what caused it. The families below `rules` read facts and never packets, and yield
//! candidates, each with the packets that prove it; `resolve` decides which of them are reported and which one is the
//! root cause. What several connections say together is in [`correlate`]. A rule's texts, role and detection stand in
//! the file of its family; [`catalogue`] collects them. Where a hole in the capture may hide a fact
//! (`coverage`), a rule says less, never something else.

#![forbid(unsafe_code)]

mod assessment;
pub mod catalogue;
mod context;
pub mod correlate;
mod coverage;
pub mod finding;
mod human;
mod outcome;
mod resolve;
mod rules;
pub(crate) mod secret;
mod severity;
mod tls;

#[cfg(test)]
mod tests;

pub use assessment::Assessment;
pub use correlate::Digest;
pub use finding::{CounterCheck, Evidence, Finding, Heading, Party};
pub use outcome::{ApplicationView, Outcome, View};
pub use severity::{Confidence, Severity};

use self::context::Session;
use self::resolve::Candidates;
use crate::connection::ConnectionRecord;

/// What is believed about one WebSocket, or one attempt at one.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How it ended on the wire.
    pub outcome: Outcome,
    /// What each program was told.
    pub view: ApplicationView,
    /// Everything worth telling.
    pub findings: Vec<Finding>,
    /// Index of the finding that explains the outcome best.
    pub root_cause: Option<usize>,
}

/// Judges one entry of a connection, or (`None`) a connection that failed before it had one.
#[must_use]
pub fn diagnose(record: &ConnectionRecord, entry: Option<usize>) -> Verdict {
    judge(record, entry, 0..rules::FAMILIES.len())
}

/// Judges with the families in this order, which makes no difference.
fn judge(record: &ConnectionRecord, entry: Option<usize>, order: impl Iterator<Item = usize>) -> Verdict {
    let session = Session::new(record, entry);
    let outcome = outcome::outcome(&session);
    let mut candidates = Candidates::default();
    for family in order {
        candidates.of_family(family);
        rules::FAMILIES[family](&session, outcome, &mut candidates);
    }
    let (findings, root_cause) = candidates.resolve();
    Verdict { outcome, view: outcome::application_view(&session, outcome), findings, root_cause }
}

/// Judges every entry of a connection, or the connection itself when it has none.
#[must_use]
pub fn diagnose_all(record: &ConnectionRecord) -> Vec<Verdict> {
    match record.entries.len() {
        0 => vec![diagnose(record, None)],
        entries => (0..entries).map(|entry| diagnose(record, Some(entry))).collect(),
    }
}

/// What ordinary HTTP exchanges tell about WebSocket endpoints; no failure of any WebSocket.
pub fn diagnose_plain(record: &ConnectionRecord) -> impl Iterator<Item = Finding> {
    record.plain.iter().filter_map(rules::handshake::plain_request)
}
