//! Link layers: from the first byte of a frame to IP.

use etherparse::MacsecHeaderSlice;

use super::decoder::Walk;
use super::wire::{Fault, Wire, be16};
use crate::base::anomaly::AnomalyKind;
use crate::capture::LinkType;

/// `LINKTYPE_` values of the [tcpdump registry](https://www.tcpdump.org/linktypes.html) that are read.
mod linktype {
    pub(super) const NULL: u32 = 0;
    pub(super) const ETHERNET: u32 = 1;
    pub(super) const ARCNET_BSD: u32 = 7;
    pub(super) const PPP: u32 = 9;
    pub(super) const FDDI: u32 = 10;
    pub(super) const RAW_BSD: u32 = 12;
    pub(super) const RAW_OPENBSD: u32 = 14;
    pub(super) const PPP_HDLC: u32 = 50;
    pub(super) const PPP_ETHER: u32 = 51;
    pub(super) const ATM_RFC1483: u32 = 100;
    pub(super) const RAW: u32 = 101;
    pub(super) const C_HDLC: u32 = 104;
    pub(super) const IEEE802_11: u32 = 105;
    pub(super) const FRELAY: u32 = 107;
    pub(super) const LOOP: u32 = 108;
    pub(super) const ENC: u32 = 109;
    pub(super) const LINUX_SLL: u32 = 113;
    pub(super) const PFLOG: u32 = 117;
    pub(super) const IEEE802_11_PRISM: u32 = 119;
    pub(super) const IEEE802_11_RADIOTAP: u32 = 127;
    pub(super) const ARCNET_LINUX: u32 = 129;
    pub(super) const APPLE_IP_OVER_IEEE1394: u32 = 138;
    pub(super) const IEEE802_11_AVS: u32 = 163;
    pub(super) const PPP_PPPD: u32 = 166;
    pub(super) const PPI: u32 = 192;
    pub(super) const PPP_WITH_DIR: u32 = 204;
    pub(super) const C_HDLC_WITH_DIR: u32 = 205;
    pub(super) const FRELAY_WITH_DIR: u32 = 206;
    pub(super) const MPLS: u32 = 219;
    pub(super) const IPV4: u32 = 228;
    pub(super) const IPV6: u32 = 229;
    pub(super) const NFLOG: u32 = 239;
    pub(super) const LINUX_SLL2: u32 = 276;
}

/// EtherType values, as registered with IEEE and used by GRE.
pub(super) mod ether_type {
    use super::{Wire, be16};

    pub(in crate::net) const IPV4: u16 = 0x0800;
    pub(in crate::net) const ARP: u16 = 0x0806;
    pub(in crate::net) const WCCP: u16 = 0x883e;
    pub(in crate::net) const ERSPAN_III: u16 = 0x22eb;
    pub(in crate::net) const ETHERNET: u16 = 0x6558;
    pub(in crate::net) const VLAN: u16 = 0x8100;
    pub(in crate::net) const IPV6: u16 = 0x86dd;
    pub(in crate::net) const PPP: u16 = 0x880b;
    pub(in crate::net) const MPLS: u16 = 0x8847;
    pub(in crate::net) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in crate::net) const PPPOE_SESSION: u16 = 0x8864;
    pub(in crate::net) const JUMBO_LLC: u16 = 0x8870;
    pub(in crate::net) const SERVICE_VLAN: u16 = 0x88a8;
    pub(in crate::net) const ERSPAN_II: u16 = 0x88be;
    pub(in crate::net) const MACSEC: u16 = 0x88e5;
    pub(in crate::net) const BACKBONE: u16 = 0x88e7;
    pub(in crate::net) const VN_TAG: u16 = 0x8926;
    pub(in crate::net) const E_TAG: u16 = 0x893f;
    pub(in crate::net) const NSH: u16 = 0x894f;
    pub(in crate::net) const OLD_VLAN: u16 = 0x9100;
    pub(in crate::net) const OLDER_VLAN: u16 = 0x9200;
    pub(in crate::net) const OLDEST_VLAN: u16 = 0x9300;
    pub(in crate::net) const REDUNDANCY: u16 = 0xf1c1;

    /// True for what [`Walk::ether_type`](super::Walk::ether_type) reads, and for ARP.
    pub(in crate::net) fn is_known(kind: u16) -> bool {
        matches!(
            kind,
            IPV4 | ARP
                | IPV6
                | ETHERNET
                | VLAN
                | SERVICE_VLAN
                | OLD_VLAN
                | OLDER_VLAN
                | OLDEST_VLAN
                | MPLS
                | MPLS_MULTICAST
                | PPPOE_SESSION
                | JUMBO_LLC
                | MACSEC
                | BACKBONE
                | VN_TAG
                | E_TAG
                | NSH
                | REDUNDANCY
        )
    }

    /// True when the bytes look like an Ethernet frame: a known type, or an 802.3 length that fits.
    pub(in crate::net) fn is_ethernet(wire: Wire<'_>) -> bool {
        wire.split::<14>().is_ok_and(|(&[.., high, low], rest)| match be16(high, low) {
            len @ 3..0x600 => usize::from(len) <= rest.len(),
            kind => is_known(kind),
        })
    }
}

/// ARPHRD values that change what the protocol field of a Linux cooked header means.
mod hardware {
    pub(super) const FRAME_RELAY: u16 = 770;
    pub(super) const IEEE802_11: u16 = 801;
    pub(super) const IEEE802_11_PRISM: u16 = 802;
    pub(super) const IEEE802_11_RADIOTAP: u16 = 803;
    pub(super) const NETLINK: u16 = 824;
}

impl Walk<'_> {
    /// A frame of any link type.
    pub(super) fn link(&mut self, link_type: LinkType, wire: Wire<'_>) -> Result<(), Fault> {
        match link_type.0 {
            linktype::ETHERNET => self.ethernet(wire),
            linktype::RAW | linktype::RAW_BSD | linktype::RAW_OPENBSD => self.ip(wire),
            linktype::IPV4 => self.ipv4(wire),
            linktype::IPV6 => self.ipv6(wire),
            linktype::NULL | linktype::LOOP => self.loopback(wire),
            linktype::LINUX_SLL => {
                let (&[_, _, h0, h1, .., p0, p1], payload) = wire.split::<16>()?;
                self.cooked(be16(h0, h1), be16(p0, p1), payload)
            }
            linktype::LINUX_SLL2 => {
                let (&[p0, p1, _, _, _, _, _, _, h0, h1, ..], payload) = wire.split::<20>()?;
                self.cooked(be16(h0, h1), be16(p0, p1), payload)
            }
            linktype::PPP | linktype::PPP_HDLC => match wire.peek()? {
                [0x0f | 0x8f, 0x00] => self.cisco_hdlc(wire),
                _ => self.ppp(wire),
            },
            linktype::PPP_PPPD | linktype::PPP_WITH_DIR => self.ppp(wire.skip(1)?),
            linktype::PPP_ETHER => self.pppoe(wire),
            linktype::C_HDLC => self.cisco_hdlc(wire),
            linktype::C_HDLC_WITH_DIR => self.cisco_hdlc(wire.skip(1)?),
            linktype::FRELAY => self.frame_relay(wire),
            linktype::FRELAY_WITH_DIR => self.frame_relay(wire.skip(1)?),
            linktype::ATM_RFC1483 => self.llc(wire),
            linktype::FDDI => self.llc(wire.skip(13)?),
            linktype::IEEE802_11 => self.wifi(wire),
            linktype::IEEE802_11_RADIOTAP => self.radiotap(wire),
            linktype::IEEE802_11_PRISM => self.prism(wire),
            linktype::IEEE802_11_AVS => self.avs(wire),
            linktype::PPI => {
                let &[_, _, l0, l1, d0, d1, d2, d3] = wire.peek()?;
                let inner = LinkType(u32::from_le_bytes([d0, d1, d2, d3]));
                let payload = wire.skip(usize::from(u16::from_le_bytes([l0, l1])).max(8))?;
                self.deeper(|walk| walk.link(inner, payload))
            }
            linktype::MPLS => self.mpls(wire),
            // Family, index, flags: of BSD's IPsec, where packets show decrypted.
            linktype::ENC => self.ip(wire.skip(12)?),
            linktype::APPLE_IP_OVER_IEEE1394 => {
                let (&[.., high, low], payload) = wire.split::<18>()?;
                self.ether_type(be16(high, low), payload)
            }
            linktype::NFLOG => self.nflog(wire),
            linktype::PFLOG => {
                let len = usize::from(wire.peek::<1>()?[0]);
                self.ip(wire.skip(len.next_multiple_of(4))?)
            }
            linktype::ARCNET_BSD => {
                let (&[_, _, kind], rest) = wire.split()?;
                self.arcnet(kind, rest)
            }
            linktype::ARCNET_LINUX => {
                let (&[_, _, _, _, kind], rest) = wire.split()?;
                self.arcnet(kind, rest)
            }
            _ => {
                self.note_unsupported(link_type);
                Ok(())
            }
        }
    }

    /// An Ethernet frame.
    #[inline]
    pub(super) fn ethernet(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let (&[.., high, low], payload) = wire.split::<14>()?;
        match be16(high, low) {
            ether_type::IPV4 => self.ipv4(payload),
            kind => self.ether_type(kind, payload),
        }
    }

    /// What an EtherType announces; below 0x600 it is the length of an 802.3 frame.
    pub(super) fn ether_type(&mut self, mut kind: u16, mut wire: Wire<'_>) -> Result<(), Fault> {
        loop {
            match kind {
                ether_type::IPV4 => return self.ipv4(wire),
                ether_type::IPV6 => return self.ipv6(wire),
                ether_type::VLAN
                | ether_type::SERVICE_VLAN
                | ether_type::OLD_VLAN
                | ether_type::OLDER_VLAN
                | ether_type::OLDEST_VLAN => (kind, wire) = tag::<4>(wire)?,
                ether_type::VN_TAG | ether_type::REDUNDANCY => (kind, wire) = tag::<6>(wire)?,
                ether_type::E_TAG => (kind, wire) = tag::<8>(wire)?,
                ether_type::MACSEC => {
                    let tag = MacsecHeaderSlice::from_slice(wire.data).map_err(|_| wire.short())?;
                    let Some(next) = tag.next_ether_type() else {
                        self.note_encrypted();
                        return Ok(());
                    };
                    wire = wire.skip(tag.header_len())?;
                    kind = next.0;
                }
                ether_type::ETHERNET => return self.deeper(|walk| walk.ethernet(wire)),
                ether_type::BACKBONE => return self.deeper(|walk| walk.ethernet(wire.skip(4)?)),
                ether_type::MPLS | ether_type::MPLS_MULTICAST => return self.mpls(wire),
                ether_type::PPPOE_SESSION => return self.pppoe(wire),
                ether_type::NSH => return self.nsh(wire),
                ether_type::JUMBO_LLC => return self.llc(wire),
                len @ 0..0x600 => return self.llc(wire.first(usize::from(len))),
                _ => return Ok(()),
            }
        }
    }

    /// IEEE 802.2 LLC, with SNAP ([RFC 1042](https://www.rfc-editor.org/rfc/rfc1042)), carrying IP.
    pub(super) fn llc(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        match wire.data {
            // OUI 00-00-00 is EtherType; 00-00-F8 is the same, said by bridges (802.1H).
            [0xaa, 0xaa, 0x03, 0x00, 0x00, 0x00 | 0xf8, high, low, ..] => match be16(*high, *low) {
                0..0x600 => Ok(()),
                kind => self.deeper(|walk| walk.ether_type(kind, wire.skip(8)?)),
            },
            [0x06, 0x06, 0x03, ..] => self.ip(wire.skip(3)?),
            _ => Ok(()),
        }
    }

    /// BSD loopback: the address family, in the byte order of the capturing host or (LOOP) of the network.
    fn loopback(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let (&family, payload) = wire.split()?;
        match u32::from_le_bytes(family).min(u32::from_be_bytes(family)) {
            2 => self.ipv4(payload),
            // AF_INET6 of Linux, of NetBSD and OpenBSD, of FreeBSD, of Darwin.
            10 | 24 | 28 | 30 => self.ipv6(payload),
            _ => Ok(()),
        }
    }

    /// What follows a Linux cooked header.
    fn cooked(&mut self, hardware_type: u16, protocol: u16, wire: Wire<'_>) -> Result<(), Fault> {
        match (hardware_type, protocol) {
            (hardware::NETLINK, _) => Ok(()),
            (hardware::IEEE802_11, _) => self.wifi(wire),
            (hardware::IEEE802_11_PRISM, _) => self.prism(wire),
            (hardware::IEEE802_11_RADIOTAP, _) => self.radiotap(wire),
            (hardware::FRAME_RELAY, _) => self.frame_relay(wire),
            // LINUX_SLL_P_802_2; the other small numbers are CAN, 802.3 without LLC and the like.
            (_, 4) => self.llc(wire),
            (_, 0..0x600) => Ok(()),
            (_, kind) => self.ether_type(kind, wire),
        }
    }

    /// PPP ([RFC 1661 §2](https://www.rfc-editor.org/rfc/rfc1661#section-2)), with or without the address and control bytes of
    /// HDLC-like framing (RFC 1662 §3.1).
    pub(super) fn ppp(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let wire = if wire.data.starts_with(&[0xff, 0x03]) { wire.skip(2)? } else { wire };
        let first = wire.peek::<1>()?[0];
        // An odd first byte is a compressed protocol field (RFC 1661 §6.5).
        let (protocol, payload) = if first & 1 == 1 {
            (u16::from(first), wire.skip(1)?)
        } else {
            let (&[high, low], payload) = wire.split()?;
            (be16(high, low), payload)
        };
        match protocol {
            0x0021 => self.ipv4(payload),
            0x0057 => self.ipv6(payload),
            0x0281 | 0x0283 => self.mpls(payload),
            // Bridged Ethernet without FCS and flags 0 (RFC 3518 §4.2): type 1 in the second byte.
            0x0031 => match payload.peek()? {
                [_, 1] => self.deeper(|walk| walk.ethernet(payload.skip(2)?)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A PPPoE session packet ([RFC 2516 §4](https://www.rfc-editor.org/rfc/rfc2516#section-4)).
    fn pppoe(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let (&[version, code, _, _, l0, l1], payload) = wire.split()?;
        match (version, code) {
            (0x11, 0) => self.ppp(payload.first(usize::from(be16(l0, l1)))),
            (0x11, _) => Ok(()),
            _ => Err(Fault::Malformed),
        }
    }

    /// Cisco HDLC: address, control, EtherType.
    fn cisco_hdlc(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let (&[_, _, high, low], payload) = wire.split()?;
        match be16(high, low) {
            0..0x600 => Ok(()),
            kind => self.ether_type(kind, payload),
        }
    }

    /// Frame relay with the NLPIDs of [RFC 2427 §4](https://www.rfc-editor.org/rfc/rfc2427#section-4), or Cisco's EtherType.
    fn frame_relay(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        // The address ends with the byte whose lowest bit is set, the fourth at the latest.
        let last = wire.data.iter().take(4).position(|byte| byte & 1 == 1).ok_or(wire.short())?;
        let wire = wire.skip(last + 1)?;
        match wire.data {
            [0x03, 0xcc, ..] => self.ipv4(wire.skip(2)?),
            [0x03, 0x8e, ..] => self.ipv6(wire.skip(2)?),
            [0x03, 0x00, 0x80, 0x00, 0x00, 0x00, high, low, ..] => match be16(*high, *low) {
                0..0x600 => Ok(()),
                kind => self.ether_type(kind, wire.skip(8)?),
            },
            [0x03, 0x80, 0x00, 0x00, 0x00, high, low, ..] => match be16(*high, *low) {
                0..0x600 => Ok(()),
                kind => self.ether_type(kind, wire.skip(7)?),
            },
            [high @ 0x06..=0xff, low, ..] => self.ether_type(be16(*high, *low), wire.skip(2)?),
            _ => Ok(()),
        }
    }

    /// An MPLS label stack ([RFC 3032 §2.1](https://www.rfc-editor.org/rfc/rfc3032#section-2.1)). Nothing says what follows it.
    pub(super) fn mpls(&mut self, mut wire: Wire<'_>) -> Result<(), Fault> {
        loop {
            let (&[_, _, label, _], rest) = wire.split()?;
            wire = rest;
            if label & 1 == 1 {
                break;
            }
        }
        if Self::is_ip(wire) {
            return self.deeper(|walk| walk.ip(wire));
        }
        // An Ethernet pseudowire, with or without a control word, whose first nibble is 0 (RFC 4448 §4.6).
        let controlled = match wire.data {
            [0x00..=0x0f, ..] => wire.skip(4).ok().filter(|&inner| ether_type::is_ethernet(inner)),
            _ => None,
        };
        match controlled {
            Some(inner) => self.deeper(|walk| walk.ethernet(inner)),
            None if ether_type::is_ethernet(wire) => self.deeper(|walk| walk.ethernet(wire)),
            // IP whose length lies, or that was cut inside its header; or something that is not read.
            None => match wire.data.first() {
                Some(0x45..=0x4f | 0x60..=0x6f) => self.deeper(|walk| walk.ip(wire)),
                _ => Ok(()),
            },
        }
    }

    /// Linux netfilter log: a list of attributes, one of them the packet.
    fn nflog(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        const PAYLOAD: u16 = 9;
        let (&[_, version, _, _], mut rest) = wire.split()?;
        if version != 0 {
            return Err(Fault::Malformed);
        }
        while !rest.data.is_empty() {
            let &[l0, l1, k0, k1] = rest.peek()?;
            // In the byte order of the capturing host; a length is small, so the lesser reading is the right one.
            let (little, big) = (u16::from_le_bytes([l0, l1]), be16(l0, l1));
            let (len, kind) = if little <= big { (little, u16::from_le_bytes([k0, k1])) } else { (big, be16(k0, k1)) };
            let len = usize::from(len);
            if len < 4 {
                return Err(Fault::Malformed);
            }
            // The top bits are flags of netlink.
            if kind & 0x3fff == PAYLOAD {
                return self.ip(rest.first(len).skip(4)?);
            }
            rest = rest.skip(len.next_multiple_of(4))?;
        }
        Ok(())
    }

    /// ARCNET, after the protocol byte: by RFC 1051 the packet follows, by
    /// [RFC 1201 §2](https://www.rfc-editor.org/rfc/rfc1201#section-2) a split flag and a sequence number come before it.
    fn arcnet(&mut self, kind: u8, wire: Wire<'_>) -> Result<(), Fault> {
        const IP_1051: u8 = 240;
        const IP_1201: u8 = 212;
        const IPV6_1201: u8 = 196;
        match kind {
            IP_1051 => self.ipv4(wire),
            IP_1201 | IPV6_1201 => {
                let (&[split, _, _], payload) = wire.split()?;
                match split {
                    0 => self.ip(payload),
                    // An exception packet: padded by 4 bytes to a length that ARCNET can send.
                    0xff => self.ip(payload.skip(4)?),
                    _ => {
                        self.note(AnomalyKind::FragmentsLost);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

/// A tag of `N` bytes that ends with the next EtherType.
fn tag<const N: usize>(wire: Wire<'_>) -> Result<(u16, Wire<'_>), Fault> {
    let (head, rest) = wire.split::<N>()?;
    let kind = head.last_chunk::<2>().map_or(0, |&kind| u16::from_be_bytes(kind));
    Ok((kind, rest))
}
