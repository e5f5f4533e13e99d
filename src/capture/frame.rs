//! What a capture hands on: frames, and the decryption secrets that travel with them.

use super::block::Block;
use crate::base::{FrameNumber, Stamp, Timestamp};

/// Link-layer type of an interface, a `LINKTYPE_` value of the [tcpdump registry](https://www.tcpdump.org/linktypes.html).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

/// One captured frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Counted from 1 over all files of the run.
    pub number: FrameNumber,
    /// When it was captured.
    pub time: Timestamp,
    /// Interface of the capture, counted from 0 over all sections and files of the run.
    pub interface: u32,
    /// Link type of that interface.
    pub link_type: LinkType,
    /// Length on the wire in bytes; more than `data.len()` when the snapshot length cut it.
    pub original_len: u32,
    /// What was captured.
    pub data: &'a [u8],
    /// Where the data lies, when that may be kept.
    pub block: Option<&'a Block>,
    /// A comment that somebody wrote to this frame.
    pub comment: Option<&'a str>,
    /// True when the user selected it; entries can be limited to those with a selected frame.
    pub selected: bool,
}

impl Frame<'_> {
    /// The frame's place in the capture.
    pub fn stamp(&self) -> Stamp {
        Stamp { frame: self.number, time: self.time }
    }

    /// Bytes that the snapshot length cut off.
    pub fn cut(&self) -> usize {
        (self.original_len as usize).saturating_sub(self.data.len())
    }
}

/// Kind of decryption secrets, as numbered by the pcapng Decryption Secrets Block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretsKind {
    /// `0x544c534b`: the text of an NSS key log.
    TlsKeyLog,
    /// Any other, skipped.
    Other(u32),
}

/// Decryption secrets found in a capture.
#[derive(Clone, Copy)]
pub struct Secrets<'a> {
    /// What they are.
    pub kind: SecretsKind,
    /// Their bytes; never to be logged.
    pub data: &'a [u8],
}

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({:?}, {} bytes)", self.kind, self.data.len())
    }
}
