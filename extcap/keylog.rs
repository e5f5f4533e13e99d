//! A key log that is followed while it grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Bytes taken at once.
const MOST: u64 = 1 << 20;

/// Where we are in it. The file may not be there yet: browsers make it with their first connection.
pub struct Followed {
    path: PathBuf,
    read: u64,
}

impl Followed {
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// What was appended since the last time; empty when nothing was.
    pub fn appended(&mut self) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        // A shorter file is a new one.
        if file.metadata()?.len() < self.read {
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text)?;
        self.read += text.len() as u64;
        Ok(text)
    }
}
