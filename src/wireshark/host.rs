//! The functions of the host, found at run time: so one binary serves every version, and loads without any.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use libloading::os::unix::Library;

use super::layout::{self, Layout};

/// A pointer to one of the host's structures.
pub(super) type Ptr = *mut c_void;
/// A function without arguments.
pub(super) type Plain = extern "C" fn();
/// A dissector.
pub(super) type Dissect = unsafe extern "C" fn(tvb: Ptr, packet: Ptr, tree: Ptr, data: Ptr) -> c_int;
/// What a tap calls for each packet.
pub(super) type TapPacket =
    unsafe extern "C" fn(data: Ptr, packet: Ptr, dissect: Ptr, info: Ptr, flags: c_uint) -> c_int;
/// What a tap calls otherwise.
pub(super) type TapCall = unsafe extern "C" fn(data: Ptr);
/// What takes secrets of a capture.
pub(super) type Secrets = unsafe extern "C" fn(kind: u32, secrets: *const c_void, len: c_uint);
/// What a menu entry calls.
pub(super) type MenuCall = unsafe extern "C" fn(gui: c_int, object: Ptr, data: Ptr);

macro_rules! functions {
    ($($name:ident: $kind:ty,)*) => {
        /// The functions this plugin calls.
        #[derive(Clone, Copy)]
        pub(super) struct Functions { $(pub(super) $name: $kind,)* }

        impl Functions {
            /// All of them, or the name of the first that is missing.
            fn find(host: &Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        let name = concat!(stringify!($name), "\0");
                        // SAFETY: the type is the one the host's headers give the function of this name, in every version of
                        // the layout table; the host is not unloaded before its plugins.
                        match unsafe { host.get::<$kind>(name.as_bytes()) } {
                            Ok(function) => *function,
                            Err(_) => return Err(stringify!($name)),
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    proto_register_plugin: unsafe extern "C" fn(*const ProtoPlugin),
    proto_register_protocol: unsafe extern "C" fn(*const c_char, *const c_char, *const c_char) -> c_int,
    proto_register_field_array: unsafe extern "C" fn(c_int, Ptr, c_int),
    proto_register_subtree_array: unsafe extern "C" fn(*const *mut c_int, c_int),
    proto_item_add_subtree: unsafe extern "C" fn(Ptr, c_int) -> Ptr,
    proto_tree_add_item: unsafe extern "C" fn(Ptr, c_int, Ptr, c_int, c_int, c_uint) -> Ptr,
    proto_tree_add_uint: unsafe extern "C" fn(Ptr, c_int, Ptr, c_int, c_int, u32) -> Ptr,
    proto_tree_add_double: unsafe extern "C" fn(Ptr, c_int, Ptr, c_int, c_int, f64) -> Ptr,
    proto_tree_add_string: unsafe extern "C" fn(Ptr, c_int, Ptr, c_int, c_int, *const c_char) -> Ptr,
    proto_field_is_referenced: unsafe extern "C" fn(Ptr, c_int) -> c_int,
    create_dissector_handle: unsafe extern "C" fn(Dissect, c_int) -> Ptr,
    register_postdissector: unsafe extern "C" fn(Ptr),
    register_init_routine: unsafe extern "C" fn(Plain),
    register_cleanup_routine: unsafe extern "C" fn(Plain),
    tvb_captured_length: unsafe extern "C" fn(Ptr) -> c_uint,
    tvb_get_ptr: unsafe extern "C" fn(Ptr, c_int, c_int) -> *const u8,
    tap_register_plugin: unsafe extern "C" fn(*const TapPlugin),
    register_stat_tap_ui: unsafe extern "C" fn(*mut StatTapUi, Ptr),
    register_tap_listener:
        unsafe extern "C" fn(*const c_char, Ptr, *const c_char, c_uint, Option<TapCall>, TapPacket, TapCall, Option<TapCall>) -> Ptr,
    register_export_object: unsafe extern "C" fn(c_int, TapPacket, Option<Plain>) -> c_int,
    have_tap_listener: unsafe extern "C" fn(c_int) -> c_int,
    tap_queue_packet: unsafe extern "C" fn(c_int, Ptr, *const c_void),
    secrets_wtap_callback: Secrets,
    wtap_set_cb_new_secrets: unsafe extern "C" fn(Ptr, Option<Secrets>),
    wtap_open_offline: unsafe extern "C" fn(*const c_char, c_uint, *mut c_int, *mut *mut c_char, c_int) -> Ptr,
    wtap_read: unsafe extern "C" fn(Ptr, Ptr, Ptr, Ptr, Ptr, Ptr) -> c_int,
    wtap_rec_init: unsafe extern "C" fn(Ptr, usize),
    wtap_rec_reset: unsafe extern "C" fn(Ptr),
    wtap_rec_cleanup: unsafe extern "C" fn(Ptr),
    wtap_close: unsafe extern "C" fn(Ptr),
    wtap_read_so_far: unsafe extern "C" fn(Ptr) -> i64,
    wtap_file_size: unsafe extern "C" fn(Ptr, *mut c_int) -> i64,
    wtap_strerror: unsafe extern "C" fn(c_int) -> *const c_char,
    wtap_block_get_nth_string_option_value: unsafe extern "C" fn(Ptr, c_uint, c_uint, *mut *mut c_char) -> c_int,
    ws_buffer_init: unsafe extern "C" fn(Ptr, usize),
    ws_buffer_free: unsafe extern "C" fn(Ptr),
    prefs_register_protocol: unsafe extern "C" fn(c_int, Option<Plain>) -> Ptr,
    prefs_register_bool_preference: unsafe extern "C" fn(Ptr, *const c_char, *const c_char, *const c_char, Ptr),
    prefs_register_enum_preference:
        unsafe extern "C" fn(Ptr, *const c_char, *const c_char, *const c_char, *mut c_int, *const EnumValue, c_int),
    prefs_register_string_preference:
        unsafe extern "C" fn(Ptr, *const c_char, *const c_char, *const c_char, *mut *const c_char),
    prefs_register_directory_preference:
        unsafe extern "C" fn(Ptr, *const c_char, *const c_char, *const c_char, *mut *const c_char),
    prefs_find_module: unsafe extern "C" fn(*const c_char) -> Ptr,
    prefs_find_preference: unsafe extern "C" fn(Ptr, *const c_char) -> Ptr,
    prefs_get_string_value: unsafe extern "C" fn(Ptr, c_int) -> *const c_char,
    funnel_get_funnel_ops: unsafe extern "C" fn() -> *const c_void,
    plugin_if_get_capture_file: unsafe extern "C" fn(unsafe extern "C" fn(Ptr, Ptr) -> Ptr, Ptr) -> Ptr,
    frame_data_sequence_find: unsafe extern "C" fn(Ptr, u32) -> *const u8,
    ext_menubar_register_menu: unsafe extern "C" fn(c_int, *const c_char, c_int) -> Ptr,
    ext_menubar_set_parentmenu: unsafe extern "C" fn(Ptr, *const c_char) -> Ptr,
    ext_menubar_add_entry: unsafe extern "C" fn(Ptr, *const c_char, *const c_char, MenuCall, Ptr),
    report_failure: unsafe extern "C" fn(*const c_char, ...),
    g_malloc0: unsafe extern "C" fn(usize) -> Ptr,
    g_strdup: unsafe extern "C" fn(*const c_char) -> *mut c_char,
    g_free: unsafe extern "C" fn(Ptr),
}

/// `proto_plugin`.
#[repr(C)]
pub(super) struct ProtoPlugin {
    /// Called when protocols register.
    pub(super) register_protoinfo: Option<Plain>,
    /// Called when protocols find each other.
    pub(super) register_handoff: Option<Plain>,
}

/// `tap_plugin`.
#[repr(C)]
pub(super) struct TapPlugin {
    /// Called when taps register.
    pub(super) register_tap_listener: Option<Plain>,
}

/// `stat_tap_ui`.
#[repr(C)]
pub(super) struct StatTapUi {
    /// Group of the menu it would stand in.
    pub(super) group: c_int,
    /// Title.
    pub(super) title: *const c_char,
    /// Start of the `-z` argument.
    pub(super) cli_string: *const c_char,
    /// Called with the `-z` argument. 4.6 wants true for success, earlier versions ignore the result.
    pub(super) init: unsafe extern "C" fn(*const c_char, Ptr) -> u8,
    /// Number of parameters.
    pub(super) nparams: usize,
    /// Parameters that a dialog would ask for.
    pub(super) params: Ptr,
}

/// `enum_val_t`.
#[repr(C)]
pub(super) struct EnumValue {
    /// The word on the command line.
    pub(super) name: *const c_char,
    /// The words in dialogs.
    pub(super) description: *const c_char,
    /// The value.
    pub(super) value: c_int,
}

/// What is known of the host this plugin runs in.
pub(super) struct Host {
    functions: Functions,
    /// Offsets of its structures.
    pub(super) layout: &'static Layout,
    /// All of its symbols.
    pub(super) library: Library,
}

impl std::ops::Deref for Host {
    type Target = Functions;

    fn deref(&self) -> &Functions {
        &self.functions
    }
}

static HOST: OnceLock<Host> = OnceLock::new();

/// The version of the host, when there is one.
pub(super) fn version() -> Option<(c_int, c_int)> {
    let library = Library::this();
    // SAFETY: the type is the one of the host's headers.
    let ask = unsafe {
        library.get::<unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int)>(b"epan_get_version_number\0").ok()?
    };
    let (mut major, mut minor, mut micro) = (0, 0, 0);
    // SAFETY: three integers to write to, as it wants.
    unsafe { ask(&mut major, &mut minor, &mut micro) };
    Some((major, minor))
}

impl Host {
    /// Finds the host; says what is missing otherwise.
    pub(super) fn find() -> Result<&'static Self, String> {
        let (major, minor) = version().ok_or("this is no Wireshark")?;
        let layout = layout::layout(major, minor)
            .ok_or_else(|| format!("Wireshark {major}.{minor} is not known to this version of the plugin"))?;
        let library = Library::this();
        let functions = Functions::find(&library).map_err(|name| format!("this Wireshark has no function {name}"))?;
        Ok(HOST.get_or_init(|| Host { functions, layout, library }))
    }

    /// The host, once it was found.
    pub(super) fn get() -> Option<&'static Self> {
        HOST.get()
    }

    /// Shows a message: a box in Wireshark, a line on standard error in tshark. On the host's own thread only.
    pub(super) fn report(&self, message: &str) {
        let message = text(message);
        // SAFETY: a format with one string, and that string.
        unsafe { (self.report_failure)(c"%s".as_ptr(), message.as_ptr()) };
    }

    /// True in Wireshark itself: there are windows.
    pub(super) fn has_windows(&self) -> bool {
        // SAFETY: the table is the host's and stays; its first field is a pointer.
        unsafe {
            let table = (self.funnel_get_funnel_ops)();
            !table.is_null() && !table.byte_add(layout::funnel::ID).cast::<Ptr>().read().is_null()
        }
    }
}

/// A field of one of the host's structures.
///
/// # Safety
/// `base` is not null and points to a structure that has a `T` at `offset`.
pub(super) unsafe fn field<T: Copy>(base: *const c_void, offset: usize) -> T {
    // SAFETY: the caller's word; the layout table keeps the host's alignment, `read_unaligned` does not depend on it.
    unsafe { base.byte_add(offset).cast::<T>().read_unaligned() }
}

/// Text for the host: cut at a NUL.
pub(super) fn text(text: &str) -> CString {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(bytes.get(..end).unwrap_or_default()).unwrap_or_default()
}

/// Text of the host; nothing when null.
///
/// # Safety
/// `text` is null or ends with a NUL.
pub(super) unsafe fn from_host(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller's word.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
