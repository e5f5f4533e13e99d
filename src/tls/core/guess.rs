//! Lost hellos. Which session of the key log this is, and which suite of TLS 1.3 it chose, is found by trying: a record that a secret
//! opens is proof. Before TLS 1.3 keys are made of both random values, so only the client's may be lost.

use crate::base::{Span, Stamp};
use crate::tcp::Side;

use super::Core;
use crate::tls::failure::Failure;
use crate::tls::guess::{Sealed, tells_tls13};
use crate::tls::half::Epoch;
use crate::tls::handshake::Step;
use crate::tls::keylog::{KeyLog, Label, Random};
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
/// Suites that clients offer unless told otherwise.
const USUAL: [u16; 3] = [0x1301, 0x1302, 0x1303];

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
            (None, _) => {
                let suites = self.suites_offered();
                self.guess.try_tls13(&sealed, random, &suites, keys)
            }
            (Some(0x0304), Some(suite)) => self.guess.try_tls13(&sealed, random, &[suite], keys),
            (Some(0x0301..=0x0303), Some(_)) if self.handshake.client_random.is_none() => {
                self.guess.try_legacy(&sealed, &self.handshake, keys).into_iter().for_each(|random| {
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
        self.guess.earn(&all);
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

    /// The beginning of a ClientHello says most of what is needed.
    pub(super) fn take_torn(&mut self, tcp_side: Side, body: &[u8], span: Span) {
        let Some((&[kind::CLIENT_HELLO, ..], hello)) = body.split_at_checked(4) else { return };
        if self.failure.is_some() || self.handshake.client_random.is_some() {
            return;
        }
        self.settle_roles(tcp_side, content::HANDSHAKE, body);
        let is_first = self.role(tcp_side) == Side::Client && self.client.epoch == Epoch::Plain;
        if is_first && self.handshake.note_torn_hello(hello, span).is_ok() {
            self.take_step(Side::Client, Step::ClientHello);
            self.has_start = true;
            self.has_progress = true;
        }
    }

    /// The first bytes of a side come.
    pub(crate) fn hear(&mut self, tcp_side: Side, first: &[u8], stamp: Stamp) {
        if let Some(heard) = self.heard.get_mut(tcp_side.index()) {
            *heard = true;
        }
        let is_answer = self.role(tcp_side) == Side::Server && self.handshake.info.version.is_none();
        if let (true, Some(line)) = (is_answer && self.handshake.info.start.is_some(), status_line(first)) {
            self.fail(Failure::AnsweredInClear { line }, stamp);
        }
    }

    /// Bytes before the first one of a side are lost, so the capture has the beginning of the connection.
    pub(crate) fn miss_start(&mut self) {
        self.has_start = true;
    }

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

/// The first line of an answer in clear, fit to be shown.
fn status_line(bytes: &[u8]) -> Option<String> {
    const SHOWN: usize = 80;
    let line = bytes.split(|&byte| byte == b'\r' || byte == b'\n').next()?;
    let is_http = line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/"));
    is_http.then(|| String::from_utf8_lossy(line).chars().filter(|letter| !letter.is_control()).take(SHOWN).collect())
}
