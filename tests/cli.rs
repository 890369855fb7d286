//! What a command line does: exit statuses, messages, streams, files, redaction, and what never reaches a terminal.

mod support;

use serde_json::Value;
use snapbox::cmd::Command;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use support::run::{Run, command, finish, wsscan};
use support::{captures, in_parallel};

/// A capture in which something is wrong at severity "error".
const FAILING: &str = "rec-nginx-stripped-upgrade";
/// A capture in which nothing is wrong.
const HEALTHY: &str = "rec-healthy";

fn path(case: &str) -> PathBuf {
    captures::one(case).capture
}

fn run(arguments: &[&str]) -> Run {
    wsscan(arguments)
}

fn read(case: &str, more: &[&str]) -> Run {
    let mut arguments: Vec<OsString> = vec!["-r".into(), path(case).into()];
    arguments.extend(more.iter().map(OsString::from));
    wsscan(&arguments)
}

#[track_caller]
fn document(run: &Run) -> Value {
    assert_eq!(run.trouble(), None);
    run.document().expect("a JSON document")
}

/// A folder of its own, gone when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        Self(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("the target folder can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Could not run: status 2, nothing on stdout, one message on stderr that names what is wrong.
#[track_caller]
fn refuses(run: &Run, names: &str) {
    assert_eq!(run.code, Some(2), "stderr: {}", run.stderr);
    assert!(run.stdout.is_empty(), "stdout must stay empty: {}", String::from_utf8_lossy(&run.stdout));
    assert!(run.stderr.contains(names), "the message does not name {names:?}: {}", run.stderr);
    assert!(!run.stderr.contains("panicked") && !run.stderr.contains("Os {"), "no message for people: {}", run.stderr);
}

// ------------------------------------------------------------------ usage

#[test]
fn bad_usage_is_refused_with_the_name_of_what_is_wrong() {
    refuses(&run(&[]), "wsscan");
    refuses(&run(&["--no-such-option"]), "--no-such-option");
    refuses(&read(HEALTHY, &["--fail-on", "sometimes"]), "sometimes");
    refuses(&read(HEALTHY, &["--threads", "many"]), "many");
    refuses(&read(HEALTHY, &["--json", "--ndjson"]), "--ndjson");
    refuses(&read(HEALTHY, &["--ndjson", "--events", "frames-of-mind"]), "frames-of-mind");
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["--help"][..], &["--version"], &["follow", "--help"], &["explain", "--help"]] {
        let run = run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.is_empty() && !run.stdout.is_empty(), "{arguments:?}");
    }
    let version = run(&["--version"]).text();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn help_for_a_command_that_does_not_exist_is_refused() {
    for command in ["check", "folow"] {
        refuses(&run(&[command, "--help"]), &format!("no command is called \"{command}\""));
        refuses(&run(&[command, "-h"]), &format!("no command is called \"{command}\""));
    }
}

#[test]
fn shell_completions_and_a_manual_page_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        let run = run(&["completions", shell]);
        assert_eq!(run.code, Some(0), "{shell}: {}", run.stderr);
        assert!(run.text().contains("keylog"), "the completions for {shell} do not know --keylog");
    }
    let manual = run(&["man"]);
    assert_eq!(manual.code, Some(0), "{}", manual.stderr);
    assert!(manual.text().contains(".TH"), "no manual page");
}

// ------------------------------------------------------------------ files

#[test]
fn files_that_cannot_be_read_are_named() {
    let scratch = Scratch::new("unreadable");
    refuses(&run(&["-r", "no-such-file.pcap"]), "no-such-file.pcap");
    refuses(&run(&["-r", "no-such-file.pcap", "--json"]), "no-such-file.pcap");
    for (name, bytes) in
        [("text.pcap", &b"this is a letter, not a capture\n"[..]), ("empty.pcap", b""), ("short.pcap", b"\xd4\xc3")]
    {
        let file = scratch.file(name, bytes);
        refuses(&wsscan(&[OsString::from("-r"), file.into()]), name);
    }
    refuses(&read(HEALTHY, &["-k", "no-such-keys.log"]), "no-such-keys.log");
    refuses(&wsscan(&[OsString::from("-r"), captures::root().join("captures").into()]), "captures");
}

#[test]
fn snapbox_sees_the_same_message_for_a_missing_file() {
    Command::new(env!("CARGO_BIN_EXE_wsscan"))
        .args(["-r", "no-such-file.pcap"])
        .assert()
        .code(2)
        .stdout_eq("")
        .stderr_eq("wsscan: [..]no-such-file.pcap[..]\n...\n");
}

#[test]
fn a_file_cut_anywhere_is_analysed_as_far_as_it_goes() {
    let scratch = Scratch::new("cut");
    let cases = [
        "gen-violations",
        "tls-keys-inside-pcapng",
        "gen-pcapng-everything",
        "gen-compressed-gzip",
        "gen-compressed-zstd",
        "gen-compressed-lz4",
        "http2-closed-by-client",
    ];
    let mut jobs = Vec::new();
    for case in cases {
        let whole = std::fs::read(path(case)).expect("the capture can be read");
        let name = path(case).file_name().and_then(|n| n.to_str()).expect("a plain name").to_owned();
        let step = (whole.len() / 60).max(1);
        for cut in (0..whole.len()).step_by(step) {
            jobs.push((scratch.file(&format!("{case}-{cut}-{name}"), &whole[..cut]), cut));
        }
    }
    let wrong: Vec<String> = in_parallel(&jobs, |(file, cut)| {
        let run = wsscan(&[OsString::from("-r"), file.into(), "--json".into()]);
        let first_block = if file.extension().is_some_and(|e| e == "zst" || e == "lz4") { 1000 } else { 400 };
        let fine = match run.code {
            Some(0) => run.document().is_ok(),
            // So little is left that it cannot be recognised, or not even the first compressed block is whole.
            Some(2) => *cut < first_block && run.stdout.is_empty(),
            _ => false,
        };
        (!fine || run.hung || run.stderr.contains("panicked"))
            .then(|| format!("{}: {:?} {}", file.display(), run.code, run.stderr))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn damage_in_the_middle_does_no_harm() {
    let scratch = Scratch::new("damage");
    let mut jobs = Vec::new();
    for case in [
        "gen-violations",
        "gen-tunnels",
        "tls-keys-inside-pcapng",
        "http2-closed-by-client",
        "gen-deflate-fragmented",
        "tls13-chacha20-close-1011",
    ] {
        let whole = std::fs::read(path(case)).expect("the capture can be read");
        // A small linear congruential generator: the same damage every time.
        let mut state: u32 = 0x1234_5678;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize
        };
        for round in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..=round % 8 {
                let at = 24 + next() % (bytes.len() - 24);
                bytes[at] ^= 1 << (next() % 8);
            }
            jobs.push(scratch.file(&format!("{case}-{round}.pcap"), &bytes));
        }
    }
    let wrong: Vec<String> = in_parallel(&jobs, |file| {
        let run = wsscan(&[OsString::from("-r"), file.into(), "--json".into()]);
        let fine = matches!(run.code, Some(0 | 2)) && !run.hung && !run.stderr.contains("panicked");
        (!fine).then(|| format!("{}: {:?} {}", file.display(), run.code, run.stderr))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_truncated_file_is_said_to_be_truncated() {
    let scratch = Scratch::new("truncated");
    let whole = std::fs::read(path(HEALTHY)).expect("the capture can be read");
    // The report names the file, so its name must not say it.
    let file = scratch.file("half.pcap", &whole[..whole.len() / 2]);
    let json = document(&wsscan(&[OsString::from("-r"), file.clone().into(), "--json".into()]));
    assert_eq!(json["capture"]["files"][0]["truncated"], true);
    assert!(json["capture"]["files"][0]["error"].is_null(), "{}", json["capture"]);
    let report = wsscan(&[OsString::from("-r"), file.into(), "--color".into(), "never".into()]);
    assert_eq!(report.trouble(), None);
    assert!(words(&report).contains("half.pcap is truncated: it ends in the middle of a packet"), "{}", report.text());
    let report = read(HEALTHY, &["--color", "never"]);
    assert!(!words(&report).contains("truncated"), "{}", report.text());
}

#[test]
fn a_file_that_was_read_only_in_part_is_said_to_be() {
    let scratch = Scratch::new("partly");
    let mut damaged = std::fs::read(path(HEALTHY)).expect("the capture can be read");
    let at = split(&damaged, 9).0.len();
    damaged[at + 8..at + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let file = scratch.file("half.pcap", &damaged);
    let json = document(&wsscan(&[OsString::from("-r"), file.clone().into(), "--json".into()]));
    assert_eq!(json["capture"]["packets"], 9);
    assert!(json["capture"]["files"][0]["error"].is_string(), "{}", json["capture"]);
    let report = wsscan(&[OsString::from("-r"), file.into(), "--color".into(), "never".into()]);
    assert_eq!(report.trouble(), None);
    assert!(words(&report).contains("half.pcap was not read to its end: "), "{}", report.text());
}

/// A report in one line, wherever it was wrapped.
fn words(report: &Run) -> String {
    report.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn on_stdin(bytes: &Path, arguments: &[&str]) -> Run {
    let mut command = command();
    command.args(arguments).stdin(std::fs::File::open(bytes).expect("the capture can be opened"));
    finish(command)
}

/// The document without what names the file.
fn nameless(run: &Run) -> Value {
    let mut document = document(run);
    document["capture"]["files"] = Value::Null;
    document["capture"]["bytes"] = Value::Null;
    document
}

#[test]
fn standard_input_is_read_like_a_file() {
    for case in [FAILING, "gen-compressed-gzip", "gen-compressed-zstd", "gen-compressed-lz4", "gen-pcapng-everything"] {
        let from_file = read(case, &["--json"]);
        let from_stdin = on_stdin(&path(case), &["-r", "-", "--json"]);
        assert_eq!(nameless(&from_stdin), nameless(&from_file), "{case}");
    }
}

#[test]
fn compression_makes_no_difference() {
    let documents: Vec<Value> = ["gen-compressed-gzip", "gen-compressed-zstd", "gen-compressed-lz4"]
        .iter()
        .map(|case| nameless(&read(case, &["--json"])))
        .collect();
    assert_eq!(documents[0], documents[1]);
    assert_eq!(documents[0], documents[2]);
    assert_eq!(documents[0]["summary"]["websockets"], 1);
}

/// Cuts a little-endian pcap after `count` packets; both parts have the file header.
fn split(pcap: &[u8], count: usize) -> (Vec<u8>, Vec<u8>) {
    let mut at = 24;
    for _ in 0..count {
        let captured = u32::from_le_bytes(pcap[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        at += 16 + captured;
    }
    (pcap[..at].to_vec(), [&pcap[..24], &pcap[at..]].concat())
}

#[test]
fn several_files_are_one_capture() {
    let scratch = Scratch::new("several");
    for count in [3, 6, 9, 15] {
        let (first, second) = split(&std::fs::read(path(HEALTHY)).expect("the capture can be read"), count);
        let (first, second) = (scratch.file("first.pcap", &first), scratch.file("second.pcap", &second));
        let both = wsscan(&[OsString::from("-r"), first.into(), "-r".into(), second.into(), "--json".into()]);
        let whole = read(HEALTHY, &["--json"]);
        let (both, whole) = (document(&both), document(&whole));
        assert_eq!(both["connections"], whole["connections"], "split after packet {count}");
        assert_eq!(both["findings"], whole["findings"], "split after packet {count}");
        assert_eq!(both["capture"]["packets"], whole["capture"]["packets"]);
        assert_eq!(both["capture"]["files"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn a_count_ends_the_capture_early() {
    let json = document(&read(HEALTHY, &["--json", "-c", "9"]));
    assert_eq!(json["capture"]["packets"], 9);
    assert_eq!(json["connections"][0]["outcome"], "open");
}

#[cfg(feature = "live")]
#[test]
fn filters_are_those_of_libpcap() {
    let streams = |filter: &[&str]| {
        let json = document(&read("demo", &[&["--json"], filter].concat()));
        json["connections"].as_array().map(Vec::len).expect("a list of connections")
    };
    assert_eq!(streams(&[]), 8);
    assert_eq!(streams(&["port", "80", "and", "host", "10.77.1.10"]), 4);
    assert_eq!(streams(&["port 8080"]), 4);
    assert_eq!(streams(&["udp"]), 0);
    refuses(&read("demo", &["--json", "port", "of", "hamburg"]), "hamburg");
}

#[cfg(feature = "live")]
#[test]
fn packets_that_a_filter_does_not_fit_are_told() {
    // Half of its interfaces are Ethernet; the packets of the others begin with their IP header.
    for form in ["--json", "--ndjson"] {
        for threads in ["1", "3"] {
            let run =
                read("gen-pcapng-everything", &[form, "--threads", threads, "ether", "host", "02:00:5e:00:00:01"]);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            let [line] = run.stderr.lines().collect::<Vec<_>>()[..] else { panic!("one line: {}", run.stderr) };
            assert!(line.starts_with("wsscan: the filter") && line.contains("RAW packets"), "{line}");
        }
    }
    let run = read("gen-pcapng-everything", &["--json", "tcp"]);
    assert_eq!(run.stderr, "");
}

// ------------------------------------------------------------------ exit status

#[test]
fn findings_fail_a_run_only_when_asked() {
    let status = |case: &str, more: &[&str]| read(case, more).code;
    assert_eq!(status(FAILING, &[]), Some(0));
    assert_eq!(status(FAILING, &["--fail-on", "never"]), Some(0));
    assert_eq!(status(FAILING, &["--fail-on", "error"]), Some(1));
    assert_eq!(status(FAILING, &["--fail-on", "warning", "--json"]), Some(1));
    assert_eq!(status(FAILING, &["--fail-on", "info", "--ndjson"]), Some(1));
    assert_eq!(status(HEALTHY, &["--fail-on", "warning"]), Some(0));
    assert_eq!(status("rec-close-without-status", &["--fail-on", "error"]), Some(0));
    assert_eq!(status("rec-close-without-status", &["--fail-on", "warning"]), Some(1));
}

#[test]
fn rules_can_be_chosen() {
    let values = |member: &str, more: &[&str]| -> Vec<String> {
        let json = document(&read("demo", &[&["--json"], more].concat()));
        let findings = json["findings"].as_array().expect("a list");
        let values = findings.iter().map(|f| f[member].as_str().expect("text").to_owned());
        values.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let rules = |more: &[&str]| values("rule", more);
    let severities = |more: &[&str]| values("severity", more);
    assert!(rules(&[]).iter().any(|r| r == "WSH301"));
    assert!(!rules(&["--disable", "WSH301"]).iter().any(|r| r == "WSH301"));
    assert_eq!(rules(&["--select", "WSH301"]), ["WSH301"]);
    assert_eq!(rules(&["--select", "wsc,upgrade-stripped"]), ["WSC601", "WSC606", "WSH301"]);
    assert_eq!(rules(&["--select", "WSC", "--disable", "WSC601,WSC602"]), ["WSC606"]);
    assert_eq!(rules(&["--select", "WST"]), Vec::<String>::new());
    assert_eq!(severities(&[]), ["error", "info", "warning"]);
    assert_eq!(severities(&["--severity", "warning"]), ["error", "warning"]);
    assert_eq!(severities(&["--severity", "error"]), ["error"]);
}

#[test]
fn a_rule_that_nobody_knows_is_refused_with_the_nearest() {
    for option in ["--select", "--disable"] {
        refuses(&read(FAILING, &[option, "WSH3O1"]), &format!("{option}: no rule is called \"WSH3O1\""));
        refuses(&read(FAILING, &[option, "WSH3O1"]), "did you mean WSH301?");
        refuses(&read(FAILING, &[option, "upgrade-striped"]), "did you mean upgrade-stripped?");
        refuses(&read(FAILING, &[option, "WSC601,WSZ"]), "\"WSZ\"");
        refuses(&read(FAILING, &[option, "WSC6*"]), "\"WSC6*\"");
    }
}

#[test]
fn a_reader_that_hangs_up_is_no_error() {
    for form in [&["--json"][..], &["--ndjson"], &[]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command();
        command.arg("-r").arg(path("demo")).args(form).stdout(writer).stderr(Stdio::piped());
        let output = command.output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(0), "{form:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{form:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return support::skip("a_full_disk_is_an_error", "there is no /dev/full");
    };
    let mut command = command();
    command.arg("-r").arg(path("demo")).arg("--json").stdout(full).stderr(Stdio::piped());
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stderr.is_empty());
}

// ------------------------------------------------------------------ what may be shown

#[test]
fn secrets_show_only_when_asked() {
    let case = captures::one("token-in-query-string");
    let secrets: Vec<String> = case.expected["secrets"]
        .as_array()
        .expect("secrets")
        .iter()
        .map(|s| s.as_str().expect("text").to_owned())
        .collect();
    assert!(!secrets.is_empty());
    let run = |more: &[&str]| {
        let mut arguments: Vec<OsString> =
            vec!["-r".into(), case.capture.clone().into(), "-k".into(), case.keylog.clone().expect("keys").into()];
        arguments.extend(more.iter().map(OsString::from));
        let run = wsscan(&arguments);
        assert_eq!(run.trouble(), None, "{more:?}");
        run.text()
    };
    let everything = "connection,handshake,message,frame,finding,stats";
    for form in [&["--json"][..], &["--ndjson", "--events", everything], &[], &["-v"]] {
        let text = run(form);
        assert!(!secrets.iter().any(|s| text.contains(s.as_str())), "{form:?} shows a secret");
    }
    let shown = run(&["--json", "--show-secrets"]);
    assert!(secrets.iter().any(|s| shown.contains(s.as_str())), "--show-secrets shows none");
}

#[test]
fn payload_shows_only_when_asked() {
    let lines = |more: &[&str]| read(HEALTHY, &[&["--ndjson", "--events", "message"], more].concat()).text();
    assert!(!lines(&[]).contains("how are you?"));
    assert!(lines(&["--show-payload"]).contains("how are you?"));
    assert!(!read(HEALTHY, &["--json"]).text().contains("how are you?"));
}

/// What a terminal would obey: C0 and C1 control characters, DEL, and what turns the reading direction.
fn obeyed(text: &str) -> Vec<char> {
    text.chars()
        .filter(|c| {
            (c.is_control() && !matches!(c, '\n' | '\t'))
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect()
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through() {
    let case = "gen-control-characters";
    let everything = "connection,handshake,message,frame,finding,stats";
    for form in [
        &["--color", "never"][..],
        &["--color", "never", "-v"],
        &["--color", "never", "--show-payload", "--show-secrets"],
        &["--json", "--show-payload", "--show-secrets"],
        &["--ndjson", "--events", everything, "--show-payload", "--show-secrets"],
    ] {
        let run = read(case, form);
        assert_eq!(run.trouble(), None, "{form:?}");
        let json = form[0] != "--color";
        let bad: Vec<char> = obeyed(&run.text()).into_iter().filter(|c| !json || c.is_control()).collect();
        assert_eq!(bad, Vec::<char>::new(), "{form:?} lets them through:\n{}", run.text().escape_debug());
    }
    let follow =
        wsscan(&[OsString::from("follow"), "-r".into(), path(case).into(), "1".into(), "--show-payload".into()]);
    assert_eq!(follow.trouble(), None);
    assert_eq!(obeyed(&follow.text()), Vec::<char>::new(), "{}", follow.text().escape_debug());
    // The message of an error names what was typed, and that can hold anything, too.
    let missing = run(&["-r", "no\u{1b}[31m-such\u{7}-file.pcap"]);
    assert_eq!(missing.code, Some(2));
    assert_eq!(obeyed(&missing.stderr), Vec::<char>::new(), "{}", missing.stderr.escape_debug());
}

#[test]
fn colour_follows_the_conventions() {
    let escape = |run: &Run| run.stdout.contains(&0x1b);
    assert!(!escape(&read(FAILING, &[])), "a pipe is no terminal");
    assert!(!escape(&read(FAILING, &["--color", "never"])));
    assert!(escape(&read(FAILING, &["--color", "always"])));
    let mut with_no_color = command();
    with_no_color.env("NO_COLOR", "1").arg("-r").arg(path(FAILING));
    assert!(!escape(&finish(with_no_color)));
    assert!(!escape(&read(FAILING, &["--json", "--color", "always"])), "JSON has no colour");
}

// ------------------------------------------------------------------ commands

#[test]
fn explain_knows_codes_rules_and_slugs() {
    for (asked, told) in [
        ("1006", "1006"),
        ("1005", "1005"),
        ("WSH301", "upgrade-stripped"),
        ("upgrade-stripped", "WSH301"),
        ("WSC603", "abnormal-close"),
    ] {
        let run = run(&["explain", asked]);
        assert_eq!(run.code, Some(0), "{asked}: {}", run.stderr);
        let text = run.text();
        assert!(text.contains(told), "explain {asked} does not speak of {told}:\n{text}");
        assert!(text.len() > 200, "explain {asked} says little:\n{text}");
        assert_eq!(obeyed(&text), Vec::<char>::new());
    }
    refuses(&run(&["explain", "WSZ999"]), "WSZ999");
    refuses(&run(&["explain", "98765"]), "98765");
}

#[test]
fn follow_tells_the_messages_of_one_connection_in_order() {
    let run =
        wsscan(&[OsString::from("follow"), "-r".into(), path(HEALTHY).into(), "1".into(), "--show-payload".into()]);
    assert_eq!(run.trouble(), None);
    let text = run.text();
    let places: Vec<usize> = ["hello", "echo hello", "how are you?", "echo how are you?"]
        .iter()
        .map(|m| text.find(m).unwrap_or_else(|| panic!("{m} is missing:\n{text}")))
        .collect();
    assert!(places.is_sorted(), "out of order:\n{text}");
    let missing = wsscan(&[OsString::from("follow"), "-r".into(), path(HEALTHY).into(), "7".into()]);
    refuses(&missing, "7");
}

#[test]
fn every_output_obeys_the_published_schema() {
    let schema = |form: &str| {
        let run = run(&["schema", form]);
        assert_eq!(run.code, Some(0), "{form}: {}", run.stderr);
        jsonschema::validator_for(&run.document().expect("the schema is JSON")).expect("a valid JSON Schema")
    };
    let (documents, events) = (schema("document"), schema("event"));
    let nothing = serde_json::json!({});
    assert!(
        !documents.is_valid(&nothing) && !events.is_valid(&nothing),
        "a schema that accepts everything says nothing"
    );
    let cases = captures::all();
    let wrong: Vec<String> = in_parallel(&cases, |case| {
        let mut list = Vec::new();
        let mut arguments: Vec<OsString> = vec!["-r".into(), case.capture.clone().into()];
        if let Some(keylog) = &case.keylog {
            arguments.extend(["-k".into(), keylog.clone().into()]);
        }
        let json = wsscan(&[&arguments[..], &["--json".into()]].concat());
        match json.document() {
            Ok(document) => {
                list.extend(
                    documents.iter_errors(&document).map(|e| format!("{}: {e} at {}", case.name, e.instance_path())),
                );
            }
            Err(error) => list.push(format!("{}: {error}", case.name)),
        }
        let everything = ["--ndjson", "--events", "connection,handshake,message,frame,finding,stats", "--show-payload"];
        let ndjson = wsscan(&[&arguments[..], &everything.map(OsString::from)].concat());
        match ndjson.lines() {
            Ok(lines) if lines.is_empty() => list.push(format!("{}: --ndjson says nothing", case.name)),
            Ok(lines) => {
                for line in &lines {
                    let errors = events.iter_errors(line);
                    list.extend(errors.map(|e| format!("{}: {e} at {} in {line}", case.name, e.instance_path())));
                }
            }
            Err(error) => list.push(format!("{}: {error}", case.name)),
        }
        list
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn ndjson_ends_with_the_capture_and_every_line_is_an_event() {
    let run = read("demo", &["--ndjson"]);
    assert_eq!(run.trouble(), None);
    let lines = run.lines().expect("one JSON object per line");
    assert!(lines.iter().all(|l| l["event"].is_string() && !l["time"].is_null()), "a line without event or time");
    assert_eq!(lines.last().map(|l| &l["event"]), Some(&Value::from("capture.end")));
    assert_eq!(lines.iter().filter(|l| l["event"] == "connection.closed").count(), 8);
    for line in lines.iter().filter(|l| !l["connection"].is_null()) {
        assert!(line["community_id"].as_str().is_some_and(|id| id.starts_with("1:")), "no community_id: {line}");
    }
}
