//! Tunnels, their depth, and datagrams that only look like one.

use super::build::*;
use super::{Bench, payloads};
use crate::base::Limits;
use crate::base::anomaly::AnomalyKind;

const RAW: u32 = 101;

/// One IP packet of each tunnel around a TCP segment with payload `x`.
pub(super) fn frames() -> Vec<Vec<u8>> {
    let (v4, v6) = (tcp4(b"x"), tcp6(b"x"));
    let frame = ethernet(0x0800, &v4);
    let gre = |head: &[u8], inner: &[u8]| ipv4(47, &join!(head, inner));
    let in_udp = |port: u16, head: &[u8], inner: &[u8]| ipv4(17, &udp(40_000, port, &join!(head, inner)));
    let gtp = |flags: u8, more: &[u8]| {
        let len = (more.len() + v4.len()) as u16;
        in_udp(2152, &join!([flags, 0xff], len.to_be_bytes(), [0, 0, 0, 1], more), &v4)
    };
    vec![
        ipv4(4, &v4),
        ipv4(41, &v6),
        ipv6(4, &v4),
        ipv6(41, &v6),
        ipv4(97, &join!([0x30, 0], frame)),
        ipv4(137, &join!([0, 0, 1, 64], v4)),
        gre(&[0, 0, 8, 0], &v4),
        gre(&[0, 0, 0x86, 0xdd], &v6),
        gre(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 9], &frame),
        gre(&join!([0xb0, 0, 8, 0], [1; 12]), &v4),
        gre(&join!([0x30, 0x81, 0x88, 0x0b], [0; 12], [0xff, 3, 0, 0x21]), &v4),
        gre(&[0x20, 0x01, 0x88, 0x0b, 0, 0, 0, 0, 0x21], &v4),
        gre(&[0, 0, 0x88, 0xbe], &frame),
        gre(&join!([0x10, 0, 0x88, 0xbe], [0; 4], [0x10, 0, 0, 0, 0, 0, 0, 0]), &frame),
        gre(&join!([0x10, 0, 0x22, 0xeb], [0; 4], [0x20], [0; 11]), &frame),
        gre(&join!([0x10, 0, 0x22, 0xeb], [0; 4], [0x20], [0; 10], [1], [5; 8]), &frame),
        gre(&[0, 0, 0x88, 0x3e], &v4),
        gre(&[0, 0, 0x88, 0x3e, 0, 0, 0, 0], &v4),
        gre(&[0, 0, 0x88, 0x47, 0, 0, 1, 64], &v4),
        in_udp(4789, &[8, 0, 0, 0, 0, 0, 9, 0], &frame),
        in_udp(4789, &[0x88, 0, 0, 1, 0, 0, 9, 0], &frame),
        in_udp(8472, &[8, 0, 0, 0, 0, 0, 9, 0], &frame),
        in_udp(4790, &[0x0c, 0, 0, 1, 0, 0, 9, 0], &v4),
        in_udp(4790, &[0x0c, 0, 0, 2, 0, 0, 9, 0], &v6),
        in_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 9, 0], &frame),
        in_udp(6081, &[2, 0, 8, 0, 0, 0, 9, 0, 1, 1, 1, 1, 2, 2, 2, 2], &v4),
        gtp(0x30, &[]),
        gtp(0x32, &[0, 1, 0, 0]),
        gtp(0x34, &[0, 0, 0, 0x85, 1, 0x10, 9, 0xc0, 1, 0, 0, 0]),
        in_udp(3544, &[], &v6),
        in_udp(3544, &[0, 0, 1, 1, 2, 2, 2, 2], &v6),
        in_udp(3544, &join!([0, 1, 0, 0], [7; 8], [0], [0, 0, 1, 1, 2, 2, 2, 2]), &v6),
    ]
}

#[test]
fn every_tunnel_leads_to_the_segment() {
    for frame in frames() {
        let mut bench = Bench::new();
        assert_eq!(bench.payloads(RAW, &frame), [b"x"], "{frame:02x?}");
        assert!(bench.decoder.anomalies().is_empty(), "{frame:02x?}");
    }
}

#[test]
fn what_is_no_tunnel_is_a_datagram() {
    for port in [2152, 3544, 4789, 4790, 6081, 8472] {
        let payload = b"only some text that is long enough for any of the tunnel headers";
        let mut bench = Bench::new();
        assert_eq!(bench.payloads(RAW, &ipv4(17, &udp(9, port, payload))), [payload.to_vec()]);
        assert_eq!(bench.payloads(RAW, &ipv4(17, &udp(9, port, b""))), [b""], "{port}");
        assert!(bench.decoder.anomalies().is_empty());
    }
    // A client whose own port happens to be that of a tunnel.
    assert_eq!(payloads(RAW, &ipv4(17, &udp(4789, 443, &[8; 60]))), [[8; 60]]);
}

#[test]
fn the_cut_is_known_inside_tunnels() {
    let inner = ethernet(0x0800, &tcp4(&[3; 80]));
    let frame = ipv4(17, &udp(1, 4789, &join!([8, 0, 0, 0, 0, 0, 9, 0], inner)));
    let seen = Bench::new().push_cut(RAW, &frame[..frame.len() - 30], frame.len()).remove(0);
    assert_eq!((seen.payload.len(), seen.cut), (50, 30));
}

#[test]
fn depth_is_bounded() {
    let limits = Limits::default();
    let mut packet = tcp4(b"x");
    for depth in 1..=limits.tunnel_depth + 3 {
        packet = ipv4(4, &packet);
        let mut bench = Bench::with(&limits);
        let is_followed = depth <= limits.tunnel_depth;
        assert_eq!(bench.push(RAW, &packet).len(), usize::from(is_followed));
        assert_eq!(bench.decoder.anomalies().count(AnomalyKind::TunnelTooDeep), u64::from(!is_followed));
    }
}
