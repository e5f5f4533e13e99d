//! The page HAR of the host's preferences: every option of the engine, and what only the plugin has.

use std::ffi::{CString, c_char, c_int};
use std::path::PathBuf;
use std::ptr::null;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering::Relaxed};

use super::host::{EnumValue, Host, Ptr, from_host, text};
use crate::engine::Options;
use crate::engine::options::{Kind, OPTIONS, OptionError, Spec};

/// `pref_current`: the value in use, not the one being edited.
const CURRENT: c_int = 2;

/// Options that one preference, `bodies`, stands for.
const BODIES: [&str; 2] = ["request-bodies", "response-bodies"];

/// A value that the host writes to. It is given the address once and keeps it.
enum Cell {
    /// The host writes one byte or four, by version: the low byte counts.
    Switch(AtomicI32),
    /// Which word of a choice.
    Choice(AtomicI32),
    /// Text the host owns.
    Text(AtomicPtr<c_char>),
}

impl Cell {
    fn is_on(&self) -> bool {
        matches!(self, Cell::Switch(value) if value.load(Relaxed).to_le_bytes()[0] != 0)
    }

    fn text(&self) -> String {
        match self {
            // SAFETY: the host keeps the text until it writes another pointer, on this same thread.
            Cell::Text(value) => unsafe { from_host(value.load(Relaxed)) }.unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// All preferences.
struct Page {
    bodies: Cell,
    fields: Cell,
    folder: Cell,
    options: Vec<(&'static Spec, Cell)>,
}

static PAGE: OnceLock<Page> = OnceLock::new();

/// Adds the page.
pub(super) fn register(host: &Host, protocol: c_int) {
    let page = PAGE.get_or_init(|| Page {
        bodies: Cell::Switch(AtomicI32::new(1)),
        fields: Cell::Switch(AtomicI32::new(1)),
        folder: Cell::Text(AtomicPtr::default()),
        options: OPTIONS.iter().filter(|spec| !BODIES.contains(&spec.name)).map(|spec| (spec, cell(spec))).collect(),
    });
    // SAFETY: the protocol was registered; no callback.
    let module = unsafe { (host.prefs_register_protocol)(protocol, None) };
    if module.is_null() {
        return;
    }
    let add = |name: &str, title: &str, help: &str, kind: Kind, cell: &'static Cell| {
        add(host, module, name, title, help, kind, cell)
    };
    add(
        "fields",
        "Show har.* fields",
        "Follow HTTP while packets are dissected and show what each belongs to",
        Kind::Switch,
        &page.fields,
    );
    add("bodies", "Bodies", "Keep the bodies of requests and responses", Kind::Switch, &page.bodies);
    let folder = "Folder in which Export as HAR saves first; empty: beside the capture";
    let (name, title, help) = (keep("folder"), keep("Default folder"), keep(folder));
    if let Cell::Text(value) = &page.folder {
        // SAFETY: texts and the value stay as long as the program.
        unsafe { (host.prefs_register_directory_preference)(module, name, title, help, value.as_ptr().cast()) };
    }
    for (spec, cell) in &page.options {
        add(&spec.name.replace('-', "_"), &title_of(spec.name), spec.help, spec.kind, cell);
    }
}

fn cell(spec: &Spec) -> Cell {
    match spec.kind {
        Kind::Switch => Cell::Switch(AtomicI32::new(i32::from(spec.default == "true"))),
        Kind::Choice(words) => {
            let at = words.iter().position(|word| *word == spec.default).unwrap_or(0);
            Cell::Choice(AtomicI32::new(at as i32))
        }
        Kind::Bytes | Kind::List | Kind::Text => Cell::Text(AtomicPtr::new(keep(spec.default).cast_mut())),
    }
}

fn add(host: &Host, module: Ptr, name: &str, title: &str, help: &str, kind: Kind, cell: &'static Cell) {
    let (name, title, help) = (keep(name), keep(title), keep(help));
    // SAFETY: the module is the host's; texts, values and the list of words stay as long as the program.
    unsafe {
        match cell {
            Cell::Switch(value) => {
                (host.prefs_register_bool_preference)(module, name, title, help, value.as_ptr().cast());
            }
            Cell::Choice(value) => {
                let Kind::Choice(words) = kind else { return };
                let mut list: Vec<EnumValue> = words
                    .iter()
                    .zip(0..)
                    .map(|(word, value)| EnumValue { name: keep(word), description: keep(word), value })
                    .collect();
                list.push(EnumValue { name: null(), description: null(), value: 0 });
                let list = list.leak().as_ptr();
                (host.prefs_register_enum_preference)(module, name, title, help, value.as_ptr(), list, 0);
            }
            Cell::Text(value) => {
                (host.prefs_register_string_preference)(module, name, title, help, value.as_ptr().cast());
            }
        }
    }
}

/// A copy for the host, which keeps such pointers for as long as it runs; made once for each preference and field.
pub(super) fn keep(words: &str) -> *const c_char {
    CString::into_raw(text(words))
}

/// `max-body-size` becomes `Max body size`.
fn title_of(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// True when `har.*` fields are wanted.
pub(super) fn wants_fields() -> bool {
    PAGE.get().is_some_and(|page| page.fields.is_on())
}

/// The folder to save in.
pub(super) fn folder() -> Option<PathBuf> {
    let folder = PAGE.get()?.folder.text();
    (!folder.is_empty()).then(|| folder.into())
}

/// The options as the preferences have them.
pub(super) fn options() -> Result<Options, OptionError> {
    let mut options = Options::default();
    let Some(page) = PAGE.get() else { return Ok(options) };
    for name in BODIES {
        options.set(name, if page.bodies.is_on() { "true" } else { "false" })?;
    }
    for (spec, cell) in &page.options {
        match (cell, spec.kind) {
            (Cell::Switch(_), _) => options.set(spec.name, if cell.is_on() { "true" } else { "false" })?,
            (Cell::Choice(value), Kind::Choice(words)) => {
                let word = usize::try_from(value.load(Relaxed)).ok().and_then(|at| words.get(at));
                options.set(spec.name, word.unwrap_or(&spec.default))?;
            }
            (_, Kind::List) => {
                let text = cell.text();
                for item in text.split([' ', ',']).filter(|item| !item.is_empty()) {
                    options.set(spec.name, item)?;
                }
            }
            _ => {
                let text = cell.text();
                if !text.is_empty() {
                    options.set(spec.name, &text)?;
                }
            }
        }
    }
    Ok(options)
}

/// The key log that the host's TLS dissector uses.
pub(super) fn key_log(host: &Host) -> Option<PathBuf> {
    // SAFETY: what one function returns is passed to the next, nothing that is null; the text is copied at once.
    let path = unsafe {
        let module = (host.prefs_find_module)(c"tls".as_ptr());
        if module.is_null() {
            return None;
        }
        let preference = (host.prefs_find_preference)(module, c"keylog_file".as_ptr());
        if preference.is_null() {
            return None;
        }
        from_host((host.prefs_get_string_value)(preference, CURRENT))?
    };
    (!path.is_empty()).then(|| path.into())
}
