//! Secrets of TLS 1.3 sessions, and what is sealed with them: always TLS_AES_128_GCM_SHA256.

use std::io;

use aes::Aes128;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use cbc::cipher::BlockCipherEncrypt;
use hkdf::Hkdf;
use sha2::Sha256;

use super::Random;

/// A traffic secret.
pub type Secret = [u8; 32];

/// Bytes by which sealing makes a text longer.
pub const TAG_LEN: usize = 16;

/// What both ends of a session know; client first in each pair.
pub struct Secrets {
    /// Random bytes of the ClientHello, which name the session in the key log.
    pub client_random: [u8; 32],
    /// Secrets of the handshake.
    pub handshake: [Secret; 2],
    /// Secrets of everything behind it.
    pub application: [Secret; 2],
}

/// Secrets for that many sessions.
pub fn all_secrets(sessions: usize, random: &mut Random) -> Vec<Secrets> {
    let mut draw = || Secrets {
        client_random: random.bytes(),
        handshake: [random.bytes(), random.bytes()],
        application: [random.bytes(), random.bytes()],
    };
    (0..sessions).map(|_| draw()).collect()
}

/// The key log that a browser would write of these sessions.
pub fn key_log(sessions: &[Secrets]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut log = String::new();
    for Secrets { client_random, handshake, application } in sessions {
        for (label, secret) in [
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &handshake[0]),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", &handshake[1]),
            ("CLIENT_TRAFFIC_SECRET_0", &application[0]),
            ("SERVER_TRAFFIC_SECRET_0", &application[1]),
        ] {
            log += &format!("{label} {} {}\n", hex(client_random), hex(secret));
        }
    }
    log
}

/// HKDF-Expand-Label of [RFC 8446 §7.1](https://www.rfc-editor.org/rfc/rfc8446#section-7.1), with no context.
fn expand<const N: usize>(secret: &[u8], label: &str) -> io::Result<[u8; N]> {
    let mut out = [0; N];
    let lens = [(N as u16).to_be_bytes().to_vec(), vec![6 + label.len() as u8]].concat();
    let info: [&[u8]; 4] = [&lens, b"tls13 ", label.as_bytes(), &[0]];
    Hkdf::<Sha256>::from_prk(secret)
        .map_err(io::Error::other)?
        .expand_multi_info(&info, &mut out)
        .map_err(io::Error::other)?;
    Ok(out)
}

/// Secrets of Initial packets ([RFC 9001 §5.2](https://www.rfc-editor.org/rfc/rfc9001#section-5.2)), client first.
pub fn initial_secrets(destination_id: &[u8]) -> io::Result<[Secret; 2]> {
    const SALT: [u8; 20] = [
        0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb,
        0x7f, 0x0a,
    ];
    let base = Hkdf::<Sha256>::extract(Some(&SALT), destination_id).0;
    Ok([expand(&base, "client in")?, expand(&base, "server in")?])
}

/// AES-128-GCM with numbered nonces.
struct Aead {
    cipher: Aes128Gcm,
    iv: [u8; 12],
}

impl Aead {
    fn new(key: &[u8; 16], iv: [u8; 12]) -> Self {
        Self { cipher: Aes128Gcm::new(key.into()), iv }
    }

    /// Seals everything in `bytes` from `from` on in place, authenticates what is before it, and appends the tag.
    fn seal(&self, number: u64, bytes: &mut Vec<u8>, from: usize) -> io::Result<()> {
        let mut nonce = self.iv;
        nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(byte, number)| *byte ^= number);
        let (header, text) = bytes.split_at_mut(from);
        let sealed = self.cipher.encrypt_inout_detached((&nonce).into(), header, text.into());
        let tag = sealed.map_err(|_| io::Error::other("a text too long to seal"))?;
        bytes.extend_from_slice(&tag);
        Ok(())
    }
}

/// Seals the records of one direction of TLS.
pub struct RecordSealer {
    aead: Aead,
    number: u64,
}

impl RecordSealer {
    /// Text in a record, at most.
    pub const MOST: usize = 1 << 14;

    /// Starts with a secret.
    pub fn new(secret: &Secret) -> io::Result<Self> {
        Ok(Self { aead: Aead::new(&expand(secret, "key")?, expand(secret, "iv")?), number: 0 })
    }

    /// Appends records with all of the text; `kind` is 22 for a handshake, 23 for data
    /// ([RFC 8446 §5.2](https://www.rfc-editor.org/rfc/rfc8446#section-5.2)).
    pub fn seal(&mut self, kind: u8, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        for part in text.chunks(Self::MOST) {
            let len = part.len() + 1 + TAG_LEN;
            let mut record = Vec::with_capacity(5 + len);
            record.extend_from_slice(&[23, 3, 3]);
            record.extend_from_slice(&(len as u16).to_be_bytes());
            record.extend_from_slice(part);
            record.push(kind);
            self.aead.seal(self.number, &mut record, 5)?;
            self.number += 1;
            out.append(&mut record);
        }
        Ok(())
    }
}

/// Seals the QUIC packets of one direction at one level.
pub struct PacketSealer {
    aead: Aead,
    header: Aes128,
    /// Number of the next packet.
    pub number: u64,
}

impl PacketSealer {
    /// Bytes of packet numbers.
    pub const NUMBER_LEN: usize = 2;

    /// Starts with a secret.
    pub fn new(secret: &Secret) -> io::Result<Self> {
        let aead = Aead::new(&expand(secret, "quic key")?, expand(secret, "quic iv")?);
        let header: [u8; 16] = expand(secret, "quic hp")?;
        Ok(Self { aead, header: Aes128::new((&header).into()), number: 0 })
    }

    /// The packet of a header without its number, and frames: at least four bytes of them
    /// ([RFC 9001 §5.4](https://www.rfc-editor.org/rfc/rfc9001#section-5.4)).
    pub fn seal(&mut self, mut packet: Vec<u8>, frames: &[u8]) -> io::Result<Vec<u8>> {
        let number_at = packet.len();
        let text_at = number_at + Self::NUMBER_LEN;
        packet[0] |= Self::NUMBER_LEN as u8 - 1;
        packet.extend_from_slice(&(self.number as u16).to_be_bytes());
        packet.extend_from_slice(frames);
        self.aead.seal(self.number, &mut packet, text_at)?;
        self.number += 1;
        let mut mask = [0; 16];
        mask.copy_from_slice(&packet[number_at + 4..number_at + 20]);
        self.header.encrypt_block((&mut mask).into());
        packet[0] ^= mask[0] & if packet[0] & 0x80 != 0 { 0x0f } else { 0x1f };
        packet[number_at..text_at].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
        Ok(packet)
    }
}
