//! Who is at the ends of a connection, and what opens another one between them.

use super::{Answer, Connection};
use crate::base::Anomalies;
use crate::net::{Endpoint, Packet, TcpFlags, TcpHeader};
use crate::tcp::ends::Ends;
use crate::tcp::event::Side;
use crate::tcp::half::Half;

impl Connection {
    /// Says who opened the connection, before any of its bytes were seen.
    pub(in crate::tcp) fn has_client(&mut self, client: Endpoint) {
        let facts = &mut self.facts;
        if facts.client != client {
            std::mem::swap(&mut facts.client, &mut facts.server);
        }
        facts.roles_known = true;
    }

    /// The side that sent this packet.
    pub(in crate::tcp) fn side_of(&self, packet: &Packet<'_>) -> Side {
        if packet.source == self.facts.client { Side::Client } else { Side::Server }
    }

    /// True when a segment opens another connection between the same ends, as Wireshark counts them: a SYN with another
    /// initial sequence number, or one after the end. A SYN-ACK does so only when its SYN cannot have been this one's.
    pub(in crate::tcp) fn is_reopened_by(&self, side: Side, header: &TcpHeader) -> bool {
        if !header.flags.has(TcpFlags::SYN) || header.flags.has(TcpFlags::RST) {
            return false;
        }
        let (ours, theirs) = (&self.halves[side.index()], &self.halves[side.other().index()]);
        if header.flags.has(TcpFlags::ACK) {
            return ours.is_started() && !ours.is_syn_of(header.sequence) && !theirs.is_started();
        }
        match ours.is_started() {
            true => !ours.is_syn_of(header.sequence) || ours.fin.is_some(),
            // The other side may have answered this SYN already (capture out of order), or have sent its own at the same time.
            false => theirs.has_ack && theirs.last_ack != header.sequence.wrapping_add(1),
        }
    }

    /// True when an answer to a SYN is of another connection, whose SYN was not seen: with numbers of its own on both sides.
    pub(in crate::tcp) fn is_foreign_answer(&self, side: Side, header: &TcpHeader) -> bool {
        let (ours, theirs) = (&self.halves[side.index()], &self.halves[side.other().index()]);
        header.flags.has(TcpFlags::SYN)
            && header.flags.has(TcpFlags::ACK)
            && !header.flags.has(TcpFlags::RST)
            && [ours, theirs].iter().all(|half| half.is_started())
            && !ours.is_syn_of(header.sequence)
            && !theirs.is_syn_of(header.acknowledgment.wrapping_sub(1))
            && !ours.is_blank()
    }

    /// True when this packet completes the handshake of another connection that began with the answer kept. Whatever it is,
    /// the answer is settled with the next packet of the side that it was sent to.
    pub(in crate::tcp) fn completes_answer(&mut self, side: Side, header: &TcpHeader) -> Option<Answer> {
        if self.answer.as_ref()?.side == side {
            return None;
        }
        let answer = *self.answer.take()?;
        let is_completed = header.flags.has(TcpFlags::ACK)
            && !header.flags.has(TcpFlags::SYN)
            && !header.flags.has(TcpFlags::RST)
            && header.sequence == answer.header.acknowledgment
            && header.acknowledgment == answer.header.sequence.wrapping_add(1);
        is_completed.then_some(answer)
    }

    /// Only what has no place in a connection that is over is counted here.
    pub(in crate::tcp) fn leave_over(&mut self, ends: Ends) {
        if self.facts.server == ends.client() {
            std::mem::swap(&mut self.facts.server, &mut self.facts.client);
        }
        self.facts.anomalies = Anomalies::default();
        self.leftover = Some(Box::new(ends));
    }

    /// What is remembered of the connection when it is over.
    pub(in crate::tcp) fn ends(&self, was_reset: bool) -> Ends {
        match &self.leftover {
            Some(ends) => **ends,
            None => Ends::new(self.facts.client, self.halves.each_ref().map(Half::ends), was_reset),
        }
    }
}
