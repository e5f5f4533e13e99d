//! Ports that are used again, answers that contradict one another, and bytes that belong to no stream.

use super::*;

const PSH: TcpFlags = TcpFlags::PSH;

impl Bench {
    /// A connection from its SYN to the last acknowledgment of its end.
    fn whole(&mut self) {
        self.handshake();
        self.c(ACK, 1, 1, b"ask");
        self.s(ACK, 1, 4, b"answer");
        self.s(ACK | FIN, 7, 4, b"");
        self.c(ACK | FIN, 4, 8, b"");
        self.s(ACK, 8, 5, b"");
    }

    fn stories(&self) -> Vec<(&str, Option<CloseReason>, bool)> {
        self.seen.all.iter().map(|seen| (seen.story.as_str(), seen.close, seen.facts.is_continued)).collect()
    }
}

/// Two servers answer one SYN; the client decides.
#[test]
fn the_answer_that_is_acknowledged_counts() {
    for (first, is_acknowledged_late) in [(true, false), (true, true), (false, true)] {
        let mut bench = Bench::new();
        bench.c(SYN, 0, 0, b"");
        bench.s(SYN | ACK, 0, 1, b"");
        let start = if first { 0 } else { 700_000 };
        if !is_acknowledged_late {
            bench.c(ACK, 1, start + 1, b"");
        }
        bench.s(SYN | ACK, 700_000, 1, b"");
        bench.c(ACK, 1, start + 1, b"ask");
        bench.s(ACK, start + 1, 4, b"answer");
        bench.finish();
        assert_eq!(bench.only().story, "cs", "{first} {is_acknowledged_late}");
        assert_eq!(bench.only().lanes[1].bytes, b"answer");
    }
}

/// Where the client's acknowledgment is not in the capture, the server's own bytes tell.
#[test]
fn the_answer_whose_bytes_follow_counts() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.s(SYN | ACK, 700_000, 1, b"");
    bench.s(ACK | PSH, 1, 1, b"hello");
    bench.finish();
    assert_eq!(bench.only().story, "s");
}

#[test]
fn an_answer_with_new_numbers_opens_a_connection_after_the_end() {
    for ends_by_reset in [false, true] {
        let mut bench = Bench::new();
        if ends_by_reset {
            bench.handshake();
            bench.c(ACK, 1, 1, b"ask");
            bench.c(RST, 4, 0, b"");
        } else {
            bench.whole();
        }
        // Late packets of the old one open nothing.
        bench.s(SYN | ACK, 0, 1, b"");
        bench.c(ACK, 1, 1, b"ask");
        bench.c(RST, 4, 0, b"");
        bench.s(RST, 3_000_000, 0, b"");
        bench.s(ACK | FIN, 7, 4, b"");
        assert_eq!(bench.seen.all.len(), 1, "{ends_by_reset}");
        bench.s(SYN | ACK, 9_000_000, 8_000_001, b"");
        bench.c(ACK, 8_000_001, 9_000_001, b"");
        bench.c(ACK, 8_000_001, 9_000_001, b"next");
        bench.s(ACK, 9_000_001, 8_000_005, b"other");
        bench.finish();
        let story = if ends_by_reset {
            ("cR", Some(CloseReason::Reset), false)
        } else {
            ("csSC", Some(CloseReason::Finished), false)
        };
        assert_eq!(bench.stories(), [story, ("cs", Some(CloseReason::CaptureEnd), true)]);
        let facts = &bench.seen.all[1].facts;
        assert!(facts.roles_known && facts.client == bench.client);
    }
}

#[test]
fn new_numbers_on_both_sides_open_a_connection_after_the_end() {
    let mut bench = Bench::new();
    bench.whole();
    bench.c(ACK, 8_000_001, 9_000_001, b"");
    bench.c(ACK, 8_000_001, 9_000_001, b"next");
    bench.s(ACK, 9_000_001, 8_000_005, b"other");
    bench.finish();
    assert_eq!(bench.stories()[1], ("cs", Some(CloseReason::CaptureEnd), true));
}

#[test]
fn an_acknowledged_answer_opens_a_connection_before_the_end() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, b"ask");
    bench.s(ACK, 1, 4, b"answer");
    // One that nobody acknowledges opens none.
    bench.s(SYN | ACK, 5_000_000, 6_000_001, b"");
    bench.c(ACK, 4, 7, b"more");
    bench.s(ACK, 7, 8, b"again");
    bench.s(SYN | ACK, 9_000_000, 8_000_001, b"");
    bench.c(ACK, 8_000_001, 9_000_001, b"next");
    bench.s(ACK, 9_000_001, 8_000_005, b"other");
    bench.finish();
    let (reused, end) = (Some(CloseReason::Reused), Some(CloseReason::CaptureEnd));
    assert_eq!(bench.stories(), [("cscs", reused, false), ("cs", end, true)]);
    let facts = &bench.seen.all[1].facts;
    assert_eq!((facts.first.frame.0, facts.client), (9, bench.client));
    assert!(facts.roles_known && facts.established.is_some());
}

#[test]
fn bytes_behind_the_end_are_counted() {
    let mut bench = Bench::new();
    bench.whole();
    // What was sent before the end comes again.
    bench.s(ACK, 1, 4, b"answer");
    assert_eq!(bench.seen.all.len(), 1);
    bench.s(ACK, 8, 5, b"too late");
    bench.s(ACK, 1, 4, b"answer");
    bench.s(ACK, 16, 5, b"later");
    bench.c(SYN, 7_000_000, 0, b"");
    bench.c(ACK, 7_000_001, 0, b"next");
    bench.finish();
    let stories = bench.stories();
    assert_eq!(stories[1], ("", Some(CloseReason::Reused), true));
    assert_eq!(stories[2], ("c", Some(CloseReason::CaptureEnd), false));
    let facts = &bench.seen.all[1].facts;
    assert_eq!((facts.loss[1].unusable, facts.loss[1].unusable_bytes), (2, 13));
    assert_eq!(facts.anomalies.count(AnomalyKind::StreamOutOfWindow), 2);
    assert_eq!(facts.client, bench.client);
}

#[test]
fn bytes_far_outside_are_counted() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, b"ask");
    bench.c(ACK, 1_000_000_000, 1, b"nowhere");
    bench.finish();
    let loss = bench.only().facts.loss[0];
    assert_eq!((loss.unusable, loss.unusable_bytes), (1, 7));
}

/// Acknowledgments as some network processors send them: the IP length counts the padding of the Ethernet frame.
#[test]
fn padded_acknowledgments_are_no_bytes() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.c(ACK, 1, 1, &[0; 2]);
    bench.c(ACK | PSH, 1, 1, b"ask");
    bench.s(ACK, 1, 4, &[0; 6]);
    for _ in 0..3 {
        bench.s(ACK, 0, 4, &[0; 6]);
        bench.c(ACK, 4, 1, &[0; 2]);
    }
    bench.s(ACK | PSH, 1, 4, b"answer");
    bench.c(ACK, 4, 7, &[0; 2]);
    bench.c(ACK | FIN, 4, 7, &[0; 2]);
    bench.s(ACK | FIN, 7, 5, &[0; 6]);
    bench.c(ACK, 5, 8, &[0; 2]);
    bench.finish();
    let seen = bench.only();
    assert_eq!((&seen.lanes[0].bytes[..], &seen.lanes[1].bytes[..]), (&b"ask"[..], &b"answer"[..]));
    assert_eq!((seen.story.as_str(), seen.close), ("csCS", Some(CloseReason::Finished)));
}

/// Zeros that were sent stay, whatever shows that they were.
#[test]
fn zeros_that_were_sent_stay() {
    // The sender goes on behind them.
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, &[0; 6]);
    bench.c(ACK, 7, 1, &[0; 4]);
    bench.c(ACK, 11, 1, b"more");
    bench.finish();
    assert_eq!(bench.only().lanes[0].bytes, b"\0\0\0\0\0\0\0\0\0\0more");
    assert_eq!(bench.only().lanes[0].stamps[0].0, 4);
    // The receiver acknowledges them; its answer comes behind them.
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, &[0; 3]);
    bench.s(ACK, 1, 4, b"answer");
    bench.finish();
    assert_eq!(bench.only().story, "cs");
    // They end the stream, or are pushed, or are too many.
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK | PSH, 1, 1, &[0; 6]);
    bench.c(ACK, 7, 1, &[0; 7]);
    bench.c(ACK | FIN, 14, 1, &[0; 2]);
    bench.s(ACK, 1, 17, b"");
    bench.finish();
    assert_eq!(bench.only().lanes[0].bytes, [0; 15]);
    assert!(bench.only().lanes[0].fin);
    // Nothing follows them in the capture.
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, &[0; 3]);
    bench.finish();
    assert_eq!(bench.only().lanes[0].bytes, [0; 3]);
}
