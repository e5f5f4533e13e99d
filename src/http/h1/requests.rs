//! Requests: what their heads say about what follows, and which exchanges are open.

use super::half::State;
use super::head::{self, Faults, Framing};
use super::offer::Offer;
use super::pairing::{Method, Pending};
use super::{Connection, HeadPlace, Out, unanswered};
use crate::base::anomaly::AnomalyKind;
use crate::http::held::Held;
use crate::http::{Abort, HttpEvent, HttpEventKind, RequestHead, StreamId};
use crate::tcp::Side;

impl Connection {
    /// A request head was read.
    pub(super) fn request(&mut self, head: RequestHead, mut faults: Faults, place: HeadPlace, out: Out<'_>) {
        if self.is_settled_by(place.position) {
            self.settle(out);
        }
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
        let stream = self.open(head, method, faults, place, out);
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
            self.abandon(Abort::Closed, place.last.last, out);
        }
    }

    /// Begins an exchange.
    pub(super) fn open(
        &mut self,
        head: RequestHead,
        method: Method,
        faults: Faults,
        place: HeadPlace,
        out: Out<'_>,
    ) -> StreamId {
        let HeadPlace { position, end, last } = place;
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
        let version = head.version;
        self.waiting.add(Pending { stream, method, version, position, end: None, is_behind_hole: false });
        self.requests.begin(Some(stream), head.size, last, end);
        let first = head.span.first;
        self.requests.emit(HttpEventKind::Request(Box::new(head)), out);
        for kind in faults.kinds() {
            self.requests.fault(kind, first, out);
        }
        stream
    }
}
