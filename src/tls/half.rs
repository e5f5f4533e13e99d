//! One direction of a session: its keys, the number of its next record, and what it lost.

use crate::base::{Budget, Limits, Stamp};
use crate::tcp::Side;

use super::cipher::{Opened, Opener};
use super::keylog::{Label, SecretSource};
use super::message::MessageReader;
use super::record::{HEADER, Record};
use super::secret::Secret;

/// Which keys protect the records of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Epoch {
    /// None yet; records of TLS 1.3 whose type is not application data stay like this.
    Plain,
    /// 0-RTT data of TLS 1.3.
    Early,
    /// Handshake keys of TLS 1.3.
    Handshake,
    /// Application keys of TLS 1.3.
    Traffic,
    /// After ChangeCipherSpec, before TLS 1.3.
    Session,
}

impl Epoch {
    /// The secret of this epoch in TLS 1.3.
    pub(crate) fn label(self, side: Side) -> Label {
        match (self, side) {
            (Epoch::Early, _) => Label::ClientEarly,
            (Epoch::Handshake, Side::Client) => Label::ClientHandshake,
            (Epoch::Handshake, Side::Server) => Label::ServerHandshake,
            (Epoch::Plain | Epoch::Session, _) => Label::Master,
            (Epoch::Traffic, Side::Client) => Label::ClientTraffic,
            (Epoch::Traffic, Side::Server) => Label::ServerTraffic,
        }
    }
}

/// What a record waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The two hellos.
    Hellos,
    /// The server's word on early data.
    EarlyVerdict,
    /// A secret.
    Secret(Label),
}

/// Keys in use.
pub(crate) struct Keys {
    pub opener: Opener,
    /// The traffic secret of TLS 1.3, from which the next one follows.
    pub secret: Option<Secret>,
    pub source: SecretSource,
}

/// How many records may be missing before the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub at_least: u64,
    pub at_most: u64,
}

/// Something was lost since the last record that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub stamp: Stamp,
    /// Records whose loss is certain have been counted in `Half::number`.
    pub counted: u64,
    /// False when the number of bytes between the records cannot be told.
    pub is_measured: bool,
}

/// One direction of a session.
pub(crate) struct Half {
    pub epoch: Epoch,
    pub keys: Option<Keys>,
    pub messages: MessageReader,
    /// Number of the next record under the current keys.
    pub number: u64,
    pub doubt: Option<Doubt>,
    /// A message that was lost may have changed the keys.
    pub may_turn: bool,
    /// A plain ChangeCipherSpec was seen.
    pub has_changed: bool,
    pub loss: Option<Loss>,
    /// Offset in the TCP stream behind the last record that was read.
    pub next_offset: Option<u64>,
    /// Offset of the next byte of plaintext.
    pub offset: u64,
    /// The sender said that it sends no more, in whatever way.
    pub is_finished: bool,
    /// What the records held back of this direction wait for.
    pub need: Option<Need>,
    /// Records and events held back.
    pub held: usize,
    /// Records are only counted: there was no more room to wait for secrets.
    pub is_given_up: bool,
    /// Records that do not decrypt are early data which the server refused, until one does.
    pub is_passing_early: bool,
    /// A record was opened, ever.
    pub has_opened: bool,
    /// Records in a row that could not be opened.
    pub failures: u64,
    /// The last alert that was not close_notify.
    pub alert: Option<u8>,
    /// Bytes that may still be decrypted in vain: keeps hostile captures from costing more than they weigh.
    pub allowance: u64,
}

/// What every direction may decrypt in vain; each byte received adds [`TRIES_PER_BYTE`].
const TRIES: u64 = 8 << 20;
const TRIES_PER_BYTE: u64 = 16;
/// Body of the largest record with all its overhead: so many lost bytes make one lost record at least.
const RECORD_MAX: u64 = (1 << 14) + 256 + HEADER as u64;
/// The smallest encrypted record there can be.
const RECORD_MIN: u64 = HEADER as u64 + 9;
/// Records to try ahead at most, whatever was lost.
const AHEAD_MAX: u64 = 65_536;
/// Records to try ahead when nobody knows how much was lost.
const AHEAD_UNKNOWN: u64 = 64;

impl Half {
    pub(crate) fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            epoch: Epoch::Plain,
            keys: None,
            messages: MessageReader::new(limits, budget),
            number: 0,
            doubt: None,
            may_turn: false,
            has_changed: false,
            loss: None,
            next_offset: None,
            offset: 0,
            is_finished: false,
            need: None,
            held: 0,
            is_given_up: false,
            is_passing_early: false,
            has_opened: false,
            failures: 0,
            alert: None,
            allowance: TRIES,
        }
    }

    /// Other keys protect what follows.
    pub(crate) fn enter(&mut self, epoch: Epoch) {
        // Before application data there was none to lose.
        self.loss = self.loss.take().filter(|_| self.is_application()).map(|loss| Loss { is_measured: false, ..loss });
        self.epoch = epoch;
        self.keys = None;
        self.number = 0;
        self.doubt = None;
        self.may_turn = false;
        self.failures = 0;
    }

    /// Other keys protect what follows, perhaps since before what was lost: the side itself did not say so.
    pub(crate) fn enter_unseen(&mut self, epoch: Epoch) {
        let (doubt, may_turn) = (self.doubt.map(|doubt| Doubt { at_least: 0, ..doubt }), self.may_turn);
        self.enter(epoch);
        self.doubt = doubt;
        self.may_turn = may_turn;
    }

    /// A message begins the handshake: what was lost before it means nothing any more.
    pub(crate) fn forget_losses(&mut self) {
        self.number = 0;
        self.doubt = None;
        self.may_turn = false;
        self.loss = None;
    }

    /// True when something was lost since the last record that was read.
    pub(crate) fn has_hole(&self) -> bool {
        self.doubt.is_some() || self.may_turn
    }

    /// True when the records carry, or may carry, application data.
    pub(crate) fn is_application(&self) -> bool {
        matches!(self.epoch, Epoch::Early | Epoch::Traffic | Epoch::Session)
    }

    /// One record is lost, no more and no less.
    pub(crate) fn lose_record(&mut self, stamp: Stamp) {
        self.number = self.number.wrapping_add(1);
        self.may_turn = true;
        let loss = self.loss.get_or_insert(Loss { stamp, counted: 0, is_measured: true });
        loss.counted += 1;
        self.messages.reset();
    }

    /// So many bytes are lost, with the boundaries in them; 0 when nobody knows how many.
    pub(crate) fn lose_bytes(&mut self, bytes: u64, stamp: Stamp) {
        let loss = self.loss.get_or_insert(Loss { stamp, counted: 0, is_measured: true });
        loss.is_measured &= bytes > 0;
        let more = match bytes {
            0 => Doubt { at_least: 0, at_most: AHEAD_UNKNOWN },
            _ => Doubt { at_least: bytes / RECORD_MAX, at_most: bytes / RECORD_MIN + 2 },
        };
        let doubt = self.doubt.get_or_insert_default();
        doubt.at_least = (doubt.at_least + more.at_least).min(AHEAD_MAX);
        doubt.at_most = doubt.at_most.saturating_add(more.at_most).min(AHEAD_MAX).max(doubt.at_least);
        self.may_turn = true;
        self.messages.reset();
    }

    /// Decrypts a record with the keys in use; `next` are those that may have come into use among lost records, the
    /// nearest first. Gives the content and the number of records that turned out to be lost.
    pub(crate) fn open(&mut self, record: &mut Record<'_>, next: Vec<(Epoch, Keys)>) -> Option<(Opened, Turn)> {
        let keys = self.keys.as_mut()?;
        keys.opener.begin_record();
        self.allowance = self.allowance.saturating_add(record.body.len() as u64 * TRIES_PER_BYTE).min(4 * TRIES);
        let doubt = match self.doubt {
            // Damage in a row may be loss that nobody noticed.
            None if self.has_opened && self.failures >= 2 => Doubt { at_least: 0, at_most: 16 },
            None => Doubt::default(),
            Some(doubt) => doubt,
        };
        let cost = record.body.len() as u64 + 64;
        let mut afford = |tried: u64| {
            let paid = tried == 0 || self.allowance >= cost;
            self.allowance = self.allowance.saturating_sub(if tried == 0 { 0 } else { cost });
            paid
        };
        for (tried, ahead) in (doubt.at_least..=doubt.at_most).enumerate() {
            if !afford(tried as u64) {
                break;
            }
            let number = self.number.wrapping_add(ahead);
            if let Ok(opened) = keys.opener.open(number, record) {
                self.found(number);
                return Some((opened, Turn::Same { lost: ahead }));
            }
        }
        for (epoch, mut keys) in next {
            for number in 0..=doubt.at_most {
                if !afford(number) {
                    break;
                }
                if let Ok(opened) = keys.opener.open(number, record) {
                    self.keys = Some(keys);
                    self.found(number);
                    return Some((opened, Turn::Next(epoch)));
                }
            }
        }
        self.number = self.number.wrapping_add(1);
        self.failures += 1;
        let stamp = record.span.first;
        let loss = self.loss.get_or_insert(Loss { stamp, counted: 0, is_measured: true });
        loss.counted += 1;
        None
    }

    fn found(&mut self, number: u64) {
        self.number = number.wrapping_add(1);
        self.doubt = None;
        self.may_turn = false;
        self.failures = 0;
        self.has_opened = true;
        self.is_passing_early = false;
    }
}

/// Whether the keys in use fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// They did, after so many lost records that had not been counted.
    Same { lost: u64 },
    /// Later ones did: the change lies among what was lost.
    Next(Epoch),
}
