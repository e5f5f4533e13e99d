//! Packets on their way from the front to a shard: gathered, for a message costs more than a packet.

use crate::base::{FrameNumber, Stamp};
use crate::net::{Endpoint, Packet, Transport};

/// The packets of one round that belong to one shard, in the order of the capture.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Payloads, one behind the other.
    bytes: Vec<u8>,
    packets: Vec<Meta>,
    /// Comments of frames whose packets are in here.
    comments: Vec<(FrameNumber, String)>,
}

/// A packet without its payload.
#[derive(Debug, Clone, Copy)]
struct Meta {
    stamp: Stamp,
    source: Endpoint,
    destination: Endpoint,
    transport: Transport,
    selected: bool,
    /// Given to all shards, because one of them may know its connection.
    is_stray: bool,
    len: usize,
    cut: usize,
}

/// What a shard finds in a batch.
pub(super) enum Part<'a> {
    Comment(FrameNumber, &'a str),
    Packet(Packet<'a>),
    Stray(Packet<'a>),
}

impl Batch {
    pub(super) fn push(&mut self, packet: &Packet<'_>, is_stray: bool) {
        let &Packet { stamp, selected, source, destination, transport, payload, cut } = packet;
        self.bytes.extend_from_slice(payload);
        self.packets.push(Meta { stamp, source, destination, transport, selected, is_stray, len: payload.len(), cut });
    }

    pub(super) fn comment(&mut self, frame: FrameNumber, text: &str) {
        self.comments.push((frame, text.to_owned()));
    }

    /// Ready for another round; `room` bytes of it stay.
    pub(super) fn clear(&mut self, room: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(room);
        self.packets.clear();
        self.comments.clear();
    }

    /// Hands everything on, in order.
    pub(super) fn each(&self, mut each: impl FnMut(Part<'_>)) {
        let mut comments = self.comments.iter().peekable();
        let mut rest = self.bytes.as_slice();
        for &Meta { stamp, source, destination, transport, selected, is_stray, len, cut } in &self.packets {
            let (payload, behind) = rest.split_at(len.min(rest.len()));
            rest = behind;
            while let Some((frame, text)) = comments.next_if(|(frame, _)| *frame <= stamp.frame) {
                each(Part::Comment(*frame, text));
            }
            let packet = Packet { stamp, selected, source, destination, transport, payload, cut };
            each(if is_stray { Part::Stray(packet) } else { Part::Packet(packet) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn packets_come_out_as_they_went_in() {
        let end = |port| Endpoint { address: [10, 0, 0, 1].into(), port };
        let packet = |number: u64, payload| Packet {
            stamp: Stamp { frame: FrameNumber(number), time: Timestamp(number as i64) },
            selected: number == 2,
            source: end(1),
            destination: end(2),
            transport: Transport::Udp,
            payload,
            cut: number as usize,
        };
        let mut batch = Batch::default();
        for _ in 0..2 {
            batch.push(&packet(1, b"one"), false);
            batch.comment(FrameNumber(2), "note");
            batch.push(&packet(2, b""), true);
            batch.push(&packet(3, b"three"), false);
            let mut seen = Vec::new();
            batch.each(|part| {
                seen.push(match part {
                    Part::Comment(frame, text) => format!("{} {text}", frame.0),
                    Part::Packet(packet) => format!("{packet:?}"),
                    Part::Stray(packet) => format!("stray {packet:?}"),
                });
            });
            let expected = [
                format!("{:?}", packet(1, b"one")),
                "2 note".into(),
                format!("stray {:?}", packet(2, b"")),
                format!("{:?}", packet(3, b"three")),
            ];
            assert_eq!(seen, expected);
            batch.clear(1);
        }
    }
}
