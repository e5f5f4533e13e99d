//! The pcapng format: sections of blocks ([draft-ietf-opsawg-pcapng](https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcapng)).
//!
//! ```text
//! +---------------------------------------------------------------+
//! |                          block type                           |
//! |                      block total length                       |
//! +---------------------------------------------------------------+
//! |                             body ...                          | padded to 4 bytes
//! +---------------------------------------------------------------+
//! |                      block total length                       |
//! +---------------------------------------------------------------+
//! ```

use std::ops::Range;
use std::sync::Arc;

use super::clock::Clock;
use super::dropped::{Dropped, Statistics};
use super::error::CaptureError;
use super::frame::{LinkType, SecretsKind};
use super::order::Order;
use super::record::{Ids, Notes, Placed, Record};
use super::window::Window;
use crate::base::Timestamp;

/// Block types; that of a section header reads the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;
const SYSTEMD_JOURNAL: u32 = 9;
pub(super) const DECRYPTION_SECRETS: u32 = 10;
/// Custom blocks, to be copied by tools that do not know them, and not.
const CUSTOM: [u32; 2] = [0x0bad, 0x4000_0bad];
/// Custom blocks of this enterprise, Netflix, are no frames in Wireshark.
const NETFLIX: u32 = 10_949;
/// System events of sysdig in their three versions.
const SYSDIG_EVENT: [u32; 3] = [0x204, 0x216, 0x221];

/// Block type and both lengths.
const FRAME: usize = 12;
/// Block type and first length.
pub(super) const HEAD: usize = 8;
/// Drops of an old packet block that nobody counted.
const DROPS_UNKNOWN: u16 = u16::MAX;
/// Kind of secrets: an NSS key log.
const TLS_KEY_LOG: u32 = 0x544c_534b;

/// A pcapng stream.
pub(super) struct PcapNg {
    order: Order,
    /// Interfaces of the section.
    interfaces: Arc<Vec<Interface>>,
    /// What each of them has counted.
    statistics: Vec<Statistics>,
    /// What interfaces of earlier sections dropped.
    dropped: Dropped,
    /// Time of the last packet that had one.
    time: Timestamp,
    /// Records since the last frame that have a frame number in Wireshark and are no frames for us.
    numbers: u64,
    /// The sections so far, when they are kept.
    sections: Option<Vec<Section>>,
    /// Interfaces of all of them.
    described: usize,
}

/// What is needed to read a block of a section when those before it are not at hand.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// Where it begins.
    pub(super) at: u64,
    order: Order,
    interfaces: Arc<Vec<Interface>>,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    id: u32,
    link_type: LinkType,
    /// 0 is no limit.
    snaplen: u32,
    clock: Clock,
    fcs: u8,
}

/// Why a section header cannot be used.
enum SectionFault {
    Cut,
    ByteOrder,
    Version(u16, u16),
}

/// Byte order of a section, from its header's first bytes.
pub(super) fn section_order(head: &[u8]) -> Option<Order> {
    match *head.get(8..)?.first_chunk::<4>()? {
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(Order::Little),
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(Order::Big),
        _ => None,
    }
}

/// Kind and place of the secrets in the body of their block.
pub(super) fn secrets(order: Order, body: &[u8]) -> Option<(SecretsKind, Range<usize>)> {
    let kind = match order.u32(body, 0)? {
        TLS_KEY_LOG => SecretsKind::TlsKeyLog,
        other => SecretsKind::Other(other),
    };
    let len = order.u32(body, 4)? as usize;
    Some((kind, 8..len.checked_add(8)?))
}

/// Takes what one of the interfaces has counted, from the body of its block; damage in it costs no packet, and is not told.
///
/// ```text
/// | interface | time, upper half | time, lower half | options ...
/// ```
pub(super) fn statistics(order: Order, body: &[u8], interfaces: &mut [Statistics]) {
    let interface = order.u32(body, 0).and_then(|at| interfaces.get_mut(at as usize));
    if let (Some(interface), Some(options)) = (interface, body.get(12..)) {
        each_option(order, options, |code, value| {
            let counted = options.get(value).and_then(|bytes| count(order, bytes));
            counted.into_iter().for_each(|count| interface.take(code, count));
        });
    }
}

fn section(window: &mut Window) -> Result<Order, SectionFault> {
    if !window.ask(16) {
        return Err(SectionFault::Cut);
    }
    let head = window.bytes();
    let order = section_order(head).ok_or(SectionFault::ByteOrder)?;
    let (Some(major), Some(minor)) = (order.u16(head, 12), order.u16(head, 14)) else { return Err(SectionFault::Cut) };
    // Some writers took 1.2 for the format of 1.0.
    if major != 1 || !matches!(minor, 0 | 2) {
        return Err(SectionFault::Version(major, minor));
    }
    Ok(order)
}

impl PcapNg {
    /// Looks at the first section header; `None` when the stream is of another format.
    pub(super) fn open(window: &mut Window, notes: &Notes) -> Result<Option<Self>, CaptureError> {
        if !window.bytes().starts_with(&SECTION_HEADER.to_be_bytes()) {
            return Ok(None);
        }
        let path = || notes.path().into();
        match section(window) {
            Ok(order) => Ok(Some(Self {
                order,
                interfaces: Arc::default(),
                statistics: Vec::new(),
                dropped: Dropped::default(),
                time: Timestamp::default(),
                numbers: 0,
                sections: None,
                described: 0,
            })),
            Err(SectionFault::ByteOrder) => Ok(None),
            Err(SectionFault::Cut) => Err(CaptureError::HeaderCut { path: path(), format: "pcapng" }),
            Err(SectionFault::Version(major, minor)) => {
                Err(CaptureError::UnknownVersion { path: path(), format: "pcapng", major, minor })
            }
        }
    }

    /// Keeps the sections from here on.
    pub(super) fn keep_sections(&mut self) {
        self.sections = Some(Vec::new());
    }

    /// The sections that were kept, with all their interfaces; nothing when they were too many.
    pub(super) fn sections(&mut self) -> Option<Vec<Section>> {
        let mut sections = self.sections.take()?;
        if let Some(last) = sections.last_mut() {
            last.interfaces = self.interfaces.clone();
        }
        Some(sections)
    }

    /// Goes on with a block of this section, or of the same one; what has no time of its own has this one.
    pub(super) fn enter(&mut self, section: Option<&Section>, time: Timestamp) {
        self.time = time;
        if let Some(section) = section {
            self.order = section.order;
            self.interfaces = section.interfaces.clone();
        }
    }

    /// A section begins; `most` bounds what is kept of sections and their interfaces.
    #[cold]
    fn begin(&mut self, order: Order, at: u64, most: usize) {
        let interfaces = std::mem::take(&mut self.interfaces);
        self.order = order;
        self.dropped = self.dropped();
        self.statistics.clear();
        let Some(sections) = &mut self.sections else { return };
        self.described += interfaces.len();
        if let Some(last) = sections.last_mut() {
            last.interfaces = interfaces;
        }
        sections.push(Section { at, order, interfaces: Arc::default() });
        if sections.len() + self.described > most {
            self.sections = None;
        }
    }

    /// Frame numbers since the last frame, once.
    pub(super) fn numbers_left(&mut self) -> u64 {
        std::mem::take(&mut self.numbers)
    }

    /// What all interfaces dropped, as far as blocks have said so by now.
    pub(super) fn dropped(&self) -> Dropped {
        let mut dropped = self.dropped;
        self.statistics.iter().for_each(|statistics| dropped.add(&statistics.dropped()));
        dropped
    }

    /// The next frame or secrets; what is before it is consumed, it is at the start of the window.
    #[inline]
    pub(super) fn next(&mut self, window: &mut Window, notes: &mut Notes, ids: &mut Ids) -> Option<Record> {
        loop {
            let (kind, len) = self.block(window, notes)?;
            let bytes = window.bytes();
            let body = bytes.get(HEAD..len.checked_sub(4)?)?;
            let found = match kind {
                ENHANCED_PACKET => self.enhanced_packet(body, len),
                SIMPLE_PACKET => self.simple_packet(body, len),
                PACKET => self.packet(body, len),
                DECRYPTION_SECRETS => self.secrets(body, len),
                INTERFACE_DESCRIPTION => self.interface(body, notes, ids),
                INTERFACE_STATISTICS => {
                    statistics(self.order, body, &mut self.statistics);
                    Found::default()
                }
                kind => {
                    self.numbers += u64::from(self.has_number(kind, body));
                    Found::default()
                }
            };
            if let Some(fault) = found.fault {
                notes.note(window.offset(), fault);
            }
            if let Some(record) = found.record {
                return Some(record);
            }
            window.consume(len);
        }
    }

    /// True for what is a frame to Wireshark though nothing was captured from a link: it takes a frame number.
    fn has_number(&self, kind: u32, body: &[u8]) -> bool {
        kind == SYSTEMD_JOURNAL
            || SYSDIG_EVENT.contains(&kind)
            || CUSTOM.contains(&kind) && self.order.u32(body, 0).is_some_and(|enterprise| enterprise != NETFLIX)
    }

    /// Brings the next block into the window: its type, and its length with padding.
    #[inline]
    fn block(&mut self, window: &mut Window, notes: &mut Notes) -> Option<(u32, usize)> {
        if !window.ask(HEAD) {
            notes.end(window, "the file ends inside a block");
            return None;
        }
        let mut kind = self.order.u32(window.bytes(), 0)?;
        if kind == SECTION_HEADER {
            match section(window) {
                Ok(order) => self.begin(order, window.offset(), notes.limits().capture_interfaces),
                Err(fault) => {
                    match fault {
                        SectionFault::Cut => notes.end(window, "the file ends inside a section header"),
                        SectionFault::ByteOrder => {
                            notes.note(window.offset(), "a section header with an unknown byte-order magic");
                        }
                        SectionFault::Version(major, minor) => {
                            notes.note(window.offset(), format!("a section of version {major}.{minor}"));
                        }
                    }
                    return None;
                }
            }
            kind = SECTION_HEADER;
        }
        let total = self.order.u32(window.bytes(), 4)?;
        let least = if kind == SECTION_HEADER { 28 } else { FRAME };
        let most = notes.limits().capture_block;
        // Not a multiple of four is against the rules, but Wireshark reads such blocks, and so do we.
        let len = (total as usize).checked_next_multiple_of(4)?;
        if len < least || len > most {
            notes.note(window.offset(), format!("a block of length {total}, not between {least} and {most}"));
            return None;
        }
        if !window.ask(len) {
            notes.end(window, "the file ends inside a block");
            return None;
        }
        let again = self.order.u32(window.bytes(), len - 4)?;
        if again != total {
            notes.note(window.offset(), format!("a block whose two lengths differ, {total} and {again}"));
            return None;
        }
        Some((kind, len))
    }

    /// ```text
    /// | interface | time, upper half | time, lower half | captured length | original length | packet ... | options ...
    /// ```
    #[inline]
    fn enhanced_packet(&mut self, body: &[u8], len: usize) -> Found {
        let order = self.order;
        let word = |at| order.u32(body, at);
        let (Some(interface), Some(high), Some(low), Some(captured), Some(original)) =
            (word(0), word(4), word(8), word(12), word(16))
        else {
            return self.numbered("an enhanced packet block that is too short");
        };
        let stamp = u64::from(high) << 32 | u64::from(low);
        self.place(Packet { interface, stamp: Some(stamp), captured, original, at: 20, has_options: true }, body, len)
    }

    /// ```text
    /// | interface: 16 | drops: 16 | time, upper half | time, lower half | captured length | original length | packet ...
    /// ```
    fn packet(&mut self, body: &[u8], len: usize) -> Found {
        let order = self.order;
        let word = |at| order.u32(body, at);
        let (Some(interface), Some(high), Some(low), Some(captured), Some(original)) =
            (order.u16(body, 0), word(4), word(8), word(12), word(16))
        else {
            return self.numbered("a packet block that is too short");
        };
        let stamp = u64::from(high) << 32 | u64::from(low);
        let interface = u32::from(interface);
        if let Some(drops) = order.u16(body, 2).filter(|&drops| drops != DROPS_UNKNOWN) {
            self.skip(interface, drops.into());
        }
        self.place(Packet { interface, stamp: Some(stamp), captured, original, at: 20, has_options: true }, body, len)
    }

    /// A packet of the section's first interface, without time or captured length.
    fn simple_packet(&mut self, body: &[u8], len: usize) -> Found {
        let Some(original) = self.order.u32(body, 0) else {
            return self.numbered("a simple packet block that is too short");
        };
        let snaplen = match self.interfaces.first() {
            Some(&Interface { snaplen: snaplen @ 1.., .. }) => snaplen,
            _ => u32::MAX,
        };
        let room = u32::try_from(body.len().saturating_sub(4)).unwrap_or(u32::MAX);
        let captured = original.min(snaplen).min(room);
        self.place(Packet { interface: 0, stamp: None, captured, original, at: 4, has_options: false }, body, len)
    }

    #[inline]
    fn place(&mut self, packet: Packet, body: &[u8], len: usize) -> Found {
        let Some(&interface) = self.interfaces.get(packet.interface as usize) else {
            return self.numbered(format!("a packet of interface {}, which is not described", packet.interface));
        };
        let mut fault = None;
        let room = body.len().saturating_sub(packet.at);
        let mut captured = packet.captured as usize;
        if captured > room {
            fault = Some(format!("a packet of {captured} bytes in a block with room for {room}"));
            captured = room;
        }
        let mut comment = None;
        let mut fcs = interface.fcs;
        let mut skipped = None;
        // Packets without options, nearly all, stop here.
        let rest = captured.saturating_add(3) & !3;
        if packet.has_options
            && rest < room
            && let Some(options) = body.get(packet.at + rest..)
        {
            let base = HEAD + packet.at + rest;
            let whole = each_option(self.order, options, |code, value| match code {
                1 if comment.is_none() => {
                    let bytes = options.get(value.clone()).unwrap_or_default();
                    let text = text_len(bytes);
                    comment = Some(base + value.start..base + value.start + text);
                }
                2 => {
                    let flags = options.get(value).and_then(|bytes| self.order.u32(bytes, 0)).unwrap_or(0);
                    // Bits 5 to 8: length of the frame check sequence in bytes, 0 when not known.
                    if flags >> 5 & 0xf != 0 {
                        fcs = (flags >> 5 & 0xf) as u8;
                    }
                }
                4 => skipped = options.get(value).and_then(|bytes| count(self.order, bytes)),
                _ => {}
            });
            if !whole && fault.is_none() {
                fault = Some("an option that runs over the end of its block".into());
            }
        }
        if let Some(skipped) = skipped {
            self.skip(packet.interface, skipped);
        }
        if let Some(stamp) = packet.stamp {
            self.time = interface.clock.time(stamp);
        }
        let start = HEAD + packet.at;
        let mut placed = Placed {
            time: self.time,
            interface: interface.id,
            link_type: interface.link_type,
            original_len: packet.original,
            data: start..start + captured,
            comment,
            numbers: 1 + std::mem::take(&mut self.numbers),
        };
        placed.strip_fcs(fcs);
        Found { record: Some(Record::frame(placed, len)), fault }
    }

    /// Packets were dropped since the one before on the same interface.
    #[cold]
    fn skip(&mut self, interface: u32, count: u64) {
        if let Some(statistics) = self.statistics.get_mut(interface as usize) {
            statistics.skip(count);
        }
    }

    /// A packet that cannot be handed on, but has its number.
    #[cold]
    fn numbered(&mut self, fault: impl Into<String>) -> Found {
        self.numbers += 1;
        Found { record: None, fault: Some(fault.into()) }
    }

    #[cold]
    fn secrets(&mut self, body: &[u8], len: usize) -> Found {
        let Some((kind, data)) = secrets(self.order, body) else {
            return Found { record: None, fault: Some("a decryption secrets block that is too short".into()) };
        };
        let fault = (data.end > body.len()).then(|| "decryption secrets that run over the end of their block".into());
        let data = HEAD + data.start..HEAD + data.end.min(body.len());
        Found { record: Some(Record::secrets(kind, data, len)), fault }
    }

    /// ```text
    /// | link type: 16 | reserved: 16 | snapshot length | options ...
    /// ```
    #[cold]
    fn interface(&mut self, body: &[u8], notes: &Notes, ids: &mut Ids) -> Found {
        let (Some(link_type), Some(snaplen)) = (self.order.u16(body, 0), self.order.u32(body, 4)) else {
            return Found { record: None, fault: Some("an interface description that is too short".into()) };
        };
        if self.interfaces.len() >= notes.limits().capture_interfaces {
            return Found { record: None, fault: Some("more interfaces than are followed".into()) };
        }
        let mut clock = Clock::MICROSECONDS;
        let mut fcs = 0;
        let options = body.get(8..).unwrap_or_default();
        let order = self.order;
        let whole = each_option(order, options, |code, value| {
            let value = options.get(value).unwrap_or_default();
            match code {
                9 => value.first().into_iter().for_each(|&resolution| clock.set_resolution(resolution)),
                13 => fcs = value.first().map_or(0, |&len| fcs_bytes(len)),
                14 => order.u64(value, 0).into_iter().for_each(|seconds| clock.set_offset(seconds as i64)),
                _ => {}
            }
        });
        let link_type = LinkType(u32::from(link_type));
        Arc::make_mut(&mut self.interfaces).push(Interface { id: ids.interface(), link_type, snaplen, clock, fcs });
        self.statistics.push(Statistics::default());
        let fault = (!whole).then(|| "an option that runs over the end of its block".into());
        Found { record: None, fault }
    }
}

/// The clock of an interface, from the body of its description.
pub(super) fn clock(order: Order, body: &[u8]) -> Option<Clock> {
    let options = body.get(8..)?;
    let mut clock = Clock::MICROSECONDS;
    each_option(order, options, |code, value| {
        let value = options.get(value).unwrap_or_default();
        match code {
            9 => value.first().into_iter().for_each(|&resolution| clock.set_resolution(resolution)),
            14 => order.u64(value, 0).into_iter().for_each(|seconds| clock.set_offset(seconds as i64)),
            _ => {}
        }
    });
    Some(clock)
}

/// What the three kinds of packet blocks say.
struct Packet {
    interface: u32,
    /// Time in units of the interface.
    stamp: Option<u64>,
    captured: u32,
    original: u32,
    /// Where the packet begins in the body.
    at: usize,
    has_options: bool,
}

/// What a block gave.
#[derive(Default)]
struct Found {
    record: Option<Record>,
    fault: Option<String>,
}

/// Calls `each` with code and place of every option; false when one runs over the end. Padding may be cut.
///
/// ```text
/// +-------------------------------+-------------------------------+
/// |           code: 16            |           length: 16          |
/// +-------------------------------+-------------------------------+
/// |                     value, padded to 4 bytes                  |
/// +---------------------------------------------------------------+
/// ```
fn each_option(order: Order, options: &[u8], mut each: impl FnMut(u16, Range<usize>)) -> bool {
    let mut at = 0;
    while let (Some(code), Some(len)) = (order.u16(options, at), order.u16(options, at + 2)) {
        if code == 0 {
            return true;
        }
        let start = at + 4;
        let end = start + usize::from(len);
        if end > options.len() {
            return false;
        }
        each(code, start..end);
        at = (end + 3) & !3;
    }
    true
}

/// The value of an option that counts something.
fn count(order: Order, value: &[u8]) -> Option<u64> {
    order.u64(value, 0).filter(|_| value.len() == 8)
}

/// Length of the UTF-8 text at the start, without zero bytes at its end.
fn text_len(bytes: &[u8]) -> usize {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(fault) => bytes.get(..fault.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or(""),
    };
    text.trim_end_matches('\0').len()
}

/// `if_fcslen` is in bits, but was in bytes in the examples of old drafts, and Wireshark reads it so.
fn fcs_bytes(len: u8) -> u8 {
    if len >= 8 { len / 8 } else { len }
}
