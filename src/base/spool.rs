//! An append-only store: a little memory, then temporary files that have no name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are gathered before they are written.
const TAIL: usize = 256 << 10;

/// Bytes that are worth a write of their own: copying them once more costs as much.
const DIRECT: usize = 64 << 10;

/// Length at which a segment is followed by the next one. A record is never parted, so a segment may become longer.
const SEGMENT: u64 = 128 << 20;

/// Append-only bytes in segments. A segment's space is given back when nothing refers to it any more.
///
/// The first write that fails is kept in [`Spool::failure`] and everything after it is dropped, so that parsers need not carry
/// errors; whoever drives the engine looks at it after each batch.
#[derive(Debug)]
pub struct Spool {
    folder: Option<PathBuf>,
    segment: Option<Arc<Segment>>,
    len: u64,
    is_broken: bool,
    failure: Option<io::Error>,
}

/// A record in a [`Spool`]; it may be read from any thread.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Nothing for an empty record.
    segment: Option<Arc<Segment>>,
    at: u64,
    len: u64,
}

/// One temporary file and the bytes that will be written to it next.
#[derive(Debug, Default)]
struct Segment(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    /// Nothing while all bytes are in `tail`.
    file: Option<File>,
    /// Bytes in the file; those of `tail` follow.
    filed: u64,
    tail: Vec<u8>,
}

impl Spool {
    /// An empty spool; its files lie in `folder`, or where the system keeps such files.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, segment: None, len: 0, is_broken: false, failure: None }
    }

    /// Appends one record.
    pub fn append(&mut self, bytes: &[u8]) -> Stored {
        self.record(|append| append(bytes))
    }

    /// Appends one record that comes in pieces; they lie side by side.
    pub fn record(&mut self, fill: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Stored {
        if self.len >= SEGMENT {
            self.segment = None;
        }
        let segment = self.segment.get_or_insert_with(|| {
            self.len = 0;
            Arc::default()
        });
        let at = self.len;
        let mut failure = None;
        fill(&mut |bytes| {
            if !self.is_broken
                && let Err(error) = segment.inside().append(bytes, &self.folder)
            {
                self.is_broken = true;
                failure = Some(error);
            } else {
                self.len += bytes.len() as u64;
            }
        });
        if failure.is_some() {
            self.failure = failure;
        }
        if self.is_broken || self.len == at {
            return Stored::default();
        }
        Stored { segment: Some(segment.clone()), at, len: self.len - at }
    }

    /// Notes that a record which was to be appended could not be read.
    pub fn fail(&mut self, error: io::Error) {
        self.failure.get_or_insert(error);
    }

    /// The first failure, once.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }
}

impl Stored {
    /// Bytes of the record.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when the record has no bytes, also because it could not be written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads `len` bytes of the record from `from` on into `into`, replacing what it held; fewer at its end.
    pub fn read(&self, from: u64, len: u64, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        let Some(segment) = &self.segment else { return Ok(()) };
        let from = self.at + from.min(self.len);
        let until = from.saturating_add(len).min(self.at + self.len);
        segment.inside().read(from, until, into)
    }

    /// Hands on the bytes from `from` on, at most `step` at a time.
    pub fn steps<E: From<io::Error>>(
        &self,
        from: u64,
        step: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut at, mut buffer) = (from, Vec::new());
        while at < self.len {
            self.read(at, step, &mut buffer)?;
            at += buffer.len() as u64;
            each(&buffer)?;
        }
        Ok(())
    }
}

impl Segment {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn append(&mut self, bytes: &[u8], folder: &Option<PathBuf>) -> io::Result<()> {
        if self.tail.len() + bytes.len() <= TAIL && bytes.len() < DIRECT {
            self.tail.extend_from_slice(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(match folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            }),
        };
        file.seek(SeekFrom::Start(self.filed))?;
        for part in [self.tail.as_slice(), bytes] {
            file.write_all(part)?;
        }
        self.filed += (self.tail.len() + bytes.len()) as u64;
        self.tail.clear();
        Ok(())
    }

    fn read(&mut self, from: u64, until: u64, into: &mut Vec<u8>) -> io::Result<()> {
        if from < self.filed
            && let Some(file) = &mut self.file
        {
            file.seek(SeekFrom::Start(from))?;
            let in_file = until.min(self.filed) - from;
            into.resize(usize::try_from(in_file).map_err(|_| io::ErrorKind::OutOfMemory)?, 0);
            file.read_exact(into)?;
        }
        let in_tail = |at: u64| at.max(self.filed).saturating_sub(self.filed) as usize;
        let part = self.tail.get(in_tail(from)..in_tail(until)).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.extend_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(stored: &Stored) -> Vec<u8> {
        let mut read = Vec::new();
        stored.read(0, u64::MAX, &mut read).unwrap();
        read
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no temporary files")]
    fn what_went_in_comes_out_of_memory_and_file() {
        let mut spool = Spool::new(None);
        let parts: Vec<Vec<u8>> = (0..200u32).map(|n| vec![n as u8; (n as usize * 7919) % 100_003]).collect();
        let stored: Vec<Stored> = parts.iter().map(|part| spool.append(part)).collect();
        for (part, stored) in parts.iter().zip(&stored).rev() {
            assert_eq!((&whole(stored), stored.len()), (part, part.len() as u64));
        }
        let mut some = Vec::new();
        stored[90].read(10, 20, &mut some).unwrap();
        assert_eq!(some, parts[90][10..30]);
        assert!(spool.failure().is_none());
    }

    #[test]
    fn pieces_of_a_record_lie_side_by_side() {
        let mut spool = Spool::new(None);
        spool.append(b"before");
        let stored = spool.record(|append| {
            append(b"one ");
            append(b"two");
        });
        assert_eq!(whole(&stored), b"one two");
        assert!(spool.append(b"").is_empty());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no temporary files")]
    fn space_is_given_back_with_the_last_reference() {
        let mut spool = Spool::new(None);
        let piece = vec![7; 1 << 20];
        let first = spool.append(&piece);
        let segment = Arc::downgrade(first.segment.as_ref().unwrap());
        for _ in 0..SEGMENT >> 20 {
            spool.append(&piece);
        }
        assert!(segment.upgrade().is_some());
        assert_eq!(whole(&first), piece);
        drop(first);
        assert!(segment.upgrade().is_none());
    }

    #[test]
    fn a_failed_write_is_told_once() {
        let mut spool = Spool::new(Some("/nonexistent/folder".into()));
        assert!(spool.append(&vec![1; DIRECT]).is_empty());
        assert!(spool.append(b"cd").is_empty());
        assert!(spool.failure().is_some());
        assert!(spool.failure().is_none());
    }
}
