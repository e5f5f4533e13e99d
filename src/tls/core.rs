//! The state machine of a session: which keys are in use on which side, and what becomes of each record.

mod guess;
mod plaintext;
mod secrets;
mod wait;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Stamp, Timestamp};
use crate::tcp::{Side, StreamEvent};

use super::cipher::Opener;
use super::failure::Failure;
use super::guess::Guess;
use super::half::{Doubt, Epoch, Half, Keys, Need, Turn};
use super::handshake::{Carrier, Handshake, TLS13};
use super::hold::{Held, Lost, Queue};
use super::info::{Decryption, TlsInfo};
use super::keylog::{Found, KeyLog, Label, SecretSource};
use super::message;
use super::record::{HEADER, Piece, Record, content};
use super::schedule::next_generation;

/// Where plaintext goes.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Side, StreamEvent<'_>);

pub(crate) struct Core {
    handshake: Handshake,
    /// Client and server as TLS knows them.
    client: Half,
    server: Half,
    is_flipped: bool,
    queue: Queue,
    held_max: usize,
    budget: Budget,
    /// The master secret before TLS 1.3, once it was found.
    master: Option<Found>,
    /// The state of the key log when it was asked last.
    revision: u64,
    /// The handshake went on since the key log was asked last.
    has_progress: bool,
    /// The capture has the beginning of the connection, even if not the hellos.
    has_start: bool,
    /// Which sides brought a byte.
    heard: [bool; 2],
    guess: Guess,
    failure: Option<Failure>,
    anomalies: Anomalies,
    anomalies_kept: usize,
    is_reset: bool,
    lease: Lease,
}

/// What the keys of one direction take at most.
const KEYS_SIZE: usize = 2048;

impl Core {
    pub(crate) fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            handshake: Handshake::new(Carrier::Tcp),
            client: Half::new(limits, budget),
            server: Half::new(limits, budget),
            is_flipped: false,
            queue: Queue::new(budget),
            held_max: limits.tls_held,
            budget: budget.clone(),
            master: None,
            revision: 0,
            has_progress: false,
            has_start: false,
            heard: [false; 2],
            guess: Guess::new(),
            failure: None,
            anomalies: Anomalies::default(),
            anomalies_kept: limits.anomalies_kept,
            is_reset: false,
            lease: budget.lease(),
        }
    }

    pub(crate) fn info(&self) -> &TlsInfo {
        &self.handshake.info
    }

    pub(crate) fn anomalies(&self) -> &Anomalies {
        &self.anomalies
    }

    /// When the oldest record came that waits for secrets.
    pub(crate) fn pending_since(&self) -> Option<Timestamp> {
        self.queue.since()
    }

    pub(crate) fn is_flipped(&self) -> bool {
        self.is_flipped
    }

    fn role(&self, tcp_side: Side) -> Side {
        if self.is_flipped { tcp_side.other() } else { tcp_side }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn note(&mut self, kind: AnomalyKind, stamp: Stamp) {
        self.anomalies.note(kind, Some(stamp), self.anomalies_kept);
    }

    /// False while records of this side need only be counted.
    pub(crate) fn wants_bodies(&mut self, tcp_side: Side, keys: &KeyLog) -> bool {
        let side = self.role(tcp_side);
        if self.half(side).is_given_up && self.failure.is_none() && keys.revision() != self.revision {
            self.resume(side, keys);
        }
        self.failure.is_none() && !self.half(side).is_given_up
    }

    /// Secrets may have come after all.
    fn resume(&mut self, side: Side, keys: &KeyLog) {
        let epoch = self.half(side).epoch;
        if self.find(epoch.label(side), keys).is_some() {
            let half = self.half(side);
            half.is_given_up = false;
            half.doubt = Some(Doubt { at_least: 0, at_most: half.number.saturating_add(16) });
        }
    }

    /// Takes what the record reader of one side found.
    pub(crate) fn take_piece(&mut self, tcp_side: Side, piece: Piece<'_>, keys: &KeyLog, out: Sink<'_>) {
        match piece {
            Piece::Record(mut record) => {
                self.settle_roles(tcp_side, record.kind, record.body);
                let side = self.role(tcp_side);
                self.take_record(side, &mut record, keys, out);
            }
            Piece::Skipped { stamp } => {
                let side = self.role(tcp_side);
                self.half(side).lose_record(stamp);
            }
            Piece::Torn { body, span } => self.take_torn(tcp_side, body, span),
            Piece::LostRecord { body, stamp } => self.take_loss(tcp_side, Lost::Record { body }, stamp),
            Piece::LostBytes { bytes, stamp } => self.take_loss(tcp_side, Lost::Bytes(bytes), stamp),
            Piece::Malformed { stamp } => {
                if self.failure.is_none() {
                    self.note(AnomalyKind::RecordMalformed, stamp);
                }
                self.take_loss(tcp_side, Lost::Bytes(0), stamp);
            }
        }
    }

    /// The client is who says hello as one, whatever TCP thought.
    fn settle_roles(&mut self, tcp_side: Side, kind: u8, body: &[u8]) {
        let handshake = &self.handshake;
        if kind != content::HANDSHAKE
            || handshake.client_random.is_some()
            || handshake.server_random.is_some()
            || !self.queue.is_empty()
        {
            return;
        }
        let sender = match body.first() {
            Some(&message::kind::CLIENT_HELLO) => Side::Client,
            Some(&message::kind::SERVER_HELLO) => Side::Server,
            _ => return,
        };
        if self.role(tcp_side) != sender && self.half(sender.other()).epoch == Epoch::Plain {
            self.is_flipped = !self.is_flipped;
            std::mem::swap(&mut self.client, &mut self.server);
        }
    }

    fn take_record(&mut self, side: Side, record: &mut Record<'_>, keys: &KeyLog, out: Sink<'_>) {
        if self.failure.is_some() {
            return;
        }
        let has_guessed = self.guess_with(side, record, keys);
        let must_queue = !self.queue.is_empty()
            && (has_guessed || self.half(side).held > 0 || self.is_application(side, record.kind));
        if must_queue {
            self.hold(side, Held::of(record));
        } else if let Err(need) = self.process(side, record, keys, out) {
            self.half(side).need = Some(need);
            self.hold(side, Held::of(record));
        }
    }

    fn take_loss(&mut self, tcp_side: Side, lost: Lost, stamp: Stamp) {
        let side = self.role(tcp_side);
        if self.half(side).held > 0 {
            self.hold(side, Held::Loss(lost, stamp));
        } else {
            self.lose(side, lost, stamp);
        }
    }

    fn lose(&mut self, side: Side, lost: Lost, stamp: Stamp) {
        let half = self.half(side);
        match lost {
            Lost::Record { body } => {
                half.lose_record(stamp);
                if let Some(keys) = &mut half.keys {
                    keys.opener.pass_unseen(body);
                }
            }
            Lost::Bytes(bytes) => {
                half.lose_bytes(bytes, stamp);
                if let Some(keys) = &mut half.keys {
                    keys.opener.pass_unknown();
                }
            }
        }
    }

    pub(crate) fn take_fin(&mut self, tcp_side: Side, stamp: Stamp, out: Sink<'_>) {
        let side = self.role(tcp_side);
        if self.half(side).held > 0 {
            self.hold(side, Held::Fin(stamp));
        } else {
            self.end(side, stamp, out);
        }
    }

    pub(crate) fn take_reset(&mut self, tcp_side: Side, stamp: Stamp, out: Sink<'_>) {
        let side = self.role(tcp_side);
        if self.queue.is_empty() {
            self.reset(side, stamp, out);
        } else {
            self.hold(side, Held::Reset(stamp));
        }
    }

    fn hold(&mut self, side: Side, held: Held) {
        self.half(side).held += 1;
        self.queue.push(side, held);
    }

    /// True when order between the two sides matters for this record: requests go out before their responses.
    fn is_application(&mut self, side: Side, kind: u8) -> bool {
        let is_tls13 = self.handshake.is_tls13();
        let is_early = self.client.epoch == Epoch::Early;
        let half = self.half(side);
        // Behind a hole it may be anything, but early data must wait for what the server says.
        let is_handshake = is_tls13 && half.epoch == Epoch::Handshake && (is_early || !half.has_hole());
        kind == content::APPLICATION_DATA && !is_handshake
    }

    /// What becomes of one record; an error says what it must wait for.
    fn process(&mut self, side: Side, record: &mut Record<'_>, keys: &KeyLog, out: Sink<'_>) -> Result<(), Need> {
        let stamp = record.span.first;
        if self.half(side).is_given_up {
            self.half(side).lose_record(stamp);
            return Ok(());
        }
        let epoch = self.half(side).epoch;
        match (self.handshake.info.version, record.kind) {
            (_, content::SSL2_HELLO) => self.read_ssl2_hello(record),
            (Some(TLS13), content::APPLICATION_DATA) => return self.open(side, record, keys, out),
            (Some(TLS13), content::CHANGE_CIPHER_SPEC) => self.pass(side, record),
            (_, _) if epoch == Epoch::Session => return self.open(side, record, keys, out),
            (None, content::HANDSHAKE | content::CHANGE_CIPHER_SPEC | content::APPLICATION_DATA)
                if side == Side::Client
                    && self.handshake.client_random.is_some()
                    && !self.client.messages.is_in_message()
                    && !(self.handshake.is_retrying() && record.kind == content::HANDSHAKE) =>
            {
                return Err(Need::Hellos);
            }
            (None, content::HANDSHAKE) if self.is_legacy_flight(side, record) => {
                self.fail(Failure::ServerHelloLost, stamp);
            }
            (Some(..TLS13), content::HANDSHAKE)
                if self.half(side).has_hole() && !message::may_begin_with(record.body) =>
            {
                // The change of ciphers was lost: this is a Finished.
                self.half(side).lose_record(stamp);
            }
            (_, content::HANDSHAKE) => {
                self.pass(side, record);
                self.read_messages(side, record.body, record.span, keys);
                self.has_start = true;
            }
            (_, content::ALERT) if record.body.len() == 2 => {
                self.pass(side, record);
                self.read_alert(side, record.body, record.span, out);
            }
            (None, content::CHANGE_CIPHER_SPEC) => {
                self.pass(side, record);
                self.has_start = true;
                self.half(side).has_changed = true;
            }
            (None, content::APPLICATION_DATA) if self.may_guess(keys) => return Err(Need::Hellos),
            (None, _) => {
                let failure = self.why_no_hellos(keys);
                self.fail(failure, stamp);
            }
            (_, content::CHANGE_CIPHER_SPEC) => {
                self.pass(side, record);
                self.change_cipher(side);
            }
            (_, content::APPLICATION_DATA) => {
                // The change of ciphers was lost.
                self.change_cipher(side);
                let half = self.half(side);
                half.lose_bytes(0, stamp);
                return self.open(side, record, keys, out);
            }
            _ => self.pass(side, record),
        }
        Ok(())
    }

    /// A plain record is dealt with: losses are measured from behind it.
    fn pass(&mut self, side: Side, record: &Record<'_>) {
        self.half(side).next_offset = Some(end_offset(record));
    }

    /// Decrypts a record and acts upon its content.
    fn open(&mut self, side: Side, record: &mut Record<'_>, keys: &KeyLog, out: Sink<'_>) -> Result<(), Need> {
        let stamp = record.span.first;
        if let Some(failure) = self.obstacle() {
            self.fail(failure, stamp);
            return Ok(());
        }
        if side == Side::Client && matches!(self.client.epoch, Epoch::Early | Epoch::Plain) {
            if self.handshake.client_random.is_none() {
                return Err(Need::Hellos);
            }
            if self.handshake.is_retrying() && self.client.has_hole() {
                // The second hello was lost.
                self.handshake.end_retry();
                self.client.enter_unseen(Epoch::Handshake);
            }
            self.prepare_early(keys)?;
            if self.handshake.is_retrying() {
                return Ok(());
            }
        }
        if side == Side::Server && self.server.epoch == Epoch::Plain && self.handshake.is_tls13() {
            // The hello behind a HelloRetryRequest was lost.
            self.server.enter_unseen(Epoch::Handshake);
        }
        if self.half(side).keys.is_none() {
            let epoch = self.half(side).epoch;
            if epoch == Epoch::Session {
                self.choose_master(side, record, keys);
            }
            let Some(found) = self.keys_for(side, epoch, keys)? else {
                self.fail(Failure::WrongKeys, stamp);
                return Ok(());
            };
            self.half(side).keys = Some(found);
        }
        let (handshake, half) = match side {
            Side::Client => (&self.handshake, &mut self.client),
            Side::Server => (&self.handshake, &mut self.server),
        };
        let after = if half.has_hole() { next_keys(handshake, half, side, keys) } else { Vec::new() };
        match half.open(record, after) {
            Some((opened, turn)) => {
                let source = half.keys.as_ref().map_or(SecretSource::KeyLog, |keys| keys.source);
                let is_first = half.number == 1 && half.epoch == Epoch::Handshake;
                // Before TLS 1.3 the Finished comes first.
                let is_second = half.number <= 2 && half.epoch == Epoch::Session && half.offset == 0;
                if is_first || is_second {
                    // Whatever was lost, application data was not among it.
                    half.loss = None;
                }
                if let Turn::Next(epoch) = turn {
                    half.epoch = epoch;
                    // Early data may have waited for this.
                    self.has_progress = true;
                }
                if self.handshake.info.decryption != Decryption::KeyLog {
                    self.handshake.info.decryption = match source {
                        SecretSource::KeyLog => Decryption::KeyLog,
                        SecretSource::InCapture => Decryption::InCapture,
                    };
                }
                self.settle_loss(side, record, turn, out);
                self.take_content(side, opened, record, keys, out);
            }
            None if half.is_passing_early => {
                // The server refused early data, so the client sends it again: here it is passed over.
                half.number = 0;
                half.failures = 0;
                half.loss = None;
            }
            None => {
                half.messages.reset();
                self.note(AnomalyKind::DecryptFailed, stamp);
            }
        }
        Ok(())
    }

    /// Why the records of this session cannot be opened, whatever secrets there are.
    fn obstacle(&self) -> Option<Failure> {
        let handshake = &self.handshake;
        match (handshake.info.version?, handshake.info.cipher_suite?, handshake.suite) {
            (0x0301..=0x0304, _, _) if handshake.is_compressed => Some(Failure::Compressed),
            (0x0301..=0x0304, number, None) => Some(Failure::SuiteUnknown { number }),
            (0x0301..=0x0304, _, Some(suite)) if suite.cipher.is_none() => Some(Failure::SuiteUnsupported { suite }),
            (0x0301..=0x0304, ..) => None,
            (version, ..) => Some(Failure::VersionUnsupported { version }),
        }
    }

    /// Decides which keys to try first on what the client sends before its Finished.
    fn prepare_early(&mut self, keys: &KeyLog) -> Result<(), Need> {
        if self.client.epoch == Epoch::Plain {
            self.client.enter(Epoch::Handshake);
            return Ok(());
        }
        if self.handshake.is_retrying() {
            return Ok(());
        }
        if !self.handshake.extensions_seen && self.server.epoch != Epoch::Traffic {
            return Err(Need::EarlyVerdict);
        }
        if self.handshake.info.early_data || !self.handshake.extensions_seen {
            let has_early = self.find(Label::ClientEarly, keys).is_some();
            if has_early || self.find(Label::ClientHandshake, keys).is_none() {
                return Ok(());
            }
            // Early data without its secret: what the handshake keys do not open is lost.
            self.client.enter(Epoch::Handshake);
            self.client.lose_bytes(0, Stamp::default());
            return Ok(());
        }
        self.client.enter(Epoch::Handshake);
        self.client.is_passing_early = true;
        Ok(())
    }

    /// Tells of what was lost before this record, with its length where that follows from the records.
    fn settle_loss(&mut self, side: Side, record: &Record<'_>, turn: Turn, out: Sink<'_>) {
        let half = self.half(side);
        let before = half.next_offset.replace(end_offset(record));
        let Some(loss) = half.loss.take() else { return };
        if !half.is_application() {
            return;
        }
        let overhead = half.keys.as_ref().and_then(|keys| keys.opener.overhead());
        let len = match (before, turn, overhead) {
            (Some(before), Turn::Same { lost }, Some(overhead)) if loss.is_measured => record
                .offset
                .checked_sub(before)
                .and_then(|bytes| bytes.checked_sub((loss.counted + lost).saturating_mul(overhead))),
            _ => None,
        };
        let len = len.unwrap_or(0);
        half.offset = half.offset.wrapping_add(len);
        out(side, StreamEvent::Gap { len, stamp: loss.stamp });
    }

    /// The sender sends no more.
    fn end(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        let half = self.half(side);
        if half.is_finished {
            return;
        }
        half.is_finished = true;
        if let Some(loss) = half.loss.take()
            && half.is_application()
        {
            out(side, StreamEvent::Gap { len: 0, stamp: loss.stamp });
        }
        out(side, StreamEvent::Fin(stamp));
    }

    fn reset(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        if !std::mem::replace(&mut self.is_reset, true) {
            out(side, StreamEvent::Reset(stamp));
        }
    }

    /// Nothing more can be read of this session.
    fn fail(&mut self, failure: Failure, stamp: Stamp) {
        if self.failure.is_some() {
            return;
        }
        self.note(failure.anomaly(), stamp);
        self.client.is_given_up = true;
        self.server.is_given_up = true;
        self.client.keys = None;
        self.server.keys = None;
        if matches!(self.handshake.info.decryption, Decryption::Pending) {
            self.handshake.info.decryption = Decryption::Failed(failure.to_string());
        }
        self.failure = Some(failure);
    }
}

/// Keys of TLS 1.3 from a traffic secret.
fn keys_of(handshake: &Handshake, found: Found) -> Option<Keys> {
    let opener = Opener::tls13(&handshake.suite?, found.secret.as_bytes())?;
    Some(Keys { opener, secret: Some(found.secret), source: found.source })
}

fn generation_after(handshake: &Handshake, keys: &Keys) -> Option<Keys> {
    let secret = next_generation(handshake.suite?.hash, keys.secret.as_ref()?)?;
    keys_of(handshake, Found { secret, source: keys.source })
}

/// The keys that may have come into use among lost records, the nearest first.
fn next_keys(handshake: &Handshake, half: &Half, side: Side, keys: &KeyLog) -> Vec<(Epoch, Keys)> {
    let next: &[Epoch] = match half.epoch {
        Epoch::Early => &[Epoch::Handshake, Epoch::Traffic],
        Epoch::Handshake => &[Epoch::Traffic],
        Epoch::Traffic => {
            let next = half.keys.as_ref().and_then(|keys| generation_after(handshake, keys));
            return next.into_iter().map(|keys| (Epoch::Traffic, keys)).collect();
        }
        Epoch::Plain | Epoch::Session => &[],
    };
    let found = next.iter().filter_map(|&epoch| {
        let secret = keys.secret(handshake.client_random.as_ref()?, epoch.label(side))?;
        Some((epoch, keys_of(handshake, secret)?))
    });
    found.collect()
}

/// Offset in the TCP stream behind a record.
fn end_offset(record: &Record<'_>) -> u64 {
    record.offset.wrapping_add((HEADER + record.body.len()) as u64)
}
