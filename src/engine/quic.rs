//! One QUIC connection on its way through the engine: HTTP/3 on its streams, and what is known about it.

use super::flow::Ledger;
use super::horizon::fresh;
use super::layer::{Done, Shared, Tunnels};
use crate::base::{Stamp, Timestamp};
use crate::exchange::{Connection, ConnectionId, QuicFacts, Tracker, TransportFacts};
use crate::http::{Abort, HttpEvent, h3};
use crate::quic::{CloseReason, Facts};
use crate::tcp::{Side, StreamEvent};
use crate::tls::Decryption;

/// A QUIC connection.
pub(super) struct QuicFlow {
    /// Nothing when the application protocol is not HTTP/3.
    web: Option<Web>,
    pub(super) ledger: Ledger,
}

struct Web {
    connection: h3::Connection,
    tracker: Tracker,
    tunnels: Tunnels,
}

impl QuicFlow {
    pub(super) fn new(facts: &Facts, shared: &Shared<'_>) -> Self {
        let is_web = facts.tls.alpn.as_deref().is_none_or(|alpn| alpn.starts_with("h3"));
        let limits = &shared.options.limits;
        let web = is_web.then(|| Web {
            connection: h3::Connection::new(limits, shared.budget),
            tracker: Tracker::new(limits, shared.budget, shared.options.keep, true),
            tunnels: Tunnels::new(0),
        });
        Self { web, ledger: Ledger::default() }
    }

    pub(super) fn stream(
        &mut self,
        id: u64,
        side: Side,
        event: StreamEvent<'_>,
        shared: &mut Shared<'_>,
        done: Done<'_>,
    ) {
        self.work(shared, done, |connection, out| connection.push(id, side, event, out));
    }

    pub(super) fn reset(
        &mut self,
        id: u64,
        side: Side,
        code: u64,
        stamp: Stamp,
        shared: &mut Shared<'_>,
        done: Done<'_>,
    ) {
        self.work(shared, done, |connection, out| connection.reset(id, side, code, stamp, out));
    }

    pub(super) fn finish(&mut self, reason: &CloseReason, last: Stamp, shared: &mut Shared<'_>, done: Done<'_>) {
        let (reason, stamp) = abort(reason, last);
        self.work(shared, done, |connection, out| connection.finish(reason, stamp, out));
        if let Some(web) = &mut self.web {
            web.tunnels.finish(reason, stamp, shared, done);
            web.tracker.finish(reason, stamp, shared.spool, &mut |exchange| done(exchange, None));
        }
    }

    fn work(
        &mut self,
        shared: &mut Shared<'_>,
        done: Done<'_>,
        feed: impl FnOnce(&mut h3::Connection, &mut dyn FnMut(HttpEvent<'_>)),
    ) {
        let Some(Web { connection, tracker, tunnels }) = &mut self.web else { return };
        shared.number = self.ledger.number;
        feed(connection, &mut |event| {
            tunnels.take(&event, shared, done);
            tracker.push(event, &mut shared.number, shared.spool, &mut |exchange| done(exchange, None));
        });
        self.ledger.number = shared.number;
    }

    /// When the oldest thing came that may become the start of an entry.
    pub(super) fn pending_since(&self, facts: &Facts, now: Timestamp) -> Option<Timestamp> {
        let Web { connection, tracker, tunnels } = self.web.as_ref()?;
        let fresh = self.ledger.fresh(facts.opened, facts.established, is_pending(facts), now);
        let held = connection.pending_since().into_iter().chain(tracker.pending_since());
        held.chain(tunnels.pending_since()).chain(fresh).min()
    }

    /// What is known about the connection now.
    pub(super) fn connection(&self, facts: &Facts, keep: usize) -> Connection {
        let mut connection = from_facts(facts);
        connection.exchanges = self.ledger.exchanges;
        connection.entries = self.ledger.entries;
        if let Some(web) = &self.web {
            connection.anomalies.merge(web.connection.anomalies(), keep);
            web.tunnels.anomalies(&mut connection.anomalies, keep);
        }
        connection
    }
}

/// When a connection opened whose first request may still count its handshake.
pub(super) fn fresh_since(facts: &Facts, now: Timestamp) -> Option<Timestamp> {
    fresh(facts.opened, facts.established, is_pending(facts), now)
}

/// True while secrets may still come.
fn is_pending(facts: &Facts) -> bool {
    matches!(facts.tls.decryption, Decryption::Pending)
}

/// What is known of a connection none of whose streams was read.
pub(super) fn from_facts(facts: &Facts) -> Connection {
    let protocol = match facts.tls.alpn.as_deref() {
        Some(alpn) if alpn.starts_with("h3") => "HTTP/3",
        Some(_) => "QUIC, other than HTTP/3",
        None => "QUIC",
    };
    Connection {
        id: ConnectionId(facts.first.frame),
        client: facts.client,
        server: facts.server,
        first: facts.first,
        last: facts.last,
        opened: facts.opened,
        established: facts.established,
        rtt: facts.rtt,
        transport: TransportFacts::Quic(QuicFacts { version: facts.version, early_data: facts.early_data }),
        tls: Some(facts.tls.clone()),
        loss: facts.loss,
        bytes: facts.bytes,
        anomalies: facts.anomalies.clone(),
        protocol: protocol.to_owned(),
        exchanges: 0,
        entries: 0,
        seen: facts.bytes.map(|bytes| bytes > 0),
        ends_in_head: None,
    }
}

/// Why the messages of a connection that ended so did not come to their end, and when that was known.
fn abort(reason: &CloseReason, last: Stamp) -> (Abort, Stamp) {
    match reason {
        CloseReason::Closed { stamp, .. } => (Abort::Closed, *stamp),
        CloseReason::StatelessReset(stamp) => (Abort::Reset, *stamp),
        CloseReason::Idle => (Abort::Closed, last),
        CloseReason::Evicted => (Abort::Evicted, last),
        CloseReason::CaptureEnd => (Abort::CaptureEnd, last),
    }
}
