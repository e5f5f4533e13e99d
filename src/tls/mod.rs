//! Floor 4: TLS records become plaintext stream events, with the secrets of a key log.

pub mod aead;
mod certificate;
mod cipher;
mod core;
mod failure;
mod fingerprint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod guess;
mod half;
pub mod handshake;
pub mod hello;
mod hold;
pub mod info;
pub mod keylog;
mod keys;
mod legacy;
pub mod message;
mod private;
mod record;
pub mod schedule;
pub mod secret;
pub mod session;
pub mod suite;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;

pub use handshake::Handshake;
pub use info::{Certificate, Decryption, TlsInfo};
pub use keylog::{KeyLog, KeyLogReport, KeyLogTail, Label, SecretSource};
pub use message::{Message, MessageReader};
pub use private::KeyError;
pub use record::{Probe, probe};
pub use secret::Secret;
pub use session::Session;
