//! Where a stream of messages goes on behind missing bytes: at the start of a later chunk whose messages fit.
//!
//! Senders write whole messages, so segments, records and DATA frames mostly begin with one. A chunk is believed when the messages
//! that begin with it are well-formed and end where a chunk ends, or are followed by more of their kind.

use crate::base::{Budget, Lease, Span, Stamp};

/// Whether a place is the start of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is.
    Fits,
    /// It is not.
    No,
    /// Bytes that are to come will tell.
    More,
}

/// A place to judge: the start of a chunk, with all that came from there on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Nothing comes behind them.
    pub(super) is_over: bool,
    /// Where these chunks end, in the buffer that `bytes` is the end of.
    ends: &'a [(usize, Span)],
    start: usize,
}

/// Bytes that each further chunk must have on average before its end says anything.
const CHUNK: usize = 32;

impl Place<'_> {
    /// True when a chunk ends at that distance from the place, and not many small ones do before it.
    pub(super) fn is_chunk_end(&self, at: usize) -> bool {
        let before = self.ends.binary_search_by_key(&(self.start + at), |&(end, _)| end);
        before.is_ok_and(|before| at >= before * CHUNK)
    }
}

/// Bytes that were not read as messages, until they are told.
#[derive(Debug, Default)]
pub(super) struct Unread(Option<(u64, Stamp)>);

impl Unread {
    /// Adds bytes; `last` is the last packet taken in so far. The first one added to is kept.
    pub(super) fn add(&mut self, bytes: u64, last: Stamp) {
        if bytes > 0 {
            let (unread, _) = self.0.get_or_insert((0, last));
            *unread = unread.saturating_add(bytes);
        }
    }

    /// Their number and the packet, to be told once.
    pub(super) fn take(&mut self) -> Option<(u64, Stamp)> {
        self.0.take()
    }
}

/// Chunks among which a message is looked for.
#[derive(Debug)]
pub(super) struct Resync {
    bytes: Vec<u8>,
    /// End in `bytes` and frames of each chunk.
    ends: Vec<(usize, Span)>,
    /// Where the first chunk that counts begins; what lies before it is forgotten.
    start: usize,
    /// Its number in `ends`.
    first: usize,
    /// Bytes held at most, with what is known of their chunks.
    limit: usize,
    lease: Lease,
}

impl Resync {
    /// A search that has seen nothing.
    pub(super) fn new(limit: usize, budget: &Budget) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), start: 0, first: 0, limit, lease: budget.lease() }
    }

    /// Adds a chunk.
    pub(super) fn push(&mut self, data: &[u8], span: Span) {
        if data.is_empty() {
            return;
        }
        let is_mostly_past = self.start > 4096 && self.start > self.bytes.len() / 2;
        if is_mostly_past || self.first > 256 && self.first > self.ends.len() / 2 {
            self.bytes.drain(..self.start);
            self.ends.drain(..self.first);
            self.ends.iter_mut().for_each(|(end, _)| *end -= self.start);
            (self.start, self.first) = (0, 0);
        }
        self.bytes.extend_from_slice(data);
        self.ends.push((self.bytes.len(), span));
        self.account();
    }

    /// Looks for a chunk that begins with a message; those before it are forgotten. Gives the number of bytes forgotten, and
    /// whether one was found: its chunks are to be [taken](Self::take). `judge` must not cost more than a constant.
    pub(super) fn look(&mut self, is_over: bool, judge: impl Fn(Place<'_>) -> Verdict) -> (u64, bool) {
        let before = self.start;
        let mut is_found = false;
        while self.first < self.ends.len() {
            let bytes = self.bytes.get(self.start..).unwrap_or_default();
            let chunks = self.ends.len() - self.first;
            let is_full = bytes.len() + chunks * size_of::<(usize, Span)>() > self.limit;
            let ends = self.ends.get(self.first..).unwrap_or_default();
            match judge(Place { bytes, is_over, ends, start: self.start }) {
                Verdict::Fits => {
                    is_found = true;
                    break;
                }
                Verdict::More if !is_over && !is_full => break,
                Verdict::No | Verdict::More => self.advance(),
            }
        }
        let forgotten = (self.start - before) as u64;
        self.settle();
        (forgotten, is_found)
    }

    /// Moves the first chunk to `into`.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) -> Option<Span> {
        let &(end, span) = self.ends.get(self.first)?;
        into.clear();
        into.extend_from_slice(self.bytes.get(self.start..end)?);
        self.advance();
        self.settle();
        Some(span)
    }

    fn advance(&mut self) {
        if let Some(&(end, _)) = self.ends.get(self.first) {
            self.start = end;
            self.first += 1;
        }
    }

    /// Gives the memory back when nothing is held any more.
    fn settle(&mut self) {
        if self.first == self.ends.len() && self.first > 0 {
            if self.bytes.capacity() > 64 << 10 {
                self.bytes = Vec::new();
            }
            self.bytes.clear();
            self.ends = Vec::new();
            (self.start, self.first) = (0, 0);
            self.account();
        }
    }

    fn account(&mut self) {
        self.lease.set(self.bytes.capacity() + self.ends.capacity() * size_of::<(usize, Span)>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message is its length and so many bytes.
    fn judge(place: Place<'_>) -> Verdict {
        let Some(&len) = place.bytes.first() else { return Verdict::More };
        match usize::from(len) {
            0 => Verdict::No,
            len if len > place.bytes.len() && place.is_over => Verdict::No,
            len if len > place.bytes.len() => Verdict::More,
            len if place.is_chunk_end(len) => Verdict::Fits,
            _ => Verdict::No,
        }
    }

    #[test]
    fn the_first_chunk_that_fits_is_found_and_the_rest_is_counted() {
        let budget = Budget::new(1 << 20);
        let mut resync = Resync::new(1000, &budget);
        let mut push = |data: &[u8]| {
            resync.push(data, Span::default());
            resync.look(false, judge)
        };
        let (start, end) = ([&[40][..], &[1; 19]].concat(), [9; 20]);
        assert_eq!(push(&[0, 1, 2]), (3, false));
        assert_eq!(push(&start), (0, false));
        assert_eq!(push(&end), (0, true));
        let (mut chunk, mut all) = (Vec::new(), Vec::new());
        while resync.take(&mut chunk).is_some() {
            all.push(chunk.clone());
        }
        assert_eq!(all, [start, end.to_vec()]);
        drop(resync);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_cannot_become_whole_gives_way() {
        let budget = Budget::new(1 << 20);
        let mut resync = Resync::new(1000, &budget);
        for data in [&[200, 1][..], &[250, 7], &[2, 7]] {
            resync.push(data, Span::default());
            assert_eq!(resync.look(false, judge), (0, false));
        }
        assert_eq!(resync.look(true, judge), (4, true));
        let mut resync = Resync::new(300, &budget);
        let mut forgotten = 0;
        for _ in 0..10_000 {
            resync.push(&[255; 30], Span::default());
            forgotten += resync.look(false, judge).0;
        }
        assert!(forgotten >= 10_000 * 30 - 300 && budget.used() < 40_000, "{forgotten} {}", budget.used());
    }
}
