//! Zstandard ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878)), frame behind frame, as a stream.

use std::io::{self, BufRead, Read};

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

/// Header of a block, which the decoder likes to have together with the block before it.
const BLOCK_HEADER: usize = 3;
/// Coded bytes that say what a frame is.
const FRAME_BEGIN: usize = 5;
/// What the decoder takes besides the window: its tables, and a block that is not whole.
const TABLES: usize = 256 << 10;

/// Undoes Zstandard. What a block holds is there as soon as its last byte came.
pub struct Unzstd {
    context: DCtx<'static>,
    /// Coded bytes that the decoder asks for.
    wanted: usize,
    is_open: bool,
    written: usize,
}

/// What a step used and made, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Coded bytes.
    pub read: usize,
    /// Decoded bytes.
    pub written: usize,
}

impl Unzstd {
    /// A decoder for frames whose window is no larger than the largest power of two in `window` bytes (1 KiB to 2 GiB).
    pub fn new(window: usize) -> Self {
        let mut context = DCtx::create();
        let log = window.max(1).ilog2().clamp(10, if cfg!(target_pointer_width = "64") { 31 } else { 30 });
        // It is refused only for sizes that are no sizes.
        let _ = context.set_parameter(DParameter::WindowLogMax(log));
        Self { context, wanted: FRAME_BEGIN, is_open: false, written: 0 }
    }

    /// True between frames.
    pub fn is_between_frames(&self) -> bool {
        !self.is_open
    }

    /// Decodes some of `input` into `output`. Nothing more is to be had when all input is read and output is left. `Err` says what is
    /// broken; everything decoded before that was handed out by the steps before.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, &'static str> {
        // A block never comes in one step with what follows it: the decoder drops what it made in a step that fails.
        let most = if self.wanted > BLOCK_HEADER { self.wanted - BLOCK_HEADER } else { self.wanted };
        let mut source = InBuffer::around(input.get(..most).unwrap_or(input));
        let mut into = OutBuffer::around(output);
        let hint = self.context.decompress_stream(&mut into, &mut source).map_err(get_error_name)?;
        let step = Step { read: source.pos(), written: into.pos() };
        self.is_open = hint > 0 && (self.is_open || step.read > 0);
        self.wanted = if hint > 0 { hint } else { FRAME_BEGIN };
        self.written = self.written.saturating_add(step.written);
        Ok(step)
    }

    /// About how many bytes it takes: a window is made at once, but takes no memory before it fills.
    pub fn allocated(&self) -> usize {
        self.context.sizeof().min(self.written.saturating_add(TABLES))
    }
}

/// Reads what frames hold; a frame that is cut ends in an error.
pub struct Reader<R> {
    source: R,
    decoder: Unzstd,
    /// The last read was filled: the decoder may hold more, for which nobody is to wait.
    is_full: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads frames from `source`; of windows see [`Unzstd::new`].
    pub fn new(source: R, window: usize) -> Self {
        Self { source, decoder: Unzstd::new(window), is_full: false }
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let is_full = std::mem::take(&mut self.is_full);
            let input = if is_full { &[] } else { self.source.fill_buf()? };
            let is_over = input.is_empty() && !is_full;
            let step =
                self.decoder.step(input, into).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
            self.source.consume(step.read);
            self.is_full = step.written == into.len();
            match step.written {
                0 if !is_over => {}
                0 if !self.decoder.is_between_frames() => return Err(io::ErrorKind::UnexpectedEof.into()),
                written => return Ok(written),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(coded: &[u8], piece: usize, room: usize) -> (Vec<u8>, Result<(), &'static str>, bool) {
        let (mut decoder, mut plain, mut output) = (Unzstd::new(8 << 20), Vec::new(), vec![0; room]);
        for mut rest in coded.chunks(piece) {
            loop {
                match decoder.step(rest, &mut output) {
                    Ok(Step { read, written }) => {
                        plain.extend_from_slice(&output[..written]);
                        rest = &rest[read..];
                        if rest.is_empty() && written < room {
                            break;
                        }
                    }
                    Err(what) => return (plain, Err(what), false),
                }
            }
        }
        (plain, Ok(()), decoder.is_between_frames())
    }

    fn lines(count: u32) -> Vec<u8> {
        (0..count).flat_map(|n| format!("line {n} {}\n", n.wrapping_mul(2_654_435_761) >> 12).into_bytes()).collect()
    }

    #[test]
    fn frames_come_out_whatever_the_pieces() {
        let plain = lines(30_000);
        let coded = [
            zstd::bulk::compress(&plain[..200_000], 3).unwrap(),
            b"\x53\x2a\x4d\x18\x07\0\0\0skipped".to_vec(),
            zstd::encode_all(&plain[200_000..], 1).unwrap(),
        ]
        .concat();
        for (piece, room) in [(1, 1), (7, 100_000), (1460, 1000), (usize::MAX, 32 << 10), (usize::MAX, 1 << 20)] {
            let (found, result, is_whole) = decode(&coded, piece, room);
            assert!(found == plain && result == Ok(()) && is_whole, "{piece} into {room}: {} {result:?}", found.len());
        }
        let cut = &coded[..coded.len() - 1];
        let (found, result, is_whole) = decode(cut, 1460, 1000);
        assert!(plain.starts_with(&found) && result == Ok(()) && !is_whole);
        let mut read = Vec::new();
        assert_eq!(Reader::new(coded.as_slice(), 8 << 20).read_to_end(&mut read).unwrap(), plain.len());
        assert!(read == plain);
        let fault = Reader::new(cut, 8 << 20).read_to_end(&mut read).unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_block_is_there_with_its_last_byte_and_stays_when_what_follows_is_broken() {
        // Raw blocks of a frame without content size and checksum.
        let frame = |blocks: &[(&[u8], u32)]| {
            let mut coded = b"\x28\xb5\x2f\xfd\0\x58".to_vec();
            for (content, kind) in blocks {
                coded.extend(&((content.len() as u32) << 3 | kind << 1).to_le_bytes()[..3]);
                coded.extend(*content);
            }
            coded
        };
        let (first, second) = ([b'1'; 300], [b'2'; 500]);
        let coded = frame(&[(&first, 0), (&second, 0)]);
        for cut in 0..=coded.len() {
            let (found, result, _) = decode(&coded[..cut], usize::MAX, 4096);
            let wanted = if cut < coded.len() { (cut >= 9 + 300) as usize * 300 } else { 800 };
            // A raw block may come out before it is whole.
            assert!(found.len() >= wanted && result == Ok(()), "{cut}: {}", found.len());
        }
        // The third block is of a kind that does not exist.
        let (found, result, _) = decode(&frame(&[(&first, 0), (&second, 0), (b"x", 3)]), usize::MAX, 4096);
        assert!(found == [&first[..], &second].concat() && result.is_err(), "{}", found.len());
        let (found, result, _) = decode(&[coded, b"no frame".to_vec()].concat(), usize::MAX, 4096);
        assert!(found == [&first[..], &second].concat() && result.is_err(), "{}", found.len());
    }

    #[test]
    fn a_live_source_is_not_asked_before_all_that_came_was_read() {
        struct Silent;
        impl Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("nothing comes for a while")
            }
        }
        let plain = lines(3000);
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        std::io::Write::write_all(&mut encoder, &plain).unwrap();
        std::io::Write::flush(&mut encoder).unwrap();
        let source = encoder.get_ref().as_slice().chain(io::BufReader::new(Silent));
        let (mut reader, mut read) = (Reader::new(source, 8 << 20), vec![0; plain.len()]);
        for piece in read.chunks_mut(1000) {
            reader.read_exact(piece).unwrap();
        }
        assert!(read == plain);
    }

    #[test]
    fn windows_are_bounded() {
        let plain = lines(200_000);
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(24).unwrap();
        std::io::Write::write_all(&mut encoder, &plain).unwrap();
        let coded = encoder.finish().unwrap();
        assert!(decode(&coded, 1000, 1000).1.is_err());
        let (mut decoder, mut output) = (Unzstd::new(16 << 20), [0; 1000]);
        let idle = decoder.allocated();
        let (mut rest, mut most) = (coded.as_slice(), 0);
        while most < 3 << 20 {
            let step = decoder.step(rest, &mut output).unwrap();
            rest = &rest[step.read..];
            most = decoder.allocated();
        }
        assert!(idle < TABLES && most < 4 << 20, "{idle} {most}");
    }
}
