//! What is remembered of a connection that is over: enough to tell its late packets from those of the next one on the same ports.

use super::Side;
use crate::net::{Endpoint, Packet, TcpFlags, TcpHeader};

/// Distance at which a number does not belong to a stream any more; behind the end of a stream nothing else is in flight.
const NEAR: u32 = 1 << 20;

/// Where both streams of a connection began and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    client: Endpoint,
    streams: [Option<Stream>; 2],
    /// It was reset: what was on its way then comes behind its end.
    was_reset: bool,
}

/// Where one stream began and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream {
    /// Sequence number of its SYN.
    pub(super) first: u32,
    /// The sequence number behind its last byte, and its FIN.
    pub(super) next: u32,
}

/// Whose a packet is that comes after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It repeats or acknowledges what was sent before.
    Old,
    /// It is of another connection.
    New,
    /// It carries bytes that have no place in the old connection, but shows no new one.
    Foreign,
}

impl Stream {
    fn is_far(self, number: u32) -> bool {
        number.wrapping_sub(self.next).wrapping_add(NEAR) >= 2 * NEAR
    }
}

impl Ends {
    pub(super) fn new(client: Endpoint, streams: [Option<Stream>; 2], was_reset: bool) -> Self {
        Self { client, streams, was_reset }
    }

    /// The end that opened the connection, as far as was known.
    pub(super) fn client(&self) -> Endpoint {
        self.client
    }

    fn side_of(&self, packet: &Packet<'_>) -> Side {
        if packet.source == self.client { Side::Client } else { Side::Server }
    }

    /// Whose this packet is.
    pub(super) fn judge(&self, packet: &Packet<'_>, header: &TcpHeader) -> Verdict {
        let (is_syn, is_ack) = (header.flags.has(TcpFlags::SYN), header.flags.has(TcpFlags::ACK));
        if header.flags.has(TcpFlags::RST) {
            return Verdict::Old;
        }
        if is_syn && !is_ack {
            return Verdict::New;
        }
        let [client, server] = self.streams;
        let (ours, theirs) = if self.side_of(packet) == Side::Client { (client, server) } else { (server, client) };
        if is_syn {
            // A late answer to the old SYN has one of the old numbers.
            let is_other = ours.is_none_or(|ours| ours.first != header.sequence);
            let answers_other = theirs.is_none_or(|theirs| theirs.first.wrapping_add(1) != header.acknowledgment);
            return if is_other && answers_other { Verdict::New } else { Verdict::Old };
        }
        let len = u32::try_from(packet.payload.len() + packet.cut).unwrap_or(u32::MAX);
        if len == 0 {
            return Verdict::Old;
        }
        let is_far = ours.is_some_and(|ours| ours.is_far(header.sequence));
        let acknowledges_far = is_ack && theirs.is_some_and(|theirs| theirs.is_far(header.acknowledgment));
        if is_far && acknowledges_far {
            return Verdict::New;
        }
        match ours {
            Some(ours) if ours.next.wrapping_sub(header.sequence.wrapping_add(len)) < NEAR => Verdict::Old,
            Some(_) if self.was_reset && !is_far => Verdict::Old,
            _ => Verdict::Foreign,
        }
    }
}
