//! One TLS session over one TCP connection: two streams of records become two streams of plaintext.

use crate::base::{Anomalies, Budget, Limits, Timestamp};
use crate::tcp::{Side, StreamEvent};

use super::core::{Core, Sink};
use super::info::TlsInfo;
use super::keylog::KeyLog;
use super::record::RecordReader;

/// One TLS session. Stream events of TCP go in, stream events of the plaintext come out.
///
/// Records for which no secret is known yet are held back within [`Limits::tls_held`] and go out, in their order and with
/// their own stamps, once the secrets are there.
pub struct Session {
    readers: [RecordReader; 2],
    /// Sides of which something came, or was lost.
    begun: [bool; 2],
    core: Core,
}

impl Session {
    /// A session of which nothing is known.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            readers: [RecordReader::new(budget), RecordReader::new(budget)],
            begun: [false; 2],
            core: Core::new(limits, budget),
        }
    }

    /// Takes one event of the TCP stream. What goes to `out` is told with the side that TLS knows it by: the client is who
    /// sent the ClientHello.
    pub fn push(&mut self, side: Side, event: StreamEvent<'_>, keys: &KeyLog, out: Sink<'_>) {
        let [client, server] = &mut self.readers;
        let [client_begun, server_begun] = &mut self.begun;
        let reader = if side == Side::Client { client } else { server };
        let core = &mut self.core;
        let is_first = !std::mem::replace(if side == Side::Client { client_begun } else { server_begun }, true);
        match event {
            StreamEvent::Data(chunk) => {
                core.hear(side, chunk.data, chunk.span.first);
                let wants_bodies = core.wants_bodies(side, keys);
                reader.push(chunk.data, chunk.span, chunk.offset, wants_bodies, &mut |piece| {
                    core.take_piece(side, piece, keys, out);
                });
            }
            StreamEvent::Gap { len, stamp } => {
                if is_first {
                    core.miss_start();
                }
                reader.gap(len, stamp, &mut |piece| core.take_piece(side, piece, keys, out));
            }
            StreamEvent::Fin(stamp) => core.take_fin(side, stamp, out),
            StreamEvent::Reset(stamp) => core.take_reset(side, stamp, out),
        }
        core.go_on(keys, out);
    }

    /// No more events follow: what still waits for secrets is tried a last time.
    pub fn finish(&mut self, keys: &KeyLog, out: Sink<'_>) {
        self.core.finish(keys, out);
    }

    /// When the oldest of what was taken in and not handed on came.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let readers = self.readers.iter().filter_map(RecordReader::pending_since);
        readers.chain(self.core.pending_since()).min()
    }

    /// What is known about the session.
    pub fn info(&self) -> &TlsInfo {
        self.core.info()
    }

    /// Faults of the session.
    pub fn anomalies(&self) -> &Anomalies {
        self.core.anomalies()
    }

    /// True when the end that TCP took for the server sent the ClientHello.
    pub fn is_flipped(&self) -> bool {
        self.core.is_flipped()
    }
}

#[cfg(test)]
mod tests;
