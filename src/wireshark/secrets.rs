//! Secrets of the capture that the host has open: its key log file while it grows, and those inside the capture.

use std::cell::{Cell, RefCell};
use std::ffi::{c_uint, c_void};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use zeroize::Zeroizing;

use super::guard::{Part, guard};
use super::host::{Host, Ptr, field};
use super::{loaded, prefs};
use crate::base::Limits;
use crate::capture::{SecretsKind, secrets_ahead};
use crate::tls::{KeyLog, KeyLogTail, SecretSource};

/// `SECRETS_TYPE_TLS` of pcapng.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Frames between two looks at a key log that may have grown.
const LOOK: u64 = 64;
/// Bytes read of it at once.
const PIECE: usize = 4 << 10;

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
    /// The file of libwiretap that our callback was given to.
    static ATTACHED: Cell<Ptr> = const { Cell::new(null_mut()) };
    /// True while libwiretap tells again what the host was told already.
    static IS_REPLAY: Cell<bool> = const { Cell::new(false) };
}

/// The secrets of the capture that is open.
struct Open {
    keys: KeyLog,
    follower: Option<Follower>,
    frames: u64,
}

/// Forgets the capture.
pub(super) fn reset() {
    OPEN.with_borrow_mut(Option::take);
    ATTACHED.set(null_mut());
}

/// The secrets, for an engine.
pub(super) fn keys() -> KeyLog {
    OPEN.with_borrow_mut(|open| open.get_or_insert_with(Open::new).keys.clone())
}

impl Open {
    fn new() -> Self {
        let keys = KeyLog::new(&Limits::default());
        let path = Host::get().and_then(prefs::key_log);
        Self { keys, follower: path.map(Follower::new), frames: 0 }
    }
}

/// Called for each frame: asks libwiretap for the secrets of the file behind `session`, and looks whether the key log grew.
pub(super) fn attend(host: &Host, session: Ptr) {
    if session.is_null() {
        return;
    }
    // SAFETY: a session begins with a pointer to its provider, which begins with a pointer to the open file; neither is
    // freed while a frame is dissected.
    let file = unsafe {
        let provider: Ptr = field(session, 0);
        if provider.is_null() { null_mut() } else { field::<Ptr>(provider, 0) }
    };
    if !file.is_null() && ATTACHED.replace(file) != file {
        ahead(loaded::name(host, session).as_deref());
        IS_REPLAY.set(true);
        // SAFETY: an open file of libwiretap; the callback is a function of this library, which is not unloaded before it.
        unsafe { (host.wtap_set_cb_new_secrets)(file, Some(take)) };
        IS_REPLAY.set(false);
    }
    OPEN.with_borrow_mut(|open| {
        let open = open.get_or_insert_with(Open::new);
        open.frames += 1;
        if open.frames % LOOK == 1
            && let Some(follower) = &mut open.follower
        {
            follower.look(&open.keys);
        }
    });
}

/// The capture is over: what was written to the key log last.
pub(super) fn last_look() {
    OPEN.with_borrow_mut(|open| {
        if let Some(Open { follower: Some(follower), keys, .. }) = open {
            follower.look(keys);
        }
    });
}

/// Secrets that stand behind the packets they serve. A file that cannot be read so is read by libwiretap alone.
fn ahead(path: Option<&Path>) {
    let Some(path) = path.filter(|path| path.is_file()) else { return };
    let keys = keys();
    let _ = secrets_ahead(path, &Limits::default(), &mut |secrets| {
        if secrets.kind == SecretsKind::TlsKeyLog {
            keys.parse(secrets.data, SecretSource::InCapture);
        }
    });
}

/// libwiretap found secrets in the capture.
unsafe extern "C" fn take(kind: u32, secrets: *const c_void, len: c_uint) {
    if !IS_REPLAY.get()
        && let Some(host) = Host::get()
    {
        // SAFETY: the arguments as they came: this is the function the callback took the place of.
        unsafe { (host.secrets_wtap_callback)(kind, secrets, len) };
    }
    guard(Part::Secrets, (), |_| {
        if kind == TLS_KEY_LOG && !secrets.is_null() {
            // SAFETY: not null, and libwiretap's word on the length.
            let secrets = unsafe { std::slice::from_raw_parts(secrets.cast::<u8>(), len as usize) };
            keys().parse(secrets, SecretSource::InCapture);
        }
    });
}

/// A key log that may grow, or not be there yet.
struct Follower {
    path: PathBuf,
    file: Option<File>,
    tail: KeyLogTail,
}

impl Follower {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, tail: KeyLogTail::default() }
    }

    fn look(&mut self, keys: &KeyLog) {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        let mut piece = Zeroizing::new([0; PIECE]);
        while let Ok(len @ 1..) = file.read(&mut *piece) {
            self.tail.push(piece.get(..len).unwrap_or_default(), SecretSource::KeyLog, keys);
        }
    }
}
