//! Fragments that never become whole, overlap or are tiny; tunnels inside tunnels.

use std::io;

use super::Attack;
use super::packets::{Lane, ipv4, ipv6_fragment, udp};

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "IPv4 fragments of datagrams without end", units: 1500, write: open4 },
    Attack { name: "IPv6 fragments of datagrams without end", units: 1200, write: open6 },
    Attack { name: "IPv4 fragments of 8 bytes, backwards", units: 1500, write: tiny },
    Attack { name: "IPv4 fragments that overlap", units: 500, write: overlap },
    Attack { name: "fragments, every other one", units: 1500, write: comb },
    Attack { name: "tunnels inside one another", units: 60, write: tunnels },
];

const ENDS: [[u8; 4]; 2] = [[10, 66, 0, 1], [10, 66, 0, 2]];
/// More fragments follow.
const MORE: u16 = 0x2000;

fn fragment(lane: &mut Lane<'_>, id: u16, place: u16, payload: &[u8]) -> io::Result<()> {
    lane.ip(&ipv4(id, place, 17, ENDS[0], ENDS[1], payload))
}

fn open4(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    (0..units).try_for_each(|at| fragment(lane, at as u16, MORE, &[7; 24]))
}

fn open6(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    (0..units).try_for_each(|at| lane.ip6(&ipv6_fragment(at as u32, 1, 17, &[7; 24])))
}

/// Datagrams of 8000 bytes, the last fragment first.
fn tiny(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let place = 999 - (at % 1000) as u16;
        fragment(lane, (at / 1000) as u16, place | if place == 999 { 0 } else { MORE }, &[7; 8])?;
    }
    Ok(())
}

fn overlap(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        fragment(lane, (at / 500) as u16, (at % 500) as u16 | MORE, &vec![at as u8; 16 + at % 19 * 8])?;
    }
    Ok(())
}

fn comb(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    (0..units).try_for_each(|at| fragment(lane, (at / 4000) as u16, (at % 4000 * 2) as u16 | MORE, &[7; 8]))
}

/// GRE in IPv4 in GRE, up to the size of a packet.
fn tunnels(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut packet = ipv4(1, 0, 17, ENDS[0], ENDS[1], &udp([1, 2], b"inside"));
    for _ in 0..60 {
        packet = ipv4(1, 0, 47, ENDS[0], ENDS[1], &[&[0, 0, 8, 0][..], &packet].concat());
    }
    (0..units).try_for_each(|_| lane.ip(&packet))
}
