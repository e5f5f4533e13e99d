//! What stands above the transports: flows, name lookups, and the writer they end in.

use std::io::Write;

use super::Options;
use super::flow::{Flow, from_facts};
use super::layer::Shared;
use crate::base::{Anomalies, Budget, FrameNumber, Spool};
use crate::capture::Frame;
use crate::dns::{self, Dns, DnsStream};
use crate::exchange::{Connection, Exchange};
use crate::har;
use crate::net::Packet;
use crate::tcp::{CloseReason, Facts, Side, Slot, StreamEvent, TcpEvent};
use crate::tls::{KeyLog, TlsInfo};

/// State above TCP and UDP.
pub(super) struct Upper {
    pub(super) options: Options,
    budget: Budget,
    pub(super) keys: KeyLog,
    pub(super) spool: Spool,
    pub(super) writer: har::Writer,
    /// Where entries go as lines at once; without, they wait in the spool for their order.
    lines: Option<Box<dyn Write + Send>>,
    /// The first line that could not be written.
    pub(super) failure: Option<har::WriteError>,
    /// By TCP slot; nothing until the first byte, so that floods of SYNs stay cheap.
    flows: Vec<Option<Over>>,
    dns: Dns,
    /// Entries handed to the writer.
    pub(super) entries: u64,
    /// Comment of the frame that is being read.
    comment: Option<(FrameNumber, String)>,
}

/// What is told from the port: DNS has no mark of its own.
enum Over {
    Web(Box<Flow>),
    Dns(Box<DnsStream>),
}

impl Upper {
    pub(super) fn new(
        options: Options,
        budget: Budget,
        keys: KeyLog,
        spool: Spool,
        lines: Option<Box<dyn Write + Send>>,
    ) -> Self {
        let dns = Dns::new(&options.limits, &budget);
        let writer = har::Writer::new(options.har.clone(), options.limits.clone());
        let (flows, failure, entries, comment) = (Vec::new(), None, 0, None);
        Self { options, budget, keys, spool, writer, lines, failure, flows, dns, entries, comment }
    }

    /// Remembers the comment of a frame until its packet finds its connection.
    pub(super) fn comment(&mut self, frame: &Frame<'_>) {
        self.comment = frame.comment.map(|text| (frame.number, text.to_owned()));
    }

    pub(super) fn udp(&mut self, packet: &Packet<'_>) {
        let writer = &mut self.writer;
        if packet.source.port == dns::PORT || packet.destination.port == dns::PORT {
            self.dns.push_udp(packet, &mut |lookup| writer.lookup(lookup));
        }
    }

    pub(super) fn tcp(&mut self, slot: Slot, facts: &Facts, event: TcpEvent<'_>) {
        match event {
            TcpEvent::Open => {
                if self.flows.len() <= slot.index() {
                    self.flows.resize_with(slot.index() + 1, || None);
                }
                if !facts.is_continued {
                    self.writer.tcp_opened(facts.first.frame);
                }
            }
            TcpEvent::Stream(side, event) => self.stream(slot, facts, side, event),
            TcpEvent::Close(reason) => self.close(slot, facts, reason),
        }
    }

    fn stream(&mut self, slot: Slot, facts: &Facts, side: Side, event: StreamEvent<'_>) {
        let Some(place) = self.flows.get_mut(slot.index()) else { return };
        let mut over = match place.take() {
            Some(over) => over,
            None if !matches!(event, StreamEvent::Data(_) | StreamEvent::Gap { .. }) => return,
            None if facts.server.port == dns::PORT => {
                let stream = DnsStream::new(facts.client, facts.server, &self.options.limits, &self.budget);
                Over::Dns(Box::new(stream))
            }
            None => Over::Web(Box::new(Flow::new())),
        };
        match &mut over {
            Over::Dns(stream) => {
                let writer = &mut self.writer;
                stream.push(side, event, &mut |lookup| writer.lookup(lookup));
            }
            Over::Web(flow) => {
                if let Some((frame, text)) = self.comment.take() {
                    flow.comment(frame, &text);
                }
                self.run(flow, facts, |flow, shared, done| flow.push(side, event, shared, done));
            }
        }
        if let Some(place) = self.flows.get_mut(slot.index()) {
            *place = Some(over);
        }
    }

    fn close(&mut self, slot: Slot, facts: &Facts, reason: CloseReason) {
        let keep = self.options.limits.anomalies_kept;
        match self.flows.get_mut(slot.index()).and_then(Option::take) {
            Some(Over::Web(mut flow)) => {
                self.run(&mut flow, facts, |flow, shared, done| flow.finish(reason, facts.last, shared, done));
                self.writer.connection_closed(&flow.connection(facts, keep), &mut self.spool);
            }
            Some(Over::Dns(mut stream)) => {
                let writer = &mut self.writer;
                stream.finish(&mut |lookup| writer.lookup(lookup));
                let connection = Connection { protocol: "DNS".to_owned(), ..from_facts(facts) };
                self.writer.connection_closed(&connection, &mut self.spool);
            }
            None => self.writer.connection_closed(&from_facts(facts), &mut self.spool),
        }
    }

    /// Lets a flow work and hands the exchanges that are over to the writer.
    fn run(
        &mut self,
        flow: &mut Flow,
        facts: &Facts,
        work: impl FnOnce(&mut Flow, &mut Shared<'_>, &mut dyn FnMut(Exchange, Option<&TlsInfo>)),
    ) {
        let mut over: Vec<(Exchange, Option<TlsInfo>)> = Vec::new();
        let mut number = flow.number;
        let mut shared = Shared {
            options: &self.options,
            budget: &self.budget,
            keys: &self.keys,
            spool: &mut self.spool,
            number: &mut number,
        };
        work(flow, &mut shared, &mut |exchange, tls| over.push((exchange, tls.cloned())));
        flow.number = number;
        for (mut exchange, tls) in over {
            let to = exchange.response.as_ref().map_or(exchange.request.end, |response| response.end);
            exchange.comments = flow.comments(exchange.request.start.frame, to.frame);
            let mut connection = flow.connection(facts, self.options.limits.anomalies_kept);
            connection.tls = tls.or(connection.tls);
            flow.exchanges += 1;
            self.entries += 1;
            let Self { writer, spool, lines, failure, .. } = self;
            match lines {
                Some(out) => {
                    if let Err(error) = writer.exchange_line(exchange, &connection, spool, out) {
                        failure.get_or_insert(error);
                    }
                }
                None => writer.exchange(exchange, &connection, spool),
            }
        }
    }

    /// The capture ends.
    pub(super) fn finish(&mut self) {
        let writer = &mut self.writer;
        self.dns.finish(&mut |lookup| writer.lookup(lookup));
    }

    pub(super) fn dns_anomalies(&self) -> &Anomalies {
        self.dns.anomalies()
    }
}
