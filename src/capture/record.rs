//! What the readers of formats tell of a record, and what is noted while one source is read.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::Damage;
use super::facts::Facts;
use super::frame::{LinkType, SecretsKind};
use super::source::Stopped;
use super::window::Window;
use crate::base::{Limits, Timestamp};

/// Gives out interface numbers.
#[derive(Debug, Default)]
pub(super) struct Ids(pub(super) u32);

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
    pub(super) len: usize,
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
    pub(super) facts: Facts,
    /// Link type of the frame before.
    link_type: Option<LinkType>,
    /// Frames that stand out of order and are handed on in order.
    pub(super) mended: u64,
    /// Bytes read so far, and the size that the file had when it was opened.
    pub(super) source: Option<(Arc<AtomicU64>, Option<u64>)>,
}

impl Notes {
    pub(super) fn new(path: PathBuf, limits: &Limits) -> Self {
        Self { path, limits: limits.clone(), facts: Facts::default(), link_type: None, mended: 0, source: None }
    }

    /// The frames come once more, in order; what is wrong with the file was noted.
    pub(super) fn begin_again(&mut self) {
        let Facts { damage, damages, disorder, .. } = std::mem::take(&mut self.facts);
        self.facts = Facts { damage, damages, disorder, ..Facts::default() };
        (self.mended, self.link_type, self.source) = (disorder.frames, None, None);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    #[inline]
    pub(super) fn frame(&mut self, frame: &Placed) {
        let facts = &mut self.facts;
        facts.frames += 1;
        facts.disorder.frames += u64::from(facts.last.is_some_and(|last| frame.time < last));
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
