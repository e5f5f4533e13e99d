//! Capture files to one HAR in one call.

use std::ffi::{c_char, c_int};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::guard::{self, Fault, status};
use super::session::{Handle, Inner, Stage, out_of_order, with};
use super::watch::Phase;
use crate::run::{Format, Job, Target, UserSecrets, run};

impl Inner {
    fn convert(&mut self, captures: Vec<PathBuf>, key_logs: Vec<PathBuf>, target: Target) -> Result<(), Fault> {
        if !matches!(self.stage, Stage::New) {
            return Err(out_of_order("a session that has frames, or is finished, converts no files"));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let options = self.options.clone();
        let secrets = UserSecrets { key_logs, ..UserSecrets::default() };
        let job = Job {
            captures,
            target,
            format: Format::Har,
            secrets,
            options,
            temporary: None,
            jobs: 0,
            stop: stop.clone(),
        };
        let watch = self.watch;
        let report = run(&job, &mut |progress| {
            if !watch.goes_on(Phase::Reading, progress.read, progress.total.unwrap_or(0)) {
                stop.store(true, Relaxed);
            }
        })?;
        let is_stopped = report.is_stopped;
        self.stage = Stage::Converted(Box::new(report));
        if is_stopped { Err(Fault::cancelled()) } else { Ok(()) }
    }
}

/// # Safety
/// `paths` is NULL or points at `count` texts that end with NUL.
unsafe fn paths(paths: *const *const c_char, count: usize, what: &str) -> Result<Vec<PathBuf>, Fault> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if paths.is_null() {
        return Err(Fault::new(guard::Status::Argument, format!("{what} is NULL")));
    }
    // SAFETY: the caller vouches for each of the `count` pointers, and `at` is below it.
    (0..count).map(|at| unsafe { guard::path(*paths.add(at), what) }).collect()
}

/// Converts files.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_convert(
    session: *mut Handle,
    captures: *const *const c_char,
    capture_count: usize,
    key_logs: *const *const c_char,
    key_log_count: usize,
    har: *const c_char,
) -> c_int {
    status(|| {
        if capture_count == 0 {
            return Err(Fault::new(guard::Status::Argument, "there is no capture to convert"));
        }
        // SAFETY: the caller vouches for all of them.
        unsafe {
            let captures = paths(captures, capture_count, "captures")?;
            let key_logs = paths(key_logs, key_log_count, "key_logs")?;
            let har = guard::path(har, "har")?;
            let target = if har.as_os_str() == "-" { Target::Stdout } else { Target::File(har) };
            with(session, |inner| inner.convert(captures, key_logs, target))
        }
    })
}
