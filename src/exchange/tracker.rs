//! The exchanges of one connection: events of each stream are gathered until both its messages ended.

use std::collections::BTreeMap;

use super::body::Collector;
use super::messages::Interpreter;
use super::model::{Exchange, Informational, Outcome, Request, Response};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Span, Spool, Stamp, Timestamp};
use crate::http::{Abort, Headers, HttpEvent, HttpEventKind, RequestHead, ResponseHead, StreamId, Upgrade};
use crate::tcp::{Chunk, Side};

/// Which content the user wants to keep; the rest is measured only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepBodies {
    /// Content of requests.
    pub requests: bool,
    /// Content of responses.
    pub responses: bool,
}

impl Default for KeepBodies {
    fn default() -> Self {
        Self { requests: true, responses: true }
    }
}

/// Gathers the events of one connection (or one layer of it) into exchanges.
pub struct Tracker {
    open: BTreeMap<StreamId, Box<Open>>,
    limits: Limits,
    budget: Budget,
    keep: KeepBodies,
    secure: bool,
}

struct Open {
    number: u32,
    request: Part<RequestHead>,
    response: Option<Part<ResponseHead>>,
    /// Why no response will come, once that is known.
    unanswered: Option<(Abort, Stamp)>,
    informational: Vec<Informational>,
    upgrade: Option<Upgrade>,
    interpreter: Interpreter,
    pushed_on: Option<StreamId>,
    anomalies: Anomalies,
    selected: bool,
    arrivals: Vec<(Stamp, u64)>,
    lease: Lease,
}

/// One message on its way.
struct Part<Head> {
    head: Box<Head>,
    body: Collector,
    trailers: Headers,
    start: Stamp,
    last: Span,
    outcome: Option<Outcome>,
    wire_size: u64,
}

impl<Head> Part<Head> {
    fn new(head: Box<Head>, span: Span, size: u64, body: Collector) -> Self {
        Self { head, body, trailers: Headers::default(), start: span.first, last: span, outcome: None, wire_size: size }
    }

    fn close(&mut self, outcome: Outcome, wire_size: u64) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            self.wire_size = self.wire_size.max(wire_size);
        }
    }

    fn is_complete(&self) -> bool {
        self.outcome == Some(Outcome::Complete)
    }
}

/// Informational responses kept with an exchange.
const INFORMATIONAL_KEPT: usize = 16;
/// Steps to which the arrival of content is joined.
const ARRIVAL_STEPS: usize = 64;

impl Tracker {
    /// A tracker without exchanges; `secure` when the bytes came through TLS.
    pub fn new(limits: &Limits, budget: &Budget, keep: KeepBodies, secure: bool) -> Self {
        Self { open: BTreeMap::new(), limits: limits.clone(), budget: budget.clone(), keep, secure }
    }

    /// Takes one event; exchanges that are complete with it are handed on. `next` is the ordinal of the next request on the
    /// connection, which may have several trackers (tunnels).
    pub fn push(
        &mut self,
        event: HttpEvent<'_>,
        next: &mut u32,
        spool: &mut Spool,
        out: &mut dyn FnMut(Box<Exchange>),
    ) {
        let stream = event.stream;
        match event.kind {
            HttpEventKind::Request(head) => self.begin(stream, head, None, next),
            HttpEventKind::Push(promise) => {
                self.begin(stream, Box::new(promise.head), Some(promise.parent), next);
                if let Some(open) = self.open.get_mut(&stream) {
                    open.request.close(Outcome::Complete, 0);
                }
            }
            kind => {
                let Some(open) = self.open.get_mut(&stream) else { return };
                open.take(kind, &self.limits, &self.budget, self.keep, spool);
                if open.is_over()
                    && let Some(open) = self.open.remove(&stream)
                {
                    out(open.close(stream, None, self.secure, spool));
                }
            }
        }
    }

    /// When the oldest exchange began that is not over.
    pub fn pending_since(&self) -> Option<Timestamp> {
        self.open.values().map(|open| open.request.start.time).min()
    }

    fn begin(&mut self, stream: StreamId, head: Box<RequestHead>, pushed_on: Option<StreamId>, next: &mut u32) {
        let interpreter = Interpreter::for_request(&head, &self.limits, &self.budget);
        let is_watched = interpreter.reads(Side::Client);
        let mut body = Collector::new(&head.headers, self.keep.requests, is_watched, &self.limits, &self.budget);
        expect_length(&mut body, &head.headers);
        let mut lease = self.budget.lease();
        lease.set(size_of::<Open>() + head.headers.allocated() + head.target.capacity());
        let span = head.span;
        let number = *next;
        *next += 1;
        let open = Open {
            number,
            interpreter,
            request: Part::new(head, span, 0, body),
            response: None,
            unanswered: None,
            informational: Vec::new(),
            upgrade: None,
            pushed_on,
            anomalies: Anomalies::default(),
            selected: span.selected,
            arrivals: Vec::new(),
            lease,
        };
        self.open.insert(stream, Box::new(open));
    }

    /// The connection is over: what is still open is handed on as it is.
    pub fn finish(&mut self, reason: Abort, stamp: Stamp, spool: &mut Spool, out: &mut dyn FnMut(Box<Exchange>)) {
        for (stream, open) in std::mem::take(&mut self.open) {
            out(open.close(stream, Some((reason, stamp)), self.secure, spool));
        }
    }
}

/// Room for content whose length the head states.
fn expect_length(body: &mut Collector, headers: &Headers) {
    let stated = headers.first("content-length").and_then(|value| std::str::from_utf8(value).ok());
    if let Some(len) = stated.and_then(|value| value.trim().parse().ok()) {
        body.expect(len);
    }
}

impl Open {
    fn take(&mut self, kind: HttpEventKind<'_>, limits: &Limits, budget: &Budget, keep: KeepBodies, spool: &mut Spool) {
        match kind {
            HttpEventKind::Request(_) | HttpEventKind::Push(_) => {}
            HttpEventKind::Response(head) => self.answer(head, limits, budget, keep),
            HttpEventKind::Body(side, chunk) => self.content(side, &chunk, spool),
            HttpEventKind::Lost(side, len, stamp) => {
                self.interpreter.lose(side, len);
                self.note_lost(side, len, stamp, limits.anomalies_kept);
                if let Some(body) = self.body(side) {
                    body.lose(len, Span::of(stamp, false), spool);
                }
            }
            HttpEventKind::Trailers(Side::Client, trailers) => self.request.trailers = trailers,
            HttpEventKind::Trailers(Side::Server, trailers) => {
                if let Some(response) = &mut self.response {
                    response.trailers = trailers;
                }
            }
            HttpEventKind::Upgrade(upgrade) => self.upgrade(upgrade, limits, budget),
            HttpEventKind::End { side, span, wire_size } => {
                self.selected |= span.selected;
                self.close_side(side, Outcome::Complete, span, wire_size);
            }
            HttpEventKind::Abort { side, reason, stamp, wire_size } => {
                self.close_side(side, Outcome::Aborted(reason), Span::of(stamp, false), wire_size);
            }
            // Told by the bytes that were lost of it, too: a response is lost once.
            HttpEventKind::Anomaly(kind @ AnomalyKind::ResponseLost, _) if self.anomalies.count(kind) > 0 => {}
            HttpEventKind::Anomaly(kind, stamp) => self.anomalies.note(kind, Some(stamp), limits.anomalies_kept),
        }
    }

    /// Notes bytes that are not in the capture. Where no response was seen, it is the response that they took along.
    fn note_lost(&mut self, side: Side, len: u64, stamp: Stamp, keep: usize) {
        let is_response = side == Side::Server && self.response.is_none();
        let kind = if is_response { AnomalyKind::ResponseLost } else { AnomalyKind::BytesLost };
        self.anomalies.note_bytes(kind, len, Some(stamp), keep);
    }

    fn answer(&mut self, head: Box<ResponseHead>, limits: &Limits, budget: &Budget, keep: KeepBodies) {
        let span = head.span;
        self.selected |= span.selected;
        if head.status < 200 && head.status != 101 {
            if self.informational.len() < INFORMATIONAL_KEPT {
                let ResponseHead { status, headers, .. } = *head;
                self.informational.push(Informational { status, headers, stamp: span.first });
            }
            return;
        }
        if self.upgrade == Some(Upgrade::Http2)
            && let Some(switching) = self.response.take()
        {
            let ResponseHead { status, headers, span, .. } = *switching.head;
            self.informational.push(Informational { status, headers, stamp: span.first });
            self.upgrade = None;
        }
        self.interpreter.answered(&head, limits, budget);
        let is_watched = self.interpreter.reads(Side::Server);
        let mut body = Collector::new(&head.headers, keep.responses, is_watched, limits, budget);
        if self.request.head.method != b"HEAD" {
            expect_length(&mut body, &head.headers);
        }
        self.lease.set(self.lease.bytes() + head.headers.allocated());
        let size = head.size;
        self.response = Some(Part::new(head, span, size, body));
    }

    fn body(&mut self, side: Side) -> Option<&mut Collector> {
        match side {
            Side::Client => Some(&mut self.request.body),
            Side::Server => self.response.as_mut().map(|response| &mut response.body),
        }
    }

    fn content(&mut self, side: Side, chunk: &Chunk<'_>, spool: &mut Spool) {
        self.selected |= chunk.span.selected;
        let Self { request, response, interpreter, upgrade, .. } = self;
        let (body, last) = match (side, response) {
            (Side::Client, _) => (&mut request.body, &mut request.last),
            (Side::Server, Some(response)) => (&mut response.body, &mut response.last),
            (Side::Server, None) => return,
        };
        if upgrade.is_some() {
            interpreter.push(side, chunk.data, chunk.span);
        } else {
            if body.is_deaf() && interpreter.reads(side) {
                interpreter.pass_over(side, chunk.data.len() as u64, chunk.span.first);
            }
            body.push(chunk, spool, &mut |bytes, span| interpreter.push(side, bytes, span));
        }
        if side == Side::Server || upgrade.is_none() {
            *last = last.join(chunk.span);
        }
        if side == Side::Server {
            note_arrival(&mut self.arrivals, chunk.span.last, chunk.data.len() as u64);
        }
    }

    fn upgrade(&mut self, upgrade: Upgrade, limits: &Limits, budget: &Budget) {
        self.upgrade = Some(upgrade);
        match upgrade {
            // What is inside a tunnel is looked at on its own; the CONNECT itself is answered.
            Upgrade::Tunnel => {
                self.request.close(Outcome::Complete, self.request.head.size);
                if let Some(response) = &mut self.response {
                    response.close(Outcome::Complete, response.head.size);
                }
            }
            Upgrade::WebSocket => {
                if let Some(response) = &self.response {
                    self.interpreter.become_websocket(&response.head, limits, budget);
                }
            }
            Upgrade::Http2 | Upgrade::Other => {}
        }
    }

    fn close_side(&mut self, side: Side, outcome: Outcome, span: Span, wire_size: u64) {
        match (side, &mut self.response) {
            (Side::Client, _) => {
                // When a hole was given up says nothing of when its bytes were sent.
                if outcome != Outcome::Aborted(Abort::Lost) {
                    self.request.last = self.request.last.join(span);
                }
                self.request.close(outcome, wire_size);
            }
            (Side::Server, Some(response)) => {
                if outcome == Outcome::Complete {
                    response.last = response.last.join(span);
                }
                response.close(outcome, wire_size);
            }
            (Side::Server, None) => {
                if let Outcome::Aborted(reason) = outcome {
                    self.unanswered = Some((reason, span.last));
                    if reason == Abort::Lost && self.anomalies.count(AnomalyKind::ResponseLost) == 0 {
                        self.anomalies.note(AnomalyKind::ResponseLost, Some(span.last), 1);
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        let is_answered = self.response.as_ref().is_some_and(|response| response.outcome.is_some());
        (is_answered || self.unanswered.is_some()) && self.request.outcome.is_some()
    }

    fn close(
        mut self: Box<Self>,
        stream: StreamId,
        unanswered: Option<(Abort, Stamp)>,
        secure: bool,
        spool: &mut Spool,
    ) -> Box<Exchange> {
        let unanswered = self.unanswered.or(unanswered);
        let reason = unanswered.map_or(Abort::Closed, |(reason, _)| reason);
        let (request_whole, is_answered) = (self.request.is_complete(), self.response.is_some());
        let part = self.request;
        let request = Request {
            body: part.body.finish(request_whole, part.last, spool),
            head: part.head,
            trailers: part.trailers,
            start: part.start,
            end: part.last.last,
            outcome: part.outcome.unwrap_or(Outcome::Aborted(reason)),
            wire_size: part.wire_size,
        };
        let mut response = self.response.map(|part| Response {
            body: part.body.finish(part.outcome == Some(Outcome::Complete), part.last, spool),
            head: part.head,
            trailers: part.trailers,
            start: part.start,
            end: part.last.last,
            outcome: part.outcome.unwrap_or(Outcome::Aborted(reason)),
            wire_size: part.wire_size,
        });
        let found = self.interpreter.finish();
        // What reads messages notes the holes that were noted here before.
        self.anomalies.merge_without(AnomalyKind::BytesLost, &found.anomalies, usize::MAX);
        if let Some(response) = &mut response
            && response.trailers.is_empty()
        {
            response.trailers = found.trailers;
        }
        Box::new(Exchange {
            stream,
            number: self.number,
            request,
            response,
            informational: self.informational,
            upgrade: self.upgrade,
            secure,
            messages: found.messages,
            unread: found.unread,
            pushed_on: self.pushed_on,
            anomalies: self.anomalies,
            selected: self.selected,
            arrivals: self.arrivals,
            unanswered: unanswered.filter(|_| !is_answered),
            comments: Vec::new(),
            leases: [self.lease, found.lease],
        })
    }
}

/// Adds to the steps of arrival; when they are too many, neighbours are joined.
fn note_arrival(arrivals: &mut Vec<(Stamp, u64)>, stamp: Stamp, bytes: u64) {
    if let Some((last, sum)) = arrivals.last_mut()
        && last.time == stamp.time
    {
        *sum += bytes;
        return;
    }
    if arrivals.len() == ARRIVAL_STEPS {
        let joined = arrivals.chunks(2).filter_map(|pair| {
            let (stamp, _) = *pair.last()?;
            Some((stamp, pair.iter().map(|(_, bytes)| bytes).sum()))
        });
        *arrivals = joined.collect();
    }
    arrivals.push((stamp, bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FrameNumber, Timestamp};
    use crate::http::Version;

    /// A client that resets every stream it opens (a rapid reset) must leave nothing behind.
    #[test]
    fn a_request_that_will_not_be_answered_is_handed_on_when_that_is_known() {
        let budget = Budget::new(1 << 20);
        let mut tracker = Tracker::new(&Limits::default(), &budget, KeepBodies::default(), false);
        let (mut spool, mut next, mut done) = (Spool::new(None), 0, Vec::new());
        let stamp = |at| Stamp { frame: FrameNumber(at), time: Timestamp(at as i64) };
        for at in 1..=1000 {
            let head = RequestHead {
                method: b"GET".to_vec(),
                target: b"/".to_vec(),
                version: Version::Http2,
                scheme: None,
                authority: None,
                protocol: None,
                headers: Headers::default(),
                span: Span::of(stamp(at), false),
                size: 10,
                priority: None,
            };
            let (reason, stream) = (Abort::StreamReset(8), StreamId(at));
            let mut push = |kind| {
                tracker.push(HttpEvent { stream, kind }, &mut next, &mut spool, &mut |exchange| done.push(exchange));
            };
            push(HttpEventKind::Request(Box::new(head)));
            for side in Side::BOTH {
                push(HttpEventKind::Abort { side, reason, stamp: stamp(at + 1), wire_size: 10 });
            }
        }
        assert_eq!(done.len(), 1000);
        assert_eq!(done[6].unanswered, Some((Abort::StreamReset(8), stamp(8))));
        done.clear();
        assert_eq!(budget.used(), 0);
    }

    /// Bytes of a response that was not seen are those of a response that was lost, however often that is told.
    #[test]
    fn what_was_lost_says_how_many_bytes_it_had() {
        let budget = Budget::new(1 << 20);
        let mut tracker = Tracker::new(&Limits::default(), &budget, KeepBodies::default(), false);
        let (mut spool, mut next, mut done) = (Spool::new(None), 0, Vec::new());
        let stamp = Stamp { frame: FrameNumber(7), time: Timestamp(7) };
        let head = RequestHead {
            method: b"PUT".to_vec(),
            target: b"/".to_vec(),
            version: Version::Http11,
            scheme: None,
            authority: None,
            protocol: None,
            headers: Headers::default(),
            span: Span::of(stamp, false),
            size: 10,
            priority: None,
        };
        let mut push = |kind| {
            let event = HttpEvent { stream: StreamId(0), kind };
            tracker.push(event, &mut next, &mut spool, &mut |exchange| done.push(exchange));
        };
        push(HttpEventKind::Request(Box::new(head)));
        push(HttpEventKind::Lost(Side::Client, 100, stamp));
        push(HttpEventKind::Lost(Side::Server, 3000, stamp));
        push(HttpEventKind::Anomaly(AnomalyKind::ResponseLost, stamp));
        for side in Side::BOTH {
            push(HttpEventKind::Abort { side, reason: Abort::Lost, stamp, wire_size: 10 });
        }
        let anomalies = &done[0].anomalies;
        let amount = |kind| (anomalies.count(kind), anomalies.bytes(kind));
        assert_eq!((amount(AnomalyKind::BytesLost), amount(AnomalyKind::ResponseLost)), ((1, 100), (1, 3000)));
    }
}
