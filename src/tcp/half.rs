//! One direction of a connection: what its sender sent, and what is known about its delivery.

use super::ends::Stream;
use super::event::StreamEvent;
use super::padding::Padding;
use super::reassembly::{Assembler, Link, Out, Stored};
use crate::base::{Lease, Limits, Span, Stamp, Timestamp};

/// Segments in a row that must agree before a stream follows them to a place far off.
const AGREEING: u8 = 3;
/// Distance from an unbelieved stretch at which an acknowledgment speaks for it.
const NEAR: u32 = 1 << 20;
/// Offset of a start that was only guessed: earlier data may come later in the capture, and moves the start back by this at most.
const ROOM_BEFORE: u32 = 1 << 16;

/// How the start of a stream is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Not at all.
    Unknown,
    /// From what the other side acknowledged; the side itself has not been seen.
    Heard,
    /// From the first segment seen.
    Seen,
    /// From the SYN.
    Syn,
}

/// What one side sends. Sequence numbers become 64-bit offsets: 0 is the byte after the SYN; where no SYN was seen, the start is
/// at [`ROOM_BEFORE`].
#[derive(Debug)]
pub(super) struct Half {
    pub(super) assembler: Assembler,
    /// Sequence number of offset 0.
    base: u32,
    /// The same as another SYN said.
    rival: u32,
    has_rival: bool,
    /// A segment that may be padding.
    pub(super) padding: Option<Box<Padding>>,
    /// The side pads its acknowledgments.
    pub(super) has_padded: bool,
    /// The side's last acknowledgment number.
    pub(super) last_ack: u32,
    /// How often in a row the side has repeated that without need.
    pub(super) repeated_acks: u8,
    /// The side's last window field.
    pub(super) window: u16,
    start: Start,
    /// Offset at which the stream begins.
    origin: u64,
    /// True once `last_ack` is known.
    pub(super) has_ack: bool,
    /// True when the last segment only asked whether the other side is alive (RFC 9293 §3.8.4).
    pub(super) is_probing: bool,
    /// True once the end of the stream was handed on.
    pub(super) fin_told: bool,
    stray: Stray,
    /// End of the bytes seen, in the capture or cut.
    pub(super) high: u64,
    /// When `high` moved last.
    high_time: Timestamp,
    /// End of what the other side acknowledged; one more than there are bytes once it acknowledged the FIN.
    pub(super) acked: u64,
    /// Where the other side's stream was when it acknowledged that.
    acked_at: u64,
    /// Where the stream ends.
    pub(super) fin: Option<Box<Fin>>,
    patience: Option<Box<Patience>>,
    /// The segment whose acknowledgment is timed: its end, and when it was sent.
    timed: Option<(u64, Timestamp)>,
    /// Smoothed time from the side's segments to their acknowledgments, in nanoseconds.
    pub(super) leg: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Fin {
    pub(super) offset: u64,
    /// What its sender had acknowledged of the other side, as for data.
    pub(super) after: u64,
    pub(super) stamp: Stamp,
}

/// Waiting for bytes that the receiver has, but the capture has not shown yet.
#[derive(Debug)]
struct Patience {
    /// Offset up to which they were acknowledged when the waiting began.
    until: u64,
    packets: u32,
    /// The acknowledgment that began it.
    since: Stamp,
}

/// Segments far outside the stream that agree with one another.
#[derive(Debug, Clone, Copy, Default)]
struct Stray {
    next: u32,
    agreeing: u8,
}

/// Where a segment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At this offset; negative when it begins before the stream's start.
    At(i64),
    /// Far outside.
    Outside,
    /// Far outside, but enough speaks for it: the stream goes on at this offset.
    Jumped(u64),
}

/// How a segment relates to what was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Next,
    Retransmission,
    OutOfOrder,
}

impl Half {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            assembler: Assembler::new(lease),
            base: 0,
            rival: 0,
            has_rival: false,
            padding: None,
            has_padded: false,
            last_ack: 0,
            repeated_acks: 0,
            window: 0,
            start: Start::Unknown,
            origin: 0,
            has_ack: false,
            is_probing: false,
            fin_told: false,
            stray: Stray::default(),
            high: 0,
            high_time: Timestamp::default(),
            acked: 0,
            acked_at: 0,
            fin: None,
            patience: None,
            timed: None,
            leg: None,
        }
    }

    /// The stream begins at this sequence number. Nothing of it may have been handed on.
    pub(super) fn start(&mut self, sequence: u32, start: Start) {
        let origin = if start == Start::Syn { 0 } else { ROOM_BEFORE };
        self.base = sequence.wrapping_sub(origin);
        self.start = start;
        self.acked = 0;
        self.acked_at = 0;
        self.begin_at(origin.into());
    }

    fn begin_at(&mut self, origin: u64) {
        self.origin = origin;
        self.high = origin;
        self.assembler.begin_at(origin);
    }

    /// A segment of this side, no SYN, which begins at this sequence number, shows the stream for the first time. What the other
    /// side acknowledged before told where it begins, unless that cannot be.
    pub(super) fn show(&mut self, sequence: u32, limits: &Limits) {
        let window = i64::try_from(limits.tcp_window).unwrap_or(i64::MAX);
        let is_believed = self.start == Start::Heard
            && (self.origin as i64 - i64::from(ROOM_BEFORE)..=self.front() as i64 + window)
                .contains(&self.offset(sequence));
        if is_believed {
            self.start = Start::Seen;
        } else {
            self.start(sequence, Start::Seen);
        }
    }

    /// True once a segment of this side was seen.
    pub(super) fn is_started(&self) -> bool {
        matches!(self.start, Start::Seen | Start::Syn)
    }

    /// True when anything tells where the stream begins.
    pub(super) fn is_placed(&self) -> bool {
        self.start != Start::Unknown
    }

    /// True when the SYN was seen.
    pub(super) fn has_syn(&self) -> bool {
        self.start == Start::Syn
    }

    /// The SYN was seen after all, and belongs to the stream that is known.
    pub(super) fn confirm_syn(&mut self) {
        self.start = Start::Syn;
    }

    /// Another SYN answers for the side: until the other side acknowledges one of them, both may count.
    pub(super) fn start_again(&mut self, sequence: u32) {
        (self.rival, self.has_rival) = (self.first(), true);
        self.start(sequence, Start::Syn);
    }

    /// Settles which of two starts counts: the one that this number, of the next byte or an acknowledgment, is of.
    pub(super) fn settle_start(&mut self, number: u32) {
        let is_rival = std::mem::take(&mut self.has_rival) && self.is_blank();
        if is_rival && number.wrapping_sub(self.rival) < number.wrapping_sub(self.first()) {
            self.start(self.rival, Start::Syn);
        }
    }

    /// Sequence number of the first byte.
    fn first(&self) -> u32 {
        self.base.wrapping_add(self.origin as u32)
    }

    /// True when the other side has acknowledged the start that counts now.
    pub(super) fn is_acknowledged_by(&self, theirs: &Half) -> bool {
        !self.has_rival && theirs.has_ack && theirs.last_ack == self.first()
    }

    /// Where the stream began and ended, as far as that is known.
    pub(super) fn ends(&self) -> Option<Stream> {
        let end = self.fin.as_ref().map_or(self.front(), |fin| fin.offset.saturating_add(1));
        let first = self.first().wrapping_sub(1);
        let next = self.base.wrapping_add(end as u32);
        self.is_started().then_some(Stream { first, next })
    }

    /// True when a SYN with this sequence number belongs to the stream that is known.
    pub(super) fn is_syn_of(&self, sequence: u32) -> bool {
        self.is_started() && sequence.wrapping_add(1) == self.first()
    }

    /// True when nothing but the start is known.
    pub(super) fn is_blank(&self) -> bool {
        self.high == self.origin && self.assembler.next() == self.origin && self.fin.is_none()
    }

    /// Offset of a sequence number, taking the nearest of all it could mean.
    pub(super) fn offset(&self, sequence: u32) -> i64 {
        let next = self.assembler.next();
        let distance = sequence.wrapping_sub(self.base.wrapping_add(next as u32)) as i32;
        (next as i64).wrapping_add(i64::from(distance))
    }

    /// End of all that was seen or acknowledged.
    fn front(&self) -> u64 {
        self.high.max(self.acked).max(self.assembler.next())
    }

    /// Decides where a segment of `len` bytes lies, and follows it when the stream has gone far away.
    pub(super) fn place(&mut self, sequence: u32, len: u32, limits: &Limits) -> Place {
        let at = self.offset(sequence);
        let window = i64::try_from(limits.tcp_window).unwrap_or(i64::MAX);
        let ahead = at.saturating_sub(self.front() as i64);
        let behind = (self.assembler.next() as i64).saturating_sub(at).saturating_sub(i64::from(len));
        if ahead <= window && behind <= window {
            self.stray.agreeing = 0;
            return Place::At(at);
        }
        if len == 0 {
            return Place::Outside;
        }
        let is_repeated = self.stray.agreeing > 0 && self.stray.next == sequence.wrapping_add(len);
        if is_repeated && self.is_blank() {
            // Something on the way renumbers the stream but not its SYN: the first bytes are believed when they come again.
            self.start(sequence, Start::Seen);
            self.stray.agreeing = 0;
            return Place::At(self.origin as i64);
        }
        let agrees = self.stray.agreeing > 0 && self.stray.next == sequence;
        let agreeing = if agrees { self.stray.agreeing.saturating_add(1) } else { 1 };
        self.stray = Stray { next: sequence.wrapping_add(len), agreeing };
        if agreeing < AGREEING {
            return Place::Outside;
        }
        self.stray.agreeing = 0;
        let next = self.assembler.next();
        Place::Jumped(next.saturating_add(u64::from(sequence.wrapping_sub(self.base.wrapping_add(next as u32)))))
    }

    /// Takes an acknowledgment by the other side, whose own stream was at `from` then. Returns the offset, or nothing when it is not believed.
    pub(super) fn acknowledge(&mut self, number: u32, from: i64, now: Timestamp, limits: &Limits) -> Option<u64> {
        let at = self.offset(number);
        if at.saturating_sub(self.front() as i64) > i64::try_from(limits.tcp_window).unwrap_or(i64::MAX) {
            if self.stray.agreeing > 0 && number.wrapping_sub(self.stray.next).wrapping_add(NEAR) < 2 * NEAR {
                self.stray.agreeing = AGREEING;
            }
            return None;
        }
        let at = u64::try_from(at).ok()?;
        if let Some((end, sent)) = self.timed
            && at >= end
        {
            self.timed = None;
            let sample = now.nanos_since(sent);
            // RFC 6298 §2: SRTT <- 7/8 SRTT + 1/8 R'.
            self.leg = Some(self.leg.map_or(sample, |leg| leg - leg / 8 + sample / 8));
        }
        if at > self.acked {
            self.acked = at;
            self.acked_at = u64::try_from(from).unwrap_or(0);
        }
        Some(at)
    }

    /// End of the bytes that the other side has acknowledged. The acknowledgment of one more than was seen may be that of a
    /// FIN which is not in the capture, so it proves nothing.
    pub(super) fn received(&self) -> u64 {
        match &self.fin {
            Some(fin) => self.acked.min(fin.offset),
            None if self.acked == self.high.saturating_add(1) => self.high,
            None => self.acked,
        }
    }

    /// Up to where the other side's stream goes before the bytes at `at`, in a segment that acknowledged `after`. What the
    /// other side has acknowledged already was there before its answer, whatever a repetition has acknowledged since.
    pub(super) fn wait(&self, at: u64, after: u64) -> u64 {
        if self.acked > at { after.min(self.acked_at) } else { after }
    }

    /// True when acknowledged bytes have not been handed on yet.
    pub(super) fn is_behind(&self) -> bool {
        self.is_started() && self.assembler.next() < self.received()
    }

    /// True when bytes before this offset have not come; the FIN counts as one.
    pub(super) fn lacks(&self, at: i64) -> bool {
        at > (self.assembler.next() as i64).saturating_add(i64::from(self.fin.is_some()))
    }

    /// Up to where answers to this stream may be handed on.
    pub(super) fn reached(&self) -> u64 {
        if self.is_behind() { self.assembler.next() } else { u64::MAX }
    }

    /// True when a segment repeats the last byte seen, or none before it, to provoke an acknowledgment.
    pub(super) fn is_probe(&self, at: i64, len: u32) -> bool {
        len <= 1 && at.saturating_add(1) == self.high as i64
    }

    /// Data before a start that was only guessed: moves the start back, when nothing was handed on yet.
    pub(super) fn move_start(&mut self, sequence: u32) {
        let at = self.offset(sequence);
        let is_earlier = !self.has_syn() && self.is_blank() && (0..self.origin as i64).contains(&at);
        if is_earlier {
            self.begin_at(at as u64);
        }
    }

    /// Keeps the account of what was sent: `at..end` was seen, of which `fresh` bytes were new; `is_asked` tells that the
    /// receiver had asked for it again.
    pub(super) fn account(
        &mut self,
        at: u64,
        end: u64,
        fresh: u64,
        is_asked: bool,
        now: Timestamp,
        rtt: Option<u64>,
    ) -> Arrival {
        let arrival = if at >= self.high {
            Arrival::Next
        } else {
            // Karn's rule: the acknowledgment of a segment sent twice tells no time.
            if self.timed.is_some_and(|(timed, _)| at < timed) {
                self.timed = None;
            }
            // What overtook on its way comes within a round trip; what was lost takes longer (Wireshark draws the same line).
            let is_late = now.nanos_since(self.high_time) >= rtt.unwrap_or(3_000_000);
            if fresh == 0 || is_asked || is_late { Arrival::Retransmission } else { Arrival::OutOfOrder }
        };
        if end > self.high {
            if self.timed.is_none() && arrival == Arrival::Next && at == self.high {
                self.timed = Some((end, now));
            }
            self.high = end;
            self.high_time = now;
        }
        arrival
    }

    /// Times the handshake: `Some` when a SYN went out, `None` when it had to be repeated.
    pub(super) fn time_syn(&mut self, sent: Option<Timestamp>) {
        self.timed = sent.map(|sent| (0, sent));
    }

    /// Hands on or holds the bytes of one segment, and notes those that were cut off. Returns what was new.
    #[inline]
    pub(super) fn take(&mut self, at: u64, data: &[u8], cut: u64, span: Span, link: Link, out: &mut Out<'_>) -> Stored {
        if self.fin_told {
            return Stored { fresh: 0, differs: false };
        }
        let before = self.assembler.next();
        let taken = if link.after == 0 { self.assembler.hand_on(at, data, span, link.acked, out) } else { 0 };
        let mut stored = Stored { fresh: self.assembler.next() - before, differs: false };
        if let Some(rest) = data.get(taken..)
            && !rest.is_empty()
        {
            let held = self.assembler.store(at.saturating_add(taken as u64), rest, span, link);
            stored = Stored { fresh: stored.fresh + held.fresh, differs: held.differs };
        }
        if cut > 0 {
            self.assembler.store_lost(at.saturating_add(data.len() as u64), cut, span, link);
        }
        stored
    }

    /// Gives up the first hole when it must not be waited for any longer. Returns true when it did: there may be more.
    pub(super) fn lose_patience(&mut self, packets: u32, now: Stamp, limits: &Limits, out: &mut Out<'_>) -> bool {
        if self.fin_told {
            return false;
        }
        let (next, received) = (self.assembler.next(), self.received());
        match &self.patience {
            Some(patience) if patience.until.min(received) > next => {
                let since = patience.since;
                let is_over = limits.is_tcp_patience_over(packets.wrapping_sub(patience.packets), since, now);
                if is_over && self.assembler.skip_hole(patience.until.min(received), since, out) {
                    return true;
                }
            }
            _ if received > next => {
                self.patience = Some(Box::new(Patience { until: received, packets, since: now }));
            }
            _ => self.patience = None,
        }
        match self.assembler.first_hole() {
            Some((hole, shown)) if !hole.is_empty() && self.is_too_much(shown, now, limits) => {
                self.assembler.skip_hole(hole.end, now, out)
            }
            _ => false,
        }
    }

    /// Gives up the wait for the other side when it must not go on any longer. Returns true when it did: there may be more.
    pub(super) fn lose_wait(&mut self, now: Stamp, limits: &Limits, out: &mut Out<'_>) -> bool {
        match self.assembler.first_waiting() {
            Some(shown) if !self.fin_told && self.is_too_much(shown, now, limits) => self.assembler.pop_first(out),
            _ => false,
        }
    }

    /// True when what is held has been held for too long since `shown`, or is too much.
    fn is_too_much(&self, shown: Stamp, now: Stamp, limits: &Limits) -> bool {
        limits.has_passed(limits.tcp_hole_age, shown, now)
            || self.assembler.is_over(limits.tcp_hole, limits.tcp_hole_segments)
    }

    /// Gives up the first hole, up to `end` at most; or, when there is none, the wait for the other side.
    pub(super) fn give_up_hole(&mut self, end: u64, now: Stamp, out: &mut Out<'_>) -> bool {
        self.assembler.skip_hole(end, now, out) || self.assembler.pop(u64::MAX, out)
    }

    /// Hands on what is ready, given what the other side has reached; then the end, when it is due.
    pub(super) fn advance(&mut self, reached: u64, out: &mut Out<'_>) -> bool {
        if self.fin_told {
            // Nothing follows the end, whatever was sent or acknowledged behind it.
            return false;
        }
        let moved = self.assembler.pop(reached, out);
        let Some(fin) = &self.fin else { return moved };
        if self.assembler.next() < fin.offset || fin.after > reached {
            return moved;
        }
        self.fin_told = true;
        out(StreamEvent::Fin(self.assembler.clamp(fin.stamp)));
        true
    }

    /// True when something waits, or is waited for.
    pub(super) fn is_busy(&self) -> bool {
        !self.fin_told
            && (!self.assembler.is_empty() || self.fin.is_some() || self.is_behind() || self.patience.is_some())
    }

    /// True when a RST with this sequence number would be believed: it lies where the receiver expects the next byte, or at
    /// most an unscaled window behind the last one seen (RFC 9293 §3.10.7.4).
    pub(super) fn is_reset_plausible(&self, sequence: u32) -> bool {
        let at = self.offset(sequence);
        let low = self.assembler.next().min(self.acked) as i64;
        at >= low && at <= (self.front() as i64).saturating_add(i64::from(u16::MAX))
    }
}
