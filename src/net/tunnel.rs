//! Tunnels above IP: GRE with what it carries, and those in UDP.

use super::decoder::Walk;
use super::link::ether_type as ether;
use super::wire::{Fault, Wire, be16};

/// UDP ports of tunnels, as assigned by IANA; 8472 is what Linux used for VXLAN before there was a number.
mod port {
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const TEREDO: u16 = 3544;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const GENEVE: u16 = 6081;
    pub(super) const VXLAN_LINUX: u16 = 8472;
}

impl Walk<'_> {
    /// GRE ([RFC 2890](https://www.rfc-editor.org/rfc/rfc2890)), and PPTP's version 1 of it (RFC 2637 §4.1).
    ///
    /// ```text
    /// +-+-+-+-+-+---------+-+-------+-----+-----------------+
    /// |C|R|K|S|s| recur   |A| flags | ver | protocol type   |
    /// +-+-+-+-+-+---------+-+-------+-----+-----------------+
    ///  C: checksum, offset 4   K: key 4   S: sequence 4   A (ver 1): acknowledgment 4
    /// ```
    pub(super) fn gre(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let (&[high, low, p0, p1], wire) = wire.split()?;
        let has = |bit: u8| high & bit != 0;
        let version = low & 0x07;
        let has_acknowledgment = version == 1 && low & 0x80 != 0;
        // RFC 1701 routing was withdrawn; RFC 2784 §2.2 has it discarded.
        if version > 1 || has(0x40) {
            return Ok(());
        }
        let fields = [has(0x80), has(0x20), has(0x10), has_acknowledgment];
        let inner = wire.skip(4 * fields.into_iter().filter(|&present| present).count())?;
        match be16(p0, p1) {
            ether::ERSPAN_II => {
                // Type I has neither sequence nor header; type II is told by the sequence number.
                let inner = if has(0x10) { inner.skip(8)? } else { inner };
                self.deeper(|walk| walk.ethernet(inner))
            }
            ether::ERSPAN_III => {
                let (header, rest) = inner.split::<12>()?;
                // The O bit: an 8-byte subheader of the platform follows.
                let inner = if header[11] & 1 != 0 { rest.skip(8)? } else { rest };
                self.deeper(|walk| walk.ethernet(inner))
            }
            ether::PPP => match inner.data {
                // Acknowledgments without payload.
                [] => Ok(()),
                _ => self.deeper(|walk| walk.ppp(inner)),
            },
            // WCCPv2 puts a redirect header of 4 bytes before the packet, version 1 does not.
            ether::WCCP => {
                let inner = if Self::is_ip(inner) { inner } else { inner.skip(4)? };
                self.deeper(|walk| walk.ip(inner))
            }
            kind => self.deeper(|walk| walk.ether_type(kind, inner)),
        }
    }

    /// What a tunnel in UDP carries; `None` when this is none.
    pub(super) fn udp_tunnel(&mut self, [source, destination]: [u16; 2], wire: Wire<'_>) -> Option<Result<(), Fault>> {
        let done = match (source, destination) {
            (_, port::VXLAN | port::VXLAN_LINUX) => {
                let inner = vxlan(wire)?;
                self.deeper(|walk| walk.ethernet(inner))
            }
            (_, port::VXLAN_GPE) => {
                let (protocol, inner) = vxlan_gpe(wire)?;
                self.deeper(|walk| walk.next_protocol(protocol, inner))
            }
            (_, port::GENEVE) => {
                let (kind, inner) = geneve(wire)?;
                self.deeper(|walk| walk.ether_type(kind, inner))
            }
            (port::GTP_U, _) | (_, port::GTP_U) => {
                let inner = gtp_u(wire)?;
                self.deeper(|walk| walk.ip(inner))
            }
            (port::TEREDO, _) | (_, port::TEREDO) => {
                let inner = teredo(wire)?;
                self.deeper(|walk| walk.ipv6(inner))
            }
            _ => return None,
        };
        Some(done)
    }

    /// Network service header ([RFC 8300 §2.2](https://www.rfc-editor.org/rfc/rfc8300#section-2.2)).
    pub(super) fn nsh(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let &[_, len, _, protocol] = wire.peek()?;
        let words = usize::from(len & 0x3f);
        if words < 2 {
            return Err(Fault::Malformed);
        }
        let inner = wire.skip(4 * words)?;
        self.deeper(|walk| walk.next_protocol(protocol, inner))
    }

    /// By the numbers that NSH and VXLAN-GPE share.
    fn next_protocol(&mut self, protocol: u8, wire: Wire<'_>) -> Result<(), Fault> {
        match protocol {
            1 => self.ipv4(wire),
            2 => self.ipv6(wire),
            3 => self.ethernet(wire),
            4 => self.nsh(wire),
            5 => self.mpls(wire),
            _ => Ok(()),
        }
    }
}

/// VXLAN ([RFC 7348 §5](https://www.rfc-editor.org/rfc/rfc7348#section-5)): flags, group policy, network, all 8 bytes.
fn vxlan(wire: Wire<'_>) -> Option<Wire<'_>> {
    let (&[flags, _, _, _, _, _, _, reserved], inner) = wire.split().ok()?;
    // The I bit says that a network is named, the first bit that a group policy is; the others are reserved.
    (flags & 0x7f == 0x08 && reserved == 0 && ether::is_ethernet(inner)).then_some(inner)
}

/// VXLAN-GPE ([draft-ietf-nvo3-vxlan-gpe](https://datatracker.ietf.org/doc/draft-ietf-nvo3-vxlan-gpe/)): the fourth byte names
/// the protocol when the P bit is set.
fn vxlan_gpe(wire: Wire<'_>) -> Option<(u8, Wire<'_>)> {
    let (&[flags, _, _, protocol, _, _, _, reserved], inner) = wire.split().ok()?;
    let protocol = if flags & 0x04 != 0 { protocol } else { 3 };
    (flags & 0xc0 == 0 && reserved == 0 && (1..=5).contains(&protocol)).then_some((protocol, inner))
}

/// GENEVE ([RFC 8926 §3.4](https://www.rfc-editor.org/rfc/rfc8926#section-3.4)).
///
/// ```text
/// +---+-----------+-+-+-----------+-----------------------+
/// |ver| opt words |O|C| reserved  | protocol type         |
/// +---+-----------+-+-+-----------+-----------+-----------+
/// | network                                   | reserved  |
/// +-------------------------------------------+-----------+
/// ```
fn geneve(wire: Wire<'_>) -> Option<(u16, Wire<'_>)> {
    let (&[options, flags, p0, p1, _, _, _, reserved], rest) = wire.split().ok()?;
    let inner = rest.skip(4 * usize::from(options & 0x3f)).ok()?;
    let kind = be16(p0, p1);
    let is_plausible = match kind {
        ether::ETHERNET => ether::is_ethernet(inner),
        kind => ether::is_known(kind),
    };
    (options >> 6 == 0 && flags & 0x3f == 0 && reserved == 0 && is_plausible).then_some((kind, inner))
}

/// GTP-U version 1, message G-PDU (3GPP TS 29.281 §5.1).
///
/// ```text
/// +-----+--+-+-+-+--+----------+-----------------+
/// | ver |PT|*|E|S|PN| type     | length          |
/// +-----+--+-+-+-+--+----------+-----------------+
/// | tunnel endpoint                              |
/// +-------------------------+---------+----------+
/// | sequence                | N-PDU   | next ext |   when E, S or PN
/// +-------------------------+---------+----------+
/// ```
fn gtp_u(wire: Wire<'_>) -> Option<Wire<'_>> {
    const G_PDU: u8 = 0xff;
    let (&[flags, G_PDU, l0, l1, _, _, _, _], rest) = wire.split().ok()? else { return None };
    let len = usize::from(be16(l0, l1));
    if flags >> 4 != 3 || len > rest.len() {
        return None;
    }
    let mut inner = rest.first(len);
    if flags & 0x07 != 0 {
        let (&[_, _, _, mut next], rest) = inner.split().ok()?;
        inner = rest;
        if flags & 0x04 != 0 {
            // Each extension header states its length in 4-byte words and ends with the type of the next.
            while next != 0 {
                let words = usize::from(inner.peek::<1>().ok()?[0]);
                next = *inner.data.get((4 * words).checked_sub(1)?)?;
                inner = inner.skip(4 * words).ok()?;
            }
        }
    }
    matches!(inner.data.first(), Some(0x45..=0x4f | 0x60..=0x6f)).then_some(inner)
}

/// Teredo ([RFC 4380 §5.1.1](https://www.rfc-editor.org/rfc/rfc4380#section-5.1.1)): authentication and origin, both optional,
/// then IPv6.
fn teredo(wire: Wire<'_>) -> Option<Wire<'_>> {
    let mut inner = wire;
    if let Ok(([0, 1, id_len, authentication_len], rest)) = inner.split() {
        // Nonce 8 and confirmation 1.
        inner = rest.skip(usize::from(*id_len) + usize::from(*authentication_len) + 9).ok()?;
    }
    if let Ok([0, 0]) = inner.peek() {
        inner = inner.skip(8).ok()?;
    }
    let version = inner.peek::<1>().ok()?[0] >> 4;
    (version == 6 && Walk::is_ip(inner)).then_some(inner)
}
