//! Where the fields of the host's structures stand, for each Wireshark this plugin was proven with.
//!
//! The rows are facts of the host's binary interface (x86-64 and AArch64, which lay these structures out alike). With the
//! headers of a Wireshark installed, one command prints its row and compares it with the table:
//!
//! ```text
//! cargo test --features bindgen --lib layout -- --nocapture
//! ```

/// Offsets in bytes, for one minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The version, `4.minor`.
    pub minor: i32,
    /// `packet_info.num`: u32.
    pub packet_num: usize,
    /// `packet_info.abs_ts`: seconds i64, nanoseconds i32.
    pub packet_time: usize,
    /// `packet_info.fd`: pointer.
    pub packet_frame: usize,
    /// `packet_info.rec`: pointer.
    pub packet_record: usize,
    /// `packet_info.epan`: pointer, the same as `epan_dissect.session`.
    pub packet_session: usize,
    /// `epan_dissect.session`: pointer to a structure whose first field is the provider.
    pub dissect_session: usize,
    /// `epan_dissect.tvb`: pointer.
    pub dissect_tvb: usize,
    /// `sizeof wtap_rec`.
    pub record_size: usize,
    /// `wtap_rec.rec_type`: u32.
    pub record_type: usize,
    /// `wtap_rec.presence_flags`: u32.
    pub record_presence: usize,
    /// `wtap_rec.ts`: seconds i64, nanoseconds i32.
    pub record_time: usize,
    /// `wtap_rec.rec_header`, a `wtap_packet_header` for packets.
    pub record_header: usize,
    /// `wtap_rec.block`: pointer.
    pub record_block: usize,
    /// `wtap_rec.data`, where the bytes stand in the record itself.
    pub record_data: Option<usize>,
    /// The byte of `frame_data` with the flags.
    pub frame_flags: usize,
    /// `capture_file.epan`: pointer.
    pub file_session: usize,
    /// `capture_file.state`: u32.
    pub file_state: usize,
    /// `capture_file.filename`: pointer.
    pub file_name: usize,
    /// `capture_file.is_tempfile`: boolean.
    pub file_is_temporary: usize,
    /// `capture_file.stop_flag`: boolean.
    pub file_stop: usize,
    /// `capture_file.count`: u32.
    pub file_count: usize,
    /// `capture_file.provider`, with the open file at 0.
    pub file_provider: usize,
    /// `packet_provider_data.frames`: pointer.
    pub provider_frames: usize,
    /// `funnel_ops_t.browser_open_data_file`: function.
    pub funnel_open_file: usize,
    /// `funnel_ops_t.new_progress_window`: function; `update_progress` and `destroy_progress_window` follow.
    pub funnel_progress: usize,
    /// True when `wtap_read` takes no buffer and `wtap_rec_init` takes a size.
    pub record_holds_data: bool,
}

impl Layout {
    /// `FILE_READ_DONE`. 4.4 put a state between closed and in progress.
    pub(super) fn state_done(&self) -> u32 {
        if self.minor < 4 { 3 } else { 4 }
    }
}

/// `wtap_packet_header`, the same in all versions: caplen, len, pkt_encap, interface_id, pseudo header.
pub mod packet_header {
    /// `caplen`: u32.
    pub const CAPTURED: usize = 0;
    /// `len`: u32.
    pub const ORIGINAL: usize = 4;
    /// `pkt_encap`: i32.
    pub const ENCAPSULATION: usize = 8;
    /// `interface_id`: u32.
    pub const INTERFACE: usize = 12;
    /// `pseudo_header`.
    pub const PSEUDO: usize = 16;
}

/// `funnel_ops_t`, the part that is the same in all versions.
pub mod funnel {
    /// `ops_id`: pointer.
    pub const ID: usize = 0;
    /// `new_text_window`: function.
    pub const NEW_TEXT_WINDOW: usize = 8;
    /// `set_text`: function.
    pub const SET_TEXT: usize = 16;
    /// `add_button`: function.
    pub const ADD_BUTTON: usize = 80;
    /// `new_dialog`: function.
    pub const NEW_DIALOG: usize = 88;
}

/// `frame_data.file_off`, the same in all versions: i64.
pub const FRAME_OFFSET: usize = 16;

/// Flags of `frame_data`.
pub mod frame_flag {
    /// The display filter lets it pass.
    pub const DISPLAYED: u8 = 1 << 0;
    /// It was dissected before.
    pub const VISITED: u8 = 1 << 3;
    /// The user marked it.
    pub const MARKED: u8 = 1 << 4;
}

/// Wireshark 4.0.
const V4_0: Layout = Layout {
    minor: 0,
    packet_num: 20,
    packet_time: 24,
    packet_frame: 56,
    packet_record: 72,
    packet_session: 400,
    dissect_session: 0,
    dissect_tvb: 8,
    record_size: 256,
    record_type: 0,
    record_presence: 4,
    record_time: 16,
    record_header: 40,
    record_block: 208,
    record_data: None,
    frame_flags: 42,
    file_session: 0,
    file_state: 8,
    file_name: 16,
    file_is_temporary: 32,
    file_stop: 40,
    file_count: 80,
    file_provider: 248,
    provider_frames: 32,
    funnel_open_file: 208,
    funnel_progress: 216,
    record_holds_data: false,
};

/// Wireshark 4.4.
const V4_4: Layout = Layout {
    minor: 4,
    packet_frame: 80,
    packet_record: 96,
    packet_session: 416,
    record_size: 280,
    record_header: 64,
    record_block: 232,
    frame_flags: 49,
    file_stop: 34,
    file_count: 72,
    file_provider: 224,
    funnel_open_file: 200,
    funnel_progress: 208,
    ..V4_0
};

/// Wireshark 4.6.
const V4_6: Layout = Layout {
    minor: 6,
    packet_session: 424,
    record_size: 320,
    record_header: 72,
    record_block: 240,
    record_data: Some(288),
    frame_flags: 53,
    record_holds_data: true,
    ..V4_4
};

/// All proven versions.
pub const LAYOUTS: &[Layout] = &[V4_0, V4_4, V4_6];

/// The layout of a version, when it was proven.
pub fn layout(major: i32, minor: i32) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| major == 4 && layout.minor == minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proven_versions_have_a_layout() {
        assert_eq!(layout(4, 4).map(|layout| layout.packet_frame), Some(80));
        for (major, minor) in [(3, 6), (4, 2), (4, 3), (4, 5), (4, 8), (5, 0)] {
            assert_eq!(layout(major, minor), None);
        }
    }
}

#[cfg(all(test, feature = "bindgen"))]
#[path = "headers.rs"]
mod headers;
