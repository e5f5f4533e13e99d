//! libharshark, found and loaded when we start: the engine behind the C ABI of include/harshark.h.
#![allow(unsafe_code, reason = "the library speaks C; every block says why it is sound")]

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The ABI that we know.
const ABI: u32 = 1;

/// An option of the engine.
#[derive(Debug)]
pub struct EngineOption {
    pub name: String,
    pub kind: Kind,
    pub default: String,
    pub choices: Vec<String>,
    pub help: String,
}

/// What its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Switch,
    Choice,
    Text,
}

/// `harshark_option`.
#[repr(C)]
struct RawOption {
    name: *const c_char,
    kind: c_int,
    default_value: *const c_char,
    choices: *const c_char,
    help: *const c_char,
}

/// `harshark_session`.
#[repr(C)]
struct RawSession {
    _opaque: [u8; 0],
}

type Call = unsafe extern "C" fn(*mut RawSession) -> c_int;
type WithText = unsafe extern "C" fn(*mut RawSession, *const c_char) -> c_int;
type WithBytes = unsafe extern "C" fn(*mut RawSession, *const c_void, usize) -> c_int;

/// The loaded library.
pub struct Library {
    last_error: unsafe extern "C" fn() -> *const c_char,
    option_count: unsafe extern "C" fn() -> usize,
    option_at: unsafe extern "C" fn(usize, *mut RawOption) -> c_int,
    new: unsafe extern "C" fn(*const c_char) -> *mut RawSession,
    free: unsafe extern "C" fn(*mut RawSession),
    set_option: unsafe extern "C" fn(*mut RawSession, *const c_char, *const c_char) -> c_int,
    push_capture: WithBytes,
    push_key_log: WithBytes,
    finish: Call,
    write_file: WithText,
    rotate_file: WithText,
    entries: unsafe extern "C" fn(*const RawSession) -> u64,
    summary: unsafe extern "C" fn(*mut RawSession) -> *const c_char,
    /// Last, so that it is unloaded after everything else.
    _library: libloading::Library,
}

/// Where the library may be, likeliest first.
fn places() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("HARSHARK_LIBRARY").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let names = ["libharshark.so", "libharshark.so.0", "harshark.so"];
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(own.map(Path::to_owned));
    // prefix/lib/…/wireshark/extcap, prefix/libexec/wireshark/extcap, prefix/bin
    for up in own.into_iter().flat_map(|own| own.ancestors().skip(1).take(4)) {
        folders.extend([up.join("lib"), up.to_owned(), up.join("plugins")]);
    }
    folders.extend(home.iter().flat_map(|home| [home.join(".local/lib"), home.join(".local/lib/wireshark/plugins")]));
    folders.extend(["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"].map(PathBuf::from));
    folders.push("/usr/lib/x86_64-linux-gnu/wireshark/plugins".into());
    folders.push("/usr/lib/wireshark/plugins".into());
    folders.push("/usr/lib64/wireshark/plugins".into());
    let mut places: Vec<PathBuf> = Vec::new();
    for folder in folders {
        places.extend(names.map(|name| folder.join(name)));
        if folder.ends_with("plugins") {
            // One folder for each version of Wireshark, newest last.
            let mut versions: Vec<PathBuf> =
                std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            versions.sort();
            places.extend(versions.iter().rev().map(|version| version.join("epan/harshark.so")));
        }
    }
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

impl Library {
    /// Loads the first library that is there.
    pub fn find() -> Result<Self, String> {
        let places = places();
        let mut tried = Vec::new();
        for place in &places {
            if !place.exists() {
                tried.push(format!("  {}: not there", place.display()));
                continue;
            }
            match Self::load(place) {
                Ok(library) => return Ok(library),
                Err(error) => tried.push(format!("  {}: {error}", place.display())),
            }
        }
        Err(format!(
            "libharshark was not found; name it with HARSHARK_LIBRARY. It was looked for here:\n{}",
            tried.join("\n")
        ))
    }

    fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: our own library; what runs when it is loaded touches nothing of ours.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
        // SAFETY: the types are those of include/harshark.h for this ABI, which is asked for first.
        unsafe {
            macro_rules! call {
                ($name:literal) => {
                    *library
                        .get($name)
                        .map_err(|_| format!("is not libharshark: {} is missing", String::from_utf8_lossy($name)))?
                };
            }
            let abi: unsafe extern "C" fn() -> u32 = call!(b"harshark_abi");
            let found = abi();
            if found != ABI {
                return Err(format!("speaks ABI {found}, not {ABI}"));
            }
            Ok(Self {
                last_error: call!(b"harshark_last_error"),
                option_count: call!(b"harshark_option_count"),
                option_at: call!(b"harshark_option_at"),
                new: call!(b"harshark_new"),
                free: call!(b"harshark_free"),
                set_option: call!(b"harshark_set_option"),
                push_capture: call!(b"harshark_push_capture"),
                push_key_log: call!(b"harshark_push_key_log"),
                finish: call!(b"harshark_finish"),
                write_file: call!(b"harshark_write_file"),
                rotate_file: call!(b"harshark_rotate_file"),
                entries: call!(b"harshark_entries"),
                summary: call!(b"harshark_summary"),
                _library: library,
            })
        }
    }

    /// The table of options.
    pub fn options(&self) -> Result<Vec<EngineOption>, String> {
        // SAFETY: no arguments.
        let count = unsafe { (self.option_count)() };
        let option = |index| {
            let null = std::ptr::null();
            let mut raw = RawOption { name: null, kind: 0, default_value: null, choices: null, help: null };
            // SAFETY: there is room for one option.
            self.check(unsafe { (self.option_at)(index, &raw mut raw) })?;
            // SAFETY: texts of options live as long as the library.
            let [name, default, choices, help] =
                unsafe { [raw.name, raw.default_value, raw.choices, raw.help].map(|text| from_c(text)) };
            let kind = match raw.kind {
                0 => Kind::Switch,
                2 => Kind::Choice,
                _ => Kind::Text,
            };
            let choices = choices.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
            Ok(EngineOption { name, kind, default, choices, help })
        };
        (0..count).map(option).collect()
    }

    /// A session for a capture of this name.
    pub fn session(&self, name: &str) -> Result<Session<'_>, String> {
        let name = c_text(name.as_bytes())?;
        // SAFETY: text that ends with NUL.
        let raw = unsafe { (self.new)(name.as_ptr()) };
        if raw.is_null() { Err(self.error()) } else { Ok(Session { library: self, raw }) }
    }

    fn error(&self) -> String {
        // SAFETY: the text stays until the next failure of this thread, and is copied before.
        unsafe { from_c((self.last_error)()) }
    }

    fn check(&self, status: c_int) -> Result<(), String> {
        if status == 0 { Ok(()) } else { Err(self.error()) }
    }
}

/// # Safety
/// NULL, or text that ends with NUL.
unsafe fn from_c(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn c_text(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| "a text with a NUL byte in it".to_owned())
}

/// A session of the library, used by one thread.
pub struct Session<'l> {
    library: &'l Library,
    raw: *mut RawSession,
}

impl Session<'_> {
    pub fn set_option(&self, name: &str, value: &str) -> Result<(), String> {
        let (name, value) = (c_text(name.as_bytes())?, c_text(value.as_bytes())?);
        // SAFETY: the session is ours, the texts end with NUL.
        self.library.check(unsafe { (self.library.set_option)(self.raw, name.as_ptr(), value.as_ptr()) })
    }

    pub fn push_capture(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.with_bytes(self.library.push_capture, bytes)
    }

    pub fn push_key_log(&mut self, text: &[u8]) -> Result<(), String> {
        self.with_bytes(self.library.push_key_log, text)
    }

    pub fn finish(&mut self) -> Result<(), String> {
        // SAFETY: the session is ours.
        self.library.check(unsafe { (self.library.finish)(self.raw) })
    }

    pub fn write_file(&mut self, path: &Path) -> Result<(), String> {
        self.with_path(self.library.write_file, path.as_os_str())
    }

    pub fn rotate_file(&mut self, path: &Path) -> Result<(), String> {
        self.with_path(self.library.rotate_file, path.as_os_str())
    }

    pub fn entries(&self) -> u64 {
        // SAFETY: the session is ours.
        unsafe { (self.library.entries)(self.raw) }
    }

    /// What came of it, as JSON.
    pub fn summary(&mut self) -> Option<serde_json::Value> {
        // SAFETY: the session is ours; its text stays until the next call, and is read before.
        let text = unsafe { from_c((self.library.summary)(self.raw)) };
        serde_json::from_str(&text).ok()
    }

    fn with_bytes(&self, call: WithBytes, bytes: &[u8]) -> Result<(), String> {
        // SAFETY: the session is ours, the bytes are there.
        self.library.check(unsafe { call(self.raw, bytes.as_ptr().cast(), bytes.len()) })
    }

    fn with_path(&self, call: WithText, path: &OsStr) -> Result<(), String> {
        let path = c_text(path.as_bytes())?;
        // SAFETY: the session is ours, the path ends with NUL.
        self.library.check(unsafe { call(self.raw, path.as_ptr()) })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from the library and is freed once.
        unsafe { (self.library.free)(self.raw) }
    }
}
