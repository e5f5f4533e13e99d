//! HAR out: to a file, or through a callback; of what is there so far, or of all.

use std::ffi::{c_char, c_int, c_void};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::guard::{self, Fault, Status, status};
use super::session::{Handle, Inner, Stage, out_of_order, with};
use super::watch::Watched;
use crate::har::{Summary, WriteError};
use crate::run::{Output, Target};

/// `harshark_sink`: takes bytes; anything but 0 ends the writing.
type Sink = unsafe extern "C" fn(user: *mut c_void, data: *const c_void, length: usize) -> c_int;

/// Bytes that a callback is given at once.
const BUFFER: usize = 64 << 10;

impl Inner {
    fn write_to(&mut self, out: &mut dyn Write) -> Result<Summary, WriteError> {
        match &mut self.stage {
            Stage::Open(session) => session.snapshot(out),
            Stage::Ended(ended) => ended.write(out),
            Stage::New | Stage::Converted(_) | Stage::Failed => {
                Err(WriteError::Output(io::Error::other("there is nothing to write")))
            }
        }
    }

    /// Writes what there is, as long as the caller does not cancel.
    fn write(&mut self, out: &mut impl Write, name: &str) -> Result<(), Fault> {
        match self.stage {
            Stage::New => drop(self.open()?),
            Stage::Open(_) | Stage::Ended(_) => {}
            Stage::Converted(_) => return Err(out_of_order("harshark_convert has written the HAR")),
            Stage::Failed => return Err(out_of_order("the session could not be finished")),
        }
        let mut watched = Watched::new(out, self.watch);
        let summary = match self.write_to(&mut watched) {
            Ok(summary) => summary,
            Err(_) if watched.is_cancelled => return Err(Fault::cancelled()),
            Err(error @ WriteError::Spool(_)) => return Err(Fault::new(Status::Temporary, error.to_string())),
            Err(WriteError::Output(error)) => {
                return Err(Fault::new(Status::Output, format!("{name}: cannot write: {error}")));
            }
        };
        self.written = Some(summary);
        Ok(())
    }

    fn write_file(&mut self, path: PathBuf) -> Result<(), Fault> {
        let target = Target::File(path);
        let mut output = Output::open(&target, &[])?;
        self.write(&mut output, &target.name())?;
        Ok(output.commit()?)
    }

    fn rotate_file(&mut self, path: PathBuf) -> Result<(), Fault> {
        if !matches!(self.stage, Stage::New | Stage::Open(_)) {
            return Err(out_of_order("a finished session is not rotated"));
        }
        self.write_file(path)?;
        self.open()?.rotate();
        Ok(())
    }
}

/// What the caller takes bytes with.
struct Callback {
    sink: Sink,
    user: *mut c_void,
    is_refused: bool,
}

impl Write for Callback {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_refused {
            return Err(io::Error::other("refused"));
        }
        // SAFETY: the caller gave the function together with its pointer, for this call; the bytes are ours.
        self.is_refused = unsafe { (self.sink)(self.user, bytes.as_ptr().cast(), bytes.len()) } != 0;
        if self.is_refused { Err(io::Error::other("refused")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the HAR to a file.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_write_file(session: *mut Handle, path: *const c_char) -> c_int {
    status(|| {
        // SAFETY: the caller vouches for both.
        unsafe {
            let path = guard::path(path, "path")?;
            with(session, |inner| inner.write_file(path))
        }
    })
}

/// Writes the HAR to a file, and begins a new one.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_rotate_file(session: *mut Handle, path: *const c_char) -> c_int {
    status(|| {
        // SAFETY: the caller vouches for both.
        unsafe {
            let path = guard::path(path, "path")?;
            with(session, |inner| inner.rotate_file(path))
        }
    })
}

/// Writes the HAR through a callback.
///
/// # Safety
/// `session` is NULL or valid; `sink` may be called with `user` during this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_write(session: *mut Handle, sink: Option<Sink>, user: *mut c_void) -> c_int {
    status(|| {
        let sink = sink.ok_or_else(|| Fault::new(Status::Argument, "sink is NULL"))?;
        let callback = Callback { sink, user, is_refused: false };
        // SAFETY: the caller vouches for it.
        unsafe {
            with(session, |inner| {
                let mut out = BufWriter::with_capacity(BUFFER, callback);
                let written = inner.write(&mut out, "callback");
                // What is left in the buffer must not be written while it is dropped.
                let flushed = if written.is_ok() { out.flush() } else { Ok(()) };
                let (callback, _) = out.into_parts();
                match (written, flushed) {
                    _ if callback.is_refused => Err(Fault::cancelled()),
                    (Err(fault), _) => Err(fault),
                    (Ok(()), Err(error)) => Err(Fault::new(Status::Output, error.to_string())),
                    (Ok(()), Ok(())) => Ok(()),
                }
            })
        }
    })
}
