//! One shard: packets in, news for the writer out. Shards share nothing but the key log.

use std::path::PathBuf;

use super::Options;
use super::front::Clock;
use super::horizon::{Way, fresh};
use super::upper::Upper;
use crate::base::{Anomalies, Budget, FrameNumber, Limits, Spool, Stamp, Timestamp};
use crate::har::{Horizon, News, Totals};
use crate::net::{Packet, Transport};
use crate::tcp::{self, Slot, TcpEvent};
use crate::tls::KeyLog;

/// Follows the connections whose packets it is given, in the order of the capture.
pub struct Shard {
    tcp: tcp::Connections,
    pub(super) upper: Upper,
    budget: Budget,
}

/// What is left of a shard.
pub struct Rest {
    /// What the writer was not told yet.
    pub news: News,
    /// What was counted.
    pub totals: Totals,
    /// Faults that belong to no connection.
    pub anomalies: Anomalies,
}

impl Shard {
    /// One of `of` shards, which share the memory that is allowed; temporary files lie in `folder`.
    pub fn new(options: &Options, keys: KeyLog, folder: Option<PathBuf>, of: usize) -> Self {
        let mut options = options.clone();
        let limits = &mut options.limits;
        limits.memory /= of.max(1);
        limits.connections = limits.connections.div_ceil(of.max(1));
        let room = Self::room(limits, of);
        let budget = Budget::new(limits.memory);
        Self {
            tcp: tcp::Connections::new(&options.limits, &budget, options.tcp),
            upper: Upper::new(options, budget.clone(), keys, Spool::new(folder), room),
            budget,
        }
    }

    /// Bytes of entries that may wait in the news of one of `of` shards: a third of its part of what may wait, for as much as two of them
    /// may be on their way.
    pub fn room(limits: &Limits, of: usize) -> usize {
        limits.waiting / (3 * of.max(1))
    }

    /// Takes a packet.
    #[inline]
    pub fn push(&mut self, packet: &Packet<'_>) {
        let Self { tcp, upper, .. } = self;
        upper.desk.frame = packet.stamp.frame;
        match packet.transport {
            Transport::Tcp(header) => {
                tcp.push(packet, &header, &mut |slot, facts, event: TcpEvent<'_>| upper.tcp(slot, facts, event));
            }
            Transport::Udp => upper.udp(packet),
        }
        if self.budget.is_overdrawn() {
            self.evict(packet.stamp.time);
        }
    }

    /// Takes a packet that was given to all shards, because one of them may know its QUIC connection.
    pub fn push_stray(&mut self, packet: &Packet<'_>) {
        self.upper.desk.frame = packet.stamp.frame;
        self.upper.quic(packet);
    }

    /// What people wrote to a frame whose packet comes next.
    pub fn comment(&mut self, frame: FrameNumber, text: &str) {
        self.upper.desk.comment = Some((frame, text.to_owned()));
    }

    fn evict(&mut self, now: Timestamp) {
        let Self { tcp, upper, budget } = self;
        while budget.is_overdrawn() {
            // Whoever was idle longest, so that floods of one kind do not push out all of the other.
            let frame = |last: Option<Stamp>| last.map(|last| last.frame);
            let is_evicted = match (frame(tcp.idle_since()), frame(upper.quic_idle_since())) {
                (Some(tcp), Some(quic)) if quic < tcp => upper.evict_quic(),
                (None, _) => upper.evict_quic(),
                _ => tcp.evict_oldest(now, &mut |slot, facts, event| upper.tcp(slot, facts, event)),
            };
            if !is_evicted {
                break;
            }
        }
    }

    /// What happened since the last call.
    pub fn news(&mut self) -> &mut News {
        let desk = &mut self.upper.desk;
        if let Some(error) = desk.spool.failure().or_else(|| desk.maker.failure()) {
            desk.news.failure.get_or_insert(error);
        }
        &mut desk.news
    }

    /// A round of frames is over: closes connections that were idle for long, and says what may still come.
    pub fn end_round(&mut self, clock: Clock) -> &mut News {
        let Clock { now, behind } = clock;
        let Self { tcp, upper, .. } = self;
        upper.desk.frame = now.frame;
        tcp.end_round(behind, &mut |slot, facts, event| upper.tcp(slot, facts, event));
        upper.end_quic_round(behind);
        let mut floors = std::mem::take(&mut upper.desk.floors);
        let entries = floors.earliest(now.time, |way| match way {
            Way::Tcp(slot) => self.tcp_since(Slot(slot), now.time),
            Way::Quic(slot) => self.upper.quic_since(slot, now.time),
        });
        let desk = &mut self.upper.desk;
        desk.floors = floors;
        let lookups = self.upper.lookups_since(now.time).unwrap_or(now.time).min(now.time);
        let news = self.news();
        news.horizon = Horizon { entries, lookups };
        news
    }

    /// When the oldest thing of a connection came that may become the start of an entry.
    fn tcp_since(&self, slot: Slot, now: Timestamp) -> Option<Timestamp> {
        let facts = self.tcp.facts(slot)?;
        let since = match self.upper.flow(slot) {
            Some(flow) => flow.pending_since(facts, now),
            None => fresh(facts.opened, facts.established, false, now),
        };
        since.into_iter().chain(self.tcp.held_since(slot)).min()
    }

    /// The capture ends: all connections are closed.
    pub fn finish(mut self) -> Rest {
        let Self { tcp, upper, .. } = &mut self;
        upper.desk.frame = FrameNumber(u64::MAX);
        tcp.finish(&mut |slot, facts, event| upper.tcp(slot, facts, event));
        upper.finish();
        let anomalies = upper.dns_anomalies().clone();
        let news = std::mem::take(self.news());
        Rest { news, totals: self.upper.desk.maker.totals().clone(), anomalies }
    }
}
