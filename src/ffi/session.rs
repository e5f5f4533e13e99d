//! Sessions: frames and secrets in.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, TryLockError};

use super::frame::Frame;
use super::guard::{self, Fault, Status, c_text, guard, status};
use super::summary::Told;
use super::watch::{Phase, Progress, Watch};
use crate::capture::{Secrets, SecretsKind};
use crate::engine::Options;
use crate::har::Summary;
use crate::run::{Ended, Report, Session};
use crate::tls::{KeyLog, KeyLogTail, SecretSource};

/// Bytes of a capture taken between two calls of the progress callback.
const STEP: usize = 256 << 10;
/// Frames between two calls of the progress callback.
const LOOK: u64 = 1024;

/// `harshark_session`: opaque to C.
pub struct Handle(Mutex<Inner>);

/// The header lets sessions move between threads; of their parts only the callback's pointer is left to the caller.
const _: fn() = || {
    fn moves<T: Send>() {}
    moves::<(Session, Ended, Report, KeyLog, KeyLogTail)>();
};

pub(super) struct Inner {
    pub(super) options: Options,
    name: String,
    keys: KeyLog,
    tail: KeyLogTail,
    pub(super) stage: Stage,
    pub(super) watch: Watch,
    /// Bytes of frames or captures taken.
    taken: u64,
    /// Frames pushed, and the number of the last.
    frames: u64,
    number: u64,
    is_cancelled: bool,
    /// What was written last.
    pub(super) written: Option<Summary>,
    /// The text that the caller was given last.
    text: CString,
}

pub(super) enum Stage {
    /// Options may still be set.
    New,
    Open(Box<Session>),
    Ended(Box<Ended>),
    Converted(Box<Report>),
    /// It could not be ended.
    Failed,
}

impl Handle {
    /// The session, for this call alone.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Inner>, Fault> {
        match self.0.try_lock() {
            Ok(inner) => Ok(inner),
            Err(TryLockError::WouldBlock) => {
                Err(Fault::new(Status::Busy, "another call works on this session, or this is one of its callbacks"))
            }
            Err(TryLockError::Poisoned(_)) => {
                Err(Fault::new(Status::Panic, "this session broke in an earlier call; only harshark_free is left"))
            }
        }
    }
}

pub(super) fn out_of_order(text: &str) -> Fault {
    Fault::new(Status::Order, text)
}

impl Inner {
    fn new(name: &str) -> Self {
        Self {
            options: Options::default(),
            name: name.to_owned(),
            keys: KeyLog::default(),
            tail: KeyLogTail::default(),
            stage: Stage::New,
            watch: Watch::NONE,
            taken: 0,
            frames: 0,
            number: 0,
            is_cancelled: false,
            written: None,
            text: CString::default(),
        }
    }

    /// The session that takes frames, opened by the first.
    pub(super) fn open(&mut self) -> Result<&mut Session, Fault> {
        if matches!(self.stage, Stage::New) {
            self.stage = Stage::Open(Box::new(Session::new(&self.options, &self.name, self.keys.clone())));
        }
        match &mut self.stage {
            Stage::Open(session) => Ok(session),
            _ => Err(out_of_order("the session is finished")),
        }
    }

    /// Asks the caller whether to go on.
    fn look(&mut self) -> Result<(), Fault> {
        self.is_cancelled = self.is_cancelled || !self.watch.goes_on(Phase::Reading, self.taken, 0);
        if self.is_cancelled { Err(Fault::cancelled()) } else { Ok(()) }
    }

    fn push(&mut self, frame: &Frame) -> Result<(), Fault> {
        if self.frames.is_multiple_of(LOOK) || self.is_cancelled {
            self.look()?;
        }
        let next = self.number.saturating_add(1);
        // SAFETY: the caller of harshark_push_frame vouches for its pointers.
        let frame = unsafe { frame.read(next) }?;
        let (number, len) = (frame.number.0, frame.data.len());
        let session = self.open()?;
        let pushed = session.push(&frame);
        self.frames += 1;
        self.number = number;
        self.taken = self.taken.saturating_add(len as u64);
        pushed.map_err(|error| Fault::new(Status::Temporary, error.to_string()))
    }

    fn push_capture(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.open()?;
        for piece in bytes.chunks(STEP) {
            self.look()?;
            self.taken = self.taken.saturating_add(piece.len() as u64);
            self.open()?.push_capture(piece)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.open()?;
        self.tail.finish(SecretSource::KeyLog, &self.keys);
        if let Stage::Open(session) = std::mem::replace(&mut self.stage, Stage::Failed) {
            self.stage = Stage::Ended(Box::new(session.end()?));
        }
        Ok(())
    }

    /// Frames that are held back wait for nothing when nothing comes.
    fn poll(&mut self) {
        if let Stage::Open(session) = &mut self.stage {
            session.poll();
        }
    }

    fn counts(&self) -> (u64, u64) {
        match &self.stage {
            Stage::New | Stage::Failed => (0, 0),
            Stage::Open(session) => (session.packets(), session.summary().entries),
            Stage::Ended(ended) => (ended.packets(), ended.summary().entries),
            Stage::Converted(report) => (report.capture.frames, report.summary.entries),
        }
    }

    fn told(&self) -> Told<'_> {
        let written = self.written.as_ref();
        match &self.stage {
            Stage::New | Stage::Failed => Told::default(),
            Stage::Open(session) => Told {
                packets: session.packets(),
                summary: Some(session.summary()),
                dropped: session.dropped(),
                damage: session.damage().iter().map(ToString::to_string).collect(),
                disorder: session.disorder(),
                ..Told::default()
            },
            Stage::Ended(ended) => Told {
                packets: ended.packets(),
                summary: written.or(Some(ended.summary())),
                seen: Some(ended.seen()),
                dropped: ended.dropped(),
                damage: ended.damage().iter().map(ToString::to_string).collect(),
                disorder: ended.disorder(),
                is_finished: true,
            },
            Stage::Converted(report) => Told {
                packets: report.capture.frames,
                summary: Some(&report.summary),
                seen: Some(&report.seen),
                dropped: report.capture.dropped,
                disorder: report.capture.disorder,
                damage: report
                    .capture
                    .damage
                    .iter()
                    .map(ToString::to_string)
                    .chain(report.failure.iter().map(ToString::to_string))
                    .collect(),
                is_finished: true,
            },
        }
    }
}

/// Borrows the session of a call and works on it.
///
/// # Safety
/// `session` is NULL or came from [`harshark_new`] and was not freed.
pub(super) unsafe fn with<R>(
    session: *const Handle,
    work: impl FnOnce(&mut Inner) -> Result<R, Fault>,
) -> Result<R, Fault> {
    // SAFETY: the caller vouches for it.
    let handle = unsafe { guard::borrow(session, "session") }?;
    work(&mut *handle.lock()?)
}

/// A session for a capture of this name.
///
/// # Safety
/// `capture_name` is NULL or text that ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_new(capture_name: *const c_char) -> *mut Handle {
    guard(
        |_| std::ptr::null_mut(),
        || {
            // SAFETY: the caller vouches for it.
            let name = unsafe { guard::text(capture_name, "capture_name") }?;
            Ok(Box::into_raw(Box::new(Handle(Mutex::new(Inner::new(name))))))
        },
    )
}

/// Frees a session.
///
/// # Safety
/// `session` is NULL or came from [`harshark_new`] and was not freed; no other call works on it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_free(session: *mut Handle) {
    guard(
        |_| (),
        || {
            // SAFETY: the caller vouches for it.
            let Some(handle) = (unsafe { session.as_ref() }) else { return Ok(()) };
            if let Err(TryLockError::WouldBlock) = handle.0.try_lock() {
                return Err(Fault::new(Status::Busy, "a session cannot be freed while a call works on it"));
            }
            // SAFETY: it was made by Box::into_raw, and nobody holds it.
            drop(unsafe { Box::from_raw(session) });
            Ok(())
        },
    );
}

/// Sets an option; before the first frame.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_set_option(session: *mut Handle, name: *const c_char, value: *const c_char) -> c_int {
    status(|| {
        // SAFETY: the caller vouches for all three.
        let (name, value) = unsafe { (guard::text(name, "name")?, guard::text(value, "value")?) };
        // SAFETY: as above.
        unsafe {
            with(session, |inner| match inner.stage {
                Stage::New => Ok(inner.options.set(name, value)?),
                _ => Err(out_of_order("options are set before the first frame")),
            })
        }
    })
}

/// Sets who is told how far a call has come; NULL is nobody.
///
/// # Safety
/// `session` is valid; `callback` may be called with `user` as long as the session lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_set_progress(
    session: *mut Handle,
    callback: Option<Progress>,
    user: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: the caller vouches for it.
        unsafe {
            with(session, |inner| {
                inner.watch = Watch::new(callback, user);
                Ok(())
            })
        }
    })
}

/// Takes one frame.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_push_frame(session: *mut Handle, frame: *const Frame) -> c_int {
    status(|| {
        // SAFETY: the caller vouches for both.
        unsafe {
            let frame = guard::borrow(frame, "frame")?;
            with(session, |inner| inner.push(frame))
        }
    })
}

/// Takes bytes of a capture.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_push_capture(session: *mut Handle, data: *const c_void, length: usize) -> c_int {
    status(|| {
        // SAFETY: the caller vouches for both.
        unsafe {
            let bytes = guard::bytes(data.cast(), length, "data")?;
            with(session, |inner| inner.push_capture(bytes))
        }
    })
}

/// Takes secrets that were found in the capture.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_push_secrets(
    session: *mut Handle,
    kind: u32,
    data: *const c_void,
    length: usize,
) -> c_int {
    /// An NSS key log, as pcapng numbers it.
    const TLS_KEY_LOG: u32 = 0x544c_534b;
    status(|| {
        // SAFETY: the caller vouches for both.
        unsafe {
            let data = guard::bytes(data.cast(), length, "data")?;
            let kind = if kind == TLS_KEY_LOG { SecretsKind::TlsKeyLog } else { SecretsKind::Other(kind) };
            with(session, |inner| {
                inner.open()?.secrets(&Secrets { kind, data });
                Ok(())
            })
        }
    })
}

/// Takes what was appended to a key log.
///
/// # Safety
/// Pointers are NULL or valid, as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_push_key_log(session: *mut Handle, data: *const c_void, length: usize) -> c_int {
    status(|| {
        // SAFETY: the caller vouches for both.
        unsafe {
            let text = guard::bytes(data.cast(), length, "data")?;
            with(session, |inner| {
                inner.open()?;
                inner.tail.push(text, SecretSource::KeyLog, &inner.keys);
                Ok(())
            })
        }
    })
}

/// The capture is over.
///
/// # Safety
/// `session` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_finish(session: *mut Handle) -> c_int {
    // SAFETY: the caller vouches for it.
    status(|| unsafe { with(session, Inner::finish) })
}

/// Frames taken; 0 also when the session cannot be asked.
///
/// # Safety
/// `session` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_packets(session: *const Handle) -> u64 {
    // SAFETY: the caller vouches for it.
    guard(|_| 0, || unsafe { with(session, |inner| Ok(inner.counts().0)) })
}

/// Entries that are over; 0 also when the session cannot be asked.
///
/// # Safety
/// `session` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_entries(session: *const Handle) -> u64 {
    // SAFETY: the caller vouches for it.
    guard(
        |_| 0,
        || unsafe {
            with(session, |inner| {
                inner.poll();
                Ok(inner.counts().1)
            })
        },
    )
}

/// What came of it so far, as JSON.
///
/// # Safety
/// `session` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harshark_summary(session: *mut Handle) -> *const c_char {
    guard(
        |_| std::ptr::null(),
        || {
            // SAFETY: the caller vouches for it.
            unsafe {
                with(session, |inner| {
                    inner.text = c_text(inner.told().json());
                    Ok(inner.text.as_ptr())
                })
            }
        },
    )
}
