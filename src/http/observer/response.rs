//! The server's direction: informational and final answers, their bodies, and the answer that ends HTTP.

use super::super::body::{BodyState, Progress};
use super::super::event::{Answer, CutAt, Ended, Exchange, ExchangeKind, HttpEvent, HttpFact, Interim, LostCause};
use super::super::framing::{BodyFraming, HeadParser, RawHead, ResponseSummary};
use super::super::head_reader::{HeadRead, HeadTail, Phase, TailStep};
use super::super::sniff;
use super::super::switch::{Start, Step};
use super::super::syntax::{Completeness, StartLineKind};
use super::super::{MAX_FOREIGN, MAX_INTERIM, MAX_PLAIN};
use super::{Http, Pending, first_bytes, foreign};
use crate::stream::{Direction, End, GapCause, Stamp, StreamEvent};

/// What follows a response head.
enum After {
    Body(BodyState),
    Switch,
}

impl Http {
    /// Reads bytes of the server.
    pub(super) fn server_data<'a>(
        &mut self,
        stamp: Stamp,
        offset: u64,
        bytes: &'a [u8],
        events: &mut Vec<HttpEvent>,
    ) -> Step<'a> {
        let direction = Direction::ToClient;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let here = offset + at as u64;
            match self.server.phase {
                Phase::Done => return Step::More,
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
                Phase::Tail { mut tail, then, cause } => {
                    if at == 0 && sniff::is_status_line(rest) {
                        if self.switching {
                            // An HTTP answer on a switched connection belongs to the next layer.
                            let start = Start { offset: here, proven: false };
                            return self.switch(Some(StreamEvent::Data { offset: here, bytes: rest }), start, events);
                        }
                        self.finish_answer(Ended::Lost { at: CutAt::InHead, stamp }, events);
                        self.restart(direction, here, stamp, events);
                        continue;
                    }
                    // Behind a 101 there is no text but the head's, so the rest of one field line is proof enough.
                    match tail.feed(rest, u16::from(!self.switching)) {
                        TailStep::More => {
                            self.server.phase = Phase::Tail { tail, then, cause };
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
                // The server's direction is never in the last three.
                Phase::Head | Phase::Preface | Phase::Skip(_) | Phase::Early { .. } => {
                    match self.server.read_head(rest, here, stamp, StartLineKind::Response) {
                        HeadRead::More => return Step::More,
                        HeadRead::Head { used, raw, place } => {
                            let mut parser = HeadParser::default();
                            let Some(summary) = parser.response(&raw, Completeness::Complete) else {
                                self.server.buffer = first_bytes(&raw, &rest[used..]);
                                return self.server_foreign(stamp, LostCause::MalformedStartLine, events);
                            };
                            at += used;
                            let head = parser.head(&raw, Completeness::Complete, &place);
                            match self.response(&head, &summary, events) {
                                After::Body(body) => self.begin_body(body, stamp, events),
                                After::Switch => {
                                    let start = Start { offset: offset + at as u64, proven: true };
                                    return self.switch(data_from(offset, bytes, at), start, events);
                                }
                            }
                        }
                        HeadRead::NotHttp => return self.server_foreign(stamp, LostCause::NoStartLine, events),
                        HeadRead::TooLarge => {
                            events.push(HttpEvent::Fact(HttpFact::HeadTooLarge { direction, stamp }));
                            if self.cut_response(events).is_some() {
                                self.switching = false;
                                self.finish_answer(Ended::Lost { at: CutAt::InHead, stamp }, events);
                            }
                            self.server.phase = Phase::Done;
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
    fn response(&mut self, head: &RawHead<'_>, summary: &ResponseSummary, events: &mut Vec<HttpEvent>) -> After {
        let status = summary.status;
        // RFC 9110 §15.2: any number of informational answers may come before the final one; 101 is final.
        if (100..200).contains(&status) && status != 101 {
            self.interim(Interim { status, stamp: head.place.last });
            return After::Body(BodyState::Length(0));
        }
        self.counts.responses = self.counts.responses.saturating_add(1);
        if let Some(count) = self.counts.by_class.get_mut(usize::from(status / 100).wrapping_sub(2)) {
            *count = count.saturating_add(1);
        }
        let pending = self.take_answered(status, events);
        if pending.is_none() {
            self.counts.unasked = self.counts.unasked.saturating_add(1);
        }
        let kind = pending.as_ref().map_or(ExchangeKind::Plain, |pending| pending.kind);
        let answers_head = pending.as_ref().is_some_and(|pending| pending.is_head);
        // RFC 9110 §9.3.6: any 2xx to CONNECT makes the connection a tunnel right behind the head.
        let tunnel = kind == ExchangeKind::Connect && (200..300).contains(&status);
        let switch = status == 101 || tunnel;
        let telling = matches!(status, 400 | 408 | 426 | 511) && self.plain_reported < MAX_PLAIN;
        if switch || kind.is_attempt() || telling {
            if !switch && !kind.is_attempt() {
                self.plain_reported += 1;
            }
            let ended = Ended::Switched { stamp: head.place.last };
            let mut exchange = match pending {
                Some(pending) => self.exchange(pending, ended),
                None => unasked(ended),
            };
            exchange.answer = match head.response() {
                Some(response) => Answer::Response(response),
                None => Answer::Fragment(foreign(head.raw, *head.place)),
            };
            if !switch && self.pending.is_empty() {
                exchange.early = self.resume_client(events);
            } else if switch && let Some(early) = &self.early {
                exchange.early = early.summary();
            }
            self.answer = Some(exchange);
        } else if self.pending.is_empty() {
            self.resume_client(events);
        }
        if switch {
            return After::Switch;
        }
        // RFC 9112 §6.3, items 1 to 8.
        After::Body(match summary.framing {
            _ if answers_head || matches!(status, 204 | 304) => BodyState::Length(0),
            BodyFraming::Chunked => BodyState::chunked(),
            BodyFraming::Length(bytes) => BodyState::Length(bytes),
            BodyFraming::Endless => BodyState::UntilEnd,
            BodyFraming::Unsaid if head.completeness == Completeness::Complete => BodyState::UntilEnd,
            BodyFraming::Unsaid => BodyState::UntilRestart,
        })
    }

    /// Notes an informational answer.
    #[cold]
    #[inline(never)]
    fn interim(&mut self, interim: Interim) {
        if let Some(exchange) = self.pending.first_mut().and_then(|pending| pending.exchange.as_mut())
            && exchange.interim.len() < MAX_INTERIM
        {
            exchange.interim.push(interim);
        }
    }

    /// Takes what was captured of a response head that is cut, if there is a status code.
    #[cold]
    #[inline(never)]
    fn cut_response(&mut self, events: &mut Vec<HttpEvent>) -> Option<After> {
        let mut parser = HeadParser::default();
        let completeness = Completeness::of_cut(&self.server.buffer);
        let summary = parser.response(&self.server.buffer, completeness)?;
        let raw = std::mem::take(&mut self.server.buffer);
        let place = self.server.place();
        self.server.forget();
        Some(self.response(&parser.head(&raw, completeness, &place), &summary, events))
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
        self.server.phase = Phase::Done;
        let foreign = foreign(&bytes, place);
        self.greeting = Some(foreign.clone());
        events.push(HttpEvent::Fact(HttpFact::NotHttp { direction: Direction::ToClient, foreign }));
        Step::NotHttp
    }

    /// Reports the collected bytes as the answer to the attempt at the front.
    #[cold]
    #[inline(never)]
    fn report_foreign(&mut self, ended: Ended, events: &mut Vec<HttpEvent>) {
        let place = self.server.place();
        let bytes = std::mem::take(&mut self.server.buffer);
        self.server.forget();
        self.server.phase = Phase::Lost;
        if !self.pending.is_empty() {
            let pending = self.pending.remove(0);
            let mut exchange = self.failed(pending, Answer::Foreign(foreign(&bytes, place)), ended);
            exchange.early = self.resume_client(events);
            self.unsure = true;
            self.report(exchange, events);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn server_gap(
        &mut self,
        stamp: Stamp,
        offset: u64,
        len: u64,
        cause: GapCause,
        events: &mut Vec<HttpEvent>,
    ) {
        match &mut self.server.phase {
            Phase::Done | Phase::Lost => {}
            Phase::Foreign => self.report_foreign(Ended::Lost { at: CutAt::InHead, stamp }, events),
            Phase::Tail { tail, .. } => *tail = HeadTail::new(),
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
                        self.server.phase = Phase::Tail { tail: HeadTail::new(), then, cause };
                    }
                    None => self.lose(Direction::ToClient, start, stamp, LostCause::Gap(cause), events),
                }
            }
        }
    }

    pub(super) fn server_end(&mut self, stamp: Stamp, end: End, events: &mut Vec<HttpEvent>) {
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
                    let fragment = foreign(&self.server.buffer, self.server.place());
                    let pending = self.pending.remove(0);
                    let mut exchange = self.failed(pending, Answer::Fragment(fragment), ended);
                    exchange.early = self.resume_client(events);
                    self.report(exchange, events);
                }
            }
            _ => {}
        }
        self.finish_pending(stamp, end, events);
        self.server.forget();
        self.server.phase = Phase::Done;
    }
}

/// An answer to nothing that was seen.
#[cold]
#[inline(never)]
fn unasked(ended: Ended) -> Box<Exchange> {
    Box::new(Exchange::new(ExchangeKind::Plain, None, ended))
}

/// The data event that begins at byte `at` of `bytes`, if there is any.
fn data_from(offset: u64, bytes: &[u8], at: usize) -> Option<StreamEvent<'_>> {
    (at < bytes.len()).then(|| StreamEvent::Data { offset: offset + at as u64, bytes: &bytes[at..] })
}
