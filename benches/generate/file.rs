//! Capture files: pcap, and pcapng with a Decryption Secrets Block.

use std::io::{self, Write};

/// Microseconds between two packets.
const STEP: u64 = 3;

/// A capture file as it grows.
pub struct Capture<W> {
    out: W,
    is_pcapng: bool,
    micros: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Packets so far.
    pub packets: u64,
}

impl<W: Write> Capture<W> {
    fn new(out: W, is_pcapng: bool) -> Self {
        Self { out, is_pcapng, micros: 1_795_300_000_000_000, bytes: 0, packets: 0 }
    }

    /// A pcap of Ethernet packets.
    pub fn pcap(out: W) -> io::Result<Self> {
        let mut new = Self::new(out, false);
        new.write(&words([0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1]))?;
        Ok(new)
    }

    /// A pcapng of Ethernet packets with the key log that decrypts them, all in one section.
    pub fn pcapng(out: W, key_log: &str) -> io::Result<Self> {
        let mut new = Self::new(out, true);
        new.block(0x0a0d_0d0a, &words([0x1a2b_3c4d, 0x0000_0001, u32::MAX, u32::MAX]), &[])?;
        new.block(1, &words([1, 262_144]), &[])?;
        // "TLSK": a key log of TLS in the format of NSS.
        new.block(0x0a, &words([0x544c_534b, key_log.len() as u32]), key_log.as_bytes())?;
        Ok(new)
    }

    /// A block of pcapng: fields, then data that is padded to 32 bits.
    ///
    /// ```text
    /// +--------+----------+--------+---------------+----------+
    /// | type   | length   | fields | data, padding | length   |
    /// +--------+----------+--------+---------------+----------+
    /// ```
    fn block(&mut self, kind: u32, fields: &[u8], data: &[u8]) -> io::Result<()> {
        let padded = data.len().next_multiple_of(4);
        let len = (12 + fields.len() + padded) as u32;
        self.write(&words([kind, len]))?;
        self.write(fields)?;
        self.write(data)?;
        self.write(&[0; 3][..padded - data.len()])?;
        self.write(&len.to_le_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Adds a packet.
    pub fn packet(&mut self, packet: &[u8]) -> io::Result<()> {
        self.micros += STEP;
        self.packets += 1;
        let len = packet.len() as u32;
        if self.is_pcapng {
            return self.block(6, &words([0, (self.micros >> 32) as u32, self.micros as u32, len, len]), packet);
        }
        self.write(&words([(self.micros / 1_000_000) as u32, (self.micros % 1_000_000) as u32, len, len]))?;
        self.write(packet)
    }
}

fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.map(u32::to_le_bytes).concat()
}
