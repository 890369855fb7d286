//! The state of one connection: which answer belongs to which request, and when HTTP is over.
//!
//! [`request`] reads the client's direction, [`response`] the server's. This file pairs what they find and reports
//! it.

mod request;
mod response;

use smallvec::SmallVec;

use super::early_data::EarlyData;
use super::event::{
    Answer, Counts, CutAt, Early, Ended, Exchange, ExchangeKind, Foreign, HttpEvent, HttpFact, LostCause, Pairing,
};
use super::field_name::Name;
use super::handshake::{Handshake, ResponseChecks};
use super::head::{Head, HeadPlace, RequestHead};
use super::head_reader::{HeadReader, Phase};
use super::sniff::{self, Sniff};
use super::switch::{Start, Step, Switch, SwitchTo};
use super::{Compression, MAX_FOREIGN};
use crate::stream::{Direction, End, Stamp, StreamEvent};

/// Most bytes kept of the head of an ordinary request, for the case that its answer is reported.
const MAX_PLAIN_HEAD: usize = 512;

/// The observer of one connection. About 450 bytes when idle, plus up to 512 for the last ordinary request's head;
/// an ordinary exchange whose heads each lie in one event allocates nothing more.
#[derive(Debug)]
pub struct Http {
    client: HeadReader,
    server: HeadReader,
    pending: SmallVec<[Pending; 1]>,
    /// The exchange whose answer's body is being read, or whose 101 is not whole; only if it is worth reporting.
    answer: Option<Box<Exchange>>,
    /// What the client sent behind an upgrade request.
    early: Option<Box<EarlyData>>,
    /// The first non-HTTP bytes of the server, if its direction began with them.
    greeting: Option<Box<Foreign>>,
    /// The head of the ordinary request at the front of the queue, at most [`MAX_PLAIN_HEAD`] bytes.
    plain_head: Vec<u8>,
    plain_place: HeadPlace,
    counts: Counts,
    /// How many exchanges of [`ExchangeKind::Plain`] were reported.
    plain_reported: u32,
    /// Messages may have been missed: pairing is inferred.
    unsure: bool,
    /// The server's direction restarted behind a loss: its next answer belongs to the latest request.
    answers_missed: bool,
    /// The body of an upgrade request is followed by [`Phase::Early`].
    early_behind_body: bool,
    /// A 101 whose head was cut waits for what follows.
    switching: bool,
    pending_overflowed: bool,
}

/// A request without its final answer.
#[derive(Debug)]
struct Pending {
    kind: ExchangeKind,
    /// The method is HEAD: its answer has no body.
    is_head: bool,
    /// Its head is in `plain_head`.
    has_plain_head: bool,
    certain: bool,
    /// How far the server's direction had come.
    server_next: u64,
    /// The exchange as far as it is known, unless the request is an ordinary one.
    exchange: Option<Box<Exchange>>,
}

impl Pending {
    fn is_attempt(&self) -> bool {
        self.kind.is_attempt()
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    /// A connection of which nothing was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Http {
            client: HeadReader::new(Phase::Preface),
            server: HeadReader::new(Phase::Head),
            pending: SmallVec::new(),
            answer: None,
            early: None,
            greeting: None,
            plain_head: Vec::new(),
            plain_place: HeadPlace::default(),
            counts: Counts::default(),
            plain_reported: 0,
            unsure: false,
            answers_missed: false,
            early_behind_body: false,
            switching: false,
            pending_overflowed: false,
        }
    }

    /// What the first bytes of a direction are. Returns [`Sniff::Request`] for a known method and the first byte of a
    /// target, before the line is whole; HTTP/2's preface is [`Sniff::No`].
    #[must_use]
    pub(crate) fn sniff(bytes: &[u8]) -> Sniff {
        sniff::sniff(bytes)
    }

    /// Whether the answer to an attempt may lie in bytes that were not captured: the server's direction is lost and
    /// has moved since the request. Ask before feeding an event; if that is WebSocket by its own proof, call
    /// [`Http::switch_unseen`] and feed it to the next layer instead.
    #[must_use]
    pub(crate) fn answer_lost(&self) -> bool {
        self.server.phase == Phase::Lost
            && self.pending.iter().any(|pending| {
                (pending.is_attempt() || pending.kind == ExchangeKind::Unknown)
                    && self.server.next > pending.server_next
            })
    }

    /// Ends HTTP although no 101 was seen: reports the pending attempt with [`Answer::NotCaptured`] and hands over
    /// the client's early data. `None` when no attempt is pending.
    pub(crate) fn switch_unseen(&mut self, stamp: Stamp, events: &mut Vec<HttpEvent>) -> Option<Switch<'static>> {
        let at =
            self.pending.iter().position(|pending| pending.is_attempt() || pending.kind == ExchangeKind::Unknown)?;
        let pending = self.pending.remove(at);
        let to = match pending.kind {
            ExchangeKind::WebSocket => SwitchTo::WebSocket { compression: Compression::Unknown },
            ExchangeKind::Connect => SwitchTo::Tunnel,
            _ => SwitchTo::Unknown,
        };
        let mut exchange = self.failed(pending, Answer::NotCaptured, Ended::Lost { at: CutAt::BeforeAnswer, stamp });
        exchange.early = self.early.as_ref().and_then(|early| early.summary());
        self.report(exchange, events);
        let server = Start { offset: self.server.next, proven: false };
        Some(self.hand_over(to, None, server))
    }

    /// Ordinary traffic so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes one event. Both directions must be ended with [`StreamEvent::End`]: unanswered requests are reported when
    /// the server's ends. After [`Step::Switch`] there is nothing to feed any more.
    pub fn feed<'a>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'a>,
        events: &mut Vec<HttpEvent>,
    ) -> Step<'a> {
        if self.switching && direction == Direction::ToServer {
            // The client goes on behind a 101 whose end was not captured: whatever it sends is no HTTP.
            let server = Start { offset: self.server.next, proven: false };
            return self.switch(Some(event), server, events);
        }
        let reader = self.reader(direction);
        match event {
            StreamEvent::Data { offset, bytes } => {
                reader.next = offset.saturating_add(bytes.len() as u64);
                match direction {
                    Direction::ToServer if self.client_data(stamp, offset, bytes, events) => Step::NotHttp,
                    Direction::ToServer => Step::More,
                    Direction::ToClient => self.server_data(stamp, offset, bytes, events),
                }
            }
            StreamEvent::Gap { offset, len, cause } => {
                reader.next = offset.saturating_add(len);
                match direction {
                    Direction::ToServer => self.client_gap(stamp, offset, len, cause, events),
                    Direction::ToClient => self.server_gap(stamp, offset, len, cause, events),
                }
                Step::More
            }
            StreamEvent::End(end) => {
                reader.ended.get_or_insert((stamp, end));
                match direction {
                    Direction::ToServer => {
                        self.client_end(stamp, end, events);
                        if let Some((stamp, end)) = self.server.ended {
                            self.finish_pending(stamp, end, events);
                        }
                    }
                    Direction::ToClient if self.switching => {
                        let server = Start { offset: self.server.next, proven: false };
                        return self.switch(Some(event), server, events);
                    }
                    Direction::ToClient => self.server_end(stamp, end, events),
                }
                Step::More
            }
        }
    }

    fn reader(&mut self, direction: Direction) -> &mut HeadReader {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    // ---- the place in the stream ------------------------------------------------------------------------

    /// Message borders in this direction are unknown from here on.
    #[cold]
    #[inline(never)]
    fn lose(&mut self, direction: Direction, offset: u64, stamp: Stamp, cause: LostCause, events: &mut Vec<HttpEvent>) {
        self.unsure = true;
        let reader = self.reader(direction);
        reader.phase = Phase::Lost;
        reader.forget();
        events.push(HttpEvent::Fact(HttpFact::Lost { direction, offset, stamp, cause }));
    }

    /// A start line begins here: the direction is in step again.
    #[cold]
    #[inline(never)]
    fn restart(&mut self, direction: Direction, offset: u64, stamp: Stamp, events: &mut Vec<HttpEvent>) {
        self.unsure = true;
        self.answers_missed |= direction == Direction::ToClient;
        let reader = self.reader(direction);
        reader.phase = Phase::Head;
        reader.forget();
        events.push(HttpEvent::Fact(HttpFact::Restarted { direction, offset, stamp }));
    }

    // ---- pairing and reporting --------------------------------------------------------------------------

    /// The request that an answer with this status belongs to.
    fn take_answered(&mut self, status: u16, events: &mut Vec<HttpEvent>) -> Option<Pending> {
        if self.unsure || self.answers_missed {
            self.skip_unanswered(status, events);
        }
        match self.pending.len() {
            0 | 1 => self.pending.pop(),
            _ => Some(self.pending.remove(0)),
        }
    }

    /// Passes over the requests whose answers were missed.
    #[cold]
    #[inline(never)]
    fn skip_unanswered(&mut self, status: u16, events: &mut Vec<HttpEvent>) {
        let mut skip = 0;
        if std::mem::take(&mut self.answers_missed) {
            // Without pipelining a client sends its next request only after the answer to the one before.
            skip = self.pending.len().saturating_sub(1);
        } else if status == 101 && self.unsure {
            let upgrade = |pending: &Pending| !matches!(pending.kind, ExchangeKind::Plain | ExchangeKind::Connect);
            skip = self.pending.iter().position(upgrade).unwrap_or(0);
        }
        for _ in 0..skip {
            let missed = self.pending.remove(0);
            if missed.is_attempt()
                && let Some(exchange) = &missed.exchange
            {
                let ended = exchange.ended;
                let exchange = self.failed(missed, Answer::NotCaptured, ended);
                self.report(exchange, events);
            }
        }
    }

    /// The exchange of this request; its answer is filled in later.
    fn exchange(&self, pending: Pending, ended: Ended) -> Box<Exchange> {
        let certain = pending.certain && !self.unsure;
        let mut exchange = match pending.exchange {
            Some(exchange) => exchange,
            None => self.plain_exchange(&pending, ended),
        };
        exchange.pairing = if certain { Pairing::Certain } else { Pairing::Inferred };
        exchange.ended = ended;
        exchange
    }

    /// The exchange of an ordinary request.
    #[cold]
    #[inline(never)]
    fn plain_exchange(&self, pending: &Pending, ended: Ended) -> Box<Exchange> {
        let request =
            pending.has_plain_head.then(|| RequestHead::of_start(&self.plain_head, MAX_PLAIN_HEAD, &self.plain_place));
        Box::new(Exchange::new(pending.kind, request, ended))
    }

    /// The exchange of a request that got no head for an answer.
    #[cold]
    #[inline(never)]
    fn failed(&self, pending: Pending, answer: Answer, ended: Ended) -> Box<Exchange> {
        let mut exchange = self.exchange(pending, ended);
        exchange.answer = answer;
        exchange
    }

    /// Reports the requests that wait as unanswered: the server's direction has ended.
    fn finish_pending(&mut self, stamp: Stamp, end: End, events: &mut Vec<HttpEvent>) {
        // Requests in early data queue up as the attempt before them is given up; each round consumes at least one.
        while !self.pending.is_empty() {
            let lost = self.answer_lost();
            for pending in std::mem::take(&mut self.pending) {
                if !pending.is_attempt() {
                    self.counts.unanswered = self.counts.unanswered.saturating_add(1);
                    continue;
                }
                let answer = match &self.greeting {
                    Some(greeting) => Answer::Foreign(greeting.clone()),
                    None if lost => Answer::NotCaptured,
                    None => Answer::Nothing,
                };
                let ended = Ended::Cut { at: CutAt::BeforeAnswer, by: end, stamp };
                let mut exchange = self.failed(pending, answer, ended);
                exchange.early = self.resume_client(events);
                self.report(exchange, events);
            }
        }
    }

    /// Reports the exchange whose answer was being read.
    fn finish_answer(&mut self, ended: Ended, events: &mut Vec<HttpEvent>) {
        if let Some(mut exchange) = self.answer.take() {
            exchange.ended = ended;
            self.report(exchange, events);
        }
    }

    fn report(&self, mut exchange: Box<Exchange>, events: &mut Vec<HttpEvent>) {
        if exchange.handshake.is_none() && (exchange.kind == ExchangeKind::WebSocket || exchange.status() == Some(101))
        {
            exchange.handshake = Some(examine(&exchange));
        }
        events.push(HttpEvent::Exchange(exchange));
    }

    /// The answer to the attempt was missed: reports it and reads what the client sent since as requests.
    #[cold]
    #[inline(never)]
    fn give_up_attempt(&mut self, stamp: Stamp, events: &mut Vec<HttpEvent>) {
        self.unsure = true;
        for pending in std::mem::take(&mut self.pending) {
            if pending.is_attempt() {
                let ended = Ended::Lost { at: CutAt::BeforeAnswer, stamp };
                let exchange = self.failed(pending, Answer::NotCaptured, ended);
                self.report(exchange, events);
            }
        }
        self.resume_client(events);
    }

    /// Goes on with the client's direction behind an attempt that was not granted: its early data are requests, or
    /// bytes that came too early, which are returned.
    fn resume_client(&mut self, events: &mut Vec<HttpEvent>) -> Option<Box<Early>> {
        self.early_behind_body = false;
        let Phase::Early { proven } = self.client.phase else { return None };
        self.client.phase = if proven { Phase::Head } else { Phase::Lost };
        let early = self.early.take()?;
        if let Some(summary) = early.summary()
            && proven
            && !early.begins_request()
        {
            self.lose(Direction::ToServer, summary.offset, summary.stamp, LostCause::NoStartLine, events);
            return Some(summary);
        }
        for (stamp, _, event) in early.events() {
            match event {
                StreamEvent::Data { offset, bytes } => {
                    self.client_data(stamp, offset, bytes, events);
                }
                StreamEvent::Gap { offset, len, cause } => self.client_gap(stamp, offset, len, cause, events),
                StreamEvent::End(end) => self.client_end(stamp, end, events),
            }
        }
        None
    }

    // ---- the end of HTTP --------------------------------------------------------------------------------

    /// Reports the exchange that switches the connection, and hands it over.
    fn switch<'a>(&mut self, next: Option<StreamEvent<'a>>, server: Start, events: &mut Vec<HttpEvent>) -> Step<'a> {
        self.switching = false;
        let mut to = SwitchTo::Unknown;
        if let Some(mut exchange) = self.answer.take() {
            if exchange.status() == Some(101) {
                exchange.handshake = Some(examine(&exchange));
            }
            to = destination(&exchange);
            self.report(exchange, events);
        }
        Step::Switch(self.hand_over(to, next, server))
    }

    fn hand_over<'a>(&mut self, to: SwitchTo, next: Option<StreamEvent<'a>>, server: Start) -> Switch<'a> {
        let early = self.early.take().map(|early| *early).unwrap_or_default();
        let proven = match self.client.phase {
            Phase::Early { proven } => proven,
            Phase::Head => self.client.buffer.is_empty(),
            _ => false,
        };
        let offset = early.first_offset().unwrap_or(self.client.next);
        self.client.phase = Phase::Done;
        self.server.phase = Phase::Done;
        self.pending.clear();
        Switch { to, next, early, starts: [Start { offset, proven }, server] }
    }
}

fn examine(exchange: &Exchange) -> Handshake {
    let certain = exchange.pairing == Pairing::Certain;
    Handshake::examine(exchange.request.as_ref(), exchange.response(), certain)
}

/// What an answer made of the connection.
fn destination(exchange: &Exchange) -> SwitchTo {
    match (exchange.response(), &exchange.handshake) {
        (Some(response), Some(handshake)) if response.status == 101 => match &handshake.response {
            Some(checks) if checks.upgrade.present() == Some(true) => to_websocket(Some(checks)),
            checks => other_destination(exchange, &response.head, checks.as_ref()),
        },
        (Some(response), None) if response.status == 101 => other_destination(exchange, &response.head, None),
        (Some(_), _) => SwitchTo::Tunnel,
        (None, _) => SwitchTo::Unknown,
    }
}

fn to_websocket(checks: Option<&ResponseChecks>) -> SwitchTo {
    SwitchTo::WebSocket { compression: checks.map_or(Compression::Unknown, |checks| checks.compression) }
}

/// What a 101 that does not name WebSocket, or may not, made of the connection.
#[cold]
#[inline(never)]
fn other_destination(exchange: &Exchange, head: &Head, checks: Option<&ResponseChecks>) -> SwitchTo {
    let named = || head.elements(Name::Upgrade).next();
    let names_websocket =
        checks.is_none() && head.elements(Name::Upgrade).any(|token| token.eq_ignore_ascii_case("websocket"));
    let implied = || exchange.kind == ExchangeKind::WebSocket || head.has(Name::SecWebSocketAccept);
    if names_websocket || (named().is_none() && implied()) {
        return to_websocket(checks);
    }
    // RFC 9110 §15.2.2: a 101 must name the protocol; where it does not, it is the one that the request asked for.
    let requested = || {
        let request = exchange.request.as_ref().filter(|_| exchange.kind == ExchangeKind::Upgrade)?;
        request.head.elements(Name::Upgrade).next()
    };
    match named().or_else(requested) {
        Some(protocol) => SwitchTo::Other(protocol.into()),
        None => SwitchTo::Unknown,
    }
}

/// The first bytes of something that is no HTTP message.
fn foreign(bytes: &[u8], place: HeadPlace) -> Box<Foreign> {
    let bytes = bytes[..bytes.len().min(MAX_FOREIGN)].into();
    Box::new(Foreign { bytes, stamp: place.first, offset: place.offset })
}

/// The first [`MAX_FOREIGN`] bytes of two neighbouring slices.
fn first_bytes(first: &[u8], second: &[u8]) -> Vec<u8> {
    first.iter().chain(second).take(MAX_FOREIGN).copied().collect()
}
