//! What stands above the transports: flows, name lookups, and the writer they end in.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::Options;
use super::flow::{self, Flow, Ledger};
use super::layer::Shared;
use super::quic::{self as quic_flow, QuicFlow};
use crate::base::{Anomalies, Budget, FrameNumber, Spool, Timestamp};
use crate::capture::Frame;
use crate::dns::{self, Dns, DnsStream};
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
    pub(super) writer: har::Writer,
    /// Where entries go at once; without, they wait in the spool for their order.
    sink: Option<har::Sink>,
    /// Who is told of exchanges instead of the writer.
    pub(super) observer: Option<super::Observer>,
    /// The first line that could not be written.
    pub(super) failure: Option<har::WriteError>,
    /// Entries handed to the writer.
    pub(super) entries: u64,
    /// Comment of the frame that is being read.
    comment: Option<(FrameNumber, String)>,
}

/// Exchanges that came out of one step, with the TLS session they came through.
type Done = Vec<(Exchange, Option<TlsInfo>)>;

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
            let Self { writer, spool, sink, observer, failure, .. } = self;
            if let Some(observer) = observer {
                if let Some(brief) = writer.brief(&exchange, &connection) {
                    observer(brief);
                }
                continue;
            }
            match sink {
                Some(sink) => {
                    if let Err(error) = sink.take(writer, exchange, &connection, spool) {
                        failure.get_or_insert(error);
                    }
                }
                None => writer.exchange(exchange, &connection, spool),
            }
        }
    }

    /// Writes what the sink holds back.
    pub(super) fn finish_sink(&mut self) -> Result<(), har::WriteError> {
        self.sink.take().map_or(Ok(()), |sink| sink.finish(&mut self.writer))
    }

    fn closed(&mut self, connection: &Connection) {
        self.writer.connection_closed(connection, &mut self.spool);
    }
}

impl Upper {
    pub(super) fn new(options: Options, budget: Budget, keys: KeyLog, spool: Spool, sink: Option<har::Sink>) -> Self {
        let limits = &options.limits;
        let writer = har::Writer::new(options.har.clone(), limits.clone());
        Self {
            dns: Dns::new(limits, &budget),
            quic: quic::Connections::new(limits, &budget),
            udp_flows: HashSet::default(),
            flows: Vec::new(),
            quic_flows: Vec::new(),
            desk: Desk { budget, spool, writer, sink, observer: None, failure: None, entries: 0, comment: None },
            options,
            keys,
        }
    }

    /// Remembers the comment of a frame until its packet finds its connection.
    pub(super) fn comment(&mut self, frame: &Frame<'_>) {
        self.desk.comment = frame.comment.map(|text| (frame.number, text.to_owned()));
    }

    pub(super) fn udp(&mut self, packet: &Packet<'_>) {
        let (key, _) = FlowKey::new(packet.source, packet.destination);
        if !self.udp_flows.contains(&key) && self.udp_flows.len() < self.options.limits.connections {
            self.udp_flows.insert(key);
            self.desk.writer.udp_opened(packet.stamp.frame);
        }
        if packet.source.port == dns::PORT || packet.destination.port == dns::PORT {
            let writer = &mut self.desk.writer;
            self.dns.push_udp(packet, &mut |lookup| writer.lookup(lookup));
            return;
        }
        let Self { options, keys, quic, quic_flows, desk, .. } = self;
        quic.push(packet, keys, &mut |slot, facts, event| {
            quic_event(options, keys, quic_flows, desk, slot, facts, event);
        });
    }

    pub(super) fn tcp(&mut self, slot: Slot, facts: &Facts, event: TcpEvent<'_>) {
        match event {
            TcpEvent::Open => {
                if self.flows.len() <= slot.index() {
                    self.flows.resize_with(slot.index() + 1, || None);
                }
                if !facts.is_continued {
                    self.desk.writer.tcp_opened(facts.first.frame);
                }
            }
            TcpEvent::Stream(side, event) => self.stream(slot, facts, side, event),
            TcpEvent::Close(reason) => self.close(slot, facts, reason),
        }
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
            None => place.insert(Over::Web(Box::new(Flow::new()))),
        };
        match over {
            Over::Dns(stream) => stream.push(side, event, &mut |lookup| desk.writer.lookup(lookup)),
            Over::Web(flow) => {
                if let Some((frame, text)) = desk.comment.take() {
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
                stream.finish(&mut |lookup| desk.writer.lookup(lookup));
                desk.closed(&Connection { protocol: "DNS".to_owned(), ..flow::from_facts(facts) });
            }
            None => desk.closed(&flow::from_facts(facts)),
        }
    }

    /// Closes the QUIC connection that was idle longest, to win memory; false when there is none.
    pub(super) fn evict_quic(&mut self) -> bool {
        let Self { options, keys, quic, quic_flows, desk, .. } = self;
        quic.evict_oldest(&mut |slot, facts, event| quic_event(options, keys, quic_flows, desk, slot, facts, event))
    }

    /// Closes QUIC connections that were idle for long.
    pub(super) fn expire_quic(&mut self, now: Timestamp) {
        let Self { options, keys, quic, quic_flows, desk, .. } = self;
        quic.expire(now, &mut |slot, facts, event| quic_event(options, keys, quic_flows, desk, slot, facts, event));
    }

    /// The capture ends.
    pub(super) fn finish(&mut self) {
        let Self { options, keys, quic, quic_flows, desk, dns, .. } = self;
        quic.finish(keys, &mut |slot, facts, event| quic_event(options, keys, quic_flows, desk, slot, facts, event));
        dns.finish(&mut |lookup| desk.writer.lookup(lookup));
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
    let comment = desk.comment.take();
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
