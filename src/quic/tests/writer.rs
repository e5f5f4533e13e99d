//! The other direction, for tests: handshakes, frames and packets of both ends.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};

use crate::base::Limits;
use crate::quic::protection::{Cipher, HeaderKey, Keys};
use crate::quic::version::{LongKind, Version};
use crate::tcp::Side;
use crate::tls::aead::AeadKind;
use crate::tls::schedule::{Hash, hkdf_expand_label, hkdf_extract};
use crate::tls::{KeyLog, Secret, SecretSource};

pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A small generator of pseudo-random numbers (SplitMix64): the same seed gives the same test.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

pub fn varint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend((value as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend((value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend((value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

pub fn frame(fields: &[u64], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|&field| varint(field, &mut out));
    out.extend_from_slice(data);
    out
}

pub fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    frame(&[6, offset as u64, data.len() as u64], data)
}

pub fn stream(id: u64, offset: usize, data: &[u8], fin: bool) -> Vec<u8> {
    frame(&[0x0e | u64::from(fin), id, offset as u64, data.len() as u64], data)
}

/// An ACK frame of these numbers, which ascend.
pub fn ack(numbers: &[u64]) -> Vec<u8> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some(last) if last.1 + 1 == number => last.1 = number,
            _ => ranges.push((number, number)),
        }
    }
    let (low, high) = ranges.pop().unwrap();
    let mut fields = vec![2, high, 0, ranges.len() as u64, high - low];
    let mut below = low;
    for (low, high) in ranges.into_iter().rev() {
        fields.extend([below - high - 2, high - low]);
        below = low;
    }
    frame(&fields, &[])
}

/// Seals a packet: `header` is the plain header with its packet number of `number_len` bytes at the end.
pub fn seal(
    version: Version,
    cipher: Cipher,
    secret: &Secret,
    header: &[u8],
    number_len: usize,
    number: u64,
    payload: &[u8],
) -> Vec<u8> {
    let labels = version.labels();
    seal_in_phase(&header_key(version, cipher, secret), labels, cipher, secret, header, number_len, number, payload)
}

fn header_key(version: Version, cipher: Cipher, secret: &Secret) -> HeaderKey {
    Keys::derive(version, cipher, secret).unwrap().header
}

#[allow(clippy::too_many_arguments, reason = "a test's own helper")]
fn seal_in_phase(
    header_key: &HeaderKey,
    labels: crate::quic::version::Labels,
    cipher: Cipher,
    secret: &Secret,
    header: &[u8],
    number_len: usize,
    number: u64,
    payload: &[u8],
) -> Vec<u8> {
    let expand = |label: &str, len| {
        hkdf_expand_label(cipher.hash, secret.as_bytes(), label.as_bytes(), b"", len).unwrap().as_bytes().to_vec()
    };
    let key = expand(labels.key, cipher.aead.key_len());
    let mut nonce: [u8; 12] = expand(labels.iv, 12).try_into().unwrap();
    nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(byte, number)| *byte ^= number);
    let mut packet = header.to_vec();
    let sealed = match cipher.aead {
        AeadKind::Aes128Gcm => encrypt::<aes_gcm::Aes128Gcm>(&key, &nonce, header, payload),
        AeadKind::Aes256Gcm => encrypt::<aes_gcm::Aes256Gcm>(&key, &nonce, header, payload),
        AeadKind::ChaCha20Poly1305 => encrypt::<chacha20poly1305::ChaCha20Poly1305>(&key, &nonce, header, payload),
        _ => encrypt::<ccm::Ccm<aes::Aes128, aes_gcm::aead::consts::U16, U12>>(&key, &nonce, header, payload),
    };
    packet.extend_from_slice(&sealed);
    let number_at = header.len() - number_len;
    let sample = packet[number_at + 4..number_at + 20].try_into().unwrap();
    let mask = header_key.mask(&sample);
    packet[0] ^= mask[0] & if packet[0] & 0x80 != 0 { 0x0f } else { 0x1f };
    packet[number_at..header.len()].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
    packet
}

fn encrypt<C: AeadInOut<NonceSize = U12> + KeyInit>(key: &[u8], nonce: &[u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let cipher = C::new_from_slice(key).unwrap();
    let mut sealed = plain.to_vec();
    let tag = cipher.encrypt_inout_detached(nonce.into(), aad, sealed.as_mut_slice().into()).unwrap();
    sealed.extend_from_slice(&tag);
    sealed
}

/// Secrets of a session, one pair for each level.
pub struct Session {
    pub version: Version,
    pub suite: u16,
    pub cipher: Cipher,
    pub random: [u8; 32],
    pub early: Secret,
    pub handshake: [Secret; 2],
    pub one_rtt: [Secret; 2],
    /// Header keys of 1-RTT packets stay through key updates.
    header_keys: [HeaderKey; 2],
}

impl Session {
    pub fn new(seed: u64, version: Version, suite: u16) -> Self {
        let mut rng = Rng(seed);
        let cipher = Cipher::of_suite(suite).unwrap();
        let mut secret = || Secret::new(&rng.bytes(if cipher.hash == Hash::Sha384 { 48 } else { 32 })).unwrap();
        let (early, handshake, one_rtt) = (secret(), [secret(), secret()], [secret(), secret()]);
        let header_keys = [0, 1].map(|at: usize| header_key(version, cipher, &one_rtt[at]));
        let random = rng.bytes(32).try_into().unwrap();
        Self { version, suite, cipher, random, early, handshake, one_rtt, header_keys }
    }

    /// The lines that a browser would write.
    pub fn key_log(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [
            ("CLIENT_EARLY_TRAFFIC_SECRET", &self.early),
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &self.handshake[0]),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", &self.handshake[1]),
            ("CLIENT_TRAFFIC_SECRET_0", &self.one_rtt[0]),
            ("SERVER_TRAFFIC_SECRET_0", &self.one_rtt[1]),
        ]
        .map(|(label, secret)| format!("{label} {} {}\n", hex(&self.random), hex(secret.as_bytes())))
        .concat()
    }

    pub fn keys(&self) -> KeyLog {
        let keys = KeyLog::new(&Limits::default());
        keys.parse(self.key_log().as_bytes(), SecretSource::KeyLog);
        keys
    }

    pub fn client_hello(&self, sni: &str, early: bool, parameters: &[u8]) -> Vec<u8> {
        let name = [&[0][..], &(sni.len() as u16).to_be_bytes(), sni.as_bytes()].concat();
        let mut extensions = Vec::new();
        extension(0, &vector16(&name), &mut extensions);
        extension(16, &vector16(b"\x02h3"), &mut extensions);
        extension(43, &[2, 3, 4], &mut extensions);
        if early {
            extension(42, &[], &mut extensions);
        }
        extension(0x39, parameters, &mut extensions);
        let suites = [0x1301u16, 0x1302, 0x1303, 0x1304].map(u16::to_be_bytes).concat();
        let body = [&[3, 3][..], &self.random, &[0], &vector16(&suites), &[1, 0], &vector16(&extensions)].concat();
        message(1, &body)
    }

    pub fn server_hello(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        extension(43, &[3, 4], &mut extensions);
        let body = [&[3, 3][..], &[9; 32], &[0], &self.suite.to_be_bytes(), &[0], &vector16(&extensions)].concat();
        message(2, &body)
    }

    /// EncryptedExtensions and Finished of the server.
    pub fn server_flight(&self, parameters: &[u8]) -> Vec<u8> {
        let mut extensions = Vec::new();
        extension(16, &vector16(b"\x02h3"), &mut extensions);
        extension(0x39, parameters, &mut extensions);
        [message(8, &vector16(&extensions)), message(20, &[7; 32])].concat()
    }

    pub fn client_finished(&self) -> Vec<u8> {
        message(20, &[8; 32])
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = (body.len() as u32).to_be_bytes().to_vec();
    message[0] = kind;
    message.extend_from_slice(body);
    message
}

fn vector16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes(), body].concat()
}

fn extension(number: u16, body: &[u8], out: &mut Vec<u8>) {
    out.extend(number.to_be_bytes());
    out.extend(vector16(body));
}

/// One end: writes packets with the numbers it used so far.
pub struct End<'s> {
    pub session: &'s Session,
    pub side: Side,
    /// What the peer is addressed with, and this end's own.
    pub dcid: Vec<u8>,
    pub scid: Vec<u8>,
    /// What Initial keys follow from.
    pub initial_dcid: Vec<u8>,
    pub token: Vec<u8>,
    pub numbers: [u64; 3],
    pub number_len: usize,
    phase: bool,
    secret: Secret,
}

impl<'s> End<'s> {
    pub fn new(session: &'s Session, side: Side, dcid: &[u8], scid: &[u8], initial_dcid: &[u8]) -> Self {
        Self {
            session,
            side,
            dcid: dcid.to_vec(),
            scid: scid.to_vec(),
            initial_dcid: initial_dcid.to_vec(),
            token: Vec::new(),
            numbers: [0; 3],
            number_len: 2,
            phase: false,
            secret: session.one_rtt[side.index()].clone(),
        }
    }

    pub fn update_key(&mut self) {
        let Session { version, cipher, .. } = self.session;
        let label = version.labels().ku.as_bytes();
        self.secret =
            hkdf_expand_label(cipher.hash, self.secret.as_bytes(), label, b"", self.secret.as_bytes().len()).unwrap();
        self.phase = !self.phase;
    }

    fn long_header(&self, kind: LongKind, payload_len: usize, number: u64) -> Vec<u8> {
        let version = self.session.version;
        let kinds = [0u8, 1, 2, 3].map(|kind| 0xc0 | kind << 4);
        let first = kinds.into_iter().find(|&first| version.long_kind(first) == kind).unwrap();
        let mut header = vec![first | (self.number_len - 1) as u8];
        header.extend(version.number().to_be_bytes());
        for id in [&self.dcid, &self.scid] {
            header.push(id.len() as u8);
            header.extend_from_slice(id);
        }
        if kind == LongKind::Initial {
            varint(self.token.len() as u64, &mut header);
            header.extend_from_slice(&self.token);
        }
        let len = payload_len + self.number_len + 16;
        header.extend((len as u16 | 0x4000).to_be_bytes());
        header.extend_from_slice(&number.to_be_bytes()[8 - self.number_len..]);
        header
    }

    fn take_number(&mut self, space: usize) -> u64 {
        self.numbers[space] += 1;
        self.numbers[space] - 1
    }

    /// The payload, with padding where it is too short for a sample.
    fn padded(payload: &[u8], len: usize) -> Vec<u8> {
        let mut padded = payload.to_vec();
        padded.resize(payload.len().max(len), 0);
        padded
    }

    pub fn initial(&mut self, payload: &[u8], pad_to: usize) -> Vec<u8> {
        let number = self.take_number(0);
        let payload = Self::padded(payload, pad_to.max(4));
        let version = self.session.version;
        let base = hkdf_extract(Hash::Sha256, version.initial_salt(), &self.initial_dcid).unwrap();
        let label: &[u8] = if self.side == Side::Client { b"client in" } else { b"server in" };
        let secret = hkdf_expand_label(Hash::Sha256, base.as_bytes(), label, b"", 32).unwrap();
        let header = self.long_header(LongKind::Initial, payload.len(), number);
        seal(version, Cipher::INITIAL, &secret, &header, self.number_len, number, &payload)
    }

    pub fn handshake(&mut self, payload: &[u8]) -> Vec<u8> {
        let number = self.take_number(1);
        let payload = Self::padded(payload, 4);
        let header = self.long_header(LongKind::Handshake, payload.len(), number);
        let Session { version, cipher, handshake, .. } = self.session;
        seal(*version, *cipher, &handshake[self.side.index()], &header, self.number_len, number, &payload)
    }

    pub fn zero_rtt(&mut self, payload: &[u8]) -> Vec<u8> {
        let number = self.take_number(2);
        let payload = Self::padded(payload, 4);
        let header = self.long_header(LongKind::ZeroRtt, payload.len(), number);
        let Session { version, cipher, early, .. } = self.session;
        seal(*version, *cipher, early, &header, self.number_len, number, &payload)
    }

    pub fn short(&mut self, payload: &[u8]) -> Vec<u8> {
        let number = self.take_number(2);
        let payload = Self::padded(payload, 4);
        let mut header = vec![0x40 | u8::from(self.phase) << 2 | (self.number_len - 1) as u8];
        header.extend_from_slice(&self.dcid);
        header.extend_from_slice(&number.to_be_bytes()[8 - self.number_len..]);
        let Session { version, cipher, header_keys, .. } = self.session;
        let key = &header_keys[self.side.index()];
        seal_in_phase(key, version.labels(), *cipher, &self.secret, &header, self.number_len, number, &payload)
    }

    /// A Retry of the server that answers `original` and asks to use `scid`.
    pub fn retry(&self, original: &[u8], token: &[u8]) -> Vec<u8> {
        let version = self.session.version;
        let first = [0xc0u8, 0xd0, 0xe0, 0xf0].into_iter().find(|&f| version.long_kind(f) == LongKind::Retry).unwrap();
        let mut packet = vec![first | 0x0f];
        packet.extend(version.number().to_be_bytes());
        for id in [&self.dcid, &self.scid] {
            packet.push(id.len() as u8);
            packet.extend_from_slice(id);
        }
        packet.extend_from_slice(token);
        let key = version.retry_key();
        let pseudo = [&[original.len() as u8], original, &packet].concat();
        packet.extend(encrypt::<aes_gcm::Aes128Gcm>(&key.key, &key.nonce, &pseudo, &[]));
        packet
    }
}
