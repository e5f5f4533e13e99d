//! Packet protection: header protection, packet numbers and the cipher of one direction at one level
//! ([RFC 9001 §5](https://www.rfc-editor.org/rfc/rfc9001#section-5)).

use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher, StreamCipherSeek};
use aes::{Aes128, Aes256};
use chacha20::ChaCha20;

use super::header::ConnectionId;
use super::version::Version;
use crate::tls::aead::{Aead, AeadKind, NONCE_LEN};
use crate::tls::schedule::{Hash, hkdf_expand_label, hkdf_extract};
use crate::tls::suite::{BulkCipher, Suite};
use crate::tls::{Label, Secret};

/// Bytes of ciphertext that the header mask is made of; they begin four bytes behind the start of the packet number.
pub const SAMPLE_LEN: usize = 16;

/// Cipher and hash of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cipher {
    /// The cipher of packets.
    pub aead: AeadKind,
    /// The hash of the key schedule.
    pub hash: Hash,
}

impl Cipher {
    /// What every Initial packet is protected with.
    pub const INITIAL: Self = Self { aead: AeadKind::Aes128Gcm, hash: Hash::Sha256 };

    /// The cipher of a TLS 1.3 suite; QUIC has no use for short tags.
    pub fn of_suite(number: u16) -> Option<Self> {
        let suite = Suite::of(number)?;
        match suite.cipher? {
            BulkCipher::Aead(aead) if aead.tag_len() == 16 && number >> 8 == 0x13 => {
                Some(Self { aead, hash: suite.hash })
            }
            _ => None,
        }
    }

    /// The ciphers whose secrets have this length, for sessions whose ServerHello is not known.
    pub fn of_secret_len(len: usize) -> &'static [Cipher] {
        const SHA256: [Cipher; 3] = [
            Cipher::INITIAL,
            Cipher { aead: AeadKind::ChaCha20Poly1305, hash: Hash::Sha256 },
            Cipher { aead: AeadKind::Aes128Ccm, hash: Hash::Sha256 },
        ];
        const SHA384: [Cipher; 1] = [Cipher { aead: AeadKind::Aes256Gcm, hash: Hash::Sha384 }];
        match len {
            32 => &SHA256,
            48 => &SHA384,
            _ => &[],
        }
    }
}

/// Makes the mask over the first byte and the packet number
/// ([RFC 9001 §5.4](https://www.rfc-editor.org/rfc/rfc9001#section-5.4)).
#[derive(Clone)]
pub struct HeaderKey(HeaderCipher);

#[derive(Clone)]
enum HeaderCipher {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
    ChaCha20([u8; 32]),
}

impl HeaderKey {
    fn new(kind: AeadKind, key: &[u8]) -> Option<Self> {
        Some(Self(match kind {
            AeadKind::ChaCha20Poly1305 => HeaderCipher::ChaCha20(key.try_into().ok()?),
            _ if key.len() == 32 => HeaderCipher::Aes256(Box::new(Aes256::new_from_slice(key).ok()?)),
            _ => HeaderCipher::Aes128(Box::new(Aes128::new_from_slice(key).ok()?)),
        }))
    }

    /// The mask that belongs to a sample of ciphertext.
    pub fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        let mut block = *sample;
        match &self.0 {
            HeaderCipher::Aes128(cipher) => cipher.encrypt_block((&mut block).into()),
            HeaderCipher::Aes256(cipher) => cipher.encrypt_block((&mut block).into()),
            HeaderCipher::ChaCha20(key) => {
                let [a, b, c, d, nonce @ ..] = block;
                let counter = u32::from_le_bytes([a, b, c, d]);
                let mut cipher = ChaCha20::new(key.into(), (&nonce).into());
                block = [0; SAMPLE_LEN];
                // One block is left even behind the greatest counter.
                if cipher.try_seek(u64::from(counter) * 64).is_ok() {
                    let _ = cipher.try_apply_keystream(&mut block);
                }
            }
        }
        let [a, b, c, d, e, ..] = block;
        [a, b, c, d, e]
    }

    /// Takes the protection off a header in place.
    ///
    /// `number_at` is the offset of the packet number, `largest` the greatest number of the same space so far. Gives the first
    /// byte, the packet number and the length of the header; `None` when the packet is too short to be one.
    pub fn unmask(&self, packet: &mut [u8], number_at: usize, largest: Option<u64>) -> Option<Unmasked> {
        let sample = *packet.get(number_at.checked_add(4)?..)?.first_chunk::<SAMPLE_LEN>()?;
        let [first_mask, mask @ ..] = self.mask(&sample);
        let first = packet.first_mut()?;
        *first ^= first_mask & if *first & 0x80 != 0 { 0x0f } else { 0x1f };
        let first = *first;
        let len = usize::from(first & 3) + 1;
        let header_len = number_at + len;
        let mut truncated = 0;
        for (byte, mask) in packet.get_mut(number_at..header_len)?.iter_mut().zip(mask) {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        Some(Unmasked { first, number: whole_number(largest, truncated, len), header_len })
    }
}

/// A header without protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmasked {
    /// First byte.
    pub first: u8,
    /// Packet number.
    pub number: u64,
    /// Bytes before the ciphertext.
    pub header_len: usize,
}

impl Unmasked {
    /// Key phase bit of a short header.
    pub fn phase(self) -> bool {
        self.first & 0x04 != 0
    }
}

/// The packet number of which `len` bytes were sent ([RFC 9000 §A.3](https://www.rfc-editor.org/rfc/rfc9000#section-a.3)).
fn whole_number(largest: Option<u64>, truncated: u64, len: usize) -> u64 {
    let expected = largest.map_or(0, |largest| largest.saturating_add(1));
    let window = 1u64 << (len * 8);
    let candidate = expected & !(window - 1) | truncated;
    if candidate.saturating_add(window / 2) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(window / 2) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// The cipher of packets with its key and nonce base.
#[derive(Clone)]
pub struct PacketKey {
    aead: Aead,
    iv: [u8; NONCE_LEN],
}

impl PacketKey {
    /// The key that follows from a secret.
    pub fn derive(version: Version, cipher: Cipher, secret: &Secret) -> Option<Self> {
        let labels = version.labels();
        let expand = |label: &str, len| hkdf_expand_label(cipher.hash, secret.as_bytes(), label.as_bytes(), b"", len);
        Some(Self {
            aead: Aead::new(cipher.aead, expand(labels.key, cipher.aead.key_len())?.as_bytes())?,
            iv: expand(labels.iv, NONCE_LEN)?.as_bytes().try_into().ok()?,
        })
    }

    /// Decrypts the payload behind a header of `header_len` bytes in place; the packet is as it was when that fails.
    pub fn open<'p>(&self, number: u64, header_len: usize, packet: &'p mut [u8]) -> Option<&'p [u8]> {
        let (header, payload) = packet.split_at_mut_checked(header_len)?;
        self.aead.open_in_place(&self.nonce(number), header, payload).ok().map(|plain| &*plain)
    }

    fn nonce(&self, number: u64) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(byte, number)| *byte ^= number);
        nonce
    }
}

/// Everything to read packets of one direction at one level.
#[derive(Clone)]
pub struct Keys {
    /// For the header.
    pub header: HeaderKey,
    /// For the payload.
    pub packet: PacketKey,
}

impl Keys {
    /// The keys that follow from a secret.
    pub fn derive(version: Version, cipher: Cipher, secret: &Secret) -> Option<Self> {
        let label = version.labels().hp.as_bytes();
        let key = hkdf_expand_label(cipher.hash, secret.as_bytes(), label, b"", cipher.aead.key_len())?;
        Some(Self {
            header: HeaderKey::new(cipher.aead, key.as_bytes())?,
            packet: PacketKey::derive(version, cipher, secret)?,
        })
    }

    /// Takes the header protection off and decrypts, in place.
    pub fn open<'p>(
        &self,
        packet: &'p mut [u8],
        number_at: usize,
        largest: Option<u64>,
    ) -> Option<(Unmasked, &'p [u8])> {
        let unmasked = self.header.unmask(packet, number_at, largest)?;
        Some((unmasked, self.packet.open(unmasked.number, unmasked.header_len, packet)?))
    }
}

/// Keys of Initial packets, which follow from the client's first destination connection id: `[client's, server's]`.
pub fn initial_keys(version: Version, dcid: &ConnectionId) -> Option<[Keys; 2]> {
    let cipher = Cipher::INITIAL;
    let initial = hkdf_extract(cipher.hash, version.initial_salt(), dcid.bytes())?;
    let keys = |label: &[u8]| {
        let secret = hkdf_expand_label(cipher.hash, initial.as_bytes(), label, b"", cipher.hash.size())?;
        Keys::derive(version, cipher, &secret)
    };
    Some([keys(b"client in")?, keys(b"server in")?])
}

/// 1-RTT keys of one side through all key updates ([RFC 9001 §6](https://www.rfc-editor.org/rfc/rfc9001#section-6)).
#[derive(Clone)]
pub struct Phases {
    version: Version,
    cipher: Cipher,
    header: HeaderKey,
    /// Secret of the phase after the current one, and its key.
    next: (Secret, PacketKey),
    current: PacketKey,
    /// Key of the phase before, for packets that come late.
    previous: Option<PacketKey>,
    phase: bool,
    /// Lowest packet number seen in the current phase.
    since: u64,
    /// Key updates so far.
    pub updates: u64,
}

/// Key updates that may be missing in the capture between two packets. Each one tried costs a decryption.
const UPDATES_MISSED: usize = 4;

impl Phases {
    /// The keys that begin with this secret.
    pub fn derive(version: Version, cipher: Cipher, secret: &Secret) -> Option<Self> {
        let Keys { header, packet } = Keys::derive(version, cipher, secret)?;
        let next = Self::after(version, cipher, secret)?;
        Some(Self {
            version,
            cipher,
            header,
            next,
            current: packet,
            previous: None,
            phase: false,
            since: u64::MAX,
            updates: 0,
        })
    }

    fn after(version: Version, cipher: Cipher, secret: &Secret) -> Option<(Secret, PacketKey)> {
        let label = version.labels().ku.as_bytes();
        let secret = hkdf_expand_label(cipher.hash, secret.as_bytes(), label, b"", cipher.hash.size())?;
        let key = PacketKey::derive(version, cipher, &secret)?;
        Some((secret, key))
    }

    /// Takes the header protection off and decrypts, in place.
    pub fn open<'p>(
        &mut self,
        packet: &'p mut [u8],
        number_at: usize,
        largest: Option<u64>,
    ) -> Option<(Unmasked, &'p [u8])> {
        let unmasked = self.header.unmask(packet, number_at, largest)?;
        let Unmasked { number, header_len, .. } = unmasked;
        // The plaintext cannot be borrowed across attempts: remember only its length.
        let len = if unmasked.phase() == self.phase
            && let Some(plain) = self.current.open(number, header_len, packet)
        {
            self.since = self.since.min(number);
            plain.len()
        } else {
            self.open_other_phase(unmasked, packet)?
        };
        Some((unmasked, packet.get(header_len..header_len.checked_add(len)?)?))
    }

    fn open_other_phase(&mut self, unmasked: Unmasked, packet: &mut [u8]) -> Option<usize> {
        let Unmasked { number, header_len, .. } = unmasked;
        let is_late = number < self.since;
        if is_late
            && unmasked.phase() != self.phase
            && let Some(previous) = &self.previous
            && let Some(plain) = previous.open(number, header_len, packet)
        {
            return Some(plain.len());
        }
        let mut ahead = self.next.clone();
        let mut passed = self.current.clone();
        for step in 1..=UPDATES_MISSED {
            let is_its_phase = unmasked.phase() == (self.phase ^ (step % 2 == 1));
            if is_its_phase && let Some(plain) = ahead.1.open(number, header_len, packet) {
                let len = plain.len();
                self.next = Self::after(self.version, self.cipher, &ahead.0)?;
                self.previous = Some(passed);
                self.current = ahead.1;
                self.phase = unmasked.phase();
                self.since = number;
                self.updates += step as u64;
                return Some(len);
            }
            let next = Self::after(self.version, self.cipher, &ahead.0)?;
            passed = std::mem::replace(&mut ahead, next).1;
        }
        None
    }
}

/// Which secret of a key log protects what a side sends at a level.
pub fn label_of(level: Level, side: crate::tcp::Side) -> Option<Label> {
    use crate::tcp::Side::{Client, Server};
    Some(match (level, side) {
        (Level::ZeroRtt, Client) => Label::ClientEarly,
        (Level::Handshake, Client) => Label::ClientHandshake,
        (Level::Handshake, Server) => Label::ServerHandshake,
        (Level::OneRtt, Client) => Label::ClientTraffic,
        (Level::OneRtt, Server) => Label::ServerTraffic,
        (Level::Initial, _) | (Level::ZeroRtt, Server) => return None,
    })
}

/// Encryption level of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Initial packets.
    Initial,
    /// 0-RTT packets.
    ZeroRtt,
    /// Handshake packets.
    Handshake,
    /// Packets with short header.
    OneRtt,
}

impl Level {
    /// Packet number space: 0-RTT and 1-RTT share one (RFC 9000 §12.3).
    pub fn space(self) -> usize {
        match self {
            Level::Initial => 0,
            Level::Handshake => 1,
            Level::ZeroRtt | Level::OneRtt => 2,
        }
    }
}
