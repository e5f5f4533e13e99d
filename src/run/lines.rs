//! A file of lines, which is of use at any time.

use std::fs::File;
use std::io::{self, Write};

/// A file that gets one line after the other, always at its end, so that others may move the older ones away and empty it. What was
/// in it goes with the first line. When it takes no more, it ends with the last line that is whole.
pub(super) struct Lines {
    file: File,
    /// Bytes behind the last whole line.
    tail: u64,
    is_begun: bool,
    is_broken: bool,
}

impl Lines {
    /// A file that was opened to append.
    pub(super) fn new(file: File) -> Self {
        Self { file, tail: 0, is_begun: false, is_broken: false }
    }

    fn begin(&mut self) -> io::Result<()> {
        if !self.is_begun {
            self.file.set_len(0)?;
            self.is_begun = true;
        }
        Ok(())
    }

    /// Takes away what is no whole line.
    fn cut(&mut self) {
        if let Ok(facts) = self.file.metadata() {
            let _ = self.file.set_len(facts.len().saturating_sub(self.tail));
        }
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
                self.tail = match memchr::memrchr(b'\n', done) {
                    Some(at) => (written - at - 1) as u64,
                    None => self.tail + written as u64,
                };
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.is_broken = true;
                self.cut();
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
        let open = || Lines::new(File::options().append(true).open(&path).unwrap());
        drop(open());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut lines = open();
        lines.write_all(b"a\nb").unwrap();
        assert_eq!(lines.tail, 1);
        lines.write_all(b"c\n").unwrap();
        assert_eq!(lines.tail, 0);
        assert_eq!(std::fs::read(&path).unwrap(), b"a\nbc\n");
        // Somebody took them away.
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        lines.write_all(b"d\ne").unwrap();
        lines.write_all(b"e").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"d\nee");
        lines.cut();
        assert_eq!(std::fs::read(&path).unwrap(), b"d\n");
        open().end().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
