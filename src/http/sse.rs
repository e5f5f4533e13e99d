//! Server-sent events: the `text/event-stream` format
//! ([WHATWG HTML §9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)).
//!
//! Behind missing bytes the next event begins behind an empty line; or at once, when a chunk begins with a field, and either each
//! chunk so far began an event, or no event had that field elsewhere than at its start.

use memchr::memchr2;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Lease, Limits, Span, Stamp};

/// What the parser hands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SseItem<'a> {
    /// An event that a browser would dispatch.
    Event(SseEvent<'a>),
    /// A fault of the stream.
    Anomaly(AnomalyKind, Stamp),
    /// So many bytes are in the capture, but belong to events that are not whole.
    Unread(u64, Stamp),
}

/// One event; bytes are UTF-8 when the sender keeps to the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// `event` field, `message` when there is none.
    pub name: &'a [u8],
    /// Last event id in force, empty when there is none.
    pub id: &'a [u8],
    /// `data` lines joined by LF.
    pub data: &'a [u8],
    /// Reconnection time in force, in milliseconds.
    pub retry: Option<u64>,
    /// The frame and time of the empty line that ended it.
    pub stamp: Stamp,
    /// Bytes of its lines.
    pub wire_size: u64,
}

/// Parser of one event stream, for the bytes behind content decoding.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    id: Vec<u8>,
    retry: Option<u64>,
    wire_size: u64,
    /// Bytes of the stream were seen: no byte order mark can follow.
    has_begun: bool,
    /// The last byte was CR: an LF right behind it belongs to the same line end.
    after_cr: bool,
    /// Bytes of this event are missing or too many: it is not handed on.
    is_spoiled: bool,
    /// Bytes of this event are missing.
    has_gap: bool,
    /// Nothing came behind the missing bytes yet.
    is_behind_gap: bool,
    /// The line is the rest of one whose start is missing.
    is_rest: bool,
    /// A line of the event came.
    is_in_event: bool,
    /// Fields that events began with, and those that stood elsewhere.
    firsts: Fields,
    others: Fields,
    /// Chunks that began an event, and whether others did not.
    aligned: u32,
    has_split: bool,
    last: Stamp,
    lease: Lease,
}

/// A set of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Fields(u8);

impl Fields {
    /// The field of a line, or of the start of one; nothing when it is none that is known.
    fn of(line: &[u8]) -> Self {
        const KNOWN: [&[u8]; 5] = [b"", b"data", b"event", b"id", b"retry"];
        let is_of = |name: &&[u8]| line.strip_prefix(*name).is_some_and(|rest| rest.starts_with(b":"));
        Self(KNOWN.iter().position(is_of).map_or(0, |at| 1 << at))
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Parser {
    /// A parser at the first byte of a stream; `limits.message` bounds one event.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            limit: limits.message,
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            id: Vec::new(),
            retry: None,
            wire_size: 0,
            has_begun: false,
            after_cr: false,
            is_spoiled: false,
            has_gap: false,
            is_behind_gap: false,
            is_rest: false,
            is_in_event: false,
            firsts: Fields::default(),
            others: Fields::default(),
            aligned: 0,
            has_split: false,
            last: Stamp::default(),
            lease: budget.lease(),
        }
    }

    /// Takes in the next bytes.
    pub fn push(&mut self, data: &[u8], span: Span, out: &mut dyn FnMut(SseItem<'_>)) {
        self.last = span.last;
        if data.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_behind_gap) {
            self.resume(data, out);
        } else if self.is_in_event || !self.line.is_empty() {
            self.has_split |= !self.has_gap;
        } else {
            self.aligned = self.aligned.saturating_add(1);
        }
        let mut rest = data;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(behind) = rest.strip_prefix(b"\n")
            {
                rest = behind;
                self.wire_size += 1;
                continue;
            }
            match memchr2(b'\r', b'\n', rest) {
                Some(end) => {
                    self.wire_size += end as u64 + 1;
                    let line = &rest[..end];
                    if self.line.is_empty() {
                        self.line(line, out);
                    } else {
                        self.hold(line, out);
                        let mut whole = std::mem::take(&mut self.line);
                        self.line(&whole, out);
                        whole.clear();
                        self.line = whole;
                    }
                    self.after_cr = rest.get(end) == Some(&b'\r');
                    rest = &rest[end + 1..];
                }
                None => {
                    self.wire_size += rest.len() as u64;
                    self.hold(rest, out);
                    break;
                }
            }
        }
        let held = [&self.line, &self.name, &self.data, &self.id].iter().map(|part| part.capacity()).sum();
        self.lease.set(held);
    }

    /// Bytes are missing: the event they belong to is dropped.
    pub fn lose(&mut self) {
        self.line.clear();
        self.after_cr = false;
        self.is_spoiled = true;
        self.has_gap = true;
        self.is_behind_gap = true;
    }

    /// No more bytes come.
    pub fn finish(&mut self, out: &mut dyn FnMut(SseItem<'_>)) {
        if self.has_gap {
            self.reset(out);
        }
    }

    /// The first bytes behind missing ones: they begin an event, or end a line that began among those.
    fn resume(&mut self, data: &[u8], out: &mut dyn FnMut(SseItem<'_>)) {
        /// Chunks that are enough to know how a sender cuts its events.
        const ENOUGH: u32 = 2;
        let field = Fields::of(data);
        let is_aligned = self.aligned >= ENOUGH && !self.has_split && field != Fields::default();
        if is_aligned || self.firsts.has(field) && !self.others.has(field) {
            self.reset(out);
        } else {
            self.is_rest = true;
        }
        self.has_begun = true;
    }

    fn hold(&mut self, part: &[u8], out: &mut dyn FnMut(SseItem<'_>)) {
        if self.has_room(part.len(), out) {
            self.line.extend_from_slice(part);
        } else {
            self.line.clear();
            // Not empty, so that the rest is not taken for a line of its own.
            self.line.push(b':');
        }
    }

    fn has_room(&mut self, more: usize, out: &mut dyn FnMut(SseItem<'_>)) -> bool {
        let held = self.line.len() + self.name.len() + self.data.len();
        let fits = held.saturating_add(more) <= self.limit;
        if !fits && !self.is_spoiled {
            self.is_spoiled = true;
            self.data = Vec::new();
            out(SseItem::Anomaly(AnomalyKind::BodyTooLarge, self.last));
        }
        fits
    }

    fn line(&mut self, line: &[u8], out: &mut dyn FnMut(SseItem<'_>)) {
        let line = if std::mem::replace(&mut self.has_begun, true) {
            line
        } else {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        };
        if std::mem::take(&mut self.is_rest) {
            return;
        }
        if line.is_empty() {
            return self.dispatch(out);
        }
        if std::mem::replace(&mut self.is_in_event, true) {
            self.others.add(Fields::of(line));
        } else if !self.has_gap {
            self.firsts.add(Fields::of(line));
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(0) => return,
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" if self.has_room(value.len(), out) => value.clone_into(&mut self.name),
            b"data" if self.has_room(value.len() + 1, out) => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"id" if !value.contains(&0) && value.len() <= self.limit => value.clone_into(&mut self.id),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).or(self.retry);
            }
            _ => {}
        }
    }

    /// An empty line: the event is complete, when it has data.
    fn dispatch(&mut self, out: &mut dyn FnMut(SseItem<'_>)) {
        let data = self.data.strip_suffix(b"\n");
        if let Some(data) = data.filter(|_| !self.is_spoiled) {
            out(SseItem::Event(SseEvent {
                name: if self.name.is_empty() { b"message" } else { &self.name },
                id: &self.id,
                data,
                retry: self.retry,
                stamp: self.last,
                wire_size: self.wire_size,
            }));
        }
        self.reset(out);
    }

    /// Before the first line of an event.
    fn reset(&mut self, out: &mut dyn FnMut(SseItem<'_>)) {
        if std::mem::take(&mut self.has_gap) && self.wire_size > 0 {
            out(SseItem::Unread(self.wire_size, self.last));
        }
        self.is_spoiled = false;
        self.is_in_event = false;
        self.wire_size = 0;
        self.name.clear();
        self.data.clear();
        if self.data.capacity() > 64 << 10 {
            self.data = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests;
