//! Deterministic captures of any size: interleaved connections that go on for ever with mixed bodies, everything
//! acknowledged. The same seed gives the same bytes.

mod content;
pub mod crypto;
mod fields;
mod file;
mod h1;
pub mod h2;
pub mod h3;
mod hello;
pub mod wire;

use std::io::{self, Write};

use content::Contents;
use file::Capture;

/// What was generated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Made {
    /// Bytes of the file.
    pub bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Requests with their responses.
    pub exchanges: u64,
}

/// What the connections speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1 in the clear, as pcap.
    Http1,
    /// HTTP/1.1 in the clear, as pcap: many connections of small exchanges.
    Small,
    /// HTTP/2 over TLS 1.3, as pcapng with its secrets.
    Http2,
    /// HTTP/3 over QUIC, as pcapng with its secrets.
    Http3,
}

/// A small deterministic generator of numbers (SplitMix64).
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }

    /// As many bytes as the array has.
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.draw() as u8)
    }
}

/// One connection that goes on for ever.
pub trait Conversation {
    /// Queues the packets of the next exchanges; gives how many exchanges.
    fn talk(&mut self, contents: &Contents, random: &mut Random) -> io::Result<u64>;

    /// The next packet that waits.
    fn packet(&mut self) -> Option<Vec<u8>>;
}

/// Writes a capture of at least `bytes` with that many connections at once.
pub fn generate(kind: Kind, out: &mut impl Write, bytes: u64, connections: usize, seed: u64) -> io::Result<Made> {
    let mut random = Random::new(seed);
    let contents = match kind {
        Kind::Small => Contents::small(&mut random),
        _ => Contents::mixed(&mut random),
    };
    match kind {
        Kind::Http1 | Kind::Small => {
            // Those of small exchanges are followed by others.
            let step = if kind == Kind::Small { Some(connections) } else { None };
            let open = (0..connections).map(|number| h1::Connection::new(number, step, &mut random)).collect();
            interleave(Capture::pcap(out)?, open, bytes, &contents, &mut random)
        }
        Kind::Http2 => {
            let secrets = crypto::all_secrets(connections, &mut random);
            let open =
                secrets.iter().enumerate().map(|(number, secrets)| h2::Connection::new(number, secrets, &mut random));
            let open = open.collect::<io::Result<_>>()?;
            interleave(Capture::pcapng(out, &crypto::key_log(&secrets))?, open, bytes, &contents, &mut random)
        }
        Kind::Http3 => {
            let secrets = crypto::all_secrets(connections, &mut random);
            let open =
                secrets.iter().enumerate().map(|(number, secrets)| h3::Connection::new(number, secrets, &mut random));
            let open = open.collect::<io::Result<_>>()?;
            interleave(Capture::pcapng(out, &crypto::key_log(&secrets))?, open, bytes, &contents, &mut random)
        }
    }
}

/// Lets the connections take turns, a few packets each; those that have begun an exchange end it.
fn interleave<C: Conversation>(
    mut capture: Capture<impl Write>,
    mut open: Vec<C>,
    bytes: u64,
    contents: &Contents,
    random: &mut Random,
) -> io::Result<Made> {
    let mut exchanges = 0;
    while !open.is_empty() {
        let is_enough = capture.bytes >= bytes;
        let mut still_open = Vec::with_capacity(open.len());
        for mut connection in open {
            let mut is_over = false;
            for _ in 0..8 {
                let mut packet = connection.packet();
                if packet.is_none() && !is_enough {
                    exchanges += connection.talk(contents, random)?;
                    packet = connection.packet();
                }
                let Some(packet) = packet else {
                    is_over = true;
                    break;
                };
                capture.packet(&packet)?;
            }
            if !is_over {
                still_open.push(connection);
            }
        }
        open = still_open;
    }
    Ok(Made { bytes: capture.bytes, packets: capture.packets, exchanges })
}
