//! hardump: records a HAR while Wireshark or tshark captures.
//!
//! It is an [extcap](https://www.wireshark.org/docs/man-pages/extcap.html) program: the host asks it for its interface and its
//! configuration, then lets it capture into a FIFO. dumpcap does the capturing; its bytes go on to the host untouched, and to
//! the engine through the C ABI of libharshark, from which a HAR grows.

mod arguments;
mod config;
mod control;
mod drops;
mod dumpcap;
mod fifo;
mod keylog;
mod library;
mod parts;
mod record;

use std::process::ExitCode;

use arguments::{Arguments, Task};
use library::Library;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let arguments = Arguments::parse(std::env::args_os().skip(1))?;
    match arguments.task {
        Task::Help => show(config::HELP),
        Task::Version => show(&format!("hardump {}\n", env!("CARGO_PKG_VERSION"))),
        Task::Interfaces => show(&config::interfaces()),
        Task::LinkTypes => show(&config::link_types()),
        Task::Configuration => show(&config::arguments(&dumpcap::interfaces(), &Library::find()?.options()?)),
        Task::Filter => show(&arguments.filter.as_deref().and_then(dumpcap::fault).unwrap_or_default()),
        Task::Capture => record::record(&arguments, &Library::find()?),
    }
}

/// The host reads what it asked for from standard output.
fn show(text: &str) -> Result<(), String> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

/// The host shows its user what a failing extcap writes to standard error.
#[allow(clippy::print_stderr, reason = "the host reads it there")]
fn complain(message: &str) {
    eprintln!("hardump: {message}");
}
