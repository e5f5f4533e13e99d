//! What goes in in any order comes out in order.

use super::*;
use crate::base::{Budget, FrameNumber};

thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one visit of a held piece.
pub(super) fn step() {
    STEPS.set(STEPS.get() + 1);
}

/// Visits of held pieces so far in this thread.
pub(in crate::tcp) fn steps() -> u64 {
    STEPS.get()
}

fn stamp(frame: u64, time: i64) -> Stamp {
    Stamp { frame: FrameNumber(frame), time: Timestamp(time) }
}

fn span(frame: u64) -> Span {
    Span::of(stamp(frame, frame as i64), false)
}

/// A plain sink: bytes with 0 for lost ones, gaps, and each chunk's frame and time.
#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    gaps: Vec<(u64, u64)>,
    stamps: Vec<(u64, i64)>,
}

impl Seen {
    fn take(&mut self, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Data(chunk) => {
                assert_eq!(chunk.offset, self.bytes.len() as u64);
                assert!(!chunk.data.is_empty());
                self.bytes.extend_from_slice(chunk.data);
                self.stamps.push((chunk.span.first.frame.0, chunk.span.first.time.0));
            }
            StreamEvent::Gap { len, .. } => {
                self.gaps.push((self.bytes.len() as u64, len));
                self.bytes.resize(self.bytes.len() + len as usize, 0);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn assembler() -> (Assembler, Budget) {
    let budget = Budget::new(1 << 20);
    (Assembler::new(budget.lease()), budget)
}

#[test]
fn the_first_bytes_win() {
    let (mut stream, budget) = assembler();
    let mut seen = Seen::default();
    let mut out = |event: StreamEvent<'_>| seen.take(event);
    assert_eq!(stream.push(2, b"CD", span(1), &mut out), Stored { fresh: 2, differs: false });
    assert_eq!(stream.push(1, b"bcde", span(2), &mut out), Stored { fresh: 2, differs: true });
    assert_eq!(stream.first_hole().map(|(hole, _)| hole), Some(0..1));
    assert!(budget.used() >= 4);
    assert_eq!(stream.push(0, b"a????f", span(3), &mut out).fresh, 2);
    assert!(stream.is_empty());
    assert_eq!(budget.used(), 0);
    assert_eq!(seen.bytes, b"abCDef");
    assert_eq!(seen.stamps, [(3, 3), (2, 3), (1, 3), (2, 3), (3, 3)], "held bytes keep their frame, not their time");
}

#[test]
fn a_hole_given_up_is_a_gap_and_moves_no_time() {
    let (mut stream, _) = assembler();
    let mut seen = Seen::default();
    let mut out = |event: StreamEvent<'_>| seen.take(event);
    stream.push(0, b"ab", span(1), &mut out);
    stream.push(4, b"ef", span(2), &mut out);
    stream.push(8, b"ij", span(3), &mut out);
    stream.give_up(4, stamp(9, 9), &mut out);
    assert_eq!(stream.next(), 6);
    stream.give_up(12, stamp(9, 9), &mut out);
    assert_eq!(seen.gaps, [(2, 2), (6, 2), (10, 2)]);
    assert_eq!(seen.stamps, [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(seen.bytes, b"ab\0\0ef\0\0ij\0\0");
}

#[test]
fn what_was_cut_is_a_gap_unless_it_comes_again() {
    let (mut stream, budget) = assembler();
    let mut seen = Seen::default();
    let mut out = |event: StreamEvent<'_>| seen.take(event);
    stream.store(2, b"cd", span(1), Link::default());
    stream.store_lost(4, 4, span(1), Link::default());
    assert_eq!(stream.store(5, b"fg", span(2), Link::default()).fresh, 2);
    stream.push(0, b"ab", span(3), &mut out);
    assert_eq!(seen.bytes, b"abcd\0fg\0");
    assert_eq!(seen.gaps, [(4, 1), (7, 1)]);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_threshold_holds_bytes_back() {
    let (mut stream, _) = assembler();
    let mut seen = Seen::default();
    let mut out = |event: StreamEvent<'_>| seen.take(event);
    stream.store(0, b"response", span(1), Link { after: 7, acked: 7 });
    assert!(!stream.pop(6, &mut out));
    assert_eq!(stream.first_hole().map(|(hole, _)| hole), Some(0..0));
    assert!(stream.pop(7, &mut out));
    assert_eq!(seen.stamps, [(1, 1)]);
}

#[test]
fn a_hole_that_is_given_up_in_parts_makes_nothing_late() {
    let (mut stream, _) = assembler();
    let mut seen = Seen::default();
    let mut out = |event: StreamEvent<'_>| seen.take(event);
    stream.store(10, b"behind", span(2), Link::default());
    // Only a part of the hole is known to have been received, and that is known late.
    assert!(stream.skip_hole(4, stamp(9, 9), &mut out));
    assert!(stream.skip_hole(12, stamp(9, 9), &mut out));
    assert!(stream.pop(u64::MAX, &mut out));
    assert_eq!(seen.gaps, [(0, 4), (4, 6)]);
    assert_eq!(seen.stamps, [(2, 2)]);
}

#[test]
fn offsets_at_the_end_of_the_world_are_harmless() {
    let (mut stream, _) = assembler();
    let mut events = 0;
    let mut out = |_: StreamEvent<'_>| events += 1;
    stream.push(u64::MAX - 1, b"abcd", span(1), &mut out);
    stream.push(u64::MAX, b"abcd", span(1), &mut out);
    stream.store_lost(u64::MAX - 2, 1, span(1), Link::default());
    stream.store_lost(1, u64::MAX, span(1), Link::default());
    stream.give_up(u64::MAX, stamp(1, 1), &mut out);
    stream.push(u64::MAX - 1, b"abcd", span(1), &mut out);
    stream.push(u64::MAX, b"abcd", span(1), &mut out);
    assert_eq!(stream.next(), u64::MAX);
}

/// Random stretches against a byte-by-byte model; each byte's value tells which stretch brought it.
#[test]
fn random_stretches_agree_with_a_simple_model() {
    let mut random = 7_u64;
    let mut dice = |sides: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % sides
    };
    for _ in 0..300 {
        let (mut stream, budget) = assembler();
        let mut seen = Seen::default();
        let mut model = [0_u8; 200];
        for frame in 1..=60_u64 {
            let (from, len) = (dice(180), 1 + dice(20));
            let data = vec![frame as u8; len as usize];
            let lost = dice(8) == 0;
            let mut out = |event: StreamEvent<'_>| seen.take(event);
            if lost {
                stream.store_lost(from, len, span(frame), Link::default());
                stream.pop(u64::MAX, &mut out);
            } else {
                let fresh = stream.push(from, &data, span(frame), &mut out).fresh;
                let delivered = seen.bytes.len();
                let range = &mut model[from as usize..(from + len) as usize];
                let mut expected = 0;
                for (at, byte) in range.iter_mut().enumerate() {
                    let gone = seen.gaps.iter().any(|&(start, len)| (start..start + len).contains(&(from + at as u64)));
                    if *byte == 0 && !gone {
                        *byte = frame as u8;
                        expected += 1;
                    }
                }
                assert_eq!(fresh, expected, "{delivered}");
            }
            assert!(stream.pieces() <= 200);
            assert_eq!(budget.used(), stream.allocated());
        }
        let high = stream.high();
        stream.give_up(high, stamp(99, 99), &mut |event| seen.take(event));
        assert_eq!(seen.bytes, model[..high as usize]);
        assert!(seen.stamps.is_sorted_by_key(|&(_, time)| time));
        assert_eq!(budget.used(), 0);
    }
}
