//! Every rule that can be found must be demanded by somebody: by the `expected.json` of a capture, or by a dialogue test
//! of the diagnosis. Those that are not stand in a list that may only shrink.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::captures;
use wsscan::diagnosis::catalogue;

/// Rules that are detected and that no test demands, each with what stands in the way of a capture.
const UNDEMANDED: &[(&str, &str)] = &[
    // The symptom that is left when nothing explains an end.
    ("WSC603", "whoever is seen to end a connection is named (WSN005, WSN006, WSC604), so that it is never left alone"),
];

/// All Rust sources below a folder of the package.
fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder of src/ can be listed").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut all = Vec::new();
    walk(&captures::root().join(folder), &mut all);
    all.sort();
    all
}

/// A file of dialogue tests, which says what must be found.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests") || path.components().any(|part| part.as_os_str() == "tests")
}

/// The code that runs outside of tests: no comments, no imports, no lists of rules.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let (mut code, mut skipping) = (String::new(), false);
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let begins = line.trim_start();
        let import =
            ["use ", "pub use ", "pub(crate) use ", "pub(super) use "].iter().any(|use_| begins.starts_with(use_));
        skipping |= import || begins.contains(": &[&Rule] =");
        if !skipping {
            code.push_str(line);
            code.push('\n');
        }
        skipping &= !line.trim_end().ends_with(';');
    }
    code
}

/// Rules of which a finding can be made, as they say of themselves.
fn detected() -> BTreeSet<String> {
    catalogue::all().filter(|rule| rule.detected).map(|rule| rule.id.to_owned()).collect()
}

/// The one rule that a value asks for; several are alternatives, of which none is demanded.
fn only(value: &Value) -> Option<String> {
    let one = match value {
        Value::Array(list) if list.len() == 1 => list[0].as_str(),
        Value::Object(cause) => return cause.get("rule").and_then(only),
        value => value.as_str(),
    }?;
    (one != "none" && !one.contains('*')).then(|| one.to_owned())
}

fn demanded_by(expected: &Value) -> BTreeSet<String> {
    // Several on one TCP stream stand in a list.
    let streams = expected["connections"].as_object().into_iter().flat_map(|all| all.values());
    let connections: Vec<&Value> =
        streams.flat_map(|one| one.as_array().map_or(std::slice::from_ref(one), Vec::as_slice)).collect();
    let found = std::iter::once(expected).chain(connections.iter().copied());
    let found = found.flat_map(|part| part["must_find"].as_array().into_iter().flatten());
    let causes = connections.iter().map(|connection| &connection["root_cause"]);
    let parts = found.chain(causes);
    parts.filter_map(only).collect()
}

/// Rules that an `expected.json` demands, with or without keys.
fn demanded_by_captures() -> BTreeSet<String> {
    let cases = captures::all();
    cases.iter().flat_map(|case| [&case.expected, &case.expected["without_keys"]]).flat_map(demanded_by).collect()
}

/// Rules that a dialogue test of the diagnosis names.
fn demanded_by_dialogues() -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for path in sources("src/diagnosis").into_iter().filter(|path| is_test(path)) {
        let code = code(&path);
        let is_id =
            |text: &&str| text.len() == 6 && text.starts_with("WS") && text[3..].bytes().all(|b| b.is_ascii_digit());
        named.extend(code.split('"').filter(is_id).map(str::to_owned));
    }
    named
}

#[test]
fn every_rule_that_is_detected_is_demanded() {
    let detected = detected();
    assert!(detected.len() > 100, "only {} rules are detected: how it is found out must be wrong", detected.len());
    let demanded: BTreeSet<String> = demanded_by_captures().union(&demanded_by_dialogues()).cloned().collect();
    let listed: BTreeSet<String> = UNDEMANDED.iter().map(|(rule, _)| (*rule).to_owned()).collect();
    let undemanded: BTreeSet<String> = detected.difference(&demanded).cloned().collect();
    let new: Vec<&String> = undemanded.difference(&listed).collect();
    assert!(new.is_empty(), "no capture and no dialogue test demands {new:?}: add one in which it must be found");
    let stale: Vec<&String> = listed.difference(&undemanded).collect();
    assert!(stale.is_empty(), "{stale:?} are demanded, or not detected any more: take them off the list");
}

#[test]
fn rules_that_nothing_demands_are_listed_with_a_reason() {
    assert!(UNDEMANDED.is_sorted(), "the list is in order");
    for (rule, reason) in UNDEMANDED {
        assert!(reason.len() > 20, "{rule} needs a reason");
    }
}

#[test]
fn alternatives_demand_nothing() {
    let all = |expected: Value| demanded_by(&expected).into_iter().collect::<Vec<_>>();
    let connection = |want: Value| all(serde_json::json!({ "connections": { "0": want } }));
    assert_eq!(
        all(serde_json::json!({ "must_find": ["WSC601", ["WSC602"], ["WSC603", "WSC604"], "WSC6*"] })),
        ["WSC601", "WSC602"]
    );
    assert_eq!(connection(serde_json::json!({ "must_find": ["WSH326"], "root_cause": "none" })), ["WSH326"]);
    assert_eq!(connection(serde_json::json!({ "root_cause": { "rule": ["WSH327"], "packets": [4] } })), ["WSH327"]);
    assert_eq!(connection(serde_json::json!({ "root_cause": { "rule": "WSH327" } })), ["WSH327"]);
    assert_eq!(
        connection(serde_json::json!([{}, { "must_find": [{ "rule": "WSH327", "packets": [4] }] }])),
        ["WSH327"]
    );
    assert_eq!(connection(serde_json::json!({ "root_cause": { "rule": ["WSH327", "WSN004"] } })), [""; 0]);
}
