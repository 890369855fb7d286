//! The event stream and `follow`: every line stands alone, ids agree, and nothing is said that the document does not say.

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Write;
use std::process::Stdio;
use support::captures::{self, Case};
use support::run::{Run, command, finish, wsscan};
use support::{in_parallel, skip};

const EVERYTHING: [&str; 4] =
    ["--ndjson", "--events", "connection,handshake,message,frame,finding,stats", "--show-payload"];

fn arguments(case: &Case, more: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-r".into(), case.capture.clone().into()];
    if let Some(keylog) = &case.keylog {
        arguments.extend(["-k".into(), keylog.clone().into()]);
    }
    arguments.extend(more.iter().map(OsString::from));
    arguments
}

#[track_caller]
fn lines(case: &Case, more: &[&str]) -> Vec<Value> {
    let run = wsscan(&arguments(case, more));
    assert_eq!(run.trouble(), None, "{}", case.name);
    run.lines().unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// What `judge` has to say about every capture.
fn over_all(judge: impl Fn(&Case) -> Vec<String> + Sync) {
    let cases = captures::all();
    assert!(cases.len() > 100, "only {} captures were found", cases.len());
    let wrong: Vec<String> = in_parallel(&cases, |case| {
        judge(case).into_iter().map(|one| format!("{}: {one}", case.name)).collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{} deviations:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_line_obeys_the_published_schema() {
    let schema = wsscan(&["schema", "event"]).document().expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a valid JSON Schema");
    assert!(
        !validator.is_valid(&serde_json::json!({"event": "frame"})),
        "a schema that accepts everything says nothing"
    );
    over_all(|case| {
        let lines = lines(case, &EVERYTHING);
        lines
            .iter()
            .flat_map(|line| {
                validator.iter_errors(line).map(move |e| format!("{e} at {} in {line}", e.instance_path()))
            })
            .collect()
    });
}

#[test]
fn ids_count_the_openings_and_every_opening_has_its_end() {
    over_all(|case| {
        let mut wrong = Vec::new();
        let (mut opened, mut closed, mut findings) = (Vec::new(), BTreeSet::new(), 0_u64);
        let lines = lines(case, &EVERYTHING);
        for line in &lines {
            let id = line["connection"].as_u64();
            match line["event"].as_str().unwrap_or_default() {
                "connection.opened" => opened.push(id),
                "connection.closed" => {
                    if !closed.insert(id) {
                        wrong.push(format!("{id:?} is closed twice"));
                    }
                    let stream =
                        lines.iter().find(|l| l["event"] == "connection.opened" && l["connection"] == line["id"]);
                    if stream.map(|l| &l["http2_stream"]) != Some(&line["http2_stream"]) {
                        wrong.push(format!("{id:?} is opened on another HTTP/2 stream than {}", line["http2_stream"]));
                    }
                    if line["id"].as_u64() != id {
                        wrong.push(format!("{id:?} has another id inside: {}", line["id"]));
                    }
                    let own = line["findings"].as_array().into_iter().flatten().filter_map(Value::as_u64);
                    if own.clone().any(|index| index >= findings) {
                        wrong.push(format!("{id:?} names a finding that was not told: {:?}", own.collect::<Vec<_>>()));
                    }
                }
                "finding" => {
                    findings += 1;
                    let about = line["connections"].as_array().into_iter().flatten().map(Value::as_u64);
                    wrong.extend(about.filter(|id| !opened.contains(id)).map(|id| format!("a finding about {id:?}")));
                }
                "capture.end" => {}
                _ if closed.contains(&id) => wrong.push(format!("after its end: {line}")),
                _ if !opened.contains(&id) => wrong.push(format!("before its opening: {line}")),
                _ => {}
            }
        }
        if opened != (1..=opened.len() as u64).map(Some).collect::<Vec<_>>() {
            wrong.push(format!("ids are not counted from 1: {opened:?}"));
        }
        if opened.iter().copied().collect::<BTreeSet<_>>() != closed {
            wrong.push(format!("opened {opened:?}, closed {closed:?}"));
        }
        let last = lines.last().map(|line| line["event"].as_str());
        if last != Some(Some("capture.end")) {
            wrong.push(format!("the last line is {last:?}"));
        }
        wrong
    });
}

#[test]
fn frames_come_in_order_and_are_as_many_as_the_end_counts() {
    over_all(|case| {
        let mut wrong = Vec::new();
        let mut counts: BTreeMap<(u64, String), u64> = BTreeMap::new();
        let mut before = (0, 0);
        let lines = lines(case, &EVERYTHING);
        // What was held back, because bytes before it were missing, is told when it is understood.
        let held = |line: &Value| {
            // Left out where it is zero.
            let some = |member: &str| !line["tcp"][member].is_null();
            some("out_of_order") || some("lost_bytes") || line["tcp"]["opening"] == "mid_stream"
        };
        let reordered = lines.iter().any(|line| line["event"] == "connection.closed" && held(line));
        for line in &lines {
            let id = line["connection"].as_u64().unwrap_or_default();
            match line["event"].as_str().unwrap_or_default() {
                "frame" => {
                    let from = line["from"].as_str().unwrap_or_default().to_owned();
                    *counts.entry((id, from)).or_default() += 1;
                    let packet = line["packet"].as_u64().unwrap_or_default();
                    if packet < before.0 && !reordered {
                        wrong.push(format!("packet {packet} of {id} after packet {} of {}", before.0, before.1));
                    }
                    before = (packet, id);
                }
                "connection.closed" => {
                    for side in ["client", "server"] {
                        let counted = line["websocket"][side]["frames"].as_u64().unwrap_or_default();
                        let told = counts.remove(&(id, side.to_owned())).unwrap_or_default();
                        if counted != told {
                            wrong.push(format!("{id}: {told} frames of the {side} were told, {counted} counted"));
                        }
                    }
                }
                _ => {}
            }
        }
        wrong
    });
}

/// Rules by the TCP streams that they are about, and the outcome of each.
type Said = (Vec<(Vec<u64>, String)>, Vec<(u64, String, String)>);

fn said<'v>(connections: &[&'v Value], findings: &[&'v Value]) -> Said {
    let streams: BTreeMap<u64, u64> =
        connections.iter().filter_map(|c| Some((c["id"].as_u64()?, c["tcp_stream"].as_u64()?))).collect();
    let mut rules: Vec<(Vec<u64>, String)> = findings
        .iter()
        .map(|finding| {
            let ids = finding["connections"].as_array().into_iter().flatten().filter_map(Value::as_u64);
            let mut about: Vec<u64> = ids.filter_map(|id| streams.get(&id).copied()).collect();
            about.sort_unstable();
            (about, finding["rule"].to_string())
        })
        .collect();
    rules.sort();
    let mut outcomes: Vec<(u64, String, String)> = connections
        .iter()
        .map(|c| {
            let stream = c["tcp_stream"].as_u64().unwrap_or(u64::MAX);
            (stream, c["outcome"].to_string(), c["root_cause"]["rule"].to_string())
        })
        .collect();
    outcomes.sort();
    (rules, outcomes)
}

#[test]
fn events_say_what_the_document_says() {
    over_all(|case| {
        let mut wrong = Vec::new();
        for more in [&[][..], &["--disable", "WSC", "--severity", "warning"]] {
            let document = wsscan(&arguments(case, &[&["--json"], more].concat())).document();
            let document = match document {
                Ok(document) => document,
                Err(error) => return vec![error],
            };
            let lines = lines(case, &[&["--ndjson"], more].concat());
            let list = |member: &str| document[member].as_array().into_iter().flatten().collect::<Vec<_>>();
            let of = |name: &str| lines.iter().filter(|line| line["event"] == name).collect::<Vec<_>>();
            let theirs = said(&list("connections"), &list("findings"));
            let ours = said(&of("connection.closed"), &of("finding"));
            if ours != theirs {
                wrong.push(format!("{more:?}:\n  events:   {ours:?}\n  document: {theirs:?}"));
            }
            let end = of("capture.end")[0];
            if end["summary"] != document["summary"] || end["capture"] != document["capture"] {
                wrong.push(format!("{more:?}: {} is not {}", end["summary"], document["summary"]));
            }
        }
        wrong
    });
}

#[test]
fn only_chosen_events_are_written() {
    let case = captures::one("demo");
    let names = |more: &[&str]| -> BTreeSet<String> {
        let lines = lines(&case, &[&["--ndjson"], more].concat());
        lines.iter().map(|line| line["event"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(&[]), set(&["connection.opened", "connection.closed", "finding", "capture.end"]));
    assert_eq!(names(&["--events", "frame"]), set(&["frame", "capture.end"]));
    assert_eq!(names(&["--events", "message,handshake"]), set(&["message", "handshake", "capture.end"]));
    assert_eq!(names(&["--events", "stats"]), set(&["capture.end"]));
}

#[test]
fn the_exit_status_does_not_depend_on_the_chosen_events() {
    for (more, code) in [
        (&["--fail-on", "error"][..], 1),
        (&["--fail-on", "error", "--events", "frame"], 1),
        (&["--fail-on", "error", "--select", "WSC601"], 0),
        (&[], 0),
    ] {
        let run = wsscan(&arguments(&captures::one("demo"), &[&["--ndjson"], more].concat()));
        assert_eq!(run.code, Some(code), "{more:?}");
    }
}

/// Writes `bytes` into the standard input of wsscan, `step` bytes at a time.
fn through_a_pipe(bytes: &[u8], step: usize, arguments: &[&str]) -> Run {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let bytes = bytes.to_vec();
    let feeding = std::thread::spawn(move || {
        for piece in bytes.chunks(step) {
            if writer.write_all(piece).is_err() {
                return;
            }
        }
    });
    let mut command = command();
    command.args(arguments).stdin(Stdio::from(reader));
    let run = finish(command);
    feeding.join().expect("the feeder does not panic");
    run
}

#[test]
fn a_pipe_tells_the_same_frames_and_hides_the_same_secrets() {
    for name in ["demo", "token-in-query-string", "gen-out-of-order", "gen-retransmissions"] {
        let case = captures::one(name);
        let bytes = std::fs::read(&case.capture).expect("the capture can be read");
        let keylog = case.keylog.as_ref().map(|path| path.to_str().expect("a plain path").to_owned());
        let keys: Vec<&str> = keylog.iter().flat_map(|path| ["-k", path]).collect();
        let events = ["--ndjson", "--events", "connection,handshake,message,frame", "--show-payload"];
        let from_file: Vec<Value> = lines(&case, &events);
        for step in [61, 1000, 1 << 20] {
            let run = through_a_pipe(&bytes, step, &[&["-r", "-"], &keys[..], &events].concat());
            assert_eq!(run.trouble(), None, "{name}");
            let from_pipe = run.lines().expect("one JSON object per line");
            // Where the ends come depends on how much arrived at once; all else is in order of packets.
            let steady = |lines: &[Value]| -> Vec<Value> {
                let ended = ["connection.closed", "capture.end"].map(Value::from);
                lines.iter().filter(|line| !ended.contains(&line["event"])).cloned().collect()
            };
            assert_eq!(steady(&from_pipe), steady(&from_file), "{name}, {step} bytes at a time");
        }
    }
}

#[test]
fn a_shown_message_is_redacted() {
    let run = wsscan(&arguments(&captures::one("token-in-query-string"), &EVERYTHING));
    let text = run.text();
    assert!(text.contains("<redacted:"), "{text}");
}

// ------------------------------------------------------------------ follow

fn follow(more: &[&str]) -> Run {
    let mut arguments: Vec<OsString> = vec!["follow".into()];
    arguments.extend(more.iter().map(OsString::from));
    wsscan(&arguments)
}

fn path(case: &str) -> String {
    captures::one(case).capture.to_str().expect("a plain path").to_owned()
}

#[test]
fn follow_shows_one_connection_in_order() {
    let demo = path("demo");
    let run = follow(&["-r", &demo, "2", "--show-payload", "--color", "never"]);
    assert_eq!(run.trouble(), None);
    snapbox::assert_data_eq!(
        run.text(),
        snapbox::str![[r#"
connection 2  10.77.2.1:40340 → 10.77.2.20:8080  GET /feed  2026-11-21 UTC, tcp.stream 1
10:12:53.240908  → text      23 bytes  hello through the proxy
10:12:53.241817  ← text      28 bytes  echo hello through the proxy
10:12:53.642599  → close     1000  done
10:12:53.643274  ← close     1000  done

"#]]
    );
    let hidden = follow(&["-r", &demo, "2"]).text();
    assert!(!hidden.contains("hello") && hidden.contains("23 bytes") && hidden.contains("1000  done"), "{hidden}");
    let refused = follow(&["-r", &demo, "3"]);
    assert!(
        refused.text().contains("No messages: this never became a WebSocket (upgrade_failed)"),
        "{}",
        refused.text()
    );
    let pings = follow(&["-r", &path("gen-ping-acknowledged-never-answered"), "1"]).text();
    assert!(pings.contains(" ping "), "{pings}");
    let coloured = follow(&["-r", &demo, "2", "--color", "always"]).text();
    assert!(coloured.contains('\u{1b}') && !hidden.contains('\u{1b}'));
}

#[test]
fn follow_writes_the_messages_of_the_event_stream() {
    over_all(|case| {
        let all = lines(case, &["--ndjson", "--events", "connection,message", "--show-payload"]);
        let document = match wsscan(&arguments(case, &["--json"])).document() {
            Ok(document) => document,
            Err(error) => return vec![error],
        };
        let mut wrong = Vec::new();
        let connections = document["connections"].as_array().expect("a list of connections");
        for connection in connections.iter().take(4) {
            let id = connection["id"].to_string();
            let stream = &connection["tcp_stream"];
            let entries = connections.iter().filter(|other| other["tcp_stream"] == *stream).count();
            let mut typed =
                vec![OsString::from("follow"), "--ndjson".into(), "--show-payload".into(), id.clone().into()];
            typed.extend(arguments(case, &[]));
            let run = wsscan(&typed);
            if let Some(trouble) = run.trouble() {
                wrong.push(format!("follow {id}: {trouble}"));
                continue;
            }
            let told = run.lines().unwrap_or_default();
            let nameless = |line: &Value| {
                let mut line = line.clone();
                line["connection"] = Value::Null;
                line
            };
            let expected: Vec<Value> = all
                .iter()
                .filter(|line| line["event"] == "message" && line["tcp_stream"] == *stream && entries == 1)
                .map(nameless)
                .collect();
            if entries == 1 && told.iter().map(nameless).collect::<Vec<_>>() != expected {
                wrong.push(format!("follow {id}: {told:?} is not {expected:?}"));
            }
            if told.iter().any(|line| line["connection"] != connection["id"]) {
                wrong.push(format!("follow {id} tells of others"));
            }
        }
        wrong
    });
}

#[test]
fn follow_names_what_it_cannot_do() {
    let demo = path("demo");
    for (more, part) in [
        (&["-r", &demo, "9"][..], "connections 1 to 8"),
        (&["-r", &path("no-websocket-other-upgrades"), "1"], "no WebSocket was found"),
        (&["-r", "-", "1"], "standard input can be read only once"),
        (&["-r", "no-such-file.pcap", "1"], "no-such-file.pcap"),
        (&["-r", &demo, "-k", "no-such-keys.log", "1"], "no-such-keys.log"),
    ] {
        let run = follow(more);
        assert_eq!(run.code, Some(2), "{more:?}: {}", run.text());
        assert!(run.stderr.contains(part) && run.stdout.is_empty(), "{more:?}: {}", run.stderr);
    }
}

#[cfg(feature = "live")]
#[test]
fn follow_counts_what_the_filter_leaves() {
    let run = follow(&["-r", &path("demo"), "2", "port", "8080"]);
    assert!(run.text().starts_with("connection 2  10.77.2.1:40348"), "{}", run.text());
}

#[test]
fn a_named_pipe_cannot_be_followed() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pipe-{}", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&folder).status();
    if !made.is_ok_and(|status| status.success()) {
        return skip("a_named_pipe_cannot_be_followed", "there is no mkfifo");
    }
    let run = follow(&["-r", folder.to_str().expect("a plain path"), "1"]);
    let _ = std::fs::remove_file(&folder);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("can be read only once"), "{}", run.stderr);
}
