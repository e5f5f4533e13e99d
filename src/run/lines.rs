//! A file of lines, which is of use at any time.

use std::fs::File;
use std::io::{self, Write};

/// A file that gets one line after the other. What was in it goes with the first of them. When it takes no more, it ends with the
/// last line that is whole.
pub(super) struct Lines {
    file: File,
    /// Bytes written, and up to the end of the last whole line.
    len: u64,
    whole: u64,
    is_begun: bool,
    is_broken: bool,
}

impl Lines {
    pub(super) fn new(file: File) -> Self {
        Self { file, len: 0, whole: 0, is_begun: false, is_broken: false }
    }

    fn begin(&mut self) -> io::Result<()> {
        if !self.is_begun {
            self.file.set_len(0)?;
            self.is_begun = true;
        }
        Ok(())
    }

    /// Nothing more comes.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.begin()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken {
            return Err(io::Error::other("an earlier line could not be written"));
        }
        self.begin()?;
        match self.file.write(bytes) {
            Ok(written) => {
                let done = bytes.get(..written).unwrap_or_default();
                if let Some(at) = memchr::memrchr(b'\n', done) {
                    self.whole = self.len + at as u64 + 1;
                }
                self.len += written as u64;
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.is_broken = true;
                let _ = self.file.set_len(self.whole);
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_goes_with_the_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "old").unwrap();
        let open = || Lines::new(File::options().write(true).open(&path).unwrap());
        drop(open());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut lines = open();
        lines.write_all(b"a\nb").unwrap();
        assert_eq!((lines.len, lines.whole), (3, 2));
        lines.write_all(b"c\n").unwrap();
        assert_eq!((lines.len, lines.whole), (5, 5));
        assert_eq!(std::fs::read(&path).unwrap(), b"a\nbc\n");
        open().end().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
