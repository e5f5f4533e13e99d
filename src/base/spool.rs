//! An append-only store: memory first, then a temporary file that has no name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Where bytes lie in a [`Spool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Offset of the first byte.
    pub at: u64,
    /// Number of bytes.
    pub len: u64,
}

/// Bytes that are worth a write of their own: copying them once more costs as much.
const DIRECT: usize = 128 << 10;

/// Append-only bytes. The first write that fails is kept in [`Spool::failure`] and everything after it is dropped, so that
/// parsers need not carry errors; whoever drives the engine looks at it after each batch.
#[derive(Debug)]
pub struct Spool {
    memory: Vec<u8>,
    memory_cap: usize,
    folder: Option<PathBuf>,
    file: Option<File>,
    /// Bytes already in the file; `memory` holds what follows them.
    filed: u64,
    failure: Option<io::Error>,
}

impl Spool {
    /// A spool that keeps `memory_cap` bytes in memory; its file lies in `folder`, or where the system keeps such files.
    pub fn new(memory_cap: usize, folder: Option<PathBuf>) -> Self {
        Self { memory: Vec::new(), memory_cap, folder, file: None, filed: 0, failure: None }
    }

    /// Appends bytes and says where they are.
    pub fn append(&mut self, bytes: &[u8]) -> Extent {
        let extent = Extent { at: self.len(), len: bytes.len() as u64 };
        if self.failure.is_some() {
            return Extent::default();
        }
        let is_direct = self.file.is_some() && bytes.len() >= DIRECT;
        if (is_direct || self.memory.len() + bytes.len() > self.memory_cap)
            && let Err(error) = self.flush(bytes)
        {
            self.failure = Some(error);
            return Extent::default();
        } else if self.len() == extent.at {
            self.memory.extend_from_slice(bytes);
        }
        extent
    }

    fn flush(&mut self, more: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            }),
        };
        file.seek(SeekFrom::Start(self.filed))?;
        file.write_all(&self.memory)?;
        self.filed += self.memory.len() as u64;
        self.memory.clear();
        // What follows is kept in memory unless it is large.
        if more.len() >= DIRECT || more.len() > self.memory_cap {
            file.write_all(more)?;
            self.filed += more.len() as u64;
        }
        Ok(())
    }

    /// Bytes appended so far.
    pub fn len(&self) -> u64 {
        self.filed + self.memory.len() as u64
    }

    /// True when nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads an extent into `into`, replacing what it held.
    pub fn read(&mut self, extent: Extent, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        let end = extent.at + extent.len;
        if extent.at < self.filed
            && let Some(file) = &mut self.file
        {
            file.seek(SeekFrom::Start(extent.at))?;
            let in_file = end.min(self.filed) - extent.at;
            into.resize(usize::try_from(in_file).map_err(|_| io::ErrorKind::OutOfMemory)?, 0);
            file.read_exact(into)?;
        }
        let from = extent.at.max(self.filed) - self.filed;
        let until = end.max(self.filed) - self.filed;
        let part = self.memory.get(from as usize..until as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.extend_from_slice(part);
        Ok(())
    }

    /// The first write that failed, once.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_of_memory_and_file() {
        for cap in [0, 1, 7, 64, 100_000] {
            let mut spool = Spool::new(cap, None);
            let parts: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n; usize::from(n) * 3 % 41]).collect();
            let extents: Vec<Extent> = parts.iter().map(|part| spool.append(part)).collect();
            let mut read = Vec::new();
            for (part, extent) in parts.iter().zip(&extents).rev() {
                spool.read(*extent, &mut read).unwrap();
                assert_eq!(&read, part);
            }
            let all = Extent { at: 0, len: spool.len() };
            spool.read(all, &mut read).unwrap();
            assert_eq!(read, parts.concat());
            assert!(spool.failure().is_none());
        }
    }

    #[test]
    fn a_failed_write_is_told_once() {
        let mut spool = Spool::new(2, Some("/nonexistent/folder".into()));
        spool.append(b"ab");
        spool.append(b"cd");
        assert!(spool.failure().is_some());
    }
}
