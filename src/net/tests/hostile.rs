//! Mutations, frames that end anywhere, and layers that hold themselves.

use super::build::*;
use super::{Bench, links, tunnels};
use crate::base::Limits;
use crate::base::anomaly::AnomalyKind;

fn all_frames() -> Vec<(u32, Vec<u8>)> {
    links::frames().into_iter().chain(tunnels::frames().into_iter().map(|frame| (101, frame))).collect()
}

#[test]
fn every_prefix_is_harmless() {
    for (link_type, frame) in all_frames() {
        for len in 0..frame.len() {
            let mut bench = Bench::new();
            bench.push(link_type, &frame[..len]);
            for seen in bench.push_cut(link_type, &frame[..len], frame.len()) {
                assert!(seen.payload.len() + seen.cut <= frame.len());
            }
        }
    }
}

#[test]
fn mutations_are_harmless() {
    let limits = Limits { fragment_memory: 10_000, ..Limits::default() };
    let frames = all_frames();
    let mut dice = Dice(0x0bad_5eed);
    let mut bench = Bench::with(&limits);
    for _ in 0..40_000 {
        let (mut link_type, mut frame) = frames[dice.below(frames.len())].clone();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(frame.len());
            match dice.below(5) {
                0 => frame[at] ^= 1 << dice.below(8),
                1 => frame[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
                2 => frame.truncate(at + 1),
                3 => frame.insert(at, dice.below(256) as u8),
                _ => link_type = frames[dice.below(frames.len())].0,
            }
        }
        let wire = frame.len() + dice.below(3) * 100;
        for seen in bench.push_cut(link_type, &frame, wire) {
            assert!(seen.payload.len() <= frame.len() + 65_535);
        }
        assert!(bench.budget.used() <= limits.fragment_memory);
    }
}

/// A mebibyte of each layer that can hold itself: bounded stack, linear time.
#[test]
fn self_containing_layers_end() {
    let layers: [(u32, Vec<u8>, Vec<u8>); 8] = [
        (1, ethernet(0x8100, &[]), vec![0, 1, 0x81, 0]),
        (1, ethernet(0x88e7, &[]), join!([0, 0, 0, 1], ethernet(0x88e7, &[]))),
        (1, ethernet(0x8870, &[]), snap(0x8870, &[])),
        (1, ethernet(0x8847, &[]), vec![0, 0, 0, 64]),
        (1, ethernet(0x894f, &[]), vec![0, 2, 1, 4, 0, 0, 0, 0]),
        (100, vec![], join!(snap(0x8100, &[]), [0, 1, 0x88, 0x70])),
        (192, vec![], vec![0, 0, 8, 0, 192, 0, 0, 0]),
        (101, ipv6(0, &[]), vec![0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (link_type, head, layer) in layers {
        let mut frame = head;
        while frame.len() < 1 << 20 {
            frame.extend_from_slice(&layer);
        }
        assert_eq!(Bench::new().push(link_type, &frame), []);
    }
    let mut gre = ipv4(47, &[]);
    (gre[2], gre[3]) = (0, 0);
    let mut frame = ethernet(0x0800, &gre);
    while frame.len() < 1 << 20 {
        frame.extend_from_slice(&[0, 0, 8, 0]);
        frame.extend_from_slice(&gre);
    }
    let mut bench = Bench::new();
    assert_eq!(bench.push(1, &frame), []);
    assert_eq!(bench.decoder.anomalies().count(AnomalyKind::TunnelTooDeep), 1);
}
