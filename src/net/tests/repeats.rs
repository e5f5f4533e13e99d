//! The same packet seen twice counts once; what only resembles it counts.

use super::Bench;
use super::build::*;

const RAW: u32 = 101;
const MILLISECOND: i64 = 1_000_000;

#[test]
fn a_routed_copy_is_swallowed() {
    let mut bench = Bench::new();
    let packet = tcp4(b"data");
    let mut routed = packet.clone();
    (routed[1], routed[8], routed[10], routed[11]) = (0x03, 63, 0x12, 0x34);
    assert_eq!(bench.push(RAW, &packet).len(), 1);
    assert_eq!(bench.push(RAW, &routed), []);
    assert_eq!(bench.push(1, &ethernet(0x8100, &join!([0, 9, 8, 0], packet))), []);
    assert_eq!(bench.decoder.repeated(), 2);
}

#[test]
fn a_retransmission_is_not() {
    let mut bench = Bench::new();
    for id in 1..20 {
        let packet = ipv4_fragment(id, 0x4000, 6, &tcp(b"data"));
        assert_eq!(bench.push(RAW, &packet).len(), 1, "a new identification");
    }
    let packet = ipv4_fragment(1, 0x4000, 6, &tcp(b"data"));
    bench.time += 100 * MILLISECOND;
    assert_eq!(bench.push(RAW, &packet).len(), 1, "long after");
    let mut timestamp = packet.clone();
    timestamp[36] ^= 1;
    assert_eq!(bench.push(RAW, &timestamp).len(), 1, "another checksum");
    assert_eq!(bench.decoder.repeated(), 0);
}

#[test]
fn without_identification_only_an_instant_counts() {
    for packet in [tcp6(b"data"), ipv4_fragment(0, 0x4000, 6, &tcp(b"data"))] {
        let mut bench = Bench::new();
        assert_eq!(bench.push(RAW, &packet).len(), 1);
        bench.time += MILLISECOND / 2 - MILLISECOND;
        assert_eq!(bench.push(RAW, &packet), []);
        bench.time += 2 * MILLISECOND;
        assert_eq!(bench.push(RAW, &packet).len(), 1);
    }
}

#[test]
fn datagrams_differ_by_their_payload() {
    // The checksum of both is 0, as before the card fills it in.
    let mut bench = Bench::new();
    assert_eq!(bench.push(RAW, &ipv6(17, &udp(1, 443, b"packet 1"))).len(), 1);
    assert_eq!(bench.push(RAW, &ipv6(17, &udp(1, 443, b"packet 2"))).len(), 1);
    assert_eq!(bench.push(RAW, &ipv6(17, &udp(1, 443, b"packet 1"))), []);
    assert_eq!(bench.decoder.repeated(), 1);
}

#[test]
fn only_the_last_packets_are_remembered() {
    let mut bench = Bench::new();
    let numbered = |id: u16| ipv4_fragment(id, 0x4000, 17, &udp(1, 2, &id.to_be_bytes()));
    for id in 1..=65 {
        bench.time -= MILLISECOND;
        assert_eq!(bench.push(RAW, &numbered(id)).len(), 1);
    }
    assert_eq!(bench.push(RAW, &numbered(2)), []);
    assert_eq!(bench.push(RAW, &numbered(1)).len(), 1);
}
