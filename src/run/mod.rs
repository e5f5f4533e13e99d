//! Floor 8: files in, one ordered HAR out.

mod output;
mod pipe;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use output::{Output, Target};

use crate::base::Spool;
use crate::capture::{self, CaptureError, Captures, Item, Progress, secrets_ahead};
use crate::engine::{Engine, Options, Seen};
use crate::har;
use crate::tls::{KeyLog, KeyLogReport, SecretSource};

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One HAR 1.2 document, ordered.
    Har,
    /// One entry a line, as soon as it is complete.
    Ndjson,
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
    /// Files with TLS secrets.
    pub key_logs: Vec<PathBuf>,
    /// How to convert.
    pub options: Options,
    /// Folder of the temporary file; the system's when `None`.
    pub temporary: Option<PathBuf>,
    /// Set from outside to end reading early; what was read is written.
    pub stop: Arc<AtomicBool>,
}

/// Why a conversion did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A key log cannot be read.
    #[error("key log {path}: {error}", path = path.display())]
    KeyLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
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

/// Converts. `watch` is told how far the reading has come.
pub fn run(job: &Job, watch: &mut dyn FnMut(Progress)) -> Result<Report, RunError> {
    let limits = &job.options.limits;
    let mut captures = pipe::open(&job.captures, limits, &job.stop)?;
    let mut output = Output::open(&job.target, &job.captures)?;
    let keys = KeyLog::new(limits);
    let mut report = KeyLogReport::default();
    for path in &job.key_logs {
        let text = std::fs::read(path).map_err(|error| RunError::KeyLog { path: path.clone(), error })?;
        report.add(keys.parse(&text, SecretSource::KeyLog));
    }
    for path in job.captures.iter().filter(|path| path.as_os_str() != "-") {
        // Secrets that stand behind the packets they serve; a file that cannot be read is told of by the reader.
        let _ = secrets_ahead(path, limits, &mut |secrets| {
            if secrets.kind == capture::SecretsKind::TlsKeyLog {
                keys.parse(secrets.data, SecretSource::Capture);
            }
        });
    }
    let spool = Spool::new(limits.spool_memory, job.temporary.clone());
    let writer = match job.format {
        Format::Har => har::Writer::new(job.options.har.clone(), limits),
        Format::Ndjson => har::Writer::lines(job.options.har.clone(), limits),
    };
    let mut engine = Engine::new(&job.options, keys, writer, spool);
    let folder = || job.temporary.clone().unwrap_or_else(std::env::temp_dir);
    let spool_error = |error| RunError::Spool { folder: folder(), error };
    let output_error = |error| RunError::Output { target: job.target.name(), error };
    let mut failure = None;
    let mut frames = 0u64;
    let is_live = job.format == Format::Ndjson;
    loop {
        match captures.next() {
            Ok(Some(Item::Frame(frame))) => engine.push(&frame),
            Ok(Some(Item::Secrets(secrets))) => engine.secrets(&secrets),
            Ok(None) => break,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        frames += 1;
        if is_live && engine.has_lines() {
            engine.write_lines(&mut output).and_then(|()| output.flush()).map_err(output_error)?;
        }
        if frames.is_multiple_of(LOOK) {
            watch(captures.progress());
            if let Some(error) = engine.spool_failure() {
                return Err(spool_error(error));
            }
            if job.stop.load(Relaxed) {
                break;
            }
        }
    }
    watch(captures.progress());
    let capture = captures.facts();
    if let Some(error) = failure.take_if(|_| capture.frames == 0) {
        return Err(error.into());
    }
    let (mut writer, mut spool, seen) = engine.finish();
    if let Some(error) = spool.failure() {
        return Err(spool_error(error));
    }
    let facts = har::CaptureFacts {
        files: capture.files.iter().map(|path| path.display().to_string()).collect(),
        packets: capture.frames,
        first: capture.first,
        last: capture.last,
        link_types: capture.link_types.iter().copied().collect(),
        anomalies: seen.anomalies.clone(),
    };
    let summary = writer.finish(&facts, &mut spool, &mut output).map_err(output_error)?;
    output.commit()?;
    let is_stopped = job.stop.load(Relaxed);
    Ok(Report { summary, capture, seen, keys: report, is_stopped, failure })
}
