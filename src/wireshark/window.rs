//! What the host shows for us: dialogs, progress in the status bar, and text windows. In Wireshark only.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use super::guard::{Part, guard, quietly};
use super::host::{Host, Ptr, field, from_host, text};
use super::layout::funnel;
use super::prefs::keep;

/// How often progress is shown: often enough for a stop button that feels alive.
const PACE: Duration = Duration::from_millis(40);

type NewTextWindow = unsafe extern "C" fn(Ptr, *const c_char) -> Ptr;
type SetText = unsafe extern "C" fn(Ptr, *const c_char);
type AddButton = unsafe extern "C" fn(Ptr, *mut Button, *const c_char);
type NewDialog = unsafe extern "C" fn(
    Ptr,
    *const c_char,
    *const *const c_char,
    *const *const c_char,
    unsafe extern "C" fn(*const *const c_char, Ptr),
    Ptr,
    Option<unsafe extern "C" fn(Ptr)>,
);
type OpenFile = unsafe extern "C" fn(*const c_char);
type NewProgress = unsafe extern "C" fn(Ptr, *const c_char, *const c_char, c_int, Ptr) -> Ptr;
type UpdateProgress = unsafe extern "C" fn(Ptr, f32, *const c_char);
type DestroyProgress = unsafe extern "C" fn(Ptr);

/// `funnel_bt_t`.
#[repr(C)]
struct Button {
    window: Ptr,
    press: unsafe extern "C" fn(Ptr, Ptr) -> c_int,
    data: Ptr,
    free: Option<unsafe extern "C" fn(Ptr)>,
    free_data: Option<unsafe extern "C" fn(Ptr)>,
}

/// A function of the host's window table, and the table's id.
///
/// # Safety
/// `F` is the type of the function at `offset`.
unsafe fn operation<F: Copy>(host: &Host, offset: usize) -> Option<(F, Ptr)> {
    // SAFETY: the table is the host's and stays; functions are as large as pointers, and those that are there are not null.
    unsafe {
        let table = (host.funnel_get_funnel_ops)();
        if table.is_null() || field::<*const c_void>(table, offset).is_null() {
            return None;
        }
        let id: Ptr = field(table, funnel::ID);
        (!id.is_null()).then(|| (field::<F>(table, offset), id))
    }
}

/// Asks for values; `answer` is called with them later, and not at all when the user thinks better of it.
pub(super) fn ask(host: &Host, title: &str, fields: &[(&str, String)], answer: Box<dyn FnOnce(Vec<String>)>) -> bool {
    // SAFETY: the type of this function.
    let Some((dialog, id)) = (unsafe { operation::<NewDialog>(host, funnel::NEW_DIALOG) }) else { return false };
    let names: Vec<CString> = fields.iter().map(|(name, _)| text(name)).collect();
    let values: Vec<CString> = fields.iter().map(|(_, value)| text(value)).collect();
    let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([null()]).collect::<Vec<_>>();
    let data = Box::into_raw(Box::new(Some(answer))).cast();
    let title = text(title);
    // SAFETY: two lists that end with null, of which the host copies the texts; the data is freed by the function beside it.
    unsafe {
        dialog(id, title.as_ptr(), pointers(&names).as_ptr(), pointers(&values).as_ptr(), answered, data, Some(forget))
    };
    true
}

type Answer = Option<Box<dyn FnOnce(Vec<String>)>>;

unsafe extern "C" fn answered(values: *const *const c_char, data: Ptr) {
    guard(Part::Menu, (), |_| {
        if values.is_null() || data.is_null() {
            return;
        }
        // SAFETY: the data is the answer that `ask` boxed, freed later; the list ends with null.
        let (answer, texts) = unsafe {
            let texts = (0..).map_while(|at| from_host(values.add(at).read())).collect();
            ((*data.cast::<Answer>()).take(), texts)
        };
        if let Some(answer) = answer {
            answer(texts);
        }
    });
}

unsafe extern "C" fn forget(data: Ptr) {
    if !data.is_null() {
        // SAFETY: boxed by `ask`; the host calls this once, at the end of the dialog.
        quietly(|| drop(unsafe { Box::from_raw(data.cast::<Answer>()) }));
    }
}

/// Shows text in a window of its own, with a button that opens a folder.
pub(super) fn show(host: &Host, title: &str, words: &str, folder: Option<&Path>) {
    let (title, words) = (text(title), text(words));
    // SAFETY: the types of these functions; the window is the host's. The button stays, for nobody tells when it is gone: some
    // bytes for each export.
    unsafe {
        let Some((open, id)) = operation::<NewTextWindow>(host, funnel::NEW_TEXT_WINDOW) else { return };
        let window = open(id, title.as_ptr());
        if window.is_null() {
            return;
        }
        if let Some((set, _)) = operation::<SetText>(host, funnel::SET_TEXT) {
            set(window, words.as_ptr());
        }
        if let Some(folder) = folder.and_then(Path::to_str)
            && let Some((add, _)) = operation::<AddButton>(host, funnel::ADD_BUTTON)
        {
            let data = keep(folder).cast_mut().cast();
            let button = Box::leak(Box::new(Button { window, press: open_folder, data, free: None, free_data: None }));
            add(window, button, c"Open folder".as_ptr());
        }
    }
}

unsafe extern "C" fn open_folder(_window: Ptr, data: Ptr) -> c_int {
    guard(Part::Menu, (), |host| {
        // SAFETY: the type of this function; the data is the text that was kept for it.
        if let Some((open, _)) = unsafe { operation::<OpenFile>(host, host.layout.funnel_open_file) }
            && !data.is_null()
        {
            // SAFETY: as above.
            unsafe { open(data.cast()) };
        }
    });
    1
}

/// Progress in the status bar, with a stop button.
pub(super) struct Progress {
    host: &'static Host,
    window: Ptr,
    stop: *mut u8,
    shown: Instant,
}

impl Progress {
    /// Shows it. `stop` is the host's own stop flag: its button writes there and nowhere else.
    ///
    /// # Safety
    /// `stop` is null or stays valid until the progress is dropped.
    #[allow(clippy::disallowed_methods, reason = "people wait in front of this")]
    pub(super) unsafe fn new(host: &'static Host, task: &str, stop: *mut u8) -> Self {
        let task = text(task);
        // SAFETY: the type of this function; texts are copied; the flag is the caller's word. Versions with a flag of four
        // bytes are little-endian as all others: its low byte says all.
        let window = unsafe {
            if !stop.is_null() {
                stop.write_volatile(0);
            }
            operation::<NewProgress>(host, host.layout.funnel_progress)
                .map_or(null_mut(), |(open, id)| open(id, c"HAR".as_ptr(), task.as_ptr(), 1, stop.cast()))
        };
        Self { host, window, stop, shown: Instant::now() }
    }

    /// Shows how far it is, from 0 to 1, when it is time to; false when the user wants to stop. The host works on other events
    /// meanwhile.
    #[allow(clippy::disallowed_methods, reason = "people wait in front of this")]
    pub(super) fn goes_on(&mut self, part: f32, task: &str) -> bool {
        if self.shown.elapsed() >= PACE {
            self.shown = Instant::now();
            let task = text(task);
            if !self.window.is_null() {
                // SAFETY: the type of this function, and a window it made.
                unsafe {
                    if let Some((update, _)) =
                        operation::<UpdateProgress>(self.host, self.host.layout.funnel_progress + 8)
                    {
                        update(self.window, part, task.as_ptr());
                    }
                }
            }
        }
        // SAFETY: the word given to `new`.
        self.stop.is_null() || unsafe { self.stop.read_volatile() } == 0
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.window.is_null() {
            // SAFETY: the type of this function, and a window it made.
            unsafe {
                if let Some((destroy, _)) =
                    operation::<DestroyProgress>(self.host, self.host.layout.funnel_progress + 16)
                {
                    destroy(self.window);
                }
            }
        }
    }
}
