//! Acknowledgments padded to the least length of an Ethernet frame, where the IP header counts the padding as payload.
//!
//! Some network processors do that. Such a segment looks like one with a few zero bytes, so whether it is one shows in what follows:
//! the sender's sequence number does not move, and nobody acknowledges the zeros.

use super::reassembly::Link;
use crate::base::Stamp;
use crate::net::{Packet, TcpFlags, TcpHeader};

/// What is left of the 46 bytes an Ethernet frame carries at least, behind the headers of IPv4 and TCP.
const PADDING_MAX: usize = 6;

/// A segment that may be nothing but an acknowledgment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Padding {
    pub(super) header: TcpHeader,
    pub(super) len: usize,
    pub(super) stamp: Stamp,
    pub(super) selected: bool,
    /// What it had acknowledged, as for data.
    pub(super) link: Link,
}

/// What a later packet says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// It carried bytes.
    Bytes,
    /// It carried none.
    Padding,
}

/// True when a segment at this offset of a stream, which was seen up to `high`, may be a padded acknowledgment. Bytes that end a write are pushed (RFC 9293 §3.9.1.2).
pub(super) fn may_pad(packet: &Packet<'_>, header: &TcpHeader, at: i64, high: u64) -> bool {
    let (len, flags) = (packet.payload.len(), header.flags);
    (1..=PADDING_MAX).contains(&len)
        && packet.cut == 0
        && packet.source.address.is_ipv4()
        && flags.has(TcpFlags::ACK)
        && !flags.has(TcpFlags::SYN)
        && !flags.has(TcpFlags::PSH)
        && packet.payload.iter().all(|&byte| byte == 0)
        && at.saturating_add(len as i64) > high as i64
        && at <= high as i64
}

impl Padding {
    /// Behind its bytes and its FIN.
    fn end(&self) -> u32 {
        let fin = u32::from(self.header.flags.has(TcpFlags::FIN));
        self.header.sequence.wrapping_add(self.len as u32).wrapping_add(fin)
    }

    /// What the next packet of the same sender says.
    pub(super) fn told_by_sender(&self, header: &TcpHeader, may_pad: bool) -> Told {
        let ends = header.flags.has(TcpFlags::FIN) && !self.header.flags.has(TcpFlags::FIN);
        match header.sequence.wrapping_sub(self.header.sequence) {
            // The same once more. A keep-alive stands one before.
            0 | u32::MAX if may_pad && !ends => Told::Nothing,
            0 | u32::MAX => Told::Padding,
            _ if header.sequence == self.end() => Told::Bytes,
            1..0x8000_0000 => Told::Padding,
            _ => Told::Nothing,
        }
    }

    /// What an acknowledgment by the other side says. One of more than these bytes says nothing of them: what else was sent
    /// is not in the capture.
    pub(super) fn told_by_receiver(&self, acknowledgment: u32) -> Told {
        match acknowledgment.wrapping_sub(self.header.sequence) {
            _ if acknowledgment == self.end() => Told::Bytes,
            1..0x8000_0000 => Told::Padding,
            _ => Told::Nothing,
        }
    }
}
