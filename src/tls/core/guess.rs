//! Lost hellos. Which session of the key log this is, and which suite of TLS 1.3 it chose, is found by trying: a record that a secret
//! opens is proof. Before TLS 1.3 keys are made of both random values, so only the client's may be lost.

use crate::tcp::Side;

use super::Core;
use crate::tls::cipher::Opener;
use crate::tls::failure::Failure;
use crate::tls::half::Epoch;
use crate::tls::keylog::{KeyLog, Label, Random};
use crate::tls::keys;
use crate::tls::message::{kind, may_begin_with};
use crate::tls::record::{Record, content};
use crate::tls::suite::{KeyExchange, Suite};

/// Encrypted records of each side that are tried.
const RECORDS: usize = 8;
/// The same when every session of the key log may be the one.
const RECORDS_OF_ALL: usize = 3;
/// Records that may be lost before those.
const AHEAD: u64 = 64;
/// The same when every session of the key log may be the one.
const AHEAD_OF_ALL: u64 = 8;
/// Sessions of the key log that are tried.
const SESSIONS: usize = 4096;
/// Bytes that a session may decrypt in vain for this; each byte tried adds [`WORK_PER_BYTE`].
const WORK: u64 = 2 << 20;
const WORK_PER_BYTE: u64 = 16;
/// What making keys costs, in bytes decrypted.
const KEYS_COST: u64 = 512;
/// Suites that clients offer unless told otherwise.
const USUAL: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// What was tried.
pub(super) struct Guess {
    /// The state of the key log.
    revision: Option<u64>,
    /// Encrypted records of each side that its secrets were tried on.
    tried: [usize; 2],
    work: u64,
}

/// One encrypted record.
struct Sealed {
    side: Side,
    kind: u8,
    version: u16,
    body: Vec<u8>,
    /// Records that may stand before it under its keys.
    ahead: u64,
}

impl Guess {
    pub(super) fn new() -> Self {
        Self { revision: None, tried: [0; 2], work: WORK }
    }

    /// False when that costs more than may be spent.
    fn afford(&mut self, cost: usize) -> bool {
        let left = self.work.checked_sub(cost as u64);
        self.work = left.unwrap_or(0);
        left.is_some()
    }
}

impl Core {
    /// True while a hello is missing that an encrypted record needs.
    fn is_in_the_dark(&self, keys: &KeyLog) -> bool {
        self.failure.is_none() && (self.handshake.info.version.is_none() || self.random(keys).is_none())
    }

    /// The random that the key log knows the session by.
    fn random(&self, keys: &KeyLog) -> Option<Random> {
        let random = self.handshake.client_random?;
        let is_veiled = self.handshake.is_veiled && !keys.knows(&random);
        (!is_veiled).then_some(random)
    }

    /// True when secrets may tell what a lost hello said.
    pub(super) fn may_guess(&self, keys: &KeyLog) -> bool {
        match self.handshake.client_random {
            Some(random) if self.handshake.info.version.is_none() => {
                self.handshake.may_be_tls13()
                    && (keys.secret(&random, Label::Master).is_none() || tells_tls13(keys, &random))
            }
            Some(_) => true,
            None => self.has_start,
        }
    }

    /// Tries the secrets at hand on a record that just came, when it needs what a lost hello said.
    /// True when that told.
    pub(super) fn guess_with(&mut self, side: Side, record: &Record<'_>, keys: &KeyLog) -> bool {
        if !self.is_sealed(side, record.kind) || !self.is_in_the_dark(keys) {
            return false;
        }
        // The server's hello may still come: captures may have the sides swapped.
        if side == Side::Client && self.handshake.client_random.is_some() && !self.server.has_hole() {
            return false;
        }
        self.guess(Some((side, record)), keys);
        !self.is_in_the_dark(keys)
    }

    /// Tries the secrets at hand on what is held back, and on the record that just came. What is found lets the queue go on.
    pub(super) fn guess(&mut self, latest: Option<(Side, &Record<'_>)>, keys: &KeyLog) {
        if !self.is_in_the_dark(keys) || !self.may_guess(keys) {
            return;
        }
        let revision = keys.revision();
        if self.guess.revision.replace(revision) != Some(revision) {
            self.guess.tried = [0; 2];
        }
        let random = self.random(keys);
        let sealed = self.untried(latest, random.is_some());
        if sealed.is_empty() {
            return;
        }
        let version = self.handshake.info.version;
        let found = match (version, self.handshake.suite) {
            (None, _) => self.try_tls13(&sealed, random, &self.suites_offered(), keys),
            (Some(0x0304), Some(suite)) => self.try_tls13(&sealed, random, &[suite], keys),
            (Some(0x0301..=0x0303), Some(_)) if self.handshake.client_random.is_none() => {
                self.try_legacy(&sealed, keys).into_iter().for_each(|random| {
                    self.handshake.client_random = Some(random);
                    self.has_progress = true;
                });
                None
            }
            _ => None,
        };
        let Some((random, suite)) = found else { return };
        self.handshake.suppose(random, suite);
        for side in Side::BOTH {
            let half = self.half(side);
            if half.epoch == Epoch::Plain {
                half.enter_unseen(Epoch::Handshake);
            }
        }
        self.has_progress = true;
    }

    /// True when a record of this kind is encrypted.
    fn is_sealed(&self, side: Side, kind: u8) -> bool {
        let half = if side == Side::Client { &self.client } else { &self.server };
        kind == content::APPLICATION_DATA || half.epoch == Epoch::Session
    }

    /// The first encrypted records of both sides, without those that were tried already.
    fn untried(&mut self, latest: Option<(Side, &Record<'_>)>, is_known: bool) -> Vec<Sealed> {
        let (most, reach) = if is_known { (RECORDS, AHEAD) } else { (RECORDS_OF_ALL, AHEAD_OF_ALL) };
        let mut all = Vec::new();
        for side in Side::BOTH {
            let half = if side == Side::Client { &self.client } else { &self.server };
            let lost = half.doubt.map_or(0, |doubt| doubt.at_most).min(reach);
            let latest = latest.filter(|(from, _)| *from == side);
            let latest = latest.map(|(_, record)| (record.kind, record.version, &*record.body));
            let records = self.queue.records(side).chain(latest).filter(|(kind, ..)| self.is_sealed(side, *kind));
            let tried = self.guess.tried[side.index()];
            let mut count = 0;
            for (at, (kind, version, body)) in records.take(most).enumerate() {
                count = at + 1;
                if at >= tried {
                    let ahead = lost + at as u64 + half.number.min(reach);
                    all.push(Sealed { side, kind, version, body: body.to_vec(), ahead });
                }
            }
            self.guess.tried[side.index()] = count.max(tried);
        }
        let bytes: usize = all.iter().map(|sealed| sealed.body.len()).sum();
        self.guess.work = self.guess.work.saturating_add(bytes as u64 * WORK_PER_BYTE).min(4 * WORK);
        // The cheapest first.
        all.sort_by_key(|sealed| sealed.body.len());
        all
    }

    /// Suites that a lost ServerHello may have chosen.
    fn suites_offered(&self) -> Vec<Suite> {
        let offered = &self.handshake.offered_suites;
        let numbers: &[u16] = if offered.is_empty() { &USUAL } else { offered };
        let known = numbers.iter().filter_map(|&number| Suite::of(number));
        known.filter(|suite| suite.key_exchange == KeyExchange::Tls13 && suite.cipher.is_some()).collect()
    }

    fn try_tls13(
        &mut self,
        sealed: &[Sealed],
        random: Option<Random>,
        suites: &[Suite],
        keys: &KeyLog,
    ) -> Option<(Random, Suite)> {
        const ALL: [Label; 4] =
            [Label::ClientHandshake, Label::ServerHandshake, Label::ClientTraffic, Label::ServerTraffic];
        let randoms = match random {
            Some(random) => vec![random],
            None => keys.sessions(&ALL, SESSIONS),
        };
        let guess = &mut self.guess;
        // What follows directly upon the hellos is tried for all sessions before what lies further off is tried for one.
        for is_near in [true, false] {
            for sealed in sealed {
                let numbers = if is_near { 0..=0 } else { 1..=sealed.ahead };
                if numbers.is_empty() {
                    continue;
                }
                for random in &randoms {
                    for label in labels(sealed.side) {
                        let Some(found) = keys.secret(random, label) else { continue };
                        let secret = found.secret.as_bytes();
                        for suite in suites.iter().filter(|suite| suite.hash.size() == secret.len()) {
                            if !guess.afford(KEYS_COST as usize) {
                                return None;
                            }
                            let Some(mut opener) = Opener::tls13(suite, secret) else { continue };
                            if sealed.opens(&mut opener, numbers.clone(), guess) {
                                return Some((*random, *suite));
                            }
                        }
                    }
                }
            }
        }
        None
    }

    /// The client's random before TLS 1.3, with that of the server at hand.
    fn try_legacy(&mut self, sealed: &[Sealed], keys: &KeyLog) -> Option<Random> {
        let randoms = keys.sessions(&[Label::Master], SESSIONS);
        let (handshake, guess) = (&self.handshake, &mut self.guess);
        for is_near in [true, false] {
            for sealed in sealed {
                let numbers = if is_near { 0..=0 } else { 1..=sealed.ahead };
                if numbers.is_empty() {
                    continue;
                }
                for random in &randoms {
                    if !guess.afford(KEYS_COST as usize) {
                        return None;
                    }
                    let Some(found) = keys.secret(random, Label::Master) else { continue };
                    let opener = keys::opener_of(handshake, random, &found.secret, sealed.side);
                    if opener.is_some_and(|mut opener| sealed.opens(&mut opener, numbers.clone(), guess)) {
                        return Some(*random);
                    }
                }
            }
        }
        None
    }
}

impl Sealed {
    /// True when these keys open the record under one of the numbers.
    fn opens(&self, opener: &mut Opener, numbers: std::ops::RangeInclusive<u64>, guess: &mut Guess) -> bool {
        let mut body = self.body.clone();
        let (kind, version) = (self.kind, self.version);
        let mut record = Record {
            kind,
            version,
            body: &mut body,
            span: Default::default(),
            offset: 0,
            position: Default::default(),
        };
        opener.begin_record();
        for number in numbers {
            if !guess.afford(self.body.len() + 64) {
                return false;
            }
            if opener.open(number, &mut record).is_ok() {
                return true;
            }
        }
        false
    }
}

/// What a record of this side may be protected with.
fn labels(side: Side) -> [Label; 2] {
    [Epoch::Handshake.label(side), Epoch::Traffic.label(side)]
}

impl Core {
    /// True when a plain handshake record shows that a version before TLS 1.3 was agreed on while the ServerHello is lost:
    /// TLS 1.3 sends nothing but hellos in plain, and nothing of this kind behind a ChangeCipherSpec.
    pub(super) fn is_legacy_flight(&self, side: Side, record: &Record<'_>) -> bool {
        let half = if side == Side::Client { &self.client } else { &self.server };
        if half.has_changed {
            return true;
        }
        let kinds: &[u8] = match side {
            Side::Server => &[
                kind::CERTIFICATE,
                kind::CERTIFICATE_STATUS,
                kind::SERVER_KEY_EXCHANGE,
                kind::CERTIFICATE_REQUEST,
                kind::SERVER_HELLO_DONE,
                kind::NEW_SESSION_TICKET,
            ],
            Side::Client => &[kind::CERTIFICATE, kind::CLIENT_KEY_EXCHANGE, kind::CERTIFICATE_VERIFY],
        };
        let is_told = record.body.first().is_some_and(|first| kinds.contains(first));
        self.server.has_hole() && is_told && may_begin_with(record.body)
    }

    /// Why a session cannot be read of which a hello is missing.
    pub(super) fn why_no_hellos(&self, keys: &KeyLog) -> Failure {
        let mut held = self.queue.records(Side::Client);
        let [client, server] = Side::BOTH.map(|side| self.has_heard(side));
        match (self.handshake.client_random, self.handshake.info.version) {
            (Some(_), None) if !server && (self.server.has_hole() || held.next().is_some()) => {
                Failure::OneDirection { missing: "server" }
            }
            // Only before TLS 1.3 does the client send handshake messages in plain behind its hello.
            (Some(_), None) if !self.may_guess(keys) || held.any(|(kind, ..)| kind == content::HANDSHAKE) => {
                Failure::ServerHelloLost
            }
            (Some(_), None) => Failure::ServerHelloMissing,
            (Some(_), Some(_)) => Failure::HandshakeUnfinished,
            (None, None) if !self.has_start => Failure::StartMissing,
            (None, _) if !client => Failure::OneDirection { missing: "client" },
            (None, _) => Failure::ClientHelloMissing,
        }
    }

    /// True when the capture has a byte that this side sent.
    fn has_heard(&self, side: Side) -> bool {
        let [client, server] = self.heard;
        if self.role(Side::Client) == side { client } else { server }
    }
}

/// True when the key log has secrets of TLS 1.3 for this session.
fn tells_tls13(keys: &KeyLog, random: &Random) -> bool {
    Side::BOTH.into_iter().flat_map(labels).any(|label| keys.secret(random, label).is_some())
}
