//! Floor 9: the C ABI that `include/harshark.h` describes.
//!
//! Each function goes through one guard: pointers are checked, a panic becomes a status, and the text of what failed is kept
//! for the thread that called. A session sits behind a lock that is only ever tried: a call from a callback, or from a second
//! thread, is told that the session is busy instead of waiting for itself.
#![allow(unsafe_code, reason = "C calls in and hands over pointers; every block says why it is sound")]

mod convert;
mod frame;
mod guard;
mod options;
mod session;
mod summary;
mod watch;
mod write;

use std::ffi::c_char;

/// Changes when something that was there changes; what is added leaves it as it is.
const ABI: u32 = 1;

/// Number of the ABI.
#[unsafe(no_mangle)]
pub extern "C" fn harshark_abi() -> u32 {
    ABI
}

/// Version of the library, as text that is always there.
#[unsafe(no_mangle)]
pub extern "C" fn harshark_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Text of the last call of this thread that failed; empty when none did.
#[unsafe(no_mangle)]
pub extern "C" fn harshark_last_error() -> *const c_char {
    guard::last_error()
}
