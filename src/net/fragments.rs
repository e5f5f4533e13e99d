//! IP fragments become whole datagrams again, in a pool that is bounded in bytes and in time.
//!
//! Own code rather than etherparse's `IpDefragBuf`: there the last writer of an overlap wins and nobody hears of it, a fragment of
//! eight bytes at the far end costs 64 KiB, and pieces that the snapshot length cut have no place.

use std::collections::{HashMap, VecDeque};

use crate::base::{Budget, Lease, Timestamp};

/// No datagram is longer: 13 bits of offset in units of 8, and one fragment (RFC 791 §3.1; RFC 8200 §4.5).
const LONGEST: usize = 65_535;
/// What a datagram without bytes costs in the tables, roughly.
const OVERHEAD: usize = 256;

/// Which datagram a fragment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Source and destination; IPv4 addresses are mapped.
    pub(super) addresses: [[u8; 16]; 2],
    /// Identification.
    pub(super) id: u32,
    /// Protocol; of IPv6 only that it is IPv6, since the next header may differ between fragments.
    pub(super) protocol: u16,
}

/// One fragment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    /// Offset in bytes.
    pub(super) offset: usize,
    /// True unless it is the last.
    pub(super) more: bool,
    /// What follows the IP headers; IPv6 takes it from the fragment at offset 0.
    pub(super) next: u8,
    /// Bytes in the capture.
    pub(super) data: &'a [u8],
    /// Bytes that followed on the wire.
    pub(super) cut: usize,
}

/// A datagram made whole.
#[derive(Debug)]
pub(super) struct Whole {
    /// Protocol or next header.
    pub(super) next: u8,
    /// Its bytes up to the first that was cut.
    pub(super) data: Vec<u8>,
    /// Bytes that follow `data`.
    pub(super) cut: usize,
}

/// What became of a fragment.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The datagram, when this was its last missing fragment.
    pub(super) whole: Option<Whole>,
    /// It covers bytes that were there already, not being a copy of one fragment.
    pub(super) overlaps: bool,
    /// It contradicts what is known of the datagram and was left out.
    pub(super) malformed: bool,
    /// Datagrams that were given up meanwhile.
    pub(super) lost: u64,
}

/// A piece that no other piece overlaps.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u32,
    /// Bytes on the wire.
    len: u32,
    /// Bytes in the capture, and where they lie in `Datagram::bytes`.
    held: u32,
    at: u32,
}

impl Piece {
    fn end(self) -> usize {
        self.start as usize + self.len as usize
    }
}

#[derive(Debug)]
struct Datagram {
    born: Timestamp,
    serial: u64,
    next: u8,
    /// Total length, once the last fragment is there.
    end: Option<usize>,
    /// Bytes on the wire covered by the pieces.
    covered: usize,
    /// Sorted by start.
    pieces: Vec<Piece>,
    /// In order of arrival.
    bytes: Vec<u8>,
}

/// The datagrams that are not whole yet.
#[derive(Debug)]
pub(super) struct Fragments {
    open: HashMap<Key, Datagram, foldhash::fast::RandomState>,
    /// In order of birth; entries whose serial is gone are skipped.
    order: VecDeque<(u64, Key)>,
    serial: u64,
    cap: usize,
    age: u64,
    held: usize,
    lease: Lease,
    budget: Budget,
}

impl Fragments {
    pub(super) fn new(cap: usize, age: u64, budget: &Budget) -> Self {
        Self {
            open: HashMap::default(),
            order: VecDeque::new(),
            serial: 0,
            cap,
            age,
            held: 0,
            lease: budget.lease(),
            budget: budget.clone(),
        }
    }

    /// Takes one fragment.
    pub(super) fn push(&mut self, key: Key, fragment: Fragment<'_>, time: Timestamp) -> Outcome {
        let mut outcome = Outcome { lost: self.expire(time), ..Outcome::default() };
        let datagram = match self.open.entry(key) {
            std::collections::hash_map::Entry::Occupied(slot) => slot.into_mut(),
            std::collections::hash_map::Entry::Vacant(slot) => {
                self.serial += 1;
                self.order.push_back((self.serial, key));
                self.held += OVERHEAD;
                slot.insert(Datagram {
                    born: time,
                    serial: self.serial,
                    next: fragment.next,
                    end: None,
                    covered: 0,
                    pieces: Vec::new(),
                    bytes: Vec::new(),
                })
            }
        };
        let before = datagram.allocated();
        match datagram.add(fragment) {
            Ok(overlaps) => outcome.overlaps = overlaps,
            Err(()) => outcome.malformed = true,
        }
        self.held = self.held.saturating_sub(before) + datagram.allocated();
        if datagram.end == Some(datagram.covered) {
            outcome.whole = self.open.remove(&key).map(|datagram| {
                self.held = self.held.saturating_sub(datagram.allocated() + OVERHEAD);
                datagram.join()
            });
        }
        while self.held > self.cap && self.drop_oldest(&mut outcome.lost) {}
        self.lease.set(self.held);
        // Others hold memory, too, and are asked in turn.
        if self.budget.is_overdrawn() {
            self.drop_oldest(&mut outcome.lost);
            self.lease.set(self.held);
        }
        // Entries of datagrams that became whole stay behind the oldest unfinished one; they must not pile up.
        if self.order.len() > 2 * self.open.len() + KEPT_ORDER {
            let open = &self.open;
            self.order.retain(|(serial, key)| open.get(key).is_some_and(|datagram| datagram.serial == *serial));
        }
        outcome
    }

    /// Gives up what is still open; returns how many datagrams that were.
    pub(super) fn finish(&mut self) -> u64 {
        let lost = self.open.len() as u64;
        self.open.clear();
        self.order.clear();
        self.held = 0;
        self.lease.set(0);
        lost
    }

    fn expire(&mut self, now: Timestamp) -> u64 {
        let mut lost = 0;
        while let Some((serial, key)) = self.order.front() {
            let is_young = self
                .open
                .get(key)
                .is_some_and(|datagram| datagram.serial == *serial && now.nanos_since(datagram.born) <= self.age);
            if is_young || !self.drop_oldest(&mut lost) {
                break;
            }
        }
        lost
    }

    /// Takes the head of the order away, and the datagram if it is still there; false when there is none.
    fn drop_oldest(&mut self, lost: &mut u64) -> bool {
        let Some((serial, key)) = self.order.pop_front() else { return false };
        if self.open.get(&key).is_some_and(|datagram| datagram.serial == serial)
            && let Some(datagram) = self.open.remove(&key)
        {
            self.held = self.held.saturating_sub(datagram.allocated() + OVERHEAD);
            *lost += 1;
        }
        true
    }
}

/// Length of the order below which it is not cleaned.
const KEPT_ORDER: usize = 64;

impl Datagram {
    fn allocated(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Adds what the fragment has that was not there; true when it overlaps. The first of overlapping fragments wins.
    fn add(&mut self, fragment: Fragment<'_>) -> Result<bool, ()> {
        let mut len = fragment.data.len().saturating_add(fragment.cut);
        if fragment.more {
            // All but the last hold a multiple of 8 bytes (RFC 791 §3.2).
            len &= !7;
        }
        let data = fragment.data.get(..len).unwrap_or(fragment.data);
        let end = fragment.offset.checked_add(len).filter(|&end| end <= LONGEST).ok_or(())?;
        let reached = self.pieces.last().map_or(0, |piece| piece.end());
        let is_beyond = self.end.is_some_and(|known| end > known || (!fragment.more && end != known));
        if is_beyond || (!fragment.more && reached > end) || (fragment.more && len == 0) {
            return Err(());
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if fragment.offset == 0 {
            self.next = fragment.next;
        }
        // The first piece that ends behind the start of the fragment.
        let mut index = self.pieces.partition_point(|piece| piece.end() <= fragment.offset);
        if self
            .pieces
            .get(index)
            .is_some_and(|piece| piece.start as usize == fragment.offset && piece.len as usize == len)
        {
            return Ok(false);
        }
        let mut overlaps = false;
        let mut start = fragment.offset;
        while start < end {
            let (until, behind) = match self.pieces.get(index) {
                Some(piece) if (piece.start as usize) < end => (piece.start as usize, piece.end()),
                _ => (end, end),
            };
            overlaps |= until < end;
            if until > start {
                let from = (start - fragment.offset).min(data.len());
                let to = (until - fragment.offset).min(data.len());
                let held = data.get(from..to).unwrap_or_default();
                let piece = Piece {
                    start: start as u32,
                    len: (until - start) as u32,
                    held: held.len() as u32,
                    at: self.bytes.len() as u32,
                };
                self.bytes.extend_from_slice(held);
                self.pieces.insert(index, piece);
                self.covered += until - start;
                index += 1;
            }
            start = behind;
            index += 1;
        }
        Ok(overlaps)
    }

    fn join(self) -> Whole {
        let mut data = Vec::with_capacity(self.bytes.len());
        for piece in &self.pieces {
            let held = self.bytes.get(piece.at as usize..).and_then(|rest| rest.get(..piece.held as usize));
            data.extend_from_slice(held.unwrap_or_default());
            if piece.held < piece.len {
                break;
            }
        }
        let cut = self.covered - data.len();
        Whole { next: self.next, data, cut }
    }
}
