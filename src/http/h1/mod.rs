//! HTTP/0.9 to HTTP/1.1 on one connection ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)).
//!
//! ```text
//!            start line               blank line            last byte
//!   search ─────────────► head ───────────────► content ───────────────► head …
//!     ▲                     │ gap, not HTTP        │ gap of unknown end, broken chunk
//!     └─────────────────────┴──────────────────────┘
//! ```
//!
//! Every request that was seen gets `Request`, and each side of its exchange is closed once, by `End` or `Abort`. A response that
//! never began is closed as well, by `Abort` of [`Side::Server`], so that the exchange is known to be over. Responses without a
//! request are read, counted and dropped.

mod chunked;
mod half;
mod head;
mod pairing;
mod reader;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Limits, Span, Stamp, Timestamp};
use crate::http::held::Held;
use crate::http::{
    Abort, Headers, HttpEvent, HttpEventKind, RequestHead, ResponseHead, StreamId, Upgrade, Version, detect, h2,
};
use crate::tcp::{Chunk, Side, StreamEvent};

use chunked::{Chunked, Piece};
use half::{Half, State};
use head::{Faults, Framing};
use pairing::{Method, Pending, Waiting};
use reader::Found;

type Out<'o> = &'o mut dyn FnMut(HttpEvent<'_>);

/// All messages of one connection. The sides of its input are roles: [`Side::Client`] sends requests.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    budget: Budget,
    strict: bool,
    requests: Half,
    responses: Half,
    waiting: Waiting,
    /// CONNECT or a request to upgrade that has no final response yet.
    offer: Option<Offer>,
    /// The client has sent requests behind an offer: its offers are not waited for any more.
    ignores_offers: bool,
    /// HTTP/2, when the connection was upgraded to it.
    successor: Option<Box<h2::Connection>>,
    /// Stream number of the next request.
    next: u64,
    anomalies: Anomalies,
}

/// A request after which the connection may change its protocol.
#[derive(Debug)]
struct Offer {
    stream: StreamId,
    /// The request is complete; its end is told when it is known that nothing belongs to it any more.
    is_complete: bool,
    /// HTTP2-Settings of the request.
    settings: Option<Vec<u8>>,
    /// What the client sent behind it.
    held: Held,
}

impl Connection {
    /// A connection before its first byte. `strict`: content that contradicts Content-Length makes a message malformed.
    pub fn new(limits: &Limits, budget: &Budget, strict: bool) -> Self {
        Self {
            limits: limits.clone(),
            budget: budget.clone(),
            strict,
            requests: Half::new(Side::Client, limits.head, budget),
            responses: Half::new(Side::Server, limits.head, budget),
            waiting: Waiting::default(),
            offer: None,
            ignores_offers: false,
            successor: None,
            next: 0,
            anomalies: Anomalies::default(),
        }
    }

    /// When the oldest of what was taken in and not told came.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let heads = [&self.requests, &self.responses].into_iter().filter_map(|half| half.reader.pending_since());
        let offer = self.offer.as_ref().and_then(|offer| offer.held.since());
        let successor = self.successor.as_ref().and_then(|successor| successor.pending_since());
        heads.chain(offer).chain(successor).min()
    }

    /// Faults that belong to no exchange.
    pub fn anomalies(&self) -> &Anomalies {
        &self.anomalies
    }

    /// True when the connection was upgraded to HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.successor.is_some()
    }

    /// Takes in what one side sent.
    pub fn push(&mut self, side: Side, event: StreamEvent<'_>, out: Out<'_>) {
        // The content of the request that asked for HTTP/2 still comes in HTTP/1.
        let has_content = self.half(side).is_in_content();
        if let Some(successor) = self.successor.as_mut().filter(|_| !has_content) {
            return successor.push(side, event, out);
        }
        match event {
            StreamEvent::Data(chunk) => self.data(side, chunk, out),
            StreamEvent::Gap { len, stamp } => self.gap(side, len, stamp, out),
            StreamEvent::Fin(stamp) => self.fin(side, stamp, out),
            StreamEvent::Reset(stamp) => self.finish(Abort::Reset, stamp, out),
        }
    }

    /// Nothing comes any more on either side: closes whatever is open.
    pub fn finish(&mut self, reason: Abort, stamp: Stamp, out: Out<'_>) {
        self.withdraw_offer(out);
        for side in Side::BOTH {
            self.close(side, reason, stamp, out);
        }
        self.abandon(reason, stamp, out);
        if let Some(successor) = &mut self.successor {
            successor.finish(reason, stamp, out);
            self.anomalies.merge(successor.anomalies(), self.limits.anomalies_kept);
        }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        }
    }

    fn data(&mut self, side: Side, chunk: Chunk<'_>, out: Out<'_>) {
        let mut rest = chunk;
        while !rest.data.is_empty() {
            let used = self.step(side, rest, out);
            rest = rest.from(used);
            if self.successor.is_some() && !rest.data.is_empty() {
                return self.push(side, StreamEvent::Data(rest), out);
            }
        }
    }

    /// Reads on by one piece and says how many bytes it has; 0 only when the state has changed.
    fn step(&mut self, side: Side, chunk: Chunk<'_>, out: Out<'_>) -> usize {
        if self.half(side).may_lack_content && self.lacks_content(side, chunk, out) {
            return 0;
        }
        let half = self.half(side);
        match &mut half.state {
            State::Head => self.head(side, chunk, out),
            State::Length(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(chunk.data.len());
                *left -= len as u64;
                let is_last = *left == 0;
                half.content(chunk, len, out);
                if is_last {
                    self.end(side, out);
                }
                len
            }
            State::Chunked(chunked) => match chunked.read(chunk.data) {
                Piece::Framing { used } => {
                    half.framing(used, chunk.span);
                    used
                }
                Piece::Content { len } => {
                    half.content(chunk, len, out);
                    len
                }
                Piece::End { used } => {
                    half.framing(used, chunk.span);
                    self.trailers(side, out);
                    self.end(side, out);
                    used
                }
                Piece::Malformed => {
                    half.fault(AnomalyKind::ChunkMalformed, chunk.span.first, out);
                    half.abort(Abort::Malformed, chunk.span.first, out);
                    0
                }
                Piece::NotChunked => {
                    half.fault(AnomalyKind::ChunkMalformed, chunk.span.first, out);
                    match (half.stated, side) {
                        (Some(length), _) if length > 0 => half.state = State::Length(length),
                        (_, Side::Server) => half.state = State::UntilClose,
                        (_, Side::Client) => half.abort(Abort::Malformed, chunk.span.first, out),
                    }
                    0
                }
            },
            State::UntilClose | State::Raw => {
                half.content(chunk, chunk.data.len(), out);
                chunk.data.len()
            }
            State::Unanswered => {
                let is_held = self.hold(StreamEvent::Data(chunk));
                if is_held {
                    return chunk.data.len();
                }
                self.withdraw_offer(out);
                0
            }
            State::Over => chunk.data.len(),
        }
    }

    /// Looks whether the next head stands where content could be: behind a response to a request that nobody saw (it may
    /// have been HEAD), or behind a request that was refused before its content was sent.
    fn lacks_content(&mut self, side: Side, chunk: Chunk<'_>, out: Out<'_>) -> bool {
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

    fn head(&mut self, side: Side, chunk: Chunk<'_>, out: Out<'_>) -> usize {
        let is_answer_to_simple =
            side == Side::Server && self.waiting.front().is_some_and(|request| request.version == Version::Http09);
        let is_first = side == Side::Client && self.next == 0;
        let half = match side {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        };
        if !half.reader.is_holding() {
            let blank = chunk.data.len() - detect::trim_line_ends(chunk.data).len();
            if blank > 0 && !is_answer_to_simple {
                return blank;
            }
            if side == Side::Client && self.offer.is_some() {
                half.state = State::Unanswered;
                return 0;
            }
            if is_answer_to_simple && half.in_step && !detect::may_be_status_line(chunk.data) {
                self.simple_response(chunk, out);
                return 0;
            }
        }
        match half.reader.read(chunk, is_first && half.in_step, half.in_step) {
            Found::More => chunk.data.len(),
            Found::Garbage { used } => {
                half.reader.clear();
                if half.in_step {
                    half.in_step = false;
                    let keep = self.limits.anomalies_kept;
                    self.anomalies.note(AnomalyKind::GarbageSkipped, Some(chunk.span.first), keep);
                }
                used
            }
            Found::TooLarge => {
                self.cut_head(side, Abort::Malformed, chunk.span.last, out);
                chunk.data.len()
            }
            Found::Head { bytes, span, used } => {
                match side {
                    Side::Client => {
                        let parsed = head::request(bytes, span, &self.limits);
                        half.reader.clear();
                        if let Some((head, faults)) = parsed {
                            self.request(head, faults, chunk.span, out);
                        }
                    }
                    Side::Server => {
                        let parsed = head::response(bytes, span, &self.limits);
                        half.reader.clear();
                        if let Some((head, faults)) = parsed {
                            self.response(head, faults, chunk.span, out);
                        }
                    }
                }
                used
            }
        }
    }

    fn request(&mut self, head: RequestHead, mut faults: Faults, last: Span, out: Out<'_>) {
        let framing = head::framing(&head.headers, &mut faults);
        let method = Method::of(&head.method);
        // A request whose content ends nowhere is refused by servers (RFC 9112 §6.3): nothing is taken for its content.
        faults.malformed |= framing.coded && !framing.chunked;
        let state = match (method, framing) {
            (Method::Connect, _) => State::Head,
            (_, Framing { chunked: true, .. }) => self.chunked(),
            (_, Framing { coded: false, length: Some(length), .. }) if length > 0 => State::Length(length),
            _ => State::Head,
        };
        let offers = method == Method::Connect || head.headers.first("upgrade").is_some();
        let settings = head.headers.first("http2-settings").map(<[u8]>::to_vec);
        let expects = head.headers.has_token("expect", "100-continue");
        let stream = self.open(head, method, faults, last, out);
        self.requests.has_conflict = faults.length;
        self.requests.stated = framing.length;
        self.requests.expects_continue = expects;
        if offers && !self.ignores_offers {
            self.offer = Some(Offer { stream, is_complete: false, settings, held: Held::new(&self.budget) });
        }
        let is_complete = matches!(state, State::Head);
        self.requests.state = state;
        if is_complete {
            self.end(Side::Client, out);
        }
        if matches!(self.responses.state, State::Over) {
            self.withdraw_offer(out);
            self.abandon(Abort::Closed, last.last, out);
        }
    }

    /// Begins an exchange.
    fn open(&mut self, head: RequestHead, method: Method, faults: Faults, last: Span, out: Out<'_>) -> StreamId {
        let stream = StreamId(self.next);
        self.next += 1;
        if self.waiting.len() >= self.limits.open_exchanges.max(1)
            && let Some(oldest) = self.waiting.give_up()
        {
            out(HttpEvent {
                stream: oldest.stream,
                kind: HttpEventKind::Anomaly(AnomalyKind::TooManyExchanges, last.last),
            });
            unanswered(oldest.stream, Abort::Evicted, last.last, out);
        }
        self.waiting.add(Pending { stream, method, version: head.version, is_doubtful: false });
        self.requests.begin(Some(stream), head.size, last);
        let first = head.span.first;
        self.requests.emit(HttpEventKind::Request(Box::new(head)), out);
        for kind in faults.kinds() {
            self.requests.fault(kind, first, out);
        }
        stream
    }

    fn response(&mut self, head: ResponseHead, mut faults: Faults, last: Span, out: Out<'_>) {
        let framing = head::framing(&head.headers, &mut faults);
        let (first, status) = (head.span.first, head.status);
        let upgrade = if head.headers.has_token("upgrade", "websocket") { Upgrade::WebSocket } else { Upgrade::Other };
        let is_http2 = head.headers.has_token("upgrade", "h2c");
        let is_final = status >= 200 || status == 101;
        let request = self.answer(head, faults, last, is_final, out);
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
    fn answer(
        &mut self,
        head: ResponseHead,
        faults: Faults,
        last: Span,
        is_final: bool,
        out: Out<'_>,
    ) -> Option<Pending> {
        let first = head.span.first;
        while let Some(passed) = self.waiting.pop_answered() {
            unanswered(passed.stream, Abort::Lost, first, out);
        }
        let request = if is_final { self.waiting.answer() } else { self.waiting.front() };
        self.responses.begin(request.map(|request| request.stream), head.size, last);
        if request.is_none() {
            self.note(AnomalyKind::ResponseWithoutRequest, first);
        }
        self.responses.emit(HttpEventKind::Response(Box::new(head)), out);
        for kind in faults.kinds() {
            self.responses.fault(kind, first, out);
        }
        request
    }

    /// The answer to a request of HTTP/0.9 is content from its first byte.
    fn simple_response(&mut self, chunk: Chunk<'_>, out: Out<'_>) {
        let head = ResponseHead {
            status: 200,
            reason: Vec::new(),
            version: Version::Http09,
            headers: Headers::default(),
            span: chunk.span,
            size: 0,
        };
        self.answer(head, Faults::default(), chunk.span, true, out);
        self.responses.state = State::UntilClose;
    }

    fn chunked(&self) -> State {
        State::Chunked(Box::new(Chunked::new(self.limits.head, &self.budget)))
    }

    fn trailers(&mut self, side: Side, out: Out<'_>) {
        let half = match side {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        };
        let State::Chunked(chunked) = &half.state else { return };
        let mut faults = Faults::default();
        let fields = head::fields(chunked.trailers(), &self.limits, &mut faults);
        for kind in faults.kinds() {
            half.fault(kind, half.last.last, out);
        }
        if !fields.is_empty() {
            half.emit(HttpEventKind::Trailers(side, fields), out);
        }
    }

    /// The message of that side is complete.
    fn end(&mut self, side: Side, out: Out<'_>) {
        let strict = self.strict;
        if side == Side::Client
            && let Some(offer) = &mut self.offer
            && self.requests.stream == Some(offer.stream)
        {
            offer.is_complete = true;
            self.requests.state = State::Head;
            return;
        }
        let half = self.half(side);
        if strict && half.has_conflict {
            let stamp = half.last.last;
            half.abort(Abort::Malformed, stamp, out);
            half.in_step = true;
        } else {
            half.end(out);
        }
    }

    /// The offer was taken: both sides speak another protocol from here on.
    fn upgrade(&mut self, upgrade: Upgrade, out: Out<'_>) {
        let Some(offer) = self.offer.take() else { return };
        self.responses.emit(HttpEventKind::Upgrade(upgrade), out);
        self.responses.state = State::Raw;
        if offer.is_complete || self.requests.is_in_content() {
            self.requests.state = State::Raw;
        }
        offer.held.replay(|side, event| self.push(side, event, out));
    }

    /// The offer was HTTP/2: the answer to the request comes on its stream 1
    /// ([RFC 7540 §3.2](https://www.rfc-editor.org/rfc/rfc7540#section-3.2)).
    fn upgrade_to_http2(&mut self, out: Out<'_>) {
        let Some(offer) = self.offer.take() else { return };
        self.responses.emit(HttpEventKind::Upgrade(Upgrade::Http2), out);
        if offer.is_complete {
            self.requests.end(out);
        }
        self.responses.stream = None;
        let settings = offer.settings.as_deref();
        self.successor = Some(Box::new(h2::Connection::upgraded(&self.limits, &self.budget, offer.stream, settings)));
        offer.held.replay(|side, event| self.push(side, event, out));
    }

    /// The offer was refused, or will not be answered: what the client sent behind it are requests.
    fn withdraw_offer(&mut self, out: Out<'_>) {
        if matches!(self.requests.state, State::Unanswered) {
            self.requests.state = State::Head;
        }
        let Some(offer) = self.offer.take() else { return };
        if offer.is_complete {
            self.end(Side::Client, out);
        }
        // Else every request in there could be an offer that holds back the rest again.
        self.ignores_offers |= offer.held.size() > 0;
        offer.held.replay(|side, event| self.push(side, event, out));
    }

    /// Keeps what the client sent behind an offer, within limits.
    fn hold(&mut self, event: StreamEvent<'_>) -> bool {
        let limit = self.limits.head;
        let Some(offer) = self.offer.as_mut().filter(|offer| offer.held.size() <= limit) else { return false };
        offer.held.push(Side::Client, event);
        true
    }

    fn gap(&mut self, side: Side, len: u64, stamp: Stamp, out: Out<'_>) {
        let half = self.half(side);
        let mut behind = None;
        match &mut half.state {
            State::Length(left) if len > 0 => {
                let inside = len.min(*left);
                *left -= inside;
                let is_last = *left == 0;
                half.lost(inside, stamp, out);
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
            State::Length(_) | State::Chunked(_) => {
                half.lost(0, stamp, out);
                half.abort(Abort::Lost, stamp, out);
                behind = Some(0);
            }
            State::UntilClose | State::Raw => half.lost(len, stamp, out),
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
            self.lose_step(side, stamp, out);
        }
    }

    /// Bytes are missing where heads are: the next start line must be searched for.
    fn lose_step(&mut self, side: Side, stamp: Stamp, out: Out<'_>) {
        self.note(AnomalyKind::BytesLost, stamp);
        if matches!(self.half(side).state, State::Head) && self.half(side).reader.is_holding() {
            self.cut_head(side, Abort::Lost, stamp, out);
        }
        self.half(side).in_step = false;
        if side == Side::Server {
            self.waiting.doubt();
        }
    }

    /// A head will not become whole: what came of it is handed on when the start line did.
    fn cut_head(&mut self, side: Side, reason: Abort, stamp: Stamp, out: Out<'_>) {
        let fault = match reason {
            Abort::Malformed => AnomalyKind::HeadTooLarge,
            Abort::Lost => AnomalyKind::BytesLost,
            _ => AnomalyKind::HeadMalformed,
        };
        let half = match side {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        };
        let size = half.reader.held();
        if let Some((lines, span)) = half.reader.partial() {
            match side {
                Side::Client => {
                    if let Some((head, faults)) = head::request(lines, span, &self.limits) {
                        let method = Method::of(&head.method);
                        self.open(RequestHead { size, ..head }, method, faults, span, out);
                        self.requests.fault(fault, stamp, out);
                        self.requests.abort(reason, stamp, out);
                    }
                }
                Side::Server => {
                    if let Some((head, faults)) = head::response(lines, span, &self.limits) {
                        let is_final = head.status >= 200 || head.status == 101;
                        let request = self.answer(ResponseHead { size, ..head }, faults, span, is_final, out);
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

    fn fin(&mut self, side: Side, stamp: Stamp, out: Out<'_>) {
        if side == Side::Client
            && self.offer.as_ref().is_some_and(|offer| offer.is_complete)
            && !self.requests.reader.is_holding()
        {
            self.requests.state = State::Unanswered;
            if self.hold(StreamEvent::Fin(stamp)) {
                return;
            }
            self.withdraw_offer(out);
        }
        match self.half(side).state {
            State::UntilClose | State::Raw => self.end(side, out),
            _ => {}
        }
        self.close(side, Abort::Closed, stamp, out);
        if let Some(successor) = &mut self.successor {
            successor.push(side, StreamEvent::Fin(stamp), out);
        }
        if side == Side::Server {
            self.withdraw_offer(out);
            self.abandon(Abort::Closed, stamp, out);
        }
    }

    /// No more bytes of that side: closes the message it was in.
    fn close(&mut self, side: Side, reason: Abort, stamp: Stamp, out: Out<'_>) {
        let strict = self.strict;
        let half = self.half(side);
        match half.state {
            State::Head if half.reader.is_holding() => self.cut_head(side, reason, stamp, out),
            State::Length(_) | State::Chunked(_) => {
                half.fault(AnomalyKind::BodyCutShort, stamp, out);
                half.abort(if strict { Abort::Malformed } else { reason }, stamp, out);
            }
            State::UntilClose | State::Raw => half.abort(reason, stamp, out),
            State::Head | State::Unanswered | State::Over => {}
        }
        self.half(side).state = State::Over;
    }

    /// No response will come any more.
    fn abandon(&mut self, reason: Abort, stamp: Stamp, out: Out<'_>) {
        while let Some(pending) = self.waiting.pop() {
            unanswered(pending.stream, reason, stamp, out);
        }
    }

    /// Counts a fault that belongs to no exchange.
    pub fn note(&mut self, kind: AnomalyKind, stamp: Stamp) {
        self.anomalies.note(kind, Some(stamp), self.limits.anomalies_kept);
    }
}

/// Reads field lines that stand alone, as in the trailers of gRPC-Web.
pub fn fields(lines: &[u8], limits: &Limits) -> Headers {
    head::fields(lines, limits, &mut Faults::default())
}

/// Closes a response that never began.
fn unanswered(stream: StreamId, reason: Abort, stamp: Stamp, out: Out<'_>) {
    out(HttpEvent { stream, kind: HttpEventKind::Abort { side: Side::Server, reason, stamp, wire_size: 0 } });
}

#[cfg(test)]
mod tests;
