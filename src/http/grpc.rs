//! Length-prefixed messages of gRPC ([PROTOCOL-HTTP2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)) and
//! gRPC-Web ([PROTOCOL-WEB](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md)).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+-------------------------------+
//! |T|           |C| length, 32 bits               |  T: trailers (Web only), C: compressed
//! +-+-+-+-+-+-+-+-+-------------------------------+
//! | message …                                     |
//! +-----------------------------------------------+
//! ```
//!
//! A hole inside a message leaves the messages in step. Behind any other they go on with the next chunk that begins with messages
//! that fit, and what lies between is counted.

use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Lease, Limits, Span, Stamp};

use super::inflate::{self, Fault};
use super::resync::{Place, Resync, Unread, Verdict};
use super::{Completeness, Headers, h1};

/// What the decoder hands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcEvent<'a> {
    /// A message.
    Message(GrpcMessage<'a>),
    /// Trailer fields that gRPC-Web sends inside the body.
    Trailers(Headers),
    /// A fault of the body.
    Anomaly(AnomalyKind, Stamp),
    /// So many bytes are in the capture, but could not be told apart.
    Unread(u64, Stamp),
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcMessage<'a> {
    /// Compressed flag of the prefix.
    pub compressed: bool,
    /// Content, decompressed when that was possible.
    pub data: &'a [u8],
    /// Whether that is all of it.
    pub completeness: Completeness,
    /// The frame and time of its last byte.
    pub stamp: Stamp,
    /// Prefix and message as sent, before base64.
    pub wire_size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zlib,
    Unknown,
}

/// Reads the body of one side.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    is_web: bool,
    base64: Option<Base64>,
    coding: Coding,
    prefix: Vec<u8>,
    /// Bytes of the message that are to come.
    left: u64,
    wire_size: u64,
    flags: u8,
    in_message: bool,
    data: Vec<u8>,
    has_gap: bool,
    is_too_large: bool,
    state: State,
    /// Chunks among which messages are searched.
    resync: Resync,
    /// Bytes were missing: what does not fit is passed over up to messages that do.
    has_lost: bool,
    /// Bytes passed over since messages were read last, and where the first of them were.
    unread: Unread,
    last: Stamp,
    lease: Lease,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Messages follow one another.
    InStep,
    /// The place of the next message is not known.
    Searching,
    /// The sender broke the rules: the messages can no longer be told apart.
    Over,
}

/// Bytes of the prefix of a message.
const PREFIX: usize = 5;

impl Decoder {
    /// A decoder for the body behind a head with these fields; `None` when that is not gRPC.
    pub fn new(headers: &Headers, limits: &Limits, budget: &Budget) -> Option<Self> {
        const KIND: &[u8] = b"application/grpc";
        let kind = headers.first("content-type")?;
        let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let (start, suffix) = kind.split_at_checked(KIND.len())?;
        if !start.eq_ignore_ascii_case(KIND) {
            return None;
        }
        let suffix = suffix.to_ascii_lowercase();
        let is_text = suffix.starts_with(b"-web-text");
        let is_web = suffix.starts_with(b"-web");
        if !matches!(suffix.first(), None | Some(b'+')) && !is_web {
            return None;
        }
        let coding = match headers.first("grpc-encoding").map(<[u8]>::trim_ascii) {
            None | Some(b"identity") => Coding::Identity,
            Some(b"gzip") => Coding::Gzip,
            Some(b"deflate") => Coding::Zlib,
            Some(_) => Coding::Unknown,
        };
        Some(Self {
            limits: limits.clone(),
            is_web,
            base64: is_text.then(Base64::default),
            coding,
            prefix: Vec::new(),
            left: 0,
            wire_size: 0,
            flags: 0,
            in_message: false,
            data: Vec::new(),
            has_gap: false,
            is_too_large: false,
            state: State::InStep,
            resync: Resync::new(limits.message.saturating_add(PREFIX), budget),
            has_lost: false,
            unread: Unread::default(),
            last: Stamp::default(),
            lease: budget.lease(),
        })
    }

    /// Takes in the next bytes.
    pub fn push(&mut self, data: &[u8], span: Span, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        self.last = span.last;
        match &mut self.base64 {
            None => self.chunk(data, span, false, out),
            Some(base64) => {
                if self.state == State::Searching {
                    *base64 = Base64::default();
                }
                let mut decoded = Vec::with_capacity(data.len() / 4 * 3 + 3);
                let is_good = base64.decode(data, &mut decoded);
                // Where the digits of a group begin is known at the start of a chunk only.
                self.chunk(&decoded, span, true, out);
                if !is_good {
                    self.lose_step(out);
                }
            }
        }
        self.account();
    }

    /// Passes over missing bytes; 0 when their number is unknown.
    pub fn lose(&mut self, len: u64, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        if self.state == State::Searching {
            self.search(true, out);
        }
        self.has_lost = true;
        let is_inside = self.in_message && self.base64.is_none() && len > 0 && len <= self.left;
        if !is_inside {
            self.lose_step(out);
        } else if self.state == State::InStep {
            self.has_gap = true;
            self.left -= len;
            if self.left == 0 {
                self.end_message(out);
            }
        }
        self.account();
    }

    /// The body is over.
    pub fn finish(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        if self.state == State::Searching {
            self.search(true, out);
        }
        if self.in_message || !self.prefix.is_empty() {
            self.give_up(out);
        }
        self.tell_unread(out);
        self.account();
    }

    /// Takes in a chunk, decoded.
    fn chunk(&mut self, data: &[u8], span: Span, is_alone: bool, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        match self.state {
            State::InStep => self.bytes(data, out),
            State::Searching => {
                self.resync.push(data, span);
                self.search(is_alone, out);
            }
            State::Over => self.pass_over_rest(data),
        }
    }

    /// Bytes behind a fault. How many a text that is no base64 stands for, nobody knows.
    fn pass_over_rest(&mut self, data: &[u8]) {
        if self.base64.is_none() || self.has_lost {
            self.pass_over(data.len() as u64);
        }
    }

    /// Looks for a chunk that begins with messages, and reads on there.
    fn search(&mut self, is_over: bool, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        let rules = Rules { allowed: self.allowed_flags(), coding: self.coding };
        let mut chunk = Vec::new();
        while self.state == State::Searching {
            let (forgotten, is_found) = self.resync.look(is_over, |place| rules.judge(place));
            self.pass_over(forgotten);
            if !is_found {
                return;
            }
            self.tell_unread(out);
            self.state = State::InStep;
            while self.state == State::InStep
                && let Some(span) = self.resync.take(&mut chunk)
            {
                self.last = span.last;
                self.bytes(&chunk, out);
            }
        }
    }

    fn pass_over(&mut self, bytes: u64) {
        self.unread.add(bytes, self.last);
    }

    fn tell_unread(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        if let Some((bytes, stamp)) = self.unread.take() {
            out(GrpcEvent::Unread(bytes, stamp));
        }
    }

    fn bytes(&mut self, mut data: &[u8], out: &mut dyn FnMut(GrpcEvent<'_>)) {
        while !data.is_empty() && self.state == State::InStep {
            if self.in_message {
                let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                let (part, rest) = data.split_at(len);
                let room = self.limits.message.saturating_sub(self.data.len());
                // What is kept is the start of a message: nothing behind a hole belongs to that.
                let kept = if self.has_gap { 0 } else { len.min(room) };
                self.is_too_large |= len > room && !self.has_gap;
                self.data.extend_from_slice(&part[..kept]);
                self.left -= len as u64;
                data = rest;
            } else {
                let (part, rest) = data.split_at(data.len().min(PREFIX - self.prefix.len().min(PREFIX)));
                self.prefix.extend_from_slice(part);
                data = rest;
                self.begin_message(out);
            }
            if self.in_message && self.left == 0 {
                self.end_message(out);
            }
        }
        self.pass_over_rest(data);
    }

    fn allowed_flags(&self) -> u8 {
        if self.is_web { 0x81 } else { 0x01 }
    }

    fn begin_message(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        let Some((flags, len)) = read_prefix(&self.prefix) else { return };
        if flags & !self.allowed_flags() != 0 {
            return if self.has_lost { self.lose_step(out) } else { self.give_up(out) };
        }
        self.prefix.clear();
        self.flags = flags;
        self.left = u64::from(len);
        self.in_message = true;
        self.wire_size = PREFIX as u64 + self.left;
    }

    fn end_message(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        let data = std::mem::take(&mut self.data);
        let compressed = self.flags & 1 != 0;
        let mut plain = Vec::new();
        let is_coded = compressed && !data.is_empty() && !self.has_gap && !self.is_too_large;
        let is_trailers = self.flags & 0x80 != 0;
        let outcome = if is_coded {
            match self.coding {
                Coding::Gzip => inflate::gzip(&data, self.limits.message, &mut plain).map_err(fault),
                Coding::Zlib => inflate::zlib(&data, self.limits.message, &mut plain).map_err(fault),
                Coding::Identity | Coding::Unknown => Err(AnomalyKind::CodingUnknown),
            }
        } else {
            Ok(())
        };
        let faults = [outcome.err(), self.is_too_large.then_some(AnomalyKind::BodyTooLarge)];
        for kind in faults.into_iter().flatten() {
            out(GrpcEvent::Anomaly(kind, self.last));
        }
        let content: &[u8] = match (plain.is_empty() && !(is_coded && outcome.is_ok()), compressed && self.has_gap) {
            // The start of a compressed message is no start of its content.
            (_, true) => &[],
            (true, false) => &data,
            (false, false) => &plain,
        };
        if is_trailers && self.has_gap {
            self.pass_over(PREFIX as u64 + data.len() as u64);
        } else if is_trailers {
            out(GrpcEvent::Trailers(h1::fields(content, &self.limits)));
        } else {
            out(GrpcEvent::Message(GrpcMessage {
                compressed,
                data: content,
                completeness: if self.has_gap { Completeness::Cut } else { Completeness::Whole },
                stamp: self.last,
                wire_size: self.wire_size,
            }));
        }
        self.in_message = false;
        self.has_gap = false;
        self.is_too_large = false;
    }

    /// The place of the next message is not known any more.
    fn lose_step(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        match self.state {
            State::InStep if !self.has_lost => return self.give_up(out),
            State::InStep => {}
            State::Searching | State::Over => return,
        }
        self.state = State::Searching;
        if self.in_message {
            // Its end is missing, but its prefix says how large it is.
            self.has_gap = true;
            self.left = 0;
            self.end_message(out);
        }
        self.pass_over(self.prefix.len() as u64);
        self.prefix.clear();
    }

    fn give_up(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        if std::mem::replace(&mut self.state, State::Over) != State::Over {
            out(GrpcEvent::Anomaly(AnomalyKind::MessageMalformed, self.last));
        }
        let prefix = if std::mem::take(&mut self.in_message) { PREFIX } else { self.prefix.len() };
        self.pass_over((prefix + self.data.len()) as u64);
        self.prefix = Vec::new();
        self.data = Vec::new();
    }

    fn account(&mut self) {
        self.lease.set(self.data.capacity() + self.prefix.capacity());
    }
}

/// Flags and length of a message.
fn read_prefix(bytes: &[u8]) -> Option<(u8, u32)> {
    let (&[flags], rest) = bytes.split_first_chunk::<1>()?;
    Some((flags, u32::from_be_bytes(*rest.first_chunk::<4>()?)))
}

/// What a message must look like to be believed.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// Flags that it may have.
    allowed: u8,
    coding: Coding,
}

/// Messages in a row behind which the next one is believed.
const ENOUGH: usize = 3;
/// Size beyond which no message is believed; 4 MiB is what receivers take by default.
const SIZE_MAX: usize = 1 << 28;

impl Rules {
    /// Whether messages begin at this place: each is plausible, they follow one another, and end where a chunk ends.
    fn judge(self, place: Place<'_>) -> Verdict {
        let (mut at, mut messages, mut is_empty) = (0, 0, true);
        loop {
            let rest = place.bytes.get(at..).unwrap_or_default();
            if messages > 0 && place.is_chunk_end(at) {
                // Zeros are frequent in content, and look like messages that are empty.
                return if is_empty && messages > 1 { Verdict::No } else { Verdict::Fits };
            }
            let undecided = match (place.is_over, messages) {
                (false, _) => Verdict::More,
                (true, _) if is_empty => Verdict::No,
                (true, _) => Verdict::Fits,
            };
            let Some((flags, len)) = read_prefix(rest) else {
                let is_allowed = rest.first().is_none_or(|flags| flags & !self.allowed == 0);
                return if is_allowed { undecided } else { Verdict::No };
            };
            let content = rest.get(PREFIX..).unwrap_or_default();
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if flags & !self.allowed != 0 || len > SIZE_MAX || flags & 1 != 0 && !self.may_be_coded(content, len) {
                return Verdict::No;
            }
            if messages == ENOUGH && !is_empty {
                return Verdict::Fits;
            }
            if len > content.len() {
                return undecided;
            }
            if messages > ENOUGH {
                return Verdict::No;
            }
            is_empty &= len == 0;
            messages += 1;
            at += PREFIX + len;
        }
    }

    /// True when compressed content may begin like this.
    fn may_be_coded(self, content: &[u8], len: usize) -> bool {
        let start = content.first_chunk::<2>().filter(|_| len >= 2);
        match (self.coding, start) {
            (Coding::Identity, _) => false,
            (Coding::Gzip, Some(start)) => *start == [0x1f, 0x8b],
            (Coding::Zlib, Some(start)) => start[0] & 15 == 8 && u16::from_be_bytes(*start) % 31 == 0,
            (Coding::Gzip | Coding::Zlib, None) => true,
            (Coding::Unknown, _) => true,
        }
    }
}

fn fault(fault: Fault) -> AnomalyKind {
    match fault {
        Fault::Broken => AnomalyKind::CodingBroken,
        Fault::TooLarge => AnomalyKind::BodyTooLarge,
    }
}

/// Base64 that comes in pieces; each piece the sender coded may end with padding of its own.
#[derive(Debug, Default)]
struct Base64 {
    bits: u32,
    digits: u32,
}

impl Base64 {
    /// Decodes as far as the alphabet goes; false when there is something else.
    fn decode(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        for &digit in text {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => {
                    self.pad(out);
                    continue;
                }
                b'\r' | b'\n' => continue,
                _ => return false,
            };
            self.bits = self.bits << 6 | u32::from(value);
            self.digits += 1;
            if self.digits == 4 {
                let [_, a, b, c] = self.bits.to_be_bytes();
                out.extend_from_slice(&[a, b, c]);
                *self = Self::default();
            }
        }
        true
    }

    fn pad(&mut self, out: &mut Vec<u8>) {
        match self.digits {
            2 => out.push((self.bits >> 4) as u8),
            3 => out.extend_from_slice(&((self.bits >> 2) as u16).to_be_bytes()),
            _ => {}
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
