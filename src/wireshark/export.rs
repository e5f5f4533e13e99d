//! The export of what Wireshark has loaded: its file is read once more, through libwiretap, into a session of its own.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::host::Host;
use super::loaded::{Loaded, Which};
use super::reread::Reader;
use super::window::{self, Progress};
use super::{report, tap};
use crate::base::Limits;
use crate::capture::{Dropped, SecretsKind, secrets_ahead};
use crate::engine::Options;
use crate::run::{Output, RunError, Session, Target};
use crate::tls::{KeyLog, SecretSource};

/// Packets between two looks at the stop button.
const LOOK: u64 = 256;
/// Part of the progress that reading takes; writing is the rest.
const READING: f32 = 0.8;

/// What the user wants.
pub(super) struct Wish {
    /// Where to.
    pub(super) target: Target,
    /// Which packets.
    pub(super) which: Which,
    /// How.
    pub(super) options: Options,
    /// A file with TLS secrets.
    pub(super) key_log: Option<PathBuf>,
}

/// Why there is no HAR.
pub(super) enum Failure {
    /// The user stopped it.
    Stopped,
    /// A message.
    Message(String),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Failure::Message(error.to_string())
    }
}

thread_local! {
    /// True while an export runs: progress lets the host work on other events, and the user press the menu again.
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Exports, and shows what came of it.
pub(super) fn run(host: &'static Host, wish: Wish) {
    if IS_RUNNING.replace(true) {
        return host.report("An export as HAR is running already.");
    }
    let _running = Running;
    let target = wish.target.clone();
    match export(host, wish) {
        Ok(text) => {
            let folder = match &target {
                Target::File(path) => std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)),
                Target::Stdout => None,
            };
            window::show(host, "HAR", &text, folder.as_deref());
        }
        Err(Failure::Stopped) => window::show(host, "HAR", "The export was stopped. No HAR was written.\n", None),
        Err(Failure::Message(message)) => host.report(&format!("No HAR was written: {message}")),
    }
}

struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        IS_RUNNING.set(false);
    }
}

/// `wireshark -z har,FILE`: as from the menu, but for the dialog.
pub(super) fn from_command_line(
    host: &'static Host,
    options: Options,
    target: Target,
    filter: &str,
) -> Result<(), String> {
    if !filter.is_empty() {
        return Err("-z har: in Wireshark set the display filter and use File > HAR > Export as HAR".into());
    }
    run(host, Wish { target, which: Which::All, options, key_log: super::prefs::key_log(host) });
    Ok(())
}

/// Said when there is nothing to export.
pub(super) const NOTHING_LOADED: &str = "There are no packets to export: open a capture file or start a capture first.";

fn export(host: &'static Host, wish: Wish) -> Result<String, Failure> {
    let loaded = Loaded::look(host, wish.which).filter(|loaded| loaded.count > 0);
    let loaded = loaded.ok_or_else(|| Failure::Message(NOTHING_LOADED.to_owned()))?;
    let mut options = wish.options;
    options.har.only_selected = wish.which != Which::All;
    let output = Output::open(&wish.target, std::slice::from_ref(&loaded.path))?;
    let (keys, dropped) = keys(&loaded.path, wish.key_log.as_deref())?;
    // SAFETY: the flag stands in a structure that lives as long as Wireshark.
    let mut progress = unsafe { Progress::new(host, "Exporting", loaded.stop) };
    let (mut session, fault) = read(host, &loaded, &options, keys, &mut |part| progress.goes_on(part, "Exporting"))?;
    session.tell_dropped(dropped);
    let mut watched = Watched { output, progress: &mut progress, is_stopped: false };
    let outcome = match session.finish(&mut watched) {
        Ok(outcome) => outcome,
        Err(_) if watched.is_stopped => return Err(Failure::Stopped),
        Err(error) => return Err(Failure::Message(format!("{}: {error}", wish.target.name()))),
    };
    watched.output.commit()?;
    Ok(report::text(&outcome, &wish.target, fault.as_deref()))
}

/// The HAR of all packets in memory, and a few words about it. The host works on nothing else meanwhile.
pub(super) fn to_memory(host: &'static Host, loaded: &Loaded, options: &Options) -> Result<(Vec<u8>, String), String> {
    let words = |failure| match failure {
        Failure::Stopped => "stopped".to_owned(),
        Failure::Message(message) => message,
    };
    let (keys, dropped) = keys(&loaded.path, super::prefs::key_log(host).as_deref()).map_err(words)?;
    let (mut session, _) = read(host, loaded, options, keys, &mut |_| true).map_err(words)?;
    session.tell_dropped(dropped);
    let mut har = Vec::new();
    let outcome = session.finish(&mut har).map_err(|error| error.to_string())?;
    Ok((har, format!("{} entries", outcome.summary.entries)))
}

/// Reads the file into a session. With it comes why reading ended early, when it did.
fn read(
    host: &'static Host,
    loaded: &Loaded,
    options: &Options,
    keys: KeyLog,
    goes_on: &mut dyn FnMut(f32) -> bool,
) -> Result<(Session, Option<String>), Failure> {
    let mut reader = Reader::open(host, &loaded.path, &keys).map_err(Failure::Message)?;
    let mut session = Session::new(options, &tap::name(&loaded.path), keys);
    loop {
        let part = READING * reader.progress();
        match reader.next() {
            Ok(Some(mut frame)) => {
                frame.selected = loaded.selects(frame.number.0);
                session.push(&frame).map_err(|error| Failure::Message(error.to_string()))?;
            }
            Ok(None) => return Ok((session, None)),
            // The packet that is being captured right now.
            Err(fault) if fault.is_cut && loaded.is_growing => return Ok((session, None)),
            Err(fault) if session.packets() == 0 => return Err(Failure::Message(fault.message)),
            Err(fault) => return Ok((session, Some(fault.message))),
        }
        if session.packets().is_multiple_of(LOOK) && !goes_on(part) {
            return Err(Failure::Stopped);
        }
    }
}

/// What packets are decrypted with: the key log, and secrets that stand behind the packets they serve. libwiretap brings the
/// others. Beside it what interfaces dropped, which it keeps to itself.
fn keys(capture: &Path, key_log: Option<&Path>) -> Result<(KeyLog, Dropped), Failure> {
    let keys = KeyLog::new(&Limits::default());
    if let Some(path) = key_log {
        let text =
            std::fs::read(path).map_err(|error| Failure::from(RunError::Secrets { path: path.to_owned(), error }))?;
        keys.parse(&zeroize::Zeroizing::new(text), SecretSource::KeyLog);
    }
    // What cannot be read now has been told of by libwiretap.
    let dropped = secrets_ahead(capture, &Limits::default(), &mut |secrets| {
        if secrets.kind == SecretsKind::TlsKeyLog {
            keys.parse(secrets.data, SecretSource::InCapture);
        }
    });
    Ok((keys, dropped.unwrap_or_default()))
}

/// An output that shows progress, and takes no more once the user stopped.
struct Watched<'p> {
    output: Output,
    progress: &'p mut Progress,
    is_stopped: bool,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.progress.goes_on((1.0 + READING) / 2.0, "Writing") {
            self.is_stopped = true;
            return Err(io::Error::other("stopped"));
        }
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
