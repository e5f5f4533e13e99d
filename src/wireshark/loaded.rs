//! What Wireshark has loaded: a copy of what an export needs, because the user may close it meanwhile.

use std::ffi::c_void;
use std::path::PathBuf;
use std::ptr::null_mut;

use super::guard::{Part, guard};
use super::host::{Host, Ptr, field, from_host};
use super::layout::{FRAME_OFFSET, frame_flag};

/// Which packets an export is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All.
    All,
    /// Those that the display filter lets pass.
    Displayed,
    /// Those that the user marked.
    Marked,
}

/// The capture that is loaded.
pub(super) struct Loaded {
    /// Its file, a temporary one while it is not saved.
    pub(super) path: PathBuf,
    /// True when the user has not given it a name.
    pub(super) is_temporary: bool,
    /// True while packets are captured or the file is read.
    pub(super) is_growing: bool,
    /// Its packets.
    pub(super) count: u32,
    /// The host's stop flag, in a structure that lives as long as Wireshark.
    pub(super) stop: *mut u8,
    /// Which frames are selected, by number from 1; nothing when all are.
    selected: Option<Vec<bool>>,
}

struct Search {
    which: Which,
    found: Option<Loaded>,
}

impl Loaded {
    /// What is loaded now; nothing when nothing is.
    pub(super) fn look(host: &Host, which: Which) -> Option<Self> {
        let mut search = Search { which, found: None };
        // SAFETY: the callback gets the search back, before this function returns.
        unsafe { (host.plugin_if_get_capture_file)(copy, (&raw mut search).cast()) };
        search.found
    }

    /// The name of the file without folders and ending.
    pub(super) fn stem(&self) -> String {
        self.path.file_stem().map_or_else(|| "capture".to_owned(), |stem| stem.display().to_string())
    }

    /// True when this frame is selected.
    pub(super) fn selects(&self, number: u64) -> bool {
        let Some(selected) = &self.selected else { return false };
        usize::try_from(number).ok().and_then(|number| selected.get(number)).copied().unwrap_or(false)
    }
}

/// The capture file behind a session: its provider is a member of it. That this is so is seen by the file's own pointer to the
/// session, which stands before it in the same structure.
fn file_of(host: &Host, session: Ptr) -> Option<Ptr> {
    if session.is_null() {
        return None;
    }
    // SAFETY: a session begins with a pointer to its provider, which all hosts keep inside their capture file.
    unsafe {
        let provider: *mut u8 = field(session, 0);
        if provider.is_null() {
            return None;
        }
        let file: Ptr = provider.wrapping_sub(host.layout.file_provider).cast();
        (field::<Ptr>(file, host.layout.file_session) == session).then_some(file)
    }
}

/// The file name of the capture behind a session, when it has one.
pub(super) fn name(host: &Host, session: Ptr) -> Option<PathBuf> {
    let file = file_of(host, session)?;
    // SAFETY: a capture file, in the layout of this version.
    unsafe { from_host(field(file, host.layout.file_name)) }.map(PathBuf::from)
}

/// How many packets the capture behind a session has by now.
pub(super) fn count(host: &Host, session: Ptr) -> Option<u32> {
    let file = file_of(host, session)?;
    // SAFETY: as above.
    Some(unsafe { field(file, host.layout.file_count) })
}

/// Where a packet of the capture behind a session stands in its file; nothing when the host does not keep that.
pub(super) fn offset(host: &Host, session: Ptr, number: u32) -> Option<i64> {
    let file = file_of(host, session)?;
    // SAFETY: a capture file, in the layout of this version; what is found is a frame, null for a number that there is not.
    unsafe {
        let frames: Ptr = field(file, host.layout.file_provider + host.layout.provider_frames);
        if frames.is_null() {
            return None;
        }
        let frame = (host.frame_data_sequence_find)(frames, number);
        (!frame.is_null()).then(|| field(frame.cast(), FRAME_OFFSET))
    }
}

/// True when the capture behind a session was read to its end.
pub(super) fn is_read(host: &Host, session: Ptr) -> bool {
    // SAFETY: as above.
    file_of(host, session)
        .is_some_and(|file| unsafe { field::<u32>(file, host.layout.file_state) } == host.layout.state_done())
}

unsafe extern "C" fn copy(file: Ptr, data: Ptr) -> *mut c_void {
    guard(Part::Menu, (), |host| {
        if file.is_null() || data.is_null() {
            return;
        }
        // SAFETY: the host's capture file, in the layout of this version, and the search of `look`.
        unsafe {
            let search = &mut *data.cast::<Search>();
            search.found = read(host, file, search.which);
        }
    });
    null_mut()
}

/// # Safety
/// `file` is the host's capture file.
unsafe fn read(host: &Host, file: Ptr, which: Which) -> Option<Loaded> {
    let layout = host.layout;
    // SAFETY: the caller's word, and the layout of this version.
    unsafe {
        let state: u32 = field(file, layout.file_state);
        let path = from_host(field(file, layout.file_name))?;
        let count: u32 = field(file, layout.file_count);
        if state == 0 || path.is_empty() {
            return None;
        }
        let frames: Ptr = field(file, layout.file_provider + layout.provider_frames);
        let selected = match which {
            Which::All => None,
            Which::Displayed => Some(flags(host, frames, count, frame_flag::DISPLAYED)),
            Which::Marked => Some(flags(host, frames, count, frame_flag::MARKED)),
        };
        Some(Loaded {
            path: path.into(),
            is_temporary: field::<u8>(file, layout.file_is_temporary) != 0,
            // Pending, in progress; then come aborted and done.
            is_growing: state + 1 < layout.state_done(),
            count,
            stop: file.byte_add(layout.file_stop).cast(),
            selected,
        })
    }
}

/// Which of the frames have a flag.
///
/// # Safety
/// `frames` is null or the host's sequence of frames.
unsafe fn flags(host: &Host, frames: Ptr, count: u32, flag: u8) -> Vec<bool> {
    let has = |number| {
        if frames.is_null() {
            return false;
        }
        // SAFETY: the caller's word; what is found is a frame of the host, null for a number that there is not.
        unsafe {
            let frame = (host.frame_data_sequence_find)(frames, number);
            !frame.is_null() && field::<u8>(frame.cast(), host.layout.frame_flags) & flag != 0
        }
    };
    (0..=count).map(|number| number > 0 && has(number)).collect()
}
