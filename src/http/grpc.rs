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

use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Lease, Limits, Span, Stamp};

use super::inflate::{self, Fault};
use super::{Headers, h1};

/// What the decoder hands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcEvent<'a> {
    /// A message.
    Message(GrpcMessage<'a>),
    /// Trailer fields that gRPC-Web sends inside the body.
    Trailers(Headers),
    /// A fault of the body.
    Anomaly(AnomalyKind, Stamp),
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcMessage<'a> {
    /// Compressed flag of the prefix.
    pub compressed: bool,
    /// Content, decompressed when that was possible.
    pub data: &'a [u8],
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
    /// The messages can no longer be told apart.
    is_over: bool,
    last: Stamp,
    lease: Lease,
}

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
            is_over: false,
            last: Stamp::default(),
            lease: budget.lease(),
        })
    }

    /// Takes in the next bytes.
    pub fn push(&mut self, data: &[u8], span: Span, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        self.last = span.last;
        match &mut self.base64 {
            None => self.bytes(data, out),
            Some(base64) => {
                let mut decoded = Vec::with_capacity(data.len() / 4 * 3 + 3);
                let is_good = base64.decode(data, &mut decoded);
                self.bytes(&decoded, out);
                if !is_good {
                    self.give_up(AnomalyKind::MessageMalformed, out);
                }
            }
        }
        self.lease.set(self.data.capacity() + self.prefix.capacity());
    }

    /// Passes over missing bytes; 0 when their number is unknown.
    pub fn lose(&mut self, len: u64, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        let is_inside = self.in_message && self.base64.is_none() && len > 0 && len <= self.left;
        if !is_inside {
            return self.give_up(AnomalyKind::BytesLost, out);
        }
        self.has_gap = true;
        self.left -= len;
        if self.left == 0 {
            self.end_message(out);
        }
    }

    /// The body is over.
    pub fn finish(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        if self.in_message || !self.prefix.is_empty() {
            self.give_up(AnomalyKind::MessageMalformed, out);
        }
    }

    fn bytes(&mut self, mut data: &[u8], out: &mut dyn FnMut(GrpcEvent<'_>)) {
        while !data.is_empty() && !self.is_over {
            if self.in_message {
                let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                let (part, rest) = data.split_at(len);
                let room = self.limits.message.saturating_sub(self.data.len());
                // Behind a hole nothing can be decompressed.
                let kept = if self.has_gap && self.flags & 1 != 0 { 0 } else { len.min(room) };
                self.is_too_large |= len > room;
                self.data.extend_from_slice(&part[..kept]);
                self.left -= len as u64;
                data = rest;
            } else {
                let (part, rest) = data.split_at(data.len().min(5 - self.prefix.len().min(5)));
                self.prefix.extend_from_slice(part);
                data = rest;
                self.begin_message(out);
            }
            if self.in_message && self.left == 0 {
                self.end_message(out);
            }
        }
    }

    fn begin_message(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        let Some((&[flags], &[a, b, c, d])) =
            self.prefix.split_first_chunk::<1>().and_then(|(flags, rest)| Some((flags, rest.first_chunk::<4>()?)))
        else {
            return;
        };
        self.prefix.clear();
        let allowed = if self.is_web { 0x81 } else { 0x01 };
        if flags & !allowed != 0 {
            return self.give_up(AnomalyKind::MessageMalformed, out);
        }
        self.flags = flags;
        self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
        self.in_message = true;
        self.wire_size = 5 + self.left;
    }

    fn end_message(&mut self, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        let data = std::mem::take(&mut self.data);
        let compressed = self.flags & 1 != 0;
        let mut plain = Vec::new();
        let is_coded = compressed && !data.is_empty() && !self.has_gap && !self.is_too_large;
        let outcome = if is_coded {
            match self.coding {
                Coding::Gzip => inflate::gzip(&data, self.limits.message, &mut plain).map_err(fault),
                Coding::Zlib => inflate::zlib(&data, self.limits.message, &mut plain).map_err(fault),
                Coding::Identity | Coding::Unknown => Err(AnomalyKind::CodingUnknown),
            }
        } else {
            Ok(())
        };
        let faults = [
            outcome.err(),
            self.has_gap.then_some(AnomalyKind::BytesLost),
            self.is_too_large.then_some(AnomalyKind::BodyTooLarge),
        ];
        for kind in faults.into_iter().flatten() {
            out(GrpcEvent::Anomaly(kind, self.last));
        }
        let content = if plain.is_empty() && !(is_coded && outcome.is_ok()) { &data } else { &plain };
        if self.flags & 0x80 != 0 {
            out(GrpcEvent::Trailers(h1::fields(content, &self.limits)));
        } else {
            out(GrpcEvent::Message(GrpcMessage {
                compressed,
                data: content,
                stamp: self.last,
                wire_size: self.wire_size,
            }));
        }
        self.in_message = false;
        self.has_gap = false;
        self.is_too_large = false;
    }

    fn give_up(&mut self, kind: AnomalyKind, out: &mut dyn FnMut(GrpcEvent<'_>)) {
        if !std::mem::replace(&mut self.is_over, true) {
            out(GrpcEvent::Anomaly(kind, self.last));
        }
        self.in_message = false;
        self.prefix = Vec::new();
        self.data = Vec::new();
        self.lease.set(0);
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
