//! Captures of a run. Pipes are read so that the reading can be stopped while they are silent.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::{Job, Target};
use crate::capture::{CaptureError, Captures, Idle, Open, Stopped};

/// Bytes asked of a pipe at once.
const PIECE: usize = 256 << 10;
/// Pieces that wait to be used.
const PIECES: usize = 4;
/// Bytes that a pipe may have brought when somebody asks to stop; they are used.
pub(super) const BROUGHT: u64 = ((PIECES + 1) * PIECE) as u64;
/// How long a silent pipe is waited for before its reader is told, and it is looked whether anybody still wants what it brings. Who fills
/// the pipe may be stopped by the same signal, and gets in what it had.
const PATIENCE: Duration = Duration::from_millis(100);

/// Opens the captures of a run.
pub(super) fn open(job: &Job) -> Result<Captures, CaptureError> {
    let watches_reader = job.target == Target::Stdout;
    Captures::open_with(&job.captures, &job.options.limits, &mut |open| {
        let stop = job.stop.clone();
        Ok(Box::new(Interruptible::new(open, move || stop.load(Relaxed) || (watches_reader && is_reader_gone()))))
    })
}

/// True when one of the captures may be silent for long: standard input, or a FIFO.
pub(super) fn is_live(captures: &[PathBuf]) -> bool {
    captures.iter().any(|path| path.as_os_str() == "-" || path.metadata().is_ok_and(|facts| !facts.is_file()))
}

/// True when nobody reads standard output any more.
#[cfg(unix)]
fn is_reader_gone() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).is_ok()
        && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

/// True when nobody reads standard output any more.
#[cfg(not(unix))]
fn is_reader_gone() -> bool {
    false
}

/// A pipe that ends when somebody asks to stop: a thread of its own opens it and waits for the bytes.
struct Interruptible {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    is_over: Box<dyn Fn() -> bool + Send>,
    /// Pieces that are still taken, when nobody wants more.
    left: Option<usize>,
}

impl Interruptible {
    fn new(open: Open, is_over: impl Fn() -> bool + Send + 'static) -> Self {
        let (send, pieces) = sync_channel(PIECES);
        std::thread::spawn(move || {
            let mut pipe = match open() {
                Ok(pipe) => pipe,
                Err(error) => return drop(send.send(Err(error))),
            };
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
        Self { pieces, piece: io::Cursor::default(), is_over: Box::new(is_over), left: None }
    }
}

impl Read for Interruptible {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            if self.left == Some(0) {
                return Err(io::Error::other(Stopped));
            }
            if self.left.is_none() && (self.is_over)() {
                self.left = Some(PIECES + 1);
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => {
                    self.left = self.left.map(|left| left - 1);
                    self.piece = io::Cursor::new(piece?);
                    if self.piece.get_ref().is_empty() {
                        return Ok(0);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.left.is_some() => return Err(io::Error::other(Stopped)),
                Err(RecvTimeoutError::Timeout) => return Err(io::Error::other(Idle)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    fn of(pipe: impl Read + Send + 'static, stop: &Arc<AtomicBool>) -> Interruptible {
        let stop = stop.clone();
        Interruptible::new(Box::new(|| Ok(Box::new(pipe))), move || stop.load(Relaxed))
    }

    #[test]
    fn a_silent_pipe_ends_when_asked_to() {
        let (reader, mut writer) = io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut pipe = of(reader, &stop);
        io::Write::write_all(&mut writer, b"abc").unwrap();
        let mut read = [0; 10];
        assert_eq!(pipe.read(&mut read).unwrap(), 3);
        stop.store(true, Relaxed);
        assert!(pipe.read(&mut read).unwrap_err().get_ref().unwrap().is::<Stopped>());
    }

    #[test]
    fn a_silent_pipe_says_so_and_goes_on() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut pipe = of(reader, &Arc::default());
        let mut read = [0; 10];
        for _ in 0..2 {
            assert!(pipe.read(&mut read).unwrap_err().get_ref().unwrap().is::<Idle>());
            io::Write::write_all(&mut writer, b"abc").unwrap();
            while pipe.read(&mut read).is_err() {}
            assert_eq!(&read[..3], b"abc");
        }
    }

    #[test]
    fn a_pipe_that_cannot_be_opened_says_why() {
        let error = || io::Error::from(io::ErrorKind::PermissionDenied);
        let mut pipe = Interruptible::new(Box::new(move || Err(error())), || false);
        assert_eq!(pipe.read(&mut [0]).unwrap_err().kind(), error().kind());
    }

    #[test]
    fn all_bytes_come_through() {
        let data: Vec<u8> = (0..2_000_000u32).map(|n| ((n * 31) >> 5) as u8).collect();
        let (mut read, mut pipe) = (Vec::new(), of(io::Cursor::new(data.clone()), &Arc::default()));
        while let Err(error) = pipe.read_to_end(&mut read) {
            assert!(error.get_ref().unwrap().is::<Idle>());
        }
        assert!(read == data);
    }
}
