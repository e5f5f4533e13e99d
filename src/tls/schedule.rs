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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{hex, unhex};

    fn expand(secret: &str, label: &str, context: &str, len: usize) -> String {
        let made = hkdf_expand_label(Hash::Sha256, &unhex(secret), label.as_bytes(), &unhex(context), len);
        hex(made.unwrap().as_bytes())
    }

    /// The values of [RFC 8448 §3](https://www.rfc-editor.org/rfc/rfc8448#section-3).
    #[test]
    fn key_schedule_of_rfc_8448() {
        let early = hkdf_extract(Hash::Sha256, &[0; 32], &[0; 32]).unwrap();
        assert_eq!(hex(early.as_bytes()), "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
        let empty = hex(&Hash::Sha256.digest(b""));
        let derived = expand(&hex(early.as_bytes()), "derived", &empty, 32);
        assert_eq!(derived, "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba");
        let shared = unhex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
        let handshake = hkdf_extract(Hash::Sha256, &unhex(&derived), &shared).unwrap();
        assert_eq!(hex(handshake.as_bytes()), "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac");
        let server = "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38";
        assert_eq!(expand(server, "key", "", 16), "3fce516009c21727d0f2e4e86ee403bc");
        assert_eq!(expand(server, "iv", "", 12), "5d313eb2671276ee13000b30");
        let client = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
        assert_eq!(expand(client, "key", "", 16), "17422dda596ed5d9acd890e3c63f5051");
        assert_eq!(expand(client, "iv", "", 12), "5b78923dee08579033e523d9");
    }

    #[test]
    fn a_secret_of_another_length_is_refused() {
        assert!(hkdf_expand_label(Hash::Sha384, &[1; 32], b"key", b"", 16).is_none());
        assert!(hkdf_expand_label(Hash::Sha256, &[1; 32], b"key", b"", 65).is_none());
        assert!(hkdf_expand_label(Hash::Sha256, &[1; 32], &[b'x'; 250], b"", 16).is_none());
    }

    /// The vector that was published on the TLS mailing list for the PRF of TLS 1.2 with SHA-256.
    #[test]
    fn prf_of_tls12() {
        let mut out = [0; 100];
        let (secret, seed) = (unhex("9bbe436ba940f017b17652849a71db35"), unhex("a0ba9f936cda311827a6f796ffd5198c"));
        prf(Hash::Sha256, &secret, b"test label", &[&seed[..5], &seed[5..]], &mut out);
        assert_eq!(
            hex(&out),
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af\
             0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
             87347b66"
        );
    }
}
