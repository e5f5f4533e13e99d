//! The pcap format: one header, then records.

use super::error::CaptureError;
use super::frame::LinkType;
use super::order::Order;
use super::record::{Ids, Notes, Placed, Record};
use super::window::Window;
use crate::base::Timestamp;

/// Length of the file header ([draft-ietf-opsawg-pcap §4](https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcap#section-4)).
///
/// ```text
///  0                   1                   2                   3
/// +---------------------------------------------------------------+
/// |                             magic                             |
/// +-------------------------------+-------------------------------+
/// |         major version         |         minor version         |
/// +-------------------------------+-------------------------------+
/// |                       reserved, reserved                      |
/// |                        snapshot length                        |
/// +-------+-+-+-------------------+-------------------------------+
/// |FCS len|R|F|     reserved      |           link type           |
/// +-------+-+-+-------------------+-------------------------------+
/// ```
pub(super) const HEADER: usize = 24;

/// A pcap stream behind its header.
///
/// ```text
/// +---------------------------------------------------------------+
/// |                            seconds                            |
/// |                  microseconds or nanoseconds                  |
/// |                        captured length                        |
/// |                        original length                        |
/// +---------------------------------------------------------------+
/// | modified format only: interface index, protocol, kind         | 8 bytes
/// +---------------------------------------------------------------+
/// |                            packet ...
/// ```
pub(super) struct Pcap {
    layout: Layout,
    link_type: LinkType,
    /// Bytes of frame check sequence behind each frame.
    fcs: u8,
    interface: Option<u32>,
}

/// How the records of a file are laid down.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    order: Order,
    /// Nanoseconds in one unit of a record's fraction of a second.
    unit: i64,
    /// Length of a record's header.
    pub(super) record_header: usize,
    lengths: Lengths,
}

/// What the header of a record says.
pub(super) struct RecordHead {
    pub(super) time: Timestamp,
    /// Captured length.
    pub(super) captured: usize,
    original: u32,
}

impl Layout {
    /// The layout that a file header tells; nothing when it is of another format or version.
    pub(super) fn read(head: &[u8]) -> Option<Self> {
        let (order, unit, record_header) = magic(head)?;
        let lengths = match (order.u16(head, 4)?, order.u16(head, 6)?) {
            (2, 0..=2) => Lengths::OriginalFirst,
            (2, 3) => Lengths::Either,
            (2, _) => Lengths::CapturedFirst,
            _ => return None,
        };
        Some(Self { order, unit, record_header, lengths })
    }

    /// The header of the record that begins with these bytes.
    #[inline]
    pub(super) fn record(&self, head: &[u8]) -> Option<RecordHead> {
        let seconds = self.order.u32(head, 0)?;
        let fraction = self.order.u32(head, 4)?;
        let mut captured = self.order.u32(head, 8)?;
        let mut original = self.order.u32(head, 12)?;
        let swapped = match self.lengths {
            Lengths::CapturedFirst => false,
            Lengths::OriginalFirst => true,
            Lengths::Either => captured > original,
        };
        if swapped {
            (captured, original) = (original, captured);
        }
        // The largest sum is below 2^62.
        let nanos = i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.unit;
        Some(RecordHead { time: Timestamp(nanos), captured: captured as usize, original })
    }
}

/// Order of the two lengths of a record: writers before version 2.4 did not agree.
#[derive(Clone, Copy)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    /// The smaller one is the captured length.
    Either,
}

/// Byte order, nanoseconds in a unit, and length of a record header, as the magic tells.
fn magic(head: &[u8]) -> Option<(Order, i64, usize)> {
    match *head.first_chunk::<4>()? {
        [0xd4, 0xc3, 0xb2, 0xa1] => Some((Order::Little, 1000, 16)),
        [0xa1, 0xb2, 0xc3, 0xd4] => Some((Order::Big, 1000, 16)),
        [0x4d, 0x3c, 0xb2, 0xa1] => Some((Order::Little, 1, 16)),
        [0xa1, 0xb2, 0x3c, 0x4d] => Some((Order::Big, 1, 16)),
        // Alexey Kuznetzov's patched libpcap of the nineties.
        [0x34, 0xcd, 0xb2, 0xa1] => Some((Order::Little, 1000, 24)),
        [0xa1, 0xb2, 0xcd, 0x34] => Some((Order::Big, 1000, 24)),
        _ => None,
    }
}

impl Pcap {
    /// Reads the header; `None` when the stream is of another format.
    pub(super) fn open(window: &mut Window, notes: &Notes) -> Result<Option<Self>, CaptureError> {
        let Some((order, ..)) = magic(window.bytes()) else { return Ok(None) };
        let cut = || CaptureError::HeaderCut { path: notes.path().into(), format: "pcap" };
        if !window.ask(HEADER) {
            return Err(cut());
        }
        let head = window.bytes();
        let (Some(major), Some(minor), Some(link)) = (order.u16(head, 4), order.u16(head, 6), order.u32(head, 20))
        else {
            return Err(cut());
        };
        let Some(layout) = Layout::read(head) else {
            return Err(CaptureError::UnknownVersion { path: notes.path().into(), format: "pcap", major, minor });
        };
        window.consume(HEADER);
        let has_fcs = link & 0x0400_0000 != 0;
        Ok(Some(Self {
            layout,
            link_type: LinkType(link & 0xffff),
            // Counted in units of two bytes.
            fcs: if has_fcs { (link >> 28) as u8 * 2 } else { 0 },
            interface: None,
        }))
    }

    /// The record at the start of the window.
    #[inline]
    pub(super) fn next(&mut self, window: &mut Window, notes: &mut Notes, ids: &mut Ids) -> Option<Record> {
        let header = self.layout.record_header;
        if !window.ask(header) {
            notes.end(window, "the file ends inside a record header");
            return None;
        }
        let head = self.layout.record(window.bytes())?;
        let len = head.captured;
        if len > notes.limits().frame {
            let most = notes.limits().frame;
            notes.note(window.offset(), format!("a record of {len} bytes, more than the {most} that are allowed"));
            return None;
        }
        if !window.ask(header + len) {
            notes.end(window, "the file ends inside a packet");
            return None;
        }
        let mut placed = Placed {
            time: head.time,
            interface: *self.interface.get_or_insert_with(|| ids.interface()),
            link_type: self.link_type,
            original_len: head.original,
            data: header..header + len,
            comment: None,
            numbers: 1,
        };
        placed.strip_fcs(self.fcs);
        Some(Record::frame(placed, header + len))
    }
}
