//! What an `expected.json` means: compares it with what wsscan said. `captures/README.md` explains the words.
//!
//! Nothing here knows the types of the program: documents are read as untrusted JSON. What is unknown or empty may be
//! null or be left out: both mean the same. A word that this file does not know is a deviation, because an expectation
//! that is misspelled would never fail.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Words of an expectation: of the whole file, and of its weaker part without keys.
const FILE_WORDS: [&str; 12] = [
    "file",
    "keylog",
    "connections",
    "must_find",
    "may_find",
    "tempting",
    "must_not_find",
    "no_websocket",
    "capture",
    "secrets",
    "never_show",
    "without_keys",
];
/// Words about one connection.
const CONNECTION_WORDS: [&str; 12] = [
    "outcome",
    "client_code",
    "server_code",
    "close",
    "root_cause",
    "must_find",
    "may_find",
    "counts",
    "facts",
    "frames",
    "messages",
    "todo",
];
/// Words about one finding.
const FINDING_WORDS: [&str; 5] = ["rule", "confidence", "severity", "packets", "todo"];
/// Words about a finding that tempts.
const TEMPTING_WORDS: [&str; 3] = ["rule", "why", "todo"];

/// What wsscan said, with its connections by TCP stream, in order.
struct Document<'a> {
    json: &'a Value,
    connections: BTreeMap<String, Vec<&'a Value>>,
    findings: Vec<&'a Value>,
}

impl<'a> Document<'a> {
    fn of(json: &'a Value) -> Self {
        let mut connections: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for connection in list(&json["connections"]) {
            connections.entry(connection["tcp_stream"].to_string()).or_default().push(connection);
        }
        Self { json, connections, findings: list(&json["findings"]).iter().collect() }
    }

    /// The findings that name this connection.
    fn about(&self, connection: &Value) -> Vec<&'a Value> {
        let id = &connection["id"];
        self.findings.iter().filter(|f| !id.is_null() && list(&f["connections"]).contains(id)).copied().collect()
    }

    /// The finding that is the root cause of this connection: by its index, or else those of the cause's rule.
    fn causes(&self, connection: &Value) -> Vec<&'a Value> {
        let cause = &connection["root_cause"];
        match cause["finding"].as_u64() {
            Some(index) => self.findings.iter().copied().skip(index as usize).take(1).collect(),
            None => self.about(connection).into_iter().filter(|f| rule(f) == rule(cause)).collect(),
        }
    }

    /// The streams of the connections that a finding names.
    fn streams(&self, finding: &Value) -> Vec<&str> {
        let names = |c: &&Value| list(&finding["connections"]).contains(&c["id"]);
        self.connections.iter().filter(|(_, all)| all.iter().any(names)).map(|(s, _)| s.as_str()).collect()
    }
}

/// Every way in which `document` deviates from `expected`, each as one sentence.
pub(crate) fn compare_document(expected: &Value, document: &Value) -> Vec<String> {
    let mut deviations = unknown_words("the file", expected, &FILE_WORDS);
    if !document["capture"].is_object() || !document["summary"].is_object() {
        deviations.push("this is no document: capture or summary is missing".to_owned());
        return deviations;
    }
    let document = Document::of(document);
    for (stream, want) in members(&expected["connections"]) {
        let wanted = one_or_many(want);
        let got = document.connections.get(stream).map(Vec::as_slice).unwrap_or_default();
        if wanted.len() != got.len() {
            deviations.push(format!("stream {stream}: expected {} times, reported {} times", wanted.len(), got.len()));
        }
        for (want, got) in wanted.iter().zip(got) {
            deviations.extend(connection_deviations(stream, want, got, &document));
        }
    }
    let reported = document.connections.keys().filter(|s| expected["connections"].get(s.as_str()).is_none());
    deviations.extend(reported.map(|s| format!("stream {s} is reported, and expected nowhere")));
    deviations.extend(must_find("", &expected["must_find"], &document.findings));
    deviations.extend(forbidden(expected, &document));
    deviations.extend(unnamed_alarms(expected, &document));
    if expected["no_websocket"] == true && document.json["summary"]["websockets"] != 0 {
        let number = &document.json["summary"]["websockets"];
        deviations.push(format!("no_websocket: summary.websockets is {number}"));
    }
    if let Some(facts) = expected.get("capture") {
        subset("capture", facts, Some(&document.json["capture"]), &mut deviations);
    }
    deviations
}

/// Every way in which the events of `--ndjson --events connection,frame,message --show-payload` deviate.
pub(crate) fn compare_events(expected: &Value, lines: &[Value]) -> Vec<String> {
    let streams = streams_of_ids(lines);
    let mut deviations = Vec::new();
    for (stream, want) in members(&expected["connections"]) {
        // Ids rise in the order of the first packets.
        let mut ids: Vec<u64> =
            streams.iter().filter(|(_, s)| *s == stream).filter_map(|(id, _)| id.parse().ok()).collect();
        ids.sort_unstable();
        for (index, want) in one_or_many(want).into_iter().enumerate() {
            let mut checks = Vec::new();
            for (member, event) in [("frames", "frame"), ("messages", "message")] {
                let Some(wanted) = want[member].as_array() else { continue };
                let its = |l: &&Value| {
                    l["event"] == event && l["connection"].as_u64().is_some_and(|id| ids.get(index) == Some(&id))
                };
                let got: Vec<&Value> = lines.iter().filter(its).collect();
                let mut wrong = Vec::new();
                for side in ["client", "server"] {
                    let wanted: Vec<&Value> = wanted.iter().filter(|v| v["from"] == side).collect();
                    let got: Vec<&Value> = got.iter().filter(|v| v["from"] == side).copied().collect();
                    wrong.extend(sequence(&wanted, &got).map(|d| format!("{member} from the {side}: {d}")));
                }
                checks.push((member, wrong));
            }
            deviations.extend(settle(&format!("stream {stream}"), &want["todo"], checks));
        }
    }
    deviations
}

/// Texts of `expected` that must appear nowhere, but do.
pub(crate) fn leaks(expected: &Value, member: &str, output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    strings(&expected[member])
        .into_iter()
        // In JSON the same text may have its quotes escaped.
        .filter(|s| text.contains(s.as_str()) || text.contains(&s.replace('"', "\\\"")))
        .map(|s| format!("{member}: the output holds {s:?}"))
        .collect()
}

/// Which TCP stream a connection id of NDJSON events means.
pub(crate) fn streams_of_ids(lines: &[Value]) -> BTreeMap<String, String> {
    lines.iter().filter_map(|line| Some((line["connection"].to_string(), tcp_stream(line)?.to_string()))).collect()
}

fn tcp_stream(line: &Value) -> Option<u64> {
    line["tcp_stream"]
        .as_u64()
        .or_else(|| line.as_object()?.values().find_map(|member| member.get("tcp_stream").and_then(Value::as_u64)))
}

/// What is left of the deviations of the named checks when those that are expected to fail are taken out. A failure
/// that is expected and does not come is a deviation of its own.
fn settle(place: &str, todo: &Value, checks: Vec<(&str, Vec<String>)>) -> Vec<String> {
    let met = |what: &str, reason: &Value| vec![format!("{place}: {what} is met now: delete its todo, {reason}")];
    let placed =
        |deviations: Vec<String>| -> Vec<String> { deviations.into_iter().map(|d| format!("{place} {d}")).collect() };
    if todo.is_string() {
        let failed = checks.iter().any(|(_, deviations)| !deviations.is_empty());
        return if failed { Vec::new() } else { met("the expectation", todo) };
    }
    let settled = |(name, deviations): (&str, Vec<String>)| match (todo.get(name), deviations.is_empty()) {
        (None, _) => placed(deviations),
        (Some(reason), true) => met(name, reason),
        (Some(_), false) => Vec::new(),
    };
    checks.into_iter().flat_map(settled).collect()
}

fn connection_deviations(stream: &str, want: &Value, got: &Value, document: &Document<'_>) -> Vec<String> {
    let place = format!("stream {stream}");
    let mut deviations = unknown_words(&place, want, &CONNECTION_WORDS);
    deviations.extend(unknown_words(&format!("{place} todo"), &want["todo"], &CONNECTION_WORDS));
    let mut checks = vec![("outcome", among("outcome", &want["outcome"], &got["outcome"]))];
    for (side, word) in [("client", "client_code"), ("server", "server_code")] {
        checks.push((word, among(word, &want[word], &got["application_view"][side]["code"])));
    }
    let mut close = unknown_words("close", &want["close"], &["client_code", "server_code"]);
    for (side, word) in [("client", "client_code"), ("server", "server_code")] {
        // Here null is a value of its own: a Close without a status.
        if let Some(code) = want["close"].get(word) {
            let accepted = if code.is_array() { code.clone() } else { Value::from(vec![code.clone()]) };
            close.extend(among(&format!("close of the {side}"), &accepted, &on_the_wire(got, side)));
        }
    }
    checks.push(("close", close));
    let mut counts = Vec::new();
    for (side, want) in members(&want["counts"]) {
        subset(&format!("websocket.{side}"), want, got["websocket"].get(side), &mut counts);
    }
    checks.push(("counts", counts));
    let mut facts = Vec::new();
    if let Some(want) = want.get("facts") {
        subset("facts", want, Some(got), &mut facts);
    }
    checks.push(("facts", facts));
    deviations.extend(settle(&place, &want["todo"], checks));
    deviations.extend(root_cause(&format!("{place} root_cause"), &want["root_cause"], got, document));
    deviations.extend(must_find(&format!("{place} "), &want["must_find"], &document.about(got)));
    deviations
}

/// `accepted` is a list of values, or null for "not checked".
fn among(what: &str, accepted: &Value, got: &Value) -> Vec<String> {
    if accepted.is_null() || one_or_many(accepted).contains(&got) {
        return Vec::new();
    }
    vec![format!("{what}: expected one of {accepted}, got {got}")]
}

/// The code in this side's Close frame: null for a Close without a status, "absent" without a Close.
fn on_the_wire(connection: &Value, side: &str) -> Value {
    let close = &connection["websocket"]["close"][side];
    if close.is_object() { close["code"].clone() } else { Value::from("absent") }
}

fn root_cause(place: &str, want: &Value, got: &Value, document: &Document<'_>) -> Vec<String> {
    if want.is_null() {
        return Vec::new();
    }
    let mut deviations = unknown_words(place, want, &FINDING_WORDS);
    deviations.extend(unknown_words(&format!("{place} todo"), &want["todo"], &FINDING_WORDS));
    if want["rule"].is_null() {
        deviations.push(format!("{place} names no rule"));
    }
    let named = rule(&got["root_cause"]);
    let accepted = strings(&want["rule"]);
    let fits = if named.is_some() { matches_any(named, &accepted) } else { accepted.iter().any(|a| a == "none") };
    if !fits {
        let wrong = vec![format!("rule: expected one of {accepted:?}, got {named:?}")];
        // The rest is about a finding that is not there.
        deviations.extend(settle(place, &want["todo"], vec![("rule", wrong)]));
        return deviations;
    }
    let checks = match named {
        None => vec![("rule", Vec::new())],
        Some(name) => nearest(want, document.causes(got).into_iter())
            .unwrap_or_else(|| vec![("rule", vec![format!("{name} is no finding about this connection")])]),
    };
    deviations.extend(settle(place, &want["todo"], checks));
    deviations
}

/// The checks of the finding that fits best, if there is any.
fn nearest<'a>(want: &Value, findings: impl Iterator<Item = &'a Value>) -> Option<Vec<(&'static str, Vec<String>)>> {
    findings.map(|f| finding_checks(want, f)).min_by_key(|checks| checks.iter().filter(|(_, d)| !d.is_empty()).count())
}

/// How a finding of an accepted rule deviates from what is wanted of it.
fn finding_checks(want: &Value, finding: &Value) -> Vec<(&'static str, Vec<String>)> {
    let name = rule(finding).unwrap_or("?");
    let evidence: BTreeSet<u64> = list(&finding["evidence"]).iter().filter_map(|e| e["packet"].as_u64()).collect();
    let is_there = |p: &Value| p.as_u64().is_some_and(|p| evidence.contains(&p));
    let missing = Value::from_iter(list(&want["packets"]).iter().filter(|p| !is_there(p)).cloned());
    let packets = (missing != Value::Array(Vec::new()))
        .then(|| format!("{name}: packets {missing} are not among its evidence {evidence:?}"));
    let word = |word| (word, among(&format!("{name} {word}"), &want[word], &finding[word]));
    vec![("rule", Vec::new()), word("confidence"), word("severity"), ("packets", packets.into_iter().collect())]
}

/// Each wanted rule, list of alternatives, or finding with its confidence, severity and packets must be there.
fn must_find(place: &str, wanted: &Value, findings: &[&Value]) -> Vec<String> {
    let mut deviations = Vec::new();
    for want in list(wanted) {
        let alternatives = rules_of(want);
        let place = format!("{place}must_find {alternatives:?}");
        deviations.extend(unknown_words(&place, want, &FINDING_WORDS));
        deviations.extend(unknown_words(&format!("{place} todo"), &want["todo"], &FINDING_WORDS));
        let best = nearest(want, findings.iter().copied().filter(|f| matches_any(rule(f), &alternatives)));
        let absent = || vec![("rule", vec![format!("is not among {:?}", rules(findings))])];
        deviations.extend(settle(&place, &want["todo"], best.unwrap_or_else(absent)));
    }
    deviations
}

/// `tempting`: not found at any severity above info. `must_not_find`: not found at all.
fn forbidden(expected: &Value, document: &Document<'_>) -> Vec<String> {
    let mut deviations = Vec::new();
    for want in list(&expected["tempting"]) {
        deviations.extend(unknown_words("tempting", want, &TEMPTING_WORDS));
        let (Some(name), Some(_)) = (rule(want), want["why"].as_str()) else {
            deviations.push(format!("tempting: {want} needs a rule and why it tempts"));
            continue;
        };
        let found = document.findings.iter().filter(|f| rule(f) == Some(name) && alarms(f));
        let found = found.map(|f| format!("is found about streams {:?}", document.streams(f))).collect();
        deviations.extend(settle(&format!("tempting {name}"), &want["todo"], vec![("rule", found)]));
    }
    let never = strings(&expected["must_not_find"]);
    deviations.extend(never.iter().filter(|r| r.contains('*')).map(|r| format!("must_not_find: {r} is no exact rule")));
    let found = rules(&document.findings).into_iter().filter(|r| never.contains(r));
    deviations.extend(found.map(|r| format!("must_not_find: {r} is found")));
    deviations
}

/// Findings of severity warning or error that the expectation does not name: for the capture, or for each connection
/// that they are about.
fn unnamed_alarms(expected: &Value, document: &Document<'_>) -> Vec<String> {
    let mut everywhere = strings(&expected["may_find"]);
    everywhere.extend(list(&expected["must_find"]).iter().flat_map(rules_of));
    // Those are found at present, and `forbidden` sees to them.
    let todo = list(&expected["tempting"]).iter().filter(|t| t["todo"].is_string());
    everywhere.extend(todo.flat_map(rules_of));
    let about = |stream: &str| -> Vec<String> {
        let wanted = one_or_many(&expected["connections"][stream]);
        wanted
            .iter()
            .flat_map(|want| {
                let causes = rules_of(&want["root_cause"]);
                causes
                    .into_iter()
                    .chain(list(&want["must_find"]).iter().flat_map(rules_of))
                    .chain(strings(&want["may_find"]))
            })
            .collect()
    };
    let unnamed = |f: &&&Value| {
        let streams = document.streams(f);
        alarms(f)
            && !matches_any(rule(f), &everywhere)
            && (streams.is_empty() || !streams.iter().all(|stream| matches_any(rule(f), &about(stream))))
    };
    document
        .findings
        .iter()
        .filter(unnamed)
        .map(|f| {
            let (name, severity) = (rule(f).unwrap_or("a finding without a rule"), &f["severity"]);
            format!("{name} ({severity}) about streams {:?} is an alarm that nothing names", document.streams(f))
        })
        .collect()
}

/// Every member of `want` must be in `got`: objects by their members, lists by their places. Null, an empty list or
/// object, and an object of nothing but zeros are also met by what is absent.
fn subset(path: &str, want: &Value, got: Option<&Value>, deviations: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(members), Some(Value::Object(_))) => {
            for (key, value) in members {
                subset(&format!("{path}.{key}"), value, got.and_then(|g| g.get(key)), deviations);
            }
        }
        (Value::Array(items), Some(Value::Array(list))) => {
            for (index, value) in items.iter().enumerate() {
                subset(&format!("{path}[{index}]"), value, list.get(index), deviations);
            }
        }
        (want, None | Some(Value::Null)) if is_nothing(want) => {}
        (want, Some(got)) if want == got => {}
        (want, got) => {
            deviations.push(format!(
                "{path}: expected {want}, got {}",
                got.map_or_else(|| "nothing".to_owned(), Value::to_string)
            ));
        }
    }
}

fn is_nothing(want: &Value) -> bool {
    match want {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(|v| is_nothing(v) || v.as_f64() == Some(0.0)),
        _ => false,
    }
}

/// Every wanted item in its order, nothing else; those marked `optional` may be missing.
fn sequence(wanted: &[&Value], got: &[&Value]) -> Option<String> {
    let optional = |w: &Value| w["optional"] == true;
    let fits = |w: &Value, g: &Value| {
        let mut deviations = Vec::new();
        let mut want = w.clone();
        if let Some(members) = want.as_object_mut() {
            members.remove("optional");
        }
        subset("", &want, Some(g), &mut deviations);
        deviations.is_empty()
    };
    // reach[j]: the first j reported items are explained by the wanted ones so far.
    let mut reach = vec![false; got.len() + 1];
    reach[0] = true;
    let mut farthest = 0;
    for w in wanted {
        let mut next = vec![false; got.len() + 1];
        for j in 0..=got.len() {
            if !reach[j] {
                continue;
            }
            next[j] |= optional(w);
            if j < got.len() && fits(w, got[j]) {
                next[j + 1] = true;
            }
        }
        if !next.contains(&true) {
            let reported = got.get(farthest).map_or_else(|| "the end".to_owned(), |g| g.to_string());
            return Some(format!("expected {w} after {farthest} reported, got {reported}"));
        }
        reach = next;
        farthest = reach.iter().rposition(|r| *r).unwrap_or(0);
    }
    (!reach[got.len()])
        .then(|| format!("after {farthest} that were sent, this was reported and never sent: {}", got[farthest]))
}

/// Members of an expectation that mean nothing.
fn unknown_words(place: &str, expectation: &Value, known: &[&str]) -> Vec<String> {
    members(expectation)
        .filter(|(word, _)| !known.contains(&word.as_str()))
        .map(|(word, _)| format!("{place}: {word:?} is no word of an expectation"))
        .collect()
}

/// Whether a finding is a warning or an error, or does not say that it is less.
fn alarms(finding: &Value) -> bool {
    finding["severity"] != "info"
}

fn rule(finding: &Value) -> Option<&str> {
    finding["rule"].as_str()
}

fn rules(findings: &[&Value]) -> BTreeSet<String> {
    findings.iter().filter_map(|f| rule(f)).map(str::to_owned).collect()
}

/// The rules that are accepted in one place: one, a list of them, or those of an object.
fn rules_of(want: &Value) -> Vec<String> {
    strings(if want.is_object() { &want["rule"] } else { want })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The texts of a list, or the one text.
fn strings(value: &Value) -> Vec<String> {
    one_or_many(value).into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn matches_any(rule: Option<&str>, patterns: &[String]) -> bool {
    rule.is_some_and(|rule| patterns.iter().any(|p| matches(rule.as_bytes(), p.as_bytes())))
}

/// `*` stands for anything, as in a shell.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| matches(&text[skip..], rest)),
        Some((first, rest)) => text.split_first().is_some_and(|(t, tail)| t == first && matches(tail, rest)),
    }
}
