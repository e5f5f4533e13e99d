//! What happens when something outside fails: the program is killed, disks are full, readers go away, captures change or break
//! while they are read. The target file is old or new and never half; what was found is kept; the message says what to do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail by panic and tell why it was skipped"
)]
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod changing;
mod closed;
mod full;
mod killed;
mod scene;
mod secrets;
mod stopped;
mod tail;
