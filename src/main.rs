//! The `harshark` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    harshark::cli::main(std::env::args_os())
}
