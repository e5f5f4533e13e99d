//! A writer of TLS conversations for tests: any suite, any version, with the secrets it used.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "only tests and fuzzers make conversations")]

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::{U8, U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use cbc::cipher::{BlockCipherEncrypt, BlockModeEncrypt, InOutBuf, InnerIvInit};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, Mac};
use md5::Md5;
use rc4::{Rc4, StreamCipher};
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::aead::AeadKind;
use super::schedule::{hkdf_expand_label, next_generation, prf};
use super::secret::Secret;
use super::suite::{BlockKind, BulkCipher, MacKind, Suite};
use crate::tcp::Side;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|letter| letter.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Small deterministic random numbers (xorshift64*).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    #[cfg(test)]
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

fn seal(kind: AeadKind, key: &[u8], nonce: &[u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
    fn run<C: AeadInOut<NonceSize = U12> + KeyInit>(key: &[u8], nonce: &[u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
        let mut sealed = text.to_vec();
        let cipher = C::new_from_slice(key).unwrap();
        let tag = cipher.encrypt_inout_detached(nonce.into(), aad, sealed.as_mut_slice().into()).unwrap();
        sealed.extend_from_slice(&tag);
        sealed
    }
    match kind {
        AeadKind::Aes128Gcm => run::<Aes128Gcm>(key, nonce, aad, text),
        AeadKind::Aes256Gcm => run::<Aes256Gcm>(key, nonce, aad, text),
        AeadKind::ChaCha20Poly1305 => run::<ChaCha20Poly1305>(key, nonce, aad, text),
        AeadKind::Aes128Ccm => run::<Ccm<Aes128, U16, U12>>(key, nonce, aad, text),
        AeadKind::Aes256Ccm => run::<Ccm<Aes256, U16, U12>>(key, nonce, aad, text),
        AeadKind::Aes128Ccm8 => run::<Ccm<Aes128, U8, U12>>(key, nonce, aad, text),
        AeadKind::Aes256Ccm8 => run::<Ccm<Aes256, U8, U12>>(key, nonce, aad, text),
    }
}

fn mac(kind: MacKind, key: &[u8], data: &[u8]) -> Vec<u8> {
    fn run<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
        <M as KeyInit>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
    }
    match kind {
        MacKind::Md5 => run::<Hmac<Md5>>(key, data),
        MacKind::Sha1 => run::<Hmac<Sha1>>(key, data),
        MacKind::Sha256 => run::<Hmac<Sha256>>(key, data),
        MacKind::Sha384 => run::<Hmac<Sha384>>(key, data),
    }
}

fn encrypt_cbc(block: BlockKind, key: &[u8], iv: &[u8], text: &mut [u8]) {
    fn run<C: BlockCipherEncrypt + KeyInit>(key: &[u8], iv: &[u8], text: &mut [u8]) {
        let cipher = C::new_from_slice(key).unwrap();
        let (blocks, rest) = InOutBuf::from(text).into_chunks();
        assert!(rest.is_empty());
        cbc::Encryptor::inner_iv_init(cipher, iv.try_into().unwrap()).encrypt_blocks_inout(blocks);
    }
    match block {
        BlockKind::Aes128 => run::<Aes128>(key, iv, text),
        BlockKind::Aes256 => run::<Aes256>(key, iv, text),
        BlockKind::TripleDes => run::<des::TdesEde3>(key, iv, text),
    }
}

/// Keys of one direction, writing.
struct Sealer {
    number: u64,
    mac: Vec<u8>,
    key: Vec<u8>,
    iv: Vec<u8>,
    stream: Option<Rc4>,
}

/// What a conversation shall be like.
#[derive(Clone)]
pub(crate) struct Options {
    pub version: u16,
    pub suite: u16,
    pub encrypt_then_mac: bool,
    pub early_data: Early,
    pub padding: usize,
    pub seed: u64,
    pub sni: &'static str,
    /// Master secret to use instead of a random one, and what the client sends as key exchange.
    pub master: Option<Vec<u8>>,
    pub key_exchange: Vec<u8>,
    pub extended_master_secret: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    None,
    Accepted,
    Refused,
    Retry,
}

impl Options {
    pub(crate) fn new(version: u16, suite: u16) -> Self {
        Self {
            version,
            suite,
            encrypt_then_mac: false,
            early_data: Early::None,
            padding: 0,
            seed: 1,
            sni: "www.example.org",
            master: None,
            key_exchange: vec![0, 2, 7, 7],
            extended_master_secret: false,
        }
    }
}

/// A TLS connection as it goes over the wire.
pub(crate) struct Conversation {
    options: Options,
    suite: Suite,
    random: Random,
    /// Flights in the order they were sent.
    pub wire: Vec<(Side, Vec<u8>)>,
    pub key_log: String,
    pub plain: [Vec<u8>; 2],
    /// Handshake messages so far.
    pub transcript: Vec<u8>,
    sealers: [Option<Sealer>; 2],
    secrets: [Option<Secret>; 2],
    pub client_random: Vec<u8>,
    pub server_random: Vec<u8>,
}

const HANDSHAKE: u8 = 22;
const APPLICATION: u8 = 23;

pub(crate) fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
}

pub(crate) fn client_hello(version: u16, random: &[u8], suites: &[u16], extensions: &[u8]) -> Vec<u8> {
    let mut body = version.min(0x0303).to_be_bytes().to_vec();
    body.extend_from_slice(random);
    body.push(0);
    body.extend_from_slice(&(2 * suites.len() as u16).to_be_bytes());
    suites.iter().for_each(|suite| body.extend_from_slice(&suite.to_be_bytes()));
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(extensions);
    body
}

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

impl Conversation {
    /// A conversation up to the end of its handshake.
    pub(crate) fn new(options: Options) -> Self {
        let suite = Suite::of(options.suite).unwrap();
        let mut random = Random(options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (client_random, server_random) = (random.bytes(32), random.bytes(32));
        let mut made = Self {
            options,
            suite,
            random,
            wire: Vec::new(),
            key_log: String::new(),
            plain: [Vec::new(), Vec::new()],
            transcript: Vec::new(),
            sealers: [None, None],
            secrets: [None, None],
            client_random,
            server_random,
        };
        if made.options.version == 0x0304 {
            made.handshake13()
        } else {
            made.handshake12()
        }
        made
    }

    fn log(&mut self, label: &str, secret: &[u8]) {
        self.key_log += &format!("{label} {} {}\n", hex(&self.client_random), hex(secret));
    }

    fn send_handshake(&mut self, side: Side, kind: u8, body: &[u8]) {
        let message = message(kind, body);
        self.transcript.extend_from_slice(&message);
        self.record(side, HANDSHAKE, &message);
    }

    fn hello_extensions(&self) -> Vec<u8> {
        let name = self.options.sni.as_bytes();
        let mut entry = vec![0];
        entry.extend_from_slice(&(name.len() as u16).to_be_bytes());
        entry.extend_from_slice(name);
        let list = [&(entry.len() as u16).to_be_bytes()[..], &entry].concat();
        let mut all = extension(0, &list);
        all.extend(extension(16, b"\x00\x0c\x02h2\x08http/1.1"));
        all.extend(extension(10, &[0, 2, 0, 0x1d]));
        if self.options.version == 0x0304 {
            all.extend(extension(43, &[2, 3, 4]));
        }
        all
    }

    fn send_client_hello(&mut self, more: &[u8]) {
        let extensions = [self.hello_extensions(), more.to_vec()].concat();
        let hello = client_hello(self.options.version, &self.client_random, &[self.options.suite], &extensions);
        self.send_handshake(Side::Client, 1, &hello);
    }

    fn send_server_hello(&mut self, random: &[u8], session_id: &[u8], extensions: &[u8]) {
        let mut body = self.options.version.min(0x0303).to_be_bytes().to_vec();
        body.extend_from_slice(random);
        body.push(session_id.len() as u8);
        body.extend_from_slice(session_id);
        body.extend_from_slice(&self.options.suite.to_be_bytes());
        body.push(0);
        body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(extensions);
        self.send_handshake(Side::Server, 2, &body);
    }

    /// One side takes new keys of TLS 1.3.
    fn take_secret(&mut self, side: Side, secret: Secret) {
        let BulkCipher::Aead(kind) = self.suite.cipher.unwrap() else { panic!("no suite of TLS 1.3") };
        let derive = |label: &[u8], len| {
            hkdf_expand_label(self.suite.hash, secret.as_bytes(), label, b"", len).unwrap().as_bytes().to_vec()
        };
        let sealer = Sealer {
            number: 0,
            mac: Vec::new(),
            key: derive(b"key", kind.key_len()),
            iv: derive(b"iv", 12),
            stream: None,
        };
        self.sealers[side.index()] = Some(sealer);
        self.secrets[side.index()] = Some(secret);
    }

    fn new_secret(&mut self, label: &str) -> Secret {
        let bytes = self.random.bytes(self.suite.hash.size());
        self.log(label, &bytes);
        Secret::new(&bytes).unwrap()
    }

    fn handshake13(&mut self) {
        let early = self.options.early_data;
        let offer = if early == Early::None { Vec::new() } else { extension(42, &[]) };
        self.send_client_hello(&offer);
        if early != Early::None {
            let secret = self.new_secret("CLIENT_EARLY_TRAFFIC_SECRET");
            self.record(Side::Client, 20, &[1]);
            self.take_secret(Side::Client, secret);
            let keep = self.plain.clone();
            self.send(Side::Client, b"GET /early HTTP/1.1\r\n\r\n");
            if early != Early::Accepted {
                self.plain = keep;
            }
        }
        let share = [extension(43, &[3, 4]), extension(51, &[0, 0x1d, 0, 1, 9])].concat();
        if early == Early::Retry {
            let retry = unhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c");
            self.send_server_hello(&retry, &[], &share);
            self.sealers = [None, None];
            self.send_client_hello(&[]);
        }
        let random = self.server_random.clone();
        self.send_server_hello(&random, &[], &share);
        self.record(Side::Server, 20, &[1]);
        let client = self.new_secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET");
        let server = self.new_secret("SERVER_HANDSHAKE_TRAFFIC_SECRET");
        self.take_secret(Side::Server, server);
        let mut extensions = extension(16, b"\x00\x03\x02h2");
        if early == Early::Accepted {
            extensions.extend(extension(42, &[]));
        }
        let extensions = [&(extensions.len() as u16).to_be_bytes()[..], &extensions].concat();
        self.send_handshake(Side::Server, 8, &extensions);
        self.send_handshake(Side::Server, 20, &[5; 32]);
        let application = [self.new_secret("CLIENT_TRAFFIC_SECRET_0"), self.new_secret("SERVER_TRAFFIC_SECRET_0")];
        if early == Early::Accepted {
            self.send_handshake(Side::Client, 5, &[]);
        } else if early == Early::None {
            self.record(Side::Client, 20, &[1]);
        }
        self.take_secret(Side::Client, client);
        self.send_handshake(Side::Client, 20, &[6; 32]);
        let [client, server] = application;
        self.take_secret(Side::Client, client);
        self.take_secret(Side::Server, server);
    }

    fn handshake12(&mut self) {
        self.send_client_hello(&[]);
        let random = self.server_random.clone();
        let mut extensions = extension(16, b"\x00\x03\x02h2");
        if self.options.encrypt_then_mac {
            extensions.extend(extension(22, &[]));
        }
        if self.options.extended_master_secret {
            extensions.extend(extension(23, &[]));
        }
        self.send_server_hello(&random, &[7; 32], &extensions);
        if self.suite.name.contains("ECDHE") {
            self.send_handshake(Side::Server, 12, &[3, 0, 0x1d, 1, 9]);
        }
        self.send_handshake(Side::Server, 14, &[]);
        let exchange = self.options.key_exchange.clone();
        self.send_handshake(Side::Client, 16, &exchange);
        self.change_ciphers();
    }

    /// Both sides change to the keys of a master secret.
    fn change_ciphers(&mut self) {
        let hash = if self.options.version == 0x0303 { self.suite.hash } else { super::schedule::Hash::Md5Sha1 };
        let master = match &self.options.master {
            None => {
                let master = self.random.bytes(48);
                self.log("CLIENT_RANDOM", &master);
                master
            }
            Some(pre_master) => {
                let mut master = vec![0; 48];
                let session = hash.digest(&self.transcript);
                let (label, seed): (&[u8], [&[u8]; 2]) = if self.options.extended_master_secret {
                    (b"extended master secret", [&session, b""])
                } else {
                    (b"master secret", [&self.client_random, &self.server_random])
                };
                prf(hash, pre_master, label, &seed, &mut master);
                master
            }
        };
        let cipher = self.suite.cipher.unwrap();
        let lens = [cipher.mac_len(), cipher.key_len(), cipher.fixed_iv_len(self.options.version)];
        let mut block = vec![0; 2 * lens.iter().sum::<usize>()];
        prf(hash, &master, b"key expansion", &[&self.server_random, &self.client_random], &mut block);
        for side in Side::BOTH {
            self.record(side, 20, &[1]);
            let mut at = 0;
            let [mac, key, iv] = lens.map(|len| {
                let part = block[at + side.index() * len..][..len].to_vec();
                at += 2 * len;
                part
            });
            let stream = matches!(cipher, BulkCipher::Rc4(_)).then(|| Rc4::new_from_slice(&key).unwrap());
            self.sealers[side.index()] = Some(Sealer { number: 0, mac, key, iv, stream });
            self.send_handshake(side, 20, &[9; 12]);
        }
    }

    /// Another handshake inside the connection, before TLS 1.3.
    #[cfg(test)]
    pub(crate) fn renegotiate(&mut self) {
        self.client_random = self.random.bytes(32);
        self.server_random = self.random.bytes(32);
        self.transcript.clear();
        self.handshake12();
    }

    /// Sends application data, in records of at most 2^14 bytes.
    pub(crate) fn send(&mut self, side: Side, data: &[u8]) {
        for part in data.chunks(1 << 14) {
            self.record(side, APPLICATION, part);
        }
        self.plain[side.index()].extend_from_slice(data);
    }

    pub(crate) fn close(&mut self, side: Side) {
        self.record(side, 21, &[1, 0]);
    }

    pub(crate) fn update_keys(&mut self, side: Side) {
        self.record(side, HANDSHAKE, &message(24, &[0]));
        let secret = self.secrets[side.index()].clone().unwrap();
        self.take_secret(side, next_generation(self.suite.hash, &secret).unwrap());
    }

    fn record(&mut self, side: Side, kind: u8, text: &[u8]) {
        let version = self.options.version.min(0x0303);
        let cipher = self.suite.cipher.unwrap();
        let padding = self.options.padding;
        let (outer, body) = match &mut self.sealers[side.index()] {
            None => (kind, text.to_vec()),
            Some(_) if kind == 20 && self.options.version == 0x0304 => (kind, text.to_vec()),
            Some(sealer) => {
                let number = sealer.number;
                sealer.number += 1;
                let aad = |len: usize| {
                    let mut aad = number.to_be_bytes().to_vec();
                    aad.push(kind);
                    aad.extend_from_slice(&version.to_be_bytes());
                    aad.extend_from_slice(&(len as u16).to_be_bytes());
                    aad
                };
                let mixed = |iv: &[u8]| {
                    let mut nonce: [u8; 12] = iv.try_into().unwrap();
                    nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to ^= from);
                    nonce
                };
                match cipher {
                    BulkCipher::Aead(aead) if self.options.version == 0x0304 => {
                        let inner = [text, &[kind], &vec![0; padding]].concat();
                        let len = (inner.len() + aead.tag_len()) as u16;
                        let header = [&[APPLICATION, 3, 3], &len.to_be_bytes()[..]].concat();
                        (APPLICATION, seal(aead, &sealer.key, &mixed(&sealer.iv), &header, &inner))
                    }
                    BulkCipher::Aead(AeadKind::ChaCha20Poly1305) => {
                        let sealed =
                            seal(AeadKind::ChaCha20Poly1305, &sealer.key, &mixed(&sealer.iv), &aad(text.len()), text);
                        (kind, sealed)
                    }
                    BulkCipher::Aead(aead) => {
                        let explicit = number.wrapping_mul(77).to_be_bytes();
                        let nonce: Vec<u8> = [&sealer.iv[..], &explicit].concat();
                        let nonce = nonce.try_into().unwrap();
                        let sealed = seal(aead, &sealer.key, &nonce, &aad(text.len()), text);
                        (kind, [&explicit[..], &sealed].concat())
                    }
                    BulkCipher::Null(hash) => {
                        (kind, [text, &mac(hash, &sealer.mac, &[&aad(text.len()), text].concat())].concat())
                    }
                    BulkCipher::Rc4(hash) => {
                        let tag = mac(hash, &sealer.mac, &[&aad(text.len()), text].concat());
                        let mut body = [text, &tag].concat();
                        sealer.stream.as_mut().unwrap().apply_keystream(&mut body);
                        (kind, body)
                    }
                    BulkCipher::Cbc(block, hash) => {
                        let size = block.block_len();
                        let etm = self.options.encrypt_then_mac;
                        let mut plain = text.to_vec();
                        if !etm {
                            plain.extend(mac(hash, &sealer.mac, &[&aad(text.len()), text].concat()));
                        }
                        let pad = size - 1 - plain.len() % size + padding.div_ceil(size) * size;
                        plain.extend(vec![pad as u8; pad + 1]);
                        let is_chained = version == 0x0301;
                        let iv = if is_chained { sealer.iv.clone() } else { self.random.bytes(size) };
                        encrypt_cbc(block, &sealer.key, &iv, &mut plain);
                        let mut body = if is_chained { Vec::new() } else { iv };
                        body.extend_from_slice(&plain);
                        sealer.iv = plain[plain.len() - size..].to_vec();
                        if etm {
                            body.extend(mac(hash, &sealer.mac, &[&aad(body.len())[..], &body].concat()));
                        }
                        (kind, body)
                    }
                }
            }
        };
        let mut bytes = vec![outer];
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&body);
        self.wire.push((side, bytes));
    }
}
