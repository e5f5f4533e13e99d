//! Content of one message: decoded as it comes, kept within bounds, large content in the spool.

use std::ops::ControlFlow;

use super::coding::{Codings, Stop};
use super::model::{Body, BodyEnd, Kept};
use crate::base::{Budget, Lease, Limits, Span, Spool, Stored};
use crate::http::Headers;
use crate::tcp::Chunk;

/// Bytes of content held in memory before they go to the spool, or to the decoder: most content never does.
const MEMORY_PART: usize = 1 << 20;
/// The same while memory is scarce.
const TIGHT_PART: usize = 128 << 10;
/// Room made for content that a head announces, while memory is scarce; what comes makes more.
const TIGHT_EXPECTED: usize = 256 << 10;
/// Decoded bytes below which nothing is called a bomb.
const BOMB_FLOOR: u64 = 4 << 20;

/// Receives decoded content and the frames it came from.
pub(super) type Observe<'o> = &'o mut dyn FnMut(&[u8], Span);

/// Collects the content of one message.
pub(super) struct Collector {
    codings: Codings,
    /// Coded content that waits for its end, when nobody watches it: a decoder takes more room, and works best on all of it.
    gathered: Option<Vec<u8>>,
    /// Coded content was handed to the decoders.
    is_begun: bool,
    wire_size: u64,
    size: u64,
    lost: u64,
    has_gap: bool,
    /// `None` while nothing is wrong.
    end: Option<BodyEnd>,
    /// Coded bytes after this point are only counted.
    is_deaf: bool,
    wants_bytes: bool,
    max: u64,
    ratio: u64,
    spooled: Vec<Stored>,
    tail: Vec<u8>,
    budget: Budget,
    lease: Lease,
}

impl Collector {
    /// A collector for a message with these fields. With `wants_bytes` false the content is only measured; when it `is_watched`,
    /// decoded bytes are observed as soon as they come.
    pub(super) fn new(
        headers: &Headers,
        wants_bytes: bool,
        is_watched: bool,
        limits: &Limits,
        budget: &Budget,
    ) -> Self {
        let (codings, unknown) = match Codings::parse(headers.all("content-encoding"), limits.codings) {
            Ok(codings) => (codings, None),
            Err(name) => (Codings::default(), Some(BodyEnd::CodingUnknown(name))),
        };
        let end = if wants_bytes { unknown } else { Some(BodyEnd::Dropped) };
        Self {
            gathered: (!is_watched && !codings.is_identity()).then(Vec::new),
            codings,
            is_begun: false,
            wire_size: 0,
            size: 0,
            lost: 0,
            has_gap: false,
            end,
            is_deaf: false,
            wants_bytes,
            max: limits.body,
            ratio: limits.body_ratio,
            spooled: Vec::new(),
            tail: Vec::new(),
            budget: budget.clone(),
            lease: budget.lease(),
        }
    }

    /// True when what comes is only counted, for it cannot be decoded.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Makes room for content of a stated length.
    pub(super) fn expect(&mut self, len: u64) {
        if !self.wants_bytes || len > self.max {
            return;
        }
        let most = if self.budget.is_tight() { TIGHT_EXPECTED } else { MEMORY_PART };
        let len = len.min(most as u64) as usize;
        match &mut self.gathered {
            Some(gathered) => gathered.reserve_exact(len),
            None if self.codings.is_identity() => self.tail.reserve_exact(len),
            None => {}
        }
        self.account();
    }

    /// The next content bytes as on the wire.
    pub(super) fn push(&mut self, chunk: &Chunk<'_>, spool: &mut Spool, observe: Observe<'_>) {
        self.wire_size += chunk.data.len() as u64;
        if self.is_deaf {
            return;
        }
        if self.codings.is_identity() {
            self.keep(chunk.data, spool);
            observe(chunk.data, chunk.span);
        } else if !self.gather(chunk.data) {
            self.release(chunk.span, spool);
            self.decode(chunk.data, chunk.span, spool, observe);
        }
        self.account();
    }

    /// Keeps coded bytes for later; false when they are to be decoded now.
    fn gather(&mut self, bytes: &[u8]) -> bool {
        let part = self.whole_part();
        match &mut self.gathered {
            Some(gathered) if gathered.len() + bytes.len() <= part => {
                append(gathered, bytes, part);
                true
            }
            _ => false,
        }
    }

    /// Decodes what was gathered, as far as it goes; nobody watches it.
    fn release(&mut self, span: Span, spool: &mut Spool) {
        if let Some(coded) = self.gathered.take().filter(|coded| !coded.is_empty()) {
            self.decode(&coded, span, spool, &mut |_, _| {});
        }
    }

    /// Bytes of content that may be held in memory.
    fn part(&self) -> usize {
        if self.budget.is_tight() { TIGHT_PART } else { MEMORY_PART }
    }

    /// Bytes of content that may be decoded as a whole, and be held until then.
    fn whole_part(&self) -> usize {
        self.part().min(usize::try_from(self.max).unwrap_or(usize::MAX))
    }

    fn decode(&mut self, coded: &[u8], span: Span, spool: &mut Spool, observe: Observe<'_>) {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let most = BOMB_FLOOR.max(self.wire_size.saturating_mul(self.ratio));
        let mut codings = std::mem::take(&mut self.codings);
        let mut emit = |bytes: &[u8]| {
            self.keep(bytes, spool);
            observe(bytes, span);
            if self.size > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match codings.push(coded, &mut emit) {
            Ok(()) => self.codings = codings,
            Err(Stop::Refused) => self.stop(BodyEnd::Bomb),
            // Servers that state a coding they did not apply: what came is the content itself.
            Err(Stop::Broken) if is_first && self.size == 0 => {
                let _ = self.end.get_or_insert(BodyEnd::CodingBroken);
                self.keep(coded, spool);
                observe(coded, span);
            }
            Err(Stop::Broken) => self.stop(BodyEnd::CodingBroken),
        }
    }

    fn stop(&mut self, end: BodyEnd) {
        let _ = self.end.get_or_insert(end);
        self.is_deaf = true;
        self.codings = Codings::default();
    }

    fn keep(&mut self, bytes: &[u8], spool: &mut Spool) {
        self.size += bytes.len() as u64;
        if !self.wants_bytes {
            return;
        }
        if self.size > self.max {
            self.end = Some(BodyEnd::TooLarge);
            self.wants_bytes = false;
            self.tail = Vec::new();
            self.spooled = Vec::new();
            return;
        }
        let part = self.part();
        if self.tail.len() + bytes.len() > part && !self.tail.is_empty() {
            self.spooled.push(spool.append(&self.tail));
            self.tail.clear();
        }
        append(&mut self.tail, bytes, part);
    }

    /// Content bytes that are missing; a coded body cannot be decoded past them.
    pub(super) fn lose(&mut self, len: u64, span: Span, spool: &mut Spool) {
        self.lost += len;
        self.has_gap = true;
        self.release(span, spool);
        if !self.codings.is_identity() {
            self.stop(BodyEnd::Cut);
        }
    }

    fn account(&mut self) {
        let spooled = self.spooled.capacity() * size_of::<Stored>();
        let codings = match &self.gathered {
            Some(gathered) => gathered.capacity(),
            None => self.codings.memory(),
        };
        self.lease.set(self.tail.capacity() + spooled + codings);
    }

    /// The content; `is_complete` when the message came to its end.
    pub(super) fn finish(mut self, is_complete: bool, last: Span, spool: &mut Spool) -> Body {
        let room = self.whole_part();
        let gzip = self.gathered.as_deref().filter(|_| self.codings.is_gzip());
        if let Some(plain) = gzip.and_then(|coded| Codings::whole(coded, room)) {
            self.size = plain.len() as u64;
            self.tail = if self.wants_bytes { plain } else { Vec::new() };
            self.gathered = None;
            self.codings = Codings::default();
        }
        self.release(last, spool);
        if is_complete && !self.is_deaf && !self.codings.is_complete() && self.wire_size > 0 {
            let _ = self.end.get_or_insert(BodyEnd::CodingBroken);
        }
        self.codings = Codings::default();
        self.account();
        let cut = if is_complete && !self.has_gap { BodyEnd::Whole } else { BodyEnd::Cut };
        Body {
            wire_size: self.wire_size,
            size: self.size,
            lost: self.lost,
            has_gap: self.has_gap,
            end: self.end.unwrap_or(cut),
            kept: Kept { spooled: self.spooled, tail: self.tail, lease: self.lease },
        }
    }
}

/// Appends to a buffer that is to hold `most` bytes at most. Growing takes copies: a few large steps are better than many.
fn append(buffer: &mut Vec<u8>, bytes: &[u8], most: usize) {
    if buffer.capacity() - buffer.len() < bytes.len() {
        buffer.reserve_exact(bytes.len().max((3 * buffer.len()).min(most.saturating_sub(buffer.len()))));
    }
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn collect(coding: &str, pieces: &[Option<&[u8]>], limits: &Limits, wants: bool) -> (Body, Vec<u8>, Budget) {
        let mut headers = Headers::default();
        headers.push(b"Content-Encoding", coding.as_bytes());
        let budget = Budget::new(1 << 30);
        let mut spool = Spool::new(None);
        let mut collector = Collector::new(&headers, wants, false, limits, &budget);
        for piece in pieces {
            match piece {
                Some(data) => {
                    let chunk =
                        Chunk { data, span: Span::default(), offset: 0, position: crate::tcp::Position::default() };
                    collector.push(&chunk, &mut spool, &mut |_, _| {});
                }
                None => collector.lose(10, Span::default(), &mut spool),
            }
        }
        let body = collector.finish(true, Span::default(), &mut spool);
        let (mut all, mut part) = (Vec::new(), Vec::new());
        for stored in &body.kept.spooled {
            stored.read(0, u64::MAX, &mut part).unwrap();
            all.extend_from_slice(&part);
        }
        all.extend_from_slice(&body.kept.tail);
        (body, all, budget)
    }

    #[test]
    fn large_content_goes_to_the_spool_and_returns_its_lease() {
        let data: Vec<u8> = (0..3_000_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let pieces: Vec<Option<&[u8]>> = data.chunks(1460).map(Some).collect();
        let (body, all, budget) = collect("identity", &pieces, &Limits::default(), true);
        assert!(all == data && body.end == BodyEnd::Whole && body.size == 3_000_000);
        assert!(!body.kept.spooled.is_empty() && budget.used() <= 2 * MEMORY_PART);
        drop(body);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn room_that_is_made_counts_before_anything_came() {
        let budget = Budget::new(4 << 20);
        let announced = || {
            let mut collector = Collector::new(&Headers::default(), true, false, &Limits::default(), &budget);
            collector.expect(u64::MAX >> 40);
            collector
        };
        let waiting: Vec<Collector> = (0..4).map(|_| announced()).collect();
        assert_eq!(budget.used(), 3 * MEMORY_PART + TIGHT_EXPECTED);
        drop(waiting);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn gzip_decodes_to_the_same_as_a_whole_and_as_a_stream() {
        // Noise stays as long as it is: the last one is too much to be gathered.
        let noise = |len: u32| -> Vec<u8> { (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect() };
        let lines: Vec<u8> = (0..200_000u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        for plain in [b"short".to_vec(), noise(100_000), lines, noise(1_500_000)] {
            let coded = gzip(&plain);
            let pieces: Vec<Option<&[u8]>> = coded.chunks(1460).map(Some).collect();
            let (body, all, budget) = collect("gzip", &pieces, &Limits::default(), true);
            assert!(all == plain && body.end == BodyEnd::Whole, "{} bytes: {:?}", plain.len(), body.end);
            assert_eq!((body.size, body.wire_size), (plain.len() as u64, coded.len() as u64));
            assert!(budget.used() <= 2 * MEMORY_PART);
            let (measured, none, budget) = collect("gzip", &pieces, &Limits::default(), false);
            assert!(none.is_empty() && measured.end == BodyEnd::Dropped);
            assert_eq!((measured.size, measured.wire_size), (body.size, body.wire_size));
            drop(measured);
            assert_eq!(budget.used(), 0);
            let half: Vec<Option<&[u8]>> = coded[..coded.len() / 2].chunks(1460).map(Some).collect();
            let (cut, some, _) = collect("gzip", &half, &Limits::default(), true);
            assert!(plain.starts_with(&some) && cut.size == some.len() as u64 && cut.end != BodyEnd::Whole);
        }
    }

    #[test]
    fn every_way_to_end() {
        let limits = Limits { body: 5_000_000, ..Limits::default() };
        let mut plain: Vec<u8> = (0..300_000u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let (coded, size) = (gzip(&plain), plain.len() as u64);
        let (body, all, _) = collect("gzip", &[Some(&coded)], &limits, true);
        assert!(all == plain && body.end == BodyEnd::Whole && body.wire_size == coded.len() as u64);
        let (body, all, _) = collect("gzip", &[Some(&coded[..coded.len() / 2])], &limits, true);
        assert!(body.end == BodyEnd::CodingBroken && !all.is_empty());
        let (body, _, _) = collect("gzip", &[Some(&coded[..1000]), None, Some(&coded[1010..])], &limits, true);
        assert!(body.end == BodyEnd::Cut && body.has_gap && body.lost == 10);
        let (body, all, _) = collect("gzip", &[Some(b"not gzip at all"), Some(b", plain")], &limits, true);
        assert_eq!((body.end, all.as_slice()), (BodyEnd::CodingBroken, &b"not gzip at all, plain"[..]));
        let (body, all, _) = collect("aws-chunked", &[Some(b"5;x\r\nhello")], &limits, true);
        assert_eq!((body.end, all.len()), (BodyEnd::CodingUnknown("aws-chunked".into()), 10));
        let (body, all, _) = collect("gzip", &[Some(&coded)], &limits, false);
        assert_eq!((body.end, all.len(), body.size), (BodyEnd::Dropped, 0, size));
        let (body, all, _) = collect("gzip", &[Some(&gzip(&[plain.as_slice(); 2].concat()))], &limits, true);
        assert_eq!((body.end, all.len(), body.size), (BodyEnd::TooLarge, 0, 2 * size));
        plain = vec![0; 40_000_000];
        let (body, _, _) = collect("gzip", &[Some(&gzip(&plain))], &Limits::default(), true);
        assert!(body.end == BodyEnd::Bomb && body.size < 8_500_000, "{:?} {}", body.end, body.size);
    }
}
