//! Where the HAR goes: a file that is whole or not there, a file of lines, or a pipe.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::RunError;
use super::lines::Lines;
use super::part::Part;

/// Bytes gathered before they are written; larger pieces are written as they are.
const BUFFER: usize = 32 << 10;

/// Where to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file; a regular one is replaced only when the new one is whole.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Target {
    /// The name for messages.
    pub fn name(&self) -> String {
        match self {
            Target::File(path) => path.display().to_string(),
            Target::Stdout => "standard output".to_owned(),
        }
    }
}

/// An open target. Dropped without [`Output::commit`], a file leaves nothing behind.
pub struct Output {
    sink: Sink,
    target: Target,
}

enum Sink {
    /// Gets its name when it is whole.
    Whole(BufWriter<Part>),
    /// Written as it comes, whole after each line.
    Lines(BufWriter<Lines>),
    /// A device, FIFO or pipe: written as it comes.
    Stream(BufWriter<Box<dyn Write + Send>>),
}

impl Output {
    /// Opens a target. `captures` are never overwritten.
    pub fn open(target: &Target, captures: &[PathBuf]) -> Result<Self, RunError> {
        Self::open_for(target, captures, false)
    }

    /// Opens a target for lines, which a file holds as soon as they are flushed.
    pub fn open_lines(target: &Target, captures: &[PathBuf]) -> Result<Self, RunError> {
        Self::open_for(target, captures, true)
    }

    fn open_for(target: &Target, captures: &[PathBuf], is_lines: bool) -> Result<Self, RunError> {
        let failed = |error| RunError::Output { target: target.name(), error };
        let sink = match target {
            Target::Stdout => Sink::Stream(BufWriter::with_capacity(BUFFER, Box::new(io::stdout()))),
            Target::File(path) => {
                if captures.iter().any(|capture| is_same_file(capture, path)) {
                    return Err(RunError::OverwritesCapture(path.clone()));
                }
                open_file(path, is_lines).map_err(failed)?
            }
        };
        Ok(Self { sink, target: target.clone() })
    }

    /// The name for messages.
    pub fn name(&self) -> String {
        self.target.name()
    }

    /// Writes out what is buffered and gives the file its name.
    pub fn commit(self) -> Result<(), RunError> {
        let target = self.target.name();
        let result = match self.sink {
            Sink::Whole(buffer) => buffer.into_inner().map_err(io::IntoInnerError::into_error).and_then(Part::persist),
            Sink::Lines(buffer) => buffer.into_inner().map_err(io::IntoInnerError::into_error).and_then(Lines::end),
            Sink::Stream(mut buffer) => buffer.flush(),
        };
        result.map_err(|error| RunError::Output { target, error })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Whole(buffer) => buffer.write(bytes),
            Sink::Lines(buffer) => buffer.write(bytes),
            Sink::Stream(buffer) => buffer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Whole(buffer) => buffer.flush(),
            Sink::Lines(buffer) => buffer.flush(),
            Sink::Stream(buffer) => buffer.flush(),
        }
    }
}

fn open_file(path: &Path, is_lines: bool) -> io::Result<Sink> {
    // A link is followed, so that the file it names is replaced and not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&path) {
        Ok(facts) if facts.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(facts) if !facts.is_file() => {
            let stream: Box<dyn Write + Send> = Box::new(File::options().write(true).open(&path)?);
            return Ok(Sink::Stream(BufWriter::with_capacity(BUFFER, stream)));
        }
        // Replacing a file that may not be written would go around its protection.
        Ok(_) => drop(File::options().append(true).open(&path)?),
        Err(_) => {}
    }
    if is_lines {
        let mut options = File::options();
        // It is emptied when the first line comes.
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        return Ok(Sink::Lines(BufWriter::with_capacity(BUFFER, Lines::new(options.open(&path)?))));
    }
    Ok(Sink::Whole(BufWriter::with_capacity(BUFFER, Part::beside(path)?)))
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.har");
        fs::write(&path, "old").unwrap();
        let target = Target::File(path.clone());
        let mut output = Output::open(&target, &[]).unwrap();
        output.write_all(b"new").unwrap();
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        let mut output = Output::open(&target, &[]).unwrap();
        output.write_all(b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.har");
        Output::open(&Target::File(path.clone()), &[]).unwrap().commit().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_capture_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap");
        fs::write(&path, "capture").unwrap();
        let by_other_name = folder.path().join(".").join("a.pcap");
        let opened = Output::open(&Target::File(by_other_name), std::slice::from_ref(&path));
        assert!(matches!(opened, Err(RunError::OverwritesCapture(_))));
        let nowhere = Output::open(&Target::File(folder.path().join("no/such/out.har")), &[]);
        assert!(matches!(nowhere, Err(RunError::Output { .. })));
    }
}
