//! Packets whose keys are not there yet.

use std::collections::VecDeque;

use super::connection::Datagram;
use super::event::Facts;
use crate::base::{Budget, Lease, Limits, Stamp, Timestamp};
use crate::net::Endpoint;
use crate::tcp::Side;

/// One packet that waits.
pub(super) struct HeldPacket {
    stamp: Stamp,
    selected: bool,
    /// Its sender: sides may still turn out to be the other way round.
    source: Endpoint,
    bytes: Box<[u8]>,
}

/// Packets in the order of the capture.
pub(super) struct Held {
    packets: VecDeque<HeldPacket>,
    bytes: usize,
    /// Packets that found no room.
    refused: u64,
    lease: Lease,
}

impl Held {
    pub fn new(budget: &Budget) -> Self {
        Self { packets: VecDeque::new(), bytes: 0, refused: 0, lease: budget.lease() }
    }

    /// Holds a packet back; false when there is no room. Nobody else must go for packets that may never be read: half of the
    /// budget is enough for them.
    pub fn push(&mut self, packet: &Datagram<'_>, facts: &Facts, limits: &Limits, budget: &Budget) -> bool {
        let cost = packet.bytes.len() + size_of::<HeldPacket>();
        if self.bytes + cost > limits.quic_held || budget.used() > budget.cap() / 2 {
            self.refused += 1;
            return false;
        }
        self.bytes += cost;
        self.packets.push_back(HeldPacket {
            stamp: packet.stamp,
            selected: packet.selected,
            source: if packet.side == Side::Client { facts.client } else { facts.server },
            bytes: packet.bytes.into(),
        });
        self.lease.set(self.bytes);
        true
    }

    /// Takes all packets out, to try them again.
    pub fn take(&mut self) -> VecDeque<HeldPacket> {
        self.bytes = 0;
        self.lease.set(0);
        std::mem::take(&mut self.packets)
    }

    /// When the oldest one came.
    pub fn since(&self) -> Option<Timestamp> {
        self.packets.front().map(|packet| packet.stamp.time)
    }

    /// Gives all up; tells how many there were.
    pub fn forget(&mut self) -> u64 {
        self.take().len() as u64 + std::mem::take(&mut self.refused)
    }
}

impl HeldPacket {
    /// The packet as it came.
    pub fn datagram(&self, facts: &Facts) -> Datagram<'_> {
        let side = if self.source == facts.server { Side::Server } else { Side::Client };
        Datagram { stamp: self.stamp, selected: self.selected, side, bytes: &self.bytes, cut: 0 }
    }
}
