//! Authenticated ciphers of TLS and QUIC.

use std::fmt;

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::{U8, U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;

/// Which authenticated cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum AeadKind {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    Aes128Ccm,
    Aes256Ccm,
    /// CCM with a tag of 8 bytes.
    Aes128Ccm8,
    /// CCM with a tag of 8 bytes.
    Aes256Ccm8,
}

impl AeadKind {
    /// Bytes of the key.
    pub fn key_len(self) -> usize {
        match self {
            AeadKind::Aes128Gcm | AeadKind::Aes128Ccm | AeadKind::Aes128Ccm8 => 16,
            AeadKind::Aes256Gcm | AeadKind::Aes256Ccm | AeadKind::Aes256Ccm8 | AeadKind::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of the tag behind the ciphertext.
    pub fn tag_len(self) -> usize {
        if matches!(self, AeadKind::Aes128Ccm8 | AeadKind::Aes256Ccm8) { 8 } else { 16 }
    }
}

/// Bytes of every nonce in TLS and QUIC.
pub const NONCE_LEN: usize = 12;

/// The ciphertext is not authentic, or shorter than its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAuthentic;

/// An authenticated cipher with its key.
#[derive(Clone)]
pub struct Aead {
    kind: AeadKind,
    cipher: Cipher,
}

type Ccm16<C> = Ccm<C, U16, U12>;
type Ccm8<C> = Ccm<C, U8, U12>;

#[derive(Clone)]
enum Cipher {
    Aes128Gcm(Box<Aes128Gcm>),
    Aes256Gcm(Box<Aes256Gcm>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
    Aes128Ccm(Box<Ccm16<Aes128>>),
    Aes256Ccm(Box<Ccm16<Aes256>>),
    Aes128Ccm8(Box<Ccm8<Aes128>>),
    Aes256Ccm8(Box<Ccm8<Aes256>>),
}

impl Aead {
    /// The cipher with this key; `None` when the key has the wrong length.
    pub fn new(kind: AeadKind, key: &[u8]) -> Option<Self> {
        fn keyed<C: KeyInit>(key: &[u8]) -> Option<Box<C>> {
            C::new_from_slice(key).ok().map(Box::new)
        }
        let cipher = match kind {
            AeadKind::Aes128Gcm => Cipher::Aes128Gcm(keyed(key)?),
            AeadKind::Aes256Gcm => Cipher::Aes256Gcm(keyed(key)?),
            AeadKind::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305(keyed(key)?),
            AeadKind::Aes128Ccm => Cipher::Aes128Ccm(keyed(key)?),
            AeadKind::Aes256Ccm => Cipher::Aes256Ccm(keyed(key)?),
            AeadKind::Aes128Ccm8 => Cipher::Aes128Ccm8(keyed(key)?),
            AeadKind::Aes256Ccm8 => Cipher::Aes256Ccm8(keyed(key)?),
        };
        Some(Self { kind, cipher })
    }

    /// Which cipher this is.
    pub fn kind(&self) -> AeadKind {
        self.kind
    }

    /// Decrypts `buf`, ciphertext with its tag behind, in place; gives the plaintext, which begins where `buf` does.
    /// When the tag is wrong, `buf` is left as it was.
    pub fn open_in_place<'a>(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buf: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotAuthentic> {
        match &self.cipher {
            Cipher::Aes128Gcm(cipher) => open(&**cipher, nonce, aad, buf),
            Cipher::Aes256Gcm(cipher) => open(&**cipher, nonce, aad, buf),
            Cipher::ChaCha20Poly1305(cipher) => open(&**cipher, nonce, aad, buf),
            Cipher::Aes128Ccm(cipher) => open_restoring(&**cipher, nonce, aad, buf),
            Cipher::Aes256Ccm(cipher) => open_restoring(&**cipher, nonce, aad, buf),
            Cipher::Aes128Ccm8(cipher) => open_restoring(&**cipher, nonce, aad, buf),
            Cipher::Aes256Ccm8(cipher) => open_restoring(&**cipher, nonce, aad, buf),
        }
    }
}

fn open<'a, C: AeadInOut<NonceSize = U12>>(
    cipher: &C,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buf: &'a mut [u8],
) -> Result<&'a mut [u8], NotAuthentic> {
    let tag_len = size_of::<aes_gcm::aead::Tag<C>>();
    let at = buf.len().checked_sub(tag_len).ok_or(NotAuthentic)?;
    let (text, tag) = buf.split_at_mut(at);
    let tag = (&*tag).try_into().map_err(|_| NotAuthentic)?;
    cipher.decrypt_inout_detached(nonce.into(), aad, (&mut *text).into(), tag).map_err(|_| NotAuthentic)?;
    Ok(text)
}

/// CCM can check only what it has decrypted, and wipes it when the tag is wrong: decrypts a copy.
fn open_restoring<'a, C: AeadInOut<NonceSize = U12>>(
    cipher: &C,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buf: &'a mut [u8],
) -> Result<&'a mut [u8], NotAuthentic> {
    let mut copy = buf.to_vec();
    let len = open(cipher, nonce, aad, &mut copy)?.len();
    let text = buf.get_mut(..len).ok_or(NotAuthentic)?;
    text.copy_from_slice(copy.get(..len).ok_or(NotAuthentic)?);
    Ok(text)
}

impl fmt::Debug for Aead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aead({:?})", self.kind)
    }
}
