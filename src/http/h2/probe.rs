//! Is this HTTP/2?

use super::frame::{FrameHeader, HEADER_LEN, PREFACE, flag, kind};

/// What the first bytes of a direction say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are HTTP/2.
    Yes,
    /// They may be, with more bytes.
    Maybe,
    /// They are not.
    No,
}

/// Looks at the bytes a direction begins with, where nothing else says what they are: the client's preface, the server's
/// first SETTINGS, or, in a capture that starts later, a chain of frames without one doubtful bit.
pub fn probe(bytes: &[u8]) -> Verdict {
    let same = bytes.iter().zip(PREFACE).take_while(|(a, b)| a == b).count();
    // `PRI ` is no method of HTTP/1: less of it could become `PRINT`.
    if same == PREFACE.len() {
        return Verdict::Yes;
    }
    if same == bytes.len() {
        return Verdict::Maybe;
    }
    chain(bytes)
}

/// Four headers in a row, or a first SETTINGS and one more header, or the same up to where the bytes end.
fn chain(bytes: &[u8]) -> Verdict {
    const ENOUGH: u32 = 4;
    let mut at = 0;
    let mut count = 0;
    while count < ENOUGH {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(head) = rest.first_chunk::<HEADER_LEN>() else { break };
        if !FrameHeader::is_plausible(head, 0) {
            return Verdict::No;
        }
        let header = FrameHeader::parse(head);
        let is_settings = header.kind == kind::SETTINGS && !header.has(flag::ACK);
        count += if is_settings && is_known(rest.get(HEADER_LEN..).unwrap_or_default(), header) { 3 } else { 1 };
        at = at.saturating_add(HEADER_LEN + header.length as usize);
    }
    if count >= ENOUGH || at == bytes.len() && count >= 2 { Verdict::Yes } else { Verdict::Maybe }
}

/// SETTINGS of which all at hand are settings that exist.
fn is_known(payload: &[u8], header: FrameHeader) -> bool {
    let payload = payload.get(..header.length as usize).unwrap_or(payload);
    super::frame::settings(payload).all(|(id, _)| matches!(id, 1..=6 | 8 | 9) || id & 0x0f0f == 0x0a0a)
}
