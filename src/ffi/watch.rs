//! The callback that is told how far a call has come, and may cancel it.

use std::ffi::{c_int, c_void};
use std::io::{self, Write};

/// `harshark_progress`: what is done, bytes done, bytes in all or 0; anything but 0 cancels.
pub(super) type Progress = unsafe extern "C" fn(user: *mut c_void, phase: c_int, done: u64, total: u64) -> c_int;

/// What is done, for the callback.
#[derive(Clone, Copy)]
#[repr(i32)]
pub(super) enum Phase {
    Reading = 1,
    Writing = 2,
}

/// Who is told.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    callback: Option<Progress>,
    user: *mut c_void,
}

impl Watch {
    /// Nobody.
    pub(super) const NONE: Self = Self { callback: None, user: std::ptr::null_mut() };

    pub(super) fn new(callback: Option<Progress>, user: *mut c_void) -> Self {
        Self { callback, user }
    }

    /// False when the caller cancels.
    pub(super) fn goes_on(&self, phase: Phase, done: u64, total: u64) -> bool {
        // SAFETY: the caller gave the function together with its pointer, for the life of the session.
        self.callback.is_none_or(|callback| unsafe { callback(self.user, phase as c_int, done, total) } == 0)
    }
}

/// Bytes written between two calls of the callback.
const STEP: u64 = 1 << 20;

/// Lets bytes pass as long as the caller does not cancel.
pub(super) struct Watched<'w, W> {
    into: &'w mut W,
    watch: Watch,
    done: u64,
    told: u64,
    pub(super) is_cancelled: bool,
}

impl<'w, W: Write> Watched<'w, W> {
    pub(super) fn new(into: &'w mut W, watch: Watch) -> Self {
        Self { into, watch, done: 0, told: 0, is_cancelled: false }
    }
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.done == 0 || self.done - self.told >= STEP {
            self.told = self.done;
            self.is_cancelled = self.is_cancelled || !self.watch.goes_on(Phase::Writing, self.done, 0);
        }
        if self.is_cancelled {
            return Err(io::Error::other("cancelled"));
        }
        let len = self.into.write(bytes)?;
        self.done += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
