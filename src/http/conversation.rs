//! All HTTP on one pair of byte streams, whatever its version and whichever way round it runs.

use memchr::memchr;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Limits, Stamp, Timestamp};
use crate::tcp::{Chunk, Side, StreamEvent};

use super::detect::{self, Start};
use super::held::Held;
use super::{Abort, HttpEvent, h1, h2};

/// How HTTP is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HttpOptions {
    /// A body must match its Content-Length, else its message counts as malformed.
    pub strict: bool,
}

/// What a byte stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Too few bytes to tell.
    Undecided,
    /// HTTP/0.9 to HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Not HTTP, or not known to be.
    Unknown,
}

/// All HTTP on one pair of byte streams: a TCP connection, the plaintext of a TLS session, the inside of a tunnel.
///
/// The protocol is told by content. The sides of the input say who opened the connection, as far as the floor below could
/// tell; the sides of the events are roles: [`Side::Client`] sends the requests. A stream that begins with other bytes (a capture that starts
/// in the middle, a proxy protocol) is searched for its first message.
#[derive(Debug)]
pub struct Conversation {
    limits: Limits,
    budget: Budget,
    options: HttpOptions,
    state: State,
    is_flipped: bool,
    anomalies: Anomalies,
}

/// A side that begins with the rest of a request line.
type CutStart = Option<(Side, Stamp)>;

#[derive(Debug)]
enum State {
    Undecided(Detection),
    Http1(Box<h1::Connection>),
    Http2(Box<h2::Connection>),
    Unknown,
}

#[derive(Debug)]
struct Detection {
    /// Everything so far that may belong to a message.
    held: Held,
    sides: [Opening; 2],
}

/// The first bytes of one side.
#[derive(Debug, Default)]
struct Opening {
    /// Bytes that were no HTTP, and missing ones.
    garbage: u64,
    /// Where the first of them was.
    stamp: Option<Stamp>,
    /// Bytes held that are the start of a line, as far as that is long: only its end can tell more.
    line: usize,
    /// What is held may have begun in missing bytes.
    is_rest: bool,
    /// Bytes are missing before what is held.
    is_behind_hole: bool,
}

/// Bytes of a line behind which only its end tells what it is.
const SURE: usize = 128;

impl Conversation {
    /// A pair of streams before its first byte; `alpn` is the protocol that TLS negotiated.
    pub fn new(limits: &Limits, budget: &Budget, options: HttpOptions, alpn: Option<&str>) -> Self {
        let state = match alpn {
            Some("h2") => State::Http2(Box::new(h2::Connection::new(limits, budget))),
            _ => State::Undecided(Detection { held: Held::new(budget), sides: Default::default() }),
        };
        Self {
            limits: limits.clone(),
            budget: budget.clone(),
            options,
            state,
            is_flipped: false,
            anomalies: Anomalies::default(),
        }
    }

    /// The capture begins in the middle of the streams: their first bytes may be the rest of a line.
    pub fn begin_midway(&mut self) {
        if let State::Undecided(detection) = &mut self.state {
            for opening in &mut detection.sides {
                (opening.is_rest, opening.is_behind_hole) = (true, true);
            }
        }
    }

    /// Takes in what one side sent.
    pub fn push(&mut self, side: Side, event: StreamEvent<'_>, out: &mut dyn FnMut(HttpEvent<'_>)) {
        let role = self.role(side);
        match &mut self.state {
            State::Http1(connection) => connection.push(role, event, out),
            // HTTP/2 finds out itself who is the client.
            State::Http2(connection) => connection.push(side, event, out),
            State::Undecided(_) => self.detect(side, event, out),
            State::Unknown => {}
        }
    }

    /// The capture ended, or the state is given up: closes every open message.
    pub fn finish(&mut self, reason: Abort, stamp: Stamp, out: &mut dyn FnMut(HttpEvent<'_>)) {
        if let State::Undecided(detection) = &self.state
            && let Some(client) = Side::BOTH.into_iter().find(|&side| detection.is_cut_request(side))
        {
            self.is_flipped = client == Side::Server;
            self.decide(Start::Request, None, out);
        }
        let is_cut = matches!(self.state, State::Undecided(_)) && self.open_head().is_some();
        match &mut self.state {
            State::Http1(connection) => connection.finish(reason, stamp, out),
            State::Http2(connection) => connection.finish(reason, stamp, out),
            State::Undecided(_) if is_cut => {
                self.anomalies.note(AnomalyKind::HeadCut, Some(stamp), self.limits.anomalies_kept);
            }
            State::Undecided(_) | State::Unknown => {}
        }
    }

    /// What the streams carry.
    pub fn protocol(&self) -> Protocol {
        match &self.state {
            State::Undecided(_) => Protocol::Undecided,
            State::Http1(connection) if connection.is_http2() => Protocol::Http2,
            State::Http1(_) => Protocol::Http1,
            State::Http2(_) => Protocol::Http2,
            State::Unknown => Protocol::Unknown,
        }
    }

    /// True when the content says that [`Side::Server`] of the input is the client.
    pub fn is_flipped(&self) -> bool {
        match &self.state {
            State::Http2(connection) => connection.is_flipped(),
            _ => self.is_flipped,
        }
    }

    /// When the oldest of what was taken in and not told came: the start of a message that is not known yet.
    pub fn pending_since(&self) -> Option<Timestamp> {
        match &self.state {
            State::Undecided(detection) => detection.held.since(),
            State::Http1(connection) => connection.pending_since(),
            State::Http2(connection) => connection.pending_since(),
            State::Unknown => None,
        }
    }

    /// The side in whose message head the bytes have come to, when they have: [`Side::Client`] for a request.
    pub fn open_head(&self) -> Option<Side> {
        match &self.state {
            State::Undecided(detection) => Side::BOTH.into_iter().find_map(|side| {
                let start = detect::cut_start(detect::trim_line_ends(&detection.held.bytes_of(side)))?;
                Some(if start == Start::Request { Side::Client } else { Side::Server })
            }),
            State::Http1(connection) => connection.open_head(),
            State::Http2(_) | State::Unknown => None,
        }
    }

    /// Faults that belong to no exchange.
    pub fn anomalies(&self) -> &Anomalies {
        match &self.state {
            State::Http1(connection) => connection.anomalies(),
            State::Http2(connection) => connection.anomalies(),
            State::Undecided(_) | State::Unknown => &self.anomalies,
        }
    }

    fn role(&self, side: Side) -> Side {
        if self.is_flipped { side.other() } else { side }
    }

    fn detect(&mut self, side: Side, event: StreamEvent<'_>, out: &mut dyn FnMut(HttpEvent<'_>)) {
        let State::Undecided(detection) = &mut self.state else { return };
        let found = match event {
            StreamEvent::Data(chunk) => detection.data(side, chunk, &self.limits),
            _ if detection.is_cut_request(side) => {
                detection.held.push(side, event);
                Start::Request
            }
            StreamEvent::Gap { .. } => {
                detection.forget(side);
                let opening = detection.opening(side);
                (opening.is_rest, opening.is_behind_hole) = (true, true);
                Start::No
            }
            StreamEvent::Fin(_) | StreamEvent::Reset(_) => {
                detection.held.push(side, event);
                Start::More
            }
        };
        let client = match found {
            Start::More | Start::No => {
                if detection.is_hopeless(&self.limits) {
                    self.state = State::Unknown;
                }
                return;
            }
            Start::Request | Start::Http2 => side,
            Start::Response => side.other(),
        };
        self.is_flipped = client == Side::Server;
        let cut = detection.held.stamp_of(side).filter(|_| found == Start::Request && detection.begins_with_rest(side));
        self.decide(found, cut.map(|stamp| (side, stamp)), out);
    }

    /// The protocol is known: what was held goes to it.
    fn decide(&mut self, found: Start, cut: CutStart, out: &mut dyn FnMut(HttpEvent<'_>)) {
        let decided = match found {
            Start::Http2 => State::Http2(Box::new(h2::Connection::new(&self.limits, &self.budget))),
            _ => State::Http1(Box::new(h1::Connection::new(&self.limits, &self.budget, self.options.strict))),
        };
        if let State::Undecided(detection) = std::mem::replace(&mut self.state, decided) {
            for stamp in detection.sides.iter().filter_map(|opening| opening.stamp) {
                self.note_garbage(stamp);
            }
            for (side, opening) in Side::BOTH.into_iter().zip(&detection.sides) {
                let role = self.role(side);
                if let (true, State::Http1(connection)) = (opening.is_behind_hole, &mut self.state) {
                    connection.begin_behind_hole(role);
                }
            }
            if let Some((side, stamp)) = cut {
                self.push(side, StreamEvent::Gap { len: 0, stamp }, out);
            }
            detection.held.replay(|side, event| self.push(side, event, out));
        }
    }

    fn note_garbage(&mut self, stamp: Stamp) {
        match &mut self.state {
            State::Http1(connection) => connection.note(AnomalyKind::GarbageSkipped, stamp),
            _ => self.anomalies.note(AnomalyKind::GarbageSkipped, Some(stamp), self.limits.anomalies_kept),
        }
    }
}

impl Detection {
    /// Takes in bytes of one side and says what they make of the connection.
    fn data(&mut self, side: Side, chunk: Chunk<'_>, limits: &Limits) -> Start {
        if chunk.data.iter().all(|byte| matches!(byte, b'\r' | b'\n')) && self.held.is_without(side) {
            // Nobody misses the empty lines before a message.
            return Start::More;
        }
        let line = self.opening(side).line;
        if line >= SURE && line + chunk.data.len() <= limits.detect && memchr(b'\n', chunk.data).is_none() {
            self.opening(side).line += chunk.data.len();
            self.held.push(side, StreamEvent::Data(chunk));
            return Start::More;
        }
        let is_first = self.opening(side).garbage == 0 && !self.opening(side).is_behind_hole;
        let before = self.held.bytes_of(side);
        let found = if before.is_empty() {
            judge(chunk.data, is_first)
        } else {
            judge(&[&before, chunk.data].concat(), is_first)
        };
        match found {
            Start::More if before.len() + chunk.data.len() <= limits.detect => {
                let is_line = [&before, chunk.data].iter().all(|part| memchr(b'\n', part).is_none());
                // HTTP/2 has no lines.
                let is_text = is_line && before.len() >= SURE && detect::start(&before, is_first) == Start::More;
                self.opening(side).line = if is_text { before.len() + chunk.data.len() } else { 0 };
                self.held.push(side, StreamEvent::Data(chunk));
                Start::More
            }
            // A long target: the line end is not needed to see what this is.
            Start::More if detect::has_known_method(if before.is_empty() { chunk.data } else { &before }) => {
                self.held.push(side, StreamEvent::Data(chunk));
                Start::Request
            }
            Start::More | Start::No => {
                self.discard(side, (before.len() + chunk.data.len()) as u64, chunk.span.first);
                // What was held spoiled it: the chunk alone may begin with a message.
                let is_start = !before.is_empty() && detect::start(chunk.data, false) != Start::No;
                self.search(side, chunk, is_start, limits)
            }
            Start::Request if !before.is_empty() && is_before_request(&before, chunk.data) => {
                self.discard(side, before.len() as u64, chunk.span.first);
                self.held.push(side, StreamEvent::Data(chunk));
                found
            }
            Start::Request | Start::Response | Start::Http2 => {
                self.held.push(side, StreamEvent::Data(chunk));
                found
            }
        }
    }

    /// Searches for a message that begins at a line, or, with `is_start`, at the first byte.
    fn search(&mut self, side: Side, chunk: Chunk<'_>, is_start: bool, limits: &Limits) -> Start {
        if is_start {
            self.held.push(side, StreamEvent::Data(chunk));
            return detect::start(chunk.data, false);
        }
        if self.opening(side).garbage > limits.detect as u64 {
            // Only the starts of chunks are looked at from here on.
            return Start::No;
        }
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest.data) {
            rest = rest.from(end + 1);
            let found = detect::start(rest.data, false);
            if found != Start::No && !rest.data.is_empty() {
                self.opening(side).is_rest = false;
                self.held.push(side, StreamEvent::Data(rest));
                return found;
            }
        }
        Start::No
    }

    /// True when nothing more than the rest of a request line is missing to know that the side is a client.
    fn is_cut_request(&self, side: Side) -> bool {
        detect::cut_request_line(&self.held.bytes_of(side)).is_some()
    }

    /// True when what is held of that side begins with the rest of a request line.
    fn begins_with_rest(&mut self, side: Side) -> bool {
        self.opening(side).is_rest && detect::is_rest_of_request_line(&self.held.bytes_of(side))
    }

    /// Bytes of that side are no HTTP: forgets what is held of it.
    fn discard(&mut self, side: Side, len: u64, stamp: Stamp) {
        self.forget(side);
        let opening = self.opening(side);
        opening.garbage = opening.garbage.saturating_add(len);
        opening.stamp.get_or_insert(stamp);
    }

    /// Forgets what is held of a side.
    fn forget(&mut self, side: Side) {
        self.held.forget(side);
        self.opening(side).line = 0;
    }

    /// True when both sides have said a lot, and none of it was HTTP.
    fn is_hopeless(&self, limits: &Limits) -> bool {
        self.sides.iter().all(|opening| opening.garbage > limits.detect as u64)
    }

    fn opening(&mut self, side: Side) -> &mut Opening {
        let [client, server] = &mut self.sides;
        match side {
            Side::Client => client,
            Side::Server => server,
        }
    }
}

/// True when a segment begins with a request of its own, and the bytes before it, without a line end, begin none.
fn is_before_request(before: &[u8], segment: &[u8]) -> bool {
    memchr(b'\n', before).is_none()
        && !detect::has_known_method(before)
        && detect::has_known_method(segment)
        && detect::start(segment, false) == Start::Request
}

/// Judges the bytes that a side, or a chunk of it, begins with.
fn judge(bytes: &[u8], first: bool) -> Start {
    match detect::start(bytes, first) {
        Start::No => match h2::probe(bytes) {
            h2::Verdict::Yes => Start::Http2,
            h2::Verdict::Maybe => Start::More,
            h2::Verdict::No => Start::No,
        },
        found => found,
    }
}
