//! Brotli.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Emit, PIECE, Stop, hand_on};

/// Brotli (RFC 7932).
pub(super) struct Brotli {
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
    /// True when the stream came to its own end.
    pub(super) fn is_complete(&self) -> bool {
        self.is_done
    }

    /// About how many bytes it allocates.
    pub(super) fn memory(&self) -> usize {
        (64 << 10) + self.total_out.min(16 << 20)
    }

    pub(super) fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
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
