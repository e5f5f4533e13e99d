//! Reads many captures as one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

use super::error::{CaptureError, Damage};
use super::facts::{Facts, Progress};
use super::reader::{BUFFER, Ids, Item, Kind, Reader, Record};
use super::source::Opener;
use crate::base::{FrameNumber, Limits, Timestamp};

/// Read buffer while it is only asked when a file begins.
const PROBE_BUFFER: usize = 16 << 10;
/// Read buffer of each of several files, of which many may overlap.
const SHARED_BUFFER: usize = 256 << 10;

/// Reads one or several captures as one, merged by time.
///
/// Each file keeps its own order: of the frames next in each file the earliest is taken, in doubt that of the file named
/// first. A file is opened when the merge comes to its first frame and closed at its end, so the files of a ring buffer are
/// read one after the other whatever the order they were named in. Frame numbers and interfaces are counted over all files;
/// for a single file they are Wireshark's.
pub struct Captures {
    limits: Limits,
    paths: Vec<PathBuf>,
    /// Files to open later, earliest first frame first.
    pending: VecDeque<Key>,
    /// Files being read, at the place of their path; of the others there is no more than the place.
    heads: Vec<Option<Box<Head>>>,
    /// The next frame of each file being read, but for the current one.
    queue: BinaryHeap<Reverse<Key>>,
    /// The file whose record was handed on last.
    current: Option<usize>,
    numbers: u64,
    ids: Ids,
    /// Facts and bytes read of files that are closed.
    closed: Facts,
    closed_bytes: u64,
    total: Option<u64>,
}

/// When a file's next record is due, and its place among the files.
type Key = (Timestamp, usize);

struct Head {
    reader: Reader,
    record: Option<Record>,
}

impl Captures {
    /// Opens the captures; `-` is standard input. The first one that cannot be read is an error. Of several, each is looked
    /// into up to its first frame.
    pub fn open(paths: &[PathBuf], limits: &Limits) -> Result<Self, CaptureError> {
        Self::open_with(paths, limits, &mut |open| open())
    }

    /// [`Self::open`]; standard input and what else is no regular file is opened by `opener`, so that reading it can be stopped.
    pub fn open_with(paths: &[PathBuf], limits: &Limits, opener: &mut Opener<'_>) -> Result<Self, CaptureError> {
        let mut captures = Self {
            limits: limits.clone(),
            paths: paths.to_vec(),
            pending: VecDeque::new(),
            heads: paths.iter().map(|_| None).collect(),
            queue: BinaryHeap::new(),
            current: None,
            numbers: 0,
            ids: Ids::default(),
            closed: Facts { files: paths.to_vec(), ..Facts::default() },
            closed_bytes: 0,
            total: Some(0),
        };
        let mut pending = Vec::new();
        if let [path] = paths {
            let reader = Reader::open_with(path, limits, BUFFER, opener)?;
            captures.total = reader.progress().total;
            captures.heads = vec![Some(Box::new(Head { reader, record: None }))];
            captures.current = Some(0);
        } else {
            for (slot, path) in paths.iter().enumerate() {
                pending.extend(captures.probe(slot, path, opener)?);
            }
        }
        pending.sort_unstable();
        captures.pending = pending.into();
        Ok(captures)
    }

    /// When a file begins. What cannot be opened twice is kept open, its first record waiting.
    fn probe(&mut self, slot: usize, path: &Path, opener: &mut Opener<'_>) -> Result<Option<Key>, CaptureError> {
        let mut reader = Reader::open_with(path, &self.limits, PROBE_BUFFER, opener)?;
        let Some(size) = reader.progress().total else {
            self.total = None;
            self.start(slot, reader);
            return Ok(None);
        };
        self.total = self.total.map(|total| total.saturating_add(size));
        let mut ids = Ids::default();
        loop {
            match reader.step(&mut ids).map(|record| record.kind) {
                Some(Kind::Frame(frame)) => return Ok(Some((frame.time, slot))),
                Some(Kind::Secrets { .. }) => {}
                None => return Ok(Some((Timestamp(i64::MIN), slot))),
            }
        }
    }

    /// The next frame or secrets; `None` at the end of all files. A file that went away, or became something else, after it was
    /// found good is a damage: it costs only that file.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend out of its buffer")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        let Some(slot) = self.choose() else { return Ok(None) };
        let Some(head) = self.heads.get(slot).and_then(Option::as_ref) else { return Ok(None) };
        let Some(record) = &head.record else { return Ok(None) };
        self.numbers += record.numbers();
        Ok(Some(head.reader.item(record, FrameNumber(self.numbers))))
    }

    /// Moves to the file whose record is due.
    #[inline]
    fn choose(&mut self) -> Option<usize> {
        if let Some(slot) = self.current
            && let Some(key) = self.step(slot)
        {
            if self.is_due(key) {
                return Some(slot);
            }
            self.queue.push(Reverse(key));
        }
        self.current = None;
        while let Some(&next) = self.pending.front() {
            if self.queue.peek().is_some_and(|&Reverse(key)| key < next) {
                break;
            }
            self.pending.pop_front();
            let Some(path) = self.paths.get(next.1) else { continue };
            match Reader::open_buffered(path, &self.limits, SHARED_BUFFER) {
                Ok(reader) => self.start(next.1, reader),
                Err(error) => self.closed.add_damage(Damage::since_opened(path.clone(), &error)),
            }
        }
        self.current = self.queue.pop().map(|Reverse((_, slot))| slot);
        self.current
    }

    /// True when no other file is to come first.
    #[inline]
    fn is_due(&self, key: Key) -> bool {
        self.queue.peek().is_none_or(|&Reverse(other)| key < other)
            && self.pending.front().is_none_or(|&other| key < other)
    }

    fn start(&mut self, slot: usize, reader: Reader) {
        if let Some(place) = self.heads.get_mut(slot) {
            *place = Some(Box::new(Head { reader, record: None }));
        }
        if let Some(key) = self.step(slot) {
            self.queue.push(Reverse(key));
        }
    }

    /// Moves a file to its next record; closes it at its end. Secrets are due at once.
    #[inline]
    fn step(&mut self, slot: usize) -> Option<Key> {
        let head = self.heads.get_mut(slot)?.as_mut()?;
        head.record = head.reader.step(&mut self.ids);
        match head.record.as_ref().map(|record| &record.kind) {
            Some(Kind::Frame(frame)) => Some((frame.time, slot)),
            Some(Kind::Secrets { .. }) => Some((Timestamp(i64::MIN), slot)),
            None => {
                self.numbers += head.reader.numbers_left();
                self.closed_bytes += head.reader.progress().read;
                self.closed.merge(&head.reader.facts());
                *self.heads.get_mut(slot)? = None;
                None
            }
        }
    }

    /// What is known so far.
    pub fn facts(&self) -> Facts {
        let mut facts = self.closed.clone();
        for head in self.heads.iter().flatten() {
            facts.merge(&head.reader.facts());
        }
        facts
    }

    /// How far the reading has come.
    pub fn progress(&self) -> Progress {
        let open: u64 = self.heads.iter().flatten().map(|head| head.reader.progress().read).sum();
        Progress { read: self.closed_bytes + open, total: self.total }
    }

    /// Files open now.
    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.heads.iter().flatten().count()
    }
}
