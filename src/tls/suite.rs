//! Cipher suites: their IANA names and what they are made of.

use tls_parser::{TlsCipherEnc, TlsCipherEncMode, TlsCipherKx, TlsCipherMac, TlsCipherSuite, TlsPRF};

use super::aead::AeadKind;
use super::schedule::Hash;

/// The parts of a cipher suite that reading its records takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// Number in the IANA registry.
    pub number: u16,
    /// Name in the IANA registry.
    pub name: &'static str,
    /// What enciphers the records; `None` when it is not supported.
    pub cipher: Option<BulkCipher>,
    /// How the master secret comes about before TLS 1.3.
    pub key_exchange: KeyExchange,
    /// Hash of the PRF of TLS 1.2, or of the key schedule of TLS 1.3.
    pub hash: Hash,
}

/// What enciphers records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkCipher {
    /// Cipher and tag in one.
    Aead(AeadKind),
    /// No encryption, only a MAC.
    Null(MacKind),
    /// RC4 with 128-bit keys.
    Rc4(MacKind),
    /// A block cipher in CBC mode.
    Cbc(BlockKind, MacKind),
}

impl BulkCipher {
    /// Bytes of the MAC key.
    pub fn mac_len(self) -> usize {
        match self {
            BulkCipher::Aead(_) => 0,
            BulkCipher::Null(mac) | BulkCipher::Rc4(mac) | BulkCipher::Cbc(_, mac) => mac.size(),
        }
    }

    /// Bytes of the key.
    pub fn key_len(self) -> usize {
        match self {
            BulkCipher::Aead(kind) => kind.key_len(),
            BulkCipher::Null(_) => 0,
            BulkCipher::Rc4(_) => 16,
            BulkCipher::Cbc(block, _) => block.key_len(),
        }
    }

    /// Bytes of the initialisation vector that comes with the keys before TLS 1.3.
    pub fn fixed_iv_len(self, version: u16) -> usize {
        match self {
            BulkCipher::Aead(AeadKind::ChaCha20Poly1305) => 12,
            BulkCipher::Aead(_) => 4,
            BulkCipher::Cbc(block, _) if version == 0x0301 => block.block_len(),
            _ => 0,
        }
    }
}

/// Block ciphers used in CBC mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum BlockKind {
    Aes128,
    Aes256,
    TripleDes,
}

impl BlockKind {
    /// Bytes of the key.
    pub fn key_len(self) -> usize {
        match self {
            BlockKind::Aes128 => 16,
            BlockKind::Aes256 => 32,
            BlockKind::TripleDes => 24,
        }
    }

    /// Bytes of a block and of the initialisation vector.
    pub fn block_len(self) -> usize {
        if self == BlockKind::TripleDes { 8 } else { 16 }
    }
}

/// HMACs of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum MacKind {
    Md5,
    Sha1,
    Sha256,
    Sha384,
}

impl MacKind {
    /// Bytes of the MAC and of its key.
    pub fn size(self) -> usize {
        match self {
            MacKind::Md5 => 16,
            MacKind::Sha1 => 20,
            MacKind::Sha256 => 32,
            MacKind::Sha384 => 48,
        }
    }
}

/// How the pre-master secret of TLS 1.0 to 1.2 comes about, as far as it can be found again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// Encrypted with the server's RSA key.
    Rsa,
    /// A pre-shared key alone.
    Psk,
    /// Agreed with keys that only the two ends ever had.
    Ephemeral,
    /// TLS 1.3, where the suite does not say.
    Tls13,
}

impl Suite {
    /// The suite of this number, if the registry has it.
    pub fn of(number: u16) -> Option<Self> {
        let known = TlsCipherSuite::from_id(number)?;
        let hash =
            if known.prf == TlsPRF::Sha384 || known.mac == TlsCipherMac::HmacSha384 || known.name.ends_with("SHA384") {
                Hash::Sha384
            } else {
                Hash::Sha256
            };
        let key_exchange = match (known.kx, known.name.contains("PSK")) {
            (TlsCipherKx::Rsa, false) => KeyExchange::Rsa,
            (TlsCipherKx::Psk, _) => KeyExchange::Psk,
            (TlsCipherKx::Tls13, _) => KeyExchange::Tls13,
            _ => KeyExchange::Ephemeral,
        };
        Some(Self { number, name: known.name, cipher: cipher_of(known), key_exchange, hash })
    }
}

fn cipher_of(known: &TlsCipherSuite) -> Option<BulkCipher> {
    if known.name.contains("EXPORT") {
        return None;
    }
    let short_tag = known.name.contains("CCM_8");
    let mac = match known.mac {
        TlsCipherMac::HmacMd5 => Some(MacKind::Md5),
        TlsCipherMac::HmacSha1 => Some(MacKind::Sha1),
        TlsCipherMac::HmacSha256 => Some(MacKind::Sha256),
        TlsCipherMac::HmacSha384 => Some(MacKind::Sha384),
        _ => None,
    };
    Some(match (known.enc, known.enc_mode, known.enc_size) {
        (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 128) => BulkCipher::Aead(AeadKind::Aes128Gcm),
        (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 256) => BulkCipher::Aead(AeadKind::Aes256Gcm),
        (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 128) if short_tag => BulkCipher::Aead(AeadKind::Aes128Ccm8),
        (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 256) if short_tag => BulkCipher::Aead(AeadKind::Aes256Ccm8),
        (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 128) => BulkCipher::Aead(AeadKind::Aes128Ccm),
        (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 256) => BulkCipher::Aead(AeadKind::Aes256Ccm),
        (TlsCipherEnc::Chacha20_Poly1305, ..) => BulkCipher::Aead(AeadKind::ChaCha20Poly1305),
        (TlsCipherEnc::Aes, TlsCipherEncMode::Cbc, 128) => BulkCipher::Cbc(BlockKind::Aes128, mac?),
        (TlsCipherEnc::Aes, TlsCipherEncMode::Cbc, 256) => BulkCipher::Cbc(BlockKind::Aes256, mac?),
        (TlsCipherEnc::TripleDes, TlsCipherEncMode::Cbc, _) => BulkCipher::Cbc(BlockKind::TripleDes, mac?),
        (TlsCipherEnc::Rc4, _, 128) => BulkCipher::Rc4(mac?),
        (TlsCipherEnc::Null, ..) if known.kx != TlsCipherKx::Tls13 => BulkCipher::Null(mac?),
        _ => return None,
    })
}
