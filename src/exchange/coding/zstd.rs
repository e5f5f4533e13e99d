//! Zstandard.

use super::{Emit, PIECE, Stop, hand_on};
use crate::base::Unzstd;

/// Zstandard, several frames; the window is bounded as [RFC 9659](https://www.rfc-editor.org/rfc/rfc9659) asks of HTTP.
#[derive(Default)]
pub(super) struct Zstd {
    /// Nothing before the first byte.
    decoder: Option<Box<Unzstd>>,
}

const WINDOW: usize = 8 << 20;

impl Zstd {
    /// True between frames.
    pub(super) fn is_complete(&self) -> bool {
        self.decoder.as_ref().is_none_or(|decoder| decoder.is_between_frames())
    }

    /// About how many bytes it allocates.
    pub(super) fn memory(&self) -> usize {
        self.decoder.as_ref().map_or(0, |decoder| decoder.allocated())
    }

    pub(super) fn push(&mut self, mut input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        let decoder = self.decoder.get_or_insert_with(|| Box::new(Unzstd::new(WINDOW)));
        let mut output = [0; PIECE];
        while !input.is_empty() {
            let mut written = output.len();
            // What had no room comes with the next step.
            while written == output.len() {
                let step = decoder.step(input, &mut output).map_err(|_| Stop::Broken)?;
                input = input.get(step.read..).unwrap_or_default();
                written = step.written;
                hand_on(output.get(..written).unwrap_or_default(), emit)?;
            }
        }
        Ok(())
    }
}
