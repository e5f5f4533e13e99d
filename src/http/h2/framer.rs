//! One direction of a connection becomes frames.

mod gap;

use super::frame::{DEFAULT_MAX_FRAME, FrameHeader, HEADER_LEN, PREFACE, flag, kind};
use super::search::{Patience, Search, Verdict};
use crate::base::{Budget, Lease, Limits, Span, Stamp, Timestamp};
use crate::tcp::{Chunk, Position};

/// What a direction is made of, in order.
#[derive(Debug)]
pub enum Piece<'a> {
    /// The client's connection preface.
    Preface,
    /// The direction does not begin where the connection does.
    Midway(Stamp),
    /// A frame other than DATA. `payload` is its start when bytes are missing (`whole` is false), and empty when the type is
    /// not of interest.
    Frame {
        /// Its header.
        header: FrameHeader,
        /// Its payload.
        payload: &'a [u8],
        /// False when bytes of it are missing.
        whole: bool,
        /// Its frames in the capture.
        span: Span,
    },
    /// Content of a DATA frame, as it comes.
    Data {
        /// Stream.
        stream: u32,
        /// Content.
        chunk: Chunk<'a>,
        /// Octets of framing before it.
        framing: u64,
    },
    /// Content of a DATA frame that is missing.
    DataLost {
        /// Stream.
        stream: u32,
        /// Octets.
        len: u64,
        /// Where the loss was found.
        stamp: Stamp,
        /// Octets of framing before it.
        framing: u64,
    },
    /// The end of a DATA frame.
    DataEnd {
        /// Its header.
        header: FrameHeader,
        /// Octets of framing not yet told.
        framing: u64,
        /// Its frames in the capture.
        span: Span,
    },
    /// Bytes are missing, and frames with them.
    Lost(Stamp),
    /// The first frame behind what is missing. `room` octets of frames were not read, `None` when nobody knows how many.
    Found {
        /// Octets.
        room: Option<u64>,
    },
    /// What stands here is no frame; the next one is searched.
    Garbage(Stamp),
}

/// Where the framer is.
#[derive(Debug)]
enum State {
    /// At the first byte, or within the preface.
    Start { matched: usize },
    /// Within a frame header. The first one of a direction says whether this is the start of the connection.
    Header { is_first: bool },
    /// Before the pad length of a DATA frame.
    Pad,
    /// Within a DATA frame.
    Data { content: u32, padding: u32 },
    /// Within another frame whose payload is wanted.
    Collect,
    /// Within another frame whose payload is not.
    Skip { left: u32 },
    /// The place in the byte stream is not known.
    Search,
}

/// Framer of one direction.
#[derive(Debug)]
pub struct Framer {
    state: State,
    head: [u8; HEADER_LEN],
    have: usize,
    header: FrameHeader,
    /// Where the current frame began.
    start: Span,
    /// Its offset in the direction.
    offset: u64,
    /// Octets of framing not yet told.
    framing: u64,
    payload: Vec<u8>,
    /// Largest payload that is collected.
    bound: u32,
    /// SETTINGS_MAX_FRAME_SIZE that the other side may have set.
    max_frame: u32,
    /// Highest stream seen in a good frame.
    highest_stream: u32,
    /// Offset behind the last bytes that came.
    at: u64,
    /// Offset of the first frame that was not read, `Some(None)` when that is not known.
    missing_from: Option<Option<u64>>,
    search: Search,
    /// True while bytes of the search are read.
    is_replaying: bool,
    lease: Lease,
}

impl Framer {
    /// A framer at the start of a direction.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            state: State::Start { matched: 0 },
            head: [0; HEADER_LEN],
            have: 0,
            header: FrameHeader { length: 0, kind: 0, flags: 0, stream: 0 },
            start: Span::default(),
            framing: 0,
            payload: Vec::new(),
            bound: u32::try_from(limits.head).unwrap_or(u32::MAX),
            max_frame: DEFAULT_MAX_FRAME,
            highest_stream: 0,
            search: Search::new(budget),
            is_replaying: false,
            offset: 0,
            at: 0,
            missing_from: None,
            lease: budget.lease(),
        }
    }

    /// The other side accepts frames of this size.
    pub fn allow(&mut self, max_frame: u32) {
        self.max_frame = self.max_frame.max(max_frame);
    }

    /// True when nothing has come yet.
    pub fn is_untouched(&self) -> bool {
        matches!(self.state, State::Start { matched: 0 })
    }

    /// When the frame began whose end has not come yet, unless it is content.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let is_within = match self.state {
            State::Start { matched } => matched > 0,
            State::Header { .. } => self.have > 0,
            State::Collect | State::Search => true,
            State::Pad | State::Data { .. } | State::Skip { .. } => false,
        };
        is_within.then_some(self.start.first.time)
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut chunk: Chunk<'_>, out: &mut dyn FnMut(Piece<'_>)) {
        if !self.is_replaying {
            self.at = chunk.offset.wrapping_add(chunk.data.len() as u64);
        }
        while !chunk.data.is_empty() {
            match self.state {
                State::Start { matched } => self.preface(matched, &mut chunk, out),
                State::Header { is_first } => self.header(is_first, &mut chunk, out),
                State::Pad => {
                    let [pad] = *advance(&mut chunk, 1).data else { return };
                    self.framing += 1;
                    match (self.header.length - 1).checked_sub(u32::from(pad)) {
                        Some(content) => self.data(content, u32::from(pad), chunk.span, out),
                        None => {
                            out(Piece::Garbage(chunk.span.first));
                            self.leave(self.header.length - 1, chunk.span, out);
                        }
                    }
                }
                State::Data { content: 0, padding } => {
                    let taken = advance(&mut chunk, padding as usize).data.len() as u32;
                    self.framing += u64::from(taken);
                    self.data(0, padding - taken, chunk.span, out);
                }
                State::Data { content, padding } => {
                    let taken = advance(&mut chunk, content as usize);
                    let framing = std::mem::take(&mut self.framing);
                    out(Piece::Data { stream: self.header.stream, chunk: taken, framing });
                    self.data(content - taken.data.len() as u32, padding, taken.span, out);
                }
                State::Collect => self.collect(&mut chunk, out),
                State::Skip { left } => {
                    let taken = advance(&mut chunk, left as usize).data.len() as u32;
                    self.framing += u64::from(taken);
                    self.leave(left - taken, chunk.span, out);
                }
                // What is left lies in the buffer of the search, which goes on in it.
                State::Search if self.is_replaying => return,
                State::Search => {
                    self.search.push(chunk);
                    chunk.data = &[];
                    self.resume(Patience::Patient, out);
                }
            }
        }
    }

    /// No more bytes come.
    pub fn finish(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        if matches!(self.state, State::Search) {
            self.resume(Patience::Over, out);
        }
    }

    /// The other side sends something: what it answers to must have been complete.
    pub fn answered(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        if matches!(self.state, State::Search) {
            self.resume(Patience::Answered, out);
        }
    }

    fn preface(&mut self, matched: usize, chunk: &mut Chunk<'_>, out: &mut dyn FnMut(Piece<'_>)) {
        let expected = PREFACE.get(matched..).unwrap_or_default();
        let same = chunk.data.iter().zip(expected).take_while(|(a, b)| a == b).count();
        if matched + same == PREFACE.len() {
            advance(chunk, same);
            self.state = State::Header { is_first: false };
            out(Piece::Preface);
        } else if same == chunk.data.len() {
            if matched == 0 {
                self.start = chunk.span;
            }
            advance(chunk, same);
            self.state = State::Start { matched: matched + same };
        } else if matched + same == 0 {
            self.state = State::Header { is_first: true };
        } else {
            // No frame begins like the preface: it would be 5 MB long.
            advance(chunk, same);
            self.miss(None);
            out(Piece::Midway(chunk.span.first));
            self.start_search();
        }
    }

    fn header(&mut self, is_first: bool, chunk: &mut Chunk<'_>, out: &mut dyn FnMut(Piece<'_>)) {
        if self.have == 0 {
            self.start = chunk.span;
            self.offset = chunk.offset;
        }
        let taken = advance(chunk, HEADER_LEN - self.have);
        if let Some(place) = self.head.get_mut(self.have..self.have + taken.data.len()) {
            place.copy_from_slice(taken.data);
        }
        self.have += taken.data.len();
        self.start = self.start.join(taken.span);
        if self.have < HEADER_LEN {
            return;
        }
        self.have = 0;
        let header = FrameHeader::parse(&self.head);
        // A server begins with its SETTINGS, and a client with them after the preface (RFC 9113 §3.4).
        if is_first && !(header.kind == kind::SETTINGS && header.flags == 0 && self.is_acceptable(header)) {
            self.miss(None);
            out(Piece::Midway(self.start.first));
            return self.search_from_header(out);
        }
        if !self.is_acceptable(header) {
            self.miss(None);
            out(Piece::Garbage(self.start.first));
            return self.search_from_header(out);
        }
        if let Some(from) = self.missing_from.take() {
            out(Piece::Found { room: from.map(|from| self.offset.saturating_sub(from)) });
        }
        self.header = header;
        self.highest_stream = self.highest_stream.max(header.stream);
        self.begin(taken.span, out);
    }

    /// Larger frames than allowed are fine where content is only passed on; elsewhere they say that this is no frame.
    fn is_acceptable(&self, header: FrameHeader) -> bool {
        let is_small = header.length <= self.max_frame
            || header.kind == kind::DATA && header.stream <= self.highest_stream
            || header.kind == kind::HEADERS && header.length <= self.bound;
        is_small && header.is_legal()
    }

    fn begin(&mut self, span: Span, out: &mut dyn FnMut(Piece<'_>)) {
        let header = self.header;
        match header.kind {
            kind::DATA => {
                self.framing = HEADER_LEN as u64;
                if !header.has(flag::PADDED) {
                    self.data(header.length, 0, span, out);
                } else if header.length == 0 {
                    out(Piece::Garbage(self.start.first));
                    self.end(span, out);
                } else {
                    self.state = State::Pad;
                }
            }
            kind::HEADERS
            | kind::CONTINUATION
            | kind::PUSH_PROMISE
            | kind::RST_STREAM
            | kind::SETTINGS
            | kind::GOAWAY => {
                if header.length > self.bound {
                    out(Piece::Frame { header, payload: &[], whole: false, span: self.start });
                    self.skip(header.length);
                } else if header.length == 0 {
                    out(Piece::Frame { header, payload: &[], whole: true, span: self.start });
                    self.state = State::Header { is_first: false };
                } else {
                    self.state = State::Collect;
                }
            }
            _ => {
                self.skip(header.length);
                if header.length == 0 {
                    self.dropped(span, out);
                }
            }
        }
    }

    fn collect(&mut self, chunk: &mut Chunk<'_>, out: &mut dyn FnMut(Piece<'_>)) {
        let need = self.header.length as usize - self.payload.len();
        let taken = advance(chunk, need);
        if taken.data.len() < need {
            self.payload.extend_from_slice(taken.data);
            self.lease.set(self.payload.capacity());
            return;
        }
        let span = self.start.join(taken.span);
        self.state = State::Header { is_first: false };
        if self.payload.is_empty() {
            out(Piece::Frame { header: self.header, payload: taken.data, whole: true, span });
        } else {
            self.payload.extend_from_slice(taken.data);
            out(Piece::Frame { header: self.header, payload: &self.payload, whole: true, span });
            self.forget();
        }
    }

    /// Gives the buffer back; payloads that lie across chunks are rare enough to allocate anew.
    fn forget(&mut self) {
        self.payload = Vec::new();
        self.lease.set(0);
    }

    fn data(&mut self, content: u32, padding: u32, span: Span, out: &mut dyn FnMut(Piece<'_>)) {
        self.state = State::Data { content, padding };
        if content == 0 && padding == 0 {
            self.end(span, out);
        }
    }

    fn end(&mut self, span: Span, out: &mut dyn FnMut(Piece<'_>)) {
        let framing = std::mem::take(&mut self.framing);
        out(Piece::DataEnd { header: self.header, framing, span: self.start.join(span) });
        self.state = State::Header { is_first: false };
    }

    fn skip(&mut self, left: u32) {
        self.state = if left == 0 { State::Header { is_first: false } } else { State::Skip { left } };
    }

    /// Skips the rest of a frame of which a part is missing.
    fn leave(&mut self, left: u32, span: Span, out: &mut dyn FnMut(Piece<'_>)) {
        self.skip(left);
        if left == 0 {
            self.dropped(span, out);
        }
    }

    /// A frame that was skipped is over.
    fn dropped(&mut self, span: Span, out: &mut dyn FnMut(Piece<'_>)) {
        if self.header.kind == kind::DATA {
            self.end(span, out);
        } else if self.header.kind < u8::MAX && !is_collected(self.header.kind) {
            out(Piece::Frame { header: self.header, payload: &[], whole: true, span: self.start.join(span) });
        }
    }

    fn start_search(&mut self) {
        self.have = 0;
        self.framing = 0;
        self.state = State::Search;
    }

    /// The nine bytes of `head` are no frame header; the next one may begin within them.
    fn search_from_header(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        self.start_search();
        if !self.is_replaying {
            let head = self.head;
            let position = Position::default();
            self.search.push(Chunk { data: &head, span: self.start, offset: self.offset, position });
            self.resume(Patience::Patient, out);
        }
    }

    /// Goes on where the search found a frame.
    fn resume(&mut self, patience: Patience, out: &mut dyn FnMut(Piece<'_>)) {
        while self.search.look(self.highest_stream, patience) == Verdict::Found {
            let found = self.search.take();
            self.state = State::Header { is_first: false };
            self.is_replaying = true;
            for chunk in found.chunks() {
                self.push(chunk, out);
            }
            self.is_replaying = false;
            if !matches!(self.state, State::Search) {
                break;
            }
            self.search.put_back(found, self.offset);
        }
    }
}

fn is_collected(kind: u8) -> bool {
    matches!(
        kind,
        kind::HEADERS | kind::CONTINUATION | kind::PUSH_PROMISE | kind::RST_STREAM | kind::SETTINGS | kind::GOAWAY
    )
}

/// Cuts up to `len` bytes from the front of a chunk.
fn advance<'a>(chunk: &mut Chunk<'a>, len: usize) -> Chunk<'a> {
    let front = chunk.up_to(len);
    *chunk = chunk.from(len.min(chunk.data.len()));
    front
}
