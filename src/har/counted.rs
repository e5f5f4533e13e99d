//! Counts what passes.

use std::io::{self, Write};

/// An output, and how much it took.
pub struct Counted<W> {
    /// Where it goes.
    pub into: W,
    /// Bytes so far.
    pub bytes: u64,
}

impl<W> Counted<W> {
    /// An output that took nothing yet.
    pub fn new(into: W) -> Self {
        Self { into, bytes: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.into.write(bytes)?;
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
