//! Floor 8: one shard of the engine: frames and secrets in, entries out. No file, no thread, no clock.

mod flow;
mod layer;
pub mod options;
mod quic;
mod upper;

pub use options::Options;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Spool, Timestamp};
use crate::capture::{Frame, LinkType, Secrets, SecretsKind};
use crate::har;
use crate::net::{self, Transport};
use crate::tcp::{self, TcpEvent};
use crate::tls::{KeyLog, SecretSource};
use upper::Upper;

/// Takes frames in the order of the capture; exchanges that are over go to the writer of the HAR.
pub struct Engine {
    net: net::Decoder,
    tcp: tcp::Connections,
    upper: Upper,
    budget: Budget,
    last_time: Option<Timestamp>,
    anomalies: Anomalies,
}

/// Who wants to know of each exchange when it is over.
pub type Observer = Box<dyn FnMut(har::Brief) + Send>;

/// What the engine saw besides exchanges.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Faults that belong to no connection.
    pub anomalies: Anomalies,
    /// Link types that are not read, with their frames.
    pub unsupported: Vec<(LinkType, u64)>,
    /// Frames seen twice (mirror ports).
    pub repeated: u64,
    /// IEEE 802.11 frames that are encrypted.
    pub encrypted_frames: u64,
}

impl Engine {
    /// An engine; `keys` are shared with whoever adds secrets. With a sink, entries go there at once; without, they wait for their
    /// order.
    pub fn new(options: &Options, keys: KeyLog, spool: Spool, sink: Option<har::Sink>) -> Self {
        let limits = &options.limits;
        let budget = Budget::new(limits.memory);
        Self {
            net: net::Decoder::new(limits, &budget),
            tcp: tcp::Connections::new(limits, &budget, options.tcp),
            upper: Upper::new(options.clone(), budget.clone(), keys, spool, sink),
            budget,
            last_time: None,
            anomalies: Anomalies::default(),
        }
    }

    /// Tells an observer of each exchange that is over, and makes no HAR.
    pub fn observe(&mut self, observer: Observer) {
        self.upper.desk.observer = Some(observer);
    }

    /// Takes the next frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        let Self { net, tcp, upper, last_time, anomalies, .. } = self;
        if last_time.is_some_and(|last| frame.time < last) {
            anomalies.note(AnomalyKind::TimeBackwards, Some(frame.stamp()), upper.options.limits.anomalies_kept);
        }
        *last_time = Some(frame.time);
        upper.comment(frame);
        net.push(frame, &mut |packet| match packet.transport {
            Transport::Tcp(header) => {
                tcp.push(&packet, &header, &mut |slot, facts, event: TcpEvent<'_>| upper.tcp(slot, facts, event));
            }
            Transport::Udp => upper.udp(&packet),
        });
        if self.budget.is_overdrawn() {
            self.evict(frame.time);
        }
    }

    /// Takes secrets found in the capture.
    pub fn secrets(&mut self, secrets: &Secrets<'_>) {
        if secrets.kind == SecretsKind::TlsKeyLog {
            self.upper.keys.parse(secrets.data, SecretSource::InCapture);
        }
    }

    fn evict(&mut self, now: Timestamp) {
        let Self { tcp, upper, budget, .. } = self;
        while budget.is_overdrawn() {
            let is_tcp = tcp.evict_oldest(now, &mut |slot, facts, event| upper.tcp(slot, facts, event));
            if !is_tcp && !upper.evict_quic() {
                break;
            }
        }
    }

    /// Closes connections that were idle for long, so that a run of days does not grow.
    pub fn expire(&mut self, now: Timestamp) {
        let Self { tcp, upper, .. } = self;
        let idle = upper.options.limits.idle;
        tcp.expire(now, idle, &mut |slot, facts, event| upper.tcp(slot, facts, event));
        upper.expire_quic(now);
    }

    /// The first write that failed, to the temporary file or of a line; once.
    pub fn failure(&mut self) -> Option<har::WriteError> {
        let desk = &mut self.upper.desk;
        let spool = desk.spool.failure().or_else(|| desk.writer.failure()).map(har::WriteError::Spool);
        desk.failure.take().or(spool)
    }

    /// Entries handed on so far.
    pub fn entries(&self) -> u64 {
        self.upper.desk.entries
    }

    /// What the writer holds so far, in numbers.
    pub fn summary(&self) -> &har::Summary {
        self.upper.desk.writer.summary()
    }

    /// A writer with all entries that are over, to be written with the spool of the engine while that goes on.
    pub fn snapshot(&mut self) -> (har::Writer, &mut Spool) {
        let desk = &mut self.upper.desk;
        (desk.writer.snapshot(), &mut desk.spool)
    }

    /// Forgets the entries that are over, after a snapshot of them was written; connections go on.
    pub fn forget(&mut self) {
        self.upper.desk.writer.forget();
    }

    /// The capture ends: all connections are closed. What is left is the writer, its spool, and what was seen besides.
    pub fn finish(mut self) -> Result<(har::Writer, Spool, Seen), har::WriteError> {
        self.net.finish();
        let Self { net, tcp, upper, anomalies, .. } = &mut self;
        tcp.finish(&mut |slot, facts, event| upper.tcp(slot, facts, event));
        upper.finish();
        let keep = upper.options.limits.anomalies_kept;
        anomalies.merge(net.anomalies(), keep);
        anomalies.merge(upper.dns_anomalies(), keep);
        let seen = Seen {
            anomalies: std::mem::take(anomalies),
            unsupported: net.unsupported().to_vec(),
            repeated: net.repeated(),
            encrypted_frames: net.encrypted(),
        };
        match self.failure() {
            Some(error) => Err(error),
            None => {
                self.upper.desk.finish_sink()?;
                Ok((self.upper.desk.writer, self.upper.desk.spool, seen))
            }
        }
    }
}
