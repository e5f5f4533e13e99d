//! HTTP/1.1 that may turn into HTTP/2 by `Upgrade: h2c` ([RFC 7540 §3.2](https://www.rfc-editor.org/rfc/rfc7540#section-3.2)).

use super::{Abort, HttpEvent, HttpEventKind, StreamId, Upgrade, h1, h2};
use crate::base::{Anomalies, Budget, Limits, Span, Stamp};
use crate::tcp::{Side, StreamEvent};

/// Offers to change the protocol that are remembered until they are answered.
const OFFERS: usize = 8;

/// An HTTP/1 connection, and the HTTP/2 connection it became.
#[derive(Debug)]
pub(super) struct Http1 {
    connection: h1::Connection,
    above: Above,
}

#[derive(Debug)]
struct Above {
    limits: Limits,
    budget: Budget,
    offers: Vec<Offer>,
    upgraded: Option<(StreamId, Box<h2::Connection>)>,
}

/// A request that offers HTTP/2.
#[derive(Debug)]
struct Offer {
    stream: StreamId,
    span: Span,
    settings: Option<Vec<u8>>,
}

impl Http1 {
    pub(super) fn new(limits: &Limits, budget: &Budget, strict: bool) -> Self {
        let (offers, upgraded) = (Vec::new(), None);
        let above = Above { limits: limits.clone(), budget: budget.clone(), offers, upgraded };
        Self { connection: h1::Connection::new(limits, budget, strict), above }
    }

    pub(super) fn push(&mut self, side: Side, event: StreamEvent<'_>, out: &mut dyn FnMut(HttpEvent<'_>)) {
        let Self { connection, above } = self;
        connection.push(side, event, &mut |event| above.take(event, out));
    }

    pub(super) fn finish(&mut self, reason: Abort, stamp: Stamp, out: &mut dyn FnMut(HttpEvent<'_>)) {
        if let Some((_, connection)) = &mut self.above.upgraded {
            connection.finish(reason, stamp, out);
        }
        let Self { connection, above } = self;
        connection.finish(reason, stamp, &mut |event| above.take(event, out));
    }

    /// True when the connection has become HTTP/2.
    pub(super) fn is_upgraded(&self) -> bool {
        self.above.upgraded.is_some()
    }

    pub(super) fn connection(&mut self) -> &mut h1::Connection {
        &mut self.connection
    }

    pub(super) fn anomalies(&self) -> &Anomalies {
        match &self.above.upgraded {
            Some((_, connection)) if self.connection.anomalies().is_empty() => connection.anomalies(),
            _ => self.connection.anomalies(),
        }
    }
}

impl Above {
    fn take(&mut self, event: HttpEvent<'_>, out: &mut dyn FnMut(HttpEvent<'_>)) {
        if let Some((stream, connection)) = &mut self.upgraded
            && *stream == event.stream
        {
            match event.kind {
                HttpEventKind::Body(side, chunk) => connection.push(side, StreamEvent::Data(chunk), out),
                HttpEventKind::Lost(side, len, stamp) => connection.push(side, StreamEvent::Gap { len, stamp }, out),
                HttpEventKind::End { side, span, .. } => connection.push(side, StreamEvent::Fin(span.last), out),
                HttpEventKind::Abort { side, stamp, .. } => connection.push(side, StreamEvent::Reset(stamp), out),
                _ => {}
            }
            return;
        }
        let stream = event.stream;
        match &event.kind {
            HttpEventKind::Request(head) if head.headers.has_token("upgrade", "h2c") => {
                if self.offers.len() == OFFERS {
                    self.offers.remove(0);
                }
                let settings = head.headers.first("http2-settings").map(<[u8]>::to_vec);
                self.offers.push(Offer { stream, span: head.span, settings });
            }
            HttpEventKind::Upgrade(Upgrade::Http2) => {
                out(event);
                let offer = self.offers.iter().find(|offer| offer.stream == stream);
                let settings = offer.and_then(|offer| offer.settings.as_deref());
                let span = offer.map(|offer| offer.span).unwrap_or_default();
                // The request is complete in HTTP/1; its response comes on stream 1.
                out(HttpEvent { stream, kind: HttpEventKind::End { side: Side::Client, span, wire_size: 0 } });
                let connection = h2::Connection::upgraded(&self.limits, &self.budget, stream, settings);
                self.upgraded = Some((stream, Box::new(connection)));
                self.offers.clear();
                return;
            }
            _ => {}
        }
        out(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Chunk;

    #[test]
    fn the_response_comes_on_stream_one() {
        let mut connection = Http1::new(&Limits::default(), &Budget::new(1 << 20), false);
        let mut seen = Vec::new();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n";
        let mut response = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec();
        // SETTINGS, then HEADERS on stream 1 with END_HEADERS: indexed field 8 is `:status 200`; then DATA with END_STREAM.
        response.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        response.extend_from_slice(&[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88]);
        response.extend_from_slice(&[0, 0, 2, 0, 1, 0, 0, 0, 1, b'h', b'i']);
        for (side, data) in [(Side::Client, &request[..]), (Side::Server, &response[..])] {
            let chunk = Chunk { data, span: Span::default(), offset: 0 };
            connection.push(side, StreamEvent::Data(chunk), &mut |event| {
                let stream = event.stream.0;
                seen.push(match event.kind {
                    HttpEventKind::Request(head) => format!("{stream} request {}", head.target.len()),
                    HttpEventKind::Response(head) => format!("{stream} response {}", head.status),
                    HttpEventKind::Body(side, chunk) => format!("{stream} body {side:?} {}", chunk.data.len()),
                    HttpEventKind::Upgrade(upgrade) => format!("{stream} {upgrade:?}"),
                    HttpEventKind::End { side, .. } => format!("{stream} end {side:?}"),
                    other => format!("{stream} {other:?}"),
                });
            });
        }
        assert!(connection.is_upgraded());
        assert_eq!(
            seen,
            [
                "0 request 1",
                "0 response 101",
                "0 Http2",
                "0 end Client",
                "0 response 200",
                "0 body Server 2",
                "0 end Server"
            ]
        );
    }
}
