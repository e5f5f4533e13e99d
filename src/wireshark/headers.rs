//! The layout of the Wireshark whose headers are installed, made by bindgen.

use std::mem::{offset_of, size_of};

use super::super::host::{ProtoPlugin, StatTapUi};
use super::{FRAME_OFFSET, LAYOUTS, Layout, frame_flag, funnel, layout, packet_header};

#[allow(
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused_imports,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/wireshark.rs"));
}

use generated::{
    _capture_file, _frame_data, _funnel_ops_t, _header_field_info, _packet_info, _stat_tap_ui, Buffer,
    WIRESHARK_VERSION_MAJOR, WIRESHARK_VERSION_MINOR, epan_dissect, hf_register_info, packet_provider_data,
    proto_plugin, wtap_packet_header, wtap_rec,
};

/// The byte and the value of a flag that `set` sets.
fn flag(set: impl FnOnce(&mut _frame_data)) -> (usize, u8) {
    // SAFETY: a structure of numbers and pointers, for which zero is a value.
    let mut frame: _frame_data = unsafe { std::mem::zeroed() };
    set(&mut frame);
    // SAFETY: as many bytes as it has, all of them written.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const frame).cast::<u8>(), size_of::<_frame_data>()) };
    let at = bytes.iter().position(|&byte| byte != 0).unwrap();
    (at, bytes[at])
}

/// The row of these headers.
fn row() -> Layout {
    let has_data = size_of::<wtap_rec>() > 300;
    Layout {
        minor: WIRESHARK_VERSION_MINOR as i32,
        packet_num: offset_of!(_packet_info, num),
        packet_time: offset_of!(_packet_info, abs_ts),
        packet_frame: offset_of!(_packet_info, fd),
        packet_record: offset_of!(_packet_info, rec),
        packet_session: offset_of!(_packet_info, epan),
        dissect_session: offset_of!(epan_dissect, session),
        dissect_tvb: offset_of!(epan_dissect, tvb),
        record_size: size_of::<wtap_rec>(),
        record_type: offset_of!(wtap_rec, rec_type),
        record_presence: offset_of!(wtap_rec, presence_flags),
        record_time: offset_of!(wtap_rec, ts),
        record_header: offset_of!(wtap_rec, rec_header),
        record_block: offset_of!(wtap_rec, block),
        // The record's last member but padding, where it has one.
        record_data: has_data.then(|| size_of::<wtap_rec>() - size_of::<Buffer>()),
        frame_flags: flag(|frame| frame.set_passed_dfilter(1)).0,
        file_session: offset_of!(_capture_file, epan),
        file_state: offset_of!(_capture_file, state),
        file_name: offset_of!(_capture_file, filename),
        file_is_temporary: offset_of!(_capture_file, is_tempfile),
        file_stop: offset_of!(_capture_file, stop_flag),
        file_count: offset_of!(_capture_file, count),
        file_provider: offset_of!(_capture_file, provider),
        provider_frames: offset_of!(packet_provider_data, frames),
        funnel_open_file: offset_of!(_funnel_ops_t, browser_open_data_file),
        funnel_progress: offset_of!(_funnel_ops_t, new_progress_window),
        record_holds_data: has_data,
    }
}

#[test]
fn the_row_of_the_installed_headers_is_in_the_table() {
    let row = row();
    println!("Wireshark {WIRESHARK_VERSION_MAJOR}.{WIRESHARK_VERSION_MINOR}: {row:#?}");
    let known = layout(WIRESHARK_VERSION_MAJOR as i32, row.minor);
    let known = known.unwrap_or_else(|| panic!("4.{} is new: add this row to {} others", row.minor, LAYOUTS.len()));
    assert_eq!(*known, row);
}

#[test]
fn what_is_taken_as_the_same_in_all_versions_is_so_here() {
    assert_eq!(flag(|frame| frame.set_passed_dfilter(1)).1, frame_flag::DISPLAYED);
    let at = row().frame_flags;
    assert_eq!(flag(|frame| frame.set_visited(1)), (at, frame_flag::VISITED));
    assert_eq!(flag(|frame| frame.set_marked(1)), (at, frame_flag::MARKED));
    let header = [
        (offset_of!(wtap_packet_header, caplen), packet_header::CAPTURED),
        (offset_of!(wtap_packet_header, len), packet_header::ORIGINAL),
        (offset_of!(wtap_packet_header, pkt_encap), packet_header::ENCAPSULATION),
        (offset_of!(wtap_packet_header, interface_id), packet_header::INTERFACE),
        (offset_of!(wtap_packet_header, pseudo_header), packet_header::PSEUDO),
        (offset_of!(_funnel_ops_t, ops_id), funnel::ID),
        (offset_of!(_funnel_ops_t, new_text_window), funnel::NEW_TEXT_WINDOW),
        (offset_of!(_funnel_ops_t, set_text), funnel::SET_TEXT),
        (offset_of!(_funnel_ops_t, add_button), funnel::ADD_BUTTON),
        (offset_of!(_funnel_ops_t, new_dialog), funnel::NEW_DIALOG),
        (offset_of!(_funnel_ops_t, update_progress), row().funnel_progress + 8),
        (offset_of!(_funnel_ops_t, destroy_progress_window), row().funnel_progress + 16),
        (offset_of!(_frame_data, file_off), FRAME_OFFSET),
        (offset_of!(Buffer, data), 0),
        (offset_of!(Buffer, allocated), 8),
        (offset_of!(Buffer, start), 16),
        (size_of::<Buffer>(), 32),
        (size_of::<_header_field_info>(), 72),
        (size_of::<hf_register_info>(), 80),
        (size_of::<_stat_tap_ui>(), size_of::<StatTapUi>()),
        (size_of::<proto_plugin>(), size_of::<ProtoPlugin>()),
        (generated::ftenum_FT_UINT16 as usize, 5),
        (generated::ftenum_FT_UINT32 as usize, 7),
        (generated::ftenum_FT_DOUBLE as usize, 23),
        (generated::ftenum_FT_STRING as usize, 26),
        (generated::ftenum_FT_FRAMENUM as usize, 35),
        (generated::file_state_FILE_READ_DONE as usize, row().state_done() as usize),
    ];
    for (at, (ours, theirs)) in header.into_iter().enumerate() {
        assert_eq!(ours, theirs, "number {at}");
    }
}
