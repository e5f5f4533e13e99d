//! The read buffer: a window that slides over a stream of bytes.

use std::io::{self, Cursor, Read};

/// A window over a stream. It reads no more often than what was asked for needs, so that a live pipe gives each record as
/// soon as its last byte is there.
///
/// ```text
/// buffer  |  consumed  |  bytes()  |  free  |
///         0          start        end     len     start <= end <= len
/// ```
pub(super) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    /// Bytes are brought by [`Self::feed`]: what is not there yet may still come.
    fed: bool,
    /// More was asked for than was fed.
    starved: bool,
    failure: Option<io::Error>,
}

impl Window {
    /// A window with a buffer of `size` bytes.
    pub(super) fn new(source: Box<dyn Read + Send>, size: usize) -> Self {
        let buffer = vec![0; size.max(1)];
        Self { source, buffer, start: 0, end: 0, offset: 0, ended: false, fed: false, starved: false, failure: None }
    }

    /// A window that is fed.
    pub(super) fn fed() -> Self {
        Self { fed: true, ..Self::new(Box::new(io::empty()), 1) }
    }

    /// Puts bytes behind what the window holds.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.buffer.truncate(self.end);
        self.buffer.extend_from_slice(bytes);
        self.end = self.buffer.len();
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
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
    }

    /// What is in the buffer, then the rest of the stream.
    pub(super) fn into_read(mut self) -> Box<dyn Read + Send> {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        Box::new(Cursor::new(self.buffer).chain(self.source))
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
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end < want {
            if self.ended {
                return false;
            }
            if self.end == self.buffer.len() {
                // It grows with what came, not with what a length field promises.
                self.buffer.resize(want.min(self.end.saturating_mul(2)), 0);
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            let room = free.len();
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read.min(room),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failure = Some(error);
                }
            }
        }
        true
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
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Place of the first byte of the window in the stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}
