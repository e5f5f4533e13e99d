//! Stretches of one byte stream, in any order, become the stream in order: for a TCP half, or a QUIC stream or CRYPTO level.
//!
//! The owner numbers bytes with 64-bit offsets from 0. What is in order is handed on straight from the packet, without a copy;
//! only what lies behind a hole is held. Where stretches overlap, the bytes that came first win, as they do in most receivers.
//!
//! ```text
//!      handed on        hole      held     hole    held
//! |================|...........|########|........|######|
//! 0               next        pieces, by offset          high
//! ```
//!
//! A QUIC stream needs [`Assembler::push`] for each frame, [`Assembler::is_over`] with [`Assembler::give_up`] to stay within its
//! caps, and `give_up` at its end. TCP uses the finer parts: [`Assembler::hand_on`], [`Assembler::store`] and [`Assembler::pop`].

use std::collections::BTreeMap;
use std::ops::Range;

use super::event::{Chunk, Position, StreamEvent};
use crate::base::{Lease, Span, Stamp, Timestamp};

/// Where an [`Assembler`] hands on: only `Data` and `Gap` come out of it.
pub type Out<'o> = dyn FnMut(StreamEvent<'_>) + 'o;

/// Bytes that a held piece costs besides its data: tree node, key, allocator. Tiny pieces must not look cheap.
const PIECE_COST: usize = 2 * size_of::<Piece>();

/// One byte stream on its way into order.
#[derive(Debug)]
pub struct Assembler {
    /// Everything before this offset was handed on or declared lost.
    next: u64,
    /// No later byte carries an earlier time.
    clock: Timestamp,
    lease: Lease,
    /// Most streams never have a hole, so they do not pay for one.
    held: Option<Box<Held>>,
}

/// What waits: pieces that do not overlap.
#[derive(Debug, Default)]
struct Held {
    pieces: BTreeMap<u64, Piece>,
    bytes: usize,
    /// No piece is older.
    since: Option<Timestamp>,
}

#[derive(Debug)]
struct Piece {
    content: Content,
    span: Span,
    link: Link,
}

/// What a segment says about the other direction; all zeros in a stream of QUIC.
#[derive(Debug, Clone, Copy, Default)]
pub struct Link {
    /// Up to where the other direction must have been handed on before the segment's bytes may follow; 0 for no wait.
    pub after: u64,
    /// What the segment acknowledged of the other direction.
    pub acked: u64,
}

#[derive(Debug)]
enum Content {
    Bytes(Box<[u8]>),
    /// Seen on the wire, but not in the capture.
    Lost(u64),
}

/// What became of a stretch that was given to [`Assembler::store`] or [`Assembler::push`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// Bytes that were new.
    pub fresh: u64,
    /// True when bytes that were held already came again with another value; the first value stays.
    pub differs: bool,
}

impl Assembler {
    /// A stream at offset 0. `lease` is to be empty; it will hold what the stream buffers.
    pub fn new(lease: Lease) -> Self {
        Self { next: 0, clock: Timestamp(i64::MIN), lease, held: None }
    }

    /// The stream begins at this offset. Nothing of it may have been taken in.
    pub fn begin_at(&mut self, offset: u64) {
        self.next = offset;
    }

    /// Takes a stretch and hands on all that is now in order.
    pub fn push(&mut self, offset: u64, data: &[u8], span: Span, out: &mut Out<'_>) -> Stored {
        let before = self.next;
        let taken = self.hand_on(offset, data, span, 0, out);
        let mut stored = Stored { fresh: self.next - before, differs: false };
        if let Some(rest) = data.get(taken..)
            && !rest.is_empty()
        {
            let later = self.store(offset.saturating_add(taken as u64), rest, span, Link::default());
            stored = Stored { fresh: stored.fresh + later.fresh, differs: later.differs };
        }
        self.pop(u64::MAX, out);
        stored
    }

    /// Hands on the leading part of a stretch if it is next in order, without copying; its segment acknowledged `acked`. Returns
    /// how many bytes of `data` are settled: handed on now or earlier. The rest belongs to [`Self::store`], and what it set free
    /// comes with [`Self::pop`].
    #[inline]
    pub fn hand_on(&mut self, offset: u64, data: &[u8], span: Span, acked: u64, out: &mut Out<'_>) -> usize {
        let Some(old) = self.next.checked_sub(offset) else { return 0 };
        let old = usize::try_from(old).unwrap_or(usize::MAX).min(data.len());
        let room = match &self.held {
            None => u64::MAX,
            Some(held) => held.pieces.first_key_value().map_or(u64::MAX, |(&start, _)| start.saturating_sub(self.next)),
        };
        let len = usize::try_from(room.min(u64::MAX - self.next)).unwrap_or(usize::MAX).min(data.len() - old);
        if len > 0 {
            self.emit(&data[old..old + len], span, acked, out);
        }
        old + len
    }

    /// Holds the new bytes of a stretch until [`Self::pop`] hands them on, which compares `link.after`.
    pub fn store(&mut self, offset: u64, data: &[u8], span: Span, link: Link) -> Stored {
        self.fill(offset, data.len() as u64, Some(data), span, link)
    }

    /// Notes that `len` bytes at `offset` were on the wire but are not in the capture. They become a gap without any patience,
    /// unless another packet brings them first.
    pub fn store_lost(&mut self, offset: u64, len: u64, span: Span, link: Link) {
        self.fill(offset, len, None, span, link);
    }

    /// Hands on held pieces that are in order, as long as their `after` is at most `reached`. Returns true when something was
    /// handed on.
    pub fn pop(&mut self, reached: u64, out: &mut Out<'_>) -> bool {
        self.pop_until(reached, u64::MAX, out)
    }

    /// [`Self::pop`] up to an offset.
    fn pop_until(&mut self, reached: u64, until: u64, out: &mut Out<'_>) -> bool {
        if self.held.is_none() {
            return false;
        }
        let mut moved = false;
        while let Some(held) = &mut self.held {
            let Some(first) = held.pieces.first_entry() else { break };
            if *first.key() != self.next || first.get().link.after > reached || self.next >= until {
                break;
            }
            #[cfg(test)]
            tests::step();
            let piece = first.remove();
            held.bytes -= piece.content.allocated();
            moved = true;
            match piece.content {
                Content::Bytes(data) => {
                    self.emit(&data, piece.span, piece.link.acked, out);
                }
                Content::Lost(len) => self.declare_gap(len, piece.span.last, out),
            }
        }
        self.settle_lease();
        moved
    }

    /// Hands on the first held piece when it is next in order, whatever it waits for. Returns true when it was.
    pub fn pop_first(&mut self, out: &mut Out<'_>) -> bool {
        let end =
            self.held.as_ref().and_then(|held| held.pieces.first_key_value()).map(|(_, piece)| piece.content.len());
        let end = end.map(|len| self.next + len);
        self.pop_until(u64::MAX, end.unwrap_or(self.next), out)
    }

    /// Declares the hole at the next offset lost, up to `until` or the first held piece, whichever comes first. `stamp` tells
    /// where the loss was found when no held piece shows it. Returns false when there is no such hole.
    pub fn skip_hole(&mut self, until: u64, stamp: Stamp, out: &mut Out<'_>) -> bool {
        let first = self.held.as_ref().and_then(|held| held.pieces.first_key_value());
        let (end, stamp) = match first.map(|(&start, piece)| (start, piece.span.first)) {
            Some((start, shown)) if start <= until => (start, shown),
            // Bytes behind it were there before that: they were not late.
            Some((_, shown)) if shown.time < stamp.time => (until, shown),
            _ => (until, stamp),
        };
        if end <= self.next {
            return false;
        }
        self.declare_gap(end - self.next, stamp, out);
        true
    }

    /// Declares every hole before `until` lost and hands on what waits between them, and behind them in order, whatever its
    /// `after`. `stamp` is that of [`Self::skip_hole`]. Does nothing when `until` was passed already.
    pub fn give_up(&mut self, until: u64, stamp: Stamp, out: &mut Out<'_>) {
        while self.next < until {
            self.skip_hole(until, stamp, out);
            self.pop(u64::MAX, out);
        }
    }

    /// Offset of the next byte to be handed on.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// `stamp`, but not before the last byte handed on.
    pub fn clamp(&self, stamp: Stamp) -> Stamp {
        Stamp { time: stamp.time.max(self.clock), ..stamp }
    }

    /// True when nothing is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// An empty lease of the same budget.
    pub(super) fn empty_lease(&self) -> Lease {
        self.lease.another()
    }

    /// A time that nothing held is older than; `None` when nothing is held.
    pub fn held_since(&self) -> Option<Timestamp> {
        self.held.as_ref().and_then(|held| held.since)
    }

    /// Bytes that the held pieces allocate, as leased.
    pub fn allocated(&self) -> usize {
        self.lease.bytes()
    }

    /// Number of held pieces.
    pub fn pieces(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.pieces.len())
    }

    /// True when more is held than `bytes` (allocated) or `pieces` allow: the owner should give up the first hole.
    pub fn is_over(&self, bytes: usize, pieces: usize) -> bool {
        self.held.as_ref().is_some_and(|held| held.cost() > bytes || held.pieces.len() > pieces)
    }

    /// The hole before the first held piece and the stamp of that piece. The hole is empty when the piece itself waits for
    /// its `after`.
    pub fn first_hole(&self) -> Option<(Range<u64>, Stamp)> {
        let (&start, piece) = self.held.as_ref()?.pieces.first_key_value()?;
        Some((self.next..start, piece.span.first))
    }

    /// When the first held piece is next in order and waits for its `after` only: its stamp.
    pub fn first_waiting(&self) -> Option<Stamp> {
        let (&start, piece) = self.held.as_ref()?.pieces.first_key_value()?;
        (start == self.next).then_some(piece.span.first)
    }

    /// End of the last held piece, or the next offset when nothing is held.
    pub fn high(&self) -> u64 {
        let last = self.held.as_ref().and_then(|held| held.pieces.last_key_value());
        last.map_or(self.next, |(&start, piece)| start + piece.content.len())
    }

    #[inline]
    fn emit(&mut self, data: &[u8], span: Span, acked: u64, out: &mut Out<'_>) {
        let first = Stamp { time: span.first.time.max(self.clock), ..span.first };
        let last = Stamp { time: span.last.time.max(first.time), ..span.last };
        let offset = self.next;
        self.clock = last.time;
        self.next += data.len() as u64;
        let span = Span { first, last, selected: span.selected };
        out(StreamEvent::Data(Chunk { data, span, offset, position: Position { sent: offset, acked } }));
    }

    fn declare_gap(&mut self, len: u64, stamp: Stamp, out: &mut Out<'_>) {
        self.next = self.next.saturating_add(len);
        // A gap is found no later than the bytes behind it were there: lost in the capture does not mean late at the receiver.
        let stamp = self.clamp(stamp);
        self.clock = stamp.time;
        out(StreamEvent::Gap { len, stamp });
    }

    /// Fills the parts of `offset..offset + len` that nothing covers with bytes, or with a note of their loss.
    fn fill(&mut self, offset: u64, len: u64, data: Option<&[u8]>, span: Span, link: Link) -> Stored {
        let mut stored = Stored::default();
        // The last offsets are left out so that the end of a piece never overflows.
        let end = offset.saturating_add(len);
        let mut at = offset.max(self.next);
        if at >= end || end == u64::MAX {
            return stored;
        }
        let part =
            |from: u64, to: u64| data.and_then(|data| data.get((from - offset) as usize..(to - offset) as usize));
        let held = self.held.get_or_insert_default();
        while at < end {
            #[cfg(test)]
            tests::step();
            let before = held.pieces.range(..=at).next_back();
            if let Some((&start, piece)) = before
                && start + piece.content.len() > at
            {
                let until = end.min(start + piece.content.len());
                match (&piece.content, part(at, until)) {
                    (Content::Bytes(ours), Some(theirs)) => {
                        let ours = ours.get((at - start) as usize..(until - start) as usize);
                        stored.differs |= ours != Some(theirs);
                    }
                    (Content::Lost(_), Some(theirs)) => {
                        held.replace_lost(start, at, theirs, span, link);
                        stored.fresh += until - at;
                    }
                    (_, None) => {}
                }
                at = until;
                continue;
            }
            let until = held.pieces.range(at..end).next().map_or(end, |(&start, _)| start);
            let content = match part(at, until) {
                Some(bytes) => Content::Bytes(bytes.into()),
                None => Content::Lost(until - at),
            };
            held.insert(at, Piece { content, span, link });
            stored.fresh += until - at;
            at = until;
        }
        self.settle_lease();
        stored
    }

    /// Tells the budget what is held now, and frees the map when that is nothing.
    fn settle_lease(&mut self) {
        if let Some(held) = &self.held
            && held.pieces.is_empty()
        {
            self.held = None;
        }
        self.lease.set(self.held.as_ref().map_or(0, |held| held.cost()));
    }
}

impl Held {
    fn cost(&self) -> usize {
        self.bytes + self.pieces.len() * PIECE_COST + size_of::<Self>()
    }

    fn insert(&mut self, start: u64, piece: Piece) {
        let time = piece.span.first.time;
        self.since = Some(self.since.map_or(time, |since| since.min(time)));
        self.bytes += piece.content.allocated();
        self.pieces.insert(start, piece);
    }

    /// Puts bytes into the middle of the lost piece that begins at `start`.
    fn replace_lost(&mut self, start: u64, at: u64, bytes: &[u8], span: Span, link: Link) {
        let Some(lost) = self.pieces.remove(&start) else { return };
        let (end, until) = (start + lost.content.len(), at + bytes.len() as u64);
        if start < at {
            self.insert(start, Piece { content: Content::Lost(at - start), ..lost });
        }
        if until < end {
            self.insert(until, Piece { content: Content::Lost(end - until), ..lost });
        }
        self.insert(at, Piece { content: Content::Bytes(bytes.into()), span, link });
    }
}

impl Content {
    fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Lost(len) => *len,
        }
    }

    fn allocated(&self) -> usize {
        match self {
            Content::Bytes(bytes) => bytes.len(),
            Content::Lost(_) => 0,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
