//! Packet headers as far as they are readable without keys.

use super::version::{LongKind, Version};
use crate::base::{Reader, Short};

/// Longest connection id of the versions that are read (RFC 9000 §17.2).
pub const MAX_CONNECTION_ID: usize = 20;

/// A connection id: up to 20 bytes that its receiver chose, or none.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionId {
    len: u8,
    bytes: [u8; MAX_CONNECTION_ID],
}

impl ConnectionId {
    /// The id of these bytes; `None` when they are too many.
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_CONNECTION_ID];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { len: id.len() as u8, bytes })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// True when it has no bytes: packets are told apart by address only.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Packets are looked up by this: three words instead of a run of bytes.
impl std::hash::Hash for ConnectionId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let (words, rest) = self.bytes.as_chunks::<8>();
        words.iter().for_each(|word| state.write_u64(u64::from_le_bytes(*word)));
        let rest = rest.iter().fold(u64::from(self.len), |sum, &byte| sum << 8 | u64::from(byte));
        state.write_u64(rest);
    }
}

impl std::fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A packet with long header ([RFC 9000 §17.2](https://www.rfc-editor.org/rfc/rfc9000#section-17.2)).
///
/// ```text
///  0 1 2 3 4 5 6 7
/// +-+-+-+-+-+-+-+-+
/// |1|F|typ|rr |pn |      F: fixed bit; rr, pn: under header protection
/// +-+-+-+-+-+-+-+-+
/// |    version (32)
/// |    dcid len (8), dcid (0..160), scid len (8), scid (0..160)
/// |    Initial: token length (i), token
/// |    length (i): packet number and payload
/// |    packet number (8..32) and payload, under protection
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Long<'a> {
    /// Version.
    pub version: Version,
    /// Kind of packet.
    pub kind: LongKind,
    /// Chosen by the receiver, but for the client's first packets.
    pub dcid: ConnectionId,
    /// Chosen by the sender.
    pub scid: ConnectionId,
    /// Token of an Initial or a Retry packet.
    pub token: &'a [u8],
    /// Offset of the packet number.
    pub number_at: usize,
    /// The whole packet; what follows it in the datagram is another one.
    pub packet: &'a [u8],
    /// Bytes of the packet that are not in the capture.
    pub cut: usize,
}

/// What the first bytes of a datagram, or of what remains of it, are.
#[derive(Debug, Clone, Copy)]
pub enum Header<'a> {
    /// A packet with long header of a version that is read.
    Long(Long<'a>),
    /// The server speaks none of the client's versions (RFC 9000 §17.2.1).
    VersionNegotiation {
        /// The client's id.
        dcid: ConnectionId,
        /// The id the client had chosen for the server.
        scid: ConnectionId,
    },
    /// Long header of a version that is not read; only the invariants of RFC 8999 hold.
    UnknownVersion(u32),
    /// Short header: everything but the destination connection id is protected, and its length is not told.
    Short,
}

/// Reads the header at the start of `bytes`; `cut` bytes follow them on the wire but not in the capture.
pub fn parse(bytes: &[u8], cut: usize) -> Result<Header<'_>, Short> {
    let mut reader = Reader::new(bytes);
    let first = reader.u8()?;
    if first & 0x80 == 0 {
        return Ok(Header::Short);
    }
    let number = reader.u32()?;
    let Some(version) = Version::of(number) else {
        if number != 0 {
            return Ok(Header::UnknownVersion(number));
        }
        let (dcid, scid) = (connection_id(&mut reader)?, connection_id(&mut reader)?);
        let versions = reader.remaining() + cut;
        return if versions >= 4 && versions.is_multiple_of(4) {
            Ok(Header::VersionNegotiation { dcid, scid })
        } else {
            Err(Short)
        };
    };
    let (dcid, scid) = (connection_id(&mut reader)?, connection_id(&mut reader)?);
    let kind = version.long_kind(first);
    if kind == LongKind::Retry {
        // The token runs to the integrity tag at the end of the datagram.
        let token = reader.take(reader.remaining().checked_sub(16).ok_or(Short)?)?;
        let long = Long { version, kind, dcid, scid, token, number_at: reader.position(), packet: bytes, cut };
        return Ok(Header::Long(long));
    }
    let token = match kind {
        LongKind::Initial => {
            let len = reader.varint()?;
            reader.take(usize::try_from(len).map_err(|_| Short)?)?
        }
        _ => &[],
    };
    let len = usize::try_from(reader.varint()?).map_err(|_| Short)?;
    let number_at = reader.position();
    let end = number_at.checked_add(len).ok_or(Short)?;
    let missing = end.saturating_sub(bytes.len());
    if missing > cut || len < 4 {
        return Err(Short);
    }
    let packet = bytes.get(..end.min(bytes.len())).ok_or(Short)?;
    Ok(Header::Long(Long { version, kind, dcid, scid, token, number_at, packet, cut: missing }))
}

fn connection_id(reader: &mut Reader<'_>) -> Result<ConnectionId, Short> {
    let len = reader.u8()?;
    ConnectionId::new(reader.take(usize::from(len))?).ok_or(Short)
}

/// Version of Google's QUIC that is spoken in a datagram of a client, as four characters (`Q043`).
///
/// Up to Q043 a public header comes first, later versions have the long header.
///
/// ```text
///  0 1 2 3 4 5 6 7
/// +-+-+-+-+-+-+-+-+
/// |  pn | C |  R|V|   C: connection id of 8 bytes follows; V: then the version follows
/// +-+-+-+-+-+-+-+-+
/// ```
pub fn google_version(datagram: &[u8]) -> Option<u32> {
    let first = *datagram.first()?;
    let at = if first & 0x80 != 0 {
        1
    } else if first & 0x89 == 0x09 && first & 0x02 == 0 {
        9
    } else {
        return None;
    };
    let version = datagram.get(at..)?.first_chunk::<4>()?;
    match version {
        [b'Q' | b'T', b'0', b'0'..=b'9', b'0'..=b'9'] => Some(u32::from_be_bytes(*version)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![first, 0, 0, 0, 1, 4, 1, 2, 3, 4, 2, 9, 8];
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn coalesced_packets_end_where_their_length_says() {
        let packet = long(0xe3, &[0x05, 0, 1, 2, 3, 4, 0x40, 0xff]);
        let Ok(Header::Long(header)) = parse(&packet, 0) else { panic!() };
        assert_eq!(header.kind, LongKind::Handshake);
        assert_eq!((header.dcid.bytes(), header.scid.bytes()), (&[1, 2, 3, 4][..], &[9, 8][..]));
        assert_eq!(header.packet.len(), packet.len() - 2);
        assert_eq!(header.number_at, 14);
    }

    #[test]
    fn a_length_beyond_the_datagram_needs_a_cut() {
        let packet = long(0xe3, &[0x09, 0, 1, 2, 3, 4]);
        assert!(parse(&packet, 3).is_err());
        let Ok(Header::Long(header)) = parse(&packet, 40) else { panic!() };
        assert_eq!(header.cut, 4);
    }

    #[test]
    fn too_long_ids_are_refused() {
        let mut packet = vec![0xc0, 0, 0, 0, 1, 21];
        packet.extend_from_slice(&[0; 80]);
        assert!(parse(&packet, 0).is_err());
    }

    #[test]
    fn google_names_its_versions() {
        assert_eq!(google_version(b"\x0d12345678Q043xx"), Some(u32::from_be_bytes(*b"Q043")));
        assert_eq!(google_version(b"\xc3Q046\x50"), Some(u32::from_be_bytes(*b"Q046")));
        assert_eq!(google_version(b"\x0d12345678QABCxx"), None);
        assert_eq!(google_version(b"\x0d"), None);
    }
}
