//! Fuzz body of the decoder.

use super::{Decoder, Packet};
use crate::base::{Budget, FrameNumber, Limits, Reader, Timestamp};
use crate::capture::{Frame, LinkType};

/// Writes a frame as [`decoder`] reads it: link type, 16 bits; length on the wire beyond what is here, 8; length, 16; bytes.
pub fn write_frame(out: &mut Vec<u8>, link_type: u16, data: &[u8]) {
    out.extend(link_type.to_be_bytes());
    out.push(0);
    let data = &data[..data.len().min(0xffff)];
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}

/// Frames of any link type: no payload is larger than what it can be made of, and fragments stay within their memory.
pub fn decoder(data: &[u8]) {
    let limits = Limits { fragment_memory: 20_000, ..Limits::default() };
    let budget = Budget::new(limits.memory);
    let mut decoder = Decoder::new(&limits, &budget);
    let mut reader = Reader::new(data);
    let mut number = 0;
    while let (Ok(link_type), Ok(more), Ok(len)) = (reader.u16(), reader.u8(), reader.u16()) {
        let data = reader.take(usize::from(len).min(reader.remaining())).unwrap_or_default();
        number += 1;
        let frame = Frame {
            number: FrameNumber(number),
            time: Timestamp(number as i64 * 1_000_000),
            interface: 0,
            link_type: LinkType(link_type.into()),
            original_len: data.len() as u32 + u32::from(more),
            data,
            block: None,
            comment: None,
            selected: false,
        };
        decoder.push(&frame, &mut |packet: Packet<'_>| {
            assert!(packet.payload.len() <= data.len() + 0xffff);
            assert_eq!(packet.stamp.frame.0, number);
        });
        assert!(budget.used() <= limits.fragment_memory, "{}", budget.used());
    }
    decoder.finish();
    drop(decoder);
    assert_eq!(budget.used(), 0);
}
