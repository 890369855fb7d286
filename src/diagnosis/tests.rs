//! What no single rule can prove: that verdicts do not depend on the order in which families judge, and that what rules
//! declare of themselves is what they do.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use super::catalogue::{self, Role};
use super::{Outcome, Party, Verdict, diagnose_all, judge, rules};
use crate::capture::{Capture, Input};
use crate::connection::{ConnectionRecord, Keys};
use crate::engine::{Feed, Options, Recorder, Walked, run};
use crate::packet::Batch;

/// A capture, one batch after the other.
struct File(Mutex<Capture>);

impl Feed for File {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, _: u64, _: &mut Batch) -> bool {
        true
    }

    fn walk(&self, _: u64, batch: &mut Batch) -> Walked {
        let more = self.0.lock().unwrap().next_batch(batch);
        Walked { more, ..Walked::default() }
    }
}

/// Judges every connection of every capture of this repository, opened with its keys where it has some.
fn each_record(mut judge: impl FnMut(&str, &ConnectionRecord)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut seen = 0;
    for folder in folders {
        let Some(capture) =
            ["pcap", "pcapng"].iter().map(|kind| folder.join("capture").with_extension(kind)).find(|p| p.is_file())
        else {
            continue;
        };
        let mut keys = Keys::new();
        if let Ok(text) = std::fs::read(folder.join("keys.log")) {
            keys.add(&text);
        }
        let capture = Capture::open(&[Input::from_argument(capture)]).unwrap();
        let found = run(&File(Mutex::new(capture)), &Options { threads: 1, wanted: None, keys }, &Recorder);
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        found.connections.iter().for_each(|known| judge(&name, &known.kept.record));
        seen += 1;
    }
    assert!(seen > 100, "only {seen} captures were found");
}

/// The whole verdict as text.
fn shown(verdict: &Verdict) -> String {
    format!("{verdict:?}")
}

#[test]
fn the_order_of_families_makes_no_difference() {
    let count = rules::FAMILIES.len();
    let orders: [Vec<usize>; 4] = [
        (0..count).rev().collect(),
        (0..count).map(|index| (index + count / 2) % count).collect(),
        (0..count).map(|index| index * 3 % count).collect(),
        (0..count).map(|index| (index * 7 + 4) % count).collect(),
    ];
    let mut verdicts = 0;
    each_record(|name, record| {
        let usual = diagnose_all(record);
        for order in &orders {
            let (mut sorted, all) = (order.clone(), (0..count).collect::<Vec<_>>());
            sorted.sort_unstable();
            assert_eq!(sorted, all, "each family judges once");
            for (index, usual) in usual.iter().enumerate() {
                let entry = (!record.entries.is_empty()).then_some(index);
                assert_eq!(shown(&judge(record, entry, order.iter().copied())), shown(usual), "{name}");
                verdicts += 1;
            }
        }
    });
    assert!(verdicts > 500, "only {verdicts} verdicts");
}

#[test]
fn findings_agree_with_what_their_rules_say_of_themselves() {
    let (mut causes, mut endings, mut undecided) = (0, 0, 0);
    let mut parties = BTreeSet::new();
    each_record(|name, record| {
        for Verdict { outcome, findings, root_cause, .. } in diagnose_all(record) {
            for finding in &findings {
                assert!(finding.rule.detected, "{name}: {} is detected", finding.rule.id);
                assert_eq!(finding.rule.is_about_capture(), finding.party == Party::Capture, "{}", finding.rule.id);
                parties.insert(finding.party);
                undecided += finding.undecided.len();
            }
            for (index, finding) in findings.iter().enumerate() {
                let superseded = findings.iter().find(|other| other.rule.supersedes.contains(&finding.rule));
                assert!(superseded.is_none(), "{name}: {} beside {}", finding.rule.id, superseded.unwrap().rule.id);
                endings += usize::from(finding.rule.role == Role::Ending);
                let last = findings[index..].iter().all(|later| later.rule.role == Role::Ending);
                assert!(finding.rule.role != Role::Ending || last, "{name}: {} comes last", finding.rule.id);
            }
            if let Some(cause) = root_cause {
                assert_ne!(findings[cause].rule.role, Role::Note, "{name}: {}", findings[cause].rule.id);
                causes += 1;
            }
            // Whatever ends without a goodbye has a cause, were it only that.
            assert!(outcome != Outcome::ClosedAbnormal || root_cause.is_some(), "{name}: {findings:?}");
        }
    });
    assert_eq!(parties.len(), 6, "{parties:?}");
    assert!(causes > 50 && endings > 5 && undecided > 5, "{causes} causes, {endings} endings, {undecided} undecided");
}

#[test]
fn rules_supersede_only_what_can_be_found() {
    for rule in catalogue::all() {
        assert!(rule.detected || (rule.role == Role::Note && rule.supersedes.is_empty()), "{}", rule.id);
        for superseded in rule.supersedes {
            assert!(superseded.detected && superseded != &rule, "{} supersedes {}", rule.id, superseded.id);
            assert!(!superseded.supersedes.contains(&rule), "{} and {} supersede each other", rule.id, superseded.id);
        }
    }
}
