//! Attacks by the capture file itself.

use std::io;

use super::Attack;
use super::packets::{Lane, SYN, ipv4, tcp};

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "pcapng: packets with huge options", units: 5, write: options },
    Attack { name: "pcapng: packets with many options", units: 10, write: many_options },
    Attack { name: "pcapng: interfaces without end", units: 3000, write: interfaces },
    Attack { name: "pcapng: secrets without end", units: 600, write: secrets },
    Attack { name: "pcapng: blocks of unknown types", units: 6000, write: unknown },
];

fn syn() -> Vec<u8> {
    ipv4(1, 0x4000, 6, [10, 66, 0, 1], [10, 66, 0, 2], &tcp([1, 2], 0, 0, SYN, &[]))
}

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let padding = vec![0; data.len().next_multiple_of(4) - data.len()];
    [&code.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), data, &padding].concat()
}

fn options(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let comment = option(1, &[b'x'; 20_000]);
    (0..units).try_for_each(|_| lane.frame_with(&syn(), &comment))
}

fn many_options(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let comments = option(1, b"abc").repeat(1200);
    (0..units).try_for_each(|_| lane.frame_with(&syn(), &comments))
}

fn interfaces(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let body = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &option(2, b"eth0")].concat();
    (0..units).try_for_each(|_| lane.block(1, &body))
}

fn secrets(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for _ in 0..units {
        let random: String = (0..32).map(|_| format!("{:02x}", lane.random.draw() as u8)).collect();
        lane.key_log(&format!("CLIENT_RANDOM {random} {}\n", "ab".repeat(48)))?;
    }
    Ok(())
}

fn unknown(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    (0..units).try_for_each(|at| lane.block(0x4000_0000 + at as u32, &[1; 4]))
}
