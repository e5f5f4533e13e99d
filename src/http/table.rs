//! The dynamic table of HPACK ([RFC 7541 §2.3.2](https://www.rfc-editor.org/rfc/rfc7541#section-2.3.2)) and QPACK
//! ([RFC 9204 §3.2](https://www.rfc-editor.org/rfc/rfc9204#section-3.2)).

mod hole;

use crate::base::{Budget, Lease};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use hole::Hole;
pub(super) use hole::{Fit, MARGIN, PRICE, PRICE_UNLIKELY, Place};

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
    /// An entry, if what was lost in front of it was counted rightly.
    Recovered(&'a Entry),
    /// One of several entries that have this name and different values.
    Named(&'a Text),
    /// An entry that was lost, or was older than what is kept.
    Lost,
    /// Nothing: the index is wrong.
    Nothing,
}

/// How an entry was last named. Encoders name the same entries in the same order again and again; after a loss that tells which is which.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// The field before it: see [`Table::used`].
    pub(super) after: u32,
    /// Header blocks up to that one.
    pub(super) block: u32,
    /// How often it was named.
    pub(super) times: u32,
}

/// An entry, and what is known about it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) entry: Entry,
    /// False when it, or where it stands, was found out after a loss.
    is_certain: bool,
    /// Inserts seen before it.
    pub(super) number: u64,
    /// Octets of all entries so far, this one included.
    end: u64,
    pub(super) usage: Cell<Usage>,
}

/// Entries from the newest to the oldest. After a loss, entries made since then stand in front and are known; behind them is
/// an unknown number of lost ones, and behind those the entries from before. How many were lost comes out when the sender names
/// older entries; then entries without name and value take their places.
#[derive(Debug)]
pub struct Table {
    entries: VecDeque<Stored>,
    /// Octets of the entries, at least: what was lost may have been larger than it is counted.
    size: usize,
    capacity: usize,
    /// The largest capacity that is followed; of a larger table the newest entries are kept.
    bound: usize,
    /// True when the sender's table may hold entries behind the known ones.
    has_lost: bool,
    /// True when the sender's capacity may be larger than the one here.
    is_capacity_guessed: bool,
    hole: Option<Hole>,
    /// Entries that are not certain.
    doubtful: usize,
    inserted: u64,
    /// Octets of all entries so far.
    octets: u64,
    /// Header blocks so far.
    block: u32,
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
            hole: None,
            doubtful: 0,
            inserted: 0,
            octets: 0,
            block: 0,
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
        self.evict(0);
        if capacity == 0 {
            self.has_lost = false;
        }
        self.account();
    }

    /// Everything so far is lost: inserts are missing, or the table is joined in the middle of its life.
    pub fn lose(&mut self) {
        self.truncate(0);
        // The missing part may have changed the capacity. Too large a guess is harmless: the sender names no entry it evicted.
        self.allow(usize::MAX);
        self.account();
    }

    /// The sender's capacity may be as large as this.
    fn allow(&mut self, allowed: usize) {
        self.capacity = self.capacity.max(allowed.min(self.bound));
        self.is_capacity_guessed |= allowed > self.bound;
    }

    /// The first block of the connection was the first one in this table: nothing was lost before it.
    pub(super) fn begin_here(&mut self) {
        self.has_lost = self.capacity > self.bound && self.has_lost;
    }

    /// True when the sender may name entries that are not known.
    pub fn has_lost(&self) -> bool {
        self.has_lost || self.is_doubtful()
    }

    /// True when entries are not certain.
    #[inline]
    pub fn is_doubtful(&self) -> bool {
        self.hole.is_some() || self.doubtful > 0
    }

    /// Makes room for `size` more octets.
    fn evict(&mut self, size: usize) {
        let room = self.capacity.min(self.bound).saturating_sub(size);
        while self.size > room
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.entry.size();
            self.doubtful -= usize::from(!oldest.is_certain);
            if self.capacity > self.bound {
                self.has_lost = true;
            } else if !self.is_capacity_guessed {
                // The sender's table is full of entries made since the loss, so that the lost ones have left it.
                self.has_lost = false;
            }
        }
        if self.hole.as_ref().is_some_and(|hole| hole.newer >= self.entries.len()) {
            self.hole = None;
            self.has_lost = true;
        }
        // No entry has less than these.
        if self.size + size + 32 > self.capacity && self.capacity <= self.bound && !self.is_capacity_guessed {
            self.has_lost = false;
        }
    }

    /// Inserts an entry as the newest one; one larger than the table empties it (RFC 7541 §4.4).
    pub fn insert(&mut self, name: Text, value: Text) {
        self.insert_after(0, name, value, true);
    }

    /// The same, in a header block behind the field `after`; what this one is called there. It is not certain when its name is not.
    pub(super) fn insert_after(&mut self, after: u32, name: Text, value: Text, is_certain: bool) -> u32 {
        let entry = Entry { name, value };
        let size = entry.size();
        self.evict(size);
        let number = self.inserted;
        self.inserted += 1;
        self.octets += size as u64;
        if size <= self.capacity.min(self.bound) {
            self.size += size;
            self.doubtful += usize::from(!is_certain);
            let usage = Cell::new(Usage { after, block: self.block, times: 1 });
            self.entries.push_front(Stored { entry, is_certain, number, end: self.octets, usage });
            if let Some(hole) = &mut self.hole {
                hole.newer += 1;
            }
        } else {
            self.has_lost = self.capacity > self.bound || (self.has_lost && self.is_capacity_guessed);
        }
        self.account();
        mark(number)
    }

    /// The entry at `index` from the newest, which is 0.
    pub fn newest(&self, index: u64) -> Found<'_> {
        if let Some(hole) = &self.hole
            && index >= hole.newer as u64
        {
            return self.merged(hole, index);
        }
        match usize::try_from(index).ok().and_then(|index| self.entries.get(index)) {
            Some(stored) => stored.found(),
            None if self.has_lost => Found::Lost,
            None => Found::Nothing,
        }
    }

    /// The same, and the field's name in [`Usage::after`]: a header block names the entry behind the field `after`.
    #[inline]
    pub(super) fn used(&self, index: u64, after: u32) -> (Found<'_>, u32) {
        let front = self.hole.as_ref().map_or(u64::MAX, |hole| hole.newer as u64);
        if index < front
            && let Some(stored) = usize::try_from(index).ok().and_then(|index| self.entries.get(index))
        {
            let times = stored.usage.get().times.saturating_add(1);
            stored.usage.set(Usage { after, block: self.block, times });
            return (stored.found(), mark(stored.number));
        }
        (self.newest(index), UNMARKED)
    }

    /// A header block begins.
    #[inline]
    pub(super) fn begin_block(&mut self) {
        self.block = self.block.wrapping_add(1);
    }

    /// The entry that is called so in [`Usage::after`].
    pub(super) fn marked(&self, after: u32) -> Option<&Entry> {
        // Entries that take the place of missing ones bear the number of the one behind them.
        let behind = self.entries.partition_point(|stored| mark(stored.number) >= after);
        self.entries.get(behind.checked_sub(1)?).filter(|stored| mark(stored.number) == after).map(|it| &it.entry)
    }

    /// Header blocks so far.
    pub(super) fn blocks(&self) -> u32 {
        self.block
    }

    fn account(&mut self) {
        // Two counted references in front of each text.
        let fits = self.hole.as_ref().map_or(0, |hole| hole.fits.capacity() * size_of::<Fit>());
        self.lease.set(self.size + self.entries.capacity() * size_of::<Stored>() + self.entries.len() * 32 + fits);
    }
}

impl Stored {
    fn found(&self) -> Found<'_> {
        if self.is_certain { Found::Entry(&self.entry) } else { Found::Recovered(&self.entry) }
    }
}

/// A field that nothing is known of, in [`Usage::after`].
pub(super) const UNMARKED: u32 = u32::MAX;

/// Marks below this one are indices into the static table of HPACK, and 0 the start of the block.
const STATIC_MARKS: u32 = 62;

/// How the entry of a number is called in [`Usage::after`].
pub(super) fn mark(number: u64) -> u32 {
    u32::try_from(number).ok().and_then(|number| number.checked_add(STATIC_MARKS)).unwrap_or(UNMARKED)
}
