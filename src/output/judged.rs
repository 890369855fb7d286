//! A judged capture as the model sees it, made from the records: pieces are made when they are asked for.

use super::convert::{self, Subject};
use super::listing::{Listing, Place};
use super::model;
use super::publish::Source;
use crate::engine::{Connections, Judgement, Known, Recorded};

/// A judged capture whose records are at hand.
pub struct Judged<'j> {
    capture: model::Capture,
    listing: Listing<'j>,
    subjects: Vec<Subject<'j>>,
}

/// The subjects of a judgement about these connections.
#[must_use]
pub fn subjects<'j>(judgement: &Judgement<'_>, connections: &'j Connections<Recorded>) -> Vec<Subject<'j>> {
    let subject = |known: &'j Known<Recorded>, index: usize| Subject {
        tcp_stream: known.tcp_stream,
        record: &known.kept.record,
        entry: known.kept.briefs[index].entry.map(|entry| entry as usize),
        verdict: &known.kept.verdicts[index],
    };
    let each = (0..judgement.len()).map(|index| judgement.subject(index));
    each.map(|one| subject(&connections[one.connection as usize], one.index as usize)).collect()
}

impl<'j> Judged<'j> {
    /// Joins what is listed with what it is about, subject by subject.
    #[must_use]
    pub fn new(capture: model::Capture, listing: Listing<'j>, subjects: Vec<Subject<'j>>) -> Self {
        Self { capture, listing, subjects }
    }
}

impl Source for Judged<'_> {
    fn capture(&self) -> model::Capture {
        self.capture.clone()
    }

    fn summary(&self) -> model::Summary {
        self.listing.summary().clone()
    }

    fn connections(&self) -> usize {
        self.subjects.len()
    }

    fn connection(&self, index: usize) -> model::Connection<'_> {
        let cause = self.listing.judgement().root_cause_heading(index);
        model::Connection {
            root_cause: cause.map(convert::root_cause),
            findings: self.listing.numbers(index).collect(),
            ..convert::connection(self.listing.id(index), &self.subjects[index])
        }
    }

    fn relations(&self) -> Box<dyn Iterator<Item = model::Relation> + '_> {
        Box::new(self.listing.relations())
    }

    fn findings(&self) -> usize {
        self.listing.len()
    }

    fn finding(&self, index: usize) -> model::Finding<'_> {
        let place = self.listing.place(index);
        match (place, self.listing.other(place)) {
            (_, Some((finding, ids))) => convert::finding(finding, ids),
            (Place::Own(subject, index), None) => {
                convert::finding(&self.subjects[subject].verdict.findings[index], vec![self.listing.id(subject)])
            }
            (Place::Shared(_) | Place::Aside(_), None) => unreachable!("`other` knows these"),
        }
    }
}
