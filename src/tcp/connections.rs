//! All TCP connections of a capture: who a packet belongs to, and who has to go.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::connection::{Answer, Connection, Rules};
use super::ends::{Ends, Verdict};
use super::event::{Side, StreamEvent};
use super::facts::Facts;
use super::lineup::Lineup;
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, FrameNumber, Lease, Limits, Recency, Stamp, Timestamp};
use crate::net::{Endpoint, FlowKey, Packet, TcpFlags, TcpHeader, Transport};

/// Number of a connection among the open ones: stable while it lives, used again after its [`TcpEvent::Close`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// The number as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What happens to a connection. `Open` comes first and `Close` last, each exactly once.
#[derive(Debug, Clone, Copy)]
pub enum TcpEvent<'a> {
    /// Its first packet.
    Open,
    /// Bytes of this time wait behind a hole, or for the other side.
    Held(Timestamp),
    /// One direction goes on; the side is the sender.
    Stream(Side, StreamEvent<'a>),
    /// Nothing more comes; the slot is free.
    Close(CloseReason),
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both sides sent their FIN.
    Finished,
    /// A RST.
    Reset,
    /// A SYN opened another connection between the same ends.
    Reused,
    /// Nothing came for a long time.
    Idle,
    /// Memory ran out.
    Evicted,
    /// The capture ends.
    CaptureEnd,
}

/// How streams are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpOptions {
    /// Hand on NUL bytes instead of gaps.
    pub pad_missing: bool,
}

/// Where the events of all connections go, each with the facts of its connection as they are then.
pub type Sink<'s> = dyn FnMut(Slot, &Facts, TcpEvent<'_>) + 's;

/// No slot.
const NONE: u32 = u32::MAX;

/// What is known about a pair of ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Open(u32),
    /// The connection is over: late segments belong to it.
    Over(Box<Ends>),
    /// The connection was given up while it lived: what comes continues it.
    GivenUp,
}

/// Packets in, events of connections out.
#[derive(Debug)]
pub struct Connections {
    rules: Rules,
    budget: Budget,
    /// What the table itself takes.
    lease: Lease,
    places: HashMap<FlowKey, Place, RandomState>,
    slots: Vec<Option<Lineup>>,
    free: Vec<u32>,
    /// Pairs of ends whose connection is over, the longest over first.
    over: VecDeque<FlowKey>,
    recency: Recency,
    /// Connections in which something may wait, with their first frames: those of this round, and of the one before.
    waiting: [Vec<(u32, FrameNumber)>; 2],
    /// The last packet's way: most packets go the same.
    recent: Option<(Endpoint, Endpoint, u32, Side)>,
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: &Limits, budget: &Budget, options: TcpOptions) -> Self {
        Self {
            rules: Rules { limits: limits.clone(), pad_missing: options.pad_missing },
            budget: budget.clone(),
            lease: budget.lease(),
            places: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            over: VecDeque::new(),
            recency: Recency::new(limits.idle_tcp),
            waiting: Default::default(),
            recent: None,
        }
    }

    /// Takes one TCP packet.
    pub fn push(&mut self, packet: &Packet<'_>, header: &TcpHeader, out: &mut Sink<'_>) {
        let Some((slot, side)) = self.find(packet, header, out) else { return };
        self.recency.touch(slot);
        let Some(lineup) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let was_waiting = lineup.is_waiting();
        let reason = lineup.push(Slot(slot), side, packet, header, &self.rules, out);
        if !was_waiting && lineup.is_waiting() {
            let [now, _] = &mut self.waiting;
            now.push((slot, lineup.connection.facts.first.frame));
        }
        if was_waiting {
            // Who is the client may be known better now.
            self.recent = None;
        }
        if let Some(reason) = reason {
            self.close(slot, reason, packet.stamp, out);
        }
    }

    /// What has waited for a whole round follows.
    fn settle_waiting(&mut self, out: &mut Sink<'_>) {
        let [now, before] = &mut self.waiting;
        let ready = std::mem::replace(before, std::mem::take(now));
        for (slot, first) in ready {
            let Some(lineup) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { continue };
            if lineup.connection.facts.first.frame == first
                && lineup.is_waiting()
                && let Some(reason) = lineup.settle(Slot(slot), &self.rules, out)
            {
                let last = lineup.connection.facts.last;
                self.close(slot, reason, last, out);
            }
        }
    }

    /// The last packet of the connection that was idle longest.
    pub fn idle_since(&self) -> Option<Stamp> {
        self.connection(self.recency.oldest()?).map(|connection| connection.facts.last)
    }

    /// Closes the connection that was idle longest; what waits behind its holes is handed on after gaps. False when there
    /// is none.
    pub fn evict_oldest(&mut self, now: Timestamp, out: &mut Sink<'_>) -> bool {
        let Some(slot) = self.recency.oldest() else { return false };
        let Some(Lineup { connection, .. }) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return false;
        };
        let last = connection.facts.last;
        let is_idle = now.nanos_since(last.time) > self.rules.limits.idle;
        if !is_idle {
            connection.facts.anomalies.note(AnomalyKind::Evicted, Some(last), self.rules.limits.anomalies_kept);
        }
        self.close(slot, if is_idle { CloseReason::Idle } else { CloseReason::Evicted }, last, out);
        true
    }

    /// A round of frames is over: closes connections that were idle for long. `passed` is a time that no clock is behind any more.
    pub fn end_round(&mut self, passed: Timestamp, out: &mut Sink<'_>) {
        self.settle_waiting(out);
        self.recency.end_round(passed);
        while let Some(slot) = self.recency.idle()
            && let Some(connection) = self.connection(slot)
        {
            self.close(slot, CloseReason::Idle, connection.facts.last, out);
        }
    }

    /// The capture ends: closes all connections in the order of their first packets, and forgets those that are over.
    pub fn finish(&mut self, out: &mut Sink<'_>) {
        let mut open: Vec<(u64, u32)> = Vec::with_capacity(self.slots.len() - self.free.len());
        for (slot, connection) in (0..).zip(&self.slots) {
            open.extend(connection.as_ref().map(|lineup| (lineup.connection.facts.first.frame.0, slot)));
        }
        open.sort_unstable();
        for (_, slot) in open {
            if let Some(last) = self.connection(slot).map(|connection| connection.facts.last) {
                self.close(slot, CloseReason::CaptureEnd, last, out);
            }
        }
        self.places.clear();
        self.over.clear();
        self.settle_lease();
    }

    /// Number of open connections.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True when no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A time that nothing is older than of what an open connection holds back.
    pub fn held_since(&self, slot: Slot) -> Option<Timestamp> {
        self.slots.get(slot.index())?.as_ref()?.held_since()
    }

    /// Facts of an open connection.
    pub fn facts(&self, slot: Slot) -> Option<&Facts> {
        self.connection(slot.0).map(|connection| &connection.facts)
    }

    fn connection(&self, slot: u32) -> Option<&Connection> {
        self.slots.get(slot as usize)?.as_ref().map(|lineup| &lineup.connection)
    }

    /// The connection of a packet, opened if need be; nothing when it belongs to one that is over.
    #[inline]
    fn find(&mut self, packet: &Packet<'_>, header: &TcpHeader, out: &mut Sink<'_>) -> Option<(u32, Side)> {
        let is_syn = header.flags.has(TcpFlags::SYN);
        if let Some((source, destination, slot, side)) = self.recent
            && !is_syn
            && source == packet.source
            && destination == packet.destination
        {
            return Some((slot, side));
        }
        let (key, _) = FlowKey::new(packet.source, packet.destination);
        let slot = match self.places.get(&key) {
            Some(&Place::Open(slot)) => self.find_open(slot, key, packet, header, out)?,
            Some(Place::Over(ends)) => self.find_over(**ends, key, packet, header, out)?,
            Some(Place::GivenUp) => self.open(key, packet, header, !is_syn, out),
            None => self.open(key, packet, header, false, out),
        };
        let connection = self.connection(slot)?;
        let side = connection.side_of(packet);
        // Each packet of these is looked at first.
        let is_settled = connection.answer.is_none() && connection.leftover.is_none();
        self.recent = is_settled.then_some((packet.source, packet.destination, slot, side));
        Some((slot, side))
    }

    /// The open connection, or the one that this packet opens instead of it.
    fn find_open(
        &mut self,
        slot: u32,
        key: FlowKey,
        packet: &Packet<'_>,
        header: &TcpHeader,
        out: &mut Sink<'_>,
    ) -> Option<u32> {
        let lineup = self.slots.get_mut(slot as usize).and_then(Option::as_mut)?;
        let is_reopened = header.flags.has(TcpFlags::SYN) && lineup.is_reopened_by(packet, header, &self.rules.limits);
        let connection = &mut lineup.connection;
        let (side, last) = (connection.side_of(packet), connection.facts.last);
        if let Some(ends) = connection.leftover.as_deref().copied() {
            return match ends.judge(packet, header) {
                Verdict::Foreign => Some(slot),
                Verdict::Old => None,
                Verdict::New => {
                    self.close(slot, CloseReason::Reused, last, out);
                    self.find_over(ends, key, packet, header, out)
                }
            };
        }
        if is_reopened {
            self.close(slot, CloseReason::Reused, last, out);
            return Some(self.open(key, packet, header, false, out));
        }
        if connection.is_foreign_answer(side, header) {
            connection.answer = Some(Box::new(Answer { side, header: *header, stamp: packet.stamp }));
        } else if let Some(Answer { header: answer, stamp, .. }) = connection.completes_answer(side, header) {
            self.close(slot, CloseReason::Reused, last, out);
            // Wireshark goes on with the old stream, so the new one has no number of its own there.
            let (source, destination) = (packet.destination, packet.source);
            let transport = Transport::Tcp(answer);
            let answering = Packet { stamp, selected: false, source, destination, transport, payload: &[], cut: 0 };
            let slot = self.open(key, &answering, &answer, true, out);
            let lineup = self.slots.get_mut(slot as usize).and_then(Option::as_mut)?;
            lineup.push(Slot(slot), Side::Server, &answering, &answer, &self.rules, out);
            return Some(slot);
        }
        Some(slot)
    }

    /// The connection that a packet opens after the end of another one between the same ends.
    fn find_over(
        &mut self,
        ends: Ends,
        key: FlowKey,
        packet: &Packet<'_>,
        header: &TcpHeader,
        out: &mut Sink<'_>,
    ) -> Option<u32> {
        // Wireshark counts another stream only from a SYN.
        let is_counted = header.flags.has(TcpFlags::SYN) && !header.flags.has(TcpFlags::ACK);
        match ends.judge(packet, header) {
            Verdict::Old => None,
            Verdict::New => Some(self.open(key, packet, header, !is_counted, out)),
            Verdict::Foreign => {
                let slot = self.open(key, packet, header, true, out);
                let lineup = self.slots.get_mut(slot as usize).and_then(Option::as_mut)?;
                lineup.connection.leave_over(ends);
                Some(slot)
            }
        }
    }

    fn open(
        &mut self,
        key: FlowKey,
        packet: &Packet<'_>,
        header: &TcpHeader,
        is_continued: bool,
        out: &mut Sink<'_>,
    ) -> u32 {
        while self.len() >= self.rules.limits.connections.clamp(1, NONE as usize) {
            if !self.evict_oldest(packet.stamp.time, out) {
                break;
            }
        }
        let lineup = Lineup::new(packet, header, is_continued, &self.budget, &self.rules.limits);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            let lineup = place.insert(lineup);
            if lineup.is_waiting() {
                let [now, _] = &mut self.waiting;
                now.push((slot, packet.stamp.frame));
            }
            out(Slot(slot), &lineup.connection.facts, TcpEvent::Open);
        }
        self.places.insert(key, Place::Open(slot));
        self.recency.add(slot);
        self.settle_lease();
        slot
    }

    fn close(&mut self, slot: u32, reason: CloseReason, now: Stamp, out: &mut Sink<'_>) {
        self.recency.remove(slot);
        let Some(mut lineup) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        let reason = lineup.settle(Slot(slot), &self.rules, out).unwrap_or(reason);
        let Lineup { mut connection, .. } = lineup;
        let last = connection.facts.last;
        let now = if last.time > now.time { last } else { now };
        connection.flush(Slot(slot), now, &self.rules, out);
        out(Slot(slot), &connection.facts, TcpEvent::Close(reason));
        self.free.push(slot);
        if self.recent.is_some_and(|(_, _, recent, _)| recent == slot) {
            self.recent = None;
        }
        let (key, _) = FlowKey::new(connection.facts.client, connection.facts.server);
        let place = match reason {
            CloseReason::Idle | CloseReason::Evicted if connection.leftover.is_none() => Place::GivenUp,
            _ => Place::Over(Box::new(connection.ends(reason == CloseReason::Reset))),
        };
        self.places.insert(key, place);
        self.over.push_back(key);
        if self.over.len() > self.rules.limits.tcp_closed
            && let Some(key) = self.over.pop_front()
            && !matches!(self.places.get(&key), Some(Place::Open(_)))
        {
            self.places.remove(&key);
        }
        self.settle_lease();
    }

    /// Tells the budget what the table takes: by entries in use, so that closing connections helps.
    fn settle_lease(&mut self) {
        const OPEN: usize = size_of::<Option<Lineup>>() + Recency::SLOT;
        const KNOWN: usize = size_of::<(FlowKey, Place)>() * 8 / 7 + 1;
        let over = self.over.len() * (size_of::<FlowKey>() + size_of::<Ends>());
        self.lease.set(self.len() * OPEN + self.places.len() * KNOWN + over);
    }
}

#[cfg(test)]
mod tests;
