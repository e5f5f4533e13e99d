//! The phases of an entry, from the moments seen on the wire.

use serde::{Deserialize, Serialize};

use crate::base::anomaly::AnomalyKind;
use crate::exchange::{Connection, Exchange, TransportFacts};

/// A handshake that is this close to the request that follows it was made for that request, however fast the network is.
/// Browsers open spare connections ahead of need; those wait longer than their handshake took.
const CLOSE: i64 = 10_000_000;

/// A request that follows a SYN within the first three transmissions of RFC 6298 §2 waited for it, even when the rest of the
/// handshake is not in the capture.
const HANDSHAKE_UNSEEN: i64 = 7_000_000_000;

/// The moments of an exchange in nanoseconds since 1970, never running backwards:
/// `opened <= connected <= begun <= sent <= answered <= ended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// Start and end of the connection's handshake, when this request waited for it.
    pub connect: Option<(i64, i64)>,
    /// The part of the handshake that was TLS.
    pub tls: Option<(i64, i64)>,
    /// True when the transport handshake is the TLS handshake.
    pub is_quic: bool,
    /// First byte of the request.
    pub begun: i64,
    /// Last byte of the request.
    pub sent: i64,
    /// First byte of the final response, or when it was known that there would be none.
    pub answered: i64,
    /// Last byte of the response.
    pub ended: i64,
}

/// Until when a request may begin that waited for a handshake, opened and done at these times; nanoseconds since 1970.
pub fn handshake_deadline(opened: i64, connected: Option<i64>) -> i64 {
    match connected {
        Some(connected) => connected.saturating_add(CLOSE.max(connected.saturating_sub(opened))),
        None => opened.saturating_add(HANDSHAKE_UNSEEN),
    }
}

impl Moments {
    /// The moments of an exchange, and what had to be bent to bring them in order.
    pub fn of(exchange: &Exchange, connection: &Connection) -> (Self, Option<AnomalyKind>) {
        let mut fault = None;
        let mut not_before = |moment: i64, floor: i64| {
            if moment < floor {
                fault = Some(AnomalyKind::TimeBackwards);
            }
            moment.max(floor)
        };
        let begun = exchange.request.start.time.0;
        let mut sent = not_before(exchange.request.end.time.0, begun);
        let (answered, ended) = match &exchange.response {
            Some(response) => {
                let answered = not_before(response.start.time.0, begun);
                (answered, not_before(response.end.time.0, answered))
            }
            None => {
                let known = exchange.unanswered.map_or(sent, |(_, stamp)| stamp.time.0.max(sent));
                (known, known)
            }
        };
        if answered < sent {
            sent = answered;
            // Both sides of a tunnel, a WebSocket or a gRPC call may speak at any time.
            if exchange.upgrade.is_none() && !super::messages::is_grpc(&exchange.request.head.headers) {
                fault = fault.or(Some(AnomalyKind::ResponseEarly));
            }
        }
        let (connect, tls) = Self::handshake(exchange, connection, begun).unzip();
        let is_quic = matches!(connection.transport, TransportFacts::Quic(_));
        (Self { connect, tls: tls.flatten(), is_quic, begun, sent, answered, ended }, fault)
    }

    /// The handshake that this request waited for.
    #[allow(clippy::type_complexity, reason = "two intervals, one inside the other")]
    fn handshake(exchange: &Exchange, connection: &Connection, begun: i64) -> Option<((i64, i64), Option<(i64, i64)>)> {
        if exchange.number != 0 || exchange.pushed_on.is_some() {
            return None;
        }
        let opened = connection.opened?.time.0;
        let established = connection.established.map(|stamp| stamp.time.0);
        // A TLS handshake that begins later belongs to a tunnel which this very request asks for.
        let tls = connection.tls.as_ref().and_then(|tls| Some((tls.start?.time.0, tls.end?.time.0)));
        let tls = tls.filter(|&(start, _)| start <= begun && exchange.secure);
        let connected = established.max(tls.map(|(_, end)| end));
        // 0-RTT data and false start go out before the handshake is over.
        let end = connected.unwrap_or(begun).min(begun);
        if opened > end {
            return None;
        }
        if begun > handshake_deadline(opened, connected) {
            return None;
        }
        let tls = match connection.transport {
            TransportFacts::Quic(_) => Some((opened, end)),
            TransportFacts::Tcp => tls.map(|(start, finished)| {
                let start = start.clamp(opened, end);
                (start, finished.clamp(start, end))
            }),
        };
        Some(((opened, end), tls))
    }

    /// When the entry begins if no lookup belongs to it.
    pub fn start(&self) -> i64 {
        self.connect.map_or(self.begun, |(opened, _)| opened)
    }

    /// The phases, with the lookup that the connection waited for.
    pub fn phases(&self, dns: Option<(i64, i64)>) -> Phases {
        // Moments, not durations, are cut to microseconds: so the phases add up exactly.
        let micros = |moment: i64| moment.div_euclid(1000);
        let span = |(from, until): (i64, i64)| micros(until) - micros(from);
        let dns =
            dns.filter(|&(query, answer)| query <= answer && self.connect.is_some_and(|(opened, _)| answer <= opened));
        let start = micros(dns.map_or(self.start(), |(query, _)| query));
        let total = micros(self.ended) - start;
        let named = dns.map_or(0, span) + self.connect.map_or(0, span);
        let blocked = micros(self.begun) - start - named;
        let phases = Phases {
            start,
            total,
            blocked: (blocked > 0).then_some(blocked),
            dns: dns.map(span),
            connect: self.connect.map(span),
            ssl: self.tls.map(span),
            send: span((self.begun, self.sent)),
            wait: span((self.sent, self.answered)),
            receive: span((self.answered, self.ended)),
        };
        debug_assert_eq!(phases.sum(), phases.total, "the phases of an entry are its time");
        phases
    }
}

/// The phases of an entry in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    /// Start of the first phase, microseconds since 1970.
    pub start: i64,
    /// `time`: the sum of all phases but `ssl`, which is inside `connect`.
    pub total: i64,
    /// Gaps between the phases before the request.
    pub blocked: Option<i64>,
    /// Name lookup.
    pub dns: Option<i64>,
    /// Handshakes, TLS included.
    pub connect: Option<i64>,
    /// TLS handshake.
    pub ssl: Option<i64>,
    /// First to last byte of the request.
    pub send: i64,
    /// Until the first byte of the response.
    pub wait: i64,
    /// First to last byte of the response.
    pub receive: i64,
}

impl Phases {
    /// What the phases add up to.
    pub fn sum(&self) -> i64 {
        [self.blocked, self.dns, self.connect].into_iter().flatten().sum::<i64>() + self.send + self.wait + self.receive
    }
}
