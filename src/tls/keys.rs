//! From the secrets of a key log to the keys of one session.

use crate::tcp::Side;

use super::cipher::Opener;
use super::handshake::Handshake;
use super::keylog::{Found, KeyLog, Label, Random, SecretSource};
use super::schedule::prf;
use super::secret::Secret;

/// Bytes of a master secret before TLS 1.3.
const MASTER: usize = 48;

/// The master secrets that a session before TLS 1.3 may have: one at most, but where several pre-shared keys were given.
pub(crate) fn masters(handshake: &Handshake, keys: &KeyLog) -> Vec<Found> {
    let of_random = handshake.client_random.as_ref().and_then(|random| {
        let bound = |found: Found| from_pre_master(handshake, found.secret.as_bytes(), found.source);
        keys.secret(random, Label::Master).or_else(|| keys.secret(random, Label::PreMaster).and_then(bound))
    });
    let known = of_random
        .or_else(|| {
            let names = [Some(handshake.session_id.clone()), handshake.ticket_offered.clone()];
            names.iter().flatten().find_map(|name| keys.master_of_session(name))
        })
        .or_else(|| {
            let found = keys.pre_master_of(&handshake.encrypted_pre_master)?;
            from_pre_master(handshake, found.secret.as_bytes(), found.source)
        });
    match known {
        Some(found) => vec![found],
        None => {
            let private = handshake.pre_masters.iter();
            private.filter_map(|secret| from_pre_master(handshake, secret, SecretSource::KeyLog)).collect()
        }
    }
}

/// [RFC 5246 §8.1](https://www.rfc-editor.org/rfc/rfc5246#section-8.1), or bound to the handshake
/// ([RFC 7627 §4](https://www.rfc-editor.org/rfc/rfc7627#section-4)).
fn from_pre_master(handshake: &Handshake, secret: &[u8], source: SecretSource) -> Option<Found> {
    let hash = handshake.prf_hash()?;
    let mut master = Secret::zeroed(MASTER)?;
    if handshake.extended_master_secret {
        let session_hash = handshake.session_hash(hash)?;
        prf(hash, secret, b"extended master secret", &[&session_hash], master.as_mut());
    } else {
        let (client, server) = (handshake.client_random.as_ref()?, handshake.server_random.as_ref()?);
        prf(hash, secret, b"master secret", &[client, server], master.as_mut());
    }
    Some(Found { secret: master, source })
}

/// The keys of one direction before TLS 1.3
/// ([RFC 5246 §6.3](https://www.rfc-editor.org/rfc/rfc5246#section-6.3)).
///
/// ```text
/// | client MAC key | server MAC key | client key | server key | client IV | server IV |
/// ```
pub(crate) fn opener(handshake: &Handshake, master: &Secret, side: Side) -> Option<Opener> {
    opener_of(handshake, handshake.client_random.as_ref()?, master, side)
}

/// The same for a ClientHello of which only the key log knows.
pub(crate) fn opener_of(handshake: &Handshake, client: &Random, master: &Secret, side: Side) -> Option<Opener> {
    let suite = handshake.suite?;
    let cipher = suite.cipher?;
    let server = handshake.server_random.as_ref()?;
    let lens = [cipher.mac_len(), cipher.key_len(), cipher.fixed_iv_len(handshake.info.version?)];
    let mut block = zeroize::Zeroizing::new(vec![0; 2 * lens.iter().sum::<usize>()]);
    prf(handshake.prf_hash()?, master.as_bytes(), b"key expansion", &[server, client], &mut block);
    let mut rest: &[u8] = &block;
    let [mac, key, iv] = lens.map(|len| {
        let (pair, behind) = rest.split_at(2 * len);
        rest = behind;
        let (client, server) = pair.split_at(len);
        if side == Side::Client { client } else { server }
    });
    Opener::tls12(cipher, handshake, mac, key, iv)
}
