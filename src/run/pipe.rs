//! Captures of a run, with standard input read so that it can be interrupted while it is silent.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::base::Limits;
use crate::capture::{self, CaptureError, Captures, Item, Progress, Reader};

/// Bytes asked of a pipe at once.
const PIECE: usize = 256 << 10;
/// How long a silent pipe is waited for before the wish to stop is looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a run reads.
pub(super) enum Source {
    /// Files.
    Files(Box<Captures>),
    /// Standard input alone.
    Pipe(Box<Reader>),
}

/// Opens the captures of a run.
pub(super) fn open(paths: &[PathBuf], limits: &Limits, stop: &Arc<AtomicBool>) -> Result<Source, CaptureError> {
    match paths {
        [path] if path.as_os_str() == "-" => {
            let pipe = Interruptible::new(io::stdin(), stop.clone());
            Ok(Source::Pipe(Box::new(Reader::from_read(Box::new(pipe), "-", limits)?)))
        }
        _ => Ok(Source::Files(Box::new(Captures::open(paths, limits)?))),
    }
}

impl Source {
    /// The next frame or secrets.
    pub(super) fn next(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        match self {
            Source::Files(captures) => captures.next(),
            Source::Pipe(reader) => reader.next(),
        }
    }

    /// What was read so far.
    pub(super) fn facts(&self) -> capture::Facts {
        match self {
            Source::Files(captures) => captures.facts(),
            Source::Pipe(reader) => reader.facts(),
        }
    }

    /// How far the reading has come.
    pub(super) fn progress(&self) -> Progress {
        match self {
            Source::Files(captures) => captures.progress(),
            Source::Pipe(reader) => reader.progress(),
        }
    }
}

/// A pipe that ends when somebody asks to stop: a thread of its own waits for the bytes.
struct Interruptible {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    stop: Arc<AtomicBool>,
}

impl Interruptible {
    fn new(mut pipe: impl Read + Send + 'static, stop: Arc<AtomicBool>) -> Self {
        let (send, pieces) = sync_channel(4);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE];
                let read = match pipe.read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read,
                };
                let is_last = !matches!(read, Ok(1..));
                let sent = send.send(read.map(|len| {
                    piece.truncate(len);
                    piece
                }));
                if is_last || sent.is_err() {
                    return;
                }
            }
        });
        Self { pieces, piece: io::Cursor::default(), stop }
    }
}

impl Read for Interruptible {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => {
                    self.piece = io::Cursor::new(piece?);
                    if self.piece.get_ref().is_empty() {
                        return Ok(0);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.stop.load(Relaxed) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_pipe_ends_when_asked_to() {
        let (reader, mut writer) = io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut pipe = Interruptible::new(reader, stop.clone());
        io::Write::write_all(&mut writer, b"abc").unwrap();
        let mut read = [0; 10];
        assert_eq!(pipe.read(&mut read).unwrap(), 3);
        stop.store(true, Relaxed);
        assert_eq!(pipe.read(&mut read).unwrap(), 0);
    }

    #[test]
    fn all_bytes_come_through() {
        let data: Vec<u8> = (0..2_000_000u32).map(|n| ((n * 31) >> 5) as u8).collect();
        let mut read = Vec::new();
        Interruptible::new(io::Cursor::new(data.clone()), Arc::default()).read_to_end(&mut read).unwrap();
        assert!(read == data);
    }
}
