//! Where the records of a disordered file stand, by time: in memory while there is room, else as sorted runs in a spool.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::path::PathBuf;
use std::vec::IntoIter;

use crate::base::{Budget, Lease, Spool, Stored, Timestamp};

/// One record. Records of the same time keep the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    /// Place in the file.
    pub(super) at: u64,
    /// Frame number in the file.
    pub(super) number: u64,
    pub(super) len: u32,
}

/// Bytes of an entry in a run: 8 for the time, 6 for the place, 6 for the number, 4 for the length.
const ENTRY: usize = 24;

impl Entry {
    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.time.0.to_le_bytes());
        for value in [self.at, self.number] {
            let [a, b, c, d, e, f, _, _] = value.to_le_bytes();
            into.extend_from_slice(&[a, b, c, d, e, f]);
        }
        into.extend_from_slice(&self.len.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        const SIX: u64 = (1 << 48) - 1;
        Some(Self {
            time: Timestamp(word(0)? as i64),
            at: word(8)? & SIX,
            number: word(14)? & SIX,
            len: u32::from_le_bytes(*bytes.get(20..)?.first_chunk()?),
        })
    }
}

/// Gathers entries in the order of the file.
pub(super) struct Gather {
    entries: Vec<Entry>,
    runs: Vec<Stored>,
    spool: Spool,
    /// Bytes that entries may take in memory.
    most: usize,
    lease: Lease,
}

impl Gather {
    /// An index that takes `most` bytes of memory; what is more goes to a file in `folder`.
    pub(super) fn new(most: usize, folder: Option<PathBuf>, budget: &Budget) -> Self {
        Self { entries: Vec::new(), runs: Vec::new(), spool: Spool::new(folder), most, lease: budget.lease() }
    }

    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        if self.entries.len() == self.entries.capacity() {
            let most = (self.most / size_of::<Entry>()).max(64);
            if self.entries.len() >= most {
                self.spill()?;
            } else {
                let more = self.entries.len().max(1024).min(most - self.entries.len());
                self.entries.reserve_exact(more);
                self.lease.set(self.entries.capacity() * size_of::<Entry>());
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Writes what is in memory as a run.
    fn spill(&mut self) -> io::Result<()> {
        self.entries.sort_unstable();
        let entries = &self.entries;
        let run = self.spool.record(|append| {
            let mut bytes = Vec::new();
            for part in entries.chunks(1024) {
                bytes.clear();
                part.iter().for_each(|entry| entry.write(&mut bytes));
                append(&bytes);
            }
        });
        self.entries.clear();
        self.runs.push(run);
        self.spool.failure().map_or(Ok(()), Err)
    }

    /// The index by time.
    pub(super) fn finish(mut self) -> io::Result<Index> {
        if self.runs.is_empty() {
            self.entries.sort_unstable();
            return Ok(Index { source: From::Memory(self.entries.into_iter()), lease: self.lease });
        }
        self.spill()?;
        self.entries = Vec::new();
        let share = (self.most / self.runs.len() / ENTRY).clamp(16, 4096) * ENTRY;
        self.lease.set(self.runs.len() * (share + size_of::<Run>()));
        let mut runs: Vec<Run> = Vec::with_capacity(self.runs.len());
        let mut next = BinaryHeap::with_capacity(self.runs.len());
        for (number, stored) in self.runs.into_iter().enumerate() {
            let mut run = Run { stored, read: 0, buffer: Vec::new(), at: 0, share };
            next.extend(run.next()?.map(|entry| Reverse((entry, number))));
            runs.push(run);
        }
        Ok(Index { source: From::Runs { runs, next }, lease: self.lease })
    }
}

/// The entries by time.
pub(super) struct Index {
    source: From,
    /// Held as long as the index is.
    #[allow(dead_code, reason = "given back when it is dropped")]
    lease: Lease,
}

enum From {
    Memory(IntoIter<Entry>),
    Runs { runs: Vec<Run>, next: BinaryHeap<Reverse<(Entry, usize)>> },
}

impl Index {
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        match &mut self.source {
            From::Memory(entries) => Ok(entries.next()),
            From::Runs { runs, next } => {
                let Some(Reverse((entry, number))) = next.pop() else { return Ok(None) };
                if let Some(run) = runs.get_mut(number) {
                    next.extend(run.next()?.map(|entry| Reverse((entry, number))));
                }
                Ok(Some(entry))
            }
        }
    }
}

/// A sorted run in the spool.
struct Run {
    stored: Stored,
    /// Bytes of it that were read.
    read: u64,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes read at once.
    share: usize,
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.at >= self.buffer.len() {
            self.stored.read(self.read, self.share as u64, &mut self.buffer)?;
            self.read += self.buffer.len() as u64;
            self.at = 0;
        }
        let entry = self.buffer.get(self.at..).and_then(Entry::read);
        self.at += ENTRY;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u64) -> Vec<Entry> {
        let entry = |n: u64| {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            Entry { time: Timestamp(mixed as i64 % 500 - 250), at: 24 + 100 * n, number: n + 1, len: mixed as u32 }
        };
        (0..count).map(entry).collect()
    }

    fn drain(most: usize, entries: &[Entry]) -> (Vec<Entry>, usize) {
        let budget = Budget::new(usize::MAX);
        let mut gather = Gather::new(most, None, &budget);
        let mut peak = 0;
        for &entry in entries {
            gather.push(entry).unwrap();
            peak = peak.max(budget.used());
        }
        let mut index = gather.finish().unwrap();
        peak = peak.max(budget.used());
        let mut all = Vec::new();
        all.extend(std::iter::from_fn(|| index.next().unwrap()));
        drop(index);
        assert_eq!(budget.used(), 0);
        (all, peak)
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no temporary files")]
    fn entries_come_by_time_and_then_as_in_the_file() {
        let entries = entries(20_000);
        let mut sorted = entries.clone();
        sorted.sort_by_key(|entry| entry.time);
        assert_eq!(drain(usize::MAX, &entries).0, sorted);
        let (spooled, peak) = drain(64 << 10, &entries);
        assert_eq!(spooled, sorted);
        assert!(peak <= 80 << 10, "{peak}");
        assert!(drain(0, &[]).0.is_empty());
    }

    #[test]
    fn an_entry_is_what_was_written() {
        let entry = Entry { time: Timestamp(i64::MIN), at: (1 << 48) - 1, number: (1 << 48) - 2, len: u32::MAX };
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        assert_eq!((bytes.len(), Entry::read(&bytes)), (ENTRY, Some(entry)));
    }
}
