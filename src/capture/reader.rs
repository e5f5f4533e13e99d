//! Reads one capture.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::causality::{Segments, Votes};
use super::coding::Coding;
use super::dropped::Dropped;
use super::error::CaptureError;
use super::facts::{Facts, Progress};
use super::frame::{Frame, Secrets};
use super::index::{Entry, Gather};
use super::looks::looks_like;
use super::ordered::{Ordered, Room};
use super::pcap::Pcap;
use super::pcapng::{PcapNg, Section};
use super::record::{Ids, Kind, Notes, Record};
use super::source::{Counted, Opener, Source};
use super::window::Window;
use crate::base::{FrameNumber, Limits};

/// Read buffer of a file: what was read stays near the processor until it is used.
pub(super) const BUFFER: usize = 256 << 10;
/// Read buffer until it is known what the source is.
const FIRST_BUFFER: usize = 16 << 10;

/// What a capture gives, one after the other, out of the read buffer.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A captured frame.
    Frame(Frame<'a>),
    /// Decryption secrets.
    Secrets(Secrets<'a>),
}

/// Reads one capture: a file, a pipe, or any stream of bytes; plain or compressed.
///
/// Frames come in the order of the file with the times that stand there, and carry Wireshark's `frame.number`. Damage ends
/// the reading or skips a block; either way it is told in [`Facts::damage`] and what came before stays good.
pub struct Reader {
    window: Window,
    format: Format,
    notes: Notes,
    ids: Ids,
    /// Frame numbers given out.
    numbers: u64,
    /// Length of the record that was handed on last, still in the window.
    taken: usize,
    over: bool,
    count: Arc<AtomicU64>,
    size: Option<u64>,
    /// Read buffers may be kept. What decompressors and pipes give comes in small pieces: each would take a buffer.
    lasts: bool,
    is_coded: bool,
    /// Set when it is wanted to know that nothing comes.
    tells_idle: Arc<AtomicBool>,
    /// Reads the records by an index, not one after the other.
    ordered: Option<Box<Ordered>>,
}

enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

impl Reader {
    /// Opens a file or FIFO; `-` is standard input.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, CaptureError> {
        Self::open_buffered(path.as_ref(), limits, BUFFER)
    }

    /// [`Self::open`] with a read buffer of `buffer` bytes.
    pub(super) fn open_buffered(path: &Path, limits: &Limits, buffer: usize) -> Result<Self, CaptureError> {
        Self::open_with(path, limits, buffer, &mut |open| open())
    }

    /// [`Self::open_buffered`]; what is no regular file is opened by `opener`.
    pub(super) fn open_with(
        path: &Path,
        limits: &Limits,
        buffer: usize,
        opener: &mut Opener<'_>,
    ) -> Result<Self, CaptureError> {
        let source = Source::open(path, opener)?;
        Self::new(source, path.into(), limits, buffer)
    }

    /// Reads a stream; `name` stands for its path in messages.
    pub fn from_read(
        read: Box<dyn Read + Send>,
        name: impl Into<PathBuf>,
        limits: &Limits,
    ) -> Result<Self, CaptureError> {
        Self::new(Source { read, size: None }, name.into(), limits, BUFFER)
    }

    /// Reads a stream that begins with `head`, whose rest is fed. It is not decompressed.
    pub(super) fn fed(head: &[u8], is_all: bool, name: PathBuf, limits: &Limits) -> Result<Self, CaptureError> {
        let notes = Notes::new(name, limits);
        let mut window = Window::fed();
        window.feed(head);
        if is_all {
            window.close();
        }
        let format = Format::open(&mut window, &notes, None)?;
        let (ids, count) = (Ids::default(), Arc::default());
        Ok(Self {
            window,
            format,
            notes,
            ids,
            numbers: 0,
            taken: 0,
            over: false,
            count,
            size: None,
            lasts: false,
            ordered: None,
            is_coded: false,
            tells_idle: Arc::default(),
        })
    }

    /// The next bytes of a stream that is fed; after its end, or when it is damaged beyond reading, they are dropped.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.window.consume(std::mem::take(&mut self.taken));
        self.count.fetch_add(bytes.len() as u64, Relaxed);
        if !self.over {
            self.window.feed(bytes);
        }
    }

    /// Nothing more is fed.
    pub(super) fn close(&mut self) {
        self.window.close();
    }

    /// Opens a file whose frames are to come by time, whatever their order in it: reads it once to see where they stand. Where the
    /// `segments` of the frames contradict their times, or the file cannot be read in any order, its own order is kept.
    pub(super) fn open_by_time(
        path: &Path,
        limits: &Limits,
        room: &Room,
        is_alone: bool,
        segments: Option<&mut Segments>,
        ids: &mut Ids,
    ) -> Result<Self, CaptureError> {
        let mut reader = Self::open_buffered(path, limits, BUFFER)?;
        if !reader.is_seekable() {
            return Ok(reader);
        }
        let spilled = |source| CaptureError::Temporary { path: path.into(), source };
        let (mut votes, mut numbers, mut new_ids) = (Votes::new(), 0, Ids(ids.0));
        let mut index = Gather::new(room.bytes, room.folder.clone(), &room.budget);
        let mut segments = segments;
        reader.format.keep_sections();
        while let Some(record) = reader.step(&mut new_ids) {
            let Item::Frame(frame) = reader.item(&record, FrameNumber(0)) else { continue };
            if let Some(segments) = &mut segments {
                segments(&frame, &mut |segment| votes.take(segment, frame.time));
            }
            if room.stop.load(Relaxed) {
                break;
            }
            numbers += record.numbers();
            let len = u32::try_from(record.len).unwrap_or(u32::MAX);
            let entry = Entry { time: frame.time, at: reader.window.offset(), number: numbers, len };
            index.push(entry).map_err(spilled)?;
        }
        numbers += reader.numbers_left();
        let sections = reader.format.sections();
        let Some(sections) = sections.filter(|_| votes.trusts_times()) else {
            let mut reader = Self::open_buffered(path, limits, BUFFER)?;
            reader.notes.facts.disorder.has_clocks = !votes.trusts_times();
            return Ok(reader);
        };
        let file = File::open(path).map_err(|source| CaptureError::Unreadable { path: path.into(), source })?;
        let index = index.finish().map_err(spilled)?;
        let mut ordered = Ordered::new(index, file, sections, numbers, is_alone, room);
        ordered.keeps_flows = votes.keeps_flows();
        reader.ordered = Some(Box::new(ordered));
        *ids = new_ids;
        reader.notes.begin_again();
        (reader.window, reader.taken, reader.over, reader.lasts) = (Window::fed(), 0, false, false);
        reader.count = Arc::default();
        Ok(reader)
    }

    fn new(source: Source, path: PathBuf, limits: &Limits, buffer: usize) -> Result<Self, CaptureError> {
        let (count, tells_idle) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let counted = Counted {
            read: source.read,
            count: Arc::clone(&count),
            size: source.size,
            tells_idle: Arc::clone(&tells_idle),
        };
        let mut notes = Notes::new(path, limits);
        notes.source = Some((Arc::clone(&count), source.size));
        let mut window = Window::new(Box::new(counted), FIRST_BUFFER);
        window.ask(4);
        let coding = Coding::of(window.bytes());
        if let Some(coding) = coding {
            window = Window::new(coding.decode(window.into_read(), limits.memory), FIRST_BUFFER);
            window.ask(4);
        }
        let format = Format::open(&mut window, &notes, coding)?;
        window.widen(buffer);
        Ok(Self {
            window,
            format,
            notes,
            ids: Ids::default(),
            numbers: 0,
            taken: 0,
            over: false,
            count,
            size: source.size,
            lasts: source.size.is_some() && coding.is_none(),
            ordered: None,
            is_coded: coding.is_some(),
            tells_idle,
        })
    }

    /// The next frame or secrets; `None` at the end. On a live pipe it waits for no more than the next record.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend out of its buffer")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        let mut ids = std::mem::take(&mut self.ids);
        let record = self.step(&mut ids);
        self.ids = ids;
        let Some(record) = record else { return Ok(None) };
        self.numbers += record.numbers();
        Ok(Some(self.item(&record, FrameNumber(self.numbers))))
    }

    /// Moves to the next record. It stays in the window until the step after.
    #[inline]
    pub(super) fn step(&mut self, ids: &mut Ids) -> Option<Record> {
        self.window.consume(std::mem::take(&mut self.taken));
        if self.over {
            return None;
        }
        if self.ordered.is_some() {
            return self.step_by_index(ids);
        }
        let record = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window, &mut self.notes, ids),
            Format::PcapNg(pcapng) => pcapng.next(&mut self.window, &mut self.notes, ids),
        };
        match &record {
            Some(record) => {
                self.taken = record.len;
                if let Kind::Frame(placed) = &record.kind {
                    self.notes.frame(placed);
                }
            }
            None => self.over = !self.window.is_starved(),
        }
        record
    }

    /// Moves to the next record by time.
    fn step_by_index(&mut self, ids: &mut Ids) -> Option<Record> {
        let Self { window, format, notes, ordered, .. } = self;
        let ordered = ordered.as_mut()?;
        loop {
            let entry = match ordered.load(window) {
                Ok(entry) => entry,
                Err(error) => {
                    notes.note(0, error.to_string());
                    None
                }
            };
            let Some(entry) = entry else {
                self.over = true;
                return None;
            };
            self.count.fetch_add(u64::from(entry.len), Relaxed);
            // What is wrong in the file was noted when the index was made.
            let (told, damages) = (notes.facts.damage.len(), notes.facts.damages);
            let record = match format {
                Format::Pcap(pcap) => pcap.next(window, notes, ids),
                Format::PcapNg(pcapng) => {
                    pcapng.enter(ordered.section(&entry), entry.time);
                    pcapng.next(window, notes, ids)
                }
            };
            notes.facts.damage.truncate(told);
            notes.facts.damages = damages;
            if let Some(Record { kind: Kind::Frame(mut placed), len }) = record
                && placed.time == entry.time
                && len == entry.len as usize
            {
                placed.numbers = ordered.step(&entry);
                notes.frame(&placed);
                self.taken = len;
                return Some(Record::frame(placed, len));
            }
            ordered.leave_section();
            if !std::mem::replace(&mut ordered.is_changed, true) {
                notes.note(entry.at, "the file changed while it was read: what stood here is not there any more");
            }
        }
    }

    /// The record that the last step moved to.
    #[inline]
    pub(super) fn item(&self, record: &Record, number: FrameNumber) -> Item<'_> {
        let bytes = self.window.bytes();
        let part = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        match &record.kind {
            Kind::Frame(placed) => Item::Frame(Frame {
                number,
                time: placed.time,
                interface: placed.interface,
                link_type: placed.link_type,
                original_len: placed.original_len,
                data: part(&placed.data),
                block: if self.lasts { self.window.block() } else { None },
                comment: placed.comment.as_ref().and_then(|range| std::str::from_utf8(part(range)).ok()),
                selected: false,
            }),
            Kind::Secrets { kind, data } => Item::Secrets(Secrets { kind: *kind, data: part(data) }),
        }
    }

    /// Frame numbers of records behind the last one handed on that are no frames for us.
    pub(super) fn numbers_left(&mut self) -> u64 {
        if let Some(ordered) = &self.ordered {
            return ordered.numbers.wrapping_sub(ordered.number);
        }
        match &mut self.format {
            Format::Pcap(_) => 0,
            Format::PcapNg(pcapng) => pcapng.numbers_left(),
        }
    }

    /// True when flows begin in another order than that of the frame numbers.
    pub(super) fn moves_flows(&self) -> bool {
        self.ordered.as_ref().is_some_and(|ordered| !ordered.keeps_flows)
    }

    /// True for a file that is not compressed: any place of it can be read.
    pub(super) fn is_seekable(&self) -> bool {
        self.lasts
    }

    /// From now on [`Self::step`] gives nothing when nothing comes, though more may follow. Decompressors cannot be asked so.
    pub(super) fn tell_idle(&self) {
        self.tells_idle.store(!self.is_coded, Relaxed);
    }

    /// True when the last step gave nothing, though more may follow.
    pub(super) fn is_idle(&self) -> bool {
        !self.over && self.window.is_starved()
    }

    /// What is known so far.
    pub fn facts(&self) -> Facts {
        let dropped = match &self.format {
            Format::Pcap(_) => Dropped::default(),
            Format::PcapNg(pcapng) => pcapng.dropped(),
        };
        let mut facts = Facts { files: vec![self.notes.path().into()], dropped, ..self.notes.facts.clone() };
        facts.disorder.left = facts.disorder.frames - self.notes.mended;
        facts
    }

    /// How far the reading has come.
    pub fn progress(&self) -> Progress {
        Progress { read: self.count.load(Relaxed), total: self.size }
    }
}

impl Format {
    /// Keeps what is needed to read records in another order.
    fn keep_sections(&mut self) {
        if let Format::PcapNg(pcapng) = self {
            pcapng.keep_sections();
        }
    }

    /// The sections that were kept, none for pcap; nothing when they were too many.
    fn sections(&mut self) -> Option<Vec<Section>> {
        match self {
            Format::Pcap(_) => Some(Vec::new()),
            Format::PcapNg(pcapng) => pcapng.sections(),
        }
    }

    fn open(window: &mut Window, notes: &Notes, coding: Option<Coding>) -> Result<Self, CaptureError> {
        if let Some(pcap) = Pcap::open(window, notes)? {
            return Ok(Format::Pcap(pcap));
        }
        if let Some(pcapng) = PcapNg::open(window, notes)? {
            return Ok(Format::PcapNg(pcapng));
        }
        let path = || notes.path().into();
        match (window.failure(), coding) {
            (Some(source), Some(coding)) => {
                Err(CaptureError::Compressed { path: path(), coding: coding.name(), source })
            }
            (Some(source), None) if source.kind() == std::io::ErrorKind::IsADirectory => {
                Err(CaptureError::Directory { path: path() })
            }
            (Some(source), None) => Err(CaptureError::Unreadable { path: path(), source }),
            (None, _) if window.bytes().is_empty() => Err(CaptureError::Empty { path: path() }),
            (None, _) => Err(CaptureError::NotACapture { path: path(), looks: looks_like(window.bytes()) }),
        }
    }
}
