//! Writes a finished analysis in the form that was asked for. The one road from the model to the outside:
//! every piece passes the redactor here.

use std::io::{self, Write};

use super::json::{JsonWriter, Layout};
use super::model::{Capture, Connection, Document, Finding, Relation, Summary};
use super::redact::Redactor;
use super::report::{Options, Report};

/// A finished analysis. Pieces are made when they are asked for, so that not all of them need to be in memory.
pub trait Source {
    /// What was read.
    fn capture(&self) -> Capture;
    /// The whole in numbers.
    fn summary(&self) -> Summary;
    /// The connections by id.
    fn connections(&self) -> Box<dyn Iterator<Item = Connection> + '_>;
    /// How they belong together.
    fn relations(&self) -> Box<dyn Iterator<Item = Relation> + '_>;
    /// The findings, by index.
    fn findings(&self) -> Box<dyn Iterator<Item = Finding> + '_>;
}

impl Source for Document {
    fn capture(&self) -> Capture {
        self.capture.clone()
    }
    fn summary(&self) -> Summary {
        self.summary.clone()
    }
    fn connections(&self) -> Box<dyn Iterator<Item = Connection> + '_> {
        Box::new(self.connections.iter().cloned())
    }
    fn relations(&self) -> Box<dyn Iterator<Item = Relation> + '_> {
        Box::new(self.relations.iter().cloned())
    }
    fn findings(&self) -> Box<dyn Iterator<Item = Finding> + '_> {
        Box::new(self.findings.iter().cloned())
    }
}

/// The forms of a finished analysis.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// For people. Colours are always written: `out` takes them out where they are not wanted.
    Report(Options),
    /// One JSON document.
    Json(Layout),
}

/// Writes the whole analysis.
///
/// # Errors
/// When `out` fails.
pub fn publish(source: &dyn Source, redactor: &Redactor, form: Form, out: &mut dyn Write) -> io::Result<()> {
    let connections = || {
        source.connections().map(|mut connection| {
            redactor.connection(&mut connection);
            connection
        })
    };
    let relations = || {
        source.relations().map(|mut relation| {
            redactor.relation(&mut relation);
            relation
        })
    };
    let findings = || {
        source.findings().map(|mut finding| {
            redactor.finding(&mut finding);
            finding
        })
    };
    match form {
        Form::Json(layout) => {
            let mut writer = JsonWriter::begin(out, layout, &source.capture(), &source.summary())?;
            for connection in connections() {
                writer.connection(&connection)?;
            }
            for relation in relations() {
                writer.relation(&relation)?;
            }
            for finding in findings() {
                writer.finding(&finding)?;
            }
            writer.end().map(drop)
        }
        Form::Report(options) => {
            let mut report = Report::new(options);
            findings().for_each(|finding| report.finding(&finding));
            connections().for_each(|connection| report.connection(&connection));
            relations().for_each(|relation| report.relation(&relation));
            report.write(out, &source.capture(), &source.summary())?;
            out.flush()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, report, sample};
    use super::*;

    #[test]
    fn every_form_is_redacted() {
        let mut document = sample::document();
        let redactor = Redactor::new([3; 32]);
        let forms = [
            Form::Json(Layout::Compact),
            Form::Json(Layout::Pretty),
            Form::Report(Options { detail: report::Detail::Verbose, width: 80 }),
        ];
        let written: Vec<String> = forms
            .iter()
            .map(|form| {
                let mut out = Vec::new();
                publish(&document, &redactor, *form, &mut out).unwrap();
                String::from_utf8(out).unwrap()
            })
            .collect();
        for text in &written {
            assert!(!text.contains("r0cketsk8ts") && text.contains("<redacted:"), "{text}");
        }
        redactor.document(&mut document);
        let mut whole = Vec::new();
        json::write_document(&mut whole, Layout::Compact, &document).unwrap();
        assert_eq!(written[0].as_bytes(), whole);
    }

    #[test]
    fn secrets_are_shown_on_request() {
        let mut out = Vec::new();
        publish(&sample::document(), &Redactor::off(), Form::Json(Layout::Compact), &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("rocketskates:r0cketsk8ts"));
    }
}
