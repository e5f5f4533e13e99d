//! What happens to a frame before it is known whose it is: link layers, tunnels, IP; and which packets are of interest.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::Seen;
use crate::base::{Budget, Limits, Stamp, Timestamp};
use crate::capture::Frame;
use crate::dns;
use crate::net::{self, FlowKey, Packet, Transport};

/// A part of all traffic, for several machines that share the work: that of the address pairs whose hash says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which part, from 0.
    pub index: u32,
    /// How many parts there are.
    pub of: u32,
}

impl Share {
    /// True when packets between these addresses belong to the part. Lookups belong to every part: each needs all names.
    fn has(self, packet: &Packet<'_>) -> bool {
        if is_lookup(packet) {
            return true;
        }
        let (a, b) = (packet.source.address, packet.destination.address);
        let pair = if a <= b { (a, b) } else { (b, a) };
        // The same on every machine, in every run.
        FixedState::with_seed(0).hash_one(pair) % u64::from(self.of.max(1)) == u64::from(self.index)
    }
}

/// What a round of frames says about time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The last frame, and the latest time so far.
    pub now: Stamp,
    /// Until when silence counts: the earliest time in a round, of this or an earlier one, so that it never goes back. Where several
    /// clocks were at work, or frames are not in order, it is that of the clock that is behind.
    pub behind: Timestamp,
}

/// Frames in, packets out.
pub struct Front {
    net: net::Decoder,
    share: Option<Share>,
    now: Stamp,
    /// Of this round; nothing before its first frame.
    earliest: Option<Timestamp>,
    behind: Option<Timestamp>,
    last: Option<Stamp>,
}

impl Front {
    /// A front that has seen nothing; with a `share` it hands on that part only.
    pub fn new(limits: &Limits, share: Option<Share>) -> Self {
        Self {
            net: net::Decoder::new(limits, &Budget::new(limits.fragment_memory)),
            share,
            now: Stamp::default(),
            earliest: None,
            behind: None,
            last: None,
        }
    }

    /// Takes the next frame.
    #[inline]
    pub fn push(&mut self, frame: &Frame<'_>, out: &mut dyn FnMut(&Packet<'_>)) {
        let stamp = frame.stamp();
        self.now = Stamp { frame: stamp.frame, time: self.last.map_or(stamp.time, |_| stamp.time.max(self.now.time)) };
        self.earliest = Some(self.earliest.map_or(stamp.time, |earliest| earliest.min(stamp.time)));
        self.last = Some(stamp);
        let share = self.share;
        self.net.push(frame, &mut |packet| {
            if share.is_none_or(|share| share.has(&packet)) {
                out(&packet);
            }
        });
    }

    /// A round is over.
    pub fn end_round(&mut self) -> Clock {
        self.behind = self.behind.max(self.earliest.take());
        Clock { now: self.now, behind: self.behind.unwrap_or(self.now.time) }
    }

    /// No frame follows: what was seen besides packets.
    pub fn finish(mut self) -> Seen {
        self.net.finish();
        Seen {
            unsupported: self.net.unsupported().to_vec(),
            repeated: self.net.repeated(),
            encrypted_frames: self.net.encrypted(),
            anomalies: self.net.anomalies().clone(),
        }
    }
}

/// Counts frames into rounds. After each round connections that were idle for long are closed and entries may be written; rounds depend
/// on the frames alone, so that nothing depends on the number of shards.
#[derive(Debug, Default)]
pub struct Rounds {
    frames: u32,
    bytes: usize,
}

impl Rounds {
    /// Frames of a round, at the most.
    pub const FRAMES: u32 = 1024;
    /// Bytes of a round: with the frame that reaches them it is over.
    pub const BYTES: usize = 1 << 20;

    /// Counts a frame; true when a round is over with it.
    #[inline]
    pub fn count(&mut self, frame: &Frame<'_>) -> bool {
        self.frames += 1;
        self.bytes += frame.data.len();
        let is_over = self.frames >= Self::FRAMES || self.bytes >= Self::BYTES;
        if is_over {
            *self = Self::default();
        }
        is_over
    }
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The shard of its flow.
    pub home: usize,
    /// True when another shard may know its connection: all must be asked.
    pub is_stray: bool,
}

/// Which of `shards` shards a packet goes to. `is_known` says whether its flow began with what opens a QUIC connection.
///
/// A QUIC client that moves to another address sends packets with short headers from there, with an identifier that was agreed upon under
/// encryption ([RFC 9000 §9](https://www.rfc-editor.org/rfc/rfc9000#section-9)): only the shard that follows it knows.
pub fn route(packet: &Packet<'_>, shards: usize, is_known: impl FnOnce(&FlowKey) -> bool) -> Route {
    let (flow, _) = FlowKey::new(packet.source, packet.destination);
    let home = (FixedState::with_seed(1).hash_one(flow) % shards.max(1) as u64) as usize;
    let is_short = packet.payload.first().is_some_and(|first| first & 0xc0 == 0x40);
    let is_stray = packet.transport == Transport::Udp && is_short && !is_lookup(packet) && !is_known(&flow);
    Route { home, is_stray }
}

fn is_lookup(packet: &Packet<'_>) -> bool {
    packet.source.port == dns::PORT || packet.destination.port == dns::PORT
}
