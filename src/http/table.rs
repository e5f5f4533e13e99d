//! The dynamic table of HPACK ([RFC 7541 §2.3.2](https://www.rfc-editor.org/rfc/rfc7541#section-2.3.2)) and QPACK
//! ([RFC 9204 §3.2](https://www.rfc-editor.org/rfc/rfc9204#section-3.2)).

use crate::base::{Budget, Lease};
use std::collections::VecDeque;
use std::sync::Arc;

/// A name or value that lives in a table. Shared, so that an entry made from another one copies nothing.
#[derive(Debug, Clone)]
pub enum Text {
    /// From the static table.
    Static(&'static [u8]),
    /// From the wire.
    Shared(Arc<[u8]>),
    /// It came from an entry that was lost.
    Unknown,
}

impl Text {
    /// The octets, when they are known.
    pub fn known(&self) -> Option<&[u8]> {
        match self {
            Text::Static(text) => Some(text),
            Text::Shared(text) => Some(text),
            Text::Unknown => None,
        }
    }

    fn len(&self) -> usize {
        self.known().map_or(0, <[u8]>::len)
    }
}

impl From<&[u8]> for Text {
    fn from(text: &[u8]) -> Self {
        Text::Shared(text.into())
    }
}

/// A field of a section. What was lost with missing bytes is `None`, never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name, in lower case when the sender kept to the rules.
    pub name: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
}

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name.
    pub name: Text,
    /// Value.
    pub value: Text,
}

impl Entry {
    /// Name and value.
    pub fn field(&self) -> Field<'_> {
        Field { name: self.name.known(), value: self.value.known() }
    }

    /// Octets of name and value, and 32 for the entry (RFC 7541 §4.1). For an entry with unknown parts it is less than the truth.
    pub fn size(&self) -> usize {
        self.name.len() + self.value.len() + 32
    }
}

/// What an index leads to.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// An entry.
    Entry(&'a Entry),
    /// An entry that was lost, or was older than what is kept.
    Lost,
    /// Nothing: the index is wrong.
    Nothing,
}

/// Entries from the newest to the oldest. After a loss, entries made since then stand in front and are known; behind them is
/// an unknown number of lost ones.
#[derive(Debug)]
pub struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    capacity: usize,
    /// The largest capacity that is followed; of a larger table the newest entries are kept.
    bound: usize,
    /// True when the sender's table may hold entries behind the known ones.
    has_lost: bool,
    /// True when the capacity itself is not known for sure.
    is_capacity_guessed: bool,
    inserted: u64,
    lease: Lease,
}

impl Table {
    /// An empty table.
    pub fn new(capacity: usize, bound: usize, budget: &Budget) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            capacity,
            bound,
            has_lost: false,
            is_capacity_guessed: false,
            inserted: 0,
            lease: budget.lease(),
        }
    }

    /// Capacity in octets, as the sender uses it.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Entries inserted so far.
    pub fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Sets the capacity, evicting what no longer fits.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.is_capacity_guessed = false;
        if capacity == 0 {
            self.has_lost = false;
        }
        self.evict(0);
        self.lease.set(self.allocated());
    }

    /// Everything so far is lost: inserts are missing, or the table is joined in the middle of its life.
    pub fn lose(&mut self) {
        self.entries.clear();
        self.size = 0;
        self.has_lost = true;
        // The missing part may have changed the capacity. Too large a guess is harmless: the sender names no entry it evicted.
        self.is_capacity_guessed = true;
        self.capacity = self.capacity.max(self.bound);
        self.lease.set(self.allocated());
    }

    /// True when the sender may name entries that are not known.
    pub fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// Makes room for `size` more octets.
    fn evict(&mut self, size: usize) {
        let room = self.capacity.min(self.bound).saturating_sub(size);
        while self.size > room
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
            if self.capacity > self.bound {
                self.has_lost = true;
            } else if !self.is_capacity_guessed {
                // The sender's table is full of entries made since the loss, so that the lost ones have left it.
                self.has_lost = false;
            }
        }
    }

    /// Inserts an entry as the newest one; one larger than the table empties it (RFC 7541 §4.4).
    pub fn insert(&mut self, name: Text, value: Text) {
        let entry = Entry { name, value };
        let size = entry.size();
        self.evict(size);
        self.inserted += 1;
        if size <= self.capacity.min(self.bound) {
            self.size += size;
            self.entries.push_front(entry);
        } else {
            self.has_lost |= self.capacity > self.bound;
        }
        self.lease.set(self.allocated());
    }

    /// The entry at `index` from the newest, which is 0.
    pub fn newest(&self, index: u64) -> Found<'_> {
        match usize::try_from(index).ok().and_then(|index| self.entries.get(index)) {
            Some(entry) => Found::Entry(entry),
            None if self.has_lost => Found::Lost,
            None => Found::Nothing,
        }
    }

    fn allocated(&self) -> usize {
        // Two counted references in front of each text.
        self.size + self.entries.capacity() * size_of::<Entry>() + self.entries.len() * 32
    }
}
