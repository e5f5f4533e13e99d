//! The packets of a file, through libwiretap: every format that the host reads, without dissection.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;

use super::guard::{Part, guard};
use super::host::{Host, Ptr, field, from_host};
use super::layout::packet_header;
use super::packet;
use crate::capture::Frame;
use crate::tls::{KeyLog, SecretSource};

/// `WTAP_ERR_SHORT_READ`: the file ends inside a record.
const SHORT_READ: c_int = -12;
/// `SECRETS_TYPE_TLS` of pcapng.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Bytes that a packet buffer begins with.
const BUFFER: usize = 2048;

thread_local! {
    /// Where secrets of the file go that is being read.
    static KEYS: RefCell<Option<KeyLog>> = const { RefCell::new(None) };
}

/// A file that is read.
pub(super) struct Reader {
    host: &'static Host,
    file: Ptr,
    /// `wtap_rec`, aligned for it.
    record: Vec<u64>,
    /// `Buffer`, for versions that keep the bytes apart: data, allocated, start, first free.
    buffer: Vec<u64>,
    comment: Option<String>,
    number: u64,
    offset: i64,
    size: i64,
    /// Of a file that is being read beside this one.
    other_keys: Option<KeyLog>,
}

/// Why reading ended early.
pub(super) struct Fault {
    /// For people.
    pub(super) message: String,
    /// True when the file just ends inside a record: it is still being written, or it was cut.
    pub(super) is_cut: bool,
}

impl Reader {
    /// Opens a file; its secrets are added to `keys` as they are found.
    pub(super) fn open(host: &'static Host, path: &Path, keys: &KeyLog) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| "the file's name has a NUL".to_owned())?;
        let (mut error, mut info) = (0, null_mut());
        // SAFETY: a text and two places to write to; type 0 lets it look for itself, without random access.
        let file = unsafe { (host.wtap_open_offline)(name.as_ptr(), 0, &mut error, &mut info, 0) };
        if file.is_null() {
            return Err(format!("{}: {}", path.display(), message(host, error, info)));
        }
        let mut record = vec![0; host.layout.record_size.div_ceil(8)];
        let mut buffer = vec![0; 4];
        let other_keys = KEYS.replace(Some(keys.clone()));
        // SAFETY: both are as large as the host's structures, and zeroed; the file is open. The callback stays.
        let size = unsafe {
            (host.wtap_rec_init)(record.as_mut_ptr().cast(), BUFFER);
            if !host.layout.record_holds_data {
                (host.ws_buffer_init)(buffer.as_mut_ptr().cast(), BUFFER);
            }
            (host.wtap_set_cb_new_secrets)(file, Some(take));
            (host.wtap_file_size)(file, &mut error)
        };
        Ok(Self { host, file, record, buffer, comment: None, number: 0, offset: 0, size, other_keys })
    }

    /// The next packet; records that are none are counted, as the host counts them.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, Fault> {
        while self.advance()? {
            // SAFETY: a record that was just filled, in the layout of this version.
            if unsafe { packet::is_packet(self.host, self.record.as_mut_ptr().cast()) } {
                return Ok(self.frame());
            }
        }
        Ok(None)
    }

    /// Goes to the next record; false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool, Fault> {
        let (host, layout) = (self.host, self.host.layout);
        let record: Ptr = self.record.as_mut_ptr().cast();
        let buffer: Ptr = self.buffer.as_mut_ptr().cast();
        let (mut error, mut info): (c_int, *mut c_char) = (0, null_mut());
        let (to_error, to_info, to_offset): (Ptr, Ptr, Ptr) =
            ((&raw mut error).cast(), (&raw mut info).cast(), (&raw mut self.offset).cast());
        // SAFETY: what was made by open; since 4.6 there is no buffer among the arguments.
        let result = unsafe {
            (host.wtap_rec_reset)(record);
            match layout.record_holds_data {
                false => (host.wtap_read)(self.file, record, buffer, to_error, to_info, to_offset),
                true => (host.wtap_read)(self.file, record, to_error, to_info, to_offset, null_mut()),
            }
        };
        if result.to_le_bytes()[0] != 0 {
            self.number += 1;
            return Ok(true);
        }
        match error {
            0 => Ok(false),
            _ => Err(Fault { message: message(host, error, info), is_cut: error == SHORT_READ }),
        }
    }

    /// The record as a packet, when it is one.
    pub(super) fn frame(&mut self) -> Option<Frame<'_>> {
        let (host, layout) = (self.host, self.host.layout);
        let record: Ptr = self.record.as_mut_ptr().cast();
        // SAFETY: a record that was just filled, in the layout of this version. Readers put the captured bytes behind the start
        // of the buffer, and need not say so to its end.
        unsafe {
            let buffer: Ptr = self.buffer.as_mut_ptr().cast();
            let bytes: Ptr = layout.record_data.map_or(buffer, |at| record.byte_add(at));
            let (start, allocated, offset): (*const u8, usize, usize) =
                (field(bytes, 0), field(bytes, 8), field(bytes, 16));
            let captured: u32 = field(record, layout.record_header + packet_header::CAPTURED);
            let captured = (captured as usize).min(allocated.saturating_sub(offset));
            let data: &[u8] =
                if start.is_null() { &[] } else { std::slice::from_raw_parts(start.add(offset), captured) };
            let time = packet::time(field(record, layout.record_time), field(record, layout.record_time + 8));
            let mut frame = packet::frame(host, record, self.number, time, data)?;
            self.comment = packet::comment(host, record);
            frame.comment = self.comment.as_deref();
            Some(frame)
        }
    }

    /// Where the last packet stands in the file, as the host counts.
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    /// How much was read, from 0 to 1.
    pub(super) fn progress(&self) -> f32 {
        // SAFETY: the file is open.
        let read = unsafe { (self.host.wtap_read_so_far)(self.file) };
        if self.size > 0 { (read as f32 / self.size as f32).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        KEYS.set(self.other_keys.take());
        let host = self.host;
        // SAFETY: what open made, once.
        unsafe {
            (host.wtap_rec_cleanup)(self.record.as_mut_ptr().cast());
            if !host.layout.record_holds_data {
                (host.ws_buffer_free)(self.buffer.as_mut_ptr().cast());
            }
            (host.wtap_close)(self.file);
        }
    }
}

/// What libwiretap says of an error; frees what it allocated for it.
fn message(host: &Host, error: c_int, info: *mut c_char) -> String {
    // SAFETY: positive errors are the system's, others libwiretap's, and it has a text for each; `info` is null or allocated by
    // the host and now ours.
    let (text, more) = unsafe {
        let text = from_host((host.wtap_strerror)(error)).unwrap_or_default();
        let more = from_host(info);
        (host.g_free)(info.cast());
        (text, more)
    };
    match more {
        Some(more) => format!("{text} ({more})"),
        None => text,
    }
}

/// libwiretap found secrets in the file.
unsafe extern "C" fn take(kind: u32, secrets: *const c_void, len: c_uint) {
    guard(Part::Secrets, (), |_| {
        if kind == TLS_KEY_LOG && !secrets.is_null() {
            // SAFETY: not null, and libwiretap's word on the length.
            let secrets = unsafe { std::slice::from_raw_parts(secrets.cast::<u8>(), len as usize) };
            KEYS.with_borrow(|keys| keys.as_ref().map(|keys| keys.parse(secrets, SecretSource::InCapture)));
        }
    });
}
