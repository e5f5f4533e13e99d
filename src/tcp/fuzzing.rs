//! Fuzz body of the connections, and scripts: how fuzzers speak to everything that reads byte streams.

use std::net::IpAddr;

use super::{Chunk, Connections, Position, Side, StreamEvent, TcpEvent, TcpOptions};
use crate::base::fuzzing::{Dice, pieces};
use crate::base::{Budget, FrameNumber, Limits, Reader, Span, Stamp, Timestamp};
use crate::net::{Endpoint, Packet, TcpFlags, TcpHeader, Transport};

/// One step of a script.
///
/// ```text
/// +-+-+-+-+-+-+-+-+----------------+-------- - -
/// |side | kind    | length, 16     | stream, 8 | data
/// +-+-+-+-+-+-+-+-+----------------+-------- - -
/// side 1 bit; kind modulo 16: 0 to 11 data, 12 and 13 gap, 14 FIN, 15 RST
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// Who sends.
    pub side: Side,
    /// Which stream, where there are several.
    pub stream: u8,
    /// What.
    pub what: What<'a>,
}

/// What one step brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// Bytes in order.
    Data(&'a [u8]),
    /// Missing bytes; 0 when their number is unknown.
    Gap(u16),
    /// The end of the side.
    Fin,
    /// The end of both.
    Reset,
}

/// Reads a script; every input is one.
pub fn steps(script: &[u8]) -> Vec<Step<'_>> {
    let mut reader = Reader::new(script);
    let mut all = Vec::new();
    while let (Ok(first), Ok(len), Ok(stream)) = (reader.u8(), reader.u16(), reader.u8()) {
        let side = if first & 1 == 0 { Side::Client } else { Side::Server };
        let what = match first >> 1 & 15 {
            14 => What::Fin,
            15 => What::Reset,
            12 | 13 => What::Gap(len),
            _ => {
                let len = usize::from(len).min(reader.remaining());
                What::Data(reader.take(len).unwrap_or_default())
            }
        };
        all.push(Step { side, stream, what });
    }
    all
}

/// Writes a step; data longer than a length field becomes several.
pub fn write_step(script: &mut Vec<u8>, side: Side, stream: u8, what: What<'_>) {
    let mut put = |kind: u8, len: usize, data: &[u8]| {
        script.push(side.index() as u8 | kind << 1);
        script.extend_from_slice(&(len as u16).to_be_bytes());
        script.push(stream);
        script.extend_from_slice(data);
    };
    match what {
        What::Data(data) => data.chunks(0xffff).for_each(|part| put(0, part.len(), part)),
        What::Gap(len) => put(12, usize::from(len), &[]),
        What::Fin => put(14, 0, &[]),
        What::Reset => put(15, 0, &[]),
    }
}

/// Hands the events of a script on, one frame for each step. With dice, data comes in pieces: of the same frame, so that
/// whoever reads them must see the same.
pub fn play(script: &[u8], mut dice: Option<Dice>, each: &mut dyn FnMut(u8, Side, StreamEvent<'_>)) -> Stamp {
    let mut offsets = std::collections::BTreeMap::<(u8, Side), u64>::new();
    let mut over = std::collections::BTreeSet::new();
    let mut stamp = Stamp::default();
    for (number, step) in steps(script).into_iter().enumerate() {
        let Step { side, stream, what } = step;
        stamp = Stamp { frame: FrameNumber(number as u64 + 1), time: Timestamp(number as i64 * 1_000_000) };
        // Nothing follows an end: the floors below see to that.
        if over.contains(&(stream, side)) {
            continue;
        }
        let acked = offsets.get(&(stream, side.other())).copied().unwrap_or_default();
        let offset = offsets.entry((stream, side)).or_default();
        match what {
            What::Data(mut data) => {
                let cuts = match &mut dice {
                    Some(dice) => pieces(dice, data.len()),
                    None => vec![data.len()],
                };
                for cut in cuts.into_iter().filter(|&cut| cut > 0) {
                    let (piece, rest) = data.split_at(cut);
                    let position = Position { sent: *offset, acked };
                    let chunk = Chunk { data: piece, span: Span::of(stamp, false), offset: *offset, position };
                    *offset += cut as u64;
                    each(stream, side, StreamEvent::Data(chunk));
                    data = rest;
                }
            }
            What::Gap(len) => {
                *offset += u64::from(len);
                each(stream, side, StreamEvent::Gap { len: len.into(), stamp });
            }
            What::Fin => {
                over.insert((stream, side));
                each(stream, side, StreamEvent::Fin(stamp));
            }
            What::Reset => {
                over.extend([(stream, Side::Client), (stream, Side::Server)]);
                each(stream, side, StreamEvent::Reset(stamp));
            }
        }
    }
    stamp
}

/// One segment as [`connections`] reads it.
///
/// ```text
/// ends, 8 | flags, 8 | milliseconds, 8 | sequence, 32 | acknowledgment, 32 | window, 16 | length, 16 | payload
/// ends: bit 0 direction, bits 1-2 which pair, bit 3 cut by the snapshot length
/// ```
pub fn write_segment(out: &mut Vec<u8>, ends: u8, millis: u8, header: &TcpHeader, payload: &[u8]) {
    out.extend([ends, header.flags.0, millis]);
    out.extend(header.sequence.to_be_bytes());
    out.extend(header.acknowledgment.to_be_bytes());
    out.extend(header.window.to_be_bytes());
    let payload = &payload[..payload.len().min(0xffff)];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend(payload);
}

/// What is told of one connection: offsets follow each other, nothing follows an end, `Close` comes once.
#[derive(Default)]
struct Told {
    is_open: bool,
    next: [u64; 2],
    /// Bytes came.
    has_begun: [bool; 2],
    is_over: [bool; 2],
}

impl Told {
    fn take(&mut self, event: TcpEvent<'_>) {
        match event {
            TcpEvent::Open => {
                assert!(!self.is_open, "opened twice");
                *self = Self { is_open: true, ..Self::default() };
            }
            TcpEvent::Held(_) => {}
            TcpEvent::Close(_) => assert!(std::mem::take(&mut self.is_open), "closed twice"),
            TcpEvent::Stream(side, event) => {
                let at = side.index();
                let is_reset = matches!(event, StreamEvent::Reset(_));
                assert!(self.is_open && (!self.is_over[at] || is_reset), "event behind the end: {event:?}");
                match event {
                    StreamEvent::Data(chunk) => {
                        // A start that was guessed leaves room before it.
                        let follows = match std::mem::replace(&mut self.has_begun[at], true) {
                            true => chunk.offset == self.next[at],
                            false => chunk.offset >= self.next[at],
                        };
                        assert!(!chunk.data.is_empty() && follows, "offsets follow each other");
                        assert_eq!(chunk.position.sent, chunk.offset);
                        self.next[at] = chunk.offset + chunk.data.len() as u64;
                    }
                    StreamEvent::Gap { len, .. } => self.next[at] += len,
                    StreamEvent::Fin(_) => self.is_over[at] = true,
                    StreamEvent::Reset(_) => self.is_over = [true; 2],
                }
            }
        }
    }
}

/// Segments of four pairs of ends, in any order: events keep their order, memory stays within limits and comes back.
pub fn connections(data: &[u8]) {
    let limits = Limits {
        tcp_hole: 20_000,
        tcp_hole_segments: 30,
        connections: 3,
        tcp_closed: 2,
        memory: 100_000,
        ..Limits::default()
    };
    let budget = Budget::new(limits.memory);
    let mut engine = Connections::new(&limits, &budget, TcpOptions::default());
    let mut told: Vec<Told> = Vec::new();
    let mut take = |slot: super::Slot, event: TcpEvent<'_>| {
        if told.len() <= slot.index() {
            told.resize_with(slot.index() + 1, Told::default);
        }
        told[slot.index()].take(event);
    };
    let mut reader = Reader::new(data);
    let mut stamp = Stamp::default();
    while let (Ok(ends), Ok(flags), Ok(millis)) = (reader.u8(), reader.u8(), reader.u8()) {
        let (Ok(sequence), Ok(acknowledgment)) = (reader.u32(), reader.u32()) else { break };
        let (Ok(window), Ok(len)) = (reader.u16(), reader.u16()) else { break };
        let payload = reader.take(usize::from(len).min(reader.remaining())).unwrap_or_default();
        stamp.frame.0 += 1;
        stamp.time.0 += i64::from(millis) * 1_000_000;
        let end = |address: u8, port| Endpoint { address: IpAddr::from([10, 0, 0, address]), port };
        let (client, server) = (end(1, 1000 + u16::from(ends >> 1 & 3)), end(2, 80));
        let (source, destination) = if ends & 1 == 0 { (client, server) } else { (server, client) };
        let header = TcpHeader { sequence, acknowledgment, flags: TcpFlags(flags & 0x1f), window };
        let cut = if ends & 8 == 0 { 0 } else { usize::from(window) };
        let transport = Transport::Tcp(header);
        let packet = Packet { stamp, selected: false, source, destination, transport, payload, cut };
        engine.push(&packet, &header, &mut |slot, _, event| take(slot, event));
        // Two directions of three connections, each with what its holes may hold and allocate.
        assert!(budget.used() < 6 * 2 * (20_000 + 0x1_0000), "{}", budget.used());
        assert!(engine.len() <= limits.connections);
        if budget.is_overdrawn() {
            engine.evict_oldest(stamp.time, &mut |slot, _, event| take(slot, event));
        }
    }
    engine.finish(&mut |slot, _, event| take(slot, event));
    assert!(told.iter().all(|told| !told.is_open), "left open");
    drop(engine);
    assert_eq!(budget.used(), 0);
}
