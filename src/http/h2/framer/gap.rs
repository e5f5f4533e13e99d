//! Missing bytes: what they leave of the frame they lie in, and where the next one may begin.

use super::{Framer, Piece, State};
use crate::base::{Span, Stamp};

impl Framer {
    /// Takes missing bytes; `len` is 0 when their number is not known.
    pub fn gap(&mut self, len: u64, stamp: Stamp, out: &mut dyn FnMut(Piece<'_>)) {
        let span = Span::of(stamp, false);
        let from = (len > 0).then(|| self.missing_from());
        self.at = self.at.wrapping_add(len);
        let is_known = |left: u32| len > 0 && len <= u64::from(left);
        match self.state {
            State::Pad => {
                // Without its pad length none of the frame can be told from padding.
                let left = self.header.length;
                let framing = std::mem::take(&mut self.framing);
                out(Piece::DataLost { stream: self.header.stream, len: 0, stamp, framing });
                if is_known(left) {
                    return self.leave(left - len as u32, span, out);
                }
                self.end(span, out);
            }
            State::Data { content, padding } => {
                let lost = if len == 0 { content } else { u32::try_from(len).unwrap_or(u32::MAX).min(content) };
                if lost > 0 {
                    let framing = std::mem::take(&mut self.framing);
                    out(Piece::DataLost { stream: self.header.stream, len: u64::from(lost), stamp, framing });
                }
                if is_known(content.saturating_add(padding)) {
                    let padding_lost = len as u32 - lost;
                    self.framing += u64::from(padding_lost);
                    return self.data(content - lost, padding - padding_lost, span, out);
                }
                self.data(0, 0, span, out);
            }
            State::Collect => {
                let left = self.header.length - self.payload.len() as u32;
                out(Piece::Frame {
                    header: self.header,
                    payload: &self.payload,
                    whole: false,
                    span: self.start.join(span),
                });
                self.forget();
                if is_known(left) {
                    // The frame has been told; only its place is kept.
                    self.header.kind = u8::MAX;
                    return self.leave(left - len as u32, span, out);
                }
            }
            State::Skip { left } if is_known(left) => return self.leave(left - len as u32, span, out),
            State::Start { .. } | State::Header { is_first: true } => {
                self.missing_from = Some(None);
                out(Piece::Midway(stamp));
            }
            State::Skip { .. } | State::Header { .. } => {}
            State::Search => self.search.clear(),
        }
        self.miss(from);
        out(Piece::Lost(stamp));
        self.start_search();
    }

    /// Where the next frame would begin if nothing were missing.
    fn missing_from(&self) -> u64 {
        let at = self.at;
        match self.state {
            State::Pad => at.wrapping_add(self.header.length.into()),
            State::Data { content, padding } => at.wrapping_add(u64::from(content) + u64::from(padding)),
            State::Collect => at.wrapping_add((self.header.length as usize - self.payload.len()) as u64),
            State::Skip { left } => at.wrapping_add(left.into()),
            State::Start { .. } | State::Header { .. } | State::Search => at.wrapping_sub(self.have as u64),
        }
    }

    /// Frames are not read from there on.
    pub(super) fn miss(&mut self, from: Option<u64>) {
        self.missing_from = match (self.missing_from, from) {
            (None, from) => Some(from),
            (Some(Some(before)), Some(_)) => Some(Some(before)),
            _ => Some(None),
        };
    }
}
