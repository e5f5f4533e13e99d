//! Which request a response belongs to.
//!
//! Responses come in the order of the requests ([RFC 9112 §9.3](https://www.rfc-editor.org/rfc/rfc9112#section-9.3)), and bytes that
//! acknowledge others are delivered after them. So the oldest unanswered request is the one, as long as no bytes are missing. Behind
//! a hole, positions decide. Each request says how far the client had read the responses (`acked`), and each response where it begins:
//!
//! ```text
//! client   ── request 1 ──────── request 2 ──────── request 3 ──▶
//! server   ── response 1 ──┊──── hole ────┊── response 3 ───────▶
//!
//! acked(1) <= response 1 < acked(2) <= response 2 < acked(3) <= response 3
//! ```
//!
//! A client that does not pipeline sends a request when it has read the response to the one before: the response is for the last request
//! that had read no further than where it begins. The server's acknowledgments say the same of lost requests: a response that
//! acknowledges bytes behind a request answers a later one.
//!
//! Requests of a client that pipelines may have read equally far. Their responses are held until it is known how many there are;
//! [`Waiting::settle`] gives them to the last of the requests.

use std::collections::VecDeque;
use std::ops::Range;

use crate::http::{StreamId, Version};
use crate::tcp::Position;

/// What of a request decides about its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The response has no content.
    Head,
    /// A 2xx response begins a tunnel.
    Connect,
    /// Any other.
    Other,
}

impl Method {
    /// Of the word on the wire.
    pub fn of(word: &[u8]) -> Self {
        match word {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// A request whose final response has not begun.
#[derive(Debug, Clone, Copy)]
pub struct Pending {
    /// Which exchange.
    pub stream: StreamId,
    /// What kind of request.
    pub method: Method,
    /// Version of the request.
    pub version: Version,
    /// Where it begins, and how far the client had read the responses then.
    pub position: Position,
    /// Offset behind its last byte, once that was seen.
    pub end: Option<u64>,
    /// Bytes of the client are missing before it: there may have been requests that are not in the capture.
    pub is_behind_hole: bool,
}

/// The shortest request, `GET / HTTP/1.0` with its line ends: fewer bytes that the server acknowledged are none.
const REQUEST_MIN: u64 = 16;

/// How far the requests have been followed.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Offset behind the last byte that was handed on.
    pub sent: u64,
    /// Offset behind the request that is being read, at most, when its length is known.
    pub end: Option<u64>,
}

/// Whose response it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// That of one of the requests that wait.
    Of {
        /// How many that wait before it must have been answered in lost bytes.
        passed: usize,
        /// False when it may be that of another request.
        is_sure: bool,
    },
    /// That of a request that is not in the capture, or was given up.
    Nobody {
        /// How many that wait must have been answered in lost bytes.
        passed: usize,
    },
    /// Several requests wait that it may belong to: how many responses follow must be seen first.
    Undecided,
}

/// Responses to several requests that were held until all of them were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settled {
    /// How many are still to be given to requests, in order.
    left: usize,
    /// False when there are fewer responses than requests.
    is_sure: bool,
}

/// Requests that wait, oldest first.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: VecDeque<Pending>,
    /// Final responses to come whose requests were given up.
    owed: usize,
    /// The client was seen to send requests before it had read the responses to earlier ones.
    pipelines: bool,
    /// Where bytes of the server were lost since the last response that was paired, and there may have been responses. It begins with the
    /// first hole and ends with the last.
    lost: Option<Range<u64>>,
    /// Some of it is not in the capture, and not only no message.
    has_hole: bool,
    /// Bytes of the client were lost since the last request, where there may have been requests.
    has_lost_requests: bool,
    settled: Option<Settled>,
    /// A response was given to a request of several that it may have belonged to: so may all that follow.
    is_in_doubt: bool,
    /// The client was seen to send requests while it read the responses to earlier ones.
    slides: bool,
}

impl Waiting {
    /// A request waits; gives its place in the order of the connection.
    pub fn add(&mut self, mut pending: Pending) {
        pending.is_behind_hole = std::mem::take(&mut self.has_lost_requests);
        self.pipelines |= self.queue.back().is_some_and(|before| before.position.acked >= pending.position.acked);
        self.slides |= self.lost.is_none()
            && self.queue.back().is_some_and(|before| before.position.acked < pending.position.acked);
        self.queue.push_back(pending);
    }

    /// The last byte of a request was seen: it ends before this offset.
    pub fn close(&mut self, stream: StreamId, end: u64) {
        if let Some(pending) = self.queue.iter_mut().rfind(|pending| pending.stream == stream) {
            pending.end = Some(end);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// The one whose turn it is when no bytes are missing.
    pub fn front(&self) -> Option<Pending> {
        self.queue.front().copied().filter(|_| self.owed == 0)
    }

    /// Gives up the oldest; its response, when it comes, belongs to nobody.
    pub fn give_up(&mut self) -> Option<Pending> {
        let oldest = self.queue.pop_front()?;
        self.owed += 1;
        Some(oldest)
    }

    /// Bytes of the server were lost, or no message, where there may have been responses. The range is empty when it is not known how many.
    pub fn lose_responses(&mut self, bytes: Range<u64>) {
        self.lost = Some(match self.lost.take() {
            Some(lost) => lost.start.min(bytes.start)..lost.end.max(bytes.end),
            None => bytes,
        });
    }

    /// What was lost is missing in the capture.
    pub fn note_hole(&mut self) {
        self.has_hole = true;
    }

    /// True when bytes are missing where there may have been responses; else there were only bytes that are no message.
    pub fn has_hole(&self) -> bool {
        self.has_hole
    }

    /// A response begins here, and the bytes of the server were read up to the offset `read`. TLS says nothing of what was lost together
    /// with its handshake: what lies between, and is more than the framing of a record, was not read.
    pub fn note_unread(&mut self, read: u64, at: Position) {
        const FRAMING: u64 = 96;
        if let (None, Some(front)) = (&self.lost, self.queue.front()) {
            let from = read.max(front.position.acked);
            if at.sent > from.saturating_add(FRAMING) {
                self.lose_responses(from..at.sent);
                self.has_hole = true;
            }
        }
    }

    /// How many bytes of the response to a request were lost at most, when the client read no further than to `until` for it.
    pub fn lost_of(&self, pending: &Pending, until: u64) -> u64 {
        let Some(lost) = &self.lost else { return 0 };
        lost.end.min(until).saturating_sub(lost.start.max(pending.position.acked))
    }

    /// Bytes of the client were lost, or no message, where there may have been requests.
    pub fn lose_requests(&mut self) {
        self.has_lost_requests = true;
    }

    /// The bytes that were lost end before this offset: only now it is known how much of the TCP stream they were.
    pub fn bound_loss(&mut self, until: u64) {
        if let Some(lost) = &mut self.lost {
            lost.end = lost.end.max(until);
        }
    }

    /// True when responses may have been lost since the last one that was paired.
    pub fn has_lost_responses(&self) -> bool {
        self.lost.is_some()
    }

    /// True when the response to this one may have been lost.
    pub fn may_be_answered(&self, pending: &Pending) -> bool {
        let read = pending.position.acked;
        self.lost.as_ref().is_some_and(|lost| read <= lost.start || read < lost.end)
    }

    /// How far the client had read when it sent the oldest that waits.
    pub fn next_acked(&self) -> Option<u64> {
        self.queue.front().map(|next| next.position.acked)
    }

    /// The request that bytes of the server at this position belong to, if to any: the last that had read no further.
    pub fn concerned(&self, at: Position) -> Option<Pending> {
        self.queue.iter().rfind(|pending| pending.position.acked <= at.sent).copied().filter(|_| self.owed == 0)
    }

    /// A response whose request was not lost ended before this offset: tells whether the client waits for such ends.
    pub fn note_end(&mut self, end: u64) {
        self.pipelines |= self.queue.front().is_some_and(|next| next.position.acked < end);
    }

    /// Whose response it is that begins here, in the segment that begins at `segment`. `request` is what of the client has been handed
    /// on.
    pub fn choose(&self, at: Position, segment: u64, request: Progress) -> Choice {
        if self.owed > 0 {
            return Choice::Nobody { passed: 0 };
        }
        if let Some(Settled { left: 1.., is_sure }) = self.settled {
            return Choice::Of { passed: 0, is_sure };
        }
        let Some(front) = self.queue.front() else { return Choice::Nobody { passed: 0 } };
        // Nobody answers what was not received yet, and nothing that was read before a request answers it.
        let may_answer = |pending: &Pending| {
            pending.position.acked <= at.sent && (at.acked == 0 || at.acked > pending.position.sent)
        };
        if self.lost.is_none() {
            return match may_answer(front) {
                true => {
                    Choice::Of { passed: 0, is_sure: !(self.is_in_doubt || front.is_behind_hole && self.pipelines) }
                }
                false => Choice::Nobody { passed: 0 },
            };
        }
        let count = self.queue.iter().take_while(|pending| may_answer(pending)).count();
        let Some(passed) = count.checked_sub(1) else { return Choice::Nobody { passed: 0 } };
        let Some(last) = self.queue.get(passed) else { return Choice::Nobody { passed: 0 } };
        let before = passed.checked_sub(1).and_then(|before| self.queue.get(before));
        if before.is_some_and(|before| self.pipelines || before.position.acked >= last.position.acked) {
            return Choice::Undecided;
        }
        let is_alone = !self.queue.get(count).map_or(self.has_lost_requests, |next| next.is_behind_hole);
        let end = last.end.or(request.end).filter(|_| at.acked > 0);
        // Content may hold what looks like a response; servers begin theirs with a segment.
        let is_sure = (at.sent == segment || !self.has_hole) && !self.is_in_doubt;
        match end {
            _ if !self.may_be_answered(last) => Choice::Of { passed, is_sure: !self.is_in_doubt },
            Some(end) if at.acked >= end.saturating_add(REQUEST_MIN) => Choice::Nobody { passed: count },
            Some(_) => Choice::Of { passed, is_sure },
            // Its own end is lost, and what was lost behind it may have been answered as well.
            None if at.acked >= request.sent.saturating_add(REQUEST_MIN) || !is_alone => {
                Choice::Nobody { passed: count }
            }
            None => Choice::Of { passed, is_sure },
        }
    }

    /// How many wait that a response at this position may belong to.
    pub fn may_answer(&self, at: Position) -> usize {
        self.queue.iter().take_while(|pending| pending.position.acked <= at.sent).count()
    }

    /// It was seen that `found` responses follow, which `among` of those that wait may belong to. Gives how many of these must have
    /// been answered in lost bytes.
    pub fn settle(&mut self, found: usize, among: usize) -> usize {
        self.owed += found.saturating_sub(among);
        let is_sure = found == among && !self.slides && !self.is_in_doubt;
        self.is_in_doubt |= !is_sure;
        self.settled = Some(Settled { left: found.min(among), is_sure });
        among.saturating_sub(found)
    }

    /// Removes the request that a final response belongs to, as [`Self::choose`] said, when those before it are gone.
    pub fn answer(&mut self, choice: Choice) -> Option<Pending> {
        match choice {
            Choice::Of { .. } => {
                self.lost = None;
                self.has_hole = false;
                self.settled = self
                    .settled
                    .take()
                    .filter(|settled| settled.left > 1)
                    .map(|settled| Settled { left: settled.left - 1, ..settled });
                self.queue.pop_front()
            }
            Choice::Nobody { .. } | Choice::Undecided => {
                self.owed = self.owed.saturating_sub(1);
                None
            }
        }
    }

    /// Removes one: its response comes in another way.
    pub fn remove(&mut self, stream: StreamId) {
        self.queue.retain(|pending| pending.stream != stream);
    }

    /// Removes the oldest: no response will come, or it was lost.
    pub fn pop(&mut self) -> Option<Pending> {
        self.queue.pop_front()
    }
}
