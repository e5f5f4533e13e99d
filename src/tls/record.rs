//! A TCP stream becomes TLS records, with an answer to lost bytes.

use crate::base::{Budget, Lease, Span, Stamp, Timestamp};
use crate::tcp::{Chunk, Position};

/// Content types of records in the IANA registry.
#[allow(missing_docs, reason = "the names of the registry")]
pub(crate) mod content {
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    pub const ALERT: u8 = 21;
    pub const HANDSHAKE: u8 = 22;
    pub const APPLICATION_DATA: u8 = 23;
    pub const HEARTBEAT: u8 = 24;
    /// Our own number for a ClientHello in the shape of SSL 2.0.
    pub const SSL2_HELLO: u8 = 0x80;
}

/// Bytes before the body of a record.
pub(crate) const HEADER: usize = 5;

/// Largest body: 2^14 bytes and what TLS 1.2 allows for compression and cipher
/// ([RFC 5246 §6.2.3](https://www.rfc-editor.org/rfc/rfc5246#section-6.2.3)).
const BODY_MAX: usize = (1 << 14) + 2048;

/// One record ([RFC 8446 §5.1](https://www.rfc-editor.org/rfc/rfc8446#section-5.1)).
///
/// ```text
/// +--------+----------------+----------------+---------
/// |  kind  |  version (16)  |  length (16)   | body ...
/// +--------+----------------+----------------+---------
/// ```
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub kind: u8,
    pub version: u16,
    /// Decrypted in place.
    pub body: &'a mut [u8],
    /// First stamp that of the header, last that of the last byte.
    pub span: Span,
    /// Offset of the header in the stream.
    pub offset: u64,
    /// Where the header lies between both directions.
    pub position: Position,
}

/// What comes out of a [`RecordReader`].
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// A whole record.
    Record(Record<'a>),
    /// A whole record whose body nobody wanted.
    Skipped { stamp: Stamp },
    /// The beginning of the body of a plain handshake record whose rest is lost; the loss is told next.
    Torn { body: &'a [u8], span: Span },
    /// One record was lost in part.
    LostRecord { body: usize, stamp: Stamp },
    /// Lost bytes and perhaps record boundaries among them; `bytes` is 0 when their number is unknown.
    LostBytes { bytes: u64, stamp: Stamp },
    /// Bytes that are no record where one should begin.
    Malformed { stamp: Stamp },
}

/// Kind, version and length of the body, when these bytes may begin a record.
fn header(bytes: &[u8]) -> Option<(u8, u16, usize)> {
    let &[kind, major, minor, high, low] = bytes.first_chunk::<HEADER>()?;
    let body = usize::from(u16::from_be_bytes([high, low]));
    let is_record = (content::CHANGE_CIPHER_SPEC..=content::HEARTBEAT).contains(&kind)
        && major == 3
        && minor <= 4
        && body <= BODY_MAX
        && (body > 0 || kind == content::APPLICATION_DATA);
    is_record.then_some((kind, u16::from_be_bytes([major, minor]), body))
}

/// True when a header may begin with these bytes, however few.
fn may_begin_header(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [kind, rest @ ..] => {
            (content::CHANGE_CIPHER_SPEC..=content::HEARTBEAT).contains(kind)
                && rest.first().is_none_or(|&major| major == 3)
                && rest.get(1).is_none_or(|&minor| minor <= 4)
                && (bytes.len() < HEADER || header(bytes).is_some())
        }
    }
}

/// Length of a ClientHello in the shape of SSL 2.0
/// ([RFC 5246 appendix E.2](https://www.rfc-editor.org/rfc/rfc5246#appendix-E.2)), its two length bytes not counted.
///
/// ```text
/// +-+---------------+--------+----------------+----------------+----------------+----------------+----
/// |1|  length (15)  | kind 1 |  version (16)  | suites len (16)|  id len (16)   | challenge len  | ...
/// +-+---------------+--------+----------------+----------------+----------------+----------------+----
/// ```
fn ssl2_hello(bytes: &[u8]) -> Option<usize> {
    let &[high, low, kind, major, minor] = bytes.first_chunk::<5>()?;
    let len = usize::from(u16::from_be_bytes([high & 0x7f, low]));
    let is_hello = high & 0x80 != 0
        && kind == 1
        && ((major == 3 && minor <= 3) || (major == 0 && minor == 2))
        && (9 + 16..4096).contains(&len);
    is_hello.then_some(len)
}

/// What the first bytes of a stream look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// TLS, of either side, at its beginning or later.
    Yes,
    /// Something else.
    No,
    /// Too few bytes to tell.
    More,
}

/// Looks whether a stream begins with a TLS record, of either side, or with a ClientHello in the shape of SSL 2.0.
pub fn probe(first_bytes: &[u8]) -> Probe {
    if first_bytes.len() >= HEADER {
        let is_tls = header(first_bytes).is_some_and(|(kind, _, body)| begins_well(kind, body, first_bytes));
        return if is_tls || ssl2_hello(first_bytes).is_some() { Probe::Yes } else { Probe::No };
    }
    let may_be_ssl2 = first_bytes.first().is_some_and(|&high| high & 0x80 != 0)
        && first_bytes.get(2).is_none_or(|&kind| kind == 1)
        && first_bytes.get(3).is_none_or(|&major| major == 3 || major == 0);
    if may_begin_header(first_bytes) || may_be_ssl2 { Probe::More } else { Probe::No }
}

/// A plain handshake record begins with a message type that exists; alerts and cipher changes are short when plain.
fn begins_well(kind: u8, body: usize, bytes: &[u8]) -> bool {
    match kind {
        content::CHANGE_CIPHER_SPEC => body == 1 || body >= 16,
        content::ALERT => body == 2 || body >= 16,
        content::HANDSHAKE => body >= 4,
        content::APPLICATION_DATA => bytes.len() > 2,
        _ => true,
    }
}

/// Where a run of bytes came from.
#[derive(Debug)]
struct Mark {
    /// Its end in the buffer.
    end: usize,
    span: Span,
    /// Position of its first byte.
    position: Position,
}

/// Cuts the stream of one side into records.
///
/// Invariant: `at <= buffer.len()`; the bytes before `at` are dealt with, and `marks` covers those behind it.
#[derive(Debug)]
pub(crate) struct RecordReader {
    buffer: Vec<u8>,
    at: usize,
    /// Offset in the stream of `buffer[0]`.
    offset: u64,
    /// Where the bytes came from, in order.
    marks: Vec<Mark>,
    /// Bytes to come of a record that is lost or not wanted.
    skip: usize,
    is_skip_wanted: bool,
    is_lost: bool,
    is_first: bool,
    lease: Lease,
}

impl RecordReader {
    pub(crate) fn new(budget: &Budget) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            offset: 0,
            marks: Vec::new(),
            skip: 0,
            is_skip_wanted: false,
            is_lost: false,
            is_first: true,
            lease: budget.lease(),
        }
    }

    /// Takes the next bytes of the stream. `wants_bodies` is false while records need only be counted.
    pub(crate) fn push(&mut self, mut chunk: Chunk<'_>, wants_bodies: bool, out: &mut dyn FnMut(Piece<'_>)) {
        if self.skip > 0 {
            let part = self.skip.min(chunk.data.len());
            chunk = chunk.from(part);
            self.skip -= part;
            if self.skip == 0 && self.is_skip_wanted {
                out(Piece::Skipped { stamp: chunk.span.first });
            }
        }
        if chunk.data.is_empty() {
            return;
        }
        if self.buffer.is_empty() {
            self.offset = chunk.offset;
        }
        self.append(chunk);
        loop {
            let goes_on = if self.is_lost { self.search() } else { self.cut(wants_bodies, out) };
            if !goes_on {
                break;
            }
        }
        self.release();
    }

    fn append(&mut self, Chunk { data, span, position, .. }: Chunk<'_>) {
        let end = self.buffer.len() + data.len();
        // Of the spans inside one record only the ends count: however small the segments are, there are few marks.
        let record = header(self.buffer.get(self.at..).unwrap_or_default()).map(|(_, _, body)| self.at + HEADER + body);
        match (self.marks.last_mut(), record) {
            (Some(mark), Some(record_end)) if end <= record_end && mark.end > self.at => {
                mark.span = mark.span.join(span);
                mark.end = end;
            }
            _ => self.marks.push(Mark { end, span, position }),
        }
        if let Some(missing) = record.and_then(|record_end| record_end.checked_sub(self.buffer.len()))
            && data.len() >= 1024
        {
            self.buffer.reserve(missing.max(data.len()));
        }
        self.buffer.extend_from_slice(data);
    }

    /// Cuts one record off; false when more bytes are needed.
    fn cut(&mut self, wants_bodies: bool, out: &mut dyn FnMut(Piece<'_>)) -> bool {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        if rest.len() < HEADER {
            let may_be_ssl2 = self.is_first && rest.first().is_some_and(|&high| high & 0x80 != 0);
            if may_begin_header(rest) || may_be_ssl2 {
                return false;
            }
            self.lose(out);
            return true;
        }
        let (kind, version, skip, body) = match (header(rest), ssl2_hello(rest)) {
            (Some((kind, version, body)), _) => (kind, version, HEADER, body),
            (None, Some(body)) if self.is_first => (content::SSL2_HELLO, 0x0002, 2, body),
            _ => {
                self.lose(out);
                return true;
            }
        };
        let end = self.at + skip + body;
        if end > self.buffer.len() {
            if !wants_bodies {
                self.skip = end - self.buffer.len();
                self.is_skip_wanted = true;
                self.at = self.buffer.len();
            }
            return false;
        }
        let span = self.span(self.at, end);
        let offset = self.offset.wrapping_add(self.at as u64);
        let position = self.position(self.at);
        let body = self.buffer.get_mut(self.at + skip..end).unwrap_or_default();
        self.at = end;
        self.is_first = false;
        out(Piece::Record(Record { kind, version, body, span, offset, position }));
        true
    }

    /// Looks for the next boundary: a header, with another header or the end of the bytes behind its record. Random bytes
    /// look like that once in 2^40. False when more bytes are needed.
    fn search(&mut self) -> bool {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let Some(found) = (0..rest.len()).find(|&at| rest.get(at..).is_some_and(may_begin_header)) else {
                self.at = self.buffer.len();
                return false;
            };
            self.at += found;
            let rest = rest.get(found..).unwrap_or_default();
            let Some((_, _, body)) = header(rest) else { return false };
            match rest.get(HEADER + body..) {
                None => return false,
                Some([]) => {
                    self.is_lost = false;
                    return true;
                }
                Some(next) if next.len() >= HEADER && header(next).is_some() => {
                    self.is_lost = false;
                    return true;
                }
                Some(next) if next.len() < HEADER && may_begin_header(next) => return false,
                Some(_) => self.at += 1,
            }
        }
    }

    fn lose(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        let stamp = self.span(self.at, self.at + 1).first;
        self.is_lost = true;
        self.is_first = false;
        out(Piece::Malformed { stamp });
    }

    /// Bytes of the stream are lost; 0 when their number is unknown.
    pub(crate) fn gap(&mut self, bytes: u64, stamp: Stamp, out: &mut dyn FnMut(Piece<'_>)) {
        self.is_first = false;
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        // How much of the record that was begun is still to come, and how long its body is.
        let begun = match (self.skip, header(rest)) {
            _ if self.is_lost => None,
            (0, Some((_, _, body))) => Some((HEADER + body - rest.len(), body)),
            (0, None) => None,
            (skip, _) => Some((skip, skip)),
        };
        let was_counted = self.skip > 0 && !self.is_skip_wanted;
        if let (0, Some(_), Some((content::HANDSHAKE, ..)), Some(body)) =
            (self.skip, begun, header(rest), rest.get(HEADER..))
        {
            out(Piece::Torn { body, span: self.span(self.at, self.buffer.len()) });
        }
        self.buffer.clear();
        self.marks.clear();
        self.at = 0;
        self.skip = 0;
        match begun {
            Some((missing, body)) if bytes > 0 && bytes <= missing as u64 => {
                self.skip = missing - bytes as usize;
                self.is_skip_wanted = false;
                if !was_counted {
                    out(Piece::LostRecord { body, stamp });
                }
            }
            _ => {
                self.is_lost = true;
                out(Piece::LostBytes { bytes, stamp });
            }
        }
        self.release();
    }

    /// When the record began whose end has not come yet.
    pub(crate) fn pending_since(&self) -> Option<Timestamp> {
        (self.at < self.buffer.len()).then(|| self.span(self.at, self.at + 1).first.time)
    }

    /// The span of the bytes from `from` up to `to` in the buffer.
    fn span(&self, from: usize, to: usize) -> Span {
        let first = self.marks.partition_point(|mark| mark.end <= from);
        let last = self.marks.partition_point(|mark| mark.end < to);
        let marks = self.marks.get(first..=last).or_else(|| self.marks.get(first..)).unwrap_or_default();
        marks.iter().map(|mark| mark.span).reduce(Span::join).unwrap_or_default()
    }

    /// The position of the byte at `at` in the buffer.
    fn position(&self, at: usize) -> Position {
        let index = self.marks.partition_point(|mark| mark.end <= at);
        let start = index.checked_sub(1).and_then(|before| self.marks.get(before)).map_or(0, |mark| mark.end);
        self.marks.get(index).map_or_else(Position::default, |mark| mark.position.after(at.saturating_sub(start)))
    }

    /// Drops what is dealt with.
    fn release(&mut self) {
        if self.at >= self.buffer.len() {
            self.buffer = Vec::new();
            self.marks.clear();
        } else if self.at > 0 {
            let (at, position) = (self.at, self.position(self.at));
            self.buffer.drain(..at);
            self.offset = self.offset.wrapping_add(at as u64);
            self.marks.retain_mut(|mark| {
                mark.end = mark.end.saturating_sub(at);
                mark.end > 0
            });
            if let Some(first) = self.marks.first_mut() {
                first.position = position;
            }
        }
        self.at = 0;
        self.lease.set(self.buffer.capacity() + self.marks.capacity() * size_of::<Mark>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_told_from_other_protocols() {
        for yes in [
            &[22, 3, 1, 2, 0, 1][..],
            &[22, 3, 3, 0, 100],
            &[22, 3, 0, 0, 100],
            &[23, 3, 3, 0x40, 0x11],
            &[23, 3, 4, 0, 22, 9],
            &[21, 3, 3, 0, 2, 2, 40],
            &[20, 3, 3, 0, 1, 1],
            &[0x80, 0x2e, 1, 3, 1, 0, 21],
            &[0x80, 0x2e, 1, 0, 2, 0, 21],
        ] {
            assert_eq!(probe(yes), Probe::Yes, "{yes:?}");
            for len in 0..5 {
                assert_eq!(probe(&yes[..len]), Probe::More, "{yes:?} {len}");
            }
        }
        for no in [
            &b"GET / HTTP/1.1"[..],
            b"HTTP/1.1 200 OK",
            b"PRI * HTTP/2.0",
            b"SSH-2.0-x",
            &[22, 3, 9, 0, 100],
            &[22, 3, 1, 0xff, 0xff],
            &[22, 3, 1, 0, 0],
            &[20, 3, 3, 0, 2],
            &[21, 3, 3, 0, 3],
            &[25, 3, 3, 0, 3],
            &[0; 16],
        ] {
            assert_eq!(probe(no), Probe::No, "{no:?}");
        }
        assert_eq!(probe(b"G"), Probe::No);
    }

    /// However it is cut and wherever a hole lies, the reader neither loses count nor keeps much.
    #[test]
    fn small_segments_cost_few_marks() {
        let budget = Budget::new(1 << 20);
        let mut reader = RecordReader::new(&budget);
        let record = [&[23, 3, 3, 0x40, 0][..], &[0; 0x4000]].concat();
        let mut seen = 0;
        for (offset, byte) in record.iter().chain(&record).enumerate() {
            let stamp = Stamp { frame: crate::base::FrameNumber(offset as u64), ..Stamp::default() };
            let position = Position { sent: offset as u64 + 7, acked: offset as u64 / 3 };
            let chunk = Chunk { data: &[*byte], span: Span::of(stamp, false), offset: offset as u64, position };
            reader.push(chunk, true, &mut |piece| {
                let Piece::Record(record) = piece else { panic!("{piece:?}") };
                assert_eq!(record.offset, seen * 0x4005);
                assert_eq!(record.position, Position { sent: record.offset + 7, acked: record.offset / 3 });
                assert_eq!(record.span.first.frame.0, seen * 0x4005);
                assert_eq!(record.span.last.frame.0, (seen + 1) * 0x4005 - 1);
                seen += 1;
            });
            assert!(reader.marks.len() <= 8, "{}", reader.marks.len());
            assert!(budget.used() < 64 << 10);
        }
        assert!(seen == 2 && budget.used() < 1024);
    }

    #[test]
    fn unwanted_bodies_are_counted() {
        let mut reader = RecordReader::new(&Budget::new(1 << 20));
        let record = [&[23, 3, 3, 0, 200][..], &[0; 200]].concat();
        let stream = record.repeat(10);
        let (mut skipped, mut whole) = (0, 0);
        for (at, part) in stream.chunks(64).enumerate() {
            let (span, position) = (Span::default(), Position::default());
            let chunk = Chunk { data: part, span, offset: at as u64 * 64, position };
            reader.push(chunk, false, &mut |piece| match piece {
                Piece::Skipped { .. } => skipped += 1,
                Piece::Record(_) => whole += 1,
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(skipped + whole, 10);
    }
}
