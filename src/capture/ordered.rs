//! The frames of a disordered file by time.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::index::{Entry, Index};
use super::pcapng::Section;
use super::records::Records;
use super::window::Window;
use crate::base::{Budget, Limits};

/// Where an index lies that memory does not hold, and how much it holds.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// Folder of temporary files; the system's when `None`.
    pub(super) folder: Option<PathBuf>,
    /// Bytes for the index and for pieces of the file, each.
    pub(super) bytes: usize,
    pub(super) budget: Budget,
    /// Set to end early.
    pub(super) stop: Arc<AtomicBool>,
}

impl Room {
    /// Room for one of `files` files.
    pub(super) fn new(folder: Option<PathBuf>, files: usize, limits: &Limits, stop: Arc<AtomicBool>) -> Self {
        // Few of many files are open at a time.
        let bytes = limits.order_memory / files.clamp(1, 8);
        Self { folder, bytes, budget: Budget::new(limits.order_memory), stop }
    }
}

/// A file whose records are read by an index.
pub(super) struct Ordered {
    index: Index,
    records: Records,
    /// Sections of a pcapng file, in the order of the file.
    sections: Vec<Section>,
    section: Option<usize>,
    /// Frame number of the last record in the file.
    pub(super) numbers: u64,
    /// Frame number that was handed on last.
    pub(super) number: u64,
    /// Frames are numbered as in the file; those of one among several files are counted as they come.
    pub(super) is_alone: bool,
    /// True when flows begin in the order of the file even so.
    pub(super) keeps_flows: bool,
    /// True when it was told that the file has changed.
    pub(super) is_changed: bool,
}

impl Ordered {
    pub(super) fn new(
        index: Index,
        file: File,
        sections: Vec<Section>,
        numbers: u64,
        is_alone: bool,
        room: &Room,
    ) -> Self {
        let records = Records::new(file, room.bytes, &room.budget);
        Self {
            index,
            records,
            sections,
            section: None,
            numbers,
            number: 0,
            is_alone,
            keeps_flows: false,
            is_changed: false,
        }
    }

    /// The next record by time: brings its bytes into the window. Nothing at the end.
    pub(super) fn load(&mut self, window: &mut Window) -> io::Result<Option<Entry>> {
        let Some(entry) = self.index.next()? else { return Ok(None) };
        window.consume(window.bytes().len());
        window.feed(self.records.get(entry.at, entry.len as usize)?);
        Ok(Some(entry))
    }

    /// The section of a record, when it is another one than that of the record before.
    pub(super) fn section(&mut self, entry: &Entry) -> Option<&Section> {
        let number = self.sections.partition_point(|section| section.at <= entry.at).checked_sub(1)?;
        if self.section == Some(number) {
            return None;
        }
        self.section = Some(number);
        self.sections.get(number)
    }

    /// The section must be entered again.
    pub(super) fn leave_section(&mut self) {
        self.section = None;
    }

    /// Frame numbers to add for this record.
    pub(super) fn step(&mut self, entry: &Entry) -> u64 {
        let step = if self.is_alone { entry.number.wrapping_sub(self.number) } else { 1 };
        self.number = if self.is_alone { entry.number } else { self.number + 1 };
        step
    }
}
