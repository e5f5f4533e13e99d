//! What stands above the transports: flows, name lookups, and what the writer is told of them.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::Options;
use super::flow::{self, Flow, Ledger};
use super::horizon::{Floors, Way};
use super::layer::Shared;
use super::quic::{self as quic_flow, QuicFlow};
use crate::base::{Anomalies, Budget, FrameNumber, Spool, Stamp, Timestamp};
use crate::dns::{self, Dns, DnsStream, Lookup};
use crate::exchange::{Connection, Exchange};
use crate::har;
use crate::net::{FlowKey, Packet};
use crate::quic::{self, QuicEvent};
use crate::tcp::{CloseReason, Facts, Side, Slot, StreamEvent, TcpEvent};
use crate::tls::{KeyLog, TlsInfo};

/// State above TCP and UDP.
pub(super) struct Upper {
    pub(super) options: Options,
    pub(super) keys: KeyLog,
    dns: Dns,
    quic: quic::Connections,
    udp_flows: HashSet<FlowKey, RandomState>,
    /// By TCP slot; nothing until the first byte, so that floods of SYNs stay cheap.
    flows: Vec<Option<Over>>,
    /// By QUIC slot; nothing until the first stream.
    quic_flows: Vec<Option<Box<QuicFlow>>>,
    pub(super) desk: Desk,
}

/// What is told from the port: DNS has no mark of its own.
enum Over {
    Web(Box<Flow>),
    Dns(Box<DnsStream>),
}

/// Where exchanges that are over go.
pub(super) struct Desk {
    budget: Budget,
    pub(super) spool: Spool,
    pub(super) maker: har::Maker,
    /// What the writer was not told yet.
    pub(super) news: har::News,
    /// Bytes of entries that may wait in there.
    room: usize,
    /// Bytes of lookups that may wait in there.
    lookup_room: usize,
    /// What connections hold back.
    pub(super) floors: Floors,
    /// Who is told of exchanges instead of the writer.
    observer: Option<(super::Observer, har::Briefs)>,
    /// Exchanges handed on.
    pub(super) entries: u64,
    /// The frame that is being read.
    pub(super) frame: FrameNumber,
    /// Comment of the frame that is being read.
    pub(super) comment: Option<(FrameNumber, String)>,
}

/// Exchanges that came out of one step, with the TLS session they came through.
type Done = Vec<(Box<Exchange>, Option<TlsInfo>)>;

impl Desk {
    /// What all flows share while one of them works.
    fn shared<'s>(&'s mut self, options: &'s Options, keys: &'s KeyLog) -> Shared<'s> {
        Shared { options, budget: &self.budget, keys, spool: &mut self.spool, number: 0 }
    }

    /// Hands exchanges of one connection to the writer.
    fn enter(&mut self, done: Done, ledger: &mut Ledger, mut connection: Connection) {
        for (mut exchange, tls) in done {
            connection.tls = tls.or(connection.tls);
            ledger.enter(&mut exchange);
            self.entries += 1;
            let Self { maker, spool, news, room, observer, frame, .. } = self;
            match observer {
                Some((observer, briefs)) => briefs.brief(&exchange, &connection).into_iter().for_each(observer),
                None => {
                    if let Some(entry) = maker.exchange(exchange, &connection, *frame, spool) {
                        ledger.entries += 1;
                        news.enter(entry, *room, spool);
                    }
                }
            }
        }
    }

    fn lookup(&mut self, lookup: Lookup) {
        match &mut self.observer {
            Some((_, briefs)) => briefs.lookup(lookup),
            None => self.news.look_up(lookup, self.lookup_room),
        }
    }

    fn closed(&mut self, connection: &Connection) {
        if self.observer.is_none() {
            self.news.closed.push(self.maker.closed(connection, self.frame));
        }
    }

    /// Takes the comment of the frame that is being read.
    fn take_comment(&mut self) -> Option<(FrameNumber, String)> {
        self.comment.take_if(|(frame, _)| *frame == self.frame)
    }
}

impl Upper {
    pub(super) fn new(options: Options, budget: Budget, keys: KeyLog, spool: Spool, room: usize) -> Self {
        let limits = &options.limits;
        Self {
            dns: Dns::new(limits, &budget),
            quic: quic::Connections::new(limits, &budget),
            udp_flows: HashSet::default(),
            flows: Vec::new(),
            quic_flows: Vec::new(),
            desk: Desk {
                budget,
                spool,
                maker: har::Maker::new(&options.har, limits),
                news: har::News::default(),
                room,
                lookup_room: limits.lookup_memory / 8,
                floors: Floors::default(),
                observer: None,
                entries: 0,
                frame: FrameNumber::default(),
                comment: None,
            },
            options,
            keys,
        }
    }

    /// Tells an observer of exchanges, and makes no entries.
    pub(super) fn observe(&mut self, observer: super::Observer) {
        self.desk.observer = Some((observer, har::Briefs::new(&self.options.har, &self.options.limits)));
    }

    pub(super) fn udp(&mut self, packet: &Packet<'_>) {
        let (key, _) = FlowKey::new(packet.source, packet.destination);
        if !self.udp_flows.contains(&key) && self.udp_flows.len() < self.options.limits.connections {
            self.udp_flows.insert(key);
            // Only what begins with a long header may become a QUIC connection (RFC 9000 §17.2).
            let may_be_quic = packet.payload.first().is_some_and(|first| first & 0x80 != 0);
            if !self.options.is_reordered && self.options.share.is_none() {
                self.desk.news.udp.push((packet.stamp.frame, may_be_quic));
            }
        }
        if packet.source.port == dns::PORT || packet.destination.port == dns::PORT {
            let desk = &mut self.desk;
            self.dns.push_udp(packet, &mut |lookup| desk.lookup(lookup));
            return;
        }
        self.quic(packet);
    }

    pub(super) fn quic(&mut self, packet: &Packet<'_>) {
        let Self { options, keys, quic, quic_flows, desk, .. } = self;
        quic.push(packet, keys, &mut |slot, facts, event| {
            quic_event(options, keys, quic_flows, desk, slot, facts, event);
        });
    }

    pub(super) fn tcp(&mut self, slot: Slot, facts: &Facts, event: TcpEvent<'_>) {
        let floors = &mut self.desk.floors;
        match event {
            TcpEvent::Open => {
                if self.flows.len() <= slot.index() {
                    self.flows.resize_with(slot.index() + 1, || None);
                }
                // Only who sees all connections can count them.
                if !facts.is_continued && !self.options.is_reordered && self.options.share.is_none() {
                    self.desk.news.tcp.push(facts.first.frame);
                }
                floors.touch(Way::Tcp(slot.0), facts.first.time);
            }
            TcpEvent::Held(time) => floors.touch(Way::Tcp(slot.0), time),
            TcpEvent::Stream(side, event) => {
                floors.touch(Way::Tcp(slot.0), event.time());
                self.stream(slot, facts, side, event);
            }
            TcpEvent::Close(reason) => {
                self.close(slot, facts, reason);
                self.desk.floors.remove(Way::Tcp(slot.0));
            }
        }
    }

    /// The connection of a slot, once it carried a byte of something that may be the web.
    pub(super) fn flow(&self, slot: Slot) -> Option<&Flow> {
        match self.flows.get(slot.index())?.as_ref()? {
            Over::Web(flow) => Some(flow),
            Over::Dns(_) => None,
        }
    }

    /// When the oldest thing of a QUIC connection came that may become the start of an entry.
    pub(super) fn quic_since(&self, slot: u32, now: Timestamp) -> Option<Timestamp> {
        let facts = self.quic.facts(quic::Slot(slot))?;
        let waiting = self.quic.pending_since(quic::Slot(slot));
        let flow = self.quic_flows.get(slot as usize).and_then(Option::as_ref);
        let since = match flow {
            Some(flow) => flow.pending_since(facts, now),
            None => quic_flow::fresh_since(facts, now),
        };
        since.into_iter().chain(waiting).min()
    }

    /// When the oldest question was asked that may still be answered.
    pub(super) fn lookups_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.dns.pending_since(now)
    }

    fn stream(&mut self, slot: Slot, facts: &Facts, side: Side, event: StreamEvent<'_>) {
        let Self { options, keys, flows, desk, .. } = self;
        let Some(place) = flows.get_mut(slot.index()) else { return };
        let over = match place {
            Some(over) => over,
            None if !matches!(event, StreamEvent::Data(_) | StreamEvent::Gap { .. }) => return,
            None if facts.server.port == dns::PORT => {
                let stream = DnsStream::new(facts.client, facts.server, &options.limits, &desk.budget);
                place.insert(Over::Dns(Box::new(stream)))
            }
            None => place.insert(Over::Web(Box::new(Flow::new(facts.opened.is_none())))),
        };
        match over {
            Over::Dns(stream) => stream.push(side, event, &mut |lookup| desk.lookup(lookup)),
            Over::Web(flow) => {
                if let Some((frame, text)) = desk.take_comment() {
                    flow.ledger.comment(frame, text);
                }
                let mut done = Done::new();
                let mut shared = desk.shared(options, keys);
                flow.push(side, event, &mut shared, &mut |exchange, tls| done.push((exchange, tls.cloned())));
                if !done.is_empty() {
                    let connection = flow.connection(facts, options.limits.anomalies_kept);
                    desk.enter(done, &mut flow.ledger, connection);
                }
            }
        }
    }

    fn close(&mut self, slot: Slot, facts: &Facts, reason: CloseReason) {
        let Self { options, keys, flows, desk, .. } = self;
        let keep = options.limits.anomalies_kept;
        match flows.get_mut(slot.index()).and_then(Option::take) {
            Some(Over::Web(mut flow)) => {
                let mut done = Done::new();
                let mut shared = desk.shared(options, keys);
                flow.finish(reason, facts.last, &mut shared, &mut |exchange, tls| done.push((exchange, tls.cloned())));
                if !done.is_empty() {
                    let connection = flow.connection(facts, keep);
                    desk.enter(done, &mut flow.ledger, connection);
                }
                desk.closed(&flow.connection(facts, keep));
            }
            Some(Over::Dns(mut stream)) => {
                stream.finish(&mut |lookup| desk.lookup(lookup));
                desk.closed(&Connection { protocol: "DNS".to_owned(), ..flow::from_facts(facts) });
            }
            None => desk.closed(&flow::from_facts(facts)),
        }
    }

    /// The last packet of the QUIC connection that was idle longest.
    pub(super) fn quic_idle_since(&self) -> Option<Stamp> {
        self.quic.idle_since()
    }

    /// Closes the QUIC connection that was idle longest, to win memory; false when there is none.
    pub(super) fn evict_quic(&mut self) -> bool {
        let Self { options, keys, quic, quic_flows, desk, .. } = self;
        quic.evict_oldest(&mut |slot, facts, event| quic_event(options, keys, quic_flows, desk, slot, facts, event))
    }

    /// A round of frames is over: closes QUIC connections that were idle for long.
    pub(super) fn end_quic_round(&mut self, passed: Timestamp) {
        let Self { options, keys, quic, quic_flows, desk, .. } = self;
        quic.end_round(passed, &mut |slot, facts, event| {
            quic_event(options, keys, quic_flows, desk, slot, facts, event)
        });
    }

    /// The capture ends.
    pub(super) fn finish(&mut self) {
        let Self { options, keys, quic, quic_flows, desk, dns, .. } = self;
        quic.finish(keys, &mut |slot, facts, event| quic_event(options, keys, quic_flows, desk, slot, facts, event));
        dns.finish(&mut |lookup| desk.lookup(lookup));
    }

    pub(super) fn dns_anomalies(&self) -> &Anomalies {
        self.dns.anomalies()
    }
}

fn quic_event(
    options: &Options,
    keys: &KeyLog,
    flows: &mut Vec<Option<Box<QuicFlow>>>,
    desk: &mut Desk,
    slot: quic::Slot,
    facts: &quic::Facts,
    event: QuicEvent<'_>,
) {
    let index = slot.0 as usize;
    if flows.len() <= index {
        flows.resize_with(index + 1, || None);
    }
    let Some(place) = flows.get_mut(index) else { return };
    let keep = options.limits.anomalies_kept;
    let way = Way::Quic(slot.0);
    match &event {
        QuicEvent::Open => desk.floors.touch(way, facts.first.time),
        QuicEvent::Stream(_, _, event) => desk.floors.touch(way, event.time()),
        QuicEvent::StreamReset { stamp, .. } => desk.floors.touch(way, stamp.time),
        QuicEvent::Close(_) => desk.floors.remove(way),
    }
    let comment = desk.take_comment();
    let mut shared = desk.shared(options, keys);
    let mut done = Done::new();
    let mut sink = |exchange, tls: Option<&TlsInfo>| done.push((exchange, tls.cloned()));
    match event {
        QuicEvent::Open => return,
        QuicEvent::Stream(id, side, event) => {
            let flow = place.get_or_insert_with(|| Box::new(QuicFlow::new(facts, &shared)));
            flow.stream(id, side, event, &mut shared, &mut sink);
        }
        QuicEvent::StreamReset { stream, side, code, stamp } => {
            if let Some(flow) = place {
                flow.reset(stream, side, code, stamp, &mut shared, &mut sink);
            }
        }
        QuicEvent::Close(reason) => {
            match place.take() {
                Some(mut flow) => {
                    flow.finish(&reason, facts.last, &mut shared, &mut sink);
                    if !done.is_empty() {
                        let connection = flow.connection(facts, keep);
                        desk.enter(done, &mut flow.ledger, connection);
                    }
                    desk.closed(&flow.connection(facts, keep));
                }
                None => desk.closed(&quic_flow::from_facts(facts)),
            }
            return;
        }
    }
    let Some(flow) = place else { return };
    if let Some((frame, text)) = comment {
        flow.ledger.comment(frame, text);
    }
    if !done.is_empty() {
        let connection = flow.connection(facts, keep);
        desk.enter(done, &mut flow.ledger, connection);
    }
}
