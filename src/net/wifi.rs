//! IEEE 802.11 data frames in clear, with the headers that radio drivers put before them.

use super::decoder::Walk;
use super::wire::{Fault, Wire, be16};
use crate::base::anomaly::AnomalyKind;

/// Length of the frame check sequence.
const FCS: usize = 4;

impl Walk<'_> {
    /// Radiotap ([radiotap.org](https://www.radiotap.org/)), all little-endian:
    ///
    /// ```text
    /// +---------+-----+--------+-----------+ ... bit 31: another present word follows
    /// | version | pad | length | present   |
    /// +---------+-----+--------+-----------+
    ///  bit 0: TSFT, 8 bytes aligned to 8; bit 1: flags, 1 byte
    /// ```
    pub(super) fn radiotap(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let &[version, _, l0, l1, present, _, _, _] = wire.peek()?;
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        if version != 0 || len < 8 {
            return Err(Fault::Malformed);
        }
        let header = wire.data.get(..len).ok_or(wire.short())?;
        let payload = wire.skip(len)?;
        if present & 0x02 == 0 {
            return self.wifi(payload);
        }
        let words = header.get(4..).unwrap_or_default().chunks_exact(4);
        let more = words.take_while(|word| word.last().is_some_and(|last| last & 0x80 != 0)).count();
        let mut at = 8 + 4 * more;
        if present & 0x01 != 0 {
            at = at.next_multiple_of(8) + 8;
        }
        let flags = *header.get(at).ok_or(Fault::Malformed)?;
        // Bad FCS: what it holds is not what was sent, and the sender will say it again.
        if flags & 0x40 != 0 {
            return Err(Fault::Malformed);
        }
        let payload = if flags & 0x10 != 0 { payload.without_last(FCS) } else { payload };
        self.wifi_padded(payload, flags & 0x20 != 0)
    }

    /// Prism monitor header; some drivers send AVS under the same link type.
    pub(super) fn prism(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let &[m0, m1, m2, m3, l0, l1, l2, l3] = wire.peek()?;
        if [m0, m1, m2] == [0x80, 0x21, 0x10] {
            return self.avs(wire);
        }
        // In the byte order of the capturing host: the message code is a small number.
        let is_little = m2 == 0 && m3 == 0;
        let len = if is_little { u32::from_le_bytes([l0, l1, l2, l3]) } else { u32::from_be_bytes([l0, l1, l2, l3]) };
        self.wifi(wire.skip(len as usize)?)
    }

    /// AVS monitor header: magic and length, both big-endian.
    pub(super) fn avs(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        let &[0x80, 0x21, 0x10, _, l0, l1, l2, l3] = wire.peek()? else { return Err(Fault::Malformed) };
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        self.wifi(wire.skip(len.max(8))?)
    }

    /// An 802.11 frame.
    pub(super) fn wifi(&mut self, wire: Wire<'_>) -> Result<(), Fault> {
        self.wifi_padded(wire, false)
    }

    /// The same; `is_padded` when the driver aligned the payload to 4 bytes.
    ///
    /// ```text
    /// +----+----+----------+----+----+----+-----+------------------+-----------+------------------+
    /// | fc | fl | duration | a1 | a2 | a3 | seq | a4 (ToDS+FromDS) | QoS (2)   | HT control (4)   |
    /// +----+----+----------+----+----+----+-----+------------------+-----------+------------------+
    /// ```
    fn wifi_padded(&mut self, wire: Wire<'_>, is_padded: bool) -> Result<(), Fault> {
        const DATA: u8 = 2;
        let &[control, flags] = wire.peek()?;
        let (version, kind, subtype) = (control & 3, control >> 2 & 3, control >> 4);
        // Subtype bit 2: no data.
        if version != 0 || kind != DATA || subtype & 4 != 0 {
            return Ok(());
        }
        if flags & 0x40 != 0 {
            self.note_encrypted();
            return Ok(());
        }
        let &[.., sequence, _] = wire.peek::<24>()?;
        if flags & 0x04 != 0 || sequence & 0x0f != 0 {
            self.note(AnomalyKind::FragmentsLost);
            return Ok(());
        }
        let mut len = if flags & 3 == 3 { 30 } else { 24 };
        let mut is_aggregate = false;
        if subtype & 8 != 0 {
            is_aggregate = wire.data.get(len).ok_or(wire.short())? & 0x80 != 0;
            len += 2;
            if flags & 0x80 != 0 {
                len += 4;
            }
        }
        if is_padded {
            len = len.next_multiple_of(4);
        }
        let mut payload = wire.skip(len)?;
        if !is_aggregate {
            return self.llc(payload);
        }
        // A-MSDU: destination, source, length, LLC; all but the last padded to 4 bytes.
        while payload.len() > 14 {
            let (&[.., high, low], rest) = payload.split::<14>()?;
            let len = usize::from(be16(high, low));
            // One broken packet must not hide the others.
            if let Err(fault) = self.llc(rest.first(len)) {
                if fault == Fault::TooDeep {
                    return Err(fault);
                }
                self.note(if fault == Fault::Cut { AnomalyKind::PacketCut } else { AnomalyKind::PacketMalformed });
            }
            let padded = (14 + len).next_multiple_of(4) - 14;
            match rest.skip(padded) {
                Ok(next) => payload = next,
                Err(_) => break,
            }
        }
        Ok(())
    }
}
