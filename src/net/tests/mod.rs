//! Frames built in code: every link type and tunnel, lengths that lie, fragments, repeats, mutations.

mod build;
mod fragments;
mod hostile;
mod links;
mod repeats;
mod tunnels;

use super::{Decoder, Packet, TcpHeader, Transport};
use crate::base::{Budget, FrameNumber, Limits, Timestamp};
use crate::capture::{Frame, LinkType};

/// A packet that outlives its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    source: String,
    destination: String,
    tcp: Option<TcpHeader>,
    payload: Vec<u8>,
    cut: usize,
    frame: u64,
}

/// A decoder that numbers its frames and lets a millisecond pass between them.
struct Bench {
    decoder: Decoder,
    budget: Budget,
    number: u64,
    time: i64,
}

impl Bench {
    fn new() -> Self {
        Self::with(&Limits::default())
    }

    fn with(limits: &Limits) -> Self {
        let budget = Budget::new(limits.memory);
        Self { decoder: Decoder::new(limits, &budget), budget, number: 0, time: 0 }
    }

    fn push(&mut self, link_type: u32, data: &[u8]) -> Vec<Seen> {
        self.push_cut(link_type, data, data.len())
    }

    fn push_cut(&mut self, link_type: u32, data: &[u8], original_len: usize) -> Vec<Seen> {
        self.number += 1;
        self.time += 1_000_000;
        let frame = Frame {
            number: FrameNumber(self.number),
            time: Timestamp(self.time),
            interface: 0,
            link_type: LinkType(link_type),
            original_len: original_len as u32,
            data,
            block: None,
            comment: None,
            selected: false,
        };
        let mut seen = Vec::new();
        self.decoder.push(&frame, &mut |packet: Packet<'_>| {
            seen.push(Seen {
                source: packet.source.to_string(),
                destination: packet.destination.to_string(),
                tcp: match packet.transport {
                    Transport::Tcp(header) => Some(header),
                    Transport::Udp => None,
                },
                payload: packet.payload.to_vec(),
                cut: packet.cut,
                frame: packet.stamp.frame.0,
            });
        });
        seen
    }

    fn payloads(&mut self, link_type: u32, data: &[u8]) -> Vec<Vec<u8>> {
        self.push(link_type, data).into_iter().map(|seen| seen.payload).collect()
    }
}

/// Payloads that a fresh decoder finds in one frame.
fn payloads(link_type: u32, data: &[u8]) -> Vec<Vec<u8>> {
    Bench::new().payloads(link_type, data)
}
