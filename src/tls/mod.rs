//! Floor 4: TLS records become plaintext stream events, with the secrets of a key log.

pub mod info;

pub use info::{Certificate, Decryption, TlsInfo};
