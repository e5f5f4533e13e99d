//! Frames that are held back for a while, so that those which come a little late find their places.

use std::collections::VecDeque;

use super::causality::{Segments, Votes};
use super::facts::Disorder;
use super::frame::{Frame, LinkType};
use crate::base::{Budget, FrameNumber, Lease, Limits, Timestamp};

/// Brings frames in order that stand a little out of it, in what can be read but once: pipes, compressed files, frames that others bring.
///
/// A frame is held until so many others came behind it, or it is so much older than the newest. What comes too late even so keeps its
/// place behind those that came before it, as if it had been captured then; so do all frames once they themselves speak against their
/// times.
///
/// ```text
///   handed on      held, by time                       comes
///   |=========|..........................|  ◄────────  frame
///             oldest                newest
/// ```
pub struct Shelf {
    limits: Limits,
    /// Held frames by time; frames of the same time as they came.
    order: VecDeque<(Timestamp, usize)>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// The frame that was handed on last.
    taken: Option<usize>,
    /// Time behind which nothing may be put any more.
    passed: Timestamp,
    /// Time of the newest frame.
    newest: Option<Timestamp>,
    bytes: usize,
    lease: Lease,
    disorder: Disorder,
    segments: Option<Segments>,
    votes: Votes,
    /// Frames that can wait no longer are given out until this many are left.
    keep: usize,
    is_live: bool,
}

#[derive(Default)]
struct Slot {
    frame: Held,
    data: Vec<u8>,
    comment: Option<String>,
}

/// A frame without its bytes.
#[derive(Clone, Copy)]
struct Held {
    number: FrameNumber,
    time: Timestamp,
    interface: u32,
    link_type: LinkType,
    original_len: u32,
    selected: bool,
}

impl Default for Held {
    fn default() -> Self {
        let (number, time, link_type) = (FrameNumber(0), Timestamp(0), LinkType(0));
        Self { number, time, interface: 0, link_type, original_len: 0, selected: false }
    }
}

impl Shelf {
    /// An empty shelf; `segments` tells what frames say about their order.
    pub fn new(limits: &Limits, segments: Option<Segments>) -> Self {
        Self {
            limits: limits.clone(),
            order: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            taken: None,
            passed: Timestamp(i64::MIN),
            newest: None,
            bytes: 0,
            lease: Budget::new(limits.order_memory).lease(),
            disorder: Disorder::default(),
            segments,
            votes: Votes::new(),
            keep: usize::MAX,
            is_live: false,
        }
    }

    /// Takes a frame.
    pub fn put(&mut self, frame: &Frame<'_>) {
        let is_late = self.newest.is_some_and(|newest| frame.time < newest);
        self.disorder.frames += u64::from(is_late);
        // As long as all is in order nobody need be asked.
        if self.disorder.frames > 0
            && let Some(segments) = &mut self.segments
        {
            let votes = &mut self.votes;
            segments(frame, &mut |segment| votes.take(segment, frame.time));
        }
        let mut due = frame.time;
        if is_late && (frame.time < self.passed || !self.votes.trusts_times()) {
            self.disorder.left += 1;
            self.disorder.has_clocks |= !self.votes.trusts_times();
            due = self.order.back().map_or(self.passed, |&(last, _)| last);
        }
        self.newest = self.newest.max(Some(frame.time));
        let slot = self.store(frame);
        let at = match self.order.back() {
            Some(&(last, _)) if due < last => self.order.partition_point(|&(time, _)| time <= due),
            _ => self.order.len(),
        };
        self.order.insert(at, (due, slot));
        self.keep = usize::MAX;
    }

    fn store(&mut self, frame: &Frame<'_>) -> usize {
        let &Frame { number, time, interface, link_type, original_len, data, comment, selected, .. } = frame;
        let number_of_slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.bytes += size_of::<Slot>();
            self.slots.len() - 1
        });
        if let Some(slot) = self.slots.get_mut(number_of_slot) {
            let before = slot.allocated();
            slot.frame = Held { number, time, interface, link_type, original_len, selected };
            slot.data.clear();
            slot.data.extend_from_slice(data);
            slot.comment = comment.map(str::to_owned);
            self.bytes = self.bytes - before + slot.allocated();
        }
        self.settle();
        number_of_slot
    }

    /// Says that packets come live and nothing came for a while: what is held is given out.
    pub fn rest(&mut self) {
        self.is_live = true;
        self.release();
    }

    /// What is held is given out, for nothing that follows is waited for.
    pub fn release(&mut self) {
        self.keep = 0;
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Moves to the next frame that is due, which is then [`Self::frame`]; false when there is none.
    pub fn advance(&mut self) -> bool {
        self.clear_taken();
        let Some(&(due, _)) = self.order.front() else { return false };
        let age = if self.is_live { self.limits.order_age_live } else { self.limits.order_age };
        let is_due = self.order.len() > self.limits.order_frames.min(self.keep)
            || self.newest.is_some_and(|newest| newest.nanos_since(due) > age)
            || self.bytes > self.limits.order_memory;
        if is_due {
            self.passed = due;
            self.taken = self.order.pop_front().map(|(_, number)| number);
        }
        is_due
    }

    /// The frame that the last step moved to.
    pub fn frame(&self) -> Option<Frame<'_>> {
        let Slot { frame, data, comment } = self.slots.get(self.taken?)?;
        let &Held { number, time, interface, link_type, original_len, selected } = frame;
        let comment = comment.as_deref();
        Some(Frame { number, time, interface, link_type, original_len, data, block: None, comment, selected })
    }

    /// The next frame that is due.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend what it holds")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        if self.advance() { self.frame() } else { None }
    }

    /// The frame that was handed on last gives its place to another one, which costs no allocation unless it was large.
    fn clear_taken(&mut self) {
        const SMALL: usize = 2 << 10;
        let Some(number) = self.taken.take() else { return };
        if let Some(slot) = self.slots.get_mut(number) {
            let before = slot.allocated();
            if slot.data.capacity() > SMALL || self.bytes > self.limits.order_memory / 2 {
                slot.data = Vec::new();
            }
            slot.comment = None;
            self.bytes = self.bytes - before + slot.allocated();
        }
        self.free.push(number);
        self.settle();
    }

    fn settle(&mut self) {
        self.lease.set(self.bytes);
    }

    /// Frames out of order so far.
    pub fn disorder(&self) -> Disorder {
        self.disorder
    }
}

impl Slot {
    fn allocated(&self) -> usize {
        self.data.capacity() + self.comment.as_ref().map_or(0, String::capacity) + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64, millis: i64, data: &[u8]) -> Frame<'_> {
        Frame {
            number: FrameNumber(number),
            time: Timestamp(millis * 1_000_000),
            interface: 0,
            link_type: LinkType(1),
            original_len: data.len() as u32,
            data,
            block: None,
            comment: Some("note"),
            selected: number == 3,
        }
    }

    /// Numbers of the frames as they come out; of the last ones only those that are not held.
    fn through(shelf: &mut Shelf, times: &[i64]) -> Vec<u64> {
        let mut out = Vec::new();
        for (number, &millis) in (1..).zip(times) {
            shelf.put(&frame(number, millis, &[number as u8; 100]));
            while let Some(frame) = shelf.next() {
                assert_eq!((frame.data, frame.comment), (&[frame.number.0 as u8; 100][..], Some("note")));
                assert_eq!(frame.selected, frame.number.0 == 3);
                out.push(frame.number.0);
            }
        }
        out
    }

    fn rest(shelf: &mut Shelf) -> Vec<u64> {
        shelf.release();
        std::iter::from_fn(|| shelf.next().map(|frame| frame.number.0)).collect()
    }

    fn limits(frames: usize) -> Limits {
        Limits { order_frames: frames, order_age: 2_000_000_000, ..Limits::default() }
    }

    #[test]
    fn frames_out_of_place_find_it() {
        let mut shelf = Shelf::new(&limits(3), None);
        assert_eq!(through(&mut shelf, &[10, 30, 20, 20, 40, 50]), [1, 3, 4]);
        assert_eq!(rest(&mut shelf), [2, 5, 6]);
        assert!(shelf.is_empty() && shelf.disorder().is_mended());
        assert_eq!(shelf.disorder().text().unwrap(), "2 frames are out of time order; they were put in order");
    }

    #[test]
    fn what_comes_too_late_stays_behind_what_came_before() {
        let mut shelf = Shelf::new(&limits(2), None);
        let mut out = through(&mut shelf, &[10, 20, 30, 40, 50, 1, 60]);
        out.extend(rest(&mut shelf));
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(shelf.disorder(), Disorder { frames: 1, left: 1, has_clocks: false });
        assert!(shelf.disorder().text().unwrap().ends_with("reordercap IN OUT"));
    }

    #[test]
    fn nothing_is_held_for_long() {
        let mut shelf = Shelf::new(&limits(1000), None);
        assert_eq!(through(&mut shelf, &[0, 1000, 2000, 2001]), [1]);
        shelf.rest();
        assert_eq!(std::iter::from_fn(|| shelf.next().map(|frame| frame.number.0)).count(), 3);
        // From now on they come live.
        assert_eq!(through(&mut shelf, &[3000, 3100, 3201]), [1]);
        let mut small = Shelf::new(&Limits { order_memory: 1000, ..limits(1000) }, None);
        let held = 20 - through(&mut small, &[5; 20]).len();
        assert!((1..=5).contains(&held), "{held}");
        assert!(small.lease.bytes() <= 1200);
    }
}
