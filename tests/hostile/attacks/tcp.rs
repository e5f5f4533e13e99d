//! Floods of connections; streams full of holes and repetitions.

use std::io;

use super::Attack;
use super::packets::{ACK, Lane, RST, SYN, ipv4, tcp};

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "SYN flood", units: 1000, write: syns },
    Attack { name: "connections of one byte", units: 500, write: one_byte },
    Attack { name: "the same ports again and again", units: 1000, write: reuse },
    Attack { name: "a stream of every other byte", units: 1000, write: comb },
    Attack { name: "holes, backwards", units: 1000, write: backwards },
    Attack { name: "large segments over small holes", units: 300, write: cover },
    Attack { name: "retransmissions with other bytes", units: 80, write: other_bytes },
    Attack { name: "segments of one byte", units: 1000, write: crumbs },
    Attack { name: "the first byte of TLS, then one at a time of nothing", units: 1000, write: undecided },
    Attack { name: "acknowledgments of what never came", units: 1000, write: acks },
];

fn syns(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for _ in 0..units {
        let from = (lane.random.draw() as u32).to_be_bytes();
        let segment = tcp([lane.random.draw() as u16, 80], lane.random.draw() as u32, 0, SYN, &[]);
        lane.ip(&ipv4(1, 0x4000, 6, [10, from[0] | 128, from[1], from[2]], [10, 66, 0, 2], &segment))?;
    }
    Ok(())
}

fn one_byte(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for _ in 0..units {
        let from = (lane.random.draw() as u32).to_be_bytes();
        let port = lane.random.draw() as u16;
        for (flags, payload) in [(SYN, &b""[..]), (ACK, b"G")] {
            let segment = tcp([port, 80], u32::from(flags == ACK), 1, flags, payload);
            lane.ip(&ipv4(1, 0x4000, 6, [10, from[0] | 128, from[1], from[2]], [10, 66, 0, 2], &segment))?;
        }
    }
    Ok(())
}

fn reuse(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let flags = if at % 3 == 2 { RST } else { SYN };
        let segment = tcp([7, 80], at as u32 * 70_000, 0, flags, &[]);
        lane.ip(&ipv4(at as u16, 0x4000, 6, [10, 66, 0, 1], [10, 66, 0, 2], &segment))?;
    }
    Ok(())
}

fn comb(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    (0..units).try_for_each(|at| connection.segment(lane, true, ACK, 1 + 2 * at as u32, b"x"))
}

fn backwards(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    (0..units).rev().try_for_each(|at| connection.segment(lane, true, ACK, 1 + 2 * at as u32, b"x"))
}

fn cover(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    for at in 0..units {
        let len = if at % 8 == 0 { 1400 } else { 1 };
        connection.segment(lane, true, ACK, 2 + at as u32 * 180, &[7; 1400][..len])?;
    }
    Ok(())
}

fn other_bytes(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    (0..units).try_for_each(|at| connection.segment(lane, true, ACK, 10, &[at as u8; 1400]))
}

fn crumbs(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    let head = format!("POST /crumbs HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", units.saturating_sub(70));
    let bytes = [head.as_bytes(), &vec![b'x'; units]].concat();
    connection.send_by(lane, true, &bytes[..units.max(70)], 1)
}

/// Both sides wait to be known for what they are.
fn undecided(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(443)?;
    connection.send(lane, true, &[22])?;
    let mut other = lane.connect(80)?;
    for _ in 0..units / 2 {
        connection.send(lane, false, b"\n")?;
        other.send(lane, true, b"A")?;
    }
    Ok(())
}

fn acks(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    for at in 0..units {
        connection.sequence[0] = connection.sequence[0].wrapping_add(1000);
        connection.segment(lane, at % 2 == 0, ACK, 0, b"y")?;
    }
    Ok(())
}
