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
    /// Bytes lost before the first one of each side, until that comes.
    lost: [Option<u64>; 2],
    core: Core,
}

impl Session {
    /// A session of which nothing is known.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            readers: [RecordReader::new(budget), RecordReader::new(budget)],
            lost: [Some(0); 2],
            core: Core::new(limits, budget),
        }
    }

    /// Takes one event of the TCP stream. What goes to `out` is told with the side that TLS knows it by: the client is who
    /// sent the ClientHello.
    pub fn push(&mut self, side: Side, event: StreamEvent<'_>, keys: &KeyLog, out: Sink<'_>) {
        let [client, server] = &mut self.readers;
        let [client_lost, server_lost] = &mut self.lost;
        let (reader, lost) = if side == Side::Client { (client, client_lost) } else { (server, server_lost) };
        let core = &mut self.core;
        match event {
            StreamEvent::Data(chunk) => {
                if let Some(lost) = lost.take() {
                    core.hear(side, chunk.data, chunk.span.first);
                    // A stream whose first byte nobody knows does not begin at 0.
                    if lost > 0 && chunk.offset == lost {
                        core.miss_start();
                    }
                }
                let wants_bodies = core.wants_bodies(side, keys);
                reader.push(chunk, wants_bodies, &mut |piece| {
                    core.take_piece(side, piece, keys, out);
                });
            }
            StreamEvent::Gap { len, stamp } => {
                if let Some(lost) = lost {
                    *lost = lost.saturating_add(len);
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
