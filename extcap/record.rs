//! One capture: from dumpcap to the host and to the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use chrono::Local;

use crate::arguments::Arguments;
use crate::control::Control;
use crate::drops::{Drops, losses};
use crate::dumpcap::Dumpcap;
use crate::fifo::Fifo;
use crate::keylog::Followed;
use crate::library::{Library, Session};
use crate::parts::Parts;

/// How long a silent interface is waited for before anything else is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Time between two looks at the key log, and two texts in the status bar.
const LOOK: Duration = Duration::from_millis(500);
/// The HAR is written this often while entries come, and so much rarer than it takes.
const GROW: Duration = Duration::from_secs(5);
const GROW_TIMES: u32 = 20;
/// Time for the host to read what waits, at the end.
const FAREWELL: Duration = Duration::from_millis(200);

struct Recorder<'l> {
    session: Session<'l>,
    parts: Parts,
    control: Control,
    key_log: Option<Followed>,
    /// Bytes captured since the last rotation.
    bytes: u64,
    rotate_bytes: u64,
    rotate_after: Option<Duration>,
    part_began: Instant,
    /// The engine takes nothing more; what came is written.
    is_deaf: bool,
    written: Written,
    /// What dumpcap said it dropped.
    drops: Vec<Drops>,
    /// What went wrong first.
    failure: Option<String>,
}

/// When the HAR was written last, and with what in it.
struct Written {
    at: Instant,
    took: Duration,
    entries: u64,
}

/// Records until it is told to stop, or the capture ends.
pub fn record(arguments: &Arguments, library: &Library) -> Result<(), String> {
    let fifo = arguments.fifo.clone().ok_or("--capture needs --fifo")?;
    let source = arguments.source.as_deref().ok_or(
        "no interface to capture on: choose one in the options of the HAR recorder (tshark: -o extcap.har.source:NAME)",
    )?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Relaxed)).map_err(|error| format!("signals: {error}"))?;
    let mut recorder = Recorder::new(arguments, library, source)?;
    let mut dumpcap = Dumpcap::start(source, arguments.filter.as_deref())?;
    let fifo = Fifo::open(fifo);
    recorder.control.log(&format!("capturing on {source}; the HAR: {}", recorder.parts.path().display()));
    let was_asked = recorder.run(&dumpcap, &fifo, &stop);
    let ended = dumpcap.end(was_asked);
    dumpcap.remaining_words().iter().for_each(|word| recorder.hear(word));
    recorder.finish();
    fifo.finish(FAREWELL);
    // dumpcap's words come first: they are why nothing was captured.
    ended.and(recorder.failure.map_or(Ok(()), Err))
}

impl<'l> Recorder<'l> {
    #[allow(clippy::disallowed_methods, reason = "the recorder may look at a clock")]
    fn new(arguments: &Arguments, library: &'l Library, source: &str) -> Result<Self, String> {
        let session = library.session(source)?;
        for (name, value) in &arguments.options {
            session.set_option(name, value)?;
        }
        let rotate_after = Some(arguments.rotate_minutes).filter(|&minutes| minutes > 0);
        let is_many = rotate_after.is_some() || arguments.rotate_megabytes > 0;
        let now = Instant::now();
        Ok(Self {
            session,
            parts: Parts::new(arguments.har.as_deref(), is_many, Local::now()),
            control: Control::open(arguments.control_in.as_deref(), arguments.control_out.as_deref()),
            key_log: arguments.key_log.clone().map(Followed::new),
            bytes: 0,
            rotate_bytes: arguments.rotate_megabytes.saturating_mul(1_000_000),
            rotate_after: rotate_after.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
            part_began: now,
            is_deaf: false,
            written: Written { at: now, took: Duration::ZERO, entries: 0 },
            drops: Vec::new(),
            failure: None,
        })
    }

    /// Works until the end; true when somebody asked for it.
    #[allow(clippy::disallowed_methods, reason = "the recorder may look at a clock")]
    fn run(&mut self, dumpcap: &Dumpcap, fifo: &Fifo, stop: &AtomicBool) -> bool {
        let mut looked = Instant::now();
        let mut was_asked = false;
        let mut stops_at = None;
        self.follow_key_log();
        loop {
            if !was_asked && (stop.load(Relaxed) || fifo.is_closed()) {
                was_asked = true;
                dumpcap.ask_to_end();
                stops_at = Some(Instant::now() + FAREWELL * 2);
            }
            // What dumpcap still has is taken, but not for long.
            if stops_at.is_some_and(|at| Instant::now() > at) {
                return was_asked;
            }
            match dumpcap.pieces().recv_timeout(TICK) {
                Ok(Ok(piece)) => {
                    self.push(&piece);
                    pass_on(fifo, piece, stop);
                }
                Ok(Err(error)) => {
                    self.fail(format!("reading from dumpcap: {error}"));
                    return was_asked;
                }
                Err(RecvTimeoutError::Disconnected) => return was_asked,
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Some(word) = dumpcap.word() {
                self.hear(&word);
            }
            if self.control.is_export_wanted() {
                self.export();
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
        }
    }

    /// dumpcap said something.
    fn hear(&mut self, word: &str) {
        self.control.log(&format!("dumpcap: {word}"));
        self.drops.extend(Drops::read(word));
    }

    fn push(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if !self.is_deaf
            && let Err(message) = self.session.push_capture(piece)
        {
            self.is_deaf = true;
            self.fail(format!("{message}\nthe HAR ends here; packets go on to Wireshark"));
            self.write();
        }
        // Not only now and then: a fast network brings a lot in half a second.
        if self.rotate_bytes > 0 && self.bytes >= self.rotate_bytes && !self.is_deaf {
            self.rotate();
        }
    }

    /// Things that are done now and then.
    fn look(&mut self) {
        self.follow_key_log();
        let is_old = self.rotate_after.is_some_and(|after| self.part_began.elapsed() >= after);
        if is_old && !self.is_deaf {
            self.rotate();
        }
        let entries = self.session.entries();
        let path = self.parts.path();
        self.control.status(&format!("HAR: {entries} entries so far, {}", path.display()));
        let written = &self.written;
        let is_due = written.at.elapsed() >= GROW.max(written.took.saturating_mul(GROW_TIMES));
        if is_due && entries != written.entries && !self.is_deaf {
            self.write();
        }
    }

    fn follow_key_log(&mut self) {
        let Some(key_log) = &mut self.key_log else { return };
        let pushed = match key_log.appended() {
            Ok(text) if text.is_empty() || self.is_deaf => return,
            Ok(text) => self.session.push_key_log(&text),
            Err(error) => Err(format!("key log: {error}")),
        };
        if let Err(message) = pushed {
            self.key_log = None;
            self.fail(message);
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the recorder may look at a clock")]
    fn rotate(&mut self) {
        let path = self.parts.path();
        match self.session.rotate_file(&path) {
            Ok(()) => self.control.log(&format!("{} is whole", path.display())),
            // The entries stay for the next file.
            Err(message) => self.fail(message),
        }
        self.parts.next(Local::now());
        self.part_began = Instant::now();
        self.bytes = 0;
        self.written.entries = 0;
    }

    fn export(&mut self) {
        if self.write() {
            let entries = self.session.entries();
            self.control.log(&format!("{entries} entries written to {}", self.parts.path().display()));
        }
    }

    /// Writes the HAR of what is there.
    #[allow(clippy::disallowed_methods, reason = "the recorder may look at a clock")]
    fn write(&mut self) -> bool {
        let started = Instant::now();
        let path = self.parts.path();
        let entries = self.session.entries();
        let written = self.session.write_file(&path);
        self.written = Written { at: Instant::now(), took: started.elapsed(), entries };
        match written {
            Ok(()) => true,
            Err(message) => {
                self.fail(message);
                false
            }
        }
    }

    /// Tells what went wrong; the first of it is also why we fail in the end.
    fn fail(&mut self, message: String) {
        self.control.log(&message);
        if self.failure.is_none() {
            self.control.warn(&message);
            self.failure = Some(message);
        }
    }

    /// The last lines of the key log, then the whole HAR.
    fn finish(&mut self) {
        self.follow_key_log();
        if self.is_deaf {
            // Written when it became so.
            return;
        }
        // A write that failed before may succeed now: then all is well.
        let path = self.parts.path();
        let finished = self.session.finish().and_then(|()| self.session.write_file(&path));
        match finished {
            Ok(()) => {
                let entries = self.session.entries();
                let losses = losses(&self.drops, self.session.summary().as_ref());
                let losses = losses.map_or_else(String::new, |losses| format!("; {losses}"));
                self.control.log(&format!("the HAR is whole: {entries} entries in {}{losses}", path.display()));
                self.control.status(&format!("HAR: {entries} entries, {}{losses}", path.display()));
            }
            Err(message) => self.fail(message),
        }
    }
}

/// Hands a piece to the host, waiting for it as long as nobody wants to stop.
fn pass_on(fifo: &Fifo, mut piece: Vec<u8>, stop: &AtomicBool) {
    while !fifo.is_closed() {
        match fifo.try_send(piece) {
            Ok(()) => return,
            Err(back) if stop.load(Relaxed) => return drop(back),
            Err(back) => piece = back,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
