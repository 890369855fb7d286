//! Which room may use which: reads the paths in `src/` and holds them against the table of the design.
//!
//! What a packet walks through, from `packet` to the engine's shards, must also stay pure: no clock, no files, no
//! sockets, no threads, no printing, no serialisation. Test code is not looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rooms, and what each may use besides itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("packet", &[]),
    ("stream", &["packet"]),
    ("tcp", &["packet", "stream"]),
    ("tls", &["stream"]),
    ("http", &["stream"]),
    ("http2", &["stream"]),
    ("websocket", &["stream"]),
    ("subprotocol", &["stream"]),
    ("connection", &["packet", "stream", "tcp", "tls", "http", "http2", "websocket", "subprotocol"]),
    ("diagnosis", &["packet", "stream", "tcp", "tls", "http", "http2", "websocket", "subprotocol", "connection"]),
    ("engine", &["packet", "stream", "tcp", "connection", "diagnosis", "sync"]),
    ("capture", &["packet", "sync"]),
    ("sync", &[]),
    (
        "output",
        &[
            "engine",
            "connection",
            "diagnosis",
            "packet",
            "stream",
            "tcp",
            "tls",
            "http",
            "http2",
            "websocket",
            "subprotocol",
            "sync",
        ],
    ),
    (
        "dashboard",
        &[
            "engine",
            "connection",
            "diagnosis",
            "packet",
            "stream",
            "tcp",
            "tls",
            "http",
            "http2",
            "websocket",
            "subprotocol",
            "output",
        ],
    ),
    (
        "cli",
        &[
            "packet",
            "stream",
            "tcp",
            "tls",
            "http",
            "http2",
            "websocket",
            "subprotocol",
            "connection",
            "diagnosis",
            "engine",
            "capture",
            "output",
            "dashboard",
            "sync",
        ],
    ),
];

/// Rooms, or single files of rooms, that are functions of what they are given.
const PURE: &[&str] = &[
    "packet",
    "stream",
    "tcp",
    "tls",
    "http",
    "http2",
    "websocket",
    "subprotocol",
    "connection",
    "diagnosis",
    "engine/shard",
];

/// What the pure rooms must not name, as it is written once comments, texts and blanks are gone.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "fs",
    "thread",
    "process",
    "env",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "serde",
    "serde_json",
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "dbg!",
    "crossbeam_channel",
    "clap",
    "anstream",
    "pcap",
    "schemars",
];

/// Source without comments and without what stands in quotes, line breaks kept.
fn code_only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let blank = |text: &str| text.chars().filter(|c| *c == '\n').collect::<String>();
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            nested_comment(rest)
        } else if let Some(length) =
            raw_string(rest).filter(|_| !out.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        {
            length
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.push_str(&blank(&rest[..taken]));
        if c == '"' || c == '\'' {
            out.push_str("\"\"");
        }
        rest = &rest[taken..];
    }
    out
}

fn nested_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a raw string that begins here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - body.len() + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Tells a character from a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Code without the items behind `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let item = &rest[at + MARK.len()..];
        let brace = item.find('{');
        let end = match (brace, item.find(';')) {
            (Some(brace), semicolon) if semicolon.is_none_or(|s| brace < s) => brace + matching_brace(&item[brace..]),
            (_, Some(semicolon)) => semicolon + 1,
            _ => item.len(),
        };
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}

fn matching_brace(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Words, `::`, and every other character on its own; blanks are gone.
fn tokens(code: &str) -> Vec<&str> {
    let mut list = Vec::new();
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let length = if c.is_alphanumeric() || c == '_' {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            c.len_utf8()
        };
        if !c.is_whitespace() {
            list.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    list
}

/// The first names of the paths that begin right here: one, or those of a `{…}` group.
fn heads<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let Some(&first) = tokens.first() else { return Vec::new() };
    if first != "{" {
        return vec![first];
    }
    let (mut depth, mut list, mut expect) = (0, Vec::new(), true);
    for &token in tokens {
        match token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            "," if depth == 1 => expect = true,
            name if depth == 1 && expect => {
                list.push(name);
                expect = false;
            }
            _ => {}
        }
    }
    list
}

/// The rooms that code uses by `crate::…`, or by enough `super::` to come to the crate's root.
/// `depth` is how many modules lie between the root and this file's items; modules inside the file are counted here.
fn uses(code: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(code);
    let mut found = BTreeSet::new();
    let (mut at, mut braces) = (0, 0_usize);
    // The braces in which modules of this file lie.
    let mut modules: Vec<usize> = Vec::new();
    while at < tokens.len() {
        let start = at;
        match tokens[at] {
            "{" => {
                braces += 1;
                if at >= 2 && tokens[at - 2] == "mod" {
                    modules.push(braces);
                }
            }
            "}" => {
                modules.pop_if(|opened| *opened == braces);
                braces = braces.saturating_sub(1);
            }
            _ => {}
        }
        if tokens[at] == "crate" && tokens.get(at + 1) == Some(&"::") {
            at += 2;
        } else {
            let mut supers = 0;
            while tokens.get(at) == Some(&"super") && tokens.get(at + 1) == Some(&"::") {
                (supers, at) = (supers + 1, at + 2);
            }
            if supers == 0 || supers < depth + modules.len() {
                at = at.max(start + 1);
                continue;
            }
        }
        found.extend(heads(&tokens[at..]).into_iter().map(str::to_owned));
    }
    found
}

/// What a pure room must not name, but does.
fn impurities(code: &str) -> BTreeSet<String> {
    let tokens = tokens(code);
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_macro = tokens.get(at + 1) == Some(&"!");
        let in_path = tokens.get(at + 1) == Some(&"::") || at > 0 && tokens[at - 1] == "::" || inside_use(&tokens, at);
        for forbidden in IMPURE {
            let hit = match forbidden.strip_suffix('!') {
                Some(name) => is_macro && *token == name,
                // A crate or module counts only as part of a path: a variable may be called `process`.
                None => token == forbidden && (in_path || forbidden.starts_with(char::is_uppercase)),
            };
            if hit {
                found.insert((*forbidden).to_owned());
            }
        }
    }
    found
}

fn inside_use(tokens: &[&str], at: usize) -> bool {
    tokens[..at].iter().rev().find(|t| matches!(**t, "use" | ";" | "fn" | "=" | "(")).is_some_and(|t| *t == "use")
}

fn sources(folder: &Path, list: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src/ can be listed") {
        let path = entry.expect("src/ can be listed").path();
        if path.is_dir() {
            if path.file_name().is_none_or(|n| n != "tests") {
                sources(&path, list);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_stem().is_none_or(|s| s != "tests") {
            list.push(path);
        }
    }
}

/// Room, path below `src/`, and the code of every source file that is no test.
fn rooms() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(&root).expect("below src/").with_extension("");
            let below = below.to_str().expect("plain names").replace('\\', "/");
            let room = below.split('/').next().expect("a first part").to_owned();
            let code = without_tests(&code_only(&std::fs::read_to_string(&path).expect("a source file")));
            (room, below, code)
        })
        .collect()
}

fn depth_of(below: &str) -> usize {
    let parts: Vec<&str> = below.split('/').collect();
    parts.len() - usize::from(parts.last() == Some(&"mod"))
}

#[test]
fn every_room_uses_only_what_it_may() {
    let files = rooms();
    assert!(files.len() > 10, "only {} source files were found", files.len());
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (room, below, code) in &files {
        if room == "lib" || room == "main" {
            continue;
        }
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| name == room) else {
            wrong.push(format!("src/{below}.rs: the room {room} is not in the table"));
            continue;
        };
        for used in uses(code, depth_of(below)) {
            seen += 1;
            if used != *room && !may.contains(&used.as_str()) {
                wrong.push(format!("src/{below}.rs uses crate::{used}, which {room} may not"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 10, "only {seen} uses were found; the reader of this test sees nothing");
}

#[test]
fn what_a_packet_walks_through_is_pure() {
    let mut wrong = Vec::new();
    for (room, below, code) in rooms() {
        if PURE.iter().any(|p| *p == room || below == *p || below.starts_with(&format!("{p}/"))) {
            wrong.extend(impurities(&code).into_iter().map(|name| format!("src/{below}.rs names {name}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Texts in quotes that are the id of a rule, or the beginning of one with its family.
fn rule_ids(code: &str) -> Vec<&str> {
    let quoted = code.match_indices("\"WS").filter_map(|(at, _)| code[at + 1..].split('"').next());
    let is_id = |text: &&str| {
        let rest = &text.as_bytes()[2..];
        matches!(rest, [b'A'..=b'Z', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit))
    };
    quoted.filter(is_id).collect()
}

/// What a rule is to others is a property of the rule, so that nobody else needs to know its id.
#[test]
fn no_rule_is_known_by_its_id_outside_diagnosis() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let (mut wrong, mut known) = (Vec::new(), 0);
    for path in paths {
        let source = std::fs::read_to_string(&path).expect("a source file");
        let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code: Vec<&str> = lines.take_while(|line| line.trim() != "mod tests {").collect();
        let code = code.join("\n");
        let below = path.strip_prefix(&root).expect("below src/");
        // Made-up documents for tests.
        let is_sample = below.file_stem().is_some_and(|stem| stem == "sample");
        if below.starts_with("diagnosis") {
            known += rule_ids(&code).len();
        } else if !is_sample {
            wrong.extend(rule_ids(&code).into_iter().map(|id| format!("src/{}: {id}", below.display())));
        }
    }
    assert!(known > 150, "only {known} ids were found in diagnosis; the reader of this test sees nothing");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rule_ids(r#"a("WSH301") || b("WSI") || c("WS") || d("WSSCAN") || e("WSH3011")"#), ["WSH301", "WSI"]);
}

// ------------------------------------------------------------------ the reader itself

fn used_in(source: &str, depth: usize) -> Vec<String> {
    uses(&without_tests(&code_only(source)), depth).into_iter().collect()
}

#[test]
fn paths_are_found_however_they_are_written() {
    assert_eq!(used_in("use crate::tcp::Half;", 1), ["tcp"]);
    assert_eq!(used_in("use crate::{packet::Stamp, stream::{self, Side}, tls};", 1), ["packet", "stream", "tls"]);
    assert_eq!(used_in("fn f() -> crate :: http :: Head { todo!() }", 1), ["http"]);
    assert_eq!(used_in("pub(crate) use super::super::http2::Frame;", 2), ["http2"]);
    assert_eq!(used_in("use super::Frame; use super::super::hpack;", 3), Vec::<String>::new());
    let inside = "mod inner { use super::super::Frame; fn f() { if x { y() } } use super::super::super::tls; }";
    assert_eq!(used_in(&format!("{inside} use super::super::http;"), 2), ["http", "tls"]);
}

#[test]
fn comments_texts_and_tests_are_not_looked_at() {
    let source = r###"
        // use crate::cli;
        /* crate::cli /* nested */ crate::cli */
        /// [`crate::cli`]
        const A: &str = "crate::cli \" still";
        const B: &str = r#"crate::cli " "#;
        const C: char = '"';
        fn f<'a>(x: &'a str) -> &'a str { x }
        #[cfg(test)]
        mod tests { use crate::cli; fn g() { println!("}"); } }
        use crate::stream::Side;
    "###;
    assert_eq!(used_in(source, 1), ["stream"]);
    assert!(impurities(&without_tests(&code_only(source))).is_empty());
}

#[test]
fn impurities_are_found_however_they_are_written() {
    let found = |source: &str| impurities(&code_only(source)).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use std::time::{Duration, Instant};"), ["Instant"]);
    assert_eq!(found("use std::{fs, collections::BTreeMap};"), ["fs"]);
    assert_eq!(found("let x = std::thread::spawn(f);"), ["thread"]);
    assert_eq!(found("println!(\"x\"); let t = SystemTime::now();"), ["SystemTime", "println!"]);
    assert_eq!(found("#[derive(serde::Serialize)] struct A;"), ["serde"]);
    assert!(found("let process = 1; let env = process; self.thread = env;").is_empty());
}
