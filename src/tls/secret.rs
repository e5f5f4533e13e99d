//! A secret that wipes itself and never shows itself.

use std::fmt;

use zeroize::Zeroize;

/// Up to 64 bytes of key material: as much as the longest hash of any cipher suite gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Secret {
    /// The most bytes a secret can have.
    pub const MAX: usize = 64;

    /// A secret of these bytes; `None` when there are more than [`Secret::MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::zeroed(bytes.len())?;
        secret.as_mut().copy_from_slice(bytes);
        Some(secret)
    }

    /// A secret of `len` zero bytes, to be filled.
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        (len <= Self::MAX).then_some(Self { bytes: [0; Self::MAX], len: len as u8 })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The bytes, to be filled.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
