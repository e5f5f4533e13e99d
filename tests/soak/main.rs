//! Days of running in minutes: memory and disk stay as they are after the first hours, and no entry is lost. Time is that of the
//! packets, so it may pass as fast as the machine reads. `make soak` lets a month pass.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod lines;
mod recorder;
mod rest;

/// Simulated days, unless `HARSHARK_SOAK_DAYS` says so.
fn days() -> u64 {
    std::env::var("HARSHARK_SOAK_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(10)
}
