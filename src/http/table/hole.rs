//! What is missing in a table, and how many entries that may be.

use super::{Entry, Found, Stored, Table, Text};
use std::cell::Cell;

/// A place in the table where an unknown number of entries is missing.
#[derive(Debug)]
pub(super) struct Hole {
    /// Known entries in front of it.
    pub(super) newer: usize,
    pub(super) fits: Vec<Fit>,
}

/// A number of missing entries that may be the right one.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Fit {
    /// Entries; [`ALL`] when none from before the hole is left.
    pub(in crate::http) missing: u32,
    /// How well it explains what came since.
    pub(in crate::http) score: i32,
}

/// More entries are missing than a table holds.
pub(in crate::http) const ALL: u32 = u32::MAX;

/// Numbers of missing entries that are tried. A table of the usual 4096 octets holds no more entries than these.
const TRIED: u64 = 128;

/// What a missing entry takes from the score of a number: holes are small.
pub(in crate::http) const PRICE: i32 = 1;

/// The same where it is not likely that any entry is missing.
pub(in crate::http) const PRICE_UNLIKELY: i32 = MARGIN + 2;

/// Numbers whose score is less than the best by this much are no longer believed.
pub(in crate::http) const MARGIN: i32 = 10;

/// What an index leads to for one number of missing entries.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) enum Place<'a> {
    Known(&'a Stored),
    /// One of the missing entries.
    Missing,
    /// An entry that was lost earlier.
    Older,
    /// No entry can be there.
    Impossible,
}

impl Table {
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

    /// What all numbers of missing entries agree on that are still believed.
    pub(super) fn merged<'t>(&'t self, hole: &Hole, index: u64) -> Found<'t> {
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
    pub(in crate::http) fn place(&self, index: u64, missing: u32) -> Place<'_> {
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
    pub(in crate::http) fn fits(&mut self) -> Vec<Fit> {
        self.hole.as_mut().map_or_else(|| vec![Fit { missing: 0, score: 0 }], |hole| std::mem::take(&mut hole.fits))
    }

    /// Entries in front of the hole; 0 where there is none.
    pub(in crate::http) fn newer(&self) -> u64 {
        self.hole.as_ref().map_or(0, |hole| hole.newer as u64)
    }

    /// Goes on with these numbers of missing entries. When it is one, the hole is filled; when there is none, what is older is lost.
    pub(in crate::http) fn keep(&mut self, fits: Vec<Fit>) {
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

    pub(super) fn truncate(&mut self, len: usize) {
        self.hole = None;
        self.entries.truncate(len);
        self.size = self.entries.iter().map(|stored| stored.entry.size()).sum();
        self.doubtful = self.entries.iter().filter(|stored| !stored.is_certain).count();
        self.has_lost = true;
    }
}

/// Numbers of missing entries that explain what came about as well as the best does.
fn believed(fits: &[Fit]) -> impl Iterator<Item = &Fit> {
    let best = fits.iter().map(|fit| fit.score).max().unwrap_or_default();
    fits.iter().filter(move |fit| fit.score > best - MARGIN)
}
