//! Frames as C has them.

use std::ffi::{c_char, c_int, c_void};

use super::guard::{self, Fault, Status};
use crate::base::{FrameNumber, Timestamp};
use crate::capture::{self, LinkType};

/// `harshark_frame`.
#[repr(C)]
pub struct Frame {
    /// Size of the structure that the caller knows.
    size: u32,
    interface_id: u32,
    /// 0 counts on.
    number: u64,
    time_ns: i64,
    link_type: u32,
    original_length: u32,
    captured_length: u32,
    selected: c_int,
    data: *const c_void,
    comment: *const c_char,
}

impl Frame {
    /// The frame, `next` being the number of one that has none.
    ///
    /// # Safety
    /// Pointers are NULL or valid during `'a`, as the header says.
    pub(super) unsafe fn read<'a>(&self, next: u64) -> Result<capture::Frame<'a>, Fault> {
        if (self.size as usize) < size_of::<Self>() {
            let text = format!("frame.size is {}, not at least {}", self.size, size_of::<Self>());
            return Err(Fault::new(Status::Argument, text));
        }
        // SAFETY: the caller vouches for it.
        let data = unsafe { guard::bytes(self.data.cast(), self.captured_length as usize, "frame.data") }?;
        let comment = match self.comment.is_null() {
            true => None,
            // SAFETY: the caller vouches for it.
            false => Some(unsafe { guard::text(self.comment, "frame.comment") }?),
        };
        Ok(capture::Frame {
            number: FrameNumber(if self.number == 0 { next } else { self.number }),
            time: Timestamp(self.time_ns),
            interface: self.interface_id,
            link_type: LinkType(self.link_type),
            original_len: self.original_length.max(self.captured_length),
            data,
            block: None,
            comment,
            selected: self.selected != 0,
        })
    }
}
