//! The dynamic table of HPACK ([RFC 7541 §2.3.2](https://www.rfc-editor.org/rfc/rfc7541#section-2.3.2)) and QPACK
//! ([RFC 9204 §3.2](https://www.rfc-editor.org/rfc/rfc9204#section-3.2)).

use crate::base::{Budget, Lease};
use std::cell::Cell;
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

/// A place in the table where an unknown number of entries is missing.
#[derive(Debug)]
struct Hole {
    /// Known entries in front of it.
    newer: usize,
    fits: Vec<Fit>,
}

/// A number of missing entries that may be the right one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// Entries; [`ALL`] when none from before the hole is left.
    pub(super) missing: u32,
    /// How well it explains what came since.
    pub(super) score: i32,
}

/// More entries are missing than a table holds.
pub(super) const ALL: u32 = u32::MAX;

/// Numbers of missing entries that are tried. A table of the usual 4096 octets holds no more entries than these.
const TRIED: u64 = 128;

/// What a missing entry takes from the score of a number: holes are small.
pub(super) const PRICE: i32 = 1;

/// The same where it is not likely that any entry is missing.
pub(super) const PRICE_UNLIKELY: i32 = MARGIN + 2;

/// Numbers whose score is less than the best by this much are no longer believed.
pub(super) const MARGIN: i32 = 10;

/// What an index leads to for one number of missing entries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    Known(&'a Stored),
    /// One of the missing entries.
    Missing,
    /// An entry that was lost earlier.
    Older,
    /// No entry can be there.
    Impossible,
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

    /// Inserts are missing, no more than `most` when that is known; `price` is what each takes from the score of a number. The sender may
    /// have set its capacity to `allowed`.
    pub fn tear(&mut self, most: Option<u64>, price: i32, allowed: usize) {
        let most = most.unwrap_or(u64::MAX);
        if most == 0 {
            return;
        }
        self.allow(allowed);
        // A hole right behind another one makes that larger. With entries between them the older ones are given up.
        let mut least = 0;
        let mut others = 0;
        if let Some(hole) = &self.hole {
            if hole.newer == 0 {
                let tried = || hole.fits.iter().map(|fit| fit.missing);
                least = tried().min().unwrap_or_default();
                others = tried().max().unwrap_or_default();
                self.hole = None;
            } else {
                self.forget_older();
            }
        }
        let Some(newest) = self.entries.front() else {
            self.has_lost = true;
            return self.account();
        };
        // So many that the newest entry just stays.
        let room = (self.capacity.min(self.bound) / 32) as u64 * 32;
        let reach = room.saturating_sub(newest.entry.size() as u64) / 32;
        let limit = reach.min(TRIED);
        let most = if others == ALL { u64::MAX } else { most.saturating_add(others.into()) };
        let fit = |missing: u32| Fit { missing, score: -price * missing.min(TRIED as u32 + 1) as i32 };
        let last = most.min(limit) as u32;
        let mut fits: Vec<Fit> = (least.min(last)..=last).map(fit).collect();
        if most > limit {
            fits.push(fit(ALL));
        }
        self.hole = Some(Hole { newer: 0, fits });
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

    /// What all numbers of missing entries agree on that are still believed.
    fn merged<'t>(&'t self, hole: &Hole, index: u64) -> Found<'t> {
        let mut one: Option<&Entry> = None;
        let mut is_same = true;
        for fit in believed(&hole.fits) {
            match self.place(index, fit.missing) {
                Place::Known(stored) => {
                    let first = *one.get_or_insert(&stored.entry);
                    if first.name.known() != stored.entry.name.known() {
                        return Found::Lost;
                    }
                    is_same &= first.value.known() == stored.entry.value.known();
                }
                Place::Missing | Place::Older => return Found::Lost,
                Place::Impossible => {}
            }
        }
        match one {
            Some(entry) if is_same => Found::Recovered(entry),
            Some(entry) => Found::Named(&entry.name),
            None => Found::Nothing,
        }
    }

    /// Where an index leads when this many entries are missing in the hole.
    pub(super) fn place(&self, index: u64, missing: u32) -> Place<'_> {
        let newer = self.hole.as_ref().map_or(0, |hole| hole.newer as u64);
        let position = match index.checked_sub(newer) {
            None => index,
            Some(behind) if missing == ALL || behind < u64::from(missing) => return Place::Missing,
            Some(behind) => newer + behind - u64::from(missing),
        };
        match usize::try_from(position).ok().and_then(|position| self.entries.get(position)) {
            Some(stored) => {
                let behind = self.octets - (stored.end - stored.entry.size() as u64);
                let least = behind + 32 * u64::from(missing) * u64::from(index >= newer);
                // The sender names no entry that it evicted.
                let is_evicted = !self.is_capacity_guessed && least > self.capacity as u64;
                if is_evicted { Place::Impossible } else { Place::Known(stored) }
            }
            None if self.has_lost => Place::Older,
            None => Place::Impossible,
        }
    }

    /// Numbers of missing entries that are possible; one of 0 where nothing is missing, or its number was found.
    pub(super) fn fits(&mut self) -> Vec<Fit> {
        self.hole.as_mut().map_or_else(|| vec![Fit { missing: 0, score: 0 }], |hole| std::mem::take(&mut hole.fits))
    }

    /// Entries in front of the hole; 0 where there is none.
    pub(super) fn newer(&self) -> u64 {
        self.hole.as_ref().map_or(0, |hole| hole.newer as u64)
    }

    /// Goes on with these numbers of missing entries. When it is one, the hole is filled; when there is none, what is older is lost.
    pub(super) fn keep(&mut self, fits: Vec<Fit>) {
        match (&mut self.hole, fits.as_slice()) {
            (_, []) | (Some(_), [Fit { missing: ALL, .. }]) => self.forget_older(),
            (Some(_), &[Fit { missing, .. }]) => self.fill(missing),
            (Some(hole), _) => hole.fits = fits,
            (None, _) => {}
        }
        self.account();
    }

    /// Puts entries without name and value where some are missing. Nothing behind them is certain.
    fn fill(&mut self, missing: u32) {
        let Some(hole) = self.hole.take() else { return };
        let older = self.entries.split_off(hole.newer.min(self.entries.len()));
        let octets = 32 * u64::from(missing);
        for stored in &mut self.entries {
            stored.end += octets;
        }
        self.octets += octets;
        self.size += octets as usize;
        let (number, mut end) = older.front().map_or((0, self.octets), |newest| (newest.number, newest.end + octets));
        for _ in 0..missing {
            let entry = Entry { name: Text::Unknown, value: Text::Unknown };
            self.entries.push_back(Stored { entry, is_certain: false, number, end, usage: Cell::default() });
            end -= 32;
        }
        self.entries.extend(older.into_iter().map(|stored| Stored { is_certain: false, ..stored }));
        self.doubtful = self.entries.iter().filter(|stored| !stored.is_certain).count();
        self.evict(0);
    }

    /// Loses the entries behind the hole, or from the newest on that is not certain.
    fn forget_older(&mut self) {
        let first = self.entries.iter().position(|stored| !stored.is_certain).unwrap_or(self.entries.len());
        let first = self.hole.as_ref().map_or(first, |hole| hole.newer);
        self.truncate(first);
    }

    fn truncate(&mut self, len: usize) {
        self.hole = None;
        self.entries.truncate(len);
        self.size = self.entries.iter().map(|stored| stored.entry.size()).sum();
        self.doubtful = self.entries.iter().filter(|stored| !stored.is_certain).count();
        self.has_lost = true;
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

/// Numbers of missing entries that explain what came about as well as the best does.
pub(super) fn believed(fits: &[Fit]) -> impl Iterator<Item = &Fit> {
    let best = fits.iter().map(|fit| fit.score).max().unwrap_or_default();
    fits.iter().filter(move |fit| fit.score > best - MARGIN)
}
