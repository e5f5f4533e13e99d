//! Which request a response belongs to.
//!
//! Responses come in the order of the requests ([RFC 9112 §9.3](https://www.rfc-editor.org/rfc/rfc9112#section-9.3)), and bytes that
//! acknowledge others are delivered after them. So the oldest unanswered request is the one, unless bytes are missing:
//!
//! * Requests lost: their responses find nobody waiting and are dropped, for a client that does not pipeline sends its next
//!   request only after it has the response. The next pair matches again.
//! * Responses lost: requests that waited when bytes of the server were lost are *doubtful*. Once a newer request
//!   waits too, a client that does not pipeline must have had its answers: the next response is for the newer one, and the
//!   doubtful ones are closed as lost. For a client that was seen to pipeline nothing is better than plain order.

use std::collections::VecDeque;

use crate::http::{StreamId, Version};

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
    /// Its response may have been lost.
    pub is_doubtful: bool,
}

/// Requests that wait, oldest first.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: VecDeque<Pending>,
    /// Final responses to come whose requests were given up.
    owed: u64,
    pipelines: bool,
}

impl Waiting {
    /// A request waits.
    pub fn add(&mut self, pending: Pending) {
        self.pipelines |= self.queue.front().is_some_and(|oldest| !oldest.is_doubtful);
        self.queue.push_back(pending);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// The one whose turn it is.
    pub fn front(&self) -> Option<Pending> {
        self.queue.front().copied().filter(|_| self.owed == 0)
    }

    /// Gives up the oldest; its response, when it comes, belongs to nobody.
    pub fn give_up(&mut self) -> Option<Pending> {
        let oldest = self.queue.pop_front()?;
        self.owed += 1;
        Some(oldest)
    }

    /// Bytes of the server were lost between or in heads: whoever waits may have been answered there.
    pub fn doubt(&mut self) {
        for pending in &mut self.queue {
            pending.is_doubtful = true;
        }
    }

    /// Removes the next request that must have been answered in lost bytes.
    pub fn pop_answered(&mut self) -> Option<Pending> {
        let is_passed = !self.pipelines
            && self.queue.front().is_some_and(|oldest| oldest.is_doubtful)
            && self.queue.iter().any(|pending| !pending.is_doubtful);
        if is_passed { self.queue.pop_front() } else { None }
    }

    /// Removes the request that a final response belongs to.
    pub fn answer(&mut self) -> Option<Pending> {
        if self.owed > 0 {
            self.owed -= 1;
            return None;
        }
        self.queue.pop_front()
    }

    /// Removes the oldest: no response will come.
    pub fn pop(&mut self) -> Option<Pending> {
        self.queue.pop_front()
    }
}
