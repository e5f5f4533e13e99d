//! Requests that may change the protocol of their connection: CONNECT and Upgrade
//! ([RFC 9110 §7.8, §9.3.6](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)).

use super::half::State;
use super::{Connection, Out};
use crate::http::held::Held;
use crate::http::{HttpEventKind, StreamId, Upgrade, h2};
use crate::tcp::{Side, StreamEvent};

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
