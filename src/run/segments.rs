//! What frames say about the order in which they were sent.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::base::{Budget, Limits};
use crate::capture::{Segment, Segments};
use crate::net::{Decoder, FlowKey, TcpFlags, Transport};

/// Tells the TCP segments of frames, whatever they are wrapped in.
pub(super) fn told(limits: &Limits) -> Segments {
    let mut net = Decoder::new(limits, &Budget::new(limits.fragment_memory));
    let hasher = FixedState::with_seed(2);
    Box::new(move |frame, out| {
        net.push(frame, &mut |packet| {
            let Transport::Tcp(header) = packet.transport else { return };
            let (key, is_forward) = FlowKey::new(packet.source, packet.destination);
            let is_one = |flag| u32::from(header.flags.has(flag));
            let len = u32::try_from(packet.payload.len().saturating_add(packet.cut)).unwrap_or(u32::MAX);
            let end = header.sequence.wrapping_add(len).wrapping_add(is_one(TcpFlags::SYN));
            let acknowledgment = header.flags.has(TcpFlags::ACK).then_some(header.acknowledgment);
            if !header.flags.has(TcpFlags::RST) {
                out(Segment { flow: hasher.hash_one(key), is_forward, start: header.sequence, end, acknowledgment });
            }
        });
    })
}
