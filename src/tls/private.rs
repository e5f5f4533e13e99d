//! Secrets the user gave that are not of one session: private keys of servers, and pre-shared keys.

use std::sync::Arc;

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};
use zeroize::Zeroizing;

/// Why a private or pre-shared key was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text of an RSA key in one of the two usual forms.
    #[error("not an unencrypted RSA private key in PEM (BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY)")]
    NotRsa,
    /// Not hexadecimal, or empty, or longer than 64 KiB.
    #[error("a pre-shared key is written in hexadecimal digits, two for each byte")]
    NotHex,
    /// There are as many as are of use.
    #[error("too many keys: at most 64 private and 64 pre-shared keys are tried")]
    TooMany,
}

/// Keys tried on every session: each costs a millisecond there.
const KEYS_MAX: usize = 64;

/// Private and pre-shared keys.
#[derive(Default)]
pub(crate) struct PrivateKeys {
    /// The Marvin advisory on this crate (RUSTSEC-2023-0071) is about who can time the decryption; here nobody is asked.
    rsa: Vec<Arc<RsaPrivateKey>>,
    psk: Vec<Zeroizing<Vec<u8>>>,
}

impl PrivateKeys {
    pub(crate) fn is_empty(&self) -> bool {
        self.rsa.is_empty() && self.psk.is_empty()
    }

    pub(crate) fn add_rsa(&mut self, pem: &str) -> Result<(), KeyError> {
        let key = RsaPrivateKey::from_pkcs8_pem(pem).ok();
        let key = key.or_else(|| RsaPrivateKey::from_pkcs1_pem(pem).ok()).ok_or(KeyError::NotRsa)?;
        if self.rsa.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        self.rsa.push(Arc::new(key));
        Ok(())
    }

    pub(crate) fn add_psk(&mut self, bytes: Zeroizing<Vec<u8>>) -> Result<(), KeyError> {
        if self.psk.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        self.psk.push(bytes);
        Ok(())
    }

    pub(crate) fn rsa(&self) -> Vec<Arc<RsaPrivateKey>> {
        self.rsa.clone()
    }

    /// What each pre-shared key makes of itself when it is used alone
    /// ([RFC 4279 §2](https://www.rfc-editor.org/rfc/rfc4279#section-2)).
    ///
    /// ```text
    /// +--------------+----------------+--------------+----------------+
    /// | length (16)  | as many zeros  | length (16)  |      key       |
    /// +--------------+----------------+--------------+----------------+
    /// ```
    pub(crate) fn psk_pre_masters(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let pre_master = |key: &Zeroizing<Vec<u8>>| {
            let len = (key.len() as u16).to_be_bytes();
            Zeroizing::new([&len[..], &vec![0; key.len()], &len, key].concat())
        };
        self.psk.iter().map(pre_master).collect()
    }
}

/// The pre-master secret that one of the keys opens
/// ([RFC 5246 §7.4.7.1](https://www.rfc-editor.org/rfc/rfc5246#section-7.4.7.1)).
pub(crate) fn decrypt_pre_master(keys: &[Arc<RsaPrivateKey>], encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    keys.iter()
        .filter_map(|key| key.decrypt(Pkcs1v15Encrypt, encrypted).ok().map(Zeroizing::new))
        .find(|plain| plain.len() == 48 && plain.first() == Some(&3))
}
