//! IPv4 and IPv6 with extension headers and fragments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice};

use super::decoder::Walk;
use super::fragments::{Fragment, Key};
use super::repeats::Identity;
use super::wire::{Fault, Wire};
use crate::base::anomaly::AnomalyKind;

/// What the floors above IP need of its header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Both addresses as they stand in the header.
    pub(super) addresses: &'a [u8],
    /// Identification of IPv4 or of an IPv6 fragment, 0 when there is none.
    pub(super) id: u32,
}

impl Header<'_> {
    fn fragment_key(&self, protocol: u16) -> Key {
        let mapped = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Key { addresses: [mapped(self.source), mapped(self.destination)], id: self.id, protocol }
    }
}

impl Walk<'_> {
    /// An IP packet of whichever version.
    pub(super) fn ip(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        match wire.peek::<1>()? {
            [0x40..=0x4f] => self.ipv4(wire),
            [0x60..=0x6f] => self.ipv6(wire),
            _ => Err(Fault::Malformed),
        }
    }

    /// An IPv4 packet ([RFC 791 §3.1](https://www.rfc-editor.org/rfc/rfc791#section-3.1)).
    #[inline]
    pub(super) fn ipv4(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let Ok(ipv4) = Ipv4HeaderSlice::from_slice(wire.data) else {
            return Err(if wire.data.first().is_none_or(|&byte| (0x45..0x50).contains(&byte)) {
                wire.short()
            } else {
                Fault::Malformed
            });
        };
        let header_len = ipv4.slice().len();
        let payload = match usize::from(ipv4.total_len()) {
            // The card of the sender was to cut it into segments and to fill the length in.
            0 => wire.skip(header_len)?,
            total if total < header_len => return Err(Fault::Malformed),
            total => self.promised(wire, total).skip(header_len)?,
        };
        let header = Header {
            source: IpAddr::V4(ipv4.source_addr()),
            destination: IpAddr::V4(ipv4.destination_addr()),
            addresses: ipv4.slice().get(12..20).unwrap_or_default(),
            id: u32::from(ipv4.identification()),
        };
        let protocol = ipv4.protocol();
        let offset = usize::from(ipv4.fragments_offset().byte_offset());
        if offset != 0 || ipv4.more_fragments() {
            let key = header.fragment_key(u16::from(protocol.0));
            let fragment = Fragment {
                offset,
                more: ipv4.more_fragments(),
                next: protocol.0,
                data: payload.data,
                cut: payload.cut,
            };
            return self.fragment(&header, key, fragment);
        }
        self.above_ip(&header, protocol, payload)
    }

    /// An IPv6 packet ([RFC 8200 §3](https://www.rfc-editor.org/rfc/rfc8200#section-3)).
    pub(super) fn ipv6(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let Ok(ipv6) = Ipv6HeaderSlice::from_slice(wire.data) else {
            return Err(if wire.data.len() < 40 { wire.short() } else { Fault::Malformed });
        };
        let header_len = ipv6.slice().len();
        let payload = match usize::from(ipv6.payload_length()) {
            // A jumbogram (RFC 2675 §3), or one that the sender's card was to cut into segments.
            0 => wire.skip(header_len)?,
            len => self.promised(wire, header_len + len).skip(header_len)?,
        };
        let header = Header {
            source: IpAddr::V6(ipv6.source_addr()),
            destination: IpAddr::V6(ipv6.destination_addr()),
            addresses: ipv6.slice().get(8..40).unwrap_or_default(),
            id: 0,
        };
        self.above_ip(&header, ipv6.next_header(), payload)
    }

    /// The part of `wire` that a length field speaks of; one that says more than was on the wire is noted.
    fn promised<'a>(&mut self, wire: Wire<'a>, len: usize) -> Wire<'a> {
        if len > wire.len() {
            self.note(AnomalyKind::PacketMalformed);
        }
        wire.first(len)
    }

    /// What follows an IP header: extension headers, fragments, transport, tunnels.
    pub(super) fn above_ip(&mut self, header: &Header<'_>, next: IpNumber, wire: Wire<'_>) -> Result<(), Fault> {
        match next {
            IpNumber::TCP => self.tcp(header, wire),
            IpNumber::UDP => self.udp(header, wire),
            _ => self.extensions(*header, next, wire),
        }
    }

    fn extensions(&mut self, mut header: Header<'_>, mut next: IpNumber, mut wire: Wire<'_>) -> Result<(), Fault> {
        loop {
            match next {
                IpNumber::TCP => return self.tcp(&header, wire),
                IpNumber::UDP => return self.udp(&header, wire),
                IpNumber::IPV4 | IpNumber::IPV6 => return self.deeper(|walk| walk.ip(wire)),
                IpNumber::GRE => return self.gre(wire),
                IpNumber::ETHER_IP => return self.deeper(|walk| walk.ethernet(wire.skip(2)?)),
                IpNumber::MPLS_IN_IP => return self.deeper(|walk| walk.mpls(wire)),
                // Only IPv6 has these, but nothing else has their numbers.
                IpNumber::IPV6_HEADER_HOP_BY_HOP
                | IpNumber::IPV6_ROUTE_HEADER
                | IpNumber::IPV6_DESTINATION_OPTIONS
                | IpNumber::MOBILITY_HEADER
                | IpNumber::HIP
                | IpNumber::SHIM6
                    if header.source.is_ipv6() =>
                {
                    let &[after, len] = wire.peek()?;
                    let len = 8 + 8 * usize::from(len);
                    if next == IpNumber::IPV6_ROUTE_HEADER
                        && let Some(last) = wire.data.get(..len).and_then(last_stop)
                    {
                        header.destination = IpAddr::V6(last);
                    }
                    wire = wire.skip(len)?;
                    next = IpNumber(after);
                }
                // RFC 4302 §2.2: its length counts 4-byte words, less 2.
                IpNumber::AUTHENTICATION_HEADER => {
                    let &[after, len] = wire.peek()?;
                    wire = wire.skip(8 + 4 * usize::from(len))?;
                    next = IpNumber(after);
                }
                IpNumber::IPV6_FRAGMENTATION_HEADER if header.source.is_ipv6() => {
                    let ipv6 = Ipv6FragmentHeaderSlice::from_slice(wire.data).map_err(|_| wire.short())?;
                    wire = wire.skip(ipv6.slice().len())?;
                    next = ipv6.next_header();
                    let offset = usize::from(ipv6.fragment_offset().byte_offset());
                    // An atomic fragment (RFC 6946) is whole.
                    if offset != 0 || ipv6.more_fragments() {
                        header.id = ipv6.identification();
                        // 256 is no IPv4 protocol; the next header may differ from fragment to fragment.
                        let key = header.fragment_key(256);
                        let more = ipv6.more_fragments();
                        let fragment = Fragment { offset, more, next: next.0, data: wire.data, cut: wire.cut };
                        return self.fragment(&header, key, fragment);
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    #[cold]
    fn fragment(&mut self, header: &Header<'_>, key: Key, fragment: Fragment<'_>) -> Result<(), Fault> {
        let identity = Identity {
            addresses: header.addresses,
            id: header.id,
            place: (fragment.offset as u32) << 16 | u32::from(fragment.more) << 8 | u32::from(fragment.next),
            len: fragment.data.len().saturating_add(fragment.cut),
            content: fragment.data,
        };
        // A copy that came after the datagram was whole would begin a second one.
        if self.decoder.repeats.has_seen(&identity, self.stamp.time) {
            self.note_repeated();
            return Ok(());
        }
        let outcome = self.decoder.fragments.push(key, fragment, self.stamp.time);
        let stamp = self.stamp;
        self.decoder.note_lost(outcome.lost, stamp);
        if outcome.overlaps {
            self.note(AnomalyKind::FragmentsOverlap);
        }
        if outcome.malformed {
            return Err(Fault::Malformed);
        }
        match outcome.whole {
            // A reassembled payload may be fragmented again in a tunnel inside it, never by itself without end.
            Some(whole) => self
                .deeper(|walk| walk.above_ip(header, IpNumber(whole.next), Wire { data: &whole.data, cut: whole.cut })),
            None => Ok(()),
        }
    }

    /// True when the bytes look like an IP packet: version, header length and total length agree with what is there.
    pub(super) fn is_ip(wire: Wire<'_>) -> bool {
        if let Ok(ipv4) = Ipv4HeaderSlice::from_slice(wire.data) {
            let total = usize::from(ipv4.total_len());
            let is_addressed = ipv4.source_addr() != Ipv4Addr::UNSPECIFIED || ipv4.protocol() == IpNumber::UDP;
            return is_addressed && (total == 0 || (ipv4.slice().len()..=wire.len()).contains(&total));
        }
        Ipv6HeaderSlice::from_slice(wire.data)
            .is_ok_and(|ipv6| usize::from(ipv6.payload_length()) + ipv6.slice().len() <= wire.len())
    }
}

/// Where a packet with this routing header ends up, when it is not there yet: the address in the IP header changes on the way, and
/// both directions must have the same.
fn last_stop(routing: &[u8]) -> Option<Ipv6Addr> {
    let (&[_, _, kind, left], _) = routing.split_first_chunk()?;
    let address: &[u8; 16] = match (kind, left) {
        (_, 0) => return None,
        // Source route (RFC 2460 §4.4) and mobile IPv6 (RFC 6275 §6.4): in the order of travel.
        (0 | 2, _) => routing.get(8..)?.last_chunk()?,
        // Segment routing (RFC 8754 §2): the last comes first.
        (4, _) => routing.get(8..)?.first_chunk()?,
        _ => return None,
    };
    Some(Ipv6Addr::from(*address))
}
