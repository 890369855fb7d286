//! Opinions, formed once, at the end: pure functions of records.
//!
//! [`diagnose`] gives the three separate answers for one WebSocket (or attempt): how it ended on the wire, what
//! each program was told, and what caused it. Rules are grouped by family, one file each; their texts are in
//! [`catalogue`]. A rule reads facts and never packets, and it says which packets prove it. Where a fact may be
//! hidden by a gap, a rule says less, never something else.

mod brief;
pub mod case;
pub mod catalogue;
pub mod finding;
mod judged;
mod outcome;
mod packed;
pub mod relations;
pub(crate) mod secret;
mod short;
mod wsc;
mod wsf;
mod wsh;
mod wsi;
mod wsk;
mod wsn;
mod wsp;
mod wst;
mod wsx;

pub use brief::{Brief, Heading, HeadingCode};
pub use case::Case;
pub use finding::{Confidence, Evidence, Finding, Severity};
pub use outcome::{ApplicationView, Outcome, View};
pub use packed::Packed;

use crate::connection::ConnectionRecord;
use judged::Judged;

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
    let case = Case::new(record, entry);
    let outcome = outcome::outcome(&case);
    let mut judged = Judged::default();
    wsi::judge(&case, outcome, &mut judged);
    wsn::judge(&case, outcome, &mut judged);
    wsp::judge(&case, &mut judged);
    wst::judge(&case, outcome, &mut judged);
    wsh::judge(&case, outcome, &mut judged);
    wsf::judge(&case, outcome, &mut judged);
    wsk::judge(&case, outcome, &mut judged);
    wsc::judge(&case, outcome, &mut judged);
    wsx::judge(&case, &mut judged);
    if !judged.explained(judged::Explains::Statement) {
        wsn::ending(&case, outcome, &mut judged);
    }
    wsc::symptom(&case, outcome, &mut judged);
    let root_cause = judged.root_cause();
    judged.findings.shrink_to_fit(); // As a rule there is nothing to let go of.
    Verdict { outcome, view: outcome::application_view(&case, outcome), findings: judged.findings, root_cause }
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
    record.plain.iter().filter_map(wsh::plain_request)
}
