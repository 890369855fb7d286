use super::super::redact::derive_key;
use super::ndjson::{Content, content};
use super::writer::{Events, Form, LineEncoder, LineWriter, MAX_JOURNAL};
use super::*;
use crate::capture::{Capture, Input};
use crate::connection::Keys;
use crate::engine::Judgement;
use crate::engine::{self, Feed, Walked};
use crate::output::json::{Json, Layout};
use crate::output::numbering::Listing;
use crate::output::render::{self, Render};
use crate::output::store::{Store, Stored};
use crate::packet::Batch;
use crate::packet::Stamp;
use crate::stream::Direction;
use crate::websocket::MessageKind;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ALL: Events =
    Events { connection: true, handshake: true, message: true, frame: true, finding: true, stats: true };

/// A capture of this repository, a few packets at a time.
pub(crate) struct Slowly {
    capture: Mutex<(Capture, Batch, usize)>,
    step: usize,
}

impl Slowly {
    pub(crate) fn new(name: &str, step: usize) -> Self {
        let path = format!("{}/captures/{name}/capture.pcap", env!("CARGO_MANIFEST_DIR"));
        let capture = Capture::open(&[Input::from_argument(path)]).unwrap();
        Self { capture: Mutex::new((capture, Batch::default(), 0)), step }
    }
}

impl Feed for Slowly {
    fn is_serial(&self) -> bool {
        true
    }

    fn fetch(&self, _: u64, _: &mut Batch) -> bool {
        true
    }

    fn walk(&self, _: u64, batch: &mut Batch) -> Walked {
        let mut capture = lock(&self.capture);
        let (capture, read, at) = &mut *capture;
        if *at == read.packets.len() {
            *at = 0;
            if !capture.next_batch(read) {
                return Walked::default();
            }
        }
        let end = (*at + self.step).min(read.packets.len());
        batch.arena.clone_from(&read.arena);
        batch.packets.extend_from_slice(&read.packets[*at..end]);
        *at = end;
        Walked { more: true, ..Walked::default() }
    }
}

fn options<'o>(form: Form, remembered: usize, wanted: &'o Wanted<'o>) -> Options<'o> {
    Options {
        handshakes: true,
        chosen: false,
        wanted,
        redactor: Redactor::new(derive_key([])),
        patient: false,
        report_follows: form != Form::Ndjson,
        remembered,
    }
}

fn encoder(form: Form) -> LineEncoder {
    LineEncoder::new(form, ALL, true, Redactor::new(derive_key([])))
}

/// The lines written about a capture, and what is left.
fn lines(name: &str, step: usize, form: Form, remembered: usize) -> (String, Ended) {
    let mut out = Vec::new();
    let writer = LineWriter::new(&mut out, form, ALL, Arc::default());
    let stream = EventStream::new(options(form, remembered, &|_, _| true), encoder(form), writer);
    let run = engine::Options { threads: 2, wanted: None, keys: Keys::new() };
    engine::run(&Slowly::new(name, step), &run, &stream);
    let (writer, ended) = stream.end();
    writer.end(model::Capture::default(), ended.summary.clone()).unwrap();
    (String::from_utf8(out).unwrap(), ended)
}

/// The document of a store.
fn document(store: Store, found: &engine::Connections<Stored>) -> String {
    let redactor = Redactor::new(derive_key([]));
    let judgement = Judgement::of(found, false, 1);
    let texts = store.into_texts(&judgement, found);
    let listing = Listing::new(&judgement, &|_, _| true, 1);
    let analysis = render::Analysis::new(model::Capture::default(), listing, &texts, &redactor);
    let mut out = Vec::new();
    Json { layout: Layout::Pretty, threads: 1 }.render(&analysis, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_document_and_a_stream_of_one_pass_are_those_of_two() {
    let run = engine::Options { threads: 2, wanted: None, keys: Keys::new() };
    for name in ["demo", "reconnect-loop", "gen-credentials-in-the-clear"] {
        for step in [7, 100_000] {
            let store = || Store::new(Redactor::new(derive_key([])));
            let alone = store();
            let found = engine::run(&Slowly::new(name, step), &run, &alone).connections;
            let document_alone = document(alone, &found);
            let (lines_alone, _) = lines(name, step, Form::Ndjson, usize::MAX);

            let mut out = Vec::new();
            let writer = LineWriter::new(&mut out, Form::Ndjson, ALL, Arc::default());
            let stream =
                EventStream::new(options(Form::Ndjson, usize::MAX, &|_, _| true), encoder(Form::Ndjson), writer);
            let pair = (store(), stream);
            let found = engine::run(&Slowly::new(name, step), &run, &pair).connections;
            let (store, stream) = pair;
            let (writer, ended) = stream.end();
            writer.end(model::Capture::default(), ended.summary).unwrap();
            assert!(document_alone.len() > 1000 && lines_alone.len() > 1000);
            assert_eq!(document(store, &found), document_alone, "{name}, {step} packets at once");
            assert_eq!(String::from_utf8(out).unwrap(), lines_alone, "{name}, {step} packets at once");
        }
    }
}

fn ids_of<'t>(text: &'t str, event: &str) -> Vec<&'t str> {
    let id = |line: &'t str| line.split("\"connection\":").nth(1).and_then(|rest| rest.split(',').next());
    text.lines().filter(|line| line.starts_with(&format!("{{\"event\":\"{event}\""))).filter_map(id).collect()
}

#[test]
fn what_is_forgotten_was_written() {
    let (all, whole) = lines("reconnect-loop", 100_000, Form::Ndjson, usize::MAX);
    assert_eq!(whole.forgotten, 0);
    assert!(all.contains("\"WSR901\"") || all.contains("reconnect"), "{all}");
    let total = whole.summary.connections;
    assert!(total >= 4, "{total}");
    for (step, remembered) in [(100_000, 1), (3, 1), (3, 2)] {
        let (text, ended) = lines("reconnect-loop", step, Form::Ndjson, remembered);
        assert_eq!(ended.forgotten, total - remembered as u64);
        assert_eq!((ended.summary.connections, &ended.summary.outcomes), (total, &whole.summary.outcomes));
        assert_eq!(ids_of(&text, "connection.closed").len() as u64, total);
        assert_eq!(ended.judgement().0.len(), remembered);
    }
}

#[test]
fn legs_are_written_together_however_much_arrives_at_once() {
    let sorted = |text: &str| {
        let mut ends = ids_of(text, "connection.closed").iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        ends.sort();
        ends
    };
    let (whole, _) = lines("demo", 100_000, Form::Ndjson, usize::MAX);
    for step in [1, 7, 50] {
        let (text, ended) = lines("demo", step, Form::Ndjson, usize::MAX);
        assert_eq!(sorted(&text), sorted(&whole));
        for rule in ["WSK701", "WSL953", "WSO805", "WSL951"] {
            let found = |text: &str| text.matches(&format!("\"rule\":\"{rule}\",\"severity\"")).count();
            assert_eq!((found(&text), found(&whole)), (1, 1), "{rule}, {step} packets at once");
        }
        assert_eq!(ended.summary.connections, 8);
    }
}

#[test]
fn people_read_what_matters() {
    let (text, _) = lines("demo", 10, Form::Text, usize::MAX);
    let plain = anstream::adapter::strip_str(&text).to_string();
    let line = |part: &str| plain.lines().filter(|line| line.contains(part)).collect::<Vec<_>>();
    assert_eq!(line(" opened ").len(), 8);
    assert_eq!(line(" closed   ").len(), 8);
    assert_eq!(line(" refused ")[0], "10:12:53.723569 #4    refused  GET /chat → 426 Upgrade Required");
    assert!(line("WSK701")[0].ends_with("(WSK701, likely) [2 connections]"), "{plain}");
    assert!(line("#1 ")[0].ends_with("opened   10.77.1.10:34198 → 10.77.1.1:80"), "{plain}");
    let (nothing, ended) = lines("demo", 10, Form::Silent, usize::MAX);
    assert_eq!((nothing.as_str(), ended.summary.connections), ("", 8));
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failure_to_write_stops_the_reading() {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = LineWriter::new(Full, Form::Ndjson, ALL, Arc::clone(&stop));
    let stream = EventStream::new(options(Form::Ndjson, usize::MAX, &|_, _| true), encoder(Form::Ndjson), writer);
    let run = engine::Options { threads: 1, wanted: None, keys: Keys::new() };
    engine::run(&Slowly::new("demo", 10), &run, &stream);
    assert!(stop.load(Ordering::Acquire));
    let (writer, ended) = stream.end();
    let error = writer.end(model::Capture::default(), ended.summary).err().map(|error| error.kind());
    assert_eq!(error, Some(io::ErrorKind::StorageFull));
}

fn message(kind: MessageKind, payload: &[u8], truncated: bool) -> Message<'_> {
    let stamp = Stamp { packet: 5, at: 0 };
    Message {
        direction: Direction::ToServer,
        kind,
        compressed: false,
        fragments: 1,
        wire_length: payload.len() as u64,
        length: Some(payload.len() as u64),
        payload: Some(payload),
        truncated,
        first: stamp,
        last: stamp,
        complete: true,
    }
}

#[test]
fn text_is_shown_as_text_and_all_else_as_bytes() {
    let redactor = Redactor::new([1; 32]);
    let text = |text: &str| Some(Content::Text(text.to_owned()));
    let bytes = |text: &str| Some(Content::Base64(text.to_owned()));
    let said = |kind, payload, truncated| content(&message(kind, payload, truncated), &redactor);
    assert_eq!(said(MessageKind::Text, "é".as_bytes(), false), text("é"));
    assert_eq!(said(MessageKind::Text, b"caf\xc3", true), text("caf"));
    assert_eq!(said(MessageKind::Text, b"caf\xc3", false), bytes("Y2Fmww=="));
    assert_eq!(said(MessageKind::Text, b"a\xffb", true), bytes("Yf9i"));
    assert_eq!(said(MessageKind::Binary, b"abc", false), bytes("YWJj"));
    let secret = said(MessageKind::Text, br#"{"password":"correct horse"}"#, false);
    assert!(matches!(&secret, Some(Content::Text(text)) if !text.contains("horse")), "{secret:?}");
}

#[test]
fn a_full_journal_leaves_out_the_text_of_messages() {
    let encoder = encoder(Form::Ndjson);
    let one = message(MessageKind::Text, b"hello", false);
    let mut out = vec![b' '; MAX_JOURNAL - 1];
    encoder.message(&mut out, &one);
    assert!(out.ends_with(b"\"text\":\"hello\"}\n"));
    let full = out.len();
    encoder.message(&mut out, &one);
    let line = std::str::from_utf8(&out[full..]).unwrap();
    assert!(!line.contains("hello") && line.ends_with("\"truncated\":true}\n"), "{line}");
}
