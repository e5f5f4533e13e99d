//! One direction: the message that is being read.

use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Span, Stamp};
use crate::http::{Abort, HttpEvent, HttpEventKind, StreamId};
use crate::tcp::{Chunk, Side};

use super::chunked::Chunked;
use super::pairing::Progress;
use super::reader::HeadReader;

/// What the next bytes of a direction are.
#[derive(Debug)]
pub enum State {
    /// A head, or the start of one.
    Head,
    /// Content; this many bytes are to come.
    Length(u64),
    /// Content in chunks.
    Chunked(Box<Chunked>),
    /// Content up to the end of the connection.
    UntilClose,
    /// Responses that may belong to several requests: they are held.
    Undecided,
    /// Not known before the other side has answered CONNECT or Upgrade.
    Unanswered,
    /// Bytes of another protocol.
    Raw,
    /// Nothing comes any more.
    Over,
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Half {
    /// Whose bytes.
    pub side: Side,
    /// What comes next.
    pub state: State,
    /// Reader of the next head.
    pub reader: HeadReader,
    /// False while the next start line is searched for.
    pub in_step: bool,
    /// The exchange of the message being read; `None` when its events are dropped.
    pub stream: Option<StreamId>,
    /// Bytes of the message so far.
    pub wire_size: u64,
    /// Frames of the last byte.
    pub last: Span,
    /// Offset behind the last byte taken, in its sender's TCP stream.
    pub sent: u64,
    /// Bytes of the message are missing.
    pub has_lost: bool,
    /// Offset of the segment in which the message began, or the search for it.
    pub segment: u64,
    /// Nothing came yet behind a hole.
    pub is_behind_gap: bool,
    /// The content may never come: what follows the head may be the next head.
    pub may_lack_content: bool,
    /// The request waits for 100 (Continue) before it sends its content.
    pub expects_continue: bool,
    /// Content-Length contradicts itself.
    pub has_conflict: bool,
    /// Content length to fall back to when the content is not chunked after all.
    pub stated: Option<u64>,
}

impl Half {
    /// A direction before its first message.
    pub fn new(side: Side, limit: usize, budget: &Budget) -> Self {
        Self {
            side,
            state: State::Head,
            reader: HeadReader::new(side, limit, budget),
            in_step: true,
            stream: None,
            wire_size: 0,
            last: Span::default(),
            sent: 0,
            has_lost: false,
            segment: 0,
            is_behind_gap: false,
            may_lack_content: false,
            expects_continue: false,
            has_conflict: false,
            stated: None,
        }
    }

    /// How far the direction has been followed.
    pub fn progress(&self) -> Progress {
        /// What TLS adds to a record, at most, and the content of records that are not small.
        const FRAMING: u64 = 64;
        const RECORD: u64 = 1024;
        let end = match self.state {
            State::Length(left) => {
                let framing = FRAMING.saturating_mul(1 + left / RECORD);
                Some(self.sent.saturating_add(left).saturating_add(framing))
            }
            _ => None,
        };
        Progress { sent: self.sent, end }
    }

    /// A head was read: its message begins. The head ends before the offset `end`, when it is whole.
    pub fn begin(&mut self, stream: Option<StreamId>, size: u64, last: Span, end: Option<u64>) {
        self.stream = stream;
        self.wire_size = size;
        self.last = last;
        self.sent = end.unwrap_or(self.sent);
        self.has_lost = false;
        self.in_step = true;
        self.may_lack_content = false;
        self.expects_continue = false;
        self.has_conflict = false;
        self.stated = None;
    }

    /// Hands on an event of the message.
    pub fn emit(&self, kind: HttpEventKind<'_>, out: &mut dyn FnMut(HttpEvent<'_>)) {
        if let Some(stream) = self.stream {
            out(HttpEvent { stream, kind });
        }
    }

    /// The first `len` bytes of the chunk are framing.
    pub fn framing(&mut self, len: usize, chunk: &Chunk<'_>) {
        self.wire_size = self.wire_size.saturating_add(len as u64);
        self.last = chunk.span;
        self.sent = chunk.position.after(len).sent;
    }

    /// The first `len` bytes of the chunk are content.
    pub fn content(&mut self, chunk: &Chunk<'_>, len: usize, out: &mut dyn FnMut(HttpEvent<'_>)) {
        self.framing(len, chunk);
        self.may_lack_content = false;
        let data = chunk.data.get(..len).unwrap_or(chunk.data);
        if !data.is_empty() {
            self.emit(HttpEventKind::Body(self.side, Chunk { data, ..*chunk }), out);
        }
    }

    /// Content is missing; 0 when nobody knows how much.
    pub fn lost(&mut self, len: u64, stamp: Stamp, out: &mut dyn FnMut(HttpEvent<'_>)) {
        self.wire_size = self.wire_size.saturating_add(len);
        self.may_lack_content = false;
        self.has_lost = true;
        self.emit(HttpEventKind::Lost(self.side, len, stamp), out);
    }

    /// The message is complete.
    pub fn end(&mut self, out: &mut dyn FnMut(HttpEvent<'_>)) {
        self.emit(HttpEventKind::End { side: self.side, span: self.last, wire_size: self.wire_size }, out);
        self.stream = None;
        self.state = State::Head;
    }

    /// The message will not become complete; what follows is searched for the next one.
    pub fn abort(&mut self, reason: Abort, stamp: Stamp, out: &mut dyn FnMut(HttpEvent<'_>)) {
        self.emit(HttpEventKind::Abort { side: self.side, reason, stamp, wire_size: self.wire_size }, out);
        self.stream = None;
        self.in_step = false;
        self.state = State::Head;
    }

    /// A fault of the message.
    pub fn fault(&self, kind: AnomalyKind, stamp: Stamp, out: &mut dyn FnMut(HttpEvent<'_>)) {
        self.emit(HttpEventKind::Anomaly(kind, stamp), out);
    }

    /// True while the content of a message is being read.
    pub fn is_in_content(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_) | State::UntilClose)
    }
}
