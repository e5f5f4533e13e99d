//! TCP and UDP headers.

use etherparse::UdpHeaderSlice;

use super::decoder::Walk;
use super::ip::Header;
use super::packet::{Endpoint, Packet, TcpFlags, TcpHeader, Transport};
use super::repeats::Identity;
use super::wire::{Fault, Wire, be16};
use crate::base::anomaly::AnomalyKind;

const TCP: u32 = 6;
const UDP: u32 = 17;

impl Walk<'_> {
    /// A TCP segment ([RFC 9293 §3.1](https://www.rfc-editor.org/rfc/rfc9293#section-3.1)).
    ///
    /// Read by hand: etherparse wants the options too, which a snapshot length of 54 or 68 bytes cuts off.
    #[inline]
    pub(super) fn tcp(&mut self, header: &Header<'_>, wire: Wire<'_>) -> Result<(), Fault> {
        let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = wire.peek::<20>()?;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < 20 {
            return Err(Fault::Malformed);
        }
        let payload = wire.skip_into_cut(header_len)?;
        let identity = Identity {
            addresses: header.addresses,
            id: header.id,
            place: TCP,
            len: wire.len(),
            content: wire.data.get(..header_len).unwrap_or(wire.data),
        };
        if self.decoder.repeats.has_seen(&identity, self.stamp.time) {
            self.note_repeated();
            return Ok(());
        }
        let segment = TcpHeader {
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: TcpFlags(flags),
            window: be16(w0, w1),
        };
        self.hand_on(header, [be16(s0, s1), be16(d0, d1)], Transport::Tcp(segment), payload);
        Ok(())
    }

    /// A UDP datagram ([RFC 768](https://www.rfc-editor.org/rfc/rfc768)), or a tunnel in it.
    pub(super) fn udp(&mut self, header: &Header<'_>, wire: Wire<'_>) -> Result<(), Fault> {
        let udp = UdpHeaderSlice::from_slice(wire.data).map_err(|_| wire.short())?;
        let len = match usize::from(udp.length()) {
            // A jumbogram (RFC 2675 §4), or one that the sender's card was to cut into segments.
            0 => wire.len(),
            len if len < 8 || len > wire.len() => return Err(Fault::Malformed),
            len => len,
        };
        let ports = [udp.source_port(), udp.destination_port()];
        let payload = wire.first(len).skip(8)?;
        if let Some(done) = self.udp_tunnel(ports, payload) {
            return done;
        }
        // Checksums do not tell datagrams apart: they may be 0, or not yet filled in by the sender's card.
        let identity =
            Identity { addresses: header.addresses, id: header.id, place: UDP, len, content: wire.first(len).data };
        if self.decoder.repeats.has_seen(&identity, self.stamp.time) {
            self.note_repeated();
            return Ok(());
        }
        self.hand_on(header, ports, Transport::Udp, payload);
        Ok(())
    }

    #[inline]
    fn hand_on(&mut self, header: &Header<'_>, ports: [u16; 2], transport: Transport, payload: Wire<'_>) {
        if payload.cut > 0 {
            self.note(AnomalyKind::PacketCut);
        }
        let [source, destination] = ports;
        (self.out)(Packet {
            stamp: self.stamp,
            selected: self.selected,
            source: Endpoint { address: header.source, port: source },
            destination: Endpoint { address: header.destination, port: destination },
            transport,
            payload: payload.data,
            cut: payload.cut,
        });
    }
}
