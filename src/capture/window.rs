//! The read buffer: a window that slides over a stream of bytes.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use super::block::Block;
use super::source::is_idle;

/// A window over a stream. It reads no more often than what was asked for needs, so that a live pipe gives each record as
/// soon as its last byte is there. A buffer that somebody has kept a share of is left to them, and another one is taken.
///
/// ```text
/// buffer  |  consumed  |  bytes()  |  free  |
///         0          start        end     len     start <= end <= len
/// ```
pub(super) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Block,
    /// What a buffer that has not grown has.
    size: usize,
    /// Buffers that were left to others, who may be done with them.
    lent: Vec<Block>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    /// Bytes are brought by [`Self::feed`]: what is not there yet may still come.
    fed: bool,
    /// More was asked for than was fed, or than a live source has.
    starved: bool,
    failure: Option<io::Error>,
}

impl Window {
    /// A window with a buffer of `size` bytes.
    pub(super) fn new(source: Box<dyn Read + Send>, size: usize) -> Self {
        let size = size.max(1);
        Self {
            source,
            buffer: Block::new(size),
            size,
            lent: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
            fed: false,
            starved: false,
            failure: None,
        }
    }

    /// A window that is fed.
    pub(super) fn fed() -> Self {
        Self { fed: true, ..Self::new(Box::new(io::empty()), 1) }
    }

    /// Puts bytes behind what the window holds.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let held = self.start..self.end;
        self.end -= self.start;
        self.start = 0;
        let buffer = Arc::make_mut(&mut self.buffer.0);
        buffer.copy_within(held, 0);
        buffer.truncate(self.end);
        buffer.extend_from_slice(bytes);
        self.end = buffer.len();
        self.starved = false;
    }

    /// Nothing more is fed.
    pub(super) fn close(&mut self) {
        self.fed = false;
        self.starved = false;
    }

    /// True when what was asked for last may still come.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    /// Makes the buffer at least `size` bytes.
    pub(super) fn widen(&mut self, size: usize) {
        if self.buffer.0.len() < size {
            self.size = size;
            Arc::make_mut(&mut self.buffer.0).resize(size, 0);
        }
    }

    /// What is in the buffer, then the rest of the stream.
    pub(super) fn into_read(self) -> Box<dyn Read + Send> {
        let mut buffer = Arc::unwrap_or_clone(self.buffer.0);
        buffer.truncate(self.end);
        buffer.drain(..self.start);
        Box::new(Cursor::new(buffer).chain(self.source))
    }

    /// Reads until the window holds `want` bytes; false when the stream ends before.
    #[inline]
    pub(super) fn ask(&mut self, want: usize) -> bool {
        self.end - self.start >= want || self.fill(want)
    }

    #[cold]
    fn fill(&mut self, want: usize) -> bool {
        if self.fed {
            self.starved = true;
            return false;
        }
        self.starved = false;
        self.rewind();
        while self.end < want {
            if self.ended {
                return false;
            }
            let buffer = Arc::make_mut(&mut self.buffer.0);
            if self.end == buffer.len() {
                // It grows with what came, not with what a length field promises.
                buffer.resize(want.min(self.end.saturating_mul(2)), 0);
            }
            let free = buffer.get_mut(self.end..).unwrap_or_default();
            let room = free.len();
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read.min(room),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_idle(&error) => {
                    self.starved = true;
                    return false;
                }
                Err(error) => {
                    self.ended = true;
                    self.failure = Some(error);
                }
            }
        }
        true
    }

    /// Moves what the window holds to the front of a buffer that is nobody else's; one that has grown is given up when it can be.
    fn rewind(&mut self) {
        let held = self.start..self.end;
        self.end -= self.start;
        self.start = 0;
        let is_grown = self.buffer.0.len() > self.size;
        if let Some(buffer) = Arc::get_mut(&mut self.buffer.0).filter(|_| !is_grown || held.len() > self.size) {
            return buffer.copy_within(held, 0);
        }
        let mut fresh = self.fresh(held.len());
        if let (Some(to), Some(from)) = (Arc::make_mut(&mut fresh.0).get_mut(..held.len()), self.buffer.0.get(held)) {
            to.copy_from_slice(from);
        }
        let left = std::mem::replace(&mut self.buffer, fresh);
        if !is_grown {
            self.lent.push(left);
        }
    }

    /// A buffer of at least `len` bytes.
    fn fresh(&mut self, len: usize) -> Block {
        let returned = self.lent.iter_mut().position(|block| Arc::get_mut(&mut block.0).is_some());
        match returned.filter(|_| len <= self.size) {
            Some(at) => self.lent.swap_remove(at),
            None => Block::new(self.size.max(len)),
        }
    }

    /// The buffer, which may be kept when that is worth its room: not one that a capture has made grow to any size, nor one that is mostly
    /// empty, as those of many small files are.
    #[inline]
    pub(super) fn block(&self) -> Option<&Block> {
        (self.buffer.0.len() == self.size && self.end >= self.size / 2).then_some(&self.buffer)
    }

    /// Moves the start of the window; never past what it holds.
    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Why the stream ended, when it was a fault; told once.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// What the window holds.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.0.get(self.start..self.end).unwrap_or_default()
    }

    /// Place of the first byte of the window in the stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}
