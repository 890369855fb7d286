//! The comparison behind `golden.rs` itself: a comparer that never complains would make every capture pass.

mod support;

use serde_json::{Value, json};
use support::expectation::{compare_document, compare_events, leaks};

fn document() -> Value {
    json!({
        "capture": { "packets": 12, "files": [{ "truncated": false }] },
        "summary": { "websockets": 1 },
        "connections": [
            {
                "id": 1, "tcp_stream": 0, "outcome": "closed_clean", "root_cause": null, "findings": [0],
                "application_view": { "client": { "code": 1005 }, "server": { "code": 1000 } },
                "websocket": { "close": { "client": { "code": 1000 }, "server": { "code": null } }, "client": { "text": 2 } },
                "tcp": { "opening": "handshake", "lost_bytes": { "client": 0, "server": 0 } },
            },
            {
                "id": 2, "tcp_stream": 4, "outcome": "tcp_failed",
                "root_cause": { "rule": "WSN002", "confidence": "proven" }, "application_view": null, "websocket": null,
            },
        ],
        "findings": [
            {
                "rule": "WSC602", "severity": "warning", "confidence": "likely", "connections": [1],
                "evidence": [{ "packet": 8 }, { "packet": 9 }],
            },
            {
                "rule": "WSN002", "severity": "error", "confidence": "proven", "connections": [2],
                "evidence": [{ "packet": 3 }, { "packet": 4 }],
            },
            { "rule": "WSC601", "severity": "info", "confidence": "proven", "connections": [1], "evidence": [] },
        ],
    })
}

/// The same without what is unknown or empty, as schema 2 says it.
fn lean_document() -> Value {
    let mut lean = document();
    lean["schema_version"] = json!("2.0");
    let first = lean["connections"][0].as_object_mut().expect("a connection");
    first.remove("root_cause");
    first["websocket"]["close"]["server"].as_object_mut().expect("a Close").remove("code");
    first["tcp"].as_object_mut().expect("TCP facts").remove("lost_bytes");
    let second = lean["connections"][1].as_object_mut().expect("a connection");
    second.remove("application_view");
    second.remove("websocket");
    second["root_cause"]["finding"] = json!(1);
    lean
}

/// What both documents hold, so that only what a test adds can deviate.
fn all_named() -> Value {
    json!({
        "connections": { "0": { "may_find": ["WSC602"] }, "4": { "root_cause": { "rule": ["WSN002"] } } },
    })
}

/// `all_named` with further members for the file and for its streams.
fn with(file: &Value, streams: &[(&str, Value)]) -> Value {
    fn merge(into: &mut Value, more: &Value) {
        for (key, value) in more.as_object().expect("an object") {
            into[key] = value.clone();
        }
    }
    let mut expected = all_named();
    merge(&mut expected, file);
    for (stream, more) in streams {
        merge(&mut expected["connections"][stream], more);
    }
    expected
}

#[track_caller]
fn agrees(expected: &Value) {
    assert_eq!(compare_document(expected, &document()), Vec::<String>::new(), "schema 1");
    assert_eq!(compare_document(expected, &lean_document()), Vec::<String>::new(), "schema 2");
}

#[track_caller]
fn deviates(expected: &Value, times: usize) {
    for document in [document(), lean_document()] {
        let deviations = compare_document(expected, &document);
        assert_eq!(deviations.len(), times, "{expected}: {deviations:#?}");
    }
}

fn about_stream_0(want: Value) -> Value {
    with(&json!({}), &[("0", want)])
}

fn about_stream_4(want: Value) -> Value {
    with(&json!({}), &[("4", want)])
}

fn about_the_file(want: &Value) -> Value {
    with(want, &[])
}

#[test]
fn values_are_right_when_they_are_in_the_accepted_list() {
    agrees(&all_named());
    agrees(&about_stream_0(
        json!({ "outcome": ["open", "closed_clean"], "client_code": [1005], "server_code": [1000, null] }),
    ));
    deviates(&about_stream_0(json!({ "outcome": ["open"], "client_code": [1000], "server_code": [null] })), 3);
    agrees(&about_stream_0(json!({ "outcome": null, "client_code": null, "server_code": null })));
    // Numbers are not their text, and a code is not a boolean.
    deviates(&about_stream_0(json!({ "client_code": ["1005"] })), 1);
}

#[test]
fn a_view_that_nobody_has_is_null() {
    agrees(&about_stream_4(json!({ "client_code": [null], "server_code": [null, 1006] })));
    deviates(&about_stream_4(json!({ "client_code": [1006] })), 1);
}

#[test]
fn close_frames_are_told_from_no_close_at_all() {
    agrees(&about_stream_0(json!({ "close": { "client_code": 1000, "server_code": null } })));
    deviates(&about_stream_0(json!({ "close": { "client_code": "absent", "server_code": "absent" } })), 2);
    agrees(&about_stream_4(json!({ "close": { "client_code": "absent", "server_code": ["absent", null] } })));
    deviates(&about_stream_4(json!({ "close": { "client_code": null } })), 1);
}

#[test]
fn every_connection_is_expected_and_every_expected_one_reported() {
    deviates(&json!({ "connections": { "4": { "root_cause": { "rule": ["WSN002"] } } }, "may_find": ["WSC602"] }), 1);
    deviates(&with(&json!({}), &[("9", json!({ "outcome": null }))]), 1);
    let twice = json!([{ "outcome": ["closed_clean"], "may_find": ["WSC602"] }, { "outcome": ["open"] }]);
    let mut expected = all_named();
    expected["connections"]["0"] = twice;
    deviates(&expected, 1);
    // Several on one TCP stream are meant in their order.
    let mut document = document();
    let mut second = document["connections"][0].clone();
    (second["id"], second["outcome"]) = (json!(3), json!("open"));
    document["connections"].as_array_mut().expect("a list").push(second);
    assert_eq!(compare_document(&expected, &document), Vec::<String>::new());
    expected["connections"]["0"][1]["outcome"] = json!(["closed_clean"]);
    assert_eq!(compare_document(&expected, &document).len(), 1);
    assert_eq!(compare_document(&all_named(), &document).len(), 1);
}

#[test]
fn root_causes_have_a_rule_a_confidence_a_severity_and_packets() {
    agrees(&about_stream_0(json!({ "root_cause": { "rule": "none" } })));
    agrees(&about_stream_4(json!({
        "root_cause": { "rule": ["WSH301", "WSN002"], "confidence": ["proven"], "severity": ["error"], "packets": [3, 4] }
    })));
    agrees(&about_stream_4(json!({ "root_cause": { "rule": "WSN*", "packets": [4] } })));
    deviates(&about_stream_0(json!({ "root_cause": { "rule": ["WSC602"] } })), 1);
    // The alarm of a rule that is not the accepted one has no name.
    deviates(&about_stream_4(json!({ "root_cause": { "rule": "none" } })), 2);
    deviates(&about_stream_4(json!({ "root_cause": { "rule": ["WSH301"] }, "may_find": ["WSN002"] })), 1);
    deviates(&about_stream_4(json!({ "root_cause": { "rule": ["WSN002"], "confidence": ["likely", "possible"] } })), 1);
    deviates(&about_stream_4(json!({ "root_cause": { "rule": ["WSN002"], "severity": ["warning"] } })), 1);
    deviates(&about_stream_4(json!({ "root_cause": { "rule": ["WSN002"], "packets": [3, 5] } })), 1);
    deviates(&about_stream_4(json!({ "root_cause": { "packets": [3] }, "may_find": ["WSN002"] })), 2);
}

#[test]
fn the_finding_behind_a_cause_is_the_one_its_index_names() {
    let mut document = lean_document();
    let mut other = document["findings"][1].clone();
    other["evidence"] = json!([{ "packet": 7 }]);
    document["findings"].as_array_mut().expect("a list").push(other);
    let expected = |packet: u64| about_stream_4(json!({ "root_cause": { "rule": ["WSN002"], "packets": [packet] } }));
    assert_eq!(compare_document(&expected(3), &document), Vec::<String>::new());
    document["connections"][1]["root_cause"]["finding"] = json!(3);
    assert_eq!(compare_document(&expected(7), &document), Vec::<String>::new());
    assert_eq!(compare_document(&expected(3), &document).len(), 1);
    document["connections"][1]["root_cause"]["finding"] = json!(9);
    assert_eq!(compare_document(&expected(7), &document).len(), 1);
}

#[test]
fn what_must_be_found() {
    agrees(&about_the_file(&json!({ "must_find": ["WSC602", ["WSH301", "WSN002"], "WSC6*"] })));
    deviates(&about_the_file(&json!({ "must_find": ["WSC603", ["WSH301", "WSH302"]] })), 2);
    agrees(&about_stream_0(json!({ "must_find": ["WSC602"] })));
    deviates(&about_stream_0(json!({ "must_find": ["WSN002"] })), 1);
    let sure = json!({ "rule": "WSC602", "confidence": ["likely"], "severity": ["warning"], "packets": [9] });
    agrees(&about_stream_0(json!({ "must_find": [sure] })));
    agrees(&about_the_file(&json!({ "must_find": [{ "rule": ["WSC601", "WSC602"], "packets": [8] }] })));
    deviates(
        &about_stream_0(json!({ "must_find": [{ "rule": "WSC602", "confidence": ["proven"], "packets": [10] }] })),
        2,
    );
}

#[test]
fn an_alarm_that_nothing_names_is_a_deviation() {
    let streams = |about_0: Value, about_4: Value| json!({ "connections": { "0": about_0, "4": about_4 } });
    deviates(&streams(json!({}), json!({})), 2);
    agrees(&streams(json!({ "may_find": ["WSC6*"] }), json!({ "must_find": ["WSN002"] })));
    // To be named for another connection is not enough.
    deviates(&streams(json!({ "may_find": ["WSC602", "WSN002"] }), json!({})), 1);
    deviates(&streams(json!({ "may_find": ["WSC601"] }), json!({ "may_find": ["WSN002"] })), 1);
    let mut expected = streams(json!({}), json!({}));
    expected["must_find"] = json!(["WSN002"]);
    expected["may_find"] = json!(["WSC602"]);
    agrees(&expected);
    // One about several connections must be named for each of them.
    let mut document = document();
    document["findings"][0]["connections"] = json!([1, 2]);
    assert_eq!(compare_document(&all_named(), &document).len(), 1);
    assert_eq!(compare_document(&about_stream_4(json!({ "may_find": ["WSC602"] })), &document), Vec::<String>::new());
    // One without a severity, or about nothing, is an alarm as well.
    document["findings"] = json!([{ "rule": "WSC601", "connections": [1] }, { "rule": "WSC602", "severity": "error" }]);
    assert_eq!(compare_document(&about_stream_4(json!({ "root_cause": null })), &document).len(), 2);
}

#[test]
fn what_tempts_is_not_found_above_info_and_what_must_not_be_found_not_at_all() {
    let tempting = |rule: &str| json!({ "rule": rule, "why": "it comes close" });
    agrees(&about_the_file(&json!({ "tempting": [tempting("WSC601"), tempting("WSC603")] })));
    deviates(&about_the_file(&json!({ "tempting": [tempting("WSC602")] })), 1);
    deviates(&about_the_file(&json!({ "tempting": [{ "rule": "WSC603" }] })), 1);
    agrees(&about_the_file(&json!({ "must_not_find": ["WSC603"] })));
    deviates(&about_the_file(&json!({ "must_not_find": ["WSC601"] })), 1);
    deviates(&about_the_file(&json!({ "must_not_find": ["WSH*"] })), 1);
}

#[test]
fn what_is_still_to_do_must_fail() {
    let todo = "one day";
    agrees(&about_stream_0(json!({ "outcome": ["open"], "todo": { "outcome": todo } })));
    deviates(&about_stream_0(json!({ "outcome": ["closed_clean"], "todo": { "outcome": todo } })), 1);
    // Only what is named may fail.
    deviates(&about_stream_0(json!({ "outcome": ["open"], "client_code": [1006], "todo": { "outcome": todo } })), 1);
    let cause = |more: Value| {
        let mut cause = json!({ "rule": ["WSN002"] });
        for (key, value) in more.as_object().expect("an object") {
            cause[key] = value.clone();
        }
        about_stream_4(json!({ "root_cause": cause, "may_find": ["WSN002"] }))
    };
    agrees(&cause(json!({ "packets": [5], "todo": { "packets": todo } })));
    deviates(&cause(json!({ "packets": [3], "todo": { "packets": todo } })), 1);
    deviates(&cause(json!({ "packets": [5], "confidence": ["likely"], "todo": { "packets": todo } })), 1);
    agrees(&cause(json!({ "rule": ["WSN003"], "todo": todo })));
    agrees(&cause(json!({ "rule": ["WSN003"], "todo": { "rule": todo } })));
    deviates(&cause(json!({ "todo": todo })), 1);
    agrees(&about_the_file(&json!({ "must_find": [{ "rule": "WSC603", "todo": todo }] })));
    deviates(&about_the_file(&json!({ "must_find": [{ "rule": "WSC602", "todo": todo }] })), 1);
    // An alarm that is known to be false is named by its todo.
    let known = |rule: &str| json!({ "rule": rule, "why": "it comes close", "todo": todo });
    agrees(&json!({ "connections": { "0": {}, "4": {} }, "tempting": [known("WSC602"), known("WSN002")] }));
    deviates(&about_the_file(&json!({ "tempting": [known("WSC603")] })), 1);
}

#[test]
fn a_word_that_nobody_knows_is_a_deviation() {
    deviates(&about_the_file(&json!({ "must_fnid": [] })), 1);
    deviates(&about_stream_0(json!({ "outcomes": ["open"] })), 1);
    deviates(&about_stream_0(json!({ "close": { "client": 1000 } })), 1);
    deviates(&about_stream_4(json!({ "root_cause": { "rule": ["WSN002"], "packet": [3] } })), 1);
    deviates(&about_stream_4(json!({ "must_find": [{ "rule": ["WSN002"], "packet": [3] }] })), 1);
    deviates(&about_the_file(&json!({ "tempting": [{ "rule": "WSC603", "why": "it is near", "when": "always" }] })), 1);
    deviates(&about_stream_0(json!({ "todo": { "outcomes": "one day" } })), 1);
    deviates(&about_stream_4(json!({ "root_cause": { "rule": ["WSN002"], "todo": { "packet": "one day" } } })), 1);
    deviates(&about_stream_4(json!({ "must_find": [{ "rule": "WSN002", "todo": { "packet": "one day" } }] })), 1);
}

#[test]
fn facts_and_counts_are_subsets() {
    agrees(&about_stream_0(json!({
        "facts": { "tcp": { "opening": "handshake", "unknown": null, "lost_bytes": { "client": 0, "server": 0 } } },
        "counts": { "client": { "text": 2 } },
    })));
    deviates(
        &about_stream_0(
            json!({ "facts": { "tcp": { "opening": "mid_stream" } }, "counts": { "client": { "text": 3 } } }),
        ),
        2,
    );
    deviates(&about_stream_0(json!({ "facts": { "tcp": { "lost_bytes": { "client": 1, "server": 0 } } } })), 1);
    deviates(&about_stream_4(json!({ "facts": { "websocket": { "upgrade": "accepted" } } })), 1);
    agrees(&about_the_file(&json!({ "capture": { "packets": 12, "files": [{ "truncated": false }] } })));
    deviates(&about_the_file(&json!({ "capture": { "packets": 13, "files": [{ "truncated": true }] } })), 2);
    deviates(&about_the_file(&json!({ "no_websocket": true })), 1);
}

#[test]
fn what_is_no_document_is_wrong() {
    assert_eq!(compare_document(&json!({}), &json!({})).len(), 1);
    assert_eq!(compare_document(&json!({}), &json!({ "findings": [] })).len(), 1);
}

fn events() -> Vec<Value> {
    vec![
        json!({ "event": "connection.opened", "connection": 1, "tcp_stream": 6 }),
        json!({ "event": "frame", "connection": 1, "packet": 4, "from": "client", "opcode": 1, "length": 5 }),
        json!({ "event": "frame", "connection": 1, "packet": 5, "from": "server", "opcode": 1, "length": 7 }),
        json!({ "event": "frame", "connection": 1, "packet": 6, "from": "server", "opcode": 8, "length": 2, "close_code": 1000 }),
        json!({ "event": "message", "connection": 1, "from": "server", "kind": "text" }),
    ]
}

fn frames(list: &Value) -> Vec<String> {
    compare_events(&json!({ "connections": { "6": { "frames": list } } }), &events())
}

#[test]
fn every_frame_that_was_sent_is_told_in_order_and_no_other() {
    let all = json!([{ "from": "client", "length": 5 }, { "from": "server", "packet": 5 }, { "from": "server", "close_code": 1000 }]);
    assert_eq!(frames(&all), Vec::<String>::new());
    let one_too_few = json!([{ "from": "client", "length": 5 }, { "from": "server", "close_code": 1000 }]);
    assert_eq!(frames(&one_too_few).len(), 1);
    let one_too_many = json!([{ "from": "client" }, { "from": "client" }, { "from": "server" }, { "from": "server" }]);
    assert_eq!(frames(&one_too_many).len(), 1);
    let wrong = json!([{ "from": "client", "length": 6 }, { "from": "server", "length": 7 }, { "from": "server", "opcode": 8 }]);
    assert_eq!(frames(&wrong).len(), 1);
}

#[test]
fn optional_frames_may_be_missing_but_not_wrong() {
    let honest = json!([
        { "from": "client" },
        { "from": "server", "length": 7 },
        { "from": "server", "length": 120, "optional": true },
        { "from": "server", "opcode": 8 },
    ]);
    assert_eq!(frames(&honest), Vec::<String>::new());
    // The one that was reported could be the optional one or the one that must be there.
    let either = json!([
        { "from": "client" },
        { "from": "server", "optional": true },
        { "from": "server", "optional": true },
        { "from": "server", "opcode": 8 },
    ]);
    assert_eq!(frames(&either), Vec::<String>::new());
    let invented = json!([{ "from": "client" }, { "from": "server", "opcode": 8, "optional": true }]);
    assert_eq!(frames(&invented).len(), 1);
}

#[test]
fn a_text_that_is_unknown_must_not_be_told() {
    let with = |text: Value| json!({ "connections": { "6": { "messages": [{ "from": "server", "text": text }] } } });
    assert_eq!(compare_events(&with(Value::Null), &events()), Vec::<String>::new());
    assert_eq!(compare_events(&with(json!("hello")), &events()).len(), 1);
    let mut told = events();
    told[4]["text"] = json!("invented");
    assert_eq!(compare_events(&with(Value::Null), &told).len(), 1);
}

#[test]
fn secrets_are_found_also_where_json_escapes_them() {
    let expected = json!({ "secrets": ["r0cket", "\"a\":1"] });
    assert_eq!(leaks(&expected, "secrets", b"nothing here"), Vec::<String>::new());
    assert_eq!(leaks(&expected, "secrets", b"token=r0cketsk8ts").len(), 1);
    assert_eq!(leaks(&expected, "secrets", br#"{"text":"{\"a\":1}"}"#).len(), 1);
    assert_eq!(leaks(&expected, "never_show", b"r0cket"), Vec::<String>::new());
}
