//! The `harshark` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    keep_memory();
    harshark::cli::main(std::env::args_os())
}

/// Bodies come and go by the thousand. What one of them took is kept for the next: the system would have to clear it each time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the allocator speaks C")]
fn keep_memory() {
    const LARGEST: libc::c_int = 32 << 20;
    // SAFETY: both only set a number, before any other thread runs.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGEST);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}
