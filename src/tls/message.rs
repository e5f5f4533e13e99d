//! A stream of handshake bytes becomes handshake messages.

use crate::base::{Budget, Lease, Limits, Span};

/// One handshake message ([RFC 8446 §4](https://www.rfc-editor.org/rfc/rfc8446#section-4)).
///
/// ```text
/// +--------+------------------------+---------
/// |  kind  |      length (24)       | body ...
/// +--------+------------------------+---------
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its type: one of [`kind`].
    pub kind: u8,
    /// What stands behind the length.
    pub body: &'a [u8],
    /// The whole message with its header: what transcripts hash.
    pub whole: &'a [u8],
    /// Where it came from.
    pub span: Span,
}

/// Message types of the IANA registry.
#[allow(missing_docs, reason = "the names of the registry")]
pub mod kind {
    pub const HELLO_REQUEST: u8 = 0;
    pub const CLIENT_HELLO: u8 = 1;
    pub const SERVER_HELLO: u8 = 2;
    pub const NEW_SESSION_TICKET: u8 = 4;
    pub const END_OF_EARLY_DATA: u8 = 5;
    pub const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub const CERTIFICATE: u8 = 11;
    pub const SERVER_KEY_EXCHANGE: u8 = 12;
    pub const CERTIFICATE_REQUEST: u8 = 13;
    pub const SERVER_HELLO_DONE: u8 = 14;
    pub const CERTIFICATE_VERIFY: u8 = 15;
    pub const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub const FINISHED: u8 = 20;
    pub const CERTIFICATE_STATUS: u8 = 22;
    pub const KEY_UPDATE: u8 = 24;
    pub const COMPRESSED_CERTIFICATE: u8 = 25;
    pub const MAX: u8 = 25;
}

const HEADER: usize = 4;

/// Splits the handshake bytes of one direction (and, in QUIC, of one packet number space) into messages.
#[derive(Debug)]
pub struct MessageReader {
    /// The beginning of a message that is not whole.
    partial: Vec<u8>,
    lease: Lease,
    span: Span,
    /// Bytes still to be skipped of a message that is larger than the limit.
    skip: usize,
    max: usize,
}

impl MessageReader {
    /// A reader that stands at the beginning of a message.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self { partial: Vec::new(), lease: budget.lease(), span: Span::default(), skip: 0, max: limits.tls_message }
    }

    /// Takes the next bytes; each message goes to `out` when it is whole. Gives the number of messages that were larger
    /// than the limit and were skipped.
    pub fn push(&mut self, mut bytes: &[u8], span: Span, out: &mut dyn FnMut(Message<'_>)) -> usize {
        let mut skipped = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let part = self.skip.min(bytes.len());
                self.skip -= part;
                bytes = bytes.get(part..).unwrap_or_default();
                continue;
            }
            if self.partial.is_empty() {
                self.span = span;
                if let Some((message, rest)) = split(bytes) {
                    bytes = rest;
                    out(message.at(span));
                    continue;
                }
            }
            // Never more than one message is gathered, so what follows it stays borrowed.
            let missing = match self.missing() {
                0 => HEADER - self.partial.len().min(HEADER),
                missing => missing,
            };
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(part);
            self.span = self.span.join(span);
            bytes = rest;
            if self.partial.len() < HEADER {
                break;
            }
            let missing = self.missing();
            if missing + self.partial.len() > self.max {
                skipped += 1;
                self.skip = missing;
                self.partial.clear();
            } else if missing == 0 {
                if let Some((message, _)) = split(&self.partial) {
                    out(message.at(self.span));
                }
                self.partial.clear();
            }
        }
        if self.partial.is_empty() && self.partial.capacity() > 0 {
            self.partial = Vec::new();
        }
        self.lease.set(self.partial.capacity());
        skipped
    }

    /// Bytes missing of the message that was begun, as far as its header says.
    fn missing(&self) -> usize {
        match self.partial.first_chunk::<HEADER>() {
            Some(&[_, a, b, c]) => {
                let len = u32::from_be_bytes([0, a, b, c]) as usize;
                (HEADER + len).saturating_sub(self.partial.len())
            }
            None => 0,
        }
    }

    /// True when a message was begun and is not whole.
    pub fn is_in_message(&self) -> bool {
        self.skip > 0 || !self.partial.is_empty()
    }

    /// Forgets a message that was begun: bytes were lost.
    pub fn reset(&mut self) {
        self.partial = Vec::new();
        self.lease.set(0);
        self.skip = 0;
    }
}

/// False when these bytes, the body of a plain record, are no messages: one that was encrypted unseen looks like that.
pub(crate) fn may_begin_with(mut body: &[u8]) -> bool {
    const HELLO_VERIFY_REQUEST: u8 = 3;
    /// What may go on in the next record.
    const LONG: usize = 1 << 18;
    loop {
        let Some(&[kind, a, b, c]) = body.first_chunk::<HEADER>() else { return body.is_empty() };
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let is_known = match kind {
            kind::HELLO_REQUEST => len == 0 && body.len() == HEADER,
            HELLO_VERIFY_REQUEST | 6 | 7 | 9 | 10 | 17..=19 => false,
            _ => kind <= kind::MAX,
        };
        match body.get(HEADER + len..) {
            _ if !is_known => return false,
            Some(rest) => body = rest,
            None => return len < LONG && kind != kind::FINISHED,
        }
    }
}

struct Parts<'a> {
    kind: u8,
    whole: &'a [u8],
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn at(self, span: Span) -> Message<'a> {
        Message { kind: self.kind, body: self.body, whole: self.whole, span }
    }
}

/// The message at the beginning of `bytes` and what follows it.
fn split(bytes: &[u8]) -> Option<(Parts<'_>, &[u8])> {
    let &[kind, a, b, c] = bytes.first_chunk::<HEADER>()?;
    let end = HEADER + u32::from_be_bytes([0, a, b, c]) as usize;
    let whole = bytes.get(..end)?;
    Some((Parts { kind, whole, body: whole.get(HEADER..)? }, bytes.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Random, message};

    fn read(limits: &Limits, bytes: &[u8], sizes: &mut dyn FnMut() -> usize) -> (Vec<(u8, Vec<u8>)>, usize) {
        let budget = Budget::new(1 << 20);
        let mut reader = MessageReader::new(limits, &budget);
        let (mut all, mut skipped, mut rest) = (Vec::new(), 0, bytes);
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(sizes().clamp(1, rest.len()));
            skipped += reader.push(part, Span::default(), &mut |message| {
                assert_eq!(message.whole.len(), message.body.len() + HEADER);
                all.push((message.kind, message.body.to_vec()));
            });
            assert!(budget.used() <= 2 * limits.tls_message);
            rest = behind;
        }
        assert!(!reader.is_in_message());
        assert_eq!(budget.used(), 0);
        (all, skipped)
    }

    #[test]
    fn messages_may_be_cut_anywhere() {
        let limits = Limits { tls_message: 3000, ..Limits::default() };
        let lens = [0, 1, 300, 0, 2990, 5000, 70_000, 4, 3];
        let bytes: Vec<u8> =
            lens.iter().enumerate().flat_map(|(kind, &len)| message(kind as u8, &vec![7; len])).collect();
        let (whole, _) = read(&limits, &bytes, &mut || usize::MAX);
        // In one piece even a large message costs nothing; in pieces it is skipped.
        assert_eq!(whole.len(), lens.len());
        let small: Vec<_> = whole.iter().filter(|(_, body)| body.len() < 2996).cloned().collect();
        for size in [1, 2, 3, 4, 5, 100, 1448] {
            assert_eq!(read(&limits, &bytes, &mut || size), (small.clone(), 2), "{size}");
        }
        let mut random = Random(11);
        for _ in 0..200 {
            let (got, skipped) = read(&limits, &bytes, &mut || 1 + random.below(2900));
            assert_eq!((got, skipped), (small.clone(), 2));
        }
    }
}
