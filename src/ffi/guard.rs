//! The guard that every call goes through: statuses, pointers, panics, and the text of what failed.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::engine::options::OptionError;
use crate::run::RunError;

/// What a call came to; the numbers of `include/harshark.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Status {
    Ok = 0,
    Cancelled = 1,
    Argument = -1,
    Order = -2,
    Busy = -3,
    Option = -4,
    Capture = -5,
    Output = -6,
    Temporary = -7,
    KeyLog = -8,
    Panic = -9,
    System = -10,
}

/// A status that is not [`Status::Ok`], and what to tell people.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: Status,
    text: String,
}

impl Fault {
    pub(super) fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn cancelled() -> Self {
        Self::new(Status::Cancelled, "cancelled by the caller")
    }
}

impl From<RunError> for Fault {
    fn from(error: RunError) -> Self {
        let status = match &error {
            RunError::Capture(_) => Status::Capture,
            RunError::Secrets { .. } | RunError::Psk(_) => Status::KeyLog,
            RunError::Output { .. } | RunError::OverwritesCapture(_) => Status::Output,
            RunError::Spool { .. } => Status::Temporary,
            RunError::Thread(_) => Status::System,
        };
        Self::new(status, error.to_string())
    }
}

impl From<OptionError> for Fault {
    fn from(error: OptionError) -> Self {
        Self::new(Status::Option, error.to_string())
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

pub(super) fn last_error() -> *const c_char {
    // While the thread ends there is no text any more.
    LAST_ERROR.try_with(|text| text.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// Text for C, which ends at its first NUL.
pub(super) fn c_text(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    bytes.retain(|&byte| byte != 0);
    CString::new(bytes).unwrap_or_default()
}

fn keep(fault: &Fault) {
    let _ = LAST_ERROR.try_with(|text| *text.borrow_mut() = c_text(fault.text.as_str()));
}

/// Does the work of a call; a fault or panic is kept as text and gives `otherwise`.
pub(super) fn guard<R>(otherwise: impl FnOnce(Status) -> R, work: impl FnOnce() -> Result<R, Fault>) -> R {
    let fault = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(result)) => return result,
        Ok(Err(fault)) => fault,
        Err(panic) => Fault::new(Status::Panic, format!("fault in harshark: {}", words(&*panic))),
    };
    keep(&fault);
    otherwise(fault.status)
}

/// [`guard`] for calls that give a status.
pub(super) fn status(work: impl FnOnce() -> Result<(), Fault>) -> c_int {
    guard(|status| status as c_int, || work().map(|()| Status::Ok as c_int))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no details")
}

fn null(what: &str) -> Fault {
    Fault::new(Status::Argument, format!("{what} is NULL"))
}

/// Borrows what a pointer points at.
///
/// # Safety
/// A pointer that is not NULL points at a valid `T` for `'a`.
pub(super) unsafe fn borrow<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, Fault> {
    // SAFETY: the caller vouches for pointers that are not NULL.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(what))
}

/// Borrows bytes; NULL is right when there are none.
///
/// # Safety
/// `data` is NULL or points at `len` bytes that nobody changes during `'a`.
pub(super) unsafe fn bytes<'a>(data: *const u8, len: usize, what: &str) -> Result<&'a [u8], Fault> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(what));
    }
    if isize::try_from(len).is_err() {
        return Err(Fault::new(Status::Argument, format!("{what} is longer than memory")));
    }
    // SAFETY: not NULL, and the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// Borrows text that ends with NUL.
///
/// # Safety
/// `text` is NULL or points at bytes that end with NUL and that nobody changes during `'a`.
pub(super) unsafe fn c_str<'a>(text: *const c_char, what: &str) -> Result<&'a CStr, Fault> {
    if text.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, and the caller vouches for the rest.
    Ok(unsafe { CStr::from_ptr(text) })
}

/// Borrows UTF-8 text that ends with NUL.
///
/// # Safety
/// As [`c_str`].
pub(super) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Fault> {
    // SAFETY: the caller vouches for it.
    let text = unsafe { c_str(text, what) }?;
    text.to_str().map_err(|_| Fault::new(Status::Argument, format!("{what} is not UTF-8")))
}

/// A path; on Unix in any encoding.
///
/// # Safety
/// As [`c_str`].
pub(super) unsafe fn path(path: *const c_char, what: &str) -> Result<PathBuf, Fault> {
    // SAFETY: the caller vouches for it.
    let path = unsafe { c_str(path, what) }?;
    if path.is_empty() {
        return Err(Fault::new(Status::Argument, format!("{what} is empty")));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())))
    }
    #[cfg(not(unix))]
    {
        let text = path.to_str().map_err(|_| Fault::new(Status::Argument, format!("{what} is not UTF-8")))?;
        Ok(PathBuf::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let status = status(|| panic!("on {}", "purpose"));
        std::panic::set_hook(hook);
        assert_eq!(status, Status::Panic as c_int);
        // SAFETY: the text stays until the next fault of this thread.
        let text = unsafe { CStr::from_ptr(last_error()) };
        assert_eq!(text.to_str().unwrap(), "fault in harshark: on purpose");
    }

    #[test]
    fn text_for_c_has_no_nul() {
        assert_eq!(c_text("a\0b").as_c_str(), c"ab");
    }
}
