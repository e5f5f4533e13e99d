//! Link types, tags, and what lengths say.

use super::build::*;
use super::{Bench, payloads};
use crate::base::anomaly::AnomalyKind;
use crate::capture::LinkType;

const ETHERNET: u32 = 1;
const RAW: u32 = 101;

/// One frame of each link type around a TCP segment with payload `x`.
pub(super) fn frames() -> Vec<(u32, Vec<u8>)> {
    let (v4, v6) = (tcp4(b"x"), tcp6(b"x"));
    let sll = |hardware: u16, protocol: u16, payload: &[u8]| {
        join!([0, 0], hardware.to_be_bytes(), [0, 6, 2, 0, 0, 0, 0, 1, 0, 0], protocol.to_be_bytes(), payload)
    };
    let radiotap = |flags: u8, payload: &[u8]| join!([0, 0, 9, 0, 2, 0, 0, 0, flags], payload);
    let wifi = |fc: [u8; 2], more: &[u8], payload: &[u8]| join!(fc, [0; 20], [0x10, 0], more, payload);
    let data = wifi([0x08, 0x01], &[], &snap(0x0800, &v4));
    let qos = wifi([0x88, 0x02], &[0, 0], &snap(0x86dd, &v6));
    let wds = wifi([0x88, 0x03], &[0, 0, 0, 0, 0, 0, 0, 0], &snap(0x0800, &v4));
    let order = wifi([0x88, 0x82], &[0, 0, 1, 2, 3, 4], &snap(0x0800, &v4));
    let padded = wifi([0x88, 0x02], &[0, 0, 0xee, 0xee], &snap(0x0800, &v4));
    let prism = join!([0x44, 0, 0, 0, 16, 0, 0, 0], [0; 8], data);
    let avs = join!([0x80, 0x21, 0x10, 1, 0, 0, 0, 12, 0, 0, 0, 0], data);
    let nflog = |len: [u8; 2], kind: [u8; 2], first: [u8; 8]| join!([2, 0, 0, 0], first, len, kind, v4);
    let total = 4 + v4.len() as u16;
    let label = |bottom: u8| [0, 0x10, bottom, 64];
    let pppoe_len = 2 + v4.len() as u16;
    let pppoe = join!([0x11, 0, 0, 1], pppoe_len.to_be_bytes(), [0, 0x21], v4);
    let mut all = vec![
        (0, join!([2, 0, 0, 0], v4)),
        (0, join!([0, 0, 0, 2], v4)),
        (108, join!([0, 0, 0, 2], v4)),
        (ETHERNET, ethernet(0x0800, &v4)),
        (ETHERNET, ethernet(0x86dd, &v6)),
        (ETHERNET, ethernet(0x8100, &join!([0, 5, 8, 0], v4))),
        (ETHERNET, ethernet(0x88a8, &join!([0, 5, 0x81, 0, 0, 6, 0x86, 0xdd], v6))),
        (ETHERNET, ethernet(0x9100, &join!([0, 5, 0x91, 0, 0, 6, 8, 0], v4))),
        (ETHERNET, ethernet(0x88e5, &join!([0, 0, 0, 0, 0, 1, 8, 0], v4, [0; 16]))),
        (ETHERNET, ethernet(0x88e5, &join!([0x20, 0, 0, 0, 0, 1], [7; 8], [8, 0], v4, [0; 16]))),
        (ETHERNET, ethernet(0xf1c1, &join!([0, 0, 0, 1, 8, 0], v4))),
        (ETHERNET, ethernet(0x893f, &join!([0; 6], [8, 0], v4))),
        (ETHERNET, ethernet(0x8926, &join!([0; 4], [8, 0], v4))),
        (ETHERNET, ethernet(0x88e7, &join!([0, 0, 0, 1], ethernet(0x0800, &v4)))),
        (ETHERNET, ethernet(0x8847, &join!(label(1), v4))),
        (ETHERNET, ethernet(0x8848, &join!(label(0), label(0), label(1), v6))),
        (ETHERNET, ethernet(0x8847, &join!(label(1), [0, 0, 0, 0], ethernet(0x0800, &v4)))),
        (ETHERNET, ethernet(0x8847, &join!(label(1), ethernet(0x0800, &v4)))),
        (ETHERNET, ethernet(0x894f, &join!([0, 6, 1, 1], [0; 20], v4))),
        (ETHERNET, ethernet(0x894f, &join!([0, 2, 1, 3], [0; 4], ethernet(0x0800, &v4)))),
        (ETHERNET, ethernet(0x8864, &pppoe)),
        (ETHERNET, ethernet(8 + v4.len() as u16, &snap(0x0800, &v4))),
        (ETHERNET, ethernet(3 + v4.len() as u16, &join!([6, 6, 3], v4))),
        (51, pppoe),
        (9, join!([0, 0x21], v4)),
        (9, join!([0x21], v4)),
        (9, join!([0xff, 3, 0, 0x57], v6)),
        (50, join!([0xff, 3, 0, 0x21], v4)),
        (50, join!([0x0f, 0, 8, 0], v4)),
        (104, join!([0x8f, 0, 0x86, 0xdd], v6)),
        (205, join!([1, 0x0f, 0, 8, 0], v4)),
        (166, join!([1, 0xff, 3, 0, 0x21], v4)),
        (204, join!([0, 0, 0x21], v4)),
        (107, join!([0x18, 0x41, 3, 0xcc], v4)),
        (107, join!([0x18, 0x41, 8, 0], v4)),
        (107, join!([0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 0x86, 0xdd], v6)),
        (206, join!([0, 0x18, 0x41, 3, 0x8e], v6)),
        (113, sll(1, 0x0800, &v4)),
        (113, sll(1, 0x86dd, &v6)),
        (113, sll(1, 0x8100, &join!([0, 5, 8, 0], v4))),
        (113, sll(1, 4, &snap(0x0800, &v4))),
        (113, sll(803, 4, &radiotap(0, &data))),
        (276, join!([8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6], [0; 8], v4)),
        (219, join!(label(1), v4)),
        (100, snap(0x0800, &v4)),
        (10, join!([0x50], [0; 12], snap(0x0800, &v4))),
        (138, join!([0; 16], [8, 0], v4)),
        (109, join!([2, 0, 0, 0], [0; 8], v4)),
        (117, join!([61, 2, 0, 0], [0; 60], v4)),
        (239, nflog(total.to_le_bytes(), [9, 0], [5, 0, 1, 0, b'x', 0, 0, 0])),
        (239, nflog(total.to_be_bytes(), [0, 9], [0, 5, 0, 1, b'x', 0, 0, 0])),
        (7, join!([1, 2, 240], v4)),
        (7, join!([1, 2, 212, 0, 0, 1], v4)),
        (129, join!([1, 2, 0, 0, 240], v4)),
        (129, join!([1, 2, 0, 0, 212, 0xff, 0, 1, 0, 0, 0, 0], v4)),
        (105, data.clone()),
        (105, qos),
        (105, wds),
        (105, order),
        (127, radiotap(0, &data)),
        (127, radiotap(0x10, &join!(data, [1, 2, 3, 4]))),
        (127, radiotap(0x20, &padded)),
        (127, join!([0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0], [0; 4], [9; 8], [0x10], data, [1, 2, 3, 4])),
        (119, prism),
        (119, avs.clone()),
        (163, avs),
        (192, join!([0, 0, 8, 0, 105, 0, 0, 0], data)),
    ];
    all.extend([12, 14, RAW].into_iter().flat_map(|raw| [(raw, v4.clone()), (raw, v6.clone())]));
    all.extend([(228, v4), (229, v6.clone())]);
    all.extend([10, 24, 28, 30].map(|family| (0, join!([family, 0, 0, 0], v6))));
    all.extend([10, 24, 28, 30].map(|family| (108, join!([0, 0, 0, family], v6))));
    all
}

#[test]
fn every_link_type_leads_to_the_segment() {
    for (link_type, frame) in frames() {
        let mut bench = Bench::new();
        assert_eq!(bench.payloads(link_type, &frame), [b"x"], "link type {link_type}: {frame:02x?}");
        assert!(bench.decoder.anomalies().is_empty(), "link type {link_type}: {frame:02x?}");
    }
}

#[test]
fn header_fields_arrive() {
    let mut bench = Bench::new();
    let seen = bench.push(ETHERNET, &ethernet(0x0800, &tcp4(b"abc"))).remove(0);
    assert_eq!((seen.source.as_str(), seen.destination.as_str()), ("10.0.0.1:12345", "10.0.0.2:80"));
    let tcp = seen.tcp.unwrap();
    assert_eq!((tcp.sequence, tcp.acknowledgment, tcp.flags.0, tcp.window), (7, 9, 0x18, 0x1000));
    let seen = bench.push(RAW, &ipv6(17, &udp(5, 53, b"q"))).remove(0);
    assert_eq!((seen.source.as_str(), seen.destination.as_str()), ("[fd00::1]:5", "[fd00::2]:53"));
    assert_eq!((seen.tcp, seen.payload.as_slice()), (None, &b"q"[..]));
}

#[test]
fn an_aggregate_holds_several_packets() {
    let part = |payload: &[u8]| {
        let snap = snap(0x0800, &ipv4(6, &tcp(payload)));
        let len = snap.len() as u16;
        let mut part = join!([0; 12], len.to_be_bytes(), snap);
        part.resize(part.len().next_multiple_of(4), 0);
        part
    };
    let frame = join!([0x88, 0x01], [0; 20], [0x10, 0], [0x80, 0], part(b"one"), part(b"three"), part(b"four"));
    assert_eq!(payloads(105, &frame), [b"one".to_vec(), b"three".to_vec(), b"four".to_vec()]);
}

#[test]
fn encrypted_frames_are_counted() {
    let mut bench = Bench::new();
    assert_eq!(bench.push(105, &join!([0x08, 0x41], [0; 40])), []);
    assert_eq!(bench.push(ETHERNET, &ethernet(0x88e5, &[0x0c, 0, 0, 0, 0, 1, 9, 9, 9, 9])), []);
    assert_eq!(bench.decoder.encrypted(), 2);
}

#[test]
fn unread_link_types_are_counted() {
    let mut bench = Bench::new();
    for link_type in [220, 147, 220] {
        assert_eq!(bench.push(link_type, &tcp4(b"x")), []);
    }
    assert_eq!(bench.decoder.unsupported(), [(LinkType(220), 2), (LinkType(147), 1)]);
    assert_eq!(bench.decoder.anomalies().count(AnomalyKind::LinkUnsupported), 3);
}

#[test]
fn lengths_of_the_ip_header_rule() {
    // Ethernet padding.
    assert_eq!(payloads(ETHERNET, &ethernet(0x0800, &join!(tcp4(b"x"), [0; 9]))), [b"x"]);
    assert_eq!(payloads(ETHERNET, &ethernet(0x86dd, &join!(tcp6(b""), [0; 9]))), [b""]);
    // Segmentation offload leaves the length to the card.
    let mut frame = tcp4(b"offloaded");
    frame[2..4].fill(0);
    assert_eq!(payloads(RAW, &frame), [b"offloaded"]);
    let mut frame = tcp6(b"offloaded");
    frame[4..6].fill(0);
    assert_eq!(payloads(RAW, &frame), [b"offloaded"]);
    // More than was on the wire.
    let mut bench = Bench::new();
    let mut frame = tcp4(b"short");
    frame[3] += 50;
    let seen = bench.push(RAW, &frame).remove(0);
    assert_eq!((seen.payload.as_slice(), seen.cut), (&b"short"[..], 0));
    assert_eq!(bench.decoder.anomalies().count(AnomalyKind::PacketMalformed), 1);
}

#[test]
fn the_snapshot_length_shows_as_cut() {
    let whole = ethernet(0x0800, &tcp4(&[7; 100]));
    let padded = whole.len() + 4;
    for kept in 0..=whole.len() {
        let mut bench = Bench::new();
        let seen = bench.push_cut(ETHERNET, &whole[..kept], padded);
        match seen.as_slice() {
            [] => assert!(kept < 14 + 40, "{kept}"),
            [seen] => assert_eq!((seen.payload.len() + seen.cut, seen.payload.len()), (100, kept - 54)),
            _ => panic!("{kept}"),
        }
        assert_eq!(bench.decoder.anomalies().is_empty(), kept == whole.len());
        assert_eq!(bench.decoder.anomalies().count(AnomalyKind::PacketMalformed), 0);
    }
    // The options of the TCP header are cut: all that counts is still there.
    let mut segment = join!(tcp(&[1; 12]), b"data");
    segment[12] = 0x80;
    let frame = ipv4(6, &segment);
    let seen = Bench::new().push_cut(RAW, &frame[..44], frame.len()).remove(0);
    assert_eq!((seen.payload.len(), seen.cut), (0, 4));
}

#[test]
fn extension_headers_are_passed() {
    let chain = join!([43, 0], [0; 6], [60, 0], [0; 6], [51, 1], [0; 14], [44, 4], [0; 22], [6, 0], [0; 6], tcp(b"x"));
    assert_eq!(payloads(RAW, &ipv6(0, &chain)), [b"x"]);
    // An atomic fragment is whole.
    assert_eq!(payloads(RAW, &ipv6(44, &join!([6, 0, 0, 0, 0, 0, 0, 9], tcp(b"x")))), [b"x"]);
    // IPv4 with an authentication header; IPv4 options.
    assert_eq!(payloads(RAW, &ipv4(51, &join!([6, 4], [0; 22], tcp(b"x")))), [b"x"]);
    let mut options = join!(ipv4(6, &[]), [1, 1, 1, 0], tcp(b"x"));
    (options[0], options[3]) = (0x46, options.len() as u8);
    assert_eq!(payloads(RAW, &options), [b"x"]);
}

#[test]
fn a_routed_packet_has_its_last_destination() {
    let last = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    for (kind, left, expected) in [(4, 1, "[fd00::9]:80"), (2, 1, "[fd00::9]:80"), (4, 0, "[fd00::2]:80")] {
        let routing = join!([6, 2, kind, left, 0, 0, 0, 0], last);
        let seen = Bench::new().push(RAW, &ipv6(43, &join!(routing, tcp(b"x")))).remove(0);
        assert_eq!(seen.destination, expected, "{kind} {left}");
    }
}

#[test]
fn bad_transport_headers_are_faults() {
    let mut short_offset = tcp4(b"x");
    short_offset[32] = 0x40;
    let mut long_offset = tcp4(b"x");
    long_offset[32] = 0xf0;
    let mut udp_longer = ipv4(17, &udp(1, 2, b"x"));
    udp_longer[25] += 1;
    let mut header_longer = tcp4(b"x");
    header_longer[3] = 19;
    for frame in [short_offset, long_offset, udp_longer, header_longer, vec![0x10; 40]] {
        let mut bench = Bench::new();
        assert_eq!(bench.push(RAW, &frame), []);
        assert_eq!(bench.decoder.anomalies().count(AnomalyKind::PacketMalformed), 1);
    }
}
