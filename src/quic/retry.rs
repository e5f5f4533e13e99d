//! Retry packets: the server asks the client to prove its address, and the Initial keys change.

use super::header::{ConnectionId, Long};
use crate::tls::aead::{Aead, AeadKind};

/// True when the integrity tag says that this Retry answers a packet to `original`
/// ([RFC 9001 §5.8](https://www.rfc-editor.org/rfc/rfc9001#section-5.8)).
///
/// ```text
/// +-----------------+------------------------+--------------------------+
/// | odcid len (8)   | original dcid (0..160) | Retry packet without tag |   what the tag is made over
/// +-----------------+------------------------+--------------------------+
/// ```
pub fn is_genuine(retry: &Long<'_>, original: &ConnectionId) -> bool {
    let Some((packet, tag)) = retry.packet.split_last_chunk::<16>() else { return false };
    let secret = retry.version.retry_key();
    let Some(aead) = Aead::new(AeadKind::Aes128Gcm, &secret.key) else { return false };
    let pseudo = [&[original.len() as u8], original.bytes(), packet].concat();
    aead.open_in_place(&secret.nonce, &pseudo, &mut tag.clone()).is_ok()
}
