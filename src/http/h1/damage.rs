//! What holes and bytes that are no message do to the messages around them.

use std::ops::Range;

use super::half::State;
use super::head;
use super::pairing::{Choice, Method, Pending};
use super::{Connection, HeadPlace, Out};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Span, Stamp};
use crate::http::{Abort, HttpEvent, HttpEventKind, RequestHead, ResponseHead, detect};
use crate::tcp::{Chunk, Side, StreamEvent};

impl Connection {
    /// Looks whether the next head stands where content could be: behind a response to a request that nobody saw (it may
    /// have been HEAD), or behind a request that was refused before its content was sent.
    pub(super) fn lacks_content(&mut self, side: Side, chunk: Chunk<'_>, out: Out<'_>) -> bool {
        let half = self.half(side);
        half.may_lack_content = false;
        let next = match side {
            Side::Client => detect::Start::Request,
            Side::Server => detect::Start::Response,
        };
        let lacks = half.is_in_content() && detect::start(chunk.data, false) == next;
        if lacks {
            half.fault(AnomalyKind::BodyCutShort, chunk.span.first, out);
            half.abort(Abort::Closed, chunk.span.first, out);
            half.in_step = true;
        }
        lacks
    }

    /// Whether content in chunks, if bytes of it are missing, goes on with this segment. It does not when its sender has received more
    /// requests meanwhile: then it may belong to the response to one of those.
    pub(super) fn goes_on_behind_hole(&mut self, side: Side, chunk: &Chunk<'_>, out: Out<'_>) -> bool {
        let is_alone = side == Side::Server && self.waiting.len() == 0;
        let half = self.half(side);
        let State::Chunked(chunked) = &mut half.state else { return true };
        let is_same = chunk.position.acked == chunked.acked;
        if chunked.is_lost() && !(is_alone && is_same && chunked.resume(chunk.data)) {
            half.abort(Abort::Lost, chunk.span.first, out);
            let at = chunk.position.sent;
            self.lose_step(side, at..at, chunk.span.first, out);
            return false;
        }
        chunked.acked = chunk.position.acked;
        true
    }

    /// Bytes that are no message where one should begin: noted on the exchange that they may be part of, else on the connection.
    pub(super) fn skip_garbage(&mut self, side: Side, chunk: Chunk<'_>, out: Out<'_>) {
        self.half(side).in_step = false;
        let (kind, stamp) = (AnomalyKind::GarbageSkipped, chunk.span.first);
        match (side, self.waiting.concerned(chunk.position)) {
            (Side::Server, Some(Pending { stream, .. })) => {
                out(HttpEvent { stream, kind: HttpEventKind::Anomaly(kind, stamp) });
            }
            _ => self.note(kind, stamp),
        }
        self.lose(side, chunk.position.sent..chunk.position.after(chunk.data.len()).sent);
    }

    /// There may have been messages among these bytes that were not read.
    pub(super) fn lose(&mut self, side: Side, bytes: Range<u64>) {
        match side {
            Side::Client => self.waiting.lose_requests(),
            Side::Server => self.waiting.lose_responses(bytes),
        }
    }

    pub(super) fn gap(&mut self, side: Side, len: u64, stamp: Stamp, out: Out<'_>) {
        let half = self.half(side);
        let start = half.sent;
        let lost = start..start.saturating_add(len);
        let mut behind = None;
        match &mut half.state {
            State::Length(left) if len > 0 => {
                let inside = len.min(*left);
                *left -= inside;
                let is_last = *left == 0;
                half.lost(inside, stamp, out);
                half.sent = start.saturating_add(inside);
                if is_last {
                    half.last = Span { first: stamp, last: stamp, selected: false };
                    self.end(side, out);
                    behind = Some(len - inside).filter(|&more| more > 0);
                }
            }
            State::Chunked(chunked) if len > 0 && chunked.left().is_some_and(|left| len <= left) => {
                chunked.skip(len);
                half.lost(len, stamp, out);
            }
            State::Chunked(chunked) if side == Side::Server => {
                chunked.lose();
                half.lost(0, stamp, out);
                self.lose(side, lost.clone());
            }
            State::Length(_) | State::Chunked(_) => {
                half.lost(0, stamp, out);
                half.abort(Abort::Lost, stamp, out);
                behind = Some(0);
            }
            State::UntilClose | State::Raw => half.lost(len, stamp, out),
            State::Undecided => self.keep_undecided(StreamEvent::Gap { len, stamp }, out),
            State::Unanswered => {
                let is_held = self.hold(StreamEvent::Gap { len, stamp });
                if !is_held {
                    self.withdraw_offer(out);
                    self.gap(side, len, stamp, out);
                }
            }
            State::Head => behind = Some(len),
            State::Over => {}
        }
        if behind.is_some() {
            self.lose_step(side, lost, stamp, out);
        }
        if side == Side::Server && self.waiting.has_lost_responses() {
            self.waiting.note_hole();
        }
        self.half(side).sent = start.saturating_add(len);
        self.half(side).is_behind_gap = true;
    }

    /// Bytes are missing where heads are: the next start line must be searched for.
    pub(super) fn lose_step(&mut self, side: Side, bytes: Range<u64>, stamp: Stamp, out: Out<'_>) {
        if matches!(self.half(side).state, State::Head) && self.half(side).reader.is_holding() {
            self.cut_head(side, Abort::Lost, stamp, out);
        }
        self.half(side).in_step = false;
        self.lose(side, bytes);
    }

    /// A head will not become whole: what came of it is handed on when the start line did.
    pub(super) fn cut_head(&mut self, side: Side, reason: Abort, stamp: Stamp, out: Out<'_>) {
        let fault = match reason {
            Abort::Malformed => AnomalyKind::HeadTooLarge,
            Abort::Lost => AnomalyKind::BytesLost,
            _ => AnomalyKind::HeadCut,
        };
        let (progress, segment) = (self.requests.progress(), self.responses.segment);
        let half = match side {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        };
        let size = half.reader.held();
        let position = half.reader.position();
        if let Some((lines, span)) = half.reader.partial() {
            match side {
                // A URL that goes on in a hole is not known.
                Side::Client if reason == Abort::Lost && !detect::has_whole_target(lines) => self.note(fault, stamp),
                Side::Client => {
                    let parsed = head::request(lines, span, &self.limits);
                    // Nor is one whose host stands in there, on a connection that has named none.
                    let is_known = reason != Abort::Lost || self.next > 0;
                    if let Some((head, faults)) = parsed.filter(|(head, _)| is_known || names_host(head)) {
                        let method = Method::of(&head.method);
                        let place = HeadPlace { position, end: None, last: span };
                        if self.is_settled_by(position) {
                            self.settle(out);
                        }
                        self.open(RequestHead { size, ..head }, method, faults, place, out);
                        self.requests.fault(fault, stamp, out);
                        self.requests.abort(reason, stamp, out);
                    }
                }
                Side::Server => {
                    // A cut response that may belong to several requests is shown on none of them.
                    if self.waiting.choose(position, segment, progress) != Choice::Undecided
                        && let Some((head, faults)) = head::response(lines, span, &self.limits)
                    {
                        let place = HeadPlace { position, end: None, last: span };
                        let is_final = head.status >= 200 || head.status == 101;
                        let request = self.answer(ResponseHead { size, ..head }, faults, place, is_final, out);
                        if is_final {
                            self.responses.fault(fault, stamp, out);
                            self.responses.abort(reason, stamp, out);
                        }
                        if self.offer.as_ref().map(|offer| offer.stream) == request.map(|request| request.stream)
                            && is_final
                        {
                            self.withdraw_offer(out);
                        }
                        self.responses.stream = None;
                    }
                }
            }
        } else {
            self.note(fault, stamp);
        }
        let half = self.half(side);
        half.reader.clear();
        half.in_step = false;
    }
}

/// True when a request head says which host it is for.
fn names_host(head: &RequestHead) -> bool {
    head.headers.first("host").is_some() || !head.target.starts_with(b"/")
}
