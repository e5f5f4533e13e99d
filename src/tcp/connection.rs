//! One TCP connection: two halves, and what each says about the other.

use super::ends::Ends;
use super::event::{Chunk, Position, Side, StreamEvent};
use super::facts::Facts;
use super::half::{Arrival, Fin, Half, Place, Start};
use super::padding::{self, Padding, Told};
use super::reassembly::Link;
use super::{CloseReason, Sink, Slot, TcpEvent};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Span, Stamp};
use crate::net::{Packet, TcpFlags, TcpHeader};

/// Lost bytes are padded from here.
const NULS: [u8; 4096] = [0; 4096];

/// What every connection is treated by.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    pub(super) pad_missing: bool,
}

/// One segment, taken from its packet.
#[derive(Debug, Clone, Copy)]
struct Segment<'a> {
    header: TcpHeader,
    data: &'a [u8],
    /// Bytes that follow `data` but were cut off.
    cut: u32,
    stamp: Stamp,
    selected: bool,
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) facts: Facts,
    halves: [Half; 2],
    /// Offset behind what was handed on of each side.
    told: [u64; 2],
    /// Packets so far; wraps.
    packets: u32,
    /// An answer with other numbers to a SYN that was not seen: it opens another connection once it is acknowledged.
    pub(super) answer: Option<Box<Answer>>,
    /// The connection was over before its first packet; these only count what has no place in it.
    pub(super) leftover: Option<Box<Ends>>,
}

/// A SYN-ACK.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) side: Side,
    pub(super) header: TcpHeader,
    pub(super) stamp: Stamp,
}

/// Where one side's stream events go: counted, padded, and told with the facts.
struct Teller<'t, 's> {
    facts: &'t mut Facts,
    slot: Slot,
    side: Side,
    /// Offset behind what was handed on of each side.
    told: &'t mut [u64; 2],
    rules: &'t Rules,
    out: &'t mut Sink<'s>,
}

impl Teller<'_, '_> {
    fn tell(&mut self, event: StreamEvent<'_>) {
        let side = self.side.index();
        match event {
            StreamEvent::Data(chunk) => {
                self.facts.bytes[side] += chunk.data.len() as u64;
                self.told[side] = chunk.offset + chunk.data.len() as u64;
            }
            StreamEvent::Gap { len, stamp } => {
                let keep = self.rules.limits.anomalies_kept;
                self.facts.anomalies.note_bytes(AnomalyKind::BytesLost, len, Some(stamp), keep);
                // A stream that jumped may have lost gigabytes: nobody wants these as zeros.
                if self.rules.pad_missing && len <= self.rules.limits.tcp_hole as u64 {
                    let mut left = len;
                    while left > 0 {
                        let data = &NULS[..NULS.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                        let offset = self.told[side];
                        self.told[side] += data.len() as u64;
                        self.facts.loss[side].lost_bytes += data.len() as u64;
                        left -= data.len() as u64;
                        let position = Position { sent: offset, acked: 0 };
                        let chunk = Chunk { data, span: Span::of(stamp, false), offset, position };
                        (self.out)(self.slot, self.facts, TcpEvent::Stream(self.side, StreamEvent::Data(chunk)));
                    }
                    return;
                }
                self.facts.loss[side].lost_bytes += len;
            }
            StreamEvent::Fin(_) | StreamEvent::Reset(_) => {}
        }
        (self.out)(self.slot, self.facts, TcpEvent::Stream(self.side, event));
    }
}

/// Runs `$body` with `$emit` as the sink of `$side`.
macro_rules! telling {
    ($self:ident, $side:expr, $slot:expr, $rules:expr, $out:expr, |$emit:ident| $body:expr) => {{
        let (facts, told) = (&mut $self.facts, &mut $self.told);
        let mut teller = Teller { facts, told, slot: $slot, side: $side, rules: $rules, out: &mut *$out };
        let $emit = &mut |event: StreamEvent<'_>| teller.tell(event);
        $body
    }};
}

mod identity;
mod order;

impl Connection {
    /// The connection that this packet is the first of.
    pub(super) fn new(packet: &Packet<'_>, header: &TcpHeader, is_continued: bool, budget: &Budget) -> Self {
        let (is_syn, is_ack) = (header.flags.has(TcpFlags::SYN), header.flags.has(TcpFlags::ACK));
        let is_from_client = match (is_syn, is_ack) {
            (true, answers) => !answers,
            // Servers listen on low ports; clients are given high ones (RFC 6335 §6).
            (false, _) => packet.source.port >= packet.destination.port,
        };
        let (client, server) =
            if is_from_client { (packet.source, packet.destination) } else { (packet.destination, packet.source) };
        let facts = Facts {
            client,
            server,
            roles_known: is_syn,
            first: packet.stamp,
            last: packet.stamp,
            opened: None,
            established: None,
            rtt: None,
            loss: Default::default(),
            seen: [false; 2],
            bytes: [0; 2],
            is_continued,
            anomalies: Anomalies::default(),
        };
        let halves = [Half::new(budget.lease()), Half::new(budget.lease())];
        Self { facts, halves, told: [0; 2], packets: 0, answer: None, leftover: None }
    }

    /// An empty lease of the budget that the connection's buffers are in.
    pub(super) fn lease(&self) -> Lease {
        self.halves[0].assembler.empty_lease()
    }

    /// Takes one packet. Returns why the connection is over, if it is.
    pub(super) fn push(
        &mut self,
        slot: Slot,
        side: Side,
        packet: &Packet<'_>,
        header: &TcpHeader,
        rules: &Rules,
        out: &mut Sink<'_>,
    ) -> Option<CloseReason> {
        let segment = Segment {
            header: *header,
            data: packet.payload,
            cut: u32::try_from(packet.cut).unwrap_or(u32::MAX),
            stamp: packet.stamp,
            selected: packet.selected,
        };
        self.packets = self.packets.wrapping_add(1);
        self.facts.seen[side.index()] = true;
        if segment.stamp.frame < self.facts.last.frame && segment.stamp.time < self.facts.last.time {
            // It was held back for what was sent before it.
        } else if segment.stamp.time < self.facts.last.time {
            self.note(AnomalyKind::TimeBackwards, &segment, rules);
            self.facts.last.frame = segment.stamp.frame;
        } else {
            self.facts.last = segment.stamp;
        }
        if self.leftover.is_some() {
            self.waste(side, segment.data.len() as u64 + u64::from(segment.cut), &segment, rules);
            return None;
        }
        if header.flags.has(TcpFlags::RST) {
            return self.reset(slot, side, &segment, rules, out);
        }
        if self.halves.iter().any(|half| half.padding.is_some()) {
            let half = &self.halves[side.index()];
            let may_pad = padding::may_pad(packet, header, half.offset(header.sequence), half.high);
            self.settle_padding(slot, side, header, may_pad, rules, out);
        }
        if !self.begin(side, &segment, rules) {
            return None;
        }
        let link = self.acknowledge(side, &segment, rules);
        let half = &mut self.halves[side.index()];
        if padding::may_pad(packet, header, half.offset(header.sequence), half.high) {
            let (len, Segment { stamp, selected, .. }) = (segment.data.len(), segment);
            half.padding.get_or_insert_with(|| Box::new(Padding { header: *header, len, stamp, selected, link }));
            out(slot, &self.facts, TcpEvent::Held(stamp.time));
        } else {
            self.take(slot, side, &segment, link, rules, out);
        }
        self.settle(slot, segment.stamp, rules, out);
        self.halves.iter().all(|half| half.fin_told).then_some(CloseReason::Finished)
    }

    /// Settles what may be padding by the next packet.
    fn settle_padding(
        &mut self,
        slot: Slot,
        side: Side,
        header: &TcpHeader,
        may_pad: bool,
        rules: &Rules,
        out: &mut Sink<'_>,
    ) {
        for of in Side::BOTH {
            let half = &mut self.halves[of.index()];
            let Some(padding) = &half.padding else { continue };
            let told = match of == side {
                true => padding.told_by_sender(header, may_pad),
                false if header.flags.has(TcpFlags::ACK) => padding.told_by_receiver(header.acknowledgment),
                false => Told::Nothing,
            };
            if told != Told::Nothing {
                // Who pads once pads always: then the bytes were others, and are lost.
                let is_padding = told == Told::Padding || half.has_padded;
                half.has_padded = is_padding;
                self.take_padding(slot, of, !is_padding, rules, out);
            }
        }
    }

    /// Takes what was held as it may be padding: the zeros, or only the FIN.
    fn take_padding(&mut self, slot: Slot, side: Side, are_bytes: bool, rules: &Rules, out: &mut Sink<'_>) {
        let Some(padding) = self.halves[side.index()].padding.take() else { return };
        let Padding { header, len, stamp, selected, link } = *padding;
        let data = if are_bytes { NULS.get(..len).unwrap_or_default() } else { &[] };
        let segment = Segment { header, data, cut: 0, stamp, selected };
        self.take(slot, side, &segment, link, rules, out);
    }

    /// Counts bytes that have no place in the stream.
    fn waste(&mut self, side: Side, bytes: u64, segment: &Segment<'_>, rules: &Rules) {
        let loss = &mut self.facts.loss[side.index()];
        loss.unusable = loss.unusable.saturating_add(u32::from(bytes > 0));
        loss.unusable_bytes = loss.unusable_bytes.saturating_add(bytes);
        self.note(AnomalyKind::StreamOutOfWindow, segment, rules);
    }

    fn note(&mut self, kind: AnomalyKind, segment: &Segment<'_>, rules: &Rules) {
        self.facts.anomalies.note(kind, Some(segment.stamp), rules.limits.anomalies_kept);
    }

    /// A RST: believed only where the receiver would believe it (RFC 9293 §3.10.7), for others are injected blindly.
    fn reset(
        &mut self,
        slot: Slot,
        side: Side,
        segment: &Segment<'_>,
        rules: &Rules,
        out: &mut Sink<'_>,
    ) -> Option<CloseReason> {
        if !self.believes_reset(side, &segment.header) {
            self.note(AnomalyKind::StreamOutOfWindow, segment, rules);
            return None;
        }
        self.flush(slot, segment.stamp, rules, out);
        let stamp = self.halves[side.index()].assembler.clamp(segment.stamp);
        telling!(self, side, slot, rules, out, |emit| emit(StreamEvent::Reset(stamp)));
        Some(CloseReason::Reset)
    }

    fn believes_reset(&self, side: Side, header: &TcpHeader) -> bool {
        let (ours, theirs) = (&self.halves[side.index()], &self.halves[side.other().index()]);
        let answers = header.flags.has(TcpFlags::ACK)
            && (!theirs.is_started() || theirs.offset(header.acknowledgment).unsigned_abs() <= theirs.high + 1);
        if ours.is_started() {
            // A closed port answers a repeated SYN with sequence number 0.
            ours.is_reset_plausible(header.sequence) || (ours.is_blank() && answers)
        } else {
            answers || !theirs.has_ack || theirs.last_ack == header.sequence
        }
    }

    /// True when a RST is believed, but bytes that were sent before it have not come.
    pub(super) fn is_reset_early(&self, side: Side, header: &TcpHeader) -> bool {
        let (ours, theirs) = (&self.halves[side.index()], &self.halves[side.other().index()]);
        let is_ahead = |half: &Half, number| half.is_started() && !half.fin_told && half.lacks(half.offset(number));
        let lacks = is_ahead(ours, header.sequence)
            || header.flags.has(TcpFlags::ACK) && is_ahead(theirs, header.acknowledgment)
            || self.halves.iter().any(Half::is_busy);
        lacks && self.believes_reset(side, header)
    }

    /// Sees to the start of the sender's stream. False when the segment is to be ignored.
    fn begin(&mut self, side: Side, segment: &Segment<'_>, rules: &Rules) -> bool {
        let header = &segment.header;
        let (is_syn, is_ack) = (header.flags.has(TcpFlags::SYN), header.flags.has(TcpFlags::ACK));
        let now = segment.stamp;
        let (ours, theirs) = pair(&mut self.halves, side);
        if !is_syn {
            if !ours.is_started() {
                // The first segment seen may ask whether the other side is alive: its byte is an old one.
                let is_probe = theirs.has_ack
                    && header.sequence.wrapping_add(1) == theirs.last_ack
                    && segment.data.len() <= 1
                    && !header.flags.has(TcpFlags::FIN);
                ours.show(header.sequence.wrapping_add(u32::from(is_probe)), &rules.limits);
            } else {
                ours.settle_start(header.sequence);
                if !segment.data.is_empty() {
                    ours.move_start(header.sequence);
                }
            }
            if is_ack && theirs.is_started() {
                theirs.settle_start(header.acknowledgment);
            }
        } else if !ours.is_started() {
            ours.start(header.sequence.wrapping_add(1), Start::Syn);
            ours.time_syn(Some(now.time));
        } else if ours.is_syn_of(header.sequence) {
            if ours.has_syn() {
                ours.time_syn(None);
                self.facts.loss[side.index()].retransmissions += 1;
            }
            self.halves[side.index()].confirm_syn();
        } else if ours.is_blank()
            && is_ack
            && theirs.is_syn_of(header.acknowledgment.wrapping_sub(1))
            && !ours.is_acknowledged_by(theirs)
        {
            // Another server behind the same address answers the repeated SYN: the client decides which one counts.
            ours.start_again(header.sequence.wrapping_add(1));
            ours.time_syn(None);
        } else {
            self.note(AnomalyKind::StreamOutOfWindow, segment, rules);
            return false;
        }
        if is_syn && !is_ack && side == Side::Client {
            self.facts.opened = self.facts.opened.or(Some(now));
            self.facts.roles_known = true;
        }
        let knows_handshake = self.facts.opened.is_some() || self.halves[Side::Server.index()].has_syn();
        if side == Side::Client && !is_syn && is_ack && knows_handshake && self.facts.established.is_none() {
            self.facts.established = Some(now);
        }
        true
    }

    /// Takes what the segment says about the other side's stream, and what that means for the segment's own bytes.
    fn acknowledge(&mut self, side: Side, segment: &Segment<'_>, rules: &Rules) -> Link {
        let header = &segment.header;
        if !header.flags.has(TcpFlags::ACK) {
            return Link::default();
        }
        let (ours, theirs) = pair(&mut self.halves, side);
        let is_plain = segment.data.is_empty()
            && segment.cut == 0
            && !header.flags.has(TcpFlags::SYN)
            && !header.flags.has(TcpFlags::FIN);
        let repeats = is_plain
            && ours.has_ack
            && ours.last_ack == header.acknowledgment
            && ours.window == header.window
            && ours.offset(header.sequence) == ours.high as i64
            && header.window != 0
            && !theirs.is_probing;
        ours.repeated_acks = match repeats {
            true => ours.repeated_acks.saturating_add(1),
            false if is_plain && ours.last_ack == header.acknowledgment => ours.repeated_acks,
            false => 0,
        };
        ours.last_ack = header.acknowledgment;
        ours.has_ack = true;
        ours.window = header.window;
        let is_reset = header.flags.has(TcpFlags::RST);
        if !theirs.is_placed() && !is_reset {
            theirs.start(header.acknowledgment, Start::Heard);
        }
        let (mut link, mut is_outside) = (Link::default(), false);
        if theirs.is_placed() {
            let from = ours.offset(header.sequence).max(ours.high as i64);
            match theirs.acknowledge(header.acknowledgment, from, segment.stamp.time, &rules.limits) {
                Some(acked) => link = Link { after: if theirs.is_behind() { acked } else { 0 }, acked },
                None => is_outside = theirs.is_started(),
            }
        }
        let legs = [ours.leg, theirs.leg];
        let loss = &mut self.facts.loss[side.index()];
        loss.duplicate_acks += u32::from(repeats);
        let is_control = header.flags.has(TcpFlags::SYN) || header.flags.has(TcpFlags::FIN);
        loss.zero_windows += u32::from(header.window == 0 && !is_control);
        // Each leg is the way from the capture point to one end and back; together they are the round trip.
        if let [Some(one), Some(other)] = legs {
            self.facts.rtt = Some(one.saturating_add(other));
        }
        if is_outside {
            self.note(AnomalyKind::StreamOutOfWindow, segment, rules);
        }
        link
    }

    /// Takes the segment's bytes, and its FIN.
    #[inline(always)]
    fn take(&mut self, slot: Slot, side: Side, segment: &Segment<'_>, link: Link, rules: &Rules, out: &mut Sink<'_>) {
        let header = &segment.header;
        let is_fin = header.flags.has(TcpFlags::FIN);
        let (ours, theirs) = pair(&mut self.halves, side);
        // Two duplicate acknowledgments ask for a fast retransmission (RFC 5681 §3.2; Wireshark counts two, too).
        let is_asked = theirs.repeated_acks >= 2 && theirs.last_ack == header.sequence;
        let len = u32::try_from(segment.data.len()).unwrap_or(u32::MAX).saturating_add(segment.cut);
        let sequence = header.sequence.wrapping_add(u32::from(header.flags.has(TcpFlags::SYN)));
        let start = match ours.place(sequence, len, &rules.limits) {
            Place::At(at) => at,
            Place::Jumped(at) if ours.fin_told => at as i64,
            Place::Jumped(at) => {
                telling!(self, side, slot, rules, out, |emit| ours.assembler.give_up(at, segment.stamp, emit));
                at as i64
            }
            Place::Outside => return self.waste(side, len.into(), segment, rules),
        };
        ours.is_probing = !is_fin && ours.is_probe(start, len);
        if (len == 0 && !is_fin) || ours.is_probing {
            return;
        }
        let Ok(mut end) = u64::try_from(start.saturating_add(i64::from(len))) else { return };
        // What lies before the start of the stream was not seen to be sent: it is not part of it.
        let before = usize::try_from(start.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let at = u64::try_from(start).unwrap_or(0);
        let mut data = segment.data.get(before..).unwrap_or_default();
        let (mut is_past_end, mut past) = (false, 0);
        if let Some(fin) = &ours.fin
            && end > fin.offset
        {
            is_past_end = true;
            past = end - fin.offset.max(at);
            end = fin.offset;
            let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            data = data.get(..room).unwrap_or(data);
        }
        let first_new = at.max(ours.assembler.next());
        let fin_after = ours.wait(end, link.after);
        let link = Link { after: ours.wait(first_new, link.after), acked: ours.wait(first_new, link.acked) };
        let mut differs = false;
        if end > at {
            let cut = end.saturating_sub(at + data.len() as u64);
            let span = Span::of(segment.stamp, segment.selected);
            let stored = telling!(self, side, slot, rules, out, |emit| ours.take(at, data, cut, span, link, emit));
            differs = stored.differs;
            if !ours.assembler.is_empty() {
                out(slot, &self.facts, TcpEvent::Held(segment.stamp.time));
            }
            let loss = &mut self.facts.loss[side.index()];
            match ours.account(at, end, stored.fresh, is_asked, segment.stamp.time, self.facts.rtt) {
                Arrival::Next => {}
                Arrival::Retransmission => loss.retransmissions += 1,
                Arrival::OutOfOrder => loss.out_of_order += 1,
            }
        }
        if is_fin {
            if ours.fin.is_some() {
                self.facts.loss[side.index()].retransmissions += u32::from(len == 0);
            } else if end >= ours.high && end >= ours.assembler.next() {
                ours.fin = Some(Box::new(Fin { offset: end, after: fin_after, stamp: segment.stamp }));
            } else {
                is_past_end = true;
            }
        }
        if is_past_end {
            self.waste(side, past, segment, rules);
        }
        if differs {
            self.note(AnomalyKind::OverlapDiffers, segment, rules);
        }
    }
}

/// One side's half, and the other's.
fn pair(halves: &mut [Half; 2], side: Side) -> (&mut Half, &mut Half) {
    let [client, server] = halves;
    match side {
        Side::Client => (client, server),
        Side::Server => (server, client),
    }
}
