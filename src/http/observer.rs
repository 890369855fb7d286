//! The state of one connection: which answer belongs to which request, and when HTTP is over.

use smallvec::SmallVec;

use super::body::{BodyState, Progress};
use super::event::{
    Answer, Body, Counts, CutAt, Early, Ended, Exchange, ExchangeKind, Foreign, HttpEvent, HttpFact, Interim,
    LostCause, Pairing,
};
use super::half::{Got, Half, Phase, Tail, TailStep};
use super::handshake::{Handshake, ResponseChecks};
use super::head::{Completeness, Head, Known, Place, RequestHead, Seen};
use super::held::Held;
use super::names::{Name, is_word};
use super::proxy::{ProxyHeader, ProxyParse};
use super::regular::Wanted;
use super::sniff::{self, Sniff};
use super::survey::{self, Found, Framing, RequestSurvey, ResponseSurvey};
use super::switch::{EarlyData, Start, Step, Switch, SwitchTo};
use super::{Compression, MAX_FOREIGN, MAX_INTERIM, MAX_PENDING, MAX_PLAIN};
use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};

/// How much of the head of the request waited for is kept in case its answer proves interesting.
const MAX_PLAIN_HEAD: usize = 512;

/// How much of a request head is kept when its purpose is unknown, or when [`MAX_WHOLE_HEADS`] others wait already.
const MAX_LESSER_HEAD: usize = 2048;
/// How many waiting requests keep their heads whole.
const MAX_WHOLE_HEADS: usize = 4;

/// The observer of one connection. About 450 bytes when idle, plus up to 512 for the last ordinary request's head;
/// an ordinary exchange whose heads each lie in one event allocates nothing more.
#[derive(Debug)]
pub struct Http {
    client: Half,
    server: Half,
    pending: SmallVec<[Pending; 1]>,
    /// The exchange whose answer's body is being read, or whose 101 is not whole; only if it is worth reporting.
    answer: Option<Box<Exchange>>,
    /// Client events behind an upgrade request.
    held: Option<Box<Held>>,
    /// The first non-HTTP bytes of the server, if its direction began with them.
    greeting: Option<Box<Foreign>>,
    /// The head of the ordinary request at the front of the queue, cut to a bound.
    plain_head: Vec<u8>,
    /// Where it lies.
    plain_place: Place,
    counts: Counts,
    plain_reported: u32,
    /// Messages may have been missed: pairing is inferred.
    unsure: bool,
    /// The server's direction restarted behind a loss: its next answer belongs to the latest request.
    answers_missed: bool,
    /// The body of an upgrade request is followed by [`Phase::Hold`].
    hold_behind_body: bool,
    /// A 101 whose head was cut waits for what follows.
    switching: bool,
    pending_overflowed: bool,
}

/// A request without its final answer.
#[derive(Debug)]
struct Pending {
    kind: ExchangeKind,
    head_method: bool,
    /// Its head is in `plain_head`.
    has_plain_head: bool,
    certain: bool,
    /// How far the server's direction had come.
    server_next: u64,
    /// What is known of the exchange, unless the request is an ordinary one.
    kept: Option<Box<Exchange>>,
}

impl Pending {
    fn is_attempt(&self) -> bool {
        is_attempt(self.kind)
    }
}

const fn is_attempt(kind: ExchangeKind) -> bool {
    matches!(kind, ExchangeKind::WebSocket | ExchangeKind::Connect | ExchangeKind::Upgrade)
}

/// What follows a response head.
enum After {
    Body(BodyState),
    Switch,
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
            client: Half::new(Phase::Preface),
            server: Half::new(Phase::Head),
            pending: SmallVec::new(),
            answer: None,
            held: None,
            greeting: None,
            plain_head: Vec::new(),
            plain_place: Place::default(),
            counts: Counts::default(),
            plain_reported: 0,
            unsure: false,
            answers_missed: false,
            hold_behind_body: false,
            switching: false,
            pending_overflowed: false,
        }
    }

    /// What the first bytes of a direction are. Says [`Sniff::Request`] for a known method and the first byte of a
    /// target, before the line is whole; HTTP/2's preface is [`Sniff::No`].
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Sniff {
        sniff::sniff(bytes)
    }

    /// The head of the oldest attempt without a final answer.
    #[must_use]
    pub fn pending(&self) -> Option<&RequestHead> {
        let attempt = self.pending.iter().find(|pending| pending.is_attempt())?;
        attempt.kept.as_ref()?.request.as_ref()
    }

    /// Whether the answer to an attempt may lie in bytes that were not captured: the server's direction is lost and
    /// has moved since the request. Ask before feeding an event; if that is WebSocket by its own proof, call
    /// [`Http::switch_unseen`] and feed it to the next layer instead.
    #[must_use]
    pub fn answer_lost(&self) -> bool {
        self.server.phase == Phase::Lost
            && self.pending.iter().any(|pending| {
                (pending.is_attempt() || pending.kind == ExchangeKind::Unknown)
                    && self.server.next > pending.server_next
            })
    }

    /// Ends HTTP although no 101 was seen: reports the pending attempt with [`Answer::NotCaptured`] and hands over
    /// what was held. `None` when no attempt is pending.
    pub fn switch_unseen(&mut self, stamp: Stamp, events: &mut Vec<HttpEvent>) -> Option<Switch<'static>> {
        let at =
            self.pending.iter().position(|pending| pending.is_attempt() || pending.kind == ExchangeKind::Unknown)?;
        let pending = self.pending.remove(at);
        let to = match pending.kind {
            ExchangeKind::WebSocket => SwitchTo::WebSocket { compression: Compression::Unknown, subprotocol: None },
            ExchangeKind::Connect => SwitchTo::Tunnel,
            _ => SwitchTo::Unknown,
        };
        let mut exchange = self.failed(pending, Answer::NotCaptured, Ended::Lost { at: CutAt::BeforeAnswer, stamp });
        exchange.set_early(self.held.as_ref().and_then(|held| held.early()));
        self.report(exchange, events);
        let server = Start { offset: self.server.next, proven: false };
        Some(self.hand_over(to, None, server))
    }

    /// Ordinary traffic so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes one event. Both directions must be ended with [`StreamEvent::End`]: what is unanswered is reported when
    /// the server's ends. After [`Step::Switch`] there is nothing to feed any more.
    pub fn feed<'a>(
        &mut self,
        stamp: Stamp,
        direction: Direction,
        event: StreamEvent<'a>,
        events: &mut Vec<HttpEvent>,
    ) -> Step<'a> {
        if self.switching && direction == Direction::ToServer {
            // The client goes on behind a 101 whose end was not captured: whatever it says is no HTTP.
            let server = Start { offset: self.server.next, proven: false };
            return self.switch(Some(event), server, events);
        }
        let half = match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        };
        match event {
            StreamEvent::Data { offset, bytes } => {
                half.next = offset.saturating_add(bytes.len() as u64);
                match direction {
                    Direction::ToServer if self.client_data(stamp, offset, bytes, events) => Step::NotHttp,
                    Direction::ToServer => Step::More,
                    Direction::ToClient => self.server_data(stamp, offset, bytes, events),
                }
            }
            StreamEvent::Gap { offset, len, cause } => {
                half.next = offset.saturating_add(len);
                match direction {
                    Direction::ToServer => self.client_gap(stamp, offset, len, cause, events),
                    Direction::ToClient => self.server_gap(stamp, offset, len, cause, events),
                }
                Step::More
            }
            StreamEvent::End(end) => {
                half.ended.get_or_insert((stamp, end));
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

    // ---- the client's direction -------------------------------------------------------------------------

    /// Returns whether the client turned out to speak no HTTP.
    fn client_data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8], events: &mut Vec<HttpEvent>) -> bool {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let here = offset + at as u64;
            match self.client.phase {
                Phase::Dead | Phase::Foreign => return false,
                Phase::Preface if self.client.buffer.is_empty() && super::proxy::begins(rest) == Some(false) => {
                    self.client.phase = Phase::Head;
                }
                Phase::Preface => {
                    let (used, foreign) = self.preface(stamp, here, rest, events);
                    if foreign {
                        return true;
                    }
                    at += used;
                }
                Phase::Skip(left) => {
                    let skipped = rest.len().min(left as usize);
                    at += skipped;
                    let left = left - skipped as u32;
                    self.client.phase = if left == 0 { Phase::Head } else { Phase::Skip(left) };
                }
                Phase::Lost => {
                    if at > 0 || !sniff::is_request_line(rest) {
                        return false;
                    }
                    self.restart(Direction::ToServer, here, stamp, events);
                }
                Phase::Hold { .. } => {
                    let starts_request = at == 0 && sniff::is_request_line(rest);
                    self.hold_data(stamp, here, rest, events);
                    if starts_request && self.answer_lost() {
                        // A client that goes on with HTTP has read its answer, which we have not.
                        self.give_up_attempt(stamp, events);
                    }
                    return false;
                }
                Phase::Body(mut state) => match state.consume(rest, None) {
                    Progress::More => {
                        self.client.phase = Phase::Body(state);
                        return false;
                    }
                    Progress::Done(used) => {
                        at += used;
                        self.client.phase = self.behind_request();
                    }
                    Progress::Broken(used) => {
                        self.lose(Direction::ToServer, here + used as u64, stamp, LostCause::BadChunk, events);
                        return false;
                    }
                },
                Phase::Tail { mut scan, then, cause } => {
                    if at == 0 && sniff::is_request_line(rest) {
                        self.restart(Direction::ToServer, here, stamp, events);
                        continue;
                    }
                    match scan.feed(rest, 1) {
                        TailStep::More => {
                            self.client.phase = Phase::Tail { scan, then, cause };
                            return false;
                        }
                        TailStep::End(used) => {
                            at += used;
                            self.client.phase = if then.is_done() { self.behind_request() } else { Phase::Body(then) };
                        }
                        TailStep::Refuted if self.hold_behind_body => self.client.phase = Phase::Hold { proven: false },
                        TailStep::Refuted => {
                            self.lose(Direction::ToServer, here, stamp, LostCause::Gap(cause), events);
                            return false;
                        }
                    }
                }
                Phase::Head => {
                    let mut found = Found::default();
                    match self.client.head(rest, here, stamp, Wanted::Request, &mut found) {
                        Got::More => return false,
                        Got::Head { used, raw, place } => match survey::request(&raw, true, &mut found) {
                            Some(survey) => {
                                at += used;
                                let (completeness, refused) = (Completeness::Complete, survey.refused);
                                let known = found.known();
                                let seen = Seen { raw: &raw, completeness, place: &place, refused, known };
                                self.request(&seen, &survey, events);
                            }
                            None => {
                                self.client.buffer = collect(&raw, &rest[used..]);
                                return self.client_foreign(stamp, LostCause::MalformedStartLine, events);
                            }
                        },
                        Got::NotHttp => return self.client_foreign(stamp, LostCause::NoStartLine, events),
                        Got::TooLarge => {
                            self.cut_request(events);
                            self.client.phase = Phase::Dead;
                            events.push(fact(HttpFact::HeadTooLarge { direction: Direction::ToServer, stamp }));
                            return false;
                        }
                    }
                }
            }
        }
        false
    }

    /// Looks for a PROXY header at the very front; the number of bytes taken, and whether the client speaks no HTTP.
    #[cold]
    #[inline(never)]
    fn preface(&mut self, stamp: Stamp, offset: u64, bytes: &[u8], events: &mut Vec<HttpEvent>) -> (usize, bool) {
        let before = self.client.buffer.len();
        let parsed = if before == 0 {
            self.client.offset = offset;
            self.client.first = stamp;
            ProxyHeader::parse(bytes, stamp)
        } else {
            let wanted = super::proxy::MAX_NEEDED.saturating_sub(before);
            self.client.buffer.extend_from_slice(&bytes[..bytes.len().min(wanted)]);
            ProxyHeader::parse(&self.client.buffer, stamp)
        };
        match parsed {
            ProxyParse::Maybe => {
                if before == 0 {
                    self.client.buffer.extend_from_slice(bytes);
                }
                (bytes.len(), false)
            }
            ProxyParse::Found(header) => {
                self.client.forget();
                let here = bytes.len().min((header.len as usize).saturating_sub(before));
                let left = header.len - (before + here) as u32;
                self.client.phase = if left == 0 { Phase::Head } else { Phase::Skip(left) };
                events.push(HttpEvent::ProxyHeader(Box::new(header)));
                (here, false)
            }
            ProxyParse::No => {
                self.client.phase = Phase::Head;
                if before > 0 {
                    // What was held back goes the ordinary way, in front of what is at hand. It is shorter than any head.
                    let mut held_back = std::mem::take(&mut self.client.buffer);
                    held_back.truncate(before);
                    let (first, offset) = (self.client.first, self.client.offset);
                    return (0, self.client_data(first, offset, &held_back, events));
                }
                (0, false)
            }
        }
    }

    /// Takes a request head.
    fn request(&mut self, seen: &Seen<'_>, survey: &RequestSurvey, events: &mut Vec<HttpEvent>) {
        let Seen { raw, place, .. } = *seen;
        self.counts.requests = self.counts.requests.saturating_add(1);
        let kind = survey.kind;
        let kept = match kind {
            ExchangeKind::Plain => None,
            _ if raw.len() > MAX_LESSER_HEAD => Some(self.begin_large(seen, kind)),
            _ => Some(begin(seen, kind)),
        };
        // The end of a head of which nothing tells that it is an upgrade is held like an upgrade's: it may be one.
        let hold = is_attempt(kind) || (kind == ExchangeKind::Unknown && survey.get_method);
        let queued = self.pending.len() < MAX_PENDING;
        if queued {
            let has_plain_head = kind == ExchangeKind::Plain && self.pending.is_empty();
            if has_plain_head {
                self.plain_head.clear();
                self.plain_head.extend_from_slice(&raw[..raw.len().min(MAX_PLAIN_HEAD)]);
                self.plain_place = *place;
            }
            self.pending.push(Pending {
                kind,
                head_method: survey.head_method,
                has_plain_head,
                certain: !self.unsure,
                server_next: self.server.next,
                kept,
            });
            if is_attempt(kind) {
                events.push(HttpEvent::Attempt { kind, stamp: place.last });
            }
        } else {
            self.unsure = true;
            if !self.pending_overflowed {
                self.pending_overflowed = true;
                events.push(fact(HttpFact::TooManyPending { stamp: place.first }));
            }
        }
        self.hold_behind_body = hold && queued;
        let body = match survey.framing {
            // RFC 9110 §9.3.6: a CONNECT request has no content.
            _ if kind == ExchangeKind::Connect => BodyState::Length(0),
            Framing::Unsaid if survey.hixie76 => BodyState::Length(8),
            Framing::Unsaid => BodyState::Length(0),
            Framing::Length(bytes) => BodyState::Length(bytes),
            Framing::Chunked => BodyState::chunked(),
            Framing::Endless => {
                // RFC 9112 §6.3, items 4 and 5: the length of such a request cannot be determined.
                let offset = place.offset.saturating_add(raw.len() as u64);
                self.lose(Direction::ToServer, offset, place.last, LostCause::BadFraming, events);
                return;
            }
        };
        self.client.phase = if body.is_done() { self.behind_request() } else { Phase::Body(body) };
    }

    /// The exchange that a large request head begins. The head is cut if it is one of many, or of unknown purpose.
    #[cold]
    #[inline(never)]
    fn begin_large(&self, seen: &Seen<'_>, kind: ExchangeKind) -> Box<Exchange> {
        let others = self.pending.iter().filter(|pending| pending.kept.is_some()).count();
        if kind != ExchangeKind::Unknown && others < MAX_WHOLE_HEADS {
            return begin(seen, kind);
        }
        let raw = &seen.raw[..MAX_LESSER_HEAD];
        begin(&Seen { raw, completeness: cut(raw), known: Known::Nothing, ..*seen }, kind)
    }

    /// What follows a request and its body.
    fn behind_request(&self) -> Phase {
        if self.hold_behind_body { Phase::Hold { proven: true } } else { Phase::Head }
    }

    /// Takes what was seen of a request head that is cut. Returns the body that follows it, when it is a request at all.
    #[cold]
    #[inline(never)]
    fn cut_request(&mut self, events: &mut Vec<HttpEvent>) -> Option<BodyState> {
        let raw = std::mem::take(&mut self.client.buffer);
        let mut found = Found::default();
        let survey = survey::request(&raw, false, &mut found)?;
        let place = self.client.place();
        self.client.forget();
        let (completeness, refused, known) = (cut(&raw), survey.refused, found.known());
        self.request(&Seen { raw: &raw, completeness, place: &place, refused, known }, &survey, events);
        match self.client.phase {
            Phase::Body(body) => Some(body),
            _ => Some(BodyState::Length(0)),
        }
    }

    /// The client's bytes are no request; whether they are the first it sent.
    #[cold]
    #[inline(never)]
    fn client_foreign(&mut self, stamp: Stamp, cause: LostCause, events: &mut Vec<HttpEvent>) -> bool {
        let place = self.client.place();
        let bytes = std::mem::take(&mut self.client.buffer);
        self.client.forget();
        if self.counts.requests > 0 || self.unsure {
            self.lose(Direction::ToServer, place.offset, stamp, cause, events);
            return false;
        }
        self.client.phase = Phase::Dead;
        let foreign = Box::new(foreign(&bytes, place));
        events.push(fact(HttpFact::NotHttp { direction: Direction::ToServer, foreign }));
        true
    }

    #[cold]
    #[inline(never)]
    fn client_gap(&mut self, stamp: Stamp, offset: u64, len: u64, cause: GapCause, events: &mut Vec<HttpEvent>) {
        match &mut self.client.phase {
            Phase::Dead | Phase::Lost | Phase::Foreign => {}
            Phase::Hold { .. } => self.held.get_or_insert_default().gap(stamp, offset, len, cause),
            Phase::Skip(left) if len <= u64::from(*left) => {
                *left -= len as u32;
                if *left == 0 {
                    self.client.phase = Phase::Head;
                }
            }
            Phase::Body(state) => {
                if !state.skip(len, None) {
                    self.lose(Direction::ToServer, offset, stamp, LostCause::Gap(cause), events);
                } else if state.is_done() {
                    self.client.phase = self.behind_request();
                }
            }
            Phase::Tail { scan, .. } => *scan = Tail::new(),
            Phase::Head if !self.client.buffer.is_empty() => {
                self.unsure = true;
                let start = self.client.offset;
                match self.cut_request(events) {
                    // A broken framing has said why it is lost.
                    Some(_) if self.client.phase == Phase::Lost => {}
                    Some(then) => self.client.phase = Phase::Tail { scan: Tail::new(), then, cause },
                    None => self.lose(Direction::ToServer, start, stamp, LostCause::Gap(cause), events),
                }
            }
            _ => self.lose(Direction::ToServer, offset, stamp, LostCause::Gap(cause), events),
        }
    }

    fn client_end(&mut self, stamp: Stamp, end: End, events: &mut Vec<HttpEvent>) {
        match self.client.phase {
            Phase::Hold { .. } => self.held.get_or_insert_default().end(stamp, self.client.next, end),
            Phase::Head if !self.client.buffer.is_empty() => {
                self.cut_request(events);
                self.client.phase = Phase::Dead;
            }
            _ => {}
        }
    }

    #[cold]
    #[inline(never)]
    fn hold_data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8], events: &mut Vec<HttpEvent>) {
        if self.held.get_or_insert_default().data(stamp, offset, bytes) {
            events.push(fact(HttpFact::EarlyDataTooLarge { stamp }));
        }
    }

    /// The answer to the attempt was missed: reports it and goes on with what the client sent since.
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
        self.release(events);
    }

    /// The attempt was not granted: what the client sent behind it are requests, or bytes that came too early, which
    /// is returned.
    fn release(&mut self, events: &mut Vec<HttpEvent>) -> Option<Early> {
        self.hold_behind_body = false;
        let Phase::Hold { proven } = self.client.phase else { return None };
        self.client.phase = if proven { Phase::Head } else { Phase::Lost };
        let held = self.held.take()?;
        let early = held.early();
        if let Some(early) = early
            && proven
            && !held.begins_request()
        {
            self.lose(Direction::ToServer, early.offset, early.stamp, LostCause::NoStartLine, events);
            return Some(early);
        }
        for (stamp, _, event) in held.events() {
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

    // ---- the server's direction -------------------------------------------------------------------------

    fn server_data<'a>(&mut self, stamp: Stamp, offset: u64, bytes: &'a [u8], events: &mut Vec<HttpEvent>) -> Step<'a> {
        let direction = Direction::ToClient;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let here = offset + at as u64;
            match self.server.phase {
                Phase::Dead => return Step::More,
                Phase::Foreign => {
                    let room = MAX_FOREIGN - self.server.buffer.len();
                    self.server.buffer.extend_from_slice(&rest[..rest.len().min(room)]);
                    if self.server.buffer.len() == MAX_FOREIGN {
                        self.report_foreign(Ended::Lost { at: CutAt::InHead, stamp }, events);
                    }
                    return Step::More;
                }
                Phase::Lost => {
                    if at > 0 || !sniff::is_status_line(rest) {
                        return Step::More;
                    }
                    self.restart(direction, here, stamp, events);
                }
                Phase::Body(BodyState::UntilRestart) if at == 0 && sniff::is_status_line(rest) => {
                    self.finish_answer(Ended::Lost { at: CutAt::InBody, stamp }, events);
                    self.restart(direction, here, stamp, events);
                }
                Phase::Body(mut state) => {
                    let progress = state.consume(rest, self.answer.as_mut().map(|exchange| &mut exchange.body));
                    self.server.phase = Phase::Body(state);
                    match progress {
                        Progress::More => return Step::More,
                        Progress::Done(used) => {
                            at += used;
                            self.finish_answer(Ended::Complete { stamp }, events);
                            self.server.phase = Phase::Head;
                        }
                        Progress::Broken(used) => {
                            self.finish_answer(Ended::Lost { at: CutAt::InBody, stamp }, events);
                            self.lose(direction, here + used as u64, stamp, LostCause::BadChunk, events);
                            return Step::More;
                        }
                    }
                }
                Phase::Tail { mut scan, then, cause } => {
                    if at == 0 && sniff::is_status_line(rest) {
                        if self.switching {
                            // An HTTP answer on a switched connection: not ours to read.
                            let start = Start { offset: here, proven: false };
                            return self.switch(Some(StreamEvent::Data { offset: here, bytes: rest }), start, events);
                        }
                        self.finish_answer(Ended::Lost { at: CutAt::InHead, stamp }, events);
                        self.restart(direction, here, stamp, events);
                        continue;
                    }
                    // Behind a 101 there is no text but the head's, so the rest of one field line is proof enough.
                    match scan.feed(rest, u16::from(!self.switching)) {
                        TailStep::More => {
                            self.server.phase = Phase::Tail { scan, then, cause };
                            return Step::More;
                        }
                        TailStep::End(used) if self.switching => {
                            let start = Start { offset: here + used as u64, proven: true };
                            return self.switch(data_from(offset, bytes, at + used), start, events);
                        }
                        TailStep::Refuted if self.switching => {
                            let start = Start { offset: here, proven: false };
                            return self.switch(data_from(offset, bytes, at), start, events);
                        }
                        TailStep::End(used) => {
                            at += used;
                            self.begin_body(then, stamp, events);
                        }
                        TailStep::Refuted => {
                            self.finish_answer(Ended::Lost { at: CutAt::InHead, stamp }, events);
                            self.lose(direction, here, stamp, LostCause::Gap(cause), events);
                            return Step::More;
                        }
                    }
                }
                Phase::Head | Phase::Preface | Phase::Skip(_) | Phase::Hold { .. } => {
                    let mut found = Found::default();
                    match self.server.head(rest, here, stamp, Wanted::Response, &mut found) {
                        Got::More => return Step::More,
                        Got::Head { used, raw, place } => match survey::response(&raw, true, &mut found) {
                            Some(survey) => {
                                at += used;
                                let (completeness, refused) = (Completeness::Complete, survey.refused);
                                let known = found.known();
                                let seen = Seen { raw: &raw, completeness, place: &place, refused, known };
                                match self.response(&seen, &survey, events) {
                                    After::Body(body) => self.begin_body(body, stamp, events),
                                    After::Switch => {
                                        let start = Start { offset: offset + at as u64, proven: true };
                                        return self.switch(data_from(offset, bytes, at), start, events);
                                    }
                                }
                            }
                            None => {
                                self.server.buffer = collect(&raw, &rest[used..]);
                                return self.server_foreign(stamp, LostCause::MalformedStartLine, events);
                            }
                        },
                        Got::NotHttp => return self.server_foreign(stamp, LostCause::NoStartLine, events),
                        Got::TooLarge => {
                            events.push(fact(HttpFact::HeadTooLarge { direction, stamp }));
                            if self.cut_response(events).is_some() {
                                self.switching = false;
                                self.finish_answer(Ended::Lost { at: CutAt::InHead, stamp }, events);
                            }
                            self.server.phase = Phase::Dead;
                            return Step::More;
                        }
                    }
                }
            }
        }
        Step::More
    }

    fn begin_body(&mut self, body: BodyState, stamp: Stamp, events: &mut Vec<HttpEvent>) {
        if body.is_done() {
            self.finish_answer(Ended::Complete { stamp }, events);
            self.server.phase = Phase::Head;
        } else {
            self.server.phase = Phase::Body(body);
        }
    }

    /// Takes a response head.
    fn response(&mut self, seen: &Seen<'_>, survey: &ResponseSurvey, events: &mut Vec<HttpEvent>) -> After {
        let status = survey.status;
        // RFC 9110 §15.2: any number of informational answers may come before the final one; 101 is final.
        if (100..200).contains(&status) && status != 101 {
            self.interim(Interim { status, stamp: seen.place.last });
            return After::Body(BodyState::Length(0));
        }
        self.counts.responses = self.counts.responses.saturating_add(1);
        if let Some(count) = self.counts.by_class.get_mut(usize::from(status / 100).wrapping_sub(2)) {
            *count = count.saturating_add(1);
        }
        let pending = self.answered(status, events);
        if pending.is_none() {
            self.counts.unasked = self.counts.unasked.saturating_add(1);
        }
        let kind = pending.as_ref().map_or(ExchangeKind::Plain, |pending| pending.kind);
        let head_method = pending.as_ref().is_some_and(|pending| pending.head_method);
        // RFC 9110 §9.3.6: any 2xx to CONNECT makes the connection a tunnel right behind the head.
        let tunnel = kind == ExchangeKind::Connect && (200..300).contains(&status);
        let switch = status == 101 || tunnel;
        let telling = matches!(status, 400 | 408 | 426 | 511) && self.plain_reported < MAX_PLAIN;
        if switch || is_attempt(kind) || telling {
            if !switch && !is_attempt(kind) {
                self.plain_reported += 1;
            }
            let ended = Ended::Switched { stamp: seen.place.last };
            let mut exchange = match pending {
                Some(pending) => self.exchange(pending, ended),
                None => unasked(ended),
            };
            match seen.regular_response() {
                Some(head) => exchange.answer = Answer::Response(head),
                None => exchange.answer = irregular_answer(seen),
            }
            if !switch && self.pending.is_empty() {
                exchange.set_early(self.release(events));
            } else if switch && let Some(held) = &self.held {
                exchange.set_early(held.early());
            }
            self.answer = Some(exchange);
        } else if self.pending.is_empty() {
            self.release(events);
        }
        if switch {
            return After::Switch;
        }
        // RFC 9112 §6.3, items 1 to 8.
        After::Body(match survey.framing {
            _ if head_method || matches!(status, 204 | 304) => BodyState::Length(0),
            Framing::Chunked => BodyState::chunked(),
            Framing::Length(bytes) => BodyState::Length(bytes),
            Framing::Endless => BodyState::UntilEnd,
            Framing::Unsaid if seen.completeness == Completeness::Complete => BodyState::UntilEnd,
            Framing::Unsaid => BodyState::UntilRestart,
        })
    }

    /// Notes an informational answer.
    #[cold]
    #[inline(never)]
    fn interim(&mut self, interim: Interim) {
        if let Some(kept) = self.pending.first_mut().and_then(|pending| pending.kept.as_mut())
            && kept.unusual().interim.len() < MAX_INTERIM
        {
            kept.unusual_mut().interim.push(interim);
        }
    }

    /// The request that an answer with this status belongs to.
    fn answered(&mut self, status: u16, events: &mut Vec<HttpEvent>) -> Option<Pending> {
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
                && let Some(kept) = &missed.kept
            {
                let ended = kept.ended;
                let exchange = self.failed(missed, Answer::NotCaptured, ended);
                self.report(exchange, events);
            }
        }
    }

    /// Takes what was seen of a response head that is cut, if there is a status code.
    #[cold]
    #[inline(never)]
    fn cut_response(&mut self, events: &mut Vec<HttpEvent>) -> Option<After> {
        let mut found = Found::default();
        let survey = survey::response(&self.server.buffer, false, &mut found)?;
        let raw = std::mem::take(&mut self.server.buffer);
        let place = self.server.place();
        self.server.forget();
        let (completeness, refused, known) = (cut(&raw), survey.refused, found.known());
        Some(self.response(&Seen { raw: &raw, completeness, place: &place, refused, known }, &survey, events))
    }

    /// The server's bytes are no response.
    #[cold]
    #[inline(never)]
    fn server_foreign<'a>(&mut self, stamp: Stamp, cause: LostCause, events: &mut Vec<HttpEvent>) -> Step<'a> {
        self.server.buffer.truncate(MAX_FOREIGN);
        if self.pending.first().is_some_and(Pending::is_attempt) {
            self.server.phase = Phase::Foreign;
            if self.server.buffer.len() == MAX_FOREIGN {
                self.report_foreign(Ended::Lost { at: CutAt::InHead, stamp }, events);
            }
            return Step::More;
        }
        let place = self.server.place();
        let bytes = std::mem::take(&mut self.server.buffer);
        self.server.forget();
        if self.counts.responses > 0 || self.unsure {
            self.lose(Direction::ToClient, place.offset, stamp, cause, events);
            return Step::More;
        }
        self.server.phase = Phase::Dead;
        let foreign = Box::new(foreign(&bytes, place));
        self.greeting = Some(foreign.clone());
        events.push(fact(HttpFact::NotHttp { direction: Direction::ToClient, foreign }));
        Step::NotHttp
    }

    /// The collected bytes are the answer to the attempt at the front.
    #[cold]
    #[inline(never)]
    fn report_foreign(&mut self, ended: Ended, events: &mut Vec<HttpEvent>) {
        let place = self.server.place();
        let bytes = std::mem::take(&mut self.server.buffer);
        self.server.forget();
        self.server.phase = Phase::Lost;
        if !self.pending.is_empty() {
            let pending = self.pending.remove(0);
            let mut exchange = self.failed(pending, Answer::Foreign(Box::new(foreign(&bytes, place))), ended);
            exchange.set_early(self.release(events));
            self.unsure = true;
            self.report(exchange, events);
        }
    }

    #[cold]
    #[inline(never)]
    fn server_gap(&mut self, stamp: Stamp, offset: u64, len: u64, cause: GapCause, events: &mut Vec<HttpEvent>) {
        match &mut self.server.phase {
            Phase::Dead | Phase::Lost => {}
            Phase::Foreign => self.report_foreign(Ended::Lost { at: CutAt::InHead, stamp }, events),
            Phase::Tail { scan, .. } => *scan = Tail::new(),
            Phase::Body(state) => {
                if state.skip(len, self.answer.as_mut().map(|exchange| &mut exchange.body)) {
                    if state.is_done() {
                        self.finish_answer(Ended::Complete { stamp }, events);
                        self.server.phase = Phase::Head;
                    }
                } else {
                    self.finish_answer(Ended::Lost { at: CutAt::InBody, stamp }, events);
                    self.lose(Direction::ToClient, offset, stamp, LostCause::Gap(cause), events);
                }
            }
            _ => {
                let start = if self.server.buffer.is_empty() { offset } else { self.server.offset };
                match self.cut_response(events) {
                    Some(after) => {
                        let then = match after {
                            After::Body(body) => body,
                            After::Switch => {
                                self.switching = true;
                                BodyState::Length(0)
                            }
                        };
                        self.unsure = true;
                        self.server.phase = Phase::Tail { scan: Tail::new(), then, cause };
                    }
                    None => self.lose(Direction::ToClient, start, stamp, LostCause::Gap(cause), events),
                }
            }
        }
    }

    fn server_end(&mut self, stamp: Stamp, end: End, events: &mut Vec<HttpEvent>) {
        match self.server.phase {
            // RFC 9112 §8: without a declared length, a body is whole when the connection is closed in order.
            Phase::Body(BodyState::UntilEnd) if end == End::Fin => {
                self.finish_answer(Ended::Complete { stamp }, events);
            }
            Phase::Body(BodyState::UntilRestart) => {
                self.finish_answer(Ended::Lost { at: CutAt::InBody, stamp }, events);
            }
            Phase::Body(_) => self.finish_answer(Ended::Cut { at: CutAt::InBody, by: end, stamp }, events),
            Phase::Tail { .. } => self.finish_answer(Ended::Cut { at: CutAt::InHead, by: end, stamp }, events),
            Phase::Foreign => self.report_foreign(Ended::Cut { at: CutAt::InHead, by: end, stamp }, events),
            Phase::Head if !self.server.buffer.is_empty() => {
                let ended = Ended::Cut { at: CutAt::InHead, by: end, stamp };
                if self.cut_response(events).is_some() {
                    self.finish_answer(ended, events);
                } else if self.pending.first().is_some_and(Pending::is_attempt) {
                    let fragment = Box::new(foreign(&self.server.buffer, self.server.place()));
                    let pending = self.pending.remove(0);
                    let mut exchange = self.failed(pending, Answer::Fragment(fragment), ended);
                    exchange.set_early(self.release(events));
                    self.report(exchange, events);
                }
            }
            _ => {}
        }
        self.finish_pending(stamp, end, events);
        self.server.forget();
        self.server.phase = Phase::Dead;
    }

    /// The server says nothing any more: what waits is not answered.
    fn finish_pending(&mut self, stamp: Stamp, end: End, events: &mut Vec<HttpEvent>) {
        // Held requests queue up as the attempt before them is given up; each round consumes at least one of them.
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
                exchange.set_early(self.release(events));
                self.report(exchange, events);
            }
        }
    }

    // ---- both -------------------------------------------------------------------------------------------

    fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    #[cold]
    #[inline(never)]
    fn lose(&mut self, direction: Direction, offset: u64, stamp: Stamp, cause: LostCause, events: &mut Vec<HttpEvent>) {
        self.unsure = true;
        let half = self.half(direction);
        half.phase = Phase::Lost;
        half.forget();
        events.push(fact(HttpFact::Lost { direction, offset, stamp, cause }));
    }

    #[cold]
    #[inline(never)]
    fn restart(&mut self, direction: Direction, offset: u64, stamp: Stamp, events: &mut Vec<HttpEvent>) {
        self.unsure = true;
        self.answers_missed |= direction == Direction::ToClient;
        let half = self.half(direction);
        half.phase = Phase::Head;
        half.forget();
        events.push(fact(HttpFact::Restarted { direction, offset, stamp }));
    }

    /// An exchange of this request; what is not known yet is filled in later.
    fn exchange(&self, pending: Pending, ended: Ended) -> Box<Exchange> {
        let certain = pending.certain && !self.unsure;
        let mut exchange = match pending.kept {
            Some(kept) => kept,
            None => self.plain_exchange(&pending, ended),
        };
        exchange.pairing = if certain { Pairing::Certain } else { Pairing::Inferred };
        exchange.ended = ended;
        exchange
    }

    /// The exchange of a request that got no head for an answer.
    #[cold]
    #[inline(never)]
    fn failed(&self, pending: Pending, answer: Answer, ended: Ended) -> Box<Exchange> {
        let mut exchange = self.exchange(pending, ended);
        exchange.answer = answer;
        exchange
    }

    /// The same of an ordinary request.
    #[cold]
    #[inline(never)]
    fn plain_exchange(&self, pending: &Pending, ended: Ended) -> Box<Exchange> {
        let request = pending.has_plain_head.then(|| {
            let raw = &self.plain_head;
            let whole = raw.len() < MAX_PLAIN_HEAD;
            let completeness = if whole { Completeness::Complete } else { cut(raw) };
            RequestHead::new(Head::store(raw, completeness, &self.plain_place, false, Known::Nothing))
        });
        Box::new(begun(pending.kind, request, ended))
    }

    fn finish_answer(&mut self, ended: Ended, events: &mut Vec<HttpEvent>) {
        if let Some(mut exchange) = self.answer.take() {
            exchange.ended = ended;
            self.report(exchange, events);
        }
    }

    fn report(&self, mut exchange: Box<Exchange>, events: &mut Vec<HttpEvent>) {
        if self.client.ended.is_some() {
            exchange.unusual_mut().client_end = self.client.ended;
        }
        if exchange.handshake.is_none() && (exchange.kind == ExchangeKind::WebSocket || exchange.status() == Some(101))
        {
            exchange.handshake = Some(examine(&exchange));
        }
        events.push(HttpEvent::Exchange(exchange));
    }

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
        let early = EarlyData { held: self.held.take() };
        let proven = match self.client.phase {
            Phase::Hold { proven } => proven,
            Phase::Head => self.client.buffer.is_empty(),
            _ => false,
        };
        let offset = early.first_offset().unwrap_or(self.client.next);
        self.client.phase = Phase::Dead;
        self.server.phase = Phase::Dead;
        self.pending.clear();
        Switch { to, next, early, starts: [Start { offset, proven }, server] }
    }
}

/// An exchange without an answer yet.
fn begun(kind: ExchangeKind, request: Option<RequestHead>, ended: Ended) -> Exchange {
    Exchange {
        kind,
        request,
        pairing: Pairing::Certain,
        answer: Answer::Nothing,
        body: Body::default(),
        ended,
        unusual: None,
        handshake: None,
    }
}

/// The exchange that a request head begins.
fn begin(seen: &Seen<'_>, kind: ExchangeKind) -> Box<Exchange> {
    let ended = Ended::Lost { at: CutAt::BeforeAnswer, stamp: seen.place.last };
    match seen.regular_request() {
        Some(request) => Box::new(begun(kind, Some(request), ended)),
        None => begin_irregular(seen, kind, ended),
    }
}

#[cold]
#[inline(never)]
fn begin_irregular(seen: &Seen<'_>, kind: ExchangeKind, ended: Ended) -> Box<Exchange> {
    Box::new(begun(kind, Some(seen.request()), ended))
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
    SwitchTo::WebSocket {
        compression: checks.map_or(Compression::Unknown, |checks| checks.compression),
        subprotocol: checks.and_then(|checks| checks.subprotocol.value()).map(Into::into),
    }
}

/// What a 101 that does not name WebSocket, or may not, made of the connection.
#[cold]
#[inline(never)]
fn other_destination(exchange: &Exchange, head: &Head, checks: Option<&ResponseChecks>) -> SwitchTo {
    let named = || head.elements(Name::UPGRADE).next();
    let names_websocket =
        checks.is_none() && head.elements(Name::UPGRADE).any(|token| is_word(token.as_bytes(), "websocket"));
    let implied = || exchange.kind == ExchangeKind::WebSocket || head.has(Name::SEC_WEBSOCKET_ACCEPT);
    if names_websocket || (named().is_none() && implied()) {
        return to_websocket(checks);
    }
    // RFC 9110 §15.2.2: a 101 must name the protocol; where it does not, the request's only wish is it.
    let wished = || {
        let request = exchange.request.as_ref().filter(|_| exchange.kind == ExchangeKind::Upgrade)?;
        request.head.elements(Name::UPGRADE).next()
    };
    match named().or_else(wished) {
        Some(protocol) => SwitchTo::Other(protocol.into()),
        None => SwitchTo::Unknown,
    }
}

/// An answer to nothing that was seen.
#[cold]
#[inline(never)]
fn unasked(ended: Ended) -> Box<Exchange> {
    Box::new(begun(ExchangeKind::Plain, None, ended))
}

/// An answer that is to be read leniently.
#[cold]
#[inline(never)]
fn irregular_answer(seen: &Seen<'_>) -> Answer {
    match seen.response() {
        Some(head) => Answer::Response(head),
        None => Answer::Fragment(Box::new(foreign(seen.raw, *seen.place))),
    }
}

fn fact(fact: HttpFact) -> HttpEvent {
    HttpEvent::Fact(fact)
}

/// How a cut head is cut.
fn cut(raw: &[u8]) -> Completeness {
    if memchr::memchr(b'\n', raw).is_some() { Completeness::CutInFields } else { Completeness::CutInStartLine }
}

fn foreign(bytes: &[u8], place: Place) -> Foreign {
    Foreign { bytes: bytes[..bytes.len().min(MAX_FOREIGN)].into(), stamp: place.first, offset: place.offset }
}

/// The first bytes of two neighbouring slices.
fn collect(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut bytes = first[..first.len().min(MAX_FOREIGN)].to_vec();
    let room = MAX_FOREIGN - bytes.len();
    bytes.extend_from_slice(&second[..second.len().min(room)]);
    bytes
}

/// The data event that begins at byte `at` of `bytes`, if there is any.
fn data_from(offset: u64, bytes: &[u8], at: usize) -> Option<StreamEvent<'_>> {
    (at < bytes.len()).then(|| StreamEvent::Data { offset: offset + at as u64, bytes: &bytes[at..] })
}
