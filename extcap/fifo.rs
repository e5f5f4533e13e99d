//! The FIFO that the host reads packets from.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Pieces that wait for a host that reads slowly.
const WAITING: usize = 64;
/// How often it is looked whether the host is there while nothing is written.
const LOOK: Duration = Duration::from_millis(100);

/// Writes in a thread of its own: a host that does not read must not keep us from stopping.
pub struct Fifo {
    to: Option<SyncSender<Vec<u8>>>,
    is_closed: Arc<AtomicBool>,
    is_done: Arc<AtomicBool>,
}

impl Fifo {
    /// Opens it in the background, for that waits for the host.
    pub fn open(path: PathBuf) -> Self {
        let (to, pieces) = sync_channel::<Vec<u8>>(WAITING);
        let (is_closed, is_done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (closed, done) = (is_closed.clone(), is_done.clone());
        std::thread::spawn(move || {
            if !write(path, &pieces) {
                closed.store(true, Relaxed);
            }
            done.store(true, Relaxed);
        });
        Self { to: Some(to), is_closed, is_done }
    }

    /// True when the host reads no more.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// Passes a piece on; gives it back while the host has enough to read.
    pub fn try_send(&self, piece: Vec<u8>) -> Result<(), Vec<u8>> {
        match self.to.as_ref().map(|to| to.try_send(piece)) {
            Some(Err(TrySendError::Full(piece))) => Err(piece),
            // That it is closed is seen elsewhere.
            _ => Ok(()),
        }
    }

    /// Lets what waits go out, for `patience`.
    pub fn finish(mut self, patience: Duration) {
        self.to = None;
        let step = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while !self.is_done.load(Relaxed) && waited < patience {
            std::thread::sleep(step);
            waited += step;
        }
    }
}

/// Writes until there is no more; false when the host went away.
fn write(path: PathBuf, pieces: &Receiver<Vec<u8>>) -> bool {
    let Ok(mut fifo) = File::options().write(true).open(path) else { return false };
    loop {
        match pieces.recv_timeout(LOOK) {
            Ok(piece) => {
                if fifo.write_all(&piece).is_err() {
                    return false;
                }
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return true,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                let mut look = [PollFd::new(fifo.as_fd(), PollFlags::empty())];
                let is_gone = poll(&mut look, PollTimeout::ZERO).is_ok()
                    && look.iter().any(|fd| fd.revents().is_some_and(|events| events.contains(PollFlags::POLLERR)));
                if is_gone {
                    return false;
                }
            }
        }
    }
}
