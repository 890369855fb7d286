//! Live capture on the loopback interface, with real peers that talk through it.
//!
//! Needs `CAP_NET_RAW` (root, or `setcap cap_net_raw+ep` on the binary). Where that is missing the tests say so and do
//! nothing; in continuous integration that is a failure.
#![cfg(all(feature = "live", target_os = "linux"))]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use support::run::command;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket, accept, client};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why live capture cannot be tested here, if so.
fn missing_permission() -> Option<String> {
    let mut probe = command();
    probe.args(["-i", "lo", "--duration", "0.2", "--ndjson"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = probe.output().expect("the binary runs");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let lower = message.to_lowercase();
    (!output.status.success() && ["permission", "cap_net_raw", "not permitted"].iter().any(|word| lower.contains(word)))
        .then_some(message)
}

/// The binary, listening on loopback.
struct Watcher {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Watcher {
    fn start(port: u16, more: &[&str]) -> Self {
        let mut command = command();
        command.args(["-i", "lo"]).args(more).args(["port", &port.to_string()]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let (send, lines) = channel();
        let stdout: ChildStdout = child.stdout.take().expect("stdout is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads lines until one satisfies `wanted`; `None` when the output ended or nothing came in time.
    fn wait_for(&mut self, patience: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "kill -{name} failed");
    }

    /// Waits for the end; gives the exit status, everything it said and its messages.
    fn finish(mut self) -> (Option<i32>, Vec<String>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().expect("a child can be killed");
                panic!("still running after {PATIENCE:?}; said: {:?}", self.seen);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.seen.extend(self.lines.iter());
        let mut messages = String::new();
        self.child.stderr.take().expect("stderr is piped").read_to_string(&mut messages).expect("stderr can be read");
        (status.code(), self.seen, messages)
    }
}

fn echo_server() -> (u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    (listener.local_addr().expect("an address").port(), listener)
}

fn connect(port: u16) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    client(format!("ws://127.0.0.1:{port}/live"), stream).expect("the upgrade succeeds").0
}

fn drain(socket: &mut WebSocket<TcpStream>) {
    while socket.read().is_ok() {}
}

/// One conversation over loopback: a text each way, then Close 4007 by the server.
fn converse(listener: &TcpListener, port: u16) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (stream, _) = listener.accept().expect("a client comes");
            let mut server = accept(stream).expect("the upgrade succeeds");
            let question = server.read().expect("the client speaks");
            server.send(Message::text(format!("echo {question}"))).expect("the client listens");
            let frame = CloseFrame { code: CloseCode::from(4007), reason: "enough".into() };
            server.close(Some(frame)).expect("a close can be sent");
            drain(&mut server);
        });
        let mut client = connect(port);
        client.send(Message::text("is this live?")).expect("the server listens");
        drain(&mut client);
    });
}

/// Talks until the watcher, which may still be opening the interface, has told of one conversation.
fn talk_until_seen(
    watcher: &mut Watcher,
    listener: &TcpListener,
    port: u16,
    seen: impl Fn(&str) -> bool,
) -> Option<String> {
    for _ in 0..20 {
        converse(listener, port);
        if let Some(line) = watcher.wait_for(Duration::from_secs(2), &seen) {
            return Some(line);
        }
    }
    None
}

#[test]
fn what_happens_on_loopback_is_told_as_it_happens() {
    if let Some(why) = missing_permission() {
        return support::skip("what_happens_on_loopback_is_told_as_it_happens", &why);
    }
    let (port, listener) = echo_server();
    let mut watcher = Watcher::start(
        port,
        &["--ndjson", "--events", "connection,handshake,message,frame,finding,stats", "--show-payload"],
    );
    let closed = talk_until_seen(&mut watcher, &listener, port, |line| line.contains("connection.closed"));
    let closed = closed.unwrap_or_else(|| panic!("no connection.closed within time; said {:?}", watcher.seen));
    let closed: Value = serde_json::from_str(&closed).expect("one JSON object per line");
    assert!(closed.to_string().contains("4007"), "the code of the Close is missing: {closed}");
    let stats = watcher.wait_for(Duration::from_secs(5), |line| line.contains("\"stats\""));
    assert!(stats.is_some(), "no stats within five seconds");
    watcher.signal("INT");
    let (status, lines, messages) = watcher.finish();
    assert_eq!(status, Some(0), "{messages}");
    let events: Vec<Value> =
        lines.iter().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let of = |name: &str| events.iter().filter(|e| e["event"] == name).collect::<Vec<_>>();
    assert_eq!(of("handshake").first().map(|e| e.to_string().contains("/live")), Some(true), "no handshake of /live");
    let ours = &of("connection.closed")[0]["connection"];
    let frames: Vec<(String, u64)> = of("frame")
        .iter()
        .filter(|f| f["connection"] == *ours)
        .map(|f| (f["from"].as_str().unwrap_or_default().to_owned(), f["opcode"].as_u64().unwrap_or(99)))
        .collect();
    let expected =
        [("client", 1), ("server", 1), ("server", 8), ("client", 8)].map(|(from, opcode)| (from.to_owned(), opcode));
    assert_eq!(frames, expected);
    assert!(of("message").iter().any(|m| m["text"] == "is this live?"), "the text is missing");
    assert_eq!(events.last().map(|e| &e["event"]), Some(&Value::from("capture.end")));
}

#[test]
fn an_interrupt_ends_with_a_full_report() {
    if let Some(why) = missing_permission() {
        return support::skip("an_interrupt_ends_with_a_full_report", &why);
    }
    let (port, listener) = echo_server();
    let mut watcher = Watcher::start(port, &["--json"]);
    // A document comes only at the end, so nothing tells when the interface is open: talk for a while.
    for _ in 0..10 {
        converse(&listener, port);
        std::thread::sleep(Duration::from_millis(150));
    }
    // One connection is still open when the signal comes.
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client comes");
        let mut server = accept(stream).expect("the upgrade succeeds");
        drain(&mut server);
    });
    let mut open = connect(port);
    open.send(Message::text("still here")).expect("the server listens");
    std::thread::sleep(Duration::from_millis(400));
    assert!(watcher.child.try_wait().expect("a child can be waited for").is_none(), "it ended by itself");
    watcher.signal("INT");
    let (status, lines, messages) = watcher.finish();
    drop(open);
    server.join().expect("the server ends");
    assert_eq!(status, Some(0), "{messages}");
    let document: Value = serde_json::from_str(&lines.join("\n")).expect("one JSON document");
    assert!(document["summary"]["websockets"].as_u64().is_some_and(|n| n >= 2), "{}", document["summary"]);
    assert!(
        document["summary"]["outcomes"]["closed_clean"].as_u64().is_some_and(|n| n >= 1),
        "{}",
        document["summary"]
    );
    assert_eq!(document["summary"]["outcomes"]["open"], 1, "{}", document["summary"]);
    assert_eq!(document["summary"]["findings"]["error"], 0, "{}", document["findings"]);
}

#[test]
fn a_count_or_a_duration_ends_the_capture() {
    if let Some(why) = missing_permission() {
        return support::skip("a_count_or_a_duration_ends_the_capture", &why);
    }
    let (port, listener) = echo_server();
    let started = Instant::now();
    let watcher = Watcher::start(port, &["--json", "--duration", "1"]);
    let (status, lines, messages) = watcher.finish();
    assert_eq!(status, Some(0), "{messages}");
    assert!(started.elapsed() >= Duration::from_millis(900), "a second is longer than {:?}", started.elapsed());
    let document: Value = serde_json::from_str(&lines.join("\n")).expect("one JSON document");
    assert_eq!(document["capture"]["packets"], 0);

    let mut watcher = Watcher::start(port, &["--json", "-c", "5"]);
    for _ in 0..20 {
        converse(&listener, port);
        if watcher.child.try_wait().expect("a child can be waited for").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let (status, lines, messages) = watcher.finish();
    assert_eq!(status, Some(0), "{messages}");
    let document: Value = serde_json::from_str(&lines.join("\n")).expect("one JSON document");
    assert_eq!(document["capture"]["packets"], 5);
}

#[test]
fn an_end_is_told_although_nothing_follows() {
    if let Some(why) = missing_permission() {
        return support::skip("an_end_is_told_although_nothing_follows", &why);
    }
    for threads in ["1", "4"] {
        let (port, listener) = echo_server();
        let mut watcher = Watcher::start(port, &["--ndjson", "--threads", threads]);
        // Statistics tell that the interface is open.
        let ready = watcher.wait_for(PATIENCE, |line| line.contains("\"stats\""));
        assert!(ready.is_some(), "no stats within {PATIENCE:?}");
        converse(&listener, port);
        let over = Instant::now();
        let closed = watcher.wait_for(PATIENCE, |line| line.contains("connection.closed"));
        let waited = over.elapsed();
        assert!(closed.is_some(), "no connection.closed within {PATIENCE:?}; said {:?}", watcher.seen);
        assert!(waited < Duration::from_millis(3500), "the end was told {waited:?} late with {threads} threads");
        let stats: Option<Value> = watcher
            .wait_for(PATIENCE, |line| line.contains("\"stats\""))
            .and_then(|line| serde_json::from_str(&line).ok());
        let stats = stats.expect("stats are a JSON object");
        assert_eq!(stats["websockets_open"], 0, "{stats}");
        assert_eq!(stats["frames"], 4, "{stats}");
        assert_eq!(stats["tcp_connections"], 1, "{stats}");
        assert!(stats["packets"].as_u64().is_some_and(|n| n >= 10), "{stats}");
        assert_eq!(stats["packets_dropped"], 0, "{stats}");
        watcher.signal("TERM");
        let (status, lines, messages) = watcher.finish();
        assert_eq!(status, Some(0), "{messages}");
        let end: Value = serde_json::from_str(lines.last().expect("lines")).expect("one JSON object per line");
        assert_eq!((&end["event"], &end["summary"]["websockets"]), (&Value::from("capture.end"), &Value::from(1)));
    }
}

#[test]
fn text_lines_come_as_it_happens_and_then_the_report() {
    if let Some(why) = missing_permission() {
        return support::skip("text_lines_come_as_it_happens_and_then_the_report", &why);
    }
    let (port, listener) = echo_server();
    let mut watcher = Watcher::start(port, &["--fail-on", "warning"]);
    let closed = talk_until_seen(&mut watcher, &listener, port, |line| line.contains("closed_clean"));
    let closed = closed.unwrap_or_else(|| panic!("no end within time; said {:?}", watcher.seen));
    assert!(closed.contains("#1 ") && closed.contains("client saw 4007, server saw 4007"), "{closed}");
    // Somebody who is turned away: the server answers, but not with 101.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a client comes");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).expect("the client asks");
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .expect("the client listens");
        });
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        assert!(client(format!("ws://127.0.0.1:{port}/nowhere"), stream).is_err());
    });
    let refused = watcher.wait_for(PATIENCE, |line| line.contains("refused"));
    assert!(refused.is_some_and(|line| line.contains("/nowhere → 404 Not Found")), "{:?}", watcher.seen);
    let failed = watcher.wait_for(PATIENCE, |line| line.contains("upgrade_failed"));
    assert!(failed.is_some(), "{:?}", watcher.seen);
    watcher.signal("INT");
    let (status, lines, messages) = watcher.finish();
    assert_eq!(status, Some(1), "a refused upgrade is a warning at least: {messages}");
    let text = lines.join("\n");
    assert!(text.contains("opened   127.0.0.1:") && text.contains("in trouble"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours in a pipe: {text}");
}

/// Conversations at the same time, each with messages both ways and its own end.
const CONNECTIONS: u16 = 48;

/// Messages each way in each of them. Each waits for the answer before.
const ROUNDS: usize = 100;

/// Answers all of them, and closes all but every fourth, each with its own code.
fn crowd_of_servers(listener: &TcpListener) {
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let (stream, _) = listener.accept().expect("a client comes");
                let mut server = accept(stream).expect("the upgrade succeeds");
                let mut number = 0;
                for _ in 0..ROUNDS {
                    let question = server.read().expect("the client speaks");
                    let text = question.to_text().expect("a text");
                    number = text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
                    server.send(Message::text(format!("echo {text}"))).expect("the client listens");
                }
                if number % 4 != 3 {
                    let frame = CloseFrame { code: CloseCode::from(4000 + number), reason: "".into() };
                    server.close(Some(frame)).expect("a close can be sent");
                    drain(&mut server);
                }
            });
        }
    });
}

fn crowd_of_clients(server: SocketAddr) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let stream = TcpStream::connect(server).expect("the server listens");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
                let mut client = client(format!("ws://{server}/live"), stream).expect("the upgrade succeeds").0;
                for round in 0..ROUNDS {
                    let size = if round % 16 == 0 { 30_000 } else { 40 };
                    let text = format!("{connection} {}", "x".repeat(size));
                    client.send(Message::text(&text)).expect("the server listens");
                    let answer = client.read().expect("the server answers");
                    assert_eq!(answer.into_text().expect("a text").len(), text.len() + 5);
                }
                drain(&mut client);
            });
        }
    });
}

/// What a watcher told of the crowd.
#[derive(Debug, PartialEq)]
struct Told {
    summary: [Value; 3],
    capture: [Value; 4],
    /// By the client's address: how it ended, and its frames in order.
    connections: BTreeMap<String, (Value, Vec<String>)>,
}

/// Starts watchers with one thread and with several, calls `talk` while both look, and compares what they tell.
fn one_and_several(watcher: impl Fn(&[&str]) -> Watcher, talk: impl FnOnce()) {
    let mut watchers = ["1", "4"].map(|threads| {
        let events = "connection,frame,finding,stats";
        watcher(&["--ndjson", "--events", events, "--threads", threads, "-B", "65536"])
    });
    for watcher in &mut watchers {
        let ready = watcher.wait_for(PATIENCE, |line| line.contains("\"stats\""));
        assert!(ready.is_some(), "no stats within {PATIENCE:?}");
    }
    talk();
    let [one, several] = watchers.map(told_of_the_crowd);
    assert_eq!(one.summary, several.summary, "WebSockets, outcomes, findings");
    assert_eq!(one.capture, several.capture, "packets, bytes, connections, packets that could not be read");
    for (client, connection) in &one.connections {
        assert_eq!(Some(connection), several.connections.get(client), "{client}");
    }
    assert_eq!(one.summary[0], CONNECTIONS);
}

fn told_of_the_crowd(mut watcher: Watcher) -> Told {
    for _ in 0..CONNECTIONS {
        let closed = watcher.wait_for(PATIENCE, |line| line.contains("connection.closed"));
        assert!(closed.is_some(), "too few connections were closed; said {:?}", watcher.seen.last());
    }
    watcher.signal("INT");
    let (status, lines, messages) = watcher.finish();
    assert_eq!(status, Some(0), "{messages}");
    let events: Vec<Value> =
        lines.iter().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let end = events.last().expect("events");
    assert_eq!(end["event"], "capture.end");
    assert_eq!(end["capture"]["packets_dropped"], 0, "this machine is too slow for the test: {end}");
    // Each watcher has its own stamps, so times and numbers of packets differ.
    let mut closed: Vec<Value> = events.iter().filter(|e| e["event"] == "connection.closed").cloned().collect();
    for event in &mut closed {
        let answered = event["http"].as_object_mut().and_then(|http| http.remove("response_ms"));
        assert!(answered.is_some_and(|ms| ms.as_f64().is_some_and(|ms| ms > 0.0)), "{event}");
    }
    let mut connections: BTreeMap<String, (Value, Vec<String>)> = closed
        .iter()
        .map(|e| {
            let (socket, tcp) = (&e["websocket"], &e["tcp"]);
            let what: Vec<&Value> = ["community_id", "outcome", "application_view", "http"]
                .iter()
                .map(|name| &e[name])
                .chain(["client", "server", "unanswered_pings", "upgrade"].iter().map(|name| &socket[name]))
                .chain(["client", "server"].iter().map(|side| &socket["close"][side]["code"]))
                .chain([&socket["close"]["first"], &socket["close"]["complete"]])
                .chain(["opening", "closing", "first_closer", "lost_bytes"].iter().map(|name| &tcp[name]))
                .chain(["out_of_order", "retransmissions"].iter().map(|name| &tcp[name]))
                .collect();
            (e["client"].to_string(), (serde_json::json!(what), Vec::new()))
        })
        .collect();
    assert_eq!((closed.len(), connections.len()), (usize::from(CONNECTIONS), usize::from(CONNECTIONS)));
    let names: BTreeMap<String, String> =
        closed.iter().map(|e| (e["connection"].to_string(), e["client"].to_string())).collect();
    for frame in events.iter().filter(|e| e["event"] == "frame") {
        let (_, frames) = connections.get_mut(&names[&frame["connection"].to_string()]).expect("a connection");
        frames.push(format!("{} {} {}", frame["from"], frame["opcode"], frame["length"]));
    }
    // A question, its answer, and so on, also where the two ways come through different readers.
    for (client, (_, frames)) in &connections {
        let data: Vec<&String> = frames.iter().filter(|frame| frame.contains(" 1 ")).collect();
        assert_eq!(data.len(), 2 * ROUNDS, "{client}");
        for pair in data.chunks(2) {
            assert!(pair[0].contains("client") && pair[1].contains("server"), "{client}: {pair:?}");
        }
    }
    Told {
        summary: ["websockets", "outcomes", "findings"].map(|name| end["summary"][name].clone()),
        capture: ["packets", "bytes", "tcp_connections", "undecoded_packets"].map(|name| end["capture"][name].clone()),
        connections,
    }
}

#[test]
fn several_readers_tell_the_same_as_one() {
    if let Some(why) = missing_permission() {
        return support::skip("several_readers_tell_the_same_as_one", &why);
    }
    let (port, listener) = echo_server();
    let server = listener.local_addr().expect("an address");
    one_and_several(
        |arguments| Watcher::start(port, arguments),
        || {
            std::thread::scope(|scope| {
                scope.spawn(|| crowd_of_servers(&listener));
                crowd_of_clients(server);
            });
        },
    );
}

/// Two network namespaces with a cable between them, and a VXLAN tunnel in the cable.
struct Namespaces([String; 2]);

/// Addresses of the ends of the cable, and of the tunnel.
const CABLE: [&str; 2] = ["10.231.77.1", "10.231.77.2"];
const TUNNEL: [&str; 2] = ["10.232.77.1", "10.232.77.2"];

impl Namespaces {
    /// Makes them, or says why that cannot be.
    fn new() -> Result<Self, String> {
        let names = ["a", "b"].map(|end| format!("wsscan-{end}-{}", std::process::id()));
        let this = Self(names.clone());
        let [a, b] = &names;
        ip(&["netns", "add", a])?;
        ip(&["netns", "add", b])?;
        ip(&["-n", a, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", b])?;
        for (end, name) in names.iter().enumerate() {
            // Packets that fill the cable by themselves: with the tunnel's headers they are sent in fragments.
            let tunnel = ["type", "vxlan", "id", "7", "dev", "cable", "remote", CABLE[1 - end], "dstport", "4789"];
            ip(&[&["-n", name, "link", "add", "tunnel", "mtu", "1500"], &tunnel[..]].concat())?;
            for (link, addresses, kind) in [("cable", CABLE, 1), ("tunnel", TUNNEL, 2)] {
                // Nobody asks for a neighbour while others count packets.
                let hardware = |end: usize| format!("02:00:00:00:0{kind}:0{end}");
                ip(&["-n", name, "link", "set", link, "address", &hardware(end), "addrgenmode", "none"])?;
                ip(&["-n", name, "addr", "add", &format!("{}/24", addresses[end]), "dev", link])?;
                ip(&["-n", name, "link", "set", link, "up"])?;
                let (other, hardware) = (addresses[1 - end], hardware(1 - end));
                ip(&["-n", name, "neigh", "replace", other, "lladdr", &hardware, "nud", "permanent", "dev", link])?;
            }
        }
        Ok(this)
    }

    /// Runs something at one end.
    fn at(&self, end: usize, program: &std::ffi::OsStr) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0[end]]).arg(program);
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Says which address the server has, to the process that is one of the peers of
/// [`several_readers_tell_the_same_as_one_of_a_cable_and_a_tunnel`].
const PEER: &str = "WSSCAN_TEST_PEER";

/// No test by itself: what the peers in the namespaces run.
#[test]
fn peer_in_a_namespace() {
    let Ok(peer) = std::env::var(PEER) else { return };
    match peer.split_once(' ') {
        Some(("server", address)) => {
            let listener = TcpListener::bind(address).expect("the address can be bound");
            eprintln!("listening");
            crowd_of_servers(&listener);
        }
        Some(("client", address)) => crowd_of_clients(address.parse().expect("an address")),
        _ => panic!("no such peer: {peer}"),
    }
}

/// On the cable a connection has one reader. In the tunnel it has several: each end chooses the port of the outer UDP
/// by itself, and fragments have none.
#[test]
fn several_readers_tell_the_same_as_one_of_a_cable_and_a_tunnel() {
    const TEST: &str = "several_readers_tell_the_same_as_one_of_a_cable_and_a_tunnel";
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(why) => {
            eprintln!("skipped {TEST}: {why}");
            return;
        }
    };
    let this = std::env::current_exe().expect("a test is a program");
    let peer = |end: usize, what: &str, address: &str| {
        let mut command = namespaces.at(end, this.as_os_str());
        command.args(["--exact", "peer_in_a_namespace", "--nocapture"]).env(PEER, format!("{what} {address}"));
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a peer starts")
    };
    for address in [CABLE[1], TUNNEL[1]] {
        let server = format!("{address}:7777");
        one_and_several(
            |arguments| {
                let mut command = namespaces.at(0, command().get_program());
                command.args(["-i", "cable"]).args(arguments);
                Watcher::spawn(command)
            },
            || {
                let mut listening = peer(1, "server", &server);
                let mut said = BufReader::new(listening.stderr.take().expect("stderr is piped"));
                let mut line = String::new();
                while !line.contains("listening") {
                    line.clear();
                    assert_ne!(said.read_line(&mut line).expect("the server speaks"), 0, "the server ended");
                }
                let clients = peer(0, "client", &server).wait_with_output().expect("the clients end");
                assert!(clients.status.success(), "{}", String::from_utf8_lossy(&clients.stderr));
                assert!(listening.wait().expect("the server ends").success());
            },
        );
    }
}

#[test]
fn a_reader_that_hangs_up_ends_a_live_capture() {
    if let Some(why) = missing_permission() {
        return support::skip("a_reader_that_hangs_up_ends_a_live_capture", &why);
    }
    let (port, _listener) = echo_server();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = command();
    command.args(["-i", "lo", "--ndjson", "port", &port.to_string()]).stdout(writer).stderr(Stdio::piped());
    let started = Instant::now();
    let output = command.output().expect("the binary runs");
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wrong_filter_and_an_unknown_user_are_named() {
    if let Some(why) = missing_permission() {
        return support::skip("a_wrong_filter_and_an_unknown_user_are_named", &why);
    }
    for (arguments, part) in
        [(&["-i", "lo", "port", "of", "hamburg"][..], "hamburg"), (&["-i", "lo", "-Z", "no-such-user"], "no-such-user")]
    {
        let run = support::run::wsscan(arguments);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(part) && run.stdout.is_empty(), "{}", run.stderr);
    }
}

#[test]
fn root_is_given_up_when_asked() {
    if let Some(why) = missing_permission() {
        return support::skip("root_is_given_up_when_asked", &why);
    }
    let (port, listener) = echo_server();
    let mut watcher = Watcher::start(port, &["--ndjson", "-Z", "nobody"]);
    let Some(_) = talk_until_seen(&mut watcher, &listener, port, |line| line.contains("connection.opened")) else {
        let (_, _, messages) = watcher.finish();
        return support::skip("root_is_given_up_when_asked", &messages);
    };
    let status = std::fs::read_to_string(format!("/proc/{}/status", watcher.child.id())).expect("the child runs");
    let user = status.lines().find(|line| line.starts_with("Uid:")).expect("a process has a user");
    assert!(user.split_whitespace().skip(1).all(|id| id != "0"), "{user}");
    watcher.signal("INT");
    assert_eq!(watcher.finish().0, Some(0));
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    let mut command = command();
    command.args(["-i", "no-such-if0", "--ndjson"]);
    let run = support::run::finish(command);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("no-such-if0"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
}

#[test]
fn interfaces_can_be_listed_by_anybody() {
    let run = support::run::wsscan(&["interfaces"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.text().lines().any(|line| line.split_whitespace().any(|word| word == "lo")), "{}", run.text());
}
