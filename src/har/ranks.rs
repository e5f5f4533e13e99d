//! Wireshark's numbers of connections: the rank of a connection's first frame among those of its kind.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::base::FrameNumber;

/// Numbers of the connections of one kind that may still give entries.
#[derive(Debug, Clone, Default)]
pub struct Ranks {
    /// Connections so far.
    count: u64,
    open: HashMap<FrameNumber, u64, RandomState>,
}

impl Ranks {
    /// Takes in connections by their first frames, and whether their number is of interest. All shards tell those of the same
    /// frames together; they may come in any order.
    pub fn open(&mut self, firsts: &mut [(FrameNumber, bool)]) {
        firsts.sort_unstable();
        for &mut (first, is_wanted) in firsts {
            if is_wanted {
                self.open.insert(first, self.count);
            }
            self.count += 1;
        }
    }

    /// The number of the connection with this first frame.
    pub fn get(&self, first: FrameNumber) -> Option<u64> {
        self.open.get(&first).copied()
    }

    /// The connection gives no more entries.
    pub fn close(&mut self, first: FrameNumber) {
        self.open.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_numbered_by_their_first_frames() {
        let mut ranks = Ranks::default();
        ranks.open(&mut [7, 2, 5].map(|frame| (FrameNumber(frame), frame != 5)));
        ranks.open(&mut [(FrameNumber(9), true)]);
        assert_eq!([2, 5, 7, 9].map(|frame| ranks.get(FrameNumber(frame))), [Some(0), None, Some(2), Some(3)]);
        ranks.close(FrameNumber(7));
        assert_eq!((ranks.get(FrameNumber(7)), ranks.open.len()), (None, 2));
    }
}
