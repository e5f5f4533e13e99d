//! Fragments: any order, any split, overlaps, cuts, age and memory.

use super::Bench;
use super::build::*;
use crate::base::Limits;
use crate::base::anomaly::AnomalyKind;

const RAW: u32 = 101;

/// The fragments of a UDP datagram, cut at these multiples of 8.
fn split(is_v6: bool, id: u16, payload: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let datagram = udp(1000, 2000, payload);
    let bounds = join_bounds(cuts, datagram.len());
    bounds
        .windows(2)
        .map(|bound| {
            let (start, end) = (bound[0], bound[1]);
            let part = &datagram[start..end];
            let more = end < datagram.len();
            if is_v6 {
                let field = start as u16 | u16::from(more);
                ipv6(44, &join!([17, 0], field.to_be_bytes(), [0, 0], id.to_be_bytes(), part))
            } else {
                ipv4_fragment(id, (start as u16 / 8) | (u16::from(more) << 13), 17, part)
            }
        })
        .collect()
}

fn join_bounds(cuts: &[usize], len: usize) -> Vec<usize> {
    let mut bounds: Vec<usize> = cuts.iter().copied().filter(|&cut| cut < len).chain([0, len]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds
}

fn sample(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn any_split_in_any_order_gives_the_datagram() {
    let mut dice = Dice(0x5eed);
    for round in 0..400 {
        let payload = sample(1 + dice.below(3000));
        let cuts: Vec<usize> = (0..dice.below(12)).map(|_| 8 * dice.below(payload.len() / 8 + 1)).collect();
        let mut fragments = split(round % 2 == 0, round, &payload, &cuts);
        for at in (1..fragments.len()).rev() {
            fragments.swap(at, dice.below(at + 1));
        }
        let mut bench = Bench::new();
        let count = fragments.len() as u64;
        let seen: Vec<_> = fragments.iter().flat_map(|fragment| bench.push(RAW, fragment)).collect();
        assert_eq!(seen.len(), 1);
        assert_eq!((&seen[0].payload, seen[0].cut, seen[0].frame), (&payload, 0, count));
        assert!(bench.decoder.anomalies().is_empty());
        assert_eq!(bench.budget.used(), 0);
    }
}

#[test]
fn copies_of_fragments_change_nothing() {
    let mut bench = Bench::new();
    let fragments = split(false, 7, &sample(100), &[32, 64]);
    let seen: Vec<_> = fragments.iter().flat_map(|fragment| [fragment; 3]).flat_map(|f| bench.push(RAW, f)).collect();
    assert_eq!(seen.len(), 1);
    bench.decoder.finish();
    assert!(bench.decoder.anomalies().is_empty());
    assert_eq!(bench.decoder.repeated(), 6);
}

#[test]
fn the_first_of_overlapping_fragments_wins() {
    let mut bench = Bench::new();
    let datagram = udp(1, 2, &[b'a'; 56]);
    let part = |offset: u16, more: bool, fill: u8, len: usize| {
        let mut data = vec![fill; len];
        if offset == 0 {
            data[..8].copy_from_slice(&datagram[..8]);
        }
        ipv4_fragment(7, (offset / 8) | (u16::from(more) << 13), 17, &data)
    };
    assert_eq!(bench.push(RAW, &part(0, true, b'a', 24)), []);
    assert_eq!(bench.push(RAW, &part(40, true, b'b', 8)), []);
    // Reaches over both.
    assert_eq!(bench.push(RAW, &part(16, true, b'c', 40)), []);
    let seen = bench.push(RAW, &part(48, false, b'd', 16)).remove(0);
    let expected = join!([b'a'; 16], [b'c'; 16], [b'b'; 8], [b'c'; 8], [b'd'; 8]);
    assert_eq!(String::from_utf8(seen.payload), String::from_utf8(expected));
    assert_eq!(bench.decoder.anomalies().count(AnomalyKind::FragmentsOverlap), 2);
}

#[test]
fn a_cut_fragment_ends_the_payload() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let payload = sample(120);
        let fragments = split(false, 7, &payload, &[48, 96]);
        let mut bench = Bench::new();
        let mut seen = Vec::new();
        for at in order {
            let fragment: &[u8] = &fragments[at];
            let kept = if at == 1 { fragment.len() - 20 } else { fragment.len() };
            seen.extend(bench.push_cut(RAW, &fragment[..kept], fragment.len()));
        }
        assert_eq!(seen.len(), 1);
        // 48 bytes of the first, less the UDP header, and 28 of the second.
        assert_eq!((seen[0].payload.as_slice(), seen[0].cut), (&payload[..68], 52));
    }
}

#[test]
fn old_datagrams_are_given_up() {
    let mut bench = Bench::new();
    let fragments = split(false, 7, &sample(64), &[32]);
    assert_eq!(bench.push(RAW, &fragments[0]), []);
    bench.time += Limits::default().fragment_age as i64;
    // The same identification again, much later, is another datagram.
    assert_eq!(bench.push(RAW, &fragments[1]), []);
    assert_eq!(bench.decoder.anomalies().count(AnomalyKind::FragmentsLost), 1);
    bench.decoder.finish();
    assert_eq!(bench.decoder.anomalies().count(AnomalyKind::FragmentsLost), 2);
    assert_eq!(bench.budget.used(), 0);
}

#[test]
fn memory_is_bounded() {
    let limits = Limits { fragment_memory: 20_000, ..Limits::default() };
    let mut bench = Bench::with(&limits);
    for id in 0..5000 {
        let fragments = split(id % 2 == 0, id, &sample(200), &[8, 16, 120]);
        assert_eq!(bench.push(RAW, &fragments[usize::from(id % 4)]), []);
        assert!(bench.budget.used() <= limits.fragment_memory);
    }
    assert!(bench.decoder.anomalies().count(AnomalyKind::FragmentsLost) > 4900);
    // The latest are still there.
    let fragments = split(true, 4998, &sample(200), &[8, 16, 120]);
    let seen: Vec<_> = fragments.iter().flat_map(|fragment| bench.push(RAW, fragment)).collect();
    assert_eq!(seen.len(), 1);
}

#[test]
fn contradictions_are_left_out() {
    let mut bench = Bench::new();
    let end = |offset: u16, len: usize| ipv4_fragment(7, offset, 17, &vec![0; len]);
    assert_eq!(bench.push(RAW, &end(10, 16)), []);
    // Another end, and one beyond the longest datagram.
    assert_eq!(bench.push(RAW, &end(20, 16)), []);
    assert_eq!(bench.push(RAW, &ipv4_fragment(8, 0x1fff, 17, &[0; 800])), []);
    assert_eq!(bench.decoder.anomalies().count(AnomalyKind::PacketMalformed), 2);
}
