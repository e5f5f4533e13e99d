//! Packets on their way from the front to a shard: gathered, for a message costs more than a packet.

use crate::base::{FrameNumber, Stamp};
use crate::capture::Block;
use crate::net::{Endpoint, Packet, Transport};

/// The packets of one round that belong to one shard, in the order of the capture.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Where payloads lie.
    blocks: Vec<Block>,
    /// Payloads that lie nowhere else, one behind the other.
    copies: Vec<u8>,
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
    place: Place,
    len: usize,
    cut: usize,
}

/// Where a payload is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The next of the copies.
    Copied,
    /// Behind these bytes of a block.
    Block { number: usize, start: usize },
}

/// What a shard finds in a batch.
pub(super) enum Part<'a> {
    Comment(FrameNumber, &'a str),
    Packet(Packet<'a>),
    Stray(Packet<'a>),
}

impl Batch {
    /// Adds a packet, which may lie in a block: that of this number among those that [`Self::keep`] is given.
    pub(super) fn push(&mut self, packet: &Packet<'_>, block: Option<(usize, &Block)>, is_stray: bool) {
        let &Packet { stamp, selected, source, destination, transport, payload, cut } = packet;
        let place = match block.and_then(|(number, block)| Some((number, block.place_of(payload)?))) {
            Some((number, start)) => Place::Block { number, start },
            None => {
                self.copies.extend_from_slice(payload);
                Place::Copied
            }
        };
        let len = payload.len();
        self.packets.push(Meta { stamp, source, destination, transport, selected, is_stray, place, len, cut });
    }

    /// Keeps the blocks of the round.
    pub(super) fn keep(&mut self, blocks: &[Block]) {
        self.blocks.extend_from_slice(blocks);
    }

    pub(super) fn comment(&mut self, frame: FrameNumber, text: &str) {
        self.comments.push((frame, text.to_owned()));
    }

    /// Ready for another round; `room` bytes of it stay.
    pub(super) fn clear(&mut self, room: usize) {
        self.blocks.clear();
        self.copies.clear();
        self.copies.shrink_to(room);
        self.packets.clear();
        self.comments.clear();
    }

    /// Hands everything on, in order.
    pub(super) fn each(&self, mut each: impl FnMut(Part<'_>)) {
        let mut comments = self.comments.iter().peekable();
        let mut rest = self.copies.as_slice();
        for &Meta { stamp, source, destination, transport, selected, is_stray, place, len, cut } in &self.packets {
            let payload = match place {
                Place::Copied => rest.split_off(..len).unwrap_or_default(),
                Place::Block { number, start } => {
                    self.blocks.get(number).map_or(&[][..], |block| block.part(start, len))
                }
            };
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
        let (one, two) = (Block::of(b"first"), Block::of(b"second"));
        let mut batch = Batch::default();
        for _ in 0..2 {
            batch.push(&packet(1, b"one"), None, false);
            batch.comment(FrameNumber(2), "note");
            batch.push(&packet(2, b""), None, true);
            batch.push(&packet(3, two.part(2, 4)), Some((1, &two)), false);
            batch.push(&packet(4, b"elsewhere"), Some((0, &one)), false);
            batch.push(&packet(5, one.part(0, 5)), Some((0, &one)), true);
            batch.push(&packet(6, two.part(0, 1)), Some((1, &two)), false);
            batch.keep(&[one.clone(), two.clone()]);
            assert_eq!(batch.copies.len(), 12);
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
                format!("{:?}", packet(3, b"cond")),
                format!("{:?}", packet(4, b"elsewhere")),
                format!("stray {:?}", packet(5, b"first")),
                format!("{:?}", packet(6, b"s")),
            ];
            assert_eq!(seen, expected);
            batch.clear(1);
        }
    }
}
