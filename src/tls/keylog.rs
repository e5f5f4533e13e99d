//! The secrets of a run: NSS key log lines, and private keys the user gave.
//!
//! The format is the one browsers write when `SSLKEYLOGFILE` is set
//! ([draft-ietf-tls-keylogfile](https://datatracker.ietf.org/doc/draft-ietf-tls-keylogfile/)).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use zeroize::{Zeroize, Zeroizing};

use crate::base::Limits;

use super::private::{KeyError, PrivateKeys, decrypt_pre_master};
use super::secret::Secret;
use super::suite::KeyExchange;

/// The random bytes of a ClientHello: what names a session in a key log.
pub type Random = [u8; 32];

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Label {
    /// `CLIENT_RANDOM`: the master secret of TLS 1.0 to 1.2.
    Master,
    /// `PMS_CLIENT_RANDOM`: the secret before the master secret.
    PreMaster,
    /// `CLIENT_EARLY_TRAFFIC_SECRET`.
    ClientEarly,
    /// `CLIENT_HANDSHAKE_TRAFFIC_SECRET`.
    ClientHandshake,
    /// `SERVER_HANDSHAKE_TRAFFIC_SECRET`.
    ServerHandshake,
    /// `CLIENT_TRAFFIC_SECRET_0`; later ones follow from it.
    ClientTraffic,
    /// `SERVER_TRAFFIC_SECRET_0`; later ones follow from it.
    ServerTraffic,
}

impl Label {
    /// What it is called in a key log.
    pub fn name(self) -> &'static str {
        match self {
            Label::Master => "CLIENT_RANDOM",
            Label::PreMaster => "PMS_CLIENT_RANDOM",
            Label::ClientEarly => "CLIENT_EARLY_TRAFFIC_SECRET",
            Label::ClientHandshake => "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            Label::ServerHandshake => "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            Label::ClientTraffic => "CLIENT_TRAFFIC_SECRET_0",
            Label::ServerTraffic => "SERVER_TRAFFIC_SECRET_0",
        }
    }
}

/// Who gave a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSource {
    /// The user: a key log file.
    KeyLog,
    /// The capture: a Decryption Secrets Block.
    InCapture,
}

/// A secret with its source.
#[derive(Debug, Clone)]
pub struct Found {
    /// The secret.
    pub secret: Secret,
    /// Who gave it.
    pub source: SecretSource,
}

/// Secrets that one session has at most.
const LABELS: usize = 8;

/// What became of the lines of a key log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLogReport {
    /// Lines that say something: neither empty nor a comment.
    pub lines: u64,
    /// Lines with a secret that can be used, known before or not.
    pub used: u64,
    /// Lines whose fields are missing, no hexadecimal, or of a wrong length.
    pub broken: u64,
    /// Lines with a label that reading records does not need.
    pub unknown: u64,
}

impl KeyLogReport {
    /// Adds what another text gave.
    pub fn add(&mut self, other: KeyLogReport) {
        self.lines += other.lines;
        self.used += other.used;
        self.broken += other.broken;
        self.unknown += other.unknown;
    }
}

/// All secrets of a run, up to a bound: a recording of days forgets the oldest. A clone is another handle on the same secrets.
#[derive(Clone)]
pub struct KeyLog {
    shared: Arc<Shared>,
}

struct Shared {
    revision: AtomicU64,
    capacity: usize,
    store: RwLock<Store>,
}

#[derive(Default)]
struct Store {
    by_random: HashMap<(Random, Label), Found>,
    by_session_id: HashMap<Vec<u8>, Found>,
    /// By the first eight bytes of the encrypted pre-master secret.
    by_rsa: HashMap<[u8; 8], Found>,
    /// What was added, the oldest first.
    order: VecDeque<Name>,
    private: PrivateKeys,
}

/// What a secret is found by.
enum Name {
    Random(Random, Label),
    SessionId(Vec<u8>),
    Rsa([u8; 8]),
}

impl Store {
    fn len(&self) -> usize {
        self.by_random.len() + self.by_session_id.len() + self.by_rsa.len()
    }

    fn trim(&mut self, capacity: usize) {
        while self.len() > capacity {
            match self.order.pop_front() {
                Some(Name::Random(random, label)) => drop(self.by_random.remove(&(random, label))),
                Some(Name::SessionId(id)) => drop(self.by_session_id.remove(&id)),
                Some(Name::Rsa(prefix)) => drop(self.by_rsa.remove(&prefix)),
                None => return,
            }
        }
    }
}

/// The user's word counts more than the capture's; else the first one stays.
fn keep<K: Hash + Eq>(
    secrets: &mut HashMap<K, Found>,
    order: &mut VecDeque<Name>,
    name: impl FnOnce(&K) -> Name,
    key: K,
    found: Found,
) -> bool {
    match secrets.entry(key) {
        Entry::Vacant(vacant) => {
            order.push_back(name(vacant.key()));
            vacant.insert(found);
            true
        }
        Entry::Occupied(mut held) => {
            let better = held.get().source == SecretSource::InCapture && found.source == SecretSource::KeyLog;
            let differs = held.get().secret != found.secret;
            if better {
                held.insert(found);
            }
            better && differs
        }
    }
}

/// One line of a key log, understood.
enum Line {
    Nothing,
    Unknown,
    Broken,
    ByRandom(Random, Label, Secret),
    BySessionId(Vec<u8>, Secret),
    ByRsa([u8; 8], Secret),
}

impl Default for KeyLog {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl KeyLog {
    /// No secrets yet.
    pub fn new(limits: &Limits) -> Self {
        let shared = Shared { revision: AtomicU64::new(0), capacity: limits.secrets, store: RwLock::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Adds the secrets of whole lines; the last one needs no line end.
    pub fn parse(&self, text: &[u8], source: SecretSource) -> KeyLogReport {
        let mut report = KeyLogReport::default();
        let mut news = 0;
        {
            let mut store = self.write();
            for line in text.split(|&byte| byte == b'\n') {
                let line = Line::parse(line);
                report.lines += u64::from(!matches!(line, Line::Nothing));
                let Store { by_random, by_session_id, by_rsa, order, .. } = &mut *store;
                let is_new = match line {
                    Line::Nothing => continue,
                    Line::Unknown => {
                        report.unknown += 1;
                        continue;
                    }
                    Line::Broken => {
                        report.broken += 1;
                        continue;
                    }
                    Line::ByRandom(random, label, secret) => {
                        let name = |&(random, label): &(Random, Label)| Name::Random(random, label);
                        keep(by_random, order, name, (random, label), Found { secret, source })
                    }
                    Line::BySessionId(id, secret) => {
                        keep(by_session_id, order, |id| Name::SessionId(id.clone()), id, Found { secret, source })
                    }
                    Line::ByRsa(prefix, secret) => {
                        keep(by_rsa, order, |&prefix| Name::Rsa(prefix), prefix, Found { secret, source })
                    }
                };
                store.trim(self.shared.capacity);
                report.used += 1;
                news += u64::from(is_new);
            }
        }
        // Sessions look only at the number: it must change after the secrets can be found.
        self.shared.revision.fetch_add(news, Ordering::Release);
        report
    }

    /// A number that changes whenever secrets were added.
    pub fn revision(&self) -> u64 {
        self.shared.revision.load(Ordering::Acquire)
    }

    /// The secret of a session for one purpose.
    pub fn secret(&self, client_random: &Random, label: Label) -> Option<Found> {
        self.read().by_random.get(&(*client_random, label)).cloned()
    }

    /// True when there is any secret of this session.
    pub fn knows(&self, client_random: &Random) -> bool {
        const ALL: [Label; 7] = [
            Label::Master,
            Label::PreMaster,
            Label::ClientEarly,
            Label::ClientHandshake,
            Label::ServerHandshake,
            Label::ClientTraffic,
            Label::ServerTraffic,
        ];
        let store = self.read();
        ALL.iter().any(|&label| store.by_random.contains_key(&(*client_random, label)))
    }

    /// Client randoms of sessions that have a secret for one of these purposes, those told of last first; `most` of them
    /// at most.
    pub(crate) fn sessions(&self, labels: &[Label], most: usize) -> Vec<Random> {
        let store = self.read();
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        for name in store.order.iter().rev().take(most.saturating_mul(LABELS)) {
            if found.len() >= most {
                break;
            }
            if let Name::Random(random, label) = name
                && labels.contains(label)
                && seen.insert(random)
            {
                found.push(*random);
            }
        }
        found
    }

    /// The master secret of a session id.
    pub fn master_of_session(&self, session_id: &[u8]) -> Option<Found> {
        self.read().by_session_id.get(session_id).cloned()
    }

    /// The pre-master secret that was encrypted to these bytes.
    pub fn pre_master_of(&self, encrypted: &[u8]) -> Option<Found> {
        self.read().by_rsa.get(encrypted.first_chunk::<8>()?).cloned()
    }

    /// Adds a server's RSA key, for sessions whose key exchange is RSA: text in PEM, of PKCS #8 or PKCS #1.
    pub fn add_rsa_key(&self, pem: &str) -> Result<(), KeyError> {
        self.write().private.add_rsa(pem)
    }

    /// Adds a pre-shared key in hexadecimal digits, for sessions of TLS 1.2 whose key exchange is PSK alone.
    pub fn add_psk(&self, digits: &str) -> Result<(), KeyError> {
        let digits = digits.trim().as_bytes();
        let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
        if bytes.is_empty() || bytes.len() > usize::from(u16::MAX) {
            return Err(KeyError::NotHex);
        }
        unhex(digits, &mut bytes).ok_or(KeyError::NotHex)?;
        self.write().private.add_psk(bytes)
    }

    /// True when there are private or pre-shared keys: sessions must then note what those take.
    pub(crate) fn has_private_keys(&self) -> bool {
        !self.read().private.is_empty()
    }

    /// What the private and pre-shared keys make of a client's key exchange: one secret before the master secret for each
    /// key that fits.
    pub(crate) fn pre_masters(&self, exchange: KeyExchange, encrypted: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
        match exchange {
            KeyExchange::Rsa => {
                // Decrypting takes milliseconds: not while the lock is held.
                let keys = self.read().private.rsa();
                decrypt_pre_master(&keys, encrypted).into_iter().collect()
            }
            KeyExchange::Psk => self.read().private.psk_pre_masters(),
            KeyExchange::Ephemeral | KeyExchange::Tls13 => Vec::new(),
        }
    }

    /// Remembers the master secret of a session that may be resumed.
    pub(crate) fn learn(&self, session: &[u8], found: &Found) {
        let mut store = self.write();
        let Store { by_session_id, order, .. } = &mut *store;
        let is_new = keep(by_session_id, order, |id| Name::SessionId(id.clone()), session.to_vec(), found.clone());
        store.trim(self.shared.capacity);
        if is_new {
            drop(store);
            self.shared.revision.fetch_add(1, Ordering::Release);
        }
    }

    /// Secrets held.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// True when no secret is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // A thread that panicked while it held the lock left whole entries behind: they can be used.
    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.shared.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.shared.store.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog({} secrets)", self.len())
    }
}

impl Line {
    fn parse(line: &[u8]) -> Self {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(label) = words.next() else { return Line::Nothing };
        if label.starts_with(b"#") {
            return Line::Nothing;
        }
        let (first, second, more) = (words.next(), words.next(), words.next());
        let (Some(first), Some(second), None) = (first, second, more) else { return Line::Broken };
        if label == b"RSA" {
            return Self::parse_rsa(first, second).unwrap_or(Line::Broken);
        }
        // Drafts of QUIC marked its secrets; a client random says that already.
        let label = match label.strip_prefix(b"QUIC_").unwrap_or(label) {
            b"CLIENT_RANDOM" => Label::Master,
            b"PMS_CLIENT_RANDOM" => Label::PreMaster,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Label::ClientEarly,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Label::ClientHandshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Label::ServerHandshake,
            b"CLIENT_TRAFFIC_SECRET_0" => Label::ClientTraffic,
            b"SERVER_TRAFFIC_SECRET_0" => Label::ServerTraffic,
            _ => return Line::Unknown,
        };
        let (Some(random), Some(secret)) = (hex::<32>(first), secret(second)) else { return Line::Broken };
        let fits = match label {
            Label::Master => secret.as_bytes().len() == 48,
            Label::PreMaster => !secret.as_bytes().is_empty(),
            _ => matches!(secret.as_bytes().len(), 32 | 48 | 64),
        };
        if fits { Line::ByRandom(random, label, secret) } else { Line::Broken }
    }

    /// `RSA <8 bytes of encrypted pre-master> <pre-master>`, or `RSA Session-ID:<id> Master-Key:<master>`.
    fn parse_rsa(first: &[u8], second: &[u8]) -> Option<Self> {
        match (first.strip_prefix(b"Session-ID:"), second.strip_prefix(b"Master-Key:")) {
            (Some(id), Some(master)) => {
                let id = secret(id).filter(|id| (1..=32).contains(&id.as_bytes().len()))?;
                let master = secret(master).filter(|master| master.as_bytes().len() == 48)?;
                Some(Line::BySessionId(id.as_bytes().to_vec(), master))
            }
            _ => {
                let pre_master = secret(second).filter(|secret| secret.as_bytes().len() == 48)?;
                Some(Line::ByRsa(hex(first)?, pre_master))
            }
        }
    }
}

fn nibble(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

fn unhex(digits: &[u8], into: &mut [u8]) -> Option<()> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != into.len() {
        return None;
    }
    for (byte, &[high, low]) in into.iter_mut().zip(pairs) {
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(())
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    unhex(digits, &mut bytes).map(|()| bytes)
}

fn secret(digits: &[u8]) -> Option<Secret> {
    let mut secret = Secret::zeroed(digits.len() / 2)?;
    unhex(digits, secret.as_mut()).map(|()| secret)
}

/// A key log that still grows: takes the text as it is appended and keeps the last line until it is whole.
#[derive(Default)]
pub struct KeyLogTail {
    partial: Vec<u8>,
    is_overlong: bool,
}

/// The longest line of use has some 300 bytes; a longer one is thrown away.
const LINE_MAX: usize = 4096;

impl KeyLogTail {
    /// Adds the secrets of the lines that `text`, which follows what was pushed before, makes whole.
    pub fn push(&mut self, text: &[u8], source: SecretSource, keys: &KeyLog) -> KeyLogReport {
        let Some(end) = text.iter().rposition(|&byte| byte == b'\n') else {
            self.keep(text);
            return KeyLogReport::default();
        };
        let (whole, rest) = text.split_at(end + 1);
        let first_end = whole.iter().position(|&byte| byte == b'\n').map_or(whole.len(), |at| at + 1);
        let (first, whole) = whole.split_at(first_end);
        self.keep(first);
        let mut report = self.finish(source, keys);
        report.add(keys.parse(whole, source));
        self.keep(rest);
        report
    }

    /// Takes the last line as it is: nothing follows.
    pub fn finish(&mut self, source: SecretSource, keys: &KeyLog) -> KeyLogReport {
        let line = Zeroizing::new(std::mem::take(&mut self.partial));
        if std::mem::take(&mut self.is_overlong) {
            return KeyLogReport { lines: 1, broken: 1, ..KeyLogReport::default() };
        }
        keys.parse(&line, source)
    }

    fn keep(&mut self, text: &[u8]) {
        if self.is_overlong || self.partial.len() + text.len() > LINE_MAX {
            self.partial.zeroize();
            self.is_overlong = true;
        } else {
            self.partial.extend_from_slice(text);
        }
    }
}

impl fmt::Debug for KeyLogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLogTail({} bytes)", self.partial.len())
    }
}

#[cfg(test)]
mod tests;
