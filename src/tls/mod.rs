//! Floor 4: TLS records become plaintext stream events, with the secrets of a key log.

pub mod aead;
mod certificate;
mod fingerprint;
pub mod handshake;
pub mod hello;
pub mod info;
pub mod keylog;
pub mod message;
pub mod schedule;
pub mod secret;
pub mod suite;

pub use handshake::Handshake;
pub use info::{Certificate, Decryption, TlsInfo};
pub use keylog::{KeyLog, KeyLogReport, KeyLogTail, Label, SecretSource};
pub use message::{Message, MessageReader};
pub use secret::Secret;
