//! File > Export Objects > HAR…: the host's own list and save dialog, with one object, the HAR of the capture.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use super::guard::{Part, guard};
use super::host::{Host, Ptr, field, text};
use super::loaded::{self, Loaded, Which};
use super::{export, prefs};

/// `TAP_PACKET_DONT_REDRAW`, `TAP_PACKET_REDRAW`.
const NOTHING_NEW: c_int = 0;
const REDRAW: c_int = 1;

/// `export_object_entry_t`: allocated by us, freed by the host.
#[repr(C)]
struct Entry {
    packet: u32,
    host_name: *mut c_char,
    content_type: *mut c_char,
    file_name: *mut c_char,
    len: usize,
    data: *mut u8,
}

/// `export_object_list_t`.
#[repr(C)]
struct List {
    add: Option<unsafe extern "C" fn(Ptr, *mut Entry)>,
    read: Option<unsafe extern "C" fn(Ptr, c_int) -> *mut Entry>,
    window: Ptr,
}

static TAP: AtomicI32 = AtomicI32::new(-1);

/// Adds the menu entry.
pub(super) fn register(host: &Host, protocol: c_int) {
    // SAFETY: a function that stays; nothing to clean up after a list.
    TAP.store(unsafe { (host.register_export_object)(protocol, take, None) }, Relaxed);
}

fn is_wanted(host: &Host) -> bool {
    let tap = TAP.load(Relaxed);
    // SAFETY: the number that the host gave.
    tap >= 0 && unsafe { (host.have_tap_listener)(tap) }.to_le_bytes()[0] != 0
}

/// Called for every packet: the last one brings the object, when the list is open.
///
/// # Safety
/// `packet` is what the host handed to the post-dissector.
pub(super) unsafe fn queue(host: &Host, packet: Ptr) {
    if !is_wanted(host) {
        return;
    }
    // SAFETY: the caller's word, and the number that the host gave.
    unsafe {
        let number: u32 = field(packet, host.layout.packet_num);
        if loaded::count(host, field(packet, host.layout.packet_session)) == Some(number) {
            (host.tap_queue_packet)(TAP.load(Relaxed), packet, null::<c_void>());
        }
    }
}

/// The capture is closed: whoever asked for objects without a window gets none, and learns of a better way.
pub(super) fn closed(host: &'static Host) {
    if !host.has_windows() && is_wanted(host) {
        host.report("--export-objects has no HAR: use -z har,FILE");
    }
}

unsafe extern "C" fn take(list: Ptr, packet: Ptr, _dissect: Ptr, _info: Ptr, _flags: c_uint) -> c_int {
    guard(Part::Objects, NOTHING_NEW, |host| {
        if list.is_null() || packet.is_null() || !host.has_windows() {
            return NOTHING_NEW;
        }
        let Some(loaded) = Loaded::look(host, Which::All) else { return NOTHING_NEW };
        let har = prefs::options()
            .map_err(|error| error.to_string())
            .and_then(|options| export::to_memory(host, &loaded, &options));
        let (har, entries) = match har {
            Ok(har) => har,
            Err(message) => {
                host.report(&format!("No HAR could be made: {message}"));
                return NOTHING_NEW;
            }
        };
        let name = if loaded.is_temporary { "capture".into() } else { loaded.stem() };
        // SAFETY: the host's list, and an entry in the host's own memory, which it frees with all that it points to; zeroed
        // memory for no bytes is null.
        unsafe {
            let list = &*list.cast::<List>();
            let Some(add) = list.add else { return NOTHING_NEW };
            let entry: *mut Entry = (host.g_malloc0)(size_of::<Entry>()).cast();
            let data: *mut u8 = (host.g_malloc0)(har.len()).cast();
            if entry.is_null() || data.is_null() {
                return NOTHING_NEW;
            }
            data.copy_from_nonoverlapping(har.as_ptr(), har.len());
            let copy = |words: &str| (host.g_strdup)(text(words).as_ptr());
            entry.write(Entry {
                packet: field(packet, host.layout.packet_num),
                host_name: copy(&entries),
                content_type: copy("application/json"),
                file_name: copy(&format!("{name}.har")),
                len: har.len(),
                data,
            });
            add(list.window, entry);
        }
        REDRAW
    })
}
