//! What a run of captures was made of, and how far its reading has come.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::dropped::Dropped;
use super::error::Damage;
use super::frame::LinkType;
use crate::base::Timestamp;

/// Damages that are told one by one when thousands of files are read as one.
const DAMAGES_KEPT: usize = 64;

/// What is known of the captures read so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The sources in the order they were given; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Frames handed on.
    pub frames: u64,
    /// Earliest frame.
    pub first: Option<Timestamp>,
    /// Latest frame.
    pub last: Option<Timestamp>,
    /// Link types of the frames.
    pub link_types: BTreeSet<LinkType>,
    /// Frames that the snapshot length cut.
    pub cut_frames: u64,
    /// What the capture programs say they dropped.
    pub dropped: Dropped,
    /// The first damages of each file, the first few dozen of many files.
    pub damage: Vec<Damage>,
    /// How many damages there were.
    pub damages: u64,
    /// Frames that stood out of time order.
    pub disorder: Disorder,
}

/// Frames out of time order, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disorder {
    /// Frames that are earlier than the one before them.
    pub frames: u64,
    /// Those that were not put in order.
    pub left: u64,
    /// True when the order of the file was kept because the packets themselves speak for it: clocks differ.
    pub has_clocks: bool,
}

impl Disorder {
    /// True when there was disorder, and all of it was mended.
    pub fn is_mended(&self) -> bool {
        self.frames > 0 && self.left == 0
    }

    /// What to tell; nothing when all frames were in order.
    pub fn text(&self) -> Option<String> {
        let Self { frames, left, has_clocks } = *self;
        let (out, was) = match frames {
            0 => return None,
            1 => ("1 frame is out of time order".to_owned(), "it was"),
            more => (format!("{more} frames are out of time order"), "they were"),
        };
        Some(match left {
            0 => format!("{out}; {was} put in order"),
            _ if has_clocks => format!("{out} because clocks differ; the order of the file was kept"),
            _ if left >= frames => format!("{out}; put them in order first: {ADVICE}"),
            _ => format!("{out}; {left} of them could not be put in order: {ADVICE}"),
        })
    }

    fn merge(&mut self, other: &Disorder) {
        self.frames += other.frames;
        self.left += other.left;
        self.has_clocks |= other.has_clocks;
    }
}

/// What helps where order could not be restored.
const ADVICE: &str = "reordercap IN OUT";

impl Facts {
    /// Adds what is known of another capture, but not its name.
    pub(super) fn merge(&mut self, other: &Facts) {
        self.frames += other.frames;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.link_types.extend(&other.link_types);
        self.cut_frames += other.cut_frames;
        self.dropped.add(&other.dropped);
        let room = DAMAGES_KEPT.saturating_sub(self.damage.len());
        self.damage.extend(other.damage.iter().take(room).cloned());
        self.damages += other.damages;
        self.disorder.merge(&other.disorder);
    }

    /// Adds a damage.
    pub(super) fn add_damage(&mut self, damage: Damage) {
        self.damages += 1;
        if self.damage.len() < DAMAGES_KEPT {
            self.damage.push(damage);
        }
    }
}

/// How far the reading has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read from the sources, before decompression.
    pub read: u64,
    /// Bytes of all sources; `None` when one is a pipe.
    pub total: Option<u64>,
}
