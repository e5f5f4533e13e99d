//! The ciphers before authenticated ones: block ciphers in CBC mode, RC4, none at all; each with an HMAC.

use aes::{Aes128, Aes256};
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InOutBuf, InnerIvInit, KeyInit};
use des::TdesEde3;
use hmac::{Hmac, Mac};
use md5::Md5;
use rc4::{Rc4, StreamCipher};
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::aead::NotAuthentic;
use super::cipher::{Opened, aad12};
use super::record::Record;
use super::suite::{BlockKind, MacKind};

/// Cipher and MAC of one direction.
pub(crate) struct Legacy {
    cipher: Cipher,
    /// `None` when the keys are unknown, which does not keep plain records from being read.
    mac: Option<MacKey>,
    mac_len: usize,
    encrypt_then_mac: bool,
    /// A record is decrypted once, however many numbers are tried on its MAC.
    is_decrypted: bool,
}

enum Cipher {
    Null,
    Rc4 {
        state: Box<Rc4>,
        /// Nobody knows how far the key stream has run.
        is_adrift: bool,
    },
    Cbc {
        block: Block,
        /// TLS 1.0 chains records: the IV is the last block of the record before. Later versions send it.
        chained_iv: Option<Vec<u8>>,
    },
}

enum Block {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
    TripleDes(Box<TdesEde3>),
}

#[derive(Clone)]
enum MacKey {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
}

impl MacKey {
    fn new(kind: MacKind, key: &[u8]) -> Option<Self> {
        Some(match kind {
            MacKind::Md5 => Self::Md5(Hmac::new_from_slice(key).ok()?),
            MacKind::Sha1 => Self::Sha1(Hmac::new_from_slice(key).ok()?),
            MacKind::Sha256 => Self::Sha256(Hmac::new_from_slice(key).ok()?),
            MacKind::Sha384 => Self::Sha384(Hmac::new_from_slice(key).ok()?),
        })
    }

    fn check(&self, parts: [&[u8]; 2], tag: &[u8]) -> Result<(), NotAuthentic> {
        fn run<M: Mac + Clone>(mac: &M, parts: [&[u8]; 2], tag: &[u8]) -> Result<(), NotAuthentic> {
            let mut mac = mac.clone();
            parts.iter().for_each(|part| mac.update(part));
            mac.verify_slice(tag).map_err(|_| NotAuthentic)
        }
        match self {
            Self::Md5(mac) => run(mac, parts, tag),
            Self::Sha1(mac) => run(mac, parts, tag),
            Self::Sha256(mac) => run(mac, parts, tag),
            Self::Sha384(mac) => run(mac, parts, tag),
        }
    }
}

impl Legacy {
    /// No encryption; without a key the MAC is not checked.
    pub(crate) fn null(kind: MacKind, key: Option<&[u8]>) -> Option<Self> {
        let mac = match key {
            Some(key) => Some(MacKey::new(kind, key)?),
            None => None,
        };
        Some(Self { cipher: Cipher::Null, mac, mac_len: kind.size(), encrypt_then_mac: false, is_decrypted: false })
    }

    /// RC4.
    pub(crate) fn rc4(kind: MacKind, mac: &[u8], key: &[u8]) -> Option<Self> {
        let state = Box::new(Rc4::new_from_slice(key).ok()?);
        Some(Self { cipher: Cipher::Rc4 { state, is_adrift: false }, ..Self::null(kind, Some(mac))? })
    }

    /// A block cipher in CBC mode; `iv` is empty when records bring their own.
    pub(crate) fn cbc(
        (block, mac_kind): (BlockKind, MacKind),
        mac: &[u8],
        key: &[u8],
        iv: &[u8],
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let block = match block {
            BlockKind::Aes128 => Block::Aes128(Box::new(Aes128::new_from_slice(key).ok()?)),
            BlockKind::Aes256 => Block::Aes256(Box::new(Aes256::new_from_slice(key).ok()?)),
            BlockKind::TripleDes => Block::TripleDes(Box::new(TdesEde3::new_from_slice(key).ok()?)),
        };
        let chained_iv = (!iv.is_empty()).then(|| iv.to_vec());
        Some(Self { cipher: Cipher::Cbc { block, chained_iv }, encrypt_then_mac, ..Self::null(mac_kind, Some(mac))? })
    }

    /// Another record comes.
    pub(crate) fn begin_record(&mut self) {
        self.is_decrypted = false;
    }

    /// Decrypts a record in place and checks its MAC as that of record `number`.
    pub(crate) fn open(&mut self, number: u64, record: &mut Record<'_>) -> Result<Opened, NotAuthentic> {
        let (kind, version) = (record.kind, record.version);
        let text = if self.encrypt_then_mac {
            // The MAC is made of the ciphertext ([RFC 7366 §3](https://www.rfc-editor.org/rfc/rfc7366#section-3)).
            let end = record.body.len().checked_sub(self.mac_len).ok_or(NotAuthentic)?;
            let (sealed, tag) = record.body.split_at(end);
            let is_ours = match &self.mac {
                Some(mac) => mac.check([&aad12(number, kind, version, sealed.len()), sealed], tag),
                None => Ok(()),
            };
            if is_ours.is_err() {
                self.skip_chain(sealed);
                return Err(NotAuthentic);
            }
            let begin = self.decrypt(record.body.get_mut(..end).ok_or(NotAuthentic)?)?;
            let text = record.body.get(begin..end).ok_or(NotAuthentic)?;
            begin..end - padding(text, 0)?
        } else {
            let begin = self.decrypt(record.body)?;
            let text = record.body.get(begin..).ok_or(NotAuthentic)?;
            let padding = if matches!(self.cipher, Cipher::Cbc { .. }) { padding(text, self.mac_len)? } else { 0 };
            let len = text.len().checked_sub(padding + self.mac_len).ok_or(NotAuthentic)?;
            let (text, rest) = text.split_at_checked(len).ok_or(NotAuthentic)?;
            if let Some(mac) = &self.mac {
                let tag = rest.get(..self.mac_len).ok_or(NotAuthentic)?;
                mac.check([&aad12(number, kind, version, len), text], tag)?;
            }
            begin..begin + len
        };
        Ok(Opened { kind, range: text })
    }

    /// Decrypts unless that is done; gives the offset at which the content begins.
    fn decrypt(&mut self, body: &mut [u8]) -> Result<usize, NotAuthentic> {
        let is_done = std::mem::replace(&mut self.is_decrypted, true);
        match &mut self.cipher {
            Cipher::Null => Ok(0),
            Cipher::Rc4 { is_adrift: true, .. } => Err(NotAuthentic),
            Cipher::Rc4 { state, .. } => {
                if !is_done {
                    state.apply_keystream(body);
                }
                Ok(0)
            }
            Cipher::Cbc { block, chained_iv } => {
                let size = block.size();
                let explicit = if chained_iv.is_none() { size } else { 0 };
                if is_done {
                    return Ok(explicit);
                }
                let (head, text) = body.split_at_mut_checked(explicit).ok_or(NotAuthentic)?;
                let last = text.len().checked_sub(size).and_then(|at| text.get(at..)).map(<[u8]>::to_vec);
                match (chained_iv, last) {
                    (Some(iv), Some(last)) => {
                        block.decrypt(iv, text)?;
                        *iv = last;
                    }
                    (None, _) => block.decrypt(head, text)?,
                    (Some(_), None) => return Err(NotAuthentic),
                }
                Ok(explicit)
            }
        }
    }

    /// Keeps the chain of TLS 1.0 whole over a record that was not decrypted.
    fn skip_chain(&mut self, sealed: &[u8]) {
        if let Cipher::Cbc { block, chained_iv: Some(iv) } = &mut self.cipher
            && !std::mem::replace(&mut self.is_decrypted, true)
            && let Some(last) = sealed.len().checked_sub(block.size()).and_then(|at| sealed.get(at..))
        {
            *iv = last.to_vec();
        }
    }

    /// A record of this many bytes was lost.
    pub(crate) fn pass_unseen(&mut self, body: usize) {
        if let Cipher::Rc4 { state, .. } = &mut self.cipher {
            state.apply_keystream(&mut vec![0; body]);
        }
    }

    /// Nobody knows how many bytes of records were lost.
    pub(crate) fn pass_unknown(&mut self) {
        if let Cipher::Rc4 { is_adrift, .. } = &mut self.cipher {
            *is_adrift = true;
        }
    }

    /// Bytes of a record that are not content, when that is always the same.
    pub(crate) fn overhead(&self) -> Option<usize> {
        if matches!(self.cipher, Cipher::Cbc { .. }) { None } else { Some(self.mac_len) }
    }
}

impl Block {
    fn size(&self) -> usize {
        if matches!(self, Block::TripleDes(_)) { 8 } else { 16 }
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), NotAuthentic> {
        fn run<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], text: &mut [u8]) -> Result<(), NotAuthentic> {
            let iv = iv.try_into().map_err(|_| NotAuthentic)?;
            let (blocks, rest) = InOutBuf::from(text).into_chunks();
            if !rest.is_empty() {
                return Err(NotAuthentic);
            }
            cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks_inout(blocks);
            Ok(())
        }
        match self {
            Block::Aes128(cipher) => run(&**cipher, iv, text),
            Block::Aes256(cipher) => run(&**cipher, iv, text),
            Block::TripleDes(cipher) => run(&**cipher, iv, text),
        }
    }
}

/// Bytes of padding at the end, its length byte included; each of them must say the length
/// ([RFC 5246 §6.2.3.2](https://www.rfc-editor.org/rfc/rfc5246#section-6.2.3.2)).
fn padding(text: &[u8], mac_len: usize) -> Result<usize, NotAuthentic> {
    let &last = text.last().ok_or(NotAuthentic)?;
    let len = usize::from(last) + 1;
    let at = text.len().checked_sub(len).filter(|&at| at >= mac_len).ok_or(NotAuthentic)?;
    let is_sound = text.get(at..).is_some_and(|padding| padding.iter().all(|&byte| byte == last));
    if is_sound { Ok(len) } else { Err(NotAuthentic) }
}
