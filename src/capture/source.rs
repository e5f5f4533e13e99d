//! Where bytes come from: a file, a pipe, standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::error::CaptureError;

/// Opens a pipe, which may wait for its writer.
pub type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// What opens pipes, so that whoever reads them need not wait for ever.
pub type Opener<'o> = dyn FnMut(Open) -> io::Result<Box<dyn Read + Send>> + 'o;

/// The inner error of a read that somebody asked to stop: the end of that capture, and no fault of it.
#[derive(Debug, thiserror::Error)]
#[error("the reading was stopped")]
pub struct Stopped;

/// The inner error of a read for which nothing has come for a while. Reading goes on with the next call.
#[derive(Debug, thiserror::Error)]
#[error("nothing has come for a while")]
pub struct Idle;

/// An open source.
pub(super) struct Source {
    pub(super) read: Box<dyn Read + Send>,
    /// Size on disk; `None` when it is not a file.
    pub(super) size: Option<u64>,
}

impl Source {
    /// Opens a path; `-` is standard input. What is no regular file is opened by `opener`: a FIFO waits for its writer.
    pub(super) fn open(path: &Path, opener: &mut Opener<'_>) -> Result<Self, CaptureError> {
        let fault = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => CaptureError::NotFound { path: path.into() },
            io::ErrorKind::IsADirectory => CaptureError::Directory { path: path.into() },
            _ => CaptureError::Unreadable { path: path.into(), source },
        };
        if path.as_os_str() == "-" {
            return Ok(Self { read: opener(Box::new(|| Ok(Box::new(io::stdin())))).map_err(fault)?, size: None });
        }
        let kind = std::fs::metadata(path).map_err(fault)?;
        if kind.is_dir() {
            return Err(CaptureError::Directory { path: path.into() });
        }
        if !kind.is_file() {
            let path = path.to_owned();
            let open: Open = Box::new(move || Ok(Box::new(File::open(path)?)));
            return Ok(Self { read: opener(open).map_err(fault)?, size: None });
        }
        let file = File::open(path).map_err(fault)?;
        Ok(Self { read: Box::new(file), size: Some(kind.len()) })
    }
}

/// True when nothing has come for a while.
pub(super) fn is_idle(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Idle>())
}

/// Counts the bytes that pass. A file that ends before the size it had when it was opened was cut meanwhile: nobody else could tell
/// when that happens between two records.
pub(super) struct Counted {
    pub(super) read: Box<dyn Read + Send>,
    pub(super) count: Arc<AtomicU64>,
    /// Size when it was opened; `None` when it is not a file.
    pub(super) size: Option<u64>,
    /// True once whoever reads wants to know when nothing comes.
    pub(super) tells_idle: Arc<AtomicBool>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = loop {
            match self.read.read(into) {
                Err(error) if is_idle(&error) && !self.tells_idle.load(Relaxed) => {}
                read => break read?,
            }
        };
        let before = self.count.fetch_add(read as u64, Relaxed);
        if let Some(size) = self.size.filter(|&size| read == 0 && !into.is_empty() && before < size) {
            let what = format!("the file became shorter while it was read: {before} of {size} bytes are left");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        Ok(read)
    }
}
