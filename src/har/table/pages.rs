//! Encoded pages on their way into a row group. Readers like large row groups, and each costs the footer some space; so that
//! memory does not have to hold one, large pages wait in a temporary file without a name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

/// Pages from this size on wait in the file.
const LARGE: usize = 16 << 10;

/// The pages of the row group that is being made.
#[derive(Debug, Clone)]
pub struct Pages(Arc<Mutex<Waiting>>);

#[derive(Debug)]
struct Waiting {
    folder: Option<PathBuf>,
    file: Option<File>,
    end: u64,
}

impl Pages {
    /// No pages; the file lies in `folder`, or where the system keeps such files.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self(Arc::new(Mutex::new(Waiting { folder, file: None, end: 0 })))
    }

    /// The row group was written: its pages are not asked for again.
    pub fn forget(&self) -> io::Result<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.end = 0;
        waiting.file.as_ref().map_or(Ok(()), |file| file.set_len(0)).map_err(named)
    }
}

impl PageStoreFactory for Pages {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(Column { pages: self.clone(), places: Vec::new(), held: 0 }))
    }
}

/// Says whose fault it was.
fn named(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("temporary file: {error}"))
}

impl Waiting {
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            }),
        };
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(bytes)?;
        let at = self.end;
        self.end += bytes.len() as u64;
        Ok(at)
    }

    fn read(&mut self, at: u64, len: usize) -> io::Result<Bytes> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// The pages of one column.
struct Column {
    pages: Pages,
    places: Vec<Place>,
    /// Bytes of pages in memory.
    held: usize,
}

enum Place {
    Memory(Bytes),
    File { at: u64, len: usize },
}

impl PageStore for Column {
    fn put(&mut self, page: Bytes) -> Result<PageKey> {
        let key = PageKey::new(self.places.len() as u64);
        self.places.push(if page.len() < LARGE {
            self.held += page.len();
            Place::Memory(page)
        } else {
            let mut waiting = self.pages.0.lock().unwrap_or_else(PoisonError::into_inner);
            Place::File { at: waiting.append(&page).map_err(named)?, len: page.len() }
        });
        Ok(key)
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let place = usize::try_from(key.get()).ok().and_then(|at| self.places.get_mut(at));
        match place {
            Some(Place::Memory(page)) => {
                self.held -= page.len();
                Ok(std::mem::take(page))
            }
            Some(&mut Place::File { at, len }) => {
                let mut waiting = self.pages.0.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(waiting.read(at, len).map_err(named)?)
            }
            None => Err(ParquetError::General("a page that was never put".into())),
        }
    }

    fn memory_size(&self) -> usize {
        self.held
    }
}
