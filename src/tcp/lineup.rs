//! Segments of one connection that the capture shows before those that were sent first.
//!
//! In the middle of a connection sequence and acknowledgment numbers tell what waits for what. Only its ends need care: before the
//! handshake nobody knows where the streams begin, and behind a RST nothing is expected.

use super::connection::{Connection, Rules};
use super::{CloseReason, Side, Sink, Slot};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Lease, Limits, Stamp, Timestamp};
use crate::net::{Endpoint, Packet, TcpFlags, TcpHeader, Transport};

/// A connection and the segments that wait until what was sent before them has come.
#[derive(Debug)]
pub(super) struct Lineup {
    pub(super) connection: Connection,
    opening: Opening,
    /// A RST that stands in front of bytes it came behind.
    reset: Option<Box<Kept>>,
}

/// How far the handshake has been seen.
#[derive(Debug)]
enum Opening {
    /// To its end, or it is waited for no longer.
    Over,
    /// The client's SYN was seen, and nothing else.
    Begun,
    /// Something else was seen before the handshake was.
    Gathers(Box<Gathered>),
}

#[derive(Debug)]
struct Gathered {
    has_syn: bool,
    held: Vec<Kept>,
    bytes: usize,
    lease: Lease,
}

/// A segment that waits.
#[derive(Debug)]
struct Kept {
    stamp: Stamp,
    selected: bool,
    source: Endpoint,
    destination: Endpoint,
    header: TcpHeader,
    payload: Box<[u8]>,
    cut: usize,
}

impl Kept {
    fn new(packet: &Packet<'_>, header: &TcpHeader) -> Self {
        let &Packet { stamp, selected, source, destination, payload, cut, .. } = packet;
        Self { stamp, selected, source, destination, header: *header, payload: payload.into(), cut }
    }

    fn packet(&self) -> Packet<'_> {
        let &Kept { stamp, selected, source, destination, header, ref payload, cut } = self;
        Packet { stamp, selected, source, destination, transport: Transport::Tcp(header), payload, cut }
    }

    fn is_syn_ack(&self) -> bool {
        self.header.flags.has(TcpFlags::SYN) && self.header.flags.has(TcpFlags::ACK)
    }

    fn is_reset(&self) -> bool {
        self.header.flags.has(TcpFlags::RST)
    }

    fn allocated(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}

impl Gathered {
    fn keep(&mut self, packet: &Packet<'_>, header: &TcpHeader) {
        let kept = Kept::new(packet, header);
        self.bytes += kept.allocated();
        self.held.push(kept);
        self.lease.set(self.bytes);
    }

    /// True when the handshake is waited for no longer.
    fn is_full(&self, now: Stamp, limits: &Limits) -> bool {
        let since = self.held.first().map_or(now, |first| first.stamp);
        let packets = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        limits.is_tcp_patience_over(packets, since, now) || self.bytes > limits.tcp_hole
    }
}

impl Lineup {
    /// The connection that this packet is the first of.
    pub(super) fn new(
        packet: &Packet<'_>,
        header: &TcpHeader,
        is_continued: bool,
        budget: &Budget,
        limits: &Limits,
    ) -> Self {
        let connection = Connection::new(packet, header, is_continued, budget);
        let opening = match header.flags.has(TcpFlags::SYN) && !header.flags.has(TcpFlags::ACK) {
            true => Opening::Begun,
            // Nothing is gathered where nothing may be waited for.
            false if is_continued || limits.tcp_patience_packets == 0 => Opening::Over,
            false => Opening::Gathers(Box::new(Gathered {
                has_syn: false,
                held: Vec::new(),
                bytes: 0,
                lease: budget.lease(),
            })),
        };
        let mut lineup = Self { connection, opening, reset: None };
        if matches!(lineup.opening, Opening::Over) {
            lineup.note_start(limits);
        }
        lineup
    }

    /// Says that the beginning is missing, when it is.
    fn note_start(&mut self, limits: &Limits) {
        let facts = &mut self.connection.facts;
        if !facts.roles_known {
            facts.anomalies.note(AnomalyKind::StartMissing, Some(facts.first), limits.anomalies_kept);
        }
    }

    /// True when a segment opens another connection between the same ends: also when what waits for a handshake does not go on from
    /// this one.
    pub(super) fn is_reopened_by(&self, packet: &Packet<'_>, header: &TcpHeader, limits: &Limits) -> bool {
        let Opening::Gathers(gathered) = &self.opening else {
            return self.connection.is_reopened_by(self.connection.side_of(packet), header);
        };
        if !header.flags.has(TcpFlags::SYN) || header.flags.has(TcpFlags::RST) {
            return false;
        }
        let is_answer = header.flags.has(TcpFlags::ACK);
        let start = header.sequence.wrapping_add(1);
        let is_near = |number: u32| u64::from(number.wrapping_sub(start)) <= limits.tcp_window;
        let goes_on = |kept: &Kept| match (kept.source == packet.source, kept.header.flags.has(TcpFlags::SYN)) {
            (true, true) => kept.header.sequence == header.sequence,
            (true, false) => is_near(kept.header.sequence),
            (false, _) => !kept.header.flags.has(TcpFlags::ACK) || is_near(kept.header.acknowledgment),
        };
        let is_known = is_answer && gathered.has_syn;
        let is_other = self.connection.is_reopened_by(self.connection.side_of(packet), header);
        !is_known && (is_other || !gathered.held.iter().filter(|kept| !kept.is_reset()).all(goes_on))
    }

    /// Takes one packet. Returns why the connection is over, if it is.
    #[inline]
    pub(super) fn push(
        &mut self,
        slot: Slot,
        side: Side,
        packet: &Packet<'_>,
        header: &TcpHeader,
        rules: &Rules,
        out: &mut Sink<'_>,
    ) -> Option<CloseReason> {
        if matches!(self.opening, Opening::Over) {
            return self.deliver(slot, side, packet, header, rules, out);
        }
        self.open(slot, side, packet, header, rules, out)
    }

    /// Takes a packet while the connection may be opening.
    fn open(
        &mut self,
        slot: Slot,
        side: Side,
        packet: &Packet<'_>,
        header: &TcpHeader,
        rules: &Rules,
        out: &mut Sink<'_>,
    ) -> Option<CloseReason> {
        let has = |flag| header.flags.has(flag);
        let (is_syn, is_ack, is_reset) = (has(TcpFlags::SYN), has(TcpFlags::ACK), has(TcpFlags::RST));
        if is_syn && !is_ack && !is_reset {
            let mut has_answer = false;
            if let Opening::Gathers(gathered) = &mut self.opening {
                gathered.has_syn = true;
                has_answer = gathered.held.iter().any(Kept::is_syn_ack);
                self.connection.has_client(packet.source);
            }
            let side = self.connection.side_of(packet);
            let reason = self.deliver(slot, side, packet, header, rules, out);
            return if has_answer { self.release(slot, rules, out) } else { reason };
        }
        match &mut self.opening {
            Opening::Begun if !is_syn && !is_reset => {
                let lease = self.connection.lease();
                let mut gathered = Box::new(Gathered { has_syn: true, held: Vec::new(), bytes: 0, lease });
                gathered.keep(packet, header);
                self.opening = Opening::Gathers(gathered);
                None
            }
            Opening::Gathers(gathered) if !(is_syn && gathered.has_syn) => {
                gathered.keep(packet, header);
                if gathered.is_full(packet.stamp, &rules.limits) {
                    return self.release(slot, rules, out);
                }
                None
            }
            _ => {
                let reason = self.deliver(slot, side, packet, header, rules, out);
                reason.or_else(|| self.release(slot, rules, out))
            }
        }
    }

    /// The handshake was seen, or is waited for no longer: what waits for it follows.
    fn release(&mut self, slot: Slot, rules: &Rules, out: &mut Sink<'_>) -> Option<CloseReason> {
        let opening = std::mem::replace(&mut self.opening, Opening::Over);
        let Opening::Gathers(gathered) = opening else { return None };
        if !gathered.has_syn && !gathered.held.iter().any(Kept::is_syn_ack) {
            self.note_start(&rules.limits);
        }
        let (answers, others): (Vec<_>, Vec<_>) = gathered.held.into_iter().partition(Kept::is_syn_ack);
        for kept in answers.into_iter().chain(others) {
            let packet = kept.packet();
            let side = self.connection.side_of(&packet);
            let reason = self.deliver(slot, side, &packet, &kept.header, rules, out);
            if reason.is_some() {
                return reason;
            }
        }
        None
    }

    /// Gives the connection a packet; a RST waits for the bytes that were sent before it.
    #[inline]
    fn deliver(
        &mut self,
        slot: Slot,
        side: Side,
        packet: &Packet<'_>,
        header: &TcpHeader,
        rules: &Rules,
        out: &mut Sink<'_>,
    ) -> Option<CloseReason> {
        if header.flags.has(TcpFlags::RST) {
            if self.reset.is_some() {
                return None;
            }
            if self.connection.is_reset_early(side, header) {
                self.reset = Some(Box::new(Kept::new(packet, header)));
                return None;
            }
        }
        let reason = self.connection.push(slot, side, packet, header, rules, out);
        if self.reset.is_none() {
            return reason;
        }
        match self.reset.take() {
            Some(reset) if reason.is_none() => {
                let packet = reset.packet();
                let side = self.connection.side_of(&packet);
                if self.connection.is_reset_early(side, &reset.header) {
                    self.reset = Some(reset);
                    return None;
                }
                self.connection.push(slot, side, &packet, &reset.header, rules, out)
            }
            _ => reason,
        }
    }

    /// A time that nothing that waits is older than.
    pub(super) fn held_since(&self) -> Option<Timestamp> {
        let gathered = match &self.opening {
            Opening::Gathers(gathered) => gathered.held.as_slice(),
            _ => &[],
        };
        gathered.iter().map(|kept| kept.stamp.time).chain(self.connection.held_since()).min()
    }

    /// True when something waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.reset.is_some() || matches!(&self.opening, Opening::Gathers(_))
    }

    /// Hands on what waits, whatever it waits for. Returns why the connection is over, if it is.
    pub(super) fn settle(&mut self, slot: Slot, rules: &Rules, out: &mut Sink<'_>) -> Option<CloseReason> {
        let reason = self.release(slot, rules, out);
        match self.reset.take() {
            Some(reset) if reason.is_none() => {
                let packet = reset.packet();
                let side = self.connection.side_of(&packet);
                self.connection.push(slot, side, &packet, &reset.header, rules, out)
            }
            _ => reason,
        }
    }
}
