//! Who was used when: the order in which slots were last used, and how long ago that was.

use std::collections::VecDeque;

use super::Timestamp;

/// No slot.
const NONE: u32 = u32::MAX;

/// Slots from the one that was idle longest to the one used last: a doubly linked list through a table. Every operation takes constant
/// time.
///
/// How long a slot was idle is counted in rounds of frames, which all slots have in common: the times of two frames of one capture may
/// come from clocks that differ, and then say nothing.
#[derive(Debug)]
pub struct Recency {
    /// `None` for slots that are not in the list.
    links: Vec<Option<Link>>,
    oldest: u32,
    newest: u32,
    /// Number of this round.
    round: u64,
    /// Until when time has passed for sure.
    passed: Timestamp,
    /// Rounds with the time that had passed for sure when they were over: the last one, and enough of those before.
    marks: VecDeque<(u64, Timestamp)>,
    /// Nanoseconds after which a slot is idle.
    idle: u64,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
    /// The round in which it was used last.
    round: u64,
}

impl Recency {
    /// What a slot takes.
    pub const SLOT: usize = size_of::<Option<Link>>();

    /// An empty list of slots that are idle after so many nanoseconds.
    pub fn new(idle: u64) -> Self {
        Self {
            links: Vec::new(),
            oldest: NONE,
            newest: NONE,
            round: 0,
            passed: Timestamp(i64::MIN),
            marks: VecDeque::new(),
            idle,
        }
    }

    /// The slot that was idle longest.
    pub fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// That slot, when it was idle for long. It may be one part in 64 longer than was asked for.
    pub fn idle(&self) -> Option<u32> {
        let round = self.link(self.oldest)?.round;
        // What was used in a round is idle at the earliest since the next one.
        let next = self.marks.partition_point(|&(mark, _)| mark <= round);
        let since = self.marks.get(next)?.1;
        (self.passed.nanos_since(since) > self.idle).then_some(self.oldest)
    }

    /// A round of frames is over; `passed` is a time that no clock is behind any more. It does not go back.
    pub fn end_round(&mut self, passed: Timestamp) {
        self.passed = self.passed.max(passed);
        // The last mark stays when time has gone on far enough since the one before it.
        let before = self.marks.len().checked_sub(2).and_then(|at| self.marks.get(at));
        if before.is_some_and(|&(_, before)| self.passed.nanos_since(before) <= self.idle / 64) {
            self.marks.pop_back();
        }
        self.marks.push_back((self.round, self.passed));
        // One that is older than need be tells of all that are older still.
        while self.marks.get(1).is_some_and(|&(_, second)| self.passed.nanos_since(second) > self.idle) {
            self.marks.pop_front();
        }
        self.round += 1;
    }

    /// Puts a slot that is not in the list behind all others.
    pub fn add(&mut self, slot: u32) {
        let at = slot as usize;
        if self.links.len() <= at {
            self.links.resize(at + 1, None);
        }
        let (newest, round) = (self.newest, self.round);
        if let Some(place) = self.links.get_mut(at) {
            *place = Some(Link { older: newest, newer: NONE, round });
        }
        match self.link_mut(newest) {
            Some(link) => link.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    /// Notes that a slot of the list was used: it is behind all others.
    #[inline]
    pub fn touch(&mut self, slot: u32) {
        if self.newest != slot {
            if self.remove(slot) {
                self.add(slot);
            }
            return;
        }
        let round = self.round;
        if let Some(link) = self.link_mut(slot) {
            link.round = round;
        }
    }

    /// Takes a slot out; false when it was not in the list.
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some(Link { older, newer, .. }) = self.links.get_mut(slot as usize).and_then(Option::take) else {
            return false;
        };
        match self.link_mut(older) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.link_mut(newer) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
        true
    }

    fn link(&self, slot: u32) -> Option<Link> {
        self.links.get(slot as usize).copied().flatten()
    }

    fn link_mut(&mut self, slot: u32) -> Option<&mut Link> {
        self.links.get_mut(slot as usize).and_then(Option::as_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_was_not_used_for_long_is_idle() {
        let mut recency = Recency::new(6400);
        recency.add(1);
        recency.add(2);
        let mut idle_at = Vec::new();
        for round in 0..400 {
            // The second is used in every tenth round; the first only in the first one.
            if round % 10 == 0 {
                recency.touch(2);
            }
            recency.end_round(Timestamp(round * 50));
            if let Some(slot) = recency.idle() {
                idle_at.push((slot, round * 50));
                recency.remove(slot);
            }
            assert!(recency.marks.len() <= 132, "{}", recency.marks.len());
        }
        assert_eq!(idle_at.len(), 1, "{idle_at:?}");
        let (slot, at) = idle_at[0];
        assert!(slot == 1 && (6450..=6650).contains(&at), "{at}");
    }

    #[test]
    fn a_round_that_is_long_makes_nobody_idle() {
        let mut recency = Recency::new(100);
        recency.add(1);
        // Used at its end, which nobody knows: the next round tells no more than when that began.
        recency.end_round(Timestamp(0));
        recency.end_round(Timestamp(100_000));
        assert_eq!(recency.idle(), None);
        recency.end_round(Timestamp(100_101));
        assert_eq!(recency.idle(), Some(1));
    }

    proptest! {
        #[test]
        fn the_list_keeps_the_order_of_use(steps in proptest::collection::vec((0..3u8, 0..8u32), 0..200)) {
            let mut recency = Recency::new(100);
            let mut model: Vec<u32> = Vec::new();
            for (step, slot) in steps {
                let is_there = model.contains(&slot);
                match step {
                    0 if !is_there => {
                        recency.add(slot);
                        model.push(slot);
                    }
                    1 => {
                        recency.touch(slot);
                        if is_there {
                            model.retain(|&other| other != slot);
                            model.push(slot);
                        }
                    }
                    2 => {
                        prop_assert_eq!(recency.remove(slot), is_there);
                        model.retain(|&other| other != slot);
                    }
                    _ => {}
                }
                prop_assert_eq!(recency.oldest(), model.first().copied());
            }
            for slot in model {
                prop_assert_eq!(recency.oldest(), Some(slot));
                recency.remove(slot);
            }
        }
    }
}
