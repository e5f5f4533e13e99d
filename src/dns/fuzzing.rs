//! Fuzz bodies of DNS.

use std::net::IpAddr;

use super::{Dns, DnsStream, Lookup, PORT};
use crate::base::fuzzing::Dice;
use crate::base::{Budget, FrameNumber, Limits, Stamp, Timestamp};
use crate::net::{Endpoint, Packet, Transport};
use crate::tcp::Side;
use crate::tcp::fuzzing::{What, play, steps};

fn ends() -> (Endpoint, Endpoint) {
    let end = |address: u8, port| Endpoint { address: IpAddr::from([10, 0, 0, address]), port };
    (end(1, 40_000), end(53, PORT))
}

fn check(lookup: &Lookup) {
    assert!(lookup.name.len() <= 4 * 255 + 255, "a name of {}", lookup.name.len());
}

/// Datagrams as the data of a script: what is open is bounded.
pub fn datagrams(data: &[u8]) {
    let limits = Limits { lookups: 20, ..Limits::default() };
    let budget = Budget::new(limits.memory);
    let mut dns = Dns::new(&limits, &budget);
    let (client, server) = ends();
    for (number, step) in steps(data).into_iter().enumerate() {
        let What::Data(payload) = step.what else { continue };
        let (source, destination) = if step.side == Side::Client { (client, server) } else { (server, client) };
        let stamp = Stamp { frame: FrameNumber(number as u64 + 1), time: Timestamp(number as i64 * 1_000_000) };
        let (transport, cut) = (Transport::Udp, usize::from(step.stream));
        dns.push_udp(&Packet { stamp, selected: false, source, destination, transport, payload, cut }, &mut |lookup| {
            check(&lookup);
        });
        assert!(budget.used() <= 21 * 3000, "{}", budget.used());
    }
    dns.finish(&mut |lookup| check(&lookup));
    drop(dns);
    assert_eq!(budget.used(), 0);
}

/// The lookups, and whether it was known all the time where messages begin.
fn run(data: &[u8], dice: Option<Dice>) -> (Vec<String>, bool) {
    let limits = Limits { lookups: 20, ..Limits::default() };
    let budget = Budget::new(limits.memory);
    let (client, server) = ends();
    let mut stream = DnsStream::new(client, server, &limits, &budget);
    let mut lookups = Vec::new();
    let mut is_clean = true;
    play(data, dice, &mut |_, side, event| {
        stream.push(side, event, &mut |lookup| lookups.push(format!("{lookup:?}")));
        is_clean &= stream.is_aligned();
        // Each direction may hold one message of 64 KiB.
        assert!(budget.used() <= 2 * (2 << 16) + 21 * 3000, "{}", budget.used());
    });
    stream.finish(&mut |lookup| lookups.push(format!("{lookup:?}")));
    is_clean &= stream.anomalies().is_empty();
    drop(stream);
    assert_eq!(budget.used(), 0);
    (lookups, is_clean)
}

/// DNS over TCP as a script: the same lookups in any pieces. Behind a message that cannot be read, or a hole, where the next one
/// is found depends on the segments.
pub fn stream(data: &[u8]) {
    let ((whole, is_clean), (cut, is_clean_too)) = (run(data, None), run(data, Some(Dice::of(data))));
    assert!(!(is_clean && is_clean_too) || whole == cut, "not the same in pieces: {whole:?} {cut:?}");
}
