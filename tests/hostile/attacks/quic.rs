//! QUIC and HTTP/3: floods of Initials, ids, acknowledgments, streams; crumbs of CRYPTO; QPACK bombs.

use std::io;

use super::Attack;
use super::packets::{Lane, ipv4, udp};
use crate::generate::Conversation;
use crate::generate::crypto::{PacketSealer, all_secrets, initial_secrets, key_log};
use crate::generate::h3::Connection;

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "QUIC Initials that say nothing", units: 800, write: initials },
    Attack { name: "QUIC Initials that do not decrypt", units: 800, write: forged },
    Attack { name: "QUIC CRYPTO in crumbs, backwards", units: 800, write: crypto },
    Attack { name: "QUIC versions nobody knows", units: 1500, write: versions },
    Attack { name: "QUIC connection ids without end", units: 800, write: ids },
    Attack { name: "QUIC acknowledgments of many ranges", units: 200, write: acks },
    Attack { name: "QUIC streams without end", units: 800, write: streams },
    Attack { name: "QUIC stream of every other byte", units: 800, write: comb },
    Attack { name: "QUIC packets without secrets", units: 800, write: sealed },
    Attack { name: "QUIC frames of one byte", units: 100, write: pings },
    Attack { name: "HTTP/3 frames of no bytes", units: 60, write: empty_frames },
    Attack { name: "HTTP/3 requests without end", units: 700, write: requests },
    Attack { name: "QPACK bomb of one-byte references", units: 60, write: references },
    Attack { name: "QPACK entries without end", units: 60, write: inserts },
    Attack { name: "QPACK sections that wait for ever", units: 700, write: blocked },
];

const ENDS: [[u8; 4]; 2] = [[10, 66, 0, 1], [10, 66, 0, 2]];

fn varint(value: u64) -> Vec<u8> {
    match value {
        0..0x40 => vec![value as u8],
        0x40..0x4000 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        _ => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
    }
}

fn fields(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|&value| varint(value)).collect()
}

fn datagram(lane: &mut Lane<'_>, port: u16, payload: &[u8]) -> io::Result<()> {
    lane.ip(&ipv4(port, 0x4000, 17, ENDS[0], ENDS[1], &udp([port, 443], payload)))
}

/// Long header of an Initial without its number.
fn initial_header(to: &[u8; 8], frames: usize) -> Vec<u8> {
    let len = frames + PacketSealer::NUMBER_LEN + 16;
    [&[0xc0, 0, 0, 0, 1, 8][..], to, &[8], &[1; 8], &[0], &varint(len as u64)].concat()
}

fn initials(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let id = lane.random.draw().to_be_bytes();
        let [secret, _] = initial_secrets(&id)?;
        let packet = PacketSealer::new(&secret)?.seal(initial_header(&id, 40), &[1; 40])?;
        datagram(lane, 2000 + (at % 60_000) as u16, &packet)?;
    }
    Ok(())
}

fn forged(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let id = lane.random.draw().to_be_bytes();
        let packet = [initial_header(&id, 40), vec![at as u8; 58]].concat();
        datagram(lane, 2000 + (at % 60_000) as u16, &packet)?;
    }
    Ok(())
}

fn crypto(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let id = lane.random.draw().to_be_bytes();
    let [secret, _] = initial_secrets(&id)?;
    let mut sealer = PacketSealer::new(&secret)?;
    for at in (0..units as u64).rev() {
        let frames = [fields(&[6, 1 + 2 * at, 1]), vec![7], vec![0; 20]].concat();
        let packet = sealer.seal(initial_header(&id, frames.len()), &frames)?;
        datagram(lane, 1999, &packet)?;
    }
    Ok(())
}

fn versions(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let version = (0x5000_0000 + at as u32).to_be_bytes();
        let id = lane.random.draw().to_be_bytes();
        let packet = [&[0xc0][..], &version, &[8], &id, &[0], &[9; 30]].concat();
        datagram(lane, 2000 + (at % 60_000) as u16, &packet)?;
    }
    Ok(())
}

/// A connection of HTTP/3 that sends such frames up, each in a packet of its own.
fn packets(
    lane: &mut Lane<'_>,
    units: usize,
    has_keys: bool,
    mut frames: impl FnMut(u64) -> Vec<u8>,
) -> io::Result<()> {
    let secrets = all_secrets(1, &mut lane.random);
    if has_keys {
        lane.key_log(&key_log(&secrets))?;
    }
    let number = lane.random.below(10_000);
    let mut connection = Connection::new(number, &secrets[0], &mut lane.random)?;
    for at in 0..units as u64 {
        while let Some(packet) = connection.packet() {
            lane.frame(&packet)?;
        }
        connection.packet_of(true, &frames(at))?;
    }
    while let Some(packet) = connection.packet() {
        lane.frame(&packet)?;
    }
    Ok(())
}

/// A STREAM frame with offset and length.
fn stream(id: u64, offset: u64, data: &[u8]) -> Vec<u8> {
    [fields(&[0x0e, id, offset, data.len() as u64]), data.to_vec()].concat()
}

fn ids(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, true, |at| {
        [fields(&[0x18, at + 2, 0, 8]), at.to_le_bytes().to_vec(), vec![at as u8; 16]].concat()
    })
}

/// Every other packet of a thousand.
fn acks(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, true, |_| [fields(&[2, 1200, 0, 400, 0]), [0, 0].repeat(400)].concat())
}

fn streams(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, true, |at| stream(4 * at, 0, &[0x21, 10, 1, 2, 3]))
}

fn comb(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, true, |at| stream(0, 1 + 2 * at, b"x"))
}

fn sealed(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, false, |at| stream(0, at * 50, &[7; 50]))
}

fn pings(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, true, |_| vec![1; 1000])
}

/// Frames of a reserved type.
fn empty_frames(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, true, |at| stream(0, at * 1200, &[0x21, 0].repeat(600)))
}

/// `GET https://a/` from the static table but for the host.
const GET: &[u8] = &[0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];

fn headers(section: &[u8]) -> Vec<u8> {
    [vec![1], varint(section.len() as u64), section.to_vec()].concat()
}

fn requests(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    packets(lane, units, true, |at| stream(4 * at, 0, &headers(GET)))
}

/// The encoder stream: its type, and a table of 4096 octets.
const ENCODER: &[u8] = &[2, 0x3f, 0xe1, 0x1f];

/// SETTINGS of the server were without a table; these are its own, and the client heeds them.
fn table(lane: &mut Lane<'_>, units: usize, mut frames: impl FnMut(u64) -> Vec<u8>) -> io::Result<()> {
    packets(lane, units, true, |at| match at {
        0 => stream(6, 0, &[ENCODER, b"\x41x\x7f\x89\x07".as_slice(), &[b'y'; 1000]].concat()),
        _ => frames(at),
    })
}

fn references(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    table(lane, units, |at| {
        let section = [&[2, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'][..], &[0x80; 1000]].concat();
        stream(4 * at, 0, &headers(&section))
    })
}

fn inserts(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let start = (ENCODER.len() + 5 + 1000) as u64;
    table(lane, units, |at| stream(6, start + (at - 1) * 1200, &b"\x41a\x01b".repeat(300)))
}

fn blocked(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    table(lane, units, |at| {
        let section = [&[9, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'][..], &[0x80]].concat();
        stream(4 * at, 0, &headers(&section))
    })
}
