//! Waiting for secrets: when to try again, in which order, when to give up, and what to say then.

use crate::tcp::Side;

use super::{Core, Sink};
use crate::tls::failure::Failure;
use crate::tls::half::{Epoch, Need};
use crate::tls::hold::Held;
use crate::tls::info::Decryption;
use crate::tls::keylog::{KeyLog, Label};
use crate::tls::record::Record;

impl Core {
    /// Tries what is held back when that may help, and gives up waiting when it costs too much.
    pub(crate) fn go_on(&mut self, keys: &KeyLog, out: Sink<'_>) {
        if self.queue.is_empty() {
            self.has_progress = false;
            return;
        }
        let is_too_much = self.queue.bytes() > self.held_max || self.budget.used() > self.budget.cap() / 2;
        if is_too_much {
            self.guess(None, keys);
            self.give_up(keys);
        }
        if is_too_much || self.failure.is_some() || self.may_go_on(keys) {
            self.drain(keys, out);
        }
    }

    fn may_go_on(&mut self, keys: &KeyLog) -> bool {
        let revision = keys.revision();
        let has_news = std::mem::replace(&mut self.revision, revision) != revision;
        if has_news {
            self.guess(None, keys);
        }
        if !has_news && !std::mem::take(&mut self.has_progress) {
            return false;
        }
        Side::BOTH.into_iter().any(|side| self.half(side).need.is_some_and(|need| self.is_met(need, keys)))
    }

    fn is_met(&mut self, need: Need, keys: &KeyLog) -> bool {
        match need {
            Need::Hellos => self.handshake.info.version.is_some() && self.handshake.client_random.is_some(),
            Need::EarlyVerdict => {
                self.handshake.extensions_seen
                    || self.handshake.is_retrying()
                    || self.client.epoch != Epoch::Early
                    || self.server.epoch == Epoch::Traffic
            }
            Need::Secret(Label::ClientEarly) => {
                [Label::ClientEarly, Label::ClientHandshake].into_iter().any(|label| self.find(label, keys).is_some())
            }
            Need::Secret(label) => self.find(label, keys).is_some(),
        }
    }

    /// Sends what was held back through again, in its order, until one side must wait on.
    fn drain(&mut self, keys: &KeyLog, out: Sink<'_>) {
        // What one side brings may free the other: the ServerHello frees early data.
        for _ in 0..4 {
            let before = self.queue.len();
            let mut stays = [false; 2];
            for _ in 0..before {
                let Some((side, mut held)) = self.queue.pop() else { break };
                let is_ordered = match &held {
                    Held::Record { kind, .. } => self.is_application(side, *kind),
                    Held::Reset(_) => true,
                    Held::Fin(_) | Held::Loss(..) => false,
                };
                let [client, server] = &mut stays;
                let (own, other) = if side == Side::Client { (client, server) } else { (server, client) };
                *own = *own || (is_ordered && *other) || !self.replay(side, &mut held, keys, out);
                if *own {
                    self.queue.push(side, held);
                } else {
                    self.half(side).held -= 1;
                }
            }
            if self.queue.is_empty() || self.queue.len() == before {
                break;
            }
        }
        for side in Side::BOTH {
            if self.half(side).held == 0 {
                self.half(side).need = None;
            }
        }
    }

    /// True when what was held is dealt with.
    fn replay(&mut self, side: Side, held: &mut Held, keys: &KeyLog, out: Sink<'_>) -> bool {
        match held {
            Held::Record { kind, version, body, span, offset, position } => {
                let (kind, version, span, offset, position) = (*kind, *version, *span, *offset, *position);
                let mut record = Record { kind, version, body, span, offset, position };
                match self.process(side, &mut record, keys, out) {
                    Ok(()) => true,
                    Err(need) => {
                        self.half(side).need = Some(need);
                        false
                    }
                }
            }
            Held::Loss(lost, stamp) => {
                self.lose(side, *lost, *stamp);
                true
            }
            Held::Fin(stamp) => {
                self.end(side, *stamp, out);
                true
            }
            Held::Reset(stamp) => {
                self.reset(side, *stamp, out);
                true
            }
        }
    }

    /// What still waits has waited long enough.
    fn give_up(&mut self, keys: &KeyLog) {
        for side in Side::BOTH {
            if let Some(need) = self.half(side).need.take() {
                if self.is_met(need, keys) {
                    continue;
                }
                self.half(side).is_given_up = true;
                let failure = self.why(need, keys);
                // What both sides wait for is missing once.
                if self.anomalies.count(failure.anomaly()) == 0 {
                    self.anomalies.note(failure.anomaly(), None, self.anomalies_kept);
                }
                if matches!(self.handshake.info.decryption, Decryption::Pending) {
                    self.handshake.info.decryption = Decryption::Failed(failure.to_string());
                }
            }
        }
    }

    fn why(&self, need: Need, keys: &KeyLog) -> Failure {
        match (need, self.handshake.client_random) {
            (_, None) | (Need::Hellos, _) => self.why_no_hellos(keys),
            (Need::Secret(label), Some(random)) if keys.knows(&random) => {
                Failure::SomeKeys { random, missing: label.name() }
            }
            (_, Some(random)) => Failure::NoKeys { random },
        }
    }

    /// No more comes.
    pub(crate) fn finish(&mut self, keys: &KeyLog, out: Sink<'_>) {
        self.drain(keys, out);
        self.guess(None, keys);
        self.drain(keys, out);
        // Each round gives up one side at least, so the queue is empty after two.
        for _ in 0..3 {
            if self.queue.is_empty() {
                break;
            }
            self.give_up(keys);
            self.drain(keys, out);
        }
        if matches!(self.handshake.info.decryption, Decryption::Pending) {
            let failure = self.conclusion(keys);
            self.handshake.info.decryption = Decryption::Failed(failure.to_string());
        }
    }

    /// Why nothing was decrypted when nothing waited for secrets.
    fn conclusion(&self, keys: &KeyLog) -> Failure {
        let handshake = &self.handshake;
        match (self.server.alert, self.client.alert) {
            (Some(alert), _) => return Failure::Refused { by: "server", alert },
            (_, Some(alert)) => return Failure::Refused { by: "client", alert },
            _ => {}
        }
        if self.client.failures + self.server.failures > 0 {
            Failure::WrongKeys
        } else if handshake.client_random.is_none() || handshake.info.version.is_none() {
            self.why_no_hellos(keys)
        } else {
            self.obstacle().unwrap_or(Failure::HandshakeUnfinished)
        }
    }
}
