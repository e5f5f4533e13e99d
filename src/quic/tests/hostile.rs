//! Broken and hostile datagrams: no panic, and memory within limits.

use super::writer::{End, Rng, crypto, frame, stream};
use super::*;
use crate::base::anomaly::AnomalyKind;

fn small() -> Limits {
    Limits {
        connections: 8,
        quic_streams: 16,
        quic_held: 8 << 10,
        tcp_hole: 8 << 10,
        memory: 2 << 20,
        ..Limits::default()
    }
}

/// Pushes all, looking at the budget after each one.
fn push_within(sent: &[Sent], keys: &KeyLog, limits: &Limits, most: usize) -> Seen {
    let budget = Budget::new(limits.memory);
    let mut seen = Seen::default();
    {
        let mut connections = Connections::new(limits, &budget);
        for (number, one) in sent.iter().enumerate() {
            connections.push(&packet(one, number), keys, &mut |slot, _, event| {
                // Slots are used again here: only ends are counted.
                if let QuicEvent::Close(_) = event {
                    seen.opened.push(slot);
                }
            });
            assert!(budget.used() <= most, "{} bytes after {number}", budget.used());
            assert!(connections.len() <= limits.connections);
        }
        connections.finish(keys, &mut |_, _, _| {});
    }
    assert_eq!(budget.used(), 0);
    seen
}

/// Real connections with bits turned, bytes cut, ends swapped.
#[test]
fn mutated_datagrams_do_no_harm() {
    let session = session(50);
    let keys = session.keys();
    let (mut ours, mut theirs, mut sent) = usual(&session);
    for step in 0..12 {
        sent.push(Sent::by(Side::Client, 40 * MILLI, ours.short(&stream(step * 4, 0, b"question", true))));
        sent.push(Sent::by(Side::Server, 41 * MILLI, theirs.short(&stream(step * 4, 0, b"answer", true))));
    }
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let mut broken = sent.clone();
        for _ in 0..1 + rng.below(8) {
            let at = rng.below(broken.len() as u64) as usize;
            let one = &mut broken[at];
            let len = one.bytes.len() as u64;
            match rng.below(5) {
                0 => one.bytes[rng.below(len.min(40)) as usize] ^= 1 << rng.below(8),
                1 => {
                    one.bytes.truncate(rng.below(len) as usize + 1);
                    one.cut = 0;
                }
                2 => one.cut = rng.below(len) as usize,
                3 => std::mem::swap(&mut one.from, &mut one.to),
                _ => {
                    let other = rng.below(broken.len() as u64) as usize;
                    broken.swap(at, other);
                }
            }
        }
        push_within(&broken, &keys, &small(), 600 << 10);
    }
}

/// Frames are hostile even when they are authentic: any bytes in a valid packet.
#[test]
fn any_payload_may_be_in_a_packet() {
    let session = session(51);
    let keys = session.keys();
    for seed in 0..100 {
        let mut rng = Rng(seed);
        let (mut ours, mut theirs, mut sent) = usual(&session);
        for _ in 0..30 {
            let len = 4 + rng.below(80) as usize;
            let mut payload = rng.bytes(len);
            // Low types are the known ones.
            payload[0] &= 0x1f;
            let end = if rng.chance(50) { &mut ours } else { &mut theirs };
            let bytes = match rng.below(3) {
                0 => end.handshake(&payload),
                1 => end.initial(&payload, 0),
                _ => end.short(&payload),
            };
            sent.push(Sent::by(end.side, 50 * MILLI, bytes));
        }
        push_within(&sent, &keys, &small(), 1 << 20);
    }
}

#[test]
fn streams_without_end_are_given_up() {
    let session = session(52);
    let (mut ours, _, mut sent) = usual(&session);
    for id in 0..2000 {
        sent.push(Sent::by(Side::Client, 40 * MILLI, ours.short(&stream(id * 4, 10, &[1; 500], false))));
    }
    push_within(&sent, &session.keys(), &small(), 200 << 10);
    let seen = run_with(&sent, &session.keys(), &small());
    assert_eq!(seen.facts(0).anomalies.count(AnomalyKind::TooManyExchanges), 2000 - 16);
    assert!(seen.half(0, 0, Side::Client).given_up);
    assert_eq!(seen.half(0, 1999 * 4, Side::Client).gaps, [(0, 10)]);
}

#[test]
fn holes_hold_little() {
    let session = session(53);
    let (mut ours, _, mut sent) = usual(&session);
    for step in 0..2000usize {
        sent.push(Sent::by(Side::Client, 40 * MILLI, ours.short(&stream(0, 1 + step * 2, b"x", false))));
    }
    push_within(&sent, &session.keys(), &small(), 200 << 10);
    let seen = run_with(&sent, &session.keys(), &small());
    assert_eq!(seen.half(0, 0, Side::Client).bytes.len(), 4000);
}

#[test]
fn a_flood_of_ids_addresses_and_connections_is_bounded() {
    let session = session(54);
    let (mut ours, mut theirs, mut sent) = usual(&session);
    for at in 0..500u32 {
        let id = [&at.to_be_bytes()[..], b"id"].concat();
        let new = frame(&[0x18, at.into(), 0], &[&[6][..], &id, &[3; 16]].concat());
        sent.push(Sent::by(Side::Server, 40 * MILLI, theirs.short(&new)));
        ours.dcid = id;
        let from = endpoint(3, 2000 + at as u16);
        sent.push(Sent { from, ..Sent::by(Side::Client, 40 * MILLI, ours.short(&[1])) });
    }
    for at in 0..500u32 {
        let odcid = [&at.to_be_bytes()[..], b"more"].concat();
        let mut other = End::new(&session, Side::Client, &odcid, &odcid, &odcid);
        let hello = other.initial(&crypto(0, &session.client_hello("flood.test", false, &[])), 1160);
        sent.push(Sent { from: endpoint(4, 2000 + at as u16), ..Sent::by(Side::Client, 50 * MILLI, hello) });
    }
    let seen = push_within(&sent, &session.keys(), &small(), 600 << 10);
    assert_eq!(seen.opened.len(), 501 - 8);
}

/// Without keys, a long connection holds back only so much, and never more than half of the budget.
#[test]
fn encrypted_packets_wait_within_limits() {
    let session = session(55);
    let (mut ours, _, mut sent) = usual(&session);
    for step in 0..500usize {
        sent.push(Sent::by(Side::Client, 40 * MILLI, ours.short(&stream(0, step * 1000, &[1; 1000], false))));
    }
    let keys = KeyLog::default();
    push_within(&sent, &keys, &small(), 100 << 10);
    let poor = Limits { memory: 40 << 10, quic_held: 1 << 20, ..small() };
    push_within(&sent, &keys, &poor, 60 << 10);
    let facts = run_with(&sent, &keys, &small()).closed.pop().unwrap().2;
    assert_eq!(
        facts.bytes[0],
        sent.iter().filter(|one| one.from == client()).map(|one| one.bytes.len() as u64).sum::<u64>()
    );
    assert!(facts.anomalies.count(AnomalyKind::KeysMissing) > 400);
}

/// CRYPTO data that never becomes a message is bounded too.
#[test]
fn crypto_floods_break_only_themselves() {
    let session = session(56);
    let (mut ours, _, mut sent) = usual(&session);
    for step in 0..2000usize {
        sent.push(Sent::by(Side::Client, 40 * MILLI, ours.handshake(&crypto(1000 + step * 2000, &[1; 900]))));
    }
    push_within(&sent, &session.keys(), &small(), 500 << 10);
    let facts = run_with(&sent, &session.keys(), &small()).closed.pop().unwrap().2;
    assert_eq!(facts.anomalies.count(AnomalyKind::RecordMalformed), 1);
}

/// Whoever knows the id can write a Retry: a chain of them must not try held packets again and again.
#[test]
fn endless_retries_stop_counting() {
    let session = session(57);
    let mut ours = End::new(&session, Side::Client, ODCID, CLIENT_ID, ODCID);
    let mut sent = vec![Sent::by(
        Side::Client,
        0,
        ours.initial(&crypto(0, &session.client_hello("retry.test", false, &[])), 1160),
    )];
    let mut original = ODCID.to_vec();
    for at in 0..50u8 {
        let next = vec![at; 8];
        let theirs = End::new(&session, Side::Server, CLIENT_ID, &next, &original);
        sent.push(Sent::by(Side::Server, 1, theirs.retry(&original, b"token")));
        original = next;
    }
    let (_, _, rest) = usual(&session);
    sent.extend_from_slice(&rest[1..]);
    push_within(&sent, &session.keys(), &small(), 100 << 10);
    assert_eq!(run_with(&sent, &session.keys(), &small()).opened.len(), 1);
}
