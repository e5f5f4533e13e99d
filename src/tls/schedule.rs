//! Key derivation: HKDF of TLS 1.3 and QUIC, and the PRF of the versions before.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384};

use super::secret::Secret;

/// Hash function of a key schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// MD5 and SHA-1 side by side, as TLS 1.0 and 1.1 do.
    Md5Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Bytes of a digest.
    pub fn size(self) -> usize {
        match self {
            Hash::Md5Sha1 => 36,
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
        }
    }

    /// The digest of all parts one after the other.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Hash::Md5Sha1 => [Md5::digest(data).as_slice(), Sha1::digest(data).as_slice()].concat(),
            Hash::Sha256 => Sha256::digest(data).to_vec(),
            Hash::Sha384 => Sha384::digest(data).to_vec(),
        }
    }
}

/// HKDF-Expand-Label ([RFC 8446 §7.1](https://www.rfc-editor.org/rfc/rfc8446#section-7.1)); the label is given without
/// its `tls13 ` prefix. `None` when the secret or the lengths do not fit the hash.
///
/// ```text
/// +--------+--------+----------------+--------+-----------------+
/// |   length (16)   | label len (8), | context len (8), context |
/// |                 | "tls13 " label |                          |
/// +--------+--------+----------------+--------+-----------------+
/// ```
pub fn hkdf_expand_label(hash: Hash, secret: &[u8], label: &[u8], context: &[u8], len: usize) -> Option<Secret> {
    let mut out = Secret::zeroed(len)?;
    let length = u16::try_from(len).ok()?.to_be_bytes();
    let label_len = [u8::try_from(label.len()).ok()?.checked_add(6)?];
    let context_len = [u8::try_from(context.len()).ok()?];
    let info: [&[u8]; 6] = [&length, &label_len, b"tls13 ", label, &context_len, context];
    match hash {
        Hash::Sha256 => Hkdf::<Sha256>::from_prk(secret).ok()?.expand_multi_info(&info, out.as_mut()).ok()?,
        Hash::Sha384 => Hkdf::<Sha384>::from_prk(secret).ok()?.expand_multi_info(&info, out.as_mut()).ok()?,
        Hash::Md5Sha1 => return None,
    }
    Some(out)
}

/// HKDF-Extract ([RFC 5869 §2.2](https://www.rfc-editor.org/rfc/rfc5869#section-2.2)).
pub fn hkdf_extract(hash: Hash, salt: &[u8], input: &[u8]) -> Option<Secret> {
    match hash {
        Hash::Sha256 => Secret::new(&Hkdf::<Sha256>::extract(Some(salt), input).0),
        Hash::Sha384 => Secret::new(&Hkdf::<Sha384>::extract(Some(salt), input).0),
        Hash::Md5Sha1 => None,
    }
}

/// The secret after a KeyUpdate ([RFC 8446 §7.2](https://www.rfc-editor.org/rfc/rfc8446#section-7.2)).
pub fn next_generation(hash: Hash, secret: &Secret) -> Option<Secret> {
    hkdf_expand_label(hash, secret.as_bytes(), b"traffic upd", b"", hash.size())
}

/// The PRF of TLS 1.0 to 1.2 ([RFC 5246 §5](https://www.rfc-editor.org/rfc/rfc5246#section-5),
/// [RFC 2246 §5](https://www.rfc-editor.org/rfc/rfc2246#section-5)); `seed` is the sum of its parts.
pub fn prf(hash: Hash, secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    match hash {
        Hash::Sha256 => p_hash::<Hmac<Sha256>>(secret, label, seed, out),
        Hash::Sha384 => p_hash::<Hmac<Sha384>>(secret, label, seed, out),
        Hash::Md5Sha1 => {
            // The halves of the secret share the middle byte when its length is odd.
            let half = secret.len().div_ceil(2);
            let (first, second) = (secret.get(..half), secret.get(secret.len() - half..));
            p_hash::<Hmac<Md5>>(first.unwrap_or_default(), label, seed, out);
            p_hash::<Hmac<Sha1>>(second.unwrap_or_default(), label, seed, out);
        }
    }
}

/// P_hash of RFC 5246 §5, mixed into `out` by exclusive or.
fn p_hash<M: Mac + KeyInit + Clone>(secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let Ok(keyed) = <M as KeyInit>::new_from_slice(secret) else { return };
    let feed = |mut mac: M| {
        mac.update(label);
        seed.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()
    };
    let mut a = feed(keyed.clone());
    for block in out.chunks_mut(a.len()) {
        let bytes = feed(keyed.clone().chain_update(&a));
        block.iter_mut().zip(bytes.iter()).for_each(|(out, byte)| *out ^= byte);
        a = keyed.clone().chain_update(&a).finalize().into_bytes();
    }
}
