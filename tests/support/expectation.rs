//! What an `expected.json` means: compares it with what wsscan said. `captures/README.md` explains the words.
//!
//! Nothing here knows the types of the program: documents are read as untrusted JSON, and a key that is
//! missing is a deviation, never an error of the test.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The findings that count as an alarm.
const ALARMING: [&str; 2] = ["warning", "error"];

/// Every way in which `document` deviates from `expected`, each as one sentence.
pub(crate) fn compare_document(expected: &Value, document: &Value) -> Vec<String> {
    let mut deviations = Vec::new();
    let connections = by_stream(document);
    let empty = serde_json::Map::new();
    let wanted = expected["connections"].as_object().unwrap_or(&empty);
    for (stream, want) in wanted {
        let candidates = connections.get(stream.as_str()).cloned().unwrap_or_default();
        deviations.extend(best(&candidates, |got| connection_deviations(stream, want, got, document)));
    }
    let findings: Option<Vec<&Value>> = document["findings"].as_array().map(|list| list.iter().collect());
    let Some(findings) = findings else {
        deviations.push("findings: there is no such list".to_owned());
        return deviations;
    };
    deviations.extend(root_cause(expected, wanted.keys(), &connections));
    let may = strings(&expected["may_find"]);
    for want in expected["must_find"].as_array().into_iter().flatten() {
        deviations.extend(must_find(want, &findings).into_iter().map(|d| format!("must_find: {d}")));
    }
    deviations.extend(must_not_find(expected, &findings, &may));
    if expected["healthy"] == true {
        for f in &findings {
            match severity(f) {
                Some("info") => {}
                Some(s) if ALARMING.contains(&s) && matches_any(rule(f), &may) => {}
                s => deviations
                    .push(format!("healthy: {} with severity {s:?}", rule(f).unwrap_or("a finding without a rule"))),
            }
        }
    }
    for tempting in expected["tempting"].as_array().into_iter().flatten() {
        let alarms = findings.iter().filter(|f| rule(f) == rule(tempting) && severity(f) != Some("info"));
        deviations.extend(alarms.map(|_| format!("tempting: {tempting} is found all the same")));
    }
    deviations.extend(quiet(expected, document, &findings));
    if expected["no_websocket"] == true && document["summary"]["websockets"] != 0 {
        deviations.push(format!("no_websocket: summary.websockets is {}", document["summary"]["websockets"]));
    }
    if let Some(facts) = expected.get("capture") {
        subset("capture", facts, Some(&document["capture"]), &mut deviations);
    }
    deviations
}

/// Every way in which the events of `--ndjson --events connection,frame,message --show-payload` deviate.
pub(crate) fn compare_events(expected: &Value, lines: &[Value]) -> Vec<String> {
    let streams = streams_of_ids(lines);
    let mut deviations = Vec::new();
    for (stream, want) in expected["connections"].as_object().into_iter().flatten() {
        for (member, event) in [("frames", "frame"), ("messages", "message")] {
            let Some(wanted) = want[member].as_array() else { continue };
            let got: Vec<&Value> = lines
                .iter()
                .filter(|l| {
                    l["event"] == event && streams.get(&l["connection"].to_string()).is_some_and(|s| s == stream)
                })
                .collect();
            for side in ["client", "server"] {
                let wanted: Vec<&Value> = wanted.iter().filter(|v| v["from"] == side).collect();
                let got: Vec<&Value> = got.iter().filter(|v| v["from"] == side).copied().collect();
                if let Some(deviation) = sequence(&wanted, &got) {
                    deviations.push(format!("stream {stream} {member} from the {side}: {deviation}"));
                }
            }
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

fn by_stream(document: &Value) -> BTreeMap<String, Vec<&Value>> {
    let mut map: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for connection in document["connections"].as_array().into_iter().flatten() {
        map.entry(connection["tcp_stream"].to_string()).or_default().push(connection);
    }
    map
}

/// Several connections may share one TCP stream: the one that fits best is the one that was meant.
fn best(candidates: &[&Value], deviations: impl Fn(&Value) -> Vec<String>) -> Vec<String> {
    let nothing = Value::Null;
    candidates.iter().map(|c| deviations(c)).min_by_key(Vec::len).unwrap_or_else(|| deviations(&nothing))
}

fn connection_deviations(stream: &str, want: &Value, got: &Value, document: &Value) -> Vec<String> {
    let mut deviations = Vec::new();
    let mut check = |what: &str, accepted: Option<&Value>, got: Option<Value>| {
        let Some(accepted) = accepted.filter(|a| !a.is_null()) else { return };
        let accepted: Vec<&Value> = accepted.as_array().map_or_else(|| vec![accepted], |list| list.iter().collect());
        if !got.as_ref().is_some_and(|g| accepted.contains(&g)) {
            let got = got.map_or_else(|| "nothing".to_owned(), |g| g.to_string());
            deviations.push(format!(
                "stream {stream} {what}: expected one of {}, got {got}",
                Value::from_iter(accepted.into_iter().cloned())
            ));
        }
    };
    check("outcome", want.get("outcome"), got.get("outcome").cloned());
    let cause = got.get("root_cause").map(|cause| cause.get("rule").cloned().unwrap_or_else(|| Value::from("none")));
    let wanted_cause = want.get("root_cause").map(|cause| cause.get("rule").unwrap_or(cause));
    check("root_cause", wanted_cause, cause);
    for side in ["client", "server"] {
        check(&format!("{side}_code"), want.get(format!("{side}_code").as_str()), seen_by(got, side));
        if let Some(codes) = want.get("close") {
            // Here null is a value of its own: a Close without a status.
            if let Some(code) = codes.get(format!("{side}_code").as_str()) {
                let accepted = if code.is_array() { code.clone() } else { Value::from(vec![code.clone()]) };
                check(&format!("close of the {side}"), Some(&accepted), on_the_wire(got, side));
            }
        }
    }
    for side in ["client", "server"] {
        if let Some(counts) = want.get("counts").and_then(|c| c.get(side)) {
            subset(&format!("stream {stream} websocket.{side}"), counts, got["websocket"].get(side), &mut deviations);
        }
    }
    if let Some(facts) = want.get("facts") {
        subset(&format!("stream {stream}"), facts, Some(got), &mut deviations);
    }
    let named: Vec<&Value> = document["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|f| f["connections"].as_array().is_some_and(|ids| !got["id"].is_null() && ids.contains(&got["id"])))
        .collect();
    for rule_wanted in want["must_find"].as_array().into_iter().flatten() {
        let missing = must_find(rule_wanted, &named);
        deviations.extend(missing.into_iter().map(|d| format!("stream {stream} must_find: {d}")));
    }
    if let Some(cause) = want.get("root_cause").filter(|cause| cause.is_object()) {
        let of_the_cause = named.iter().filter(|f| rule(f).is_some() && rule(f) == rule(&got["root_cause"]));
        let nearest = of_the_cause.map(|f| finding_deviations(cause, f)).min_by_key(Vec::len).unwrap_or_default();
        deviations.extend(nearest.into_iter().map(|d| format!("stream {stream} root_cause: {d}")));
        // Who says so exactly what the cause is names every other alarm, too.
        let others = want["must_find"].as_array().into_iter().flatten().flat_map(rules_of);
        let expected: Vec<String> =
            rules_of(cause).into_iter().chain(others).chain(strings(&want["may_find"])).collect();
        let alarms = named.iter().filter(|f| severity(f) != Some("info") && !matches_any(rule(f), &expected));
        deviations.extend(
            alarms.map(|f| format!("stream {stream}: {} is an alarm that nothing names", rule(f).unwrap_or("?"))),
        );
    }
    deviations
}

/// The rules that one entry of `must_find` or one `root_cause` accepts.
fn rules_of(want: &Value) -> Vec<String> {
    one_or_many(want.get("rule").unwrap_or(want))
}

/// How the findings differ from one that must be among them.
fn must_find(want: &Value, findings: &[&Value]) -> Vec<String> {
    let alternatives = rules_of(want);
    let found = findings.iter().filter(|f| matches_any(rule(f), &alternatives));
    let nearest = found.map(|f| finding_deviations(want, f)).min_by_key(Vec::len);
    nearest.unwrap_or_else(|| vec![format!("none of {alternatives:?} among {:?}", rules(findings))])
}

/// How the finding that a root cause names differs from what is wanted of it: confidence, severity, evidence.
fn finding_deviations(want: &Value, finding: &Value) -> Vec<String> {
    let mut deviations = Vec::new();
    for member in ["confidence", "severity"] {
        let accepted = want.get(member).map(one_or_many);
        if accepted.is_some_and(|accepted| !accepted.iter().any(|a| finding[member] == a.as_str())) {
            deviations.push(format!("{member}: expected one of {}, got {}", want[member], finding[member]));
        }
    }
    let evidence: Vec<&Value> =
        finding["evidence"].as_array().into_iter().flatten().map(|evidence| &evidence["packet"]).collect();
    for packet in want["packets"].as_array().into_iter().flatten() {
        if !evidence.contains(&packet) {
            deviations.push(format!("packet {packet} is not among the evidence {evidence:?}"));
        }
    }
    deviations
}

/// The close code that this side's application saw.
fn seen_by(connection: &Value, side: &str) -> Option<Value> {
    match connection.get("application_view")? {
        Value::Null => Some(Value::Null),
        view => match view.get(side)? {
            Value::Null => Some(Value::Null),
            one => one.get("code").cloned(),
        },
    }
}

/// The code in this side's Close frame: null for a Close without a status, "absent" without a Close.
fn on_the_wire(connection: &Value, side: &str) -> Option<Value> {
    let absent = || Some(Value::from("absent"));
    match connection.get("websocket")? {
        Value::Null => absent(),
        websocket => match websocket.get("close")? {
            Value::Null => absent(),
            close => match close.get(side)? {
                Value::Null => absent(),
                one => one.get("code").cloned(),
            },
        },
    }
}

fn root_cause<'a>(
    expected: &Value,
    streams: impl Iterator<Item = &'a String>,
    connections: &BTreeMap<String, Vec<&Value>>,
) -> Option<String> {
    let accepted = expected.get("root_cause_any").filter(|v| !v.is_null()).map(strings)?;
    let none_accepted = accepted.iter().any(|a| a == "none");
    let (mut named, mut unnamed, mut missing) = (BTreeSet::new(), 0, 0);
    for connection in streams.filter_map(|s| connections.get(s.as_str())).flatten() {
        match connection.get("root_cause") {
            None => missing += 1,
            Some(Value::Null) => unnamed += 1,
            Some(cause) => match rule(cause) {
                Some(rule) => drop(named.insert(rule.to_owned())),
                None => missing += 1,
            },
        }
    }
    let fits = |rule: &String| matches_any(Some(rule), &accepted);
    let right = if named.is_empty() {
        none_accepted && unnamed > 0 && missing == 0
    } else if none_accepted {
        // Where nothing is wrong, every cause that is named must be an accepted one.
        named.iter().all(fits)
    } else {
        named.iter().any(fits)
    };
    (!right).then(|| format!("root_cause: expected one of {accepted:?}, got {named:?} ({unnamed} without a cause, {missing} without the key)"))
}

fn must_not_find(expected: &Value, findings: &[&Value], may: &[String]) -> Option<String> {
    let forbidden = expected.get("must_not_find").filter(|v| !v.is_null()).map(strings)?;
    let mut bad = BTreeSet::new();
    for f in findings {
        let (rule, severity) = (rule(f), severity(f));
        if matches_any(rule, may) {
            continue;
        }
        let alarming = severity.is_none_or(|s| ALARMING.contains(&s));
        let exact = forbidden.iter().any(|p| rule == Some(p.as_str()));
        let pattern =
            alarming && forbidden.iter().any(|p| p.contains('*') && matches_any(rule, std::slice::from_ref(p)));
        let too_severe = expected["max_severity"] == "warning" && severity == Some("error");
        if exact || pattern || too_severe {
            bad.insert(format!("{} ({})", rule.unwrap_or("?"), severity.unwrap_or("?")));
        }
    }
    (!bad.is_empty()).then(|| format!("must_not_find: {bad:?}"))
}

/// Connections marked `quiet` are noise: no alarm may name them.
fn quiet(expected: &Value, document: &Value, findings: &[&Value]) -> Vec<String> {
    let may = strings(&expected["quiet_may"]);
    let mut deviations = Vec::new();
    for (stream, want) in expected["connections"].as_object().into_iter().flatten() {
        if want["quiet"] != true {
            continue;
        }
        let ids: Vec<&Value> = document["connections"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|c| c["tcp_stream"].as_u64().is_some_and(|number| stream.parse() == Ok(number)))
            .map(|c| &c["id"])
            .collect();
        for f in findings {
            let names_it = f["connections"].as_array().is_some_and(|list| list.iter().any(|id| ids.contains(&id)));
            if names_it && severity(f).is_some_and(|s| ALARMING.contains(&s)) && !matches_any(rule(f), &may) {
                deviations.push(format!("stream {stream} must be quiet, but {} names it", rule(f).unwrap_or("?")));
            }
        }
    }
    deviations
}

/// Every member of `want` must be in `got`: objects by their members, lists by their places, null also when absent.
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
        (Value::Null, None) => {}
        (want, Some(got)) if want == got => {}
        (want, got) => {
            deviations.push(format!(
                "{path}: expected {want}, got {}",
                got.map_or_else(|| "nothing".to_owned(), Value::to_string)
            ));
        }
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

fn rule(finding: &Value) -> Option<&str> {
    finding.get("rule").and_then(Value::as_str)
}

fn severity(finding: &Value) -> Option<&str> {
    finding.get("severity").and_then(Value::as_str)
}

fn rules(findings: &[&Value]) -> BTreeSet<String> {
    findings.iter().filter_map(|f| rule(f)).map(str::to_owned).collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn one_or_many(value: &Value) -> Vec<String> {
    value.as_str().map_or_else(|| strings(value), |one| vec![one.to_owned()])
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
