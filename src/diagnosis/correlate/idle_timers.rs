//! Connections to one server that ended after the same silence: a timer on the way. Its rule is one of
//! [`keepalive`](super::super::rules::keepalive), which a single connection shows as well.

use std::collections::BTreeMap;

use super::Shared;
use super::gathered::{Gathered, LookUp, Silence, with_offsets};
use crate::diagnosis::finding::{Finding, MAX_EVIDENCE};
use crate::diagnosis::human::duration;
use crate::diagnosis::rules::keepalive::IDLE_TIMEOUT;
use crate::diagnosis::severity::Confidence;
use crate::packet::Endpoint;

/// Silences that differ by no more than this, in nanoseconds, on so many connections are the same.
const SAME_SILENCE: i64 = 500_000_000;
const SAME_SILENCE_AT_LEAST: usize = 3;

/// Connections to the same server that ended after the same silence: a timer on the way, whose ever it is.
pub(super) fn judge(parts: &[Gathered], look_up: &LookUp<'_, '_>) -> Vec<Shared> {
    let mut by_server: BTreeMap<Endpoint, Vec<(i64, usize)>> = BTreeMap::new();
    for (offset, part) in with_offsets(parts) {
        for Silence { subject, server, idle } in &part.silences {
            by_server.entry(*server).or_default().push((*idle, offset + *subject as usize));
        }
    }
    let mut shared = Vec::new();
    for mut silences in by_server.into_values() {
        silences.sort_unstable();
        let mut rest = &silences[..];
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|(idle, _)| idle - first.0 <= SAME_SILENCE).count();
            let (group, others) = rest.split_at(same);
            rest = others;
            if same < SAME_SILENCE_AT_LEAST {
                continue;
            }
            let mut members: Vec<usize> = group.iter().map(|(_, index)| *index).collect();
            members.sort_unstable();
            let summary =
                format!("{same} connections ended after the same silence of {}: an idle timer.", duration(first.0));
            let mut finding = Finding::new(&IDLE_TIMEOUT, Confidence::Likely, summary);
            for index in members.iter().take(MAX_EVIDENCE) {
                if let Some(cut) = look_up(*index).cut() {
                    finding.add_evidence(cut.at, Some(cut.by), "the end after the silence");
                }
            }
            shared.push(Shared { subjects: members.clone(), finding, explains: members });
        }
    }
    shared
}
