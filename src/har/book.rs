//! Entries that wait for their turn: in memory, then on a shelf in the spool.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use super::lookup::Lookups;
use super::slip::Slip;
use crate::base::Spool;

/// Entries in the order in which they are to be written.
#[derive(Debug)]
pub struct Book {
    /// Entries of which it is not known yet whether a lookup moves their start.
    unclaimed: BinaryHeap<Reverse<Slip>>,
    ready: BinaryHeap<Reverse<Slip>>,
    memory: usize,
    /// Bytes of entries in memory, at the most.
    most: usize,
}

impl Book {
    /// An empty book that keeps entries of `most` bytes in memory.
    pub fn new(most: usize) -> Self {
        Self { unclaimed: BinaryHeap::new(), ready: BinaryHeap::new(), memory: 0, most }
    }

    /// Takes in an entry, which may wait for a lookup. What cannot be put away is lost, which the shelf tells.
    pub fn push(&mut self, mut slip: Slip, is_unclaimed: bool, shelf: &mut Spool) {
        if self.memory + slip.allocated() > self.most && !slip.put_away(shelf) {
            return;
        }
        self.memory += slip.allocated();
        (if is_unclaimed { &mut self.unclaimed } else { &mut self.ready }).push(Reverse(slip));
    }

    /// Gives lookups to the entries that start before `moment`: each to the first, in time, that waited for it.
    pub fn claim(&mut self, moment: i64, lookups: &mut Lookups) -> io::Result<()> {
        while let Some(Reverse(slip)) = self.unclaimed.peek()
            && slip.start() < moment
            && let Some(Reverse(mut slip)) = self.unclaimed.pop()
        {
            slip.claim(lookups)?;
            self.ready.push(Reverse(slip));
        }
        Ok(())
    }

    /// The next entry, when it starts before `moment` and lookups were given to all that may come before it.
    pub fn next(&mut self, moment: i64) -> Option<Slip> {
        let Reverse(slip) = self.ready.peek()?;
        if slip.start() >= moment {
            return None;
        }
        let Reverse(slip) = self.ready.pop()?;
        self.memory -= slip.allocated();
        Some(slip)
    }

    /// Bytes of entries in memory, and how many there may be.
    pub fn memory(&self) -> (usize, usize) {
        (self.memory, self.most)
    }

    /// The same entries, to be written while this book goes on.
    pub fn snapshot(&self) -> Self {
        Self { unclaimed: self.unclaimed.clone(), ready: self.ready.clone(), ..*self }
    }
}
