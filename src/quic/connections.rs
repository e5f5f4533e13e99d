//! All QUIC connections of a shard: which datagram belongs to which.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::connection::{Connection, Datagram, IdNews, Out, Shared, is_first_flight};
use super::event::{CloseReason, Facts, QuicEvent};
use super::header::{self, ConnectionId, Header, Long, MAX_CONNECTION_ID};
use super::version::{LongKind, Version};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Lease, Limits, Recency, Stamp, Timestamp};
use crate::net::{FlowKey, Packet, Transport};
use crate::tcp::Side;
use crate::tls::KeyLog;

/// Number of a connection among those that live now; a closed one's is given to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Connections on one pair of addresses that are told apart; older ones are still found by their ids.
const ROUTE_KEPT: usize = 16;
/// Address pairs of one connection; clients move, but not that often.
const FLOWS_KEPT: usize = 16;
/// A shorter id is too easily met by chance among packets from unknown addresses.
const ID_TRUSTED: usize = 4;
/// How long a connection that was closed is still there for packets that come late, in nanoseconds: three times a usual probe
/// timeout ([RFC 9000 §10.2](https://www.rfc-editor.org/rfc/rfc9000#section-10.2)).
const DRAINING: u64 = 3_000_000_000;

/// Bytes that one table entry costs, with the spare room of the table.
const ENTRY_COST: usize = 2 * (size_of::<FlowKey>() + size_of::<Route>());

/// All QUIC connections of a shard.
///
/// Datagrams find their connection by the connection id in them, and by their pair of addresses where there is none or its
/// length is not told. A client that moves to another address stays the same connection.
pub struct Connections {
    limits: Limits,
    budget: Budget,
    slots: Vec<Option<Box<Connection>>>,
    free: Vec<u32>,
    recency: Recency,
    flows: HashMap<FlowKey, Route, RandomState>,
    /// Whose connection, and which side issued the id: packets with it go to that side.
    ids: HashMap<ConnectionId, (u32, Side), RandomState>,
    /// How many ids of each length there are.
    lengths: [u32; MAX_CONNECTION_ID + 1],
    /// Connections that were closed by an endpoint, and when.
    closing: VecDeque<(i64, u32, Stamp)>,
    scratch: Vec<u8>,
    lease: Lease,
}

/// Connections between one pair of addresses.
#[derive(Debug, Default)]
struct Route {
    /// Slot, and whether the client is the lesser address; the newest comes last.
    known: Vec<(u32, bool)>,
}

/// A datagram on its way to its connection.
#[derive(Clone, Copy)]
struct Incoming<'a> {
    packet: &'a Packet<'a>,
    flow: FlowKey,
    source_is_low: bool,
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            limits: limits.clone(),
            budget: budget.clone(),
            slots: Vec::new(),
            free: Vec::new(),
            recency: Recency::new(limits.idle_quic),
            flows: HashMap::default(),
            ids: HashMap::default(),
            lengths: [0; MAX_CONNECTION_ID + 1],
            closing: VecDeque::new(),
            scratch: Vec::new(),
            lease: budget.lease(),
        }
    }

    /// Takes a UDP datagram; false when it is no QUIC: then nothing was taken.
    pub fn push(
        &mut self,
        packet: &Packet<'_>,
        keys: &KeyLog,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) -> bool {
        let Some(&first) = packet.payload.first() else { return false };
        if packet.transport != Transport::Udp || first & 0xc0 == 0 && self.flows.is_empty() && first & 0x08 == 0 {
            return false;
        }
        let (flow, source_is_low) = FlowKey::new(packet.source, packet.destination);
        let incoming = Incoming { packet, flow, source_is_low };
        let find = if first & 0x80 != 0 { Self::find_long } else { Self::find_short };
        let mut found = find(self, incoming, out);
        if let Some((slot, _)) = found
            && self.is_drained(slot, packet.stamp.time)
        {
            self.close(slot, CloseReason::Idle, None, out);
            found = find(self, incoming, out);
        }
        let Some((slot, side)) = found else { return false };
        self.add_flow(slot, side, incoming);
        self.recency.touch(slot);
        let Self { limits, budget, scratch, slots, .. } = self;
        let Some(Some(connection)) = slots.get_mut(slot as usize) else { return false };
        let Packet { stamp, selected, payload, cut, .. } = *packet;
        let datagram = Datagram { stamp, selected, side, bytes: payload, cut };
        let mut shared = Shared { limits, budget, keys, scratch };
        let was_closing = connection.closing.is_some();
        connection.push(datagram, &mut shared, &mut |facts, event| out(Slot(slot), facts, event));
        if let (false, Some((_, stamp))) = (was_closing, &connection.closing) {
            self.closing.push_back((packet.stamp.time.0, slot, *stamp));
        }
        self.take_id_news(slot);
        self.account();
        true
    }

    /// Facts of a connection that lives.
    pub fn facts(&self, slot: Slot) -> Option<&Facts> {
        self.connection(slot.0).map(|connection| &connection.facts)
    }

    /// When the oldest packet of a connection came that waits for its keys.
    pub fn pending_since(&self, slot: Slot) -> Option<Timestamp> {
        self.connection(slot.0)?.pending_since()
    }

    /// Number of connections that live.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True when there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last packet of the connection that was idle longest.
    pub fn idle_since(&self) -> Option<Stamp> {
        self.connection(self.recency.oldest()?).map(|connection| connection.facts.last)
    }

    /// Closes the connection that was idle longest, to win memory; false when there is none.
    pub fn evict_oldest(&mut self, out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>)) -> bool {
        let Some(slot) = self.recency.oldest() else { return false };
        if let Some(connection) = self.connection_mut(slot) {
            let last = connection.facts.last;
            connection.facts.anomalies.note(AnomalyKind::Evicted, Some(last), 1);
        }
        self.close(slot, CloseReason::Evicted, None, out);
        true
    }

    /// A round of frames is over: closes connections that ended, or were idle for long. `passed` is a time that no clock is behind
    /// any more.
    pub fn end_round(&mut self, passed: Timestamp, out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>)) {
        self.end_closed(passed, out);
        self.recency.end_round(passed);
        while let Some(slot) = self.recency.idle() {
            self.close(slot, CloseReason::Idle, None, out);
        }
    }

    /// Closes all: the capture ended. Packets that were held back get a last try.
    pub fn finish(&mut self, keys: &KeyLog, out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>)) {
        while let Some(slot) = self.recency.oldest() {
            self.close(slot, CloseReason::CaptureEnd, Some(keys), out);
        }
    }

    fn connection(&self, slot: u32) -> Option<&Connection> {
        self.slots.get(slot as usize)?.as_deref()
    }

    fn connection_mut(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Connections between these addresses, newest first, each with the sender's side.
    fn on_route(&self, incoming: Incoming<'_>) -> impl Iterator<Item = (u32, Side)> + '_ {
        let known = self.flows.get(&incoming.flow).map_or(&[][..], |route| &route.known);
        known.iter().rev().map(move |&(slot, client_is_low)| {
            (slot, if client_is_low == incoming.source_is_low { Side::Client } else { Side::Server })
        })
    }

    /// The connection of a datagram that begins with a long header.
    fn find_long(
        &mut self,
        incoming: Incoming<'_>,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) -> Option<(u32, Side)> {
        let Packet { payload, cut, .. } = *incoming.packet;
        let long = match header::parse(payload, cut) {
            Ok(Header::Long(long)) => long,
            Ok(Header::VersionNegotiation { dcid, scid }) => {
                return self.on_route(incoming).find(|&(slot, side)| {
                    self.connection(slot).is_some_and(|connection| {
                        let has = |side: Side, id| connection.ids[side.index()].contains(id);
                        has(side, &scid) && has(side.other(), &dcid)
                    })
                });
            }
            Ok(Header::UnknownVersion(_)) => return self.find_google(incoming, out),
            Ok(Header::Short) | Err(_) => return None,
        };
        let by_id = match self.ids.get(&long.dcid) {
            Some(&(slot, receiver)) if !long.dcid.is_empty() => Some((slot, receiver.other())),
            _ => None,
        };
        let found = by_id.or_else(|| self.find_by_source(incoming, &long));
        if long.kind == LongKind::Initial
            && (by_id.is_none() || by_id.is_some_and(|(slot, _)| self.connection(slot).is_some_and(|c| !c.has_begun())))
            && is_first_flight(&long, &mut self.scratch)
        {
            return self.begin(incoming, &long, found, out);
        }
        match found {
            Some(found) => Some(found),
            // Only what is surely QUIC opens a connection: the fixed bit is never greased before the handshake.
            None if payload.first().is_some_and(|first| first & 0x40 != 0) => self.open_midway(incoming, &long, out),
            None => None,
        }
    }

    /// The connection on these addresses whose peer has the id of the sender of this packet.
    fn find_by_source(&self, incoming: Incoming<'_>, long: &Long<'_>) -> Option<(u32, Side)> {
        self.on_route(incoming).find(|&(slot, side)| {
            self.connection(slot).is_some_and(|connection| {
                let knows = |side: Side, id| connection.ids[side.index()].contains(id);
                !connection.is_google()
                    && if connection.has_begun() || long.kind != LongKind::Initial {
                        knows(side, &long.scid) || knows(side.other(), &long.dcid)
                    } else {
                        // The server's answer came first in the capture: the sides may be the other way round. Or it came behind
                        // early data, and the client's Initial is still to come.
                        Side::BOTH.iter().any(|&side| knows(side, &long.scid))
                            || side == Side::Server && knows(Side::Client, &long.dcid)
                    }
            })
        })
    }

    /// A client's first Initial: of a connection whose later packets came first, of one that begins again after a Retry that
    /// is not in the capture, or of a new one.
    fn begin(
        &mut self,
        incoming: Incoming<'_>,
        long: &Long<'_>,
        found: Option<(u32, Side)>,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) -> Option<(u32, Side)> {
        let stamp = incoming.packet.stamp;
        let begins = found.filter(|&(slot, _)| {
            self.connection(slot).is_some_and(|connection| connection.may_begin(!long.token.is_empty()))
        });
        let slot = match begins {
            Some((slot, side)) => {
                if side == Side::Server {
                    if let Some(connection) = self.connection_mut(slot) {
                        connection.swap_roles();
                    }
                    if let Some(route) = self.flows.get_mut(&incoming.flow)
                        && let Some(known) = route.known.iter_mut().find(|known| known.0 == slot)
                    {
                        known.1 = incoming.source_is_low;
                    }
                }
                slot
            }
            None => self.open(Ok(long.version), Side::Client, incoming, out)?,
        };
        self.connection_mut(slot)?.begin(long.version, long.dcid, long.scid, stamp);
        self.take_id_news(slot);
        Some((slot, Side::Client))
    }

    /// A connection whose first Initial is not in the capture, or comes later.
    fn open_midway(
        &mut self,
        incoming: Incoming<'_>,
        long: &Long<'_>,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) -> Option<(u32, Side)> {
        let Packet { source, destination, stamp, cut, .. } = *incoming.packet;
        // Only clients send 0-RTT, tokens and full datagrams with long ids to servers, whose ports are mostly lower.
        let side = match long.kind {
            LongKind::ZeroRtt => Side::Client,
            LongKind::Retry => Side::Server,
            LongKind::Initial if !long.token.is_empty() => Side::Client,
            _ if source.port < destination.port => Side::Server,
            _ => Side::Client,
        };
        let slot = self.open(Ok(long.version), side, incoming, out)?;
        let keep = self.limits.anomalies_kept;
        let connection = self.connection_mut(slot)?;
        connection.add_id(side, long.scid, None);
        connection.add_id(side.other(), long.dcid, None);
        if cut == 0 && long.kind != LongKind::ZeroRtt {
            connection.facts.anomalies.note(AnomalyKind::StartMissing, Some(stamp), keep);
        }
        self.take_id_news(slot);
        Some((slot, side))
    }

    /// Google's QUIC is followed by addresses only, to be counted and named.
    fn find_google(
        &mut self,
        incoming: Incoming<'_>,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) -> Option<(u32, Side)> {
        let newest = self.on_route(incoming).next();
        let newest = newest.filter(|&(slot, _)| self.connection(slot).is_some_and(Connection::is_google));
        if newest.is_some() {
            return newest;
        }
        let version = header::google_version(incoming.packet.payload)?;
        let side =
            if incoming.packet.source.port < incoming.packet.destination.port { Side::Server } else { Side::Client };
        Some((self.open(Err(version), side, incoming, out)?, side))
    }

    /// The connection of a datagram that does not begin with a long header.
    fn find_short(
        &mut self,
        incoming: Incoming<'_>,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) -> Option<(u32, Side)> {
        let payload = incoming.packet.payload;
        let (&first, rest) = payload.split_first()?;
        let mut by_address = None;
        for (slot, side) in self.on_route(incoming) {
            let Some(connection) = self.connection(slot) else { continue };
            if connection.is_google() {
                return Some((slot, side));
            }
            if first & 0x40 == 0 && !connection.is_greased() {
                continue;
            }
            match connection.ids[side.other().index()].matching(rest) {
                Some(id) if !id.is_empty() => return Some((slot, side)),
                // The newest one may have an id that is not known yet, or be told of a stateless reset.
                _ => by_address = by_address.or(Some((slot, side))),
            }
        }
        if first & 0x40 != 0
            && let Some(moved) = self.find_moved(incoming, rest)
        {
            return Some(moved);
        }
        if by_address.is_some() {
            return by_address;
        }
        if first & 0x40 == 0 { self.find_google(incoming, out) } else { None }
    }

    /// The connection whose client moved to an address that is not known yet.
    fn find_moved(&mut self, incoming: Incoming<'_>, rest: &[u8]) -> Option<(u32, Side)> {
        let Packet { payload, source, destination, .. } = *incoming.packet;
        for len in (ID_TRUSTED..=MAX_CONNECTION_ID).rev() {
            if self.lengths.get(len).is_none_or(|&count| count == 0) {
                continue;
            }
            let Some(id) = rest.get(..len).and_then(ConnectionId::new) else { continue };
            let Some(&(slot, receiver)) = self.ids.get(&id) else { continue };
            let side = receiver.other();
            let Self { slots, scratch, .. } = self;
            let Some(Some(connection)) = slots.get_mut(slot as usize) else { continue };
            let is_known_end = match side {
                Side::Client => connection.facts.server == destination,
                Side::Server => connection.facts.server == source,
            };
            if connection.recognises(payload, side, &id, scratch).unwrap_or(is_known_end || len >= 8) {
                return Some((slot, side));
            }
        }
        None
    }

    /// Makes a connection whose first datagram is this one, sent by `side`.
    fn open(
        &mut self,
        version: Result<Version, u32>,
        side: Side,
        incoming: Incoming<'_>,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) -> Option<u32> {
        while self.len() >= self.limits.connections.max(1) && self.evict_oldest(out) {}
        let Packet { source, destination, stamp, .. } = *incoming.packet;
        let (client, server) = if side == Side::Client { (source, destination) } else { (destination, source) };
        let connection = Connection::new(version, client, server, stamp, &self.limits, &self.budget);
        out_open(&connection, self.free.last().copied().unwrap_or(self.slots.len() as u32), out);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        *self.slots.get_mut(slot as usize)? = Some(Box::new(connection));
        self.recency.add(slot);
        self.add_flow(slot, side, incoming);
        Some(slot)
    }

    /// Takes note of the addresses that a connection is on now.
    fn add_flow(&mut self, slot: u32, side: Side, incoming: Incoming<'_>) {
        let client_is_low = incoming.source_is_low == (side == Side::Client);
        let route = self.flows.entry(incoming.flow).or_default();
        if route.known.last() == Some(&(slot, client_is_low)) {
            return;
        }
        if let Some(known) = route.known.iter_mut().find(|known| known.0 == slot) {
            known.1 = client_is_low;
            return;
        }
        if route.known.len() >= ROUTE_KEPT {
            route.known.remove(0);
        }
        route.known.push((slot, client_is_low));
        let Some(Some(connection)) = self.slots.get_mut(slot as usize) else { return };
        let Packet { source, destination, .. } = *incoming.packet;
        let (client, server) = if side == Side::Client { (source, destination) } else { (destination, source) };
        let facts = &mut connection.facts;
        if (facts.client, facts.server) != (client, server) {
            (facts.client, facts.server) = (client, server);
            facts.migrations += 1;
        }
        if !connection.flows.contains(&incoming.flow) {
            connection.flows.push(incoming.flow);
            if connection.flows.len() > FLOWS_KEPT {
                let oldest = connection.flows.remove(0);
                self.remove_flow(slot, &oldest);
            }
        }
    }

    fn remove_flow(&mut self, slot: u32, flow: &FlowKey) {
        if let Some(route) = self.flows.get_mut(flow) {
            route.known.retain(|known| known.0 != slot);
            if route.known.is_empty() {
                self.flows.remove(flow);
            }
        }
    }

    /// Enters the ids that a connection learned.
    fn take_id_news(&mut self, slot: u32) {
        let Some(connection) = self.connection_mut(slot) else { return };
        if connection.id_news.is_empty() {
            return;
        }
        for news in std::mem::take(&mut connection.id_news) {
            match news {
                IdNews::New(id, side) => {
                    if self.ids.insert(id, (slot, side)).is_none()
                        && let Some(count) = self.lengths.get_mut(id.len())
                    {
                        *count += 1;
                    }
                }
                IdNews::Old(id) => self.remove_id(slot, &id),
            }
        }
    }

    fn remove_id(&mut self, slot: u32, id: &ConnectionId) {
        if self.ids.get(id).is_some_and(|owner| owner.0 == slot) {
            self.ids.remove(id);
            if let Some(count) = self.lengths.get_mut(id.len()) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// True when an endpoint closed the connection long enough ago, by its own packets.
    fn is_drained(&self, slot: u32, now: Timestamp) -> bool {
        let closing = self.connection(slot).and_then(|connection| connection.closing.as_ref());
        closing.is_some_and(|(_, since)| now.nanos_since(since.time) > DRAINING)
    }

    /// Ends the connections that an endpoint closed long enough ago.
    fn end_closed(&mut self, now: Timestamp, out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>)) {
        while let Some(&(since, slot, stamp)) = self.closing.front()
            && now.nanos_since(Timestamp(since)) > DRAINING
        {
            self.closing.pop_front();
            // Its slot may have another connection by now.
            let closing = self.connection(slot).and_then(|connection| connection.closing.as_ref());
            if closing.is_some_and(|(_, since)| *since == stamp) {
                self.close(slot, CloseReason::Idle, None, out);
            }
        }
    }

    /// Closes a connection for this reason, if it has given none itself.
    fn close(
        &mut self,
        slot: u32,
        reason: CloseReason,
        keys: Option<&KeyLog>,
        out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>),
    ) {
        self.recency.remove(slot);
        let Some(mut connection) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        let Self { limits, budget, scratch, .. } = self;
        let stamp = connection.facts.last;
        let out: &mut Out<'_> = &mut |facts, event| out(Slot(slot), facts, event);
        let mut shared = keys.map(|keys| Shared { limits, budget, keys, scratch });
        connection.finish(stamp, shared.as_mut(), limits, out);
        let reason = connection.closing.take().map_or(reason, |(reason, _)| reason);
        out(&connection.facts, QuicEvent::Close(reason));
        self.free.push(slot);
        for flow in &connection.flows {
            self.remove_flow(slot, flow);
        }
        for ids in &connection.ids {
            ids.iter().for_each(|id| self.remove_id(slot, id));
        }
        // Ids that were learned in the last try were never entered.
        self.account();
    }

    fn account(&mut self) {
        let tables = self.flows.capacity() * ENTRY_COST
            + self.ids.capacity() * 2 * size_of::<(ConnectionId, (u32, Side))>()
            + self.slots.capacity() * (size_of::<usize>() + Recency::SLOT)
            + self.closing.capacity() * size_of::<(i64, u32, Stamp)>()
            + self.scratch.capacity();
        self.lease.set(tables);
    }
}

fn out_open(connection: &Connection, slot: u32, out: &mut dyn FnMut(Slot, &Facts, QuicEvent<'_>)) {
    out(Slot(slot), &connection.facts, QuicEvent::Open);
}
