//! Frames inside a decrypted packet ([RFC 9000 §19](https://www.rfc-editor.org/rfc/rfc9000#section-19)).

use crate::base::{Reader, Short};

/// One frame, as far as it matters to an observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// PADDING; a run of it counts as one.
    Padding,
    /// PING.
    Ping,
    /// ACK.
    Ack(Ack<'a>),
    /// RESET_STREAM, or RESET_STREAM_AT of draft-ietf-quic-reliable-stream-reset.
    ResetStream {
        /// Stream.
        stream: u64,
        /// Application error code.
        code: u64,
        /// Length of the stream.
        final_size: u64,
        /// Bytes that are delivered in spite of the reset.
        reliable_size: u64,
    },
    /// STOP_SENDING.
    StopSending {
        /// Stream.
        stream: u64,
        /// Application error code.
        code: u64,
    },
    /// CRYPTO.
    Crypto {
        /// Offset of the first byte.
        offset: u64,
        /// Handshake bytes.
        data: &'a [u8],
    },
    /// STREAM.
    Stream {
        /// Stream.
        stream: u64,
        /// Offset of the first byte.
        offset: u64,
        /// True when the stream ends with this frame.
        fin: bool,
        /// Content.
        data: &'a [u8],
    },
    /// NEW_CONNECTION_ID.
    NewConnectionId {
        /// Number of the id.
        sequence: u64,
        /// All ids below this number retire.
        retire_prior_to: u64,
        /// The id.
        id: &'a [u8],
        /// What a stateless reset of that id ends with.
        token: [u8; 16],
    },
    /// RETIRE_CONNECTION_ID.
    RetireConnectionId(u64),
    /// CONNECTION_CLOSE.
    Close(Close<'a>),
    /// HANDSHAKE_DONE.
    HandshakeDone,
    /// DATAGRAM ([RFC 9221](https://www.rfc-editor.org/rfc/rfc9221)); its number of bytes.
    Datagram(usize),
    /// A frame that says nothing about content.
    Other,
}

/// Why an endpoint closed the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close<'a> {
    /// True when the application closed it, false when QUIC or TLS did.
    pub application: bool,
    /// Error code.
    pub code: u64,
    /// Text for people.
    pub reason: &'a [u8],
}

/// Acknowledged packet numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Greatest acknowledged number.
    pub largest: u64,
    /// Time since the receiver got it, in units of its ack_delay_exponent.
    pub delay: u64,
    first_range: u64,
    ranges: &'a [u8],
}

impl<'a> Ack<'a> {
    /// Ranges of acknowledged numbers, greatest first, both ends inclusive. Ends early where the ranges go below zero.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + 'a {
        let mut reader = Reader::new(self.ranges);
        let mut next = self.largest.checked_sub(self.first_range).map(|low| (low, self.largest));
        std::iter::from_fn(move || {
            let (low, high) = next?;
            next = (|| {
                let gap = reader.varint().ok()?;
                let len = reader.varint().ok()?;
                let high = low.checked_sub(gap)?.checked_sub(2)?;
                Some((high.checked_sub(len)?, high))
            })();
            Some((low, high))
        })
    }
}

/// Why the rest of a packet cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A field runs past the end of the packet.
    Short,
    /// The length of a frame of this type is not known.
    UnknownType(u64),
    /// A field has a value that its frame forbids.
    Value,
}

impl From<Short> for FrameError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

/// The frames of one packet, in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    reader: Reader<'a>,
    failed: bool,
}

impl<'a> Frames<'a> {
    /// The frames in the payload of a packet.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload), failed: false }
    }

    fn frame(&mut self) -> Result<Frame<'a>, FrameError> {
        let reader = &mut self.reader;
        let kind = reader.varint()?;
        Ok(match kind {
            0x00 => {
                let zeros = reader.rest().iter().take_while(|&&byte| byte == 0).count();
                reader.skip(zeros)?;
                Frame::Padding
            }
            0x01 => Frame::Ping,
            0x02 | 0x03 => Frame::Ack(ack(reader, kind == 0x03)?),
            0x04 | 0x24 => {
                let (stream, code, final_size) = (reader.varint()?, reader.varint()?, reader.varint()?);
                let reliable_size = if kind == 0x24 { reader.varint()? } else { 0 };
                Frame::ResetStream { stream, code, final_size, reliable_size }
            }
            0x05 => Frame::StopSending { stream: reader.varint()?, code: reader.varint()? },
            0x06 => {
                let offset = reader.varint()?;
                let data = sized(reader)?;
                Frame::Crypto { offset, data: within(offset, data)? }
            }
            0x08..=0x0f => {
                let stream = reader.varint()?;
                let offset = if kind & 0x04 != 0 { reader.varint()? } else { 0 };
                let data = if kind & 0x02 != 0 { sized(reader)? } else { reader.take(reader.remaining())? };
                Frame::Stream { stream, offset, fin: kind & 0x01 != 0, data: within(offset, data)? }
            }
            // NEW_TOKEN
            0x07 => {
                sized(reader)?;
                Frame::Other
            }
            // MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED
            0x10 | 0x12..=0x14 | 0x16 | 0x17 => {
                reader.varint()?;
                Frame::Other
            }
            // MAX_STREAM_DATA, STREAM_DATA_BLOCKED
            0x11 | 0x15 => {
                reader.varint()?;
                reader.varint()?;
                Frame::Other
            }
            0x18 => {
                let (sequence, retire_prior_to) = (reader.varint()?, reader.varint()?);
                let len = usize::from(reader.u8()?);
                let id = reader.take(len)?;
                let token = reader.array()?;
                if retire_prior_to > sequence || !(1..=super::header::MAX_CONNECTION_ID).contains(&len) {
                    return Err(FrameError::Value);
                }
                Frame::NewConnectionId { sequence, retire_prior_to, id, token }
            }
            0x19 => Frame::RetireConnectionId(reader.varint()?),
            // PATH_CHALLENGE, PATH_RESPONSE
            0x1a | 0x1b => {
                reader.skip(8)?;
                Frame::Other
            }
            0x1c | 0x1d => {
                let code = reader.varint()?;
                let application = kind == 0x1d;
                if !application {
                    reader.varint()?;
                }
                Frame::Close(Close { application, code, reason: sized(reader)? })
            }
            0x1e => Frame::HandshakeDone,
            // IMMEDIATE_ACK of draft-ietf-quic-ack-frequency
            0x1f => Frame::Other,
            0x30 => Frame::Datagram(reader.take(reader.remaining())?.len()),
            0x31 => Frame::Datagram(sized(reader)?.len()),
            // ACK_FREQUENCY
            0xaf => {
                for _ in 0..4 {
                    reader.varint()?;
                }
                Frame::Other
            }
            unknown => return Err(FrameError::UnknownType(unknown)),
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.reader.is_empty() {
            return None;
        }
        let frame = self.frame();
        self.failed = frame.is_err();
        Some(frame)
    }
}

fn ack<'a>(reader: &mut Reader<'a>, ecn: bool) -> Result<Ack<'a>, FrameError> {
    let (largest, delay, count, first_range) = (reader.varint()?, reader.varint()?, reader.varint()?, reader.varint()?);
    if first_range > largest {
        return Err(FrameError::Value);
    }
    let ranges = reader.rest();
    let before = reader.position();
    // Each range takes two bytes at least, so that a huge count ends soon.
    for _ in 0..count {
        reader.varint()?;
        reader.varint()?;
    }
    let ranges = ranges.get(..reader.position() - before).unwrap_or_default();
    if ecn {
        for _ in 0..3 {
            reader.varint()?;
        }
    }
    Ok(Ack { largest, delay, first_range, ranges })
}

fn sized<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Short> {
    let len = reader.varint()?;
    reader.take(usize::try_from(len).map_err(|_| Short)?)
}

/// No stream is longer than a variable-length integer can say.
fn within(offset: u64, data: &[u8]) -> Result<&[u8], FrameError> {
    if offset + data.len() as u64 >= 1 << 62 { Err(FrameError::Value) } else { Ok(data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(payload: &[u8]) -> Vec<Result<Frame<'_>, FrameError>> {
        Frames::new(payload).collect()
    }

    #[test]
    fn runs_of_padding_are_one_frame() {
        assert_eq!(all(&[0, 0, 0, 1, 0, 0]), [Ok(Frame::Padding), Ok(Frame::Ping), Ok(Frame::Padding)]);
    }

    #[test]
    fn acknowledged_ranges_go_down() {
        // Largest 20, first range 2: 18..=20; gap 1, length 3: 12..=15; gap 0, length 10: 0..=10.
        let payload = [0x02, 20, 5, 2, 2, 1, 3, 0, 10];
        let [Ok(Frame::Ack(ack))] = all(&payload)[..] else { panic!() };
        assert_eq!(ack.ranges().collect::<Vec<_>>(), [(18, 20), (12, 15), (0, 10)]);
    }

    #[test]
    fn ranges_below_zero_end() {
        let payload = [0x03, 5, 0, 2, 2, 0, 1, 9, 9, 1, 1, 1, 1];
        let frames = all(&payload);
        let [Ok(Frame::Ack(ack)), Ok(Frame::Ping)] = frames[..] else { panic!("{frames:?}") };
        assert_eq!(ack.ranges().collect::<Vec<_>>(), [(3, 5), (0, 1)]);
        assert_eq!(all(&[0x02, 1, 0, 0, 2]), [Err(FrameError::Value)]);
        assert_eq!(all(&[0x02, 1, 0, 0x7f, 0xff, 0]), [Err(FrameError::Short)]);
    }

    #[test]
    fn streams_with_and_without_fields() {
        let first: &[u8] = b"\x0a\x04\x03abc\x0f\x00\x40\x10\x02de\x08\x08rest";
        let stream = |stream, offset, fin, data| Ok(Frame::Stream { stream, offset, fin, data });
        assert_eq!(
            all(first),
            [stream(4, 0, false, &b"abc"[..]), stream(0, 16, true, b"de"), stream(8, 0, false, b"rest")]
        );
        let beyond = [0x0c, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'x'];
        assert_eq!(all(&beyond), [Err(FrameError::Value)]);
    }

    #[test]
    fn every_known_type_is_passed_over_by_its_length() {
        let frames: &[&[u8]] = &[
            &[0x07, 2, 1, 1],
            &[0x10, 1],
            &[0x11, 1, 1],
            &[0x12, 1],
            &[0x13, 1],
            &[0x14, 1],
            &[0x15, 1, 1],
            &[0x16, 1],
            &[0x17, 1],
            &[0x18, 1, 1, 1, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            &[0x19, 1],
            &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x1b, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x1c, 1, 6, 2, 65, 65],
            &[0x1d, 1, 2, 65, 65],
            &[0x1e],
            &[0x1f],
            &[0x24, 0, 1, 2, 1],
            &[0x31, 3, 1, 2, 3],
            &[0x40, 0xaf, 1, 2, 3, 4],
        ];
        for frame in frames {
            let mut payload = frame.to_vec();
            payload.push(0x01);
            assert_eq!(all(&payload).last(), Some(&Ok(Frame::Ping)), "{frame:02x?}");
            assert_eq!(all(&payload).len(), 2, "{frame:02x?}");
            for end in 1..frame.len() {
                assert!(all(&frame[..end]).last().unwrap().is_err(), "{frame:02x?} cut to {end}");
            }
        }
        assert_eq!(all(&[0x21]), [Err(FrameError::UnknownType(0x21))]);
    }
}
