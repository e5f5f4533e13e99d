//! The order in which slots were last used: a doubly linked list through a table.

/// No slot.
const NONE: u32 = u32::MAX;

/// Slots from the one that was idle longest to the one used last. Every operation takes constant time.
#[derive(Debug)]
pub struct Recency {
    /// Older and newer neighbour of each slot; `None` for slots that are not in the list.
    links: Vec<Option<(u32, u32)>>,
    oldest: u32,
    newest: u32,
}

impl Default for Recency {
    fn default() -> Self {
        Self { links: Vec::new(), oldest: NONE, newest: NONE }
    }
}

impl Recency {
    /// The slot that was idle longest.
    pub fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Puts a slot that is not in the list behind all others.
    pub fn add(&mut self, slot: u32) {
        let at = slot as usize;
        if self.links.len() <= at {
            self.links.resize(at + 1, None);
        }
        if let Some(link) = self.links.get_mut(at) {
            *link = Some((self.newest, NONE));
        }
        match self.links.get_mut(self.newest as usize) {
            Some(Some(newest)) => newest.1 = slot,
            _ => self.oldest = slot,
        }
        self.newest = slot;
    }

    /// Puts a slot of the list behind all others.
    #[inline]
    pub fn touch(&mut self, slot: u32) {
        if self.newest != slot && self.remove(slot) {
            self.add(slot);
        }
    }

    /// Takes a slot out; false when it was not in the list.
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some((older, newer)) = self.links.get_mut(slot as usize).and_then(Option::take) else { return false };
        match self.links.get_mut(older as usize) {
            Some(Some(link)) => link.1 = newer,
            _ => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(Some(link)) => link.0 = older,
            _ => self.newest = older,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_list_keeps_the_order_of_use(steps in proptest::collection::vec((0..3u8, 0..8u32), 0..200)) {
            let mut recency = Recency::default();
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
