//! Compressed captures: streamed, recognised by their first bytes, members and frames one behind another.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::{Error as Lz4Error, FrameDecoder as Lz4Decoder};

use crate::base::zstd;

/// Compressed bytes read at once.
const INPUT: usize = 64 << 10;

/// A compression that capture files are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
    Lz4,
}

impl Coding {
    /// The coding that begins with these bytes.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match *head.first_chunk::<4>()? {
            // RFC 1952 §2.3.1: two bytes of magic, then the method, of which only 8 is defined.
            [0x1f, 0x8b, 8, _] => Some(Coding::Gzip),
            // RFC 8878 §3.1.1, and §3.1.2 for the skippable frame that pzstd puts in front.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Coding::Zstd),
            [0x04, 0x22, 0x4d, 0x18] | [0x02, 0x21, 0x4c, 0x18] => Some(Coding::Lz4),
            _ => None,
        }
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
            Coding::Lz4 => "lz4",
        }
    }

    /// The decompressed stream; `memory` bounds the window that a zstd frame may ask for.
    pub(super) fn decode(self, source: Box<dyn Read + Send>, memory: usize) -> Box<dyn Read + Send> {
        let source = BufReader::with_capacity(INPUT, source);
        match self {
            Coding::Gzip => Box::new(Gzip { decoder: MultiGzDecoder::new(source) }),
            Coding::Zstd => Box::new(zstd::Reader::new(source, memory)),
            Coding::Lz4 => Box::new(Lz4 { decoder: Some(Lz4Decoder::new(source)) }),
        }
    }
}

/// gzip members. flate2 drops what it has inflated in a call that then meets a fault, hence small calls.
struct Gzip {
    decoder: MultiGzDecoder<BufReader<Box<dyn Read + Send>>>,
}

impl Read for Gzip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let call = into.len().min(4 << 10);
        self.decoder.read(into.get_mut(..call).unwrap_or_default())
    }
}

/// lz4 frames.
struct Lz4 {
    decoder: Option<Lz4Decoder<BufReader<Box<dyn Read + Send>>>>,
}

impl Read for Lz4 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(0) };
            let skipped = match decoder.read(into) {
                Ok(0) => 0,
                Ok(read) => return Ok(read),
                Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Lz4Error>()) {
                    Some(&Lz4Error::SkippableFrame(length)) => length,
                    _ => {
                        self.decoder = None;
                        return Err(error);
                    }
                },
            };
            // The frame is over. Another one may have other block sizes, for which this decoder's buffers are not made.
            let Some(mut source) = self.decoder.take().map(Lz4Decoder::into_inner) else { return Ok(0) };
            skip(&mut source, skipped)?;
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.decoder = Some(Lz4Decoder::new(source));
        }
    }
}

fn skip(source: &mut impl Read, len: u32) -> io::Result<()> {
    let skipped = io::copy(&mut source.by_ref().take(u64::from(len)), &mut io::sink())?;
    if skipped < u64::from(len) { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
