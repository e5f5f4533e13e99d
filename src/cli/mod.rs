//! Floor 9: the command line.

pub mod args;
mod logger;
mod progress;
mod report;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use args::Args;

use crate::run::{Job, RunError, run};

/// Done, but a capture is damaged: something may be missing.
const DAMAGED: u8 = 1;
/// Wrong usage, or a file that cannot be read or written.
const FAILED: u8 = 2;

/// Runs the command with these words.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    if words.get(1).is_some_and(|word| word == "--man") {
        return man();
    }
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are printed to standard output, usage faults to standard error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
        }
    };
    if let Err(message) = logger::start(&args) {
        return fail(&message);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    if let Err(error) = ctrlc::set_handler(move || asked.store(true, Relaxed)) {
        log::warn!("an interrupt will not finish the HAR: {error}");
    }
    convert(args, stop)
}

/// The manual page, for whoever installs it.
fn man() -> ExitCode {
    match clap_mangen::Man::new(args::command()).render(&mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("standard output: {error}")),
    }
}

#[allow(clippy::disallowed_methods, reason = "the doors may look at a clock: this is what the run took")]
fn convert(args: Args, stop: Arc<AtomicBool>) -> ExitCode {
    let started = Instant::now();
    let mut bar = progress::Bar::new(args.quiet);
    let job = Job {
        captures: args.captures,
        target: args.target,
        format: args.format,
        secrets: args.secrets,
        options: args.options,
        temporary: args.temporary,
        jobs: args.jobs,
        stop,
    };
    let result = run(&job, &mut |progress| bar.show(progress));
    bar.clear();
    let report = match result {
        Ok(report) => report,
        Err(error) if error.is_closed_pipe() => return ExitCode::SUCCESS,
        Err(error) => return fail(&advice(&error)),
    };
    if args.log.is_some() {
        report::log(&report, &job);
    }
    if args.quiet {
        report::print_damage(&report);
    } else {
        report::print(&report, &job, args.verbose);
    }
    if args.resource_usage {
        report::print_usage(&report, started.elapsed());
    }
    if report.is_damaged() { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS }
}

/// What went wrong, and what to do.
fn advice(error: &RunError) -> String {
    let hint = match error {
        RunError::OverwritesCapture(_) => "\nname another file with -o",
        RunError::Spool { .. } => "\nname a folder with more room with --temporary",
        RunError::Output { error, .. }
            if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) =>
        {
            "\nmake room there, or name a file on another disk with -o"
        }
        RunError::Output { error, .. } if error.kind() == ErrorKind::PermissionDenied => {
            "\nname a file in a folder you may write to with -o, or - for standard output"
        }
        _ => "",
    };
    format!("{error}{hint}")
}

#[allow(clippy::print_stderr, reason = "this is where a command says what failed")]
fn fail(message: &str) -> ExitCode {
    eprintln!("harshark: {message}");
    ExitCode::from(FAILED)
}
