//! DEFLATE for messages inside bodies, with a bound on what comes out.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};

/// Why a message could not be inflated to its end; what came out before is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The coded bytes are broken.
    Broken,
    /// More came out than the limit.
    TooLarge,
}

/// Inflates one message of a raw stream that goes on in the next one; `true` when the stream said it ends here.
pub fn message(stream: &mut Decompress, mut input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<bool, Fault> {
    loop {
        if output.len() >= limit {
            output.truncate(limit);
            return Err(Fault::TooLarge);
        }
        if output.len() == output.capacity() {
            output.reserve_exact(output.len().clamp(1024, 1 << 20).min(limit - output.len()));
        }
        let (read, written) = (stream.total_in(), stream.total_out());
        let status = stream.decompress_vec(input, output, FlushDecompress::Sync).map_err(|_| Fault::Broken)?;
        let read = stream.total_in().wrapping_sub(read) as usize;
        input = input.get(read..).unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(true);
        }
        if input.is_empty() && output.len() < output.capacity() {
            return Ok(false);
        }
        if read == 0 && stream.total_out() == written && output.len() < output.capacity() {
            return Err(Fault::Broken);
        }
    }
}

/// Inflates the whole of a gzip message.
pub fn gzip(input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), Fault> {
    read_all(flate2::read::MultiGzDecoder::new(input), limit, output)
}

/// Inflates the whole of a zlib message (`deflate` in HTTP).
pub fn zlib(input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), Fault> {
    read_all(flate2::read::ZlibDecoder::new(input), limit, output)
}

fn read_all(decoder: impl Read, limit: usize, output: &mut Vec<u8>) -> Result<(), Fault> {
    let outcome = decoder.take(limit as u64 + 1).read_to_end(output);
    if output.len() > limit {
        output.truncate(limit);
        return Err(Fault::TooLarge);
    }
    outcome.map(|_| ()).map_err(|_| Fault::Broken)
}
