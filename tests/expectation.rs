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
                "tcp": { "opening": "handshake" },
            },
            { "id": 2, "tcp_stream": 4, "outcome": "tcp_failed", "root_cause": { "rule": "WSN002" }, "application_view": null, "websocket": null },
        ],
        "findings": [
            { "rule": "WSC602", "severity": "warning", "connections": [1] },
            {
                "rule": "WSN002", "severity": "error", "confidence": "proven", "connections": [2],
                "evidence": [{ "packet": 1 }, { "packet": 2 }],
            },
            { "rule": "WSC601", "severity": "info", "connections": [1] },
        ],
    })
}

#[track_caller]
fn agrees(expected: &Value) {
    assert_eq!(compare_document(expected, &document()), Vec::<String>::new());
}

#[track_caller]
fn deviates(expected: &Value, times: usize) {
    let deviations = compare_document(expected, &document());
    assert_eq!(deviations.len(), times, "{expected}: {deviations:#?}");
}

fn about_stream_0(want: Value) -> Value {
    json!({ "connections": { "0": want } })
}

#[test]
fn values_are_right_when_they_are_in_the_accepted_list() {
    agrees(&about_stream_0(
        json!({ "outcome": ["open", "closed_clean"], "client_code": [1005], "server_code": [1000, null] }),
    ));
    deviates(&about_stream_0(json!({ "outcome": ["open"], "client_code": [1000], "server_code": [null] })), 3);
    agrees(&about_stream_0(json!({ "outcome": null, "client_code": null, "server_code": null })));
    // Numbers are not their text, and a code is not a boolean.
    deviates(&about_stream_0(json!({ "client_code": ["1005"] })), 1);
}

#[test]
fn a_view_that_is_null_is_a_value_and_a_missing_one_is_not() {
    agrees(&json!({ "connections": { "4": { "client_code": [null], "server_code": [null, 1006] } } }));
    deviates(&json!({ "connections": { "4": { "client_code": [1006] } } }), 1);
    deviates(&json!({ "connections": { "9": { "outcome": ["open"], "client_code": [null] } } }), 2);
}

#[test]
fn close_frames_are_told_from_no_close_at_all() {
    agrees(&about_stream_0(json!({ "close": { "client_code": 1000, "server_code": null } })));
    deviates(&about_stream_0(json!({ "close": { "client_code": "absent", "server_code": "absent" } })), 2);
    agrees(
        &json!({ "connections": { "4": { "close": { "client_code": "absent", "server_code": ["absent", null] } } } }),
    );
    deviates(&json!({ "connections": { "4": { "close": { "client_code": null } } } }), 1);
}

#[test]
fn the_best_of_several_connections_on_one_stream_counts() {
    let mut document = document();
    document["connections"][1]["tcp_stream"] = json!(0);
    assert_eq!(
        compare_document(&about_stream_0(json!({ "outcome": ["tcp_failed"] })), &document),
        Vec::<String>::new()
    );
}

#[test]
fn root_causes_of_the_connections_that_matter() {
    let streams = json!({ "0": {}, "4": {} });
    agrees(&json!({ "connections": streams, "root_cause_any": ["WSN*"] }));
    agrees(&json!({ "connections": { "0": {} }, "root_cause_any": ["none", "WSC601"] }));
    deviates(&json!({ "connections": { "0": {} }, "root_cause_any": ["WSC602"] }), 1);
    deviates(&json!({ "connections": streams, "root_cause_any": ["WSH301"] }), 1);
    // Where "none" is accepted, a cause that is named must be an accepted one, too.
    deviates(&json!({ "connections": streams, "root_cause_any": ["none"] }), 1);
    deviates(&json!({ "connections": { "7": {} }, "root_cause_any": ["none"] }), 1);
    agrees(&json!({ "connections": { "0": { "root_cause": ["none"] }, "4": { "root_cause": ["WSN002"] } } }));
    deviates(
        &json!({ "connections": { "0": { "root_cause": ["WSN002"] }, "4": { "root_cause": ["none"] }, "7": { "root_cause": ["none"] } } }),
        3,
    );
}

#[test]
fn the_finding_of_a_root_cause() {
    let cause = |cause: Value| json!({ "connections": { "4": { "root_cause": cause } } });
    agrees(&cause(json!({ "rule": ["WSN002"] })));
    agrees(&cause(
        json!({ "rule": ["WSN002", "WSN003"], "confidence": ["proven"], "severity": ["error"], "packets": [1, 2] }),
    ));
    deviates(&cause(json!({ "rule": ["WSN003"] })), 2); // … and WSN002 is then named by nothing.
    deviates(
        &cause(json!({ "rule": ["WSN002"], "confidence": ["likely"], "severity": ["info"], "packets": [2, 3] })),
        3,
    );
    deviates(&json!({ "connections": { "0": { "root_cause": { "rule": ["WSN002"] }, "may_find": ["WSC602"] } } }), 1);
    agrees(&json!({ "connections": { "0": { "root_cause": { "rule": "none" }, "must_find": ["WSC602"] } } }));
    deviates(&json!({ "connections": { "0": { "root_cause": { "rule": "none" } } } }), 1);
}

#[test]
fn what_is_tempting_and_false_must_be_no_alarm() {
    agrees(&json!({ "tempting": [{ "rule": "WSC603", "why": "…" }, { "rule": "WSC601", "why": "info" }] }));
    deviates(&json!({ "tempting": [{ "rule": "WSN002", "why": "…" }] }), 1);
}

#[test]
fn what_must_be_found() {
    agrees(&json!({ "must_find": ["WSC602", ["WSH301", "WSN002"], "WSC6*"] }));
    deviates(&json!({ "must_find": ["WSC603", ["WSH301", "WSH302"]] }), 2);
    agrees(&about_stream_0(json!({ "must_find": ["WSC602"] })));
    deviates(&about_stream_0(json!({ "must_find": ["WSN002"] })), 1);
    agrees(&json!({ "must_find": [{ "rule": ["WSN002"], "confidence": ["proven"], "packets": [2] }] }));
    deviates(&json!({ "must_find": [{ "rule": ["WSN002"], "severity": ["info"], "packets": [3] }] }), 2);
}

#[test]
fn an_exact_rule_is_forbidden_at_any_severity_and_a_pattern_from_warning_upward() {
    agrees(&json!({ "must_not_find": ["WSH*", "WSC603"] }));
    deviates(&json!({ "must_not_find": ["WSC601"] }), 1);
    deviates(&json!({ "must_not_find": ["WSC*"] }), 1);
    agrees(&json!({ "must_not_find": ["WSC*", "WSN*"], "may_find": ["WSC602", "WSN002"] }));
    deviates(&json!({ "must_not_find": [], "max_severity": "warning" }), 1);
    agrees(&json!({ "must_not_find": [], "max_severity": "warning", "may_find": ["WSN*"] }));
}

#[test]
fn healthy_and_quiet_traffic_raises_no_alarm() {
    deviates(&json!({ "healthy": true }), 2);
    agrees(&json!({ "healthy": true, "may_find": ["WSC602", "WSN002"] }));
    deviates(&json!({ "connections": { "4": { "quiet": true } } }), 1);
    agrees(&json!({ "connections": { "4": { "quiet": true } }, "quiet_may": ["WSN002"] }));
    let mut vague = document();
    vague["findings"] = json!([{ "rule": "WSC601" }]);
    assert_eq!(compare_document(&json!({ "healthy": true }), &vague).len(), 1);
}

#[test]
fn facts_and_counts_are_subsets() {
    agrees(&about_stream_0(
        json!({ "facts": { "tcp": { "opening": "handshake", "unknown": null } }, "counts": { "client": { "text": 2 } } }),
    ));
    deviates(
        &about_stream_0(
            json!({ "facts": { "tcp": { "opening": "mid_stream" } }, "counts": { "client": { "text": 3 } } }),
        ),
        2,
    );
    agrees(&json!({ "capture": { "packets": 12, "files": [{ "truncated": false }] } }));
    deviates(&json!({ "capture": { "packets": 13, "files": [{ "truncated": true }] } }), 2);
    deviates(&json!({ "no_websocket": true }), 1);
}

#[test]
fn a_document_without_findings_is_wrong() {
    assert_eq!(compare_document(&json!({}), &json!({})).len(), 1);
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
