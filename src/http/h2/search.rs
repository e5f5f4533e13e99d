//! Finds the next frame where the place in the byte stream was lost.

use super::frame::{FrameHeader, HEADER_LEN};
use crate::base::{Budget, Lease, Span};
use crate::tcp::{Chunk, Position};

/// Bytes from which a frame is looked for.
#[derive(Debug)]
pub struct Search {
    bytes: Vec<u8>,
    /// Span and end in `bytes` of each run.
    runs: Vec<(Span, usize)>,
    /// Offset in the stream of the first byte in `bytes`.
    offset: u64,
    /// Everything before it was looked at.
    at: usize,
    budget: Budget,
    lease: Lease,
}

/// What may still come behind the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// More, at once.
    Patient,
    /// More, but the other side has spoken: a frame that ends with the bytes is complete.
    Answered,
    /// Nothing.
    Over,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A frame begins: take the bytes.
    Found,
    /// More bytes are needed.
    More,
}

/// Bytes that begin with a frame.
#[derive(Debug)]
pub struct Found {
    bytes: Vec<u8>,
    runs: Vec<(Span, usize)>,
    offset: u64,
    at: usize,
    /// Accounts for `bytes` while they are read.
    lease: Lease,
}

impl Search {
    /// A search that has seen nothing.
    pub fn new(budget: &Budget) -> Self {
        Self { bytes: Vec::new(), runs: Vec::new(), offset: 0, at: 0, budget: budget.clone(), lease: budget.lease() }
    }

    /// Adds bytes.
    pub fn push(&mut self, chunk: Chunk<'_>) {
        self.compact();
        if self.bytes.is_empty() {
            self.offset = chunk.offset;
        }
        self.bytes.extend_from_slice(chunk.data);
        match self.runs.last_mut() {
            Some((span, end)) if *span == chunk.span => *end = self.bytes.len(),
            _ => self.runs.push((chunk.span, self.bytes.len())),
        }
        self.account();
    }

    /// Forgets the bytes: others are missing behind them.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
        self.runs = Vec::new();
        self.at = 0;
        self.account();
    }

    /// Looks for a plausible header whose frame is followed by another one, or by nothing where more is not waited for. Each byte is
    /// looked at once, but for a header whose frame is not complete.
    pub fn look(&mut self, highest_stream: u32, patience: Patience) -> Verdict {
        let header_at = |at: usize| self.bytes.get(at..).and_then(|rest| rest.first_chunk::<HEADER_LEN>());
        while let Some(bytes) = header_at(self.at) {
            if FrameHeader::is_plausible(bytes, highest_stream) {
                let header = FrameHeader::parse(bytes);
                let next = self.at + HEADER_LEN + header.length as usize;
                let reach = highest_stream.max(header.stream);
                match header_at(next) {
                    Some(follows) if FrameHeader::is_plausible(follows, reach) => return Verdict::Found,
                    Some(_) => {}
                    None if patience != Patience::Patient && next == self.bytes.len() => return Verdict::Found,
                    None if patience == Patience::Over => {}
                    None => return Verdict::More,
                }
            }
            self.at += 1;
        }
        Verdict::More
    }

    /// Hands the bytes over.
    pub fn take(&mut self) -> Found {
        let lease = std::mem::replace(&mut self.lease, self.budget.lease());
        let found = Found {
            bytes: std::mem::take(&mut self.bytes),
            runs: std::mem::take(&mut self.runs),
            offset: self.offset,
            at: std::mem::take(&mut self.at),
            lease,
        };
        self.account();
        found
    }

    /// Takes the bytes back: what stands at `offset` of the stream is no frame after all.
    pub fn put_back(&mut self, found: Found, offset: u64) {
        let Found { bytes, runs, offset: start, at, lease } = found;
        let ahead = usize::try_from(offset.wrapping_sub(start)).unwrap_or(usize::MAX);
        self.at = ahead.clamp(at, bytes.len().max(at)) + 1;
        self.bytes = bytes;
        self.runs = runs;
        self.offset = start;
        self.lease = lease;
    }

    /// Drops what was looked at, once it is half of the buffer.
    fn compact(&mut self) {
        if self.at > 4096 && self.at > self.bytes.len() / 2 {
            self.at = self.at.min(self.bytes.len());
            self.bytes.drain(..self.at);
            self.offset = self.offset.wrapping_add(self.at as u64);
            self.runs.retain_mut(|(_, end)| {
                let is_kept = *end > self.at;
                *end = end.saturating_sub(self.at);
                is_kept
            });
            self.at = 0;
        }
    }

    fn account(&mut self) {
        self.lease.set(self.bytes.capacity() + self.runs.capacity() * size_of::<(Span, usize)>());
    }
}

impl Found {
    /// The bytes from the frame on.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        let mut start = self.at;
        self.runs.iter().filter_map(move |&(span, end)| {
            let data = self.bytes.get(start..end).filter(|data| !data.is_empty())?;
            let offset = self.offset.wrapping_add(start as u64);
            start = end;
            Some(Chunk { data, span, offset, position: Position::default() })
        })
    }
}
