//! Reads many captures as one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::ahead::look_ahead;
use super::causality::Segments;
use super::error::{CaptureError, Damage};
use super::facts::{Disorder, Facts, Progress};
use super::frame::Secrets;
use super::ordered::Room;
use super::reader::{BUFFER, Item, Reader};
use super::record::{Ids, Kind, Record};
use super::shelf::Shelf;
use super::source::Opener;
use crate::base::{FrameNumber, Limits, Timestamp};

/// Read buffer while it is only asked when a file begins.
const PROBE_BUFFER: usize = 16 << 10;
/// Read buffer of each of several files, of which many may overlap.
const SHARED_BUFFER: usize = 256 << 10;

/// Reads one or several captures as one, merged by time.
///
/// Each file keeps its own order, unless [`Self::restore_order`] was called: of the frames next in each file the earliest is taken, in doubt that of the file named
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
    /// Files whose frames are read by time, and how; empty when every file keeps its order.
    disordered: Vec<bool>,
    room: Option<Room>,
    segments: Option<Segments>,
    /// Why a file could not be put in order.
    failure: Option<CaptureError>,
    /// True when each file can be read anywhere.
    is_seekable: bool,
    /// Holds back frames of what can be read but once.
    shelf: Option<Box<Shelf>>,
    is_over: bool,
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
            disordered: Vec::new(),
            room: None,
            segments: None,
            failure: None,
            is_seekable: true,
            shelf: None,
            is_over: false,
        };
        let mut pending = Vec::new();
        if let [path] = paths {
            let reader = Reader::open_with(path, limits, BUFFER, opener)?;
            captures.total = reader.progress().total;
            captures.is_seekable = reader.is_seekable();
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
        self.is_seekable &= reader.is_seekable();
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

    /// Has the frames come in order of time, and gives the secrets of all files to `out`; before the first frame. `segments` makes what
    /// tells how far times can be trusted, `stop` is set to end early. An index that is larger than memory lies in `folder`, or where the system keeps such files.
    pub fn restore_order(
        &mut self,
        folder: Option<PathBuf>,
        segments: &dyn Fn() -> Segments,
        stop: &Arc<AtomicBool>,
        out: &mut dyn FnMut(Secrets<'_>),
    ) {
        let mut is_disordered = false;
        let mut disordered = vec![false; self.paths.len()];
        for (slot, path) in self.paths.iter().enumerate() {
            // Whatever keeps it from being read, the reader will meet and tell.
            let Ok(ahead) = look_ahead(path, &self.limits, stop, out) else { continue };
            if !ahead.is_disordered {
                continue;
            }
            is_disordered = true;
            disordered.iter_mut().skip(slot).take(1).for_each(|flag| *flag = true);
            let key = (ahead.earliest.unwrap_or_default(), slot);
            match self.pending.iter_mut().find(|(_, pending)| *pending == slot) {
                Some(pending) => *pending = key,
                None => {
                    self.heads.iter_mut().skip(slot).take(1).for_each(|head| *head = None);
                    self.current = None;
                    self.pending.push_back(key);
                }
            }
        }
        if is_disordered {
            self.pending.make_contiguous().sort_unstable();
            self.room = Some(Room::new(folder, self.paths.len(), &self.limits, stop.clone()));
            self.segments = Some(segments());
            self.disordered = disordered;
            if self.paths.len() == 1 {
                // What is known of its order is of interest before its first frame.
                self.pending.clear();
                let reader = self.open_next(0);
                self.heads = vec![reader.map(|reader| Box::new(Head { reader, record: None }))];
                self.current = Some(0);
            }
        }
        if !self.is_seekable {
            self.shelf = Some(Box::new(Shelf::new(&self.limits, Some(segments()))));
            for head in self.heads.iter().flatten().filter(|head| !head.reader.is_seekable()) {
                head.reader.tell_idle();
            }
        }
    }

    /// Reads no further: what is held back is still to come.
    pub fn end_early(&mut self) {
        self.is_over = true;
    }

    /// True when flows begin in another order than that of the frame numbers.
    pub fn moves_flows(&self) -> bool {
        self.heads.iter().flatten().any(|head| head.reader.moves_flows())
    }

    /// The next frame or secrets; `None` at the end of all files. A file that went away, or became something else, after it was
    /// found good is a damage: it costs only that file.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend out of its buffer")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        if self.shelf.is_some() {
            return self.next_on_shelf();
        }
        let Some(slot) = self.choose() else { return self.failure.take().map_or(Ok(None), Err) };
        let Some(head) = self.heads.get(slot).and_then(Option::as_ref) else { return Ok(None) };
        let Some(record) = &head.record else { return Ok(None) };
        self.numbers = self.numbers.wrapping_add(record.numbers());
        Ok(Some(head.reader.item(record, FrameNumber(self.numbers))))
    }

    /// [`Self::next`], with frames held back. Secrets are not.
    fn next_on_shelf(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        let secrets = loop {
            if self.shelf.as_mut().is_some_and(|shelf| shelf.advance()) {
                return Ok(self.shelf.as_ref().and_then(|shelf| shelf.frame()).map(Item::Frame));
            }
            let slot = self.choose();
            let Some(shelf) = &mut self.shelf else { return Ok(None) };
            let Some(slot) = slot else {
                if shelf.is_empty() {
                    return self.failure.take().map_or(Ok(None), Err);
                }
                shelf.release();
                continue;
            };
            let Some(head) = self.heads.get(slot).and_then(Option::as_ref) else { return Ok(None) };
            let Some(record) = &head.record else {
                shelf.rest();
                continue;
            };
            self.numbers = self.numbers.wrapping_add(record.numbers());
            match head.reader.item(record, FrameNumber(self.numbers)) {
                Item::Frame(frame) => shelf.put(&frame),
                Item::Secrets(_) => break slot,
            }
        };
        let head = self.heads.get(secrets).and_then(Option::as_ref);
        Ok(head.and_then(|head| Some(head.reader.item(head.record.as_ref()?, FrameNumber(self.numbers)))))
    }

    /// Moves to the file whose record is due.
    #[inline]
    fn choose(&mut self) -> Option<usize> {
        if self.is_over {
            return None;
        }
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
            if let Some(reader) = self.open_next(next.1) {
                self.start(next.1, reader);
            }
        }
        self.current = self.queue.pop().map(|Reverse((_, slot))| slot);
        self.current
    }

    /// Opens a file whose turn has come.
    fn open_next(&mut self, slot: usize) -> Option<Reader> {
        let path = self.paths.get(slot)?;
        let reader = match &self.room {
            Some(room) if self.disordered.get(slot) == Some(&true) => {
                let is_alone = self.paths.len() == 1;
                let segments = self.segments.as_mut();
                Reader::open_by_time(path, &self.limits, room, is_alone, segments, &mut self.ids)
            }
            _ => Reader::open_buffered(path, &self.limits, SHARED_BUFFER),
        };
        match reader {
            Ok(reader) => return Some(reader),
            Err(error @ CaptureError::Temporary { .. }) => {
                self.failure = Some(error);
                self.is_over = true;
            }
            Err(error) => self.closed.add_damage(Damage::since_opened(path.clone(), &error)),
        }
        None
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
            // Nothing comes for a while. What other sources hold is later, or must wait for it: it is not known yet.
            None if head.reader.is_idle() => Some((Timestamp(i64::MIN), slot)),
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
        if let Some(shelf) = &self.shelf {
            let Disorder { frames, left, has_clocks } = shelf.disorder();
            let known = &mut facts.disorder;
            *known = Disorder { frames: known.frames.max(frames), left, has_clocks: known.has_clocks | has_clocks };
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
