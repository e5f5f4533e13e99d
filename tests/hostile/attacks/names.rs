//! DNS: queries without answers, names that point at each other.

use std::io;

use super::Attack;
use super::packets::{Lane, ipv4, udp};

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "DNS queries without answers", units: 1200, write: queries },
    Attack { name: "DNS answers nobody asked for", units: 1200, write: answers },
    Attack { name: "DNS names that point at each other", units: 100, write: loops },
    Attack { name: "DNS names of many pointers", units: 60, write: pointers },
    Attack { name: "DNS messages of many questions", units: 60, write: questions },
    Attack { name: "DNS over TCP, a byte at a time", units: 1000, write: crumbs },
];

fn datagram(lane: &mut Lane<'_>, up: bool, payload: &[u8]) -> io::Result<()> {
    let (client, server) = ([10, 66, 0, 1], [10, 66, 0, 53]);
    let (from, to, ports) = if up { (client, server, [4444, 53]) } else { (server, client, [53, 4444]) };
    let id = lane.random.draw() as u16;
    lane.ip(&ipv4(id, 0, 17, from, to, &udp(ports, payload)))
}

fn message(id: u16, flags: u16, counts: [u16; 2], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    [id, flags, counts[0], counts[1], 0, 0].iter().for_each(|field| out.extend(field.to_be_bytes()));
    out.extend(body);
    out
}

fn question(number: u64) -> Vec<u8> {
    let label = format!("{number:x}");
    [&[label.len() as u8][..], label.as_bytes(), b"\x06attack\x07example\x00", &[0, 1, 0, 1]].concat()
}

fn queries(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let name = question(lane.random.draw());
        datagram(lane, true, &message(at as u16, 0x0100, [1, 0], &name))?;
    }
    Ok(())
}

fn answers(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let body = [question(at as u64), b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04".to_vec()].concat();
        datagram(lane, false, &message(at as u16, 0x8180, [1, 1], &body))?;
    }
    Ok(())
}

/// A thousand pointers, each at the one before; the last at itself.
fn chain() -> Vec<u8> {
    (0..700u16).flat_map(|at| (0xc000 | (12 + 2 * at.saturating_sub(1))).to_be_bytes()).collect()
}

fn loops(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        datagram(lane, false, &message(at as u16, 0x8180, [1, 0], &chain()))?;
    }
    Ok(())
}

/// Records whose names are one label and a pointer to the name before.
fn pointers(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let mut body = question(1);
        let mut name = 12u16;
        for _ in 0..90 {
            let here = 12 + body.len() as u16;
            body.extend(b"\x01a");
            body.extend((0xc000 | name).to_be_bytes());
            body.extend(b"\0\x05\0\x01\0\0\0\x3c\0\x02");
            body.extend((0xc000 | name).to_be_bytes());
            name = here;
        }
        datagram(lane, true, &message(at as u16, 0x0100, [1, 0], &question(1)))?;
        datagram(lane, false, &message(at as u16, 0x8180, [1, 90], &body))?;
    }
    Ok(())
}

fn questions(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let body: Vec<u8> = (0..50).flat_map(question).collect();
        datagram(lane, true, &message(at as u16, 0x0100, [50, 0], &body))?;
    }
    Ok(())
}

fn crumbs(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(53)?;
    let query = message(7, 0x0100, [1, 0], &question(7));
    let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
    let bytes = framed.repeat(units / framed.len() + 1);
    connection.send_by(lane, true, &bytes[..units], 1)
}
