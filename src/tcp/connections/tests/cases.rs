//! One case after the other.

use super::*;
use crate::tcp::Loss;

#[test]
fn a_plain_exchange() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, b"GET /");
    bench.s(ACK, 1, 6, b"");
    bench.s(ACK, 1, 6, b"200 ");
    bench.s(ACK | FIN, 5, 6, b"OK");
    bench.c(ACK, 6, 8, b"");
    bench.c(ACK | FIN, 6, 8, b"");
    bench.s(ACK, 8, 7, b"");
    bench.finish();
    let seen = bench.only();
    assert_eq!(seen.story, "cssSC");
    assert_eq!(seen.lanes[0].bytes, b"GET /");
    assert_eq!(seen.lanes[1].bytes, b"200 OK");
    assert_eq!(seen.close, Some(CloseReason::Finished));
    assert_eq!(seen.facts.opened.map(|stamp| stamp.frame.0), Some(1));
    assert_eq!(seen.facts.established.map(|stamp| stamp.frame.0), Some(3));
    assert_eq!(seen.facts.loss, [Loss::default(); 2]);
    assert!(seen.facts.roles_known && seen.facts.anomalies.is_empty());
}

#[test]
fn the_handshake_gives_the_round_trip() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"");
    bench.now += 9_000_000;
    bench.s(SYN | ACK, 0, 1, b"");
    bench.now += 1_000_000;
    bench.c(ACK, 1, 1, b"");
    assert_eq!(bench.engine.facts(Slot(0)).and_then(|facts| facts.rtt), Some(12_000_000));
}

#[test]
fn holes_are_filled_by_retransmissions() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 1, 1, b"abc");
    bench.s(ACK, 7, 1, b"ghi");
    for _ in 0..100 {
        bench.c(ACK, 1, 4, b"");
    }
    bench.s(ACK, 2, 1, b"bcdefg");
    bench.finish();
    let lane = &bench.only().lanes[1];
    assert_eq!(lane.bytes, b"abcdefghi");
    assert_eq!(lane.stamps.iter().map(|&(frame, _)| frame).collect::<Vec<_>>(), [4, 106, 5]);
    assert_eq!(lane.stamps[1].1, lane.stamps[2].1, "what waited has the time of the filling");
    assert_eq!(bench.only().facts.loss[1].retransmissions, 1);
    assert_eq!(bench.only().facts.loss[0].duplicate_acks, 99);
}

#[test]
fn what_was_overtaken_is_out_of_order() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 4, 1, b"def");
    bench.s(ACK, 1, 1, b"abc");
    bench.s(ACK, 1, 1, b"abc");
    bench.finish();
    let expected = Loss { out_of_order: 1, retransmissions: 1, ..Loss::default() };
    assert_eq!(bench.only().facts.loss[1], expected);
}

#[test]
fn an_acknowledged_hole_becomes_a_gap() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 1, 1, b"abc");
    bench.s(ACK, 7, 1, b"ghi");
    for _ in 0..70 {
        bench.c(ACK, 1, 10, b"");
    }
    assert_eq!(bench.only().story, "s-s");
    assert_eq!(bench.only().lanes[1].gaps, [(3, 3)]);
    assert_eq!(bench.only().lanes[1].stamps[1], (5, 1_004_000_000), "it was at the receiver in time");
    bench.finish();
    assert_eq!(bench.only().facts.loss[1].lost_bytes, 3);
    let anomalies = &bench.only().facts.anomalies;
    assert_eq!((anomalies.count(AnomalyKind::BytesLost), anomalies.bytes(AnomalyKind::BytesLost)), (1, 3));
    assert_eq!(bench.only().facts.seen, [true; 2]);
}

#[test]
fn patience_is_also_time() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 4, 1, b"def");
    bench.c(ACK, 1, 7, b"");
    bench.now += 600_000_000;
    bench.c(ACK, 1, 7, b"");
    assert_eq!(bench.only().story, "", "time says nothing when no frames came");
    bench.frame += 128;
    bench.c(ACK, 1, 7, b"");
    assert_eq!(bench.only().story, "-s");
}

#[test]
fn without_acknowledgments_a_hole_is_given_up_by_age_or_size() {
    let limits = Limits { tcp_hole_segments: 10, ..Limits::default() };
    let mut bench = Bench::with(&limits, TcpOptions::default());
    bench.s(ACK, 1, 1, b"a");
    bench.s(ACK, 3, 1, b"c");
    bench.now += 6_000_000_000;
    bench.frame += 128;
    bench.s(ACK, 4, 1, b"d");
    assert_eq!(bench.only().lanes[1].bytes, b"a\0cd");
    for seq in 6..16 {
        bench.s(ACK, seq, 1, b"x");
        assert_eq!(bench.only().lanes[1].bytes.len(), 4);
    }
    bench.s(ACK, 16, 1, b"x");
    assert_eq!(bench.only().lanes[1].bytes, b"a\0cd\0xxxxxxxxxxx");
    bench.finish();
}

#[test]
fn an_answer_waits_for_what_it_answers() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 1, 4, b"answer");
    bench.s(ACK | FIN, 7, 4, b"");
    bench.c(ACK, 1, 1, b"ask");
    assert_eq!(bench.only().story, "csS");
    // Each has the time of its own packet all the same.
    let lanes = &bench.only().lanes;
    assert!(lanes[1].stamps[0].1 < lanes[0].stamps[0].1);
    bench.finish();
}

#[test]
fn a_lost_question_is_a_gap_before_its_answer() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 1, 4, b"answer");
    bench.c(ACK, 4, 7, b"again");
    bench.s(ACK, 7, 9, b"answer");
    assert_eq!(bench.only().story, "");
    bench.finish();
    assert_eq!(bench.only().story, "-scs");
    assert_eq!(bench.only().lanes[0].gaps, [(0, 3)]);
}

#[test]
fn a_repeated_question_with_a_newer_acknowledgment_does_not_wait_for_its_answer() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 1, 4, b"answer");
    bench.c(ACK, 1, 7, b"ask");
    assert_eq!(bench.only().story, "cs");
    bench.finish();
}

#[test]
fn both_ends_wait_for_the_hole() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK | FIN, 4, 1, b"");
    bench.s(ACK | FIN, 1, 1, b"");
    assert_eq!(bench.only().story, "S");
    bench.c(ACK | FIN, 4, 1, b"");
    bench.c(ACK, 1, 1, b"ask");
    assert_eq!(bench.only().story, "ScC");
    assert_eq!(bench.only().close, Some(CloseReason::Finished));
    // Late segments belong to what is over.
    bench.c(ACK, 1, 1, b"ask");
    bench.s(ACK, 2, 5, b"");
    bench.finish();
    assert_eq!(bench.only().facts.loss[0].retransmissions, 1);
}

#[test]
fn sequence_numbers_wrap() {
    let mut bench = Bench::new();
    let base = u32::MAX - 5;
    bench.packet(Side::Client, header(SYN, base, 0), b"", 0);
    bench.packet(Side::Client, header(ACK, base.wrapping_add(5), 1), b"efghij", 0);
    bench.packet(Side::Client, header(ACK, base.wrapping_add(1), 1), b"abcd", 0);
    bench.packet(Side::Client, header(ACK | FIN, 5, 1), b"k", 0);
    bench.packet(Side::Client, header(ACK, 6, 1), b"beyond", 0);
    bench.finish();
    assert_eq!(bench.only().story, "cccC");
    assert_eq!(bench.only().lanes[0].bytes, b"abcdefghijk");
    assert_eq!(bench.only().facts.anomalies.count(AnomalyKind::StreamOutOfWindow), 1);
}

#[test]
fn probes_are_no_data() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, b"ask");
    bench.s(ACK, 1, 4, b"");
    bench.c(ACK, 3, 1, b"\0");
    bench.s(ACK, 1, 4, b"");
    bench.c(ACK, 3, 1, b"");
    bench.s(ACK, 1, 4, b"");
    bench.finish();
    assert_eq!(bench.only().lanes[0].bytes, b"ask");
    assert_eq!(bench.only().facts.loss, [Loss::default(); 2]);
}

#[test]
fn a_zero_window_probe_is_data() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.packet(Side::Server, TcpHeader { window: 0, ..header(ACK, 5001, 1001) }, b"", 0);
    bench.c(ACK, 1, 1, b"a");
    bench.c(ACK, 1, 1, b"abc");
    bench.finish();
    assert_eq!(bench.only().lanes[0].bytes, b"abc");
    assert_eq!(bench.only().facts.loss[1].zero_windows, 1);
}

#[test]
fn a_blind_reset_is_ignored() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(RST, 900_000, 0, b"");
    bench.s(RST, 0_u32.wrapping_sub(9), 0, b"");
    assert_eq!(bench.only().close, None);
    bench.c(ACK, 1, 1, b"ask");
    bench.s(RST, 1, 0, b"");
    assert_eq!(bench.only().story, "cR");
    assert_eq!(bench.only().close, Some(CloseReason::Reset));
    assert_eq!(bench.only().facts.anomalies.count(AnomalyKind::StreamOutOfWindow), 2);
    bench.finish();
}

#[test]
fn a_closed_port_answers_with_sequence_zero() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"");
    bench.packet(Side::Server, header(RST | ACK, 0, 1001), b"", 0);
    assert_eq!(bench.only().close, Some(CloseReason::Reset));
    bench.finish();
}

#[test]
fn a_reset_hands_on_what_waits() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 4, 1, b"def");
    bench.c(RST, 7, 1, b"");
    assert_eq!(bench.only().story, "", "what was sent before may come late");
    bench.finish();
    assert_eq!(bench.only().story, "-cR");
    assert_eq!(bench.only().close, Some(CloseReason::Reset));
}

#[test]
fn a_reset_waits_for_what_was_sent_before() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(RST, 7, 1, b"");
    bench.c(ACK, 4, 1, b"def");
    assert_eq!((bench.only().story.as_str(), bench.only().close), ("", None));
    bench.c(ACK, 1, 1, b"abc");
    assert_eq!((bench.only().story.as_str(), bench.only().close), ("ccR", Some(CloseReason::Reset)));
    bench.finish();
}

#[test]
fn a_reset_does_not_wait_for_ever() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(RST, 7, 1, b"");
    for _ in 0..2 {
        assert_eq!(bench.only().close, None);
        bench.engine.end_round(Timestamp(0), &mut |slot, facts, event| bench.seen.take(slot, facts, event));
    }
    assert_eq!(bench.only().close, Some(CloseReason::Reset));
    bench.finish();
}

#[test]
fn what_comes_before_its_handshake_waits_for_it() {
    let mut bench = Bench::new();
    bench.c(ACK, 4, 8, b"def");
    bench.s(ACK, 1, 4, b"answers");
    bench.c(ACK, 1, 1, b"abc");
    bench.c(SYN, 0, 0, b"");
    assert_eq!(bench.only().story, "");
    bench.s(SYN | ACK, 0, 1, b"");
    assert_eq!(bench.only().story, "csc");
    bench.finish();
    let seen = bench.only();
    assert_eq!((seen.lanes[0].bytes.as_slice(), seen.lanes[1].bytes.as_slice()), (&b"abcdef"[..], &b"answers"[..]));
    assert_eq!(seen.facts.anomalies.count(AnomalyKind::StartMissing), 0);
    assert!(seen.facts.roles_known);
}

#[test]
fn a_handshake_is_not_waited_for_for_long() {
    let mut bench = Bench::new();
    for turn in 0..63 {
        bench.c(ACK, 1 + turn, 1, b"x");
    }
    assert_eq!(bench.only().story, "");
    bench.c(ACK, 64, 1, b"x");
    assert_eq!(bench.only().story, "c".repeat(64));
    bench.finish();
    assert_eq!(bench.only().facts.anomalies.count(AnomalyKind::StartMissing), 1);
}

#[test]
fn a_handshake_with_other_numbers_belongs_to_the_next_connection() {
    let mut bench = Bench::new();
    bench.c(ACK, 100, 500, b"old");
    bench.c(FIN | ACK, 103, 500, b"");
    bench.c(SYN, 900_000_000, 0, b"");
    bench.s(SYN | ACK, 700_000_000, 900_000_001, b"");
    bench.c(ACK, 900_000_001, 700_000_001, b"new");
    bench.finish();
    let bytes: Vec<_> = bench.seen.all.iter().map(|seen| seen.lanes[0].bytes.clone()).collect();
    assert!(bytes[0].ends_with(b"old") && bytes[1] == b"new" && bytes.len() == 2, "{bytes:?}");
}

#[test]
fn the_client_is_who_sent_the_late_syn() {
    let mut bench = Bench::new();
    bench.client.port = 70;
    bench.c(ACK, 1, 1, b"ask");
    bench.c(SYN, 0, 0, b"");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.s(ACK, 1, 4, b"answer");
    bench.finish();
    let seen = bench.only();
    assert_eq!((seen.facts.client, seen.story.as_str()), (bench.client, "cs"));
}

#[test]
fn data_in_the_syn() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"GET");
    bench.s(SYN | ACK, 0, 4, b"");
    bench.s(ACK, 1, 4, b"OK");
    bench.c(ACK, 4, 3, b"");
    bench.finish();
    assert_eq!(bench.only().story, "cs");
    assert_eq!(bench.only().lanes[0].bytes, b"GET");
}

#[test]
fn a_repeated_handshake() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"");
    bench.c(SYN, 0, 0, b"");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.c(ACK, 1, 1, b"");
    bench.c(ACK, 1, 1, b"ask");
    bench.finish();
    let facts = &bench.only().facts;
    assert_eq!([facts.loss[0].retransmissions, facts.loss[1].retransmissions], [1, 1]);
    assert_eq!(facts.opened.map(|stamp| stamp.frame.0), Some(1));
    assert_eq!(facts.rtt, None, "Karn: a repeated SYN times nothing");
}

#[test]
fn only_the_answer_of_the_handshake() {
    let mut bench = Bench::new();
    bench.s(SYN | ACK, 0, 1, b"");
    bench.c(ACK, 1, 1, b"ask");
    bench.finish();
    let facts = &bench.only().facts;
    assert!(facts.roles_known && facts.opened.is_none());
    assert_eq!(facts.client, bench.client);
    assert_eq!(facts.established.map(|stamp| stamp.frame.0), Some(2));
}

#[test]
fn a_swapped_handshake_is_one_connection() {
    let mut bench = Bench::new();
    bench.s(SYN | ACK, 0, 1, b"");
    bench.c(SYN, 0, 0, b"");
    bench.c(ACK, 1, 1, b"ask");
    bench.finish();
    assert_eq!(bench.only().facts.opened.map(|stamp| stamp.frame.0), Some(2));
    assert_eq!(bench.only().lanes[0].bytes, b"ask");
}

#[test]
fn another_answer_to_the_same_syn_counts_until_data_flows() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.s(SYN | ACK, 700_000, 1, b"");
    bench.c(ACK, 1, 700_001, b"ask");
    bench.s(ACK, 700_001, 4, b"answer");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.finish();
    assert_eq!(bench.only().story, "cs");
}

#[test]
fn simultaneous_open_is_one_connection() {
    let mut bench = Bench::new();
    bench.c(SYN, 0, 0, b"");
    bench.s(SYN, 0, 0, b"");
    bench.c(SYN | ACK, 0, 1, b"");
    bench.s(SYN | ACK, 0, 1, b"");
    bench.c(ACK, 1, 1, b"hello");
    bench.s(ACK, 1, 6, b"hello");
    bench.finish();
    assert_eq!(bench.only().story, "cs");
    assert_eq!(bench.only().facts.client, bench.client);
}

#[test]
fn a_new_syn_is_a_new_connection() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 4, 1, b"def");
    bench.c(SYN, 70_000, 0, b"");
    bench.s(SYN | ACK, 90_000, 70_001, b"");
    bench.c(ACK | FIN, 70_001, 90_001, b"xyz");
    bench.s(ACK | FIN, 90_001, 70_005, b"");
    bench.s(ACK, 1, 1, b"late");
    bench.c(SYN, 70_000, 0, b"");
    bench.finish();
    let all: Vec<_> = bench.seen.all.iter().map(|seen| (seen.story.as_str(), seen.close)).collect();
    let (reused, finished, end) = (CloseReason::Reused, CloseReason::Finished, CloseReason::CaptureEnd);
    assert_eq!(all, [("-c", Some(reused)), ("cCS", Some(finished)), ("", Some(end))]);
    assert!(bench.seen.all.iter().all(|seen| seen.slot == Slot(0)), "the slot is free after Close");
}

#[test]
fn a_capture_that_begins_in_the_middle() {
    let mut bench = Bench::new();
    bench.s(ACK, 100, 50, b"tail");
    bench.c(ACK, 49, 104, b"\0");
    bench.c(ACK, 50, 104, b"ask");
    bench.s(ACK, 104, 53, b"answer");
    bench.finish();
    let seen = bench.only();
    assert_eq!(seen.story, "scs");
    assert_eq!(seen.lanes[0].bytes, b"ask");
    assert!(!seen.facts.roles_known);
    assert_eq!(seen.facts.client, bench.client, "80 is the server's port");
    assert_eq!(seen.facts.anomalies.count(AnomalyKind::StartMissing), 1);
}

#[test]
fn a_guessed_start_moves_back() {
    let mut bench = Bench::new();
    bench.c(ACK, 500, 1, b"");
    bench.c(ACK, 400, 1, b"data before the start");
    bench.finish();
    assert_eq!(bench.only().lanes[0].bytes, b"data before the start");
}

#[test]
fn one_direction_is_enough() {
    let mut bench = Bench::new();
    bench.s(SYN | ACK, 0, 1, b"");
    bench.s(ACK, 1, 100, b"answer");
    bench.s(ACK, 7, 200, b"answer");
    bench.s(SYN | ACK, 80_000, 600, b"");
    bench.s(ACK, 80_001, 700, b"other");
    bench.finish();
    let bytes: Vec<_> = bench.seen.all.iter().map(|seen| seen.lanes[1].bytes.as_slice()).collect();
    assert_eq!(bytes, [b"answeranswer".as_slice(), b"other"]);
}

#[test]
fn what_was_cut_is_a_gap_at_once() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.packet(Side::Client, header(ACK, 1001, 5001), b"abcd", 96);
    bench.packet(Side::Client, header(ACK, 1101, 5001), b"efgh", 0);
    assert_eq!(bench.only().story, "c-c");
    assert_eq!(bench.only().lanes[0].gaps, [(4, 96)]);
    bench.packet(Side::Client, header(ACK, 1205, 5001), b"ijkl", 96);
    bench.packet(Side::Client, header(ACK, 1105, 5001), &[b'x'; 108], 0);
    assert_eq!(bench.only().story, "c-cccc-");
    bench.finish();
    assert_eq!(bench.only().facts.loss[0].lost_bytes, 96 + 92);
}

#[test]
fn missing_bytes_are_padded_on_demand() {
    let mut bench = Bench::with(&Limits::default(), TcpOptions { pad_missing: true });
    bench.handshake();
    bench.c(ACK, 10_001, 1, b"end");
    bench.finish();
    let seen = bench.only();
    assert_eq!(seen.story, "cccc");
    assert_eq!(seen.lanes[0].bytes.len(), 10_003);
    assert!(seen.lanes[0].bytes[..10_000].iter().all(|&byte| byte == 0));
    assert_eq!(seen.facts.bytes[0], 3);
}

#[test]
fn other_bytes_in_a_retransmission_are_noted() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 4, 1, b"def");
    bench.c(ACK, 4, 1, b"dEf");
    bench.c(ACK, 1, 1, b"abc");
    bench.finish();
    assert_eq!(bench.only().lanes[0].bytes, b"abcdef");
    assert_eq!(bench.only().facts.anomalies.count(AnomalyKind::OverlapDiffers), 1);
}

#[test]
fn a_stream_that_jumped_is_followed() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 1, 1, b"abc");
    let far = 1 << 26;
    bench.s(ACK, far, 1, b"one");
    bench.s(ACK, 4, 1, b"def");
    bench.s(ACK, far, 1, b"one");
    bench.s(ACK, far + 3, 1, b"two");
    assert_eq!(bench.only().lanes[1].bytes, b"abcdef");
    bench.s(ACK, far + 6, 1, b"three");
    bench.finish();
    let lane = &bench.only().lanes[1];
    assert_eq!(lane.gaps, [(6, u64::from(far) - 1)]);
    assert!(lane.bytes.ends_with(b"\0three"));
}

#[test]
fn a_stream_that_does_not_begin_where_its_syn_says_begins_with_what_is_repeated() {
    let mut bench = Bench::new();
    bench.handshake();
    let far = 1 << 26;
    bench.s(ACK, far, 1, b"one");
    assert_eq!(bench.only().lanes[1].bytes, b"");
    bench.s(ACK, far, 1, b"one");
    bench.s(ACK, far + 3, 1, b"two");
    assert_eq!(bench.only().lanes[1].bytes, b"onetwo");
    assert!(bench.only().lanes[1].gaps.is_empty());
}

#[test]
fn an_acknowledgment_speaks_for_a_jump() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.s(ACK, 1, 1, b"abc");
    let far = 1 << 26;
    bench.s(ACK, far, 1, b"one");
    bench.c(ACK, 1, far + 3, b"");
    bench.s(ACK, far + 3, 1, b"two");
    bench.finish();
    assert!(bench.only().lanes[1].bytes.ends_with(b"\0two"));
}

#[test]
fn times_that_run_backwards_are_held() {
    let mut bench = Bench::new();
    bench.handshake();
    bench.c(ACK, 1, 1, b"abc");
    bench.now -= 5_000_000;
    bench.c(ACK, 4, 1, b"def");
    bench.finish();
    assert_eq!(bench.only().lanes[0].stamps[0].1, bench.only().lanes[0].stamps[1].1);
    assert_eq!(bench.only().facts.anomalies.count(AnomalyKind::TimeBackwards), 1);
}

#[test]
fn eviction_takes_the_one_idle_longest_and_what_comes_continues_it() {
    let mut bench = Bench::new();
    for port in 0..5 {
        bench.client.port = 40_000 + port;
        bench.handshake();
        bench.c(ACK, 4, 1, b"def");
    }
    bench.client.port = 40_000;
    bench.c(ACK, 7, 1, b"ghi");
    let now = Timestamp(bench.now);
    assert!(bench.engine.evict_oldest(now, &mut |slot, facts, event| bench.seen.take(slot, facts, event)));
    assert_eq!(bench.seen.all[1].close, Some(CloseReason::Evicted));
    assert_eq!(bench.seen.all[1].story, "-c");
    bench.client.port = 40_001;
    bench.c(ACK, 7, 1, b"ghi");
    assert!(bench.seen.all[5].facts.is_continued);
    for passed in [bench.now, bench.now, i64::MAX] {
        bench.engine.end_round(Timestamp(passed), &mut |slot, facts, event| bench.seen.take(slot, facts, event));
    }
    assert!(bench.engine.is_empty());
    let idle: Vec<_> = bench.seen.all.iter().map(|seen| seen.close == Some(CloseReason::Idle)).collect();
    assert_eq!(idle, [true, false, true, true, true, true]);
    bench.finish();
}
