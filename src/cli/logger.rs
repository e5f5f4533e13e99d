//! Where log lines go: standard error, or the file of `--log`.

use std::fs::File;

use env_logger::{Builder, Target};
use log::LevelFilter;

use super::args::Args;

/// Starts logging.
pub(super) fn start(args: &Args) -> Result<(), String> {
    let level = match (args.quiet, args.verbose, &args.log) {
        (true, ..) => LevelFilter::Error,
        (_, 0, None) => LevelFilter::Warn,
        (_, 0, Some(_)) | (_, 1, _) => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    let mut builder = Builder::new();
    builder.filter_level(level).format_target(false).format_timestamp(None);
    if let Some(path) = &args.log {
        let file = File::create(path).map_err(|error| format!("log file {}: {error}", path.display()))?;
        builder.target(Target::Pipe(Box::new(file)));
    }
    builder.try_init().map_err(|error| error.to_string())
}
