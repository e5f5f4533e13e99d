//! Loss on the network is repaired, loss in the capture is told as gaps, and both are told apart.

use super::writer::{Rng, Session, ack, stream};
use super::*;
use crate::base::anomaly::AnomalyKind;

const STREAMS: u64 = 4;

/// What happens to packets of the server.
#[derive(Clone, Copy)]
struct Weather {
    /// Percent that the network loses behind the capture: seen, but sent again.
    lost_behind: u64,
    /// Percent that the network loses before the capture: never seen, and sent again.
    lost_before: u64,
    /// Percent that reach the client but not the capture.
    missed: u64,
    /// How far packets may move in the capture.
    reorder: u64,
}

/// A download over four streams; gives the datagrams in the order of the capture, what was sent, and what cannot be known:
/// bytes that were only in packets that the capture missed.
fn download(session: &Session, seed: u64, weather: Weather) -> (Vec<Sent>, Vec<Vec<u8>>, Vec<Vec<bool>>) {
    let mut rng = Rng(seed);
    let (mut ours, mut theirs, sent) = usual(session);
    ours.number_len = 4;
    theirs.number_len = 1 + rng.below(4) as usize;
    let mut captured: Vec<(u64, Sent)> = sent.into_iter().map(|sent| (0, sent)).collect();
    let contents: Vec<Vec<u8>> =
        (0..STREAMS).map(|_| (0..2000 + rng.below(2000)).map(|_| rng.next() as u8 | 1).collect()).collect();
    let mut known: Vec<Vec<bool>> = contents.iter().map(|content| vec![false; content.len()]).collect();
    // Pieces still to be sent: stream, start, end.
    let mut queue: std::collections::VecDeque<(usize, usize, usize)> = std::collections::VecDeque::new();
    for (at, content) in contents.iter().enumerate() {
        let mut start = 0;
        while start < content.len() {
            let end = content.len().min(start + 1 + rng.below(200) as usize);
            queue.push_back((at, start, end));
            start = end;
        }
    }
    queue.make_contiguous().sort_by_key(|&(at, start, _)| (start / 300, at));
    let (mut time, mut received, mut order) = (40 * MILLI, Vec::new(), 10u64);
    while let Some((at, start, end)) = queue.pop_front() {
        time += MILLI / 4;
        order += 4;
        let number = theirs.numbers[2];
        let content = &contents[at];
        let bytes = theirs.short(&stream(at as u64 * 4, start, &content[start..end], end == content.len()));
        let place = order + rng.below(4 * weather.reorder + 1);
        let is_seen = if rng.chance(weather.lost_before) {
            queue.insert(queue.len().min(20), (at, start, end));
            false
        } else if rng.chance(weather.lost_behind) {
            queue.insert(queue.len().min(20), (at, start, end));
            true
        } else {
            received.push(number);
            !rng.chance(weather.missed)
        };
        if is_seen {
            known[at][start..end].fill(true);
            captured.push((place, Sent::by(Side::Server, time, bytes)));
        }
        if rng.chance(30) && !received.is_empty() {
            captured.push((order + 2, Sent::by(Side::Client, time + MILLI, ours.short(&ack(&received)))));
        }
    }
    captured.sort_by_key(|&(place, _)| place);
    (captured.into_iter().map(|(_, sent)| sent).collect(), contents, known)
}

fn assert_told(seen: &Seen, contents: &[Vec<u8>], known: &[Vec<bool>]) -> u64 {
    let mut lost = 0;
    for (at, (content, known)) in contents.iter().zip(known).enumerate() {
        if !known.contains(&true) {
            continue;
        }
        let half = seen.half(0, at as u64 * 4, Side::Server);
        let missing = known.iter().filter(|known| !**known).count() as u64;
        for (offset, byte) in half.bytes.iter().enumerate() {
            assert_eq!(*byte, if known[offset] { content[offset] } else { 0 }, "stream {at} at {offset}");
        }
        // When the end was in a packet that the capture missed, nobody can know of it.
        let end = known.iter().rposition(|known| *known).unwrap() + 1;
        assert_eq!(half.bytes.len(), end);
        assert_eq!(half.finished, end == content.len());
        assert_eq!(half.gaps.iter().map(|gap| gap.1).sum::<u64>(), missing - (content.len() - end) as u64);
        lost += missing - (content.len() - end) as u64;
    }
    lost
}

#[test]
fn what_the_network_loses_comes_again() {
    let session = session(40);
    for seed in 0..20 {
        let weather = Weather { lost_behind: 10, lost_before: 10, missed: 0, reorder: 6 };
        let (sent, contents, known) = download(&session, seed, weather);
        let seen = run(&sent, &session.keys());
        assert!(known.iter().flatten().all(|known| *known));
        assert_eq!(assert_told(&seen, &contents, &known), 0);
        let facts = seen.facts(0);
        assert!(facts.loss[1].retransmissions > 0 && facts.loss[1].out_of_order > 0);
        assert_eq!((facts.loss[1].lost_bytes, facts.anomalies.count(AnomalyKind::BytesLost)), (0, 0));
    }
}

#[test]
fn what_the_capture_misses_is_a_gap() {
    let session = session(41);
    for seed in 0..20 {
        let weather = Weather { lost_behind: 5, lost_before: 5, missed: 10, reorder: 3 };
        let (sent, contents, known) = download(&session, seed, weather);
        let seen = run(&sent, &session.keys());
        let lost = assert_told(&seen, &contents, &known);
        assert!(lost > 0);
        assert_eq!(seen.facts(0).loss[1].lost_bytes, lost);
        let anomalies = &seen.facts(0).anomalies;
        assert!(anomalies.count(AnomalyKind::BytesLost) > 0);
        assert_eq!(anomalies.bytes(AnomalyKind::BytesLost), lost);
    }
}

/// A hole is given up while the connection goes on, soon when the client acknowledged the packet, later when not.
#[test]
fn holes_are_given_up_in_time() {
    let session = session(42);
    for (is_acknowledged, given_up_after) in [(true, 200), (false, 5000)] {
        let (mut ours, mut theirs, mut sent) = usual(&session);
        sent.push(Sent::by(Side::Server, 40 * MILLI, theirs.short(&stream(0, 0, b"abc", false))));
        theirs.short(&stream(0, 3, b"def", false));
        sent.push(Sent::by(Side::Server, 41 * MILLI, theirs.short(&stream(0, 6, b"ghi", false))));
        let numbers: &[u64] = if is_acknowledged { &[0, 1, 2] } else { &[0, 2] };
        sent.push(Sent::by(Side::Client, 50 * MILLI, ours.short(&ack(numbers))));
        let start = sent.len();
        for step in 0..60 {
            sent.push(Sent::by(Side::Client, (60 + step * 100) * MILLI, ours.short(&[1])));
        }
        let keys = session.keys();
        // Few frames come here: time counts at once.
        let limits = Limits { tcp_patience_frames: 0, ..Limits::default() };
        let mut connections = Connections::new(&limits, &Budget::new(limits.memory));
        let mut gap_at = None;
        for (number, one) in sent.iter().enumerate() {
            connections.push(&packet(one, number), &keys, &mut |_, _, event| {
                if let QuicEvent::Stream(0, Side::Server, StreamEvent::Gap { len: 3, .. }) = event {
                    gap_at = Some(number);
                }
            });
        }
        let waited = sent[gap_at.unwrap()].time / MILLI - 41;
        assert!(gap_at.unwrap() >= start && (given_up_after..given_up_after + 150).contains(&waited), "{waited}");
    }
}

#[test]
fn a_lone_end_behind_a_hole_is_told_too() {
    let session = session(43);
    let (_, mut theirs, mut sent) = usual(&session);
    sent.push(Sent::by(Side::Server, 40 * MILLI, theirs.short(&stream(0, 0, b"abc", false))));
    theirs.short(&stream(0, 3, b"defg", false));
    sent.push(Sent::by(Side::Server, 41 * MILLI, theirs.short(&stream(0, 7, b"", true))));
    let half = run(&sent, &session.keys()).half(0, 0, Side::Server).clone();
    assert_eq!((&half.bytes[..], half.gaps, half.finished), (&b"abc\0\0\0\0"[..], vec![(3, 4)], true));
}

/// A capture that takes every packet twice, or that was merged from two places, tells nothing twice.
#[test]
fn packets_captured_twice_count_once() {
    let session = session(44);
    let (sent, contents, known) =
        download(&session, 3, Weather { lost_behind: 0, lost_before: 0, missed: 0, reorder: 0 });
    let twice: Vec<Sent> = sent.iter().flat_map(|sent| [sent.clone(), sent.clone()]).collect();
    let seen = run(&twice, &session.keys());
    assert_eq!(assert_told(&seen, &contents, &known), 0);
    assert_eq!(seen.opened.len(), 1);
    assert!(seen.facts(0).anomalies.is_empty(), "{:?}", seen.facts(0).anomalies);
    assert_eq!(seen.facts(0).loss[1].retransmissions, 0);
}

/// Packets cut by the snapshot length are lost, but say so.
#[test]
fn cut_packets_are_gaps() {
    let session = session(45);
    let (mut ours, mut theirs, mut sent) = usual(&session);
    for step in 0..3usize {
        sent.push(Sent::by(Side::Server, 40 * MILLI, theirs.short(&stream(0, step * 50, &[7; 50], step == 2))));
    }
    sent.push(Sent::by(Side::Client, 41 * MILLI, ours.short(&ack(&[0, 1, 2]))));
    sent[4].cut = 30;
    let seen = run(&sent, &session.keys());
    let half = seen.half(0, 0, Side::Server);
    assert_eq!((half.bytes.len(), &half.gaps[..], half.finished), (150, &[(50, 50)][..], true));
    assert_eq!(seen.facts(0).anomalies.count(AnomalyKind::PacketCut), 1);
}
