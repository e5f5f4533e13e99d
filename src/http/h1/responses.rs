//! Responses: whose they are, and what their heads say about what follows.

use super::half::State;
use super::head::{self, Faults, Framing};
use super::pairing::{Choice, Method, Pending};
use super::{Connection, HeadPlace, Out};
use crate::base::anomaly::AnomalyKind;
use crate::http::held::Held;
use crate::http::{Headers, HttpEventKind, ResponseHead, Upgrade, Version, detect};
use crate::tcp::{Chunk, Position, Side, StreamEvent};

impl Connection {
    /// A response head was read.
    pub(super) fn response(&mut self, head: ResponseHead, mut faults: Faults, place: HeadPlace, out: Out<'_>) {
        let framing = head::framing(&head.headers, &mut faults);
        let (first, status) = (head.span.first, head.status);
        let upgrade = if head.headers.has_token("upgrade", "websocket") { Upgrade::WebSocket } else { Upgrade::Other };
        let is_http2 = head.headers.has_token("upgrade", "h2c");
        let is_final = status >= 200 || status == 101;
        let request = self.answer(head, faults, place, is_final, out);
        if !is_final {
            self.responses.stream = None;
            self.responses.state = State::Head;
            return;
        }
        let method = request.map_or(Method::Other, |request| request.method);
        self.responses.has_conflict = faults.length;
        self.responses.stated = framing.length;
        self.responses.may_lack_content = request.is_none();
        if let Some(request) = request {
            if self.requests.stream == Some(request.stream) && self.requests.is_in_content() {
                self.responses.fault(AnomalyKind::ResponseEarly, first, out);
                self.requests.may_lack_content = self.requests.expects_continue;
            }
            let is_offered = self.offer.as_ref().is_some_and(|offer| offer.stream == request.stream);
            let is_tunnel = method == Method::Connect && (200..300).contains(&status);
            if is_offered && status == 101 && is_http2 {
                return self.upgrade_to_http2(out);
            }
            if is_offered && (status == 101 || is_tunnel) {
                return self.upgrade(if is_tunnel { Upgrade::Tunnel } else { upgrade }, out);
            }
            if is_offered {
                self.withdraw_offer(out);
            }
        }
        self.responses.state = match framing {
            _ if method == Method::Head || matches!(status, 204 | 304) => State::Head,
            // Nobody asked for another protocol: whatever it is, it is shown as content.
            _ if status == 101 => State::UntilClose,
            Framing { chunked: true, .. } => self.chunked(),
            Framing { coded: true, .. } | Framing { length: None, .. } => State::UntilClose,
            Framing { length: Some(0), .. } => State::Head,
            Framing { length: Some(length), .. } => State::Length(length),
        };
        if matches!(self.responses.state, State::Head) {
            self.end(Side::Server, out);
        }
    }

    /// Finds the request of a response and hands the head on.
    pub(super) fn answer(
        &mut self,
        head: ResponseHead,
        faults: Faults,
        place: HeadPlace,
        is_final: bool,
        out: Out<'_>,
    ) -> Option<Pending> {
        let HeadPlace { position, end, last } = place;
        let first = head.span.first;
        self.free_requests(position, out);
        let choice = self.waiting.choose(position, self.responses.segment, self.requests.progress());
        let (Choice::Of { passed, .. } | Choice::Nobody { passed }) = choice else { return None };
        for _ in 0..passed {
            if let Some(passed) = self.waiting.pop() {
                self.tell_lost(passed, position.sent, first, out);
            }
        }
        let request = match choice {
            _ if is_final => self.waiting.answer(choice),
            Choice::Of { .. } => self.waiting.front(),
            Choice::Nobody { .. } | Choice::Undecided => None,
        };
        self.responses.begin(request.map(|request| request.stream), head.size, last, end);
        if request.is_none() {
            self.note(AnomalyKind::ResponseWithoutRequest, first);
        }
        self.responses.emit(HttpEventKind::Response(Box::new(head)), out);
        if matches!(choice, Choice::Of { is_sure: false, .. }) && is_final {
            self.responses.fault(AnomalyKind::PairingUnsure, first, out);
        }
        for kind in faults.kinds() {
            self.responses.fault(kind, first, out);
        }
        request
    }

    /// True when content is over that says nothing of its end, or misses bytes, or answers a request that nobody saw (it may have been HEAD): the client has read it and sent another request, which the server has
    /// received and answers here.
    pub(super) fn is_next_response(&self, chunk: &Chunk<'_>) -> bool {
        let is_open = matches!(self.responses.state, State::UntilClose);
        if !is_open && self.responses.stream.is_some() && !self.responses.has_lost {
            return false;
        }
        let Position { sent, acked } = chunk.position;
        let is_asked = self
            .waiting
            .front()
            .is_some_and(|next| (1..=sent).contains(&next.position.acked) && acked > next.position.sent);
        is_asked && detect::start(chunk.data, false) == detect::Start::Response
    }

    /// The response to an offer may be lost, and this one may answer a request behind it: then the offer was refused, and the
    /// requests behind it wait as well.
    fn free_requests(&mut self, at: Position, out: Out<'_>) {
        let is_answered_behind = self.offer.as_ref().is_some_and(|offer| {
            let held = offer.held.position();
            offer.is_complete && held.is_some_and(|held| held.acked <= at.sent && held.sent < at.acked)
        });
        if self.waiting.has_lost_responses() && is_answered_behind {
            self.withdraw_offer(out);
        }
    }

    /// Keeps responses until it is known how many follow, within limits.
    pub(super) fn keep_undecided(&mut self, event: StreamEvent<'_>, out: Out<'_>) {
        let held = self.undecided.get_or_insert_with(|| Held::new(&self.budget));
        held.push(Side::Server, event);
        if held.size() > self.limits.blocked {
            self.settle(out);
        }
    }

    /// True when a request at this position says that no more responses follow to those before it: the client has read what is held.
    pub(super) fn is_settled_by(&self, request: Position) -> bool {
        let held = self.undecided.as_ref().and_then(Held::position);
        held.is_some_and(|held| request.acked > held.sent)
    }

    /// Gives the responses that were held to the last of the requests that they may belong to.
    pub(super) fn settle(&mut self, out: Out<'_>) {
        let Some(held) = self.undecided.take() else { return };
        let at = held.position().unwrap_or_default();
        let among = self.waiting.may_answer(at);
        // Whoever reads them without any request counts them.
        let mut counter = Connection::new(&self.limits, &self.budget, self.strict);
        held.each(|side, event| counter.push(side, event, &mut |_| {}));
        let found = counter.anomalies.count(AnomalyKind::ResponseWithoutRequest);
        let stamp = held.first_stamp().unwrap_or_default();
        let found = usize::try_from(found).unwrap_or(usize::MAX).max(1);
        for _ in 0..self.waiting.settle(found, among) {
            if let Some(passed) = self.waiting.pop() {
                self.tell_lost(passed, at.sent, stamp, out);
            }
        }
        self.responses.state = State::Head;
        held.replay(|side, event| self.push(side, event, out));
    }

    /// The answer to a request of HTTP/0.9 is content from its first byte.
    pub(super) fn simple_response(&mut self, chunk: Chunk<'_>, out: Out<'_>) {
        let head = ResponseHead {
            status: 200,
            reason: Vec::new(),
            version: Version::Http09,
            headers: Headers::default(),
            span: chunk.span,
            size: 0,
        };
        let place = HeadPlace { position: chunk.position, end: Some(chunk.position.sent), last: chunk.span };
        self.answer(head, Faults::default(), place, true, out);
        self.responses.state = State::UntilClose;
    }
}
