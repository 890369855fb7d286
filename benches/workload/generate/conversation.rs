//! One conversation between two hosts: what is said next, cut into segments and acknowledged.
//!
//! A conversation plans an exchange at a time (a list of [`Step`]s over one buffer); the simulation plays the steps
//! when their time has come. Whatever is planned is played, so the truth can be counted while planning.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::context::Context;
use super::frames::{BINARY, CLOSE, COMPRESSED, CONTINUATION, FINAL, PING, PONG, TEXT};
use super::heads::{self, Talkative};
use super::packets::{ACK, FIN, PSH, RST, Route, SYN, TcpFields};
use super::step::Step;
use super::tls::{self, Sealer, Suite};

pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
/// Time between segments sent back to back at a gigabit per second.
const WIRE: u64 = 12 * MICROSECOND;
/// Bytes of a download planned at a time.
const CHUNK: u64 = 16 << 10;

/// What a conversation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Many short text frames from the server.
    Ticks,
    /// Screen updates: large binary frames down, small ones up.
    Screen,
    /// Large masked frames from the client.
    Upload,
    /// A short connection that ends in its own way.
    Visit,
    /// permessage-deflate with context takeover.
    Deflate,
    /// TLS 1.3, a record per frame.
    Secure,
    /// TLS 1.3, records as large as they may be.
    SecureBulk,
    /// Foreign: an HTTP download.
    Download,
    /// Foreign: something else inside TLS.
    Encrypted,
    /// Foreign: DNS queries and answers.
    Names,
    /// Foreign: UDP datagrams one way.
    Metrics,
}

impl Role {
    /// Whether it has nothing to do with WebSockets.
    pub(crate) fn foreign(self) -> bool {
        matches!(self, Role::Download | Role::Encrypted | Role::Names | Role::Metrics)
    }

    fn secure(self) -> bool {
        matches!(self, Role::Secure | Role::SecureBulk)
    }

    /// Port of the server.
    pub(crate) fn port(self, which: u64) -> u16 {
        match self {
            Role::Secure | Role::SecureBulk | Role::Encrypted => 443,
            Role::Names => 53,
            Role::Metrics => 8125,
            _ => [80, 8080][which as usize % 2],
        }
    }

    /// IP protocol number.
    pub(crate) fn protocol(self) -> u8 {
        if matches!(self, Role::Names | Role::Metrics) { 17 } else { 6 }
    }
}

/// How a WebSocket, or the attempt at one, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A whole closing handshake begun by this side with this code.
    Clean(usize, u16),
    /// A whole closing handshake with empty Close frames.
    NoStatus,
    /// Nothing: the capture ends first.
    Open,
    /// FIN without Close, by this side.
    Fin(usize),
    /// RST without Close, by this side.
    Reset(usize),
    /// The server sends Close and FIN, the client only FIN.
    OneSided(u16),
    /// HTTP error instead of 101.
    Refused(u16),
    /// FIN instead of an answer to the request.
    Unanswered,
    /// RST instead of SYN+ACK.
    PortClosed,
    /// Nothing instead of SYN+ACK.
    HostSilent,
}

impl Ending {
    /// Its outcome in the JSON output.
    fn outcome(self) -> &'static str {
        match self {
            Ending::Clean(..) => "closed_clean",
            Ending::NoStatus => "closed_no_status",
            Ending::Open => "open",
            Ending::Fin(_) | Ending::Reset(_) | Ending::OneSided(_) => "closed_abnormal",
            Ending::Refused(_) | Ending::Unanswered => "upgrade_failed",
            Ending::PortClosed | Ending::HostSilent => "tcp_failed",
        }
    }

    fn upgrades(self) -> bool {
        !matches!(self, Ending::Refused(_) | Ending::Unanswered | Ending::PortClosed | Ending::HostSilent)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Talk,
    Over,
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) role: Role,
    ending: Ending,
    phase: Phase,
    routes: [Route; 2],
    pub(crate) steps: VecDeque<Step>,
    bytes: Vec<u8>,
    /// Next sequence number each side will plan.
    planned: [u32; 2],
    /// What has arrived from each side without a hole.
    arrived: [u32; 2],
    /// What has arrived from each side after a hole: begin and end.
    early: [Vec<(u32, u32)>; 2],
    /// Segments of each side that the other has not acknowledged.
    owed: [u8; 2],
    /// Wireshark's `tcp.stream`.
    stream: u64,
    round_trip: u64,
    sealers: Option<Box<[Sealer; 2]>>,
    /// Story and message each side tells next, when it compresses.
    telling: [(usize, usize); 2],
    /// Exchanges (of a visit), chunks of bytes (of a download) that are left.
    left: u64,
    exchanges: u64,
}

impl Conversation {
    /// A conversation that has not begun.
    pub(crate) fn new(context: &mut Context, role: Role, client: SocketAddr, server: SocketAddr) -> Self {
        let random = &mut context.random;
        let timestamps = random.percent(50);
        let ending = ending(context, role);
        let random = &mut context.random;
        let planned = [random.bits() as u32, random.bits() as u32];
        let left = match role {
            Role::Visit => random.between(2, 5),
            Role::Download => random.between(40 << 10, 4 << 20),
            Role::Encrypted => random.between(1, 12),
            _ => u64::MAX,
        };
        Conversation {
            role,
            ending,
            phase: Phase::Start,
            routes: [
                Route::new(client, server, role.protocol(), 57, timestamps),
                Route::new(server, client, role.protocol(), 64, timestamps),
            ],
            steps: VecDeque::new(),
            bytes: Vec::new(),
            planned,
            arrived: planned,
            early: [Vec::new(), Vec::new()],
            owed: [0; 2],
            stream: 0,
            round_trip: random.between(300, 30_000) * MICROSECOND,
            sealers: None,
            telling: [(random.bits() as usize, 0), (random.bits() as usize, 0)],
            left,
            exchanges: 0,
        }
    }

    /// Takes over the buffers of a conversation that is over.
    pub(crate) fn inherit(&mut self, old: &mut Conversation) {
        self.steps = std::mem::take(&mut old.steps);
        self.bytes = std::mem::take(&mut old.bytes);
    }

    /// Plans what comes next. `false` when nothing will.
    pub(crate) fn plan(&mut self, context: &mut Context) -> bool {
        debug_assert!(self.steps.is_empty());
        self.bytes.clear();
        match self.phase {
            Phase::Start if context.draining => return false,
            Phase::Start => self.begin(context),
            Phase::Talk if self.role.foreign() => self.foreign(context),
            Phase::Talk if context.draining || self.left == 0 => self.end(context),
            Phase::Talk => self.exchange(context),
            Phase::Over => return false,
        }
        !self.steps.is_empty()
    }

    /// Plays the first step: updates what has arrived, and writes the packet unless it is lost.
    pub(crate) fn play(&mut self, context: &mut Context, now: u64) -> std::io::Result<()> {
        let Some(step) = self.steps.pop_front() else { return Ok(()) };
        let (side, other) = (step.side as usize, 1 - step.side as usize);
        let payload = &self.bytes[step.start as usize..(step.start + step.length) as usize];
        if step.flags == 0 {
            let route = &mut self.routes[side];
            context.foreign_packets += 1;
            return context.file.packet(now, route.udp_length(payload.len()), |out| route.write_udp(out, payload));
        }
        let clock = (now / MILLISECOND) as u32;
        if !step.lost {
            let fields =
                TcpFields { sequence: step.sequence, acknowledgment: self.arrived[other], flags: step.flags, clock };
            let route = &mut self.routes[side];
            let length = route.tcp_length(step.flags, payload.len());
            context.file.packet(now, length, |out| route.write_tcp(out, fields, payload))?;
            if self.role.foreign() {
                context.foreign_packets += 1;
            }
        }
        self.routes[other].heard(clock);
        let space = step.length + u32::from(step.flags & SYN != 0) + u32::from(step.flags & FIN != 0);
        if space > 0 {
            self.arrive(side, step.sequence, step.sequence.wrapping_add(space));
        }
        Ok(())
    }

    /// The receiver's side of TCP: moves `arrived` over everything that is now without a hole.
    fn arrive(&mut self, side: usize, begin: u32, end: u32) {
        let arrived = &mut self.arrived[side];
        if begin != *arrived && (begin.wrapping_sub(*arrived) as i32) > 0 {
            self.early[side].push((begin, end));
            return;
        }
        if (end.wrapping_sub(*arrived) as i32) > 0 {
            *arrived = end;
        }
        let early = &mut self.early[side];
        while let Some(next) = early.iter().position(|&(begin, _)| (begin.wrapping_sub(*arrived) as i32) <= 0) {
            let (_, end) = early.swap_remove(next);
            if (end.wrapping_sub(*arrived) as i32) > 0 {
                *arrived = end;
            }
        }
    }

    // ---- planning: segments

    fn step(&mut self, wait: u64, side: usize, flags: u8) {
        let sequence = self.planned[side];
        if flags & (SYN | FIN) != 0 {
            self.planned[side] = sequence.wrapping_add(1);
        }
        if flags & ACK != 0 {
            self.owed[1 - side] = 0;
        }
        self.steps.push_back(Step { wait, start: 0, length: 0, sequence, side: side as u8, flags, lost: false });
    }

    /// Cuts `bytes[start..]` into segments of `side`, the first after `wait`.
    fn segments(&mut self, context: &mut Context, side: usize, start: usize, wait: u64) {
        let limit = self.routes[side].payload_limit();
        let end = self.bytes.len();
        let mut at = start;
        context.segments.clear();
        while at < end {
            let length = limit.min(end - at);
            let last = at + length == end;
            context.segments.push(Step {
                wait: if at == start { wait } else { WIRE },
                start: at as u32,
                length: length as u32,
                sequence: self.planned[side],
                side: side as u8,
                flags: if last { PSH | ACK } else { ACK },
                lost: false,
            });
            self.planned[side] = self.planned[side].wrapping_add(length as u32);
            at += length;
        }
    }

    /// Moves the planned segments into the plan, with an acknowledgment for every second one.
    fn dispatch(&mut self, context: &mut Context, side: usize) {
        let count = context.segments.len();
        for index in 0..count {
            let step = context.segments[index];
            self.steps.push_back(step);
            self.owed[1 - side] = 0;
            self.owed[side] += 1;
            if self.owed[side] >= 2 || (index + 1 == count && context.random.percent(35)) {
                self.step(30 * MICROSECOND + context.random.below(100 * MICROSECOND), 1 - side, ACK);
            }
        }
        context.segments.clear();
    }

    /// Sends `content` from `side` as it is, or in as few TLS records as will hold it.
    fn send(&mut self, context: &mut Context, side: usize, content: &[u8], wait: u64) {
        let start = self.bytes.len();
        match &mut self.sealers {
            Some(sealers) => {
                for part in content.chunks(tls::LARGEST_RECORD) {
                    sealers[side].seal(tls::APPLICATION, part, &mut self.bytes);
                }
            }
            None => self.bytes.extend_from_slice(content),
        }
        self.segments(context, side, start, wait);
        self.dispatch(context, side);
    }

    /// Sends bytes that are records already, or that belong to no layer below.
    fn send_raw(&mut self, context: &mut Context, side: usize, content: &[u8], wait: u64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(content);
        self.segments(context, side, start, wait);
        self.dispatch(context, side);
    }

    /// Sends the staged frames.
    fn flush(&mut self, context: &mut Context, side: usize, wait: u64) {
        let start = self.bytes.len();
        let stage = std::mem::take(&mut context.stage);
        match (&mut self.sealers, self.role) {
            (None, _) => self.bytes.extend_from_slice(&stage.bytes),
            (Some(sealers), Role::Secure) => {
                for frame in &stage.frames {
                    let from = frame.start as usize;
                    let content = &stage.bytes[from..from + (frame.header + frame.length) as usize];
                    sealers[side].seal(tls::APPLICATION, content, &mut self.bytes);
                }
            }
            (Some(sealers), _) => {
                for part in stage.bytes.chunks(tls::LARGEST_RECORD) {
                    sealers[side].seal(tls::APPLICATION, part, &mut self.bytes);
                }
            }
        }
        context.stage = stage;
        self.segments(context, side, start, wait);
        if context.faulty && self.phase == Phase::Talk {
            self.spoil(context);
        }
        context.note_frames(self.stream, side, start as u32);
        self.dispatch(context, side);
        context.stage.clear();
    }

    /// Loses, repeats and swaps some of the planned segments.
    fn spoil(&mut self, context: &mut Context) {
        let limit = self.routes[0].payload_limit() as u32;
        let mut index = 0;
        while index < context.segments.len() {
            let step = context.segments[index];
            let next = context.segments.get(index + 1).copied();
            let side = step.side as usize;
            let dice = context.random.below(1_000_000);
            let faults = &mut context.faults[side];
            match dice {
                0..2_000 => {
                    context.segments[index].lost = true;
                    faults.missing_packets += 1;
                    faults.missing_bytes += u64::from(step.length);
                }
                2_000..16_000 => {
                    faults.retransmitted_packets += 1;
                    let mut again = step;
                    again.wait = self.round_trip / 2 + 200 * MICROSECOND;
                    let place = (index + 1 + context.random.below(3) as usize).min(context.segments.len());
                    context.segments.insert(place, again);
                    index = place;
                }
                16_000..22_000 if step.length > 8 => {
                    // Repeats the second half of this segment, and the beginning of the next one if there is one.
                    faults.overlapping_packets += 1;
                    let half = step.length / 2;
                    let mut again = step;
                    again.start += half;
                    again.sequence = again.sequence.wrapping_add(half);
                    again.length -= half;
                    again.wait = self.round_trip / 2 + 200 * MICROSECOND;
                    let mut place = index + 1;
                    if let Some(next) = next {
                        again.length += (next.length / 2).min(limit - again.length);
                        place += 1;
                    }
                    context.segments.insert(place, again);
                    index = place;
                }
                22_000..105_000 if next.is_some() => {
                    faults.reordered_packets += 1;
                    context.segments.swap(index, index + 1);
                    let wait = context.segments[index].wait;
                    context.segments[index].wait = context.segments[index + 1].wait;
                    context.segments[index + 1].wait = wait;
                    index += 1;
                }
                _ => {}
            }
            index += 1;
        }
    }

    // ---- planning: beginnings

    fn begin(&mut self, context: &mut Context) {
        if self.role.protocol() == 17 {
            self.phase = Phase::Talk;
            return self.foreign(context);
        }
        self.stream = context.truth.tcp_connections;
        context.truth.tcp_connections += 1;
        if !self.role.foreign() {
            context.truth.attempts += 1;
        }
        self.step(0, CLIENT, SYN);
        match self.ending {
            Ending::HostSilent => {
                for wait in [1000, 2000] {
                    self.planned[CLIENT] = self.planned[CLIENT].wrapping_sub(1);
                    self.step(wait * MILLISECOND, CLIENT, SYN);
                    context.truth.syn_retransmissions += 1;
                }
                return self.over(context);
            }
            Ending::PortClosed => {
                self.planned[SERVER] = 0;
                self.step(80 * MICROSECOND, SERVER, RST | ACK);
                return self.over(context);
            }
            _ => {}
        }
        self.step(60 * MICROSECOND, SERVER, SYN | ACK);
        self.step(self.round_trip, CLIENT, ACK);
        if self.role.secure() || self.role == Role::Encrypted {
            self.begin_tls(context);
        }
        self.phase = Phase::Talk;
        match self.role {
            Role::Download => {
                let head = heads::download_request("files.example", "/releases/image.bin");
                self.send(context, CLIENT, head.as_bytes(), 100 * MICROSECOND);
                let head = heads::download_response(self.left);
                self.send(context, SERVER, head.as_bytes(), 400 * MICROSECOND);
            }
            Role::Encrypted => {}
            _ => self.begin_websocket(context),
        }
    }

    fn begin_tls(&mut self, context: &mut Context) {
        let suite = if context.random.percent(50) { Suite::Aes128Gcm } else { Suite::ChaCha20Poly1305 };
        let (name, protocols) = match self.role {
            Role::Encrypted => ("static.bench.example", &["http/1.1", "h2"][..]),
            _ => ("bench.example", &["http/1.1"][..]),
        };
        let handshake = tls::handshake(&mut context.random, suite, name, protocols);
        context.truth.tls_connections += 1;
        self.send_raw(context, CLIENT, &handshake.client_hello, 150 * MICROSECOND);
        self.send_raw(context, SERVER, &handshake.server_flight, MILLISECOND);
        self.send_raw(context, CLIENT, &handshake.client_flight, self.round_trip);
        self.send_raw(context, SERVER, &handshake.tickets, 200 * MICROSECOND);
        self.sealers = Some(Box::new(handshake.sealers));
        if self.role.secure() {
            context.keys(&handshake.key_log);
        }
    }

    fn begin_websocket(&mut self, context: &mut Context) {
        let key = heads::key(&mut context.random);
        let (talkative, target) = match self.role {
            Role::Visit => (Talkative::Program, "/chat"),
            Role::Screen => (Talkative::Browser, "/websockify"),
            Role::Upload => (Talkative::Browser, "/upload?part=1"),
            _ => (Talkative::Browser, "/ws/v1/stream"),
        };
        let head = heads::upgrade_request(talkative, "bench.example", target, &key);
        self.send(context, CLIENT, head.as_bytes(), 100 * MICROSECOND);
        match self.ending {
            Ending::Refused(status) => {
                self.send(context, SERVER, heads::refusal(status).as_bytes(), 2 * MILLISECOND);
                self.finish(SERVER, 300 * MICROSECOND);
                self.over(context);
            }
            Ending::Unanswered => {
                self.finish(SERVER, 300 * MICROSECOND);
                self.over(context);
            }
            _ => {
                let head = heads::upgrade_response(&key, self.role == Role::Deflate);
                let wait = context.random.between(300, 4000) * MICROSECOND;
                if self.role == Role::Visit && context.random.percent(20) {
                    // The first frame shares a segment with the response.
                    let index = context.random.below(context.payloads.texts.len() as u64) as usize;
                    context.stage.bytes.extend_from_slice(head.as_bytes());
                    context.stage.frame(FINAL | TEXT, &context.payloads.texts[index], None, &mut context.truth.server);
                    self.phase = Phase::Start;
                    self.flush(context, SERVER, wait);
                    self.phase = Phase::Talk;
                } else {
                    self.send(context, SERVER, head.as_bytes(), wait);
                }
                context.truth.websockets += 1;
            }
        }
    }

    // ---- planning: exchanges

    fn exchange(&mut self, context: &mut Context) {
        self.exchanges += 1;
        match self.role {
            Role::Ticks | Role::Secure => self.ticks(context),
            Role::Screen | Role::SecureBulk => self.screen(context),
            Role::Upload => self.upload(context),
            Role::Visit => self.visit(context),
            Role::Deflate => self.compressed(context),
            Role::Download | Role::Encrypted | Role::Names | Role::Metrics => {}
        }
    }

    /// Stages one text from `side`.
    fn text(&mut self, context: &mut Context, side: usize) {
        let index = context.random.below(context.payloads.texts.len() as u64) as usize;
        let payload = &context.payloads.texts[index];
        if side == CLIENT {
            context.stage.frame(FINAL | TEXT, payload, Some(&mut context.random), &mut context.truth.client);
        } else {
            context.stage.frame(FINAL | TEXT, payload, None, &mut context.truth.server);
        }
    }

    /// A Ping from the server and its Pong; the Ping joins what is staged.
    fn ping(&mut self, context: &mut Context, wait: u64) {
        let payload: [u8; 4] = context.random.bytes();
        context.stage.frame(FINAL | PING, &payload, None, &mut context.truth.server);
        self.flush(context, SERVER, wait);
        context.stage.frame(FINAL | PONG, &payload, Some(&mut context.random), &mut context.truth.client);
        self.flush(context, CLIENT, self.round_trip);
    }

    fn ticks(&mut self, context: &mut Context) {
        let wait = context.random.between(2, 90) * MILLISECOND * context.pace / 4;
        let mut frames = 1 + context.random.below(6) + context.random.below(6);
        if context.faulty {
            // Longer bursts: only segments of one burst can overtake each other.
            frames += context.random.below(24) * u64::from(context.random.percent(40));
        }
        for _ in 0..frames {
            self.text(context, SERVER);
        }
        if self.exchanges % 200 == 100 {
            return self.ping(context, wait);
        }
        self.flush(context, SERVER, wait);
        if context.random.percent(4) {
            self.text(context, CLIENT);
            self.flush(context, CLIENT, self.round_trip);
        }
    }

    fn screen(&mut self, context: &mut Context) {
        let wait = context.random.between(5, 60) * MILLISECOND;
        let length = context.random.between(16 << 10, 64 << 10) as usize;
        let payloads = context.payloads.clone();
        let content = payloads.noise(&mut context.random, length);
        if context.random.percent(5) {
            let parts = context.random.between(2, 4) as usize;
            let size = length.div_ceil(parts);
            for (index, part) in content.chunks(size).enumerate() {
                let opcode = if index == 0 { BINARY } else { CONTINUATION };
                let last = if (index + 1) * size >= length { FINAL } else { 0 };
                context.stage.frame(last | opcode, part, None, &mut context.truth.server);
            }
        } else {
            context.stage.frame(FINAL | BINARY, content, None, &mut context.truth.server);
        }
        if self.exchanges % 100 == 50 {
            self.ping(context, wait);
        } else {
            self.flush(context, SERVER, wait);
        }
        for _ in 0..context.random.between(1, 2) {
            let event: [u8; 10] = context.random.bytes();
            let length = *context.random.pick(&[6, 8, 10]);
            context.stage.frame(FINAL | BINARY, &event[..length], Some(&mut context.random), &mut context.truth.client);
            let wait = context.random.between(1, 8) * MILLISECOND;
            self.flush(context, CLIENT, wait);
        }
    }

    fn upload(&mut self, context: &mut Context) {
        let wait = context.random.between(5, 60) * MILLISECOND;
        let length = context.random.between(40 << 10, 380 << 10) as usize;
        let payloads = context.payloads.clone();
        let content = payloads.noise(&mut context.random, length);
        context.stage.frame(FINAL | BINARY, content, Some(&mut context.random), &mut context.truth.client);
        self.flush(context, CLIENT, wait);
        let answer = format!(r#"{{"stored":{length},"part":{}}}"#, self.exchanges);
        context.stage.frame(FINAL | TEXT, answer.as_bytes(), None, &mut context.truth.server);
        let wait = context.random.between(1, 10) * MILLISECOND;
        self.flush(context, SERVER, wait);
    }

    fn visit(&mut self, context: &mut Context) {
        self.left -= 1;
        let side = context.random.below(2) as usize;
        let wait = context.random.between(5, 400) * MILLISECOND;
        self.text(context, side);
        self.flush(context, side, wait);
    }

    fn compressed(&mut self, context: &mut Context) {
        let wait = context.random.between(5, 120) * MILLISECOND;
        for _ in 0..context.random.between(1, 3) {
            self.tell(context, SERVER);
        }
        self.flush(context, SERVER, wait);
        if context.random.percent(15) {
            self.tell(context, CLIENT);
            self.flush(context, CLIENT, self.round_trip);
        }
    }

    /// Stages the next compressed message of `side`.
    fn tell(&mut self, context: &mut Context, side: usize) {
        let payloads = context.payloads.clone();
        let stories = &payloads.stories[side];
        let (story, index) = &mut self.telling[side];
        if stories[*story % stories.len()].message(*index).is_none() {
            *story = context.random.bits() as usize;
            *index = 0;
        }
        let (packed, plain) = stories[*story % stories.len()].message(*index).expect("stories are not empty");
        *index += 1;
        let (random, sent) = match side {
            CLIENT => (Some(&mut context.random), &mut context.truth.client),
            _ => (None, &mut context.truth.server),
        };
        sent.message_bytes += u64::from(plain);
        context.stage.frame(FINAL | COMPRESSED | TEXT, packed, random, sent);
    }

    // ---- planning: endings

    fn over(&mut self, context: &mut Context) {
        *context.truth.outcomes.entry(self.ending.outcome()).or_default() += 1;
        self.phase = Phase::Over;
    }

    /// `side` sends FIN after `wait`, the other answers in kind.
    fn finish(&mut self, side: usize, wait: u64) {
        self.step(wait, side, FIN | ACK);
        self.step(self.round_trip, 1 - side, FIN | ACK);
        self.step(50 * MICROSECOND, side, ACK);
    }

    fn close_frame(&mut self, context: &mut Context, side: usize, code: Option<u16>, wait: u64) {
        let code = code.map(u16::to_be_bytes);
        let payload = code.as_ref().map_or(&[][..], |code| &code[..]);
        if side == CLIENT {
            context.stage.frame(FINAL | CLOSE, payload, Some(&mut context.random), &mut context.truth.client);
        } else {
            context.stage.frame(FINAL | CLOSE, payload, None, &mut context.truth.server);
        }
        // The end of a conversation is never lost.
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        self.flush(context, side, wait);
        self.phase = phase;
    }

    /// TLS says goodbye before TCP does (RFC 8446 §6.1).
    fn close_notify(&mut self, context: &mut Context, side: usize) {
        let mut record = Vec::new();
        if let Some(sealers) = &mut self.sealers {
            sealers[side].seal(tls::ALERT, &[1, 0], &mut record);
        }
        if !record.is_empty() {
            self.send_raw(context, side, &record, 100 * MICROSECOND);
        }
    }

    fn end(&mut self, context: &mut Context) {
        let wait = context.random.between(1, 200) * MILLISECOND;
        match self.ending {
            Ending::Clean(side, code) => {
                self.close_frame(context, side, Some(code), wait);
                self.close_frame(context, 1 - side, Some(code), self.round_trip);
                self.close_notify(context, SERVER);
                self.finish(SERVER, 300 * MICROSECOND);
            }
            Ending::NoStatus => {
                self.close_frame(context, CLIENT, None, wait);
                self.close_frame(context, SERVER, None, self.round_trip);
                self.close_notify(context, SERVER);
                self.finish(SERVER, 300 * MICROSECOND);
            }
            Ending::OneSided(code) => {
                self.close_frame(context, SERVER, Some(code), wait);
                self.finish(SERVER, 300 * MICROSECOND);
            }
            Ending::Fin(side) => self.finish(side, wait),
            Ending::Reset(side) => self.step(wait, side, RST | ACK),
            Ending::Open => {}
            Ending::Refused(_) | Ending::Unanswered | Ending::PortClosed | Ending::HostSilent => {
                debug_assert!(self.ending.upgrades(), "refused attempts end where they begin");
            }
        }
        self.over(context);
    }

    // ---- planning: foreign traffic

    fn foreign(&mut self, context: &mut Context) {
        match self.role {
            Role::Download => {
                if context.draining {
                    self.step(MILLISECOND, CLIENT, RST | ACK);
                    self.phase = Phase::Over;
                    return;
                }
                let length = self.left.min(CHUNK);
                self.left -= length;
                let payloads = context.payloads.clone();
                let content = payloads.noise(&mut context.random, length as usize);
                let wait = context.random.between(12, 150) * MILLISECOND;
                self.send(context, SERVER, content, wait);
                if self.left == 0 {
                    self.finish(CLIENT, 300 * MICROSECOND);
                    self.phase = Phase::Over;
                }
            }
            Role::Encrypted => {
                if self.left == 0 || context.draining {
                    self.close_notify(context, CLIENT);
                    self.finish(CLIENT, 300 * MICROSECOND);
                    self.phase = Phase::Over;
                    return;
                }
                self.left -= 1;
                let payloads = context.payloads.clone();
                let length = context.random.between(200, 900) as usize;
                let request = payloads.noise(&mut context.random, length);
                let wait = context.random.between(20, 800) * MILLISECOND;
                self.send(context, CLIENT, request, wait);
                let length = context.random.between(500, 96 << 10) as usize;
                let response = payloads.noise(&mut context.random, length);
                let wait = context.random.between(1, 20) * MILLISECOND;
                self.send(context, SERVER, response, wait);
            }
            Role::Names => {
                if context.draining {
                    self.phase = Phase::Over;
                    return;
                }
                let identifier: [u8; 2] = context.random.bytes();
                let host = context.random.below(1000);
                let question = dns(identifier, host, None);
                let answer = dns(identifier, host, Some(context.random.bytes()));
                self.datagram(CLIENT, &question, context.random.between(1, 60) * MILLISECOND);
                self.datagram(SERVER, &answer, context.random.between(200, 9000) * MICROSECOND);
            }
            _ => {
                if context.draining {
                    self.phase = Phase::Over;
                    return;
                }
                let line = format!(
                    "web.requests:{}|c\nweb.latency:{}|ms\n",
                    context.random.below(900),
                    context.random.below(4000)
                );
                self.datagram(CLIENT, line.as_bytes(), context.random.between(1, 60) * MILLISECOND);
            }
        }
    }

    fn datagram(&mut self, side: usize, content: &[u8], wait: u64) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(content);
        let length = content.len() as u32;
        self.steps.push_back(Step { wait, start, length, sequence: 0, side: side as u8, flags: 0, lost: false });
    }
}

/// Draws how a conversation will end.
fn ending(context: &mut Context, role: Role) -> Ending {
    let random = &mut context.random;
    let dice = random.below(1000);
    if role == Role::Visit {
        return match dice {
            0..400 => Ending::Clean(CLIENT, 1000),
            400..480 => Ending::Clean(CLIENT, 1001),
            480..560 => Ending::Clean(SERVER, 1000),
            560..600 => Ending::Clean(SERVER, 1012),
            600..630 => Ending::Clean(SERVER, 1011),
            630..660 => Ending::Clean(SERVER, random.between(4000, 4100) as u16),
            660..730 => Ending::NoStatus,
            730..780 => Ending::Fin(SERVER),
            780..810 => Ending::Fin(CLIENT),
            810..840 => Ending::Reset(SERVER),
            840..860 => Ending::Reset(CLIENT),
            860..890 => Ending::OneSided(1001),
            890..950 => Ending::Refused(*random.pick(&[401, 403, 404, 426, 502, 503])),
            950..965 => Ending::Unanswered,
            965..995 => Ending::PortClosed,
            _ => Ending::HostSilent,
        };
    }
    match dice {
        0..450 => Ending::Clean(CLIENT, 1000),
        450..600 => Ending::Clean(CLIENT, 1001),
        600..800 => Ending::Clean(SERVER, 1001),
        800..860 => Ending::NoStatus,
        860..920 => Ending::Open,
        920..950 => Ending::Fin(SERVER),
        950..970 => Ending::Fin(CLIENT),
        970..990 => Ending::Reset(SERVER),
        _ => Ending::Reset(CLIENT),
    }
}

/// A DNS query for an address, or the response with it (RFC 1035 §4).
fn dns(identifier: [u8; 2], host: u64, address: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = identifier.to_vec();
    let answers = u8::from(address.is_some());
    out.extend(if address.is_some() { [0x81, 0x80] } else { [0x01, 0x00] });
    out.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    for label in [format!("host{host}").as_bytes(), b"bench", b"example"] {
        out.push(label.len() as u8);
        out.extend(label);
    }
    out.extend([0, 0, 1, 0, 1]);
    if let Some(address) = address {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(address);
    }
    out
}
