//! One transport connection on its way through the engine: its layers, and what is known about it.

use super::horizon::fresh;
use super::layer::{Done, Layer, Shared};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, FrameNumber, Stamp, Timestamp};
use crate::exchange::{Connection, ConnectionId, Ending, Exchange, TransportFacts};
use crate::http::Abort;
use crate::tcp::{CloseReason, Facts, Side, StreamEvent};
use crate::tls::Decryption;

/// Frame comments remembered for a connection until an exchange takes them.
const COMMENTS_KEPT: usize = 64;

/// What is counted of every connection, whatever carries it.
#[derive(Default)]
pub(super) struct Ledger {
    /// Ordinal of the next request.
    pub(super) number: u32,
    /// Exchanges handed on.
    pub(super) exchanges: u32,
    /// Entries that came of them.
    pub(super) entries: u32,
    /// The first one was handed on.
    first_is_over: bool,
    comments: Vec<(FrameNumber, String)>,
}

impl Ledger {
    /// Remembers what somebody wrote to a frame of this connection.
    pub(super) fn comment(&mut self, frame: FrameNumber, text: String) {
        if self.comments.len() < COMMENTS_KEPT {
            self.comments.push((frame, text));
        }
    }

    /// When the connection opened, while its first exchange may still count the handshake; `is_busy` while that goes on.
    pub(super) fn fresh(
        &self,
        opened: Option<Stamp>,
        connected: Option<Stamp>,
        is_busy: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let is_open = self.number > 0 && !self.first_is_over;
        if self.first_is_over { None } else { fresh(opened, connected, is_busy || is_open, now) }
    }

    /// Counts an exchange and gives it the comments written to its frames.
    pub(super) fn enter(&mut self, exchange: &mut Exchange) {
        let from = exchange.request.start.frame;
        let to = exchange.response.as_ref().map_or(exchange.request.end, |response| response.end).frame;
        let of_it = self.comments.extract_if(.., |(frame, _)| (from..=to).contains(frame));
        self.first_is_over |= exchange.number == 0;
        exchange.comments = of_it.map(|(_, text)| text).collect();
        self.exchanges += 1;
    }
}

/// A TCP connection.
pub(super) struct Flow {
    layer: Layer,
    pub(super) ledger: Ledger,
    /// Where it ended, when that is in the middle of a message head.
    ends_in_head: Option<Ending>,
}

impl Flow {
    /// A connection; the capture begins in the middle of it when it `is_midway`.
    pub(super) fn new(is_midway: bool) -> Self {
        Self { layer: Layer::of_connection(is_midway), ledger: Ledger::default(), ends_in_head: None }
    }

    pub(super) fn push(&mut self, side: Side, event: StreamEvent<'_>, shared: &mut Shared<'_>, done: Done<'_>) {
        shared.number = self.ledger.number;
        self.layer.push(side, event, shared, done);
        self.ledger.number = shared.number;
    }

    pub(super) fn finish(&mut self, reason: CloseReason, stamp: Stamp, shared: &mut Shared<'_>, done: Done<'_>) {
        shared.number = self.ledger.number;
        let reason = abort(reason);
        let head = self.layer.finish(reason, stamp, shared, done);
        self.ends_in_head = head.map(|side| Ending { side, reason });
        self.ledger.number = shared.number;
    }

    /// When the oldest thing came that may become the start of an entry.
    pub(super) fn pending_since(&self, facts: &Facts, now: Timestamp) -> Option<Timestamp> {
        let tls = self.layer.tls();
        let connected = tls.and_then(|tls| tls.end).or(facts.established);
        let is_busy = tls.is_some_and(|tls| tls.end.is_none() && !matches!(tls.decryption, Decryption::Failed(_)));
        let fresh = self.ledger.fresh(facts.opened, connected, is_busy, now);
        self.layer.pending_since().into_iter().chain(fresh).min()
    }

    /// What is known about the connection now.
    pub(super) fn connection(&self, facts: &Facts, keep: usize) -> Connection {
        let mut connection = from_facts(facts);
        let mut above = Anomalies::default();
        self.layer.anomalies(&mut above, keep);
        // A hole is counted where it is, in TCP's stream, and not by every layer that it goes through.
        connection.anomalies.merge_without(AnomalyKind::BytesLost, &above, keep);
        connection.tls = self.layer.tls().cloned();
        connection.protocol = self.layer.protocol().to_owned();
        connection.exchanges = self.ledger.exchanges;
        connection.entries = self.ledger.entries;
        connection.ends_in_head = self.ends_in_head;
        if self.layer.is_flipped() {
            std::mem::swap(&mut connection.client, &mut connection.server);
            connection.loss.reverse();
            connection.bytes.reverse();
            connection.seen.reverse();
            connection.opened = None;
            connection.established = None;
        }
        connection
    }
}

/// What is known of a connection that never carried a byte.
pub(super) fn from_facts(facts: &Facts) -> Connection {
    Connection {
        id: ConnectionId(facts.first.frame),
        client: facts.client,
        server: facts.server,
        first: facts.first,
        last: facts.last,
        opened: facts.opened,
        established: facts.established,
        rtt: facts.rtt,
        transport: TransportFacts::Tcp,
        tls: None,
        loss: facts.loss,
        bytes: facts.bytes,
        anomalies: facts.anomalies.clone(),
        protocol: "no data".to_owned(),
        exchanges: 0,
        entries: 0,
        seen: facts.seen,
        ends_in_head: None,
    }
}

/// Why the messages of a connection that ended so did not come to their end.
fn abort(reason: CloseReason) -> Abort {
    match reason {
        CloseReason::Finished | CloseReason::Reused | CloseReason::Idle => Abort::Closed,
        CloseReason::Reset => Abort::Reset,
        CloseReason::Evicted => Abort::Evicted,
        CloseReason::CaptureEnd => Abort::CaptureEnd,
    }
}
