//! What one byte-stream pair carries: HTTP in clear, TLS with HTTP in it, or a tunnel with either inside.

use std::collections::BTreeMap;

use super::Options;
use crate::base::{Anomalies, Budget, Lease, Span, Spool, Stamp, Timestamp};
use crate::exchange::{Exchange, Tracker};
use crate::http::{Abort, Conversation, HttpEvent, HttpEventKind, Protocol, StreamId, Upgrade};
use crate::tcp::{Chunk, Position, Side, StreamEvent};
use crate::tls::{self, KeyLog, Probe, TlsInfo};

/// What all layers of a shard share while one event passes through them.
pub(super) struct Shared<'s> {
    pub(super) options: &'s Options,
    pub(super) budget: &'s Budget,
    pub(super) keys: &'s KeyLog,
    pub(super) spool: &'s mut Spool,
    /// Ordinal of the next request on the connection.
    pub(super) number: u32,
}

/// An exchange that is over, and the TLS session it came through.
pub(super) type Done<'d> = &'d mut dyn FnMut(Box<Exchange>, Option<&TlsInfo>);

/// One layer of a connection.
pub(super) struct Layer {
    state: State,
    /// Layers above this one, the TCP connection's own being 0.
    depth: usize,
    /// Its first bytes are in the middle of what it carries.
    is_midway: bool,
}

enum State {
    /// Too few bytes were seen to tell.
    Undecided(Waiting),
    Clear(Box<Web>),
    Tls(Box<tls::Session>, Box<Web>),
}

/// What waits until the layer is decided.
#[derive(Default)]
struct Waiting {
    held: Vec<Held>,
    /// Bytes before the first one of each side that are not in the capture.
    holes: [Option<(u64, Stamp)>; 2],
    /// Sides whose bytes, behind such a hole, may begin anywhere.
    is_unsure: [bool; 2],
    bytes: usize,
    lease: Option<Lease>,
}

/// Bytes that wait until the layer is decided.
struct Held {
    side: Side,
    data: Vec<u8>,
    span: Span,
    offset: u64,
    position: Position,
    /// Bytes that are lost here, instead of data.
    lost: u64,
}

/// How many bytes of one side wait for a word of the other: room for two of the largest records.
const UNSURE_MAX: usize = 48 << 10;

impl Waiting {
    /// What the bytes of a side say about the layer.
    fn probe(&mut self, side: Side, data: &[u8]) -> Probe {
        let Self { held, holes, is_unsure, bytes, .. } = self;
        let (Some(is_unsure), Some(hole)) = (is_unsure.get_mut(side.index()), holes.get(side.index())) else {
            return Probe::No;
        };
        let start = data.get(..data.len().min(64)).unwrap_or_default();
        if *is_unsure {
            // A segment that begins with a record is enough; else the other side decides.
            return match tls::probe(start) {
                Probe::Yes => Probe::Yes,
                _ if *bytes + data.len() > UNSURE_MAX => Probe::No,
                _ => Probe::More,
            };
        }
        let mut first: Vec<u8> =
            held.iter().filter(|held| held.side == side).flat_map(|held| held.data.clone()).collect();
        first.extend_from_slice(start);
        match tls::probe(&first) {
            Probe::No if hole.is_some() && first.iter().any(|byte| !is_text(*byte)) && data.len() <= UNSURE_MAX => {
                *is_unsure = true;
                Probe::More
            }
            told => told,
        }
    }

    fn hold(&mut self, held: Held, budget: &Budget) {
        self.bytes += held.data.len() + size_of::<Held>();
        self.lease.get_or_insert_with(|| budget.lease()).set(self.bytes);
        self.held.push(held);
    }

    /// Bytes of a side are lost. False when that decides.
    fn lose(&mut self, side: Side, len: u64, stamp: Stamp, budget: &Budget) -> bool {
        if self.is_unsure.get(side.index()) == Some(&true) && self.bytes < UNSURE_MAX {
            let (span, position) = (Span::of(stamp, false), Position::default());
            self.hold(Held { side, data: Vec::new(), span, offset: 0, position, lost: len }, budget);
            return true;
        }
        let is_first = self.held.iter().all(|held| held.side != side);
        if let (true, Some(hole)) = (is_first, self.holes.get_mut(side.index())) {
            let lost = hole.map_or(0, |(lost, _)| lost);
            *hole = Some((lost.saturating_add(len), stamp));
        }
        is_first
    }
}

/// What a message head in clear is made of.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~')
}

impl Layer {
    /// What a connection carries; the capture begins in the middle of it when it `is_midway`.
    pub(super) fn of_connection(is_midway: bool) -> Self {
        Self { is_midway, ..Self::new(0) }
    }

    pub(super) fn new(depth: usize) -> Self {
        Self { state: State::Undecided(Waiting::default()), depth, is_midway: false }
    }

    pub(super) fn push(&mut self, side: Side, event: StreamEvent<'_>, shared: &mut Shared<'_>, done: Done<'_>) {
        let State::Undecided(waiting) = &mut self.state else { return self.pass(side, event, shared, done) };
        match event {
            StreamEvent::Data(chunk) => {
                let is_tls = match waiting.probe(side, chunk.data) {
                    Probe::Yes => true,
                    Probe::No => false,
                    Probe::More => {
                        let Chunk { data, span, offset, position } = chunk;
                        let held = Held { side, data: data.to_vec(), span, offset, position, lost: 0 };
                        return waiting.hold(held, shared.budget);
                    }
                };
                self.decide(is_tls, shared, done);
            }
            StreamEvent::Gap { len, stamp } if waiting.lose(side, len, stamp, shared.budget) => return,
            _ if waiting.held.is_empty() => return,
            _ => self.decide(false, shared, done),
        }
        self.pass(side, event, shared, done);
    }

    fn decide(&mut self, is_tls: bool, shared: &mut Shared<'_>, done: Done<'_>) {
        let Options { limits, .. } = shared.options;
        let web = Box::new(Web::new(self.depth, is_tls, self.is_midway));
        let state = match is_tls {
            true => State::Tls(Box::new(tls::Session::new(limits, shared.budget)), web),
            false => State::Clear(web),
        };
        if let State::Undecided(Waiting { held, holes, .. }) = std::mem::replace(&mut self.state, state) {
            // TLS must know that hellos were lost, and HTTP that its first line may be the rest of one.
            for (side, hole) in Side::BOTH.into_iter().zip(holes) {
                if let Some((len, stamp)) = hole {
                    self.pass(side, StreamEvent::Gap { len, stamp }, shared, done);
                }
            }
            for Held { side, data, span, offset, position, lost } in held {
                let event = match lost {
                    0 => StreamEvent::Data(Chunk { data: &data, span, offset, position }),
                    len => StreamEvent::Gap { len, stamp: span.first },
                };
                self.pass(side, event, shared, done);
            }
        }
    }

    fn pass(&mut self, side: Side, event: StreamEvent<'_>, shared: &mut Shared<'_>, done: Done<'_>) {
        match &mut self.state {
            State::Undecided(_) => {}
            State::Clear(web) => web.push(side, event, None, shared, done),
            State::Tls(session, web) => {
                let keys = shared.keys;
                through(session, web, shared, done, |session, sink| session.push(side, event, keys, sink));
            }
        }
    }

    /// The connection is over. The answer is the side in whose message head it ended, if it did.
    pub(super) fn finish(
        &mut self,
        reason: Abort,
        stamp: Stamp,
        shared: &mut Shared<'_>,
        done: Done<'_>,
    ) -> Option<Side> {
        if let State::Undecided(waiting) = &self.state
            && !waiting.held.is_empty()
        {
            self.decide(false, shared, done);
        }
        match &mut self.state {
            State::Undecided(_) => None,
            State::Clear(web) => web.finish(reason, stamp, shared, done),
            State::Tls(session, web) => {
                let keys = shared.keys;
                through(session, web, shared, done, |session, sink| session.finish(keys, sink));
                let info = session.info();
                web.finish(reason, stamp, shared, &mut |exchange, inner| done(exchange, inner.or(Some(info))))
            }
        }
    }

    /// The TLS session, when this layer is one.
    pub(super) fn tls(&self) -> Option<&TlsInfo> {
        match &self.state {
            State::Tls(session, _) => Some(session.info()),
            _ => None,
        }
    }

    /// When the oldest thing came that may become the start of an entry.
    pub(super) fn pending_since(&self) -> Option<Timestamp> {
        match &self.state {
            State::Undecided(waiting) => waiting.held.first().map(|held| held.span.first.time),
            State::Clear(web) => web.pending_since(),
            State::Tls(session, web) => session.pending_since().into_iter().chain(web.pending_since()).min(),
        }
    }

    /// True when content says that the server of the transport is the client.
    pub(super) fn is_flipped(&self) -> bool {
        match &self.state {
            State::Undecided(_) => false,
            State::Clear(web) => web.is_flipped(),
            State::Tls(session, web) => session.is_flipped() || web.is_flipped(),
        }
    }

    /// What it carries, for people.
    pub(super) fn protocol(&self) -> &'static str {
        match &self.state {
            State::Undecided(waiting) if waiting.held.is_empty() => "no data",
            State::Undecided(_) => "unknown protocol",
            State::Clear(web) => web.protocol().unwrap_or("unknown protocol"),
            State::Tls(_, web) => web.protocol().unwrap_or("TLS"),
        }
    }

    /// Faults that belong to no exchange.
    pub(super) fn anomalies(&self, into: &mut Anomalies, keep: usize) {
        match &self.state {
            State::Undecided(_) => {}
            State::Clear(web) => web.anomalies(into, keep),
            State::Tls(session, web) => {
                into.merge(session.anomalies(), keep);
                web.anomalies(into, keep);
            }
        }
    }
}

/// Lets plaintext flow from a session to the HTTP above it; exchanges are handed on when the session can be asked about itself again.
fn through(
    session: &mut tls::Session,
    web: &mut Web,
    shared: &mut Shared<'_>,
    done: Done<'_>,
    feed: impl FnOnce(&mut tls::Session, &mut dyn FnMut(Side, StreamEvent<'_>)),
) {
    // Asked for once: a conversation that has begun knows what it carries.
    let alpn = if web.inside.is_none() { session.info().alpn.clone() } else { None };
    let mut over: Vec<(Box<Exchange>, Option<TlsInfo>)> = Vec::new();
    feed(session, &mut |side, mut event| {
        // A client can read no byte of a record before the whole record is there and its tag was checked.
        if let (Side::Server, StreamEvent::Data(chunk)) = (side, &mut event) {
            chunk.span.first.time = chunk.span.last.time;
        }
        web.push(side, event, alpn.as_deref(), shared, &mut |exchange, inner| over.push((exchange, inner.cloned())));
    });
    for (exchange, inner) in over {
        done(exchange, inner.as_ref().or(Some(session.info())));
    }
}

/// HTTP on one byte-stream pair, and the tunnels through it.
struct Web {
    inside: Option<(Conversation, Tracker)>,
    tunnels: Tunnels,
    secure: bool,
    is_midway: bool,
}

/// What runs inside CONNECT tunnels and upgraded connections.
pub(super) struct Tunnels {
    open: BTreeMap<StreamId, Tunnel>,
    /// Layers above the ones inside.
    depth: usize,
    /// Faults inside tunnels that are over.
    anomalies: Anomalies,
}

struct Tunnel {
    layer: Layer,
    /// Which sides have ended.
    ended: [bool; 2],
}

impl Web {
    fn new(depth: usize, secure: bool, is_midway: bool) -> Self {
        Self { inside: None, tunnels: Tunnels::new(depth), secure, is_midway }
    }

    fn push(
        &mut self,
        side: Side,
        event: StreamEvent<'_>,
        alpn: Option<&str>,
        shared: &mut Shared<'_>,
        done: Done<'_>,
    ) {
        let Options { limits, http, keep, .. } = shared.options;
        let (conversation, tracker) = self.inside.get_or_insert_with(|| {
            let mut conversation = Conversation::new(limits, shared.budget, *http, alpn);
            if self.is_midway {
                conversation.begin_midway();
            }
            (conversation, Tracker::new(limits, shared.budget, *keep, self.secure))
        });
        let tunnels = &mut self.tunnels;
        let is_gap = matches!(event, StreamEvent::Gap { .. });
        conversation.push(side, event, &mut |event| {
            tunnels.take(&event, shared, done);
            tracker.push(event, &mut shared.number, shared.spool, &mut |exchange| done(exchange, None));
        });
        let client = if conversation.is_flipped() { Side::Server } else { Side::Client };
        if is_gap && side == client && conversation.protocol() != Protocol::Http2 {
            // There may have been requests in there: what follows is not sure to be the first that the connection was made for.
            shared.number = shared.number.max(1);
        }
    }

    fn finish(&mut self, reason: Abort, stamp: Stamp, shared: &mut Shared<'_>, done: Done<'_>) -> Option<Side> {
        let (conversation, tracker) = self.inside.as_mut()?;
        let head = conversation.open_head();
        let tunnels = &mut self.tunnels;
        conversation.finish(reason, stamp, &mut |event| {
            tunnels.take(&event, shared, done);
            tracker.push(event, &mut shared.number, shared.spool, &mut |exchange| done(exchange, None));
        });
        tunnels.finish(reason, stamp, shared, done);
        tracker.finish(reason, stamp, shared.spool, &mut |exchange| done(exchange, None));
        head
    }

    fn pending_since(&self) -> Option<Timestamp> {
        let (conversation, tracker) = self.inside.as_ref()?;
        let own = conversation.pending_since().into_iter().chain(tracker.pending_since());
        own.chain(self.tunnels.pending_since()).min()
    }

    fn is_flipped(&self) -> bool {
        self.inside.as_ref().is_some_and(|(conversation, _)| conversation.is_flipped())
    }

    fn protocol(&self) -> Option<&'static str> {
        match self.inside.as_ref()?.0.protocol() {
            Protocol::Http1 => Some("HTTP/1"),
            Protocol::Http2 => Some("HTTP/2"),
            Protocol::Undecided | Protocol::Unknown => None,
        }
    }

    fn anomalies(&self, into: &mut Anomalies, keep: usize) {
        if let Some((conversation, _)) = &self.inside {
            into.merge(conversation.anomalies(), keep);
        }
        self.tunnels.anomalies(into, keep);
    }
}

impl Tunnels {
    pub(super) fn new(depth: usize) -> Self {
        Self { open: BTreeMap::new(), depth, anomalies: Anomalies::default() }
    }

    /// Passes the bytes of a tunnel to the layer inside it; opens and closes tunnels.
    pub(super) fn take(&mut self, event: &HttpEvent<'_>, shared: &mut Shared<'_>, done: Done<'_>) {
        let stream = event.stream;
        if let HttpEventKind::Upgrade(Upgrade::Tunnel | Upgrade::Other) = event.kind {
            if self.depth < shared.options.limits.tunnel_depth {
                self.open.insert(stream, Tunnel { layer: Layer::new(self.depth + 1), ended: [false; 2] });
            }
            return;
        }
        let Some(tunnel) = self.open.get_mut(&stream) else { return };
        let Some((side, event)) = tunnelled(&event.kind) else { return };
        tunnel.layer.push(side, event, shared, done);
        let (reason, stamp) = match event {
            StreamEvent::Fin(stamp) => (Abort::Closed, stamp),
            StreamEvent::Reset(stamp) => (Abort::Reset, stamp),
            StreamEvent::Data(_) | StreamEvent::Gap { .. } => return,
        };
        if let Some(ended) = tunnel.ended.get_mut(side.index()) {
            *ended = true;
        }
        if tunnel.ended == [true; 2] {
            self.close(stream, reason, stamp, shared, done);
        }
    }

    /// When the oldest thing came that may become the start of an entry.
    pub(super) fn pending_since(&self) -> Option<Timestamp> {
        self.open.values().filter_map(|tunnel| tunnel.layer.pending_since()).min()
    }

    /// The connection is over, and with it every tunnel.
    pub(super) fn finish(&mut self, reason: Abort, stamp: Stamp, shared: &mut Shared<'_>, done: Done<'_>) {
        for stream in self.open.keys().copied().collect::<Vec<_>>() {
            self.close(stream, reason, stamp, shared, done);
        }
    }

    /// Faults inside tunnels.
    pub(super) fn anomalies(&self, into: &mut Anomalies, keep: usize) {
        into.merge(&self.anomalies, keep);
        for tunnel in self.open.values() {
            tunnel.layer.anomalies(into, keep);
        }
    }

    fn close(&mut self, stream: StreamId, reason: Abort, stamp: Stamp, shared: &mut Shared<'_>, done: Done<'_>) {
        if let Some(mut tunnel) = self.open.remove(&stream) {
            tunnel.layer.finish(reason, stamp, shared, done);
            tunnel.layer.anomalies(&mut self.anomalies, shared.options.limits.anomalies_kept);
        }
    }
}

/// What an event means to the layer inside the tunnel it belongs to.
fn tunnelled<'e>(kind: &HttpEventKind<'e>) -> Option<(Side, StreamEvent<'e>)> {
    match *kind {
        HttpEventKind::Body(side, chunk) => Some((side, StreamEvent::Data(chunk))),
        HttpEventKind::Lost(side, len, stamp) => Some((side, StreamEvent::Gap { len, stamp })),
        HttpEventKind::End { side, span, .. } => Some((side, StreamEvent::Fin(span.last))),
        HttpEventKind::Abort { side, stamp, .. } => Some((side, StreamEvent::Reset(stamp))),
        _ => None,
    }
}
