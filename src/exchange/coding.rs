//! Content codings undone as a stream, piece by piece: gzip, deflate, br, zstd, and stacks of them (RFC 9110 §8.4).

use std::io::Read;
use std::ops::ControlFlow;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::base::bytes::Reader;

/// Receives decoded bytes; breaks off when no more are wanted.
pub type Emit<'e> = &'e mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// Why decoding stopped before the end of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The coded bytes break the rules of their coding.
    Broken,
    /// The receiver wanted no more.
    Refused,
}

/// A stack of codings, the one applied last undone first.
#[derive(Default)]
pub struct Codings {
    stages: Vec<Stage>,
}

impl Codings {
    /// Reads the values of Content-Encoding. `Err` names the first coding that is not known, as sent; more than `most` codings
    /// count as unknown too.
    pub fn parse<'v>(values: impl Iterator<Item = &'v [u8]>, most: usize) -> Result<Self, String> {
        let mut stages = Vec::new();
        for token in values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii) {
            let stage = match token.to_ascii_lowercase().as_slice() {
                b"" | b"identity" | b"none" => continue,
                b"gzip" | b"x-gzip" => Stage::Inflate(Inflate::new(Wrapper::Gzip)),
                b"deflate" => Stage::Inflate(Inflate::new(Wrapper::ZlibOrRaw)),
                b"br" => Stage::Brotli(Box::default()),
                b"zstd" => Stage::Zstd(Box::default()),
                _ => return Err(String::from_utf8_lossy(token).into_owned()),
            };
            if stages.len() == most {
                return Err(String::from_utf8_lossy(token).into_owned());
            }
            stages.push(stage);
        }
        stages.reverse();
        Ok(Self { stages })
    }

    /// True when the content is not coded.
    pub fn is_identity(&self) -> bool {
        self.stages.is_empty()
    }

    /// Decodes the next coded bytes.
    pub fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        push_through(&mut self.stages, input, emit)
    }

    /// Hands on what decoders still hold back: nothing when the coding is whole, the last window when it was cut.
    pub fn finish(&mut self, emit: Emit<'_>) -> Result<(), Stop> {
        let mut stages = self.stages.as_mut_slice();
        while let Some((first, rest)) = stages.split_first_mut() {
            if let Stage::Zstd(stage) = first {
                let mut inner = Ok(());
                let outer = stage.finish(&mut |bytes| {
                    inner = push_through(rest, bytes, emit);
                    if inner.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                inner.and(outer)?;
            }
            stages = rest;
        }
        Ok(())
    }

    /// True when every coding came to its own end, as far as that can be told.
    pub fn is_complete(&self) -> bool {
        self.stages.iter().all(|stage| match stage {
            Stage::Inflate(stage) => stage.place != Place::Member || stage.state.is_none() && stage.first.is_none(),
            Stage::Brotli(stage) => stage.is_done,
            Stage::Zstd(stage) => stage.frame.is_none() && stage.pending.is_empty(),
        })
    }

    /// About how many bytes the decoders allocate.
    pub fn memory(&self) -> usize {
        let of_stage = |stage: &Stage| match stage {
            Stage::Inflate(_) => 48 << 10,
            Stage::Brotli(stage) => (64 << 10) + stage.total_out.min(16 << 20),
            Stage::Zstd(stage) => {
                (96 << 10) + stage.pending.capacity() + stage.total_out.saturating_mul(2).min(2 * ZSTD_WINDOW as usize)
            }
        };
        self.stages.iter().map(of_stage).sum()
    }
}

fn push_through(stages: &mut [Stage], input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
    let Some((first, rest)) = stages.split_first_mut() else {
        return match emit(input) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Refused),
        };
    };
    let mut inner = Ok(());
    let outer = first.push(input, &mut |bytes| {
        inner = push_through(rest, bytes, emit);
        if inner.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    inner.and(outer)
}

enum Stage {
    Inflate(Inflate),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl Stage {
    fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        match self {
            Stage::Inflate(stage) => stage.push(input, emit),
            Stage::Brotli(stage) => stage.push(input, emit),
            Stage::Zstd(stage) => stage.push(input, emit),
        }
    }
}

fn hand_on(bytes: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
    if !bytes.is_empty() && emit(bytes).is_break() { Err(Stop::Refused) } else { Ok(()) }
}

/// Size of the pieces that decoders hand on.
const PIECE: usize = 32 << 10;

#[derive(Clone, Copy, PartialEq)]
enum Wrapper {
    Gzip,
    /// RFC 9110 §8.4.1.2 means zlib; some servers send raw deflate.
    ZlibOrRaw,
}

/// gzip (RFC 1952, several members), zlib (RFC 1950) and raw deflate (RFC 1951).
struct Inflate {
    wrapper: Wrapper,
    /// `None` until the first two bytes told what it is.
    state: Option<Decompress>,
    /// The first byte, when it came alone.
    first: Option<u8>,
    place: Place,
}

/// Where in a series of gzip members the reading is; zlib and deflate are a single one.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Member,
    /// A member has ended; another may follow.
    Between,
    /// Padding has begun, behind which nothing more comes.
    Padding,
}

impl Inflate {
    fn new(wrapper: Wrapper) -> Self {
        Self { wrapper, state: None, first: None, place: Place::Member }
    }

    fn push(&mut self, mut input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        if self.state.is_none() {
            let mut start = [0u8; 2];
            let have = self.first.iter().chain(input.iter());
            let known = start.iter_mut().zip(have).map(|(to, from)| *to = *from).count();
            if known < 2 {
                self.first = self.first.or(input.first().copied());
                return Ok(());
            }
            let mut state = match self.wrapper {
                Wrapper::Gzip => Decompress::new_gzip(15),
                Wrapper::ZlibOrRaw => {
                    let is_zlib = start[0] & 0x0f == 8 && u16::from_be_bytes(start).is_multiple_of(31);
                    Decompress::new(is_zlib)
                }
            };
            if let Some(first) = self.first.take() {
                self.run(&mut state, &[first], emit)?;
            }
            self.state = Some(state);
        }
        let Some(mut state) = self.state.take() else { return Ok(()) };
        let result = loop {
            if self.place != Place::Member {
                let Some(&next) = input.first() else { break Ok(()) };
                if self.place == Place::Padding || self.wrapper != Wrapper::Gzip || next != 0x1f {
                    self.place = Place::Padding;
                    break Ok(());
                }
                state = Decompress::new_gzip(15);
                self.place = Place::Member;
            }
            match self.run(&mut state, input, emit) {
                Ok(used) => input = input.get(used..).unwrap_or_default(),
                Err(stop) => break Err(stop),
            }
            if self.place == Place::Member || input.is_empty() {
                break Ok(());
            }
        };
        self.state = Some(state);
        result
    }

    /// Inflates until the input is used up or the stream ends; says how much was used.
    fn run(&mut self, state: &mut Decompress, input: &[u8], emit: Emit<'_>) -> Result<usize, Stop> {
        let mut used = 0;
        let mut output = Vec::with_capacity(PIECE.min(input.len().saturating_mul(8).max(512)));
        loop {
            let (read_before, wrote_before) = (state.total_in(), state.total_out());
            let rest = input.get(used..).unwrap_or_default();
            let status = state.decompress_vec(rest, &mut output, FlushDecompress::None);
            used += (state.total_in() - read_before) as usize;
            hand_on(&output, emit)?;
            let full = output.len() == output.capacity();
            output.clear();
            match status {
                Err(_) => return Err(Stop::Broken),
                Ok(Status::StreamEnd) => {
                    self.place = Place::Between;
                    return Ok(used);
                }
                Ok(_) if used == input.len() && !full => return Ok(used),
                Ok(_) if state.total_in() == read_before && state.total_out() == wrote_before => return Ok(used),
                Ok(_) => {}
            }
        }
    }
}

/// Brotli (RFC 7932).
struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total_out: usize,
    is_done: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let state = BrotliState::new(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
        Self { state, total_out: 0, is_done: false }
    }
}

impl Brotli {
    fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        let (mut input_left, mut input_at) = (input.len(), 0);
        let mut output = [0u8; PIECE / 2];
        while !self.is_done {
            let (mut space, mut written) = (output.len(), 0);
            let result = BrotliDecompressStream(
                &mut input_left,
                &mut input_at,
                input,
                &mut space,
                &mut written,
                &mut output,
                &mut self.total_out,
                &mut self.state,
            );
            hand_on(output.get(..written).unwrap_or_default(), emit)?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                // What is decoded but had no room comes with the next call.
                BrotliResult::NeedsMoreInput if space == 0 => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultSuccess => self.is_done = true,
                BrotliResult::ResultFailure => {
                    self.is_done = true;
                    return Err(Stop::Broken);
                }
            }
        }
        Ok(())
    }
}

/// Zstandard (RFC 8878), several frames; the window is bounded as RFC 9659 asks of HTTP.
#[derive(Default)]
struct Zstd {
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
    fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        self.pending.extend_from_slice(input);
        let pending = std::mem::take(&mut self.pending);
        let mut reader = Reader::new(&pending);
        let result = self.run(&mut reader, emit);
        self.pending.extend_from_slice(reader.rest());
        result
    }

    /// The decoder holds a window back until the frame ends: an empty last block makes it end.
    fn finish(&mut self, emit: Emit<'_>) -> Result<(), Stop> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::fuzzing::BROTLI;
    use std::io::Write;

    fn text() -> Vec<u8> {
        (0..20_000u32)
            .flat_map(|n| format!("line {} {}\n", n, n.wrapping_mul(2_654_435_761) >> 20).into_bytes())
            .collect()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn decode(codings: &str, coded: &[u8], step: usize) -> (Vec<u8>, Result<(), Stop>, bool) {
        let mut codings = Codings::parse([codings.as_bytes()].into_iter(), 5).ok().unwrap();
        let mut out = Vec::new();
        let mut result = Ok(());
        for piece in coded.chunks(step) {
            result = codings.push(piece, &mut |bytes| {
                out.extend_from_slice(bytes);
                ControlFlow::Continue(())
            });
            if result.is_err() {
                break;
            }
        }
        let complete = codings.is_complete();
        if result.is_ok() {
            result = codings.finish(&mut |bytes| {
                out.extend_from_slice(bytes);
                ControlFlow::Continue(())
            });
        }
        (out, result, complete)
    }

    /// "line 0 of the page\n" to "line 59 …", made with the reference encoder at quality 11.
    fn brotli_plain() -> Vec<u8> {
        (0..60).flat_map(|n| format!("line {n} of the page\n").into_bytes()).collect()
    }

    #[test]
    fn any_split_decodes_to_the_same() {
        let plain = text();
        let stacked = gzip(&zlib(&plain));
        let two_members = [gzip(&plain[..1000]), gzip(&plain[1000..])].concat();
        let cases: [(&str, Vec<u8>); 7] = [
            ("gzip", gzip(&plain)),
            ("x-gzip", two_members),
            ("deflate", zlib(&plain)),
            ("deflate", raw(&plain)),
            ("zstd", zstd(&plain)),
            ("deflate, gzip", stacked),
            ("identity", plain.clone()),
        ];
        for (coding, coded) in &cases {
            for step in [1, 2, 3, 7, 1000, 1 << 20] {
                let (out, result, complete) = decode(coding, coded, step);
                assert_eq!(result, Ok(()), "{coding} by {step}");
                assert!(out == plain, "{coding} by {step}: {} bytes", out.len());
                assert!(complete, "{coding} by {step}");
            }
        }
    }

    #[test]
    fn brotli_in_any_split() {
        for step in [1, 2, 5, 1000] {
            assert_eq!(decode("br", BROTLI, step), (brotli_plain(), Ok(()), true));
        }
        let (out, result, complete) = decode("br", &BROTLI[..BROTLI.len() - 10], 7);
        assert!(result.is_ok() && !complete && out.len() > 100 && brotli_plain().starts_with(&out), "{}", out.len());
    }

    #[test]
    fn a_cut_stream_decodes_as_far_as_it_goes() {
        let plain = text();
        for (coding, coded) in [("gzip", gzip(&plain)), ("deflate", zlib(&plain)), ("zstd", zstd(&plain))] {
            let (out, result, complete) = decode(coding, &coded[..coded.len() * 3 / 4], 1000);
            assert_eq!(result, Ok(()));
            assert!(!complete);
            assert!(out.len() > plain.len() / 3 && plain.starts_with(&out), "{coding}: {}", out.len());
        }
    }

    #[test]
    fn mutations_do_no_harm() {
        let plain = text();
        let mut seed = 7u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        for (coding, coded) in
            [("gzip", gzip(&plain)), ("deflate", raw(&plain)), ("zstd", zstd(&plain)), ("br", BROTLI.to_vec())]
        {
            for _ in 0..60 {
                let mut coded = coded.clone();
                for _ in 0..1 + random() % 4 {
                    let at = random() % coded.len();
                    coded[at] ^= 1 << (random() % 8);
                }
                let mut codings = Codings::parse([coding.as_bytes()].into_iter(), 5).ok().unwrap();
                let mut total = 0;
                let _ = codings.push(&coded, &mut |bytes| {
                    total += bytes.len();
                    if total > 4 << 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                assert!(total <= (4 << 20) + (1 << 20));
            }
        }
    }

    #[test]
    fn unknown_and_too_many_codings_are_named() {
        let parse = |value: &'static str| Codings::parse([value.as_bytes()].into_iter(), 2).err();
        assert_eq!(parse("gzip, aws-chunked").as_deref(), Some("aws-chunked"));
        assert_eq!(parse("gzip, gzip, br").as_deref(), Some("br"));
        assert_eq!(parse("GZIP, identity"), None);
    }
}
