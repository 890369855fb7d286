//! The client's direction: requests, their bodies, and what is sent before an upgrade is answered.

use super::super::body::{BodyState, Progress};
use super::super::event::{Ended, Exchange, ExchangeKind, HttpEvent, HttpFact, LostCause};
use super::super::framing::{BodyFraming, HeadParser, RawHead, RequestSummary};
use super::super::head_reader::{HeadRead, HeadTail, Phase, TailStep};
use super::super::proxy::{self, ProxyHeader};
use super::super::sniff;
use super::super::syntax::{Completeness, StartLineKind};
use super::super::{MAX_PENDING, event::CutAt};
use super::{Http, MAX_PLAIN_HEAD, Pending, first_bytes, foreign};
use crate::stream::{Direction, End, GapCause, Stamp};

/// Most bytes kept of a request head when its purpose is unknown, or when [`MAX_WHOLE_HEADS`] others wait already.
const MAX_LESSER_HEAD: usize = 2048;
/// How many waiting requests keep their heads whole.
const MAX_WHOLE_HEADS: usize = 4;

impl Http {
    /// Reads bytes of the client. Returns whether its first bytes turned out to be no HTTP.
    pub(super) fn client_data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8], events: &mut Vec<HttpEvent>) -> bool {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let here = offset + at as u64;
            match self.client.phase {
                Phase::Done | Phase::Foreign => return false,
                Phase::Preface if self.client.buffer.is_empty() && proxy::begins(rest) == Some(false) => {
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
                Phase::Early { .. } => {
                    let starts_request = at == 0 && sniff::is_request_line(rest);
                    self.early_data(stamp, here, rest, events);
                    if starts_request && self.answer_lost() {
                        // A client that goes on with HTTP has read its answer, which was not captured.
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
                Phase::Tail { mut tail, then, cause } => {
                    if at == 0 && sniff::is_request_line(rest) {
                        self.restart(Direction::ToServer, here, stamp, events);
                        continue;
                    }
                    match tail.feed(rest, 1) {
                        TailStep::More => {
                            self.client.phase = Phase::Tail { tail, then, cause };
                            return false;
                        }
                        TailStep::End(used) => {
                            at += used;
                            self.client.phase = if then.is_done() { self.behind_request() } else { Phase::Body(then) };
                        }
                        TailStep::Refuted if self.early_behind_body => {
                            self.client.phase = Phase::Early { proven: false };
                        }
                        TailStep::Refuted => {
                            self.lose(Direction::ToServer, here, stamp, LostCause::Gap(cause), events);
                            return false;
                        }
                    }
                }
                Phase::Head => match self.client.read_head(rest, here, stamp, StartLineKind::Request) {
                    HeadRead::More => return false,
                    HeadRead::Head { used, raw, place } => {
                        let mut parser = HeadParser::default();
                        let Some(summary) = parser.request(&raw, Completeness::Complete) else {
                            self.client.buffer = first_bytes(&raw, &rest[used..]);
                            return self.client_foreign(stamp, LostCause::MalformedStartLine, events);
                        };
                        at += used;
                        self.request(&parser.head(&raw, Completeness::Complete, &place), &summary, events);
                    }
                    HeadRead::NotHttp => return self.client_foreign(stamp, LostCause::NoStartLine, events),
                    HeadRead::TooLarge => {
                        self.cut_request(events);
                        self.client.phase = Phase::Done;
                        let direction = Direction::ToServer;
                        events.push(HttpEvent::Fact(HttpFact::HeadTooLarge { direction, stamp }));
                        return false;
                    }
                },
            }
        }
        false
    }

    /// Looks for a PROXY header at the very front. Returns the number of bytes taken, and whether the client speaks no
    /// HTTP.
    #[cold]
    #[inline(never)]
    fn preface(&mut self, stamp: Stamp, offset: u64, bytes: &[u8], events: &mut Vec<HttpEvent>) -> (usize, bool) {
        let before = self.client.buffer.len();
        let parsed = if before == 0 {
            self.client.offset = offset;
            self.client.first = stamp;
            ProxyHeader::parse(bytes)
        } else {
            let wanted = proxy::MAX_NEEDED.saturating_sub(before);
            self.client.buffer.extend_from_slice(&bytes[..bytes.len().min(wanted)]);
            ProxyHeader::parse(&self.client.buffer)
        };
        match parsed {
            ProxyHeader::Incomplete => {
                if before == 0 {
                    self.client.buffer.extend_from_slice(bytes);
                }
                (bytes.len(), false)
            }
            ProxyHeader::Found { len } => {
                self.client.forget();
                let here = bytes.len().min((len as usize).saturating_sub(before));
                let left = len - (before + here) as u32;
                self.client.phase = if left == 0 { Phase::Head } else { Phase::Skip(left) };
                (here, false)
            }
            ProxyHeader::Absent => {
                self.client.phase = Phase::Head;
                if before > 0 {
                    // What was buffered is read in front of what is at hand. It is shorter than any head.
                    let mut buffered = std::mem::take(&mut self.client.buffer);
                    buffered.truncate(before);
                    let (first, offset) = (self.client.first, self.client.offset);
                    return (0, self.client_data(first, offset, &buffered, events));
                }
                (0, false)
            }
        }
    }

    /// Takes a request head.
    fn request(&mut self, head: &RawHead<'_>, summary: &RequestSummary, events: &mut Vec<HttpEvent>) {
        let RawHead { raw, place, .. } = *head;
        self.counts.requests = self.counts.requests.saturating_add(1);
        let kind = summary.kind;
        let exchange = match kind {
            ExchangeKind::Plain => None,
            _ if raw.len() > MAX_LESSER_HEAD => Some(self.begin_large(head, kind)),
            _ => Some(begin(head, kind)),
        };
        // A cut GET may have been an upgrade: what follows it is kept like what follows one.
        let early_follows = kind.is_attempt() || (kind == ExchangeKind::Unknown && summary.is_get);
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
                is_head: summary.is_head,
                has_plain_head,
                certain: !self.unsure,
                server_next: self.server.next,
                exchange,
            });
            if kind.is_attempt() {
                events.push(HttpEvent::Attempt { kind, stamp: place.last });
            }
        } else {
            self.unsure = true;
            if !self.pending_overflowed {
                self.pending_overflowed = true;
                events.push(HttpEvent::Fact(HttpFact::TooManyPending { stamp: place.first }));
            }
        }
        self.early_behind_body = early_follows && queued;
        let body = match summary.framing {
            // RFC 9110 §9.3.6: a CONNECT request has no content.
            _ if kind == ExchangeKind::Connect => BodyState::Length(0),
            BodyFraming::Unsaid if summary.is_hixie76 => BodyState::Length(8),
            BodyFraming::Unsaid => BodyState::Length(0),
            BodyFraming::Length(bytes) => BodyState::Length(bytes),
            BodyFraming::Chunked => BodyState::chunked(),
            BodyFraming::Endless => {
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
    fn begin_large(&self, head: &RawHead<'_>, kind: ExchangeKind) -> Box<Exchange> {
        let others = self.pending.iter().filter(|pending| pending.exchange.is_some()).count();
        if kind != ExchangeKind::Unknown && others < MAX_WHOLE_HEADS {
            return begin(head, kind);
        }
        begin(&head.cut(MAX_LESSER_HEAD), kind)
    }

    /// What follows a request and its body.
    fn behind_request(&self) -> Phase {
        if self.early_behind_body { Phase::Early { proven: true } } else { Phase::Head }
    }

    /// Takes what was captured of a request head that is cut. Returns the body that follows it; `None` when it is no
    /// request at all.
    #[cold]
    #[inline(never)]
    fn cut_request(&mut self, events: &mut Vec<HttpEvent>) -> Option<BodyState> {
        let raw = std::mem::take(&mut self.client.buffer);
        let mut parser = HeadParser::default();
        let completeness = Completeness::of_cut(&raw);
        let summary = parser.request(&raw, completeness)?;
        let place = self.client.place();
        self.client.forget();
        self.request(&parser.head(&raw, completeness, &place), &summary, events);
        match self.client.phase {
            Phase::Body(body) => Some(body),
            _ => Some(BodyState::Length(0)),
        }
    }

    /// The client's bytes are no request. Returns whether they are the first it sent.
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
        self.client.phase = Phase::Done;
        let foreign = foreign(&bytes, place);
        events.push(HttpEvent::Fact(HttpFact::NotHttp { direction: Direction::ToServer, foreign }));
        true
    }

    #[cold]
    #[inline(never)]
    pub(super) fn client_gap(
        &mut self,
        stamp: Stamp,
        offset: u64,
        len: u64,
        cause: GapCause,
        events: &mut Vec<HttpEvent>,
    ) {
        match &mut self.client.phase {
            Phase::Done | Phase::Lost | Phase::Foreign => {}
            Phase::Early { .. } => self.early.get_or_insert_default().push_gap(stamp, offset, len, cause),
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
            Phase::Tail { tail, .. } => *tail = HeadTail::new(),
            Phase::Head if !self.client.buffer.is_empty() => {
                self.unsure = true;
                let start = self.client.offset;
                match self.cut_request(events) {
                    // Lost already, by its framing.
                    Some(_) if self.client.phase == Phase::Lost => {}
                    Some(then) => self.client.phase = Phase::Tail { tail: HeadTail::new(), then, cause },
                    None => self.lose(Direction::ToServer, start, stamp, LostCause::Gap(cause), events),
                }
            }
            _ => self.lose(Direction::ToServer, offset, stamp, LostCause::Gap(cause), events),
        }
    }

    pub(super) fn client_end(&mut self, stamp: Stamp, end: End, events: &mut Vec<HttpEvent>) {
        match self.client.phase {
            Phase::Early { .. } => self.early.get_or_insert_default().push_end(stamp, self.client.next, end),
            Phase::Head if !self.client.buffer.is_empty() => {
                self.cut_request(events);
                self.client.phase = Phase::Done;
            }
            _ => {}
        }
    }

    /// Keeps bytes that may be no HTTP until the answer tells.
    #[cold]
    #[inline(never)]
    fn early_data(&mut self, stamp: Stamp, offset: u64, bytes: &[u8], events: &mut Vec<HttpEvent>) {
        if self.early.get_or_insert_default().push_data(stamp, offset, bytes) {
            events.push(HttpEvent::Fact(HttpFact::EarlyDataTooLarge { stamp }));
        }
    }
}

/// The exchange that a request head begins.
fn begin(head: &RawHead<'_>, kind: ExchangeKind) -> Box<Exchange> {
    let ended = Ended::Lost { at: CutAt::BeforeAnswer, stamp: head.place.last };
    Box::new(Exchange::new(kind, Some(head.request()), ended))
}
