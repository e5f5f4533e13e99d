//! Does it grow?

use super::process::{open_files, resident, unlinked};

/// What a process held, again and again.
#[derive(Default)]
pub struct Watch {
    /// Resident memory in bytes.
    resident: Vec<u64>,
    /// Bytes in files that have no name.
    unlinked: Vec<u64>,
    files: Vec<u64>,
}

/// How much memory, or space in temporary files, may seem to grow: pages of the allocator that come and go, and the last tables that
/// become full (65,536 pages and their marks, after a week: 4 MiB).
pub const SLACK: u64 = 6 << 20;
/// What a segment of the temporary file takes, and the one after it at its beginning.
pub const SEGMENT: u64 = 160 << 20;
/// The most that a run may take, whatever it reads.
const MEMORY: u64 = 128 << 20;

impl Watch {
    /// Looks at the process now.
    pub fn look(&mut self, pid: u32) {
        self.resident.push(resident(pid));
        self.unlinked.push(unlinked(pid));
        self.files.push(open_files(pid) as u64);
    }

    /// After the first fifth, when all tables are full, memory does not grow by more than `slack` bytes, and stays below its bound.
    /// Nor does space in temporary files, unless it stays within `room`, which they are filled up to before they are given back.
    pub fn assert_steady(&self, slack: u64, room: u64) {
        let kib = |samples: &[u64]| samples.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>();
        let said = format!(
            "resident KiB {:?}\nunlinked KiB {:?}\nfiles {:?}",
            kib(&self.resident),
            kib(&self.unlinked),
            self.files
        );
        let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
        let (memory, disk, files) = (growth(&self.resident), growth(&self.unlinked), growth(&self.files));
        assert!(memory <= slack, "memory grows by {} KiB:\n{said}", memory >> 10);
        assert!(most(&self.resident) <= MEMORY, "more memory than there should be:\n{said}");
        assert!(disk <= slack || most(&self.unlinked) <= room, "temporary space grows by {} KiB:\n{said}", disk >> 10);
        assert!(files <= 2, "open files grow by {files}:\n{said}");
    }
}

/// By how much the last fifth lies above the second: their medians, which a single moment does not move.
fn growth(samples: &[u64]) -> u64 {
    let fifth = samples.len() / 5;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part[part.len() / 2]
    };
    median(&samples[samples.len() - fifth..]).saturating_sub(median(&samples[fifth..2 * fifth]))
}

#[test]
fn growth_is_seen_and_jitter_is_not() {
    let slowly: Vec<u64> = (0..50).map(|n| 100 + n).collect();
    assert_eq!(growth(&slowly), 30);
    let jitter: Vec<u64> = (0..50).map(|n| 100 + n % 7).collect();
    assert!(growth(&jitter) <= 1);
    let warm: Vec<u64> = (0..50).map(|n| 100.min(n * 20)).collect();
    assert_eq!(growth(&warm), 0);
}
