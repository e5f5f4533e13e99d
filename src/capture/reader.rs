//! Reads one capture.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::coding::Coding;
use super::dropped::Dropped;
use super::error::{CaptureError, Damage};
use super::facts::{Facts, Progress};
use super::frame::{Frame, LinkType, Secrets, SecretsKind};
use super::looks::looks_like;
use super::pcap::Pcap;
use super::pcapng::PcapNg;
use super::source::{Counted, Opener, Source, Stopped};
use super::window::Window;
use crate::base::{FrameNumber, Limits, Timestamp};

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
        Ok(Self { window, format, notes, ids, numbers: 0, taken: 0, over: false, count, size: None, lasts: false })
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

    fn new(source: Source, path: PathBuf, limits: &Limits, buffer: usize) -> Result<Self, CaptureError> {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Counted { read: source.read, count: Arc::clone(&count), size: source.size };
        let notes = Notes { source: Some((Arc::clone(&count), source.size)), ..Notes::new(path, limits) };
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
        match &mut self.format {
            Format::Pcap(_) => 0,
            Format::PcapNg(pcapng) => pcapng.numbers_left(),
        }
    }

    /// What is known so far.
    pub fn facts(&self) -> Facts {
        let dropped = match &self.format {
            Format::Pcap(_) => Dropped::default(),
            Format::PcapNg(pcapng) => pcapng.dropped(),
        };
        Facts { files: vec![self.notes.path.clone()], dropped, ..self.notes.facts.clone() }
    }

    /// How far the reading has come.
    pub fn progress(&self) -> Progress {
        Progress { read: self.count.load(Relaxed), total: self.size }
    }
}

impl Format {
    fn open(window: &mut Window, notes: &Notes, coding: Option<Coding>) -> Result<Self, CaptureError> {
        if let Some(pcap) = Pcap::open(window, notes)? {
            return Ok(Format::Pcap(pcap));
        }
        if let Some(pcapng) = PcapNg::open(window, notes)? {
            return Ok(Format::PcapNg(pcapng));
        }
        let path = || notes.path.clone();
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

/// Gives out interface numbers.
#[derive(Debug, Default)]
pub(super) struct Ids(u32);

impl Ids {
    /// The next interface's number.
    pub(super) fn interface(&mut self) -> u32 {
        let id = self.0;
        self.0 = id.wrapping_add(1);
        id
    }
}

/// A record at the start of the window.
pub(super) struct Record {
    pub(super) kind: Kind,
    /// Its whole length in the stream.
    len: usize,
}

pub(super) enum Kind {
    Frame(Placed),
    Secrets { kind: SecretsKind, data: Range<usize> },
}

/// A frame whose bytes are told by their place in the window.
pub(super) struct Placed {
    pub(super) time: Timestamp,
    pub(super) interface: u32,
    pub(super) link_type: LinkType,
    pub(super) original_len: u32,
    pub(super) data: Range<usize>,
    /// Valid UTF-8.
    pub(super) comment: Option<Range<usize>>,
    /// Frame numbers it takes: its own, and those of records before it that are no frames for us.
    pub(super) numbers: u64,
}

impl Record {
    pub(super) fn frame(placed: Placed, len: usize) -> Self {
        Self { kind: Kind::Frame(placed), len }
    }

    pub(super) fn secrets(kind: SecretsKind, data: Range<usize>, len: usize) -> Self {
        Self { kind: Kind::Secrets { kind, data }, len }
    }

    pub(super) fn numbers(&self) -> u64 {
        match &self.kind {
            Kind::Frame(placed) => placed.numbers,
            Kind::Secrets { .. } => 0,
        }
    }
}

impl Placed {
    /// Takes off the last `fcs` bytes that were on the wire, as far as they are here.
    #[inline]
    pub(super) fn strip_fcs(&mut self, fcs: u8) {
        // radiotap and PPI say in each frame whether it has one, and the net floor reads that.
        if fcs == 0 || matches!(self.link_type, LinkType(127 | 192)) {
            return;
        }
        self.original_len = self.original_len.saturating_sub(u32::from(fcs));
        self.data.end = self.data.end.min(self.data.start.saturating_add(self.original_len as usize));
    }
}

/// Facts and damages of one source, noted while it is read.
pub(super) struct Notes {
    path: PathBuf,
    limits: Limits,
    facts: Facts,
    /// Link type of the frame before.
    link_type: Option<LinkType>,
    /// Bytes read so far, and the size that the file had when it was opened.
    source: Option<(Arc<AtomicU64>, Option<u64>)>,
}

impl Notes {
    fn new(path: PathBuf, limits: &Limits) -> Self {
        Self { path, limits: limits.clone(), facts: Facts::default(), link_type: None, source: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    #[inline]
    fn frame(&mut self, frame: &Placed) {
        let facts = &mut self.facts;
        facts.frames += 1;
        facts.first = Some(facts.first.map_or(frame.time, |first| first.min(frame.time)));
        facts.last = Some(facts.last.map_or(frame.time, |last| last.max(frame.time)));
        facts.cut_frames += u64::from((frame.original_len as usize) > frame.data.len());
        if self.link_type != Some(frame.link_type) {
            self.link_type = Some(frame.link_type);
            facts.link_types.insert(frame.link_type);
        }
    }

    /// Notes a damage.
    #[cold]
    pub(super) fn note(&mut self, offset: u64, what: impl Into<String>) {
        self.facts.damages += 1;
        if self.facts.damage.len() < self.limits.anomalies_kept {
            self.facts.damage.push(Damage { path: self.path.clone(), offset, what: what.into() });
        }
    }

    /// Notes the end of the stream, when it is one in the middle of a record or of compressed data.
    #[cold]
    pub(super) fn end(&mut self, window: &mut Window, what: &str) {
        if window.is_starved() {
            return;
        }
        let offset = window.offset();
        match (window.failure(), window.bytes().is_empty()) {
            (Some(error), _) if error.get_ref().is_some_and(|inner| inner.is::<Stopped>()) => {}
            (Some(error), true) => self.note(offset, error.to_string()),
            (Some(error), false) => self.note(offset, format!("{what}: {error}")),
            (None, true) => {}
            (None, false) if self.has_grown() => self.note(offset, format!("{what}; it is still being written")),
            (None, false) => self.note(offset, what),
        }
    }

    /// True when there was more in the file than when it was opened.
    fn has_grown(&self) -> bool {
        self.source.as_ref().is_some_and(|(count, size)| size.is_some_and(|size| count.load(Relaxed) > size))
    }
}
