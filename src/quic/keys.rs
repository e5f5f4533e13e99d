//! The keys of one connection as they become known.

use std::ops::Range;

use super::header::ConnectionId;
use super::protection::{Cipher, Keys, Level, Phases, Unmasked, initial_keys, label_of};
use super::version::Version;
use crate::tcp::Side;
use crate::tls::keylog::Random;
use crate::tls::{KeyLog, SecretSource};

/// What opening a packet came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is authentic.
    Plain {
        /// Packet number.
        number: u64,
        /// Where its frames lie in the buffer.
        payload: Range<usize>,
    },
    /// There are no keys for this level yet.
    NoKeys,
    /// The keys do not fit.
    Failed,
}

/// Keys of all levels and both sides.
///
/// As long as the cipher suite is not known, a secret gives a candidate for each cipher it can be for; the first one that
/// opens a packet stays.
#[derive(Default)]
pub struct KeyRing {
    initial: Option<(Version, ConnectionId, [Keys; 2])>,
    early: Vec<Keys>,
    handshake: [Vec<Keys>; 2],
    one_rtt: [Vec<Phases>; 2],
    /// What the last secrets were looked up with.
    looked_up: Option<(u64, Random, Option<Cipher>, Version)>,
    /// Who gave the secrets.
    pub source: Option<SecretSource>,
}

impl KeyRing {
    /// Sets the keys of Initial packets by the client's first destination connection id.
    pub fn set_initial(&mut self, version: Version, dcid: ConnectionId) {
        self.initial = initial_keys(version, &dcid).map(|keys| (version, dcid, keys));
    }

    /// The connection id that the Initial keys were made from.
    pub fn initial_id(&self) -> Option<ConnectionId> {
        self.initial.as_ref().map(|initial| initial.1)
    }

    /// Looks up secrets when the log, the suite or the version changed since the last time. True when keys were set.
    pub fn look_up(&mut self, log: &KeyLog, random: &Random, cipher: Option<Cipher>, version: Version) -> bool {
        let now = (log.revision(), *random, cipher, version);
        let before = self.looked_up.replace(now);
        if before == Some(now) {
            return false;
        }
        // Candidates were made for another cipher or version, unless one was proven already.
        let is_same = before.is_some_and(|before| (before.1, before.2, before.3) == (now.1, now.2, now.3));
        let mut any = false;
        for side in Side::BOTH {
            let at = side.index();
            let mut find = |level, is_known: bool| {
                if is_known && is_same {
                    return None;
                }
                let found = log.secret(random, label_of(level, side)?)?;
                any = true;
                self.source = Some(found.source);
                Some(found.secret)
            };
            let ciphers = |len| match &cipher {
                Some(cipher) => std::slice::from_ref(cipher),
                None => Cipher::of_secret_len(len),
            };
            let keys = |secret: &crate::tls::Secret| -> Vec<Keys> {
                let ciphers = ciphers(secret.as_bytes().len()).iter();
                ciphers.filter_map(|&cipher| Keys::derive(version, cipher, secret)).collect()
            };
            if let Some(slot) = self.handshake.get_mut(at)
                && let Some(secret) = find(Level::Handshake, !slot.is_empty())
            {
                *slot = keys(&secret);
            }
            if let Some(slot) = self.one_rtt.get_mut(at)
                && let Some(secret) = find(Level::OneRtt, !slot.is_empty())
            {
                let ciphers = ciphers(secret.as_bytes().len()).iter();
                *slot = ciphers.filter_map(|&cipher| Phases::derive(version, cipher, &secret)).collect();
            }
            if self.early.len() != 1
                && let Some(secret) = find(Level::ZeroRtt, !self.early.is_empty())
            {
                self.early = keys(&secret);
            }
        }
        any
    }

    /// True when packets of this level and side can be tried.
    pub fn has(&self, level: Level, side: Side) -> bool {
        let at = side.index();
        match level {
            Level::Initial => self.initial.is_some(),
            Level::ZeroRtt => !self.early.is_empty(),
            Level::Handshake => self.handshake.get(at).is_some_and(|keys| !keys.is_empty()),
            Level::OneRtt => self.one_rtt.get(at).is_some_and(|keys| !keys.is_empty()),
        }
    }

    /// Key updates of a side so far.
    pub fn updates(&self, side: Side) -> u64 {
        self.one_rtt.get(side.index()).and_then(|keys| keys.first()).map_or(0, |keys| keys.updates)
    }

    /// Opens a packet, which is copied to `scratch` and decrypted there.
    pub fn open(&mut self, packet: &Sealed<'_>, largest: Option<u64>, scratch: &mut Vec<u8>) -> Opened {
        let &Sealed { level, side, version, bytes, number_at } = packet;
        if !self.has(level, side) {
            return Opened::NoKeys;
        }
        if let (Level::Initial, Some(version), Some((of, dcid, _))) = (level, version, &self.initial)
            && *of != version
        {
            // The two agreed on another version; the connection id stays.
            let dcid = *dcid;
            self.set_initial(version, dcid);
        }
        let at = side.index();
        let found = match level {
            Level::Initial => {
                let keys = self.initial.as_ref().and_then(|initial| initial.2.get(at));
                keys.and_then(|keys| try_open(bytes, scratch, |packet| keys.open(packet, number_at, largest)))
            }
            Level::ZeroRtt => open_first(&mut self.early, bytes, scratch, number_at, largest),
            Level::Handshake => {
                self.handshake.get_mut(at).and_then(|keys| open_first(keys, bytes, scratch, number_at, largest))
            }
            Level::OneRtt => {
                self.one_rtt.get_mut(at).and_then(|keys| open_first(keys, bytes, scratch, number_at, largest))
            }
        };
        match found {
            Some((unmasked, len)) => {
                let payload = unmasked.header_len..unmasked.header_len.saturating_add(len);
                Opened::Plain { number: unmasked.number, payload }
            }
            None => Opened::Failed,
        }
    }
}

/// A packet under protection.
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'a> {
    /// Its level.
    pub level: Level,
    /// Who sent it.
    pub side: Side,
    /// Version in its header; none in a short one.
    pub version: Option<Version>,
    /// The whole packet.
    pub bytes: &'a [u8],
    /// Offset of its packet number.
    pub number_at: usize,
}

/// Keys that open packets.
trait Open {
    fn open<'p>(&mut self, packet: &'p mut [u8], at: usize, largest: Option<u64>) -> Option<(Unmasked, &'p [u8])>;
}

impl Open for Keys {
    fn open<'p>(&mut self, packet: &'p mut [u8], at: usize, largest: Option<u64>) -> Option<(Unmasked, &'p [u8])> {
        Keys::open(self, packet, at, largest)
    }
}

impl Open for Phases {
    fn open<'p>(&mut self, packet: &'p mut [u8], at: usize, largest: Option<u64>) -> Option<(Unmasked, &'p [u8])> {
        Phases::open(self, packet, at, largest)
    }
}

/// Opens with the first candidate that fits, and keeps only that one.
fn open_first<K: Open>(
    candidates: &mut Vec<K>,
    bytes: &[u8],
    scratch: &mut Vec<u8>,
    number_at: usize,
    largest: Option<u64>,
) -> Option<(Unmasked, usize)> {
    let (at, found) = candidates.iter_mut().enumerate().find_map(|(at, keys)| {
        try_open(bytes, scratch, |packet| keys.open(packet, number_at, largest)).map(|found| (at, found))
    })?;
    if candidates.len() > 1 {
        candidates.swap(0, at);
        candidates.truncate(1);
    }
    Some(found)
}

/// Copies the packet for one attempt; gives the header and the length of the plaintext.
fn try_open(
    bytes: &[u8],
    scratch: &mut Vec<u8>,
    open: impl FnOnce(&mut [u8]) -> Option<(Unmasked, &[u8])>,
) -> Option<(Unmasked, usize)> {
    scratch.clear();
    scratch.extend_from_slice(bytes);
    open(scratch).map(|(unmasked, plain)| (unmasked, plain.len()))
}
