//! What records carry: content, handshake messages, changes of ciphers, alerts.

use super::{Core, KEYS_SIZE, Sink, generation_after};
use crate::base::Span;
use crate::base::anomaly::AnomalyKind;
use crate::tcp::{Chunk, Side, StreamEvent};
use crate::tls::cipher::Opened;
use crate::tls::failure::Failure;
use crate::tls::half::Epoch;
use crate::tls::handshake::Step;
use crate::tls::keylog::KeyLog;
use crate::tls::record::{HEADER, Record, content};

impl Core {
    pub(super) fn take_content(
        &mut self,
        side: Side,
        opened: Opened,
        record: &Record<'_>,
        keys: &KeyLog,
        out: Sink<'_>,
    ) {
        let text = record.body.get(opened.range).unwrap_or_default();
        // The text ends where the record does, so that what acknowledges the one acknowledges the other.
        let framing = (HEADER + record.body.len()).saturating_sub(text.len());
        let (span, position) = (record.span, record.position.after(framing));
        match opened.kind {
            content::APPLICATION_DATA => {
                let half = self.half(side);
                if !text.is_empty() && !half.is_finished && half.is_application() {
                    let offset = half.offset;
                    half.offset = offset.wrapping_add(text.len() as u64);
                    out(side, StreamEvent::Data(Chunk { data: text, span, offset, position }));
                }
            }
            content::HANDSHAKE => self.read_messages(side, text, span, keys),
            content::ALERT => self.read_alert(side, text, span, out),
            content::CHANGE_CIPHER_SPEC => self.change_cipher(side),
            _ => {}
        }
    }

    pub(super) fn read_messages(&mut self, side: Side, bytes: &[u8], span: Span, keys: &KeyLog) {
        if side == Side::Client && self.client.epoch == Epoch::Plain && keys.has_private_keys() {
            self.handshake.keep_transcript();
        }
        let (handshake, half) = match side {
            Side::Client => (&mut self.handshake, &mut self.client),
            Side::Server => (&mut self.handshake, &mut self.server),
        };
        let mut steps = Vec::new();
        let skipped = half.messages.push(bytes, span, &mut |message| steps.push(handshake.note(side, &message)));
        if skipped > 0 {
            self.note(AnomalyKind::RecordMalformed, span.first);
        }
        for step in steps {
            match step {
                Ok(Step::ClientKeyExchange) => {
                    if let Some(suite) = self.handshake.suite
                        && keys.has_private_keys()
                    {
                        let encrypted = &self.handshake.encrypted_pre_master;
                        self.handshake.pre_masters = keys.pre_masters(suite.key_exchange, encrypted);
                    }
                }
                Ok(step) => self.take_step(side, step),
                Err(_) => self.note(AnomalyKind::RecordMalformed, span.first),
            }
        }
        self.has_progress = true;
        self.lease.set(self.handshake.allocated() + 2 * KEYS_SIZE);
    }

    pub(super) fn read_ssl2_hello(&mut self, record: &Record<'_>) {
        if self.handshake.note_ssl2_hello(record.body, record.span).is_err() {
            self.fail(Failure::VersionUnsupported { version: record.version }, record.span.first);
        }
        self.pass(Side::Client, record);
    }

    pub(super) fn take_step(&mut self, side: Side, step: Step) {
        let is_tls13 = self.handshake.is_tls13();
        match step {
            Step::ClientHello if self.client.epoch == Epoch::Plain => {
                self.client.forget_losses();
                self.master = None;
                if self.handshake.early_data_offered {
                    self.client.enter(Epoch::Early);
                }
            }
            Step::ClientHello | Step::ServerHello if !is_tls13 => self.master = None,
            Step::ClientHelloAgain => self.client.enter(Epoch::Plain),
            Step::ServerHello => {
                self.server.enter(Epoch::Handshake);
                if self.client.epoch == Epoch::Plain {
                    self.client.enter_unseen(Epoch::Handshake);
                }
            }
            Step::EndOfEarlyData if self.client.epoch == Epoch::Early => self.client.enter(Epoch::Handshake),
            Step::Finished if self.half(side).epoch == Epoch::Handshake => self.half(side).enter(Epoch::Traffic),
            Step::KeyUpdate => self.update_keys(side),
            _ => {}
        }
    }

    /// Each side updates its own keys ([RFC 8446 §4.6.3](https://www.rfc-editor.org/rfc/rfc8446#section-4.6.3)).
    pub(super) fn update_keys(&mut self, side: Side) {
        let (handshake, half) = match side {
            Side::Client => (&self.handshake, &mut self.client),
            Side::Server => (&self.handshake, &mut self.server),
        };
        if half.epoch == Epoch::Traffic
            && let Some(keys) = half.keys.as_ref().and_then(|keys| generation_after(handshake, keys))
        {
            half.enter(Epoch::Traffic);
            half.keys = Some(keys);
        }
    }

    pub(super) fn change_cipher(&mut self, side: Side) {
        if self.handshake.is_tls13() {
            return;
        }
        if side == Side::Server {
            // Only a resumed session goes on without a ServerHelloDone.
            self.handshake.info.resumed = !self.handshake.is_full;
        }
        self.half(side).enter(Epoch::Session);
        self.has_progress = true;
    }

    pub(super) fn read_alert(&mut self, side: Side, alert: &[u8], span: Span, out: Sink<'_>) {
        const CLOSE_NOTIFY: u8 = 0;
        const USER_CANCELED: u8 = 90;
        const NO_RENEGOTIATION: u8 = 100;
        match alert {
            [_, CLOSE_NOTIFY] => self.end(side, span.last, out),
            [_, USER_CANCELED | NO_RENEGOTIATION] => {}
            &[_, alert] => self.half(side).alert = Some(alert),
            _ => self.note(AnomalyKind::RecordMalformed, span.first),
        }
    }
}
