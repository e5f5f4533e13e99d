//! Floor 8: files in, one ordered HAR out.

mod batch;
mod lines;
mod output;
mod part;
mod pipe;
mod secrets;
mod segments;
mod session;
mod shards;

use std::io::{self, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

pub use output::{Output, Target};
pub use session::{Ended, Outcome, Session};

use crate::capture::{self, CaptureError, Frame, Item, Progress, link_type_name};
use crate::engine::{Engine, Finished, Options, Seen, add_secrets};
use crate::har;
use crate::tls::{KeyLog, KeyLogReport};
use secrets::Followed;
pub use secrets::UserSecrets;
use shards::Shards;

/// What to write.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// One HAR 1.2 document, ordered.
    Har,
    /// One entry a line, as soon as it is complete.
    Ndjson,
    /// A Parquet file with one row an entry, opened by this.
    Parquet(har::table::Open),
}

/// One conversion.
#[derive(Debug, Clone)]
pub struct Job {
    /// Captures to read as one; `-` is standard input.
    pub captures: Vec<PathBuf>,
    /// Where to write.
    pub target: Target,
    /// What to write.
    pub format: Format,
    /// What to decrypt with.
    pub secrets: UserSecrets,
    /// How to convert.
    pub options: Options,
    /// Folder of temporary files; the system's when `None`.
    pub temporary: Option<PathBuf>,
    /// Shards that work beside one another; as many as the machine has cores when 0.
    pub jobs: usize,
    /// Set from outside to end reading early; what was read is written.
    pub stop: Arc<AtomicBool>,
}

/// Why a conversion did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A key log or private key cannot be read.
    #[error("secrets in {path}: {error}", path = path.display())]
    Secrets {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A pre-shared key cannot be used; the key itself is not told.
    #[error("pre-shared key: {0}")]
    Psk(String),
    /// The output cannot be written.
    #[error("{target}: cannot write: {error}")]
    Output {
        /// Where to.
        target: String,
        /// What the system said.
        error: io::Error,
    },
    /// The output is one of the captures.
    #[error("{path}: is one of the captures; it is not overwritten", path = .0.display())]
    OverwritesCapture(PathBuf),
    /// The system gives no thread to work on.
    #[error("cannot start a thread: {0}; try --jobs 1")]
    Thread(io::Error),
    /// The temporary file cannot be written or read.
    #[error("temporary file in {folder}: {error}", folder = folder.display())]
    Spool {
        /// Where it is.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl RunError {
    /// True when the reader of the output went away: no fault of anybody.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, RunError::Output { error, .. } if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What a conversion did.
#[derive(Debug)]
pub struct Report {
    /// What was written.
    pub summary: har::Summary,
    /// What was read.
    pub capture: capture::Facts,
    /// What the engine saw besides exchanges.
    pub seen: Seen,
    /// Lines of the key logs.
    pub keys: KeyLogReport,
    /// True when reading was ended from outside.
    pub is_stopped: bool,
    /// Why reading ended early, when a capture failed in the middle.
    pub failure: Option<CaptureError>,
}

impl Report {
    /// True when a capture was damaged: something may be missing.
    pub fn is_damaged(&self) -> bool {
        self.capture.damages > 0 || self.failure.is_some()
    }
}

/// Frames between two looks at the world outside.
const LOOK: u64 = 1024;
/// Frames between two looks at key logs that may grow while packets come.
const LOOK_AT_KEYS: u64 = 16;

/// Converts. `watch` is told how far the reading has come.
pub fn run(job: &Job, watch: &mut dyn FnMut(Progress)) -> Result<Report, RunError> {
    let mut options = job.options.clone();
    if matches!(job.format, Format::Parquet(_)) {
        options.har.shape = har::Shape::Row;
    }
    let limits = &job.options.limits;
    let is_live = pipe::is_live(&job.captures);
    let mut captures = pipe::open(job)?;
    let output = match job.format {
        Format::Har | Format::Parquet(_) => Output::open(&job.target, &job.captures)?,
        Format::Ndjson => Output::open_lines(&job.target, &job.captures)?,
    };
    let keys = KeyLog::new(limits);
    let mut secrets = Followed::open(&job.secrets, &keys, is_live)?;
    captures.restore_order(job.temporary.clone(), &|| segments::told(limits), &job.stop, &mut |secrets| {
        add_secrets(&keys, &secrets)
    });
    let output = Shared(Arc::new(Mutex::new(output)));
    let name = capture_name(&job.captures);
    let mut writer = har::Writer::new(&options.har, limits, job.temporary.clone());
    match job.format {
        Format::Har => writer.stream(&name, Box::new(output.clone())),
        Format::Ndjson => writer.lines(Box::new(output.clone())),
        Format::Parquet(open) => {
            let table = open(&options.har, job.temporary.clone(), Box::new(output.clone()));
            writer.table(table.map_err(|error| RunError::Output { target: job.target.name(), error })?);
        }
    }
    // What comes from a pipe is told as soon as it is known: that is the work of one engine.
    let jobs = if is_live { 1 } else { job.jobs };
    options.is_reordered = captures.moves_flows();
    let mut line = Line::start(&options, keys.clone(), job.temporary.clone(), jobs, writer)?;
    let failed = |error: har::WriteError| match error {
        har::WriteError::Output(error) => RunError::Output { target: job.target.name(), error },
        har::WriteError::Spool(error) => {
            RunError::Spool { folder: job.temporary.clone().unwrap_or_else(std::env::temp_dir), error }
        }
    };
    let mut failure = None;
    let mut frames = 0u64;
    // Once reading is to end: where in the pipe it does.
    let mut brought = None;
    loop {
        match captures.next() {
            Ok(Some(Item::Frame(frame))) => {
                if !line.push(&frame) {
                    break;
                }
            }
            Ok(Some(Item::Secrets(secrets))) => add_secrets(&keys, &secrets),
            Ok(None) => break,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        frames += 1;
        if is_live && frames.is_multiple_of(LOOK_AT_KEYS) {
            secrets.follow(&keys);
        }
        if frames.is_multiple_of(LOOK) {
            watch(captures.progress());
        }
        if job.stop.load(Relaxed) {
            let read = captures.progress().read;
            if !is_live || read >= *brought.get_or_insert(read + pipe::BROUGHT) {
                captures.end_early();
            }
        }
    }
    watch(captures.progress());
    let capture = captures.facts();
    if let Some(error) = failure.take_if(|_| capture.frames == 0) {
        return Err(error.into());
    }
    // Sessions that still wait get their last try with what was appended meanwhile.
    let report = secrets.finish(&keys);
    let Finished { writer, totals, seen } = line.finish().map_err(failed)?;
    let facts = har::CaptureFacts {
        file: name,
        packets: capture.frames,
        first: capture.first,
        last: capture.last,
        dropped: capture.dropped,
        disorder: capture.disorder,
        link_types: capture.link_types.iter().map(|link| link_type_name(*link).to_owned()).collect(),
    };
    let summary = writer.finish(&facts, totals).map_err(failed)?;
    output.commit()?;
    let is_stopped = job.stop.load(Relaxed);
    Ok(Report { summary, capture, seen, keys: report, is_stopped, failure })
}

/// Who takes the frames.
enum Line {
    /// One engine, here.
    Single(Box<Engine>),
    /// Several shards, on threads of their own.
    Shards(Box<Shards>),
}

impl Line {
    fn start(
        options: &Options,
        keys: KeyLog,
        folder: Option<PathBuf>,
        jobs: usize,
        writer: har::Writer,
    ) -> Result<Self, RunError> {
        if jobs == 1 {
            return Ok(Self::Single(Box::new(Engine::new(options, keys, folder, writer))));
        }
        let jobs = if jobs > 0 { jobs } else { available_parallelism().map_or(1, NonZero::get) };
        let shards = Shards::start(options, &keys, folder.as_ref(), jobs, writer).map_err(RunError::Thread)?;
        Ok(Self::Shards(Box::new(shards)))
    }

    /// Takes the next frame; false when what is found can no longer be written, which [`Self::finish`] tells.
    #[inline]
    fn push(&mut self, frame: &Frame<'_>) -> bool {
        match self {
            Self::Single(engine) => {
                engine.push(frame);
                !engine.has_failed()
            }
            Self::Shards(shards) => shards.push(frame),
        }
    }

    fn finish(self) -> Result<Finished, har::WriteError> {
        match self {
            Self::Single(engine) => engine.finish(),
            Self::Shards(shards) => shards.finish(),
        }
    }
}

/// Name of the first capture, without folders.
fn capture_name(captures: &[PathBuf]) -> String {
    let name = captures.first().and_then(|path| path.file_name()).unwrap_or_default();
    if name == "-" { "standard input".to_owned() } else { Path::new(name).display().to_string() }
}

/// An output that the engine and the run write to, never at the same time.
#[derive(Clone)]
struct Shared(Arc<Mutex<Output>>);

impl Shared {
    fn commit(self) -> Result<(), RunError> {
        match Arc::try_unwrap(self.0) {
            Ok(output) => output.into_inner().unwrap_or_else(PoisonError::into_inner).commit(),
            // The engine was finished: nobody else holds it.
            Err(_) => Ok(()),
        }
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
