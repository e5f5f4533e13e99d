//! Sets of numbers that mostly grow at their upper end: packet numbers, finished streams.

use std::collections::VecDeque;

/// A set of numbers as ranges. When it has as many ranges as it may, the two lowest become one: numbers far back that were
/// not in the set are then taken as in it.
#[derive(Debug, Clone)]
pub struct Ranges {
    /// Both ends inclusive, ascending, never touching.
    ranges: VecDeque<(u64, u64)>,
    cap: usize,
}

impl Ranges {
    /// An empty set of at most `cap` ranges.
    pub fn new(cap: usize) -> Self {
        Self { ranges: VecDeque::new(), cap: cap.max(1) }
    }

    /// Adds a number; false when it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        match self.ranges.back_mut() {
            Some(last) if last.1.checked_add(1) == Some(number) => {
                last.1 = number;
                return true;
            }
            Some(last) if number > last.1 => self.ranges.push_back((number, number)),
            None => self.ranges.push_back((number, number)),
            Some(_) => return self.insert_below(number),
        }
        self.shrink();
        true
    }

    /// Adds a number that is not above the greatest one.
    fn insert_below(&mut self, number: u64) -> bool {
        // First range that does not end before the number.
        let at = self.ranges.partition_point(|range| range.1 < number);
        let Some(&(low, _)) = self.ranges.get(at) else { return false };
        if low <= number {
            return false;
        }
        let joins_above = number.checked_add(1) == Some(low);
        let below = at
            .checked_sub(1)
            .filter(|&below| self.ranges.get(below).is_some_and(|range| range.1.checked_add(1) == Some(number)));
        match (below, joins_above) {
            (Some(below), true) => {
                if let Some((_, high)) = self.ranges.remove(at)
                    && let Some(range) = self.ranges.get_mut(below)
                {
                    range.1 = high;
                }
            }
            (Some(below), false) => {
                if let Some(range) = self.ranges.get_mut(below) {
                    range.1 = number;
                }
            }
            (None, true) => {
                if let Some(range) = self.ranges.get_mut(at) {
                    range.0 = number;
                }
            }
            (None, false) => {
                self.ranges.insert(at, (number, number));
                self.shrink();
            }
        }
        true
    }

    fn shrink(&mut self) {
        if self.ranges.len() > self.cap
            && let Some((low, _)) = self.ranges.pop_front()
            && let Some(next) = self.ranges.front_mut()
        {
            next.0 = low;
        }
    }

    /// True when the number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < number);
        self.ranges.get(at).is_some_and(|range| range.0 <= number)
    }

    /// True when all of `low..=high` are in the set.
    pub fn covers(&self, low: u64, high: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < low);
        self.ranges.get(at).is_some_and(|range| range.0 <= low && high <= range.1)
    }

    /// The greatest number of `low..=high` that is not in the set.
    pub fn highest_absent(&self, low: u64, high: u64) -> Option<u64> {
        let at = self.ranges.partition_point(|range| range.1 < high);
        match self.ranges.get(at) {
            // Ranges never touch, so that what stands before one is absent.
            Some(&(start, _)) if start <= high => start.checked_sub(1).filter(|&absent| absent >= low),
            _ => Some(high),
        }
    }

    /// The greatest number.
    pub fn last(&self) -> Option<u64> {
        self.ranges.back().map(|range| range.1)
    }

    /// Allocated bytes.
    pub fn allocated(&self) -> usize {
        self.ranges.capacity() * size_of::<(u64, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_set_is_a_set(numbers in proptest::collection::vec(0..80u64, 0..120)) {
            let mut ranges = Ranges::new(1000);
            let mut set = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(ranges.insert(number), set.insert(number));
                prop_assert_eq!(ranges.last(), set.last().copied());
            }
            for number in 0..80 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
            }
            for low in 0..20 {
                for high in low..40 {
                    prop_assert_eq!(ranges.covers(low, high), (low..=high).all(|number| set.contains(&number)));
                    let absent = (low..=high).rev().find(|number| !set.contains(number));
                    prop_assert_eq!(ranges.highest_absent(low, high), absent);
                }
            }
            let pairs = ranges.ranges.iter().zip(ranges.ranges.iter().skip(1));
            prop_assert!(pairs.into_iter().all(|(a, b)| a.1 + 1 < b.0));
        }
    }

    #[test]
    fn a_full_set_forgets_holes_far_back() {
        let mut ranges = Ranges::new(4);
        (0..100).for_each(|n| assert!(ranges.insert(n * 2)));
        assert_eq!(ranges.ranges.len(), 4);
        assert!(ranges.contains(51) && !ranges.contains(197));
        assert!(ranges.insert(197));
        assert!(ranges.insert(u64::MAX));
        assert!(!ranges.insert(u64::MAX));
    }
}
