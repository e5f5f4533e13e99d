//! Floor 8: frames and secrets in, entries out. No file, no thread, no clock.

mod flow;
mod front;
mod horizon;
mod layer;
pub mod options;
mod quic;
mod shard;
mod upper;

pub use front::{Clock, Front, Rounds, Route, Share, route};
pub use options::Options;
pub use shard::{Rest, Shard};

use std::path::PathBuf;

use crate::base::Anomalies;
use crate::capture::{Frame, LinkType, Secrets, SecretsKind};
use crate::har;
use crate::tls::{KeyLog, SecretSource};

/// All of it in one line: a front, one shard, and a writer. Takes frames in the order of the capture.
pub struct Engine {
    front: Front,
    shard: Shard,
    writer: har::Writer,
    rounds: Rounds,
    failure: Option<har::WriteError>,
    keep: usize,
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

/// What is left of an engine when the capture is over.
pub struct Finished {
    /// Holds the entries that are not written yet.
    pub writer: har::Writer,
    /// What was counted.
    pub totals: har::Totals,
    /// What was seen besides exchanges.
    pub seen: Seen,
}

/// Takes secrets found in a capture.
pub fn add_secrets(keys: &KeyLog, secrets: &Secrets<'_>) {
    if secrets.kind == SecretsKind::TlsKeyLog {
        keys.parse(secrets.data, SecretSource::InCapture);
    }
}

impl Engine {
    /// An engine that tells `writer`; `keys` are shared with whoever adds secrets, temporary files lie in `folder`.
    pub fn new(options: &Options, keys: KeyLog, folder: Option<PathBuf>, writer: har::Writer) -> Self {
        let limits = &options.limits;
        Self {
            front: Front::new(limits, options.share),
            writer,
            shard: Shard::new(options, keys, folder, 1),
            rounds: Rounds::default(),
            failure: None,
            keep: limits.anomalies_kept,
        }
    }

    /// An engine that keeps entries for the end.
    pub fn gathering(options: &Options, keys: KeyLog) -> Self {
        Self::new(options, keys, None, har::Writer::new(&options.har, &options.limits, None))
    }

    /// Tells an observer of each exchange that is over, and makes no HAR.
    pub fn observe(&mut self, observer: Observer) {
        self.shard.upper.observe(observer);
    }

    /// Takes the next frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        let Self { front, shard, .. } = self;
        if let Some(text) = frame.comment {
            shard.comment(frame.number, text);
        }
        front.push(frame, &mut |packet| shard.push(packet));
        if self.rounds.count(frame) {
            self.shard.end_round(self.front.end_round());
            self.tell();
        } else if self.writer.is_prompt() && !self.shard.news().is_empty() {
            self.tell();
        }
    }

    /// Tells the writer what happened.
    fn tell(&mut self) {
        let result = self.writer.take(std::slice::from_mut(self.shard.news()));
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    /// Takes secrets found in the capture.
    pub fn secrets(&mut self, secrets: &Secrets<'_>) {
        add_secrets(&self.shard.upper.keys, secrets);
    }

    /// The first write that failed, to the temporary file or of a line; once.
    pub fn failure(&mut self) -> Option<har::WriteError> {
        self.failure.take()
    }

    /// True when a write has failed, which nobody asked for yet.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Entries handed on so far.
    pub fn entries(&self) -> u64 {
        self.shard.upper.desk.entries
    }

    /// What was counted so far.
    pub fn summary(&self) -> &har::Summary {
        self.shard.upper.desk.maker.summary()
    }

    /// A writer with all entries that are over, and what was counted of them, to be written while the engine goes on.
    pub fn snapshot(&mut self) -> (har::Writer, har::Totals) {
        self.tell();
        (self.writer.snapshot(), self.shard.upper.desk.maker.totals().clone())
    }

    /// Forgets the entries that are over, after a snapshot of them was written; connections go on.
    pub fn forget(&mut self) {
        self.tell();
        self.writer.forget();
        self.shard.upper.desk.maker.forget();
    }

    /// The capture ends: all connections are closed.
    pub fn finish(mut self) -> Result<Finished, har::WriteError> {
        let mut seen = self.front.finish();
        let mut rest = self.shard.finish();
        seen.anomalies.merge(&rest.anomalies, self.keep);
        self.writer.take(std::slice::from_mut(&mut rest.news))?;
        match self.failure {
            Some(error) => Err(error),
            None => Ok(Finished { writer: self.writer, totals: rest.totals, seen }),
        }
    }
}
