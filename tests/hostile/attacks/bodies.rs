//! Decompression bombs.

use std::io::{self, Write};

use super::Attack;
use super::packets::Lane;

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "gzip bomb", units: 40, write: gzip_bomb },
    Attack { name: "deflate bomb", units: 40, write: deflate_bomb },
    Attack { name: "brotli bomb", units: 40, write: brotli_bomb },
    Attack { name: "zstd bomb", units: 40, write: zstd_bomb },
    Attack { name: "gzip in gzip in gzip", units: 40, write: stacked },
    Attack { name: "gzip members of no bytes", units: 4000, write: members },
    Attack { name: "zstd frames of no bytes", units: 8000, write: frames },
];

fn gzip(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data)?;
    encoder.finish()
}

/// Each unit is a connection whose body grows a thousandfold.
fn bodies(lane: &mut Lane<'_>, units: usize, coding: &str, body: &[u8]) -> io::Result<()> {
    for _ in 0..units {
        let mut connection = lane.connect(80)?;
        connection.send(lane, true, b"GET /bomb HTTP/1.1\r\nHost: attack.example\r\n\r\n")?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.send(lane, false, &[head.as_bytes(), body].concat())?;
        connection.close(lane)?;
    }
    Ok(())
}

/// What the bombs unpack to.
const PLAIN: usize = 128 << 10;

fn gzip_bomb(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    bodies(lane, units, "gzip", &gzip(&vec![0; PLAIN])?)
}

fn deflate_bomb(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; PLAIN])?;
    bodies(lane, units, "deflate", &encoder.finish()?)
}

/// 128 KiB of zeroes, as the reference encoder writes them: 14 bytes.
fn brotli_bomb(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let body = [0x5f, 0xff, 0xff, 0x81, 0x7f, 0x02, 0x20, 0x1e, 0x0b, 0x04, 0x72, 0xef, 0x03, 0x00];
    bodies(lane, units, "br", &body)
}

/// RLE blocks of 64 KiB ([RFC 8878 §3.1.1.2](https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.2)).
fn zstd_bomb(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut body = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for at in 0..2u32 {
        let header = (64u32 << 10) << 3 | 1 << 1 | u32::from(at == 1);
        body.extend([&header.to_le_bytes()[..3], &[7]].concat());
    }
    bodies(lane, units, "zstd", &body)
}

fn stacked(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    bodies(lane, units, "gzip, gzip, gzip", &gzip(&gzip(&gzip(&vec![0; PLAIN])?)?)?)
}

fn members(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    bodies(lane, 1, "gzip", &gzip(b"")?.repeat(units))
}

fn frames(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    // A frame of one empty raw block.
    bodies(lane, 1, "zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 1, 0, 0].repeat(units))
}
