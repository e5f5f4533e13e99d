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
mod damage;
mod half;
mod head;
mod offer;
mod pairing;
mod reader;
mod requests;
mod responses;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Limits, Span, Stamp, Timestamp};
use crate::http::held::Held;
use crate::http::{Abort, Headers, HttpEvent, HttpEventKind, StreamId, Version, detect, h2};
use crate::tcp::{Chunk, Position, Side, StreamEvent};

use chunked::{Chunked, Piece};
use half::{Half, State};
use head::Faults;
use offer::Offer;
use pairing::{Choice, Pending, Waiting};
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
    /// Responses that wait until it is known how many follow: each may belong to several requests.
    undecided: Option<Held>,
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

/// Where a head that was read lies.
#[derive(Debug, Clone, Copy)]
struct HeadPlace {
    /// Position of its first byte.
    position: Position,
    /// Offset behind it in its sender's TCP stream, when it is whole.
    end: Option<u64>,
    /// Frames of its last byte.
    last: Span,
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
            undecided: None,
            offer: None,
            ignores_offers: false,
            successor: None,
            next: 0,
            anomalies: Anomalies::default(),
        }
    }

    /// Bytes of that side are missing before the first ones that come, or may be: the capture begins in the middle.
    pub fn begin_behind_hole(&mut self, side: Side) {
        self.lose(side, 0..0);
    }

    /// When the oldest of what was taken in and not told came.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let heads = [&self.requests, &self.responses].into_iter().filter_map(|half| half.reader.pending_since());
        let held = [self.offer.as_ref().map(|offer| &offer.held), self.undecided.as_ref()];
        let held = held.into_iter().flatten().filter_map(Held::since);
        let successor = self.successor.as_ref().and_then(|successor| successor.pending_since());
        heads.chain(held).chain(successor).min()
    }

    /// The side in the middle of whose message head its bytes have come to.
    pub fn open_head(&self) -> Option<Side> {
        let [requests, responses] = [&self.requests, &self.responses].map(|half| half.reader.is_holding());
        if requests { Some(Side::Client) } else { responses.then_some(Side::Server) }
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
        self.settle(out);
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
        let half = self.half(side);
        if !half.reader.is_holding() {
            half.segment = chunk.position.sent;
        }
        if std::mem::take(&mut self.half(side).is_behind_gap) && side == Side::Server {
            self.waiting.bound_loss(chunk.position.sent);
        }
        while !rest.data.is_empty() {
            let used = self.step(side, &rest, out);
            self.half(side).sent = rest.position.after(used).sent;
            if used >= rest.data.len() {
                break;
            }
            rest = rest.from(used);
            if self.successor.is_some() {
                return self.push(side, StreamEvent::Data(rest), out);
            }
        }
    }

    /// Reads on by one piece and says how many bytes it has; 0 only when the state has changed.
    fn step(&mut self, side: Side, chunk: &Chunk<'_>, out: Out<'_>) -> usize {
        if self.half(side).may_lack_content && self.lacks_content(side, *chunk, out) {
            return 0;
        }
        if matches!(self.half(side).state, State::Chunked(_)) && !self.goes_on_behind_hole(side, chunk, out) {
            return 0;
        }
        if matches!(self.half(side).state, State::Unanswered) && self.is_accepted_unseen(*chunk) {
            self.accept_unseen(*chunk, out);
            return 0;
        }
        if side == Side::Server && self.responses.is_in_content() && self.is_next_response(chunk) {
            match self.responses.state {
                State::UntilClose => self.end(side, out),
                _ => self.responses.abort(Abort::Lost, chunk.span.first, out),
            }
            return 0;
        }
        let half = self.half(side);
        match &mut half.state {
            State::Head => self.head(side, *chunk, out),
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
                    half.framing(used, chunk);
                    used
                }
                Piece::Content { len } => {
                    half.content(chunk, len, out);
                    len
                }
                Piece::End { used } => {
                    half.framing(used, chunk);
                    self.trailers(side, out);
                    self.end(side, out);
                    used
                }
                Piece::Malformed => {
                    half.fault(AnomalyKind::ChunkMalformed, chunk.span.first, out);
                    half.abort(Abort::Malformed, chunk.span.first, out);
                    self.lose(side, chunk.position.sent..chunk.position.after(chunk.data.len()).sent);
                    0
                }
                Piece::NotChunked => {
                    half.fault(AnomalyKind::ChunkMalformed, chunk.span.first, out);
                    match (half.stated, side) {
                        (Some(length), _) if length > 0 => half.state = State::Length(length),
                        (_, Side::Server) => half.state = State::UntilClose,
                        (_, Side::Client) => {
                            half.abort(Abort::Malformed, chunk.span.first, out);
                            self.lose(side, chunk.position.sent..chunk.position.after(chunk.data.len()).sent);
                        }
                    }
                    0
                }
            },
            State::UntilClose | State::Raw => {
                half.content(chunk, chunk.data.len(), out);
                chunk.data.len()
            }
            State::Undecided => {
                self.keep_undecided(StreamEvent::Data(*chunk), out);
                chunk.data.len()
            }
            State::Unanswered => {
                let is_held = self.hold(StreamEvent::Data(*chunk));
                if is_held {
                    return chunk.data.len();
                }
                self.withdraw_offer(out);
                0
            }
            State::Over => chunk.data.len(),
        }
    }

    fn head(&mut self, side: Side, chunk: Chunk<'_>, out: Out<'_>) -> usize {
        let is_answer_to_simple =
            side == Side::Server && self.waiting.front().is_some_and(|request| request.version == Version::Http09);
        let is_first = side == Side::Client && self.next == 0;
        let progress = self.requests.progress();
        let (read, segment) = (self.responses.sent, self.responses.segment);
        let half = match side {
            Side::Client => &mut self.requests,
            Side::Server => &mut self.responses,
        };
        if !half.reader.is_holding() {
            let blank = chunk.data.len() - detect::trim_line_ends(chunk.data).len();
            if blank > 0 && !is_answer_to_simple {
                return blank;
            }
            if side == Side::Client && self.offer.is_none() && chunk.data.starts_with(h2::PREFACE) {
                self.begin_http2(out);
                return 0;
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
        let in_step = half.in_step;
        match half.reader.read(chunk, is_first && in_step, in_step) {
            Found::More => chunk.data.len(),
            Found::Garbage { used } => {
                half.reader.clear();
                if half.in_step {
                    self.skip_garbage(side, chunk, out);
                }
                used
            }
            Found::TooLarge => {
                self.cut_head(side, Abort::Malformed, chunk.span.last, out);
                self.lose(side, chunk.position.sent..chunk.position.after(chunk.data.len()).sent);
                chunk.data.len()
            }
            // What was searched for may stand in content as well: there no fields follow.
            Found::Head { bytes, span, position, used } if !in_step && !detect::is_head(bytes) => {
                let line = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
                if bytes.len() == used {
                    half.reader.clear();
                    return line;
                }
                let rest = bytes.get(line..).unwrap_or_default().to_vec();
                half.reader.clear();
                let offset = chunk.offset.saturating_add(used as u64).saturating_sub(rest.len() as u64);
                self.data(side, Chunk { data: &rest, span, offset, position: position.after(line) }, out);
                used
            }
            Found::Head { bytes, span, position, used } => {
                let place = HeadPlace { position, end: Some(chunk.position.after(used).sent), last: chunk.span };
                if side == Side::Server {
                    self.waiting.note_unread(read, position);
                }
                match side {
                    Side::Client => {
                        let parsed = head::request(bytes, span, &self.limits);
                        half.reader.clear();
                        if let Some((head, faults)) = parsed {
                            self.request(head, faults, place, out);
                        }
                    }
                    Side::Server if self.waiting.choose(position, segment, progress) == Choice::Undecided => {
                        let (bytes, offset) = (bytes.to_vec(), chunk.offset);
                        half.reader.clear();
                        let head = Chunk { data: &bytes, span, offset, position };
                        half.state = State::Undecided;
                        self.keep_undecided(StreamEvent::Data(head), out);
                    }
                    Side::Server => {
                        let parsed = head::response(bytes, span, &self.limits);
                        half.reader.clear();
                        if let Some((head, faults)) = parsed {
                            self.response(head, faults, place, out);
                        }
                    }
                }
                used
            }
        }
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
            self.waiting.close(offer.stream, self.requests.sent);
            self.requests.state = State::Head;
            return;
        }
        match (side, self.requests.stream) {
            (Side::Client, Some(stream)) => self.waiting.close(stream, self.requests.sent),
            (Side::Client, None) => {}
            (Side::Server, _) if self.responses.stream.is_some() && !self.responses.has_lost => {
                self.waiting.note_end(self.responses.sent);
            }
            (Side::Server, _) => {}
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

    fn fin(&mut self, side: Side, stamp: Stamp, out: Out<'_>) {
        if side == Side::Server {
            self.settle(out);
        }
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
            State::Chunked(ref chunked) if chunked.is_lost() => half.abort(Abort::Lost, stamp, out),
            State::Length(_) | State::Chunked(_) => {
                half.fault(AnomalyKind::BodyCutShort, stamp, out);
                half.abort(if strict { Abort::Malformed } else { reason }, stamp, out);
            }
            State::UntilClose | State::Raw => half.abort(reason, stamp, out),
            State::Head | State::Undecided | State::Unanswered | State::Over => {}
        }
        self.half(side).state = State::Over;
    }

    /// No response will come any more.
    fn abandon(&mut self, reason: Abort, stamp: Stamp, out: Out<'_>) {
        while let Some(pending) = self.waiting.pop() {
            match self.waiting.may_be_answered(&pending) {
                true => self.tell_lost(pending, self.responses.sent, stamp, out),
                false => unanswered(pending.stream, reason, stamp, out),
            }
        }
    }

    /// Closes a response that was lost: the next one begins at `until` at the latest.
    fn tell_lost(&self, pending: Pending, until: u64, stamp: Stamp, out: Out<'_>) {
        if !self.waiting.has_hole() {
            // All of it is there, but it was no response.
            return unanswered(pending.stream, Abort::Malformed, stamp, out);
        }
        let until = self.waiting.next_acked().map_or(until, |next| next.min(until));
        let kind = match self.waiting.lost_of(&pending, until) {
            0 => HttpEventKind::Anomaly(AnomalyKind::ResponseLost, stamp),
            bytes => HttpEventKind::Lost(Side::Server, bytes, stamp),
        };
        out(HttpEvent { stream: pending.stream, kind });
        unanswered(pending.stream, Abort::Lost, stamp, out);
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
