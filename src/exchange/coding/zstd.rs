//! Zstandard.

use std::io::Read;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Emit, Stop, hand_on};
use crate::base::bytes::Reader;

/// Zstandard (RFC 8878), several frames; the window is bounded as RFC 9659 asks of HTTP.
#[derive(Default)]
pub(super) struct Zstd {
    /// `None` between frames.
    frame: Option<FrameDecoder>,
    /// The frame ends with a checksum.
    has_checksum: bool,
    /// Coded bytes that are not yet a whole frame header or block.
    pending: Vec<u8>,
    /// Bytes of a skippable frame or checksum still to be passed over.
    skip: usize,
    total_out: usize,
}

const ZSTD_WINDOW: u64 = 8 << 20;
/// Block header, RFC 8878 §3.1.1.2: last block (1 bit), type (2), size (21), little endian.
const ZSTD_BLOCK_HEADER: usize = 3;

impl Zstd {
    /// True between frames.
    pub(super) fn is_complete(&self) -> bool {
        self.frame.is_none() && self.pending.is_empty()
    }

    /// About how many bytes it allocates.
    pub(super) fn memory(&self) -> usize {
        (96 << 10) + self.pending.capacity() + self.total_out.saturating_mul(2).min(2 * ZSTD_WINDOW as usize)
    }

    pub(super) fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        self.pending.extend_from_slice(input);
        let pending = std::mem::take(&mut self.pending);
        let mut reader = Reader::new(&pending);
        let result = self.run(&mut reader, emit);
        self.pending.extend_from_slice(reader.rest());
        result
    }

    /// The decoder holds a window back until the frame ends: an empty last block makes it end.
    pub(super) fn finish(&mut self, emit: Emit<'_>) -> Result<(), Stop> {
        match self.frame.take() {
            Some(mut frame) => self.block(&mut frame, &[1, 0, 0], emit),
            None => Ok(()),
        }
    }

    fn run(&mut self, reader: &mut Reader<'_>, emit: Emit<'_>) -> Result<(), Stop> {
        loop {
            let passed = self.skip.min(reader.remaining());
            let _ = reader.skip(passed);
            self.skip -= passed;
            if self.skip > 0 || reader.is_empty() {
                return Ok(());
            }
            let Some(mut frame) = self.frame.take() else {
                match self.begin(reader)? {
                    true => continue,
                    false => return Ok(()),
                }
            };
            let Some(&[a, b, c]) = reader.rest().first_chunk::<ZSTD_BLOCK_HEADER>() else {
                self.frame = Some(frame);
                return Ok(());
            };
            let header = u32::from_le_bytes([a, b, c, 0]);
            let is_last = header & 1 != 0;
            let is_run = header >> 1 & 3 == 1;
            let content = if is_run { 1 } else { (header >> 3) as usize };
            let Ok(block) = reader.take(ZSTD_BLOCK_HEADER + content) else {
                self.frame = Some(frame);
                // RFC 8878 §3.1.1.2.3: no block is larger than 128 KiB.
                return if content > 128 << 10 { Err(Stop::Broken) } else { Ok(()) };
            };
            self.block(&mut frame, block, emit)?;
            if is_last {
                self.skip = if self.has_checksum { 4 } else { 0 };
            } else {
                self.frame = Some(frame);
            }
        }
    }

    /// Reads a frame header; false when more bytes are needed.
    fn begin(&mut self, reader: &mut Reader<'_>) -> Result<bool, Stop> {
        let Some(&magic) = reader.rest().first_chunk::<4>() else { return Ok(false) };
        let magic = u32::from_le_bytes(magic);
        if magic & 0xffff_fff0 == 0x184d_2a50 {
            let Some(&[_, _, _, _, a, b, c, d]) = reader.rest().first_chunk::<8>() else { return Ok(false) };
            self.skip = (u32::from_le_bytes([a, b, c, d]) as usize).saturating_add(8);
            return Ok(true);
        }
        if magic != 0xfd2f_b528 {
            return Err(Stop::Broken);
        }
        let Some((len, has_checksum)) = zstd_header(reader.rest()) else { return Ok(false) };
        let Ok(mut header) = reader.take(len) else { return Ok(false) };
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(ZSTD_WINDOW);
        frame.init(&mut header).map_err(|_| Stop::Broken)?;
        self.has_checksum = has_checksum;
        self.frame = Some(frame);
        Ok(true)
    }

    fn block(&mut self, frame: &mut FrameDecoder, block: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        // The decoder reads the checksum together with the last block but does not compare it: zeros will do.
        let source = block.chain(&[0u8; 4][..]);
        let decoded = frame.decode_blocks(source, BlockDecodingStrategy::UptoBlocks(1));
        let mut piece = Vec::new();
        let collected = frame.collect_to_writer(&mut piece);
        self.total_out = self.total_out.saturating_add(piece.len());
        hand_on(&piece, emit)?;
        if decoded.is_err() || collected.is_err() { Err(Stop::Broken) } else { Ok(()) }
    }
}

/// Length of magic number and frame header (RFC 8878 §3.1.1.1) and the checksum flag, when the descriptor is there.
fn zstd_header(bytes: &[u8]) -> Option<(usize, bool)> {
    let descriptor = *bytes.get(4)?;
    let single_segment = descriptor >> 5 & 1 == 1;
    let window = usize::from(!single_segment);
    let dictionary = match descriptor & 3 {
        3 => 4,
        len => usize::from(len),
    };
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    Some((5 + window + dictionary + content_size, descriptor >> 2 & 1 == 1))
}
