//! Records of a file in any order: pieces of it are kept, because what is asked for next mostly stands near what was asked for before.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::base::{Budget, Lease};

/// Bytes of a piece, unless a record is longer. Records that lie all over the file cost so much each.
const PIECE: usize = 32 << 10;

/// A file of which any record may be asked for.
pub(super) struct Records {
    file: File,
    pieces: Vec<Piece>,
    /// Pieces kept.
    most: usize,
    /// Questions so far, to tell which piece was not asked for longest.
    asked: u64,
    lease: Lease,
}

struct Piece {
    start: u64,
    bytes: Vec<u8>,
    used: u64,
}

impl Records {
    /// Records of `file`; `most` bytes of it are kept.
    pub(super) fn new(file: File, most: usize, budget: &Budget) -> Self {
        Self { file, pieces: Vec::new(), most: (most / PIECE).max(2), asked: 0, lease: budget.lease() }
    }

    /// The `len` bytes at `at`; fewer when the file has become shorter.
    pub(super) fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        self.asked += 1;
        let has = |piece: &Piece| {
            let from = at.checked_sub(piece.start)?;
            (from.checked_add(len as u64)? <= piece.bytes.len() as u64).then_some(from as usize)
        };
        let found = self.pieces.iter().enumerate().find_map(|(number, piece)| Some((number, has(piece)?)));
        let (number, from) = match found {
            Some(found) => found,
            None => (self.load(at, len)?, 0),
        };
        let asked = self.asked;
        let Some(piece) = self.pieces.get_mut(number) else { return Ok(&[]) };
        piece.used = asked;
        let rest = piece.bytes.get(from..).unwrap_or_default();
        Ok(rest.get(..len).unwrap_or(rest))
    }

    /// Reads a piece that begins at `at`, in the place of the one that was not asked for longest.
    fn load(&mut self, at: u64, len: usize) -> io::Result<usize> {
        let mut bytes = Vec::new();
        let number = if self.pieces.len() < self.most {
            self.pieces.push(Piece { start: 0, bytes: Vec::new(), used: 0 });
            self.pieces.len() - 1
        } else {
            let oldest = (0..).zip(&self.pieces).min_by_key(|(_, piece)| piece.used);
            oldest.map_or(0, |(number, _)| number)
        };
        if let Some(piece) = self.pieces.get_mut(number) {
            bytes = std::mem::take(&mut piece.bytes);
        }
        bytes.clear();
        if bytes.capacity() > PIECE {
            bytes = Vec::new();
        }
        let want = len.max(PIECE);
        bytes.reserve_exact(want);
        self.file.seek(SeekFrom::Start(at))?;
        self.file.by_ref().take(want as u64).read_to_end(&mut bytes)?;
        if let Some(piece) = self.pieces.get_mut(number) {
            (piece.start, piece.bytes) = (at, bytes);
        }
        self.lease.set(self.pieces.iter().map(|piece| piece.bytes.capacity()).sum());
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no temporary files")]
    fn records_are_found_wherever_they_stand() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let budget = Budget::new(usize::MAX);
        let mut records = Records::new(file, 4 * PIECE, &budget);
        for n in 0..2000usize {
            let (at, len) = (n * 7_919 * 101 % 2_900_000, 1 + n * 31 % 1500);
            assert_eq!(records.get(at as u64, len).unwrap(), &bytes[at..at + len]);
        }
        assert_eq!(records.get(0, 100_000).unwrap(), &bytes[..100_000]);
        for n in 0..5 {
            records.get(n * 500_000, 1).unwrap();
        }
        assert!(budget.used() <= 4 * PIECE, "{}", budget.used());
        assert_eq!(records.get(2_999_990, 20).unwrap().len(), 10, "the file ends before");
        assert!(records.get(4_000_000, 20).unwrap().is_empty());
        drop(records);
        assert_eq!(budget.used(), 0);
    }
}
