//! What the loader of the host looks for, and the registration it leads to.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use super::guard::{Part, guard};
use super::host::{self, Host, ProtoPlugin};
use super::layout::layout;
use super::{fields, menu, objects, prefs, tap};

/// `WS_PLUGIN_DESC_DISSECTOR` and `WS_PLUGIN_DESC_TAP_LISTENER`.
const DISSECTOR_AND_TAP: u32 = 1 | 1 << 3;

const VERSION: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();

/// The plugin's own version: an array of characters, as `char plugin_version[]`.
#[unsafe(no_mangle)]
pub static plugin_version: [u8; VERSION.len()] = {
    let mut version = [0; VERSION.len()];
    version.copy_from_slice(VERSION);
    version
};

/// The host this was made for: `const int` to the loader, which reads it after the constructors have run.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the loader's name")]
pub static plugin_want_major: AtomicI32 = AtomicI32::new(4);

/// The minor version: 0 until the constructor has found a host it knows.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the loader's name")]
pub static plugin_want_minor: AtomicI32 = AtomicI32::new(0);

/// Runs when the library is loaded, before the loader of the host looks at it.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    // Nothing here can panic or allocate much: other programs load this library too. Miri runs it as well, and knows no libraries.
    if !cfg!(miri)
        && let Some((major, minor)) = host::version()
        && layout(major, minor).is_some()
    {
        plugin_want_minor.store(minor, Relaxed);
    }
}

/// What kind of plugin it is.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_describe() -> u32 {
    DISSECTOR_AND_TAP
}

/// Called once when the host has accepted the plugin.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_register() {
    // The message of a panic goes to the guard, which hands it to the host.
    std::panic::set_hook(Box::new(|_| ()));
    match std::panic::catch_unwind(Host::find) {
        Ok(Ok(_)) => {}
        Ok(Err(missing)) => return complain(&missing),
        Err(_) => return,
    }
    guard(Part::Start, (), |host| {
        let plugin =
            Box::leak(Box::new(ProtoPlugin { register_protoinfo: Some(register), register_handoff: Some(hand_off) }));
        // SAFETY: the host keeps the pointer; it stays.
        unsafe { (host.proto_register_plugin)(plugin) };
        tap::announce(host);
    });
}

#[allow(clippy::print_stderr, reason = "the host's own way to report is among what may be missing")]
fn complain(missing: &str) {
    eprintln!("harshark: {missing}; the HAR plugin stays off");
}

extern "C" fn register() {
    guard(Part::Start, (), |host| {
        let (name, short, filter): (&CStr, &CStr, &CStr) = (c"HTTP Archive", c"HAR", c"har");
        // SAFETY: texts that stay.
        let protocol: c_int =
            unsafe { (host.proto_register_protocol)(name.as_ptr(), short.as_ptr(), filter.as_ptr().cast::<c_char>()) };
        prefs::register(host, protocol);
        fields::register(host, protocol);
        objects::register(host, protocol);
        menu::register(host, protocol);
    });
}

extern "C" fn hand_off() {
    guard(Part::Start, (), fields::hand_off);
}
