//! Requests that may change the protocol of their connection: CONNECT and Upgrade
//! ([RFC 9110 §7.8, §9.3.6](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)).

use super::half::State;
use super::pairing::Method;
use super::{Connection, Out};
use crate::base::anomaly::AnomalyKind;
use crate::http::detect::{self, Start};
use crate::http::held::Held;
use crate::http::{Abort, HttpEventKind, StreamId, Upgrade, h2};
use crate::tcp::{Chunk, Side, StreamEvent};

/// A request after which the connection may change its protocol.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) stream: StreamId,
    /// The request is complete; its end is told when it is known that nothing belongs to it any more.
    pub(super) is_complete: bool,
    /// HTTP2-Settings of the request.
    pub(super) settings: Option<Vec<u8>>,
    /// What the client sent behind it.
    pub(super) held: Held,
}

impl Connection {
    /// The offer was taken: both sides speak another protocol from here on.
    pub(super) fn upgrade(&mut self, upgrade: Upgrade, out: Out<'_>) {
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
    pub(super) fn upgrade_to_http2(&mut self, out: Out<'_>) {
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

    /// True when the client goes on as if its offer was accepted, in bytes that are not in the capture.
    pub(super) fn is_accepted_unseen(&self, chunk: Chunk<'_>) -> bool {
        let has_lost = self.waiting.has_lost_responses() || chunk.position.acked > self.responses.sent;
        let is_next = self.offer.as_ref().is_some_and(|offer| offer.is_complete && offer.held.size() == 0);
        has_lost && is_next && matches!(detect::start(chunk.data, false), Start::No | Start::Http2)
    }

    /// The response that accepted the offer was lost: the bytes of both sides are of another protocol.
    pub(super) fn accept_unseen(&mut self, chunk: Chunk<'_>, out: Out<'_>) {
        if chunk.data.starts_with(h2::PREFACE) {
            return self.begin_http2(out);
        }
        let Some(offer) = self.offer.take() else { return };
        let stamp = chunk.span.first;
        let mut method = Method::Other;
        while let Some(pending) = self.waiting.pop() {
            method = pending.method;
            if pending.stream == offer.stream {
                break;
            }
            self.tell_lost(pending, chunk.position.acked, stamp, out);
        }
        self.responses.begin(Some(offer.stream), 0, chunk.span, None);
        self.responses.fault(AnomalyKind::ResponseLost, stamp, out);
        if method == Method::Connect {
            self.responses.emit(HttpEventKind::Upgrade(Upgrade::Tunnel), out);
        } else {
            // What was agreed upon is not known: the bytes are passed over.
            self.requests.end(out);
            self.responses.abort(Abort::Lost, stamp, out);
        }
        self.requests.state = State::Raw;
        self.responses.state = State::Raw;
    }

    /// The client begins to speak HTTP/2: it was accepted in bytes that are not in the capture, or was known before.
    pub(super) fn begin_http2(&mut self, out: Out<'_>) {
        let connection = match self.offer.take() {
            Some(offer) if offer.settings.is_some() && offer.is_complete => {
                self.requests.end(out);
                self.waiting.remove(offer.stream);
                let settings = offer.settings.as_deref();
                h2::Connection::upgraded(&self.limits, &self.budget, offer.stream, settings)
            }
            offer => {
                self.offer = offer;
                self.withdraw_offer(out);
                h2::Connection::new(&self.limits, &self.budget)
            }
        };
        self.successor = Some(Box::new(connection));
    }

    /// The offer was refused, or will not be answered: what the client sent behind it are requests.
    pub(super) fn withdraw_offer(&mut self, out: Out<'_>) {
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
    pub(super) fn hold(&mut self, event: StreamEvent<'_>) -> bool {
        let limit = self.limits.head;
        let Some(offer) = self.offer.as_mut().filter(|offer| offer.held.size() <= limit) else { return false };
        offer.held.push(Side::Client, event);
        true
    }
}
