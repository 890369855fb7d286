//! Every capture of this repository, with and without its keys, against what must be said about it.

mod support;

use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use support::captures::{self, Case};
use support::expectation;
use support::run::{Run, wsscan};

fn arguments(case: &Case, keys: bool, more: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-r".into(), case.capture.clone().into()];
    if let Some(keylog) = case.keylog.as_ref().filter(|_| keys) {
        arguments.extend(["-k".into(), keylog.clone().into()]);
    }
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

/// The runs of a case: as it is, and without the key log where something weaker is expected then.
fn parts(case: &Case) -> Vec<(&'static str, &Value, bool)> {
    let mut parts = vec![(if case.keylog.is_some() { "with keys" } else { "" }, &case.expected, true)];
    if let Some(weaker) = case.expected.get("without_keys").filter(|w| !w.is_null()) {
        parts.push(("without keys", weaker, false));
    }
    parts
}

fn deviations(judge: impl Fn(&Case, &Value, bool) -> Vec<String> + Sync) -> Vec<String> {
    let cases = captures::all();
    assert!(cases.len() > 100, "only {} captures were found", cases.len());
    support::in_parallel(&cases, |case| {
        let mut list = Vec::new();
        for (part, expected, keys) in parts(case) {
            let place = if part.is_empty() { case.name.clone() } else { format!("{} ({part})", case.name) };
            list.extend(judge(case, expected, keys).into_iter().map(|d| format!("{place}: {d}")));
        }
        list
    })
    .into_iter()
    .flatten()
    .collect()
}

fn report(list: &[String]) {
    assert!(list.is_empty(), "{} deviations:\n{}", list.len(), list.join("\n"));
}

fn judged<T>(run: &Run, read: impl Fn(&Run) -> Result<T, String>, compare: impl Fn(&T) -> Vec<String>) -> Vec<String> {
    if let Some(trouble) = run.trouble() {
        return vec![trouble];
    }
    match read(run) {
        Ok(value) => compare(&value),
        Err(error) => vec![error],
    }
}

/// What the product promises is demanded of every connection: the cause, how sure, how bad, by which packets; and of every
/// capture that it does not say what comes close and is false.
#[test]
fn expectations_hold_what_is_promised() {
    report(&deviations(|_, expected, _| {
        let mut list = Vec::new();
        let tempting = expected["tempting"].as_array().map_or(0, Vec::len);
        if !(1..=4).contains(&tempting) {
            list.push(format!("{tempting} tempting findings, but two or three come closest"));
        }
        let connections = expected["connections"].as_object().into_iter().flatten();
        for (stream, want) in connections.flat_map(|(s, want)| one_or_many(want).map(move |want| (s, want))) {
            let cause = &want["root_cause"];
            let may_be_none = one_or_many(&cause["rule"]).any(|rule| rule == "none");
            if cause["rule"].is_null() {
                list.push(format!("stream {stream} says nothing of its root cause"));
            } else if !may_be_none {
                let silent = ["confidence", "severity", "packets"].into_iter().filter(|word| cause[word].is_null());
                list.extend(silent.map(|word| format!("stream {stream} says nothing of the {word} of its root cause")));
            }
        }
        list
    }));
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

#[test]
fn documents_say_what_is_true() {
    report(&deviations(|case, expected, keys| {
        let run = wsscan(&arguments(case, keys, &["--json"]));
        let mut list = judged(&run, Run::document, |document| expectation::compare_document(expected, document));
        if run.code == Some(1) {
            list.push("exit status 1 without --fail-on".to_owned());
        }
        list.extend(expectation::leaks(&case.expected, "secrets", &run.stdout));
        list
    }));
}

#[test]
fn events_tell_every_frame_that_was_sent_and_no_other() {
    report(&deviations(|case, expected, keys| {
        let run =
            wsscan(&arguments(case, keys, &["--ndjson", "--events", "connection,frame,message", "--show-payload"]));
        let mut list = judged(&run, Run::lines, |lines| expectation::compare_events(expected, lines));
        list.extend(expectation::leaks(&case.expected, "never_show", &run.stdout));
        list
    }));
}

#[test]
fn no_output_holds_a_secret() {
    report(&deviations(|case, _, keys| {
        if case.expected.get("secrets").is_none() {
            return Vec::new();
        }
        let everything = "connection,handshake,message,frame,finding,stats";
        [&["--ndjson", "--events", everything][..], &[][..]]
            .iter()
            .flat_map(|more| {
                let run = wsscan(&arguments(case, keys, more));
                run.trouble()
                    .into_iter()
                    .chain(expectation::leaks(&case.expected, "secrets", &run.stdout))
                    .collect::<Vec<_>>()
            })
            .collect()
    }));
}

/// The report for people, word for word. `SNAPSHOTS=overwrite cargo test --test golden` writes them anew.
#[test]
fn reports_read_as_they_did() {
    for name in ["rec-nginx-stripped-upgrade", "reconnect-loop", "gen-gap-over-header"] {
        let case = captures::one(name);
        // A path below the package, so that the report reads the same on every machine.
        let capture = Path::new("captures").join(name).join(case.capture.file_name().expect("a capture has a name"));
        let run = wsscan(&[OsString::from("-r"), capture.into(), "--color".into(), "never".into()]);
        assert_eq!(run.trouble(), None, "{name}");
        let snapshot = captures::file(name, "report.txt");
        let overwrite = std::env::var("SNAPSHOTS").is_ok_and(|v| v == "overwrite");
        assert!(overwrite || snapshot.exists(), "{} is missing; SNAPSHOTS=overwrite writes it", snapshot.display());
        snapbox::Assert::new()
            .action_env("SNAPSHOTS")
            .eq(run.text(), snapbox::Data::read_from(&snapshot, Some(snapbox::data::DataFormat::Text)).raw());
    }
}
