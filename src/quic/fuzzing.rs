//! Fuzz body of QUIC connections.

#![allow(clippy::panic, reason = "a body that panics is how a fuzzer learns of a fault")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Connections, QuicEvent};
use crate::base::{Budget, FrameNumber, Limits, Stamp, Timestamp};
use crate::net::{Endpoint, Packet, Transport};
use crate::tcp::fuzzing::{What, steps};
use crate::tcp::{Side, StreamEvent};
use crate::tls::fuzzing::keys_and_script;

/// Datagrams as the data of a script with its secrets; the stream says which of four clients, and the rest of it how many
/// bytes were cut off. Streams are told in order, and memory comes back.
pub fn connections(data: &[u8]) {
    let (keys, script) = keys_and_script(data);
    let limits = Limits {
        connections: 8,
        quic_streams: 16,
        quic_held: 8 << 10,
        tcp_hole: 8 << 10,
        memory: 4 << 20,
        ..Limits::default()
    };
    let budget = Budget::new(limits.memory);
    let mut engine = Connections::new(&limits, &budget);
    let mut next: BTreeMap<(u32, u64, Side), Option<u64>> = BTreeMap::new();
    let mut take = |slot: super::Slot, event: QuicEvent<'_>| match event {
        QuicEvent::Open => {}
        QuicEvent::Stream(id, side, event) => {
            let at = next.entry((slot.0, id, side)).or_insert(Some(0));
            match (event, &at) {
                (StreamEvent::Data(chunk), Some(offset)) => {
                    assert_eq!(chunk.offset, *offset, "offsets follow each other");
                    *at = Some(offset + chunk.data.len() as u64);
                }
                (StreamEvent::Gap { len, .. }, Some(offset)) => *at = Some(offset + len),
                (StreamEvent::Fin(_) | StreamEvent::Reset(_), Some(_)) => *at = None,
                (_, None) => panic!("event behind the end"),
            }
        }
        QuicEvent::StreamReset { stream, side, .. } => {
            next.insert((slot.0, stream, side), None);
        }
        QuicEvent::Close(_) => next.retain(|(of, ..), _| *of != slot.0),
    };
    for (number, step) in steps(script).into_iter().enumerate() {
        let What::Data(payload) = step.what else { continue };
        let end = |address: u8, port| Endpoint { address: IpAddr::from([10, 0, 0, address]), port };
        let (client, server) = (end(1, 50_000 + u16::from(step.stream & 3)), end(2, 443));
        let (source, destination) = if step.side == Side::Client { (client, server) } else { (server, client) };
        let stamp = Stamp { frame: FrameNumber(number as u64 + 1), time: Timestamp(number as i64 * 1_000_000) };
        let cut = usize::from(step.stream >> 2);
        let packet = Packet { stamp, selected: false, source, destination, transport: Transport::Udp, payload, cut };
        engine.push(&packet, &keys, &mut |slot, _, event| take(slot, event));
        assert!(budget.used() <= 2 << 20, "{}", budget.used());
        assert!(engine.len() <= limits.connections);
    }
    engine.finish(&keys, &mut |slot, _, event| take(slot, event));
    drop(engine);
    assert_eq!(budget.used(), 0);
}
