//! Trying the secrets of a key log on records of a session whose hellos are lost, within a bound of work.

use crate::tcp::Side;

use super::cipher::Opener;
use super::half::Epoch;
use super::handshake::Handshake;
use super::keylog::{KeyLog, Label, Random};
use super::keys;
use super::record::Record;
use super::suite::Suite;

/// Sessions of the key log that are tried.
const SESSIONS: usize = 4096;
/// Bytes that a session may decrypt in vain for this; each byte tried adds [`WORK_PER_BYTE`].
const WORK: u64 = 2 << 20;
const WORK_PER_BYTE: u64 = 16;
/// What making keys costs, in bytes decrypted.
const KEYS_COST: u64 = 512;

/// What was tried.
pub(crate) struct Guess {
    /// The state of the key log.
    pub(crate) revision: Option<u64>,
    /// Encrypted records of each side that its secrets were tried on.
    pub(crate) tried: [usize; 2],
    work: u64,
}

/// One encrypted record.
pub(crate) struct Sealed {
    pub(crate) side: Side,
    pub(crate) kind: u8,
    pub(crate) version: u16,
    pub(crate) body: Vec<u8>,
    /// Records that may stand before it under its keys.
    pub(crate) ahead: u64,
}

impl Guess {
    pub(crate) fn new() -> Self {
        Self { revision: None, tried: [0; 2], work: WORK }
    }

    /// False when that costs more than may be spent.
    fn afford(&mut self, cost: usize) -> bool {
        let left = self.work.checked_sub(cost as u64);
        self.work = left.unwrap_or(0);
        left.is_some()
    }

    /// These records may be tried: their bytes pay for that.
    pub(crate) fn earn(&mut self, sealed: &[Sealed]) {
        let bytes: usize = sealed.iter().map(|sealed| sealed.body.len()).sum();
        self.work = self.work.saturating_add(bytes as u64 * WORK_PER_BYTE).min(4 * WORK);
    }

    /// The session, one whose random is known or any, and the suite among these that open one of the records.
    pub(crate) fn try_tls13(
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
                            if !self.afford(KEYS_COST as usize) {
                                return None;
                            }
                            let Some(mut opener) = Opener::tls13(suite, secret) else { continue };
                            if sealed.opens(&mut opener, numbers.clone(), self) {
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
    pub(crate) fn try_legacy(&mut self, sealed: &[Sealed], handshake: &Handshake, keys: &KeyLog) -> Option<Random> {
        let randoms = keys.sessions(&[Label::Master], SESSIONS);
        for is_near in [true, false] {
            for sealed in sealed {
                let numbers = if is_near { 0..=0 } else { 1..=sealed.ahead };
                if numbers.is_empty() {
                    continue;
                }
                for random in &randoms {
                    if !self.afford(KEYS_COST as usize) {
                        return None;
                    }
                    let Some(found) = keys.secret(random, Label::Master) else { continue };
                    let opener = keys::opener_of(handshake, random, &found.secret, sealed.side);
                    if opener.is_some_and(|mut opener| sealed.opens(&mut opener, numbers.clone(), self)) {
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

/// True when the key log has secrets of TLS 1.3 for this session.
pub(crate) fn tells_tls13(keys: &KeyLog, random: &Random) -> bool {
    Side::BOTH.into_iter().flat_map(labels).any(|label| keys.secret(random, label).is_some())
}
