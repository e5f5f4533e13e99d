//! Traffic that wants to cost much, in any size, always the same. Beside each attack stand three good exchanges: at the start,
//! in the middle and at the end. Shared by the tests and by `benches/hostile.rs`.

mod bodies;
mod containers;
mod http1;
mod http2;
mod ip;
mod names;
pub mod packets;
mod quic;
mod tcp;
mod tls;

use std::io::{self, Write};

use packets::Lane;

/// One kind of attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// Repetitions that make about 100 KB.
    pub units: usize,
    /// Writes so many repetitions.
    pub write: fn(&mut Lane<'_>, usize) -> io::Result<()>,
}

/// Good exchanges beside each attack.
pub const GOOD: usize = 3;

/// All attacks.
pub fn all() -> Vec<Attack> {
    [
        containers::ATTACKS,
        ip::ATTACKS,
        tcp::ATTACKS,
        http1::ATTACKS,
        bodies::ATTACKS,
        http2::ATTACKS,
        tls::ATTACKS,
        quic::ATTACKS,
        names::ATTACKS,
    ]
    .concat()
}

/// Writes the capture of an attack with so many repetitions; 0 leaves the good exchanges alone.
pub fn capture(attack: &Attack, units: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut lane = Lane::new(out)?;
    lane.good(0)?;
    let half = units / 2;
    if half > 0 {
        (attack.write)(&mut lane, half)?;
    }
    lane.good(1)?;
    if units > half {
        (attack.write)(&mut lane, units - half)?;
    }
    lane.good(2)
}
