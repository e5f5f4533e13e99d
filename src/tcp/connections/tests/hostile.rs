//! Traffic that wants to cost much: memory stays within limits, and work grows as the traffic does.

use super::*;
use crate::tcp::reassembly::tests::steps;

/// An engine whose events are only counted, for lanes of gigabytes do not fit a recorder.
struct Flood {
    engine: Connections,
    budget: Budget,
    frame: u64,
    events: u64,
    open: i64,
}

impl Flood {
    fn new(limits: &Limits) -> Self {
        let budget = Budget::new(limits.memory);
        Self { engine: Connections::new(limits, &budget, TcpOptions::default()), budget, frame: 0, events: 0, open: 0 }
    }

    fn push(&mut self, source: Endpoint, destination: Endpoint, header: TcpHeader, payload: &[u8], cut: usize) {
        self.frame += 1;
        let stamp = Stamp { frame: FrameNumber(self.frame), time: Timestamp(self.frame as i64 * 1000) };
        let transport = Transport::Tcp(header);
        let packet = Packet { stamp, selected: false, source, destination, transport, payload, cut };
        self.engine.push(&packet, &header, &mut |_, _, event| {
            self.events += 1;
            self.open += match event {
                TcpEvent::Open => 1,
                TcpEvent::Close(_) => -1,
                TcpEvent::Held(_) => 0,
                TcpEvent::Stream(..) => 0,
            };
        });
    }

    fn finish(&mut self) {
        self.engine.finish(&mut |_, _, event| {
            self.events += 1;
            self.open -= i64::from(matches!(event, TcpEvent::Close(_)));
        });
        assert_eq!((self.open, self.budget.used()), (0, 0));
    }
}

#[test]
fn a_connection_is_small_until_data_comes() {
    let mut flood = Flood::new(&Limits::default());
    flood.push(endpoint(1, 1), endpoint(2, 2), header(SYN, 1, 0), b"", 0);
    assert!(flood.budget.used() < 832, "{}", flood.budget.used());
}

#[test]
fn a_syn_flood_stays_within_the_limit() {
    let limits = Limits { connections: 500, tcp_closed: 700, ..Limits::default() };
    let mut flood = Flood::new(&limits);
    for count in 0..60_000_u32 {
        let source = endpoint((count % 7) as u8, (count / 7) as u16);
        flood.push(source, endpoint(99, 80), header(SYN, count, 0), b"", 0);
        assert!(flood.engine.len() <= 500);
    }
    assert!(flood.engine.places.len() <= 500 + 700 && flood.engine.over.len() <= 700);
    assert_eq!(flood.engine.slots.len(), 500);
    assert!(flood.budget.used() < 500 * 832 + 700 * 256);
    flood.finish();
}

/// One pair of ends opened again and again.
#[test]
fn reused_ports_leave_nothing_behind() {
    let limits = Limits { tcp_closed: 10, ..Limits::default() };
    let mut flood = Flood::new(&limits);
    for count in 0..10_000 {
        flood.push(endpoint(1, 1), endpoint(2, 2), header(SYN, count * 7, 0), b"", 0);
    }
    assert_eq!((flood.engine.len(), flood.engine.slots.len()), (1, 1));
    assert!(flood.engine.over.len() <= 10);
    flood.finish();
}

/// Every pattern is run at two lengths: the work per packet must not grow.
#[test]
fn work_grows_as_the_traffic_does() {
    type Pattern = fn(u32) -> (u32, usize);
    let patterns: [(&str, Pattern); 5] = [
        ("every other byte", |count| (2 + 2 * count, 1)),
        ("every other byte, backwards", |count| (400_000 - 2 * count, 1)),
        ("holes, then large segments over them", |count| match count % 16 {
            0 => (2 + count * 100, 1400),
            _ => (2 + count * 100, 1),
        }),
        ("the same large segment behind a hole", |_| (2, 1400)),
        ("a hole that wanders", |count| (if count % 2 == 0 { count } else { count + 100 }, 3)),
    ];
    for (name, pattern) in patterns {
        let cost = |packets: u32| {
            let mut flood = Flood::new(&Limits::default());
            flood.push(endpoint(1, 1), endpoint(2, 2), header(SYN, 0, 0), b"", 0);
            let before = steps();
            let mut bytes = 0;
            for count in 0..packets {
                let (seq, len) = pattern(count);
                bytes += len as u64;
                flood.push(endpoint(1, 1), endpoint(2, 2), header(ACK, 1 + seq, 1), &[7; 1400][..len], 0);
                assert!(flood.budget.used() < 5 << 20);
            }
            flood.finish();
            (steps() - before, bytes)
        };
        let ((few, _), (many, bytes)) = (cost(5_000), cost(40_000));
        assert!(many <= 9 * few.max(5_000), "{name}: {few} steps, then {many}");
        assert!(many <= 2 * bytes + 100_000, "{name}: {many} steps for {bytes} bytes");
    }
}

/// Anything goes: flags, places, cuts, two pairs of ends and one end that talks to itself.
#[test]
fn random_segments_break_nothing() {
    let limits = Limits { tcp_hole: 20_000, tcp_hole_segments: 30, connections: 3, tcp_closed: 2, ..Limits::default() };
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut flood = Flood::new(&limits);
        let ends = [endpoint(1, 80), endpoint(2, 80), endpoint(3, 9)];
        for _ in 0..1500 {
            let (one, other) = (ends[dice.below(3) as usize], ends[dice.below(3) as usize]);
            let number = |dice: &mut Dice| match dice.below(12) {
                0 => dice.below(1 << 32) as u32,
                1 => u32::MAX - dice.below(9) as u32,
                _ => (dice.below(3000) as u32).wrapping_sub(1000),
            };
            let flags = match dice.below(10) {
                0 => TcpFlags(dice.below(32) as u8),
                1 => SYN,
                2 => SYN | ACK,
                3 => ACK | FIN,
                _ => ACK,
            };
            let header = TcpHeader {
                sequence: number(&mut dice),
                acknowledgment: number(&mut dice),
                flags,
                window: dice.below(3) as u16,
            };
            let cut = if dice.percent(10) { dice.below(1 << 33) as usize } else { 0 };
            flood.push(one, other, header, &[seed as u8; 1400][..dice.below(1400) as usize], cut);
            assert!(flood.budget.used() < 3 * 2 * 40_000 + 10_000, "{}", flood.budget.used());
            if dice.percent(1) {
                flood.engine.evict_oldest(Timestamp(0), &mut |_, _, event| {
                    flood.open -= i64::from(matches!(event, TcpEvent::Close(_)));
                });
            }
        }
        flood.finish();
    }
}
