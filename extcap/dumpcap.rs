//! dumpcap, which captures.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Bytes read at once, and pieces that wait for us.
const PIECE: usize = 256 << 10;
const WAITING: usize = 64;
/// Time that dumpcap has to end when it is asked to.
const PATIENCE: Duration = Duration::from_millis(400);

/// The program: HARDUMP_DUMPCAP, or where Wireshark's packages put it, or wherever PATH has it.
fn program() -> OsString {
    if let Some(program) = std::env::var_os("HARDUMP_DUMPCAP").filter(|program| !program.is_empty()) {
        return program;
    }
    let known = ["/usr/bin/dumpcap", "/usr/local/bin/dumpcap", "/usr/sbin/dumpcap"];
    known.iter().find(|path| Path::new(path).exists()).map_or_else(|| "dumpcap".into(), OsString::from)
}

/// Interfaces to capture on, as name and name for people. None when dumpcap has none to tell: the user may type one.
pub fn interfaces() -> Vec<(String, String)> {
    let Ok(output) = Command::new(program()).arg("-D").stdin(Stdio::null()).output() else { return Vec::new() };
    // 3. lo (Loopback)
    let line = |line: &str| {
        let (_, rest) = line.split_once(". ")?;
        let name = rest.split_once(' ').map_or(rest, |(name, _)| name);
        Some((name.to_owned(), rest.to_owned()))
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(line).collect()
}

/// What is wrong with the syntax of a capture filter. The host does not tell the interface; a filter that only some interface
/// cannot do, and one that cannot be tried, is left to the capture, which says so.
pub fn fault(filter: &str) -> Option<String> {
    let (interface, _) = interfaces().into_iter().next()?;
    let mut command = Command::new(program());
    let output = command.args(["-q", "-d", "-i", &interface, "-f", filter]).stdin(Stdio::null()).output().ok()?;
    let words = String::from_utf8_lossy(&output.stderr);
    // Its exit status is 0 either way.
    words.lines().find(|line| line.contains("syntax error")).map(|line| line.trim().to_owned())
}

/// A dumpcap at work.
pub struct Dumpcap {
    child: Child,
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// What it complains about, line by line.
    words: Receiver<String>,
    last_words: Arc<Mutex<Vec<String>>>,
}

impl Dumpcap {
    /// Starts it; pcapng comes on its standard output.
    pub fn start(source: &str, filter: Option<&str>) -> Result<Self, String> {
        let program = program();
        let mut command = Command::new(&program);
        command.args(["-q", "-i", source, "-w", "-"]);
        if let Some(filter) = filter {
            command.args(["-f", filter]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let (send, pieces) = sync_channel(WAITING);
        let (say, words) = channel();
        let last_words = Arc::default();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || read(stdout, &send));
        }
        if let Some(stderr) = child.stderr.take() {
            let last_words = Arc::clone(&last_words);
            std::thread::spawn(move || listen(stderr, &say, &last_words));
        }
        Ok(Self { child, pieces, words, last_words })
    }

    /// The bytes that come.
    pub fn pieces(&self) -> &Receiver<io::Result<Vec<u8>>> {
        &self.pieces
    }

    /// A line it said since.
    pub fn word(&self) -> Option<String> {
        self.words.try_recv().ok()
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // It may be gone already.
            let _ = kill(Pid::from_raw(id), Signal::SIGINT);
        }
    }

    /// The lines that it said last, once it has ended.
    pub fn remaining_words(&self) -> Vec<String> {
        // Its standard error ends with it, unless something that it started goes on.
        std::iter::from_fn(|| self.words.recv_timeout(PATIENCE).ok()).take(KEPT).collect()
    }

    /// Waits for its end, for a moment. The error is what it said when it failed by itself.
    #[allow(clippy::disallowed_methods, reason = "the recorder may look at a clock")]
    pub fn end(&mut self, was_asked: bool) -> Result<(), String> {
        let started = Instant::now();
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if started.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
                Ok(None) | Err(_) => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    break None;
                }
            }
        };
        match status {
            _ if was_asked => Ok(()),
            Some(status) if status.success() => Ok(()),
            status => {
                // The rest of what it said is on its way.
                std::thread::sleep(Duration::from_millis(50));
                let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
                let how = status.map_or_else(|| "it did not end".to_owned(), |status| status.to_string());
                Err(if words.is_empty() {
                    format!("dumpcap failed: {how}")
                } else {
                    format!("dumpcap failed ({how}):\n{words}")
                })
            }
        }
    }
}

fn read(mut from: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => return,
            read => read,
        };
        let is_failed = read.is_err();
        let piece = read.map(|len| {
            piece.truncate(len);
            piece
        });
        if to.send(piece).is_err() || is_failed {
            return;
        }
    }
}

/// Lines kept for the message of a failure.
const KEPT: usize = 8;

fn listen(from: impl Read, to: &Sender<String>, last_words: &Mutex<Vec<String>>) {
    // Bounded, for nobody knows what stands in its place.
    for line in BufReader::new(from.take(1 << 20)).lines().map_while(Result::ok) {
        let mut kept = last_words.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(line.clone());
        }
        drop(kept);
        if to.send(line).is_err() {
            return;
        }
    }
}
