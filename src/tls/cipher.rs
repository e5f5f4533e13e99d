//! Opening the records of one direction with one set of keys.

use std::ops::Range;

use super::aead::{Aead, AeadKind, NONCE_LEN, NotAuthentic};
use super::handshake::Handshake;
use super::legacy::Legacy;
use super::record::{HEADER, Record};
use super::schedule::hkdf_expand_label;
use super::suite::{BulkCipher, Suite};

/// Content of an opened record: its type and where it lies in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    pub kind: u8,
    pub range: Range<usize>,
}

/// Keys of one direction. Nothing here counts: the number of a record is given with it, so that numbers can be tried.
pub(crate) enum Opener {
    /// TLS 1.3: the nonce is made of the number.
    Tls13 { aead: Aead, iv: [u8; NONCE_LEN] },
    /// TLS 1.2, GCM and CCM: half of the nonce stands in the record.
    Explicit { aead: Aead, salt: [u8; 4] },
    /// TLS 1.2, ChaCha20-Poly1305: the nonce is made of the number.
    Implicit { aead: Aead, iv: [u8; NONCE_LEN] },
    /// TLS 1.0 to 1.2, cipher and MAC apart.
    Legacy(Box<Legacy>),
}

impl Opener {
    /// Keys of TLS 1.3 from a traffic secret.
    pub(crate) fn tls13(suite: &Suite, secret: &[u8]) -> Option<Self> {
        let BulkCipher::Aead(kind) = suite.cipher? else { return None };
        let key = hkdf_expand_label(suite.hash, secret, b"key", b"", kind.key_len())?;
        let iv = hkdf_expand_label(suite.hash, secret, b"iv", b"", NONCE_LEN)?;
        Some(Self::Tls13 { aead: Aead::new(kind, key.as_bytes())?, iv: *iv.as_bytes().first_chunk()? })
    }

    /// Keys of TLS 1.0 to 1.2, cut from the key block.
    pub(crate) fn tls12(cipher: BulkCipher, handshake: &Handshake, mac: &[u8], key: &[u8], iv: &[u8]) -> Option<Self> {
        Some(match cipher {
            BulkCipher::Aead(AeadKind::ChaCha20Poly1305) => {
                Self::Implicit { aead: Aead::new(AeadKind::ChaCha20Poly1305, key)?, iv: iv.try_into().ok()? }
            }
            BulkCipher::Aead(kind) => Self::Explicit { aead: Aead::new(kind, key)?, salt: iv.try_into().ok()? },
            BulkCipher::Null(kind) => Self::Legacy(Legacy::null(kind, Some(mac))?.into()),
            BulkCipher::Rc4(kind) => Self::Legacy(Legacy::rc4(kind, mac, key)?.into()),
            BulkCipher::Cbc(block, kind) => {
                Self::Legacy(Legacy::cbc((block, kind), mac, key, iv, handshake.encrypt_then_mac)?.into())
            }
        })
    }

    /// What is opened from now on is another record.
    pub(crate) fn begin_record(&mut self) {
        if let Self::Legacy(legacy) = self {
            legacy.begin_record();
        }
    }

    /// Decrypts the record numbered `number` in place. When it does not fit, other
    /// numbers can be tried on it.
    pub(crate) fn open(&mut self, number: u64, record: &mut Record<'_>) -> Result<Opened, NotAuthentic> {
        match self {
            Self::Tls13 { aead, iv } => {
                let aad = header(record.kind, record.version, record.body.len());
                let text = aead.open_in_place(&nonce(iv, number), &aad, record.body)?;
                // Zeros behind the content type are padding (RFC 8446 §5.4).
                let last = text.iter().rposition(|&byte| byte != 0).ok_or(NotAuthentic)?;
                Ok(Opened { kind: text.get(last).copied().ok_or(NotAuthentic)?, range: 0..last })
            }
            Self::Explicit { aead, salt } => {
                let explicit: [u8; 8] = *record.body.first_chunk().ok_or(NotAuthentic)?;
                let mut nonce = [0; NONCE_LEN];
                nonce.iter_mut().zip(salt.iter().chain(&explicit)).for_each(|(to, from)| *to = *from);
                let len = record.body.len().checked_sub(8 + aead.kind().tag_len()).ok_or(NotAuthentic)?;
                let aad = aad12(number, record.kind, record.version, len);
                aead.open_in_place(&nonce, &aad, record.body.get_mut(8..).ok_or(NotAuthentic)?)?;
                Ok(Opened { kind: record.kind, range: 8..8 + len })
            }
            Self::Implicit { aead, iv } => {
                let len = record.body.len().checked_sub(aead.kind().tag_len()).ok_or(NotAuthentic)?;
                let aad = aad12(number, record.kind, record.version, len);
                aead.open_in_place(&nonce(iv, number), &aad, record.body)?;
                Ok(Opened { kind: record.kind, range: 0..len })
            }
            Self::Legacy(legacy) => legacy.open(number, record),
        }
    }

    /// A record of this many bytes was lost.
    pub(crate) fn pass_unseen(&mut self, body: usize) {
        if let Self::Legacy(legacy) = self {
            legacy.pass_unseen(body);
        }
    }

    /// Nobody knows how many records were lost.
    pub(crate) fn pass_unknown(&mut self) {
        if let Self::Legacy(legacy) = self {
            legacy.pass_unknown();
        }
    }

    /// Bytes of a record that are not content, its header included; `None` when that varies.
    pub(crate) fn overhead(&self) -> Option<u64> {
        let len = match self {
            Self::Tls13 { aead, .. } => aead.kind().tag_len() + 1,
            Self::Explicit { aead, .. } => aead.kind().tag_len() + 8,
            Self::Implicit { aead, .. } => aead.kind().tag_len(),
            Self::Legacy(legacy) => legacy.overhead()?,
        };
        Some((HEADER + len) as u64)
    }
}

fn nonce(iv: &[u8; NONCE_LEN], number: u64) -> [u8; NONCE_LEN] {
    let mut nonce = *iv;
    nonce.iter_mut().skip(NONCE_LEN - 8).zip(number.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
    nonce
}

fn header(kind: u8, version: u16, len: usize) -> [u8; 5] {
    let [major, minor] = version.to_be_bytes();
    let [high, low] = (len as u16).to_be_bytes();
    [kind, major, minor, high, low]
}

/// What is authenticated beside the content before TLS 1.3
/// ([RFC 5246 §6.2.3.3](https://www.rfc-editor.org/rfc/rfc5246#section-6.2.3.3)).
pub(crate) fn aad12(number: u64, kind: u8, version: u16, len: usize) -> [u8; 13] {
    let mut aad = [0; 13];
    let header = header(kind, version, len);
    aad.iter_mut().zip(number.to_be_bytes().iter().chain(&header)).for_each(|(to, from)| *to = *from);
    aad
}
