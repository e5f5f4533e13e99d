//! One direction of a request, push or control stream becomes frames
//! ([RFC 9114 §7.1](https://www.rfc-editor.org/rfc/rfc9114#section-7.1)).
//!
//! ```text
//! Type (varint)  Length (varint)  Payload (Length octets)
//! ```

use crate::base::{Budget, Lease, Reader, Span};
use crate::tcp::Chunk;

/// Frame types (RFC 9114 §7.2).
pub mod kind {
    #![allow(missing_docs, reason = "the names are those of the RFC")]
    pub const DATA: u64 = 0x0;
    pub const HEADERS: u64 = 0x1;
    pub const SETTINGS: u64 = 0x4;
    pub const PUSH_PROMISE: u64 = 0x5;
    pub const GOAWAY: u64 = 0x7;
    /// Not a frame: the rest of the stream belongs to a WebTransport session.
    pub const WEBTRANSPORT_STREAM: u64 = 0x41;
}

/// What a direction is made of, in order.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Octets of framing of a DATA frame.
    Framing(u64),
    /// Content of a DATA frame, as it comes.
    Data(Chunk<'a>),
    /// HEADERS, SETTINGS, PUSH_PROMISE or GOAWAY; other types are skipped.
    Frame {
        /// Its type.
        kind: u64,
        /// Its payload, or the start of it.
        payload: &'a [u8],
        /// False when bytes of it are missing, or it is too large.
        whole: bool,
        /// Its frames in the capture.
        span: Span,
        /// Octets of the frame.
        size: u64,
    },
}

/// What missing bytes come to.
#[derive(Debug)]
pub struct Cut<'a> {
    /// The frame they are missing from.
    pub frame: Option<Piece<'a>>,
    /// Octets of content among them; 0 when their number is not known.
    pub content: Option<u64>,
    /// True when no frame can be found any more: nothing marks where one begins.
    pub is_torn: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Within type and length.
    Header,
    /// Within DATA.
    Data(u64),
    /// Within a frame whose payload is wanted.
    Collect(usize),
    /// Within another one.
    Skip(u64),
    /// The rest is not followed.
    Over,
}

/// Framer of one direction.
#[derive(Debug)]
pub struct Framer {
    state: State,
    /// Type and length, as far as they have come.
    head: [u8; 16],
    have: u8,
    kind: u64,
    start: Span,
    size: u64,
    payload: Vec<u8>,
    /// Largest payload that is collected.
    bound: usize,
    lease: Lease,
}

impl Framer {
    /// A framer at the start of a direction that collects payloads of up to `bound` octets.
    pub fn new(bound: usize, budget: &Budget) -> Self {
        Self {
            state: State::Header,
            head: [0; 16],
            have: 0,
            kind: 0,
            start: Span::default(),
            size: 0,
            payload: Vec::new(),
            bound,
            lease: budget.lease(),
        }
    }

    /// True between two frames, where a stream may end.
    pub fn is_at_boundary(&self) -> bool {
        matches!(self.state, State::Header | State::Over) && self.have == 0
    }

    /// The next piece; takes its bytes from the front of the chunk.
    pub fn next<'s, 'c: 's>(&'s mut self, chunk: &mut Chunk<'c>) -> Option<Piece<'s>> {
        while !chunk.data.is_empty() {
            match self.state {
                State::Header => {
                    if let Some(length) = self.header(chunk)
                        && let Some(framing) = self.begin(length)
                    {
                        return Some(framing);
                    }
                }
                State::Data(left) => {
                    let taken = advance(chunk, left);
                    self.state = match left - taken.data.len() as u64 {
                        0 => State::Header,
                        left => State::Data(left),
                    };
                    return Some(Piece::Data(taken));
                }
                State::Collect(length) => {
                    let taken = advance(chunk, (length - self.payload.len()) as u64);
                    let span = self.start.join(taken.span);
                    let (kind, size) = (self.kind, self.size);
                    if taken.data.len() == length {
                        self.state = State::Header;
                        return Some(Piece::Frame { kind, payload: taken.data, whole: true, span, size });
                    }
                    self.payload.extend_from_slice(taken.data);
                    self.lease.set(self.payload.capacity());
                    if self.payload.len() == length {
                        self.state = State::Header;
                        return Some(Piece::Frame { kind, payload: &self.payload, whole: true, span, size });
                    }
                }
                State::Skip(left) => {
                    let taken = advance(chunk, left).data.len() as u64;
                    self.state = if left == taken { State::Header } else { State::Skip(left - taken) };
                }
                State::Over => chunk.data = &[],
            }
        }
        None
    }

    /// Takes missing bytes; `len` is 0 when their number is not known.
    pub fn gap(&mut self, len: u64) -> Cut<'_> {
        let is_within = |left: u64| len > 0 && len <= left;
        let rest = |state: fn(u64) -> State, left: u64| if left == len { State::Header } else { state(left - len) };
        match self.state {
            State::Data(left) if is_within(left) => {
                self.state = rest(State::Data, left);
                Cut { frame: None, content: Some(len), is_torn: false }
            }
            State::Skip(left) if is_within(left) => {
                self.state = rest(State::Skip, left);
                Cut { frame: None, content: None, is_torn: false }
            }
            State::Collect(length) => {
                let left = (length - self.payload.len()) as u64;
                let is_torn = !is_within(left);
                self.state = if is_torn { State::Over } else { rest(State::Skip, left) };
                let frame = Piece::Frame {
                    kind: self.kind,
                    payload: &self.payload,
                    whole: false,
                    span: self.start,
                    size: self.size,
                };
                Cut { frame: Some(frame), content: None, is_torn }
            }
            State::Over => Cut { frame: None, content: None, is_torn: false },
            state => {
                self.state = State::Over;
                self.have = 0;
                let content = match state {
                    // All that was left of the frame, and what followed it.
                    State::Data(left) if len > 0 => Some(left),
                    _ => Some(0),
                };
                Cut { frame: None, content, is_torn: true }
            }
        }
    }

    /// Reads type and length; the length when they are whole.
    fn header(&mut self, chunk: &mut Chunk<'_>) -> Option<u64> {
        if self.have == 0 {
            self.start = chunk.span;
            self.payload = Vec::new();
            self.lease.set(0);
        }
        self.start = self.start.join(chunk.span);
        loop {
            let &[byte] = advance(chunk, 1).data else { return None };
            *self.head.get_mut(usize::from(self.have))? = byte;
            self.have += 1;
            let mut reader = Reader::new(self.head.get(..usize::from(self.have))?);
            if let (Ok(kind), Ok(length)) = (reader.varint(), reader.varint()) {
                self.kind = kind;
                self.size = u64::from(self.have).saturating_add(length);
                self.have = 0;
                return Some(length);
            }
        }
    }

    /// The header is whole. Frames without payload are told at once.
    fn begin(&mut self, length: u64) -> Option<Piece<'static>> {
        let (kind, span, size) = (self.kind, self.start, self.size);
        match kind {
            kind::DATA => {
                self.state = if length == 0 { State::Header } else { State::Data(length) };
                return Some(Piece::Framing(size - length));
            }
            kind::HEADERS | kind::SETTINGS | kind::PUSH_PROMISE | kind::GOAWAY => {
                match usize::try_from(length).ok().filter(|&length| length <= self.bound) {
                    Some(0) => return Some(Piece::Frame { kind, payload: &[], whole: true, span, size }),
                    Some(length) => self.state = State::Collect(length),
                    None => {
                        self.state = State::Skip(length);
                        return Some(Piece::Frame { kind, payload: &[], whole: false, span, size });
                    }
                }
            }
            kind::WEBTRANSPORT_STREAM => self.state = State::Over,
            _ if length == 0 => {}
            _ => self.state = State::Skip(length),
        }
        None
    }
}

/// Cuts up to `len` bytes from the front of a chunk.
pub(super) fn advance<'a>(chunk: &mut Chunk<'a>, len: u64) -> Chunk<'a> {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(chunk.data.len());
    let front = chunk.up_to(len);
    *chunk = chunk.from(len);
    front
}
