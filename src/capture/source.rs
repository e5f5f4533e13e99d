//! Where bytes come from: a file, a pipe, standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::CaptureError;

/// An open source.
pub(super) struct Source {
    pub(super) read: Box<dyn Read + Send>,
    /// Size on disk; `None` when it is not a file.
    pub(super) size: Option<u64>,
}

impl Source {
    /// Opens a path; `-` is standard input. A FIFO waits for its writer.
    pub(super) fn open(path: &Path) -> Result<Self, CaptureError> {
        if path.as_os_str() == "-" {
            return Ok(Self { read: Box::new(io::stdin()), size: None });
        }
        let fault = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => CaptureError::NotFound { path: path.into() },
            io::ErrorKind::IsADirectory => CaptureError::Directory { path: path.into() },
            _ => CaptureError::Unreadable { path: path.into(), source },
        };
        let kind = std::fs::metadata(path).map_err(fault)?;
        if kind.is_dir() {
            return Err(CaptureError::Directory { path: path.into() });
        }
        let file = File::open(path).map_err(fault)?;
        Ok(Self { read: Box::new(file), size: kind.is_file().then_some(kind.len()) })
    }
}

/// Counts the bytes that pass.
pub(super) struct Counted {
    pub(super) read: Box<dyn Read + Send>,
    pub(super) count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(into)?;
        self.count.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}
