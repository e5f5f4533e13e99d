//! DNS over TCP ([RFC 7766 §8](https://www.rfc-editor.org/rfc/rfc7766#section-8)): each message behind its length.

use super::lookup::{Dns, Lookup};
use crate::base::{Anomalies, Budget, Lease, Limits, Span, Stamp};
use crate::net::Endpoint;
use crate::tcp::{Chunk, Side, StreamEvent};

/// One TCP connection to port 53.
#[derive(Debug)]
pub struct DnsStream {
    dns: Dns,
    halves: [Half; 2],
    ends: [Endpoint; 2],
}

/// The framing of one direction.
///
/// ```text
/// +--------+--------+----------------- ... -+
/// | length          | message              |
/// +--------+--------+----------------- ... -+
/// ```
#[derive(Debug)]
struct Half {
    /// Length and message, as far as they are there; never more than 2 + 65535 bytes.
    buffer: Vec<u8>,
    /// Where they came from.
    span: Span,
    /// Bytes to leave out before the next length: the rest of a message with a hole.
    skip: u64,
    is_aligned: bool,
    lease: Lease,
}

impl DnsStream {
    /// A connection on which nothing was said yet.
    pub fn new(client: Endpoint, server: Endpoint, limits: &Limits, budget: &Budget) -> Self {
        let half =
            || Half { buffer: Vec::new(), span: Span::default(), skip: 0, is_aligned: true, lease: budget.lease() };
        Self { dns: Dns::new(limits, budget), halves: [half(), half()], ends: [client, server] }
    }

    /// Takes what `side` sent.
    pub fn push(&mut self, side: Side, event: StreamEvent<'_>, out: &mut dyn FnMut(Lookup)) {
        let [client, server] = self.ends;
        let (half, ends) = match (&mut self.halves, side) {
            ([half, _], Side::Client) => (half, [client, server]),
            ([_, half], Side::Server) => (half, [server, client]),
        };
        match event {
            StreamEvent::Data(chunk) => half.data(chunk, ends, &mut self.dns, out),
            StreamEvent::Gap { len, .. } => half.gap(len),
            StreamEvent::Fin(stamp) => half.end(&mut self.dns, stamp),
            StreamEvent::Reset(_) => self.halves.iter_mut().for_each(Half::clear),
        }
    }

    /// Hands on what never got an answer.
    pub fn finish(&mut self, out: &mut dyn FnMut(Lookup)) {
        self.halves.iter_mut().for_each(Half::clear);
        self.dns.finish(out);
    }

    /// Messages that could not be read.
    pub fn anomalies(&self) -> &Anomalies {
        self.dns.anomalies()
    }

    /// True while it is known in both directions where the next message begins.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_aligned(&self) -> bool {
        self.halves.iter().all(|half| half.is_aligned)
    }
}

impl Half {
    fn data(&mut self, chunk: Chunk<'_>, ends: [Endpoint; 2], dns: &mut Dns, out: &mut dyn FnMut(Lookup)) {
        let mut data = chunk.data;
        if !self.is_aligned {
            // Senders put a message into a segment of its own where they can.
            if !begins_message(data) {
                return;
            }
            self.is_aligned = true;
        }
        while !data.is_empty() {
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(data.len());
                self.skip -= skipped as u64;
                data = data.get(skipped..).unwrap_or_default();
                continue;
            }
            let (part, rest) = data.split_at(self.missing().min(data.len()));
            data = rest;
            self.span = if self.buffer.is_empty() { chunk.span } else { self.span.join(chunk.span) };
            self.buffer.extend_from_slice(part);
            // The length may just have become known, and may be 0.
            if self.missing() > 0 {
                continue;
            }
            let message = self.buffer.get(2..).unwrap_or_default();
            if !dns.push(message, false, ends, self.span.first, self.span.last, out) {
                self.is_aligned = begins_message(data);
            }
            self.buffer.clear();
            if !self.is_aligned {
                break;
            }
        }
        self.lease.set(self.buffer.capacity());
    }

    /// Bytes missing to the end of the length, or of the message once the length is there.
    fn missing(&self) -> usize {
        match self.buffer.first_chunk::<2>() {
            Some(&len) => (2 + usize::from(u16::from_be_bytes(len))).saturating_sub(self.buffer.len()),
            None => 2 - self.buffer.len(),
        }
    }

    fn gap(&mut self, len: u64) {
        let is_len_known = self.buffer.len() >= 2;
        let missing = if self.skip > 0 { self.skip } else { self.missing() as u64 };
        let ends_inside = len > 0 && len <= missing && (self.skip > 0 || is_len_known);
        self.clear();
        if ends_inside {
            self.skip = missing - len;
        } else {
            self.is_aligned = false;
        }
    }

    fn end(&mut self, dns: &mut Dns, stamp: Stamp) {
        if !self.buffer.is_empty() {
            dns.note_malformed(stamp);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.buffer = Vec::new();
        self.skip = 0;
        self.lease.set(0);
    }
}

/// True when the bytes look like a length and the header of a message with one question.
fn begins_message(data: &[u8]) -> bool {
    match data {
        [high, low, _, _, flags, _, 0, 1, ..] => u16::from_be_bytes([*high, *low]) > 12 && flags & 0x78 == 0,
        _ => false,
    }
}
