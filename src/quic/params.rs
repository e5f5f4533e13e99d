//! Transport parameters ([RFC 9000 §18](https://www.rfc-editor.org/rfc/rfc9000#section-18)), as far as an observer needs them.

use super::header::ConnectionId;
use crate::base::{Reader, Short};

/// What an endpoint declared in its ClientHello or EncryptedExtensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportParameters {
    /// Shift of the delay field in its ACK frames.
    pub ack_delay_exponent: u8,
    /// What a stateless reset of its first connection id ends with.
    pub stateless_reset_token: Option<[u8; 16]>,
    /// Connection id and token of the server's preferred address.
    pub preferred: Option<(ConnectionId, [u8; 16])>,
    /// True when its fixed bit may be random ([RFC 9287](https://www.rfc-editor.org/rfc/rfc9287)).
    pub grease_quic_bit: bool,
}

impl Default for TransportParameters {
    fn default() -> Self {
        Self { ack_delay_exponent: 3, stateless_reset_token: None, preferred: None, grease_quic_bit: false }
    }
}

impl TransportParameters {
    /// TLS extension of version 1 and later, and the one of the drafts.
    pub const EXTENSIONS: [u16; 2] = [0x39, 0xffa5];

    /// Reads the body of the extension: identifier, length and value of each, up to the first broken one.
    pub fn read(body: &[u8]) -> Self {
        let mut parameters = Self::default();
        let mut reader = Reader::new(body);
        while let Ok((id, value)) = parameter(&mut reader) {
            let mut value = Reader::new(value);
            match id {
                0x02 => parameters.stateless_reset_token = value.array().ok(),
                0x0a => {
                    // Values above 20 are invalid.
                    let exponent = value.varint().ok().filter(|&exponent| exponent <= 20);
                    parameters.ack_delay_exponent = exponent.unwrap_or(3) as u8;
                }
                0x0d => parameters.preferred = preferred(&mut value),
                0x2ab2 => parameters.grease_quic_bit = true,
                _ => {}
            }
        }
        parameters
    }
}

fn parameter<'a>(reader: &mut Reader<'a>) -> Result<(u64, &'a [u8]), Short> {
    let id = reader.varint()?;
    let len = reader.varint()?;
    Ok((id, reader.take(usize::try_from(len).map_err(|_| Short)?)?))
}

/// IPv4 address and port, IPv6 address and port, connection id, token.
fn preferred(value: &mut Reader<'_>) -> Option<(ConnectionId, [u8; 16])> {
    value.skip(4 + 2 + 16 + 2).ok()?;
    let len = value.u8().ok()?;
    let id = ConnectionId::new(value.take(usize::from(len)).ok()?)?;
    Some((id, value.array().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ones_are_read_and_others_passed_over() {
        let mut body = vec![0x40, 0x99, 2, 7, 7, 0x0a, 1, 10, 0x6a, 0xb2, 0];
        body.extend_from_slice(&[0x02, 16]);
        body.extend_from_slice(&[5; 16]);
        body.extend_from_slice(&[0x0d, 45]);
        body.extend_from_slice(&[0; 24]);
        body.extend_from_slice(&[4, 1, 2, 3, 4]);
        body.extend_from_slice(&[6; 16]);
        let read = TransportParameters::read(&body);
        assert_eq!(read.ack_delay_exponent, 10);
        assert_eq!(read.stateless_reset_token, Some([5; 16]));
        assert!(read.grease_quic_bit);
        let (id, token) = read.preferred.unwrap();
        assert_eq!((id.bytes(), token), (&[1, 2, 3, 4][..], [6; 16]));
        for end in 0..body.len() {
            TransportParameters::read(&body[..end]);
        }
    }

    #[test]
    fn a_wild_exponent_is_not_used() {
        assert_eq!(TransportParameters::read(&[0x0a, 1, 21]).ack_delay_exponent, 3);
    }
}
