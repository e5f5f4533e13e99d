//! Segments in, events out: single cases by hand, then simulated connections over a bad network.

mod cases;
mod hostile;
mod reuse;
mod simulation;

use std::net::Ipv4Addr;

use super::*;
use crate::base::{FrameNumber, Stamp};
use crate::net::Transport;

pub(super) const SYN: TcpFlags = TcpFlags::SYN;
pub(super) const ACK: TcpFlags = TcpFlags::ACK;
pub(super) const FIN: TcpFlags = TcpFlags::FIN;
pub(super) const RST: TcpFlags = TcpFlags::RST;

pub(super) fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint { address: Ipv4Addr::new(10, 0, 0, host).into(), port }
}

/// One side of one connection, as the sink saw it.
#[derive(Debug, Default, Clone)]
pub(super) struct Lane {
    /// Lost bytes are 0.
    pub(super) bytes: Vec<u8>,
    pub(super) gaps: Vec<(u64, u64)>,
    pub(super) stamps: Vec<(u64, i64)>,
    pub(super) fin: bool,
    pub(super) time: Option<Timestamp>,
    /// Offset of the first byte.
    pub(super) start: Option<u64>,
}

/// One connection, as the sink saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) slot: Slot,
    pub(super) lanes: [Lane; 2],
    pub(super) resets: usize,
    pub(super) close: Option<CloseReason>,
    pub(super) facts: Facts,
    /// One letter for each event: `c` and `s` data, `C` and `S` end, `-` gap, `R` reset.
    pub(super) story: String,
}

/// A sink that checks the rules which hold for all traffic.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) all: Vec<Seen>,
}

impl Recorder {
    pub(super) fn take(&mut self, slot: Slot, facts: &Facts, event: TcpEvent<'_>) {
        let open = self.all.iter_mut().rev().find(|seen| seen.slot == slot && seen.close.is_none());
        if matches!(event, TcpEvent::Open) {
            assert!(open.is_none(), "a slot is used again only after Close");
            let lanes = Default::default();
            let facts = facts.clone();
            self.all.push(Seen { slot, lanes, resets: 0, close: None, facts, story: String::new() });
            return;
        }
        let seen = open.expect("Open comes first, nothing after Close");
        assert_eq!(seen.facts.first, facts.first);
        seen.facts = facts.clone();
        match event {
            TcpEvent::Open => unreachable!(),
            TcpEvent::Held(_) => {}
            TcpEvent::Close(reason) => seen.close = Some(reason),
            TcpEvent::Stream(side, event) => {
                let lane = &mut seen.lanes[side.index()];
                let mut at = |stamp: Stamp| {
                    assert!(lane.time.is_none_or(|time| time <= stamp.time), "time runs backwards");
                    lane.time = Some(stamp.time);
                };
                match event {
                    StreamEvent::Data(chunk) => {
                        at(chunk.span.first);
                        at(chunk.span.last);
                        assert!(!lane.fin && !chunk.data.is_empty());
                        // A start that was guessed leaves room before it.
                        let start = *lane.start.get_or_insert(chunk.offset - lane.bytes.len() as u64);
                        assert_eq!(chunk.offset - start, lane.bytes.len() as u64);
                        assert_eq!(chunk.position.sent, chunk.offset);
                        lane.bytes.extend_from_slice(chunk.data);
                        lane.stamps.push((chunk.span.first.frame.0, chunk.span.first.time.0));
                        seen.story.push(['c', 's'][side.index()]);
                    }
                    StreamEvent::Gap { len, stamp } => {
                        at(stamp);
                        assert!(!lane.fin);
                        lane.gaps.push((lane.bytes.len() as u64, len));
                        lane.bytes.resize(lane.bytes.len() + len as usize, 0);
                        seen.story.push('-');
                    }
                    StreamEvent::Fin(stamp) => {
                        at(stamp);
                        assert!(!lane.fin);
                        lane.fin = true;
                        seen.story.push(['C', 'S'][side.index()]);
                    }
                    StreamEvent::Reset(stamp) => {
                        at(stamp);
                        seen.resets += 1;
                        seen.story.push('R');
                    }
                }
                let lost: u64 = lane.gaps.iter().map(|&(_, len)| len).sum();
                assert_eq!(facts.bytes[side.index()] + facts.loss[side.index()].lost_bytes, lane.bytes.len() as u64);
                assert!(facts.loss[side.index()].lost_bytes >= lost);
            }
        }
    }
}

/// An engine, a recorder and a frame counter.
pub(super) struct Bench {
    pub(super) engine: Connections,
    pub(super) seen: Recorder,
    pub(super) budget: Budget,
    pub(super) frame: u64,
    /// Time of the next packet in nanoseconds; each packet moves it by a millisecond.
    pub(super) now: i64,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(&Limits::default(), TcpOptions::default())
    }

    pub(super) fn with(limits: &Limits, options: TcpOptions) -> Self {
        let budget = Budget::new(limits.memory);
        let engine = Connections::new(limits, &budget, options);
        let (client, server) = (endpoint(1, 40_000), endpoint(2, 80));
        Self { engine, seen: Recorder::default(), budget, frame: 0, now: 1_000_000_000, client, server }
    }

    pub(super) fn packet(&mut self, side: Side, header: TcpHeader, payload: &[u8], cut: usize) {
        self.frame += 1;
        let (source, destination) = match side {
            Side::Client => (self.client, self.server),
            Side::Server => (self.server, self.client),
        };
        let stamp = Stamp { frame: FrameNumber(self.frame), time: Timestamp(self.now) };
        self.now += 1_000_000;
        let transport = Transport::Tcp(header);
        let packet = Packet { stamp, selected: false, source, destination, transport, payload, cut };
        self.engine.push(&packet, &header, &mut |slot, facts, event| self.seen.take(slot, facts, event));
    }

    /// A packet of the client: `seq` and `ack` count from the initial sequence numbers 1000 and 5000.
    pub(super) fn c(&mut self, flags: TcpFlags, seq: u32, ack: u32, payload: &[u8]) {
        let header = header(flags, seq.wrapping_add(1000), ack.wrapping_add(5000));
        self.packet(Side::Client, header, payload, 0);
    }

    /// A packet of the server.
    pub(super) fn s(&mut self, flags: TcpFlags, seq: u32, ack: u32, payload: &[u8]) {
        let header = header(flags, seq.wrapping_add(5000), ack.wrapping_add(1000));
        self.packet(Side::Server, header, payload, 0);
    }

    pub(super) fn handshake(&mut self) {
        self.c(SYN, 0, 0, b"");
        self.s(SYN | ACK, 0, 1, b"");
        self.c(ACK, 1, 1, b"");
    }

    pub(super) fn finish(&mut self) {
        self.engine.finish(&mut |slot, facts, event| self.seen.take(slot, facts, event));
        assert!(self.engine.is_empty());
        assert_eq!(self.budget.used(), 0, "all leases are back");
        assert!(self.seen.all.iter().all(|seen| seen.close.is_some()));
    }

    /// The only connection there was.
    pub(super) fn only(&self) -> &Seen {
        assert_eq!(self.seen.all.len(), 1);
        &self.seen.all[0]
    }
}

pub(super) fn header(flags: TcpFlags, sequence: u32, acknowledgment: u32) -> TcpHeader {
    TcpHeader { sequence, acknowledgment, flags, window: 1000 }
}

/// A small generator of numbers that look random.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
