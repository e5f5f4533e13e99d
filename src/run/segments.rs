//! What frames say about the order in which they were sent.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::base::{Budget, Limits};
use crate::capture::{Segment, Segments};
use crate::dns;
use crate::net::{Decoder, FlowKey, TcpFlags, Transport};

/// Tells the TCP segments of frames, whatever they are wrapped in. A lookup is told as a segment that its answer acknowledges.
pub(super) fn told(limits: &Limits) -> Segments {
    let mut net = Decoder::new(limits, &Budget::new(limits.fragment_memory));
    let hasher = FixedState::with_seed(2);
    Box::new(move |frame, out| {
        net.push(frame, &mut |packet| {
            let (key, is_forward) = FlowKey::new(packet.source, packet.destination);
            let flow = hasher.hash_one(key);
            match packet.transport {
                Transport::Tcp(header) if !header.flags.has(TcpFlags::RST) => {
                    let len = u32::try_from(packet.payload.len().saturating_add(packet.cut)).unwrap_or(u32::MAX);
                    let syn = u32::from(header.flags.has(TcpFlags::SYN));
                    let end = header.sequence.wrapping_add(len).wrapping_add(syn);
                    let acknowledgment = header.flags.has(TcpFlags::ACK).then_some(header.acknowledgment);
                    let opens = syn > 0 && acknowledgment.is_none();
                    out(Segment { flow, is_forward, start: header.sequence, end, acknowledgment, opens });
                }
                Transport::Tcp(_) => {}
                Transport::Udp => {
                    let silent = Segment { flow, is_forward, start: 0, end: 0, acknowledgment: None, opens: false };
                    out(silent);
                    if packet.source.port != dns::PORT && packet.destination.port != dns::PORT {
                        return;
                    }
                    let &[high, low, flags, ..] = packet.payload else { return };
                    let flow = hasher.hash_one((flow, high, low));
                    // Bit QR (RFC 1035 §4.1.1).
                    let (end, acknowledgment) = if flags & 0x80 == 0 { (1, None) } else { (0, Some(1)) };
                    out(Segment { flow, end, acknowledgment, ..silent });
                }
            }
        });
    })
}
