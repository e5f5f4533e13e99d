//! The toolbar: messages through two pipes.
//!
//! ```text
//! +-------+-----------------------+---------+---------+
//! |  'T'  | length + 2: 24 bits   | control | command | payload ...
//! +-------+-----------------------+---------+---------+
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};

/// Numbers of our controls.
pub const EXPORT: u8 = 0;
pub const LOG: u8 = 1;

/// Commands of the protocol.
const SET: u8 = 1;
const ADD: u8 = 2;
const STATUS_BAR: u8 = 6;
const WARNING: u8 = 8;

/// Messages that wait for a host that does not read; more are dropped, for the capture must go on.
const WAITING: usize = 256;

/// The two ends of the toolbar; without pipes, as in tshark, nobody speaks and nobody listens.
pub struct Control {
    to: Option<SyncSender<Vec<u8>>>,
    from: Receiver<()>,
    /// Keeps `from` open when there is no pipe.
    _open: Sender<()>,
}

impl Control {
    /// Opens the pipes, each in a thread of its own: opening and reading a FIFO wait for the host.
    pub fn open(from: Option<&Path>, to: Option<&Path>) -> Self {
        let (clicked, clicks) = channel();
        if let Some(path) = from.map(Path::to_owned) {
            let clicked = clicked.clone();
            // When the pipe ends, so does the thread: nothing is clicked any more.
            std::thread::spawn(move || listen(&path, &clicked));
        }
        let to = to.map(|path| {
            let path = path.to_owned();
            let (send, messages) = sync_channel(WAITING);
            std::thread::spawn(move || speak(path, &messages));
            send
        });
        Self { to, from: clicks, _open: clicked }
    }

    /// True when the export button was pressed since the last time.
    pub fn is_export_wanted(&self) -> bool {
        self.from.try_iter().count() > 0
    }

    /// A line in the log window.
    pub fn log(&self, text: &str) {
        self.send(LOG, ADD, &format!("{text}\n"));
    }

    /// Text in the status bar.
    pub fn status(&self, text: &str) {
        self.send(EXPORT, STATUS_BAR, text);
    }

    /// A message box, that the user must see.
    pub fn warn(&self, text: &str) {
        self.send(EXPORT, WARNING, text);
    }

    fn send(&self, control: u8, command: u8, text: &str) {
        let Some(to) = &self.to else { return };
        match to.try_send(message(control, command, text.as_bytes())) {
            // A host that went away, or does not read, hears nothing.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

fn message(control: u8, command: u8, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..payload.len().min(0xffff)).unwrap_or_default();
    let [_, length @ ..] = (payload.len() as u32 + 2).to_be_bytes();
    let mut message = vec![b'T'];
    message.extend(length);
    message.extend([control, command]);
    message.extend(payload);
    message
}

fn speak(path: PathBuf, messages: &Receiver<Vec<u8>>) {
    let Ok(mut pipe) = File::options().write(true).open(path) else { return };
    for message in messages {
        if pipe.write_all(&message).is_err() {
            return;
        }
    }
}

fn listen(path: &Path, clicked: &Sender<()>) -> io::Result<()> {
    let mut pipe = File::open(path)?;
    loop {
        let mut head = [0; 6];
        pipe.read_exact(&mut head)?;
        let [kind, high, middle, low, control, command] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        if kind != b'T' || length < 2 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        io::copy(&mut (&mut pipe).take(u64::from(length - 2)), &mut io::sink())?;
        if (control, command) == (EXPORT, SET) && clicked.send(()).is_err() {
            return Ok(());
        }
    }
}
