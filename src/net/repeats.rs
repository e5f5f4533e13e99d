//! The same packet captured twice: by mirror ports, or on two interfaces it passed.

use std::hash::{BuildHasher, Hasher};

use crate::base::Timestamp;

/// Packets remembered: the two copies of a mirrored packet lie a few packets apart.
const KEPT: usize = 64;
/// Largest time between copies in nanoseconds, when the packet has an IP identification that a retransmission would change.
const WITH_ID: u64 = 100_000_000;
/// The same without one (IPv6, or IPv4 with id 0): shorter than any retransmission timer.
const WITHOUT_ID: u64 = 2_000_000;

/// What makes a packet the same packet. Fields that routers rewrite (TTL, DSCP, header checksum) are not part of it.
pub(super) struct Identity<'a> {
    /// Source and destination address.
    pub(super) addresses: &'a [u8],
    /// IP identification, 0 when there is none.
    pub(super) id: u32,
    /// Protocol or next header, and the fragment offset.
    pub(super) place: u32,
    /// Length of the IP payload on the wire.
    pub(super) len: usize,
    /// Transport header; the whole payload where no sequence number and checksum stand for it.
    pub(super) content: &'a [u8],
}

/// The last packets, as hashes.
///
/// A swallowed copy loses no data even when it was a real retransmission: its twin was handed on, and for TCP equal sequence
/// numbers, lengths and checksums mean equal bytes. What could be lost is only its count, hence the short times.
#[derive(Debug)]
pub(super) struct Repeats {
    state: foldhash::fast::RandomState,
    /// Low halves of the hashes, together, so that a search reads four cache lines.
    marks: [u32; KEPT],
    packets: [(u64, Timestamp); KEPT],
    next: usize,
}

impl Repeats {
    pub(super) fn new() -> Self {
        Self {
            state: foldhash::fast::RandomState::default(),
            marks: [0; KEPT],
            packets: [(0, Timestamp(i64::MIN)); KEPT],
            next: 0,
        }
    }

    /// True when this packet was seen a moment ago; else it is remembered.
    #[inline]
    pub(super) fn has_seen(&mut self, packet: &Identity<'_>, time: Timestamp) -> bool {
        let mut hasher = self.state.build_hasher();
        hasher.write(packet.addresses);
        hasher.write_u64(u64::from(packet.id) << 32 | u64::from(packet.place));
        hasher.write_usize(packet.len);
        hasher.write(packet.content);
        let hash = hasher.finish();
        let mark = hash as u32;
        let age = if packet.id == 0 { WITHOUT_ID } else { WITH_ID };
        // Almost every search fails: first ask for any match without a branch per packet.
        if self.marks.iter().fold(false, |any, &kept| any | (kept == mark)) {
            let twin = self.packets.iter().any(|&(kept, at)| kept == hash && time.0.abs_diff(at.0) <= age);
            if twin {
                return true;
            }
        }
        let at = self.next % KEPT;
        if let (Some(kept), Some(slot)) = (self.marks.get_mut(at), self.packets.get_mut(at)) {
            *kept = mark;
            *slot = (hash, time);
        }
        self.next = at + 1;
        false
    }
}
