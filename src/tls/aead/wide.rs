//! AES-GCM with the vector instructions of newer processors.

use std::cell::RefCell;
use std::sync::Arc;

use graviola::aead::AesGcm;

use super::{NONCE_LEN, NotAuthentic};

/// Bytes of the tag.
const TAG_LEN: usize = 16;

/// Ciphertext up to this length is kept in the memory of the thread, longer than any record or datagram is.
const KEPT: usize = 1 << 17;

thread_local! {
    /// The ciphertext that is being decrypted.
    static CIPHERTEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// AES-128-GCM or AES-256-GCM with its key.
#[derive(Clone)]
pub(super) struct Gcm(Arc<AesGcm>);

impl Gcm {
    /// The cipher with a key of 16 or 32 bytes; `None` when the processor lacks what it needs.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        // What graviola asks for; it panics without.
        let is_able = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("adx")
            && is_x86_feature_detected!("avx")
            && is_x86_feature_detected!("avx2");
        (is_able && matches!(key.len(), 16 | 32)).then(|| Self(Arc::new(AesGcm::new(key))))
    }

    /// Decrypts in place; when the tag is wrong, `buf` is left as it was. The crate wipes it then, so the ciphertext is copied first,
    /// which costs a tenth of what the crate saves.
    pub(super) fn open<'a>(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buf: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotAuthentic> {
        let (text, tag) = buf.split_last_chunk_mut::<TAG_LEN>().ok_or(NotAuthentic)?;
        let is_authentic = CIPHERTEXT.with_borrow_mut(|copy| {
            copy.clear();
            copy.extend_from_slice(text);
            let is_authentic = self.0.decrypt(nonce, aad, text, &*tag).is_ok();
            if !is_authentic {
                text.copy_from_slice(copy);
            }
            copy.shrink_to(KEPT);
            is_authentic
        });
        if is_authentic { Ok(text) } else { Err(NotAuthentic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm::aead::{AeadInOut, KeyInit};

    /// The other implementation says the same, whatever the length.
    #[test]
    fn both_implementations_agree() {
        let mut state = 5u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        for len in (0..300).chain([1000, 1350, 4096, 16_401, KEPT + 5]) {
            let key: [u8; 32] = std::array::from_fn(|_| byte());
            let nonce: [u8; 12] = std::array::from_fn(|_| byte());
            let aad: Vec<u8> = (0..len % 37).map(|_| byte()).collect();
            let plain: Vec<u8> = (0..len).map(|_| byte()).collect();
            let Some(gcm) = Gcm::new(&key) else { return };
            let mut sealed = plain.clone();
            let other = aes_gcm::Aes256Gcm::new_from_slice(&key).unwrap();
            let tag =
                other.encrypt_inout_detached((&nonce).into(), &aad, sealed.as_mut_slice().into()).unwrap().to_vec();
            sealed.extend(tag);
            let mut broken = sealed.clone();
            broken[len / 2] ^= 1;
            let before = broken.clone();
            assert_eq!(gcm.open(&nonce, &aad, &mut broken), Err(NotAuthentic));
            assert!(broken == before, "{len}");
            assert!(*gcm.open(&nonce, &aad, &mut sealed).unwrap() == plain, "{len}");
        }
    }
}
