//! Frame headers ([RFC 6455 §5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)), and where frames may begin behind
//! missing bytes.

use crate::base::{Reader, Short};
use crate::http::resync::{Place, Verdict};

/// Longest frame header.
pub(super) const HEADER_MAX: usize = 14;

/// A frame header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// FIN, reserved bits and opcode.
    pub(super) first: u8,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub(super) payload: u64,
    /// Bytes of the header itself.
    pub(super) len: usize,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Short> {
        let mut reader = Reader::new(bytes);
        let [first, second] = reader.array()?;
        let payload = match second & 0x7f {
            126 => u64::from(reader.u16()?),
            127 => reader.u64()?,
            len => u64::from(len),
        };
        let mask = if second & 0x80 != 0 { Some(reader.array()?) } else { None };
        Ok(Self { first, mask, payload, len: reader.position() })
    }

    pub(super) fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.first & 0x40 != 0
    }

    pub(super) fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// True for close, ping and pong.
    pub(super) fn is_control(&self) -> bool {
        self.first & 8 != 0
    }

    /// True for the first frame of a text or binary message.
    pub(super) fn starts_message(&self) -> bool {
        matches!(self.opcode(), 1 | 2)
    }

    /// True when a frame may look like this, whatever came before it; `is_deflated` when permessage-deflate was agreed on.
    pub(super) fn is_legal(&self, is_deflated: bool) -> bool {
        self.first & 0x30 == 0
            && self.payload >> 63 == 0
            && !(self.is_compressed() && (!is_deflated || !self.starts_message()))
            && match self.opcode() {
                0..=2 => true,
                8..=10 => self.is_final() && self.payload <= 125,
                _ => false,
            }
    }
}

pub(super) fn unmask(data: &mut [u8], mask: [u8; 4]) {
    if mask == [0; 4] {
        return;
    }
    let wide = u32::from_ne_bytes(mask);
    let mut words = data.chunks_exact_mut(4);
    for word in &mut words {
        if let Some(bytes) = word.first_chunk_mut::<4>() {
            *bytes = (u32::from_ne_bytes(*bytes) ^ wide).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// What a frame must look like to be believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) is_deflated: bool,
    pub(super) is_masked: bool,
}

/// Signs that are enough to believe a place: each frame that follows another is one, and so is an end where a chunk ends, twice when
/// the length that led there has more than seven bits.
const ENOUGH: usize = 3;
/// Payload beyond which no frame is believed: chance says so more often than senders do.
const PAYLOAD_MAX: u64 = 1 << 30;
/// Bytes of a payload that are looked at.
const SAMPLE: usize = 256;

impl Rules {
    /// Whether frames begin at this place: each is legal, they follow one another, and end where a chunk ends.
    pub(super) fn judge(self, place: Place<'_>) -> Verdict {
        let (mut at, mut frames, mut signs) = (0, 0, 0);
        // Not known before the first frame that belongs to a message.
        let mut is_in_message = None;
        loop {
            let rest = place.bytes.get(at..).unwrap_or_default();
            if signs >= ENOUGH {
                return Verdict::Fits;
            }
            let undecided = match (place.is_over, frames) {
                (false, _) => Verdict::More,
                (true, 0) => Verdict::No,
                (true, _) => Verdict::Fits,
            };
            let Ok(header) = Header::read(rest) else {
                // Zeros stand for what is not there yet, which is legal.
                let mut padded = [0; HEADER_MAX];
                padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                let is_legal = Header::read(&padded).is_ok_and(|header| match rest.len() {
                    1 => header.is_legal(self.is_deflated),
                    _ => self.may_begin(&header),
                });
                return if rest.is_empty() || is_legal { undecided } else { Verdict::No };
            };
            let payload = rest.get(header.len..).unwrap_or_default();
            if !self.allows(&header, payload) {
                return Verdict::No;
            }
            if !header.is_control() {
                if is_in_message.is_some_and(|is_in| is_in == header.starts_message()) {
                    return Verdict::No;
                }
                is_in_message = Some(!header.is_final());
            }
            signs += 1;
            let left = usize::try_from(header.payload).unwrap_or(usize::MAX);
            if left > payload.len() {
                return undecided;
            }
            frames += 1;
            at += header.len + left;
            if place.is_chunk_end(at) {
                signs += if left > 125 { 2 } else { 1 };
            }
        }
    }

    /// What the first two bytes of a frame say.
    fn may_begin(self, header: &Header) -> bool {
        header.is_legal(self.is_deflated) && header.mask.is_some() == self.is_masked
    }

    fn allows(self, header: &Header, payload: &[u8]) -> bool {
        let is_shortest = match header.len - if header.mask.is_some() { 4 } else { 0 } {
            2 => true,
            4 => header.payload > 125,
            _ => header.payload > 0xffff,
        };
        if !self.may_begin(header) || !is_shortest || header.payload > PAYLOAD_MAX {
            return false;
        }
        let whole = usize::try_from(header.payload).unwrap_or(usize::MAX);
        let mut sample = [0; SAMPLE];
        let len = payload.len().min(whole).min(SAMPLE);
        let Some(sample) = sample.get_mut(..len) else { return false };
        sample.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
        unmask(sample, header.mask.unwrap_or_default());
        match header.opcode() {
            // Nobody sends a part that is empty; zeros are frequent in content.
            0 => whole > 0,
            // The third type of block does not exist (RFC 1951 §3.2.3).
            1 | 2 if header.is_compressed() => sample.first().map_or(whole > 0, |first| first & 6 != 6),
            1 => match std::str::from_utf8(sample) {
                Ok(_) => true,
                // A character may go on behind what is here, but not behind its message.
                Err(error) => error.error_len().is_none() && !(header.is_final() && len == whole),
            },
            8 => match (sample, whole) {
                (_, 1) => false,
                (&mut [high, low, ..], _) => (1000..5000).contains(&u16::from_be_bytes([high, low])),
                _ => true,
            },
            _ => true,
        }
    }
}
