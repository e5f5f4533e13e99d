//! A look over the headers of a seekable file before it is read: are its times in order, and which secrets does it hold?

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::clock::Clock;
use super::dropped::{Dropped, Statistics};
use super::frame::Secrets;
use super::order::Order;
use super::pcap::{self, Layout};
use super::pcapng::{self, DECRYPTION_SECRETS, HEAD, SECTION_HEADER, secrets, section_order};
use super::window::Window;
use crate::base::{Limits, Timestamp};

/// Bytes read at once.
const STEP: usize = 256 << 10;

/// What a look ahead has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// The earliest frame.
    pub earliest: Option<Timestamp>,
    /// True when a frame is earlier than one that stands before it.
    pub is_disordered: bool,
    /// What interfaces dropped by their statistics; packets may tell more, which are not looked at.
    pub dropped: Dropped,
    latest: Timestamp,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { earliest: None, is_disordered: false, dropped: Dropped::default(), latest: Timestamp(i64::MIN) }
    }
}

impl Ahead {
    #[inline]
    fn take(&mut self, time: Timestamp) {
        if time >= self.latest {
            self.latest = time;
            self.earliest.get_or_insert(time);
        } else {
            self.is_disordered = true;
            self.earliest = self.earliest.min(Some(time));
        }
    }
}

/// Hands every Decryption Secrets Block of a pcapng file to `out`, so that secrets which stand behind the packets they
/// serve are known in time, and tells whether the frames of a pcap or pcapng file are in order. Files of other formats, compressed
/// files and pipes have nothing to give: their secrets come with the frames. Where the file is damaged the search ends;
/// [`Reader`](super::Reader) tells of it.
/// With `stop` it ends early.
pub fn look_ahead(
    path: &Path,
    limits: &Limits,
    stop: &Arc<AtomicBool>,
    out: &mut dyn FnMut(Secrets<'_>),
) -> io::Result<Ahead> {
    look(path, limits, Some(stop), out)
}

/// [`look_ahead`] for the secrets, and what interfaces dropped, alone.
pub fn secrets_ahead(path: &Path, limits: &Limits, out: &mut dyn FnMut(Secrets<'_>)) -> io::Result<Dropped> {
    look(path, limits, None, out).map(|ahead| ahead.dropped)
}

/// A file that ends when it is no longer wanted.
struct Stoppable {
    file: File,
    stop: Option<Arc<AtomicBool>>,
}

impl Read for Stoppable {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let is_over = self.stop.as_ref().is_some_and(|stop| stop.load(Relaxed));
        if is_over { Ok(0) } else { self.file.read(into) }
    }
}

/// Looks for secrets, and at the order of any file when there is a `stop`.
fn look(
    path: &Path,
    limits: &Limits,
    stop: Option<&Arc<AtomicBool>>,
    out: &mut dyn FnMut(Secrets<'_>),
) -> io::Result<Ahead> {
    let mut ahead = Ahead::default();
    if path.as_os_str() == "-" || !std::fs::metadata(path)?.is_file() {
        return Ok(ahead);
    }
    let file = Stoppable { file: File::open(path)?, stop: stop.cloned() };
    let mut window = Window::new(Box::new(file), STEP);
    if !window.ask(4) {
        return Ok(ahead);
    }
    if window.bytes().starts_with(&SECTION_HEADER.to_be_bytes()) {
        blocks(&mut window, limits, &mut ahead, out);
    } else if stop.is_some()
        && window.ask(pcap::HEADER)
        && let Some(layout) = Layout::read(window.bytes())
    {
        window.consume(pcap::HEADER);
        records(&mut window, layout, limits, &mut ahead);
    }
    window.failure().map_or(Ok(ahead), Err)
}

/// The records of a pcap file.
fn records(window: &mut Window, layout: Layout, limits: &Limits, ahead: &mut Ahead) {
    'windows: while window.ask(layout.record_header) {
        // All records that begin in the window at once.
        let (mut rest, mut used) = (window.bytes(), 0);
        while rest.len() >= layout.record_header {
            let Some(head) = layout.record(rest).filter(|head| head.captured <= limits.frame) else { return };
            let len = layout.record_header + head.captured;
            if len > rest.len() {
                if used > 0 {
                    break;
                }
                if !skip(window, len) {
                    return;
                }
                ahead.take(head.time);
                continue 'windows;
            }
            ahead.take(head.time);
            used += len;
            rest = rest.get(len..).unwrap_or_default();
        }
        if !skip(window, used) {
            return;
        }
    }
}

/// The blocks of a pcapng file.
fn blocks(window: &mut Window, limits: &Limits, ahead: &mut Ahead, out: &mut dyn FnMut(Secrets<'_>)) {
    let mut order = Order::Little;
    let mut before = Dropped::default();
    let mut clocks: Vec<Clock> = Vec::new();
    let mut statistics: Vec<Statistics> = Vec::new();
    while window.ask(HEAD) {
        let mut kind = order.u32(window.bytes(), 0).unwrap_or(0);
        if window.bytes().starts_with(&SECTION_HEADER.to_be_bytes()) {
            if !window.ask(12) {
                return;
            }
            let Some(found) = section_order(window.bytes()) else { return };
            order = found;
            clocks.clear();
            statistics.clear();
            before = ahead.dropped;
            kind = SECTION_HEADER;
        }
        let len = order.u32(window.bytes(), 4).unwrap_or(0) as usize;
        let Some(len) = len.checked_next_multiple_of(4).filter(|&len| len >= 12 && len <= limits.capture_block) else {
            return;
        };
        match kind {
            pcapng::ENHANCED_PACKET | pcapng::PACKET if len >= 32 => {
                if !window.ask(20) {
                    return;
                }
                let head = window.bytes();
                let interface = match kind {
                    pcapng::PACKET => order.u16(head, 8).map(usize::from),
                    _ => order.u32(head, 8).map(|interface| interface as usize),
                };
                let (Some(interface), Some(high), Some(low)) = (interface, order.u32(head, 12), order.u32(head, 16))
                else {
                    return;
                };
                if let Some(clock) = clocks.get(interface) {
                    ahead.take(clock.time(u64::from(high) << 32 | u64::from(low)));
                }
            }
            pcapng::INTERFACE_DESCRIPTION if clocks.len() < limits.capture_interfaces => {
                if !window.ask(len) {
                    return;
                }
                let body = window.bytes().get(HEAD..len - 4).unwrap_or_default();
                clocks.extend(pcapng::clock(order, body));
                statistics.push(Statistics::default());
            }
            pcapng::INTERFACE_STATISTICS => {
                if !window.ask(len) {
                    return;
                }
                let body = window.bytes().get(HEAD..len - 4).unwrap_or_default();
                pcapng::statistics(order, body, &mut statistics);
                ahead.dropped = before;
                statistics.iter().for_each(|interface| ahead.dropped.add(&interface.dropped()));
            }
            DECRYPTION_SECRETS => {
                if !window.ask(len) {
                    return;
                }
                let body = window.bytes().get(HEAD..len - 4).unwrap_or_default();
                if let Some((kind, data)) = secrets(order, body) {
                    let data = body.get(data.start..data.end.min(body.len())).unwrap_or_default();
                    out(Secrets { kind, data });
                }
            }
            _ => {}
        }
        if !skip(window, len) {
            return;
        }
    }
}

/// Goes on behind `len` bytes, which need not fit into the window; false when the file ends before.
#[inline]
fn skip(window: &mut Window, len: usize) -> bool {
    let mut left = len;
    loop {
        let here = left.min(window.bytes().len());
        window.consume(here);
        left -= here;
        if left == 0 {
            return true;
        }
        if !window.ask(1) {
            return false;
        }
    }
}
