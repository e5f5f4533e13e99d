//! Authenticated ciphers of TLS and QUIC.

#[cfg(target_arch = "x86_64")]
mod wide;

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
    /// AES-GCM of either length, where the processor can do several blocks at once.
    #[cfg(target_arch = "x86_64")]
    WideGcm(wide::Gcm),
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
        #[cfg(target_arch = "x86_64")]
        if matches!(kind, AeadKind::Aes128Gcm | AeadKind::Aes256Gcm)
            && key.len() == kind.key_len()
            && let Some(cipher) = wide::Gcm::new(key)
        {
            return Some(Self { kind, cipher: Cipher::WideGcm(cipher) });
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
            #[cfg(target_arch = "x86_64")]
            Cipher::WideGcm(cipher) => cipher.open(nonce, aad, buf),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::unhex;

    struct Vector {
        kind: AeadKind,
        key: &'static str,
        nonce: &'static str,
        aad: &'static str,
        plain: &'static str,
        sealed: &'static str,
    }

    const VECTORS: &[Vector] = &[
        // McGrew and Viega, The Galois/Counter Mode of Operation, test case 4.
        Vector {
            kind: AeadKind::Aes128Gcm,
            key: "feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525\
                    b16aedf5aa0de657ba637b39",
            sealed: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05\
                     1ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
        },
        // The same, test case 14: no text but zeros, AES-256.
        Vector {
            kind: AeadKind::Aes256Gcm,
            key: "0000000000000000000000000000000000000000000000000000000000000000",
            nonce: "000000000000000000000000",
            aad: "",
            plain: "00000000000000000000000000000000",
            sealed: "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        },
        // RFC 8439 §2.8.2.
        Vector {
            kind: AeadKind::ChaCha20Poly1305,
            key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            nonce: "070000004041424344454647",
            aad: "50515253c0c1c2c3c4c5c6c7",
            plain: "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f\
                    756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265\
                    656e20776f756c642062652069742e",
            sealed: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
                     1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
                     3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
        },
        // NIST SP 800-38C appendix C.3.
        Vector {
            kind: AeadKind::Aes128Ccm8,
            key: "404142434445464748494a4b4c4d4e4f",
            nonce: "101112131415161718191a1b",
            aad: "000102030405060708090a0b0c0d0e0f10111213",
            plain: "202122232425262728292a2b2c2d2e2f3031323334353637",
            sealed: "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951",
        },
    ];

    #[test]
    fn published_vectors() {
        for vector in VECTORS {
            let aead = Aead::new(vector.kind, &unhex(vector.key)).unwrap();
            let nonce: [u8; 12] = unhex(vector.nonce).try_into().unwrap();
            let mut text = unhex(vector.sealed);
            let plain = aead.open_in_place(&nonce, &unhex(vector.aad), &mut text).unwrap();
            assert_eq!(plain, unhex(vector.plain), "{:?}", vector.kind);
        }
    }

    #[test]
    fn what_is_not_authentic_stays_as_it_was() {
        for vector in VECTORS {
            let aead = Aead::new(vector.kind, &unhex(vector.key)).unwrap();
            let nonce: [u8; 12] = unhex(vector.nonce).try_into().unwrap();
            for at in 0..unhex(vector.sealed).len() {
                let mut text = unhex(vector.sealed);
                text[at] ^= 0x40;
                let before = text.clone();
                assert_eq!(aead.open_in_place(&nonce, &unhex(vector.aad), &mut text), Err(NotAuthentic));
                assert_eq!(text, before);
            }
            assert!(aead.open_in_place(&nonce, &[], &mut [0; 5]).is_err());
            assert!(Aead::new(vector.kind, &[0; 15]).is_none());
        }
    }

    /// The two records of application data and the client's alert of
    /// [RFC 8448 §3](https://www.rfc-editor.org/rfc/rfc8448#section-3).
    #[test]
    fn records_of_rfc_8448() {
        let open = |key: &str, iv: &str, number: u8, record: &str| {
            let mut record = unhex(record);
            let (header, body) = record.split_at_mut(5);
            let mut nonce: [u8; 12] = unhex(iv).try_into().unwrap();
            nonce[11] ^= number;
            let aead = Aead::new(AeadKind::Aes128Gcm, &unhex(key)).unwrap();
            aead.open_in_place(&nonce, header, body).unwrap().to_vec()
        };
        let (client, server) = ("17422dda596ed5d9acd890e3c63f5051", "9f02283b6c9c07efc26bb9f2ac92e356");
        let (client_iv, server_iv) = ("5b78923dee08579033e523d9", "cf782b88dd83549aadf1e984");
        let mut data: Vec<u8> = (0..50).collect();
        data.push(23);
        let request = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b\
                       62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
        assert_eq!(open(client, client_iv, 0, request), data);
        let response = "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8\
                        fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
        assert_eq!(open(server, server_iv, 1, response), data);
        let alert = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
        assert_eq!(open(client, client_iv, 1, alert), [1, 0, 21]);
    }
}
