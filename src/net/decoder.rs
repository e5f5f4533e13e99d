//! The door of the floor: frames in, transport packets out.

use super::fragments::Fragments;
use super::packet::Packet;
use super::repeats::Repeats;
use super::wire::{Fault, Wire};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Limits, Stamp};
use crate::capture::{Frame, LinkType};

/// Link types counted by name at most; a file has one per interface.
const LINK_TYPES_KEPT: usize = 256;

/// Takes link layers, tunnels and IP off frames.
///
/// Checksums are not looked at: captures of a sending host hold packets whose checksums its network card had yet to fill in.
#[derive(Debug)]
pub struct Decoder {
    pub(super) tunnel_depth: usize,
    anomalies_kept: usize,
    pub(super) fragments: Fragments,
    pub(super) repeats: Repeats,
    anomalies: Anomalies,
    unsupported: Vec<(LinkType, u64)>,
    repeated: u64,
    encrypted: u64,
    last: Stamp,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            tunnel_depth: limits.tunnel_depth,
            anomalies_kept: limits.anomalies_kept,
            fragments: Fragments::new(limits.fragment_memory, limits.fragment_age, budget),
            repeats: Repeats::new(),
            anomalies: Anomalies::default(),
            unsupported: Vec::new(),
            repeated: 0,
            encrypted: 0,
            last: Stamp::default(),
        }
    }

    /// Hands on the TCP segments and UDP datagrams of a frame: mostly one or none, several for an 802.11 aggregate.
    pub fn push(&mut self, frame: &Frame<'_>, out: &mut dyn FnMut(Packet<'_>)) {
        self.last = frame.stamp();
        let wire = Wire { data: frame.data, cut: frame.cut() };
        let mut walk = Walk { decoder: self, out, stamp: frame.stamp(), selected: frame.selected, depth: 0 };
        let done = if frame.link_type == LinkType(1) { walk.ethernet(wire) } else { walk.link(frame.link_type, wire) };
        if let Err(fault) = done {
            walk.note(match fault {
                Fault::Cut => AnomalyKind::PacketCut,
                Fault::Malformed => AnomalyKind::PacketMalformed,
                Fault::TooDeep => AnomalyKind::TunnelTooDeep,
            });
        }
    }

    /// Says that no frame follows: datagrams that are not whole count as lost.
    pub fn finish(&mut self) {
        let lost = self.fragments.finish();
        self.note_lost(lost, self.last);
    }

    /// Faults of the frames so far.
    pub fn anomalies(&self) -> &Anomalies {
        &self.anomalies
    }

    /// Link types that are not read, with the number of their frames, in order of appearance.
    pub fn unsupported(&self) -> &[(LinkType, u64)] {
        &self.unsupported
    }

    /// Copies of packets that were swallowed because the capture saw them twice.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Frames whose payload a link layer encrypted (802.11, MACsec).
    pub fn encrypted(&self) -> u64 {
        self.encrypted
    }

    pub(super) fn note(&mut self, kind: AnomalyKind, stamp: Stamp) {
        self.anomalies.note(kind, Some(stamp), self.anomalies_kept);
    }

    pub(super) fn note_lost(&mut self, datagrams: u64, stamp: Stamp) {
        for _ in 0..datagrams {
            self.note(AnomalyKind::FragmentsLost, stamp);
        }
    }
}

/// The way through one frame.
pub(super) struct Walk<'d> {
    pub(super) decoder: &'d mut Decoder,
    pub(super) out: &'d mut dyn FnMut(Packet<'_>),
    pub(super) stamp: Stamp,
    pub(super) selected: bool,
    /// Tunnels entered.
    depth: usize,
}

impl Walk<'_> {
    pub(super) fn note(&mut self, kind: AnomalyKind) {
        self.decoder.note(kind, self.stamp);
    }

    pub(super) fn note_unsupported(&mut self, link_type: LinkType) {
        self.note(AnomalyKind::LinkUnsupported);
        let unsupported = &mut self.decoder.unsupported;
        if let Some((_, frames)) = unsupported.iter_mut().find(|(known, _)| *known == link_type) {
            *frames += 1;
        } else if unsupported.len() < LINK_TYPES_KEPT {
            unsupported.push((link_type, 1));
        }
    }

    pub(super) fn note_repeated(&mut self) {
        self.decoder.repeated += 1;
    }

    pub(super) fn note_encrypted(&mut self) {
        self.decoder.encrypted += 1;
    }

    /// Goes one tunnel deeper. Everything that can hold itself passes here, so no frame can exhaust the stack.
    pub(super) fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.depth >= self.decoder.tunnel_depth {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        let done = inner(self);
        self.depth -= 1;
        done
    }
}
