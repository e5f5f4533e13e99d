//! QUIC versions: what differs between them on the wire and in key derivation.

/// A version of QUIC that is read ([RFC 9000](https://www.rfc-editor.org/rfc/rfc9000),
/// [RFC 9369](https://www.rfc-editor.org/rfc/rfc9369)), with the last drafts before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Drafts 27 and 28, and the version of the same wire image that mvfst used.
    Draft27(u32),
    /// Drafts 29 to 32.
    Draft29(u32),
    /// Version 1, and drafts 33 and 34, which have its keys.
    V1(u32),
    /// Version 2.
    V2,
}

/// Labels of HKDF-Expand-Label without the `tls13 ` that stands before each.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    /// AEAD key.
    pub key: &'static str,
    /// AEAD nonce base.
    pub iv: &'static str,
    /// Header protection key.
    pub hp: &'static str,
    /// Next secret of a key update.
    pub ku: &'static str,
}

/// Key and nonce of the Retry integrity tag ([RFC 9001 §5.8](https://www.rfc-editor.org/rfc/rfc9001#section-5.8)).
#[derive(Debug, Clone, Copy)]
pub struct RetryKey {
    /// AES-128-GCM key.
    pub key: [u8; 16],
    /// Its nonce.
    pub nonce: [u8; 12],
}

/// Kind of a packet with long header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LongKind {
    /// Carries the start of the handshake under keys that everybody can compute.
    Initial,
    /// Data that the client sends before the handshake.
    ZeroRtt,
    /// The rest of the handshake.
    Handshake,
    /// Asks the client to begin again with a token.
    Retry,
}

impl Version {
    /// The version of this number, when it is one that is read.
    pub fn of(number: u32) -> Option<Self> {
        match number {
            1 | 0xff00_0021..=0xff00_0022 => Some(Self::V1(number)),
            0x6b33_43cf => Some(Self::V2),
            0xff00_001d..=0xff00_0020 => Some(Self::Draft29(number)),
            0xff00_001b..=0xff00_001c | 0xface_b002 => Some(Self::Draft27(number)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        match self {
            Self::Draft27(number) | Self::Draft29(number) | Self::V1(number) => number,
            Self::V2 => 0x6b33_43cf,
        }
    }

    /// Salt of the Initial secret ([RFC 9001 §5.2](https://www.rfc-editor.org/rfc/rfc9001#section-5.2)).
    pub fn initial_salt(self) -> &'static [u8; 20] {
        match self {
            Self::Draft27(_) => b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02",
            Self::Draft29(_) => b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99",
            Self::V1(_) => b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
            Self::V2 => b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
        }
    }

    /// Labels of key derivation.
    pub fn labels(self) -> Labels {
        match self {
            Self::V2 => Labels { key: "quicv2 key", iv: "quicv2 iv", hp: "quicv2 hp", ku: "quicv2 ku" },
            _ => Labels { key: "quic key", iv: "quic iv", hp: "quic hp", ku: "quic ku" },
        }
    }

    /// Key of the Retry integrity tag.
    pub fn retry_key(self) -> RetryKey {
        match self {
            Self::Draft27(_) => RetryKey {
                key: *b"\x4d\x32\xec\xdb\x2a\x21\x33\xc8\x41\xe4\x04\x3d\xf2\x7d\x44\x30",
                nonce: *b"\x4d\x16\x11\xd0\x55\x13\xa5\x52\xc5\x87\xd5\x75",
            },
            Self::Draft29(_) => RetryKey {
                key: *b"\xcc\xce\x18\x7e\xd0\x9a\x09\xd0\x57\x28\x15\x5a\x6c\xb9\x6b\xe1",
                nonce: *b"\xe5\x49\x30\xf9\x7f\x21\x36\xf0\x53\x0a\x8c\x1c",
            },
            Self::V1(_) => RetryKey {
                key: *b"\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e",
                nonce: *b"\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb",
            },
            Self::V2 => RetryKey {
                key: *b"\x8f\xb4\xb0\x1b\x56\xac\x48\xe2\x60\xfb\xcb\xce\xad\x7c\xcc\x92",
                nonce: *b"\xd8\x69\x69\xbc\x2d\x7c\x6d\x99\x90\xef\xb0\x4a",
            },
        }
    }

    /// Kind of a long header by its two type bits; version 2 shuffled them
    /// ([RFC 9369 §3.2](https://www.rfc-editor.org/rfc/rfc9369#section-3.2)).
    pub fn long_kind(self, first: u8) -> LongKind {
        let kind = first >> 4 & 3;
        let kind = if self == Self::V2 { kind.wrapping_sub(1) & 3 } else { kind };
        match kind {
            0 => LongKind::Initial,
            1 => LongKind::ZeroRtt,
            2 => LongKind::Handshake,
            _ => LongKind::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_shuffles_the_types() {
        let kinds = |version: Version| [0xc0, 0xd0, 0xe0, 0xf0].map(|first| version.long_kind(first));
        use LongKind::*;
        assert_eq!(kinds(Version::V1(1)), [Initial, ZeroRtt, Handshake, Retry]);
        assert_eq!(kinds(Version::V2), [Retry, Initial, ZeroRtt, Handshake]);
    }

    #[test]
    fn numbers_stay_what_they_were() {
        for number in [1, 0x6b33_43cf, 0xff00_001d, 0xff00_001b, 0xff00_0022, 0xface_b002] {
            assert_eq!(Version::of(number).unwrap().number(), number);
        }
        assert_eq!(Version::of(0x1a2a_3a4a), None);
    }
}
