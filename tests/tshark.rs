//! Where tshark can be trusted, every frame must be the one that tshark sees.

mod support;

use std::ffi::OsString;
use support::captures::{self, Case};
use support::run::{Run, wsscan};
use support::tshark::{self, Frame};
use support::{expectation, in_parallel, skip};

/// Captures about which tshark 4.0 is wrong, or about which there is nothing to compare, with the reason.
const NOT_COMPARABLE: &[(&str, &str)] = &[
    ("capture-lost-packets", "tshark goes on at the wrong place after a gap"),
    ("gen-answer-101-not-captured", "without the 101 tshark dissects no WebSocket"),
    ("gen-answers-101-with-oddities", "tshark takes a frame that comes before the 101 for the request's body"),
    ("gen-foreign-bytes", "tshark reads JSON in the stream as a frame"),
    ("gen-forged-reset", "tshark dissects what is sent after a reset has ended the connection"),
    ("gen-forward-proxy-refuses", "tshark dissects nothing behind a CONNECT"),
    ("gen-gap-inside-payload", "tshark goes on at the wrong place after a gap"),
    ("gen-gap-over-header", "tshark goes on at the wrong place after a gap"),
    ("gen-gap-poisons-deflate", "tshark loses the frames behind the gap"),
    ("gen-http2-refusals", "tshark 4.0 dissects no WebSocket in an HTTP/2 stream"),
    ("gen-length-above-32-bits", "tshark keeps 32 bits of a length and finds frames in the payload"),
    ("gen-only-server-to-client", "without the other direction tshark dissects no WebSocket"),
    ("gen-out-of-order", "tshark names the packet that filled the hole, not the one with the frame's last byte"),
    ("gen-snap-length", "tshark stops where the snap length cut a payload"),
    ("gen-starts-inside-frame", "without the handshake tshark dissects no WebSocket"),
    ("gen-starts-mid-stream", "without the handshake tshark dissects no WebSocket"),
    ("gen-through-connect-proxy", "tshark dissects nothing behind a CONNECT"),
    ("http-500-in-upgraded-stream", "tshark reads an HTTP answer in the upgraded stream as frames"),
    ("http2-closed-by-client", "tshark 4.0 dissects no WebSocket in an HTTP/2 stream"),
    ("http2-stream-destroyed", "tshark 4.0 dissects no WebSocket in an HTTP/2 stream"),
    ("rec-tls-http2", "tshark 4.0 dissects no WebSocket in an HTTP/2 stream"),
    ("server-flasksock-crash", "tshark reads an HTTP answer in the upgraded stream as frames"),
    ("snap-length-96", "tshark stops where the snap length cut a payload"),
    ("starts-mid-stream-compressed", "without the handshake tshark dissects no WebSocket"),
    ("starts-mid-stream-tls", "without the ClientHello tshark decrypts nothing"),
    ("through-connect-proxy", "tshark dissects nothing behind a CONNECT"),
];

fn ours(case: &Case) -> Result<Vec<Frame>, String> {
    let mut arguments: Vec<OsString> = vec!["-r".into(), case.capture.clone().into()];
    if let Some(keylog) = &case.keylog {
        arguments.extend(["-k".into(), keylog.clone().into()]);
    }
    arguments.extend(["--ndjson", "--events", "connection,frame"].iter().map(OsString::from));
    let run: Run = wsscan(&arguments);
    if let Some(trouble) = run.trouble() {
        return Err(trouble);
    }
    let lines = run.lines()?;
    let streams = expectation::streams_of_ids(&lines);
    lines
        .iter()
        .filter(|line| line["event"] == "frame")
        .map(|line| {
            let number = |key: &str| line[key].as_u64().ok_or_else(|| format!("{key} is no number: {line}"));
            let truth = |key: &str| line[key].as_bool().ok_or_else(|| format!("{key} is no boolean: {line}"));
            let stream = streams.get(&line["connection"].to_string()).and_then(|s| s.parse().ok());
            Ok(Frame {
                stream: stream.ok_or_else(|| format!("no connection event tells the stream of {line}"))?,
                packet: number("packet")?,
                opcode: number("opcode")?,
                fin: truth("fin")?,
                rsv: number("rsv")?,
                masked: truth("masked")?,
                length: number("length")?,
                close_code: line["close_code"].as_u64(),
            })
        })
        .collect()
}

/// How many frames tshark sees, and each that only one of the two sees.
fn deviations(case: &Case) -> (usize, Vec<String>) {
    let (mut theirs, mut mine) = match (tshark::frames(&case.capture, case.keylog.as_deref()), ours(case)) {
        (Ok(theirs), Ok(mine)) => (theirs, mine),
        (Err(e), _) | (_, Err(e)) => return (0, vec![format!("{}: {e}", case.name)]),
    };
    theirs.sort();
    mine.sort();
    let only = |a: &[Frame], b: &[Frame], who: &str| -> Vec<String> {
        let mut rest = b.to_vec();
        let mut list = Vec::new();
        for frame in a {
            match rest.iter().position(|f| f == frame) {
                Some(at) => drop(rest.remove(at)),
                None => list.push(format!("{}: only {who} sees {frame:?}", case.name)),
            }
        }
        list
    };
    let mut list = only(&theirs, &mine, "tshark");
    list.extend(only(&mine, &theirs, "wsscan"));
    (theirs.len(), list)
}

#[test]
fn frames_are_those_that_tshark_sees() {
    if !tshark::is_there() {
        return skip("frames_are_those_that_tshark_sees", "tshark is not installed");
    }
    let cases: Vec<Case> = captures::all()
        .into_iter()
        .filter(|c| !NOT_COMPARABLE.iter().any(|(name, _)| *name == c.name))
        .filter(|c| c.capture.extension().is_some_and(|e| e != "zst" && e != "lz4"))
        .collect();
    assert!(cases.len() > 60, "only {} captures are compared", cases.len());
    let results = in_parallel(&cases, deviations);
    let compared: usize = results.iter().map(|(n, _)| n).sum();
    let deviations: Vec<String> = results.into_iter().flat_map(|(_, list)| list).collect();
    assert!(deviations.is_empty(), "{} deviations:\n{}", deviations.len(), deviations.join("\n"));
    assert!(compared > 500, "only {compared} frames were compared");
}

/// An exception about which the two agree hides the next deviation.
#[test]
fn exceptions_are_needed() {
    if !tshark::is_there() {
        return skip("exceptions_are_needed", "tshark is not installed");
    }
    let cases: Vec<Case> = NOT_COMPARABLE.iter().map(|(name, _)| captures::one(name)).collect();
    let stale: Vec<String> = in_parallel(&cases, |case| {
        // That either of the two fails is no reason to leave a capture out.
        let both = tshark::frames(&case.capture, case.keylog.as_deref()).and(ours(case));
        match (both, deviations(case).1.is_empty()) {
            (Err(error), _) => Some(format!("{}: {error}", case.name)),
            (Ok(_), true) => Some(format!("{}: tshark sees the same frames", case.name)),
            (Ok(_), false) => None,
        }
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}
