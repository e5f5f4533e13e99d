//! The plugin in real hosts. Tests say why they skip where a host, a display or a right is missing; tests/tools.sh installs what
//! Debian has.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests stop at any fault and say why they skip"
)]

mod fields;
mod gui;
mod host;
mod live;
mod misfortune;
mod tap;
mod versions;
