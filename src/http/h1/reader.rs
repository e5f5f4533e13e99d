//! Cuts heads out of a byte stream: finds where a start line begins and where its head ends.

use memchr::memchr;

use crate::base::{Budget, Lease, Span, Timestamp};
use crate::http::Version;
use crate::http::detect;
use crate::tcp::{Chunk, Position, Side};

/// What the reader made of some bytes.
#[derive(Debug)]
pub enum Found<'a> {
    /// All bytes were taken in; the head goes on.
    More,
    /// The first `used` bytes do not belong to a head.
    Garbage {
        /// How many of the given bytes.
        used: usize,
    },
    /// A whole head.
    Head {
        /// Start line to blank line.
        bytes: &'a [u8],
        /// Frames of it.
        span: Span,
        /// Position of its first byte.
        position: Position,
        /// How many of the given bytes belong to it.
        used: usize,
    },
    /// The head is larger than the limit.
    TooLarge,
}

/// Where a line ended at the last byte seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum LinePart {
    #[default]
    Empty,
    OnlyCr,
    Text,
}

/// Finds the empty line that ends a block of lines, however the block is split.
#[derive(Debug, Default)]
pub struct BlankLine {
    part: LinePart,
}

impl BlankLine {
    /// Bytes of `data` up to and with the empty line, when it is in there.
    pub fn find(&mut self, data: &[u8]) -> Option<usize> {
        let mut start = 0;
        while let Some(len) = memchr(b'\n', &data[start..]) {
            let line = &data[start..start + len];
            let is_blank = match self.part {
                LinePart::Empty => line.is_empty() || line == b"\r",
                LinePart::OnlyCr => line.is_empty(),
                LinePart::Text => false,
            };
            start += len + 1;
            self.part = LinePart::Empty;
            if is_blank {
                return Some(start);
            }
        }
        self.part = match (self.part, &data[start..]) {
            (part, []) => part,
            (LinePart::Empty, b"\r") => LinePart::OnlyCr,
            _ => LinePart::Text,
        };
        None
    }
}

/// Reads heads of one direction. A head that lies whole inside one chunk is not copied.
#[derive(Debug)]
pub struct HeadReader {
    role: Side,
    limit: usize,
    /// Start of a head whose end has not come yet.
    held: Vec<u8>,
    lease: Lease,
    span: Option<Span>,
    /// Position of the first byte held.
    position: Position,
    blank: BlankLine,
    /// True when the start line in `held` is whole and good.
    has_start_line: bool,
    /// Bytes of the start line.
    fields_at: usize,
    /// True when what stands behind it looks like fields.
    has_fields: bool,
    /// Offset behind the last line that was no start line: another line begins there.
    next_line: Option<u64>,
    /// The line that is read may have begun in missing bytes.
    is_rest: bool,
}

impl HeadReader {
    /// A reader of requests (`Side::Client`) or responses.
    pub fn new(role: Side, limit: usize, budget: &Budget) -> Self {
        Self {
            role,
            limit,
            held: Vec::new(),
            lease: budget.lease(),
            span: None,
            position: Position::default(),
            blank: BlankLine::default(),
            has_start_line: false,
            fields_at: 0,
            has_fields: false,
            next_line: None,
            is_rest: false,
        }
    }

    /// Takes in bytes. `first` allows what only the first message of a connection may be, a request of HTTP/0.9; `in_step` says
    /// that a message is expected just here. After anything but [`Found::More`] the caller must [`clear`](Self::clear).
    pub fn read<'a>(&'a mut self, chunk: Chunk<'a>, first: bool, in_step: bool) -> Found<'a> {
        let data = chunk.data;
        if !in_step && !self.is_holding() {
            let is_rest = self.next_line != Some(chunk.offset);
            let used = self.search(data, is_rest).unwrap_or(data.len());
            if used > 0 {
                let is_line = used < data.len() || data.ends_with(b"\n");
                self.next_line = is_line.then_some(chunk.offset.wrapping_add(used as u64));
                return Found::Garbage { used };
            }
        }
        if !in_step && self.is_holding() && !self.has_start_line && self.begins_message(data) {
            // What was held was text without a line end, and a message begins with this chunk.
            self.clear();
        }
        let from_hold = !self.held.is_empty();
        if !from_hold {
            self.is_rest = !in_step && self.next_line != Some(chunk.offset);
        }
        let mut at = 0;
        if !self.has_start_line {
            let Some(end) = memchr(b'\n', data) else {
                return self.hold_start_line(chunk);
            };
            at = end + 1;
            let is_simple = if from_hold {
                self.hold(chunk.up_to(at));
                self.judge(&self.held, first)
            } else {
                self.judge(&data[..at], first)
            };
            match is_simple {
                None => {
                    self.clear();
                    self.next_line = Some(chunk.offset.wrapping_add(at as u64));
                    return Found::Garbage { used: at };
                }
                Some(true) => return self.found(chunk, from_hold, at),
                Some(false) => {
                    self.has_start_line = true;
                    self.fields_at = if from_hold { self.held.len() } else { at };
                }
            }
        }
        if !in_step && !self.has_fields {
            // What was searched for may stand in content as well: there no fields follow.
            match detect::begins_fields(&data[at..], self.held.len() <= self.fields_at) {
                Some(true) => self.has_fields = true,
                Some(false) => {
                    self.clear();
                    return Found::Garbage { used: at };
                }
                None => {}
            }
        }
        let end = self.blank.find(&data[at..]).map(|len| at + len);
        // What is held ends with the start line when that ended in this chunk.
        let from = if from_hold { at } else { 0 };
        let more = chunk.up_to(end.unwrap_or(data.len())).from(from);
        let room = self.limit.saturating_sub(self.held.len());
        if more.data.len() > room {
            self.hold(more.up_to(room));
            return Found::TooLarge;
        }
        match end {
            Some(end) => {
                if from_hold {
                    self.hold(more);
                }
                self.found(chunk, from_hold, end)
            }
            None => {
                self.hold(more);
                Found::More
            }
        }
    }

    /// The start of a head that will not become whole, when it says what it is: whole lines, or a part of the start line.
    pub fn partial(&self) -> Option<(&[u8], Span)> {
        let lines = match (self.has_start_line, self.role) {
            (true, _) => memchr::memrchr(b'\n', &self.held).map_or(self.held.as_slice(), |end| &self.held[..=end]),
            (false, Side::Client) => detect::cut_request_line(&self.held).map(|_| self.held.as_slice())?,
            (false, Side::Server) => detect::status_line(&self.held).map(|_| self.held.as_slice())?,
        };
        Some((lines, self.span?))
    }

    /// Position of the first byte held.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Bytes held.
    pub fn held(&self) -> u64 {
        self.held.len() as u64
    }

    /// True when the start of something is held.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// When the head began of which a part is held.
    pub fn pending_since(&self) -> Option<Timestamp> {
        self.span.filter(|_| self.is_holding()).map(|span| span.first.time)
    }

    /// Ready for the next head.
    pub fn clear(&mut self) {
        if self.held.capacity() > 4096 {
            self.held = Vec::new();
            self.lease.set(0);
        }
        self.held.clear();
        self.span = None;
        self.blank = BlankLine::default();
        self.has_start_line = false;
        self.has_fields = false;
    }

    fn found<'a>(&'a self, chunk: Chunk<'a>, from_hold: bool, used: usize) -> Found<'a> {
        if from_hold {
            Found::Head { bytes: &self.held, span: self.span.unwrap_or(chunk.span), position: self.position, used }
        } else {
            Found::Head { bytes: &chunk.data[..used], span: chunk.span, position: chunk.position, used }
        }
    }

    /// Holds a start line without its end, as long as it looks like one.
    fn hold_start_line<'a>(&mut self, chunk: Chunk<'_>) -> Found<'a> {
        // The few first bytes decide; later ones are not looked at again.
        const LOOK: usize = 64;
        if self.held.len() < LOOK {
            let missing = LOOK - self.held.len();
            let mut look = [0; 2 * LOOK];
            let parts = self.held.iter().chain(chunk.data.iter().take(missing));
            let len = look.iter_mut().zip(parts).map(|(to, from)| *to = *from).count();
            let look = &look[..len];
            let may_be = match self.role {
                Side::Client => detect::may_be_request_line(look),
                Side::Server => detect::may_be_status_line(look),
            };
            if !may_be {
                self.clear();
                return Found::Garbage { used: chunk.data.len() };
            }
        }
        if self.held.len() + chunk.data.len() > self.limit {
            return Found::TooLarge;
        }
        self.hold(chunk);
        Found::More
    }

    /// True when the bytes begin with a message for certain: the rest of a request line may look like another one.
    fn begins_message(&self, data: &[u8]) -> bool {
        let is_certain = self.role == Side::Server || detect::has_known_method(data);
        is_certain && memchr(b'\n', data).is_some_and(|end| self.judge(&data[..end], false).is_some())
    }

    /// `None` when the line starts no message, true when it is a whole message.
    fn judge(&self, line: &[u8], first: bool) -> Option<bool> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match self.role {
            Side::Client if self.is_rest && detect::is_rest_of_request_line(line) => None,
            Side::Client => detect::request_line(line)
                .map(|line| line.version == Version::Http09)
                .filter(|&is_simple| first || !is_simple),
            Side::Server => detect::status_line(line).map(|_| false),
        }
    }

    /// Where in the bytes, which follow a hole or other bytes that were no message, the next message begins or may begin. Content
    /// need not end with a line, so it may stand behind anything.
    fn search(&self, data: &[u8], is_rest: bool) -> Option<usize> {
        match self.role {
            Side::Client => detect::find_request(data, is_rest),
            Side::Server => detect::find_response(data),
        }
    }

    fn hold(&mut self, chunk: Chunk<'_>) {
        if self.held.is_empty() {
            self.position = chunk.position;
        }
        self.held.extend_from_slice(chunk.data);
        self.lease.set(self.held.capacity());
        self.span = Some(self.span.map_or(chunk.span, |before| before.join(chunk.span)));
    }
}
