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

#[cfg(test)]
mod tests {
    use crate::base::{Budget, Limits, Span};
    use crate::tcp::{Chunk, Position, Side, StreamEvent};
    use crate::tls::testing::{Conversation, Options, unhex};
    use crate::tls::{Decryption, KeyError, KeyLog, Session};

    /// Made for this test, in both forms.
    const PKCS8: &str = "\
-----BEGIN PRIVATE KEY-----
MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBANbbyX5e/+HQDRcQ
H0zUVxHT69aVrNrZl8TO0rx6rbPvksVPkGRV8+0+O6CkxxLTCfvtercnhZnYhRGo
1OLOGOgOsWJAyofyABCAuu5XDZNuRKMzLJ9GLLbEkor46SDi+/8XjGS9HY+p11jD
JJb3hlkRZwSOaforlpryP49FANeXAgMBAAECgYEAsqh5qLIX9c4JRHcsf7dFW1ar
kXhODoDGuWj9RKqCC9AXbChXuYbbWRfZfx/lRRrk/24eD3Q2nJG1PNT1iE6116Jl
VUPn5Aw5ZkHzi5+zq38D1a8Z1K79srh0D4Aa780Bw7yBV6JpZKW/kgAA2flkYizk
rNzciVnHBpvCDOf2I5kCQQDt2rBNlEtRcE3rqyYWbdH9c+JurvDi+Chp4GJBn2y8
M5HyEwqO+XrVh/kB8v8tQBfhZZdApCdUYrtWY39UvlklAkEA5z/9kBEODv4T/v/7
MpYEM2y0CE3g7kE6IP7Q5F/Jts+jdHl6e43JyusacA5deglRgYZskYVSzwIThh2c
TOcHCwJALUeAYIRmgi5a5w5BxetKGnHBHUj4WnzbVKx+h/eNf5Zhpi+xxt3/YD7u
TEyx/y9AXIw2avvU8N+KwjtWtg82cQJAUttwxP/3Y5PSIloh7VwnIS3fy+HrqDKi
21OyEUHpCqGXVZJ5Om/xT82xaVkcUS+pjplVqUZ2B0odKL7PVBarRQJAV1FKfl+9
vUGIfZiIefFPk2BE9kLTktv6tbxB4nRsFw3KIiV9yiSDbUhoFp4v566Lxd/t4B1A
plc69QPXD5XZ/Q==
-----END PRIVATE KEY-----";
    const PKCS1: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIICXAIBAAKBgQDW28l+Xv/h0A0XEB9M1FcR0+vWlaza2ZfEztK8eq2z75LFT5Bk
VfPtPjugpMcS0wn77Xq3J4WZ2IURqNTizhjoDrFiQMqH8gAQgLruVw2TbkSjMyyf
Riy2xJKK+Okg4vv/F4xkvR2PqddYwySW94ZZEWcEjmn6K5aa8j+PRQDXlwIDAQAB
AoGBALKoeaiyF/XOCUR3LH+3RVtWq5F4Tg6Axrlo/USqggvQF2woV7mG21kX2X8f
5UUa5P9uHg90NpyRtTzU9YhOtdeiZVVD5+QMOWZB84ufs6t/A9WvGdSu/bK4dA+A
Gu/NAcO8gVeiaWSlv5IAANn5ZGIs5Kzc3IlZxwabwgzn9iOZAkEA7dqwTZRLUXBN
66smFm3R/XPibq7w4vgoaeBiQZ9svDOR8hMKjvl61Yf5AfL/LUAX4WWXQKQnVGK7
VmN/VL5ZJQJBAOc//ZARDg7+E/7/+zKWBDNstAhN4O5BOiD+0ORfybbPo3R5enuN
ycrrGnAOXXoJUYGGbJGFUs8CE4YdnEznBwsCQC1HgGCEZoIuWucOQcXrShpxwR1I
+Fp821Ssfof3jX+WYaYvscbd/2A+7kxMsf8vQFyMNmr71PDfisI7VrYPNnECQFLb
cMT/92OT0iJaIe1cJyEt38vh66gyottTshFB6Qqhl1WSeTpv8U/NsWlZHFEvqY6Z
ValGdgdKHSi+z1QWq0UCQFdRSn5fvb1BiH2YiHnxT5NgRPZC05Lb+rW8QeJ0bBcN
yiIlfcokg21IaBaeL+eui8Xf7eAdQKZXOvUD1w+V2f0=
-----END RSA PRIVATE KEY-----";
    /// The bytes 3, 3, 0, 1, … 45, encrypted to that key.
    const ENCRYPTED: &str = "ce835239225c51ab6f21b445e4dd8e288a2b658126b4d1b4398322c6ece669b3e6d761ebf79321be07b7f0dd9ec61864f64c\
                             bf6fc8227001fa5d2d2b38c9bc11a7751744eec0d55f0e8fed0a8a2679d3c84bbe5ad482a1b8a4f11995b8243b06e350686b\
                             ab8010759035e35eddb01451eeddbed832f36f8e634b572cc4c074bd";

    fn pre_master() -> Vec<u8> {
        [3, 3].into_iter().chain(0..46).collect()
    }

    fn read(made: &Conversation, keys: &KeyLog) -> (Vec<u8>, Decryption) {
        let mut session = Session::new(&Limits::default(), &Budget::new(1 << 24));
        let mut plain = Vec::new();
        let mut out = |_: Side, event: StreamEvent<'_>| {
            if let StreamEvent::Data(chunk) = event {
                plain.extend_from_slice(chunk.data);
            }
        };
        for (side, data) in &made.wire {
            session.push(
                *side,
                StreamEvent::Data(Chunk { data, span: Span::default(), offset: 0, position: Position::default() }),
                keys,
                &mut out,
            );
        }
        session.finish(keys, &mut out);
        (plain, session.info().decryption.clone())
    }

    fn rsa_conversation(suite: u16, extended_master_secret: bool) -> Conversation {
        let key_exchange = [&[0, 128][..], &unhex(ENCRYPTED)].concat();
        let master = Some(pre_master());
        let options = Options { master, key_exchange, extended_master_secret, ..Options::new(0x0303, suite) };
        let mut made = Conversation::new(options);
        made.send(Side::Client, b"hello, ");
        made.send(Side::Server, b"RSA");
        made
    }

    #[test]
    fn a_private_key_opens_rsa_key_exchange() {
        for (pem, extended) in [(PKCS8, false), (PKCS1, false), (PKCS8, true)] {
            for suite in [0x009c, 0x009d, 0x002f] {
                let keys = KeyLog::default();
                keys.add_rsa_key(pem).unwrap();
                assert_eq!(
                    read(&rsa_conversation(suite, extended), &keys),
                    (b"hello, RSA".to_vec(), Decryption::KeyLog)
                );
            }
        }
        let (plain, decryption) = read(&rsa_conversation(0x009c, false), &KeyLog::default());
        assert!(plain.is_empty() && matches!(decryption, Decryption::Failed(_)));
    }

    #[test]
    fn a_pre_shared_key_opens_psk_key_exchange() {
        let psk = [0xa5u8; 20];
        let pre_master = [&[0, 20][..], &[0; 20], &[0, 20], &psk].concat();
        for suite in [0x00a8, 0x008c, 0xccab] {
            for extended_master_secret in [false, true] {
                let master = Some(pre_master.clone());
                let options = Options { master, extended_master_secret, ..Options::new(0x0303, suite) };
                let mut made = Conversation::new(options);
                made.send(Side::Client, b"shared");
                let keys = KeyLog::default();
                // The right one of several is found by trying.
                for digits in ["00", &"a5".repeat(20), "ffff"] {
                    keys.add_psk(digits).unwrap();
                }
                assert_eq!(read(&made, &keys), (b"shared".to_vec(), Decryption::KeyLog), "{suite:04x}");
            }
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        let keys = KeyLog::default();
        assert_eq!(keys.add_rsa_key("-----BEGIN CERTIFICATE-----"), Err(KeyError::NotRsa));
        assert_eq!(keys.add_psk("abc"), Err(KeyError::NotHex));
        assert_eq!(keys.add_psk("zz"), Err(KeyError::NotHex));
        assert_eq!(keys.add_psk(""), Err(KeyError::NotHex));
    }
}
