//! A packet of the host as a frame of the engine.

use std::ffi::{c_char, c_int};
use std::ptr::null_mut;

use super::encap::link_type;
use super::host::{Host, Ptr, field, from_host};
use super::layout::packet_header;
use crate::base::{FrameNumber, Timestamp};
use crate::capture::Frame;

/// `REC_TYPE_PACKET`.
const PACKET: u32 = 0;
/// `WTAP_HAS_INTERFACE_ID`.
const HAS_INTERFACE: u32 = 4;
/// `OPT_COMMENT`.
const COMMENT: u32 = 1;
/// Offset of the type in the pseudo header of ERF: behind a time stamp of 64 bits.
const ERF_TYPE: usize = 8;

/// Time as the host's `nstime_t`: seconds, nanoseconds.
pub(super) fn time(seconds: i64, nanos: c_int) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(nanos.into()))
}

/// True when a record is a packet.
///
/// # Safety
/// `record` points to a `wtap_rec` that is filled.
pub(super) unsafe fn is_packet(host: &Host, record: Ptr) -> bool {
    // SAFETY: the caller's word, and the layout of this version.
    !record.is_null() && unsafe { field::<u32>(record, host.layout.record_type) } == PACKET
}

/// A frame from a record of libwiretap; nothing when the record is no packet.
///
/// # Safety
/// `record` points to a `wtap_rec` that is filled.
pub(super) unsafe fn frame<'f>(
    host: &Host,
    record: Ptr,
    number: u64,
    time: Timestamp,
    data: &'f [u8],
) -> Option<Frame<'f>> {
    let layout = host.layout;
    // SAFETY: the caller's word, and the layout of this version.
    unsafe {
        if !is_packet(host, record) {
            return None;
        }
        let header = record.byte_add(layout.record_header);
        let presence: u32 = field(record, layout.record_presence);
        let interface = if presence & HAS_INTERFACE != 0 { field(header, packet_header::INTERFACE) } else { 0 };
        Some(Frame {
            number: FrameNumber(number),
            time,
            interface,
            link_type: link_type(field(header, packet_header::ENCAPSULATION), || {
                field(header, packet_header::PSEUDO + ERF_TYPE)
            }),
            original_len: field(header, packet_header::ORIGINAL),
            data,
            block: None,
            comment: None,
            selected: false,
        })
    }
}

/// The frame that is being dissected: `packet` describes it, `tvb` has its bytes.
///
/// # Safety
/// Both are what the host hands to a dissector or a tap for the packet it works on; the frame is not kept.
pub(super) unsafe fn dissected<'f>(host: &Host, packet: Ptr, tvb: Ptr) -> Option<Frame<'f>> {
    if packet.is_null() || tvb.is_null() {
        return None;
    }
    let layout = host.layout;
    // SAFETY: the caller's word, and the layout of this version. The bytes asked for are captured, so that no exception of the
    // host jumps over this frame.
    unsafe {
        let len = (host.tvb_captured_length)(tvb);
        let len = c_int::try_from(len).ok()?;
        let data: &[u8] = match len {
            0 => &[],
            _ => {
                let start = (host.tvb_get_ptr)(tvb, 0, len);
                if start.is_null() {
                    return None;
                }
                std::slice::from_raw_parts(start, len.unsigned_abs() as usize)
            }
        };
        let number: u32 = field(packet, layout.packet_num);
        let time = time(field(packet, layout.packet_time), field(packet, layout.packet_time + 8));
        frame(host, field(packet, layout.packet_record), number.into(), time, data)
    }
}

/// The first comment of a record.
///
/// # Safety
/// `record` is null or points to a `wtap_rec` that is filled; while packets are dissected it has its block, in taps no longer.
pub(super) unsafe fn comment(host: &Host, record: Ptr) -> Option<String> {
    if record.is_null() {
        return None;
    }
    // SAFETY: the caller's word, and the layout of this version; the text is copied at once.
    unsafe {
        let block: Ptr = field(record, host.layout.record_block);
        if block.is_null() {
            return None;
        }
        let mut text: *mut c_char = null_mut();
        match (host.wtap_block_get_nth_string_option_value)(block, COMMENT, 0, &mut text) {
            0 => from_host(text),
            _ => None,
        }
    }
}
